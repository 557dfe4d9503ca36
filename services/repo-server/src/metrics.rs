//! What the repo-server counts, under Argo CD's names where it has them, with the tenant as a label.

use std::time::Duration;

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

impl Observer for Metrics {
    fn requested(&self, access: &Access, request: Request, took: Duration, succeeded: bool) {
        let labels = GitLabels {
            tenant: access.tenant().to_owned(),
            repo: access.url().to_owned(),
            request_type: match request {
                Request::List => "ls-remote",
                Request::Fetch => "fetch",
            },
        };
        self.requests.get_or_create(&labels).inc();
        self.durations
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        if !succeeded {
            self.failures.get_or_create(&labels).inc();
        }
    }
}
