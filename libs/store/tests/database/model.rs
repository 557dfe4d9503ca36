//! A tenant's rows as a value, read through its scope; and random operations that change the rows and the value alike.

use std::collections::{BTreeMap, BTreeSet};

use domain::application::REFRESH;
use domain::cause::Cause;
use domain::manifest::ManifestSetHash;
use domain::message::{self, Language};
use domain::project::Project;
use domain::repository::{Credentials, Options, Repository};
use domain::secret::Secret;
use domain::settings::{AccountToken, Change};
use domain::status::HealthCode;
use domain::tenant::TenantSettings;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use store::audit::AuditEntry;
use store::{Code, Lease, StatusWrite, Store, TenantScope, Verdict, WebhookProvider};

use crate::{app, spec, uuid};

const NAMES: [&str; 3] = ["hello", "shop", "default"];

/// An application as the model knows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct App {
    spec: Value,
    generation: i64,
    refresh: Option<String>,
    health: Option<HealthCode>,
}

/// Everything of a tenant that operations change.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rows {
    apps: BTreeMap<String, App>,
    deleted: usize,
    projects: BTreeMap<String, Value>,
    repositories: BTreeMap<String, String>,
    tokens: BTreeSet<String>,
    sets: BTreeMap<String, Vec<u8>>,
    password: String,
    url: Option<String>,
    own_secret: Option<String>,
    account_tokens: BTreeSet<String>,
    audit: Vec<String>,
    korean: bool,
}

impl Rows {
    /// What a new tenant has.
    pub(crate) fn new() -> Self {
        Self {
            password: "hash".into(),
            projects: BTreeMap::from([("default".into(), Project::default_spec())]),
            ..Self::default()
        }
    }

    /// What the scope shows.
    pub(crate) async fn read(scope: &TenantScope) -> Self {
        let apps = scope.applications().list().await.unwrap();
        for app in &apps {
            assert_eq!(
                scope
                    .applications()
                    .find(app.name())
                    .await
                    .unwrap()
                    .as_ref(),
                Some(app)
            );
        }
        let changes = scope.applications().changes_since(0).await.unwrap();
        let mut rows = Self {
            deleted: changes.len() - apps.len(),
            apps: apps
                .into_iter()
                .map(|app| {
                    let known = App {
                        generation: app.metadata["generation"].as_i64().unwrap(),
                        refresh: app.annotation(REFRESH).map(str::to_owned),
                        health: app.status.health,
                        spec: app.spec.clone(),
                    };
                    (app.name().to_owned(), known)
                })
                .collect(),
            ..Self::default()
        };
        for project in scope.projects().list().await.unwrap() {
            rows.projects
                .insert(project.name().to_owned(), project.spec);
        }
        for repository in scope.repositories().list().await.unwrap() {
            let password = repository
                .credentials
                .password
                .unwrap()
                .expose_str()
                .to_owned();
            rows.repositories.insert(repository.url, password);
        }
        for name in NAMES {
            if scope.is_revoked(name).await.unwrap() {
                rows.tokens.insert(name.to_owned());
            }
            if let Some(set) = scope
                .manifest_set(&ManifestSetHash(name.to_owned()))
                .await
                .unwrap()
            {
                rows.sets.insert(name.to_owned(), set);
            }
        }
        rows.password = scope
            .accounts()
            .find("admin")
            .await
            .unwrap()
            .unwrap()
            .settings
            .password_hash
            .unwrap()
            .expose_str()
            .to_owned();
        let config = scope.config().load().await.unwrap();
        rows.url = config.url().map(str::to_owned);
        rows.own_secret = config
            .resolve("$own:key")
            .map(|s| s.expose_str().to_owned());
        rows.account_tokens = config
            .account("bob")
            .map(|bob| bob.tokens.iter().map(|token| token.id.clone()).collect())
            .unwrap_or_default();
        rows.audit = scope
            .audit()
            .newest(1000)
            .await
            .unwrap()
            .into_iter()
            .map(|(_, e)| e.object)
            .collect();
        rows.audit.reverse();
        rows.korean = scope.settings().await.unwrap().language == Language::Korean;
        rows
    }

