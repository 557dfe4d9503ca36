//! Accounts from their making to their end, first passwords (S19) and the limit on logins (S10).

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::house::{House, ONE, THREE, TWO};

const CLOSED: &str = "/api/v1/applications";
const PASSWORD: &str = "/api/v1/account/password";

async fn password(
    house: &House,
    token: &str,
    current: &str,
    new: &str,
    name: &str,
) -> Result<(u16, Value)> {
    let body = json!({"currentPassword": current, "newPassword": new, "name": name});
    house.call("PUT", ONE, PASSWORD, token, Some(body)).await
}

fn said(answer: &(u16, Value)) -> &str {
    answer.1["message"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn an_account_lives_by_its_settings_and_dies_at_once() -> Result<()> {
    let house = House::open().await?;
    let admin = house.admin(ONE).await?;
    let made = house
        .set(
            ONE,
            &admin,
            &[("argocd-cm", "accounts.bob", json!("login, apiKey"))],
        )
        .await?;
    assert_eq!(made.0, 200, "{}", made.1);

    // Nobody can log in as it before it has a password; the admin gives its own with every change.
    assert_eq!(house.try_login(ONE, "bob", "x").await?.0, 401);
    let wrong = password(&house, &admin, "not-mine", "bobs-password", "bob").await?;
    assert_eq!(
        (wrong.0, said(&wrong)),
        (400, "current password does not match")
    );
    let short = password(&house, &admin, "password-user01", "short", "bob").await?;
    assert_eq!(
        said(&short),
        "new password does not match the following expression: ^.{8,32}$"
    );
    let set = password(&house, &admin, "password-user01", "bobs-password", "bob").await?;
    assert_eq!(set.0, 200, "{}", set.1);
    let missing = password(&house, &admin, "password-user01", "some-password", "gone").await?;
    assert!(
        said(&missing).ends_with("account 'gone' does not exist"),
        "{}",
        missing.1
    );
    let bob = house.log_in(ONE, "bob", "bobs-password").await?;
    assert_eq!(house.try_login(TWO, "bob", "bobs-password").await?.0, 401);

    // It sees itself, and no other.
    let (_, list) = house.get(ONE, "/api/v1/account", &bob).await?;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    let (status, own) = house.get(ONE, "/api/v1/account/bob", &bob).await?;
    assert_eq!(
        (status, &own["capabilities"]),
        (200, &json!(["login", "apiKey"]))
    );
    let other = house.get(ONE, "/api/v1/account/admin", &bob).await?;
    let nobody = house.get(ONE, "/api/v1/account/nobody", &bob).await?;
    assert_eq!((other.0, nobody.0), (403, 403));
    assert!(
        said(&other).starts_with("permission denied: accounts, get, admin, sub: bob"),
        "{}",
        other.1
    );
    assert_eq!(said(&other).replace("admin", "nobody"), said(&nobody));
    let foreign = password(&house, &bob, "bobs-password", "some-password", "admin").await?;
    assert_eq!(foreign.0, 403, "{}", foreign.1);
    assert_eq!(house.get(ONE, "/api/naru/v1/settings", &bob).await?.0, 403);

    api_keys(&house, &admin, &bob).await?;

    // Disabled, it is dead at once, and so are its keys; enabled, it lives again.
    let bob_key = key(&house, &bob, json!({"id": "alive"})).await?;
    let enabled = |on: bool| [("argocd-cm", "accounts.bob.enabled", json!(on.to_string()))];
    assert_eq!(house.set(ONE, &admin, &enabled(false)).await?.0, 200);
    for token in [&bob, &bob_key] {
        let refused = house.get(ONE, CLOSED, token).await?;
        assert_eq!(
            (refused.0, said(&refused)),
            (401, "invalid session: account bob is disabled")
        );
    }
    let login = house.try_login(ONE, "bob", "bobs-password").await?;
    assert_eq!((login.0, said(&login)), (401, "Account bob is disabled"));
    assert_eq!(house.set(ONE, &admin, &enabled(true)).await?.0, 200);
    assert_eq!(house.get(ONE, "/api/v1/account/bob", &bob).await?.0, 200);

    // So does a capability go.
    let only_keys = [("argocd-cm", "accounts.bob", json!("apiKey"))];
    assert_eq!(house.set(ONE, &admin, &only_keys).await?.0, 200);
    let refused = house.get(ONE, CLOSED, &bob).await?;
    assert_eq!(
        (refused.0, said(&refused)),
        (
            401,
            "invalid session: account bob does not have 'login' capability"
        )
    );
    let login = house.try_login(ONE, "bob", "bobs-password").await?;
    assert_eq!(said(&login), "Account bob does not have login capability");
    assert_eq!(
        house.get(ONE, "/api/v1/account/bob", &bob_key).await?.0,
        200
    );

    let gone = [("argocd-cm", "accounts.bob", Value::Null)];
    assert_eq!(house.set(ONE, &admin, &gone).await?.0, 200);
    let refused = house.get(ONE, CLOSED, &bob_key).await?;
    assert!(
        said(&refused).contains("account 'bob' does not exist"),
        "{}",
        refused.1
    );
    Ok(())
}

async fn key(house: &House, token: &str, body: Value) -> Result<String> {
    let path = "/api/v1/account/bob/token";
    let (status, made) = house.call("POST", ONE, path, token, Some(body)).await?;
    anyhow::ensure!(status == 200, "{made}");
    Ok(made["token"].as_str().context("no token")?.to_owned())
}

async fn api_keys(house: &House, admin: &str, bob: &str) -> Result<()> {
    let ci = key(house, bob, json!({"id": "ci", "expiresIn": 3_600})).await?;
    let (status, info) = house.get(ONE, "/api/v1/session/userinfo", &ci).await?;
    assert_eq!((status, &info["username"]), (200, &json!("bob")));
    let path = "/api/v1/account/bob/token";
    let again = house
        .call("POST", ONE, path, bob, Some(json!({"id": "ci"})))
        .await?;
    assert_eq!(
        said(&again),
        "failed to update account with new token: account already has token with id 'ci'"
    );
    let own = house
        .call("POST", ONE, "/api/v1/account/admin/token", admin, None)
        .await?;
    assert_eq!(
        said(&own),
        "failed to update account with new token: account 'admin' does not have apiKey capability"
    );
    let (_, shown) = house.get(ONE, "/api/v1/account/bob", bob).await?;
    let token = &shown["tokens"][0];
    assert_eq!(
        (&token["id"], shown["tokens"].as_array().map(Vec::len)),
        (&json!("ci"), Some(1))
    );
    let lasts = token["expiresAt"].as_i64().unwrap() - token["issuedAt"].as_i64().unwrap();
    assert_eq!(lasts, 3_600);
    let path = "/api/v1/account/bob/token/ci";
    let deleted = house.call("DELETE", ONE, path, bob, None).await?;
    assert_eq!(deleted.0, 200, "{}", deleted.1);
    let refused = house.get(ONE, CLOSED, &ci).await?;
    assert_eq!(
        (refused.0, said(&refused)),
        (
            401,
            "invalid session: account bob does not have token with id ci"
        )
    );
    let again = house.call("DELETE", ONE, path, bob, None).await?;
    assert_eq!(
        (again.0, said(&again)),
        (404, "token with id 'ci' does not exist")
    );
    Ok(())
}

#[tokio::test]
async fn s19_a_first_password_is_random_shown_once_and_changed_first() -> Result<()> {
    let house = House::open().await?;
    let made = house
        .make(json!({"name": house.name("user03"), "hosts": [house.host(THREE)]}))
        .await?;
    let first = made["admin_password"]
        .as_str()
        .context("no password")?
        .to_owned();
    assert!(first.len() >= 16);
    let other = house
        .make(json!({"name": house.name("user04"), "hosts": ["user04.example"]}))
        .await?;
    assert_ne!(
        other["admin_password"],
        json!(first),
        "no default that two share"
    );
    let path = format!("/api/naru/v1/tenants/{}", house.name("user03"));
    let (_, shown) = house.get("127.0.0.1", &path, &house.operator).await?;
    assert!(!shown.to_string().contains(&first), "shown once");
    assert_eq!(shown["settings"]["must_change_password"], true);

    let token = house.log_in(THREE, "admin", &first).await?;
    let (status, info) = house.get(THREE, "/api/v1/session/userinfo", &token).await?;
    assert_eq!((status, &info["username"]), (200, &json!("admin")));
    for path in [
        CLOSED,
        "/api/v1/projects",
        "/api/v1/account",
        "/api/naru/v1/settings",
        "/api/v1/settings",
    ] {
        let refused = house.get(THREE, path, &token).await?;
        assert_eq!(refused.0, 400, "{path}: {}", refused.1);
        assert!(
            said(&refused).contains("argocd account update-password"),
            "{path}"
        );
    }
    let body = json!({"currentPassword": first, "newPassword": "my-own-password"});
    let changed = house
        .call("PUT", THREE, PASSWORD, &token, Some(body))
        .await?;
    assert_eq!(changed.0, 200, "{}", changed.1);
    let token = house.log_in(THREE, "admin", "my-own-password").await?;
    assert_eq!(house.get(THREE, CLOSED, &token).await?.0, 200);
    assert_eq!(house.try_login(THREE, "admin", &first).await?.0, 401);

    // A password that the admin gives to another is a first one again.
    let bob = [("argocd-cm", "accounts.bob", json!("login"))];
    assert_eq!(house.set(THREE, &token, &bob).await?.0, 200);
    let body =
        json!({"currentPassword": "my-own-password", "newPassword": "given-to-bob", "name": "bob"});
    assert_eq!(
        house
            .call("PUT", THREE, PASSWORD, &token, Some(body))
            .await?
            .0,
        200
    );
    let bob = house.log_in(THREE, "bob", "given-to-bob").await?;
    assert!(said(&house.get(THREE, CLOSED, &bob).await?).contains("`bob`"));
    // A tenant made with a given password leaves the choice to whoever gave it.
    assert_eq!(
        house.get(ONE, CLOSED, &house.admin(ONE).await?).await?.0,
        200
    );
    Ok(())
}

#[tokio::test]
async fn s10_login_limiter() -> Result<()> {
    let house = House::open().await?;
    // Right logins at once are all let in: waiting in turn closes nothing.
    let logins = (0..12).map(|_| house.try_login(ONE, "admin", "password-user01"));
    for login in join_all(logins).await {
        assert_eq!(login?.0, 200);
    }
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..9 {
        let began = Instant::now();
        assert_eq!(
            house.try_login(ONE, "admin", "password-user01").await?.0,
            200
        );
        times.push(began.elapsed());
    }
    times.sort();
    println!("a login takes {:?} (median of {})", times[4], times.len());

    // Wrong ones at once are as many as wrong ones in a row: the sixth is not looked at, right or wrong.
    let wrong = (0..20).map(|_| house.try_login(ONE, "admin", "wrong-password"));
    for login in join_all(wrong).await {
        let login = login?;
        assert_eq!(
            (login.0, said(&login)),
            (401, "Invalid username or password")
        );
    }
    let closed = house.try_login(ONE, "admin", "password-user01").await?;
    assert_eq!(
        (closed.0, said(&closed)),
        (401, "Invalid username or password")
    );
    // Strangers' names do not open it again.
    let names = (0..30).map(|n| {
        let house = &house;
        async move { house.try_login(ONE, &format!("name-{n}"), "x").await }
    });
    for login in join_all(names).await {
        assert_eq!(said(&login?), "Invalid username or password");
    }
    assert_eq!(
        house.try_login(ONE, "admin", "password-user01").await?.0,
        401
    );
    // Nobody else is closed out, neither here nor there.
    assert_eq!(
        house.try_login(TWO, "admin", "password-user02").await?.0,
        200
    );
    // An unknown name takes as long as a known one.
    let long = format!("{:x<40}", "name");
    let refused = house.try_login(ONE, &long, "x").await?;
    assert_eq!(
        (refused.0, said(&refused)),
        (400, "Username is too long (32 bytes max)")
    );
    Ok(())
}

#[tokio::test]
async fn s10_nobody_closes_an_account_for_who_is_known() -> Result<()> {
    let house = House::open().await?;
    house.admin(ONE).await?;
    let attempt = async |source: String, password: &'static str| {
        let answer = house.try_login_from(&source, ONE, "admin", password);
        Ok::<_, anyhow::Error>(answer.await?.0)
    };
    // One stranger closes it for themselves.
    for _ in 0..6 {
        assert_eq!(attempt("127.66.0.1".into(), "wrong").await?, 401);
    }
    let closed = attempt("127.66.0.1".into(), "password-user01").await?;
    assert_eq!(closed, 401);
    assert_eq!(attempt("127.0.0.1".into(), "password-user01").await?, 200);
    // Many close it for everybody who is new, and for nobody else.
    for round in 1..=24 {
        let wrong = (0..5).map(|n| attempt(format!("127.66.{round}.{n}"), "wrong"));
        for answer in join_all(wrong).await {
            assert_eq!(answer?, 401);
        }
    }
    assert_eq!(attempt("127.67.0.1".into(), "password-user01").await?, 401);
    assert_eq!(attempt("127.0.0.1".into(), "password-user01").await?, 200);
    // Another account is open to who is new.
    let two = house.try_login_from("127.67.0.1", TWO, "admin", "password-user02");
    assert_eq!(two.await?.0, 200);
    Ok(())
}
