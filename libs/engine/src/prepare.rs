//! Rendered manifests become targets: placed, sanitised, marked as ours, and checked against what may be deployed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use domain::application::Destination;
use domain::cause::{Cause, Location};
use domain::manifest::{Manifest, Replaced, locate, variable};
use domain::message;
use domain::project::Rules;
use domain::resource::{self, ResourceKey, split_api_version, text};
use domain::schema::SchemaSet;
use domain::settings::KindFilter;
use domain::tenant::TenantName;
use domain::tracking::{Marking, Whose};
use serde_json::{Map, Value};

use crate::options::{self, Role, SyncOptions};
use crate::{canonical, misspelt};

mod place;
mod sanitise;
mod territory;
mod told;

pub use place::{kind_forbidden, namespace_forbidden};
pub use territory::Territory;

use told::Told;

/// Whether the objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// They do.
    Namespaced,
    /// They do not.
    Cluster,
}

/// What the cluster says of its kinds.
pub trait Kinds {
    /// Where the objects of a kind live; `None` when the cluster does not have the kind in that version.
    fn scope(&self, group: &str, version: &str, kind: &str) -> Option<Scope>;

    /// The `apiVersion`s in which the cluster has a kind of that name, for the message that says it lacks this one.
    fn versions_of(&self, _kind: &str) -> Vec<String> {
        Vec::new()
    }
}

/// Everything besides the manifests that decides what the targets are.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The application's name.
    pub app: &'a str,
    /// Whose it is.
    pub tenant: &'a TenantName,
    /// Where it goes; both the cluster's address and its name are filled in.
    pub destination: &'a Destination,
    /// The namespaces that the tenant may use.
    pub territory: Territory<'a>,
    /// The sync options in force for the whole application.
    pub options: &'a SyncOptions,
    /// The project's name.
    pub project: &'a str,
    /// What the project permits.
    pub rules: &'a Rules,
    /// The cluster's schemas, as far as they are loaded.
    pub schema: &'a SchemaSet,
    /// The cluster's kinds.
    pub kinds: &'a dyn Kinds,
    /// The kinds that the tenant's settings leave out.
    pub filter: &'a KindFilter,
    /// How the tenant's objects are marked.
    pub marking: &'a Marking,
}

/// SHA-256 of a target's canonical JSON.
pub type TargetHash = [u8; 32];

/// One object as it is to be applied.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which object.
    pub key: ResourceKey,
    /// The version that the manifest names.
    pub version: String,
    /// The body to apply: sanitised, placed, with our annotations.
    pub object: Arc<Value>,
    /// Names that body.
    pub hash: TargetHash,
    /// Where it was written.
    pub location: Option<Location>,
    /// The lines of its fields, by dotted path.
    pub lines: Arc<[(String, u32)]>,
    /// The variables that were replaced where it was written.
    pub replaced: Arc<[Replaced]>,
    /// Whether its kind lives in namespaces; one that is not known is taken for one that does.
    pub namespaced: bool,
    /// Whether its kind was known, or is defined beside it. It is refused where it was not, unless somebody asked for more.
    pub known: bool,
    /// What its own annotations ask for.
    pub options: SyncOptions,
    /// Its wave.
    pub wave: i64,
    /// What it is to a sync.
    pub role: Role,
    /// Why it must not be applied, if so.
    pub refused: Option<Cause>,
    /// Whether it is refused because the project forbids its kind, which Argo CD shows as sync status Unknown.
    pub forbidden_kind: bool,
    /// Whether it is refused because its namespace is not the tenant's: what lives there is none of its business.
    pub outside: bool,
}

impl Target {
    /// Where a field was written: the line of the field itself, of the nearest thing around it, else of the object.
    #[must_use]
    pub fn locate(&self, path: &str) -> Option<Location> {
        locate(self.location.as_ref(), &self.lines, path)
    }

    /// The variables that a field's own value was made of: `A, B`.
    #[must_use]
    pub fn variable(&self, path: &str) -> Option<Box<str>> {
        variable(&self.replaced, path)
    }
}

