//! The field tree of the kinds that a cluster has: what is declared, and how its lists merge.
//!
//! A [`SchemaSet`] is a cheap, immutable value: one [`Document`] per group and version, as far as they are loaded.
//! [`SchemaSet::root`] gives the [`Node`] of a kind; from there [`Node::field`], [`Node::value`] and [`Node::element`]
//! follow an object downwards. A node is a small copy; recursive types are no problem, since nodes are found by index.
//!
//! ```
//! # let schema = domain::schema::SchemaSet::default();
//! if let Some(root) = schema.root("apps", "v1", "Deployment") {
//!     let containers = root.field("spec").and_then(|n| n.field("template")?.field("spec")?.field("containers"));
//!     // `containers` is a Type::List with ListMerge::Map { keys: ["name"] }
//! }
//! ```
//!
//! [`Type::Any`] permits everything: below it nothing is undeclared.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

mod open_api;

pub use open_api::ParseError;

/// The schemas of a cluster, as far as they are loaded. Cloning copies a few pointers.
#[derive(Clone, Debug, Default)]
pub struct SchemaSet {
    documents: HashMap<(Box<str>, Box<str>), Arc<Document>>,
}

impl SchemaSet {
    /// The top of a kind's field tree. `None` when its group and version are not loaded or do not have it.
    #[must_use]
    pub fn root(&self, group: &str, version: &str, kind: &str) -> Option<Node<'_>> {
        self.documents
            .get(&(Box::from(group), Box::from(version)))?
            .root(group, version, kind)
    }

    /// Whether a group's version is loaded, so that a missing [`SchemaSet::root`] means a kind without a schema.
    #[must_use]
    pub fn has(&self, group: &str, version: &str) -> bool {
        self.documents
            .contains_key(&(Box::from(group), Box::from(version)))
    }

    /// Whether two sets have the very same document of a group's version, or both none.
    #[must_use]
    pub fn shares(&self, other: &Self, group: &str, version: &str) -> bool {
        let key = (Box::from(group), Box::from(version));
        match (self.documents.get(&key), other.documents.get(&key)) {
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            (None, None) => true,
            _ => false,
        }
    }

    /// Adds or replaces one group's version.
    pub fn insert(&mut self, group: &str, version: &str, document: Arc<Document>) {
        self.documents
            .insert((group.into(), version.into()), document);
    }

    /// Forgets one group's version.
    pub fn remove(&mut self, group: &str, version: &str) {
        self.documents
            .remove(&(Box::from(group), Box::from(version)));
    }
}

/// The types of one group and version.
#[derive(Debug, Default)]
pub struct Document {
    types: Vec<Type>,
    roots: HashMap<Gvk, TypeRef>,
}

/// Group, version, kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gvk {
    /// The group; empty for the core group.
    pub group: Box<str>,
    /// The version.
    pub version: Box<str>,
    /// The kind.
    pub kind: Box<str>,
}

impl Document {
    /// Reads an OpenAPI v3 document as `/openapi/v3/apis/<group>/<version>` serves it.
    ///
    /// # Errors
    /// When it is not JSON, or too large to be one.
    pub fn from_open_api(json: &[u8]) -> Result<Self, ParseError> {
        open_api::parse(json)
    }

    /// The top of a kind's field tree.
    #[must_use]
    pub fn root(&self, group: &str, version: &str, kind: &str) -> Option<Node<'_>> {
        let gvk = Gvk {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
        };
        self.roots.get(&gvk).map(|&at| Node { document: self, at })
    }

    /// The kinds it has.
    pub fn kinds(&self) -> impl Iterator<Item = &Gvk> {
        self.roots.keys()
    }
}

/// Where a type stands in its [`Document`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeRef(u32);

