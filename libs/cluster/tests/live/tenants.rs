//! Whose namespace it is, and who may do what.

use std::sync::atomic::Ordering;

use cluster::{ApplyOptions, Error, WriteOptions};
use domain::resource::ResourceKey;
use domain::tenant::TenantName;
use serde_json::{Value, json};

use crate::World;

fn settings(namespace: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": namespace}, "data": {"a": "1"}})
}

pub(crate) async fn an_account_reaches_its_own_namespace_only(world: &World) {
    let one = world.tenant("one").await;
    let two = world.tenant("two").await;
    // Again: nothing to do.
    world.tenant("one").await;
    let options = ApplyOptions::default();
    assert!(one.apply(&settings("one"), &options).await.unwrap().created);
    assert!(!one.apply(&settings("one"), &options).await.unwrap().created);
    two.apply(&settings("two"), &options).await.unwrap();
    let denied = one.apply(&settings("two"), &options).await.unwrap_err();
    assert!(denied.is_forbidden(), "{denied}");
    assert!(denied.message().is(&domain::message::cluster::FORBIDDEN));
    assert!(
        one.get(&ResourceKey::of(&settings("two")), None)
            .await
            .unwrap_err()
            .is_forbidden()
    );
    assert!(
        one.list("", "ConfigMap", "", "")
            .await
            .unwrap_err()
            .is_forbidden()
    );
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "all"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    assert!(one.apply(&role, &options).await.unwrap_err().is_forbidden());
    assert_eq!(
        one.list("", "ConfigMap", "one", "")
            .await
            .unwrap()
            .iter()
            .filter(|m| m["metadata"]["name"] == "settings")
            .count(),
        1
    );

    let stranger = TenantName::from_stored("stranger".into());
    for taken in ["default", "one"] {
        let error = world
            .cluster
            .ensure_tenant(taken, &stranger)
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::ForeignNamespace { .. }),
            "{taken}: {error}"
        );
    }
    world
        .cluster
        .ensure_tenant("naru", &TenantName::operator())
        .await
        .unwrap();
    let operator = world.cluster.as_account("naru", "naru").unwrap();
    assert!(
        operator
            .get(&ResourceKey::of(&settings("two")), None)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        one.get(
            &ResourceKey {
                name: String::new(),
                ..ResourceKey::of(&settings("one"))
            },
            None
        )
        .await
        .is_err()
    );
}

pub(crate) async fn a_closed_gate_lets_no_write_out(world: &World) {
    let account = world.tenant("gated").await;
    world.gate.0.store(0, Ordering::SeqCst);
    let applied = account
        .apply(&settings("gated"), &ApplyOptions::default())
        .await;
    world.gate.0.store(crate::OPEN, Ordering::SeqCst);
    assert!(matches!(applied, Err(Error::NotHolder)));
    assert!(
        account
            .get(&ResourceKey::of(&settings("gated")), None)
            .await
            .unwrap()
            .is_none()
    );
}

/// The lease ends between the first look at the gate and the bytes: a process that was stopped there.
pub(crate) async fn a_gate_that_closes_on_the_way_lets_no_write_out(world: &World) {
    let account = world.tenant("gated-late").await;
    world.gate.0.store(1, Ordering::SeqCst);
    let replaced = account
        .replace(&settings("gated-late"), WriteOptions::default())
        .await;
    world.gate.0.store(crate::OPEN, Ordering::SeqCst);
    assert!(matches!(replaced, Err(Error::NotHolder)), "{replaced:?}");
    assert!(
        account
            .get(&ResourceKey::of(&settings("gated-late")), None)
            .await
            .unwrap()
            .is_none()
    );
}
