//! Hooks: objects that run at a moment of a sync, and how far one has come.
//!
//! The rules are Argo CD's (its page on sync phases and waves). What is ours: a hook carries the name of the attempt that
//! made it ([`RUN`]), so that a controller which takes over in the middle knows it again and does not run it twice.

use domain::cause::Cause;
use domain::message;
use domain::operation::{OperationState, Phase};
use domain::resource::{self, ResourceKey, annotation, at, is_leaving};
use domain::status::HealthCode;
use serde_json::{Map, Value};

use crate::health::{self, Checked};
use crate::options::{HELM_HOOK, HOOK, words};
use crate::plan::SyncPhase;

/// The annotation with a hook's delete policies.
pub const DELETE_POLICY: &str = "argocd.argoproj.io/hook-delete-policy";
/// Helm's annotation with a hook's delete policies.
pub const HELM_DELETE_POLICY: &str = "helm.sh/hook-delete-policy";
/// Keeps a hook in the cluster until its end has been seen.
pub const FINALIZER: &str = "argocd.argoproj.io/hook-finalizer";
/// The annotation that names the attempt which made a hook.
pub const RUN: &str = resource::HOOK_RUN;

/// When a hook's object is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletePolicy {
    /// Before it is made anew; so where nothing is said.
    pub before_creation: bool,
    /// When the sync has succeeded.
    pub succeeded: bool,
    /// When the sync has failed.
    pub failed: bool,
}

impl DeletePolicy {
    /// The policies that an object's annotations name; Helm's count where there are none of Argo CD's.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let mut said: Vec<&str> = words(object, DELETE_POLICY).collect();
        if said.is_empty() {
            said.extend(words(object, HELM_DELETE_POLICY));
        }
        let has = |name: &str, helm: &str| said.iter().any(|word| *word == name || *word == helm);
        let (succeeded, failed) = (
            has("HookSucceeded", "hook-succeeded"),
            has("HookFailed", "hook-failed"),
        );
        Self {
            before_creation: has("BeforeHookCreation", "before-hook-creation")
                || !(succeeded || failed),
            succeeded,
            failed,
        }
    }
}

/// The phases of a sync in which a hook runs; none for those of a deletion alone ([`crate::plan::Moment`]).
#[must_use]
pub fn phases(object: &Value) -> Vec<SyncPhase> {
    let phase = |word: &str| match word {
        "PreSync" => Some(SyncPhase::PreSync),
        "Sync" => Some(SyncPhase::Sync),
        "PostSync" => Some(SyncPhase::PostSync),
        "SyncFail" => Some(SyncPhase::SyncFail),
        _ => None,
    };
    let of_helm = |word: &str| match word {
        "pre-install" | "pre-upgrade" => Some(SyncPhase::PreSync),
        "post-install" | "post-upgrade" => Some(SyncPhase::PostSync),
        _ => None,
    };
    let mut phases: Vec<SyncPhase> = match words(object, HOOK).next() {
        Some(_) => words(object, HOOK).filter_map(phase).collect(),
        None => words(object, HELM_HOOK).filter_map(of_helm).collect(),
    };
    phases.sort_unstable();
    phases.dedup();
    phases
}

/// One attempt of a sync, as its hooks name it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attempt<'a> {
    /// The commit; empty where there is none.
    pub revision: &'a str,
    /// When the operation began, in milliseconds since 1970.
    pub started_at: i64,
    /// How often it was tried again.
    pub retries: i64,
}

impl Attempt<'_> {
    /// What [`RUN`] says of a hook of this attempt in a phase, by the phase's word.
    #[must_use]
    pub fn run(&self, phase: &str) -> String {
        let (operation, retries) = (self.operation(), self.retries);
        format!("{operation}{retries}.{}", phase.to_lowercase())
    }

    /// What [`RUN`] begins with in all attempts of the operation.
    #[must_use]
    pub fn operation(&self) -> String {
        format!("{}.", self.started_at)
    }

    /// The name of a hook that has `generateName` only, as Argo CD makes it.
    fn name(&self, prefix: &str, phase: SyncPhase) -> String {
        let revision: String = self.revision.chars().take(7).collect();
        let phase = phase.as_str().to_lowercase();
        format!("{prefix}{revision}-{phase}-{}", self.started_at / 1000)
    }
}

/// The object that a hook has in one phase of an attempt, and its key.
#[must_use]
pub(crate) fn object(
    key: &ResourceKey,
    body: &Value,
    attempt: &Attempt<'_>,
    phase: SyncPhase,
) -> (ResourceKey, Value) {
    let run = attempt.run(phase.as_str());
    run_of(key, body, &run, |prefix| attempt.name(prefix, phase))
}

