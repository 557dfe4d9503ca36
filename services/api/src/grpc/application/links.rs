//! Links that a tenant's settings add to applications and to their objects.

use domain::application::{Application, Destination, IN_CLUSTER_NAME, IN_CLUSTER_SERVER};
use domain::cluster::{Cluster, is_in_cluster, meant};
use domain::resource::text;
use domain::settings::Linked;
use proto::argocd::application as wire;
use proto::naru::internal::v1::ResourceRequest;
use proto::{convert, json};
use serde_json::{Map, Value};
use tonic::Status;

use super::find::{self, Found, Query};
use super::live::peer;
use super::manifests::hidden;
use super::mask::mask;
use super::operate::rules_of;
use super::resource::named;
use crate::failure;
use crate::grpc::deep_links;
use crate::language;
use crate::permit::{Action, Actor};
use crate::shared::Shared;

/// The links of an application.
pub(super) async fn of_application(
    shared: &Shared,
    actor: &Actor,
    request: wire::ListAppLinksRequest,
) -> Result<wire::LinksResponse, Status> {
    let asked = Query {
        name: &request.name,
        namespace: request.namespace.as_deref(),
        project: request.project.as_deref(),
    };
    let found = find::find(shared, actor, Action::Get, asked).await?;
    let links = deep_links::of(shared, actor, Linked::Application).await?;
    if links.is_empty() {
        return Ok(wire::LinksResponse::default());
    }
    let mut values = values(&found.app);
    let cluster = cluster(shared, actor, &found).await?;
    values.extend(cluster.map(|cluster| ("cluster".to_owned(), cluster)));
    let values = Value::Object(values);
    deep_links::shown(shared, actor, found.app.name(), links, values).await
}

/// The links of one object, of which clients take the application itself for one. Where there are none for objects, nobody
/// looks whether it is there.
pub(super) async fn of_object(
    shared: &Shared,
    actor: &Actor,
    mut request: wire::ApplicationResourceRequest,
) -> Result<wire::LinksResponse, Status> {
    let named = named!(request);
    let found = find::find(shared, actor, Action::Get, named.query()).await?;
    let itself = named.is_application();
    let asked = named.object(actor)?;
    let links = deep_links::of(shared, actor, Linked::Resource).await?;
    if links.is_empty() {
        return Ok(wire::LinksResponse::default());
    }
    let name = asked.name.clone();
    let mut values = values(&found.app);
    let object = match values.get("app") {
        Some(app) if itself => app.clone(),
        _ => live(shared, actor, &found.app, asked).await?,
    };
    values.insert("resource".to_owned(), object);
    if let Some(cluster) = cluster(shared, actor, &found).await? {
        values.insert("cluster".to_owned(), cluster);
        values.insert("project".to_owned(), deep_links::project(&found.project));
    }
    let values = Value::Object(values);
    deep_links::shown(shared, actor, &name, links, values).await
}

/// The application by both of its names.
fn values(app: &Application) -> Map<String, Value> {
    let app = json::to_value(&convert::application::to_wire(app, language::current()));
    let mut values = Map::new();
    values.insert("application".to_owned(), app.clone());
    values.insert("app".to_owned(), app);
    values
}

/// The object, without the values of a Secret.
async fn live(
    shared: &Shared,
    actor: &Actor,
    app: &Application,
    asked: ResourceRequest,
) -> Result<Value, Status> {
    let mut owner = shared.controllers.owner_of(actor.tenant.id, app).await?;
    let body = owner.get_resource(asked).await.map_err(peer)?.into_inner();
    let mut object = serde_json::from_slice(&body.object).map_err(|_| failure::internal())?;
    mask(&mut object, &hidden(shared, actor).await?);
    Ok(object)
}

