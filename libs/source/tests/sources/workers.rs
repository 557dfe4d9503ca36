//! Renderers that break their rules: the job is named, the worker retired, and everybody else goes on.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandbox::Sandbox;
use serde_json::json;
use source::render::{Renderer, WorkerLimits, WorkerPool};
use testkit::progress::Progress;

use super::{World, input};

/// What a renderer does, and the cause that it ends in.
const BREACHES: &[(&str, &str)] = &[
    ("flood", "source.render-died"),
    ("garbage", "source.render-died"),
    ("exit", "source.render-died"),
    ("killed", "source.render-died"),
    ("half", "source.render-timeout"),
    ("silence", "source.render-timeout"),
    ("asking", "source.too-large"),
];
const GOOD: [&str; 2] = ["good", "another"];

/// A repository with a folder for each, and a pool of a renderer that does as they are called.
async fn misbehaving(workers: usize) -> (World, Renderer) {
    let world = World::new();
    let folders = BREACHES.iter().map(|(folder, _)| *folder);
    for folder in folders.chain(GOOD).chain(["many", "once", "spent"]) {
        world.write(&format!("{folder}/kustomization.yaml"), "resources: []\n");
    }
    world.commit();
    let built = testkit::tools::probe(&Progress::silent()).await.unwrap();
    // Its own, because it leaves a mark beside itself.
    let program = world.folder.path().join("probe");
    std::fs::copy(built, &program).unwrap();
    let limits = WorkerLimits {
        workers,
        deadline: Duration::from_secs(2),
        ..WorkerLimits::default()
    };
    let pool = WorkerPool::new(Sandbox::new(None), program, limits);
    let renderer = Renderer::new(world.mirrors.clone(), pool);
    (world, renderer)
}

async fn render(world: &World, renderer: &Renderer, folder: &str) -> Result<i32, source::Error> {
    let commit = world.git(&["rev-parse", "HEAD"]);
    let input = input(json!({"path": folder}));
    let rendered = renderer.render(&world.access(), &commit, &input).await?;
    let name = &rendered.manifests[0].key().name;
    Ok(name.strip_prefix("pid-").unwrap().parse().unwrap())
}

fn runs(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breach_retires_the_worker_names_the_job_and_disturbs_no_other() {
    let (world, renderer) = misbehaving(2).await;
    for (folder, cause) in BREACHES {
        let before = render(&world, &renderer, "good").await.unwrap();
        assert_eq!(
            render(&world, &renderer, "another").await.unwrap(),
            before,
            "a worker that kept its rules is used again"
        );
        let begun = Instant::now();
        let refused = render(&world, &renderer, folder).await.unwrap_err();
        assert_eq!(refused.cause().message.code, *cause, "{folder}");
        if *cause != "source.too-large" {
            assert!(refused.to_string().contains(folder), "{refused}");
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{folder}");
        let gone = || async { Ok(!runs(before)) };
        testkit::wait::until_true("the worker's end", Duration::from_secs(10), gone)
            .await
            .unwrap();
        assert_ne!(render(&world, &renderer, "good").await.unwrap(), before);
        // Beside one that is breaking the rules at this moment.
        let (bad, good) = tokio::join!(
            render(&world, &renderer, folder),
            render(&world, &renderer, "good")
        );
        assert!(bad.is_err() && good.is_ok(), "{folder}: {good:?}");
    }
    let refused = render(&world, &renderer, "many").await.unwrap_err();
    assert_eq!(refused.cause().message.code, "source.too-large");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_costs_nobody_a_render() {
    let (world, renderer) = misbehaving(1).await;
    let idle = render(&world, &renderer, "good").await.unwrap();
    kill(Pid::from_raw(idle), Signal::SIGKILL).unwrap();
    let next = render(&world, &renderer, "good").await.unwrap();
    assert_ne!(next, idle, "killed while it had nothing to do");
    let after = render(&world, &renderer, "once").await.unwrap();
    assert_ne!(
        after, next,
        "killed in the middle of a job, which began anew"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_job_left_something_behind_has_no_other_job() {
    let (world, renderer) = misbehaving(1).await;
    let before = render(&world, &renderer, "good").await.unwrap();
    let last = render(&world, &renderer, "spent").await.unwrap();
    assert_eq!(last, before, "what it has made counts");
    let next = render(&world, &renderer, "good").await.unwrap();
    assert_ne!(next, last);
    let gone = || async { Ok(!runs(last)) };
    testkit::wait::until_true("the worker's end", Duration::from_secs(10), gone)
        .await
        .unwrap();
    assert_eq!(render(&world, &renderer, "another").await.unwrap(), next);
}
