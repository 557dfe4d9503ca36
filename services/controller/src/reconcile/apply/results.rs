//! What became of a step, as an operation's result has it.

use domain::cause::Cause;
use domain::operation::{Phase, ResourceResult, ResultCode};
use domain::resource::{GroupKind, ResourceKey, at, text};
use engine::plan::{Action, Step};
use serde_json::Value;

/// The result of a hook that was made before this process could say so.
#[must_use]
pub fn made(step: &Step) -> ResourceResult {
    let words = format!("{} created", kubectl_name(&step.key));
    result(step, ResultCode::Synced, words, false)
}

/// The result of a step that is given up for that cause.
#[must_use]
pub fn given_up(step: &Step, cause: &Cause) -> ResourceResult {
    result(
        step,
        ResultCode::SyncFailed,
        cause.message.to_string(),
        false,
    )
}

/// The result of a step that came to this.
#[must_use]
pub fn result(step: &Step, status: ResultCode, message: String, dry_run: bool) -> ResourceResult {
    let images = match &step.action {
        Action::Apply { object, .. } => images(object),
        _ => Vec::new(),
    };
    let message = match status {
        ResultCode::Synced | ResultCode::SyncFailed
            if dry_run && !message.ends_with("(dry run)") =>
        {
            format!("{message} (dry run)")
        }
        _ => message,
    };
    let hook_phase = match status {
        ResultCode::SyncFailed => Phase::Failed,
        ResultCode::Synced if !dry_run => Phase::Running,
        ResultCode::Synced | ResultCode::Pruned | ResultCode::PruneSkipped => Phase::Succeeded,
    };
    ResourceResult {
        key: step.key.clone(),
        version: step.version.clone(),
        status: Some(status),
        message,
        hook_phase,
        sync_phase: step.phase.as_str().to_owned(),
        hook: step.hook.is_some(),
        images,
    }
}

/// The images of a workload, as its result lists them.
fn images(object: &Value) -> Vec<String> {
    let template = at(object, &["spec", "template", "spec"])
        .or_else(|| at(object, &["spec", "jobTemplate", "spec", "template", "spec"]))
        .or_else(|| {
            (text(object, &["kind"]) == "Pod")
                .then(|| object.get("spec"))
                .flatten()
        });
    let containers = template.into_iter().flat_map(|spec| {
        ["initContainers", "containers"]
            .into_iter()
            .filter_map(|list| spec.get(list)?.as_array())
            .flatten()
    });
    let mut images: Vec<String> = containers
        .map(|container| text(container, &["image"]).to_owned())
        .filter(|image| !image.is_empty())
        .collect();
    images.sort();
    images.dedup();
    images
}

/// `deployment.apps/hello`, as kubectl says it.
pub(super) fn kubectl_name(key: &ResourceKey) -> String {
    let GroupKind { group, kind } = key.group_kind();
    let kind = kind.to_lowercase();
    if group.is_empty() {
        format!("{kind}/{}", key.name)
    } else {
        format!("{kind}.{group}/{}", key.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_as_kubectl_does() {
        let key = |group: &str, kind: &str| ResourceKey {
            group: group.into(),
            kind: kind.into(),
            namespace: "web".into(),
            name: "hello".into(),
        };
        assert_eq!(
            kubectl_name(&key("apps", "Deployment")),
            "deployment.apps/hello"
        );
        assert_eq!(kubectl_name(&key("", "ConfigMap")), "configmap/hello");
    }
}
