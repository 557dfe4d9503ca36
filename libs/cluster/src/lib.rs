//! The only door to Kubernetes: kinds and schemas, one live index per cluster, and requests as a tenant's account.
//!
//! Deliberately decides nothing: it does not compare, plan or judge health; that is `engine`'s. It also keeps nothing
//! across restarts, and knows nothing of applications beyond the two annotations that name one.
//!
//! # Invariants
//! - Naru's own identity watches and makes tenants' namespaces; whatever a tenant's input causes goes through
//!   [`Account`], which impersonates that tenant's service account on the shared connections.
//! - No value of a Secret is held, hashed or logged: Secrets and ConfigMaps are watched by their metadata only.
//! - One task changes the index ([`Cluster::run`]); everyone else reads it.
//! - [`WriteGate::may_write`] is asked before a write begins and again when its bytes are about to leave; it ends within
//!   [`ConnectOptions::write_timeout`], and on the server within as much again.
//! - So many writes are under way to a cluster at once, of one tenant and in all. Whoever waits for its turn has asked the gate
//!   nothing yet, and has sent nothing.
//! - A cluster that a tenant has added is reached with what that tenant gave, and is a stranger: where it is, how much it
//!   says, alone and with others in a [`Budget`], and what is repeated of it are bounded.
//! - A cluster that does not answer keeps its last known state, which [`Connection`] then says.
//!
//! # Reading order
//! [`Cluster`], [`ConnectOptions`], [`Index`], [`LiveEntry`], [`Wake`], [`Account`], [`Discovery`], [`Error`].

mod account;
mod added;
mod budget;
mod connect;
mod discovery;
mod error;
mod gate;
mod gated;
mod index;
mod release;
mod resolver;
mod schemas;
mod tenant;
mod transport;
mod url;

pub use account::{
    Account, Applied, ApplyMethod, ApplyOptions, Conflict, DeleteOptions, Deletion, Ending,
    LogOptions, PatchKind, Propagation, Said, Saying, Typing, Validation, WriteOptions,
};
pub use added::{AddedCluster, NewToken, Refused};
pub use budget::Budget;
pub use connect::{Cluster, ConnectOptions, Connection, Terms};
pub use discovery::{ApiKind, Discovery, ServerVersion, is_excluded};
pub use error::{Error, FieldCause, Refusal};
pub use gate::{AlwaysMayWrite, WriteGate};
pub use index::{Fingerprint, Index, LiveEntry, Owner, Tracking, Wake, Wakes};
pub use tenant::TENANT_LABEL;

/// The field manager under which everything is applied; Argo CD's, so that objects can change hands either way.
pub const FIELD_MANAGER: &str = "argocd-controller";

/// The field manager under which somebody changes an object by hand, through us. What is written under it is not what
/// was applied: a field that Git does not have is left alone, and one that it has is drift.
pub const EDIT_MANAGER: &str = "argocd-server";
