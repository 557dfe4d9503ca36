//! What the index knows, and that it stays true.

use std::collections::BTreeSet;

use cluster::{ApplyOptions, LogOptions, Wake};
use domain::resource::ResourceKey;
use futures::StreamExt as _;
use serde_json::{Value, json};
use testkit::ground::Ground;

use crate::{World, deployment, eventually, tracked};

/// Where it listed by pages instead, it would know the same, at a price that nobody sees.
pub(crate) fn every_kind_is_listed_as_a_stream(world: &World) {
    let asked = |verb: &str| {
        let ours = |event: &Value| {
            event["user"]["username"] == "naru-controller"
                && event["impersonatedUser"].is_null()
                && event["verb"] == verb
        };
        world.plane.recorded(ours).unwrap()
    };
    let listed = asked("list");
    assert!(listed.is_empty(), "{listed:?}");
    let watched = asked("watch");
    let streamed: BTreeSet<&str> = watched
        .iter()
        .filter(|event| {
            let uri = event["requestURI"].as_str().unwrap();
            uri.contains("sendInitialEvents=true") && event["responseStatus"]["code"] == 200
        })
        .filter_map(|event| event["objectRef"]["resource"].as_str())
        .collect();
    for kind in [
        "configmaps",
        "customresourcedefinitions",
        "deployments",
        "pods",
        "secrets",
    ] {
        assert!(streamed.contains(kind), "{kind} is not among {streamed:?}");
    }
}

pub(crate) async fn secrets_are_nowhere_in_the_index(world: &World) {
    let account = world.tenant("hidden").await;
    let index = world.cluster.index();
    let secret = |value: &str| {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "hidden", "annotations": {}},
            "stringData": {"password": value}});
        tracked(secret, "hidden", "hello")
    };
    let key = ResourceKey::of(&secret(""));
    let applied = account
        .apply(&secret("hunter2hunter2"), &ApplyOptions::default())
        .await
        .unwrap();
    let ours = index.observe(&applied.object).await.unwrap();
    let seen = |entry: &cluster::LiveEntry| {
        let kept = format!("{entry:?}");
        assert!(
            !kept.contains("hunter2hunter2") && !kept.contains("aHVudGVyMmh1bnRlcjI"),
            "{kept}"
        );
    };
    seen(&ours);
    assert_eq!(index.snapshot("hidden", "hello").len(), 1);
    // Somebody else's change moves the fingerprint, its content unseen.
    let path = "/api/v1/namespaces/hidden/secrets/s";
    world
        .plane
        .admin
        .merge(path, &json!({"stringData": {"password": "hunter3hunter3"}}))
        .await
        .unwrap();
    let changed = eventually("the change", || {
        index
            .get(&key)
            .filter(|entry| entry.fingerprint != ours.fingerprint)
    })
    .await;
    seen(&changed);
    let mut wrong = secret("");
    wrong["stringData"] = json!(null);
    wrong["data"] = json!({"password": "hunter4 is not base64"});
    let error = account
        .apply(&wrong, &ApplyOptions::default())
        .await
        .unwrap_err();
    let said = format!("{error:?} {:?}", error.cause());
    assert!(!said.contains("hunter4"), "{said}");
}

