//! The four states of each managed object, as clients compare them.

use domain::resource::ResourceKey;
use domain::status::SyncCode;
use engine::options::Role;
use engine::views;
use proto::argocd::application::ManagedResourcesResponse;
use proto::v1alpha1::ResourceDiff;
use tonic::Status;

use super::{refused, scene};
use crate::context::Context;
use crate::driver::queue::AppKey;
use crate::reconcile::custom;

/// The states of an application's objects. Hooks are not compared, hence not listed.
pub(super) async fn managed_resources(
    ctx: &Context,
    app: &AppKey,
) -> Result<ManagedResourcesResponse, Status> {
    let scene = scene::scene(ctx, app).await?;
    let Some((subject, mut look)) = scene.seen else {
        return Ok(ManagedResourcesResponse::default());
    };
    let desired = look.desired.as_ref().map_err(scene::unknown)?.clone();
    let listed: Vec<_> = look
        .comparison
        .resources
        .iter()
        .filter(|r| r.role != Role::Hook)
        .cloned()
        .collect();
    let missing: Vec<(ResourceKey, String)> = listed
        .iter()
        .filter(|r| r.live && look.live.body(&r.key).is_none())
        .map(|r| (r.key.clone(), r.version.clone()))
        .collect();
    look.live
        .fetch(ctx, &subject, &missing)
        .await
        .map_err(|error| refused(&error))?;
    let places = std::mem::take(&mut look.places);
    look.places = custom::places(ctx, &subject, look.targets(), &look.live, places).await;
    let ignored = look.ignored(&subject);
    let items = listed.into_iter().map(|compared| {
        let target = compared
            .target
            .and_then(|at| desired.prepared.targets.get(at));
        let live = look.live.body(&compared.key);
        let options = subject.compare_options();
        let view = views::view(target, live, &ignored, options, &desired.schema)
            .hiding(&compared.key, &subject.customizations.masked);
        let version = live
            .map(|live| domain::resource::text(live, &["metadata", "resourceVersion"]).to_owned());
        let ResourceKey {
            group,
            kind,
            namespace,
            name,
        } = compared.key;
        ResourceDiff {
            group: Some(group),
            kind: Some(kind),
            namespace: Some(namespace),
            name: Some(name),
            target_state: Some(view.target),
            live_state: Some(view.live),
            diff: None,
            hook: Some(false),
            normalized_live_state: Some(view.normalized_live),
            predicted_live_state: Some(view.predicted_live),
            resource_version: version,
            modified: Some(compared.sync == Some(SyncCode::OutOfSync)),
        }
    });
    Ok(ManagedResourcesResponse {
        items: items.collect(),
    })
}
