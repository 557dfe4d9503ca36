-- What belongs to the installation: tenants, how requests find them, who is at work.
--
-- The services see the rows of one tenant per transaction, the one that naru.tenant names; naru_platform, as which the
-- functions of 0003 run, sees all.

GRANT USAGE ON SCHEMA naru TO naru_api, naru_controller, naru_platform;
-- A service compares this with the migrations it was built with.
GRANT SELECT ON naru._sqlx_migrations TO naru_api, naru_controller;

-- The tenant of this transaction. An unset tenant is an error, never an empty answer.
CREATE FUNCTION naru.current_tenant() RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant text := current_setting('naru.tenant', true);
BEGIN
    IF tenant IS NULL OR tenant = '' THEN
        RAISE EXCEPTION 'naru.tenant is not set in this transaction' USING ERRCODE = 'NR002';
    END IF;
    RETURN tenant::uuid;
END
$$;

-- Puts a table under forced row-level security, alike for all. The sub-select makes the tenant one value per statement
-- instead of one call per row, and lets an index be used.
CREATE PROCEDURE naru.protect(relation regclass, tenant_column name DEFAULT 'tenant_id')
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
    EXECUTE format('CREATE POLICY platform ON %s TO naru_platform USING (true) WITH CHECK (true)', relation);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO naru_platform', relation);
    IF tenant_column IS NOT NULL THEN
        EXECUTE format(
            'CREATE POLICY tenant ON %s TO naru_owner, naru_api, naru_controller '
            'USING (%2$I = (SELECT naru.current_tenant())) WITH CHECK (%2$I = (SELECT naru.current_tenant()))',
            relation, tenant_column);
    END IF;
END
$$;
REVOKE EXECUTE ON PROCEDURE naru.protect(regclass, name) FROM PUBLIC;

CREATE TABLE naru.tenants (
    id               uuid PRIMARY KEY,
    name             text NOT NULL UNIQUE,
    settings         jsonb NOT NULL,
    -- Counts the writes of this tenant. Its row is locked first by every writer, hence versions commit in order and a
    -- reader who saw N has seen everything below.
    resource_version bigint NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CALL naru.protect('naru.tenants', 'id');
GRANT SELECT, UPDATE (resource_version, settings) ON naru.tenants TO naru_api;
GRANT SELECT ON naru.tenants TO naru_controller;

-- Written on every change of the tenant; room on the page keeps those updates in place.
ALTER TABLE naru.tenants SET (fillfactor = 50);

CREATE TABLE naru.tenant_hosts (
    host      text PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES naru.tenants (id)
);
CREATE INDEX ON naru.tenant_hosts (tenant_id);
CALL naru.protect('naru.tenant_hosts');
GRANT SELECT ON naru.tenant_hosts TO naru_api, naru_controller;

CREATE TABLE naru.signing_key_ids (
    kid       text PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES naru.tenants (id)
);
CREATE INDEX ON naru.signing_key_ids (tenant_id);
CALL naru.protect('naru.signing_key_ids');

-- The namespace map: which tenant a namespace of the shared cluster belongs to.
CREATE TABLE naru.namespaces (
    namespace  text PRIMARY KEY,
    tenant_id  uuid NOT NULL REFERENCES naru.tenants (id),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON naru.namespaces (tenant_id);
CALL naru.protect('naru.namespaces');
GRANT SELECT ON naru.namespaces TO naru_api, naru_controller;

-- What remains of a destroyed tenant.
CREATE TABLE naru.tombstones (
    tenant_id    uuid PRIMARY KEY,
    name         text NOT NULL,
    destroyed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CALL naru.protect('naru.tombstones');

-- One heartbeat row per controller.
CREATE TABLE naru.controllers (
    id           text PRIMARY KEY,
    address      text NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CALL naru.protect('naru.controllers', NULL);

-- Leases on named work items. An item without holder was given up in good order.
--
-- The unique pair makes the fence part of a key: a change of holder then waits for writes that hold FOR KEY SHARE on
-- the row (publish), while a renewal, which leaves the fence alone, does not.
CREATE TABLE naru.leases (
    item       text PRIMARY KEY,
    holder     text,
    fence      bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    UNIQUE (item, fence)
);
CALL naru.protect('naru.leases', NULL);

-- Bumps the tenant's version and tells the change feed what changed, in the writer's own transaction.
CREATE FUNCTION naru.touch(what text) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant uuid := naru.current_tenant();
    version bigint;
BEGIN
    UPDATE naru.tenants SET resource_version = resource_version + 1 WHERE id = tenant
        RETURNING resource_version INTO version;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no tenant %', tenant USING ERRCODE = 'NR003';
    END IF;
    PERFORM pg_notify('naru', tenant || ' ' || what);
    RETURN version;
END
$$;
