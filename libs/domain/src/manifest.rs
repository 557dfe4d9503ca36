//! What Git says, rendered.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cause::Location;
use crate::resource::ResourceKey;

/// The largest archive of a folder that somebody sends to be rendered in place of the repository, in bytes: that of a chart.
pub const MAX_LOCAL: usize = 32 << 20;

/// One rendered object, and where in Git it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The object as rendered, before anything of ours is added.
    pub object: Value,
    /// Where it came from; `None` when a tool made it up.
    pub location: Option<Location>,
    /// The line, in the file of [`Manifest::location`], of each field: dotted paths as in
    /// [`Cause::field`](crate::cause::Cause::field) (`spec.ports[0].port`), sorted. A key's own dots stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<(String, u32)>,
    /// The variables that were replaced in that file for this object, sorted; the first of them where they are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Replaced>,
}

/// A variable that was replaced where an object was written. What it was replaced by is not kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Replaced {
    /// The field whose value or key has it; empty where it is known only that it stands in the object's file.
    pub field: String,
    /// The line in the object's file.
    pub line: u32,
    /// The variable's name.
    pub variable: String,
}

/// A variable that was replaced in a file in which no object was written: the values of a chart, a kustomization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedElsewhere {
    /// Where.
    pub location: Location,
    /// The variable's name.
    pub variable: String,
}

impl Manifest {
    /// An object and the file it was written in, without lines of its fields.
    #[must_use]
    pub fn new(object: Value, location: Option<Location>) -> Self {
        Self {
            object,
            location,
            lines: Vec::new(),
            replaced: Vec::new(),
        }
    }

    /// Where to edit a field: its own line, else that of the nearest enclosing field, else the object's.
    #[must_use]
    pub fn locate(&self, field: &str) -> Option<Location> {
        locate(self.location.as_ref(), &self.lines, field)
    }

    /// The variables that a field's own value was made of: `A, B`.
    #[must_use]
    pub fn variable(&self, field: &str) -> Option<Box<str>> {
        variable(&self.replaced, field)
    }

    /// The key that the object's own metadata gives it.
    #[must_use]
    pub fn key(&self) -> ResourceKey {
        ResourceKey::of(&self.object)
    }
}

/// A manifest set that comes out otherwise each time, as it came out first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldSet {
    /// Its name.
    pub hash: ManifestSetHash,
    /// Its name together with where everything was written.
    pub detail: String,
    /// Its objects.
    pub manifests: Vec<Manifest>,
}

impl HeldSet {
    /// The name under which it is kept: that of everything that it was made of, for one application (by its `uid`: one
    /// that is made anew gets values of its own).
    #[must_use]
    pub fn name(uid: &str, made_of: &str) -> ManifestSetHash {
        ManifestSetHash(format!("held/{uid}/{made_of}"))
    }
}

/// See [`Manifest::locate`]; for whoever keeps the two parts and not the manifest.
#[must_use]
pub fn locate(
    location: Option<&Location>,
    lines: &[(String, u32)],
    field: &str,
) -> Option<Location> {
    let file = location?;
    let mut path = field;
    loop {
        if let Ok(found) = lines.binary_search_by(|(known, _)| known.as_str().cmp(path)) {
            return Some(Location {
                path: file.path.clone(),
                line: lines[found].1,
            });
        }
        match path.rfind(['.', '[']) {
            Some(cut) => path = &path[..cut],
            None => return Some(file.clone()),
        }
    }
}

/// See [`Manifest::variable`]; for whoever keeps that part and not the manifest.
#[must_use]
pub fn variable(replaced: &[Replaced], field: &str) -> Option<Box<str>> {
    if field.is_empty() {
        return None;
    }
    let of_field = replaced.iter().filter(|one| one.field == field);
    let mut names: Vec<&str> = of_field.map(|one| one.variable.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    (!names.is_empty()).then(|| names.join(", ").into())
}

/// The name of a manifest set: the SHA-256, in hex, of its objects' canonical JSON in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ManifestSetHash(pub String);

/// Which tool rendered a source. The words are Argo CD's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SourceType {
    /// A Helm chart.
    Helm,
    /// A kustomization.
    Kustomize,
    /// Plain YAML and JSON files (and Jsonnet).
    Directory,
}

impl SourceType {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Helm => "Helm",
            Self::Kustomize => "Kustomize",
            Self::Directory => "Directory",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_located_at_its_own_line_or_the_nearest_one_above() {
        let location = Location {
            path: "a/service.yaml".into(),
            line: 1,
        };
        let mut manifest = Manifest::new(Value::Null, Some(location));
        manifest.lines = vec![
            ("metadata".into(), 3),
            ("metadata.name".into(), 4),
            ("spec.ports[0]".into(), 8),
        ];
        let line = |field: &str| manifest.locate(field).map(|at| at.line);
        assert_eq!(line("metadata.name"), Some(4));
        assert_eq!(line("metadata.namespace"), Some(3));
        assert_eq!(line("spec.ports[0].port"), Some(8));
        assert_eq!(line("status"), Some(1));
    }

    #[test]
    fn a_field_names_the_variables_of_its_own_value() {
        let replaced = |field: &str, line, variable: &str| Replaced {
            field: field.into(),
            line,
            variable: variable.into(),
        };
        let mut manifest = Manifest::new(Value::Null, None);
        manifest.replaced = vec![
            replaced("", 1, "C"),
            replaced("spec.image", 4, "USER"),
            replaced("spec.image", 4, "REGISTRY"),
            replaced("spec.image", 5, "USER"),
        ];
        let names = |field: &str| manifest.variable(field);
        assert_eq!(names("spec.image").as_deref(), Some("REGISTRY, USER"));
        assert_eq!(names("spec"), None);
        assert_eq!(names(""), None, "nobody knows which field it is");
    }

    #[test]
    fn what_was_kept_before_variables_were_noted_can_be_read() {
        let kept = r#"{"object": {"kind": "X"}, "location": null}"#;
        let manifest: Manifest = serde_json::from_str(kept).unwrap();
        assert!(manifest.replaced.is_empty());
        assert_eq!(
            serde_json::to_string(&manifest).unwrap(),
            r#"{"object":{"kind":"X"},"location":null}"#
        );
    }
}
