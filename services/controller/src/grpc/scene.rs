//! An application as a reader finds it: its row, its tenant, Git and cluster side by side.

use std::sync::Arc;
use std::time::Duration;

use domain::application::Application;
use domain::cause::{Cause, Severity};
use domain::manifest::Manifest;
use domain::message;
use domain::schema::SchemaSet;
use engine::prepare::Target;
use engine::tree::Wanted;
use serde_json::Value;
use tonic::{Code, Status};

use super::{database, held, refused, say};
use crate::context::Context;
use crate::driver::queue::AppKey;
use crate::reconcile;
use crate::reconcile::desire::{self, Wish};
use crate::reconcile::look::{self, Look, Outline};
use crate::reconcile::subject::{self, Subject};
use crate::repos::Trouble;
use crate::tenants::TenantFacts;

/// An application as a reader finds it.
pub(super) struct Scene<Seen = Look> {
    pub(super) tenant: Arc<TenantFacts>,
    /// `None` where only an edit can help: such an application shows no objects.
    pub(super) seen: Option<(Subject, Seen)>,
}

/// What is known of an application without its cluster.
pub(super) struct Plot {
    subject: Subject,
    /// The objects that Git wants, none while nobody knows what it says.
    wanted: Arc<[Wanted]>,
    /// Whether anybody knows.
    pub(super) certain: bool,
}

impl Plot {
    /// What a tree shows of it now.
    pub(super) async fn outline(&self, ctx: &Context) -> Outline {
        let Self {
            subject, wanted, ..
        } = self;
        let memory = ctx.memory.glance(&subject.key, subject.app.uid());
        look::outline(ctx, subject, wanted, &memory.checked).await
    }
}

/// How long a cluster that was opened a moment ago may take to be listed.
const LISTED: Duration = Duration::from_secs(5);

/// What is needed where an application goes, once it is known what is there.
pub(super) async fn place(shared: &Arc<Context>, key: &AppKey) -> Result<Arc<Context>, Status> {
    let place = goes_to(shared, key).await?;
    let unlisted = || reconcile::unlisted(&place).map(|cause| cause.message);
    if !place.cluster.index().is_ready()
        && let Some(why) = unlisted()
    {
        return Err(say(Code::Unavailable, &why));
    }
    let listed = place.cluster.ready();
    if tokio::time::timeout(LISTED, listed).await.is_err() {
        let away = message::cluster::UNREACHABLE.with("cluster", place.cluster.name());
        return Err(say(Code::Unavailable, &unlisted().unwrap_or(away)));
    }
    Ok(place)
}

/// What is needed where an application goes, if that is ours. Who only reads does not keep a cluster open for the application.
pub(super) async fn goes_to(shared: &Arc<Context>, key: &AppKey) -> Result<Arc<Context>, Status> {
    let here = || held(shared).map(|_| shared.clone());
    let clusters = shared.tenants.clusters(key.tenant).await;
    if clusters.map_err(|error| database(&error))?.is_empty() {
        return here();
    }
    let (app, _) = find(shared, key).await?;
    let meant = subject::meant(shared, key, &app).await;
    let Some(added) = meant.map_err(|error| database(&error))? else {
        return here();
    };
    let opened = shared.clusters.open(shared, key.tenant, &added).await;
    opened.map_err(|error| database(&error))?.map_err(|cause| {
        let lost = cause.message.is(&message::cluster::NOT_HOLDER);
        let code = match lost {
            true => Code::Unavailable,
            false => Code::FailedPrecondition,
        };
        say(code, &cause.message)
    })
}

