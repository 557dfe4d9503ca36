//! Where in Git an object was written.

use std::collections::HashMap;

use domain::cause::Location;
use domain::manifest::Manifest;
use domain::resource::text;
use serde_json::Value;

use super::reader::File;
use super::yaml::{self, Document};

/// The objects of a document: itself, or the items of a list, each with the lines of its own fields.
pub(super) fn objects(path: &str, document: Document) -> Vec<Manifest> {
    let Document {
        value, line, lines, ..
    } = document;
    match value {
        Value::Object(mut map) if map.get("items").is_some_and(Value::is_array) => {
            let items = match map.remove("items") {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            };
            let mut places = vec![(None, Vec::new()); items.len()];
            for (path, at) in lines {
                let Some((position, field)) = in_item(&path) else {
                    continue;
                };
                match (places.get_mut(position), field) {
                    (Some((begins, _)), "") => *begins = begins.or(Some(at)),
                    (Some((_, own)), field) => own.push((field.to_owned(), at)),
                    (None, _) => {}
                }
            }
            let placed = items.into_iter().zip(places);
            placed
                .map(|(item, (begins, own))| manifest(path, item, begins.unwrap_or(line), own))
                .collect()
        }
        value => vec![manifest(path, value, line, lines)],
    }
}

/// Which item of a list a field belongs to, and what it is called there; the item itself has no name.
fn in_item(path: &str) -> Option<(usize, &str)> {
    let (position, field) = path.strip_prefix("items[")?.split_once(']')?;
    let field = match field {
        "" => field,
        field => field.strip_prefix('.')?,
    };
    Some((position.parse().ok()?, field))
}

fn manifest(path: &str, object: Value, line: u32, mut lines: Vec<(String, u32)>) -> Manifest {
    lines.sort();
    lines.dedup_by(|a, b| a.0 == b.0);
    Manifest {
        object,
        location: Some(Location {
            path: path.to_owned(),
            line,
        }),
        lines,
        replaced: Vec::new(),
    }
}

/// Finds, among the files that a kustomization read, the place where one of its results was written.
#[derive(Default)]
pub(super) struct Origins {
    files: HashMap<String, Vec<Manifest>>,
}

impl Origins {
    /// The result with its place: the object of the same kind in `file` whose name its own contains. Kustomize gives the
    /// file; prefixes, suffixes and namespaces have changed the rest.
    pub(super) fn place(&mut self, object: Value, file: Option<&File>) -> Manifest {
        let Some(file) = file else {
            return Manifest::new(object, None);
        };
        match best(self.known(file), &object) {
            Some((_, written)) => written.of(object),
            None => Manifest::new(
                object,
                Some(Location {
                    path: file.path.clone(),
                    line: 0,
                }),
            ),
        }
    }

    /// The place of a result among files of which it may be: the one object of its kind whose name is the longest that its
    /// own contains. `None` where there is none, or more than one.
    pub(super) fn among(&mut self, object: &Value, files: &[&File]) -> Option<Written> {
        let mut found: Option<(usize, Written)> = None;
        let mut twice = false;
        for file in files {
            let Some((length, written)) = best(self.known(file), object) else {
                continue;
            };
            match &found {
                Some((known, _)) if *known > length => {}
                Some((known, _)) if *known == length => twice = true,
                _ => {
                    twice = false;
                    found = Some((length, written));
                }
            }
        }
        found.map(|(_, written)| written).filter(|_| !twice)
    }

    fn known(&mut self, file: &File) -> &[Manifest] {
        self.files.entry(file.path.clone()).or_insert_with(|| {
            let text = file.text().unwrap_or_default();
            yaml::documents(&text)
                .0
                .into_iter()
                .flat_map(|document| objects(&file.path, document))
                .collect()
        })
    }
}

/// Where an object was written, with the lines of its fields.
#[derive(Clone, Debug)]
pub(super) struct Written {
    location: Option<Location>,
    lines: Vec<(String, u32)>,
}

impl Written {
    /// What was made of it.
    pub(super) fn of(self, object: Value) -> Manifest {
        Manifest {
            object,
            location: self.location,
            lines: self.lines,
            replaced: Vec::new(),
        }
    }
}

/// The one of a file's objects that a result was made of, and how long its name is.
fn best(known: &[Manifest], object: &Value) -> Option<(usize, Written)> {
    let name = text(object, &["metadata", "name"]);
    let same_kind = known.iter().filter(|written| {
        text(&written.object, &["kind"]) == text(object, &["kind"])
            && name.contains(text(&written.object, &["metadata", "name"]))
    });
    let length = |written: &&Manifest| text(&written.object, &["metadata", "name"]).len();
    let best = same_kind.max_by_key(length)?;
    let written = Written {
        location: best.location.clone(),
        lines: best.lines.clone(),
    };
    Some((length(&best), written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_of_a_list_has_the_lines_of_its_own_fields() {
        let text =
            "kind: List\nitems:\n- kind: A\n  list: [1]\n- kind: B\n  map: {x: 1}\nitemsize: 3\n";
        let documents = yaml::documents(text).0.into_iter();
        let objects: Vec<Manifest> = documents
            .flat_map(|document| objects("a.yaml", document))
            .collect();
        let told: Vec<(u32, Vec<(&str, u32)>)> = objects
            .iter()
            .map(|one| {
                let begins = one.location.as_ref().map_or(0, |place| place.line);
                let lines = one
                    .lines
                    .iter()
                    .map(|(field, line)| (field.as_str(), *line));
                (begins, lines.collect())
            })
            .collect();
        assert_eq!(
            told,
            [
                (3, vec![("kind", 3), ("list", 4), ("list[0]", 4)]),
                (5, vec![("kind", 5), ("map", 6), ("map.x", 6)]),
            ]
        );
    }

    #[test]
    fn a_field_is_of_the_item_that_its_path_leads_into() {
        assert_eq!(in_item("items[12]"), Some((12, "")));
        assert_eq!(
            in_item("items[0].spec.items[3]"),
            Some((0, "spec.items[3]"))
        );
        for none in [
            "items",
            "items[0][1]",
            "kind",
            "spec.items[0].a",
            "items[x].a",
        ] {
            assert_eq!(in_item(none), None, "{none}");
        }
    }
}
