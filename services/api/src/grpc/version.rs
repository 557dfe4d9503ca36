//! Which version answers.

use domain::application::KUSTOMIZE_VERSION;
use proto::argocd::version::VersionMessage;
use proto::argocd::version::version_service_server::VersionService;
use tonic::{Request, Response, Status};

use crate::identity;

/// The version of Argo CD whose API this is, with our own behind it.
pub(crate) const VERSION: &str = concat!("v3.2.11+naru.", env!("CARGO_PKG_VERSION"));

/// The service.
pub(crate) struct Version;

#[tonic::async_trait]
impl VersionService for Version {
    /// Strangers learn the version alone.
    async fn version(&self, request: Request<()>) -> Result<Response<VersionMessage>, Status> {
        let mut answer = VersionMessage {
            version: VERSION.to_owned(),
            ..VersionMessage::default()
        };
        if identity::actor(&request).is_ok() {
            answer.compiler = "rustc".to_owned();
            answer.platform = format!("{}/{}", std::env::consts::OS, go_arch());
            answer.git_tree_state = "clean".to_owned();
            answer.kustomize_version = KUSTOMIZE_VERSION.to_owned();
            answer.helm_version = "v3.22.0".to_owned();
            answer.jsonnet_version = "v0.21.0".to_owned();
        }
        Ok(Response::new(answer))
    }
}

/// The machine's name as Go has it.
fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
