//! Real repositories, a real `git`, the real renderer: from a commit to manifests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod faults;
mod history;
mod hostile;
mod lfs;
mod local;
mod mistakes;
mod read_set;
mod references;
mod remotes;
mod room;
mod signatures;
mod submodules;
mod web;
mod workers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use domain::egress::Egress;
use domain::manifest::SourceType;
use domain::revision;
use sandbox::Sandbox;
use serde_json::{Value, json};
use source::git::{Access, Limits, Login, Mirrors, Rules};
use source::render::{RenderInput, Rendered, Renderer, Target, WorkerLimits, WorkerPool};
use source::{Error, Kind};
use tempfile::TempDir;

#[expect(clippy::disallowed_methods, reason = "tests build their own fixtures")]
fn run(program: &str, folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GOFLAGS", "-mod=mod -buildvcs=false")
        .env("CGO_ENABLED", "0")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The renderer: NARU_RENDERER, or built once per test run.
fn renderer() -> PathBuf {
    static BUILT: OnceLock<(Option<TempDir>, PathBuf)> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "tests have no settings of their own"
        )]
        if let Ok(path) = std::env::var("NARU_RENDERER") {
            return (None, path.into());
        }
        let folder = TempDir::new().unwrap();
        let program = folder.path().join("renderer");
        let module =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../services/repo-server/renderer");
        run(
            "go",
            &module,
            &["build", "-trimpath", "-o", program.to_str().unwrap(), "."],
        );
        (Some(folder), program)
    });
    built.1.clone()
}

struct World {
    folder: TempDir,
    mirrors: Mirrors,
    renderer: Renderer,
}

impl World {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let sandbox = Sandbox::new(None);
        let mirrors = Mirrors::new(
            folder.path().join("data"),
            Limits::default(),
            here(),
            sandbox.clone(),
            None,
        )
        .unwrap();
        let pool = WorkerPool::new(sandbox, renderer(), WorkerLimits::default());
        let this = Self {
            renderer: Renderer::new(mirrors.clone(), pool),
            mirrors,
            folder,
        };
        std::fs::create_dir_all(this.work()).unwrap();
        this.git(&["init", "--quiet", "--initial-branch=main"]);
        this
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn git(&self, arguments: &[&str]) -> String {
        let who = [
            "-c",
            "user.name=A Tester",
            "-c",
            "user.email=tester@example.com",
            "-c",
            "commit.gpgsign=false",
        ];
        run("git", &self.work(), &[&who, arguments].concat())
    }

