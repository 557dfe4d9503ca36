//! A Kubernetes control plane of one's own: etcd, apiserver, controller-manager and scheduler as everybody runs them,
//! with nodes and pods that kwok simulates.

mod nodes;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::certs::{self, Authority, Identity};
use crate::ground::Ground;
use crate::kube::Kube;
use crate::paths;
use crate::process::Spec;
use crate::tools;

/// How a control plane is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The API's port; a free one by default.
    pub port: Option<u16>,
    /// Whether etcd waits for the disk, as it must where durable writes are compared.
    pub durable: bool,
    /// Whether every write, and what the controller reads of a tenant's, is recorded in an audit log.
    pub audit: bool,
    /// Whether that log also has all that the controller lists and follows.
    pub watches: bool,
    /// How many nodes are simulated.
    pub nodes: usize,
    /// Whether programs can be run in simulated containers, which is to say on this machine.
    pub enterable: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: None,
            durable: false,
            audit: false,
            watches: false,
            nodes: 2,
            enterable: false,
        }
    }
}

/// A running control plane.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    /// Access with every right.
    pub admin: Kube,
    /// A kubeconfig with every right.
    pub kubeconfig: PathBuf,
    /// The kubeconfig of Naru's own account, `naru-controller`, which the audit log tells from others.
    pub controller_kubeconfig: PathBuf,
    /// Where writes are recorded, if they are; [`Self::recorded`] reads it.
    pub audit_log: Option<PathBuf>,
    /// The address of its etcd.
    etcd: String,
}

/// Ready within this, or not at all.
const READY: Duration = Duration::from_secs(90);

/// What all its parts share.
struct Frame {
    dir: PathBuf,
    etcd: u16,
    api: u16,
    authority: PathBuf,
    server: Identity,
    signing_key: PathBuf,
    tokens: PathBuf,
    admin: ControlPlane,
}

impl ControlPlane {
    /// The control plane of a folder, started now where it does not run.
    ///
    /// # Errors
    /// When a tool cannot be built, or a part does not start.
    pub async fn start(ground: &mut Ground, options: &Options) -> Result<Self> {
        let frame = Frame::lay(ground, options)?;
        frame.etcd(ground, options).await?;
        frame.apiserver(ground, options).await?;
        frame.grant_controller().await?;
        frame.controller_manager(ground).await?;
        frame.scheduler(ground).await?;
        nodes::simulate(ground, &frame, options).await?;
        Ok(frame.admin)
    }

    /// What the audit log has of the requests that are `wanted`, oldest first.
    ///
    /// # Errors
    /// When nothing is recorded.
    pub fn recorded(&self, wanted: impl Fn(&Value) -> bool) -> Result<Vec<Value>> {
        let log = self.audit_log.as_ref().context("there is no audit log")?;
        let text = fs::read_to_string(log)?;
        let events = text.lines().filter_map(|line| {
            // The last one may be half written.
            serde_json::from_str::<Value>(line).ok()
        });
        Ok(events.filter(wanted).collect())
    }

    /// Takes an object out of etcd behind the apiserver's back (`services/specs/<namespace>/<name>`) and throws the
    /// history away: who was not there can learn of it only by listing anew.
    ///
    /// # Errors
    /// When etcd does not answer, or has no such object.
    pub async fn lose(&self, object: &str) -> Result<()> {
        let key = STANDARD.encode(format!("/registry/{object}"));
        let deleted = self.ask_etcd("deleterange", &json!({"key": key})).await?;
        if deleted["deleted"] != "1" {
            bail!("etcd has no /registry/{object}: {deleted}");
        }
        let revision = deleted["header"]["revision"].clone();
        self.ask_etcd(
            "compaction",
            &json!({"revision": revision, "physical": true}),
        )
        .await
        .map(drop)
    }

    async fn ask_etcd(&self, what: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/v3/kv/{what}", self.etcd);
        let asked = crate::http::builder().build()?.post(url).json(body);
        Ok(asked.send().await?.error_for_status()?.json().await?)
    }

    /// A certificate with which a client is the user of that name, who has no right of their own.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn user(&self, name: &str) -> Result<Identity> {
        let dir = self.controller_kubeconfig.parent();
        let certs = dir.context("a folder")?.join("certs");
        Authority::open(&certs)?.server(name, &[])
    }

    /// What a watch of `path` from this version says first.
    ///
    /// # Errors
    /// When the apiserver does not answer.
    pub async fn watch_from(&self, path: &str, resource_version: &str) -> Result<String> {
        let path = format!("{path}?watch=1&timeoutSeconds=1&resourceVersion={resource_version}");
        let answer = self.admin.request(reqwest::Method::GET, &path).send();
        Ok(answer.await?.text().await?)
    }
}

