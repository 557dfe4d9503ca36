//! One live object of an application, whole: looked at and changed as whom the application is written.

use cluster::{
    Account, DeleteOptions, Deletion, EDIT_MANAGER, PatchKind, Propagation, WriteOptions,
};
use domain::message;
use domain::resource::{ResourceKey, text};
use engine::claim::Owner;
use engine::prepare::{kind_forbidden, namespace_forbidden};
use engine::views;
use proto::naru::internal::v1 as wire;
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::scene::{self, Scene};
use super::{owner, refused, say, tree};
use crate::context::Context;
use crate::driver::queue::AppKey;
use crate::reconcile::subject::Subject;

/// An object of an application's tree, as the cluster has it now.
pub(super) struct Object {
    pub(super) key: ResourceKey,
    /// The version that it is read and written in.
    pub(super) version: String,
    pub(super) body: Value,
    /// Who reads and writes it.
    pub(super) account: Account,
    pub(super) subject: Subject,
    /// Of the object that the tree has.
    uid: String,
    /// Whether nothing else of the application made it.
    own: bool,
}

/// The object, if it is in the application's tree.
pub(super) async fn find(
    ctx: &Context,
    app: &AppKey,
    asked: Option<wire::ResourceRequest>,
) -> Result<Object, Status> {
    let wire::ResourceRequest {
        tenant: _,
        app: _,
        group,
        version,
        kind,
        namespace,
        name,
    } = asked.ok_or_else(|| Status::invalid_argument("the request names no object"))?;
    let key = ResourceKey {
        group,
        kind,
        namespace,
        name,
    };
    let Scene { tenant: _, seen } = scene::outline(ctx, app).await?;
    let (subject, outline) = seen.unzip();
    let nodes = tree::nodes(outline).await?;
    let node = nodes
        .into_iter()
        .find(|node| node.key == key && !node.uid.is_empty());
    let (Some(node), Some(subject)) = (node, subject) else {
        let ResourceKey {
            group, kind, name, ..
        } = &key;
        let message = format!(
            "{kind} {group} {name} not found as part of application {}",
            app.name
        );
        return Err(Status::invalid_argument(message));
    };
    let version = if version.is_empty() {
        node.version
    } else {
        version
    };
    let account = subject
        .writer
        .account(ctx, &key.namespace)
        .map_err(|error| refused(&error))?;
    let body = account
        .get(&key, Some(&version))
        .await
        .map_err(|error| refused(&error))?;
    let body = body.ok_or_else(|| missing(&key))?;
    Ok(Object {
        key,
        version,
        body,
        account,
        subject,
        uid: node.uid,
        own: node.parents.is_empty(),
    })
}

impl Object {
    /// Demands that it may be changed for the application. To be in the tree is enough to be seen, not for this: Git may
    /// name what is another application's, what was found may have been replaced meanwhile, and the project may no longer
    /// permit what was deployed. What the application's objects made themselves, no project lists.
    pub(super) fn may_change(&self) -> Result<(), Status> {
        if text(&self.body, &["metadata", "uid"]) != self.uid {
            let replaced = message::app::OBJECT_REPLACED.with("resource", &self.key);
            return Err(say(Code::Aborted, &replaced));
        }
        let subject = &self.subject;
        match subject.claimant().owner(&self.body, &self.key, false) {
            Owner::Ours | Owner::Nobody => {}
            Owner::App(_) | Owner::Installation(_) => {
                let foreign = message::app::OBJECT_OF_ANOTHER.with("resource", &self.key);
                return Err(say(Code::FailedPrecondition, &foreign));
            }
        }
        if self.own {
            permitted(subject, &self.key)?;
        }
        Ok(())
    }

    /// The uid of the object that was looked at: nothing else is written to.
    pub(super) fn uid(&self) -> &str {
        &self.uid
    }

    /// What the cluster's no to a change means to a caller. Of a Secret it may repeat values.
    pub(super) fn refused(&self, error: &cluster::Error) -> Status {
        refused_of(&self.key, error)
    }
}

/// The same, of an object of that key.
pub(super) fn refused_of(key: &ResourceKey, error: &cluster::Error) -> Status {
    let status = refused(error);
    let Some(refusal) = error.refusal() else {
        return status;
    };
    if !is_secret(key) || matches!(refusal.code, 403 | 404 | 409) {
        return status;
    }
    let hidden = message::app::SECRET_REFUSED
        .with("resource", key)
        .with("code", refusal.code)
        .with("reason", &refusal.reason);
    say(status.code(), &hidden)
}

/// Demands that the application's project permits the kind, and the place.
pub(super) fn permitted(subject: &Subject, key: &ResourceKey) -> Result<(), Status> {
    let (rules, project) = (subject.rules(), subject.spec.project());
    let namespaced = !key.namespace.is_empty();
    let place = || namespace_forbidden(rules, project, &subject.destination, key);
    let refusal = kind_forbidden(rules, project, key, namespaced)
        .or_else(|| namespaced.then(place).flatten());
    refusal.map_or(Ok(()), |message| Err(say(Code::PermissionDenied, &message)))
}

