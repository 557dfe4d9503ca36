//! What is live, for the api: trees, states, bodies, logs, terminals, and changes of single objects. Only the holder of the lease of
//! the cluster that it is about answers.
//!
//! Every request names a tenant; what leaves is that tenant's, and every body is read and written as the tenant's account, or as
//! the one that the application's project names instead.

use std::pin::Pin;
use std::sync::Arc;

use domain::message::Message;
use domain::tenant::TenantId;
use futures::Stream;
use proto::argocd::application::{
    ApplicationServerSideDiffResponse, LogEntry, ManagedResourcesResponse,
    ResourceActionsListResponse,
};
use proto::argocd::events::EventList;
use proto::naru::internal::v1 as wire;
use proto::naru::internal::v1::controller_server::{Controller, ControllerServer};
use proto::naru::v1::SyncPlan;
use proto::v1alpha1::ApplicationTree;
use runtime::Lifecycle;
use runtime::config::MutualTls;
use runtime::mtls::{self, MutualTlsError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status, Streaming};

use added::AddedClusters;
use exec::Terminals;
use plan::Plans;

use crate::context::Context;
use crate::driver::queue::AppKey;
use crate::shard::Term;

mod actions;
mod added;
mod diff;
mod events;
mod exec;
mod info;
mod log_filter;
mod log_merge;
mod logs;
mod managed;
mod owner;
mod plan;
mod remove;
mod resource;
mod scene;
mod tree;

/// The largest message, both ways.
const MAX_MESSAGE: usize = 200 << 20;

/// Serves until the stop, to the api alone.
///
/// # Errors
/// When the identity cannot be used.
pub fn serve(
    life: &Lifecycle,
    listener: TcpListener,
    identity: &MutualTls,
    context: Arc<Context>,
) -> Result<(), MutualTlsError> {
    let service = Live {
        added: AddedClusters::new(context.clone()),
        terminals: Terminals::new(),
        plans: Plans::new(),
        context,
        life: life.clone(),
    };
    let server = ControllerServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    mtls::serve(
        life,
        listener,
        identity,
        Routes::new(server),
        proto::internal::callers,
    )
}

struct Live {
    context: Arc<Context>,
    added: AddedClusters,
    terminals: Terminals,
    plans: Plans,
    life: Lifecycle,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Live {
    /// The application that a request is about, and what is needed where it goes.
    async fn app(&self, tenant: &str, app: &str) -> Result<(Arc<Context>, AppKey), Status> {
        let app = AppKey::new(tenant_id(tenant)?, app);
        let place = scene::place(&self.context, &app).await?;
        // It may have been lost while the cluster was listed.
        held(&place)?;
        Ok((place, app))
    }

    /// The application whose object a request is about, and what is needed where it goes.
    async fn app_of(
        &self,
        object: Option<&wire::ResourceRequest>,
    ) -> Result<(Arc<Context>, AppKey), Status> {
        let named =
            object.ok_or_else(|| Status::invalid_argument("the request names no object"))?;
        self.app(&named.tenant, &named.app).await
    }

    /// How long a stream from a cluster may last.
    fn lasts(&self, place: &Context) -> Result<While, Status> {
        Ok(While {
            stop: self.life.token(),
            closed: place.closed.clone(),
            term: held(place)?,
        })
    }
}

/// The term in which a cluster is ours.
fn held(place: &Context) -> Result<Arc<Term>, Status> {
    place
        .term()
        .ok_or_else(|| Status::unavailable("this controller does not hold the cluster's lease"))
}

/// How long a stream from a cluster may last: until the process stops, and while the cluster is its.
struct While {
    stop: CancellationToken,
    closed: CancellationToken,
    term: Arc<Term>,
}

impl While {
    /// Ends when it may last no longer.
    async fn ended(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.closed.cancelled() => {}
            () = self.term.lost.cancelled() => {}
        }
    }
}

fn tenant_id(text: &str) -> Result<TenantId, Status> {
    text.parse()
        .map(TenantId)
        .map_err(|_| Status::invalid_argument("the tenant is no id"))
}

