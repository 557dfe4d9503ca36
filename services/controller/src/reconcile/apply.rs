//! Carries out the steps of a plan, as whom the application is synced, and records what became of each (client required).
//!
//! It decides nothing: what to do, in which order and what may run side by side is in the plan.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{
    ApplyOptions, DeleteOptions, Deletion, LiveEntry, PatchKind, Validation, WriteOptions,
};
use domain::cause::Cause;
use domain::clock::Timestamp;
use domain::denial::Denial;
use domain::message;
use domain::operation::{Phase, ResourceResult, ResultCode};
use domain::quota::Quota;
use domain::resource::{GroupKind, ResourceKey, at, text};
use engine::options::Propagation;
use engine::plan::pace::named;
use engine::plan::{Action, How, Plan, Step, dispensable};
use futures::StreamExt;
use serde_json::{Value, json};
use store::Claim;

use super::live::LiveSet;
use super::subject::Subject;
use crate::context::Context;

/// How many requests of one application are under way at once.
const AT_ONCE: usize = 16;
/// How long a new definition is waited for, as in Argo CD.
const ESTABLISHED: Duration = Duration::from_secs(3);
/// How long an object that is made again is waited for to go; what takes longer, the next look goes on with.
const GONE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// What only the cluster says of an object, and nobody who makes one.
const OF_CLUSTER: [&str; 8] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// What became of a wave.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What became of each object.
    pub results: Vec<ResourceResult>,
    /// Why some could not be done.
    pub causes: Vec<Cause>,
    /// The cluster does not answer, or is not ours any more: the rest was not tried, and must be.
    pub interrupted: Option<cluster::Error>,
    /// The objects whose writes the cluster did not finish in time, where that is why.
    pub unfinished: Vec<ResourceKey>,
    /// Objects that are made anew when what is there of them is gone; nothing has become of them yet.
    pub going: Vec<ResourceKey>,
    /// Whether a namespace was made, so that the tenant's territory has changed.
    pub namespace_made: bool,
}

/// Carries out one wave. What was made anew since the attempt began is not made anew once more.
#[tracing::instrument(name = "apply", skip_all, fields(objects = steps.len(), dry_run))]
pub async fn wave(
    ctx: &Context,
    subject: &Subject,
    steps: &[Step],
    dry_run: bool,
    began: Timestamp,
    live: &mut LiveSet,
) -> Outcome {
    let mut outcome = Outcome::default();
    for batch in Plan::batches(steps) {
        let mut executions = Vec::with_capacity(batch.len());
        for step in batch {
            let body = live.body(&step.key).filter(|_| dry_run);
            let before = live.find(&step.key);
            let before = before.map(|entry| Before::of(entry, body, began));
            executions.push(execute(ctx, subject, step, before, dry_run));
        }
        // In order, so that results read as the plan does.
        let done: Vec<Result<Done, Refused>> = futures::stream::iter(executions)
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut definitions = Vec::new();
        let mut prune_failed = false;
        for (step, done) in batch.iter().zip(done) {
            match done {
                Ok(done) => {
                    outcome.namespace_made |=
                        matches!(step.action, Action::CreateNamespace { .. }) && !dry_run;
                    outcome
                        .results
                        .push(result(step, done.code, done.words, dry_run));
                    match done.object {
                        Some(object) if !dry_run => {
                            if step.key.kind == "CustomResourceDefinition" && is_served(&object) {
                                definitions.push(step.key.clone());
                            }
                            live.take_in(ctx, step.key.clone(), object).await;
                        }
                        _ if done.gone && !dry_run => live.remove(&step.key),
                        _ => {}
                    }
                }
                Err(Refused::ByCluster(error)) if passes(&error) => {
                    if is_late(&error) {
                        outcome.unfinished.push(step.key.clone());
                    }
                    outcome.interrupted = Some(error);
                }
                Err(Refused::StillThere) => outcome.going.push(step.key.clone()),
                Err(refused) => {
                    prune_failed |= matches!(step.action, Action::Prune { .. });
                    let (words, cause) = refused.explain(step, subject);
                    outcome
                        .results
                        .push(result(step, ResultCode::SyncFailed, words, dry_run));
                    outcome.causes.push(cause);
                }
            }
        }
        if outcome.interrupted.is_some() || prune_failed {
            return outcome;
        }
        if !definitions.is_empty() {
            established(ctx, &definitions).await;
        }
    }
    outcome
}

