//! Whose record a login is in, and under which name.

use anyhow::Result;
use serde_json::{Value, json};

use crate::house::{House, ONE, OPERATOR, TWO};

const LOGIN: &str = "/api/v1/session";

/// The newest logins in a tenant's record: name, kind and result.
async fn logins(house: &House, host: &str, token: &str) -> Result<Vec<[String; 3]>> {
    let path = "/api/naru/v1/audit?action=SessionService/Create&limit=50";
    let (status, told) = house.get(host, path, token).await?;
    anyhow::ensure!(status == 200, "{told}");
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let items = told["items"].as_array().into_iter().flatten();
    Ok(items
        .map(|entry| ["actor", "actor_kind", "result"].map(|name| text(entry, name)))
        .collect())
}

fn is(entry: &[String; 3], name: &str, kind: &str, result: &str) -> bool {
    entry.each_ref().map(String::as_str) == [name, kind, result]
}

#[tokio::test]
async fn a_login_is_recorded_under_the_name_that_it_gives_whatever_token_it_carries() -> Result<()>
{
    let house = House::open().await?;
    let (one, two) = (house.admin(ONE).await?, house.admin(TWO).await?);
    let bob = [("argocd-cm", "accounts.bob", json!("login"))];
    assert_eq!(house.set(ONE, &one, &bob).await?.0, 200);
    let body = json!({
        "currentPassword": "password-user01", "newPassword": "bobs-password", "name": "bob",
    });
    let path = "/api/v1/account/password";
    assert_eq!(house.call("PUT", ONE, path, &one, Some(body)).await?.0, 200);
    let log_in = async |host: &str, token: &str, name: &str, password: &str| {
        let body = json!({"username": name, "password": password});
        Ok::<_, anyhow::Error>(house.call("POST", host, LOGIN, token, Some(body)).await?.0)
    };
    // With the token of another account, of another tenant, and with the operator's.
    assert_eq!(log_in(ONE, &one, "bob", "wrong").await?, 401);
    assert!(is(
        &logins(&house, ONE, &one).await?[0],
        "bob",
        "anonymous",
        "Unauthenticated"
    ));
    assert_eq!(log_in(ONE, &one, "bob", "bobs-password").await?, 200);
    assert!(is(
        &logins(&house, ONE, &one).await?[0],
        "bob",
        "account",
        "OK"
    ));
    let before = logins(&house, TWO, &two).await?.len();
    let name = house.name("user01");
    assert_eq!(log_in(OPERATOR, &two, &name, "wrong").await?, 401);
    assert_eq!(logins(&house, TWO, &two).await?.len(), before);
    // What was tried on a tenant at the operator's host is in that tenant's record.
    let newest = logins(&house, ONE, &one).await?;
    assert!(
        is(&newest[0], &name, "anonymous", "Unauthenticated"),
        "{:?}",
        newest[0]
    );
    let operator = &house.operator;
    assert_eq!(
        log_in(OPERATOR, operator, &format!("{name}/bob"), "wrong").await?,
        401
    );
    let newest = logins(&house, ONE, &one).await?;
    assert!(
        is(
            &newest[0],
            &format!("{name}/bob"),
            "anonymous",
            "Unauthenticated"
        ),
        "{:?}",
        newest[0]
    );
    // What is nobody's is in the host's.
    let nobody = format!("nobody-{name}");
    assert_eq!(log_in(OPERATOR, "", &nobody, "wrong").await?, 401);
    let seen = logins(&house, OPERATOR, operator).await?;
    assert!(
        seen.iter()
            .any(|entry| is(entry, &nobody, "anonymous", "Unauthenticated"))
    );
    Ok(())
}
