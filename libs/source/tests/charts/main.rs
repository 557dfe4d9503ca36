//! Real chart repositories and a real registry: from an index or a tag to the files of a chart, and what hostile ones get.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod artifacts;
mod registries;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use domain::egress::Egress;
use domain::repository::Credentials;
use domain::secret::Secret;
use sandbox::Sandbox;
use serde_json::json;
use source::charts::Charts;
use source::git::{Access, Limits, Login, Mirrors, Place, Rules};
use source::render::{RenderInput, Renderer, WorkerLimits, WorkerPool};
use source::{Error, Kind};
use tempfile::TempDir;
use testkit::charts::{Registry, Reply, Site, login, package};

struct World {
    folder: TempDir,
    charts: Charts,
    /// What fetches for an application; it has no program, for nothing is rendered here.
    renderer: Renderer,
}

impl World {
    fn new() -> Self {
        Self::with(Limits::default(), &["127.0.0.0/8"])
    }

    fn with(limits: Limits, allow: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let egress = Egress {
            allow: allow
                .iter()
                .map(|network| network.parse().unwrap())
                .collect(),
            ..Egress::default()
        };
        let sandbox = Sandbox::new(None);
        let data = folder.path().join("data");
        let mirrors = Mirrors::new(data, limits, egress, sandbox.clone(), None).unwrap();
        let pool = WorkerPool::new(sandbox, PathBuf::new(), WorkerLimits::default());
        Self {
            charts: Charts::new(&mirrors),
            renderer: Renderer::new(mirrors, pool),
            folder,
        }
    }

    fn work(&self) -> std::path::PathBuf {
        let work = self.folder.path().join("work");
        std::fs::create_dir_all(&work).unwrap();
        work
    }
}

fn signed_in() -> Login {
    let login = login();
    Login {
        credentials: Credentials {
            username: login.user,
            password: Some(Secret::from(login.password)),
            ..Credentials::default()
        },
        ..Login::default()
    }
}

fn access(url: &str, login: Login, registry: bool) -> Access {
    let place = Place::Charts {
        registry,
        without_tls: registry && login.tls_ca.is_empty(),
    };
    Access::at("t", "", url, login, Rules::default(), place).unwrap()
}

async fn file(charts: &Charts, access: &Access, version: &str, path: &'static str) -> String {
    let snapshot = charts.ensure(access, "web", version, false).await.unwrap();
    let read = snapshot.read(move |files| match files.find(path)?.node {
        source::git::Node::File(blob) => files.blob(&blob, 1 << 20),
        other => panic!("{other:?}"),
    });
    String::from_utf8(read.await.unwrap()).unwrap()
}

fn code(error: &Error) -> &str {
    &error.cause().message.code
}

#[tokio::test]
async fn a_chart_repository_behind_a_login_offers_its_versions_and_their_files() {
    let world = World::new();
    let work = world.work();
    let site = Site::start(Some(login())).await.unwrap();
    for version in ["1.0.0", "1.1.0", "2.0.0-rc.1"] {
        package(&work, "web", version, version).await.unwrap();
    }
    site.publish(&work).await.unwrap();

    let stranger = access(&site.url, Login::default(), false);
    let refused = world.charts.test(&stranger).await.unwrap_err();
    assert_eq!(
        (refused.kind(), code(&refused)),
        (Kind::Denied, "chart.login-needed")
    );

    let access = access(&site.url, signed_in(), false);
    world.charts.test(&access).await.unwrap();
    let offered = world.charts.charts(&access).await.unwrap();
    assert_eq!(offered["web"], ["2.0.0-rc.1", "1.1.0", "1.0.0"]);
    let resolve = |revision: &'static str, fresh| {
        let (charts, access) = (world.charts.clone(), access.clone());
        async move { charts.resolve(&access, "web", revision, fresh).await }
    };
    assert_eq!(resolve("1.x", false).await.unwrap(), "1.1.0");
    assert_eq!(resolve(">=2.0.0-0", false).await.unwrap(), "2.0.0-rc.1");
    assert_eq!(
        code(&resolve("3.x", false).await.unwrap_err()),
        "chart.version-not-found"
    );
    assert_eq!(
        code(&resolve("latest", false).await.unwrap_err()),
        "chart.version-not-found"
    );
    assert_eq!(
        file(&world.charts, &access, "1.0.0", "values.yaml").await,
        "text: 1.0.0\n"
    );
    assert!(
        file(&world.charts, &access, "1.1.0", "templates/map.yaml")
            .await
            .contains("ConfigMap")
    );

    // What is kept is asked for no more; a listing that did not change is not sent again.
    drop(site.asked());
    file(&world.charts, &access, "1.0.0", "values.yaml").await;
    assert_eq!(site.asked(), []);
    resolve("1.x", true).await.unwrap();
    let statuses: Vec<u16> = site.asked().iter().map(|asked| asked.status).collect();
    assert_eq!(statuses, [304]);

    // A new version is there as soon as somebody asks anew, or wants just it.
    package(&work, "web", "1.2.0", "new").await.unwrap();
    site.publish(&work).await.unwrap();
    assert_eq!(
        file(&world.charts, &access, "1.2.0", "values.yaml").await,
        "text: new\n"
    );
    assert_eq!(resolve("1.x", true).await.unwrap(), "1.2.0");

    // Published anew under the same version, it is another chart for whoever goes around what is kept.
    package(&work, "web", "1.2.0", "newer").await.unwrap();
    site.publish(&work).await.unwrap();
    assert_eq!(
        file(&world.charts, &access, "1.2.0", "values.yaml").await,
        "text: new\n"
    );
    world
        .charts
        .ensure(&access, "web", "1.2.0", true)
        .await
        .unwrap();
    assert_eq!(
        file(&world.charts, &access, "1.2.0", "values.yaml").await,
        "text: newer\n"
    );

    let missing = world
        .charts
        .ensure(&access, "web", "9.9.9", false)
        .await
        .unwrap_err();
    assert_eq!(code(&missing), "chart.version-not-found");
    let missing = world
        .charts
        .versions(&access, "db", false)
        .await
        .unwrap_err();
    assert_eq!(
        (missing.kind(), code(&missing)),
        (Kind::NotFound, "chart.not-found")
    );
    assert!(world.charts.forget_tenant("t").await.unwrap() == 0);
}

