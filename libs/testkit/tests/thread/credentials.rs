//! Ways in: credential templates, host keys and certificates, signing keys, and clusters that a tenant adds, by the
//! unmodified `argocd` at a tenant's host.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use testkit::platform::{self, Tenant};

use crate::{PATIENCE, code, examples, said};

/// Runs a command and checks its exit code; what it printed.
async fn run(tenant: &Tenant, expected: i32, args: &[&str]) -> Result<String> {
    let output = tenant.client.argocd(args).await?;
    let said = said(&output);
    let shown = args.join(" ");
    ensure!(
        code(&output) == expected,
        "argocd {shown}: {}\n{said}",
        code(&output)
    );
    Ok(said)
}

/// The address that the tenant's repositories begin with.
fn beginning(tenant: &Tenant) -> &str {
    tenant
        .repo_url
        .rsplit_once('/')
        .map_or(&tenant.repo_url, |(beginning, _)| beginning)
}

fn file(dir: &Path, name: &str, content: &str) -> Result<String> {
    let file = dir.join(name);
    std::fs::write(&file, content)?;
    Ok(file.to_string_lossy().into_owned())
}

#[tokio::test]
async fn a_template_opens_every_repository_below_its_address() -> Result<()> {
    let tenant = platform::tenant("template").await?;
    let other = platform::tenant("template-b").await?;
    tenant.push_guide(&examples()).await?;
    let url = beginning(&tenant);
    let login = &tenant.git_login;
    let refused = run(&tenant, 20, &["repo", "add", &tenant.repo_url]).await?;
    assert!(refused.contains("source.login-needed"), "{refused}");

    let add = [
        "repocreds",
        "add",
        url,
        "--username",
        &login.user,
        "--password",
        &login.password,
    ];
    let added = run(&tenant, 0, &add).await?;
    assert!(
        added.contains(&format!("Repository credentials for '{url}' added")),
        "{added}"
    );
    run(&tenant, 0, &add).await?;
    let wrong = [
        "repocreds",
        "add",
        url,
        "--username",
        &login.user,
        "--password",
        "wrong",
    ];
    let refused = run(&tenant, 20, &wrong).await?;
    assert!(
        refused.contains(
            "existing repository credentials spec is different; use upsert flag to force update"
        ) && refused.contains("Password")
            && !refused.contains(&login.password),
        "{refused}"
    );
    let listed = run(&tenant, 0, &["repocreds", "list"]).await?;
    assert!(
        listed.contains(url) && listed.contains(&login.user),
        "{listed}"
    );
    let json = run(&tenant, 0, &["repocreds", "list", "-o", "json"]).await?;
    assert!(!json.contains(&login.password), "{json}");

    // The api tries it with the template's login, and the controller deploys with it.
    run(&tenant, 0, &["repo", "add", &tenant.repo_url]).await?;
    let repo = run(&tenant, 0, &["repo", "get", &tenant.repo_url, "-o", "json"]).await?;
    assert!(
        repo.contains("\"inheritedCreds\": true") && repo.contains("Successful"),
        "{repo}"
    );
    tenant
        .create_app("hello", "gitops/hello-world-flask", &platform::automated())
        .await?;
    tenant.client.app_done("hello", None, PATIENCE).await?;

    // Another tenant's requests know nothing of it.
    let stranger = run(&other, 20, &["repo", "add", &tenant.repo_url]).await?;
    assert!(stranger.contains("source.login-needed"), "{stranger}");
    assert!(!run(&other, 0, &["repocreds", "list"]).await?.contains(url));

    let mut upsert = wrong.to_vec();
    upsert.push("--upsert");
    run(&tenant, 0, &upsert).await?;
    let repo = run(
        &tenant,
        0,
        &["repo", "get", &tenant.repo_url, "--refresh", "hard"],
    )
    .await?;
    assert!(repo.contains("Failed"), "{repo}");
    run(&tenant, 0, &["repocreds", "rm", url]).await?;
    let gone = run(&tenant, 20, &["repocreds", "rm", url]).await?;
    assert!(gone.contains("not found"), "{gone}");
    Ok(())
}

