//! What is shown of plans: of syncs, of deletions, and of the hooks of both.

use domain::cause::Location;
use domain::clock::Timestamp;
use domain::manifest::Replaced;
use domain::message::{self, Code};
use domain::operation::{Operation, Phase};
use domain::resource::{ResourceKey, is_leaving};
use domain::schema::SchemaSet;
use engine::claim::Claimant;
use engine::compare::{Ignored, Live};
use engine::operation::{self, End};
use engine::options::SyncOptions;
use engine::plan::{Action, Request};
use engine::prepare::{Prepared, Territory};
use serde_json::{Value, json};

use crate::case::Case;
use crate::lines;

/// The attempt of every case.
const ATTEMPT: engine::hooks::Attempt<'static> = engine::hooks::Attempt {
    revision: "0123456789abcdef",
    started_at: 1_767_225_600_000,
    retries: 0,
};

/// What an object means for the hook of its name: before that is made, to the apply that was answered with it, and when it is
/// on record as made.
pub(crate) fn hook(body: &Value) -> Value {
    use engine::hooks::{self, DeletePolicy};
    let key = ResourceKey::of(body);
    let phase = hooks::phases(body)
        .first()
        .copied()
        .expect("a well-formed case");
    let run = ATTEMPT.run(phase.as_str());
    let before = hooks::before(DeletePolicy::of(body), &run, Some(body));
    let answered = match is_leaving(body) {
        true => "not made",
        false => "made",
    };
    let standing = hooks::standing(&key, Some(body), &[], None);
    let recorded = json!([
        standing.phase.as_str(),
        standing.message,
        lines(&standing.causes)
    ]);
    json!({"object": key.to_string(), "before": format!("{before:?}"), "answered": answered, "on record": recorded})
}

/// After which ends of its operation a hook is deleted that our finalizer still keeps; after the others it is let go.
pub(crate) fn hook_left(body: &Value) -> Value {
    let key = ResourceKey::of(body);
    let at = Timestamp::from_timestamp_millis(ATTEMPT.started_at).expect("a well-formed attempt");
    let deletes = |code: &&Code| {
        let mut state = operation::begin(Operation::default(), at);
        let end = End::new(Phase::Failed, code.message(), Vec::new());
        operation::conclude(&mut state, end, at);
        engine::hooks::outlives(&key, body, &state, None)
    };
    let ends = [
        message::sync::TERMINATED,
        message::sync::NOT_TERMINATED,
        message::sync::TIMED_OUT,
        message::sync::WAVE_FAILED,
    ];
    let after: Vec<&str> = ends.iter().filter(deletes).map(|code| code.id).collect();
    json!({"object": key.to_string(), "deleted after": after})
}

/// What a case asks of a sync.
pub(crate) fn request<'a>(
    case: &'a Case,
    options: &'a SyncOptions,
    territory: Territory<'a>,
    (ignore, live, schema): (Ignored<'a>, &'a [Live<'a>], &'a SchemaSet),
) -> Request<'a> {
    Request {
        sync: &case.sync,
        options,
        namespace: &case.namespace,
        namespace_exists: case.namespace_exists,
        territory,
        namespace_metadata: case.namespace_metadata.as_ref(),
        approved: case.approved,
        attempt: ATTEMPT,
        ignore,
        live,
        schema,
    }
}

pub(crate) fn outlined(
    prepared: &Prepared,
    comparison: &engine::Comparison,
    request: &Request<'_>,
) -> Value {
    use engine::plan::outline::{Bounds, Change, Line, Phase, Wave};
    let plan = engine::plan(prepared, comparison, request);
    let bounds = Bounds {
        steps: 14,
        left: 5,
        fields: 2,
    };
    let outline = engine::plan::outline::outline(&plan, prepared, comparison, request, bounds);
    let at = |location: Option<&Location>| {
        let shown = location.map(|location| format!(" at {location}"));
        shown.unwrap_or_default()
    };
    let field = |change: &Change| {
        let place = at(change.location.as_ref());
        let from = change.variable.as_ref();
        let from = from.map_or_else(String::new, |names| format!(" from {names}"));
        format!("{} {}{place}{from}", change.kind.as_str(), change.path)
    };
    let line = |phase: &Phase, wave: &Wave, line: &Line| {
        let number = wave.wave.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let (deed, key, place) = (line.deed.as_str(), &line.key, at(line.location.as_ref()));
        let perhaps = if phase.on_failure() {
            ", should it fail"
        } else {
            ""
        };
        let phase = phase.phase.as_str();
        let shown = format!("{phase} wave {number}{perhaps}: {deed} {key}{place}");
        let fields: Vec<String> = line.fields.iter().map(field).collect();
        let mut told = vec![
            json!(shown),
            lines(&line.why),
            json!(fields),
            json!(line.more_fields),
        ];
        if !line.replaced.is_empty() {
            let shown = |one: &Replaced| {
                let Replaced {
                    field,
                    line,
                    variable,
                } = one;
                format!("{field} at {line} from {variable}")
            };
            told.push(line.replaced.iter().map(shown).collect());
        }
        Value::Array(told)
    };
    let mut steps = Vec::new();
    for phase in &outline.phases {
        for wave in &phase.waves {
            steps.extend(wave.lines.iter().map(|step| line(phase, wave, step)));
        }
    }
    let left = outline.left.iter().map(|left| {
        let shown = format!("{} {}", left.reason.as_str(), left.key);
        json!([shown, lines(std::slice::from_ref(&left.why))])
    });
    json!({"steps": steps, "left": left.collect::<Value>(), "counts": outline.counts,
        "not listed": [outline.more_steps, outline.more_left]})
}

