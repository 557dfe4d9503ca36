//! Session tokens: JWT with HS256, one signing key per tenant, found by the key's random id.

use domain::clock::Timestamp;
use domain::secret::Secret;
use domain::settings::Capability;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// Who issues them.
const ISSUER: &str = "argocd";

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Always [`ISSUER`].
    pub(crate) iss: String,
    /// `<account>:login`, `<account>:apiKey` or `proj:<project>:<role>`.
    pub(crate) sub: String,
    /// For whom; ours name nobody, hence one that does is not ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) aud: Option<serde_json::Value>,
    /// When it ends; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exp: Option<i64>,
    /// When it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nbf: Option<i64>,
    /// When it was issued.
    pub(crate) iat: i64,
    /// Its id, by which it is revoked.
    #[serde(default)]
    pub(crate) jti: String,
    /// When the account's password was set, in microseconds: whole seconds do not tell a token from a change made in
    /// the same one.
    #[serde(default, rename = "pwt", skip_serializing_if = "Option::is_none")]
    pub(crate) password_time: Option<i64>,
    /// When its holder logged in, if it is not the first token of that login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) auth_time: Option<i64>,
}

/// Who a token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bearer<'a> {
    /// An account, by one of its capabilities.
    Account(&'a str, Capability),
    /// A role of a project.
    ProjectRole {
        /// The project.
        project: &'a str,
        /// The role.
        role: &'a str,
    },
}

/// Why a token is refused; the texts are those of the Go library that clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// Not three parts, or not what they should hold.
    #[error("token is malformed: token contains an invalid number of segments")]
    Malformed,
    /// Signed with another key, or another way.
    #[error("token signature is invalid: signature is invalid")]
    Signature,
    /// From somebody else.
    #[error("token has invalid claims: token has invalid issuer")]
    Issuer,
    /// Over.
    #[error("token has invalid claims: token is expired")]
    Expired,
    /// For somebody else.
    #[error("token has invalid claims: token has invalid audience")]
    Audience,
    /// Not begun.
    #[error("token has invalid claims: token is not valid yet")]
    TooEarly,
}

impl Claims {
    /// A token that begins now.
    pub(crate) fn new(
        bearer: Bearer<'_>,
        id: String,
        now: Timestamp,
        lifetime: Option<chrono::Duration>,
    ) -> Self {
        let iat = now.timestamp();
        Self {
            iss: ISSUER.to_owned(),
            sub: match bearer {
                Bearer::Account(name, capability) => format!("{name}:{}", capability.as_str()),
                Bearer::ProjectRole { project, role } => format!("proj:{project}:{role}"),
            },
            aud: None,
            exp: lifetime.map(|lifetime| iat.saturating_add(lifetime.num_seconds())),
            nbf: Some(iat),
            iat,
            jti: id,
            password_time: None,
            auth_time: None,
        }
    }

    /// When its holder logged in.
    pub(crate) fn logged_in(&self) -> i64 {
        self.auth_time.unwrap_or(self.iat)
    }

    /// Who the token speaks for. What names no capability is an API key, as of old.
    pub(crate) fn bearer(&self) -> Bearer<'_> {
        let mut parts = self.sub.split(':');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("proj"), Some(project), Some(role), None) => {
                Bearer::ProjectRole { project, role }
            }
            (Some(account), Some("login"), None, None) => {
                Bearer::Account(account, Capability::Login)
            }
            (Some(account), Some("apiKey"), None, None) => {
                Bearer::Account(account, Capability::ApiKey)
            }
            _ => Bearer::Account(&self.sub, Capability::ApiKey),
        }
    }
}

/// The id of the key that a token says it was signed with. Nothing else of it is looked at.
///
/// # Errors
/// When it is not a token.
pub(crate) fn key_id(token: &str) -> Result<Option<String>, TokenError> {
    jsonwebtoken::decode_header(token)
        .map(|header| header.kid)
        .map_err(|_| TokenError::Malformed)
}

/// Signs a token.
///
/// # Errors
/// When the library cannot.
pub(crate) fn sign(
    claims: &Claims,
    key_id: &str,
    key: &Secret,
) -> Result<String, jsonwebtoken::errors::Error> {
    let header = Header {
        kid: Some(key_id.to_owned()),
        ..Header::new(Algorithm::HS256)
    };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(key.expose()))
}

