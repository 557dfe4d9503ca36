//! `naru.internal.v1.RepoServer`: parse, ask, convert.

use std::collections::BTreeMap;
use std::time::Duration;

use crowd::fair::Fair;
use domain::cause::Location;
use domain::clock::Clock;
use domain::manifest::{MAX_LOCAL, Replaced};
use domain::message;
use domain::repository::{Credentials, GithubApp};
use domain::revision;
use domain::secret::Secret;
use domain::settings::Rendering;
use domain::tenant::TenantId;
use proto::naru::internal::v1 as wire;
use proto::naru::internal::v1::repo_server_server::RepoServer;
use runtime::clock::SystemClock;
use serde::Deserialize;
use serde_json::value::RawValue;
use source::charts::{ArtifactNotes, Charts};
use source::git::{Access, Files, Login, Mirrors, Node, Place, Rules};
use source::render::{ChartDetails, Reference, RenderInput, Target};
use source::{Error, Kind};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::renders::{Order, Outcome, Renders};

/// The most paths of one request.
const MAX_PATHS: usize = 10_000;
/// The most revisions of one request, each of which a registry is asked for.
const MAX_REVISIONS: usize = 1_000;
/// The most sources that a request may refer to.
const MAX_REFERENCES: usize = 100;
/// The most variables of one request.
const MAX_VARIABLES: usize = 1000;
/// The most signing keys of one request, and their length in bytes.
const MAX_KEYS: usize = 1000;
const MAX_KEYS_LENGTH: usize = 16 << 20;
/// How long a folder may take to arrive, once there is a place for it: whoever sends it has all of it.
const RECEIVING: Duration = Duration::from_secs(60);

/// The service.
pub(crate) struct Service {
    pub(crate) mirrors: Mirrors,
    pub(crate) charts: Charts,
    pub(crate) renders: Renders,
    /// The turns of those who ask what chart repositories offer: their answers are large, and held until they are read.
    pub(crate) listings: Fair,
    pub(crate) rules: Rules,
}

#[tonic::async_trait]
impl RepoServer for Service {
    async fn list_refs(
        &self,
        request: Request<wire::ListRefsRequest>,
    ) -> Result<Response<wire::ListRefsResponse>, Status> {
        let wire::ListRefsRequest { repository, fresh } = request.into_inner();
        let access = self.access(repository)?;
        let refs = self
            .mirrors
            .list_refs(&access, fresh)
            .await
            .map_err(refused)?;
        let answer = wire::ListRefsResponse {
            refs: refs.refs.clone().into_iter().collect(),
            head: refs.head.clone(),
        };
        Ok(Response::new(answer))
    }

    async fn resolve(
        &self,
        request: Request<wire::ResolveRequest>,
    ) -> Result<Response<wire::ResolveResponse>, Status> {
        let wire::ResolveRequest {
            repository,
            revision,
            fresh,
            tag_prefix,
            chart,
        } = request.into_inner();
        let artifact = chart.is_empty() && is_artifact(repository.as_ref());
        let access = self.access(repository)?;
        let commit = match chart.as_str() {
            "" if artifact => {
                let _turn = self.listings.turn(access.tenant()).await;
                self.charts.digest(&access, &revision).await
            }
            "" => {
                let target = revision::Target {
                    revision: &revision,
                    tag_prefix: &tag_prefix,
                };
                self.mirrors.resolve(&access, target, fresh).await
            }
            chart => {
                let _turn = self.listings.turn(access.tenant()).await;
                let charts = &self.charts;
                charts.resolve(&access, chart, &revision, fresh).await
            }
        };
        let commit = commit.map_err(refused)?;
        Ok(Response::new(wire::ResolveResponse { commit }))
    }

    async fn render(
        &self,
        request: Request<wire::RenderRequest>,
    ) -> Result<Response<wire::RenderResponse>, Status> {
        let mut asked = request.into_inner();
        let (known_hash, known_detail) = (
            std::mem::take(&mut asked.known_hash),
            std::mem::take(&mut asked.known_detail),
        );
        let order = self.order(asked)?;
        let outcome = self.renders.get(order).await;
        answer(outcome, &known_hash, &known_detail)
    }

