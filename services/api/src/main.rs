//! `naru-api`: serves; `migrate` brings the database to this version; `key FILE` makes a key, `cluster-key FILE` the pair
//! that clusters' credentials are sealed with, `ca CERT KEY [NAME...]` a certificate authority; `rotate-key` and
//! `rotate-tenant-key` replace keys.

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use runtime::config::{EX_USAGE, load};

const USAGE: &str = "usage: naru-api [serve | migrate | key FILE | cluster-key FILE | ca CERT KEY [NAME...] | rotate-key | rotate-tenant-key --tenant NAME]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["serve"] => match load() {
            Ok(config) => within_runtime(api::run(config)),
            Err(error) => usage(&error),
        },
        ["migrate"] => match load() {
            Ok(config) => within_runtime(async { api::migrate(config).await.map(|()| true) }),
            Err(error) => usage(&error),
        },
        ["rotate-key"] => match load() {
            Ok(config) => within_runtime(async { api::rotate_key(config).await.map(|()| true) }),
            Err(error) => usage(&error),
        },
        ["rotate-tenant-key", "--tenant", tenant] => match load() {
            Ok(config) => within_runtime(async {
                api::rotate_tenant_key(config, tenant).await.map(|()| true)
            }),
            Err(error) => usage(&error),
        },
        ["ca", cert, key, names @ ..] => {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let made = api::generate_authority(&PathBuf::from(cert), &PathBuf::from(key), &names);
            outcome(made.map(|()| true))
        }
        ["cluster-key", file] => {
            outcome(api::generate_cluster_key(&PathBuf::from(file)).map(|()| true))
        }
        ["key", file] => outcome(api::generate_key(&PathBuf::from(file)).map(|()| true)),
        _ => usage(&USAGE),
    }
}

fn within_runtime<E: Display>(work: impl Future<Output = Result<bool, E>>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => outcome(runtime.block_on(work)),
        Err(error) => outcome(Err(error)),
    }
}

fn outcome<E: Display>(result: Result<bool, E>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

fn usage(problem: &dyn Display) -> ExitCode {
    say(problem);
    ExitCode::from(EX_USAGE)
}

fn say(text: &dyn Display) {
    // Where even standard error is gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "naru-api: {text}");
}
