//! When an application syncs by itself, what its tree looks like, and what its status says.

use std::collections::HashMap;

use domain::application::{Automated, Destination, Source, Spec, SyncPolicy};
use domain::cause::{Cause, Severity};
use domain::clock::Timestamp;
use domain::message;
use domain::operation::{Operation, OperationState, Phase, SyncResult};
use domain::project::gate::Applicant;
use domain::project::window::Window;
use domain::resource::ResourceKey;
use domain::status::{HealthCode, ResourceStatus, Status, SyncCode};
use engine::assemble::Facts;
use engine::autosync::{Decision, Idle, Input, decide};
use engine::compare::Compared;
use engine::health::{Health, Part, rollup};
use engine::operation::{End, begin, conclude};
use engine::options::{Role, SyncOptions};
use engine::tree::Entry;
use serde_json::{Value, json};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_700_000_000 + seconds, 0).expect("a time within range")
}

fn key(kind: &str, name: &str) -> ResourceKey {
    ResourceKey {
        group: String::new(),
        kind: kind.into(),
        namespace: "user01".into(),
        name: name.into(),
    }
}

fn resource(name: &str, sync: SyncCode, requires_pruning: bool) -> ResourceStatus {
    ResourceStatus {
        key: key("ConfigMap", name),
        version: "v1".into(),
        status: Some(sync),
        health: None,
        health_message: String::new(),
        requires_pruning,
        requires_deletion_confirmation: false,
        sync_wave: 0,
        hook: false,
    }
}

fn spec(automated: Automated) -> Spec {
    Spec {
        source: Some(Source::default()),
        sync_policy: Some(SyncPolicy {
            automated: Some(automated),
            ..SyncPolicy::default()
        }),
        ..Spec::default()
    }
}

fn ended(phase: Phase, revision: &str, heals: i64) -> OperationState {
    let mut operation = Operation::default();
    operation.sync.auto_heal_attempts_count = heals;
    OperationState {
        operation,
        phase,
        message: message::sync::REFUSED.message(),
        causes: vec![],
        started_at: at(-10),
        finished_at: Some(at(0)),
        retry_count: 0,
        result: Some(SyncResult {
            revisions: vec![revision.into()],
            sources: vec![json!({"repoURL": "u"})],
            ..SyncResult::default()
        }),
    }
}

/// What is decided for an application at revision `r2` whose objects are `resources`.
fn decided(
    automated: Automated,
    last: Option<&OperationState>,
    resources: &[ResourceStatus],
    now: i64,
) -> Decision {
    let spec = spec(automated);
    decide(&Input {
        applicant: Applicant {
            windows: &[],
            name: "app",
            spec: &spec,
        },
        sources: &[json!({"repoURL": "u"})],
        deleting: false,
        busy: false,
        last,
        revisions: &["r2".to_owned()],
        manifest_set: None,
        sync: SyncCode::OutOfSync,
        resources,
        now: at(now),
    })
}

const ALL: Automated = Automated {
    prune: true,
    self_heal: true,
    allow_empty: false,
    enabled: None,
};

#[test]
fn a_sync_that_was_stopped_before_it_had_a_result_does_not_begin_again_by_itself() {
    let drifted = [resource("a", SyncCode::OutOfSync, false)];
    for (phase, ended) in [
        (Phase::Terminating, message::sync::TERMINATED),
        (Phase::Running, message::sync::TIMED_OUT),
    ] {
        let Decision::Sync(operation) = decided(ALL, None, &drifted, 1) else {
            panic!("no sync")
        };
        let mut operation = *operation;
        operation.retry.limit = 0;
        let mut last = begin(operation, at(1));
        last.phase = phase;
        let end = End::new(Phase::Failed, ended.message(), Vec::new());
        assert!(conclude(&mut last, end, at(2)).is_none());
        let again = decided(ALL, Some(&last), &drifted, 3);
        assert!(matches!(again, Decision::Refused(_)), "{again:?}");
    }
}

