//! Which tool renders a folder: exactly Argo CD's rules.

use std::collections::BTreeMap;

use domain::application::Source;
use domain::cause::{Cause, Location};
use domain::manifest::SourceType;
use domain::message;
use domain::settings::Rendering;
use serde_json::Value;

use super::overrides::below;
use super::reader::Reader;
use super::yaml;
use crate::error::{Error, Kind};
use crate::git::{Files, Item, ItemKind, Node};

/// The names under which kustomize reads its file.
pub(super) const KUSTOMIZATIONS: [&str; 3] =
    ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// What renders a source.
#[derive(Debug)]
pub(super) enum Tool {
    Known(SourceType),
    Plugin,
}

/// Decides by the source's own blocks, else by the folder's files. What the tenant's settings switch off is a plain folder.
pub(super) fn tool(
    reader: &Reader<'_, '_>,
    folder: &str,
    source: &Source,
    rendering: &Rendering,
) -> Result<Tool, Error> {
    let known = |tool| {
        let off = match tool {
            SourceType::Helm => !rendering.helm,
            SourceType::Kustomize => !rendering.kustomize,
            SourceType::Directory => false,
        };
        Tool::Known(if off { SourceType::Directory } else { tool })
    };
    let blocks = [
        ("kustomize", source.kustomize.is_some()),
        ("helm", source.helm.is_some()),
        ("directory", source.directory.is_some()),
        ("plugin", source.plugin.is_some()),
    ];
    let named: Vec<&str> = blocks
        .iter()
        .filter(|(_, there)| *there)
        .map(|(name, _)| *name)
        .collect();
    match named.as_slice() {
        [] => {}
        ["kustomize"] => return Ok(known(SourceType::Kustomize)),
        ["helm"] => return Ok(known(SourceType::Helm)),
        ["directory"] => return Ok(Tool::Known(SourceType::Directory)),
        ["plugin"] => return Ok(Tool::Plugin),
        several => {
            let message = message::source::SEVERAL_TOOLS.with("tools", several.join(", "));
            return Err(Error::new(Kind::Invalid, message));
        }
    }
    let items = reader.list(folder)?.unwrap_or_default();
    let found = by_files(&items, rendering);
    Ok(Tool::Known(found.unwrap_or(SourceType::Directory)))
}

/// The tool that a folder's files name. They come in the order of their names, and the last one wins, as Argo CD's walk has
/// it.
pub(super) fn by_files(items: &[Item], rendering: &Rendering) -> Option<SourceType> {
    let files = items
        .iter()
        .filter(|item| !matches!(item.kind, ItemKind::Folder | ItemKind::Submodule));
    let mut named = files.filter_map(|item| {
        if item.name.ends_with("Chart.yaml") {
            rendering.helm.then_some(SourceType::Helm)
        } else if KUSTOMIZATIONS.contains(&item.name.as_str()) {
            rendering.kustomize.then_some(SourceType::Kustomize)
        } else {
            None
        }
    });
    named.next_back()
}

/// The most folders that are looked into for [`discover`], and entries in all. A folder may be in itself many times over, by
/// its tree's id: what is still to look into counts as much as what was.
const MAX_FOLDERS: usize = 20_000;
const MAX_ITEMS: usize = 200_000;

/// Every folder of a commit whose files name a tool, by path (`.` for the root); links are not followed.
///
/// # Errors
/// When the mirror is damaged, or there are too many folders.
pub fn discover(files: &Files<'_>) -> Result<BTreeMap<String, SourceType>, Error> {
    let mut found = BTreeMap::new();
    let mut left = vec![String::new()];
    let (mut folders, mut seen) = (1, 0);
    while let Some(folder) = left.pop() {
        let Node::Folder(tree) = files.node(&folder)? else {
            continue;
        };
        let items = files.list(&tree)?;
        if let Some(tool) = by_files(&items, &Rendering::default()) {
            let shown = if folder.is_empty() { "." } else { &folder };
            found.insert(shown.to_owned(), tool);
        }
        seen += items.len();
        let inner = || items.iter().filter(|item| item.kind == ItemKind::Folder);
        folders += inner().count();
        if folders > MAX_FOLDERS || seen > MAX_ITEMS {
            let message = message::source::TOO_LARGE
                .with("what", "the number of folders")
                .with("limit", MAX_FOLDERS);
            return Err(Error::new(Kind::TooLarge, message));
        }
        left.extend(inner().map(|item| below(&folder, &item.name)));
    }
    Ok(found)
}

