//! What applications and objects ask of a sync by name: sync options, compare options, waves, hooks.

use domain::resource::annotation;
use serde_json::Value;

/// The annotation with an object's sync options.
pub const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// The annotation with an object's compare options.
pub const COMPARE_OPTIONS: &str = "argocd.argoproj.io/compare-options";
/// The annotation with an object's wave.
pub const SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// The annotation that makes an object a hook.
pub const HOOK: &str = "argocd.argoproj.io/hook";
/// Helm's annotation that makes an object a hook.
pub const HELM_HOOK: &str = "helm.sh/hook";
/// Helm's annotation with a hook's weight.
pub const HELM_WEIGHT: &str = "helm.sh/hook-weight";

/// The moments at which a hook runs.
pub(crate) const HOOKS: [&str; 6] = [
    "PreSync",
    "Sync",
    "PostSync",
    "SyncFail",
    "PreDelete",
    "PostDelete",
];
/// Those of Helm's that come to a moment of ours.
pub(crate) const HELM_HOOKS: [&str; 6] = [
    "pre-install",
    "pre-upgrade",
    "post-install",
    "post-upgrade",
    "pre-delete",
    "post-delete",
];

/// How deleting an object reaches what it owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Propagation {
    /// What it owns goes first.
    #[default]
    Foreground,
    /// What it owns goes later.
    Background,
    /// What it owns stays.
    Orphan,
}

/// A set of `Name=value` options, of an application or of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncOptions {
    /// `CreateNamespace=true`.
    pub create_namespace: bool,
    /// `Prune=false`.
    pub no_prune: bool,
    /// `Prune=confirm`.
    pub confirm_prune: bool,
    /// `Delete=false`.
    pub no_delete: bool,
    /// `Delete=confirm`.
    pub confirm_delete: bool,
    /// `PruneLast=true`.
    pub prune_last: bool,
    /// `PrunePropagationPolicy=…`.
    pub propagation: Option<Propagation>,
    /// `Replace=true`.
    pub replace: bool,
    /// `Force=true`.
    pub force: bool,
    /// `ServerSideApply=true|false`; `None` when not said.
    pub server_side: Option<bool>,
    /// `ApplyOutOfSyncOnly=true`.
    pub out_of_sync_only: bool,
    /// `SkipDryRunOnMissingResource=true`.
    pub skip_dry_run_on_missing: bool,
    /// `FailOnSharedResource=true`.
    pub fail_on_shared: bool,
    /// `RespectIgnoreDifferences=true`.
    pub respect_ignored: bool,
    /// `Validate=false`.
    pub no_validate: bool,
    /// `ClientSideApplyMigration=false`.
    pub no_migration: bool,
}

impl SyncOptions {
    /// Reads a list of options; unknown ones have no effect ([`misspelt`](crate::misspelt) tells of them).
    #[must_use]
    pub fn parse<'a>(options: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        for option in options {
            match option.trim() {
                "CreateNamespace=true" => set.create_namespace = true,
                "Prune=false" => set.no_prune = true,
                "Prune=confirm" => set.confirm_prune = true,
                "Delete=false" => set.no_delete = true,
                "Delete=confirm" => set.confirm_delete = true,
                "PruneLast=true" => set.prune_last = true,
                "PrunePropagationPolicy=foreground" => {
                    set.propagation = Some(Propagation::Foreground)
                }
                "PrunePropagationPolicy=background" => {
                    set.propagation = Some(Propagation::Background)
                }
                "PrunePropagationPolicy=orphan" => set.propagation = Some(Propagation::Orphan),
                "Replace=true" => set.replace = true,
                "Force=true" => set.force = true,
                "ServerSideApply=true" => set.server_side = Some(true),
                "ServerSideApply=false" => set.server_side = Some(false),
                "ApplyOutOfSyncOnly=true" => set.out_of_sync_only = true,
                "SkipDryRunOnMissingResource=true" => set.skip_dry_run_on_missing = true,
                "FailOnSharedResource=true" => set.fail_on_shared = true,
                "RespectIgnoreDifferences=true" => set.respect_ignored = true,
                "Validate=false" => set.no_validate = true,
                "ClientSideApplyMigration=false" => set.no_migration = true,
                _ => {}
            }
        }
        set
    }

    /// The options that an object carries; Helm's `resource-policy: keep` counts as `Prune=false,Delete=false`.
    #[must_use]
    pub fn of_object(object: &Value) -> Self {
        let mut set = Self::parse(
            annotation(object, SYNC_OPTIONS)
                .unwrap_or_default()
                .split(','),
        );
        if annotation(object, "helm.sh/resource-policy")
            .is_some_and(|policy| policy.trim() == "keep")
        {
            set.no_prune = true;
            set.no_delete = true;
        }
        set
    }
}