/// Whether what went wrong is no word on the object: the same request may succeed later, here or elsewhere.
fn passes(error: &cluster::Error) -> bool {
    (error.is_transient() && !is_word_on_object(error))
        || matches!(error, cluster::Error::NotHolder)
}

/// Whether a failure of the cluster's own, as its code has it, is about the object: it is larger than the cluster keeps, or
/// a webhook that is asked about it does not answer. To try again without a word would not help.
fn is_word_on_object(error: &cluster::Error) -> bool {
    let webhook = |words: &str| matches!(Denial::read(words), Some(Denial::WebhookFailed(_)));
    is_too_large(error) || error.refusal().is_some_and(|no| webhook(&no.message))
}

/// Whether the object is larger than the cluster takes or keeps.
fn is_too_large(error: &cluster::Error) -> bool {
    const SAID: [&str; 3] = [
        "Request entity too large",
        "etcdserver: request is too large",
        "trying to send message larger than max",
    ];
    let words = error.refusal().map_or("", |no| no.message.as_str());
    error.code() == Some(413) || SAID.iter().any(|said| words.contains(said))
}

/// Whether the cluster did not finish in time. It may have done what was asked, or do it yet.
#[must_use]
pub fn is_late(error: &cluster::Error) -> bool {
    matches!(error, cluster::Error::TimedOut { .. }) || error.code() == Some(504)
}

/// A step that went well.
struct Done {
    code: ResultCode,
    words: String,
    /// The object as the cluster has it now.
    object: Option<Value>,
    /// Whether it is gone now.
    gone: bool,
}

impl Done {
    fn said(code: ResultCode, words: impl Into<String>) -> Self {
        Self {
            code,
            words: words.into(),
            object: None,
            gone: false,
        }
    }
}

/// A step that did not.
enum Refused {
    ByCluster(cluster::Error),
    ByUs(Cause),
    /// What it makes anew is not gone yet.
    StillThere,
}

/// What is there of an object when its step begins.
struct Before {
    uid: String,
    resource_version: String,
    /// What is in it, where it is asked what would become of it: a trial leaves the version as it is, whatever it would
    /// change. Of an object that differs from what is wanted the body was fetched.
    content: Option<[u8; 32]>,
    /// Whether it was made since the attempt began.
    fresh: bool,
}

impl Before {
    fn of(entry: &LiveEntry, body: Option<&Value>, began: Timestamp) -> Self {
        Self {
            uid: entry.uid.to_string(),
            resource_version: entry.resource_version.to_string(),
            content: body.map(content),
            fresh: entry.created_at.is_some_and(|made| is_fresh(made, began)),
        }
    }

    /// Whether an object is still what it was.
    fn is_still(&self, object: &Value) -> bool {
        self.resource_version == text(object, &["metadata", "resourceVersion"])
            && self.content.is_none_or(|was| was == content(object))
    }
}

/// Names what is in an object, less what only the cluster says of it.
fn content(object: &Value) -> [u8; 32] {
    engine::canonical::hash(&as_it_was(object.clone()))
}

/// Whether an object was made since an attempt began. The cluster says in which second, so that one which was made in the
/// very second of the beginning is taken for older, and at worst made anew once more.
fn is_fresh(made: Timestamp, began: Timestamp) -> bool {
    made > began
}

impl From<cluster::Error> for Refused {
    fn from(error: cluster::Error) -> Self {
        Self::ByCluster(error)
    }
}

impl Refused {
    fn explain(self, step: &Step, subject: &Subject) -> (String, Cause) {
        match self {
            Self::ByCluster(error) if is_too_large(&error) => {
                let cause = Cause::error(message::cluster::TOO_LARGE.message());
                let cause = cause.on(step.key.clone()).evidence(error.to_string());
                (cause.message.to_string(), cause)
            }
            Self::ByCluster(error) => {
                let words = error
                    .refusal()
                    .map_or_else(|| error.to_string(), |refusal| refusal.message.clone());
                (words, cause(&error, subject).on(step.key.clone()))
            }
            Self::ByUs(cause) => (cause.message.to_string(), cause.on(step.key.clone())),
            Self::StillThere => {
                let message = message::sync::WAITING_DELETION.with("resource", named(&step.key));
                let cause = Cause::reason(message).on(step.key.clone());
                (cause.message.to_string(), cause)
            }
        }
    }
}

