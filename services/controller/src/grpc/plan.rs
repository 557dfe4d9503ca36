//! What a sync would do, for readers: gathered as a sync gathers it, and told in the reader's language without any value.

use std::sync::Arc;
use std::time::Duration;

use crowd::places::{Place, Places};
use domain::cause::{Cause, Location};
use domain::clock::Timestamp;
use domain::manifest::Replaced;
use domain::message::{self, Language};
use domain::operation::Operation;
use domain::render::Answered;
use domain::resource::ResourceKey;
use domain::tenant::TenantId;
use engine::hooks::DeletePolicy;
use engine::plan::How;
use engine::plan::outline::{Change, Left, Line, Phase, Wave};
use proto::naru::internal::v1::PlanRequest;
use proto::naru::v1 as wire;
use tonic::{Code, Status};

use super::{database, refused, say, scene};
use crate::context::Context;
use crate::driver::queue::AppKey;
use crate::reconcile::Failure;
use crate::reconcile::operation::foresee::{self, ByItself, Foreseen, Made};
use crate::reconcile::subject;
use crate::repos::Making;

/// How many plans are made at once: for one tenant, and in all.
const AT_ONCE: (usize, usize) = (4, 64);
/// How long Git and the cluster may take for one: a tenant's own cluster may never answer.
const LONGEST: Duration = Duration::from_secs(120);

/// The plans that are being made.
#[derive(Clone)]
pub(super) struct Plans(Places<TenantId>);

impl Plans {
    pub(super) fn new() -> Self {
        Self(Places::new(AT_ONCE.0, AT_ONCE.1))
    }

    /// A place for one more.
    pub(super) fn enter(&self, tenant: TenantId) -> Result<Place<TenantId>, Status> {
        self.0.enter(tenant).map_err(|full| {
            let full = message::plan::FULL.with("limit", full.most());
            say(Code::ResourceExhausted, &full)
        })
    }
}

/// What a sync would do, and what the application would do by itself.
pub(super) async fn plan(
    ctx: &Arc<Context>,
    app: &AppKey,
    request: PlanRequest,
    turn: Place<TenantId>,
) -> Result<wire::SyncPlan, Status> {
    let asked: Operation = serde_json::from_slice(&request.operation)
        .map_err(|error| Status::invalid_argument(format!("the operation is none: {error}")))?;
    let teller = Teller(Language::accepted(&request.language).unwrap_or_default());
    let (row, tenant) = scene::find(ctx, app).await?;
    let uid = row.uid().to_owned();
    let read = subject::read(ctx, app, row, &tenant).await;
    let subject = match read.map_err(|error| database(&error))? {
        Ok(subject) => subject,
        Err((_, causes)) => return Ok(teller.hopeless(&causes)),
    };
    let mut memory = ctx.memory.copy(app, &uid);
    let gathering = foresee::gather(ctx, subject, asked, &mut memory);
    let late = |_| {
        refused(&cluster::Error::TimedOut {
            seconds: LONGEST.as_secs(),
        })
    };
    let gathered = tokio::time::timeout(LONGEST, gathering).await;
    let gathered = gathered
        .map_err(late)?
        .map_err(|failure| failed(&failure))?;
    let place = ctx.clone();
    // Many objects take a moment, in which the lease has to be kept. Who asked may be gone by then, and asks again.
    let told = tokio::task::spawn_blocking(move || {
        let told = teller.told(gathered.foresee(&place));
        drop(turn);
        told
    });
    told.await.map_err(|error| {
        tracing::error!(%error, "a plan could not be made");
        Status::internal("the plan could not be made")
    })
}

/// What did not answer.
fn failed(failure: &Failure) -> Status {
    match failure {
        Failure::Store(error) => database(error),
        Failure::Cluster(error) => refused(error),
        Failure::Repository(trouble) => scene::unknown(trouble),
        Failure::Unwritten(error) => Status::unavailable(error.to_string()),
        Failure::Broken => Status::internal(failure.to_string()),
    }
}

/// Tells a plan in a language.
#[derive(Clone, Copy)]
struct Teller(Language);

impl Teller {
    /// Of an application that only an edit can help.
    fn hopeless(self, causes: &[Cause]) -> wire::SyncPlan {
        let causes = self.causes(causes);
        wire::SyncPlan {
            sync: "Unknown".to_owned(),
            refusals: causes.clone(),
            auto_sync: Some(wire::AutoSyncPlan {
                answer: "nothing".to_owned(),
                causes,
                ..wire::AutoSyncPlan::default()
            }),
            ..wire::SyncPlan::default()
        }
    }

