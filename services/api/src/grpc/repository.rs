//! Repositories: connecting them, and whether they can be read.

pub(in crate::grpc) mod changes;
mod details;
mod offers;
mod state;

use std::sync::Arc;

use domain::message;
use domain::rbac::object;
use domain::repository::{Repository, normalize_url};
use domain::tenant::Tenant;
use proto::argocd::repository as wire;
use proto::argocd::repository::repository_service_server::RepositoryService;
use proto::k8s::meta::v1::ListMeta;
use proto::{convert, v1alpha1};
use store::TenantScope;
use tonic::{Code, Request, Response, Status};

use crate::failure;
use crate::grpc::cluster::unescape;
use crate::identity;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;
use crate::sources::{self, Ways};

/// What a repository is connected for. The two never meet: a login to push with opens nothing that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Reading,
    Pushing,
}

impl Purpose {
    /// The resource of its rights.
    const fn resource(self) -> Resource {
        match self {
            Self::Reading => Resource::Repositories,
            Self::Pushing => Resource::WriteRepositories,
        }
    }

    /// How Argo CD calls one in a refusal.
    const fn called(self) -> &'static str {
        match self {
            Self::Reading => "repository",
            Self::Pushing => "write repository",
        }
    }

    /// Where such repositories are kept.
    fn of(self, scope: &TenantScope) -> store::Repositories<'_> {
        match self {
            Self::Reading => scope.repositories(),
            Self::Pushing => scope.write_repositories(),
        }
    }

    /// What opens them besides their own logins.
    async fn ways(self, shared: &Shared, tenant: &Tenant) -> Result<Ways, Status> {
        match self {
            Self::Reading => Ways::of(shared, tenant).await,
            Self::Pushing => Ways::to_push(shared, tenant).await,
        }
    }
}

/// The service.
pub(crate) struct Repositories {
    shared: Arc<Shared>,
}

