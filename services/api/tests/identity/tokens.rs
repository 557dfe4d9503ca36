//! S03: which tokens count, and which never do.

use anyhow::Result;
use domain::clock::Clock;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use runtime::clock::SystemClock;
use serde_json::{Value, json};
use store::keys::SigningKey;

use crate::house::{House, ONE, TWO};

/// Where a token must count.
const CLOSED: &str = "/api/v1/applications";

fn signed(algorithm: Algorithm, kid: Option<&str>, key: &[u8], claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    header.kid = kid.map(str::to_owned);
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(key)).unwrap()
}

/// The token with its header written anew, and its signature kept.
fn with_header(token: &str, header: &Value) -> String {
    use base64::Engine;
    let encoder = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", encoder.encode(header.to_string()))
}

fn claims(change: impl FnOnce(&mut Value)) -> Value {
    let now = SystemClock.now().timestamp();
    let mut claims = json!({
        "iss": "argocd", "sub": "admin:login", "iat": now, "nbf": now, "exp": now + 3_600,
        "jti": format!("{:032x}", rand::random::<u128>()),
    });
    change(&mut claims);
    claims
}

async fn refused(house: &House, what: &str, token: &str, reason: &str) -> Result<()> {
    let (status, body) = house.get(ONE, CLOSED, token).await?;
    let said = body["message"].as_str().unwrap_or_default();
    assert_eq!((status, &body["code"]), (401, &json!(16)), "{what}: {body}");
    assert!(said.contains(reason), "{what}: {said}");
    let (_, info) = house.get(ONE, "/api/v1/session/userinfo", token).await?;
    assert_ne!(info["loggedIn"], true, "{what}");
    Ok(())
}

/// What never counts, whatever the key.
async fn forged(house: &House, key: &SigningKey, others: &SigningKey) -> Result<()> {
    let now = SystemClock.now().timestamp();
    let sign = |claims: &Value| signed(Algorithm::HS256, Some(&key.kid), key.key.expose(), claims);
    let good = sign(&claims(|_| {}));
    assert_eq!(house.get(ONE, CLOSED, &good).await?.0, 200, "the control");

    let none = json!({"alg": "none", "typ": "JWT", "kid": key.kid});
    let hs512 = signed(
        Algorithm::HS512,
        Some(&key.kid),
        key.key.expose(),
        &claims(|_| {}),
    );
    let unsigned = good.rsplit_once('.').unwrap().0;
    let signature = "signature is invalid";
    let matrix = [
        ("alg none", with_header(&good, &none), ""),
        (
            "alg none, no signature",
            format!("{}.", with_header(unsigned, &none)),
            "",
        ),
        (
            "alg NoNe",
            with_header(&good, &json!({"alg": "NoNe", "kid": key.kid})),
            "",
        ),
        (
            "alg RS256 over an HMAC key",
            with_header(&good, &json!({"alg": "RS256", "kid": key.kid})),
            signature,
        ),
        ("alg HS512", hs512, signature),
        (
            "no key id",
            signed(Algorithm::HS256, None, key.key.expose(), &claims(|_| {})),
            signature,
        ),
        (
            "an unknown key id",
            signed(
                Algorithm::HS256,
                Some("x"),
                key.key.expose(),
                &claims(|_| {}),
            ),
            signature,
        ),
        (
            "another tenant's key under ours",
            signed(
                Algorithm::HS256,
                Some(&key.kid),
                others.key.expose(),
                &claims(|_| {}),
            ),
            signature,
        ),
        (
            "another tenant's key",
            signed(
                Algorithm::HS256,
                Some(&others.kid),
                others.key.expose(),
                &claims(|_| {}),
            ),
            signature,
        ),
        ("no signature", format!("{unsigned}."), signature),
        (
            "wrong issuer",
            sign(&claims(|c| c["iss"] = json!("https://evil.example"))),
            "issuer",
        ),
        (
            "wrong audience",
            sign(&claims(|c| c["aud"] = json!("other"))),
            "audience",
        ),
        (
            "expired",
            sign(&claims(|c| c["exp"] = json!(now - 1))),
            "expired",
        ),
        (
            "of the future",
            sign(&claims(|c| c["nbf"] = json!(now + 60))),
            "not valid yet",
        ),
        (
            "issued in the future",
            sign(&claims(|c| c["iat"] = json!(now + 60))),
            "not valid yet",
        ),
        (
            "without an id",
            sign(&claims(|c| c["jti"] = json!(""))),
            "jti",
        ),
        (
            "a deleted user",
            sign(&claims(|c| c["sub"] = json!("gone:login"))),
            "account 'gone' does not exist",
        ),
        (
            "a key that nobody made",
            sign(&claims(|c| c["sub"] = json!("admin:apiKey"))),
            "does not have 'apiKey' capability",
        ),
        (
            "no capability",
            sign(&claims(|c| c["sub"] = json!("admin"))),
            "capability",
        ),
        (
            "a project that is not there",
            sign(&claims(|c| c["sub"] = json!("proj:gone:ci"))),
            "not found",
        ),
        (
            "a role that is not there",
            sign(&claims(|c| c["sub"] = json!("proj:default:ci"))),
            "does not exist in project",
        ),
        ("nonsense", "a.b.c".to_owned(), ""),
    ];
    for (what, token, reason) in &matrix {
        refused(house, what, token, reason).await?;
    }
    Ok(())
}

