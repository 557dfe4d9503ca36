//! `cargo xtask oracle --compare`: the scripts, run against Argo CD and against a fresh tenant of the test platform, side
//! by side. Both repositories have the guide's folders: Naru's as printed, Argo CD's with the variable filled in.

use std::path::Path;

use anyhow::{Context, Result, bail};
use testkit::git::checkout::Checkout;
use testkit::ground::{self, Ground};
use testkit::paths;
use testkit::platform::{self, Platform, Tenant};
use testkit::progress::Progress;

use super::difference::{self, Difference, Said};
use super::listed::Listed;
use super::parts::{self, Running};
use super::script::{self, Action, Step};
use super::side::{Ingredients, Side};
use crate::requirements::{self, Needs};
use crate::samples::{self, REPOSITORY};
use crate::say;

/// Where the scripts are.
const SCRIPTS: &str = "xtask/src/oracle/scripts";
/// Every script, in order. One that has commands is run over gRPC and then over gRPC-web.
const ORDER: [&str; 5] = [
    "account",
    "repositories",
    "applications",
    "mistakes",
    "rest",
];

/// Compares, and fails where what differs is not what is listed. What it started is stopped unless `keep`.
pub(crate) async fn compare(progress: &Progress, keep: bool) -> Result<()> {
    let listed = Listed::load()?;
    let needs = Needs {
        postgres: true,
        redis: true,
        sshd: false,
    };
    requirements::ensure(needs, progress).await?;
    let root = paths::clone_root()?;
    let scripts = ORDER
        .iter()
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
        let tenant = platform.tenant("oracle").await?;
        let mut argo_cd = argo_cd(&ground, &running, &root, &tenant.name).await?;
        let mut naru = naru(&platform, tenant, &root).await?;
        run(&scripts, &mut argo_cd, &mut naru, &dir.join("said")).await
    };
    let compared = progress.step("comparing", compared).await;
    drop(platform);
    if !keep {
        ground::stop_all(&ground.supervisor).await?;
        platform::stop_shared().await?;
    }
    judge(&listed, &compared?)
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

fn judge(listed: &Listed, compared: &Compared) -> Result<()> {
    let (unlisted, unseen) = listed.judge(&compared.found);
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

async fn run(
    scripts: &[(&str, Vec<Step>)],
    argo_cd: &mut Side,
    naru: &mut Side,
    said: &Path,
) -> Result<Compared> {
    paths::private_dir(said)?;
    let mut compared = Compared {
        steps: 0,
        found: Vec::new(),
        stuck: None,
    };
    for (script, steps) in scripts {
        let commands = steps
            .iter()
            .any(|step| matches!(step.action, Action::Argocd(_)));
        let transports: &[&str] = if commands {
            &["grpc", "web"]
        } else {
            &["rest"]
        };
        for transport in transports {
            for (number, step) in steps.iter().enumerate() {
                let web = *transport == "web";
                let (a, b) = tokio::join!(argo_cd.does(step, web), naru.does(step, web));
                let (a, b) = (a?, b?);
                let name = match step.name.as_str() {
                    "" => format!("{transport}/{script}-{number}"),
                    name => format!("{transport}/{name}"),
                };
                compared.steps += usize::from(!step.name.is_empty());
                write(said, &name, step, &a, &b)?;
                compared
                    .found
                    .extend(difference::between(&name, &a, &b, step.only_end));
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

/// Argo CD's side, with a namespace and a repository called as Naru's tenant is.
async fn argo_cd(ground: &Ground, running: &Running, root: &Path, name: &str) -> Result<Side> {
    running.plane.admin.ensure_namespace(name).await?;
    let login = running.git.home.ensure_login(name)?;
    running.git.home.ensure_repository(name, REPOSITORY).await?;
    let repo = running.git.repository(name, REPOSITORY);
    let work = ground.folder("checkouts")?.join(name);
    let checkout = Checkout::clone(&repo, Some(&login), &work).await?;
    copy(&checkout, root)?;
    samples::replace_everywhere(&checkout.dir().join("gitops"), name)?;
    let made = Ingredients {
        client: running.client.clone(),
        password: running.password.clone(),
        namespace: name.to_owned(),
        git: running.git.url.clone(),
        repo,
        login,
        checkout,
    };
    side(made).await
}

async fn naru(platform: &Platform, tenant: Tenant, root: &Path) -> Result<Side> {
    // The tenant's own working copy ends with the tenant.
    let work = platform.dir().join("checkouts").join(&tenant.name);
    let checkout = Checkout::clone(&tenant.repo_url, Some(&tenant.git_login), &work).await?;
    copy(&checkout, root)?;
    let made = Ingredients {
        client: tenant.client.clone(),
        password: tenant.password.clone(),
        namespace: tenant.name.clone(),
        git: platform.git().url.clone(),
        repo: tenant.repo_url.clone(),
        login: tenant.git_login.clone(),
        checkout,
    };
    side(made).await
}

fn copy(checkout: &Checkout, root: &Path) -> Result<()> {
    checkout.copy_folder(&root.join("examples/gitops"), "gitops")?;
    checkout.copy_folder(&root.join("xtask/src/oracle/files"), "files")
}

async fn side(made: Ingredients) -> Result<Side> {
    let commit = made
        .checkout
        .commit("the guide's samples, and the scripts' own")
        .await?;
    made.checkout.push().await?;
    Ok(Side::new(made, &commit))
}
