//! What a control plane does behind its apiserver: Deployments get ReplicaSets and come up, Jobs end, what is owned goes with
//! its owner, and namespaces go with what is in them.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::resource::{ResourceKey, at, text};
use serde_json::{Value, json};

use crate::cluster::{
    Apiserver, Request, Stored, Verb, finalizers, namespace_of, owners, set_finalizers,
};

/// What the cluster's own controllers do about one object.
enum Chore {
    Store(Value),
    Remove,
    Make(ResourceKey, Value),
}

impl Apiserver {
    /// The objects that the cluster's own controllers have something to do about.
    pub(crate) fn restless(&self) -> Vec<ResourceKey> {
        self.restless.iter().cloned().collect()
    }

    /// Lets the cluster's own controllers do what is due for one object; nothing where all is done.
    pub(crate) fn tick(&mut self, key: &ResourceKey) {
        let Some(stored) = self.objects.get(key).cloned() else {
            self.restless.remove(key);
            return;
        };
        match self.chore(key, &stored) {
            None => {
                self.restless.remove(key);
            }
            Some(Chore::Store(object)) => drop(self.store(key, object, false)),
            Some(Chore::Make(made, object)) => {
                let request = Request {
                    verb: Verb::Create,
                    key: made,
                    body: object,
                    manager: "kube-controller-manager".to_owned(),
                    dry_run: false,
                };
                // A namespace that is being deleted takes nothing.
                if !self.serve(&request).is_good() {
                    self.restless.remove(key);
                }
            }
            Some(Chore::Remove) => drop(self.serve(&Request {
                verb: Verb::Delete,
                key: key.clone(),
                body: json!({"preconditions": {"uid": stored.uid()}, "propagationPolicy": "Background"}),
                manager: "kube-controller-manager".to_owned(),
                dry_run: false,
            })),
        }
    }

    fn chore(&self, key: &ResourceKey, stored: &Stored) -> Option<Chore> {
        let object = &stored.object;
        if let Some(chore) = self.collected(key, stored) {
            return Some(chore);
        }
        if stored.deleting() {
            return None;
        }
        let mut next = object.clone();
        match key.kind.as_str() {
            "Deployment" => {
                let set = ResourceKey {
                    kind: "ReplicaSet".to_owned(),
                    name: format!("{}-1", key.name),
                    ..key.clone()
                };
                if !self.objects.contains_key(&set) {
                    let body = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": {"replicas": 1}, "metadata": {
                        "name": set.name, "namespace": set.namespace,
                        // As the real one does: who looks at marks alone would take it for the application's.
                        "annotations": object["metadata"]["annotations"],
                        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": key.name,
                            "uid": stored.uid(), "controller": true, "blockOwnerDeletion": true}]}});
                    return Some(Chore::Make(set, body));
                }
                next["status"] = rollout(object);
            }
            "Job" if at(object, &["status", "conditions"]).is_none() => {
                let fails = text(object, &["metadata", "labels", "fails"]) == "true";
                let word = if fails { "Failed" } else { "Complete" };
                next["status"] =
                    json!({"conditions": [{"type": word, "status": "True", "message": word}]});
            }
            _ => return None,
        }
        (next != *object).then_some(Chore::Store(next))
    }

    /// What the garbage collector and the namespace controller do about an object, and whoever keeps one for a while.
    fn collected(&self, key: &ResourceKey, stored: &Stored) -> Option<Chore> {
        let object = &stored.object;
        let kept = finalizers(object);
        let keeps = |name: &str| kept.iter().any(|kept| kept == name);
        let childless = self
            .dependents
            .get(stored.uid())
            .is_none_or(BTreeSet::is_empty);
        if stored.deleting() {
            let over = [SLOW, "orphan", "foregroundDeletion"];
            let over = over.into_iter().find(|name| keeps(name));
            if let Some(name) = over.filter(|name| *name == SLOW || childless) {
                let mut next = object.clone();
                let left: Vec<String> = kept.iter().filter(|n| *n != name).cloned().collect();
                set_finalizers(&mut next, &left);
                return Some(Chore::Store(next));
            }
            if key.kind == "Namespace" && kept.is_empty() && !self.inhabited(&key.name) {
                let mut next = object.clone();
                next["status"] = json!({"phase": "Terminating", "emptied": self.version});
                return Some(Chore::Store(next));
            }
        }
        let owned_by: Vec<Option<&Arc<Stored>>> = owners(object)
            .map(|uid| self.objects.get(self.by_uid.get(uid)?))
            .collect();
        let keeps_for = |owner: &Stored, name: &str| {
            let kept = finalizers(&owner.object);
            kept.iter().any(|kept| kept == name)
        };
        let mut there = owned_by.iter().flatten();
        if there.any(|owner| keeps_for(owner, "orphan")) {
            let mut next = object.clone();
            if let Some(metadata) = next.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("ownerReferences");
            }
            return Some(Chore::Store(next));
        }
        let going = |owner: &Option<&Arc<Stored>>| {
            owner.is_none_or(|owner| keeps_for(owner, "foregroundDeletion"))
        };
        let orphaned = !owned_by.is_empty() && owned_by.iter().all(going);
        let home = self.objects.get(&namespace_of(key));
        let emptied = home.is_some_and(|home| home.deleting());
        ((orphaned || emptied) && !stored.deleting()).then_some(Chore::Remove)
    }
}

/// A finalizer of somebody who takes a while.
pub(crate) const SLOW: &str = "example.com/slow";

/// How a Deployment fares whose pods come at once, or never.
fn rollout(object: &Value) -> Value {
    let generation = &object["metadata"]["generation"];
    let replicas = &object["spec"]["replicas"];
    let broken = object["spec"]["template"].to_string().contains("broken");
    if broken {
        return json!({"observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
            "availableReplicas": 0, "conditions": [{"type": "Progressing", "status": "False",
                "reason": "ProgressDeadlineExceeded", "message": "no pod came up"}]});
    }
    json!({"observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
        "availableReplicas": replicas})
}