#[tokio::test]
async fn a_registry_behind_a_login_offers_its_tags_and_their_files() {
    let world = World::new();
    let work = world.work();
    let registry = Registry::start().await.unwrap();
    for version in ["1.0.0", "1.1.0+build.7"] {
        let archive = package(&work, "web", version, version).await.unwrap();
        registry.push(&archive, "team/charts").await.unwrap();
    }
    let url = format!("{}/team/charts", registry.address);
    let tls_ca = std::fs::read_to_string(&registry.ca).unwrap();
    let trusting = |login: Login| Login {
        tls_ca: tls_ca.clone(),
        ..login
    };
    let place = Place::Charts {
        registry: true,
        without_tls: false,
    };
    let unknown = Access::at("t", "", &url, signed_in(), Rules::default(), place).unwrap();
    let refused = world.charts.test(&unknown).await.unwrap_err();
    assert_eq!(code(&refused), "source.certificate-refused");
    let refused = world
        .charts
        .test(&access(&url, trusting(Login::default()), true))
        .await
        .unwrap_err();
    assert_eq!(code(&refused), "chart.login-needed");
    let wrong = Login {
        credentials: Credentials {
            username: "charts".into(),
            password: Some(Secret::from("hunter2")),
            ..Credentials::default()
        },
        ..Login::default()
    };
    let refused = world
        .charts
        .test(&access(&url, trusting(wrong), true))
        .await
        .unwrap_err();
    assert_eq!(code(&refused), "chart.login-refused");

    let access = access(&url, trusting(signed_in()), true);
    world.charts.test(&access).await.unwrap();
    let mut versions = world.charts.versions(&access, "web", false).await.unwrap();
    versions.sort();
    assert_eq!(versions, ["1.0.0", "1.1.0+build.7"]);
    assert_eq!(
        world
            .charts
            .resolve(&access, "web", "^1", true)
            .await
            .unwrap(),
        "1.1.0+build.7"
    );
    for (version, text) in [("1.0.0", "1.0.0"), ("1.1.0+build.7", "1.1.0+build.7")] {
        let values = file(&world.charts, &access, version, "values.yaml").await;
        assert_eq!(values, format!("text: {text}\n"));
    }
    let pulled = world
        .charts
        .pull(&access, "web", "~1.1.0", false)
        .await
        .unwrap();
    assert_eq!(
        (pulled.version.as_str(), pulled.digest.len()),
        ("1.1.0+build.7", 64)
    );
    for (chart, version, said) in [
        ("db", "1.x", "chart.not-found"),
        ("web", "2.0.0", "chart.version-not-found"),
        ("../web", "1.0.0", "chart.name-refused"),
        ("web?x", "1.0.0", "chart.name-refused"),
    ] {
        let outcome = match version {
            "1.x" => world
                .charts
                .resolve(&access, chart, version, true)
                .await
                .map(drop),
            version => world
                .charts
                .ensure(&access, chart, version, false)
                .await
                .map(drop),
        };
        assert_eq!(code(&outcome.unwrap_err()), said, "{chart} {version}");
    }
}

