//! What a sync or a deletion does: every step, in order, with nothing left to decide.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::cause::{Cause, Severity};
use domain::message;
use domain::operation::SyncRequest;
use domain::resource::{ResourceKey, text};
use domain::schema::SchemaSet;
use domain::status::SyncCode;
use serde_json::{Value, json};

use crate::compare::{Compared, Comparison, Ignored, Live, respected};
use crate::hooks::{self, Attempt, DeletePolicy};
use crate::options::{Propagation, Role, SyncOptions};
use crate::prepare::{Prepared, Target, TargetHash, Territory};

mod deletion;
mod order;
pub mod outline;
pub mod pace;

pub use deletion::{
    DeletionPlan, Doomed, Fate, HookSeen, Moment, Stage, Turn, cascade, cleanup, deletion,
    deletion_hooks, finalizer_change, of_deletion, stage, turn,
};

/// Between two waves: how long to wait before the health of the first is looked at, in seconds.
pub const WAVE_DELAY_SECONDS: u64 = 2;

/// What is asked of a sync.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The request itself.
    pub sync: &'a SyncRequest,
    /// The sync options in force: the request's where it names some, else the application's.
    pub options: &'a SyncOptions,
    /// The destination's namespace; may be empty.
    pub namespace: &'a str,
    /// Whether that namespace exists, as far as is known.
    pub namespace_exists: bool,
    /// The namespaces that the tenant may use.
    pub territory: Territory<'a>,
    /// `labels` and `annotations` of a namespace that is made.
    pub namespace_metadata: Option<&'a Value>,
    /// Whether deletions that wait for a person's approval have it.
    pub approved: bool,
    /// The attempt that the plan is for, as its hooks name it.
    pub attempt: Attempt<'a>,
    /// What comparisons leave out, and with `RespectIgnoreDifferences=true` syncs too.
    pub ignore: Ignored<'a>,
    /// The live objects, with their bodies where syncs leave something out.
    pub live: &'a [Live<'a>],
    /// The cluster's schemas.
    pub schema: &'a SchemaSet,
}

/// The phases of a sync, and of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SyncPhase {
    /// Before the manifests.
    PreSync,
    /// The manifests.
    Sync,
    /// When everything is healthy.
    PostSync,
    /// When something failed; only then.
    SyncFail,
    /// Before an application's objects are deleted with it.
    PreDelete,
    /// When they are gone.
    PostDelete,
}

impl SyncPhase {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreSync => "PreSync",
            Self::Sync => "Sync",
            Self::PostSync => "PostSync",
            Self::SyncFail => "SyncFail",
            Self::PreDelete => "PreDelete",
            Self::PostDelete => "PostDelete",
        }
    }
}

/// How an object is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    /// Server-side apply; else client-side three-way merge.
    pub server_side: bool,
    /// Replaced (made where absent) instead of applied.
    pub replace: bool,
    /// Deleted and made again where it cannot be changed.
    pub force: bool,
    /// Whether the cluster checks the fields.
    pub validate: bool,
    /// Whether server-side apply takes over what a client-side apply has written.
    pub migrate: bool,
}

/// Why an object that left Git stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The sync was not asked to prune.
    NotAsked,
    /// Its annotation `Prune=false`.
    Annotated,
    /// Its annotation `Prune=confirm`, and nobody has confirmed.
    Unconfirmed,
}

impl Kept {
    /// Argo CD's words for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAsked => "ignored (requires pruning)",
            Self::Annotated => "ignored (no prune)",
            Self::Unconfirmed => "waiting for pruning confirmation",
        }
    }
}

/// What one step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Makes the destination's namespace (and gives it to the tenant).
    CreateNamespace {
        /// The Namespace.
        object: Arc<Value>,
    },
    /// Applies a target.
    Apply {
        /// The body.
        object: Arc<Value>,
        /// Names the body.
        hash: TargetHash,
        /// How.
        how: How,
        /// Whether it is live already.
        exists: bool,
    },
    /// Deletes an object that left Git.
    Prune {
        /// The uid that the deletion must match.
        uid: String,
        /// How it reaches what it owns.
        propagation: Propagation,
    },
    /// Leaves an object that left Git alone, and says so in the result.
    Keep(Kept),
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its phase.
    pub phase: SyncPhase,
    /// Its wave within the phase.
    pub wave: i64,
    /// Steps of one batch may run side by side; the next batch begins when all have ended.
    pub batch: usize,
    /// Which object.
    pub key: ResourceKey,
    /// The version it is applied or deleted in.
    pub version: String,
    /// What to do.
    pub action: Action,
    /// When its object goes, where it is a hook's.
    pub hook: Option<DeletePolicy>,
}

