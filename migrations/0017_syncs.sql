-- What each sync writes costs less, whatever the planner believes of the tables. What controllers write is in 0019.

-- Each new version of a row is entered here although its repositories stay the same. Put off, the entries are what every
-- question about a repository reads through, and writing them down later all at once costs more than doing it each time.
ALTER INDEX naru.applications_repo_urls_idx SET (fastupdate = off);
SELECT gin_clean_pending_list('naru.applications_repo_urls_idx');

-- Writes applications as they are to be now, each under a version of its own, and says how they stand then. One by one: the
-- planner knows little of a table that is young, and joined with what is to be written it reads all that a tenant has.
CREATE FUNCTION naru.write_applications(documents jsonb) RETURNS SETOF naru.applications
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted record;
    version bigint;
BEGIN
    FOR wanted IN SELECT * FROM jsonb_to_recordset(documents) AS x (
        name text, metadata jsonb, spec jsonb, operation jsonb, status jsonb, repo_urls text[], refresh boolean
    ) LOOP
        version := naru.touch('app ' || wanted.name);
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
REVOKE EXECUTE ON FUNCTION naru.write_applications(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION naru.write_applications(jsonb) TO naru_api;