/// What was made of the manifests.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// The objects to have, each key once, in the order of the manifests.
    pub targets: Vec<Target>,
    /// What was noticed on the way: warnings, and errors that keep a target from being applied.
    pub causes: Vec<Cause>,
    /// Whether some manifest is unusable, so that nobody can say all that is wanted: no comparison, no pruning.
    pub incomplete: bool,
}

/// Turns manifests into targets.
#[must_use]
pub fn prepare(manifests: &[Manifest], context: &Context<'_>) -> Prepared {
    let promised = place::promised_kinds(manifests);
    let mut targets: Vec<Target> = Vec::with_capacity(manifests.len());
    let mut told = Told::default();
    let mut incomplete = false;
    let mut excluded: BTreeMap<ResourceKey, &Manifest> = BTreeMap::new();
    let mut places: HashMap<ResourceKey, (usize, Vec<Option<Location>>)> = HashMap::new();
    for manifest in manifests {
        let key = manifest.key();
        let left_out = is_excluded(&key, context);
        if !left_out {
            let words = misspelt::annotations(manifest);
            words.into_iter().for_each(|cause| told.push(cause));
        }
        if options::role(&manifest.object) == Role::Ignored {
            continue;
        }
        if left_out {
            excluded.insert(key, manifest);
            continue;
        }
        let Some(target) = target(manifest, context, &promised, &mut told) else {
            incomplete = true;
            continue;
        };
        match places.get_mut(&target.key) {
            // The last one wins, as in Argo CD, and takes the first one's place.
            Some((at, seen)) => {
                seen.push(target.location.clone());
                targets[*at] = target;
            }
            None => {
                places.insert(
                    target.key.clone(),
                    (targets.len(), vec![target.location.clone()]),
                );
                targets.push(target);
            }
        }
    }
    let mut repeated: Vec<_> = places
        .into_iter()
        .filter(|(_, (_, seen))| seen.len() > 1)
        .collect();
    repeated.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, (_, seen)) in repeated {
        told.warn(|| repeated_cause(key, seen));
    }
    for (key, manifest) in excluded {
        told.warn(|| excluded_cause(key, manifest));
    }
    let refused = targets.iter().filter_map(|target| target.refused.clone());
    refused.for_each(|cause| told.push(cause));
    Prepared {
        targets,
        causes: told.causes(),
        incomplete,
    }
}

/// Whether a kind is one that the tenant's settings leave out. What has no kind is no object at all, which is another matter.
fn is_excluded(key: &ResourceKey, context: &Context<'_>) -> bool {
    let (group, kind) = (key.group.as_str(), key.kind.as_str());
    !kind.is_empty()
        && context
            .filter
            .excludes(group, kind, &context.destination.server)
}

fn excluded_cause(key: ResourceKey, manifest: &Manifest) -> Cause {
    let message = message::sync::EXCLUDED_RESOURCE
        .with("group", &key.group)
        .with("kind", &key.kind)
        .with("name", &key.name);
    let location = manifest.location.clone();
    Cause::warning(message).on(key).located(location)
}

fn repeated_cause(key: ResourceKey, mut seen: Vec<Option<Location>>) -> Cause {
    let count = seen.len();
    let last = seen.pop().flatten();
    let others: Vec<String> = seen.into_iter().flatten().map(|l| l.to_string()).collect();
    let cause = Cause::warning(
        message::sync::REPEATED_RESOURCE
            .with("resource", &key)
            .with("count", count),
    )
    .on(key)
    .located(last);
    if others.is_empty() {
        cause
    } else {
        cause.evidence(others.join(", "))
    }
}

