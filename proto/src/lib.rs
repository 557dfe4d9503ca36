//! The contracts: Argo CD's API, what only Naru has, their generated code, and conversions to and from the domain.
//!
//! Deliberately without transport or storage: it says what travels and, between the services, who may send it.
//!
//! # Invariants
//! - `src/gen` is exactly what the .proto files make; `tests/bootstrap.rs` writes it and compares.
//! - JSON is what Go's `encoding/json` makes of Argo CD's types, through [`json`] alone.
//! - Nothing secret of a repository is ever put into a message that answers somebody.
//!
//! # Reading order
//! [`argocd`], [`naru`], [`json`], [`routes`], [`internal`], [`convert`].

#[rustfmt::skip]
#[path = "gen/mod.rs"]
#[expect(
    missing_docs,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated; the .proto files hold the documentation"
)]
mod generated;

/// Argo CD's API, by its own packages.
pub mod argocd {
    pub use crate::generated::github::com::argoproj::argo_cd::server::settings::oidc;
    pub use crate::generated::github::com::argoproj::argo_cd::v3::pkg::apis::application::v1alpha1;
    pub use crate::generated::{
        account, application, applicationset, certificate, cluster, events, gpgkey, notification,
        project, repocreds, repository, session, version,
    };
}

pub use argocd::v1alpha1;

/// The Kubernetes messages that Argo CD's carry.
pub mod k8s {
    /// Metadata.
    pub mod meta {
        pub use crate::generated::k8s::io::apimachinery::pkg::apis::meta::v1;
    }
    /// Parts of core objects.
    pub mod core {
        pub use crate::generated::k8s::io::api::core::v1;
    }
    /// Free JSON.
    pub mod apiextensions {
        pub use crate::generated::k8s::io::apiextensions_apiserver::pkg::apis::apiextensions::v1;
    }
    pub use crate::generated::k8s::io::apimachinery::pkg::runtime;
    pub use crate::generated::k8s::io::apimachinery::pkg::util::intstr;
}

pub use generated::naru;

pub mod convert;
pub mod internal;
pub mod json;
pub mod routes;

/// All of the above as a `google.protobuf.FileDescriptorSet`, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptor.bin");