/// Why a sync could not write something; where an account that the project has named lacks a right, it is named.
#[must_use]
pub fn cause(error: &cluster::Error, subject: &Subject) -> Cause {
    let cause = error.cause();
    match &subject.deputy {
        Ok(Some(deputy)) if cause.message.is(&message::cluster::FORBIDDEN) => {
            let message = message::sync::SERVICE_ACCOUNT_FORBIDDEN
                .with("account", deputy)
                .with("project", subject.spec.project());
            Cause { message, ..cause }
        }
        _ => cause,
    }
}

#[tracing::instrument(
    name = "apply.object",
    skip_all,
    fields(kind = step.key.kind, namespace = step.key.namespace, name = step.key.name)
)]
async fn execute(
    ctx: &Context,
    subject: &Subject,
    step: &Step,
    before: Option<Before>,
    dry_run: bool,
) -> Result<Done, Refused> {
    match &step.action {
        Action::CreateNamespace { object } => {
            create_namespace(ctx, subject, &step.key.name, object, dry_run).await
        }
        Action::Apply {
            object,
            hash: _,
            how,
            exists: _,
        } => apply(ctx, subject, step, object, *how, before.as_ref(), dry_run).await,
        Action::Prune { uid, propagation } => {
            prune(ctx, subject, step, uid, *propagation, dry_run).await
        }
        Action::Keep(kept) => Ok(Done::said(ResultCode::PruneSkipped, kept.as_str())),
    }
}

async fn apply(
    ctx: &Context,
    subject: &Subject,
    step: &Step,
    object: &Value,
    how: How,
    before: Option<&Before>,
    dry_run: bool,
) -> Result<Done, Refused> {
    let account = subject.sync_account(ctx, &step.key.namespace)?;
    let validation = if how.validate {
        Validation::Warn
    } else {
        Validation::Ignore
    };
    let write = WriteOptions {
        dry_run,
        validation,
        ..WriteOptions::default()
    };
    let forces = how.force && !dry_run && dispensable(&step.key);
    let (object, created) = if how.replace {
        let anew = forces && before.is_some_and(|before| !before.fresh);
        let replaced = match anew {
            true => Err(None),
            false => account.replace(object, write).await.map_err(Some),
        };
        match replaced {
            Ok(object) => (object, before.is_none()),
            Err(Some(error)) if !(forces && needs_another(&error)) => return Err(error.into()),
            Err(_) => (
                recreate(&account, step, before, object, write).await?,
                false,
            ),
        }
    } else {
        let mut options = ApplyOptions {
            dry_run,
            validation,
            client_side: !how.server_side,
            ..ApplyOptions::default()
        };
        match subject.migrates_from() {
            _ if !how.migrate => options.migrate_from = None,
            Some(manager) => options.migrate_from = Some(manager.to_owned()),
            None => {}
        }
        match account.apply(object, &options).await {
            Ok(applied) => {
                for conflict in &applied.conflicts {
                    tracing::info!(resource = %step.key, field = conflict.field, "a field was taken from another manager");
                }
                (applied.object, applied.created)
            }
            Err(error) if forces && needs_another(&error) => (
                recreate(&account, step, before, object, write).await?,
                false,
            ),
            Err(error) => return Err(error.into()),
        }
    };
    let unchanged = before.is_some_and(|before| before.is_still(&object));
    let word = match (created, unchanged) {
        (true, _) => "created",
        (false, true) => "unchanged",
        (false, false) => "configured",
    };
    let words = format!("{} {word}", kubectl_name(&step.key));
    Ok(Done {
        code: ResultCode::Synced,
        words,
        object: Some(object),
        gone: false,
    })
}

/// Whether an object cannot become what is wanted, while another one in its place can: a field may not be changed, or
/// somebody else's change is in the way. What is invalid itself would be so in another object too.
fn needs_another(error: &cluster::Error) -> bool {
    let immutable = |words: &str| Denial::read(words) == Some(Denial::Immutable);
    let said = error.refusal().is_some_and(|no| {
        immutable(&no.message) || no.causes.iter().any(|cause| immutable(&cause.message))
    });
    error.is_conflict() || said
}