/// The cluster that the application goes to, without what opens it; `None` for one that nobody knows.
async fn cluster(shared: &Shared, actor: &Actor, found: &Found) -> Result<Option<Value>, Status> {
    let part = |field: &str| text(&found.app.spec, &["destination", field]).to_owned();
    let destination = Destination {
        server: part("server"),
        name: part("name"),
        namespace: part("namespace"),
    };
    let scope = shared.store.tenant(actor.tenant.id);
    let added = scope.clusters().list().await.map_err(failure::store)?;
    let Some(cluster) = named_by(&destination, &added) else {
        return Ok(None);
    };
    let rules = rules_of(&found.project)?;
    if !rules.permits_destination(&cluster.server, &cluster.name, &destination.namespace) {
        return Err(Status::unknown("error getting destination cluster"));
    }
    Ok(Some(document(&cluster)))
}

/// The cluster that a destination means: one that was added, or the one that the installation runs on.
fn named_by(destination: &Destination, added: &[Cluster]) -> Option<Cluster> {
    if let Some(cluster) = meant(destination, added) {
        return Some(cluster.clone());
    }
    let is_shared = match (destination.server.as_str(), destination.name.as_str()) {
        ("", name) => name == IN_CLUSTER_NAME,
        (server, "") => is_in_cluster(server),
        _ => false,
    };
    is_shared.then(|| Cluster {
        server: IN_CLUSTER_SERVER.to_owned(),
        name: IN_CLUSTER_NAME.to_owned(),
        ..Cluster::default()
    })
}

/// Of a cluster what Argo CD gives links of it; a field that is empty is not there.
fn document(cluster: &Cluster) -> Value {
    let Cluster {
        server,
        name,
        project,
        labels,
        annotations,
        namespaces,
        cluster_resources: _,
        shard,
        shown: _,
        refresh_requested: _,
    } = cluster;
    let mut fields = Map::new();
    let mut put = |field: &str, there: bool, value: Value| {
        if there {
            fields.insert(field.to_owned(), value);
        }
    };
    put("server", true, server.as_str().into());
    put("name", true, name.as_str().into());
    put("project", !project.is_empty(), project.as_str().into());
    put("shard", shard.is_some(), (*shard).into());
    put(
        "namespaces",
        !namespaces.is_empty(),
        namespaces.as_slice().into(),
    );
    put("labels", !labels.is_empty(), serde_json::json!(labels));
    let noted = !annotations.is_empty();
    put("annotations", noted, serde_json::json!(annotations));
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_destination_means_the_cluster_that_a_sync_goes_to() {
        let cluster = |server: &str, name: &str| Cluster {
            server: server.into(),
            name: name.into(),
            ..Cluster::default()
        };
        // The last one's name is not its own.
        let added = [
            cluster("https://a.example", "a"),
            cluster("https://b.example", IN_CLUSTER_NAME),
        ];
        for (server, name, wanted) in [
            ("https://a.example/", "", Some("https://a.example")),
            ("", "a", Some("https://a.example")),
            ("", IN_CLUSTER_NAME, Some(IN_CLUSTER_SERVER)),
            (IN_CLUSTER_SERVER, "", Some(IN_CLUSTER_SERVER)),
            ("https://a.example", "a", None),
            (IN_CLUSTER_SERVER, IN_CLUSTER_NAME, None),
            ("https://c.example", "", None),
            ("", "", None),
        ] {
            let destination = Destination {
                server: server.into(),
                name: name.into(),
                ..Destination::default()
            };
            let found = named_by(&destination, &added);
            let found = found.as_ref().map(|one| one.server.as_str());
            assert_eq!(found, wanted, "{server} {name}");
        }
    }

    #[test]
    fn a_cluster_shows_what_links_need_and_no_way_in() {
        let mut cluster = Cluster {
            server: "https://a.example".into(),
            name: "a".into(),
            labels: [("team".to_owned(), "shop".to_owned())].into(),
            ..Cluster::default()
        };
        cluster.shown.proxy_url = "https://proxy.example".into();
        assert_eq!(
            document(&cluster),
            json!({"server": "https://a.example", "name": "a", "labels": {"team": "shop"}})
        );
    }
}
