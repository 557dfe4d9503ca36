//! Who did what: every call that writes, recorded from one place.
//!
//! Before a call that writes is carried out, it is in the record; if it cannot be put there, nothing is done. How it ended
//! is added before the caller hears of it. So an effect without a record cannot be; a record without an end can, where a
//! process died in between, and says so.
//!
//! Handlers know nothing of this, but for those that change settings: they say what a change was from and to
//! ([`changed`]).

mod objects;

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::tenant::{Tenant, TenantId};
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Map, Value, json};
use store::audit::AuditEntry;
use tonic::{Code, Status};

use crate::failure::say;
use crate::identity::Caller;
use crate::metrics::code_name;
use crate::permit::Actor;
use crate::rules;
use crate::shared::Shared;
use crate::ttl::TtlMap;

/// The longest text of one field.
const LONGEST: usize = 512;
/// How many logins that failed are recorded one by one, per tenant and [`WINDOW`]; strangers must not fill the record.
const FAILED_LOGINS: u32 = 60;
/// How long they count.
const WINDOW: Duration = Duration::from_secs(60);
/// Signing in.
const LOGIN: &str = "/session.SessionService/Create";

/// What a call adds to its entry.
#[derive(Default)]
struct Notes {
    /// What changed, as canonical JSON.
    change: Option<(Value, Value)>,
    /// Whose record a login belongs to, where the host does not say.
    tenant: Option<TenantId>,
}

tokio::task_local! {
    static NOTES: RefCell<Notes>;
    static REMOTE: IpAddr;
}

/// Carries out the answering of a request that came from this address.
pub(crate) async fn from<F: Future>(remote: Option<IpAddr>, answering: F) -> F::Output {
    match remote {
        Some(remote) => REMOTE.scope(remote, answering).await,
        None => answering.await,
    }
}

/// Where the request came from.
pub(crate) fn source() -> Option<IpAddr> {
    REMOTE.try_with(|remote| *remote).ok()
}

/// Says what the current call changes from and to. Neither holds a secret: `store::Audit::mark` stands for one.
pub(crate) fn changed(before: Value, after: Value) {
    let _ = NOTES.try_with(|notes| notes.borrow_mut().change = Some((before, after)));
}

/// Says whose record the current login belongs to, as soon as that is known: at the operator's host it may be another
/// tenant's, and that tenant must see those that fail, too.
pub(crate) fn belongs_to(tenant: TenantId) {
    let _ = NOTES.try_with(|notes| notes.borrow_mut().tenant = Some(tenant));
}

/// What bounds the record against strangers.
pub(crate) struct Bounds {
    failed: TtlMap<TenantId, u32>,
}

impl Bounds {
    /// Nothing counted yet.
    pub(crate) fn new() -> Self {
        Self {
            failed: TtlMap::new(WINDOW, 10_000),
        }
    }

    /// Whether one more failed login of this tenant is recorded.
    fn allows(&self, tenant: TenantId) -> bool {
        let one_more = |n: Option<u32>| Some(n.unwrap_or(0) + 1).filter(|n| *n <= FAILED_LOGINS);
        self.failed.update(tenant, one_more).is_some()
    }
}

/// Something that goes on for a while, and whose beginning is in the record.
pub(crate) struct Begun {
    entry: AuditEntry,
    tenant: TenantId,
}

impl Begun {
    /// What ties its entries to logs and traces.
    pub(crate) fn request_id(&self) -> &str {
        &self.entry.request_id
    }
}

/// Records that somebody begins something that is no call.
///
/// # Errors
/// `Unavailable` when the record cannot be written; it must not begin then.
pub(crate) async fn begun(
    shared: &Shared,
    actor: &Actor,
    action: &str,
    object: &str,
) -> Result<Begun, Status> {
    let tenant = actor.tenant.id;
    let mut entry = AuditEntry {
        actor: actor.account.clone(),
        actor_kind: kind_of(Some(actor)).to_owned(),
        action: action.to_owned(),
        object: shortened(object),
        source: source().map(|ip| ip.to_string()).unwrap_or_default(),
        request_id: shared.ids.id().to_string(),
        ..AuditEntry::default()
    };
    begin(shared, tenant, &mut entry).await?;
    Ok(Begun { entry, tenant })
}

/// Records how it ended. Particulars hold nothing that was said or shown.
pub(crate) async fn ended(shared: &Shared, begun: Begun, code: Code, particulars: Value) {
    let Begun { mut entry, tenant } = begun;
    entry.result = code_name(code).to_owned();
    entry.details = particulars;
    if let Err(error) = shared.store.tenant(tenant).audit().append(&entry).await {
        // It was done, and the record says that it was begun.
        tracing::error!(%error, action = entry.action, "the end of what was begun cannot be recorded");
    }
}

