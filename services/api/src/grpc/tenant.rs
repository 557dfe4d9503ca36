//! Tenants, for the operator: everybody else learns nothing, not even that the service is there.

use std::sync::Arc;

use domain::message::{self, Language};
use domain::secret::Secret;
use domain::tenant::{
    Tenant, TenantId, TenantName, TenantSettings, TenantState, is_variable_value,
};
use proto::naru::v1 as wire;
use proto::naru::v1::tenant_service_server::TenantService;
use store::{NewTenant, WebhookProvider};
use tonic::{Code, Request, Response, Status};

use crate::failure::{self, say};
use crate::grpc::Parts;
use crate::identity::{self, password};
use crate::permit;
use crate::shared::Shared;

mod ending;
mod standing;

/// The service.
pub(crate) struct Tenants {
    shared: Arc<Shared>,
}

impl Tenants {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }
}

#[tonic::async_trait]
impl TenantService for Tenants {
    async fn create(
        &self,
        request: Request<wire::CreateTenantRequest>,
    ) -> Result<Response<wire::CreateTenantResponse>, Status> {
        permit::require_operator(&identity::actor(&request)?)?;
        let asked = request.into_inner();
        let name: TenantName = asked
            .name
            .parse()
            .map_err(|problem| say(Code::InvalidArgument, &problem))?;
        let mut hosts = asked
            .hosts
            .iter()
            .map(|host| valid_host(host))
            .collect::<Result<Vec<_>, _>>()?;
        let templates = self.shared.tenant_host_templates.iter();
        hosts.extend(templates.map(|host| host.replace("{tenant}", name.as_str())));
        if hosts.is_empty() {
            return Err(say(
                Code::InvalidArgument,
                &message::api::HOST_MISSING.message(),
            ));
        }
        let mut settings = settings(asked.settings.unwrap_or_default())?;
        let given = !asked.admin_password.is_empty();
        let first = if given {
            Secret::from(asked.admin_password)
        } else {
            password::random()
        };
        if given && !(8..=72).contains(&first.expose().len()) {
            return Err(say(
                Code::InvalidArgument,
                &message::api::PASSWORD_LENGTH.message(),
            ));
        }
        // Whoever gave a password knows whom they gave it to; a random one is for the first login alone.
        settings.must_change_password |= !given;
        let id = TenantId(self.shared.ids.id());
        let admin_password_hash = password::hash(id, first.clone())
            .await
            .map_err(identity::login::busy)?;
        let new = NewTenant {
            id,
            name,
            hosts,
            settings,
            admin_password_hash,
            project_uid: self.shared.ids.id(),
            webhook_secrets: Default::default(),
        };
        let tenant = self
            .shared
            .store
            .platform()
            .create_tenant(new)
            .await
            .map_err(failure::store)?;
        let scope = self.shared.store.tenant(tenant.id);
        let mut webhook_secrets = std::collections::BTreeMap::new();
        // Bitbucket's is an id that Bitbucket gives, and so is of no use to anybody before.
        let told = WebhookProvider::ALL
            .into_iter()
            .filter(|provider| *provider != WebhookProvider::Bitbucket);
        for provider in told {
            let secret = scope
                .webhook_secret(provider)
                .await
                .map_err(failure::store)?;
            webhook_secrets.insert(provider.as_str().to_owned(), secret.expose_str().to_owned());
        }
        tracing::info!(tenant = %tenant.name, "a tenant was made");
        let tenant = self.shared.tenant_named(tenant.name.as_str()).await?;
        Ok(Response::new(wire::CreateTenantResponse {
            tenant: Some(shown(tenant)),
            admin_password: first.expose_str().to_owned(),
            webhook_secrets: webhook_secrets.into_iter().collect(),
        }))
    }

    async fn get(
        &self,
        request: Request<wire::GetTenantRequest>,
    ) -> Result<Response<wire::Tenant>, Status> {
        permit::require_operator(&identity::actor(&request)?)?;
        let tenant = self.shared.tenant_named(&request.into_inner().name).await?;
        Ok(Response::new(shown(tenant)))
    }

    async fn update(
        &self,
        request: Request<wire::UpdateTenantRequest>,
    ) -> Result<Response<wire::Tenant>, Status> {
        permit::require_operator(&identity::actor(&request)?)?;
        self.change(request.into_inner()).await.map(Response::new)
    }

    async fn map_namespace(
        &self,
        request: Request<wire::NamespaceRequest>,
    ) -> Result<Response<wire::Tenant>, Status> {
        permit::require_operator(&identity::actor(&request)?)?;
        self.map(request.into_inner()).await.map(Response::new)
    }

    async fn release_namespace(
        &self,
        request: Request<wire::NamespaceRequest>,
    ) -> Result<Response<wire::Tenant>, Status> {
        permit::require_operator(&identity::actor(&request)?)?;
        self.release(request.into_inner()).await.map(Response::new)
    }

    async fn set_quotas(
        &self,
        request: Request<wire::SetQuotasRequest>,
    ) -> Result<Response<wire::Tenant>, Status> {
        permit::require_operator(&identity::actor(&request)?)?;
        self.allow(request.into_inner()).await.map(Response::new)
    }

    async fn suspend(
        &self,
        request: Request<wire::GetTenantRequest>,
    ) -> Result<Response<wire::Tenant>, Status> {
        permit::require_operator(&identity::actor(&request)?)?;
        let name = request.into_inner().name;
        let suspended = self.stand(&name, TenantState::Suspended).await?;
        Ok(Response::new(suspended))
    }

