//! YAML as Kubernetes reads it (YAML 1.1 through `sigs.k8s.io/yaml`), with the line of every field.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Value};

#[cfg(test)]
mod mutated;
mod scalar;

/// The deepest nesting; the JSON that goes over the wire is read to 128.
const MAX_DEPTH: usize = 100;
/// The most nodes of one document, aliases written out.
const MAX_NODES: usize = 200_000;
/// The most documents of one file: each takes many times here what it takes there.
const MAX_DOCUMENTS: usize = 50_000;
/// How much longer than its text the paths of a document's fields may be, together, before no more lines are noted. A long
/// key with a long list below it would stand there once for every item.
const MAX_PATHS: usize = 8;

/// One document.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) value: Value,
    /// Where it begins.
    pub(super) line: u32,
    /// The line of each field, in the order of the file.
    pub(super) lines: Vec<(String, u32)>,
    /// Keys that were written twice.
    pub(super) duplicates: Vec<(String, u32)>,
    /// How many values there are in it.
    pub(super) nodes: usize,
}

/// Why a document cannot be read.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) line: u32,
    pub(super) why: String,
    /// Whether a limit was met rather than a mistake.
    pub(super) limit: Option<String>,
}

impl Broken {
    fn new(line: usize, why: impl Into<String>) -> Self {
        Self {
            line: to_line(line),
            why: why.into(),
            limit: None,
        }
    }

    fn limit(line: usize, limit: impl Into<String>) -> Self {
        Self {
            limit: Some(limit.into()),
            ..Self::new(line, "")
        }
    }
}

fn to_line(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// The documents of a file up to the first that is broken; empty ones are left out.
pub(super) fn documents(text: &str) -> (Vec<Document>, Option<Broken>) {
    if text.trim_start().starts_with('{') {
        if json_nodes(text) > MAX_NODES {
            return (Vec::new(), Some(too_many(1)));
        }
        if let Some(all) = json_stream(text) {
            return (all, None);
        }
    }
    let mut all = Vec::new();
    for chunk in chunks(text) {
        match chunk.and_then(|(first, chunk)| parse(chunk, first)) {
            Ok(Some(document)) if all.len() >= MAX_DOCUMENTS => {
                let limit = format!("{MAX_DOCUMENTS} documents");
                let line = usize::try_from(document.line).unwrap_or(usize::MAX);
                return (all, Some(Broken::limit(line, limit)));
            }
            Ok(Some(document)) => all.push(document),
            Ok(None) => {}
            Err(broken) => return (all, Some(broken)),
        }
    }
    (all, None)
}

/// JSON objects one after the other, as the decoder of Kubernetes also takes them.
fn json_stream(text: &str) -> Option<Vec<Document>> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut all = Vec::new();
    let (mut from, mut line) = (0, 1);
    while let Some(value) = stream.next() {
        let value = value.ok()?;
        let piece = &text[from..stream.byte_offset()];
        let lead = piece
            .chars()
            .take_while(|c| c.is_whitespace())
            .filter(|c| *c == '\n')
            .count();
        all.push(json(piece, value, line, line + lead));
        line += piece.matches('\n').count();
        from = stream.byte_offset();
    }
    Some(all)
}

/// A JSON document; its lines come from reading it as the YAML that it also is, where that works.
fn json(text: &str, value: Value, first: usize, begins: usize) -> Document {
    let lines = parse(text, first)
        .ok()
        .flatten()
        .map(|document| document.lines)
        .unwrap_or_default();
    Document {
        value,
        line: to_line(begins),
        lines,
        duplicates: Vec::new(),
        nodes: json_nodes(text),
    }
}

/// A `.json` file: exactly one value.
pub(super) fn json_file(text: &str) -> Result<Document, Broken> {
    if json_nodes(text) > MAX_NODES {
        return Err(too_many(1));
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) => Ok(json(text, value, 1, 1)),
        Err(error) => Err(Broken::new(error.line(), error.to_string())),
    }
}

