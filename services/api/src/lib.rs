//! The front door: one port for gRPC, gRPC-web, REST and server-sent events, where requests become tenants' reads and
//! writes.
//!
//! Deliberately renders nothing, compares nothing and touches no cluster: desired state is asked of a repo-server, live
//! state of the controller that owns the cluster, and everything written goes through the store within one tenant's
//! scope.
//!
//! # Invariants
//! - The tenant of a request is decided from its host before anything else of it is looked at, and never from a header
//!   that a proxy may add.
//! - Every handler asks [`permit`] and nothing else whether the caller may.
//! - REST and gRPC-web are translations of gRPC: they call the same services over the same road, so no rule can hold on
//!   one and not on another.
//! - A webhook is verified before it is parsed, and informs nobody: it only wakes.
//!
//! # Reading order
//! [`config`], `listen`, `front`, `identity`, `permit`, `grpc`, `rest`, `hub`, `peers`, `webhook`.

// What serves a connection is one future, as deep as a request's way to the database is long.
#![recursion_limit = "256"]

mod audit;
mod bootstrap;
pub mod config;
mod failure;
mod front;
mod grpc;
mod hub;
mod identity;
mod language;
mod listen;
mod metrics;
mod peers;
mod permit;
mod rest;
mod rights;
mod rules;
mod shared;
mod sources;
mod ttl;
mod webhook;

pub use bootstrap::{
    Failure, generate_authority, generate_cluster_key, generate_key, migrate, rotate_key,
    rotate_tenant_key, run,
};
