//! Requests as somebody: a tenant's service account, or Naru itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::resource::{ResourceKey, is_leaving, split_api_version, text};
use domain::tenant::TenantName;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::connect::Cluster;
use crate::discovery::ApiKind;
use crate::error::Error;
use crate::transport::{Answer, Identity, Transport};
use crate::url::{Query, collection, object};

mod apply;
mod exec;
mod logs;
mod migrate;
mod three_way;

pub use apply::{Applied, ApplyMethod, ApplyOptions, Conflict, Validation};
pub use exec::{Ending, Said, Saying, Typing};
pub use logs::LogOptions;

pub(crate) const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";
/// How often an update is tried again when somebody else's came between.
const TRIES: usize = 4;
/// How much longer each further try waits after that.
const BREATH: Duration = Duration::from_millis(100);
/// A list is not read further than this.
const MAX_LISTED: usize = 20_000;
/// Nor is what was said of one object.
const MAX_EVENTS: usize = 1_000;
/// How many objects of a list are asked for at once.
const PAGE: usize = 500;
/// In more pages than this no list comes: a stranger's server may say for ever that there is more.
const MAX_PAGES: usize = 200;
/// All pages of a list together are no larger than so many of the largest answers.
const LARGEST_ANSWERS: usize = 4;

/// Waits after a conflict, before one of the `left` tries: a controller that reports on a new object writes it several
/// times in a row, and is let finish.
async fn breathe(left: usize) {
    tokio::time::sleep(BREATH * u32::try_from(TRIES - left).unwrap_or(1)).await;
}

/// Makes requests as one identity, on the cluster's shared connections.
#[derive(Clone)]
pub struct Account {
    cluster: Cluster,
    identity: Identity,
    /// Whose turns its writes take: a tenant's, or its own.
    turns: Arc<str>,
}

/// What becomes of the objects that a deleted object owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// They go first.
    #[default]
    Foreground,
    /// They go afterwards.
    Background,
    /// They stay.
    Orphan,
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Only the object with this uid.
    pub uid: Option<String>,
    /// Only in this state.
    pub resource_version: Option<String>,
    /// What becomes of what it owns.
    pub propagation: Propagation,
    /// How long it has to end by itself; as it says itself where nothing is said here.
    pub grace_seconds: Option<u32>,
    /// Only try.
    pub dry_run: bool,
}

/// How to write.
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions {
    /// Only try.
    pub dry_run: bool,
    /// What to do about fields that the schema does not have.
    pub validation: Validation,
    /// Whose the fields become that are written.
    pub manager: &'static str,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            validation: Validation::default(),
            manager: crate::FIELD_MANAGER,
        }
    }
}

/// What came of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It was not there.
    Absent,
    /// It is gone.
    Gone,
    /// It goes when its finalizers are through.
    Waiting,
}

/// The language of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 7386.
    Merge,
    /// RFC 6902.
    Json,
    /// Kubernetes' own, for built-in kinds.
    Strategic,
}

impl Account {
    pub(crate) fn new(cluster: Cluster, identity: Identity) -> Self {
        let turns = identity.name().into();
        Self {
            cluster,
            identity,
            turns,
        }
    }

    /// The same on behalf of a tenant: whatever accounts it has, their writes take their turns together. It may have one for each of
    /// its namespaces, and would have as many shares otherwise.
    #[must_use]
    pub fn on_behalf_of(self, tenant: &TenantName) -> Self {
        Self {
            turns: tenant.as_str().into(),
            ..self
        }
    }

    fn transport(&self) -> &Transport {
        &self.cluster.inner.transport
    }

    /// Where a part of a pod is: its `log`, its `exec`.
    async fn pod(&self, namespace: &str, pod: &str, part: &str) -> Result<String, Error> {
        let kind = self.cluster.resolve("", Some("v1"), "Pod").await?;
        let key = ResourceKey {
            group: String::new(),
            kind: "Pod".into(),
            namespace: namespace.into(),
            name: pod.into(),
        };
        let path = object(&kind, named_namespace(&kind, &key)?, named(&key)?);
        Ok(format!("{path}/{part}"))
    }

