//! Clusters that tenants have added, reached with what the tenants gave: asked for their version, and for new tokens.
//!
//! Nothing is kept: one connection per question. What such a cluster says is a stranger's word, and passes through a
//! redactor that knows what it was told.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use domain::cluster::Login;
use domain::egress::Egress;
use domain::secret::{Redactor, Secret};
use http_body_util::{LengthLimitError, Limited};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::{ObjectReference, Secret as KubeSecret, ServiceAccount};
use kube::api::{DeleteParams, PostParams};
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::AuthInfo;
use kube::{Api, Client, Config};
use serde::Deserialize;
use tower::{BoxError, ServiceBuilder};

use crate::error::cut;
use crate::resolver::{Resolver, is_not_allowed};

/// The most that is read of an answer: a version, a Secret or a service account.
const MAX_ANSWER: usize = 1 << 20;
/// A question that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a cluster may take to fill a new token in.
const FILLING: Duration = Duration::from_secs(30);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(200);
/// A name of an object is no longer.
const MAX_NAME: usize = 253;
/// The type of Secrets that hold a service account's token.
const TOKEN_SECRET: &str = "kubernetes.io/service-account-token";

/// Why a cluster could not be asked, in words that hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its address is one where no cluster of a tenant's is.
    #[error("the address is not allowed")]
    Address,
    /// Anything else.
    #[error("{0}")]
    Said(String),
}

/// A cluster that a tenant has added.
pub struct AddedCluster {
    client: Client,
    redactor: Redactor,
    token: Option<Secret>,
}

impl AddedCluster {
    /// Gets ready to ask; nothing is sent.
    ///
    /// # Errors
    /// When a certificate, a key or the address is none, or the address is not allowed.
    pub fn new(server: &str, login: &Login, egress: &Arc<Egress>) -> Result<Self, Refused> {
        let redactor = redactor_of(login);
        let config = configuration(server, login, egress)?;
        let client = client(&config, egress)
            .map_err(|error| Refused::Said(redactor.redact(&error.to_string())))?;
        Ok(Self {
            client,
            redactor,
            token: login.bearer_token.clone(),
        })
    }

    /// Its version, `1.36`, which it tells only to whom it lets in.
    ///
    /// # Errors
    /// Why it does not say.
    pub async fn version(&self) -> Result<String, Refused> {
        let info = self.ask(self.client.apiserver_version()).await?;
        let digits = |text: &str| {
            text.chars()
                .filter(char::is_ascii_digit)
                .collect::<String>()
        };
        Ok(format!("{}.{}", digits(&info.major), digits(&info.minor)))
    }

