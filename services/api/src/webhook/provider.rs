//! Which providers there are, how each is known by its headers, and how its events are proven and read.

use http::HeaderMap;
use store::WebhookProvider;

use super::proof::Keys;
use super::{Event, azure_devops, bitbucket, bitbucket_server, github, gitlab, gogs};

/// Who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    AzureDevOps,
    Gitea,
    Gogs,
    GitHub,
    GitLab,
    Bitbucket,
    BitbucketServer,
}

impl Provider {
    /// All of them with the header that tells each, in the order in which Argo CD looks: Gitea sends Gogs' headers as well,
    /// both send GitHub's, and both Bitbuckets send the same event header.
    const TOLD_BY: [(Self, &'static str); 7] = [
        (Self::AzureDevOps, azure_devops::ACTIVITY),
        (Self::Gitea, gogs::GITEA_EVENT),
        (Self::Gogs, gogs::EVENT),
        (Self::GitHub, github::EVENT),
        (Self::GitLab, gitlab::EVENT),
        (Self::Bitbucket, bitbucket::UUID),
        (Self::BitbucketServer, bitbucket_server::EVENT),
    ];

    /// Who sends such headers.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let told = Self::TOLD_BY
            .into_iter()
            .find(|(_, header)| headers.get(*header).is_some_and(|value| !value.is_empty()));
        told.map(|(provider, _)| provider)
    }

    /// As it is stored.
    pub(super) fn stored(self) -> WebhookProvider {
        match self {
            Self::AzureDevOps => WebhookProvider::AzureDevOps,
            Self::Gitea => WebhookProvider::Gitea,
            Self::Gogs => WebhookProvider::Gogs,
            Self::GitHub => WebhookProvider::GitHub,
            Self::GitLab => WebhookProvider::GitLab,
            Self::Bitbucket => WebhookProvider::Bitbucket,
            Self::BitbucketServer => WebhookProvider::BitbucketServer,
        }
    }

    /// Whose secrets it may be proven with. Gitea's too with Gogs', under which Argo CD keeps it.
    pub(super) fn known_as(self) -> &'static [WebhookProvider] {
        match self {
            Self::AzureDevOps => &[WebhookProvider::AzureDevOps],
            Self::Gitea => &[WebhookProvider::Gitea, WebhookProvider::Gogs],
            Self::Gogs => &[WebhookProvider::Gogs],
            Self::GitHub => &[WebhookProvider::GitHub],
            Self::GitLab => &[WebhookProvider::GitLab],
            Self::Bitbucket => &[WebhookProvider::Bitbucket],
            Self::BitbucketServer => &[WebhookProvider::BitbucketServer],
        }
    }

    /// Whether it only tries the connection, which Bitbucket Server does not sign.
    pub(super) fn tries_the_connection(self, headers: &HeaderMap) -> bool {
        self == Self::BitbucketServer && bitbucket_server::is_ping(headers)
    }

    /// Whether the headers alone prove who sent it; `None` where a signature covers the body.
    pub(super) fn proven_before_the_body(self, headers: &HeaderMap, keys: &Keys) -> Option<bool> {
        match self {
            Self::AzureDevOps => Some(azure_devops::verified(headers, keys)),
            Self::GitLab => Some(gitlab::verified(headers, keys)),
            Self::Bitbucket => Some(bitbucket::verified(headers, keys)),
            Self::Gitea | Self::Gogs | Self::GitHub | Self::BitbucketServer => None,
        }
    }

    /// Whether headers and body prove who sent it.
    pub(super) fn proven(self, headers: &HeaderMap, body: &[u8], keys: &Keys) -> bool {
        match self {
            Self::Gitea | Self::Gogs => gogs::verified(headers, body, keys),
            Self::GitHub => github::verified(headers, body, keys),
            Self::BitbucketServer => bitbucket_server::verified(headers, body, keys),
            Self::AzureDevOps | Self::GitLab | Self::Bitbucket => {
                self.proven_before_the_body(headers, keys) == Some(true)
            }
        }
    }

    /// Why an event was not proven: what it came without, or which setting that does not fit. Whether the setting has a value
    /// is not told to whoever has proven nothing.
    pub(super) fn refusal(self, headers: &HeaderMap) -> String {
        let (what, came_in, setting) = self.proof();
        let came = came_in
            .iter()
            .any(|name| headers.get(*name).is_some_and(|value| !value.is_empty()));
        match came {
            true => format!("the {what} does not fit {setting}\n"),
            false => format!(
                "no {what} came with the webhook (header {}): give the provider what {setting} holds\n",
                came_in.join(" or ")
            ),
        }
    }

    /// With what an event is proven, the headers that may hold it, and the settings that it has to fit.
    fn proof(self) -> (&'static str, &'static [&'static str], &'static str) {
        match self {
            Self::AzureDevOps => (
                "login",
                &[azure_devops::CREDENTIALS],
                "`webhook.azuredevops.username` and `webhook.azuredevops.password`",
            ),
            Self::Gitea => (
                "signature",
                &gogs::SIGNATURES,
                "`webhook.gitea.secret` or `webhook.gogs.secret`",
            ),
            Self::Gogs => ("signature", &gogs::SIGNATURES, "`webhook.gogs.secret`"),
            Self::GitHub => ("signature", &[github::SIGNATURE], "`webhook.github.secret`"),
            Self::GitLab => ("secret", &[gitlab::TOKEN], "`webhook.gitlab.secret`"),
            Self::Bitbucket => ("id", &[bitbucket::UUID], "`webhook.bitbucket.uuid`"),
            Self::BitbucketServer => (
                "signature",
                &[bitbucket_server::SIGNATURE],
                "`webhook.bitbucketserver.secret`",
            ),
        }
    }

    /// Reads a body that was proven.
    pub(super) fn parse(
        self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Event, serde_json::Error> {
        match self {
            Self::AzureDevOps => azure_devops::parse(body),
            Self::Gitea | Self::Gogs => gogs::parse(headers, body),
            Self::GitHub => github::parse(headers, body),
            Self::GitLab => gitlab::parse(body),
            Self::Bitbucket => bitbucket::parse(headers, body),
            Self::BitbucketServer => bitbucket_server::parse(headers, body),
        }
    }
}