    async fn render_local(
        &self,
        request: Request<Streaming<wire::RenderLocalRequest>>,
    ) -> Result<Response<wire::RenderResponse>, Status> {
        let mut parts = request.into_inner();
        let first = parts.message().await?.unwrap_or_default();
        let asked = first.source;
        let asked = asked.ok_or_else(|| Status::invalid_argument("the request names no source"))?;
        let order = self.order(asked)?;
        answer(self.renders.local(order, archive(parts)).await, "", "")
    }

    async fn path_ids(
        &self,
        request: Request<wire::PathIdsRequest>,
    ) -> Result<Response<wire::PathIdsResponse>, Status> {
        let wire::PathIdsRequest {
            repository,
            commit,
            paths,
        } = request.into_inner();
        if paths.len() > MAX_PATHS {
            return Err(Status::invalid_argument("too many paths"));
        }
        let access = self.access(repository)?;
        let snapshot = self
            .mirrors
            .ensure_commit(&access, &commit)
            .await
            .map_err(refused)?;
        let ids =
            snapshot.read(move |files| Ok(paths.iter().map(|path| path_id(files, path)).collect()));
        Ok(Response::new(wire::PathIdsResponse {
            ids: ids.await.map_err(refused)?,
        }))
    }

    async fn discover(
        &self,
        request: Request<wire::DiscoverRequest>,
    ) -> Result<Response<wire::DiscoverResponse>, Status> {
        let wire::DiscoverRequest { repository, commit } = request.into_inner();
        let access = self.access(repository)?;
        // Before there is a seat: a server that is slow takes none.
        let fetched = self.mirrors.ensure_commit(&access, &commit).await;
        drop(fetched.map_err(refused)?);
        let seat = self.renders.seat(access.tenant()).await;
        // The mirror may have made room for others while it was waited for.
        let ensuring = self.mirrors.ensure_commit(&access, &commit);
        let snapshot = seat.lending(ensuring).await.map_err(refused)?;
        let found = snapshot.read(move |files| {
            let found = source::render::discover(files);
            drop(seat);
            found
        });
        let tools = found.await.map_err(refused)?.into_iter();
        Ok(Response::new(wire::DiscoverResponse {
            tools: tools
                .map(|(path, tool)| (path, tool.as_str().to_owned()))
                .collect(),
        }))
    }

    async fn revision_metadata(
        &self,
        request: Request<wire::RevisionMetadataRequest>,
    ) -> Result<Response<wire::RevisionMetadataResponse>, Status> {
        let wire::RevisionMetadataRequest { repository, commit } = request.into_inner();
        let access = self.access(repository)?;
        let found = self
            .mirrors
            .commit_metadata(&access, &commit)
            .await
            .map_err(refused)?;
        Ok(Response::new(wire::RevisionMetadataResponse {
            author: found.author,
            unix_seconds: found.unix_seconds,
            tags: found.tags,
            message: found.message,
        }))
    }

    async fn test_access(
        &self,
        request: Request<wire::TestAccessRequest>,
    ) -> Result<Response<wire::TestAccessResponse>, Status> {
        let repository = request.into_inner().repository;
        let kind = repository.as_ref().map(|one| one.kind.clone());
        let access = self.access(repository)?;
        let tested = match kind.as_deref() {
            Some("helm" | "oci") => {
                let _turn = self.listings.turn(access.tenant()).await;
                self.charts.test(&access).await
            }
            _ => self.mirrors.list_refs(&access, true).await.map(drop),
        };
        tested.map_err(refused)?;
        Ok(Response::new(wire::TestAccessResponse {}))
    }

