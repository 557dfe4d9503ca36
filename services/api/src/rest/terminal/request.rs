//! What a request for a terminal says: where, in names that are names.

use domain::tenant::is_dns_label;

use crate::grpc::terminal::Place;

/// The place that a query names.
///
/// # Errors
/// What is wrong with it, in Argo CD's words.
pub(super) fn place(query: &str) -> Result<Place, &'static str> {
    let value = |wanted: &str| {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    let place = Place {
        project: value("projectName"),
        app: value("appName"),
        app_namespace: value("appNamespace"),
        namespace: value("namespace"),
        pod: value("pod"),
        container: value("container"),
    };
    let needed = [
        &place.pod,
        &place.container,
        &place.app,
        &place.project,
        &place.namespace,
    ];
    if needed.into_iter().any(String::is_empty) {
        return Err("Missing required parameters");
    }
    let in_the_usual = place.app_namespace.is_empty();
    for (is_name, text) in [
        (is_subdomain(&place.pod), "Pod name is not valid"),
        (
            is_dns_label(&place.container),
            "Container name is not valid",
        ),
        (is_subdomain(&place.app), "App name is not valid"),
        (is_subdomain(&place.project), "Project name is not valid"),
        (
            is_dns_label(&place.namespace),
            "Namespace name is not valid",
        ),
        (
            in_the_usual || is_dns_label(&place.app_namespace),
            "App namespace name is not valid",
        ),
    ] {
        if !is_name {
            return Err(text);
        }
    }
    Ok(place)
}

/// Labels with dots between, as Kubernetes names most of its objects.
fn is_subdomain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let ends = |part: &str| !part.is_empty() && !part.starts_with('-') && !part.ends_with('-');
    name.len() <= 253 && name.chars().all(plain) && name.split('.').all(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "pod=web-1&container=main&appName=a&appNamespace=argocd&projectName=default&namespace=user01";

    #[test]
    fn a_place_is_named_whole() {
        let found = place(WHOLE).unwrap();
        assert_eq!(found.right(), "default/a");
        assert_eq!(
            (found.pod.as_str(), found.container.as_str()),
            ("web-1", "main")
        );
        assert_eq!(found.foreign_namespace(), None);
        let elsewhere = place(&WHOLE.replace("argocd", "other")).unwrap();
        assert_eq!(elsewhere.foreign_namespace(), Some("other"));
        assert!(place(&WHOLE.replace("argocd", "")).is_ok());
    }

    #[test]
    fn what_is_missing_or_no_name_is_refused_in_argo_cds_words() {
        for name in ["web-1", "main", "=a&", "default", "user01"] {
            let without = match name {
                "=a&" => WHOLE.replace("=a&", "=&"),
                name => WHOLE.replace(name, ""),
            };
            assert_eq!(
                place(&without),
                Err("Missing required parameters"),
                "{without}"
            );
        }
        for (name, bad, said) in [
            ("web-1", "..%2Fsecrets", "Pod name is not valid"),
            ("web-1", "Web", "Pod name is not valid"),
            ("main", "a.b", "Container name is not valid"),
            ("=a&", "=a%2Fb&", "App name is not valid"),
            ("default", "-x", "Project name is not valid"),
            ("user01", "a.b", "Namespace name is not valid"),
            ("argocd", "a%20b", "App namespace name is not valid"),
        ] {
            assert_eq!(place(&WHOLE.replace(name, bad)), Err(said), "{bad}");
        }
        assert!(is_subdomain("a.b-c.d1") && !is_subdomain("a..b") && !is_subdomain(".a"));
        assert!(is_subdomain(&"a".repeat(253)) && !is_subdomain(&"a".repeat(254)));
    }
}
