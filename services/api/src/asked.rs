//! What several callers ask at the same time is asked once.
//!
//! Whoever comes while a question is under way waits for the next one: what it wants to hear of may have happened after that
//! one was asked. All who wait share the next.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

/// The questions that are asked now, by what they are about. One that nobody waits for takes no room.
pub(crate) struct Asked<K, T> {
    lines: Mutex<HashMap<K, Line<T>>>,
}

/// Those who ask the same.
struct Line<T> {
    waiting: usize,
    last: Last<T>,
}

/// The last answer, and when its question was asked; locked while one is under way.
type Last<T> = Arc<tokio::sync::Mutex<Option<(Instant, T)>>>;

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
        if let Some((asked, answer)) = &*last
            && *asked > came
        {
            return answer.clone();
        }
        let asked = Instant::now();
        let answer = question().await;
        *last = Some((asked, answer.clone()));
        answer
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
