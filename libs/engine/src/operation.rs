//! The states of an operation: begun, taken up again, ended for good or until its next try.

use domain::cause::Cause;
use domain::clock::Timestamp;
use domain::message::{self, Message};
use domain::operation::{Operation, OperationState, Phase, SyncRequest, SyncResult};
use serde_json::Value;

use crate::retry::{self, Again};

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// In a word.
    pub phase: Phase,
    /// In a sentence.
    pub message: Message,
    /// Why, where it did not end well.
    pub causes: Vec<Cause>,
}

impl End {
    /// Puts the three together.
    #[must_use]
    pub fn new(phase: Phase, message: Message, causes: Vec<Cause>) -> Self {
        Self {
            phase,
            message,
            causes,
        }
    }
}

/// An operation that somebody goes on with.
#[derive(Clone, Debug, PartialEq)]
pub struct TakenUp {
    /// Where it stands.
    pub state: OperationState,
    /// Whether it begins only now.
    pub begun: bool,
    /// When its next try comes; there is nothing to do before.
    pub until: Option<Timestamp>,
}

/// The state of an operation that begins.
#[must_use]
pub fn begin(asked: Operation, now: Timestamp) -> OperationState {
    OperationState {
        operation: asked,
        phase: Phase::Running,
        message: message::sync::RUNNING.message(),
        causes: Vec::new(),
        started_at: now,
        finished_at: None,
        retry_count: 0,
        result: None,
    }
}

/// Takes up the operation that is asked for where the record says it stands: a record of another one, or of one that has
/// ended, says nothing of it.
#[must_use]
pub fn take_up(recorded: Option<&OperationState>, asked: Operation, now: Timestamp) -> TakenUp {
    let under_way = recorded.filter(|state| !state.phase.completed() && state.operation == asked);
    let begun = under_way.is_none();
    let mut state = under_way.cloned().unwrap_or_else(|| begin(asked, now));
    let finished = state
        .finished_at
        .filter(|_| state.phase != Phase::Terminating);
    let Some(finished) = finished else {
        return TakenUp {
            state,
            begun,
            until: None,
        };
    };
    // It waits for its next try.
    let again = retry::again(&state.operation.retry, state.retry_count, finished);
    let until = again.map(|again| again.at).filter(|at| *at > now);
    if until.is_none() {
        state.finished_at = None;
    }
    if let (Some(again), None) = (again, until) {
        state.retry_count = again.attempt;
        state.result = None;
        state.causes.clear();
        state.message = message::sync::RUNNING.message();
    }
    TakenUp {
        state,
        begun,
        until,
    }
}

/// Whether an operation is over because somebody stopped it, or because it had taken the time that it may.
#[must_use]
pub fn was_stopped(state: &OperationState) -> bool {
    use message::sync::{NOT_TERMINATED, TERMINATED, TIMED_OUT};
    let ends = [TERMINATED, NOT_TERMINATED, TIMED_OUT];
    state.phase.completed() && ends.iter().any(|code| state.message.is(code))
}

/// Whether an attempt has yet to find out which revisions are the newest: it is a retry that is to take them up.
#[must_use]
pub fn takes_newest(state: &OperationState) -> bool {
    refreshed(state) && state.result.is_none()
}

/// The revisions that an attempt deploys, one per source; a source's own where there is none. A retry that takes up newer
/// ones forgets those that were asked for, and stays with what it found when it began.
#[must_use]
pub fn revisions(state: &OperationState, multiple: bool) -> Vec<Option<String>> {
    let asked = &state.operation.sync;
    let several = |revisions: &[String]| revisions.iter().cloned().map(Some).collect();
    match &state.result {
        Some(result) if refreshed(state) => several(&result.revisions),
        None if refreshed(state) => Vec::new(),
        _ if multiple => several(&asked.revisions),
        _ => vec![Some(asked.revision.clone())],
    }
}

fn refreshed(state: &OperationState) -> bool {
    state.operation.retry.refresh && state.retry_count > 0
}

/// When an operation is tried again; `None` where it does not wait for that.
#[must_use]
pub fn next_try(state: &OperationState) -> Option<Again> {
    let finished = state
        .finished_at
        .filter(|_| state.phase == Phase::Running)?;
    retry::again(&state.operation.retry, state.retry_count, finished)
}

/// That an operation waits for its next try, and what ends that.
#[must_use]
pub fn retry_waits(state: &OperationState) -> Option<Cause> {
    let again = next_try(state)?;
    let revisions = state.result.as_ref().map(|result| &result.revisions);
    let revision = match revisions {
        Some(revisions) if !revisions.is_empty() => revisions.join(", "),
        // It has not come to know of any.
        _ => "HEAD".to_owned(),
    };
    let message = message::sync::RETRY_WAITS
        .with("revision", revision)
        .with("attempt", again.attempt)
        .with("time", again.at.format("%Y-%m-%d %H:%M:%S UTC"));
    Some(Cause::reason(message))
}