    async fn signature(
        &self,
        request: Request<wire::SignatureRequest>,
    ) -> Result<Response<wire::SignatureResponse>, Status> {
        let wire::SignatureRequest {
            repository,
            commit,
            revision,
            keys,
            now,
            tag_prefix,
        } = request.into_inner();
        let length = keys.iter().map(String::len).fold(0, usize::saturating_add);
        if keys.len() > MAX_KEYS || length > MAX_KEYS_LENGTH {
            return Err(Status::invalid_argument("too many signing keys"));
        }
        let access = self.access(repository)?;
        // As above; what else it may have to ask is asked in the seat, and in no turn.
        let fetched = self.mirrors.ensure_commit(&access, &commit).await;
        drop(fetched.map_err(refused)?);
        let seat = self.renders.seat(access.tenant()).await;
        let target = revision::Target {
            revision: &revision,
            tag_prefix: &tag_prefix,
        };
        let looking = self.mirrors.signed(&access, &commit, target);
        let signed = seat.lending(looking).await.map_err(refused)?;
        let found = signed.verify(keys, now).await.map_err(refused)?;
        Ok(Response::new(wire::SignatureResponse {
            verdict: found.verdict.as_str().to_owned(),
            key: found.key,
            primary: found.primary,
            cipher: found.cipher,
        }))
    }

    async fn forget_tenant(
        &self,
        request: Request<wire::ForgetTenantRequest>,
    ) -> Result<Response<wire::ForgetTenantResponse>, Status> {
        let tenant = request.into_inner().tenant;
        // Its own folder is named by its id, and nothing else is.
        if tenant.parse().map(TenantId).is_err() {
            return Err(Status::invalid_argument("the tenant is no id"));
        }
        self.renders.forget().await;
        let left = self.mirrors.forget_tenant(&tenant).await.map_err(refused)?;
        let charts = self.charts.forget_tenant(&tenant).await.map_err(refused)?;
        let left = left + charts;
        Ok(Response::new(wire::ForgetTenantResponse {
            left: i64::try_from(left).unwrap_or(i64::MAX),
        }))
    }

    async fn list_versions(
        &self,
        request: Request<wire::ListVersionsRequest>,
    ) -> Result<Response<wire::ListVersionsResponse>, Status> {
        let wire::ListVersionsRequest {
            repository,
            chart,
            fresh,
        } = request.into_inner();
        let access = self.access(repository)?;
        let _turn = self.listings.turn(access.tenant()).await;
        let versions = self.charts.versions(&access, &chart, fresh).await;
        Ok(Response::new(wire::ListVersionsResponse {
            versions: versions.map_err(refused)?,
        }))
    }

    async fn list_charts(
        &self,
        request: Request<wire::ListChartsRequest>,
    ) -> Result<Response<wire::ListChartsResponse>, Status> {
        let access = self.access(request.into_inner().repository)?;
        let _turn = self.listings.turn(access.tenant()).await;
        let charts = self.charts.charts(&access).await.map_err(refused)?;
        let charts = charts.into_iter();
        Ok(Response::new(wire::ListChartsResponse {
            charts: charts
                .map(|(name, versions)| wire::Chart { name, versions })
                .collect(),
        }))
    }

    async fn app_details(
        &self,
        request: Request<wire::AppDetailsRequest>,
    ) -> Result<Response<wire::AppDetailsResponse>, Status> {
        let asked = request.into_inner().source;
        let asked = asked.ok_or_else(|| Status::invalid_argument("the request names no source"))?;
        let order = self.order(asked)?;
        let (found, images) = match self.renders.details(order).await {
            Err(error) if !error.wanted().is_empty() => {
                return Ok(Response::new(wire::AppDetailsResponse {
                    wanted: error.wanted().to_vec(),
                    ..wire::AppDetailsResponse::default()
                }));
            }
            result => result.map_err(refused)?,
        };
        let parameters = found.parameters.into_iter();
        Ok(Response::new(wire::AppDetailsResponse {
            source_type: found.source_type.as_str().to_owned(),
            value_files: found.value_files,
            values: found.values,
            parameters: parameters
                .map(|(name, value)| wire::Parameter { name, value })
                .collect(),
            images,
            wanted: Vec::new(),
        }))
    }

