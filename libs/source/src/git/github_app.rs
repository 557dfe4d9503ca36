//! GitHub Apps: a token for an installation, asked for with the app's key and kept until shortly before its end.
//!
//! As GitHub documents it: a JSON Web Token of ten minutes, signed with the app's RSA key, buys an installation access
//! token of an hour, which is the password of `x-access-token`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::cause::Cause;
use domain::clock::Timestamp;
use domain::message;
use domain::repository::Credentials;
use domain::secret::Secret;
use futures::StreamExt;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::access::{Access, Login, Rules};
use super::http::Clients;
use crate::error::{Error, Kind};

/// GitHub's own API; an Enterprise server has its own.
const API: &str = "https://api.github.com";
/// The user whose password a token is.
const USER: &str = "x-access-token";
/// How long asking may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// How long before its end a token is no longer used: a fetch that begins with it has to end with it.
const MARGIN: Duration = Duration::from_secs(300);
/// GitHub gives tokens for an hour; one that says more is not believed.
const LONGEST: Duration = Duration::from_secs(3_600);
/// The most that is read of an answer.
const MAX_ANSWER: usize = 64 << 10;
/// How many tokens are kept.
const MAX_TOKENS: usize = 2_000;

/// A token, while it lasts; asked for by one at a time.
type Kept = Arc<tokio::sync::Mutex<Option<(Secret, Instant)>>>;

/// The tokens that are kept.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<[u8; 32], Kept>>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(…)")
    }
}

#[derive(Serialize)]
struct Claims {
    iat: u64,
    exp: u64,
    iss: String,
}

#[derive(Deserialize)]
struct Answer {
    token: String,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Tokens {
    /// The way in with a token instead of the app, where an app is all that there is.
    ///
    /// # Errors
    /// When GitHub gives none.
    pub(super) async fn enter(
        &self,
        clients: &Clients,
        access: &Access,
    ) -> Result<Option<Access>, Error> {
        let Some(key) = app_key(access) else {
            return Ok(None);
        };
        let place = {
            let mut kept = self.0.lock();
            if kept.len() >= MAX_TOKENS {
                kept.clear();
            }
            Arc::clone(kept.entry(name(access, key)).or_default())
        };
        let mut place = place.lock().await;
        let token = match &*place {
            Some((token, until)) if Instant::now() < *until => token.clone(),
            _ => {
                let (token, lasts) = ask(clients, access, key).await?;
                *place = Some((token.clone(), Instant::now() + lasts.saturating_sub(MARGIN)));
                token
            }
        };
        let mut entered = access.clone();
        entered.login.credentials = Credentials {
            username: USER.to_owned(),
            password: Some(token),
            tls_client_cert: access.login.credentials.tls_client_cert.clone(),
            tls_client_key: access.login.credentials.tls_client_key.clone(),
            ..Credentials::default()
        };
        Ok(Some(entered))
    }

    /// Forgets the token that did not let anybody in: it may have been taken back.
    pub(super) fn forget(&self, access: &Access) {
        if let Some(key) = app_key(access) {
            self.0.lock().remove(&name(access, key));
        }
    }
}

/// The app's key, where nothing else opens the repository: what opens it by itself comes first, as in Argo CD.
fn app_key(access: &Access) -> Option<&Secret> {
    let credentials = &access.login.credentials;
    let other = credentials.password.is_some() || credentials.bearer_token.is_some();
    credentials.github_app_key.as_ref().filter(|_| !other)
}

fn name(access: &Access, key: &Secret) -> [u8; 32] {
    let app = &access.login.credentials.github_app;
    let mut hash = Sha256::new();
    for part in [
        access.tenant.as_bytes(),
        &app.id.to_be_bytes(),
        &app.installation.to_be_bytes(),
        app.enterprise_url.as_bytes(),
        key.expose(),
    ] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

async fn ask(
    clients: &Clients,
    access: &Access,
    key: &Secret,
) -> Result<(Secret, Duration), Error> {
    let app = &access.login.credentials.github_app;
    let refused = |evidence: String| {
        let message = message::source::GITHUB_APP_REFUSED
            .with("app", app.id)
            .with("installation", app.installation)
            .with("url", access.url());
        Error::of(Kind::Denied, Cause::error(message).evidence(evidence))
    };
    let base = match app.enterprise_url.trim_end_matches('/') {
        "" => API,
        own => own,
    };
    // The API is as much a tenant's address as the repository is, and the same trust leads to it.
    let login = Login {
        credentials: Credentials::default(),
        ..access.login.clone()
    };
    let api = Access::new(&access.tenant, &access.scope, base, login, Rules::default())?;
    let signer = EncodingKey::from_rsa_pem(key.expose()).map_err(|_| {
        let message = message::source::GITHUB_APP_KEY.with("app", app.id);
        Error::new(Kind::Invalid, message.with("url", access.url()))
    })?;
    let now = jsonwebtoken::get_current_timestamp();
    let claims = Claims {
        // A minute earlier and one less than allowed, for clocks that differ.
        iat: now.saturating_sub(60),
        exp: now + 540,
        iss: app.id.to_string(),
    };
    let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &signer)
        .map_err(|error| refused(error.to_string()))?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).map_err(Error::internal)?;
    bearer.set_sensitive(true);
    let url = format!(
        "{}/app/installations/{}/access_tokens",
        api.url().trim_end_matches('/'),
        app.installation
    );
    let asking = async {
        let request = clients
            .get(&api)?
            .post(url)
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28");
        let sent = super::egress::send(&api, request).await;
        let sent = sent.map_err(|error| super::http::failed(&api, &error))?;
        let status = sent.status();
        let (mut body, mut stream) = (Vec::new(), sent.bytes_stream());
        while let Some(chunk) = stream.next().await {
            body.extend_from_slice(&chunk.map_err(|error| super::http::failed(&api, &error))?);
            if body.len() > MAX_ANSWER {
                return Err(refused("the answer is too long".to_owned()));
            }
        }
        Ok((status, body))
    };
    let (status, body) = tokio::time::timeout(DEADLINE, asking).await.map_err(|_| {
        let message = message::source::TIMEOUT.with("url", api.url());
        Error::new(
            Kind::Unreachable,
            message.with("seconds", DEADLINE.as_secs()),
        )
    })??;
    if status.is_server_error() {
        let cause = Cause::error(message::source::UNREACHABLE.with("url", api.url()));
        return Err(Error::of(
            Kind::Unreachable,
            cause.evidence(format!("HTTP {status}")),
        ));
    }
    if status != StatusCode::CREATED {
        let said = serde_json::from_slice::<Refusal>(&body).map(|refusal| refusal.message);
        let said: String = said.unwrap_or_default().chars().take(200).collect();
        return Err(refused(
            format!("HTTP {status} {said}").trim_end().to_owned(),
        ));
    }
    let unexpected = || refused("the answer is not GitHub's".to_owned());
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| unexpected())?;
    if answer.token.is_empty() || answer.token.chars().any(char::is_control) {
        return Err(unexpected());
    }
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let lasts = answer.expires_at.timestamp().saturating_sub(now);
    let lasts = Duration::from_secs(u64::try_from(lasts).unwrap_or(0)).min(LONGEST);
    Ok((Secret::from(answer.token), lasts))
}
