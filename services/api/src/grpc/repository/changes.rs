//! In what two descriptions differ.

use domain::repository::{Credentials, Options, Repository, Template};
use tonic::Status;

/// The refusal to replace a repository, with the fields that differ by the names that Argo CD gives them. No value is
/// told.
pub(super) fn refused(what: &str, existing: &Repository, wanted: &Repository) -> Status {
    let Repository {
        url,
        kind,
        name,
        project: _,
        credentials,
        insecure,
        enable_lfs,
        options,
    } = existing;
    let mut differs = vec![
        ("Repo", *url != wanted.url),
        ("Type", *kind != wanted.kind),
        ("Name", *name != wanted.name),
        ("Insecure", *insecure != wanted.insecure),
        ("EnableLFS", *enable_lfs != wanted.enable_lfs),
    ];
    differs.extend(logins(credentials, &wanted.credentials));
    differs.extend(ways(options, &wanted.options));
    told(what, &differs)
}

/// The same for a credential template.
pub(in crate::grpc) fn refused_template(existing: &Template, wanted: &Template) -> Status {
    let Template {
        url,
        kind,
        credentials,
        options,
    } = existing;
    let mut differs = vec![("URL", *url != wanted.url), ("Type", *kind != wanted.kind)];
    differs.extend(logins(credentials, &wanted.credentials));
    differs.extend(ways(options, &wanted.options));
    told("repository credentials", &differs)
}

/// The refusal to replace something, with the fields that differ.
pub(in crate::grpc) fn told(what: &str, differs: &[(&str, bool)]) -> Status {
    let keys: Vec<&str> = differs
        .iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| *key)
        .collect();
    Status::invalid_argument(format!(
        "existing {what} spec is different; use upsert flag to force update; difference in keys {:?}",
        keys.join(",")
    ))
}

fn logins(has: &Credentials, wants: &Credentials) -> [(&'static str, bool); 12] {
    let Credentials {
        username,
        password,
        bearer_token,
        ssh_private_key,
        tls_client_cert,
        tls_client_key,
        github_app,
        github_app_key,
        gcp_key,
        azure_workload_identity,
    } = has;
    let (app, other) = (github_app, &wants.github_app);
    [
        ("Username", *username != wants.username),
        ("Password", *password != wants.password),
        ("SSHPrivateKey", *ssh_private_key != wants.ssh_private_key),
        (
            "TLSClientCertData",
            *tls_client_cert != wants.tls_client_cert,
        ),
        ("TLSClientCertKey", *tls_client_key != wants.tls_client_key),
        (
            "GithubAppPrivateKey",
            *github_app_key != wants.github_app_key,
        ),
        ("GithubAppId", app.id != other.id),
        (
            "GithubAppInstallationId",
            app.installation != other.installation,
        ),
        (
            "GitHubAppEnterpriseBaseURL",
            app.enterprise_url != other.enterprise_url,
        ),
        ("GCPServiceAccountKey", *gcp_key != wants.gcp_key),
        (
            "UseAzureWorkloadIdentity",
            *azure_workload_identity != wants.azure_workload_identity,
        ),
        ("BearerToken", *bearer_token != wants.bearer_token),
    ]
}

fn ways(has: &Options, wants: &Options) -> [(&'static str, bool); 6] {
    let Options {
        enable_oci,
        insecure_oci_force_http,
        force_http_basic_auth,
        proxy,
        no_proxy,
        depth,
    } = has;
    [
        ("EnableOCI", *enable_oci != wants.enable_oci),
        ("Proxy", *proxy != wants.proxy),
        (
            "ForceHttpBasicAuth",
            *force_http_basic_auth != wants.force_http_basic_auth,
        ),
        ("NoProxy", *no_proxy != wants.no_proxy),
        (
            "InsecureOCIForceHttp",
            *insecure_oci_force_http != wants.insecure_oci_force_http,
        ),
        ("Depth", *depth != wants.depth),
    ]
}

#[cfg(test)]
mod tests {
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
            options: Options::default(),
        };
        let two = Repository {
            insecure: true,
            credentials: Credentials {
                password: Some(Secret::from("hunter3")),
                ..Credentials::default()
            },
            options: Options {
                depth: 1,
                ..Options::default()
            },
            ..one.clone()
        };
        assert_eq!(
            refused("repository", &one, &two).message(),
            "existing repository spec is different; use upsert flag to force update; difference in keys \"Insecure,Password,Depth\""
        );
    }
}
