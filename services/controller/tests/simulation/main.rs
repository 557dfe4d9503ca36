//! Controllers against a simulated cluster, with everything going wrong that may: requests that are lost, answered by nobody
//! or done late, conflicts, refusals, watches that lag, processes that stop, end, or lose their lease to another, connections that
//! break and come back, listings that are cut short, hooks that a webhook keeps, operations that somebody stops or whose time is
//! over, looks that break off right after the end of one.
//!
//! What decides is the product's own: the engine, the fair queue, the gate, and the words of results. What carries out
//! (`look`, `waves`, `live`, `deleting`) is a short copy of `controller::reconcile`, whose modules need a database, a
//! repo-server and connections; each says which module it follows. The cluster (`cluster`, `fields`, `plane`) answers as the
//! cases in `cases/` say, which the tests of `libs/cluster` put to a real apiserver too.
//!
//! Nothing here goes by the clock, by threads or by the order of hashed keys: a seed tells one story. `NARU_SEED` says which;
//! what is wrong names it.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod case;
mod cases;
mod cluster;
mod deleting;
mod driver;
mod faults;
mod fields;
mod invariants;
mod judged;
mod live;
mod look;
mod people;
mod plane;
mod waves;
mod world;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::TimeDelta;
use engine::claim::Owner;
use engine::operation::was_stopped;

use invariants::{unsettled, untrue};
use world::{Size, World, claimant};

/// A world of twenty applications.
const SMALL: Size = Size {
    apps: 20,
    maps: 5,
    steps: 500,
};
/// One of ten thousand, with a hundred thousand objects.
const LARGE: Size = Size {
    apps: 10_000,
    maps: 12,
    steps: 20_000,
};
/// What there is of that in a quick run.
const MIDDLING: Size = Size {
    apps: 100,
    steps: 1000,
    ..LARGE
};
/// How many worlds there are, and how many in full.
const WORLDS: u64 = 200;
const WORLDS_IN_FULL: u64 = 3000;
/// After this long a world that is left alone is what Git says: longer than all tries of an operation take, and the waits
/// between heals, and two windows.
const SETTLED: TimeDelta = TimeDelta::hours(4);

/// What has to go wrong in some of the worlds.
const TROUBLES: [&str; 17] = [
    "answerless",
    "away",
    "conflict",
    "cut",
    "done late",
    "ended after",
    "ended before",
    "kept",
    "late",
    "listed anew",
    "lost",
    "refused",
    "stood still",
    "stopped",
    "stopped from afar",
    "stumbled",
    "superseded",
];

/// What is due at one time takes no more looks for each application.
const AT_MOST: usize = 1000;

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no settings; this is how it is told to repeat a story"
)]
fn asked() -> Option<u64> {
    std::env::var("NARU_SEED").ok()?.parse().ok()
}

fn full() -> bool {
    std::env::args().any(|word| word == "--include-ignored")
}

/// Why a world is wrong, with how it came to that.
fn fail(world: &World, what: &str) -> ! {
    let story = world.story.as_deref().unwrap_or_default();
    let lines: Vec<&str> = story.lines().collect();
    let last = lines.len().saturating_sub(80);
    panic!(
        "NARU_SEED={} (of {} applications): {what}\n{}",
        world.seed,
        world.size.apps,
        lines[last..].join("\n")
    );
}

fn check(world: &World) {
    if let Some(wrong) = world.judge.wrong.first() {
        fail(world, wrong);
    }
}

/// Carries out all that is due now, with a cluster that is quick and a watch that does not lag.
fn catch_up(world: &mut World) {
    for _ in 0..world.size.apps * AT_MOST {
        for key in world.api.restless() {
            world.api.tick(&key);
        }
        world.deliver(usize::MAX);
        world.ring();
        let lags = world
            .active
            .as_ref()
            .is_some_and(|active| active.index.lags(&world.api.log));
        if !world.is_busy() && !lags && world.api.restless.is_empty() {
            return;
        }
        if world.is_busy() {
            world.work();
        }
        check(world);
    }
    fail(world, "there is always more to do at once");
}

/// The application that is not yet what Git says, and why.
fn restless(world: &World) -> Option<(String, String)> {
    let mut apps = world.rows.keys();
    apps.find_map(|app| Some((app.clone(), unsettled(world, app)?)))
}

/// Leaves a world alone, but for one last commit to each repository, until it is what Git says.
fn settle(world: &mut World) {
    world.dice.calm = true;
    world.mend();
    world.unguard();
    let apps: Vec<String> = world.rows.keys().cloned().collect();
    for app in &apps {
        world.push(app, true);
    }
    // What is on its way arrives, and a lease that nobody renews runs out.
    world.pass(10_000);
    let deadline = world.now() + SETTLED;
    loop {
        catch_up(world);
        let by_hand = world.rows.iter().filter(|(app, row)| {
            let idle = row.operation.is_none() && !row.deleting();
            // What was stopped does not begin again by itself.
            let stopped = row.status.operation.as_ref().is_some_and(was_stopped);
            idle && unsettled(world, app).is_some()
                && (stopped || row.view().unwrap_or_default().automated().is_none())
        });
        let by_hand: Vec<String> = by_hand.map(|(app, _)| app.clone()).collect();
        for app in &by_hand {
            world.sync(app);
        }
        catch_up(world);
        let Some((app, why)) = restless(world) else {
            break;
        };
        if world.now() > deadline {
            fail(world, &format!("{app} does not come to rest: {why}"));
        }
        let next = world
            .active
            .as_ref()
            .and_then(driver::Controller::next_alarm);
        let pause = next.map_or(60_000, |at| (at - world.now()).num_milliseconds());
        world.pass(pause.clamp(1000, 60_000));
    }
    for app in world.git.keys() {
        let wrong = match world.rows.contains_key(app) {
            true => untrue(world, app),
            false => left_behind(world, app),
        };
        if let Some(wrong) = wrong {
            fail(world, &format!("{app} is said to be done, but {wrong}"));
        }
        if let Some(wrong) = bystanders(world, app) {
            fail(world, &wrong);
        }
    }
}

