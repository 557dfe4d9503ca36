//! What must hold whatever happens. Whoever judges sees the cluster as it is, not as a controller's index has it.

use std::collections::{BTreeMap, BTreeSet};

use domain::clock::Timestamp;
use domain::resource::{ResourceKey, annotation, text};
use domain::status::{HealthCode, SyncCode};
use engine::claim::Owner;
use engine::hooks;
use engine::options::{Role, role};
use engine::plan::{Action, Step};

use crate::cluster::{Answer, Apiserver, Request, Stored, Verb};
use crate::world::{World, claimant, in_window};

/// The attempt of an operation that a write is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) app: String,
    /// When the operation began, and its try.
    pub(crate) attempt: (i64, i64),
    /// The place of its revision in Git.
    pub(crate) revision: usize,
    pub(crate) fence: i64,
}

/// On what grounds a request is made.
#[derive(Clone, Copy)]
pub(crate) struct Duty<'a> {
    pub(crate) app: &'a str,
    pub(crate) tenant: &'a str,
    pub(crate) step: Option<StepDuty<'a>>,
}

/// The step of a plan that it carries out.
#[derive(Clone, Copy)]
pub(crate) struct StepDuty<'a> {
    pub(crate) mark: &'a Mark,
    /// The steps of the waves before; none for what is done because something failed.
    pub(crate) before: &'a [Step],
    /// Whether a window keeps it back.
    pub(crate) windowed: bool,
    pub(crate) fail_on_shared: bool,
}

/// Who judges.
#[derive(Default)]
pub(crate) struct Judge {
    /// What was wrong.
    pub(crate) wrong: Vec<String>,
    /// The newest revision of each application that was applied.
    newest: BTreeMap<String, usize>,
    /// In which version an object was last changed by an apply.
    applied_at: BTreeMap<ResourceKey, u64>,
    /// For whom it was last applied, changed or not.
    applied_for: BTreeMap<ResourceKey, Mark>,
    /// The runs of hooks whose objects were made.
    made: BTreeSet<String>,
}

impl Judge {
    /// Judges a request as it leaves.
    pub(crate) fn sent(
        &mut self,
        api: &Apiserver,
        request: &Request,
        duty: &Duty<'_>,
        now: Timestamp,
    ) {
        if request.dry_run || request.verb == Verb::Get {
            return;
        }
        if let Some(wrong) = whose(api.get(&request.key).map(AsRef::as_ref), request, duty) {
            self.say(request, duty, &wrong);
        }
        let Some(step) = &duty.step else { return };
        if step.windowed && in_window(now) {
            self.say(request, duty, "a window is closed");
        }
        if let Some(wrong) = self.too_old(step.mark) {
            self.say(request, duty, &wrong);
        }
        for earlier in step.before {
            if let Some(wrong) = self.too_early(api, earlier, step.mark) {
                self.say(request, duty, &wrong);
                return;
            }
        }
    }

    fn say(&mut self, request: &Request, duty: &Duty<'_>, wrong: &str) {
        self.wrong.push(format!(
            "{}: {:?} {}: {wrong}",
            duty.app, request.verb, request.key
        ));
    }

    fn too_old(&self, mark: &Mark) -> Option<String> {
        let newest = self.newest.get(&mark.app)?;
        (mark.revision < *newest).then(|| {
            format!(
                "revision {} over revision {newest}, which is newer",
                mark.revision
            )
        })
    }

    /// Why the wave that a step is of is not over.
    fn too_early(&self, api: &Apiserver, earlier: &Step, mark: &Mark) -> Option<String> {
        let there = api.get(&earlier.key);
        let key = &earlier.key;
        match (&earlier.action, earlier.hook) {
            (Action::Apply { .. }, None) => {
                // What somebody has deleted since is not waited for.
                there?;
                let applied = self.applied_for.get(key);
                if applied
                    .is_none_or(|other| (&other.app, other.attempt) != (&mark.app, mark.attempt))
                {
                    return Some(format!("{key} of an earlier wave was not applied before"));
                }
                let (healthy, applied) = (api.healthy_at.get(key), self.applied_at.get(key));
                let never = applied.is_some_and(|at| healthy.is_none_or(|healthy| healthy < at));
                never.then(|| format!("{key} of an earlier wave was never healthy"))
            }
            (Action::Apply { .. }, Some(_)) => {
                let (started, retries) = mark.attempt;
                let run = hooks::Attempt {
                    revision: "",
                    started_at: started,
                    retries,
                };
                let run = format!("{key} {}", run.run(earlier.phase.as_str()));
                (!api.succeeded.contains(&run)).then(|| format!("the hook {run} has not succeeded"))
            }
            (Action::Prune { uid, .. }, _) => there
                .filter(|there| there.uid() == uid)
                .map(|_| format!("{key} of an earlier wave is not gone")),
            (Action::CreateNamespace { .. } | Action::Keep(_), _) => None,
        }
    }