#[tokio::test]
async fn a_repositorys_fields_are_kept_and_its_secrets_never_come_back() -> Result<()> {
    let tenant = platform::tenant("repo-fields").await?;
    let body = json!({
        "repo": "https://git.example/fields.git", "project": "default", "type": "git", "name": "fields",
        "username": "me", "password": "canary-password", "bearerToken": "canary-token",
        "sshPrivateKey": "canary-ssh", "tlsClientCertKey": "canary-key", "githubAppPrivateKey": "canary-app",
        "gcpServiceAccountKey": "canary-gcp", "githubAppID": 7, "githubAppInstallationID": 8,
        "proxy": "http://me:canary-proxy@proxy.example:3128", "noProxy": "localhost", "insecure": true,
        "enableLfs": true, "enableOCI": true, "forceHttpBasicAuth": true,
    });
    let made = tenant
        .client
        .post("/api/v1/repositories", &body)
        .await?
        .ok()?;
    assert_eq!(made["repo"], body["repo"]);
    let path = format!(
        "/api/v1/repositories/{}?appProject=default",
        "https%3A%2F%2Fgit.example%2Ffields.git"
    );
    let shown = tenant.client.get(&path).await?.ok()?;
    for (field, value) in [
        ("username", json!("me")),
        ("githubAppID", json!(7)),
        ("githubAppInstallationID", json!(8)),
        ("proxy", json!("http://proxy.example:3128")),
        ("noProxy", json!("localhost")),
        ("insecure", json!(true)),
        ("enableLfs", json!(true)),
        ("enableOCI", json!(true)),
        ("forceHttpBasicAuth", json!(true)),
        ("project", json!("default")),
    ] {
        assert_eq!(shown[field], value, "{field}: {shown}");
    }
    // Nobody is at the proxy's address.
    assert_eq!(shown["connectionState"]["status"], "Failed");
    let list = tenant
        .client
        .get("/api/v1/repositories")
        .await?
        .ok()?
        .to_string();
    assert!(
        !shown.to_string().contains("canary") && !list.contains("canary"),
        "{shown} {list}"
    );
    let again = tenant.client.post("/api/v1/repositories", &body).await?;
    assert_eq!(again.status, 200, "the same again changes nothing");
    let mut other = body.clone();
    other["password"] = json!("canary-other");
    let refused = tenant.client.post("/api/v1/repositories", &other).await?;
    assert_eq!(refused.status, 400);
    let text = refused.body.to_string();
    assert!(
        text.contains("Password") && !text.contains("canary"),
        "{text}"
    );
    let update = tenant
        .client
        .put(
            "/api/v1/repositories/https%3A%2F%2Fgit.example%2Ffields.git",
            &other,
        )
        .await?;
    assert_eq!(update.status, 200, "{}", update.body);
    tenant.client.delete(&path).await?.ok()?;
    assert_eq!(tenant.client.get(&path).await?.status, 403);
    Ok(())
}

