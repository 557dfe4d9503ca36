//! Settings, accounts and signing keys as they rest and come back.

use std::time::Duration;

use domain::secret::Secret;
use domain::settings::{AccountToken, Capability, Change, Config, Object, Problem};
use store::{Code, Error, TenantScope};

use crate::{World, session};

fn change(object: &str, key: &str, value: Option<&str>) -> Change {
    Change {
        object: object.into(),
        key: key.into(),
        value: value.map(Into::into),
    }
}

#[derive(Debug)]
#[expect(dead_code, reason = "shown when a test fails")]
enum Refused {
    Problems(Vec<Problem>),
    Store(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

async fn apply(scope: &TenantScope, changes: &[Change]) -> Result<Config, Refused> {
    let done = scope
        .config()
        .update(|config| config.apply(changes).map_err(Refused::Problems))
        .await?;
    assert_eq!(scope.config().load().await.unwrap(), done.after);
    Ok(done.after)
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_come_back_as_they_were_set_and_secrets_rest_sealed() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let version = scope.current_version().await.unwrap();
        apply(
            &scope,
            &[
                change("argocd-cm", "url", Some("https://a.example")),
                change("argocd-rbac-cm", "policy.csv", Some("g, bob, role:admin")),
                change("secret/okta", "secret", Some("canary-okta")),
                change("argocd-secret", "webhook.github.secret", Some("$okta:secret")),
            ],
        )
        .await
        .unwrap();
        assert!(scope.current_version().await.unwrap() > version);
        let secret = scope.webhook_secret(store::WebhookProvider::GitHub).await;
        assert_eq!(secret.unwrap(), Secret::from("canary-okta"));
        let mut admin = session(&world.database.admin).await;
        let plain: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM naru.config c WHERE c::text LIKE '%canary%' OR encode(c.sealed, 'escape') LIKE '%canary%'",
        )
        .fetch_one(&mut admin)
        .await
        .unwrap();
        assert_eq!(plain, 0);
        let after = apply(&scope, &[change("argocd-cm", "url", None)]).await;
        assert_eq!(after.unwrap().url(), None);
        let gone = [change("argocd-secret", "webhook.gitlab.secret", None)];
        apply(&scope, &gone).await.unwrap();
        let gone = scope.webhook_secret(store::WebhookProvider::GitLab).await;
        assert_eq!(gone.unwrap_err().code(), Code::NotFound);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_leaves_everything_as_it_was() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let before = scope.config().load().await.unwrap();
        let version = scope.current_version().await.unwrap();
        let mixed = [
            change("argocd-cm", "url", Some("https://a.example")),
            change("argocd-cm", "nonsense", Some("x")),
        ];
        assert!(apply(&scope, &mixed).await.is_err());
        assert_eq!(scope.config().load().await.unwrap(), before);
        assert_eq!(scope.current_version().await.unwrap(), version);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_one_truth_seen_through_their_keys() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let wanted = [change("argocd-cm", "accounts.bob", Some("apiKey, login"))];
        let made = apply(&scope, &wanted).await.unwrap();
        let bob = made.account("bob").cloned().unwrap();
        assert_eq!(bob.capabilities, [Capability::ApiKey, Capability::Login]);
        let found = scope.accounts().find("bob").await.unwrap().unwrap();
        assert_eq!(found.settings, bob);
        assert!(!found.own_password && !found.operator);

        let token = AccountToken {
            id: "ci".into(),
            issued_at: 5,
            expires_at: 9,
        };
        scope.accounts().add_token("bob", &token).await.unwrap();
        let at = chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        scope
            .accounts()
            .set_password("bob", &Secret::from("h"), at, true)
            .await
            .unwrap();
        let config = scope.config().load().await.unwrap();
        let tokens = config
            .raw()
            .get(&Object::Secret, "accounts.bob.tokens")
            .unwrap();
        assert_eq!(tokens.expose(), r#"[{"id":"ci","iat":5,"exp":9}]"#);

        // A password that comes from the settings was set by somebody else.
        let hash = "$2a$10$C6UzMDM.H6dfI/f/IKcEeO7ZFVb0Yv0eQ1uJ0pY1o8aB0vJ0yQ9bK";
        apply(
            &scope,
            &[
                change("argocd-secret", "accounts.bob.password", Some(hash)),
                change("argocd-secret", "accounts.bob.tokens", None),
                change("argocd-cm", "accounts.bob.enabled", Some("false")),
            ],
        )
        .await
        .unwrap();
        let found = scope.accounts().find("bob").await.unwrap().unwrap();
        assert!(!found.own_password && !found.settings.enabled && found.settings.tokens.is_empty());

        apply(&scope, &[change("argocd-cm", "accounts.bob", None)])
            .await
            .unwrap();
        assert!(scope.accounts().find("bob").await.unwrap().is_none());
        let gone = scope.accounts().add_token("bob", &token).await;
        assert_eq!(gone.unwrap_err().code(), Code::NotFound);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_account_is_changed_on_behalf_of_operators_alone() {
    World::with(async |world| {
        let platform = world.api.platform();
        let made = platform.ensure_operator_tenant(crate::new_tenant("ignored"));
        let forgetful = world.api.tenant(made.await.unwrap().0.id);
        let operators = forgetful.clone().written_by(true);
        let token = |id: &str| AccountToken {
            id: id.into(),
            issued_at: 5,
            expires_at: 0,
        };
        let own = token("own");
        operators.accounts().add_token("admin", &own).await.unwrap();
        let before = forgetful.accounts().find("admin").await.unwrap();

        let (hash, at) = (Secret::from("h"), chrono::DateTime::UNIX_EPOCH);
        let rows = forgetful.accounts();
        let stolen = token("stolen");
        for refused in [
            rows.set_password("admin", &hash, at, false).await,
            rows.add_token("admin", &stolen).await,
            rows.delete_token("admin", "own").await,
        ] {
            assert_eq!(refused.unwrap_err().code(), Code::Denied);
        }
        let off = [change("argocd-cm", "admin.enabled", Some("false"))];
        let refused = apply(&forgetful, &off).await.unwrap_err();
        assert!(matches!(refused, Refused::Store(error) if error.code() == Code::Denied));
        // Nor by a statement that nobody has written yet.
        let mut api = session(&world.database.api).await;
        let tenant = forgetful.tenant();
        let bind = format!("SELECT set_config('naru.tenant', '{tenant}', false)");
        sqlx::query(&bind).execute(&mut api).await.unwrap();
        for statement in [
            "DELETE FROM naru.accounts",
            "UPDATE naru.accounts SET capabilities = '{}'",
            "DELETE FROM naru.account_tokens",
            "UPDATE naru.account_tokens SET expires_at = 1",
        ] {
            let refused = sqlx::query(statement).execute(&mut api).await.unwrap_err();
            let code = refused.as_database_error().and_then(|said| said.code());
            assert_eq!(code.as_deref(), Some("NR006"), "{statement}: {refused}");
        }
        assert_eq!(forgetful.accounts().find("admin").await.unwrap(), before);

        // Others of that tenant are as anywhere, and an operator changes what it likes.
        let bob = [change("argocd-cm", "accounts.bob", Some("apiKey"))];
        apply(&forgetful, &bob).await.unwrap();
        rows.add_token("bob", &token("ci")).await.unwrap();
        rows.set_password("bob", &hash, at, false).await.unwrap();
        let gone = [change("argocd-cm", "accounts.bob", None)];
        apply(&forgetful, &gone).await.unwrap();
        apply(&operators, &off).await.unwrap();
        let rows = operators.accounts();
        rows.set_password("admin", &hash, at, true).await.unwrap();
        rows.delete_token("admin", "own").await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_signing_key_counts_for_its_grace_and_not_longer() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let other = world.scope("user02").await;
        let (first, others) = (
            scope.keys().current().await.unwrap(),
            other.keys().current().await.unwrap(),
        );
        let second = scope
            .keys()
            .rotate(Duration::from_secs(3_600))
            .await
            .unwrap();
        assert_eq!(scope.keys().current().await.unwrap().kid, second);
        assert_eq!(
            scope.keys().find(&first.kid).await.unwrap(),
            Some(first.clone())
        );
        let third = scope.keys().rotate(Duration::ZERO).await.unwrap();
        for gone in [&first.kid, &second] {
            assert_eq!(scope.keys().find(gone).await.unwrap(), None);
            let owner = world.api.platform().tenant_by_key_id(gone).await.unwrap();
            assert_eq!(owner, None);
        }
        let owner = world.api.platform().tenant_by_key_id(&third).await.unwrap();
        assert_eq!(owner, Some(scope.tenant()));
        assert_eq!(other.keys().current().await.unwrap(), others);
    })
    .await;
}
