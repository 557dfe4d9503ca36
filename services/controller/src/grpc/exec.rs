//! A shell in a container of an application's pod, run as whom the application is written.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Account, Ending, Said, Typing};
use crowd::places::{Place, Places};
use domain::message;
use domain::resource::{at, text};
use domain::tenant::TenantId;
use futures::Stream;
use proto::naru::internal::v1 as wire;
use serde_json::Value;
use tokio::sync::Notify;
use tonic::{Code, Status, Streaming};

use super::{While, added, refused, resource};
use crate::context::Context;
use crate::driver::queue::AppKey;

/// How many terminals are open at once: of one tenant, and in all.
const OPEN_AT_ONCE: (usize, usize) = (20, 500);
/// How long what is typed waits for a shell that says nothing; one that is not there is told within this.
const SILENT: Duration = Duration::from_secs(5);
/// How many messages wait so.
const MOST_HELD: usize = 64;
/// How often the cluster hears that somebody is still there.
const ALIVE: Duration = Duration::from_secs(30);
/// How long a shell has to end by itself when nothing more is typed.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a terminal sends for the end of what is typed.
const END_OF_INPUT: &[u8] = b"\x04";

/// The terminals that are open.
#[derive(Clone)]
pub(super) struct Terminals(Places<TenantId>);

impl Terminals {
    pub(super) fn new() -> Self {
        Self(Places::new(OPEN_AT_ONCE.0, OPEN_AT_ONCE.1))
    }

    /// A place for one more.
    pub(super) fn enter(&self, tenant: TenantId) -> Result<Place<TenantId>, Status> {
        self.0.enter(tenant).map_err(|full| {
            let full = message::terminal::FULL.with("limit", full.most());
            added::failed(Code::ResourceExhausted, &full)
        })
    }
}

/// A terminal that is open.
pub(super) struct Open {
    pub(super) lasts: While,
    pub(super) _place: Place<TenantId>,
}

impl Open {
    async fn ended(&self) {
        self.lasts.ended().await;
    }
}

/// Runs the first of the shells that the container has, and says what it writes.
pub(super) async fn exec(
    ctx: &Arc<Context>,
    app: &AppKey,
    start: wire::ExecStart,
    typed: Streaming<wire::ExecRequest>,
    open: Open,
) -> Result<impl Stream<Item = Result<wire::ExecOutput, Status>> + Send + use<>, Status> {
    let account = account(ctx, app, &start).await?;
    Ok(async_stream::stream! {
        let mut keyboard = Keyboard::new(typed);
        let mut why = String::new();
        for shell in &start.shells {
            let begun = account.exec(&start.namespace, &start.pod, &start.container, shell);
            let (mut typing, mut saying) = match begun.await {
                Ok(begun) => begun,
                Err(error) => {
                    yield Err(refused(&error));
                    return;
                }
            };
            let spoke = Notify::new();
            let ending = {
                let using = keyboard.connect(&mut typing, &spoke);
                tokio::pin!(using);
                loop {
                    let said = tokio::select! {
                        said = saying.next() => said,
                        () = using.as_mut() => break None,
                        () = open.ended() => {
                            yield Err(Status::unavailable("this controller stops, or holds the lease no more"));
                            return;
                        }
                    };
                    match said {
                        Some(Ok(Said::Output(output))) => {
                            spoke.notify_one();
                            yield Ok(wire::ExecOutput { output: output.to_vec() });
                        }
                        Some(Ok(Said::Ended(ending))) => break Some(ending),
                        Some(Err(error)) => {
                            tracing::debug!(%error, "a terminal broke off");
                            break None;
                        }
                        None => break None,
                    }
                }
            };
            match ending {
                // One that somebody used was there, whatever it ended with.
                Some(ending) if ending.is_missing_program() && !keyboard.used => {
                    why = reason(&ending);
                }
                _ => return,
            }
        }
        let none = message::terminal::NO_SHELL
            .with("shells", start.shells.join(", "))
            .with("why", why);
        yield Err(added::failed(Code::FailedPrecondition, &none));
    })
}

/// Why a shell did not run.
fn reason(ending: &Ending) -> String {
    match ending {
        Ending::Code(code) => format!("exit code {code}"),
        Ending::Failed(words) => words.clone(),
    }
}

