//! What the keys say, with Argo CD's defaults where they say nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use super::{Capability, Config, Object, Raw, check, duration, yaml};
use crate::rbac::{self, Policy};
use crate::tracking::Marking;

/// How long a login lasts.
const SESSION: Duration = Duration::from_secs(24 * 3_600);
/// What a password must look like.
const PASSWORD_PATTERN: &str = "^.{8,32}$";
/// What is tried for a terminal.
const SHELLS: &str = "bash,sh,powershell,cmd";

/// Who may do what, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RbacConfig {
    /// `policy.csv`, then every other `policy.<name>.csv` by name.
    pub policy_csv: String,
    /// The role of everybody; empty for none.
    pub policy_default: String,
    /// The claims that name groups.
    pub scopes: Vec<String>,
    /// `glob` or `regex`.
    pub match_mode: String,
    /// The keys besides `policy.csv` that `policy_csv` is of, in its order, each with how many lines stand before it.
    others: Vec<(String, usize)>,
}

impl RbacConfig {
    /// The policy that this is.
    ///
    /// # Errors
    /// As of [`Policy::parse`].
    pub fn policy(&self) -> Result<Policy, Vec<rbac::Problem>> {
        let scopes = self.written_scopes();
        Policy::parse(
            &self.policy_csv,
            &self.policy_default,
            &scopes,
            &self.match_mode,
        )
    }

    /// What is wrong or suspicious, as [`Policy::check`] tells it.
    #[must_use]
    pub fn problems(&self) -> Vec<rbac::Problem> {
        let scopes = self.written_scopes();
        Policy::check(
            &self.policy_csv,
            &self.policy_default,
            &scopes,
            &self.match_mode,
        )
    }

    fn written_scopes(&self) -> String {
        format!("[{}]", self.scopes.join(", "))
    }

    /// The key that a line of `policy_csv` is of, and which line of that key it is.
    #[must_use]
    pub fn place(&self, line: usize) -> (&str, usize) {
        let mut others = self.others.iter().rev();
        match others.find(|(_, before)| *before < line) {
            Some((key, before)) => (key.as_str(), line - before),
            None => ("policy.csv", line),
        }
    }

    pub(super) fn read(raw: &Raw) -> Self {
        let text = |key: &str| raw.text(&Object::Rbac, key);
        let lines = |text: &str| text.matches('\n').count();
        let mut policy_csv = text("policy.csv").unwrap_or_default().to_owned();
        let (mut others, mut before) = (Vec::new(), lines(&policy_csv));
        for (key, value) in raw.keys(&Object::Rbac) {
            if key != "policy.csv" && holds_policies(key) {
                policy_csv.push('\n');
                policy_csv.push_str(value.expose());
                others.push((key.to_owned(), before + 1));
                before += 1 + lines(value.expose());
            }
        }
        let scopes = text("scopes").map(yaml::read).and_then(Result::ok);
        Self {
            policy_csv,
            policy_default: text("policy.default").unwrap_or_default().to_owned(),
            scopes: match scopes {
                Some(Json::Array(names)) => names
                    .iter()
                    .filter_map(Json::as_str)
                    .map(str::to_owned)
                    .collect(),
                _ => vec!["groups".to_owned()],
            },
            match_mode: text("policy.matchMode").unwrap_or("glob").to_owned(),
            others,
        }
    }
}

/// Whether a key of `argocd-rbac-cm` holds a part of the policy.
pub(super) fn holds_policies(key: &str) -> bool {
    key.starts_with("policy.") && key.ends_with(".csv")
}

/// What is counted of visitors, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Analytics {
    /// The id; empty for none.
    pub tracking_id: String,
    /// Whether users are not named.
    pub anonymize_users: bool,
}

/// Where people find help.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Help {
    /// A chat's address.
    pub chat_url: String,
    /// What its link says.
    pub chat_text: String,
    /// Where the command is downloaded, by platform.
    pub binary_urls: BTreeMap<String, String>,
}

/// What stands above every page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Banner {
    /// The text.
    pub content: String,
    /// Where it leads.
    pub url: String,
    /// Whether it cannot be closed.
    pub permanent: bool,
    /// Where it stands.
    pub position: String,
}