    fn told(self, foreseen: Foreseen) -> wire::SyncPlan {
        let Foreseen {
            revisions,
            sync,
            refusals,
            closed_until,
            renders,
            outline,
            selective,
            by_itself,
        } = foreseen;
        let counts = outline.counts.iter();
        wire::SyncPlan {
            application: String::new(),
            project: String::new(),
            revisions,
            sync: sync.as_str().to_owned(),
            would_begin: refusals.is_empty(),
            refusals: self.causes(&refusals),
            closed_until: time(closed_until),
            phases: outline.phases.iter().map(|p| self.phase(p)).collect(),
            left_alone: outline.left.iter().map(|left| self.left(left)).collect(),
            counts: counts
                .map(|(deed, count)| ((*deed).to_owned(), number(*count)))
                .collect(),
            more_steps: number(outline.more_steps),
            more_left_alone: number(outline.more_left),
            selective,
            auto_sync: Some(self.by_itself(by_itself)),
            renders: renders.iter().map(render).collect(),
        }
    }

    fn phase(self, phase: &Phase) -> wire::PlanPhase {
        let wave = |wave: &Wave| wire::PlanWave {
            wave: wave.wave.unwrap_or_default(),
            before_all: wave.wave.is_none(),
            steps: wave.lines.iter().map(|line| self.step(line)).collect(),
        };
        wire::PlanPhase {
            name: phase.phase.as_str().to_owned(),
            on_failure: phase.on_failure(),
            waves: phase.waves.iter().map(wave).collect(),
        }
    }

    fn step(self, line: &Line) -> wire::PlanStep {
        let ResourceKey {
            group,
            kind,
            namespace,
            name,
        } = line.key.clone();
        let (file, number_of_line) = written(line.location.as_ref());
        wire::PlanStep {
            group,
            version: line.version.clone(),
            kind,
            namespace,
            name,
            action: line.deed.as_str().to_owned(),
            method: line.how.map_or("", method).to_owned(),
            delete_policies: line.hook.map(policies).unwrap_or_default(),
            causes: self.causes(&line.why),
            fields: line.fields.iter().map(field).collect(),
            more_fields: number(line.more_fields),
            variables: line
                .replaced
                .iter()
                .map(|one| variable(one, &file))
                .collect(),
            file,
            line: number_of_line,
        }
    }

    fn left(self, left: &Left) -> wire::PlanLeft {
        let ResourceKey {
            group,
            kind,
            namespace,
            name,
        } = left.key.clone();
        wire::PlanLeft {
            group,
            version: left.version.clone(),
            kind,
            namespace,
            name,
            reason: left.reason.as_str().to_owned(),
            cause: Some(self.cause(&left.why)),
        }
    }

    fn by_itself(self, by_itself: ByItself) -> wire::AutoSyncPlan {
        let ByItself {
            enabled,
            answer,
            causes,
            until,
            operation,
        } = by_itself;
        let sync = operation
            .map(|operation| operation.sync)
            .unwrap_or_default();
        let revisions: Vec<String> = match sync.revisions.is_empty() {
            true => Some(sync.revision)
                .filter(|revision| !revision.is_empty())
                .into_iter()
                .collect(),
            false => sync.revisions,
        };
        wire::AutoSyncPlan {
            enabled,
            answer: answer.as_str().to_owned(),
            causes: self.causes(&causes),
            until: time(until),
            revisions,
            prune: sync.prune,
            resources: sync.resources.iter().map(ToString::to_string).collect(),
        }
    }

    fn causes(self, causes: &[Cause]) -> Vec<wire::PlanCause> {
        causes.iter().map(|cause| self.cause(cause)).collect()
    }

    fn cause(self, cause: &Cause) -> wire::PlanCause {
        let (file, line) = written(cause.location.as_ref());
        wire::PlanCause {
            code: cause.message.code.clone(),
            message: cause.message.render(self.0),
            severity: format!("{:?}", cause.severity),
            resource: cause
                .resource
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            field: cause.field.clone().unwrap_or_default(),
            file,
            line,
            evidence: cause.evidence.clone().unwrap_or_default(),
            variable: cause.variable.as_deref().unwrap_or_default().to_owned(),
        }
    }
}

/// A file, and a line of it; neither where they are not known.
fn written(location: Option<&Location>) -> (String, u32) {
    location.map_or_else(Default::default, |at| (at.path.clone(), at.line))
}

fn field(change: &Change) -> wire::PlanField {
    let (file, line) = written(change.location.as_ref());
    wire::PlanField {
        path: change.path.clone(),
        change: change.kind.as_str().to_owned(),
        file,
        line,
        variable: change.variable.as_deref().unwrap_or_default().to_owned(),
    }
}

/// A variable that was replaced in an object's file.
fn variable(replaced: &Replaced, file: &str) -> wire::PlanVariable {
    wire::PlanVariable {
        name: replaced.variable.clone(),
        field: replaced.field.clone(),
        file: file.to_owned(),
        line: replaced.line,
    }
}

