//! The examples in docs/, run as they are printed: each `console` block is typed into one shell per page, as a tenant of
//! the page's own, and what comes out is compared; each `csv` block is a policy that the server finds nothing wrong with,
//! each `yaml settings` block a setting, and each `yaml` block a part of an application's source that is kept as it is
//! written. `yaml app` and `yaml manifest` are applications that are made and synced (see `trials`), and so are `yaml
//! sources` and `yaml kustomization` (see `origins`).

mod origins;
mod trials;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use testkit::paths;
use testkit::platform::{self, Tenant};
use testkit::progress::Progress;
use testkit::tools;
use tokio::io::AsyncWriteExt;

use origins::Origin;
use trials::Trials;

/// What a block may be, and what that means.
const KINDS: [(&str, &str); 9] = [
    ("console", "run"),
    ("csv", "a policy"),
    ("yaml", "of a source"),
    ("yaml app", "of an application's spec"),
    ("yaml manifest", "in Git"),
    ("yaml sources", "where an application's manifests are"),
    ("yaml kustomization", "a kustomization.yaml in Git"),
    ("yaml settings", "a key of argocd-cm"),
    ("text", "no example, or what comes of one"),
];

/// What a shell prints between two commands; no command prints it.
const MARK: &str = "\u{1}done\u{1}\n";

/// A command as a page prints it, and what the page says comes out.
#[derive(Debug, Default, PartialEq)]
struct Example {
    line: usize,
    command: String,
    output: Vec<String>,
}

/// What a page holds between fences.
#[derive(Debug, Default, PartialEq)]
struct Page {
    examples: Vec<Example>,
    policies: Vec<String>,
    sources: Vec<String>,
    settings: Vec<String>,
    origins: Vec<Origin>,
    trials: Trials,
}

impl Page {
    fn read(text: &str) -> Result<Self> {
        let mut page = Self::default();
        let mut within: Option<String> = None;
        for (at, line) in text.lines().enumerate() {
            let number = at + 1;
            match (&within, line.strip_prefix("```")) {
                (Some(_), Some(_)) => within = None,
                (None, Some(kind)) => {
                    ensure!(
                        KINDS.iter().any(|(known, _)| *known == kind),
                        "line {number}: a block is one of {KINDS:?}, not `{kind}`"
                    );
                    page.trials.fence(number, kind);
                    match kind {
                        "csv" => page.policies.push(String::new()),
                        "yaml" => page.sources.push(String::new()),
                        "yaml settings" => page.settings.push(String::new()),
                        "yaml sources" | "yaml kustomization" => {
                            page.origins.push(Origin::begun(number, kind));
                        }
                        _ => {}
                    }
                    within = Some(kind.to_owned());
                }
                (Some(kind), None) if kind == "console" => page.console(number, line)?,
                (Some(kind), None) => match page.block(kind) {
                    Some(block) => {
                        block.push_str(line);
                        block.push('\n');
                    }
                    None => page.trials.line(kind, line),
                },
                (None, None) if line.starts_with('#') || line.starts_with("**") => {
                    page.trials.heading();
                }
                (None, None) => {}
            }
        }
        page.trials.check()?;
        Ok(page)
    }

    /// The text of the block at hand, of those kinds that are kept as they stand.
    fn block(&mut self, kind: &str) -> Option<&mut String> {
        match kind {
            "csv" => self.policies.last_mut(),
            "yaml" => self.sources.last_mut(),
            "yaml settings" => self.settings.last_mut(),
            "yaml sources" | "yaml kustomization" => {
                self.origins.last_mut().map(|origin| &mut origin.text)
            }
            _ => None,
        }
    }

    fn console(&mut self, line: usize, text: &str) -> Result<()> {
        if let Some(command) = text.strip_prefix("$ ") {
            self.examples.push(Example {
                line,
                command: command.to_owned(),
                output: Vec::new(),
            });
            return Ok(());
        }
        let Some(last) = self.examples.last_mut() else {
            bail!("line {line}: output before the first command");
        };
        // What is further in goes on with the command.
        if last.output.is_empty() && text.starts_with("    ") {
            last.command.push('\n');
            last.command.push_str(text);
        } else {
            last.output.push(text.to_owned());
        }
        Ok(())
    }
}

