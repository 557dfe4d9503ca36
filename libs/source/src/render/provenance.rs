//! Which variables the fields of an object came from: told by the lines on which they were replaced, never with their values.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use domain::cause::Location;
use domain::manifest::{Manifest, Replaced, ReplacedElsewhere};
use domain::repository::without_passwords;
use serde_json::Value;

use super::reader::{File, Reader};
use super::web;

/// How many replacements one render notes.
pub(super) const MAX_NOTED: usize = 20_000;
/// How many of them are told of one object.
const MAX_OF_OBJECT: usize = 20;
/// Among how many on an object's lines these are looked for: many objects may begin on one line, and each has all that follow.
const MAX_LOOKED_AT: usize = 100;
/// How many of them are told of the files in which no object was written.
const MAX_ELSEWHERE: usize = 50;
/// How many variables are noted of one line.
pub(super) const MAX_NAMES: usize = 20;
/// Among how many fields of one line the one is looked for that has a value.
const MAX_OF_LINE: usize = 100;

/// A variable that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    /// On which line, from 1.
    pub(super) line: u32,
    pub(super) name: String,
}

/// Notes with each object the variables that were replaced where it was written; gives those that were replaced in other
/// files.
pub(super) fn trace(reader: &Reader<'_, '_>, manifests: &mut [Manifest]) -> Vec<ReplacedElsewhere> {
    let read: BTreeMap<String, File> = reader.all_read();
    let mut files: BTreeMap<&str, &[Replacement]> = BTreeMap::new();
    for file in read.values().filter(|file| !file.replaced.is_empty()) {
        files.insert(&file.path, &file.replaced);
    }
    if files.is_empty() {
        return Vec::new();
    }
    let starts = starts(manifests);
    for manifest in manifests.iter_mut() {
        let Some(Location { path, line }) = &manifest.location else {
            continue;
        };
        let Some(replaced) = files.get(path.as_str()) else {
            continue;
        };
        let end = starts
            .get(path)
            .and_then(|all| all.range(line.saturating_add(1)..).next());
        let lines = *line..end.copied().unwrap_or(u32::MAX);
        let value = |name: &str| reader.variable(name);
        manifest.replaced = of_object(manifest, replaced, lines, value);
    }
    files.retain(|path, _| !starts.contains_key(*path));
    let elsewhere = files.into_iter().flat_map(|(path, replaced)| {
        replaced.iter().map(move |one| ReplacedElsewhere {
            location: Location {
                path: shown(path),
                line: one.line,
            },
            variable: one.name.clone(),
        })
    });
    elsewhere.take(MAX_ELSEWHERE).collect()
}

/// A path as it may be told: what follows a question mark may open what is at an address.
fn shown(path: &str) -> String {
    let end = match web::is_address(path) {
        true => path.find('?').unwrap_or(path.len()),
        false => path.len(),
    };
    without_passwords(&path[..end])
}

/// The lines on which objects begin, by their files.
fn starts(manifests: &[Manifest]) -> HashMap<String, BTreeSet<u32>> {
    let mut starts: HashMap<String, BTreeSet<u32>> = HashMap::new();
    for Location { path, line } in manifests.iter().filter_map(|one| one.location.as_ref()) {
        if let Some(lines) = starts.get_mut(path) {
            lines.insert(*line);
        } else {
            starts.insert(path.clone(), BTreeSet::from([*line]));
        }
    }
    starts
}

/// What was replaced on the lines of an object: by the fields that still have the value, which a tool may have changed; of
/// an object without lines all that was replaced in its file. `replaced` is in the order of the file.
fn of_object<'v>(
    manifest: &Manifest,
    replaced: &[Replacement],
    lines: Range<u32>,
    value: impl Fn(&str) -> Option<&'v str>,
) -> Vec<Replaced> {
    let told = |field: &str, one: &Replacement| Replaced {
        field: field.to_owned(),
        line: one.line,
        variable: one.name.clone(),
    };
    if manifest.lines.is_empty() {
        let all = replaced.iter().take(MAX_OF_OBJECT);
        return all.map(|one| told("", one)).collect();
    }
    let before = replaced.partition_point(|one| one.line < lines.start);
    let own = replaced[before..].iter();
    let own = own.take_while(|one| one.line < lines.end);
    let own: Vec<&Replacement> = own.take(MAX_LOOKED_AT).collect();
    if own.is_empty() {
        return Vec::new();
    }
    let mut fields: Vec<(u32, &str)> = manifest
        .lines
        .iter()
        .map(|(field, line)| (*line, field.as_str()))
        .collect();
    fields.sort_unstable();
    let mut wanted: HashMap<&str, Vec<&Replacement>> = HashMap::new();
    for one in own {
        // A value of several lines belongs to the last field that began before.
        let after = fields.partition_point(|(line, _)| *line <= one.line);
        let Some((at, _)) = after.checked_sub(1).and_then(|last| fields.get(last)) else {
            continue;
        };
        let of_line = fields[..after].iter().rev();
        let of_line = of_line.take_while(|(line, _)| line == at);
        for &(_, field) in of_line.take(MAX_OF_LINE) {
            wanted.entry(field).or_default().push(one);
        }
    }
    let mut found = Vec::new();
    visit(
        &manifest.object,
        &mut String::new(),
        "",
        &mut |field, key, value_of_field| {
            for one in wanted.get(field).into_iter().flatten() {
                if found.len() >= MAX_OF_OBJECT {
                    return;
                }
                let has = |text: &str| value(&one.name).is_some_and(|value| text.contains(value));
                let in_value = match value_of_field {
                    Value::String(text) => has(text),
                    Value::Bool(_) | Value::Number(_) => has(&value_of_field.to_string()),
                    Value::Null | Value::Array(_) | Value::Object(_) => false,
                };
                if in_value || has(key) {
                    found.push(told(field, one));
                }
            }
        },
    );
    found.sort_unstable();
    found.dedup();
    found
}

