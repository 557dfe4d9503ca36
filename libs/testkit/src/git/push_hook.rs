//! Tells whoever wants to know that something was pushed, in the form in which GitLab does.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::git;
use super::server::{Server, Target};
use crate::command::output;

const NOTHING: &str = "0000000000000000000000000000000000000000";
/// How many commits a report lists, as GitLab.
const COMMITS: usize = 20;

/// Every ref and what it points to.
pub(super) async fn refs(bare: &Path) -> Result<BTreeMap<String, String>> {
    let list = output(
        git()
            .arg("-C")
            .arg(bare)
            .args(["for-each-ref", "--format=%(objectname) %(refname)"]),
    )
    .await?;
    Ok(list
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(id, name)| (name.to_owned(), id.to_owned()))
        .collect())
}

/// Reports what changed since `before`. Failures are written to the server's log, as a real server would keep them to
/// itself.
pub(super) async fn report(
    server: &Arc<Server>,
    target: &Target,
    bare: &Path,
    before: &BTreeMap<String, String>,
) {
    let Some(hook) = server.home.push_hook(&target.tenant) else {
        return;
    };
    let Ok(after) = refs(bare).await else { return };
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        if old == new {
            continue;
        }
        let old = old.map_or(NOTHING, String::as_str);
        let new = new.map_or(NOTHING, String::as_str);
        let sent = send(server, target, bare, &hook, name, old, new).await;
        let outcome = sent.map_or_else(
            |error| format!("failed: {error:#}"),
            |()| "delivered".to_owned(),
        );
        let _ = writeln!(
            std::io::stderr(),
            "push to {}/{} {name} {new}: {outcome}",
            target.tenant,
            target.repository
        );
    }
}

async fn send(
    server: &Arc<Server>,
    target: &Target,
    bare: &Path,
    hook: &super::PushHook,
    name: &str,
    old: &str,
    new: &str,
) -> Result<()> {
    let tag = name.starts_with("refs/tags/");
    let commits = if new == NOTHING {
        Vec::new()
    } else {
        commits(bare, old, new).await.unwrap_or_default()
    };
    let payload = payload(&server.public_url, target, name, old, new, &commits);
    let request = server
        .http
        .post(&hook.url)
        .header("x-gitlab-token", &hook.token);
    let request = request.header(
        "x-gitlab-event",
        if tag { "Tag Push Hook" } else { "Push Hook" },
    );
    let response = request
        .json(&payload)
        .send()
        .await
        .map_err(|error| anyhow::anyhow!(crate::http::chain(&error)))?;
    if !response.status().is_success() {
        bail!("{} answers {}", hook.url, response.status());
    }
    Ok(())
}

fn payload(
    base: &str,
    target: &Target,
    name: &str,
    old: &str,
    new: &str,
    commits: &[Value],
) -> Value {
    let path = format!("{}/{}", target.tenant, target.repository);
    let web = format!("{base}/{path}");
    let url = format!("{web}.git");
    let kind = if name.starts_with("refs/tags/") {
        "tag_push"
    } else {
        "push"
    };
    let checkout = if new == NOTHING {
        Value::Null
    } else {
        json!(new)
    };
    json!({
        "object_kind": kind, "event_name": kind, "before": old, "after": new, "ref": name, "ref_protected": false,
        "checkout_sha": checkout, "message": null, "user_id": 1, "user_name": target.tenant,
        "user_username": target.tenant, "user_email": "", "user_avatar": null, "project_id": 1,
        "project": {
            "id": 1, "name": target.repository, "description": "", "web_url": web, "avatar_url": null,
            "git_ssh_url": "", "git_http_url": url, "namespace": target.tenant, "visibility_level": 0,
            "path_with_namespace": path, "default_branch": "main", "ci_config_path": null,
            "homepage": web, "url": url, "ssh_url": "", "http_url": url,
        },
        "commits": commits, "total_commits_count": commits.len(), "push_options": {},
        "repository": {
            "name": target.repository, "url": url, "description": "", "homepage": web,
            "git_http_url": url, "git_ssh_url": "", "visibility_level": 0,
        },
    })
}

/// The newest commits of a push, oldest first, with the files that they touch.
async fn commits(bare: &Path, old: &str, new: &str) -> Result<Vec<Value>> {
    let range = if old == NOTHING {
        new.to_owned()
    } else {
        format!("{old}..{new}")
    };
    let format = "--format=%x01%H%x02%cI%x02%an%x02%ae%x02%B%x03";
    let log = [
        "log",
        "-z",
        "--name-status",
        "--no-renames",
        "-m",
        "--first-parent",
        format,
        "-n",
    ];
    let text = output(
        git()
            .arg("-C")
            .arg(bare)
            .args(log)
            .arg(COMMITS.to_string())
            .arg(range)
            .arg("--"),
    )
    .await?;
    let mut commits: Vec<Value> = text
        .split('\u{1}')
        .skip(1)
        .map(commit)
        .collect::<Result<_>>()?;
    commits.reverse();
    Ok(commits)
}

fn commit(text: &str) -> Result<Value> {
    let (head, files) = text.split_once('\u{3}').context("git log ends early")?;
    let parts: Vec<&str> = head.splitn(5, '\u{2}').collect();
    let [id, time, name, email, message] = parts[..] else {
        bail!("git log has {} fields", parts.len())
    };
    let fields: Vec<&str> = files
        .split(['\0', '\n'])
        .filter(|part| !part.is_empty())
        .collect();
    let of = |wanted: &[&str]| -> Vec<&str> {
        fields
            .chunks_exact(2)
            .filter(|pair| wanted.contains(&pair[0]))
            .map(|pair| pair[1])
            .collect()
    };
    Ok(json!({
        "id": id, "message": message.trim_end(), "title": message.lines().next().unwrap_or_default(), "timestamp": time,
        "url": "", "author": {"name": name, "email": email},
        "added": of(&["A"]), "modified": of(&["M", "T"]), "removed": of(&["D"]),
    }))
}