/// What is left of an application that is deleted.
fn left_behind(world: &World, app: &str) -> Option<String> {
    let tenant = world.tenant_of(app).as_str();
    let mut objects = world.objects_of(app);
    let ours = objects.find(|(key, stored)| {
        claimant(tenant, app).owner(&stored.object, key, false) == Owner::Ours && !stored.is_owned()
    });
    ours.map(|(key, _)| format!("{key} is left of it"))
}

/// Whether what is somebody else's is as it was.
fn bystanders(world: &World, app: &str) -> Option<String> {
    ["plain", "copied", "elsewhere", "neighbours"]
        .into_iter()
        .find_map(|name| {
            let name = format!("{app}-{name}");
            let mut objects = world.objects_of(app);
            let there = objects.find(|(key, _)| key.kind == "ConfigMap" && key.name == name);
            let untouched =
                there.is_some_and(|(_, stored)| stored.object["data"]["value"] == "theirs");
            (!untouched).then(|| format!("{name} is not as it was"))
        })
}

/// A hook that our finalizer keeps though nobody keeps us from letting it go.
fn held(world: &World) -> Option<String> {
    let mut objects = world.api.objects.iter();
    let kept = objects.find(|(_, stored)| engine::hooks::held(&stored.object));
    kept.map(|(key, _)| format!("{key} is not let go"))
}

/// Looks at everything again, for longer than any wait, and under another controller: nothing is written.
fn rest(world: &mut World) {
    // Within half a minute a hook that was not let go at the end of its operation is, and what an operation failed for is told no
    // more, though nothing happens.
    world.pass(31_000);
    catch_up(world);
    if let Some(wrong) = held(world) {
        fail(world, &wrong);
    }
    let before = (world.api.version, world.writes);
    let objects = world.api.objects.clone();
    for _ in 0..3 {
        world.refresh();
        catch_up(world);
        world.pass(11 * 60_000);
    }
    world.active = None;
    world.abandon();
    world.pass(10_000);
    world.refresh();
    catch_up(world);
    let after = (world.api.version, world.writes);
    if before != after {
        let gone = objects
            .iter()
            .filter(|(key, _)| !world.api.objects.contains_key(*key))
            .map(|(key, was)| format!("{key} is gone, of {}", was.object));
        let other = world.api.objects.iter().filter_map(|(key, now)| {
            let was = objects.get(key).map(|was| was.object.to_string());
            let now = now.object.to_string();
            (was.as_ref() != Some(&now)).then(|| format!("{key}: {now}, of {was:?}"))
        });
        let which: Vec<String> = gone.chain(other).collect();
        let what = format!(
            "something is written though nothing changed: {before:?}, {after:?}\n{}",
            which.join("\n")
        );
        fail(world, &what);
    }
}

/// One world from its beginning to its rest.
fn story(seed: u64, size: Size, told: bool) -> World {
    let mut world = World::new(seed, size);
    if !told {
        world.story = None;
    }
    for _ in 0..size.steps {
        world.step();
        check(&world);
    }
    settle(&mut world);
    rest(&mut world);
    world
}

#[test]
fn worlds_come_to_rest_whatever_goes_wrong() {
    if let Some(seed) = asked() {
        story(seed, SMALL, true);
        return;
    }
    let count = if full() { WORLDS_IN_FULL } else { WORLDS };
    let (next, takeovers) = (AtomicU64::new(1), AtomicU64::new(0));
    let troubles = Mutex::new(BTreeSet::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > count {
                        return;
                    }
                    let world = story(seed, SMALL, true);
                    let fence = u64::try_from(world.lease.fence).unwrap();
                    takeovers.fetch_add(fence, Ordering::Relaxed);
                    troubles.lock().unwrap().extend(world.counts.into_keys());
                }
            });
        }
    });
    let takeovers = takeovers.into_inner();
    assert!(takeovers > 3 * count, "too little goes wrong: {takeovers}");
    let troubles = troubles.into_inner().unwrap();
    assert_eq!(troubles, BTreeSet::from(TROUBLES), "less goes wrong");
}

#[test]
fn a_seed_tells_one_story() {
    for seed in [1, 2, 3, 1_000_003] {
        let [once, again] = [(); 2].map(|()| story(seed, SMALL, true).story.unwrap());
        assert!(once.lines().count() > 200, "NARU_SEED={seed}: {once}");
        // Not as a whole: what differs comes first.
        let differs = once.lines().zip(again.lines()).find(|(a, b)| a != b);
        assert_eq!(differs, None, "NARU_SEED={seed}");
        assert_eq!(once.len(), again.len(), "NARU_SEED={seed}");
    }
}

#[test]
fn a_large_world_comes_to_rest() {
    let size = if full() { LARGE } else { MIDDLING };
    let world = story(asked().unwrap_or(1), size, false);
    let objects = world.api.objects.len();
    assert!(objects >= 10 * size.apps, "{objects} objects");
}

#[test]
fn the_cluster_answers_as_the_cases_say() {
    cases::all();
}