#[test]
fn a_new_revision_is_synced_once_whatever_became_of_the_old_one() {
    let drifted = [
        resource("a", SyncCode::OutOfSync, false),
        resource("b", SyncCode::Synced, false),
    ];
    for last in [
        None,
        Some(ended(Phase::Succeeded, "r1", 0)),
        Some(ended(Phase::Failed, "r1", 0)),
    ] {
        let Decision::Sync(operation) = decided(ALL, last.as_ref(), &drifted, 1) else {
            panic!("no sync")
        };
        assert_eq!(operation.sync.revision, "r2");
        assert!(
            operation.sync.resources.is_empty()
                && operation.sync.prune
                && operation.initiated_by.automated
        );
        assert_eq!(operation.retry.limit, 5);
    }
    let failed = ended(Phase::Failed, "r2", 0);
    let Decision::Refused(cause) = decided(ALL, Some(&failed), &drifted, 1000) else {
        panic!("tried again")
    };
    assert!(cause.message.is(&message::sync::LAST_ATTEMPT_FAILED));
    let without_heal = Automated {
        self_heal: false,
        ..ALL
    };
    let succeeded = ended(Phase::Succeeded, "r2", 0);
    assert_eq!(
        decided(without_heal, Some(&succeeded), &drifted, 1000),
        Decision::Nothing(Idle::SyncedOnce)
    );
    let off = Automated {
        enabled: Some(false),
        ..ALL
    };
    assert_eq!(
        decided(off, None, &drifted, 1),
        Decision::Nothing(Idle::Off)
    );
}

#[test]
fn auto_sync_holds_still_after_a_rollback_until_git_moves() {
    let drifted = [resource("a", SyncCode::OutOfSync, false)];
    for phase in [Phase::Succeeded, Phase::Failed] {
        let mut back = ended(phase, "r1", 0);
        back.operation.hold(None, &["r2".to_owned()]);
        let Decision::Refused(cause) = decided(ALL, Some(&back), &drifted, 1000) else {
            panic!("synced by itself")
        };
        assert!(cause.message.is(&message::sync::HELD));
        assert_eq!(cause.severity, Severity::Reason);
        let mut before = ended(phase, "r0", 0);
        before.operation.hold(None, &["r1".to_owned()]);
        let decision = decided(ALL, Some(&before), &drifted, 1000);
        assert!(matches!(decision, Decision::Sync(_)), "{decision:?}");

        // What is only tried, or is about some objects, has not gone on.
        for partly in [true, false] {
            let mut later = ended(Phase::Succeeded, "r2", 0);
            later.operation.sync.dry_run = partly;
            later.operation.keep_hold(&back.operation);
            let held = matches!(
                decided(ALL, Some(&later), &drifted, 1000),
                Decision::Refused(_)
            );
            assert_eq!(held, partly);
        }
    }
}

