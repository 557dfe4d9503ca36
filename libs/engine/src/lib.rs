//! Decisions as pure functions of values: what differs, what to do and in which order, is it healthy, why not.
//!
//! Deliberately without any I/O, clock, randomness or knowledge of how objects are fetched and applied: the caller
//! observes the world, hands over values, and carries out what comes back.
//!
//! # Invariants
//! - Nothing here waits or looks; the time, where a decision needs it, is an argument.
//! - A [`plan::Plan`] is complete and ordered: whoever carries it out decides nothing.
//! - Secret values never reach a cause, a difference or a view; they are compared and masked.
//! - Every state that is not Synced and Healthy comes with a cause ([`assemble`]).
//!
//! # Reading order
//! [`prepare`] (manifests become targets), [`claim`] (whose live objects are), [`compare`] (the two meet), [`autosync`] and
//! [`retry`] (when to sync), [`plan`] (what a sync does), [`operation`] (how it begins and ends), [`hooks`] (what runs at its moments),
//! [`health`] (how objects fare), [`lint`] and [`misspelt`] (what looks wrong though it works), [`origin`] (where to edit it),
//! [`actions`] (what can be done to one object), [`tree`] and [`views`] (what clients are shown), [`assemble`] (the status as stored).

pub mod actions;
pub mod assemble;
pub mod autosync;
pub mod canonical;
pub mod claim;
pub mod compare;
pub mod fields;
pub mod health;
pub mod hooks;
pub mod lint;
pub mod misspelt;
pub mod operation;
pub mod options;
pub mod origin;
pub mod plan;
pub mod prepare;
pub mod retry;
pub mod structural;
pub mod tree;
pub mod views;

pub use assemble::assemble;
pub use compare::{Comparison, compare};
pub use plan::{Plan, plan};
pub use prepare::{Prepared, Target, prepare};
