-- Entries of the record that are added at the same time are one statement: one of its own for each took longer to begin and end
-- than to carry out.

GRANT CREATE ON SCHEMA naru TO naru_platform;
SET LOCAL ROLE naru_platform;

-- Adds entries, in their order; their ids. As naru.record_audit, which stays for programs that know no other.
CREATE FUNCTION naru.record_audits(entries jsonb) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Before any id is taken: whoever seals waits for those that are still to come.
    PERFORM pg_advisory_xact_lock_shared(hashtext('naru.audit'), hashtext(t.tenant::text))
        FROM (SELECT DISTINCT (e ->> 'tenant')::uuid AS tenant FROM jsonb_array_elements(entries) e ORDER BY 1) t;
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
GRANT EXECUTE ON FUNCTION naru.record_audits(jsonb) TO naru_api;

RESET ROLE;
REVOKE CREATE ON SCHEMA naru FROM naru_platform;
