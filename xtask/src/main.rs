//! `cargo xtask`: the developer's one command. It starts, stops, tests and compares; it contains no part of the product.
//!
//! # Invariants
//! - It stops only what it started.
//! - An error is one line: the cause, and what to do.
//!
//! # Reading order
//! [`up`], [`test`], [`oracle`], [`mutations`].

mod down;
mod helper;
mod mutations;
mod oracle;
mod requirements;
mod samples;
mod say;
mod status;
mod test;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use testkit::progress::Progress;
use testkit::tools;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Runs, stops and tests Naru on this machine",
    disable_version_flag = true
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Sets up and starts everything, ending with the guide's hello-world-spring Synced and Healthy for user01
    Up(up::Arguments),
    /// Stops what `up` started
    Down(down::Arguments),
    /// Shows what runs, and the applications
    Status,
    /// Runs the checks and tests
    Test(test::Arguments),
    /// Prints the path of a pinned tool, building it on first use
    Tool {
        /// etcd, kube-apiserver, kubectl, kwok, kustomize, helm, argocd, renderer, ...
        name: String,
    },
    /// Starts Argo CD itself on a control plane of its own, to compare with
    Oracle(oracle::Arguments),
    /// Makes each named mistake in a copy of the engine, and shows that its cases notice
    Mutations(mutations::Arguments),
    /// Serves Git repositories over HTTP with a login per tenant (used by `up` and the tests)
    GitServer(helper::GitServer),
    /// Fills the status of Ingresses as Traefik with a published service does (used by `up` and the tests)
    IngressStatus(helper::IngressStatus),
    /// Stops the servers of a test run that nobody uses any more (used by the tests)
    #[command(hide = true)]
    Guard(helper::Guard),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Up(arguments) => up::run(arguments).await,
        Verb::Down(arguments) => down::run(&arguments).await,
        Verb::Status => status::run().await,
        Verb::Test(arguments) => test::run(&arguments).await,
        Verb::Tool { name } => tool(&name).await,
        Verb::Oracle(arguments) => oracle::run(&arguments).await,
        Verb::Mutations(arguments) => mutations::run(&arguments).await,
        Verb::GitServer(arguments) => arguments.run().await,
        Verb::IngressStatus(arguments) => arguments.run().await,
        Verb::Guard(arguments) => testkit::platform::watch_over(&arguments.dir).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn tool(name: &str) -> anyhow::Result<()> {
    let progress = Progress::terminal();
    let path = match name {
        "renderer" => tools::renderer(&progress).await?,
        _ => tools::path(name, &progress).await?,
    };
    say::line(&path.display().to_string());
    Ok(())
}
