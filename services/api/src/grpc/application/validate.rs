//! Whether an application may be stored as it is written, and its spec in the form in which it is kept.

use std::collections::HashSet;

use domain::application::{
    Destination, IN_CLUSTER_NAME, IN_CLUSTER_SERVER, Source, Spec, project_of,
};
use domain::cause::Cause;
use domain::cluster::{Cluster, is_in_cluster};
use domain::message;
use domain::project::{Project, Rules};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::document::Draft;
use super::find::project_named;
use super::operate::rules_of;
use crate::failure;
use crate::language;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;
use crate::sources;

/// The most bytes that an application's own documents may have, as etcd would have it.
const MAX_BYTES: usize = 1_500_000;

/// Why it may not. The words are those of Argo CD, which clients and scripts look for.
#[derive(Debug)]
pub(super) enum Fault {
    /// Words that are told behind what was being done.
    Plain(String),
    /// The whole answer.
    Answer(Status),
}

impl Fault {
    /// The answer, when `doing` was being done.
    pub(super) fn while_doing(self, doing: &str) -> Status {
        match self {
            Self::Plain(text) => Status::unknown(format!("{doing}: {text}")),
            Self::Answer(status) => status,
        }
    }

    fn invalid(name: &str, conditions: &[String]) -> Self {
        let told: Vec<String> = conditions
            .iter()
            .map(|condition| format!("InvalidSpecError: {condition}"))
            .collect();
        let text = format!("application spec for {name} is invalid: {}", told.join(";"));
        Self::Answer(Status::invalid_argument(text))
    }
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        Self::Answer(status)
    }
}

/// Checks that a draft is not larger than an application may be.
pub(super) fn size(draft: &Draft) -> Result<(), Fault> {
    let size = draft.spec.to_string().len() + Value::Object(draft.fields.clone()).to_string().len();
    if size > MAX_BYTES {
        let message = message::api::APPLICATION_TOO_LARGE.with("name", &draft.name);
        let message = message.with("size", size).with("limit", MAX_BYTES);
        return Err(failure::say(Code::InvalidArgument, &message).into());
    }
    Ok(())
}

/// Checks a draft that is about to replace `stored` (the spec in force, if there is one) in the project `project`, and
/// brings its spec into the form in which it is kept. Without `repositories`, they are not asked.
pub(super) async fn check(
    shared: &Shared,
    actor: &Actor,
    draft: &mut Draft,
    stored: Option<&Value>,
    mut project: Project,
    repositories: bool,
) -> Result<(), Fault> {
    if draft.name.is_empty() {
        return Err(Fault::Plain("resource name may not be empty".to_owned()));
    }
    size(draft)?;
    let spec = view(&draft.spec)?;
    unique_names(&draft.name, &spec)?;
    tag_prefixes(&spec)?;
    for source in spec.source.iter().chain(&spec.sources) {
        sources::without_password(&source.repo_url)?;
    }
    let wanted = project_of(&draft.spec).to_owned();
    if let Some(stored) = stored
        && project_of(stored) != wanted
    {
        let object = |project: &str| format!("{project}/{}", draft.name);
        permit::require(
            actor,
            Resource::Applications,
            Action::Create,
            &object(&wanted),
        )?;
        permit::require(
            actor,
            Resource::Applications,
            Action::Update,
            &object(project_of(stored)),
        )?;
        project = project_named(shared, actor, &wanted).await?;
    }
    let added = added_clusters(shared, actor, &spec.destination).await?;
    let destination = destination(&spec.destination, &added).map_err(|problem| {
        let text = format!(
            "application destination spec for {} is invalid: {problem}",
            draft.name
        );
        Fault::Answer(Status::invalid_argument(text))
    })?;
    if repositories {
        let problems = ask_repositories(shared, actor, draft, &spec, &wanted).await?;
        if !problems.is_empty() {
            return Err(Fault::invalid(&draft.name, &problems));
        }
    }
    let rules = rules_of(&project).map_err(Fault::Answer)?;
    let problems = permissions(&spec, &rules, &wanted, destination);
    if !problems.is_empty() {
        return Err(Fault::invalid(&draft.name, &problems));
    }
    normalize(&mut draft.spec);
    Ok(())
}

