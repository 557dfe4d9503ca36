//! Each invariant can fail: what breaks one is said, and what does not is not.

use std::sync::Arc;

use domain::clock::Timestamp;
use domain::resource::{INSTALLATION_ID, ResourceKey, TRACKING_ID};
use engine::fields::MANAGER;
use engine::hooks::{self, DeletePolicy};
use engine::options::Propagation;
use engine::plan::{Action, How, Step, SyncPhase};
use serde_json::{Value, json};

use crate::SMALL;
use crate::cluster::{Request, Verb};
use crate::invariants::{Duty, Mark, StepDuty};
use crate::world::World;

const APP: &str = "a00002";
const TENANT: &str = "user01";
/// Minute nought of an hour, when the window is closed.
const CLOSED: Timestamp = Timestamp::UNIX_EPOCH;
/// What the first controller writes under.
const FENCE: i64 = 1;

fn key(group: &str, kind: &str, name: &str) -> ResourceKey {
    ResourceKey {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: TENANT.to_owned(),
        name: format!("{APP}-{name}"),
    }
}

fn map(name: &str) -> ResourceKey {
    key("", "ConfigMap", name)
}

fn request(verb: Verb, key: &ResourceKey, body: Value) -> Request {
    Request {
        verb,
        key: key.clone(),
        body,
        manager: MANAGER.to_owned(),
        dry_run: false,
    }
}

/// An apply of an object of the application, for a run of a hook where there is one.
fn apply(key: &ResourceKey, run: Option<&str>) -> Request {
    let version = match key.group.as_str() {
        "" => "v1".to_owned(),
        group => format!("{group}/v1"),
    };
    let id = domain::resource::tracking_id(APP, key, TENANT);
    let mut object = json!({"apiVersion": version, "kind": key.kind,
        "metadata": {"name": key.name, "namespace": key.namespace, "annotations": {}}});
    let annotations = &mut object["metadata"]["annotations"];
    annotations[TRACKING_ID] = json!(id);
    annotations[INSTALLATION_ID] = json!(TENANT);
    if let Some(run) = run {
        annotations[hooks::RUN] = json!(run);
    }
    request(Verb::Apply { force: true }, key, object)
}

/// A request about the object of a name as it is there.
fn by_uid(world: &World, verb: Verb, name: &str) -> Request {
    let key = map(name);
    let uid = world.api.get(&key).unwrap().uid();
    let body = json!({"preconditions": {"uid": uid}, "metadata": {"uid": uid}});
    request(verb, &key, body)
}

/// The attempt that began at a time, at a revision.
fn mark(started: i64, revision: usize, fence: i64) -> Mark {
    Mark {
        app: APP.to_owned(),
        attempt: (started, 0),
        revision,
        fence,
    }
}

/// A step of the first wave that nothing keeps back.
fn free(mark: &Mark) -> StepDuty<'_> {
    StepDuty {
        mark,
        before: &[],
        windowed: false,
        fail_on_shared: false,
    }
}

/// What is said against a request that leaves.
fn leaves(world: &mut World, request: &Request, step: Option<StepDuty<'_>>) -> String {
    let duty = Duty {
        app: APP,
        tenant: TENANT,
        step,
    };
    world.judge.sent(&world.api, request, &duty, CLOSED);
    std::mem::take(&mut world.judge.wrong).join("\n")
}

/// What is said against one that arrives.
fn arrives(world: &mut World, request: &Request, mark: &Mark) -> String {
    assert!(world.arrive(request, Some(mark)).is_good());
    std::mem::take(&mut world.judge.wrong).join("\n")
}

/// Whether it was this that was said, and nothing where that is nothing.
fn check(said: &str, wanted: &str) {
    let is_said = said.contains(wanted) && said.is_empty() == wanted.is_empty();
    assert!(is_said, "{said:?}, not {wanted:?}");
}

