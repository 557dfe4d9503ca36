//! Why a repository could not be read.

use std::fmt;
use std::sync::Arc;

use domain::cause::Cause;
use domain::message;
use tonic::{Code, Status};

/// Why a repository could not be read or rendered. Cheap to clone: many applications may have the same.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// The typed reasons, most specific first; never empty.
    pub causes: Arc<[Cause]>,
    /// Whether the fault is ours (a service that is down), so that trying again may help without anybody changing
    /// anything.
    pub ours: bool,
    /// Whether a server of theirs did not answer, or not to its end, or a cluster did not say what it was asked: it may do so
    /// again without anybody changing anything here.
    pub passing: bool,
}

/// What is said of servers that do not answer.
const PASSING: [&message::Code; 7] = [
    &message::source::UNREACHABLE,
    &message::source::SILENT,
    &message::source::TIMEOUT,
    &message::source::FETCH_FAILED,
    &message::source::WEB_FILE_TIMEOUT,
    &message::chart::UNREACHABLE,
    &message::chart::TIMEOUT,
];
/// What is said of our own services.
const OURS: [&message::Code; 5] = [
    &message::source::INTERNAL,
    &message::source::PLACES_TAKEN,
    &message::source::DISK_FULL,
    &message::source::REPO_SERVER_UNAVAILABLE,
    // What a minute's quota refuses, the next minute allows.
    &message::tenant::RATE_REACHED,
];

impl Trouble {
    /// One reason that only an edit can remove.
    #[must_use]
    pub fn theirs(cause: Cause) -> Self {
        Self {
            causes: Arc::from([cause]),
            ours: false,
            passing: false,
        }
    }

    /// One reason that may pass without anybody changing anything here.
    #[must_use]
    pub fn passing(cause: Cause) -> Self {
        Self {
            passing: true,
            ..Self::theirs(cause)
        }
    }

    /// A service of ours that does not answer.
    #[must_use]
    pub fn ours(cause: Cause) -> Self {
        Self {
            causes: Arc::from([cause]),
            ours: true,
            passing: false,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.causes.first() {
            Some(cause) => write!(f, "{}", cause.message),
            None => f.write_str("unknown"),
        }
    }
}

impl From<Status> for Trouble {
    /// A repo-server's no carries its causes as JSON in the status's details; without them it is a fault of ours.
    fn from(status: Status) -> Self {
        if let Some(causes) = causes(status.details()) {
            let says = |codes: &[&message::Code]| {
                let is_one = |cause: &Cause| codes.iter().any(|code| cause.message.is(code));
                causes.iter().any(is_one)
            };
            let (ours, passing) = (says(&OURS), says(&PASSING));
            return Self {
                causes: causes.into(),
                ours,
                passing,
            };
        }
        let ours = matches!(
            status.code(),
            Code::Unavailable
                | Code::Unknown
                | Code::Cancelled
                | Code::DeadlineExceeded
                | Code::ResourceExhausted
        );
        let cause = Cause::error(message::source::REPO_SERVER_UNAVAILABLE.message())
            .evidence(status.message().to_owned());
        Self {
            causes: Arc::from([cause]),
            ours,
            passing: false,
        }
    }
}

fn causes(details: &[u8]) -> Option<Vec<Cause>> {
    let many: Option<Vec<Cause>> = serde_json::from_slice(details).ok();
    many.or_else(|| {
        serde_json::from_slice::<Cause>(details)
            .ok()
            .map(|one| vec![one])
    })
    .filter(|list| !list.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether what a repo-server says is a fault of ours, and whether it may pass.
    fn said(message: message::Message) -> (bool, bool) {
        let details = serde_json::to_vec(&[Cause::error(message)]).unwrap();
        let status = Status::with_details(Code::Internal, "no", details.into());
        let trouble = Trouble::from(status);
        (trouble.ours, trouble.passing)
    }

    #[test]
    fn whatever_says_that_it_is_tried_again_is() {
        let of_sources =
            |code: &&message::Code| code.id.starts_with("source.") || code.id.starts_with("chart.");
        let promises = |code: &&message::Code| code.en.contains("it is tried again");
        let all: Vec<_> = message::all().filter(of_sources).filter(promises).collect();
        assert!(all.len() >= 8, "the words have changed");
        for code in all {
            let (ours, passing) = said(code.message());
            assert!(ours || passing, "{} is a word that nobody keeps", code.id);
        }
    }

    #[test]
    fn what_may_pass_by_itself_is_told_from_what_only_an_edit_removes() {
        let url = |code: &message::Code| code.with("url", "https://h/a.git");
        assert_eq!(said(url(&message::source::FETCH_FAILED)), (false, true));
        assert_eq!(said(url(&message::source::TIMEOUT)), (false, true));
        assert_eq!(said(url(&message::source::SILENT)), (false, true));
        assert_eq!(said(url(&message::chart::UNREACHABLE)), (false, true));
        assert_eq!(said(message::source::DISK_FULL.message()), (true, false));
        // No server's fault: an operation waits for that.
        assert_eq!(said(url(&message::source::PLACES_TAKEN)), (true, false));
        assert_eq!(said(url(&message::source::LOGIN_REFUSED)), (false, false));
        let silent = Trouble::from(Status::unavailable("nobody"));
        assert_eq!((silent.ours, silent.passing), (true, false));
    }
}
