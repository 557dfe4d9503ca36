//! The copy of the sources in which mistakes are made, and what the cases say of it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::fcntl::Flock;
use serde_json::Value;
use testkit::command::{cargo, command, output};
use testkit::{lock, paths};

use super::Mutation;

/// What the copy needs: the manifests and sources of all crates, without which cargo reads no workspace, and everything of
/// the two that are built.
const NEEDED: [&str; 8] = [
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    ".cargo",
    "*/Cargo.toml",
    "*.rs",
    "libs/domain",
    "libs/engine",
];
/// The cases take a second; a mistake may have them go on for ever.
const DEADLINE: Duration = Duration::from_secs(60);
/// What the test says before the cases that differ.
const DIFFER: &str = "these cases differ: ";

/// What the cases say.
pub(super) enum Outcome {
    /// These are red.
    Red(BTreeSet<String>),
    /// Nothing: the sources do not build.
    Unbuilt(String),
    /// Nothing: their program did not come to its end.
    Broken(String),
}

impl Outcome {
    /// In a sentence.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Red(red) => format!("red are {}", super::listed(red.iter(), usize::MAX)),
            Self::Unbuilt(why) => format!("it does not build: {why}"),
            Self::Broken(why) => format!("the cases were not run to their end: {why}"),
        }
    }
}

/// The copy. Nobody else of this clone uses it meanwhile; what is built stays for the next time.
pub(super) struct Sources {
    dir: PathBuf,
    target: PathBuf,
    _held: Flock<File>,
}

impl Sources {
    /// Copies what git knows of the clone, and what it would know if it were added.
    pub(super) async fn lay(root: &Path) -> Result<Self> {
        let cache = paths::cache()?.join("mutations");
        paths::private_dir(&cache)?;
        let name = paths::name_of(root);
        let held = lock::try_exclusive(&cache.join(format!("{name}.lock")))?
            .context("it runs already for this clone: wait until it has ended")?;
        let dir = cache.join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot clear {}", dir.display()))?;
        }
        let mut list = command("git");
        list.args(["ls-files", "-z", "--cached", "--others"])
            .args(["--exclude-standard", "--"])
            .args(NEEDED)
            .current_dir(root);
        let files = output(&mut list).await?;
        for file in files.split('\0').filter(|file| !file.is_empty()) {
            let (from, to) = (root.join(file), dir.join(file));
            // One that was deleted and not yet committed.
            if !from.is_file() {
                continue;
            }
            let parent = to.parent().unwrap_or(&dir);
            fs::create_dir_all(parent)
                .and_then(|()| fs::copy(&from, &to))
                .with_context(|| format!("cannot copy {file} to {}", dir.display()))?;
        }
        Ok(Self {
            dir,
            target: cache.join("target"),
            _held: held,
        })
    }

    /// What the cases say of a mistake, which is not there any more afterwards.
    pub(super) async fn with(&self, mutation: &Mutation) -> Result<Outcome> {
        let file = self.dir.join(&mutation.file);
        let context = || format!("{}: {}", mutation.name, file.display());
        let text = fs::read_to_string(&file).with_context(context)?;
        let mistaken = mutation.made(&text)?;
        fs::write(&file, mistaken).with_context(context)?;
        let outcome = self.cases().await;
        fs::write(&file, text).with_context(context)?;
        outcome
    }

    /// What the cases say of the sources as they are.
    pub(super) async fn cases(&self) -> Result<Outcome> {
        let mut build = cargo();
        build
            .args(["test", "--locked", "--package", "engine", "--test", "cases"])
            .args(["--no-run", "--message-format", "json-render-diagnostics"])
            .current_dir(&self.dir)
            .env("CARGO_TARGET_DIR", &self.target)
            // What is built once for one run has to be built quickly.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_DEV_DEBUG", "false");
        let built = build.output().await.context("cannot run cargo")?;
        if !built.status.success() {
            let said = String::from_utf8_lossy(&built.stderr);
            if said.contains("could not compile") {
                return Ok(Outcome::Unbuilt(error(&said)));
            }
            bail!("cargo cannot build the copy: {}", said.trim());
        }
        let program = program(&String::from_utf8_lossy(&built.stdout))
            .context("cargo does not say where the cases' program is")?;
        let mut run = command(program);
        run.args(["--exact", "cases"])
            .current_dir(self.dir.join("libs/engine"))
            .env_remove("UPDATE_EXPECT");
        let Ok(done) = tokio::time::timeout(DEADLINE, run.output()).await else {
            let seconds = DEADLINE.as_secs();
            return Ok(Outcome::Broken(format!("still at it after {seconds} s")));
        };
        let done = done.context("cannot run the cases")?;
        if done.status.success() {
            return Ok(Outcome::Red(BTreeSet::new()));
        }
        Ok(match red(&String::from_utf8_lossy(&done.stdout)) {
            Some(red) => Outcome::Red(red),
            None => Outcome::Broken(done.status.to_string()),
        })
    }
}

/// The cases that a run says are red; `None` where it says none.
fn red(said: &str) -> Option<BTreeSet<String>> {
    let names = said.lines().find_map(|line| line.strip_prefix(DIFFER))?;
    Some(names.split_whitespace().map(str::to_owned).collect())
}

/// Where cargo has put the program of the cases.
fn program(said: &str) -> Option<PathBuf> {
    said.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| message["target"]["name"] == "cases")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// The first error of the compiler, and where it is.
fn error(said: &str) -> String {
    let is_error = |line: &&str| line.starts_with("error");
    let lines = said.lines().skip_while(|line| !is_error(line)).take(2);
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{error, program, red};

    #[test]
    fn the_red_cases_are_read() {
        let said = "running 1 test\ntest cases ... FAILED\n\n---- cases stdout ----\nthread 'cases' panicked at a.rs:1:1:\n\
                    these cases differ: hooks order\n\nhooks: expected\n";
        let names = red(said).unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["hooks", "order"]);
        assert!(red("running 1 test\n").is_none());
    }

    #[test]
    fn the_program_is_found() {
        let said = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"engine"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"cases"},"executable":"/t/cases-1"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(program(said).unwrap().to_str(), Some("/t/cases-1"));
    }

    #[test]
    fn the_first_error_is_told() {
        let said = "warning: w\nerror[E0308]: mismatched types\n --> libs/a.rs:1:1\n  |\nerror: could not compile";
        assert_eq!(
            error(said),
            "error[E0308]: mismatched types --> libs/a.rs:1:1"
        );
    }
}
