-- What the operator does with a tenant after making it, what a tenant may use, and the record of who did what.

-- === a tenant's state and quotas

ALTER TABLE naru.tenants
    -- `suspended`: nothing is done for it and nobody gets in, all it has stays. `deleting`: the same on the way out.
    ADD COLUMN state  text  NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended', 'deleting')),
    -- The operator's overrides, by the quota's name; 0 means no limit.
    ADD COLUMN quotas jsonb NOT NULL DEFAULT '{}';

-- The installation's quotas, as the api's settings have them.
CREATE TABLE naru.quota_defaults (
    name    text PRIMARY KEY,
    allowed bigint NOT NULL
);
CALL naru.protect('naru.quota_defaults', NULL);

-- What remains of a destroyed tenant, with the proof that nothing else does; without one its deletion is not finished.
ALTER TABLE naru.tombstones ADD COLUMN proof jsonb;
CREATE INDEX ON naru.tombstones (name);

-- === the record

-- One call is two entries: what is about to be done, written before it is (`about` is null), and how it ended (`about`
-- is the first one's id). A call whose end is missing was cut off, and may or may not have had its effect.
ALTER TABLE naru.audit
    ADD COLUMN about      bigint,
    ADD COLUMN actor_kind text NOT NULL DEFAULT 'account',
    ADD COLUMN source     text NOT NULL DEFAULT '',
    ADD COLUMN result     text NOT NULL DEFAULT '',
    ADD COLUMN request_id text NOT NULL DEFAULT '';
CREATE INDEX ON naru.audit (tenant_id, about) WHERE about IS NOT NULL;
CREATE INDEX ON naru.audit (tenant_id, at);

-- A seal closes the entries from_id to to_id. `hash` is keyed with what only a holder of the tenant's key has, and covers
-- `digests` (16 bytes for each entry) and the seal before.
CREATE TABLE naru.audit_seals (
    tenant_id uuid NOT NULL REFERENCES naru.tenants (id),
    seq       bigint NOT NULL,
    from_id   bigint NOT NULL,
    to_id     bigint NOT NULL,
    count     bigint NOT NULL,
    digests   bytea NOT NULL,
    hash      bytea NOT NULL,
    previous  bytea NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, seq)
);
CALL naru.protect('naru.audit_seals');
GRANT SELECT ON naru.audit_seals TO naru_api, naru_controller;
GRANT SELECT ON naru.audit TO naru_controller;

-- What seals are keyed with: random, and sealed under the tenant's key, so that it outlives a change of that one.
CREATE TABLE naru.audit_keys (
    tenant_id  uuid PRIMARY KEY REFERENCES naru.tenants (id),
    sealed     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CALL naru.protect('naru.audit_keys');
GRANT SELECT ON naru.audit_keys TO naru_api;
GRANT SELECT, INSERT ON naru.audit_keys TO naru_controller;
-- Entries come only through naru.record_audit, which says when.
REVOKE INSERT ON naru.audit FROM naru_api, naru_controller;
REVOKE UPDATE, DELETE ON naru.audit_seals FROM naru_platform;

-- The three append-only tables lose rows only with their tenant.
GRANT DELETE ON naru.audit, naru.audit_seals, naru.history TO naru_platform;
CREATE FUNCTION naru.only_with_the_tenant() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM gone g LEFT JOIN naru.tenants t ON t.id = g.tenant_id WHERE t.state IS DISTINCT FROM 'deleting') THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'NR004';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER append_only AFTER DELETE ON naru.audit
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION naru.only_with_the_tenant();
CREATE TRIGGER append_only AFTER DELETE ON naru.audit_seals
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION naru.only_with_the_tenant();
CREATE TRIGGER append_only AFTER DELETE ON naru.history
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION naru.only_with_the_tenant();

GRANT CREATE ON SCHEMA naru TO naru_platform;
SET LOCAL ROLE naru_platform;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- === tenants, now with their state and what they may use

-- What a tenant may use: the installation's quotas with its own over them.
CREATE FUNCTION naru.effective_quotas(own jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT jsonb_object_agg(d.name, d.allowed) FROM naru.quota_defaults d), '{}') || own
$$;
GRANT EXECUTE ON FUNCTION naru.effective_quotas(jsonb) TO naru_api, naru_controller;

