//! How a tenant's objects are marked as an application's, and what the marks of an object say.
//!
//! The methods are Argo CD's (`application.resourceTrackingMethod`): the tracking id in an annotation, the application's name
//! in a label, or both, where the annotation decides. What is ours: a label names no tenant, and anybody may put one on
//! anything. So the installation id, which is the tenant, is written whatever the method.
//!
//! A mark is read in one way for all methods, so that what an earlier method of the tenant has marked is found again: the
//! tracking id decides where there is one, else the label does. Where a label counts that no installation id stands beside
//! is for the engine to say.

use serde_json::{Map, Value};

use crate::resource::{
    INSTALLATION_ID, ResourceKey, TRACKING_ID, annotation, at, tracked_by, tracking_id,
};

/// The label that names an object's application, where the settings name no other; the only one that is read.
pub const LABEL: &str = "app.kubernetes.io/instance";
/// The most characters that a label's value has.
pub const MAX_LABEL: usize = 63;

/// How an object's application is recognised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// By the tracking id.
    #[default]
    Annotation,
    /// By the label.
    Label,
    /// By the tracking id; the label is there for people and other tools.
    AnnotationAndLabel,
}

impl Method {
    /// What the settings call them.
    pub const WORDS: &'static [&'static str] = &["annotation", "label", "annotation+label"];

    /// The method of a word of the settings.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "annotation" => Some(Self::Annotation),
            "label" => Some(Self::Label),
            "annotation+label" => Some(Self::AnnotationAndLabel),
            _ => None,
        }
    }

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Annotation => "annotation",
            Self::Label => "label",
            Self::AnnotationAndLabel => "annotation+label",
        }
    }
}

/// Whose an object is to be.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    /// The tenant's name, which is the installation id.
    pub tenant: &'a str,
    /// The application's.
    pub app: &'a str,
    /// The application's destination namespace.
    pub namespace: &'a str,
}

/// How a tenant's objects are marked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Marking {
    /// The method.
    pub method: Method,
    /// The key of the label. With [`Method::Label`] it is always [`LABEL`].
    pub label: String,
}

impl Default for Marking {
    fn default() -> Self {
        Self {
            method: Method::default(),
            label: LABEL.to_owned(),
        }
    }
}

impl Marking {
    /// What settings say; where they cannot be meant, the annotation.
    #[must_use]
    pub fn of(method: Option<&str>, label: &str) -> Self {
        let label = if label.is_empty() { LABEL } else { label };
        let method = method.and_then(Method::parse).unwrap_or_default();
        let method = match method {
            Method::Label if label != LABEL => Method::default(),
            method => method,
        };
        Self {
            method,
            label: label.to_owned(),
        }
    }

    /// Writes whose an object is.
    pub fn mark(&self, object: &mut Value, key: &ResourceKey, whose: Whose<'_>) {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
            return;
        };
        if let Some(annotations) = texts(metadata, "annotations") {
            match self.method {
                // One that Git names would decide.
                Method::Label => {
                    annotations.remove(TRACKING_ID);
                }
                Method::Annotation | Method::AnnotationAndLabel => {
                    let id = tracking_id(whose.app, key, whose.namespace);
                    annotations.insert(TRACKING_ID.to_owned(), Value::String(id));
                }
            }
            let installation = Value::String(whose.tenant.to_owned());
            annotations.insert(INSTALLATION_ID.to_owned(), installation);
        }
        if let Some(value) = self.label_of(whose.app)
            && let Some(labels) = texts(metadata, "labels")
        {
            labels.insert(self.label.clone(), Value::String(value.to_owned()));
        }
    }

    /// What the label says of an application's objects; nothing where none is written. With the annotation beside it a long
    /// name is cut, as in Argo CD.
    #[must_use]
    pub fn label_of<'a>(&self, app: &'a str) -> Option<&'a str> {
        match self.method {
            Method::Annotation => None,
            Method::Label => Some(app),
            Method::AnnotationAndLabel => Some(cut(app)),
        }
    }

    /// Whether an application of this name can have objects. With [`Method::Label`] the label is all that names it, and a
    /// cut one would name another.
    #[must_use]
    pub fn can_name(&self, app: &str) -> bool {
        self.method != Method::Label || app.len() <= MAX_LABEL
    }
}

