-- A small manifest set is kept with the result that names it: a transaction of its own for each took longer than what it kept, and
-- is one that nobody else waits for.

GRANT CREATE ON SCHEMA naru TO naru_platform;
SET LOCAL ROLE naru_platform;

-- Writes a batch of results, as the function of three arguments does, which stays for programs that know no other, and keeps
-- manifest sets with them, all of it or nothing. Each is of one of the writes, by its place among them (from 1). It is kept whatever
-- becomes of that write, since it may be deployed by now, but for an application that is gone. One that is there already stays as it
-- is: a hash names one content.
CREATE FUNCTION naru.publish(
    lease_item text, lease_fence bigint, writes jsonb, set_of bigint[], set_hashes text[], sets_sealed bytea[]
) RETURNS TABLE (ord bigint, outcome text, version bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH told AS MATERIALIZED (
        SELECT p.ord, p.outcome, p.version FROM naru.publish(lease_item, lease_fence, writes) p
    ), kept AS (
        INSERT INTO naru.manifest_sets (tenant_id, hash, sealed)
        SELECT (writes -> (s.place - 1)::integer ->> 'tenant')::uuid, s.hash, s.sealed
        -- How many they are is not for the planner to see: it would plan anew for each few.
        FROM unnest((SELECT set_of), (SELECT set_hashes), (SELECT sets_sealed)) AS s (place, hash, sealed)
        JOIN told t ON t.ord = s.place
        WHERE t.outcome NOT IN ('gone', 'removed')
        -- In the order of whoever keeps some by themselves, so that neither waits for the other in a circle.
        ORDER BY 1, s.hash COLLATE "C"
        ON CONFLICT DO NOTHING
    )
    SELECT t.ord, t.outcome, t.version FROM told t ORDER BY t.ord;
END
$$;
GRANT EXECUTE ON FUNCTION naru.publish(text, bigint, jsonb, bigint[], text[], bytea[]) TO naru_controller;

RESET ROLE;
REVOKE CREATE ON SCHEMA naru FROM naru_platform;
