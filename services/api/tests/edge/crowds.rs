//! What is kept for others while one, or many together, take all that they can get.

use anyhow::{Result, ensure};
use reqwest::Client;
use serde_json::{Value, json};

use crate::bounds::{Bounds, FORGED, MANY, MIB, ONE, PATIENCE, SYNC, TWO, from, status};

const KIB: usize = 1 << 10;
const VERSION: &str = "/version.VersionService/Version";
const SESSION: &str = "/session.SessionService/Create";

fn grpc_web(token: &str) -> String {
    format!("Content-Type: application/grpc-web+proto\r\ntoken: {token}\r\n")
}

/// A version asked for from here: a stranger's request.
async fn version(bounds: &Bounds, client: &Client, host: &str) -> Result<u16> {
    let asked = client.get(bounds.url(host, "/api/version"));
    Ok(status(&asked.send().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_together_leave_room_for_logins_and_for_what_is_small() -> Result<()> {
    let limits = json!({"bodies_mib": 16, "body_seconds": 120});
    let bounds = Bounds::open("api_edge_kept", limits).await?;
    let operator = bounds.log_in("127.0.0.1", "operator-password").await?;
    let mut held = Vec::new();
    let head = grpc_web(&bounds.one);
    for sent in [8 * MIB, 4 * MIB - 64 * KIB] {
        held.push(
            bounds
                .begin_from("127.0.0.1", ONE, SYNC, &head, sent)
                .await?,
        );
    }
    let head = grpc_web(&bounds.two);
    for sent in [MIB, MIB] {
        held.push(
            bounds
                .begin_from("127.0.0.1", TWO, SYNC, &head, sent)
                .await?,
        );
    }
    // To the last byte that it can get.
    for size in [32 * KIB, 4 * KIB, 512, 64] {
        while bounds.grpc(TWO, SYNC, &bounds.two, size - 5).await?.0 != 8 {
            ensure!(held.len() < MANY, "there is always room");
            held.push(
                bounds
                    .begin_from("127.0.0.1", TWO, SYNC, &head, size)
                    .await?,
            );
        }
    }
    // A third tenant's call, and a login, find room.
    let (code, said) = bounds.grpc("127.0.0.1", SYNC, &operator, 32 * KIB).await?;
    assert_ne!(code, 8, "{said}");
    bounds.log_in(ONE, "password-user01").await?;
    drop(held);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_fill_their_share_leave_room_for_a_login() -> Result<()> {
    let bounds = Bounds::open("api_edge_beginnings", json!({"bodies_mib": 16})).await?;
    // Of a login little is read.
    let (code, said) = bounds.grpc(ONE, SESSION, "", 16 * KIB).await?;
    assert!(code == 8 && said.contains("8192 bytes"), "{code}: {said}");
    let (head, mut held) = (grpc_web(""), Vec::new());
    // The share is 32 such bodies, and a source's part 8.
    while bounds.grpc(ONE, VERSION, "", 32 * KIB - 5).await?.0 != 8 {
        ensure!(held.len() < 200, "there is always room");
        let source = format!("127.0.0.{}", 20 + held.len() / 8);
        let begun = bounds.begin_from(&source, ONE, VERSION, &head, 32 * KIB);
        held.push(begun.await?);
    }
    bounds.log_in(ONE, "password-user01").await?;
    drop(held);
    Ok(())
}

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

const HOOK: &str = "X-GitHub-Event: push\r\n";
const SECRET: &str = "hook-secret";

/// With the secrets of both tenants' webhooks.
async fn with_webhooks(database: &str, limits: Value) -> Result<Bounds> {
    let bounds = Bounds::open(database, limits).await?;
    for (host, token) in [(ONE, &bounds.one), (TWO, &bounds.two)] {
        let secrets = ["webhook.github.secret", "webhook.gitlab.secret"];
        let changes =
            secrets.map(|key| json!({"object": "argocd-secret", "key": key, "value": SECRET}));
        let set = Client::new().patch(bounds.url(host, "/api/naru/v1/settings"));
        let set = set.bearer_auth(token).json(&json!({"changes": changes}));
        let set = set.send().await?;
        ensure!(set.status() == 200, "{}", set.text().await?);
    }
    Ok(bounds)
}

/// A webhook of GitHub's with a wrong signature: 401 where it was read.
async fn github(bounds: &Bounds, host: &str, source: &str, size: usize) -> Result<u16> {
    let sent = from(source)?.post(bounds.url(host, "/api/webhook"));
    let sent = sent.header("x-github-event", "push");
    Ok(status(&sent.body(vec![b' '; size]).send().await?))
}

async fn gitlab(bounds: &Bounds, host: &str, source: &str, secret: &str) -> Result<u16> {
    let sent = from(source)?.post(bounds.url(host, "/api/webhook"));
    let sent = sent.header("x-gitlab-event", "Push Hook");
    let sent = sent.header("x-gitlab-token", secret).body("{}");
    Ok(status(&sent.send().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_come_many_at_once_and_slow_ones_leave_room() -> Result<()> {
    let limits = json!({"bodies_mib": 16});
    let bounds = with_webhooks("api_edge_webhooks", limits).await?;
    // One push to what many applications share comes as many webhooks, all at once and from one address.
    let mut held = Vec::new();
    for n in 0..30 {
        let host = if n % 2 == 0 { ONE } else { TWO };
        let begun = bounds.begin_from("127.0.0.9", host, "/api/webhook", HOOK, KIB);
        held.push(begun.await?);
    }
    let sent = (0..30).map(|_| github(&bounds, ONE, "127.0.0.9", KIB));
    let answers = futures::future::try_join_all(sent).await?;
    assert_eq!(answers, [401; 30]);
    // What is large is bounded for all that are not verified, and small ones come all the same.
    held.clear();
    while github(&bounds, ONE, "127.0.0.9", 200 * KIB).await? != 429 {
        ensure!(held.len() < 200, "there is always room");
        let source = format!("127.0.0.{}", 10 + held.len() / 10);
        let begun = bounds.begin_from(&source, TWO, "/api/webhook", HOOK, 100 * KIB);
        held.push(begun.await?);
    }
    assert_eq!(github(&bounds, ONE, "127.0.0.9", 8 * KIB).await?, 401);
    assert_eq!(gitlab(&bounds, ONE, "127.0.0.10", SECRET).await?, 200);
    drop(held);
    testkit::wait::until_true("there is room again", PATIENCE, || async {
        Ok(github(&bounds, ONE, "127.0.0.10", MIB).await? == 401)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_webhooks_of_one_tenant_are_not_held_against_anothers() -> Result<()> {
    let limits = json!({"strangers_per_minute": 30});
    let bounds = with_webhooks("api_edge_wrong_hooks", limits).await?;
    let mut wrong = 0;
    while gitlab(&bounds, ONE, "127.0.0.9", "wrong").await? != 429 {
        wrong += 1;
        ensure!(wrong < MANY, "secrets are tried without end");
    }
    assert!(wrong >= 30, "{wrong}");
    assert_eq!(gitlab(&bounds, TWO, "127.0.0.9", SECRET).await?, 200);
    assert_eq!(version(&bounds, &from("127.0.0.9")?, ONE).await?, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_proxy_says_whose_a_request_is() -> Result<()> {
    let settings = json!({
        "limits": {"strangers_per_minute": 30},
        "trusted_proxies": ["127.0.0.16/30", "10.0.0.0/8"],
    });
    let bounds = Bounds::open_with("api_edge_proxies", settings).await?;
    let asked = async |source: &str, forwarded: &[&str]| -> Result<u16> {
        let mut call = from(source)?.get(bounds.url(ONE, "/api/version"));
        for value in forwarded {
            call = call.header("x-forwarded-for", *value);
        }
        Ok(status(&call.send().await?))
    };
    let fill = async |source: &str, forwarded: &[&str]| -> Result<()> {
        let mut let_in = 0;
        while asked(source, forwarded).await? != 429 {
            let_in += 1;
            ensure!(let_in < MANY, "{source} {forwarded:?} has no bound");
        }
        Ok(())
    };
    let full = |source: &'static str, forwarded: &'static [&'static str]| {
        let asked = &asked;
        testkit::wait::until_true("a refusal", PATIENCE, move || async move {
            Ok(asked(source, forwarded).await? == 429)
        })
    };
    // Of whoever comes themselves the header counts for nothing.
    fill("127.0.0.9", &["198.51.100.1"]).await?;
    full("127.0.0.9", &["198.51.100.2"]).await?;
    // Behind a proxy each has a minute of their own, whichever proxy it is and however many there are.
    fill("127.0.0.17", &["198.51.100.1"]).await?;
    full("127.0.0.18", &["198.51.100.1, 10.1.2.3"]).await?;
    full("127.0.0.18", &["198.51.100.1", "10.1.2.3"]).await?;
    assert_eq!(asked("127.0.0.17", &["198.51.100.2"]).await?, 200);
    // What the caller wrote on the left counts for nothing.
    full("127.0.0.17", &["203.0.113.7, 198.51.100.1"]).await?;
    full("127.0.0.17", &["203.0.113.7", "198.51.100.1"]).await?;
    // Where there is no address on the right it is the proxy's.
    fill("127.0.0.17", &[]).await?;
    full("127.0.0.17", &["198.51.100.9, unknown"]).await?;
    assert_eq!(asked("127.0.0.17", &["unknown, 198.51.100.10"]).await?, 200);
    // The host is the request's own.
    let call = from("127.0.0.17")?.get(bounds.url(ONE, "/api/version"));
    let call = call.header("x-forwarded-for", "198.51.100.11");
    let call = call.header("host", "nobody.naru.test");
    let call = call.header("x-forwarded-host", ONE).send().await?;
    assert_eq!(status(&call), 421);
    Ok(())
}