#[test]
fn windows_keep_a_sync_back_but_neither_hide_a_failure_nor_make_one() {
    let window = |kind: &str, schedule: &str| Window {
        kind: kind.into(),
        schedule: schedule.into(),
        duration: "1h".into(),
        applications: vec!["app".into()],
        manual_sync: true,
        ..Window::default()
    };
    let (spec, sources) = (spec(ALL), [json!({"repoURL": "u"})]);
    let drifted = [resource("a", SyncCode::OutOfSync, false)];
    let decided = |windows: &[Window], last: Option<&OperationState>, sync| {
        decide(&Input {
            applicant: Applicant {
                windows,
                name: "app",
                spec: &spec,
            },
            sources: &sources,
            deleting: false,
            busy: false,
            last,
            revisions: &["r2".to_owned()],
            manifest_set: None,
            sync,
            resources: &drifted,
            now: at(0),
        })
    };
    // It is 22:13:20 on a Tuesday.
    let night = [window("deny", "0 22 * * *")];
    let Decision::Closed(closed) = decided(&night, None, SyncCode::OutOfSync) else {
        panic!("begun while a window denies it")
    };
    assert!(closed.cause.message.is(&message::sync::WINDOW_CLOSED));
    assert_eq!(closed.cause.severity, Severity::Reason);
    assert_eq!(closed.until, Some(at(46 * 60 + 40)));
    let Decision::Closed(closed) =
        decided(&[window("allow", "0 9 * * *")], None, SyncCode::OutOfSync)
    else {
        panic!("begun while no window allows it")
    };
    assert_eq!(closed.until, Some(at(10 * 3600 + 46 * 60 + 40)));
    assert!(matches!(
        decided(&[window("allow", "0 22 * * *")], None, SyncCode::OutOfSync),
        Decision::Sync(_)
    ));
    assert_eq!(
        decided(&night, None, SyncCode::Synced),
        Decision::Nothing(Idle::InStep),
        "nothing is kept back"
    );
    let failed = ended(Phase::Failed, "r2", 0);
    assert!(matches!(
        decided(&night, Some(&failed), SyncCode::OutOfSync),
        Decision::Refused(_)
    ));
    let Decision::Closed(closed) = decided(&[window("deny", "soon")], None, SyncCode::OutOfSync)
    else {
        panic!("begun past a window that cannot be read")
    };
    assert!(closed.cause.message.is(&message::sync::WINDOW_INVALID));
}

#[test]
fn an_operation_without_any_result_is_not_repeated() {
    let mut last = ended(Phase::Error, "r1", 0);
    last.result = None;
    let drifted = [resource("a", SyncCode::OutOfSync, false)];
    assert!(matches!(
        decided(ALL, Some(&last), &drifted, 1),
        Decision::Refused(_)
    ));
}

#[test]
fn self_heal_waits_longer_each_time_and_names_only_what_drifted() {
    let drifted = [
        resource("a", SyncCode::OutOfSync, false),
        resource("b", SyncCode::Synced, false),
    ];
    for (heals, wait) in [
        (0, 0),
        (1, 2),
        (2, 6),
        (3, 18),
        (4, 54),
        (5, 162),
        (6, 300),
        (60, 300),
    ] {
        let last = ended(Phase::Succeeded, "r2", heals);
        if wait > 0 {
            assert_eq!(
                decided(ALL, Some(&last), &drifted, wait - 1),
                Decision::Wait(at(wait)),
                "{heals}"
            );
        }
        let Decision::Sync(operation) = decided(ALL, Some(&last), &drifted, wait) else {
            panic!("{heals}: no heal")
        };
        assert_eq!(operation.sync.auto_heal_attempts_count, heals + 1);
        assert_eq!(
            operation.sync.resources,
            [ResourceKey {
                namespace: String::new(),
                ..key("ConfigMap", "a")
            }]
        );
    }
    let last = ended(Phase::Succeeded, "r2", 4);
    let Decision::Sync(operation) = decided(ALL, Some(&last), &drifted, 331) else {
        panic!("no heal")
    };
    assert_eq!(
        operation.sync.auto_heal_attempts_count, 1,
        "a long quiet time begins the count anew"
    );
}

#[test]
fn nothing_is_wiped_out_and_nothing_pruned_unasked() {
    let gone = [resource("a", SyncCode::OutOfSync, true)];
    let Decision::Refused(cause) = decided(ALL, None, &gone, 1) else {
        panic!("wiped out")
    };
    assert!(
        cause
            .to_owned()
            .render(message::Language::English)
            .contains("auto-sync will wipe out all resources")
    );
    assert!(matches!(
        decided(
            Automated {
                allow_empty: true,
                ..ALL
            },
            None,
            &gone,
            1
        ),
        Decision::Sync(_)
    ));
    assert_eq!(
        decided(
            Automated {
                prune: false,
                ..ALL
            },
            None,
            &gone,
            1
        ),
        Decision::Nothing(Idle::OnlyPruning)
    );
}

