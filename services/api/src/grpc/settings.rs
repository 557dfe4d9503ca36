//! What clients need to know of an installation, which here is a tenant.

use std::sync::Arc;

use domain::application::CONTROL_PLANE_NAMESPACE;
use proto::argocd::cluster as wire;
use proto::argocd::cluster::settings_service_server::SettingsService;
use proto::v1alpha1;
use tonic::{Request, Response, Status};

use crate::failure;
use crate::front::host::Site;
use crate::identity;
use crate::shared::Shared;

/// The service.
pub(crate) struct Settings;

impl Settings {
    /// Serves.
    pub(crate) fn new(_: &Arc<Shared>) -> Self {
        Self
    }
}

#[tonic::async_trait]
impl SettingsService for Settings {
    async fn get(
        &self,
        request: Request<wire::SettingsQuery>,
    ) -> Result<Response<wire::Settings>, Status> {
        let actor = identity::actor(&request).ok();
        let site = request
            .extensions()
            .get::<Site>()
            .ok_or_else(failure::internal)?;
        let tenant = actor.as_ref().map_or(&site.tenant, |actor| &actor.tenant);
        let mut settings = wire::Settings {
            app_label_key: "app.kubernetes.io/instance".to_owned(),
            // What a comparison leaves out everywhere; the command's own diff reads it from here.
            resource_overrides: [("*/*".to_owned(), without_status())].into(),
            google_analytics: Some(wire::GoogleAnalyticsConfig {
                anonymize_users: true,
                ..Default::default()
            }),
            kustomize_options: Some(v1alpha1::KustomizeOptions::default()),
            help: Some(wire::Help::default()),
            tracking_method: "annotation".to_owned(),
            installation_id: tenant.name.to_string(),
            ..wire::Settings::default()
        };
        if actor.is_some() {
            settings.controller_namespace = CONTROL_PLANE_NAMESPACE.to_owned();
            settings.password_pattern = "^.{8,32}$".to_owned();
        }
        Ok(Response::new(settings))
    }

    /// There are no plugins.
    async fn get_plugins(
        &self,
        request: Request<wire::SettingsQuery>,
    ) -> Result<Response<wire::SettingsPluginsResponse>, Status> {
        identity::actor(&request)?;
        Ok(Response::new(wire::SettingsPluginsResponse::default()))
    }
}

fn without_status() -> v1alpha1::ResourceOverride {
    let status = v1alpha1::OverrideIgnoreDiff {
        j_son_pointers: vec!["/status".to_owned()],
        ..Default::default()
    };
    v1alpha1::ResourceOverride {
        ignore_differences: Some(status),
        ..Default::default()
    }
}
