//! S05: two tenants that call everything the same do random things, each with a mark of its own in all that it writes; in
//! nothing that one is told, is logged of it or is counted for it, stands the other's mark.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::platform::{self, Tenant};

use crate::{config_map, said};

const STEPS: usize = 60;
/// With `cargo xtask test --full`.
const STEPS_IN_FULL: usize = 600;
const SERVICES: [&str; 3] = ["naru-api", "naru-repo-server", "naru-controller"];

/// One of the two.
struct Twin {
    tenant: Tenant,
    id: String,
    mark: String,
    stream: reqwest::Response,
    /// What it was told in this step: by whom, and what.
    told: Vec<(String, String)>,
}

impl Twin {
    async fn new(label: &str) -> Result<Self> {
        let tenant = platform::tenant(label).await?;
        let mark = format!("m{:016x}", rand::random::<u64>());
        let operator = platform::platform().await?.operator()?;
        let path = format!("/api/naru/v1/tenants/{}", tenant.name);
        let id = operator.get(&path).await?.ok()?["id"].clone();
        tenant
            .checkout
            .push_file("app/a.yaml", config_map("same", &mark))
            .await?;
        tenant.connect().await?;
        let accounts = json!({"changes": [{"object": "argocd-cm", "key": "accounts.bob", "value": "login, apiKey"}]});
        tenant
            .client
            .patch("/api/naru/v1/settings", &accounts)
            .await?
            .ok()?;
        let open = tenant
            .client
            .request(Method::GET, "/api/v1/stream/applications");
        let stream = open.send().await?;
        if !stream.status().is_success() {
            bail!("no stream: {}", stream.text().await?);
        }
        Ok(Self {
            id: id.as_str().context("an id")?.to_owned(),
            tenant,
            mark,
            stream,
            told: Vec::new(),
        })
    }

    async fn ask(&mut self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let answer = match method {
            Method::GET => self.tenant.client.get(path).await?,
            Method::POST => self.tenant.client.post(path, body).await?,
            Method::PUT => self.tenant.client.put(path, body).await?,
            Method::PATCH => self.tenant.client.patch(path, body).await?,
            _ => self.tenant.client.delete(path).await?,
        };
        self.told.push((
            format!("{method} {path}: {}", answer.status),
            answer.body.to_string(),
        ));
        Ok(answer.body)
    }

    /// What its stream has said since; a stream that ended is opened again.
    async fn listen(&mut self, patience: Duration) -> Result<()> {
        while let Ok(part) = tokio::time::timeout(patience, self.stream.chunk()).await {
            match part.ok().flatten() {
                Some(part) => self.told.push((
                    "its stream".to_owned(),
                    String::from_utf8_lossy(&part).into_owned(),
                )),
                None => {
                    let path = "/api/v1/stream/applications";
                    let open = self.tenant.client.request(Method::GET, path);
                    self.stream = open.send().await?.error_for_status()?;
                }
            }
        }
        Ok(())
    }

    fn app(&self, name: &str, repo: &str) -> Value {
        json!({
            "metadata": {"name": name, "labels": {"mark": self.mark}, "annotations": {"mark": self.mark}},
            "spec": {
                "project": "default",
                "info": [{"name": "mark", "value": self.mark}],
                "source": {"repoURL": repo, "path": "app", "targetRevision": "HEAD"},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": self.tenant.name},
            },
        })
    }

