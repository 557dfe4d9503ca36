//! One of the two sides: a server, an account on it, a repository that it follows; and how a step is done there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use figment::Figment;
use figment::providers::{Format, Yaml};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::{Client, summary};
use testkit::git::Login;
use testkit::git::checkout::Checkout;
use testkit::kube::Kube;
use testkit::wait;

use super::difference::{Said, Text};
use super::normal::Normal;
use super::script::{Action, Step};

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a side is made of.
pub(super) struct Ingredients {
    pub(super) client: Client,
    pub(super) password: String,
    pub(super) namespace: String,
    /// The base address of its Git server.
    pub(super) git: String,
    pub(super) repo: String,
    pub(super) login: Login,
    pub(super) checkout: Checkout,
    /// Its cluster, which is also the one to add, and a kubeconfig with every right in it, whose context is called `naru`.
    pub(super) kube: Kube,
    pub(super) settings: Settings,
    pub(super) kubeconfig: PathBuf,
    /// The folder of the files that commands read, the same for every side.
    pub(super) inputs: PathBuf,
}

/// Where a side's settings are.
#[derive(Clone, Copy)]
pub(super) enum Settings {
    /// Argo CD's own.
    ConfigMaps,
    /// Those of the account's tenant.
    OfTenant,
}

/// One side.
pub(super) struct Side {
    client: Client,
    checkout: Checkout,
    kube: Kube,
    settings: Settings,
    /// What the placeholders of a script stand for here.
    values: BTreeMap<String, String>,
    normal: Normal,
}

impl Side {
    /// A side whose repository is at `commit`.
    pub(super) fn new(made: Ingredients, commit: &str) -> Self {
        let mut normal = Normal::default();
        let escaped = |text: &str| text.replace(':', "%3A").replace('/', "%2F");
        let escaped_git = escaped(&made.git);
        let server = made.client.server().to_owned();
        let home = made.client.argocd_home().to_string_lossy().into_owned();
        let inputs = made.inputs.to_string_lossy().into_owned();
        let checkout = made.checkout.dir().to_string_lossy().into_owned();
        let cluster = made.kube.server().to_owned();
        let known = [
            (made.client.base(), "url"),
            (server.as_str(), "server"),
            (made.password.as_str(), "password"),
            (made.login.password.as_str(), "git password"),
            (made.git.as_str(), "git"),
            (escaped_git.as_str(), "git"),
            (made.namespace.as_str(), "tenant"),
            (cluster.as_str(), "cluster"),
            (home.as_str(), "home"),
            (inputs.as_str(), "inputs"),
            (checkout.as_str(), "checkout"),
        ];
        for (value, word) in known {
            normal.call(value, word);
        }
        let values = BTreeMap::from([
            ("{server}", server),
            ("{password}", made.password),
            ("{namespace}", made.namespace),
            ("{repo/}", escaped(&made.repo)),
            ("{repo}", made.repo),
            ("{git}", made.git),
            ("{git_user}", made.login.user),
            ("{git_password}", made.login.password),
            ("{cluster/}", escaped(&cluster)),
            ("{cluster}", cluster),
            ("{context}", "naru".to_owned()),
            (
                "{kubeconfig}",
                made.kubeconfig.to_string_lossy().into_owned(),
            ),
            ("{inputs}", inputs),
            ("{checkout}", checkout),
        ]);
        let values = values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        let mut side = Self {
            client: made.client.with_kubeconfig(&made.kubeconfig),
            checkout: made.checkout,
            kube: made.kube,
            settings: made.settings,
            values: values.collect(),
            normal,
        };
        side.remember(commit);
        side
    }

    fn remember(&mut self, commit: &str) {
        self.normal.commit(commit);
        self.values.insert("{commit}".to_owned(), commit.to_owned());
    }

    fn fill(&self, text: &str) -> String {
        self.values
            .iter()
            .fold(text.to_owned(), |text, (name, value)| {
                text.replace(name.as_str(), value)
            })
    }

    /// Who does a step: the admin, or whose token was kept.
    fn actor(&self, step: &Step) -> Result<Client> {
        let Some(actor) = &step.actor else {
            return Ok(self.client.clone());
        };
        let token = self.values.get(&format!("{{{actor}}}"));
        let token = token.with_context(|| format!("nothing was kept of {actor}"))?;
        Ok(self.client.with_token(token))
    }

