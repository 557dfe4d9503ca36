//! `resource.exclusions` and `resource.inclusions`: the kinds that a tenant leaves out of everything, as Argo CD reads them.

use serde_json::Value as Json;

use super::{Config, Object, yaml};
use crate::glob::Glob;
use crate::message::{Message, settings as say};

/// The fields of an entry.
const FIELDS: [&str; 3] = ["apiGroups", "kinds", "clusters"];
/// The most patterns of one key, about in characters: every object of the tenant is held against them.
const MAX_SIZE: usize = 8 << 10;

/// The kinds that a tenant leaves out of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KindFilter {
    exclusions: Vec<Entry>,
    inclusions: Vec<Entry>,
}

/// Some kinds. A list that names nothing is for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Entry {
    groups: Vec<Glob>,
    /// Names, or `*`: kinds are no globs.
    kinds: Vec<String>,
    clusters: Vec<Glob>,
}

impl KindFilter {
    /// Whether objects of a kind are left out in a cluster of this address. Where there are inclusions nothing else is let
    /// in, and an exclusion goes before them.
    #[must_use]
    pub fn excludes(&self, group: &str, kind: &str, cluster: &str) -> bool {
        let named = |entries: &[Entry]| entries.iter().any(|one| one.names(group, kind, cluster));
        (!self.inclusions.is_empty() && !named(&self.inclusions)) || named(&self.exclusions)
    }

    /// Whether a text is a list of kinds.
    ///
    /// # Errors
    /// What to write instead.
    pub(super) fn check(text: &str) -> Result<(), Message> {
        entries(text).map(drop)
    }
}

impl Entry {
    fn names(&self, group: &str, kind: &str, cluster: &str) -> bool {
        let any = |globs: &[Glob], text: &str| {
            globs.is_empty() || globs.iter().any(|glob| glob.matches(text, None))
        };
        let kinds = &self.kinds;
        let is_kind = kinds.is_empty() || kinds.iter().any(|name| name == "*" || name == kind);
        is_kind && any(&self.groups, group) && any(&self.clusters, cluster)
    }

    fn size(&self) -> usize {
        let globs = self.groups.iter().chain(&self.clusters).map(Glob::size);
        let kinds = self.kinds.iter().map(String::len);
        1 + globs.chain(kinds).map(|size| size + 1).sum::<usize>()
    }
}

impl Config {
    /// The kinds that it leaves out. What cannot be read leaves out nothing: writing it is refused.
    #[must_use]
    pub fn kind_filter(&self) -> KindFilter {
        let read = |key: &str| {
            let text = self.raw.text(&Object::Cm, key).map(entries);
            text.and_then(Result::ok).unwrap_or_default()
        };
        KindFilter {
            exclusions: read("resource.exclusions"),
            inclusions: read("resource.inclusions"),
        }
    }
}

fn entries(text: &str) -> Result<Vec<Entry>, Message> {
    let document = yaml::read(text).map_err(|why| say::NOT_YAML.with("why", why))?;
    let all: &[Json] = match &document {
        Json::Null => &[],
        Json::Array(all) => all,
        _ => return Err(say::NOT_LIST.message()),
    };
    let entries: Vec<Entry> = all.iter().map(entry).collect::<Result<_, _>>()?;
    let size: usize = entries.iter().map(Entry::size).sum();
    match size > MAX_SIZE {
        true => Err(say::TOO_LONG.with("limit", MAX_SIZE)),
        false => Ok(entries),
    }
}

fn entry(document: &Json) -> Result<Entry, Message> {
    let fields = document
        .as_object()
        .ok_or_else(|| say::NOT_KINDS.with("what", document))?;
    // A misspelt list would be one that names nothing, and leave out everything.
    if let Some(other) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(say::NOT_KINDS.with("what", other));
    }
    let globs = |name: &str| {
        let compiled = names(&document[name])?.into_iter();
        let compiled = compiled
            .map(|text| Glob::new(&text, None).ok_or_else(|| say::NOT_KINDS.with("what", &text)));
        compiled.collect::<Result<Vec<Glob>, Message>>()
    };
    Ok(Entry {
        groups: globs("apiGroups")?,
        kinds: names(&document["kinds"])?,
        clusters: globs("clusters")?,
    })
}

/// A list of texts; none where there is no list.
fn names(list: &Json) -> Result<Vec<String>, Message> {
    let refused = |what: &Json| say::NOT_KINDS.with("what", what);
    let all = match list {
        Json::Null => return Ok(Vec::new()),
        Json::Array(all) => all.iter(),
        other => return Err(refused(other)),
    };
    all.map(|one| one.as_str().map(str::to_owned).ok_or_else(|| refused(one)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Change, Raw};

    const HERE: &str = "https://kubernetes.default.svc";

    fn filter(exclusions: &str, inclusions: &str) -> KindFilter {
        let mut raw = Raw::default();
        raw.set(&Object::Cm, "resource.exclusions", exclusions);
        raw.set(&Object::Cm, "resource.inclusions", inclusions);
        Config::from_raw(raw).kind_filter()
    }

    #[test]
    fn a_kind_is_left_out_by_group_kind_and_cluster() {
        let groups = "- apiGroups: [\"*.example.com\"]\n";
        let one = filter(groups, "");
        assert!(one.excludes("a.example.com", "Thing", HERE));
        assert!(!one.excludes("example.com", "Thing", HERE));
        let core = filter("- apiGroups: [\"\"]\n  kinds: [ConfigMap, Event]\n", "");
        assert!(core.excludes("", "ConfigMap", HERE) && !core.excludes("", "Secret", HERE));
        assert!(!core.excludes("apps", "ConfigMap", HERE));
        // Kinds are no globs, and a kind without groups is one of any group.
        let kinds = filter("- kinds: [\"Config*\", Job]\n", "");
        assert!(!kinds.excludes("", "ConfigMap", HERE) && kinds.excludes("batch", "Job", HERE));
        let clusters = filter("- kinds: [\"*\"]\n  clusters: [\"https://other*\"]\n", "");
        assert!(!clusters.excludes("", "Pod", HERE));
        assert!(clusters.excludes("", "Pod", "https://other.example"));
        assert!(filter("- {}\n", "").excludes("", "Pod", HERE));
    }

    #[test]
    fn inclusions_let_nothing_else_in_and_exclusions_go_before_them() {
        assert!(!filter("", "").excludes("", "Pod", HERE));
        assert!(!filter("[]", "[]").excludes("", "Pod", HERE));
        let apps = "- apiGroups: [apps]\n";
        assert!(filter("", apps).excludes("", "Pod", HERE));
        assert!(!filter("", apps).excludes("apps", "Deployment", HERE));
        assert!(filter(apps, apps).excludes("apps", "Deployment", HERE));
    }

    #[test]
    fn what_is_no_list_of_kinds_is_not_taken() {
        let written = |text: &str| {
            let change = Change {
                object: "argocd-cm".to_owned(),
                key: "resource.exclusions".to_owned(),
                value: Some(text.to_owned()),
            };
            Config::default().apply(&[change]).is_ok()
        };
        assert!(written("") && written("- kinds: [Job]\n") && written("- apiGroups:\n  - \"\"\n"));
        for bad in [
            "kinds: [Job]",
            "- Job",
            "- kinds: Job",
            "- kinds: [[Job]]",
            "- kind: [Job]",
            "- apiGroups: [\"{a\"]",
            "- [",
        ] {
            assert!(!written(bad), "{bad}");
        }
        assert!(!written(&"- kinds: [Job]\n".repeat(3_000)));
    }
}
