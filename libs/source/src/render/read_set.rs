//! What a render depended on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::environment::Environment;
use super::overrides;
use super::renderer::{RenderInput, Target};
use super::trees::Trees;
use super::web::WebFile;
use crate::error::Error;
use crate::git::{Files, Item, ItemKind, Node};

/// Everything that a render looked at. Equal at another commit means that the same manifests come out.
///
/// It can be stored (it is JSON) and holds nothing secret: names, ids and the values of variables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReadSet {
    /// In the source's own tree.
    pub(super) own: Looks,
    /// In the trees of other sources, by the names that options have for them.
    pub(super) others: BTreeMap<String, Looks>,
    /// Every variable's name that occurred in a file, and what it stood for.
    pub(super) variables: BTreeMap<String, Option<String>>,
    /// Build variables that were filled in.
    pub(super) environment: BTreeMap<String, String>,
    /// What was asked about the cluster.
    pub(super) cluster: Cluster,
    /// Charts of other places that were rendered along.
    pub(super) remotes: Vec<Remote>,
    /// Files of web servers, by their addresses.
    pub(super) web: BTreeMap<String, WebFile>,
    /// The application for which `.argocd-source-<app>.yaml` was looked for, and whether it was there.
    pub(super) application: Option<(String, bool)>,
    /// The source's folder and its tree, when nothing outside it was looked at: the short way to an answer.
    pub(super) scope: Option<(String, String)>,
}

/// What was looked at in one tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Looks {
    /// Files, links and look-ups that found nothing, by path.
    pub(super) entries: BTreeMap<String, Node>,
    /// Paths that had to be folders, whatever is in them.
    pub(super) folders: BTreeSet<String>,
    /// Listings: the names and kinds of a folder's entries, hashed.
    pub(super) listings: BTreeMap<String, String>,
}

