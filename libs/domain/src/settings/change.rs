//! Changing settings: all of a change, or nothing and why.

use std::collections::BTreeMap;

use super::typed::holds_policies;
use super::{
    Account, Config, Object, Raw, RbacConfig, Value, accounts, catalogue, references, yaml,
};
use crate::clock::Timestamp;
use crate::message::{Message, settings as say};
use crate::rbac::MAX_POLICY;
use crate::tracking::{LABEL, Method};

/// The longest name of an account.
const MAX_ACCOUNT_NAME: usize = 32;
/// The most keys of a tenant, and the most bytes of all its values.
const MAX_KEYS: usize = 5_000;
const MAX_BYTES: usize = 2 << 20;

/// A key to be set, or taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The object's name, as the request has it.
    pub object: String,
    /// The key.
    pub key: String,
    /// What it shall hold; `None` takes it away.
    pub value: Option<String>,
}

/// What is wrong with a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The object.
    pub object: String,
    /// The key.
    pub key: String,
    /// What to write instead.
    pub message: Message,
}

impl Config {
    /// The settings after these changes.
    ///
    /// # Errors
    /// Everything that is wrong with them; then nothing is changed.
    pub fn apply(&self, changes: &[Change]) -> Result<Self, Vec<Problem>> {
        let mut raw = self.raw.clone();
        let mut problems = Vec::new();
        for change in changes {
            if let Err(message) = apply(&mut raw, change) {
                problems.push(Problem {
                    object: change.object.clone(),
                    key: change.key.clone(),
                    message: message
                        .with("object", &change.object)
                        .with("key", &change.key),
                });
            }
        }
        forget_removed_accounts(&mut raw, changes);
        if problems.is_empty() {
            problems = whole(&raw);
        }
        if problems.is_empty() {
            problems.extend(unreadable_label(&raw, changes));
            problems.extend(too_long_together(&self.rbac, &raw, changes));
        }
        if problems.is_empty() {
            let accounts = accounts::read(&raw);
            Ok(Self::from_raw(rewritten(raw, accounts.values())))
        } else {
            Err(problems)
        }
    }

    /// The same, where every password that differs from `before` without saying when it was set was set at `now`: tokens
    /// made before a new password never survive it.
    #[must_use]
    pub fn stamped(self, before: &Self, now: Timestamp) -> Self {
        let mut accounts = self.accounts.clone();
        for (name, account) in &mut accounts {
            let old = before.account(name);
            let changed = account.password_hash != old.and_then(|old| old.password_hash.clone());
            let undated = account.password_mtime == old.and_then(|old| old.password_mtime);
            if changed && undated {
                account.password_mtime = Timestamp::from_timestamp(now.timestamp(), 0);
            }
        }
        if accounts == self.accounts {
            return self;
        }
        Self::from_raw(rewritten(self.raw, accounts.values()))
    }
}

/// The keys with these accounts and no others, each written the one way there is.
fn rewritten<'a>(mut raw: Raw, all: impl Iterator<Item = &'a Account>) -> Raw {
    let written: Vec<(Object, String)> = raw
        .iter()
        .filter(|(object, key, _)| accounts::is_account_key(object, key))
        .map(|(object, key, _)| (object.clone(), key.to_owned()))
        .collect();
    for (object, key) in &written {
        raw.remove(object, key);
    }
    for account in all {
        accounts::write(&mut raw, account);
    }
    raw
}

fn apply(raw: &mut Raw, change: &Change) -> Result<(), Message> {
    let object = Object::parse(&change.object).ok_or_else(|| {
        let known = Object::FIXED
            .iter()
            .map(Object::name)
            .collect::<Vec<_>>()
            .join(", ");
        say::UNKNOWN_OBJECT.with("known", known)
    })?;
    let Some(key) = catalogue::find(&object, &change.key) else {
        // What an older version took may be taken away whatever it is called.
        if change.value.is_none() && raw.get(&object, &change.key).is_some() {
            raw.remove(&object, &change.key);
            return Ok(());
        }
        return Err(match catalogue::nearest(&object, &change.key) {
            Some(near) => say::UNKNOWN_KEY_NEAR.with("near", near),
            None => say::UNKNOWN_KEY.message(),
        });
    };
    let Some(text) = &change.value else {
        raw.remove(&object, &change.key);
        return Ok(());
    };
    if accounts::is_account_key(&object, &change.key)
        && let Some(name) = accounts::name_in(&change.key)
        && name.len() > MAX_ACCOUNT_NAME
    {
        return Err(say::ACCOUNT_NAME.with("name", name));
    }
    if let Some(what) = change.key.strip_prefix("accounts.admin.") {
        return Err(say::ADMIN_KEY.with("what", what));
    }
    key.check.check(text)?;
    raw.set(&object, &change.key, text);
    Ok(())
}