    fn write(&self, path: &str, content: &str) -> &Self {
        let path = self.work().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn access(&self) -> Access {
        let url = format!("file://{}/.git", self.work().display());
        Access::new(
            "tenant",
            "none",
            &url,
            Login::default(),
            Rules { files: true },
        )
        .unwrap()
    }

    async fn render(&self, input: &RenderInput) -> Result<Rendered, Error> {
        let commit = self.git(&["rev-parse", "HEAD"]);
        self.renderer.render(&self.access(), &commit, input).await
    }

    async fn holds(&self, rendered: &Rendered, input: &RenderInput) -> bool {
        let commit = self.git(&["rev-parse", "HEAD"]);
        self.renderer
            .changed(&self.access(), &commit, input, &rendered.read_set)
            .await
            .unwrap()
            .is_none()
    }
}

fn input(source: Value) -> RenderInput {
    RenderInput {
        source,
        app_name: "app".into(),
        project: "default".into(),
        namespace: "user01".into(),
        variables: BTreeMap::from([("USER_IDENTITY".to_owned(), "user01".to_owned())]),
        ..RenderInput::default()
    }
}

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: hello-spring-svc\n  nmaespace: ${USER_IDENTITY}\nspec:\n  ports:\n  - port: 8080\n";
const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: hello\n  namespace: ${USER_IDENTITY}\nspec:\n  selector:\n    matchLabels:\n      app: hello\n  template:\n    metadata:\n      labels:\n        app: hello\n    spec:\n      containers:\n      - image: nexus.example/test/hello:1.0.0\n        name: hello\n";
const KUSTOMIZATION: &str = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- service.yaml\n- deployment.yaml\nimages:\n- name: nexus.example/${USER_IDENTITY}/hello\n  newTag: 1.0.1\n";

fn codes(rendered: &Rendered) -> Vec<String> {
    let told = |cause: &domain::cause::Cause| {
        let at = cause
            .location
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        format!("{} {at}", cause.message.code)
    };
    rendered.causes.iter().map(told).collect()
}

#[tokio::test]
async fn the_guides_folder_is_a_directory_with_lines_and_its_traps_are_told() {
    let world = World::new();
    world
        .write("app/service.yaml", SERVICE)
        .write("app/deployment.yaml", DEPLOYMENT)
        .write("app/kustomize", KUSTOMIZATION);
    world.commit();
    let rendered = world
        .render(&input(json!({"repoURL": "x", "path": "app"})))
        .await
        .unwrap();
    assert_eq!(rendered.source_type, SourceType::Directory);
    let names: Vec<String> = rendered
        .manifests
        .iter()
        .map(|manifest| manifest.key().to_string())
        .collect();
    assert_eq!(
        names,
        ["apps/Deployment user01/hello", "Service hello-spring-svc"]
    );
    let misspelt = rendered.manifests[1].locate("metadata.nmaespace").unwrap();
    assert_eq!(misspelt.to_string(), "app/service.yaml:5");
    assert_eq!(
        codes(&rendered),
        [
            "lint.misnamed-kustomization app/kustomize:1",
            "lint.image-override-unmatched app/kustomize:7"
        ]
    );
}

#[tokio::test]
async fn the_guides_own_folders_as_printed_are_rendered() {
    let world = World::new();
    let printed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/gitops");
    for file in walk(&printed) {
        world.write(
            file.strip_prefix(&printed).unwrap().to_str().unwrap(),
            &std::fs::read_to_string(&file).unwrap(),
        );
    }
    world.commit();
    let spring = world
        .render(&input(json!({"path": "hello-world-spring"})))
        .await
        .unwrap();
    assert_eq!(spring.manifests.len(), 3);
    assert!(spring.manifests.iter().all(|manifest| {
        manifest
            .locate("metadata.name")
            .is_some_and(|at| at.line > 1)
    }));
    assert_eq!(
        spring.manifests[2]
            .locate("metadata.nmaespace")
            .unwrap()
            .to_string(),
        "hello-world-spring/service.yaml:5"
    );
    assert_eq!(
        codes(&spring),
        ["lint.misnamed-kustomization hello-world-spring/kustomize:1"]
    );
    let flask = world
        .render(&input(json!({"path": "hello-world-flask"})))
        .await
        .unwrap();
    assert_eq!(
        codes(&flask)[1],
        "lint.image-override-unmatched hello-world-flask/kustomize:8"
    );
}

#[tokio::test]
async fn a_kustomization_is_built_by_the_library_with_the_applications_options() {
    let world = World::new();
    world
        .write("base/service.yaml", SERVICE)
        .write("base/deployment.yaml", DEPLOYMENT)
        .write("base/kustomization.yaml", KUSTOMIZATION)
        .write(
            "app/kustomization.yaml",
            "resources: [../base]\nnamespace: ${USER_IDENTITY}\nnameSuffix: -two\n",
        );
    world.commit();
    let options = json!({"images": ["nexus.example/test/hello:2.0.0"], "commonLabels": {"rev": "$ARGOCD_APP_NAME"},
        "replicas": [{"name": "hello", "count": "3"}]});
    let rendered = world
        .render(&input(
            json!({"repoURL": "x", "path": "app", "kustomize": options}),
        ))
        .await
        .unwrap();
    assert_eq!(rendered.source_type, SourceType::Kustomize);
    let deployment = rendered
        .manifests
        .iter()
        .find(|manifest| manifest.key().kind == "Deployment")
        .unwrap();
    assert_eq!(
        deployment.key().to_string(),
        "apps/Deployment user01/hello-two"
    );
    assert_eq!(deployment.object.pointer("/spec/replicas"), Some(&json!(3)));
    let image = deployment
        .object
        .pointer("/spec/template/spec/containers/0/image");
    assert_eq!(image, Some(&json!("nexus.example/test/hello:2.0.0")));
    assert_eq!(
        deployment.object.pointer("/metadata/labels/rev"),
        Some(&json!("app"))
    );
    assert_eq!(
        deployment.object.pointer("/metadata/annotations"),
        None,
        "the origin is taken out again"
    );
    assert_eq!(
        deployment.locate("metadata.namespace").unwrap().to_string(),
        "base/deployment.yaml:5"
    );
    assert_eq!(
        codes(&rendered),
        ["lint.image-override-unmatched base/kustomization.yaml:7"]
    );
}

#[tokio::test]
async fn every_object_of_a_kustomization_has_its_own_file_though_others_have_its_name() {
    let world = World::new();
    let service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n";
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n";
    for base in ["a", "b"] {
        world
            .write(&format!("{base}/service.yaml"), service)
            .write(&format!("{base}/settings.yaml"), settings)
            .write(
                &format!("{base}/kustomization.yaml"),
                &format!(
                    "namePrefix: {base}-\nresources: [service.yaml, settings.yaml]\nconfigMapGenerator:\n- name: made\n  \
                     literals: [a=b]\n"
                ),
            );
    }
    world.write("both/kustomization.yaml", "resources: [../a, ../b]\n");
    world.commit();
    for path in ["a", "b", "both"] {
        let rendered = world.render(&input(json!({"path": path}))).await.unwrap();
        for manifest in &rendered.manifests {
            let key = manifest.key();
            let (base, name) = key.name.split_once('-').unwrap();
            let file = match (key.kind.as_str(), name) {
                ("Service", _) => "service.yaml:1",
                (_, "settings") => "settings.yaml:1",
                _ => "kustomization.yaml",
            };
            assert_eq!(
                manifest.location.as_ref().unwrap().to_string(),
                format!("{base}/{file}"),
                "{path}: {key}"
            );
        }
    }
}

#[tokio::test]
async fn a_kustomization_cannot_reach_out() {
    let world = World::new();
    let cases = [
        (
            "resources: [https://example.com/a.yaml]\n",
            "source.web-file",
        ),
        (
            "resources:\n- github.com/a/b?ref=main\n",
            "source.kustomize-remote",
        ),
        (
            "configMapGenerator:\n- name: a\n  files: [a=https://example.com/x]\n",
            "source.kustomize-remote",
        ),
        ("helmCharts:\n- name: x\n", "source.kustomize-helm-off"),
        (
            "transformers:\n- |-\n  apiVersion: v1\n  kind: X\n  metadata:\n    name: x\n    annotations:\n      config.kubernetes.io/function: 'exec: {path: /bin/sh}'\n",
            "source.kustomize-refused",
        ),
        ("resources: [../../../etc/passwd]\n", "source.path-outside"),
        (
            "resources: [missing.yaml]\n",
            "source.kustomize-resource-missing",
        ),
        (
            "images:\n- name: a\n  newTag: 20240101\n",
            "lint.tag-is-number",
        ),
        ("nonsense: true\n", "source.kustomize-field"),
        ("resources: [a\nb: c\n", "source.kustomize-failed"),
    ];
    for (content, code) in cases {
        world.write("app/kustomization.yaml", content).commit();
        let error = world
            .render(&input(json!({"path": "app"})))
            .await
            .unwrap_err();
        assert_eq!(error.cause().message.code, code, "{content}: {error}");
    }
    // The worker that was given all this still works.
    world
        .write("app/kustomization.yaml", "resources: [a.yaml]\n")
        .write("app/a.yaml", SERVICE)
        .commit();
    assert_eq!(
        world
            .render(&input(json!({"path": "app"})))
            .await
            .unwrap()
            .manifests
            .len(),
        1
    );
}

#[tokio::test]
async fn a_read_set_holds_until_something_that_was_read_changes() {
    let world = World::new();
    world
        .write("base/service.yaml", SERVICE)
        .write("base/kustomization.yaml", "resources: [service.yaml]\n")
        .write("app/kustomization.yaml", "resources: [../base]\n")
        // Beside what is read, and shown to the worker with it.
        .write("base/unread.yaml", "${VM_NAME}")
        .write("README.md", "one");
    world.commit();
    let mut asked = input(json!({"path": "app"}));
    let rendered = world.render(&asked).await.unwrap();
    asked.variables.insert("VM_NAME".into(), "other".into());
    world
        .write("README.md", "two")
        .write("base/notes.txt", "x")
        .commit();
    assert!(
        world.holds(&rendered, &asked).await,
        "nothing that counts has changed"
    );
    let mut other = asked.clone();
    other.app_name = "other".into();
    assert!(
        world.holds(&rendered, &other).await,
        "another application of the same source"
    );
    other
        .variables
        .insert("USER_IDENTITY".into(), "user02".into());
    assert!(
        !world.holds(&rendered, &other).await,
        "another value of a variable that was used"
    );
    world
        .write(
            "app/.argocd-source-app.yaml",
            "kustomize: {namePrefix: x-}\n",
        )
        .commit();
    assert!(
        !world.holds(&rendered, &asked).await,
        "a look-up that found nothing finds something"
    );
    assert_eq!(
        world.render(&asked).await.unwrap().manifests[0].key().name,
        "x-hello-spring-svc"
    );
    world.git(&["rm", "--quiet", "app/.argocd-source-app.yaml"]);
    world.commit();
    assert!(world.holds(&rendered, &asked).await);
    world
        .write("base/service.yaml", &SERVICE.replace("8080", "8081"))
        .commit();
    assert!(!world.holds(&rendered, &asked).await, "a file changed");
}

#[tokio::test]
async fn a_chart_depends_on_no_more_of_the_cluster_than_it_asks() {
    let world = World::new();
    let asking = |text: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  v: {{{{ {text} | quote }}}}\n"
        )
    };
    let cluster = |version: &str, apis: &[&str]| {
        let apis = apis.iter().map(|api| (*api).to_owned()).collect();
        let target = Target::new(version.to_owned(), apis);
        RenderInput {
            target,
            ..input(json!({"path": "app"}))
        }
    };
    let first = cluster("v1.34.1", &["x/v1"]);
    let (newer, more, other) = (
        cluster("v1.35.0", &["x/v1"]),
        cluster("v1.34.1", &["x/v1", "y/v1"]),
        cluster("v1.34.1", &["y/v1"]),
    );
    world.write(
        "app/Chart.yaml",
        "apiVersion: v2\nname: c\nversion: 1.0.0\n",
    );
    for (text, value, holds) in [
        ("1", "1", [true, true, true]),
        (".Capabilities.KubeVersion.Minor", "34", [false, true, true]),
        (
            ".Capabilities.APIVersions.Has \"x/v1\"",
            "true",
            [true, true, false],
        ),
        (
            "has \"x/v1\" .Capabilities.APIVersions",
            "true",
            [true, false, false],
        ),
    ] {
        world.write("app/templates/a.yaml", &asking(text)).commit();
        let rendered = world.render(&first).await.unwrap();
        assert_eq!(rendered.manifests[0].object["data"]["v"], value, "{text}");
        for (input, expected) in [&newer, &more, &other].into_iter().zip(holds) {
            let held = world.holds(&rendered, input).await;
            assert_eq!(held, expected, "{text}, {:?}", input.target);
        }
    }
}

