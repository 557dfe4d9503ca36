//! What we render against what the tools' own commands render: a folder per case in `tests/cases`, and what
//! Helm and kustomize themselves publish.
//!
//! A case is a folder `tests/cases/<tool>/<name>` with the files of a repository and a `case.json`:
//!
//! - `source`: the options, as the Application spec has them;
//! - `arguments`: what the official command is given for the same;
//! - `fails`: a part of the message with which both must fail, instead of both succeeding;
//! - `references`: the folders of the case that are repositories of their own, by the `ref` that the application has for them;
//! - `remotes`: the folders of the case that are repositories of their own, by the word (`@WORD@`) that stands for their
//!   addresses in its files; each has the tag `v1`;
//! - `edits`: what `kustomize edit` is called with before the official build, to do what `source` says;
//! - `options`: what `kustomize.buildOptions` says, and the official build is called with;
//! - `cluster`: the `version` and the `apis` of the cluster that it is for;
//! - `mask`: keys whose values are chance or time, and are not compared.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod kustomize;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use domain::egress::Egress;
use sandbox::Sandbox;
use serde::Deserialize;
use serde_json::{Value, json};
use source::git::{Access, Limits, Login, Mirrors, Rules};
use source::render::{Reference, RenderInput, Renderer, Target, WorkerLimits, WorkerPool};
use tempfile::TempDir;
use testkit::progress::Progress;
use testkit::tools;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Case {
    source: Value,
    arguments: Vec<String>,
    fails: Option<String>,
    references: BTreeMap<String, String>,
    remotes: BTreeMap<String, String>,
    cluster: Cluster,
    mask: Vec<String>,
    edits: Vec<Vec<String>>,
    options: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Cluster {
    version: String,
    apis: Vec<String>,
}

/// What two of the published charts draw by chance: passwords, and the name of a pod.
const DRAWN: [&str; 4] = [
    "name",
    "mariadb-password",
    "mariadb-root-password",
    "mariadb-replication-password",
];

/// What a command or we made of a case.
type Answer = Result<Vec<Value>, String>;

#[expect(clippy::disallowed_methods, reason = "the tools are run as they are")]
fn output(program: &Path, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("TZ", "UTC")
        .output()
        .unwrap()
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let who = [
        "-c",
        "user.name=A Tester",
        "-c",
        "user.email=tester@example.com",
    ];
    let output = output(Path::new("git"), folder, &[&who, arguments].concat());
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn committed(folder: &Path) -> String {
    git(folder, &["init", "--quiet", "--initial-branch=main"]);
    git(folder, &["add", "--all", "--force"]);
    git(folder, &["commit", "--quiet", "--message", "cases"]);
    git(folder, &["rev-parse", "HEAD"])
}

fn access(folder: &Path) -> Access {
    let url = format!("file://{}/.git", folder.display());
    let rules = Rules { files: true };
    Access::new("tenant", "none", &url, Login::default(), rules).unwrap()
}

/// A repository with every case, and what reads it.
struct World {
    folder: TempDir,
    /// The repositories that kustomizations may take folders of.
    remotes: Vec<Access>,
    renderer: Renderer,
}

impl World {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let program = tools::renderer(&Progress::silent()).await.unwrap();
        let sandbox = Sandbox::new(None);
        let data = folder.path().join("data");
        let egress = Egress {
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            ..Egress::default()
        };
        let mirrors = Mirrors::new(data, Limits::default(), egress, sandbox.clone(), None).unwrap();
        let pool = WorkerPool::new(sandbox, program, WorkerLimits::default());
        std::fs::create_dir_all(folder.path().join("work")).unwrap();
        Self {
            renderer: Renderer::new(mirrors, pool),
            folder,
            remotes: Vec::new(),
        }
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn commit(&self) -> String {
        committed(&self.work())
    }

    async fn render(&self, commit: &str, source: Value) -> Answer {
        self.render_for(commit, source, &Cluster::default()).await
    }

    async fn render_for(&self, commit: &str, source: Value, cluster: &Cluster) -> Answer {
        self.render_with(commit, source, cluster, Vec::new()).await
    }

    /// Makes a folder of a case a repository of its own.
    fn reference(&self, case: &str, name: &str, folder: &str) -> Reference {
        let work = self.folder.path().join("references").join(case).join(name);
        copy(&self.work().join(case).join(folder), &work);
        let commit = committed(&work);
        Reference {
            name: name.to_owned(),
            access: access(&work),
            commit,
            chart: String::new(),
        }
    }

    async fn render_with(
        &self,
        commit: &str,
        source: Value,
        cluster: &Cluster,
        references: Vec<Reference>,
    ) -> Answer {
        let input = RenderInput {
            source,
            target: Target::new(cluster.version.clone(), cluster.apis.clone()),
            references,
            remotes: self.remotes.clone(),
            ..input()
        };
        self.answer(commit, input).await
    }

    async fn answer(&self, commit: &str, input: RenderInput) -> Answer {
        let access = access(&self.work());
        match self.renderer.render(&access, commit, &input).await {
            Ok(rendered) => Ok(rendered
                .manifests
                .into_iter()
                .map(|one| one.object)
                .collect()),
            Err(error) => {
                let evidence = error.cause().evidence.clone().unwrap_or_default();
                Err(format!("{error} {evidence}"))
            }
        }
    }
}

/// What every case is rendered for.
fn input() -> RenderInput {
    RenderInput {
        app_name: "app".into(),
        project: "default".into(),
        namespace: "user01".into(),
        ..RenderInput::default()
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_symlink() {
            let link = std::fs::read_link(entry.path()).unwrap();
            std::os::unix::fs::symlink(link, target).unwrap();
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn cases(tool: &str) -> Vec<(String, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(tool);
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(path.join("case.json")).unwrap();
        let case = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        all.push((name, case));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// How many of them are rendered: one that is there to fail compares nothing.
fn coming_out(cases: &[(String, Case)]) -> usize {
    let out = cases.iter().filter(|(_, case)| case.fails.is_none());
    out.count()
}

fn copy_cases(world: &World, tool: &str) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(tool);
    copy(&from, &world.work());
}

/// Hides the values of some keys, wherever they are.
fn mask(value: &mut Value, keys: &[String]) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                if keys.contains(key) && !inner.is_object() {
                    *inner = Value::Null;
                }
                mask(inner, keys);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| mask(inner, keys)),
        _ => {}
    }
}

/// What is wrong with an answer, given the command's; nothing when all is well.
fn judge(case: &Case, mut theirs: Answer, mut ours: Answer) -> Option<String> {
    for objects in [&mut theirs, &mut ours].into_iter().flatten() {
        objects
            .iter_mut()
            .for_each(|object| mask(object, &case.mask));
    }
    match (&case.fails, theirs, ours) {
        (None, Ok(theirs), Ok(ours)) if theirs == ours => None,
        (None, Ok(theirs), Ok(ours)) => {
            let at = theirs.iter().zip(&ours).position(|(a, b)| a != b);
            let at = at.unwrap_or_else(|| theirs.len().min(ours.len()));
            Some(format!(
                "{} and {} objects; at {at}, theirs {:?}, ours {:?}",
                theirs.len(),
                ours.len(),
                theirs.get(at).map(ToString::to_string),
                ours.get(at).map(ToString::to_string)
            ))
        }
        (Some(words), Err(_), Err(ours)) if ours.contains(words.as_str()) => None,
        (_, theirs, ours) => Some(format!("theirs {theirs:?}, ours {ours:?}")),
    }
}

/// The objects of a command's output, read as a plain directory's file is.
fn as_expected(world: &World, name: &str, output: &Output) -> Result<(), String> {
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let folder = world.work().join("expected").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("all.yaml"), &output.stdout).unwrap();
    Ok(())
}

async fn expected(world: &World, commit: &str, name: &str, ran: Result<(), String>) -> Answer {
    ran?;
    let written = world.work().join("expected").join(name).join("all.yaml");
    let path = format!("expected/{name}");
    let objects = world
        .render(commit, json!({"repoURL": "x", "path": path}))
        .await?;
    // A plain directory leaves a file alone that looks like no manifest; Argo CD takes none of it from a chart.
    let text = std::fs::read_to_string(written).unwrap();
    let empty = text
        .lines()
        .all(|line| line.is_empty() || line.starts_with(['#', '-']));
    if objects.is_empty() && !empty {
        return Err("it printed something that is no manifest".into());
    }
    Ok(objects)
}

fn fail(tool: &str, count: usize, wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{} of {count} {tool} cases differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn charts_are_rendered_as_helm_template_does() {
    let world = World::new().await;
    let helm = tools::path("helm", &Progress::silent()).await.unwrap();
    copy_cases(&world, "helm");
    let cases = cases("helm");
    assert!(coming_out(&cases) >= 45, "only {}", coming_out(&cases));
    let mut ran = Vec::new();
    for (name, case) in &cases {
        let folder = world.work().join(name).join("chart");
        let mut arguments = vec!["template", ".", "--name-template"];
        let option = |name: &str| case.source["helm"].get(name);
        arguments.push(
            option("releaseName")
                .and_then(Value::as_str)
                .unwrap_or("app"),
        );
        if option("namespace").is_none() {
            arguments.extend(["--namespace", "user01"]);
        }
        if option("skipCrds").is_none() {
            arguments.push("--include-crds");
        }
        arguments.extend(case.arguments.iter().map(String::as_str));
        ran.push(as_expected(
            &world,
            name,
            &output(&helm, &folder, &arguments),
        ));
    }
    let commit = world.commit();
    let mut wrong = Vec::new();
    for ((name, case), ran) in cases.iter().zip(ran) {
        let mut source = json!({"repoURL": "x", "path": format!("{name}/chart")});
        if let Some(options) = case.source.get("helm") {
            source["helm"] = options.clone();
        }
        let theirs = expected(&world, &commit, name, ran).await;
        let references = case.references.iter();
        let references =
            references.map(|(reference, folder)| world.reference(name, reference, folder));
        let references = references.collect();
        let ours = world
            .render_with(&commit, source, &case.cluster, references)
            .await;
        wrong.extend(judge(case, theirs, ours).map(|why| format!("{name}: {why}")));
    }
    fail("helm", cases.len(), &wrong);
}

#[tokio::test]
async fn helms_own_charts_are_rendered_as_helm_template_does() {
    let world = World::new().await;
    let helm = tools::path("helm", &Progress::silent()).await.unwrap();
    let published = published("helm", "helm.sh/helm/v3");
    let mut charts = Vec::new();
    find(&["Chart.yaml"], &published, &published, &mut charts);
    assert!(
        charts.len() >= 40,
        "only {} charts in {}",
        charts.len(),
        published.display()
    );
    for chart in &charts {
        copy(&published.join(chart), &world.work().join(chart));
    }
    let mut ran = Vec::new();
    for chart in &charts {
        let folder = world.work().join(chart);
        let brought = bring_dependencies(&helm, &folder);
        let arguments = [
            "template",
            ".",
            "--name-template",
            "app",
            "--namespace",
            "user01",
            "--include-crds",
        ];
        ran.push(as_expected(
            &world,
            chart,
            &output(&helm, &folder, &arguments),
        ));
        if brought {
            std::fs::remove_dir_all(folder.join("charts")).unwrap();
        }
    }
    let commit = world.commit();
    let (mut wrong, mut rendered) = (Vec::new(), 0);
    for (chart, ran) in charts.iter().zip(ran) {
        let source = json!({"repoURL": "x", "path": chart, "helm": {}});
        let theirs = expected(&world, &commit, chart, ran).await;
        let ours = world.render(&commit, source).await;
        if let (Err(_), Err(_)) = (&theirs, &ours) {
            continue;
        }
        rendered += 1;
        let case = Case {
            mask: match chart.contains("compressed-dependencies") {
                true => DRAWN.map(str::to_owned).into(),
                false => Vec::new(),
            },
            ..Case::default()
        };
        let why = judge(&case, theirs, ours);
        wrong.extend(why.map(|why| format!("{chart}: {why}")));
    }
    fail("published helm", charts.len(), &wrong);
    // Some are there to fail, and where all do nothing is compared.
    assert!(
        rendered * 4 > charts.len(),
        "{rendered} of {} come out",
        charts.len()
    );
}

/// Brings what a chart depends on and has beside it into its folder, as Argo CD does before it renders; says whether it did.
fn bring_dependencies(helm: &Path, folder: &Path) -> bool {
    let beside = ["Chart.yaml", "requirements.yaml"].iter().any(|file| {
        std::fs::read_to_string(folder.join(file)).is_ok_and(|text| text.contains("file://"))
    });
    let charts = folder.join("charts");
    if !beside || charts.exists() {
        return false;
    }
    output(helm, folder, &["dependency", "build"]);
    charts.exists()
}

/// Where a module is that one of the tools is built from.
fn published(tool: &str, module: &str) -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/tools");
    let asked = ["list", "-m", "-f", "{{.Dir}}", module];
    let listed = output(Path::new("go"), &tools.join(tool), &asked);
    PathBuf::from(String::from_utf8(listed.stdout).unwrap().trim())
}

/// The outermost folders with a file of one of these names, from the module's root.
fn find(names: &[&str], root: &Path, folder: &Path, found: &mut Vec<String>) {
    if names.iter().any(|name| folder.join(name).is_file()) {
        let path = folder.strip_prefix(root).unwrap();
        found.push(path.to_str().unwrap().to_owned());
        return;
    }
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            find(names, root, &entry.path(), found);
        }
    }
}

