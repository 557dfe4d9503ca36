//! Tenants: found by host and key, made whole, refused in conflict; roles and keys that do not fit; the change feed.

use std::time::Duration;

use domain::secret::Secret;
use domain::tenant::TenantName;
use futures::{Stream, StreamExt};
use store::{
    Change, ChangeKind, Code, Error, KeyFile, NewTenant, Options, Role, Store, Taken,
    WebhookProvider,
};
use tokio::net::{TcpListener, TcpStream};

use crate::{World, app, new_tenant, session};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_made_whole_and_found_by_host_and_key() {
    World::with(async |world| {
        let platform = world.api.platform();
        let given = Secret::from("given");
        let webhook_secrets = [(WebhookProvider::GitLab, given.clone())].into();
        let tenant = platform
            .create_tenant(NewTenant {
                webhook_secrets,
                ..new_tenant("user01")
            })
            .await
            .unwrap();
        let scope = world.api.tenant(tenant.id);
        assert_eq!(
            platform
                .tenant_by_host("user01.example")
                .await
                .unwrap()
                .as_ref(),
            Some(&tenant)
        );
        assert_eq!(
            platform.tenant_by_host("other.example").await.unwrap(),
            None
        );
        assert_eq!(
            platform.tenant_by_name("user01").await.unwrap().as_ref(),
            Some(&tenant)
        );
        assert_eq!(scope.describe().await.unwrap(), tenant);
        let kid = scope.keys().current().await.unwrap().kid;
        assert_eq!(
            platform.tenant_by_key_id(&kid).await.unwrap(),
            Some(tenant.id)
        );
        assert_eq!(platform.tenant_by_key_id("no").await.unwrap(), None);
        assert_eq!(
            scope.webhook_secret(WebhookProvider::GitLab).await.unwrap(),
            given
        );
        assert_eq!(
            scope
                .webhook_secret(WebhookProvider::GitHub)
                .await
                .unwrap()
                .expose()
                .len(),
            32
        );
        assert_eq!(
            scope.tenant_key().await.unwrap(),
            world
                .controller
                .tenant(tenant.id)
                .tenant_key()
                .await
                .unwrap()
        );
        assert!(
            !scope
                .accounts()
                .find("admin")
                .await
                .unwrap()
                .unwrap()
                .operator
        );
        assert_eq!(scope.projects().list().await.unwrap()[0].name(), "default");
        assert_eq!(
            platform.namespace_map().await.unwrap(),
            [("user01".to_owned(), tenant.id)]
        );

        let second = world.tenant("user02").await;
        assert!(
            platform
                .claim_namespace(second.id, "user02-dev")
                .await
                .unwrap()
        );
        assert!(
            platform
                .claim_namespace(second.id, "user02-dev")
                .await
                .unwrap()
        );
        assert!(
            !platform
                .claim_namespace(tenant.id, "user02-dev")
                .await
                .unwrap()
        );
        let conflicts = [
            (new_tenant("user01"), Taken::Tenant),
            (
                NewTenant {
                    hosts: vec!["User02.example".into()],
                    ..new_tenant("user03")
                },
                Taken::Host,
            ),
            (new_tenant("user02-dev"), Taken::Namespace),
        ];
        for (wanted, what) in conflicts {
            let error = platform.create_tenant(wanted).await.unwrap_err();
            assert!(
                matches!(error, Error::Taken { kind, .. } if kind == what),
                "{error:?}"
            );
            assert!(error.message().is_some());
        }
        assert_eq!(
            platform.tenants().await.unwrap().len(),
            2,
            "a refused tenant leaves nothing"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_tenant_is_made_once_and_its_hosts_follow_the_settings() {
    World::with(async |world| {
        let platform = world.api.platform();
        let wanted = |host: &str| NewTenant {
            hosts: vec![host.into()],
            ..new_tenant("ignored")
        };
        let (first, second) = tokio::join!(
            platform.ensure_operator_tenant(wanted("a")),
            platform.ensure_operator_tenant(wanted("a"))
        );
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first.0.id, second.0.id);
        assert!(first.1 ^ second.1, "made once");
        assert!(first.0.name.is_operator() && first.0.namespaces.is_empty());
        assert!(
            world
                .api
                .tenant(first.0.id)
                .accounts()
                .find("admin")
                .await
                .unwrap()
                .unwrap()
                .operator
        );
        let (moved, made) = platform.ensure_operator_tenant(wanted("b")).await.unwrap();
        assert_eq!((moved.hosts, made), (vec!["b".to_owned()], false));
        assert_eq!(platform.tenant_by_host("a").await.unwrap(), None);
        assert_eq!(
            platform
                .tenant_by_name(TenantName::OPERATOR)
                .await
                .unwrap()
                .unwrap()
                .hosts,
            ["b"]
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_could_see_too_much_is_refused() {
    World::with(async |world| {
        let key = || KeyFile::from_base64(&world.key).unwrap();
        for (url, why) in [
            (&world.database.admin, "superuser"),
            (&world.database.owner, "owns tables"),
            (&world.database.controller, "naru_api"),
        ] {
            let error = Store::connect(url, Role::Api, key()).await.unwrap_err();
            assert_eq!(error.code(), Code::Misconfigured);
            assert!(error.to_string().contains(why), "{error}");
        }
        let mut admin = session(&world.database.admin).await;
        let version: i64 = sqlx::query_scalar("SELECT max(version) FROM naru._sqlx_migrations")
            .fetch_one(&mut admin)
            .await
            .unwrap();
        sqlx::query("DELETE FROM naru._sqlx_migrations WHERE version = $1")
            .bind(version)
            .execute(&mut admin)
            .await
            .unwrap();
        let old = Store::connect(&world.database.api, Role::Api, key())
            .await
            .unwrap_err();
        assert!(
            matches!(old, Error::Schema { found, wanted } if found < wanted),
            "{old}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_installations_key_opens_nothing_and_says_so() {
    World::with(async |world| {
        let tenant = world.tenant("user01").await;
        let other = KeyFile::from_base64(&KeyFile::generate()).unwrap();
        let store = Store::connect(&world.database.api, Role::Api, other)
            .await
            .unwrap();
        let error = store.tenant(tenant.id).tenant_key().await.unwrap_err();
        assert!(error.to_string().contains("NARU_KEY_FILE"), "{error}");
        store.close().await;
    })
    .await;
}

async fn next(feed: &mut (impl Stream<Item = Change> + Unpin)) -> Change {
    tokio::time::timeout(Duration::from_secs(10), feed.next())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_tells_every_change_and_says_when_it_was_interrupted() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let mut feed = Box::pin(world.controller.platform().listen());
        assert_eq!(next(&mut feed).await.kind, ChangeKind::Resync);
        let seen = scope.applications().create(&app("hello", 1)).await.unwrap();
        let told = next(&mut feed).await;
        assert_eq!((told.tenant, told.kind, told.published), (Some(scope.tenant()), ChangeKind::App("hello".into()), false));
        let lease = world.lease().await;
        let status = domain::status::Status { images: vec!["a".into()], ..domain::status::Status::default() };
        let batch = [store::StatusWrite::status(scope.tenant(), &seen, status)];
        world.controller.platform().publish(&batch, &lease.item, lease.fence).await.unwrap();
        let told = next(&mut feed).await;
        assert_eq!((told.kind, told.published), (ChangeKind::App("hello".into()), true));
        scope.wake_repository("https://git.example/a").await.unwrap();
        assert_eq!(next(&mut feed).await.kind, ChangeKind::Repo("https://git.example/a".into()));

        // Every connection is cut, as by a restart of the database.
        let mut admin = session(&world.database.admin).await;
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
            .execute(&mut admin)
            .await
            .unwrap();
        assert_eq!(next(&mut feed).await.kind, ChangeKind::Resync);
        testkit::wait::until("the pool to recover", Duration::from_secs(10), || async {
            Ok(scope.applications().request_refresh("hello", "normal").await?)
        })
        .await
        .unwrap();
        assert_eq!(next(&mut feed).await.kind, ChangeKind::App("hello".into()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_waits_at_its_start_for_a_database_that_is_away_and_for_no_person() {
    World::with(async |world| {
        let key = || KeyFile::from_base64(&world.key).unwrap();
        let (login, place) = world.database.api.split_once('@').unwrap();
        let (at, database) = place.split_once('/').unwrap();
        let at = match at.contains(':') {
            true => at.to_owned(),
            false => format!("{at}:5432"),
        };
        // Before the database: one that hangs up on the first two, and leads everybody else to it.
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{login}@{}/{database}", door.local_addr().unwrap());
        let lead = async || -> std::io::Result<()> {
            for _ in 0..2 {
                drop(door.accept().await?);
            }
            loop {
                let (mut near, _) = door.accept().await?;
                let mut far = TcpStream::connect(&at).await?;
                // Whoever hangs up has said why.
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        };
        let starts = async {
            let store = Store::wait_for(&url, Role::Api, key(), Options::default());
            let store = store.await.unwrap();
            store.ping().await.unwrap();
            store.close().await;
        };
        tokio::select! {
            led = lead() => led.unwrap(),
            () = starts => {}
        }
        let another = Store::wait_for(
            &world.database.api,
            Role::Controller,
            key(),
            Options::default(),
        );
        assert_eq!(another.await.unwrap_err().code(), Code::Misconfigured);
    })
    .await;
}
