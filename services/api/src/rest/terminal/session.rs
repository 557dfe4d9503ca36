//! An open terminal: what is typed goes to the shell and what it writes comes back, for as long as somebody may have it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use domain::message;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use proto::naru::internal::v1::{ExecOutput, ExecRequest, TerminalSize};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

use super::meter::{IDLE, LONGEST, MOST_MIB, Meter, Spent, Way};
use super::wire::{self, Sent, Text};
use crate::front::standing::Stay;
use crate::front::terminals;
use crate::grpc::recheck::Recheck;
use crate::grpc::terminal::{self, Terminal};
use crate::language;
use crate::listen::Seat;
use crate::permit::Actor;
use crate::shared::Shared;

/// How often whoever has it open hears that we are there, as from Argo CD.
const PING: Duration = Duration::from_secs(5);
/// Who does not answer for so long has gone.
const GONE: Duration = Duration::from_secs(60);
/// Who does not take what the shell writes for so long has gone.
const SLOW: Duration = Duration::from_secs(30);
/// How long the end of a terminal may take.
const FAREWELL: Duration = Duration::from_secs(3);
/// The most that is typed in one message.
const MAX_TYPED_KIB: usize = 256;
/// What a page shows before it opens the terminal anew, in Argo CD's words.
const RECONNECTING: &str = "\nReconnect because the token was refreshed...\n";
/// What is shown to who may not any more, in Argo CD's words.
const DENIED: &str = "Permission denied";

/// Why a terminal ended.
#[derive(Debug)]
enum End {
    /// The shell did.
    Shell,
    /// Whoever had it open did.
    Closed,
    /// Something was sent that is not understood.
    NotUnderstood,
    /// It has used up what one may.
    Spent(Spent),
    /// The right was taken away, or terminals were switched off.
    Denied,
    /// The token does not count any more.
    Token(Status),
    /// The tenant was closed.
    TenantClosed,
    /// The process stops.
    Stopping,
    /// The controller says why.
    Failed(Status),
}

impl End {
    /// What it is called in the record.
    fn name(&self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Closed => "closed",
            Self::NotUnderstood => "not-understood",
            Self::Spent(Spent::Idle) => "idle",
            Self::Spent(Spent::Time) => "time",
            Self::Spent(Spent::Bytes) => "bytes",
            Self::Spent(Spent::Tenant(_)) => "tenant",
            Self::Denied => "denied",
            Self::Token(_) => "token",
            Self::TenantClosed => "tenant-closed",
            Self::Stopping => "stopping",
            Self::Failed(_) => "failed",
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Shell | Self::Closed => Code::Ok,
            Self::NotUnderstood => Code::InvalidArgument,
            Self::Spent(Spent::Bytes | Spent::Tenant(_)) => Code::ResourceExhausted,
            Self::Spent(Spent::Idle | Spent::Time) => Code::DeadlineExceeded,
            Self::Denied | Self::TenantClosed => Code::PermissionDenied,
            Self::Stopping => Code::Unavailable,
            Self::Token(status) | Self::Failed(status) => status.code(),
        }
    }

    /// What is shown in the terminal.
    fn words(&self) -> Option<String> {
        let minutes = |time: Duration| time.as_secs() / 60;
        let said = match self {
            Self::Shell | Self::Closed => return None,
            Self::Denied => return Some(DENIED.to_owned()),
            Self::Token(status) if status.code() == Code::Unauthenticated => {
                return Some(RECONNECTING.to_owned());
            }
            Self::Token(status) | Self::Failed(status) => {
                return Some(format!("\r\n{}\r\n", status.message()));
            }
            Self::NotUnderstood => message::terminal::NOT_UNDERSTOOD.with("limit", MAX_TYPED_KIB),
            Self::Spent(Spent::Idle) => message::terminal::IDLE.with("minutes", minutes(IDLE)),
            Self::Spent(Spent::Time) => {
                message::terminal::LONGEST.with("minutes", minutes(LONGEST))
            }
            Self::Spent(Spent::Bytes) => message::terminal::BYTES.with("limit", MOST_MIB),
            Self::Spent(Spent::Tenant(wait)) => terminals::used_up(*wait),
            Self::TenantClosed => message::tenant::SUSPENDED.message(),
            Self::Stopping => message::api::STOPPING.message(),
        };
        Some(format!("\r\n{}\r\n", said.render(language::current())))
    }
}

