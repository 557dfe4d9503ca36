-- Manifest sets that come out otherwise each time are kept for their application (`held/<uid>/<what they were made of>`): the
-- newest few, for as long as the application is there. Every other set is history's and is deleted by nobody.

GRANT DELETE ON naru.manifest_sets TO naru_api, naru_controller;
CREATE POLICY held_alone ON naru.manifest_sets AS RESTRICTIVE FOR DELETE TO naru_api, naru_controller
    USING (hash LIKE 'held/%');

-- Whoever deletes an application deletes what was kept for it.
CREATE FUNCTION naru.forget_held_sets() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM naru.manifest_sets
        WHERE tenant_id = OLD.tenant_id AND starts_with(hash, 'held/' || OLD.uid || '/');
    RETURN NULL;
END
$$;
CREATE TRIGGER forget_held_sets AFTER DELETE ON naru.applications
    FOR EACH ROW EXECUTE FUNCTION naru.forget_held_sets();