pub(crate) async fn pods_wake_their_application_and_have_logs(world: &World) {
    let account = world.tenant("pods").await;
    let index = world.cluster.index();
    let mut wakes = index.subscribe();
    let manifest = tracked(
        deployment(
            "pods",
            "hello",
            json!([{"name": "SECRET", "value": "unseen"}]),
        ),
        "pods",
        "hello",
    );
    account
        .apply(&manifest, &ApplyOptions::default())
        .await
        .unwrap();
    let root = eventually("the deployment", || index.snapshot("pods", "hello").pop()).await;
    let pod = eventually("a running pod", || {
        let below = index.descendants([root.uid.as_ref()]);
        let pod = below
            .iter()
            .find(|entry| entry.key.kind == "Pod" && entry.body["status"]["phase"] == "Running")?;
        assert!(below.iter().any(|entry| entry.key.kind == "ReplicaSet"));
        Some(pod.clone())
    })
    .await;
    assert_eq!(
        pod.images.first().map(AsRef::as_ref),
        Some("example/app:1.0")
    );
    assert!(!format!("{:?}", pod.body).contains("unseen"));
    assert!(pod.tracking.is_none() && pod.fingerprint.is_none());
    assert!(index.in_namespace("pods").len() >= 3);
    let wake = Wake::App {
        installation: "pods".into(),
        app: "hello".into(),
    };
    tokio::time::timeout(crate::SOON, async { while wakes.next().await != wake {} })
        .await
        .expect("a wake");
    // A pod's change alone wakes the application above it.
    let mut wakes = index.subscribe();
    let path = format!("/api/v1/namespaces/pods/pods/{}", pod.key.name);
    world
        .plane
        .admin
        .merge(&path, &json!({"metadata": {"labels": {"touched": "yes"}}}))
        .await
        .unwrap();
    tokio::time::timeout(crate::SOON, async { while wakes.next().await != wake {} })
        .await
        .expect("a wake from below");

    assert_eq!(
        account.list_pods("pods", "app=hello").await.unwrap().len(),
        1
    );
    let options = LogOptions {
        container: "main".into(),
        tail_lines: Some(10),
        ..LogOptions::default()
    };
    let mut stream = account.logs("pods", &pod.key.name, &options).await.unwrap();
    let mut log = Vec::new();
    while let Some(piece) = stream.next().await {
        log.extend_from_slice(&piece.unwrap());
    }
    assert!(!log.is_empty());
    let stranger = world.tenant("one").await;
    let denied = stranger
        .logs("pods", &pod.key.name, &options)
        .await
        .err()
        .expect("another tenant's logs");
    assert!(denied.is_forbidden(), "{denied}");
}

pub(crate) async fn a_restarted_apiserver_leaves_no_gap(world: &World, ground: &mut Ground) {
    let account = world.tenant("gap").await;
    let index = world.cluster.index();
    let map = |name: &str, value: &str| {
        json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "gap", "labels": {"value": value}}, "spec": {"ports": [{"port": 80}]}})
    };
    for name in ["changed", "deleted"] {
        account
            .apply(&map(name, "1"), &ApplyOptions::default())
            .await
            .unwrap();
        eventually("the service", || {
            index.get(&ResourceKey::of(&map(name, "1")))
        })
        .await;
    }
    let mut wakes = index.subscribe();
    let mut connection = world.cluster.connection();
    ground
        .running("kube-apiserver")
        .unwrap()
        .kill()
        .await
        .unwrap();
    let down = tokio::time::timeout(crate::SOON, connection.wait_for(|state| !state.reachable))
        .await
        .expect("noticed");
    assert!(!down.unwrap().message.is_empty());
    // Not how much is known: the cluster's own controllers may still make and take what belongs to services.
    for name in ["changed", "deleted"] {
        let known = index.get(&ResourceKey::of(&map(name, "")));
        assert!(known.is_some(), "what was known stays known: {name}");
    }
    let error = account
        .apply(&map("changed", "2"), &ApplyOptions::default())
        .await
        .unwrap_err();
    assert!(
        error.is_transient() && !error.message().is(&domain::message::cluster::REFUSED),
        "{error}"
    );

    ground.supervisor.restart("kube-apiserver").await.unwrap();
    let admin = &world.plane.admin;
    let change = || async {
        admin
            .merge(
                "/api/v1/namespaces/gap/services/changed",
                &json!({"metadata": {"labels": {"value": "2"}}}),
            )
            .await
    };
    testkit::wait::until("the apiserver is back", crate::SOON, change)
        .await
        .unwrap();
    admin
        .delete("/api/v1/namespaces/gap/services/deleted")
        .await
        .unwrap();
    tokio::time::timeout(crate::SOON, connection.wait_for(|state| state.reachable))
        .await
        .expect("noticed")
        .unwrap();
    eventually("the change", || {
        let entry = index.get(&ResourceKey::of(&map("changed", "")))?;
        (entry.body["metadata"]["labels"]["value"] == "2").then_some(())
    })
    .await;
    eventually("the deletion", || {
        index
            .get(&ResourceKey::of(&map("deleted", "")))
            .is_none()
            .then_some(())
    })
    .await;
    tokio::time::timeout(crate::SOON, async {
        while wakes.next().await != Wake::Resync {}
    })
    .await
    .expect("a resync");
    account
        .apply(&map("changed", "3"), &ApplyOptions::default())
        .await
        .unwrap();
}