/// A kustomization under a name that no tool reads.
#[derive(Debug)]
pub(super) struct Misnamed {
    /// Where it is.
    pub(super) path: String,
    /// Its content.
    pub(super) document: yaml::Document,
}

impl Misnamed {
    /// What to tell about it.
    pub(super) fn cause(&self) -> Cause {
        let location = Location {
            path: self.path.clone(),
            line: self.document.line,
        };
        Cause::warning(message::lint::MISNAMED_KUSTOMIZATION.message()).located(Some(location))
    }
}

/// Looks for a file that is a kustomization by its content and none by its name.
pub(super) fn misnamed(reader: &Reader<'_, '_>, folder: &str) -> Result<Vec<Misnamed>, Error> {
    let mut found = Vec::new();
    for item in reader.list(folder)?.unwrap_or_default() {
        let lower = item.name.to_lowercase();
        let stem = lower.split('.').next().unwrap_or_default();
        let like = matches!(
            stem,
            "kustomize" | "kustomization" | "kustomisation" | "kustomizations" | "customization"
        );
        if !like || item.kind != ItemKind::File || KUSTOMIZATIONS.contains(&item.name.as_str()) {
            continue;
        }
        let Some(file) = reader.read(&below(folder, &item.name))? else {
            continue;
        };
        let Ok(text) = file.text() else { continue };
        let (documents, _) = yaml::documents(&text);
        let Some(document) = documents.into_iter().next() else {
            continue;
        };
        let kind = document.value.get("kind").and_then(Value::as_str);
        let fields = [
            "resources",
            "images",
            "patches",
            "namespace",
            "bases",
            "configMapGenerator",
        ];
        if kind == Some("Kustomization")
            || (kind.is_none()
                && fields
                    .iter()
                    .any(|field| document.value.get(field).is_some()))
        {
            found.push(Misnamed {
                path: file.path,
                document,
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Argo CD's `Discover` and `IsManifestGenerationEnabled` answer for a folder of these files.
    #[test]
    fn a_folders_files_name_its_tool_as_for_argo_cd() {
        let folder = |names: &str| -> Vec<Item> {
            let mut names: Vec<&str> = names.split(' ').collect();
            names.sort_unstable();
            let items = names.into_iter().map(|name| Item {
                name: name.trim_end_matches('/').to_owned(),
                kind: match name.ends_with('/') {
                    true => ItemKind::Folder,
                    false => ItemKind::File,
                },
            });
            items.collect()
        };
        let both = Rendering::default();
        let (no_helm, no_kustomize) = (
            Rendering {
                helm: false,
                ..Rendering::default()
            },
            Rendering {
                kustomize: false,
                ..Rendering::default()
            },
        );
        let (helm, kustomize) = (Some(SourceType::Helm), Some(SourceType::Kustomize));
        for (names, rendering, tool) in [
            ("Chart.yaml", &both, helm),
            ("kustomization.yaml", &both, kustomize),
            ("kustomization.yml", &both, kustomize),
            ("Kustomization", &both, kustomize),
            ("a.yaml values.yaml", &both, None),
            ("chart.yaml Chart.yml kustomize", &both, None),
            ("Kustomization.yaml", &both, None),
            ("Chart.yaml/ kustomization.yaml/", &both, None),
            ("MyChart.yaml", &both, helm),
            // The last one by name.
            ("Chart.yaml kustomization.yaml", &both, kustomize),
            ("Kustomization MyChart.yaml", &both, helm),
            // What is switched off is not looked for.
            ("Chart.yaml kustomization.yaml", &no_kustomize, helm),
            ("Chart.yaml kustomization.yaml", &no_helm, kustomize),
            ("Chart.yaml", &no_helm, None),
            ("kustomization.yaml", &no_kustomize, None),
        ] {
            assert_eq!(by_files(&folder(names), rendering), tool, "{names}");
        }
    }
}
