-- An application that is being deleted runs no operation: its deletion takes no notice of one that was asked for before, and nobody
-- can end that. It takes no turn of the others.
CREATE OR REPLACE FUNCTION naru.within_quota() RETURNS trigger
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
        SELECT count(*) INTO used FROM naru.applications
            WHERE operation IS NOT NULL AND NOT metadata ? 'deletionTimestamp';
    ELSIF TG_ARGV[0] = 'repositories' THEN
        SELECT (SELECT count(*) FROM naru.repositories) + (SELECT count(*) FROM naru.write_repositories) INTO used;
    ELSE
        EXECUTE format('SELECT count(*) FROM naru.%I', TG_TABLE_NAME) INTO used;
    END IF;
    IF used > allowed THEN
        RAISE EXCEPTION '% % %', TG_ARGV[0], used - 1, allowed USING ERRCODE = 'NR005';
    END IF;
    RETURN NULL;
END
$$;
