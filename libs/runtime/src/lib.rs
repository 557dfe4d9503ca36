//! How a process lives: settings, logs, traces, metrics, health endpoints, mutual TLS, graceful stop.
//!
//! Deliberately knows nothing of tenants' data: no Postgres, no Redis, no cluster. Every binary of the platform starts
//! and stops through it, so that they all report bad settings, die and drain in the same way.
//!
//! # Invariants
//! - Bad settings are reported by name, and the process exits with 64 (`EX_USAGE`).
//! - A task spawned with [`Lifecycle::spawn`] that ends early or panics takes the process down with a failing code.
//! - A peer without a certificate of our authority is refused before a byte of its request is parsed.
//!
//! # Reading order
//! [`config`], [`telemetry`], [`lifecycle`], [`ops`], [`mtls`], [`expiry`], [`trace`], [`clock`].

pub mod clock;
pub mod config;
pub mod expiry;
pub mod lifecycle;
pub mod metrics;
pub mod mtls;
pub mod ops;
pub mod telemetry;
pub mod trace;

pub use lifecycle::Lifecycle;
