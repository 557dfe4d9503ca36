-- Whoever keeps something sealed had the version of its key read by a function in the language SQL, which is planned anew in each
-- transaction and begun and ended for each row. As in 0007, but that it is read in place, as naru.seal_version reads it.

GRANT CREATE ON SCHEMA naru TO naru_platform;
SET LOCAL ROLE naru_platform;

CREATE OR REPLACE FUNCTION naru.refuse_dropped_key() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    under integer := CASE
        WHEN get_byte(NEW.sealed, 0) = 1 THEN 1
        WHEN get_byte(NEW.sealed, 0) = 2 THEN
            (get_byte(NEW.sealed, 1) << 24) + (get_byte(NEW.sealed, 2) << 16) + (get_byte(NEW.sealed, 3) << 8)
            + get_byte(NEW.sealed, 4)
    END;
BEGIN
    PERFORM FROM naru.tenant_keys k WHERE k.tenant_id = NEW.tenant_id AND k.version = under FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the tenant has no key of version %', under USING ERRCODE = 'NR004';
    END IF;
    RETURN NEW;
END
$$;

RESET ROLE;
REVOKE CREATE ON SCHEMA naru FROM naru_platform;
