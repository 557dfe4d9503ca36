//! `index.yaml`: what a chart repository over HTTP offers.
//!
//! It is read as it streams by, and only what is used is kept: names, versions, addresses and digests. Aliases are not
//! followed, so that an index of a few lines stays one.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser};

/// The most versions of one index.
const MAX_VERSIONS: usize = 200_000;
/// The longest name of a chart, version and address, in bytes; of a digest what a SHA-256 has.
const MAX_NAME: usize = 250;
const MAX_VERSION: usize = 256;
const MAX_ADDRESS: usize = 2_000;
const MAX_DIGEST: usize = 80;
/// The deepest nesting.
const MAX_DEPTH: usize = 64;

/// A version of a chart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The version as it is written.
    pub(super) version: String,
    /// Where its archive is: below the repository, or anywhere.
    pub(super) url: String,
    /// The archive's SHA-256; empty where the index does not say.
    pub(super) digest: String,
}

/// The versions of each chart, in the index's order.
pub(super) type Index = BTreeMap<String, Vec<Entry>>;

/// Reads an index.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(text: &str) -> Result<Index, String> {
    let mut walk = Walk::default();
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| format!("line {}: {}", error.marker().line(), error.info()))?;
        walk.take(event, span.start.line())?;
        if walk.ended {
            break;
        }
    }
    if !walk.entries {
        return Err("it has no `entries`".to_owned());
    }
    Ok(walk.index)
}

/// Where the reader is.
#[derive(Default)]
struct Walk {
    index: Index,
    /// The collections around it, each with the key that comes next in it.
    stack: Vec<Frame>,
    entry: Entry,
    versions: usize,
    entries: bool,
    ended: bool,
}

enum Frame {
    List,
    /// A mapping, and the key whose value is next; `None` where a key is.
    Map(Option<String>),
}

/// What a value is, by where it stands.
enum Place<'a> {
    /// `entries`.
    Entries,
    /// `entries.<chart>`.
    Chart(&'a str),
    /// `entries.<chart>[]`.
    Version,
    /// `entries.<chart>[].<field>`.
    Field(&'a str),
    /// `entries.<chart>[].urls[]`.
    Address,
    Elsewhere,
}

impl Walk {
    fn place(&self) -> Place<'_> {
        let key = |at: usize| match self.stack.get(at) {
            Some(Frame::Map(Some(key))) => Some(key.as_str()),
            _ => None,
        };
        if key(0) != Some("entries") {
            return Place::Elsewhere;
        }
        match (self.stack.len(), key(1)) {
            (1, _) => Place::Entries,
            (2, Some(chart)) => Place::Chart(chart),
            (3, _) if matches!(self.stack[2], Frame::List) => Place::Version,
            (4, _) => key(3).map_or(Place::Elsewhere, Place::Field),
            (5, _) if key(3) == Some("urls") => Place::Address,
            _ => Place::Elsewhere,
        }
    }

    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
            Event::StreamEnd | Event::DocumentEnd => self.ended = true,
            Event::Alias(_) => self.scalar(String::new()),
            Event::Scalar(text, ..) => self.scalar(text.into_owned()),
            Event::SequenceStart(..) => self.open(Frame::List, line)?,
            Event::MappingStart(..) => {
                match self.place() {
                    Place::Entries => self.entries = true,
                    Place::Version => self.entry = Entry::default(),
                    _ => {}
                }
                self.open(Frame::Map(None), line)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.stack.pop();
                if let Place::Version = self.place() {
                    self.count()?;
                    let entry = std::mem::take(&mut self.entry);
                    for (what, text, most) in [
                        ("a version", &entry.version, MAX_VERSION),
                        ("an address", &entry.url, MAX_ADDRESS),
                        ("a digest", &entry.digest, MAX_DIGEST),
                    ] {
                        if text.len() > most {
                            return Err(too_long(line, what, most));
                        }
                    }
                    if let Some(Frame::Map(Some(chart))) = self.stack.get(1)
                        && !entry.version.is_empty()
                    {
                        self.index.entry(chart.clone()).or_default().push(entry);
                    }
                }
                self.valued();
            }
        }
        Ok(())
    }

    /// Counts a version, or a chart, which takes as much.
    fn count(&mut self) -> Result<(), String> {
        self.versions += 1;
        if self.versions > MAX_VERSIONS {
            return Err(format!("it has more than {MAX_VERSIONS} versions"));
        }
        Ok(())
    }

    fn open(&mut self, frame: Frame, line: usize) -> Result<(), String> {
        if let Some(Frame::Map(key @ None)) = self.stack.last_mut() {
            // A key that is a collection is none that is looked for.
            *key = Some(String::new());
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(format!("line {line}: it is nested deeper than {MAX_DEPTH}"));
        }
        if let Place::Chart(chart) = self.place() {
            if chart.len() > MAX_NAME {
                return Err(too_long(line, "a chart's name", MAX_NAME));
            }
            let chart = chart.to_owned();
            self.count()?;
            self.index.entry(chart).or_default();
        }
        self.stack.push(frame);
        Ok(())
    }

    fn scalar(&mut self, text: String) {
        if let Some(Frame::Map(key @ None)) = self.stack.last_mut() {
            *key = Some(text);
            return;
        }
        match self.place() {
            Place::Field("version") => self.entry.version = text,
            Place::Field("digest") => self.entry.digest = text,
            Place::Address if self.entry.url.is_empty() => self.entry.url = text,
            // `entries:` and `entries: {}` are an index without charts.
            Place::Entries => self.entries = true,
            _ => {}
        }
        self.valued();
    }

    /// A value has been read: a key is next.
    fn valued(&mut self) {
        if let Some(Frame::Map(key)) = self.stack.last_mut() {
            *key = None;
        }
    }
}