/// About how many values JSON holds, told without building them: what begins one, outside of strings.
pub(super) fn json_nodes(text: &str) -> usize {
    let (mut nodes, mut quoted, mut escaped) = (1, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b'[' | b'{' if !quoted => nodes += 1,
            _ => {}
        }
    }
    nodes
}

fn too_many(line: usize) -> Broken {
    Broken::limit(line, format!("{MAX_NODES} values"))
}

/// Cuts a file at lines that begin with `---`, as Kubernetes' reader does: (first line, text).
fn chunks(text: &str) -> impl Iterator<Item = Result<(usize, &str), Broken>> {
    let mut from = 0;
    let mut first = 1;
    let mut done = false;
    std::iter::from_fn(move || {
        if done || from >= text.len() {
            return None;
        }
        let mut end = from;
        let mut lines = 0;
        for line in text[from..].split_inclusive('\n') {
            if let Some(rest) = line.strip_prefix("---") {
                let rest = rest.trim();
                if !rest.is_empty() && !rest.starts_with('#') {
                    done = true;
                    return Some(Err(Broken::new(
                        first + lines,
                        format!("invalid document separator: {rest}"),
                    )));
                }
                if end > from {
                    break;
                }
            }
            end += line.len();
            lines += 1;
        }
        let chunk = (first, &text[from..end]);
        from = end;
        first += lines;
        Some(Ok(chunk))
    })
}

/// A node under construction.
enum Frame {
    Map {
        map: Map<String, Value>,
        key: Option<String>,
        anchor: usize,
        path: usize,
        nodes: usize,
    },
    List {
        list: Vec<Value>,
        anchor: usize,
        path: usize,
        nodes: usize,
    },
}

struct Builder {
    frames: Vec<Frame>,
    anchors: HashMap<usize, (Value, usize)>,
    nodes: usize,
    path: String,
    offset: usize,
    /// How many more bytes of paths are noted.
    paths: usize,
    document: Document,
}

/// The first document of a chunk that begins on line `first`; `None` when it is empty.
fn parse(text: &str, first: usize) -> Result<Option<Document>, Broken> {
    let offset = first - 1;
    let document = Document {
        value: Value::Null,
        line: to_line(first),
        lines: Vec::new(),
        duplicates: Vec::new(),
        nodes: 0,
    };
    let mut builder = Builder {
        frames: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        path: String::new(),
        offset,
        paths: text.len() * MAX_PATHS + 4096,
        document,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let line = offset + error.marker().line();
            // The parser's own limit, which it meets as it reads ahead.
            match error.info().contains("recursion limit") {
                true => Broken::limit(line, format!("{MAX_DEPTH} levels")),
                false => Broken::new(line, error.info()),
            }
        })?;
        if builder.take(event, span)? {
            break;
        }
    }
    builder.document.nodes = builder.nodes;
    Ok((!builder.document.value.is_null()).then_some(builder.document))
}