impl Frame {
    fn lay(ground: &mut Ground, options: &Options) -> Result<Self> {
        let dir = ground.folder("kubernetes")?;
        let authority = Authority::open(&dir.join("certs"))?;
        let hosts = [
            "localhost",
            "127.0.0.1",
            "kubernetes.default.svc",
            "10.96.0.1",
        ];
        let server = authority.server("apiserver", &hosts)?;
        let signing_key = dir.join("service-account.key");
        if !signing_key.is_file() {
            let (private, public) = certs::signing_key()?;
            paths::private_file(&dir.join("service-account.pub"), public.as_bytes())?;
            paths::private_file(&signing_key, private.as_bytes())?;
        }
        let (admin, controller) = (
            ground.secret("kubernetes-admin")?,
            ground.secret("kubernetes-controller")?,
        );
        let tokens = dir.join("tokens.csv");
        let lines = format!(
            "{admin},admin,admin,system:masters\n{controller},naru-controller,naru-controller,naru\n"
        );
        paths::private_file(&tokens, lines.as_bytes())?;
        let etcd = ground.port("etcd", "etcd", None)?;
        let api = ground.port("kube", "kube-apiserver", options.port)?;
        let url = format!("https://127.0.0.1:{api}");
        let plane = ControlPlane {
            admin: Kube::new(&url, &server.ca, &admin)?,
            kubeconfig: ground.dir().join("kubeconfig"),
            controller_kubeconfig: dir.join("controller.kubeconfig"),
            audit_log: options.audit.then(|| dir.join("audit.log")),
            etcd: format!("http://127.0.0.1:{etcd}"),
        };
        plane.admin.write_kubeconfig(&plane.kubeconfig, "admin")?;
        Kube::new(&url, &server.ca, &controller)?
            .write_kubeconfig(&plane.controller_kubeconfig, "naru-controller")?;
        let authority = authority.certificate();
        Ok(Self {
            dir,
            etcd,
            api,
            authority,
            server,
            signing_key,
            tokens,
            admin: plane,
        })
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }

    async fn etcd(&self, ground: &mut Ground, options: &Options) -> Result<()> {
        let peer = ground.port("etcd-peer", "etcd", None)?;
        let client = format!("http://127.0.0.1:{}", self.etcd);
        let mut spec = Spec::new("etcd", tools::path("etcd", &ground.progress).await?)
            .arg(format!("--data-dir={}", self.path("etcd")))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls=http://127.0.0.1:{peer}"))
            .arg("--quota-backend-bytes=8589934592")
            .arg("--log-level=warn");
        if !options.durable {
            spec = spec.arg("--unsafe-no-fsync");
        }
        let (process, _) = ground.supervisor.ensure(&spec).await?;
        let http = crate::http::builder().build()?;
        process
            .ready(READY, || async {
                ok(http.get(format!("{client}/health"))).await
            })
            .await
    }