#[test]
fn an_application_fares_as_its_worst_object_and_missing_ones_count_only_together() {
    let part = |health, live| Part { health, live };
    let some = |code| part(Some(code), true);
    assert_eq!(rollup([]), HealthCode::Healthy);
    assert_eq!(
        rollup([some(HealthCode::Healthy), part(None, true)]),
        HealthCode::Healthy
    );
    assert_eq!(
        rollup([some(HealthCode::Suspended), some(HealthCode::Progressing)]),
        HealthCode::Progressing
    );
    assert_eq!(
        rollup([some(HealthCode::Degraded), some(HealthCode::Progressing)]),
        HealthCode::Degraded
    );
    assert_eq!(
        rollup([some(HealthCode::Healthy), part(None, false)]),
        HealthCode::Healthy
    );
    assert_eq!(
        rollup([part(None, false), part(None, false)]),
        HealthCode::Missing
    );
}

fn facts(
    now: i64,
    causes: Vec<Cause>,
    health: &HashMap<ResourceKey, engine::health::Health>,
) -> Facts<'_> {
    Facts {
        now: at(now),
        comparison: None,
        health,
        ignored_health: &[],
        causes,
        revisions: vec![],
        sources: vec![],
        multiple: false,
        destination: Destination::default(),
        ignore_differences: vec![],
        source_types: vec![],
        manifest_set: None,
        external_urls: vec!["b".into(), "a".into(), "b".into()],
        images: vec![],
        requested: false,
    }
}

#[test]
fn the_most_specific_cause_comes_first_and_keeps_its_time() {
    let health = HashMap::new();
    let vague = Cause::error(message::sync::REFUSED.message());
    let specific = Cause::error(message::sync::MISSING.with("resource", "x"))
        .on(key("ConfigMap", "x"))
        .field("f");
    let lint = Cause::warning(message::lint::MORE.with("count", 1))
        .on(key("ConfigMap", "y"))
        .field("f")
        .evidence("e");
    let first = engine::assemble(
        &Status::default(),
        facts(0, vec![lint.clone(), vague, specific.clone()], &health),
    );
    assert_eq!(
        (first.sync, first.health),
        (SyncCode::Unknown, Some(HealthCode::Unknown))
    );
    assert_eq!(first.causes.first(), Some(&specific));
    assert_eq!(first.causes.last(), Some(&lint));
    assert_eq!(first.external_urls, ["a", "b"]);
    let again = engine::assemble(&first, facts(60, vec![specific], &health));
    assert_eq!(again.cause_since, [at(0)]);
    assert_eq!(
        (again.health_since, again.reconciled_at),
        (Some(at(0)), Some(at(0)))
    );
}

#[test]
fn what_was_listed_stays_so_while_nothing_can_be_compared() {
    let health = HashMap::new();
    let broken = ResourceStatus {
        health: Some(HealthCode::Degraded),
        health_message: "it does not start".into(),
        sync_wave: 3,
        ..resource("a", SyncCode::Synced, false)
    };
    let hook = ResourceStatus {
        status: None,
        hook: true,
        ..resource("b", SyncCode::Synced, false)
    };
    let left = resource("c", SyncCode::OutOfSync, true);
    let before = Status {
        resources: vec![broken.clone(), hook.clone(), left.clone()],
        ..Status::default()
    };
    let away = engine::assemble(&before, facts(0, vec![], &health));
    let unknown = [
        ResourceStatus {
            status: Some(SyncCode::Unknown),
            health: Some(HealthCode::Unknown),
            health_message: String::new(),
            ..broken
        },
        hook,
        ResourceStatus {
            status: Some(SyncCode::Unknown),
            ..left
        },
    ];
    assert_eq!(away.resources, unknown);
    let still = engine::assemble(&away, facts(60, vec![], &health));
    assert_eq!(still.resources, unknown);
    // What is compared again is what there is.
    let nothing = engine::Comparison::default();
    let compared = Facts {
        comparison: Some(&nothing),
        ..facts(90, vec![], &health)
    };
    let compared = engine::assemble(&still, compared);
    assert!(compared.resources.is_empty());
}