/// How Kustomize is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kustomize {
    /// The options.
    pub build_options: String,
    /// The versions that were named.
    pub versions: Vec<String>,
}

/// A way to log in through Dex.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connector {
    /// What its button says.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// A way to log in elsewhere; nothing secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OidcConfig {
    /// What its button says.
    pub name: String,
    /// Who issues the tokens.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// The command's name there.
    pub cli_client_id: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Whether PKCE is used.
    pub enable_pkce: bool,
}

impl Config {
    pub(super) fn cm(&self, key: &str) -> Option<&str> {
        self.raw.text(&Object::Cm, key)
    }

    fn text(&self, key: &str) -> String {
        self.cm(key).unwrap_or_default().to_owned()
    }

    fn flag(&self, key: &str, default: bool) -> bool {
        self.cm(key).and_then(check::go_bool).unwrap_or(default)
    }

    fn document(&self, key: &str) -> Option<Json> {
        yaml::read(self.cm(key)?).ok().filter(Json::is_object)
    }

    /// The annotations of Secrets whose values nobody is shown, as those of their data.
    #[must_use]
    pub fn masked_annotations(&self) -> Vec<String> {
        let names = self
            .cm("resource.sensitive.mask.annotations")
            .unwrap_or_default()
            .split(',')
            .map(str::trim);
        names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The address that people know.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.cm("url").filter(|url| !url.is_empty())
    }

    /// Other addresses that lead here.
    #[must_use]
    pub fn additional_urls(&self) -> Vec<String> {
        match self.cm("additionalUrls").map(yaml::read) {
            Some(Ok(Json::Array(urls))) => urls
                .iter()
                .filter_map(Json::as_str)
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        }
    }

    /// How long a login lasts.
    #[must_use]
    pub fn session_duration(&self) -> Duration {
        self.cm("users.session.duration")
            .and_then(duration::go_duration)
            .filter(|lifetime| !lifetime.is_zero())
            .unwrap_or(SESSION)
    }

    /// Whether people without a token are let in, with the default role.
    #[must_use]
    pub fn anonymous_enabled(&self) -> bool {
        self.flag("users.anonymous.enabled", false)
    }

    /// What a new password must look like.
    #[must_use]
    pub fn password_pattern(&self) -> &str {
        self.cm("passwordPattern")
            .filter(|pattern| !pattern.is_empty())
            .unwrap_or(PASSWORD_PATTERN)
    }

    /// Whether nobody can log in with a password.
    #[must_use]
    pub fn logins_disabled(&self) -> bool {
        !self
            .accounts
            .values()
            .any(|account| account.enabled && account.can(Capability::Login))
    }

    /// How objects are marked as an application's.
    #[must_use]
    pub fn marking(&self) -> Marking {
        let label = self.cm("application.instanceLabelKey");
        Marking::of(
            self.cm("application.resourceTrackingMethod"),
            label.unwrap_or_default(),
        )
    }

    /// Whether going back is refused while auto-sync is on, as Argo CD does; else auto-sync holds still after it.
    #[must_use]
    pub fn rollback_refused_with_auto_sync(&self) -> bool {
        self.cm("naru.rollbackWithAutoSync") == Some("refuse")
    }

    /// After how long an operation is stopped that has not ended; `None` for never, as in Argo CD where nothing is set.
    #[must_use]
    pub fn sync_timeout(&self) -> Option<Duration> {
        let set = self.cm("naru.syncTimeout").and_then(duration::go_duration);
        set.filter(|limit| !limit.is_zero())
    }

    /// Whether what is done in clusters is done as the service accounts that projects name.
    #[must_use]
    pub fn sync_impersonates(&self) -> bool {
        self.flag("application.sync.impersonation.enabled", false)
    }

    /// Whether nothing is done then where they name none; else it is done as without them.
    #[must_use]
    pub fn impersonation_enforced(&self) -> bool {
        self.flag("application.sync.impersonation.enforced", true)
    }