fn view(spec: &Value) -> Result<Spec, Fault> {
    serde_json::from_value(spec.clone()).map_err(|problem| {
        Fault::Answer(Status::invalid_argument(format!(
            "the spec cannot be read: {problem}"
        )))
    })
}

fn unique_names(app: &str, spec: &Spec) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    match spec
        .sources
        .iter()
        .find(|source| !source.name.is_empty() && !seen.insert(source.name.as_str()))
    {
        Some(twice) => Err(Fault::Plain(format!(
            "application {app} has duplicate source name: {}",
            twice.name
        ))),
        None => Ok(()),
    }
}

/// Tags can begin with what they are looked for by; of a chart and an artifact none are looked for.
fn tag_prefixes(spec: &Spec) -> Result<(), Fault> {
    let mut sources = spec.source.iter().chain(&spec.sources);
    let bad = sources.find_map(|source| {
        let target = source.target(&source.target_revision);
        let is_of_git = source.chart.is_empty() && !source.is_artifact();
        (is_of_git && !target.has_good_prefix()).then(|| target.shown_prefix())
    });
    match bad {
        Some(prefix) => {
            let message = message::source::TAG_PREFIX_INVALID.with("prefix", prefix);
            Err(failure::say(Code::InvalidArgument, &message).into())
        }
        None => Ok(()),
    }
}

/// The clusters that the tenant has added; none where the destination is the one that is always there.
async fn added_clusters(
    shared: &Shared,
    actor: &Actor,
    destination: &Destination,
) -> Result<Vec<Cluster>, Status> {
    if is_in_cluster(&destination.server) || destination.name == IN_CLUSTER_NAME {
        return Ok(Vec::new());
    }
    let scope = shared.store.tenant(actor.tenant.id);
    scope.clusters().list().await.map_err(failure::store)
}

/// The cluster that the installation runs on, by the address or the name that was written, or one that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named<'a> {
    Server,
    Name,
    Added(&'a Cluster),
}

fn destination<'a>(destination: &Destination, added: &'a [Cluster]) -> Result<Named<'a>, String> {
    let Destination {
        server,
        name,
        namespace: _,
    } = destination;
    if let Some(cluster) = domain::cluster::meant(destination, added) {
        return Ok(Named::Added(cluster));
    }
    match (server.as_str(), name.as_str()) {
        ("", "") => Err("Destination server missing from app spec".to_owned()),
        (server, "") if server.trim_end_matches('/') == IN_CLUSTER_SERVER => Ok(Named::Server),
        (server, "") => Err(format!(
            "error getting cluster by server {server:?}: rpc error: code = NotFound desc = cluster {server:?} not found"
        )),
        ("", IN_CLUSTER_NAME) => Ok(Named::Name),
        ("", name) => Err(format!("there are no clusters with this name: {name}")),
        (server, name) => Err(format!(
            "application destination can't have both name and server defined: {name} {server}"
        )),
    }
}