    async fn apiserver(&self, ground: &mut Ground, options: &Options) -> Result<()> {
        let mut spec = Spec::new(
            "kube-apiserver",
            tools::path("kube-apiserver", &ground.progress).await?,
        );
        let path = |file: &std::path::Path| file.to_string_lossy().into_owned();
        for flag in [
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd),
            format!("--secure-port={}", self.api),
            "--bind-address=127.0.0.1".to_owned(),
            "--external-hostname=127.0.0.1".to_owned(),
            format!("--tls-cert-file={}", path(&self.server.cert)),
            format!("--tls-private-key-file={}", path(&self.server.key)),
            format!("--cert-dir={}", self.path("apiserver")),
            format!("--client-ca-file={}", path(&self.authority)),
            format!("--kubelet-certificate-authority={}", path(&self.authority)),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            format!(
                "--service-account-key-file={}",
                self.path("service-account.pub")
            ),
            format!(
                "--service-account-signing-key-file={}",
                path(&self.signing_key)
            ),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--token-auth-file={}", path(&self.tokens)),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            "--allow-privileged=true".to_owned(),
            "--max-requests-inflight=2000".to_owned(),
            "--max-mutating-requests-inflight=1000".to_owned(),
            "--profiling=false".to_owned(),
        ] {
            spec = spec.arg(flag);
        }
        if let Some(log) = &self.admin.audit_log {
            let policy = self.dir.join("audit-policy.json");
            fs::write(&policy, audit_policy(options.watches).to_string())?;
            spec = spec
                .arg(format!("--audit-log-path={}", path(log)))
                .arg(format!("--audit-policy-file={}", path(&policy)));
            // Tests read what has just happened.
            spec = spec.arg("--audit-log-mode=blocking");
        }
        let (process, _) = ground.supervisor.ensure(&spec).await?;
        let admin = &self.admin.admin;
        let probe = || async {
            match admin.get("/readyz").await? {
                Some(_) => Ok(()),
                None => bail!("not ready"),
            }
        };
        process.ready(READY, probe).await
    }

    /// Naru's own account may do everything, as it has to hand out rights to tenants.
    async fn grant_controller(&self) -> Result<()> {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "naru-controller"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "naru-controller"}],
        });
        let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/naru-controller";
        self.admin
            .admin
            .apply(path, &binding)
            .await
            .map(drop)
            .context("cannot give naru-controller its rights")
    }

    async fn controller_manager(&self, ground: &mut Ground) -> Result<()> {
        let name = "kube-controller-manager";
        let port = ground.port(name, name, None)?;
        let spec = Spec::new(name, tools::path(name, &ground.progress).await?)
            .arg(format!("--kubeconfig={}", self.admin.kubeconfig.display()))
            .arg("--leader-elect=false")
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={port}"))
            .arg(format!("--cert-dir={}", self.path(name)))
            .arg(format!("--root-ca-file={}", self.authority.display()))
            .arg(format!("--service-account-private-key-file={}", self.signing_key.display()))
            .arg("--kube-api-qps=1000")
            .arg("--kube-api-burst=2000")
            // There are no clouds, volumes or certificates here to look after.
            .arg("--controllers=*,-persistentvolume-attach-detach-controller,-ephemeral-volume-controller")
            .arg("--concurrent-deployment-syncs=10")
            .arg("--concurrent-replicaset-syncs=10")
            .arg("--profiling=false");
        self.healthy(ground, &spec, port).await
    }

    async fn scheduler(&self, ground: &mut Ground) -> Result<()> {
        let name = "kube-scheduler";
        let port = ground.port(name, name, None)?;
        let spec = Spec::new(name, tools::path(name, &ground.progress).await?)
            .arg(format!("--kubeconfig={}", self.admin.kubeconfig.display()))
            .arg("--leader-elect=false")
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={port}"))
            .arg(format!("--cert-dir={}", self.path(name)))
            .arg("--kube-api-qps=1000")
            .arg("--kube-api-burst=2000")
            .arg("--profiling=false");
        self.healthy(ground, &spec, port).await
    }

    async fn healthy(&self, ground: &mut Ground, spec: &Spec, port: u16) -> Result<()> {
        let (process, _) = ground.supervisor.ensure(spec).await?;
        // They make their certificates themselves.
        let http = crate::http::unchecked()?;
        process
            .ready(READY, || async {
                ok(http.get(format!("https://127.0.0.1:{port}/healthz"))).await
            })
            .await
    }
}

async fn ok(request: reqwest::RequestBuilder) -> Result<()> {
    let response = request.send().await?;
    if !response.status().is_success() {
        bail!("answers {}", response.status());
    }
    Ok(())
}

/// Writes with who made them, not what was in them; of reads those of Naru's own account that show what a tenant has, or all of
/// which it makes its picture of the cluster.
fn audit_policy(watches: bool) -> serde_json::Value {
    let (read, of) = match watches {
        // Of all kinds.
        true => (json!(["list", "watch"]), json!([])),
        false => (
            json!(["list"]),
            json!([{"group": "", "resources": ["events"]}]),
        ),
    };
    json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "users": ["admin", "system:apiserver"], "resources": [
                {"group": "coordination.k8s.io", "resources": ["leases"]}, {"group": "", "resources": ["events", "nodes/status"]},
                {"group": "events.k8s.io", "resources": ["events"]}]},
            {"level": "Metadata", "users": ["naru-controller"], "verbs": ["get"], "resources": [
                {"group": "", "resources": ["configmaps", "secrets", "pods/log", "pods/exec"]}]},
            {"level": "Metadata", "users": ["naru-controller"], "verbs": read, "resources": of},
            {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        ],
    })
}
