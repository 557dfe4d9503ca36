//! Programs that are run in a container, on a terminal.

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::Account;
use crate::error::Error;
use crate::transport::{Sent, WebSocket};
use crate::url::Query;

/// What is typed.
const STDIN: u8 = 0;
/// What the program writes; on a terminal there is no other way out.
const STDOUT: u8 = 1;
/// How the program ended.
const STATUS: u8 = 3;
/// The size of the terminal.
const RESIZE: u8 = 4;

/// What a program that runs in a container says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// What it wrote.
    Output(Bytes),
    /// That it ended; nothing follows.
    Ended(Ending),
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this exit code.
    Code(i32),
    /// It did not run, or how it ended is not known: in the cluster's words.
    Failed(String),
}

impl Ending {
    /// Whether it is the ending of a program that is not there, or cannot be run.
    #[must_use]
    pub fn is_missing_program(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Code(126 | 127))
    }
}

/// What is sent to a program.
pub struct Typing {
    socket: SplitSink<WebSocket, Message>,
    sent: Sent,
}

/// What a program says.
pub struct Saying {
    socket: SplitStream<WebSocket>,
    sent: Sent,
    ended: bool,
}

impl Account {
    /// Runs a program in a container, on a terminal of its own. Dropping both halves ends the connection, upon which the
    /// cluster hangs up.
    ///
    /// # Errors
    /// When the pod is not there, the account may not, or the cluster does not answer. A program that is not there is told
    /// by [`Ending`].
    pub async fn exec(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        program: &str,
    ) -> Result<(Typing, Saying), Error> {
        let path = self.pod(namespace, pod, "exec").await?;
        let path = Query::new(&path)
            .set("container", container)
            .set("command", program)
            .set("stdin", "true")
            .set("stdout", "true")
            .set("tty", "true")
            .build();
        let (sent, socket) = self.transport().websocket(&self.identity, &path).await?;
        let (sink, stream) = socket.split();
        Ok((
            Typing {
                socket: sink,
                sent: sent.clone(),
            },
            Saying {
                socket: stream,
                sent,
                ended: false,
            },
        ))
    }
}

impl Typing {
    /// Types.
    ///
    /// # Errors
    /// When the cluster does not take it any more.
    pub async fn type_in(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.send(STDIN, bytes).await
    }

    /// Says how large the terminal is.
    ///
    /// # Errors
    /// As [`Typing::type_in`].
    pub async fn resize(&mut self, rows: u16, columns: u16) -> Result<(), Error> {
        let size = json!({"Width": columns, "Height": rows}).to_string();
        self.send(RESIZE, size.as_bytes()).await
    }

    /// Says that somebody is still there: what is silent for long is cut off on the way.
    ///
    /// # Errors
    /// As [`Typing::type_in`].
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.put(Message::Ping(Bytes::new())).await
    }

    /// Hangs up.
    ///
    /// # Errors
    /// As [`Typing::type_in`].
    pub async fn close(&mut self) -> Result<(), Error> {
        self.put(Message::Close(None)).await
    }

    async fn send(&mut self, channel: u8, bytes: &[u8]) -> Result<(), Error> {
        let mut piece = BytesMut::with_capacity(1 + bytes.len());
        piece.put_u8(channel);
        piece.put_slice(bytes);
        self.put(Message::Binary(piece.freeze())).await
    }

    async fn put(&mut self, message: Message) -> Result<(), Error> {
        let put = self.socket.send(message).await;
        put.map_err(|error| self.sent.unreachable(error))
    }
}

impl Saying {
    /// What it says next; `None` when nothing more comes.
    pub async fn next(&mut self) -> Option<Result<Said, Error>> {
        while !self.ended {
            let said = match self.socket.next().await {
                Some(Ok(Message::Binary(piece))) => {
                    read(&piece).map(|said| Ok(clean(said, &self.sent)))
                }
                Some(Ok(Message::Close(_))) | None => {
                    self.ended = true;
                    None
                }
                Some(Ok(_)) => None,
                Some(Err(error)) => {
                    self.ended = true;
                    Some(Err(self.sent.unreachable(error)))
                }
            };
            if let Some(said) = said {
                self.ended |= matches!(said, Ok(Said::Ended(_)));
                return Some(said);
            }
        }
        None
    }
}

/// Takes what the cluster was told out of its own words. What the program writes is the program's.
fn clean(said: Said, sent: &Sent) -> Said {
    match said {
        Said::Ended(Ending::Failed(words)) => Said::Ended(Ending::Failed(sent.clean(words))),
        said => said,
    }
}

/// A piece: the channel's number, and what is said on it. The first of each channel is empty and says nothing.
fn read(piece: &Bytes) -> Option<Said> {
    let channel = *piece.first()?;
    let rest = piece.slice(1..);
    match channel {
        _ if rest.is_empty() => None,
        STDOUT => Some(Said::Output(rest)),
        STATUS => Some(Said::Ended(ending(&rest))),
        _ => None,
    }
}

fn ending(status: &[u8]) -> Ending {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Status {
        status: String,
        message: String,
        reason: String,
        details: Option<Details>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Details {
        causes: Vec<Cause>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Cause {
        reason: String,
        message: String,
    }
    let Ok(status) = serde_json::from_slice::<Status>(status) else {
        return Ending::Failed(String::from_utf8_lossy(status).into_owned());
    };
    if status.status == "Success" {
        return Ending::Code(0);
    }
    let causes = status.details.unwrap_or_default().causes;
    let code = causes
        .iter()
        .find(|cause| status.reason == "NonZeroExitCode" && cause.reason == "ExitCode")
        .and_then(|cause| cause.message.parse().ok());
    match code {
        Some(code) => Ending::Code(code),
        None => Ending::Failed(status.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_told_by_their_channel() {
        let read = |piece: &'static [u8]| super::read(&Bytes::from_static(piece));
        assert_eq!(
            read(b"\x01hello"),
            Some(Said::Output(Bytes::from_static(b"hello")))
        );
        for nothing in [&b""[..], b"\x01", b"\x00typed", b"\xff\x01"] {
            assert_eq!(read(nothing), None, "{nothing:?}");
        }
        assert_eq!(
            read(b"\x03{\"status\":\"Success\"}"),
            Some(Said::Ended(Ending::Code(0)))
        );
    }

    #[test]
    fn an_ending_is_a_code_or_the_clusters_words() {
        let code = |code: &str| {
            json!({"status": "Failure", "reason": "NonZeroExitCode", "message": "it ended",
                "details": {"causes": [{"reason": "ExitCode", "message": code}]}})
            .to_string()
        };
        assert_eq!(ending(br#"{"status":"Success"}"#), Ending::Code(0));
        assert_eq!(ending(code("3").as_bytes()), Ending::Code(3));
        assert!(ending(code("127").as_bytes()).is_missing_program());
        assert!(!ending(code("1").as_bytes()).is_missing_program());
        let failed = json!({"status": "Failure", "reason": "InternalError",
            "message": "exec: \"bash\": executable file not found in $PATH"});
        let ending = ending(failed.to_string().as_bytes());
        assert!(ending.is_missing_program());
        assert!(matches!(ending, Ending::Failed(words) if words.contains("bash")));
    }
}