impl Builder {
    /// Takes one event in; `true` once the document is complete.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<bool, Broken> {
        let line = self.offset + span.start.line();
        match event {
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
            Event::StreamEnd | Event::DocumentEnd => return Ok(true),
            Event::Alias(id) => {
                let (value, size) = self
                    .anchors
                    .get(&id)
                    .cloned()
                    .ok_or_else(|| Broken::new(line, "an alias inside its own anchor"))?;
                self.grow(size, line)?;
                if self.frames.len() + depth(&value) > MAX_DEPTH {
                    return Err(Broken::limit(line, format!("{MAX_DEPTH} levels")));
                }
                self.put(value, line)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.grow(1, line)?;
                let value = if self.expects_key() {
                    // A key is text whatever it looks like; what it looks like decides how it is written.
                    scalar_of(&text, style, tag.as_deref()).map_err(|why| Broken::new(line, why))?
                } else {
                    let value = scalar_of(&text, style, tag.as_deref())
                        .map_err(|why| Broken::new(line, why))?;
                    if self.frames.is_empty() {
                        self.document.line = to_line(line);
                    }
                    value
                };
                self.remember(anchor, &value, 1);
                self.put(value, line)?;
            }
            Event::SequenceStart(anchor, _) => {
                self.open(line)?;
                let path = self.enter(line);
                self.frames.push(Frame::List {
                    list: Vec::new(),
                    anchor,
                    path,
                    nodes: self.nodes,
                });
            }
            Event::MappingStart(anchor, _) => {
                self.open(line)?;
                let path = self.enter(line);
                self.frames.push(Frame::Map {
                    map: Map::new(),
                    key: None,
                    anchor,
                    path,
                    nodes: self.nodes,
                });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.frames.pop() else {
                    return Ok(true);
                };
                let (value, anchor, path, nodes) = match frame {
                    Frame::Map {
                        map,
                        anchor,
                        path,
                        nodes,
                        ..
                    } => (Value::Object(map), anchor, path, nodes),
                    Frame::List {
                        list,
                        anchor,
                        path,
                        nodes,
                    } => (Value::Array(list), anchor, path, nodes),
                };
                self.path.truncate(path);
                self.remember(anchor, &value, self.nodes - nodes + 1);
                self.attach(value, line)?;
            }
        }
        Ok(false)
    }

    fn grow(&mut self, by: usize, line: usize) -> Result<(), Broken> {
        self.nodes += by;
        if self.nodes > MAX_NODES {
            Err(too_many(line))
        } else {
            Ok(())
        }
    }

    fn open(&mut self, line: usize) -> Result<(), Broken> {
        self.grow(1, line)?;
        if self.frames.is_empty() {
            self.document.line = to_line(line);
        }
        if self.frames.len() >= MAX_DEPTH {
            return Err(Broken::limit(line, format!("{MAX_DEPTH} levels")));
        }
        if self.expects_key() {
            return Err(Broken::new(line, "a key must be a plain value"));
        }
        Ok(())
    }

    fn remember(&mut self, anchor: usize, value: &Value, size: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), size));
        }
    }

    fn expects_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame::Map { key: None, .. }))
    }

    /// Extends the path to the node that begins now, notes its line if it is an item, and gives the path's old length.
    fn enter(&mut self, line: usize) -> usize {
        let before = self.path.len();
        match self.frames.last() {
            Some(Frame::Map { key: Some(key), .. }) => {
                if before > 0 {
                    self.path.push('.');
                }
                self.path.push_str(key);
            }
            Some(Frame::List { list, .. }) => {
                self.path.push_str(&format!("[{}]", list.len()));
                self.locate(line);
            }
            _ => {}
        }
        before
    }

    /// Notes the line of the field at hand, while there is room; where to edit is then the nearest around it.
    fn locate(&mut self, line: usize) {
        if let Some(left) = self.paths.checked_sub(self.path.len()) {
            self.paths = left;
            self.document.lines.push((self.path.clone(), to_line(line)));
        }
    }

    /// Puts a finished plain value (or an alias) where it belongs.
    fn put(&mut self, value: Value, line: usize) -> Result<(), Broken> {
        if !self.expects_key() {
            let before = self.enter(line);
            self.path.truncate(before);
            return self.attach(value, line);
        }
        let name =
            scalar::key(&value).ok_or_else(|| Broken::new(line, "a key must be a plain value"))?;
        let before = self.path.len();
        let Some(Frame::Map { map, key, .. }) = self.frames.last_mut() else {
            return Ok(());
        };
        if before > 0 {
            self.path.push('.');
        }
        self.path.push_str(&name);
        let (twice, merges) = (map.contains_key(&name), name == "<<");
        *key = Some(name);
        if twice && let Some(left) = self.paths.checked_sub(self.path.len()) {
            self.paths = left;
            let place = (self.path.clone(), to_line(line));
            self.document.duplicates.push(place);
        }
        if !merges {
            self.locate(line);
        }
        self.path.truncate(before);
        Ok(())
    }

    /// Gives a finished value to the node around it.
    fn attach(&mut self, value: Value, line: usize) -> Result<(), Broken> {
        match self.frames.last_mut() {
            None => self.document.value = value,
            Some(Frame::List { list, .. }) => list.push(value),
            Some(Frame::Map { map, key, .. }) => match key.take() {
                Some(key) if key == "<<" => {
                    merge(map, value).map_err(|why| Broken::new(line, why))?
                }
                Some(key) => {
                    map.insert(key, value);
                }
                None => return Err(Broken::new(line, "a value without a key")),
            },
        }
        Ok(())
    }
}