/// An apiserver that has just started may not know anybody's rights yet. What was known stays known meanwhile.
pub(crate) async fn rights_that_are_away_for_a_moment_leave_no_gap(
    world: &World,
    ground: &mut Ground,
) {
    const BINDING: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/naru-controller";
    let account = world.tenant("rights").await;
    let index = world.cluster.index();
    let service = |value: &str| {
        json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kept", "namespace": "rights", "labels": {"value": value}}, "spec": {"ports": [{"port": 80}]}})
    };
    let key = ResourceKey::of(&service("1"));
    account
        .apply(&service("1"), &ApplyOptions::default())
        .await
        .unwrap();
    eventually("the service", || index.get(&key)).await;

    let admin = &world.plane.admin;
    let mut binding = admin.get(BINDING).await.unwrap().unwrap();
    admin.delete(BINDING).await.unwrap();
    ground
        .running("kube-apiserver")
        .unwrap()
        .kill()
        .await
        .unwrap();
    ground.supervisor.restart("kube-apiserver").await.unwrap();
    // Each kind's watch, by the apiserver's own count.
    let kinds = world.cluster.discovery().watched().count();
    let refused = || async {
        let metrics = admin.get("/metrics").await?.unwrap_or_default();
        let denied: f64 = metrics
            .as_str()
            .unwrap_or_default()
            .lines()
            .filter(|line| {
                line.starts_with("authorization_attempts_total{") && !line.contains("allowed")
            })
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "some fifty kinds")]
        let all = denied > 2.0 * kinds as f64;
        anyhow::ensure!(all, "{denied} refusals for {kinds} kinds");
        Ok(())
    };
    testkit::wait::until("the watches are refused", crate::SOON, refused)
        .await
        .unwrap();
    assert!(index.get(&key).is_some(), "what was known stays known");
    binding["metadata"] = json!({"name": "naru-controller"});
    admin.apply(BINDING, &binding).await.unwrap();
    admin
        .merge(
            "/api/v1/namespaces/rights/services/kept",
            &json!({"metadata": {"labels": {"value": "2"}}}),
        )
        .await
        .unwrap();
    eventually("the change", || {
        let entry = index.get(&key).expect("what was known stays known");
        (entry.body["metadata"]["labels"]["value"] == "2").then_some(())
    })
    .await;
}

/// 410 Gone: what happened while nobody looked is in no history any more.
pub(crate) async fn a_watch_whose_version_is_gone_lists_anew(world: &World, ground: &mut Ground) {
    let account = world.tenant("expired").await;
    let index = world.cluster.index();
    let service = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "expired"},
        "spec": {"ports": [{"port": 80}], "clusterIP": "None"}})
    };
    let key = |name: &str| ResourceKey::of(&service(name));
    for name in ["stays", "lost"] {
        account
            .apply(&service(name), &ApplyOptions::default())
            .await
            .unwrap();
        eventually("the service", || index.get(&key(name))).await;
    }
    let followed = index
        .get(&key("lost"))
        .unwrap()
        .resource_version
        .to_string();
    ground
        .running("kube-apiserver")
        .unwrap()
        .kill()
        .await
        .unwrap();
    world
        .plane
        .lose("services/specs/expired/lost")
        .await
        .unwrap();
    ground.supervisor.restart("kube-apiserver").await.unwrap();
    let refused = || async {
        let said = world
            .plane
            .watch_from("/api/v1/services", &followed)
            .await?;
        anyhow::ensure!(said.contains("\"code\":410"), "{said}");
        Ok(())
    };
    testkit::wait::until("the version is gone", crate::SOON, refused)
        .await
        .unwrap();
    eventually("the loss", || {
        index.get(&key("lost")).is_none().then_some(())
    })
    .await;
    eventually("what stays", || index.get(&key("stays"))).await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no lifecycle to spawn on"
)]
pub(crate) async fn what_went_meanwhile_is_found_gone(world: &World) {
    let index = world.cluster.index();
    let key = ResourceKey {
        kind: "Service".into(),
        namespace: "gap".into(),
        name: "changed".into(),
        ..ResourceKey::default()
    };
    assert!(index.get(&key).is_some());
    world
        .plane
        .admin
        .delete("/api/v1/namespaces/gap/services/changed")
        .await
        .unwrap();
    let running = tokio::spawn(world.cluster.clone().run());
    eventually("the deletion", || index.get(&key).is_none().then_some(())).await;
    running.abort();
}
