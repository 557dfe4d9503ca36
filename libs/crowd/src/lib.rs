//! What many want at the same time: one question for all who ask it.
//!
//! Deliberately knows nothing of what is asked, and starts no task: whoever calls does the work, and whoever goes away leaves
//! nothing behind.

pub mod asked;
