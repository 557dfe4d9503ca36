//! Image references.

use std::collections::BTreeSet;

use domain::cause::Cause;
use domain::message;
use domain::resource::text;

use super::{list, template, template_path};
use crate::prepare::Target;

/// Shorter numbers are versions (`postgres:15`) and nobody writes them with a tool; from here on they are times and
/// build numbers.
const SHORTEST: usize = 6;

/// Images with a tag of digits only: in YAML such a tag is a number unless it is quoted, which breaks a kustomization's
/// `newTag`.
pub(super) fn tags(targets: &[Target]) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut seen = BTreeSet::new();
    for workload in targets {
        let Some((path, template)) = template_path(workload).zip(template(workload)) else {
            continue;
        };
        let around = path
            .iter()
            .map(|part| format!("{part}."))
            .collect::<String>();
        for containers in ["initContainers", "containers"] {
            for (position, container) in list(template, &["spec", containers]).enumerate() {
                let image = text(container, &["image"]);
                let Some(tag) = tag(image).filter(|tag| tag.len() >= SHORTEST) else {
                    continue;
                };
                if !tag.bytes().all(|b| b.is_ascii_digit()) || !seen.insert(image) {
                    continue;
                }
                let field = format!("{around}spec.{containers}[{position}].image");
                let message = message::lint::DIGIT_TAG
                    .with("image", image)
                    .with("tag", tag);
                let location = workload.locate(&field);
                causes.push(
                    Cause::warning(message)
                        .on(workload.key.clone())
                        .located(location)
                        .variable(workload.variable(&field))
                        .field(field),
                );
            }
        }
    }
    causes
}

/// The field in which a workload's manifest has an image.
pub(crate) fn field_of(workload: &Target, image: &str) -> Option<String> {
    let (path, template) = template_path(workload).zip(template(workload))?;
    let around = path
        .iter()
        .map(|part| format!("{part}."))
        .collect::<String>();
    ["initContainers", "containers"]
        .into_iter()
        .find_map(|containers| {
            let position = list(template, &["spec", containers])
                .position(|container| text(container, &["image"]) == image)?;
            Some(format!("{around}spec.{containers}[{position}].image"))
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
}
