//! Keys are replaced under the feet of who reads and writes, and nothing is lost wherever it breaks off.

use std::time::Duration;

use domain::manifest::ManifestSetHash;
use domain::repository::{Credentials, Repository};
use domain::secret::Secret;
use domain::settings::Change;
use sqlx::Connection;
use store::{Code, Error, KeyFile, Role, Rotation, Store, TenantScope, WebhookProvider};

use crate::migrating::waited_for;
use crate::{World, session};

const SETS: usize = 250;

fn hash(n: usize) -> ManifestSetHash {
    ManifestSetHash(format!("{n:064x}"))
}

/// A tenant with something sealed in every table.
async fn filled(world: &World) -> TenantScope {
    let scope = world.scope("user01").await;
    let credentials = Credentials {
        username: "me".into(),
        password: Some(Secret::from("password")),
        ..Credentials::default()
    };
    let repository = Repository {
        url: "https://git.example/a.git".into(),
        kind: "git".into(),
        name: String::new(),
        project: String::new(),
        credentials,
        insecure: false,
        enable_lfs: false,
        options: domain::repository::Options::default(),
    };
    scope.repositories().put(&repository).await.unwrap();
    let own = Change {
        object: "secret/own".into(),
        key: "key".into(),
        value: Some("own".into()),
    };
    let settings = scope.config();
    let update = settings.update(|config| {
        let changed = config.apply(&[own]);
        changed.map_err(|problems| Error::Invalid {
            what: "settings",
            why: format!("{problems:?}"),
        })
    });
    update.await.unwrap();
    let controller = world.controller.tenant(scope.tenant());
    for n in 0..SETS {
        controller
            .put_manifest_set(&hash(n), format!("set {n}").as_bytes())
            .await
            .unwrap();
    }
    scope
}

/// Everything opens, as seen by a process that was there before and by one that begins now.
async fn all_there(world: &World, id: domain::tenant::TenantId) {
    let fresh = Store::connect(
        &world.database.api,
        Role::Api,
        KeyFile::from_base64(&world.key).unwrap(),
    )
    .await
    .unwrap();
    for store in [&world.api, &fresh] {
        let scope = store.tenant(id);
        assert_eq!(scope.keys().current().await.unwrap().key.expose().len(), 32);
        scope.webhook_secret(WebhookProvider::GitHub).await.unwrap();
        let config = scope.config().load().await.unwrap();
        assert_eq!(config.resolve("$own:key"), Some(Secret::from("own")));
        let repositories = scope.repositories().list().await.unwrap();
        assert_eq!(
            repositories[0].credentials.password,
            Some(Secret::from("password"))
        );
        for n in 0..SETS {
            let found = scope.manifest_set(&hash(n)).await.unwrap().unwrap();
            assert_eq!(found, format!("set {n}").into_bytes());
        }
    }
    fresh.close().await;
}

async fn rotation(world: &World) -> Rotation {
    let keys = KeyFile::from_base64(&world.key).unwrap();
    Rotation::connect(&world.database.owner, keys)
        .await
        .unwrap()
}