impl Looks {
    /// Whether they would find the same.
    fn hold(&self, files: &Files<'_>) -> Result<bool, Error> {
        for (path, node) in &self.entries {
            if files.node(path)? != *node {
                return Ok(false);
            }
        }
        for path in &self.folders {
            if !matches!(files.node(path)?, Node::Folder(_)) {
                return Ok(false);
            }
        }
        for (path, hash) in &self.listings {
            let Node::Folder(tree) = files.node(path)? else {
                return Ok(false);
            };
            if listing(&files.list(&tree)?) != *hash {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A chart of another place, and how it was come by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Remote {
    /// The place as it is written.
    pub(super) place: String,
    /// Where that was, and with which credential.
    pub(super) url: String,
    pub(super) scope: String,
    pub(super) chart: String,
    pub(super) version: String,
    pub(super) digest: String,
    /// When a range has to be looked up again, in Unix seconds; a version is what it is.
    pub(super) until: Option<i64>,
}

impl Remote {
    fn holds(&self, input: &RenderInput) -> bool {
        let way = input.dependencies.get(&self.place);
        way.and_then(Option::as_ref)
            .is_some_and(|access| access.url() == self.url && access.scope() == self.scope)
            && self.until.is_none_or(|until| input.now < until)
    }
}

/// What a render wanted to know about the cluster that it is for, and was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Cluster {
    pub(super) version: Option<String>,
    pub(super) apis: BTreeMap<String, bool>,
    /// The name of the list, where all of it was.
    pub(super) all: Option<String>,
}

impl Cluster {
    fn holds(&self, target: &Target) -> bool {
        let version = self.version.as_ref();
        version.is_none_or(|version| *version == target.kube_version)
            && self.apis.iter().all(|(api, has)| target.has(api) == *has)
            && self.all.as_ref().is_none_or(|name| *name == target.name())
    }
}

/// A folder's names and kinds, hashed.
pub(super) fn listing(items: &[Item]) -> String {
    let mut hash = Sha256::new();
    for item in items {
        hash.update([match item.kind {
            ItemKind::File => b'f',
            ItemKind::Folder => b'd',
            ItemKind::Link => b'l',
            ItemKind::Submodule => b's',
        }]);
        hash.update(&item.name);
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..16])
}

impl ReadSet {
    /// A name that only equal sets for equal options have. The folder's tree, which may differ in what nobody read, is not
    /// part of it.
    pub(super) fn name(&self, source: &[u8]) -> String {
        let web = self.web.iter().map(|(url, file)| {
            let file = WebFile {
                until: 0,
                ..file.clone()
            };
            (url.clone(), file)
        });
        let set = Self {
            scope: None,
            web: web.collect(),
            remotes: self
                .remotes
                .iter()
                .map(|remote| Remote {
                    until: None,
                    ..remote.clone()
                })
                .collect(),
            ..self.clone()
        };
        let mut hash = Sha256::new();
        hash.update(source);
        // Maps that are sorted, and texts: that cannot fail.
        hash.update(serde_json::to_vec(&set).unwrap_or_default());
        hex::encode(hash.finalize())
    }

    /// The places of charts that were rendered along and of which `input` does not say whether there is a way in, as they
    /// are written.
    fn needs(&self, input: &RenderInput) -> Vec<String> {
        let places = self.remotes.iter().map(|remote| &remote.place);
        let unknown = places.filter(|place| !input.dependencies.contains_key(*place));
        unknown
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// Whether it may come out otherwise after a while though nothing of its own changes.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.remotes.iter().any(|remote| remote.until.is_some())
    }

    /// The addresses of the repositories that folders were taken of by their addresses, and those of web servers' files.
    #[must_use]
    pub fn remotes(&self) -> Vec<String> {
        let names = self.others.keys();
        let mut found: Vec<String> = names
            .filter_map(|name| Some(name.split_once("?ref=")?.0.to_owned()))
            .collect();
        found.dedup();
        found.extend(self.web.keys().cloned());
        found
    }

    /// Notes the folder within which everything was, if it all was.
    pub(super) fn close(&mut self, folder: &str, tree: &str) {
        let inside = |path: &str| {
            folder.is_empty()
                || path == folder
                || path
                    .strip_prefix(folder)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        let Looks {
            entries,
            folders,
            listings,
        } = &self.own;
        let linked = entries
            .iter()
            .any(|(path, node)| path == folder && !matches!(node, Node::Folder(_)));
        let paths = entries.keys().chain(folders).chain(listings.keys());
        if !linked && paths.into_iter().all(|path| inside(path)) {
            self.scope = Some((folder.to_owned(), tree.to_owned()));
        }
    }

    /// Whether a render of `files` for `input` would come out as the one that this set was noted for.
    ///
    /// The source's options must be the same; they are part of the key under which a set is kept.
    ///
    /// # Errors
    /// When a mirror is damaged, or another tree cannot be had; with what it needs, where there is no way into the place of a
    /// chart and all else holds.
    pub(super) fn holds(
        &self,
        files: &Files<'_>,
        trees: &Trees,
        input: &RenderInput,
        commit: &str,
    ) -> Result<bool, Error> {
        let environment = Environment::new(input, commit);
        let same =
            |(name, value): (&String, &Option<String>)| input.variables.get(name) == value.as_ref();
        let known = |remote: &&Remote| input.dependencies.contains_key(&remote.place);
        let mut remotes = self.remotes.iter().filter(known);
        if !remotes.all(|remote| remote.holds(input))
            || !self.web.iter().all(|(url, file)| file.holds(url, input))
            || !self.cluster.holds(&input.target)
            || !self.variables.iter().all(same)
            || !self
                .environment
                .iter()
                .all(|(name, value)| environment.get(name) == value)
        {
            return Ok(false);
        }
        let whole = match &self.scope {
            Some((folder, tree)) => files.node(folder)? == Node::Folder(tree.clone()),
            None => false,
        };
        let holds = (whole || self.own.hold(files)?)
            && self.override_holds(files, input)?
            && self.others_hold(trees)?;
        let needs = self.needs(input);
        // Only now: what has changed may need no way there any more, and nobody may have one.
        if holds && !needs.is_empty() {
            return Err(Error::internal("ways in are missing").needing(needs));
        }
        Ok(holds)
    }

    /// Whether the application's own file of options is what it was, where all else of the tree is.
    fn override_holds(&self, files: &Files<'_>, input: &RenderInput) -> Result<bool, Error> {
        let folder = input.folder();
        let Some((name, there)) = &self.application else {
            return Ok(overrides::file_of(&folder, &input.app_name).is_none());
        };
        if *there {
            // The file that counted is that application's own; its content is among the entries.
            return Ok(*name == input.app_name);
        }
        // Where the path leads: it may go through links, or be written with dots.
        let found = files.find(&folder)?;
        if !matches!(found.node, Node::Folder(_)) {
            // Whether another application has such a file in a submodule is not seen from here.
            return Ok(*name == input.app_name);
        }
        match overrides::file_of(&found.path, &input.app_name) {
            Some(own) => Ok(files.node(&own)? == Node::Missing),
            None => Ok(true),
        }
    }

    fn others_hold(&self, trees: &Trees) -> Result<bool, Error> {
        for (name, looks) in &self.others {
            let Some(number) = trees.number(name)? else {
                return Ok(false);
            };
            if !trees.look(number, |files| looks.hold(files))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::{Access, Login, Place, Rules};

    #[test]
    fn a_chart_of_another_place_holds_for_the_same_way_in_and_a_range_for_a_while() {
        let place = Place::Charts {
            registry: false,
            without_tls: false,
        };
        let way = |scope: &str, url: &str| {
            Access::at("t", scope, url, Login::default(), Rules::default(), place).unwrap()
        };
        let url = "https://charts.example/stable";
        let input = |access: Option<Access>| RenderInput {
            now: 99,
            dependencies: access
                .map(|access| ("@stable".to_owned(), Some(access)))
                .into_iter()
                .collect(),
            ..RenderInput::default()
        };
        let remote = Remote {
            place: "@stable".into(),
            url: url.into(),
            scope: "web/stable".into(),
            until: Some(100),
            ..Remote::default()
        };
        assert!(remote.holds(&input(Some(way("web/stable", url)))));
        for other in [
            None,
            Some(way("", url)),
            Some(way("web/stable", "https://charts.example/other")),
        ] {
            assert!(!remote.holds(&input(other.clone())), "{other:?}");
        }
        let due = Remote {
            until: Some(99),
            ..remote.clone()
        };
        assert!(!due.holds(&input(Some(way("web/stable", url)))));
        let set = |remote: &Remote| ReadSet {
            remotes: vec![remote.clone()],
            ..ReadSet::default()
        };
        assert_eq!(set(&remote).needs(&input(None)), ["@stable"]);
        assert!(set(&remote).needs(&input(Some(way("", url)))).is_empty());
        // When it is looked up again says nothing about what came out.
        assert_eq!(set(&remote).name(b""), set(&due).name(b""));
    }
}