    /// A new token of the service account whose token is in use now, which stays valid until [`Self::retire`].
    ///
    /// # Errors
    /// Why there is none.
    pub async fn new_token(&self) -> Result<NewToken, Refused> {
        let claims = self.claims()?;
        let secrets: Api<KubeSecret> = Api::namespaced(self.client.clone(), &claims.namespace);
        let old = self.ask(secrets.get(&claims.secret)).await?;
        let stem = claims.secret.rsplit_once('-').map_or("", |(stem, _)| stem);
        let mut wanted = KubeSecret {
            type_: Some(TOKEN_SECRET.to_owned()),
            ..KubeSecret::default()
        };
        wanted.metadata.generate_name = Some(format!("{stem}-"));
        wanted.metadata.annotations = old.metadata.annotations;
        let made = self
            .ask(secrets.create(&PostParams::default(), &wanted))
            .await?;
        let name = made.metadata.name.unwrap_or_default();
        if !is_name(&name) {
            return Err(Refused::Said("the token's Secret has no name".to_owned()));
        }
        let filled = tokio::time::timeout(FILLING, async {
            loop {
                let data = self.ask(secrets.get(&name)).await?.data.unwrap_or_default();
                if let Some(token) = data.get("token") {
                    return Ok::<_, Refused>(Secret::new(token.0.clone()));
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        let why = match filled.await {
            Ok(Ok(token)) => return Ok(NewToken { name, token }),
            Ok(Err(refused)) => refused,
            Err(_) => Refused::Said(format!(
                "no token was issued within {} s",
                FILLING.as_secs()
            )),
        };
        // Nobody uses it.
        let plain = DeleteParams::default();
        if let Err(error) = self.ask(secrets.delete(&name, &plain)).await {
            tracing::warn!(%error, "a token that nobody uses could not be taken back");
        }
        Err(why)
    }

    /// Makes the service account list the new token in place of the old, and deletes the old one.
    ///
    /// # Errors
    /// Why the old one is still there.
    pub async fn retire(&self, new: &NewToken) -> Result<(), Refused> {
        let claims = self.claims()?;
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &claims.namespace);
        let mut account = self.ask(accounts.get(&claims.account)).await?;
        let mut listed = account.secrets.take().unwrap_or_default();
        listed.retain(|one| one.name.as_ref() != Some(&claims.secret));
        if !listed
            .iter()
            .any(|one| one.name.as_ref() == Some(&new.name))
        {
            listed.push(ObjectReference {
                name: Some(new.name.clone()),
                ..ObjectReference::default()
            });
        }
        account.secrets = Some(listed);
        let plain = PostParams::default();
        self.ask(accounts.replace(&claims.account, &plain, &account))
            .await?;
        let secrets: Api<KubeSecret> = Api::namespaced(self.client.clone(), &claims.namespace);
        let plain = DeleteParams::default();
        self.ask(secrets.delete(&claims.secret, &plain))
            .await
            .map(drop)
    }

    /// Takes a token that nobody will use away again.
    ///
    /// # Errors
    /// Why it is still there.
    pub async fn withdraw(&self, new: &NewToken) -> Result<(), Refused> {
        let claims = self.claims()?;
        let secrets: Api<KubeSecret> = Api::namespaced(self.client.clone(), &claims.namespace);
        let plain = DeleteParams::default();
        self.ask(secrets.delete(&new.name, &plain)).await.map(drop)
    }

    async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Refused> {
        match tokio::time::timeout(PATIENCE, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if is_not_allowed(&error) => Err(Refused::Address),
            Ok(Err(error)) => Err(Refused::Said(cut(self.redactor.redact(&words(&error))))),
            Err(_) => Err(Refused::Said(format!(
                "no answer within {} s",
                PATIENCE.as_secs()
            ))),
        }
    }

    fn claims(&self) -> Result<Claims, Refused> {
        self.token
            .as_ref()
            .and_then(|token| claims(token.expose_str()))
            .ok_or_else(|| {
                Refused::Said("its token is not that of a service account with a Secret".to_owned())
            })
    }
}

/// A token that was issued, and the Secret that it is in.
pub struct NewToken {
    name: String,
    /// The token.
    pub token: Secret,
}

/// Where a service account's token says that it is from.
#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    secret: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    account: String,
}

/// Read, not verified: the cluster decides what the token is worth.
fn claims(token: &str) -> Option<Claims> {
    let body = token.split('.').nth(1)?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(body).ok()?;
    let claims: Claims = serde_json::from_slice(&bytes).ok()?;
    let names = [&claims.namespace, &claims.secret, &claims.account];
    let named = names.into_iter().all(|name| is_name(name));
    named.then_some(claims)
}

/// Whether a stranger's word may be a part of a path: the client neither escapes it nor bears one that is too long.
fn is_name(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    !word.is_empty() && word.len() <= MAX_NAME && word.chars().all(plain) && !word.starts_with('.')
}

/// Takes out of what a cluster says what it was told to let somebody in.
pub(crate) fn redactor_of(login: &Login) -> Redactor {
    // As basic authentication sends them.
    let pair = login.password.as_ref().map(|password| {
        let password = password.expose_str();
        Secret::from(format!("{}:{password}", login.username))
    });
    Redactor::new(login.secrets().chain(&pair))
}

/// How to get into a cluster with what a tenant gave.
///
/// # Errors
/// When a certificate, a key or the address is none, or the address is not allowed.
pub(crate) fn configuration(
    server: &str,
    login: &Login,
    egress: &Egress,
) -> Result<Config, Refused> {
    // Somebody else may have chosen the same provider before; there is only one in this build.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server: http::Uri = server
        .parse()
        .map_err(|error: http::uri::InvalidUri| Refused::Said(error.to_string()))?;
    // An address that is written out is asked of no resolver.
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    if host
        .parse::<IpAddr>()
        .is_ok_and(|address| !egress.allows(address))
    {
        return Err(Refused::Address);
    }
    let mut config = Config::new(server);
    config.accept_invalid_certs = login.insecure;
    config.disable_compression = login.disable_compression;
    config.tls_server_name = (!login.server_name.is_empty()).then(|| login.server_name.clone());
    if !login.ca.is_empty() {
        config.root_cert = Some(certificates(&login.ca)?);
    }
    config.auth_info = authentication(login);
    Ok(config)
}

/// A client that connects only where `egress` allows, follows no redirect and asks no proxy.
fn client(config: &Config, egress: &Arc<Egress>) -> Result<Client, kube::Error> {
    let mut plain = Resolver::within(egress).connector();
    plain.set_connect_timeout(Some(PATIENCE));
    let connector = config.rustls_https_connector_with_connector(plain)?;
    let pool: Pool<_, Body> = Pool::builder(TokioExecutor::new()).build(connector);
    let stack = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .map_err(BoxError::from)
        .map_response(|answer: http::Response<_>| answer.map(|body| Limited::new(body, MAX_ANSWER)))
        .service(pool);
    Ok(ClientBuilder::new(stack, config.default_namespace.clone()).build())
}

fn authentication(login: &Login) -> AuthInfo {
    let secret = |secret: &Option<Secret>| {
        secret
            .as_ref()
            .map(|secret| secret.expose_str().to_owned().into())
    };
    let encoded = |text: &str| BASE64_STANDARD.encode(text);
    AuthInfo {
        username: (!login.username.is_empty()).then(|| login.username.clone()),
        password: secret(&login.password),
        token: secret(&login.bearer_token),
        client_certificate_data: (!login.cert.is_empty()).then(|| encoded(&login.cert)),
        client_key_data: login
            .key
            .as_ref()
            .map(|key| encoded(key.expose_str()).into()),
        ..AuthInfo::default()
    }
}

/// The certificates of a PEM text, DER.
fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, Refused> {
    let broken = || Refused::Said("the certificate authority is no certificate in PEM".to_owned());
    let mut found = Vec::new();
    for part in pem.split("-----BEGIN CERTIFICATE-----").skip(1) {
        let (body, _) = part
            .split_once("-----END CERTIFICATE-----")
            .ok_or_else(broken)?;
        let body: String = body.split_whitespace().collect();
        found.push(BASE64_STANDARD.decode(body).map_err(|_| broken())?);
    }
    if found.is_empty() {
        return Err(broken());
    }
    Ok(found)
}

/// What went wrong: of a cluster's own words its reason alone, of the network's the innermost.
fn words(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        // What is no Kubernetes' answer is not passed on: the address may be of something else altogether.
        return match status.reason.split_whitespace().count() {
            1 => format!("HTTP {} {}: {}", status.code, status.reason, status.message),
            _ => format!("HTTP {}", status.code),
        };
    }
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    if inner.is::<LengthLimitError>() {
        return format!("its answer is larger than {MAX_ANSWER} bytes");
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn only_a_service_accounts_token_says_where_it_is_from() {
        let body: BTreeMap<&str, &str> = [
            ("kubernetes.io/serviceaccount/namespace", "kube-system"),
            (
                "kubernetes.io/serviceaccount/secret.name",
                "manager-token-abc",
            ),
            (
                "kubernetes.io/serviceaccount/service-account.name",
                "manager",
            ),
        ]
        .into();
        let body = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&body).unwrap());
        let found = claims(&format!("h.{body}.s")).unwrap();
        assert_eq!(
            (found.namespace.as_str(), found.account.as_str()),
            ("kube-system", "manager")
        );
        assert!(claims("opaque").is_none());
        assert!(claims("h.e30.s").is_none());
    }

