//! The guide's samples: tenant user01, its repository with the folder as printed, and two applications of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;
use testkit::client::Client;
use testkit::git::{Login, PushHook};
use testkit::ground::Ground;
use testkit::progress::Progress;
use testkit::services::{Services, tenant_hosts};

use super::parts::Parts;
use crate::samples::{APPLICATIONS, REPOSITORY, application, connect, fill};

const TENANT: &str = "user01";
const HOST: &str = "127.0.1.1";
/// What stands for the variable in the operator's own copy, and the namespace that it goes to.
const FILLED_IN: &str = "demo";

/// The settings with providers' webhook secrets.
const WEBHOOK_KEYS: [&str; 6] = [
    "webhook.github.secret",
    "webhook.gitlab.secret",
    "webhook.gitea.secret",
    "webhook.gogs.secret",
    "webhook.bitbucketserver.secret",
    "webhook.azuredevops.password",
];

/// What was put where.
pub(super) struct Example {
    pub(super) password: String,
    pub(super) webhook_secret: String,
    pub(super) repo: String,
    pub(super) login: Login,
    pub(super) admin_repo: String,
    pub(super) admin_login: Login,
    client: Client,
    commit: String,
    work: PathBuf,
}

/// Puts everything that is not there yet.
pub(super) async fn put(
    ground: &mut Ground,
    root: &Path,
    parts: &Parts,
    services: &Services,
) -> Result<Example> {
    let progress = ground.progress.clone();
    let operator = Client::login(&services.url("127.0.0.1"), "admin", &services.admin_password)
        .await
        .context("the operator cannot sign in; after `--database-url` to a database of another clone, that one's password counts")?;
    let (password, webhook_secret) = progress
        .step("making tenant user01", tenant(ground, &operator))
        .await?;
    let client = Client::login(&services.url(HOST), "admin", &password).await?;
    one_webhook_secret(&client, &webhook_secret).await?;
    let home = &parts.git.home;

    let (login, admin_login) = (home.ensure_login(TENANT)?, home.ensure_login("naru")?);
    let hook = PushHook {
        url: format!("{}/api/webhook", services.url(HOST)),
        token: webhook_secret.clone(),
    };
    home.set_push_hook(TENANT, Some(&hook))?;
    let examples = root.join("examples");
    let checkouts = ground.folder("checkouts")?;
    let (repo, admin_repo) = (
        parts.git.repository(TENANT, REPOSITORY),
        parts.git.repository("naru", REPOSITORY),
    );
    home.ensure_repository(TENANT, REPOSITORY).await?;
    home.ensure_repository("naru", REPOSITORY).await?;
    let (work, admin_work) = (checkouts.join(TENANT), checkouts.join("naru"));
    let commit = progress
        .step(
            "filling user01/base-project",
            fill(&repo, &login, &work, &examples, None),
        )
        .await?;
    let admin_filling = fill(
        &admin_repo,
        &admin_login,
        &admin_work,
        &examples,
        Some(FILLED_IN),
    );
    progress
        .step(
            "filling naru/base-project, variables filled in",
            admin_filling,
        )
        .await?;
    parts.ensure_namespace(FILLED_IN).await?;

    let connecting = connect(&client, &repo, &login);
    progress
        .step("connecting user01's repository", connecting)
        .await?;
    for (name, path) in APPLICATIONS {
        progress
            .step(
                &format!("creating application {name}"),
                application(&client, name, &repo, path, TENANT),
            )
            .await?;
    }
    Ok(Example {
        password,
        webhook_secret,
        repo,
        login,
        admin_repo,
        admin_login,
        client,
        commit,
        work,
    })
}

/// The tenant's password and webhook secret.
async fn tenant(ground: &mut Ground, operator: &Client) -> Result<(String, String)> {
    let password = ground.secret("user01-admin")?;
    let found = operator
        .get(&format!("/api/naru/v1/tenants/{TENANT}"))
        .await?;
    if found.status == 200 {
        let webhook = ground.known_secret("user01-webhook");
        let webhook = webhook.context("tenant user01 is in the database but its secrets are not in .naru: start over with `cargo xtask down --purge`, or name another database")?;
        return Ok((password, webhook));
    }
    let body = json!({
        "name": TENANT, "hosts": [HOST], "admin_password": password, "settings": {"variables_enabled": true},
    });
    let made = operator
        .post("/api/naru/v1/tenants", &body)
        .await?
        .ok()
        .context("tenant user01 cannot be made")?;
    let webhook = made["webhook_secrets"]["gitlab"]
        .as_str()
        .context("the new tenant has no webhook secret")?;
    ground.remember("user01-webhook", webhook)?;
    Ok((password, webhook.to_owned()))
}