    /// Does a step; `web` makes the command speak gRPC-web.
    pub(super) async fn does(&mut self, step: &Step, web: bool) -> Result<Said> {
        match &step.action {
            Action::Argocd(args) => {
                let mut said = self.argocd(&self.actor(step)?, args, web).await?;
                if let (true, Said::Command { stdout, .. }) = (step.any_order, &mut said) {
                    match stdout {
                        Text::Lines(lines) => *lines = sorted(lines),
                        Text::Document(document) => sort(document),
                    }
                }
                Ok(said)
            }
            Action::Rest(method, path, body) => {
                let client = self.actor(step)?;
                let mut said = self
                    .rest(&client, method.clone(), path, body.as_deref())
                    .await?;
                if let (true, Said::Answer { body, .. }) = (step.any_order, &mut said) {
                    sort(body);
                }
                Ok(said)
            }
            Action::Keep(word, place, method, path, body) => {
                let client = self.actor(step)?;
                let kept = ask(&client, method, &self.fill(path), body.as_deref()).await?;
                Ok(said(self.keep(word, place, &kept)))
            }
            Action::Push(file, from, to) => Ok(said(self.push(file, from, to).await)),
            Action::Settle(app, wanted) => Ok(said(self.settle(app, wanted).await)),
            Action::Gone(app) => Ok(said(self.gone(app).await)),
            Action::Set(object, key, value) => {
                Ok(said(self.set(object, key, value.as_deref()).await))
            }
            Action::Kube(method, path, body) => self.kube(method, path, body.as_deref()).await,
            Action::Edit(app, from, to) => {
                let client = self.actor(step)?.with_editor(&editor(from, to));
                let args = ["app", "edit", app.as_str()].map(str::to_owned);
                self.argocd(&client, &args, web).await
            }
            Action::Shows(text, args) => Ok(said(self.shows(&self.actor(step)?, text, args).await)),
        }
    }

    fn keep(&mut self, word: &str, place: &str, answer: &Value) -> Result<()> {
        let found = answer.pointer(place);
        let found = found.with_context(|| format!("nothing at {place}: {answer}"))?;
        let text = found
            .as_str()
            .map_or_else(|| found.to_string(), str::to_owned);
        self.values.insert(format!("{{{word}}}"), text);
        Ok(())
    }

