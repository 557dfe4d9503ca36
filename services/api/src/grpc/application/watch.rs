//! Changes of applications as they happen.

use std::collections::HashMap;
use std::sync::Arc;

use domain::application::{Application, project_of};
use domain::message::Language;
use domain::tenant::TenantId;
use proto::argocd::application as wire;
use proto::{convert, v1alpha1};
use store::AppChange;
use tonic::Status;

use super::find::{is_ours, object};
use super::list::{Selector, projects};
use crate::failure;
use crate::grpc::Parts;
use crate::grpc::recheck::Recheck;
use crate::hub::Event;
use crate::language;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// How many versions back an application that is gone is looked for when the client names no version.
const LOOK_BACK: i64 = 500;

/// Watches: what is there already is sent as ADDED when no version is given or one application is named, then every
/// change. Ends, without an error, when the process stops: a client then comes back with the version that it has.
pub(super) async fn watch(
    shared: &Arc<Shared>,
    actor: &Actor,
    query: wire::ApplicationQuery,
) -> Result<Parts<v1alpha1::ApplicationWatchEvent>, Status> {
    let selector = Selector::parse(query.selector()).map_err(|problem| {
        Status::unknown(format!("error parsing labels with selectors: {problem}"))
    })?;
    let sends_present = query.resource_version().is_empty() || !query.name().is_empty();
    let mut view = View {
        actor: actor.clone(),
        selector,
        since: query.resource_version().parse().unwrap_or(0),
        projects: projects(&query).to_vec(),
        elsewhere: !query.name().is_empty() && !is_ours(query.app_namespace.as_deref()),
        name: query.name().to_owned(),
        language: language::current(),
    };
    // Watch before listing, so that nothing falls in between.
    let mut changes = shared
        .hub
        .watch(actor.tenant.id)
        .await
        .map_err(failure::store)?;
    let present = shared
        .store
        .tenant(actor.tenant.id)
        .applications()
        .list()
        .await
        .map_err(failure::store)?;
    let missing = !view.name.is_empty() && !present.iter().any(|app| app.name() == view.name);
    let from = if view.since > 0 {
        view.since
    } else {
        changes.version() - LOOK_BACK
    };
    let gone = if missing {
        end_of(shared, actor.tenant.id, &view.name, from).await?
    } else {
        None
    };
    let open = Open::new(shared);
    let stop = shared.life.token();
    let shared = Arc::clone(shared);
    Ok(Box::pin(async_stream::stream! {
        let _open = open;
        let mut sent: HashMap<String, i64> = HashMap::new();
        // What the watcher has seen, by its right: when one is lost, the watch ends, and the next shows what is left.
        let mut shown: HashMap<String, String> = HashMap::new();
        let mut recheck = Recheck::new();
        for app in present {
            sent.insert(app.uid().to_owned(), app.resource_version);
            if let Some(event) = view.event("ADDED", &app) {
                shown.insert(app.uid().to_owned(), object(&app));
                if sends_present {
                    yield Ok(event);
                }
            }
        }
        if let Some(app) = gone {
            sent.insert(app.uid().to_owned(), app.resource_version);
            if let Some(event) = view.event("DELETED", &app) {
                yield Ok(event);
            }
        }
        loop {
            let change = tokio::select! {
                () = stop.cancelled() => break,
                change = changes.next() => Some(change),
                () = recheck.due() => None,
            };
            let Some(change) = change else {
                let refusal = match recheck.look(&shared, &mut view.actor).await {
                    Ok(true) if shown.values().any(|right| !view.may_see(right)) => permit::denied(),
                    Ok(_) => continue,
                    Err(status) => status,
                };
                yield Err(refusal);
                break;
            };
            let event = match change {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    yield Err(failure::store(error));
                    break;
                }
            };
            let app = event.application();
            let before = sent.get(app.uid()).copied();
            if before.is_some_and(|version| event.version() <= version) {
                continue;
            }
            let kind = match (&event, before) {
                (Event::Gone(_), _) => "DELETED",
                (Event::Present(_), None) => "ADDED",
                (Event::Present(_), Some(_)) => "MODIFIED",
            };
            match &event {
                Event::Gone(_) => sent.remove(app.uid()),
                Event::Present(_) => sent.insert(app.uid().to_owned(), event.version()),
            };
            if let Some(seen) = view.event(kind, app) {
                match &event {
                    Event::Gone(_) => shown.remove(app.uid()),
                    Event::Present(_) => shown.insert(app.uid().to_owned(), object(app)),
                };
                yield Ok(seen);
            }
        }
    }))
}

/// The end of an application that is gone already. The argocd command begins to wait for it only after its request to
/// delete was answered, and would wait for ever.
async fn end_of(
    shared: &Shared,
    tenant: TenantId,
    name: &str,
    from: i64,
) -> Result<Option<Application>, Status> {
    let scope = shared.store.tenant(tenant);
    let changes = scope
        .applications()
        .changes_since(from)
        .await
        .map_err(failure::store)?;
    Ok(changes.into_iter().rev().find_map(|change| match change {
        AppChange::Deleted(app) if app.name() == name => Some(app),
        _ => None,
    }))
}

/// What one watcher sees.
struct View {
    actor: Actor,
    selector: Selector,
    since: i64,
    projects: Vec<String>,
    elsewhere: bool,
    name: String,
    language: Language,
}

impl View {
    fn may_see(&self, right: &str) -> bool {
        permit::allows(&self.actor, Resource::Applications, Action::Get, right)
    }

    fn event(&self, kind: &str, app: &Application) -> Option<v1alpha1::ApplicationWatchEvent> {
        let seen = !self.elsewhere
            && (self.name.is_empty() || self.name == app.name())
            && (self.projects.is_empty()
                || self
                    .projects
                    .iter()
                    .any(|project| project == project_of(&app.spec)))
            && app.resource_version >= self.since
            && self.selector.matches(&app.metadata)
            && self.may_see(&object(app));
        seen.then(|| v1alpha1::ApplicationWatchEvent {
            r#type: Some(kind.to_owned()),
            application: Some(convert::application::to_wire(app, self.language)),
        })
    }
}

/// Counts a watch while it is open.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.metrics.watches.inc();
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.watches.dec();
    }
}
