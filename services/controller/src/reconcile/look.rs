//! Git and cluster side by side: the comparison, how the objects fare, what looks wrong (client required for bodies and
//! dry runs).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::LiveEntry;
use domain::application::FinalizerChange;
use domain::cause::Cause;
use domain::resource::ResourceKey;
use domain::status::Status;
use engine::claim::Alone;
use engine::compare::{self, Applied, Comparison, Ignored, leaves_out};
use engine::health;
use engine::lint::{self, Around};
use engine::prepare::Target;
use engine::tree::{self, Checks, Entry};
use engine::{assemble, misspelt, options, origin, plan};
use serde_json::Value;

use super::custom::{self, Again, Places};
use super::desire::Desired;
use super::live::{LiveSet, Sight};
use super::orphans::Orphans;
use super::subject::Subject;
use crate::context::Context;
use crate::memory::{AppMemory, Labels};
use crate::repos::Trouble;
use crate::tenants::TenantFacts;

mod outline;

pub use outline::{Outline, outline};

/// No lint looks at more objects than this.
const AROUND: usize = 2000;

/// What was found.
pub struct Look {
    /// What Git says, or why nobody knows.
    pub desired: Result<Desired, Trouble>,
    /// What the cluster has.
    pub live: LiveSet,
    /// The two compared.
    pub comparison: Comparison,
    /// What the jq expressions of what is left out name.
    pub places: Places,
    /// What the tenant's own health checks say.
    pub checks: Checks,
    /// When is asked again for what could not be said, though nothing changes.
    pub again: Option<Duration>,
    /// What no application has, as far as the project asks.
    pub orphans: Orphans,
}

impl Look {
    /// The targets; none while nobody knows what Git says.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        self.desired
            .as_ref()
            .map_or(&[], |desired| &desired.prepared.targets)
    }

    /// What its comparison left out.
    #[must_use]
    pub fn ignored<'a>(&'a self, subject: &'a Subject) -> Ignored<'a> {
        ignored(subject, &self.places)
    }

    /// Fetches the bodies of the objects that something is left out of, for a sync that leaves that as it is. Why the cluster
    /// does not show some: nobody can leave what is in them as it is.
    ///
    /// # Errors
    /// When the cluster does not answer, or is not ours any more.
    pub async fn fetch_ignored(
        &mut self,
        ctx: &Context,
        subject: &Subject,
    ) -> Result<Vec<Cause>, cluster::Error> {
        let missing = |target: &&Target| {
            leaves_out(&subject.ignore, &target.key)
                && self.live.find(&target.key).is_some()
                && self.live.body(&target.key).is_none()
        };
        let missing = self.targets().iter().filter(missing);
        let missing: Vec<(ResourceKey, String)> = missing
            .map(|target| (target.key.clone(), target.version.clone()))
            .collect();
        let unseen = self.live.fetch_seen(ctx, subject, &missing).await?;
        let known = std::mem::take(&mut self.places);
        self.places = custom::places(ctx, subject, self.targets(), &self.live, known).await;
        let unseen: BTreeMap<ResourceKey, cluster::Error> = unseen.into_iter().collect();
        let causes = unseen.into_iter().map(|(key, error)| error.cause().on(key));
        Ok(causes.collect())
    }
}

fn ignored<'a>(subject: &'a Subject, places: &'a Places) -> Ignored<'a> {
    Ignored {
        rules: &subject.ignore,
        named: &places.named,
        unnamed: &places.unnamed,
        known: &subject.customizations.known,
    }
}

/// Compares what Git says with what the index has.
///
/// # Errors
/// When a body or a dry run is needed and the cluster does not answer.
pub async fn look(
    ctx: &Context,
    subject: &Subject,
    desired: Result<Desired, Trouble>,
    memory: &mut AppMemory,
) -> Result<Look, cluster::Error> {
    let targets: &[Target] = desired
        .as_ref()
        .map_or(&[], |desired| &desired.prepared.targets);
    if !memory.copied {
        watch_label(ctx, subject);
    }
    let live = LiveSet::gather(ctx, subject.sight(), subject.claimant(), targets);
    look_at(ctx, subject, desired, live, memory).await
}

