//! The one place that starts child processes: Git, the renderer's workers, and what runs the scripts of settings.
//!
//! A child gets an environment of ours and nothing else, a process group of its own, and a deadline after which the whole
//! group is killed. In production it is started through the launcher (the service's own binary with the argument
//! `sandbox`), which restricts itself and then becomes the child; see [`launch`]. A service may also be its own child:
//! started with another argument, it [`confine`]s itself before it reads anything.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

pub mod launch;

/// Where programs are looked for; the parent's own PATH is not passed on.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How much a child may say before the rest is thrown away, where its job says nothing else.
pub const MAX_OUTPUT: u64 = 1 << 20;

pub use launch::confine;

/// What a child may touch.
#[derive(Clone, Debug)]
pub enum Profile {
    /// Nothing but its pipes: no files, no network, no other program.
    Worker {
        /// How much memory it may write to, in bytes.
        memory: u64,
    },
    /// Programs and settings of the system to read, a few folders to write, and the network.
    Git {
        /// Folders that it may change.
        writable: Vec<PathBuf>,
        /// More folders that it may read.
        readable: Vec<PathBuf>,
        /// The largest file that it may write, in bytes.
        file_size: u64,
        /// How much memory each of its processes may write to, in bytes.
        memory: u64,
    },
}

/// Starts children, through the launcher if there is one.
#[derive(Clone, Debug)]
pub struct Sandbox {
    launcher: Option<PathBuf>,
}

/// How a child ended.
#[derive(Debug)]
pub struct Finished {
    /// Whether it said that all went well.
    pub success: bool,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it wrote to its standard output, cut off where its job says so.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error, cut off at 1 MiB.
    pub stderr: String,
}

