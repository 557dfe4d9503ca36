//! One question asked of the outside, shared by all who want its answer at the same time.

use std::future::Future;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How recent an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The last good one, if it is no older than this. A failure is repeated only for a moment.
    Known(Duration),
    /// The last one, good or bad, if its question was sent less than this ago.
    Asked(Duration),
    /// One whose question was sent then or later.
    Since(Instant),
}

impl Need {
    /// One whose question is not sent yet.
    #[must_use]
    pub fn fresh() -> Self {
        Self::Since(Instant::now())
    }
}

/// How long a failure answers for those who do not insist: long enough that a thousand applications of an unreachable
/// repository do not each wait for its time-out.
const FAILURE_HOLDS: Duration = Duration::from_secs(5);

/// The last answer, and the right to ask again.
#[derive(Debug)]
pub(super) struct Listing<T, E> {
    asking: tokio::sync::Mutex<()>,
    last: Mutex<Last<T, E>>,
}

#[derive(Debug)]
struct Last<T, E> {
    good: Option<(Instant, T)>,
    bad: Option<(Instant, E)>,
    /// When the last good one came.
    came: Option<Instant>,
}

impl<T, E> Default for Listing<T, E> {
    fn default() -> Self {
        Self {
            asking: tokio::sync::Mutex::default(),
            last: Mutex::new(Last {
                good: None,
                bad: None,
                came: None,
            }),
        }
    }
}

impl<T: Clone, E: Clone> Listing<T, E> {
    /// An answer that is recent enough, asked for with `ask` unless there is one. Nothing where there is none and `ask`
    /// has not asked.
    ///
    /// Whoever needs a fresh one joins only a question that was sent after it wanted one; all who wait meanwhile share the
    /// next.
    pub(super) async fn get<F, Answer>(&self, need: Need, ask: F) -> Option<Result<T, E>>
    where
        F: FnOnce() -> Answer,
        Answer: Future<Output = Option<Result<T, E>>>,
    {
        let began = Instant::now();
        if let Some(answer) = self.usable(need, began, began) {
            return Some(answer);
        }
        let _asking = self.asking.lock().await;
        if let Some(answer) = self.usable(need, began, Instant::now()) {
            return Some(answer);
        }
        let sent = Instant::now();
        let answer = ask().await?;
        let mut last = self.last.lock();
        match &answer {
            Ok(good) => {
                *last = Last {
                    good: Some((sent, good.clone())),
                    bad: None,
                    came: Some(Instant::now()),
                }
            }
            Err(bad) => last.bad = Some((sent, bad.clone())),
        }
        Some(answer)
    }

    /// An answer that is at hand and recent enough.
    pub(super) fn known(&self, need: Need) -> Option<Result<T, E>> {
        let now = Instant::now();
        self.usable(need, now, now)
    }

    /// Whether the last good answer is no older than `age` at `now`.
    pub(super) fn good_since(&self, now: Instant, age: Duration) -> bool {
        self.last
            .lock()
            .good
            .as_ref()
            .is_some_and(|(sent, _)| now.duration_since(*sent) <= age)
    }

    /// Whether a good answer has come then or later, whenever its question was sent.
    pub(super) fn has_come_since(&self, then: Instant) -> bool {
        self.last.lock().came.is_some_and(|came| came >= then)
    }

    /// How long ago the last question was sent, at `now`; nothing where none was.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        let last = self.last.lock();
        let (sent, _) = last.newest()?;
        Some(now.saturating_duration_since(sent))
    }

    fn usable(&self, need: Need, began: Instant, now: Instant) -> Option<Result<T, E>> {
        let last = self.last.lock();
        match need {
            Need::Since(then) => last.newest().filter(|(sent, _)| *sent >= then),
            Need::Asked(age) => last
                .newest()
                .filter(|(sent, _)| now.saturating_duration_since(*sent) < age),
            Need::Known(age) => {
                if let Some((_, good)) = last
                    .good
                    .as_ref()
                    .filter(|(sent, _)| now.duration_since(*sent) <= age)
                {
                    return Some(Ok(good.clone()));
                }
                let bad = last.bad.as_ref().filter(|(sent, _)| {
                    *sent >= began || now.duration_since(*sent) <= FAILURE_HOLDS
                });
                return bad.map(|(_, bad)| Err(bad.clone()));
            }
        }
        .map(|(_, answer)| answer)
    }
}

