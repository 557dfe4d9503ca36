//! Deleting an application, with or without what it deployed.

use chrono::SecondsFormat;
use domain::application::{Application, RESOURCES_FINALIZER};
use proto::argocd::application as wire;
use serde_json::{Value, json};
use tonic::Status;

use super::find::{self, Query, object};
use crate::failure::Refused;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// Begins the deletion: the controller ends it when the finalizers are done; without any it ends here.
pub(super) async fn delete(
    shared: &Shared,
    actor: &Actor,
    request: wire::ApplicationDeleteRequest,
) -> Result<wire::ApplicationResponse, Status> {
    let asked = Query {
        name: &request.name,
        namespace: request.app_namespace.as_deref(),
        project: request.project.as_deref(),
    };
    let found = find::find(shared, actor, Action::Get, asked).await?;
    permit::require(
        actor,
        Resource::Applications,
        Action::Delete,
        &object(&found.app),
    )?;
    let finalizer = finalizer(request.cascade, request.propagation_policy())?;
    let now = shared
        .clock
        .now()
        .to_rfc3339_opts(SecondsFormat::Secs, true);
    let scope = shared.store.tenant(actor.tenant.id);
    let applications = scope.applications();
    let begun = applications.update_read(found.app, move |app| {
        begin(app, finalizer.as_deref(), &now);
        Ok::<_, Refused>(())
    });
    begun.await.map_err(Status::from)?;
    tracing::info!(tenant = %actor.tenant.name, app = request.name, account = actor.account, "deleting an application");
    Ok(wire::ApplicationResponse {})
}

/// The finalizer that cascades as asked; `None` leaves what was deployed.
fn finalizer(cascade: Option<bool>, policy: &str) -> Result<Option<String>, Status> {
    if cascade == Some(false) {
        return match policy {
            "" => Ok(None),
            _ => Err(Status::invalid_argument(
                "cannot set propagation policy when cascading is disabled",
            )),
        };
    }
    match policy.to_lowercase().as_str() {
        "" => Ok(Some(RESOURCES_FINALIZER.to_owned())),
        lower @ ("foreground" | "background") => Ok(Some(format!("{RESOURCES_FINALIZER}/{lower}"))),
        _ => Err(Status::invalid_argument(format!(
            "invalid propagation policy: {policy}"
        ))),
    }
}

fn cascades(finalizer: &str) -> bool {
    finalizer
        .strip_prefix(RESOURCES_FINALIZER)
        .is_some_and(|rest| matches!(rest, "" | "/foreground" | "/background"))
}

fn begin(app: &mut Application, finalizer: Option<&str>, now: &str) {
    let deleting = app.deleting();
    let mut finalizers: Vec<String> = app.finalizers().map(str::to_owned).collect();
    match finalizer {
        // What is being deleted takes no new finalizer, as in Kubernetes; asking again is fine.
        Some(wanted) if !deleting && !finalizers.iter().any(|there| there == wanted) => {
            finalizers.push(wanted.to_owned());
        }
        Some(_) => {}
        None => finalizers.retain(|there| !cascades(there)),
    }
    let Some(metadata) = app.metadata.as_object_mut() else {
        return;
    };
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".to_owned(), json!(finalizers));
    }
    if !deleting {
        metadata.insert(
            "deletionTimestamp".to_owned(),
            Value::String(now.to_owned()),
        );
        metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(0));
    }
}

#[cfg(test)]
mod tests {
    use domain::status;

    use super::*;

    fn app(metadata: Value) -> Application {
        Application {
            metadata,
            spec: json!({}),
            operation: None,
            status: status::Status::default(),
            resource_version: 1,
        }
    }

    #[test]
    fn the_policy_chooses_the_finalizer() {
        assert_eq!(
            finalizer(None, "").unwrap().as_deref(),
            Some("resources-finalizer.argocd.argoproj.io")
        );
        let background = finalizer(Some(true), "Background").unwrap();
        assert_eq!(
            background.as_deref(),
            Some("resources-finalizer.argocd.argoproj.io/background")
        );
        assert_eq!(finalizer(Some(false), "").unwrap(), None);
        assert_eq!(
            finalizer(None, "orphan").unwrap_err().message(),
            "invalid propagation policy: orphan"
        );
        assert!(finalizer(Some(false), "foreground").is_err());
    }

    #[test]
    fn without_cascade_what_was_deployed_stays_and_other_finalizers_too() {
        let mut app = app(json!({"name": "a", "finalizers": [RESOURCES_FINALIZER, "mine"]}));
        begin(&mut app, None, "2026-01-01T00:00:00Z");
        assert_eq!(app.finalizers().collect::<Vec<_>>(), ["mine"]);
        assert!(app.deleting());
    }

    #[test]
    fn asking_twice_changes_nothing() {
        let mut app = app(json!({"name": "a"}));
        begin(&mut app, Some(RESOURCES_FINALIZER), "2026-01-01T00:00:00Z");
        let once = app.clone();
        begin(
            &mut app,
            Some("resources-finalizer.argocd.argoproj.io/background"),
            "2026-01-02T00:00:00Z",
        );
        assert_eq!(app, once);
    }
}
