//! What is kept of one object.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use chrono::{DateTime, Utc};
use domain::clock::Timestamp;
use domain::field_set::FieldSet;
use domain::resource::{ResourceKey, at, text};
use parking_lot::Mutex;
use serde_json::Value;

use super::body;
use super::fingerprint::Fingerprint;
use super::recognised::Recognised;
use crate::FIELD_MANAGER;

/// One live object, as far as decisions need it.
#[derive(Clone, Debug)]
pub struct LiveEntry {
    /// Its key.
    pub key: ResourceKey,
    /// The version that it is watched in.
    pub version: Arc<str>,
    /// Its uid.
    pub uid: Box<str>,
    /// Its resourceVersion.
    pub resource_version: Box<str>,
    /// Its generation; 0 for kinds that have none.
    pub generation: i64,
    /// Who owns it.
    pub owners: Box<[Owner]>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Whether somebody asked for its deletion.
    pub deleting: bool,
    /// The application that it says it belongs to, by a tracking id that was made for this very object or by its label; only
    /// where it also names a tenant. The reader still checks that the tenant may have the namespace.
    pub tracking: Option<Tracking>,
    /// The application that its label names, where it names no tenant: whoever reads it checks whose word that is.
    pub labelled: Option<Arc<str>>,
    /// The fields that our manager's applies own.
    pub managed: Option<Arc<FieldSet>>,
    /// Of the content; only for objects with [`LiveEntry::tracking`].
    ///
    /// Equal fingerprints mean equal content as far as a diff can see. Note the one of the entry whose body (same
    /// [`LiveEntry::resource_version`]) was compared last: while it and [`LiveEntry::managed`] stay, so does the result.
    pub fingerprint: Option<Fingerprint>,
    /// A pruned copy with what health, tree and lints read: metadata (name, namespace, labels, some annotations,
    /// deletionTimestamp, finalizers, generation), parts of spec, status. Of unknown kinds only conditions and phases.
    pub body: Arc<Value>,
    /// Of the status, for kinds of whose status [`LiveEntry::body`] keeps little: it moves when the status does. 0 for others.
    pub status: u64,
    /// The container images that it names.
    pub images: Box<[Arc<str>]>,
    /// About how many bytes all this takes; 0 where nobody counts.
    pub(super) weight: usize,
}

/// An owner reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The owner's uid.
    pub uid: Box<str>,
    /// Its group.
    pub group: Box<str>,
    /// Its kind.
    pub kind: Box<str>,
    /// Its name, in the same namespace or cluster-scoped.
    pub name: Box<str>,
}

/// To which application an object says it belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tracking {
    /// The installation id: the tenant's name.
    pub installation: Arc<str>,
    /// The application's name.
    pub app: Arc<str>,
}

impl LiveEntry {
    /// Whether anything that a decision reads differs.
    pub(super) fn differs(&self, other: &Self) -> bool {
        self.uid != other.uid
            || self.deleting != other.deleting
            || self.tracking != other.tracking
            || self.labelled != other.labelled
            || self.fingerprint != other.fingerprint
            || self.managed != other.managed
            || self.owners != other.owners
            || self.status != other.status
            || self.body != other.body
    }
}

/// The number in a resourceVersion; 0 where a server writes none.
pub(super) fn version_number(resource_version: &str) -> u64 {
    resource_version.parse().unwrap_or_default()
}

/// Kinds that are watched by their metadata only: their values are nobody's business here. Their fingerprint is their
/// resourceVersion, which moves with every change of content.
pub(super) fn is_metadata_only(group: &str, kind: &str) -> bool {
    group.is_empty() && matches!(kind, "Secret" | "ConfigMap")
}

/// An object has at most this many owners kept.
const MAX_OWNERS: usize = 64;
/// A name or uid of the API is shorter.
pub(super) const MAX_NAME: usize = 1024;
/// A resourceVersion of the API is shorter.
pub(super) const MAX_VERSION: usize = 256;
/// Of a value or a key, with its place in a map or list.
const NODE: usize = 64;
/// How often an object's key is kept: in the entry, beside it in the maps, and in a listing.
const KEYS: usize = 3;

/// Makes entries, sharing what many of them have in common.
pub(super) struct Reader {
    fingerprint_key: [u8; 32],
    /// Whether it is counted what entries take.
    weighs: bool,
    texts: Mutex<HashSet<Arc<str>>>,
    field_sets: Mutex<FieldSets>,
}

#[derive(Default)]
struct FieldSets {
    known: HashMap<blake3::Hash, Weak<FieldSet>>,
    /// When to throw out what nobody uses any more.
    clean_at: usize,
}

