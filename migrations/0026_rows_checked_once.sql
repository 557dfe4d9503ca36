-- That a tenant is there was asked for each row of its record, its history and its manifest sets, by keys to naru.tenants: a query
-- and a lock of the tenant's row each time, beside the writers who hold it. Whoever writes such a row holds already, or takes once
-- for all rows of a statement, what the end of the tenant waits for:
--
--   history        naru.publish alone adds to it, and only with what it counts the tenant's version up for
--   audit          naru.record_audit and naru.record_audits alone add to it; they lock the tenant, or refuse
--   manifest_sets  the trigger that refuses a dropped key locks the key that the set is sealed under, and naru.tenant_keys has a
--                  key to naru.tenants of its own; naru.destroy_tenant locks the tenant's keys before it deletes anything
--
-- In the order in which most writers come to them, so that hardly anybody waits in a circle with this; it is tried again then.
LOCK TABLE naru.audit, naru.manifest_sets, naru.tenants, naru.history IN ACCESS EXCLUSIVE MODE;
ALTER TABLE naru.audit DROP CONSTRAINT audit_tenant_id_fkey;
ALTER TABLE naru.manifest_sets DROP CONSTRAINT manifest_sets_tenant_id_fkey;
ALTER TABLE naru.history DROP CONSTRAINT history_tenant_id_fkey;

GRANT CREATE ON SCHEMA naru TO naru_platform;
SET LOCAL ROLE naru_platform;

-- Adds an entry; its id. As in 0010, but that it locks the tenant itself.
CREATE OR REPLACE FUNCTION naru.record_audit(
    tenant uuid, of_entry bigint, by_actor text, by_kind text, what text, on_object text, from_source text,
    with_result text, in_request text, particulars jsonb
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made bigint;
BEGIN
    -- It stays until this has ended.
    PERFORM FROM naru.tenants t WHERE t.id = tenant FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no tenant %', tenant USING ERRCODE = 'NR003';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(hashtext('naru.audit'), hashtext(tenant::text));
    INSERT INTO naru.audit (tenant_id, about, actor, actor_kind, action, object, source, result, request_id, details)
        VALUES (tenant, of_entry, by_actor, by_kind, what, on_object, from_source, with_result, in_request, particulars)
        RETURNING id INTO made;
    RETURN made;
END
$$;

-- Adds entries, in their order; their ids. As in 0023, but that it locks each tenant itself, once.
CREATE OR REPLACE FUNCTION naru.record_audits(entries jsonb) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenants uuid[] := ARRAY(
        SELECT DISTINCT (e ->> 'tenant')::uuid FROM jsonb_array_elements(entries) e ORDER BY 1);
    locked bigint;
BEGIN
    -- They stay until this has ended.
    PERFORM FROM naru.tenants t WHERE t.id = ANY (tenants) ORDER BY t.id FOR KEY SHARE;
    GET DIAGNOSTICS locked = ROW_COUNT;
    IF locked <> cardinality(tenants) THEN
        RAISE EXCEPTION 'a tenant is not there' USING ERRCODE = 'NR003';
    END IF;
    -- Before any id is taken: whoever seals waits for those that are still to come.
    PERFORM pg_advisory_xact_lock_shared(hashtext('naru.audit'), hashtext(t.tenant::text))
        FROM unnest(tenants) AS t (tenant);
    RETURN QUERY
        INSERT INTO naru.audit (tenant_id, about, actor, actor_kind, action, object, source, result, request_id, details)
        SELECT x.tenant, x.about, x.actor, x.actor_kind, x.action, x.object, x.source, x.result, x.request_id, x.details
        FROM ROWS FROM (jsonb_to_recordset(entries) AS (
            tenant uuid, about bigint, actor text, actor_kind text, action text, object text, source text, result text,
            request_id text, details jsonb
        )) WITH ORDINALITY AS x (
            tenant, about, actor, actor_kind, action, object, source, result, request_id, details, ord)
        ORDER BY x.ord
        RETURNING id;
END
$$;

-- Deletes every row of a tenant that is being deleted, leaving one tombstone: all of it or nothing. Tables that others
-- point at come after those. As in 0006, but that it locks the tenant's keys.
CREATE OR REPLACE FUNCTION naru.destroy_tenant(tenant uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    left_over text[];
    relation text;
    later text[];
    called text;
BEGIN
    SELECT t.name INTO called FROM naru.tenants t WHERE t.id = tenant AND t.state = 'deleting' AND t.name <> 'naru'
        FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- Who keeps a manifest set holds the key that it is sealed under, and nothing else of the tenant. Whoever does is waited for
    -- before any set is deleted; who comes later waits, and finds no key.
    PERFORM FROM naru.tenant_keys k WHERE k.tenant_id = tenant FOR UPDATE;
    left_over := ARRAY(SELECT t.relation FROM naru.tenant_tables() t WHERE t.relation <> 'tenants');
    WHILE cardinality(left_over) > 0 LOOP
        later := '{}';
        FOREACH relation IN ARRAY left_over LOOP
            BEGIN
                EXECUTE format('DELETE FROM naru.%I WHERE tenant_id = $1', relation) USING tenant;
            EXCEPTION WHEN foreign_key_violation THEN
                later := later || relation;
            END;
        END LOOP;
        IF cardinality(later) = cardinality(left_over) THEN
            RAISE EXCEPTION 'rows of % point at each other', later;
        END IF;
        left_over := later;
    END LOOP;
    DELETE FROM naru.tenants t WHERE t.id = tenant;
    INSERT INTO naru.tombstones (tenant_id, name) VALUES (tenant, called);
    PERFORM pg_notify('naru', tenant || ' tenant');
    RETURN true;
END
$$;

RESET ROLE;
REVOKE CREATE ON SCHEMA naru FROM naru_platform;
