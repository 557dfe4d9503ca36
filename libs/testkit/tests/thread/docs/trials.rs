//! Applications that a page prints: `yaml app` is a part of the spec, `yaml manifest` what Git has, and the `text` block after
//! it the last lines of what `argocd app get --show-operation` prints when that is synced.
//!
//! A heading ends an application, and so do a title in bold and the next `yaml app`. Another `yaml manifest` takes the place of
//! the one before: it is pushed, and synced once more where the application does not do so by itself. All applications of a
//! page are tried side by side.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::platform::Tenant;
use testkit::wait;

use super::{has_keys, made, matches, side_by_side};
use crate::{PATIENCE, said};

/// The tenant, and its namespace, as pages have it.
pub(super) const TENANT: &str = "demo";

/// The applications of a page.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Trials {
    all: Vec<Trial>,
    /// Whether what comes next is the last one's.
    open: bool,
    /// Whether the `text` block at hand is an outcome.
    told: bool,
}

#[derive(Debug, Default, PartialEq)]
struct Trial {
    name: String,
    line: usize,
    /// What the page says of the spec.
    spec: String,
    /// What Git has, one after the other.
    steps: Vec<Step>,
}

#[derive(Debug, Default, PartialEq)]
struct Step {
    manifests: String,
    outcome: Vec<String>,
}

impl Trials {
    /// A block of that kind begins.
    pub(super) fn fence(&mut self, line: usize, kind: &str) {
        self.told = kind == "text" && self.step().is_some_and(|step| step.outcome.is_empty());
        let begins = match kind {
            "yaml app" => true,
            "yaml manifest" => !self.open,
            _ => return,
        };
        if begins {
            self.all.push(Trial {
                name: format!("trial-{line}"),
                line,
                ..Trial::default()
            });
            self.open = true;
        }
        if kind == "yaml manifest"
            && let Some(trial) = self.all.last_mut()
        {
            trial.steps.push(Step::default());
        }
    }

    /// A line of the block at hand.
    pub(super) fn line(&mut self, kind: &str, line: &str) {
        let told = self.told;
        let Some(trial) = self.all.last_mut() else {
            return;
        };
        match (kind, trial.steps.last_mut()) {
            ("yaml app", _) => trial.spec.push_str(&format!("{line}\n")),
            ("yaml manifest", Some(step)) => step.manifests.push_str(&format!("{line}\n")),
            ("text", Some(step)) if told => step.outcome.push(line.to_owned()),
            _ => {}
        }
    }

    /// What comes next is another application's.
    pub(super) fn heading(&mut self) {
        self.open = false;
    }

    fn step(&self) -> Option<&Step> {
        self.all
            .last()
            .filter(|_| self.open)
            .and_then(|trial| trial.steps.last())
    }

    /// Whether the page says of everything in Git what comes of it.
    pub(super) fn check(&self) -> Result<()> {
        for trial in &self.all {
            ensure!(
                trial.steps.iter().all(|step| !step.outcome.is_empty()),
                "line {}: a `text` block after what is in Git says what comes of it",
                trial.line
            );
        }
        Ok(())
    }

    /// Makes and syncs all of them, and compares what comes of it.
    pub(super) async fn hold(&self, tenant: &Tenant, home: &Path) -> Result<()> {
        if self.all.is_empty() {
            return Ok(());
        }
        tenant.connect().await?;
        tenant.turn_webhook_on()?;
        let steps = self.all.iter().map(|trial| trial.steps.len());
        for round in 0..steps.max().unwrap_or_default().max(1) {
            let commit = self.push(round, tenant).await?;
            let commit = commit.as_str();
            let tried = self.all.iter().map(|trial| async move {
                let tried = trial.hold(round, commit, tenant, home).await;
                tried.with_context(|| format!("the application of line {}", trial.line))
            });
            side_by_side(tried).await?;
        }
        Ok(())
    }

