//! Logging in, and who one is.

use std::net::IpAddr;
use std::sync::Arc;

use domain::secret::Secret;
use proto::argocd::session as wire;
use proto::argocd::session::session_service_server::SessionService;
use tonic::{Request, Response, Status};

use crate::failure;
use crate::front::host::{Peer, Site};
use crate::identity;
use crate::metrics::Login;
use crate::permit::Means;
use crate::shared::Shared;

/// The service.
pub(crate) struct Session {
    shared: Arc<Shared>,
}

impl Session {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }

    async fn log_in(
        &self,
        site: &Site,
        source: Option<IpAddr>,
        request: wire::SessionCreateRequest,
    ) -> Result<String, Status> {
        if !request.token.is_empty() {
            return Err(Status::unauthenticated(
                "token-based session creation no longer supported. please upgrade argocd cli to v0.7+",
            ));
        }
        if request.username.is_empty() || request.password.is_empty() {
            return Err(Status::unauthenticated("no credentials supplied"));
        }
        let password = Secret::from(request.password);
        let who = self
            .shared
            .logins
            .verify(&site.tenant, &request.username, password, source)
            .await?;
        let created = self.shared.sessions.create(who.tenant.id, &who.account);
        let token = created.await?;
        self.shared.recognise(&token);
        Ok(token)
    }
}

#[tonic::async_trait]
impl SessionService for Session {
    async fn create(
        &self,
        request: Request<wire::SessionCreateRequest>,
    ) -> Result<Response<wire::SessionResponse>, Status> {
        let site = request
            .extensions()
            .get::<Site>()
            .cloned()
            .ok_or_else(failure::internal)?;
        let source = request.extensions().get::<Peer>().map(|peer| peer.0);
        let outcome = self.log_in(&site, source, request.into_inner()).await;
        let status = if outcome.is_ok() {
            "success"
        } else {
            "failure"
        };
        let labels = Login {
            tenant: site.tenant.name.to_string(),
            status,
        };
        self.shared.metrics.logins.get_or_create(&labels).inc();
        outcome.map(|token| Response::new(wire::SessionResponse { token }))
    }

    async fn get_user_info(
        &self,
        request: Request<wire::GetUserInfoRequest>,
    ) -> Result<Response<wire::GetUserInfoResponse>, Status> {
        let answer = match identity::actor(&request) {
            Ok(actor) if actor.means != Means::Anonymous => wire::GetUserInfoResponse {
                logged_in: true,
                username: actor.account,
                iss: "argocd".to_owned(),
                groups: Vec::new(),
            },
            // Nobody, or nobody in particular.
            _ => wire::GetUserInfoResponse::default(),
        };
        Ok(Response::new(answer))
    }

    /// Takes the browser's cookie away (the REST side does); the session itself ends with `/auth/logout`.
    async fn delete(
        &self,
        _: Request<wire::SessionDeleteRequest>,
    ) -> Result<Response<wire::SessionResponse>, Status> {
        Ok(Response::new(wire::SessionResponse {
            token: String::new(),
        }))
    }
}
