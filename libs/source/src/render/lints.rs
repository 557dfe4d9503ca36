//! What is rendered and still looks like a mistake: folders that are read otherwise than their files suggest.

use domain::application::Source;
use domain::cause::{Cause, Location};
use domain::manifest::SourceType;
use domain::message;
use domain::settings::Rendering;

use super::detect::{self, KUSTOMIZATIONS};
use super::overrides::below;
use super::reader::Reader;
use crate::error::Error;
use crate::git::{Item, ItemKind};

/// How many of a folder's entries are named.
const MAX_NAMED: usize = 10;

/// A folder's own name for people.
fn shown(folder: &str) -> &str {
    match folder {
        "" => ".",
        folder => folder,
    }
}

fn is_folder(item: &Item) -> bool {
    matches!(item.kind, ItemKind::Folder | ItemKind::Submodule)
}

fn at(folder: &str, name: &str) -> Option<Location> {
    Some(Location {
        path: below(folder, name),
        line: 0,
    })
}

/// A chart beside a kustomization, where only the files say which of them is meant.
pub(super) fn two_tools(
    reader: &Reader<'_, '_>,
    folder: &str,
    source: &Source,
    rendering: &Rendering,
) -> Result<Option<Cause>, Error> {
    let said = source.kustomize.is_some() || source.helm.is_some() || source.directory.is_some();
    if said || !rendering.helm || !rendering.kustomize {
        return Ok(None);
    }
    let items = reader.list(folder)?.unwrap_or_default();
    let named = |name: &dyn Fn(&str) -> bool| {
        let mut there = items.iter().filter(|item| !is_folder(item));
        there.find(|item| name(&item.name)).map(|item| &item.name)
    };
    // Other names that end like a chart's make a folder one too, and are none beside a kustomization by mistake.
    let chart = named(&|name| name == "Chart.yaml");
    let kustomization = named(&|name| KUSTOMIZATIONS.contains(&name));
    let (Some(chart), Some(kustomization)) = (chart, kustomization) else {
        return Ok(None);
    };
    let Some(tool) = detect::by_files(&items, rendering) else {
        return Ok(None);
    };
    let unread = match tool {
        SourceType::Kustomize => chart,
        _ => kustomization,
    };
    let message = message::lint::CHART_BESIDE_KUSTOMIZATION
        .with("path", shown(folder))
        .with("chart", chart)
        .with("kustomization", kustomization)
        .with("tool", tool.as_str());
    Ok(Some(Cause::warning(message).located(at(folder, unread))))
}

/// A folder that is a chart's, but for the file that would make it one.
pub(super) fn no_chart(reader: &Reader<'_, '_>, folder: &str) -> Result<Option<Cause>, Error> {
    let items = reader.list(folder)?.unwrap_or_default();
    let named = |name: &str| items.iter().find(|item| item.name == name);
    let values = named("values.yaml").or_else(|| named("values.yml"));
    let (Some(templates), Some(values), None) = (named("templates"), values, named("Chart.yaml"))
    else {
        return Ok(None);
    };
    if !is_folder(templates) || is_folder(values) {
        return Ok(None);
    }
    let message = message::lint::TEMPLATES_WITHOUT_CHART
        .with("path", shown(folder))
        .with("values", &values.name);
    Ok(Some(
        Cause::warning(message).located(at(folder, "Chart.yaml")),
    ))
}

/// A folder without a manifest, and what is there instead.
pub(super) fn no_manifests(reader: &Reader<'_, '_>, folder: &str) -> Result<Option<Cause>, Error> {
    let items = reader.list(folder)?.unwrap_or_default();
    let names = items.iter().map(|item| match is_folder(item) {
        true => format!("`{}/`", item.name),
        false => format!("`{}`", item.name),
    });
    let mut named: Vec<String> = names.take(MAX_NAMED).collect();
    if items.len() > MAX_NAMED {
        named.push(format!("… ({})", items.len()));
    }
    if named.is_empty() {
        named.push("-".to_owned());
    }
    let message = message::lint::NO_MANIFESTS
        .with("path", shown(folder))
        .with("files", named.join(", "));
    Ok(Some(Cause::warning(message).field("spec.source.path")))
}