/// Deletes an object that cannot be changed, or shall not be, and makes it anew. Where the cluster will not have it then,
/// what was there is made once more.
async fn recreate(
    account: &cluster::Account,
    step: &Step,
    before: Option<&Before>,
    object: &Value,
    write: WriteOptions,
) -> Result<Value, Refused> {
    let (key, version) = (&step.key, Some(step.version.as_str()));
    let Some(old) = account.get(key, version).await? else {
        return Ok(account.create(object, write).await?);
    };
    let found = text(&old, &["metadata", "uid"]);
    let uid = before
        .map_or(found, |before| before.uid.as_str())
        .to_owned();
    let options = DeleteOptions {
        uid: Some(uid.clone()),
        propagation: cluster::Propagation::Foreground,
        ..DeleteOptions::default()
    };
    account.delete(key, version, &options).await?;
    let deadline = tokio::time::Instant::now() + GONE;
    loop {
        let there = account.get(key, version).await?;
        if there.is_none_or(|there| text(&there, &["metadata", "uid"]) != uid) {
            break;
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(Refused::StillThere);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    match account.create(object, write).await {
        Err(error) if error.refusal().is_some() && !passes(&error) => {
            if let Err(again) = account.create(&as_it_was(old), write).await {
                tracing::warn!(resource = %key, error = %again, "an object that was to be made anew could not be put back");
            }
            Err(error.into())
        }
        made => Ok(made?),
    }
}

/// An object to be made once more: without what only the cluster says of it.
fn as_it_was(mut object: Value) -> Value {
    if let Some(parts) = object.as_object_mut() {
        parts.remove("status");
        if let Some(metadata) = parts.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|name, _| !OF_CLUSTER.contains(&name.as_str()));
        }
    }
    object
}

async fn prune(
    ctx: &Context,
    subject: &Subject,
    step: &Step,
    uid: &str,
    propagation: Propagation,
    dry_run: bool,
) -> Result<Done, Refused> {
    let account = subject.sync_account(ctx, &step.key.namespace)?;
    let options = DeleteOptions {
        uid: Some(uid.to_owned()),
        resource_version: None,
        propagation: propagated(propagation),
        grace_seconds: None,
        dry_run,
    };
    let deletion = account
        .delete(&step.key, Some(&step.version), &options)
        .await?;
    let words = if dry_run {
        "pruned (dry run)"
    } else {
        "pruned"
    };
    Ok(Done {
        gone: deletion != Deletion::Waiting,
        ..Done::said(ResultCode::Pruned, words)
    })
}

/// The cluster's word for it.
#[must_use]
pub fn propagated(propagation: Propagation) -> cluster::Propagation {
    match propagation {
        Propagation::Foreground => cluster::Propagation::Foreground,
        Propagation::Background => cluster::Propagation::Background,
        Propagation::Orphan => cluster::Propagation::Orphan,
    }
}

/// Gives the namespace to the tenant and makes it; the plan has checked that the tenant may have it.
async fn create_namespace(
    ctx: &Context,
    subject: &Subject,
    namespace: &str,
    object: &Value,
    dry_run: bool,
) -> Result<Done, Refused> {
    let tenant = &subject.tenant.tenant;
    let words =
        |word: &str| Done::said(ResultCode::Synced, format!("namespace/{namespace} {word}"));
    if dry_run {
        return Ok(words("created (dry run)"));
    }
    let key = ResourceKey {
        kind: "Namespace".into(),
        name: namespace.to_owned(),
        ..ResourceKey::default()
    };
    if subject.tenant.makes_namespaces() {
        // Its account may do so itself.
        let account = subject.sync_account(ctx, "")?;
        let applied = account.apply(object, &ApplyOptions::default()).await?;
        return Ok(words(if applied.created {
            "created"
        } else {
            "configured"
        }));
    }
    // First of all: a claim on somebody else's namespace would outlive the refusal.
    ctx.cluster.check_namespace(namespace, &tenant.name).await?;
    let claimed = ctx
        .store
        .platform()
        .map_namespace(tenant.id, namespace)
        .await;
    let claimed = claimed.map_err(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a namespace could not be claimed"
        );
        Refused::ByUs(Cause::error(message::app::DATABASE_UNAVAILABLE.message()))
    })?;
    let refused = match claimed {
        Claim::Claimed => None,
        Claim::Taken => Some(message::sync::NAMESPACE_TAKEN.with("namespace", namespace)),
        Claim::Reserved => Some(message::tenant::NAMESPACE_RESERVED.with("namespace", namespace)),
        Claim::Quota => Some(
            message::tenant::QUOTA_REACHED
                .with("quota", Quota::Namespaces.as_str())
                .with("used", tenant.namespaces.len())
                .with(
                    "allowed",
                    tenant.allowed(Quota::Namespaces).unwrap_or_default(),
                ),
        ),
    };
    if let Some(message) = refused {
        return Err(Refused::ByUs(
            Cause::error(message).field("spec.destination.namespace"),
        ));
    }
    let existed = ctx.cluster.index().get(&key).is_some();
    ctx.cluster.ensure_tenant(namespace, &tenant.name).await?;
    let patch = metadata_patch(object);
    if !patch.is_empty() {
        let patch = json!({"metadata": patch});
        let platform = ctx.cluster.as_platform();
        platform
            .patch(
                &key,
                Some("v1"),
                PatchKind::Merge,
                &patch,
                WriteOptions::default(),
            )
            .await?;
    }
    Ok(words(if existed { "configured" } else { "created" }))
}

