-- A comparison that was under way while somebody asked for a sync, and at once wished it to stop, wrote the record of the operation
-- before over that wish. The function of six arguments calls this one, and programs of before call it as they did.

GRANT CREATE ON SCHEMA naru TO naru_platform;
SET LOCAL ROLE naru_platform;

-- Writes a batch of results, or nothing at all when the lease has passed on. As in 0019, but for what is on record of an operation that
-- whoever looked did not know of.
--
-- One call is one transaction that needs no further word from its caller: a process that dies or stops after sending it
-- leaves no lock behind. Each write is judged on its own row:
--   gone        no such application any more (or another of that name)
--   superseded  somebody wrote meanwhile what this result did not know, or it is another's work now; look again
--   unchanged   the row says so already, nothing was written
--   written, removed
--
-- Who writes what is asked for (`operation`) and what is on record of it (`status.operation`), and over what. The api changes a row as
-- it is, under the lock of its tenant, so that it never goes back behind a result; a result says what was so when its look began.
--   sync, rollback           where nothing is asked for; they forget the record of the operation before
--   terminate                makes the record of what is asked for one that is to stop, or begins one that is
--   delete, edits            neither: what is asked for stays, and its record
--   a comparison             neither where something is asked for by now, whatever else it says is written. Nothing was when it
--                            looked, so that it bears the record of an operation before
--   what cannot be compared  the same, while it does not end what is asked for
--   the word of progress     the record of the operation that it is of, where that is asked for; a wish to stop stays
--   what begins by itself    both, where nothing is asked for or just that; where another is, the result is superseded
--   an end                   takes what it has ended, and writes its record, over a wish to stop as well: it was over before. Where
--                            another is asked for it is superseded
--   a deletion               as a comparison; the row goes with what is asked for
--   whoever lost the lease   nothing, nor whoever the application is not the work of
CREATE OR REPLACE FUNCTION naru.publish(lease_item text, lease_fence bigint, writes jsonb)
RETURNS TABLE (ord bigint, outcome text, version bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- By keys alone, entry by entry: a plan that gathers a row's entries first reads all its versions that are not cleaned up yet.
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM FROM naru.leases l WHERE l.item = lease_item AND l.fence = lease_fence FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the lease % has passed on from fence %', lease_item, lease_fence USING ERRCODE = 'NR001';
    END IF;
    -- Counters first and in one order, as every writer does.
    PERFORM FROM naru.tenants t
        WHERE t.id IN (SELECT (w ->> 'tenant')::uuid FROM jsonb_array_elements(writes) w)
        ORDER BY t.id FOR NO KEY UPDATE;

    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT * FROM ROWS FROM (jsonb_to_recordset(writes) AS (
            tenant uuid, name text, uid text, status jsonb, observed bigint, generation bigint,
            clear_operation boolean, set_operation jsonb, clear_refresh text, history jsonb, remove boolean,
            add_finalizers text[], remove_finalizers text[]
        )) WITH ORDINALITY AS x (
            tenant, name, uid, status, observed, generation,
            clear_operation, set_operation, clear_refresh, history, remove,
            add_finalizers, remove_finalizers, ord)
    ), met AS MATERIALIZED (
        SELECT w.ord, w.tenant, w.name, w.uid, w.history, w.remove, w.generation, w.set_operation,
               a.uid AS found, a.generation AS current_generation, a.resource_version AS current_version,
               a.metadata, a.operation, a.status, a.work_item,
               CASE WHEN w.clear_operation THEN NULL
                    WHEN w.set_operation IS NOT NULL THEN w.set_operation
                    ELSE a.operation END AS new_operation,
               -- A refresh asked for after the controller looked stays asked for.
               naru.with_finalizers(
                   CASE WHEN w.clear_refresh = a.metadata #>> '{annotations,argocd.argoproj.io/refresh}'
                             AND a.refresh_version <= w.observed
                        THEN a.metadata #- '{annotations,argocd.argoproj.io/refresh}'
                        ELSE a.metadata END,
                   w.add_finalizers, w.remove_finalizers) AS new_metadata,
               CASE
                    -- Nobody who looked knew of what is asked for: its record stays, a wish to stop it with it.
                    WHEN a.operation IS NOT NULL AND w.clear_operation IS NOT TRUE
                         AND NOT coalesce(w.status #>> '{operation,phase}' IN ('Running', 'Terminating')
                                          AND w.status #> '{operation,operation}' = a.operation, false)
                    THEN w.status || jsonb_build_object('operation', a.status -> 'operation')
                    -- A wish to stop the operation that is asked for survives a report of its progress, also one that says
                    -- when it began, which whoever wished so could not know yet.
                    WHEN a.status #>> '{operation,phase}' = 'Terminating'
                         AND w.status #>> '{operation,phase}' = 'Running'
                         AND (a.status #> '{operation,startedAt}' = w.status #> '{operation,startedAt}'
                              OR a.status #> '{operation,operation}' = w.status #> '{operation,operation}')
                    THEN jsonb_set(w.status, '{operation,phase}', '"Terminating"')
                    ELSE w.status END AS new_status
        FROM asked w
        -- Row by row, by the key: what the planner believes of the table does not matter.
        LEFT JOIN LATERAL (
            SELECT * FROM naru.applications l WHERE l.tenant_id = w.tenant AND l.name = w.name LIMIT 1
        ) a ON a.uid = w.uid
    ), judged AS MATERIALIZED (
        SELECT m.*,
               CASE WHEN m.found IS NULL THEN 'gone'
                    WHEN m.work_item <> lease_item THEN 'superseded'
                    WHEN m.generation <> m.current_generation THEN 'superseded'
                    WHEN m.remove AND NOT m.metadata ? 'deletionTimestamp' THEN 'superseded'
                    WHEN m.set_operation <> m.operation THEN 'superseded'
                    WHEN m.remove THEN 'removed'
                    WHEN m.history IS NULL AND m.new_status = m.status AND m.new_metadata = m.metadata
                         AND m.new_operation IS NOT DISTINCT FROM m.operation THEN 'unchanged'
                    ELSE 'written' END AS outcome
        FROM met m
    ), numbered AS (
        SELECT j.*, row_number() OVER (PARTITION BY j.tenant ORDER BY j.ord) AS step
        FROM judged j WHERE j.outcome IN ('written', 'removed')
    ), bumped AS (
        UPDATE naru.tenants t SET resource_version = t.resource_version + n.steps
        FROM (SELECT tenant, count(*) AS steps FROM numbered GROUP BY tenant) n
        WHERE t.id = n.tenant
        RETURNING t.id, t.resource_version - n.steps AS base
    ), placed AS MATERIALIZED (
        SELECT n.*, b.base + n.step AS version FROM numbered n JOIN bumped b ON b.id = n.tenant
    ), updated AS (
        UPDATE naru.applications a
        SET status = p.new_status, operation = p.new_operation, metadata = p.new_metadata, resource_version = p.version,
            work_item = lease_item
        FROM placed p
        -- The counter is locked: it is the row that was met, and its uid the right one.
        WHERE a.tenant_id = p.tenant AND a.name = p.name AND p.outcome = 'written'
    ), deleted AS (
        DELETE FROM naru.applications a USING placed p
        WHERE a.tenant_id = p.tenant AND a.name = p.name AND p.outcome = 'removed'
        RETURNING a.tenant_id, a.uid, a.name, a.generation, p.version, a.metadata, a.spec, p.new_status, a.created_at
    ), remembered AS (
        INSERT INTO naru.application_deletions
            (tenant_id, uid, name, generation, resource_version, metadata, spec, status, created_at)
        SELECT * FROM deleted
    ), forgotten AS (
        DELETE FROM naru.application_deletions d USING deleted g
        WHERE d.tenant_id = g.tenant_id AND d.deleted_at < clock_timestamp() - interval '7 days'
    ), recorded AS (
        -- A batch that is sent again after an answer was lost records nothing twice.
        INSERT INTO naru.history (tenant_id, app_uid, id, app_name, entry)
        SELECT p.tenant, p.uid, (p.history ->> 'id')::bigint, p.name, p.history
        FROM placed p WHERE p.history IS NOT NULL AND p.outcome = 'written'
        ON CONFLICT (tenant_id, app_uid, id) DO NOTHING
    )
    -- pg_notify returns void, whose text is empty: the call rides on the outcome, so that it runs once per changed row.
    SELECT j.ord,
           CASE WHEN p.ord IS NULL THEN j.outcome
                ELSE j.outcome || pg_notify('naru', j.tenant || ' status ' || j.name)::text END,
           coalesce(p.version, j.current_version)
    FROM judged j LEFT JOIN placed p ON p.ord = j.ord
    ORDER BY j.ord;
END
$$;

RESET ROLE;
REVOKE CREATE ON SCHEMA naru FROM naru_platform;
