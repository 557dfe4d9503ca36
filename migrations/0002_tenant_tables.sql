-- What belongs to a tenant. Every key, unique or foreign, begins with tenant_id.

-- The tenant's data key, wrapped by the installation's key; `wrapped_by` tells which.
CREATE TABLE naru.tenant_keys (
    tenant_id  uuid PRIMARY KEY REFERENCES naru.tenants (id),
    wrapped    bytea NOT NULL,
    wrapped_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CALL naru.protect('naru.tenant_keys');
GRANT SELECT ON naru.tenant_keys TO naru_api, naru_controller;

CREATE TABLE naru.accounts (
    tenant_id      uuid NOT NULL REFERENCES naru.tenants (id),
    name           text NOT NULL,
    password_hash  text NOT NULL,
    password_mtime timestamptz NOT NULL DEFAULT clock_timestamp(),
    enabled        boolean NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, name)
);
CALL naru.protect('naru.accounts');
GRANT SELECT, INSERT, UPDATE, DELETE ON naru.accounts TO naru_api;

-- Who may run the platform: a grant outside any tenant's own rights, hence no service can write it.
CREATE TABLE naru.operators (
    tenant_id uuid NOT NULL REFERENCES naru.tenants (id),
    account   text NOT NULL,
    PRIMARY KEY (tenant_id, account),
    FOREIGN KEY (tenant_id, account) REFERENCES naru.accounts (tenant_id, name) ON DELETE CASCADE
);
CALL naru.protect('naru.operators');
GRANT SELECT ON naru.operators TO naru_api;

CREATE TABLE naru.signing_keys (
    tenant_id  uuid NOT NULL REFERENCES naru.tenants (id),
    kid        text NOT NULL,
    sealed     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, kid)
);
CALL naru.protect('naru.signing_keys');
GRANT SELECT ON naru.signing_keys TO naru_api;

CREATE TABLE naru.revoked_tokens (
    tenant_id  uuid NOT NULL REFERENCES naru.tenants (id),
    jti        text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, jti)
);
CALL naru.protect('naru.revoked_tokens');
GRANT SELECT, INSERT, DELETE ON naru.revoked_tokens TO naru_api;

CREATE TABLE naru.secrets (
    tenant_id  uuid NOT NULL REFERENCES naru.tenants (id),
    kind       text NOT NULL,
    name       text NOT NULL,
    sealed     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, kind, name)
);
CALL naru.protect('naru.secrets');
GRANT SELECT ON naru.secrets TO naru_api;

CREATE TABLE naru.projects (
    tenant_id        uuid NOT NULL REFERENCES naru.tenants (id),
    name             text NOT NULL,
    uid              text NOT NULL,
    metadata         jsonb NOT NULL,
    spec             jsonb NOT NULL,
    generation       bigint NOT NULL DEFAULT 1,
    resource_version bigint NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, name),
    UNIQUE (tenant_id, uid)
);
CALL naru.protect('naru.projects');
GRANT SELECT, INSERT, UPDATE, DELETE ON naru.projects TO naru_api;
GRANT SELECT ON naru.projects TO naru_controller;

CREATE TABLE naru.repositories (
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
CALL naru.protect('naru.repositories');
GRANT SELECT, INSERT, UPDATE, DELETE ON naru.repositories TO naru_api;
GRANT SELECT ON naru.repositories TO naru_controller;

CREATE TABLE naru.applications (
    tenant_id        uuid NOT NULL REFERENCES naru.tenants (id),
    name             text NOT NULL,
    uid              text NOT NULL,
    -- Grows when the spec changes.
    generation       bigint NOT NULL DEFAULT 1,
    resource_version bigint NOT NULL,
    -- The version at which a refresh was last asked for: one that was asked for after the controller looked is not
    -- taken for done.
    refresh_version  bigint NOT NULL DEFAULT 0,
    metadata         jsonb NOT NULL,
    spec             jsonb NOT NULL,
    operation        jsonb,
    status           jsonb NOT NULL,
    -- The sources' repositories, normalised.
    repo_urls        text[] NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, name),
    UNIQUE (tenant_id, uid)
);
CREATE INDEX ON naru.applications (tenant_id, resource_version);
CREATE INDEX ON naru.applications USING gin (repo_urls);
CALL naru.protect('naru.applications');
GRANT SELECT, INSERT, UPDATE, DELETE ON naru.applications TO naru_api;
GRANT SELECT ON naru.applications TO naru_controller;

-- Applications that are gone, for those who watch; kept for a week.
CREATE TABLE naru.application_deletions (
    tenant_id        uuid NOT NULL REFERENCES naru.tenants (id),
    uid              text NOT NULL,
    name             text NOT NULL,
    generation       bigint NOT NULL,
    resource_version bigint NOT NULL,
    metadata         jsonb NOT NULL,
    spec             jsonb NOT NULL,
    status           jsonb NOT NULL,
    created_at       timestamptz NOT NULL,
    deleted_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, uid)
);
CREATE INDEX ON naru.application_deletions (tenant_id, resource_version);
CREATE INDEX ON naru.application_deletions (tenant_id, deleted_at);
CALL naru.protect('naru.application_deletions');
GRANT SELECT, INSERT, DELETE ON naru.application_deletions TO naru_api;
GRANT SELECT ON naru.application_deletions TO naru_controller;

-- Append-only, without a cap, and kept when the application goes.
CREATE TABLE naru.history (
    tenant_id    uuid NOT NULL REFERENCES naru.tenants (id),
    app_uid      text NOT NULL,
    id           bigint NOT NULL,
    app_name     text NOT NULL,
    entry        jsonb NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, app_uid, id)
);
CALL naru.protect('naru.history');
GRANT SELECT ON naru.history TO naru_api, naru_controller;

CREATE TABLE naru.manifest_sets (
    tenant_id  uuid NOT NULL REFERENCES naru.tenants (id),
    hash       text NOT NULL,
    sealed     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, hash)
);
CALL naru.protect('naru.manifest_sets');
GRANT SELECT ON naru.manifest_sets TO naru_api;
GRANT SELECT, INSERT ON naru.manifest_sets TO naru_controller;

-- Append-only: nobody may change or delete.
CREATE TABLE naru.audit (
    tenant_id uuid NOT NULL REFERENCES naru.tenants (id),
    id        bigint GENERATED ALWAYS AS IDENTITY,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor     text NOT NULL,
    action    text NOT NULL,
    object    text NOT NULL,
    details   jsonb NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CALL naru.protect('naru.audit');
GRANT SELECT, INSERT ON naru.audit TO naru_api;
GRANT INSERT ON naru.audit TO naru_controller;
REVOKE UPDATE, DELETE ON naru.audit FROM naru_platform;
REVOKE UPDATE, DELETE ON naru.history FROM naru_platform;
