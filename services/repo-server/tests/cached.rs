//! The promise of the cache: what it answers is what a render would be that has never seen anything.
//!
//! A case of the tools is rendered, one thing of it is edited, and it is asked for again: of the real binary, which remembers
//! in a real Redis and decides itself whether that still holds, and of the library in a process of the renderer that is started
//! for this one render. Both have to say the same. `NARU_SEED` says with which edits it begins.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "cached/edit.rs"]
mod edit;
#[path = "cached/tree.rs"]
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use domain::cause::Cause;
use domain::egress::Egress;
use domain::message;
use domain::render::Read;
use domain::settings::{BuildOptions, Rendering};
use proto::naru::internal::v1::repo_server_client::RepoServerClient;
use proto::naru::internal::v1::{
    ListRefsRequest, RenderRequest, RepositoryAccess, SourceReference,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use runtime::config::MutualTls;
use runtime::mtls::{self, Channel, Component};
use sandbox::Sandbox;
use serde::Deserialize;
use serde_json::{Value, json};
use source::git::{Access, Limits, Login, Mirrors, Rules};
use source::render::{Reference, RenderInput, Renderer, Target, WorkerLimits, WorkerPool};
use tempfile::TempDir;
use testkit::certs::Authority;
use testkit::charts::{Reply, Site};
use testkit::ground::{self, Ground};
use testkit::progress::Progress;
use testkit::redis::Redis;
use tokio::process::{Child, Command};

use edit::{Asked, DETOUR, DIRECT, FIRST, LINKED, State};
use tree::{Entry, Tree, join};

const BINARY: &str = env!("CARGO_BIN_EXE_naru-repo-server");
const TENANT: &str = "6f1c1a53-8f55-4be0-9c58-0a5a4c8f0001";
/// How many cases are taken, and how many edits are made of each.
const ROUNDS: u64 = 20;
const ROUNDS_IN_FULL: u64 = 270;
const EDITS: usize = 12;
/// Every so many rounds take a case with bases of other repositories, of which there are few.
const OF_BASES: u64 = 5;
/// How much of what was rendered is remembered in the process, in MiB, in every other round. With nothing, what is remembered
/// has been written down and read again; with as much as is usual, it is known of it where it was found to hold, which is
/// never written down.
const MEMORIES_MIB: [usize; 2] = [0, 32];
/// After so many wrong answers nothing more is learned.
const ENOUGH: usize = 10;

/// What a case's file says; see the tests of parity in `libs/source/tests`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Written {
    source: Value,
    fails: Option<String>,
    references: BTreeMap<String, String>,
    remotes: BTreeMap<String, String>,
    cluster: Cluster,
    mask: Vec<String>,
    options: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cluster {
    version: String,
    apis: Vec<String>,
}

/// Something that renders.
struct Case {
    name: String,
    state: State,
    /// The folders that are repositories of their own, by the names that options have for them.
    references: BTreeMap<String, String>,
}

impl Case {
    /// A case of a tool. None where it fails, since no failure is remembered, or where it comes out otherwise each time.
    fn read(tool: &str, folder: &Path) -> Option<Self> {
        let name = folder.file_name()?.to_str()?.to_owned();
        let text = std::fs::read(folder.join("case.json")).unwrap();
        let written: Written = serde_json::from_slice(&text).unwrap();
        if written.fails.is_some() || !written.mask.is_empty() {
            return None;
        }
        let mut tree = Tree::default();
        tree.copy(folder, &name);
        tree.take(&format!("{name}/case.json"));
        let home = match tool {
            "helm" => format!("{name}/chart"),
            _ => format!("{name}/app"),
        };
        let mut source = json!({"path": home});
        match tool {
            "jsonnet" => {
                source["directory"] =
                    json!({"jsonnet": written.source["jsonnet"], "include": "main.jsonnet"});
            }
            tool if written.source[tool].is_object() => {
                source[tool] = written.source[tool].clone();
            }
            _ => {}
        }
        let remotes = written.remotes.into_iter();
        let remotes = remotes.map(|(word, at)| (word, tree.take(&join(&name, &at))));
        let remotes = remotes.collect();
        let references = written.references.into_iter();
        let references = references.map(|(reference, at)| (reference, join(&name, &at)));
        let mut case = Self::of(format!("{tool}/{name}"), tree, home, source);
        case.references = references.collect();
        case.state.remotes = remotes;
        let asked = &mut case.state.asked;
        asked.kube_version = written.cluster.version;
        asked.apis = written.cluster.apis;
        asked.rendering.build = BuildOptions::parse(&written.options).unwrap();
        Some(case)
    }

    fn of(name: String, mut tree: Tree, home: String, source: Value) -> Self {
        tree.put_text(&format!("{DETOUR}/notes.txt"), "nobody reads this\n");
        let top = home.split('/').next().unwrap_or_default();
        tree.put(LINKED, Entry::Link(top.to_owned()));
        tree.put(DIRECT, Entry::Link(home.clone()));
        let asked = Asked {
            source,
            app_name: "app".to_owned(),
            project: "default".to_owned(),
            namespace: "user01".to_owned(),
            variables: BTreeMap::from([("USER_IDENTITY".to_owned(), "user01".to_owned())]),
            kube_version: "v1.34.1".to_owned(),
            apis: Vec::new(),
            rendering: Rendering::default(),
        };
        Self {
            name,
            state: State {
                tree,
                remotes: BTreeMap::new(),
                home,
                asked,
            },
            references: BTreeMap::new(),
        }
    }
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The cases of every tool; the training guide's folders and those of the kustomizations are plain directories too.
fn cases() -> Vec<Case> {
    let root = root();
    let mut all = Vec::new();
    for tool in ["helm", "kustomize", "jsonnet"] {
        let folders = folders(&root.join("libs/source/tests/cases").join(tool));
        all.extend(folders.iter().filter_map(|folder| Case::read(tool, folder)));
    }
    let plain = root.join("libs/source/tests/cases/kustomize");
    for folder in [folders(&root.join("examples/gitops")), folders(&plain)].concat() {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let mut tree = Tree::default();
        let app = folder.join("app");
        let (from, recurse) = match app.is_dir() {
            true => (app, true),
            false => (folder, false),
        };
        let home = format!("{name}/app");
        tree.copy(&from, &home);
        let source = json!({"path": home, "directory": {"recurse": recurse}});
        all.push(Case::of(format!("directory/{name}"), tree, home, source));
    }
    all
}

/// The same for both sides: what came out, or why nothing did.
type Answer = Result<Value, Value>;

fn why<'c>(causes: impl Iterator<Item = &'c Cause>) -> Value {
    // That it is not tried for a moment is said by who was asked before.
    let held = &message::source::HELD_BACK;
    let causes: Vec<&Cause> = causes.filter(|cause| !cause.message.is(held)).collect();
    json!({ "causes": causes })
}

fn missing(needs: &[String], wanted: &[String]) -> Value {
    json!({"needs": needs, "wanted": wanted})
}

/// What came out; the values of what is drawn each time are nobody's, what it was drawn from is.
fn outcome(undetermined: &str, kind: &str, causes: Vec<Value>, set: Value) -> Value {
    let set = if undetermined.is_empty() {
        set
    } else {
        json!(undetermined)
    };
    json!({"tool": kind, "causes": causes, "set": set})
}

/// A repository at one of its commits.
struct At<'a> {
    url: &'a str,
    commit: &'a str,
}

