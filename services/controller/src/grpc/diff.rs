//! What the cluster would make of manifests that a client brings, beside what it has.
//!
//! The client says which objects it means and what they are to be. What is live is looked up, and only where the
//! application has it; what is brought goes the way of what Git says, and is tried as the tenant's account.

use std::sync::Arc;

use domain::message;
use domain::resource::{ResourceKey, text};
use domain::schema::SchemaSet;
use engine::compare::Ignored;
use engine::options::Role;
use engine::prepare::{Kinds, Target};
use engine::views;
use futures::StreamExt;
use proto::argocd::application::{
    ApplicationServerSideDiffQuery, ApplicationServerSideDiffResponse,
};
use proto::v1alpha1::ResourceDiff;
use tonic::{Code, Status};

use super::{refused, resource, say, scene};
use crate::context::Context;
use crate::driver::queue::AppKey;
use crate::reconcile::custom::{self, Places};
use crate::reconcile::desire::{ClusterKinds, Desired};
use crate::reconcile::live::{self, LiveSet};
use crate::reconcile::look::Look;
use crate::reconcile::subject::Subject;

/// How many dry runs of one request are under way at once.
const AT_ONCE: usize = 8;

/// One object as it was asked for.
struct Asked {
    key: ResourceKey,
    /// The version that it is read in.
    version: String,
    /// What it is to be; `None` where it is to be nothing.
    target: Option<Target>,
    /// The schemas that the target was made with.
    schema: Arc<SchemaSet>,
    /// The uid of the live object that is looked at.
    uid: Option<String>,
    /// Whether it is a hook, which is not compared.
    hook: bool,
}

/// Each object as it would be and as it is.
pub(super) async fn server_side_diff(
    ctx: &Context,
    app: &AppKey,
    query: ApplicationServerSideDiffQuery,
) -> Result<ApplicationServerSideDiffResponse, Status> {
    let scene = scene::scene(ctx, app).await?;
    let Some((subject, mut look)) = scene.seen else {
        return Ok(ApplicationServerSideDiffResponse::default());
    };
    let desired = look.desired.as_ref().map_err(scene::unknown)?.clone();
    let named = query.live_resources.into_iter().map(key_of);
    let mut asked = Vec::new();
    for (key, manifest) in named.zip(&query.target_manifests) {
        asked.push(match manifest.as_str() {
            "" | "null" => going(&desired, &look, key),
            manifest => read(ctx, &subject, &desired, &look, key, manifest).await?,
        });
    }
    let bodies: Vec<(ResourceKey, String)> = asked
        .iter()
        .filter(|one| one.uid.is_some())
        .map(|one| (one.key.clone(), one.version.clone()))
        .collect();
    look.live
        .fetch(ctx, &subject, &bodies)
        .await
        .map_err(|error| refused(&error))?;
    let diffs: Vec<_> = asked
        .into_iter()
        .map(|one| diff(ctx, &subject, &look.live, one))
        .collect();
    let diffs: Vec<Result<ResourceDiff, Status>> = futures::stream::iter(diffs)
        .buffered(AT_ONCE)
        .collect()
        .await;
    let items: Vec<ResourceDiff> = diffs.into_iter().collect::<Result<_, _>>()?;
    let modified = items.iter().any(ResourceDiff::modified);
    Ok(ApplicationServerSideDiffResponse { items, modified })
}

fn key_of(named: ResourceDiff) -> ResourceKey {
    ResourceKey {
        group: named.group.unwrap_or_default(),
        kind: named.kind.unwrap_or_default(),
        namespace: named.namespace.unwrap_or_default(),
        name: named.name.unwrap_or_default(),
    }
}

/// An object that is to be nothing: shown as it is, where the application has it.
fn going(desired: &Desired, look: &Look, key: ResourceKey) -> Asked {
    let there = look.comparison.find(&key).filter(|there| there.live);
    Asked {
        version: there.map_or_else(String::new, |there| there.version.clone()),
        uid: there.map(|there| there.uid.clone()),
        hook: there.is_some_and(|there| there.role != Role::Ordinary),
        target: None,
        schema: desired.schema.clone(),
        key,
    }
}

