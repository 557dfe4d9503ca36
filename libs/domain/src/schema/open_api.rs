//! From an OpenAPI v3 document to a [`Document`]: one type per component, equal types stored once.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{ANY, Document, Field, Gvk, ListMerge, MapKey, Scalar, Type, TypeRef};

/// A cluster's documents are a few megabytes; a larger one is not parsed.
const MAX_BYTES: usize = 64 << 20;
/// No real schema nests anonymous types deeper.
const MAX_DEPTH: usize = 128;
/// No real list's elements are found by more fields.
const MAX_KEYS: usize = 16;
/// A longer text is no default of a field that names an element.
const MAX_DEFAULT: usize = 256;

/// Why a document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// It is larger than any cluster's.
    #[error("the OpenAPI document has {0} bytes, more than is read")]
    TooLarge(usize),
    /// It is not JSON.
    #[error("the OpenAPI document is not JSON")]
    Json(#[from] serde_json::Error),
}

pub(super) fn parse(json: &[u8]) -> Result<Document, ParseError> {
    if json.len() > MAX_BYTES {
        return Err(ParseError::TooLarge(json.len()));
    }
    let document: Value = serde_json::from_slice(json)?;
    let empty = Map::new();
    let components = crate::resource::at(&document, &["components", "schemas"])
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let mut builder = Builder {
        components,
        named: HashMap::new(),
        unbuilt: Vec::new(),
        leaves: HashMap::new(),
        types: Vec::new(),
    };
    let mut roots = HashMap::new();
    for (name, schema) in components {
        let gvks = schema
            .get("x-kubernetes-group-version-kind")
            .and_then(Value::as_array);
        for gvk in gvks.into_iter().flatten() {
            let part = |key: &str| {
                gvk.get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .into()
            };
            let at = builder.component(name);
            roots.insert(
                Gvk {
                    group: part("group"),
                    version: part("version"),
                    kind: part("kind"),
                },
                at,
            );
        }
    }
    builder.build();
    builder.types.shrink_to_fit();
    Ok(Document {
        types: builder.types,
        roots,
    })
}

struct Builder<'a> {
    components: &'a Map<String, Value>,
    named: HashMap<&'a str, TypeRef>,
    /// Named components that have a place and are not built yet.
    unbuilt: Vec<(TypeRef, &'a str, &'a Value)>,
    leaves: HashMap<Scalar, TypeRef>,
    types: Vec<Type>,
}

impl<'a> Builder<'a> {
    fn push(&mut self, kind: Type) -> TypeRef {
        let Ok(at) = u32::try_from(self.types.len()) else {
            return ANY;
        };
        self.types.push(kind);
        TypeRef(at)
    }

    fn leaf(&mut self, scalar: Scalar) -> TypeRef {
        if let Some(&at) = self.leaves.get(&scalar) {
            return at;
        }
        let at = self.push(Type::Scalar(scalar));
        self.leaves.insert(scalar, at);
        at
    }

    /// The type of a named component. Its place is taken, and it is built later, so that it may name itself, and however many name
    /// one another in a row take no stack.
    fn component(&mut self, name: &str) -> TypeRef {
        let Some((name, schema)) = self.components.get_key_value(name) else {
            return ANY;
        };
        if let Some(&at) = self.named.get(name.as_str()) {
            return at;
        }
        if let Some(scalar) = scalar(schema, name) {
            let at = self.leaf(scalar);
            self.named.insert(name, at);
            return at;
        }
        let at = self.push(Type::Any);
        self.named.insert(name, at);
        self.unbuilt.push((at, name.as_str(), schema));
        at
    }

    /// Builds what has a place, and what that names.
    fn build(&mut self) {
        while let Some((at, name, schema)) = self.unbuilt.pop() {
            let built_in = name.starts_with("io.k8s.");
            let kind = self.composite(schema, built_in, MAX_DEPTH);
            if let Some(place) = self.types.get_mut(at.0 as usize) {
                *place = kind;
            }
        }
    }

    fn node(&mut self, schema: &'a Value, built_in: bool, depth: usize) -> TypeRef {
        if depth == 0 {
            return ANY;
        }
        if let Some(name) = referred(schema) {
            return self.component(name);
        }
        if let Some(scalar) = scalar(schema, "") {
            return self.leaf(scalar);
        }
        match self.composite(schema, built_in, depth) {
            Type::Any => ANY,
            kind => self.push(kind),
        }
    }