/// The same, with live objects at hand (those just applied).
///
/// # Errors
/// When a body or a dry run is needed and the cluster does not answer.
#[tracing::instrument(name = "compare", skip_all)]
pub async fn look_at(
    ctx: &Context,
    subject: &Subject,
    desired: Result<Desired, Trouble>,
    mut live: LiveSet,
    memory: &mut AppMemory,
) -> Result<Look, cluster::Error> {
    let targets: &[Target] = desired
        .as_ref()
        .map_or(&[], |desired| &desired.prepared.targets);
    let way = way(ctx, subject);
    if memory.compared_by != way {
        memory.applied.clear();
        memory.checked = Arc::default();
        memory.compared_by = way;
    }
    live.forget_tried();
    let mut places = custom::places(ctx, subject, targets, &live, Places::default()).await;
    let mut comparison = compare(subject, &desired, &live, &places, memory);
    if !comparison.needs_body.is_empty() || !comparison.needs_dry_run.is_empty() {
        let versions = targets.iter().map(|target| (&target.key, &target.version));
        let versions: HashMap<&ResourceKey, &String> = versions.collect();
        let version =
            |key: &ResourceKey| versions.get(key).map_or_else(String::new, |v| (*v).clone());
        let wanted: Vec<(ResourceKey, String)> = comparison
            .needs_body
            .iter()
            .map(|key| (key.clone(), version(key)))
            .collect();
        live.fetch_compared(ctx, subject, &wanted).await?;
        let mut untried = untried(targets, &comparison);
        // What is not shown is not compared, whatever a trial would come to.
        untried.retain(|target| !live.is_refused(&target.key));
        live.try_out(ctx, subject, &untried).await?;
        places = custom::places(ctx, subject, targets, &live, places).await;
        comparison = compare(subject, &desired, &live, &places, memory);
    }
    remember(&desired, &live, &comparison, memory);
    let checked = custom::checks(ctx, subject, &live, memory).await?;
    let again = custom::sooner(checked.again, places.again());
    let again = custom::sooner(again, live.again());
    Ok(Look {
        desired,
        live,
        comparison,
        again: Again::pause(again, &mut memory.unasked, Instant::now()),
        places,
        checks: checked.checks,
        orphans: Orphans::find(ctx, subject, !memory.copied).await,
    })
}

/// Has the application woken by what a label alone names, where that counts.
fn watch_label(ctx: &Context, subject: &Subject) {
    let places = match subject.claimant().by_label_alone() {
        Alone::Nowhere => None,
        Alone::Namespaces(own) => Some(Labels::In(own.to_vec())),
        Alone::Everywhere => Some(Labels::Everywhere),
    };
    ctx.memory.watch_label(&subject.key, places);
}

fn compare(
    subject: &Subject,
    desired: &Result<Desired, Trouble>,
    live: &LiveSet,
    places: &Places,
    memory: &AppMemory,
) -> Comparison {
    let nothing = domain::schema::SchemaSet::default();
    let (targets, incomplete, schema) = match desired {
        Ok(desired) => (
            desired.prepared.targets.as_slice(),
            desired.prepared.incomplete,
            desired.schema.as_ref(),
        ),
        // Nobody knows what Git says: the objects are listed as they are, and nothing is called superfluous.
        Err(_) => (&[][..], true, &nothing),
    };
    compare::compare(&compare::Input {
        claimant: subject.claimant(),
        targets,
        incomplete,
        live: &live.as_live(),
        applied: &memory.applied,
        ignore: ignored(subject, places),
        options: subject.compare_options(),
        schema,
    })
}

/// The targets that have to be tried.
fn untried<'a>(targets: &'a [Target], comparison: &Comparison) -> Vec<&'a Target> {
    let keys: HashSet<&ResourceKey> = comparison.needs_dry_run.iter().collect();
    targets
        .iter()
        .filter(|target| keys.contains(&target.key))
        .collect()
}

/// Names the way in which an application's objects are compared, and where they are: what was found in one holds in no
/// other.
fn way(ctx: &Context, subject: &Subject) -> u64 {
    let mut hasher = DefaultHasher::new();
    ctx.cluster.server().hash(&mut hasher);
    // Their `Debug` shows every field; equal texts are equal values.
    let known = &subject.customizations.known;
    let way = format!(
        "{:?} {:?} {known:?}",
        subject.ignore,
        subject.compare_options()
    );
    way.hash(&mut hasher);
    hasher.finish()
}