#[tokio::test]
async fn jsonnet_is_evaluated_as_its_command_does() {
    let world = World::new().await;
    let jsonnet = tools::path("jsonnet", &Progress::silent()).await.unwrap();
    copy_cases(&world, "jsonnet");
    let cases = cases("jsonnet");
    assert!(cases.len() >= 8, "only {} cases", cases.len());
    let mut ran = Vec::new();
    for (name, case) in &cases {
        let folder = world.work().join(name).join("app");
        let mut arguments = vec!["main.jsonnet"];
        arguments.extend(case.arguments.iter().map(String::as_str));
        let mut output = output(&jsonnet, &folder, &arguments);
        if let Ok(Value::Array(list)) = serde_json::from_slice(&output.stdout) {
            let documents = list.iter().map(|one| format!("---\n{one}\n"));
            output.stdout = documents.collect::<String>().into_bytes();
        }
        ran.push(as_expected(&world, name, &output));
    }
    let commit = world.commit();
    let mut wrong = Vec::new();
    for ((name, case), ran) in cases.iter().zip(ran) {
        let mut source = json!({"repoURL": "x", "path": format!("{name}/app")});
        source["directory"] =
            json!({"jsonnet": case.source["jsonnet"].clone(), "include": "main.jsonnet"});
        let theirs = expected(&world, &commit, name, ran).await;
        let ours = world.render(&commit, source).await;
        wrong.extend(judge(case, theirs, ours).map(|why| format!("{name}: {why}")));
    }
    fail("jsonnet", cases.len(), &wrong);
}