/// Merges a mapping, or several of which the first wins, into one; keys written before are overwritten, as by go-yaml 2.
fn merge(map: &mut Map<String, Value>, value: Value) -> Result<(), &'static str> {
    match value {
        Value::Object(from) => map.extend(from),
        Value::Array(several) => {
            for one in several.into_iter().rev() {
                let Value::Object(from) = one else {
                    return Err("a merge needs mappings");
                };
                map.extend(from);
            }
        }
        _ => return Err("a merge needs a mapping"),
    }
    Ok(())
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn scalar_of(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let tag = match tag {
        Some(tag) if tag.is_yaml_core_schema() => Some(tag.suffix.as_str()),
        // Another tag says nothing to Kubernetes; its value is text.
        Some(_) => Some("str"),
        None => None,
    };
    match tag {
        Some("str") => Ok(Value::String(text.to_owned())),
        Some("binary") => {
            let packed: String = text.split_whitespace().collect();
            let bytes = BASE64_STANDARD
                .decode(packed)
                .map_err(|_| "!!binary value contains invalid base64 data")?;
            Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned()))
        }
        None if style != ScalarStyle::Plain => Ok(Value::String(text.to_owned())),
        _ => scalar::resolve(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(text: &str) -> Value {
        let (mut all, broken) = documents(text);
        assert!(broken.is_none(), "{broken:?}");
        assert_eq!(all.len(), 1);
        all.remove(0).value
    }

    #[test]
    fn values_are_those_of_kubernetes() {
        // What sigs.k8s.io/yaml makes of the same text.
        let text = "a: yes\nb: 'yes'\nc: 0777\nd: 0o17\ne: 1.0\nf: 1_000\ng: 08\nh: 1e3\ni: ~\nj: 2001-01-01\nk: 1.5\n\
                    l: 0x1F\nm: !!str 12\nn: off\n12: x\n1.5: y\no: -0b11\np: 1.2.3\nq: y\nr: 12345678901234567890\n\
                    s: +5\nt: .5\nu: 1.\nv: 0x\nw: 1e400\nx: 0777_7\ny: on\nz: 0b2\naa: 09.5\nab: 0o8\nac: -0o17\n\
                    ad: 0B11\nae: 1.0e21\naf: !Ref foo\nag: !!float 3\nah: !!int \"3\"\nai: !!binary aGk=\n\"\": e\n";
        let expected = json!({"a": true, "b": "yes", "c": 511, "d": 15, "e": 1, "f": 1000, "g": 8, "h": 1000, "i": null,
            "j": "2001-01-01", "k": 1.5, "l": 31, "m": "12", "false": false, "12": "x", "1.5": true, "o": -3, "p": "1.2.3",
            "q": true, "r": 12_345_678_901_234_567_890_u64, "s": 5, "t": 0.5, "u": 1, "v": "0x", "w": "1e400", "x": 4095,
            "true": true, "z": "0b2", "aa": 9.5, "ab": "0o8", "ac": -15, "ad": 3, "ae": 1e21, "af": "foo", "ag": 3, "ah": 3,
            "ai": "hi", "": "e"});
        assert_eq!(one(text), expected);
        assert!(documents("~: x\n").1.is_some(), "null is no key");
    }

    #[test]
    fn anchors_and_merges_are_written_out() {
        let text = "base: &b {x: 1, w: 2}\none:\n  <<: *b\n  w: 3\ntwo: *b\nlast:\n  x: 9\n  <<: *b\nlist:\n  <<: [{x: 5}, *b]\n";
        let value = one(text);
        assert_eq!(value["one"], json!({"x": 1, "w": 3}));
        assert_eq!(value["two"], json!({"x": 1, "w": 2}));
        assert_eq!(
            value["last"],
            json!({"x": 1, "w": 2}),
            "go-yaml 2 lets a later merge win"
        );
        assert_eq!(value["list"], json!({"x": 5, "w": 2}));
    }

    #[test]
    fn every_field_has_its_line_also_in_the_second_document() {
        let text = "# head\na: 1\n---\n# next\nmetadata:\n  name: x\n  labels:\n    a.b/c: d\nspec:\n  ports:\n  - port: 80\n    name: p\n  - port: 81\n";
        let (all, broken) = documents(text);
        assert!(broken.is_none());
        let second = &all[1];
        assert_eq!(second.line, 5);
        let line = |path: &str| {
            second
                .lines
                .iter()
                .find(|(known, _)| known == path)
                .map(|(_, line)| *line)
        };
        assert_eq!(line("metadata.name"), Some(6));
        assert_eq!(line("metadata.labels.a.b/c"), Some(8));
        assert_eq!(line("spec.ports[0]"), Some(11));
        assert_eq!(line("spec.ports[0].name"), Some(12));
        assert_eq!(line("spec.ports[1].port"), Some(13));
    }

    #[test]
    fn a_bomb_a_pit_and_a_mistake_are_told_apart() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..10 {
            let before = level - 1;
            bomb.push_str(&format!(
                "a{level}: &a{level} [{}]\n",
                vec![format!("*a{before}"); 10].join(",")
            ));
        }
        assert!(
            documents(&bomb)
                .1
                .is_some_and(|broken| broken.limit.is_some())
        );
        assert!(
            documents(&format!("{}{}", "[".repeat(150), "]".repeat(150)))
                .1
                .is_some_and(|broken| broken.limit.is_some())
        );
        assert!(documents(&"[".repeat(100_000)).1.is_some());
        let (before, broken) = documents("a: 1\n---\nb: [\nc: }\n");
        assert_eq!(before.len(), 1);
        assert!(broken.is_some_and(|broken| broken.line >= 3 && broken.limit.is_none()));
        assert!(documents("--- oops\n").1.is_some());
    }

    #[test]
    fn what_is_small_in_git_stays_small_here() {
        let list = vec!["0"; 100_000].join(",");
        let long = format!("kind: X\n? {}\n: [{list}]\n", "k".repeat(900));
        let (all, broken) = documents(&long);
        assert!(broken.is_none() && all.len() == 1);
        let noted: usize = all[0].lines.iter().map(|(path, _)| path.len()).sum();
        assert!(noted <= long.len() * MAX_PATHS + 4096, "{noted}");
        assert_eq!(all[0].lines[0].0, "kind");
        let many = vec!["{\"\":0}"; MAX_NODES].join(",");
        for text in [format!("{{\"a\":[{many}]}}"), format!("[{many}]")] {
            assert!(json_file(&text).is_err_and(|broken| broken.limit.is_some()));
        }
        assert!(
            documents(&format!("{{\"a\":[{many}]}}"))
                .1
                .is_some_and(|broken| broken.limit.is_some())
        );
        assert_eq!(json_nodes(r#"{"a,[{": [1, "\",{", {}]}"#), 6);
    }

    #[test]
    fn json_is_read_strictly_and_keeps_its_lines() {
        let document = json_file("{\n  \"kind\": \"X\",\n  \"n\": 1\n}\n").unwrap();
        assert!(document.lines.contains(&("n".to_owned(), 3)));
        assert!(json_file("[1]{").is_err());
        let (all, broken) = documents("{\"a\": 1}\n{\"a\": 2}\n");
        assert!(broken.is_none() && all.len() == 2 && all[1].line == 2);
        let (all, broken) = documents("{\"a\":\n1}{\"a\": 2}\n\n{\"a\": 3}\n");
        let begin: Vec<u32> = all.iter().map(|document| document.line).collect();
        assert!(broken.is_none() && begin == [1, 2, 4], "{begin:?}");
        assert_eq!(all[2].lines, [("a".to_owned(), 4)]);
    }

    #[test]
    fn a_key_written_twice_counts_last_and_is_noticed() {
        let (all, _) = documents("a:\n  b: 1\n  b: 2\n");
        assert_eq!(all[0].value, json!({"a": {"b": 2}}));
        assert_eq!(all[0].duplicates, [("a.b".to_owned(), 3)]);
    }
}
