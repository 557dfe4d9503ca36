//! Session tokens: JWT with HS256, one signing key per tenant, found by the key's random id.

use domain::clock::Timestamp;
use domain::secret::Secret;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// Who issues them.
const ISSUER: &str = "argocd";

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Always [`ISSUER`].
    pub(crate) iss: String,
    /// `<account>:login`.
    pub(crate) sub: String,
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
    /// Not begun.
    #[error("token has invalid claims: token is not valid yet")]
    TooEarly,
}

impl Claims {
    /// A login session of an account.
    pub(crate) fn login(
        account: &str,
        id: String,
        now: Timestamp,
        lifetime: chrono::Duration,
    ) -> Self {
        let iat = now.timestamp();
        Self {
            iss: ISSUER.to_owned(),
            sub: format!("{account}:login"),
            exp: Some(iat + lifetime.num_seconds()),
            nbf: Some(iat),
            iat,
            jti: id,
        }
    }

    /// The account, and whether the token is a login session.
    pub(crate) fn account(&self) -> (&str, bool) {
        match self.sub.split_once(':') {
            Some((account, capability)) => (account, capability == "login"),
            None => (&self.sub, false),
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
    if claims.exp.is_some_and(|end| now >= end) {
        return Err(TokenError::Expired);
    }
    if claims.nbf.is_some_and(|begin| now < begin) {
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

    fn signed(key: &Secret) -> String {
        let claims = Claims::login(
            "admin",
            "id".to_owned(),
            at(1_000),
            chrono::Duration::seconds(60),
        );
        sign(&claims, "kid-1", key).unwrap()
    }

    #[test]
    fn a_token_comes_back_as_it_was_signed() {
        let key = Secret::from("k".repeat(32));
        let token = signed(&key);
        assert_eq!(key_id(&token).unwrap().as_deref(), Some("kid-1"));
        let claims = verify(&token, &key, at(1_030)).unwrap();
        assert_eq!(claims.account(), ("admin", true));
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
}
