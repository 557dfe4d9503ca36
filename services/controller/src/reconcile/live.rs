//! What the cluster has for an application: the index's entries, and where a comparison needs them, whole bodies and what
//! came of dry runs.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use cluster::{ApplyOptions, Index, LiveEntry, Validation};
use domain::cause::Cause;
use domain::resource::{ResourceKey, text};
use domain::settings::KindFilter;
use engine::claim::{Alone, Claimant, Owner};
use engine::compare::{Live, Predicted, Seen};
use engine::hooks;
use engine::prepare::Target;
use futures::StreamExt;
use serde_json::Value;

use super::custom::{self, Again};
use super::subject::Subject;
use crate::context::Context;
use crate::tenants::TenantFacts;

mod keyed;

use keyed::Keyed;

/// How many bodies are fetched, or targets tried, at once for one application.
const AT_ONCE: usize = 16;

/// What a tenant sees of the cluster, which has one index for all: its own objects, but for the kinds that its settings
/// leave out.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// Whose it is.
    pub tenant: &'a TenantFacts,
    /// The kinds that are left out; nothing where what an application leaves behind is let go of.
    pub kinds: Option<&'a KindFilter>,
}

impl Sight<'_> {
    /// Whether it sees an object.
    #[must_use]
    pub fn sees(self, key: &ResourceKey) -> bool {
        let excludes =
            |kinds: &KindFilter| kinds.excludes(&key.group, &key.kind, self.tenant.server());
        may_see(self.tenant, key) && !self.kinds.is_some_and(excludes)
    }

    /// Whether it sees a live object that is its own; a hook that our finalizer keeps is not lost sight of before it is
    /// let go.
    fn sees_own(self, entry: &LiveEntry) -> bool {
        self.sees(&entry.key) || (may_see(self.tenant, &entry.key) && hooks::held(&entry.body))
    }
}

/// What the cluster has for an application.
#[derive(Clone, Debug, Default)]
pub struct LiveSet {
    entries: Keyed<Arc<LiveEntry>>,
    bodies: HashMap<ResourceKey, Value>,
    /// What came of dry runs of targets, or why nothing did; or why a body that a comparison needs is not shown.
    tried: HashMap<ResourceKey, Result<Value, No>>,
}

/// The cluster's no to a target.
#[derive(Clone, Debug)]
struct No {
    cause: Cause,
    /// How soon it is asked again.
    again: Option<Again>,
}

impl LiveSet {
    /// The objects that are marked as the application's and those that have the key of a target, as far as the tenant
    /// may see them.
    #[must_use]
    pub fn gather(
        ctx: &Context,
        sight: Sight<'_>,
        claimant: Claimant<'_>,
        targets: &[Target],
    ) -> Self {
        let keys = targets.iter().map(|target| &target.key);
        Self::gather_keys(ctx, sight, claimant, keys)
    }

