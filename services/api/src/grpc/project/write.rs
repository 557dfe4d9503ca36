//! Making, changing and deleting projects.

use std::collections::BTreeSet;

use domain::application::{
    Application, CONTROL_PLANE_NAMESPACE, IN_CLUSTER_NAME, IN_CLUSTER_SERVER, project_of,
};
use domain::cluster::Cluster;
use domain::project::validate::{self, Fault, Kind};
use domain::project::{Project, Rules};
use domain::resource::{is_subdomain, text};
use proto::argocd::project as wire;
use proto::{convert, json, v1alpha1};
use serde_json::{Map, Value};
use tonic::{Code, Status};

use super::not_found;
use crate::failure;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// The project that every tenant has.
const DEFAULT: &str = "default";
/// What of its metadata a client may write.
const WRITABLE: &[&str] = &["labels", "annotations", "finalizers"];

/// Makes one. One that says the same is returned as it is; another is only replaced with `upsert`.
pub(super) async fn create(
    shared: &Shared,
    actor: &Actor,
    request: wire::ProjectCreateRequest,
) -> Result<v1alpha1::AppProject, Status> {
    let sent = request.project.ok_or_else(missing_payload)?;
    let name = name_of(&sent);
    permit::require(actor, Resource::Projects, Action::Create, &name)?;
    let wanted = draft(&sent, &name, None);
    validate::validate(&name, &wanted.spec).map_err(|fault| {
        // A refusal with a code of its own is told as it is.
        match fault.kind {
            Kind::Unknown => Status::unknown(format!("error validating project: {fault}")),
            _ => told(&fault),
        }
    })?;
    valid_name(&name)?;
    valid_namespace(&sent)?;
    let scope = shared.store.tenant(actor.tenant.id);
    let mut made = wanted.clone();
    made.metadata["uid"] = Value::String(shared.ids.id().to_string());
    match scope.projects().create(&made).await {
        Ok(project) => {
            tracing::info!(tenant = %actor.tenant.name, project = name, account = actor.account, "made a project");
            return Ok(convert::project::to_wire(&project));
        }
        Err(error) if error.code() == store::Code::AlreadyExists => {}
        Err(error) => return Err(failure::store(error)),
    }
    let found = scope.projects().find(&name).await.map_err(failure::store)?;
    let existing = found.ok_or_else(|| not_found(&name))?;
    if !request.upsert {
        let different = different_keys(&existing.spec, &wanted.spec);
        if different.is_empty() {
            return Ok(convert::project::to_wire(&existing));
        }
        return Err(Status::invalid_argument(format!(
            "existing project spec is different; use upsert flag to force update; difference in keys \"{}\"",
            different.join(",")
        )));
    }
    permit::require(actor, Resource::Projects, Action::Update, &name)?;
    let replaced = Project {
        spec: wanted.spec,
        ..existing.clone()
    };
    may_become(shared, actor, &existing, &replaced).await?;
    store(shared, actor, &replaced, None).await
}

/// Replaces one: the caller needs the right to every cluster and repository that it adds, and no application may lose
/// its source or destination.
pub(super) async fn update(
    shared: &Shared,
    actor: &Actor,
    request: wire::ProjectUpdateRequest,
) -> Result<v1alpha1::AppProject, Status> {
    let sent = request.project.ok_or_else(missing_payload)?;
    let name = name_of(&sent);
    permit::require(actor, Resource::Projects, Action::Update, &name)?;
    let scope = shared.store.tenant(actor.tenant.id);
    let found = scope.projects().find(&name).await.map_err(failure::store)?;
    let old = found.ok_or_else(|| not_found(&name))?;
    let wanted = draft(&sent, &name, Some(&old));
    validate::validate(&name, &wanted.spec).map_err(|fault| told(&fault))?;
    valid_namespace(&sent)?;
    may_become(shared, actor, &old, &wanted).await?;
    let expected = sent
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.resource_version.as_deref())
        .filter(|version| !version.is_empty())
        .map(|version| version.parse().unwrap_or(-1))
        .ok_or_else(|| {
            // Whoever does not say what was changed would undo what others did meanwhile.
            Status::invalid_argument(format!(
                "appprojects.argoproj.io {name:?} is invalid: metadata.resourceVersion: Invalid value: 0: must be \
                 specified for an update"
            ))
        })?;
    store(shared, actor, &wanted, Some(expected)).await
}

