//! The real binary over mutual TLS, a real Git server over HTTP and SSH, the renderer in its sandbox.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "serving/changes.rs"]
mod changes;
#[path = "serving/denied.rs"]
mod denied;
#[path = "serving/faults.rs"]
mod faults;
#[path = "serving/hostile.rs"]
mod hostile;
#[path = "serving/local.rs"]
mod local;
#[path = "serving/transports.rs"]
mod transports;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use domain::cause::Cause;
use proto::naru::internal::v1::repo_server_client::RepoServerClient;
use proto::naru::internal::v1::{
    ListRefsRequest, RenderRequest, RenderResponse, RepositoryAccess, ResolveRequest,
    RevisionMetadataRequest, TestAccessRequest,
};
use runtime::config::MutualTls;
use runtime::mtls::{self, Channel, Component};
use tempfile::TempDir;
use testkit::certs::Authority;
use testkit::git::checkout::Checkout;
use testkit::git::server::{Options, serve};
use testkit::git::{GitHome, Login};
use testkit::ground::Ground;
use testkit::progress::Progress;
use tokio::process::{Child, Command};
use tonic::Code;

const BINARY: &str = env!("CARGO_BIN_EXE_naru-repo-server");
/// Enough for everything here but the one job that must not get through.
const WORKER_MIB: u64 = 160;
const TENANT: &str = "6f1c1a53-8f55-4be0-9c58-0a5a4c8f0001";
const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  nmaespace: ${USER_IDENTITY}\nspec: {}\n";

struct World {
    folder: TempDir,
    authority: Authority,
    home: GitHome,
    login: Login,
    checkout: Checkout,
    git: String,
    listen: String,
    /// Where its metrics are.
    metrics: String,
    /// The address of a Redis, with its login.
    redis: Option<String>,
    server: Option<Child>,
    settings: Settings,
}

/// What of the server is other than usual.
#[derive(Clone, Copy)]
struct Settings {
    render_seconds: u64,
    fetch_seconds: u64,
    /// How much one fetch may bring, in MiB.
    pack_mib: u64,
    /// Its data folder is a disk of its own with so much room, in MiB.
    disk_mib: Option<u32>,
    /// How much of what was rendered is remembered in the process, in MiB.
    memory_mib: usize,
    /// How many renders compute at once.
    parallelism: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            render_seconds: 60,
            fetch_seconds: 90,
            pack_mib: 2048,
            disk_mib: None,
            memory_mib: 32,
            parallelism: 8,
        }
    }
}

