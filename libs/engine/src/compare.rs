//! Targets meet live objects: what is as Git says, what is not, and what left Git.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::cause::Cause;
use domain::message;
use domain::resource::{self, ResourceKey};
use domain::schema::SchemaSet;
use domain::status::{ResourceStatus, SyncCode};
use serde_json::Value;

use crate::claim::{Claimant, Owner};
use crate::fields::{MANAGER, Owned};
use crate::options::{self, CompareOptions, Role, SyncOptions};
use crate::prepare::{Target, TargetHash};
use crate::structural;

mod drift;
mod explain;
mod former;
mod ignore;
mod known;
mod merged;
mod predicted;

pub use drift::{Drift, Hand};
pub use explain::Difference;
pub(crate) use former::forgiven;
pub use ignore::{Ignored, Named, expressions, ignored, leaves_out};
pub(crate) use ignore::{by_manager, by_place, places, respected};
pub(crate) use known::spelled;
pub(crate) use predicted::Sides;

use drift::{Between, Past};

/// What tells two states of a live object apart without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// A hash of the content less status and what the server writes by itself.
    pub fingerprint: [u8; 32],
    /// The fields that our manager owns.
    pub managed: Option<Arc<domain::field_set::FieldSet>>,
}

/// A live object as the index has it.
#[derive(Clone, Debug)]
pub struct Live<'a> {
    /// Which object.
    pub key: ResourceKey,
    /// The version it is read in.
    pub version: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// Whether another object owns it.
    pub owned: bool,
    /// Its state, for the comparison without a body; `None` where the index keeps none.
    pub seen: Option<Seen>,
    /// At least its metadata with the annotations of Argo CD and Helm, and deletionTimestamp.
    pub essentials: &'a Value,
    /// The whole object with its managedFields in the target's version, where it was fetched.
    pub body: Option<&'a Value>,
    /// What came of a dry run of its target, where there was one.
    pub predicted: Option<Predicted<'a>>,
}

/// What came of a dry run.
#[derive(Clone, Copy, Debug)]
pub enum Predicted<'a> {
    /// The whole object as it would be, with its managedFields.
    Object(&'a Value),
    /// Why the cluster would not have it, or does not show the object that is there, whose body is needed then no more.
    Refused(&'a Cause),
}

/// What was there right after our last apply of an object: while both sides are still this, nothing needs comparing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What was applied.
    pub target: TargetHash,
    /// What the cluster made of it.
    pub seen: Seen,
}

/// Everything that a comparison looks at.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The application.
    pub claimant: Claimant<'a>,
    /// What is wanted.
    pub targets: &'a [Target],
    /// Whether some manifest could not become a target, so that nobody can say what is wanted.
    pub incomplete: bool,
    /// The objects tracked as this application's, and those that have the key of a target, whosever they are.
    pub live: &'a [Live<'a>],
    /// What was there after the last apply.
    pub applied: &'a HashMap<ResourceKey, Applied>,
    /// What is left out.
    pub ignore: Ignored<'a>,
    /// The application's compare options.
    pub options: CompareOptions,
    /// The cluster's schemas.
    pub schema: &'a SchemaSet,
}

/// One object compared.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Which object.
    pub key: ResourceKey,
    /// Its version in Git, else live.
    pub version: String,
    /// Its place among the targets; `None` when it left Git.
    pub target: Option<usize>,
    /// The live object's uid; empty when there is none.
    pub uid: String,
    /// Whether it is live.
    pub live: bool,
    /// Whether the live object is being deleted.
    pub deleting: bool,
    /// Whether it is what Git says; `None` for hooks and skipped objects.
    pub sync: Option<SyncCode>,
    /// Whether it left Git.
    pub requires_pruning: bool,
    /// Whether it counts for the application (`IgnoreExtraneous` does not).
    pub counts: bool,
    /// What differs.
    pub differences: Vec<Difference>,
    /// Why it may be neither applied nor deleted, if so.
    pub blocked: Option<Cause>,
    /// The other application of this tenant that has it too.
    pub shared_with: Option<String>,
    /// Its wave.
    pub wave: i64,
    /// What it is to a sync.
    pub role: Role,
    /// What its annotations ask for: the target's, else the live object's.
    pub options: SyncOptions,
    /// Whether either side says that a person has to confirm its deletion.
    pub confirm_delete: bool,
}

/// What a comparison found.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Whether the cluster is what Git says; Unknown while bodies or dry runs are needed, a manifest is unusable, or a dry
    /// run was refused.
    pub sync: SyncCode,
    /// Every object of either side, sorted by key.
    pub resources: Vec<Compared>,
    /// The objects whose bodies are needed to decide; with them in [`Live::body`] the comparison is run again.
    pub needs_body: Vec<ResourceKey>,
    /// The objects whose targets have to be applied for trial; what comes of it goes into [`Live::predicted`].
    pub needs_dry_run: Vec<ResourceKey>,
    /// Why it is not Synced, and what else was noticed.
    pub causes: Vec<Cause>,
}