    async fn argocd(&self, client: &Client, args: &[String], web: bool) -> Result<Said> {
        let mut args: Vec<String> = args.iter().map(|arg| self.fill(arg)).collect();
        if web {
            args.push("--grpc-web".to_owned());
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let Ok(done) = tokio::time::timeout(PATIENCE, client.argocd(&args)).await else {
            let error = format!("it did not end within {} s", PATIENCE.as_secs());
            return Ok(Said::Done(Err(error)));
        };
        let done = done?;
        let stdout = String::from_utf8_lossy(&done.stdout);
        Ok(Said::Command {
            code: done.status.code().unwrap_or(-1),
            stdout: match document(&stdout, &args) {
                Some(value) => Text::Document(self.normal.json(&value)),
                None => Text::Lines(self.normal.text(&stdout)),
            },
            stderr: self.normal.text(&String::from_utf8_lossy(&done.stderr)),
        })
    }

    async fn rest(
        &self,
        client: &Client,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<Said> {
        let path = self.fill(path);
        let body = body.map(|body| self.fill(body));
        let response = request(client, method, &path, body.as_deref())
            .send()
            .await
            .with_context(|| path.clone())?;
        let status = response.status().as_u16();
        let text = response.text().await.with_context(|| path.clone())?;
        Ok(Said::Answer {
            status,
            body: match serde_json::from_str(&text) {
                Ok(value) => self.normal.json(&value),
                Err(_) => Value::String(self.normal.text(&text)),
            },
        })
    }

    async fn push(&mut self, file: &str, from: &str, to: &str) -> Result<()> {
        let text = self.checkout.read(file)?;
        ensure!(text.contains(from), "{file} has no `{from}`");
        let commit = self
            .checkout
            .push_file(file, text.replacen(from, to, 1))
            .await?;
        self.remember(&commit);
        Ok(())
    }

    /// What a key of the settings holds. It may take a moment until it counts.
    async fn set(&self, object: &str, key: &str, value: Option<&str>) -> Result<()> {
        match self.settings {
            Settings::ConfigMaps => {
                let path = format!("/api/v1/namespaces/argocd/configmaps/{object}");
                let patch = json!({"data": {key: value}});
                self.kube.merge(&path, &patch).await.map(drop)
            }
            Settings::OfTenant => {
                let change = match value {
                    Some(value) => json!({"object": object, "key": key, "value": value}),
                    None => json!({"object": object, "key": key, "remove": true}),
                };
                let body = json!({"changes": [change]});
                let answer = self.client.patch("/api/naru/v1/settings", &body).await?;
                answer.ok().map(drop)
            }
        }
    }

    /// What somebody does in the cluster; an object without who wrote which of its fields.
    async fn kube(&self, method: &Method, path: &str, body: Option<&str>) -> Result<Said> {
        let path = self.fill(path);
        let body = body.map(|body| self.fill(body)).unwrap_or_default();
        let object = || serde_json::from_str::<Value>(&body).context("it is no JSON");
        let done = match method.as_str() {
            "PUT" => self.kube.apply(&path, &object()?).await.map(drop),
            "PATCH" => self.kube.merge(&path, &object()?).await.map(drop),
            "DELETE" => self.kube.delete(&path).await.map(drop),
            _ => {
                let mut found = self.kube.get(&path).await?;
                let metadata = found.as_mut().and_then(|one| one.pointer_mut("/metadata"));
                if let Some(metadata) = metadata.and_then(Value::as_object_mut) {
                    metadata.remove("managedFields");
                }
                return Ok(Said::Answer {
                    status: if found.is_some() { 200 } else { 404 },
                    body: self.normal.json(&found.unwrap_or_default()),
                });
            }
        };
        Ok(said(done))
    }

    /// Until a command prints a text.
    async fn shows(&self, client: &Client, text: &str, args: &[String]) -> Result<()> {
        let text = self.fill(text);
        let args: Vec<String> = args.iter().map(|arg| self.fill(arg)).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        wait::until(&text, PATIENCE, || async {
            let done = client.argocd(&args).await?;
            let printed = String::from_utf8_lossy(&done.stdout);
            ensure!(printed.contains(text.as_str()), "it prints: {printed}");
            Ok(())
        })
        .await
    }

    /// Until nothing is under way and the application's states are those wanted.
    async fn settle(&self, app: &str, wanted: &[String]) -> Result<()> {
        let rests = |app: &Value| {
            let status = &app["status"];
            let ended = status["operationState"].is_null()
                || status["operationState"]["finishedAt"].is_string();
            app["operation"].is_null()
                && ended
                && status["reconciledAt"].is_string()
                // It has seen what was set.
                && status["sync"]["comparedTo"]["source"] == app["spec"]["source"]
                && wanted
                    .iter()
                    .zip([&status["sync"]["status"], &status["health"]["status"]])
                    .all(|(wanted, is)| is == wanted.as_str())
        };
        self.client.app_when(app, PATIENCE, rests).await.map(drop)
    }

    async fn gone(&self, app: &str) -> Result<()> {
        wait::until(app, PATIENCE, || async {
            match self.client.app(app).await {
                Ok(app) => anyhow::bail!("it is there: {}", summary(&app)),
                Err(_) => Ok(()),
            }
        })
        .await
    }
}

/// An editor that puts a text in another's place, once a line. The command divides it at spaces.
fn editor(from: &str, to: &str) -> String {
    let whole = |text: &str| text.replace(' ', "\\x20");
    format!("sed -i s|{}|{}|", whole(from), whole(to))
}

fn request(
    client: &Client,
    method: Method,
    path: &str,
    body: Option<&str>,
) -> reqwest::RequestBuilder {
    let writes = method != Method::GET;
    let mut request = client.request(method, path).timeout(PATIENCE);
    if writes {
        request = request.header("content-type", "application/json");
    }
    match body {
        Some(body) => request.body(body.to_owned()),
        None => request,
    }
}

async fn ask(client: &Client, method: &Method, path: &str, body: Option<&str>) -> Result<Value> {
    let answer = request(client, method.clone(), path, body).send().await?;
    Ok(answer.json().await?)
}

fn said(done: Result<()>) -> Said {
    Said::Done(done.map_err(|error| format!("{error:#}")))
}

/// Lines that come in any order, without the branches that are drawn before them.
fn sorted(lines: &str) -> String {
    let bare = |line: &str| {
        line.trim_start_matches(['│', '├', '└', '─', ' '])
            .to_owned()
    };
    let mut lines: Vec<String> = lines.lines().map(bare).collect();
    lines.sort();
    lines.join("\n")
}

/// What things are told apart by.
const NAMES: [&str; 6] = ["name", "url", "repo", "server", "serverName", "keyID"];

/// A document's lists, in the order of what is in them.
fn sort(document: &mut Value) {
    match document {
        Value::Array(items) => {
            items.iter_mut().for_each(sort);
            items.sort_by_cached_key(|item| {
                let named = NAMES.map(|name| item[name].to_string()).join(" ");
                format!("{named} {item}")
            });
        }
        Value::Object(members) => members.values_mut().for_each(sort),
        _ => {}
    }
}

/// What was printed as JSON or YAML, as a value.
fn document(stdout: &str, args: &[&str]) -> Option<Value> {
    if stdout.starts_with(['{', '[']) {
        return serde_json::from_str(stdout).ok();
    }
    // Tables for people begin with a capital letter.
    let says_so = args.contains(&"yaml") || args.contains(&"manifests");
    if !says_so && !stdout.starts_with(|letter: char| letter.is_ascii_lowercase()) {
        return None;
    }
    let documents = stdout.split("---\n").filter(|text| !text.trim().is_empty());
    let all: Option<Vec<Value>> = documents.map(yaml).collect();
    all.filter(|all| !all.is_empty()).map(Value::Array)
}

fn yaml(text: &str) -> Option<Value> {
    if text.starts_with("- ") {
        let wrapped = format!("list:\n{text}");
        return Figment::from(Yaml::string(&wrapped))
            .extract_inner("list")
            .ok();
    }
    Figment::from(Yaml::string(text)).extract().ok()
}
