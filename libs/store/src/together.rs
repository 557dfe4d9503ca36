//! What several callers ask for at the same time shares a transaction.
//!
//! A hundred callers at once would wait for a hundred commits. What waits while one is under way goes into the next, all together;
//! whoever comes alone goes alone and at once, and those that are let go together come together from the first one on. Where several
//! have come together the next transaction waits for more, about as long as the last one took: each takes the database about as long,
//! whatever is in it, and more where the database is busy. Reads have no commit to share, but every statement has its price: those that
//! come while one is under way go into the next as well, which waits for nobody. Changes of applications, of which a transaction takes
//! one each and decides only then what is written, have lines of their own ([`crate::applications::together`]).
//!
//! What a statement is to carry has come before it begins. Hence a read sees all that was committed before it was asked for.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Instrument;

use crate::connect::Store;
use crate::error::{Code, Error, Result};

/// The most parts of one transaction: enough to share the cost of a commit, few enough that others do not wait long for it.
pub(crate) const MOST: usize = 64;
/// How long a transaction waits for company while many write, at least and at most.
const COMPANY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(15));
/// How long a statement is waited for: longer than one may wait for a connection and the database may take to answer
/// (`statement_timeout`). Whatever lasts longer is never answered, as of a machine that is gone without a word, and everyone who comes
/// to its line would wait until the network says so.
pub(crate) const LONGEST: Duration = Duration::from_secs(40);

/// What one caller adds to a transaction.
pub(crate) trait Part: Send + Sync + Sized + 'static {
    /// Which of them share one.
    type Line: Copy + Eq + Hash + Send + Sync + 'static;
    /// What the caller is told.
    type Answer: Send + 'static;

    /// Whether they only read: then nobody waits a moment for more.
    const READS: bool;

    /// Where they wait.
    fn lines(store: &Store) -> &Lines<Self>;

    /// Carries out some of one line in one statement; the answer to each, in their order.
    fn run(
        store: &Store,
        line: Self::Line,
        parts: &[Self],
    ) -> impl Future<Output = Result<Vec<Self::Answer>>> + Send;
}

struct Job<P: Part> {
    part: P,
    answer: oneshot::Sender<Result<P::Answer>>,
}

/// What waits, by line. One of which nothing waits and nothing runs has no entry.
pub(crate) struct Lines<P: Part>(Mutex<HashMap<P::Line, Vec<Job<P>>>>);

impl<P: Part> Default for Lines<P> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<P: Part> Lines<P> {
    /// Puts a job in line; true when nobody works on that line yet.
    fn push(&self, line: P::Line, job: Job<P>) -> bool {
        let mut lines = self.0.lock();
        let idle = !lines.contains_key(&line);
        lines.entry(line).or_default().push(job);
        idle
    }

    /// The next jobs of a line, in the order in which they came; `None` ends the line.
    fn next(&self, line: P::Line) -> Option<Vec<Job<P>>> {
        let mut lines = self.0.lock();
        let waiting = lines.get_mut(&line)?;
        if waiting.is_empty() {
            lines.remove(&line);
            return None;
        }
        let left = waiting.split_off(waiting.len().min(MOST));
        Some(std::mem::replace(waiting, left))
    }

    /// Ends a line with all who wait in it.
    fn give_up(&self, line: P::Line) {
        let waiting = self.0.lock().remove(&line);
        drop(waiting);
    }
}

/// Whoever works on a batch of a line. Where it ends before its work, by a panic, it gives the line up, before anybody of the batch
/// hears of it: who waits is told so instead of waiting for ever, and whoever comes next begins anew.
pub(crate) struct Worker<F: Fn()> {
    give_up: F,
    done: bool,
}

impl<F: Fn()> Worker<F> {
    /// Begins to work on the line that `give_up` ends.
    pub(crate) fn new(give_up: F) -> Self {
        let done = false;
        Self { give_up, done }
    }

    /// The work is done, and the line goes on.
    pub(crate) fn done(mut self) {
        self.done = true;
    }
}

impl<F: Fn()> Drop for Worker<F> {
    fn drop(&mut self) {
        if !self.done {
            (self.give_up)();
        }
    }
}