    #[tokio::test]
    async fn s13_it_is_what_a_name_leads_to_that_counts() {
        let login = Login {
            insecure: true,
            ..Login::default()
        };
        let nowhere = Arc::new(Egress::default());
        let named = AddedCluster::new("https://localhost:1", &login, &nowhere).unwrap();
        assert_eq!(named.version().await, Err(Refused::Address));
        for written in [
            "https://127.0.0.1:1",
            "https://[::1]",
            "https://[::ffff:127.0.0.1]",
        ] {
            let refused = AddedCluster::new(written, &login, &nowhere).err();
            assert_eq!(refused, Some(Refused::Address), "{written}");
        }
        let here = Arc::new(Egress {
            allow: vec!["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()],
            ..Egress::default()
        });
        let allowed = AddedCluster::new("https://localhost:1", &login, &here).unwrap();
        assert!(matches!(allowed.version().await, Err(Refused::Said(_))));
    }

    /// A server that begins an answer and never ends it; how much of it was taken.
    async fn endless(status: &'static str) -> (String, tokio::task::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
        let sent = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let asked = stream.read(&mut [0; 4096]).await.unwrap();
            assert!(asked > 0);
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\r\n{{\"major\":\"1\",\"minor\":\""
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut sent = 0;
            while stream.write_all(&[b'0'; 64 << 10]).await.is_ok() {
                sent += 64 << 10;
            }
            sent
        });
        (server, sent)
    }

    #[tokio::test]
    async fn of_an_answer_without_an_end_only_so_much_is_read() {
        let login = Login {
            insecure: true,
            ..Login::default()
        };
        let here = Arc::new(Egress {
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            ..Egress::default()
        });
        for status in ["200 OK", "500 Internal Server Error"] {
            let (server, sent) = endless(status).await;
            let cluster = AddedCluster::new(&server, &login, &here).unwrap();
            let told = cluster.version().await.unwrap_err();
            let large = "its answer is larger than 1048576 bytes";
            assert_eq!(told, Refused::Said(large.to_owned()), "{status}");
            drop(cluster);
            // What the two sides' sockets hold comes on top.
            assert!(sent.await.unwrap() < 32 << 20, "{status}");
        }
    }

    #[test]
    fn what_a_token_says_of_itself_are_names() {
        let of = |secret: &str| {
            let said = serde_json::json!({
                "kubernetes.io/serviceaccount/namespace": "kube-system",
                "kubernetes.io/serviceaccount/secret.name": secret,
                "kubernetes.io/serviceaccount/service-account.name": "argocd-manager"});
            let body = BASE64_URL_SAFE_NO_PAD.encode(said.to_string());
            claims(&format!("head.{body}.signature")).is_some()
        };
        assert!(of("argocd-manager-long-lived-token") && of(&"x".repeat(MAX_NAME)));
        for none in [
            "",
            "..",
            "../../nodes/x",
            "a?b",
            "A",
            &"x".repeat(MAX_NAME + 1),
        ] {
            assert!(!of(none), "{none}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert!(certificates("hello").is_err());
        assert!(certificates("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----").is_err());
        let one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(certificates(&one.repeat(2)).unwrap().len(), 2);
    }
}
