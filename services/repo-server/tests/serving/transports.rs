//! Ways to a repository that lead over others: GitHub Apps and proxies.

use proto::naru::internal::v1::RepositoryAccess;
use testkit::git::github::{App, Github};
use testkit::git::proxy::Proxy;
use tonic::Code;

use super::{World, code};

/// An RSA key: both halves, PEM.
async fn key(world: &World, name: &str) -> (String, String) {
    let file = world.folder.path().join(name);
    let file = file.to_string_lossy().into_owned();
    let openssl = async |args: &[&str]| {
        let mut openssl = testkit::command::command("openssl");
        testkit::command::output(openssl.args(args)).await.unwrap()
    };
    openssl(&["genrsa", "-traditional", "-out", &file, "2048"]).await;
    let public = openssl(&["rsa", "-in", &file, "-pubout"]).await;
    (std::fs::read_to_string(&file).unwrap(), public)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_app_opens_repositories_with_tokens_that_are_kept() {
    let world = World::new().await;
    let head = world.push("a.yaml", "a: 1\n").await;
    let (private, public_key) = key(&world, "app.pem").await;
    let app = |lasts: i64| App {
        id: 17,
        installation: 4711,
        public_key: public_key.clone(),
        token: (world.login.password.clone(), lasts),
    };
    let github = Github::start(app(3_600)).await.unwrap();
    let access = RepositoryAccess {
        username: String::new(),
        password: Vec::new(),
        github_app_id: 17,
        github_app_installation: 4711,
        github_app_url: github.url(),
        github_app_key: private.clone().into_bytes(),
        ..world.access()
    };
    assert_eq!(world.reads(access.clone()).await.unwrap(), head);
    assert_eq!(world.reads(access.clone()).await.unwrap(), head);
    assert_eq!(github.given(), 1, "a token is kept");

    // One that is about to end is not used again.
    let soon = Github::start(app(240)).await.unwrap();
    let short = RepositoryAccess {
        github_app_url: soon.url(),
        ..access.clone()
    };
    world.reads(short.clone()).await.unwrap();
    world.reads(short).await.unwrap();
    assert!(soon.given() > 1, "{}", soon.given());

    // Which app, which installation, which key: each has to be right.
    let (other, _) = key(&world, "other.pem").await;
    for (wrong, said) in [
        (
            RepositoryAccess {
                github_app_id: 18,
                ..access.clone()
            },
            "Integration not found",
        ),
        (
            RepositoryAccess {
                github_app_installation: 1,
                ..access.clone()
            },
            "404",
        ),
        (
            RepositoryAccess {
                github_app_key: other.clone().into_bytes(),
                ..access.clone()
            },
            "could not be decoded",
        ),
    ] {
        let refused = world.reads(wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
        assert_eq!(code(&refused), "source.github-app-refused");
        let details = String::from_utf8_lossy(refused.details()).into_owned();
        assert!(details.contains(said), "{details}");
        assert!(!details.contains("PRIVATE KEY"), "{details}");
    }
    let nonsense = RepositoryAccess {
        github_app_key: b"no key".to_vec(),
        ..access.clone()
    };
    let refused = world.reads(nonsense).await.unwrap_err();
    assert_eq!(code(&refused), "source.github-app-key");
    // The API's address is judged as a repository's is.
    for inside in [
        "http://169.254.169.254/latest",
        "http://[::1]:1/api",
        "file:///etc",
    ] {
        let elsewhere = RepositoryAccess {
            github_app_url: inside.to_owned(),
            ..access.clone()
        };
        let refused = world.reads(elsewhere).await.unwrap_err();
        assert_eq!(
            refused.code(),
            Code::FailedPrecondition,
            "{inside}: {refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_gone_through_unless_the_host_is_left_out() {
    let world = World::new().await;
    let head = world.push("a.yaml", "a: 1\n").await;
    let proxy = Proxy::start("proxy-user:proxy-secret").await.unwrap();
    let through = |login: &str, list: &str, url: &str, scope: &str| RepositoryAccess {
        proxy: format!("http://{login}{}", proxy.address()).into_bytes(),
        no_proxy: list.to_owned(),
        url: url.to_owned(),
        credential_scope: scope.to_owned(),
        ..world.access()
    };
    let right = "proxy-user:proxy-secret@";
    let access = through(right, "elsewhere.example,10.0.0.0/8", &world.git, "plain");
    assert_eq!(world.reads(access).await.unwrap(), head);
    let passed = proxy.passed();
    assert!(passed >= 2, "listed and fetched: {passed}");

    // Over TLS, through a tunnel.
    let over_tls = world.over_tls(None).await;
    let authority = std::fs::read_to_string(world.authority.certificate()).unwrap();
    let tunnelled = RepositoryAccess {
        tls_ca: authority,
        ..through(right, "", &over_tls, "tls")
    };
    assert_eq!(world.reads(tunnelled).await.unwrap(), head);
    assert!(proxy.passed() >= passed + 2, "{}", proxy.passed());

    let passed = proxy.passed();
    let direct = through(right, "127.0.0.0/8", &world.git, "direct");
    assert_eq!(world.reads(direct).await.unwrap(), head);
    assert_eq!(proxy.passed(), passed, "left out");

    let wrong = through("proxy-user:wrong-secret@", "", &world.git, "wrong");
    let refused = world.reads(wrong).await.unwrap_err();
    let details = String::from_utf8_lossy(refused.details()).into_owned();
    assert!(!details.contains("wrong-secret"), "{details}");
    // A proxy is an address that a tenant names, as a repository's is.
    let inside = RepositoryAccess {
        proxy: b"http://169.254.169.254:80".to_vec(),
        ..through("", "", &world.git, "inside")
    };
    let refused = world.reads(inside).await.unwrap_err();
    assert_eq!(code(&refused), "source.address-not-allowed");
    for bad in ["socks5://127.0.0.1:1", "file:///etc", "no address"] {
        let bad = RepositoryAccess {
            proxy: bad.as_bytes().to_vec(),
            ..through("", "", &world.git, "bad")
        };
        assert_eq!(
            code(&world.reads(bad).await.unwrap_err()),
            "source.proxy-unusable"
        );
    }
    let over_ssh = RepositoryAccess {
        url: "ssh://git@127.0.0.1:2222/user01/base.git".to_owned(),
        ..through("", "", "", "ssh")
    };
    let refused = world.reads(over_ssh).await.unwrap_err();
    assert_eq!(code(&refused), "source.proxy-unusable");
}
