//! The names of manifest sets.

use domain::cause::Location;
use domain::manifest::{Manifest, ManifestSetHash};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// JSON with its keys sorted and no spaces, whatever order the map keeps.
pub(super) fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            out.push(b'{');
            for (position, key) in keys.into_iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                plain(key, out);
                out.push(b':');
                write(&map[key], out);
            }
            out.push(b'}');
        }
        Value::Array(list) => {
            out.push(b'[');
            for (position, item) in list.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        value => plain(value, out),
    }
}

fn plain(value: &impl Serialize, out: &mut Vec<u8>) {
    // A string or number into memory cannot fail.
    let _ = serde_json::to_writer(out, value);
}

/// The hash of the objects, and that of the objects with where each field was written and which variables it came from.
pub(super) fn names(manifests: &[Manifest]) -> (ManifestSetHash, String) {
    let (mut set, mut detail) = (Sha256::new(), Sha256::new());
    for manifest in manifests {
        let object = canonical(&manifest.object);
        for hash in [&mut set, &mut detail] {
            hash.update(&object);
            hash.update(b"\n");
        }
        if let Some(Location { path, line }) = &manifest.location {
            detail.update(path);
            detail.update(line.to_be_bytes());
        }
        for (field, line) in &manifest.lines {
            detail.update(field);
            detail.update(line.to_be_bytes());
        }
        for replaced in &manifest.replaced {
            detail.update(&replaced.field);
            detail.update(replaced.line.to_be_bytes());
            detail.update(&replaced.variable);
        }
    }
    (
        ManifestSetHash(hex::encode(set.finalize())),
        hex::encode(&detail.finalize()[..16]),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_set_is_named_by_its_objects_and_a_detail_also_by_their_places() {
        assert_eq!(
            canonical(&json!({"b": [1, {"d": null, "c": "x"}], "a": true})),
            br#"{"a":true,"b":[1,{"c":"x","d":null}]}"#
        );
        let at = |line| {
            vec![Manifest::new(
                json!({"kind": "X"}),
                Some(Location {
                    path: "a.yaml".into(),
                    line,
                }),
            )]
        };
        let ((one, here), (two, there)) = (names(&at(1)), names(&at(2)));
        assert_eq!(one, two);
        assert_ne!(here, there);
        let mut replaced = at(1);
        replaced[0].replaced = vec![domain::manifest::Replaced {
            field: "kind".into(),
            line: 1,
            variable: "USER".into(),
        }];
        let (three, from) = names(&replaced);
        assert_eq!(one, three);
        assert_ne!(here, from);
    }
}
