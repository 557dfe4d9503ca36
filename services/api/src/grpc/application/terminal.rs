//! A shell in a container: who may have one, and the way to the controller that runs it.

use std::future::ready;

use domain::message::Message;
use futures::{StreamExt, stream};
use proto::naru::internal::v1::{ExecOutput, ExecRequest, ExecStart};
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

use super::find::{self, Query};
use super::live::peer;
use crate::failure;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// How much of what is typed waits for a shell that takes its time.
const WAITING: usize = 16;

/// Where a terminal is opened, as a request says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) project: String,
    pub(crate) app: String,
    /// The namespace that the client believes the application in.
    pub(crate) app_namespace: String,
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) container: String,
}

/// A shell that runs. It is told to end when nothing more can be typed.
pub(crate) struct Terminal {
    pub(crate) typed: mpsc::Sender<ExecRequest>,
    pub(crate) said: Streaming<ExecOutput>,
}

impl Place {
    /// What somebody needs rights on.
    pub(crate) fn right(&self) -> String {
        format!("{}/{}", self.project, self.app)
    }

    /// The namespace, if it is not the one that applications live in.
    pub(crate) fn foreign_namespace(&self) -> Option<&str> {
        let named = self.app_namespace.as_str();
        (!find::is_ours(Some(named))).then_some(named)
    }
}

/// Demands the rights, which are asked of what the request names, whether it is there or not.
///
/// # Errors
/// A refusal that names the right that is missing.
pub(crate) fn require(actor: &Actor, right: &str) -> Result<(), Status> {
    permit::require(actor, Resource::Applications, Action::Get, right)?;
    permit::require(actor, Resource::Exec, Action::Create, right)
}

/// Whether the application is not there any more, or is in another project than the right names. What cannot be asked says
/// nothing.
pub(crate) async fn is_gone(shared: &Shared, actor: &Actor, right: &str) -> bool {
    let Some((project, name)) = right.split_once('/') else {
        return true;
    };
    let asked = Query {
        name,
        namespace: None,
        project: Some(project),
    };
    let found = find::find(shared, actor, Action::Get, asked).await;
    found.is_err_and(|status| is_refusal(status.code()))
}

/// Whether a look-up ended with a no, and not for want of an answer.
fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::NotFound | Code::PermissionDenied | Code::InvalidArgument
    )
}

/// Has a shell run.
///
/// # Errors
/// That the application is not there; why the controller runs none.
pub(crate) async fn open(
    shared: &Shared,
    actor: &Actor,
    place: Place,
    shells: Vec<String>,
) -> Result<Terminal, Status> {
    let asked = Query {
        name: &place.app,
        namespace: Some(&place.app_namespace),
        project: Some(&place.project),
    };
    let found = find::find(shared, actor, Action::Get, asked).await?;
    let first = ExecRequest {
        start: Some(ExecStart {
            tenant: actor.tenant.id.to_string(),
            app: found.app.name().to_owned(),
            namespace: place.namespace,
            pod: place.pod,
            container: place.container,
            shells,
        }),
        ..ExecRequest::default()
    };
    let (typed, next) = mpsc::channel(WAITING);
    let next = stream::unfold(next, |mut next| async move {
        next.recv().await.map(|request| (request, next))
    });
    let requests = stream::once(ready(first)).chain(next);
    let owner = shared.controllers.owner_of(actor.tenant.id, &found.app);
    let mut owner = owner.await?;
    let said = owner.exec(requests).await.map_err(told)?.into_inner();
    Ok(Terminal { typed, said })
}

/// What the controller said, in the reader's language where it is a message.
pub(crate) fn told(status: Status) -> Status {
    match serde_json::from_slice::<Message>(status.details()) {
        Ok(message) => failure::say(status.code(), &message),
        Err(_) => peer(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_asked_ends_no_terminal() {
        assert!(is_refusal(find::not_found("a").code()));
        assert!(is_refusal(permit::denied().code()));
        assert!(!is_refusal(failure::internal().code()));
        assert!(!is_refusal(Code::Unavailable));
    }
}
