//! The controller's batches: fenced, judged row by row, repeatable, fast.

use std::time::{Duration, Instant};

use domain::application::{Application, FinalizerChange, HistoryEntry, REFRESH};
use domain::manifest::ManifestSetHash;
use domain::message;
use domain::operation::{Initiator, Operation, OperationState, Phase};
use domain::status::{HealthCode, Status};
use serde_json::{Value, json};
use store::{Code, Error, SealedSet, StatusWrite, TenantScope, Verdict};

use crate::{World, app};

fn healthy() -> Status {
    Status {
        health: Some(HealthCode::Healthy),
        ..Status::default()
    }
}

fn at(seconds: i64) -> domain::clock::Timestamp {
    chrono::DateTime::from_timestamp(seconds, 0).unwrap()
}

pub(crate) fn entry(id: i64) -> HistoryEntry {
    HistoryEntry {
        id,
        revisions: vec!["abc".into()],
        sources: vec![json!({"repoURL": "x"})],
        multiple: false,
        deploy_started_at: at(1),
        deployed_at: at(2),
        initiated_by: Initiator::default(),
        manifest_set: ManifestSetHash("h".into()),
    }
}

fn running(phase: Phase) -> OperationState {
    OperationState {
        operation: Operation::default(),
        phase,
        message: message::tenant::EXISTS.with("name", "x"),
        causes: vec![],
        started_at: at(10),
        finished_at: None,
        retry_count: 0,
        result: None,
    }
}

async fn write(world: &World, fence: i64, write: StatusWrite) -> Verdict {
    world
        .controller
        .platform()
        .publish(&[write], "cluster/0", fence)
        .await
        .unwrap()[0]
        .verdict
}

/// A tenant's manifest set as a controller hands it in.
async fn sealed(world: &World, scope: &TenantScope, hash: &str, bytes: &[u8]) -> Option<SealedSet> {
    let own = world.controller.tenant(scope.tenant());
    let hash = ManifestSetHash(hash.into());
    Some(own.seal_manifest_set(&hash, bytes).await.unwrap())
}

async fn kept(scope: &TenantScope, hash: &str) -> Option<Vec<u8>> {
    let hash = ManifestSetHash(hash.into());
    scope.manifest_set(&hash).await.unwrap()
}

