//! Links that a tenant's settings add to applications, to their objects and to projects.

use domain::formula::{Budget, Fault};
use domain::message;
use domain::project::Project;
use domain::settings::{DeepLink, Linked};
use proto::argocd::application::{LinkInfo, LinksResponse};
use proto::{convert, json};
use serde_json::Value;
use tonic::{Code, Status};

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

/// What came of links: those that are shown, and of those that are not made for the values how many there are, and the first.
#[derive(Debug, Default)]
struct Made {
    items: Vec<LinkInfo>,
    faults: usize,
    first: Option<(String, Fault)>,
}

/// Those of them that are for these values. One that is not made for them is left out, as in Argo CD; the log says how many
/// and why the first, with none of the values.
///
/// Whoever writes them is a stranger, and may have them take as long as they may: they are made beside the calls, and only so
/// many at once.
///
/// # Errors
/// When too many are being made.
pub(super) async fn shown(
    shared: &Shared,
    actor: &Actor,
    name: &str,
    links: Vec<DeepLink>,
    values: Value,
) -> Result<LinksResponse, Status> {
    if links.is_empty() {
        return Ok(LinksResponse::default());
    }
    let place = shared.links.enter(actor.tenant.id).map_err(|full| {
        let busy = message::settings::LINKS_BUSY.with("limit", full.most());
        failure::say(Code::ResourceExhausted, &busy)
    })?;
    // Whoever asked may go; the place is taken until it is done.
    let making = tokio::task::spawn_blocking(move || {
        let made = made(&links, &values);
        drop(place);
        made
    });
    let Made {
        items,
        faults,
        first,
    } = making.await.map_err(|_| failure::internal())?;
    if let Some((title, why)) = first {
        let tenant = &actor.tenant.name;
        tracing::warn!(%tenant, name, %title, %why, count = faults, "links of the settings are left out");
    }
    Ok(LinksResponse { items })
}

fn made(links: &[DeepLink], values: &Value) -> Made {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (mut made, mut budget) = (Made::default(), Budget::default());
    for link in links {
        match link.address(values, &mut budget) {
            Ok(Some(url)) => made.items.push(LinkInfo {
                url,
                title: link.title.clone(),
                description: some(&link.description),
                icon_class: some(&link.icon_class),
            }),
            Ok(None) => {}
            Err(why) => {
                made.faults += 1;
                made.first.get_or_insert_with(|| (link.title.clone(), why));
            }
        }
    }
    made
}
