//! Where each planted value may appear, and why.

/// A row: the value may appear in this place.
pub(crate) struct May {
    /// What the value is.
    pub(crate) value: &'static str,
    /// The place; one that ends in `*` is every place that begins so.
    pub(crate) place: &'static str,
    /// Why.
    pub(crate) why: &'static str,
}

const fn may(value: &'static str, place: &'static str, why: &'static str) -> May {
    May { value, place, why }
}

const SPEC: &str = "the application's spec is stored and shown as it was written, as Argo CD does";
const ANNOTATION: &str =
    "an annotation is shown with its object, as Argo CD does unless it is told otherwise";

/// Everything else is red.
#[rustfmt::skip]
pub(crate) const MAY: &[May] = &[
    may("session token", "answer POST /api/v1/session", "whoever signs in is given it"),
    may("account token", "answer POST /api/v1/account/bob/token", "shown once, to whom it was made for"),
    may("role token", "answer POST /api/v1/projects/team/roles/ci/token", "shown once, to whom it was made for"),
    may("common annotation", "answer GET /api/v1/applications", SPEC),
    may("common annotation", "answer GET /api/v1/applications/kust", SPEC),
    may("common annotation", "answer POST /api/v1/applications", SPEC),
    may("common annotation", "answer POST /api/v1/applications/kust/sync", SPEC),
    may("common annotation", "argocd app list", SPEC),
    may("common annotation", "watch applications", SPEC),
    may("common annotation", "database", SPEC),
    may("common annotation", "export of the tenant", SPEC),
    may("helm parameter", "answer GET /api/v1/applications", SPEC),
    may("helm parameter", "answer GET /api/v1/applications/helm", SPEC),
    may("helm parameter", "answer POST /api/v1/applications", SPEC),
    may("helm parameter", "answer POST /api/v1/applications/helm/sync", SPEC),
    may("helm parameter", "argocd app list", SPEC),
    may("helm parameter", "watch applications", SPEC),
    may("helm parameter", "database", SPEC),
    may("helm parameter", "export of the tenant", SPEC),
    may("helm values", "answer GET /api/v1/applications", SPEC),
    may("helm values", "answer GET /api/v1/applications/helm", SPEC),
    may("helm values", "answer POST /api/v1/applications", SPEC),
    may("helm values", "answer POST /api/v1/applications/helm/sync", SPEC),
    may("helm values", "argocd app list", SPEC),
    may("helm values", "watch applications", SPEC),
    may("helm values", "database", SPEC),
    may("helm values", "export of the tenant", SPEC),
    may("plugin variable", "answer GET /api/v1/applications", SPEC),
    may("plugin variable", "answer GET /api/v1/applications/plugin", SPEC),
    may("plugin variable", "answer POST /api/v1/applications", SPEC),
    may("plugin variable", "argocd app list", SPEC),
    may("plugin variable", "watch applications", SPEC),
    may("plugin variable", "database", SPEC),
    may("plugin variable", "export of the tenant", SPEC),
    may("common annotation", "answer GET /api/v1/applications/kust/managed-resources", ANNOTATION),
    may("common annotation", "answer GET /api/v1/applications/kust/manifests", ANNOTATION),
    may("common annotation", "argocd app manifests", ANNOTATION),
    may("custom annotation", "answer GET /api/v1/applications/app/managed-resources", ANNOTATION),
    may("custom annotation", "answer GET /api/v1/applications/app/manifests", ANNOTATION),
    may("custom annotation", "answer GET /api/v1/applications/app/resource", ANNOTATION),
    may("custom annotation", "answer POST /api/v1/applications/app/resource", ANNOTATION),
    may("custom annotation", "argocd app manifests", ANNOTATION),
    may("live annotation", "answer GET /api/v1/applications/app/managed-resources", ANNOTATION),
    may("live annotation", "answer GET /api/v1/applications/app/resource", ANNOTATION),
    may("live annotation", "answer POST /api/v1/applications/app/resource", ANNOTATION),
    may("live annotation", "argocd app manifests", ANNOTATION),
];

/// What must have been searched: a sweep that has not seen these proves nothing.
pub(crate) const SEARCHED: &[&str] = &[
    "answer *",
    "argocd *",
    "watch *",
    "answer GET /api/naru/v1/audit/export",
    "export of the tenant",
    "events of the cluster",
    "log naru-api",
    "log naru-repo-server",
    "log naru-controller",
    "metrics naru-api",
    "metrics naru-repo-server",
    "metrics naru-controller",
    "traces",
    "database",
    "redis",
    "files of the repo-server",
];

/// Whether a row's place is this one.
pub(crate) fn covers(row: &str, place: &str) -> bool {
    match row.strip_suffix('*') {
        Some(beginning) => place.starts_with(beginning),
        None => row == place,
    }
}
