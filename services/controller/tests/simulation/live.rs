//! What the cluster has for an application: the index's entries, and where a comparison needs them, whole bodies.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::resource::{ResourceKey, text};
use engine::claim::Owner;
use engine::compare::{Live, Seen};
use engine::prepare::Target;
use engine::tree::Entry;
use serde_json::Value;

use crate::cluster::Stored;
use crate::driver::{Controller, Looked};
use crate::invariants::Duty;
use crate::world::{World, claimant, named_after};

/// What the cluster has for an application.
#[derive(Default)]
pub(crate) struct LiveSet {
    entries: BTreeMap<ResourceKey, Arc<Stored>>,
    bodies: BTreeMap<ResourceKey, Arc<Stored>>,
}

impl LiveSet {
    /// The objects that are tracked as the application's and those that have the key of a target.
    pub(crate) fn gather(me: &Controller, tenant: &str, app: &str, targets: &[Target]) -> Self {
        let concerns = |key: &ResourceKey, stored: &Stored| {
            claimant(tenant, app).owner(&stored.object, key, false) == Owner::Ours
                || targets.iter().any(|target| target.key == *key)
        };
        let entries = named_after(&me.index.objects, tenant, app);
        let entries = entries.filter(|(key, stored)| concerns(key, stored));
        Self {
            entries: entries
                .map(|(key, stored)| (key.clone(), stored.clone()))
                .collect(),
            bodies: BTreeMap::new(),
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Stored>> {
        self.entries.values()
    }

    pub(crate) fn find(&self, key: &ResourceKey) -> Option<&Arc<Stored>> {
        self.entries.get(key)
    }

    /// As comparisons read it.
    pub(crate) fn as_live(&self) -> Vec<Live<'_>> {
        let entries = self.entries.iter();
        entries
            .map(|(key, stored)| Live {
                key: key.clone(),
                version: "v1",
                uid: stored.uid(),
                owned: stored.is_owned(),
                seen: Some(stored.seen.clone()),
                essentials: &stored.object,
                body: self.bodies.get(key).map(|body| &body.object),
                predicted: None,
            })
            .collect()
    }

    /// As the tree reads it.
    pub(crate) fn as_entries(&self) -> Vec<Entry<'_>> {
        let entries = self.entries.iter();
        entries
            .map(|(key, stored)| Entry {
                key,
                version: "v1",
                uid: stored.uid(),
                resource_version: text(&stored.object, &["metadata", "resourceVersion"]),
                owners: Vec::new(),
                created_at: None,
                body: &stored.object,
                images: Vec::new(),
            })
            .collect()
    }

    /// Fetches whole objects. What is gone meanwhile leaves the set.
    pub(crate) fn fetch(
        &mut self,
        world: &mut World,
        me: &mut Controller,
        duty: &Duty<'_>,
        wanted: &[ResourceKey],
    ) -> Looked<()> {
        for key in wanted {
            match world.fetch(me, key, duty)? {
                Some(stored) => self.take_in(me, stored),
                None => self.remove(key),
            }
        }
        Ok(())
    }

    /// Takes in an object as it was answered.
    pub(crate) fn take_in(&mut self, me: &mut Controller, stored: Arc<Stored>) {
        let key = ResourceKey::of(&stored.object);
        self.entries
            .insert(key.clone(), me.index.observe(stored.clone()));
        self.bodies.insert(key, stored);
    }

    /// The same of what was answered to a write.
    pub(crate) fn take_answer(&mut self, me: &mut Controller, object: Value) {
        self.take_in(me, Arc::new(Stored::new(object)));
    }

    pub(crate) fn remove(&mut self, key: &ResourceKey) {
        self.entries.remove(key);
        self.bodies.remove(key);
    }

    /// The state of an entry, if its body is of just that state.
    pub(crate) fn seen_with_body(&self, key: &ResourceKey) -> Option<Seen> {
        let (entry, body) = (self.entries.get(key)?, self.bodies.get(key)?);
        (entry.version == body.version).then(|| entry.seen.clone())
    }
}
