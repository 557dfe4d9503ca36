//! `/terminal`: a shell in a container over a websocket, as Argo CD's pages open it.
//!
//! What is refused is refused before the websocket is opened, with Argo CD's words and statuses. A browser lets the pages of
//! any site open websockets to any other; that only our own pages do is seen to before this ([`crate::front::browser`]).

mod meter;
mod request;
mod session;
mod wire;

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, State};
use domain::message;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use serde_json::json;
use tokio::sync::oneshot;
use tonic::{Code, Status};
use tracing::Instrument;

use super::answer;
use crate::audit;
use crate::failure::{self, say};
use crate::front::guard::Road;
use crate::front::host::Site;
use crate::front::{plain, terminals};
use crate::grpc::terminal::{self, Place, Terminal};
use crate::identity::credentials;
use crate::language;
use crate::listen::Seat;
use crate::permit::Actor;
use crate::shared::Shared;
use session::Session;

/// How a terminal is called in the record of who did what.
const ACTION: &str = "/terminal";
/// The largest message that is read at all.
const MAX_FRAME: usize = 1 << 20;

/// Why no terminal is opened: what Argo CD answers.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    text: String,
    code: Code,
    /// When to come again.
    after: Option<HeaderValue>,
}

impl Refused {
    fn new(status: StatusCode, text: impl Into<String>, code: Code) -> Self {
        Self {
            status,
            text: text.into(),
            code,
            after: None,
        }
    }

    fn answer(self) -> Response<Body> {
        let mut response = plain(self.status, "");
        if !self.text.is_empty() {
            *response.body_mut() = Body::from(format!("{}\n", self.text));
        }
        if let Some(after) = self.after {
            response.headers_mut().insert(header::RETRY_AFTER, after);
        }
        response
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        let code = status.code();
        let text = match code {
            Code::NotFound => "App not found",
            _ => status.message(),
        };
        Self {
            after: answer::retry_after(&status),
            ..Self::new(answer::http_status(code), text, code)
        }
    }
}

/// Answers a request for a terminal.
pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let Some(site) = parts.extensions.get::<Site>().cloned() else {
        return plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a request came without its host\n",
        );
    };
    let language = language::of(&parts.headers, &site.tenant);
    let opened = language::scope(language, opened(&shared, &site, parts));
    opened.await.unwrap_or_else(Refused::answer)
}

async fn opened(
    shared: &Arc<Shared>,
    site: &Site,
    parts: Parts,
) -> Result<Response<Body>, Refused> {
    let actor = identified(shared, site, &parts).await?;
    let config = shared.configs.of(actor.tenant.id).await;
    let config = config.map_err(failure::store)?;
    if !config.exec_enabled() {
        return Err(Refused::new(StatusCode::NOT_FOUND, "", Code::NotFound));
    }
    let place = request::place(parts.uri.query().unwrap_or_default())
        .map_err(|text| Refused::new(StatusCode::BAD_REQUEST, text, Code::InvalidArgument))?;
    if let Some(namespace) = place.foreign_namespace() {
        let text = format!("namespace '{namespace}' is not permitted");
        return Err(Refused::new(
            StatusCode::FORBIDDEN,
            text,
            Code::PermissionDenied,
        ));
    }
    let asked = Asked {
        actor,
        parts,
        place,
        shells: config.shells(),
    };
    let (answer, answered) = oneshot::channel();
    let going_on = recorded(Arc::clone(shared), asked, answer);
    let going_on = audit::from(audit::source(), going_on).in_current_span();
    let going_on = language::scope(language::current(), going_on);
    shared.life.spawn_short(going_on);
    let stopped = |_| Refused::from(failure::internal());
    answered.await.map_err(stopped)?
}

/// What somebody who is known asks for.
struct Asked {
    actor: Actor,
    parts: Parts,
    place: Place,
    shells: Vec<String>,
}

