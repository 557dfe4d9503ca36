//! Why Kubernetes would not have an object, read from its words: HTTP codes and reasons do not tell admission plugins apart.

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
        let has = |phrase: &str| words.contains(phrase);
        let named = |before: &str, after: char| {
            let (_, rest) = words.split_once(before)?;
            rest.split_once(after).map(|(name, _)| name)
        };
        if let Some(name) = named("failed calling webhook \"", '"') {
            return Some(Self::WebhookFailed(name));
        }
        if let Some(name) = named("ValidatingAdmissionPolicy '", '\'')
            && has("denied request")
        {
            return Some(Self::Policy(name));
        }
        if has("exceeded quota") || has("failed quota: ") {
            Some(Self::Quota)
        } else if has("because it is being terminated") {
            Some(Self::NamespaceEnding)
        } else if has("violates PodSecurity ") {
            Some(Self::PodSecurity)
        } else if has("error looking up service account ") {
            Some(Self::ServiceAccount)
        } else if Self::of_limits(words) {
            Some(Self::Limits)
        } else if IMMUTABLE.into_iter().any(has) {
            Some(Self::Immutable)
        } else {
            None
        }
    }

    fn of_limits(words: &str) -> bool {
        ["maximum ", "minimum "]
            .into_iter()
            .filter_map(|bound| words.split_once(bound))
            .any(|(_, rest)| rest.contains(" usage per "))
            || words.contains(" max limit to request ratio per ")
    }
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
}
