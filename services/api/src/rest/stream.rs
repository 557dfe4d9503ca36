//! Streams as lines of JSON, as server-sent events, or as a file of log lines.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, HeaderValue, Response, header};
use proto::json::{self, JsonError, Projection};
use proto::routes::Route;
use serde_json::{Map, Value, json as value};
use tonic::Status;

use super::answer;
use super::messages::Messages;
use super::transcode::Query;
use crate::metrics::code_name;

/// How often an idle event stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long the first message is waited for before the headers go out without it.
const FIRST: Duration = Duration::from_secs(1);
/// Where a message stands in an event.
const RESULT: &str = "result";
/// By which fields an event says what it is about, of all that it may be an event of.
const ABOUT: &str = "type,application.metadata.name,applicationSet.metadata.name";

/// How the messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One JSON object per line.
    Lines,
    /// Server-sent events.
    Events,
    /// The content of log lines.
    File,
}

impl Form {
    fn of(headers: &HeaderMap, query: &Query, route: &Route) -> Self {
        let events = headers
            .get(header::ACCEPT)
            .is_some_and(|accept| accept == "text/event-stream");
        match (route.method == "PodLogs" && query.download, events) {
            (true, _) => Self::File,
            (false, true) => Self::Events,
            (false, false) => Self::Lines,
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Lines => "application/json",
            Self::Events => "text/event-stream",
            Self::File => "application/octet-stream",
        })
    }

    fn write(self, value: &Value) -> String {
        match self {
            Self::Lines => format!("{value}\n"),
            Self::Events => format!("data: {value} \n\n"),
            Self::File => {
                let result = value.get("result");
                let text = |key: &str| {
                    result
                        .and_then(|result| result.get(key)?.as_str())
                        .unwrap_or_default()
                };
                // The last entry only says that it is the last.
                if text("podName").is_empty() {
                    String::new()
                } else {
                    format!("{}\n", text("content"))
                }
            }
        }
    }
}

