//! The parts themselves: each starts, answers, survives a kill and stops.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use serde_json::json;
use testkit::certs::Authority;
use testkit::control_plane::{ControlPlane, Options};
use testkit::ground::{self, Ground};
use testkit::postgres::{self, Postgres, Session};
use testkit::progress::Progress;
use testkit::redis::{self, Redis};
use testkit::wait;

async fn on_ground<F: AsyncFnOnce(&mut Ground)>(test: F) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut ground = Ground::open(dir.path(), Progress::terminal()).expect("a ground");
    let outcome = AssertUnwindSafe(test(&mut ground)).catch_unwind().await;
    ground::stop_all(&ground.supervisor)
        .await
        .expect("everything stops");
    let outside = postgres::data_outside(dir.path());
    if outside.exists() {
        std::fs::remove_dir_all(outside).expect("the data goes");
    }
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

#[tokio::test]
async fn postgres_keeps_what_was_written_through_a_kill_and_its_roles_are_plain() {
    on_ground(async |ground| {
        let server = Postgres::start(ground, &postgres::Options::default()).await.unwrap();
        let roles = server.sql(None, "select count(*) from pg_roles where rolname like 'naru_%' and (rolsuper or rolbypassrls)");
        assert_eq!(roles.await.unwrap(), "0");
        let database = server.database("one").await.unwrap();
        assert!(database.api.contains("naru_api:"), "{}", database.api);
        let template = async |owner: String| {
            assert!(owner.contains("naru_owner"));
            server.sql(Some("prepared"), "create table t (i int); insert into t values (7)").await.map(drop)
        };
        server.database_from("copy", "prepared", template).await.unwrap();
        server.sql(Some("copy"), "insert into t values (8)").await.unwrap();
        let process = ground.running("postgres").unwrap();
        process.kill().await.unwrap();
        ground.supervisor.restart("postgres").await.unwrap();
        let rows = || async { server.sql(Some("copy"), "select sum(i) from t").await };
        assert_eq!(wait::until("postgres is back", Duration::from_secs(20), rows).await.unwrap(), "15");
    })
    .await;
}

#[tokio::test]
async fn a_session_stays_with_one_connection_and_says_what_ended_it() {
    on_ground(async |ground| {
        let server = Postgres::start(ground, &postgres::Options::default())
            .await
            .unwrap();
        let mut session = Session::open(&server.database("one").await.unwrap().admin).unwrap();
        let connection = "select current_database() || ' ' || pg_backend_pid()";
        let first = session.ask(connection).await.unwrap();
        assert!(first.starts_with("one "), "{first}");
        assert_eq!(session.ask(connection).await.unwrap(), first);
        let error = session.ask("select of_nobody").await.unwrap_err();
        assert!(error.to_string().contains("of_nobody"), "{error}");
        assert!(session.ask("select 1").await.is_err());
    })
    .await;
}

#[tokio::test]
async fn redis_answers_only_with_its_password() {
    on_ground(async |ground| {
        let redis = Redis::start(ground, None).await.unwrap();
        assert!(redis.url.starts_with("redis://:"), "{}", redis.url);
        let again = Redis::start(ground, None).await.unwrap();
        assert_eq!(redis.url, again.url);
    })
    .await;
}

#[tokio::test]
async fn a_redis_over_tls_can_be_used_by_those_who_trust_its_authority() {
    on_ground(async |ground| {
        let authority = |name: &str| Authority::open(&ground.dir().join(name)).unwrap();
        let (own, other) = (authority("own"), authority("other"));
        let identity = own.server("redis", &["127.0.0.1"]).unwrap();
        let redis = Redis::start_over_tls(ground, &identity).await.unwrap();
        assert!(redis.url.starts_with("rediss://:"), "{}", redis.url);
        redis::check_trusting(&redis.url, &identity.ca)
            .await
            .unwrap();
        let login = redis.url.replacen("rediss://:", "rediss://:not", 1);
        let refused = redis::check_trusting(&login, &identity.ca)
            .await
            .unwrap_err();
        assert!(
            format!("{refused:#}").contains("correct the password"),
            "{refused:#}"
        );
        // Neither by the authorities of this machine nor by one of the same name.
        let machine = redis::check(&redis.url).await.unwrap_err();
        let namesake = redis::check_trusting(&redis.url, &other.certificate())
            .await
            .unwrap_err();
        for refused in [machine, namesake] {
            assert!(
                format!("{refused:#}").contains("no TLS with a certificate"),
                "{refused:#}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_deployment_becomes_ready_and_its_pods_have_logs() {
    on_ground(async |ground| {
        let plane = ControlPlane::start(ground, &Options { audit: true, ..Options::default() }).await.unwrap();
        let kube = &plane.admin;
        kube.ensure_namespace("one").await.unwrap();
        let labels = json!({"app": "a"});
        let deployment = |outcome: Option<&str>| {
            let annotations = outcome.map(|outcome| json!({"naru.test/outcome": outcome}));
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
                "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {
                    "metadata": {"labels": labels, "annotations": annotations}, "spec": {"containers": [{"name": "c", "image": "none:1"}]}}},
            })
        };
        let path = "/apis/apps/v1/namespaces/one/deployments/a";
        let service_account = || async { kube.get("/api/v1/namespaces/one/serviceaccounts/default").await?.ok_or_else(|| anyhow::anyhow!("none")) };
        wait::until("the namespace's service account", Duration::from_secs(20), service_account).await.unwrap();
        kube.apply(path, &deployment(None)).await.unwrap();
        let ready = |wanted: i64| async move {
            let object = kube.get(path).await?.unwrap_or_default();
            anyhow::ensure!(object["status"]["readyReplicas"] == json!(wanted), "{}", object["status"]);
            Ok(())
        };
        wait::until("two pods", Duration::from_secs(30), || ready(2)).await.unwrap();
        let pods = kube.get("/api/v1/namespaces/one/pods").await.unwrap().unwrap();
        let name = pods["items"][0]["metadata"]["name"].as_str().unwrap();
        let log = kube.get(&format!("/api/v1/namespaces/one/pods/{name}/log")).await.unwrap().unwrap();
        assert!(log.as_str().unwrap().contains("has started"), "{log}");
        kube.apply(path, &deployment(Some("crash"))).await.unwrap();
        let crashing = || async {
            let pods = kube.get("/api/v1/namespaces/one/pods").await?.unwrap_or_default();
            anyhow::ensure!(pods.to_string().contains("CrashLoopBackOff"), "no pod crashes");
            Ok(())
        };
        wait::until("a crashing pod", Duration::from_secs(30), crashing).await.unwrap();
        let audit = std::fs::read_to_string(plane.audit_log.as_ref().unwrap()).unwrap();
        assert!(audit.contains("deployments"));
        assert!(kube.delete("/api/v1/namespaces/one").await.unwrap());
        let gone = || async { Ok(kube.get("/api/v1/namespaces/one").await?.is_none()) };
        wait::until_true("the namespace is gone", Duration::from_secs(60), gone).await.unwrap();
    })
    .await;
}