pub(crate) fn planned(
    prepared: &Prepared,
    comparison: &engine::Comparison,
    request: &Request<'_>,
) -> Value {
    let plan = engine::plan(prepared, comparison, request);
    let steps: Vec<String> = plan
        .steps
        .iter()
        .chain(&plan.on_failure)
        .map(|step| {
            let action = match &step.action {
                Action::CreateNamespace { object } => {
                    let mut metadata = object["metadata"].clone();
                    metadata.as_object_mut().map(|fields| fields.remove("name"));
                    match metadata == json!({}) {
                        true => "create".to_owned(),
                        false => format!("create with {}", engine::canonical::text(&metadata)),
                    }
                }
                Action::Apply {
                    object,
                    how,
                    exists,
                    ..
                } => {
                    let mut words = vec![if *exists { "change" } else { "make" }];
                    words.extend((!how.server_side).then_some("client-side"));
                    words.extend(how.replace.then_some("replacing"));
                    words.extend(how.force.then_some("by force"));
                    words.extend((!how.validate).then_some("unchecked"));
                    words.extend((!how.migrate).then_some("taking nothing over"));
                    let target = prepared
                        .targets
                        .iter()
                        .find(|target| target.key == step.key);
                    let other = target
                        .is_some_and(|target| step.hook.is_none() && target.object != *object);
                    words.extend(other.then_some("but for what is left out"));
                    words.join(" ")
                }
                Action::Prune { uid, propagation } => format!("prune {uid} {propagation:?}"),
                Action::Keep(kept) => format!("keep: {}", kept.as_str()),
            };
            let mut hook = String::new();
            if let Some(policy) = step.hook {
                hook.push_str(", a hook that goes");
                for (goes, when) in [
                    (policy.before_creation, " before it is made"),
                    (policy.succeeded, " after success"),
                    (policy.failed, " after failure"),
                ] {
                    hook.push_str(if goes { when } else { "" });
                }
            }
            format!(
                "{} wave {} batch {}: {} {action}{hook}",
                step.phase.as_str(),
                step.wave,
                step.batch,
                step.key
            )
        })
        .collect();
    json!({"steps": steps, "refusals": lines(&plan.refusals)})
}

pub(crate) fn deletion(
    case: &Case,
    live: &[Live<'_>],
    claimant: &Claimant<'_>,
    options: &SyncOptions,
) -> Value {
    let propagation = engine::plan::cascade(["resources-finalizer.argocd.argoproj.io/background"])
        .expect("a well-formed case");
    let plan = engine::plan::deletion(live, claimant, options, propagation, case.approved);
    let names = |keys: &[ResourceKey]| keys.iter().map(ToString::to_string).collect::<Value>();
    let waves: Vec<Value> = plan
        .waves
        .iter()
        .map(|wave| wave.iter().map(|doomed| doomed.key.to_string()).collect())
        .collect();
    json!({"waves": waves, "left": plan.left, "kept": names(&plan.kept), "unconfirmed": names(&plan.unconfirmed)})
}

pub(crate) fn deletion_hooks(prepared: &Prepared, options: &SyncOptions) -> Value {
    use engine::plan::Moment;
    let hooks = |moment| {
        let steps = engine::plan::deletion_hooks(prepared, options, moment, 1_767_225_600_000);
        steps.map_or_else(
            |causes| lines(&causes),
            |steps| {
                let line = |step: engine::plan::Step| {
                    let phase = step.phase.as_str();
                    format!(
                        "{phase} wave {} batch {}: {}",
                        step.wave, step.batch, step.key
                    )
                };
                steps.into_iter().map(line).collect()
            },
        )
    };
    let finalizers = engine::plan::finalizer_change(prepared, []);
    json!({"finalizers": finalizers.add, "before": hooks(Moment::Before), "after": hooks(Moment::After)})
}
