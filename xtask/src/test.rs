//! `cargo xtask test`: every check, then every test, and one closing line.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use clap::Args;
use testkit::command::command;
use testkit::ground::Ground;
use testkit::platform::{self, Platform};
use testkit::progress::Progress;
use testkit::services::Binaries;
use testkit::{paths, tools};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::requirements::{self, Needs};
use crate::say;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Those too that take longer than the usual run may, and the comparison with Argo CD
    #[arg(long)]
    full: bool,
    /// Leave the platform running for the next run
    #[arg(long)]
    keep: bool,
    /// Only tests whose name contains this, and none of the checks
    filter: Option<String>,
}

/// The lines that are told again of each test that failed, at most: a cause with what it stands on, not a log.
const TOLD_AGAIN: usize = 40;

/// What came of it so far.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    /// What failed, each with what its program said of it: it stands thousands of lines above the end of a run, and who
    /// is shown the end alone must see why.
    names: Vec<(String, Vec<String>)>,
    /// Of which test the lines are that come now.
    telling: Option<String>,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let progress = Progress::terminal();
    requirements::ensure(
        Needs {
            postgres: true,
            redis: true,
            sshd: true,
        },
        &progress,
    )
    .await?;
    let mut tally = Tally::default();
    let filtered = arguments.filter.is_some();
    if !filtered {
        tally
            .check(
                "formatting",
                cargo(&["fmt", "--all", "--check"])?,
                &progress,
            )
            .await?;
        let clippy = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ];
        tally.check("clippy", cargo(&clippy)?, &progress).await?;
    }
    let dir = paths::test_platform()?;
    let ground = Ground::open(&dir, progress.clone())?;
    let binaries = Binaries::build(&ground).await;
    let built = binaries.is_ok();
    match binaries {
        Ok(_) => tally.note("build", true),
        Err(error) => {
            say::error(&error);
            tally.note("build", false);
        }
    }
    if !filtered {
        // The whole workspace is named each time: cargo would build the dependencies anew for another choice of crates.
        tally
            .tests(
                "tidy",
                &["--workspace", "--test", "tidy"],
                arguments,
                &progress,
            )
            .await?;
        tally
            .tests(
                "unit tests",
                &["--workspace", "--lib", "--bins"],
                arguments,
                &progress,
            )
            .await?;
        tally
            .check("the renderer's tests", renderer_tests()?, &progress)
            .await?;
    }
    if built {
        for tool in tools::TOOLS {
            tools::path(tool.name, &progress).await?;
        }
        // Started once, here, with progress to see; the test programs find it.
        let starting = Platform::start(&dir, Progress::silent());
        let started = progress
            .step("starting the platform for the tests", starting)
            .await;
        let scope: &[&str] = if filtered {
            &["--workspace", "--all-targets"]
        } else {
            &["--workspace", "--test", "*"]
        };
        match &started {
            Ok(_) => {
                tally
                    .tests("integration tests", scope, arguments, &progress)
                    .await?
            }
            Err(error) => {
                say::error(error);
                tally.note("starting the platform", false);
            }
        }
        if arguments.full && !filtered && started.is_ok() {
            let compared = crate::oracle::compare(&progress, false, &[]).await;
            if let Err(error) = &compared {
                say::error(error);
            }
            tally.note("the comparison with Argo CD", compared.is_ok());
        }
        drop(started);
        if !arguments.keep {
            progress
                .step("stopping the platform", platform::stop_shared())
                .await?;
        }
    }
    if !filtered {
        tally
            .tests(
                "examples in the documentation",
                &["--workspace", "--doc"],
                arguments,
                &progress,
            )
            .await?;
    }
    for (name, said) in &tally.names {
        say::line(&format!("failed: {name}"));
        for line in said {
            say::line(&format!("    {line}"));
        }
    }
    say::line(&format!("{} passed, {} failed", tally.passed, tally.failed));
    if tally.failed > 0 {
        bail!("the tests did not pass")
    } else {
        Ok(())
    }
}

fn cargo(args: &[&str]) -> Result<Command> {
    let mut cargo = testkit::command::cargo();
    cargo
        .args(args)
        .current_dir(paths::clone_root()?)
        .env("CARGO_TARGET_DIR", paths::target()?);
    Ok(cargo)
}

fn renderer_tests() -> Result<Command> {
    let dir: PathBuf = paths::clone_root()?.join("services/repo-server/renderer");
    let mut go = command(tools::go()?);
    go.args(["test", "-mod=readonly", "./..."])
        .current_dir(dir)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "");
    Ok(go)
}

