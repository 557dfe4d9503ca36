//! The build variables that Argo CD offers to a source's options.

use std::collections::BTreeMap;

use super::reader::Reader;
use super::renderer::RenderInput;

/// The build variables of one render.
pub(super) struct Environment(BTreeMap<&'static str, String>);

impl Environment {
    pub(super) fn new(input: &RenderInput, commit: &str) -> Self {
        let short = |length: usize| commit.get(..length).unwrap_or(commit).to_owned();
        Self(BTreeMap::from([
            ("ARGOCD_APP_NAME", input.app_name.clone()),
            ("ARGOCD_APP_NAMESPACE", input.namespace.clone()),
            ("ARGOCD_APP_PROJECT_NAME", input.project.clone()),
            ("ARGOCD_APP_REVISION", commit.to_owned()),
            ("ARGOCD_APP_REVISION_SHORT", short(7)),
            ("ARGOCD_APP_REVISION_SHORT_8", short(8)),
            (
                "ARGOCD_APP_SOURCE_REPO_URL",
                input.text("repoURL").to_owned(),
            ),
            ("ARGOCD_APP_SOURCE_PATH", input.text("path").to_owned()),
            (
                "ARGOCD_APP_SOURCE_TARGET_REVISION",
                input.text("targetRevision").to_owned(),
            ),
        ]))
    }

    /// A variable's value; empty for an unknown one.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A variable's value for something that is made of it without naming it, noted as used.
    pub(super) fn used(&self, name: &str, reader: &Reader<'_, '_>) -> String {
        let value = self.get(name).to_owned();
        reader.note(|set| {
            set.environment.insert(name.to_owned(), value.clone());
        });
        value
    }

    /// Fills `$NAME` and `${NAME}` in as Go's `os.Expand` does (`$$` is `$`), and notes what was used.
    pub(super) fn expand(&self, text: &str, reader: &Reader<'_, '_>) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let (name, length) = name_of(after);
            if length == 0 || name == "$" {
                out.push('$');
            } else if !name.is_empty() {
                let value = self.get(name);
                out.push_str(value);
                reader.note(|set| {
                    set.environment.insert(name.to_owned(), value.to_owned());
                });
            }
            rest = &after[length..];
        }
        out.push_str(rest);
        out
    }
}

/// The name after a `$` and how much of the text it takes.
fn name_of(text: &str) -> (&str, usize) {
    let special = |c: char| "*#$@!?-".contains(c) || c.is_ascii_digit();
    if let Some(braced) = text.strip_prefix('{') {
        return match braced.find('}') {
            Some(end) => (&braced[..end], end + 2),
            None => ("", 1),
        };
    }
    match text.chars().next() {
        Some(c) if special(c) => (&text[..1], 1),
        _ => {
            let end = text
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(text.len());
            (&text[..end], end)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_build_variable_of_argo_cd_has_its_value() {
        let input = RenderInput {
            source: json!({"repoURL": "https://git.example/team/app.git", "path": "apps/web", "targetRevision": "main"}),
            app_name: "web".to_owned(),
            project: "shop".to_owned(),
            namespace: "user01".to_owned(),
            ..RenderInput::default()
        };
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let environment = Environment::new(&input, commit);
        for (name, value) in [
            ("ARGOCD_APP_NAME", "web"),
            ("ARGOCD_APP_NAMESPACE", "user01"),
            ("ARGOCD_APP_PROJECT_NAME", "shop"),
            ("ARGOCD_APP_REVISION", commit),
            ("ARGOCD_APP_REVISION_SHORT", "0123456"),
            ("ARGOCD_APP_REVISION_SHORT_8", "01234567"),
            (
                "ARGOCD_APP_SOURCE_REPO_URL",
                "https://git.example/team/app.git",
            ),
            ("ARGOCD_APP_SOURCE_PATH", "apps/web"),
            ("ARGOCD_APP_SOURCE_TARGET_REVISION", "main"),
            ("HOME", ""),
        ] {
            assert_eq!(environment.get(name), value, "{name}");
        }
        // A chart's version is as long as it is.
        let chart = Environment::new(&input, "1.2.3");
        assert_eq!(chart.get("ARGOCD_APP_REVISION_SHORT"), "1.2.3");
    }

    /// As `getShellName` of Go's `os` package.
    #[test]
    fn a_name_ends_where_it_does_for_go() {
        for (after, name, length) in [
            ("NAME-x", "NAME", 4),
            ("A_1b.c", "A_1b", 4),
            ("{NAME}x", "NAME", 6),
            ("{a-b}", "a-b", 5),
            ("$x", "$", 1),
            ("1x", "1", 1),
            ("", "", 0),
            (".x", "", 0),
            ("{open", "", 1),
        ] {
            assert_eq!(name_of(after), (name, length), "${after}");
        }
    }
}