    /// Pushes what Git has in that round, of all at once: there is one branch, and each push is a new revision for all.
    async fn push(&self, round: usize, tenant: &Tenant) -> Result<String> {
        for trial in &self.all {
            if let Some(step) = trial.steps.get(round) {
                let text = step.manifests.replace(TENANT, &tenant.name);
                let file = format!("{}/manifests.yaml", trial.name);
                tenant.checkout.write(&file, text)?;
            }
        }
        let commit = tenant.checkout.commit("what the page has in Git").await?;
        tenant.checkout.push().await?;
        Ok(commit)
    }
}

impl Trial {
    async fn hold(&self, round: usize, commit: &str, tenant: &Tenant, home: &Path) -> Result<()> {
        if round == 0 {
            self.make(tenant, home).await?;
        }
        let Some(step) = self.steps.get(round) else {
            return Ok(());
        };
        let app = tenant
            .client
            .app_when(&self.name, PATIENCE, |app| {
                app["status"]["sync"]["revision"] == commit
            })
            .await?;
        if app["spec"]["syncPolicy"]["automated"].is_null() {
            let path = format!("/api/v1/applications/{}/sync", self.name);
            tenant.client.post(&path, &json!({})).await?.ok()?;
        }
        tenant
            .client
            .app_when(&self.name, PATIENCE, |app| {
                let state = &app["status"]["operationState"];
                state["syncResult"]["revision"] == commit && state["phase"] != "Running"
            })
            .await?;
        self.shows(step, tenant).await
    }

    async fn make(&self, tenant: &Tenant, home: &Path) -> Result<()> {
        let spec = self.spec.replace(TENANT, &tenant.name);
        let source = format!(
            "source: {{repoURL: {}, path: {}}}\n",
            tenant.repo_url, self.name
        );
        let app = made(&self.name, &format!("{source}{spec}"), tenant, home).await?;
        has_keys(&spec, &app["spec"])
    }

    /// Waits until the command prints what the page has, at its end.
    async fn shows(&self, step: &Step, tenant: &Tenant) -> Result<()> {
        let lines = step.outcome.iter().map(String::as_str);
        let printed: Vec<&str> = std::iter::once("...")
            .chain(lines.filter(|line| !line.trim().is_empty()))
            .collect();
        wait::until("what the page says", PATIENCE, || async {
            let words = ["app", "get", &self.name, "--show-operation"];
            let got = said(&tenant.client.argocd(&words).await?).replace(&tenant.name, TENANT);
            let lines: Vec<&str> = got.lines().filter(|line| !line.trim().is_empty()).collect();
            ensure!(
                matches(&printed, &lines),
                "{got}\nwhere the page says\n{}",
                step.outcome.join("\n")
            );
            Ok(())
        })
        .await
    }
}

#[test]
fn blocks_that_follow_each_other_are_one_application_until_a_heading() {
    let page = "```yaml app\na: 1\n```\n```yaml manifest\nx\n```\nand\n```text\nX\n```\n```yaml manifest\ny\n```\n\
                ```text\nY\n```\n```text\nnothing\n```\n# next\n```yaml manifest\n# z\n```\n```text\nZ\n```\n\
                **More.** And\n```yaml manifest\n**u\n```\n```text\nU\n```\n";
    let page = super::Page::read(page).expect("a page");
    let seen: Vec<(&str, Vec<(&str, String)>)> = page
        .trials
        .all
        .iter()
        .map(|trial| {
            let steps = trial.steps.iter();
            let steps = steps.map(|step| (step.manifests.as_str(), step.outcome.concat()));
            (trial.spec.as_str(), steps.collect())
        })
        .collect();
    assert_eq!(
        seen,
        [
            (
                "a: 1\n",
                vec![("x\n", "X".to_owned()), ("y\n", "Y".to_owned())]
            ),
            ("", vec![("# z\n", "Z".to_owned())]),
            ("", vec![("**u\n", "U".to_owned())]),
        ]
    );
    assert!(super::Page::read("```yaml manifest\nx\n```\n").is_err());
}