impl Tally {
    fn note(&mut self, name: &str, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
            self.names.push((name.to_owned(), Vec::new()));
        }
    }

    /// One check that passes or fails as a whole.
    async fn check(&mut self, name: &str, mut work: Command, progress: &Progress) -> Result<()> {
        let running = async {
            work.status()
                .await
                .with_context(|| format!("cannot run the check `{name}`"))
        };
        let status = progress.step(name, running).await?;
        self.note(name, status.success());
        Ok(())
    }

    /// Tests, counted one by one from what their programs say.
    async fn tests(
        &mut self,
        name: &str,
        scope: &[&str],
        arguments: &Arguments,
        progress: &Progress,
    ) -> Result<()> {
        progress.say(&format!("{name} ..."));
        let mut test = cargo(&["test", "--locked", "--no-fail-fast"])?;
        test.args(scope)
            .env("NARU_BINARIES_BUILT", "1")
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        test.arg("--");
        if arguments.full {
            test.arg("--include-ignored");
        }
        test.args(&arguments.filter);
        let mut child = test.spawn().context("cannot run cargo test")?;
        let out = child.stdout.take().context("a pipe from cargo")?;
        let mut lines = BufReader::new(out).lines();
        let before = self.failed;
        while let Some(line) = lines.next_line().await? {
            self.count(&line);
            say::line(&line);
        }
        let status = child.wait().await?;
        // A program that does not compile or crashes counts no test of its own.
        if !status.success() && self.failed == before {
            self.note(name, false);
        }
        Ok(())
    }

    fn count(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("test result: ") {
            let number = |what: &str| -> u64 {
                let end = rest.find(what).unwrap_or(0);
                rest[..end]
                    .trim_end()
                    .rsplit(' ')
                    .next()
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(0)
            };
            self.passed += number("passed");
            self.failed += number("failed");
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|line| line.strip_suffix(" ... FAILED"))
        {
            self.names.push((name.to_owned(), Vec::new()));
        } else if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|line| line.strip_suffix(" stdout ----"))
        {
            self.telling = Some(name.to_owned());
        } else if line == "failures:" {
            self.telling = None;
        } else if let Some(said) = self.said_of_the_told()
            && said.len() < TOLD_AGAIN
            && !line.trim().is_empty()
            && !is_frame(line)
        {
            said.push(line.to_owned());
        }
    }

    fn said_of_the_told(&mut self) -> Option<&mut Vec<String>> {
        let name = self.telling.as_ref()?;
        // The newest: two programs may have a test of one name.
        let told = self.names.iter_mut().rev().find(|(known, _)| known == name);
        told.map(|(_, said)| said)
    }
}

/// Whether it is a line of a backtrace: `  12: a::function` or `             at a/file.rs:3:4`. The numbers stand in four
/// columns; those of an error's causes, which are kept, in five.
fn is_frame(line: &str) -> bool {
    let numbered = line.split_once(": ").is_some_and(|(number, _)| {
        let digits = number.trim_start();
        number.len() == 4 && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    numbered || line.starts_with("             at ")
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn results_are_added_up() {
        let mut tally = Tally::default();
        tally.count("test a::b ... FAILED");
        tally.count("test result: FAILED. 12 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 1.00s");
        tally.count("test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.00s");
        assert_eq!(
            (tally.passed, tally.failed, tally.names),
            (17, 1, vec![("a::b".to_owned(), Vec::new())])
        );
    }

    #[test]
    fn what_a_failed_test_said_is_kept_without_its_backtrace() {
        let mut tally = Tally::default();
        let printed = "test a::b ... FAILED\ntest c ... FAILED\n\nfailures:\n\n---- a::b stdout ----\n\n\
                       thread 'a::b' panicked at a.rs:1:2:\nnot so\n  left: 1\n right: 2\nstack backtrace:\n   \
                       0: core::panicking\n             at /rustc/a.rs:9:1\n\n---- c stdout ----\nError: late\n\n\
                       Caused by:\n    0: the list: refused\n\nfailures:\n    a::b\n    c\n\n\
                       test result: FAILED. 0 passed; 2 failed; 0 ignored\n";
        printed.lines().for_each(|line| tally.count(line));
        let told = |name: &str| {
            let found = tally.names.iter().find(|(known, _)| known == name);
            found.map(|(_, said)| said.join("|"))
        };
        let b = "thread 'a::b' panicked at a.rs:1:2:|not so|  left: 1| right: 2|stack backtrace:";
        assert_eq!(told("a::b").as_deref(), Some(b));
        assert_eq!(
            told("c").as_deref(),
            Some("Error: late|Caused by:|    0: the list: refused")
        );
    }
}
