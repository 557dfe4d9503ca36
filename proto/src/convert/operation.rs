//! Operations and how they went.

use domain::application::HistoryEntry;
use domain::cause::Cause;
use domain::message::Language;
use domain::operation::{
    Initiator, Operation, OperationState, ResourceResult, ResultCode, SyncResult,
};
use serde_json::Value;

use super::{document, text, time};
use crate::v1alpha1;

/// The argument of a sentence about retries that holds what the attempt came to.
const OUTCOME: &str = "outcome";

/// One source, or several, as `source`/`sources` and `revision`/`revisions` tell them apart.
pub(super) struct Sources {
    pub(super) source: Option<v1alpha1::ApplicationSource>,
    pub(super) sources: Vec<v1alpha1::ApplicationSource>,
    pub(super) revision: Option<String>,
    pub(super) revisions: Vec<String>,
}

impl Sources {
    pub(super) fn new(sources: &[Value], revisions: &[String], multiple: bool) -> Self {
        if multiple {
            let sources = sources.iter().map(document).collect();
            return Self {
                source: None,
                sources,
                revision: None,
                revisions: revisions.to_vec(),
            };
        }
        Self {
            source: sources.first().map(document),
            sources: Vec::new(),
            revision: revisions.first().and_then(|revision| text(revision)),
            revisions: Vec::new(),
        }
    }
}

/// An operation, whose JSON is the wire's.
pub(super) fn to_wire(operation: &Operation) -> v1alpha1::Operation {
    document(&serde_json::to_value(operation).unwrap_or_default())
}

/// How an operation goes.
pub(super) fn state(state: &OperationState, language: Language) -> v1alpha1::OperationState {
    v1alpha1::OperationState {
        operation: Some(to_wire(&state.operation)),
        phase: text(state.phase.as_str()),
        message: text(&message(state, language)),
        sync_result: state.result.as_ref().map(result),
        started_at: Some(time::to_wire(state.started_at)),
        finished_at: state.finished_at.map(time::to_wire),
        retry_count: Some(state.retry_count),
    }
}

/// One text: the sentence, and after it each cause. Where the sentence is a cause's own, that cause stands in its place, with what
/// else it says, so that nothing is said twice.
fn message(state: &OperationState, language: Language) -> String {
    let sentence = &state.message;
    let outcome = sentence.arguments.get(OUTCOME);
    let is_sentence = |cause: &Cause| {
        cause.message == *sentence
            // A sentence within another one is kept as its English text.
            || outcome.is_some_and(|outcome| *outcome == cause.message.to_string())
    };
    let said = state.causes.iter().position(is_sentence);
    let mut message = match said.and_then(|at| state.causes.get(at)) {
        Some(cause) if cause.message == *sentence => cause.render(language),
        Some(cause) => {
            let whole = sentence.clone().with(OUTCOME, cause.render(language));
            whole.render(language)
        }
        None => sentence.render(language),
    };
    let causes = state.causes.iter().enumerate();
    let others = causes.filter(|(at, _)| said != Some(*at));
    for (nth, (_, cause)) in others.enumerate() {
        let begins = nth == 0 && said.is_none();
        message.push_str(if begins { ": " } else { "; " });
        message.push_str(&cause.render(language));
    }
    message
}

fn result(result: &SyncResult) -> v1alpha1::SyncOperationResult {
    let Sources {
        source,
        sources,
        revision,
        revisions,
    } = Sources::new(&result.sources, &result.revisions, result.multiple);
    v1alpha1::SyncOperationResult {
        resources: result.resources.iter().map(resource).collect(),
        revision,
        source,
        sources,
        revisions,
        managed_namespace_metadata: result.managed_namespace_metadata.as_ref().map(document),
    }
}

fn resource(result: &ResourceResult) -> v1alpha1::ResourceResult {
    v1alpha1::ResourceResult {
        group: text(&result.key.group),
        version: text(&result.version),
        kind: text(&result.key.kind),
        namespace: text(&result.key.namespace),
        name: text(&result.key.name),
        status: text(result.status.map_or("", ResultCode::as_str)),
        message: text(&result.message),
        hook_type: result.hook.then(|| result.sync_phase.clone()),
        hook_phase: text(result.hook_phase.as_str()),
        sync_phase: text(&result.sync_phase),
        images: result.images.clone(),
    }
}

/// One past deployment.
pub(super) fn history(entry: &HistoryEntry) -> v1alpha1::RevisionHistory {
    let Sources {
        source,
        sources,
        revision,
        revisions,
    } = Sources::new(&entry.sources, &entry.revisions, entry.multiple);
    v1alpha1::RevisionHistory {
        revision,
        deployed_at: Some(time::to_wire(entry.deployed_at)),
        id: Some(entry.id),
        source,
        deploy_started_at: Some(time::to_wire(entry.deploy_started_at)),
        sources,
        revisions,
        initiated_by: Some(initiator(&entry.initiated_by)),
    }
}

fn initiator(by: &Initiator) -> v1alpha1::OperationInitiator {
    v1alpha1::OperationInitiator {
        username: text(&by.username),
        automated: Some(by.automated),
    }
}

#[cfg(test)]
mod tests {
    use domain::clock::Timestamp;
    use domain::message::{self, Message};
    use domain::operation::Phase;

    use super::*;

    fn said(message: Message, causes: Vec<Cause>) -> String {
        let state = OperationState {
            operation: Operation::default(),
            phase: Phase::Failed,
            message,
            causes,
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: None,
            retry_count: 0,
            result: None,
        };
        super::message(&state, Language::English)
    }

    fn not_yours() -> Cause {
        let message = message::sync::NAMESPACE_NOT_YOURS
            .with("namespace", "naru")
            .with("allowed", "user01");
        Cause::error(message).field("spec.destination.namespace")
    }

    #[test]
    fn a_cause_that_is_the_sentence_is_said_once() {
        let (cause, other) = (
            not_yours(),
            Cause::error(message::sync::REFUSED.message()).field("f"),
        );
        let (whole, beside) = (
            cause.render(Language::English),
            other.render(Language::English),
        );
        let alone = said(cause.message.clone(), vec![cause.clone()]);
        assert_eq!(alone, whole);
        let second = said(cause.message.clone(), vec![other.clone(), cause.clone()]);
        assert_eq!(second, format!("{whole}; {beside}"));
        let retried = message::sync::RETRIED
            .with("outcome", &cause.message)
            .with("count", 2);
        let retried = said(retried, vec![cause, other]);
        assert_eq!(retried, format!("{whole} (retried 2 times).; {beside}"));
    }

    #[test]
    fn a_sentence_of_its_own_stands_before_its_causes() {
        let (cause, failed) = (not_yours(), message::sync::APPLY_FAILED.message());
        let whole = cause.render(Language::English);
        let one = said(failed.clone(), vec![cause.clone()]);
        assert_eq!(one, format!("{failed}: {whole}"));
        let other = Cause::error(message::sync::REFUSED.message());
        let beside = other.render(Language::English);
        let two = said(failed.clone(), vec![cause, other]);
        assert_eq!(two, format!("{failed}: {whole}; {beside}"));
        assert_eq!(said(failed.clone(), Vec::new()), failed.to_string());
    }
}
