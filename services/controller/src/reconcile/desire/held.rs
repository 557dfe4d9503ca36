//! Sets that come out otherwise each time they are rendered: the first one stays (client required).

use domain::cause::Cause;
use domain::manifest::HeldSet;
use domain::message;
use domain::resource::text;

use super::unexpected;
use crate::context::Context;
use crate::reconcile::subject::Subject;
use crate::repos::{Rendered, Trouble};

/// The largest set that is kept for an application, in bytes: the database is everybody's.
const MAX_HELD: usize = 4 << 20;

/// What is wanted of a render that comes out otherwise each time: what came out first for the same inputs, for as long as
/// the application is there. A chart that draws a password must not draw another whenever a cache is lost. What is new is
/// kept with `keep`: it may take the place of an older one.
pub(super) async fn first(
    ctx: &Context,
    subject: &Subject,
    rendered: Rendered,
    keep: bool,
) -> Result<Rendered, Trouble> {
    let Some(made_of) = &rendered.undetermined else {
        return Ok(rendered);
    };
    let uid = text(&subject.app.metadata, &["uid"]);
    let name = HeldSet::name(uid, made_of);
    let tenant = ctx.store.tenant(subject.key.tenant);
    let unkept = |error: store::Error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a manifest set that comes out otherwise each time cannot be kept"
        );
        Trouble::ours(Cause::error(message::source::UNDETERMINED_UNKEPT.message()))
    };
    if let Some(manifests) = rendered.manifests.as_ref().filter(|_| keep) {
        let set = HeldSet {
            hash: rendered.hash.clone(),
            detail: rendered.detail.clone(),
            manifests: manifests.clone(),
        };
        let bytes = serde_json::to_vec(&set).map_err(|_| unexpected())?;
        if bytes.len() > MAX_HELD {
            let message = message::source::TOO_LARGE
                .with(
                    "what",
                    "what a chart makes that comes out otherwise each time",
                )
                .with("limit", format!("{} MiB", MAX_HELD >> 20));
            return Err(Trouble::theirs(Cause::error(message)));
        }
        // Nothing where one is kept already.
        let kept = tenant.hold_manifest_set(uid, &name, &bytes).await;
        kept.map_err(unkept)?;
    }
    let Some(bytes) = tenant.manifest_set(&name).await.map_err(unkept)? else {
        // The one at hand: it was kept when it came, or is not to be kept.
        return Ok(rendered);
    };
    let first: HeldSet = serde_json::from_slice(&bytes).map_err(|_| unexpected())?;
    Ok(Rendered {
        hash: first.hash,
        detail: first.detail,
        manifests: Some(first.manifests),
        ..rendered
    })
}
