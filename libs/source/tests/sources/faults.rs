//! A Git server that is slow, silent, cuts off, answers rubbish or refuses: each is named, takes nothing away that was
//! there, and is forgotten with the next answer.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use domain::repository::Credentials;
use domain::secret::Secret;
use sandbox::Sandbox;
use source::Kind;
use source::git::{Access, Limits, Login, Mirrors, Rules};
use tempfile::TempDir;
use testkit::git::GitHome;
use testkit::git::checkout::Checkout;
use testkit::git::server::{Options, serve};
use testkit::unruly::{Mood, Unruly};

use super::{here, run, walk};

mod packs;

/// Longer than any limit here, on a machine that does much else.
const BOUND: Duration = Duration::from_secs(20);

struct World {
    folder: TempDir,
    checkout: Checkout,
    server: Unruly,
    mirrors: Mirrors,
    login: Login,
    access: Access,
}

impl World {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let home = GitHome::open(&folder.path().join("git")).unwrap();
        home.ensure_repository("user01", "base").await.unwrap();
        let login = home.ensure_login("user01").unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], testkit::ports::free().unwrap()));
        let options = Options {
            home,
            listen,
            public_url: None,
            tls: None,
            client_ca: None,
        };
        #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
        tokio::spawn(async move { serve(options).await.unwrap() });
        let reachable = || async { Ok(tokio::net::TcpStream::connect(listen).await.is_ok()) };
        testkit::wait::until_true("the Git server", Duration::from_secs(10), reachable)
            .await
            .unwrap();
        let url = format!("http://{listen}/user01/base.git");
        let checkout = Checkout::clone(&url, Some(&login), &folder.path().join("work"))
            .await
            .unwrap();
        let server = Unruly::start(listen).await.unwrap();
        let mirrors = mirrors(folder.path().join("data"));
        let login = Login {
            credentials: Credentials {
                username: login.user,
                password: Some(Secret::from(login.password)),
                ..Credentials::default()
            },
            ..Login::default()
        };
        let url = format!("http://{}/user01/base.git", server.address);
        let access = Access::new("tenant", "", &url, login.clone(), Rules::default()).unwrap();
        Self {
            folder,
            checkout,
            server,
            mirrors,
            login,
            access,
        }
    }

    /// A commit with a file that does not become small.
    async fn push(&self, seed: u64) -> String {
        let mut state = 2 * seed + 1;
        let mut noise = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let content: Vec<u8> = (0..8_000).flat_map(|_| noise()).collect();
        let path = format!("file-{seed}");
        self.checkout.push_file(&path, content).await.unwrap()
    }

    fn mirrors_at(&self, name: &str) -> Mirrors {
        mirrors(self.folder.path().join(name))
    }

    async fn has(&self, commit: &str) -> Result<(), source::Error> {
        let snapshot = self.mirrors.ensure_commit(&self.access, commit).await?;
        snapshot.read(|files| files.find("file-1").map(drop)).await
    }

    fn leftovers(&self) -> Vec<PathBuf> {
        let all = walk(&self.folder.path().join("data"));
        let half = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            let anew = path
                .components()
                .any(|part| part.as_os_str().to_string_lossy().ends_with(".anew"));
            name.starts_with("tmp_") || name.ends_with(".lock") || anew
        };
        all.into_iter().filter(half).collect()
    }
}

fn mirrors(folder: PathBuf) -> Mirrors {
    Mirrors::new(folder, limits(), here(), Sandbox::new(None), None).unwrap()
}

/// Long enough for what answers on a machine that does much else, and for what a test does while a way to ask is left alone.
fn limits() -> Limits {
    Limits {
        list: Duration::from_secs(4),
        fetch: Duration::from_secs(6),
        ..Limits::default()
    }
}

