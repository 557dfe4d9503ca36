//! Kinds, versions and schemas.

use cluster::{Error, Wake, WriteOptions};
use domain::resource::{GroupKind, ResourceKey};
use domain::schema::{ListMerge, Scalar, Type};
use serde_json::{Value, json};

use crate::{World, eventually};

pub(crate) async fn what_the_cluster_has_is_known(world: &World) {
    let discovery = world.cluster.discovery();
    assert!(
        discovery.server_version().git_version.starts_with("v1.36"),
        "{:?}",
        discovery.server_version()
    );
    for listed in [
        "v1",
        "v1/ConfigMap",
        "apps/v1",
        "apps/v1/Deployment",
        "autoscaling/v1",
        "autoscaling/v2",
    ] {
        assert!(
            discovery.api_versions().iter().any(|known| known == listed),
            "{listed}"
        );
    }
    assert!(
        !discovery
            .api_versions()
            .iter()
            .any(|known| known == "v1/Event")
    );
    let ingress = discovery
        .resolve("networking.k8s.io", None, "Ingress")
        .unwrap();
    assert_eq!(
        (
            ingress.plural.as_str(),
            ingress.version.as_str(),
            ingress.namespaced
        ),
        ("ingresses", "v1", true)
    );
    assert!(
        !discovery
            .resolve("", Some("v1"), "Namespace")
            .unwrap()
            .namespaced
    );
    let apart = |group: &str, kind: &str| {
        let kind = discovery.resolve(group, None, kind).unwrap();
        kind.status_apart
    };
    assert!(apart("apps", "Deployment") && apart("", "Pod") && !apart("", "ConfigMap"));
    let error = world
        .cluster
        .resolve("example.com", Some("v1"), "Nothing")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::UnknownKind { .. }), "{error}");

    let wanted = [("apps", "v1"), ("", "v1"), ("networking.k8s.io", "v1")];
    let wanted = wanted.map(|(group, version)| (group.to_owned(), version.to_owned()));
    let schemas = world.cluster.schemas(&wanted).await.unwrap();
    let root = schemas.root("apps", "v1", "Deployment").unwrap();
    let pod = root
        .field("spec")
        .unwrap()
        .field("template")
        .unwrap()
        .field("spec")
        .unwrap();
    let containers = pod.field("containers").unwrap();
    let keys_of = |kind: &Type| match kind {
        Type::List {
            merge: ListMerge::Map { keys },
            ..
        } => keys.to_vec(),
        other => panic!("{other:?}"),
    };
    assert_eq!(keys_of(containers.kind())[0].name.as_ref(), "name");
    let container = containers.element().unwrap();
    let ports = keys_of(container.field("ports").unwrap().kind());
    assert_eq!(ports[1].default, Some(json!("TCP")), "{ports:?}");
    let cpu = container
        .field("resources")
        .unwrap()
        .field("limits")
        .unwrap()
        .value("cpu")
        .unwrap();
    assert_eq!(cpu.kind(), &Type::Scalar(Scalar::Quantity));
    let metadata = root.field("metadata").unwrap();
    assert!(metadata.value("nmaespace").is_none() && metadata.value("namespace").is_some());
    assert_eq!(
        metadata.field("creationTimestamp").unwrap().kind(),
        &Type::Scalar(Scalar::Time)
    );
    let service = schemas.root("", "v1", "Service").unwrap();
    let target = service
        .field("spec")
        .unwrap()
        .field("ports")
        .unwrap()
        .element()
        .unwrap()
        .field("targetPort")
        .unwrap();
    assert_eq!(target.kind(), &Type::Scalar(Scalar::IntOrString));
    assert_eq!(
        schemas
            .root("", "v1", "Secret")
            .unwrap()
            .field("data")
            .unwrap()
            .value("x")
            .unwrap()
            .kind(),
        &Type::Scalar(Scalar::Bytes)
    );
    assert!(schemas.has("apps", "v1") && schemas.root("apps", "v1", "Nothing").is_none());
}

fn definition() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "lamps.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Lamp", "plural": "lamps", "singular": "lamp", "listKind": "LampList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"watts": {"type": "integer"}}},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}]}})
}

pub(crate) async fn kinds_come_and_go(world: &World) {
    let index = world.cluster.index();
    let mut wakes = index.subscribe();
    let platform = world.cluster.as_platform();
    platform
        .apply(&definition(), &cluster::ApplyOptions::default())
        .await
        .unwrap();
    tokio::time::timeout(crate::SOON, async {
        while wakes.next().await != Wake::Kinds {}
    })
    .await
    .expect("new kinds");
    let kind = GroupKind::new("example.com", "Lamp");
    eventually("lamps are watched", || index.is_synced(&kind).then_some(())).await;
    let lamp = json!({"apiVersion": "example.com/v1", "kind": "Lamp",
        "metadata": {"name": "desk", "namespace": "default"}, "spec": {"watts": 5},
        "status": {"phase": "On", "noise": "x", "conditions": [{"type": "Lit", "status": "True"}]}});
    platform
        .apply(&lamp, &cluster::ApplyOptions::default())
        .await
        .unwrap();
    let key = ResourceKey::of(&lamp);
    let entry = eventually("the lamp", || index.get(&key)).await;
    assert_eq!(
        entry.body["status"],
        json!({"phase": "On", "conditions": [{"type": "Lit", "status": "True"}]})
    );
    assert_eq!(entry.version.as_ref(), "v1");
    let off = json!({"status": {"phase": "Off"}});
    let apart = platform
        .patch_status(&key, None, &off, WriteOptions::default())
        .await
        .unwrap();
    assert!(!apart, "its status is a part like others");
    // A kind can be used a moment before its schema is published.
    let wanted = [("example.com".to_owned(), "v1".to_owned())];
    let published = || async {
        let schemas = world.cluster.schemas(&wanted).await?;
        let root = schemas
            .root("example.com", "v1", "Lamp")
            .ok_or_else(|| anyhow::anyhow!("no schema"))?;
        Ok(root.field("spec").unwrap().value("wats").is_none())
    };
    assert!(
        testkit::wait::until("the new kind's schema", crate::SOON, published)
            .await
            .unwrap()
    );
    // Another version is news too, though the same one is watched as before.
    let mut wakes = index.subscribe();
    let mut wider = definition();
    let versions = wider["spec"]["versions"].as_array_mut().unwrap();
    let mut older = versions[0].clone();
    older["name"] = json!("v1beta1");
    older["storage"] = json!(false);
    versions.push(older);
    platform
        .apply(&wider, &cluster::ApplyOptions::default())
        .await
        .unwrap();
    let older = || {
        let discovery = world.cluster.discovery();
        let known = discovery.resolve("example.com", Some("v1beta1"), "Lamp");
        known.is_some()
    };
    tokio::time::timeout(crate::SOON, async {
        while wakes.next().await != Wake::Kinds || !older() {}
    })
    .await
    .expect("another version");
    assert!(index.is_synced(&kind), "it is watched as before");
    let key = ResourceKey::of(&definition());
    platform
        .delete(&key, None, &cluster::DeleteOptions::default())
        .await
        .unwrap();
    eventually("no lamps", || index.of_kind(&kind).is_empty().then_some(())).await;
    eventually("no kind", || (!index.is_synced(&kind)).then_some(())).await;
}
