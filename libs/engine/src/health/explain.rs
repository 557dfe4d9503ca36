//! What a pod, or the pods beneath a workload, wait for or die of.

use domain::cause::Cause;
use domain::denial::Denial;
use domain::message::{self, Message};
use domain::resource::{at, text};
use serde_json::Value;

use super::{cause, condition, named, number, said};

/// Causes shown of what is beneath one object.
const MOST: usize = 3;

/// Why a pod is not ready, most specific first.
pub(super) fn pod(pod: &Value) -> Vec<Cause> {
    let name = text(pod, &["metadata", "name"]);
    let mut causes = Vec::new();
    let mut pending = Vec::new();
    for list in ["initContainerStatuses", "containerStatuses"] {
        for status in at(pod, &["status", list])
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            match container(pod, name, status) {
                Some((cause, true)) => causes.push(cause),
                Some((cause, false)) => pending.push(cause),
                None => {}
            }
        }
    }
    if let Some(scheduled) = condition(pod, "PodScheduled")
        && text(scheduled, &["status"]) == "False"
    {
        let reason = cause(message::health::UNSCHEDULABLE.with("pod", name), pod);
        causes.push(said(reason, text(scheduled, &["message"])));
    }
    if causes.is_empty() {
        causes = pending;
    }
    if causes.is_empty() {
        let words = text(pod, &["status", "message"]);
        match text(pod, &["status", "phase"]) {
            "Pending" => {
                causes.push(said(
                    cause(message::health::POD_PENDING.with("pod", name), pod),
                    words,
                ));
            }
            "Failed" => causes.push(said(
                cause(message::health::POD_FAILED.with("pod", name), pod),
                words,
            )),
            _ => causes.extend(readiness_gate(pod, name)),
        }
    }
    causes
}

fn readiness_gate(pod: &Value, name: &str) -> Option<Cause> {
    let ready = condition(pod, "Ready")?;
    let reason = cause(message::health::READINESS_GATE.with("pod", name), pod);
    (text(ready, &["reason"]) == "ReadinessGatesNotReady")
        .then(|| said(reason, text(ready, &["message"])))
}

/// Why a container does not run or is not ready, and whether that is a fault rather than a matter of time.
fn container(pod: &Value, pod_name: &str, status: &Value) -> Option<(Cause, bool)> {
    let with = |code: message::Code| {
        code.with("container", text(status, &["name"]))
            .with("pod", pod_name)
    };
    let image = image(pod, status);
    let waiting = |field| text(status, &["state", "waiting", field]);
    let last = last_end(status);
    let message = match waiting("reason") {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "RegistryUnavailable"
        | "ErrImagePullBackOff" => with(message::health::IMAGE_PULL).with("image", image),
        "InvalidImageName" => with(message::health::INVALID_IMAGE_NAME).with("image", image),
        "CrashLoopBackOff" if out_of_memory(last) => with(message::health::OUT_OF_MEMORY),
        "CrashLoopBackOff" => {
            let message = again(with(message::health::CRASH_LOOP), status, last);
            let reason = cause(message, pod);
            let left = last.map(left_behind).unwrap_or_default();
            let reason = if left.is_empty() {
                said(reason, waiting("message"))
            } else {
                reason.evidence(left)
            };
            return Some((reason, true));
        }
        reason @ ("CreateContainerConfigError" | "CreateContainerError") => {
            match Absent::read(waiting("message")) {
                Some(absent) => absent.told(&with),
                None => with(message::health::CONTAINER_CONFIG).with("reason", reason),
            }
        }
        "" | "ContainerCreating" | "PodInitializing" => {
            return ended_or_unready(pod, status, &with);
        }
        reason => with(message::health::CONTAINER_WAITING).with("reason", reason),
    };
    Some((said(cause(message, pod), waiting("message")), true))
}

