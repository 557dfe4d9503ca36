//! What a render depended on.

use std::collections::{BTreeMap, BTreeSet};

use domain::render::{Changed, Read};
use domain::repository::without_passwords;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::environment::Environment;
use super::overrides;
use super::renderer::{RenderInput, Target};
use super::trees::{self, Trees};
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
    /// The first path at which they would find something else.
    fn changed(&self, files: &Files<'_>) -> Result<Option<&str>, Error> {
        for (path, node) in &self.entries {
            if files.node(path)? != *node {
                return Ok(Some(path));
            }
        }
        for path in &self.folders {
            if !matches!(files.node(path)?, Node::Folder(_)) {
                return Ok(Some(path));
            }
        }
        for (path, hash) in &self.listings {
            let Node::Folder(tree) = files.node(path)? else {
                return Ok(Some(path));
            };
            if listing(&files.list(&tree)?) != *hash {
                return Ok(Some(path));
            }
        }
        Ok(None)
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

    /// Its name for people.
    fn shown(&self) -> String {
        let place = without_passwords(&self.place);
        match self.chart.as_str() {
            "" => place,
            chart => format!("{place}/{chart}"),
        }
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
    /// The first that another cluster would say otherwise.
    fn changed(&self, target: &Target) -> Option<&str> {
        let version = self.version.as_ref();
        if version.is_some_and(|version| *version != target.kube_version) {
            return Some("version");
        }
        let mut apis = self.apis.iter();
        if let Some((api, _)) = apis.find(|(api, has)| target.has(api) != **has) {
            return Some(api);
        }
        let all = self.all.as_ref();
        all.is_some_and(|name| *name != target.name())
            .then_some("APIs")
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

    /// The first of what was looked at that is another in `files` and for `input`, so that a render may come out otherwise
    /// than the one that this set was noted for; nothing where it would not.
    ///
    /// The source's options must be the same; they are part of the key under which a set is kept. Only names are said, none
    /// of which whoever reads the same source could not know.
    ///
    /// # Errors
    /// When a mirror is damaged, or another tree cannot be had; with what it needs, where there is no way into the place of a
    /// chart and all else holds.
    pub(super) fn changed(
        &self,
        files: &Files<'_>,
        trees: &Trees,
        input: &RenderInput,
        commit: &str,
    ) -> Result<Option<Changed>, Error> {
        if let Some(changed) = self.input_changed(input, commit) {
            return Ok(Some(changed));
        }
        if let Some(changed) = self.files_changed(files, trees, input)? {
            return Ok(Some(changed));
        }
        let needs = self.needs(input);
        // Only now: what has changed may need no way there any more, and nobody may have one.
        if !needs.is_empty() {
            return Err(Error::internal("ways in are missing").needing(needs));
        }
        Ok(None)
    }

    /// Whether all files that were looked at are of the source's own tree.
    pub(super) fn is_of_one_tree(&self) -> bool {
        self.others.is_empty()
    }

    /// Whether what is asked is what it was, and says of every place of a chart whether there is a way in.
    pub(super) fn suits(&self, input: &RenderInput, commit: &str) -> bool {
        self.input_changed(input, commit).is_none() && self.needs(input).is_empty()
    }

    /// The first that is another without a look at any file.
    fn input_changed(&self, input: &RenderInput, commit: &str) -> Option<Changed> {
        let known = |remote: &&Remote| input.dependencies.contains_key(&remote.place);
        let mut remotes = self.remotes.iter().filter(known);
        if let Some(remote) = remotes.find(|remote| !remote.holds(input)) {
            return Some(Changed::new(Read::Chart, &remote.shown()));
        }
        let mut web = self.web.iter();
        if let Some((url, _)) = web.find(|(url, file)| !file.holds(url, input)) {
            // What follows a question mark may open it.
            let shown = without_passwords(url.split('?').next().unwrap_or_default());
            return Some(Changed::new(Read::WebFile, &shown));
        }
        if let Some(name) = self.cluster.changed(&input.target) {
            return Some(Changed::new(Read::Cluster, name));
        }
        let mut variables = self.variables.iter();
        let other =
            |entry: &(&String, &Option<String>)| input.variables.get(entry.0) != entry.1.as_ref();
        if let Some((name, _)) = variables.find(other) {
            return Some(Changed::new(Read::Variable, name));
        }
        if self.environment.is_empty() {
            return None;
        }
        let environment = Environment::new(input, commit);
        let mut used = self.environment.iter();
        let (name, _) = used.find(|(name, value)| environment.get(name) != value.as_str())?;
        Some(Changed::new(Read::BuildVariable, name))
    }

    /// The first file or folder that is another.
    fn files_changed(
        &self,
        files: &Files<'_>,
        trees: &Trees,
        input: &RenderInput,
    ) -> Result<Option<Changed>, Error> {
        let application = || Changed::new(Read::Application, &input.app_name);
        // Before anything is looked at: its own file of options bears the name of another application.
        if let Some((name, true)) = &self.application
            && *name != input.app_name
        {
            return Ok(Some(application()));
        }
        let whole = match &self.scope {
            Some((folder, tree)) => files.node(folder)? == Node::Folder(tree.clone()),
            None => false,
        };
        if !whole && let Some(path) = self.own.changed(files)? {
            let shown = if path.is_empty() { "." } else { path };
            return Ok(Some(Changed::new(Read::Path, shown)));
        }
        if !self.override_holds(files, input)? {
            return Ok(Some(application()));
        }
        self.others_changed(trees)
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

    fn others_changed(&self, trees: &Trees) -> Result<Option<Changed>, Error> {
        for (name, looks) in &self.others {
            let Some(number) = trees.number(name)? else {
                let shown = without_passwords(name);
                return Ok(Some(Changed::new(Read::Source, &shown)));
            };
            if let Some(path) = trees.look(number, |files| looks.changed(files))? {
                let shown = trees.shown(&trees::join(number, path));
                let shown = without_passwords(&shown);
                return Ok(Some(Changed::new(Read::Path, &shown)));
            }
        }
        Ok(None)
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

    #[test]
    fn what_is_another_is_told_by_its_name_alone() {
        let told = |set: &ReadSet, input: &RenderInput| {
            let changed = set.input_changed(input, "c0ffee");
            changed.map(|changed| changed.to_string())
        };
        let input = RenderInput {
            app_name: "web".into(),
            now: 99,
            variables: BTreeMap::from([("A".to_owned(), "secret".to_owned())]),
            target: Target::new("v1.34.1".into(), vec!["v1".into()]),
            ..RenderInput::default()
        };
        let same = ReadSet {
            variables: BTreeMap::from([
                ("A".to_owned(), Some("secret".to_owned())),
                ("B".to_owned(), None),
            ]),
            environment: BTreeMap::from([("ARGOCD_APP_NAME".to_owned(), "web".to_owned())]),
            cluster: Cluster {
                version: Some("v1.34.1".into()),
                apis: BTreeMap::from([("v1".to_owned(), true), ("x/v1".to_owned(), false)]),
                all: Some(input.target.name()),
            },
            ..ReadSet::default()
        };
        assert_eq!(told(&same, &input), None);
        let mut other = same.clone();
        let environment = &mut other.environment;
        environment.insert("ARGOCD_APP_NAME".to_owned(), "api".to_owned());
        let build = "build-variable ARGOCD_APP_NAME";
        assert_eq!(told(&other, &input).as_deref(), Some(build));
        let variables = &mut other.variables;
        variables.insert("A".to_owned(), Some("formerly".to_owned()));
        assert_eq!(told(&other, &input).as_deref(), Some("variable A"));
        other.cluster.all = Some("others".into());
        assert_eq!(told(&other, &input).as_deref(), Some("cluster APIs"));
        other.cluster.apis.insert("x/v1".to_owned(), true);
        assert_eq!(told(&other, &input).as_deref(), Some("cluster x/v1"));
        other.cluster.version = Some("v1.33.0".into());
        assert_eq!(told(&other, &input).as_deref(), Some("cluster version"));
        let address = "https://me:canary@h/values.yaml?token=canary";
        other.web.insert(address.to_owned(), WebFile::default());
        let file = "web-file https://me@h/values.yaml";
        assert_eq!(told(&other, &input).as_deref(), Some(file));
        let ways = RenderInput {
            dependencies: BTreeMap::from([("https://me:canary@c/stable".to_owned(), None)]),
            ..input
        };
        other.remotes.push(Remote {
            place: "https://me:canary@c/stable".into(),
            chart: "redis".into(),
            ..Remote::default()
        });
        let chart = "chart https://me@c/stable/redis";
        assert_eq!(told(&other, &ways).as_deref(), Some(chart));
    }
}