/// What a tenant pushes with is apart from what it reads with, and from every other tenant's.
#[tokio::test]
async fn repositories_to_push_to_are_a_world_of_their_own() -> Result<()> {
    let (tenant, other) = (
        platform::tenant("push-to").await?,
        platform::tenant("push-to-b").await?,
    );
    tenant.push_guide(&examples()).await?;
    let url = tenant.repo_url.clone();
    let escaped = url.replace(':', "%3A").replace('/', "%2F");
    let all = "/api/v1/write-repositories";
    let one = format!("{all}/{escaped}");
    let body = |password: &str| json!({"repo": url, "username": tenant.git_login.user, "password": password});
    let (right, wrong) = (body(&tenant.git_login.password), body("canary-wrong"));

    let nobody = json!({"repo": url});
    let refused = tenant.client.post(all, &nobody).await?;
    assert!(
        refused.status == 400 && refused.body.to_string().contains("missing credentials"),
        "{refused:?}"
    );
    let refused = tenant.client.post(all, &wrong).await?;
    let text = refused.body.to_string();
    assert!(
        refused.status >= 400 && !text.contains("canary") && text.contains("source.login-refused"),
        "{text}"
    );
    // Its body is the address alone; the login is in the query, as Argo CD's gateway has it.
    let validate = |login: &str| {
        let (client, url) = (tenant.client.clone(), url.clone());
        let path = format!("{all}/{escaped}/validate?type=git{login}");
        async move { client.post(&path, &json!(url)).await }
    };
    let login = |password: &str| format!("&username={}&password={password}", tenant.git_login.user);
    let validated = validate(&login(&tenant.git_login.password)).await?;
    assert_eq!(validated.status, 200, "{validated:?}");
    assert!(validate(&login("canary-wrong")).await?.status >= 400);

    let secretless = |what: &str, said: &Value| {
        let text = said.to_string();
        assert!(!text.contains(&tenant.git_login.password), "{what}: {text}");
    };
    let made = tenant.client.post(all, &right).await?.ok()?;
    secretless("made", &made);
    let again = tenant.client.post(all, &right).await?.ok()?;
    secretless("made again", &again);
    let shown = tenant.client.get(&one).await?.ok()?;
    assert_eq!(shown["connectionState"]["status"], "Successful", "{shown}");
    secretless("shown", &shown);
    secretless("listed", &tenant.client.get(all).await?.ok()?);
    // It opens nothing that is read, and another tenant has none of it.
    let list = tenant.client.get("/api/v1/repositories").await?.ok()?;
    assert!(list["items"].is_null(), "{list}");
    let app = tenant
        .create_app("app", "gitops/hello-world-express", &json!({}))
        .await;
    assert!(app.is_err(), "{app:?}");
    let theirs = other.client.get(all).await?.ok()?;
    assert!(theirs["items"].is_null(), "{theirs}");
    let (missing, foreign) = (
        tenant.client.get(&format!("{all}/gone")).await?,
        other.client.get(&one).await?,
    );
    assert_eq!(
        (missing.status, &missing.body),
        (foreign.status, &foreign.body),
        "missing and another's are one answer"
    );

    let mut changed = right.clone();
    changed["insecure"] = json!(true);
    let refused = tenant.client.post(all, &changed).await?;
    assert!(
        refused.status == 400 && refused.body.to_string().contains("write repository spec"),
        "{refused:?}"
    );
    let refusal = refused.body;
    secretless("refused", &refusal);
    let updated = tenant.client.put(&one, &changed).await?.ok()?;
    secretless("changed", &updated);
    assert_eq!(tenant.client.get(&one).await?.ok()?["insecure"], true);
    tenant.client.delete(&one).await?.ok()?;
    let gone = tenant.client.get(&one).await?;
    assert_eq!((gone.status, &gone.body), (missing.status, &missing.body));

    // A template for reading opens what is read and nothing that is pushed to; one for pushing does.
    let template = json!({"url": beginning(&tenant), "username": tenant.git_login.user,
        "password": tenant.git_login.password});
    let closed = async |when: &str| -> Result<()> {
        let refused = validate("").await?;
        let text = refused.body.to_string();
        ensure!(
            refused.status >= 400 && text.contains("source.login-needed"),
            "{when}: {text}"
        );
        Ok(())
    };
    closed("before there is any template").await?;
    let (reading, pushing) = ("/api/v1/repocreds", "/api/v1/write-repocreds");
    let made = tenant.client.post(reading, &template).await?.ok()?;
    secretless("a template for reading", &made);
    let bare = json!({"repo": url});
    tenant
        .client
        .post("/api/v1/repositories", &bare)
        .await?
        .ok()?;
    closed("with a template for reading alone").await?;
    let made = tenant.client.post(pushing, &template).await?.ok()?;
    secretless("a template for pushing", &made);
    let place = format!(
        "{pushing}/{}",
        beginning(&tenant).replace(':', "%3A").replace('/', "%2F")
    );
    let updated = tenant.client.put(&place, &template).await?.ok()?;
    secretless("a changed template", &updated);
    secretless("the templates", &tenant.client.get(pushing).await?.ok()?);
    let open = validate("").await?;
    assert_eq!(open.status, 200, "{open:?}");
    Ok(())
}

