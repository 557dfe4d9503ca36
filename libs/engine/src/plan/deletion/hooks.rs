//! The hooks of a deletion: what runs before an application's objects go, and when they are gone.
//!
//! A deletion keeps no results as a sync does: how far it has come stands in the application's finalizers and in the hooks
//! that are there. So the annotation [`RUN`] of each names the deletion that made it and what of Git it was made from, its
//! own manifest and those of the moment's other hooks: what has succeeded is not run again, what has failed is when Git says
//! otherwise.

use std::sync::Arc;

use domain::application::{
    FinalizerChange, POST_DELETE_CLEANUP, POST_DELETE_FINALIZER, PRE_DELETE_CLEANUP,
    PRE_DELETE_FINALIZER,
};
use domain::cause::{Cause, Severity};
use domain::message;
use domain::operation::Phase;
use domain::resource::{ResourceKey, annotation, at, is_leaving};
use serde_json::Value;

use crate::canonical;
use crate::claim::Claimant;
use crate::health::{self, Checked};
use crate::hooks::{self, DeletePolicy, RUN, Standing};
use crate::options::{HELM_HOOK, HOOK, Role, SyncOptions, words};
use crate::plan::{Action, Step, SyncPhase, how, order};
use crate::prepare::{Prepared, Target, TargetHash};

/// The moments of a deletion at which hooks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the application's objects go.
    Before,
    /// When they are gone.
    After,
}

impl Moment {
    /// Both, in their order.
    pub const ALL: [Self; 2] = [Self::Before, Self::After];

    /// The finalizer that keeps the application until its hooks have run.
    #[must_use]
    pub fn finalizer(self) -> &'static str {
        match self {
            Self::Before => PRE_DELETE_FINALIZER,
            Self::After => POST_DELETE_FINALIZER,
        }
    }

    /// The finalizer that keeps it until they are cleaned up.
    #[must_use]
    pub fn cleanup(self) -> &'static str {
        match self {
            Self::Before => PRE_DELETE_CLEANUP,
            Self::After => POST_DELETE_CLEANUP,
        }
    }

    fn phase(self) -> SyncPhase {
        match self {
            Self::Before => SyncPhase::PreDelete,
            Self::After => SyncPhase::PostDelete,
        }
    }

    fn helm(self) -> &'static str {
        match self {
            Self::Before => "pre-delete",
            Self::After => "post-delete",
        }
    }

    /// Whether a target is a hook of this moment.
    fn has(self, target: &Target) -> bool {
        let object = target.object.as_ref();
        let named = match words(object, HOOK).next() {
            Some(_) => words(object, HOOK).any(|word| word == self.phase().as_str()),
            None => words(object, HELM_HOOK).any(|word| word == self.helm()),
        };
        named && target.role == Role::Hook
    }

    /// That the application is kept because nobody knows what its hooks are.
    #[must_use]
    pub fn unknown(self) -> Cause {
        let message = message::app::DELETION_HOOKS_UNKNOWN.with("moment", self.phase().as_str());
        Cause::error(message.with("finalizer", self.finalizer()))
    }

    /// That the application is kept because a hook of its deletion cannot be made.
    #[must_use]
    pub fn refused(self, hook: &ResourceKey) -> Cause {
        let message = self.about(message::app::DELETION_HOOK_REFUSED, hook);
        Cause::error(message.with("finalizer", self.finalizer())).on(hook.clone())
    }

    /// That a hook has to run to its end.
    #[must_use]
    pub fn waits(self, hook: &ResourceKey) -> Cause {
        let message = self.about(message::app::DELETION_WAITS_FOR_HOOK, hook);
        Cause::reason(message).on(hook.clone())
    }

    /// That a hook's object has to go.
    #[must_use]
    pub fn clears(self, hook: &ResourceKey) -> Cause {
        let message = self.about(message::app::DELETION_CLEARS_HOOK, hook);
        Cause::reason(message).on(hook.clone())
    }

    fn failed(self, hook: &ResourceKey, standing: Standing) -> Vec<Cause> {
        let message = self
            .about(message::app::DELETION_HOOK_FAILED, hook)
            .with("reason", &standing.message)
            .with("finalizer", self.finalizer());
        // The sync's own word for it would ask for a sync.
        let details = standing
            .causes
            .into_iter()
            .filter(|cause| !cause.message.is(&message::sync::HOOK_FAILED));
        std::iter::once(Cause::error(message).on(hook.clone()))
            .chain(details)
            .collect()
    }

    fn about(self, code: message::Code, hook: &ResourceKey) -> message::Message {
        code.with("moment", self.phase().as_str())
            .with("resource", hook)
    }
}