    async fn digests(
        &self,
        request: Request<wire::DigestsRequest>,
    ) -> Result<Response<wire::DigestsResponse>, Status> {
        let wire::DigestsRequest {
            repository,
            revisions,
        } = request.into_inner();
        if revisions.len() > MAX_REVISIONS {
            return Err(Status::invalid_argument("too many revisions"));
        }
        let access = self.access(repository)?;
        let _turn = self.listings.turn(access.tenant()).await;
        let digests = self.charts.digests(&access, &revisions).await;
        Ok(Response::new(wire::DigestsResponse {
            digests: digests.map_err(refused)?,
        }))
    }

    async fn artifact_notes(
        &self,
        request: Request<wire::ArtifactNotesRequest>,
    ) -> Result<Response<wire::ArtifactNotesResponse>, Status> {
        let wire::ArtifactNotesRequest {
            repository,
            revision,
        } = request.into_inner();
        let access = self.access(repository)?;
        let _turn = self.listings.turn(access.tenant()).await;
        let found = self.charts.artifact_notes(&access, &revision).await;
        let ArtifactNotes {
            created,
            authors,
            documentation,
            source,
            version,
            description,
        } = found.map_err(refused)?;
        Ok(Response::new(wire::ArtifactNotesResponse {
            created,
            authors,
            documentation,
            source,
            version,
            description,
        }))
    }

    async fn chart_details(
        &self,
        request: Request<wire::ChartDetailsRequest>,
    ) -> Result<Response<wire::ChartDetailsResponse>, Status> {
        let wire::ChartDetailsRequest {
            repository,
            chart,
            revision,
        } = request.into_inner();
        let access = self.access(repository)?;
        let _turn = self.listings.turn(access.tenant()).await;
        let found = self.renders.chart(&access, &chart, &revision).await;
        let ChartDetails {
            description,
            maintainers,
            home,
        } = found.map_err(refused)?;
        Ok(Response::new(wire::ChartDetailsResponse {
            description,
            maintainers,
            home,
        }))
    }
}

/// A render as it is told to whoever has the set of these names already, or what it could not do without.
fn answer(
    outcome: Outcome,
    known_hash: &str,
    known_detail: &str,
) -> Result<Response<wire::RenderResponse>, Status> {
    let (rendered, answered) = match outcome {
        Err(error) if !error.needs().is_empty() || !error.wanted().is_empty() => {
            return Ok(Response::new(wire::RenderResponse {
                needs: error.needs().to_vec(),
                wanted: error.wanted().to_vec(),
                ..wire::RenderResponse::default()
            }));
        }
        result => result.map_err(refused)?,
    };
    let unchanged = rendered.hash.0 == known_hash
        && (known_detail.is_empty() || rendered.detail == known_detail);
    let manifests = match unchanged {
        true => Vec::new(),
        false => rendered
            .manifests::<Told<'_>>()
            .map_err(refused)?
            .into_iter()
            .map(to_manifest)
            .collect(),
    };
    Ok(Response::new(wire::RenderResponse {
        hash: rendered.hash.0.clone(),
        unchanged,
        manifests,
        source_type: rendered.source_type.as_str().to_owned(),
        causes: rendered
            .causes
            .iter()
            .filter_map(|cause| serde_json::to_string(cause).ok())
            .collect(),
        cache: answered.as_str().to_owned(),
        changed: answered.changed().map(|changed| wire::Changed {
            what: changed.what.as_str().to_owned(),
            name: changed.name.clone(),
        }),
        detail: rendered.detail.clone(),
        undetermined: rendered.undetermined.clone().unwrap_or_default(),
        needs: Vec::new(),
        wanted: Vec::new(),
        remotes: rendered.read_set.remotes(),
        passing: rendered.read_set.is_passing(),
        replaced: rendered
            .elsewhere
            .iter()
            .map(|one| wire::ReplacedElsewhere {
                path: one.location.path.clone(),
                line: one.location.line,
                variable: one.variable.clone(),
            })
            .collect(),
    }))
}

