//! Projects: what applications may be made of, and who may do what with them.

mod read;
mod tokens;
mod write;

use std::sync::Arc;

use proto::argocd::application::LinksResponse;
use proto::argocd::events::EventList;
use proto::argocd::project as wire;
use proto::argocd::project::project_service_server::ProjectService;
use proto::v1alpha1;
use tonic::{Request, Response, Status};

use crate::identity;
use crate::shared::Shared;

/// The service: reading, writing and tokens have their own files.
pub(crate) struct Projects {
    shared: Arc<Shared>,
}

impl Projects {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }
}

/// What somebody hears who may know that it is not there.
pub(in crate::grpc) fn not_found(name: &str) -> Status {
    Status::not_found(format!("appprojects.argoproj.io \"{name}\" not found"))
}

/// The methods, each answered by its function.
macro_rules! serve {
    ($($method:ident($request:ty) -> $response:ty = $verb:path;)+) => {
        #[tonic::async_trait]
        impl ProjectService for Projects {$(
            async fn $method(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                let actor = identity::actor(&request)?;
                $verb(&self.shared, &actor, request.into_inner()).await.map(Response::new)
            }
        )+}
    };
}

serve! {
    list(wire::ProjectQuery) -> v1alpha1::AppProjectList = read::list;
    get(wire::ProjectQuery) -> v1alpha1::AppProject = read::get;
    get_detailed_project(wire::ProjectQuery) -> wire::DetailedProjectsResponse = read::detailed;
    get_global_projects(wire::ProjectQuery) -> wire::GlobalProjectsResponse = read::global_projects;
    list_events(wire::ProjectQuery) -> EventList = read::events;
    get_sync_windows_state(wire::SyncWindowsQuery) -> wire::SyncWindowsResponse = read::open_windows;
    list_links(wire::ListProjectLinksRequest) -> LinksResponse = read::links;
    create(wire::ProjectCreateRequest) -> v1alpha1::AppProject = write::create;
    update(wire::ProjectUpdateRequest) -> v1alpha1::AppProject = write::update;
    delete(wire::ProjectQuery) -> wire::EmptyResponse = write::delete;
    create_token(wire::ProjectTokenCreateRequest) -> wire::ProjectTokenResponse = tokens::create;
    delete_token(wire::ProjectTokenDeleteRequest) -> wire::EmptyResponse = tokens::delete;
}
