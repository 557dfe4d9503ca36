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