/// A terminal that somebody opens.
pub(super) struct Session {
    shared: Arc<Shared>,
    actor: Actor,
    right: String,
    terminal: Terminal,
    stay: Stay,
    /// What it holds of its source's connections: its own goes on when HTTP has ended on it.
    seat: Option<Seat>,
}

impl Session {
    pub(super) fn new(
        shared: &Arc<Shared>,
        actor: Actor,
        right: String,
        terminal: Terminal,
        seat: Option<Seat>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            stay: shared.standing.stay(actor.tenant.id),
            actor,
            right,
            terminal,
            seat,
        }
    }

    /// Under what it is logged.
    pub(super) fn span(&self) -> tracing::Span {
        let Actor {
            tenant, account, ..
        } = &self.actor;
        tracing::info_span!("terminal", tenant = %tenant.name, account, application = self.right)
    }

    /// Goes on until something ends it; says how it ended, and what it used.
    pub(super) async fn run(self, socket: WebSocket) -> (Code, Value) {
        let Self {
            shared,
            mut actor,
            right,
            terminal: Terminal { typed, mut said },
            mut stay,
            seat: _held,
        } = self;
        let now = Instant::now();
        let meter = Meter::new(now, shared.terminals.of(actor.tenant.id, now));
        let (mut to, mut from) = socket.split();
        let end = tokio::select! {
            end = listen(&mut from, &typed, &meter) => end,
            end = show(&mut to, &mut said, &meter) => end,
            end = watch(&shared, &mut actor, &right, &meter) => end,
            () = stay.ended() => End::TenantClosed,
            () = shared.life.token().cancelled_owned() => End::Stopping,
        };
        // The shell hears that nothing more comes.
        drop(typed);
        let parting = async {
            farewell(&mut to, &end).await;
            while let Ok(Some(_)) = said.message().await {}
        };
        if tokio::time::timeout(FAREWELL, parting).await.is_err() {
            tracing::debug!("a terminal did not end by itself");
        }
        meter.settle(Instant::now());
        let (typed_bytes, shown_bytes) = meter.bytes();
        let seconds = meter.open_for(Instant::now()).as_secs();
        tracing::info!(ended = end.name(), seconds, "a terminal ended");
        let details = json!({"ended": end.name(), "seconds": seconds,
            "typedBytes": typed_bytes, "shownBytes": shown_bytes});
        (end.code(), details)
    }
}

/// Hands on what is typed.
async fn listen(
    from: &mut SplitStream<WebSocket>,
    typed: &mpsc::Sender<ExecRequest>,
    meter: &Meter,
) -> End {
    loop {
        let message = match tokio::time::timeout(GONE, from.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => Bytes::from(text),
            Ok(Some(Ok(Message::Binary(bytes)))) => bytes,
            Ok(Some(Ok(Message::Ping(bytes) | Message::Pong(bytes)))) => {
                pause(meter.count(Way::Alive, bytes.len(), Instant::now())).await;
                continue;
            }
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return End::Closed,
        };
        let Some(sent) = wire::read(&message).filter(is_small) else {
            return End::NotUnderstood;
        };
        let wait = meter.count(Way::Typed, message.len(), Instant::now());
        let sent = typed.send(request(sent)).await;
        if sent.is_err() {
            // The shell has ended; what it says of that is on its way.
            return std::future::pending().await;
        }
        pause(wait).await;
    }
}

