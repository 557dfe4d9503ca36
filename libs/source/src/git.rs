//! Repositories: bare mirrors kept by a sandboxed `git`, refs listed in process, objects read with libgit2.
//!
//! One mirror per tenant, credential scope and address, never shared between tenants. There is no working tree, hence
//! no lock per repository and any number of commits at once. Connections go only to addresses that the installation allows.

mod access;
mod below;
mod command;
mod egress;
mod files;
mod github_app;
mod http;
mod memory;
mod metadata;
mod mirror;
mod mirrors;
mod pack;
mod pkt;
mod places;
mod pool;
mod refs;
mod remove;
mod signature;

pub use access::{Access, Login, Place, Rules};
pub(crate) use egress::send;
pub use files::{Files, Found, Item, ItemKind, Node};
pub(crate) use files::{MAX_PATH, walk};
pub(crate) use http::Clients;
pub(crate) use memory::Memory;
pub use metadata::Metadata;
pub(crate) use mirror::{Mirror, damaged};
pub use mirrors::{Limits, MaybeSigned, Mirrors, Observer, Request, Snapshot};
pub(crate) use mirrors::{Opened, size_of};
pub use refs::Refs;
