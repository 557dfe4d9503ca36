//! A simulated apiserver, with what a control plane does behind it: as far as the cases of `cases/` say how the real one
//! answers, and no further. Every change is an event with a version, so that who watches may be told as late as one likes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::clock::Timestamp;
use domain::field_set::FieldSet;
use domain::resource::{ResourceKey, at, text};
use domain::status::HealthCode;
use engine::compare::Seen;
use engine::fields::MANAGER;
use serde_json::{Value, json};

use crate::fields;

/// A kind that it has.
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) namespaced: bool,
    /// Whether its objects count the changes of their specs.
    generation: bool,
}

const fn kind(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    generation: bool,
) -> Kind {
    Kind {
        group,
        version: "v1",
        kind,
        plural,
        namespaced: true,
        generation,
    }
}

pub(crate) static KINDS: [Kind; 6] = [
    Kind {
        namespaced: false,
        ..kind("", "Namespace", "namespaces", false)
    },
    kind("", "ConfigMap", "configmaps", false),
    kind("", "Secret", "secrets", false),
    kind("apps", "Deployment", "deployments", true),
    kind("apps", "ReplicaSet", "replicasets", true),
    kind("batch", "Job", "jobs", true),
];

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Create,
    Apply { force: bool },
    Replace,
    Merge,
    Delete,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) verb: Verb,
    pub(crate) key: ResourceKey,
    pub(crate) body: Value,
    pub(crate) manager: String,
    pub(crate) dry_run: bool,
}

/// An answer: the object, or a `Status`.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) object: Value,
}

impl Answer {
    pub(crate) fn is_good(&self) -> bool {
        self.code < 300
    }

    pub(crate) fn message(&self) -> &str {
        text(&self.object, &["message"])
    }
}

/// A no.
struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
    causes: Vec<Value>,
}

fn refuse(code: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
    Refusal {
        code,
        reason,
        message: message.into(),
        causes: Vec::new(),
    }
}

/// An object in one state, and what tells that state from others.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) object: Value,
    pub(crate) version: u64,
    pub(crate) seen: Seen,
}

impl Stored {
    /// An object as it was answered.
    pub(crate) fn new(object: Value) -> Self {
        let version = text(&object, &["metadata", "resourceVersion"]);
        Self {
            seen: seen(&object),
            version: version.parse().unwrap_or_default(),
            object,
        }
    }

    pub(crate) fn uid(&self) -> &str {
        text(&self.object, &["metadata", "uid"])
    }

    pub(crate) fn is_owned(&self) -> bool {
        owners(&self.object).next().is_some()
    }

    pub(crate) fn deleting(&self) -> bool {
        is_deleting(&self.object)
    }
}

pub(crate) fn owners(object: &Value) -> impl Iterator<Item = &str> {
    let owners = at(object, &["metadata", "ownerReferences"]).and_then(Value::as_array);
    let owners = owners.into_iter().flatten();
    owners.map(|owner| text(owner, &["uid"]))
}

fn is_deleting(object: &Value) -> bool {
    !text(object, &["metadata", "deletionTimestamp"]).is_empty()
}

pub(crate) fn finalizers(object: &Value) -> Vec<String> {
    let list = at(object, &["metadata", "finalizers"]).and_then(Value::as_array);
    let names = list.into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

pub(crate) fn set_finalizers(object: &mut Value, names: &[String]) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        match names {
            [] => drop(metadata.remove("finalizers")),
            names => drop(metadata.insert("finalizers".to_owned(), json!(names))),
        }
    }
}

/// A change: the object as it is since, or that it is gone.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) version: u64,
    pub(crate) key: ResourceKey,
    pub(crate) object: Option<Arc<Stored>>,
}

/// The apiserver.
#[derive(Default)]
pub(crate) struct Apiserver {
    pub(crate) objects: BTreeMap<ResourceKey, Arc<Stored>>,
    /// Everything that ever happened, in order.
    pub(crate) log: Vec<Event>,
    pub(crate) version: u64,
    uids: u64,
    pub(crate) now: Timestamp,
    /// In which version an object was last healthy, or of a kind that is nothing else.
    pub(crate) healthy_at: BTreeMap<ResourceKey, u64>,
    /// The runs of hooks that have succeeded.
    pub(crate) succeeded: BTreeSet<String>,
    /// The objects that the cluster's own controllers may have something to do about.
    pub(crate) restless: BTreeSet<ResourceKey>,
    pub(crate) by_uid: BTreeMap<String, ResourceKey>,
    /// What each owns, by its uid.
    pub(crate) dependents: BTreeMap<String, BTreeSet<ResourceKey>>,
    /// How many objects each namespace has.
    inhabitants: BTreeMap<String, usize>,
}