#[test]
fn a_state_that_is_not_good_always_says_why() {
    let health = HashMap::new();
    let status = engine::assemble(&Status::default(), facts(0, vec![], &health));
    assert!(
        status
            .causes
            .iter()
            .any(|cause| cause.severity != Severity::Warning)
    );
    // Why it could not be compared is not that somebody else has an object too.
    let shared = Cause::warning(message::sync::SHARED_RESOURCE.with("app", "other"));
    let status = engine::assemble(&Status::default(), facts(0, vec![shared], &health));
    let causes = status.causes.iter();
    let codes: Vec<&str> = causes.map(|cause| cause.message.code.as_str()).collect();
    assert_eq!(
        codes,
        [
            "health.app-unknown",
            "sync.not-compared",
            "sync.shared-resource"
        ]
    );
    let comparison = engine::Comparison {
        sync: SyncCode::OutOfSync,
        ..engine::Comparison::default()
    };
    let facts = Facts {
        comparison: Some(&comparison),
        ..facts(0, vec![], &health)
    };
    let status = engine::assemble(&Status::default(), facts);
    assert!(
        status
            .causes
            .iter()
            .any(|cause| cause.severity != Severity::Warning)
    );
}

fn synced(key: ResourceKey) -> Compared {
    Compared {
        key,
        version: "v1".into(),
        target: Some(0),
        uid: "uid".into(),
        live: true,
        deleting: false,
        sync: Some(SyncCode::Synced),
        requires_pruning: false,
        counts: true,
        differences: vec![],
        blocked: None,
        shared_with: None,
        wave: 0,
        role: Role::Ordinary,
        options: SyncOptions::default(),
        confirm_delete: false,
    }
}

#[test]
fn an_object_that_cannot_start_comes_before_one_that_merely_starts() {
    let progressing = |code: message::Code| Health {
        code: HealthCode::Progressing,
        message: String::new(),
        causes: vec![Cause::reason(code.message())],
    };
    let (starting, stuck) = (key("Pod", "a"), key("Pod", "b"));
    let comparison = engine::Comparison {
        sync: SyncCode::Synced,
        resources: vec![synced(starting.clone()), synced(stuck.clone())],
        ..engine::Comparison::default()
    };
    let health = HashMap::from([
        (starting, progressing(message::health::POD_PENDING)),
        (stuck, progressing(message::health::IMAGE_PULL)),
    ]);
    let facts = Facts {
        comparison: Some(&comparison),
        ..facts(0, vec![], &health)
    };
    let status = engine::assemble(&Status::default(), facts);
    let first = status.causes.first().map(|cause| &cause.message);
    assert_eq!(first, Some(&message::health::IMAGE_PULL.message()));
}

fn entry<'a>(
    key: &'a ResourceKey,
    uid: &'a str,
    owners: Vec<&'a str>,
    body: &'a Value,
) -> Entry<'a> {
    let images = if key.kind == "Pod" {
        vec!["i:2", "i:1", "i:2"]
    } else {
        vec!["i:1"]
    };
    Entry {
        key,
        version: "v1",
        uid,
        resource_version: "1",
        owners,
        created_at: Some(at(0)),
        body,
        images,
    }
}