/// Waits, where there is something to wait for.
async fn pause(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

fn is_small(sent: &Sent) -> bool {
    match sent {
        Sent::Typed(text) => text.len() <= MAX_TYPED_KIB << 10,
        Sent::Size { .. } => true,
    }
}

fn request(sent: Sent) -> ExecRequest {
    match sent {
        Sent::Typed(text) => ExecRequest {
            input: text.into_bytes(),
            ..ExecRequest::default()
        },
        Sent::Size { rows, columns } => ExecRequest {
            size: Some(TerminalSize {
                rows: rows.into(),
                columns: columns.into(),
            }),
            ..ExecRequest::default()
        },
    }
}

/// Shows what the shell writes.
async fn show(
    to: &mut SplitSink<WebSocket, Message>,
    said: &mut Streaming<ExecOutput>,
    meter: &Meter,
) -> End {
    let mut text = Text::default();
    let mut ping = tokio::time::interval(PING);
    ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let next = tokio::select! {
            next = said.message() => Some(next),
            _ = ping.tick() => None,
        };
        let (message, wait) = match next {
            None => (Message::Ping(Bytes::from_static(b"ping")), Duration::ZERO),
            Some(Ok(Some(ExecOutput { output }))) => {
                let wait = meter.count(Way::Shown, output.len(), Instant::now());
                (Message::text(wire::stdout(&text.take(&output))), wait)
            }
            Some(Ok(None)) => return End::Shell,
            Some(Err(status)) => return End::Failed(terminal::told(status)),
        };
        match tokio::time::timeout(SLOW, to.send(message)).await {
            Ok(Ok(())) => pause(wait).await,
            Ok(Err(_)) | Err(_) => return End::Closed,
        }
    }
}

/// Looks whether it may go on: the token, the rights, the tenant's settings, where the application is, and what it has used up.
async fn watch(shared: &Shared, actor: &mut Actor, right: &str, meter: &Meter) -> End {
    let mut recheck = Recheck::new();
    loop {
        recheck.due().await;
        if let Err(status) = recheck.look(shared, actor).await {
            return End::Token(status);
        }
        let config = shared.configs.of(actor.tenant.id).await;
        let switched_off = config.is_ok_and(|config| !config.exec_enabled());
        if switched_off || terminal::require(actor, right).is_err() {
            return End::Denied;
        }
        // The right is asked of the project that the request named, which the application may have left.
        if terminal::is_gone(shared, actor, right).await {
            return End::Denied;
        }
        if let Some(spent) = meter.spent(Instant::now()) {
            return End::Spent(spent);
        }
    }
}

/// Says why it ended, and closes it.
async fn farewell(to: &mut SplitSink<WebSocket, Message>, end: &End) {
    let mut last: Vec<Message> = Vec::new();
    last.extend(end.words().map(|words| Message::text(wire::stdout(&words))));
    if matches!(end, End::Token(status) if status.code() == Code::Unauthenticated) {
        last.push(Message::text(wire::reconnect()));
    }
    last.push(Message::Close(None));
    for message in last {
        if to.send(message).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_ends_with_is_named_counted_and_told() {
        assert_eq!(End::Shell.words(), None);
        assert_eq!(End::Denied.words().as_deref(), Some(DENIED));
        let away = End::Token(Status::unavailable("the database is away"));
        assert_eq!(
            away.words().as_deref(),
            Some("\r\nthe database is away\r\n")
        );
        let over = End::Token(Status::unauthenticated("revoked"));
        assert_eq!(over.words().as_deref(), Some(RECONNECTING));
        assert_eq!(over.code(), Code::Unauthenticated);
        let tenant = End::Spent(Spent::Tenant(Duration::from_secs(9)));
        assert_eq!(tenant.code(), Code::ResourceExhausted);
        assert!(tenant.words().is_some_and(|words| words.contains("10 sec")));
        let idle = End::Spent(Spent::Idle);
        assert_eq!((idle.name(), idle.code()), ("idle", Code::DeadlineExceeded));
        assert!(
            idle.words()
                .is_some_and(|words| words.contains("10 minutes"))
        );
    }

    #[test]
    fn what_was_sent_is_what_the_shell_gets() {
        assert_eq!(request(Sent::Typed("ls\r".into())).input, b"ls\r");
        let size = request(Sent::Size {
            rows: 40,
            columns: 120,
        });
        let wanted = TerminalSize {
            rows: 40,
            columns: 120,
        };
        assert_eq!(size.size, Some(wanted));
        assert!(!is_small(&Sent::Typed(
            "x".repeat((MAX_TYPED_KIB << 10) + 1)
        )));
    }
}