    /// Does something at random to the rows and to this.
    #[expect(clippy::too_many_lines, reason = "one arm per kind of operation")]
    pub(crate) async fn step(
        &mut self,
        scope: &TenantScope,
        controller: &Store,
        lease: &Lease,
        rng: &mut StdRng,
    ) {
        let name = NAMES[rng.random_range(0..NAMES.len())];
        let n: u32 = rng.random_range(0..4);
        let apps = scope.applications();
        match rng.random_range(0..13) {
            0 | 1 => match apps.create(&app(name, n)).await {
                Ok(_) => {
                    let made = App {
                        spec: spec(n),
                        generation: 1,
                        refresh: None,
                        health: None,
                    };
                    assert!(self.apps.insert(name.into(), made).is_none());
                }
                Err(error) => {
                    assert_eq!(error.code(), Code::AlreadyExists);
                    assert!(self.apps.contains_key(name));
                }
            },
            2 => {
                let done = apps
                    .update(name, None, move |app| {
                        app.spec = spec(n);
                        Ok::<_, store::Error>(())
                    })
                    .await;
                assert_eq!(done.is_ok(), self.apps.contains_key(name), "{done:?}");
                if let Some(known) = self.apps.get_mut(name) {
                    known.generation += i64::from(known.spec != spec(n));
                    known.spec = spec(n);
                }
            }
            3 => {
                let done = apps.request_refresh(name, "hard").await;
                assert_eq!(done.is_ok(), self.apps.contains_key(name), "{done:?}");
                if let Some(known) = self.apps.get_mut(name) {
                    known.refresh = Some("hard".into());
                }
            }
            4 => {
                assert_eq!(
                    apps.delete(name).await.is_ok(),
                    self.apps.contains_key(name)
                );
                self.deleted += usize::from(self.apps.remove(name).is_some());
            }
            5 => {
                let project = Project {
                    metadata: json!({"name": name, "uid": uuid().to_string()}),
                    spec: json!({"description": n.to_string()}),
                    resource_version: 0,
                };
                if self.projects.contains_key(name) {
                    assert_eq!(
                        scope.projects().create(&project).await.unwrap_err().code(),
                        Code::AlreadyExists
                    );
                    scope.projects().replace(&project, None).await.unwrap();
                } else {
                    scope.projects().create(&project).await.unwrap();
                }
                self.projects.insert(name.into(), project.spec);
            }
            6 => {
                let done = scope.projects().delete(name).await;
                assert_eq!(done.is_ok(), self.projects.remove(name).is_some());
            }
            7 => {
                let repository = Repository {
                    url: format!("https://git.example/{name}"),
                    kind: "git".into(),
                    name: name.into(),
                    project: String::new(),
                    credentials: Credentials {
                        username: "u".into(),
                        password: Some(Secret::from(format!("{}-{n}", scope.tenant()))),
                        ..Credentials::default()
                    },
                    insecure: false,
                    enable_lfs: true,
                    options: Options::default(),
                };
                scope.repositories().put(&repository).await.unwrap();
                let found = scope
                    .repositories()
                    .find_for(&format!("{}.git", repository.url), "any")
                    .await
                    .unwrap();
                assert_eq!(found.as_ref(), Some(&repository));
                self.repositories
                    .insert(repository.url, format!("{}-{n}", scope.tenant()));
            }
            8 => {
                let url = format!("https://git.example/{name}");
                let done = scope.repositories().delete(&url, "").await;
                assert_eq!(done.is_ok(), self.repositories.remove(&url).is_some());
            }
            9 => {
                let later = chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap();
                scope.revoke_token(name, later).await.unwrap();
                self.tokens.insert(name.into());
            }
            10 => {
                let own = controller.tenant(scope.tenant());
                let content = scope.tenant().0.as_bytes().to_vec();
                own.put_manifest_set(&ManifestSetHash(name.into()), &content)
                    .await
                    .unwrap();
                self.sets.insert(name.into(), content);
            }
            11 => {
                let at = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
                scope
                    .accounts()
                    .set_password("admin", &Secret::from(format!("hash-{n}")), at, true)
                    .await
                    .unwrap();
                self.password = format!("hash-{n}");
                self.set_config(scope, name, n).await;
                let korean = n.is_multiple_of(2);
                let language = if korean {
                    Language::Korean
                } else {
                    Language::English
                };
                scope
                    .set_settings(&TenantSettings {
                        language,
                        ..TenantSettings::default()
                    })
                    .await
                    .unwrap();
                self.korean = korean;
                let entry = AuditEntry {
                    actor: "admin".into(),
                    action: "set".into(),
                    object: name.into(),
                    ..AuditEntry::default()
                };
                scope.audit().append(&entry).await.unwrap();
                self.audit.push(name.into());
            }
            _ => self.publish(scope, controller, lease, name).await,
        }
    }