/// Looks at an application; nothing is written and nothing remembered.
pub(super) async fn scene(ctx: &Context, key: &AppKey) -> Result<Scene, Status> {
    let (tenant, subject) = read(ctx, key).await?;
    let Some(subject) = subject else {
        return Ok(Scene { tenant, seen: None });
    };
    let mut memory = ctx.memory.copy(key, subject.app.uid());
    let wish = Wish::of_spec(&subject, false, false);
    let desired = desire::desire(ctx, &subject, &wish, &mut memory).await;
    let look = look::look(ctx, &subject, desired, &mut memory)
        .await
        .map_err(|error| refused(&error))?;
    Ok(Scene {
        tenant,
        seen: Some((subject, look)),
    })
}

/// What a tree shows of an application: nothing is compared, no object is fetched.
pub(super) async fn outline(ctx: &Context, key: &AppKey) -> Result<Scene<Outline>, Status> {
    let (tenant, plot) = plot(ctx, key).await?;
    let seen = match plot {
        Some(plot) => {
            let outline = plot.outline(ctx).await;
            Some((plot.subject, outline))
        }
        None => None,
    };
    Ok(Scene { tenant, seen })
}

/// What is known of an application without its cluster; `None` where only an edit can help.
pub(super) async fn plot(
    ctx: &Context,
    key: &AppKey,
) -> Result<(Arc<TenantFacts>, Option<Plot>), Status> {
    let (tenant, subject) = read(ctx, key).await?;
    let Some(subject) = subject else {
        return Ok((tenant, None));
    };
    let mut memory = ctx.memory.glance(key, subject.app.uid());
    let wish = Wish::of_spec(&subject, false, false);
    let desired = desire::desire(ctx, &subject, &wish, &mut memory).await;
    let targets: &[Target] = desired
        .as_ref()
        .map_or(&[], |desired| &desired.prepared.targets);
    let plot = Plot {
        wanted: targets.iter().map(Wanted::from).collect(),
        certain: desired.is_ok(),
        subject,
    };
    Ok((tenant, Some(plot)))
}

/// The row, its tenant and all that it names.
async fn read(ctx: &Context, key: &AppKey) -> Result<(Arc<TenantFacts>, Option<Subject>), Status> {
    let (app, tenant) = find(ctx, key).await?;
    let subject = subject::read(ctx, key, app, &tenant).await;
    let subject = subject.map_err(|error| database(&error))?;
    Ok((tenant, subject.ok()))
}

/// What a manifest that is no part of Git comes to as one of the application's, judged as Git's are; `None` where it is
/// nothing to apply.
pub(super) async fn target_of(
    ctx: &Context,
    subject: &Subject,
    manifest: Value,
) -> Result<Option<(Target, Arc<SchemaSet>)>, Status> {
    let (prepared, schema) = desire::targets_of(ctx, subject, &[Manifest::new(manifest, None)])
        .await
        .map_err(|trouble| unknown(&trouble))?;
    let target = prepared.targets.first().cloned();
    let errors = |cause: &&Cause| cause.severity == Severity::Error;
    match (target, prepared.causes.iter().find(errors)) {
        (None, Some(cause)) => Err(say(Code::InvalidArgument, &cause.message)),
        (target, _) => Ok(target.map(|target| (target, schema))),
    }
}

/// The row and its tenant.
pub(super) async fn find(
    ctx: &Context,
    key: &AppKey,
) -> Result<(Application, Arc<TenantFacts>), Status> {
    let missing = || Status::not_found("application not found");
    let tenant = ctx
        .tenants
        .get(key.tenant)
        .await
        .map_err(|error| database(&error))?
        .ok_or_else(missing)?;
    let scope = ctx.store.tenant(key.tenant);
    let app = scope
        .applications()
        .find(&key.name)
        .await
        .map_err(|error| database(&error))?
        .ok_or_else(missing)?;
    Ok((app, tenant))
}

/// Git's silence, as a caller hears of it.
pub(super) fn unknown(trouble: &Trouble) -> Status {
    match trouble.causes.first() {
        Some(cause) => say(
            if trouble.ours {
                Code::Unavailable
            } else {
                Code::Unknown
            },
            &cause.message,
        ),
        None => Status::unknown("the manifests are not known"),
    }
}