#[test]
fn the_tree_hangs_pods_below_their_owners_and_shows_what_is_not_there() {
    let kinds = |group: &str, kind: &str, name: &str| ResourceKey {
        group: group.into(),
        ..key(kind, name)
    };
    let keys = [
        kinds("apps", "Deployment", "d"),
        kinds("apps", "ReplicaSet", "d-1"),
        kinds("", "Pod", "d-1-x"),
        kinds("networking.k8s.io", "Ingress", "i"),
        kinds("", "Pod", "stray"),
    ];
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"replicas": 1}, "status": {"replicas": 1, "updatedReplicas": 1}});
    let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"annotations": {"deployment.kubernetes.io/revision": "3"}}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "d-1-x", "labels": {"app": "d"}},
        "spec": {"nodeName": "n1", "restartPolicy": "Always", "containers": [
            {"name": "c", "image": "i:1", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}}}]},
        "status": {"phase": "Running", "containerStatuses": [
            {"name": "c", "restartCount": 2, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}});
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"},
        "spec": {"rules": [{"host": "h.example", "http": {"paths": [
            {"path": "/", "backend": {"service": {"name": "s"}}}, {"path": "/a*", "backend": {"service": {"name": "s"}}}]}}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}});
    let live = [
        entry(&keys[0], "u0", vec![], &deployment),
        entry(&keys[3], "u3", vec![], &ingress),
    ];
    let beneath = [
        entry(&keys[2], "u2", vec!["u1"], &pod),
        entry(&keys[1], "u1", vec!["u0"], &set),
        entry(&keys[4], "u4", vec!["nobody"], &pod),
    ];
    let status = |key: &ResourceKey| ResourceStatus {
        key: key.clone(),
        ..resource("", SyncCode::Synced, false)
    };
    let managed = [
        status(&key("ConfigMap", "absent")),
        status(&keys[0]),
        status(&keys[3]),
    ];
    let nodes = engine::tree::build(&managed, &live, &beneath, &HashMap::new());
    let shown: Vec<(String, Option<String>)> = nodes
        .iter()
        .map(|n| (n.key.to_string(), n.parents.first().map(|p| p.uid.clone())))
        .collect();
    assert_eq!(
        shown,
        [
            ("ConfigMap user01/absent".to_owned(), None),
            ("apps/Deployment user01/d".to_owned(), None),
            ("networking.k8s.io/Ingress user01/i".to_owned(), None),
            ("Pod user01/d-1-x".to_owned(), Some("u1".to_owned())),
            (
                "apps/ReplicaSet user01/d-1".to_owned(),
                Some("u0".to_owned())
            ),
        ]
    );
    assert_eq!((nodes[0].uid.as_str(), nodes[0].created_at), ("", None));
    assert_eq!(
        nodes[0].health.as_ref().map(|h| h.0),
        Some(HealthCode::Missing)
    );
    let info = |at: usize| {
        nodes[at]
            .info
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        info(3),
        [
            "Status Reason=ImagePullBackOff",
            "Node=n1",
            "Containers=0/1",
            "Restart Count=2",
            "cpu=250",
            "memory=67108864000"
        ]
    );
    assert_eq!(info(4), ["Revision=Rev:3"]);
    let (urls, images) = engine::tree::summary(&nodes);
    assert_eq!(urls, ["http://h.example/", "http://h.example/a"]);
    assert_eq!(images, ["i:1", "i:2"]);
    let network = nodes[2].network.as_ref().unwrap();
    assert_eq!(
        (
            network.target_refs.len(),
            network.target_refs[0].name.as_str()
        ),
        (1, "s")
    );

    let health = engine::tree::assess(&live, &beneath, &HashMap::new());
    assert_eq!(health[&keys[0]].code, HealthCode::Progressing);
    assert!(
        health[&keys[0]].causes[0]
            .message
            .is(&message::health::IMAGE_PULL),
        "the pod's reason comes first"
    );
}

#[test]
fn numbers_that_no_controller_writes_break_nothing() {
    let (least, most) = (i64::MIN, i64::MAX);
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "status": {"replicas": most, "updatedReplicas": least, "availableReplicas": least}});
    let set = |spec: Value, status: Value| {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"},
            "spec": spec, "status": status})
    };
    let waits = json!({"observedGeneration": 1, "readyReplicas": least});
    let rolling = json!({"replicas": most, "updateStrategy":
        {"type": "RollingUpdate", "rollingUpdate": {"partition": least}}});
    let ready = json!({"observedGeneration": 1, "readyReplicas": most});
    for object in [
        deployment,
        set(json!({"replicas": most}), waits),
        set(rolling, ready),
    ] {
        let health = engine::health::assess(&object).expect("its kind has health");
        assert_eq!(health.code, HealthCode::Progressing, "{object}");
    }
}