    /// The same, of targets of which only these keys are known.
    #[must_use]
    pub fn gather_keys<'a>(
        ctx: &Context,
        sight: Sight<'_>,
        claimant: Claimant<'_>,
        keys: impl Iterator<Item = &'a ResourceKey>,
    ) -> Self {
        let index = ctx.cluster.index();
        let tenant = sight.tenant;
        let mut entries = index.snapshot(claimant.tenant, claimant.app);
        entries.extend(labelled(index, claimant));
        entries.retain(|entry| sight.sees_own(entry));
        let tracked: std::collections::HashSet<ResourceKey> =
            entries.iter().map(|entry| entry.key.clone()).collect();
        // Whether somebody else's cluster-scoped object exists is not an ordinary tenant's to know.
        let visible = |key: &ResourceKey| {
            sight.sees(key) && (!key.namespace.is_empty() || tenant.owns_cluster(key))
        };
        let others = keys.filter(|&key| !tracked.contains(key) && visible(key));
        entries.extend(others.filter_map(|key| index.get(key)));
        let entries = entries.into_iter();
        Self {
            entries: entries.map(|entry| (entry.key.clone(), entry)).collect(),
            bodies: HashMap::new(),
            tried: HashMap::new(),
        }
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[Arc<LiveEntry>] {
        self.entries.as_slice()
    }

    /// Names them, and the state of each. `None` where one was compared in another state than its entry's: it had changed once
    /// more before the answer to its write was taken in, and a comparison goes by the body.
    #[must_use]
    pub fn state(&self) -> Option<u64> {
        let mut entries = self.entries().iter();
        let same = entries.all(|entry| {
            let body = self.bodies.get(&entry.key);
            body.is_none_or(|body| is_of(body, entry))
        });
        same.then(|| state_of(self.entries()))
    }

    /// One of them.
    #[must_use]
    pub fn find(&self, key: &ResourceKey) -> Option<&Arc<LiveEntry>> {
        self.entries.find(key)
    }

    /// The bodies that were fetched.
    #[must_use]
    pub fn body(&self, key: &ResourceKey) -> Option<&Value> {
        self.bodies.get(key)
    }

    /// As the engine reads it.
    #[must_use]
    pub fn as_live(&self) -> Vec<Live<'_>> {
        self.entries()
            .iter()
            .map(|entry| Live {
                key: entry.key.clone(),
                version: &entry.version,
                uid: &entry.uid,
                owned: !entry.owners.is_empty(),
                seen: seen(entry),
                essentials: &entry.body,
                body: self.bodies.get(&entry.key),
                predicted: self.tried.get(&entry.key).map(|tried| match tried {
                    Ok(object) => Predicted::Object(object),
                    Err(no) => Predicted::Refused(&no.cause),
                }),
            })
            .collect()
    }

    /// Fetches whole objects as the tenant's account. What is gone meanwhile leaves the set.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    pub async fn fetch(
        &mut self,
        ctx: &Context,
        subject: &Subject,
        wanted: &[(ResourceKey, String)],
    ) -> Result<(), cluster::Error> {
        let unseen = self.fetch_seen(ctx, subject, wanted).await?;
        unseen.into_values().next().map_or(Ok(()), Err)
    }

    /// The same, where what the cluster does not show stays as it is known; with why it does not.
    ///
    /// # Errors
    /// When the cluster does not answer, or is not ours any more.
    pub async fn fetch_seen(
        &mut self,
        ctx: &Context,
        subject: &Subject,
        wanted: &[(ResourceKey, String)],
    ) -> Result<HashMap<ResourceKey, cluster::Error>, cluster::Error> {
        let gets: Vec<_> = wanted
            .iter()
            .map(|(key, version)| get(ctx, subject.tenant(), key, version))
            .collect();
        let got: Vec<_> = futures::stream::iter(gets)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut unseen = HashMap::new();
        for (key, got) in got {
            match got {
                Ok(Some(body)) => self.take_in(ctx, key, body).await,
                Ok(None) => self.remove(&key),
                Err(error) if error.passes() => {
                    return Err(error);
                }
                Err(error) => drop(unseen.insert(key, error)),
            }
        }
        Ok(unseen)
    }

    /// Fetches the bodies that a comparison needs. Where the cluster does not show one, a no is kept as its cause: to ask
    /// again at once would not help, and the rest is compared all the same.
    ///
    /// # Errors
    /// When the cluster does not answer, or is not ours any more.
    pub async fn fetch_compared(
        &mut self,
        ctx: &Context,
        subject: &Subject,
        wanted: &[(ResourceKey, String)],
    ) -> Result<(), cluster::Error> {
        let unseen = self.fetch_seen(ctx, subject, wanted).await?;
        let nos = unseen.into_iter().map(|(key, error)| {
            // Nothing tells when it may be read, and that may be never.
            let again = Some(Again::Seldom);
            let cause = error.cause();
            (key, Err(No { cause, again }))
        });
        self.tried.extend(nos);
        Ok(())
    }

    /// Applies targets for trial, as the tenant's account, to the objects that are there; a no is kept as its cause.
    ///
    /// # Errors
    /// When the cluster does not answer, or is not ours any more.
    pub async fn try_out(
        &mut self,
        ctx: &Context,
        subject: &Subject,
        wanted: &[&Target],
    ) -> Result<(), cluster::Error> {
        let runs: Vec<_> = wanted
            .iter()
            .filter_map(|target| {
                let uid = self.find(&target.key)?.uid.to_string();
                Some(tried(ctx, subject.tenant(), target, uid))
            })
            .collect();
        let done: Vec<_> = futures::stream::iter(runs)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (key, result) in done {
            let kept = match result {
                // A webhook that fails is answered with 500: that is a no to this object, and may stay one.
                Err(error)
                    if matches!(error, cluster::Error::NotHolder)
                        || (error.is_transient() && error.code() != Some(500)) =>
                {
                    return Err(error);
                }
                result => result.map_err(|error| No {
                    cause: error.cause(),
                    again: custom::after_no(&error),
                }),
            };
            self.tried.insert(key, kept);
        }
        Ok(())
    }

    /// Forgets what came of dry runs: they were of the targets of another look.
    pub fn forget_tried(&mut self) {
        self.tried.clear();
    }

    /// Whether the cluster would not have an object's target, or does not show the object.
    #[must_use]
    pub fn is_refused(&self, key: &ResourceKey) -> bool {
        self.tried.get(key).is_some_and(Result::is_err)
    }

    /// How soon the cluster is asked again about targets that it would not have.
    #[must_use]
    pub fn again(&self) -> Option<Again> {
        let tried = self.tried.values();
        let refused = tried.filter_map(|tried| tried.as_ref().err()?.again);
        refused.min()
    }

    /// Takes an object in as the cluster answered it, so that entry and body are of one state.
    pub async fn take_in(&mut self, ctx: &Context, key: ResourceKey, body: Value) {
        if let Some(entry) = ctx.cluster.index().observe(&body).await {
            self.entries.put(key.clone(), entry);
        }
        // Of another state than this one.
        self.tried.remove(&key);
        self.bodies.insert(key, body);
    }

    /// What the cluster would make of a target, where it was asked.
    #[must_use]
    pub fn predicted(&self, key: &ResourceKey) -> Option<&Value> {
        self.tried.get(key)?.as_ref().ok()
    }

    /// Forgets an object.
    pub fn remove(&mut self, key: &ResourceKey) {
        self.entries.remove(key);
        self.bodies.remove(key);
        self.tried.remove(key);
    }

    /// The state of an entry, if its body is of just that state.
    #[must_use]
    pub fn seen_with_body(&self, key: &ResourceKey) -> Option<Seen> {
        let entry = self.find(key)?;
        let body = self.bodies.get(key)?;
        if is_of(body, entry) {
            seen(entry)
        } else {
            None
        }
    }
}

