//! Settings as they are shown: a secret only as there, by a hash that tells a change.

use std::fmt::Write as _;

use domain::settings::catalogue::Key;
use domain::settings::{self, Check, Config, Object, Value};
use domain::tenant::Tenant;
use proto::naru::v1 as wire;
use sha2::{Digest, Sha256};

/// How what is shown of a secret begins.
pub(super) const HASH: &str = "hash:";

/// All settings.
pub(super) fn settings(tenant: &Tenant, config: &Config) -> wire::Settings {
    let objects = config.raw().objects().map(|object| {
        let mut shown = wire::SettingsObject {
            name: object.name().to_owned(),
            ..Default::default()
        };
        for (key, value) in config.raw().keys(object) {
            let into = match value {
                Value::Text(_) => &mut shown.data,
                Value::Secret(_) => &mut shown.secrets,
            };
            into.insert(key.to_owned(), self::value(tenant, object, key, value));
        }
        shown
    });
    wire::Settings {
        tenant: tenant.name.to_string(),
        resource_version: config.raw().version(),
        objects: objects.collect(),
    }
}

/// What differs.
pub(super) fn changed(
    tenant: &Tenant,
    before: &Config,
    after: &Config,
) -> Vec<wire::ChangedSetting> {
    settings::differences(before.raw(), after.raw())
        .into_iter()
        .map(|((object, key), (old, new))| {
            let shown = |value: Option<&Value>| {
                value.map_or_else(String::new, |value| self::value(tenant, object, key, value))
            };
            wire::ChangedSetting {
                object: object.name().to_owned(),
                key: key.to_owned(),
                before: shown(old),
                after: shown(new),
            }
        })
        .collect()
}

/// A text as it is; of a secret, a hash that says nothing elsewhere.
fn value(tenant: &Tenant, object: &Object, key: &str, value: &Value) -> String {
    let secret = match value {
        Value::Text(text) => return text.clone(),
        Value::Secret(secret) => secret,
    };
    let mut digest = Sha256::new();
    for part in [
        tenant.id.0.as_bytes().as_slice(),
        object.name().as_bytes(),
        key.as_bytes(),
        secret.expose(),
    ] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let hash = digest.finalize();
    hash[..6].iter().fold(HASH.to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One key of the catalogue.
pub(super) fn key(object: &Object, key: &Key) -> wire::SettingKey {
    let words: &[&str] = match key.check {
        Check::OneOf(words) => words,
        _ => &[],
    };
    wire::SettingKey {
        object: object.name().to_owned(),
        name: key.name.to_owned(),
        kind: key.check.name().to_owned(),
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        default_value: key.default.to_owned(),
        secret: object.is_secret(),
        acts: key.acts,
    }
}

#[cfg(test)]
mod tests {
    use domain::settings::Raw;

    use super::*;
    use crate::permit::tests::actor;

    #[test]
    fn a_secret_is_shown_by_its_hash_alone() {
        let mut raw = Raw::default();
        raw.set(&Object::Secret, "webhook.github.secret", "hunter2");
        raw.set(&Object::Cm, "url", "https://a.example");
        let (before, after) = (Config::default(), Config::from_raw(raw));
        let tenant = actor("user01", "admin", false).tenant;
        let all = format!(
            "{:?} {:?}",
            settings(&tenant, &after),
            changed(&tenant, &before, &after)
        );
        assert!(!all.contains("hunter2"), "{all}");
        assert!(all.contains("https://a.example") && all.contains("hash:"));
        assert_eq!(changed(&tenant, &before, &after).len(), 2);
    }
}
