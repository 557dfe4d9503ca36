//! What many want at the same time: one question for all who ask it, turns for tenants one after the other, seats for those who lend
//! theirs while they wait for something else, places for so many.
//!
//! Deliberately knows nothing of what is asked or done, and starts no task: whoever calls does the work, and whoever goes away
//! leaves its turn to the others.
//!
//! # Reading order
//! [`asked`], [`fair`], [`seats`], [`places`].

pub mod asked;
pub mod fair;
pub mod places;
pub mod seats;
