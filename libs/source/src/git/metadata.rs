//! Who made a commit, when, and what they said.

use git2::{Oid, Repository};

use super::mirror::damaged;
use crate::error::Error;

/// Who made a commit, when, and what they said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// `Name <address>`.
    pub author: String,
    /// When, in seconds since 1970.
    pub unix_seconds: i64,
    /// The tags that point at it.
    pub tags: Vec<String>,
    /// What they said, at most 64 KiB of it.
    pub message: String,
}

pub(super) fn read(handle: &Repository, commit: Oid, tags: Vec<String>) -> Result<Metadata, Error> {
    let commit = handle
        .find_commit(commit)
        .map_err(|error| damaged(&error))?;
    let author = commit.author();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Metadata {
        author: format!(
            "{} <{}>",
            text(author.name_bytes()),
            text(author.email_bytes())
        ),
        unix_seconds: author.when().seconds(),
        tags,
        message: text(commit.message_bytes())
            .trim_end()
            .chars()
            .take(64 << 10)
            .collect(),
    })
}
