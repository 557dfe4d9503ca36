//! Image references.

use std::collections::BTreeSet;

use domain::cause::Cause;
use domain::message::{self, Message};
use domain::resource::text;

use super::{list, template, template_path};
use crate::misspelt::shown;
use crate::prepare::Target;

/// Shorter numbers are versions (`postgres:15`) and nobody writes them with a tool; from here on they are times and
/// build numbers.
const SHORTEST: usize = 6;
/// The longest tag.
const MAX_TAG: usize = 128;
/// The longest name, less its registry.
const MAX_PATH: usize = 255;

/// Images that no node can pull because they are none, and images with a tag of digits only: in YAML such a tag is a number
/// unless it is quoted, which breaks a kustomization's `newTag`.
pub(super) fn references(targets: &[Target]) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut seen = BTreeSet::new();
    for workload in targets {
        for (field, image) in images(workload) {
            let Some(message) = look(image).filter(|_| seen.insert(image)) else {
                continue;
            };
            causes.push(
                Cause::warning(message)
                    .on(workload.key.clone())
                    .located(workload.locate(&field))
                    .variable(workload.variable(&field))
                    .field(field),
            );
        }
    }
    causes
}

/// The field in which a workload's manifest has an image.
pub(crate) fn field_of(workload: &Target, image: &str) -> Option<String> {
    let found = images(workload).find(|(_, named)| *named == image);
    found.map(|(field, _)| field)
}

/// The images of a workload, each with its field.
fn images(workload: &Target) -> impl Iterator<Item = (String, &str)> {
    let parts = template_path(workload).zip(template(workload));
    parts.into_iter().flat_map(|(path, template)| {
        let around = path.iter().map(|part| format!("{part}."));
        let around: String = around.collect();
        ["initContainers", "containers"]
            .into_iter()
            .flat_map(move |containers| {
                let spec = format!("{around}spec.{containers}");
                let there = list(template, &["spec", containers]).enumerate();
                there.map(move |(position, container)| {
                    let image = text(container, &["image"]);
                    (format!("{spec}[{position}].image"), image)
                })
            })
    })
}

/// What is to say of an image.
fn look(image: &str) -> Option<Message> {
    if !is_name(image) {
        return Some(message::lint::IMAGE_NAME.with("image", shown(image)));
    }
    let tag = tag(image).filter(|tag| tag.len() >= SHORTEST)?;
    let digits = tag.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| {
        message::lint::DIGIT_TAG
            .with("image", image)
            .with("tag", tag)
    })
}

/// Whether a container runtime takes it for an image. One that is left out, or has a placeholder in it, is another's affair; of
/// a digest, and of which registries there are, nothing is said.
fn is_name(image: &str) -> bool {
    if image.is_empty() || image.contains('$') {
        return true;
    }
    let named = image.split_once('@').map_or(image, |(name, _)| name);
    let name = match tag(image) {
        Some(tag) => named
            .strip_suffix(tag)
            .and_then(|name| name.strip_suffix(':')),
        None => Some(named),
    };
    let Some(name) = name.filter(|_| tag(image).is_none_or(is_tag)) else {
        return false;
    };
    // A registry is told from a folder by its dot, its port or its capitals.
    let is_registry = |first: &str| {
        first == "localhost"
            || first.contains(['.', ':'])
            || first.bytes().any(|byte| byte.is_ascii_uppercase())
    };
    let path = match name.split_once('/') {
        Some((first, rest)) if is_registry(first) => rest,
        _ => name,
    };
    path.len() <= MAX_PATH && path.split('/').all(is_part)
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = tag.bytes();
    tag.len() <= MAX_TAG
        && bytes.next().is_some_and(word)
        && bytes.all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

/// Small letters and digits, with single dots, one or two underscores or any number of dashes between them.
fn is_part(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [part.bytes().next(), part.bytes().next_back()];
    let mut between = part
        .split(|sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit())
        .filter(|between| !between.is_empty());
    ends.into_iter().all(|end| end.is_some_and(plain))
        && between.all(|between| {
            matches!(between, "." | "_" | "__") || between.bytes().all(|byte| byte == b'-')
        })
}

/// The tag of an image reference; a port of the registry is none.
fn tag(image: &str) -> Option<&str> {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    let (_, tag) = image.rsplit_once(':')?;
    (!tag.contains('/')).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_port_is_no_tag() {
        assert_eq!(tag("nexus:8082/a/b"), None);
        assert_eq!(tag("nexus:8082/a/b:20240131"), Some("20240131"));
        assert_eq!(tag("a:1@sha256:00"), Some("1"));
        assert_eq!(tag("a"), None);
    }

    #[test]
    fn what_a_runtime_takes_for_an_image_is_told_from_what_it_does_not() {
        for name in [
            "",
            "a",
            "${IMAGE}",
            "nginx:1.27",
            "a/b_c/d__e.f-g--h:V_1.0-x",
            "registry.example.com/web:1.0.0",
            "registry.example.com:5000/a/web",
            "localhost/web",
            "Registry/web@sha256:00",
            "web:1@sha256:00",
        ] {
            assert!(is_name(name), "{name}");
        }
        let (long, longer) = (format!("web:{}", "1".repeat(129)), "a".repeat(256));
        for name in [
            "Web",
            "Web:1.0.0",
            "registry.example.com/Web:1.0.0",
            "registry.example.com/",
            "registry.example.com//web",
            "web:",
            "web:-1",
            "web: 1",
            "a/b..c",
            "a___b",
            "-web",
            "web_",
            "web:1:2",
            "https://registry.example.com/web",
            " web",
            &long,
            &longer,
        ] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_name(&format!("registry/{}", "a".repeat(246))));
    }

    #[test]
    fn what_is_no_image_is_not_told_at_length() {
        let told = look(&"A".repeat(100_000)).unwrap();
        assert!(told.is(&message::lint::IMAGE_NAME));
        assert!(told.arguments["image"].chars().count() < 100);
    }
}
