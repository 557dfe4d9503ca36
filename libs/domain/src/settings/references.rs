//! `$key` and `$secret:key`: a value that stands in a secret.

use serde_json::Value as Json;

use super::{Config, Object, Raw};
use crate::secret::Secret;

/// What a text refers to: an object and a key. `None` for a text that is no reference.
pub(super) fn target(text: &str) -> Option<(Object, &str)> {
    let reference = text.strip_prefix('$')?;
    match reference.split_once(':') {
        Some((name, key)) if name == Object::Secret.name() => Some((Object::Secret, key)),
        Some((name, key)) => Some((Object::named(name), key)),
        None => Some((Object::Secret, reference)),
    }
}

/// The first reference in a document that leads nowhere.
pub(super) fn dangling(raw: &Raw, document: &Json) -> Option<String> {
    match document {
        Json::String(text) => target(text)
            .filter(|(object, key)| raw.get(object, key).is_none())
            .map(|_| text.clone()),
        Json::Array(items) => items.iter().find_map(|item| dangling(raw, item)),
        Json::Object(map) => map.values().find_map(|value| dangling(raw, value)),
        Json::Null | Json::Bool(_) | Json::Number(_) => None,
    }
}

impl Config {
    /// The value of a text: what it refers to, or the text itself. `None` when the reference leads nowhere.
    #[must_use]
    pub fn resolve(&self, text: &str) -> Option<Secret> {
        match target(text) {
            Some((object, key)) => self
                .raw
                .get(&object, key)
                .map(|value| Secret::from(value.expose())),
            None => Some(Secret::from(text)),
        }
    }

    /// The secret that a key of `argocd-secret` holds, or refers to.
    #[must_use]
    pub fn secret(&self, key: &str) -> Option<Secret> {
        self.resolve(self.raw.get(&Object::Secret, key)?.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lead_to_argocd_secret_and_to_the_tenants_own_secrets() {
        let mut raw = Raw::default();
        raw.set(&Object::Secret, "oidc.clientSecret", "one");
        raw.set(&Object::named("okta"), "secret", "two");
        raw.set(&Object::Secret, "webhook.github.secret", "$okta:secret");
        let config = Config::from_raw(raw);
        let read = |text: &str| config.resolve(text).map(|s| s.expose_str().to_owned());
        assert_eq!(read("$oidc.clientSecret").as_deref(), Some("one"));
        assert_eq!(
            read("$argocd-secret:oidc.clientSecret").as_deref(),
            Some("one")
        );
        assert_eq!(read("$okta:secret").as_deref(), Some("two"));
        assert_eq!(read("$okta:other"), None);
        assert_eq!(read("plain").as_deref(), Some("plain"));
        assert_eq!(
            config.secret("webhook.github.secret"),
            Some(Secret::from("two"))
        );
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_found_wherever_it_stands() {
        let document = serde_json::json!({"a": [{"b": "$nowhere"}]});
        assert_eq!(
            dangling(&Raw::default(), &document).as_deref(),
            Some("$nowhere")
        );
    }
}