/// Rubbish that is the same every time.
fn rubbish() -> Vec<u8> {
    (0..4_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_fails_is_named_and_the_next_one_is_asked_anew() {
    let world = World::new().await;
    let commit = world.push(1).await;
    let moods = [
        ("silence", Mood::Silent, "source.timeout", Kind::Unreachable),
        (
            "drops",
            Mood::Dripping(Duration::from_millis(50)),
            "source.timeout",
            Kind::Unreachable,
        ),
        (
            "a cut",
            Mood::Cutting(100),
            "source.unreachable",
            Kind::Unreachable,
        ),
        (
            "a cut at once",
            Mood::Cutting(0),
            "source.unreachable",
            Kind::Unreachable,
        ),
        (
            "rubbish",
            Mood::Answering(rubbish()),
            "source.unreachable",
            Kind::Unreachable,
        ),
        (
            "rubbish in an answer",
            Mood::http("200 OK", &rubbish()),
            "source.repository-not-found",
            Kind::NotFound,
        ),
        (
            "half a list",
            Mood::http("200 OK", b"001e# service=git-upload-pack\n0000ffff"),
            "source.repository-not-found",
            Kind::NotFound,
        ),
        (
            "401",
            Mood::http("401 Unauthorized", b"who are you?"),
            "source.login-refused",
            Kind::Denied,
        ),
        (
            "503",
            Mood::http("503 Service Unavailable", b"later"),
            "source.unreachable",
            Kind::Unreachable,
        ),
    ];
    for (what, mood, code, kind) in moods {
        // With connections of its own: those of before end with the mood.
        let mirrors = world.mirrors_at("others");
        world.server.set(mood);
        let begun = Instant::now();
        let error = mirrors.list_refs(&world.access, true).await.unwrap_err();
        let said = error.cause().message.code.as_str();
        assert_eq!((said, error.kind()), (code, kind), "{what}: {error}");
        assert!(begun.elapsed() < BOUND, "{what}: {:?}", begun.elapsed());
        world.server.set(Mood::Straight);
        let refs = mirrors.list_refs(&world.access, true).await.unwrap();
        assert_eq!(refs.refs["refs/heads/main"], commit, "after {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_fails_is_named_takes_nothing_away_and_is_made_good_by_the_next() {
    let world = World::new().await;
    let first = world.push(1).await;
    world.has(&first).await.unwrap();
    let moods = [
        ("silence", Mood::Silent, "source.timeout", Kind::Unreachable),
        (
            "drops",
            Mood::Dripping(Duration::from_millis(20)),
            "source.timeout",
            Kind::Unreachable,
        ),
        (
            "a late cut",
            Mood::Cutting(20_000),
            "source.fetch-failed",
            Kind::Unreachable,
        ),
        (
            "a cut",
            Mood::Cutting(3_000),
            "source.fetch-failed",
            Kind::Unreachable,
        ),
        (
            "a wrong byte",
            Mood::Garbling(20_000),
            "source.fetch-failed",
            Kind::Unreachable,
        ),
        (
            "rubbish",
            Mood::Answering(rubbish()),
            "source.fetch-failed",
            Kind::Unreachable,
        ),
        (
            "401",
            Mood::http("401 Unauthorized", b"who are you?"),
            "source.login-refused",
            Kind::Denied,
        ),
        (
            "503",
            Mood::http("503 Service Unavailable", b"later"),
            "source.unreachable",
            Kind::Unreachable,
        ),
    ];
    let mut wrong = Vec::new();
    for (seed, (what, mood, code, kind)) in moods.into_iter().enumerate() {
        let next = world.push(seed as u64 + 2).await;
        world.server.set(mood);
        let begun = Instant::now();
        let error = world.has(&next).await.expect_err(what);
        assert!(begun.elapsed() < BOUND, "{what}: {:?}", begun.elapsed());
        let said = error.cause().message.code.as_str();
        if (said, error.kind()) != (code, kind) {
            wrong.push(format!("{what}: {error}: {:?}", error.kind()));
        }
        // Nobody is asked for what is there already, and it is still there.
        let came = world.server.came();
        world.has(&first).await.unwrap();
        assert_eq!(world.server.came(), came, "after {what}");
        assert_eq!(world.leftovers(), Vec::<PathBuf>::new(), "after {what}");
        world.server.set(Mood::Straight);
        world.has(&next).await.unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_the_tip_of_a_branch_is_fetched_alone_as_before() {
    let world = World::new().await;
    let away = || Mood::http("503 Service Unavailable", b"later");
    let listed = async || {
        let refs = world.mirrors.list_refs(&world.access, true).await;
        refs.unwrap().refs.clone()
    };
    let first = world.push(1).await;
    listed().await;
    world.has(&first).await.unwrap();
    let second = world.push(2).await;
    for _ in 0..4 {
        // One of several servers behind an address, say.
        listed().await;
        world.server.set(away());
        let error = world.has(&second).await.unwrap_err();
        assert_eq!(error.cause().message.code, "source.unreachable", "{error}");
        world.server.set(Mood::Straight);
    }
    let bare = world.folder.path().join("git/user01/base.git");
    let who = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
    let made = ["commit-tree", "HEAD^{tree}", "-m", "other"];
    let other = run("git", &bare, &[&who[..], &made[..]].concat());
    run("git", &bare, &["update-ref", "refs/heads/other", &other]);
    assert_eq!(listed().await["refs/heads/other"], other);
    world.has(&second).await.unwrap();
    world.server.set(away());
    world.has(&second).await.unwrap();
    let missing = world.mirrors.ensure_commit(&world.access, &other).await;
    assert!(missing.is_err(), "nobody wanted it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tip_of_a_branch_is_fetched_alone_once_it_is_listed_and_all_is_where_a_tag_leads_there()
{
    let world = World::new().await;
    let bare = world.folder.path().join("git/user01/base.git");
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
        run("git", &bare, &[&who[..], arguments].concat())
    };
    let listed = async || {
        let refs = world.mirrors.list_refs(&world.access, true).await;
        refs.unwrap().refs.clone()
    };
    // Whether it is there without the server.
    let there = async |commit: &str| {
        let away = Mood::http("503 Service Unavailable", b"later");
        world.server.set(away);
        let found = world.mirrors.ensure_commit(&world.access, commit).await;
        world.server.set(Mood::Straight);
        found.is_ok()
    };
    let first = world.push(1).await;
    listed().await;
    world.has(&first).await.unwrap();

    let second = world.push(2).await;
    let other = git(&["commit-tree", "HEAD^{tree}", "-m", "other"]);
    git(&["update-ref", "refs/heads/other", &other]);
    let tips = listed().await;
    assert_eq!(tips["refs/heads/main"], second);
    assert_eq!(tips["refs/heads/other"], other);
    world.has(&second).await.unwrap();
    assert!(there(&second).await);
    assert!(!there(&other).await, "nobody wanted it");
    let all = std::fs::read_dir(world.folder.path().join("data/mirrors/tenant"));
    let all: Vec<PathBuf> = all.unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(all.len(), 1);
    let main = run("git", &all[0], &["rev-parse", "refs/heads/main"]);
    assert_eq!(main, second, "the next fetch says that it is there");

    let third = world.push(3).await;
    git(&["tag", "v1", &third]);
    listed().await;
    world.has(&third).await.unwrap();
    assert!(there(&third).await && there(&other).await);
    let tag = run("git", &all[0], &["rev-parse", "refs/tags/v1"]);
    assert_eq!(tag, third);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_want_the_same_commit_at_once_share_what_is_fetched() {
    let world = World::new().await;
    let commit = world.push(1).await;
    let before = world.server.came();
    let all = futures::future::join_all((0..16).map(|_| world.has(&commit))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    // The first one fetches, and those who came meanwhile share the next.
    let came = world.server.came() - before;
    assert!((1..8).contains(&came), "{came} connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_go_over_connections_that_are_kept() {
    let world = World::new().await;
    let commit = world.push(1).await;
    let before = world.server.came();
    for _ in 0..20 {
        let refs = world.mirrors.list_refs(&world.access, true).await.unwrap();
        assert_eq!(refs.refs["refs/heads/main"], commit);
    }
    // One that has just been used may not be at hand again at once.
    let came = world.server.came() - before;
    assert!((1..10).contains(&came), "{came} connections");
}