fn ended_or_unready(
    pod: &Value,
    status: &Value,
    with: &dyn Fn(message::Code) -> Message,
) -> Option<(Cause, bool)> {
    if let Some(ended) = at(status, &["state", "terminated"]) {
        let exit_code = number(ended, &["exitCode"]);
        let message = match text(ended, &["reason"]) {
            "OOMKilled" => with(message::health::OUT_OF_MEMORY),
            _ if exit_code != 0 => {
                with(message::health::CONTAINER_FAILED).with("exit_code", exit_code)
            }
            _ => return None,
        };
        return Some((leaving(cause(message, pod), ended), true));
    }
    let running = at(status, &["state", "running"]).is_some();
    let ready = at(status, &["ready"]) == Some(&Value::Bool(true));
    (running && !ready).then(|| unready(pod, status, with))
}

/// What a running container that is not ready waits for. Which probe it is, its status tells; what a probe got for an answer
/// is said in events alone.
fn unready(pod: &Value, status: &Value, with: &dyn Fn(message::Code) -> Message) -> (Cause, bool) {
    let last = last_end(status);
    let starting = at(status, &["started"]) == Some(&Value::Bool(false));
    match last {
        _ if must_end(pod, status) => (cause(with(message::health::INIT_RUNNING), pod), false),
        Some(_) if out_of_memory(last) => (cause(with(message::health::OUT_OF_MEMORY), pod), true),
        Some(ended) => {
            let message = again(with(message::health::CONTAINER_RESTARTED), status, last);
            (leaving(cause(message, pod), ended), true)
        }
        None if starting => (cause(with(message::health::CONTAINER_STARTING), pod), false),
        None => (
            cause(with(message::health::CONTAINER_NOT_READY), pod),
            false,
        ),
    }
}

/// How a container ended last.
fn last_end(status: &Value) -> Option<&Value> {
    at(status, &["lastState", "terminated"]).or_else(|| at(status, &["state", "terminated"]))
}

fn out_of_memory(ended: Option<&Value>) -> bool {
    ended.is_some_and(|ended| text(ended, &["reason"]) == "OOMKilled")
}

fn again(message: Message, status: &Value, last: Option<&Value>) -> Message {
    let exit_code = last.map(|ended| number(ended, &["exitCode"]));
    message
        .with("exit_code", exit_code.unwrap_or_default())
        .with("restarts", number(status, &["restartCount"]))
}

fn leaving(cause: Cause, ended: &Value) -> Cause {
    match left_behind(ended) {
        left if left.is_empty() => cause,
        left => cause.evidence(left),
    }
}

/// The last lines of what a container left behind when it ended, on one line.
///
/// That is its termination message, which is part of the pod and for everybody who may see the application; with
/// `terminationMessagePolicy: FallbackToLogsOnError` it is the end of the log. Logs themselves are not fetched: they are for
/// those who have a right of their own to them, and a cause is for all.
fn left_behind(ended: &Value) -> String {
    const LINES: usize = 5;
    const MOST: usize = 1024;
    let words = text(ended, &["message"]).trim();
    let first = words.rmatch_indices('\n').nth(LINES - 1);
    let start = first.map_or(0, |(position, _)| position + 1);
    let start = start.max(words.len().saturating_sub(MOST));
    let start = (start..words.len()).find(|&position| words.is_char_boundary(position));
    let last = start
        .and_then(|start| words.get(start..))
        .unwrap_or_default();
    let lines: Vec<&str> = last.lines().map(str::trim).collect();
    lines.join(" | ").replace(char::is_control, " ")
}

/// What a container's configuration names and is not there, in the kubelet's words.
struct Absent<'a> {
    kind: &'static str,
    name: &'a str,
    key: Option<&'a str>,
}

impl<'a> Absent<'a> {
    fn read(words: &'a str) -> Option<Self> {
        [("ConfigMap", "configmap \""), ("Secret", "secret \"")]
            .into_iter()
            .find_map(|(kind, begin)| {
                let rest = words.strip_prefix(begin);
                if let Some(name) = rest.and_then(|rest| rest.strip_suffix("\" not found")) {
                    let key = None;
                    return Some(Self { kind, name, key });
                }
                let rest = words.strip_prefix("couldn't find key ")?;
                let (key, place) = rest.split_once(" in ")?;
                let (_, name) = place.strip_prefix(kind)?.split_once('/')?;
                let key = Some(key);
                Some(Self { kind, name, key })
            })
    }