/// Puts an entry into the record before anything is done; what is added later is about it.
async fn begin(shared: &Shared, tenant: TenantId, entry: &mut AuditEntry) -> Result<(), Status> {
    match shared.store.tenant(tenant).audit().append(entry).await {
        Ok(id) => {
            entry.about = Some(id);
            Ok(())
        }
        Err(error) => {
            tracing::error!(%error, action = entry.action, "a call cannot be recorded");
            let message = domain::message::tenant::NOT_RECORDED.message();
            Err(say(Code::Unavailable, &message))
        }
    }
}

/// What kind of actor somebody is.
fn kind_of(actor: Option<&Actor>) -> &'static str {
    match actor {
        Some(actor) if actor.operator => "operator",
        Some(_) => "account",
        None => "anonymous",
    }
}

/// Carries out a call that may have to be recorded. `call` gets the request as it was.
///
/// # Errors
/// `Unavailable`, with nothing done, when the record cannot be written; what is wrong with the request's body.
pub(crate) async fn recorded<F>(
    shared: &Shared,
    site: &Arc<Tenant>,
    request: Request<tonic::body::Body>,
    call: impl FnOnce(Request<tonic::body::Body>) -> F,
) -> Result<http::Response<tonic::body::Body>, Status>
where
    F: Future<Output = http::Response<tonic::body::Body>>,
{
    let path = request.uri().path().to_owned();
    let login = path == LOGIN;
    let actor = match request.extensions().get::<Caller>() {
        // Who logs in is whom the login names, whatever token comes along.
        Some(Caller(Ok(actor))) if !login => Some(actor.clone()),
        _ => None,
    };
    if !login && (actor.is_none() || !rules::is_recorded(&path)) {
        return Ok(call(request).await);
    }
    let (request, object) = read(&path, request).await?;
    let request_id = shared.ids.id().to_string();
    // What a login is about is who logs in.
    let (name, object) = if login {
        (object, String::new())
    } else {
        (String::new(), object)
    };
    let mut entry = AuditEntry {
        actor: actor.as_ref().map_or(name, |actor| actor.account.clone()),
        actor_kind: kind_of(actor.as_ref()).to_owned(),
        action: path,
        object,
        source: source().map(|ip| ip.to_string()).unwrap_or_default(),
        request_id: request_id.clone(),
        ..AuditEntry::default()
    };
    let tenant = actor.as_ref().map_or(site.id, |actor| actor.tenant.id);
    // A login writes nothing: it is recorded once, when its end is known.
    if !login {
        begin(shared, tenant, &mut entry).await?;
    }
    let carried_out = NOTES.scope(RefCell::default(), async {
        let response = call(request).await;
        (
            response,
            NOTES.with(|notes| std::mem::take(&mut *notes.borrow_mut())),
        )
    });
    let (mut response, notes) = carried_out.await;
    let code = code_of(&response);
    entry.result = code_name(code).to_owned();
    entry.details = details(notes.change);
    let tenant = notes.tenant.filter(|_| login).unwrap_or(tenant);
    if login && code == Code::Ok {
        "account".clone_into(&mut entry.actor_kind);
    }
    if !login || code == Code::Ok || shared.audit.allows(tenant) {
        let written = shared.store.tenant(tenant).audit().append(&entry).await;
        if let Err(error) = written {
            // It is done, and the record says that it was begun.
            tracing::error!(%error, action = entry.action, "the end of a call cannot be recorded");
            if login && code == Code::Ok {
                let message = domain::message::tenant::NOT_RECORDED.message();
                return Err(say(Code::Unavailable, &message));
            }
        }
    }
    if let Ok(id) = http::HeaderValue::try_from(request_id) {
        response.headers_mut().insert("x-request-id", id);
    }
    Ok(response)
}

/// Reads a call's one message, for its object.
async fn read(
    path: &str,
    request: Request<tonic::body::Body>,
) -> Result<(Request<tonic::body::Body>, String), Status> {
    let (parts, body) = request.into_parts();
    let bytes: Bytes = body.collect().await?.to_bytes();
    // A frame is a flag, four bytes of length, and the message.
    let message = bytes.get(5..).unwrap_or_default();
    let object = shortened(&objects::object(path, message));
    let body = tonic::body::Body::new(Full::new(bytes));
    Ok((Request::from_parts(parts, body), object))
}

fn shortened(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(LONGEST)
        .collect()
}

/// The code of a unary answer: an error is in the headers, and what has a message has gone well.
fn code_of(response: &http::Response<tonic::body::Body>) -> Code {
    match Status::from_header_map(response.headers()) {
        Some(status) => status.code(),
        None => Code::Ok,
    }
}

fn details(change: Option<(Value, Value)>) -> Value {
    match change {
        Some((before, after)) => json!({"before": before, "after": after}),
        None => Value::Object(Map::new()),
    }
}
