//! Starting children for jobs, and stopping them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use domain::resource::ResourceKey;
use lru::LruCache;
use parking_lot::Mutex;
use sandbox::{Sandbox, Worker};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::Semaphore;

use crate::serve::READY;
use crate::{ARGUMENT, Answer, Job, Refusal};

/// How long a job may compute. Argo CD gives as much, by the clock; what waits for a processor meanwhile, on a machine that is
/// busy with something else, would be stopped for that.
const LIMIT: Duration = Duration::from_secs(1);
/// How long a job may take by the clock, however little of it was its own.
const PATIENCE: Duration = Duration::from_secs(10);
/// No process is asked more often how much it has computed.
const TICK: Duration = Duration::from_millis(10);
/// How long all jobs of a list may take: what is left then is for the next time, and others have their turn. The last one that
/// began within it has its [`PATIENCE`].
const BUDGET: Duration = Duration::from_secs(5);
/// How long a child may take to start.
const START: Duration = Duration::from_secs(10);
/// How many children run at once; no two of them are one tenant's.
const AT_ONCE: usize = 2;
/// How many limits a tenant's list of jobs may break before all of its scripts are held back, if there is time for so many.
const MAX_LOST: usize = 3;
/// How long what broke a limit is held back.
const HELD: Duration = Duration::from_secs(60);
/// How many of those are remembered.
const MAX_HELD: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// The longest answer, in bytes: an object and what stands around it.
const MAX_ANSWER: u64 = 4 << 20;
/// How much is sent to a child at once, in bytes: the jobs beyond are another child's.
const MAX_SENT: usize = 8 << 20;

/// Runs scripts. Cheap to clone.
#[derive(Clone)]
pub struct Scripts(Arc<Inner>);

struct Inner {
    program: PathBuf,
    turns: Semaphore,
    /// Each tenant's one turn, while somebody waits for it or has it.
    tenants: Mutex<HashMap<String, Weak<Semaphore>>>,
    /// What broke a limit, and until when that holds it back: a tenant's script on an object, or a tenant's name alone.
    held: Mutex<LruCache<u64, Instant>>,
}

type Outcome = Result<Answer, Refusal>;

/// What became of one child.
struct Child {
    /// Its answers, in the order of the jobs.
    answers: Vec<Outcome>,
    /// Why there are no more of them.
    lost: Option<Refusal>,
}

