//! Applications: versions, updates, deletion, and what watchers see.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use domain::application::{Application, REFRESH, RESOURCES_FINALIZER};
use domain::manifest::{HeldSet, ManifestSetHash};
use domain::operation::Operation;
use domain::project::Project;
use domain::quota::{Quota, Quotas};
use futures::StreamExt;
use serde_json::json;
use sqlx::Connection;
use store::audit::AuditEntry;
use store::{AppChange, ChangeKind, Code, Error, KeyFile, Options, Role, Store};

use crate::migrating::waited_for;
use crate::{World, app, session, spec};

#[tokio::test(flavor = "multi_thread")]
async fn documents_keep_every_field_and_versions_grow_with_each_change() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let apps = scope.applications();
        let made = apps.create(&app("hello", 1)).await.unwrap();
        assert_eq!(made.spec, spec(1), "unknown fields stay");
        assert_eq!(made.metadata["generation"], 1);
        assert_eq!(
            made.metadata["resourceVersion"],
            made.resource_version.to_string()
        );
        assert!(
            made.metadata["creationTimestamp"]
                .as_str()
                .unwrap()
                .ends_with('Z')
        );

        let same = apps
            .update("hello", None, |_| Ok::<_, Error>(()))
            .await
            .unwrap();
        assert_eq!(same, made, "a change that changes nothing writes nothing");
        let labelled = apps
            .update("hello", Some(made.resource_version), |app| {
                app.metadata["labels"] = json!({"a": "b"});
                app.metadata["uid"] = json!("another");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        assert_eq!(labelled.uid(), made.uid(), "identity stays");
        assert_eq!(
            labelled.metadata["generation"], 1,
            "only the spec moves the generation"
        );
        assert_eq!(labelled.resource_version, made.resource_version + 1);
        let old = apps
            .update("hello", Some(made.resource_version), |_| Ok::<_, Error>(()))
            .await
            .unwrap_err();
        assert_eq!(old.code(), Code::Conflict);
        let refused = apps
            .update("hello", None, |_| {
                Err(Error::Conflict {
                    what: "x",
                    name: "y".into(),
                })
            })
            .await;
        assert!(refused.is_err());
        assert_eq!(apps.find("hello").await.unwrap().unwrap(), labelled);
        assert_eq!(
            apps.update("none", None, |_| Ok::<_, Error>(()))
                .await
                .unwrap_err()
                .code(),
            Code::NotFound
        );
        let nul = apps
            .update("hello", None, |app| {
                app.spec["x"] = json!("\0");
                Ok::<_, Error>(())
            })
            .await;
        assert_eq!(nul.unwrap_err().code(), Code::Invalid);
        let nul = apps
            .update("hello", None, |app| {
                let mut asked = Operation::default();
                asked.initiated_by.username = "\0".to_owned();
                app.operation = Some(asked);
                Ok::<_, Error>(())
            })
            .await;
        assert_eq!(nul.unwrap_err().code(), Code::Invalid);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_found_with_its_project_by_who_may_see_it() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let apps = scope.applications();
        let made = apps.create(&app("hello", 1)).await.unwrap();
        let seen = apps.find_for("hello", |project| project == "default").await;
        let (found, project) = seen.unwrap().unwrap();
        assert_eq!(found, made);
        assert_eq!(project.unwrap().name(), "default");
        assert!(apps.find_for("hello", |_| false).await.unwrap().is_none());
        let missing = apps.find_for("missing", str::is_empty).await;
        assert!(missing.unwrap().is_none());

        apps.update("hello", None, |app| {
            app.spec["project"] = json!("gone");
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
        // Whoever may see where it was is let in nowhere else.
        let seen = apps.find_for("hello", |project| project == "default").await;
        assert!(seen.unwrap().is_none());
        let seen = apps.find_for("hello", |project| project == "gone").await;
        let (_, project) = seen.unwrap().unwrap();
        assert!(project.is_none());

        let other = world.scope("user02").await;
        let foreign = other.applications().find_for("hello", |_| true).await;
        assert!(foreign.unwrap().is_none());
        apps.delete("hello").await.unwrap();
        let seen = apps.find_for("hello", |_| true).await;
        assert!(seen.unwrap().is_none(), "it was seen, and is gone");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_asked_for_at_once_are_each_tenants_own_and_a_broken_name_fails_alone() {
    World::with(async |world| {
        let scopes = [world.scope("user01").await, world.scope("user02").await];
        for (scope, count) in scopes.iter().zip([1, 2]) {
            for n in 0..40 {
                let made = app(&format!("app-{n}"), count);
                scope.applications().create(&made).await.unwrap();
            }
        }
        // More than a statement takes, every one twice; from 40 on there is none of that name.
        let asked = (0..200).map(|at| {
            let scope = scopes[at % 2].clone();
            async move {
                let name = format!("app-{}", at / 4);
                (at, scope.applications().find_at_work(&name).await)
            }
        });
        let apps = scopes[0].applications();
        let (found, broken) =
            tokio::join!(futures::future::join_all(asked), apps.find_at_work("a\0b"));
        assert_eq!(broken.unwrap_err().code(), Code::Invalid);
        for (at, found) in found {
            let found = found.unwrap();
            assert_eq!(found.is_some(), at < 160, "{at}");
            if let Some((found, _)) = found {
                assert_eq!(found.name(), format!("app-{}", at / 4));
                assert_eq!(found.spec, spec([1, 2][at % 2]), "its own tenant's");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_together_with_others_sees_what_was_written_before() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let writers = (0..16).map(|writer| {
            let scope = scope.clone();
            async move {
                let (apps, name) = (scope.applications(), format!("app-{writer}"));
                apps.create(&app(&name, 0)).await.unwrap();
                for count in 1..=20 {
                    let count_up = move |app: &mut Application| {
                        app.spec["count"] = json!(count);
                        Ok::<_, Error>(())
                    };
                    let written = apps.update(&name, None, count_up).await.unwrap();
                    let (read, _) = apps.find_at_work(&name).await.unwrap().unwrap();
                    assert_eq!(read, written);
                }
            }
        });
        futures::future::join_all(writers).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_project_that_an_application_was_in_is_asked_for_once() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        scope.applications().create(&app("a", 1)).await.unwrap();
        // Another process has had nothing to do with it yet.
        let other = world.controller.tenant(scope.tenant());
        for (scope, expected) in [
            (&scope, vec!["default"]),
            (&other, vec!["", "default"]),
            (&other, vec!["default"]),
        ] {
            let asked = Mutex::new(Vec::new());
            let may = |project: &str| {
                asked.lock().unwrap().push(project.to_owned());
                true
            };
            let found = scope.applications().find_for("a", may).await.unwrap();
            assert_eq!(found.unwrap().0.name(), "a");
            assert_eq!(*asked.lock().unwrap(), expected);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_found_at_once_each_with_its_own_project_by_who_may_see_it() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let team = Project {
            metadata: json!({"name": "team", "uid": "uid-team"}),
            spec: json!({}),
            resource_version: 0,
        };
        scope.projects().create(&team).await.unwrap();
        // By what they are called: without a project, in one, in another, in one that is not there.
        let named = ["", "default", "team", "gone"];
        for n in 0..40 {
            let mut made = app(&format!("app-{n}"), n);
            made.spec["project"] = json!(named[n as usize % 4]);
            scope.applications().create(&made).await.unwrap();
        }
        // One process knows where each is, the other has to ask; the second time both know.
        let other = world.controller.tenant(scope.tenant());
        for scope in [&scope, &other, &other] {
            let asked = (0..50).map(|n: u32| async move {
                let (apps, name) = (scope.applications(), format!("app-{n}"));
                let found = apps.find_for(&name, |named| named != "team").await;
                (n, found.unwrap())
            });
            for (n, found) in futures::future::join_all(asked).await {
                let named = named[n as usize % 4];
                let Some((found, project)) = found else {
                    assert!(n >= 40 || named == "team", "{n} was not found");
                    continue;
                };
                assert!(n < 40 && named != "team", "{n} was found");
                assert_eq!(found.name(), format!("app-{n}"));
                let project = project.map(|project| project.name().to_owned());
                let expected = (named != "gone").then_some("default");
                assert_eq!(project.as_deref(), expected);
            }
        }
        let team = scope.applications().find_for("app-2", |_| true).await;
        let (_, project) = team.unwrap().unwrap();
        assert_eq!(project.unwrap().name(), "team");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_kept_at_once_are_each_tenants_own_and_a_broken_one_fails_alone() {
    World::with(async |world| {
        let scopes = [world.scope("user01").await, world.scope("user02").await];
        let keeper = |whose: usize| world.controller.tenant(scopes[whose].tenant());
        // Two ask for the same set, as two applications of the same manifests do.
        let hash = |at: usize| ManifestSetHash(format!("{:064}", at / 2));
        let keeping = (0..200).map(|at| {
            let (keeper, hash) = (keeper(at / 2 % 2), hash(at));
            async move {
                keeper
                    .put_manifest_set(&hash, &(at / 2).to_be_bytes())
                    .await
            }
        });
        let (ours, broken) = (keeper(0), ManifestSetHash("a\0b".into()));
        let (kept, broken) = tokio::join!(
            futures::future::join_all(keeping),
            ours.put_manifest_set(&broken, &[0]),
        );
        assert!(broken.is_err());
        for (at, kept) in kept.into_iter().enumerate() {
            kept.unwrap();
            let (own, other) = (&scopes[at / 2 % 2], &scopes[1 - at / 2 % 2]);
            let found = own.manifest_set(&hash(at)).await.unwrap();
            assert_eq!(found.as_deref(), Some(&(at / 2).to_be_bytes()[..]));
            assert_eq!(other.manifest_set(&hash(at)).await.unwrap(), None);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_drawn_for_an_application_is_kept_for_it_alone_and_goes_with_it() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let keeper = world.controller.tenant(scope.tenant());
        let made = scope.applications().create(&app("a", 1)).await.unwrap();
        let other = scope.applications().create(&app("b", 1)).await.unwrap();
        let name = |uid: &str, n: u32| HeldSet::name(uid, &format!("inputs-{n}"));
        for n in 0..12 {
            let name = name(made.uid(), n);
            let held = keeper.hold_manifest_set(made.uid(), &name, &[1]);
            held.await.unwrap();
        }
        let others = name(other.uid(), 0);
        let held = keeper.hold_manifest_set(other.uid(), &others, &[2]);
        held.await.unwrap();
        let deployed = ManifestSetHash("a".repeat(64));
        keeper.put_manifest_set(&deployed, &[3]).await.unwrap();
        let kept = async |name: &ManifestSetHash| scope.manifest_set(name).await.unwrap().is_some();
        assert!(!kept(&name(made.uid(), 0)).await && !kept(&name(made.uid(), 1)).await);
        assert!(kept(&name(made.uid(), 2)).await && kept(&name(made.uid(), 11)).await);

        // Nobody deletes another one.
        let mut api = session(&world.database.api).await;
        let bind = format!(
            "SELECT set_config('naru.tenant', '{}', false)",
            scope.tenant()
        );
        sqlx::query(&bind).execute(&mut api).await.unwrap();
        let statement = "DELETE FROM naru.manifest_sets WHERE NOT starts_with(hash, 'held/')";
        let gone = sqlx::query(statement).execute(&mut api).await.unwrap();
        assert_eq!(gone.rows_affected(), 0);

        scope.applications().delete("a").await.unwrap();
        assert!(!kept(&name(made.uid(), 11)).await);
        assert!(kept(&others).await && kept(&deployed).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_goes_with_its_last_finalizer_and_watchers_are_told() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let apps = scope.applications();
        let mut with_finalizer = app("hello", 1);
        with_finalizer.metadata["finalizers"] = json!([RESOURCES_FINALIZER]);
        let made = apps.create(&with_finalizer).await.unwrap();
        let deleting = apps
            .update("hello", None, |app| {
                app.metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        assert!(apps.find("hello").await.unwrap().is_some());
        apps.update("hello", None, |app| {
            app.metadata["finalizers"] = json!([]);
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
        assert!(apps.find("hello").await.unwrap().is_none());
        let anew = apps.create(&app("hello", 2)).await.unwrap();

        let changes = apps.changes_since(made.resource_version).await.unwrap();
        let [AppChange::Deleted(gone), AppChange::Upsert(there)] = changes.as_slice() else {
            panic!("{changes:?}")
        };
        assert_eq!((gone.uid(), there), (made.uid(), &anew));
        assert!(
            gone.resource_version > deleting.resource_version
                && there.resource_version > gone.resource_version
        );
        assert_eq!(
            apps.changes_since(scope.current_version().await.unwrap())
                .await
                .unwrap(),
            []
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_at_once_lose_nothing_and_a_watcher_misses_nothing() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        scope
            .applications()
            .create(&app("counter", 0))
            .await
            .unwrap();
        let begun = scope.current_version().await.unwrap();
        let (writers, each) = (8, 15);
        let tasks = (0..writers).map(|writer| {
            let scope = scope.clone();
            async move {
                for _ in 0..each {
                    let add = |app: &mut Application| {
                        app.spec["count"] = json!(app.spec["count"].as_i64().unwrap_or(0) + 1);
                        Ok::<_, Error>(())
                    };
                    scope
                        .applications()
                        .update("counter", None, add)
                        .await
                        .unwrap();
                    scope
                        .applications()
                        .create(&app(&format!("app-{writer}-{}", crate::uuid()), 1))
                        .await
                        .unwrap();
                }
            }
        });
        let watcher = {
            let scope = scope.clone();
            async move {
                let (mut seen, mut made) = (begun, 0);
                while made < writers * each {
                    for change in scope.applications().changes_since(seen).await.unwrap() {
                        assert!(change.app().resource_version > seen);
                        seen = change.app().resource_version;
                        made += usize::from(change.app().name() != "counter");
                    }
                }
            }
        };
        let all = async { tokio::join!(futures::future::join_all(tasks), watcher) };
        tokio::time::timeout(std::time::Duration::from_secs(60), all)
            .await
            .unwrap();
        let counter = scope.applications().find("counter").await.unwrap().unwrap();
        assert_eq!(counter.spec["count"], writers * each);
        assert_eq!(
            scope.current_version().await.unwrap(),
            begun + i64::try_from(2 * writers * each).unwrap()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_share_a_transaction_have_a_version_each_and_are_each_announced() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let names: Vec<String> = (0..40).map(|n| format!("app-{n:02}")).collect();
        for name in &names {
            scope.applications().create(&app(name, 0)).await.unwrap();
        }
        let mut feed = std::pin::pin!(world.controller.platform().listen());
        assert_eq!(feed.next().await.unwrap().kind, ChangeKind::Resync);
        let begun = scope.current_version().await.unwrap();
        // The first ones go together, and then all that wait meanwhile.
        let changes = names.iter().map(|name| {
            let scope = scope.clone();
            async move {
                let count = |app: &mut Application| {
                    app.spec["count"] = json!({"1": 1, "0.5": 0.5, "nothing": null});
                    app.metadata["annotations"][REFRESH] = json!("normal");
                    app.operation = Some(Operation::default());
                    Ok::<_, Error>(())
                };
                scope
                    .applications()
                    .update(name, None, count)
                    .await
                    .unwrap()
            }
        });
        let written = futures::future::join_all(changes).await;
        let mut versions: Vec<i64> = written.iter().map(|app| app.resource_version).collect();
        versions.sort_unstable();
        let last = begun + i64::try_from(names.len()).unwrap();
        assert_eq!(versions, (begun + 1..=last).collect::<Vec<_>>());
        assert_eq!(scope.current_version().await.unwrap(), last);
        for (app, name) in written.iter().zip(&names) {
            assert_eq!(app.name(), name);
            assert_eq!(app.metadata["generation"], 2);
            assert_eq!(
                scope.applications().find(name).await.unwrap().as_ref(),
                Some(app),
                "what is told is what is stored"
            );
        }
        let mut left: HashSet<&str> = names.iter().map(String::as_str).collect();
        let announced = async {
            while !left.is_empty() {
                let change = feed.next().await.unwrap();
                if let ChangeKind::App(name) = &change.kind {
                    assert_eq!(
                        (change.tenant, change.published),
                        (Some(scope.tenant()), false)
                    );
                    assert!(left.remove(name.as_str()), "{name} was announced twice");
                }
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), announced)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_changes_that_share_a_transaction_those_beyond_a_quota_are_refused_alone() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let four = Quotas([("operations".to_owned(), 4)].into());
        let platform = world.api.platform();
        platform
            .set_tenant_quotas(scope.tenant(), &four)
            .await
            .unwrap();
        let names: Vec<String> = (0..12).map(|n| format!("app-{n:02}")).collect();
        for name in &names {
            scope.applications().create(&app(name, 0)).await.unwrap();
        }
        let before = scope.current_version().await.unwrap();
        let asked = names.iter().map(|name| {
            let scope = scope.clone();
            async move {
                let begin = |app: &mut Application| {
                    app.operation = Some(Operation::default());
                    Ok::<_, Error>(())
                };
                scope.applications().update(name, None, begin).await
            }
        });
        let mut begun = Vec::new();
        for outcome in futures::future::join_all(asked).await {
            match outcome {
                Ok(app) => begun.push(app),
                Err(refused) => assert_eq!(refused.code(), Code::Exhausted),
            }
        }
        assert_eq!(begun.len(), 4, "as many as may are begun");
        for app in &begun {
            let stored = scope.applications().find(app.name()).await.unwrap();
            assert_eq!(stored.as_ref(), Some(app));
        }
        let usage = scope.usage().await.unwrap();
        assert_eq!(usage[&Quota::Operations], 4);
        let versions: HashSet<i64> = begun.iter().map(|app| app.resource_version).collect();
        assert_eq!(
            versions,
            (before + 1..=before + 4).collect::<HashSet<i64>>(),
            "what is refused takes no version"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_read_is_changed_as_it_is_by_now() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let apps = scope.applications();
        let label = |name: &'static str| {
            move |app: &mut Application| {
                app.metadata["labels"][name] = json!("here");
                Ok::<_, Error>(())
            }
        };
        let made = apps.create(&app("hello", 1)).await.unwrap();
        let first = apps
            .update_read(made.clone(), label("first"))
            .await
            .unwrap();
        assert_eq!(first.metadata["labels"], json!({"n": "1", "first": "here"}));
        assert_eq!(apps.find("hello").await.unwrap().as_ref(), Some(&first));

        // It is another by now.
        let second = apps
            .update_read(made.clone(), label("second"))
            .await
            .unwrap();
        let labels = json!({"n": "1", "first": "here", "second": "here"});
        assert_eq!(second.metadata["labels"], labels);
        assert_eq!(apps.find("hello").await.unwrap().as_ref(), Some(&second));
        let same = apps
            .update_read(second.clone(), label("second"))
            .await
            .unwrap();
        assert_eq!(same, second, "a change that changes nothing writes nothing");

        // What has its version is taken for it, and is not read again.
        let mut marked = second.clone();
        marked.spec["marked"] = json!(true);
        let marked = apps.update_read(marked, label("third")).await.unwrap();
        assert_eq!(marked.spec["marked"], true);

        apps.delete("hello").await.unwrap();
        let gone = apps.update_read(marked.clone(), label("late")).await;
        assert_eq!(gone.unwrap_err().code(), Code::NotFound);
        let anew = apps.create(&app("hello", 2)).await.unwrap();
        let changed = apps.update_read(marked, label("late")).await.unwrap();
        assert_eq!(changed.uid(), anew.uid());
        assert_eq!(changed.spec, spec(2), "nothing of the one before");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_were_read_and_those_that_were_not_share_a_transaction() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let apps = scope.applications();
        let mut read = Vec::new();
        for n in 0..24 {
            let made = apps.create(&app(&format!("app-{n:02}"), n)).await.unwrap();
            read.push(made);
        }
        let touched = |app: &mut Application| {
            app.metadata["labels"]["touched"] = json!("yes");
            Ok::<_, Error>(())
        };
        for made in read.iter().step_by(3) {
            apps.update(made.name(), None, touched).await.unwrap();
        }
        let count = |app: &mut Application| {
            app.spec["count"] = json!(1);
            Ok::<_, Error>(())
        };
        let changes = read.iter().enumerate().map(|(at, made)| async move {
            match at % 2 {
                0 => apps.update_read(made.clone(), count).await,
                _ => apps.update(made.name(), None, count).await,
            }
        });
        for (at, written) in futures::future::join_all(changes)
            .await
            .into_iter()
            .enumerate()
        {
            let written = written.unwrap();
            assert_eq!(written.name(), read[at].name());
            assert_eq!(written.metadata["labels"]["n"], at.to_string());
            let touched = written.metadata["labels"].get("touched").is_some();
            assert_eq!(touched, at % 3 == 0, "{at}");
            let stored = apps.find(written.name()).await.unwrap();
            assert_eq!(stored, Some(written));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_in_a_transaction_of_which_a_part_is_refused_stays_gone() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let one = Quotas([("operations".to_owned(), 1)].into());
        let platform = world.api.platform();
        platform
            .set_tenant_quotas(scope.tenant(), &one)
            .await
            .unwrap();
        let names: Vec<String> = (0..12).map(|n| format!("app-{n:02}")).collect();
        for name in &names {
            scope.applications().create(&app(name, 0)).await.unwrap();
        }
        // They go together: every third goes for good, the rest is more than there may be.
        let asked = names.iter().enumerate().map(|(at, name)| {
            let scope = scope.clone();
            async move {
                let change = move |app: &mut Application| {
                    if at % 3 == 0 {
                        app.metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                    } else {
                        app.operation = Some(Operation::default());
                    }
                    Ok::<_, Error>(())
                };
                scope.applications().update(name, None, change).await
            }
        });
        let outcomes = futures::future::join_all(asked).await;
        let mut begun = 0;
        for (at, (outcome, name)) in outcomes.into_iter().zip(&names).enumerate() {
            let stored = scope.applications().find(name).await.unwrap();
            match outcome {
                Ok(gone) if at % 3 == 0 => {
                    assert!(gone.deleting() && stored.is_none(), "{name} is back");
                }
                Ok(app) => {
                    assert_eq!(stored, Some(app));
                    begun += 1;
                }
                Err(refused) => assert!(at % 3 != 0 && refused.code() == Code::Exhausted),
            }
        }
        assert_eq!(begun, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_into_a_transaction_that_was_refused_or_given_up_as_it_began() {
    World::with(async |world| {
        let tenant = world.scope("user01").await.tenant();
        // Whoever comes next has the same connection.
        let options = Options {
            max_connections: 1,
            ..Options::default()
        };
        let key = KeyFile::from_base64(&world.key).unwrap();
        let store = Store::connect_with(&world.database.api, Role::Api, key, options);
        let store = store.await.unwrap();
        let scope = store.tenant(tenant);
        let mut admin = session(&world.database.admin).await;
        for refused in [true, false] {
            let mut holding = admin.begin().await.unwrap();
            sqlx::query("SELECT FROM naru.tenants WHERE id = $1 FOR UPDATE")
                .bind(tenant.0)
                .execute(&mut *holding)
                .await
                .unwrap();
            let (apps, made) = (scope.applications(), app("hello", 1));
            let waits = apps.create(&made);
            let seen = waited_for(world, "wait_event_type = 'Lock'");
            if refused {
                let cancels = async {
                    seen.await;
                    let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
                                  WHERE datname = current_database() AND wait_event_type = 'Lock'";
                    sqlx::query(cancel).execute(&mut *holding).await.unwrap();
                };
                let (waited, ()) = tokio::join!(waits, cancels);
                assert_eq!(waited.unwrap_err().code(), Code::Unavailable);
            } else {
                // Whoever asked goes away.
                tokio::select! {
                    made = waits => panic!("the counter is locked: {made:?}"),
                    () = seen => {}
                }
            }
            holding.commit().await.unwrap();
            let id = scope.audit().append(&AuditEntry::default()).await.unwrap();
            let kept: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM naru.audit WHERE tenant_id = $1 AND id = $2)",
            )
            .bind(tenant.0)
            .bind(id)
            .fetch_one(&mut admin)
            .await
            .unwrap();
            assert!(kept, "it was told as written");
        }
        assert_eq!(scope.applications().list().await.unwrap(), []);
        store.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_never_answered_keeps_neither_the_next_ones_waiting_nor_its_connection() {
    World::with(async |world| {
        let made = world.scope("user01").await;
        for name in ["hung", "next"] {
            made.applications().create(&app(name, 1)).await.unwrap();
        }
        let options = Options {
            max_connections: 1,
            longest: Duration::from_secs(2),
            ..Options::default()
        };
        let key = KeyFile::from_base64(&world.key).unwrap();
        let store = Store::connect_with(&world.database.api, Role::Api, key, options);
        let store = store.await.unwrap();
        let scope = store.tenant(made.tenant());
        let apps = scope.applications();
        let change = |app: &mut Application| -> Result<(), Error> {
            app.spec["changed"] = true.into();
            Ok(())
        };
        let mut admin = session(&world.database.admin).await;
        let mut holding = admin.begin().await.unwrap();
        sqlx::query(
            "SELECT FROM naru.applications WHERE tenant_id = $1 AND name = 'hung' FOR UPDATE",
        )
        .bind(scope.tenant().0)
        .execute(&mut *holding)
        .await
        .unwrap();
        let next = async {
            waited_for(world, "wait_event_type = 'Lock'").await;
            // It has the only connection.
            store.ping().await.unwrap();
            holding.commit().await.unwrap();
            apps.update("next", None, change).await.unwrap();
        };
        let (hung, ()) = tokio::join!(apps.update("hung", None, change), next);
        assert_eq!(hung.unwrap_err().code(), Code::Unavailable);
        let hung = apps.find("hung").await.unwrap().unwrap();
        assert_eq!(hung.spec.get("changed"), None, "it was never committed");
        store.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_cannot_be_read_keeps_no_other_from_being_changed() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let names: Vec<String> = (0..8).map(|n| format!("app-{n}")).collect();
        for name in &names {
            scope.applications().create(&app(name, 0)).await.unwrap();
        }
        let mut admin = session(&world.database.admin).await;
        sqlx::query(
            "UPDATE naru.applications SET status = '7' WHERE tenant_id = $1 AND name = 'app-5'",
        )
        .bind(scope.tenant().0)
        .execute(&mut admin)
        .await
        .unwrap();
        // They go together.
        let asked = names.iter().map(|name| {
            let scope = scope.clone();
            async move {
                let count = |app: &mut Application| {
                    app.spec["count"] = json!(1);
                    Ok::<_, Error>(())
                };
                scope.applications().update(name, None, count).await
            }
        });
        for (changed, name) in futures::future::join_all(asked).await.iter().zip(&names) {
            match changed {
                Ok(app) => assert_eq!((app.name(), &app.spec["count"]), (name.as_str(), &json!(1))),
                Err(error) => assert_eq!((name.as_str(), error.code()), ("app-5", Code::Internal)),
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_panics_leaves_nobody_waiting() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let apps = scope.applications();
        apps.create(&app("a", 0)).await.unwrap();
        let broken = apps.update("a", None, |_| -> Result<(), Error> {
            panic!("a defect, on purpose")
        });
        assert_eq!(broken.await.unwrap_err().code(), Code::Unavailable);
        let next = apps.update("a", None, |app| {
            app.spec["count"] = json!(1);
            Ok::<_, Error>(())
        });
        let next = tokio::time::timeout(std::time::Duration::from_secs(60), next).await;
        assert_eq!(next.unwrap().unwrap().spec["count"], 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_are_found_by_any_of_their_repositories() {
    World::with(async |world| {
        let (a, b) = (world.scope("user01").await, world.scope("user02").await);
        for scope in [&a, &b] {
            scope.applications().create(&app("hello", 1)).await.unwrap();
            scope.applications().create(&app("other", 2)).await.unwrap();
        }
        let platform = world.controller.platform();
        let url = domain::repository::normalize_url("https://GIT.example/team/app-1.git");
        assert_eq!(
            platform.apps_of_repo(&url, Some(a.tenant())).await.unwrap(),
            [(a.tenant(), "hello".to_owned())]
        );
        assert_eq!(platform.apps_of_repo(&url, None).await.unwrap().len(), 2);
        assert_eq!(platform.all_apps().await.unwrap().len(), 4);
        assert!(
            a.applications()
                .request_refresh("hello", "hard")
                .await
                .unwrap()
                .annotation(REFRESH)
                == Some("hard")
        );
    })
    .await;
}
