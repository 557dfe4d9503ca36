-- Identity: what accounts may do, the tokens made for them, settings by key, and keys that are replaced.

-- What an account may be used for, and whether its password is one that it chose itself.
ALTER TABLE naru.accounts ADD COLUMN capabilities text[] NOT NULL DEFAULT '{login}';
ALTER TABLE naru.accounts ADD COLUMN own_password boolean NOT NULL DEFAULT false;
-- An account without a password exists; nobody can log in as it.
ALTER TABLE naru.accounts ALTER COLUMN password_hash DROP NOT NULL;
ALTER TABLE naru.accounts ALTER COLUMN password_mtime DROP NOT NULL;

CREATE TABLE naru.account_tokens (
    tenant_id  uuid NOT NULL REFERENCES naru.tenants (id),
    account    text NOT NULL,
    id         text NOT NULL,
    issued_at  bigint NOT NULL,
    -- In Unix seconds as the token says it; zero for never.
    expires_at bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, account, id),
    FOREIGN KEY (tenant_id, account) REFERENCES naru.accounts (tenant_id, name) ON DELETE CASCADE
);
CALL naru.protect('naru.account_tokens');
GRANT SELECT, INSERT, UPDATE, DELETE ON naru.account_tokens TO naru_api;

-- Settings by object and key, but for those that have tables of their own: accounts, and the secrets of webhooks.
CREATE TABLE naru.config (
    tenant_id  uuid NOT NULL REFERENCES naru.tenants (id),
    object     text NOT NULL,
    key        text NOT NULL,
    -- The value, in clear or sealed under the tenant's key.
    value      text,
    sealed     bytea,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, object, key),
    CHECK ((value IS NULL) <> (sealed IS NULL))
);
CALL naru.protect('naru.config');
GRANT SELECT, INSERT, UPDATE, DELETE ON naru.config TO naru_api;

-- Webhook secrets are settings now.
GRANT INSERT, UPDATE, DELETE ON naru.secrets TO naru_api;

-- When a replaced key stops counting.
ALTER TABLE naru.signing_keys ADD COLUMN retires_at timestamptz;

GRANT CREATE ON SCHEMA naru TO naru_platform;
SET LOCAL ROLE naru_platform;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Puts a new signing key in front; those before it count for the grace, and without one not at all.
CREATE FUNCTION naru.rotate_signing_key(tenant uuid, new_kid text, new_sealed bytea, grace interval) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM naru.tenants t WHERE t.id = tenant FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no tenant %', tenant USING ERRCODE = 'NR003';
    END IF;
    UPDATE naru.signing_keys k SET retires_at = clock_timestamp() + grace
        WHERE k.tenant_id = tenant AND (k.retires_at IS NULL OR k.retires_at > clock_timestamp() + grace);
    WITH gone AS (
        DELETE FROM naru.signing_keys k WHERE k.tenant_id = tenant AND k.retires_at <= clock_timestamp()
        RETURNING k.kid
    )
    DELETE FROM naru.signing_key_ids i USING gone g WHERE i.kid = g.kid AND i.tenant_id = tenant;
    INSERT INTO naru.signing_key_ids (kid, tenant_id) VALUES (new_kid, tenant);
    INSERT INTO naru.signing_keys (tenant_id, kid, sealed) VALUES (tenant, new_kid, new_sealed);
    PERFORM pg_notify('naru', tenant || ' tenant');
END
$$;
GRANT EXECUTE ON FUNCTION naru.rotate_signing_key(uuid, text, bytea, interval) TO naru_api;

RESET ROLE;
REVOKE CREATE ON SCHEMA naru FROM naru_platform;
