//! Of which application an object says that it is, by whichever mark: what one method has marked is found whatever its
//! tenant's method is now. So the index need not know the tenants' settings, and nothing is read anew when they change.

use std::sync::Arc;

use domain::resource::ResourceKey;
use domain::tracking::Marks;
use serde_json::Value;

use super::entry::{MAX_NAME, Reader, Tracking};

/// What an object says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recognised {
    /// The application and the tenant, where it names both.
    pub(super) tracking: Option<Tracking>,
    /// The application that its label alone names.
    pub(super) labelled: Option<Arc<str>>,
}

/// Where an application's label stands alone: what anybody may have put there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Labelled {
    /// The namespace; empty for cluster-scoped objects.
    pub(super) namespace: Box<str>,
    /// The application's name.
    pub(super) app: Arc<str>,
}

impl Reader {
    /// Reads an object's marks.
    pub(super) fn recognised(&self, object: &Value, key: &ResourceKey) -> Recognised {
        let marks = Marks::of(object, key);
        let sane = |name: &&str| name.len() <= MAX_NAME;
        let tracking = marks
            .app()
            .filter(sane)
            .zip(marks.installation.filter(sane))
            .map(|(app, installation)| Tracking {
                installation: self.shared(installation),
                app: self.shared(app),
            });
        let labelled = marks.label_alone().filter(sane);
        Recognised {
            tracking,
            labelled: labelled.map(|app| self.shared(app)),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::resource::{INSTALLATION_ID, TRACKING_ID};
    use domain::tracking::LABEL;
    use serde_json::json;

    use super::*;

    fn recognised(metadata: Value) -> (Option<String>, Option<String>) {
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
        object["metadata"]["name"] = json!("a");
        object["metadata"]["namespace"] = json!("web");
        let reader = Reader::new([0; 32], false);
        let found = reader.recognised(&object, &ResourceKey::of(&object));
        let tracking = found
            .tracking
            .map(|t| format!("{}/{}", t.installation, t.app));
        (tracking, found.labelled.map(|app| app.to_string()))
    }

    #[test]
    fn either_mark_is_recognised_beside_a_tenant_and_a_label_alone_apart() {
        let text = |text: &str| Some(text.to_owned());
        let id = "one:/ConfigMap:web/a";
        let of = |id: &str, label: &str, tenant: &str| {
            let mut metadata = json!({"annotations": {}, "labels": {}});
            for (part, name, value) in [
                ("annotations", TRACKING_ID, id),
                ("annotations", INSTALLATION_ID, tenant),
                ("labels", LABEL, label),
            ] {
                if !value.is_empty() {
                    metadata[part][name] = json!(value);
                }
            }
            recognised(metadata)
        };
        assert_eq!(of(id, "", "user01"), (text("user01/one"), None));
        assert_eq!(of("", "one", "user01"), (text("user01/one"), None));
        assert_eq!(of(id, "two", "user01"), (text("user01/one"), None));
        assert_eq!(of("", "two", ""), (None, text("two")));
        assert_eq!(of(id, "", ""), (None, None));
        assert_eq!(of("one:/ConfigMap:web/b", "two", "user01"), (None, None));
        let long = "x".repeat(MAX_NAME + 1);
        assert_eq!(of("", &long, ""), (None, None));
    }

    #[test]
    fn what_an_owner_was_given_marks_nothing_that_it_makes() {
        let owned = json!({"labels": {LABEL: "one"}, "annotations": {INSTALLATION_ID: "user01"},
            "ownerReferences": [{"uid": "u", "kind": "ReplicaSet", "name": "r"}]});
        assert_eq!(recognised(owned), (None, None));
    }
}
