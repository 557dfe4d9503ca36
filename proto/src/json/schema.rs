//! Every message, as JSON sees it: the descriptors and the facts, put together once.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

use super::facts;

/// Every message.
pub(crate) struct Schema {
    messages: Vec<Message>,
    names: HashMap<String, usize>,
    methods: HashMap<(String, String), Method>,
}

/// The two messages of an RPC, and which of them stream.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    pub(crate) request: String,
    pub(crate) response: String,
    pub(crate) client_streaming: bool,
    pub(crate) server_streaming: bool,
}

/// A message.
pub(crate) struct Message {
    pub(super) form: Form,
    pub(super) fields: Vec<Field>,
    /// Whether a key that is no field of it is refused.
    pub(super) strict: bool,
    /// Where the field of a number is, by number.
    numbers: Vec<(u32, usize)>,
    keys: HashMap<String, Place>,
    folded: HashMap<String, Place>,
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As an object of its fields.
    Object,
    /// As an RFC 3339 time in whole seconds.
    Time,
    /// As an RFC 3339 time with microseconds.
    MicroTime,
    /// As a number or a string.
    IntOrString,
    /// As the JSON in its one field.
    Raw,
    /// As Argo CD writes a ResourceOverride, with YAML in strings.
    ResourceOverride,
}

/// A field.
pub(crate) struct Field {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) json: String,
    pub(super) kind: Kind,
    pub(super) shape: Shape,
    pub(super) presence: Presence,
    pub(super) inline: bool,
}

/// What one value of a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    String,
    Bytes,
    Message(usize),
}

/// How many values a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    List,
    /// Text keys to values of the field's kind.
    Map,
}

/// When a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// When it is not empty.
    NotEmpty,
    /// When it is there.
    There,
    /// Always; as `null` where it has no empty value of its own.
    Always,
    /// When its message around it is there; as an empty object or list at least.
    Empty,
    /// Always; a message that is no pointer.
    Struct,
}

/// Where a key of an object belongs: a field, or the field that is inlined and has it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Own(usize),
    Inlined(usize),
}

/// The schema of [`crate::FILE_DESCRIPTOR_SET`].
pub(crate) fn get() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        // The descriptors are compiled in, and the tests read them: an empty set cannot happen in a build that passed.
        Schema::build(&FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET).unwrap_or_default())
    });
    &SCHEMA
}

impl Schema {
    pub(crate) fn by_name(&self, name: &str) -> Option<&Message> {
        self.names.get(name).map(|&at| &self.messages[at])
    }

    pub(super) fn at(&self, at: usize) -> &Message {
        &self.messages[at]
    }

    pub(crate) fn method(&self, service: &str, name: &str) -> Option<&Method> {
        self.methods.get(&(service.to_owned(), name.to_owned()))
    }