fn permissions(spec: &Spec, rules: &Rules, project: &str, destination: Named<'_>) -> Vec<String> {
    let several = !spec.sources.is_empty();
    let nothing = Source::default();
    let sources = if several {
        spec.sources.iter().collect()
    } else {
        vec![spec.source.as_ref().unwrap_or(&nothing)]
    };
    let mut problems = Vec::new();
    for source in sources {
        let placed = !source.path.is_empty()
            || !source.chart.is_empty()
            || (several && !source.reference.is_empty());
        if source.repo_url.is_empty() || !placed {
            return vec![match several {
                true => format!(
                    "spec.source.repoURL and either source.path, source.chart, or source.ref are required for source {}",
                    source.repo_url
                ),
                false => "spec.source.repoURL and either spec.source.path or spec.source.chart are required".to_owned(),
            }];
        }
        if !source.chart.is_empty() && source.target_revision.is_empty() {
            let text =
                "spec.source.targetRevision is required if the manifest source is a helm chart";
            return vec![text.to_owned()];
        }
        if !rules.permits_chart(&source.repo_url, &source.chart) {
            problems.push(format!(
                "application repo {} is not permitted in project '{project}'",
                source.repo_url
            ));
        }
    }
    let namespace = &spec.destination.namespace;
    let (server, name, own) = match destination {
        Named::Server | Named::Name => (IN_CLUSTER_SERVER, IN_CLUSTER_NAME, ""),
        Named::Added(cluster) => (
            cluster.server.as_str(),
            cluster.name.as_str(),
            cluster.project.as_str(),
        ),
    };
    if !rules.permits_cluster_of(own, project)
        || !rules.permits_destination(server, name, namespace)
    {
        let server = match destination {
            Named::Server => IN_CLUSTER_SERVER,
            Named::Name => IN_CLUSTER_NAME,
            Named::Added(_) => server,
        };
        problems.push(format!(
            "application destination server '{server}' and namespace '{namespace}' do not match any of the allowed \
             destinations in project '{project}'"
        ));
    }
    problems
}

/// Whether each repository can be read and each path renders.
async fn ask_repositories(
    shared: &Shared,
    actor: &Actor,
    draft: &Draft,
    spec: &Spec,
    project: &str,
) -> Result<Vec<String>, Fault> {
    let tenant = &*actor.tenant;
    let documents = source_documents(&draft.spec);
    let mut accesses = Vec::with_capacity(documents.len());
    for (source, document) in spec.effective_sources().into_iter().zip(&documents) {
        if source.repo_url.is_empty() {
            let cause = Cause::error(message::source::REPOSITORY_UNNAMED.message());
            let text = cause.render(language::current());
            return Ok(vec![format!("repository not accessible: {text}")]);
        }
        let place = (source.repo_url.as_str(), source.chart.as_str());
        let access = sources::access_of_source(shared, tenant, place, project).await?;
        if let Err(trouble) = sources::test(shared, &access).await {
            // That we cannot ask is not the spec's fault.
            if trouble.is_ours() {
                return Err(Status::from(trouble).into());
            }
            let url = &source.repo_url;
            let text = format!(
                "repository not accessible: repositories not accessible: {url}: {}",
                trouble.text(language::current())
            );
            return Ok(vec![text]);
        }
        one_tool(document)?;
        accesses.push(access);
    }
    let mut problems = Vec::new();
    let annotation = draft
        .fields
        .get("annotations")
        .and_then(|all| all.get(domain::application::VARIABLES)?.as_str());
    let with_revisions: Vec<(Value, String)> = spec
        .effective_sources()
        .into_iter()
        .zip(&documents)
        .map(|(source, document)| (document.clone(), source.target_revision.clone()))
        .collect();
    let references = sources::references(shared, tenant, project, &with_revisions).await;
    let references = match references {
        Ok(references) => references,
        Err(status) => {
            let said = status.message();
            return Ok(vec![format!("Unable to generate manifests: {said}")]);
        }
    };
    for ((source, document), access) in spec
        .effective_sources()
        .into_iter()
        .zip(&documents)
        .zip(&accesses)
    {
        let outcome = match sources::revision_of(
            shared,
            access,
            source.target(&source.target_revision),
            &source.chart,
        )
        .await
        {
            Ok(commit) => {
                let order = sources::Order {
                    source: document,
                    commit,
                    app: &draft.name,
                    project,
                    namespace: &spec.destination.namespace,
                    variables: tenant.variables(annotation),
                    no_cache: false,
                    references: references.clone(),
                };
                sources::render(shared, tenant, access, order)
                    .await
                    .map(drop)
            }
            Err(trouble) => Err(trouble),
        };
        if let Err(trouble) = outcome {
            problems.push(format!(
                "Unable to generate manifests in {}: {}",
                source.path,
                trouble.wrapped()
            ));
        }
    }
    Ok(problems)
}