/// An object that is to be as a manifest says: as the application could have it, or refused.
async fn read(
    ctx: &Context,
    subject: &Subject,
    desired: &Desired,
    look: &Look,
    named: ResourceKey,
    manifest: &str,
) -> Result<Asked, Status> {
    let object = serde_json::from_str(manifest).map_err(|_| {
        let unreadable = message::app::DIFF_MANIFEST_UNREADABLE.with("resource", &named);
        say(Code::InvalidArgument, &unreadable)
    })?;
    let Some((given, schema)) = scene::target_of(ctx, subject, object).await? else {
        // A hook of no known kind: as if it were not there.
        return Ok(Asked {
            hook: true,
            ..going(desired, look, named)
        });
    };
    let secret = resource::is_secret(&given.key);
    let own = desired
        .prepared
        .targets
        .iter()
        .find(|target| target.key == given.key)
        // Values of Secrets reach no client and are taken from none: what is equal to a guess is not told either.
        .filter(|target| secret || views::is_as_shown(&given, target));
    let (target, schema) = match own {
        Some(own) => (own.clone(), desired.schema.clone()),
        None => (given, schema),
    };
    let key = target.key.clone();
    let discovery = ctx.cluster.discovery();
    let known = ClusterKinds(&discovery)
        .scope(&key.group, &target.version, &key.kind)
        .is_some();
    if let Some(cause) = target.refused.as_ref().filter(|_| known) {
        return Err(say(Code::PermissionDenied, &cause.message));
    }
    let hook = target.role != Role::Ordinary;
    // Of a kind that the cluster does not have there is nothing.
    let there = look
        .comparison
        .find(&key)
        .filter(|there| there.live && known && !hook);
    if secret && own.is_none() && there.is_some() {
        let foreign = message::app::DIFF_SECRET_FOREIGN.with("resource", &key);
        return Err(say(Code::PermissionDenied, &foreign));
    }
    Ok(Asked {
        version: target.version.clone(),
        uid: there.map(|there| there.uid.clone()),
        target: Some(target),
        schema,
        hook,
        key,
    })
}

/// The two sides. What is made anew is not tried, as in Argo CD.
async fn diff(
    ctx: &Context,
    subject: &Subject,
    live: &LiveSet,
    asked: Asked,
) -> Result<ResourceDiff, Status> {
    let Asked {
        key,
        version: _,
        target,
        schema,
        uid,
        hook,
    } = asked;
    let uid = uid.unwrap_or_default();
    let of_uid = |body: &&serde_json::Value| text(body, &["metadata", "uid"]) == uid;
    let body = live.body(&key).filter(of_uid);
    let predicted = match (&target, body) {
        (Some(target), Some(_)) => {
            let tried = live::dry_run(ctx, subject.tenant(), target, uid.clone()).await;
            Some(tried.map_err(|error| resource::refused_of(&key, &error))?)
        }
        _ => None,
    };
    let states = predicted.as_ref().zip(body);
    let states = states.map(|(want, got)| (&key, [None, Some(got), Some(want)]));
    let places = custom::named(ctx, subject, states.as_slice(), Places::default()).await;
    let ignored = Ignored {
        rules: &subject.ignore,
        named: &places.named,
        unnamed: &places.unnamed,
        known: &subject.customizations.known,
    };
    let diff = views::by_server(
        target.as_ref(),
        body,
        predicted.as_ref(),
        &ignored,
        subject.compare_options(),
        &schema,
    )
    .hiding(&key, &subject.customizations.masked);
    let ResourceKey {
        group,
        kind,
        namespace,
        name,
    } = key;
    Ok(ResourceDiff {
        group: Some(group),
        kind: Some(kind),
        namespace: Some(namespace),
        name: Some(name),
        target_state: Some(diff.predicted),
        live_state: Some(diff.live),
        diff: None,
        hook: Some(hook),
        normalized_live_state: None,
        predicted_live_state: None,
        resource_version: body.map(|body| text(body, &["metadata", "resourceVersion"]).to_owned()),
        modified: Some(diff.modified && !hook),
    })
}