#[tokio::test]
async fn a_registry_that_gives_tokens_is_asked_for_one_with_the_login() {
    let world = World::new();
    let (site, tokens) = (
        Site::start(None).await.unwrap(),
        Site::start(Some(login())).await.unwrap(),
    );
    site.put(
        "/v2/team/web/tags/list",
        Reply::Guarded {
            challenge: format!(
                r#"Bearer realm="{}/token",service="s",scope="repository:team/web:pull""#,
                tokens.url
            ),
            authorization: "Bearer t-1".into(),
            file: br#"{"name": "team/web", "tags": ["1.0.0", "1.1.0_b"]}"#.to_vec(),
        },
    );
    tokens.put("/token", Reply::File(br#"{"token": "t-1"}"#.to_vec()));
    let url = format!("{}/team", site.url.trim_start_matches("http://"));
    let access = access(&url, signed_in(), true);
    let versions = world.charts.versions(&access, "web", true).await.unwrap();
    assert_eq!(versions, ["1.0.0", "1.1.0+b"]);
    let asked = &tokens.asked()[0];
    assert_eq!(
        asked.path,
        "/token?service=s&scope=repository%3Ateam%2Fweb%3Apull"
    );
    assert!(asked.authorization.as_ref().unwrap().starts_with("Basic "));
    assert!(
        site.asked()
            .iter()
            .all(|asked| asked.authorization.as_deref() != Some("Basic "))
    );
}

#[tokio::test]
async fn a_registrys_login_is_for_nobody_whom_it_leads_to() {
    let world = World::new();
    let (home, storage, thief) = (
        Site::start(None).await.unwrap(),
        Site::start(None).await.unwrap(),
        Site::start(None).await.unwrap(),
    );
    let list = "/v2/team/web/tags/list";
    home.put(list, Reply::Redirect(format!("{}{list}", storage.url)));
    storage.put(
        list,
        Reply::Guarded {
            challenge: format!(r#"Bearer realm="{}/token""#, thief.url),
            authorization: "Bearer t-1".into(),
            file: br#"{"name": "team/web", "tags": ["1.0.0"]}"#.to_vec(),
        },
    );
    thief.put("/token", Reply::File(br#"{"token": "t-1"}"#.to_vec()));
    let url = format!("{}/team", home.url.trim_start_matches("http://"));
    let access = access(&url, signed_in(), true);
    let refused = world.charts.versions(&access, "web", true).await;
    assert_eq!(code(&refused.unwrap_err()), "chart.login-refused");
    assert!(thief.asked().is_empty(), "{:?}", thief.asked());
}

#[tokio::test]
async fn s07_a_login_in_an_index_is_not_repeated() {
    let world = World::new();
    let site = Site::start(None).await.unwrap();
    let access = access(&site.url, Login::default(), false);
    for address in [
        "https://ci:canary@h.example/x.tgz",
        "gopher://h.example/x?sig=canary",
        "oci://ci:canary@h.example/x",
    ] {
        let index = format!("entries: {{web: [{{version: 1.0.0, urls: ['{address}']}}]}}");
        site.put("/index.yaml", Reply::File(index.into_bytes()));
        world.charts.versions(&access, "web", true).await.unwrap();
        let ensured = world.charts.ensure(&access, "web", "1.0.0", false).await;
        let refused = ensured.unwrap_err();
        assert_eq!(code(&refused), "chart.index-broken");
        let said = format!("{refused:?}");
        assert!(said.contains("h.example"), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
}

#[tokio::test]
async fn s13_redirects_are_judged_anew_and_the_login_stays_at_home() {
    let world = World::new();
    let work = world.work();
    package(&work, "web", "1.0.0", "x").await.unwrap();
    let (home, away) = (
        Site::start(Some(login())).await.unwrap(),
        Site::start(None).await.unwrap(),
    );
    away.publish(&work).await.unwrap();
    home.publish(&work).await.unwrap();
    let archive = "/web-1.0.0.tgz";
    home.put(archive, Reply::Redirect(format!("{}{archive}", away.url)));
    let access = access(&home.url, signed_in(), false);
    file(&world.charts, &access, "1.0.0", "values.yaml").await;
    let asked = away.asked();
    assert_eq!(
        (asked[0].status, &asked[0].authorization),
        (200, &None),
        "{asked:?}"
    );

    // An index may name another host; only where the application says so does the login go there.
    let index = format!(
        "entries:\n  web:\n  - version: 1.0.0\n    urls: [{}{archive}]\n",
        away.url
    );
    home.put("/index.yaml", Reply::File(index.into_bytes()));
    for (passes, sent) in [(false, false), (true, true)] {
        let access = access.clone().passing_credentials(passes);
        world.charts.forget(&access, "web").unwrap();
        world.charts.versions(&access, "web", true).await.unwrap();
        world
            .charts
            .ensure(&access, "web", "1.0.0", false)
            .await
            .unwrap();
        assert_eq!(away.asked()[0].authorization.is_some(), sent);
    }

    // As the application's options say it; nothing is kept of the one before.
    for (options, sent) in [
        (json!({}), false),
        (json!({"passCredentials": false}), false),
        (json!({"passCredentials": true}), true),
    ] {
        let source = json!({"repoURL": home.url, "chart": "web", "helm": options});
        let input = RenderInput {
            source,
            ..RenderInput::default()
        };
        let fresh = World::new();
        let fetched = fresh.renderer.fetch(&access, "1.0.0", &input).await;
        fetched.unwrap();
        let asked = away.asked();
        assert_eq!(asked[0].authorization.is_some(), sent, "{options}");
    }

    // Nothing but 127.0.0.1 is allowed here: every other way to this machine is none.
    let narrow = World::with(Limits::default(), &["127.0.0.1/32"]);
    for (target, said) in [
        ("http://127.0.0.2:1/x.tgz", "source.address-not-allowed"),
        ("http://[::1]:1/x.tgz", "source.address-not-allowed"),
        (
            "http://169.254.169.254/latest/meta-data",
            "source.address-not-allowed",
        ),
        ("http://0x7f000002:1/x", "source.address-not-allowed"),
        ("file:///etc/passwd", "chart.redirect-refused"),
        ("gopher://127.0.0.1/x", "chart.redirect-refused"),
        (archive, "chart.redirect-refused"),
    ] {
        home.publish(&work).await.unwrap();
        home.put(archive, Reply::Redirect(target.to_owned()));
        narrow.charts.versions(&access, "web", true).await.unwrap();
        let refused = narrow
            .charts
            .ensure(&access, "web", "1.0.0", false)
            .await
            .unwrap_err();
        assert_eq!(code(&refused), said, "{target}");
        // The index itself is judged the same.
        let index = format!("entries: {{web: [{{version: 1.0.0, urls: ['{target}']}}]}}");
        if target != archive {
            home.put("/index.yaml", Reply::File(index.into_bytes()));
            narrow.charts.versions(&access, "web", true).await.unwrap();
            let refused = narrow
                .charts
                .ensure(&access, "web", "1.0.0", false)
                .await
                .unwrap_err();
            let said = said.replace("chart.redirect-refused", "chart.index-broken");
            assert_eq!(code(&refused), said, "{target}");
        }
    }
}

#[tokio::test]
async fn s02_hostile_repositories_are_refused_by_name_in_bounded_time() {
    let limits = Limits {
        fetch: Duration::from_secs(2),
        ..Limits::default()
    };
    let world = World::with(limits, &["127.0.0.0/8"]);
    let work = world.work();
    package(&work, "web", "1.0.0", "x").await.unwrap();
    let site = Site::start(None).await.unwrap();
    let access = access(&site.url, Login::default(), false);
    let index = |text: &str| Reply::File(text.as_bytes().to_vec());
    let deep = format!("entries: {}", "[".repeat(100_000));
    for (answer, said) in [
        (index("<html>"), "chart.index-broken"),
        (index(&deep), "chart.index-broken"),
        (Reply::File(vec![0xff; 100]), "chart.index-broken"),
        (Reply::File(vec![b'#'; (64 << 20) + 1]), "source.too-large"),
        (
            Reply::Redirect("/index.yaml".into()),
            "chart.redirect-refused",
        ),
    ] {
        let begun = Instant::now();
        site.put("/index.yaml", answer);
        let refused = world
            .charts
            .versions(&access, "web", true)
            .await
            .unwrap_err();
        assert_eq!(code(&refused), said);
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{:?}",
            begun.elapsed()
        );
    }
    site.publish(&work).await.unwrap();
    let archive = "/web-1.0.0.tgz";
    for (answer, said) in [
        (Reply::File(b"another".to_vec()), "chart.digest-mismatch"),
        (Reply::File(vec![0; (32 << 20) + 1]), "source.too-large"),
        (Reply::Silence, "chart.timeout"),
    ] {
        site.put(archive, answer);
        let refused = world
            .charts
            .ensure(&access, "web", "1.0.0", false)
            .await
            .unwrap_err();
        assert_eq!(code(&refused), said);
    }
    // Without a digest in the index, what is no chart is still none.
    site.put(
        "/index.yaml",
        index("entries: {web: [{version: 1.0.0, urls: [web-1.0.0.tgz]}]}"),
    );
    site.put(archive, Reply::File(b"another archive of nothing".to_vec()));
    world.charts.versions(&access, "web", true).await.unwrap();
    let refused = world
        .charts
        .ensure(&access, "web", "1.0.0", false)
        .await
        .unwrap_err();
    assert_eq!(code(&refused), "chart.archive-refused");
    assert!(
        refused.to_string().contains("not a gzip archive"),
        "{refused}"
    );
}