impl Apiserver {
    pub(crate) fn get(&self, key: &ResourceKey) -> Option<&Arc<Stored>> {
        self.objects.get(key)
    }

    /// Answers a request.
    pub(crate) fn serve(&mut self, request: &Request) -> Answer {
        let done = match request.verb {
            Verb::Get => self.read(&request.key),
            Verb::Create => self.create(request),
            Verb::Apply { force } => self.apply(request, force),
            Verb::Replace => self.replace(request),
            Verb::Merge => self.merge(request),
            Verb::Delete => self.delete(request),
        };
        match done {
            Ok((code, object)) => Answer { code, object },
            Err(no) => Answer {
                code: no.code,
                object: json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": no.code,
                    "reason": no.reason, "message": no.message, "details": {"causes": no.causes}}),
            },
        }
    }

    fn there(&self, key: &ResourceKey) -> Result<Arc<Stored>, Refusal> {
        let there = self.objects.get(key).cloned();
        there.ok_or_else(|| {
            let message = format!("{} {:?} not found", key.kind.to_lowercase(), key.name);
            refuse(404, "NotFound", message)
        })
    }

    fn read(&self, key: &ResourceKey) -> Result<(u16, Value), Refusal> {
        Ok((200, self.there(key)?.object.clone()))
    }

    fn create(&mut self, request: &Request) -> Result<(u16, Value), Refusal> {
        let mut key = request.key.clone();
        let mut object = request.body.clone();
        if key.name.is_empty() {
            let prefix = text(&object, &["metadata", "generateName"]);
            key.name = format!("{prefix}{:05}", self.uids + 1);
            object["metadata"]["name"] = json!(key.name);
        }
        if self.objects.contains_key(&key) {
            let message = format!("{} {:?} already exists", key.kind.to_lowercase(), key.name);
            return Err(refuse(409, "AlreadyExists", message));
        }
        self.takes_new(&key)?;
        fields::touched(None, &mut object, &request.manager);
        self.born(&mut object);
        Ok((201, self.store(&key, object, request.dry_run)))
    }

    /// Whether anything may be made in a namespace.
    fn takes_new(&self, key: &ResourceKey) -> Result<(), Refusal> {
        if key.namespace.is_empty() {
            return Ok(());
        }
        let namespace = self.there(&namespace_of(key))?;
        if namespace.deleting() {
            let message = format!(
                "unable to create new content in namespace {} because it is being terminated",
                key.namespace
            );
            return Err(refuse(403, "Forbidden", message));
        }
        Ok(())
    }

    /// What the server says of a new object.
    fn born(&mut self, object: &mut Value) {
        self.uids += 1;
        object["metadata"]["uid"] = json!(format!("uid-{:06}", self.uids));
        object["metadata"]["creationTimestamp"] = json!(self.seconds());
        if let Some(parts) = object.as_object_mut() {
            parts.remove("status");
        }
    }

    fn seconds(&self) -> String {
        self.now.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    fn apply(&mut self, request: &Request, force: bool) -> Result<(u16, Value), Refusal> {
        let Some(before) = self.objects.get(&request.key).cloned() else {
            if !text(&request.body, &["metadata", "uid"]).is_empty() {
                let message = "uid mismatch: the object is not there";
                return Err(refuse(409, "Conflict", message));
            }
            self.takes_new(&request.key)?;
            let mut object = request.body.clone();
            let who = (request.manager.clone(), "Apply".to_owned());
            let managers = BTreeMap::from([(who, fields::leaves(&object))]);
            fields::write(&mut object, &managers);
            self.born(&mut object);
            return Ok((201, self.store(&request.key, object, request.dry_run)));
        };
        preconditions(&before, &request.body["metadata"], false)?;
        let next = fields::applied(&before.object, &request.body, &request.manager, force);
        let next = next.map_err(|conflicts| {
            let causes = conflicts.iter().map(|conflict| {
                json!({"reason": "FieldManagerConflict", "field": conflict.field,
                    "message": format!("conflict with {:?}", conflict.manager)})
            });
            let message = format!("Apply failed with {} conflict", conflicts.len());
            Refusal {
                causes: causes.collect(),
                ..refuse(409, "Conflict", message)
            }
        })?;
        changeable(&before.object, &next)?;
        Ok((200, self.store(&request.key, next, request.dry_run)))
    }

    fn replace(&mut self, request: &Request) -> Result<(u16, Value), Refusal> {
        let before = self.there(&request.key)?;
        preconditions(&before, &request.body["metadata"], false)?;
        let mut next = request.body.clone();
        for name in [
            "uid",
            "creationTimestamp",
            "generation",
            "deletionTimestamp",
        ] {
            if let Some(value) = before.object["metadata"].get(name) {
                next["metadata"][name] = value.clone();
            }
        }
        if let Some(status) = before.object.get("status") {
            next["status"] = status.clone();
        }
        self.updated(request, &before, next)
    }

    fn merge(&mut self, request: &Request) -> Result<(u16, Value), Refusal> {
        let before = self.there(&request.key)?;
        preconditions(&before, &request.body["metadata"], true)?;
        let mut next = before.object.clone();
        merge_patch(&mut next, &request.body);
        self.updated(request, &before, next)
    }

    fn updated(
        &mut self,
        request: &Request,
        before: &Stored,
        mut next: Value,
    ) -> Result<(u16, Value), Refusal> {
        next["metadata"]["resourceVersion"] = before.object["metadata"]["resourceVersion"].clone();
        if finalizers(&next).is_empty() {
            set_finalizers(&mut next, &[]);
        }
        changeable(&before.object, &next)?;
        fields::touched(Some(&before.object), &mut next, &request.manager);
        Ok((200, self.store(&request.key, next, request.dry_run)))
    }

    fn delete(&mut self, request: &Request) -> Result<(u16, Value), Refusal> {
        let before = self.there(&request.key)?;
        preconditions(&before, &request.body["preconditions"], false)?;
        let mut kept = finalizers(&before.object);
        let waits_for = match text(&request.body, &["propagationPolicy"]) {
            "Foreground" => Some("foregroundDeletion"),
            "Orphan" => Some("orphan"),
            _ => None,
        };
        if let Some(name) = waits_for.filter(|name| !kept.iter().any(|kept| kept == name)) {
            kept.push(name.to_owned());
        }
        let mut next = before.object.clone();
        if !is_deleting(&next) {
            next["metadata"]["deletionTimestamp"] = json!(self.seconds());
        }
        set_finalizers(&mut next, &kept);
        if request.key.kind == "Namespace" {
            next["status"] = json!({"phase": "Terminating"});
        }
        let next = self.store(&request.key, next, request.dry_run);
        let gone = !request.dry_run && !self.objects.contains_key(&request.key);
        let gone = gone || (request.dry_run && kept.is_empty());
        Ok(match gone {
            true => (200, json!({"kind": "Status", "status": "Success"})),
            false => (200, next),
        })
    }

    /// Keeps an object as it is now; what was deleted and waits for nobody goes. What is as it was is left alone.
    pub(crate) fn store(&mut self, key: &ResourceKey, mut next: Value, dry_run: bool) -> Value {
        if !key.namespace.is_empty() {
            next["metadata"]["namespace"] = json!(key.namespace);
        }
        let before = self.objects.get(key).cloned();
        if let Some(before) = before.as_ref().filter(|before| before.object == next) {
            return before.object.clone();
        }
        let counts = KINDS
            .iter()
            .any(|kind| kind.group == key.group && kind.kind == key.kind && kind.generation);
        if counts {
            let spec = |object: &Value| object.get("spec").cloned();
            let old = before.as_ref().map(|before| &before.object);
            let number = old.and_then(|old| at(old, &["metadata", "generation"])?.as_i64());
            let changed = old.is_none_or(|old| spec(old) != spec(&next));
            next["metadata"]["generation"] = json!(number.unwrap_or(0) + i64::from(changed));
        }
        if dry_run {
            return next;
        }
        self.version += 1;
        next["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let inhabited = key.kind == "Namespace" && self.inhabited(&key.name);
        if is_deleting(&next) && finalizers(&next).is_empty() && !inhabited {
            self.gone(key);
            return next;
        }
        self.note(key, &next);
        let stored = Arc::new(Stored::new(next.clone()));
        self.restless.insert(key.clone());
        self.enlist(key, &stored, before.as_deref());
        self.objects.insert(key.clone(), stored.clone());
        self.log.push(Event {
            version: self.version,
            key: key.clone(),
            object: Some(stored),
        });
        next
    }

    pub(crate) fn inhabited(&self, namespace: &str) -> bool {
        self.inhabitants.get(namespace).is_some_and(|n| *n > 0)
    }

    /// Notes whose an object is, and has those looked at that its state is about.
    fn enlist(&mut self, key: &ResourceKey, stored: &Stored, before: Option<&Stored>) {
        if before.is_none() {
            self.by_uid.insert(stored.uid().to_owned(), key.clone());
            *self.inhabitants.entry(key.namespace.clone()).or_default() += 1;
        }
        for owner in before.into_iter().flat_map(|before| owners(&before.object)) {
            if let Some(owned) = self.dependents.get_mut(owner) {
                owned.remove(key);
            }
            self.restless.extend(self.by_uid.get(owner).cloned());
        }
        for owner in owners(&stored.object) {
            let owned = self.dependents.entry(owner.to_owned()).or_default();
            owned.insert(key.clone());
        }
        if stored.deleting() {
            self.stir(key, stored.uid());
        }
    }

    /// Has everything looked at that depends on an object which goes.
    fn stir(&mut self, key: &ResourceKey, uid: &str) {
        let owned = self.dependents.get(uid).into_iter().flatten();
        self.restless.extend(owned.cloned());
        if key.kind == "Namespace" {
            let all = self.objects.keys();
            let inside = all.filter(|other| other.namespace == key.name);
            self.restless.extend(inside.cloned());
        }
    }

    fn gone(&mut self, key: &ResourceKey) {
        if let Some(gone) = self.objects.remove(key) {
            self.by_uid.remove(gone.uid());
            if let Some(count) = self.inhabitants.get_mut(&key.namespace) {
                *count = count.saturating_sub(1);
            }
            for owner in owners(&gone.object) {
                if let Some(owned) = self.dependents.get_mut(owner) {
                    owned.remove(key);
                }
                self.restless.extend(self.by_uid.get(owner).cloned());
            }
            self.stir(key, gone.uid());
        }
        self.restless.remove(key);
        let home = namespace_of(key);
        if self.objects.get(&home).is_some_and(|home| home.deleting()) {
            self.restless.insert(home);
        }
        self.log.push(Event {
            version: self.version,
            key: key.clone(),
            object: None,
        });
    }

    /// Notes what the invariants ask for.
    fn note(&mut self, key: &ResourceKey, object: &Value) {
        let health = engine::health::assess(object).map(|health| health.code);
        if matches!(health, None | Some(HealthCode::Healthy)) {
            self.healthy_at.insert(key.clone(), self.version);
            if let Some(run) = domain::resource::annotation(object, engine::hooks::RUN) {
                self.succeeded.insert(format!("{key} {run}"));
            }
        }
    }
}

pub(crate) fn namespace_of(key: &ResourceKey) -> ResourceKey {
    ResourceKey {
        kind: "Namespace".to_owned(),
        name: key.namespace.clone(),
        ..ResourceKey::default()
    }
}

/// Whether an object is the one, and in the state, that a request is about. Another uid in a patch is a change of the uid, and
/// as such invalid.
fn preconditions(before: &Stored, said: &Value, patch: bool) -> Result<(), Refusal> {
    for name in ["resourceVersion", "uid"] {
        let wanted = text(said, &[name]);
        let there = text(&before.object, &["metadata", name]);
        if wanted.is_empty() || wanted == there {
            continue;
        }
        let message = format!("Precondition failed: {name} is {there}, not {wanted}");
        return Err(match patch && name == "uid" {
            true => refuse(422, "Invalid", message),
            false => refuse(409, "Conflict", message),
        });
    }
    Ok(())
}

/// Whether the fields that are settled for good stay as they are.
fn changeable(before: &Value, next: &Value) -> Result<(), Refusal> {
    let differ = |path: &[&str]| at(before, path) != at(next, path);
    let immutable = before["immutable"] == true;
    let field = match text(before, &["kind"]) {
        "ConfigMap" | "Secret" if immutable && differ(&["data"]) => "data",
        "ConfigMap" | "Secret" if immutable && differ(&["immutable"]) => "immutable",
        "Job" if differ(&["spec", "template"]) => "spec.template",
        "Deployment" if differ(&["spec", "selector"]) => "spec.selector",
        _ => return Ok(()),
    };
    let message = format!("{field}: Forbidden: field is immutable when `immutable` is set");
    let message = match field {
        "data" | "immutable" => message,
        _ => format!("{field}: Invalid value: field is immutable"),
    };
    Err(refuse(422, "Invalid", message))
}

pub(crate) fn merge_patch(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    for (name, patch) in patch {
        if !patch.is_null() {
            merge_patch(&mut value[name.as_str()], patch);
        } else if let Some(fields) = value.as_object_mut() {
            fields.remove(name);
        }
    }
}

/// What the index of a controller keeps to tell states apart.
fn seen(object: &Value) -> Seen {
    let mut content = object.clone();
    if let Some(parts) = content.as_object_mut() {
        parts.remove("status");
    }
    if let Some(metadata) = content.get_mut("metadata").and_then(Value::as_object_mut) {
        for name in ["managedFields", "resourceVersion", "generation"] {
            metadata.remove(name);
        }
    }
    let entries = at(object, &["metadata", "managedFields"]).and_then(Value::as_array);
    let mut entries = entries.into_iter().flatten();
    let ours = entries.find(|entry| text(entry, &["manager"]) == MANAGER);
    Seen {
        fingerprint: engine::canonical::hash(&content),
        managed: ours.map(|entry| Arc::new(FieldSet::from_fields_v1(&entry["fieldsV1"]))),
    }
}
