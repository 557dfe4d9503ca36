//! Child processes that outlive whoever started them: a log, a record with their start time, a ready probe, a stop.
//!
//! A record names a process by its id *and* the time at which the kernel started it, so that an id which was given to
//! somebody else is never signalled.

mod proc_fs;
mod record;
mod supervisor;

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use record::Record;
pub use supervisor::Supervisor;

/// Our own children, kept so that the dead ones are collected.
static CHILDREN: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// How long a process may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(25);

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Unique within a [`Supervisor`]; names the log and the record.
    pub name: String,
    /// The binary.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, besides the few variables that every program wants (PATH, HOME, ...).
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub dir: Option<PathBuf>,
    /// As whom it runs, where that is not the caller.
    pub user: Option<(u32, u32)>,
    /// Whether SIGINT asks it to stop soon (PostgreSQL), where SIGTERM would wait for its clients.
    pub interrupt_to_stop: bool,
}

impl Spec {
    /// A program without arguments.
    #[must_use]
    pub fn new(name: &str, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            dir: None,
            user: None,
            interrupt_to_stop: false,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }
}

/// A process that was started here, now or earlier.
#[derive(Clone, Debug)]
pub struct Process {
    record: Record,
    log: PathBuf,
}

impl Process {
    /// Its name within the supervisor.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.record.spec.name
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.record.pid
    }

    /// What it was started from.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.record.spec
    }

    /// Where it writes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whether it still runs. One that ended and was not collected yet does not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        collect();
        proc_fs::is_running(self.record.pid, self.record.started)
    }

    /// Waits until `probe` succeeds.
    ///
    /// # Errors
    /// When the process ends first, with the end of its log, or the deadline passes, with the probe's last answer.
    pub async fn ready<F>(&self, within: Duration, mut probe: impl FnMut() -> F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let begun = Instant::now();
        loop {
            let answer = match tokio::time::timeout(Duration::from_secs(3), probe()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => anyhow!("no answer"),
            };
            if !self.is_alive() {
                bail!(
                    "{} ended while starting; see {}:\n{}",
                    self.name(),
                    self.log.display(),
                    self.last_lines(8)
                );
            }
            if begun.elapsed() > within {
                let (seconds, log) = (within.as_secs(), self.log.display());
                return Err(answer.context(format!(
                    "{} is not ready after {seconds} s; see {log}",
                    self.name()
                )));
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// The end of its log.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// Sends it a signal, if it still is the process that was started.
    ///
    /// # Errors
    /// When it may not be signalled.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.is_alive() {
            kill(Pid::from_raw(self.record.pid), signal).with_context(|| {
                format!("cannot signal {} (process {})", self.name(), self.id())
            })?;
        }
        Ok(())
    }

    /// Kills it at once, as a crash would, and waits until it and what it had started are gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(&self) -> Result<()> {
        let family = proc_fs::family(self.record.pid);
        self.signal(Signal::SIGKILL)?;
        self.gone(Duration::from_secs(10)).await?;
        // Children of a killed process notice by themselves; what has not after a moment is taken along.
        let begun = Instant::now();
        while family
            .iter()
            .any(|&(pid, started)| proc_fs::is_ending(pid, started))
        {
            if begun.elapsed() > Duration::from_secs(2) {
                sweep(&family);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Stops it: asked first, killed after a while. Then its children that stayed behind.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn stop(&self) -> Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        let family = proc_fs::family(self.record.pid);
        // A stopped process would not hear the request.
        self.signal(Signal::SIGCONT)?;
        self.signal(if self.record.spec.interrupt_to_stop {
            Signal::SIGINT
        } else {
            Signal::SIGTERM
        })?;
        if self.gone(GRACE).await.is_err() {
            self.signal(Signal::SIGKILL)?;
            self.gone(Duration::from_secs(10)).await?;
        }
        sweep(&family);
        Ok(())
    }

    /// Waits a little until nothing of an ended process is left: its children may still be ending, and while it was not
    /// collected itself, whoever looks for its id (PostgreSQL does) takes it for running.
    async fn left_nothing(&self) {
        let begun = Instant::now();
        while proc_fs::is_there(self.record.pid, self.record.started)
            || proc_fs::family(self.record.pid)
                .iter()
                .any(|member| member.1 >= self.record.started)
        {
            if begun.elapsed() > Duration::from_secs(5) {
                return;
            }
            collect();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn is_ending(&self) -> bool {
        collect();
        proc_fs::is_ending(self.record.pid, self.record.started)
    }

    async fn gone(&self, within: Duration) -> Result<()> {
        let begun = Instant::now();
        while self.is_ending() {
            if begun.elapsed() > within {
                bail!("{} (process {}) does not stop", self.name(), self.id());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// Collects our children that have ended.
fn collect() {
    let mut children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
    children.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
}

/// Kills those of a family that still are who they were.
fn sweep(family: &[(i32, u64)]) {
    for &(pid, started) in family {
        if proc_fs::is_running(pid, started) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(name: &str) -> Spec {
        Spec::new(name, "/bin/sh").arg("-c").arg("sleep 300 & wait")
    }

    #[tokio::test]
    async fn a_process_is_found_again_stopped_with_its_children_and_never_confused() {
        let dir = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::open(dir.path()).unwrap();
        let (first, new) = supervisor.ensure(&sleeper("one")).await.unwrap();
        assert!(new && first.is_alive());
        let (again, new) = supervisor.ensure(&sleeper("one")).await.unwrap();
        assert!(!new);
        assert_eq!(again.id(), first.id());
        crate::wait::until_true("the child", Duration::from_secs(5), || async {
            Ok(proc_fs::family(first.id()).len() == 2)
        })
        .await
        .unwrap();
        let family = proc_fs::family(first.id());
        again.stop().await.unwrap();
        assert!(!first.is_alive());
        assert!(supervisor.find("one").is_none());
        crate::wait::until_true("its group is gone", Duration::from_secs(5), || async {
            Ok(!family
                .iter()
                .any(|&(pid, started)| proc_fs::is_running(pid, started)))
        })
        .await
        .unwrap();
        // The same id with another start time is somebody else.
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(proc_fs::is_running(me, proc_fs::started(me).unwrap()));
        assert!(!proc_fs::is_running(me, proc_fs::started(me).unwrap() + 1));
    }

    #[tokio::test]
    async fn one_that_ends_while_starting_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::open(dir.path()).unwrap();
        let spec = Spec::new("bad", "/bin/sh")
            .arg("-c")
            .arg("echo the disk is full; exit 3");
        let process = supervisor.start(&spec).unwrap();
        let error = process
            .ready(Duration::from_secs(5), || async { bail!("not yet") })
            .await
            .unwrap_err();
        assert!(error.to_string().contains("the disk is full"), "{error}");
    }
}
