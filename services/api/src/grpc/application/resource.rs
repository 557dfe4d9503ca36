//! One live object of an application: seen, changed, deleted, by the controller that owns the cluster.

use domain::message;
use proto::argocd::application as wire;
use proto::naru::internal::v1::{DeleteResourceRequest, PatchResourceRequest, ResourceRequest};
use tonic::{Code, Status};

use super::find::{self, Found, Query};
use super::live::peer;
use super::manifests::hidden;
use super::patch as patches;
use crate::failure;
use crate::permit::{self, Action, Actor};
use crate::shared::Shared;

/// The fields by which requests name an object of an application.
pub(super) struct Named {
    pub(super) app: String,
    pub(super) app_namespace: Option<String>,
    pub(super) project: Option<String>,
    pub(super) group: Option<String>,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// Reads the fields that all of these requests have, by the same names.
macro_rules! named {
    ($request:expr) => {
        $crate::grpc::application::resource::Named {
            app: ::std::mem::take(&mut $request.name),
            app_namespace: $request.app_namespace.take(),
            project: $request.project.take(),
            group: $request.group.take(),
            version: ::std::mem::take(&mut $request.version),
            kind: ::std::mem::take(&mut $request.kind),
            namespace: $request.namespace.take(),
            name: ::std::mem::take(&mut $request.resource_name),
        }
    };
}
pub(super) use named;

impl Named {
    pub(super) fn query(&self) -> Query<'_> {
        Query {
            name: &self.app,
            namespace: self.app_namespace.as_deref(),
            project: self.project.as_deref(),
        }
    }

    /// The action on the object, as rights name it: `<action>/<group>/<kind>/<namespace>/<name>`.
    fn deed(&self, action: Action) -> String {
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        [
            action.as_str(),
            &part(&self.group),
            &self.kind,
            &part(&self.namespace),
            &self.name,
        ]
        .join("/")
    }

    fn is_secret(&self) -> bool {
        self.group.as_deref().unwrap_or_default().is_empty() && self.kind == "Secret"
    }

    /// Running an action of the object, as rights name it: `action/<group>/<kind>/<action>`.
    pub(super) fn run(&self, action: &str) -> String {
        let group = self.group.as_deref().unwrap_or_default();
        [Action::Run.as_str(), group, &self.kind, action].join("/")
    }

    /// Whether it is the application itself, which clients list beside its objects.
    pub(super) fn is_application(&self) -> bool {
        self.group.as_deref() == Some("argoproj.io")
            && self.kind == "Application"
            && self.name == self.app
    }

    /// As the controller is asked for it.
    ///
    /// # Errors
    /// Which part is missing; without a kind and a name nothing is one object.
    pub(super) fn object(self, actor: &Actor) -> Result<ResourceRequest, Status> {
        for (field, text) in [("kind", &self.kind), ("resourceName", &self.name)] {
            if text.is_empty() {
                let unnamed = message::app::OBJECT_UNNAMED.with("field", field);
                return Err(failure::say(Code::InvalidArgument, &unnamed));
            }
        }
        Ok(ResourceRequest {
            tenant: actor.tenant.id.to_string(),
            app: self.app,
            group: self.group.unwrap_or_default(),
            version: self.version,
            kind: self.kind,
            namespace: self.namespace.unwrap_or_default(),
            name: self.name,
        })
    }
}

/// One live object.
pub(super) async fn get(
    shared: &Shared,
    actor: &Actor,
    mut request: wire::ApplicationResourceRequest,
) -> Result<wire::ApplicationResourceResponse, Status> {
    let named = named!(request);
    let found = find::find(shared, actor, Action::Get, named.query()).await?;
    let request = named.object(actor)?;
    let body = shared
        .controllers
        .owner_of(actor.tenant.id, &found.app)
        .await?
        .get_resource(request)
        .await
        .map_err(peer)?
        .into_inner();
    manifest(body.object)
}

/// Changes it, and tells how it is then.
pub(super) async fn patch(
    shared: &Shared,
    actor: &Actor,
    mut request: wire::ApplicationResourcePatchRequest,
) -> Result<wire::ApplicationResourceResponse, Status> {
    let named = named!(request);
    let found = changeable(shared, actor, Action::Update, &named).await?;
    let (kind, patch) = patches::read(&request.patch_type, &request.patch, named.is_secret())
        .map_err(|message| failure::say(Code::InvalidArgument, &message))?;
    if named.is_secret() {
        let hidden = hidden(shared, actor).await?;
        patches::without_masks(&patch, &hidden)
            .map_err(|message| failure::say(Code::InvalidArgument, &message))?;
    }
    let resource = named.object(actor)?;
    told(actor, "patching an object of an application", &resource);
    let request = PatchResourceRequest {
        resource: Some(resource),
        kind: kind.into(),
        patch: patch.to_string().into_bytes(),
    };
    let body = shared
        .controllers
        .owner_of(actor.tenant.id, &found.app)
        .await?
        .patch_resource(request)
        .await
        .map_err(peer)?
        .into_inner();
    manifest(body.object)
}

/// Deletes it.
pub(super) async fn delete(
    shared: &Shared,
    actor: &Actor,
    mut request: wire::ApplicationResourceDeleteRequest,
) -> Result<wire::ApplicationResponse, Status> {
    let named = named!(request);
    let found = changeable(shared, actor, Action::Delete, &named).await?;
    let resource = named.object(actor)?;
    told(actor, "deleting an object of an application", &resource);
    let request = DeleteResourceRequest {
        resource: Some(resource),
        force: request.force(),
        orphan: request.orphan(),
    };
    shared
        .controllers
        .owner_of(actor.tenant.id, &found.app)
        .await?
        .delete_resource(request)
        .await
        .map_err(peer)?;
    Ok(wire::ApplicationResponse {})
}

/// The application, for who may do this to that object of it. The right on the application itself counts only where the
/// tenant's settings say so.
async fn changeable(
    shared: &Shared,
    actor: &Actor,
    action: Action,
    named: &Named,
) -> Result<Found, Status> {
    let config = shared.configs.of(actor.tenant.id).await;
    if config.map_err(failure::store)?.rights_reach_objects() {
        match find::find(shared, actor, action, named.query()).await {
            Err(refusal) if refusal.code() == permit::denied().code() => {}
            outcome => return outcome,
        }
    }
    find::find_to(shared, actor, &named.deed(action), named.query()).await
}

/// The line in the log; what the object is called, and nothing that it holds.
pub(super) fn told(actor: &Actor, doing: &str, object: &ResourceRequest) {
    let ResourceRequest {
        app,
        group,
        kind,
        namespace,
        name,
        ..
    } = object;
    let (tenant, account) = (&actor.tenant.name, &actor.account);
    tracing::info!(%tenant, app, account, group, kind, namespace, name, "{doing}");
}

fn manifest(body: Vec<u8>) -> Result<wire::ApplicationResourceResponse, Status> {
    let manifest = String::from_utf8(body).map_err(|_| failure::internal())?;
    Ok(wire::ApplicationResourceResponse { manifest })
}
