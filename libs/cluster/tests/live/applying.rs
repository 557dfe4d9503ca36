//! Apply, heal, migrate, merge, delete.

use cluster::{ApplyMethod, ApplyOptions, DeleteOptions, Deletion, Wake, WriteOptions};
use domain::resource::ResourceKey;
use serde_json::{Value, json};
use testkit::kube::Kube;

use crate::{World, deployment, eventually, tracked};

const PATH: &str = "/apis/apps/v1/namespaces/heal/deployments/hello";

async fn edit(kube: &Kube, patch: Value) {
    kube.merge(PATH, &patch).await.unwrap();
}

pub(crate) async fn an_edit_is_seen_and_healed(world: &World) {
    let account = world.tenant("heal").await;
    let index = world.cluster.index();
    let manifest = tracked(deployment("heal", "hello", json!([])), "heal", "hello");
    let options = ApplyOptions::default();
    let dry = account
        .apply(
            &manifest,
            &ApplyOptions {
                dry_run: true,
                ..options.clone()
            },
        )
        .await
        .unwrap();
    assert!(dry.created);
    let applied = account.apply(&manifest, &options).await.unwrap();
    assert!(
        applied.created
            && applied.conflicts.is_empty()
            && applied.method == ApplyMethod::ServerSide
    );
    let entry = index
        .observe(&applied.object)
        .await
        .expect("ours is in the index at once");
    assert_eq!(index.snapshot("heal", "hello").len(), 1);
    assert!(
        index.snapshot("one", "hello").is_empty(),
        "another tenant's app of that name"
    );
    let managed = entry.managed.clone().expect("our field set");
    assert!(
        managed
            .field("spec")
            .unwrap()
            .field("replicas")
            .unwrap()
            .is_owned()
    );
    assert!(managed.field("spec").unwrap().field("strategy").is_none());
    let key = ResourceKey::of(&manifest);
    // The controller writes its revision first; then nothing changes by itself.
    let settled = eventually("a settled deployment", || {
        let entry = index.get(&key)?;
        (entry.body["status"]["availableReplicas"] == 1).then_some(entry)
    })
    .await;
    assert_eq!(entry.fingerprint, Some(index.fingerprint(&applied.object)));

    let mut wakes = index.subscribe();
    edit(&world.plane.admin, json!({"spec": {"replicas": 3}})).await;
    let wake = Wake::App {
        installation: "heal".into(),
        app: "hello".into(),
    };
    tokio::time::timeout(crate::SOON, async { while wakes.next().await != wake {} })
        .await
        .expect("an edit wakes the app");
    let edited = eventually("the edit", || {
        let entry = index.get(&key)?;
        (entry.fingerprint != settled.fingerprint).then_some(entry)
    })
    .await;
    assert_ne!(
        edited.managed, settled.managed,
        "the field is somebody else's now"
    );

    let healed = account.apply(&manifest, &options).await.unwrap();
    assert_eq!(healed.object["spec"]["replicas"], 1);
    assert_eq!(healed.conflicts.len(), 1, "{:?}", healed.conflicts);
    assert_eq!(healed.conflicts[0].field, ".spec.replicas");
    assert!(
        healed.conflicts[0].message.contains("testkit-edit"),
        "{:?}",
        healed.conflicts
    );
    let entry = index.observe(&healed.object).await.unwrap();
    assert_eq!(entry.fingerprint, settled.fingerprint);
    assert_eq!(entry.managed, settled.managed);
    let unforced = ApplyOptions {
        force: false,
        ..options.clone()
    };
    edit(&world.plane.admin, json!({"spec": {"replicas": 4}})).await;
    let refused = account.apply(&manifest, &unforced).await.unwrap_err();
    assert!(refused.is_conflict(), "{refused}");
    let stale = ApplyOptions {
        resource_version: Some("1".into()),
        ..options
    };
    assert!(
        account
            .apply(&manifest, &stale)
            .await
            .unwrap_err()
            .is_conflict()
    );
}

