//! Artifacts of a registry: which digest a revision is, the files that it names, and what is noted with them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::cause::Cause;
use domain::message;
use domain::repository::is_digest;
use domain::version::{Wanted, choose, wanted};

use super::archive::{self, Layout, Packing};
use super::http::timed;
use super::oci::{Layer, Manifest, Registry, is_digest_of, tag};
use super::shelf::{Form, Kept, Listed, Shelf};
use super::store::{Charts, MAX_ARCHIVE, too_large};
use crate::error::{Error, Kind};
use crate::git::{Access, Request, Snapshot};

/// The most layers of an artifact, as in Argo CD.
const MAX_LAYERS: usize = 10;
/// A chart's archive: the folder in it is the chart.
const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// The layers that are read, as Argo CD reads them unless it is told otherwise.
const READ: [(&str, Layout, Packing); 3] = [
    (
        "application/vnd.oci.image.layer.v1.tar",
        Layout::Artifact,
        Packing::Tar,
    ),
    (
        "application/vnd.oci.image.layer.v1.tar+gzip",
        Layout::Artifact,
        Packing::TarGzip,
    ),
    (CHART, Layout::Chart, Packing::TarGzip),
];

/// What whoever published an artifact noted; empty where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactNotes {
    /// When it was made, as it is written.
    pub created: String,
    /// Who is answerable for it.
    pub authors: String,
    /// Where its documentation is.
    pub documentation: String,
    /// Where its source is.
    pub source: String,
    /// Its version.
    pub version: String,
    /// What it is.
    pub description: String,
}

impl Charts {
    /// The digest that a revision of an artifact is now: that of a tag, else of the newest tag in a range. A digest is taken
    /// as it is.
    ///
    /// # Errors
    /// When the registry cannot be read, or has no such revision.
    #[tracing::instrument(name = "artifacts.digest", skip_all)]
    pub async fn digest(&self, access: &Access, revision: &str) -> Result<String, Error> {
        let revisions = [revision.to_owned()];
        let mut found = self.digests(access, &revisions).await?;
        found
            .remove(revision)
            .ok_or_else(|| not_found(access, revision))
    }

    /// The digests that revisions of an artifact are now; those that it has not are left out.
    ///
    /// # Errors
    /// When the registry cannot be read.
    #[tracing::instrument(name = "artifacts.digests", skip_all)]
    pub async fn digests(
        &self,
        access: &Access,
        revisions: &[String],
    ) -> Result<BTreeMap<String, String>, Error> {
        let asking = async {
            let mut registry = Registry::new(self.mirrors().clients(), access, "")?;
            let mut found = BTreeMap::new();
            // Listed once, for whichever needs it.
            let mut tags = None;
            for revision in revisions {
                let now = self.now(access, &mut registry, &mut tags, revision).await?;
                found.extend(now.map(|digest| (revision.clone(), digest)));
            }
            Ok(found)
        };
        let limit = self.mirrors().limits().list.max(Duration::from_secs(60));
        self.mirrors()
            .observed(access, Request::List, timed(access, limit, asking))
            .await
    }

