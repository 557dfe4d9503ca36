//! Every key there is.

use super::check::Check;
use super::object::Object;

/// A key, or a family of keys with one part that varies.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name; `<name>` is the part that varies and holds no dot, `<rest>` may hold dots.
    pub name: &'static str,
    /// What it may hold.
    pub check: Check,
    /// What holds where it is not set.
    pub default: &'static str,
    /// Whether this version of the platform acts on it; the others are kept and handed back.
    pub acts: bool,
}

/// A key that this version acts on.
const fn acts(name: &'static str, check: Check, default: &'static str) -> Key {
    Key {
        name,
        check,
        default,
        acts: true,
    }
}

/// A key that is kept for what reads it later, or elsewhere.
const fn kept(name: &'static str, check: Check, default: &'static str) -> Key {
    Key {
        name,
        check,
        default,
        acts: false,
    }
}

use Check::{
    Bool, BuildOptions, Capabilities, Duration, Integer, Kinds, LabelKey, Links, List, Mapping,
    OneOf, PasswordHash, Pattern, Place, Policy, Shells, SigningSecret, Structure, Text, Time,
    Tokens, Url, Urls,
};

const CM: &[Key] = &[
    acts("accounts.<name>", Capabilities, ""),
    acts("accounts.<name>.enabled", Bool, "true"),
    acts("additionalUrls", Urls, ""),
    acts("admin.enabled", Bool, "true"),
    kept("application.allowedNodeLabels", Text, ""),
    acts(
        "application.instanceLabelKey",
        LabelKey,
        crate::tracking::LABEL,
    ),
    acts("application.links", Links, ""),
    acts(
        "application.resourceTrackingMethod",
        OneOf(crate::tracking::Method::WORDS),
        "annotation",
    ),
    acts("application.sync.impersonation.enabled", Bool, "false"),
    acts("application.sync.impersonation.enforced", Bool, "true"),
    kept(
        "application.sync.requireOverridePrivilegeForRevisionSync",
        Bool,
        "false",
    ),
    kept("cluster.inClusterEnabled", Bool, "true"),
    kept("commit.author.email", Text, ""),
    kept("commit.author.name", Text, ""),
    kept("dex.auth.connectorId", Text, ""),
    acts("dex.config", Mapping, ""),
    acts("exec.enabled", Bool, "false"),
    acts("exec.shells", Shells, "bash,sh,powershell,cmd"),
    kept("extension.config", Mapping, ""),
    kept("extension.config.<rest>", Mapping, ""),
    acts("ga.anonymizeusers", Bool, "true"),
    acts("ga.trackingid", Text, ""),
    acts("globalProjects", List, ""),
    acts("helm.enable", Bool, "true"),
    acts("helm.valuesFileSchemes", Text, "https,http"),
    acts("help.chatText", Text, "Chat now!"),
    acts("help.chatUrl", Url, ""),
    acts("help.download.<name>", Url, ""),
    kept("installationID", Text, ""),
    kept("jsonnet.enable", Bool, "true"),
    acts("kustomize.buildOptions", BuildOptions, ""),
    kept("kustomize.buildOptions.<rest>", Text, ""),
    acts("kustomize.enable", Bool, "true"),
    acts("kustomize.path.<rest>", Text, ""),
    acts("kustomize.version.<rest>", Text, ""),
    acts(
        "naru.rollbackWithAutoSync",
        OneOf(&["hold", "refuse"]),
        "hold",
    ),
    acts("naru.syncTimeout", Duration, "0s"),
    acts("oidc.config", Mapping, ""),
    kept("oidc.tls.insecure.skip.verify", Bool, "false"),
    acts("passwordPattern", Pattern, "^.{8,32}$"),
    acts("project.links", Links, ""),
    // Clients are told of it; our own comparison leaves `status` out whatever it says.
    acts("resource.compareoptions", Mapping, ""),
    kept("resource.customLabels", Text, ""),
    acts("resource.customizations", Mapping, ""),
    acts("resource.customizations.actions.<rest>", Structure, ""),
    acts("resource.customizations.health.<rest>", Text, ""),
    acts(
        "resource.customizations.ignoreDifferences.<rest>",
        Mapping,
        "",
    ),
    kept(
        "resource.customizations.ignoreResourceUpdates.<rest>",
        Mapping,
        "",
    ),
    acts("resource.customizations.knownTypeFields.<rest>", List, ""),
    acts("resource.customizations.useOpenLibs.<rest>", Bool, "false"),
    kept("resource.excludeEventLabelKeys", Text, ""),
    acts("resource.exclusions", Kinds, ""),
    kept("resource.ignoreResourceUpdatesEnabled", Bool, "true"),
    acts("resource.inclusions", Kinds, ""),
    kept("resource.includeEventLabelKeys", Text, ""),
    acts("resource.links", Links, ""),
    kept("resource.respectRBAC", OneOf(&["", "normal", "strict"]), ""),
    acts("resource.sensitive.mask.annotations", Text, ""),
    kept("server.maxPodLogsToRender", Integer, "10"),
    acts(
        "server.rbac.disableApplicationFineGrainedRBACInheritance",
        Bool,
        "true",
    ),
    kept("server.rbac.log.enforce.enable", Bool, "false"),
    kept("sourceHydrator.commitMessageTemplate", Text, ""),
    kept("sourceHydrator.readmeMessageTemplate", Text, ""),
    acts("statusbadge.enabled", Bool, "false"),
    acts("statusbadge.url", Url, ""),
    kept("timeout.hard.reconciliation", Duration, "0s"),
    kept("timeout.reconciliation", Duration, "120s"),
    kept("timeout.reconciliation.jitter", Duration, "60s"),
    acts("ui.bannercontent", Text, ""),
    acts("ui.bannerpermanent", Bool, "false"),
    acts(
        "ui.bannerposition",
        OneOf(&["top", "bottom", "both"]),
        "top",
    ),
    acts("ui.bannerurl", Url, ""),
    acts("ui.cssurl", Place, ""),
    acts("ui.loginButtonText", Text, ""),
    acts("url", Url, ""),
    acts("users.anonymous.enabled", Bool, "false"),
    acts("users.session.duration", Duration, "24h"),
    kept("webhook.maxPayloadSizeMB", Integer, "50"),
    kept("webhook.refresh.jitter", Duration, "0s"),
    kept("webhook.refresh.jitter.threshold", Integer, "20"),
];

