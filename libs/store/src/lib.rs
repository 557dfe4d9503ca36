//! What must not be lost: PostgreSQL, always within a tenant's scope.
//!
//! Deliberately without decisions: who may do what is the api's, what to do is the engine's. Nothing is cached here but
//! the tenants' unwrapped keys.
//!
//! # Invariants
//! - A tenant's row is reached only through a [`TenantScope`]; each of its statements runs in a transaction in which
//!   `naru.tenant` is set, its own where it is a read that stands alone, and forced row-level security stands beneath it. An
//!   unset tenant is an error.
//! - Work across tenants goes through [`PlatformScope`]: one `SECURITY DEFINER` function per purpose.
//! - A process refuses to start as a role that could get around the policies ([`Store::connect`]).
//! - Every write of an application or project takes the tenant's next resource version in the same transaction, and
//!   versions commit in order: who has seen N has seen everything below.
//! - Every write checks how many rows it touched.
//! - Credentials, keys and manifest sets rest only sealed under the tenant's key, which rests only wrapped by the
//!   installation's ([`KeyFile`]); clusters' credentials only sealed to the controllers' key ([`SealingKey`]).
//! - What a controller writes carries its lease's fence, and is refused when the lease has passed on.
//!
//! # Reading order
//! [`Store`], [`TenantScope`], [`applications`], [`PlatformScope`], [`platform::publish`], [`platform::leases`],
//! [`platform::feed`], [`Error`].

pub mod accounts;
pub mod applications;
pub mod audit;
mod cluster_key;
mod clusters;
pub mod config;
mod connect;
mod data_keys;
mod error;
mod held;
pub mod history;
mod key_file;
pub mod keys;
mod manifest_sets;
mod migrate;
pub mod platform;
mod projects;
mod repositories;
mod rotation;
mod scope;
mod seal;
pub mod secrets;
mod templates;
mod together;
mod tokens;
mod transaction;
mod trust;
mod usage;
mod ways;

pub use applications::{AppChange, Applications};
pub use cluster_key::{OpeningKeys, SealingKey};
pub use clusters::{Clusters, SealedLogin};
pub use connect::{Options, Role, Store, until_answered};
pub use error::{Code, Error, Result, Taken};
pub use history::History;
pub use key_file::KeyFile;
pub use manifest_sets::{SMALL_SET, SealedSet};
pub use migrate::{Patience, ROLES_SQL, migrate, migrate_with};
pub use platform::PlatformScope;
pub use platform::audit::SEALING;
pub use platform::feed::{Change, ChangeKind};
pub use platform::leases::{Controller, Lease};
pub use platform::operator::{Claim, Release, Tombstone};
pub use platform::publish::{PublishOutcome, StatusWrite, Verdict};
pub use platform::tenants::NewTenant;
pub use projects::Projects;
pub use repositories::Repositories;
pub use rotation::{Rotated, Rotation, SEALED};
pub use scope::TenantScope;
pub use secrets::WebhookProvider;
pub use templates::Templates;
pub use together::rest_after;
pub use trust::TrustStore;
pub use ways::Ways;
