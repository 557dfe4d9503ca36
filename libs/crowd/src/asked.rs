//! What several callers ask at the same time is asked once.
//!
//! Whoever comes while a question is under way waits for the next one: what it wants to hear of may have happened after that
//! one was asked. All who wait share the next.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The questions that are asked now, by what they are about. One that nobody waits for takes no room.
///
/// - Whoever asks has the answer to a question that began after it asked, whoever put that one.
/// - About the same thing one question is under way at a time; about others, others are.
/// - An answer is everybody's who waited for it, whether good or bad: it is given as it is.
/// - Who asks first puts the question itself. Where it goes away, or panics, the next of those who wait puts its own.
/// - How long a question takes is for the callers to bound.
#[derive(Debug)]
pub struct Asked<K, T> {
    rest: Duration,
    state: Mutex<State<K, T>>,
}

#[derive(Debug)]
struct State<K, T> {
    /// Counts who comes and what begins: two of them may be at the same moment.
    count: u64,
    lines: HashMap<K, Line<T>>,
}

/// Those who ask the same.
#[derive(Debug)]
struct Line<T> {
    /// How many there are.
    here: usize,
    /// Held while a question is under way.
    turn: Turn,
    last: Option<Answer<T>>,
}

type Turn = Arc<tokio::sync::Mutex<()>>;

#[derive(Debug)]
struct Answer<T> {
    /// The count at which its question began.
    began: u64,
    /// When the next question is put, where somebody has waited for it all the time.
    rested: Instant,
    said: T,
}

impl<K: Clone + Eq + Hash, T: Clone> Asked<K, T> {
    /// Nobody asks anything yet.
    ///
    /// A question that follows upon another is put off for others to come: as much time passes without one as with one, and
    /// no more than `rest`.
    #[must_use]
    pub fn new(rest: Duration) -> Self {
        Self {
            rest,
            state: Mutex::new(State {
                count: 0,
                lines: HashMap::new(),
            }),
        }
    }

    /// The answer to a question that begins after this call.
    pub async fn ask<F: Future<Output = T>>(&self, about: K, question: impl FnOnce() -> F) -> T {
        let place = self.enter(about);
        let _turn = place.turn.lock().await;
        if let Some(said) = place.heard() {
            return said;
        }
        if let Some(until) = place.put_off() {
            tokio::time::sleep_until(until).await;
        }
        let (began, at) = (self.state.lock().tick(), Instant::now());
        // On the heap: what is asked is long, and is asked below much else.
        let said = Box::pin(question()).await;
        let came = Instant::now();
        place.keep(Answer {
            began,
            rested: came + (came - at).min(self.rest),
            said: said.clone(),
        });
        said
    }

    /// What `job` returns, during which nobody asks about this. It is nobody else's.
    pub async fn alone<R, F: Future<Output = R>>(&self, about: K, job: impl FnOnce() -> F) -> R {
        let place = self.enter(about);
        let _turn = place.turn.lock().await;
        Box::pin(job()).await
    }

    /// Forgets the last answer; who waits for it asks again.
    pub fn forget(&self, about: &K) {
        if let Some(line) = self.state.lock().lines.get_mut(about) {
            line.last = None;
        }
    }

    fn enter(&self, about: K) -> Place<'_, K, T> {
        let mut state = self.state.lock();
        let came = state.tick();
        let line = state.lines.entry(about.clone()).or_insert_with(|| Line {
            here: 0,
            turn: Turn::default(),
            last: None,
        });
        line.here += 1;
        let turn = Arc::clone(&line.turn);
        Place {
            asked: self,
            about,
            came,
            turn,
        }
    }
}

impl<K, T> State<K, T> {
    fn tick(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

/// One of those who ask, until it has its answer or goes away.
struct Place<'a, K: Eq + Hash, T> {
    asked: &'a Asked<K, T>,
    about: K,
    came: u64,
    turn: Turn,
}

impl<K: Eq + Hash, T> Place<'_, K, T> {
    /// The last answer, where its question began after this came.
    fn heard(&self) -> Option<T>
    where
        T: Clone,
    {
        let state = self.asked.state.lock();
        let last = state.lines.get(&self.about)?.last.as_ref()?;
        (last.began > self.came).then(|| last.said.clone())
    }

    /// Until when the next question is put off.
    fn put_off(&self) -> Option<Instant> {
        let state = self.asked.state.lock();
        let last = state.lines.get(&self.about)?.last.as_ref()?;
        (last.rested > Instant::now()).then_some(last.rested)
    }