/// Deletes one that no application is in.
pub(super) async fn delete(
    shared: &Shared,
    actor: &Actor,
    query: wire::ProjectQuery,
) -> Result<wire::EmptyResponse, Status> {
    let name = query.name;
    if name == DEFAULT {
        return Err(Status::invalid_argument(format!(
            "name '{name}' is reserved and cannot be deleted"
        )));
    }
    permit::require(actor, Resource::Projects, Action::Delete, &name)?;
    let scope = shared.store.tenant(actor.tenant.id);
    let found = scope.projects().find(&name).await.map_err(failure::store)?;
    found.ok_or_else(|| not_found(&name))?;
    let applications = scope.applications().list().await.map_err(failure::store)?;
    let users = applications
        .iter()
        .filter(|app| project_of(&app.spec) == name)
        .count();
    if users > 0 {
        return Err(Status::invalid_argument(format!(
            "project is referenced by {users} applications"
        )));
    }
    scope
        .projects()
        .delete(&name)
        .await
        .map_err(failure::store)?;
    shared.caches().forget_projects(Some(actor.tenant.id));
    tracing::info!(tenant = %actor.tenant.name, project = name, account = actor.account, "deleted a project");
    Ok(wire::EmptyResponse {})
}

/// Writes a project over the stored one, and forgets the rights that it was compiled into.
pub(super) async fn store(
    shared: &Shared,
    actor: &Actor,
    wanted: &Project,
    expected: Option<i64>,
) -> Result<v1alpha1::AppProject, Status> {
    let name = wanted.name();
    let scope = shared.store.tenant(actor.tenant.id);
    let written = scope
        .projects()
        .replace(wanted, expected)
        .await
        .map_err(|error| match error.code() {
            store::Code::NotFound => not_found(name),
            store::Code::Conflict => Status::aborted(format!(
                "Operation cannot be fulfilled on appprojects.argoproj.io \"{name}\": the object has been modified; \
                 please apply your changes to the latest version and try again"
            )),
            _ => failure::store(error),
        })?;
    shared.caches().forget_projects(Some(actor.tenant.id));
    tracing::info!(tenant = %actor.tenant.name, project = name, account = actor.account, "changed a project");
    Ok(convert::project::to_wire(&written))
}

fn missing_payload() -> Status {
    Status::invalid_argument("missing payload 'project' in request")
}

fn name_of(sent: &v1alpha1::AppProject) -> String {
    let metadata = sent.metadata.as_ref();
    metadata
        .and_then(|metadata| metadata.name.clone())
        .unwrap_or_default()
}

/// What a client sent, as it is kept: policies in their normal form, tokens of both places together.
fn draft(sent: &v1alpha1::AppProject, name: &str, stored: Option<&Project>) -> Project {
    let nothing = v1alpha1::AppProjectSpec::default();
    let spec = sent.spec.as_ref().unwrap_or(&nothing);
    let mut spec = convert::project::spec_document(spec, stored.map(|project| &project.spec));
    validate::normalize_policies(&mut spec);
    convert::project::merge_tokens(&mut spec, sent.status.as_ref());
    let mut metadata = match stored {
        Some(project) => project.metadata.clone(),
        None => Value::Object(Map::new()),
    };
    let written = json::to_value(&sent.metadata.clone().unwrap_or_default());
    metadata["name"] = Value::String(name.to_owned());
    for key in WRITABLE {
        match written.get(*key) {
            Some(value) => metadata[*key] = value.clone(),
            // A client that leaves its labels out does not mean to take them off.
            None if *key == "labels" => {}
            None => {
                if let Value::Object(fields) = &mut metadata {
                    fields.remove(*key);
                }
            }
        }
    }
    Project {
        metadata,
        spec,
        resource_version: stored.map_or(0, |project| project.resource_version),
    }
}

