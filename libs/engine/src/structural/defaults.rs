//! Values that the cluster itself fills in where nobody says anything.
//!
//! Needed in two places: inside lists that are replaced as a whole, where such a value is no difference; and for a field
//! that left Git but whose live value is the one it would get anyway.

use serde_json::{Value, json};

/// The end of a path, list positions left out, and the values that are defaults there. `^` means the whole path.
type Default = (&'static str, fn() -> Vec<Value>);

const DEFAULTS: &[Default] = &[
    // References
    ("fieldRef.apiVersion", || vec![json!("v1")]),
    ("resourceFieldRef.divisor", || vec![json!("0"), json!("1")]),
    ("roleRef.apiGroup", || {
        vec![json!("rbac.authorization.k8s.io")]
    }),
    ("subjects[].apiGroup", || {
        vec![json!("rbac.authorization.k8s.io")]
    }),
    ("serviceAccountToken.expirationSeconds", || {
        vec![json!(3600)]
    }),
    // Ports and probes
    ("ports[].protocol", || vec![json!("TCP")]),
    ("httpGet.scheme", || vec![json!("HTTP")]),
    ("httpGet.path", || vec![json!("/")]),
    ("Probe.timeoutSeconds", || vec![json!(1)]),
    ("Probe.periodSeconds", || vec![json!(10)]),
    ("Probe.successThreshold", || vec![json!(1)]),
    ("Probe.failureThreshold", || vec![json!(3)]),
    // Containers
    ("terminationMessagePath", || {
        vec![json!("/dev/termination-log")]
    }),
    ("terminationMessagePolicy", || vec![json!("File")]),
    ("resources", || vec![json!({})]),
    // Volumes
    ("defaultMode", || vec![json!(420)]),
    ("volumeMode", || vec![json!("Filesystem")]),
    ("volumeClaimTemplates[].apiVersion", || vec![json!("v1")]),
    ("volumeClaimTemplates[].kind", || {
        vec![json!("PersistentVolumeClaim")]
    }),
    ("volumeClaimTemplates[].status", || {
        vec![json!({"phase": "Pending"})]
    }),
    // Pods
    ("spec.restartPolicy", || vec![json!("Always")]),
    ("spec.dnsPolicy", || vec![json!("ClusterFirst")]),
    ("spec.schedulerName", || vec![json!("default-scheduler")]),
    ("spec.terminationGracePeriodSeconds", || vec![json!(30)]),
    ("spec.enableServiceLinks", || vec![json!(true)]),
    ("spec.securityContext", || vec![json!({})]),
    // Workloads
    ("spec.replicas", || vec![json!(1)]),
    ("^spec.revisionHistoryLimit", || vec![json!(10)]),
    ("^spec.progressDeadlineSeconds", || vec![json!(600)]),
    ("^spec.podManagementPolicy", || vec![json!("OrderedReady")]),
    ("^spec.strategy.type", || vec![json!("RollingUpdate")]),
    ("^spec.updateStrategy.type", || vec![json!("RollingUpdate")]),
    ("^spec.strategy.rollingUpdate.maxSurge", || {
        vec![json!("25%")]
    }),
    ("^spec.strategy.rollingUpdate.maxUnavailable", || {
        vec![json!("25%")]
    }),
    ("spec.completions", || vec![json!(1)]),
    ("spec.parallelism", || vec![json!(1)]),
    ("spec.backoffLimit", || vec![json!(6)]),
    ("spec.completionMode", || vec![json!("NonIndexed")]),
    ("^spec.concurrencyPolicy", || vec![json!("Allow")]),
    ("^spec.successfulJobsHistoryLimit", || vec![json!(3)]),
    ("^spec.failedJobsHistoryLimit", || vec![json!(1)]),
    // Services and Secrets
    ("^spec.type", || vec![json!("ClusterIP")]),
    ("^spec.sessionAffinity", || vec![json!("None")]),
    ("^spec.internalTrafficPolicy", || vec![json!("Cluster")]),
    ("^spec.externalTrafficPolicy", || vec![json!("Cluster")]),
    ("^spec.ipFamilyPolicy", || vec![json!("SingleStack")]),
    ("^type", || vec![json!("Opaque")]),
    // Webhooks
    ("webhooks[].failurePolicy", || vec![json!("Fail")]),
    ("webhooks[].matchPolicy", || vec![json!("Equivalent")]),
    ("webhooks[].timeoutSeconds", || vec![json!(10)]),
    ("webhooks[].reinvocationPolicy", || vec![json!("Never")]),
    ("rules[].scope", || vec![json!("*")]),
    ("service.port", || vec![json!(443)]),
];

/// Whether a live value is one that a built-in kind gets at this place when nobody says anything.
///
/// Left out are defaults that depend on other fields (imagePullPolicy on the tag, targetPort on the port).
#[must_use]
pub fn is_default(path: &str, value: &Value) -> bool {
    let plain = plain(path);
    DEFAULTS
        .iter()
        .any(|(end, values)| ends(&plain, end) && values().contains(value))
}

/// The value that a built-in kind gets at this place when nobody says anything, where that is known.
#[must_use]
pub fn default_at(path: &str) -> Option<Value> {
    let plain = plain(path);
    let (_, values) = DEFAULTS.iter().find(|(end, _)| ends(&plain, end))?;
    values().into_iter().next()
}

/// Whether a built-in kind gets another value than this at a place when nobody says anything.
pub(super) fn has_other_default(path: &str, value: &Value) -> bool {
    let plain = plain(path);
    let mut here = DEFAULTS
        .iter()
        .filter(|(end, _)| ends(&plain, end))
        .peekable();
    here.peek().is_some() && !here.any(|(_, values)| values().contains(value))
}

/// A path without the positions in lists.
fn plain(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => {
                inside = true;
                plain.push_str("[]");
            }
            ']' => inside = false,
            c if !inside => plain.push(c),
            _ => {}
        }
    }
    plain
}

fn ends(path: &str, end: &str) -> bool {
    if let Some(whole) = end.strip_prefix('^') {
        return path == whole;
    }
    let Some(rest) = path.strip_suffix(end) else {
        return false;
    };
    // `Probe.` also ends livenessProbe, readinessProbe and startupProbe.
    rest.is_empty() || rest.ends_with('.') || end.starts_with("Probe.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_place_and_value_is_a_default() {
        assert!(is_default(
            "spec.template.spec.containers[0].env[2].valueFrom.fieldRef.apiVersion",
            &json!("v1")
        ));
        assert!(is_default("spec.ports[0].protocol", &json!("TCP")));
        assert!(!is_default("spec.ports[0].protocol", &json!("UDP")));
        assert!(is_default("spec.replicas", &json!(1)));
        assert!(!is_default("spec.replicas", &json!(3)));
        assert!(has_other_default("spec.replicas", &json!(0)));
        assert!(!has_other_default("spec.replicas", &json!(1)));
        assert!(!has_other_default("spec.minReadySeconds", &json!(0)));
        assert_eq!(default_at("spec.replicas"), Some(json!(1)));
        assert_eq!(default_at("spec.ports[0].protocol"), Some(json!("TCP")));
        assert_eq!(default_at("spec.minReadySeconds"), None);
        assert!(is_default("type", &json!("Opaque")));
        assert!(!is_default("spec.x.type", &json!("Opaque")));
    }
}