    /// Does one thing. `choice` says what, `number` to which of the things of that name; `other` is the other's repository.
    async fn step(&mut self, choice: u32, number: u32, other: &str) -> Result<()> {
        let name = format!("same-{}", number % 3);
        let app = format!("/api/v1/applications/{name}");
        let (mark, nothing) = (self.mark.clone(), Value::Null);
        match choice {
            0 | 1 => {
                let made = self.app(&name, &self.tenant.repo_url);
                self.ask(Method::POST, "/api/v1/applications?upsert=true", &made)
                    .await?;
            }
            2 => {
                let made = self.app(&name, &self.tenant.repo_url);
                self.ask(Method::PUT, &app, &made).await?;
            }
            3 => {
                let patch = json!({"metadata": {"annotations": {"more": mark}}}).to_string();
                let body = json!({"name": name, "patch": patch, "patchType": "merge"});
                self.ask(Method::PATCH, &app, &body).await?;
            }
            4 => {
                self.ask(Method::DELETE, &app, &nothing).await?;
            }
            5 | 6 => {
                let body = json!({"name": name, "infos": [{"name": "mark", "value": mark}]});
                self.ask(Method::POST, &format!("{app}/sync"), &body)
                    .await?;
            }
            7 => {
                self.ask(Method::GET, &format!("{app}?refresh=normal"), &nothing)
                    .await?;
            }
            8 => {
                for rest in [
                    "manifests",
                    "managed-resources",
                    "resource-tree",
                    "events",
                    "revisions/HEAD/metadata",
                ] {
                    self.ask(Method::GET, &format!("{app}/{rest}"), &nothing)
                        .await?;
                }
                let plan = format!("/api/naru/v1/applications/{name}/plan");
                self.ask(Method::GET, &plan, &nothing).await?;
            }
            9 => {
                let value = format!("{mark}-{number}");
                let git = &self.tenant.checkout;
                git.write("app/a.yaml", config_map("same", &value))?;
                git.commit(&mark).await?;
                git.push().await?;
            }
            10 => {
                let team = json!({"upsert": true, "project": {"metadata": {"name": "team"}, "spec": {
                    "description": mark, "sourceRepos": ["*"], "roles": [{"name": "ci", "description": mark}],
                }}});
                self.ask(Method::POST, "/api/v1/projects", &team).await?;
                let body = json!({"project": "team", "role": "ci", "description": mark});
                self.ask(Method::POST, "/api/v1/projects/team/roles/ci/token", &body)
                    .await?;
            }
            11 => {
                self.ask(Method::DELETE, "/api/v1/projects/team", &nothing)
                    .await?;
            }
            12 => {
                let body =
                    json!({"url": "https://git.example/same", "username": mark, "password": mark});
                self.ask(Method::POST, "/api/v1/repocreds?upsert=true", &body)
                    .await?;
                let body = json!({"repo": "https://git.example/same.git", "name": mark, "project": "default",
                    "username": mark, "password": mark});
                self.ask(Method::POST, "/api/v1/repositories?upsert=true", &body)
                    .await?;
            }
            13 => {
                let id = format!("{mark}-{number}");
                let body = json!({"name": "bob", "id": id});
                self.ask(Method::POST, "/api/v1/account/bob/token", &body)
                    .await?;
            }
            14 => {
                let changes = json!({"changes": [
                    {"object": "argocd-cm", "key": "url", "value": format!("https://{mark}.example")},
                    {"object": "argocd-cm", "key": "help.chatText", "value": mark},
                    {"object": "secret/same", "key": "same", "value": mark},
                ]});
                self.ask(Method::PATCH, "/api/naru/v1/settings", &changes)
                    .await?;
            }
            15 => {
                let body = json!({"server": "https://127.0.0.1:1", "name": mark, "config": {"bearerToken": mark}});
                self.ask(Method::POST, "/api/v1/clusters", &body).await?;
            }
            // The other's repository, by who has no login there: what the other rendered and fetched is no hit.
            16 => {
                let made = self.app("theirs", other);
                self.ask(
                    Method::POST,
                    "/api/v1/applications?upsert=true&validate=false",
                    &made,
                )
                .await?;
                for rest in [
                    "?refresh=hard",
                    "/manifests",
                    "/managed-resources",
                    "/revisions/HEAD/metadata",
                ] {
                    self.ask(
                        Method::GET,
                        &format!("/api/v1/applications/theirs{rest}"),
                        &nothing,
                    )
                    .await?;
                }
                let plan = "/api/naru/v1/applications/theirs/plan";
                self.ask(Method::GET, plan, &nothing).await?;
                let refs =
                    url::form_urlencoded::byte_serialize(other.as_bytes()).collect::<String>();
                for rest in ["refs", "apps"] {
                    self.ask(
                        Method::GET,
                        &format!("/api/v1/repositories/{refs}/{rest}"),
                        &nothing,
                    )
                    .await?;
                }
            }
            17 => {
                let words = ["app", "list", "-o", "json"];
                let listed = said(&self.tenant.client.argocd(&words).await?);
                self.told.push(("argocd app list".to_owned(), listed));
                let words = ["app", "get", &name, "--show-operation"];
                let shown = said(&self.tenant.client.argocd(&words).await?);
                self.told.push(("argocd app get".to_owned(), shown));
            }
            18 => {
                self.ask(
                    Method::GET,
                    &format!("/api/v1/applications/absent-{mark}"),
                    &nothing,
                )
                .await?;
                self.ask(Method::POST, "/api/v1/applications", &json!({"spec": mark}))
                    .await?;
                self.ask(Method::GET, "/api/naru/v1/tenants", &nothing)
                    .await?;
            }
            _ => {
                for path in [
                    "/api/v1/applications",
                    "/api/v1/projects",
                    "/api/v1/projects/team",
                    "/api/v1/repositories",
                    "/api/v1/repocreds",
                    "/api/v1/clusters",
                    "/api/v1/account",
                    "/api/v1/account/bob",
                    "/api/v1/certificates",
                    "/api/v1/settings",
                    "/api/naru/v1/settings",
                    "/api/naru/v1/quotas",
                    "/api/naru/v1/audit?limit=500",
                ] {
                    self.ask(Method::GET, path, &nothing).await?;
                }
            }
        }
        Ok(())
    }
}