/// The sources in force, as documents.
pub(in crate::grpc) fn source_documents(spec: &Value) -> Vec<Value> {
    match spec.get("sources").and_then(Value::as_array) {
        Some(several) if !several.is_empty() => several.clone(),
        _ => spec
            .get("source")
            .filter(|source| !source.is_null())
            .cloned()
            .into_iter()
            .collect(),
    }
}

/// A source may be explicit about one tool only.
fn one_tool(source: &Value) -> Result<(), Fault> {
    let tools = [
        ("kustomize", "Kustomize"),
        ("helm", "Helm"),
        ("directory", "Directory"),
        ("plugin", "Plugin"),
    ];
    let there: Vec<&str> = tools
        .iter()
        .filter(|(key, _)| source.get(*key).is_some_and(Value::is_object))
        .map(|(_, word)| *word)
        .collect();
    if there.len() > 1 {
        let text = format!(
            "error verifying source type: multiple application sources defined: {}",
            there.join(",")
        );
        return Err(Fault::Plain(format!("error validating the repo: {text}")));
    }
    Ok(())
}

/// Names the project, and drops the parts that say nothing.
pub(super) fn normalize(spec: &mut Value) {
    let project = project_of(spec).to_owned();
    let Some(fields) = spec.as_object_mut() else {
        return;
    };
    fields.insert("project".to_owned(), json!(project));
    drop_empty(fields, "syncPolicy");
    if let Some(Value::Array(several)) = fields.get_mut("sources") {
        several.iter_mut().for_each(normalize_source);
    }
    if let Some(source) = fields.get_mut("source") {
        normalize_source(source);
    }
}

fn normalize_source(source: &mut Value) {
    let Some(fields) = source.as_object_mut() else {
        return;
    };
    drop_empty(fields, "kustomize");
    drop_empty(fields, "helm");
    // The struct `jsonnet` is written even when empty; a directory that says only that says nothing.
    let says_nothing = fields
        .get("directory")
        .and_then(Value::as_object)
        .is_some_and(|directory| {
            directory.iter().all(|(key, value)| {
                key == "jsonnet" && value.as_object().is_some_and(serde_json::Map::is_empty)
            })
        });
    if says_nothing {
        fields.remove("directory");
    }
}