async fn find(scope: &TenantScope) -> Application {
    scope.applications().find("hello").await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_write_is_judged_on_its_own_row() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let tenant = scope.tenant();
        let fence = world.lease().await.fence;
        let seen = scope.applications().create(&app("hello", 1)).await.unwrap();
        let plain = StatusWrite::status(tenant, &seen, healthy());
        assert_eq!(write(world, fence, plain.clone()).await, Verdict::Written);
        let version = find(&scope).await.resource_version;
        assert_eq!(write(world, fence, plain.clone()).await, Verdict::Unchanged);
        assert_eq!(
            find(&scope).await.resource_version,
            version,
            "what is so already is not written"
        );

        let superseded = [
            StatusWrite {
                expect_generation: Some(7),
                ..StatusWrite::status(tenant, &seen, Status::default())
            },
            StatusWrite {
                remove: true,
                ..plain.clone()
            },
        ];
        for wrong in superseded {
            assert_eq!(write(world, fence, wrong).await, Verdict::Superseded);
        }
        for gone in [
            StatusWrite {
                uid: "x".into(),
                ..plain.clone()
            },
            StatusWrite {
                app: "x".into(),
                ..plain.clone()
            },
        ] {
            assert_eq!(write(world, fence, gone).await, Verdict::Gone);
        }
        assert_eq!(find(&scope).await.status, healthy());
        let twice = world
            .controller
            .platform()
            .publish(&[plain.clone(), plain], "cluster/0", fence)
            .await;
        assert_eq!(twice.unwrap_err().code(), Code::Invalid);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_meanwhile_survives_a_result_that_did_not_know_it() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let tenant = scope.tenant();
        let fence = world.lease().await.fence;
        scope.applications().create(&app("hello", 1)).await.unwrap();

        // A refresh that is asked for again, with the same word, after the controller looked.
        let seen = scope
            .applications()
            .request_refresh("hello", "normal")
            .await
            .unwrap();
        scope
            .applications()
            .request_refresh("hello", "normal")
            .await
            .unwrap();
        let done = |seen: &Application| StatusWrite {
            clear_refresh: Some("normal".into()),
            ..StatusWrite::status(tenant, seen, healthy())
        };
        write(world, fence, done(&seen)).await;
        let again = find(&scope).await;
        assert_eq!(again.annotation(REFRESH), Some("normal"));
        write(world, fence, done(&again)).await;
        assert_eq!(find(&scope).await.annotation(REFRESH), None);

        // An operation of a person's, when the controller wanted one of its own.
        let asked = Operation {
            initiated_by: Initiator {
                username: "admin".into(),
                automated: false,
            },
            ..Operation::default()
        };
        let set = asked.clone();
        scope
            .applications()
            .update("hello", None, |app| {
                app.operation = Some(set);
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        let seen = find(&scope).await;
        let own = StatusWrite {
            set_operation: Some(Operation::default()),
            ..StatusWrite::status(tenant, &seen, healthy())
        };
        assert_eq!(write(world, fence, own).await, Verdict::Superseded);
        assert_eq!(find(&scope).await.operation, Some(asked));

        // The wish to stop, when the controller reports progress; and its end.
        let report = |phase| {
            StatusWrite::status(
                tenant,
                &seen,
                Status {
                    operation: Some(running(phase)),
                    ..healthy()
                },
            )
        };
        write(world, fence, report(Phase::Running)).await;
        scope
            .applications()
            .update("hello", None, |app| {
                app.status.operation = Some(running(Phase::Terminating));
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        write(world, fence, report(Phase::Running)).await;
        assert_eq!(
            find(&scope).await.status.operation.unwrap().phase,
            Phase::Terminating
        );
        let end = StatusWrite {
            clear_operation: true,
            ..report(Phase::Failed)
        };
        write(world, fence, end).await;
        let ended = find(&scope).await;
        assert_eq!(
            (ended.operation, ended.status.operation.unwrap().phase),
            (None, Phase::Failed)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_stop_survives_the_word_that_the_operation_has_begun() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let fence = world.lease().await.fence;
        scope.applications().create(&app("hello", 1)).await.unwrap();
        scope
            .applications()
            .update("hello", None, |app| {
                app.operation = Some(Operation::default());
                app.status.operation = Some(running(Phase::Terminating));
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        let seen = find(&scope).await;
        let begun = |operation| {
            let state = OperationState {
                operation,
                started_at: at(20),
                ..running(Phase::Running)
            };
            let status = Status {
                operation: Some(state),
                ..healthy()
            };
            StatusWrite::status(scope.tenant(), &seen, status)
        };
        write(world, fence, begun(Operation::default())).await;
        let state = find(&scope).await.status.operation.unwrap();
        assert_eq!(
            (state.phase, state.started_at),
            (Phase::Terminating, at(20)),
            "it began when the controller says"
        );

        // Nobody wished to stop another one, once that is asked for.
        let another = Operation {
            initiated_by: Initiator {
                username: "admin".into(),
                automated: false,
            },
            ..Operation::default()
        };
        write(world, fence, begun(another.clone())).await;
        let state = find(&scope).await.status.operation.unwrap();
        assert_eq!(state.phase, Phase::Terminating, "it is not asked for");
        let asked = another.clone();
        scope
            .applications()
            .update("hello", None, |app| {
                app.operation = Some(asked);
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        let mut begun = begun(another);
        if let Some(state) = &mut begun.status.operation {
            state.started_at = at(30);
        }
        write(world, fence, begun).await;
        let state = find(&scope).await.status.operation.unwrap();
        assert_eq!(state.phase, Phase::Running);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_that_knew_of_no_operation_leaves_what_is_on_record_of_it() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let fence = world.lease().await.fence;
        let by = |username: &str| Operation {
            initiated_by: Initiator {
                username: username.into(),
                automated: false,
            },
            ..Operation::default()
        };
        let of = |operation: &Operation, phase| OperationState {
            operation: operation.clone(),
            ..running(phase)
        };
        let made = scope.applications().create(&app("hello", 1)).await.unwrap();
        let before = of(&by("admin"), Phase::Succeeded);
        let deployed = Status {
            operation: Some(before),
            ..Status::default()
        };
        let deployed = StatusWrite::status(scope.tenant(), &made, deployed);
        assert_eq!(write(world, fence, deployed).await, Verdict::Written);
        let seen = find(&scope).await;
        let recorded = async || {
            let app = find(&scope).await;
            (app.status.operation.map(|of| of.phase), app.status.health)
        };

        // The same as before, which nothing but its record tells from that, and another.
        for asked in [by("admin"), by("bob")] {
            let compared = |health| {
                let status = Status {
                    health: Some(health),
                    ..seen.status.clone()
                };
                let generation = seen.metadata["generation"].as_i64();
                StatusWrite {
                    expect_generation: generation,
                    ..StatusWrite::status(scope.tenant(), &seen, status)
                }
            };
            let change = async |operation: Option<Operation>, state: Option<OperationState>| {
                let apps = scope.applications();
                let changed = apps.update("hello", None, |app| {
                    app.operation = operation;
                    app.status.operation = state;
                    Ok::<_, Error>(())
                });
                changed.await.unwrap();
            };
            change(Some(asked.clone()), None).await;
            let late = compared(HealthCode::Degraded);
            assert_eq!(write(world, fence, late.clone()).await, Verdict::Written);
            let (record, health) = recorded().await;
            assert_eq!((record, health), (None, Some(HealthCode::Degraded)));
            // The api and the function say in the same words that nothing is on record.
            let runs = of(&asked, Phase::Running);
            for state in [Some(runs), None] {
                change(Some(asked.clone()), state).await;
            }
            assert_eq!(write(world, fence, late).await, Verdict::Unchanged);

            let stops = of(&asked, Phase::Terminating);
            change(Some(asked.clone()), Some(stops)).await;
            let late = compared(HealthCode::Healthy);
            assert_eq!(write(world, fence, late.clone()).await, Verdict::Written);
            let (record, health) = recorded().await;
            let stops = Some(Phase::Terminating);
            assert_eq!((record, health), (stops, Some(HealthCode::Healthy)));
            assert_eq!(write(world, fence, late).await, Verdict::Unchanged);

            // Whoever knows of it ends it.
            let ended = Status {
                operation: Some(of(&asked, Phase::Failed)),
                ..healthy()
            };
            let ended = StatusWrite {
                clear_operation: true,
                set_operation: Some(asked),
                ..StatusWrite::status(scope.tenant(), &seen, ended)
            };
            assert_eq!(write(world, fence, ended).await, Verdict::Written);
            assert_eq!(recorded().await.0, Some(Phase::Failed));
            assert_eq!(find(&scope).await.operation, None);
        }
        // Where nothing is asked for, a result says what is on record.
        let plain = StatusWrite::status(scope.tenant(), &seen, seen.status.clone());
        assert_eq!(write(world, fence, plain).await, Verdict::Written);
        assert_eq!(find(&scope).await.status, seen.status);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_may_give_finalizers_and_take_them_but_gives_none_to_what_is_deleted() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let fence = world.lease().await.fence;
        let seen = scope.applications().create(&app("hello", 1)).await.unwrap();
        let change = |add: &[&str], remove: &[&str]| StatusWrite {
            finalizers: FinalizerChange {
                add: add.iter().map(|&name| name.to_owned()).collect(),
                remove: remove.iter().map(|&name| name.to_owned()).collect(),
            },
            ..StatusWrite::status(scope.tenant(), &seen, healthy())
        };
        let given = change(&["a", "b", "c"], &[]);
        assert_eq!(write(world, fence, given.clone()).await, Verdict::Written);
        assert_eq!(
            find(&scope).await.metadata["finalizers"],
            json!(["a", "b", "c"])
        );
        assert_eq!(write(world, fence, given).await, Verdict::Unchanged);
        assert_eq!(
            write(world, fence, change(&["d"], &["b", "x"])).await,
            Verdict::Written
        );
        assert_eq!(
            find(&scope).await.metadata["finalizers"],
            json!(["a", "c", "d"])
        );

        scope
            .applications()
            .update("hello", None, |app| {
                app.metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        assert_eq!(
            write(world, fence, change(&["e"], &["a"])).await,
            Verdict::Written
        );
        assert_eq!(find(&scope).await.metadata["finalizers"], json!(["c", "d"]));
        assert_eq!(
            write(world, fence, change(&[], &["c", "d"])).await,
            Verdict::Written
        );
        let left = find(&scope).await;
        assert!(
            left.metadata.get("finalizers").is_none(),
            "the row stays until it is told to go"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_may_be_sent_again_and_a_finished_deletion_takes_the_row() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let fence = world.lease().await.fence;
        let seen = scope.applications().create(&app("hello", 1)).await.unwrap();
        let deployed = StatusWrite {
            history: Some(entry(0)),
            ..StatusWrite::status(scope.tenant(), &seen, healthy())
        };
        for _ in 0..2 {
            assert_eq!(
                write(world, fence, deployed.clone()).await,
                Verdict::Written
            );
        }
        assert_eq!(
            scope.history().newest(seen.uid(), 10).await.unwrap(),
            [entry(0)]
        );
        assert_eq!(
            scope.history().find(seen.uid(), 0).await.unwrap(),
            Some(entry(0))
        );
        let same = entry(0);
        let other = [json!({"repoURL": "elsewhere"})];
        let deployed = async |sources: &[Value], revisions: &[String]| {
            let history = scope.history();
            let found = history.deployed(seen.uid(), sources, revisions).await;
            found.unwrap().map(|found| found.id)
        };
        assert_eq!(deployed(&same.sources, &same.revisions).await, Some(0));
        assert_eq!(deployed(&other, &same.revisions).await, None);
        assert_eq!(deployed(&same.sources, &[]).await, None);

        scope
            .applications()
            .update("hello", None, |app| {
                app.metadata["finalizers"] = json!(["f"]);
                app.metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        let remove = StatusWrite {
            remove: true,
            ..StatusWrite::status(scope.tenant(), &seen, healthy())
        };
        assert_eq!(write(world, fence, remove.clone()).await, Verdict::Removed);
        assert_eq!(write(world, fence, remove).await, Verdict::Gone);
        assert!(scope.applications().find("hello").await.unwrap().is_none());
        let changes = scope.applications().changes_since(0).await.unwrap();
        assert!(
            matches!(changes.as_slice(), [store::AppChange::Deleted(_)]),
            "{changes:?}"
        );
        assert_eq!(
            scope.history().newest(seen.uid(), 10).await.unwrap().len(),
            1,
            "history stays"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_whose_lease_has_passed_on_writes_nothing() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let lease = world.lease().await;
        let platform = world.controller.platform();
        let seen = scope.applications().create(&app("hello", 1)).await.unwrap();
        assert!(platform.release_lease(&lease).await.unwrap());
        let minute = Duration::from_secs(60);
        let next = platform
            .acquire_lease(&lease.item, "successor", minute, minute)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(next.fence, lease.fence + 1);
        let batch = [StatusWrite {
            set: sealed(world, &scope, "a", b"a").await,
            ..StatusWrite::status(scope.tenant(), &seen, healthy())
        }];
        let stale = platform
            .publish(&batch, &lease.item, lease.fence)
            .await
            .unwrap_err();
        assert_eq!(stale.code(), Code::Stale);
        assert_eq!(find(&scope).await, seen);
        assert_eq!(kept(&scope, "a").await, None);
        assert_eq!(
            platform
                .publish(&batch, &next.item, next.fence)
                .await
                .unwrap()[0]
                .verdict,
            Verdict::Written
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_writes_are_one_quick_statement_and_a_broken_one_leaves_no_trace() {
    World::with(async |world| {
        let scopes = [world.scope("user01").await, world.scope("user02").await];
        let fence = world.lease().await.fence;
        let mut batch = Vec::new();
        for scope in &scopes {
            for n in 0..250 {
                let seen = scope
                    .applications()
                    .create(&app(&format!("app-{n}"), n))
                    .await
                    .unwrap();
                let mut status = healthy();
                status.history = (0..10).map(entry).collect();
                batch.push(StatusWrite {
                    history: Some(entry(0)),
                    ..StatusWrite::status(scope.tenant(), &seen, status)
                });
            }
        }
        let versions = [
            scopes[0].current_version().await.unwrap(),
            scopes[1].current_version().await.unwrap(),
        ];
        // One write that cannot be (a history entry's id must be a number; the status a document the row takes).
        let mut broken = batch.clone();
        broken[499].status.external_urls = vec!["\0".into()];
        assert!(
            world
                .controller
                .platform()
                .publish(&broken, "cluster/0", fence)
                .await
                .is_err()
        );
        assert_eq!(scopes[0].current_version().await.unwrap(), versions[0]);

        let begun = Instant::now();
        let outcomes = world
            .controller
            .platform()
            .publish(&batch, "cluster/0", fence)
            .await
            .unwrap();
        let took = begun.elapsed();
        println!("500 writes in {took:?}");
        assert!(
            outcomes
                .iter()
                .all(|outcome| outcome.verdict == Verdict::Written)
        );
        assert!(took < Duration::from_secs(2), "{took:?}");
        for (scope, version) in scopes.iter().zip(versions) {
            assert_eq!(scope.current_version().await.unwrap(), version + 250);
            let begun = Instant::now();
            let all = scope.applications().list().await.unwrap();
            println!("a list of {} in {:?}", all.len(), begun.elapsed());
            assert!(
                all.iter()
                    .all(|app| app.status.health == Some(HealthCode::Healthy))
            );
        }
        let begun = Instant::now();
        let again: Vec<_> = batch
            .into_iter()
            .map(|write| StatusWrite {
                history: None,
                ..write
            })
            .collect();
        let outcomes = world
            .controller
            .platform()
            .publish(&again, "cluster/0", fence)
            .await
            .unwrap();
        println!("500 unchanged in {:?}", begun.elapsed());
        assert!(
            outcomes
                .iter()
                .all(|outcome| outcome.verdict == Verdict::Unchanged)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_set_is_kept_with_its_result_whatever_becomes_of_that_unless_the_application_is_gone()
 {
    World::with(async |world| {
        let (scope, other) = (world.scope("user01").await, world.scope("user02").await);
        let fence = world.lease().await.fence;
        let seen = scope.applications().create(&app("hello", 1)).await.unwrap();
        let twin = scope.applications().create(&app("twin", 2)).await.unwrap();
        let theirs = other.applications().create(&app("hello", 1)).await.unwrap();
        let with =
            async |scope: &TenantScope, seen: &Application, hash: &str, bytes: &[u8]| StatusWrite {
                set: sealed(world, scope, hash, bytes).await,
                ..StatusWrite::status(scope.tenant(), seen, healthy())
            };

        // The same of two applications, and another tenant's of that name; what says so already is first.
        let plain = StatusWrite::status(scope.tenant(), &twin, healthy());
        assert_eq!(write(world, fence, plain).await, Verdict::Written);
        let batch = [
            with(&scope, &twin, "a", b"ours").await,
            StatusWrite {
                history: Some(entry(0)),
                ..with(&scope, &seen, "a", b"ours").await
            },
            with(&other, &theirs, "a", b"theirs").await,
        ];
        let platform = world.controller.platform();
        let outcomes = platform.publish(&batch, "cluster/0", fence).await.unwrap();
        let verdicts: Vec<_> = outcomes.iter().map(|outcome| outcome.verdict).collect();
        use Verdict::{Gone, Superseded, Unchanged, Written};
        assert_eq!(verdicts, [Unchanged, Written, Written]);
        assert_eq!(kept(&scope, "a").await.unwrap(), b"ours");
        assert_eq!(kept(&other, "a").await.unwrap(), b"theirs");

        // An answer was lost.
        let retried = platform.publish(&batch, "cluster/0", fence).await.unwrap();
        let verdicts: Vec<_> = retried.iter().map(|outcome| outcome.verdict).collect();
        assert_eq!(verdicts, [Unchanged, Written, Unchanged]);
        let again = with(&scope, &seen, "a", b"else").await;
        assert_eq!(write(world, fence, again).await, Unchanged);
        let first = kept(&scope, "a").await.unwrap();
        assert_eq!(first, b"ours", "what is there stays as it is");
        let superseded = StatusWrite {
            expect_generation: Some(7),
            ..with(&scope, &seen, "b", b"b").await
        };
        assert_eq!(write(world, fence, superseded).await, Superseded);
        assert_eq!(kept(&scope, "b").await.unwrap(), b"b");
        let gone = StatusWrite {
            uid: "x".into(),
            ..with(&scope, &seen, "c", b"c").await
        };
        assert_eq!(write(world, fence, gone).await, Gone);
        assert_eq!(kept(&scope, "c").await, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_under_a_key_that_was_dropped_keeps_nobody_from_being_written_alone() {
    World::with(async |world| {
        let (scope, other) = (world.scope("user01").await, world.scope("user02").await);
        let fence = world.lease().await.fence;
        let seen = scope.applications().create(&app("hello", 1)).await.unwrap();
        let theirs = other.applications().create(&app("hello", 1)).await.unwrap();
        let broken = StatusWrite {
            set: sealed(world, &scope, "a", b"a").await,
            ..StatusWrite::status(scope.tenant(), &seen, healthy())
        };
        let sound = StatusWrite {
            set: sealed(world, &other, "a", b"a").await,
            ..StatusWrite::status(other.tenant(), &theirs, healthy())
        };
        let mut admin = crate::session(&world.database.admin).await;
        sqlx::query("UPDATE naru.tenant_keys SET version = 2 WHERE tenant_id = $1")
            .bind(scope.tenant().0)
            .execute(&mut admin)
            .await
            .unwrap();

        // All of it or nothing, and the code tells whoever wrote that the rows themselves are at fault: each is tried alone.
        let platform = world.controller.platform();
        let batch = [broken.clone(), sound.clone()];
        let refused = platform.publish(&batch, "cluster/0", fence).await;
        assert_eq!(refused.unwrap_err().code(), Code::Conflict);
        assert_eq!(find(&other).await, theirs);
        let refused = platform.publish(&[broken], "cluster/0", fence).await;
        assert_eq!(refused.unwrap_err().code(), Code::Conflict);
        assert_eq!(find(&scope).await, seen);
        assert_eq!(write(world, fence, sound).await, Verdict::Written);
        assert_eq!(kept(&other, "a").await.unwrap(), b"a");
    })
    .await;
}
