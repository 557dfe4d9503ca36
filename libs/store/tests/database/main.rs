//! Tests against a real PostgreSQL; each has a migrated database of its own.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod applications;
mod audit;
mod credentials;
mod destroy;
mod durable;
mod given_up;
mod isolation;
mod leases;
mod migrating;
mod model;
mod projects;
mod provision;
mod publish;
mod rotation;
mod schema;
mod settings;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::application::Application;
use domain::secret::Secret;
use domain::status::Status;
use domain::tenant::{Tenant, TenantId, TenantName, TenantSettings};
use futures::FutureExt;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use store::{KeyFile, Lease, NewTenant, Role, Store, TenantScope};
use testkit::postgres::{Database, Postgres};
use uuid::Uuid;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A migrated database, and the store as each service sees it.
struct World {
    server: Postgres,
    database: Database,
    name: String,
    key: Secret,
    api: Store,
    controller: Store,
}

impl World {
    async fn new() -> Self {
        let server = testkit::platform::postgres().await.unwrap();
        let name = format!(
            "store_{}_{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let database = server.database(&name).await.unwrap();
        store::migrate(&database.owner).await.unwrap();
        let key = KeyFile::generate();
        let open = async |url: &str, role| {
            Store::connect(url, role, KeyFile::from_base64(&key).unwrap())
                .await
                .unwrap()
        };
        let api = open(&database.api, Role::Api).await;
        let controller = open(&database.controller, Role::Controller).await;
        Self {
            server,
            database,
            name,
            key,
            api,
            controller,
        }
    }

    /// Runs a test in a world of its own, which goes with it.
    async fn with(test: impl AsyncFnOnce(&Self)) {
        let world = Self::new().await;
        let outcome = AssertUnwindSafe(test(&world)).catch_unwind().await;
        world.api.close().await;
        world.controller.close().await;
        world.server.drop_database(&world.name).await.unwrap();
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    async fn tenant(&self, name: &str) -> Tenant {
        self.api
            .platform()
            .create_tenant(new_tenant(name))
            .await
            .unwrap()
    }

    async fn scope(&self, name: &str) -> TenantScope {
        self.api.tenant(self.tenant(name).await.id)
    }

    async fn lease(&self) -> Lease {
        let platform = self.controller.platform();
        let minute = Duration::from_secs(60);
        platform
            .acquire_lease("cluster/0", "tester", minute, Duration::ZERO)
            .await
            .unwrap()
            .unwrap()
    }
}

/// A session of one's own.
async fn session(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

fn uuid() -> Uuid {
    Uuid::from_u128(rand::random())
}

fn new_tenant(name: &str) -> NewTenant {
    NewTenant {
        id: TenantId(uuid()),
        name: TenantName::from_stored(name.to_owned()),
        hosts: vec![format!("{name}.example")],
        settings: TenantSettings::default(),
        admin_password_hash: Secret::from("hash"),
        project_uid: uuid(),
        webhook_secrets: BTreeMap::new(),
    }
}

fn spec(n: u32) -> Value {
    json!({
        "project": "default",
        "source": {"repoURL": format!("https://git.example/team/app-{n}.git"), "path": ".", "unknown": [n]},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "web"},
    })
}

fn app(name: &str, n: u32) -> Application {
    Application {
        metadata: json!({"name": name, "namespace": "argocd", "uid": uuid().to_string(), "labels": {"n": n.to_string()}}),
        spec: spec(n),
        operation: None,
        status: Status::default(),
        resource_version: 0,
    }
}
