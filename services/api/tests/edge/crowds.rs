//! What is kept for others while one, or many together, take all that they can get.

use anyhow::{Result, ensure};
use reqwest::Client;
use serde_json::json;

use crate::bounds::{Bounds, FORGED, MANY, ONE, PATIENCE, TWO, from, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_strangers_signs_nobody_out_behind_the_same_address() -> Result<()> {
    let limits = json!({"strangers_per_minute": 30});
    let bounds = Bounds::open("api_edge_behind", limits).await?;
    let body = json!({"changes": [{"object": "argocd-cm", "key": "users.session.duration", "value": "2m"}]});
    let set = Client::new().patch(bounds.url(ONE, "/api/naru/v1/settings"));
    let set = set.bearer_auth(&bounds.one).json(&body).send().await?;
    ensure!(set.status() == 200, "{}", set.text().await?);
    let behind = from("127.0.0.9")?;
    let home = bounds.log_in_from(behind.clone(), ONE, "password-user01");
    let home = home.await?;
    let apps = bounds.url(ONE, "/api/v1/applications");
    let call = |token: &str| behind.get(apps.as_str()).bearer_auth(token).send();
    assert_eq!(status(&call(&home).await?), 200);
    let mut let_in = 0;
    while status(&call(FORGED).await?) != 429 {
        let_in += 1;
        ensure!(let_in < MANY, "strangers come as often as they like");
    }
    // What replaces a token that soon ends is known from the start.
    let renewed = testkit::wait::until("a token anew", PATIENCE, || async {
        let answer = call(&home).await?;
        let renewed = answer.headers().get("renew-token");
        let renewed = renewed.ok_or_else(|| anyhow::anyhow!("{}", answer.status()))?;
        Ok(renewed.to_str()?.to_owned())
    })
    .await?;
    let full = || async { Ok(status(&call(FORGED).await?) == 429) };
    testkit::wait::until_true("still too many", PATIENCE, full).await?;
    assert_eq!(status(&call(&renewed).await?), 200);
    // So is who logs in where a password was right before, and what they get.
    testkit::wait::until_true("still too many", PATIENCE, full).await?;
    let again = bounds.log_in_from(behind.clone(), ONE, "password-user01");
    let again = again.await?;
    testkit::wait::until_true("still too many", PATIENCE, full).await?;
    assert_eq!(status(&call(&again).await?), 200);
    // On a host where none was they are strangers.
    testkit::wait::until_true("a stranger", PATIENCE, || async {
        let login = behind.post(bounds.url(TWO, "/api/v1/session"));
        let body = json!({"username": "admin", "password": "password-user02"});
        Ok(status(&login.json(&body).send().await?) == 429)
    })
    .await
}
