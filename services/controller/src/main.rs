//! The controller's process: settings, then [`controller::run`]; called with `script`, the child that runs scripts instead.

use std::process::ExitCode;

use controller::config::Config;

fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == script::ARGUMENT)
    {
        // Before anything starts a thread: the restrictions have to hold for the whole process.
        return match script::serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let config: Config = match runtime::config::load() {
        Ok(config) => config,
        Err(error) => return controller::refuse_settings(&error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(controller::run(config)),
        Err(error) => controller::refuse_settings(&runtime::config::ConfigError {
            problems: vec![error.to_string()],
        }),
    }
}