/// Notes which states were found to be as Git says, so that they need no body while both sides stay.
fn remember(
    desired: &Result<Desired, Trouble>,
    live: &LiveSet,
    comparison: &Comparison,
    memory: &mut AppMemory,
) {
    let Ok(desired) = desired else { return };
    for compared in &comparison.resources {
        let Some(target) = compared
            .target
            .and_then(|at| desired.prepared.targets.get(at))
        else {
            continue;
        };
        let same = compared.differences.is_empty() && !live.is_refused(&compared.key);
        if let (true, true, Some(seen)) = (compared.live, same, live.seen_with_body(&compared.key))
        {
            memory.applied.insert(
                compared.key.clone(),
                Applied {
                    target: target.hash,
                    seen,
                },
            );
        }
    }
    let listed = |key: &ResourceKey| {
        comparison
            .find(key)
            .is_some_and(|compared| compared.target.is_some())
    };
    memory.applied.retain(|key, _| listed(key));
}

/// Everything beneath some objects that the tenant sees.
#[must_use]
pub fn beneath(ctx: &Context, sight: Sight<'_>, live: &[Arc<LiveEntry>]) -> Vec<Arc<LiveEntry>> {
    let mut below = ctx
        .cluster
        .index()
        .descendants(live.iter().map(|entry| entry.uid.as_ref()));
    below.retain(|entry| sight.sees(&entry.key));
    below
}

/// Why some of the objects are not healthy, with what is beneath them.
#[must_use]
pub fn explained(ctx: &Context, sight: Sight<'_>, look: &Look, keys: &[ResourceKey]) -> Vec<Cause> {
    let entries: Vec<Arc<LiveEntry>> = keys
        .iter()
        .filter_map(|key| look.live.find(key).cloned())
        .collect();
    let below = beneath(ctx, sight, &entries);
    let live: Vec<Entry<'_>> = entries.iter().map(|entry| tree_entry(entry)).collect();
    let under: Vec<Entry<'_>> = below.iter().map(|entry| tree_entry(entry)).collect();
    let mut health = tree::assess(&live, &under, &look.checks);
    origin::locate_images(&mut health, look.targets());
    keys.iter()
        .filter_map(|key| health.get(key))
        .flat_map(|health| health.causes.iter().cloned())
        .collect()
}

/// An entry as the tree reads it.
#[must_use]
pub fn tree_entry(entry: &LiveEntry) -> Entry<'_> {
    Entry {
        key: &entry.key,
        version: &entry.version,
        uid: &entry.uid,
        resource_version: &entry.resource_version,
        owners: entry
            .owners
            .iter()
            .map(|owner| owner.uid.as_ref())
            .collect(),
        created_at: entry.created_at,
        body: &entry.body,
        images: entry.images.iter().map(AsRef::as_ref).collect(),
    }
}

/// The status that follows.
#[must_use]
pub fn status(
    ctx: &Context,
    subject: &Subject,
    look: &Look,
    more: Vec<Cause>,
    requested: bool,
) -> Status {
    let below = beneath(ctx, subject.sight(), look.live.entries());
    status_above(ctx, subject, look, &below, more, requested)
}

