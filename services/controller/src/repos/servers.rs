//! The way to the repo-servers: each repository has its own, chosen by rendezvous hashing, and a next one should it fail.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use domain::cause::{Cause, Location};
use domain::manifest::{Manifest, ManifestSetHash, Replaced, ReplacedElsewhere, SourceType};
use domain::message;
use domain::render::Answered;
use domain::revision::Target;
use domain::secret::Secret;
use domain::settings::Rendering;
use domain::signature::{Signature, Verdict};
use proto::naru::internal::v1 as wire;
use proto::naru::internal::v1::repo_server_client::RepoServerClient;
use runtime::config::MutualTls;
use runtime::mtls::{self, Channel, Component, MutualTlsError};
use tonic::{Code, Request, Status};

use super::refs::Refs;
use super::{RepoKey, Trouble};

/// No manifest set is larger on the wire.
const MAX_MESSAGE: usize = 128 << 20;
/// Longer than the repo-server's own limits, which name what took so long.
const LISTING: Duration = Duration::from_secs(60);
/// An index of charts may be large.
const FETCHING: Duration = Duration::from_secs(90);
/// What needs a commit may wait for another fetch before it fetches that one.
const RENDERING: Duration = Duration::from_secs(180);
/// How many revisions of an artifact one request asks for: a registry is asked for each.
const FEW_REVISIONS: usize = 100;

/// The repo-servers.
#[derive(Clone)]
pub struct RepoServers {
    peers: Vec<Peer>,
}

#[derive(Clone)]
struct Peer {
    url: String,
    client: RepoServerClient<Channel>,
}

/// What to render.
#[derive(Clone, Debug, Default)]
pub struct RenderOrder {
    /// The source, canonical JSON.
    pub source: String,
    /// A full commit, the version of a chart, or the digest of an artifact.
    pub commit: String,
    /// The application's name.
    pub app: String,
    /// Its project.
    pub project: String,
    /// Its destination's namespace.
    pub namespace: String,
    /// What may be replaced in files.
    pub variables: BTreeMap<String, String>,
    /// The cluster's version.
    pub kube_version: String,
    /// The cluster's kinds.
    pub api_versions: Vec<String>,
    /// The set that is at hand; empty when none is.
    pub known: String,
    /// The places that came with it.
    pub known_detail: String,
    /// Render, whatever is cached.
    pub no_cache: bool,
    /// How many renders the tenant may have in a minute; 0 without limit.
    pub renders_per_minute: u64,
    /// The other sources that options may refer to.
    pub references: Vec<Reference>,
    /// The ways into the places that charts depend on, as far as they are known to be needed.
    pub dependencies: BTreeMap<String, wire::RepositoryAccess>,
    /// The addresses of the other repositories that it may take folders of.
    pub remotes: Vec<String>,
    /// What the tenant's settings say about rendering.
    pub rendering: Arc<Rendering>,
}

/// A source that others refer to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Its name, without `$`.
    pub name: String,
    /// The repository.
    pub repo: RepoKey,
    /// The address as the application writes it.
    pub url: String,
    /// The commit.
    pub commit: String,
    /// The chart that it is; empty where it is none.
    pub chart: String,
}

/// What an order came to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The manifests.
    Rendered(Rendered),
    /// Nothing yet: the ways into these places are wanted as well.
    Needs(Vec<String>),
}

/// What came of it.
#[derive(Debug)]
pub struct Rendered {
    /// The set's name.
    pub hash: ManifestSetHash,
    /// The set; `None` when it is the one at hand.
    pub manifests: Option<Vec<Manifest>>,
    /// Names the set together with where each object and field was written.
    pub detail: String,
    /// The tool.
    pub source_type: SourceType,
    /// What the renderer noticed.
    pub causes: Vec<Cause>,
    /// Names everything that it was made of, where it comes out otherwise each time.
    pub undetermined: Option<String>,
    /// The addresses of repositories that it needs a way into before it can be made.
    pub wanted: Vec<String>,
    /// The addresses of the other repositories that folders were taken of.
    pub remotes: Vec<String>,
    /// Whether it has to be asked for again though nothing is known to have changed.
    pub passing: bool,
    /// How it came about.
    pub making: Making,
}

/// How a source's manifests came about, for people.
#[derive(Clone, Debug, Default)]
pub struct Making {
    /// How the repo-server came by them, where that is understood here.
    pub answered: Option<Answered>,
    /// The variables that were replaced in files in which no object was written.
    pub elsewhere: Arc<[ReplacedElsewhere]>,
}

