//! How fast a plan is carried out: what is left of a wave, and what keeps it from beginning.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use domain::message::{self, Code, Message};
use domain::operation::{Phase, ResourceResult, ResultCode};
use domain::resource::ResourceKey;
use domain::status::HealthCode;

use super::{Action, Plan, Step, WAVE_DELAY_SECONDS};
use crate::health::Health;

/// A check of the tenant's own that fails is believed after this long: many read a status that is still to be written.
const CHECK_PATIENCE: Duration = Duration::from_secs(60);

/// What is known when a wave is to begin.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// What became of the steps so far.
    pub results: &'a [ResourceResult],
    /// How long ago the last wave ended, if whoever asks carried it out.
    pub since: Option<Duration>,
    /// How an object fares; `None` where it is not there, or nothing can be said of its kind.
    pub health: &'a dyn Fn(&ResourceKey) -> Option<Health>,
}

/// What keeps a wave from beginning.
#[derive(Clone, Debug, PartialEq)]
pub enum Barrier {
    /// Something takes its time; for this long at least, where that is known.
    Wait(Message, Option<Duration>),
    /// These objects, which were applied before, do not work.
    Failed(Vec<ResourceKey>),
}

/// What became of a step.
#[must_use]
pub fn result_of<'a>(step: &Step, results: &'a [ResourceResult]) -> Option<&'a ResourceResult> {
    results
        .iter()
        .find(|r| r.key == step.key && r.sync_phase == step.phase.as_str())
}

/// What became of some steps, by their objects: who asks of many does not look through all results for each.
struct Record<'a> {
    results: HashMap<&'a ResourceKey, Vec<&'a ResourceResult>>,
}

impl<'a> Record<'a> {
    fn new<'s>(steps: impl Iterator<Item = &'s Step>, results: &'a [ResourceResult]) -> Self {
        let keys: HashSet<&ResourceKey> = steps.map(|step| &step.key).collect();
        let mut record: HashMap<&ResourceKey, Vec<&ResourceResult>> = HashMap::new();
        for result in results.iter().filter(|result| keys.contains(&result.key)) {
            record.entry(&result.key).or_default().push(result);
        }
        Self { results: record }
    }

    fn of(&self, step: &Step) -> Option<&'a ResourceResult> {
        let mut results = self.results.get(&step.key)?.iter().copied();
        results.find(|result| result.sync_phase == step.phase.as_str())
    }
}

/// Notes what became of steps, in the place of what was noted before.
pub fn record(known: &mut Vec<ResourceResult>, fresh: Vec<ResourceResult>) {
    for fresh in fresh {
        let same = |known: &&mut ResourceResult| {
            known.key == fresh.key && known.sync_phase == fresh.sync_phase
        };
        match known.iter_mut().find(same) {
            Some(known) => *known = fresh,
            None => known.push(fresh),
        }
    }
}

/// A wave of no more steps is looked up as it is.
const FEW: usize = 16;

/// The steps of a wave that are still to be done. What the record says is done is not done again.
#[must_use]
pub fn left(wave: &[Step], results: &[ResourceResult]) -> Vec<Step> {
    let record = (wave.len() > FEW).then(|| Record::new(wave.iter(), results));
    let is_done = |step: &Step| {
        let result = match &record {
            Some(record) => record.of(step),
            None => result_of(step, results),
        };
        result.is_some_and(|r| r.status != Some(ResultCode::SyncFailed))
    };
    wave.iter().filter(|step| !is_done(step)).cloned().collect()
}

/// The steps that another process applied, as the record tells one that takes over and has ended no wave itself. What it
/// knows of their objects may be older than that: they are asked for before anything is concluded from them, and the wave
/// counts as ended then.
#[must_use]
pub fn of_others<'a>(
    plan: &'a Plan,
    results: &[ResourceResult],
    since: Option<Duration>,
) -> Vec<&'a Step> {
    if since.is_some() || plan.dry_run {
        return Vec::new();
    }
    let applied = |step: &&Step| step.hook.is_none() && matches!(step.action, Action::Apply { .. });
    let record = Record::new(plan.steps.iter(), results);
    let steps = plan.steps.iter().filter(applied);
    steps.filter(|step| record.of(step).is_some()).collect()
}