fn told(fault: &Fault) -> Status {
    let code = match fault.kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::Twice => Code::AlreadyExists,
        Kind::OutOfRange => Code::OutOfRange,
        Kind::Unknown => Code::Unknown,
    };
    Status::new(code, fault.text.clone())
}

fn rules(project: &Project) -> Result<Rules, Status> {
    project.rules().map_err(|problem| {
        Status::invalid_argument(format!("the project's spec cannot be read: {problem}"))
    })
}

/// Whether the caller may make the one into the other, and no application loses what it uses. However a project is
/// replaced, it is asked here.
async fn may_become(
    shared: &Shared,
    actor: &Actor,
    old: &Project,
    new: &Project,
) -> Result<(), Status> {
    let scope = shared.store.tenant(actor.tenant.id);
    let clusters = scope.clusters().list().await.map_err(failure::store)?;
    may_add(actor, &clusters, old, new)?;
    let applications = scope.applications().list().await.map_err(failure::store)?;
    // What cannot be read permits nothing that could be lost, and must not keep from being mended.
    let before = old.rules().unwrap_or_default();
    still_permitted(&applications, &clusters, new.name(), &before, &rules(new)?)
}

/// The clusters of a spec's destinations, by address: a name that is a cluster's stands for its address, as rights know
/// it, any other for itself.
fn servers<'a>(clusters: &'a [Cluster], spec: &'a Value) -> BTreeSet<&'a str> {
    let address = |name: &'a str| {
        if name == IN_CLUSTER_NAME {
            return IN_CLUSTER_SERVER;
        }
        let known = clusters.iter().find(|cluster| cluster.name == name);
        known.map_or(name, |cluster| cluster.server.as_str())
    };
    let destinations = spec.get("destinations").and_then(Value::as_array);
    destinations
        .into_iter()
        .flatten()
        .flat_map(|destination| {
            let name = text(destination, &["name"]);
            [text(destination, &["server"]), address(name)]
        })
        .filter(|server| !server.is_empty())
        .collect()
}

fn sources(spec: &Value) -> BTreeSet<&str> {
    let sources = spec.get("sourceRepos").and_then(Value::as_array);
    sources
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// What `new` gives and `old` did not: its further entries, and what a denial (`!x`) that is gone kept back.
fn handed_out<'a>(
    old: &'a BTreeSet<&'a str>,
    new: &'a BTreeSet<&'a str>,
) -> impl Iterator<Item = &'a str> {
    let freed = old
        .difference(new)
        .filter_map(|entry| entry.strip_prefix('!'));
    new.difference(old).copied().chain(freed)
}

/// Whoever changes a project may thereby hand out no cluster and no repository that is not theirs to change.
fn may_add(
    actor: &Actor,
    clusters: &[Cluster],
    old: &Project,
    new: &Project,
) -> Result<(), Status> {
    const KINDS: &[&str] = &[
        "clusterResourceWhitelist",
        "clusterResourceBlacklist",
        "namespaceResourceBlacklist",
        "namespaceResourceWhitelist",
    ];
    let (before, after) = (servers(clusters, &old.spec), servers(clusters, &new.spec));
    for cluster in handed_out(&before, &after) {
        permit::require(actor, Resource::Clusters, Action::Update, cluster)?;
    }
    for repository in handed_out(&sources(&old.spec), &sources(&new.spec)) {
        permit::require(actor, Resource::Repositories, Action::Update, repository)?;
    }
    if KINDS
        .iter()
        .any(|key| old.spec.get(*key) != new.spec.get(*key))
    {
        for cluster in after {
            permit::require(actor, Resource::Clusters, Action::Update, cluster)?;
        }
    }
    Ok(())
}