impl Scripts {
    /// Children are `program` with [`ARGUMENT`], which calls [`serve`](crate::serve()).
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self(Arc::new(Inner {
            program,
            turns: Semaphore::new(AT_ONCE),
            tenants: Mutex::default(),
            held: Mutex::new(LruCache::new(MAX_HELD)),
        }))
    }

    /// What comes of each job, in their order. `whose` are they: who breaks a limit is held back alone, and waits for
    /// itself alone.
    pub async fn run(&self, whose: &str, jobs: &[Job]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(jobs.len());
        outcomes.resize_with(jobs.len(), || None);
        let own = self.own_turn(whose);
        // Neither semaphore is ever closed.
        let _own = own.acquire().await;
        let _turn = self.0.turns.acquire().await;
        let begun = Instant::now();
        let mut lost = 0;
        let mut unavailable = false;
        loop {
            let left = self.left(whose, jobs, &outcomes);
            let rest = BUDGET.saturating_sub(begun.elapsed());
            if gives_up(lost, left.len(), rest) {
                self.hold(name(whose, None), HELD);
                break;
            }
            if left.is_empty() || rest.is_zero() {
                break;
            }
            let asked: Vec<&Job> = left.iter().map(|position| &jobs[*position]).collect();
            let child = self.child(&asked, rest).await;
            let answered = child.answers.len();
            for (position, answer) in left.iter().zip(child.answers) {
                outcomes[*position] = Some(answer);
            }
            match (child.lost, left.get(answered)) {
                // As much as was sent, or as there was time for.
                (None, _) | (_, None) => {}
                (Some(Refusal::Unavailable), _) => {
                    unavailable = true;
                    break;
                }
                (Some(Refusal::Late), Some(at)) => {
                    // After the others the next time: it may be late again, and take the time of all.
                    self.hold(name(whose, Some(&jobs[*at])), Duration::ZERO);
                    outcomes[*at] = Some(Err(Refusal::Late));
                }
                (Some(refusal), Some(at)) => {
                    self.hold(name(whose, Some(&jobs[*at])), HELD);
                    outcomes[*at] = Some(Err(refusal));
                    lost += 1;
                }
            }
        }
        if unavailable {
            for position in self.left(whose, jobs, &outcomes) {
                outcomes[position] = Some(Err(Refusal::Unavailable));
            }
        }
        let missing = || Err(Refusal::NotNow);
        let outcomes = outcomes.into_iter();
        outcomes
            .map(|outcome| outcome.unwrap_or_else(missing))
            .collect()
    }

    /// The jobs that have no outcome and are not held back. What has broken a limit before comes last: it may do so again, and take
    /// the time of the others each time that it is held back no more.
    fn left(&self, whose: &str, jobs: &[Job], outcomes: &[Option<Outcome>]) -> Vec<usize> {
        if self.is_held(name(whose, None)) {
            return Vec::new();
        }
        let open = outcomes.iter().enumerate();
        let open = open.filter(|(position, outcome)| {
            outcome.is_none() && !self.is_held(name(whose, Some(&jobs[*position])))
        });
        let mut open: Vec<usize> = open.map(|(position, _)| position).collect();
        open.sort_by_cached_key(|position| {
            let name = name(whose, Some(&jobs[*position]));
            self.0.held.lock().contains(&name)
        });
        open
    }

    fn own_turn(&self, whose: &str) -> Arc<Semaphore> {
        let mut tenants = self.0.tenants.lock();
        tenants.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = tenants.get(whose).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Semaphore::new(1));
        tenants.insert(whose.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// Has one child do as many jobs as may be sent at once and as there is time for.
    async fn child(&self, jobs: &[&Job], rest: Duration) -> Child {
        let mut answers = Vec::new();
        let worker = match Sandbox::own(&self.0.program, ARGUMENT) {
            Ok(worker) => worker,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "scripts cannot be run");
                return Child {
                    answers,
                    lost: Some(Refusal::Unavailable),
                };
            }
        };
        let mut lines = Vec::new();
        let mut sent = 0;
        for job in jobs {
            if lines.len() > MAX_SENT {
                break;
            }
            // A job is plain data.
            let _ = serde_json::to_writer(&mut lines, job);
            lines.push(b'\n');
            sent += 1;
        }
        let clock = worker.clock();
        // Dropped with this call, and the child with it.
        let Worker {
            mut stdin, stdout, ..
        } = worker;
        let mut output = BufReader::new(stdout);
        let write = async {
            let _ = stdin.write_all(&lines).await;
            drop(stdin);
            std::future::pending().await
        };
        let read = async {
            let ready = tokio::time::timeout(START, line(&mut output)).await;
            if !matches!(ready, Ok(Ok(line)) if line == READY) {
                tracing::error!("the child that runs scripts does not start");
                return Some(Refusal::Unavailable);
            }
            let begun = Instant::now();
            while answers.len() < sent && begun.elapsed() < rest {
                match in_time(line(&mut output), || clock.used()).await {
                    Ok(line) => match serde_json::from_slice(&line) {
                        Ok(answer) => answers.push(answer),
                        Err(_) => return Some(Refusal::TooMuch),
                    },
                    Err(refusal) => return Some(refusal),
                }
            }
            None
        };
        // Ends with the reading: a child that does not read on is no reason to wait.
        let lost = tokio::select! {
            lost = read => lost,
            lost = write => lost,
        };
        Child { answers, lost }
    }

    fn is_held(&self, name: u64) -> bool {
        let mut held = self.0.held.lock();
        held.get(&name).is_some_and(|until| Instant::now() < *until)
    }

    fn hold(&self, name: u64, time: Duration) {
        self.0.held.lock().put(name, Instant::now() + time);
    }
}

/// Whether all scripts of a tenant are held back whose list has broken so many limits, with so many jobs left. On a machine that
/// is busy few limits fill the time of a list: with the next list it would be the same, and others wait.
fn gives_up(lost: usize, left: usize, rest: Duration) -> bool {
    lost >= MAX_LOST || (lost > 0 && left > 0 && rest.is_zero())
}

/// A line with its end.
async fn line(output: &mut (impl AsyncBufRead + Unpin)) -> Result<Vec<u8>, Refusal> {
    let mut line = Vec::new();
    let mut bounded = output.take(MAX_ANSWER);
    match bounded.read_until(b'\n', &mut line).await {
        Ok(_) if line.ends_with(b"\n") => Ok(line),
        _ => Err(Refusal::TooMuch),
    }
}