/// Whether an object's compare options name `option`.
#[must_use]
pub fn compare_option(object: &Value, option: &str) -> bool {
    annotation(object, COMPARE_OPTIONS)
        .unwrap_or_default()
        .split(',')
        .any(|o| o.trim() == option)
}

/// Who says what a target would make of its live object, by the options of an application or of one object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompareOptions {
    /// `ServerSideDiff=true|false`; `None` when not said.
    pub server_side: Option<bool>,
    /// `IncludeMutationWebhook=true`.
    pub webhooks: bool,
    /// Whether server-side apply is asked for, whose merge then says it.
    pub merged: bool,
    /// `ServerSideApply=true|false`, as syncs follow it; `None` when not said.
    pub applied_by_server: Option<bool>,
    /// `Replace=true`, as syncs follow it.
    pub replaced: bool,
}

impl CompareOptions {
    /// Reads the text of the annotation.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut options = Self::default();
        for option in text.split(',') {
            match option.trim() {
                "ServerSideDiff=true" => options.server_side = Some(true),
                "ServerSideDiff=false" => options.server_side = Some(false),
                "IncludeMutationWebhook=true" => options.webhooks = true,
                _ => {}
            }
        }
        options
    }

    /// The same with what an application's sync options ask of the comparison.
    #[must_use]
    pub fn with_sync(self, options: &SyncOptions) -> Self {
        Self {
            merged: options.server_side == Some(true),
            applied_by_server: options.server_side,
            replaced: options.replace,
            ..self
        }
    }

    /// Whether a sync takes away what left Git though somebody else has it too: all but server-side apply do.
    #[must_use]
    pub fn takes_from_others(self) -> bool {
        self.replaced || self.applied_by_server == Some(false)
    }

    /// Those of an object of an application: its own word counts before the application's. `ServerSideApply=false` takes no
    /// merge back, as in Argo CD.
    #[must_use]
    pub fn of_object(self, object: &Value) -> Self {
        let own = Self::parse(annotation(object, COMPARE_OPTIONS).unwrap_or_default())
            .with_sync(&SyncOptions::of_object(object));
        Self {
            server_side: own.server_side.or(self.server_side),
            webhooks: own.webhooks || self.webhooks,
            merged: own.merged || self.merged,
            applied_by_server: own.applied_by_server.or(self.applied_by_server),
            replaced: own.replaced || self.replaced,
        }
    }
}

/// An object's wave; Helm's hook weight where there is none, else 0.
#[must_use]
pub fn wave(object: &Value) -> i64 {
    let number = |name| annotation(object, name).and_then(|text| text.trim().parse().ok());
    number(SYNC_WAVE)
        .or_else(|| number(HELM_WEIGHT))
        .unwrap_or_default()
}

/// What an object is to a sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// An ordinary object.
    #[default]
    Ordinary,
    /// Runs at a moment of the sync.
    Hook,
    /// `hook: Skip`: known, never applied.
    Skipped,
    /// A hook of no known kind (Helm's tests, a misspelt word): as if it were not there.
    Ignored,
}

/// The words of an annotation, separated by commas.
pub(crate) fn words<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    annotation(object, name)
        .into_iter()
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

