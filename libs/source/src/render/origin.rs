//! Where in Git an object was written.

use std::collections::HashMap;

use domain::cause::Location;
use domain::manifest::Manifest;
use domain::resource::text;
use serde_json::Value;

use super::names::{Name, Names};
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
    files: HashMap<String, Places>,
}

impl Origins {
    /// The result with its place: the object of the same kind in `file` whose name its own contains. Kustomize gives the
    /// file; prefixes, suffixes and namespaces have changed the rest.
    pub(super) fn place(&mut self, object: Value, file: Option<&File>) -> Manifest {
        let Some(file) = file else {
            return Manifest::new(object, None);
        };
        let known = self.files.entry(file.path.clone());
        let known = known.or_insert_with(|| Places::of(&[file]));
        match known.find(&object) {
            Some(written) => written.of(object),
            None => Manifest::new(
                object,
                Some(Location {
                    path: file.path.clone(),
                    line: 0,
                }),
            ),
        }
    }
}

/// The objects of files, by their kinds and names.
pub(super) struct Places {
    kinds: HashMap<String, Names>,
    /// In the order in which they were written, and in which of the files.
    written: Vec<(usize, Written)>,
}

impl Places {
    pub(super) fn of(files: &[&File]) -> Self {
        let mut named: HashMap<String, Vec<(String, usize)>> = HashMap::new();
        let mut written = Vec::new();
        for (at, file) in files.iter().enumerate() {
            let content = file.text().unwrap_or_default();
            let documents = yaml::documents(&content).0.into_iter();
            for one in documents.flat_map(|document| objects(&file.path, document)) {
                let Manifest {
                    object,
                    location,
                    lines,
                    replaced: _,
                } = one;
                let name = text(&object, &["metadata", "name"]).to_owned();
                let same_kind = named.entry(text(&object, &["kind"]).to_owned());
                same_kind.or_default().push((name, written.len()));
                written.push((at, Written { location, lines }));
            }
        }
        let kinds = named.into_iter();
        let kinds = kinds.map(|(kind, names)| (kind, names.into_iter().collect()));
        Self {
            kinds: kinds.collect(),
            written,
        }
    }

    /// The place of a result: the object of its kind whose name is the longest that its own contains. `None` where there is
    /// none, or one in more than one file; of those in one file it is the last.
    pub(super) fn find(&self, object: &Value) -> Option<Written> {
        let names = self.kinds.get(text(object, &["kind"]))?;
        let mut found: Option<&Name> = None;
        let mut twice = false;
        for one in names.within(text(object, &["metadata", "name"])) {
            let several = self.file(one.first) != self.file(one.last);
            match found {
                Some(known) if known.len() > one.len() => {}
                Some(known) if known.len() == one.len() => {
                    twice |= several || self.file(known.last) != self.file(one.last);
                    if one.last > known.last {
                        found = Some(one);
                    }
                }
                _ => {
                    twice = several;
                    found = Some(one);
                }
            }
        }
        let (_, written) = self.written.get(found.filter(|_| !twice)?.last)?;
        Some(written.clone())
    }

    fn file(&self, written: usize) -> Option<usize> {
        self.written.get(written).map(|(file, _)| *file)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

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

    #[test]
    fn a_result_is_of_the_longest_name_in_its_own_unless_two_files_have_it() {
        let file = |path: &str, names: &[&str]| File {
            path: path.to_owned(),
            content: names
                .iter()
                .map(|name| format!("kind: A\nmetadata:\n  name: {name}\n---\n"))
                .collect::<String>()
                .into_bytes()
                .into(),
            replaced: [].into(),
        };
        let (one, other) = (
            file("one.yaml", &["web", "web-db", "both", "web"]),
            file("other.yaml", &["web-cache", "both"]),
        );
        let result = |name: &str| json!({"kind": "A", "metadata": {"name": name}});
        let place = |places: &Places, name: &str| {
            let place = places.find(&result(name))?.location?;
            Some((place.path, place.line))
        };
        let all = Places::of(&[&one, &other]);
        let at = |path: &str, line: u32| Some((path.to_owned(), line));
        assert_eq!(place(&all, "x-web-db-y"), at("one.yaml", 5));
        assert_eq!(place(&all, "x-web-cache"), at("other.yaml", 1));
        assert_eq!(place(&all, "web"), at("one.yaml", 13), "the last of a file");
        assert_eq!(place(&all, "x-both"), None);
        assert_eq!(place(&Places::of(&[&one]), "x-both"), at("one.yaml", 9));
        assert_eq!(place(&all, "queue"), None);
        let mut origins = Origins::default();
        let placed = origins.place(result("queue"), Some(&one)).location;
        assert_eq!(
            placed.map(|place| (place.path, place.line)),
            at("one.yaml", 0)
        );
    }
}
