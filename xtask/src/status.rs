//! `cargo xtask status`.

use anyhow::Result;
use testkit::client::{Client, summary};
use testkit::process::Supervisor;

use crate::{say, up};

pub(crate) async fn run() -> Result<()> {
    let dir = up::folder()?;
    if !dir.join("processes").is_dir() {
        say::line("nothing was ever started here: cargo xtask up");
        return Ok(());
    }
    let supervisor = Supervisor::open(&dir)?;
    for name in supervisor.names() {
        let log = supervisor.log(&name);
        let state = supervisor.find(&name).map_or_else(
            || "stopped".to_owned(),
            |process| format!("process {}", process.id()),
        );
        say::line(&format!("{name:<26}{state:<18}{}", log.display()));
    }
    let env = up::environment::read(&dir)?;
    let (Some(server), Some(scheme), Some(password)) = (
        env.get("NARU_USER01_SERVER"),
        env.get("NARU_SCHEME"),
        env.get("NARU_USER01_PASSWORD"),
    ) else {
        return Ok(());
    };
    let client = match Client::login(&format!("{scheme}://{server}"), "admin", password).await {
        Ok(client) => client,
        Err(error) => {
            say::line(&format!(
                "the api does not answer ({error:#}): cargo xtask up"
            ));
            return Ok(());
        }
    };
    say::line("");
    let list = client.get("/api/v1/applications").await?.ok()?;
    for app in list["items"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
    {
        say::line(&format!(
            "{:<26}{}",
            app["metadata"]["name"].as_str().unwrap_or_default(),
            summary(app)
        ));
    }
    Ok(())
}
