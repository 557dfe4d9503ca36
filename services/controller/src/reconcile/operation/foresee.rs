//! What a sync would do, and what the application would do by itself, found out by what a sync does until it begins to
//! write (client required to gather it; putting it into words is the engine's).
//!
//! Nothing is applied, deleted, published or noted for whoever looks next. Of a chart that comes out otherwise each time
//! it is what is kept, or where nothing is, a draw that is thrown away: kept, the draws of other revisions would take the
//! place of what is deployed.

use domain::cause::Cause;
use domain::clock::Timestamp;
use domain::manifest::SourceType;
use domain::message;
use domain::operation::Operation;
use domain::quota::Quota;
use domain::status::SyncCode;
use engine::autosync::{Decision, Idle};
use engine::operation;
use engine::plan::outline::{self, Bounds, Outline};
use engine::plan::{Action, Plan};

use super::{Run, begun_by, forbidden, hindered, lasting, make_plan, wish};
use crate::context::Context;
use crate::memory::AppMemory;
use crate::reconcile::desire::{self, Desired, Wish};
use crate::reconcile::look::{self, Look};
use crate::reconcile::subject::{self, Subject};
use crate::reconcile::{ClusterState, Failure, SKIP, busy, cluster_state, decided};
use crate::repos::{Making, Trouble};

/// How much of a plan is told.
const BOUNDS: Bounds = Bounds {
    steps: 2_000,
    left: 500,
    fields: 50,
};

/// What a sync would do.
#[derive(Debug)]
pub struct Foreseen {
    /// The commits, one per source.
    pub revisions: Vec<String>,
    /// What the cluster is, compared with these.
    pub sync: SyncCode,
    /// Why a sync would be refused, would wait, or would come to nothing.
    pub refusals: Vec<Cause>,
    /// When the windows that are in the way change next.
    pub closed_until: Option<Timestamp>,
    /// How the manifests of each source that makes some came about.
    pub renders: Vec<Made>,
    /// The plan.
    pub outline: Outline,
    /// Whether only some objects were asked for.
    pub selective: bool,
    /// What the application would do by itself.
    pub by_itself: ByItself,
}

/// How the manifests of one source came about.
#[derive(Debug)]
pub struct Made {
    /// Which source, from 1.
    pub position: usize,
    /// Its commit.
    pub revision: String,
    /// The tool.
    pub tool: SourceType,
    /// How.
    pub making: Making,
}

/// What an application would do by itself.
#[derive(Debug, Default)]
pub struct ByItself {
    /// Whether it syncs by itself at all.
    pub enabled: bool,
    /// In a word.
    pub answer: Answer,
    /// Why.
    pub causes: Vec<Cause>,
    /// Until when it waits.
    pub until: Option<Timestamp>,
    /// The operation that it would begin.
    pub operation: Option<Box<Operation>>,
}

/// What an application would do by itself, in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// It would begin a sync.
    Begins,
    /// Nothing.
    #[default]
    Nothing,
    /// Nothing yet.
    Waits,
    /// Nothing, and somebody must look.
    Refused,
    /// Nothing while the project's windows keep it back.
    Closed,
}

impl Answer {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begins => "begins",
            Self::Nothing => "nothing",
            Self::Waits => "waits",
            Self::Refused => "refused",
            Self::Closed => "closed",
        }
    }
}

/// All that is needed to say it. What is left to do asks nobody, and may take a moment where there are many objects.
pub struct Gathered {
    run: Run,
    refusals: Vec<Cause>,
    closed_until: Option<Timestamp>,
    /// A comparison with what is asked for; none where nobody knows that.
    look: Option<Look>,
    /// What the spec wants.
    own: Own,
    /// Whether the tenant runs as many operations as it may.
    full: bool,
}

/// A comparison with what the spec wants.
enum Own {
    /// That is what is asked for.
    Same,
    /// It is something else.
    Other(Box<Look>),
    /// Nobody knows what it is.
    Unknown(Vec<Cause>),
}

