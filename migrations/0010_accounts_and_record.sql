-- Who may change an operator's account, and when an entry of the record counts.

-- Who has the operator grant is changed by operators alone: its password, what it may be used for, its tokens. What writes on
-- behalf of one says so in its transaction (naru.by_operator); what does not is refused, so that no road to these rows can
-- forget the rule.
CREATE FUNCTION naru.only_by_operators() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Of a token its account, of an account its own name.
    names text[] := ARRAY[to_jsonb(OLD) ->> TG_ARGV[0], to_jsonb(NEW) ->> TG_ARGV[0]];
    guarded text;
BEGIN
    IF current_setting('naru.by_operator', true) IS DISTINCT FROM 'on' THEN
        SELECT o.account INTO guarded FROM naru.operators o
            WHERE o.tenant_id IN (OLD.tenant_id, NEW.tenant_id) AND o.account = ANY (names) LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION '%', guarded USING ERRCODE = 'NR006';
        END IF;
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
$$;
CREATE TRIGGER only_by_operators BEFORE UPDATE OR DELETE ON naru.accounts
    FOR EACH ROW EXECUTE FUNCTION naru.only_by_operators('name');
CREATE TRIGGER only_by_operators BEFORE INSERT OR UPDATE OR DELETE ON naru.account_tokens
    FOR EACH ROW EXECUTE FUNCTION naru.only_by_operators('account');

GRANT CREATE ON SCHEMA naru TO naru_platform;
SET LOCAL ROLE naru_platform;

-- Adds an entry; its id. As in 0006, but that it is on disk before anybody hears of it: not everything that an entry speaks of
-- is a write to this database that would take it along (a login, a cluster's new token), and what a caller was told must be
-- in the record even if the database falls at that moment.
CREATE OR REPLACE FUNCTION naru.record_audit(
    tenant uuid, of_entry bigint, by_actor text, by_kind text, what text, on_object text, from_source text,
    with_result text, in_request text, particulars jsonb
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made bigint;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('naru.audit'), hashtext(tenant::text));
    INSERT INTO naru.audit (tenant_id, about, actor, actor_kind, action, object, source, result, request_id, details)
        VALUES (tenant, of_entry, by_actor, by_kind, what, on_object, from_source, with_result, in_request, particulars)
        RETURNING id INTO made;
    RETURN made;
END
$$;

RESET ROLE;
REVOKE CREATE ON SCHEMA naru FROM naru_platform;