    /// Judges and notes a write that has come to pass.
    pub(crate) fn landed(
        &mut self,
        api: &Apiserver,
        request: &Request,
        answer: &Answer,
        mark: Option<&Mark>,
        fence: i64,
    ) {
        let Some(mark) = mark.filter(|_| answer.is_good() && !request.dry_run) else {
            return;
        };
        if mark.fence != fence {
            let key = &request.key;
            self.wrong
                .push(format!("{key}: written by {} under {fence}", mark.fence));
        }
        if !matches!(request.verb, Verb::Apply { .. }) {
            return;
        }
        if let Some(wrong) = self.too_old(mark) {
            self.wrong.push(format!("{}: {wrong}", request.key));
        }
        if let Some(run) = annotation(&answer.object, hooks::RUN).filter(|_| answer.code == 201) {
            let hook = format!("{} {run}", request.key);
            if self.made.contains(&hook) {
                self.wrong.push(format!("the hook {hook} was made twice"));
            }
            self.made.insert(hook);
        }
        let version = text(&answer.object, &["metadata", "resourceVersion"]);
        if version == api.version.to_string() {
            self.applied_at.insert(request.key.clone(), api.version);
        }
        self.applied_for.insert(request.key.clone(), mark.clone());
        let newest = self.newest.entry(mark.app.clone()).or_default();
        *newest = mark.revision.max(*newest);
    }
}

/// Why an object is none of an application's business.
fn whose(there: Option<&Stored>, request: &Request, duty: &Duty<'_>) -> Option<String> {
    let there = there?;
    let claimant = claimant(duty.tenant, duty.app);
    let owner = claimant.owner(&there.object, &request.key, false);
    let ours = owner == Owner::Ours && !there.is_owned();
    let hook =
        || role(&there.object) == Role::Hook && claimant.may_replace(&there.object, &request.key);
    match request.verb {
        Verb::Delete => {
            let uid = text(&request.body, &["preconditions", "uid"]);
            if uid.is_empty() {
                return Some("deleted whatever it is".to_owned());
            }
            (uid == there.uid() && !ours && !hook()).then(|| format!("it is of {owner:?}"))
        }
        Verb::Merge => {
            let uid = text(&request.body, &["metadata", "uid"]);
            (uid == there.uid() && !hook()).then(|| format!("changed, and is of {owner:?}"))
        }
        Verb::Apply { .. } => match owner {
            Owner::Installation(other) => Some(format!("taken from {other}")),
            Owner::App(other) if duty.step.is_some_and(|step| step.fail_on_shared) => {
                Some(format!("taken from the application {other}"))
            }
            _ => None,
        },
        Verb::Get | Verb::Create | Verb::Replace => None,
    }
}

/// Why an application is not what Git says; `None` where it is.
pub(crate) fn unsettled(world: &World, app: &str) -> Option<String> {
    let row = world.rows.get(app)?;
    if row.deleting() {
        return Some("it is not deleted".to_owned());
    }
    let status = &row.status;
    if row.operation.is_some() {
        return Some("an operation is asked for".to_owned());
    }
    if (status.sync, status.health) != (SyncCode::Synced, Some(HealthCode::Healthy)) {
        let causes: Vec<String> = status
            .causes
            .iter()
            .map(|c| c.message.to_string())
            .collect();
        let message = status
            .operation
            .as_ref()
            .map(|state| state.message.to_string());
        return Some(format!(
            "{:?}, {:?}, {message:?}: {}",
            status.sync,
            status.health,
            causes.join("; ")
        ));
    }
    None
}

/// What of an application is not as its newest revision says, in the cluster itself.
pub(crate) fn untrue(world: &World, app: &str) -> Option<String> {
    let tenant = world.tenant_of(app);
    let prepared = world.prepared_now(app);
    let ordinary = prepared
        .targets
        .iter()
        .filter(|target| target.role == Role::Ordinary);
    for target in ordinary.clone() {
        let Some(there) = world.api.get(&target.key) else {
            return Some(format!("{} is missing", target.key));
        };
        let applied =
            crate::fields::applied(&there.object, &target.object, engine::fields::MANAGER, true);
        if applied.ok().as_ref() != Some(&there.object) {
            return Some(format!(
                "{} is not as Git says: {}",
                target.key, there.object
            ));
        }
    }
    let wanted: Vec<&ResourceKey> = ordinary.map(|target| &target.key).collect();
    let left = world.objects_of(app).find(|(key, there)| {
        claimant(tenant.as_str(), app).owner(&there.object, key, false) == Owner::Ours
            && !there.is_owned()
            && role(&there.object) == Role::Ordinary
            && !wanted.contains(key)
    });
    left.map(|(key, _)| format!("{key} left Git"))
}