/// How an application's finalizers follow the hooks that Git has for its deletion.
#[must_use]
pub fn finalizer_change<'a>(
    prepared: &Prepared,
    present: impl IntoIterator<Item = &'a str>,
) -> FinalizerChange {
    let present: Vec<&str> = present.into_iter().collect();
    let mut change = FinalizerChange::default();
    for moment in Moment::ALL {
        let wanted = prepared.targets.iter().any(|target| moment.has(target));
        for name in [moment.finalizer(), moment.cleanup()] {
            match (wanted, present.contains(&name)) {
                (true, false) => change.add.push(name.to_owned()),
                // What is unusable may be such a hook.
                (false, true) if !prepared.incomplete => change.remove.push(name.to_owned()),
                _ => {}
            }
        }
    }
    change
}

/// The hooks of a moment of the deletion that began at this time (milliseconds since 1970), in order.
///
/// # Errors
/// Why nobody knows what they are, or why they may not be made.
pub fn deletion_hooks(
    prepared: &Prepared,
    options: &SyncOptions,
    moment: Moment,
    began: i64,
) -> Result<Vec<Step>, Vec<Cause>> {
    let targets = || {
        prepared
            .targets
            .iter()
            .filter(move |target| moment.has(target))
    };
    let refusals = refusals(prepared, moment, targets());
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let among: Value = targets().map(|target| short(&target.hash)).collect();
    let among = short(&canonical::hash(&among));
    let mut steps: Vec<Step> = targets()
        .map(|target| step(target, options, moment, began, &among))
        .collect();
    order::sort(&mut steps);
    Ok(steps)
}

fn refusals<'a>(
    prepared: &Prepared,
    moment: Moment,
    targets: impl Iterator<Item = &'a Target>,
) -> Vec<Cause> {
    if prepared.incomplete {
        let errors = prepared
            .causes
            .iter()
            .filter(|cause| cause.severity == Severity::Error);
        return errors.cloned().chain([moment.unknown()]).collect();
    }
    targets
        .filter_map(|target| Some([target.refused.clone()?, moment.refused(&target.key)]))
        .flatten()
        .collect()
}

fn step(target: &Target, options: &SyncOptions, moment: Moment, began: i64, among: &str) -> Step {
    let own = short(&target.hash);
    let phase = moment.phase();
    let word = phase.as_str().to_lowercase();
    let run = format!("{began}.{own}-{among}.{word}");
    // Whatever Git says since: a name of the manifest's own would hide what has run already.
    let name = |prefix: &str| format!("{prefix}{word}-{}", began / 1000);
    let (key, object) = hooks::run_of(&target.key, &target.object, &run, name);
    Step {
        phase,
        wave: target.wave,
        batch: 0,
        key,
        version: target.version.clone(),
        action: Action::Apply {
            object: Arc::new(object),
            hash: target.hash,
            how: how(target, options),
            exists: false,
        },
        hook: Some(DeletePolicy::of(&target.object)),
    }
}

/// Enough of a hash to tell two manifests apart.
fn short(hash: &TargetHash) -> String {
    hash.iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What [`RUN`] says of a hook of a deletion.
#[derive(PartialEq, Eq)]
struct Made<'a> {
    /// When the deletion began.
    began: &'a str,
    /// The moment.
    word: &'a str,
    /// The hook's manifest.
    own: &'a str,
    /// Those of all hooks of the moment.
    among: &'a str,
}

