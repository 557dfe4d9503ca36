//! Links that a tenant's settings add to applications, to their objects and to projects.

use domain::formula::Budget;
use domain::project::Project;
use domain::settings::{DeepLink, Linked};
use proto::argocd::application::{LinkInfo, LinksResponse};
use proto::{convert, json};
use serde_json::Value;
use tonic::Status;

use crate::failure;
use crate::permit::Actor;
use crate::shared::Shared;

/// The links that the tenant's settings have for such things.
pub(super) async fn of(
    shared: &Shared,
    actor: &Actor,
    linked: Linked,
) -> Result<Vec<DeepLink>, Status> {
    let config = shared.configs.of(actor.tenant.id).await;
    Ok(config.map_err(failure::store)?.links(linked))
}

/// A project as links see it: without the state of its tokens.
pub(super) fn project(project: &Project) -> Value {
    let mut document = json::to_value(&convert::project::to_wire(project));
    if let Some(fields) = document.as_object_mut() {
        fields.remove("status");
    }
    document
}

/// Those of them that are for these values. One that is not made for them is left out, as in Argo CD; the log says how many
/// and why the first, with none of the values.
pub(super) fn shown(
    actor: &Actor,
    name: &str,
    links: &[DeepLink],
    values: &Value,
) -> LinksResponse {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (mut items, mut faults) = (Vec::new(), Vec::new());
    let mut budget = Budget::default();
    for link in links {
        match link.address(values, &mut budget) {
            Ok(Some(url)) => items.push(LinkInfo {
                url,
                title: link.title.clone(),
                description: some(&link.description),
                icon_class: some(&link.icon_class),
            }),
            Ok(None) => {}
            Err(why) => faults.push((&link.title, why)),
        }
    }
    if let Some((title, why)) = faults.first() {
        let (tenant, count) = (&actor.tenant.name, faults.len());
        tracing::warn!(%tenant, name, %title, %why, count, "links of the settings are left out");
    }
    LinksResponse { items }
}