    /// One object whole, in the version named or else in the preferred one. `None` when it is not there.
    ///
    /// # Errors
    /// When the kind is unknown, the account may not, or the cluster does not answer.
    pub async fn get(
        &self,
        key: &ResourceKey,
        version: Option<&str>,
    ) -> Result<Option<Value>, Error> {
        let kind = self.cluster.resolve(&key.group, version, &key.kind).await?;
        let path = object(&kind, named_namespace(&kind, key)?, named(key)?);
        match self.transport().get(&self.identity, &path, JSON).await {
            Ok(answer) => answer.json().map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes an object that must not be there yet.
    ///
    /// # Errors
    /// As [`Account::get`]; a conflict when it is there.
    pub async fn create(&self, manifest: &Value, options: WriteOptions) -> Result<Value, Error> {
        let (kind, key) = self.kind_of(manifest).await?;
        // A name may be left to the server (`generateName`); a namespace may not.
        let path = collection(&kind, named_namespace(&kind, &key)?);
        let path = write_query(&path, options).build();
        let answer = self
            .send(Method::POST, &path, JSON, manifest, manifest)
            .await?;
        answer.json()
    }

    /// Puts an object in the place of the one that is there, whatever that is; makes it when there is none.
    ///
    /// # Errors
    /// As [`Account::get`].
    pub async fn replace(&self, manifest: &Value, options: WriteOptions) -> Result<Value, Error> {
        let (kind, key) = self.kind_of(manifest).await?;
        let path = object(&kind, named_namespace(&kind, &key)?, named(&key)?);
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let Some(live) = self.get(&key, Some(&kind.version)).await? else {
                match self.create(manifest, options).await {
                    Err(error) if error.is_conflict() && tries > 0 => {
                        breathe(tries).await;
                        continue;
                    }
                    result => return result,
                }
            };
            let mut body = manifest.clone();
            set_metadata(
                &mut body,
                "resourceVersion",
                text(&live, &["metadata", "resourceVersion"]),
            );
            match self
                .send(
                    Method::PUT,
                    &write_query(&path, options).build(),
                    JSON,
                    &body,
                    manifest,
                )
                .await
            {
                Err(error) if error.is_conflict() && tries > 0 => breathe(tries).await,
                result => return result?.json(),
            }
        }
    }

    /// Changes parts of an object.
    ///
    /// # Errors
    /// As [`Account::get`]; not found when it is not there.
    pub async fn patch(
        &self,
        key: &ResourceKey,
        version: Option<&str>,
        language: PatchKind,
        patch: &Value,
        options: WriteOptions,
    ) -> Result<Value, Error> {
        let kind = self.cluster.resolve(&key.group, version, &key.kind).await?;
        let path = object(&kind, named_namespace(&kind, key)?, named(key)?);
        let content_type = match language {
            PatchKind::Merge => MERGE_PATCH,
            PatchKind::Json => "application/json-patch+json",
            PatchKind::Strategic => "application/strategic-merge-patch+json",
        };
        let path = write_query(&path, options).build();
        let sent = self
            .send(Method::PATCH, &path, content_type, patch, patch)
            .await;
        sent.map_err(|error| withhold(error, key))?.json()
    }

    /// Changes the status of an object by a merge patch, where that is written apart; `false` where it is a part like others,
    /// and nothing is done.
    ///
    /// # Errors
    /// As [`Account::patch`].
    pub async fn patch_status(
        &self,
        key: &ResourceKey,
        version: Option<&str>,
        patch: &Value,
        options: WriteOptions,
    ) -> Result<bool, Error> {
        let kind = self.cluster.resolve(&key.group, version, &key.kind).await?;
        if !kind.status_apart {
            return Ok(false);
        }
        let path = object(&kind, named_namespace(&kind, key)?, named(key)?);
        let path = write_query(&format!("{path}/status"), options).build();
        let merge = "application/merge-patch+json";
        let sent = self.send(Method::PATCH, &path, merge, patch, patch).await;
        sent.map_err(|error| withhold(error, key))?;
        Ok(true)
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// As [`Account::get`]; a conflict when a precondition fails.
    pub async fn delete(
        &self,
        key: &ResourceKey,
        version: Option<&str>,
        options: &DeleteOptions,
    ) -> Result<Deletion, Error> {
        let kind = self.cluster.resolve(&key.group, version, &key.kind).await?;
        let path = object(&kind, named_namespace(&kind, key)?, named(key)?);
        let mut preconditions = BTreeMap::new();
        preconditions.extend(options.uid.as_ref().map(|uid| ("uid", uid)));
        preconditions.extend(
            options
                .resource_version
                .as_ref()
                .map(|version| ("resourceVersion", version)),
        );
        let mut body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions,
            "propagationPolicy": format!("{:?}", options.propagation)});
        if options.dry_run {
            body["dryRun"] = json!(["All"]);
        }
        if let Some(seconds) = options.grace_seconds {
            body["gracePeriodSeconds"] = json!(seconds);
        }
        match self
            .send(Method::DELETE, &path, JSON, &body, &Value::Null)
            .await
        {
            Ok(answer) => {
                let left: Value = answer.json()?;
                Ok(if is_leaving(&left) {
                    Deletion::Waiting
                } else {
                    Deletion::Gone
                })
            }
            Err(error) if error.is_not_found() => Ok(Deletion::Absent),
            Err(error) => Err(withhold(error, key)),
        }
    }