const RBAC: &[Key] = &[
    acts("policy.csv", Policy, ""),
    acts("policy.<rest>.csv", Policy, ""),
    acts("policy.default", Text, ""),
    acts("policy.matchMode", OneOf(&["glob", "regex"]), "glob"),
    acts("scopes", Structure, "[groups]"),
];

const SECRET: &[Key] = &[
    acts("accounts.<name>.password", PasswordHash, ""),
    acts("accounts.<name>.passwordMtime", Time, ""),
    acts("accounts.<name>.tokens", Tokens, "[]"),
    acts("admin.password", PasswordHash, ""),
    acts("admin.passwordMtime", Time, ""),
    acts("admin.tokens", Tokens, "[]"),
    kept("dex.<rest>", Text, ""),
    kept("oidc.<rest>", Text, ""),
    acts("webhook.azuredevops.username", Text, ""),
    acts("webhook.azuredevops.password", SigningSecret, ""),
    acts("webhook.bitbucket.uuid", SigningSecret, ""),
    acts("webhook.bitbucketserver.secret", SigningSecret, ""),
    acts("webhook.gitea.secret", SigningSecret, ""),
    acts("webhook.github.secret", SigningSecret, ""),
    acts("webhook.gitlab.secret", SigningSecret, ""),
    acts("webhook.gogs.secret", SigningSecret, ""),
];

