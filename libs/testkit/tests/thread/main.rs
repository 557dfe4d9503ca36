//! The thread: from git push to a healthy application, through all three services, on real parts.

mod accounts;
mod artifacts;
mod audit;
mod bad_input;
mod causes;
mod certified;
mod chart;
mod charts;
mod clusters;
mod collector;
mod command_line;
mod credentials;
mod customizations;
mod deletion_hooks;
mod deputies;
mod divided;
mod docs;
mod drawn;
mod elsewhere;
mod faults;
mod gone;
mod guide;
mod healing;
mod hooks;
mod impersonated;
mod inward;
mod isolation;
mod kinds;
mod links;
mod listings;
mod local;
mod logs;
mod objects;
mod operator;
mod orphans;
mod outage;
mod plan;
mod push;
mod references;
mod rest;
mod rights;
mod rollouts;
mod server_side;
mod shared_out;
mod signed;
mod sweep;
mod sync_options;
mod terminal;
mod timing;
mod trace;
mod tracking;
mod trees;
mod twins;
mod ways;
mod windows;

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use testkit::client::{self, Client};
use testkit::platform::Tenant;

/// Long enough for anything that works, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// The training guide's folders, as printed.
fn examples() -> PathBuf {
    testkit::paths::clone_root()
        .expect("the clone")
        .join("examples")
}

/// What a command printed, both streams.
fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Its exit code.
fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// The messages of an application's conditions of a type.
fn conditions<'a>(app: &'a Value, kind: &str) -> Vec<&'a str> {
    let all = app["status"]["conditions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    all.iter()
        .filter(|condition| condition["type"] == kind)
        .filter_map(|condition| condition["message"].as_str())
        .collect()
}

/// All its condition messages, for what a test prints when it fails.
fn all_conditions(app: &Value) -> String {
    serde_json::to_string_pretty(&app["status"]["conditions"]).unwrap_or_default()
}

/// Has the command sync an application. Where that fails, first comes what the application says, which is short.
async fn synced_by_command(client: &Client, app: &str) -> Result<()> {
    let synced = client.argocd(&["app", "sync", app]).await?;
    if code(&synced) != 0 {
        let app = client.app(app).await?;
        bail!("{}\n{}", client::summary(&app), said(&synced));
    }
    Ok(())
}

/// Changes one of a tenant's settings.
async fn set(tenant: &Tenant, object: &str, key: &str, value: &str) -> Result<()> {
    let body = json!({"changes": [{"object": object, "key": key, "value": value}]});
    tenant
        .client
        .patch("/api/naru/v1/settings", &body)
        .await?
        .ok()?;
    Ok(())
}

/// A new account that may have keys and has no rights, with a key of its own.
async fn with_key(tenant: &Tenant, account: &str) -> Result<Client> {
    set(
        tenant,
        "argocd-cm",
        &format!("accounts.{account}"),
        "apiKey",
    )
    .await?;
    let path = format!("/api/v1/account/{account}/token");
    let answer = tenant.client.post(&path, &json!({"name": account})).await?;
    let answer = answer.ok()?;
    let token = answer["token"].as_str().context("no token")?;
    Ok(tenant.client.with_token(token))
}

/// A ConfigMap, as YAML.
fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value:?}\n"
    )
}

/// A field of a protobuf message: its number, its length, its bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![(number << 3) | 2];
    let mut length = content.len();
    while length > 0x7f {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}
