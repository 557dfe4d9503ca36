//! What a pod, or the pods beneath a workload, wait for or die of.

use domain::cause::Cause;
use domain::message;
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
            _ => {}
        }
    }
    causes
}

/// Why a container does not run or is not ready, and whether that is a fault rather than a matter of time.
fn container(pod: &Value, pod_name: &str, status: &Value) -> Option<(Cause, bool)> {
    let with = |code: message::Code| {
        code.with("container", text(status, &["name"]))
            .with("pod", pod_name)
    };
    let image = image(pod, status);
    let waiting = |field| text(status, &["state", "waiting", field]);
    let restarts = number(status, &["restartCount"]);
    let last =
        at(status, &["lastState", "terminated"]).or_else(|| at(status, &["state", "terminated"]));
    let exit_code = last
        .map(|ended| number(ended, &["exitCode"]))
        .unwrap_or_default();
    let out_of_memory = last.is_some_and(|ended| text(ended, &["reason"]) == "OOMKilled");
    let message = match waiting("reason") {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "RegistryUnavailable"
        | "ErrImagePullBackOff" => with(message::health::IMAGE_PULL).with("image", image),
        "InvalidImageName" => with(message::health::INVALID_IMAGE_NAME).with("image", image),
        "CrashLoopBackOff" if out_of_memory => with(message::health::OUT_OF_MEMORY),
        "CrashLoopBackOff" => with(message::health::CRASH_LOOP)
            .with("exit_code", exit_code)
            .with("restarts", restarts),
        reason @ ("CreateContainerConfigError" | "CreateContainerError") => {
            with(message::health::CONTAINER_CONFIG).with("reason", reason)
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
    with: &dyn Fn(message::Code) -> message::Message,
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
        return Some((said(cause(message, pod), text(ended, &["message"])), true));
    }
    let running = at(status, &["state", "running"]).is_some();
    let ready = at(status, &["ready"]) == Some(&Value::Bool(true));
    (running && !ready).then(|| {
        (
            cause(with(message::health::CONTAINER_NOT_READY), pod),
            false,
        )
    })
}

/// The image as the spec names it; the status has it resolved.
fn image<'a>(pod: &'a Value, status: &'a Value) -> &'a str {
    let name = text(status, &["name"]);
    ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| {
            at(pod, &["spec", list])
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        })
        .find(|container| text(container, &["name"]) == name)
        .map_or_else(
            || text(status, &["image"]),
            |container| text(container, &["image"]),
        )
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
            "ReplicaSet" => condition(child, "ReplicaFailure")
                .filter(|c| text(c, &["status"]) == "True")
                .map(|failure| {
                    let reason = cause(named(message::health::REPLICA_FAILURE, child), object);
                    vec![said(reason, text(failure, &["message"]))]
                })
                .unwrap_or_default(),
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
    causes.sort_by_key(|cause| {
        let vague = [
            &message::health::POD_PENDING,
            &message::health::CONTAINER_NOT_READY,
        ];
        vague.into_iter().any(|code| cause.message.is(code))
    });
    causes.truncate(MOST);
    causes
}