ALTER TYPE naru.tenant_record ADD ATTRIBUTE state text, ADD ATTRIBUTE created_at timestamptz, ADD ATTRIBUTE quotas jsonb;

CREATE OR REPLACE FUNCTION naru.tenants() RETURNS SETOF naru.tenant_record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.id, t.name, t.settings,
           ARRAY(SELECT h.host FROM naru.tenant_hosts h WHERE h.tenant_id = t.id ORDER BY h.host),
           ARRAY(SELECT n.namespace FROM naru.namespaces n WHERE n.tenant_id = t.id ORDER BY n.namespace),
           t.state, t.created_at, d.quotas || t.quotas
    FROM naru.tenants t, (SELECT naru.effective_quotas('{}') AS quotas) d ORDER BY t.name
$$;

CREATE OR REPLACE FUNCTION naru.tenant_by_id(wanted uuid) RETURNS SETOF naru.tenant_record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.id, t.name, t.settings,
           ARRAY(SELECT h.host FROM naru.tenant_hosts h WHERE h.tenant_id = t.id ORDER BY h.host),
           ARRAY(SELECT n.namespace FROM naru.namespaces n WHERE n.tenant_id = t.id ORDER BY n.namespace),
           t.state, t.created_at, naru.effective_quotas(t.quotas)
    FROM naru.tenants t WHERE t.id = wanted
$$;

-- Which of these tenants are there and active: whose streams may go on.
CREATE FUNCTION naru.active_among(wanted uuid[]) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.id FROM naru.tenants t WHERE t.id = ANY (wanted) AND t.state = 'active'
$$;
GRANT EXECUTE ON FUNCTION naru.active_among(uuid[]) TO naru_api;