/// The same, where what is beneath the objects is at hand.
#[must_use]
pub fn status_above(
    ctx: &Context,
    subject: &Subject,
    look: &Look,
    below: &[Arc<LiveEntry>],
    more: Vec<Cause>,
    requested: bool,
) -> Status {
    let statuses = look.comparison.statuses();
    let live: Vec<Entry<'_>> = look
        .live
        .entries()
        .iter()
        .map(|entry| tree_entry(entry))
        .collect();
    let under: Vec<Entry<'_>> = below.iter().map(|entry| tree_entry(entry)).collect();
    let mut health = tree::assess(&live, &under, &look.checks);
    origin::locate_images(&mut health, look.targets());
    let (external_urls, images) =
        tree::summary(&tree::build(&statuses, &live, &under, &look.checks));
    let ignored: Vec<ResourceKey> = look
        .live
        .entries()
        .iter()
        .filter(|e| !health::counts(&e.body))
        .map(|e| e.key.clone())
        .collect();
    let mut causes = more;
    causes.extend(look.places.causes.iter().cloned());
    causes.extend(look.orphans.cause(subject));
    let policy = subject.spec.sync_policy.as_ref();
    causes.extend(policy.map_or_else(Vec::new, |policy| {
        misspelt::sync_options(&policy.sync_options)
    }));
    let mut facts = assemble::Facts {
        now: ctx.clock.now(),
        comparison: Some(&look.comparison),
        health: &health,
        ignored_health: &ignored,
        causes: Vec::new(),
        revisions: Vec::new(),
        sources: subject.sources(),
        multiple: subject.multiple(),
        destination: subject.spec.destination.clone(),
        ignore_differences: subject.ignore_differences(),
        source_types: Vec::new(),
        manifest_set: None,
        external_urls,
        images,
        requested,
    };
    match &look.desired {
        Ok(desired) => {
            causes.extend(desired.causes.iter().cloned());
            causes.extend(desired.prepared.causes.iter().cloned());
            causes.extend(lints(ctx, subject.tenant(), &desired.prepared.targets));
            facts.revisions.clone_from(&desired.revisions);
            facts.sources.clone_from(&desired.sources);
            facts.source_types.clone_from(&desired.source_types);
            facts.manifest_set = Some(desired.set.clone());
        }
        Err(trouble) => {
            causes.extend(trouble.causes.iter().cloned());
            // What was compared last stays on record: an unknown state is no new revision.
            facts.revisions.clone_from(&subject.app.status.revisions);
            facts
                .source_types
                .clone_from(&subject.app.status.source_types);
            facts
                .manifest_set
                .clone_from(&subject.app.status.manifest_set);
        }
    }
    facts.causes = causes;
    assemble::assemble(&subject.app.status, facts)
}

/// How the application's finalizers follow the hooks that Git has for its deletion. They stay while nobody knows what Git says.
#[must_use]
pub fn finalizers(subject: &Subject, look: &Look) -> FinalizerChange {
    match &look.desired {
        Ok(desired) => plan::finalizer_change(&desired.prepared, subject.app.finalizers()),
        Err(_) => FinalizerChange::default(),
    }
}

/// The status of an application that cannot be compared at all.
#[must_use]
pub fn unknown(
    ctx: &Context,
    app: &domain::application::Application,
    causes: Vec<Cause>,
    requested: bool,
) -> Status {
    let before = &app.status;
    let facts = assemble::Facts {
        now: ctx.clock.now(),
        comparison: None,
        health: &HashMap::new(),
        ignored_health: &[],
        causes,
        // What was compared last stays on record, all of it.
        revisions: before.revisions.clone(),
        sources: before.compared_sources.clone(),
        multiple: before.multiple,
        destination: before.compared_destination.clone(),
        ignore_differences: before.compared_ignore_differences.clone(),
        source_types: before.source_types.clone(),
        manifest_set: before.manifest_set.clone(),
        external_urls: before.external_urls.clone(),
        images: before.images.clone(),
        requested,
    };
    assemble::assemble(before, facts)
}

fn lints(ctx: &Context, tenant: &TenantFacts, targets: &[Target]) -> Vec<Cause> {
    let routes = |target: &&Target| {
        options::role(&target.object) == options::Role::Ordinary
            && matches!(
                (target.key.group.as_str(), target.key.kind.as_str()),
                ("", "Service") | ("networking.k8s.io", "Ingress")
            )
    };
    let namespaces: BTreeSet<&str> = targets
        .iter()
        .filter(routes)
        .map(|t| t.key.namespace.as_str())
        .collect();
    if namespaces.is_empty() {
        return lint::lint(targets, Around::default());
    }
    let owned = namespaces
        .into_iter()
        .filter(|namespace| tenant.owns(namespace));
    let there: Vec<Arc<LiveEntry>> = owned
        .flat_map(|namespace| ctx.cluster.index().in_namespace(namespace))
        .collect();
    if there.len() > AROUND {
        return lint::lint(targets, Around::default());
    }
    let (services, workloads): (Vec<&Value>, Vec<&Value>) = {
        let of = |kinds: &[&str]| {
            there
                .iter()
                .filter(|e| kinds.contains(&e.key.kind.as_str()))
                .map(|e| e.body.as_ref())
                .collect::<Vec<_>>()
        };
        (
            of(&["Service"]),
            of(&[
                "Pod",
                "Deployment",
                "StatefulSet",
                "DaemonSet",
                "ReplicaSet",
                "Job",
                "CronJob",
            ]),
        )
    };
    lint::lint(
        targets,
        Around {
            services: Some(&services),
            workloads: Some(&workloads),
        },
    )
}
