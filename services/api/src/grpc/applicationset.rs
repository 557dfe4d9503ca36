//! Sets of applications: they come with their own work.

use proto::argocd::applicationset as wire;
use proto::argocd::applicationset::application_set_service_server::ApplicationSetService;
use proto::argocd::events::EventList;
use proto::v1alpha1;

use crate::grpc::{Parts, not_served};

/// The service.
pub(crate) struct ApplicationSets;

#[tonic::async_trait]
impl ApplicationSetService for ApplicationSets {
    type WatchStream = Parts<v1alpha1::ApplicationSetWatchEvent>;

    not_served! {
        "ApplicationSetService";
        get(wire::ApplicationSetGetQuery) -> v1alpha1::ApplicationSet,
        generate(wire::ApplicationSetGenerateRequest) -> wire::ApplicationSetGenerateResponse,
        list(wire::ApplicationSetListQuery) -> v1alpha1::ApplicationSetList,
        create(wire::ApplicationSetCreateRequest) -> v1alpha1::ApplicationSet,
        delete(wire::ApplicationSetDeleteRequest) -> wire::ApplicationSetResponse,
        resource_tree(wire::ApplicationSetTreeQuery) -> v1alpha1::ApplicationSetTree,
        list_resource_events(wire::ApplicationSetGetQuery) -> EventList,
        watch(wire::ApplicationSetWatchQuery) -> Self::WatchStream,
    }
}
