//! What clients need to know of an installation, which here is a tenant.

use std::sync::Arc;

use domain::application::CONTROL_PLANE_NAMESPACE;
use domain::settings::{Config, IgnoreDifferences, ResourceOverride};
use proto::argocd::cluster as wire;
use proto::argocd::cluster::settings_service_server::SettingsService;
use proto::v1alpha1;
use tonic::{Request, Response, Status};

use crate::failure;
use crate::front::host::Site;
use crate::identity;
use crate::permit::Means;
use crate::shared::Shared;

/// The service.
pub(crate) struct Settings {
    shared: Arc<Shared>,
}

impl Settings {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
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
        let config = self
            .shared
            .configs
            .of(tenant.id)
            .await
            .map_err(failure::store)?;
        let known = actor
            .as_ref()
            .is_some_and(|actor| actor.means != Means::Anonymous);
        let mut settings = shown(&config, known);
        // Whatever the settings say, this is what marks an object as the tenant's.
        settings.installation_id = tenant.name.to_string();
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

/// What everybody may know, and what only those who are `known`.
fn shown(config: &Config, known: bool) -> wire::Settings {
    let (analytics, help) = (config.analytics(), config.help());
    let (badge, badge_url) = config.status_badge();
    let kustomize = config.kustomize();
    let marking = config.marking();
    let mut settings = wire::Settings {
        url: config.url().unwrap_or_default().to_owned(),
        additional_urls: config.additional_urls(),
        app_label_key: marking.label,
        // What a comparison leaves out; the command's own diff reads it from here.
        resource_overrides: config
            .resource_overrides()
            .into_iter()
            .map(|(kind, customised)| (kind, overrides(customised)))
            .collect(),
        status_badge_enabled: badge,
        status_badge_root_url: badge_url.to_owned(),
        google_analytics: Some(wire::GoogleAnalyticsConfig {
            tracking_id: analytics.tracking_id,
            anonymize_users: analytics.anonymize_users,
        }),
        kustomize_options: Some(v1alpha1::KustomizeOptions {
            build_options: some(kustomize.build_options),
            ..Default::default()
        }),
        kustomize_versions: kustomize.versions,
        help: Some(wire::Help {
            chat_url: help.chat_url,
            chat_text: help.chat_text,
            binary_urls: help.binary_urls,
        }),
        user_logins_disabled: config.logins_disabled(),
        ui_css_url: config.css_url().to_owned(),
        ui_login_button_text: config.login_button_text().to_owned(),
        tracking_method: marking.method.as_str().to_owned(),
        exec_enabled: config.exec_enabled(),
        impersonation_enabled: config.sync_impersonates(),
        dex_config: config.dex_connectors().map(|connectors| wire::DexConfig {
            connectors: connectors
                .into_iter()
                .map(|connector| wire::Connector {
                    name: connector.name,
                    r#type: connector.kind,
                    id: connector.id,
                })
                .collect(),
            ..Default::default()
        }),
        oidc_config: config.oidc().map(|oidc| wire::OidcConfig {
            name: oidc.name,
            issuer: oidc.issuer,
            client_id: oidc.client_id,
            cli_client_id: oidc.cli_client_id,
            scopes: oidc.scopes,
            enable_pkce_authentication: oidc.enable_pkce,
            ..Default::default()
        }),
        ..wire::Settings::default()
    };
    if known {
        let banner = config.banner();
        settings.ui_banner_content = banner.content;
        settings.ui_banner_url = banner.url;
        settings.ui_banner_permanent = banner.permanent;
        settings.ui_banner_position = banner.position;
        settings.controller_namespace = CONTROL_PLANE_NAMESPACE.to_owned();
        settings.password_pattern = config.password_pattern().to_owned();
    }
    settings
}

fn overrides(customised: ResourceOverride) -> v1alpha1::ResourceOverride {
    v1alpha1::ResourceOverride {
        health_lua: some(customised.health_lua),
        use_open_libs: customised.use_open_libs.then_some(true),
        actions: some(customised.actions),
        ignore_differences: ignored(customised.ignore_differences),
        ignore_resource_updates: ignored(customised.ignore_resource_updates),
        known_type_fields: customised
            .known_type_fields
            .into_iter()
            .map(|field| v1alpha1::KnownTypeField {
                field: Some(field.field),
                r#type: Some(field.kind),
            })
            .collect(),
    }
}

fn ignored(what: IgnoreDifferences) -> Option<v1alpha1::OverrideIgnoreDiff> {
    (what != IgnoreDifferences::default()).then_some(v1alpha1::OverrideIgnoreDiff {
        j_son_pointers: what.json_pointers,
        jq_path_expressions: what.jq_path_expressions,
        managed_fields_managers: what.managed_fields_managers,
    })
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use domain::settings::{Object, Raw};

    use super::*;

    #[test]
    fn what_is_set_is_shown_and_a_stranger_sees_less() {
        let mut raw = Raw::default();
        for (key, value) in [
            ("url", "https://a.example"),
            ("ui.bannercontent", "hello"),
            ("exec.enabled", "true"),
            ("admin.enabled", "false"),
            ("resource.customizations.health.apps_Deployment", "return 1"),
        ] {
            raw.set(&Object::Cm, key, value);
        }
        let config = Config::from_raw(raw);
        let (known, stranger) = (shown(&config, true), shown(&config, false));
        assert_eq!(known.url, "https://a.example");
        assert!(known.exec_enabled && known.user_logins_disabled);
        assert_eq!(known.ui_banner_content, "hello");
        assert_eq!(stranger.ui_banner_content, "");
        assert_eq!(stranger.password_pattern, "");
        let deployment = &known.resource_overrides["apps/Deployment"];
        assert_eq!(deployment.health_lua.as_deref(), Some("return 1"));
        assert!(known.resource_overrides.contains_key("*/*"));
    }
}