    async fn resume(
        &self,
        request: Request<wire::GetTenantRequest>,
    ) -> Result<Response<wire::Tenant>, Status> {
        permit::require_operator(&identity::actor(&request)?)?;
        let name = request.into_inner().name;
        let active = self.stand(&name, TenantState::Active).await?;
        Ok(Response::new(active))
    }

    type ExportStream = Parts<wire::TenantExportLine>;

    async fn export(
        &self,
        request: Request<wire::GetTenantRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        permit::require_operator(&identity::actor(&request)?)?;
        let tenant = self.shared.tenant_named(&request.into_inner().name).await?;
        Ok(Response::new(self.lines(tenant.id).await?))
    }

    async fn delete(
        &self,
        request: Request<wire::DeleteTenantRequest>,
    ) -> Result<Response<wire::DeleteTenantResponse>, Status> {
        permit::require_operator(&identity::actor(&request)?)?;
        self.end(request.into_inner()).await.map(Response::new)
    }

    async fn list(
        &self,
        request: Request<wire::ListTenantsRequest>,
    ) -> Result<Response<wire::ListTenantsResponse>, Status> {
        permit::require_operator(&identity::actor(&request)?)?;
        let tenants = self
            .shared
            .store
            .platform()
            .tenants()
            .await
            .map_err(failure::store)?;
        Ok(Response::new(wire::ListTenantsResponse {
            items: tenants.into_iter().map(shown).collect(),
        }))
    }
}

/// A host as requests name it: without scheme and port, lower case.
fn valid_host(host: &str) -> Result<String, Status> {
    let lower = host.to_ascii_lowercase();
    let name =
        (1..=253).contains(&lower.len()) && lower.split('.').all(domain::tenant::is_dns_label);
    if name || lower.parse::<std::net::IpAddr>().is_ok() {
        return Ok(lower);
    }
    Err(say(
        Code::InvalidArgument,
        &message::api::HOST_INVALID.with("host", host),
    ))
}

fn settings(asked: wire::TenantSettings) -> Result<TenantSettings, Status> {
    let language = match asked.language.as_str() {
        "" => Language::English,
        other => match Language::accepted(other) {
            Some(language) => language,
            None => {
                return Err(say(
                    Code::InvalidArgument,
                    &message::api::LANGUAGE_UNKNOWN.with("language", other),
                ));
            }
        },
    };
    let declarable = |name: &str, value: &str| {
        let capital = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        !name.is_empty() && name.bytes().all(capital) && is_variable_value(value)
    };
    if let Some((name, _)) = asked
        .variables
        .iter()
        .find(|(name, value)| !declarable(name, value))
    {
        return Err(say(
            Code::InvalidArgument,
            &message::api::VARIABLE_INVALID.with("name", name),
        ));
    }
    let usual = TenantSettings::default();
    let namespace_patterns = if asked.namespace_patterns.is_empty() {
        usual.namespace_patterns
    } else {
        asked.namespace_patterns
    };
    Ok(TenantSettings {
        variables_enabled: asked.variables_enabled,
        variables: asked.variables.into_iter().collect(),
        language,
        namespace_patterns,
        must_change_password: asked.must_change_password,
    })
}

fn shown(tenant: Tenant) -> wire::Tenant {
    let language = tenant.settings.language.code();
    wire::Tenant {
        name: tenant.name.to_string(),
        id: tenant.id.to_string(),
        hosts: tenant.hosts,
        namespaces: tenant.namespaces,
        settings: Some(wire::TenantSettings {
            variables_enabled: tenant.settings.variables_enabled,
            variables: tenant.settings.variables.into_iter().collect(),
            language: language.to_owned(),
            namespace_patterns: tenant.settings.namespace_patterns,
            must_change_password: tenant.settings.must_change_password,
        }),
        created_at_unix_seconds: tenant.standing.created_at,
        state: tenant.standing.state.as_str().to_owned(),
        quotas: tenant
            .standing
            .quotas
            .0
            .into_iter()
            .map(|(name, allowed)| (name, i64::try_from(allowed).unwrap_or(i64::MAX)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_alone() {
        assert_eq!(valid_host("User01.Example").unwrap(), "user01.example");
        assert_eq!(valid_host("127.0.1.1").unwrap(), "127.0.1.1");
        assert_eq!(valid_host("::1").unwrap(), "::1");
        for bad in ["", "https://x", "x:8080", "a..b", "-x", "a b"] {
            assert_eq!(
                valid_host(bad).unwrap_err().code(),
                Code::InvalidArgument,
                "{bad}"
            );
        }
    }

    #[test]
    fn variables_are_plain_words() {
        let with = |name: &str, value: &str| wire::TenantSettings {
            variables: [(name.to_owned(), value.to_owned())].into_iter().collect(),
            ..Default::default()
        };
        assert!(settings(with("REGISTRY", "registry.example/a")).is_ok());
        assert!(settings(with("registry", "x")).is_err());
        for bad in ["", "a\nb: c", "x:", "홍길동"] {
            let refused = settings(with("X", bad)).unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{bad}");
        }
        assert!(
            settings(wire::TenantSettings {
                language: "fr".into(),
                ..Default::default()
            })
            .is_err()
        );
    }
}