/// Whether an operation waits for its next try though Git says something else by now than what failed. Only one that nobody asked
/// for is superseded by that: what a person asked for keeps its revision.
#[must_use]
pub fn is_superseded(state: &OperationState, revisions: &[String], sources: &[Value]) -> bool {
    let by = &state.operation.initiated_by;
    let by_itself = by.automated && by.username.is_empty();
    let differs = |tried: &SyncResult| tried.revisions != revisions || tried.sources != sources;
    by_itself && next_try(state).is_some() && state.result.as_ref().is_some_and(differs)
}

/// Ends an operation that waits for its next try: there is none, for these revisions are in its place.
pub fn supersede(state: &mut OperationState, revisions: &[String], now: Timestamp) {
    let outcome = state.message.arguments.get("outcome").cloned();
    let outcome = outcome.unwrap_or_else(|| state.message.to_string());
    state.message = message::sync::SUPERSEDED
        .with("outcome", outcome)
        .with("revision", revisions.join(", "));
    state.phase = Phase::Failed;
    state.finished_at = Some(now);
}

/// Ends an attempt: for good, or until the next one, which is then the answer. Who stopped an operation wants no further
/// try. One that has come to nothing is on record with what it was for, so that it does not begin again by itself.
pub fn conclude(state: &mut OperationState, ended: End, now: Timestamp) -> Option<Again> {
    let failed =
        matches!(ended.phase, Phase::Failed | Phase::Error) && state.phase != Phase::Terminating;
    state.finished_at = Some(now);
    let request = &state.operation.sync;
    state.result.get_or_insert_with(|| nothing_done(request));
    state.causes = ended.causes;
    let again = retry::again(&state.operation.retry, state.retry_count, now).filter(|_| failed);
    let outcome = ended.message.to_string();
    state.message = match (&again, state.retry_count) {
        (Some(again), _) => message::sync::RETRYING
            .with("outcome", outcome)
            .with("attempt", again.attempt)
            .with("time", again.announced.format("%-I:%M%p")),
        (None, 0) => ended.message,
        (None, count) => message::sync::RETRIED
            .with("outcome", outcome)
            .with("count", count),
    };
    state.phase = match again {
        Some(_) => Phase::Running,
        None => ended.phase,
    };
    again
}

