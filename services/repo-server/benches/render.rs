//! What a render costs, beside what the libraries alone take for the same in the same run.
//!
//! ```sh
//! cargo bench --profile dev --bench render             # as everything else here is built; docs/figures.md says how
//! cargo bench --profile dev --bench render -- --large  # with a GiB of other files in the repository
//! ```
//!
//! The service is the real binary over mutual TLS with a Redis of its own, the repository is behind a real Git server. The
//! floor is `renderer/floor`: the same library versions, warm, with all files in memory and nothing checked. What each figure
//! is taken from stands with it; times are medians, and what a call without any work takes is said so that it can be seen how
//! much of the small ones that is.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on ends, and its figures are for people"
)]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use proto::naru::internal::v1::repo_server_client::RepoServerClient;
use proto::naru::internal::v1::{
    ListRefsRequest, RenderRequest, RenderResponse, RepositoryAccess, ResolveRequest,
};
use runtime::config::MutualTls;
use runtime::mtls::{self, Channel, Component};
use tempfile::TempDir;
use testkit::certs::Authority;
use testkit::git::checkout::Checkout;
use testkit::git::server::{Options, serve};
use testkit::git::{GitHome, Login};
use testkit::ground::{self, Ground};
use testkit::progress::Progress;
use testkit::redis::Redis;
use testkit::tools;
use tokio::process::{Child, Command};

const BINARY: &str = env!("CARGO_BIN_EXE_naru-repo-server");
const TENANT: &str = "6f1c1a53-8f55-4be0-9c58-0a5a4c8f0001";
/// Overlays over one base.
const OVERLAYS: usize = 1000;
/// Renders, hits and calls that a median is of.
const SAMPLES: usize = 200;
/// Orders under way at once, as a controller has them.
const AT_ONCE: usize = 16;
/// Branches that take turns.
const BRANCHES: usize = 5;
/// Repositories that are listed, and how often each.
const LISTED: (usize, usize) = (100, 10);
/// How often a controller asks what a repository has, in seconds.
const POLL: f64 = 120.0;
/// `USER_HZ`, fixed by the kernel's user interface.
const TICKS: f64 = 100.0;

type Client = RepoServerClient<Channel>;

struct World {
    folder: TempDir,
    ground: Ground,
    authority: Authority,
    redis: String,
    home: GitHome,
    login: Login,
    listen: SocketAddr,
    checkout: Checkout,
}

impl World {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut ground = Ground::open(&folder.path().join("ground"), Progress::silent()).unwrap();
        let redis = Redis::start(&mut ground, None).await.unwrap().url;
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
        #[expect(clippy::disallowed_methods, reason = "lives as long as the benchmark")]
        tokio::spawn(async move { serve(options).await.unwrap() });
        reachable(&listen.to_string()).await;
        let url = format!("http://{listen}/user01/base.git");
        let work = folder.path().join("work");
        let checkout = Checkout::clone(&url, Some(&login), &work).await.unwrap();
        Self {
            folder,
            ground,
            authority,
            redis,
            home,
            login,
            listen,
            checkout,
        }
    }

    /// A server, with so much room for what it remembers in its process.
    async fn serve(&self, name: &str, memory_mib: u32) -> Server {
        let identity = self.authority.component("repo-server").unwrap();
        let listen = format!("127.0.0.1:{}", testkit::ports::free().unwrap());
        let process = Command::new(BINARY)
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("NARU_LISTEN", &listen)
            .env("NARU_INTERNAL__CA", identity.ca)
            .env("NARU_INTERNAL__CERT", identity.cert)
            .env("NARU_INTERNAL__KEY", identity.key)
            .env("NARU_DATA_DIR", self.folder.path().join(name))
            .env(
                "NARU_RENDERER",
                tools::renderer(&Progress::silent()).await.unwrap(),
            )
            .env("NARU_REDIS_URL", &self.redis)
            .env("NARU_MEMORY_MIB", memory_mib.to_string())
            .env("NARU_EGRESS__ALLOW", "127.0.0.0/8")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        reachable(&listen).await;
        let identity = self.authority.component("controller").unwrap();
        let files = MutualTls {
            ca: identity.ca,
            cert: identity.cert,
            key: identity.key,
        };
        let channel =
            mtls::channel(&files, &format!("https://{listen}"), Component::RepoServer).unwrap();
        Server {
            process,
            client: RepoServerClient::new(channel),
        }
    }

    fn access(&self, repository: &str) -> RepositoryAccess {
        RepositoryAccess {
            tenant: TENANT.to_owned(),
            credential_scope: "default/base".to_owned(),
            url: format!("http://{}/user01/{repository}.git", self.listen),
            username: self.login.user.clone(),
            password: self.login.password.clone().into_bytes(),
            ..RepositoryAccess::default()
        }
    }

    fn order(&self, path: &str, commit: &str) -> RenderRequest {
        RenderRequest {
            repository: Some(self.access("base")),
            tenant_key: vec![7; 32],
            source: format!(r#"{{"repoURL":"base","path":"apps/{path}"}}"#),
            commit: commit.to_owned(),
            app_name: "app".to_owned(),
            project: "default".to_owned(),
            destination_namespace: "user01".to_owned(),
            ..RenderRequest::default()
        }
    }

    /// Commits the base as it looks in some version, with whatever else was written, and pushes it to a branch.
    async fn push(&self, version: &str, branch: &str) -> String {
        self.checkout
            .write("apps/base/deployment.yaml", deployment(version))
            .unwrap();
        let commit = self.checkout.commit(version).await.unwrap();
        let to = format!("HEAD:refs/heads/{branch}");
        let push = ["push", "-q", "-f", "origin", &to];
        self.checkout.git(&push).await.unwrap();
        commit
    }
}