    #[cfg(test)]
    pub(crate) fn methods(&self) -> impl Iterator<Item = (&str, &str)> {
        self.methods
            .keys()
            .map(|(service, method)| (service.as_str(), method.as_str()))
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    fn build(set: &FileDescriptorSet) -> Self {
        let mut flat = Vec::new();
        for file in &set.file {
            for message in &file.message_type {
                flatten(file.package(), message, &mut flat);
            }
        }
        let names: HashMap<String, usize> = flat
            .iter()
            .enumerate()
            .map(|(at, (name, _, _))| (name.clone(), at))
            .collect();
        let entries: HashMap<&str, &DescriptorProto> = flat
            .iter()
            .filter(|(_, _, message)| {
                message
                    .options
                    .as_ref()
                    .is_some_and(|options| options.map_entry())
            })
            .map(|(name, _, message)| (name.as_str(), *message))
            .collect();
        let messages = flat.iter().map(|(name, package, message)| {
            let short = short_name(package, message.name());
            let pointers = facts::POINTER_PACKAGES.contains(package);
            let fields = message
                .field
                .iter()
                .filter_map(|field| read_field(field, &short, pointers, &names, &entries));
            Message::new(form(name), fields.collect(), *package == "naru.v1")
        });
        let mut schema = Self {
            messages: messages.collect(),
            names,
            methods: methods(set),
        };
        schema.index_inlined();
        schema
    }

    /// Lets each message know the keys of those inlined in it, the innermost first.
    fn index_inlined(&mut self) {
        for at in 0..self.messages.len() {
            let inlined: Vec<(usize, usize)> = self.messages[at]
                .fields
                .iter()
                .enumerate()
                .filter_map(|(field, f)| match f.kind {
                    Kind::Message(inner) if f.inline => Some((field, inner)),
                    _ => None,
                })
                .collect();
            for (field, inner) in inlined {
                let keys = self.keys_within(inner);
                let message = &mut self.messages[at];
                for key in keys {
                    message
                        .folded
                        .entry(key.to_lowercase())
                        .or_insert(Place::Inlined(field));
                    message.keys.entry(key).or_insert(Place::Inlined(field));
                }
            }
        }
    }

    fn keys_within(&self, at: usize) -> Vec<String> {
        let mut keys = Vec::new();
        for field in &self.messages[at].fields {
            match field.kind {
                Kind::Message(inner) if field.inline => keys.extend(self.keys_within(inner)),
                _ => keys.push(field.json.clone()),
            }
        }
        keys
    }
}

impl Message {
    fn new(form: Form, fields: Vec<Field>, strict: bool) -> Self {
        let own = || fields.iter().enumerate().filter(|(_, field)| !field.inline);
        let places = fields.iter().enumerate();
        let mut numbers: Vec<(u32, usize)> = places.map(|(at, field)| (field.number, at)).collect();
        numbers.sort_unstable();
        Self {
            form,
            strict,
            numbers,
            keys: own()
                .map(|(at, field)| (field.json.clone(), Place::Own(at)))
                .collect(),
            folded: own()
                .map(|(at, field)| (field.json.to_lowercase(), Place::Own(at)))
                .collect(),
            fields,
        }
    }

    pub(super) fn by_number(&self, number: u32) -> Option<usize> {
        // Asked for each field of each message: a few steps through a short list, and no hash.
        let place = self
            .numbers
            .binary_search_by_key(&number, |(number, _)| *number);
        place
            .ok()
            .and_then(|at| self.numbers.get(at))
            .map(|(_, at)| *at)
    }

    /// The place of a key: exact, else in any case, as Go matches them.
    pub(super) fn by_key(&self, key: &str) -> Option<Place> {
        self.keys
            .get(key)
            .or_else(|| self.folded.get(&key.to_lowercase()))
            .copied()
    }

    /// A field by its proto name, else its JSON name, as query parameters name them.
    pub(super) fn by_parameter(&self, name: &str) -> Option<&Field> {
        let named = |field: &&Field| field.name == name;
        self.fields
            .iter()
            .find(named)
            .or_else(|| self.fields.iter().find(|field| field.json == name))
    }
}

fn flatten<'a>(
    package: &'a str,
    message: &'a DescriptorProto,
    out: &mut Vec<(String, &'a str, &'a DescriptorProto)>,
) {
    fn walk<'a>(
        package: &'a str,
        prefix: &str,
        message: &'a DescriptorProto,
        out: &mut Vec<(String, &'a str, &'a DescriptorProto)>,
    ) {
        let name = format!("{prefix}.{}", message.name());
        for nested in &message.nested_type {
            walk(package, &name, nested, out);
        }
        out.push((name, package, message));
    }
    walk(package, package, message, out);
}

fn methods(set: &FileDescriptorSet) -> HashMap<(String, String), Method> {
    let mut methods = HashMap::new();
    for file in &set.file {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            for method in &service.method {
                let described = Method {
                    request: method.input_type().trim_start_matches('.').to_owned(),
                    response: method.output_type().trim_start_matches('.').to_owned(),
                    client_streaming: method.client_streaming(),
                    server_streaming: method.server_streaming(),
                };
                methods.insert((name.clone(), method.name().to_owned()), described);
            }
        }
    }
    methods
}

/// The name by which the facts know a message.
fn short_name(package: &str, name: &str) -> String {
    let short = facts::PACKAGES
        .iter()
        .find(|(_, full)| *full == package)
        .map_or(package, |(short, _)| short);
    format!("{short}.{name}")
}

fn form(name: &str) -> Form {
    match name {
        "k8s.io.apimachinery.pkg.apis.meta.v1.Time" => Form::Time,
        "k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime" => Form::MicroTime,
        "k8s.io.apimachinery.pkg.util.intstr.IntOrString" => Form::IntOrString,
        "k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1"
        | "k8s.io.apimachinery.pkg.runtime.RawExtension"
        | "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSON" => Form::Raw,
        _ if name.ends_with(".v1alpha1.ResourceOverride") => Form::ResourceOverride,
        _ => Form::Object,
    }
}