    fn composite(&mut self, schema: &'a Value, built_in: bool, depth: usize) -> Type {
        let kind = schema.get("type").and_then(Value::as_str);
        if kind == Some("array") {
            let element = schema
                .get("items")
                .map_or(ANY, |items| self.node(items, built_in, depth - 1));
            return Type::List {
                element,
                merge: merge(schema, self.components),
                patch_key: patch_key(schema),
            };
        }
        let flag = |name: &str| {
            schema
                .get(name)
                .and_then(Value::as_bool)
                .unwrap_or_default()
        };
        let preserve_unknown = flag("x-kubernetes-preserve-unknown-fields");
        let embedded = flag("x-kubernetes-embedded-resource");
        let atomic = schema.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic");
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            let required = schema.get("required").and_then(Value::as_array);
            let required = required.into_iter().flatten().filter_map(Value::as_str);
            let required: HashSet<&str> = required.collect();
            let mut fields: Vec<Field> = properties
                .iter()
                .map(|(name, schema)| Field {
                    name: name.as_str().into(),
                    at: self.node(schema, built_in, depth - 1),
                    required: required.contains(name.as_str()),
                })
                .collect();
            fields.sort_by(|a, b| a.name.cmp(&b.name));
            return Type::Object {
                fields: fields.into(),
                preserve_unknown,
                atomic,
                embedded,
            };
        }
        match schema.get("additionalProperties") {
            Some(value @ Value::Object(_)) => {
                return Type::Map {
                    value: self.node(value, built_in, depth - 1),
                    atomic,
                };
            }
            Some(Value::Bool(true)) => return Type::Map { value: ANY, atomic },
            _ => {}
        }
        // A bare object of a built-in kind is raw content; in a custom resource the server empties it.
        if kind == Some("object") && !built_in && !preserve_unknown && !embedded {
            return Type::Object {
                fields: Box::default(),
                preserve_unknown,
                atomic,
                embedded,
            };
        }
        Type::Any
    }
}

/// The component that a schema names, directly or as its only `allOf` part.
fn referred(schema: &Value) -> Option<&str> {
    let reference =
        schema
            .get("$ref")
            .or_else(|| match schema.get("allOf")?.as_array()?.as_slice() {
                [one] => one.get("$ref"),
                _ => None,
            })?;
    reference.as_str()?.strip_prefix("#/components/schemas/")
}

fn scalar(schema: &Value, name: &str) -> Option<Scalar> {
    if name.ends_with("api.resource.Quantity") {
        return Some(Scalar::Quantity);
    }
    let format = schema.get("format").and_then(Value::as_str);
    let int_or_string = schema
        .get("x-kubernetes-int-or-string")
        .and_then(Value::as_bool)
        == Some(true);
    if int_or_string || format == Some("int-or-string") {
        return Some(Scalar::IntOrString);
    }
    match (schema.get("type")?.as_str()?, format) {
        ("string", Some("date-time")) => Some(Scalar::Time),
        ("string", Some("byte")) => Some(Scalar::Bytes),
        ("string", _) => Some(Scalar::String),
        ("integer", _) => Some(Scalar::Integer),
        ("number", _) => Some(Scalar::Number),
        ("boolean", _) => Some(Scalar::Boolean),
        _ => None,
    }
}

fn merge(schema: &Value, components: &Map<String, Value>) -> ListMerge {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListMerge::Set,
        Some("map") => {
            let element = schema.get("items").map(|items| {
                referred(items)
                    .and_then(|name| components.get(name))
                    .unwrap_or(items)
            });
            // A copy for each list that has such elements: what is no single value, and short, names none.
            let default = |name: &str| {
                let default = element?.get("properties")?.get(name)?.get("default")?;
                let short = match default {
                    Value::String(text) => text.len() <= MAX_DEFAULT,
                    Value::Number(_) | Value::Bool(_) => true,
                    Value::Null | Value::Array(_) | Value::Object(_) => false,
                };
                short.then(|| default.clone())
            };
            let keys = schema
                .get("x-kubernetes-list-map-keys")
                .and_then(Value::as_array);
            let keys = keys.into_iter().flatten().filter_map(Value::as_str);
            ListMerge::Map {
                keys: keys
                    .take(MAX_KEYS)
                    .map(|name| MapKey {
                        name: name.into(),
                        default: default(name),
                    })
                    .collect(),
            }
        }
        _ => ListMerge::Atomic,
    }
}