/// An account that goes takes its other keys along.
fn forget_removed_accounts(raw: &mut Raw, changes: &[Change]) {
    for change in changes.iter().filter(|change| change.value.is_none()) {
        let Some(name) = change.key.strip_prefix("accounts.") else {
            continue;
        };
        if change.object != Object::Cm.name() || name.contains('.') || name == accounts::ADMIN {
            continue;
        }
        let prefix = format!("accounts.{name}.");
        for object in [Object::Cm, Object::Secret] {
            let gone: Vec<String> = raw
                .keys(&object)
                .filter(|(key, _)| key.starts_with(&prefix))
                .map(|(key, _)| key.to_owned())
                .collect();
            for key in gone {
                raw.remove(&object, &key);
            }
        }
    }
}

/// What is wrong with the settings as a whole.
fn whole(raw: &Raw) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut refuse = |object: &Object, key: &str, message: Message| {
        problems.push(Problem {
            object: object.name().to_owned(),
            key: key.to_owned(),
            message: message.with("object", object).with("key", key),
        });
    };
    let (mut keys, mut bytes) = (0, 0);
    for (object, key, value) in raw.iter() {
        keys += 1;
        bytes += value.expose().len();
        if accounts::is_account_key(object, key)
            && let Some(name) = accounts::name_in(key)
            && name != accounts::ADMIN
            && raw.get(&Object::Cm, &format!("accounts.{name}")).is_none()
        {
            refuse(object, key, say::ACCOUNT_MISSING.with("name", name));
        }
        if let Some(reference) = dangling(raw, object, key, value) {
            refuse(
                object,
                key,
                say::REFERENCE_MISSING.with("reference", reference),
            );
        }
    }
    if keys > MAX_KEYS || bytes > MAX_BYTES {
        let limits = say::TOO_MUCH
            .with("keys", MAX_KEYS)
            .with("bytes", MAX_BYTES);
        refuse(&Object::Cm, "", limits);
    }
    problems
}

/// The keys that say how objects are marked.
const METHOD: &str = "application.resourceTrackingMethod";
const LABEL_KEY: &str = "application.instanceLabelKey";

/// Why objects that the label alone names would not be found again: one label is read in all clusters, for all tenants. What
/// was kept before is said when it is changed, not with every other key.
fn unreadable_label(raw: &Raw, changes: &[Change]) -> Option<Problem> {
    let said = |key: &str| raw.text(&Object::Cm, key).unwrap_or_default();
    let label = said(LABEL_KEY);
    let by_label = said(METHOD) == Method::Label.as_str();
    let touched = changes.iter().any(|change| {
        change.object == Object::Cm.name() && [METHOD, LABEL_KEY].contains(&change.key.as_str())
    });
    let unreadable = by_label && !label.is_empty() && label != LABEL;
    (touched && unreadable).then(|| Problem {
        object: Object::Cm.name().to_owned(),
        key: LABEL_KEY.to_owned(),
        message: say::LABEL_UNREAD
            .with("label", label)
            .with("read", LABEL)
            .with("object", Object::Cm)
            .with("key", LABEL_KEY),
    })
}

/// Why the keys of the policy, each of which is short enough, would count for nothing together. One that was kept before and is
/// too long may be made shorter key by key.
fn too_long_together(before: &RbacConfig, raw: &Raw, changes: &[Change]) -> Option<Problem> {
    let written = changes.iter().find(|change| {
        change.object == Object::Rbac.name()
            && change.value.is_some()
            && holds_policies(&change.key)
    })?;
    let bytes = RbacConfig::read(raw).policy_csv.len();
    (bytes > MAX_POLICY && bytes > before.policy_csv.len()).then(|| Problem {
        object: written.object.clone(),
        key: written.key.clone(),
        message: say::POLICIES_TOO_LONG
            .with("bytes", bytes)
            .with("limit", MAX_POLICY)
            .with("object", &written.object)
            .with("key", &written.key),
    })
}

/// The reference of a value that leads nowhere; only these keys hold references.
fn dangling(raw: &Raw, object: &Object, key: &str, value: &Value) -> Option<String> {
    match (object, key) {
        (Object::Cm, "dex.config" | "oidc.config") => {
            references::dangling(raw, &yaml::read(value.expose()).ok()?)
        }
        (Object::Secret, key) if key.starts_with("webhook.") => {
            references::dangling(raw, &serde_json::Value::String(value.expose().to_owned()))
        }
        _ => None,
    }
}