/// Whether output is what a page prints: `...` stands for anything within a line, and alone on a line for any lines.
/// Spaces count as one, for columns are as wide as their longest word.
fn matches(printed: &[&str], got: &[&str]) -> bool {
    match (printed.split_first(), got.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first.trim() == "..." => {
            matches(rest, got)
                || got
                    .split_first()
                    .is_some_and(|(_, less)| matches(printed, less))
        }
        (Some((first, rest)), Some((line, less))) => same(first, line) && matches(rest, less),
        _ => false,
    }
}

fn same(printed: &str, got: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (printed, got) = (words(printed), words(got));
    let mut parts = printed.split("...").map(str::trim);
    let Some(mut left) = got.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let rest: Vec<&str> = parts.collect();
    let Some((last, middle)) = rest.split_last() else {
        return left.is_empty();
    };
    for part in middle {
        let Some(at) = left.find(part) else {
            return false;
        };
        left = left.get(at + part.len()..).unwrap_or_default();
    }
    left.ends_with(last)
}

/// Types every command of a page into one shell, with the environment that `up` leaves in `.naru/env`.
async fn run(page: &Page, tenant: &Tenant, home: &Path) -> Result<()> {
    let platform = platform::platform().await?;
    let argocd = tools::path("argocd", &Progress::silent()).await?;
    let beside = argocd.parent().context("argocd is in no folder")?;
    let mut shell = tokio::process::Command::new("bash")
        .env_remove("ARGOCD_OPTS")
        .env_remove("ARGOCD_SERVER")
        .env_remove("ARGOCD_AUTH_TOKEN")
        .env_remove("ARGOCD_CONFIG_DIR")
        .env("HOME", home)
        .env("NARU_SCHEME", "http")
        .env("NARU_SERVER", platform.operator()?.server())
        .env("NARU_ADMIN_PASSWORD", platform.operator_password())
        .env("NARU_USER01_SERVER", tenant.client.server())
        .env("NARU_USER01_PASSWORD", &tenant.password)
        .env("NARU_USER01_REPO", &tenant.repo_url)
        .env("NARU_USER01_GIT_USER", &tenant.git_login.user)
        .env("NARU_USER01_GIT_PASSWORD", &tenant.git_login.password)
        .env("KUBECONFIG", &platform.control_plane().kubeconfig)
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    // What README has its reader do first.
    let mut script = format!("PATH='{}':$PATH\n", beside.display());
    script.push_str(
        r#"exec 2>&1
argocd login "$NARU_USER01_SERVER" --plaintext --username admin --password "$NARU_USER01_PASSWORD" >/dev/null
"#,
    );
    for example in &page.examples {
        script.push_str(&format!(
            "{{ {}\n}} </dev/null\nprintf '\\n%s%s' $? '{MARK}'\n",
            example.command
        ));
    }
    let mut input = shell.stdin.take().context("no input")?;
    input.write_all(script.as_bytes()).await?;
    drop(input);
    let done = shell.wait_with_output().await?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let mut answers = said.split(MARK);
    let mut wrong = Vec::new();
    for example in &page.examples {
        let at = format!("line {}: {}", example.line, example.command);
        let answer = answers.next().with_context(|| format!("{at}\nnever ran"))?;
        let Some((answer, code)) = answer.rsplit_once('\n') else {
            bail!("{}{at}\nnever ended:\n{answer}", wrong.concat());
        };
        let got: Vec<&str> = answer
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let printed: Vec<&str> = example
            .output
            .iter()
            .map(String::as_str)
            .filter(|line| !line.trim().is_empty())
            .collect();
        // A refusal is an example as well, but one whose words are printed.
        if code != "0" && printed.is_empty() || !matches(&printed, &got) {
            wrong.push(format!(
                "{at}\nended with {code} and printed\n{answer}\nwhere the page says\n{}\n\n",
                printed.join("\n")
            ));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.concat());
    Ok(())
}

async fn holds(name: &str) -> Result<()> {
    let file = paths::clone_root()?.join("docs").join(name);
    let page =
        Page::read(&std::fs::read_to_string(&file)?).with_context(|| format!("docs/{name}"))?;
    if page == Page::default() {
        return Ok(());
    }
    let label = name.trim_end_matches(".md");
    let tenant = platform::tenant(&format!("docs-{label}")).await?;
    tenant.push_guide(&crate::examples()).await?;
    let home = tempfile::tempdir()?;
    // First, for they connect the repository.
    page.trials
        .hold(&tenant, home.path())
        .await
        .with_context(|| format!("docs/{name}"))?;
    run(&page, &tenant, home.path())
        .await
        .with_context(|| format!("docs/{name}"))?;
    // After what is tried without them.
    for block in &page.settings {
        in_force(block, &tenant)
            .await
            .with_context(|| format!("docs/{name}"))?;
    }
    origins::hold(&page.origins, &tenant, home.path())
        .await
        .with_context(|| format!("docs/{name}"))?;
    for source in &page.sources {
        kept(source, &tenant, home.path())
            .await
            .with_context(|| format!("docs/{name}"))?;
    }
    for policy in &page.policies {
        let asked = json!({"policy": {"policy_csv": policy}});
        let found = tenant
            .client
            .post("/api/naru/v1/rbac/validate", &asked)
            .await?
            .ok()?;
        let problems = found["problems"].as_array().map_or(0, Vec::len);
        ensure!(
            found["valid"] == true && problems == 0,
            "docs/{name}: {policy}{found}"
        );
    }
    Ok(())
}

/// Sets a key of `argocd-cm`, and reads it back.
async fn in_force(block: &str, tenant: &Tenant) -> Result<()> {
    let (key, value) = setting(block)?;
    crate::set(tenant, "argocd-cm", &key, &value).await?;
    let shown = tenant.client.get("/api/naru/v1/settings").await?.ok()?;
    let mut objects = shown["objects"].as_array().into_iter().flatten();
    let has = |object: &Value| object["name"] == "argocd-cm" && object["data"][&key] == value;
    ensure!(objects.any(has), "{block}was not kept: {shown}");
    Ok(())
}

/// A key and its value, as they stand in the `data` of a ConfigMap.
fn setting(block: &str) -> Result<(String, String)> {
    let (first, rest) = block.split_once('\n').context("an empty block")?;
    let (key, value) = first
        .split_once(": ")
        .with_context(|| format!("`{first}` is no key with a value"))?;
    if value != "|" {
        ensure!(rest.is_empty(), "one key a block: {block}");
        return Ok((key.to_owned(), value.to_owned()));
    }
    let mut text = String::new();
    for line in rest.lines() {
        let line = line
            .strip_prefix("  ")
            .with_context(|| format!("`{line}` is not further in than its key"))?;
        text.push_str(&format!("{line}\n"));
    }
    Ok((key.to_owned(), text))
}

/// Makes an application whose source has this part, and finds every key of it there again.
async fn kept(source: &str, tenant: &Tenant, home: &Path) -> Result<()> {
    let indented: String = source.lines().map(|line| format!("  {line}\n")).collect();
    let spec = format!(
        "source:\n  repoURL: {}\n  path: .\n{indented}",
        tenant.repo_url
    );
    let app = made("example", &spec, tenant, home).await?;
    has_keys(source, &app["spec"]["source"])
}

/// Makes an application with these parts of a spec, and gives it as it is kept.
async fn made(name: &str, parts: &str, tenant: &Tenant, home: &Path) -> Result<Value> {
    let mut spec = format!("project: default\n{parts}");
    if !parts.lines().any(|line| line.starts_with("destination:")) {
        spec.push_str(&format!(
            "destination: {{server: https://kubernetes.default.svc, namespace: {}}}\n",
            tenant.name
        ));
    }
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    let file = home.join(format!("{name}.yaml"));
    std::fs::write(
        &file,
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: {name}\nspec:\n{spec}"
        ),
    )?;
    let file = file.to_string_lossy();
    let create = ["app", "create", "--upsert", "--validate=false", "-f", &file];
    let made = tenant.client.argocd(&create).await?;
    ensure!(made.status.success(), "{parts}{}", crate::said(&made));
    tenant.client.app(name).await
}