/// The names of labels and annotations that a tenant may give a namespace of its own; docs/tenancy.md lists them.
const FREE_NAMES: [&str; 30] = [
    "app",
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/version",
    "component",
    "contact",
    "cost-center",
    "course",
    "department",
    "description",
    "env",
    "environment",
    "group",
    "lesson",
    "maintainer",
    "note",
    "owner",
    "part-of",
    "phase",
    "product",
    "project",
    "purpose",
    "release",
    "stage",
    "team",
    "tier",
    "version",
];

/// The labels and annotations of a namespace that the tenant may choose, and no others. They are written under Naru's own
/// identity, and programs in the cluster act on them: what says whose a namespace is, what its pods may do, who injects
/// into them or scrapes them, is not for the tenant to say. What may be chosen is therefore listed, not what may not.
fn metadata_patch(object: &Value) -> BTreeMap<&'static str, BTreeMap<String, Value>> {
    let free = |name: &str| FREE_NAMES.contains(&name);
    let mut patch = BTreeMap::new();
    for part in ["labels", "annotations"] {
        let values = at(object, &["metadata", part])
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        let values: BTreeMap<String, Value> = values
            .filter(|(name, _)| free(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !values.is_empty() {
            patch.insert(part, values);
        }
    }
    patch
}

/// Whether a definition has a version that the cluster serves.
fn is_served(definition: &Value) -> bool {
    let versions = at(definition, &["spec", "versions"]).and_then(Value::as_array);
    let mut versions = versions.into_iter().flatten();
    versions.any(|version| version["served"] == true)
}

/// Whether a condition of a definition says this.
fn says(definition: &Value, condition: &str, word: &str) -> bool {
    let conditions = at(definition, &["status", "conditions"]).and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|said| text(said, &["type"]) == condition && text(said, &["status"]) == word)
}

/// Whether the names of a definition are another one's, so that its kind never comes.
fn is_refused(definition: &Value) -> bool {
    says(definition, "NamesAccepted", "False")
}

