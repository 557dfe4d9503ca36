//! Repositories. Towards clients they carry no secret; from clients, secrets go straight into [`Secret`].

use domain::repository::{Credentials, Repository};
use domain::secret::Secret;

use super::text;
use crate::argocd::repository::RepoAccessQuery;
use crate::v1alpha1;

/// A repository as a client sees it: never its password, token or keys.
#[must_use]
pub fn to_wire(
    repository: &Repository,
    connection: v1alpha1::ConnectionState,
) -> v1alpha1::Repository {
    v1alpha1::Repository {
        repo: text(&repository.url),
        r#type: Some(kind(&repository.kind, &repository.url)),
        name: text(&repository.name),
        project: text(&repository.project),
        username: text(&repository.credentials.username),
        insecure: Some(repository.insecure),
        enable_lfs: Some(repository.enable_lfs),
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
        },
        insecure: repository.insecure() || repository.insecure_ignore_host_key(),
        enable_lfs: repository.enable_lfs(),
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
        },
        insecure: query.insecure,
        enable_lfs: false,
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