fn target(
    manifest: &Manifest,
    context: &Context<'_>,
    promised: &place::Promised,
    told: &mut Told,
) -> Option<Target> {
    let location = manifest.location.clone();
    let role = options::role(&manifest.object);
    if let Some(missing) = missing_part(&manifest.object, role) {
        told.push(
            Cause::error(message::sync::INVALID_OBJECT.with("field", missing))
                .on(manifest.key())
                .field(missing)
                .located(manifest.locate(missing)),
        );
        return None;
    }
    let mut object = manifest.object.clone();
    let (group, version) = split_api_version(text(&manifest.object, &["apiVersion"]));
    let placed = place::place(&mut object, context, promised);
    let mut key = ResourceKey::of(&object);
    if key.name.is_empty() {
        // A hook that is named when it runs; until then its prefix stands for it.
        text(&object, &["metadata", "generateName"]).clone_into(&mut key.name);
    }

    let root = context.schema.root(group, version, &key.kind);
    for dropped in sanitise::sanitise(&mut object, root) {
        told.warn(|| {
            let place = manifest.locate(&dropped.path);
            let variable = manifest.variable(&dropped.path);
            let cause = dropped.cause(&key).on(key.clone()).located(place);
            cause.variable(variable)
        });
    }

    encode_string_data(&mut object, &key);
    let whose = Whose {
        tenant: context.tenant.as_str(),
        app: context.app,
        namespace: &context.destination.namespace,
    };
    context.marking.mark(&mut object, &key, whose);
    let (hash, size) = canonical::measured(&object);
    let refusal = place::refusal(&object, &key, placed, context);
    let refusal = refusal
        .or_else(|| place::too_large(&key, size))
        .or_else(|| place::nameless(&key, context));
    let (refused, forbidden_kind, outside) = match refusal {
        Some(refusal) => {
            let place = manifest.locate(refusal.field);
            let cause = Cause::error(refusal.message)
                .on(key.clone())
                .field(refusal.field)
                .located(place)
                .variable(manifest.variable(refusal.field));
            (Some(cause), refusal.forbidden_kind, refusal.outside)
        }
        None => (None, false, false),
    };
    Some(Target {
        version: version.to_owned(),
        hash,
        location,
        lines: manifest.lines.clone().into(),
        replaced: manifest.replaced.clone().into(),
        namespaced: placed.namespaced,
        known: placed.known,
        options: SyncOptions::of_object(&object),
        wave: options::wave(&object),
        role,
        refused,
        forbidden_kind,
        outside,
        object: Arc::new(object),
        key,
    })
}

/// The first part that every object must have and this one has not.
fn missing_part(object: &Value, role: Role) -> Option<&'static str> {
    let filled = |path: &[&str]| !text(object, path).is_empty();
    if !filled(&["apiVersion"]) {
        return Some("apiVersion");
    }
    if !filled(&["kind"]) {
        return Some("kind");
    }
    let generated = role == Role::Hook && filled(&["metadata", "generateName"]);
    if !generated && !filled(&["metadata", "name"]) {
        return Some("metadata.name");
    }
    let maps = [
        ("labels", "metadata.labels"),
        ("annotations", "metadata.annotations"),
    ];
    maps.into_iter().find_map(|(name, path)| {
        let value = resource::at(object, &["metadata", name])?;
        (!value.is_object() && !value.is_null()).then_some(path)
    })
}

/// Moves a Secret's `stringData` into `data`, as the cluster would, so that a key which leaves Git leaves the cluster too.
fn encode_string_data(object: &mut Value, key: &ResourceKey) {
    let texts = object.get("stringData").and_then(Value::as_object);
    if !key.group.is_empty()
        || key.kind != "Secret"
        || !texts.is_some_and(|t| t.values().all(Value::is_string))
    {
        return;
    }
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    let Some(Value::Object(texts)) = fields.remove("stringData") else {
        return;
    };
    let data = fields
        .entry("data")
        .or_insert_with(|| Value::Object(Map::new()));
    if data.is_null() {
        *data = Value::Object(Map::new());
    }
    let Some(data) = data.as_object_mut() else {
        return;
    };
    for (name, text) in texts {
        let bytes = text.as_str().unwrap_or_default();
        data.insert(
            name,
            Value::String(base64::engine::general_purpose::STANDARD.encode(bytes)),
        );
    }
}
