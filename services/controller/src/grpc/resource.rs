//! One live object of an application, whole, read as the tenant's account.

use domain::resource::ResourceKey;
use engine::views;
use proto::naru::internal::v1::{ResourceBody, ResourceRequest};
use tonic::Status;

use super::{refused, scene, tree};
use crate::context::Context;
use crate::driver::queue::AppKey;

/// The object, if it is in the application's tree.
pub(super) async fn get_resource(
    ctx: &Context,
    app: &AppKey,
    request: ResourceRequest,
) -> Result<ResourceBody, Status> {
    let ResourceRequest {
        tenant: _,
        app: _,
        group,
        version,
        kind,
        namespace,
        name,
    } = request;
    let key = ResourceKey {
        group,
        kind,
        namespace,
        name,
    };
    let scene = scene::scene(ctx, app).await?;
    let nodes = tree::nodes(ctx, &scene);
    let node = nodes
        .iter()
        .find(|node| node.key == key && !node.uid.is_empty());
    let Some(node) = node else {
        let ResourceKey {
            group, kind, name, ..
        } = &key;
        let message = format!(
            "{kind} {group} {name} not found as part of application {}",
            app.name
        );
        return Err(Status::invalid_argument(message));
    };
    let version = if version.is_empty() {
        node.version.as_str()
    } else {
        version.as_str()
    };
    let account = ctx
        .account(&scene.tenant, &key.namespace)
        .map_err(|error| refused(&error))?;
    let body = account
        .get(&key, Some(version))
        .await
        .map_err(|error| refused(&error))?;
    let missing = || Status::not_found(format!("{key} not found"));
    let mut body = body.ok_or_else(missing)?;
    if key.group.is_empty() && key.kind == "Secret" {
        views::mask(&mut [Some(&mut body)]);
    }
    let object =
        serde_json::to_vec(&body).map_err(|_| Status::internal("the object cannot be written"))?;
    Ok(ResourceBody { object })
}