/// Carries out a part, together with those that others bring meanwhile.
pub(crate) async fn share<P: Part>(store: &Store, line: P::Line, part: P) -> Result<P::Answer> {
    let (answer, answered) = oneshot::channel();
    if P::lines(store).push(line, Job { part, answer }) {
        let store = store.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "a transaction of several callers must not end because one of them went away; each waits for it"
        )]
        tokio::spawn(async move { work::<P>(&store, line).await }.in_current_span());
    }
    // Nobody answers where the worker has ended: by a panic, or because the runtime is going down.
    answered
        .await
        .unwrap_or_else(|_| Err(Error::Unavailable(sqlx::Error::PoolClosed)))
}

/// Works on a line until it is empty.
async fn work<P: Part>(store: &Store, line: P::Line) {
    let worker = Worker::new(|| P::lines(store).give_up(line));
    let_come().await;
    worker.done();
    while let Some(batch) = P::lines(store).next(line) {
        let (parts, answers): (Vec<P>, Vec<_>) =
            batch.into_iter().map(|job| (job.part, job.answer)).unzip();
        let worker = Worker::new(|| P::lines(store).give_up(line));
        let began = Instant::now();
        let outcomes = match in_time::<P>(store, line, &parts, began + LONGEST).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            // One that cannot be stored or asked for, or whose tenant has just gone, is nobody else's trouble.
            Err(error) if parts.len() > 1 && error.code() != Code::Unavailable => {
                one_by_one(store, line, &parts).await
            }
            Err(error) => {
                let error = Arc::new(error);
                let shared = answers.iter().map(|_| Err(Error::Shared(error.clone())));
                shared.collect()
            }
        };
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // The caller may have gone; what was written stays.
            let _ = answer.send(outcome);
        }
        if !P::READS {
            company(parts.len(), began.elapsed()).await;
        }
        worker.done();
    }
}

/// What a statement comes to by `end`.
async fn in_time<P: Part>(
    store: &Store,
    line: P::Line,
    parts: &[P],
    end: Instant,
) -> Result<Vec<P::Answer>> {
    match tokio::time::timeout_at(end, P::run(store, line, parts)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::late()),
    }
}

/// Lets those come to a line that was begun this moment who were let go together with whoever began it: a worker runs as soon as it is
/// spawned, before them.
pub(crate) async fn let_come() {
    tokio::task::yield_now().await;
}

/// For how long who comes next is waited for, after a statement that carried so many `parts`, of at most `most`, and took so long: as
/// long as that, within bounds. It is then the database that says how many share one: as long as it answers at once few of them, and many
/// where each is dear. After one that came alone nobody is waited for, and after a full one there is company enough.
#[must_use]
pub fn rest_after(parts: usize, most: usize, took: Duration) -> Duration {
    let (shortest, longest) = COMPANY;
    match (2..most).contains(&parts) {
        true => took.clamp(shortest, longest),
        false => Duration::ZERO,
    }
}

/// Waits for those who come next to a line, after a transaction of so many that took so long.
pub(crate) async fn company(parts: usize, took: Duration) {
    let rest = rest_after(parts, MOST, took);
    if !rest.is_zero() {
        tokio::time::sleep(rest).await;
    }
}