/// One question: a state, and where what belongs to it can be read.
struct Question<'a> {
    asked: &'a Asked,
    own: At<'a>,
    references: Vec<(&'a str, At<'a>)>,
    remotes: &'a [String],
}

/// The way into a repository.
fn way(url: &str) -> RepositoryAccess {
    RepositoryAccess {
        tenant: TENANT.to_owned(),
        credential_scope: "default/base".to_owned(),
        url: url.to_owned(),
        ..RepositoryAccess::default()
    }
}

/// The same for the library.
fn access(url: &str) -> Access {
    let rules = Rules { files: true };
    Access::new(TENANT, "default/base", url, Login::default(), rules).unwrap()
}

struct World {
    folder: TempDir,
    ground: Ground,
    server: Child,
    client: RepoServerClient<Channel>,
    /// What has a process of the renderer started for each of its renders, and remembers none.
    fresh: Renderer,
    /// Where that reads repositories.
    mirrors: Mirrors,
}

impl World {
    async fn new(memory_mib: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let mut ground = Ground::open(&folder.path().join("ground"), Progress::silent()).unwrap();
        let redis = Redis::start(&mut ground, None).await.unwrap().url;
        let program = testkit::tools::renderer(&Progress::silent()).await.unwrap();
        let authority = Authority::open(&folder.path().join("ca")).unwrap();
        let identity = authority.component("repo-server").unwrap();
        let listen = format!("127.0.0.1:{}", testkit::ports::free().unwrap());
        let server = Command::new(BINARY)
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("NARU_LISTEN", &listen)
            .env("NARU_INTERNAL__CA", identity.ca)
            .env("NARU_INTERNAL__CERT", identity.cert)
            .env("NARU_INTERNAL__KEY", identity.key)
            .env("NARU_DATA_DIR", folder.path().join("data"))
            .env("NARU_RENDERER", &program)
            .env("NARU_REDIS_URL", redis)
            .env("NARU_MEMORY_MIB", memory_mib.to_string())
            .env("NARU_ALLOW_FILE_URLS", "true")
            .env("NARU_EGRESS__ALLOW", "127.0.0.0/8")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let reachable = || async { Ok(tokio::net::TcpStream::connect(&listen).await.is_ok()) };
        testkit::wait::until_true("the repo-server", Duration::from_secs(30), reachable)
            .await
            .unwrap();
        let identity = authority.component("controller").unwrap();
        let files = MutualTls {
            ca: identity.ca,
            cert: identity.cert,
            key: identity.key,
        };
        let url = format!("https://{listen}");
        let channel = mtls::channel(&files, &url, Component::RepoServer).unwrap();
        // As the service has it: what a process may see is part of what it says.
        let sandbox = Sandbox::new(Some(PathBuf::from(BINARY)));
        let data = folder.path().join("fresh");
        let egress = Egress::default();
        let mirrors = Mirrors::new(data, Limits::default(), egress, sandbox.clone(), None).unwrap();
        let limits = WorkerLimits {
            idle: 0,
            ..WorkerLimits::default()
        };
        Self {
            server,
            fresh: Renderer::new(mirrors.clone(), WorkerPool::new(sandbox, program, limits)),
            mirrors,
            client: RepoServerClient::new(channel).max_decoding_message_size(128 << 20),
            ground,
            folder,
        }
    }

