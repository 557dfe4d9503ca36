//! Why Kubernetes would not have an object, read from its words: HTTP codes and reasons do not tell admission plugins apart.
//!
//! The words quote the object, and a policy or a webhook says in them what it likes. So a phrase counts only where Kubernetes
//! itself puts it: at the beginning of the reason, behind the name of what is forbidden.

/// What said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial<'a> {
    /// A webhook, by its name.
    Webhook(&'a str),
    /// A webhook, by its name, that did not answer as it should.
    WebhookFailed(&'a str),
    /// A ValidatingAdmissionPolicy, by its name.
    Policy(&'a str),
    /// A quota of the namespace: it is used up, or wants amounts named.
    Quota,
    /// A LimitRange of the namespace.
    Limits,
    /// The namespace's pod security level.
    PodSecurity,
    /// The pod's service account is not there.
    ServiceAccount,
    /// The namespace is being deleted.
    NamespaceEnding,
    /// The object is there, and the field may not be changed.
    Immutable,
}

/// How the API says that a field may not be changed.
const IMMUTABLE: [&str; 6] = [
    "field is immutable",
    "is immutable after creation",
    "may not change once set",
    "updates to statefulset spec for fields other than",
    "pod updates may not change fields other than",
    "cannot change roleRef",
];

impl<'a> Denial<'a> {
    /// Reads the sentence of an API server's `Status`, or a condition that repeats it; `None` where it is none of these.
    #[must_use]
    pub fn read(words: &'a str) -> Option<Self> {
        // What follows is a webhook's own words and may say anything.
        if let Some(rest) = words.strip_prefix("admission webhook \"") {
            return rest.split_once('"').map(|(name, _)| Self::Webhook(name));
        }
        let reason = reason(words);
        let begins = |phrase: &str| reason.starts_with(phrase);
        let named = |before: &str, after: char| {
            let (name, _) = reason.strip_prefix(before)?.split_once(after)?;
            Some(name)
        };
        if let Some(name) = named("ValidatingAdmissionPolicy '", '\'') {
            return Some(Self::Policy(name));
        }
        if let Some(name) = named("failed calling webhook \"", '"') {
            return Some(Self::WebhookFailed(name));
        }
        if begins("exceeded quota") || begins("failed quota: ") {
            Some(Self::Quota)
        } else if begins("unable to create new content in namespace ") {
            Some(Self::NamespaceEnding)
        } else if begins("violates PodSecurity ") {
            Some(Self::PodSecurity)
        } else if begins("error looking up service account ") {
            Some(Self::ServiceAccount)
        } else if Self::of_limits(reason) {
            Some(Self::Limits)
        } else if IMMUTABLE.into_iter().any(|phrase| words.contains(phrase)) {
            Some(Self::Immutable)
        } else {
            None
        }
    }

    /// Several limits are told in one list, the first of which is enough.
    fn of_limits(reason: &str) -> bool {
        let first = reason.trim_start_matches('[');
        let (bound, _) = first.split_once(" per ").unwrap_or_default();
        match bound.split_once(' ') {
            Some(("maximum" | "minimum", what)) => what.ends_with(" usage"),
            Some((_, what)) => what == "max limit to request ratio",
            None => false,
        }
    }
}

/// What is said behind the name of what is refused. Behind `is invalid` the object is quoted, which may say anything.
fn reason(words: &str) -> &str {
    let named = words.split_once(" is forbidden: ");
    let named = named.filter(|(before, _)| !before.contains(" is invalid: "));
    let bare = || {
        let prefixes = ["Internal error occurred: ", "forbidden: "];
        let rest = prefixes
            .into_iter()
            .find_map(|prefix| words.strip_prefix(prefix));
        rest.unwrap_or(words)
    };
    named.map_or_else(bare, |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_refusal_is_told_by_its_words() {
        for (words, denial) in [
            (
                "admission webhook \"images.example.com\" denied the request: exceeded quota: not really",
                Some(Denial::Webhook("images.example.com")),
            ),
            (
                "Internal error occurred: failed calling webhook \"a.b\": failed to call webhook: Post \"https://a\": EOF",
                Some(Denial::WebhookFailed("a.b")),
            ),
            (
                "deployments.apps \"a\" is forbidden: ValidatingAdmissionPolicy 'p.q' with binding 'b' denied request: no",
                Some(Denial::Policy("p.q")),
            ),
            (
                "pods \"a\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1",
                Some(Denial::Quota),
            ),
            (
                "pods \"a\" is forbidden: failed quota: q: must specify limits.cpu for: c",
                Some(Denial::Quota),
            ),
            (
                "pods \"a\" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi",
                Some(Denial::Limits),
            ),
            (
                "pods \"a\" is forbidden: [minimum cpu usage per Pod is 1, but request is 500m, cpu max limit to request ratio per Pod is 2, but \
                 provided ratio is 4.0]",
                Some(Denial::Limits),
            ),
            (
                "pods \"a\" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 4.0",
                Some(Denial::Limits),
            ),
            (
                "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
                Some(Denial::PodSecurity),
            ),
            (
                "pods \"a-\" is forbidden: error looking up service account user01/x: serviceaccount \"x\" not found",
                Some(Denial::ServiceAccount),
            ),
            (
                "configmaps \"a\" is forbidden: unable to create new content in namespace user01 because it is being terminated",
                Some(Denial::NamespaceEnding),
            ),
            (
                "Deployment.apps \"a\" is invalid: spec.selector: Invalid value: {}: field is immutable",
                Some(Denial::Immutable),
            ),
            (
                "configmaps \"a\" is forbidden: User \"u\" cannot create resource \"configmaps\" in API group \"\"",
                None,
            ),
            ("Service \"a\" is invalid: spec.ports: Required value", None),
        ] {
            assert_eq!(Denial::read(words), denial, "{words}");
        }
    }

    #[test]
    fn what_is_quoted_and_what_a_policy_says_is_no_refusal_of_another() {
        let policy = "pods \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: ";
        let invalid = "ConfigMap \"a\" is invalid: metadata.labels: Invalid value: ";
        for said in [
            "exceeded quota: q",
            "x is forbidden: exceeded quota: q",
            "failed calling webhook \"w\": EOF",
            "Internal error occurred: failed calling webhook \"w\": EOF",
            "ValidatingAdmissionPolicy 'x' with binding 'y' denied request: z",
            "violates PodSecurity \"restricted:latest\"",
            "error looking up service account a/b",
            "because it is being terminated",
            "maximum memory usage per Container is 1Gi",
        ] {
            let denied = format!("{policy}{said}");
            assert_eq!(Denial::read(&denied), Some(Denial::Policy("p")), "{denied}");
            let quoted = format!("{invalid}{said:?}: a lowercase RFC 1123 label");
            assert_eq!(Denial::read(&quoted), None, "{quoted}");
        }
    }
}
