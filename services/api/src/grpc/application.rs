//! Applications: reading and writing them, deploying them, looking at what is live.

mod actions;
mod diff;
mod document;
mod events;
mod find;
mod foresee;
mod get;
mod links;
mod list;
mod live;
mod local;
mod logs;
mod manifests;
mod mask;
mod operate;
mod patch;
mod remove;
mod resource;
mod revisions;
pub(crate) mod terminal;
mod validate;
mod watch;
mod windows;
mod write;

pub(in crate::grpc) use foresee::foresee;
pub(in crate::grpc) use validate::source_documents;

use std::sync::Arc;

use proto::argocd::application as wire;
use proto::argocd::application::application_service_server::ApplicationService;
use proto::argocd::events::EventList;
use proto::argocd::repository::ManifestResponse;
use proto::v1alpha1;
use tonic::{Request, Response, Status, Streaming};

use crate::grpc::Parts;
use crate::identity;
use crate::shared::Shared;

/// The service: each verb has its own file.
pub(crate) struct Applications {
    shared: Arc<Shared>,
}

impl Applications {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }
}

/// Who asks, and what.
macro_rules! answer {
    ($self:ident, $request:ident, $verb:path) => {{
        let actor = identity::actor(&$request)?;
        $verb(&$self.shared, &actor, $request.into_inner())
            .await
            .map(Response::new)
    }};
}

#[tonic::async_trait]
impl ApplicationService for Applications {
    async fn list(
        &self,
        request: Request<wire::ApplicationQuery>,
    ) -> Result<Response<v1alpha1::ApplicationList>, Status> {
        answer!(self, request, list::list)
    }

    type WatchStream = Parts<v1alpha1::ApplicationWatchEvent>;

    async fn watch(
        &self,
        request: Request<wire::ApplicationQuery>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        answer!(self, request, watch::watch)
    }

    async fn create(
        &self,
        request: Request<wire::ApplicationCreateRequest>,
    ) -> Result<Response<v1alpha1::Application>, Status> {
        answer!(self, request, write::create)
    }

    async fn get(
        &self,
        request: Request<wire::ApplicationQuery>,
    ) -> Result<Response<v1alpha1::Application>, Status> {
        answer!(self, request, get::get)
    }

    async fn update(
        &self,
        request: Request<wire::ApplicationUpdateRequest>,
    ) -> Result<Response<v1alpha1::Application>, Status> {
        answer!(self, request, write::update)
    }

    async fn update_spec(
        &self,
        request: Request<wire::ApplicationUpdateSpecRequest>,
    ) -> Result<Response<v1alpha1::ApplicationSpec>, Status> {
        answer!(self, request, write::update_spec)
    }

    async fn patch(
        &self,
        request: Request<wire::ApplicationPatchRequest>,
    ) -> Result<Response<v1alpha1::Application>, Status> {
        answer!(self, request, write::patch)
    }

    async fn delete(
        &self,
        request: Request<wire::ApplicationDeleteRequest>,
    ) -> Result<Response<wire::ApplicationResponse>, Status> {
        answer!(self, request, remove::delete)
    }

    async fn sync(
        &self,
        request: Request<wire::ApplicationSyncRequest>,
    ) -> Result<Response<v1alpha1::Application>, Status> {
        answer!(self, request, operate::sync)
    }

    async fn rollback(
        &self,
        request: Request<wire::ApplicationRollbackRequest>,
    ) -> Result<Response<v1alpha1::Application>, Status> {
        answer!(self, request, operate::rollback)
    }

    async fn terminate_operation(
        &self,
        request: Request<wire::OperationTerminateRequest>,
    ) -> Result<Response<wire::OperationTerminateResponse>, Status> {
        answer!(self, request, operate::terminate)
    }

    async fn managed_resources(
        &self,
        request: Request<wire::ResourcesQuery>,
    ) -> Result<Response<wire::ManagedResourcesResponse>, Status> {
        answer!(self, request, live::managed_resources)
    }

    async fn server_side_diff(
        &self,
        request: Request<wire::ApplicationServerSideDiffQuery>,
    ) -> Result<Response<wire::ApplicationServerSideDiffResponse>, Status> {
        answer!(self, request, diff::server_side)
    }

