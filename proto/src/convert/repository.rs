//! Repositories. Towards clients they carry no secret; from clients, secrets go straight into [`Secret`].

use std::collections::BTreeMap;

use domain::project::Rules;
use domain::repository::{
    Access, Credentials, GithubApp, Known, Options, Repository, Template, dependency,
};
use domain::secret::Secret;
use domain::tenant::TenantId;

use super::text;
use crate::argocd::repository::RepoAccessQuery;
use crate::naru::internal::v1::RepositoryAccess;
use crate::v1alpha1;

/// A repository as a client sees it: never its password, token or keys.
#[must_use]
pub fn to_wire(
    repository: &Repository,
    connection: v1alpha1::ConnectionState,
) -> v1alpha1::Repository {
    let Repository {
        url,
        kind: kind_of,
        name,
        project,
        credentials,
        insecure,
        enable_lfs,
        options,
    } = repository;
    let number = |number: i64| (number != 0).then_some(number);
    v1alpha1::Repository {
        repo: text(url),
        r#type: Some(kind(kind_of, url)),
        name: text(name),
        project: text(project),
        username: text(&credentials.username),
        insecure: Some(*insecure),
        enable_lfs: Some(*enable_lfs),
        enable_oci: Some(options.enable_oci),
        insecure_oci_force_http: Some(options.insecure_oci_force_http),
        force_http_basic_auth: Some(options.force_http_basic_auth),
        proxy: text(&options.shown_proxy()),
        no_proxy: text(&options.no_proxy),
        depth: number(options.depth),
        github_app_id: number(credentials.github_app.id),
        github_app_installation_id: number(credentials.github_app.installation),
        github_app_enterprise_base_url: text(&credentials.github_app.enterprise_url),
        use_azure_workload_identity: Some(credentials.azure_workload_identity),
        connection_state: Some(connection),
        ..v1alpha1::Repository::default()
    }
}

