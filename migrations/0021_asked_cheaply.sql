-- What every operation that is asked for and every result has the database compute, in functions whose plans a connection keeps.
-- One in the language SQL that is called by another is planned anew in each statement: that took longer than what it did.

GRANT CREATE ON SCHEMA naru TO naru_platform;
SET LOCAL ROLE naru_platform;

-- How much the tenant of this transaction may have of something. As in 0006, but it looks up the one quota instead of putting
-- all of them together: the tenant's own goes before the installation's, also where it says that there is no limit.
CREATE OR REPLACE FUNCTION naru.quota(wanted text) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT CASE
            WHEN t.name = 'naru' THEN 0
            WHEN t.quotas ? wanted THEN coalesce((t.quotas ->> wanted)::bigint, 0)
            ELSE coalesce((SELECT d.allowed FROM naru.quota_defaults d WHERE d.name = wanted), 0) END
        FROM naru.tenants t WHERE t.id = naru.current_tenant()
    );
END
$$;

-- An application's metadata with these finalizers and without those. As in 0015, but it says at once what most results ask for,
-- which is nothing.
CREATE OR REPLACE FUNCTION naru.with_finalizers(metadata jsonb, wanted text[], unwanted text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(cardinality(wanted), 0) + coalesce(cardinality(unwanted), 0) = 0 THEN
        RETURN metadata;
    END IF;
    RETURN (
        SELECT CASE WHEN kept.finalizers IS NULL THEN metadata - 'finalizers'
                    ELSE jsonb_set(metadata, '{finalizers}', kept.finalizers) END
        FROM (
            SELECT jsonb_agg(f.name ORDER BY f.is_new, f.place) AS finalizers
            FROM (
                SELECT there.name, false AS is_new, there.place
                FROM jsonb_array_elements_text(
                    CASE WHEN jsonb_typeof(metadata -> 'finalizers') = 'array' THEN metadata -> 'finalizers' ELSE '[]' END
                ) WITH ORDINALITY AS there (name, place)
                WHERE there.name <> ALL (coalesce(unwanted, '{}'))
                UNION ALL
                SELECT more.name, true, more.place
                FROM unnest(wanted) WITH ORDINALITY AS more (name, place)
                WHERE NOT metadata ? 'deletionTimestamp'
                  AND NOT coalesce(metadata -> 'finalizers' ? more.name, false)
            ) f
        ) kept
    );
END
$$;

RESET ROLE;
REVOKE CREATE ON SCHEMA naru FROM naru_platform;