/// What an object is to a sync, by its annotations.
#[must_use]
pub fn role(object: &Value) -> Role {
    let words = |name| words(object, name);
    if words(HOOK).next().is_some() {
        if words(HOOK).any(|word| word == "Skip") {
            return Role::Skipped;
        }
        return if words(HOOK).any(|word| HOOKS.contains(&word)) {
            Role::Hook
        } else {
            Role::Ignored
        };
    }
    if words(HELM_HOOK).next().is_some() {
        if words(HELM_HOOK).any(|word| word == "crd-install") {
            return Role::Ordinary;
        }
        return if words(HELM_HOOK).any(|word| HELM_HOOKS.contains(&word)) {
            Role::Hook
        } else {
            Role::Ignored
        };
    }
    Role::Ordinary
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_objects_annotations_say_what_it_is() {
        let object = |annotations: Value| json!({"metadata": {"annotations": annotations}});
        assert_eq!(role(&object(json!({}))), Role::Ordinary);
        assert_eq!(role(&object(json!({HOOK: "PreSync,PostSync"}))), Role::Hook);
        assert_eq!(role(&object(json!({HOOK: "Skip"}))), Role::Skipped);
        assert_eq!(role(&object(json!({HOOK: "presync"}))), Role::Ignored);
        assert_eq!(role(&object(json!({HELM_HOOK: "test"}))), Role::Ignored);
        assert_eq!(
            role(&object(json!({HELM_HOOK: "crd-install"}))),
            Role::Ordinary
        );
        assert_eq!(
            role(&object(json!({HELM_HOOK: "test", HOOK: "Sync"}))),
            Role::Hook
        );
        assert_eq!(
            wave(&object(
                json!({SYNC_WAVE: "-2", "helm.sh/hook-weight": "5"})
            )),
            -2
        );
        assert!(
            SyncOptions::of_object(&object(json!({SYNC_OPTIONS: "Prune=false, Force=true"})))
                .no_prune
        );
        assert!(
            SyncOptions::of_object(&object(json!({"helm.sh/resource-policy": "keep"}))).no_delete
        );
    }

    #[test]
    fn an_objects_word_on_how_it_is_compared_counts_before_the_applications() {
        let object = |words: &str| json!({"metadata": {"annotations": {COMPARE_OPTIONS: words}}});
        let app = CompareOptions::parse("ServerSideDiff=true, IncludeMutationWebhook=true");
        assert_eq!(app.of_object(&json!({})), app);
        let taken_out = app.of_object(&object("IgnoreExtraneous,ServerSideDiff=false"));
        assert_eq!(taken_out.server_side, Some(false));
        let alone = CompareOptions::default().of_object(&object("ServerSideDiff=true"));
        assert_eq!((alone.server_side, alone.webhooks), (Some(true), false));
    }

    #[test]
    fn server_side_apply_asks_for_its_merge() {
        let object = |words: &str| json!({"metadata": {"annotations": {SYNC_OPTIONS: words}}});
        let plain = CompareOptions::default();
        assert!(!plain.of_object(&object("Prune=false")).merged);
        assert!(plain.of_object(&object("ServerSideApply=true")).merged);
        let app = plain.with_sync(&SyncOptions::parse(["ServerSideApply=true"]));
        assert!(app.of_object(&object("ServerSideApply=false")).merged);
    }

    #[test]
    fn what_others_have_too_stays_with_server_side_apply_alone() {
        let object = |words: &str| json!({"metadata": {"annotations": {SYNC_OPTIONS: words}}});
        let app = |options: &[&str]| {
            CompareOptions::default().with_sync(&SyncOptions::parse(options.iter().copied()))
        };
        let takes = |options: &[&str], words: &str| {
            let options = app(options).of_object(&object(words));
            options.takes_from_others()
        };
        assert!(!takes(&[], ""));
        assert!(!takes(&["ServerSideApply=true"], ""));
        assert!(takes(&["ServerSideApply=false"], ""));
        assert!(takes(&[], "ServerSideApply=false"));
        assert!(!takes(&["ServerSideApply=false"], "ServerSideApply=true"));
        assert!(takes(&["Replace=true"], "ServerSideApply=true"));
        assert!(takes(&[], "Replace=true"));
    }
}