impl World {
    async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        Self::beside(settings, None).await
    }

    /// The same, remembering in that Redis too, under names of its own, and saying what it does in a file.
    async fn beside(settings: Settings, redis: Option<String>) -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::open(&folder.path().join("ca")).unwrap();
        let home = GitHome::open(&folder.path().join("git")).unwrap();
        home.ensure_repository("user01", "base").await.unwrap();
        let login = home.ensure_login("user01").unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], testkit::ports::free().unwrap()));
        let options = Options {
            home: home.clone(),
            listen,
            public_url: None,
            tls: None,
            client_ca: None,
        };
        #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
        tokio::spawn(async move { serve(options).await.unwrap() });
        let git = format!("http://{listen}/user01/base.git");
        let reachable = || async { Ok(tokio::net::TcpStream::connect(listen).await.is_ok()) };
        testkit::wait::until_true("the Git server", Duration::from_secs(10), reachable)
            .await
            .unwrap();
        let checkout = Checkout::clone(&git, Some(&login), &folder.path().join("work"))
            .await
            .unwrap();
        let free = || format!("127.0.0.1:{}", testkit::ports::free().unwrap());
        let mut this = Self {
            folder,
            authority,
            home,
            login,
            checkout,
            git,
            listen: free(),
            metrics: free(),
            redis,
            server: None,
            settings,
        };
        this.start().await;
        this
    }

    /// Serves the same repositories over TLS too, to those alone who show a certificate of `client_ca` where one is given.
    async fn over_tls(&self, client_ca: Option<PathBuf>) -> String {
        let identity = self.authority.server("git", &["127.0.0.1"]).unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], testkit::ports::free().unwrap()));
        let options = Options {
            home: self.home.clone(),
            listen,
            public_url: None,
            tls: Some((identity.cert, identity.key)),
            client_ca,
        };
        #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
        tokio::spawn(async move { serve(options).await.unwrap() });
        let reachable = || async { Ok(tokio::net::TcpStream::connect(listen).await.is_ok()) };
        testkit::wait::until_true("the Git server", Duration::from_secs(10), reachable)
            .await
            .unwrap();
        format!("https://{listen}/user01/base.git")
    }

    /// Resolves `main` and reads its commit, for which it has to be fetched.
    async fn reads(&self, access: RepositoryAccess) -> Result<String, tonic::Status> {
        let mut client = self.client("api");
        let resolve = ResolveRequest {
            repository: Some(access.clone()),
            revision: "main".to_owned(),
            fresh: true,
            ..ResolveRequest::default()
        };
        let commit = client.resolve(resolve).await?.into_inner().commit;
        let metadata = RevisionMetadataRequest {
            repository: Some(access),
            commit: commit.clone(),
        };
        client.revision_metadata(metadata).await?;
        Ok(commit)
    }

    async fn start(&mut self) {
        let identity = self.authority.component("repo-server").unwrap();
        let renderer = testkit::tools::renderer(&Progress::silent()).await.unwrap();
        let data = self.folder.path().join("data");
        let mut command = match self.settings.disk_mib {
            None => Command::new(BINARY),
            // A mount that nobody else sees, and that is gone with the server.
            Some(mib) => {
                std::fs::create_dir_all(&data).unwrap();
                let script = "mount -t tmpfs -o size=\"$1\"m tmpfs \"$2\" && exec \"$3\"";
                let mut unshare = Command::new("unshare");
                unshare.args([
                    "--user",
                    "--map-root-user",
                    "--mount",
                    "sh",
                    "-c",
                    script,
                    "sh",
                ]);
                unshare.arg(mib.to_string()).arg(&data).arg(BINARY);
                unshare
            }
        };
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("NARU_LISTEN", &self.listen)
            .env("NARU_METRICS_LISTEN", &self.metrics)
            .env("NARU_INTERNAL__CA", identity.ca)
            .env("NARU_INTERNAL__CERT", identity.cert)
            .env("NARU_INTERNAL__KEY", identity.key)
            .env("NARU_DATA_DIR", data)
            .env("NARU_RENDERER", renderer)
            .env("NARU_WORKER_MEMORY_MIB", WORKER_MIB.to_string())
            .env(
                "NARU_RENDER_SECONDS",
                self.settings.render_seconds.to_string(),
            )
            .env(
                "NARU_FETCH_SECONDS",
                self.settings.fetch_seconds.to_string(),
            )
            .env("NARU_PACK_MIB", self.settings.pack_mib.to_string())
            .env("NARU_MEMORY_MIB", self.settings.memory_mib.to_string())
            .env("NARU_PARALLELISM", self.settings.parallelism.to_string())
            .env("NARU_EGRESS__ALLOW", "127.0.0.0/8")
            .kill_on_drop(true);
        if let Some(redis) = &self.redis {
            let own = self.folder.path().display();
            command
                .env("NARU_REDIS_URL", redis)
                .env("NARU_REDIS_PREFIX", format!("{own}:"))
                .stderr(std::fs::File::create(self.folder.path().join("log")).unwrap());
        }
        let child = command.spawn().unwrap();
        self.server = Some(child);
        let listen = self.listen.clone();
        let reachable = || async { Ok(tokio::net::TcpStream::connect(&listen).await.is_ok()) };
        testkit::wait::until_true("the repo-server", Duration::from_secs(30), reachable)
            .await
            .unwrap();
    }

    fn client(&self, component: &str) -> RepoServerClient<Channel> {
        let identity = self.authority.component(component).unwrap();
        let files = MutualTls {
            ca: identity.ca,
            cert: identity.cert,
            key: identity.key,
        };
        let url = format!("https://{}", self.listen);
        RepoServerClient::new(mtls::channel(&files, &url, Component::RepoServer).unwrap())
    }

    fn access(&self) -> RepositoryAccess {
        RepositoryAccess {
            tenant: TENANT.to_owned(),
            credential_scope: "default/base".to_owned(),
            url: self.git.clone(),
            username: self.login.user.clone(),
            password: self.login.password.clone().into_bytes(),
            ..RepositoryAccess::default()
        }
    }

    async fn render(
        &self,
        path: &str,
        known: &RenderResponse,
    ) -> Result<RenderResponse, tonic::Status> {
        let request = RenderRequest {
            known_hash: known.hash.clone(),
            known_detail: known.detail.clone(),
            ..self.request(path).await?
        };
        let mut client = self.client("controller");
        Ok(client.render(request).await?.into_inner())
    }

    /// What the controller asks for a folder at the newest commit.
    async fn request(&self, path: &str) -> Result<RenderRequest, tonic::Status> {
        let mut client = self.client("controller");
        let fresh = ResolveRequest {
            repository: Some(self.access()),
            revision: String::new(),
            fresh: true,
            ..ResolveRequest::default()
        };
        let commit = client.resolve(fresh).await?.into_inner().commit;
        Ok(RenderRequest {
            repository: Some(self.access()),
            tenant_key: vec![7; 32],
            source: format!(r#"{{"repoURL":"{}","path":"{path}"}}"#, self.git),
            commit,
            app_name: "app".to_owned(),
            project: "default".to_owned(),
            variables: BTreeMap::from([("USER_IDENTITY".to_owned(), "user01".to_owned())]),
            ..RenderRequest::default()
        })
    }

    async fn push(&self, path: &str, content: &str) -> String {
        self.checkout.push_file(path, content).await.unwrap()
    }
}