/// How many kinds of things `step` knows.
const CHOICES: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn s05_nothing_of_one_tenant_is_seen_by_another_of_equal_names() -> Result<()> {
    let seed = testkit::paths::variable("NARU_SEED").and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    let full = std::env::args().any(|word| word == "--include-ignored");
    let steps = if full { STEPS_IN_FULL } else { STEPS };
    walk(seed, steps)
        .await
        .with_context(|| format!("NARU_SEED={seed} does the same things again"))
}

async fn walk(seed: u64, steps: usize) -> Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut a, mut b) = (Twin::new("same-a").await?, Twin::new("same-b").await?);
    let (of_a, of_b) = (a.tenant.repo_url.clone(), b.tenant.repo_url.clone());
    for number in 0..steps {
        let mut choose = || {
            // First each has an application, then anything goes.
            let choice = if number < 2 {
                0
            } else {
                random.random_range(0..CHOICES)
            };
            (choice, random.random_range(0..1000))
        };
        let ((of, on), (and, at)) = (choose(), choose());
        let (one, two) = tokio::join!(a.step(of, on, &of_b), b.step(and, at, &of_a));
        one.and(two).with_context(|| format!("step {number}"))?;
        for twin in [&mut a, &mut b] {
            twin.listen(Duration::from_millis(2)).await?;
        }
        apart(&mut a, &mut b, number)?;
    }
    for twin in [&mut a, &mut b] {
        twin.listen(Duration::from_secs(1)).await?;
    }
    apart(&mut a, &mut b, steps)?;
    let own = a.tenant.client.get("/api/naru/v1/settings").await?;
    ensure!(own.status == 200, "the twins are alive: {own:?}");
    logged_apart(&a, &b).await?;
    counted_apart(&a, &b).await
}

/// Neither was told the other's mark; and one's own is seen, or the search would be blind.
fn apart(a: &mut Twin, b: &mut Twin, step: usize) -> Result<()> {
    for (twin, other) in [(&a, &b.mark), (&b, &a.mark)] {
        for (by, what) in &twin.told {
            ensure!(
                !what.contains(other.as_str()),
                "step {step}: {} is told of the other by {by}: {what}",
                twin.tenant.name
            );
        }
    }
    if step == 0 {
        for twin in [&a, &b] {
            let own = twin.told.iter().any(|(_, what)| what.contains(&twin.mark));
            ensure!(own, "{:?}", twin.told);
        }
    }
    a.told.clear();
    b.told.clear();
    Ok(())
}

/// Whether something of a log line says that it is of this tenant.
fn is_of(line: &Value, twin: &Twin) -> bool {
    match line {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let named = name.contains("tenant")
                && (*value == json!(twin.id) || *value == json!(twin.tenant.name));
            named || is_of(value, twin)
        }),
        Value::Array(items) => items.iter().any(|item| is_of(item, twin)),
        _ => false,
    }
}

async fn logged_apart(a: &Twin, b: &Twin) -> Result<()> {
    let supervisor = platform::platform().await?.supervisor()?;
    let mut lines = 0;
    for name in SERVICES {
        let process = supervisor.find(name).context(name)?;
        let log = std::fs::read(process.log())?;
        for text in String::from_utf8_lossy(&log).lines() {
            let Ok(line) = serde_json::from_str::<Value>(text) else {
                continue;
            };
            for (twin, other) in [(a, b), (b, a)] {
                if is_of(&line, twin) {
                    lines += 1;
                    ensure!(
                        !text.contains(&other.mark) && !is_of(&line, other),
                        "{name} logs of {} what is the other's: {text}",
                        twin.tenant.name
                    );
                }
            }
        }
    }
    ensure!(lines > 0, "nothing was logged of either");
    Ok(())
}

async fn counted_apart(a: &Twin, b: &Twin) -> Result<()> {
    let supervisor = platform::platform().await?.supervisor()?;
    let http = testkit::http::builder().build()?;
    let mut lines = 0;
    for name in SERVICES {
        let process = supervisor.find(name).context(name)?;
        let listen = &process.spec().env["NARU_METRICS_LISTEN"];
        let said = http.get(format!("http://{listen}/metrics")).send().await?;
        for line in said.text().await?.lines() {
            for (twin, other) in [(a, b), (b, a)] {
                let own = [&twin.id, &twin.tenant.name]
                    .iter()
                    .any(|tenant| line.contains(&format!("tenant=\"{tenant}\"")));
                if own {
                    lines += 1;
                    ensure!(!line.contains(&other.mark), "{name} counts {line}");
                }
            }
        }
    }
    ensure!(lines > 0, "nothing was counted of either");
    Ok(())
}
