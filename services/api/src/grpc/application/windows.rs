//! The sync windows that are for an application.

use domain::project::gate::{Begun, Gate};
use domain::project::window::Window;
use proto::argocd::application as wire;
use tonic::Status;

use super::find::{self, Query};
use super::operate::{applicant, rules_of, spec_of};
use crate::permit::{Action, Actor};
use crate::shared::Shared;

/// Those that are for it, those of them that are open, and whether it may be synced by hand now.
pub(super) async fn sync_windows(
    shared: &Shared,
    actor: &Actor,
    query: wire::ApplicationSyncWindowsQuery,
) -> Result<wire::ApplicationSyncWindowsResponse, Status> {
    let asked = Query {
        name: &query.name,
        namespace: query.app_namespace.as_deref(),
        project: query.project.as_deref(),
    };
    let find::Found { app, project } = find::find(shared, actor, Action::Get, asked).await?;
    let (rules, spec) = (rules_of(&project)?, spec_of(&app)?);
    let assigned = applicant(&app, &spec, &rules).assigned();
    let gate = Gate::new(&assigned).map_err(|error| {
        Status::unknown(format!(
            "invalid sync windows: invalid sync windows: {error}"
        ))
    })?;
    let now = shared.clock.now();
    Ok(wire::ApplicationSyncWindowsResponse {
        active_windows: to_wire(&gate.open(now)),
        assigned_windows: to_wire(&assigned),
        can_sync: gate.lets(Begun::ByHand, now),
    })
}

fn to_wire(windows: &[&Window]) -> Vec<wire::ApplicationSyncWindow> {
    let one = |window: &&Window| wire::ApplicationSyncWindow {
        kind: window.kind.clone(),
        schedule: window.schedule.clone(),
        duration: window.duration.clone(),
        manual_sync: window.manual_sync,
    };
    windows.iter().map(one).collect()
}
