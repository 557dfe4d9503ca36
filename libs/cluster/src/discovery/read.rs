//! Reading the discovery endpoints: aggregated where offered, else group by group.

use std::collections::HashSet;

use serde::Deserialize;

use super::{ApiKind, Discovery, ServerVersion};
use crate::error::Error;
use crate::transport::{Identity, Transport};

const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
const JSON: &str = "application/json";
/// No cluster has as many kinds, each version counted.
const MOST_KINDS: usize = 20_000;
/// The part of a resource that its status is written by.
const STATUS: &str = "status";

#[derive(Deserialize)]
struct Version {
    major: String,
    minor: String,
    #[serde(rename = "gitVersion")]
    git_version: String,
}

/// Either form of `/api` and `/apis`: the aggregated list has `items`, the plain ones `groups` or `versions`.
#[derive(Deserialize)]
struct Root {
    #[serde(default)]
    items: Vec<Group>,
    #[serde(default)]
    groups: Vec<PlainGroup>,
    #[serde(default)]
    versions: Vec<String>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: Name,
    #[serde(default)]
    versions: Vec<GroupVersion>,
}

#[derive(Deserialize, Default)]
struct Name {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
    #[serde(default)]
    resources: Vec<Resource>,
    #[serde(default)]
    freshness: String,
}

#[derive(Deserialize)]
struct Resource {
    resource: String,
    #[serde(rename = "responseKind")]
    response_kind: Option<Kind>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    subresources: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    subresource: String,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlainGroup {
    name: String,
    versions: Vec<PlainVersion>,
    preferred_version: Option<PlainVersion>,
}

#[derive(Deserialize)]
struct PlainVersion {
    version: String,
}

#[derive(Deserialize)]
struct PlainList {
    #[serde(default)]
    resources: Vec<PlainResource>,
}

#[derive(Deserialize)]
struct PlainResource {
    name: String,
    kind: String,
    #[serde(default)]
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

/// Asks for everything. A group whose own server does not answer keeps the kinds it had `before`.
pub(super) async fn discover(
    transport: &Transport,
    identity: &Identity,
    before: &Discovery,
) -> Result<Discovery, Error> {
    let version: Version = transport.get(identity, "/version", JSON).await?.json()?;
    let version = ServerVersion {
        major: version.major,
        minor: version.minor,
        git_version: version.git_version,
    };
    let mut kinds = Vec::new();
    for path in ["/api", "/apis"] {
        let root: Root = transport.get(identity, path, AGGREGATED).await?.json()?;
        for group in root.items {
            aggregated(group, before, &mut kinds)?;
        }
        for version in root.versions {
            plain(transport, identity, "", &version, before, &mut kinds).await?;
        }
        for group in root.groups {
            let preferred = group
                .preferred_version
                .map(|preferred| preferred.version)
                .unwrap_or_default();
            let mut versions: Vec<String> = group
                .versions
                .into_iter()
                .map(|listed| listed.version)
                .collect();
            versions.sort_by_key(|version| *version != preferred);
            for version in versions {
                plain(
                    transport,
                    identity,
                    &group.name,
                    &version,
                    before,
                    &mut kinds,
                )
                .await?;
            }
        }
    }
    Ok(Discovery::new(version, kinds))
}

fn aggregated(group: Group, before: &Discovery, kinds: &mut Vec<ApiKind>) -> Result<(), Error> {
    for version in group.versions {
        if version.freshness == "Stale" && version.resources.is_empty() {
            keep(&group.metadata.name, &version.version, before, kinds);
        }
        // With each: one that is kept many times over is more than the answer that says so.
        no_more_than_there_are(kinds)?;
        for resource in version.resources {
            let Some(kind) = resource
                .response_kind
                .map(|kind| kind.kind)
                .filter(|kind| !kind.is_empty())
            else {
                continue;
            };
            let mut parts = resource.subresources.iter();
            kinds.push(ApiKind {
                status_apart: parts.any(|part| part.subresource == STATUS),
                group: group.metadata.name.clone(),
                version: version.version.clone(),
                kind,
                plural: resource.resource,
                namespaced: resource.scope == "Namespaced",
                verbs: resource.verbs,
            });
        }
    }
    no_more_than_there_are(kinds)
}

fn no_more_than_there_are(kinds: &[ApiKind]) -> Result<(), Error> {
    match kinds.len() <= MOST_KINDS {
        true => Ok(()),
        false => Err(Error::NotUnderstood("more kinds than there are".into())),
    }
}

async fn plain(
    transport: &Transport,
    identity: &Identity,
    group: &str,
    version: &str,
    before: &Discovery,
    kinds: &mut Vec<ApiKind>,
) -> Result<(), Error> {
    let path = if group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{group}/{version}")
    };
    let list: PlainList = match transport.get(identity, &path, JSON).await {
        Ok(answer) => answer.json()?,
        Err(Error::Refused(refusal)) => {
            tracing::warn!(group, version, %refusal, "a group of the cluster does not answer, its kinds are kept");
            keep(group, version, before, kinds);
            return no_more_than_there_are(kinds);
        }
        Err(error) => return Err(error),
    };
    // A name with a slash is a part of a resource (`deployments/scale`).
    let apart: HashSet<String> = list
        .resources
        .iter()
        .filter_map(|resource| resource.name.split_once('/'))
        .filter(|(_, part)| *part == STATUS)
        .map(|(name, _)| name.to_owned())
        .collect();
    kinds.extend(
        list.resources
            .into_iter()
            .filter(|resource| !resource.name.contains('/'))
            .map(|resource| ApiKind {
                status_apart: apart.contains(&resource.name),
                group: group.to_owned(),
                version: version.to_owned(),
                kind: resource.kind,
                plural: resource.name,
                namespaced: resource.namespaced,
                verbs: resource.verbs,
            }),
    );
    no_more_than_there_are(kinds)
}

fn keep(group: &str, version: &str, before: &Discovery, kinds: &mut Vec<ApiKind>) {
    let known = before.kinds.values().flatten();
    kinds.extend(
        known
            .filter(|kind| kind.group == group && kind.version == version)
            .cloned(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_before_is_counted_each_time() {
        let kinds = (0..MOST_KINDS / 2).map(|at| ApiKind {
            group: "g".into(),
            version: "v1".into(),
            kind: format!("Kind{at}"),
            plural: format!("kind{at}s"),
            namespaced: true,
            verbs: Vec::new(),
            status_apart: false,
        });
        let before = Discovery::new(ServerVersion::default(), kinds.collect());
        let kept = |times| {
            let stale = || GroupVersion {
                version: "v1".into(),
                resources: Vec::new(),
                freshness: "Stale".into(),
            };
            let group = Group {
                metadata: Name { name: "g".into() },
                versions: (0..times).map(|_| stale()).collect(),
            };
            let mut kinds = Vec::new();
            let read = aggregated(group, &before, &mut kinds);
            (read.is_ok(), kinds.len())
        };
        assert_eq!(kept(2), (true, MOST_KINDS));
        assert_eq!(kept(1_000), (false, MOST_KINDS / 2 * 3));
    }
}