fn kind(field: &FieldDescriptorProto, names: &HashMap<String, usize>) -> Option<Kind> {
    Some(match field.r#type() {
        Type::Bool => Kind::Bool,
        Type::Int32 => Kind::Int32,
        Type::Int64 => Kind::Int64,
        Type::Uint32 => Kind::Uint32,
        Type::Uint64 => Kind::Uint64,
        Type::String => Kind::String,
        Type::Bytes => Kind::Bytes,
        Type::Message => Kind::Message(*names.get(field.type_name().trim_start_matches('.'))?),
        _ => return None,
    })
}

fn read_field(
    field: &FieldDescriptorProto,
    message: &str,
    pointers: bool,
    names: &HashMap<String, usize>,
    entries: &HashMap<&str, &DescriptorProto>,
) -> Option<Field> {
    let name = field.name();
    let entry = entries.get(field.type_name().trim_start_matches('.'));
    let (kind, shape) = match entry {
        Some(entry) => (
            kind(entry.field.iter().find(|part| part.number() == 2)?, names)?,
            Shape::Map,
        ),
        None if field.label() == Label::Repeated => (kind(field, names)?, Shape::List),
        None => (kind(field, names)?, Shape::One),
    };
    let in_table = |table: facts::Fields| {
        table
            .iter()
            .any(|(of, fields)| *of == message && fields.contains(&name))
    };
    // Our own messages always have the same keys, so that `false` and `0` can be told from a field that this version lacks.
    let own = message.starts_with("naru.v1.") && !field.proto3_optional();
    let presence = if own && shape != Shape::One {
        Presence::Empty
    } else if in_table(facts::ALWAYS) || own && !matches!(kind, Kind::Message(_)) {
        Presence::Always
    } else if in_table(facts::EMPTY) {
        Presence::Empty
    } else if in_table(facts::STRUCTS) {
        Presence::Struct
    } else if shape != Shape::One || in_table(facts::NON_ZERO) {
        Presence::NotEmpty
    } else if pointers || in_table(facts::POINTERS) || matches!(kind, Kind::Message(_)) {
        Presence::There
    } else {
        Presence::NotEmpty
    };
    let renamed = facts::NAMES
        .iter()
        .find(|(of, _)| *of == message)
        .and_then(|(_, fields)| {
            fields
                .iter()
                .find(|(of, _)| *of == name)
                .map(|(_, json)| (*json).to_owned())
        });
    Some(Field {
        number: u32::try_from(field.number()).ok()?,
        json: renamed.unwrap_or_else(|| name.to_owned()),
        name: name.to_owned(),
        kind,
        shape,
        presence,
        inline: in_table(facts::INLINE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_every_message_can_be_written_and_every_fact_is_about_a_field() {
        let set = FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET).unwrap();
        let mut all = Vec::new();
        // What services say to each other has no JSON.
        let public = |file: &&prost_types::FileDescriptorProto| {
            !file.package().starts_with("naru.internal.")
        };
        for file in set.file.iter().filter(public) {
            for message in &file.message_type {
                flatten(file.package(), message, &mut all);
            }
        }
        assert!(all.len() > 300);
        for (name, _, message) in &all {
            assert_eq!(
                get().by_name(name).unwrap().fields.len(),
                message.field.len(),
                "{name}"
            );
        }
        let known = |message: &str, field: &str| {
            all.iter().any(|(_, package, descriptor)| {
                short_name(package, descriptor.name()) == message
                    && descriptor.field.iter().any(|known| known.name() == field)
            })
        };
        let tables = [
            facts::ALWAYS,
            facts::EMPTY,
            facts::POINTERS,
            facts::STRUCTS,
            facts::NON_ZERO,
            facts::INLINE,
        ]
        .concat();
        for (message, fields) in tables {
            for field in fields {
                assert!(known(message, field), "{message}.{field}");
            }
        }
        for (message, fields) in facts::NAMES {
            for (field, _) in *fields {
                assert!(known(message, field), "{message}.{field}");
            }
        }
    }
}