impl<'a> Made<'a> {
    fn of(object: &'a Value) -> Option<Self> {
        let (began, rest) = annotation(object, RUN)?.split_once('.')?;
        let (manifests, word) = rest.split_once('.')?;
        let (own, among) = manifests.split_once('-')?;
        Some(Self {
            began,
            word,
            own,
            among,
        })
    }
}

/// Whether a live object is a hook that the deletion which began at this time made at a moment.
#[must_use]
pub fn of_deletion(object: &Value, moment: Moment, began: i64) -> bool {
    Made::of(object).is_some_and(|made| {
        made.began == began.to_string() && made.word == moment.phase().as_str().to_lowercase()
    })
}

/// What is there of a hook.
#[derive(Clone, Debug, Default)]
pub struct HookSeen<'a> {
    /// Its object.
    pub live: Option<&'a Value>,
    /// What that has made itself.
    pub beneath: Vec<&'a Value>,
    /// What its tenant's own check says.
    pub check: Option<&'a Checked>,
}

/// What is to be done about a wave of hooks, and why the deletion waits.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// The objects that have to go: of earlier runs, and of hooks that Git has otherwise now.
    pub delete: Vec<ResourceKey>,
    /// The hooks to make.
    pub make: Vec<Step>,
    /// The hooks that have failed whose objects need not be kept.
    pub failed: Vec<ResourceKey>,
    /// What is waited for, or in the way.
    pub causes: Vec<Cause>,
}

impl Turn {
    /// Whether all have succeeded.
    #[must_use]
    pub fn over(&self) -> bool {
        self.delete.is_empty() && self.make.is_empty() && self.causes.is_empty()
    }
}

/// What is to be done about a wave of hooks, given what is there of each.
#[must_use]
pub fn turn(moment: Moment, wave: &[Step], seen: &[HookSeen<'_>], claimant: &Claimant<'_>) -> Turn {
    let mut turn = Turn::default();
    for (step, seen) in wave.iter().zip(seen) {
        let key = &step.key;
        let Some(live) = seen.live else {
            turn.make.push(step.clone());
            continue;
        };
        if !claimant.may_replace(live, key) {
            let message = message::sync::HOOK_NAME_TAKEN.with("resource", key);
            turn.causes.push(Cause::error(message).on(key.clone()));
            turn.causes.push(moment.refused(key));
            continue;
        }
        match course(step, live, seen) {
            Course::Succeeded => {}
            Course::Running(details) => {
                turn.causes.push(moment.waits(key));
                turn.causes.extend(details);
            }
            Course::Failed(standing) => {
                // What the cluster deletes by itself would be gone, and run again, for ever.
                if !expires(step) {
                    turn.failed.push(key.clone());
                }
                turn.causes.extend(moment.failed(key, standing));
            }
            Course::Going => turn.causes.push(moment.clears(key)),
            Course::Past => {
                turn.delete.push(key.clone());
                turn.causes.push(moment.clears(key));
            }
        }
    }
    turn
}

/// How far a hook of a deletion has come whose object is there.
enum Course {
    Succeeded,
    /// It runs; what it waits for itself.
    Running(Vec<Cause>),
    Failed(Standing),
    /// Its object is on its way out.
    Going,
    /// Its object is of no use any more.
    Past,
}

fn course(step: &Step, live: &Value, seen: &HookSeen<'_>) -> Course {
    if is_going(live) {
        return Course::Going;
    }
    let wanted = match &step.action {
        Action::Apply { object, .. } => Made::of(object),
        _ => None,
    };
    let (Some(wanted), Some(made)) = (wanted, Made::of(live)) else {
        return Course::Past;
    };
    if (made.began, made.word) != (wanted.began, wanted.word) {
        return Course::Past;
    }
    let standing = hooks::standing(&step.key, Some(live), &seen.beneath, seen.check);
    let health = health::assess_hook(live, &seen.beneath, seen.check);
    let (same, ends) = (made.own == wanted.own, health.is_some());
    match standing.phase {
        // What says itself that it is done has done it, whatever Git says since; a script that it reads is another matter.
        Phase::Succeeded if same || ends => Course::Succeeded,
        Phase::Failed if made == wanted => Course::Failed(standing),
        Phase::Running | Phase::Terminating if same => {
            Course::Running(health.map(|health| health.causes).unwrap_or_default())
        }
        // One that somebody deletes while it runs does not come to its end, and is made once more.
        _ => Course::Past,
    }
}

/// Whether the cluster deletes a hook's object some time after its end.
fn expires(step: &Step) -> bool {
    match &step.action {
        Action::Apply { object, .. } => {
            at(object, &["spec", "ttlSecondsAfterFinished"]).is_some_and(Value::is_number)
        }
        _ => false,
    }
}

/// Whether an object is deleted, and nothing of ours keeps it.
fn is_going(object: &Value) -> bool {
    is_leaving(object) && !hooks::held(object)
}

/// What becomes of a hook when its moment is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is deleted.
    Delete,
    /// It is on its way out.
    Going,
    /// It stays, and is no longer kept from being deleted.
    Stay,
}