const NOTIFICATIONS: &[Key] = &[
    kept("context", Mapping, ""),
    kept("defaultTriggers", List, ""),
    kept("defaultTriggers.<rest>", List, ""),
    kept("service.<rest>", Structure, ""),
    kept("subscriptions", List, ""),
    kept("template.<rest>", Mapping, ""),
    kept("trigger.<rest>", List, ""),
];

/// The names in a secret of the tenant's own, or of its notifications, are its own.
const FREE: &[Key] = &[kept("<rest>", Text, "")];

/// The keys of an object.
#[must_use]
pub fn keys(object: &Object) -> &'static [Key] {
    match object {
        Object::Cm => CM,
        Object::Rbac => RBAC,
        Object::Secret => SECRET,
        Object::Notifications => NOTIFICATIONS,
        Object::NotificationsSecret | Object::Named(_) => FREE,
    }
}

/// The key of a name; a whole name goes before a family.
#[must_use]
pub fn find(object: &Object, name: &str) -> Option<&'static Key> {
    let valid = (1..=253).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !valid {
        return None;
    }
    let keys = keys(object);
    keys.iter()
        .find(|key| key.name == name)
        .or_else(|| keys.iter().find(|key| key.is_family_of(name)))
}

/// The key whose name is nearest to one that there is not.
#[must_use]
pub fn nearest(object: &Object, name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    keys(object)
        .iter()
        .filter(|key| !key.name.starts_with('<'))
        .map(|key| {
            (
                strsim::damerau_levenshtein(&lower, &key.name.to_lowercase()),
                key.name,
            )
        })
        .min()
        .filter(|(distance, near)| *distance <= near.len() / 2)
        .map(|(_, near)| near.to_owned())
}

impl Key {
    /// Whether a name is one of this family.
    fn is_family_of(&self, name: &str) -> bool {
        let Some((before, rest)) = self.name.split_once('<') else {
            return false;
        };
        let Some((part, after)) = rest.split_once('>') else {
            return false;
        };
        name.strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|varying| {
                !varying.is_empty() && (part == "rest" || !varying.contains('.'))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_families_are_found_and_others_are_not() {
        let found = |name| find(&Object::Cm, name).map(|key| key.name);
        assert_eq!(found("url"), Some("url"));
        assert_eq!(found("accounts.bob"), Some("accounts.<name>"));
        assert_eq!(
            found("accounts.bob.enabled"),
            Some("accounts.<name>.enabled")
        );
        assert_eq!(found("accounts.bob.x.y"), None);
        assert_eq!(found("accounts."), None);
        assert_eq!(
            found("resource.customizations.health.argoproj.io_Application"),
            Some("resource.customizations.health.<rest>")
        );
        assert_eq!(
            found("kustomize.buildOptions"),
            Some("kustomize.buildOptions")
        );
        assert_eq!(found("<name>"), None);
        assert_eq!(
            find(&Object::Rbac, "policy.team.csv").map(|key| key.name),
            Some("policy.<rest>.csv")
        );
        assert_eq!(
            find(&Object::Rbac, "policy.csv").map(|key| key.name),
            Some("policy.csv")
        );
    }

    #[test]
    fn a_misspelt_key_has_a_neighbour_and_a_strange_one_has_none() {
        assert_eq!(
            nearest(&Object::Cm, "admin.enable").as_deref(),
            Some("admin.enabled")
        );
        assert_eq!(nearest(&Object::Cm, "URL").as_deref(), Some("url"));
        assert_eq!(
            nearest(&Object::Cm, "users.anonymos.enabled").as_deref(),
            Some("users.anonymous.enabled")
        );
        assert_eq!(nearest(&Object::Cm, "qqqqqqqqqqqqqqqqq"), None);
    }

    #[test]
    fn a_default_is_a_value_that_its_key_takes() {
        for object in Object::FIXED {
            for key in keys(&object).iter().filter(|key| !key.default.is_empty()) {
                assert!(key.check.check(key.default).is_ok(), "{}", key.name);
            }
        }
    }
}
