//! One application, after a refresh where one is asked for.

use domain::application::{Application, REFRESH};
use domain::message;
use proto::argocd::application as wire;
use proto::{convert, v1alpha1};
use tonic::{Code, Status};

use super::find::{self, Query};
use super::list::projects;
use crate::failure;
use crate::hub::Event;
use crate::language;
use crate::permit::{Action, Actor};
use crate::shared::Shared;

/// Gets it. With `refresh`, the answer is from after the comparison that was asked for.
pub(super) async fn get(
    shared: &Shared,
    actor: &Actor,
    query: wire::ApplicationQuery,
) -> Result<v1alpha1::Application, Status> {
    let project = match projects(&query) {
        [] => None,
        [one] => Some(one.as_str()),
        _ => {
            return Err(Status::invalid_argument(
                "multiple projects specified - the get endpoint accepts either zero or one project",
            ));
        }
    };
    let asked = Query {
        name: query.name(),
        namespace: query.app_namespace.as_deref(),
        project,
    };
    let found = find::find(shared, actor, Action::Get, asked).await?;
    let app = match query.refresh.as_deref() {
        None | Some("") => found.app,
        Some(kind) => refreshed(shared, actor, found.app.name(), kind).await?,
    };
    Ok(convert::application::to_wire(&app, language::current()))
}

/// Asks for a comparison and waits until it is done. The wait ends with the client's patience, not before.
pub(super) async fn refreshed(
    shared: &Shared,
    actor: &Actor,
    name: &str,
    kind: &str,
) -> Result<Application, Status> {
    let kind = if kind == "hard" { "hard" } else { "normal" };
    // Watch first, so that the end cannot be missed.
    let mut watch = shared
        .hub
        .watch(actor.tenant.id)
        .await
        .map_err(failure::store)?;
    let scope = shared.store.tenant(actor.tenant.id);
    let asked = scope
        .applications()
        .request_refresh(name, kind)
        .await
        .map_err(failure::store)?;
    let stop = shared.life.token();
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return Err(stopping()),
            event = watch.next() => event.map_err(failure::store)?,
        };
        match event {
            Some(Event::Present(app))
                if app.name() == name
                    && app.resource_version > asked.resource_version
                    && app.annotation(REFRESH).is_none() =>
            {
                return Ok(Application::clone(&app));
            }
            Some(Event::Gone(app)) if app.name() == name => return Err(find::not_found(name)),
            Some(_) => {}
            None => return Err(stopping()),
        }
    }
}

/// What a caller hears whose wait a restart cuts short; the command tries again by itself.
fn stopping() -> Status {
    failure::say(Code::Unavailable, &message::api::STOPPING.message())
}