/// The object, as one may see it.
pub(super) async fn get_resource(
    ctx: &Context,
    app: &AppKey,
    request: wire::ResourceRequest,
) -> Result<wire::ResourceBody, Status> {
    let object = find(ctx, app, Some(request)).await?;
    let hidden = &object.subject.customizations.masked;
    veiled(&object.key, object.body, hidden)
}

/// Changes it, and tells how it is then.
pub(super) async fn patch_resource(
    ctx: &Context,
    app: &AppKey,
    request: wire::PatchResourceRequest,
) -> Result<wire::ResourceBody, Status> {
    let kind = request.kind();
    let patch = serde_json::from_slice(&request.patch)
        .map_err(|_| Status::invalid_argument("the patch is no JSON"))?;
    let object = find(ctx, app, request.resource).await?;
    object.may_change()?;
    owner::stays(&patch, &object.body, &object.key, &object.subject.marking)?;
    let (language, patch) = of_that_object(kind, patch, object.uid());
    let changed = object
        .account
        .patch(
            &object.key,
            Some(&object.version),
            language,
            &patch,
            by_hand(),
        )
        .await
        .map_err(|error| object.refused(&error))?;
    veiled(&object.key, changed, &object.subject.customizations.masked)
}

/// Deletes it. What it owns goes first, unless it is asked for otherwise.
pub(super) async fn delete_resource(
    ctx: &Context,
    app: &AppKey,
    request: wire::DeleteResourceRequest,
) -> Result<wire::DeleteResourceResponse, Status> {
    let object = find(ctx, app, request.resource).await?;
    object.may_change()?;
    let (propagation, grace_seconds) = match (request.orphan, request.force) {
        (true, _) => (Propagation::Orphan, None),
        (false, true) => (Propagation::Background, Some(0)),
        (false, false) => (Propagation::Foreground, None),
    };
    let options = DeleteOptions {
        uid: Some(object.uid().to_owned()),
        propagation,
        grace_seconds,
        ..DeleteOptions::default()
    };
    let deleted = object
        .account
        .delete(&object.key, Some(&object.version), &options)
        .await
        .map_err(|error| object.refused(&error))?;
    match deleted {
        Deletion::Absent => Err(missing(&object.key)),
        Deletion::Gone | Deletion::Waiting => Ok(wire::DeleteResourceResponse {}),
    }
}

/// What is written by hand is not what was applied.
pub(super) fn by_hand() -> WriteOptions {
    WriteOptions {
        manager: EDIT_MANAGER,
        ..WriteOptions::default()
    }
}

/// The patch, which fails on any object but that of the uid.
fn of_that_object(kind: wire::PatchKind, patch: Value, uid: &str) -> (PatchKind, Value) {
    let language = match kind {
        wire::PatchKind::Merge => PatchKind::Merge,
        wire::PatchKind::Strategic => PatchKind::Strategic,
        wire::PatchKind::Json => PatchKind::Json,
    };
    (language, with_uid(patch, uid))
}

/// A JSON patch asks for the uid first; in the others it is one more field, which nobody can change.
pub(super) fn with_uid(mut patch: Value, uid: &str) -> Value {
    match &mut patch {
        Value::Array(operations) => {
            let test = json!({"op": "test", "path": "/metadata/uid", "value": uid});
            operations.insert(0, test);
        }
        Value::Object(fields) => {
            let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.insert("uid".to_owned(), json!(uid));
            }
        }
        _ => {}
    }
    patch
}

pub(super) fn is_secret(key: &ResourceKey) -> bool {
    key.group.is_empty() && key.kind == "Secret"
}

fn missing(key: &ResourceKey) -> Status {
    Status::not_found(format!("{key} not found"))
}

/// An object as it leaves: a Secret's values masked, and those of these annotations.
fn veiled(
    key: &ResourceKey,
    mut body: Value,
    annotations: &[String],
) -> Result<wire::ResourceBody, Status> {
    views::veil(key, &mut body, annotations);
    let object =
        serde_json::to_vec(&body).map_err(|_| Status::internal("the object cannot be written"))?;
    Ok(wire::ResourceBody { object })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_for_the_object_that_was_looked_at() {
        assert_eq!(
            with_uid(json!({"data": {"a": "b"}}), "u"),
            json!({"data": {"a": "b"}, "metadata": {"uid": "u"}})
        );
        assert_eq!(
            with_uid(json!({"metadata": {"labels": {"a": "b"}, "uid": "x"}}), "u"),
            json!({"metadata": {"labels": {"a": "b"}, "uid": "u"}})
        );
        assert_eq!(
            with_uid(json!([{"op": "remove", "path": "/data/a"}]), "u"),
            json!([{"op": "test", "path": "/metadata/uid", "value": "u"}, {"op": "remove", "path": "/data/a"}])
        );
    }

    #[test]
    fn a_secret_shows_no_value() {
        let key = ResourceKey {
            kind: "Secret".into(),
            name: "a".into(),
            ..ResourceKey::default()
        };
        let body = json!({"data": {"password": "aHVudGVy"}, "metadata": {"annotations": {"token": "hunter"}}});
        let seen = veiled(&key, body, &["token".to_owned()]).unwrap().object;
        let seen: Value = serde_json::from_slice(&seen).unwrap();
        let hidden = json!({"data": {"password": "++++++++"}, "metadata": {"annotations": {"token": "++++++++"}}});
        assert_eq!(seen, hidden);
    }
}
