//! From rows to applications and back.

use std::collections::BTreeSet;

use chrono::SecondsFormat;
use domain::application::Application;
use domain::clock::Timestamp;
use domain::operation::Operation;
use domain::repository::normalize_url;
use domain::status::Status;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

use crate::error::Result;

/// What is kept in columns of its own and filled into the document on read.
const FILLED_IN: [&str; 3] = ["resourceVersion", "generation", "creationTimestamp"];

pub(super) fn application(row: &PgRow) -> Result<Application> {
    let version: i64 = row.try_get("resource_version")?;
    Ok(Application {
        metadata: metadata(row, version)?,
        spec: row.try_get::<Json<Value>, _>("spec")?.0,
        operation: row
            .try_get::<Option<Json<Operation>>, _>("operation")?
            .map(|o| o.0),
        status: row.try_get::<Json<Status>, _>("status")?.0,
        resource_version: version,
    })
}

/// The stored metadata with name, uid, version, generation and creation time filled in.
pub(crate) fn metadata(row: &PgRow, version: i64) -> Result<Value> {
    let mut metadata = row.try_get::<Json<Value>, _>("metadata")?.0;
    fill_in(&mut metadata, row, version)?;
    Ok(metadata)
}

/// Fills name, uid, version, generation and creation time in.
pub(super) fn fill_in(metadata: &mut Value, row: &PgRow, version: i64) -> Result<()> {
    if let Value::Object(fields) = metadata {
        fields.insert("name".into(), row.try_get::<String, _>("name")?.into());
        fields.insert("uid".into(), row.try_get::<String, _>("uid")?.into());
        fields.insert("resourceVersion".into(), version.to_string().into());
        fields.insert(
            "generation".into(),
            row.try_get::<i64, _>("generation")?.into(),
        );
        let created: Timestamp = row.try_get("created_at")?;
        fields.insert(
            "creationTimestamp".into(),
            created.to_rfc3339_opts(SecondsFormat::Secs, true).into(),
        );
    }
    Ok(())
}

/// The metadata as stored: without what is filled in on read.
pub(crate) fn stored_metadata(metadata: &Value) -> Value {
    let mut stored = metadata.clone();
    if let Value::Object(fields) = &mut stored {
        for name in FILLED_IN {
            fields.remove(name);
        }
    }
    stored
}

/// The normalised addresses of the spec's sources, each once; a spec of a wrong shape has those that can be read.
pub(crate) fn repo_urls(spec: &Value) -> Vec<String> {
    let several = spec
        .get("sources")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let urls: BTreeSet<String> = spec
        .get("source")
        .into_iter()
        .chain(several)
        .filter_map(|source| source.get("repoURL")?.as_str())
        .filter(|url| !url.is_empty())
        .map(normalize_url)
        .collect();
    urls.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn repositories_are_found_in_every_source_and_nonsense_is_passed_over() {
        let spec = json!({
            "source": {"repoURL": "https://Git.example/a.git"},
            "sources": [{"repoURL": "git@git.example:b.git"}, {"repoURL": "https://git.example/a"}, 7, {"repoURL": null}],
        });
        assert_eq!(
            repo_urls(&spec),
            ["git@git.example/b", "https://git.example/a"]
        );
        assert!(repo_urls(&json!("x")).is_empty());
    }
}