impl Comparison {
    /// The objects as the status lists them, without health.
    #[must_use]
    pub fn statuses(&self) -> Vec<ResourceStatus> {
        self.resources
            .iter()
            // A hook is an object only while it is there.
            .filter(|r| r.role != Role::Hook || r.live)
            .map(|r| ResourceStatus {
                key: r.key.clone(),
                version: r.version.clone(),
                status: r.sync,
                health: None,
                health_message: String::new(),
                // As in Argo CD, for which a hook that is there is one that Git does not want as an object.
                requires_pruning: r.requires_pruning || r.role == Role::Hook,
                requires_deletion_confirmation: r.confirm_delete,
                sync_wave: r.wave,
                hook: r.role == Role::Hook,
            })
            .collect()
    }

    /// One object's verdict.
    #[must_use]
    pub fn find(&self, key: &ResourceKey) -> Option<&Compared> {
        let at = self.resources.binary_search_by(|r| r.key.cmp(key)).ok()?;
        self.resources.get(at)
    }
}

/// Compares what is wanted with what is there.
#[must_use]
pub fn compare(input: &Input<'_>) -> Comparison {
    let live: HashMap<&ResourceKey, &Live<'_>> =
        input.live.iter().map(|live| (&live.key, live)).collect();
    let mut resources: BTreeMap<&ResourceKey, Compared> = BTreeMap::new();
    let mut needs_body = Vec::new();
    let mut needs_dry_run = Vec::new();
    let mut refused = false;
    let mut causes = ignore::complaints(input.ignore.rules);

    for (position, target) in input.targets.iter().enumerate() {
        let foreign = |there: &&Live<'_>| matches!(owner(there, input), Owner::Installation(_));
        // What belongs to other tenants is as if it were not there, but for the word that the name is taken.
        let there = live.get(&target.key).copied().filter(|_| !target.outside);
        let taken = there.as_ref().is_some_and(foreign);
        let there = there.filter(|_| !taken);
        let mut compared = of_target(position, target, there);
        if taken {
            let message = message::sync::OTHER_INSTALLATION.with("resource", &target.key);
            let cause = Cause::error(message)
                .on(target.key.clone())
                .located(target.locate("metadata.name"))
                .variable(target.variable("metadata.name"));
            causes.push(cause.clone());
            compared.blocked = Some(cause);
        }
        if let (Role::Hook, Some(there), None) = (target.role, there, &compared.blocked)
            && !input.claimant.may_replace(there.essentials, &target.key)
        {
            let message = message::sync::HOOK_NAME_TAKEN.with("resource", &target.key);
            let cause = Cause::error(message)
                .on(target.key.clone())
                .located(target.locate("metadata.name"))
                .variable(target.variable("metadata.name"));
            compared.blocked = Some(cause);
        }
        if target.role == Role::Ordinary {
            match there {
                None => compared.sync = Some(SyncCode::OutOfSync),
                Some(there) => {
                    if let Owner::App(other) = owner(there, input) {
                        let message = message::sync::SHARED_RESOURCE
                            .with("resource", &target.key)
                            .with("app", &other);
                        causes.push(
                            Cause::warning(message)
                                .on(target.key.clone())
                                .located(target.location.clone()),
                        );
                        compared.shared_with = Some(other);
                    }
                    match verdict(target, there, input) {
                        Verdict::Found(differences) => {
                            let same = differences.is_empty();
                            compared.sync = Some(if same {
                                SyncCode::Synced
                            } else {
                                SyncCode::OutOfSync
                            });
                            compared.differences = differences;
                        }
                        Verdict::Needs { body, dry_run } => {
                            compared.sync = Some(SyncCode::Unknown);
                            needs_body.extend(body.then(|| target.key.clone()));
                            needs_dry_run.extend(dry_run.then(|| target.key.clone()));
                        }
                        Verdict::Refused(cause) => {
                            compared.sync = Some(SyncCode::Unknown);
                            refused = true;
                            causes.push(*cause);
                        }
                    }
                }
            }
        }
        resources.insert(&target.key, compared);
    }
    for there in input.live {
        if resources.contains_key(&there.key) {
            continue;
        }
        // Objects made by others (a ReplicaSet's pods) carry copied annotations; they live and die with their owner.
        if owner(there, input) != Owner::Ours || there.owned {
            continue;
        }
        resources.insert(&there.key, of_extra(there, input.incomplete));
    }

    let mut resources: Vec<Compared> = resources.into_values().collect();
    let out_of_sync = resources
        .iter()
        .any(|r| r.counts && r.sync == Some(SyncCode::OutOfSync));
    let needy = !needs_body.is_empty() || !needs_dry_run.is_empty();
    let sync = if input.incomplete || needy || refused {
        SyncCode::Unknown
    } else if out_of_sync {
        SyncCode::OutOfSync
    } else {
        SyncCode::Synced
    };
    // Argo CD shows objects of a forbidden kind as Unknown, and the application as what it would be without the rule.
    for compared in &mut resources {
        if compared
            .target
            .and_then(|at| input.targets.get(at))
            .is_some_and(|target| target.forbidden_kind)
        {
            compared.sync = Some(SyncCode::Unknown);
        }
    }
    let past = |compared: &Compared| {
        let target = input.targets.get(compared.target?)?;
        Some(Past {
            body: live.get(&target.key)?.body?,
            applied: input.applied.get(&target.key),
            target: target.hash,
        })
    };
    causes.extend(explain::causes(&resources, input.targets, past));
    Comparison {
        sync,
        resources,
        needs_body,
        needs_dry_run,
        causes,
    }
}