/// Carries out each by itself. They have the time together that one may take: where the database has gone away meanwhile, who comes
/// after them does not wait for each in turn.
async fn one_by_one<P: Part>(store: &Store, line: P::Line, parts: &[P]) -> Vec<Result<P::Answer>> {
    let end = Instant::now() + LONGEST;
    let mut outcomes = Vec::with_capacity(parts.len());
    for part in parts {
        if Instant::now() >= end {
            outcomes.push(Err(Error::late()));
            continue;
        }
        let done = in_time::<P>(store, line, std::slice::from_ref(part), end).await;
        outcomes.push(done.map(|mut answers| answers.swap_remove(0)));
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
    use tokio::task::JoinSet;

    use super::*;
    use crate::connect::Options;
    use crate::key_file::KeyFile;

    struct Number(usize);

    impl Part for Number {
        type Line = &'static str;
        type Answer = ();

        const READS: bool = false;

        fn lines(_: &Store) -> &Lines<Self> {
            unreachable!("nothing is written")
        }

        async fn run(_: &Store, _: &'static str, _: &[Self]) -> Result<Vec<()>> {
            unreachable!("nothing is written")
        }
    }

    /// A read that is told how many shared its statement.
    struct Read;

    impl Part for Read {
        type Line = &'static str;
        type Answer = usize;

        const READS: bool = true;

        fn lines(_: &Store) -> &Lines<Self> {
            static LINES: LazyLock<Lines<Read>> = LazyLock::new(Lines::default);
            &LINES
        }

        async fn run(_: &Store, _: &'static str, parts: &[Self]) -> Result<Vec<usize>> {
            Ok(vec![parts.len(); parts.len()])
        }
    }

    /// A change that is told how many shared its transaction, which took so many milliseconds.
    struct Write(u64);

    impl Part for Write {
        type Line = &'static str;
        type Answer = usize;

        const READS: bool = false;

        fn lines(_: &Store) -> &Lines<Self> {
            static LINES: LazyLock<Lines<Write>> = LazyLock::new(Lines::default);
            &LINES
        }

        async fn run(_: &Store, _: &'static str, parts: &[Self]) -> Result<Vec<usize>> {
            let took = parts.iter().map(|part| part.0).max().unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(took)).await;
            Ok(vec![parts.len(); parts.len()])
        }
    }

    /// A read that is never answered, or at once.
    struct Hung(bool);

    impl Part for Hung {
        type Line = &'static str;
        type Answer = ();

        const READS: bool = true;

        fn lines(_: &Store) -> &Lines<Self> {
            static LINES: LazyLock<Lines<Hung>> = LazyLock::new(Lines::default);
            &LINES
        }

        async fn run(_: &Store, _: &'static str, parts: &[Self]) -> Result<Vec<()>> {
            if parts.iter().any(|part| part.0) {
                std::future::pending::<()>().await;
            }
            Ok(vec![(); parts.len()])
        }
    }

    /// A read that is refused among others, and never answered by itself.
    struct Refused;

    impl Part for Refused {
        type Line = &'static str;
        type Answer = ();

        const READS: bool = true;

        fn lines(_: &Store) -> &Lines<Self> {
            static LINES: LazyLock<Lines<Refused>> = LazyLock::new(Lines::default);
            &LINES
        }

        async fn run(_: &Store, _: &'static str, parts: &[Self]) -> Result<Vec<()>> {
            match parts.len() {
                1 => std::future::pending().await,
                _ => Err(Error::invalid("part", "it has company")),
            }
        }
    }

    /// A store that has no database, for parts that need none.
    fn nowhere() -> Store {
        let connect: PgConnectOptions = "postgres://nobody@localhost/none".parse().unwrap();
        let pool = PgPoolOptions::new().connect_lazy_with(connect.clone());
        let key_file = KeyFile::from_base64(&KeyFile::generate()).unwrap();
        Store::over(pool, connect, key_file, &Options::default())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn those_that_are_let_go_together_share_the_first_statement() {
        let store = nowhere();
        let together = async move {
            let (mut reads, mut writes) = (JoinSet::new(), JoinSet::new());
            for _ in 0..5 {
                let (one, other) = (store.clone(), store.clone());
                reads.spawn(async move { share(&one, "burst", Read).await.unwrap() });
                writes.spawn(async move { share(&other, "burst", Write(1)).await.unwrap() });
            }
            [reads.join_all().await, writes.join_all().await]
        };
        // On the one worker thread: whoever is spawned last there runs next.
        let mut released = JoinSet::new();
        released.spawn(together);
        assert_eq!(released.join_all().await, [[vec![5; 5], vec![5; 5]]]);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_transaction_that_several_shared_the_next_takes_who_comes_in_as_long_again() {
        let (store, began) = (nowhere(), Instant::now());
        let write = |after: u64| {
            let store = &store;
            async move {
                if after > 0 {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                }
                let told = share(store, "in turn", Write(10)).await.unwrap();
                (told, began.elapsed().as_millis())
            }
        };
        // Two at once, until 10; then one that came meanwhile and one that comes while it is waited for, until 20, go together.
        let told = tokio::join!(write(0), write(0), write(5), write(15));
        assert_eq!(told, ((2, 10), (2, 10), (2, 30), (2, 30)));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let alone = share(&store, "in turn", Write(10)).await.unwrap();
        assert_eq!((alone, began.elapsed().as_millis()), (1, 140));
    }

    #[tokio::test(start_paused = true)]
    async fn reads_wait_for_no_company_and_one_that_comes_alone_goes_alone() {
        let (store, began) = (nowhere(), Instant::now());
        let filled = [vec![1], vec![MOST; MOST]].concat();
        for told in [vec![3; 3], vec![1], filled, vec![1]] {
            let reads = told.iter().map(|_| share(&store, "after another", Read));
            let shared = futures::future::join_all(reads).await;
            let mut shared: Vec<usize> = shared.into_iter().map(Result::unwrap).collect();
            shared.sort_unstable();
            assert_eq!(shared, told);
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_statement_that_is_never_answered_keeps_nobody_waiting_for_good() {
        let store = nowhere();
        let later = async {
            tokio::time::sleep(COMPANY.0).await;
            share(&store, "hung", Hung(false)).await
        };
        let both = async { tokio::join!(share(&store, "hung", Hung(true)), later) };
        let (hung, later) = tokio::time::timeout(2 * LONGEST, both).await.unwrap();
        assert_eq!(hung.unwrap_err().code(), Code::Unavailable);
        later.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_carried_out_one_by_one_wait_no_longer_than_one() {
        let (store, began) = (nowhere(), Instant::now());
        let reads = (0..MOST).map(|_| share(&store, "refused", Refused));
        for told in futures::future::join_all(reads).await {
            assert_eq!(told.unwrap_err().code(), Code::Unavailable);
        }
        assert!(began.elapsed() < 2 * LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_alone_waits_for_nobody_and_who_fills_a_transaction_neither() {
        let (shortest, longest) = COMPANY;
        let between = Duration::from_millis(8);
        for (parts, took, waits) in [
            (1, between, Duration::ZERO),
            (2, Duration::ZERO, shortest),
            (2, between, between),
            (MOST - 1, Duration::from_secs(5), longest),
            (MOST, between, Duration::ZERO),
        ] {
            let began = Instant::now();
            company(parts, took).await;
            assert_eq!(began.elapsed(), waits, "after {parts} in {took:?}");
        }
    }

    #[tokio::test]
    async fn a_line_whose_worker_dies_is_given_up_and_one_whose_worker_is_done_is_not() {
        let lines = Lines::default();
        let job = || {
            let (answer, answered) = oneshot::channel();
            let part = Number(0);
            (Job { part, answer }, answered)
        };
        let (waits, answered) = job();
        assert!(lines.push("a", waits));
        drop(Worker::new(|| lines.give_up("a")));
        assert!(answered.await.is_err(), "who waited is told");
        let (next, _answered) = job();
        assert!(lines.push("a", next), "whoever comes next begins anew");
        Worker::new(|| lines.give_up("a")).done();
        assert_eq!(lines.next("a").map(|batch| batch.len()), Some(1));
    }

    #[test]
    fn what_waits_goes_together_in_its_order_and_the_line_ends_when_nobody_is_in_it() {
        let lines = Lines::default();
        let job = |number| Job {
            part: Number(number),
            answer: oneshot::channel().0,
        };
        assert!(lines.push("a", job(0)), "nobody works yet");
        for number in 1..=MOST {
            assert!(!lines.push("a", job(number)));
        }
        assert!(lines.push("b", job(0)), "another line");
        let next = |line| {
            let batch = lines.next(line)?;
            Some(batch.iter().map(|job| job.part.0).collect::<Vec<_>>())
        };
        assert_eq!(next("a"), Some((0..MOST).collect()));
        assert_eq!(next("a"), Some(vec![MOST]));
        assert_eq!(next("a"), None);
        assert!(lines.push("a", job(0)), "the line was given up");
        assert_eq!(next("b"), Some(vec![0]));
    }
}