/// The result of an attempt that has come to nothing: what was asked for, as far as the request names it.
fn nothing_done(request: &SyncRequest) -> SyncResult {
    let multiple = !request.sources.is_empty();
    let (revisions, sources) = if multiple {
        (request.revisions.clone(), request.sources.clone())
    } else {
        let revision = Some(request.revision.clone()).filter(|revision| !revision.is_empty());
        (
            revision.into_iter().collect(),
            request.source.iter().cloned().collect(),
        )
    };
    SyncResult {
        revisions,
        sources,
        multiple,
        ..SyncResult::default()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use domain::application::Retry;
    use domain::operation::{Initiator, SyncResult};
    use serde_json::json;

    use super::*;

    fn asked(limit: i64) -> Operation {
        Operation {
            retry: Retry {
                limit,
                ..Retry::default()
            },
            ..Operation::default()
        }
    }

    fn failed() -> End {
        End::new(
            Phase::Failed,
            message::sync::APPLY_FAILED.message(),
            Vec::new(),
        )
    }

    #[test]
    fn a_failed_attempt_waits_for_its_next_try_and_the_last_one_ends_it() {
        let start = Timestamp::UNIX_EPOCH;
        let mut state = begin(asked(1), start);
        let again = conclude(&mut state, failed(), start).unwrap();
        assert_eq!((state.phase, again.attempt), (Phase::Running, 1));
        let early = take_up(Some(&state), asked(1), again.at - TimeDelta::seconds(1));
        assert_eq!((early.until, early.begun), (Some(again.at), false));
        let due = take_up(Some(&state), asked(1), again.at);
        assert_eq!((due.until, due.state.retry_count), (None, 1));
        assert!(due.state.finished_at.is_none() && due.state.result.is_none());
        state = due.state;
        assert!(conclude(&mut state, failed(), again.at).is_none());
        assert_eq!(state.phase, Phase::Failed);
    }

    #[test]
    fn what_is_on_record_of_another_operation_says_nothing_of_this_one() {
        let state = begin(asked(1), Timestamp::UNIX_EPOCH);
        let later = Timestamp::UNIX_EPOCH + TimeDelta::seconds(9);
        let other = take_up(Some(&state), asked(2), later);
        assert_eq!((other.begun, other.state.started_at), (true, later));
        let same = take_up(Some(&state), asked(1), later);
        assert_eq!((same.begun, same.state), (false, state));
    }

    #[test]
    fn one_that_came_to_nothing_is_on_record_with_what_it_was_for() {
        let concluded = |request: SyncRequest| {
            let operation = Operation {
                sync: request,
                ..Operation::default()
            };
            let mut state = begin(operation, Timestamp::UNIX_EPOCH);
            conclude(&mut state, failed(), Timestamp::UNIX_EPOCH);
            state.result.unwrap()
        };
        let (a, b) = (json!({"repoURL": "a"}), json!({"repoURL": "b"}));
        let one = concluded(SyncRequest {
            revision: "r".into(),
            source: Some(a.clone()),
            ..SyncRequest::default()
        });
        assert_eq!((one.revisions, one.multiple), (vec!["r".to_owned()], false));
        assert_eq!(one.sources, std::slice::from_ref(&a));
        let revisions = vec!["r".to_owned(), "s".to_owned()];
        let several = concluded(SyncRequest {
            revisions: revisions.clone(),
            sources: vec![a.clone(), b.clone()],
            ..SyncRequest::default()
        });
        assert_eq!((several.revisions, several.multiple), (revisions, true));
        assert_eq!(several.sources, [a, b]);
    }

    #[test]
    fn a_retry_takes_up_newer_revisions_once_where_that_is_asked_for() {
        let some = |revision: &str| vec![Some(revision.to_owned())];
        for refresh in [false, true] {
            let mut asked = asked(2);
            asked.retry.refresh = refresh;
            asked.sync.revision = "asked".into();
            asked.sync.revisions = vec!["of several".into()];
            let mut state = begin(asked, Timestamp::UNIX_EPOCH);
            assert!(!takes_newest(&state));
            assert_eq!(revisions(&state, false), some("asked"));
            assert_eq!(revisions(&state, true), some("of several"));
            state.retry_count = 1;
            assert_eq!(takes_newest(&state), refresh);
            let first = if refresh { vec![] } else { some("asked") };
            assert_eq!(revisions(&state, false), first);
            // What it found stays while it goes on.
            state.result = Some(SyncResult {
                revisions: vec!["found".into()],
                ..SyncResult::default()
            });
            assert!(!takes_newest(&state));
            let then = if refresh { "found" } else { "asked" };
            assert_eq!(revisions(&state, false), some(then));
        }
    }

    #[test]
    fn what_waits_for_its_next_try_is_superseded_only_where_nobody_asked_for_it() {
        let (start, sources) = (Timestamp::UNIX_EPOCH, [json!({"repoURL": "u"})]);
        let waiting = |by: Initiator| {
            let mut operation = asked(2);
            operation.initiated_by = by;
            operation.sync.revision = "old".into();
            operation.sync.source = Some(sources[0].clone());
            let mut state = begin(operation, start);
            assert!(next_try(&state).is_none() && retry_waits(&state).is_none());
            conclude(&mut state, failed(), start).unwrap();
            state
        };
        let by = |username: &str, automated| Initiator {
            username: username.into(),
            automated,
        };
        let (old, new) = (["old".to_owned()], ["new".to_owned()]);
        let asked_for = waiting(by("somebody", false));
        assert!(!is_superseded(&asked_for, &new, &sources));
        assert!(retry_waits(&asked_for).is_some());

        let mut state = waiting(by("", true));
        assert!(!is_superseded(&state, &old, &sources), "it is the newest");
        assert!(is_superseded(&state, &new, &sources));
        assert!(is_superseded(&state, &old, &[json!({"repoURL": "v"})]));
        let cause = retry_waits(&state).unwrap();
        assert_eq!(cause.message.arguments["revision"], "old");
        assert_eq!(cause.message.arguments["attempt"], "1");
        assert_eq!(
            cause.message.arguments["time"], "1970-01-01 00:00:10 UTC",
            "when it comes, not what Argo CD announces"
        );

        // One that runs, or is to be stopped, waits for nothing.
        let due = take_up(
            Some(&state),
            state.operation.clone(),
            start + TimeDelta::hours(1),
        );
        assert!(!is_superseded(&due.state, &new, &sources));
        let mut stopping = state.clone();
        stopping.phase = Phase::Terminating;
        assert!(!is_superseded(&stopping, &new, &sources));

        let later = start + TimeDelta::seconds(3);
        supersede(&mut state, &new, later);
        assert_eq!(
            (state.phase, state.finished_at),
            (Phase::Failed, Some(later))
        );
        assert!(state.message.is(&message::sync::SUPERSEDED));
        let outcome = &state.message.arguments["outcome"];
        assert_eq!(*outcome, message::sync::APPLY_FAILED.message().to_string());
        assert!(!is_superseded(&state, &new, &sources) && retry_waits(&state).is_none());
    }

    #[test]
    fn one_that_was_stopped_is_not_tried_again() {
        let mut state = begin(asked(5), Timestamp::UNIX_EPOCH);
        state.phase = Phase::Terminating;
        assert!(conclude(&mut state, failed(), Timestamp::UNIX_EPOCH).is_none());
        assert_eq!(state.phase, Phase::Failed);
    }
}