    async fn end(mut self) {
        self.server.kill().await.unwrap();
        ground::stop_all(&self.ground.supervisor).await.unwrap();
    }

    /// Has both sides list repositories anew, which they would else do when what they have listed is three minutes old.
    async fn list(&self, urls: &[String]) {
        for url in urls {
            let request = ListRefsRequest {
                repository: Some(way(url)),
                fresh: true,
            };
            self.client.clone().list_refs(request).await.unwrap();
            self.mirrors.list_refs(&access(url), true).await.unwrap();
        }
    }

    /// What the controller asks.
    fn request(question: &Question<'_>) -> RenderRequest {
        let Asked {
            source,
            app_name,
            project,
            namespace,
            variables,
            kube_version,
            apis,
            rendering,
        } = question.asked;
        let references = question
            .references
            .iter()
            .map(|(name, at)| SourceReference {
                name: (*name).to_owned(),
                repository: Some(way(at.url)),
                commit: at.commit.to_owned(),
                chart: String::new(),
            });
        RenderRequest {
            repository: Some(way(question.own.url)),
            tenant_key: vec![7; 32],
            source: source.to_string(),
            commit: question.own.commit.to_owned(),
            app_name: app_name.clone(),
            project: project.clone(),
            destination_namespace: namespace.clone(),
            variables: variables.clone(),
            kube_version: kube_version.clone(),
            api_versions: apis.clone(),
            references: references.collect(),
            remotes: question.remotes.iter().map(|url| way(url)).collect(),
            rendering: serde_json::to_string(rendering).unwrap(),
            ..RenderRequest::default()
        }
    }