/// Gathers what a sync would that somebody asks for now.
///
/// # Errors
/// When something of ours did not answer.
pub async fn gather(
    ctx: &Context,
    subject: Subject,
    asked: Operation,
    memory: &mut AppMemory,
) -> Result<Gathered, Failure> {
    let state = operation::begin(asked, ctx.clock.now());
    let run = Run {
        subject,
        state,
        refresh: None,
        set: None,
    };
    let (mut refusals, closed_until) = in_the_way(ctx, &run);
    let own = Wish::of_spec(&run.subject, false, false);
    let own = known(ctx, &run.subject, own, memory).await?;
    let wished = match forbidden(&run) {
        causes if causes.is_empty() => {
            let wish = wish(&run, false);
            let wished = match &own {
                Ok(own) if meets(&wish, own) => Ok(own.clone()),
                _ => known(ctx, &run.subject, wish, memory).await?,
            };
            wished.map_err(|trouble| trouble.causes.to_vec())
        }
        causes => Err(causes),
    };
    let look = match wished {
        Err(causes) => {
            refusals.extend(causes);
            None
        }
        Ok(desired) => {
            let wanted = desired.prepared.targets.len();
            refusals.extend(hindered(ctx, &run, wanted).await?);
            let mut look = look::look(ctx, &run.subject, Ok(desired), memory)
                .await
                .map_err(Failure::Cluster)?;
            if run.options().respect_ignored {
                let fetched = look.fetch_ignored(ctx, &run.subject).await;
                refusals.extend(fetched.map_err(Failure::Cluster)?);
            }
            Some(look)
        }
    };
    let own = match own {
        Err(trouble) => Own::Unknown(trouble.causes.to_vec()),
        Ok(own) if look.as_ref().is_some_and(|look| is_of(look, &own)) => Own::Same,
        Ok(own) => {
            let look = look::look(ctx, &run.subject, Ok(own), memory).await;
            Own::Other(Box::new(look.map_err(Failure::Cluster)?))
        }
    };
    let full = busy(ctx, &run.subject).await?;
    Ok(Gathered {
        run,
        refusals,
        closed_until,
        look,
        own,
        full,
    })
}

/// What a wish comes to, where that is known or its own fault. Nothing of it is kept for others.
async fn known(
    ctx: &Context,
    subject: &Subject,
    mut wish: Wish,
    memory: &mut AppMemory,
) -> Result<Result<Desired, Trouble>, Failure> {
    wish.aside = true;
    match desire::desire(ctx, subject, &wish, memory).await {
        Err(trouble) if trouble.ours => Err(Failure::Repository(trouble)),
        desired => Ok(desired),
    }
}

/// Whether a wish is for what is known already.
fn meets(wish: &Wish, own: &Desired) -> bool {
    let commits = wish.revisions.iter().map(Option::as_deref);
    wish.brought.is_empty()
        && wish.sources == own.sources
        && wish.multiple == own.multiple
        && commits.eq(own.revisions.iter().map(|commit| Some(commit.as_str())))
}

/// Whether a comparison was with this.
fn is_of(look: &Look, own: &Desired) -> bool {
    look.desired.as_ref().is_ok_and(|desired| {
        !desired.brought && desired.sources == own.sources && desired.revisions == own.revisions
    })
}

/// What keeps any sync from beginning, and when the windows among that change.
fn in_the_way(ctx: &Context, run: &Run) -> (Vec<Cause>, Option<Timestamp>) {
    let app = &run.subject.app;
    let mut causes = Vec::new();
    if app.deleting() {
        causes.push(Cause::error(message::plan::DELETING.message()));
    }
    if app.operation.is_some() {
        causes.push(Cause::error(message::plan::BUSY.message()));
    }
    causes.extend(unseen(ctx, &run.subject));
    let (since, now) = (run.state.started_at, ctx.clock.now());
    let closed = run
        .subject
        .applicant()
        .held(begun_by(&run.state), since, now);
    let until = closed.as_ref().and_then(|closed| closed.until);
    causes.extend(closed.map(|closed| closed.cause));
    (causes, until)
}

/// Why nobody looks at the application, or at its cluster.
fn unseen(ctx: &Context, subject: &Subject) -> Option<Cause> {
    if subject.app.annotation(SKIP) == Some("true") {
        let message = message::plan::NOT_RECONCILED.with("annotation", SKIP);
        return Some(Cause::error(message).field("metadata.annotations"));
    }
    match cluster_state(ctx) {
        ClusterState::Away(cause, _) => Some(*cause),
        ClusterState::Known | ClusterState::NotYet(_) => None,
    }
}

