//! Deployments, StatefulSets, DaemonSets.

use std::collections::BTreeMap;

use domain::clock::Timestamp;
use domain::message::{self, Message};
use domain::resource::at;
use serde_json::{Value, json};

use super::{Action, Change, stamp};

/// The annotation by which kubectl too has all pods made anew.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// The parameter of `scale`.
const REPLICAS: &str = "replicas";

const RESTART: Action = Action::named("restart");
const SCALE: Action = Action {
    parameters: &[REPLICAS],
    ..Action::named("scale")
};

pub(super) fn daemon_set() -> Vec<Action> {
    vec![RESTART]
}

pub(super) fn stateful_set() -> Vec<Action> {
    vec![RESTART, SCALE]
}

/// `pause` is listed where the object says whether it is paused, and not disabled then, as in Argo CD.
pub(super) fn deployment(object: &Value) -> Vec<Action> {
    let paused = at(object, &["spec", "paused"]).and_then(Value::as_bool);
    let resume = Action::named("resume").disabled(paused != Some(true));
    let pause = paused.map(|_| Action::named("pause"));
    pause.into_iter().chain([RESTART, resume, SCALE]).collect()
}

pub(super) fn restart(now: Timestamp) -> Change {
    let annotations = json!({RESTARTED_AT: stamp(now)});
    Change::Merge(json!({"spec": {"template": {"metadata": {"annotations": annotations}}}}))
}

pub(super) fn scale(parameters: &BTreeMap<String, String>) -> Result<Change, Message> {
    let given = parameters.get(REPLICAS).map_or("", |text| text.trim());
    let replicas = given.parse().ok().filter(|replicas: &i32| *replicas >= 0);
    let Some(replicas) = replicas else {
        return Err(message::app::ACTION_REPLICAS.with("given", given));
    };
    Ok(Change::Merge(json!({"spec": {"replicas": replicas}})))
}

pub(super) fn pause() -> Change {
    Change::Merge(json!({"spec": {"paused": true}}))
}

pub(super) fn resume(object: &Value) -> Change {
    match at(object, &["spec", "paused"]) {
        None => Change::Nothing,
        Some(_) => Change::Merge(json!({"spec": {"paused": null}})),
    }
}