    /// The objects of a kind in a namespace (over all when empty) that a label selector names (all when empty).
    ///
    /// # Errors
    /// As [`Account::get`].
    pub async fn list(
        &self,
        group: &str,
        kind: &str,
        namespace: &str,
        selector: &str,
    ) -> Result<Vec<Value>, Error> {
        let selected = ("labelSelector", selector);
        self.select(group, kind, namespace, selected, MAX_LISTED)
            .await
    }

    /// The events of a namespace that are about the object of that uid, as far as a thousand of them.
    ///
    /// # Errors
    /// As [`Account::get`].
    pub async fn events(&self, namespace: &str, uid: &str) -> Result<Vec<Value>, Error> {
        let about = format!("involvedObject.uid={uid}");
        let selected = ("fieldSelector", about.as_str());
        self.select("", "Event", namespace, selected, MAX_EVENTS)
            .await
    }

    /// The objects that a selector names (all when empty), until there are as many as shall be read, or as many bytes as may be.
    async fn select(
        &self,
        group: &str,
        kind: &str,
        namespace: &str,
        selector: (&str, &str),
        most: usize,
    ) -> Result<Vec<Value>, Error> {
        #[derive(Deserialize)]
        struct List {
            #[serde(default)]
            metadata: Value,
            #[serde(default)]
            items: Vec<Value>,
        }
        let kind = self.cluster.resolve(group, None, kind).await?;
        let transport = self.transport();
        let mut left = LARGEST_ANSWERS.saturating_mul(transport.largest_answer());
        let mut found = Vec::new();
        let mut more = String::new();
        for _ in 0..MAX_PAGES {
            let path = Query::new(&collection(&kind, namespace))
                .set("limit", &PAGE.to_string())
                .set_if(!selector.1.is_empty(), selector.0, selector.1)
                .set_if(!more.is_empty(), "continue", &more)
                .build();
            let answer = transport.get(&self.identity, &path, JSON).await?;
            left = left.saturating_sub(answer.body.len());
            let list: List = answer.json()?;
            found.extend(list.items);
            more = text(&list.metadata, &["continue"]).to_owned();
            if more.is_empty() || found.len() >= most || left == 0 {
                break;
            }
        }
        Ok(found)
    }

    /// The pods of a namespace that a label selector names.
    ///
    /// # Errors
    /// As [`Account::get`].
    pub async fn list_pods(&self, namespace: &str, selector: &str) -> Result<Vec<Value>, Error> {
        self.list("", "Pod", namespace, selector).await
    }

