//! Containers' logs, merged by time.

use std::sync::Arc;

use domain::message;
use futures::{StreamExt, stream};
use proto::argocd::application as wire;
use proto::naru::internal::v1::PodLogsRequest;
use tonic::{Code, Status};

use super::find::{self, Query, object};
use super::live::peer;
use crate::failure;
use crate::grpc::Parts;
use crate::grpc::recheck::while_permitted;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// Streams them. When the process stops while they are followed, the client hears `Unavailable`, upon which the argocd
/// command follows on elsewhere.
pub(super) async fn pod_logs(
    shared: &Arc<Shared>,
    actor: &Actor,
    query: wire::ApplicationPodLogsQuery,
) -> Result<Parts<wire::LogEntry>, Status> {
    if !query.until_time().is_empty()
        && let Err(problem) = chrono::DateTime::parse_from_rfc3339(query.until_time())
    {
        return Err(Status::unknown(format!(
            "invalid untilTime parameter value: {problem}"
        )));
    }
    let asked = Query {
        name: &query.name,
        namespace: query.app_namespace.as_deref(),
        project: query.project.as_deref(),
    };
    let found = find::find(shared, actor, Action::Get, asked).await?;
    let right = object(&found.app);
    permit::require(actor, Resource::Logs, Action::Get, &right)?;
    let request = PodLogsRequest {
        tenant: actor.tenant.id.to_string(),
        query: Some(query),
    };
    let lines = shared
        .controllers
        .owner_of(actor.tenant.id, &found.app)
        .await?
        .pod_logs(request)
        .await
        .map_err(peer)?
        .into_inner();
    let stopping = failure::say(Code::Unavailable, &message::api::STOPPING.message());
    let stop = shared.life.token().cancelled_owned();
    let cut = stream::once(async move {
        stop.await;
        Err(stopping)
    });
    // Whichever ends first ends the stream: the lines, or the process.
    let lines = lines
        .map(|line| line.map_err(peer))
        .map(Some)
        .chain(stream::once(async { None }));
    let until = stream::select(lines, cut.map(Some));
    let may = move |actor: &Actor| {
        permit::allows(actor, Resource::Applications, Action::Get, &right)
            && permit::allows(actor, Resource::Logs, Action::Get, &right)
    };
    let lines = Box::pin(
        until
            .take_while(|line| std::future::ready(line.is_some()))
            .filter_map(std::future::ready)
            .scan(false, |over, line| {
                let goes_on = !*over;
                *over = line.is_err();
                std::future::ready(goes_on.then_some(line))
            }),
    );
    Ok(while_permitted(shared, actor, may, lines))
}
