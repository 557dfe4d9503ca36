//! What the cluster's controllers said of one object lately, read as whom its application is written.

use domain::resource::text;
use proto::argocd::events::{Event, EventList};
use proto::json;
use proto::k8s::meta::v1::ListMeta;
use proto::naru::internal::v1::ResourceEventsRequest;
use serde_json::Value;
use tonic::Status;

use super::scene::{self, Scene};
use super::{refused, tree};
use crate::context::Context;
use crate::driver::queue::AppKey;

/// Where Kubernetes keeps what is said of objects without a namespace.
const OF_THE_CLUSTER: &str = "default";

/// The events of an object, if it is in the application's tree.
pub(super) async fn resource_events(
    ctx: &Context,
    app: &AppKey,
    asked: ResourceEventsRequest,
) -> Result<EventList, Status> {
    let Scene { tenant, seen } = scene::outline(ctx, app).await?;
    let (subject, outline) = seen.unzip();
    let nodes = tree::nodes(outline).await?;
    let node = nodes.into_iter().find(|node| {
        !node.uid.is_empty()
            && node.uid == asked.uid
            && node.key.name == asked.name
            && node.key.namespace == asked.namespace
    });
    let (Some(node), Some(subject)) = (node, subject) else {
        return Err(Status::invalid_argument(format!(
            "{} not found as part of application {}",
            asked.name, app.name
        )));
    };
    let namespace = match node.key.namespace.as_str() {
        "" => OF_THE_CLUSTER,
        namespace => namespace,
    };
    // What is said there is for whose namespace it is.
    if !tenant.owns(namespace) {
        return Ok(list(Vec::new()));
    }
    let account = subject
        .writer
        .account(ctx, namespace)
        .map_err(|error| refused(&error))?;
    let found = account
        .events(namespace, &node.uid)
        .await
        .map_err(|error| refused(&error))?;
    Ok(list(found))
}

fn list(mut found: Vec<Value>) -> EventList {
    found.sort_by(|a, b| last(a).cmp(last(b)));
    EventList {
        metadata: Some(ListMeta::default()),
        items: found.into_iter().filter_map(event).collect(),
    }
}

/// When it was said last, as text that sorts by time within one form.
fn last(event: &Value) -> &str {
    let times = [
        text(event, &["lastTimestamp"]),
        text(event, &["eventTime"]),
        text(event, &["metadata", "creationTimestamp"]),
    ];
    times
        .into_iter()
        .find(|time| !time.is_empty())
        .unwrap_or_default()
}

/// One that does not fit the message is left out: nothing here fails on what a cluster's controller wrote.
fn event(mut found: Value) -> Option<Event> {
    if let Some(metadata) = found.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    json::from_value(&found).ok()
}