#[tokio::test]
async fn directories_are_read_as_argo_cd_reads_them() {
    let world = World::new();
    world
        .write("app/b.yml", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: one}\n- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    name: two\n")
        .write("app/a.json", "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"zero\"}}")
        .write("app/values.yaml", "some: values\n")
        .write("app/skipped.yaml", "# +argocd:skip-file-rendering\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: skipped}\n")
        .write("app/sub/c.yaml", "# nothing\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: three}\n---\n")
        .write("app/README.md", "kind: no\n");
    std::os::unix::fs::symlink("sub/c.yaml", world.work().join("app/link.yaml")).unwrap();
    world.commit();
    let names = async |source: Value| -> Vec<String> {
        let rendered = world.render(&input(source)).await.unwrap();
        rendered
            .manifests
            .iter()
            .map(|manifest| manifest.key().name)
            .collect()
    };
    assert_eq!(
        names(json!({"path": "app"})).await,
        ["zero", "one", "two", "three"]
    );
    assert_eq!(
        names(json!({"path": "app", "directory": {"recurse": true}})).await,
        ["zero", "one", "two", "three", "three"]
    );
    assert_eq!(
        names(json!({"path": "app", "directory": {"include": "{a,s}*", "recurse": true}})).await,
        ["zero", "three"]
    );
    assert_eq!(
        names(json!({"path": "app", "directory": {"exclude": "*.y*ml"}})).await,
        ["zero"]
    );
    let rendered = world.render(&input(json!({"path": "app"}))).await.unwrap();
    assert_eq!(
        rendered.manifests[2]
            .locate("metadata.name")
            .unwrap()
            .to_string(),
        "app/b.yml:10"
    );
    assert_eq!(
        rendered.manifests[3].location.as_ref().unwrap().to_string(),
        "app/sub/c.yaml:3"
    );
}