/// What a label alone marks as the application's, where that counts.
fn labelled(index: &Index, claimant: Claimant<'_>) -> Vec<Arc<LiveEntry>> {
    let mut entries = match claimant.by_label_alone() {
        Alone::Nowhere => return Vec::new(),
        Alone::Namespaces(own) => index.labelled(claimant.app, Some(own)),
        Alone::Everywhere => index.labelled(claimant.app, None),
    };
    entries.retain(|entry| claimant.owner(&entry.body, &entry.key, false) == Owner::Ours);
    entries
}

async fn get(
    ctx: &Context,
    tenant: &TenantFacts,
    key: &ResourceKey,
    version: &str,
) -> (ResourceKey, Result<Option<Value>, cluster::Error>) {
    let got = async {
        ctx.account(tenant, &key.namespace)?
            .get(key, Some(version))
            .await
    };
    (key.clone(), got.await)
}

async fn tried(
    ctx: &Context,
    tenant: &TenantFacts,
    target: &Target,
    uid: String,
) -> (ResourceKey, Result<Value, cluster::Error>) {
    let result = dry_run(ctx, tenant, target, uid).await;
    (target.key.clone(), result)
}

/// The object of a uid as it would be if a target were applied to it by the tenant's account.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub async fn dry_run(
    ctx: &Context,
    tenant: &TenantFacts,
    target: &Target,
    uid: String,
) -> Result<Value, cluster::Error> {
    let options = ApplyOptions {
        dry_run: true,
        validation: Validation::Ignore,
        uid: Some(uid),
        ..ApplyOptions::default()
    };
    let account = ctx.account(tenant, &target.key.namespace)?;
    let applied = account.apply(&target.object, &options).await?;
    Ok(applied.object)
}