    async fn set_config(&mut self, scope: &TenantScope, name: &str, n: u32) {
        let (url, own) = (format!("https://{n}.example"), format!("own-{n}"));
        let changes = [
            ("argocd-cm", "url", url.as_str()),
            ("argocd-cm", "accounts.bob", "apiKey"),
            ("secret/own", "key", own.as_str()),
        ]
        .map(|(object, key, value)| Change {
            object: object.into(),
            key: key.into(),
            value: Some(value.into()),
        });
        scope
            .config()
            .update(|config| {
                config
                    .apply(&changes)
                    .map_err(|problems| panic!("{problems:?}"))
            })
            .await
            .map_err(|error: store::Error| error)
            .unwrap();
        let token = AccountToken {
            id: name.into(),
            issued_at: 1,
            expires_at: 0,
        };
        if self.account_tokens.insert(name.into()) {
            scope.accounts().add_token("bob", &token).await.unwrap();
        } else {
            let again = scope.accounts().add_token("bob", &token).await;
            assert_eq!(again.unwrap_err().code(), Code::AlreadyExists);
        }
        (self.url, self.own_secret) = (Some(url), Some(own));
    }

    async fn publish(
        &mut self,
        scope: &TenantScope,
        controller: &Store,
        lease: &Lease,
        name: &str,
    ) {
        let Some(seen) = controller
            .tenant(scope.tenant())
            .applications()
            .find(name)
            .await
            .unwrap()
        else {
            assert!(!self.apps.contains_key(name));
            return;
        };
        let mut status = seen.status.clone();
        let worse = status.health == Some(HealthCode::Healthy);
        status.health = Some(if worse {
            HealthCode::Degraded
        } else {
            HealthCode::Healthy
        });
        status.causes = vec![Cause::reason(message::tenant::EXISTS.with("name", name))];
        let health = status.health;
        let clear_refresh = seen.annotation(REFRESH).map(str::to_owned);
        let write = StatusWrite {
            clear_refresh,
            ..StatusWrite::status(scope.tenant(), &seen, status)
        };
        let outcomes = controller
            .platform()
            .publish(&[write], &lease.item, lease.fence)
            .await
            .unwrap();
        assert_eq!(outcomes[0].verdict, Verdict::Written);
        let known = self.apps.get_mut(name).unwrap();
        (known.health, known.refresh) = (health, None);
    }
}

/// What two tenants must never share.
pub(crate) async fn secrets(scope: &TenantScope) -> Vec<Vec<u8>> {
    let signing = scope.keys().current().await.unwrap();
    let mut all = vec![
        scope.tenant_key().await.unwrap().expose().to_vec(),
        signing.key.expose().to_vec(),
        signing.kid.into_bytes(),
    ];
    for provider in WebhookProvider::ALL {
        all.push(
            scope
                .webhook_secret(provider)
                .await
                .unwrap()
                .expose()
                .to_vec(),
        );
    }
    all
}
