-- Work across tenants: one function per purpose, run as naru_platform, returning only what its purpose needs.

GRANT CREATE ON SCHEMA naru TO naru_platform;
SET LOCAL ROLE naru_platform;
-- A function is for those it is granted to, never for everybody.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE TYPE naru.tenant_record AS (id uuid, name text, settings jsonb, hosts text[], namespaces text[]);

-- === finding a tenant

CREATE FUNCTION naru.tenants() RETURNS SETOF naru.tenant_record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.id, t.name, t.settings,
           ARRAY(SELECT h.host FROM naru.tenant_hosts h WHERE h.tenant_id = t.id ORDER BY h.host),
           ARRAY(SELECT n.namespace FROM naru.namespaces n WHERE n.tenant_id = t.id ORDER BY n.namespace)
    FROM naru.tenants t ORDER BY t.name
$$;
GRANT EXECUTE ON FUNCTION naru.tenants() TO naru_api, naru_controller;

CREATE FUNCTION naru.tenant_by_id(wanted uuid) RETURNS SETOF naru.tenant_record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.id, t.name, t.settings,
           ARRAY(SELECT h.host FROM naru.tenant_hosts h WHERE h.tenant_id = t.id ORDER BY h.host),
           ARRAY(SELECT n.namespace FROM naru.namespaces n WHERE n.tenant_id = t.id ORDER BY n.namespace)
    FROM naru.tenants t WHERE t.id = wanted
$$;
GRANT EXECUTE ON FUNCTION naru.tenant_by_id(uuid) TO naru_api, naru_controller;

CREATE FUNCTION naru.tenant_by_name(wanted text) RETURNS SETOF naru.tenant_record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.* FROM naru.tenants t, naru.tenant_by_id(t.id) r WHERE t.name = wanted
$$;
GRANT EXECUTE ON FUNCTION naru.tenant_by_name(text) TO naru_api, naru_controller;

CREATE FUNCTION naru.tenant_by_host(wanted text) RETURNS SETOF naru.tenant_record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.* FROM naru.tenant_hosts h, naru.tenant_by_id(h.tenant_id) r WHERE h.host = wanted
$$;
GRANT EXECUTE ON FUNCTION naru.tenant_by_host(text) TO naru_api;

CREATE FUNCTION naru.tenant_by_key_id(wanted text) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT k.tenant_id FROM naru.signing_key_ids k WHERE k.kid = wanted
$$;
GRANT EXECUTE ON FUNCTION naru.tenant_by_key_id(text) TO naru_api;

-- === making a tenant

