//! The nouns of the platform and their rules: tenants, projects, applications, revisions, manifests, causes.
//!
//! Deliberately without any transport, storage, clock or randomness: everything here is a value or a function of
//! values. Other crates meet in these types and nowhere else.
//!
//! # Invariants
//! - Nothing here waits, reads a clock, or draws a random number; [`clock::Clock`] and [`clock::IdSource`] are
//!   implemented elsewhere and passed in.
//! - A [`secret::Secret`] cannot be printed and cannot be serialised.
//! - Every text that a person reads comes from the catalogue in [`message`], in Korean and English.
//!
//! # Reading order
//! [`tenant`], [`resource`], [`tracking`], [`application`], [`operation`], [`status`], [`manifest`], [`render`], [`schema`], [`cause`],
//! [`settings`], [`formula`], [`message`], [`trace`], [`delta`], [`shard`].

pub mod application;
pub mod cause;
pub mod certificate;
pub mod clock;
pub mod cluster;
pub mod delta;
pub mod denial;
pub mod egress;
pub mod field_set;
pub mod formula;
pub mod glob;
pub mod link;
pub mod manifest;
pub mod message;
pub mod openpgp;
pub mod operation;
pub mod project;
pub mod quota;
pub mod rbac;
pub mod render;
pub mod repository;
pub mod resource;
pub mod revision;
pub mod schema;
pub mod secret;
pub mod settings;
pub mod shard;
pub mod signature;
pub mod spelling;
pub mod status;
pub mod tenant;
pub mod trace;
pub mod tracking;
pub mod version;
