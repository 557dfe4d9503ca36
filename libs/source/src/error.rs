//! Why a source could not be read or rendered.

use std::sync::Arc;

use domain::cause::Cause;
use domain::message::{self, Language, Message};

/// What sort of failure it is, for callers that must decide (retry, status code).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The other end does not answer, or not in time: trying again may help.
    Unreachable,
    /// The other end wants another login.
    Denied,
    /// No such repository, revision or folder.
    NotFound,
    /// What was asked, or what is in Git, is wrong.
    Invalid,
    /// A limit was reached.
    TooLarge,
    /// Not supported (yet).
    Unsupported,
    /// The mirror on disk is damaged; handled by fetching it anew.
    Corrupt,
    /// Ours to mend.
    Internal,
}

/// Why a source could not be read or rendered: a cause for people, and a detail for the log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.cause.render(Language::English))]
pub struct Error {
    kind: Kind,
    cause: Box<Cause>,
    also: Option<Box<Cause>>,
    fetched: bool,
    lasting: bool,
    detail: Option<Arc<str>>,
    needs: Vec<String>,
    wanted: Vec<String>,
}

/// What the system says of a disk without room; Git and its library pass it on.
pub(crate) const FULL: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

impl Error {
    /// An error with a message.
    #[must_use]
    pub fn new(kind: Kind, message: Message) -> Self {
        Self::of(kind, Cause::error(message))
    }

    /// An error with a whole cause.
    #[must_use]
    pub fn of(kind: Kind, cause: Cause) -> Self {
        Self {
            kind,
            cause: Box::new(cause),
            also: None,
            fetched: false,
            lasting: false,
            detail: None,
            needs: Vec::new(),
            wanted: Vec::new(),
        }
    }

    /// An error of the platform itself; `what` goes to the log only.
    #[must_use]
    pub fn internal(what: impl std::fmt::Display) -> Self {
        Self::new(Kind::Internal, message::source::INTERNAL.message()).detail(what)
    }

    /// A failure of our own disk: one that is full has a name, for whoever waits for it and whoever has to make room.
    #[must_use]
    pub(crate) fn disk(what: impl std::fmt::Display) -> Self {
        let text = what.to_string();
        match FULL.iter().any(|said| text.contains(said)) {
            true => Self::new(Kind::Internal, message::source::DISK_FULL.message()).detail(text),
            false => Self::internal(text),
        }
    }

    /// Adds what only the log should say.
    #[must_use]
    pub fn detail(mut self, detail: impl std::fmt::Display) -> Self {
        self.detail = Some(detail.to_string().into());
        self
    }

    /// Adds the addresses of repositories without a way into which it cannot go on.
    #[must_use]
    pub(crate) fn wanting(mut self, wanted: Vec<String>) -> Self {
        self.wanted = wanted;
        self
    }

    /// The addresses of repositories without a way into which it cannot go on: whoever has one asks again with it.
    #[must_use]
    pub fn wanted(&self) -> &[String] {
        &self.wanted
    }

    /// Changes the cause.
    #[must_use]
    pub fn map(mut self, change: impl FnOnce(Cause) -> Cause) -> Self {
        self.cause = Box::new(change(*self.cause));
        self
    }

    /// Adds the places whose access would help.
    #[must_use]
    pub fn needing(mut self, places: Vec<String>) -> Self {
        self.needs = places;
        self
    }

    /// The places whose access would help, as they are written; empty where that would not help.
    #[must_use]
    pub fn needs(&self) -> &[String] {
        &self.needs
    }

    /// What sort of failure it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What to tell people.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// Notes that it is about fetching, which may go otherwise the next time.
    #[must_use]
    pub(crate) fn fetched(mut self) -> Self {
        self.fetched = true;
        self
    }

    /// Whether it is about fetching: neither the commit nor the options decide it alone.
    #[must_use]
    pub fn is_about_fetching(&self) -> bool {
        self.fetched
    }

    /// Notes that whoever asks the same in the same way has the same again: it is what the other end answers to it, or makes of it,
    /// and nothing that is on its way to pass.
    #[must_use]
    pub(crate) fn lasting(mut self) -> Self {
        self.lasting = true;
        self
    }

    /// Whether whoever asks the same in the same way has the same again.
    #[must_use]
    pub(crate) fn is_lasting(&self) -> bool {
        self.lasting
    }

    /// Adds what else to tell people.
    #[must_use]
    pub fn also(mut self, cause: Cause) -> Self {
        self.also = Some(Box::new(cause));
        self
    }

    /// All that there is to tell people, the cause first.
    pub fn causes(&self) -> impl Iterator<Item = &Cause> {
        std::iter::once(&*self.cause).chain(self.also.as_deref())
    }

    /// What only the log should say.
    #[must_use]
    pub fn log_detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}
