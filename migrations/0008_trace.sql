-- The change feed carries the place in a trace from which a change was made, so that whoever it wakes goes on with that
-- trace: `<tenant>[@<traceparent>] <kind> [<name>]`. It is set with the tenant, in the writer's own transaction, and is a
-- hint like the rest: its reader takes nothing that is not a traceparent.
CREATE OR REPLACE FUNCTION naru.touch(what text) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant uuid := naru.current_tenant();
    place text := nullif(current_setting('naru.traceparent', true), '');
    version bigint;
BEGIN
    UPDATE naru.tenants SET resource_version = resource_version + 1 WHERE id = tenant
        RETURNING resource_version INTO version;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no tenant %', tenant USING ERRCODE = 'NR003';
    END IF;
    PERFORM pg_notify('naru', tenant || coalesce('@' || place, '') || ' ' || what);
    RETURN version;
END
$$;