impl Reader {
    pub(super) fn new(fingerprint_key: [u8; 32], weighs: bool) -> Self {
        Self {
            fingerprint_key,
            weighs,
            texts: Mutex::default(),
            field_sets: Mutex::default(),
        }
    }

    pub(super) fn fingerprint(&self, object: &Value) -> Fingerprint {
        let kind = text(object, &["kind"]);
        let (group, _) = domain::resource::split_api_version(text(object, &["apiVersion"]));
        if is_metadata_only(group, kind) {
            Fingerprint::of_version(&self.fingerprint_key, object)
        } else {
            Fingerprint::of_content(&self.fingerprint_key, object)
        }
    }

    /// Reads an object of a known kind. `None` when it has no name, uid or sane size.
    pub(super) fn read(
        &self,
        object: &Value,
        group: &str,
        kind: &str,
        version: &Arc<str>,
    ) -> Option<LiveEntry> {
        let metadata = object.get("metadata")?;
        let part = |name: &str| text(metadata, &[name]);
        let (name, uid) = (part("name"), part("uid"));
        let names = [name, uid, part("namespace")];
        if name.is_empty()
            || uid.is_empty()
            || names.iter().any(|name| name.len() > MAX_NAME)
            || part("resourceVersion").len() > MAX_VERSION
        {
            return None;
        }
        let key = ResourceKey {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: part("namespace").to_owned(),
            name: name.to_owned(),
        };
        let Recognised { tracking, labelled } = self.recognised(object, &key);
        let fingerprint = tracking.as_ref().map(|_| {
            if is_metadata_only(group, kind) {
                Fingerprint::of_version(&self.fingerprint_key, object)
            } else {
                Fingerprint::of_content(&self.fingerprint_key, object)
            }
        });
        let owners = metadata
            .get("ownerReferences")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let owners = owners.take(MAX_OWNERS).filter_map(owner).collect();
        let body = body::prune(object, group, version, kind);
        let images = body::images(object, kind);
        let weight = match self.weighs {
            true => {
                let images: usize = images.iter().map(|image| NODE + image.len()).sum();
                weight(&body) + weight(metadata) + images + KEYS * weight_of_key(&key)
            }
            false => 0,
        };
        Some(LiveEntry {
            weight,
            version: Arc::clone(version),
            uid: uid.into(),
            resource_version: part("resourceVersion").into(),
            generation: metadata
                .get("generation")
                .and_then(Value::as_i64)
                .unwrap_or_default(),
            owners,
            created_at: DateTime::parse_from_rfc3339(part("creationTimestamp"))
                .ok()
                .map(|at| at.with_timezone(&Utc)),
            deleting: metadata
                .get("deletionTimestamp")
                .is_some_and(|at| !at.is_null()),
            managed: tracking.as_ref().and_then(|_| self.managed(metadata)),
            tracking,
            labelled,
            fingerprint,
            body: Arc::new(body),
            status: body::status_of(object, group, kind),
            images: images.into_iter().map(|image| self.shared(image)).collect(),
            key,
        })
    }

    fn managed(&self, metadata: &Value) -> Option<Arc<FieldSet>> {
        let ours = metadata
            .get("managedFields")?
            .as_array()?
            .iter()
            .find(|entry| {
                text(entry, &["manager"]) == FIELD_MANAGER
                    && text(entry, &["operation"]) == "Apply"
                    && text(entry, &["subresource"]).is_empty()
            })?;
        let fields = at(ours, &["fieldsV1"])?;
        let hash = blake3::hash(fields.to_string().as_bytes());
        let mut sets = self.field_sets.lock();
        if let Some(known) = sets.known.get(&hash).and_then(Weak::upgrade) {
            return Some(known);
        }
        let set = Arc::new(FieldSet::from_fields_v1(fields));
        sets.known.insert(hash, Arc::downgrade(&set));
        if sets.known.len() > sets.clean_at {
            sets.known.retain(|_, set| set.strong_count() > 0);
            sets.clean_at = (sets.known.len() * 2).max(1024);
        }
        Some(set)
    }

    /// One copy of a text that many entries name (applications, tenants, images). A stranger could name a new one with
    /// each: there every entry has its own, which counts with it.
    pub(super) fn shared(&self, text: &str) -> Arc<str> {
        if self.weighs {
            return text.into();
        }
        let mut texts = self.texts.lock();
        if let Some(known) = texts.get(text) {
            return Arc::clone(known);
        }
        if texts.len() >= 65_536 {
            texts.retain(|text| Arc::strong_count(text) > 1);
        }
        let text: Arc<str> = text.into();
        texts.insert(Arc::clone(&text));
        text
    }
}

