//! What only a few may do at once, of a tenant and of all: whoever has no place waits for one, and not for ever.

use std::time::Duration;

use crowd::fair::{Fair, Turn};
use domain::message;

use super::access::Access;
use crate::error::{Error, Kind};

/// How long somebody waits. With what the server may take besides it is less than who asks for a listing waits, a minute; and
/// a server whose answer is not read on meanwhile does not give up so soon.
const WAIT: Duration = Duration::from_secs(30);

/// Waits for a place.
pub(super) async fn place(places: &Fair, access: &Access) -> Result<Turn, Error> {
    tokio::time::timeout(WAIT, places.turn(access.tenant()))
        .await
        .map_err(|_| late(access, WAIT))
}

/// That a repository did not answer in time.
pub(super) fn late(access: &Access, after: Duration) -> Error {
    let message = message::source::TIMEOUT
        .with("url", access.url())
        .with("seconds", after.as_secs());
    Error::new(Kind::Unreachable, message)
}

/// That a server sent nothing for so long.
pub(super) fn silent(access: &Access, after: Duration) -> Error {
    let message = message::source::SILENT
        .with("url", access.url())
        .with("seconds", after.as_secs());
    Error::new(Kind::Unreachable, message)
}

/// Whether a server sent nothing.
pub(super) fn is_silent(error: &Error) -> bool {
    error.cause().message.is(&message::source::SILENT)
}

/// Whether a repository did not answer in time.
pub(super) fn is_late(error: &Error) -> bool {
    error.cause().message.is(&message::source::TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::{Login, Rules};

    fn of(tenant: &str) -> Access {
        let url = "https://git.example/a.git";
        Access::new(tenant, "", url, Login::default(), Rules::default()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_and_whoever_gave_up_has_no_place() {
        let places = Fair::with_share(1, 1);
        let held = place(&places, &of("a")).await.unwrap();
        let error = place(&places, &of("b")).await.unwrap_err();
        assert_eq!(error.cause().message.code, "source.timeout");
        assert_eq!(error.kind(), Kind::Unreachable);
        drop(held);
        place(&places, &of("b")).await.unwrap();
    }
}