/// As much of a name as a label holds: it ends with a letter or digit.
#[must_use]
pub fn cut(app: &str) -> &str {
    match app.get(..MAX_LABEL) {
        Some(head) if app.len() > MAX_LABEL => {
            head.trim_end_matches(|c: char| !c.is_ascii_alphanumeric())
        }
        _ => app,
    }
}

/// A map of an object's metadata, made where there is none.
fn texts<'a>(
    metadata: &'a mut Map<String, Value>,
    name: &str,
) -> Option<&'a mut Map<String, Value>> {
    let map = metadata.entry(name).or_insert(Value::Null);
    if map.is_null() {
        *map = Value::Object(Map::new());
    }
    map.as_object_mut()
}

/// What a tracking id says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Id<'a> {
    /// There is none.
    #[default]
    None,
    /// It was made for another object, and came along when that was copied: the copy is nobody's.
    Copied,
    /// It was made for this very object, and names its application.
    Of(&'a str),
}

/// What an object says itself of whose it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks<'a> {
    /// What its tracking id says.
    pub id: Id<'a>,
    /// The application that its label names. What another object owns has the labels of its owner's making, which say
    /// nothing.
    pub label: Option<&'a str>,
    /// The tenant that it names, or another Argo CD's installation.
    pub installation: Option<&'a str>,
}

impl<'a> Marks<'a> {
    /// Reads them off an object.
    #[must_use]
    pub fn of(object: &'a Value, key: &ResourceKey) -> Self {
        let id = match annotation(object, TRACKING_ID) {
            None => Id::None,
            Some(id) => match tracked_by(id, key) {
                Some(app) if !app.is_empty() => Id::Of(app),
                _ => Id::Copied,
            },
        };
        Self {
            id,
            label: label(object).filter(|_| !is_owned(object)),
            installation: annotation(object, INSTALLATION_ID).filter(|id| !id.is_empty()),
        }
    }

    /// The application that it names: by its tracking id where it has one, else by its label.
    #[must_use]
    pub fn app(&self) -> Option<&'a str> {
        match self.id {
            Id::Of(app) => Some(app),
            Id::Copied => None,
            Id::None => self.label,
        }
    }

    /// The application that its label names, where no installation id stands beside it and no tracking id speaks against it.
    #[must_use]
    pub fn label_alone(&self) -> Option<&'a str> {
        let label = self.label.filter(|_| self.installation.is_none())?;
        match self.id {
            Id::Copied => None,
            Id::Of(app) if app != label => None,
            Id::Of(_) | Id::None => Some(label),
        }
    }
}

/// The application that an object's label names.
#[must_use]
pub fn label(object: &Value) -> Option<&str> {
    let named = at(object, &["metadata", "labels"])?.get(LABEL)?.as_str()?;
    (!named.is_empty()).then_some(named)
}