/// About how many bytes a key takes in memory.
pub(super) fn weight_of_key(key: &ResourceKey) -> usize {
    let texts = [&key.group, &key.kind, &key.namespace, &key.name];
    NODE + texts.iter().map(|text| text.len()).sum::<usize>() + size_of::<ResourceKey>()
}

/// About how many bytes a document takes in memory.
fn weight(value: &Value) -> usize {
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| name.len() + weight(value))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// An owner reference; `None` where no object has such a name.
fn owner(reference: &Value) -> Option<Owner> {
    let (group, _) = domain::resource::split_api_version(text(reference, &["apiVersion"]));
    let part = |name: &str| text(reference, &[name]);
    let texts = [part("uid"), group, part("kind"), part("name")];
    if texts.iter().any(|text| text.len() > MAX_NAME) {
        return None;
    }
    let [uid, group, kind, name] = texts.map(Box::from);
    Some(Owner {
        uid,
        group,
        kind,
        name,
    })
}

#[cfg(test)]
mod tests {
    use domain::resource::{INSTALLATION_ID, TRACKING_ID};
    use serde_json::json;

    use super::*;

    fn read(object: &Value) -> LiveEntry {
        let (group, version) = domain::resource::split_api_version(text(object, &["apiVersion"]));
        Reader::new([7; 32], true)
            .read(object, group, text(object, &["kind"]), &version.into())
            .unwrap()
    }

    #[test]
    fn only_an_object_that_names_its_tenant_and_itself_is_tracked() {
        let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {
            "name": "a", "namespace": "web", "uid": "u", "resourceVersion": "5",
            "annotations": {"argocd.argoproj.io/tracking-id": "hello:apps/Deployment:web/a"}}});
        assert_eq!(read(&object).tracking, None, "no tenant");
        object["metadata"]["annotations"][INSTALLATION_ID] = json!("user01");
        assert_eq!(read(&object).tracking.unwrap().app.as_ref(), "hello");
        object["metadata"]["name"] = json!("copy");
        assert_eq!(read(&object).tracking, None, "a copy is nobody's");
    }

    #[test]
    fn secrets_keep_no_values() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "data": {"password": "aHVudGVyMg=="}, "stringData": {"x": "hunter3"},
            "metadata": {"name": "s", "namespace": "web", "uid": "u", "resourceVersion": "5", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":{\"password\":\"aHVudGVyMg==\"}}",
                TRACKING_ID: "hello:/Secret:web/s", INSTALLATION_ID: "user01"}}});
        let entry = read(&secret);
        let kept = format!("{entry:?}");
        assert!(
            !kept.contains("aHVudGVyMg") && !kept.contains("hunter3"),
            "{kept}"
        );
        assert!(entry.fingerprint.is_some());
    }

    #[test]
    fn what_an_entry_takes_is_counted() {
        let pod = |message: &str| {
            let pod = json!({"apiVersion": "v1", "kind": "Pod", "status": {"message": message},
                "metadata": {"name": "s", "namespace": "web", "uid": "u", "resourceVersion": "5"}});
            read(&pod).weight
        };
        assert_eq!(pod(&"x".repeat(1000)) - pod("x"), 999);
        let running = |image: &str| {
            let pod = json!({"apiVersion": "v1", "kind": "Deployment",
                "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
                "metadata": {"name": "s", "namespace": "web", "uid": "u", "resourceVersion": "5"}});
            read(&pod).weight
        };
        let more = running(&"x".repeat(1000)) - running("x");
        assert!(more >= 999, "its images too: {more}");
    }

    #[test]
    fn nothing_is_kept_under_a_name_that_no_object_has() {
        let pod = |part: &str, length: usize| {
            let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "s", "namespace": "web", "uid": "u", "resourceVersion": "5"}});
            pod["metadata"][part] = json!("1".repeat(length));
            let reader = Reader::new([7; 32], true);
            reader.read(&pod, "", "Pod", &"v1".into()).is_some()
        };
        for part in ["name", "namespace", "uid"] {
            assert!(pod(part, MAX_NAME) && !pod(part, MAX_NAME + 1), "{part}");
        }
        assert!(pod("resourceVersion", MAX_VERSION) && !pod("resourceVersion", MAX_VERSION + 1));
        let owned = |name: &str| owner(&json!({"uid": "u", "kind": "X", "name": name}));
        assert!(owned("a").is_some() && owned(&"a".repeat(MAX_NAME + 1)).is_none());
    }

    #[test]
    fn of_a_strangers_texts_no_common_copy_is_kept() {
        let shared = |weighs| {
            let reader = Reader::new([7; 32], weighs);
            Arc::ptr_eq(&reader.shared("image"), &reader.shared("image"))
        };
        assert!(shared(false) && !shared(true));
    }
}
