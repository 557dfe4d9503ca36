//! `cargo xtask oracle --compare`: the scripts, run against Argo CD and against fresh tenants of the test platform, side
//! by side.

use std::path::Path;

use anyhow::{Context, Result, bail};
use testkit::ground::{self, Ground};
use testkit::paths;
use testkit::platform::{self, Platform};
use testkit::progress::Progress;

use super::difference::{self, Difference, Said};
use super::listed::Listed;
use super::parts;
use super::script::{self, Action, Step};
use super::sides::{Inputs, Sides};
use crate::requirements::{self, Needs};
use crate::say;

/// Where the scripts are.
const SCRIPTS: &str = "xtask/src/oracle/scripts";
/// Every script, in order. One that has commands is run over gRPC and then over gRPC-web, at a tenant's host; one of
/// [`EVERYWHERE`] at another tenant's host the second time, and once more at the operator's, as the operator's admin.
const ORDER: [&str; 21] = [
    "account",
    "accounts",
    "projects",
    "credentials",
    "keys",
    "clusters",
    "repositories",
    "applications",
    "hooks",
    "windows",
    "options",
    "commands",
    "objects",
    "customizations",
    "serverside",
    "local",
    "deletion",
    "orphans",
    "mistakes",
    "links",
    "rest",
];
const EVERYWHERE: [&str; 5] = ["accounts", "projects", "credentials", "keys", "clusters"];

/// Compares, and fails where what differs is not what is listed. What it started is stopped unless `keep`; with `only`
/// no other scripts are run.
pub(crate) async fn compare(progress: &Progress, keep: bool, only: &[String]) -> Result<()> {
    let listed = Listed::load()?;
    let needs = Needs {
        postgres: true,
        redis: true,
        sshd: false,
    };
    requirements::ensure(needs, progress).await?;
    let root = paths::clone_root()?;
    if let Some(unknown) = only.iter().find(|name| !ORDER.contains(&name.as_str())) {
        bail!("there is no script `{unknown}`, only {}", ORDER.join(", "));
    }
    let scripts = ORDER
        .iter()
        .filter(|name| only.is_empty() || only.iter().any(|one| one == *name))
        .map(|name| {
            Ok((
                *name,
                read(&root.join(SCRIPTS).join(format!("{name}.txt")))?,
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    let page = std::fs::read_to_string(root.join("docs/differences.md")).unwrap_or_default();
    if page != listed.page() {
        bail!("docs/differences.md is not that of the list: `cargo test -p xtask listed` makes it");
    }
    let shared = paths::test_platform()?;
    let dir = shared.with_extension("oracle");
    paths::private_dir(&dir)?;
    // What an earlier run left would show in the lists.
    let mut ground = Ground::open(&dir, progress.clone())?;
    ground::stop_all(&ground.supervisor).await?;
    std::fs::remove_dir_all(&dir).with_context(|| format!("cannot clear {}", dir.display()))?;
    ground = Ground::open(&dir, progress.clone())?;

    let platform = Platform::start(&shared, Progress::silent());
    let platform = progress
        .step("starting the test platform", platform)
        .await?;
    let running = parts::start(&mut ground, false).await?;
    let compared = async {
        let inputs = Inputs::lay(&ground, &platform, &root)?;
        let mut sides = Sides::make(&ground, &running, &platform, &inputs).await?;
        run(&scripts, &mut sides, &dir.join("said")).await
    };
    let compared = progress.step("comparing", compared).await;
    drop(platform);
    if !keep {
        ground::stop_all(&ground.supervisor).await?;
        platform::stop_shared().await?;
    }
    judge(&listed, &compared?, only.is_empty())
}

fn read(file: &Path) -> Result<Vec<Step>> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    script::parse(&text).with_context(|| file.display().to_string())
}

/// What was compared.
struct Compared {
    steps: usize,
    found: Vec<Difference>,
    /// The step at which neither came further.
    stuck: Option<String>,
}

fn judge(listed: &Listed, compared: &Compared, whole: bool) -> Result<()> {
    let (unlisted, mut unseen) = listed.judge(&compared.found);
    if !whole {
        unseen.clear();
    }
    for one in &unlisted {
        say::line(&format!("{}  {}", one.step, one.at));
        for (side, text) in [("Argo CD", &one.argo_cd), ("Naru", &one.naru)] {
            say::line(&format!("    {side:8} {}", text.as_deref().unwrap_or("-")));
        }
    }
    for one in &unseen {
        say::line(&format!("listed, but not seen any more: {one}"));
    }
    say::line(&format!(
        "{} steps compared, {} differences of {} listed kinds, {} not listed, {} listed and not seen",
        compared.steps,
        compared.found.len() - unlisted.len(),
        listed.len(),
        unlisted.len(),
        unseen.len()
    ));
    if let Some(stuck) = &compared.stuck {
        bail!("neither side comes so far: {stuck}");
    }
    match unlisted.is_empty() && unseen.is_empty() {
        true => Ok(()),
        false => bail!(
            "Naru and Argo CD differ otherwise than xtask/src/oracle/differences.toml says: mend Naru, or list it with its reason"
        ),
    }
}

/// How often a script is run, under which name, on which of Naru's sides, and whether over gRPC-web.
fn passes(script: &str, steps: &[Step]) -> &'static [(&'static str, usize, bool)] {
    let commands = steps
        .iter()
        .any(|step| matches!(step.action, Action::Argocd(_)));
    match (commands, EVERYWHERE.contains(&script)) {
        (false, _) => &[("rest", 0, false)],
        (true, false) => &[("grpc", 0, false), ("web", 0, true)],
        (true, true) => &[("grpc", 0, false), ("web", 1, true), ("operator", 2, false)],
    }
}

async fn run(scripts: &[(&str, Vec<Step>)], sides: &mut Sides, said: &Path) -> Result<Compared> {
    paths::private_dir(said)?;
    let mut compared = Compared {
        steps: 0,
        found: Vec::new(),
        stuck: None,
    };
    for (script, steps) in scripts {
        for (transport, side, web) in passes(script, steps) {
            let argo_cd = &mut sides.argo_cd;
            let naru = sides.naru.get_mut(*side).context("a side is missing")?;
            for (number, step) in steps.iter().enumerate() {
                let (a, b) = tokio::join!(argo_cd.does(step, *web), naru.does(step, *web));
                let (a, b) = (a?, b?);
                let name = match step.name.as_str() {
                    "" => format!("{transport}/{script}-{number}"),
                    name => format!("{transport}/{name}"),
                };
                compared.steps += usize::from(!step.name.is_empty());
                write(said, &name, step, &a, &b)?;
                // Of one that prepares, what is asked of both sides alike: that it came about.
                if !step.name.is_empty()
                    || matches!((&a, &b), (Said::Done(_), _) | (_, Said::Done(_)))
                {
                    let found = difference::between(&name, &a, &b, step.only_end);
                    compared.found.extend(found);
                }
                if let (Said::Done(Err(a)), Said::Done(Err(b))) = (&a, &b) {
                    // What follows would compare nothing.
                    compared.stuck = Some(format!("{name}: Argo CD: {a}; Naru: {b}"));
                    return Ok(compared);
                }
            }
        }
    }
    Ok(compared)
}

/// What both said, for whoever wonders.
fn write(dir: &Path, name: &str, step: &Step, a: &Said, b: &Said) -> Result<()> {
    let text = format!("{step:#?}\n--- Argo CD\n{a:#?}\n--- Naru\n{b:#?}\n");
    let file = dir.join(name.replace('/', "-"));
    paths::private_file(&file, text.as_bytes())
}