/// What is answered before the child has computed for too long; `used` says for how long it has since it was started. Where
/// that cannot be said, the clock counts.
async fn in_time<T>(
    answer: impl Future<Output = Result<T, Refusal>>,
    used: impl Fn() -> Option<Duration>,
) -> Result<T, Refusal> {
    let begun = tokio::time::Instant::now();
    let before = used();
    let mut answer = pin!(answer);
    let mut pause = LIMIT;
    loop {
        if let Ok(answer) = tokio::time::timeout(pause, &mut answer).await {
            return answer;
        }
        let taken = match (before, used()) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => LIMIT,
        };
        if taken >= LIMIT {
            return Err(Refusal::TooLong);
        }
        if begun.elapsed() >= PATIENCE {
            return Err(Refusal::Late);
        }
        // Before that it cannot have computed for as long as it may: it has one thread.
        pause = (LIMIT - taken).max(TICK);
    }
}

/// Names a tenant's script on an object; the tenant alone without a job.
fn name(whose: &str, job: Option<&Job>) -> u64 {
    let mut hasher = DefaultHasher::new();
    whose.hash(&mut hasher);
    let object = match job {
        None => return hasher.finish(),
        Some(Job::Places {
            expressions,
            object,
        }) => {
            expressions.hash(&mut hasher);
            object
        }
        Some(
            Job::Health { script, object }
            | Job::Actions { script, object }
            | Job::Act { script, object, .. },
        ) => {
            script.hash(&mut hasher);
            object
        }
    };
    ResourceKey::of(object).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[test]
    fn whose_broken_limits_fill_the_time_of_a_list_is_held_back_as_who_breaks_many() {
        let (much, none) = (Duration::from_secs(2), Duration::ZERO);
        assert!(!gives_up(MAX_LOST - 1, 9, much));
        assert!(gives_up(MAX_LOST, 9, much) && gives_up(MAX_LOST, 0, none));
        assert!(gives_up(1, 9, none), "there was no time for more of them");
        assert!(!gives_up(1, 0, none), "all the others have answered");
        assert!(!gives_up(0, 9, none), "it is only long");
    }

    #[test]
    fn what_has_broken_a_limit_before_takes_no_time_of_others() {
        let scripts = Scripts::new(PathBuf::new());
        let jobs = ["a", "b", "c"].map(|script| Job::Health {
            script: script.into(),
            object: serde_json::json!({}),
        });
        let left = || scripts.left("web", &jobs, &[None, None, None]);
        assert_eq!(left(), [0, 1, 2]);
        let first = name("web", Some(&jobs[0]));
        scripts.hold(first, HELD);
        assert_eq!(left(), [1, 2], "it is held back");
        scripts.hold(first, Duration::ZERO);
        assert_eq!(left(), [1, 2, 0], "it is tried again, after the others");
    }

    #[tokio::test]
    async fn where_no_child_can_be_started_that_is_said_of_all_that_is_not_held_back() {
        let scripts = Scripts::new(PathBuf::from("/nowhere/naru-test-no-such-program"));
        let jobs = ["a", "b"].map(|script| Job::Health {
            script: script.into(),
            object: serde_json::json!({}),
        });
        scripts.hold(name("web", Some(&jobs[0])), HELD);
        let outcomes = scripts.run("web", &jobs).await;
        let expected = [Err(Refusal::NotNow), Err(Refusal::Unavailable)];
        assert_eq!(outcomes, expected);
        let ours = |outcome: &Outcome| outcome.as_ref().is_err_and(Refusal::is_ours);
        assert_eq!(outcomes.iter().map(ours).collect::<Vec<_>>(), [false, true]);
    }

    async fn after(wait: Duration) -> Result<(), Refusal> {
        tokio::time::sleep(wait).await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_waits_for_a_processor_is_not_stopped_for_that() {
        let begun = tokio::time::Instant::now();
        let a_fifth = || Some(Duration::from_secs(7) + begun.elapsed() / 5);
        assert_eq!(in_time(after(LIMIT * 4), a_fifth).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_computes_for_a_second_is_stopped_and_one_that_nobody_can_measure_too() {
        let begun = tokio::time::Instant::now();
        let later = || Some(begun.elapsed().saturating_sub(LIMIT));
        let never = pending::<Result<(), Refusal>>;
        assert_eq!(in_time(never(), later).await, Err(Refusal::TooLong));
        assert_eq!(begun.elapsed(), LIMIT * 2);
        assert_eq!(in_time(never(), || None).await, Err(Refusal::TooLong));
        assert_eq!(begun.elapsed(), LIMIT * 3);
        let nothing = || Some(Duration::ZERO);
        assert_eq!(in_time(never(), nothing).await, Err(Refusal::Late));
        assert_eq!(begun.elapsed(), LIMIT * 3 + PATIENCE);
        let broken = in_time(ready(Err::<(), _>(Refusal::TooMuch)), nothing).await;
        assert_eq!(broken, Err(Refusal::TooMuch));
    }
}
