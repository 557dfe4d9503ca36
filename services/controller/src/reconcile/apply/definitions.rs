//! Definitions of new kinds: whoever makes one waits until objects of its kind can be made.

use std::time::Duration;

use domain::resource::{ResourceKey, at, says, text};
use serde_json::Value;

use super::LOOK_AGAIN;
use crate::context::Context;

/// How long a new definition is waited for, as in Argo CD.
const ESTABLISHED: Duration = Duration::from_secs(3);

/// Whether a definition has a version that the cluster serves.
pub(super) fn is_served(definition: &Value) -> bool {
    let versions = at(definition, &["spec", "versions"]).and_then(Value::as_array);
    let mut versions = versions.into_iter().flatten();
    versions.any(|version| version["served"] == true)
}

/// Whether the names of a definition are another one's, so that its kind never comes.
fn is_refused(definition: &Value) -> bool {
    says(definition, "NamesAccepted", "False")
}

/// Waits until new kinds can be used; after a while the first object of such a kind says why it cannot.
pub(super) async fn established(ctx: &Context, definitions: &[ResourceKey]) {
    let deadline = tokio::time::Instant::now() + ESTABLISHED;
    loop {
        let ready = definitions.iter().all(|key| {
            ctx.cluster.index().get(key).is_some_and(|entry| {
                is_refused(&entry.body) || says(&entry.body, "Established", "True")
            })
        });
        if ready || tokio::time::Instant::now() >= deadline {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    served(ctx, definitions).await;
}

/// Waits until the cluster lists new kinds: it does so a moment after it takes their objects.
async fn served(ctx: &Context, definitions: &[ResourceKey]) {
    let deadline = tokio::time::Instant::now() + ESTABLISHED;
    let mut pause = LOOK_AGAIN;
    loop {
        let kinds = match ctx.cluster.refresh_discovery().await {
            Ok(kinds) => kinds,
            Err(error) => {
                tracing::warn!(%error, "the new kinds could not be read yet");
                return;
            }
        };
        let listed = definitions.iter().all(|key| {
            // One that has not been seen yet is not waited for.
            ctx.cluster.index().get(key).is_none_or(|entry| {
                let group = text(&entry.body, &["spec", "group"]);
                let kind = text(&entry.body, &["spec", "names", "kind"]);
                is_refused(&entry.body) || kinds.resolve(group, None, kind).is_some()
            })
        });
        if listed || tokio::time::Instant::now() >= deadline {
            return;
        }
        // All kinds are read each time.
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_whose_kind_never_comes_is_not_waited_for() {
        let served = |served| json!({"spec": {"versions": [{"name": "v1", "served": served}]}});
        assert!(is_served(&served(true)) && !is_served(&served(false)));
        let accepted = |status| {
            let condition = json!({"type": "NamesAccepted", "status": status});
            json!({"status": {"conditions": [condition]}})
        };
        assert!(is_refused(&accepted("False")) && !is_refused(&accepted("True")));
        assert!(!is_refused(&json!({})));
    }
}
