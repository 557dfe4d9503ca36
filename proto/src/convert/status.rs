//! What the controller says, for clients.

use domain::application::{CONTROL_PLANE_NAMESPACE, Destination};
use domain::cause::Cause;
use domain::message::Language;
use domain::status::{ResourceStatus, Status, SyncCode};

use super::operation::{self, Sources};
use super::{condition, document, text, time};
use crate::v1alpha1;

pub(super) fn to_wire(status: &Status, language: Language) -> v1alpha1::ApplicationStatus {
    let compared = !status.compared_sources.is_empty();
    // Nothing has looked at it yet, which clients know by empty words rather than by `Unknown`.
    let untouched = !compared && status.reconciled_at.is_none() && status.causes.is_empty();
    let Sources {
        source,
        sources,
        revision,
        revisions,
    } = Sources::new(&status.compared_sources, &status.revisions, status.multiple);
    let mut types = status
        .source_types
        .iter()
        .map(|kind| kind.as_str().to_owned());
    let since = |at: usize| status.cause_since.get(at).copied();
    v1alpha1::ApplicationStatus {
        resources: status.resources.iter().map(resource).collect(),
        sync: Some(v1alpha1::SyncStatus {
            status: (!untouched).then(|| status.sync.as_str().to_owned()),
            compared_to: Some(v1alpha1::ComparedTo {
                source,
                destination: compared.then(|| destination(&status.compared_destination)),
                sources,
                ignore_differences: status
                    .compared_ignore_differences
                    .iter()
                    .map(document)
                    .collect(),
            }),
            revision,
            revisions,
        }),
        health: Some(v1alpha1::AppHealthStatus {
            status: status.health.map(|health| health.as_str().to_owned()),
            message: None,
            last_transition_time: status.health_since.map(time::to_wire),
        }),
        history: status.history.iter().map(operation::history).collect(),
        conditions: (status.causes.iter().enumerate())
            .map(|(at, cause)| {
                condition::to_wire(cause, since(at), failed_by(status, cause), language)
            })
            .collect(),
        reconciled_at: status.reconciled_at.map(time::to_wire),
        operation_state: status
            .operation
            .as_ref()
            .map(|state| operation::state(state, language)),
        observed_at: None,
        source_type: if status.multiple { None } else { types.next() },
        summary: Some(v1alpha1::ApplicationSummary {
            external_ur_ls: status.external_urls.clone(),
            images: status.images.clone(),
            is_app_of_apps: None,
        }),
        resource_health_source: None,
        source_types: if status.multiple {
            types.collect()
        } else {
            Vec::new()
        },
        controller_namespace: (!untouched).then(|| CONTROL_PLANE_NAMESPACE.to_owned()),
        source_hydrator: None,
    }
}

/// Whether the last sync has failed by a cause, and not the comparison: that one has come to something.
fn failed_by(status: &Status, cause: &Cause) -> bool {
    status.sync != SyncCode::Unknown
        && (status.operation.as_ref()).is_some_and(|state| state.causes.contains(cause))
}

fn destination(to: &Destination) -> v1alpha1::ApplicationDestination {
    v1alpha1::ApplicationDestination {
        server: text(&to.server),
        namespace: text(&to.namespace),
        name: text(&to.name),
    }
}

fn resource(resource: &ResourceStatus) -> v1alpha1::ResourceStatus {
    v1alpha1::ResourceStatus {
        group: text(&resource.key.group),
        version: text(&resource.version),
        kind: text(&resource.key.kind),
        namespace: text(&resource.key.namespace),
        name: text(&resource.key.name),
        status: resource.status.map(|status| status.as_str().to_owned()),
        health: resource.health.map(|health| v1alpha1::HealthStatus {
            status: text(health.as_str()),
            message: text(&resource.health_message),
            last_transition_time: None,
        }),
        hook: Some(resource.hook),
        requires_pruning: Some(resource.requires_pruning),
        sync_wave: Some(resource.sync_wave),
        requires_deletion_confirmation: Some(resource.requires_deletion_confirmation),
    }
}

#[cfg(test)]
mod tests {
    use domain::clock::Timestamp;
    use domain::message;
    use domain::operation::{Operation, OperationState, Phase};

    use super::*;

    #[test]
    fn what_a_sync_has_failed_by_is_no_error_of_the_comparison() {
        let cause = |code: message::Code| Cause::error(code.message());
        let (of_sync, other) = (
            cause(message::cluster::FORBIDDEN),
            cause(message::cluster::INVALID_OBJECT),
        );
        let operation = OperationState {
            operation: Operation::default(),
            phase: Phase::Failed,
            message: message::sync::APPLY_FAILED.message(),
            causes: vec![of_sync.clone()],
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Some(Timestamp::UNIX_EPOCH),
            retry_count: 0,
            result: None,
        };
        let types = |sync| {
            let status = Status {
                sync,
                causes: vec![of_sync.clone(), other.clone()],
                operation: Some(operation.clone()),
                ..Status::default()
            };
            let conditions = to_wire(&status, Language::English).conditions;
            let types = conditions
                .into_iter()
                .filter_map(|condition| condition.r#type);
            types.collect::<Vec<_>>()
        };
        for sync in [SyncCode::Synced, SyncCode::OutOfSync] {
            assert_eq!(types(sync), ["SyncError", "ComparisonError"], "{sync:?}");
        }
        let unknown = types(SyncCode::Unknown);
        assert_eq!(unknown, ["ComparisonError", "ComparisonError"]);
    }
}
