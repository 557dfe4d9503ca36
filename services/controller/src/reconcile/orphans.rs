//! Objects of the destination's namespace that no application has (client required: the index, and which applications
//! there are).

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::LiveEntry;
use domain::cause::Cause;
use domain::message;
use domain::resource::ResourceKey;
use domain::status::ResourceStatus;
use engine::tree;

use super::subject::Subject;
use crate::context::{ACCOUNT, Context};

/// Objects that no application has.
#[derive(Clone, Debug, Default)]
pub struct Orphans {
    /// Those that no other object owns.
    pub entries: Vec<Arc<LiveEntry>>,
    /// What these have made.
    pub beneath: Vec<Arc<LiveEntry>>,
}

impl Orphans {
    /// What the project wants to know of; nothing where it does not ask. With `watch` the application is woken by what comes
    /// and goes of these from now on, or not any more.
    pub async fn find(ctx: &Context, subject: &Subject, watch: bool) -> Self {
        let namespace = subject.destination.namespace.as_str();
        let rules = subject.rules().orphaned_resources.as_ref();
        let rules = rules.filter(|_| !namespace.is_empty());
        if watch {
            let watched = rules.map(|_| namespace);
            ctx.memory.watch_namespace(&subject.key, watched);
        }
        let Some(rules) = rules else {
            return Self::default();
        };
        let mut entries = ctx.cluster.index().in_namespace(namespace);
        entries.retain(|entry| {
            entry.owners.is_empty()
                && subject.sight().sees(&entry.key)
                && !rules.leaves_out(&entry.key)
                && !of_the_cluster(&entry.key)
                && !of_the_tenant(&entry.key)
                && permitted(subject, &entry.key)
        });
        let applications = applications(ctx, subject, &entries).await;
        entries
            .retain(|entry| app_of(entry, subject).is_none_or(|app| !applications.contains(app)));
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        let mut beneath = ctx
            .cluster
            .index()
            .descendants(entries.iter().map(|entry| entry.uid.as_ref()));
        beneath.retain(|entry| subject.sight().sees(&entry.key));
        Self { entries, beneath }
    }

    /// What is to be said of them.
    #[must_use]
    pub fn cause(&self, subject: &Subject) -> Option<Cause> {
        let rules = subject.rules().orphaned_resources.as_ref()?;
        let first = self.entries.first().filter(|_| rules.warns())?;
        let count = self.entries.len() + self.beneath.len();
        let message = message::sync::ORPHANED_RESOURCE
            .with("count", count)
            .with("first", &first.key);
        Some(Cause::warning(message))
    }

    /// As the tree lists objects.
    #[must_use]
    pub fn statuses(&self) -> Vec<ResourceStatus> {
        let listed = |entry: &Arc<LiveEntry>| tree::listed(&entry.key, &entry.version);
        self.entries.iter().map(listed).collect()
    }
}

/// Whether the cluster makes objects of the kind by itself, and names nothing that owns them. By default Argo CD looks at
/// none of these.
fn of_the_cluster(key: &ResourceKey) -> bool {
    let kinds = [
        ("", "Endpoints"),
        ("", "Event"),
        ("coordination.k8s.io", "Lease"),
    ];
    kinds.contains(&(key.group.as_str(), key.kind.as_str()))
}

/// Whether it is what makes the namespace the tenant's: its account, and what that may do.
fn of_the_tenant(key: &ResourceKey) -> bool {
    let kinds = [
        ("", "ServiceAccount"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
    ];
    key.name == ACCOUNT && kinds.contains(&(key.group.as_str(), key.kind.as_str()))
}

/// The application of this tenant that an object says it is of, as far as that counts.
fn app_of<'a>(entry: &'a LiveEntry, subject: &Subject) -> Option<&'a str> {
    subject.claimant().app_of(&entry.body, &entry.key)
}

/// Which of the applications that objects name there are; all of them while the database does not answer.
async fn applications(
    ctx: &Context,
    subject: &Subject,
    entries: &[Arc<LiveEntry>],
) -> BTreeSet<String> {
    let named: BTreeSet<&str> = entries
        .iter()
        .filter_map(|entry| app_of(entry, subject))
        .collect();
    let own = subject.key.name.to_string();
    let others: Vec<String> = named
        .into_iter()
        .filter(|name| *name != own)
        .map(str::to_owned)
        .collect();
    let mut known = BTreeSet::from([own]);
    if !others.is_empty() {
        let scope = ctx.store.tenant(subject.key.tenant);
        match scope.applications().find_many(&others).await {
            Ok(found) => known.extend(found.iter().map(|app| app.name().to_owned())),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "the applications that objects name could not be read"
                );
                known.extend(others);
            }
        }
    }
    known
}

/// Whether the project could have it: of what it permits nowhere nothing is said.
fn permitted(subject: &Subject, key: &ResourceKey) -> bool {
    let (rules, project) = (subject.rules(), subject.spec.project());
    engine::prepare::kind_forbidden(rules, project, key, true).is_none()
}
