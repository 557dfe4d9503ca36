//! Who one is, against a real PostgreSQL and Redis: logins, sessions, tokens, passwords and settings of two tenants.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod accounts;
mod authority;
mod house;
mod matrix;
mod projects;
mod records;
mod sessions;
mod settings;
mod tokens;
