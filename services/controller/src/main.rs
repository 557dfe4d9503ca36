//! The controller's process: settings, then [`controller::run`].

use std::process::ExitCode;

use controller::config::Config;

#[tokio::main]
async fn main() -> ExitCode {
    let config: Config = match runtime::config::load() {
        Ok(config) => config,
        Err(error) => return controller::refuse_settings(&error),
    };
    controller::run(config).await
}
