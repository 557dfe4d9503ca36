//! What containers have written: of which pods, how much of it, in which order.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::platform::Tenant;
use testkit::wait;

use crate::objects::{DEPLOYMENT, deployed, live};
use crate::{PATIENCE, code, said, set, with_key};

/// What every simulated container has written, a second between the two.
const STARTED: &str = "the simulated container has started";
const LISTENS: &str = "it listens on port 8080";
/// The Deployment of the tenant's application.
const WEB: &str = "group=apps&kind=Deployment&resourceName=web";

/// The lines that a query gets, each with its pod.
async fn lines(tenant: &Tenant, query: &str) -> Result<Vec<(String, String)>> {
    let app = "/api/v1/applications/a";
    let path = format!(
        "{app}/logs?namespace={}&container=main&{query}",
        tenant.name
    );
    let answer = tenant.client.get(&path).await?;
    ensure!(answer.status == 200, "{}", answer.body);
    let text = match answer.body {
        Value::String(text) => text,
        one => one.to_string(),
    };
    let (mut lines, mut over) = (Vec::new(), false);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let entry: Value = serde_json::from_str(line)?;
        let entry = &entry["result"];
        ensure!(!over, "nothing comes after the last entry: {entry}");
        over = entry["last"] == true;
        let word = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        if !over {
            lines.push((word("podName"), word("content")));
        }
    }
    ensure!(over, "no last entry: {text}");
    Ok(lines)
}

/// The words alone.
async fn words(tenant: &Tenant, query: &str) -> Result<Vec<String>> {
    let lines = lines(tenant, query).await?;
    Ok(lines.into_iter().map(|(_, words)| words).collect())
}

#[tokio::test]
async fn lines_of_several_pods_come_in_their_order_and_no_more_than_is_asked_for() -> Result<()> {
    let tenant = deployed("logs").await?;
    let two = DEPLOYMENT.replace("replicas: 1", "replicas: 2");
    tenant.checkout.push_file("app/web.yaml", two).await?;
    let app = "/api/v1/applications/a";
    tenant
        .client
        .get(&format!("{app}?refresh=normal"))
        .await?
        .ok()?;
    let all = wait::until("both pods have written", PATIENCE, || async {
        let lines = lines(&tenant, WEB).await?;
        let words: Vec<&str> = lines.iter().map(|(_, words)| words.as_str()).collect();
        ensure!(words == [STARTED, STARTED, LISTENS, LISTENS], "{lines:?}");
        Ok(lines)
    })
    .await?;
    let pods: BTreeSet<&str> = all.iter().map(|(pod, _)| pod.as_str()).collect();
    assert_eq!(pods.len(), 2, "{all:?}");

    let pod = all[0].0.as_str();
    let of_pod = format!("podName={pod}");
    let one = lines(&tenant, &of_pod).await?;
    assert!(one.iter().all(|(of, _)| of == pod), "{one:?}");
    let asked: [(&str, &[&str]); 8] = [
        ("", &[STARTED, LISTENS]),
        ("&tailLines=1", &[LISTENS]),
        ("&filter=listens", &[LISTENS]),
        ("&filter=LISTENS", &[LISTENS]),
        ("&filter=LISTENS&matchCase=true", &[]),
        ("&filter=%21listens", &[STARTED]),
        ("&untilTime=2024-01-01T00:00:00.5Z", &[STARTED]),
        ("&sinceSeconds=60", &[]),
    ];
    for (more, wanted) in asked {
        let seen = words(&tenant, &format!("{of_pod}{more}")).await?;
        assert_eq!(seen, wanted, "{more}");
    }
    let of_each = words(&tenant, &format!("{WEB}&tailLines=1")).await?;
    assert_eq!(of_each, [LISTENS, LISTENS]);

    // The command asks for the same.
    let args = [
        "app", "logs", "a", "--kind", "Pod", "--name", pod, "--tail", "1",
    ];
    let output = tenant.client.argocd(&args).await?;
    let seen = said(&output);
    assert_eq!(code(&output), 0, "{seen}");
    assert!(seen.contains(LISTENS) && !seen.contains(STARTED), "{seen}");

    // So many are read at once and no more.
    let web = live(&tenant.name, "deployments", "web");
    let many = json!({"spec": {"replicas": 11}});
    tenant.kube.merge(&web, &many).await?;
    let path = format!("{app}/logs?namespace={}&container=main&{WEB}", tenant.name);
    wait::until("they are too many", PATIENCE, || async {
        let refused = tenant.client.get(&path).await?;
        let said = refused.body.to_string();
        ensure!(
            refused.status == 400 && said.contains("max pods to view logs are reached"),
            "{} {said}",
            refused.status
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn s15_followed_lines_go_on_until_the_right_to_them_is_gone() -> Result<()> {
    let tenant = deployed("logs-follow").await?;
    let bob = with_key(&tenant, "bob").await?;
    let seeing = "p, bob, applications, get, default/*, allow";
    let reading = format!("{seeing}\np, bob, logs, get, default/*, allow");
    set(&tenant, "argocd-rbac-cm", "policy.csv", &reading).await?;
    let path = format!(
        "/api/v1/applications/a/logs?namespace={}&container=main&follow=true&{WEB}",
        tenant.name
    );
    let opened = || async {
        let mut answer = bob.request(Method::GET, &path).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        let mut read = String::new();
        while !read.contains(LISTENS) {
            let part = tokio::time::timeout(PATIENCE, answer.chunk()).await??;
            let part = part.with_context(|| format!("that was all: {read}"))?;
            read.push_str(&String::from_utf8_lossy(&part));
        }
        Ok(answer)
    };
    let open = wait::until("what is there is read", PATIENCE, opened).await?;
    // The container says nothing more, and is followed for as long as that is permitted.
    set(&tenant, "argocd-rbac-cm", "policy.csv", seeing).await?;
    let rest = tokio::time::timeout(Duration::from_secs(5), open.text()).await;
    let rest = rest.context("the lines go on without the right")??;
    assert!(
        rest.contains("permission denied") && !rest.contains(r#""last":true"#),
        "{rest}"
    );
    bob.get("/api/v1/applications/a").await?.ok()?;
    assert_eq!(bob.get(&path).await?.status, 403);
    Ok(())
}
