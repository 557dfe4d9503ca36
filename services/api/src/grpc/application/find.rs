//! Looking an application up, so that nobody learns more than they may.
//!
//! Without a project in the request, missing and forbidden are one bare answer. With one, the right on
//! `<project>/<name>` is asked first, and only who has it hears that the application is not there.

use domain::application::{Application, CONTROL_PLANE_NAMESPACE, project_of, project_or_default};
use domain::project::Project;
use tonic::Status;

use crate::failure;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// What a request says about the application that it means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    pub(super) name: &'a str,
    /// The namespace that the client believes in; only one exists.
    pub(super) namespace: Option<&'a str>,
    pub(super) project: Option<&'a str>,
}

/// An application and the project that it is in.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) app: Application,
    pub(super) project: Project,
}

/// Finds an application for an actor who wants to do something with it.
///
/// # Errors
/// The bare refusal, `NotFound` to who named the project and may, or the vague answer about its project.
pub(super) async fn find(
    shared: &Shared,
    actor: &Actor,
    action: Action,
    query: Query<'_>,
) -> Result<Found, Status> {
    find_to(shared, actor, action.as_str(), query).await
}

/// The same for an action that goes on to say what it is done to: `delete/apps/Deployment/web/hello`.
///
/// # Errors
/// As [`find`].
pub(super) async fn find_to(
    shared: &Shared,
    actor: &Actor,
    deed: &str,
    query: Query<'_>,
) -> Result<Found, Status> {
    let Query {
        name,
        namespace,
        project,
    } = query;
    let asked = project.filter(|project| !project.is_empty());
    if let Some(project) = asked
        && !permit::allows_deed(
            actor,
            Resource::Applications,
            deed,
            &format!("{project}/{name}"),
        )
    {
        return Err(permit::denied());
    }
    if !is_ours(namespace) {
        return Err(permit::denied());
    }
    let scope = shared.store.tenant(actor.tenant.id);
    let hidden = || {
        if asked.is_some() {
            not_found(name)
        } else {
            permit::denied()
        }
    };
    let may = |project: &str| {
        let object = format!("{}/{name}", project_or_default(project));
        permit::allows_deed(actor, Resource::Applications, deed, &object)
    };
    let (app, project) = scope
        .applications()
        .find_for(name, may)
        .await
        .map_err(failure::store)?
        .ok_or_else(hidden)?;
    if asked.is_some_and(|asked| asked != project_of(&app.spec)) {
        return Err(not_found(name));
    }
    let project = project.ok_or_else(|| no_project(project_of(&app.spec)))?;
    Ok(Found { app, project })
}

/// The project of that name, for an application.
///
/// # Errors
/// One vague answer, whether it is missing or not for this application.
pub(super) async fn project_named(
    shared: &Shared,
    actor: &Actor,
    name: &str,
) -> Result<Project, Status> {
    let found = shared
        .store
        .tenant(actor.tenant.id)
        .projects()
        .find(name)
        .await
        .map_err(failure::store)?;
    found.ok_or_else(|| no_project(name))
}

fn no_project(name: &str) -> Status {
    Status::invalid_argument(format!(
        "app is not allowed in project {name:?}, or the project does not exist"
    ))
}

/// Whether a namespace that a client names is the one that applications live in.
pub(super) fn is_ours(namespace: Option<&str>) -> bool {
    matches!(namespace, None | Some("" | CONTROL_PLANE_NAMESPACE))
}

/// An application as rights name it.
pub(super) fn object(app: &Application) -> String {
    format!("{}/{}", project_of(&app.spec), app.name())
}

/// What somebody hears who may know that it is not there.
pub(super) fn not_found(name: &str) -> Status {
    Status::not_found(format!("applications.argoproj.io \"{name}\" not found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_namespace_exists() {
        assert!(is_ours(None) && is_ours(Some("")) && is_ours(Some("argocd")));
        assert!(!is_ours(Some("default")));
    }
}