#[tokio::test]
async fn files_of_any_name_are_read_where_the_names_do_not_count() {
    let map = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
    let jsonnet = "{apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: 'evaluated'}}\n";
    let world = World::new();
    world
        .write("app/a.yaml", &map("plain"))
        .write("app/b.yaml.sealed", &map("sealed"))
        .write("app/c", &map("bare"))
        .write("app/d.jsonnet", jsonnet)
        .write(
            "app/e.json.txt",
            "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"flow\"}}",
        )
        .write("app/README.md", "# Read me\n\nA page: of words\n")
        .write("app/LICENSE", "Everybody may\n\tdo anything: [\n")
        .write(
            "app/skipped.txt",
            &format!("# +argocd:skip-file-rendering\n{}", map("skipped")),
        )
        .write("app/sub/f.tpl", &map("below"));
    let picture = world.work().join("app/picture.png");
    std::fs::write(picture, [0x89, b'P', b'N', b'G', 0, 0xFF]).unwrap();
    world.commit();
    let names = async |directory: Value| -> Vec<String> {
        let source = json!({"path": "app", "directory": directory});
        let rendered = world.render(&input(source)).await.unwrap();
        let manifests = rendered.manifests.iter();
        manifests.map(|manifest| manifest.key().name).collect()
    };
    let usual = ["plain", "evaluated"];
    assert_eq!(names(json!({"include": "*"})).await, usual);
    let off = json!({"disableExtensionFilter": false});
    assert_eq!(names(off).await, usual);
    let cases: [(Value, &[&str]); 5] = [
        (json!({}), &["plain", "sealed", "bare", "evaluated", "flow"]),
        (
            json!({"recurse": true}),
            &["plain", "sealed", "bare", "evaluated", "flow", "below"],
        ),
        (json!({"include": "*.yaml.sealed"}), &["sealed"]),
        (json!({"exclude": "{*.sealed,c,*.txt}"}), &usual),
        (
            json!({"include": "{*.yaml,*.yaml.sealed}", "exclude": "a*"}),
            &["sealed"],
        ),
    ];
    for (mut directory, expected) in cases {
        directory["disableExtensionFilter"] = json!(true);
        assert_eq!(names(directory.clone()).await, expected, "{directory}");
    }

    // What is rendered with it is kept apart from what is without.
    let key = |directory: Value| input(json!({"path": "app", "directory": directory})).source_key();
    assert_ne!(
        key(json!({"include": "*"})),
        key(json!({"include": "*", "disableExtensionFilter": true}))
    );

    // What looks like a manifest has to be one, whatever it is called.
    let broken = format!("{}data: [\n", map("broken"));
    world.write("broken/notes.txt", &broken).commit();
    let source = json!({"path": "broken", "directory": {"disableExtensionFilter": true}});
    let error = world.render(&input(source)).await.unwrap_err();
    assert_eq!(error.cause().message.code, "source.yaml-broken");
    let at = error.cause().location.as_ref().map(|at| at.path.as_str());
    assert_eq!(at, Some("broken/notes.txt"));
    let mut bytes = map("latin").into_bytes();
    bytes.extend(b"# caf\xe9\n");
    std::fs::write(world.work().join("broken/notes.txt"), bytes).unwrap();
    world.commit();
    let source = json!({"path": "broken", "directory": {"disableExtensionFilter": true}});
    let error = world.render(&input(source)).await.unwrap_err();
    assert_eq!(error.cause().message.code, "source.not-text");
}