impl RepoServers {
    /// Connects on first use.
    ///
    /// # Errors
    /// When an address or the identity cannot be used.
    pub fn new(urls: &[String], identity: &MutualTls) -> Result<Self, MutualTlsError> {
        let peer = |url: &String| {
            let channel = mtls::channel(identity, url, Component::RepoServer)?;
            let client = RepoServerClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
            Ok(Peer {
                url: url.clone(),
                client,
            })
        };
        Ok(Self {
            peers: urls
                .iter()
                .map(peer)
                .collect::<Result<_, MutualTlsError>>()?,
        })
    }

    pub(super) async fn list_refs(&self, access: wire::RepositoryAccess) -> Result<Refs, Trouble> {
        let answer = self
            .ask(&access, |mut client| {
                let asked = wire::ListRefsRequest {
                    repository: Some(access.clone()),
                    fresh: true,
                };
                async move { client.list_refs(timed(asked, LISTING)).await }
            })
            .await?;
        Ok(Refs::new(
            answer.refs.into_iter().collect::<HashMap<_, _>>(),
            answer.head,
        ))
    }

    /// The versions of a chart.
    pub(super) async fn list_versions(
        &self,
        access: wire::RepositoryAccess,
        chart: &str,
    ) -> Result<Refs, Trouble> {
        let answer = self
            .ask(&access, |mut client| {
                let asked = wire::ListVersionsRequest {
                    repository: Some(access.clone()),
                    chart: chart.to_owned(),
                    fresh: true,
                };
                async move { client.list_versions(timed(asked, FETCHING)).await }
            })
            .await?;
        Ok(Refs::of_chart(answer.versions))
    }

    /// The digests that revisions of an artifact are now; what it has not is left out.
    pub(super) async fn digests(
        &self,
        access: wire::RepositoryAccess,
        revisions: Vec<String>,
    ) -> Result<Refs, Trouble> {
        let mut all = HashMap::new();
        for some in revisions.chunks(FEW_REVISIONS) {
            let answer = self
                .ask(&access, |mut client| {
                    let asked = wire::DigestsRequest {
                        repository: Some(access.clone()),
                        revisions: some.to_vec(),
                    };
                    async move { client.digests(timed(asked, FETCHING)).await }
                })
                .await?;
            all.extend(answer.digests);
        }
        Ok(Refs::of_artifact(all))
    }

    pub(super) async fn resolve(
        &self,
        access: wire::RepositoryAccess,
        chart: &str,
        target: Target<'_>,
        fresh: bool,
    ) -> Result<String, Trouble> {
        let answer = self
            .ask(&access, |mut client| {
                let asked = wire::ResolveRequest {
                    repository: Some(access.clone()),
                    revision: target.revision.to_owned(),
                    fresh,
                    tag_prefix: target.tag_prefix.to_owned(),
                    chart: chart.to_owned(),
                };
                async move { client.resolve(timed(asked, RENDERING)).await }
            })
            .await?;
        Ok(answer.commit)
    }

    /// What stands at some paths of a commit.
    pub(super) async fn path_ids(
        &self,
        access: wire::RepositoryAccess,
        commit: &str,
        paths: &[String],
    ) -> Result<Vec<String>, Trouble> {
        let answer = self
            .ask(&access, |mut client| {
                let (commit, paths) = (commit.to_owned(), paths.to_vec());
                let asked = wire::PathIdsRequest {
                    repository: Some(access.clone()),
                    commit,
                    paths,
                };
                async move { client.path_ids(timed(asked, RENDERING)).await }
            })
            .await?;
        Ok(answer.ids)
    }

    pub(super) async fn render(
        &self,
        access: wire::RepositoryAccess,
        references: Vec<wire::SourceReference>,
        remotes: Vec<wire::RepositoryAccess>,
        tenant_key: &Secret,
        order: RenderOrder,
    ) -> Result<Outcome, Trouble> {
        let RenderOrder {
            source,
            commit,
            app,
            project,
            namespace,
            variables,
            kube_version,
            api_versions,
            known,
            known_detail,
            no_cache,
            renders_per_minute,
            references: _,
            dependencies,
            remotes: _,
            rendering,
        } = order;
        let rendering = serde_json::to_string(&*rendering)
            .map_err(|_| Trouble::ours(Cause::error(message::source::INTERNAL.message())))?;
        let asked = wire::RenderRequest {
            repository: Some(access.clone()),
            tenant_key: tenant_key.expose().to_vec(),
            source,
            commit,
            app_name: app,
            project,
            destination_namespace: namespace,
            variables: variables.into_iter().collect(),
            kube_version,
            api_versions,
            known_hash: known,
            known_detail,
            no_cache,
            renders_per_minute,
            references,
            dependencies,
            remotes,
            rendering,
        };
        let answer = self
            .ask(&access, |mut client| {
                let asked = asked.clone();
                async move { client.render(timed(asked, RENDERING)).await }
            })
            .await?;
        match answer.needs.is_empty() {
            true => rendered(answer).map(Outcome::Rendered),
            false => Ok(Outcome::Needs(answer.needs)),
        }
    }