    /// Whether terminals are allowed.
    #[must_use]
    pub fn exec_enabled(&self) -> bool {
        self.flag("exec.enabled", false)
    }

    /// The shells that a terminal tries, in this order.
    #[must_use]
    pub fn shells(&self) -> Vec<String> {
        let said = self.cm("exec.shells").filter(|said| !said.is_empty());
        let said = said.unwrap_or(SHELLS);
        said.split(',').map(str::to_owned).collect()
    }

    /// Whether the right to change or delete an application reaches the objects below it.
    #[must_use]
    pub fn rights_reach_objects(&self) -> bool {
        !self.flag(
            "server.rbac.disableApplicationFineGrainedRBACInheritance",
            true,
        )
    }

    /// Whether badges are served, and from which address.
    #[must_use]
    pub fn status_badge(&self) -> (bool, &str) {
        let url = self.cm("statusbadge.url").unwrap_or_default();
        (self.flag("statusbadge.enabled", false), url)
    }

    /// The style sheet of one's own.
    #[must_use]
    pub fn css_url(&self) -> &str {
        self.cm("ui.cssurl").unwrap_or_default()
    }

    /// What the button for logging in says.
    #[must_use]
    pub fn login_button_text(&self) -> &str {
        self.cm("ui.loginButtonText").unwrap_or_default()
    }

    /// What stands above every page.
    #[must_use]
    pub fn banner(&self) -> Banner {
        Banner {
            content: self.text("ui.bannercontent"),
            url: self.text("ui.bannerurl"),
            permanent: self.flag("ui.bannerpermanent", false),
            position: self.text("ui.bannerposition"),
        }
    }

    /// Where people find help. The chat's text is there only with a chat.
    #[must_use]
    pub fn help(&self) -> Help {
        let chat_url = self.text("help.chatUrl");
        let chat_text = match self.cm("help.chatText") {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ if chat_url.is_empty() => String::new(),
            _ => "Chat now!".to_owned(),
        };
        let binary_urls = self
            .raw
            .keys(&Object::Cm)
            .filter_map(|(key, value)| {
                let platform = key.strip_prefix("help.download.")?;
                Some((platform.to_owned(), value.expose().to_owned()))
            })
            .collect();
        Help {
            chat_url,
            chat_text,
            binary_urls,
        }
    }

    /// What is counted of visitors.
    #[must_use]
    pub fn analytics(&self) -> Analytics {
        Analytics {
            tracking_id: self.text("ga.trackingid"),
            anonymize_users: self.flag("ga.anonymizeusers", true),
        }
    }

    /// How Kustomize is called.
    #[must_use]
    pub fn kustomize(&self) -> Kustomize {
        let versions: std::collections::BTreeSet<String> = self
            .raw
            .keys(&Object::Cm)
            .filter_map(|(key, _)| {
                key.strip_prefix("kustomize.version.")
                    .or_else(|| key.strip_prefix("kustomize.path."))
            })
            .map(str::to_owned)
            .collect();
        Kustomize {
            build_options: self.text("kustomize.buildOptions"),
            versions: versions.into_iter().collect(),
        }
    }

    /// The projects that others inherit from: the document as written.
    #[must_use]
    pub fn global_projects(&self) -> Vec<Json> {
        match self.cm("globalProjects").map(yaml::read) {
            Some(Ok(Json::Array(items))) => items,
            _ => Vec::new(),
        }
    }

    /// The ways to log in through Dex; `None` when it is not set up.
    #[must_use]
    pub fn dex_connectors(&self) -> Option<Vec<Connector>> {
        let document = self.document("dex.config")?;
        let items = document["connectors"].as_array().into_iter().flatten();
        let text = |item: &Json, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        Some(
            items
                .map(|item| Connector {
                    name: text(item, "name"),
                    kind: text(item, "type"),
                    id: text(item, "id"),
                })
                .collect(),
        )
    }