#[tokio::test]
async fn a_charts_placeholders_are_replaced_and_its_failures_point_at_what_to_edit() {
    let world = World::new();
    world
        .write("chart/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n")
        .write("chart/values.yaml", "host: ${USER_IDENTITY}.example.com\n")
        .write(
            "chart/templates/a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${USER_IDENTITY}\n  namespace: {{ .Release.Namespace }}\ndata:\n  host: {{ required \"set host\" .Values.host }}\n",
        );
    world.commit();
    let rendered = world
        .render(&input(json!({"path": "chart"})))
        .await
        .unwrap();
    assert_eq!(rendered.source_type, SourceType::Helm);
    let made = &rendered.manifests[0];
    assert_eq!(
        made.object,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "user01", "namespace": "user01"}, "data": {"host": "user01.example.com"}})
    );
    let path = made.location.as_ref().map(|at| at.path.as_str());
    assert_eq!(path, Some("chart/templates/a.yaml"));

    for (helm, code, place) in [
        (
            json!({"valueFiles": ["prod.yaml"]}),
            "source.option-file-missing",
            "spec.source.helm.valueFiles",
        ),
        (
            json!({"valueFiles": ["../../prod.yaml"]}),
            "source.path-outside",
            "",
        ),
        (
            json!({"valueFiles": ["https://example.com/v.yaml"]}),
            "source.web-file",
            "",
        ),
        (
            json!({"valueFiles": ["$other/v.yaml"]}),
            "source.reference-without-any",
            "spec.source.helm.valueFiles",
        ),
        (
            json!({"version": "v9"}),
            "source.option-refused",
            "spec.source.helm.version",
        ),
        (
            json!({"parameters": [{"name": "host", "value": ""}]}),
            "source.helm-failed",
            "chart/templates/a.yaml:7",
        ),
    ] {
        let asked = input(json!({"path": "chart", "helm": helm}));
        let error = world.render(&asked).await.unwrap_err();
        let cause = error.cause();
        let field = cause.field.clone();
        let at = cause.location.as_ref().map(ToString::to_string);
        assert_eq!(
            (
                cause.message.code.as_str(),
                field.or(at).unwrap_or_default().as_str()
            ),
            (code, place)
        );
    }
}