#[tokio::test]
async fn a_host_is_spoken_to_over_ssh_once_its_key_is_trusted() -> Result<()> {
    let platform = platform::platform().await?;
    let tenant = platform::tenant("host-key").await?;
    let other = platform::tenant("host-key-b").await?;
    tenant.push_guide(&examples()).await?;
    let ssh = platform.ssh()?;
    let url = ssh.url(&tenant.name, "base-project");
    let key = ssh.key(&tenant.name).await?;
    let key_file = key.file.to_string_lossy();
    let add = ["repo", "add", &url, "--ssh-private-key-path", &key_file];
    let refused = run(&tenant, 20, &add).await?;
    assert!(refused.contains("source.host-key-unknown"), "{refused}");
    let usual = run(&tenant, 0, &["cert", "list", "--cert-type", "ssh"]).await?;
    assert!(
        usual.contains("SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"),
        "GitHub's key is known from the start: {usual}"
    );

    let dir = tempfile::tempdir()?;
    let hosts = file(dir.path(), "known_hosts", &ssh.known_hosts)?;
    let trust = run(
        &tenant,
        0,
        &["cert", "add-ssh", "--batch", "--from", &hosts],
    )
    .await?;
    assert!(
        trust.contains("Successfully created 1 SSH known host entries"),
        "{trust}"
    );
    run(
        &tenant,
        0,
        &["cert", "add-ssh", "--batch", "--from", &hosts],
    )
    .await?;
    run(&tenant, 0, &add).await?;
    let repo = run(&tenant, 0, &["repo", "get", &url, "--refresh", "hard"]).await?;
    assert!(repo.contains("Successful"), "{repo}");
    let app = json!({
        "metadata": {"name": "over-ssh"},
        "spec": {
            "project": "default",
            "source": {"repoURL": url, "path": "gitops/hello-world-flask"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": tenant.name},
            "syncPolicy": platform::automated(),
        },
    });
    tenant
        .client
        .post("/api/v1/applications", &app)
        .await?
        .ok()?;
    tenant.client.app_done("over-ssh", None, PATIENCE).await?;

    let theirs = run(
        &other,
        0,
        &["cert", "list", "--hostname-pattern", "*127.0.0.1*"],
    )
    .await?;
    assert!(!theirs.contains("127.0.0.1"), "{theirs}");
    let (host, _) = ssh.known_hosts.split_once(' ').context("a host")?;
    // Its brackets are a set in a pattern.
    let pattern = host.replace(['[', ']'], "?");
    let removed = run(&tenant, 0, &["cert", "rm", &pattern, "--cert-type", "ssh"]).await?;
    assert!(removed.contains("Removed cert for"), "{removed}");
    let repo = run(&tenant, 0, &["repo", "get", &url, "--refresh", "hard"]).await?;
    assert!(repo.contains("Failed"), "{repo}");
    Ok(())
}

#[tokio::test]
async fn certificates_are_trusted_per_host() -> Result<()> {
    let tenant = platform::tenant("tls-cert").await?;
    let dir = tempfile::tempdir()?;
    let pem = std::fs::read_to_string(platform::platform().await?.dir().join("certs/ca.pem"))?;
    let from = file(dir.path(), "ca.pem", &pem)?;
    let add = ["cert", "add-tls", "git.example", "--from", &from];
    let added = run(&tenant, 0, &add).await?;
    assert!(
        added.contains("Created entry with 1 PEM certificates"),
        "{added}"
    );
    run(&tenant, 0, &add).await?;
    let listed = run(&tenant, 0, &["cert", "list", "--cert-type", "https"]).await?;
    assert!(
        listed.contains("git.example")
            && listed.contains("ecdsa")
            && listed.contains("CN=Naru development"),
        "{listed}"
    );
    let two = file(dir.path(), "two.pem", &format!("{pem}{pem}"))?;
    let refused = run(
        &tenant,
        20,
        &["cert", "add-tls", "git.example", "--from", &two],
    )
    .await?;
    assert!(
        refused.contains("already exists, and upsert was not specified"),
        "{refused}"
    );
    run(
        &tenant,
        0,
        &["cert", "add-tls", "git.example", "--from", &two, "--upsert"],
    )
    .await?;
    run(
        &tenant,
        0,
        &["cert", "rm", "git.example", "--cert-type", "https"],
    )
    .await?;
    let listed = run(&tenant, 0, &["cert", "list", "--cert-type", "https"]).await?;
    assert!(!listed.contains("git.example"), "{listed}");
    Ok(())
}

#[tokio::test]
async fn signing_keys_are_kept_once_and_shown() -> Result<()> {
    let tenant = platform::tenant("gpg").await?;
    let keys = testkit::paths::clone_root()?.join("libs/domain/src/openpgp/tests");
    let one = keys.join("ada.asc").to_string_lossy().into_owned();
    let three = keys.join("three.asc").to_string_lossy().into_owned();
    let added = run(&tenant, 0, &["gpg", "add", "--from", &one]).await?;
    assert!(
        added.contains("Created 1 key(s) from input file"),
        "{added}"
    );
    let added = run(&tenant, 0, &["gpg", "add", "--from", &three]).await?;
    assert!(
        added.contains("Created 2 key(s)") && added.contains("1 key(s) were skipped"),
        "{added}"
    );
    let listed = run(&tenant, 0, &["gpg", "list"]).await?;
    for sub_type in ["ED25519", "RSA2048", "NISTP256"] {
        assert!(listed.contains(sub_type), "{listed}");
    }
    let list = tenant.client.get("/api/v1/gpgkeys").await?.ok()?;
    let id = list["items"][0]["keyID"]
        .as_str()
        .context("a key")?
        .to_owned();
    let one = tenant.client.get(&format!("/api/v1/gpgkeys/{id}")).await?;
    let data = one.ok()?["keyData"].clone();
    assert!(
        data.as_str()
            .is_some_and(|data| data.ends_with("BLOCK-----")),
        "no line ends the key: {data}"
    );
    let shown = run(&tenant, 0, &["gpg", "get", &id]).await?;
    assert!(
        shown.contains(&id) && shown.contains("Key fingerprint"),
        "{shown}"
    );
    run(&tenant, 0, &["gpg", "rm", &id]).await?;
    let gone = run(&tenant, 20, &["gpg", "get", &id]).await?;
    assert!(gone.contains(&format!("no such key: {id}")), "{gone}");
    let refused = tenant
        .client
        .post("/api/v1/gpgkeys", &json!({"keyData": "no key"}))
        .await?;
    assert_eq!(refused.status, 400, "{}", refused.body);
    Ok(())
}

#[tokio::test]
async fn a_cluster_is_added_rotated_and_removed() -> Result<()> {
    let platform = platform::platform().await?;
    let tenant = platform::tenant("added").await?;
    let other = platform::tenant("added-b").await?;
    let kubeconfig = platform
        .control_plane()
        .kubeconfig
        .to_string_lossy()
        .into_owned();
    let mut contexts = testkit::command::command("kubectl");
    contexts.args(["config", "current-context", "--kubeconfig", &kubeconfig]);
    let context = testkit::command::output(&mut contexts)
        .await?
        .trim()
        .to_owned();
    let server = platform.kube()?.server().to_owned();
    let add = [
        "cluster",
        "add",
        &context,
        "--kubeconfig",
        &kubeconfig,
        "--name",
        "far",
        "--label",
        "a=b",
        "-y",
    ];
    let added = run(&tenant, 0, &add).await?;
    assert!(
        added.contains(&format!("Cluster '{server}' added")),
        "{added}"
    );
    let listed = run(&tenant, 0, &["cluster", "list"]).await?;
    assert!(
        listed.contains("far")
            && listed.contains("in-cluster")
            && listed.matches("Successful").count() == 2,
        "{listed}"
    );
    let shown = run(&tenant, 0, &["cluster", "get", "far", "-o", "json"]).await?;
    let shown: Value = serde_json::from_str(&shown).with_context(|| shown.clone())?;
    assert_eq!(shown["labels"]["a"], "b");
    assert_eq!(shown["config"]["bearerToken"], Value::Null);
    assert!(
        shown["serverVersion"]
            .as_str()
            .unwrap_or_default()
            .starts_with("1."),
        "{shown}"
    );
    assert!(!run(&other, 0, &["cluster", "list"]).await?.contains("far"));
    assert!(
        run(&other, 20, &["cluster", "get", "far"])
            .await?
            .contains("permission denied")
    );

    run(
        &tenant,
        0,
        &[
            "cluster",
            "set",
            "far",
            "--name",
            "near",
            "--namespace",
            "x",
        ],
    )
    .await?;
    let shown = run(&tenant, 0, &["cluster", "get", "near", "-o", "json"]).await?;
    assert!(shown.contains("\"x\""), "{shown}");
    let rotated = run(&tenant, 0, &["cluster", "rotate-auth", "near"]).await?;
    assert!(rotated.contains("rotated auth"), "{rotated}");
    let path = format!(
        "/api/v1/clusters/{}/invalidate-cache",
        server.replace(':', "%3A").replace('/', "%2F")
    );
    let fresh = tenant.client.post(&path, &json!({})).await?.ok()?;
    assert_eq!(
        fresh["connectionState"]["status"], "Successful",
        "with the new token: {fresh}"
    );

    let shared = run(&tenant, 20, &["cluster", "rm", "in-cluster", "-y"]).await?;
    assert!(shared.contains("not found"), "{shared}");
    // Once it is removed here, the command would clean up in the cluster itself, through a context of the same name.
    let removed = run(&tenant, 20, &["cluster", "rm", "near", "-y"]).await?;
    assert!(
        removed.contains("Cluster 'near' removed")
            && removed.contains("context near does not exist in kubeconfig"),
        "{removed}"
    );
    assert!(
        !run(&tenant, 0, &["cluster", "list"])
            .await?
            .contains("near")
    );
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_would_run_something_or_does_not_answer_is_refused() -> Result<()> {
    let tenant = platform::tenant("refused").await?;
    let add = |config: Value| {
        let client = tenant.client.clone();
        async move {
            let body = json!({"server": "https://127.0.0.1:1", "name": "x", "config": config});
            client.post("/api/v1/clusters", &body).await
        }
    };
    let exec = add(json!({"execProviderConfig": {"command": "/bin/sh"}})).await?;
    assert_eq!(exec.status, 400);
    assert!(
        exec.body.to_string().contains("execProviderConfig"),
        "{}",
        exec.body
    );
    let aws = add(json!({"awsAuthConfig": {"clusterName": "x"}})).await?;
    assert_eq!(aws.status, 400, "{}", aws.body);
    let dead = add(json!({"bearerToken": "canary-token"})).await?;
    assert_eq!(dead.status, 500, "{}", dead.body);
    let text = dead.body.to_string();
    assert!(
        text.contains("error getting server version") && !text.contains("canary"),
        "{text}"
    );
    let list = tenant.client.get("/api/v1/clusters").await?.ok()?;
    assert_eq!(
        list["items"].as_array().map(Vec::len),
        Some(1),
        "nothing was stored: {list}"
    );
    Ok(())
}

/// Whoever is behind an address may take its time; a tenant has only so many such questions at once, and no other waits.
#[tokio::test]
async fn clusters_that_do_not_answer_are_tried_only_so_many_at_once() -> Result<()> {
    let (tenant, other) = (
        platform::tenant("silent").await?,
        platform::tenant("silent-b").await?,
    );
    // It takes every connection and never says a word.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let server = format!("https://{}", listener.local_addr()?);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let silent = async {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await?);
            tell.send(())?;
        }
    };
    let add = |tenant: &Tenant| {
        let (client, server) = (tenant.client.clone(), server.clone());
        async move {
            let body =
                json!({"server": server, "name": "x", "config": {"bearerToken": "canary-token"}});
            client.post("/api/v1/clusters", &body).await
        }
    };
    let asked = async {
        let waiting = try_join_all((0..4).map(|_| add(&tenant)));
        let more = async {
            for _ in 0..4 {
                told.recv().await.context("a connection")?;
            }
            let refused = add(&tenant).await?;
            let text = refused.body.to_string();
            ensure!(
                refused.status == 429 && text.contains("4 clusters") && !text.contains("canary"),
                "{text}"
            );
            // Another tenant is asked for all the same.
            let theirs = add(&other).await?;
            ensure!(theirs.status == 500, "{}", theirs.body);
            Ok(())
        };
        let (waited, ()) = futures::future::try_join(waiting, more).await?;
        for answer in waited {
            ensure!(answer.status == 500, "{}", answer.body);
        }
        // Those that have failed are in nobody's way.
        let again = add(&tenant).await?;
        ensure!(again.status == 500, "{}", again.body);
        Ok(())
    };
    tokio::select! {
        never = silent => never,
        outcome = asked => outcome,
    }
}

