//! How long a session lives: renewed while it is used, to its end, and not past a logout.

use std::time::Duration;

use anyhow::{Context, Result};
use domain::clock::Clock;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use runtime::clock::SystemClock;
use serde_json::{Value, json};

use crate::house::{House, ONE, OPERATOR, THREE, claims_of};

const CLOSED: &str = "/api/v1/applications";
/// The same, as an RPC.
const LIST: &str = "/application.ApplicationService/List";
const DAY: i64 = 86_400;

/// A login of the tenant's admin that ends in a minute.
async fn ending(house: &House, name: &str, change: impl FnOnce(&mut Value)) -> Result<String> {
    let tenant = house.tenant(name).await?;
    let admin = tenant.accounts().find("admin").await?.context("no admin")?;
    let set = admin.settings.password_mtime.context("no password")?;
    let now = SystemClock.now().timestamp();
    let mut claims = json!({
        "iss": "argocd", "sub": "admin:login", "iat": now - 3_540, "nbf": now - 3_540, "exp": now + 60,
        "jti": format!("{:032x}", rand::random::<u128>()), "pwt": set.timestamp_micros(),
    });
    change(&mut claims);
    let key = tenant.keys().current().await?;
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(key.kid);
    let key = EncodingKey::from_secret(key.key.expose());
    Ok(jsonwebtoken::encode(&header, &claims, &key)?)
}

#[tokio::test]
async fn a_logout_ends_every_renewal_of_its_session() -> Result<()> {
    let house = House::open().await?;
    for out_of_the_first in [true, false] {
        let first = ending(&house, "user01", |_| {}).await?;
        let (status, second) = house.renewed(ONE, LIST, &first).await?;
        let second = second.context("not renewed")?;
        assert_eq!(status, 0);
        let (old, new) = (claims_of(&first), claims_of(&second));
        assert_eq!(old["jti"], new["jti"], "it is one session");
        assert_eq!(
            new["exp"].as_i64().unwrap() - new["iat"].as_i64().unwrap(),
            3_600
        );
        assert_eq!(house.get(ONE, CLOSED, &second).await?.0, 200);
        let leaving = if out_of_the_first { &first } else { &second };
        let left = house.call("POST", ONE, "/auth/logout", leaving, None);
        assert_eq!(left.await?.0, 303);
        for token in [&first, &second] {
            let (status, said) = house.get(ONE, CLOSED, token).await?;
            assert_eq!(status, 401, "{said}");
            let said = said["message"].as_str().unwrap_or_default();
            assert_eq!(said, "invalid session: token is revoked, please re-login");
        }
    }
    // It is remembered for as long as any renewal could live: after the first token's end, and a clearing away.
    let soon = SystemClock.now().timestamp() + 2;
    let first = ending(&house, "user01", |claims| claims["exp"] = json!(soon)).await?;
    let (_, second) = house.renewed(ONE, LIST, &first).await?;
    let second = second.context("not renewed")?;
    let leave = async |token: &str| house.call("POST", ONE, "/auth/logout", token, None).await;
    assert_eq!(leave(&first).await?.0, 303);
    testkit::wait::until("the first's end", Duration::from_secs(10), || async {
        let now = SystemClock.now().timestamp();
        anyhow::ensure!(now > soon, "{soon} is not over at {now}");
        Ok(())
    })
    .await?;
    let other = house.admin(ONE).await?;
    assert_eq!(leave(&other).await?.0, 303);
    let (status, said) = house.get(ONE, CLOSED, &second).await?;
    assert_eq!(status, 401, "{said}");
    Ok(())
}

#[tokio::test]
async fn a_session_ends_however_often_it_is_renewed() -> Result<()> {
    let house = House::open().await?;
    let now = SystemClock.now().timestamp();
    let began =
        |days: i64| move |claims: &mut Value| claims["auth_time"] = json!(now - days * DAY + 120);
    let old = ending(&house, "user01", began(20)).await?;
    let (_, renewed) = house.renewed(ONE, LIST, &old).await?;
    let renewed = claims_of(&renewed.context("not renewed")?);
    assert_eq!(renewed["auth_time"], json!(now - 20 * DAY + 120));
    // Two minutes before its end it lasts those, and then is not renewed any more.
    let last = ending(&house, "user01", began(30)).await?;
    let (_, renewed) = house.renewed(ONE, LIST, &last).await?;
    let renewed = renewed.context("not renewed")?;
    assert_eq!(claims_of(&renewed)["exp"], json!(now + 120));
    assert_eq!(house.renewed(ONE, LIST, &renewed).await?, (0, None));
    Ok(())
}

#[tokio::test]
async fn only_who_is_let_in_is_renewed() -> Result<()> {
    let house = House::open().await?;
    house
        .make(json!({"name": house.name("user03"), "hosts": [house.host(THREE)]}))
        .await?;
    // Before its password is changed.
    let first = ending(&house, "user03", |_| {}).await?;
    assert_eq!(house.renewed(THREE, LIST, &first).await?, (9, None));
    let allowed = "/session.SessionService/GetUserInfo";
    assert!(house.renewed(THREE, allowed, &first).await?.1.is_some());
    // Of a tenant that is closed.
    let suspended = ending(&house, "user01", |_| {}).await?;
    let path = format!("/api/naru/v1/tenants/{}/suspend", house.name("user01"));
    let (status, said) = house
        .call("POST", OPERATOR, &path, &house.operator, None)
        .await?;
    assert_eq!(status, 200, "{said}");
    assert_eq!(house.renewed(ONE, LIST, &suspended).await?, (7, None));
    Ok(())
}

#[tokio::test]
async fn a_first_password_is_not_changed_into_itself() -> Result<()> {
    let house = House::open().await?;
    let made = house
        .make(json!({"name": house.name("user03"), "hosts": [house.host(THREE)]}))
        .await?;
    let first = made["admin_password"].as_str().context("no password")?;
    let token = house.log_in(THREE, "admin", first).await?;
    let change = async |new: &str| {
        let body = json!({"currentPassword": first, "newPassword": new});
        let path = "/api/v1/account/password";
        house.call("PUT", THREE, path, &token, Some(body)).await
    };
    let (status, said) = change(first).await?;
    assert_eq!(status, 400, "{said}");
    let text = said["message"].as_str().unwrap_or_default();
    assert!(text.contains("choose another"), "{said}");
    assert_eq!(house.get(THREE, CLOSED, &token).await?.0, 400);
    assert_eq!(change("my-own-password").await?.0, 200);
    Ok(())
}