async fn versions(world: &World) -> Vec<i32> {
    let mut admin = session(&world.database.admin).await;
    sqlx::query_scalar("SELECT version FROM naru.tenant_keys ORDER BY version")
        .fetch_all(&mut admin)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_gets_a_new_key_and_nothing_is_lost_wherever_it_breaks_off() {
    World::with(async |world| {
        let scope = filled(world).await;
        let before = scope.tenant_key().await.unwrap();
        // Broken off again and again, in the middle of whatever it does: its connection is cut, as by a kill.
        for millis in [5, 20, 40, 80, 160] {
            let mut broken = rotation(world).await;
            let running = broken.rotate_tenant("user01");
            let _ = tokio::time::timeout(Duration::from_millis(millis), running).await;
            drop(broken);
            all_there(world, scope.tenant()).await;
        }
        // Somebody writes meanwhile.
        let mut last = rotation(world).await;
        let writing = async {
            let controller = world.controller.tenant(scope.tenant());
            for n in SETS..SETS + 50 {
                controller
                    .put_manifest_set(&hash(n), b"meanwhile")
                    .await
                    .unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let (rotated, ()) = tokio::join!(last.rotate_tenant("user01"), writing);
        let version = rotated.unwrap().version;
        assert_eq!(
            versions(world).await,
            [i32::try_from(version).unwrap()],
            "the old ones are gone"
        );
        all_there(world, scope.tenant()).await;
        for n in SETS..SETS + 50 {
            assert_eq!(
                scope.manifest_set(&hash(n)).await.unwrap().unwrap(),
                b"meanwhile"
            );
        }
        let fresh = rotation(world).await.rotate_tenant("user01").await.unwrap();
        assert_eq!(fresh.version, version + 1);
        all_there(world, scope.tenant()).await;
        let other = Store::connect(
            &world.database.api,
            Role::Api,
            KeyFile::from_base64(&world.key).unwrap(),
        )
        .await
        .unwrap();
        assert_ne!(
            other.tenant(scope.tenant()).tenant_key().await.unwrap(),
            before
        );
        other.close().await;
        let missing = rotation(world)
            .await
            .rotate_tenant("nobody")
            .await
            .unwrap_err();
        assert_eq!(missing.code(), Code::NotFound);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_has_is_waited_for_when_the_others_are_sealed_anew() {
    World::with(async |world| {
        let tenant = world.scope("user01").await.tenant();
        let keeper = world.controller.tenant(tenant);
        for n in 0..3 {
            keeper.put_manifest_set(&hash(n), b"set").await.unwrap();
        }
        let mut admin = session(&world.database.admin).await;
        let mut using = admin.begin().await.unwrap();
        sqlx::query("SELECT FROM naru.manifest_sets WHERE tenant_id = $1 AND hash = $2 FOR UPDATE")
            .bind(tenant.0)
            .bind(hash(1).0)
            .execute(&mut *using)
            .await
            .unwrap();
        let mut rotating = rotation(world).await;
        let comes_to_others = async {
            let waits = "wait_event_type = 'Lock' and application_name = 'naru-rotate'";
            waited_for(world, waits).await;
            let free: Vec<i32> = sqlx::query_scalar(
                "SELECT naru.seal_version(sealed) FROM naru.manifest_sets WHERE tenant_id = $1 AND hash <> $2
                 FOR UPDATE SKIP LOCKED",
            )
            .bind(tenant.0)
            .bind(hash(1).0)
            .fetch_all(&mut *using)
            .await
            .unwrap();
            using.commit().await.unwrap();
            free
        };
        let (rotated, free) = tokio::join!(rotating.rotate_tenant("user01"), comes_to_others);
        assert_eq!(free, [2, 2], "nobody waits for who waits");
        assert_eq!(rotated.unwrap().version, 2);
        let found = keeper.manifest_set(&hash(1)).await.unwrap();
        assert_eq!(found.as_deref(), Some(&b"set"[..]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_under_a_key_that_is_gone() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let mut admin = session(&world.database.admin).await;
        sqlx::query("UPDATE naru.tenant_keys SET version = 2")
            .execute(&mut admin)
            .await
            .unwrap();
        let error = sqlx::query("UPDATE naru.secrets SET sealed = sealed")
            .execute(&mut admin)
            .await
            .unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "NR004");
        drop(scope);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_installations_key_is_replaced_while_everything_runs() {
    World::with(async |world| {
        let (one, two) = (filled(world).await, world.scope("user02").await);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        let new = KeyFile::generate();
        let write = |lines: &[&Secret]| {
            let lines: Vec<&str> = lines.iter().map(|key| key.expose_str()).collect();
            std::fs::write(&file, lines.join("\n")).unwrap();
        };
        write(&[&world.key]);
        let running = Store::connect(
            &world.database.api,
            Role::Api,
            KeyFile::load(&file).unwrap(),
        )
        .await
        .unwrap();
        let keys = running.tenant(one.tenant()).tenant_key().await.unwrap();

        write(&[&new, &world.key]);
        let rotate = async || {
            let keys = KeyFile::load(&file).unwrap();
            Rotation::connect(&world.database.owner, keys)
                .await
                .unwrap()
                .rewrap()
                .await
                .unwrap()
        };
        assert_eq!(rotate().await, 2);
        assert_eq!(rotate().await, 0, "a second time there is nothing to do");
        // A process that has not looked yet, at a tenant that it has not seen yet.
        running.tenant(two.tenant()).tenant_key().await.unwrap();
        write(&[&new]);
        let after = Store::connect(
            &world.database.api,
            Role::Api,
            KeyFile::load(&file).unwrap(),
        )
        .await
        .unwrap();
        assert_eq!(
            after.tenant(one.tenant()).tenant_key().await.unwrap(),
            keys,
            "wrapped anew, not made anew"
        );
        after.close().await;
        running.close().await;

        // Without the key that wrapped it nothing is touched.
        let stranger = KeyFile::from_base64(&KeyFile::generate()).unwrap();
        let mut stranger = Rotation::connect(&world.database.owner, stranger)
            .await
            .unwrap();
        assert_eq!(
            stranger.rewrap().await.unwrap_err().code(),
            Code::Misconfigured
        );
    })
    .await;
}