/// Checks a token against the key and the clock.
///
/// # Errors
/// Why it is refused.
pub(crate) fn verify(token: &str, key: &Secret, now: Timestamp) -> Result<Claims, TokenError> {
    // The times are checked below, against the clock that was passed in.
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let decoded =
        jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(key.expose()), &validation);
    let claims = decoded.map_err(|error| match error.kind() {
        jsonwebtoken::errors::ErrorKind::InvalidSignature
        | jsonwebtoken::errors::ErrorKind::InvalidAlgorithm
        | jsonwebtoken::errors::ErrorKind::InvalidAlgorithmName => TokenError::Signature,
        _ => TokenError::Malformed,
    })?;
    let claims = claims.claims;
    let now = now.timestamp();
    if claims.iss != ISSUER {
        return Err(TokenError::Issuer);
    }
    if claims.aud.is_some() {
        return Err(TokenError::Audience);
    }
    if claims.exp.is_some_and(|end| now >= end) {
        return Err(TokenError::Expired);
    }
    if claims.nbf.is_some_and(|begin| now < begin) || claims.iat > now {
        return Err(TokenError::TooEarly);
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 0).unwrap()
    }

    fn claims() -> Claims {
        Claims::new(
            Bearer::Account("admin", Capability::Login),
            "id".to_owned(),
            at(1_000),
            Some(chrono::Duration::seconds(60)),
        )
    }

    fn signed(key: &Secret) -> String {
        sign(&claims(), "kid-1", key).unwrap()
    }

    #[test]
    fn a_token_comes_back_as_it_was_signed() {
        let key = Secret::from("k".repeat(32));
        let token = signed(&key);
        assert_eq!(key_id(&token).unwrap().as_deref(), Some("kid-1"));
        let claims = verify(&token, &key, at(1_030)).unwrap();
        assert_eq!(claims.bearer(), Bearer::Account("admin", Capability::Login));
        assert_eq!((claims.iss.as_str(), claims.jti.as_str()), ("argocd", "id"));
    }

    #[test]
    fn another_key_another_time_and_another_algorithm_are_refused() {
        let key = Secret::from("k".repeat(32));
        let token = signed(&key);
        assert_eq!(
            verify(&token, &Secret::from("other"), at(1_030)),
            Err(TokenError::Signature)
        );
        assert_eq!(verify(&token, &key, at(1_060)), Err(TokenError::Expired));
        assert_eq!(verify(&token, &key, at(999)), Err(TokenError::TooEarly));
        let (_, rest) = token.split_once('.').unwrap();
        // {"alg":"none","typ":"JWT"}
        let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{rest}");
        assert!(verify(&none, &key, at(1_030)).is_err());
        assert_eq!(key_id("nonsense"), Err(TokenError::Malformed));
    }

    #[test]
    fn whom_a_token_speaks_for() {
        let sub = |sub: &str| Claims {
            sub: sub.to_owned(),
            ..claims()
        };
        let is = |text: &str, bearer| assert_eq!(sub(text).bearer(), bearer, "{text}");
        is("bob:login", Bearer::Account("bob", Capability::Login));
        is("bob:apiKey", Bearer::Account("bob", Capability::ApiKey));
        is("bob", Bearer::Account("bob", Capability::ApiKey));
        is(
            "bob:admin",
            Bearer::Account("bob:admin", Capability::ApiKey),
        );
        let (project, role) = ("team", "ci");
        is("proj:team:ci", Bearer::ProjectRole { project, role });
        is(
            "proj:team",
            Bearer::Account("proj:team", Capability::ApiKey),
        );
        is(
            "proj:a:b:c",
            Bearer::Account("proj:a:b:c", Capability::ApiKey),
        );
        let lasting = Claims::new(
            Bearer::ProjectRole { project, role },
            "id".into(),
            at(1),
            None,
        );
        assert_eq!((lasting.exp, lasting.sub.as_str()), (None, "proj:team:ci"));
    }

    #[test]
    fn another_issuer_an_audience_and_a_later_issue_are_refused() {
        let key = Secret::from("k".repeat(32));
        let check = |claims: &Claims| verify(&sign(claims, "k", &key).unwrap(), &key, at(1_030));
        assert!(check(&claims()).is_ok());
        let iss = "other".to_owned();
        assert_eq!(check(&Claims { iss, ..claims() }), Err(TokenError::Issuer));
        let aud = Some(serde_json::json!("other"));
        assert_eq!(
            check(&Claims { aud, ..claims() }),
            Err(TokenError::Audience)
        );
        let later = Claims {
            iat: 1_031,
            nbf: None,
            ..claims()
        };
        assert_eq!(check(&later), Err(TokenError::TooEarly));
    }
}
