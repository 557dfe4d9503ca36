//! Takes away what the cluster would refuse or ignore: undeclared fields, null timestamps, `status`.

use domain::cause::Cause;
use domain::message;
use domain::resource::ResourceKey;
use domain::schema::{Node, Scalar, Type};
use serde_json::{Map, Value};

/// Something taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Its dotted path.
    pub(super) path: String,
    pub(super) why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The kind has no such field; perhaps this one was meant.
    Undeclared { name: String, meant: Option<String> },
    /// A time that is null.
    NullTime,
    /// Written by the cluster and nobody else.
    Server,
}

impl Dropped {
    pub(super) fn cause(self, key: &ResourceKey) -> Cause {
        let message = match self.why {
            Why::Undeclared { name, meant: None } => {
                message::lint::UNKNOWN_FIELD.with("field", name)
            }
            Why::Undeclared {
                name,
                meant: Some(meant),
            } => message::lint::UNKNOWN_FIELD_SIMILAR
                .with("field", name)
                .with("meant", meant),
            Why::NullTime => message::lint::NULL_TIMESTAMP.with("field", &self.path),
            Why::Server => message::lint::SERVER_FIELD.with("field", &self.path),
        };
        Cause::warning(message.with("kind", &key.kind)).field(self.path)
    }
}

/// Metadata that only the cluster writes; some of it would have the cluster refuse the object.
const SERVER_METADATA: [&str; 6] = [
    "creationTimestamp",
    "managedFields",
    "uid",
    "resourceVersion",
    "generation",
    "selfLink",
];

/// Takes away what the cluster would refuse or ignore, and says what.
pub(super) fn sanitise(object: &mut Value, root: Option<Node<'_>>) -> Vec<Dropped> {
    let mut dropped = Vec::new();
    let mut take = |fields: &mut Map<String, Value>, name: &str, path: String| {
        if let Some(value) = fields.remove(name) {
            let time = value.is_null() && name == "creationTimestamp";
            dropped.push(Dropped {
                path,
                why: if time { Why::NullTime } else { Why::Server },
            });
        }
    };
    if let Some(fields) = object.as_object_mut() {
        take(fields, "status", "status".to_owned());
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for name in SERVER_METADATA {
            take(metadata, name, format!("metadata.{name}"));
        }
    }
    if let Some(root) = root {
        walk(object, root, true, &mut String::new(), &mut dropped);
    }
    dropped
}

fn walk(
    value: &mut Value,
    node: Node<'_>,
    whole: bool,
    path: &mut String,
    dropped: &mut Vec<Dropped>,
) {
    match value {
        Value::Object(fields) => {
            let whole = whole || matches!(node.kind(), Type::Object { embedded: true, .. });
            if matches!(node.kind(), Type::Any | Type::List { .. } | Type::Scalar(_)) {
                // Nothing is declared below, or the shape is wrong, which the cluster will say better.
                return;
            }
            fields.retain(|name, value| {
                let length = path.len();
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
                let keep = match node.value(name) {
                    Some(child)
                        if value.is_null()
                            && matches!(child.kind(), Type::Scalar(Scalar::Time)) =>
                    {
                        dropped.push(Dropped {
                            path: path.clone(),
                            why: Why::NullTime,
                        });
                        false
                    }
                    Some(child) => {
                        walk(value, child, false, path, dropped);
                        true
                    }
                    None if whole
                        && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") =>
                    {
                        true
                    }
                    None => {
                        let why = Why::Undeclared {
                            name: name.clone(),
                            meant: meant(name, node),
                        };
                        dropped.push(Dropped {
                            path: path.clone(),
                            why,
                        });
                        false
                    }
                };
                path.truncate(length);
                keep
            });
        }
        Value::Array(items) => {
            let Some(element) = node.element() else {
                return;
            };
            for (position, item) in items.iter_mut().enumerate() {
                let length = path.len();
                path.push_str(&format!("[{position}]"));
                walk(item, element, false, path, dropped);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// The declared sibling that a wrong name most likely meant.
fn meant(name: &str, node: Node<'_>) -> Option<String> {
    let known = node.fields().iter().map(|field| &*field.name);
    domain::spelling::nearest(name, known).map(str::to_owned)
}
