//! Real parts for tests and developer tools: PostgreSQL, Redis, a Kubernetes control plane, Git servers, and clients.
//!
//! It deliberately contains no imitation of any of them, and no part of the product: the services are run as their
//! binaries, and spoken to as anybody would.
//!
//! # Invariants
//! - Clients of two tenants differ only by host and token; nothing here takes a tenant's id.
//! - A process is signalled only while its id and its start time are those of the process that was started.
//! - Everything listens on loopback, on ports that were free, with folders of its own.
//!
//! # Reading order
//! [`platform`] and [`client`], which most tests want; beneath them [`services`], [`helpers`] and the parts ([`postgres`],
//! [`redis`], [`control_plane`], [`git`], [`ingress`]); beneath these [`ground`], [`process`], [`tools`].

pub mod admission;
pub mod certs;
pub mod charts;
pub mod client;
pub mod command;
pub mod control_plane;
pub mod git;
pub mod ground;
pub mod helpers;
pub mod http;
pub mod ingress;
pub mod kube;
pub mod lock;
pub mod names;
pub mod paths;
pub mod platform;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod progress;
pub mod redis;
pub mod services;
pub mod tools;
pub mod unruly;
pub mod wait;

pub use platform::{platform, tenant};