impl<T: Clone, E: Clone> Last<T, E> {
    /// The last answer, and when its question was sent. A good one forgets the bad ones before it.
    fn newest(&self) -> Option<(Instant, Result<T, E>)> {
        let bad = self.bad.as_ref();
        let bad = bad.map(|(sent, bad)| (*sent, Err(bad.clone())));
        let good = self.good.as_ref();
        bad.or_else(|| good.map(|(sent, good)| (*sent, Ok(good.clone()))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const LONG: Need = Need::Known(Duration::from_secs(60));

    #[tokio::test]
    async fn a_refresh_joins_only_a_question_sent_after_it_and_all_who_wait_share_the_next() {
        let listing: Arc<Listing<u32, ()>> = Arc::default();
        let asked = Arc::new(AtomicU32::new(0));
        let (release, gate) = tokio::sync::watch::channel(false);
        let ask = |need: fn() -> Need| {
            let (listing, asked, mut gate) = (listing.clone(), asked.clone(), gate.clone());
            async move {
                let question = || async move {
                    let n = asked.fetch_add(1, Ordering::SeqCst) + 1;
                    let _ = gate.wait_for(|open| *open).await;
                    Some(Ok(n))
                };
                listing.get(need(), question).await.unwrap()
            }
        };
        let all = async {
            tokio::join!(
                ask(Need::fresh),
                ask(Need::fresh),
                ask(Need::fresh),
                ask(|| LONG)
            )
        };
        let open = async { release.send(true) };
        let ((first, second, third, known), _) = tokio::join!(all, open);
        assert_eq!(first, Ok(1));
        assert_eq!(
            (second, third),
            (Ok(2), Ok(2)),
            "they began while the first was under way"
        );
        assert!(known.is_ok_and(|n| n <= 2));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert_eq!(ask(|| LONG).await, Ok(2));
    }

    #[tokio::test]
    async fn a_failure_does_not_hide_the_last_good_answer_from_those_who_do_not_insist() {
        let listing: Listing<u32, &str> = Listing::default();
        let get = async |need, answer: Result<u32, &'static str>| {
            let asked = listing.get(need, || async { Some(answer) });
            asked.await.unwrap()
        };
        assert_eq!(get(LONG, Ok(1)).await, Ok(1));
        assert_eq!(get(Need::fresh(), Err("down")).await, Err("down"));
        assert_eq!(get(LONG, Ok(2)).await, Ok(1));
        assert_eq!(get(Need::Known(Duration::ZERO), Ok(3)).await, Err("down"));
        let before = Instant::now();
        assert_eq!(get(Need::fresh(), Err("down")).await, Err("down"));
        assert!(
            !listing.has_come_since(before),
            "a failure says nothing new"
        );
        assert_eq!(get(Need::fresh(), Ok(4)).await, Ok(4));
        assert!(listing.has_come_since(before));
    }

    #[tokio::test]
    async fn whoever_polls_takes_what_another_has_just_asked_however_it_went() {
        let listing: Listing<u32, &str> = Listing::default();
        let get = async |need, answer: Result<u32, &'static str>| {
            let asked = listing.get(need, || async { Some(answer) });
            asked.await.unwrap()
        };
        let (long, none) = (
            Need::Asked(Duration::from_secs(60)),
            Need::Asked(Duration::ZERO),
        );
        assert!(listing.known(long).is_none() && listing.age(Instant::now()).is_none());
        let before = Instant::now();
        assert_eq!(get(long, Ok(1)).await, Ok(1));
        assert_eq!(get(long, Ok(2)).await, Ok(1));
        assert_eq!(listing.known(Need::Since(before)), Some(Ok(1)));
        assert_eq!(listing.known(Need::fresh()), None);
        assert_eq!(get(none, Err("down")).await, Err("down"));
        assert_eq!(get(long, Ok(3)).await, Err("down"));
        assert_eq!(listing.known(Need::Since(before)), Some(Err("down")));
        assert_eq!(get(none, Ok(4)).await, Ok(4));
        assert!(listing.age(Instant::now()).is_some());

        // Who finds that it is not its own to ask changes nothing.
        let asked = listing.get(none, || async { None });
        assert_eq!(asked.await, None);
        assert_eq!(listing.known(long), Some(Ok(4)));
    }
}
