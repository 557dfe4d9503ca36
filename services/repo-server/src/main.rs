//! The repo-server's process; called with `sandbox`, the launcher of its children instead.

use std::process::ExitCode;

use repo_server::config::Config;
use runtime::config::EX_USAGE;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_some_and(|first| first == sandbox::launch::ARGUMENT)
    {
        // Before anything starts a thread: the restrictions have to hold for the whole process.
        return match sandbox::launch::main(arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, 126),
        };
    }
    let config: Config = match runtime::config::load() {
        Ok(config) => config,
        Err(error) => return fail(&error, EX_USAGE),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, 1),
    };
    // Traces are sent from within the runtime.
    let _entered = runtime.enter();
    let _telemetry = match runtime::telemetry::init("naru-repo-server", &config.telemetry) {
        Ok(guard) => guard,
        Err(error) => return fail(&error, EX_USAGE),
    };
    match runtime.block_on(repo_server::run(config)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let cause = std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default();
            tracing::error!(%error, cause, "cannot start");
            ExitCode::FAILURE
        }
    }
}

/// Says why on standard error: there are no logs yet.
fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "naru-repo-server: {error}");
    ExitCode::from(code)
}
