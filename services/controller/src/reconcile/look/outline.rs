//! What a tree shows of an application: which objects it has and how they fare. Nothing is compared, and no object is
//! fetched (client required for the index, and for which applications there are).

use std::collections::HashMap;
use std::sync::Arc;

use cluster::LiveEntry;
use domain::resource::ResourceKey;
use domain::tracking::Marking;
use engine::tree::{self, Checks, Entry, Node, Wanted};

use super::{beneath, tree_entry};
use crate::context::Context;
use crate::reconcile::custom::{self, Known};
use crate::reconcile::live::LiveSet;
use crate::reconcile::orphans::Orphans;
use crate::reconcile::subject::Subject;
use crate::tenants::TenantFacts;

/// What a tree shows of an application, as the cluster is at one moment.
pub struct Outline {
    tenant: Arc<TenantFacts>,
    marking: Arc<Marking>,
    app: Arc<str>,
    wanted: Arc<[Wanted]>,
    live: LiveSet,
    below: Vec<Arc<LiveEntry>>,
    checks: Checks,
    orphans: Orphans,
}

/// What a tree shows of an application of which Git wants these objects; `known` is what the tenant's own checks said last.
pub async fn outline(
    ctx: &Context,
    subject: &Subject,
    wanted: &Arc<[Wanted]>,
    known: &HashMap<ResourceKey, Known>,
) -> Outline {
    let sight = subject.sight();
    let keys = wanted.iter().map(|wanted| &wanted.key);
    let live = LiveSet::gather_keys(ctx, sight, subject.claimant(), keys);
    let below = beneath(ctx, sight, live.entries());
    let entries = live.entries().iter().chain(&below);
    let checks = custom::said_last(&subject.customizations, known, entries);
    Outline {
        tenant: subject.tenant().clone(),
        marking: subject.marking.clone(),
        app: subject.key.name.clone(),
        wanted: wanted.clone(),
        live,
        below,
        checks,
        orphans: Orphans::find(ctx, subject, true).await,
    }
}

impl Outline {
    /// How many objects it is of.
    #[must_use]
    pub fn size(&self) -> usize {
        let orphans = self.orphans.entries.len() + self.orphans.beneath.len();
        self.wanted.len() + self.live.entries().len() + self.below.len() + orphans
    }

    /// The nodes of what the application has.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        let (live, below) = (entries(self.live.entries()), entries(&self.below));
        let claimant = self.tenant.claimant(&self.app, &self.marking);
        let own = tree::outline(&claimant, &self.wanted, &live);
        tree::build(&own, &live, &below, &self.checks)
    }

    /// The nodes of what no application has, as far as the project asks.
    #[must_use]
    pub fn orphaned(&self) -> Vec<Node> {
        let top = entries(&self.orphans.entries);
        let below = entries(&self.orphans.beneath);
        tree::build(&self.orphans.statuses(), &top, &below, &self.checks)
    }
}

fn entries(all: &[Arc<LiveEntry>]) -> Vec<Entry<'_>> {
    all.iter().map(|entry| tree_entry(entry)).collect()
}
