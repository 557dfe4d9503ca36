//! The two sides of a diff that the cluster makes: an object as it would be, and as it is.

use domain::resource::ResourceKey;
use domain::schema::SchemaSet;
use serde_json::Value;

use super::{hide, is_secret, mask, presentable, shown};
use crate::compare::{Ignored, Sides};
use crate::options::CompareOptions;
use crate::prepare::Target;

/// The two sides as JSON text, `null` for an absent one, values of Secrets masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// What the object would be after an apply.
    pub predicted: String,
    /// What it is.
    pub live: String,
    /// Whether the two differ.
    pub modified: bool,
}

impl Diff {
    /// The diff without the values of these annotations, where the object is a Secret.
    #[must_use]
    pub fn hiding(mut self, key: &ResourceKey, names: &[String]) -> Self {
        if !names.is_empty() && is_secret(key) {
            hide([&mut self.predicted, &mut self.live], names);
        }
        self
    }
}

/// The sides of one object. `live` and `predicted`, what a dry run of the target made of it, have their managedFields;
/// without a dry run the target stands for its result.
#[must_use]
pub fn by_server(
    target: Option<&Target>,
    live: Option<&Value>,
    predicted: Option<&Value>,
    ignore: &Ignored<'_>,
    options: CompareOptions,
    schema: &SchemaSet,
) -> Diff {
    let (mut would_be, mut is, modified) = match (target, live, predicted) {
        (Some(target), Some(live), Some(predicted)) => {
            let options = options.of_object(&target.object);
            let sides = Sides::new(target, predicted, live, ignore, schema, options);
            let modified = !sides.deltas().is_empty();
            (Some(sides.predicted), Some(sides.live), modified)
        }
        _ => {
            let would_be = target.map(|target| presentable(&target.object));
            let modified = would_be.is_some();
            (would_be, live.map(presentable), modified)
        }
    };
    let key = target
        .map(|target| target.key.clone())
        .or_else(|| live.map(ResourceKey::of))
        .unwrap_or_default();
    if is_secret(&key) {
        mask(&mut [would_be.as_mut(), is.as_mut()]);
    }
    Diff {
        predicted: shown(would_be.as_ref()),
        live: shown(is.as_ref()),
        modified,
    }
}

/// Whether a client that was shown the target of a [`super::View`] and sends it back means this one.
#[must_use]
pub fn is_as_shown(given: &Target, target: &Target) -> bool {
    presentable(&given.object) == presentable(&target.object)
}