/// Answers with a stream. An error that comes before anything else is an answer like any other.
pub(super) async fn answer(
    route: &'static Route,
    mut messages: Messages,
    headers: &HeaderMap,
    query: Query,
) -> Response<Body> {
    let first = match tokio::time::timeout(FIRST, messages.next()).await {
        Ok(Some(Err(status))) => return answer::error(&status),
        Ok(first) => Some(first),
        Err(_) => None,
    };
    let form = Form::of(headers, &query, route);
    let mut response = Response::new(Body::from_stream(lines(
        route, first, messages, form, query,
    )));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, form.content_type());
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if form == Form::File {
        let name = HeaderValue::from_static("attachment;filename=\"logs.log\"");
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

type Message = Option<Result<Bytes, Status>>;

fn lines(
    route: &'static Route,
    first: Option<Message>,
    mut messages: Messages,
    form: Form,
    query: Query,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send {
    async_stream::stream! {
        let written = Written::of(route, &query);
        let mut repeated = Repeated::default();
        let mut first = first;
        loop {
            let message = match first.take() {
                Some(message) => message,
                None if form == Form::Events => {
                    match tokio::time::timeout(KEEP_ALIVE, messages.next()).await {
                        Ok(message) => message,
                        Err(_) => {
                            yield Ok(Bytes::from_static(b":\n"));
                            continue;
                        }
                    }
                }
                None => messages.next().await,
            };
            match message {
                Some(Ok(bytes)) => {
                    let Ok((event, about)) = written.event(&bytes) else {
                        tracing::error!(route = route.path, "a message cannot be written as JSON");
                        break;
                    };
                    let event = form.write(&event);
                    if about.is_some_and(|about| repeated.is(about, &event)) {
                        continue;
                    }
                    yield Ok(Bytes::from(event));
                }
                Some(Err(status)) => {
                    yield Ok(Bytes::from(form.write(&failure(&status))));
                    break;
                }
                None => break,
            }
        }
    }
}

/// How a stream's messages become events.
struct Written<'a> {
    route: &'static Route,
    query: &'a Query,
    /// What is left of each, where it is not made whole.
    projection: Option<Projection>,
    /// The same of what it is about.
    about: Option<Projection>,
}

impl<'a> Written<'a> {
    fn of(route: &'static Route, query: &'a Query) -> Self {
        Self {
            route,
            query,
            projection: query.projection(route, RESULT),
            about: Projection::of(&route.response, "", ABOUT),
        }
    }

    /// An event, and what it is about where that may be told twice.
    fn event(&self, bytes: &[u8]) -> Result<(Value, Option<About>), JsonError> {
        let about = self.about.as_ref().filter(|_| self.route.method == "Watch");
        // Not of the event, of which the name may be left out.
        let about = about.map(|about| about.encode(bytes)).transpose()?;
        let about = about.as_ref().and_then(Repeated::about);
        let event = |result| Value::Object(Map::from_iter([(RESULT.to_owned(), result)]));
        let event = match &self.projection {
            // An application is a large document, of which most who watch want little.
            Some(projection) => event(projection.encode(bytes)?),
            None => {
                let whole = json::encode(&self.route.response, bytes)?;
                self.query.project(self.route, event(whole))
            }
        };
        Ok((event, about))
    }
}

/// An error in the middle of a stream.
fn failure(status: &Status) -> Value {
    let http = answer::http_status(status.code());
    value!({"error": {
        "grpc_code": i32::from(status.code()),
        "http_code": http.as_u16(),
        "message": status.message(),
        "http_status": http.canonical_reason().unwrap_or(code_name(status.code())),
    }})
}

/// Events that say of an object what the one before said: a change of what was not asked for.
#[derive(Default)]
struct Repeated {
    last: HashMap<String, String>,
}

/// What an event is about.
struct About {
    name: String,
    gone: bool,
}

impl Repeated {
    fn about(result: &Value) -> Option<About> {
        let object = result
            .get("application")
            .or_else(|| result.get("applicationSet"))?;
        Some(About {
            name: object.pointer("/metadata/name")?.as_str()?.to_owned(),
            gone: result.get("type").is_some_and(|kind| kind == "DELETED"),
        })
    }

    /// Whether an event, as it is written, says nothing new.
    fn is(&mut self, about: About, event: &str) -> bool {
        let About { name, gone } = about;
        if gone {
            self.last.remove(&name);
            return false;
        }
        if self.last.get(&name).is_some_and(|last| last == event) {
            return true;
        }
        self.last.insert(name, event.to_owned());
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_written_as_clients_split_it() {
        let event = value!({"result": {"content": "hello", "podName": "p"}});
        assert_eq!(
            Form::Lines.write(&event),
            "{\"result\":{\"content\":\"hello\",\"podName\":\"p\"}}\n"
        );
        assert!(
            Form::Events.write(&event).starts_with("data: {")
                && Form::Events.write(&event).ends_with("} \n\n")
        );
        assert_eq!(Form::File.write(&event), "hello\n");
        assert_eq!(
            Form::File.write(&value!({"result": {"last": true, "content": "", "podName": ""}})),
            ""
        );
    }

    #[test]
    fn what_says_nothing_new_is_dropped() {
        let mut repeated = Repeated::default();
        let mut is = |kind: &str, event: &str| {
            let result = value!({"type": kind, "application": {"metadata": {"name": "a"}}});
            repeated.is(Repeated::about(&result).unwrap(), event)
        };
        assert!(!is("ADDED", "1"));
        assert!(is("MODIFIED", "1"));
        assert!(!is("MODIFIED", "2"));
        assert!(!is("DELETED", "2"));
        assert!(!is("ADDED", "2"));
    }

    #[test]
    fn an_error_in_the_middle_keeps_both_codes() {
        let failure = failure(&Status::unavailable("gone"));
        assert_eq!(failure["error"]["grpc_code"], 14);
        assert_eq!(failure["error"]["http_code"], 503);
    }
}
