//! Between what clients send and the documents that are kept.
//!
//! A client's message knows only the fields of its own version. What the stored document has beyond them is carried
//! over, so that an older client's write loses nothing that a newer one said.

use domain::application::{Application, CONTROL_PLANE_NAMESPACE};
use domain::status;
use proto::{json, v1alpha1};
use serde_json::{Map, Value};

/// What of a client's application is taken: who it is, its labels and the like, and its spec.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) namespace: String,
    /// `labels`, `annotations`, `finalizers` and `ownerReferences`, as far as given and not empty.
    pub(super) fields: Map<String, Value>,
    pub(super) spec: Value,
}

/// The parts of the metadata that clients write.
const WRITTEN: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];

impl Draft {
    /// From a message. Its status and operation are not taken.
    pub(super) fn of(application: &v1alpha1::Application) -> Self {
        let metadata = application
            .metadata
            .as_ref()
            .map(json::to_value)
            .unwrap_or_default();
        Self::new(
            &metadata,
            spec_value(&application.spec.clone().unwrap_or_default()),
        )
    }

    /// From a whole document, whose unknown fields are kept.
    ///
    /// # Errors
    /// When a known field has the wrong type.
    pub(super) fn of_document(document: &Value) -> Result<Self, json::JsonError> {
        let application: v1alpha1::Application = json::from_value(document)?;
        let known = Self::of(&application);
        let whole = document.get("spec").cloned().unwrap_or_default();
        Ok(Self {
            spec: overlay(&whole, &known.spec, known.spec.clone()),
            ..known
        })
    }

