//! `cargo xtask down`.

use std::fs;

use anyhow::{Context, Result};
use clap::Args;
use testkit::process::Supervisor;
use testkit::{ground, paths, platform, postgres};

use crate::{say, up};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Removes the data too: the next `up` starts from nothing
    #[arg(long)]
    purge: bool,
    /// Stops the test platform too, if no test runs
    #[arg(long)]
    tests: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    if arguments.tests {
        platform::stop_shared().await?;
    }
    let root = paths::clone_root()?;
    let mut stopped = Vec::new();
    for dir in [up::folder()?, root.join(".naru/oracle")] {
        if dir.join("processes").is_dir() {
            stopped.extend(ground::stop_all(&Supervisor::open(&dir)?).await?);
        }
    }
    match stopped.is_empty() {
        true => say::line("nothing was running"),
        false => say::line(&format!("stopped {}", stopped.join(", "))),
    }
    if arguments.purge {
        let dir = up::folder()?;
        for gone in [
            postgres::data_outside(&dir),
            postgres::data_outside(&dir.join("oracle")),
            dir,
        ] {
            if gone.exists() {
                fs::remove_dir_all(&gone)
                    .with_context(|| format!("cannot remove {}", gone.display()))?;
            }
        }
        say::line("removed the data");
    }
    Ok(())
}
