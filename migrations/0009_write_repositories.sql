-- Repositories that a tenant pushes to. They lie apart from those that are read: no statement that looks for a login to read
-- with can meet one to push with, and the controllers have no right to any of them.
CREATE TABLE naru.write_repositories (
    tenant_id  uuid NOT NULL REFERENCES naru.tenants (id),
    -- The address in the form in which two are compared; `url` is the one as written.
    normalized text NOT NULL,
    -- Empty: for all projects.
    project    text NOT NULL,
    url        text NOT NULL,
    kind       text NOT NULL,
    name       text NOT NULL,
    sealed     bytea NOT NULL,
    insecure   boolean NOT NULL,
    enable_lfs boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, normalized, project)
);
CALL naru.protect('naru.write_repositories');
CALL naru.keep_sealed('naru.write_repositories');
GRANT SELECT, INSERT, UPDATE, DELETE ON naru.write_repositories TO naru_api;

CREATE TRIGGER within_quota AFTER INSERT ON naru.write_repositories
    FOR EACH ROW EXECUTE FUNCTION naru.within_quota('repositories');