fn of_target(position: usize, target: &Target, there: Option<&Live<'_>>) -> Compared {
    Compared {
        key: target.key.clone(),
        version: target.version.clone(),
        target: Some(position),
        uid: there.map_or_else(String::new, |live| live.uid.to_owned()),
        live: there.is_some(),
        deleting: there.is_some_and(deleting),
        sync: None,
        requires_pruning: false,
        counts: true,
        differences: Vec::new(),
        blocked: target.refused.clone(),
        shared_with: None,
        wave: target.wave,
        role: target.role,
        options: target.options.clone(),
        confirm_delete: target.options.confirm_delete
            || there.is_some_and(|live| SyncOptions::of_object(live.essentials).confirm_delete),
    }
}

fn of_extra(there: &Live<'_>, incomplete: bool) -> Compared {
    let role = options::role(there.essentials);
    let options = SyncOptions::of_object(there.essentials);
    let ordinary = role == Role::Ordinary;
    // While a manifest is unusable nobody can say that an object left Git.
    let sync = if incomplete {
        SyncCode::Unknown
    } else {
        SyncCode::OutOfSync
    };
    Compared {
        key: there.key.clone(),
        version: there.version.to_owned(),
        target: None,
        uid: there.uid.to_owned(),
        live: true,
        deleting: deleting(there),
        sync: ordinary.then_some(sync),
        requires_pruning: ordinary && !incomplete,
        counts: !options::compare_option(there.essentials, "IgnoreExtraneous"),
        differences: Vec::new(),
        blocked: None,
        shared_with: None,
        wave: options::wave(there.essentials),
        role,
        confirm_delete: options.confirm_delete,
        options,
    }
}

pub(crate) fn deleting(there: &Live<'_>) -> bool {
    resource::is_leaving(there.essentials)
}

fn owner(there: &Live<'_>, input: &Input<'_>) -> Owner {
    let Live {
        essentials,
        key,
        owned,
        ..
    } = there;
    input.claimant.owner(essentials, key, *owned)
}

/// What can be said of a target and its live object.
enum Verdict {
    /// What differs.
    Found(Vec<Difference>),
    /// Nothing before more is known.
    Needs { body: bool, dry_run: bool },
    /// Nothing, since the cluster would not have the target or does not show the object, or nobody can say what of it is left
    /// out.
    Refused(Box<Cause>),
}

fn verdict(target: &Target, there: &Live<'_>, input: &Input<'_>) -> Verdict {
    let applied = input.applied.get(&target.key);
    if applied.is_some_and(|applied| {
        applied.target == target.hash && there.seen.as_ref() == Some(&applied.seen)
    }) {
        return Verdict::Found(Vec::new());
    }
    if there.body.is_some() && input.ignore.unnamed.contains(&target.key) {
        let message = message::sync::JQ_NOT_NOW.with("resource", &target.key);
        let cause = Cause::error(message).field("spec.ignoreDifferences");
        return Verdict::Refused(Box::new(cause.on(target.key.clone())));
    }
    let options = input.options.of_object(&target.object);
    // What may not be applied is not applied for trial either.
    let by_server = options.server_side == Some(true) && target.refused.is_none();
    let needs = Verdict::Needs {
        body: there.body.is_none(),
        dry_run: by_server && there.predicted.is_none(),
    };
    match (there.body, by_server, there.predicted) {
        (body, _, Some(Predicted::Refused(cause))) if by_server || body.is_none() => {
            let cause = cause.clone();
            let field = cause.field.as_deref().unwrap_or_default();
            let (place, variable) = (target.locate(field), target.variable(field));
            let cause = cause.on(target.key.clone()).located(place);
            Verdict::Refused(Box::new(cause.variable(variable)))
        }
        (Some(body), true, Some(Predicted::Object(predicted))) => {
            let sides = Sides::new(
                target,
                predicted,
                body,
                &input.ignore,
                input.schema,
                options,
            );
            let between = Between {
                want: &sides.predicted,
                got: &sides.live,
                root: sides.root,
            };
            Verdict::Found(explain::describe(&sides.deltas(), target, between))
        }
        (Some(body), false, _) => {
            let pair = Pair::new(target, body, &input.ignore, input.schema, options);
            let merged = options.merged.then(|| merged::predicted(&pair)).flatten();
            let (want, deltas) = match &merged {
                Some(predicted) => (predicted, merged::deltas(predicted, &pair)),
                None => (pair.want.as_ref(), pair.deltas()),
            };
            let between = Between {
                want,
                got: &pair.got,
                root: pair.root,
            };
            Verdict::Found(explain::describe(&deltas, target, between))
        }
        (None, ..) | (Some(_), true, _) => needs,
    }
}

