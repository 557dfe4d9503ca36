-- Changes that share a transaction count the tenant's version up once, by as many as they are. Each counting by itself left a
-- version of the tenant's row behind, dozens in one transaction, which every later writer and reader of that tenant had to pass
-- until they were cleaned up. Each change has a version of its own all the same, and is announced as naru.touch does it.
CREATE OR REPLACE FUNCTION naru.write_applications(documents jsonb) RETURNS SETOF naru.applications
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant uuid := naru.current_tenant();
    place text := nullif(current_setting('naru.traceparent', true), '');
    changes bigint := jsonb_array_length(documents);
    wanted record;
    version bigint;
BEGIN
    UPDATE naru.tenants SET resource_version = resource_version + changes WHERE id = tenant
        RETURNING resource_version - changes INTO version;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no tenant %', tenant USING ERRCODE = 'NR003';
    END IF;
    FOR wanted IN SELECT * FROM jsonb_to_recordset(documents) AS x (
        name text, metadata jsonb, spec jsonb, operation jsonb, status jsonb, repo_urls text[], refresh boolean
    ) LOOP
        version := version + 1;
        PERFORM pg_notify('naru', tenant || coalesce('@' || place, '') || ' app ' || wanted.name);
        RETURN QUERY
            UPDATE naru.applications a
            SET resource_version = version,
                refresh_version = CASE WHEN wanted.refresh THEN version ELSE a.refresh_version END,
                generation = a.generation + CASE WHEN a.spec <> wanted.spec THEN 1 ELSE 0 END,
                metadata = wanted.metadata, spec = wanted.spec, operation = wanted.operation, status = wanted.status,
                repo_urls = wanted.repo_urls
            WHERE a.name = wanted.name
            RETURNING a.*;
    END LOOP;
END
$$;