    async fn resource_tree(
        &self,
        request: Request<wire::ResourcesQuery>,
    ) -> Result<Response<v1alpha1::ApplicationTree>, Status> {
        answer!(self, request, live::resource_tree)
    }

    type WatchResourceTreeStream = Parts<v1alpha1::ApplicationTree>;

    async fn watch_resource_tree(
        &self,
        request: Request<wire::ResourcesQuery>,
    ) -> Result<Response<Self::WatchResourceTreeStream>, Status> {
        answer!(self, request, live::watch_resource_tree)
    }

    async fn get_resource(
        &self,
        request: Request<wire::ApplicationResourceRequest>,
    ) -> Result<Response<wire::ApplicationResourceResponse>, Status> {
        answer!(self, request, resource::get)
    }

    async fn list_resource_actions(
        &self,
        request: Request<wire::ApplicationResourceRequest>,
    ) -> Result<Response<wire::ResourceActionsListResponse>, Status> {
        answer!(self, request, actions::list)
    }

    async fn run_resource_action(
        &self,
        request: Request<wire::ResourceActionRunRequest>,
    ) -> Result<Response<wire::ApplicationResponse>, Status> {
        answer!(self, request, actions::run)
    }

    async fn run_resource_action_v2(
        &self,
        request: Request<wire::ResourceActionRunRequestV2>,
    ) -> Result<Response<wire::ApplicationResponse>, Status> {
        answer!(self, request, actions::run_with)
    }

    async fn list_links(
        &self,
        request: Request<wire::ListAppLinksRequest>,
    ) -> Result<Response<wire::LinksResponse>, Status> {
        answer!(self, request, links::of_application)
    }

    async fn list_resource_links(
        &self,
        request: Request<wire::ApplicationResourceRequest>,
    ) -> Result<Response<wire::LinksResponse>, Status> {
        answer!(self, request, links::of_object)
    }

    async fn list_resource_events(
        &self,
        request: Request<wire::ApplicationResourceEventsQuery>,
    ) -> Result<Response<EventList>, Status> {
        answer!(self, request, events::list)
    }

    async fn patch_resource(
        &self,
        request: Request<wire::ApplicationResourcePatchRequest>,
    ) -> Result<Response<wire::ApplicationResourceResponse>, Status> {
        answer!(self, request, resource::patch)
    }

    async fn delete_resource(
        &self,
        request: Request<wire::ApplicationResourceDeleteRequest>,
    ) -> Result<Response<wire::ApplicationResponse>, Status> {
        answer!(self, request, resource::delete)
    }

    async fn get_manifests(
        &self,
        request: Request<wire::ApplicationManifestQuery>,
    ) -> Result<Response<ManifestResponse>, Status> {
        answer!(self, request, manifests::get_manifests)
    }

    async fn get_manifests_with_files(
        &self,
        request: Request<Streaming<wire::ApplicationManifestQueryWithFilesWrapper>>,
    ) -> Result<Response<ManifestResponse>, Status> {
        answer!(self, request, local::get_manifests)
    }

    async fn get_application_sync_windows(
        &self,
        request: Request<wire::ApplicationSyncWindowsQuery>,
    ) -> Result<Response<wire::ApplicationSyncWindowsResponse>, Status> {
        answer!(self, request, windows::sync_windows)
    }

    async fn revision_metadata(
        &self,
        request: Request<wire::RevisionMetadataQuery>,
    ) -> Result<Response<v1alpha1::RevisionMetadata>, Status> {
        answer!(self, request, revisions::metadata)
    }

    async fn revision_chart_details(
        &self,
        request: Request<wire::RevisionMetadataQuery>,
    ) -> Result<Response<v1alpha1::ChartDetails>, Status> {
        answer!(self, request, revisions::chart_details)
    }

    async fn get_oci_metadata(
        &self,
        request: Request<wire::RevisionMetadataQuery>,
    ) -> Result<Response<v1alpha1::OciMetadata>, Status> {
        answer!(self, request, revisions::artifact_notes)
    }

    type PodLogsStream = Parts<wire::LogEntry>;

    async fn pod_logs(
        &self,
        request: Request<wire::ApplicationPodLogsQuery>,
    ) -> Result<Response<Self::PodLogsStream>, Status> {
        answer!(self, request, logs::pod_logs)
    }
}