/// What a sync does.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The steps in order. Where phase or wave changes, [`WAVE_DELAY_SECONDS`] pass and the wave before must be healthy.
    pub steps: Vec<Step>,
    /// What runs when one of them fails: the hooks of phase `SyncFail`, all of one wave.
    pub on_failure: Vec<Step>,
    /// How the deletion of a hook's object reaches what it owns.
    pub propagation: Propagation,
    /// Why nothing may be done at all; a plan with refusals has no steps.
    pub refusals: Vec<Cause>,
    /// Whether nothing may be changed.
    pub dry_run: bool,
    /// Whether only some objects were asked for: such a sync makes no history.
    pub selective: bool,
}

impl Plan {
    /// Whether anything of it is a hook.
    #[must_use]
    pub fn has_hooks(&self) -> bool {
        let mut steps = self.steps.iter().chain(&self.on_failure);
        steps.any(|step| step.hook.is_some())
    }

    /// Whether objects of it may be deleted to be made anew.
    #[must_use]
    pub fn makes_anew(&self) -> bool {
        let mut steps = self.steps.iter().chain(&self.on_failure);
        steps.any(|step| matches!(step.action, Action::Apply { how, .. } if how.force))
    }

    /// The steps wave by wave.
    pub fn waves(&self) -> impl Iterator<Item = &[Step]> {
        self.steps
            .chunk_by(|a, b| (a.phase, a.wave) == (b.phase, b.wave))
    }

    /// A wave's steps batch by batch.
    pub fn batches(wave: &[Step]) -> impl Iterator<Item = &[Step]> {
        wave.chunk_by(|a, b| a.batch == b.batch)
    }
}

/// Whether an object may be made anew: with a definition or a namespace everything in it would go.
#[must_use]
pub fn dispensable(key: &ResourceKey) -> bool {
    !matches!(
        (key.group.as_str(), key.kind.as_str()),
        ("", "Namespace") | ("apiextensions.k8s.io", "CustomResourceDefinition")
    )
}

/// Plans a sync.
#[must_use]
pub fn plan(prepared: &Prepared, comparison: &Comparison, request: &Request<'_>) -> Plan {
    let dry_run = request.sync.dry_run;
    let selective = !request.sync.resources.is_empty();
    let selected: Vec<&Compared> = comparison
        .resources
        .iter()
        .filter(|r| wanted(r, request) && r.role == Role::Ordinary)
        .collect();
    let refusals = refusals(prepared, comparison, &selected, request);
    if !refusals.is_empty() {
        return Plan {
            refusals,
            dry_run,
            selective,
            ..Plan::default()
        };
    }
    let bodies = respected_bodies(request);
    let mut steps = hooks(prepared, comparison, request);
    steps.extend(create_namespace(prepared, request));
    let waves = order::prune_waves(selected.iter().copied().filter(|r| r.requires_pruning));
    let apply_waves = order::apply_waves(&prepared.targets);
    let last = selected
        .iter()
        .map(|r| r.target.map_or(r.wave, |at| apply_waves[at]))
        .chain(
            steps
                .iter()
                .filter(|step| step.phase == SyncPhase::Sync)
                .map(|step| step.wave),
        )
        .chain([0])
        .max()
        .unwrap_or_default()
        .saturating_add(1);
    for compared in selected {
        let (wave, action) = match compared.target {
            Some(at) => (
                apply_waves[at],
                apply(&prepared.targets[at], compared, request, &bodies),
            ),
            None if compared.requires_pruning => {
                let action = prune(compared, request);
                let prune_last = request.options.prune_last || compared.options.prune_last;
                let mirrored = waves.get(&compared.wave).copied().unwrap_or(compared.wave);
                (if prune_last { last } else { mirrored }, action)
            }
            None => continue,
        };
        let (key, version) = (compared.key.clone(), compared.version.clone());
        steps.push(Step {
            phase: SyncPhase::Sync,
            wave,
            batch: 0,
            key,
            version,
            action,
            hook: None,
        });
    }
    let (mut on_failure, mut steps): (Vec<Step>, Vec<Step>) = steps
        .into_iter()
        .partition(|step| step.phase == SyncPhase::SyncFail);
    // They are what is left to do, so none waits for another.
    for step in &mut on_failure {
        step.wave = 0;
    }
    order::sort(&mut steps);
    order::sort(&mut on_failure);
    if dry_run {
        // Nothing fails: it is tried whether they could be made.
        steps.append(&mut on_failure);
    }
    Plan {
        steps,
        on_failure,
        propagation: request.options.propagation.unwrap_or_default(),
        refusals: Vec::new(),
        dry_run,
        selective,
    }
}