fn patch_key(schema: &Value) -> Option<Box<str>> {
    let merges = schema
        .get("x-kubernetes-patch-strategy")?
        .as_str()?
        .split(',')
        .any(|word| word == "merge");
    merges
        .then(|| {
            schema
                .get("x-kubernetes-patch-merge-key")?
                .as_str()
                .map(Box::from)
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_scalars_maps_and_recursion_are_read() {
        let document = json!({"components": {"schemas": {
            "io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
            "io.k8s.raw": {"type": "object"},
            "Port": {"type": "object", "required": ["port"], "properties": {
                "port": {"type": "integer"},
                "protocol": {"type": "string", "default": "TCP"},
                "target": {"x-kubernetes-int-or-string": true}}},
            "Thing": {
                "x-kubernetes-group-version-kind": [{"group": "g", "version": "v1", "kind": "Thing"}],
                "type": "object",
                "properties": {
                    "ports": {"type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/Port"}]},
                        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"]},
                    "names": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                    "limits": {"type": "object", "additionalProperties":
                        {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity"}},
                    "raw": {"$ref": "#/components/schemas/io.k8s.raw"},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    "closed": {"type": "object"},
                    "inner": {"$ref": "#/components/schemas/Thing"}}}}}});
        let document = Document::from_open_api(document.to_string().as_bytes()).unwrap();
        let root = document.root("g", "v1", "Thing").unwrap();
        let Type::List {
            merge: ListMerge::Map { keys },
            ..
        } = root.field("ports").unwrap().kind()
        else {
            panic!("not a map list")
        };
        assert_eq!(
            keys[1],
            MapKey {
                name: "protocol".into(),
                default: Some(json!("TCP"))
            }
        );
        let port = root.field("ports").unwrap().element().unwrap();
        assert_eq!(
            port.field("target").unwrap().kind(),
            &Type::Scalar(Scalar::IntOrString)
        );
        assert!(
            port.fields()
                .iter()
                .any(|field| field.name.as_ref() == "port" && field.required)
        );
        let limit = root.field("limits").unwrap().value("cpu").unwrap();
        assert_eq!(limit.kind(), &Type::Scalar(Scalar::Quantity));
        assert!(matches!(
            root.field("names").unwrap().kind(),
            Type::List {
                merge: ListMerge::Set,
                ..
            }
        ));
        assert_eq!(root.field("raw").unwrap().kind(), &Type::Any);
        assert_eq!(
            root.field("free")
                .unwrap()
                .value("anything")
                .unwrap()
                .kind(),
            &Type::Any
        );
        assert!(root.field("closed").unwrap().value("anything").is_none());
        assert!(root.value("nmaespace").is_none());
        assert!(
            root.field("inner")
                .unwrap()
                .field("inner")
                .unwrap()
                .field("ports")
                .is_some()
        );
    }

    #[test]
    fn as_many_as_name_one_another_in_a_row_take_no_stack() {
        let last = 50_000;
        let mut schemas = Map::new();
        for at in 0..last {
            let next = json!({"$ref": format!("#/components/schemas/C{}", at + 1)});
            let schema = json!({"type": "object", "properties": {"next": next}});
            schemas.insert(format!("C{at}"), schema);
        }
        schemas.insert(format!("C{last}"), json!({"type": "array", "items": {}}));
        schemas["C0"]["x-kubernetes-group-version-kind"] =
            json!([{"group": "g", "version": "v1", "kind": "Thing"}]);
        let document = json!({"components": {"schemas": schemas}}).to_string();
        let document = Document::from_open_api(document.as_bytes()).unwrap();
        let mut node = document.root("g", "v1", "Thing").unwrap();
        for _ in 0..last {
            node = node.field("next").unwrap();
        }
        assert!(matches!(node.kind(), Type::List { .. }));
    }

    #[test]
    fn what_names_no_element_is_not_copied_for_each_list() {
        let list = |default: Value| {
            let element = json!({"type": "object", "properties": {"a": {"default": default}}});
            let document = json!({"components": {"schemas": {
                "Element": element,
                "Thing": {"x-kubernetes-group-version-kind": [{"group": "g", "version": "v1", "kind": "Thing"}],
                    "type": "array", "items": {"$ref": "#/components/schemas/Element"},
                    "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": vec!["a"; MAX_KEYS + 1]}}}});
            let document = Document::from_open_api(document.to_string().as_bytes()).unwrap();
            match document.root("g", "v1", "Thing").unwrap().kind() {
                Type::List {
                    merge: ListMerge::Map { keys },
                    ..
                } => (keys.len(), keys[0].default.clone()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(list(json!("TCP")), (MAX_KEYS, Some(json!("TCP"))));
        assert_eq!(list(json!(80)).1, Some(json!(80)));
        for none in [json!("x".repeat(MAX_DEFAULT + 1)), json!([1]), json!({})] {
            assert_eq!(list(none).1, None);
        }
    }
}