/// Why a child did not finish.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// It could not be started.
    #[error("cannot start `{program}`")]
    Start {
        /// Which.
        program: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It was killed at its deadline.
    #[error("killed after {0:?}")]
    Deadline(Duration),
    /// It could not be waited for.
    #[error("lost a child")]
    Lost(#[source] io::Error),
}

/// A child to run to its end.
#[derive(Debug)]
pub struct Job<'a> {
    /// The program.
    pub program: &'a str,
    /// Its arguments; never a credential.
    pub arguments: Vec<OsString>,
    /// Its environment, besides PATH and the language.
    pub environment: Vec<(&'static str, OsString)>,
    /// Where it runs.
    pub folder: &'a Path,
    /// When it is killed.
    pub deadline: Duration,
    /// What it may touch.
    pub profile: Profile,
    /// How much of what it writes to its standard output is kept, in bytes.
    pub output: u64,
}

impl Sandbox {
    /// Children are started through `launcher` (called with `sandbox …`), or directly when there is none.
    #[must_use]
    pub fn new(launcher: Option<PathBuf>) -> Self {
        Self { launcher }
    }

    /// Whether children are restricted.
    #[must_use]
    pub fn restricted(&self) -> bool {
        self.launcher.is_some()
    }

    fn command(&self, program: &OsStr, profile: &Profile) -> Command {
        let mut command = match &self.launcher {
            Some(launcher) => {
                let mut command = Command::new(launcher);
                command
                    .arg(launch::ARGUMENT)
                    .args(launch::arguments(profile))
                    .arg("--")
                    .arg(program);
                command
            }
            None => Command::new(program),
        };
        alone(&mut command);
        command
    }

    /// Runs a child to its end or its deadline.
    ///
    /// # Errors
    /// When it cannot be started, or was killed at the deadline. Dropping the future kills it too.
    pub async fn run(&self, job: Job<'_>) -> Result<Finished, SandboxError> {
        let (deadline, output) = (job.deadline, job.output);
        let (mut child, group) = self.start(job, Stdio::null())?;
        let ended = tokio::time::timeout(deadline, end(&mut child, output)).await;
        let finished = ended.map_err(|_| SandboxError::Deadline(deadline))?;
        let finished = finished.map_err(SandboxError::Lost)?;
        group.disarm();
        Ok(finished)
    }

    /// Runs a child as [`Sandbox::run`] does, and beside it what writes its input, which is dropped where the child ends first.
    ///
    /// # Errors
    /// As there; what writes the input has the same deadline.
    pub async fn run_fed<T, F: Future<Output = T>>(
        &self,
        job: Job<'_>,
        feed: impl FnOnce(ChildStdin) -> F,
    ) -> Result<(Finished, Option<T>), SandboxError> {
        let (deadline, output) = (job.deadline, job.output);
        let (mut child, group) = self.start(job, Stdio::piped())?;
        let Some(input) = child.stdin.take() else {
            return Err(SandboxError::Lost(io::Error::other("no pipe")));
        };
        let both = async {
            let (ending, feeding) = (end(&mut child, output), feed(input));
            tokio::pin!(ending, feeding);
            tokio::select! {
                // First: what has just been said of the input is not lost because the child went as well.
                biased;
                fed = &mut feeding => ending.await.map(|finished| (finished, Some(fed))),
                finished = &mut ending => finished.map(|finished| (finished, None)),
            }
        };
        let ended = tokio::time::timeout(deadline, both).await;
        let ended = ended.map_err(|_| SandboxError::Deadline(deadline))?;
        let ended = ended.map_err(SandboxError::Lost)?;
        group.disarm();
        Ok(ended)
    }

    fn start(&self, job: Job<'_>, stdin: Stdio) -> Result<(Child, Group), SandboxError> {
        let mut command = self.command(job.program.as_ref(), &job.profile);
        command
            .args(&job.arguments)
            .envs(job.environment)
            .current_dir(job.folder);
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let start = |cause| SandboxError::Start {
            program: job.program.to_owned(),
            cause,
        };
        let child = command.spawn().map_err(start)?;
        let group = Group::of(&child);
        Ok((child, group))
    }

    /// Starts a worker that lives on, with pipes to it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn worker(&self, program: &Path, memory: u64) -> Result<Worker, SandboxError> {
        let mut command = self.command(program.as_os_str(), &Profile::Worker { memory });
        // Go keeps its heap below this by collecting harder, so that the limit itself is met by what cannot be freed.
        command
            .env("GOMEMLIMIT", (memory / 4 * 3).to_string())
            .env("GOMAXPROCS", "2");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .current_dir("/");
        Worker::start(command, program)
    }

    /// Starts a program of ours that [`confine`]s itself when it sees this argument, with pipes to it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn own(program: &Path, argument: &str) -> Result<Worker, SandboxError> {
        let mut command = Command::new(program);
        alone(&mut command);
        command
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .current_dir("/");
        Worker::start(command, program)
    }

    /// What the launcher reaches on this machine for a worker, in words for the health endpoint.
    pub async fn level(&self) -> String {
        let Some(launcher) = &self.launcher else {
            return "sandbox: none".to_owned();
        };
        let mut command = Command::new(launcher);
        command
            .arg(launch::ARGUMENT)
            .arg(launch::REPORT)
            .env_clear()
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command.stdout(Stdio::piped()).kill_on_drop(true);
        match tokio::time::timeout(Duration::from_secs(10), command.output()).await {
            Ok(Ok(output)) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).trim().to_owned()
            }
            _ => "sandbox: the launcher failed".to_owned(),
        }
    }
}

/// The end of a child, and what it has said until then.
async fn end(child: &mut Child, output: u64) -> io::Result<Finished> {
    use std::os::unix::process::ExitStatusExt;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) = tokio::join!(
        bounded(stdout, output),
        bounded(stderr, MAX_OUTPUT),
        child.wait()
    );
    let status = status?;
    Ok(Finished {
        success: status.success(),
        signal: status.signal(),
        stdout,
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

/// With an environment of ours and nothing else, and a process group of its own.
fn alone(command: &mut Command) {
    command
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .process_group(0)
        .kill_on_drop(true);
}

/// A child that lives on. Dropping it kills it.
#[derive(Debug)]
pub struct Worker {
    /// What it reads.
    pub stdin: ChildStdin,
    /// What it says.
    pub stdout: ChildStdout,
    _group: Group,
    child: Child,
}

impl Worker {
    fn start(mut command: Command, program: &Path) -> Result<Self, SandboxError> {
        let start = |cause| SandboxError::Start {
            program: program.display().to_string(),
            cause,
        };
        let mut child = command.spawn().map_err(start)?;
        let group = Group::of(&child);
        match (child.stdin.take(), child.stdout.take()) {
            (Some(stdin), Some(stdout)) => Ok(Self {
                stdin,
                stdout,
                _group: group,
                child,
            }),
            _ => Err(start(io::Error::other("no pipes"))),
        }
    }

    /// How much processor time it has used is asked here, from any thread, for as long as the worker lives.
    #[must_use]
    pub fn clock(&self) -> Clock {
        let process = self._group.0;
        Clock(process.and_then(|process| clock_getcpuclockid(process).ok()))
    }

    /// Whether it still runs, as far as is known without waiting.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether it ended because somebody killed it, and not by itself. To be asked once its pipes are closed.
    pub async fn was_killed(&mut self) -> bool {
        use std::os::unix::process::ExitStatusExt;
        let ended = tokio::time::timeout(Duration::from_secs(1), self.child.wait()).await;
        matches!(ended, Ok(Ok(status)) if status.signal() == Some(Signal::SIGKILL as i32))
    }
}

/// The processor time of a child.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Option<ClockId>);

impl Clock {
    /// What all its threads have used so far, in user mode and in the kernel; `None` when nobody can say.
    #[must_use]
    pub fn used(&self) -> Option<Duration> {
        let used = clock_gettime(self.0?).ok()?;
        Some(used.into())
    }
}

/// Kills a child's whole process group when dropped: Git starts helpers of its own.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(
            child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .map(Pid::from_raw),
        )
    }

    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Fails only when it is gone already.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Reads what there is and keeps the first part, so that a talkative child neither blocks nor fills memory.
