//! Image overrides: which of them match nothing, and which tags are no text.

use std::collections::BTreeSet;

use domain::cause::{Cause, Location, Severity};
use domain::message::{self, Message};
use serde_json::Value;

use super::yaml::{self, Document};

/// How many overrides of one kustomization are told of: each is looked for among all its lines.
const MAX_TOLD: usize = 20;

/// The images that files name, without tag and digest.
#[derive(Debug, Default)]
pub(super) struct Images(BTreeSet<String>);

impl Images {
    /// Takes in every `image:` of a document, those in patches written as text included.
    pub(super) fn add(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    match value {
                        Value::String(image) if key == "image" => {
                            self.0.insert(name_of(image).to_owned());
                        }
                        Value::String(patch) if matches!(key.as_str(), "patch") => {
                            self.add_text(patch)
                        }
                        // The value of a JSON patch that sets an image.
                        Value::String(image) if key == "value" && is_image_path(map) => {
                            self.0.insert(name_of(image).to_owned());
                        }
                        value => self.add(value),
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|item| match item {
                Value::String(text) if text.contains("image:") => self.add_text(text),
                item => self.add(item),
            }),
            _ => {}
        }
    }

    fn add_text(&mut self, text: &str) {
        for document in yaml::documents(text).0 {
            self.add(&document.value);
        }
    }

    fn shown(&self) -> String {
        let some: Vec<String> = self
            .0
            .iter()
            .take(5)
            .map(|image| format!("`{image}`"))
            .collect();
        some.join(", ")
    }

    /// What to say of an override that matches none of them.
    fn unmatched(&self, name: &str) -> Message {
        match self.0.is_empty() {
            true => message::lint::IMAGE_OVERRIDE_WITHOUT_IMAGES.with("name", name),
            false => message::lint::IMAGE_OVERRIDE_UNMATCHED
                .with("name", name)
                .with("images", self.shown()),
        }
    }

    /// What is to say of a kustomization's overrides: those whose image nobody names, and tags that are numbers.
    ///
    /// A number as tag stops kustomize (`severity` says whether that matters here).
    pub(super) fn check(
        &self,
        path: &str,
        kustomization: &Document,
        severity: Severity,
    ) -> Vec<Cause> {
        let Some(overrides) = kustomization.value.get("images").and_then(Value::as_array) else {
            return Vec::new();
        };
        let at = |field: &str| {
            let line = |wanted: &str| {
                kustomization
                    .lines
                    .iter()
                    .find(|(path, _)| path == wanted)
                    .map(|(_, line)| *line)
            };
            let line = line(field)
                .or_else(|| line(field.rsplit_once('.')?.0))
                .unwrap_or(kustomization.line);
            Some(Location {
                path: path.to_owned(),
                line,
            })
        };
        let made: BTreeSet<&str> = overrides
            .iter()
            .filter_map(|item| item.get("newName")?.as_str())
            .collect();
        let mut causes = Vec::new();
        let (mut numbers, mut unmatched) = (0, 0);
        for (position, item) in overrides.iter().enumerate() {
            let field = |name: &str| format!("images[{position}].{name}");
            if let Some(tag @ Value::Number(_)) = item.get("newTag")
                && numbers < MAX_TOLD
            {
                numbers += 1;
                let cause = Cause::new(severity, message::lint::TAG_IS_NUMBER.with("tag", tag));
                causes.push(cause.field(field("newTag")).located(at(&field("newTag"))));
            }
            let Some(name) = item.get("name").and_then(Value::as_str) else {
                continue;
            };
            if unmatched < MAX_TOLD && !self.0.contains(name) && !made.contains(name) {
                unmatched += 1;
                causes.push(
                    Cause::warning(self.unmatched(name))
                        .field(field("name"))
                        .located(at(&field("name"))),
                );
            }
        }
        causes
    }

    /// The same for the overrides of the application's own options.
    pub(super) fn check_options(
        &self,
        overrides: &[String],
        made: &BTreeSet<String>,
    ) -> Vec<Cause> {
        let unmatched = |(position, text): (usize, &String)| {
            let name = text
                .split_once('=')
                .map_or_else(|| name_of(text), |(old, _)| old);
            if self.0.contains(name) || made.contains(name) {
                return None;
            }
            let cause = Cause::warning(self.unmatched(name));
            Some(cause.field(format!("spec.source.kustomize.images[{position}]")))
        };
        let causes = overrides.iter().enumerate().filter_map(unmatched);
        causes.take(MAX_TOLD).collect()
    }
}

fn is_image_path(patch: &serde_json::Map<String, Value>) -> bool {
    patch
        .get("path")
        .and_then(Value::as_str)
        .is_some_and(|path| path.ends_with("/image"))
}

/// An image without its tag and digest.
fn name_of(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rfind(':') {
        Some(colon) if !image[colon..].contains('/') => &image[..colon],
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_without_an_image_and_a_number_as_tag_are_found_at_their_lines() {
        let mut images = Images::default();
        images.add(&serde_json::json!({"spec": {"containers": [{"image": "host:5000/test/app:1@sha256:ab"}]}}));
        let text = "images:\n- name: host:5000/user01/app\n  newTag: 20240101\n- name: host:5000/test/app\n  newTag: \"2\"\n";
        let (documents, _) = yaml::documents(text);
        let causes = images.check("kustomize", &documents[0], Severity::Warning);
        let said: Vec<(&str, u32)> = causes
            .iter()
            .map(|cause| {
                (
                    cause.message.code.as_str(),
                    cause.location.as_ref().map_or(0, |at| at.line),
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                ("lint.tag-is-number", 3),
                ("lint.image-override-unmatched", 2)
            ]
        );
        let none = Images::default();
        let causes = none.check_options(&["app=app:2".to_owned()], &BTreeSet::new());
        assert_eq!(
            causes.first().unwrap().message.to_string(),
            "the image override for `app` has no effect: there are no images here; delete it, or add what it is for to the \
             resources"
        );
    }

    #[test]
    fn s02_of_many_overrides_some_are_told_and_a_tag_that_is_a_number_is_among_them() {
        let mut text = "images:\n".to_owned();
        for number in 0..50_000 {
            text.push_str(&format!("- name: a{number}\n"));
        }
        text.push_str("- {name: last, newTag: 7}\n");
        let document = yaml::documents(&text).0.remove(0);
        let causes = Images::default().check("a.yaml", &document, Severity::Error);
        let tag = |cause: &&Cause| cause.message.is(&message::lint::TAG_IS_NUMBER);
        assert_eq!(causes.len(), MAX_TOLD + 1);
        assert_eq!(causes.iter().filter(tag).count(), 1);
        let options: Vec<String> = (0..100).map(|number| format!("a{number}:1")).collect();
        let causes = Images::default().check_options(&options, &BTreeSet::new());
        assert_eq!(causes.len(), MAX_TOLD);
    }
}