fn too_long(line: usize, what: &str, most: usize) -> String {
    format!("line {line}: {what} is longer than {most} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_versions_addresses_and_digests_are_kept() {
        let text = "apiVersion: v1
entries:
  web:
  - name: web
    version: 1.1.0
    digest: aa
    dependencies: [{name: x, version: 9.9.9, urls: [no]}]
    urls: [charts/web-1.1.0.tgz, https://mirror/web.tgz]
    annotations: {version: \"7\"}
  - {version: '1.0', urls: [web-1.0.tgz], digest: sha256:bb}
  - {name: without}
  empty: []
  none:
generated: '2026-01-01T00:00:00Z'
";
        let index = parse(text).unwrap();
        let entry = |version: &str, url: &str, digest: &str| Entry {
            version: version.into(),
            url: url.into(),
            digest: digest.into(),
        };
        assert_eq!(
            index["web"],
            [
                entry("1.1.0", "charts/web-1.1.0.tgz", "aa"),
                entry("1.0", "web-1.0.tgz", "sha256:bb")
            ]
        );
        assert_eq!(index.keys().collect::<Vec<_>>(), ["empty", "web"]);
        assert_eq!(parse("{\"entries\":{}}").unwrap(), Index::new());
    }

    #[test]
    fn s02_an_index_that_is_none_or_grows_is_refused_by_name() {
        let deep = format!("entries: {}", "[".repeat(1000));
        let laughs = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nentries: {web: [{version: 1.0.0, urls: *c}]}\n";
        let many = format!(
            "entries:\n  a:\n{}",
            "  - version: 1.0.0\n".repeat(MAX_VERSIONS + 1)
        );
        let long = "x".repeat(2_001);
        let (version, address) = (
            format!("entries: {{web: [{{version: {long}}}]}}"),
            format!("entries: {{web: [{{version: 1.0.0, urls: [{long}]}}]}}"),
        );
        let name = format!("entries: {{{long}: []}}");
        let names: Vec<String> = (0..=MAX_VERSIONS).map(|n| format!("a{n}: []")).collect();
        let names = format!("entries: {{{}}}", names.join(", "));
        for (text, said) in [
            (version.as_str(), "a version is longer than 256 bytes"),
            (address.as_str(), "an address is longer than 2000 bytes"),
            (name.as_str(), "a chart's name is longer than 250 bytes"),
            (names.as_str(), "more than 200000 versions"),
            ("<html><body>hello</body></html>", "no `entries`"),
            ("", "no `entries`"),
            ("[1, 2]", "no `entries`"),
            ("entries: {web: [", "line"),
            (deep.as_str(), "line"),
            (many.as_str(), "more than 200000 versions"),
        ] {
            let refused = parse(text).expect_err(said);
            assert!(refused.contains(said), "{refused}");
        }
        assert_eq!(parse(laughs).unwrap()["web"][0].url, "");
    }
}
