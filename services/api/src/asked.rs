//! What several callers ask at the same time is asked once.
//!
//! Whoever comes while a question is under way waits for the next one: what it wants to hear of may have happened after that
//! one was asked. All who wait share the next, and so do those who come while it is put off: where one follows upon the other,
//! as much time passes without a question as with one, up to a bound.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The longest that a question is put off for others to come.
const LONGEST_REST: Duration = Duration::from_millis(50);

/// The questions that are asked now, by what they are about. One that nobody waits for takes no room.
pub(crate) struct Asked<K, T> {
    lines: Mutex<HashMap<K, Line<T>>>,
}

/// Those who ask the same.
struct Line<T> {
    waiting: usize,
    last: Last<T>,
}

/// The last answer; locked while a question is under way.
type Last<T> = Arc<tokio::sync::Mutex<Option<Answer<T>>>>;

struct Answer<T> {
    /// When its question was asked.
    asked: Instant,
    /// When it came.
    came: Instant,
    said: T,
}

impl<T> Answer<T> {
    /// When the next question is asked, where somebody has waited for it all the time.
    fn rested(&self) -> Instant {
        self.came + (self.came - self.asked).min(LONGEST_REST)
    }
}

impl<K: Clone + Eq + Hash, T: Clone> Asked<K, T> {
    /// Nobody asks anything yet.
    pub(crate) fn new() -> Self {
        Self {
            lines: Mutex::new(HashMap::new()),
        }
    }

    /// The answer to a question that is asked after this call.
    pub(crate) async fn ask<F: Future<Output = T>>(
        &self,
        about: K,
        question: impl FnOnce() -> F,
    ) -> T {
        let came = Instant::now();
        let (_place, last) = self.enter(about);
        let mut last = last.lock().await;
        let put_off = match &*last {
            Some(answer) if answer.asked > came => return answer.said.clone(),
            Some(answer) => Some(answer.rested()),
            None => None,
        };
        if let Some(until) = put_off {
            tokio::time::sleep_until(until).await;
        }
        let asked = Instant::now();
        let said = question().await;
        *last = Some(Answer {
            asked,
            came: Instant::now(),
            said: said.clone(),
        });
        said
    }

    fn enter(&self, about: K) -> (Place<'_, K, T>, Last<T>) {
        let mut lines = self.lines.lock();
        let line = lines.entry(about.clone()).or_insert_with(|| Line {
            waiting: 0,
            last: Arc::default(),
        });
        line.waiting += 1;
        let last = Arc::clone(&line.last);
        (Place { asked: self, about }, last)
    }
}

/// One of those who ask, until it has its answer or goes away.
struct Place<'a, K: Eq + Hash, T> {
    asked: &'a Asked<K, T>,
    about: K,
}

impl<K: Eq + Hash, T> Drop for Place<'_, K, T> {
    fn drop(&mut self) {
        let mut lines = self.asked.lines.lock();
        if let Some(line) = lines.get_mut(&self.about) {
            line.waiting -= 1;
            if line.waiting == 0 {
                lines.remove(&self.about);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn those_who_wait_share_a_question_that_is_asked_after_all_of_them_came() {
        let (asked, questions) = (Asked::new(), AtomicUsize::new(0));
        let question = || async {
            let answer = questions.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::task::yield_now().await;
            answer
        };
        let ask = |about: &'static str| asked.ask(about, question);
        let (first, second, third, other) = tokio::join!(ask("a"), ask("a"), ask("a"), ask("b"));
        assert_eq!(first, 1);
        assert_eq!(
            (second, third),
            (3, 3),
            "they came while the first was asked"
        );
        assert_eq!(other, 2, "another question waits for none of them");
        assert_eq!(ask("a").await, 4, "nothing is remembered");
        assert!(asked.lines.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_follows_upon_another_is_put_off_for_others_to_come() {
        let (asked, questions) = (Asked::new(), AtomicUsize::new(0));
        let began = Instant::now();
        let ask = |after: u64, takes: u64| {
            let question = move || async move {
                tokio::time::sleep(Duration::from_millis(takes)).await;
            };
            let (asked, questions) = (&asked, &questions);
            async move {
                if after > 0 {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                }
                let counted = || {
                    questions.fetch_add(1, Ordering::SeqCst);
                    question()
                };
                asked.ask("a", counted).await;
                began.elapsed().as_millis()
            }
        };
        // The first is asked at once and answered after 40 ms; the next is asked after 80, of all who have come by then.
        let ended = tokio::join!(ask(0, 40), ask(10, 40), ask(70, 40));
        assert_eq!(ended, (40, 120, 120));
        assert_eq!(questions.load(Ordering::SeqCst), 2);
        // Nobody has waited in between, and however long a question takes, the next is not put off for as long.
        let ended = tokio::join!(ask(0, 1_000), ask(10, 10));
        assert_eq!(ended, (1_120, 1_180));
    }

    #[tokio::test]
    async fn a_question_whose_caller_goes_away_is_asked_by_the_next() {
        let asked = Asked::new();
        tokio::select! {
            biased;
            () = asked.ask("a", std::future::pending) => unreachable!("it is never answered"),
            () = std::future::ready(()) => {}
        }
        assert!(asked.lines.lock().is_empty(), "who went away waits no more");
        asked.ask("a", || async {}).await;
    }
}