impl Repositories {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }

    /// Those that the actor may see, by project and address.
    async fn visible(&self, purpose: Purpose, actor: &Actor) -> Result<Vec<Repository>, Status> {
        let scope = self.shared.store.tenant(actor.tenant.id);
        let all = purpose.of(&scope).list().await;
        let mut all = all.map_err(failure::store)?;
        all.retain(|one| {
            permit::allows(
                actor,
                purpose.resource(),
                Action::Get,
                &object(&one.project, &one.url),
            )
        });
        all.sort_by_key(|one| format!("{}/{}", one.project, one.url));
        Ok(all)
    }

    async fn listed(
        &self,
        purpose: Purpose,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<v1alpha1::RepositoryList>, Status> {
        let actor = identity::actor(&request)?;
        let refresh = request.into_inner().force_refresh;
        let visible = self.visible(purpose, &actor).await?;
        let ways = purpose.ways(&self.shared, &actor.tenant).await?;
        let states = state::all(
            &self.shared,
            &actor.tenant,
            purpose,
            &ways,
            &visible,
            refresh,
        )
        .await?;
        let items = visible
            .iter()
            .zip(states)
            .map(|(one, state)| shown(&ways, one, state));
        Ok(Response::new(v1alpha1::RepositoryList {
            metadata: Some(ListMeta::default()),
            items: items.collect(),
        }))
    }

    /// The one that a query means: alone with its address, or of the project that is named.
    async fn meant(
        &self,
        purpose: Purpose,
        actor: &Actor,
        query: &wire::RepoQuery,
    ) -> Result<Repository, Status> {
        let url = unescape(&query.repo);
        let mut found = self.visible(purpose, actor).await?;
        found.retain(|one| normalize_url(&one.url) == normalize_url(&url));
        if found.is_empty() {
            return Err(permit::denied());
        }
        let alone = found.len() == 1 && query.app_project.is_empty();
        let project = &query.app_project;
        let at = if alone {
            Some(0)
        } else {
            found.iter().position(|one| one.project == *project)
        };
        at.map(|at| found.swap_remove(at)).ok_or_else(|| {
            Status::unknown(format!(
                "repository not found for url {url:?} and project {project:?}"
            ))
        })
    }

    async fn connect(
        &self,
        purpose: Purpose,
        request: Request<wire::RepoCreateRequest>,
    ) -> Result<Response<v1alpha1::Repository>, Status> {
        let actor = identity::actor(&request)?;
        let wire::RepoCreateRequest {
            repo,
            upsert,
            creds_only: _,
        } = request.into_inner();
        let repo = payload(repo)?;
        permit::require(
            &actor,
            purpose.resource(),
            Action::Create,
            &object(repo.project(), repo.repo()),
        )?;
        let wanted = described(&repo)?;
        match purpose {
            // Nobody pushes without saying who it is, and a login for one project is a login all the same.
            Purpose::Pushing if wanted.credentials.is_empty() => {
                return Err(Status::invalid_argument("missing credentials in request"));
            }
            Purpose::Reading if !wanted.project.is_empty() => {}
            _ => self.attempt(purpose, &actor.tenant, &wanted).await?,
        }
        let scope = self.shared.store.tenant(actor.tenant.id);
        let existing = purpose
            .of(&scope)
            .find(&wanted.url, &wanted.project)
            .await
            .map_err(failure::store)?;
        match existing {
            Some(existing) if existing == wanted => {}
            Some(existing) if !upsert => {
                return Err(changes::refused(purpose.called(), &existing, &wanted));
            }
            existing => {
                // It may be written in another way there.
                if let Some(existing) = existing {
                    for url in [&wanted.url, &existing.url] {
                        let named = object(&wanted.project, url);
                        permit::require(&actor, purpose.resource(), Action::Update, &named)?;
                    }
                }
                self.keep(purpose, &actor, &wanted).await?;
                tracing::info!(tenant = %actor.tenant.name, account = actor.account, "connected a repository");
            }
        }
        Ok(Response::new(named(wanted)))
    }

    async fn change(
        &self,
        purpose: Purpose,
        request: Request<wire::RepoUpdateRequest>,
    ) -> Result<Response<v1alpha1::Repository>, Status> {
        let actor = identity::actor(&request)?;
        let mut repo = payload(request.into_inner().repo)?;
        repo.repo = Some(unescape(repo.repo()));
        permit::require(
            &actor,
            purpose.resource(),
            Action::Update,
            &object(repo.project(), repo.repo()),
        )?;
        let wanted = described(&repo)?;
        let scope = self.shared.store.tenant(actor.tenant.id);
        let existing = purpose
            .of(&scope)
            .find(&wanted.url, &wanted.project)
            .await
            .map_err(failure::store)?;
        let existing = existing
            .ok_or_else(|| Status::not_found(format!("repo '{}' not found", wanted.url)))?;
        permit::require(
            &actor,
            purpose.resource(),
            Action::Update,
            &object(&existing.project, &existing.url),
        )?;
        self.keep(purpose, &actor, &wanted).await?;
        tracing::info!(tenant = %actor.tenant.name, account = actor.account, "changed a repository");
        Ok(Response::new(named(wanted)))
    }

    async fn keep(
        &self,
        purpose: Purpose,
        actor: &Actor,
        wanted: &Repository,
    ) -> Result<(), Status> {
        let scope = self.shared.store.tenant(actor.tenant.id);
        let put = purpose.of(&scope).put(wanted).await;
        put.map_err(failure::store)?;
        state::forget(&self.shared, &actor.tenant, purpose, wanted).await;
        Ok(())
    }

    /// Tries to get into a repository as it is described, with a template's login where it has none; what is kept for
    /// later is not tried.
    async fn attempt(
        &self,
        purpose: Purpose,
        tenant: &Tenant,
        wanted: &Repository,
    ) -> Result<(), Status> {
        let ways = purpose.ways(&self.shared, tenant).await?;
        if ways.kept_only(wanted).is_some() {
            return Ok(());
        }
        sources::test(&self.shared, &ways.access(&wanted.url, Some(wanted))).await?;
        Ok(())
    }

    async fn disconnect(
        &self,
        purpose: Purpose,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<wire::RepoResponse>, Status> {
        let actor = identity::actor(&request)?;
        let found = self.meant(purpose, &actor, &request.into_inner()).await?;
        permit::require(
            &actor,
            purpose.resource(),
            Action::Delete,
            &object(&found.project, &found.url),
        )?;
        let scope = self.shared.store.tenant(actor.tenant.id);
        purpose
            .of(&scope)
            .delete(&found.url, &found.project)
            .await
            .map_err(failure::store)?;
        state::forget(&self.shared, &actor.tenant, purpose, &found).await;
        tracing::info!(tenant = %actor.tenant.name, account = actor.account, "disconnected a repository");
        Ok(Response::new(wire::RepoResponse {}))
    }

    async fn one(
        &self,
        purpose: Purpose,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<v1alpha1::Repository>, Status> {
        let actor = identity::actor(&request)?;
        let query = request.into_inner();
        let found = self.meant(purpose, &actor, &query).await?;
        let ways = purpose.ways(&self.shared, &actor.tenant).await?;
        let visible = [found];
        let refresh = query.force_refresh;
        let states = state::all(
            &self.shared,
            &actor.tenant,
            purpose,
            &ways,
            &visible,
            refresh,
        )
        .await?;
        let [found] = visible;
        let state = states.into_iter().next().unwrap_or_default();
        Ok(Response::new(shown(&ways, &found, state)))
    }

    async fn validate(
        &self,
        purpose: Purpose,
        request: Request<wire::RepoAccessQuery>,
    ) -> Result<Response<wire::RepoResponse>, Status> {
        let actor = identity::actor(&request)?;
        let query = request.into_inner();
        permit::require(
            &actor,
            purpose.resource(),
            Action::Create,
            &object(&query.project, &query.repo),
        )?;
        let azure = [
            query.azure_service_principal_client_id.as_str(),
            query.azure_service_principal_client_secret.as_str(),
            query.azure_service_principal_tenant_id.as_str(),
        ];
        known_login(&azure)?;
        let wanted = convert::repository::from_query(&query);
        sources::without_password(&wanted.url)?;
        known_kind(&wanted.kind)?;
        self.attempt(purpose, &actor.tenant, &wanted).await?;
        Ok(Response::new(wire::RepoResponse {}))
    }
}

fn payload(repo: Option<v1alpha1::Repository>) -> Result<v1alpha1::Repository, Status> {
    repo.ok_or_else(|| Status::invalid_argument("missing payload in request"))
}

/// A repository as a client sees it, and whether a template opens it.
fn shown(
    ways: &Ways,
    repository: &Repository,
    state: v1alpha1::ConnectionState,
) -> v1alpha1::Repository {
    v1alpha1::Repository {
        inherited_creds: Some(ways.inherited(repository)),
        ..convert::repository::to_wire(repository, state)
    }
}

/// What a client is told of a repository that it has written.
fn named(repository: Repository) -> v1alpha1::Repository {
    v1alpha1::Repository {
        repo: Some(repository.url),
        r#type: Some(repository.kind),
        name: Some(repository.name),
        ..v1alpha1::Repository::default()
    }
}

/// A repository that a client describes. What this version does not know of is refused by its name.
fn described(repo: &v1alpha1::Repository) -> Result<Repository, Status> {
    let azure = [
        repo.azure_service_principal_client_id(),
        repo.azure_service_principal_client_secret(),
        repo.azure_service_principal_tenant_id(),
    ];
    known_login(&azure)?;
    let wanted = convert::repository::from_wire(repo);
    sources::without_password(&wanted.url)?;
    known_kind(&wanted.kind)?;
    Ok(wanted)
}

fn known_login(azure: &[&str]) -> Result<(), Status> {
    if azure.iter().all(|text| text.is_empty()) {
        return Ok(());
    }
    let field = "azureServicePrincipalClientId";
    Err(failure::say(
        Code::InvalidArgument,
        &message::api::REPOSITORY_LOGIN.with("field", field),
    ))
}

/// Refuses a type that is none.
pub(in crate::grpc) fn known_kind(kind: &str) -> Result<(), Status> {
    if matches!(kind, "git" | "helm" | "oci") {
        return Ok(());
    }
    Err(failure::say(
        Code::InvalidArgument,
        &message::api::REPOSITORY_KIND.with("kind", kind),
    ))
}

#[tonic::async_trait]
impl RepositoryService for Repositories {
    async fn list(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<v1alpha1::RepositoryList>, Status> {
        self.listed(Purpose::Reading, request).await
    }

    async fn list_repositories(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<v1alpha1::RepositoryList>, Status> {
        self.listed(Purpose::Reading, request).await
    }

    async fn get(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<v1alpha1::Repository>, Status> {
        self.one(Purpose::Reading, request).await
    }

    async fn create(
        &self,
        request: Request<wire::RepoCreateRequest>,
    ) -> Result<Response<v1alpha1::Repository>, Status> {
        self.connect(Purpose::Reading, request).await
    }

    async fn create_repository(
        &self,
        request: Request<wire::RepoCreateRequest>,
    ) -> Result<Response<v1alpha1::Repository>, Status> {
        self.connect(Purpose::Reading, request).await
    }

    async fn delete(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<wire::RepoResponse>, Status> {
        self.disconnect(Purpose::Reading, request).await
    }

    async fn delete_repository(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<wire::RepoResponse>, Status> {
        self.disconnect(Purpose::Reading, request).await
    }

    async fn validate_access(
        &self,
        request: Request<wire::RepoAccessQuery>,
    ) -> Result<Response<wire::RepoResponse>, Status> {
        self.validate(Purpose::Reading, request).await
    }

    async fn update(
        &self,
        request: Request<wire::RepoUpdateRequest>,
    ) -> Result<Response<v1alpha1::Repository>, Status> {
        self.change(Purpose::Reading, request).await
    }

    async fn update_repository(
        &self,
        request: Request<wire::RepoUpdateRequest>,
    ) -> Result<Response<v1alpha1::Repository>, Status> {
        self.change(Purpose::Reading, request).await
    }

    async fn get_write(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<v1alpha1::Repository>, Status> {
        self.one(Purpose::Pushing, request).await
    }

    async fn list_write_repositories(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<v1alpha1::RepositoryList>, Status> {
        self.listed(Purpose::Pushing, request).await
    }

    async fn create_write_repository(
        &self,
        request: Request<wire::RepoCreateRequest>,
    ) -> Result<Response<v1alpha1::Repository>, Status> {
        self.connect(Purpose::Pushing, request).await
    }

    async fn update_write_repository(
        &self,
        request: Request<wire::RepoUpdateRequest>,
    ) -> Result<Response<v1alpha1::Repository>, Status> {
        self.change(Purpose::Pushing, request).await
    }

    async fn delete_write_repository(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<wire::RepoResponse>, Status> {
        self.disconnect(Purpose::Pushing, request).await
    }

    async fn validate_write_access(
        &self,
        request: Request<wire::RepoAccessQuery>,
    ) -> Result<Response<wire::RepoResponse>, Status> {
        self.validate(Purpose::Pushing, request).await
    }

    async fn list_refs(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<wire::Refs>, Status> {
        let actor = identity::actor(&request)?;
        let refs = offers::refs(&self.shared, &actor, &request.into_inner()).await?;
        Ok(Response::new(refs))
    }

    async fn list_apps(
        &self,
        request: Request<wire::RepoAppsQuery>,
    ) -> Result<Response<wire::RepoAppsResponse>, Status> {
        let actor = identity::actor(&request)?;
        let apps = offers::apps(&self.shared, &actor, &request.into_inner()).await?;
        Ok(Response::new(apps))
    }

    async fn get_helm_charts(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<wire::HelmChartsResponse>, Status> {
        let actor = identity::actor(&request)?;
        let charts = offers::charts(&self.shared, &actor, &request.into_inner()).await?;
        Ok(Response::new(charts))
    }

    async fn list_oci_tags(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<wire::Refs>, Status> {
        let actor = identity::actor(&request)?;
        let tags = offers::tags(&self.shared, &actor, &request.into_inner()).await?;
        Ok(Response::new(tags))
    }

    async fn get_app_details(
        &self,
        request: Request<wire::RepoAppDetailsQuery>,
    ) -> Result<Response<wire::RepoAppDetailsResponse>, Status> {
        let actor = identity::actor(&request)?;
        let details = details::of(&self.shared, &actor, request.into_inner()).await?;
        Ok(Response::new(details))
    }
}