impl Gathered {
    /// Says what a sync would do. Asks nobody.
    #[must_use]
    pub fn foresee(self, ctx: &Context) -> Foreseen {
        let Self {
            run,
            mut refusals,
            closed_until,
            look,
            own,
            full,
        } = self;
        let by_itself = match (&own, &look) {
            (Own::Unknown(causes), _) => ByItself {
                enabled: run.subject.spec.automated().is_some(),
                causes: causes.clone(),
                ..ByItself::default()
            },
            (Own::Other(look), _) => by_itself(ctx, &run.subject, look, full),
            (Own::Same, Some(look)) => by_itself(ctx, &run.subject, look, full),
            (Own::Same, None) => ByItself::default(),
        };
        let selective = !run.state.operation.sync.resources.is_empty();
        let at_hand = look.as_ref().and_then(|look| {
            let desired = look.desired.as_ref().ok()?;
            Some((look, desired))
        });
        let Some((look, desired)) = at_hand else {
            return Foreseen {
                revisions: Vec::new(),
                sync: SyncCode::Unknown,
                refusals,
                closed_until,
                renders: Vec::new(),
                outline: Outline::default(),
                selective,
                by_itself,
            };
        };
        let (plan, outline) = make_plan(ctx, &run, desired, look, false, |plan, request| {
            let (prepared, comparison) = (&desired.prepared, &look.comparison);
            let outline = outline::outline(&plan, prepared, comparison, request, BOUNDS);
            (plan, outline)
        });
        refusals.extend(no_room(&run.subject, &plan));
        refusals.extend(plan.refusals);
        Foreseen {
            revisions: desired.revisions.clone(),
            sync: look.comparison.sync,
            refusals,
            closed_until,
            renders: made(desired),
            outline,
            selective,
            by_itself,
        }
    }
}

/// How the manifests came about, by the sources that make some.
fn made(desired: &Desired) -> Vec<Made> {
    let sources = desired.sources.iter().zip(&desired.revisions).zip(1..);
    let making =
        sources.filter(|((one, _), _)| subject::source(one).is_ok_and(|source| source.yields()));
    let rendered = desired.source_types.iter().zip(&desired.makings);
    making
        .zip(rendered)
        .map(|(((_, revision), position), (tool, making))| Made {
            position,
            revision: revision.clone(),
            tool: *tool,
            making: making.clone(),
        })
        .collect()
}

/// Why the tenant may not have the namespace that a plan makes: it has as many as it may.
fn no_room(subject: &Subject, plan: &Plan) -> Option<Cause> {
    let facts = subject.tenant();
    let allowed = facts.tenant.allowed(Quota::Namespaces)?;
    let made = |step: &&engine::plan::Step| matches!(step.action, Action::CreateNamespace { .. });
    let step = plan.steps.iter().find(made)?;
    let used = facts.tenant.namespaces.len();
    let room = facts.makes_namespaces() || facts.owns(&step.key.name) || (used as u64) < allowed;
    (!room).then(|| {
        let message = message::tenant::QUOTA_REACHED
            .with("quota", Quota::Namespaces.as_str())
            .with("used", used)
            .with("allowed", allowed);
        Cause::error(message).field("spec.destination.namespace")
    })
}

/// What an application would do by itself that was compared with what its spec wants.
fn by_itself(ctx: &Context, subject: &Subject, look: &Look, full: bool) -> ByItself {
    let status = look::status(ctx, subject, look, lasting(&subject.app, look), false);
    let revision = status.revisions.join(", ");
    let told = |answer, cause| ByItself {
        enabled: subject.spec.automated().is_some(),
        answer,
        causes: vec![cause],
        ..ByItself::default()
    };
    match decided(ctx, subject, &status) {
        Decision::Nothing(idle) => {
            let message = match idle {
                Idle::Off => message::plan::AUTO_OFF.message(),
                Idle::Deleting => message::plan::DELETING.message(),
                Idle::Busy => message::plan::BUSY.message(),
                Idle::InStep => message::plan::AUTO_IN_STEP.with("sync", status.sync.as_str()),
                Idle::OnlyPruning => message::plan::AUTO_ONLY_PRUNING.message(),
                Idle::SyncedOnce => message::plan::AUTO_SYNCED_ONCE.with("revision", revision),
            };
            told(Answer::Nothing, Cause::reason(message))
        }
        Decision::Wait(until) => {
            let time = until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            let message = message::plan::AUTO_WAITS.with("time", time);
            ByItself {
                until: Some(until),
                ..told(Answer::Waits, Cause::reason(message))
            }
        }
        Decision::Refused(cause) => told(Answer::Refused, *cause),
        Decision::Closed(closed) => ByItself {
            until: closed.until,
            ..told(Answer::Closed, closed.cause)
        },
        Decision::Sync(operation) => {
            if let Some(cause) = unseen(ctx, subject) {
                return told(Answer::Waits, cause);
            }
            if full {
                let allowed = subject.tenant().tenant.allowed(Quota::Operations);
                let allowed = allowed.unwrap_or_default();
                let message = message::plan::AUTO_FULL.with("allowed", allowed);
                return told(Answer::Waits, Cause::reason(message));
            }
            let message = message::plan::AUTO_BEGINS.with("revision", revision);
            ByItself {
                operation: Some(operation),
                ..told(Answer::Begins, Cause::reason(message))
            }
        }
    }
}