#[tokio::test]
async fn s03_token_matrix() -> Result<()> {
    let house = House::open().await?;
    let (one, two) = (house.tenant("user01").await?, house.tenant("user02").await?);
    let (key, others) = (one.keys().current().await?, two.keys().current().await?);
    forged(&house, &key, &others).await?;

    // Where anybody is let in, a token that does not count is nobody's, and nobody is the admin.
    let admin = house.admin(ONE).await?;
    let on = [("argocd-cm", "users.anonymous.enabled", json!("true"))];
    assert_eq!(house.set(ONE, &admin, &on).await?.0, 200);
    let forged_token = signed(Algorithm::HS256, Some(&key.kid), b"other", &claims(|_| {}));
    for token in ["", forged_token.as_str()] {
        let (_, info) = house.get(ONE, "/api/v1/session/userinfo", token).await?;
        assert_ne!(info["loggedIn"], true, "{info}");
        let (status, _) = house.get(ONE, "/api/naru/v1/settings", token).await?;
        assert_eq!(status, 403);
        assert_eq!(house.get(TWO, CLOSED, token).await?.0, 401);
    }
    let off = [("argocd-cm", "users.anonymous.enabled", Value::Null)];
    assert_eq!(house.set(ONE, &admin, &off).await?.0, 200);

    // Revoked is revoked at once.
    let (status, _) = house
        .call("POST", ONE, "/auth/logout", &admin, None)
        .await?;
    assert_eq!(status, 303);
    refused(
        &house,
        "revoked",
        &admin,
        "token is revoked, please re-login",
    )
    .await?;

    // A password change ends what was signed before it, to the microsecond, and the matrix holds after it.
    let before = house.admin(ONE).await?;
    let body = json!({"currentPassword": "password-user01", "newPassword": "another-password"});
    let (status, said) = house
        .call("PUT", ONE, "/api/v1/account/password", &before, Some(body))
        .await?;
    assert_eq!(status, 200, "{said}");
    refused(&house, "before the change", &before, "password has changed").await?;
    let after = house.log_in(ONE, "admin", "another-password").await?;
    assert_eq!(house.get(ONE, CLOSED, &after).await?.0, 200);
    assert_eq!(
        house.try_login(ONE, "admin", "password-user01").await?.0,
        401
    );
    forged(&house, &key, &others).await?;

    rotation(&house, &key, &after).await
}

/// A replaced key counts for its grace, and without one ends at once.
async fn rotation(house: &House, old: &SigningKey, token: &str) -> Result<()> {
    let path = "/api/naru/v1/settings/signing-key";
    let rotate = async |token: &str, grace: i64| {
        let body = json!({"grace_seconds": grace});
        house.call("POST", ONE, path, token, Some(body)).await
    };
    let (status, said) = rotate(token, 3_600).await?;
    assert_eq!(status, 200, "{said}");
    assert_ne!(said["key_id"], json!(old.kid));
    assert_eq!(
        house.get(ONE, CLOSED, token).await?.0,
        200,
        "within the grace"
    );
    let fresh = house.log_in(ONE, "admin", "another-password").await?;
    assert_eq!(rotate(&fresh, 0).await?.0, 200);
    for (what, token) in [
        ("the first key's", token),
        ("the second key's", fresh.as_str()),
    ] {
        refused(house, what, token, "signature is invalid").await?;
    }
    let last = house.log_in(ONE, "admin", "another-password").await?;
    assert_eq!(house.get(ONE, CLOSED, &last).await?.0, 200);
    assert_eq!(
        house.get(TWO, CLOSED, &house.admin(TWO).await?).await?.0,
        200
    );
    Ok(())
}