    /// The way to log in elsewhere.
    #[must_use]
    pub fn oidc(&self) -> Option<OidcConfig> {
        let document = self.document("oidc.config")?;
        let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
        let scopes = document["requestedScopes"].as_array().into_iter().flatten();
        Some(OidcConfig {
            name: text("name"),
            issuer: text("issuer"),
            client_id: text("clientID"),
            cli_client_id: text("cliClientID"),
            scopes: scopes.filter_map(Json::as_str).map(str::to_owned).collect(),
            enable_pkce: document["enablePKCEAuthentication"]
                .as_bool()
                .unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(object: &Object, pairs: &[(&str, &str)]) -> Config {
        let mut raw = Raw::default();
        for (key, value) in pairs {
            raw.set(object, key, value);
        }
        Config::from_raw(raw)
    }

    #[test]
    fn nothing_set_is_argo_cds_default() {
        let config = Config::default();
        assert_eq!(config.session_duration(), SESSION);
        assert_eq!(config.password_pattern(), PASSWORD_PATTERN);
        assert_eq!(config.marking(), Marking::default());
        assert!(!config.anonymous_enabled() && !config.logins_disabled());
        assert!(!config.rights_reach_objects());
        assert_eq!(config.rbac().scopes, ["groups"]);
        assert_eq!(config.rbac().match_mode, "glob");
        assert!(!config.exec_enabled() && !config.sync_impersonates());
        assert!(config.impersonation_enforced());
        assert_eq!(config.shells(), ["bash", "sh", "powershell", "cmd"]);
        assert!(config.analytics().anonymize_users);
        assert_eq!(config.help(), Help::default());
        assert!(config.oidc().is_none() && config.dex_connectors().is_none());
    }

    #[test]
    fn policies_are_put_together_by_name_with_the_main_one_first() {
        let config = with(
            &Object::Rbac,
            &[
                ("policy.b.csv", "b"),
                ("policy.csv", "main"),
                ("policy.a.csv", "a\nand more\n"),
                ("scopes", "[groups, email]"),
                ("policy.default", "role:readonly"),
            ],
        );
        assert_eq!(config.rbac().policy_csv, "main\na\nand more\n\nb");
        for (line, place) in [
            (1, ("policy.csv", 1)),
            (2, ("policy.a.csv", 1)),
            (3, ("policy.a.csv", 2)),
            (5, ("policy.b.csv", 1)),
        ] {
            assert_eq!(config.rbac().place(line), place);
        }
        assert_eq!(config.rbac().scopes, ["groups", "email"]);
        assert_eq!(config.rbac().policy_default, "role:readonly");
    }

    #[test]
    fn what_is_set_is_said() {
        let config = with(
            &Object::Cm,
            &[
                ("users.session.duration", "1h"),
                ("exec.enabled", "true"),
                ("application.sync.impersonation.enabled", "true"),
                ("application.sync.impersonation.enforced", "false"),
                ("exec.shells", "/bin/zsh,sh"),
                ("help.chatUrl", "https://chat.example"),
                ("help.download.linux-amd64", "https://get.example"),
                ("kustomize.version.v5.0.0", "/x"),
                ("admin.enabled", "false"),
                (
                    "server.rbac.disableApplicationFineGrainedRBACInheritance",
                    "false",
                ),
                ("additionalUrls", "- https://b.example"),
                (
                    "oidc.config",
                    "name: Okta\nissuer: https://okta.example\nclientID: x\n",
                ),
                (
                    "dex.config",
                    "connectors:\n- type: github\n  id: gh\n  name: GitHub\n",
                ),
            ],
        );
        assert_eq!(config.session_duration(), Duration::from_secs(3_600));
        assert!(config.exec_enabled() && config.sync_impersonates());
        assert!(!config.impersonation_enforced());
        assert_eq!(config.shells(), ["/bin/zsh", "sh"]);
        assert_eq!(config.help().chat_text, "Chat now!");
        assert_eq!(
            config.help().binary_urls["linux-amd64"],
            "https://get.example"
        );
        assert_eq!(config.kustomize().versions, ["v5.0.0"]);
        assert!(config.logins_disabled() && config.rights_reach_objects());
        assert_eq!(config.additional_urls(), ["https://b.example"]);
        assert_eq!(config.oidc().unwrap().name, "Okta");
        assert_eq!(config.dex_connectors().unwrap()[0].kind, "github");
    }
}
