-- The roles of an installation. Run once per PostgreSQL cluster, as a role that may create roles, before the first
-- migration; running it again changes nothing that is already right. Passwords are the operator's to set.
--
-- The database itself belongs to naru_owner:  CREATE DATABASE naru OWNER naru_owner;

DO $$
DECLARE
    made text;
BEGIN
    FOREACH made IN ARRAY ARRAY['naru_owner', 'naru_api', 'naru_controller', 'naru_platform'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I', made);
        EXCEPTION
            -- Two may run this at once; the second finds the role there (or its catalogue entry just made).
            WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END LOOP;
END
$$;

-- What only a superuser may take back (SUPERUSER, BYPASSRLS) no new role has; a service looks again when it connects.

-- Migrations only. Without INHERIT its membership of naru_platform gives it nothing until it says SET ROLE, so that
-- the policies for naru_platform do not open the tenants' rows to it.
ALTER ROLE naru_owner LOGIN NOINHERIT NOCREATEDB NOCREATEROLE;
ALTER ROLE naru_api LOGIN NOINHERIT NOCREATEDB NOCREATEROLE;
ALTER ROLE naru_controller LOGIN NOINHERIT NOCREATEDB NOCREATEROLE;

-- Owns the SECURITY DEFINER functions; nobody can log in as it.
ALTER ROLE naru_platform NOLOGIN NOINHERIT NOCREATEDB NOCREATEROLE;

-- So that migrations can make and replace those functions.
GRANT naru_platform TO naru_owner;
