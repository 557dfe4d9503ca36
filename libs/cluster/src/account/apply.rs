//! Making an object what Git says, field by field.

use domain::field_set::FieldSet;
use domain::resource::{ResourceKey, annotation, text};
use http::Method;
use serde_json::{Value, json};

use super::{
    Account, JSON, TRIES, breathe, migrate, named, named_namespace, set_metadata, three_way,
};
use crate::FIELD_MANAGER;
use crate::discovery::ApiKind;
use crate::error::{Error, Refusal};
use crate::transport::Answer;
use crate::url::{Query, object};

/// JSON is YAML, and the server wants its applies called so.
const APPLY: &str = "application/apply-patch+yaml";
/// kubectl's note of what it applied; the base of a three-way merge.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What the server does about fields that its schema does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validation {
    /// Drops them.
    Ignore,
    /// Drops them and says so.
    #[default]
    Warn,
    /// Refuses.
    Strict,
}

impl Validation {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ignore => "Ignore",
            Self::Warn => "Warn",
            Self::Strict => "Strict",
        }
    }

    /// What the server is told where it applies. Of undeclared fields its schema alone decides, whatever it is told; to warn, it
    /// reads the body a second time, for keys that come twice. In what is written from a value there are none.
    fn of_an_apply(self) -> Self {
        match self {
            Self::Warn | Self::Ignore => Self::Ignore,
            Self::Strict => Self::Strict,
        }
    }
}

/// How to apply.
#[derive(Clone, Debug)]
pub struct ApplyOptions {
    /// Only try.
    pub dry_run: bool,
    /// Take fields from other managers, who are named in the result; otherwise such a conflict is refused.
    pub force: bool,
    /// Take over what this client-side manager owns, so that fields which left Git leave the cluster.
    pub migrate_from: Option<String>,
    /// What to do about undeclared fields.
    pub validation: Validation,
    /// Apply by three-way merge instead.
    pub client_side: bool,
    /// Only the object with this uid.
    pub uid: Option<String>,
    /// Only in this state.
    pub resource_version: Option<String>,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            force: true,
            migrate_from: Some("kubectl-client-side-apply".to_owned()),
            validation: Validation::default(),
            client_side: false,
            uid: None,
            resource_version: None,
        }
    }
}

/// An applied object.
#[derive(Clone, Debug)]
pub struct Applied {
    /// As the server has it now; for [`crate::Index::observe`].
    pub object: Value,
    /// Whether it was made now.
    pub created: bool,
    /// How it was applied.
    pub method: ApplyMethod,
    /// The fields that were taken from others.
    pub conflicts: Vec<Conflict>,
    /// The server's warnings.
    pub warnings: Vec<String>,
}

/// How an object was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyMethod {
    /// By server-side apply.
    ServerSide,
    /// By three-way merge, on request.
    ClientSide,
    /// By three-way merge, since the server cannot apply such an object; with its words.
    ClientSideInstead(String),
}

/// A field that was somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Its path (`.spec.replicas`).
    pub field: String,
    /// What the server says of its manager.
    pub message: String,
}

impl Account {
    /// Applies an object. The object says everything: kind, version, name and namespace.
    ///
    /// # Errors
    /// When the kind is unknown, the account may not, the object is refused, or the cluster does not answer.
    pub async fn apply(&self, manifest: &Value, options: &ApplyOptions) -> Result<Applied, Error> {
        let (kind, key) = self.kind_of(manifest).await?;
        let place = Place {
            path: object(&kind, named_namespace(&kind, &key)?, named(&key)?),
            kind,
            key,
        };
        if options.client_side {
            return self
                .merge(&place, manifest, options, ApplyMethod::ClientSide)
                .await;
        }
        match self.server_side(&place, manifest, options).await {
            Err(Error::Refused(refusal)) if is_schema_reason(&refusal) => {
                let method = ApplyMethod::ClientSideInstead(refusal.message);
                self.merge(&place, manifest, options, method).await
            }
            result => result,
        }
    }

    async fn server_side(
        &self,
        place: &Place,
        manifest: &Value,
        options: &ApplyOptions,
    ) -> Result<Applied, Error> {
        let mut body = manifest.clone();
        if let Some(uid) = &options.uid {
            set_metadata(&mut body, "uid", uid);
        }
        if let Some(resource_version) = &options.resource_version {
            set_metadata(&mut body, "resourceVersion", resource_version);
        }
        // Not forced at first: that is how the server names the others.
        let mut conflicts = Vec::new();
        let answer = match self
            .send_apply(place, &body, manifest, options, false)
            .await
        {
            Err(Error::Refused(refusal)) if options.force && is_ownership_conflict(&refusal) => {
                conflicts = taken(&refusal);
                self.send_apply(place, &body, manifest, options, true)
                    .await?
            }
            result => result?,
        };
        let created = answer.code == 201;
        let mut object: Value = answer.json()?;
        let mut warnings = answer.warnings;
        if let Some(manager) = options.migrate_from.as_deref().filter(|_| !options.dry_run) {
            let mut tries = TRIES;
            while let Some(patch) = migrate::take_over(&object, manager) {
                tries -= 1;
                match self
                    .send(
                        Method::PATCH,
                        &place.path,
                        "application/json-patch+json",
                        &patch,
                        manifest,
                    )
                    .await
                {
                    Err(error) if error.is_conflict() && tries > 0 => breathe(tries).await,
                    result => drop(result?),
                }
                // Now that its fields are ours, those that left Git go.
                let mut again = manifest.clone();
                if let Some(uid) = &options.uid {
                    set_metadata(&mut again, "uid", uid);
                }
                let answer = self
                    .send_apply(place, &again, manifest, options, options.force)
                    .await?;
                object = answer.json()?;
                warnings.extend(answer.warnings);
                if tries == 0 {
                    break;
                }
            }
        }
        Ok(Applied {
            object,
            created,
            method: ApplyMethod::ServerSide,
            conflicts,
            warnings,
        })
    }