/// Those of the steps' hooks that have not ended.
#[must_use]
pub fn running<'a>(
    steps: impl Iterator<Item = &'a Step>,
    results: &[ResourceResult],
) -> Vec<&'a ResourceKey> {
    let hooks: Vec<&Step> = steps.filter(|step| step.hook.is_some()).collect();
    let record = Record::new(hooks.iter().copied(), results);
    let is_running = |step: &&Step| {
        record
            .of(step)
            .is_some_and(|r| r.hook_phase == Phase::Running)
    };
    let running = hooks.into_iter().filter(is_running);
    running.map(|step| &step.key).collect()
}

/// What an operation says that has nothing left to begin, or has failed, while hooks of these steps run: one that was begun runs to
/// its end, whatever becomes of the rest. `None` where none does.
#[must_use]
pub fn hooks_left<'a>(
    steps: impl Iterator<Item = &'a Step>,
    results: &[ResourceResult],
) -> Option<Message> {
    let running = running(steps, results);
    (!running.is_empty()).then(|| waiting_for_hooks(&running))
}

/// What keeps a wave from beginning, by the steps before it: these must be healthy. A namespace needs no waiting.
#[must_use]
pub fn barrier(before: &[Step], sight: &Sight<'_>) -> Option<Barrier> {
    let waited_for = |step: &Step| !matches!(step.action, Action::CreateNamespace { .. });
    if !before.iter().any(waited_for) {
        return None;
    }
    let running = running(before.iter(), sight.results);
    let applied = before
        .iter()
        .filter(|step| step.hook.is_none() && matches!(step.action, Action::Apply { .. }));
    let mut waiting: Vec<&ResourceKey> = Vec::new();
    let mut failed = Vec::new();
    for step in applied {
        match (sight.health)(&step.key).map_or(Verdict::Works, |h| verdict(&h, sight.since)) {
            Verdict::Fails => failed.push(step.key.clone()),
            Verdict::Waits => waiting.push(&step.key),
            Verdict::Works => {}
        }
    }
    // The delay gives controllers time to notice; what they then say counts.
    let delay = Duration::from_secs(WAVE_DELAY_SECONDS);
    let rest = sight.since.and_then(|since| delay.checked_sub(since));
    if let Some(rest) = rest.filter(|rest| !rest.is_zero()) {
        let message = match running.is_empty() {
            true => waiting_for_health(&waiting, before),
            false => waiting_for_hooks(&running),
        };
        return Some(Barrier::Wait(message, Some(rest)));
    }
    // A hook that was begun runs to its end, whatever becomes of the rest.
    if !running.is_empty() {
        return Some(Barrier::Wait(waiting_for_hooks(&running), None));
    }
    if !failed.is_empty() {
        return Some(Barrier::Failed(failed));
    }
    (!waiting.is_empty()).then(|| Barrier::Wait(waiting_for_health(&waiting, before), None))
}

/// What an object that was applied means for the next wave.
enum Verdict {
    Works,
    Waits,
    Fails,
}

/// What a wave concludes from how an object fares that was applied so long ago. Of one whose check fails nothing better is
/// heard before somebody corrects the script; of one that is not checked nothing is heard at all.
fn verdict(health: &Health, since: Option<Duration>) -> Verdict {
    use message::health::{CHECK_FAILED, CHECK_LEFT_OUT, CHECK_WORD};
    let because = |code: &Code| health.causes.iter().any(|cause| cause.message.is(code));
    let fails = because(&CHECK_FAILED) || because(&CHECK_WORD);
    let lasting = since.is_some_and(|since| since >= CHECK_PATIENCE);
    match health.code {
        HealthCode::Healthy => Verdict::Works,
        HealthCode::Degraded => Verdict::Fails,
        HealthCode::Unknown if because(&CHECK_LEFT_OUT) => Verdict::Works,
        HealthCode::Unknown if fails && lasting => Verdict::Fails,
        _ => Verdict::Waits,
    }
}