CREATE FUNCTION naru.create_tenant(
    tenant uuid, tenant_name text, tenant_settings jsonb, hosts text[], mapped_namespaces text[],
    key_wrapped bytea, key_wrapped_by text,
    signing_kid text, signing_sealed bytea,
    admin_hash text, admin_is_operator boolean,
    project_uid text, project_spec jsonb,
    secret_kinds text[], secret_names text[], secrets_sealed bytea[]
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO naru.tenants (id, name, settings, resource_version) VALUES (tenant, tenant_name, tenant_settings, 1);
    INSERT INTO naru.tenant_hosts (host, tenant_id) SELECT unnest(hosts), tenant;
    INSERT INTO naru.namespaces (namespace, tenant_id) SELECT unnest(mapped_namespaces), tenant;
    INSERT INTO naru.tenant_keys (tenant_id, wrapped, wrapped_by) VALUES (tenant, key_wrapped, key_wrapped_by);
    INSERT INTO naru.signing_key_ids (kid, tenant_id) VALUES (signing_kid, tenant);
    INSERT INTO naru.signing_keys (tenant_id, kid, sealed) VALUES (tenant, signing_kid, signing_sealed);
    INSERT INTO naru.accounts (tenant_id, name, password_hash) VALUES (tenant, 'admin', admin_hash);
    IF admin_is_operator THEN
        INSERT INTO naru.operators (tenant_id, account) VALUES (tenant, 'admin');
    END IF;
    INSERT INTO naru.projects (tenant_id, name, uid, metadata, spec, resource_version)
        VALUES (tenant, 'default', project_uid,
                jsonb_build_object('name', 'default', 'namespace', 'argocd', 'uid', project_uid), project_spec, 1);
    INSERT INTO naru.secrets (tenant_id, kind, name, sealed)
        SELECT tenant, s.kind, s.name, s.sealed
        FROM unnest(secret_kinds, secret_names, secrets_sealed) AS s (kind, name, sealed);
    PERFORM pg_notify('naru', tenant || ' tenant');
END
$$;
GRANT EXECUTE ON FUNCTION naru.create_tenant(uuid, text, jsonb, text[], text[], bytea, text, text, bytea, text, boolean,
    text, jsonb, text[], text[], bytea[]) TO naru_api;

-- Makes the tenant's hosts exactly these.
CREATE FUNCTION naru.set_tenant_hosts(tenant uuid, hosts text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM naru.tenant_hosts h WHERE h.tenant_id = tenant AND h.host <> ALL (hosts);
    INSERT INTO naru.tenant_hosts (host, tenant_id)
        SELECT wanted, tenant FROM unnest(hosts) wanted
        WHERE NOT EXISTS (SELECT FROM naru.tenant_hosts h WHERE h.host = wanted AND h.tenant_id = tenant);
    IF FOUND THEN
        PERFORM pg_notify('naru', tenant || ' tenant');
    END IF;
END
$$;
GRANT EXECUTE ON FUNCTION naru.set_tenant_hosts(uuid, text[]) TO naru_api;

-- === the namespace map

CREATE FUNCTION naru.namespace_map() RETURNS TABLE (namespace text, tenant_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT n.namespace, n.tenant_id FROM naru.namespaces n ORDER BY n.namespace
$$;
GRANT EXECUTE ON FUNCTION naru.namespace_map() TO naru_api, naru_controller;

-- Maps a namespace to a tenant; false when it is another's.
CREATE FUNCTION naru.claim_namespace(tenant uuid, wanted text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO naru.namespaces (namespace, tenant_id) VALUES (wanted, tenant) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM pg_notify('naru', tenant || ' tenant');
    END IF;
    RETURN EXISTS (SELECT FROM naru.namespaces n WHERE n.namespace = wanted AND n.tenant_id = tenant);
END
$$;
GRANT EXECUTE ON FUNCTION naru.claim_namespace(uuid, text) TO naru_api, naru_controller;

-- === controllers and leases

CREATE FUNCTION naru.heartbeat(controller text, at_address text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO naru.controllers (id, address) VALUES (controller, at_address)
        ON CONFLICT (id) DO UPDATE SET address = excluded.address, heartbeat_at = clock_timestamp();
    -- Ids are new at every start; those of processes that died without a word go after an hour.
    DELETE FROM naru.controllers c WHERE c.heartbeat_at < clock_timestamp() - interval '1 hour';
END
$$;
GRANT EXECUTE ON FUNCTION naru.heartbeat(text, text) TO naru_controller;

CREATE FUNCTION naru.retire_controller(controller text) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM naru.controllers c WHERE c.id = controller
$$;
GRANT EXECUTE ON FUNCTION naru.retire_controller(text) TO naru_controller;

CREATE FUNCTION naru.live_controllers(heard_within interval) RETURNS TABLE (id text, address text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.id, c.address FROM naru.controllers c
    WHERE c.heartbeat_at > clock_timestamp() - heard_within ORDER BY c.id
$$;
GRANT EXECUTE ON FUNCTION naru.live_controllers(interval) TO naru_api, naru_controller;

-- Takes or keeps a lease; the fence, or null while somebody else has it. A successor waits the old expiry plus the
-- margin, unless the item was given up in good order.
CREATE FUNCTION naru.acquire_lease(wanted text, by_holder text, ttl interval, margin interval) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO naru.leases AS l (item, holder, fence, expires_at)
        VALUES (wanted, by_holder, 1, clock_timestamp() + ttl)
    ON CONFLICT (item) DO UPDATE SET
        holder = excluded.holder,
        fence = l.fence + CASE WHEN l.holder IS NOT DISTINCT FROM excluded.holder THEN 0 ELSE 1 END,
        expires_at = clock_timestamp() + ttl
    WHERE l.holder IS NULL OR l.holder = excluded.holder OR l.expires_at + margin < clock_timestamp()
    RETURNING l.fence
$$;
GRANT EXECUTE ON FUNCTION naru.acquire_lease(text, text, interval, interval) TO naru_controller;

-- Keeps a lease that is still one's own; false when it is not.
CREATE FUNCTION naru.renew_lease(held text, by_holder text, with_fence bigint, ttl interval) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE naru.leases l SET expires_at = clock_timestamp() + ttl
        WHERE l.item = held AND l.holder = by_holder AND l.fence = with_fence;
    RETURN FOUND;
END
$$;
GRANT EXECUTE ON FUNCTION naru.renew_lease(text, text, bigint, interval) TO naru_controller;

CREATE FUNCTION naru.release_lease(held text, by_holder text, with_fence bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE naru.leases l SET holder = NULL, expires_at = clock_timestamp()
        WHERE l.item = held AND l.holder = by_holder AND l.fence = with_fence;
    RETURN FOUND;
END
$$;
GRANT EXECUTE ON FUNCTION naru.release_lease(text, text, bigint) TO naru_controller;

CREATE FUNCTION naru.lease_owner(wanted text) RETURNS TABLE (id text, address text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.id, c.address FROM naru.leases l JOIN naru.controllers c ON c.id = l.holder
    WHERE l.item = wanted AND l.expires_at > clock_timestamp()
$$;
GRANT EXECUTE ON FUNCTION naru.lease_owner(text) TO naru_api, naru_controller;

-- === the controller's work

CREATE FUNCTION naru.all_apps() RETURNS TABLE (tenant_id uuid, name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.tenant_id, a.name FROM naru.applications a
$$;
GRANT EXECUTE ON FUNCTION naru.all_apps() TO naru_controller;

-- The applications of a repository, of one tenant or (null) of all.
CREATE FUNCTION naru.apps_of_repo(normalized text, tenant uuid) RETURNS TABLE (tenant_id uuid, name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.tenant_id, a.name FROM naru.applications a
    WHERE a.repo_urls @> ARRAY[normalized] AND (tenant IS NULL OR a.tenant_id = tenant)
$$;
GRANT EXECUTE ON FUNCTION naru.apps_of_repo(text, uuid) TO naru_controller;

-- Writes a batch of results, or nothing at all when the lease has passed on.
--
-- One call is one transaction that needs no further word from its caller: a process that dies or stops after sending it
-- leaves no lock behind. Each write is judged on its own row:
--   gone        no such application any more (or another of that name)
--   superseded  somebody wrote meanwhile what this result did not know; look again
--   unchanged   the row says so already, nothing was written
--   written, removed
CREATE FUNCTION naru.publish(lease_item text, lease_fence bigint, writes jsonb)
RETURNS TABLE (ord bigint, outcome text, version bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
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
            clear_operation boolean, set_operation jsonb, clear_refresh text, history jsonb, remove boolean
        )) WITH ORDINALITY AS x (
            tenant, name, uid, status, observed, generation,
            clear_operation, set_operation, clear_refresh, history, remove, ord)
    ), met AS MATERIALIZED (
        SELECT w.ord, w.tenant, w.name, w.uid, w.history, w.remove, w.generation, w.set_operation,
               a.uid AS found, a.generation AS current_generation, a.resource_version AS current_version,
               a.metadata, a.operation, a.status,
               CASE WHEN w.clear_operation THEN NULL
                    WHEN w.set_operation IS NOT NULL THEN w.set_operation
                    ELSE a.operation END AS new_operation,
               -- A refresh asked for after the controller looked stays asked for.
               CASE WHEN w.clear_refresh = a.metadata #>> '{annotations,argocd.argoproj.io/refresh}'
                         AND a.refresh_version <= w.observed
                    THEN a.metadata #- '{annotations,argocd.argoproj.io/refresh}'
                    ELSE a.metadata END AS new_metadata,
               -- A wish to stop the running operation survives a report of its progress.
               CASE WHEN a.status #>> '{operation,phase}' = 'Terminating'
                         AND w.status #>> '{operation,phase}' = 'Running'
                         AND a.status #> '{operation,startedAt}' = w.status #> '{operation,startedAt}'
                    THEN jsonb_set(w.status, '{operation,phase}', '"Terminating"')
                    ELSE w.status END AS new_status
        FROM asked w
        LEFT JOIN naru.applications a ON a.tenant_id = w.tenant AND a.name = w.name AND a.uid = w.uid
    ), judged AS MATERIALIZED (
        SELECT m.*,
               CASE WHEN m.found IS NULL THEN 'gone'
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
        SET status = p.new_status, operation = p.new_operation, metadata = p.new_metadata, resource_version = p.version
        FROM placed p
        WHERE a.tenant_id = p.tenant AND a.name = p.name AND a.uid = p.uid AND p.outcome = 'written'
    ), deleted AS (
        DELETE FROM naru.applications a USING placed p
        WHERE a.tenant_id = p.tenant AND a.name = p.name AND a.uid = p.uid AND p.outcome = 'removed'
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
GRANT EXECUTE ON FUNCTION naru.publish(text, bigint, jsonb) TO naru_controller;

RESET ROLE;
REVOKE CREATE ON SCHEMA naru FROM naru_platform;
