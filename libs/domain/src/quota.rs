//! What a tenant may use: so many of each thing, and so much a minute.

mod per_minute;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::message::{self, Message};

pub use per_minute::PerMinute;

/// Something that is counted per tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quota {
    /// Applications.
    Applications,
    /// Connected repositories, those that are read and those that are pushed to.
    Repositories,
    /// Added clusters.
    Clusters,
    /// Objects that its applications manage.
    Objects,
    /// Namespaces of the shared cluster.
    Namespaces,
    /// Operations that run at once.
    Operations,
    /// Renders that were not answered from memory, a minute, on each repo-server.
    Renders,
    /// Calls a minute, on each api.
    Calls,
}

impl Quota {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Applications,
        Self::Repositories,
        Self::Clusters,
        Self::Objects,
        Self::Namespaces,
        Self::Operations,
        Self::Renders,
        Self::Calls,
    ];

    /// Its name, as in settings, requests and refusals.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applications => "applications",
            Self::Repositories => "repositories",
            Self::Clusters => "clusters",
            Self::Objects => "objects",
            Self::Namespaces => "namespaces",
            Self::Operations => "operations",
            Self::Renders => "renders",
            Self::Calls => "calls",
        }
    }

    /// The quota of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|quota| quota.as_str() == name)
    }

    /// Whether it is counted by the minute.
    #[must_use]
    pub fn per_minute(self) -> bool {
        matches!(self, Self::Renders | Self::Calls)
    }

    /// That all of a minute's `allowed` are taken, and that there is one again after `wait`.
    #[must_use]
    pub fn reached(self, allowed: u64, wait: Duration) -> Message {
        message::tenant::RATE_REACHED
            .with("quota", self.as_str())
            .with("used", allowed)
            .with("allowed", allowed)
            .with("seconds", whole_seconds(wait))
    }

    /// What an installation allows each tenant where its settings say nothing: room for a team, an end for a mistake.
    #[must_use]
    pub fn usual(self) -> u64 {
        match self {
            Self::Applications => 10_000,
            Self::Repositories => 1_000,
            Self::Clusters => 50,
            Self::Objects => 500_000,
            Self::Namespaces => 100,
            Self::Operations => 10_000,
            Self::Renders => 3_000,
            Self::Calls => 30_000,
        }
    }
}

/// How many whole seconds later a caller is not too early.
#[must_use]
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + 1
}

/// How much of each a tenant may use; 0, and what is not named, means without limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quotas(pub BTreeMap<String, u64>);

impl Quotas {
    /// How much is allowed; `None` without limit.
    #[must_use]
    pub fn allowed(&self, quota: Quota) -> Option<u64> {
        self.0
            .get(quota.as_str())
            .copied()
            .filter(|allowed| *allowed > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_silence_mean_without_limit() {
        let quotas = Quotas(BTreeMap::from([
            ("applications".into(), 3),
            ("clusters".into(), 0),
        ]));
        assert_eq!(quotas.allowed(Quota::Applications), Some(3));
        assert_eq!(quotas.allowed(Quota::Clusters), None);
        assert_eq!(quotas.allowed(Quota::Calls), None);
        for quota in Quota::ALL {
            assert_eq!(Quota::parse(quota.as_str()), Some(quota));
        }
        assert_eq!(Quota::parse("applicationss"), None);
    }
}
