//! Credential templates: a login for every repository below an address.

use std::sync::Arc;

use domain::repository::Template;
use proto::argocd::repocreds as wire;
use proto::argocd::repocreds::repo_creds_service_server::RepoCredsService;
use proto::k8s::meta::v1::ListMeta;
use proto::{convert, v1alpha1};
use tonic::{Request, Response, Status};

use crate::failure;
use crate::grpc::cluster::unescape;
use crate::grpc::repository::{changes, known_kind};
use crate::identity;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;
use crate::sources;

/// The service.
pub(crate) struct RepoCreds {
    shared: Arc<Shared>,
}

/// What a template is for, which decides the right that it takes.
#[derive(Clone, Copy)]
enum Purpose {
    Read,
    Write,
}

impl Purpose {
    fn right(self) -> Resource {
        match self {
            Self::Read => Resource::Repositories,
            Self::Write => Resource::WriteRepositories,
        }
    }

    fn writes(self) -> bool {
        matches!(self, Self::Write)
    }
}

impl RepoCreds {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }

    async fn listed(
        &self,
        purpose: Purpose,
        request: Request<wire::RepoCredsQuery>,
    ) -> Result<Response<v1alpha1::RepoCredsList>, Status> {
        let actor = identity::actor(&request)?;
        let scope = self.shared.store.tenant(actor.tenant.id);
        let all = scope.templates(purpose.writes()).list().await;
        let all = all.map_err(failure::store)?;
        let visible = all
            .iter()
            .filter(|one| permit::allows(&actor, purpose.right(), Action::Get, &one.url));
        Ok(Response::new(v1alpha1::RepoCredsList {
            metadata: Some(ListMeta::default()),
            items: visible.map(convert::repository::template_to_wire).collect(),
        }))
    }

    async fn create(
        &self,
        purpose: Purpose,
        request: Request<wire::RepoCredsCreateRequest>,
    ) -> Result<Response<v1alpha1::RepoCreds>, Status> {
        let actor = identity::actor(&request)?;
        let wire::RepoCredsCreateRequest { creds, upsert } = request.into_inner();
        let creds = payload(creds)?;
        permit::require(&actor, purpose.right(), Action::Create, creds.url())?;
        let wanted = described(&creds)?;
        let scope = self.shared.store.tenant(actor.tenant.id);
        let existing = scope.templates(purpose.writes()).find(&wanted.url).await;
        match existing.map_err(failure::store)? {
            Some(existing) if existing == wanted => {}
            Some(existing) if !upsert => {
                return Err(changes::refused_template(&existing, &wanted));
            }
            existing => {
                if existing.is_some() {
                    permit::require(&actor, purpose.right(), Action::Update, &wanted.url)?;
                }
                self.keep(&actor, purpose, &wanted).await?;
            }
        }
        Ok(Response::new(named(wanted)))
    }

    async fn update(
        &self,
        purpose: Purpose,
        request: Request<wire::RepoCredsUpdateRequest>,
    ) -> Result<Response<v1alpha1::RepoCreds>, Status> {
        let actor = identity::actor(&request)?;
        let mut creds = payload(request.into_inner().creds)?;
        creds.url = Some(unescape(creds.url()));
        permit::require(&actor, purpose.right(), Action::Update, creds.url())?;
        let wanted = described(&creds)?;
        let scope = self.shared.store.tenant(actor.tenant.id);
        let existing = scope.templates(purpose.writes()).find(&wanted.url).await;
        if existing.map_err(failure::store)?.is_none() {
            return Err(missing(&wanted.url));
        }
        self.keep(&actor, purpose, &wanted).await?;
        Ok(Response::new(named(wanted)))
    }

    async fn delete(
        &self,
        purpose: Purpose,
        request: Request<wire::RepoCredsDeleteRequest>,
    ) -> Result<Response<wire::RepoCredsResponse>, Status> {
        let actor = identity::actor(&request)?;
        let url = unescape(&request.into_inner().url);
        permit::require(&actor, purpose.right(), Action::Delete, &url)?;
        let scope = self.shared.store.tenant(actor.tenant.id);
        match scope.templates(purpose.writes()).delete(&url).await {
            Err(error) if error.code() == store::Code::NotFound => Err(missing(&url)),
            Err(error) => Err(failure::store(error)),
            Ok(()) => {
                tracing::info!(tenant = %actor.tenant.name, account = actor.account, "deleted a credential template");
                Ok(Response::new(wire::RepoCredsResponse {}))
            }
        }
    }

    async fn keep(&self, actor: &Actor, purpose: Purpose, wanted: &Template) -> Result<(), Status> {
        let scope = self.shared.store.tenant(actor.tenant.id);
        let put = scope.templates(purpose.writes()).put(wanted).await;
        put.map_err(failure::store)?;
        tracing::info!(tenant = %actor.tenant.name, account = actor.account, "kept a credential template");
        Ok(())
    }
}