/// What an operation says that waits for hooks.
#[must_use]
pub fn waiting_for_hooks(keys: &[&ResourceKey]) -> Message {
    match keys {
        [] => message::sync::RUNNING.message(),
        [first] => message::sync::WAITING_HOOK.with("resource", named(first)),
        [first, rest @ ..] => message::sync::WAITING_HOOK_MORE
            .with("resource", named(first))
            .with("count", rest.len()),
    }
}

fn waiting_for_health(waiting: &[&ResourceKey], before: &[Step]) -> Message {
    let last = before.last().map(|step| &step.key);
    let Some(first) = waiting.first().copied().or(last) else {
        return message::sync::RUNNING.message();
    };
    let name = named(first);
    match waiting.len() {
        0 | 1 => message::sync::WAITING_HEALTHY.with("resource", name),
        count => message::sync::WAITING_HEALTHY_MORE
            .with("resource", name)
            .with("count", count - 1),
    }
}

/// `batch/Job/migrate`, as Argo CD names what it waits for.
#[must_use]
pub fn named(key: &ResourceKey) -> String {
    let name = format!("{}/{}/{}", key.group, key.kind, key.name);
    name.trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::health::{assess, checked, left_out, unchecked};
    use crate::hooks::DeletePolicy;
    use crate::plan::{How, SyncPhase};

    fn step(name: &str) -> Step {
        let how = How {
            server_side: true,
            replace: false,
            force: false,
            validate: true,
            migrate: true,
        };
        Step {
            phase: SyncPhase::Sync,
            wave: 0,
            batch: 0,
            key: ResourceKey {
                group: "apps".into(),
                kind: "Deployment".into(),
                namespace: "web".into(),
                name: name.into(),
            },
            version: "v1".into(),
            action: Action::Apply {
                object: Arc::new(json!({})),
                hash: [0; 32],
                how,
                exists: true,
            },
            hook: None,
        }
    }

    /// A workload of that name: `up`, `down`, or on its way.
    fn health(key: &ResourceKey) -> Option<Health> {
        let condition = json!({"type": "Progressing", "reason": "ProgressDeadlineExceeded"});
        let status = match key.name.as_str() {
            "up" => json!({"updatedReplicas": 1, "replicas": 1, "availableReplicas": 1}),
            "down" => json!({"conditions": [condition]}),
            _ => json!({"updatedReplicas": 0}),
        };
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": key.name},
            "spec": {"replicas": 1}, "status": status});
        assess(&object)
    }

    fn barrier_after(names: &[&str], since: Option<u64>) -> Option<Barrier> {
        let before: Vec<Step> = names.iter().map(|name| step(name)).collect();
        let sight = Sight {
            results: &[],
            since: since.map(Duration::from_secs),
            health: &health,
        };
        barrier(&before, &sight)
    }

    fn result(step: &Step) -> ResourceResult {
        ResourceResult {
            key: step.key.clone(),
            version: String::new(),
            status: Some(ResultCode::Synced),
            message: String::new(),
            hook_phase: Phase::Running,
            sync_phase: step.phase.as_str().to_owned(),
            hook: false,
            images: Vec::new(),
        }
    }

    #[test]
    fn a_long_wave_has_left_what_a_short_one_has() {
        let wave: Vec<Step> = (0..2 * FEW).map(|at| step(&at.to_string())).collect();
        let mut results: Vec<ResourceResult> = wave.iter().take(FEW).map(result).collect();
        results[3].status = Some(ResultCode::SyncFailed);
        results[5].sync_phase = SyncPhase::PreSync.as_str().to_owned();
        let names = |steps: Vec<Step>| -> Vec<String> {
            steps.into_iter().map(|step| step.key.name).collect()
        };
        let short = wave.chunks(FEW).flat_map(|wave| left(wave, &results));
        let short = names(short.collect());
        assert_eq!(names(left(&wave, &results)), short);
        assert_eq!(short[..3], ["3", "5", "16"]);
    }

    #[test]
    fn of_an_object_that_is_in_two_phases_each_has_its_own_result() {
        let hook = Step {
            hook: Some(DeletePolicy::of(&json!({}))),
            ..step("twice")
        };
        let before = Step {
            phase: SyncPhase::PreSync,
            ..hook.clone()
        };
        let mut ended = result(&before);
        ended.hook_phase = Phase::Succeeded;
        let results = [ended, result(&hook)];
        let left = |step: &Step| running([step].into_iter(), &results).len();
        assert_eq!((left(&before), left(&hook)), (0, 1));
    }

    #[test]
    fn the_hooks_beside_one_that_has_failed_run_to_their_end() {
        let hook = |name: &str| Step {
            hook: Some(DeletePolicy::of(&json!({}))),
            ..step(name)
        };
        let steps = [step("web"), hook("fails"), hook("slow"), hook("untried")];
        let mut results: Vec<ResourceResult> = steps[..3].iter().map(result).collect();
        results[1].hook_phase = Phase::Failed;
        let said = |results: &[ResourceResult]| hooks_left(steps.iter(), results);
        let slow = message::sync::WAITING_HOOK.with("resource", "apps/Deployment/slow");
        assert_eq!(said(&results), Some(slow));
        results[2].hook_phase = Phase::Succeeded;
        assert_eq!(
            said(&results),
            None,
            "one that was not begun is not waited for, nor what is no hook"
        );
    }

    #[test]
    fn what_another_process_applied_is_asked_for_once() {
        let plan = Plan {
            steps: vec![step("theirs"), step("left")],
            ..Plan::default()
        };
        let results = [result(&plan.steps[0])];
        let names = |since| {
            let steps = of_others(&plan, &results, since).into_iter();
            steps.map(|step| step.key.name.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(names(None), ["theirs"]);
        assert!(
            names(Some(Duration::ZERO)).is_empty(),
            "it has ended a wave itself"
        );
    }

    #[test]
    fn a_wave_begins_a_while_after_the_last_one_and_when_all_of_it_is_up() {
        assert_eq!(barrier_after(&[], Some(0)), None);
        let early = barrier_after(&["up"], Some(1));
        let rest = Some(Duration::from_secs(1));
        assert!(matches!(early, Some(Barrier::Wait(_, left)) if left == rest));
        assert_eq!(barrier_after(&["up"], Some(2)), None);
        assert_eq!(
            barrier_after(&["up"], None),
            None,
            "another process ended it"
        );
        let coming = barrier_after(&["up", "coming"], Some(9));
        assert!(matches!(coming, Some(Barrier::Wait(_, None))));
        let down = barrier_after(&["coming", "down"], Some(9));
        assert!(matches!(down, Some(Barrier::Failed(keys)) if !keys.is_empty()));
    }

    #[test]
    fn a_check_that_fails_keeps_a_wave_for_a_while_and_one_that_is_left_out_not_at_all() {
        let object = json!({"kind": "Widget", "metadata": {"name": "w"}});
        let after = |seconds, health: &Health| {
            let before = [step("w")];
            let sight = Sight {
                results: &[],
                since: Some(Duration::from_secs(seconds)),
                health: &|_| Some(health.clone()),
            };
            barrier(&before, &sight)
        };
        let broken = unchecked("attempt to index a nil value", &object);
        let word = checked("Fine", "", &object).unwrap();
        for health in [&broken, &word] {
            assert!(matches!(after(9, health), Some(Barrier::Wait(_, None))));
            assert!(matches!(after(60, health), Some(Barrier::Failed(_))));
        }
        let unknown = checked("Unknown", "", &object).unwrap();
        assert!(matches!(after(60, &unknown), Some(Barrier::Wait(_, None))));
        assert_eq!(after(9, &left_out("too many", &object)), None);
    }
}