fn code(status: &tonic::Status) -> String {
    let causes: Vec<Cause> = serde_json::from_slice(status.details()).unwrap_or_default();
    causes
        .first()
        .map(|cause| cause.message.code.clone())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_rendered_with_lines_and_what_did_not_change_is_a_hit() {
    let world = World::new().await;
    let nothing = RenderResponse::default();
    world.push("app/service.yaml", SERVICE).await;
    world
        .push(
            "kustomized/kustomization.yaml",
            "resources: [../base]\nnamespace: ${USER_IDENTITY}\n",
        )
        .await;
    world
        .push("base/kustomization.yaml", "resources: [service.yaml]\n")
        .await;
    world.push("base/service.yaml", SERVICE).await;

    let plain = world.render("app", &nothing).await.unwrap();
    assert_eq!(
        (
            plain.source_type.as_str(),
            plain.cache.as_str(),
            plain.unchanged
        ),
        ("Directory", "first", false)
    );
    let lines: BTreeMap<&str, u32> = plain.manifests[0]
        .lines
        .iter()
        .map(|at| (at.field.as_str(), at.line))
        .collect();
    assert_eq!(
        (
            plain.manifests[0].path.as_str(),
            lines["metadata.nmaespace"]
        ),
        ("app/service.yaml", 5)
    );

    // Through the launcher: landlock, seccomp and limits are on, and the library still works.
    let built = world.render("kustomized", &nothing).await.unwrap();
    assert_eq!(
        (built.source_type.as_str(), built.manifests.len()),
        ("Kustomize", 1)
    );
    assert_eq!(built.manifests[0].path, "base/service.yaml");
    assert!(
        String::from_utf8_lossy(&built.manifests[0].object).contains(r#""namespace":"user01""#)
    );
    world
        .push(
            "zone/Chart.yaml",
            "apiVersion: v2\nname: zone\nversion: 0.1.0\n",
        )
        .await;
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: zone\ndata:\n  at: '{{ dateInZone \"15:04\" (toDate \"2006-01-02 15:04\" \"2026-01-02 00:00\") \"Asia/Seoul\" }}'\n";
    world.push("zone/templates/zone.yaml", template).await;
    let zone = world.render("zone", &nothing).await.unwrap();
    let zone = String::from_utf8_lossy(&zone.manifests[0].object).into_owned();
    assert!(zone.contains("09:00"), "time zones are at hand: {zone}");

    let head = world.push("README.md", "unrelated").await;
    let again = world.render("app", &plain).await.unwrap();
    assert_eq!(
        (again.cache.as_str(), again.unchanged, again.manifests.len()),
        ("hit", true, 0)
    );
    world
        .push("app/service.yaml", &format!("# a line more\n{SERVICE}"))
        .await;
    let moved = world.render("app", &again).await.unwrap();
    assert_eq!(
        (
            moved.hash == plain.hash,
            moved.unchanged,
            moved.cache.as_str()
        ),
        (true, false, "changed")
    );
    assert_eq!(
        moved.manifests[0].line, 2,
        "the same objects, at other lines"
    );

    let mut client = world.client("api");
    let request = RevisionMetadataRequest {
        repository: Some(world.access()),
        commit: head,
    };
    assert!(
        client
            .revision_metadata(request)
            .await
            .unwrap()
            .into_inner()
            .author
            .contains("Learner")
    );
}

/// S12: what one tenant, key, credential or set of parameters rendered is never what another one gets, though the content,
/// the process and the Redis are the same.
#[tokio::test(flavor = "multi_thread")]
async fn s12_a_render_is_a_hit_only_for_who_asked_for_the_very_same() {
    let redis = testkit::platform::redis().await.unwrap().url;
    // What is remembered is found in the process, and where that keeps nothing in Redis.
    for memory_mib in [32, 0] {
        let settings = Settings {
            memory_mib,
            ..Settings::default()
        };
        only_who_asked_hits(&World::beside(settings, Some(redis.clone())).await).await;
    }
}

async fn only_who_asked_hits(world: &World) {
    world.push("app/service.yaml", SERVICE).await;
    let asked = world.request("app").await.unwrap();
    let render = async |request: &RenderRequest| {
        let mut client = world.client("controller");
        client.render(request.clone()).await.unwrap().into_inner()
    };
    assert_eq!(render(&asked).await.cache, "first");
    assert_eq!(render(&asked).await.cache, "hit");
    let access = |change: &dyn Fn(&mut RepositoryAccess)| {
        let mut request = asked.clone();
        change(request.repository.as_mut().unwrap());
        request
    };
    let source = |more: &str| RenderRequest {
        source: asked.source.replace('}', &format!(",{more}}}")),
        ..asked.clone()
    };
    let others = [
        (
            "another tenant",
            access(&|of| of.tenant = "00000000-0000-0000-0000-000000000077".to_owned()),
        ),
        (
            "another credential",
            access(&|of| of.credential_scope = "default/other".to_owned()),
        ),
        (
            "another key",
            RenderRequest {
                tenant_key: vec![8; 32],
                ..asked.clone()
            },
        ),
        (
            "other parameters",
            source(r#""directory":{"recurse":true}"#),
        ),
    ];
    for (what, request) in &others {
        assert_eq!(render(request).await.cache, "first", "{what}");
        assert_eq!(render(request).await.cache, "hit", "{what}, again");
    }
    assert_eq!(
        render(&asked).await.cache,
        "hit",
        "and the first is untouched"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_refused_and_what_fails_says_why() {
    let world = World::new().await;
    let nothing = RenderResponse::default();
    let (mut client, mut api) = (world.client("controller"), world.client("api"));
    let empty = world.render("app", &nothing).await.unwrap_err();
    assert_eq!(
        (empty.code(), code(&empty).as_str()),
        (Code::NotFound, "source.empty-repository")
    );
    world.push("app/service.yaml", SERVICE).await;
    world.push("chart/Chart.yaml", "name: x").await;

    let list = |repository| ListRefsRequest {
        repository: Some(repository),
        fresh: true,
    };
    let refs = client
        .list_refs(list(world.access()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(refs.head, "refs/heads/main");
    assert!(refs.refs.contains_key("refs/heads/main"));

    let wrong = RepositoryAccess {
        password: b"not-it".to_vec(),
        ..world.access()
    };
    let test = TestAccessRequest {
        repository: Some(wrong),
    };
    let status = api.test_access(test).await.unwrap_err();
    assert_eq!(
        (status.code(), code(&status).as_str()),
        (Code::PermissionDenied, "source.login-refused")
    );
    let gone = RepositoryAccess {
        url: world.git.replace("base", "gone"),
        ..world.access()
    };
    let status = client.list_refs(list(gone)).await.unwrap_err();
    assert_eq!(
        (status.code(), code(&status).as_str()),
        (Code::NotFound, "source.repository-not-found")
    );
    let dead = RepositoryAccess {
        url: "http://127.0.0.1:1/a.git".to_owned(),
        ..world.access()
    };
    let status = client.list_refs(list(dead)).await.unwrap_err();
    assert_eq!(
        (status.code(), code(&status).as_str()),
        (Code::Unavailable, "source.unreachable")
    );
    let file = RepositoryAccess {
        url: "file:///etc".to_owned(),
        ..world.access()
    };
    let status = client.list_refs(list(file)).await.unwrap_err();
    assert_eq!(
        code(&status),
        "source.address-refused",
        "not allowed unless configured"
    );
    let status = world.render("chart", &nothing).await.unwrap_err();
    assert_eq!(
        (status.code(), code(&status).as_str()),
        (Code::FailedPrecondition, "source.helm-failed")
    );
}

/// Calls an RPC with a message that none of them can read.
async fn garble(channel: Channel, path: &'static str) -> tonic::Status {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<Vec<u8>, ()>::default();
    let path = http::uri::PathAndQuery::from_static(path);
    grpc.unary(tonic::Request::new(vec![0xff; 9]), path, codec)
        .await
        .unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_refuses_whoever_is_not_listed_before_it_reads_a_word() {
    let world = World::new().await;
    let url = format!("https://{}", world.listen);
    let strangers = Authority::open(&world.folder.path().join("another-ca")).unwrap();
    let channel = |authority: &Authority, component: &str| {
        let identity = authority.component(component).unwrap();
        // Whoever it is, it believes in this server: only its own certificate is wrong.
        let files = MutualTls {
            ca: world.authority.component("api").unwrap().ca,
            cert: identity.cert,
            key: identity.key,
        };
        mtls::channel(&files, &url, Component::RepoServer).unwrap()
    };
    let own = proto::internal::CALLERS
        .iter()
        .filter(|(path, _)| path.contains(".RepoServer/"));
    for (path, callers) in own {
        for component in ["api", "controller", "repo-server"] {
            let status = garble(channel(&world.authority, component), path).await;
            let read = !matches!(status.code(), Code::PermissionDenied);
            assert_eq!(
                read,
                callers.contains(&component),
                "{component} {path}: {status}"
            );
            let mut grpc = tonic::client::Grpc::new(channel(&strangers, component));
            let codec = tonic_prost::ProstCodec::<(), ()>::default();
            let asked = match grpc.ready().await {
                Ok(()) => grpc
                    .unary(
                        tonic::Request::new(()),
                        http::uri::PathAndQuery::from_static(path),
                        codec,
                    )
                    .await
                    .err(),
                Err(_) => None,
            };
            let refused = asked.as_ref().is_none_or(|status| {
                matches!(
                    status.code(),
                    Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled
                )
            });
            assert!(
                refused,
                "{component} of another authority reaches {path}: {asked:?}"
            );
        }
    }
    let others = garble(
        channel(&world.authority, "api"),
        "/naru.internal.v1.RepoServer/NoSuch",
    )
    .await;
    assert_eq!(others.code(), Code::PermissionDenied);

    // Nobody's certificate at all: the connection ends before HTTP begins.
    use rustls_pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    let ca = world.authority.component("api").unwrap().ca;
    roots
        .add(rustls_pki_types::CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = tokio::net::TcpStream::connect(&world.listen).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("naru-repo-server").unwrap();
    if let Ok(mut tls) = connector.connect(name, stream).await {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let _ = tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let mut said = Vec::new();
        let _ = tls.read_to_end(&mut said).await;
        assert!(said.is_empty(), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_between_the_services_shows_no_credential() {
    let world = World::new().await;
    let commit = world.push("app/service.yaml", SERVICE).await;
    // Somebody on the way who writes down every byte.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let way = format!("https://{}", listener.local_addr().unwrap());
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::<u8>::new()));
    let (server, recorded) = (world.listen.clone(), seen.clone());
    #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((client, _)) = listener.accept().await {
            let server = tokio::net::TcpStream::connect(&server).await.unwrap();
            let (client_in, client_out) = client.into_split();
            let (server_in, server_out) = server.into_split();
            for (mut from, mut to) in [(client_in, server_out), (server_in, client_out)] {
                let recorded = recorded.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 16 << 10];
                    while let Ok(n @ 1..) = from.read(&mut buffer).await {
                        recorded.lock().unwrap().extend_from_slice(&buffer[..n]);
                        if to.write_all(&buffer[..n]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        }
    });
    let identity = world.authority.component("api").unwrap();
    let files = MutualTls {
        ca: identity.ca,
        cert: identity.cert,
        key: identity.key,
    };
    let channel = mtls::channel(&files, &way, Component::RepoServer).unwrap();
    let request = RenderRequest {
        repository: Some(world.access()),
        tenant_key: b"canary-key-of-thirty-two-bytes-!".to_vec(),
        source: format!(r#"{{"repoURL":"{}","path":"app"}}"#, world.git),
        commit,
        app_name: "app".to_owned(),
        project: "default".to_owned(),
        ..RenderRequest::default()
    };
    RepoServerClient::new(channel)
        .render(request)
        .await
        .unwrap();
    let seen = seen.lock().unwrap().clone();
    assert!(seen.len() > 1_000, "the recorder stood on the way");
    let has = |secret: &[u8]| seen.windows(secret.len()).any(|window| window == secret);
    for secret in [
        world.login.password.as_bytes(),
        b"canary-key-of-thirty-two-bytes-!",
        b"kind: Service",
        b"/naru.internal.v1",
    ] {
        assert!(!has(secret), "{}", String::from_utf8_lossy(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_read_over_ssh_with_a_known_host_only() {
    let world = World::new().await;
    let commit = world.push("app/service.yaml", SERVICE).await;
    let mut ground = Ground::open(&world.folder.path().join("ground"), Progress::silent()).unwrap();
    let ssh = testkit::git::ssh::SshServer::start(&mut ground, &world.home)
        .await
        .unwrap();
    let key = ssh.key("user01").await.unwrap();
    let access = RepositoryAccess {
        tenant: TENANT.to_owned(),
        url: ssh.url("user01", "base"),
        ssh_private_key: key.private.into_bytes(),
        ssh_known_hosts: ssh.known_hosts.clone(),
        ..RepositoryAccess::default()
    };
    let mut client = world.client("controller");
    let resolve = |repository| ResolveRequest {
        repository: Some(repository),
        revision: "main".to_owned(),
        fresh: true,
        ..ResolveRequest::default()
    };
    let result = client.resolve(resolve(access.clone())).await;
    let metadata = RevisionMetadataRequest {
        repository: Some(access.clone()),
        commit: commit.clone(),
    };
    let read = world.client("api").revision_metadata(metadata).await;
    // Whoever is in between has another key than the one that is known.
    let public = std::fs::read_to_string(key.file.with_extension("pub")).unwrap();
    let other: Vec<&str> = public.split_whitespace().take(2).collect();
    let (host, _) = ssh.known_hosts.split_once(' ').unwrap();
    let changed = RepositoryAccess {
        ssh_known_hosts: format!("{host} {}\n", other.join(" ")),
        ..access.clone()
    };
    let between = client.resolve(resolve(changed)).await;
    let stranger = RepositoryAccess {
        ssh_known_hosts: String::new(),
        ..access
    };
    let refused = client.resolve(resolve(stranger)).await;
    testkit::ground::stop_all(&ground.supervisor).await.unwrap();
    assert_eq!(result.unwrap().into_inner().commit, commit);
    assert!(read.is_ok(), "{read:?}");
    assert_eq!(code(&refused.unwrap_err()), "source.host-key-unknown");
    assert_eq!(code(&between.unwrap_err()), "source.host-key-unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_token_signs_in() {
    let world = World::new().await;
    let commit = world.push("app/service.yaml", SERVICE).await;
    let access = |token: &str, url: String| RepositoryAccess {
        tenant: TENANT.to_owned(),
        credential_scope: format!("default/{token}"),
        url,
        bearer_token: token.as_bytes().to_vec(),
        tls_ca: std::fs::read_to_string(world.authority.certificate()).unwrap(),
        ..RepositoryAccess::default()
    };
    let url = world.over_tls(None).await;
    let good = access(&world.login.password, url.clone());
    assert_eq!(world.reads(good).await.unwrap(), commit);
    let wrong = world
        .reads(access("not-it", url.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        (wrong.code(), code(&wrong).as_str()),
        (Code::PermissionDenied, "source.login-refused")
    );
    // Without the authority nobody knows who the server is, and the token stays here.
    let unknown = RepositoryAccess {
        tls_ca: String::new(),
        credential_scope: "default/unknown".to_owned(),
        ..access(&world.login.password, url)
    };
    let refused = world.reads(unknown).await.unwrap_err();
    assert_eq!(code(&refused), "source.certificate-refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_shown_to_a_server_that_asks_for_one() {
    let world = World::new().await;
    let commit = world.push("app/service.yaml", SERVICE).await;
    let url = world.over_tls(Some(world.authority.certificate())).await;
    let identity = world.authority.server("client", &["client"]).unwrap();
    let ca = std::fs::read_to_string(world.authority.certificate()).unwrap();
    let bare = RepositoryAccess {
        url,
        tls_ca: ca,
        credential_scope: "default/bare".to_owned(),
        ..world.access()
    };
    let with = RepositoryAccess {
        credential_scope: "default/with".to_owned(),
        tls_client_cert: std::fs::read_to_string(identity.cert).unwrap(),
        tls_client_key: std::fs::read(identity.key).unwrap(),
        ..bare.clone()
    };
    assert_eq!(world.reads(with).await.unwrap(), commit);
    assert!(world.reads(bare).await.is_err(), "without a certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_goes_over_its_memory_is_named_and_the_next_one_has_a_fresh_worker() {
    let world = World::new().await;
    let nothing = RenderResponse::default();
    world
        .push("small/kustomization.yaml", "resources: [service.yaml]\n")
        .await;
    world.push("small/service.yaml", SERVICE).await;
    let mut large = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: large\ndata:\n".to_owned();
    for n in 0..200_000 {
        large.push_str(&format!("  key-{n}: value\n"));
    }
    world
        .push("large/kustomization.yaml", "resources: [large.yaml]\n")
        .await;
    world.push("large/large.yaml", &large).await;
    assert!(world.render("small", &nothing).await.is_ok());
    let status = world.render("large", &nothing).await.unwrap_err();
    assert_eq!(
        (status.code(), code(&status).as_str()),
        (Code::ResourceExhausted, "source.render-died")
    );
    world
        .push("small/service.yaml", &format!("# once more\n{SERVICE}"))
        .await;
    let after = world.render("small", &nothing).await.unwrap();
    assert_eq!(
        (after.cache.as_str(), after.manifests.len()),
        ("changed", 1)
    );
}

#[tokio::test]
async fn the_launcher_restricts_what_it_starts() {
    let launcher = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command
            .arg("sandbox")
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let report = launcher(&["--report"])
        .stdout(Stdio::piped())
        .output()
        .await
        .unwrap();
    let report = String::from_utf8(report.stdout).unwrap();
    assert!(
        report.contains("landlock full") && report.contains("seccomp yes"),
        "{report}"
    );

    let (inside, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let secret: PathBuf = outside.path().join("secret");
    std::fs::write(&secret, "x").unwrap();
    let git = async |script: String| {
        let write = inside.path().to_str().unwrap().to_owned();
        let arguments = [
            "git",
            "--file-size",
            "1000",
            "--write",
            &write,
            "--",
            "sh",
            "-c",
            &script,
        ];
        launcher(&arguments).status().await.unwrap().success()
    };
    assert!(
        git(format!(
            "echo x > {}/a && cat /etc/hostname",
            inside.path().display()
        ))
        .await
    );
    assert!(
        !git(format!("cat {}", secret.display())).await,
        "a file outside"
    );
    assert!(
        !git(format!("echo x > {}", outside.path().join("b").display())).await,
        "a folder outside"
    );
    assert!(
        !git(format!(
            "head -c 2000 /dev/zero > {}/big",
            inside.path().display()
        ))
        .await,
        "too large a file"
    );
    // A worker may not even read the loader of a program that needs one.
    let status = launcher(&[
        "worker",
        "--memory",
        "100000000",
        "--",
        "/bin/sh",
        "-c",
        "true",
    ])
    .status()
    .await;
    assert!(!status.unwrap().success());
}
