-- How a tenant gets into repositories and clusters.

-- Logins for every repository below an address that has none of its own; `write` holds those for pushing apart.
CREATE TABLE naru.repository_templates (
    tenant_id  uuid NOT NULL REFERENCES naru.tenants (id),
    -- The address in the form in which two are compared; `url` is the one as written.
    normalized text NOT NULL,
    write      boolean NOT NULL,
    url        text NOT NULL,
    kind       text NOT NULL,
    sealed     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, normalized, write)
);
CALL naru.protect('naru.repository_templates');
GRANT SELECT, INSERT, UPDATE, DELETE ON naru.repository_templates TO naru_api;
GRANT SELECT ON naru.repository_templates TO naru_controller;

-- Whom a tenant trusts: host keys, certificates and signing keys, under the names of Argo CD's own objects
-- (argocd-ssh-known-hosts-cm, argocd-tls-certs-cm, argocd-gpg-keys-cm). None of it is secret.
CREATE TABLE naru.trust (
    tenant_id uuid NOT NULL REFERENCES naru.tenants (id),
    object    text NOT NULL,
    key       text NOT NULL,
    value     text NOT NULL,
    PRIMARY KEY (tenant_id, object, key)
);
CALL naru.protect('naru.trust');
GRANT SELECT, INSERT, UPDATE, DELETE ON naru.trust TO naru_api;
GRANT SELECT ON naru.trust TO naru_controller;

-- Clusters that a tenant has added. What opens one is sealed to the controllers' key: the api writes it and cannot read
-- it; a controller replaces it when it rotates a token, and may change nothing else.
CREATE TABLE naru.clusters (
    tenant_id         uuid NOT NULL REFERENCES naru.tenants (id),
    server            text NOT NULL,
    name              text NOT NULL,
    project           text NOT NULL,
    labels            jsonb NOT NULL,
    annotations       jsonb NOT NULL,
    namespaces        text[] NOT NULL,
    cluster_resources boolean NOT NULL,
    shard             bigint,
    -- What of its configuration may be shown.
    shown             jsonb NOT NULL,
    sealed            bytea NOT NULL,
    refresh_requested timestamptz,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, server)
);
CALL naru.protect('naru.clusters');
GRANT SELECT, INSERT, UPDATE, DELETE ON naru.clusters TO naru_api;
GRANT SELECT, UPDATE (sealed) ON naru.clusters TO naru_controller;