/// Tries all at the same time, and says of each what is wrong.
async fn side_by_side<T: Future<Output = Result<()>>>(
    tried: impl Iterator<Item = T>,
) -> Result<()> {
    let wrong: Vec<String> = futures::future::join_all(tried)
        .await
        .into_iter()
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

/// Whether every key of a block is in what was kept of it.
fn has_keys(block: &str, kept: &Value) -> Result<()> {
    let shown = kept.to_string();
    for line in block.lines() {
        let line = line.trim().trim_start_matches("- ");
        if let Some((key, _)) = line.split_once(':')
            && key.chars().all(char::is_alphanumeric)
        {
            ensure!(
                shown.contains(&format!("\"{key}\":")),
                "{key} of\n{block}was not kept: {shown}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_example_works_as_it_is_printed() -> Result<()> {
    let folder = paths::clone_root()?.join("docs");
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            pages.push(name);
        }
    }
    pages.sort();
    side_by_side(pages.iter().map(|name| holds(name))).await
}

/// Every test and file that these pages name as a proof, in the last column of their tables.
#[test]
fn what_pages_name_as_their_proof_exists() -> Result<()> {
    let root = paths::clone_root()?;
    let mut tests = Vec::new();
    for folder in ["libs", "services", "proto", "xtask"] {
        functions(&root.join(folder), &mut tests)?;
    }
    ensure!(tests.len() > 300, "only {} tests were found", tests.len());
    for page in ["docs/security.md", "docs/pitfalls.md"] {
        let text = std::fs::read_to_string(root.join(page))?;
        let wrong: Vec<&str> = proofs(&text)
            .filter(|name| !is_there(&root, &tests, name))
            .collect();
        ensure!(
            wrong.is_empty(),
            "{page} names what there is not: {wrong:?}"
        );
    }
    Ok(())
}

/// What a page's tables quote in their last columns.
fn proofs(page: &str) -> impl Iterator<Item = &str> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let last = rows.map(|row| {
        let mut cells = row.trim_end_matches('|').rsplit('|');
        cells.next().unwrap_or_default()
    });
    let quoted = last.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    quoted.filter(|name| !name.contains(' '))
}

/// Whether there is such a file, or such a test; a star at the end stands for any end.
fn is_there(root: &Path, tests: &[String], name: &str) -> bool {
    if name.contains('/') || name.ends_with(".rs") {
        return name.ends_with(".rs") && !name.contains('/') || root.join(name).exists();
    }
    let prefix = name.trim_end_matches('*');
    tests
        .iter()
        .any(|test| test == name || prefix.len() < name.len() && test.starts_with(prefix))
}

/// The names of the functions in a folder's Rust files.
fn functions(folder: &Path, found: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            functions(&path, found)?;
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = std::fs::read_to_string(&path)?;
            let names = text.lines().filter_map(|line| {
                let (_, rest) = line.split_once("fn ")?;
                rest.split_once('(').map(|(name, _)| name.to_owned())
            });
            found.extend(names);
        }
    }
    Ok(())
}

