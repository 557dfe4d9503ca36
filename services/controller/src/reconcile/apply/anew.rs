//! Making an object anew that cannot be changed, or shall not be: it is deleted, waited for, and made.

use std::time::Duration;

use cluster::{DeleteOptions, WriteOptions};
use domain::denial::Denial;
use domain::resource::text;
use engine::plan::Step;
use serde_json::Value;

use super::{Before, LOOK_AGAIN, Refused, passes};

/// How long an object that is made again is waited for to go; what takes longer, the next look goes on with.
const GONE: Duration = Duration::from_secs(10);
/// What only the cluster says of an object, and nobody who makes one.
const OF_CLUSTER: [&str; 8] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// Whether an object cannot become what is wanted, while another one in its place can: a field may not be changed, or
/// somebody else's change is in the way. What is invalid itself would be so in another object too.
pub(super) fn needs_another(error: &cluster::Error) -> bool {
    let immutable = |words: &str| Denial::read(words) == Some(Denial::Immutable);
    let said = error.refusal().is_some_and(|no| {
        immutable(&no.message) || no.causes.iter().any(|cause| immutable(&cause.message))
    });
    error.is_conflict() || said
}

/// Deletes an object that cannot be changed, or shall not be, and makes it anew. Where the cluster will not have it then,
/// what was there is made once more.
pub(super) async fn recreate(
    account: &cluster::Account,
    step: &Step,
    before: Option<&Before>,
    object: &Value,
    write: WriteOptions,
) -> Result<Value, Refused> {
    let (key, version) = (&step.key, Some(step.version.as_str()));
    let Some(old) = account.get(key, version).await? else {
        return Ok(account.create(object, write).await?);
    };
    let found = text(&old, &["metadata", "uid"]);
    let uid = before
        .map_or(found, |before| before.uid.as_str())
        .to_owned();
    let options = DeleteOptions {
        uid: Some(uid.clone()),
        propagation: cluster::Propagation::Foreground,
        ..DeleteOptions::default()
    };
    account.delete(key, version, &options).await?;
    let deadline = tokio::time::Instant::now() + GONE;
    loop {
        let there = account.get(key, version).await?;
        if there.is_none_or(|there| text(&there, &["metadata", "uid"]) != uid) {
            break;
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(Refused::StillThere);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    match account.create(object, write).await {
        Err(error) if error.refusal().is_some() && !passes(&error) => {
            if let Err(again) = account.create(&as_it_was(old), write).await {
                tracing::warn!(resource = %key, error = %again, "an object that was to be made anew could not be put back");
            }
            Err(error.into())
        }
        made => Ok(made?),
    }
}

/// An object to be made once more: without what only the cluster says of it.
pub(super) fn as_it_was(mut object: Value) -> Value {
    if let Some(parts) = object.as_object_mut() {
        parts.remove("status");
        if let Some(metadata) = parts.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|name, _| !OF_CLUSTER.contains(&name.as_str()));
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(code: u16, message: &str, field: &str) -> cluster::Error {
        let cause = cluster::FieldCause {
            message: field.to_owned(),
            ..cluster::FieldCause::default()
        };
        cluster::Error::Refused(Box::new(cluster::Refusal {
            code,
            message: message.to_owned(),
            causes: vec![cause],
            ..cluster::Refusal::default()
        }))
    }

    #[test]
    fn force_is_for_what_cannot_be_changed_and_not_for_what_is_invalid() {
        let invalid = "must be between 1 and 65535, inclusive";
        assert!(!needs_another(&refused(422, "it is invalid", invalid)));
        let immutable = "Invalid value: {}: field is immutable";
        assert!(needs_another(&refused(422, "it is invalid", immutable)));
        assert!(needs_another(&refused(422, immutable, "")));
        assert!(needs_another(&refused(409, "it has been modified", "")));
        assert!(!needs_another(&refused(403, "it is forbidden", "")));
    }

    #[test]
    fn what_is_put_back_says_nothing_that_is_the_clusters_to_say() {
        let object = json!({"kind": "ConfigMap", "data": {"a": "1"}, "status": {"x": 1}, "metadata": {
            "name": "a", "labels": {"b": "2"}, "uid": "u", "resourceVersion": "1", "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": []}});
        let metadata = json!({"name": "a", "labels": {"b": "2"}});
        let expected = json!({"kind": "ConfigMap", "data": {"a": "1"}, "metadata": metadata});
        assert_eq!(as_it_was(object), expected);
    }
}
