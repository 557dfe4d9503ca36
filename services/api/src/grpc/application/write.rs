//! Making and changing applications.

use domain::application::{Application, project_of};
use domain::resource::is_subdomain;
use json_patch::{AddOperation, PatchOperation};
use proto::argocd::application as wire;
use proto::{convert, json, v1alpha1};
use serde_json::Value;
use tonic::Status;

use super::document::Draft;
use super::find::{self, Query, is_ours, object, project_named};
use super::validate;
use crate::failure::{self, Refused};
use crate::language;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// Makes one. One that says the same is returned as it is; another is only replaced with `upsert`.
pub(super) async fn create(
    shared: &Shared,
    actor: &Actor,
    request: wire::ApplicationCreateRequest,
) -> Result<v1alpha1::Application, Status> {
    let mut draft = Draft::of(&request.application);
    let right = format!("{}/{}", project_of(&draft.spec), draft.name);
    permit::require(actor, Resource::Applications, Action::Create, &right)?;
    let project = project_named(shared, actor, project_of(&draft.spec)).await?;
    let scope = shared.store.tenant(actor.tenant.id);
    let stored = scope
        .applications()
        .find(&draft.name)
        .await
        .map_err(failure::store)?;
    let stored_spec = stored.as_ref().map(|app| &app.spec);
    let repositories = request.validate.unwrap_or(true);
    validate::check(
        shared,
        actor,
        &mut draft,
        stored_spec,
        project,
        repositories,
    )
    .await
    .map_err(|fault| fault.while_doing("error while validating and normalizing app"))?;
    if !is_ours(Some(&draft.namespace)) {
        return Err(Status::unknown(format!(
            "namespace '{}' is not permitted",
            draft.namespace
        )));
    }
    valid_name(&draft.name)?;
    let uid = shared.ids.id().to_string();
    match scope
        .applications()
        .create(&draft.clone().first(&uid))
        .await
    {
        Ok(app) => {
            tracing::info!(tenant = %actor.tenant.name, app = draft.name, account = actor.account, "made an application");
            return Ok(shown(&app));
        }
        Err(error) if error.code() == store::Code::AlreadyExists => {}
        Err(error) => return Err(failure::store(error)),
    }
    let existing = scope
        .applications()
        .find(&draft.name)
        .await
        .map_err(failure::store)?;
    let existing = existing.ok_or_else(|| find::not_found(&draft.name))?;
    if draft.same_as(&existing) {
        return Ok(shown(&existing));
    }
    if !request.upsert() {
        return Err(Status::invalid_argument(
            "existing application spec is different, use upsert flag to force update",
        ));
    }
    permit::require(actor, Resource::Applications, Action::Update, &right)?;
    write(shared, actor, &draft, true).await
}

/// Replaces spec, labels, annotations and finalizers; status and operation stay.
pub(super) async fn update(
    shared: &Shared,
    actor: &Actor,
    request: wire::ApplicationUpdateRequest,
) -> Result<v1alpha1::Application, Status> {
    let draft = Draft::of(&request.application);
    let right = format!("{}/{}", project_of(&draft.spec), draft.name);
    permit::require(actor, Resource::Applications, Action::Update, &right)?;
    replace(
        shared,
        actor,
        draft,
        request.project.as_deref(),
        request.validate.unwrap_or(true),
    )
    .await
}

/// Replaces the spec alone.
pub(super) async fn update_spec(
    shared: &Shared,
    actor: &Actor,
    request: wire::ApplicationUpdateSpecRequest,
) -> Result<v1alpha1::ApplicationSpec, Status> {
    let asked = Query {
        name: &request.name,
        namespace: request.app_namespace.as_deref(),
        project: request.project.as_deref(),
    };
    let found = find::find(shared, actor, Action::Update, asked).await?;
    let mut draft = Draft::of(&convert::application::to_wire(
        &found.app,
        language::current(),
    ));
    draft.spec = json::to_value(&request.spec);
    let validate = request.validate.unwrap_or(true);
    let written = replace(shared, actor, draft, request.project.as_deref(), validate).await?;
    Ok(written.spec.unwrap_or_default())
}

/// Applies a JSON patch (RFC 6902) or a merge patch (RFC 7396) to the whole document.
pub(super) async fn patch(
    shared: &Shared,
    actor: &Actor,
    request: wire::ApplicationPatchRequest,
) -> Result<v1alpha1::Application, Status> {
    let asked = Query {
        name: &request.name,
        namespace: request.app_namespace.as_deref(),
        project: request.project.as_deref(),
    };
    let found = find::find(shared, actor, Action::Get, asked).await?;
    permit::require(
        actor,
        Resource::Applications,
        Action::Update,
        &object(&found.app),
    )?;
    let mut document = json::to_value(&shown(&found.app));
    // What messages do not know is there to be patched too.
    document["spec"] = found.app.spec.clone();
    patched(&mut document, &request.patch_type, &request.patch)?;
    let draft = Draft::of_document(&document)
        .map_err(|problem| Status::unknown(format!("error unmarshaling patched app: {problem}")))?;
    replace(shared, actor, draft, request.project.as_deref(), true).await
}