    /// Makes a namespace; `false` when it is there already, which is then left as it is.
    ///
    /// # Errors
    /// As [`Account::get`].
    pub async fn create_namespace(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<bool, Error> {
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels, "annotations": annotations}});
        match self.create(&manifest, WriteOptions::default()).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn kind_of(&self, manifest: &Value) -> Result<(ApiKind, ResourceKey), Error> {
        let key = ResourceKey::of(manifest);
        let (_, version) = split_api_version(text(manifest, &["apiVersion"]));
        let kind = self
            .cluster
            .resolve(&key.group, Some(version), &key.kind)
            .await?;
        Ok((kind, key))
    }

    /// Sends a write. What the server says of a Secret is cleaned of that Secret's values.
    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: &Value,
        manifest: &Value,
    ) -> Result<Answer, Error> {
        // Before it is written out: what waits need not be held twice.
        let turn = self.transport().turn(&self.turns).await;
        let bytes =
            serde_json::to_vec(body).map_err(|error| Error::NotUnderstood(error.to_string()))?;
        let sent = self
            .transport()
            .write(turn, &self.identity, method, path, content_type, bytes)
            .await;
        sent.map_err(|error| hide_values(error, manifest))
    }
}

/// The words of a refusal without the values of the Secret that it is about. Those that were sent are known and looked for. Those that
/// are there already are not, and a webhook is shown them too: of what it says nothing is passed on.
fn hide_values(error: Error, manifest: &Value) -> Error {
    let Error::Refused(mut refusal) = error else {
        return error;
    };
    let kind = text(manifest, &["kind"]);
    // First: a value may be one of the words that tell who says no.
    if kind == "Secret" && text(manifest, &["apiVersion"]) == "v1" && refusal.withhold() {
        return Error::Refused(refusal);
    }
    if kind == "Secret"
        || (kind.is_empty()
            && manifest
                .get("data")
                .or(manifest.get("stringData"))
                .is_some())
    {
        refusal.redact(&values(manifest));
    }
    Error::Refused(refusal)
}

/// What must not be seen of a Secret: its values as they are sent, and as whoever uses them has them, of several lines each. One that
/// begins with another comes before that.
fn values(manifest: &Value) -> Vec<String> {
    let texts = |field: &str| {
        let map = manifest.get(field).and_then(Value::as_object);
        let texts = map.into_iter().flat_map(|map| map.values());
        texts.filter_map(Value::as_str).collect::<Vec<_>>()
    };
    let (data, plain) = (texts("data"), texts("stringData"));
    let decoded = data.iter().filter_map(|value| {
        let bytes = BASE64_STANDARD.decode(value).ok()?;
        String::from_utf8(bytes).ok()
    });
    let decoded: Vec<String> = decoded.collect();
    let encoded = plain.iter().map(|value| BASE64_STANDARD.encode(value));
    let used = decoded.iter().map(String::as_str).chain(plain.clone());
    let lines = used.flat_map(str::lines).map(str::trim).map(str::to_owned);
    let sent = data.iter().chain(&plain).map(|value| (*value).to_owned());
    let mut values: Vec<String> = sent.chain(encoded).chain(lines).collect();
    // Shorter ones stand in too many words.
    values.retain(|value| value.len() > 2);
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values
}

/// The same where the Secret is not sent, or not all of it: nothing is passed on of what somebody says who was shown its values.
fn withhold(error: Error, key: &ResourceKey) -> Error {
    match error {
        Error::Refused(mut refusal) if key.group.is_empty() && key.kind == "Secret" => {
            refusal.withhold();
            Error::Refused(refusal)
        }
        error => error,
    }
}

/// The object's name. A missing one would make the path that of the whole collection.
fn named(key: &ResourceKey) -> Result<&str, Error> {
    match key.name.as_str() {
        "" | "." | ".." => Err(Error::NotUnderstood(format!(
            "`{}` is no object's name",
            key.name
        ))),
        name => Ok(name),
    }
}