#[tonic::async_trait]
impl Controller for Live {
    async fn resource_tree(
        &self,
        request: Request<wire::AppRequest>,
    ) -> Result<Response<ApplicationTree>, Status> {
        let wire::AppRequest { tenant, app } = request.into_inner();
        let (place, app) = self.app(&tenant, &app).await?;
        tree::tree(&place, &app).await.map(Response::new)
    }

    type WatchResourceTreeStream = Answers<wire::TreeUpdate>;

    async fn watch_resource_tree(
        &self,
        request: Request<wire::AppRequest>,
    ) -> Result<Response<Self::WatchResourceTreeStream>, Status> {
        let wire::AppRequest { tenant, app } = request.into_inner();
        let (place, app) = self.app(&tenant, &app).await?;
        let shared = self.context.clone();
        let trees = tree::watch(shared, place, app, self.life.token());
        Ok(Response::new(Box::pin(trees)))
    }

    async fn managed_resources(
        &self,
        request: Request<wire::AppRequest>,
    ) -> Result<Response<ManagedResourcesResponse>, Status> {
        let wire::AppRequest { tenant, app } = request.into_inner();
        let (place, app) = self.app(&tenant, &app).await?;
        managed::managed_resources(&place, &app)
            .await
            .map(Response::new)
    }

    async fn server_side_diff(
        &self,
        request: Request<wire::ServerSideDiffRequest>,
    ) -> Result<Response<ApplicationServerSideDiffResponse>, Status> {
        let wire::ServerSideDiffRequest { tenant, query } = request.into_inner();
        let query = query.ok_or_else(|| Status::invalid_argument("the query is missing"))?;
        let (place, app) = self.app(&tenant, &query.app_name).await?;
        diff::server_side_diff(&place, &app, query)
            .await
            .map(Response::new)
    }

    async fn plan(
        &self,
        request: Request<wire::PlanRequest>,
    ) -> Result<Response<SyncPlan>, Status> {
        let request = request.into_inner();
        let (place, app) = self.app(&request.tenant, &request.app).await?;
        let turn = self.plans.enter(app.tenant)?;
        plan::plan(&place, &app, request, turn)
            .await
            .map(Response::new)
    }

    async fn get_resource(
        &self,
        request: Request<wire::ResourceRequest>,
    ) -> Result<Response<wire::ResourceBody>, Status> {
        let request = request.into_inner();
        let (place, app) = self.app(&request.tenant, &request.app).await?;
        resource::get_resource(&place, &app, request)
            .await
            .map(Response::new)
    }

    async fn patch_resource(
        &self,
        request: Request<wire::PatchResourceRequest>,
    ) -> Result<Response<wire::ResourceBody>, Status> {
        let request = request.into_inner();
        let (place, app) = self.app_of(request.resource.as_ref()).await?;
        resource::patch_resource(&place, &app, request)
            .await
            .map(Response::new)
    }

    async fn delete_resource(
        &self,
        request: Request<wire::DeleteResourceRequest>,
    ) -> Result<Response<wire::DeleteResourceResponse>, Status> {
        let request = request.into_inner();
        let (place, app) = self.app_of(request.resource.as_ref()).await?;
        resource::delete_resource(&place, &app, request)
            .await
            .map(Response::new)
    }

    async fn resource_actions(
        &self,
        request: Request<wire::ResourceRequest>,
    ) -> Result<Response<ResourceActionsListResponse>, Status> {
        let request = request.into_inner();
        let (place, app) = self.app(&request.tenant, &request.app).await?;
        actions::list(&place, &app, request)
            .await
            .map(Response::new)
    }

    async fn run_action(
        &self,
        request: Request<wire::RunActionRequest>,
    ) -> Result<Response<wire::RunActionResponse>, Status> {
        let request = request.into_inner();
        let (place, app) = self.app_of(request.resource.as_ref()).await?;
        actions::run(&place, &app, request).await.map(Response::new)
    }

    async fn resource_events(
        &self,
        request: Request<wire::ResourceEventsRequest>,
    ) -> Result<Response<EventList>, Status> {
        let request = request.into_inner();
        let (place, app) = self.app(&request.tenant, &request.app).await?;
        events::resource_events(&place, &app, request)
            .await
            .map(Response::new)
    }

    type PodLogsStream = Answers<LogEntry>;