/// Opens a terminal and sees it to its end. It goes on by itself: what is on record as begun has an end there, though whoever
/// asked is gone before the answer.
async fn recorded(
    shared: Arc<Shared>,
    asked: Asked,
    answer: oneshot::Sender<Result<Response<Body>, Refused>>,
) {
    let Asked {
        actor,
        mut parts,
        place,
        shells,
    } = asked;
    let right = place.right();
    let object = format!(
        "{right}/{}/{}/{}",
        place.namespace, place.pod, place.container
    );
    let entry = match audit::begun(&shared, &actor, ACTION, &object).await {
        Ok(entry) => entry,
        Err(status) => return drop(answer.send(Err(status.into()))),
    };
    match begun(&shared, &actor, &mut parts, place, shells).await {
        Ok((upgrade, terminal)) => {
            let seat = parts.extensions.remove::<Seat>();
            drop(parts);
            let session = Session::new(&shared, actor, right, terminal, seat);
            let (response, socket) = upgraded(upgrade, &entry);
            drop(answer.send(Ok(response)));
            let span = session.span();
            let (code, details) = match socket.await {
                Ok(socket) => session.run(socket).instrument(span).await,
                // Whoever asked was gone before the answer.
                Err(_) => (Code::Cancelled, json!({})),
            };
            audit::ended(&shared, entry, code, details).await;
        }
        Err(refused) => {
            audit::ended(&shared, entry, refused.code, json!({})).await;
            drop(answer.send(Err(refused)));
        }
    }
}

/// Who asks: somebody whom the tenant knows, and who is let in.
async fn identified(shared: &Arc<Shared>, site: &Site, parts: &Parts) -> Result<Actor, Refused> {
    let token = credentials::token(&parts.headers, Road::Rest, site.secure);
    let nobody = || {
        let text = "Auth cookie not found";
        Refused::new(StatusCode::BAD_REQUEST, text, Code::Unauthenticated)
    };
    if token.is_none() {
        return Err(nobody());
    }
    let asked = shared.authenticate(&site.tenant, token.as_deref(), parts.uri.path());
    let actor = asked.await.map_err(|status| match status.code() {
        code @ Code::Unauthenticated => {
            Refused::new(StatusCode::UNAUTHORIZED, "Invalid token", code)
        }
        _ => Refused::from(status),
    })?;
    if actor.is_stranger() {
        return Err(nobody());
    }
    if actor.must_change_password {
        let first = message::account::MUST_CHANGE.with("name", &actor.account);
        return Err(say(Code::FailedPrecondition, &first).into());
    }
    shared.standing.admit(&actor.tenant, false)?;
    Ok(actor)
}

/// Has the shell run, for who may.
async fn begun(
    shared: &Arc<Shared>,
    actor: &Actor,
    parts: &mut Parts,
    place: Place,
    shells: Vec<String>,
) -> Result<(WebSocketUpgrade, Terminal), Refused> {
    terminal::require(actor, &place.right()).map_err(|status| {
        Refused::new(StatusCode::UNAUTHORIZED, status.message(), status.code())
    })?;
    let now = Instant::now();
    if let Some(wait) = shared.terminals.of(actor.tenant.id, now).spent(now) {
        return Err(failure::come_again(&terminals::used_up(wait), wait).into());
    }
    let upgrade: Result<WebSocketUpgrade, _> =
        WebSocketUpgrade::from_request_parts(parts, &()).await;
    let upgrade = upgrade.map_err(|_| {
        let plain = message::terminal::NOT_A_WEBSOCKET.message();
        Refused::from(say(Code::InvalidArgument, &plain))
    })?;
    let terminal = terminal::open(shared, actor, place, shells).await?;
    Ok((upgrade, terminal))
}

/// Opens the websocket: the answer, and where the socket comes once it is sent.
fn upgraded(
    upgrade: WebSocketUpgrade,
    entry: &audit::Begun,
) -> (Response<Body>, oneshot::Receiver<WebSocket>) {
    let (opened, socket) = oneshot::channel();
    let mut response = upgrade
        .max_message_size(MAX_FRAME)
        .max_frame_size(MAX_FRAME)
        .on_upgrade(|socket| async move {
            // Nobody waits for it any more only where the process ends.
            drop(opened.send(socket));
        });
    if let Ok(id) = HeaderValue::try_from(entry.request_id()) {
        response.headers_mut().insert("x-request-id", id);
    }
    (response, socket)
}