/// Whether the request is about an object. One that is being deleted is not what Git says for long.
fn wanted(compared: &Compared, request: &Request<'_>) -> bool {
    let in_step = compared.sync == Some(SyncCode::Synced) && !compared.deleting;
    chosen(compared, request) && !(request.options.out_of_sync_only && in_step)
}

/// Whether an object is among those that were asked for. A selection without a namespace means any.
fn chosen(compared: &Compared, request: &Request<'_>) -> bool {
    let selection = &request.sync.resources;
    selection.is_empty()
        || selection.iter().any(|s| {
            s.group == compared.key.group
                && s.kind == compared.key.kind
                && s.name == compared.key.name
                && (s.namespace.is_empty() || s.namespace == compared.key.namespace)
        })
}

fn refusals(
    prepared: &Prepared,
    comparison: &Comparison,
    selected: &[&Compared],
    request: &Request<'_>,
) -> Vec<Cause> {
    let mut refusals: Vec<Cause> = Vec::new();
    if prepared.incomplete {
        refusals.extend(
            prepared
                .causes
                .iter()
                .filter(|c| c.severity == Severity::Error)
                .cloned(),
        );
    }
    if !comparison.needs_body.is_empty() || !comparison.needs_dry_run.is_empty() {
        refusals.push(Cause::error(message::sync::NOT_COMPARED.message()));
    }
    let hooks = comparison
        .resources
        .iter()
        .filter(|r| r.role == Role::Hook && runs_hooks(request.sync));
    for compared in selected.iter().copied().chain(hooks) {
        if let Some(cause) = &compared.blocked
            && !refusals.contains(cause)
        {
            refusals.push(cause.clone());
        }
        if request.options.respect_ignored && request.ignore.unnamed.contains(&compared.key) {
            let message = message::sync::JQ_NOT_NOW.with("resource", &compared.key);
            refusals.push(Cause::error(message).on(compared.key.clone()));
        }
        if let Some(other) = compared
            .shared_with
            .as_ref()
            .filter(|_| request.options.fail_on_shared)
        {
            let message = message::sync::SHARED_RESOURCE
                .with("resource", &compared.key)
                .with("app", other);
            refusals.push(Cause::error(message).on(compared.key.clone()));
        }
    }
    let homeless = |r: &&Compared| r.target.is_some() && r.key.namespace == request.namespace;
    if !request.namespace_exists
        && !request.namespace.is_empty()
        && !request.options.create_namespace
        && !among_targets(prepared, request)
        && selected.iter().copied().any(|r| homeless(&r))
    {
        let message = message::sync::NAMESPACE_ABSENT.with("namespace", request.namespace);
        refusals.push(Cause::error(message).field("spec.destination.namespace"));
    }
    if makes_namespace(prepared, request) && !request.territory.permits(request.namespace, true) {
        let message = message::sync::CREATE_NAMESPACE_REFUSED.with("namespace", request.namespace);
        refusals.push(Cause::error(
            message.with("allowed", request.territory.describe(true)),
        ));
    }
    refusals
}

/// Live bodies by their objects.
type Bodies<'a> = HashMap<&'a ResourceKey, &'a Value>;

/// The bodies of which a sync leaves something as it is; none where it respects nothing.
fn respected_bodies<'a>(request: &Request<'a>) -> Bodies<'a> {
    let live = request
        .live
        .iter()
        .filter(|_| request.options.respect_ignored);
    live.filter_map(|live| Some((&live.key, live.body?)))
        .collect()
}

fn apply(
    target: &Target,
    compared: &Compared,
    request: &Request<'_>,
    bodies: &Bodies<'_>,
) -> Action {
    let mut how = how(target, request.options);
    how.force |= forced(request.sync);
    let ordinary = compared.live && target.role == Role::Ordinary;
    let body = bodies.get(&target.key).copied().filter(|_| ordinary);
    Action::Apply {
        object: match body.and_then(|body| respecting(target, body, request)) {
            Some(object) => Arc::new(object),
            None => target.object.clone(),
        },
        hash: target.hash,
        how,
        exists: compared.live,
    }
}

/// How a target is applied, as it and the application say.
fn how(target: &Target, options: &SyncOptions) -> How {
    How {
        server_side: target
            .options
            .server_side
            .or(options.server_side)
            .unwrap_or(true),
        replace: target.options.replace || options.replace,
        force: target.options.force || options.force,
        validate: !(target.options.no_validate || options.no_validate),
        migrate: !options.no_migration,
    }
}

/// A target as a sync that respects what is left out applies it; `None` where nothing of it is.
fn respecting(target: &Target, live: &Value, request: &Request<'_>) -> Option<Value> {
    let key = &target.key;
    let root = request.schema.root(&key.group, &target.version, &key.kind);
    let object = respected(&target.object, live, key, &request.ignore, root);
    (object != *target.object).then_some(object)
}

