//! Who starts processes and finds them again.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::PoisonError;

use anyhow::{Context, Result};

use super::record::Record;
use super::{CHILDREN, Process, Spec};
use crate::paths;

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
        Ok(Self {
            dir: dir.to_owned(),
        })
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
        let process = Process {
            record: Record::read(&self.record(name))?,
            log: self.log(name),
        };
        process.is_alive().then_some(process)
    }

    /// Every process that lives, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Process> {
        self.names()
            .iter()
            .filter_map(|name| self.find(name))
            .collect()
    }

    /// Every name under which something was started, alive or not.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.dir.join("processes"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                Some(
                    entry
                        .path()
                        .file_name()?
                        .to_str()?
                        .strip_suffix(".json")?
                        .to_owned(),
                )
            })
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
        if let Some(record) = Record::read(&self.record(&spec.name)) {
            let log = self.log(&spec.name);
            Process { record, log }.left_nothing().await;
        }
        Ok((self.start(spec)?, true))
    }

    /// Starts a process in a group of its own.
    ///
    /// # Errors
    /// When it cannot be started.
    #[expect(
        clippy::disallowed_methods,
        reason = "testkit starts real servers; this is its one place"
    )]
    pub fn start(&self, spec: &Spec) -> Result<Process> {
        let log = self.log(&spec.name);
        let open = || OpenOptions::new().create(true).append(true).open(&log);
        let out = open().with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.args)
            .env_clear()
            .envs(inherited())
            .envs(&spec.env);
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0);
        if let Some(dir) = &spec.dir {
            command.current_dir(dir);
        }
        if let Some((user, group)) = spec.user {
            command.uid(user).gid(group);
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", spec.program.display()))?;
        let record = Record::of(i32::try_from(child.id())?, spec)?;
        CHILDREN
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(child);
        record.write(&self.record(&spec.name))?;
        Ok(Process { record, log })
    }

    /// Starts the process of that name again, with the command and the folder that it had.
    ///
    /// # Errors
    /// When nothing of that name was ever started, or it cannot be started.
    pub async fn restart(&self, name: &str) -> Result<Process> {
        let record = Record::read(&self.record(name))
            .with_context(|| format!("nothing called {name} was started"))?;
        let old = Process {
            record,
            log: self.log(name),
        };
        old.stop().await?;
        old.left_nothing().await;
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
