//! A revision of a repository, or a version of a chart, becomes a list of manifests.
//!
//! Deliberately without a working tree: repositories are bare mirrors, files are read from Git's objects, and the tools
//! that render ask for them over a pipe. Knows nothing of clusters, databases or caches; what a render depended on is
//! handed back as a [`render::ReadSet`], and remembering it is the caller's business.
//!
//! # Invariants
//! - Child processes are started by the crate `sandbox` only: restricted, with a deadline.
//! - A credential is never on a command line, in a mirror's configuration, in an error or in a log.
//! - No path leaves the repository: symbolic links and `..` are resolved inside the tree, by us.
//! - What comes out of Git or of an archive is hostile: every size, count, depth and duration has a limit with a cause of
//!   its own.
//!
//! # Reading order
//! [`error`], [`git::Access`], [`git::Mirrors`], [`git::Files`], [`charts::Charts`], [`render::Renderer`],
//! [`render::ReadSet`].

pub mod charts;
pub mod error;
pub mod git;
pub mod render;

pub use error::{Error, Kind};
