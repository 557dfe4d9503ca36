//! What a form about a source shows: its tool, and what can be set for that.

use domain::manifest::{Manifest, SourceType};
use domain::message;
use serde_json::Value;
use tokio::runtime::Handle;

use super::environment::Environment;
use super::helm;
use super::reader::Reader;
use super::renderer::{self, RenderInput, Renderer};
use super::submodules;
use super::substitute;
use super::trees::Trees;
use super::yaml;
use crate::error::{Error, Kind};
use crate::git::{Access, Node};

/// What can be set for a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// The tool.
    pub source_type: SourceType,
    /// Of a chart: the files in its folder that look like values.
    pub value_files: Vec<String>,
    /// Of a chart: its own values as they are written.
    pub values: String,
    /// Of a chart and the values files that are chosen: every single value, sorted by name.
    pub parameters: Vec<(String, String)>,
}

impl Renderer {
    /// What can be set for a source at a commit; for a kustomization, see [`images`] of its render.
    ///
    /// # Errors
    /// When the commit cannot be had, or the chart cannot be read.
    #[tracing::instrument(name = "source.details", skip_all, fields(app = input.app_name))]
    pub async fn details(
        &self,
        access: &Access,
        commit: &str,
        input: &RenderInput,
    ) -> Result<Details, Error> {
        substitute::check(&input.variables)?;
        Trees::check(&input.references)?;
        let (snapshot, commit) = self.files(access, commit, input).await?;
        let (own, input, pool) = (access.clone(), input.clone(), self.pool().clone());
        let (mirrors, runtime) = (self.mirrors().clone(), Handle::current());
        let seat = self.seat();
        let reading = snapshot.read(move |files| {
            let trees = Trees::new(&own, mirrors, runtime.clone(), &input, seat);
            let reader = Reader::new(files, &trees, &input);
            submodules::through(&reader, || {
                let placed = renderer::place(&reader, &commit, &input)?;
                let mut details = Details {
                    source_type: placed.tool,
                    value_files: Vec::new(),
                    values: String::new(),
                    parameters: Vec::new(),
                };
                if placed.tool == SourceType::Helm {
                    let found = helm::details(
                        &reader,
                        &placed.folder,
                        placed.source.helm.as_ref(),
                        &Environment::new(&input, &commit),
                        &pool,
                        (&runtime, &input.rendering),
                    );
                    let found = found.map_err(|error| placed.blamed(error))?;
                    details.value_files = found.value_files.unwrap_or_default();
                    details.values = found.values;
                    details.parameters = found.parameters.into_iter().collect();
                }
                Ok(details)
            })
        });
        reading.await
    }

    /// What a version of a chart repository's chart says of itself in its `Chart.yaml`.
    ///
    /// # Errors
    /// When the version cannot be had, or what it says is no chart's.
    #[tracing::instrument(name = "source.chart", skip_all)]
    pub async fn chart(
        &self,
        access: &Access,
        chart: &str,
        revision: &str,
    ) -> Result<ChartDetails, Error> {
        let version = self.charts().resolve(access, chart, revision, true).await?;
        let snapshot = self.charts().ensure(access, chart, &version, false).await?;
        let reading = snapshot.read(|files| match files.find("Chart.yaml")?.node {
            Node::File(blob) => files.blob(&blob, MAX_CHART),
            _ => Ok(Vec::new()),
        });
        let text = String::from_utf8_lossy(&reading.await?).into_owned();
        let (mut documents, broken) = yaml::documents(&text);
        if broken.is_some() || documents.len() != 1 {
            let message = message::chart::ARCHIVE_REFUSED
                .with("chart", chart)
                .with("version", version)
                .with("reason", "its Chart.yaml is not one document of YAML");
            return Err(Error::new(Kind::Invalid, message));
        }
        Ok(ChartDetails::of(&documents.remove(0).value))
    }
}

/// The largest `Chart.yaml`, in bytes.
const MAX_CHART: u64 = 1 << 20;

/// What a chart says of itself; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChartDetails {
    /// What it is.
    pub description: String,
    /// Who is answerable for it, as `name <address>`.
    pub maintainers: Vec<String>,
    /// Where its home page is.
    pub home: String,
}

impl ChartDetails {
    fn of(chart: &Value) -> Self {
        let text = |value: &Value, field: &str| {
            let found = value.get(field).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let maintainers = chart.get("maintainers").and_then(Value::as_array);
        let maintainers = maintainers.into_iter().flatten().map(|one| {
            let (name, email) = (text(one, "name"), text(one, "email"));
            match email.as_str() {
                "" => name,
                email => format!("{name} <{email}>").trim_matches(' ').to_owned(),
            }
        });
        Self {
            description: text(chart, "description"),
            maintainers: maintainers.collect(),
            home: text(chart, "home"),
        }
    }
}

/// The images of objects' containers, sorted, as Argo CD finds them: wherever there is a list of containers.
#[must_use]
pub fn images(manifests: &[Manifest]) -> Vec<String> {
    let mut found = Vec::new();
    for manifest in manifests {
        collect(&manifest.object, &mut found);
    }
    found.sort_unstable();
    found
}

fn collect(object: &Value, found: &mut Vec<String>) {
    let Value::Object(fields) = object else {
        return;
    };
    for (key, value) in fields {
        match value {
            Value::Array(containers) if key == "containers" || key == "initContainers" => {
                let images = containers.iter().filter_map(|one| one.get("image"));
                found.extend(images.map(|image| match image {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                }));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            inner => collect(inner, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn images_are_those_of_every_list_of_containers() {
        let pod = json!({"spec": {"containers": [{"image": "b:1"}, {"name": "x"}], "initContainers": [{"image": "a"}]}});
        let deep = json!({"spec": {"template": pod, "image": "not-a-container", "items": [{"containers": [{"image": "b:1"}]}]}});
        assert_eq!(images(&[Manifest::new(deep, None)]), ["a", "b:1", "b:1"]);
    }

    #[test]
    fn what_a_chart_says_of_itself_is_as_argo_cd_reads_it() {
        let chart = json!({"description": "d", "home": "https://h", "maintainers": [
            {"name": "A", "email": "a@h", "url": "https://a"}, {"name": "B"}, {"email": "c@h"}]});
        let said = ChartDetails::of(&chart);
        assert_eq!(said.maintainers, ["A <a@h>", "B", "<c@h>"]);
        assert_eq!(
            (said.description.as_str(), said.home.as_str()),
            ("d", "https://h")
        );
        for nothing in [json!(null), json!({"home": 1, "maintainers": "A"})] {
            assert_eq!(ChartDetails::of(&nothing), ChartDetails::default());
        }
    }
}