/// The object that a hook has in the run of this name, and its key. One that has `generateName` only is named by `name`.
#[must_use]
pub(crate) fn run_of(
    key: &ResourceKey,
    body: &Value,
    run: &str,
    name: impl FnOnce(&str) -> String,
) -> (ResourceKey, Value) {
    let (mut key, mut object) = (key.clone(), body.clone());
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return (key, object);
    };
    if metadata
        .get("name")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        metadata.remove("generateName");
        let wanted = key.clone();
        key.name = name(&wanted.name);
        metadata.insert("name".into(), key.name.clone().into());
        retrack(metadata, &wanted, &key);
    }
    let annotations = metadata
        .entry("annotations")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(RUN.to_owned(), run.into());
    }
    let finalizers = metadata
        .entry("finalizers")
        .or_insert_with(|| Value::Array(Vec::new()));
    if finalizers.is_null() {
        *finalizers = Value::Array(Vec::new());
    }
    if let Some(list) = finalizers
        .as_array_mut()
        .filter(|list| !list.iter().any(|f| f == FINALIZER))
    {
        list.push(FINALIZER.into());
    }
    (key, object)
}

/// Has the tracking id name the object as it is called now.
fn retrack(metadata: &mut Map<String, Value>, before: &ResourceKey, now: &ResourceKey) {
    let id = metadata
        .get_mut("annotations")
        .and_then(|annotations| annotations.get_mut(resource::TRACKING_ID));
    if let Some(id) = id
        && let Some(start) = id
            .as_str()
            .and_then(|text| text.strip_suffix(before.name.as_str()))
    {
        *id = format!("{start}{}", now.name).into();
    }
}

/// What has to be done before a hook can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Ready,
    /// This attempt has made it already.
    Made,
    /// The object of an earlier run has to be deleted.
    Delete,
    /// Its deletion has begun and is waited for.
    Gone,
}

/// What has to be done before a hook can be made where `live` is there.
#[must_use]
pub fn before(policy: DeletePolicy, run: &str, live: Option<&Value>) -> Before {
    let Some(live) = live else {
        return Before::Ready;
    };
    let deleting = is_leaving(live);
    if of_run(live, run) && (!deleting || held(live)) {
        return Before::Made;
    }
    match (deleting, policy.before_creation) {
        (true, _) if held(live) => Before::Delete,
        (true, _) => Before::Gone,
        (false, true) => Before::Delete,
        (false, false) => Before::Ready,
    }
}

/// Whether an object was made by the run of this name. One of an earlier run has the same key, and what it came to is nothing
/// that this run did.
#[must_use]
pub fn of_run(object: &Value, run: &str) -> bool {
    annotation(object, RUN) == Some(run)
}

/// Whether a hook that our finalizer keeps outlives an operation that was stopped: it runs, and is to be deleted, as it was to be
/// then. Any other that is left when its operation is over is only let go. `last` is the last operation on record, `check` what
/// the tenant's own check says of the hook.
#[must_use]
pub fn outlives(
    key: &ResourceKey,
    live: &Value,
    last: &OperationState,
    check: Option<&Checked>,
) -> bool {
    let attempt = Attempt {
        started_at: last.started_at.timestamp_millis(),
        ..Attempt::default()
    };
    let of_it = annotation(live, RUN).is_some_and(|run| run.starts_with(&attempt.operation()));
    let runs = || standing(key, Some(live), &[], check).phase == Phase::Running;
    of_it && crate::operation::was_stopped(last) && runs()
}

/// Whether our finalizer keeps an object in the cluster.
#[must_use]
pub fn held(object: &Value) -> bool {
    finalizers(object).any(|name| name == FINALIZER)
}

/// The finalizers of an object but ours.
#[must_use]
pub fn other_finalizers(object: &Value) -> Vec<&str> {
    finalizers(object)
        .filter(|name| *name != FINALIZER)
        .collect()
}

fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    at(object, &["metadata", "finalizers"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// How far a hook has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// `Running`, `Succeeded`, `Failed`; `Error` where somebody took it away.
    pub phase: Phase,
    /// In a sentence, as Argo CD has it.
    pub message: String,
    /// Why it failed, most specific first.
    pub causes: Vec<Cause>,
}

/// How far a hook has come that was made; `live` is what is there of it, `beneath` what it has made itself, `check` what its
/// tenant's own check says. One that is deleted before its end is taken away, whether our finalizer still keeps it or not: a
/// Job that is deleted starts no more pods, and would be waited for without end.
#[must_use]
pub fn standing(
    key: &ResourceKey,
    live: Option<&Value>,
    beneath: &[&Value],
    check: Option<&Checked>,
) -> Standing {
    let Some(live) = live else {
        return taken_away(key);
    };
    let Some(health) = health::assess_hook(live, beneath, check) else {
        return Standing {
            phase: Phase::Succeeded,
            message: format!("{} created", key.name),
            causes: Vec::new(),
        };
    };
    let phase = match health.code {
        HealthCode::Healthy => Phase::Succeeded,
        HealthCode::Progressing | HealthCode::Suspended => Phase::Running,
        HealthCode::Missing | HealthCode::Degraded | HealthCode::Unknown => Phase::Failed,
    };
    // What has ended has, though it goes: so do Jobs with `ttlSecondsAfterFinished`.
    if phase == Phase::Running && is_leaving(live) {
        return taken_away(key);
    }
    let failed = phase == Phase::Failed;
    let mut causes = Vec::new();
    if failed {
        let message = message::sync::HOOK_FAILED
            .with("resource", key)
            .with("reason", &health.message);
        causes.push(Cause::error(message).on(key.clone()));
        causes.splice(0..0, health.causes);
    }
    Standing {
        phase,
        message: health.message,
        causes,
    }
}

fn taken_away(key: &ResourceKey) -> Standing {
    let message = message::sync::HOOK_VANISHED.with("resource", key);
    Standing {
        phase: Phase::Error,
        message: message.to_string(),
        causes: vec![Cause::error(message).on(key.clone())],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hook(annotations: Value) -> Value {
        json!({"apiVersion": "batch/v1", "kind": "Job",
               "metadata": {"name": "migrate", "namespace": "a", "annotations": annotations}})
    }

    #[test]
    fn annotations_say_when_a_hook_runs_and_when_it_goes() {
        use SyncPhase::{PostSync, PreSync, SyncFail};
        let phases = |annotations| phases(&hook(annotations));
        assert_eq!(
            phases(json!({HOOK: "SyncFail, PreSync,PreSync"})),
            [PreSync, SyncFail]
        );
        assert_eq!(
            phases(json!({HELM_HOOK: "pre-install,pre-upgrade,post-upgrade,pre-delete"})),
            [PreSync, PostSync]
        );
        assert_eq!(
            phases(json!({HOOK: "PostSync", HELM_HOOK: "pre-install"})),
            [PostSync]
        );
        assert_eq!(phases(json!({HOOK: "PreDelete,PostDelete"})), []);

        let policy = |annotations| {
            let policy = DeletePolicy::of(&hook(annotations));
            (policy.before_creation, policy.succeeded, policy.failed)
        };
        assert_eq!(policy(json!({})), (true, false, false));
        assert_eq!(
            policy(json!({DELETE_POLICY: "HookSucceeded"})),
            (false, true, false)
        );
        assert_eq!(
            policy(json!({DELETE_POLICY: "HookFailed, BeforeHookCreation"})),
            (true, false, true)
        );
        assert_eq!(
            policy(json!({HELM_DELETE_POLICY: "before-hook-creation,hook-succeeded"})),
            (true, true, false)
        );
        assert_eq!(
            policy(json!({DELETE_POLICY: "HookFailed", HELM_DELETE_POLICY: "hook-succeeded"})),
            (false, false, true)
        );
        assert_eq!(
            policy(json!({DELETE_POLICY: "never"})),
            (true, false, false)
        );
    }

    #[test]
    fn what_a_check_says_decides_how_far_a_hook_has_come() {
        let live = json!({"apiVersion": "example.com/v1", "kind": "Run", "metadata": {"name": "a", "namespace": "a"},
            "status": {"conditions": [{"type": "Ready", "status": "False"}]}});
        let key = ResourceKey::of(&live);
        let phase = |check: Option<&Checked>| standing(&key, Some(&live), &[], check).phase;
        assert_eq!(phase(None), Phase::Succeeded, "it is there");
        assert_eq!(phase(Some(&None)), Phase::Succeeded, "it says nothing");
        for (word, expected) in [
            ("Healthy", Phase::Succeeded),
            ("Progressing", Phase::Running),
            ("Suspended", Phase::Running),
            ("Degraded", Phase::Failed),
            ("Fine", Phase::Failed),
        ] {
            let check = health::checked(word, "so it says", &live);
            let standing = standing(&key, Some(&live), &[], Some(&check));
            assert_eq!(
                (standing.phase, standing.message.as_str()),
                (expected, "so it says")
            );
        }
        let later = Some(health::postponed("not now", &live));
        assert_eq!(phase(Some(&later)), Phase::Running);
        // It is in place of the built-in rule, too.
        let mut job = hook(json!({}));
        job["status"] = json!({"conditions": [{"type": "Failed", "status": "True"}]});
        let healthy = health::checked("Healthy", "", &job);
        let key = ResourceKey::of(&job);
        assert_eq!(standing(&key, Some(&job), &[], None).phase, Phase::Failed);
        let standing = standing(&key, Some(&job), &[], Some(&healthy));
        assert_eq!(standing.phase, Phase::Succeeded);
    }

    #[test]
    fn what_is_there_says_whether_a_hook_can_be_made() {
        let attempt = Attempt {
            revision: "0123456789",
            started_at: 1_700_000_000_123,
            retries: 1,
        };
        let run = attempt.run("PreSync");
        let default = DeletePolicy::of(&hook(json!({})));
        let keeps = DeletePolicy::of(&hook(json!({DELETE_POLICY: "HookSucceeded"})));
        let old = hook(json!({RUN: "1600000000.0.presync"}));
        assert_eq!(before(default, &run, None), Before::Ready);
        assert_eq!(before(default, &run, Some(&old)), Before::Delete);
        assert_eq!(before(keeps, &run, Some(&old)), Before::Ready);
        assert_eq!(
            before(default, &run, Some(&hook(json!({RUN: run.clone()})))),
            Before::Made
        );
        let mut going = old.clone();
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(before(keeps, &run, Some(&going)), Before::Gone);
        going["metadata"]["finalizers"] = json!([FINALIZER]);
        assert_eq!(before(keeps, &run, Some(&going)), Before::Delete);
    }

    #[test]
    fn a_hook_that_is_deleted_before_its_end_is_taken_away() {
        let mut job = hook(json!({}));
        let key = ResourceKey::of(&job);
        let told = |live: Option<&Value>, check: Option<&Checked>| {
            let standing = standing(&key, live, &[], check);
            let causes = standing.causes.iter();
            let vanished = causes
                .filter(|cause| cause.message.is(&message::sync::HOOK_VANISHED))
                .count();
            (standing.phase, vanished)
        };
        assert_eq!(told(Some(&job), None), (Phase::Running, 0));
        job["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let gone = told(None, None);
        assert_eq!(gone, (Phase::Error, 1));
        assert_eq!(told(Some(&job), None), gone, "nothing of ours keeps it");
        job["metadata"]["finalizers"] = json!([FINALIZER]);
        assert_eq!(told(Some(&job), None), gone, "only we keep it");
        let waits = health::checked("Progressing", "", &job);
        assert_eq!(told(Some(&job), Some(&waits)), gone);
        job["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        assert_eq!(
            told(Some(&job), None),
            (Phase::Succeeded, 0),
            "it had ended"
        );
    }

    #[test]
    fn a_custom_resource_whose_kind_has_a_rule_is_waited_for() {
        let phase = |api_version: &str, kind: &str, status: Option<Value>| {
            let mut live =
                json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "migrate"}});
            if let Some(status) = status {
                live["status"] = status;
            }
            standing(&ResourceKey::of(&live), Some(&live), &[], None).phase
        };
        let ready = |status: &str, reason: &str| json!({"conditions": [{"type": "Ready", "status": status, "reason": reason}]});
        let migration = |status| phase("db.atlasgo.io/v1alpha1", "AtlasMigration", status);
        assert_eq!(migration(None), Phase::Running);
        let coming = migration(Some(ready("False", "Reconciling")));
        assert_eq!(coming, Phase::Running);
        let failed = migration(Some(ready("False", "Migrating")));
        assert_eq!(failed, Phase::Failed);
        let done = migration(Some(ready("True", "Applied")));
        assert_eq!(done, Phase::Succeeded);
        let job = |status| phase("tower.ansible.com/v1alpha1", "AnsibleJob", status);
        assert_eq!(job(Some(json!({"conditions": []}))), Phase::Running);
        let ended = json!({"ansibleJobResult": {"status": "successful"}});
        assert_eq!(job(Some(ended)), Phase::Succeeded);
        let other = phase("example.com/v1", "Thing", None);
        assert_eq!(other, Phase::Succeeded);
    }

    #[test]
    fn a_hook_without_a_name_is_named_after_the_attempt() {
        let body = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {
            "generateName": "migrate-", "namespace": "a", "finalizers": ["example.com/mine"],
            "annotations": {resource::TRACKING_ID: "web:batch/Job:a/migrate-"}}});
        let key = ResourceKey {
            group: "batch".into(),
            kind: "Job".into(),
            namespace: "a".into(),
            name: "migrate-".into(),
        };
        let attempt = Attempt {
            revision: "0123456789",
            started_at: 1_700_000_000_123,
            retries: 0,
        };
        let (key, object) = object(&key, &body, &attempt, SyncPhase::PostSync);
        let name = "migrate-0123456-postsync-1700000000";
        assert_eq!(key.name, name);
        assert_eq!(
            object["metadata"],
            json!({"name": name, "namespace": "a", "finalizers": ["example.com/mine", FINALIZER],
                "annotations": {resource::TRACKING_ID: format!("web:batch/Job:a/{name}"),
                    RUN: "1700000000123.0.postsync"}})
        );
        let marks = domain::tracking::Marks::of(&object, &key);
        assert_eq!(marks.app(), Some("web"), "it is its own");
    }
}