-- Suspends, resumes, or begins to delete. There is no way back from `deleting`, and the operator's own tenant stays.
CREATE FUNCTION naru.set_tenant_state(tenant uuid, wanted text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE naru.tenants t SET state = wanted
        WHERE t.id = tenant AND t.name <> 'naru' AND (t.state <> 'deleting' OR wanted = 'deleting');
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM pg_notify('naru', tenant || ' tenant');
    RETURN true;
END
$$;
GRANT EXECUTE ON FUNCTION naru.set_tenant_state(uuid, text) TO naru_api;

-- Makes the tenant's hosts exactly these; one that is only taken away is announced too.
CREATE OR REPLACE FUNCTION naru.set_tenant_hosts(tenant uuid, hosts text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM naru.tenant_hosts h WHERE h.tenant_id = tenant AND h.host <> ALL (hosts);
    INSERT INTO naru.tenant_hosts (host, tenant_id)
        SELECT wanted, tenant FROM unnest(hosts) wanted
        WHERE NOT EXISTS (SELECT FROM naru.tenant_hosts h WHERE h.host = wanted AND h.tenant_id = tenant);
    PERFORM pg_notify('naru', tenant || ' tenant');
END
$$;

-- === quotas

CREATE FUNCTION naru.set_quota_defaults(defaults jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO naru.quota_defaults AS q (name, allowed)
        SELECT d.key, d.value::bigint FROM jsonb_each_text(defaults) d
    ON CONFLICT (name) DO UPDATE SET allowed = excluded.allowed WHERE q.allowed <> excluded.allowed;
END
$$;
GRANT EXECUTE ON FUNCTION naru.set_quota_defaults(jsonb) TO naru_api;

CREATE FUNCTION naru.set_tenant_quotas(tenant uuid, wanted jsonb) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE naru.tenants t SET quotas = wanted WHERE t.id = tenant;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM pg_notify('naru', tenant || ' tenant');
    RETURN true;
END
$$;
GRANT EXECUTE ON FUNCTION naru.set_tenant_quotas(uuid, jsonb) TO naru_api;

-- How much the tenant of this transaction may have of something; 0 means no limit, as everything is for tenant naru.
CREATE FUNCTION naru.quota(wanted text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN t.name = 'naru' THEN 0 ELSE coalesce((naru.effective_quotas(t.quotas) ->> wanted)::bigint, 0) END
    FROM naru.tenants t WHERE t.id = naru.current_tenant()
$$;
GRANT EXECUTE ON FUNCTION naru.quota(text) TO naru_api, naru_controller;

-- === the namespace map

-- Whose a namespace's name could only be: that of a tenant, living or destroyed, or below the longer name of another
-- tenant than the one who asks.
CREATE FUNCTION naru.namespace_is_anothers(tenant uuid, wanted text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM naru.tenants t WHERE t.id <> tenant AND t.name = wanted)
        OR EXISTS (SELECT FROM naru.tombstones d WHERE d.name = wanted
                   AND NOT EXISTS (SELECT FROM naru.tenants t WHERE t.id = tenant AND t.name = wanted))
        OR EXISTS (SELECT FROM naru.tenants t, naru.tenants mine
                   WHERE t.id <> tenant AND mine.id = tenant AND starts_with(wanted, t.name || '-')
                     AND length(t.name) > length(mine.name))
$$;

-- Maps a namespace to a tenant. `claimed`, or why not: `taken`, `reserved` (its name is another tenant's), `quota`.
CREATE FUNCTION naru.map_namespace(tenant uuid, wanted text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    allowed bigint;
BEGIN
    -- One claim after another, so that two cannot both be the last of a quota.
    PERFORM pg_advisory_xact_lock(hashtext('naru.namespaces'));
    IF EXISTS (SELECT FROM naru.namespaces n WHERE n.namespace = wanted AND n.tenant_id = tenant) THEN
        RETURN 'claimed';
    END IF;
    IF EXISTS (SELECT FROM naru.namespaces n WHERE n.namespace = wanted) THEN
        RETURN 'taken';
    END IF;
    IF naru.namespace_is_anothers(tenant, wanted) THEN
        RETURN 'reserved';
    END IF;
    SELECT coalesce((naru.effective_quotas(t.quotas) ->> 'namespaces')::bigint, 0) INTO allowed
        FROM naru.tenants t WHERE t.id = tenant AND t.state = 'active';
    IF NOT FOUND THEN
        RETURN 'taken';
    END IF;
    IF allowed > 0 AND (SELECT count(*) FROM naru.namespaces n WHERE n.tenant_id = tenant) >= allowed THEN
        RETURN 'quota';
    END IF;
    INSERT INTO naru.namespaces (namespace, tenant_id) VALUES (wanted, tenant) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        -- A tenant of that name was made this moment.
        RETURN 'taken';
    END IF;
    PERFORM pg_notify('naru', tenant || ' tenant');
    RETURN 'claimed';
END
$$;
GRANT EXECUTE ON FUNCTION naru.map_namespace(uuid, text) TO naru_api, naru_controller;

CREATE OR REPLACE FUNCTION naru.claim_namespace(tenant uuid, wanted text) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT naru.map_namespace(tenant, wanted) = 'claimed'
$$;

-- Takes a namespace from a tenant. `released`, or why not: `absent`, `home` (it is the tenant's own), `used` (an
-- application goes there, or has something there).
CREATE FUNCTION naru.release_namespace(tenant uuid, wanted text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM naru.tenants t WHERE t.id = tenant FOR NO KEY UPDATE;
    IF NOT EXISTS (SELECT FROM naru.namespaces n WHERE n.namespace = wanted AND n.tenant_id = tenant) THEN
        RETURN 'absent';
    END IF;
    IF EXISTS (SELECT FROM naru.tenants t WHERE t.id = tenant AND t.name = wanted) THEN
        RETURN 'home';
    END IF;
    IF EXISTS (SELECT FROM naru.applications a WHERE a.tenant_id = tenant
               AND (a.spec #>> '{destination,namespace}' = wanted
                    OR a.status @> jsonb_build_object('resources',
                        jsonb_build_array(jsonb_build_object('namespace', wanted))))) THEN
        RETURN 'used';
    END IF;
    DELETE FROM naru.namespaces n WHERE n.namespace = wanted AND n.tenant_id = tenant;
    PERFORM pg_notify('naru', tenant || ' tenant');
    RETURN 'released';
END
$$;
GRANT EXECUTE ON FUNCTION naru.release_namespace(uuid, text) TO naru_api;

-- === the record

-- Adds an entry; its id. Whoever seals holds the tenant's lock alone, so that what is sealed has no gap in which an
-- earlier entry still waits to be committed.
--
-- It does not wait for the disk: the write that it speaks of does, later, and takes this entry with it.
CREATE FUNCTION naru.record_audit(
    tenant uuid, of_entry bigint, by_actor text, by_kind text, what text, on_object text, from_source text,
    with_result text, in_request text, particulars jsonb
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock_shared(hashtext('naru.audit'), hashtext(tenant::text));
    INSERT INTO naru.audit (tenant_id, about, actor, actor_kind, action, object, source, result, request_id, details)
        VALUES (tenant, of_entry, by_actor, by_kind, what, on_object, from_source, with_result, in_request, particulars)
        RETURNING id INTO made;
    RETURN made;
END
$$;
GRANT EXECUTE ON FUNCTION naru.record_audit(uuid, bigint, text, text, text, text, text, text, text, jsonb) TO naru_api;

-- The tenants with entries that no seal closes.
CREATE FUNCTION naru.unsealed_audits() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.id FROM naru.tenants t
    WHERE EXISTS (SELECT FROM naru.audit a WHERE a.tenant_id = t.id AND a.id >
        coalesce((SELECT s.to_id FROM naru.audit_seals s WHERE s.tenant_id = t.id ORDER BY s.seq DESC LIMIT 1), 0))
$$;
GRANT EXECUTE ON FUNCTION naru.unsealed_audits() TO naru_controller;

-- Where a tenant's next seal may end: no entry up to there is still to come. Null when there is nothing to seal.
CREATE FUNCTION naru.audit_horizon(tenant uuid, most bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sealed bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('naru.audit'), hashtext(tenant::text));
    sealed := coalesce((SELECT s.to_id FROM naru.audit_seals s WHERE s.tenant_id = tenant ORDER BY s.seq DESC LIMIT 1), 0);
    RETURN (SELECT max(b.id) FROM (SELECT a.id FROM naru.audit a WHERE a.tenant_id = tenant AND a.id > sealed
                                   ORDER BY a.id LIMIT most) b);
END
$$;
GRANT EXECUTE ON FUNCTION naru.audit_horizon(uuid, bigint) TO naru_controller;

-- Adds a seal, by the holder of the lease, after the one that it follows; false when another was quicker.
CREATE FUNCTION naru.seal_audit(
    lease_item text, lease_fence bigint, tenant uuid, next_seq bigint, first_id bigint, last_id bigint,
    entries bigint, of_digests bytea, with_hash bytea, after_hash bytea
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM naru.leases l WHERE l.item = lease_item AND l.fence = lease_fence FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the lease % has passed on from fence %', lease_item, lease_fence USING ERRCODE = 'NR001';
    END IF;
    INSERT INTO naru.audit_seals (tenant_id, seq, from_id, to_id, count, digests, hash, previous)
        SELECT tenant, next_seq, first_id, last_id, entries, of_digests, with_hash, after_hash
        WHERE next_seq = 1 + coalesce((SELECT max(s.seq) FROM naru.audit_seals s WHERE s.tenant_id = tenant), 0)
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$$;
GRANT EXECUTE ON FUNCTION naru.seal_audit(text, bigint, uuid, bigint, bigint, bigint, bigint, bytea, bytea, bytea)
    TO naru_controller;

-- === the end of a tenant

-- The tables whose rows are tenants', the tenant's own row last.
CREATE FUNCTION naru.tenant_tables() RETURNS TABLE (relation text, tenant_column text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.relname::text, 'tenant_id' FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        AND a.attname = 'tenant_id' AND NOT a.attisdropped
    WHERE c.relnamespace = 'naru'::regnamespace AND c.relkind = 'r' AND c.relname <> 'tombstones'
    UNION ALL SELECT 'tenants', 'id'
$$;
GRANT EXECUTE ON FUNCTION naru.tenant_tables() TO naru_api;

-- How many rows each table has of a tenant.
CREATE FUNCTION naru.tenant_rows(tenant uuid) RETURNS TABLE (relation text, held bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT * FROM naru.tenant_tables() LOOP
        relation := t.relation;
        EXECUTE format('SELECT count(*) FROM naru.%I WHERE %I = $1', t.relation, t.tenant_column) INTO held USING tenant;
        RETURN NEXT;
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION naru.tenant_rows(uuid) TO naru_api;

-- A page of a tenant's rows of one table for its export, as JSON: without anything sealed (every bytea but a seal's own)
-- and without password hashes. Rows come by their place on the page, so that nothing is read twice.
CREATE FUNCTION naru.export_tenant(tenant uuid, wanted text, after tid, most bigint) RETURNS TABLE (place tid, document jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    by_column text := (SELECT t.tenant_column FROM naru.tenant_tables() t WHERE t.relation = wanted);
    hidden text[];
BEGIN
    IF by_column IS NULL THEN
        RETURN;
    END IF;
    SELECT coalesce(array_agg(a.attname::text), '{}') INTO hidden
        FROM pg_attribute a WHERE a.attrelid = format('naru.%I', wanted)::regclass AND a.attnum > 0 AND NOT a.attisdropped
        AND (a.attname = 'password_hash' OR (a.atttypid = 'bytea'::regtype AND wanted <> 'audit_seals'));
    RETURN QUERY EXECUTE format(
        'SELECT r.ctid, to_jsonb(r) - $1 FROM naru.%I r WHERE r.%I = $2 AND r.ctid > $3 ORDER BY r.ctid LIMIT $4',
        wanted, by_column) USING hidden, tenant, after, most;
END
$$;
GRANT EXECUTE ON FUNCTION naru.export_tenant(uuid, text, tid, bigint) TO naru_api;

-- Deletes every row of a tenant that is being deleted, leaving one tombstone: all of it or nothing. Tables that others
-- point at come after those.
CREATE FUNCTION naru.destroy_tenant(tenant uuid) RETURNS boolean
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
GRANT EXECUTE ON FUNCTION naru.destroy_tenant(uuid) TO naru_api;

-- The newest tombstone of a name.
CREATE FUNCTION naru.tombstone(wanted text) RETURNS TABLE (tenant_id uuid, destroyed_at timestamptz, proof jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT d.tenant_id, d.destroyed_at, d.proof FROM naru.tombstones d WHERE d.name = wanted
    ORDER BY d.destroyed_at DESC LIMIT 1
$$;
GRANT EXECUTE ON FUNCTION naru.tombstone(text) TO naru_api;

-- Writes the proof on a tombstone, once.
CREATE FUNCTION naru.prove_destroyed(tenant uuid, with_proof jsonb) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE naru.tombstones d SET proof = with_proof WHERE d.tenant_id = tenant AND d.proof IS NULL
$$;
GRANT EXECUTE ON FUNCTION naru.prove_destroyed(uuid, jsonb) TO naru_api;

RESET ROLE;
REVOKE CREATE ON SCHEMA naru FROM naru_platform;

-- === quotas, where rows are made

-- Refuses a row too many. It runs as whoever writes, in that one's transaction; rows that only change are not counted,
-- hence a tenant above a lowered quota keeps and edits what it has.
CREATE FUNCTION naru.within_quota() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    allowed bigint := naru.quota(TG_ARGV[0]);
    used bigint;
BEGIN
    IF allowed = 0 THEN
        RETURN NULL;
    END IF;
    -- No more operations than applications: where those are limited as much, there is nothing to count.
    IF TG_ARGV[0] = 'operations' AND naru.quota('applications') BETWEEN 1 AND allowed THEN
        RETURN NULL;
    END IF;
    -- One after another, so that two cannot both be the last.
    PERFORM FROM naru.tenants FOR NO KEY UPDATE;
    IF TG_ARGV[0] = 'operations' THEN
        SELECT count(*) INTO used FROM naru.applications WHERE operation IS NOT NULL;
    ELSE
        EXECUTE format('SELECT count(*) FROM naru.%I', TG_TABLE_NAME) INTO used;
    END IF;
    IF used > allowed THEN
        RAISE EXCEPTION '% % %', TG_ARGV[0], used - 1, allowed USING ERRCODE = 'NR005';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER within_quota AFTER INSERT ON naru.applications
    FOR EACH ROW EXECUTE FUNCTION naru.within_quota('applications');
CREATE TRIGGER within_quota AFTER INSERT ON naru.repositories
    FOR EACH ROW EXECUTE FUNCTION naru.within_quota('repositories');
-- What the controller begins by itself it counts itself, and waits.
CREATE TRIGGER operations_within_quota AFTER UPDATE OF operation ON naru.applications
    FOR EACH ROW WHEN (OLD.operation IS NULL AND NEW.operation IS NOT NULL AND current_user = 'naru_api')
    EXECUTE FUNCTION naru.within_quota('operations');
DO $$
BEGIN
    IF to_regclass('naru.clusters') IS NOT NULL THEN
        CREATE TRIGGER within_quota AFTER INSERT ON naru.clusters
            FOR EACH ROW EXECUTE FUNCTION naru.within_quota('clusters');
    END IF;
END
$$;
