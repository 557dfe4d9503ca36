-- Each cluster is a unit of work with a lease of its own, and the controllers that live divide them.

-- The work item whose holder works on an application: that of the cluster that it goes to, once anything is written of it. One
-- that is sent to another cluster is another's work only when the holder of this one has let it go, or is gone.
--
-- Those that there are were the work of whoever had the shared cluster, as all were: another cluster's holder begins when that
-- one has let them go, or is gone. What is made from now on is nobody's yet.
ALTER TABLE naru.applications ADD COLUMN work_item text DEFAULT 'cluster/shared/0';
ALTER TABLE naru.applications ALTER COLUMN work_item DROP DEFAULT;

GRANT CREATE ON SCHEMA naru TO naru_platform;
SET LOCAL ROLE naru_platform;

-- Takes or keeps a lease; the fence, or null while somebody else has it. A successor waits the old expiry plus the margin,
-- unless the item was given up in good order. As in 0003, but for where fences begin: an item that was forgotten and is taken
-- again goes on above all fences that it ever had, so that nobody who slept meanwhile has one that counts again.
CREATE OR REPLACE FUNCTION naru.acquire_lease(wanted text, by_holder text, ttl interval, margin interval) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO naru.leases AS l (item, holder, fence, expires_at)
        VALUES (wanted, by_holder, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, clock_timestamp() + ttl)
    ON CONFLICT (item) DO UPDATE SET
        holder = excluded.holder,
        fence = l.fence + CASE WHEN l.holder IS NOT DISTINCT FROM excluded.holder THEN 0 ELSE 1 END,
        expires_at = clock_timestamp() + ttl
    WHERE l.holder IS NULL OR l.holder = excluded.holder OR l.expires_at + margin < clock_timestamp()
    RETURNING l.fence
$$;

-- Keeps those of a holder's leases that are still its own, in one statement however many they are.
CREATE FUNCTION naru.renew_leases(by_holder text, held text[], with_fences bigint[], ttl interval)
RETURNS TABLE (item text, fence bigint)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE naru.leases l SET expires_at = clock_timestamp() + ttl
    FROM unnest(held, with_fences) AS h (item, fence)
    WHERE l.item = h.item AND l.fence = h.fence AND l.holder = by_holder
    RETURNING l.item, l.fence
$$;
GRANT EXECUTE ON FUNCTION naru.renew_leases(text, text[], bigint[], interval) TO naru_controller;

-- Says that a controller is alive. As in 0003, and forgets the leases of added clusters that nobody holds any more.
CREATE OR REPLACE FUNCTION naru.heartbeat(controller text, at_address text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO naru.controllers (id, address) VALUES (controller, at_address)
        ON CONFLICT (id) DO UPDATE SET address = excluded.address, heartbeat_at = clock_timestamp();
    -- Ids are new at every start; those of processes that died without a word go after an hour.
    DELETE FROM naru.controllers c WHERE c.heartbeat_at < clock_timestamp() - interval '1 hour';
    DELETE FROM naru.leases l
        WHERE l.item LIKE 'cluster/%' AND l.item <> 'cluster/shared/0'
        AND l.expires_at < clock_timestamp() - interval '1 hour';
END
$$;

-- The units of work, and who holds each: the shared cluster, which is no tenant's, and the clusters that tenants have added. A
-- holder counts until the margin after its lease's end.
CREATE FUNCTION naru.cluster_units(margin interval) RETURNS TABLE (tenant_id uuid, server text, holder text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH units AS (
        SELECT NULL::uuid AS tenant_id, '' AS server, 'cluster/shared/0' AS item
        UNION ALL
        SELECT c.tenant_id, c.server, 'cluster/' || c.tenant_id || '/' || c.server || '/0'
        FROM naru.clusters c
        WHERE c.server <> 'https://kubernetes.default.svc' AND c.name <> 'in-cluster'
    )
    SELECT u.tenant_id, u.server, l.holder
    FROM units u LEFT JOIN naru.leases l ON l.item = u.item AND l.expires_at + margin >= clock_timestamp()
$$;
GRANT EXECUTE ON FUNCTION naru.cluster_units(interval) TO naru_controller;

-- Makes an application the work of a lease's holder; false while it is that of another, who lives and has not let it go.
CREATE FUNCTION naru.claim_application(lease_item text, lease_fence bigint, tenant uuid, app text, margin interval)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me text;
BEGIN
    SELECT l.holder INTO me FROM naru.leases l WHERE l.item = lease_item AND l.fence = lease_fence FOR KEY SHARE;
    IF me IS NULL THEN
        RAISE EXCEPTION 'the lease % has passed on from fence %', lease_item, lease_fence USING ERRCODE = 'NR001';
    END IF;
    -- As every writer does, so that what is written of it is written before or after.
    PERFORM FROM naru.tenants t WHERE t.id = tenant FOR NO KEY UPDATE;
    UPDATE naru.applications a SET work_item = lease_item
    WHERE a.tenant_id = tenant AND a.name = app AND NOT EXISTS (
        SELECT FROM naru.leases l
        WHERE l.item = a.work_item AND l.holder <> me AND l.expires_at + margin >= clock_timestamp());
    RETURN FOUND;
END
$$;
GRANT EXECUTE ON FUNCTION naru.claim_application(text, bigint, uuid, text, interval) TO naru_controller;

-- Lets an application go that was a lease's work, and wakes whoever is to have it; false where it was not.
CREATE FUNCTION naru.release_application(lease_item text, lease_fence bigint, tenant uuid, app text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM naru.leases l WHERE l.item = lease_item AND l.fence = lease_fence FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the lease % has passed on from fence %', lease_item, lease_fence USING ERRCODE = 'NR001';
    END IF;
    PERFORM FROM naru.tenants t WHERE t.id = tenant FOR NO KEY UPDATE;
    UPDATE naru.applications a SET work_item = NULL
        WHERE a.tenant_id = tenant AND a.name = app AND a.work_item = lease_item;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM pg_notify('naru', tenant || ' app ' || app);
    RETURN true;
END
$$;
GRANT EXECUTE ON FUNCTION naru.release_application(text, bigint, uuid, text) TO naru_controller;

-- Writes a batch of results, or nothing at all when the lease has passed on. As in 0015, but for how it finds the rows, for a
-- wish to stop what has not begun, and for whose work the application is: it becomes the lease's with what is written, and what
-- is another's is not written.
--
-- One call is one transaction that needs no further word from its caller: a process that dies or stops after sending it
-- leaves no lock behind. Each write is judged on its own row:
--   gone        no such application any more (or another of that name)
--   superseded  somebody wrote meanwhile what this result did not know, or it is another's work now; look again
--   unchanged   the row says so already, nothing was written
--   written, removed
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
               -- A wish to stop the operation that is asked for survives a report of its progress, also one that says when it
               -- began, which whoever wished so could not know yet.
               CASE WHEN a.status #>> '{operation,phase}' = 'Terminating'
                         AND w.status #>> '{operation,phase}' = 'Running'
                         AND (a.status #> '{operation,startedAt}' = w.status #> '{operation,startedAt}'
                              OR a.operation = w.status #> '{operation,operation}')
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
