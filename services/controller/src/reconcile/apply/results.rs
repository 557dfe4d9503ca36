//! What became of a step, as an operation's result has it.

use domain::cause::Cause;
use domain::operation::{Phase, ResourceResult, ResultCode};
use domain::resource::{GroupKind, ResourceKey, at};
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

/// Where the containers of an object are, as Argo CD looks for them: of a pod itself, of what makes pods, of what makes jobs.
const CONTAINERS: [&[&str]; 3] = [
    &["spec", "containers"],
    &["spec", "template", "spec", "containers"],
    &[
        "spec",
        "jobTemplate",
        "spec",
        "template",
        "spec",
        "containers",
    ],
];

/// The images of an object as its result lists them for Argo CD's clients: of the first containers that are found, whatever its
/// kind, in their order and as often as they are there.
#[must_use]
pub fn images(object: &Value) -> Vec<String> {
    let mut lists = CONTAINERS.iter().filter_map(|path| at(object, path));
    let containers = lists.find_map(Value::as_array).into_iter().flatten();
    containers
        .filter_map(|container| Some(container.get("image")?.as_str()?.to_owned()))
        .collect()
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
    use std::sync::Arc;

    use engine::plan::{How, Kept, SyncPhase};
    use serde_json::json;

    use super::*;

    /// The result of a step that came to this, as the fields that clients read.
    fn told(action: Action, status: ResultCode, dry_run: bool) -> [String; 4] {
        let step = Step {
            phase: SyncPhase::PostSync,
            wave: 0,
            batch: 0,
            key: ResourceKey::default(),
            version: "v1".to_owned(),
            action,
            hook: None,
        };
        let told = result(&step, status, "words".to_owned(), dry_run);
        assert_eq!((told.version.as_str(), told.status), ("v1", Some(status)));
        let phase = told.hook_phase.as_str().to_owned();
        [told.sync_phase, phase, told.message, told.images.join(" ")]
    }

    #[test]
    fn a_result_has_its_phases_and_the_images_of_what_was_applied() {
        let of = |object| Action::Apply {
            object: Arc::new(object),
            hash: [0; 32],
            how: How {
                server_side: true,
                replace: false,
                force: false,
                validate: true,
                migrate: true,
            },
            exists: false,
        };
        let containers = json!([{"image": "web:2"}, {}, {"image": "proxy:1"}, {"image": "web:2"}]);
        let spec = json!({"initContainers": [{"image": "first:1"}], "containers": containers});
        let pod = json!({"kind": "Pod", "spec": spec});
        // Any kind that has containers, and where there are several, those that are nearest.
        let own = json!({"kind": "Thing", "spec": {"containers": containers,
            "template": {"spec": {"containers": [{"image": "other:1"}]}}}});
        let workload = json!({"spec": {"containers": null, "template": {"spec": spec}}});
        let runs = json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}});
        for object in [pod, own, workload, runs] {
            let applied = told(of(object.clone()), ResultCode::Synced, false);
            let images = "web:2 proxy:1 web:2";
            assert_eq!(applied, ["PostSync", "Running", "words", images]);
            let tried = told(of(object), ResultCode::Synced, true);
            assert_eq!(tried[1..3], ["Succeeded", "words (dry run)"]);
        }
        let map = json!({"kind": "ConfigMap", "data": {"image": "web:2"}});
        let none = told(of(map), ResultCode::SyncFailed, false);
        assert_eq!(none, ["PostSync", "Failed", "words", ""]);
        let kept = told(
            Action::Keep(Kept::NotAsked),
            ResultCode::PruneSkipped,
            false,
        );
        assert_eq!(kept, ["PostSync", "Succeeded", "words", ""]);
    }

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
