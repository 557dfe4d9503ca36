//! Ways into a repository over HTTPS besides a password, as `argocd repo add` asks for them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use tempfile::TempDir;
use testkit::certs::Authority;
use testkit::git::github::{App, Github};
use testkit::git::proxy::Proxy;
use testkit::git::server::{Options, serve};
use testkit::git::{GitHome, Login};
use testkit::platform;

use crate::{PATIENCE, code, said};

/// Repositories behind TLS of an authority of their own.
struct Git {
    folder: TempDir,
    home: GitHome,
    authority: Authority,
    login: Login,
}

impl Git {
    async fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        let authority = Authority::open(&folder.path().join("ca"))?;
        let home = GitHome::open(&folder.path().join("git"))?;
        home.ensure_repository("team", "base").await?;
        let login = home.ensure_login("team")?;
        Ok(Self {
            folder,
            home,
            authority,
            login,
        })
    }

    /// Serves them; to those alone who show a certificate where `client_ca` is given. The address of the repository.
    async fn serve(&self, client_ca: Option<PathBuf>) -> Result<String> {
        let identity = self.authority.server("git", &["127.0.0.1"])?;
        let listen = SocketAddr::from(([127, 0, 0, 1], testkit::ports::free()?));
        let options = Options {
            home: self.home.clone(),
            listen,
            public_url: None,
            tls: Some((identity.cert, identity.key)),
            client_ca,
        };
        #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
        tokio::spawn(async move { drop(serve(options).await) });
        let reachable = || async { Ok(tokio::net::TcpStream::connect(listen).await.is_ok()) };
        testkit::wait::until_true("the Git server", PATIENCE, reachable).await?;
        Ok(format!("https://{listen}/team/base.git"))
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

async fn openssl(args: &[&str]) -> Result<String> {
    let mut openssl = testkit::command::command("openssl");
    testkit::command::output(openssl.args(args)).await
}

#[tokio::test]
async fn the_command_connects_with_an_app_a_certificate_and_a_proxy() -> Result<()> {
    let tenant = platform::tenant("ways").await?;
    let argocd = async |wanted: i32, args: &[&str]| -> Result<String> {
        let output = tenant.client.argocd(args).await?;
        ensure!(code(&output) == wanted, "{args:?}: {}", said(&output));
        Ok(said(&output))
    };
    let git = Git::new().await?;
    let authority = text(&git.authority.certificate());
    argocd(0, &["cert", "add-tls", "127.0.0.1", "--from", &authority]).await?;
    let url = git.serve(None).await?;

    // A GitHub App of an Enterprise server.
    let key = git.file("app.pem");
    openssl(&["genrsa", "-traditional", "-out", &key, "2048"]).await?;
    let github = Github::start(App {
        id: 17,
        installation: 4711,
        public_key: openssl(&["rsa", "-in", &key, "-pubout"]).await?,
        token: (git.login.password.clone(), 3_600),
    })
    .await?;
    let api = github.url();
    let add = |installation: &'static str| {
        [
            "repo",
            "add",
            url.as_str(),
            "--github-app-id",
            "17",
            "--github-app-installation-id",
            installation,
            "--github-app-private-key-path",
            key.as_str(),
            "--github-app-enterprise-base-url",
            api.as_str(),
        ]
    };
    let refused = argocd(20, &add("1")).await?;
    ensure!(refused.contains("GitHub gives no token"), "{refused}");
    let added = argocd(0, &add("4711")).await?;
    ensure!(added.contains("added"), "{added}");
    let listed = argocd(0, &["repo", "list"]).await?;
    ensure!(listed.contains("Successful"), "{listed}");
    ensure!(github.given() >= 1, "no token was asked for");
    argocd(0, &["repo", "rm", &url]).await?;

    // A proxy that wants a login, which nobody is shown.
    let proxy = Proxy::start("proxy-user:proxy-secret").await?;
    let way = format!("http://proxy-user:proxy-secret@{}", proxy.address());
    let login = [
        "--username",
        &git.login.user,
        "--password",
        &git.login.password,
    ];
    let through = ["repo", "add", &url, "--proxy", &way];
    argocd(0, &[&through[..], &login].concat()).await?;
    ensure!(proxy.passed() > 0, "nobody came through the proxy");
    let passed = proxy.passed();
    let direct = ["--no-proxy", "127.0.0.1", "--upsert"];
    argocd(0, &[&through[..], &login, &direct].concat()).await?;
    ensure!(proxy.passed() == passed, "the proxy was asked all the same");
    let shown = argocd(0, &["repo", "get", &url, "-o", "json"]).await?;
    ensure!(!shown.contains("proxy-secret"), "{shown}");

    // A server that wants a certificate.
    let guarded = git.serve(Some(git.authority.certificate())).await?;
    let plain = ["repo", "add", guarded.as_str()];
    argocd(20, &[&plain[..], &login].concat()).await?;
    let identity = git.authority.component("api")?;
    let (cert, key) = (text(&identity.cert), text(&identity.key));
    let shows = [
        "--tls-client-cert-path",
        &cert,
        "--tls-client-cert-key-path",
        &key,
    ];
    argocd(0, &[&plain[..], &login, &shows].concat()).await?;
    Ok(())
}