/// What a key held before, and what it holds after.
pub type Difference<'a> = (Option<&'a Value>, Option<&'a Value>);

/// What differs between two settings, key by key.
#[must_use]
pub fn differences<'a>(
    before: &'a Raw,
    after: &'a Raw,
) -> BTreeMap<(&'a Object, &'a str), Difference<'a>> {
    let mut all = BTreeMap::new();
    for (object, key, value) in before.iter() {
        all.insert((object, key), (Some(value), None));
    }
    for (object, key, value) in after.iter() {
        all.entry((object, key)).or_insert((None, None)).1 = Some(value);
    }
    all.retain(|_, (before, after)| before != after);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(object: &str, key: &str, value: Option<&str>) -> Change {
        Change {
            object: object.into(),
            key: key.into(),
            value: value.map(Into::into),
        }
    }

    fn refused(config: &Config, object: &str, key: &str, value: &str) -> String {
        let problems = config
            .apply(&[change(object, key, Some(value))])
            .unwrap_err();
        problems[0].message.to_string()
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_with_its_neighbour() {
        let config = Config::default();
        assert_eq!(
            refused(&config, "argocd-cm", "admin.enable", "false"),
            "`argocd-cm` has no key `admin.enable`; did you mean `admin.enabled`?"
        );
        assert!(refused(&config, "argo-cm", "url", "x").contains("argocd-cm"));
        assert!(refused(&config, "argocd-cm", "url", "javascript:x").contains("`url`"));
    }

    #[test]
    fn a_change_happens_whole_or_not_at_all() {
        let config = Config::default();
        let mixed = [
            change("argocd-cm", "url", Some("https://a.example")),
            change("argocd-cm", "admin.enabled", Some("maybe")),
            change("argocd-cm", "nonsense", Some("x")),
        ];
        assert_eq!(config.apply(&mixed).unwrap_err().len(), 2);
        let changed = config.apply(&mixed[..1]).unwrap();
        assert_eq!(changed.url(), Some("https://a.example"));
        let back = changed.apply(&[change("argocd-cm", "url", None)]).unwrap();
        assert_eq!(back, config);
    }

    #[test]
    fn an_account_is_made_and_takes_everything_along_when_it_goes() {
        let config = Config::default();
        assert!(refused(&config, "argocd-cm", "accounts.bob.enabled", "false").contains("bob"));
        let made = config
            .apply(&[
                change("argocd-cm", "accounts.bob.enabled", Some("false")),
                change("argocd-cm", "accounts.bob", Some("apiKey")),
                change("argocd-secret", "accounts.bob.tokens", Some("[]")),
            ])
            .unwrap();
        assert!(made.account("bob").is_some_and(|bob| !bob.enabled));
        let gone = made
            .apply(&[change("argocd-cm", "accounts.bob", None)])
            .unwrap();
        assert_eq!(gone, config);
        let long = format!("accounts.{}", "x".repeat(33));
        assert!(refused(&config, "argocd-cm", &long, "login").contains("32"));
    }

    #[test]
    fn a_password_is_a_hash_whatever_it_begins_with_and_dated() {
        let config = Config::default();
        for bad in ["$x", "$okta:secret", "hunter2", "$2a$10$short"] {
            assert!(refused(&config, "argocd-secret", "admin.password", bad).contains("bcrypt"));
        }
        assert!(
            refused(&config, "argocd-cm", "accounts.admin.enabled", "false")
                .contains("admin.enabled")
        );
        let hash = format!("$2a$10${}", "x".repeat(53));
        let set = change("argocd-secret", "admin.password", Some(&hash));
        let now = Timestamp::from_timestamp(1_700_000_000, 5).unwrap();
        let after = config.apply(&[set]).unwrap().stamped(&config, now);
        let mtime = after.account("admin").unwrap().password_mtime;
        assert_eq!(mtime, Timestamp::from_timestamp(1_700_000_000, 0));
        assert_eq!(after.clone().stamped(&after, now), after);
    }

    #[test]
    fn an_account_is_written_one_way() {
        let many = [
            change("argocd-cm", "accounts.bob", Some("login,apiKey , login")),
            change("argocd-cm", "accounts.bob.enabled", Some("T")),
            change("argocd-secret", "accounts.bob.tokens", Some("[ ]")),
        ];
        let config = Config::default().apply(&many).unwrap();
        let keys: Vec<_> = config.raw().iter().collect();
        assert_eq!(keys.len(), 1, "{keys:?}");
        assert_eq!(keys[0].2.expose(), "login, apiKey");
    }

    #[test]
    fn a_reference_must_lead_somewhere() {
        let config = Config::default();
        let text = "clientSecret: $okta:secret\n";
        assert!(refused(&config, "argocd-cm", "oidc.config", text).contains("$okta:secret"));
        let fine = config.apply(&[
            change("argocd-cm", "oidc.config", Some(text)),
            change("secret/okta", "secret", Some("s")),
        ]);
        assert!(fine.is_ok(), "{fine:?}");
        assert!(refused(&config, "argocd-secret", "webhook.github.secret", "$x").contains("$x"));
    }

    #[test]
    fn objects_that_a_label_alone_names_have_the_label_that_is_read() {
        let config = Config::default();
        let own = change("argocd-cm", LABEL_KEY, Some("argocd.argoproj.io/instance"));
        let by = |method: &str| change("argocd-cm", METHOD, Some(method));
        for bad in ["", "labels", "Label"] {
            let why = refused(&config, "argocd-cm", METHOD, bad);
            assert!(why.contains("annotation, label, annotation+label"), "{why}");
        }
        let both = config
            .apply(&[own.clone(), by("annotation+label")])
            .unwrap();
        assert_eq!(both.marking().method, Method::AnnotationAndLabel);
        assert_eq!(both.marking().label, "argocd.argoproj.io/instance");
        let why = refused(&both, "argocd-cm", METHOD, "label");
        assert!(why.contains("app.kubernetes.io/instance"), "{why}");
        let labelled = config.apply(&[by("label")]).unwrap();
        assert_eq!(labelled.marking().method, Method::Label);
        assert!(labelled.apply(&[own]).is_err());
        assert!(
            labelled
                .apply(&[change("argocd-cm", LABEL_KEY, Some(LABEL))])
                .is_ok()
        );

        // What was kept before counts as the annotation, and keeps nobody from changing anything else.
        let mut raw = Raw::default();
        raw.set(&Object::Cm, METHOD, "label");
        raw.set(&Object::Cm, LABEL_KEY, "mine");
        let before = Config::from_raw(raw);
        assert_eq!(before.marking().method, Method::Annotation);
        let other = change("argocd-cm", "url", Some("https://a.example"));
        assert!(before.apply(&[other]).is_ok());
    }

    #[test]
    fn what_is_too_long_together_is_refused_and_may_be_made_shorter() {
        let lines = |bytes: usize| "#\n".repeat(bytes / 2);
        let half = lines(MAX_POLICY / 2);
        let write = |key: &str, text: &str| change("argocd-rbac-cm", key, Some(text));
        // With the end of a line between them.
        let fits = [
            write("policy.csv", &half),
            write("policy.a.csv", &lines(MAX_POLICY / 2 - 2)),
        ];
        let fits = Config::default().apply(&fits).unwrap();
        assert_eq!(fits.rbac().policy_csv.len(), MAX_POLICY - 1);
        let more = [
            write("policy.default", "role:x"),
            write("policy.a.csv", &half),
        ];
        let problems = fits.apply(&more).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let Problem { key, message, .. } = &problems[0];
        assert_eq!(
            (key.as_str(), message.code.as_str()),
            ("policy.a.csv", "settings.policies-too-long")
        );
        let said = message.to_string();
        assert!(
            said.contains("262145") && said.contains("262144") && said.contains("shorten"),
            "{said}"
        );
        // Where something else makes room in the same change it is taken.
        let moved = [write("policy.a.csv", &half), write("policy.csv", "#")];
        assert!(fits.apply(&moved).is_ok());

        // What an older version took keeps nobody from changing anything else, nor from mending it key by key.
        let mut raw = Raw::default();
        for key in ["policy.csv", "policy.a.csv", "policy.b.csv"] {
            raw.set(&Object::Rbac, key, &half);
        }
        let before = Config::from_raw(raw);
        assert!(before.apply(&[write("policy.default", "role:x")]).is_ok());
        let taken_away = change("argocd-rbac-cm", "policy.b.csv", None);
        assert!(before.apply(&[taken_away]).is_ok(), "still too long");
        assert!(before.apply(&[write("policy.b.csv", "#")]).is_ok());
        assert!(before.apply(&[write("policy.c.csv", "#")]).is_err());
    }

    #[test]
    fn differences_are_told_key_by_key() {
        let before = Config::default();
        let after = before
            .apply(&[change("argocd-cm", "url", Some("https://a.example"))])
            .unwrap();
        let told = differences(before.raw(), after.raw());
        assert_eq!(told.len(), 1);
        assert!(told[&(&Object::Cm, "url")].0.is_none());
    }
}