async fn bounded(stream: Option<impl AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(stream) = stream {
        let mut limited = stream.take(most);
        let _ = limited.read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await;
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Of a child that needs no files.
    fn harmless() -> Profile {
        Profile::Git {
            writable: vec![],
            readable: vec![],
            file_size: 1 << 20,
            memory: 1 << 30,
        }
    }

    #[tokio::test]
    async fn a_child_and_its_helpers_are_killed_at_the_deadline() {
        let begun = Instant::now();
        let job = Job {
            program: "sh",
            arguments: vec!["-c".into(), "sleep 60 & sleep 60".into()],
            environment: vec![],
            folder: Path::new("/"),
            deadline: Duration::from_millis(100),
            profile: harmless(),
            output: MAX_OUTPUT,
        };
        assert!(matches!(
            Sandbox::new(None).run(job).await,
            Err(SandboxError::Deadline(_))
        ));
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test]
    async fn a_child_says_as_much_as_its_job_allows_and_ends_all_the_same() {
        for output in [1_000, 3 << 20] {
            let job = Job {
                program: "head",
                arguments: vec![
                    "-c".into(),
                    (2 << 20).to_string().into(),
                    "/dev/zero".into(),
                ],
                environment: vec![],
                folder: Path::new("/"),
                deadline: Duration::from_secs(60),
                profile: harmless(),
                output,
            };
            let done = Sandbox::new(None).run(job).await.unwrap();
            assert!(done.success);
            assert_eq!(done.stdout.len() as u64, output.min(2 << 20));
        }
    }

    #[tokio::test]
    async fn a_child_is_fed_as_long_as_it_lives_and_no_longer_than_its_deadline() {
        let sandbox = Sandbox::new(None);
        let job = |program: &'static str, arguments: &[&str], deadline| Job {
            program,
            arguments: arguments.iter().map(OsString::from).collect(),
            environment: vec![],
            folder: Path::new("/"),
            deadline: Duration::from_millis(deadline),
            profile: harmless(),
            output: MAX_OUTPUT,
        };
        // More than a pipe holds.
        let much = vec![b'x'; 300_000];
        let all = |mut input: ChildStdin| {
            let much = much.clone();
            async move { input.write_all(&much).await.is_ok() }
        };
        let done = sandbox.run_fed(job("cat", &[], 60_000), all).await;
        let (finished, fed) = done.unwrap();
        assert!(finished.success && finished.stdout == much);
        assert_eq!(fed, Some(true), "and its input ended with that");

        let never = |mut input: ChildStdin| async move {
            input.write_all(b"abcdef").await.unwrap();
            std::future::pending::<()>().await;
        };
        let done = sandbox.run_fed(job("head", &["-c", "3"], 60_000), never);
        let (finished, fed) = done.await.unwrap();
        assert_eq!((finished.stdout.as_slice(), fed), (&b"abc"[..], None));
        let done = sandbox.run_fed(job("cat", &[], 100), never).await;
        assert!(matches!(done, Err(SandboxError::Deadline(_))));
    }
}
