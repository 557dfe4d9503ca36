//! Chart repositories over HTTP and OCI registries: what they offer, which version or digest a revision is, and its files.
//!
//! An archive is unpacked once, checked, and kept as a commit in a bare repository of its own, so that everything that
//! reads Git reads charts and artifacts. Repositories are never shared between tenants or credentials. The archive of a folder
//! that somebody sends is unpacked by the same rules, and kept nowhere.

mod archive;
mod artifact;
mod http;
mod index;
mod local;
#[cfg(test)]
mod mutated;
mod oci;
mod shelf;
mod store;

pub use artifact::ArtifactNotes;
pub(crate) use http::file;
pub(crate) use local::local;
pub use store::{Charts, Pulled};
