//! What is being done, and for how long: lines for whoever waits.

use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a step may stay silent before it says that it is still at work.
const STILL: Duration = Duration::from_secs(20);
/// A step shorter than this says only that it is done.
const QUICK: Duration = Duration::from_millis(400);

/// Where the lines go. Cheap to clone.
#[derive(Clone)]
pub struct Progress {
    started: Instant,
    line: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Progress {
    /// Lines to the terminal, each with the time since now.
    #[must_use]
    pub fn terminal() -> Self {
        let write = |line: &str| {
            // Nobody reading is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{line}");
        };
        Self {
            started: Instant::now(),
            line: Arc::new(write),
        }
    }

    /// No lines.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            started: Instant::now(),
            line: Arc::new(|_| ()),
        }
    }

    /// One line, now.
    pub fn say(&self, what: &str) {
        let elapsed = self.started.elapsed().as_secs();
        (self.line)(&format!("[{:>2}:{:02}] {what}", elapsed / 60, elapsed % 60));
    }

    /// Does `work`, saying what it is, that it is still at it, and how long it took.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn step<T>(
        &self,
        what: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.watched(what, None, work).await
    }

    /// The same; while it is still at it, the last line of `log` tells with what.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn step_with_log<T>(
        &self,
        what: &str,
        log: &Path,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.watched(what, Some(log), work).await
    }

    async fn watched<T>(
        &self,
        what: &str,
        log: Option<&Path>,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        let mut announced = false;
        let mut next = QUICK;
        tokio::pin!(work);
        loop {
            match tokio::time::timeout(next, work.as_mut()).await {
                Ok(done) => {
                    let seconds = begun.elapsed().as_secs_f32();
                    match &done {
                        Ok(_) if announced => self.say(&format!("{what}: done in {seconds:.1} s")),
                        Ok(_) => self.say(&format!("{what}: done")),
                        Err(_) => self.say(&format!("{what}: failed after {seconds:.1} s")),
                    }
                    return done;
                }
                Err(_) if announced => {
                    let now = log.map(last_line).unwrap_or_default();
                    self.say(&format!(
                        "{what}: still at it after {} s{now}",
                        begun.elapsed().as_secs()
                    ));
                }
                Err(_) => {
                    self.say(&format!("{what} ..."));
                    announced = true;
                    next = STILL;
                }
            }
        }
    }
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines()
        .last()
        .map(|line| format!(" ({})", line.trim()))
        .unwrap_or_default()
}
