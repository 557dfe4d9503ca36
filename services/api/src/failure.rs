//! What a caller is told when something goes wrong: chosen words, never a cause's own.

use std::time::Duration;

use domain::message::{self, Message};
use domain::quota::whole_seconds;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::language;

/// A message of the catalogue, in the reader's language.
pub(crate) fn say(code: Code, message: &Message) -> Status {
    Status::new(code, message.render(language::current()))
}

/// That something is used up for now, and when there is more: in words, and in `retry-after`.
pub(crate) fn come_again(message: &Message, wait: Duration) -> Status {
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::RETRY_AFTER, whole_seconds(wait).into());
    Status::with_metadata(
        Code::ResourceExhausted,
        message.render(language::current()),
        MetadataMap::from_headers(headers),
    )
}

/// Whether [`come_again`] made it.
pub(crate) fn comes_again(status: &Status) -> bool {
    status
        .metadata()
        .contains_key(http::header::RETRY_AFTER.as_str())
}

/// Something that is a defect here; the log says what.
pub(crate) fn internal() -> Status {
    say(Code::Internal, &message::api::INTERNAL.message())
}

/// That there is no tenant of this name.
pub(crate) fn no_tenant(name: &str) -> Status {
    say(
        Code::NotFound,
        &message::tenant::NOT_FOUND.with("name", name),
    )
}

/// What the store said. Its text is for the log; a caller learns what to do.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
pub(crate) fn store(error: store::Error) -> Status {
    let code = match error.code() {
        store::Code::NotFound => Code::NotFound,
        store::Code::AlreadyExists => Code::AlreadyExists,
        store::Code::Conflict | store::Code::Stale => Code::Aborted,
        store::Code::Invalid => Code::InvalidArgument,
        store::Code::Exhausted => Code::ResourceExhausted,
        store::Code::Denied => Code::PermissionDenied,
        store::Code::Unavailable => {
            tracing::warn!(error = chain(&error), "the database does not answer");
            return say(Code::Unavailable, &message::api::DATABASE_AWAY.message());
        }
        store::Code::Misconfigured | store::Code::Internal => {
            tracing::error!(error = chain(&error), "the database refused");
            return internal();
        }
    };
    match error.message() {
        Some(message) => say(code, &message),
        None => Status::new(code, error.to_string()),
    }
}

/// Why a change was refused while the store held the row.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Status);

impl From<store::Error> for Refused {
    fn from(error: store::Error) -> Self {
        Self(store(error))
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        refused.0
    }
}

/// An error and its causes on one line, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