/// Whether the strategy says `force`, under either name.
fn forced(sync: &SyncRequest) -> bool {
    ["apply", "hook"].into_iter().any(|name| {
        sync.sync_strategy
            .as_ref()
            .and_then(|s| s.get(name)?.get("force")?.as_bool())
            .unwrap_or_default()
    })
}

fn prune(compared: &Compared, request: &Request<'_>) -> Action {
    if compared.options.no_prune || request.options.no_prune {
        Action::Keep(Kept::Annotated)
    } else if !request.sync.prune {
        Action::Keep(Kept::NotAsked)
    } else if (compared.options.confirm_prune || request.options.confirm_prune) && !request.approved
    {
        Action::Keep(Kept::Unconfirmed)
    } else {
        let propagation = request.options.propagation.unwrap_or_default();
        Action::Prune {
            uid: compared.uid.clone(),
            propagation,
        }
    }
}

/// Whether the destination's namespace is itself among the targets.
fn among_targets(prepared: &Prepared, request: &Request<'_>) -> bool {
    let is = |key: &ResourceKey| key.is_namespace() && key.name == request.namespace;
    prepared.targets.iter().any(|target| is(&target.key))
}

fn makes_namespace(prepared: &Prepared, request: &Request<'_>) -> bool {
    request.options.create_namespace
        && !request.namespace.is_empty()
        && (!request.namespace_exists || request.namespace_metadata.is_some())
        && !among_targets(prepared, request)
}

fn create_namespace(prepared: &Prepared, request: &Request<'_>) -> Option<Step> {
    if !makes_namespace(prepared, request) {
        return None;
    }
    let mut object =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": request.namespace}});
    for part in ["labels", "annotations"] {
        if let Some(values) = request
            .namespace_metadata
            .and_then(|m| m.get(part))
            .filter(|v| v.is_object())
        {
            object["metadata"][part] = values.clone();
        }
    }
    let key = ResourceKey::of_namespace(request.namespace);
    let action = Action::CreateNamespace {
        object: Arc::new(object),
    };
    Some(Step {
        phase: SyncPhase::PreSync,
        // A wave of its own: before anything is made in it, the namespace has to be the tenant's.
        wave: i64::MIN,
        batch: 0,
        key,
        version: "v1".to_owned(),
        action,
        hook: None,
    })
}

/// Whether the request is about hooks: neither a selection of objects nor the strategy `apply` (a rollback's) runs them.
fn runs_hooks(sync: &SyncRequest) -> bool {
    let apply = sync
        .sync_strategy
        .as_ref()
        .and_then(|strategy| strategy.get("apply"));
    sync.resources.is_empty() && apply.is_none_or(Value::is_null)
}

fn hooks(prepared: &Prepared, comparison: &Comparison, request: &Request<'_>) -> Vec<Step> {
    if !runs_hooks(request.sync) {
        return Vec::new();
    }
    let mut steps = Vec::new();
    for compared in comparison.resources.iter().filter(|r| r.role == Role::Hook) {
        let Some(target) = compared.target.map(|at| &prepared.targets[at]) else {
            continue;
        };
        for phase in hooks::phases(&target.object) {
            let (key, object) = hooks::object(&target.key, &target.object, &request.attempt, phase);
            let mut action = apply(target, compared, request, &HashMap::new());
            if let Action::Apply { object: body, .. } = &mut action {
                *body = Arc::new(object);
            }
            steps.push(Step {
                phase,
                wave: target.wave,
                batch: 0,
                key,
                version: target.version.clone(),
                action,
                hook: Some(DeletePolicy::of(&target.object)),
            });
        }
    }
    steps
}

/// The namespaces that the members of a plan live in, for whoever checks them before the first step.
#[must_use]
pub fn namespaces(plan: &Plan) -> Vec<String> {
    let mut names: BTreeMap<String, ()> = BTreeMap::new();
    for step in &plan.steps {
        if let Action::Apply { object, .. } = &step.action {
            names.insert(text(object, &["metadata", "namespace"]).to_owned(), ());
        }
    }
    names.into_keys().filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forced_may_be_made_anew() {
        let step = |force| Step {
            phase: SyncPhase::Sync,
            wave: 0,
            batch: 0,
            key: ResourceKey::default(),
            version: "v1".into(),
            action: Action::Apply {
                object: Arc::new(json!({})),
                hash: [0; 32],
                how: How {
                    server_side: true,
                    replace: true,
                    force,
                    validate: true,
                    migrate: true,
                },
                exists: true,
            },
            hook: None,
        };
        let plan = |steps| Plan {
            steps,
            ..Plan::default()
        };
        assert!(!plan(vec![step(false)]).makes_anew());
        assert!(plan(vec![step(false), step(true)]).makes_anew());
    }
}