    fn told(&self, with: &dyn Fn(message::Code) -> Message) -> Message {
        let message = match self.key {
            Some(key) => with(message::health::CONFIG_KEY_MISSING).with("key", key),
            None => with(message::health::CONFIG_MISSING),
        };
        message.with("kind", self.kind).with("name", self.name)
    }
}

/// Whether a container is one that the others wait for to end.
fn must_end(pod: &Value, status: &Value) -> bool {
    let always = |container| text(container, &["restartPolicy"]) == "Always";
    declared(pod, status, "initContainers").is_some_and(|container| !always(container))
}

/// The image as the spec names it; the status has it resolved.
fn image<'a>(pod: &'a Value, status: &'a Value) -> &'a str {
    declared(pod, status, "initContainers")
        .or_else(|| declared(pod, status, "containers"))
        .map_or_else(
            || text(status, &["image"]),
            |container| text(container, &["image"]),
        )
}

/// What the spec says of a status's container, if it is in that list.
fn declared<'a>(pod: &'a Value, status: &Value, list: &str) -> Option<&'a Value> {
    let name = text(status, &["name"]);
    at(pod, &["spec", list])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|container| text(container, &["name"]) == name)
}

/// Why the pods of an object are not made, if its condition says so: a cause on `owner`.
pub(super) fn unmade(object: &Value, owner: &Value) -> Option<Cause> {
    use domain::message::health as m;
    let failure = condition(object, "ReplicaFailure").filter(|c| text(c, &["status"]) == "True")?;
    let words = text(failure, &["message"]);
    let message = match Denial::read(words) {
        Some(Denial::Quota) => named(m::PODS_QUOTA, object),
        Some(Denial::Limits) => named(m::PODS_LIMITS, object),
        Some(Denial::PodSecurity) => named(m::PODS_SECURITY, object),
        Some(Denial::ServiceAccount) => named(m::PODS_SERVICE_ACCOUNT, object),
        Some(Denial::Webhook(name)) => named(m::PODS_WEBHOOK, object).with("webhook", name),
        Some(Denial::WebhookFailed(name)) => {
            named(m::PODS_WEBHOOK_FAILED, object).with("webhook", name)
        }
        Some(Denial::Policy(name)) => named(m::PODS_POLICY, object).with("policy", name),
        Some(Denial::NamespaceEnding | Denial::Immutable) | None => {
            named(m::REPLICA_FAILURE, object)
        }
    };
    Some(said(cause(message, owner), words))
}

/// Whether a cause says no more than that something is not over yet.
pub(crate) fn is_vague(cause: &Cause) -> bool {
    use domain::message::health as m;
    let vague = [
        &m::POD_PENDING,
        &m::CONTAINER_NOT_READY,
        &m::CONTAINER_STARTING,
        &m::INIT_RUNNING,
        &m::NOT_OBSERVED,
        &m::WAITING_FOR_UPDATE,
        &m::WAITING_FOR_OLD,
        &m::WAITING_FOR_READY,
        &m::JOB_RUNNING,
    ];
    vague.into_iter().any(|code| cause.message.is(code))
}

/// What the objects beneath a workload say of why it is not ready. One cause stands for all pods with the same one.
pub(super) fn beneath(object: &Value, beneath: &[&Value]) -> Vec<Cause> {
    let mut causes: Vec<Cause> = Vec::new();
    let mut kinds = std::collections::HashSet::new();
    for child in beneath {
        let found = match text(child, &["kind"]) {
            "Pod"
                if super::assess(child)
                    .is_some_and(|h| h.code != domain::status::HealthCode::Healthy) =>
            {
                pod(child)
            }
            "ReplicaSet" => unmade(child, object).into_iter().collect(),
            _ => continue,
        };
        for cause in found {
            let container = cause.message.arguments.get("container").cloned();
            if kinds.insert((cause.message.code.clone(), container)) {
                causes.push(cause);
            }
        }
    }
    // A pod that merely starts says less than one that cannot.
    causes.sort_by_key(is_vague);
    causes.truncate(MOST);
    causes
}
