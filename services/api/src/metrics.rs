//! What the api counts, under Argo CD's names where they exist, with the tenant as label.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use runtime::metrics::Registry;

/// One RPC's outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Handled {
    /// Whose.
    pub(crate) tenant: String,
    /// The service, with its package.
    pub(crate) grpc_service: String,
    /// The method.
    pub(crate) grpc_method: String,
    /// The code's name, as Go spells it.
    pub(crate) grpc_code: &'static str,
}

/// One login's outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Login {
    /// Whose host.
    pub(crate) tenant: String,
    /// `success` or `failure`.
    pub(crate) status: &'static str,
}

/// One webhook's outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Webhook {
    /// Whose.
    pub(crate) tenant: String,
    /// Who sent it.
    pub(crate) provider: &'static str,
    /// `accepted`, `ignored` or `refused`.
    pub(crate) outcome: &'static str,
}

/// The counters. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) handled: Family<Handled, Counter>,
    pub(crate) logins: Family<Login, Counter>,
    pub(crate) webhooks: Family<Webhook, Counter>,
    pub(crate) watches: Gauge,
}

impl Metrics {
    /// Registers them. The registry's text form adds `_total` to counters.
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            handled: registry.add(
                "grpc_server_handled",
                "RPCs answered, by code",
                Family::default(),
            ),
            logins: registry.add(
                "argocd_login_request",
                "Logins, by outcome",
                Family::default(),
            ),
            webhooks: registry.add(
                "argocd_webhook_requests",
                "Webhooks received, by outcome",
                Family::default(),
            ),
            watches: registry.add(
                "naru_api_watches",
                "Open watches of applications",
                Gauge::default(),
            ),
        }
    }
}

/// A code's name, as Go spells it in `grpc_code`.
pub(crate) fn code_name(code: tonic::Code) -> &'static str {
    use tonic::Code;
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