    async fn send_apply(
        &self,
        place: &Place,
        body: &Value,
        manifest: &Value,
        options: &ApplyOptions,
        force: bool,
    ) -> Result<Answer, Error> {
        let path = Query::new(&place.path)
            .set("fieldManager", FIELD_MANAGER)
            .set("fieldValidation", options.validation.of_an_apply().word())
            .set_if(force, "force", "true")
            .set_if(options.dry_run, "dryRun", "All")
            .build();
        self.send(Method::PATCH, &path, APPLY, body, manifest).await
    }

    /// The three-way merge of kubectl's client-side apply, by the schema's list keys. A list whose keys repeat is
    /// taken from Git as it is.
    async fn merge(
        &self,
        place: &Place,
        manifest: &Value,
        options: &ApplyOptions,
        method: ApplyMethod,
    ) -> Result<Applied, Error> {
        let wanted = [(place.kind.group.clone(), place.kind.version.clone())];
        let schemas = self.cluster.schemas(&wanted).await?;
        let schema = schemas.root(&place.kind.group, &place.kind.version, &place.kind.kind);
        let mut noted = manifest.clone();
        note(&mut noted, manifest);
        let query = || {
            Query::new(&place.path)
                .set("fieldManager", FIELD_MANAGER)
                .set("fieldValidation", options.validation.word())
                .set_if(options.dry_run, "dryRun", "All")
                .build()
        };
        let done = |answer: Answer, created| -> Result<Applied, Error> {
            let object = answer.json()?;
            Ok(Applied {
                object,
                created,
                method: method.clone(),
                conflicts: Vec::new(),
                warnings: answer.warnings,
            })
        };
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let Some(live) = self.get(&place.key, Some(&place.kind.version)).await? else {
                let write = super::WriteOptions {
                    dry_run: options.dry_run,
                    validation: options.validation,
                    ..super::WriteOptions::default()
                };
                let path =
                    super::collection(&place.kind, named_namespace(&place.kind, &place.key)?);
                let path = super::write_query(&path, write).build();
                match self.send(Method::POST, &path, JSON, &noted, manifest).await {
                    Err(error) if error.is_conflict() && tries > 0 && options.uid.is_none() => {
                        breathe(tries).await;
                        continue;
                    }
                    result => return done(result?, true),
                }
            };
            let before =
                annotation(&live, LAST_APPLIED).and_then(|text| serde_json::from_str(text).ok());
            let owned = migrate::ours(&live).map(FieldSet::from_fields_v1);
            let base = three_way::Base {
                object: before.as_ref(),
                owned: owned.as_ref(),
            };
            let mut merged = three_way::merge(base, &noted, &live, schema);
            let known = options.resource_version.as_deref();
            let known = known.unwrap_or_else(|| text(&live, &["metadata", "resourceVersion"]));
            set_metadata(&mut merged, "resourceVersion", known);
            if let Some(uid) = &options.uid {
                set_metadata(&mut merged, "uid", uid);
            }
            match self
                .send(Method::PUT, &query(), JSON, &merged, manifest)
                .await
            {
                Err(error)
                    if error.is_conflict() && tries > 0 && options.resource_version.is_none() =>
                {
                    breathe(tries).await;
                }
                result => return done(result?, false),
            }
        }
    }
}

/// Where an object lives.
struct Place {
    kind: ApiKind,
    key: ResourceKey,
    path: String,
}

/// Writes kubectl's note into an object. A Secret gets none: the note would repeat its values.
fn note(object: &mut Value, manifest: &Value) {
    if text(manifest, &["kind"]) == "Secret" {
        return;
    }
    let mut plain = manifest.clone();
    if let Some(annotations) = plain
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(LAST_APPLIED);
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if !annotations.is_object() {
        *annotations = json!({});
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(LAST_APPLIED.to_owned(), Value::String(plain.to_string()));
    }
}

/// Whether server-side apply cannot express the object (or the live one), as with list keys that repeat.
fn is_schema_reason(refusal: &Refusal) -> bool {
    [
        "typed patch object",
        "typed live object",
        "duplicate entries for key",
    ]
    .iter()
    .any(|words| refusal.message.contains(words))
}

fn is_ownership_conflict(refusal: &Refusal) -> bool {
    refusal.code == 409
        && refusal
            .causes
            .iter()
            .any(|cause| cause.reason == "FieldManagerConflict")
}

fn taken(refusal: &Refusal) -> Vec<Conflict> {
    let causes = refusal
        .causes
        .iter()
        .filter(|cause| cause.reason == "FieldManagerConflict");
    causes
        .map(|cause| Conflict {
            field: cause.field.clone(),
            message: cause.message.clone(),
        })
        .collect()
}
