//! One question asked of the outside, shared by all who want its answer at the same time.

use std::future::Future;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How recent an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The last good one, if it is no older than this. A failure is repeated only for a moment.
    Known(Duration),
    /// One whose question was sent after this call began.
    Fresh,
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
}

impl<T, E> Default for Listing<T, E> {
    fn default() -> Self {
        Self {
            asking: tokio::sync::Mutex::default(),
            last: Mutex::new(Last {
                good: None,
                bad: None,
            }),
        }
    }
}

impl<T: Clone, E: Clone> Listing<T, E> {
    /// An answer that is recent enough, asked for with `ask` unless there is one.
    ///
    /// Whoever needs a fresh one joins only a question that was sent after the call began; all who wait meanwhile
    /// share the next.
    pub(super) async fn get<F, Answer>(&self, need: Need, ask: F) -> Result<T, E>
    where
        F: FnOnce() -> Answer,
        Answer: Future<Output = Result<T, E>>,
    {
        let began = Instant::now();
        if let Some(answer) = self.usable(need, began, began) {
            return answer;
        }
        let _asking = self.asking.lock().await;
        if let Some(answer) = self.usable(need, began, Instant::now()) {
            return answer;
        }
        let sent = Instant::now();
        let answer = ask().await;
        let mut last = self.last.lock();
        match &answer {
            Ok(good) => {
                *last = Last {
                    good: Some((sent, good.clone())),
                    bad: None,
                }
            }
            Err(bad) => last.bad = Some((sent, bad.clone())),
        }
        answer
    }

    /// Whether the last good answer is no older than `age` at `now`.
    pub(super) fn good_since(&self, now: Instant, age: Duration) -> bool {
        self.last
            .lock()
            .good
            .as_ref()
            .is_some_and(|(sent, _)| now.duration_since(*sent) <= age)
    }

    fn usable(&self, need: Need, began: Instant, now: Instant) -> Option<Result<T, E>> {
        let last = self.last.lock();
        let bad_after_began = last.bad.as_ref().filter(|(sent, _)| *sent >= began);
        match need {
            Need::Fresh => match (&last.good, bad_after_began) {
                (_, Some((_, bad))) => Some(Err(bad.clone())),
                (Some((sent, good)), None) if *sent >= began => Some(Ok(good.clone())),
                _ => None,
            },
            Need::Known(age) => {
                if let Some((_, good)) = last
                    .good
                    .as_ref()
                    .filter(|(sent, _)| now.duration_since(*sent) <= age)
                {
                    return Some(Ok(good.clone()));
                }
                last.bad
                    .as_ref()
                    .filter(|(sent, _)| {
                        *sent >= began || now.duration_since(*sent) <= FAILURE_HOLDS
                    })
                    .map(|(_, bad)| Err(bad.clone()))
            }
        }
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
        let ask = |need| {
            let (listing, asked, mut gate) = (listing.clone(), asked.clone(), gate.clone());
            async move {
                let question = || async move {
                    let n = asked.fetch_add(1, Ordering::SeqCst) + 1;
                    let _ = gate.wait_for(|open| *open).await;
                    Ok(n)
                };
                listing.get(need, question).await
            }
        };
        let all = async {
            tokio::join!(
                ask(Need::Fresh),
                ask(Need::Fresh),
                ask(Need::Fresh),
                ask(LONG)
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
        assert_eq!(ask(LONG).await, Ok(2));
    }

    #[tokio::test]
    async fn a_failure_does_not_hide_the_last_good_answer_from_those_who_do_not_insist() {
        let listing: Listing<u32, &str> = Listing::default();
        assert_eq!(listing.get(LONG, || async { Ok(1) }).await, Ok(1));
        assert_eq!(
            listing.get(Need::Fresh, || async { Err("down") }).await,
            Err("down")
        );
        assert_eq!(listing.get(LONG, || async { Ok(2) }).await, Ok(1));
        assert_eq!(
            listing
                .get(Need::Known(Duration::ZERO), || async { Ok(3) })
                .await,
            Err("down")
        );
    }
}
