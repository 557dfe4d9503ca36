//! Numaflow's pipelines, and the rollouts of Numaplane that stand for them.

use domain::resource::{at, text};
use serde_json::{Value, json};

use super::{Action, Change, nested};

/// How clients draw them.
const PAUSE: Action = drawn("pause", "", "fa-solid fa-fw fa-pause");
const FAST: Action = drawn("unpause-fast", "Unpause (fast)", PLAY);
const GRADUAL: Action = drawn("unpause-gradual", "Unpause (gradual)", PLAY);
const PROMOTE: Action = drawn("force-promote", "Force Promote", FORWARD);
const ALLOW: Action = drawn(
    "allow-data-loss",
    "Allow (Possible) Data Loss",
    "fa-solid fa-fw fa-unlock",
);
const DISALLOW: Action = drawn(
    "disallow-data-loss",
    "Disallow Data Loss",
    "fa-solid fa-fw fa-lock",
);
const PLAY: &str = "fa-solid fa-fw fa-play";
const FORWARD: &str = "fa-solid fa-fw fa-forward";

/// By which ways it may go on, `slow` where it does not say.
const STRATEGIES: &str = "numaflow.numaproj.io/allowed-resume-strategies";
/// By which way it goes on.
const STRATEGY: &str = "numaflow.numaproj.io/resume-strategy";
const FORCED: &str = "numaplane.numaproj.io/force-promote";
const LOSS: &str = "numaplane.numaproj.io/allow-data-loss";

const fn drawn(name: &'static str, title: &'static str, icon: &'static str) -> Action {
    Action {
        title,
        icon,
        ..Action::named(name)
    }
}

pub(super) fn actions(object: &Value, kind: &str) -> Vec<Action> {
    match kind {
        // Of this kind alone it has no title.
        "InterStepBufferService" => vec![Action {
            title: "",
            ..promote(object)
        }],
        "MonoVertex" | "Pipeline" => [vec![promote(object)], pauses(object, kind)].concat(),
        "MonoVertexRollout" => pauses(object, kind),
        "PipelineRollout" => [losses(object), pauses(object, kind)].concat(),
        _ => Vec::new(),
    }
}

pub(super) fn run(kind: &str, action: &str) -> Change {
    Change::Merge(match action {
        "force-promote" => json!({"metadata": {"labels": {FORCED: "true"}}}),
        "allow-data-loss" => json!({"metadata": {"annotations": {LOSS: "true"}}}),
        "disallow-data-loss" => json!({"metadata": {"annotations": {LOSS: "false"}}}),
        "unpause-fast" => unpause(kind, "fast"),
        "unpause-gradual" => unpause(kind, "slow"),
        _ => nested(pipeline(kind), json!({"spec": phase("Paused")})),
    })
}

/// Where in it the pipeline stands that it is about.
fn pipeline(kind: &str) -> &'static [&'static str] {
    match kind {
        "MonoVertexRollout" => &["spec", "monoVertex"],
        "PipelineRollout" => &["spec", "pipeline"],
        _ => &[],
    }
}

fn phase(name: &str) -> Value {
    json!({"lifecycle": {"desiredPhase": name}})
}

/// A vertex of its own begins from nothing to go on slowly; a pipeline is told the way.
fn unpause(kind: &str, way: &str) -> Value {
    let mut spec = phase("Running");
    let mut going = match kind {
        "MonoVertex" | "MonoVertexRollout" => {
            if way == "slow" {
                spec["replicas"] = Value::Null;
            }
            json!({})
        }
        _ => json!({"metadata": {"annotations": {STRATEGY: way}}}),
    };
    going["spec"] = spec;
    nested(pipeline(kind), going)
}

fn pauses(object: &Value, kind: &str) -> Vec<Action> {
    let inner = at(object, pipeline(kind)).unwrap_or(&Value::Null);
    let paused = text(inner, &["spec", "lifecycle", "desiredPhase"]) == "Paused";
    // Of a pipeline itself Argo CD looks for the ways below its spec.
    let metadata = match pipeline(kind) {
        [] => at(inner, &["spec", "metadata"]),
        _ => inner.get("metadata"),
    };
    let ways = metadata.map_or("", |metadata| text(metadata, &["annotations", STRATEGIES]));
    let fast = paused && matches!(ways, "fast" | "slow, fast");
    let gradual = paused && ways != "fast";
    vec![
        PAUSE.disabled(paused),
        FAST.disabled(!fast),
        GRADUAL.disabled(!gradual),
    ]
}

fn promote(object: &Value) -> Action {
    let label = |name: &str| text(object, &["metadata", "labels", name]);
    let upgrading = label("numaplane.numaproj.io/upgrade-state") == "in-progress";
    PROMOTE.disabled(!upgrading || label(FORCED) == "true")
}

fn losses(object: &Value) -> Vec<Action> {
    let drains = text(object, &["status", "upgradeInProgress"]) == "PipelinePauseAndDrain";
    let allowed = text(object, &["metadata", "annotations", LOSS]) == "true";
    vec![ALLOW.disabled(!drains), DISALLOW.disabled(!allowed)]
}
