//! Notifications: they come with their own work.

use proto::argocd::notification as wire;
use proto::argocd::notification::notification_service_server::NotificationService;

use crate::grpc::not_served;

/// The service.
pub(crate) struct Notifications;

#[tonic::async_trait]
impl NotificationService for Notifications {
    not_served! {
        "NotificationService";
        list_triggers(wire::TriggersListRequest) -> wire::TriggerList,
        list_services(wire::ServicesListRequest) -> wire::ServiceList,
        list_templates(wire::TemplatesListRequest) -> wire::TemplateList,
    }
}