    pub(super) async fn signature(
        &self,
        asked: wire::SignatureRequest,
    ) -> Result<Signature, Trouble> {
        let access = asked.repository.clone().unwrap_or_default();
        let answer = self.ask(&access, |mut client| {
            let asked = asked.clone();
            async move { client.signature(timed(asked, RENDERING)).await }
        });
        let answer = answer.await?;
        Ok(Signature {
            verdict: Verdict::parse(&answer.verdict),
            key: answer.key,
            primary: answer.primary,
            cipher: answer.cipher,
        })
    }

    /// Asks the repository's own repo-server, and the next ones while none can be reached.
    async fn ask<T, Answer>(
        &self,
        access: &wire::RepositoryAccess,
        send: impl Fn(RepoServerClient<Channel>) -> Answer,
    ) -> Result<T, Trouble>
    where
        Answer: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let mut last = Status::unavailable("no repo-server is configured; set NARU_REPO_SERVERS");
        for peer in self.ranked(access) {
            match send(peer.client.clone()).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status)
                    if status.code() == Code::Unavailable && status.details().is_empty() =>
                {
                    tracing::warn!(repo_server = %peer.url, error = status.message(), "a repo-server cannot be reached");
                    last = status;
                }
                Err(status) => return Err(status.into()),
            }
        }
        Err(last.into())
    }

    /// Every repo-server, the one that keeps this mirror first.
    fn ranked(&self, access: &wire::RepositoryAccess) -> Vec<&Peer> {
        let order = domain::repository::rank(
            self.peers.iter().map(|peer| peer.url.as_str()),
            &access.tenant,
            &access.credential_scope,
            &access.url,
        );
        order.into_iter().map(|place| &self.peers[place]).collect()
    }
}

fn timed<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

fn rendered(answer: wire::RenderResponse) -> Result<Rendered, Trouble> {
    let wire::RenderResponse {
        hash,
        unchanged,
        manifests,
        source_type,
        causes,
        cache,
        detail,
        undetermined,
        needs: _,
        wanted,
        remotes,
        passing,
        changed,
        replaced,
    } = answer;
    let broken = || {
        Trouble::ours(Cause::error(
            message::source::REPO_SERVER_UNAVAILABLE.message(),
        ))
    };
    let manifest = |m: wire::RenderedManifest| {
        let object = serde_json::from_slice(&m.object).map_err(|_| broken())?;
        let location = (!m.path.is_empty()).then_some(Location {
            path: m.path,
            line: m.line,
        });
        let lines = m.lines.into_iter().map(|at| (at.field, at.line)).collect();
        let replaced = m.replaced.into_iter().map(|one| Replaced {
            field: one.field,
            line: one.line,
            variable: one.variable,
        });
        Ok(Manifest {
            object,
            location,
            lines,
            replaced: replaced.collect(),
        })
    };
    let manifests = match unchanged {
        true => None,
        false => Some(
            manifests
                .into_iter()
                .map(manifest)
                .collect::<Result<_, Trouble>>()?,
        ),
    };
    let changed = changed.unwrap_or_default();
    let elsewhere = replaced.into_iter().map(|one| ReplacedElsewhere {
        location: Location {
            path: one.path,
            line: one.line,
        },
        variable: one.variable,
    });
    Ok(Rendered {
        making: Making {
            answered: Answered::parse(&cache, &changed.what, &changed.name),
            elsewhere: elsewhere.collect(),
        },
        hash: ManifestSetHash(hash),
        manifests,
        detail,
        source_type: match source_type.as_str() {
            "Helm" => SourceType::Helm,
            "Kustomize" => SourceType::Kustomize,
            _ => SourceType::Directory,
        },
        causes: causes
            .iter()
            .filter_map(|cause| serde_json::from_str(cause).ok())
            .collect(),
        undetermined: (!undetermined.is_empty()).then_some(undetermined),
        wanted,
        remotes,
        passing,
    })
}
