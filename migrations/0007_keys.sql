-- Replacing keys: a tenant may have several data keys while everything of its is being sealed under the newest.

ALTER TABLE naru.tenant_keys ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE naru.tenant_keys DROP CONSTRAINT tenant_keys_pkey;
ALTER TABLE naru.tenant_keys ADD PRIMARY KEY (tenant_id, version);

-- The version of the key that a value is sealed under: it stands in the value's head (libs/store/src/seal.rs).
CREATE FUNCTION naru.seal_version(sealed bytea) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN get_byte(sealed, 0) = 1 THEN 1
        WHEN get_byte(sealed, 0) = 2 THEN
            (get_byte(sealed, 1) << 24) + (get_byte(sealed, 2) << 16) + (get_byte(sealed, 3) << 8) + get_byte(sealed, 4)
    END
$$;

GRANT CREATE ON SCHEMA naru TO naru_platform;
SET LOCAL ROLE naru_platform;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Whose keys there are, for who replaces them: the owner of the schema alone, in each tenant's own scope.
CREATE FUNCTION naru.key_holders() RETURNS TABLE (tenant_id uuid, name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.id, t.name FROM naru.tenants t
    WHERE EXISTS (SELECT FROM naru.tenant_keys k WHERE k.tenant_id = t.id) ORDER BY t.name
$$;
GRANT EXECUTE ON FUNCTION naru.key_holders() TO naru_owner;

-- Nothing is written under a key that is gone: its last words would never be read again. The lock makes a dropping of
-- the key wait for the writer, and a later writer see that it was dropped.
CREATE FUNCTION naru.refuse_dropped_key() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    under integer := naru.seal_version(NEW.sealed);
BEGIN
    PERFORM FROM naru.tenant_keys k WHERE k.tenant_id = NEW.tenant_id AND k.version = under FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the tenant has no key of version %', under USING ERRCODE = 'NR004';
    END IF;
    RETURN NEW;
END
$$;
GRANT EXECUTE ON FUNCTION naru.refuse_dropped_key() TO naru_owner;

RESET ROLE;
REVOKE CREATE ON SCHEMA naru FROM naru_platform;

-- To be called for every table with a column `sealed` that is sealed under the tenant's key.
CREATE PROCEDURE naru.keep_sealed(relation regclass)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER sealed BEFORE INSERT OR UPDATE OF sealed ON %s FOR EACH ROW WHEN (NEW.sealed IS NOT NULL) '
        'EXECUTE FUNCTION naru.refuse_dropped_key()', relation);
END
$$;
REVOKE EXECUTE ON PROCEDURE naru.keep_sealed(regclass) FROM PUBLIC;

DO $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN
        SELECT a.attrelid::regclass FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'naru'::regnamespace AND c.relkind = 'r' AND a.attname = 'sealed'
        AND a.atttypid = 'bytea'::regtype AND NOT a.attisdropped
        -- What opens a cluster is sealed to the controllers' own key.
        AND c.relname <> 'clusters'
    LOOP
        CALL naru.keep_sealed(relation);
    END LOOP;
END
$$;
