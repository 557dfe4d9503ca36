//! The namespace that a plan makes: it becomes the tenant's, with the labels and annotations that a tenant may choose.

use std::collections::BTreeMap;

use cluster::{ApplyOptions, PatchKind, WriteOptions};
use domain::cause::Cause;
use domain::message;
use domain::operation::ResultCode;
use domain::quota::Quota;
use domain::resource::{ResourceKey, at, conditions, is_leaving, text};
use engine::plan::Step;
use serde_json::{Value, json};
use store::Claim;

use super::{Done, Refused, passes};
use crate::context::Context;
use crate::reconcile::subject::Subject;

/// Gives the namespace to the tenant and makes it; the plan has checked that the tenant may have it.
pub(super) async fn create(
    ctx: &Context,
    subject: &Subject,
    namespace: &str,
    object: &Value,
    dry_run: bool,
) -> Result<Done, Refused> {
    let tenant = &subject.tenant().tenant;
    let words =
        |word: &str| Done::said(ResultCode::Synced, format!("namespace/{namespace} {word}"));
    if dry_run {
        return Ok(words("created (dry run)"));
    }
    let key = ResourceKey::of_namespace(namespace);
    if subject.tenant().makes_namespaces() {
        // Its account may do so itself.
        let account = subject.writer.account(ctx, "")?;
        let applied = account.apply(object, &ApplyOptions::default()).await?;
        if is_leaving(&applied.object) {
            return Err(Refused::NamespaceLeaving(applied.object));
        }
        return Ok(words(if applied.created {
            "created"
        } else {
            "configured"
        }));
    }
    // First of all: a claim on somebody else's namespace would outlive the refusal.
    let there = ctx.cluster.check_namespace(namespace, &tenant.name).await?;
    if let Some(object) = there.filter(is_leaving) {
        return Err(Refused::NamespaceLeaving(object));
    }
    let claimed = ctx
        .store
        .platform()
        .map_namespace(tenant.id, namespace)
        .await;
    let claimed = claimed.map_err(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a namespace could not be claimed"
        );
        Refused::ByUs(Cause::error(message::app::DATABASE_UNAVAILABLE.message()))
    })?;
    let refused = match claimed {
        Claim::Claimed => None,
        Claim::Taken => Some(message::sync::NAMESPACE_TAKEN.with("namespace", namespace)),
        Claim::Reserved => Some(message::tenant::NAMESPACE_RESERVED.with("namespace", namespace)),
        Claim::Quota => Some(
            message::tenant::QUOTA_REACHED
                .with("quota", Quota::Namespaces.as_str())
                .with("used", tenant.namespaces.len())
                .with(
                    "allowed",
                    tenant.allowed(Quota::Namespaces).unwrap_or_default(),
                ),
        ),
    };
    if let Some(message) = refused {
        return Err(Refused::ByUs(
            Cause::error(message).field("spec.destination.namespace"),
        ));
    }
    let existed = ctx.cluster.index().get(&key).is_some();
    ctx.cluster.ensure_tenant(namespace, &tenant.name).await?;
    let patch = metadata_patch(object);
    if !patch.is_empty() {
        let patch = json!({"metadata": patch});
        let platform = ctx.cluster.as_platform();
        platform
            .patch(
                &key,
                Some("v1"),
                PatchKind::Merge,
                &patch,
                WriteOptions::default(),
            )
            .await?;
    }
    Ok(words(if existed { "configured" } else { "created" }))
}

/// Whether a step makes the namespace or something in it.
pub(super) fn is_in(step: &Step, namespace: &str) -> bool {
    step.key.namespace == namespace || step.key == ResourceKey::of_namespace(namespace)
}