    async fn now(
        &self,
        access: &Access,
        registry: &mut Registry<'_>,
        tags: &mut Option<Arc<Listed>>,
        revision: &str,
    ) -> Result<Option<String>, Error> {
        if is_digest(revision) {
            return Ok(Some(revision.to_owned()));
        }
        if let Some(tag) = tag(revision)
            && let Some(digest) = registry.digest(&tag).await?
        {
            return Ok(Some(digest));
        }
        // Nothing is no range: it would be the newest of all, which nobody wrote.
        if revision.is_empty() || !matches!(wanted(revision), Wanted::Newest(_)) {
            return Ok(None);
        }
        let listed = match tags {
            Some(listed) => listed.clone(),
            None => match self.listed(access, "", true).await {
                Ok(listed) => tags.insert(listed).clone(),
                Err(error) if error.kind() == Kind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let Listed::Tags(all) = &*listed else {
            return Err(Error::internal("a registry with an index"));
        };
        match choose(revision, all.iter().map(String::as_str)).and_then(tag) {
            Some(tag) => registry.digest(&tag).await,
            None => Ok(None),
        }
    }

    /// The files of an artifact by its digest, fetched now unless they are kept.
    ///
    /// # Errors
    /// When it cannot be had, or is none.
    #[tracing::instrument(name = "artifacts.ensure", skip_all)]
    pub async fn artifact(&self, access: &Access, digest: &str) -> Result<Snapshot, Error> {
        if !is_digest(digest) {
            return Err(not_found(access, digest));
        }
        let shelf = self.shelf(access, "");
        let kept = match self.look(&shelf, "", digest, Form::Files).await? {
            Some(kept) => kept,
            None => {
                let _alone = shelf.fetching.lock().await;
                match self.look(&shelf, "", digest, Form::Files).await? {
                    Some(kept) => kept,
                    None => self.fetch_artifact(access, &shelf, digest).await?,
                }
            }
        };
        shelf.snapshot(&kept)
    }

    async fn fetch_artifact(
        &self,
        access: &Access,
        shelf: &Arc<Shelf>,
        digest: &str,
    ) -> Result<Kept, Error> {
        let fetching = async {
            let mut registry = Registry::new(self.mirrors().clients(), access, "")?;
            let manifest = named(&mut registry, access, digest).await?;
            let (layer, layout, packing) =
                content(&manifest).map_err(|reason| refused(digest, reason))?;
            if layer.size > MAX_ARCHIVE as u64 {
                return Err(too_large());
            }
            let name = layer
                .sha256()
                .ok_or_else(|| refused(digest, "its layer is named by no SHA-256"))?;
            let bytes = registry.blob(&name, MAX_ARCHIVE).await?;
            if !is_digest_of(&name, &bytes) {
                return Err(refused(
                    digest,
                    "its layer is not the one that its digest names",
                ));
            }
            Ok((name, bytes, layout, packing))
        };
        let limit = self.mirrors().limits().fetch;
        let fetched =
            self.mirrors()
                .observed(access, Request::Fetch, timed(access, limit, fetching));
        let (layer, bytes, layout, packing) = fetched.await?;
        let (shelf, digest) = (shelf.clone(), digest.to_owned());
        let keeping = tokio::task::spawn_blocking(move || {
            let files = archive::unpack(&bytes, layout, packing)
                .map_err(|reason| refused(&digest, reason))?;
            shelf.keep_files("", &digest, (&digest, &layer), files)
        });
        let kept = keeping.await.map_err(Error::internal)??;
        self.make_room(access.tenant()).await;
        Ok(kept)
    }

    /// What is noted with an artifact, by a revision of it.
    ///
    /// # Errors
    /// When the registry cannot be read, or has no such revision.
    #[tracing::instrument(name = "artifacts.notes", skip_all)]
    pub async fn artifact_notes(
        &self,
        access: &Access,
        revision: &str,
    ) -> Result<ArtifactNotes, Error> {
        let digest = self.digest(access, revision).await?;
        let asking = async {
            let mut registry = Registry::new(self.mirrors().clients(), access, "")?;
            named(&mut registry, access, &digest).await
        };
        let limit = self.mirrors().limits().list;
        let asked = self
            .mirrors()
            .observed(access, Request::List, timed(access, limit, asking));
        let manifest = asked.await?;
        let note = |name: &str| manifest.note(&format!("org.opencontainers.image.{name}"));
        Ok(ArtifactNotes {
            created: note("created"),
            authors: note("authors"),
            documentation: note("documentation"),
            source: note("source"),
            version: note("version"),
            description: note("description"),
        })
    }
}

/// The manifest of just that digest.
async fn named(
    registry: &mut Registry<'_>,
    access: &Access,
    digest: &str,
) -> Result<Manifest, Error> {
    let (manifest, is) = match registry.manifest(digest).await {
        Err(error) if error.kind() == Kind::NotFound => return Err(not_found(access, digest)),
        result => result?,
    };
    if digest.strip_prefix("sha256:") != Some(is.as_str()) {
        let reason = "what the registry sends is not what the digest names";
        return Err(refused(digest, reason));
    }
    Ok(manifest)
}

/// The one layer that is read, and how.
fn content(manifest: &Manifest) -> Result<(&Layer, Layout, Packing), String> {
    if manifest.is_list() {
        return Err("it is a list of images for several platforms".to_owned());
    }
    if manifest.layers.len() > MAX_LAYERS {
        return Err(format!("it has more than {MAX_LAYERS} layers"));
    }
    // Signatures and attestations lie beside.
    let archives = manifest.layers.iter().filter(|layer| {
        let ends = ["tar+gzip", "tar.gzip", "tar"];
        ends.iter().any(|end| layer.media_type.ends_with(end))
    });
    let mut found = Vec::new();
    for layer in archives {
        let (_, layout, packing) = READ
            .iter()
            .find(|(media_type, ..)| layer.media_type == *media_type)
            .ok_or_else(|| {
                let shown: String = layer
                    .media_type
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(100)
                    .collect();
                format!("layers of type `{shown}` are not read")
            })?;
        found.push((layer, *layout, *packing));
    }
    match found.as_slice() {
        [one] => Ok(*one),
        all => Err(format!(
            "it has {} layers with files, and one is wanted",
            all.len()
        )),
    }
}

fn not_found(access: &Access, revision: &str) -> Error {
    let shown: String = revision
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    let message = message::chart::ARTIFACT_NOT_FOUND
        .with("url", access.shown())
        .with("revision", shown);
    let cause = Cause::error(message).field("spec.source.targetRevision");
    Error::of(Kind::NotFound, cause)
}

fn refused(digest: &str, reason: impl Into<String>) -> Error {
    let message = message::chart::ARTIFACT_REFUSED
        .with("digest", digest)
        .with("reason", reason.into());
    Error::new(Kind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest(types: &[&str]) -> Manifest {
        let layer = |media_type: &&str| json!({"mediaType": media_type, "digest": format!("sha256:{}", "0".repeat(64)), "size": 1});
        let layers: Vec<_> = types.iter().map(layer).collect();
        serde_json::from_value(json!({"layers": layers})).unwrap()
    }

    #[test]
    fn the_layer_of_an_artifact_is_found_as_argo_cd_finds_it() {
        let image = "application/vnd.oci.image.layer.v1.tar+gzip";
        let signed = manifest(&[image, "application/vnd.cncf.helm.chart.provenance.v1.prov"]);
        assert_eq!(content(&signed).unwrap().1, Layout::Artifact);
        assert_eq!(content(&manifest(&[CHART])).unwrap().1, Layout::Chart);
        let tar = manifest(&["application/vnd.oci.image.layer.v1.tar"]);
        assert_eq!(content(&tar).unwrap().2, Packing::Tar);
        for (types, said) in [
            (vec![], "0 layers with files"),
            (vec!["application/json"], "0 layers with files"),
            (vec![image, image], "2 layers with files"),
            (
                vec!["application/vnd.cncf.flux.content.v1.tar+gzip"],
                "flux.content.v1.tar+gzip` are not read",
            ),
            (vec![image; 11], "more than 10 layers"),
        ] {
            let refused = content(&manifest(&types)).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
        let list = json!({"manifests": [{"digest": "x", "platform": {"os": "linux"}}]});
        let list: Manifest = serde_json::from_value(list).unwrap();
        assert!(content(&list).unwrap_err().contains("several platforms"));
    }
}