struct Server {
    process: Child,
    client: Client,
}

impl Server {
    async fn render(&self, order: RenderRequest) -> RenderResponse {
        let mut client = self.client.clone();
        client.render(order).await.unwrap().into_inner()
    }

    /// Renders all of them, some at a time; how many a second.
    async fn rate(&self, orders: Vec<RenderRequest>, expected: &[&str]) -> f64 {
        let (count, began) = (orders.len(), Instant::now());
        let mut answers = futures::stream::iter(orders)
            .map(|order| self.render(order))
            .buffer_unordered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            assert!(expected.contains(&answer.cache.as_str()), "{answer:?}");
        }
        per_second(count, began.elapsed())
    }

    fn id(&self) -> u32 {
        self.process.id().unwrap()
    }
}

async fn reachable(address: &str) {
    let connects = || async { Ok(tokio::net::TcpStream::connect(address).await.is_ok()) };
    testkit::wait::until_true(address, Duration::from_secs(30), connects)
        .await
        .unwrap();
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// The median time of the calls, in milliseconds.
async fn median<R: Future>(calls: impl IntoIterator<Item = R>) -> f64 {
    let mut times = Vec::new();
    for call in calls {
        let began = Instant::now();
        call.await;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn say(what: &str, figure: f64, unit: &str, against: &str) {
    println!("  {what:<58} {figure:>9.3} {unit:<10} {against}");
}

fn deployment(version: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  labels:\n    app: web\nspec:\n  replicas: 2\n  \
         selector:\n    matchLabels:\n      app: web\n  template:\n    metadata:\n      labels:\n        app: web\n    spec:\n      \
         serviceAccountName: web\n      containers:\n      - name: web\n        image: registry.example.com/web:{version}\n        \
         ports:\n        - name: http\n          containerPort: 8080\n        envFrom:\n        - configMapRef:\n            \
         name: settings\n        resources:\n          requests:\n            cpu: 100m\n            memory: 128Mi\n"
    )
}

/// A base of five objects, and overlays that each have a namespace, a suffix, a label, an image and a patch of their own.
fn write_overlays(checkout: &Checkout) {
    let base = [
        (
            "kustomization.yaml",
            "resources: [deployment.yaml, service.yaml, ingress.yaml, account.yaml]\n\
             configMapGenerator:\n- name: settings\n  literals: [MODE=training, LEVEL=info]\n",
        ),
        (
            "service.yaml",
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  selector:\n    app: web\n  ports:\n  - port: 80\n    \
             targetPort: http\n",
        ),
        (
            "ingress.yaml",
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: web\nspec:\n  rules:\n  - host: web.example.com\n    \
             http:\n      paths:\n      - path: /\n        pathType: Prefix\n        backend:\n          service:\n            \
             name: web\n            port:\n              number: 80\n",
        ),
        (
            "account.yaml",
            "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: web\n",
        ),
    ];
    for (name, text) in base {
        checkout.write(&format!("apps/base/{name}"), text).unwrap();
    }
    for overlay in overlays() {
        let name = overlay.rsplit('/').next().unwrap();
        let text = format!(
            "resources: [../../base]\nnamespace: {name}\nnameSuffix: -{name}\nlabels:\n- pairs:\n    learner: {name}\n  \
             includeSelectors: true\nimages:\n- name: registry.example.com/web\n  newTag: {name}\npatches:\n- target:\n    kind: Ingress\n  \
             patch: |-\n    - op: replace\n      path: /spec/rules/0/host\n      value: {name}.example.com\n"
        );
        let file = format!("apps/{overlay}/kustomization.yaml");
        checkout.write(&file, text).unwrap();
    }
}

fn overlays() -> impl Iterator<Item = String> {
    (0..OVERLAYS).map(|number| format!("overlays/user{number:04}"))
}

/// The nanoseconds that the library alone takes for a render, in so many processes at once.
async fn floor(
    program: &Path,
    tool: &str,
    folder: &Path,
    paths: &[String],
    processes: usize,
) -> f64 {
    let run = || async {
        let output = Command::new(program)
            .args([tool, folder.to_str().unwrap(), "1000"])
            .args(paths)
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        said.trim().parse::<f64>().unwrap()
    };
    let all = futures::future::join_all((0..processes).map(|_| run())).await;
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let count = all.len() as f64;
    all.iter().sum::<f64>() / count
}

/// A process's children.
fn children(id: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter();
    let tasks = tasks.flatten().flatten();
    let texts = tasks.map(|task| fs::read_to_string(task.path().join("children")));
    let texts: Vec<String> = texts.map(Result::unwrap_or_default).collect();
    let words = texts.iter().flat_map(|text| text.split_whitespace());
    words.filter_map(|word| word.parse().ok()).collect()
}

/// The memory that a process has for itself (`Pss_Anon`), in KiB.
fn memory(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss_Anon:"));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

/// The processor time that a process has used, in seconds, without its children's.
fn processor(id: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS
}

/// The memory of a server and of its largest worker, in KiB.
fn memories(server: u32) -> [u64; 2] {
    let workers = children(server).into_iter().map(memory);
    [memory(server), workers.max().unwrap_or_default()]
}

fn say_memories(when: &str, memories: [u64; 2]) {
    for (what, kib) in ["repo-server", "largest worker"].iter().zip(memories) {
        let mib = f64::from(u32::try_from(kib).unwrap()) / 1024.0;
        say(&format!("memory of the {what}, {when}"), mib, "MiB", "");
    }
}

/// The most memory that a server and any of its workers has from here to [`Watch::end`].
struct Watch {
    stop: Arc<AtomicBool>,
    watching: std::thread::JoinHandle<[u64; 2]>,
}

impl Watch {
    fn begin(server: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let watching = std::thread::spawn(move || {
            let mut most = [0; 2];
            while !stopped.load(Ordering::Relaxed) {
                for (most, now) in most.iter_mut().zip(memories(server)) {
                    *most = now.max(*most);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            most
        });
        Self { stop, watching }
    }

    fn end(self) -> [u64; 2] {
        self.stop.store(true, Ordering::Relaxed);
        self.watching.join().unwrap()
    }
}

#[tokio::main]
async fn main() {
    let large = std::env::args().any(|argument| argument == "--large");
    let progress = Progress::silent();
    let floor_program = tools::floor(&progress).await.unwrap();
    let helm = tools::path("helm", &progress).await.unwrap();
    let world = World::new().await;
    write_overlays(&world.checkout);
    let work = world.checkout.dir().join("apps");
    fs::create_dir(work.join("chart")).unwrap();
    let created = Command::new(helm)
        .args(["create", "chart/web"])
        .current_dir(&work)
        .output();
    let created = created.await.unwrap();
    assert!(created.status.success(), "{created:?}");
    if large {
        println!("a GiB of other files is pushed and mirrored as well");
        write_large(&world.checkout);
    }
    let first = world.push("v1", "main").await;
    let overlays: Vec<String> = overlays().collect();
    let chart = vec!["chart/web".to_owned()];
    let server = world.serve("data", 32).await;
    let orders = |commit: &str, fresh: bool| -> Vec<RenderRequest> {
        let all = overlays.iter().map(|path| world.order(path, commit));
        let all = all.map(|order| RenderRequest {
            no_cache: fresh,
            ..order
        });
        all.collect()
    };

    println!("one after the other");
    // Fetches the commit, and has a worker warm.
    server.render(world.order("chart/web", &first)).await;
    let call = median((0..SAMPLES).map(|_| async {
        let asked = ResolveRequest {
            repository: Some(world.access("base")),
            revision: first.clone(),
            ..ResolveRequest::default()
        };
        server.client.clone().resolve(asked).await.unwrap();
    }));
    let call = call.await;
    say("a call without work", call, "ms", "");
    for (tool, paths) in [("kustomize", &overlays), ("helm", &chart)] {
        let alone = floor(&floor_program, tool, &work, paths, 1).await / 1e6;
        let asked = paths.iter().cycle().take(SAMPLES);
        let ours = median(asked.map(|path| {
            server.render(RenderRequest {
                no_cache: true,
                ..world.order(path, &first)
            })
        }));
        let ours = ours.await;
        say(&format!("{tool}, the library alone"), alone, "ms", "");
        let ratio = format!(
            "{:.2} times the library, {:+.2} ms",
            ours / alone,
            ours - alone
        );
        say(&format!("{tool}, a render"), ours, "ms", &ratio);
    }

    println!("all {OVERLAYS} overlays, {AT_ONCE} at a time");
    let alone = 2e9 / floor(&floor_program, "kustomize", &work, &overlays, 2).await;
    say("the library alone, two processes", alone, "renders/s", "");
    server.rate(orders(&first, false), &["first", "hit"]).await;
    let second = world.push("v2", "main").await;
    let watch = Watch::begin(server.id());
    let ours = server.rate(orders(&second, false), &["changed"]).await;
    let share = |of: f64, whole: f64| format!("{:.0} %", of / whole * 100.0);
    say("the base changed", ours, "renders/s", &share(ours, alone));
    say_memories("at most", watch.end());
    let one = server.rate(orders(&second, true), &["bypassed"]).await;
    say(
        "again, without the cache",
        one,
        "renders/s",
        &share(one, alone),
    );
    let mut commits = Vec::new();
    for branch in 0..BRANCHES {
        let version = format!("branch-{branch}");
        commits.push(world.push(&version, &version).await);
    }
    // Fetched beforehand: what is measured is rendering.
    for commit in &commits {
        server.render(world.order("chart/web", commit)).await;
    }
    let turns = overlays.iter().zip(commits.iter().cycle());
    let turns = turns.map(|(path, commit)| RenderRequest {
        no_cache: true,
        ..world.order(path, commit)
    });
    let five = server.rate(turns.collect(), &["bypassed"]).await;
    let against = format!("{} of one branch", share(five, one));
    say("five branches in turn", five, "renders/s", &against);
    say_memories("afterwards", memories(server.id()));

    println!("remembered");
    let known = server.render(world.order(&overlays[0], &second)).await;
    let again = |server: &Server| {
        let (client, order) = (server.client.clone(), world.order(&overlays[0], &second));
        let order = RenderRequest {
            known_hash: known.hash.clone(),
            known_detail: known.detail.clone(),
            ..order
        };
        let mut client = client;
        async move {
            let answer = client.render(order).await.unwrap().into_inner();
            assert_eq!((answer.cache.as_str(), answer.unchanged), ("hit", true));
        }
    };
    let hit = median((0..SAMPLES).map(|_| again(&server))).await;
    let net = |hit: f64| format!("{:.3} ms more than a call without work", hit - call);
    say("in the process", hit, "ms", &net(hit));
    let forgetful = world.serve("other", 0).await;
    again(&forgetful).await;
    let hit = median((0..SAMPLES).map(|_| again(&forgetful))).await;
    say("in Redis", hit, "ms", &net(hit));

    let (count, rounds) = LISTED;
    println!("{count} repositories listed {rounds} times each");
    let listed: Vec<String> = (0..count)
        .map(|number| format!("listed-{number}"))
        .collect();
    for name in &listed {
        world.home.ensure_repository("user01", name).await.unwrap();
    }
    let before = processor(server.id());
    for name in listed.iter().cycle().take(count * rounds) {
        let asked = ListRefsRequest {
            repository: Some(world.access(name)),
            fresh: true,
        };
        server.client.clone().list_refs(asked).await.unwrap();
    }
    let used = processor(server.id()) - before;
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let each = used / (count * rounds) as f64;
    say("processor time of a listing", each * 1e3, "ms", "");
    let core = each * 1000.0 / POLL * 100.0;
    say(
        "1,000 repositories, each every two minutes",
        core,
        "% of a core",
        "",
    );
    ground::stop_all(&world.ground.supervisor).await.unwrap();
}

/// Files that no compression makes smaller.
fn write_large(checkout: &Checkout) {
    let mut random = fs::File::open("/dev/urandom").unwrap();
    for number in 0..256 {
        let mut bytes = vec![0; 4 << 20];
        std::io::Read::read_exact(&mut random, &mut bytes).unwrap();
        let file = format!("large/{number:03}.bin");
        checkout.write(&file, bytes).unwrap();
    }
}
