//! The crate against a real control plane: one for all stories, each in namespaces of its own.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cluster::{Cluster, ConnectOptions, Terms, WriteGate};
use domain::clock::{Clock, Timestamp};
use domain::tenant::TenantName;
use futures::FutureExt as _;
use serde_json::{Value, json};
use testkit::control_plane::{ControlPlane, Options};
use testkit::ground::{self, Ground};
use testkit::progress::Progress;

mod applying;
mod cases;
mod following;
mod kinds;
mod merging;
mod tenants;

/// Nothing here takes longer on a machine that also builds.
const SOON: Duration = Duration::from_secs(40);

struct Clockwork;

impl Clock for Clockwork {
    fn now(&self) -> Timestamp {
        chrono::DateTime::UNIX_EPOCH
    }
}

/// A gate that a story can close, at once or after so many looks.
struct Gate(AtomicU32);

/// So many looks that it never closes.
const OPEN: u32 = u32::MAX;

impl WriteGate for Gate {
    fn may_write(&self) -> bool {
        let look = |left: u32| match left {
            OPEN => Some(OPEN),
            left => left.checked_sub(1),
        };
        self.0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, look)
            .is_ok()
    }
}

struct World {
    plane: ControlPlane,
    cluster: Cluster,
    gate: Arc<Gate>,
}

impl World {
    async fn connect(plane: ControlPlane) -> Self {
        let gate = Arc::new(Gate(AtomicU32::new(OPEN)));
        let options = ConnectOptions {
            name: "in-cluster".into(),
            kubeconfig: Some(plane.controller_kubeconfig.clone()),
            context: None,
            terms: Terms {
                request_timeout: Duration::from_secs(10),
                write_timeout: Duration::from_secs(10),
                gate: gate.clone(),
                fingerprint_key: [7; 32],
                clock: Arc::new(Clockwork),
            },
        };
        let cluster = Cluster::connect(options).await.unwrap();
        Self {
            plane,
            cluster,
            gate,
        }
    }

    async fn tenant(&self, name: &str) -> cluster::Account {
        self.cluster
            .ensure_tenant(name, &TenantName::from_stored(name.to_owned()))
            .await
            .unwrap();
        self.cluster.as_account(name, "naru").unwrap()
    }
}

/// Waits until a look at the world finds something.
async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    testkit::wait::until(what, SOON, || {
        let seen = look();
        async move { seen.ok_or_else(|| anyhow::anyhow!("not yet")) }
    })
    .await
    .unwrap()
}

/// A manifest that carries the marks of an application.
fn tracked(mut manifest: Value, tenant: &str, app: &str) -> Value {
    let key = domain::resource::ResourceKey::of(&manifest);
    let id = domain::resource::tracking_id(app, &key, tenant);
    manifest["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = json!(id);
    manifest["metadata"]["annotations"]["argocd.argoproj.io/installation-id"] = json!(tenant);
    manifest
}

fn deployment(namespace: &str, name: &str, env: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": {"tier": "web"}, "annotations": {}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "image": "example/app:1.0", "env": env}]}}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn stories() {
    let dir = tempfile::tempdir().unwrap();
    let mut ground = Ground::open(dir.path(), Progress::terminal()).unwrap();
    let outcome = AssertUnwindSafe(tell(&mut ground)).catch_unwind().await;
    ground::stop_all(&ground.supervisor).await.unwrap();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no lifecycle to spawn on"
)]
async fn tell(ground: &mut Ground) {
    let options = Options {
        audit: true,
        watches: true,
        ..Options::default()
    };
    let plane = ControlPlane::start(ground, &options).await.unwrap();
    let world = World::connect(plane).await;
    let running = tokio::spawn(world.cluster.clone().run());
    tokio::time::timeout(SOON, world.cluster.ready())
        .await
        .expect("every kind is listed");
    following::every_kind_is_listed_as_a_stream(&world);
    kinds::what_the_cluster_has_is_known(&world).await;
    kinds::kinds_come_and_go(&world).await;
    tenants::an_account_reaches_its_own_namespace_only(&world).await;
    tenants::a_closed_gate_lets_no_write_out(&world).await;
    tenants::a_gate_that_closes_on_the_way_lets_no_write_out(&world).await;
    applying::an_edit_is_seen_and_healed(&world).await;
    applying::a_field_that_left_git_leaves_the_cluster(&world).await;
    applying::repeated_keys_are_applied_by_three_way_merge(&world).await;
    applying::deletions_ask_for_the_uid(&world).await;
    cases::the_simulated_cluster_answers_as_this_one(&world).await;
    merging::the_schema_says_what_the_server_makes_of_an_apply(&world).await;
    following::secrets_are_nowhere_in_the_index(&world).await;
    following::pods_wake_their_application_and_have_logs(&world).await;
    following::a_restarted_apiserver_leaves_no_gap(&world, ground).await;
    following::rights_that_are_away_for_a_moment_leave_no_gap(&world, ground).await;
    following::a_watch_whose_version_is_gone_lists_anew(&world, ground).await;
    running.abort();
    let _ = running.await;
    following::what_went_meanwhile_is_found_gone(&world).await;
}