    async fn pod_logs(
        &self,
        request: Request<wire::PodLogsRequest>,
    ) -> Result<Response<Self::PodLogsStream>, Status> {
        let wire::PodLogsRequest { tenant, query } = request.into_inner();
        let query = query.ok_or_else(|| Status::invalid_argument("the query is missing"))?;
        let (place, app) = self.app(&tenant, &query.name).await?;
        let lines = logs::pod_logs(&place, &app, query, self.lasts(&place)?).await?;
        Ok(Response::new(Box::pin(lines)))
    }

    type ExecStream = Answers<wire::ExecOutput>;

    async fn exec(
        &self,
        request: Request<Streaming<wire::ExecRequest>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        let mut typed = request.into_inner();
        let first = typed.message().await?;
        let start = first
            .and_then(|first| first.start)
            .ok_or_else(|| Status::invalid_argument("the request names no container"))?;
        let (place, app) = self.app(&start.tenant, &start.app).await?;
        let open = exec::Open {
            lasts: self.lasts(&place)?,
            _place: self.terminals.enter(app.tenant)?,
        };
        let said = exec::exec(&place, &app, start, typed, open).await?;
        Ok(Response::new(Box::pin(said)))
    }

    async fn cluster_info(
        &self,
        request: Request<wire::ClusterInfoRequest>,
    ) -> Result<Response<wire::ClusterInfoResponse>, Status> {
        held(&self.context)?;
        let tenant = tenant_id(&request.into_inner().tenant)?;
        info::cluster_info(&self.context, tenant)
            .await
            .map(Response::new)
    }

    async fn remove_namespaces(
        &self,
        request: Request<wire::RemoveNamespacesRequest>,
    ) -> Result<Response<wire::RemoveNamespacesResponse>, Status> {
        held(&self.context)?;
        let asked = request.into_inner();
        let left = remove::namespaces(&self.context, asked).await?;
        Ok(Response::new(wire::RemoveNamespacesResponse { left }))
    }

    async fn added_cluster(
        &self,
        request: Request<wire::AddedClusterRequest>,
    ) -> Result<Response<wire::AddedClusterResponse>, Status> {
        self.added
            .state(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn try_cluster(
        &self,
        request: Request<wire::TryClusterRequest>,
    ) -> Result<Response<wire::TryClusterResponse>, Status> {
        self.added
            .attempt(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn rotate_cluster(
        &self,
        request: Request<wire::RotateClusterRequest>,
    ) -> Result<Response<wire::RotateClusterResponse>, Status> {
        self.added
            .rotate(request.into_inner())
            .await
            .map(Response::new)
    }
}

/// What the database's silence means to a caller.
fn database(error: &store::Error) -> Status {
    tracing::warn!(error = error as &dyn std::error::Error, "a read failed");
    Status::unavailable("the database does not answer")
}

/// What the cluster's no means to a caller: Kubernetes' codes as Argo CD maps them. Ours, where nobody may ask it.
fn refused(error: &cluster::Error) -> Status {
    if let cluster::Error::NobodyMay(cause) = error {
        return say(Code::FailedPrecondition, &cause.message);
    }
    let code = match (error, error.code()) {
        (cluster::Error::Unreachable { .. } | cluster::Error::NotHolder, _) => Code::Unavailable,
        (cluster::Error::TimedOut { .. }, _) => Code::DeadlineExceeded,
        (_, Some(404)) => Code::NotFound,
        (_, Some(403)) => Code::PermissionDenied,
        (_, Some(409)) => Code::Aborted,
        (_, Some(400)) => Code::FailedPrecondition,
        (_, Some(415 | 422)) => Code::InvalidArgument,
        (_, Some(429)) => Code::ResourceExhausted,
        (_, Some(503)) => Code::Unavailable,
        _ => Code::Unknown,
    };
    let words = error
        .refusal()
        .map_or_else(|| error.to_string(), |refusal| refusal.message.clone());
    Status::new(code, words)
}

/// A message as a caller gets it: in English, and in the details as JSON, so that the api tells it in its reader's language.
fn say(code: Code, message: &Message) -> Status {
    let details = serde_json::to_vec(message).unwrap_or_default();
    Status::with_details(code, message.to_string(), details.into())
}
