//! The world of the sweep: a platform of its own that logs and traces everything, a tenant full of secrets, and all that
//! can be done with them.

use std::process::Output;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::Client;
use testkit::command::{command, output};
use testkit::platform::{Platform, Tenant};
use testkit::postgres;
use testkit::progress::Progress;

use super::canary::{Canary, Outputs};
use crate::collector::Collector;
use crate::{PATIENCE, config_map, said};

const SERVICES: [&str; 3] = ["naru-api", "naru-repo-server", "naru-controller"];
/// Everything that the services say themselves, and what their HTTP, SQL and Kubernetes clients say of what passes.
const LOG: &str = "trace,h2=debug,hyper=debug,mio=info,rustls=debug,tokio=info";
/// The operation of an application is over.
const OVER: [&str; 3] = ["Succeeded", "Failed", "Error"];

/// What is planted in it, and what it said.
pub(crate) struct World {
    platform: Platform,
    collector: Collector,
    tenant: Tenant,
    canaries: Vec<Canary>,
    outputs: Outputs,
    watches: Vec<(&'static str, reqwest::Response)>,
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

impl World {
    /// The platform, the tenant and its Git, with nothing connected yet.
    pub(crate) async fn make() -> Result<Self> {
        let (collector, endpoint) = Collector::start().await?;
        let dir = testkit::paths::test_platform()?.with_extension("swept");
        let platform =
            Platform::start_watched(&dir, Progress::silent(), Some(endpoint), LOG).await?;
        let tenant = platform.tenant("swept").await?;
        Ok(Self {
            platform,
            collector,
            tenant,
            canaries: Vec::new(),
            outputs: Outputs::new()?,
            watches: Vec::new(),
        })
    }

    /// Plants a new value.
    fn plant(&mut self, name: &'static str) -> String {
        self.planted(Canary::new(name))
    }

    fn planted(&mut self, canary: Canary) -> String {
        let value = canary.value.clone();
        self.canaries.push(canary);
        value
    }

    fn value(&self, name: &str) -> String {
        let found = self.canaries.iter().find(|canary| canary.name == name);
        found.expect("a planted value").value.clone()
    }

    /// Asks, and keeps the answer with its headers.
    async fn ask_as(
        &mut self,
        client: &Client,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value> {
        let request = client
            .request(method.clone(), path)
            .header("content-type", "application/json");
        let request = if method == Method::GET {
            request
        } else {
            request.body(body.to_string())
        };
        let answer = request.send().await.with_context(|| path.to_owned())?;
        let mut kept = format!("{} {:?}\n", answer.status(), answer.headers());
        let text = answer.text().await?;
        kept.push_str(&text);
        let place = path.split('?').next().unwrap_or_default();
        let place = place.replace(&self.tenant.name, "TENANT");
        self.outputs
            .keep(format!("answer {method} {place}"), kept)?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn ask(&mut self, method: Method, path: &str, body: Value) -> Result<Value> {
        let client = self.tenant.client.clone();
        self.ask_as(&client, method, path, &body).await
    }

    async fn get(&mut self, path: &str) -> Result<Value> {
        self.ask(Method::GET, path, Value::Null).await
    }

    async fn post(&mut self, path: &str, body: Value) -> Result<Value> {
        self.ask(Method::POST, path, body).await
    }

    /// Signs in, opens the streams, and gives the tenant accounts, tokens, settings, repositories and clusters.
    pub(crate) async fn connect(&mut self) -> Result<()> {
        let nobody = self.tenant.client.with_token("");
        let body = json!({"username": "admin", "password": self.tenant.password});
        let session = self
            .ask_as(&nobody, Method::POST, "/api/v1/session", &body)
            .await?;
        let token = session["token"].as_str().context("a session")?;
        let token = self.planted(Canary::of("session token", token));
        self.tenant.client = self.tenant.client.with_token(&token);
        let path = "/api/v1/stream/applications";
        let open = self.tenant.client.request(Method::GET, path);
        self.watches
            .push(("watch applications", open.send().await?));
        self.accounts().await?;
        self.settings().await?;
        self.repositories().await?;
        self.clusters().await
    }

    async fn accounts(&mut self) -> Result<()> {
        let change = |object: &str, key: &str, value: &str| json!({"changes": [{"object": object, "key": key, "value": value}]});
        let path = "/api/naru/v1/settings";
        let bob = change("argocd-cm", "accounts.bob", "login, apiKey");
        self.ask(Method::PATCH, path, bob).await?;
        let password = self.planted(Canary::plain("account password"));
        let current = self.tenant.password.clone();
        let body = json!({"name": "bob", "currentPassword": current, "newPassword": password});
        self.ask(Method::PUT, "/api/v1/account/password", body)
            .await?;
        let nobody = self.tenant.client.with_token("");
        let body = json!({"username": "bob", "password": password});
        self.ask_as(&nobody, Method::POST, "/api/v1/session", &body)
            .await?;
        let made = self
            .post(
                "/api/v1/account/bob/token",
                json!({"name": "bob", "id": "t"}),
            )
            .await?;
        let token = made["token"].as_str().context("a token of bob's")?;
        let token = self.planted(Canary::of("account token", token));
        let bob = self.tenant.client.with_token(&token);
        self.ask_as(&bob, Method::GET, "/api/v1/session/userinfo", &Value::Null)
            .await?;
        self.ask_as(&bob, Method::GET, "/api/v1/applications", &Value::Null)
            .await?;
        let project =
            json!({"project": {"metadata": {"name": "team"}, "spec": {"roles": [{"name": "ci"}]}}});
        self.post("/api/v1/projects", project).await?;
        let body = json!({"project": "team", "role": "ci"});
        let made = self
            .post("/api/v1/projects/team/roles/ci/token", body)
            .await?;
        let token = made["token"].as_str().context("a token of the role's")?;
        let token = self.planted(Canary::of("role token", token));
        let ci = self.tenant.client.with_token(&token);
        self.ask_as(&ci, Method::GET, "/api/v1/projects", &Value::Null)
            .await?;
        Ok(())
    }

    async fn settings(&mut self) -> Result<()> {
        let hook = self.plant("webhook secret");
        let client = self.plant("settings secret");
        let own = self.plant("own secret");
        let oidc = "name: x\nissuer: https://id.example\nclientID: c\nclientSecret: $okta:oidc\n";
        for (object, key, value) in [
            ("argocd-secret", "webhook.gitlab.secret", hook.as_str()),
            ("argocd-secret", "oidc.clientSecret", &client),
            ("secret/okta", "oidc", &own),
            ("argocd-cm", "oidc.config", oidc),
            ("argocd-cm", "url", "https://argocd.example"),
        ] {
            let body = json!({"changes": [{"object": object, "key": key, "value": value}]});
            self.post("/api/naru/v1/settings/validate", body.clone())
                .await?;
            let changed = self
                .ask(Method::PATCH, "/api/naru/v1/settings", body)
                .await?;
            anyhow::ensure!(changed["code"].is_null(), "{object} {key}: {changed}");
        }
        Ok(())
    }

    async fn repositories(&mut self) -> Result<()> {
        let login = self.tenant.git_login.clone();
        self.planted(Canary::of("repository password", &login.password));
        let url = self.tenant.repo_url.clone();
        let body = json!({"repo": url, "username": login.user, "password": login.password});
        self.post("/api/v1/repositories", body).await?;
        let template = self.plant("template password");
        let body =
            json!({"url": "https://git.example/team", "username": "u", "password": template});
        self.post("/api/v1/repocreds", body).await?;
        let (pem, _) = testkit::certs::signing_key()?;
        let tls = self.planted(Canary::of("TLS client key", &pem));
        let (pem, _) = testkit::certs::signing_key()?;
        let app = self.planted(Canary::of("GitHub App key", &pem));
        let (bearer, gcp) = (self.plant("repository token"), self.plant("GCP key"));
        let proxy = self.planted(Canary::plain("proxy password"));
        let body = json!({
            "repo": "https://git.example/fields.git", "type": "git", "bearerToken": bearer,
            "tlsClientCertKey": tls, "githubAppPrivateKey": app, "githubAppID": 7, "githubAppInstallationID": 8,
            "gcpServiceAccountKey": gcp, "proxy": format!("http://me:{proxy}@proxy.example:3128"),
        });
        self.post("/api/v1/repositories", body).await?;

        let ssh = self.platform.ssh()?;
        let (url, hosts) = (
            ssh.url(&self.tenant.name, "base-project"),
            ssh.known_hosts.clone(),
        );
        let key = ssh.key(&self.tenant.name).await?.private;
        let key = self.planted(Canary::of("SSH private key", &key));
        let words: Vec<&str> = hosts.split_whitespace().collect();
        let [host, kind, data, ..] = words[..] else {
            anyhow::bail!("no host key: {hosts}");
        };
        let item = json!({"serverName": host, "certType": "ssh", "certSubType": kind, "certData": STANDARD.encode(data)});
        self.post("/api/v1/certificates", json!({"items": [item]}))
            .await?;
        self.post(
            "/api/v1/repositories",
            json!({"repo": url, "sshPrivateKey": key}),
        )
        .await?;
        Ok(())
    }

    async fn clusters(&mut self) -> Result<()> {
        let kube = self.platform.kube()?;
        let path = format!(
            "/api/v1/namespaces/{}/serviceaccounts/naru/token",
            self.tenant.name
        );
        let request =
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let made = kube
            .request(Method::POST, &path)
            .json(&request)
            .send()
            .await?;
        let made: Value = made.error_for_status()?.json().await?;
        let token = made["status"]["token"].as_str().context("a token")?;
        let token = self.planted(Canary::of("cluster token", token));
        let server = kube.server().to_owned();
        let config = json!({"bearerToken": token, "tlsClientConfig": {"insecure": true}});
        let body = json!({"server": server, "name": "far", "config": config});
        self.post("/api/v1/clusters", body).await?;
        Ok(())
    }

    fn app(&self, name: &str, more: &Value) -> Value {
        let mut app = json!({
            "metadata": {"name": name},
            "spec": {
                "project": "default",
                "source": {"repoURL": self.tenant.repo_url, "path": name, "targetRevision": "HEAD"},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": self.tenant.name},
            },
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            app["spec"]["source"][key] = value.clone();
        }
        app
    }

    /// Puts Secrets in Git, right and wrong ones, deploys them, and changes what is live.
    pub(crate) async fn deploy(&mut self) -> Result<()> {
        let data = STANDARD.encode(self.plant("data in Git"));
        let text = serde_json::to_string(&self.plant("stringData in Git"))?;
        let listed = serde_json::to_string(&self.plant("stringData of a list"))?;
        let custom = serde_json::to_string(&self.plant("custom annotation"))?;
        let last = self.plant("last-applied annotation");
        let last = serde_json::to_string(&json!({"data": {"k": last}}).to_string())?;
        let secret = |name: &str, rest: &str| {
            format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n{rest}")
        };
        let annotated = format!(
            "  annotations:\n    example.com/mine: {custom}\n    kubectl.kubernetes.io/last-applied-configuration: {last}\n\
             data:\n  a: {data}\nstringData:\n  b: {text}\n"
        );
        let git = &self.tenant.checkout;
        git.write("app/a.yaml", secret("a", &annotated))?;
        git.write(
            "app/list.yaml",
            format!(
                "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata:\n    name: l\n  stringData:\n    k: {listed}\n"
            ),
        )?;
        let number = self.planted(Canary::number("a number as stringData"));
        let broken = self.planted(Canary::plain("stringData in bad YAML"));
        let wrong = self.planted(Canary::plain("data that is no base64"));
        let labelled = self.planted(Canary::plain("stringData of a bad Secret"));
        let literal = self.planted(Canary::plain("literal of a generator"));
        let git = &self.tenant.checkout;
        git.write(
            "typed/a.yaml",
            secret("typed", &format!("stringData:\n  k: {number}\n")),
        )?;
        git.write(
            "yaml/a.yaml",
            secret("yaml", &format!("stringData:\n  k: \"{broken}\n  l: [\n")),
        )?;
        git.write(
            "base64/a.yaml",
            secret("base64", &format!("data:\n  k: \"{wrong}*\"\n")),
        )?;
        git.write(
            "kinds/a.yaml",
            secret(
                "kinds",
                &format!(
                    "type: kubernetes.io/dockerconfigjson\nstringData:\n  .dockerconfigjson: '{{{labelled}'\n  \"not a key\": {labelled}\n"
                ),
            ),
        )?;
        git.write(
            "kust/kustomization.yaml",
            format!("secretGenerator:\n- name: made\n  literals:\n  - k={literal}\n"),
        )?;
        git.write("ssh/a.yaml", config_map("over-ssh", "1"))?;
        git.push_file("helm/a.yaml", config_map("helm", "1"))
            .await?;

        for name in ["app", "typed", "yaml", "base64", "kinds"] {
            let app = self.app(name, &json!({}));
            self.post("/api/v1/applications?validate=false", app)
                .await?;
        }
        let tree = "/api/v1/stream/applications/app/resource-tree";
        let open = self.tenant.client.request(Method::GET, tree);
        self.watches.push(("watch tree", open.send().await?));
        let common = self.planted(Canary::plain("common annotation"));
        let app = self.app(
            "kust",
            &json!({"kustomize": {"commonAnnotations": {"a": common}}}),
        );
        self.post("/api/v1/applications?validate=false", app)
            .await?;
        let (value, values) = (self.plant("helm parameter"), self.plant("helm values"));
        let helm = json!({"parameters": [{"name": "p", "value": value}], "values": format!("k: {}", serde_json::to_string(&values)?)});
        let app = self.app("helm", &json!({"helm": helm}));
        self.post("/api/v1/applications?validate=false", app)
            .await?;
        let plugin = self.plant("plugin variable");
        let app = self.app(
            "plugin",
            &json!({"plugin": {"name": "p", "env": [{"name": "E", "value": plugin}]}}),
        );
        self.post("/api/v1/applications?validate=false", app)
            .await?;
        let ssh = self.platform.ssh()?.url(&self.tenant.name, "base-project");
        let app = self.app("ssh", &json!({"repoURL": ssh}));
        self.post("/api/v1/applications?validate=false", app)
            .await?;

        for name in ["app", "typed", "yaml", "kinds", "kust", "helm", "ssh"] {
            let path = format!("/api/v1/applications/{name}/sync");
            self.post(&path, json!({"name": name})).await?;
        }
        for name in ["app", "kust", "ssh"] {
            self.tenant.client.app_done(name, None, PATIENCE).await?;
        }
        for name in ["typed", "kinds"] {
            let over = |app: &Value| {
                let phase = app["status"]["operationState"]["phase"].as_str();
                phase.is_some_and(|phase| OVER.contains(&phase))
            };
            self.tenant.client.app_when(name, PATIENCE, over).await?;
        }
        let live = self.plant("live data");
        let noted = self.plant("live annotation");
        let path = format!("/api/v1/namespaces/{}/secrets/a", self.tenant.name);
        let patch = json!({
            "metadata": {"annotations": {"example.com/live": noted}},
            "data": {"a": STANDARD.encode(&live), "c": STANDARD.encode(live)},
        });
        self.tenant.kube.merge(&path, &patch).await?;
        self.get("/api/v1/applications/app?refresh=normal").await?;
        let differs = |app: &Value| app["status"]["sync"]["status"] == "OutOfSync";
        self.tenant
            .client
            .app_when("app", PATIENCE, differs)
            .await?;
        Ok(())
    }

    /// Reads everything there is to read.
    pub(crate) async fn read(&mut self) -> Result<()> {
        for name in [
            "app", "typed", "yaml", "base64", "kinds", "kust", "helm", "plugin", "ssh",
        ] {
            for rest in [
                "",
                "?refresh=hard",
                "/manifests",
                "/managed-resources",
                "/resource-tree",
                "/events",
                "/links",
                "/syncwindows",
                "/revisions/HEAD/metadata",
                "/logs?podName=none",
                "/server-side-diff",
            ] {
                self.get(&format!("/api/v1/applications/{name}{rest}"))
                    .await?;
            }
            self.get(&format!("/api/naru/v1/applications/{name}/plan?prune=true"))
                .await?;
        }
        let of = format!(
            "namespace={}&resourceName=a&version=v1&kind=Secret",
            self.tenant.name
        );
        for rest in ["resource", "resource/actions", "resource/links", "events"] {
            self.get(&format!("/api/v1/applications/app/{rest}?{of}"))
                .await?;
        }
        let url = encoded(&self.tenant.repo_url);
        let far = encoded(self.platform.kube()?.server());
        for path in [
            "/api/v1/applications".to_owned(),
            "/api/v1/projects".to_owned(),
            "/api/v1/projects/team".to_owned(),
            "/api/v1/projects/team/detailed".to_owned(),
            "/api/v1/repositories?forceRefresh=true".to_owned(),
            format!("/api/v1/repositories/{url}"),
            format!("/api/v1/repositories/{url}/refs"),
            format!("/api/v1/repositories/{url}/apps"),
            "/api/v1/repocreds".to_owned(),
            "/api/v1/clusters".to_owned(),
            format!("/api/v1/clusters/{far}"),
            "/api/v1/certificates".to_owned(),
            "/api/v1/account".to_owned(),
            "/api/v1/account/bob".to_owned(),
            "/api/v1/settings".to_owned(),
            "/api/naru/v1/settings".to_owned(),
            "/api/naru/v1/settings/keys".to_owned(),
            "/api/naru/v1/audit?limit=500".to_owned(),
            "/api/naru/v1/audit/verify".to_owned(),
            "/api/naru/v1/audit/export".to_owned(),
            "/api/naru/v1/quotas".to_owned(),
        ] {
            self.get(&path).await?;
        }
        let details = json!({"source": self.app("app", &json!({}))["spec"]["source"]});
        self.post(&format!("/api/v1/repositories/{url}/appdetails"), details)
            .await?;
        let operator = self.platform.operator()?;
        let path = format!("/api/naru/v1/tenants/{}", self.tenant.name);
        self.ask_as(&operator, Method::GET, &path, &Value::Null)
            .await?;
        let export = operator.request(Method::GET, &format!("{path}/export"));
        let export = export.send().await?.error_for_status()?.bytes().await?;
        self.outputs.keep("export of the tenant", export)
    }

    /// What goes wrong: passwords, addresses, types and files that a refusal might quote.
    pub(crate) async fn fail(&mut self) -> Result<()> {
        let url = self.tenant.repo_url.clone();
        let wrong = self.planted(Canary::plain("wrong repository password"));
        let body = json!({"repo": url, "username": "nobody", "password": wrong, "upsert": true});
        self.post("/api/v1/repositories", body.clone()).await?;
        let other = json!({"repo": format!("{url}-none"), "username": "nobody", "password": wrong});
        self.post("/api/v1/repositories", other).await?;
        let path = format!("/api/v1/repositories/{}/validate", encoded(&url));
        let query = format!("?username=nobody&password={wrong}&project=default");
        self.post(&format!("{path}{query}"), json!(url)).await?;
        let address = self.planted(Canary::plain("password in an address"));
        let inside = url.replace("http://", &format!("http://me:{address}@"));
        self.post("/api/v1/repositories", json!({"repo": inside}))
            .await?;
        let gone = format!("https://me:{address}@127.0.0.1:1/x.git");
        self.post("/api/v1/repositories", json!({"repo": gone}))
            .await?;
        let app = self.app("address", &json!({"repoURL": inside, "path": "ssh"}));
        self.post("/api/v1/applications", app.clone()).await?;
        self.post("/api/v1/applications?validate=false", app)
            .await?;
        self.get("/api/v1/applications/address?refresh=hard")
            .await?;

        let key = self.planted(Canary::plain("no private key"));
        let ssh = self.platform.ssh()?.url(&self.tenant.name, "other");
        let pem = format!(
            "-----BEGIN OPENSSH PRIVATE KEY-----\n{key}\n-----END OPENSSH PRIVATE KEY-----\n"
        );
        self.post(
            "/api/v1/repositories",
            json!({"repo": ssh, "sshPrivateKey": pem}),
        )
        .await?;
        let far = self.planted(Canary::plain("token of a cluster that is not there"));
        let password = self.planted(Canary::plain("password of a cluster"));
        let config = json!({"bearerToken": far});
        let body = json!({"server": "https://127.0.0.1:1", "name": "x", "config": config});
        self.post("/api/v1/clusters", body).await?;
        let config = json!({"username": "u", "password": password, "tlsClientConfig": {"keyData": STANDARD.encode(&password), "certData": "eA=="}});
        let body = json!({"server": "https://127.0.0.1:1", "name": "x", "config": config});
        self.post("/api/v1/clusters", body).await?;

        let number = self.planted(Canary::number("a number as password"));
        let digits: Value = serde_json::from_str(&number)?;
        for (path, field) in [
            ("/api/v1/repositories", "password"),
            ("/api/v1/repocreds", "password"),
            ("/api/v1/session", "password"),
            ("/api/v1/clusters", "config"),
            ("/api/v1/account/bob/token", "id"),
        ] {
            self.post(path, json!({field: digits})).await?;
        }
        let changes = json!({"changes": [{"object": "argocd-secret", "key": "oidc.clientSecret", "value": digits}]});
        self.ask(Method::PATCH, "/api/naru/v1/settings", changes)
            .await?;
        let text = self.planted(Canary::plain("a password in broken JSON"));
        let client = self.tenant.client.clone();
        for path in ["/api/v1/repositories", "/api/v1/session"] {
            let broken = format!("{{\"password\": \"{text}\", {text}}}");
            let request = client
                .request(Method::POST, path)
                .header("content-type", "application/json");
            let answer = request.body(broken).send().await?;
            let kept = format!("{:?} {}", answer.headers().clone(), answer.text().await?);
            self.outputs.keep(format!("answer POST {path}"), kept)?;
        }

        let guess = self.planted(Canary::plain("wrong account password"));
        let nobody = self.tenant.client.with_token("");
        let body = json!({"username": "bob", "password": guess});
        self.ask_as(&nobody, Method::POST, "/api/v1/session", &body)
            .await?;
        let body = json!({"name": "bob", "currentPassword": guess, "newPassword": guess});
        self.ask(Method::PUT, "/api/v1/account/password", body)
            .await?;
        let forged = format!("{}x", self.value("session token"));
        let forged = self.tenant.client.with_token(&forged);
        self.ask_as(&forged, Method::GET, "/api/v1/applications", &Value::Null)
            .await?;
        let patch = self.planted(Canary::plain("a patch of a Secret"));
        let path = format!(
            "/api/v1/applications/app/resource?namespace={}&resourceName=a&version=v1&kind=Secret&patchType=application/merge-patch%2Bjson",
            self.tenant.name
        );
        let body = json!(json!({"stringData": {"p": patch}}).to_string());
        self.post(&path, body).await?;
        let body = json!(json!({"data": {"p": patch}}).to_string());
        self.post(&path, body).await?;
        let hook = self.planted(Canary::plain("wrong webhook secret"));
        let push = json!({"object_kind": "push", "ref": "refs/heads/main", "project": {"git_http_url": url}});
        let request = nobody
            .request(Method::POST, "/api/webhook")
            .header("x-gitlab-event", "Push Hook")
            .header("x-gitlab-token", hook);
        let answer = request.json(&push).send().await?.text().await?;
        self.outputs.keep("answer POST /api/webhook", answer)
    }

    /// The same over gRPC, by the unmodified command.
    pub(crate) async fn by_command(&mut self) -> Result<()> {
        let url = self.tenant.repo_url.clone();
        let wrong = self.value("wrong repository password");
        for line in [
            "app list -o json",
            "app get app -o json --show-operation",
            "app get app --hard-refresh",
            "app diff app",
            "app manifests app",
            "app manifests app --source live",
            "app resources app",
            "app history app",
            "app get typed",
            "app get base64",
            "app diff kust",
            "app manifests kust",
            "app get yaml",
            "app manifests yaml",
            "app sync app",
            "app diff app",
            "app sync typed",
            "repo list -o json",
            "repocreds list -o json",
            "cluster list -o json",
            "cluster get far -o json",
            "cert list",
            "account list -o json",
            "account get --account bob -o json",
            "proj get team -o json",
            &format!("repo get {url} --refresh hard"),
            &format!("repo add {url}-none --username x --password {wrong}"),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let done: Output = self.tenant.client.argocd(&words).await?;
            let place = words[..2].join(" ");
            self.outputs.keep(format!("argocd {place}"), said(&done))?;
        }
        for path in ["/api/v1/applications/app", "/api/v1/applications/kust"] {
            self.ask(Method::DELETE, &format!("{path}?cascade=true"), Value::Null)
                .await?;
        }
        Ok(())
    }

    /// What lies beneath: logs, metrics, the database, Redis, the repo-server's files, the cluster's events.
    pub(crate) async fn beneath(&mut self) -> Result<()> {
        let events = format!("/api/v1/namespaces/{}/events", self.tenant.name);
        let events = self.platform.kube()?.get(&events).await?;
        let events = events.context("events")?.to_string();
        self.outputs.keep("events of the cluster", events)?;

        let supervisor = self.platform.supervisor()?;
        let http = testkit::http::builder().build()?;
        for name in SERVICES {
            let process = supervisor.find(name).context(name)?;
            self.outputs
                .keep(format!("log {name}"), std::fs::read(process.log())?)?;
            let listen = &process.spec().env["NARU_METRICS_LISTEN"];
            for path in ["metrics", "readyz"] {
                let said = http.get(format!("http://{listen}/{path}")).send().await?;
                self.outputs
                    .keep(format!("{path} {name}"), said.bytes().await?)?;
            }
        }
        let beneath = self.platform.beneath().clone();
        let mut dump = command(postgres::binaries()?.join("pg_dump"));
        dump.args(["--inserts", "--dbname", &beneath.database.admin]);
        let dump = output(&mut dump).await?;
        anyhow::ensure!(dump.contains("INSERT INTO naru.applications"), "no dump");
        self.outputs.keep("database", dump)?;

        // A dump of everything of every type, not compressed.
        let at = url::Url::parse(&beneath.redis_url)?;
        let redis = |args: &'static [&'static str]| {
            let mut redis = command("redis-cli");
            redis.env("REDISCLI_AUTH", at.password().unwrap_or_default());
            redis.args(["-e", "-p", &at.port().unwrap_or_default().to_string()]);
            redis.args(args);
            async move { output(&mut redis).await }
        };
        redis(&["config", "set", "rdbcompression", "no"]).await?;
        redis(&["save"]).await?;
        anyhow::ensure!(redis(&["dbsize"]).await?.trim() != "0", "Redis is empty");
        let dump = std::fs::read(self.platform.dir().join("redis/dump.rdb"))?;
        self.outputs.keep("redis", dump)?;

        // While Git runs over SSH its key lies in a folder of its own; what stays is what is left when nothing runs.
        let server = supervisor.find("naru-repo-server");
        server.context("naru-repo-server")?.stop().await?;
        let mut tar = command("tar");
        tar.args(["-c", "-C"])
            .arg(self.platform.dir().join("repo-server"))
            .arg(".");
        self.outputs
            .keep("files of the repo-server", tar.output().await?.stdout)
    }

    /// Ends the streams and the platform; what was said, and what was planted.
    pub(crate) async fn end(mut self) -> Result<(Outputs, Vec<Canary>)> {
        for (name, mut stream) in std::mem::take(&mut self.watches) {
            let mut all = Vec::new();
            // What has been said lies ready; a stream says nothing more after it.
            let pause = std::time::Duration::from_secs(1);
            while let Ok(Ok(Some(part))) = tokio::time::timeout(pause, stream.chunk()).await {
                all.extend_from_slice(&part);
            }
            anyhow::ensure!(!all.is_empty(), "{name} said nothing");
            self.outputs.keep(name, all)?;
        }
        // Services that stop send what is left of their traces.
        self.platform.stop().await?;
        let spans = self.collector.spans();
        for name in SERVICES {
            let traced = spans.iter().any(|span| span.service == name);
            anyhow::ensure!(traced, "{name} sent no traces");
        }
        self.outputs.keep("traces", format!("{spans:?}"))?;
        Ok((self.outputs, self.canaries))
    }
}