fn drop_empty(fields: &mut serde_json::Map<String, Value>, key: &str) {
    if fields
        .get(key)
        .is_some_and(|value| value.as_object().is_some_and(serde_json::Map::is_empty))
    {
        fields.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'a>(added: &'a [Cluster], server: &str, name: &str) -> Result<Named<'a>, String> {
        let wanted = Destination {
            server: server.into(),
            name: name.into(),
            namespace: String::new(),
        };
        destination(&wanted, added)
    }

    fn to(server: &str, name: &str) -> Result<Named<'static>, String> {
        with(&[], server, name)
    }

    #[test]
    fn a_cluster_that_was_added_is_a_destination() {
        let added = [Cluster {
            server: "https://x".into(),
            name: "x".into(),
            ..Cluster::default()
        }];
        assert_eq!(with(&added, "https://x/", ""), Ok(Named::Added(&added[0])));
        assert_eq!(with(&added, "", "x"), Ok(Named::Added(&added[0])));
        assert!(with(&added, "https://x", "x").is_err());
        assert!(with(&added, "", "y").is_err());
    }

    #[test]
    fn there_is_one_cluster_under_two_names() {
        assert_eq!(to("https://kubernetes.default.svc", ""), Ok(Named::Server));
        assert_eq!(to("", "in-cluster"), Ok(Named::Name));
        assert_eq!(
            to("", "").unwrap_err(),
            "Destination server missing from app spec"
        );
        assert_eq!(
            to("", "x").unwrap_err(),
            "there are no clusters with this name: x"
        );
        assert_eq!(
            to("https://x", "").unwrap_err(),
            "error getting cluster by server \"https://x\": rpc error: code = NotFound desc = cluster \"https://x\" not found"
        );
        assert!(
            to("https://x", "y")
                .unwrap_err()
                .starts_with("application destination can't have both")
        );
    }

    #[test]
    fn a_project_says_what_may_go_where() {
        let rules: Rules = serde_json::from_value(json!({
            "sourceRepos": ["https://git/a"], "destinations": [{"server": "*", "namespace": "web"}],
        }))
        .unwrap();
        let spec = |url: &str, namespace: &str| Spec {
            source: Some(Source {
                repo_url: url.into(),
                path: "p".into(),
                ..Source::default()
            }),
            destination: Destination {
                namespace: namespace.into(),
                ..Destination::default()
            },
            ..Spec::default()
        };
        assert!(
            permissions(&spec("https://git/a.git", "web"), &rules, "x", Named::Name).is_empty()
        );
        let problems = permissions(&spec("https://git/b", "db"), &rules, "x", Named::Name);
        assert_eq!(
            problems[0],
            "application repo https://git/b is not permitted in project 'x'"
        );
        assert_eq!(
            problems[1],
            "application destination server 'in-cluster' and namespace 'db' do not match any of the allowed destinations in project 'x'"
        );
        assert_eq!(
            permissions(&Spec::default(), &rules, "x", Named::Name),
            ["spec.source.repoURL and either spec.source.path or spec.source.chart are required"]
        );
    }

    #[test]
    fn what_says_nothing_is_dropped() {
        let mut spec = json!({
            "source": {"repoURL": "r", "kustomize": {}, "directory": {"jsonnet": {}}, "helm": {"releaseName": "x"}},
            "syncPolicy": {}, "destination": {},
        });
        normalize(&mut spec);
        assert_eq!(
            spec,
            json!({"source": {"repoURL": "r", "helm": {"releaseName": "x"}}, "destination": {}, "project": "default"})
        );
        let mut kept = json!({"source": {"directory": {"recurse": true, "jsonnet": {}}}, "project": "p", "syncPolicy": {"automated": {}}});
        let before = kept.clone();
        normalize(&mut kept);
        assert_eq!(kept, before);
    }

    #[test]
    fn s13_what_no_tag_begins_with_is_refused_where_tags_are_looked_for() {
        let spec = |source: Value| {
            let spec = json!({"source": source.clone(), "sources": [source]});
            let one: Spec = serde_json::from_value(json!({"source": source})).unwrap();
            let several: Spec = serde_json::from_value(spec).unwrap();
            (tag_prefixes(&one).is_ok(), tag_prefixes(&several).is_ok())
        };
        for (prefix, good) in [
            ("", true),
            ("web/", true),
            ("-web/", false),
            ("web/../", false),
            ("web\u{0}", false),
        ] {
            let of_git = json!({"repoURL": "https://git/a", "path": "p", "tagPrefix": prefix});
            assert_eq!(spec(of_git), (good, good), "{prefix:?}");
            // As in Argo CD it is nothing to these.
            for other in [
                json!({"repoURL": "https://charts", "chart": "web", "tagPrefix": prefix}),
                json!({"repoURL": "oci://registry/web", "tagPrefix": prefix}),
            ] {
                assert_eq!(spec(other), (true, true), "{prefix:?}");
            }
        }
    }

    #[test]
    fn a_directory_that_only_takes_every_file_says_something() {
        let mut kept = json!({"source": {"directory": {"disableExtensionFilter": true, "jsonnet": {}}}, "project": "p"});
        let before = kept.clone();
        normalize(&mut kept);
        assert_eq!(kept, before);
    }

    #[test]
    fn a_source_has_one_tool() {
        assert!(one_tool(&json!({"helm": {}, "kustomize": {}})).is_err());
        assert!(one_tool(&json!({"helm": {}})).is_ok());
    }
}