/// The archive of a folder, put together from its parts.
async fn archive(mut parts: Streaming<wire::RenderLocalRequest>) -> Result<Vec<u8>, Error> {
    let receiving = async {
        // What is not written to takes no memory, and growing would take twice as much.
        let mut archive = Vec::with_capacity(MAX_LOCAL);
        while let Some(part) = parts.message().await.map_err(Error::internal)? {
            if archive.len() + part.chunk.len() > MAX_LOCAL {
                let limit = format!("{} MiB", MAX_LOCAL >> 20);
                let message = message::source::LOCAL_TOO_LARGE.with("limit", limit);
                return Err(Error::new(Kind::TooLarge, message));
            }
            archive.extend_from_slice(&part.chunk);
        }
        Ok(archive)
    };
    let received = tokio::time::timeout(RECEIVING, receiving).await;
    received.map_err(Error::internal)?
}

/// Whether a request is about an artifact, unless it names a chart.
fn is_artifact(repository: Option<&wire::RepositoryAccess>) -> bool {
    repository.is_some_and(|one| domain::repository::is_artifact(&one.url))
}

/// Names what stands at a path; a path that leads nowhere, or out of the repository, has no name.
fn path_id(files: &Files<'_>, path: &str) -> String {
    match files.find(path).map(|found| found.node) {
        // Below a submodule nothing is looked at here: what is there changes with its commit.
        Ok(Node::Folder(id) | Node::File(id) | Node::Submodule(id)) => id,
        Ok(Node::Link(_) | Node::Missing) | Err(_) => String::new(),
    }
}

impl Service {
    fn access(&self, repository: Option<wire::RepositoryAccess>) -> Result<Access, Status> {
        let repository = repository
            .ok_or_else(|| Status::invalid_argument("the request names no repository"))?;
        let secret = |bytes: Vec<u8>| (!bytes.is_empty()).then(|| Secret::new(bytes));
        let login = Login {
            credentials: Credentials {
                username: repository.username,
                password: secret(repository.password),
                bearer_token: secret(repository.bearer_token),
                ssh_private_key: secret(repository.ssh_private_key),
                tls_client_cert: repository.tls_client_cert,
                tls_client_key: secret(repository.tls_client_key),
                github_app: GithubApp {
                    id: repository.github_app_id,
                    installation: repository.github_app_installation,
                    enterprise_url: repository.github_app_url,
                },
                github_app_key: secret(repository.github_app_key),
                ..Credentials::default()
            },
            insecure: repository.insecure,
            known_hosts: repository.ssh_known_hosts,
            tls_ca: repository.tls_ca,
            proxy: secret(repository.proxy),
            no_proxy: repository.no_proxy,
        };
        let place = match repository.kind.as_str() {
            "helm" | "oci" => Place::Charts {
                registry: repository.enable_oci || repository.kind == "oci",
                without_tls: repository.insecure_oci_force_http,
            },
            _ => Place::Git,
        };
        Access::at(
            &repository.tenant,
            &repository.credential_scope,
            &repository.url,
            login,
            self.rules,
            place,
        )
        .map_err(refused)
    }