    fn new(metadata: &Value, spec: Value) -> Self {
        let text = |key: &str| {
            metadata
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let fields = WRITTEN
            .iter()
            .filter_map(|key| {
                Some((
                    (*key).to_owned(),
                    metadata.get(*key).filter(|value| !is_empty(value))?.clone(),
                ))
            })
            .collect();
        Self {
            name: text("name"),
            namespace: text("namespace"),
            fields,
            spec,
        }
    }

    /// The application as it is first stored.
    pub(super) fn first(self, uid: &str) -> Application {
        let mut metadata = self.fields;
        metadata.insert("name".to_owned(), self.name.into());
        metadata.insert("namespace".to_owned(), CONTROL_PLANE_NAMESPACE.into());
        metadata.insert("uid".to_owned(), uid.into());
        Application {
            metadata: Value::Object(metadata),
            spec: self.spec,
            operation: None,
            status: status::Status::default(),
            resource_version: 0,
        }
    }

    /// Whether the stored application says the same: spec, labels, annotations and finalizers.
    pub(super) fn same_as(&self, app: &Application) -> bool {
        let same = |key: &str| {
            self.fields.get(key) == app.metadata.get(key).filter(|value| !is_empty(value))
        };
        self.same_spec(app)
            && ["labels", "annotations", "finalizers"]
                .into_iter()
                .all(same)
    }

    /// Whether the stored application has the same spec.
    pub(super) fn same_spec(&self, app: &Application) -> bool {
        known_spec(&app.spec) == known_spec(&self.spec)
    }

    /// The finalizers that the stored application is to have. As in Kubernetes, what is being deleted gets no new ones:
    /// those that it had say what is done already.
    fn finalizers(&self, app: &Application) -> Option<Value> {
        let given = self.fields.get("finalizers")?;
        if !app.deleting() {
            return Some(given.clone());
        }
        let there: Vec<&str> = app.finalizers().collect();
        let given = given.as_array().into_iter().flatten();
        let kept: Vec<Value> = given
            .filter(|name| name.as_str().is_some_and(|name| there.contains(&name)))
            .cloned()
            .collect();
        (!kept.is_empty()).then_some(Value::Array(kept))
    }

    /// Writes it over the stored application. With `merge`, labels and annotations that it does not name stay.
    pub(super) fn write_over(&self, app: &mut Application, merge: bool) {
        app.spec = overlay(&app.spec, &known_spec(&app.spec), self.spec.clone());
        let finalizers = self.finalizers(app);
        let Some(metadata) = app.metadata.as_object_mut() else {
            return;
        };
        for key in ["labels", "annotations", "finalizers"] {
            let given = match key {
                "finalizers" => finalizers.clone(),
                _ => self.fields.get(key).cloned(),
            };
            let next = match (metadata.remove(key), given) {
                (Some(Value::Object(mut kept)), Some(Value::Object(given))) if merge => {
                    kept.extend(given);
                    Some(Value::Object(kept))
                }
                (Some(kept), None) if merge && key != "finalizers" => Some(kept),
                (_, given) => given,
            };
            if let Some(next) = next {
                metadata.insert(key.to_owned(), next);
            }
        }
    }
}

/// A spec as canonical JSON.
pub(super) fn spec_value(spec: &v1alpha1::ApplicationSpec) -> Value {
    json::to_value(spec)
}

/// The part of a stored spec that messages know; the whole where it does not fit them.
fn known_spec(spec: &Value) -> Value {
    json::from_value::<v1alpha1::ApplicationSpec>(spec)
        .map_or_else(|_| spec.clone(), |spec| spec_value(&spec))
}

/// `new`, with what `stored` has beyond the fields that are `known`.
fn overlay(stored: &Value, known: &Value, new: Value) -> Value {
    match (stored, known, new) {
        (Value::Object(stored), Value::Object(known), Value::Object(mut new)) => {
            for (key, value) in stored {
                match (known.get(key), new.get_mut(key)) {
                    (None, None) => {
                        new.insert(key.clone(), value.clone());
                    }
                    (Some(known), Some(slot)) => *slot = overlay(value, known, slot.take()),
                    _ => {}
                }
            }
            Value::Object(new)
        }
        (Value::Array(stored), Value::Array(known), Value::Array(new))
            if stored.len() == known.len() && known.len() == new.len() =>
        {
            let each = stored.iter().zip(known).zip(new);
            Value::Array(
                each.map(|((stored, known), new)| overlay(stored, known, new))
                    .collect(),
            )
        }
        (_, _, new) => new,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app(metadata: Value, spec: Value) -> Application {
        Application {
            metadata,
            spec,
            operation: None,
            status: status::Status::default(),
            resource_version: 1,
        }
    }

    fn draft(document: &Value) -> Draft {
        Draft::of(&json::from_value(document).unwrap())
    }

    fn spec(path: &str) -> Value {
        json!({"source": {"repoURL": "https://git/a", "path": path}, "destination": {"server": "s"}, "project": "default"})
    }

    #[test]
    fn what_a_client_does_not_know_survives_its_write() {
        let mut stored = spec("a");
        stored["fromTheFuture"] = json!({"x": 1});
        stored["source"]["alsoNew"] = json!(true);
        let mut app = app(json!({"name": "a"}), stored);
        draft(&json!({"metadata": {"name": "a"}, "spec": spec("b")})).write_over(&mut app, false);
        assert_eq!(app.spec["source"]["path"], "b");
        assert_eq!(app.spec["fromTheFuture"], json!({"x": 1}));
        assert_eq!(app.spec["source"]["alsoNew"], true);
        let same = |path| {
            draft(&json!({"metadata": {"labels": {"x": "1"}}, "spec": spec(path)})).same_spec(&app)
        };
        assert!(same("b") && !same("a"));
    }

    #[test]
    fn what_a_client_leaves_out_is_gone() {
        let mut stored = spec("a");
        stored["syncPolicy"] = json!({"syncOptions": ["Validate=false"]});
        let mut app = app(
            json!({"name": "a", "labels": {"x": "1"}, "finalizers": ["f"]}),
            stored,
        );
        draft(&json!({"metadata": {"name": "a"}, "spec": spec("a")})).write_over(&mut app, false);
        assert!(app.spec.get("syncPolicy").is_none());
        assert!(app.metadata.get("labels").is_none() && app.metadata.get("finalizers").is_none());
    }

    #[test]
    fn merging_keeps_labels_and_replaces_finalizers() {
        let mut app = app(
            json!({"name": "a", "labels": {"x": "1"}, "annotations": {"k": "v"}, "finalizers": ["f"]}),
            spec("a"),
        );
        draft(&json!({"metadata": {"name": "a", "labels": {"y": "2"}}, "spec": spec("a")}))
            .write_over(&mut app, true);
        assert_eq!(app.metadata["labels"], json!({"x": "1", "y": "2"}));
        assert_eq!(app.metadata["annotations"], json!({"k": "v"}));
        assert!(app.metadata.get("finalizers").is_none());
    }

    #[test]
    fn what_is_being_deleted_loses_finalizers_and_gets_none() {
        for merge in [false, true] {
            let mut app = app(
                json!({"name": "a", "finalizers": ["f", "g"], "deletionTimestamp": "2026-01-01T00:00:00Z"}),
                spec("a"),
            );
            let write = |app: &mut Application, finalizers: Value| {
                let metadata = json!({"name": "a", "finalizers": finalizers});
                draft(&json!({"metadata": metadata, "spec": spec("a")})).write_over(app, merge);
            };
            write(&mut app, json!(["new", "g"]));
            assert_eq!(app.metadata["finalizers"], json!(["g"]));
            write(&mut app, json!(["f"]));
            assert!(app.metadata.get("finalizers").is_none());
        }
    }

    #[test]
    fn the_same_is_recognised_whatever_the_spelling() {
        let app = app(json!({"name": "a", "labels": {}}), spec("a"));
        assert!(draft(&json!({"metadata": {"name": "a"}, "spec": spec("a")})).same_as(&app));
        assert!(
            !draft(&json!({"metadata": {"name": "a", "labels": {"x": "1"}}, "spec": spec("a")}))
                .same_as(&app)
        );
        assert!(!draft(&json!({"metadata": {"name": "a"}, "spec": spec("b")})).same_as(&app));
    }
}
