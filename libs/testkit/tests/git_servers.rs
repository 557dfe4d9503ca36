//! The Git servers: logins, pushes, what is told of a push, keys.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use testkit::command::{command, output};
use testkit::git::checkout::Checkout;
use testkit::git::server::{self, Options};
use testkit::git::ssh::SshServer;
use testkit::git::{GitHome, Login, PushHook};
use testkit::ground::{self, Ground};
use testkit::progress::Progress;
use testkit::{ports, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

async fn started(home: &GitHome) -> anyhow::Result<String> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()?));
    let options = Options {
        home: home.clone(),
        listen,
        public_url: None,
        tls: None,
        client_ca: None,
    };
    spawn(async move { server::serve(options).await.expect("the server runs") });
    let answers = || async { Ok(tokio::net::TcpStream::connect(listen).await.map(drop)?) };
    wait::until("the server", Duration::from_secs(5), answers).await?;
    Ok(format!("http://{listen}"))
}

#[tokio::test]
async fn a_push_arrives_and_is_reported_and_other_logins_do_not_get_in() {
    let dir = tempfile::tempdir().unwrap();
    let home = GitHome::open(&dir.path().join("repositories")).unwrap();
    let base = started(&home).await.unwrap();
    let (one, two) = (
        home.ensure_login("one").unwrap(),
        home.ensure_login("two").unwrap(),
    );
    home.ensure_repository("one", "base-project").await.unwrap();
    let url = format!("{base}/one/base-project.git");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = PushHook {
        url: format!("http://{}/api/webhook", listener.local_addr().unwrap()),
        token: "told".into(),
    };
    home.set_push_hook("one", Some(&hook)).unwrap();
    let heard = Arc::new(Mutex::new(String::new()));
    let ear = heard.clone();
    spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = Vec::new();
            let mut part = [0; 4096];
            while let Ok(count) = stream.read(&mut part).await {
                text.extend_from_slice(&part[..count]);
                if count == 0 || text.ends_with(b"}") {
                    break;
                }
            }
            ear.lock()
                .unwrap()
                .push_str(&String::from_utf8(text).unwrap());
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await
                .unwrap();
        }
    });

    let checkout = Checkout::clone(&url, Some(&one), &dir.path().join("work"))
        .await
        .unwrap();
    let commit = checkout
        .push_file("gitops/a.yaml", "kind: ConfigMap\n")
        .await
        .unwrap();
    let told = |commit: String| {
        let heard = heard.clone();
        async move { Ok(heard.lock().unwrap().contains(&commit)) }
    };
    wait::until_true("the report", Duration::from_secs(5), || {
        told(commit.clone())
    })
    .await
    .unwrap();
    let text = heard.lock().unwrap().clone();
    for part in [
        "x-gitlab-token: told",
        "x-gitlab-event: Push Hook",
        "\"ref\":\"refs/heads/main\"",
        "\"added\":[\"gitops/a.yaml\"]",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let again = checkout
        .push_file("gitops/a.yaml", "kind: Secret\n")
        .await
        .unwrap();
    wait::until_true("the second report", Duration::from_secs(5), || {
        told(format!("\"before\":\"{commit}\""))
    })
    .await
    .unwrap();
    assert_ne!(again, commit);

    let elsewhere = |name: &str| dir.path().join(name);
    Checkout::clone(&url, Some(&one), &elsewhere("again"))
        .await
        .unwrap();
    for (login, name) in [
        (Some(&two), "two"),
        (
            Some(&Login {
                user: "one".into(),
                password: "no".into(),
            }),
            "wrong",
        ),
        (None, "nobody"),
    ] {
        assert!(
            Checkout::clone(&url, login, &elsewhere(name))
                .await
                .is_err(),
            "{name} gets in"
        );
    }
}

#[tokio::test]
async fn a_key_opens_its_tenants_repositories_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut ground = Ground::open(dir.path(), Progress::terminal()).unwrap();
    let home = GitHome::open(&dir.path().join("repositories")).unwrap();
    for tenant in ["one", "two"] {
        home.ensure_repository(tenant, "base-project")
            .await
            .unwrap();
    }
    let server = SshServer::start(&mut ground, &home).await.unwrap();
    let key = server.key("one").await.unwrap();
    std::fs::write(dir.path().join("known_hosts"), &server.known_hosts).unwrap();
    let list = async |url: String| {
        let ssh = format!(
            "ssh -F none -o IdentitiesOnly=yes -o UserKnownHostsFile={} -i {}",
            dir.path().join("known_hosts").display(),
            key.file.display()
        );
        output(
            command("git")
                .env("GIT_SSH_COMMAND", ssh)
                .args(["ls-remote", &url]),
        )
        .await
    };
    let own = list(server.url("one", "base-project")).await;
    let other = list(server.url("two", "base-project")).await;
    let around = list(server.url("one/../two", "base-project")).await;
    ground::stop_all(&ground.supervisor).await.unwrap();
    own.unwrap();
    assert!(other.is_err() && around.is_err());
}
