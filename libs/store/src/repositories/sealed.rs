//! A way into a repository inside its seal.

use domain::repository::{Credentials, GithubApp, Options};
use domain::secret::Secret;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Result};

/// Credentials and options inside their seal. [`Secret`] cannot be serialised, on purpose; this form lives only between
/// there and the cipher, and is wiped.
#[derive(Serialize, Deserialize, Zeroize)]
#[zeroize(drop)]
pub(crate) struct Sealed {
    username: String,
    password: Option<String>,
    bearer_token: Option<String>,
    ssh_private_key: Option<String>,
    tls_client_cert: String,
    tls_client_key: Option<String>,
    github_app_id: i64,
    github_app_installation: i64,
    github_app_enterprise_url: String,
    github_app_key: Option<String>,
    gcp_key: Option<String>,
    azure_workload_identity: bool,
    enable_oci: bool,
    insecure_oci_force_http: bool,
    force_http_basic_auth: bool,
    proxy: Option<String>,
    no_proxy: String,
    depth: i64,
}

impl Sealed {
    pub(crate) fn new(credentials: &Credentials, options: &Options) -> Self {
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
        } = credentials;
        let Options {
            enable_oci,
            insecure_oci_force_http,
            force_http_basic_auth,
            proxy,
            no_proxy,
            depth,
        } = options;
        let text = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose_str().to_owned());
        Self {
            username: username.clone(),
            password: text(password),
            bearer_token: text(bearer_token),
            ssh_private_key: text(ssh_private_key),
            tls_client_cert: tls_client_cert.clone(),
            tls_client_key: text(tls_client_key),
            github_app_id: github_app.id,
            github_app_installation: github_app.installation,
            github_app_enterprise_url: github_app.enterprise_url.clone(),
            github_app_key: text(github_app_key),
            gcp_key: text(gcp_key),
            azure_workload_identity: *azure_workload_identity,
            enable_oci: *enable_oci,
            insecure_oci_force_http: *insecure_oci_force_http,
            force_http_basic_auth: *force_http_basic_auth,
            proxy: text(proxy),
            no_proxy: no_proxy.clone(),
            depth: *depth,
        }
    }

    pub(crate) fn json(&self) -> Result<Zeroizing<Vec<u8>>> {
        serde_json::to_vec(self)
            .map(Zeroizing::new)
            .map_err(|error| Error::invalid("credentials", error))
    }

    pub(crate) fn read(document: &[u8], what: &'static str) -> Result<(Credentials, Options)> {
        let sealed: Self = serde_json::from_slice(document).map_err(|_| Error::Sealed { what })?;
        let secret = |text: &Option<String>| text.as_deref().map(Secret::from);
        let credentials = Credentials {
            username: sealed.username.clone(),
            password: secret(&sealed.password),
            bearer_token: secret(&sealed.bearer_token),
            ssh_private_key: secret(&sealed.ssh_private_key),
            tls_client_cert: sealed.tls_client_cert.clone(),
            tls_client_key: secret(&sealed.tls_client_key),
            github_app: GithubApp {
                id: sealed.github_app_id,
                installation: sealed.github_app_installation,
                enterprise_url: sealed.github_app_enterprise_url.clone(),
            },
            github_app_key: secret(&sealed.github_app_key),
            gcp_key: secret(&sealed.gcp_key),
            azure_workload_identity: sealed.azure_workload_identity,
        };
        let options = Options {
            enable_oci: sealed.enable_oci,
            insecure_oci_force_http: sealed.insecure_oci_force_http,
            force_http_basic_auth: sealed.force_http_basic_auth,
            proxy: secret(&sealed.proxy),
            no_proxy: sealed.no_proxy.clone(),
            depth: sealed.depth,
        };
        Ok((credentials, options))
    }
}