    fn keep(&self, answer: Answer<T>) {
        if let Some(line) = self.asked.state.lock().lines.get_mut(&self.about) {
            line.last = Some(answer);
        }
    }
}

impl<K: Eq + Hash, T> Drop for Place<'_, K, T> {
    fn drop(&mut self) {
        let mut state = self.asked.state.lock();
        if let Some(line) = state.lines.get_mut(&self.about) {
            line.here -= 1;
            // Whoever comes from here on wants what begins after them: kept, the last answer would only take room.
            if line.here == 0 {
                state.lines.remove(&self.about);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt;

    use super::*;

    fn asked<T: Clone>() -> Asked<&'static str, T> {
        Asked::new(Duration::ZERO)
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_share_a_question_that_is_asked_after_all_of_them_came() {
        let (asked, questions) = (asked(), AtomicUsize::new(0));
        let question = || async {
            let answer = questions.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::task::yield_now().await;
            answer
        };
        let ask = |about| asked.ask(about, question);
        let (first, second, third, other) = tokio::join!(ask("a"), ask("a"), ask("a"), ask("b"));
        assert_eq!(first, 1);
        assert_eq!(
            (second, third),
            (3, 3),
            "they came while the first was asked"
        );
        assert_eq!(other, 2, "another question waits for none of them");
        assert_eq!(ask("a").await, 4, "nothing is remembered");
        assert!(asked.state.lock().lines.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_follows_upon_another_is_put_off_for_others_to_come() {
        let asked = Asked::new(Duration::from_millis(50));
        let (questions, began) = (AtomicUsize::new(0), Instant::now());
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

    #[tokio::test(start_paused = true)]
    async fn another_job_waits_its_turn_and_is_nobody_elses() {
        let (asked, runs) = (asked(), AtomicUsize::new(0));
        let job = || async {
            tokio::task::yield_now().await;
            runs.fetch_add(1, Ordering::SeqCst) + 1
        };
        let (first, second, third, fourth) = tokio::join!(
            asked.ask("a", job),
            asked.alone("a", job),
            asked.ask("a", job),
            asked.ask("a", job)
        );
        assert_eq!((first, second, third, fourth), (1, 2, 3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_can_want_any_more_is_not_kept() {
        let (asked, questions) = (asked(), AtomicUsize::new(0));
        let question = || async {
            tokio::task::yield_now().await;
            Arc::new(questions.fetch_add(1, Ordering::SeqCst))
        };
        let ask = || asked.ask("a", question);
        let (first, second) = tokio::join!(ask(), ask());
        assert_eq!((*first, *second), (0, 1));
        assert_eq!(Arc::strong_count(&second), 1, "nobody waited for it");
        // Whoever waited and goes leaves nothing behind either.
        let (mut waiting, mut going) = (Box::pin(ask()), Box::pin(ask()));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert!(futures::poll!(&mut going).is_pending());
        let third = waiting.await;
        assert_eq!(Arc::strong_count(&third), 2, "one waits");
        drop(going);
        assert_eq!(Arc::strong_count(&third), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_everybodys_who_waited_unless_it_is_forgotten() {
        let (asked, questions) = (asked(), AtomicUsize::new(0));
        let question = || async {
            tokio::task::yield_now().await;
            Err::<(), _>(questions.fetch_add(1, Ordering::SeqCst) + 1)
        };
        let mut all: Vec<_> = (0..4).map(|_| Box::pin(asked.ask("a", question))).collect();
        for one in &mut all {
            assert!(futures::poll!(one).is_pending());
        }
        let mut all = all.into_iter();
        let mut next = async || all.next().unwrap().await;
        assert_eq!(next().await, Err(1));
        assert_eq!(next().await, Err(2));
        assert_eq!(next().await, Err(2));
        asked.forget(&"b");
        asked.forget(&"a");
        assert_eq!(next().await, Err(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_whose_caller_goes_away_or_panics_is_asked_by_the_next() {
        async fn falls() -> u32 {
            panic!("it fell")
        }
        let asked = asked();
        let mut going = Box::pin(asked.ask("a", std::future::pending));
        let mut falling = Box::pin(AssertUnwindSafe(asked.ask("a", falls)).catch_unwind());
        let mut waiting = Box::pin(asked.ask("a", || async { 1 }));
        assert!(futures::poll!(&mut going).is_pending());
        assert!(futures::poll!(&mut falling).is_pending());
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(going);
        assert!(falling.await.is_err());
        assert_eq!(waiting.await, 1);
        assert!(asked.state.lock().lines.is_empty());
    }
}
