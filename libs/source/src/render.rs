//! The manifests of one source at one commit.
//!
//! A render is a function of Git's objects and its input, and says exactly which of them it looked at
//! ([`ReadSet`]), so that a caller can tell for another commit whether it would come out the same, and what of it would not.

mod ask;
mod checks;
mod dependencies;
mod details;
mod detect;
mod directory;
mod environment;
mod hash;
mod held;
mod helm;
mod images;
mod jsonnet;
mod kustomize;
mod lints;
mod local;
mod made;
mod mistakes;
mod names;
mod origin;
mod overrides;
mod patches;
mod provenance;
mod read_set;
mod reader;
mod remote;
mod renderer;
mod submodules;
mod substitute;
mod trees;
mod web;
mod worker;
mod yaml;

pub use details::{ChartDetails, Details, images};
pub use detect::discover;
pub use held::Held;
pub use read_set::ReadSet;
pub use renderer::{RenderInput, Rendered, Renderer, Target};
pub use trees::Reference;
pub use worker::{WorkerLimits, WorkerPool};