/// Whether an object may be shown to a tenant: namespaced ones where it owns the namespace, a Namespace where it owns
/// that, other cluster-scoped ones when they are tracked as its own (which only its own account can have made).
fn may_see(tenant: &TenantFacts, key: &ResourceKey) -> bool {
    if key.namespace.is_empty() {
        return !key.is_namespace() || tenant.owns(&key.name);
    }
    tenant.owns(&key.namespace)
}

/// Whether a body is of the state that an entry is of.
fn is_of(body: &Value, entry: &LiveEntry) -> bool {
    text(body, &["metadata", "resourceVersion"]) == entry.resource_version.as_ref()
}

/// Names some objects, in whatever order they come, and the state of each.
#[must_use]
pub fn state_of(entries: &[Arc<LiveEntry>]) -> u64 {
    let mut states: Vec<(&ResourceKey, &str, &str)> = entries
        .iter()
        .map(|entry| (&entry.key, &*entry.uid, &*entry.resource_version))
        .collect();
    states.sort_unstable();
    let mut hasher = DefaultHasher::new();
    states.hash(&mut hasher);
    hasher.finish()
}

/// The state of an entry as the engine compares it.
#[must_use]
pub fn seen(entry: &LiveEntry) -> Option<Seen> {
    let fingerprint = *entry.fingerprint.as_ref()?.as_bytes();
    Some(Seen {
        fingerprint,
        managed: entry.managed.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cluster::{AlwaysMayWrite, Budget, Cluster, Terms};
    use domain::cluster::{Cluster as Added, Login};
    use domain::egress::Egress;
    use runtime::clock::SystemClock;
    use serde_json::json;

    use super::*;

    /// One that nobody asks anything: it is there to read objects as its index would.
    fn cluster() -> Cluster {
        let second = Duration::from_secs(1);
        let terms = Terms {
            request_timeout: second,
            write_timeout: second,
            gate: Arc::new(AlwaysMayWrite),
            fingerprint_key: [7; 32],
            clock: Arc::new(SystemClock),
        };
        let server = "http://localhost:1".to_owned();
        let added = Added {
            server,
            ..Added::default()
        };
        let login = Login {
            insecure: true,
            ..Login::default()
        };
        let nowhere = Arc::new(Egress::default());
        let budget = Budget::new(1 << 20, 10, None);
        Cluster::added(&added, &login, &nowhere, &budget, terms).unwrap()
    }

    #[tokio::test]
    async fn a_state_has_a_name_where_all_was_compared_in_the_state_that_it_is_in() {
        let cluster = cluster();
        let object = |name: &str, version: &str| {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {
                "name": name, "namespace": "web", "uid": name, "resourceVersion": version}})
        };
        let entry = |name: &str, version: &str| {
            let index = cluster.index();
            index.read(&object(name, version)).unwrap()
        };
        let live = |entries: &[Arc<LiveEntry>], body: Value| LiveSet {
            entries: entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.clone()))
                .collect(),
            bodies: HashMap::from([(ResourceKey::of(&body), body)]),
            tried: HashMap::new(),
        };
        let (a, b) = (entry("a", "5"), entry("b", "6"));
        let both = live(&[a.clone(), b.clone()], object("a", "5")).state();
        let now = |entries: &[&Arc<LiveEntry>]| {
            let entries: Vec<_> = entries.iter().map(|&entry| entry.clone()).collect();
            Some(state_of(&entries))
        };
        assert_eq!(both, now(&[&b, &a]), "the order says nothing");
        assert_ne!(both, now(&[&a, &entry("b", "7")]));
        assert_ne!(both, now(&[&a]));
        let answered_before = live(&[a, b], object("a", "4")).state();
        assert_eq!(answered_before, None, "nobody has compared it as it is");
    }
}
