//! Operations and how they went.

use domain::application::HistoryEntry;
use domain::message::Language;
use domain::operation::{
    Initiator, Operation, OperationState, ResourceResult, ResultCode, SyncResult,
};
use serde_json::Value;

use super::{document, text, time};
use crate::v1alpha1;

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

/// How an operation goes. Its message is one text: the sentence, and after it each cause.
pub(super) fn state(state: &OperationState, language: Language) -> v1alpha1::OperationState {
    let mut message = state.message.render(language);
    for (at, cause) in state.causes.iter().enumerate() {
        message.push_str(if at == 0 { ": " } else { "; " });
        message.push_str(&cause.render(language));
    }
    v1alpha1::OperationState {
        operation: Some(to_wire(&state.operation)),
        phase: text(state.phase.as_str()),
        message: text(&message),
        sync_result: state.result.as_ref().map(result),
        started_at: Some(time::to_wire(state.started_at)),
        finished_at: state.finished_at.map(time::to_wire),
        retry_count: Some(state.retry_count),
    }
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