/// Argo CD replaces a member that is not there by adding it: `targetRevision` of an application that never had one.
fn lenient(document: &Value, operation: PatchOperation) -> PatchOperation {
    match operation {
        PatchOperation::Replace(replace) if is_absent_member(document, replace.path.as_str()) => {
            PatchOperation::Add(AddOperation {
                path: replace.path,
                value: replace.value,
            })
        }
        other => other,
    }
}

fn is_absent_member(document: &Value, path: &str) -> bool {
    let parent = path
        .rsplit_once('/')
        .and_then(|(parent, _)| document.pointer(parent));
    parent.is_some_and(Value::is_object) && document.pointer(path).is_none()
}

fn patched(document: &mut Value, kind: &str, patch: &str) -> Result<(), Status> {
    match kind {
        "" | "json" => {
            let patch: json_patch::Patch = serde_json::from_str(patch).map_err(|problem| {
                Status::unknown(format!("error decoding json patch: {problem}"))
            })?;
            for operation in patch.0 {
                json_patch::patch(document, &[lenient(document, operation)]).map_err(
                    |problem| Status::unknown(format!("error applying patch: {problem}")),
                )?;
            }
            Ok(())
        }
        "merge" => {
            let patch: Value = serde_json::from_str(patch).map_err(|problem| {
                Status::unknown(format!("error calculating merge patch: {problem}"))
            })?;
            json_patch::merge(document, &patch);
            Ok(())
        }
        other => Err(Status::invalid_argument(format!(
            "Patch type '{other}' is not supported"
        ))),
    }
}

async fn replace(
    shared: &Shared,
    actor: &Actor,
    mut draft: Draft,
    project: Option<&str>,
    repositories: bool,
) -> Result<v1alpha1::Application, Status> {
    let asked = Query {
        name: &draft.name,
        namespace: Some(&draft.namespace),
        project,
    };
    let found = find::find(shared, actor, Action::Update, asked).await?;
    // Whoever takes a finalizer off what is being deleted often does so because its source is gone, or not permitted any more.
    let checked = if found.app.deleting() && draft.same_spec(&found.app) {
        validate::size(&draft)
    } else {
        validate::check(
            shared,
            actor,
            &mut draft,
            Some(&found.app.spec),
            found.project,
            repositories,
        )
        .await
    };
    checked.map_err(|fault| fault.while_doing("error validating and normalizing app"))?;
    write(shared, actor, &draft, false).await
}

async fn write(
    shared: &Shared,
    actor: &Actor,
    draft: &Draft,
    merge: bool,
) -> Result<v1alpha1::Application, Status> {
    let scope = shared.store.tenant(actor.tenant.id);
    let applications = scope.applications();
    let wanted = draft.clone();
    let written = applications.update(&draft.name, None, move |app| {
        wanted.write_over(app, merge);
        Ok::<_, Refused>(())
    });
    let app = written.await.map_err(Status::from)?;
    tracing::info!(tenant = %actor.tenant.name, app = draft.name, account = actor.account, "changed an application");
    Ok(shown(&app))
}

fn shown(app: &Application) -> v1alpha1::Application {
    convert::application::to_wire(app, language::current())
}

/// Kubernetes' rule for names of objects, in its words.
fn valid_name(name: &str) -> Result<(), Status> {
    if is_subdomain(name) {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "error creating application: Application.argoproj.io {name:?} is invalid: metadata.name: Invalid value: {name:?}: \
         a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
         and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_kinds_of_patch_and_no_other() {
        let mut document = json!({"spec": {"source": {"path": "a"}}});
        patched(
            &mut document,
            "json",
            r#"[{"op":"replace","path":"/spec/source/path","value":"b"}]"#,
        )
        .unwrap();
        assert_eq!(document["spec"]["source"]["path"], "b");
        patched(
            &mut document,
            "merge",
            r#"{"spec":{"source":{"path":null}}}"#,
        )
        .unwrap();
        assert_eq!(document, json!({"spec": {"source": {}}}));
        let refusal = patched(&mut document, "strategic", "{}").unwrap_err();
        assert_eq!(refusal.message(), "Patch type 'strategic' is not supported");
        let set = r#"[{"op":"replace","path":"/spec/source/targetRevision","value":"main"}]"#;
        patched(&mut document, "json", set).unwrap();
        assert_eq!(document["spec"]["source"]["targetRevision"], "main");
        let nowhere = r#"[{"op":"replace","path":"/spec/nothing/a","value":1}]"#;
        assert!(patched(&mut document, "json", nowhere).is_err());
        assert!(patched(&mut document, "", "no").is_err());
    }

    #[test]
    fn names_are_those_of_objects() {
        assert!(valid_name("hello-spring.v1").is_ok());
        for bad in ["Hello", "a_b", "-a", "a..b", &"a".repeat(254)] {
            assert_eq!(
                valid_name(bad).unwrap_err().code(),
                tonic::Code::InvalidArgument,
                "{bad}"
            );
        }
    }
}
