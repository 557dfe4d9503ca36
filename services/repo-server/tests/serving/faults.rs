//! A full disk, a Git server that says nothing, a server that is killed: each is named, and over when its reason is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::naru::internal::v1::{RenderRequest, RenderResponse, RepositoryAccess, SourceReference};
use testkit::unruly::{Mood, Unruly};
use tonic::Code;

use crate::{SERVICE, Settings, World, code};

/// As many as there are turns: with one each, which whoever has none gets, they would have all of them, in whatever order they come.
const OTHER_TENANTS: [&str; 4] = [
    "6f1c1a53-8f55-4be0-9c58-0a5a4c8f0002",
    "6f1c1a53-8f55-4be0-9c58-0a5a4c8f0003",
    "6f1c1a53-8f55-4be0-9c58-0a5a4c8f0004",
    "6f1c1a53-8f55-4be0-9c58-0a5a4c8f0005",
];

/// Content that does not become smaller when it is packed.
fn noise(length: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut text = String::with_capacity(length + 16);
    while text.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(&format!("{state:016x}"));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_and_over_when_there_is_room() {
    let world = World::with(Settings {
        disk_mib: Some(8),
        ..Settings::default()
    })
    .await;
    let nothing = RenderResponse::default();
    world.push("app/service.yaml", SERVICE).await;
    world.render("app", &nothing).await.unwrap();
    let known = world.request("app").await.unwrap();
    // As the server sees its disk; everything that is free is taken.
    let server = world.server.as_ref().unwrap().id().unwrap();
    let data = world.folder.path().join("data");
    let seen = PathBuf::from(format!("/proc/{server}/root{}", data.display()));
    let filler = seen.join("filler");
    let full = (0..64).try_for_each(|n| {
        let path = format!("{}-{n}", filler.display());
        std::fs::write(path, vec![1; 256 << 10])
    });
    assert!(full.is_err(), "the disk is small");
    world.push("app/large.txt", &noise(1 << 20)).await;
    world
        .push("app/service.yaml", &SERVICE.replace("web", "other"))
        .await;
    for _ in 0..2 {
        let status = world.render("app", &nothing).await.unwrap_err();
        assert_eq!(
            (status.code(), code(&status).as_str()),
            (Code::Internal, "source.disk-full"),
            "{status:?}"
        );
    }
    // What is there already needs no room.
    let again = RenderRequest {
        no_cache: true,
        ..known
    };
    world.client("controller").render(again).await.unwrap();
    for n in 0..64 {
        let _ = std::fs::remove_file(format!("{}-{n}", filler.display()));
    }
    let after = world.render("app", &nothing).await.unwrap();
    let object = String::from_utf8_lossy(&after.manifests[0].object).into_owned();
    assert!(object.contains("other"), "{object}");
    let left: Vec<PathBuf> = packs(&seen.join("mirrors"))
        .into_iter()
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("tmp_")
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The files below a folder.
fn packs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .flat_map(|entry| match entry.path().is_dir() {
            true => packs(&entry.path()),
            false => vec![entry.path()],
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_larger_than_a_fetch_may_be_is_named_and_leaves_nothing() {
    let world = World::with(Settings {
        pack_mib: 1,
        ..Settings::default()
    })
    .await;
    let nothing = RenderResponse::default();
    world.push("app/service.yaml", SERVICE).await;
    world.render("app", &nothing).await.unwrap();
    let known = world.request("app").await.unwrap();
    world.push("app/large.txt", &noise(8 << 20)).await;
    for _ in 0..2 {
        let status = world.render("app", &nothing).await.unwrap_err();
        assert_eq!(code(&status), "source.too-large", "{status:?}");
    }
    // What is there already goes on.
    let again = RenderRequest {
        no_cache: true,
        ..known
    };
    world.client("controller").render(again).await.unwrap();
    let left: Vec<PathBuf> = packs(&world.folder.path().join("data/mirrors"))
        .into_iter()
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("tmp_")
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Four tenants' Git server takes connections and says nothing: their own applications wait for it, and nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_git_server_hangs_holds_nobody_else_up() {
    holds_nobody_else_up(Mood::Straight, |n, request, silent| RenderRequest {
        repository: Some(silent),
        // Different ones: those that are alike share a render.
        source: format!(r#"{{"repoURL":"x","path":"app","directory":{{"include":"{n}"}}}}"#),
        ..request
    })
    .await;
}

/// The same where their sources are elsewhere, and only refer to what is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_a_source_refers_to_is_waited_for_without_a_turn() {
    holds_nobody_else_up(Mood::Straight, |n, request, silent| RenderRequest {
        source: format!(
            r#"{{"repoURL":"x","path":"chart","helm":{{"releaseName":"r{n}","valueFiles":["$v/values.yaml"]}}}}"#
        ),
        references: vec![SourceReference {
            name: "v".to_owned(),
            repository: Some(silent),
            commit: request.commit.clone(),
            chart: String::new(),
        }],
        ..request
    })
    .await;
}

/// What a kustomization takes from elsewhere is come upon as it is read, and the render's turn is others' while it is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn bases_that_a_render_comes_upon_are_waited_for_without_a_turn() {
    holds_nobody_else_up(Mood::Straight, |n, request, silent| RenderRequest {
        source: format!(
            r#"{{"repoURL":"x","path":"remote","kustomize":{{"namePrefix":"n{n}-"}}}}"#
        ),
        remotes: vec![silent],
        ..request
    })
    .await;
}

/// And so is what a chart depends on.
#[tokio::test(flavor = "multi_thread")]
async fn charts_that_a_chart_depends_on_are_waited_for_without_a_turn() {
    let away = Mood::http("503 Service Unavailable", b"");
    holds_nobody_else_up(away, |n, request, silent| {
        let place = format!("{}/charts", silent.url);
        let way = RepositoryAccess {
            url: place.clone(),
            kind: "helm".to_owned(),
            ..silent
        };
        RenderRequest {
            source: format!(
                r#"{{"repoURL":"x","path":"umbrella","helm":{{"releaseName":"r{n}"}}}}"#
            ),
            dependencies: BTreeMap::from([(place, way)]),
            ..request
        }
    })
    .await;
}

/// `asks` makes one of some renders of other tenants that wait for what a silent server has, until that is `after`.
async fn holds_nobody_else_up(
    after: Mood,
    asks: impl Fn(usize, RenderRequest, RepositoryAccess) -> RenderRequest,
) {
    let world = World::with(Settings {
        fetch_seconds: 60,
        parallelism: OTHER_TENANTS.len(),
        ..Settings::default()
    })
    .await;
    world.push("app/service.yaml", SERVICE).await;
    world.push("chart/templates/service.yaml", SERVICE).await;
    let chart = "apiVersion: v2\nname: c\nversion: 1.0.0\n";
    world.push("chart/Chart.yaml", chart).await;
    world.push("values.yaml", "a: b\n").await;
    world.push("base/service.yaml", SERVICE).await;
    let base = "resources: [service.yaml]\n";
    let base = world.push("base/kustomization.yaml", base).await;
    let behind: SocketAddr = world
        .git
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let silent = Unruly::start(behind).await.unwrap();
    silent.set(Mood::Silent);
    let there = format!("http://{}/user01/base.git", silent.address);
    let remote = format!("resources: ['{there}//base?ref={base}']\n");
    world.push("remote/kustomization.yaml", &remote).await;
    let needs = format!(
        "{chart}dependencies: [{{name: x, version: 1.0.0, repository: '{there}/charts'}}]\n"
    );
    world.push("umbrella/Chart.yaml", &needs).await;
    let request = world.request("app").await.unwrap();
    let of = |tenant: &str, url: &str| RepositoryAccess {
        tenant: tenant.to_owned(),
        url: url.to_owned(),
        ..world.access()
    };
    let own = |tenant: &str| RenderRequest {
        repository: Some(of(tenant, &world.git)),
        ..request.clone()
    };
    // What is theirs is there: whoever asks has a turn at once, or waits for one.
    for tenant in OTHER_TENANTS {
        world
            .client("controller")
            .render(own(tenant))
            .await
            .unwrap();
    }
    let mut waiting = Vec::new();
    for n in 0..24 {
        let tenant = OTHER_TENANTS[n % OTHER_TENANTS.len()];
        let asked = asks(n, own(tenant), of(tenant, &there));
        let mut client = world.client("controller");
        #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
        waiting.push(tokio::spawn(async move { client.render(asked).await }));
    }
    // Each tenant's mirror is fetched once for all of them, and all of them have come to where they would have a turn.
    let metrics = format!("http://{}/metrics", world.metrics);
    let http = testkit::http::unchecked().unwrap();
    let reached = || async {
        let text = http.get(&metrics).send().await?.text().await?;
        let pending = "argocd_repo_pending_request_total{";
        let lines = text.lines().filter(|line| line.starts_with(pending));
        let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
        Ok(silent.came() >= OTHER_TENANTS.len() && counts.sum::<usize>() == waiting.len())
    };
    testkit::wait::until_true(
        "the silent server is asked",
        Duration::from_secs(20),
        reached,
    )
    .await
    .unwrap();
    let begun = Instant::now();
    for _ in 0..3 {
        let asked = RenderRequest {
            no_cache: true,
            ..request.clone()
        };
        let mut client = world.client("controller");
        let answer = client.render(asked);
        tokio::time::timeout(Duration::from_secs(20), answer)
            .await
            .expect("another tenant's render does not wait")
            .unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(waiting.iter().all(|one| !one.is_finished()));
    // With an answer they all go on.
    silent.set(after);
    for one in waiting {
        let ended = tokio::time::timeout(Duration::from_secs(60), one).await;
        let ended = ended.expect("it ends with its connection").unwrap();
        // Those that were fetching when the connection ended are told so; the others fetched anew.
        if let Err(status) = ended {
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_everything_is_rendered_and_that_is_said() {
    let real = testkit::platform::redis().await.unwrap().url;
    let (login, place) = real.split_once('@').unwrap();
    let behind = place.split('/').next().unwrap().parse().unwrap();
    let redis = Unruly::start(behind).await.unwrap();
    // Nothing is remembered but there.
    let settings = Settings {
        memory_mib: 0,
        ..Settings::default()
    };
    let url = format!("{login}@{}/0", redis.address);
    let world = World::beside(settings, Some(url)).await;
    let log = || std::fs::read_to_string(world.folder.path().join("log")).unwrap();
    let (away, back) = ("Redis does not answer", "Redis answers again");
    world.push("app/service.yaml", SERVICE).await;
    let asked = world.request("app").await.unwrap();
    let render = async || {
        let mut client = world.client("controller");
        client.render(asked.clone()).await.unwrap().into_inner()
    };
    let before = render().await;
    assert_eq!(before.cache, "first");
    assert_eq!(render().await.cache, "hit");
    assert!(!log().contains(away));

    // Connections come about and end without a word.
    redis.set(Mood::Cutting(0));
    let begun = Instant::now();
    for _ in 0..5 {
        let meanwhile = render().await;
        assert_eq!(
            (meanwhile.cache.as_str(), &meanwhile.hash),
            ("first", &before.hash)
        );
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(log().contains(away) && !log().contains(back), "{}", log());

    redis.set(Mood::Straight);
    let remembered = || async { Ok(render().await.cache == "hit") };
    testkit::wait::until_true("Redis is used", Duration::from_secs(30), remembered)
        .await
        .unwrap();
    assert!(log().contains(back), "{}", log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_again_and_again_is_held_back_until_it_is_another_or_somebody_insists() {
    let world = World::new().await;
    let broken = "apiVersion: v1\nkind: X\nmetadata:\n  name: [\n";
    world.push("app/service.yaml", broken).await;
    let asked = world.request("app").await.unwrap();
    let told = async |request: &RenderRequest| {
        let mut client = world.client("controller");
        let status = client.render(request.clone()).await.unwrap_err();
        let details = String::from_utf8_lossy(status.details()).into_owned();
        (code(&status), details.contains("source.held-back"))
    };
    let tried = ("source.yaml-broken".to_owned(), false);
    let held = (tried.0.clone(), true);
    for _ in 0..3 {
        assert_eq!(told(&asked).await, tried);
    }
    assert_eq!(told(&asked).await, held);
    let insisting = RenderRequest {
        no_cache: true,
        ..asked.clone()
    };
    assert_eq!(told(&insisting).await, tried);
    assert_eq!(told(&asked).await, held, "it has failed once more");
    // Other options are another matter, and so is another commit.
    let other = RenderRequest {
        source: asked
            .source
            .replace('}', r#","directory":{"recurse":true}}"#),
        ..asked.clone()
    };
    assert_eq!(told(&other).await, tried);
    world.push("app/service.yaml", SERVICE).await;
    let mended = world.render("app", &RenderResponse::default()).await;
    assert_eq!(mended.unwrap().cache, "first");
}

/// The processes that one has started.
fn children(parent: u32) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let of_parent = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit(") ").next().unwrap_or_default();
        after.split(' ').nth(1) == Some(parent.to_string().as_str())
    };
    numbers.filter(of_parent).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_in_the_middle_of_a_render_leaves_nothing_running_and_comes_back() {
    let mut world = World::new().await;
    let nothing = RenderResponse::default();
    let endless = "kind: X\n{{ $r := until 2000 }}{{ range $r }}{{ range $r }}{{ range $r }}{{ end }}{{ end }}{{ end }}\n";
    let chart = "apiVersion: v2\nname: bad\nversion: 1.0.0\n";
    world.push("endless/Chart.yaml", chart).await;
    world.push("endless/templates/a.yaml", endless).await;
    world
        .push("app/kustomization.yaml", "resources: [a.yaml]\n")
        .await;
    world.push("app/a.yaml", SERVICE).await;
    let before = world.render("app", &nothing).await.unwrap();
    let asked = world.request("endless").await.unwrap();
    let mut client = world.client("controller");
    #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
    let rendering = tokio::spawn(async move { client.render(asked).await });
    let server = world.server.as_mut().unwrap();
    let pid = server.id().unwrap();
    // Its worker has the job when it does nothing else any more.
    let busy = || async { Ok(children(pid).into_iter().any(is_busy)) };
    testkit::wait::until_true("a worker is busy", Duration::from_secs(30), busy)
        .await
        .unwrap();
    let workers = children(pid);
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
    server.wait().await.unwrap();
    let status = rendering.await.unwrap().unwrap_err();
    assert!(
        status.details().is_empty() && status.code() != Code::Ok,
        "nobody said why, so that it is asked again: {status:?}"
    );
    let gone = || async { Ok(!workers.iter().any(|pid| is_there(*pid))) };
    testkit::wait::until_true("its workers are gone", Duration::from_secs(20), gone)
        .await
        .unwrap();
    world.start().await;
    let after = world.render("app", &nothing).await.unwrap();
    assert_eq!(after.hash, before.hash);
}

fn is_there(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // One that has ended and whose end nobody was told is none.
    let state = stat.rsplit(") ").next().unwrap_or_default();
    !state.is_empty() && !state.starts_with('Z')
}

/// Whether a process has used the processor for a while: a second, in its hundredths.
fn is_busy(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit(") ").next().unwrap_or_default();
    let used = after
        .split(' ')
        .nth(11)
        .and_then(|text| text.parse::<u64>().ok());
    used.is_some_and(|hundredths| hundredths > 100)
}