    /// What the service says, and how it came by that.
    async fn cached(&self, question: &Question<'_>) -> (Answer, String) {
        let request = Self::request(question);
        let said = match self.client.clone().render(request).await {
            Ok(said) => said.into_inner(),
            Err(status) => {
                let causes: Vec<Cause> = serde_json::from_slice(status.details())
                    .unwrap_or_else(|_| panic!("a failure without a cause: {status:?}"));
                return (Err(why(causes.iter())), "failed".to_owned());
            }
        };
        if !said.needs.is_empty() || !said.wanted.is_empty() {
            return (Err(missing(&said.needs, &said.wanted)), "failed".to_owned());
        }
        let manifests = said.manifests.iter().map(|one| {
            let object: Value = serde_json::from_slice(&one.object).unwrap();
            let lines = one.lines.iter().map(|at| (&at.field, at.line));
            let replaced = one.replaced.iter();
            let replaced = replaced.map(|one| (&one.field, one.line, &one.variable));
            let replaced: Vec<_> = replaced.collect();
            json!({"object": object, "path": one.path, "line": one.line,
                "lines": lines.collect::<Vec<_>>(), "replaced": replaced})
        });
        let manifests: Vec<Value> = manifests.collect();
        let elsewhere = said.replaced.iter();
        let elsewhere = elsewhere.map(|one| (&one.path, one.line, &one.variable));
        let elsewhere: Vec<_> = elsewhere.collect();
        let set = json!({"hash": said.hash, "detail": said.detail, "manifests": manifests, "elsewhere": elsewhere});
        let told = said.changed.as_ref().map(|changed| &changed.what);
        let known = told.is_some_and(|what| Read::parse(what).is_some());
        assert_eq!(known, said.cache == "changed", "{:?}", said.changed);
        let causes = said.causes.iter();
        let causes = causes.map(|cause| serde_json::from_str(cause).unwrap());
        let answer = outcome(&said.undetermined, &said.source_type, causes.collect(), set);
        (Ok(answer), said.cache)
    }

    /// What a render says that has never seen anything.
    async fn fresh(&self, question: &Question<'_>) -> Answer {
        let asked = question.asked.clone();
        let references = question.references.iter().map(|(name, at)| Reference {
            name: (*name).to_owned(),
            access: access(at.url),
            commit: at.commit.to_owned(),
            chart: String::new(),
        });
        let input = RenderInput {
            source: asked.source,
            app_name: asked.app_name,
            project: asked.project,
            namespace: asked.namespace,
            variables: asked.variables,
            target: Target::new(asked.kube_version, asked.apis),
            references: references.collect(),
            remotes: question.remotes.iter().map(|url| access(url)).collect(),
            rendering: asked.rendering,
            ..RenderInput::default()
        };
        let own = access(question.own.url);
        let said = match self.fresh.render(&own, question.own.commit, &input).await {
            Ok(said) => said,
            Err(error) if !error.needs().is_empty() || !error.wanted().is_empty() => {
                return Err(missing(error.needs(), error.wanted()));
            }
            Err(error) => return Err(why(error.causes())),
        };
        let manifests = said.manifests.iter().map(|one| {
            let (path, line) = one
                .location
                .as_ref()
                .map_or(("", 0), |at| (at.path.as_str(), at.line));
            let replaced = one.replaced.iter();
            let replaced = replaced.map(|one| (&one.field, one.line, &one.variable));
            let replaced: Vec<_> = replaced.collect();
            json!({"object": one.object, "path": path, "line": line, "lines": one.lines, "replaced": replaced})
        });
        let manifests: Vec<Value> = manifests.collect();
        let elsewhere = said.elsewhere.iter();
        let elsewhere = elsewhere.map(|one| (&one.location.path, one.location.line, &one.variable));
        let elsewhere: Vec<_> = elsewhere.collect();
        let set = json!({"hash": said.hash.0, "detail": said.detail, "manifests": manifests, "elsewhere": elsewhere});
        let causes = said.causes.iter();
        let causes = causes.map(|cause| serde_json::to_value(cause).unwrap());
        let undetermined = said.undetermined.unwrap_or_default();
        let kind = said.source_type.as_str();
        Ok(outcome(&undetermined, kind, causes.collect(), set))
    }
}