/// One node's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// A struct: these fields and no others, unless unknown ones are preserved.
    Object {
        /// Sorted by name.
        fields: Box<[Field]>,
        /// Whether undeclared fields are kept by the server (`x-kubernetes-preserve-unknown-fields`).
        preserve_unknown: bool,
        /// Whether it is replaced as a whole (`x-kubernetes-map-type: atomic`).
        atomic: bool,
        /// Whether it is a whole object of its own, with apiVersion, kind and metadata.
        embedded: bool,
    },
    /// Any keys, values of one type.
    Map {
        /// The type of the values.
        value: TypeRef,
        /// Whether it is replaced as a whole.
        atomic: bool,
    },
    /// A list.
    List {
        /// The type of the elements.
        element: TypeRef,
        /// How server-side apply merges it.
        merge: ListMerge,
        /// The key by which kubectl's strategic merge patch merges it (`x-kubernetes-patch-merge-key`).
        patch_key: Option<Box<str>>,
    },
    /// A single value.
    Scalar(Scalar),
    /// Nothing is declared and everything is kept.
    Any,
}

/// A field of an object type.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: Box<str>,
    /// Its type.
    pub at: TypeRef,
    /// Whether the server refuses an object without it.
    pub required: bool,
}

/// How server-side apply merges a list.
#[derive(Clone, Debug, PartialEq)]
pub enum ListMerge {
    /// Replaced as a whole; also what a list without a word on it is.
    Atomic,
    /// A set of scalars.
    Set,
    /// Elements are found by these fields.
    Map {
        /// The fields, in the schema's order.
        keys: Box<[MapKey]>,
    },
}

/// A field that identifies a list element.
#[derive(Clone, Debug, PartialEq)]
pub struct MapKey {
    /// Its name.
    pub name: Box<str>,
    /// What an element without it is taken to say (`protocol` is `TCP`).
    pub default: Option<Value>,
}

/// The kinds of single values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A number or text (`80`, `"http"`, `"25%"`).
    IntOrString,
    /// An amount: `1000m` equals `1`; a number is also accepted.
    Quantity,
    /// An RFC 3339 time; `null` in a manifest means absent.
    Time,
    /// Base64 text.
    Bytes,
}

/// A place in a field tree.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    document: &'a Document,
    at: TypeRef,
}

impl<'a> Node<'a> {
    /// What it is.
    #[must_use]
    pub fn kind(self) -> &'a Type {
        self.document
            .types
            .get(self.at.0 as usize)
            .unwrap_or(&Type::Any)
    }

    /// The node of a reference that one of this document's types holds.
    #[must_use]
    pub fn follow(self, at: TypeRef) -> Self {
        Self {
            document: self.document,
            at,
        }
    }

    /// A declared field of an object.
    #[must_use]
    pub fn field(self, name: &str) -> Option<Self> {
        let Type::Object { fields, .. } = self.kind() else {
            return None;
        };
        let at = fields
            .binary_search_by(|field| field.name.as_ref().cmp(name))
            .ok()?;
        fields.get(at).map(|field| self.follow(field.at))
    }

    /// The declared fields of an object; empty for everything else.
    #[must_use]
    pub fn fields(self) -> &'a [Field] {
        match self.kind() {
            Type::Object { fields, .. } => fields,
            _ => &[],
        }
    }

    /// What a key of an object or a map holds; `None` when the key is undeclared and would be dropped.
    /// Below [`Type::Any`] and undeclared preserved fields, that is again [`Type::Any`].
    #[must_use]
    pub fn value(self, key: &str) -> Option<Self> {
        match self.kind() {
            Type::Object {
                preserve_unknown, ..
            } => self
                .field(key)
                .or_else(|| preserve_unknown.then(|| self.follow(ANY))),
            Type::Map { value, .. } => Some(self.follow(*value)),
            Type::Any => Some(self.follow(ANY)),
            Type::List { .. } | Type::Scalar(_) => None,
        }
    }

    /// The elements of a list (of [`Type::Any`]: anything).
    #[must_use]
    pub fn element(self) -> Option<Self> {
        match self.kind() {
            Type::List { element, .. } => Some(self.follow(*element)),
            Type::Any => Some(self.follow(ANY)),
            Type::Object { .. } | Type::Map { .. } | Type::Scalar(_) => None,
        }
    }
}

/// Points at no type, which [`Node::kind`] reads as [`Type::Any`].
const ANY: TypeRef = TypeRef(u32::MAX);