/// How a source's manifests were come by.
fn render(made: &Made) -> wire::PlanRender {
    let Making {
        answered,
        elsewhere,
    } = &made.making;
    let answered = answered.as_ref();
    let changed = answered.and_then(Answered::changed);
    let elsewhere = elsewhere.iter().map(|one| wire::PlanVariable {
        name: one.variable.clone(),
        field: String::new(),
        file: one.location.path.clone(),
        line: one.location.line,
    });
    wire::PlanRender {
        source_position: number(made.position),
        revision: made.revision.clone(),
        tool: made.tool.as_str().to_owned(),
        cache: answered.map_or("", Answered::as_str).to_owned(),
        changed: changed
            .map_or("", |changed| changed.what.as_str())
            .to_owned(),
        changed_name: changed.map_or_else(String::new, |changed| changed.name.clone()),
        variables: elsewhere.collect(),
    }
}

fn method(how: How) -> &'static str {
    match how {
        How { replace: true, .. } => "replace",
        How {
            server_side: true, ..
        } => "server-side",
        How { .. } => "client-side",
    }
}

/// The words of Argo CD's annotation.
fn policies(policy: DeletePolicy) -> Vec<String> {
    let DeletePolicy {
        before_creation,
        succeeded,
        failed,
    } = policy;
    let all = [
        (before_creation, "BeforeHookCreation"),
        (succeeded, "HookSucceeded"),
        (failed, "HookFailed"),
    ];
    let said = all.into_iter().filter(|(said, _)| *said);
    said.map(|(_, word)| word.to_owned()).collect()
}

fn time(at: Option<Timestamp>) -> String {
    let shown = at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    shown.unwrap_or_default()
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use domain::manifest::{ReplacedElsewhere, SourceType};
    use domain::render::{Changed, Read};

    use super::*;

    #[test]
    fn a_cause_is_told_in_the_readers_language_with_its_place() {
        let key = ResourceKey {
            kind: "ConfigMap".into(),
            name: "a".into(),
            ..ResourceKey::default()
        };
        let message = message::plan::CREATES.with("resource", &key);
        let place = Location {
            path: "app/a.yaml".into(),
            line: 3,
        };
        let cause = Cause::reason(message.clone()).on(key).located(Some(place));
        let cause = cause.variable(Some("USER_IDENTITY".into()));
        let told = Teller(Language::Korean).cause(&cause);
        assert_eq!(told.variable, "USER_IDENTITY");
        assert_eq!(told.message, message.render(Language::Korean));
        assert_eq!(
            (told.code.as_str(), told.severity.as_str()),
            ("plan.creates", "Reason")
        );
        assert_eq!((told.file.as_str(), told.line), ("app/a.yaml", 3));
        assert_eq!(told.resource, "ConfigMap a");
    }

    #[test]
    fn what_kept_the_cache_from_answering_is_told_with_what_was_replaced() {
        let changed = Changed::new(Read::Path, "app/a.yaml");
        let replaced = ReplacedElsewhere {
            location: Location {
                path: "app/values.yaml".into(),
                line: 3,
            },
            variable: "USER_IDENTITY".into(),
        };
        let mut made = Made {
            position: 2,
            revision: "c0ffee".into(),
            tool: SourceType::Helm,
            making: Making {
                answered: Some(Answered::Changed(changed)),
                elsewhere: [replaced].into(),
            },
        };
        let told = render(&made);
        assert_eq!((told.source_position, told.tool.as_str()), (2, "Helm"));
        let why = (told.cache, told.changed, told.changed_name);
        let expected = ("changed", "path", "app/a.yaml");
        assert_eq!((&*why.0, &*why.1, &*why.2), expected);
        let [variable] = &told.variables[..] else {
            panic!("{:?}", told.variables);
        };
        let place = (variable.file.as_str(), variable.line);
        assert_eq!(variable.name, "USER_IDENTITY");
        assert_eq!(place, ("app/values.yaml", 3));
        made.making = Making::default();
        assert_eq!(render(&made).cache, "", "nobody has said it");
    }

    #[test]
    fn how_an_object_is_applied_and_when_a_hook_goes_are_words() {
        let how = How {
            server_side: true,
            replace: false,
            force: false,
            validate: true,
            migrate: true,
        };
        assert_eq!(method(how), "server-side");
        let by_client = How {
            server_side: false,
            ..how
        };
        assert_eq!(method(by_client), "client-side");
        let replaced = How {
            replace: true,
            ..how
        };
        assert_eq!(method(replaced), "replace");
        let policy = DeletePolicy {
            before_creation: true,
            succeeded: false,
            failed: true,
        };
        assert_eq!(policies(policy), ["BeforeHookCreation", "HookFailed"]);
    }
}