/// A repository that a client connects.
#[must_use]
pub fn from_wire(repository: &v1alpha1::Repository) -> Repository {
    Repository {
        url: repository.repo().to_owned(),
        kind: kind(repository.r#type(), repository.repo()),
        name: repository.name().to_owned(),
        project: repository.project().to_owned(),
        credentials: Credentials {
            username: repository.username().to_owned(),
            password: secret(repository.password()),
            bearer_token: secret(repository.bearer_token()),
            ssh_private_key: secret(repository.ssh_private_key()),
            tls_client_cert: repository.tls_client_cert_data().to_owned(),
            tls_client_key: secret(repository.tls_client_cert_key()),
            github_app: GithubApp {
                id: repository.github_app_id(),
                installation: repository.github_app_installation_id(),
                enterprise_url: repository.github_app_enterprise_base_url().to_owned(),
            },
            github_app_key: secret(repository.github_app_private_key()),
            gcp_key: secret(repository.gcp_service_account_key()),
            azure_workload_identity: repository.use_azure_workload_identity(),
        },
        insecure: repository.insecure() || repository.insecure_ignore_host_key(),
        enable_lfs: repository.enable_lfs(),
        options: Options {
            enable_oci: repository.enable_oci(),
            insecure_oci_force_http: repository.insecure_oci_force_http(),
            force_http_basic_auth: repository.force_http_basic_auth(),
            proxy: secret(repository.proxy()),
            no_proxy: repository.no_proxy().to_owned(),
            depth: repository.depth(),
        },
    }
}

/// A repository whose access a client wants to be tried.
#[must_use]
pub fn from_query(query: &RepoAccessQuery) -> Repository {
    Repository {
        url: query.repo.clone(),
        kind: kind(&query.r#type, &query.repo),
        name: query.name.clone(),
        project: query.project.clone(),
        credentials: Credentials {
            username: query.username.clone(),
            password: secret(&query.password),
            bearer_token: secret(&query.bearer_token),
            ssh_private_key: secret(&query.ssh_private_key),
            tls_client_cert: query.tls_client_cert_data.clone(),
            tls_client_key: secret(&query.tls_client_cert_key),
            github_app: GithubApp {
                id: query.github_app_id,
                installation: query.github_app_installation_id,
                enterprise_url: query.github_app_enterprise_base_url.clone(),
            },
            github_app_key: secret(&query.github_app_private_key),
            gcp_key: secret(&query.gcp_service_account_key),
            azure_workload_identity: query.use_azure_workload_identity,
        },
        insecure: query.insecure,
        enable_lfs: false,
        options: Options {
            enable_oci: query.enable_oci,
            insecure_oci_force_http: query.insecure_oci_force_http,
            force_http_basic_auth: query.force_http_basic_auth,
            proxy: secret(&query.proxy),
            ..Options::default()
        },
    }
}

/// A credential template as a client sees it: its address and login, no more.
#[must_use]
pub fn template_to_wire(template: &Template) -> v1alpha1::RepoCreds {
    v1alpha1::RepoCreds {
        url: text(&template.url),
        username: text(&template.credentials.username),
        ..v1alpha1::RepoCreds::default()
    }
}

/// A credential template that a client keeps.
#[must_use]
pub fn template_from_wire(creds: &v1alpha1::RepoCreds) -> Template {
    Template {
        url: creds.url().to_owned(),
        kind: kind(creds.r#type(), creds.url()),
        credentials: Credentials {
            username: creds.username().to_owned(),
            password: secret(creds.password()),
            bearer_token: secret(creds.bearer_token()),
            ssh_private_key: secret(creds.ssh_private_key()),
            tls_client_cert: creds.tls_client_cert_data().to_owned(),
            tls_client_key: secret(creds.tls_client_cert_key()),
            github_app: GithubApp {
                id: creds.github_app_id(),
                installation: creds.github_app_installation_id(),
                enterprise_url: creds.github_app_enterprise_base_url().to_owned(),
            },
            github_app_key: secret(creds.github_app_private_key()),
            gcp_key: secret(creds.gcp_service_account_key()),
            azure_workload_identity: creds.use_azure_workload_identity(),
        },
        options: Options {
            enable_oci: creds.enable_oci(),
            insecure_oci_force_http: creds.insecure_oci_force_http(),
            force_http_basic_auth: creds.force_http_basic_auth(),
            proxy: secret(creds.proxy()),
            no_proxy: creds.no_proxy().to_owned(),
            depth: 0,
        },
    }
}

/// A way in as it travels inside the one request to a repo-server that needs it.
#[must_use]
pub fn access_to_wire(tenant: TenantId, url: &str, access: Access) -> RepositoryAccess {
    let bytes = |secret: &Option<Secret>| {
        secret
            .as_ref()
            .map(|secret| secret.expose().to_vec())
            .unwrap_or_default()
    };
    let Access {
        scope,
        kind,
        credentials,
        options,
        insecure,
        inherited: _,
        known_hosts,
        tls_ca,
    } = access;
    RepositoryAccess {
        tenant: tenant.to_string(),
        credential_scope: scope,
        url: url.to_owned(),
        username: credentials.username.clone(),
        password: bytes(&credentials.password),
        bearer_token: bytes(&credentials.bearer_token),
        ssh_private_key: bytes(&credentials.ssh_private_key),
        tls_client_cert: credentials.tls_client_cert.clone(),
        tls_client_key: bytes(&credentials.tls_client_key),
        insecure,
        ssh_known_hosts: known_hosts,
        tls_ca,
        github_app_id: credentials.github_app.id,
        github_app_installation: credentials.github_app.installation,
        github_app_url: credentials.github_app.enterprise_url.clone(),
        github_app_key: bytes(&credentials.github_app_key),
        proxy: bytes(&options.proxy),
        no_proxy: options.no_proxy.clone(),
        kind,
        enable_oci: options.enable_oci,
        insecure_oci_force_http: options.insecure_oci_force_http,
    }
}

/// The ways into the places that a chart depends on, as a project's applications have them: what the project does not
/// permit gets no login, and a place that there is no way into gets an empty one.
#[must_use]
pub fn dependencies_to_wire(
    tenant: TenantId,
    project: &str,
    rules: Option<&Rules>,
    known: Known<'_>,
    places: &[String],
) -> BTreeMap<String, RepositoryAccess> {
    let permits =
        |url: &str, below: &str| rules.is_some_and(|rules| rules.permits_chart(url, below));
    let way = |place: &String| {
        let found = dependency(place, project, permits, known);
        let way = found.map(|(url, access)| access_to_wire(tenant, &url, access));
        (place.clone(), way.unwrap_or_default())
    };
    places.iter().map(way).collect()
}

/// The same way in for an application's source: where it names a chart, a chart repository stands there, whether one is
/// connected or not.
#[must_use]
pub fn access_of_source(access: RepositoryAccess, chart: &str) -> RepositoryAccess {
    match chart {
        "" => access,
        _ => RepositoryAccess {
            kind: "helm".to_owned(),
            ..access
        },
    }
}

fn secret(value: &str) -> Option<Secret> {
    (!value.is_empty()).then(|| Secret::from(value))
}

/// The type in force: what was said, else what the address shows.
fn kind(said: &str, url: &str) -> String {
    let kind = match said {
        "" if url.starts_with("oci://") => "oci",
        "" => "git",
        said => said,
    };
    kind.to_owned()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn secrets_go_in_and_never_come_out() {
        let sent = v1alpha1::Repository {
            repo: Some("https://git.example/a.git".into()),
            username: Some("user".into()),
            password: Some("hunter2".into()),
            ssh_private_key: Some("hunter3".into()),
            github_app_private_key: Some("hunter4".into()),
            gcp_service_account_key: Some("hunter5".into()),
            tls_client_cert_key: Some("hunter6".into()),
            bearer_token: Some("hunter7".into()),
            proxy: Some("http://u:hunter8@proxy".into()),
            ..v1alpha1::Repository::default()
        };
        let repository = from_wire(&sent);
        assert_eq!(
            repository
                .credentials
                .password
                .as_ref()
                .unwrap()
                .expose_str(),
            "hunter2"
        );
        let shown = to_wire(&repository, v1alpha1::ConnectionState::default());
        assert_eq!((shown.r#type(), shown.username()), ("git", "user"));
        assert!(!String::from_utf8_lossy(&shown.encode_to_vec()).contains("hunter"));
    }
}
