//! Which tool renders a folder: exactly Argo CD's rules.

use domain::application::Source;
use domain::cause::{Cause, Location};
use domain::manifest::SourceType;
use domain::message;
use serde_json::Value;

use super::overrides::below;
use super::reader::Reader;
use super::yaml;
use crate::error::{Error, Kind};
use crate::git::ItemKind;

/// The names under which kustomize reads its file.
pub(super) const KUSTOMIZATIONS: [&str; 3] =
    ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// What renders a source.
#[derive(Debug)]
pub(super) enum Tool {
    Known(SourceType),
    Plugin,
}

/// Decides by the source's own blocks, else by the folder's files.
pub(super) fn tool(reader: &Reader<'_, '_>, folder: &str, source: &Source) -> Result<Tool, Error> {
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
        ["kustomize"] => return Ok(Tool::Known(SourceType::Kustomize)),
        ["helm"] => return Ok(Tool::Known(SourceType::Helm)),
        ["directory"] => return Ok(Tool::Known(SourceType::Directory)),
        ["plugin"] => return Ok(Tool::Plugin),
        several => {
            let message = message::source::SEVERAL_TOOLS.with("tools", several.join(", "));
            return Err(Error::new(Kind::Invalid, message));
        }
    }
    // Files in the order of their names, and the last one wins, as Argo CD's walk has it.
    let mut tool = SourceType::Directory;
    for item in reader.list(folder)?.unwrap_or_default() {
        if item.kind == ItemKind::Folder || item.kind == ItemKind::Submodule {
            continue;
        }
        if item.name.ends_with("Chart.yaml") {
            tool = SourceType::Helm;
        } else if KUSTOMIZATIONS.contains(&item.name.as_str()) {
            tool = SourceType::Kustomize;
        }
    }
    Ok(Tool::Known(tool))
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
