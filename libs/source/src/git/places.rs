//! What only a few may do at once, of a tenant and of all: whoever has no place waits for one, and not for ever.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crowd::fair::{Fair, Turn};
use domain::message;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::access::Access;
use crate::error::{Error, Kind};

/// How long somebody waits. With what the server may take besides it is less than who asks for a listing waits, a minute; and
/// a server whose answer is not read on meanwhile does not give up so soon.
const WAIT: Duration = Duration::from_secs(30);

/// Waits for a place.
pub(super) async fn place(places: &Fair, access: &Access) -> Result<Turn, Error> {
    tokio::time::timeout(WAIT, places.turn(access.tenant()))
        .await
        .map_err(|_| taken(access, WAIT))
}

/// For how long the line at a repository has stood, all in all, since whoever was first in it had no place of ours.
#[derive(Debug, Default)]
pub(super) struct Standing(Mutex<Stood>);

#[derive(Debug, Default)]
struct Stood {
    before: Duration,
    since: Option<Instant>,
}

impl Standing {
    /// It stands until this is dropped. Whoever says so is the first.
    #[must_use]
    pub(super) fn stands(&self) -> Stands<'_> {
        self.0.lock().since = Some(Instant::now());
        Stands(self)
    }

    fn so_far(&self) -> Duration {
        let stood = self.0.lock();
        let now = stood.since.map(|since| since.elapsed());
        stood.before + now.unwrap_or_default()
    }
}

/// That a line stands.
#[derive(Debug)]
pub(super) struct Stands<'a>(&'a Standing);

impl Drop for Stands<'_> {
    fn drop(&mut self) {
        let mut stood = self.0.0.lock();
        if let Some(since) = stood.since.take() {
            stood.before += since.elapsed();
        }
    }
}

/// How long somebody waits for turns at a repository, one after the other and all together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience<'a> {
    access: &'a Access,
    most: Duration,
    until: Instant,
    standing: &'a Standing,
    /// For how long the line had stood before.
    stood: Duration,
}

impl<'a> Patience<'a> {
    /// So much from now on.
    pub(super) fn of(access: &'a Access, standing: &'a Standing, most: Duration) -> Self {
        let until = Instant::now() + most;
        Self {
            access,
            most,
            until,
            standing,
            stood: standing.so_far(),
        }
    }

    /// What work comes to that waits for its turn and says when it has `begun`: from then on it has its own time.
    pub(super) async fn turn<T>(
        self,
        begun: &AtomicBool,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::pin!(work);
        match tokio::time::timeout_at(self.until, &mut work).await {
            Ok(done) => done,
            Err(_) if begun.load(Ordering::Relaxed) => work.await,
            Err(_) => Err(self.over()),
        }
    }

    /// What has taken all of it: the repository's server is not what was waited for while no place of ours was free.
    fn over(&self) -> Error {
        let ours = self.standing.so_far().saturating_sub(self.stood);
        let ours = Duration::from_secs(ours.as_secs());
        match ours >= self.most / 2 {
            true => taken(self.access, ours),
            false => late(self.access, self.most.saturating_sub(ours)),
        }
    }
}

/// That no place of ours was free for so long.
fn taken(access: &Access, time: Duration) -> Error {
    let message = message::source::PLACES_TAKEN
        .with("url", access.url())
        .with("seconds", time.as_secs());
    Error::new(Kind::Unreachable, message)
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
        assert_eq!(error.cause().message.code, "source.places-taken");
        assert_eq!(error.kind(), Kind::Unreachable);
        drop(held);
        place(&places, &of("b")).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_turn_is_told_in_time_and_what_has_begun_goes_on() {
        let seconds = Duration::from_secs;
        let (access, line) = (of("a"), tokio::sync::Mutex::new(()));
        let work = async |begun: &AtomicBool, takes: u64| {
            let _turn = line.lock().await;
            begun.store(true, Ordering::Relaxed);
            tokio::time::sleep(seconds(takes)).await;
            Ok::<u64, Error>(takes)
        };
        let (held, standing) = (line.lock().await, Standing::default());
        let patience = Patience::of(&access, &standing, seconds(90));
        let (came, begun) = (Instant::now(), AtomicBool::new(false));
        let error = patience.turn(&begun, work(&begun, 1)).await.unwrap_err();
        assert_eq!(error.cause().message.code, "source.timeout");
        assert!(error.to_string().contains("90"), "{error}");
        assert_eq!(came.elapsed().as_secs(), 90);
        drop(held);
        // It is no longer waited for, and nobody is ahead.
        let begun = AtomicBool::new(false);
        assert_eq!(patience.turn(&begun, work(&begun, 600)).await.unwrap(), 600);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_without_a_place_of_ours_is_not_said_to_be_the_servers() {
        // One for all: what stood before does not count.
        let (access, standing) = (of("a"), Standing::default());
        for (stands, code, seconds) in [
            (90, "source.places-taken", "90"),
            (0, "source.timeout", "90"),
            (40, "source.timeout", "50"),
            (50, "source.places-taken", "50"),
        ] {
            let begun = AtomicBool::new(false);
            let work = async {
                let stood = standing.stands();
                tokio::time::sleep(Duration::from_secs(stands)).await;
                drop(stood);
                std::future::pending::<Result<(), Error>>().await
            };
            let patience = Patience::of(&access, &standing, Duration::from_secs(90));
            let error = patience.turn(&begun, work).await.unwrap_err();
            let said = &error.cause().message;
            assert_eq!(
                (said.code.as_str(), &*said.arguments["seconds"]),
                (code, seconds)
            );
        }
    }
}