/// Every field with its path, its own key and its value; an item of a list has no key.
fn visit(value: &Value, path: &mut String, key: &str, seen: &mut dyn FnMut(&str, &str, &Value)) {
    let before = path.len();
    if before > 0 {
        seen(path, key, value);
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if before > 0 {
                    path.push('.');
                }
                path.push_str(key);
                visit(value, path, key, seen);
                path.truncate(before);
            }
        }
        Value::Array(list) => {
            for (position, value) in list.iter().enumerate() {
                path.push_str(&format!("[{position}]"));
                visit(value, path, "", seen);
                path.truncate(before);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::{origin, substitute, yaml};
    use super::*;

    /// What is told of the objects of a file, as `line field NAME`.
    fn told(text: &str) -> Vec<Vec<String>> {
        let variables = [("USER", "user01"), ("REG", "nexus"), ("N", "3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables = BTreeMap::from(variables);
        let mut replaced = Vec::new();
        let text = substitute::substitute(text, &variables, |name, line| {
            let name = name.to_owned();
            replaced.extend(line.map(|line| Replacement { line, name }));
        });
        let documents = yaml::documents(&text).0.into_iter();
        let objects = documents.flat_map(|document| origin::objects("a.yaml", document));
        let manifests: Vec<Manifest> = objects.collect();
        let starts = starts(&manifests);
        let of = |manifest: &Manifest| {
            let start = manifest.location.as_ref().unwrap().line;
            let end = starts["a.yaml"].range(start + 1..).next().copied();
            let lines = start..end.unwrap_or(u32::MAX);
            let value = |name: &str| variables.get(name).map(String::as_str);
            let found = of_object(manifest, &replaced, lines, value);
            found
                .iter()
                .map(|one| format!("{} {} {}", one.line, one.field, one.variable))
                .collect()
        };
        manifests.iter().map(of).collect()
    }

    #[test]
    fn each_field_names_the_variable_on_its_own_lines() {
        let text = "kind: A\nmetadata:\n  name: a-${USER}\n  labels: {x: 1, w: ${USER}, ${REG}: z}\n\
                    spec:\n  count: ${N}\n  image: ${REG}/${USER}\n  plain: user01\n  text: |\n    first\n    of ${USER}\n\
                    ---\nkind: B\nlist:\n- ${USER}\n- other\nescaped: $${USER}\n";
        assert_eq!(
            told(text),
            [
                vec![
                    "4 metadata.labels.nexus REG",
                    "4 metadata.labels.w USER",
                    "3 metadata.name USER",
                    "6 spec.count N",
                    "7 spec.image REG",
                    "7 spec.image USER",
                    "11 spec.text USER",
                ],
                vec!["15 list[0] USER"],
            ]
        );
    }

    #[test]
    fn a_path_is_told_without_what_opens_it() {
        assert_eq!(shown("app/what?.yaml"), "app/what?.yaml");
        let address = "https://me:canary@h/values.yaml?token=canary";
        assert_eq!(shown(address), "https://me@h/values.yaml");
    }

    #[test]
    fn an_object_without_lines_names_what_was_replaced_in_its_file() {
        let one = |line, name: &str| Replacement {
            line,
            name: name.into(),
        };
        let many: Vec<Replacement> = (1..100).map(|line| one(line, "USER")).collect();
        let place = Location {
            path: "a.yaml".into(),
            line: 0,
        };
        let made = Manifest::new(serde_json::json!({"kind": "A"}), Some(place));
        let found = of_object(&made, &many, 0..u32::MAX, |_| Some("user01"));
        assert_eq!(found.len(), MAX_OF_OBJECT);
        assert_eq!((found[0].field.as_str(), found[0].line), ("", 1));
    }

    #[test]
    fn of_all_that_was_replaced_behind_an_object_only_so_much_is_looked_at() {
        let on = |line| Replacement {
            line,
            name: "USER".into(),
        };
        let many: Vec<Replacement> = (1..=10_000).map(on).collect();
        let place = Location {
            path: "a.yaml".into(),
            line: 1,
        };
        let mut manifest = Manifest::new(serde_json::json!({"a": "plain"}), Some(place));
        manifest.lines = vec![("a".into(), 1)];
        let asked = Cell::new(0);
        let value = |_: &str| {
            asked.set(asked.get() + 1);
            Some("user01")
        };
        assert!(of_object(&manifest, &many, 1..u32::MAX, value).is_empty());
        // Whether the value has it, and whether the key does.
        assert_eq!(asked.get(), 2 * MAX_LOOKED_AT);
        let behind = of_object(&manifest, &many[..1], 2..u32::MAX, value);
        assert!(behind.is_empty() && asked.get() == 2 * MAX_LOOKED_AT);
    }

    #[test]
    fn what_a_tool_wrote_over_is_not_said_to_come_from_a_variable() {
        let place = Location {
            path: "a.yaml".into(),
            line: 1,
        };
        let object = serde_json::json!({"kind": "A", "a": "patched", "b": "dev-user01"});
        let mut manifest = Manifest::new(object, Some(place));
        manifest.lines = vec![("a".into(), 2), ("b".into(), 3), ("kind".into(), 1)];
        let replaced = [2, 3, 9].map(|line| Replacement {
            line,
            name: "USER".into(),
        });
        let found = of_object(&manifest, &replaced, 1..9, |_| Some("user01"));
        let fields: Vec<&str> = found.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields, ["b"]);
    }
}