#[test]
fn a_setting_is_read_as_a_config_map_has_it() {
    let read = |block| setting(block).ok();
    let pair = |key: &str, value: &str| Some((key.to_owned(), value.to_owned()));
    assert_eq!(read("a.b: c d\n"), pair("a.b", "c d"));
    assert_eq!(read("a: |\n  b:\n    - c\n"), pair("a", "b:\n  - c\n"));
    assert_eq!(read("a: b\nc: d\n"), None);
    assert_eq!(read("a: |\nb: c\n"), None);
}

#[test]
fn output_is_compared_by_words_and_dots_stand_for_anything() {
    assert!(matches(
        &["NAME   SERVER", "...", "last ... word"],
        &["NAME SERVER", "a", "b", "last and final word"]
    ));
    assert!(matches(&["..."], &[]));
    assert!(!matches(&["a"], &[]));
    assert!(!matches(&["a", "...", "b"], &["a", "c"]));
    assert!(!matches(&["x ... z"], &["x y"]));
    assert!(!matches(&[], &["something"]));
}

/// The page lists every option of a sync and of a comparison that the engine reads, and no other.
#[test]
fn the_page_of_options_lists_what_the_engine_reads() -> Result<()> {
    let root = paths::clone_root()?;
    let source = std::fs::read_to_string(root.join("libs/engine/src/options.rs"))?;
    let page = std::fs::read_to_string(root.join("docs/sync-options.md"))?;
    let read = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" =>"));
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let read: BTreeSet<&str> = read.map(|(option, _)| option).collect();
    // What only objects are told has no value, and is read elsewhere.
    let listed = rows.map(|(option, _)| option);
    let listed: BTreeSet<&str> = listed.filter(|option| option.contains('=')).collect();
    ensure!(read.len() > 15, "only {read:?} were found");
    ensure!(
        read == listed,
        "only the engine or only the page has {:?}",
        read.symmetric_difference(&listed)
    );
    Ok(())
}