/// The account that may use the container, if it is one of the application's and runs. In Argo CD's words where it is not.
async fn account(
    ctx: &Arc<Context>,
    app: &AppKey,
    start: &wire::ExecStart,
) -> Result<Account, Status> {
    let pod = wire::ResourceRequest {
        tenant: start.tenant.clone(),
        app: start.app.clone(),
        version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: start.namespace.clone(),
        name: start.pod.clone(),
        ..wire::ResourceRequest::default()
    };
    let pod = resource::find(ctx, app, Some(pod))
        .await
        .map_err(|status| match status.code() {
            Code::InvalidArgument => {
                Status::invalid_argument("Pod doesn't belong to specified app")
            }
            Code::NotFound => Status::invalid_argument("Cannot find pod"),
            _ => status,
        })?;
    pod.may_change()?;
    if text(&pod.body, &["status", "phase"]) != "Running" {
        return Err(Status::invalid_argument("Pod not running"));
    }
    let containers = at(&pod.body, &["spec", "containers"]).and_then(Value::as_array);
    let named = |container: &Value| text(container, &["name"]) == start.container;
    if !containers.is_some_and(|all| all.iter().any(named)) {
        return Err(Status::invalid_argument("Cannot find container"));
    }
    Ok(pod.account)
}

/// What is typed, by whoever has the terminal open.
struct Keyboard {
    typed: Streaming<wire::ExecRequest>,
    /// How large the terminal is, once that is known.
    size: Option<wire::TerminalSize>,
    /// What was typed before there was a shell to take it.
    held: Vec<Vec<u8>>,
    /// Whether a shell took anything.
    used: bool,
}

impl Keyboard {
    fn new(typed: Streaming<wire::ExecRequest>) -> Self {
        Self {
            typed,
            size: None,
            held: Vec::new(),
            used: false,
        }
    }

    /// Hands on what is typed. Ends when nothing more can come.
    async fn connect(&mut self, typing: &mut Typing, spoke: &Notify) {
        let handed_on = async {
            match self.begin(typing, spoke).await? {
                true => self.go_on(typing).await,
                false => Ok(()),
            }
        };
        match handed_on.await {
            Ok(()) => hang_up(typing).await,
            Err(error) => {
                // How the shell ended is told by what it says.
                tracing::debug!(%error, "a terminal takes nothing more");
                std::future::pending().await
            }
        }
    }

    /// Holds back what is typed until the shell speaks: before that it may turn out not to be there. Says whether whoever
    /// types is still there.
    async fn begin(&mut self, typing: &mut Typing, spoke: &Notify) -> Result<bool, cluster::Error> {
        if let Some(size) = self.size {
            resize(typing, size).await?;
        }
        let silent = tokio::time::timeout(SILENT, spoke.notified());
        tokio::pin!(silent);
        loop {
            let next = tokio::select! {
                next = self.typed.message(), if self.held.len() < MOST_HELD => next,
                _ = silent.as_mut() => break,
            };
            let Ok(Some(request)) = next else {
                return Ok(false);
            };
            if let Some(size) = request.size {
                self.size = Some(size);
                resize(typing, size).await?;
            }
            if !request.input.is_empty() {
                self.held.push(request.input);
            }
        }
        for held in std::mem::take(&mut self.held) {
            self.used = true;
            typing.type_in(&held).await?;
        }
        Ok(true)
    }

    /// Hands on what is typed as it comes, until nothing more can.
    async fn go_on(&mut self, typing: &mut Typing) -> Result<(), cluster::Error> {
        let mut alive = tokio::time::interval(ALIVE);
        alive.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let next = tokio::select! {
                next = self.typed.message() => next,
                _ = alive.tick() => {
                    typing.ping().await?;
                    continue;
                }
            };
            let Ok(Some(request)) = next else {
                return Ok(());
            };
            if let Some(size) = request.size {
                resize(typing, size).await?;
            }
            if !request.input.is_empty() {
                self.used = true;
                typing.type_in(&request.input).await?;
            }
        }
    }
}

async fn resize(typing: &mut Typing, size: wire::TerminalSize) -> Result<(), cluster::Error> {
    let cells = |cells: u32| u16::try_from(cells).unwrap_or(u16::MAX);
    typing.resize(cells(size.rows), cells(size.columns)).await
}

/// Asks the shell to end, and leaves it to the cluster to end one that does not.
async fn hang_up(typing: &mut Typing) {
    let asked = async {
        typing.type_in(END_OF_INPUT).await?;
        typing.close().await
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a terminal was gone already"),
        Err(_) => tracing::debug!("a terminal did not take its end"),
    }
}
