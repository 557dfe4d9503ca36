//! The thirteen public services of Argo CD, health, reflection, and what only Naru has; one folder per service.

mod account;
mod application;
mod applicationset;
mod audit;
mod certificate;
mod cluster;
mod deep_links;
mod gpgkey;
mod notification;
mod plan;
mod project;
mod quota;
mod rbac;
pub(crate) mod recheck;
mod repocreds;
mod repository;
mod session;
mod settings;
mod tenant;
mod tenant_settings;
mod version;

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use domain::message;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::service::{Routes, RoutesBuilder};
use tonic::{Code, Status};

pub(crate) use application::terminal;

use crate::failure;
use crate::shared::Shared;

/// The largest message, both ways.
const MAX_MESSAGE: usize = 200 << 20;
/// What passes only between the services, and is nobody else's business.
const INTERNAL: &str = "naru.internal.v1";

/// What the operator alone may call.
const OPERATORS: &str = "naru.v1";

/// Why the services cannot be put together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// The descriptors are not what they should be.
    #[error("the services' descriptors cannot be read")]
    Descriptors(#[from] prost::DecodeError),
    /// Reflection refused them.
    #[error("reflection cannot be served")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// All services.
///
/// # Errors
/// When reflection refuses the descriptors.
pub(crate) fn routes(shared: &Arc<Shared>) -> Result<Routes, SetupError> {
    use proto::argocd as wire;
    let mut builder = RoutesBuilder::default();
    macro_rules! serve {
        ($($server:path => $handler:expr;)+) => {$(
            builder.add_service(
                <$server>::new($handler).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE),
            );
        )+};
    }
    serve! {
        wire::account::account_service_server::AccountServiceServer<_> => account::Accounts::new(shared);
        wire::application::application_service_server::ApplicationServiceServer<_> => application::Applications::new(shared);
        wire::applicationset::application_set_service_server::ApplicationSetServiceServer<_> => applicationset::ApplicationSets;
        wire::certificate::certificate_service_server::CertificateServiceServer<_> => certificate::Certificates::new(shared);
        wire::cluster::cluster_service_server::ClusterServiceServer<_> => cluster::Clusters::new(shared);
        wire::gpgkey::gpg_key_service_server::GpgKeyServiceServer<_> => gpgkey::GpgKeys::new(shared);
        wire::notification::notification_service_server::NotificationServiceServer<_> => notification::Notifications;
        wire::project::project_service_server::ProjectServiceServer<_> => project::Projects::new(shared);
        wire::repocreds::repo_creds_service_server::RepoCredsServiceServer<_> => repocreds::RepoCreds::new(shared);
        wire::repository::repository_service_server::RepositoryServiceServer<_> => repository::Repositories::new(shared);
        wire::session::session_service_server::SessionServiceServer<_> => session::Session::new(shared);
        wire::cluster::settings_service_server::SettingsServiceServer<_> => settings::Settings::new(shared);
        wire::version::version_service_server::VersionServiceServer<_> => version::Version;
        proto::naru::v1::rbac_service_server::RbacServiceServer<_> => rbac::Rbac::new(shared);
        proto::naru::v1::tenant_service_server::TenantServiceServer<_> => tenant::Tenants::new(shared);
        proto::naru::v1::settings_service_server::SettingsServiceServer<_> => tenant_settings::TenantSettings::new(shared);
        proto::naru::v1::quota_service_server::QuotaServiceServer<_> => quota::Quotas::new(shared);
        proto::naru::v1::plan_service_server::PlanServiceServer<_> => plan::Plans::new(shared);
        proto::naru::v1::audit_service_server::AuditServiceServer<_> => audit::Records::new(shared);
    }
    let (health, service) = tonic_health::server::health_reporter();
    // Dropping the reporter leaves the services as they are set: the whole server serves while it answers.
    drop(health);
    builder.add_service(service);
    let mut descriptors = public_descriptors()?;
    // The operator's service is not for everybody who is signed in to see.
    descriptors.file.retain(|file| file.package() != OPERATORS);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_file_descriptor_set(descriptors.clone())
    };
    builder.add_service(reflection().build_v1()?);
    builder.add_service(reflection().build_v1alpha()?);
    Ok(builder.routes())
}

/// What is served to the outside.
fn public_descriptors() -> Result<FileDescriptorSet, prost::DecodeError> {
    let mut set = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET)?;
    set.file.retain(|file| file.package() != INTERNAL);
    Ok(set)
}

/// Whether a path is one of ours: only those become labels.
pub(crate) fn is_known(path: &str) -> bool {
    paths().contains(path)
}

/// Every RPC that is served to the outside.
pub(crate) fn paths() -> &'static HashSet<String> {
    static PATHS: LazyLock<HashSet<String>> = LazyLock::new(|| {
        let set = public_descriptors().unwrap_or_default();
        let mut paths: HashSet<String> = HashSet::new();
        for file in &set.file {
            for service in &file.service {
                let name = format!("{}.{}", file.package(), service.name());
                paths.extend(
                    service
                        .method
                        .iter()
                        .map(|method| format!("/{name}/{}", method.name())),
                );
            }
        }
        paths.extend(["Check", "Watch"].map(|method| format!("/grpc.health.v1.Health/{method}")));
        paths.extend(["v1", "v1alpha"].map(|version| {
            format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
        }));
        paths
    });
    &PATHS
}

/// Whether a call is answered in parts.
pub(crate) fn is_streaming(path: &str) -> bool {
    static PATHS: LazyLock<HashSet<String>> = LazyLock::new(|| {
        let set = public_descriptors().unwrap_or_default();
        let mut paths = HashSet::new();
        for file in &set.file {
            for service in &file.service {
                let name = format!("{}.{}", file.package(), service.name());
                let streaming = service.method.iter().filter(|m| m.server_streaming());
                paths.extend(streaming.map(|method| format!("/{name}/{}", method.name())));
            }
        }
        paths
    });
    PATHS.contains(path)
}

/// The answer of a call that comes with later work.
fn comes_later(method: &str) -> Status {
    failure::say(
        Code::Unimplemented,
        &message::api::NOT_SERVED.with("method", method),
    )
}

/// Methods of a service that come with later work: each answers `Unimplemented`, by its name.
macro_rules! not_served {
    ($service:literal; $($method:ident($request:ty) -> $response:ty),+ $(,)?) => {$(
        fn $method<'life0, 'async_trait>(
            &'life0 self,
            _: tonic::Request<$request>,
        ) -> std::pin::Pin<
            Box<dyn Future<Output = Result<tonic::Response<$response>, tonic::Status>> + Send + 'async_trait>,
        >
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(async { Err($crate::grpc::comes_later(concat!($service, ".", stringify!($method)))) })
        }
    )+};
}
use not_served;

/// An answer that comes in parts.
type Parts<T> = std::pin::Pin<Box<dyn futures::Stream<Item = Result<T, Status>> + Send>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_services_are_known_and_shown() {
        assert!(is_known("/application.ApplicationService/Get"));
        assert!(is_known("/cluster.SettingsService/Get"));
        assert!(is_known("/naru.v1.TenantService/Create"));
        assert!(is_known("/grpc.health.v1.Health/Check"));
        assert!(!is_known("/naru.internal.v1.Controller/GetResource"));
        assert!(!is_known("/x/y"));
        assert!(
            public_descriptors()
                .unwrap()
                .file
                .iter()
                .all(|file| file.package() != INTERNAL)
        );
    }
}