fn still_permitted(
    applications: &[Application],
    clusters: &[Cluster],
    project: &str,
    old: &Rules,
    new: &Rules,
) -> Result<(), Status> {
    let (mut sources, mut destinations) = (0, 0);
    for app in applications
        .iter()
        .filter(|app| project_of(&app.spec) == project)
    {
        let Ok(spec) = app.view() else {
            continue;
        };
        let all = |rules: &Rules| {
            let mut urls = spec.effective_sources().into_iter();
            urls.all(|source| rules.permits_chart(&source.repo_url, &source.chart))
        };
        if all(old) && !all(new) {
            sources += 1;
        }
        let added = domain::cluster::meant(&spec.destination, clusters);
        let (server, name, own) = added.map_or((IN_CLUSTER_SERVER, IN_CLUSTER_NAME, ""), |added| {
            (&*added.server, &*added.name, &*added.project)
        });
        let goes = |rules: &Rules| {
            rules.permits_cluster_of(own, project)
                && rules.permits_destination(server, name, &spec.destination.namespace)
        };
        if goes(old) && !goes(new) {
            destinations += 1;
        }
    }
    let mut parts = Vec::new();
    if sources > 0 {
        parts.push(format!("{sources} applications source became invalid"));
    }
    if destinations > 0 {
        parts.push(format!(
            "{destinations} applications destination became invalid"
        ));
    }
    if parts.is_empty() {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "as a result of project update {}",
        parts.join(" and ")
    )))
}

/// The fields in which two specs differ, as Argo CD names them.
fn different_keys(old: &Value, new: &Value) -> Vec<String> {
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (old, new) = (fields(old), fields(new));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| {
            let mut chars = key.chars();
            let first = chars.next().map(|c| c.to_ascii_uppercase());
            first.into_iter().chain(chars).collect()
        })
        .collect()
}

/// Everything of a tenant is in one namespace; a project that says another is meant for somewhere else.
fn valid_namespace(sent: &v1alpha1::AppProject) -> Result<(), Status> {
    let metadata = sent.metadata.as_ref();
    match metadata.and_then(|metadata| metadata.namespace.as_deref()) {
        None | Some("" | CONTROL_PLANE_NAMESPACE) => Ok(()),
        Some(_) => Err(Status::failed_precondition(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
    }
}

/// Kubernetes' rule for names of objects, in its words.
fn valid_name(name: &str) -> Result<(), Status> {
    if is_subdomain(name) {
        return Ok(());
    }
    let why = match name {
        "" => "Required value: name or generateName is required".to_owned(),
        _ => format!(
            "Invalid value: {name:?}: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
             '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
             validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ),
    };
    Err(Status::invalid_argument(format!(
        "AppProject.argoproj.io {name:?} is invalid: metadata.name: {why}"
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules_of(spec: Value) -> Rules {
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn no_application_loses_what_it_uses() {
        let app = Application {
            metadata: json!({"name": "a"}),
            spec: json!({"project": "p", "source": {"repoURL": "https://g/a"}, "destination": {"namespace": "n"}}),
            operation: None,
            status: domain::status::Status::default(),
            resource_version: 1,
        };
        let all = rules_of(
            json!({"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}]}),
        );
        let apps = [app];
        assert!(still_permitted(&apps, &[], "p", &all, &all).is_ok());
        assert!(still_permitted(&apps, &[], "q", &all, &Rules::default()).is_ok());
        assert_eq!(
            still_permitted(&apps, &[], "p", &all, &Rules::default())
                .unwrap_err()
                .message(),
            "as a result of project update 1 applications source became invalid and 1 applications destination became \
             invalid"
        );
        assert!(still_permitted(&apps, &[], "p", &Rules::default(), &Rules::default()).is_ok());
    }

    #[test]
    fn a_denial_that_goes_hands_out_what_it_kept_back() {
        let (old, new) = (
            BTreeSet::from(["*", "!a", "!b"]),
            BTreeSet::from(["*", "!b", "c"]),
        );
        assert_eq!(Vec::from_iter(handed_out(&old, &new)), ["c", "a"]);
        assert_eq!(handed_out(&old, &old).count(), 0);
    }

    #[test]
    fn differences_are_named_as_the_fields_are() {
        let old = json!({"sourceRepos": ["*"], "description": "x"});
        assert_eq!(
            different_keys(&old, &json!({"sourceRepos": ["a"], "description": "x"})),
            ["SourceRepos"]
        );
        assert!(different_keys(&old, &old).is_empty());
    }
}