#[test]
fn what_is_older_late_twice_or_in_a_window_is_said() {
    let mut world = World::new(1, SMALL);
    let (new, old) = (mark(1, 3, FENCE), mark(1, 2, FENCE));
    let own = apply(&map("own"), None);
    check(&leaves(&mut world, &own, Some(free(&new))), "");
    check(&arrives(&mut world, &own, &new), "");
    let older = "revision 2 over revision 3";
    check(&leaves(&mut world, &own, Some(free(&old))), older);
    check(&arrives(&mut world, &own, &old), older);
    let late = mark(1, 3, FENCE - 1);
    check(&arrives(&mut world, &own, &late), "written by 0 under 1");
    let windowed = StepDuty {
        windowed: true,
        ..free(&new)
    };
    let said = leaves(&mut world, &own, Some(windowed));
    check(&said, "a window is closed");

    let job = key("batch", "Job", "before");
    let hook = apply(&job, Some("1.0.presync"));
    check(&arrives(&mut world, &hook, &new), "");
    let background = json!({"propagationPolicy": "Background"});
    let gone = world.api.serve(&request(Verb::Delete, &job, background));
    assert!(gone.is_good(), "{}", gone.message());
    check(&arrives(&mut world, &hook, &new), "was made twice");
}

#[test]
fn what_comes_before_its_wave_is_said() {
    let mut world = World::new(1, SMALL);
    let (own, web) = (map("own"), key("apps", "Deployment", "web"));
    let job = key("batch", "Job", "before");
    let (new, later) = (mark(1, 3, FENCE), mark(2, 3, FENCE));
    check(&arrives(&mut world, &apply(&own, None), &new), "");
    check(&arrives(&mut world, &apply(&web, None), &new), "");
    let step = |key: &ResourceKey, action, hook| Step {
        phase: SyncPhase::Sync,
        wave: 0,
        batch: 0,
        key: key.clone(),
        version: "v1".to_owned(),
        action,
        hook,
    };
    let applied = || Action::Apply {
        object: Arc::new(Value::Null),
        hash: [0; 32],
        how: How {
            server_side: true,
            replace: false,
            force: false,
            validate: true,
            migrate: true,
        },
        exists: true,
    };
    let pruned = Action::Prune {
        uid: world.api.get(&own).unwrap().uid().to_owned(),
        propagation: Propagation::Background,
    };
    let policy = DeletePolicy::of(&json!({}));
    for (mark, earlier, wanted) in [
        (&new, step(&own, applied(), None), ""),
        (
            &later,
            step(&own, applied(), None),
            "was not applied before",
        ),
        (&new, step(&web, applied(), None), "was never healthy"),
        (
            &new,
            step(&job, applied(), Some(policy)),
            "has not succeeded",
        ),
        (&new, step(&own, pruned, None), "is not gone"),
    ] {
        let next = StepDuty {
            before: std::slice::from_ref(&earlier),
            ..free(mark)
        };
        let said = leaves(&mut world, &apply(&map("next"), None), Some(next));
        check(&said, wanted);
    }
}

#[test]
fn what_is_done_to_somebody_elses_object_is_said() {
    let mut world = World::new(1, SMALL);
    let new = mark(1, 3, FENCE);
    check(&arrives(&mut world, &apply(&map("own"), None), &new), "");
    let whatever = request(Verb::Delete, &map("own"), json!({}));
    for (asked, wanted) in [
        (by_uid(&world, Verb::Delete, "own"), ""),
        (by_uid(&world, Verb::Delete, "plain"), "it is of Nobody"),
        (by_uid(&world, Verb::Delete, "copied"), "it is of Nobody"),
        (by_uid(&world, Verb::Delete, "neighbours"), "it is of App"),
        (by_uid(&world, Verb::Delete, "elsewhere"), "it is of Inst"),
        (by_uid(&world, Verb::Merge, "plain"), "changed, and is of"),
        (whatever, "deleted whatever it is"),
        (apply(&map("elsewhere"), None), "taken from another"),
        (apply(&map("neighbours"), None), ""),
    ] {
        check(&leaves(&mut world, &asked, None), wanted);
    }
    let alone = StepDuty {
        fail_on_shared: true,
        ..free(&new)
    };
    let said = leaves(&mut world, &apply(&map("neighbours"), None), Some(alone));
    check(&said, "taken from the application neighbour");
}