#[tokio::test]
async fn bad_input_is_a_typed_cause_at_its_place() {
    let world = World::new();
    world
        .write(
            "broken/a.yaml",
            "apiVersion: v1\nkind: X\nmetadata:\n  name: [\n",
        )
        .write(
            "app/app.yaml",
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: x}\n",
        )
        .write("chart/Chart.yaml", "name: x\n")
        .write("two/a.yaml", "kind: X\n");
    std::os::unix::fs::symlink("../../../etc/passwd", world.work().join("two/b.yaml")).unwrap();
    world.commit();
    for (source, code, kind) in [
        (
            json!({"path": "broken"}),
            "source.yaml-broken",
            Kind::Invalid,
        ),
        (
            json!({"path": "app"}),
            "source.application-not-supported",
            Kind::Unsupported,
        ),
        (
            json!({"path": "chart"}),
            "source.helm-failed",
            Kind::Invalid,
        ),
        (
            json!({"path": "gone"}),
            "source.path-missing",
            Kind::NotFound,
        ),
        (
            json!({"path": "../x"}),
            "source.path-outside",
            Kind::Invalid,
        ),
        (json!({"path": "two"}), "source.path-outside", Kind::Invalid),
        (
            json!({"path": "broken/a.yaml"}),
            "source.path-not-folder",
            Kind::Invalid,
        ),
        (
            json!({"path": "app", "helm": {}, "directory": {}}),
            "source.several-tools",
            Kind::Invalid,
        ),
    ] {
        let error = world.render(&input(source.clone())).await.unwrap_err();
        assert_eq!(
            (error.cause().message.code.as_str(), error.kind()),
            (code, kind),
            "{source}"
        );
    }
    let error = world
        .render(&input(json!({"path": "broken"})))
        .await
        .unwrap_err();
    let at = error.cause().location.as_ref().unwrap();
    assert!(at.path == "broken/a.yaml" && at.line >= 4, "{at}");
}

