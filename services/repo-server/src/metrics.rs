//! What the repo-server counts, under Argo CD's names where it has them, with the tenant as a label.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use runtime::metrics::Registry;
use source::git::{Access, Observer, Request};

/// Argo CD's buckets, and finer ones below, where ours lie.
const GIT_SECONDS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 30.0];
const RENDER_SECONDS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// How many repositories are told apart, of one tenant and of all: an address is whatever somebody writes, and each that is
/// listed and fetched is some 30 lines of the page, 5 KB.
const MOST_OF_TENANT: usize = 2_000;
const MOST: usize = 6_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GitLabels {
    tenant: String,
    repo: String,
    request_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RenderLabels {
    tenant: String,
    /// `hit`, `first`, `changed`, `bypassed`, `local`, `incomplete`, `failed`.
    cache: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TenantLabel {
    tenant: String,
}

/// The repo-server's metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    requests: Family<GitLabels, Counter>,
    failures: Family<GitLabels, Counter>,
    durations: Family<GitLabels, Histogram>,
    repos: Arc<Mutex<Repos>>,
    pending: Family<TenantLabel, Gauge>,
    renders: Family<RenderLabels, Counter>,
    render_durations: Family<RenderLabels, Histogram>,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            requests: registry.add(
                "argocd_git_request",
                "Number of git requests performed by repo server",
                Family::default(),
            ),
            failures: registry.add(
                "argocd_git_request_failed",
                "Number of git requests that failed",
                Family::default(),
            ),
            durations: registry.add(
                "argocd_git_request_duration_seconds",
                "Git requests duration seconds",
                Family::new_with_constructor(|| Histogram::new(GIT_SECONDS)),
            ),
            repos: Arc::default(),
            pending: registry.add(
                "argocd_repo_pending_request_total",
                "Number of pending requests requiring repository lock",
                Family::default(),
            ),
            renders: registry.add(
                "naru_render",
                "Renders asked for, by how they were answered",
                Family::default(),
            ),
            render_durations: registry.add(
                "naru_render_duration_seconds",
                "How long renders took, waiting included",
                Family::new_with_constructor(|| Histogram::new(RENDER_SECONDS)),
            ),
        }
    }

    /// Counts a request as pending until the guard is dropped.
    pub(crate) fn pending(&self, tenant: &str) -> impl Drop + use<> {
        struct Pending(Gauge);
        impl Drop for Pending {
            fn drop(&mut self) {
                self.0.dec();
            }
        }
        let gauge = self
            .pending
            .get_or_create(&TenantLabel {
                tenant: tenant.to_owned(),
            })
            .clone();
        gauge.inc();
        Pending(gauge)
    }

    pub(crate) fn rendered(&self, tenant: &str, cache: &'static str, took: Duration) {
        let labels = RenderLabels {
            tenant: tenant.to_owned(),
            cache,
        };
        self.renders.get_or_create(&labels).inc();
        self.render_durations
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }
}

/// The repositories that there are counts of, those of each tenant by their last use.
#[derive(Debug, Default)]
struct Repos {
    of: HashMap<String, LruCache<String, ()>>,
    all: usize,
}

impl Repos {
    /// Notes the use of a repository; says of which one there are no counts any more, if that is one too many.
    fn used(&mut self, tenant: &str, repo: &str) -> Option<(String, String)> {
        let own = self.of.entry(tenant.to_owned());
        let own = own.or_insert_with(LruCache::unbounded);
        if own.get(repo).is_some() {
            return None;
        }
        own.put(repo.to_owned(), ());
        self.all += 1;
        let whose = if own.len() > MOST_OF_TENANT {
            tenant.to_owned()
        } else if self.all > MOST {
            // Whoever has most has room for others.
            let others = self.of.iter();
            let others = others.filter(|(whose, own)| *whose != tenant || own.len() > 1);
            let most = others.max_by_key(|(_, own)| own.len());
            most.map(|(tenant, _)| tenant.clone())?
        } else {
            return None;
        };
        let own = self.of.get_mut(&whose)?;
        let (repo, ()) = own.pop_lru()?;
        if own.is_empty() {
            self.of.remove(&whose);
        }
        self.all -= 1;
        Some((whose, repo))
    }
}

impl Metrics {
    fn forget(&self, tenant: &str, repo: &str) {
        for request in [Request::List, Request::Fetch] {
            let labels = GitLabels::new(tenant, repo, request);
            self.requests.remove(&labels);
            self.failures.remove(&labels);
            self.durations.remove(&labels);
        }
    }
}

impl GitLabels {
    fn new(tenant: &str, repo: &str, request: Request) -> Self {
        Self {
            tenant: tenant.to_owned(),
            repo: repo.to_owned(),
            request_type: match request {
                Request::List => "ls-remote",
                Request::Fetch => "fetch",
            },
        }
    }
}

impl Observer for Metrics {
    fn requested(&self, access: &Access, request: Request, took: Duration, succeeded: bool) {
        let labels = GitLabels::new(access.tenant(), access.url(), request);
        // Held to the end: what is forgotten meanwhile would be counted and never forgotten again.
        let mut repos = self.repos.lock();
        if let Some((tenant, repo)) = repos.used(access.tenant(), access.url()) {
            self.forget(&tenant, &repo);
        }
        self.requests.get_or_create(&labels).inc();
        self.durations
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        if !succeeded {
            self.failures.get_or_create(&labels).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use source::git::{Login, Rules};

    use super::*;

    #[test]
    fn s02_there_are_counts_of_so_many_repositories_and_of_those_that_are_used() {
        let mut repos = Repos::default();
        let of = |tenant: usize| format!("tenant-{tenant}");
        for repo in 0..MOST_OF_TENANT {
            assert_eq!(repos.used(&of(0), &repo.to_string()), None);
        }
        assert_eq!(repos.used(&of(0), "0"), None, "it is known");
        let gone = repos.used(&of(0), "more");
        assert_eq!(gone, Some((of(0), "1".to_owned())), "used longest ago");
        // Others find room for themselves, and then that of whoever has most.
        for tenant in 1..MOST / MOST_OF_TENANT {
            for repo in 0..MOST_OF_TENANT {
                let own = (repo + 1).to_string();
                assert_eq!(repos.used(&of(tenant), &own), None);
            }
        }
        assert_eq!(repos.all, MOST);
        let (whose, _) = repos.used("new", "one").unwrap();
        assert_ne!(whose, "new");
        assert_eq!(repos.used("new", "one"), None);
        assert_eq!(repos.all, MOST);
        let held: usize = repos.of.values().map(LruCache::len).sum();
        assert_eq!(held, MOST);
    }

    #[test]
    fn what_is_forgotten_is_told_no_more() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        let requested = |name: &str| {
            let url = format!("https://git.example/{name}.git");
            let access = Access::new("t", "", &url, Login::default(), Rules::default());
            let took = Duration::from_millis(1);
            metrics.requested(&access.unwrap(), Request::List, took, false);
        };
        for number in 0..MOST_OF_TENANT {
            requested(&format!("r{number}x"));
        }
        let told = |name: &str| registry.encode().matches(&format!("/{name}.git")).count();
        assert!(told("r0x") > 3);
        requested("another");
        assert_eq!(told("r0x"), 0);
        assert!(told("r1x") > 3 && told("another") > 3);
    }
}