/// A target and its live body, less what is not compared.
pub(crate) struct Pair<'a> {
    pub(crate) want: Cow<'a, Value>,
    pub(crate) got: Cow<'a, Value>,
    /// What a sync takes away where Git no longer names it: what we have, and with server-side apply nobody else.
    pub(crate) owned: Option<Owned>,
    ours: Option<Owned>,
    others: Owned,
    pub(crate) root: Option<domain::schema::Node<'a>>,
    pub(crate) rules: structural::Rules,
    /// A ClusterRole whose rules the cluster fills from others.
    pub(crate) aggregated: bool,
}

impl<'a> Pair<'a> {
    /// `options` are those of the target.
    pub(crate) fn new(
        target: &'a Target,
        body: &'a Value,
        ignore: &Ignored<'_>,
        schema: &'a SchemaSet,
        options: CompareOptions,
    ) -> Self {
        let key = &target.key;
        let root = schema.root(&key.group, &target.version, &key.kind);
        let (want, got) = ignored(&target.object, body, key, ignore, root);
        let (mut want, mut got) = (want, got);
        spelled(&want, &mut got, key, ignore.known);
        forgiven(&want, &mut got);
        let aggregated = aggregated(key, &want, &got);
        if aggregated {
            remove(want.to_mut(), "rules");
            remove(got.to_mut(), "rules");
        }
        let ours = Owned::of_manager(body, MANAGER);
        let others = Owned::of_others(body);
        let owned = match (&ours, options.takes_from_others()) {
            (Some(ours), false) => Some(ours.without(&others)),
            (ours, _) => ours.clone(),
        };
        Self {
            owned,
            ours,
            others,
            want,
            got,
            root,
            aggregated,
            rules: structural::Rules {
                built_in: built_in(&key.group),
                exact: false,
            },
        }
    }

    pub(crate) fn deltas(&self) -> Vec<structural::Delta<'_>> {
        let mut deltas = structural::differences(&self.want, &self.got, self.root, self.rules);
        if let Some(owned) = &self.owned {
            let removed = structural::removed(owned, &self.want, &self.got, self.root, self.rules);
            deltas.extend(removed.into_iter().filter(|delta| !not_ours(&delta.path)));
        }
        let mut seen = std::collections::HashSet::new();
        deltas.retain(|delta| seen.insert(delta.path.clone()));
        deltas
    }
}

/// Whether an object is a ClusterRole whose rules the cluster fills from others.
fn aggregated(key: &ResourceKey, want: &Value, got: &Value) -> bool {
    key.group == "rbac.authorization.k8s.io"
        && [want, got]
            .iter()
            .any(|role| role.get("aggregationRule").is_some_and(Value::is_object))
}

/// Fields that are recorded as ours without ever being in Git.
fn not_ours(path: &str) -> bool {
    path == "status"
        || path.starts_with("status.")
        || path == "metadata.annotations.kubectl.kubernetes.io/last-applied-configuration"
}

fn remove(object: &mut Value, field: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove(field);
    }
}

/// Whether a group's kinds come with Kubernetes, so that their encoding leaves out zero values.
pub(crate) fn built_in(group: &str) -> bool {
    !group.contains('.')
        || matches!(
            group.strip_suffix(".k8s.io"),
            Some(
                "admissionregistration"
                    | "apiextensions"
                    | "apiregistration"
                    | "authentication"
                    | "authorization"
                    | "certificates"
                    | "coordination"
                    | "discovery"
                    | "events"
                    | "flowcontrol.apiserver"
                    | "networking"
                    | "node"
                    | "rbac.authorization"
                    | "resource"
                    | "scheduling"
                    | "storage"
            )
        )
}
