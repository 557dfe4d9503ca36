//! In what two descriptions of one repository differ.

use domain::repository::Repository;
use tonic::Status;

/// The refusal to replace one, with the fields that differ by the names that Argo CD gives them. No value is told.
pub(super) fn refused(existing: &Repository, wanted: &Repository) -> Status {
    let Repository {
        url,
        kind,
        name,
        project: _,
        credentials: has,
        insecure,
        enable_lfs,
    } = existing;
    let wants = &wanted.credentials;
    let differs = [
        ("Repo", *url != wanted.url),
        ("Username", has.username != wants.username),
        ("Password", has.password != wants.password),
        (
            "SSHPrivateKey",
            has.ssh_private_key != wants.ssh_private_key,
        ),
        ("Insecure", *insecure != wanted.insecure),
        ("EnableLFS", *enable_lfs != wanted.enable_lfs),
        (
            "TLSClientCertData",
            has.tls_client_cert != wants.tls_client_cert,
        ),
        (
            "TLSClientCertKey",
            has.tls_client_key != wants.tls_client_key,
        ),
        ("Type", *kind != wanted.kind),
        ("Name", *name != wanted.name),
        ("BearerToken", has.bearer_token != wants.bearer_token),
    ];
    let keys: Vec<&str> = differs
        .iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| *key)
        .collect();
    Status::invalid_argument(format!(
        "existing repository spec is different; use upsert flag to force update; difference in keys {:?}",
        keys.join(",")
    ))
}

#[cfg(test)]
mod tests {
    use domain::repository::Credentials;
    use domain::secret::Secret;

    use super::*;

    #[test]
    fn the_keys_are_named_and_the_values_are_not() {
        let one = Repository {
            url: "https://git/a".into(),
            kind: "git".into(),
            name: String::new(),
            project: String::new(),
            credentials: Credentials {
                password: Some(Secret::from("hunter2")),
                ..Credentials::default()
            },
            insecure: false,
            enable_lfs: false,
        };
        let two = Repository {
            insecure: true,
            credentials: Credentials {
                password: Some(Secret::from("hunter3")),
                ..Credentials::default()
            },
            ..one.clone()
        };
        assert_eq!(
            refused(&one, &two).message(),
            "existing repository spec is different; use upsert flag to force update; difference in keys \"Password,Insecure\""
        );
    }
}