/// Whether another object owns it.
fn is_owned(object: &Value) -> bool {
    at(object, &["metadata", "ownerReferences"])
        .and_then(Value::as_array)
        .is_some_and(|owners| !owners.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WHOSE: Whose<'_> = Whose {
        tenant: "user01",
        app: "hello",
        namespace: "user01",
    };

    fn marked(method: Method, metadata: Value) -> Value {
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
        object["metadata"]["name"] = json!("a");
        object["metadata"]["namespace"] = json!("user01");
        let marking = Marking {
            method,
            ..Marking::default()
        };
        let key = ResourceKey::of(&object);
        marking.mark(&mut object, &key, WHOSE);
        object
    }

    #[test]
    fn each_method_writes_its_mark_and_all_name_the_tenant() {
        let id = "hello:/ConfigMap:user01/a";
        for (method, tracked, labelled) in [
            (Method::Annotation, Some(id), None),
            (Method::Label, None, Some("hello")),
            (Method::AnnotationAndLabel, Some(id), Some("hello")),
        ] {
            let object = marked(method, json!({"annotations": null}));
            assert_eq!(annotation(&object, TRACKING_ID), tracked, "{method:?}");
            assert_eq!(label(&object), labelled, "{method:?}");
            assert_eq!(annotation(&object, INSTALLATION_ID), Some("user01"));
            let marks = Marks::of(&object, &ResourceKey::of(&object));
            assert_eq!(
                (marks.app(), marks.installation),
                (Some("hello"), Some("user01")),
                "{method:?}"
            );
        }
        let own = json!({"labels": {LABEL: "theirs"}, "annotations": {TRACKING_ID: "other:/ConfigMap:user01/a"}});
        let object = marked(Method::Annotation, own.clone());
        assert_eq!(label(&object), Some("theirs"), "it is Git's");
        let object = marked(Method::Label, own);
        assert_eq!(label(&object), Some("hello"));
        assert_eq!(annotation(&object, TRACKING_ID), None, "it would decide");
    }

    #[test]
    fn a_long_name_is_cut_where_the_annotation_decides_and_cannot_be_where_the_label_does() {
        let long = format!("{}-{}", "x".repeat(62), "y".repeat(10));
        let of = |method| Marking {
            method,
            ..Marking::default()
        };
        assert_eq!(
            of(Method::AnnotationAndLabel).label_of(&long),
            Some(&*"x".repeat(62))
        );
        assert!(of(Method::AnnotationAndLabel).can_name(&long));
        assert!(!of(Method::Label).can_name(&long));
        assert!(of(Method::Label).can_name(&long[..62]));
    }

    #[test]
    fn the_tracking_id_goes_before_the_label_and_a_copy_is_nobodys() {
        let marks = |metadata: Value| {
            let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
            object["metadata"]["name"] = json!("a");
            object["metadata"]["namespace"] = json!("user01");
            let marks = Marks::of(&object, &ResourceKey::of(&object));
            let own = |app: Option<&str>| app.map(str::to_owned);
            (own(marks.app()), own(marks.label_alone()))
        };
        let (id, copied) = ("one:/ConfigMap:user01/a", "one:/ConfigMap:user01/b");
        let named = |app: &str| Some(app.to_owned());
        let two = json!({LABEL: "two"});
        assert_eq!(
            marks(json!({"labels": two, "annotations": {TRACKING_ID: id}})),
            (named("one"), None)
        );
        assert_eq!(
            marks(json!({"labels": two, "annotations": {TRACKING_ID: copied}})),
            (None, None)
        );
        assert_eq!(
            marks(json!({"labels": two, "annotations": {INSTALLATION_ID: "user01"}})),
            (named("two"), None)
        );
        assert_eq!(marks(json!({"labels": two})), (named("two"), named("two")));
        assert_eq!(
            marks(json!({"labels": {LABEL: "one"}, "annotations": {TRACKING_ID: id}})),
            (named("one"), named("one"))
        );
        assert_eq!(
            marks(json!({"labels": two, "ownerReferences": [{"uid": "u"}]})),
            (None, None),
            "its owner's making"
        );
    }

    #[test]
    fn settings_that_cannot_be_meant_are_the_annotation() {
        assert_eq!(Marking::of(None, ""), Marking::default());
        assert_eq!(Marking::of(Some("lable"), LABEL), Marking::default());
        assert_eq!(
            Marking::of(Some("label"), "mine").method,
            Method::Annotation
        );
        assert_eq!(Marking::of(Some("label"), "").method, Method::Label);
        for word in Method::WORDS.iter().copied() {
            assert_eq!(Method::parse(word).map(Method::as_str), Some(word));
        }
    }
}
