//! Values that are planted, what each looks like wherever it is, and the search through everything that was said.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use tempfile::TempDir;
use testkit::command::command;

/// A value planted once, and found by the part of it that no escaping changes.
pub(crate) struct Canary {
    /// What it is, as the table calls it.
    pub(crate) name: &'static str,
    /// As it is planted.
    pub(crate) value: String,
    core: String,
}

impl Canary {
    /// A new one, with what JSON and URLs must escape around it.
    pub(crate) fn new(name: &'static str) -> Self {
        let core = format!("{:032x}", rand::random::<u128>());
        Self {
            name,
            value: format!("c\"/+ {core} &é"),
            core,
        }
    }

    /// A new one of letters and digits only.
    pub(crate) fn plain(name: &'static str) -> Self {
        let core = format!("{:032x}", rand::random::<u128>());
        Self {
            name,
            value: core.clone(),
            core,
        }
    }

    /// A number: what stands where a text is expected is quoted by who refuses it.
    pub(crate) fn number(name: &'static str) -> Self {
        let core = format!("7{:015}", rand::random::<u64>() % 1_000_000_000_000_000);
        Self {
            name,
            value: core.clone(),
            core,
        }
    }

    /// One that somebody else made: of a token its signature, of a key in PEM a line from its middle.
    pub(crate) fn of(name: &'static str, value: &str) -> Self {
        let lines: Vec<&str> = value.trim().lines().collect();
        let line = lines.get(lines.len() / 2).copied().unwrap_or_default();
        Self {
            name,
            value: value.to_owned(),
            core: line.rsplit('.').next().unwrap_or_default().to_owned(),
        }
    }

    /// Raw (as JSON and URLs have it too), in base64 of either alphabet wherever it begins, and each of these in hex, which
    /// is how a dump of the database shows bytes.
    fn forms(&self) -> Vec<String> {
        let mut forms = vec![self.core.clone()];
        for offset in 0..3 {
            let from = &self.core.as_bytes()[(3 - offset) % 3..];
            let whole = &from[..from.len() - from.len() % 3];
            forms.push(STANDARD_NO_PAD.encode(whole));
            forms.push(URL_SAFE_NO_PAD.encode(whole));
        }
        let hex: Vec<String> = forms.iter().map(hex::encode).collect();
        forms.extend(hex.iter().map(|form| form.to_uppercase()));
        forms.extend(hex);
        forms.sort();
        forms.dedup();
        forms
    }
}

/// Everything that was said, by who said it.
pub(crate) struct Outputs {
    folder: TempDir,
    places: Vec<String>,
}

/// Where a value was found: the place, with a few words around the first one there.
pub(crate) type Found = BTreeMap<(&'static str, String), String>;

impl Outputs {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            folder: tempfile::tempdir()?,
            places: Vec::new(),
        })
    }

    fn file(&self, number: usize) -> PathBuf {
        self.folder.path().join(number.to_string())
    }

    /// Keeps what a place said.
    pub(crate) fn keep(&mut self, place: impl Into<String>, said: impl AsRef<[u8]>) -> Result<()> {
        std::fs::write(self.file(self.places.len()), said)?;
        self.places.push(place.into());
        Ok(())
    }

    /// The places that were kept, for those who want to know that one is among them.
    pub(crate) fn places(&self) -> &[String] {
        &self.places
    }

    /// Searches everything for everything.
    pub(crate) async fn search(&self, canaries: &[Canary]) -> Result<Found> {
        let mut owners: HashMap<String, &'static str> = HashMap::new();
        for canary in canaries {
            ensure!(canary.core.len() >= 16, "{} is too short", canary.name);
            for form in canary.forms() {
                owners.insert(form, canary.name);
            }
        }
        let patterns = tempfile::NamedTempFile::new()?;
        let lines: Vec<&str> = owners.keys().map(String::as_str).collect();
        std::fs::write(patterns.path(), lines.join("\n"))?;
        let grep = command("grep")
            .args(["-r", "-a", "-o", "-F", "-f"])
            .arg(patterns.path())
            .arg(".")
            .current_dir(self.folder.path())
            .env("LC_ALL", "C")
            .output()
            .await?;
        // 1 says that there is nothing.
        ensure!(
            matches!(grep.status.code(), Some(0 | 1)),
            "grep: {}",
            String::from_utf8_lossy(&grep.stderr)
        );
        let mut found = Found::new();
        for line in String::from_utf8_lossy(&grep.stdout).lines() {
            let (file, form) = line.split_once(':').context("a file and a value")?;
            let number: usize = file.trim_start_matches("./").parse()?;
            let (name, place) = (owners[form], self.places[number].clone());
            found
                .entry((name, place))
                .or_insert_with(|| around(&self.file(number), form));
        }
        Ok(found)
    }
}

/// The words before and after a value; not the value.
fn around(file: &std::path::Path, form: &str) -> String {
    let bytes = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let Some(at) = text.find(form) else {
        return String::new();
    };
    let (before, after) = (&text[..at], &text[at + form.len()..]);
    let before: String = before.chars().rev().take(300).collect();
    let before: String = before.chars().rev().collect();
    let after: String = after.chars().take(120).collect();
    format!("{before}<HERE>{after}")
}

#[tokio::test]
async fn s07_a_value_is_found_in_whatever_form() -> Result<()> {
    let canary = Canary::new("x");
    let value = &canary.value;
    let mut outputs = Outputs::new()?;
    let mut url = url::Url::parse("https://a.example")?;
    url.query_pairs_mut().append_pair("q", value);
    let mut forms = vec![
        value.clone(),
        serde_json::to_string(value)?,
        url.to_string(),
        hex::encode(value),
        hex::encode(value).to_uppercase(),
        hex::encode(STANDARD_NO_PAD.encode(value)),
    ];
    for shift in ["", "1", "12"] {
        forms.push(STANDARD_NO_PAD.encode(format!("{shift}{value}{shift}")));
        forms.push(URL_SAFE_NO_PAD.encode(format!("{shift}{value}{shift}")));
    }
    for (number, form) in forms.iter().enumerate() {
        outputs.keep(format!("form {number}"), format!("a {form} b"))?;
    }
    outputs.keep("nothing", hex::encode(rand::random::<[u8; 64]>()))?;
    let found = outputs.search(&[canary]).await?;
    assert_eq!(found.len(), forms.len(), "{found:?}");
    assert!(!found.keys().any(|(_, place)| place == "nothing"));
    Ok(())
}
