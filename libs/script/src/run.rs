//! Starting children for jobs, and stopping them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;
use sandbox::{Sandbox, Worker};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::Semaphore;

use crate::{ARGUMENT, Answer, Job, Refusal};

/// How long a job may take, as in Argo CD.
const LIMIT: Duration = Duration::from_secs(1);
/// How long the first answer may take besides: the child has to start.
const START: Duration = Duration::from_secs(4);
/// How many children run at once.
const AT_ONCE: usize = 2;
/// How many children may be lost over one list of jobs before the rest is left.
const MAX_LOST: usize = 3;
/// How long a script that broke a limit is held back.
const HELD: Duration = Duration::from_secs(60);
/// How many of those are remembered.
const MAX_HELD: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");
/// The longest answer, in bytes.
const MAX_ANSWER: u64 = 16 << 20;

/// Runs scripts. Cheap to clone.
#[derive(Clone)]
pub struct Scripts(Arc<Inner>);

struct Inner {
    program: PathBuf,
    turns: Semaphore,
    held: Mutex<LruCache<u64, Instant>>,
}

impl Scripts {
    /// Children are `program` with [`ARGUMENT`], which calls [`serve`](crate::serve()).
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self(Arc::new(Inner {
            program,
            turns: Semaphore::new(AT_ONCE),
            held: Mutex::new(LruCache::new(MAX_HELD)),
        }))
    }

    /// What comes of each job, in their order. `whose` are they: who breaks a limit is held back alone.
    pub async fn run(&self, whose: &str, jobs: &[Job]) -> Vec<Result<Answer, Refusal>> {
        let mut outcomes: Vec<Option<Result<Answer, Refusal>>> = Vec::with_capacity(jobs.len());
        outcomes.resize_with(jobs.len(), || None);
        let mut left: Vec<usize> = Vec::new();
        for (position, job) in jobs.iter().enumerate() {
            if self.is_held(name(whose, job)) {
                outcomes[position] = Some(Err(Refusal::HeldBack));
            } else {
                left.push(position);
            }
        }
        // The semaphore is never closed.
        let _turn = self.0.turns.acquire().await;
        for _ in 0..MAX_LOST {
            if left.is_empty() {
                break;
            }
            let asked: Vec<&Job> = left.iter().map(|position| &jobs[*position]).collect();
            let (answers, lost) = self.child(&asked).await;
            let mut answered = answers.into_iter();
            left.retain(|position| match answered.next() {
                Some(answer) => {
                    outcomes[*position] = Some(answer);
                    false
                }
                None => true,
            });
            if let Some(refusal) = lost
                && !left.is_empty()
            {
                // The one that it was at.
                let position = left.remove(0);
                if refusal != Refusal::Unavailable {
                    self.hold(name(whose, &jobs[position]));
                }
                outcomes[position] = Some(Err(refusal));
            }
        }
        let missing = || Err(Refusal::HeldBack);
        let outcomes = outcomes.into_iter();
        outcomes
            .map(|outcome| outcome.unwrap_or_else(missing))
            .collect()
    }

    /// The answers of one child, and why there are no more of them.
    async fn child(&self, jobs: &[&Job]) -> (Vec<Result<Answer, Refusal>>, Option<Refusal>) {
        let mut answers = Vec::new();
        let worker = match Sandbox::own(&self.0.program, ARGUMENT) {
            Ok(worker) => worker,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "scripts cannot be run"
                );
                return (answers, Some(Refusal::Unavailable));
            }
        };
        let mut lines = Vec::new();
        for job in jobs {
            // A job is plain data.
            let _ = serde_json::to_writer(&mut lines, job);
            lines.push(b'\n');
        }
        let Worker {
            mut stdin, stdout, ..
        } = worker;
        // Dropped with this call, and the child with it.
        let mut output = BufReader::new(stdout);
        let write = async {
            let _ = stdin.write_all(&lines).await;
            drop(stdin);
        };
        let read = async {
            let mut limit = LIMIT + START;
            while answers.len() < jobs.len() {
                let mut line = Vec::new();
                let mut bounded = tokio::io::AsyncReadExt::take(&mut output, MAX_ANSWER);
                match tokio::time::timeout(limit, bounded.read_until(b'\n', &mut line)).await {
                    Err(_) => return Some(Refusal::TooLong),
                    Ok(Err(_)) => return Some(Refusal::TooMuch),
                    Ok(Ok(_)) => {}
                }
                let Ok(answer) = serde_json::from_slice(&line) else {
                    return Some(Refusal::TooMuch);
                };
                answers.push(answer);
                limit = LIMIT;
            }
            None
        };
        // Ends with the reading: a child that does not read on is no reason to wait.
        let lost = tokio::select! {
            lost = read => lost,
            ((), lost) = async { (write.await, std::future::pending().await) } => lost,
        };
        (answers, lost)
    }

    fn is_held(&self, name: u64) -> bool {
        let mut held = self.0.held.lock();
        held.get(&name).is_some_and(|since| since.elapsed() < HELD)
    }

    fn hold(&self, name: u64) {
        self.0.held.lock().put(name, Instant::now());
    }
}

/// Names a tenant's script.
fn name(whose: &str, job: &Job) -> u64 {
    let mut hasher = DefaultHasher::new();
    whose.hash(&mut hasher);
    match job {
        Job::Places { expressions, .. } => expressions.hash(&mut hasher),
        Job::Health { script, .. } | Job::Actions { script, .. } | Job::Act { script, .. } => {
            script.hash(&mut hasher);
        }
    }
    hasher.finish()
}
