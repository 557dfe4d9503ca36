//! What is said of a pod in a few words, as `kubectl get pods` does.

use domain::resource::{at, is_leaving, text};
use serde_json::Value;

use crate::structural::quantity;

pub(super) fn info(pod: &Value) -> Vec<(String, String)> {
    let state = State::of(pod);
    let mut info = Vec::new();
    let mut add = |name: &str, value: String| info.push((name.to_owned(), value));
    if !state.reason.is_empty() {
        add("Status Reason", state.reason);
    }
    add("Node", text(pod, &["spec", "nodeName"]).to_owned());
    add("Containers", format!("{}/{}", state.ready, state.total));
    if state.restarts > 0 {
        add("Restart Count", state.restarts.to_string());
    }
    if !matches!(text(pod, &["status", "phase"]), "Succeeded" | "Failed") {
        add("cpu", requests(pod, "cpu").to_string());
        add("memory", requests(pod, "memory").to_string());
    }
    info
}

struct State {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
}

fn list<'a>(pod: &'a Value, path: &[&str]) -> Vec<&'a Value> {
    at(pod, path)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .collect()
}

fn number(value: &Value, path: &[&str]) -> i64 {
    at(value, path).and_then(Value::as_i64).unwrap_or_default()
}

fn is_true(value: &Value, path: &[&str]) -> bool {
    at(value, path) == Some(&Value::Bool(true))
}

/// An init container that keeps running beside the others.
fn stays(container: &Value) -> bool {
    text(container, &["restartPolicy"]) == "Always"
}

/// Why a container ended, in a word.
fn ended(terminated: &Value) -> String {
    match (
        text(terminated, &["reason"]),
        number(terminated, &["signal"]),
    ) {
        ("", 0) => format!("ExitCode:{}", number(terminated, &["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

impl State {
    fn of(pod: &Value) -> Self {
        let inits = list(pod, &["spec", "initContainers"]);
        let phase = text(pod, &["status", "phase"]);
        let reason = match text(pod, &["status", "reason"]) {
            "" => phase,
            reason => reason,
        };
        let mut state = Self {
            reason: reason.to_owned(),
            ready: 0,
            total: list(pod, &["spec", "containers"]).len()
                + inits.iter().filter(|c| stays(c)).count(),
            restarts: 0,
        };
        let conditions = list(pod, &["status", "conditions"]);
        let gated = |c: &&&Value| {
            text(c, &["type"]) == "PodScheduled" && text(c, &["reason"]) == "SchedulingGated"
        };
        if conditions.iter().find(gated).is_some() {
            "SchedulingGated".clone_into(&mut state.reason);
        }
        let initialized = conditions
            .iter()
            .find(|c| text(c, &["type"]) == "Initialized")
            .is_some_and(|c| text(c, &["status"]) == "True");
        if !state.initializing(pod, &inits) || initialized {
            state.running(pod);
        }
        if is_leaving(pod) {
            if text(pod, &["status", "reason"]) == "NodeLost" {
                "Unknown".clone_into(&mut state.reason);
            } else if !matches!(phase, "Succeeded" | "Failed") {
                "Terminating".clone_into(&mut state.reason);
            }
        }
        state
    }

    fn initializing(&mut self, pod: &Value, inits: &[&Value]) -> bool {
        for (position, status) in list(pod, &["status", "initContainerStatuses"])
            .into_iter()
            .enumerate()
        {
            self.restarts = self
                .restarts
                .saturating_add(number(status, &["restartCount"]));
            let terminated = at(status, &["state", "terminated"]);
            if terminated.is_some_and(|t| number(t, &["exitCode"]) == 0) {
                continue;
            }
            let spec = inits
                .iter()
                .find(|c| text(c, &["name"]) == text(status, &["name"]));
            if spec.is_some_and(|c| stays(c)) && is_true(status, &["started"]) {
                self.ready += usize::from(is_true(status, &["ready"]));
                continue;
            }
            let waiting = text(status, &["state", "waiting", "reason"]);
            self.reason = match terminated {
                Some(terminated) => format!("Init:{}", ended(terminated)),
                None if !waiting.is_empty() && waiting != "PodInitializing" => {
                    format!("Init:{waiting}")
                }
                None => format!("Init:{position}/{}", inits.len()),
            };
            return true;
        }
        false
    }

    fn running(&mut self, pod: &Value) {
        let mut some_running = false;
        for status in list(pod, &["status", "containerStatuses"])
            .into_iter()
            .rev()
        {
            self.restarts = self
                .restarts
                .saturating_add(number(status, &["restartCount"]));
            let waiting = text(status, &["state", "waiting", "reason"]);
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if let Some(terminated) = at(status, &["state", "terminated"]) {
                self.reason = ended(terminated);
            } else if is_true(status, &["ready"]) && at(status, &["state", "running"]).is_some() {
                some_running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && some_running {
            "Running".clone_into(&mut self.reason);
        }
    }
}

/// What a pod reserves, in thousandths: its containers together, or its hungriest init container.
fn requests(pod: &Value, resource: &str) -> i128 {
    let milli = |container: &Value| {
        let amount = at(container, &["resources", "requests", resource]);
        let text = amount.map(|a| a.as_str().map_or_else(|| a.to_string(), str::to_owned));
        text.and_then(|text| quantity(&text))
            .map_or(0, |nanos| nanos / 1_000_000)
    };
    let mut beside = 0;
    let mut hungriest = 0;
    for init in list(pod, &["spec", "initContainers"]) {
        if stays(init) {
            beside += milli(init);
            hungriest = hungriest.max(beside);
        } else {
            hungriest = hungriest.max(beside + milli(init));
        }
    }
    let together: i128 = list(pod, &["spec", "containers"])
        .into_iter()
        .map(milli)
        .sum();
    (together + beside).max(hungriest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn more_restarts_than_can_be_counted_are_as_many_as_can() {
        let restarted = json!({"name": "a", "restartCount": i64::MAX});
        let mut pod = json!({"status": {"containerStatuses": [&restarted, &restarted]}});
        let told = |pod: &serde_json::Value| {
            let info = super::info(pod).into_iter();
            let mut counts = info.filter(|(name, _)| name == "Restart Count");
            counts.next().map(|(_, count)| count)
        };
        let most = Some(i64::MAX.to_string());
        assert_eq!(told(&pod), most);
        pod["status"]["initContainerStatuses"] = json!([
            {"name": "b", "restartCount": i64::MAX, "state": {"terminated": {"exitCode": 0}}},
            {"name": "c", "restartCount": 1, "state": {"terminated": {"exitCode": 0}}}]);
        assert_eq!(told(&pod), most);
    }
}
