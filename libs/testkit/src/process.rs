//! Child processes that outlive whoever started them: a log, a record with their start time, a ready probe, a stop.
//!
//! A record names a process by its id *and* the time at which the kernel started it, so that an id which was given to
//! somebody else is never signalled.

mod proc_fs;
mod record;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::future::Future;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::paths;
use record::Record;

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

/// Starts and finds the processes of one folder.
#[derive(Clone, Debug)]
pub struct Supervisor {
    dir: PathBuf,
}

impl Supervisor {
    /// Over `dir`, in which `logs` and `processes` are made.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn open(dir: &Path) -> Result<Self> {
        paths::private_dir(dir)?;
        paths::private_dir(&dir.join("processes"))?;
        fs::create_dir_all(dir.join("logs"))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Where a process writes what it has to say.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{name}.log"))
    }

    fn record(&self, name: &str) -> PathBuf {
        self.dir.join("processes").join(format!("{name}.json"))
    }

    /// The process of that name, if it lives.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Process> {
        let process = Process { record: Record::read(&self.record(name))?, log: self.log(name) };
        process.is_alive().then_some(process)
    }

    /// Every process that lives, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Process> {
        self.names().iter().filter_map(|name| self.find(name)).collect()
    }

    /// Every name under which something was started, alive or not.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.dir.join("processes"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some(entry.path().file_name()?.to_str()?.strip_suffix(".json")?.to_owned()))
            .collect();
        names.sort();
        names
    }

    /// The running process if it was started from just this, from a binary that has not changed since; else a new one
    /// in its place. The flag tells whether it is new.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn ensure(&self, spec: &Spec) -> Result<(Process, bool)> {
        if let Some(process) = self.find(&spec.name) {
            if process.record.spec == *spec && process.record.is_current() {
                return Ok((process, false));
            }
            process.stop().await?;
        }
        Ok((self.start(spec)?, true))
    }

    /// Starts a process in a group of its own.
    ///
    /// # Errors
    /// When it cannot be started.
    #[expect(clippy::disallowed_methods, reason = "testkit starts real servers; this is its one place")]
    pub fn start(&self, spec: &Spec) -> Result<Process> {
        let log = self.log(&spec.name);
        let open = || OpenOptions::new().create(true).append(true).open(&log);
        let out = open().with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&spec.program);
        command.args(&spec.args).env_clear().envs(inherited()).envs(&spec.env);
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0);
        if let Some(dir) = &spec.dir {
            command.current_dir(dir);
        }
        if let Some((user, group)) = spec.user {
            command.uid(user).gid(group);
        }
        let child = command.spawn().with_context(|| format!("cannot start {}", spec.program.display()))?;
        let record = Record::of(i32::try_from(child.id())?, spec)?;
        CHILDREN.lock().unwrap_or_else(PoisonError::into_inner).push(child);
        record.write(&self.record(&spec.name))?;
        Ok(Process { record, log })
    }

    /// Starts the process of that name again, with the command and the folder that it had.
    ///
    /// # Errors
    /// When nothing of that name was ever started, or it cannot be started.
    pub async fn restart(&self, name: &str) -> Result<Process> {
        let record = Record::read(&self.record(name)).with_context(|| format!("nothing called {name} was started"))?;
        let old = Process { record, log: self.log(name) };
        old.stop().await?;
        self.start(&old.record.spec)
    }
}

/// What every program may want to know, and no more: no setting or password of the caller's reaches a child unasked.
fn inherited() -> Vec<(&'static str, String)> {
    ["PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR"]
        .into_iter()
        .filter_map(|name| Some((name, paths::variable(name)?)))
        .collect()
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
        CHILDREN.lock().unwrap_or_else(PoisonError::into_inner).retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
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
                bail!("{} ended while starting; see {}:\n{}", self.name(), self.log.display(), self.last_lines(8));
            }
            if begun.elapsed() > within {
                let (seconds, log) = (within.as_secs(), self.log.display());
                return Err(answer.context(format!("{} is not ready after {seconds} s; see {log}", self.name())));
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
            kill(Pid::from_raw(self.record.pid), signal)
                .with_context(|| format!("cannot signal {} (process {})", self.name(), self.id()))?;
        }
        Ok(())
    }

    /// Kills it at once, as a crash would, and waits until it and what it had started are gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(&self) -> Result<()> {
        let group = proc_fs::group(self.record.pid);
        self.signal(Signal::SIGKILL)?;
        self.gone(Duration::from_secs(10)).await?;
        // Children of a killed process notice by themselves; what has not after a moment is taken along.
        let begun = Instant::now();
        while group.iter().any(|&(pid, started)| proc_fs::is_running(pid, started)) {
            if begun.elapsed() > Duration::from_secs(2) {
                sweep(&group);
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
        let group = proc_fs::group(self.record.pid);
        // A stopped process would not hear the request.
        self.signal(Signal::SIGCONT)?;
        self.signal(if self.record.spec.interrupt_to_stop { Signal::SIGINT } else { Signal::SIGTERM })?;
        if self.gone(GRACE).await.is_err() {
            self.signal(Signal::SIGKILL)?;
            self.gone(Duration::from_secs(10)).await?;
        }
        sweep(&group);
        Ok(())
    }

    async fn gone(&self, within: Duration) -> Result<()> {
        let begun = Instant::now();
        while self.is_alive() {
            if begun.elapsed() > within {
                bail!("{} (process {}) does not stop", self.name(), self.id());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// Kills those of a group that still are who they were.
fn sweep(group: &[(i32, u64)]) {
    for &(pid, started) in group {
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
        crate::wait::until_true("the child", Duration::from_secs(5), || async { Ok(proc_fs::group(first.id()).len() == 2) })
            .await
            .unwrap();
        let group = proc_fs::group(first.id());
        again.stop().await.unwrap();
        assert!(!first.is_alive());
        assert!(supervisor.find("one").is_none());
        crate::wait::until_true("its group is gone", Duration::from_secs(5), || async {
            Ok(!group.iter().any(|&(pid, started)| proc_fs::is_running(pid, started)))
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
        let spec = Spec::new("bad", "/bin/sh").arg("-c").arg("echo the disk is full; exit 3");
        let process = supervisor.start(&spec).unwrap();
        let error = process.ready(Duration::from_secs(5), || async { bail!("not yet") }).await.unwrap_err();
        assert!(error.to_string().contains("the disk is full"), "{error}");
    }
}
