//! The secrets that a tenant's Git hosts sign webhooks with.

use domain::secret::Secret;

use crate::error::{Error, Result};
use crate::scope::{Spot, TenantScope};

/// Who sends webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WebhookProvider {
    /// GitHub.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gitea and Forgejo.
    Gitea,
    /// Gogs.
    Gogs,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Bitbucket Server and Data Center.
    BitbucketServer,
    /// Azure DevOps.
    AzureDevOps,
}

impl WebhookProvider {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::GitHub,
        Self::GitLab,
        Self::Gitea,
        Self::Gogs,
        Self::Bitbucket,
        Self::BitbucketServer,
        Self::AzureDevOps,
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
            Self::Gogs => "gogs",
            Self::Bitbucket => "bitbucket",
            Self::BitbucketServer => "bitbucket-server",
            Self::AzureDevOps => "azure-devops",
        }
    }
}

pub(crate) const WEBHOOK: &str = "webhook";

pub(crate) fn spot<'a>(row: &'a [&'a str]) -> Spot<'a> {
    Spot {
        table: "secrets",
        column: "sealed",
        row,
    }
}

impl TenantScope {
    /// The secret that a provider signs this tenant's webhooks with.
    ///
    /// # Errors
    /// When the tenant was destroyed, or the secret does not open.
    #[tracing::instrument(name = "db.secrets.webhook", skip_all, fields(tenant = %self.tenant()))]
    pub async fn webhook_secret(&self, provider: WebhookProvider) -> Result<Secret> {
        let mut tx = self.begin().await?;
        let sealed: Vec<u8> =
            sqlx::query_scalar("SELECT sealed FROM naru.secrets WHERE kind = $1 AND name = $2")
                .bind(WEBHOOK)
                .bind(provider.as_str())
                .fetch_optional(&mut *tx)
                .await?
                .ok_or_else(|| Error::not_found("webhook secret", provider.as_str()))?;
        drop(tx);
        let value = self
            .open(spot(&[WEBHOOK, provider.as_str()]), &sealed)
            .await?;
        if value.starts_with(b"$") {
            // It stands elsewhere in the settings.
            let reference = String::from_utf8_lossy(&value);
            return self
                .config()
                .load()
                .await?
                .resolve(&reference)
                .ok_or_else(|| Error::not_found("webhook secret", provider.as_str()));
        }
        Ok(Secret::new(value.as_slice()))
    }
}
