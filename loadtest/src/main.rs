//! Drives a running platform through its public API and reports figures; works with any server that speaks that API.
//!
//! ```sh
//! . .naru/env   # docs/figures.md says of which build figures are
//! cargo run --bin loadtest -- floor
//! cargo run --bin loadtest -- s1 --apps 1000
//! cargo run --bin loadtest -- s1b --apps 200
//! cargo run --bin loadtest -- s1c --apps 1000
//! cargo run --bin loadtest -- s3a --apps 400
//! cargo run --bin loadtest -- s3b --objects 10000
//! cargo run --bin loadtest -- s4 --pushes 200
//! cargo run --bin loadtest -- tenants --tenants 1000
//! cargo run --bin loadtest -- s2 --apps 1000 --objects 10 --minutes 15
//! cargo run --bin loadtest -- s6 --apps 1000 --pushes 20
//! cargo run --bin loadtest -- s7 --kills 30
//! cargo run --bin loadtest -- s8 --apps 1000 --objects 20
//! cargo run --bin loadtest -- s9 --apps 500 --objects 40
//! cargo run --bin loadtest -- s10 --pushes 100
//! cargo run --bin loadtest -- cost --apps 100,500,1000,2500,5000 --svg docs/cost.svg
//! ```
//!
//! Every scenario prints its figures for people, and as JSON with `--json`. How a figure is taken stands with its
//! scenario.

mod client;
mod cost;
mod floor;
mod git;
mod kube;
mod leases;
mod objects;
mod plot;
mod process;
mod report;
mod s1;
mod s10;
mod s1b;
mod s1c;
mod s2;
mod s3a;
mod s3b;
mod s4;
mod s6;
mod s7;
mod s8;
mod s9;
mod tenants;

use clap::{Parser, Subcommand};

/// Load programs: the floor of this machine, the scenarios S1 to S10, cost by number of applications, and tenants.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    scenario: Scenario,
}

/// Whom to drive. The defaults come from `.naru/env`.
#[derive(clap::Args, Clone)]
pub(crate) struct Target {
    /// The server, `host:port`.
    #[arg(
        long,
        global = true,
        env = "NARU_USER01_SERVER",
        default_value = "127.0.0.1:8080"
    )]
    server: String,
    /// `http` or `https` (whose certificate is not checked: this is a load program).
    #[arg(long, global = true, env = "NARU_SCHEME", default_value = "http")]
    scheme: String,
    /// The account.
    #[arg(long, global = true, default_value = "admin")]
    user: String,
    /// Its password.
    #[arg(
        long,
        global = true,
        env = "NARU_USER01_PASSWORD",
        hide_env_values = true,
        default_value = ""
    )]
    password: String,
    /// The repository that the applications are made from; it is written to.
    #[arg(long, global = true, env = "NARU_USER01_REPO", default_value = "")]
    repo: String,
    /// The Git login.
    #[arg(long, global = true, env = "NARU_USER01_GIT_USER", default_value = "")]
    git_user: String,
    /// The Git password.
    #[arg(
        long,
        global = true,
        env = "NARU_USER01_GIT_PASSWORD",
        hide_env_values = true,
        default_value = ""
    )]
    git_password: String,
    /// The namespace to deploy into; it exists.
    #[arg(long, global = true, default_value = "user01")]
    namespace: String,
    /// Whom the floor program impersonates, as the product does: the privileged user escapes priority and fairness.
    #[arg(
        long,
        global = true,
        default_value = "system:serviceaccount:user01:naru"
    )]
    impersonate: String,
    /// The cluster, for the floor program.
    #[arg(long, global = true, env = "KUBECONFIG", default_value = "")]
    kubeconfig: String,
    /// Processes whose processor time and memory are reported, as `name=pid`; `.naru/env` gives NARU_PID_<NAME>.
    #[arg(long = "process", global = true)]
    processes: Vec<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Scenario {
    /// What this machine can do at most, without the product: server-side applies, list and watch, fetches.
    Floor(floor::Options),
    /// Cold sync of many small applications: from the first Sync request to the last one reported Synced and Healthy.
    S1(s1::Options),
    /// The same of applications of ten objects, as Helm charts and as kustomizations.
    S1b(s1b::Options),
    /// The same of a thousand applications of four objects, with the most that our processes hold meanwhile.
    S1c(s1c::Options),
    /// Nothing changes: processor time per application and hour, and what is written.
    S2(s2::Options),
    /// What our processes hold in memory, idle and with four hundred applications.
    S3a(s3a::Options),
    /// What ten thousand objects cost in memory: those that nobody manages, and those of applications.
    S3b(s3b::Options),
    /// From a push that returned to the application reported Synced at that commit.
    S4(s4::Options),
    /// A thousand kustomizations in one repository: one of them changes, then what all of them share.
    S6(s6::Options),
    /// One of two controllers is killed: until the other holds its clusters, repairs a drift there and syncs a commit.
    S7(s7::Options),
    /// A controller starts, until every application is compared; it restarts the one that `cargo xtask up` has started.
    S8(s8::Options),
    /// Many changes a second: from a change to the resource tree that shows it, beside a bare watch.
    S9(s9::Options),
    /// From a push to Synced, alone and while another tenant has everything rendered anew without end.
    S10(s10::Options),
    /// S2 at several numbers of applications, as a plot.
    Cost(cost::Options),
    /// Tenants that only exist: memory for each in every process, and processor time while nothing happens.
    Tenants(tenants::Options),
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            report::progress(&format!("error: {error:#}"));
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // Fails only when a provider is set already, which nobody did.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let target = &arguments.target;
    let report = match &arguments.scenario {
        Scenario::Floor(options) => floor::run(target, options).await?,
        Scenario::S1(options) => s1::run(target, options).await?,
        Scenario::S1b(options) => s1b::run(target, options).await?,
        Scenario::S1c(options) => s1c::run(target, options).await?,
        Scenario::S2(options) => s2::run(target, options).await?,
        Scenario::S3a(options) => s3a::run(target, options).await?,
        Scenario::S3b(options) => s3b::run(target, options).await?,
        Scenario::S4(options) => s4::run(target, options).await?,
        Scenario::S6(options) => s6::run(target, options).await?,
        Scenario::S7(options) => s7::run(target, options).await?,
        Scenario::S8(options) => s8::run(target, options).await?,
        Scenario::S9(options) => s9::run(target, options).await?,
        Scenario::S10(options) => s10::run(target, options).await?,
        Scenario::Cost(options) => cost::run(target, options).await?,
        Scenario::Tenants(options) => tenants::run(target, options).await?,
    };
    report.print(target.json);
    Ok(())
}