/// What becomes of the hooks of a moment when that is over, by their delete policies and by what their tenant's own checks
/// say of them. As in Argo CD they have one outcome: that of the worst.
#[must_use]
pub fn cleanup(hooks: &[(&Value, Option<&Checked>)]) -> Vec<Fate> {
    let outcomes: Vec<Phase> = hooks
        .iter()
        .filter(|(hook, _)| !is_going(hook))
        .map(|(hook, check)| hooks::standing(&ResourceKey::of(hook), Some(hook), &[], *check).phase)
        .collect();
    let succeeded = outcomes.iter().all(|phase| *phase == Phase::Succeeded);
    // One that somebody took away has come to nothing.
    let failed = outcomes.contains(&Phase::Failed);
    hooks
        .iter()
        .map(|(hook, _)| {
            let policy = DeletePolicy::of(hook);
            if is_going(hook) {
                Fate::Going
            } else if (policy.succeeded && succeeded) || (policy.failed && failed) {
                Fate::Delete
            } else {
                Fate::Stay
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use domain::tracking::Marking;
    use serde_json::json;

    use super::*;
    use crate::claim::Alone;

    const BEGAN: i64 = 1_767_225_600_000;

    fn claimant(marking: &Marking) -> Claimant<'_> {
        Claimant {
            tenant: "t",
            app: "web",
            marking,
            alone: Alone::Nowhere,
        }
    }

    fn target(kind: &str, name: &str, spec: &Value, annotations: Value) -> Target {
        let api = if kind == "Job" { "batch/v1" } else { "v1" };
        let mut object = json!({"apiVersion": api, "kind": kind, "spec": spec,
            "metadata": {"name": name, "namespace": "a", "annotations": annotations}});
        let key = ResourceKey::of(&object);
        object["metadata"]["annotations"][domain::resource::TRACKING_ID] =
            domain::resource::tracking_id("web", &key, "a").into();
        Target {
            hash: canonical::hash(&object),
            key,
            version: "v1".into(),
            location: None,
            lines: Arc::from([]),
            replaced: Arc::from([]),
            namespaced: true,
            known: true,
            options: SyncOptions::default(),
            wave: 0,
            role: crate::options::role(&object),
            refused: None,
            forbidden_kind: false,
            outside: false,
            object: Arc::new(object),
        }
    }

    fn job(image: &str) -> Target {
        target("Job", "bye", &json!(image), json!({HOOK: "PreDelete"}))
    }

    fn steps(targets: &[Target]) -> Vec<Step> {
        let prepared = Prepared {
            targets: targets.to_vec(),
            ..Prepared::default()
        };
        deletion_hooks(&prepared, &SyncOptions::default(), Moment::Before, BEGAN).unwrap()
    }

    fn body(step: &Step) -> Value {
        match &step.action {
            Action::Apply { object, .. } => object.as_ref().clone(),
            _ => Value::Null,
        }
    }

    fn ended(mut job: Value, how: &str) -> Value {
        job["status"] = json!({"conditions": [{"type": how, "status": "True", "message": "so"}]});
        job
    }

    /// What is to be done about a step where this is there.
    fn of(step: &Step, live: Option<&Value>) -> String {
        let seen = HookSeen {
            live,
            ..HookSeen::default()
        };
        let wave = std::slice::from_ref(step);
        let turn = turn(
            Moment::Before,
            wave,
            &[seen],
            &claimant(&Marking::default()),
        );
        let first = turn.causes.first().map(|cause| cause.message.code.clone());
        match (turn.make.len(), turn.delete.len(), first) {
            (1, 0, None) => "make".into(),
            (0, 1, Some(_)) => "delete".into(),
            (0, 0, Some(code)) => code,
            _ if turn.over() => "over".into(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_hook_runs_once_and_again_where_git_says_otherwise() {
        let waits = "app.deletion-waits-for-hook";
        let step = &steps(&[job("1")])[0];
        assert_eq!(of(step, None), "make");
        let made = body(step);
        assert!(of_deletion(&made, Moment::Before, BEGAN));
        assert!(!of_deletion(&made, Moment::After, BEGAN));
        assert_eq!(of(step, Some(&made)), waits);
        let done = ended(made.clone(), "Complete");
        assert_eq!(of(step, Some(&done)), "over");
        let failed = ended(made.clone(), "Failed");
        assert_eq!(of(step, Some(&failed)), "app.deletion-hook-failed");

        // Git says otherwise now.
        let mended = &steps(&[job("2")])[0];
        assert_eq!(of(mended, Some(&made)), "delete");
        assert_eq!(of(mended, Some(&failed)), "delete");
        assert_eq!(
            of(mended, Some(&done)),
            "over",
            "what has succeeded is not run twice"
        );

        // A script beside it is mended.
        let script = |text: &str| {
            let spec = json!(text);
            target("ConfigMap", "script", &spec, json!({HOOK: "PreDelete"}))
        };
        let before = steps(&[script("a"), job("1")]);
        let after = steps(&[script("b"), job("1")]);
        let kinds: Vec<&str> = after.iter().map(|step| step.key.kind.as_str()).collect();
        assert_eq!(kinds, ["ConfigMap", "Job"]);
        assert_eq!(of(&before[0], Some(&body(&before[0]))), "over");
        assert_eq!(of(&after[0], Some(&body(&before[0]))), "delete");
        let failed = ended(body(&before[1]), "Failed");
        assert_eq!(of(&after[1], Some(&failed)), "delete");
        assert_eq!(of(&after[1], Some(&body(&before[1]))), waits);
    }

    #[test]
    fn a_hook_without_a_name_runs_once_too() {
        let named = |image: &str| {
            let mut target = job(image);
            let mut object = target.object.as_ref().clone();
            object["metadata"]["name"] = Value::Null;
            object["metadata"]["generateName"] = json!("bye-");
            target.key.name = "bye-".into();
            object["metadata"]["annotations"][domain::resource::TRACKING_ID] =
                domain::resource::tracking_id("web", &target.key, "a").into();
            target.hash = canonical::hash(&object);
            target.object = Arc::new(object);
            target
        };
        let (before, after) = (steps(&[named("1")]), steps(&[named("2")]));
        assert_eq!(before[0].key.name, "bye-predelete-1767225600");
        assert_eq!(before[0].key, after[0].key, "whatever Git says since");
        let done = ended(body(&before[0]), "Complete");
        assert_eq!(of(&after[0], Some(&done)), "over");
        let failed = ended(body(&before[0]), "Failed");
        assert_eq!(of(&after[0], Some(&failed)), "delete");
    }

    #[test]
    fn a_hook_that_failed_is_let_go_unless_the_cluster_would_delete_it() {
        let failed = |spec: Value| {
            let step = steps(&[target("Job", "bye", &spec, json!({HOOK: "PreDelete"}))]).remove(0);
            let mut live = ended(body(&step), "Failed");
            // As the cluster does when the time is up.
            live["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            let seen = HookSeen {
                live: Some(&live),
                ..HookSeen::default()
            };
            let turn = turn(
                Moment::Before,
                &[step],
                &[seen],
                &claimant(&Marking::default()),
            );
            assert!(turn.make.is_empty() && turn.delete.is_empty());
            assert!(
                turn.causes[0]
                    .message
                    .is(&message::app::DELETION_HOOK_FAILED)
            );
            turn.failed.len()
        };
        assert_eq!(failed(json!({})), 1);
        assert_eq!(failed(json!({"ttlSecondsAfterFinished": 0})), 0);
    }

    #[test]
    fn what_others_made_or_take_away_is_told_apart() {
        let step = &steps(&[job("1")])[0];
        let made = body(step);
        let mut going = made.clone();
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(
            of(step, Some(&going)),
            "delete",
            "somebody stops it, and we hold it"
        );
        going["metadata"]["finalizers"] = json!([]);
        assert_eq!(of(step, Some(&going)), "app.deletion-clears-hook");
        let mut earlier = made.clone();
        earlier["metadata"]["annotations"][RUN] = json!("1600000000000.0.presync");
        assert_eq!(of(step, Some(&earlier)), "delete");
        let mut theirs = made;
        theirs["metadata"]["annotations"] = json!({});
        assert_eq!(of(step, Some(&theirs)), "sync.hook-name-taken");
    }

    #[test]
    fn finalizers_follow_the_hooks_in_git() {
        let of = |targets: &[Target], incomplete, present: &[&str]| {
            let prepared = Prepared {
                targets: targets.to_vec(),
                incomplete,
                ..Prepared::default()
            };
            let change = finalizer_change(&prepared, present.iter().copied());
            (change.add, change.remove)
        };
        let none: [String; 0] = [];
        let both = [PRE_DELETE_FINALIZER, PRE_DELETE_CLEANUP];
        let (add, remove) = of(&[job("1")], false, &["mine", POST_DELETE_CLEANUP]);
        assert_eq!(
            (add.as_slice(), remove.as_slice()),
            (
                both.map(str::to_owned).as_slice(),
                [POST_DELETE_CLEANUP.to_owned()].as_slice()
            )
        );
        let (add, remove) = of(&[job("1")], false, &both);
        assert_eq!(
            (add.as_slice(), remove.as_slice()),
            (none.as_slice(), none.as_slice())
        );
        let (_, remove) = of(&[], true, &both);
        assert_eq!(remove, none, "what is unusable may be a hook");
        let helm = |annotations| target("Job", "bye", &json!(""), annotations);
        let (add, _) = of(&[helm(json!({HELM_HOOK: "post-delete"}))], false, &[]);
        assert_eq!(add, [POST_DELETE_FINALIZER, POST_DELETE_CLEANUP]);
        let (add, _) = of(
            &[helm(json!({HELM_HOOK: "post-delete", HOOK: "PreSync"}))],
            false,
            &[],
        );
        assert_eq!(add, none, "Helm's annotation counts only alone");
        let (add, _) = of(&[helm(json!({HOOK: "PostDelete,Skip"}))], false, &[]);
        assert_eq!(add, none);
    }

    #[test]
    fn hooks_go_by_their_policies_when_the_moment_is_over() {
        let hook = |policy: &str, how: &str| {
            let policies = json!({HOOK: "PreDelete", hooks::DELETE_POLICY: policy});
            let target = target("Job", "bye", &json!(""), policies);
            ended(body(&steps(&[target])[0]), how)
        };
        let fates = |hooks: &[Value]| {
            let unchecked = hooks.iter().map(|hook| (hook, None));
            cleanup(&unchecked.collect::<Vec<_>>())
        };
        let (kept, good, bad) = (
            hook("BeforeHookCreation", "Complete"),
            hook("HookSucceeded", "Complete"),
            hook("HookFailed", "Failed"),
        );
        assert_eq!(
            fates(&[kept.clone(), good.clone()]),
            [Fate::Stay, Fate::Delete]
        );
        assert_eq!(fates(&[good.clone(), bad]), [Fate::Stay, Fate::Delete]);
        let mut going = good.clone();
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        going["metadata"]["finalizers"] = json!([]);
        assert_eq!(fates(&[going, good]), [Fate::Going, Fate::Delete]);
    }
}