/// Waits until new kinds can be used; after a while the first object of such a kind says why it cannot.
async fn established(ctx: &Context, definitions: &[ResourceKey]) {
    let deadline = tokio::time::Instant::now() + ESTABLISHED;
    loop {
        let ready = definitions.iter().all(|key| {
            ctx.cluster.index().get(key).is_some_and(|entry| {
                is_refused(&entry.body) || says(&entry.body, "Established", "True")
            })
        });
        if ready || tokio::time::Instant::now() >= deadline {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    served(ctx, definitions).await;
}

/// Waits until the cluster lists new kinds: it does so a moment after it takes their objects.
async fn served(ctx: &Context, definitions: &[ResourceKey]) {
    let deadline = tokio::time::Instant::now() + ESTABLISHED;
    let mut pause = LOOK_AGAIN;
    loop {
        let kinds = match ctx.cluster.refresh_discovery().await {
            Ok(kinds) => kinds,
            Err(error) => {
                tracing::warn!(%error, "the new kinds could not be read yet");
                return;
            }
        };
        let listed = definitions.iter().all(|key| {
            // One that has not been seen yet is not waited for.
            ctx.cluster.index().get(key).is_none_or(|entry| {
                let group = text(&entry.body, &["spec", "group"]);
                let kind = text(&entry.body, &["spec", "names", "kind"]);
                is_refused(&entry.body) || kinds.resolve(group, None, kind).is_some()
            })
        });
        if listed || tokio::time::Instant::now() >= deadline {
            return;
        }
        // All kinds are read each time.
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

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
fn kubectl_name(key: &ResourceKey) -> String {
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
    fn a_webhook_that_is_only_quoted_makes_no_failure_final() {
        let passing = |message: &str| {
            let refusal = cluster::Refusal {
                code: 500,
                message: message.to_owned(),
                ..cluster::Refusal::default()
            };
            passes(&cluster::Error::Refused(Box::new(refusal)))
        };
        let failed = "Internal error occurred: failed calling webhook \"w\": EOF";
        assert!(!passing(failed));
        assert!(passing(
            "Internal error occurred: the apiserver is starting"
        ));
        let quoted = format!("Internal error occurred: cannot keep {failed:?}");
        assert!(passing(&quoted));
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

    fn refused(code: u16, message: &str, field: &str) -> cluster::Error {
        let cause = cluster::FieldCause {
            message: field.to_owned(),
            ..cluster::FieldCause::default()
        };
        cluster::Error::Refused(Box::new(cluster::Refusal {
            code,
            message: message.to_owned(),
            causes: vec![cause],
            ..cluster::Refusal::default()
        }))
    }

    #[test]
    fn force_is_for_what_cannot_be_changed_and_not_for_what_is_invalid() {
        let invalid = "must be between 1 and 65535, inclusive";
        assert!(!needs_another(&refused(422, "it is invalid", invalid)));
        let immutable = "Invalid value: {}: field is immutable";
        assert!(needs_another(&refused(422, "it is invalid", immutable)));
        assert!(needs_another(&refused(422, immutable, "")));
        assert!(needs_another(&refused(409, "it has been modified", "")));
        assert!(!needs_another(&refused(403, "it is forbidden", "")));
    }

    #[test]
    fn what_an_attempt_has_made_anew_is_known_again_after_a_crash() {
        let at = |millis| Timestamp::from_timestamp_millis(millis).unwrap();
        assert!(is_fresh(at(6_000), at(5_500)));
        assert!(!is_fresh(at(5_000), at(5_500)));
        assert!(!is_fresh(at(5_000), at(5_000)));
    }

    #[test]
    fn what_is_put_back_says_nothing_that_is_the_clusters_to_say() {
        let object = json!({"kind": "ConfigMap", "data": {"a": "1"}, "status": {"x": 1}, "metadata": {
            "name": "a", "labels": {"b": "2"}, "uid": "u", "resourceVersion": "1", "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": []}});
        let metadata = json!({"name": "a", "labels": {"b": "2"}});
        let expected = json!({"kind": "ConfigMap", "data": {"a": "1"}, "metadata": metadata});
        assert_eq!(as_it_was(object), expected);
    }

    #[test]
    fn a_trial_says_by_its_content_what_would_change() {
        let object = |value: &str| json!({"data": {"a": value}, "metadata": {"name": "a", "resourceVersion": "1"}});
        let before = |content| Before {
            uid: String::new(),
            resource_version: "1".to_owned(),
            content,
            fresh: false,
        };
        let known = before(Some(content(&object("1"))));
        assert!(known.is_still(&object("1")) && !known.is_still(&object("2")));
        assert!(
            before(None).is_still(&object("2")),
            "what was written would have another version"
        );
    }

    #[test]
    fn a_definition_whose_kind_never_comes_is_not_waited_for() {
        let served = |served| json!({"spec": {"versions": [{"name": "v1", "served": served}]}});
        assert!(is_served(&served(true)) && !is_served(&served(false)));
        let accepted = |status| {
            let condition = json!({"type": "NamesAccepted", "status": status});
            json!({"status": {"conditions": [condition]}})
        };
        assert!(is_refused(&accepted("False")) && !is_refused(&accepted("True")));
        assert!(!is_refused(&json!({})));
    }

    #[test]
    fn a_tenant_chooses_no_label_that_says_whose_a_namespace_is_or_what_its_pods_may() {
        let object = json!({"metadata": {
            "labels": {"team": "a", "naru.io/tenant": "b", "pod-security.kubernetes.io/enforce": "privileged",
                "istio-injection": "enabled", "istio.io/rev": "x", "app.kubernetes.io/name": "n"},
            "annotations": {"description": "1", "argocd.argoproj.io/tracking-id": "y", "example.com/x": "1",
                "scheduler.alpha.kubernetes.io/node-selector": "z"},
        }});
        let patch = metadata_patch(&object);
        assert_eq!(
            patch["labels"].keys().collect::<Vec<_>>(),
            ["app.kubernetes.io/name", "team"]
        );
        assert_eq!(
            patch["annotations"].keys().collect::<Vec<_>>(),
            ["description"]
        );
    }
}