#[tokio::test]
async fn revisions_resolve_and_a_damaged_mirror_is_fetched_anew() {
    let world = World::new();
    let first = world.write("a/x.yaml", SERVICE).commit();
    world.git(&["tag", "--annotate", "v1.2.0", "--message", "one"]);
    let second = world.write("a/y.yaml", DEPLOYMENT).commit();
    world.git(&["update-ref", "refs/merge/1", &first]);
    let (access, mirrors) = (world.access(), &world.mirrors);
    for (revision, commit) in [
        ("", &second),
        ("main", &second),
        ("v1.2.0", &first),
        ("1.x", &first),
        (&first[..8], &first),
        ("refs/merge/1", &first),
    ] {
        assert_eq!(
            &mirrors.resolve(&access, revision, true).await.unwrap(),
            commit,
            "{revision}"
        );
    }
    let error = mirrors.resolve(&access, "gone", true).await.unwrap_err();
    assert_eq!(error.cause().message.code, "source.revision-not-found");
    // Behind a prefix are other versions than without one, and nothing else.
    world.git(&["tag", "app/v1.9.0", &second]);
    for (tag_prefix, revision, commit) in [
        ("", "1.x", &first),
        ("app/", "1.x", &second),
        ("app/v", "1.9.0", &second),
        ("app/", "v1.9.0", &second),
        ("app/", "", &second),
        ("app/", "main", &second),
        ("app/", first.as_str(), &first),
    ] {
        let target = revision::Target {
            revision,
            tag_prefix,
        };
        let found = mirrors.resolve(&access, target, true).await.unwrap();
        assert_eq!(&found, commit, "{tag_prefix} {revision}");
    }
    world.git(&["tag", "--delete", "app/v1.9.0"]);
    let metadata = mirrors.commit_metadata(&access, &first).await.unwrap();
    assert_eq!(
        (
            metadata.author.as_str(),
            metadata.tags,
            metadata.message.as_str()
        ),
        (
            "A Tester <tester@example.com>",
            vec!["v1.2.0".to_owned()],
            "change"
        )
    );

    let packs: Vec<PathBuf> = walk(&world.folder.path().join("data/mirrors"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "pack"))
        .collect();
    assert!(!packs.is_empty());
    for pack in packs {
        std::fs::remove_file(&pack).unwrap();
        std::fs::write(&pack, b"rubbish").unwrap();
    }
    let fresh = Mirrors::new(
        world.folder.path().join("data"),
        Limits::default(),
        here(),
        Sandbox::new(None),
        None,
    )
    .unwrap();
    let renderer = Renderer::new(
        fresh,
        WorkerPool::new(Sandbox::new(None), renderer(), WorkerLimits::default()),
    );
    let rendered = renderer
        .render(&access, &second, &input(json!({"path": "a"})))
        .await
        .unwrap();
    assert_eq!(rendered.manifests.len(), 2);
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_said_so() {
    let world = World::new();
    let access = Access::new(
        "tenant",
        "",
        "file:///nowhere/at/all",
        Login::default(),
        Rules { files: true },
    )
    .unwrap();
    let error = world.mirrors.list_refs(&access, true).await.unwrap_err();
    assert_eq!(
        error.cause().message.code,
        "source.repository-not-found",
        "{error}"
    );
    let access = Access::new(
        "tenant",
        "",
        "http://127.0.0.1:1/x.git",
        Login::default(),
        Rules::default(),
    )
    .unwrap();
    let error = world.mirrors.list_refs(&access, true).await.unwrap_err();
    assert_eq!(
        (error.cause().message.code.as_str(), error.kind()),
        ("source.unreachable", Kind::Unreachable),
        "{error}"
    );
}

/// This machine is where the tests' servers are.
fn here() -> Egress {
    Egress {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        ..Egress::default()
    }
}

#[tokio::test]
async fn s13_what_a_name_leads_to_decides_and_redirects_lead_nowhere() {
    let folder = TempDir::new().unwrap();
    // A server that sends everybody to the clouds' metadata, and counts who came.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = came.clone();
    #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/x/info/refs\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let mirrors = |egress, name: &str| {
        Mirrors::new(
            folder.path().join(name),
            Limits::default(),
            egress,
            Sandbox::new(None),
            None,
        )
        .unwrap()
    };
    let usual = mirrors(Egress::default(), "usual");
    let allowed = mirrors(here(), "allowed");
    let access =
        |url: String| Access::new("tenant", "", &url, Login::default(), Rules::default()).unwrap();
    let code = |error: source::Error| error.cause().message.code.clone();
    for host in ["127.0.0.1", "localhost", "[::ffff:7f00:1]"] {
        let access = access(format!("http://{host}:{port}/x.git"));
        let listed = usual.list_refs(&access, true).await.unwrap_err();
        assert_eq!(code(listed), "source.address-not-allowed", "{host}");
        let fetched = usual
            .ensure_commit(&access, &"a".repeat(40))
            .await
            .unwrap_err();
        assert_eq!(code(fetched), "source.address-not-allowed", "{host}");
    }
    let by_ssh = access(format!("ssh://git@localhost:{port}/x.git"));
    assert_eq!(
        code(usual.list_refs(&by_ssh, true).await.unwrap_err()),
        "source.address-not-allowed"
    );
    assert_eq!(
        came.load(std::sync::atomic::Ordering::SeqCst),
        0,
        "nobody was connected to"
    );
    let access = access(format!("http://localhost:{port}/x.git"));
    assert_eq!(
        code(allowed.list_refs(&access, true).await.unwrap_err()),
        "source.moved"
    );
    assert!(
        allowed
            .ensure_commit(&access, &"a".repeat(40))
            .await
            .is_err()
    );
    assert!(came.load(std::sync::atomic::Ordering::SeqCst) >= 2);
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .flat_map(|entry| {
            if entry.path().is_dir() {
                walk(&entry.path())
            } else {
                vec![entry.path()]
            }
        })
        .collect()
}