/// The namespace as it is, where it is the tenant's and on its way out: nothing is made there any more, and the account's rights
/// go with the rest of what is in it.
///
/// # Errors
/// When the cluster does not answer, or is not ours any more.
pub(super) async fn leaving(
    ctx: &Context,
    subject: &Subject,
    namespace: &str,
) -> Result<Option<Value>, cluster::Error> {
    if !subject.tenant().owns(namespace) {
        return Ok(None);
    }
    let platform = ctx.cluster.as_platform();
    match platform
        .get(&ResourceKey::of_namespace(namespace), Some("v1"))
        .await
    {
        Ok(there) => Ok(there.filter(is_leaving)),
        Err(error) if passes(&error) => Err(error),
        // Who may not look has to do with what was said of the objects.
        Err(_) => Ok(None),
    }
}

/// That a namespace takes nothing, and what keeps it, as the cluster says.
pub(super) fn stays(object: &Value) -> Cause {
    let said: Vec<&str> = conditions(object)
        .filter(|condition| text(condition, &["status"]) == "True")
        .map(|condition| text(condition, &["message"]))
        .filter(|words| !words.is_empty())
        .collect();
    let cause = Cause::error(message::cluster::NAMESPACE_ENDING.message());
    match said.as_slice() {
        [] => cause,
        said => cause.evidence(said.join("; ")),
    }
}

/// The names of labels and annotations that a tenant may give a namespace of its own; docs/tenancy.md lists them.
const FREE_NAMES: [&str; 30] = [
    "app",
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/version",
    "component",
    "contact",
    "cost-center",
    "course",
    "department",
    "description",
    "env",
    "environment",
    "group",
    "lesson",
    "maintainer",
    "note",
    "owner",
    "part-of",
    "phase",
    "product",
    "project",
    "purpose",
    "release",
    "stage",
    "team",
    "tier",
    "version",
];

/// The labels and annotations of a namespace that the tenant may choose, and no others. They are written under Naru's own
/// identity, and programs in the cluster act on them: what says whose a namespace is, what its pods may do, who injects
/// into them or scrapes them, is not for the tenant to say. What may be chosen is therefore listed, not what may not.
fn metadata_patch(object: &Value) -> BTreeMap<&'static str, BTreeMap<String, Value>> {
    let free = |name: &str| FREE_NAMES.contains(&name);
    let mut patch = BTreeMap::new();
    for part in ["labels", "annotations"] {
        let values = at(object, &["metadata", part])
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        let values: BTreeMap<String, Value> = values
            .filter(|(name, _)| free(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !values.is_empty() {
            patch.insert(part, values);
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_namespace_is_what_its_conditions_say() {
        let condition = |status: &str, message: &str| json!({"status": status, "message": message});
        let of = |conditions: &[Value]| stays(&json!({"status": {"conditions": conditions}}));
        let held = of(&[
            condition("False", "All resources successfully discovered"),
            condition("True", "Some resources are remaining: configmaps. has 1"),
            condition("True", "Some content has finalizers: a.b in 1"),
        ]);
        let said = "Some resources are remaining: configmaps. has 1; Some content has finalizers: a.b in 1";
        assert_eq!(held.evidence.as_deref(), Some(said));
        assert_eq!(of(&[]).evidence, None);
    }

    #[test]
    fn a_tenant_chooses_no_label_that_says_whose_a_namespace_is_or_what_its_pods_may() {
        let object = json!({"metadata": {
            "labels": {"team": "a", "naru.io/tenant": "b", "pod-security.kubernetes.io/enforce": "privileged",
                "istio-injection": "enabled", "istio.io/rev": "x", "app.kubernetes.io/name": "n"},
            "annotations": {"description": "1", "argocd.argoproj.io/tracking-id": "y", "example.com/x": "1",
                "scheduler.alpha.kubernetes.io/node-selector": "z"},
        }});
        let patch = metadata_patch(&object);
        assert_eq!(
            patch["labels"].keys().collect::<Vec<_>>(),
            ["app.kubernetes.io/name", "team"]
        );
        assert_eq!(
            patch["annotations"].keys().collect::<Vec<_>>(),
            ["description"]
        );
    }
}