    fn order(&self, asked: wire::RenderRequest) -> Result<Order, Status> {
        let tenant = asked
            .repository
            .as_ref()
            .and_then(|repository| repository.tenant.parse().ok())
            .map(TenantId);
        let tenant =
            tenant.ok_or_else(|| Status::invalid_argument("the request names no tenant"))?;
        let source = serde_json::from_str(&asked.source).map_err(|error| {
            Status::invalid_argument(format!("the source is not JSON: {error}"))
        })?;
        let rendering = match asked.rendering.as_str() {
            "" => Rendering::default(),
            text => serde_json::from_str(text).map_err(|error| {
                Status::invalid_argument(format!("the settings are not JSON: {error}"))
            })?,
        };
        let variables: BTreeMap<String, String> = asked.variables.into_iter().collect();
        if variables.len() > MAX_VARIABLES {
            return Err(Status::invalid_argument("too many variables"));
        }
        if asked.references.len() > MAX_REFERENCES {
            return Err(Status::invalid_argument("too many references"));
        }
        let references = asked.references.into_iter().map(|one| {
            Ok(Reference {
                name: one.name,
                access: self.access(one.repository)?,
                commit: one.commit,
                chart: one.chart,
            })
        });
        let references = references.collect::<Result<Vec<_>, Status>>()?;
        if asked.remotes.len() > MAX_REFERENCES {
            return Err(Status::invalid_argument("too many remotes"));
        }
        let remotes = asked.remotes.into_iter();
        let remotes = remotes.map(|one| self.access(Some(one)));
        let remotes = remotes.collect::<Result<Vec<_>, Status>>()?;
        let own = asked.repository.as_ref();
        let foreign = |access: &Access| own.is_some_and(|own| own.tenant != access.tenant());
        if references
            .iter()
            .map(|one| &one.access)
            .chain(&remotes)
            .any(foreign)
        {
            return Err(Status::invalid_argument("a repository of another tenant"));
        }
        let mut dependencies = BTreeMap::new();
        for (place, access) in asked.dependencies {
            // Nothing stands for a place that the tenant has no way to: the chart that names it is told.
            let way = match access.url.is_empty() {
                true => None,
                false => Some(self.access(Some(access))?),
            };
            dependencies.insert(place, way);
        }
        Ok(Order {
            tenant,
            key: Secret::new(asked.tenant_key),
            access: self.access(asked.repository)?,
            commit: asked.commit,
            input: RenderInput {
                source,
                rendering,
                app_name: asked.app_name,
                project: asked.project,
                namespace: asked.destination_namespace,
                variables,
                target: Target::new(asked.kube_version, asked.api_versions),
                references,
                remotes,
                fresh: asked.no_cache,
                now: SystemClock.now().timestamp(),
                dependencies,
            },
            no_cache: asked.no_cache,
            per_minute: asked.renders_per_minute,
        })
    }
}

/// A manifest as it is told: its object is handed on as it was written.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    object: &'a RawValue,
    location: Option<Location>,
    #[serde(default)]
    lines: Vec<(String, u32)>,
    #[serde(default)]
    replaced: Vec<Replaced>,
}

fn to_manifest(manifest: Told<'_>) -> wire::RenderedManifest {
    let at = manifest.location.map(|at| (at.path, at.line));
    let (path, line) = at.unwrap_or_default();
    let lines = manifest.lines.into_iter();
    let replaced = manifest.replaced.into_iter();
    wire::RenderedManifest {
        object: manifest.object.get().as_bytes().to_vec(),
        path,
        line,
        lines: lines
            .map(|(field, line)| wire::FieldLine { field, line })
            .collect(),
        replaced: replaced
            .map(|one| wire::Replaced {
                field: one.field,
                line: one.line,
                variable: one.variable,
            })
            .collect(),
    }
}

/// A failure as a status; its cause travels as JSON (a list of one) in the details.
fn refused(error: Error) -> Status {
    let code = match error.kind() {
        Kind::Unreachable => Code::Unavailable,
        Kind::Denied => Code::PermissionDenied,
        Kind::NotFound => Code::NotFound,
        Kind::Invalid => Code::FailedPrecondition,
        Kind::TooLarge => Code::ResourceExhausted,
        Kind::Unsupported => Code::Unimplemented,
        Kind::Corrupt | Kind::Internal => {
            tracing::error!(%error, detail = error.log_detail().unwrap_or_default(), "a request failed inside");
            Code::Internal
        }
    };
    let causes: Vec<_> = error.causes().collect();
    let details = serde_json::to_vec(&causes).unwrap_or_default();
    // The whole is in the details; both are headers, of which a caller takes so many bytes.
    let text = error.cause().message.to_string();
    Status::with_details(code, text, details.into())
}
