//! What a sync would do, before it is done.

use std::sync::Arc;

use proto::naru::v1 as wire;
use proto::naru::v1::plan_service_server::PlanService;
use tonic::{Request, Response, Status};

use super::application;
use crate::identity;
use crate::shared::Shared;

/// The service.
pub(crate) struct Plans {
    shared: Arc<Shared>,
}

impl Plans {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }
}

#[tonic::async_trait]
impl PlanService for Plans {
    async fn get(
        &self,
        request: Request<wire::PlanQuery>,
    ) -> Result<Response<wire::SyncPlan>, Status> {
        let actor = identity::actor(&request)?;
        application::foresee(&self.shared, &actor, request.into_inner())
            .await
            .map(Response::new)
    }
}