/// How often the service answered how.
#[derive(Debug, Default)]
struct Tally {
    hits: usize,
    renders: usize,
    failures: usize,
    /// The renders that came of nothing but another commit of a base.
    of_bases: usize,
    wrong: Vec<String>,
}

/// The lines in which two answers differ.
fn difference(cached: &Answer, fresh: &Answer) -> String {
    let lines = |answer: &Answer| {
        let (Ok(value) | Err(value)) = answer;
        let text = serde_json::to_string_pretty(value).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (cached, fresh) = (lines(cached), lines(fresh));
    let begin = cached.iter().zip(&fresh).take_while(|(a, b)| a == b);
    let begin = begin.count();
    let ends = cached[begin..]
        .iter()
        .rev()
        .zip(fresh[begin..].iter().rev());
    let end = ends.take_while(|(a, b)| a == b).count();
    let some = |lines: &[String], sign| {
        let middle = lines[begin..lines.len() - end].iter().take(30);
        middle
            .map(|line| format!("\n  {sign} {line}"))
            .collect::<String>()
    };
    format!("{}{}", some(&cached, '-'), some(&fresh, '+'))
}

/// A state, and the number of the one that it was made of.
struct Step {
    from: usize,
    edits: Vec<String>,
    state: State,
}

/// The repositories that bases are taken of: where they are, and the commit of each step.
#[derive(Default)]
struct Bases {
    urls: Vec<String>,
    repositories: Vec<(PathBuf, Vec<String>)>,
}

impl Bases {
    /// Has their branch and their tag lead to what they are in a step, which both sides know then.
    async fn lead(&self, world: &World, step: usize) {
        for (folder, commits) in &self.repositories {
            tree::lead(folder, &["refs/heads/main", "refs/tags/v1"], &commits[step]);
        }
        world.list(&self.urls).await;
    }
}

/// Takes a case and edits it; whatever it comes to is said by the seed alone.
async fn round(world: &World, cases: &[Case], seed: u64, tally: &mut Tally) {
    let mut random = StdRng::seed_from_u64(seed);
    let any = !seed.is_multiple_of(OF_BASES);
    let fits = |case: &&Case| any || !case.state.remotes.is_empty();
    let cases: Vec<&Case> = cases.iter().filter(fits).collect();
    let case = *cases.choose(&mut random).unwrap();
    let folder = world
        .folder
        .path()
        .join("repositories")
        .join(seed.to_string());
    let url = |name: &str| format!("file://{}", folder.join(name).display());
    let mut start = case.state.clone();
    start.asked.source["repoURL"] = json!(url("own"));
    // Where the address ends is seen by that.
    let base = |word: &str| format!("{word}.git");
    for word in case.state.remotes.keys() {
        let (word, url) = (format!("@{word}@"), url(&base(word)));
        start.tree.say(&word, &url);
        let trees = start.remotes.values_mut();
        trees.for_each(|tree| tree.say(&word, &url));
    }
    let mut steps = vec![Step {
        from: 0,
        edits: Vec::new(),
        state: start,
    }];
    for _ in 0..EDITS {
        // Most are of the case itself: what is edited again and again fails in the end, whatever is edited.
        let from = match random.random_bool(0.5) {
            true => 0,
            false => random.random_range(0..steps.len()),
        };
        let Step { edits, state, .. } = &steps[from];
        let (mut edits, mut state) = (edits.clone(), state.clone());
        edits.push(edit::edit(&mut random, &mut state));
        steps.push(Step { from, edits, state });
    }
    let mut bases = Bases::default();
    for word in case.state.remotes.keys() {
        let at = folder.join(base(word));
        let trees = steps.iter().map(|step| &step.state.remotes[word]);
        let commits = tree::repository(&at, trees);
        tree::lead(&at, &[&format!("refs/heads/{FIRST}")], &commits[0]);
        bases.urls.push(url(&base(word)));
        bases.repositories.push((at, commits));
    }
    let trees = || steps.iter().map(|step| &step.state.tree);
    let commits = tree::repository(&folder.join("own"), trees());
    let mut references = Vec::new();
    for (name, at) in &case.references {
        let trees: Vec<Tree> = trees().map(|tree| tree.below(at)).collect();
        let at = format!("reference-{name}");
        let commits = tree::repository(&folder.join(&at), trees.iter());
        references.push((name, url(&at), commits));
    }
    let own = url("own");
    let question = |number: usize| Question {
        asked: &steps[number].state.asked,
        own: At {
            url: &own,
            commit: &commits[number],
        },
        references: references
            .iter()
            .map(|(name, url, commits)| {
                let commit = commits[number].as_str();
                (name.as_str(), At { url, commit })
            })
            .collect(),
        remotes: &bases.urls,
    };
    bases.lead(world, 0).await;
    let mut fresh: Vec<Answer> = vec![world.fresh(&question(0)).await];
    for (number, step) in steps.iter().enumerate().skip(1) {
        let (before, now) = (question(step.from), question(number));
        bases.lead(world, step.from).await;
        let cached = async {
            // What is remembered is what it was before the edit.
            let before = world.cached(&before).await;
            bases.lead(world, number).await;
            (before, world.cached(&now).await)
        };
        let ((before, now), expected) = match bases.urls.is_empty() {
            true => tokio::join!(cached, world.fresh(&now)),
            // Not before they are where the edit has put them.
            false => (cached.await, world.fresh(&now).await),
        };
        fresh.push(expected);
        let (was, is) = (&steps[step.from].state, &step.state);
        let of_bases = was.tree == is.tree && was.asked == is.asked && was.remotes != is.remotes;
        tally.of_bases += usize::from(of_bases && now.1 == "changed");
        match now.1.as_str() {
            "hit" => tally.hits += 1,
            "failed" => tally.failures += 1,
            _ => tally.renders += 1,
        }
        for (number, (answer, how)) in [(step.from, before), (number, now)] {
            if answer != fresh[number] {
                tally.wrong.push(format!(
                    "NARU_SEED={seed}: {}, after {:?} (made of {:?} just before), {} and not {}, by `{how}`:{}",
                    case.name,
                    steps[number].edits,
                    steps[step.from].edits,
                    if answer.is_ok() { "came out" } else { "failed" },
                    if fresh[number].is_ok() { "came out" } else { "failed" },
                    difference(&answer, &fresh[number])
                ));
            }
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_what_a_render_in_an_empty_worker_says() {
    let seed = testkit::paths::variable("NARU_SEED").and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::random::<u32>().into());
    let full = std::env::args().any(|word| word == "--include-ignored");
    let rounds = if full { ROUNDS_IN_FULL } else { ROUNDS };
    let cases = cases();
    assert!(cases.len() >= 100, "only {} cases", cases.len());
    let mut tallies = Vec::new();
    for (parity, memory) in (0..).zip(MEMORIES_MIB) {
        let world = World::new(memory).await;
        let mut tally = Tally::default();
        // Each round by a number of its own, which says its server too, so that a wrong answer comes again as one of the first.
        for number in (0..rounds).map(|number| seed.wrapping_add(number)) {
            if number % 2 == parity && tally.wrong.len() < ENOUGH {
                round(&world, &cases, number, &mut tally).await;
            }
        }
        world.end().await;
        println!(
            "NARU_SEED={seed}: {} edits, {} hits, {} renders, {} of them for another base, {} failures, {memory} MiB in memory",
            tally.hits + tally.renders + tally.failures,
            tally.hits,
            tally.renders,
            tally.of_bases,
            tally.failures
        );
        tallies.push(tally);
    }
    let wrong: Vec<&str> = tallies
        .iter()
        .flat_map(|tally| &tally.wrong)
        .map(String::as_str)
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let edits = usize::try_from(rounds).unwrap() * EDITS;
    let of_all = |count: fn(&Tally) -> usize| tallies.iter().map(count).sum::<usize>();
    let (hits, renders) = (of_all(|tally| tally.hits), of_all(|tally| tally.renders));
    assert!(
        hits > edits / 10 && renders > edits / 10,
        "NARU_SEED={seed}: the edits must come out both ways: {tallies:?}"
    );
    assert!(
        of_all(|tally| tally.of_bases) > 0,
        "NARU_SEED={seed}: no base was taken anew: {tallies:?}"
    );
    assert!(
        tallies.iter().all(|tally| tally.hits > 0),
        "NARU_SEED={seed}: {tallies:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_a_chart_no_longer_takes_from_is_not_asked_for() {
    let world = World::new(0).await;
    let site = Site::start(None).await.unwrap();
    let packed = "libs/source/tests/cases/helm/packed-dependency/chart/charts/packed-1.2.3.tgz";
    let packed = std::fs::read(root().join(packed)).unwrap();
    let index = "apiVersion: v1\nentries:\n  packed:\n  - {name: packed, version: 1.2.3, urls: [packed-1.2.3.tgz]}\n";
    site.put("/index.yaml", Reply::File(index.into()));
    site.put("/packed-1.2.3.tgz", Reply::File(packed));
    let chart = "apiVersion: v2\nname: outer\nversion: 1.0.0\n";
    let takes = format!(
        "dependencies:\n- {{name: packed, version: 1.2.3, repository: '{}'}}\n",
        site.url
    );
    let mut with = Tree::default();
    with.put_text("app/Chart.yaml", &format!("{chart}{takes}"));
    let mut same = with.clone();
    same.put_text("README.md", "another commit\n");
    let mut without = Tree::default();
    without.put_text("app/Chart.yaml", chart);
    let folder = world.folder.path().join("own");
    let commits = tree::repository(&folder, [&with, &same, &without].into_iter());
    let url = format!("file://{}", folder.display());
    let home = "app".to_owned();
    let case = Case::of(
        String::new(),
        Tree::default(),
        home,
        json!({"repoURL": url, "path": "app"}),
    );
    let ask = async |commit: usize, ways: bool| {
        let place = RepositoryAccess {
            kind: "helm".to_owned(),
            ..way(&site.url)
        };
        let request = RenderRequest {
            dependencies: ways
                .then(|| (site.url.clone(), place))
                .into_iter()
                .collect(),
            ..World::request(&Question {
                asked: &case.state.asked,
                own: At {
                    url: &url,
                    commit: &commits[commit],
                },
                references: Vec::new(),
                remotes: &[],
            })
        };
        let said = world.client.clone().render(request).await.unwrap();
        let said = said.into_inner();
        (said.cache, said.needs)
    };
    let (needed, nothing) = (vec![site.url.clone()], Vec::new());
    assert_eq!(ask(0, false).await, (String::new(), needed.clone()));
    assert_eq!(ask(0, true).await, ("first".to_owned(), nothing.clone()));
    // What is remembered may be had only by who has a way there as well.
    assert_eq!(ask(1, false).await, (String::new(), needed));
    assert_eq!(ask(1, true).await, ("hit".to_owned(), nothing.clone()));
    assert_eq!(ask(2, false).await, ("changed".to_owned(), nothing));
    world.end().await;
}