fn payload(creds: Option<v1alpha1::RepoCreds>) -> Result<v1alpha1::RepoCreds, Status> {
    creds.ok_or_else(|| Status::invalid_argument("missing payload in request"))
}

fn described(creds: &v1alpha1::RepoCreds) -> Result<Template, Status> {
    if creds.url().is_empty() {
        return Err(Status::invalid_argument("must specify URL"));
    }
    let wanted = convert::repository::template_from_wire(creds);
    sources::without_password(&wanted.url)?;
    known_kind(&wanted.kind)?;
    Ok(wanted)
}

/// All that a client is told of a template that it has written.
fn named(template: Template) -> v1alpha1::RepoCreds {
    v1alpha1::RepoCreds {
        url: Some(template.url),
        ..v1alpha1::RepoCreds::default()
    }
}

fn missing(url: &str) -> Status {
    Status::not_found(format!("repository credentials '{url}' not found"))
}

#[tonic::async_trait]
impl RepoCredsService for RepoCreds {
    async fn list_repository_credentials(
        &self,
        request: Request<wire::RepoCredsQuery>,
    ) -> Result<Response<v1alpha1::RepoCredsList>, Status> {
        self.listed(Purpose::Read, request).await
    }

    async fn list_write_repository_credentials(
        &self,
        request: Request<wire::RepoCredsQuery>,
    ) -> Result<Response<v1alpha1::RepoCredsList>, Status> {
        self.listed(Purpose::Write, request).await
    }

    async fn create_repository_credentials(
        &self,
        request: Request<wire::RepoCredsCreateRequest>,
    ) -> Result<Response<v1alpha1::RepoCreds>, Status> {
        self.create(Purpose::Read, request).await
    }

    async fn create_write_repository_credentials(
        &self,
        request: Request<wire::RepoCredsCreateRequest>,
    ) -> Result<Response<v1alpha1::RepoCreds>, Status> {
        self.create(Purpose::Write, request).await
    }

    async fn update_repository_credentials(
        &self,
        request: Request<wire::RepoCredsUpdateRequest>,
    ) -> Result<Response<v1alpha1::RepoCreds>, Status> {
        self.update(Purpose::Read, request).await
    }

    async fn update_write_repository_credentials(
        &self,
        request: Request<wire::RepoCredsUpdateRequest>,
    ) -> Result<Response<v1alpha1::RepoCreds>, Status> {
        self.update(Purpose::Write, request).await
    }

    async fn delete_repository_credentials(
        &self,
        request: Request<wire::RepoCredsDeleteRequest>,
    ) -> Result<Response<wire::RepoCredsResponse>, Status> {
        self.delete(Purpose::Read, request).await
    }

    async fn delete_write_repository_credentials(
        &self,
        request: Request<wire::RepoCredsDeleteRequest>,
    ) -> Result<Response<wire::RepoCredsResponse>, Status> {
        self.delete(Purpose::Write, request).await
    }
}