fn named_namespace<'a>(kind: &ApiKind, key: &'a ResourceKey) -> Result<&'a str, Error> {
    match key.namespace.as_str() {
        _ if !kind.namespaced => Ok(""),
        "" | "." | ".." => Err(Error::NotUnderstood(format!("{key} has no namespace"))),
        namespace => Ok(namespace),
    }
}

fn write_query(path: &str, options: WriteOptions) -> Query {
    Query::new(path)
        .set("fieldManager", options.manager)
        .set("fieldValidation", options.validation.word())
        .set_if(options.dry_run, "dryRun", "All")
}

fn set_metadata(object: &mut Value, name: &str, value: &str) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert(name.to_owned(), Value::String(value.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use domain::denial::Denial;

    use super::*;
    use crate::error::{FieldCause, Refusal};

    fn refused(kind: &str, message: &str) -> Refusal {
        let quoted = || "hunter2".to_owned();
        let refusal = Refusal {
            code: 500,
            reason: quoted(),
            message: message.to_owned(),
            causes: vec![FieldCause {
                message: quoted(),
                ..FieldCause::default()
            }],
            ..Refusal::default()
        };
        let key = ResourceKey {
            kind: kind.into(),
            name: "s".into(),
            ..ResourceKey::default()
        };
        match withhold(Error::Refused(Box::new(refusal)), &key) {
            Error::Refused(refusal) => *refusal,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn nobody_who_was_shown_a_secret_is_quoted_about_it() {
        for words in [
            "admission webhook \"a.b\" denied the request: it has the password hunter2",
            "Internal error occurred: failed calling webhook \"a.b\": an error on the server (\"hunter2\")",
            "secrets \"s\" is forbidden: ValidatingAdmissionPolicy 'p.q' with binding 'b' denied request: hunter2",
        ] {
            let said = refused("Secret", words);
            assert!(!format!("{said:?}").contains("hunter2"), "{said:?}");
            assert_eq!(Denial::read(&said.message), Denial::read(words));
            assert_eq!(said.code, 500, "whether it passes is known by that");
            assert_eq!(refused("ConfigMap", words).message, words);
        }
        let own = "secrets \"s\" is forbidden: User \"u\" cannot delete resource \"secrets\"";
        assert_eq!(refused("Secret", own).message, own);
    }

    #[test]
    fn nobody_is_quoted_about_a_secret_that_is_applied() {
        let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "data": {"a": "aHVudGVyMg==", "b": "aHVudGVyMi1hbmQtbW9yZQ==", "d": "d2ViaG9vaw=="},
            "stringData": {"c": "first line\nsecond line"}});
        let said = |manifest: &Value, words: &str| {
            let refusal = Refusal {
                code: 400,
                message: words.to_owned(),
                causes: vec![FieldCause {
                    message: words.to_owned(),
                    ..FieldCause::default()
                }],
                ..Refusal::default()
            };
            match hide_values(Error::Refused(Box::new(refusal)), manifest) {
                Error::Refused(refusal) => *refusal,
                other => panic!("{other}"),
            }
        };
        // Of what is there already nothing was sent.
        let denied = "admission webhook \"a.b\" denied the request: it was s3cr3t-of-before";
        let withheld = said(&manifest, denied);
        assert!(!format!("{withheld:?}").contains("s3cr3t"), "{withheld:?}");
        assert_eq!(Denial::read(&withheld.message), Denial::read(denied));
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s"}});
        assert_eq!(said(&map, denied).message, denied);
        // Kubernetes' own words stay, without what was sent.
        let own = "it quotes aHVudGVyMg==, hunter2, hunter2-and-more, Zmlyc3QgbGluZQpzZWNvbmQgbGluZQ==, \"first line\\nsecond line\"";
        let hidden = "it quotes ++++++++, ++++++++, ++++++++, ++++++++, \"++++++++\\n++++++++\"";
        let redacted = said(&manifest, own);
        assert_eq!(redacted.message, hidden);
        assert_eq!(redacted.causes[0].message, hidden);
        let patch = json!({"data": {"a": "aHVudGVyMg=="}});
        assert_eq!(said(&patch, "no hunter2").message, "no ++++++++");
    }
}