pub(crate) async fn a_field_that_left_git_leaves_the_cluster(world: &World) {
    let account = world.tenant("leave").await;
    let options = ApplyOptions::default();
    let full = deployment(
        "leave",
        "hello",
        json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
    );
    let mut less = deployment("leave", "hello", json!([{"name": "A", "value": "1"}]));
    less["metadata"]["labels"] = json!({});
    // First as kubectl apply would have made it.
    let mut noted = full.clone();
    noted["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": full.to_string()});
    let admin = &world.plane.admin;
    let path = "/apis/apps/v1/namespaces/leave/deployments?fieldManager=kubectl-client-side-apply";
    let request = admin
        .request("POST".parse().unwrap(), path)
        .header("content-type", "application/json");
    assert!(
        request
            .body(noted.to_string())
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
    let names = |object: &Value| {
        let env = object["spec"]["template"]["spec"]["containers"][0]["env"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        env.iter()
            .map(|entry| entry["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let kept = ApplyOptions {
        migrate_from: None,
        ..options.clone()
    };
    let unmigrated = account.apply(&less, &kept).await.unwrap();
    assert_eq!(
        names(&unmigrated.object),
        ["A", "B"],
        "kubectl still owns it"
    );
    let applied = account.apply(&less, &options).await.unwrap();
    assert_eq!(names(&applied.object), ["A"]);
    assert_eq!(applied.object["metadata"]["labels"], Value::Null);
    assert_eq!(
        applied.object["metadata"]
            .get("annotations")
            .and_then(|a| a.get("kubectl.kubernetes.io/last-applied-configuration")),
        None
    );
    account.apply(&full, &options).await.unwrap();
    assert_eq!(
        names(&account.apply(&less, &options).await.unwrap().object),
        ["A"]
    );
}

pub(crate) async fn repeated_keys_are_applied_by_three_way_merge(world: &World) {
    let account = world.tenant("twice").await;
    let options = ApplyOptions::default();
    let env = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "B", "value": "3"}]);
    let manifest = deployment("twice", "hello", env.clone());
    let first = account.apply(&manifest, &options).await.unwrap();
    assert!(
        matches!(&first.method, ApplyMethod::ClientSideInstead(why) if why.contains("duplicate")),
        "{:?}",
        first.method
    );
    assert!(first.created);
    assert_eq!(
        first.object["spec"]["template"]["spec"]["containers"][0]["env"],
        env
    );
    let second = account.apply(&manifest, &options).await.unwrap();
    assert!(!second.created);
    assert_eq!(
        second.object["metadata"]["generation"], first.object["metadata"]["generation"],
        "nothing changed"
    );
    let env = json!([{"name": "A", "value": "2"}]);
    let repaired = account
        .apply(&deployment("twice", "hello", env.clone()), &options)
        .await
        .unwrap();
    assert_eq!(
        repaired.object["spec"]["template"]["spec"]["containers"][0]["env"], env,
        "{:?}",
        repaired.method
    );
    let again = account
        .apply(&deployment("twice", "hello", json!([])), &options)
        .await
        .unwrap();
    assert_eq!(again.method, ApplyMethod::ServerSide);
    let left = &again.object["spec"]["template"]["spec"]["containers"][0]["env"];
    assert!(left.as_array().is_none_or(Vec::is_empty), "{left}");
}

pub(crate) async fn deletions_ask_for_the_uid(world: &World) {
    let account = world.tenant("delete").await;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "delete"}});
    let key = ResourceKey::of(&map);
    let applied = account.create(&map, WriteOptions::default()).await.unwrap();
    assert!(
        account
            .create(&map, WriteOptions::default())
            .await
            .unwrap_err()
            .is_conflict()
    );
    let other = DeleteOptions {
        uid: Some("00000000-0000-0000-0000-000000000000".into()),
        ..DeleteOptions::default()
    };
    assert!(
        account
            .delete(&key, None, &other)
            .await
            .unwrap_err()
            .is_conflict()
    );
    let uid = applied["metadata"]["uid"].as_str().unwrap().to_owned();
    let dry = DeleteOptions {
        dry_run: true,
        ..DeleteOptions::default()
    };
    account.delete(&key, None, &dry).await.unwrap();
    assert!(account.get(&key, None).await.unwrap().is_some());
    let replaced = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "delete"}, "data": {"x": "y"}});
    assert_eq!(
        account
            .replace(&replaced, WriteOptions::default())
            .await
            .unwrap()["data"]["x"],
        "y"
    );
    let right = DeleteOptions {
        uid: Some(uid),
        ..DeleteOptions::default()
    };
    let gone = account.delete(&key, None, &right).await.unwrap();
    assert_ne!(gone, Deletion::Absent);
    testkit::wait::until_true("it is gone", crate::SOON, || async {
        Ok(account.get(&key, None).await?.is_none())
    })
    .await
    .unwrap();
    assert_eq!(
        account.delete(&key, None, &right).await.unwrap(),
        Deletion::Absent
    );
    let key = &key;
    eventually("the index forgets it", || {
        world.cluster.index().get(key).is_none().then_some(())
    })
    .await;
}