/// Has every provider's webhook proven with the one secret that `.naru/env` names, so that it fits whichever is tried. Bitbucket
/// Cloud is left out: it proves itself with an id of its own.
async fn one_webhook_secret(client: &Client, secret: &str) -> Result<()> {
    let change = |key: &&str| json!({"object": "argocd-secret", "key": key, "value": secret});
    let changes: Vec<_> = WEBHOOK_KEYS.iter().map(change).collect();
    let set = client
        .patch("/api/naru/v1/settings", &json!({"changes": changes}))
        .await?;
    set.ok()
        .context("the webhook secrets of tenant user01 cannot be set")?;
    Ok(())
}

impl Example {
    /// Waits until both applications are what the repository says.
    pub(super) async fn wait(&self, progress: &Progress) -> Result<()> {
        for (name, _) in APPLICATIONS {
            let what = format!("waiting for {name} to be Synced and Healthy");
            let done = progress
                .step(
                    &what,
                    self.client
                        .app_done(name, Some(&self.commit), Duration::from_secs(180)),
                )
                .await;
            if let Err(error) = done {
                bail!("{error:#}; see `cargo xtask status` and the logs in .naru/logs");
            }
        }
        Ok(())
    }

    /// Where things are and what to try next.
    pub(super) fn text(&self, dir: &Path, services: &Services, domain: Option<&str>) -> String {
        // The command keeps no authority in its configuration, and at login asks the system's besides.
        let (before, after, login) = if services.scheme == "https" {
            ("SSL_CERT_FILE=$NARU_CA ", " --server-crt $NARU_CA", "")
        } else {
            ("", "", " --plaintext")
        };
        let short = &self.commit[..self.commit.len().min(7)];
        format!(
            "\nNaru is up: hello-spring and hello-spring-kustomize of user01 are Synced and Healthy at {short}.\n\n\
             user01            {user}   account admin\n\
             operator (naru)   {operator}   account admin\n\
             Git               {repo}   user {git_user}\n\
             logs              {logs}\n\
             passwords and all the rest, for your shell:   . {env}\n{names}{trust}\n\
             What to try next:\n\
             \x20 . {env}\n\
             \x20 alias argocd=\"{before}$(cargo xtask tool argocd){after}\"\n\
             \x20 argocd login $NARU_USER01_SERVER{login} --username admin --password \"$NARU_USER01_PASSWORD\"\n\
             \x20 argocd app get hello-spring\n\
             \x20 cd {work}    # change an image tag in gitops/hello-world-spring/deployment.yaml, then:\n\
             \x20 git commit -am 'a new tag' && git push; argocd app get hello-spring    # at your commit already\n\
             \x20 kubectl delete service -n user01 hello-spring-svc    # and see it come back\n\
             As admin of tenant naru the same samples are in {admin_repo}, with ${{USER_IDENTITY}} filled in as demo.\n\
             cargo xtask status shows what runs; cargo xtask down stops it.",
            names = domain.map_or_else(String::new, |domain| names(domain, services)),
            trust = services
                .authority
                .as_deref()
                .map_or_else(String::new, trust),
            user = services.url(HOST),
            operator = services.url("127.0.0.1"),
            repo = self.repo,
            git_user = self.login.user,
            logs = dir.join("logs").display(),
            env = dir.join("env").display(),
            work = self.work.display(),
            admin_repo = self.admin_repo,
        )
    }
}

/// By which names the same is reached, and what makes them known to this machine.
fn names(domain: &str, services: &Services) -> String {
    let [long, short] = tenant_hosts(TENANT, domain);
    format!(
        "by name          {tenant}   and {short}; operator: argocd.{domain}\n\
         \x20                these two lines in /etc/hosts make the names known:\n\
         \x20                {HOST} {long} {short}\n\
         \x20                127.0.0.1 argocd.{domain} {domain}\n",
        tenant = services.url(&long),
    )
}

/// What makes browsers and commands believe the certificates.
fn trust(authority: &Path) -> String {
    let file = authority.display();
    format!(
        "certificates     signed by {file}, which can sign for nothing but this machine and the domain. To trust it:\n\
         \x20                argocd    --server-crt {file}, with every command; at `argocd login` SSL_CERT_FILE={file} besides\n\
         \x20                curl      --cacert {file}\n\
         \x20                browsers  import it as an authority for web sites, or, for all of Debian and Ubuntu:\n\
         \x20                sudo cp {file} /usr/local/share/ca-certificates/naru.crt && sudo update-ca-certificates\n"
    )
}