/// S21: maps of credentials under stress; nobody sees another's, and no write is lost.
#[tokio::test(flavor = "multi_thread")]
async fn s21_concurrent_credentials_never_mix() -> Result<()> {
    let tenants = [
        platform::tenant("stress-a").await?,
        platform::tenant("stress-b").await?,
    ];
    let mut work = Vec::new();
    for tenant in &tenants {
        for n in 0..8 {
            let (client, name) = (tenant.client.clone(), tenant.name.clone());
            work.push(async move {
                let url = format!("https://git.example/team-{n}");
                let body = json!({"url": url, "username": format!("{name}-{n}"), "password": format!("canary-{name}-{n}")});
                let key = json!({"items": [{
                    "serverName": format!("host{n}.example"), "certType": "ssh", "certSubType": "ssh-ed25519",
                    "certData": "QUFBQUMzTnphQzFsWkRJMU5URTVBQUFBSU9NcXFua1Z6cm0wU2RHNlVPb3FLTHNhYmdINUM5b2tXaTBkaDJsOUdLSmw=",
                }]});
                for _ in 0..4 {
                    client.post("/api/v1/repocreds?upsert=true", &body).await?.ok()?;
                    client.post("/api/v1/certificates?upsert=true", &key).await?.ok()?;
                    let list = client.get("/api/v1/repocreds").await?.ok()?;
                    let all = list["items"].as_array().cloned().unwrap_or_default();
                    let own = all.iter().all(|one| {
                        one["username"].as_str().is_some_and(|user| user.starts_with(&name))
                    });
                    ensure!(own && !list.to_string().contains("canary"), "{list}");
                    let mine = all.iter().find(|one| one["url"] == url.as_str());
                    ensure!(mine.is_some_and(|one| one["username"] == format!("{name}-{n}")), "{list}");
                }
                Ok(())
            });
        }
    }
    try_join_all(work).await?;
    for tenant in &tenants {
        let list = tenant.client.get("/api/v1/repocreds").await?.ok()?;
        assert_eq!(list["items"].as_array().map(Vec::len), Some(8), "{list}");
        let keys = tenant
            .client
            .get("/api/v1/certificates?hostNamePattern=host*.example&certType=ssh")
            .await?
            .ok()?;
        assert_eq!(keys["items"].as_array().map(Vec::len), Some(8), "{keys}");
    }
    Ok(())
}
