//! Nodes and pods that kwok simulates: a pod placed on a node runs at once, unless it says by annotation that it should
//! not.
//!
//! Where containers are enterable, what is run in one runs on this machine, as whoever runs the tests, in an empty folder.
//!
//! `naru.test/outcome` on a pod is `crash` (its containers end again and again), `no-image` (its image cannot be pulled),
//! `fail` (it ends with exit code 1) or `pending` (nothing ever happens to it).

use std::fs;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{Frame, Options, READY};
use crate::certs::Authority;
use crate::ground::Ground;
use crate::process::Spec;
use crate::tools;

/// Starts kwok and makes the nodes.
pub(super) async fn simulate(ground: &mut Ground, frame: &Frame, options: &Options) -> Result<()> {
    let count = options.nodes;
    let port = ground.port("kwok", "kwok", None)?;
    let identity =
        Authority::open(&frame.dir.join("certs"))?.server("kwok", &["localhost", "127.0.0.1"])?;
    let log = frame.dir.join("pod.log");
    fs::write(&log, POD_LOG)?;
    let mut config = frame.dir.join("kwok.yaml");
    let mut settings = configuration(&log.to_string_lossy());
    if options.enterable {
        // By another name, so that a kwok that runs without is started anew.
        config.set_file_name("kwok-enterable.yaml");
        let inside = frame.dir.join("container");
        fs::create_dir_all(&inside)?;
        settings.push_str(&entering(&inside.to_string_lossy()));
    }
    fs::write(&config, settings)?;
    let spec = Spec::new("kwok", tools::path("kwok", &ground.progress).await?)
        .arg(format!("--config={}", config.display()))
        .arg(format!("--kubeconfig={}", frame.admin.kubeconfig.display()))
        .arg("--manage-all-nodes=true")
        .arg("--node-ip=127.0.0.1")
        .arg(format!("--node-port={port}"))
        .arg(format!("--server-address=127.0.0.1:{port}"))
        .arg(format!("--tls-cert-file={}", identity.cert.display()))
        .arg(format!("--tls-private-key-file={}", identity.key.display()))
        .arg("--node-lease-duration-seconds=60")
        .arg("--cidr=10.128.0.0/12");
    let (process, _) = ground.supervisor.ensure(&spec).await?;
    let kube = &frame.admin.admin;
    for number in 1..=count {
        let node = node(number);
        kube.apply(&format!("/api/v1/nodes/node-{number}"), &node)
            .await?;
    }
    let ready = || async {
        let nodes = kube.get("/api/v1/nodes").await?.unwrap_or_default();
        let items = nodes["items"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let up = items.iter().filter(|node| is_usable(node)).count();
        if up < count {
            bail!("{up} of {count} nodes are ready")
        } else {
            Ok(())
        }
    };
    process
        .ready(READY.max(Duration::from_secs(60)), ready)
        .await
}

fn is_usable(node: &Value) -> bool {
    let conditions = node["status"]["conditions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    conditions
        .iter()
        .any(|c| c["type"] == "Ready" && c["status"] == "True")
        && node["spec"]["taints"].is_null()
}

fn node(number: usize) -> Value {
    let name = format!("node-{number}");
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}},
    })
}

/// kwok's settings, written by ourselves: one JSON document per object.
fn configuration(log: &str) -> String {
    let stage = |name: &str, kind: &str, when: Value, next: Value| {
        json!({
            "apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name},
            "spec": {"resourceRef": {"apiGroup": "v1", "kind": kind}, "selector": {"matchExpressions": when}, "next": next},
        })
    };
    let absent = |key: &str| json!({"key": key, "operator": "DoesNotExist"});
    let outcome = ".metadata.annotations[\"naru.test/outcome\"]";
    let is = |key: &str, value: &str| json!({"key": key, "operator": "In", "values": [value]});
    let alive = ".metadata.deletionTimestamp";
    let fresh = ".status.podIP";
    let status = |template: &str| json!({"statusTemplate": template});
    let documents = [
        json!({"apiVersion": "config.kwok.x-k8s.io/v1alpha1", "kind": "KwokConfiguration",
            "options": {"podPlayStageParallelism": 16, "nodePlayStageParallelism": 2}}),
        stage(
            "node-up",
            "Node",
            json!([{"key": ".status.conditions.[] | select( .type == \"Ready\" ) | .status",
            "operator": "NotIn", "values": ["True"]}]),
            status(NODE),
        ),
        stage(
            "pod-running",
            "Pod",
            json!([absent(alive), absent(fresh), absent(outcome)]),
            status(RUNNING),
        ),
        stage(
            "pod-crashing",
            "Pod",
            json!([absent(alive), absent(fresh), is(outcome, "crash")]),
            status(&waiting(
                "CrashLoopBackOff",
                "back-off 5m0s restarting failed container",
                5,
            )),
        ),
        stage(
            "pod-without-image",
            "Pod",
            json!([absent(alive), absent(fresh), is(outcome, "no-image")]),
            status(&waiting("ImagePullBackOff", "Back-off pulling image", 0)),
        ),
        stage(
            "pod-failing",
            "Pod",
            json!([absent(alive), absent(fresh), is(outcome, "fail")]),
            status(FAILED),
        ),
        stage(
            "pod-of-a-job-done",
            "Pod",
            json!([
                absent(alive),
                is(".status.phase", "Running"),
                is(".metadata.ownerReferences.[].kind", "Job")
            ]),
            status(DONE),
        ),
        stage(
            "pod-gone",
            "Pod",
            json!([{"key": alive, "operator": "Exists"}]),
            json!({"finalizers": {"empty": true}, "delete": true}),
        ),
        json!({"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "ClusterLogs", "metadata": {"name": "every-pod"},
            "spec": {"logs": [{"logsFile": log, "follow": true}]}}),
    ];
    documents
        .iter()
        .map(|document| format!("---\n{document}\n"))
        .collect()
}

/// How programs are run in containers: here, in a folder.
fn entering(folder: &str) -> String {
    let variables = json!([
        {"name": "HOME", "value": folder}, {"name": "PS1", "value": "$ "}, {"name": "TERM", "value": "xterm"},
    ]);
    let exec = json!({
        "apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "ClusterExec", "metadata": {"name": "every-pod"},
        "spec": {"execs": [{"local": {"workDir": folder, "envs": variables}}]},
    });
    format!("---\n{exec}\n")
}

/// What every simulated container has said, in the form in which container runtimes write it down.
const POD_LOG: &str = "2024-01-01T00:00:00.000000000Z stdout F the simulated container has started\n\
    2024-01-01T00:00:01.000000000Z stdout F it listens on port 8080\n";

const NODE: &str = r#"phase: Running
conditions:
- {type: Ready, status: "True", reason: Simulated, message: a simulated node, lastHeartbeatTime: {{ Now | Quote }}, lastTransitionTime: {{ Now | Quote }}}
addresses:
- {type: InternalIP, address: {{ NodeIP | Quote }}}
- {type: Hostname, address: {{ .metadata.name | Quote }}}
daemonEndpoints:
  kubeletEndpoint: {Port: {{ NodePort }}}
allocatable: {cpu: 1k, memory: 1Ti, pods: 1M}
capacity: {cpu: 1k, memory: 1Ti, pods: 1M}
nodeInfo: {architecture: amd64, operatingSystem: linux, kubeletVersion: simulated, containerRuntimeVersion: simulated, kubeProxyVersion: simulated, kernelVersion: "", osImage: "", bootID: "", machineID: "", systemUUID: ""}
"#;

const RUNNING: &str = r#"{{ $now := Now | Quote }}
phase: Running
startTime: {{ $now }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) | Quote }}
conditions:
- {type: PodScheduled, status: "True", lastTransitionTime: {{ $now }}}
- {type: Initialized, status: "True", lastTransitionTime: {{ $now }}}
- {type: ContainersReady, status: "True", lastTransitionTime: {{ $now }}}
- {type: Ready, status: "True", lastTransitionTime: {{ $now }}}
containerStatuses:
{{ range .spec.containers }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: "", ready: true, started: true, restartCount: 0, state: {running: {startedAt: {{ $now }}}}}
{{ end }}
{{ if .spec.initContainers }}
initContainerStatuses:
{{ range .spec.initContainers }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: "", ready: true, restartCount: 0, state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now }}, finishedAt: {{ $now }}}}}
{{ end }}
{{ end }}
"#;

const DONE: &str = r#"{{ $now := Now | Quote }}
phase: Succeeded
containerStatuses:
{{ range .spec.containers }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: "", ready: false, started: false, restartCount: 0, state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now }}, finishedAt: {{ $now }}}}}
{{ end }}
"#;

const FAILED: &str = r#"{{ $now := Now | Quote }}
phase: Failed
startTime: {{ $now }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) | Quote }}
containerStatuses:
{{ range .spec.containers }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: "", ready: false, started: false, restartCount: 0, state: {terminated: {exitCode: 1, reason: Error, startedAt: {{ $now }}, finishedAt: {{ $now }}}}}
{{ end }}
"#;

/// A pod whose containers wait for a reason.
fn waiting(reason: &str, message: &str, restarts: u32) -> String {
    format!(
        r#"{{{{ $now := Now | Quote }}}}
phase: {}
startTime: {{{{ $now }}}}
hostIP: {{{{ NodeIPWith .spec.nodeName | Quote }}}}
podIP: {{{{ PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) | Quote }}}}
conditions:
- {{type: PodScheduled, status: "True", lastTransitionTime: {{{{ $now }}}}}}
- {{type: Ready, status: "False", reason: ContainersNotReady, lastTransitionTime: {{{{ $now }}}}}}
containerStatuses:
{{{{ range .spec.containers }}}}
- {{name: {{{{ .name | Quote }}}}, image: {{{{ .image | Quote }}}}, imageID: "", ready: false, started: false, restartCount: {restarts}, state: {{waiting: {{reason: {reason}, message: {message}}}}}}}
{{{{ end }}}}
"#,
        if restarts == 0 { "Pending" } else { "Running" }
    )
}
