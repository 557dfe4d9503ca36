//! What people write wrong in their sources, and what they are told: which field or file to edit, at which line, and how.

use std::collections::BTreeMap;

use domain::cause::Cause;
use domain::message::Language;
use domain::revision::Target;
use domain::settings::{BuildOptions, Rendering};
use serde_json::{Value, json};
use source::git::{Access, Login, Place, Rules};
use source::render::RenderInput;
use testkit::charts::{Reply, Site};

use crate::references::Other;
use crate::{World, codes, input};

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
const CHART: &str = "apiVersion: v2\nname: web\nversion: 1.0.0\n";

/// `code field file:line`, what is not said left out.
fn told(cause: &Cause) -> String {
    let at = cause.location.as_ref().map(ToString::to_string);
    let code = cause.message.code.clone();
    let parts = [Some(code), cause.field.clone(), at];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The whole of it, as a reader of English gets it.
fn text(cause: &Cause) -> String {
    cause.render(Language::English)
}

async fn failed(world: &World, input: &RenderInput) -> Cause {
    let error = world.render(input).await.unwrap_err();
    error.cause().clone()
}

/// What is told of a source, and the whole text of it.
async fn refused(world: &World, source: Value) -> (String, String) {
    let cause = failed(world, &input(source)).await;
    (told(&cause), text(&cause))
}

#[tokio::test]
async fn another_kustomize_is_refused_by_the_field_that_asks_for_it() {
    let world = World::new();
    world
        .write("app/kustomization.yaml", "resources: [a.yaml]\n")
        .write("app/a.yaml", CONFIG_MAP)
        .write("own/kustomization.yaml", "resources: [a.yaml]\n")
        .write("own/a.yaml", CONFIG_MAP)
        .write(
            "own/.argocd-source.yaml",
            "kustomize:\n  namePrefix: x-\n  version: v4.5.7\n",
        );
    world.commit();
    let source = json!({"path": "app", "kustomize": {"version": "v4.5.7"}});
    let (told, text) = refused(&world, source).await;
    assert_eq!(
        told,
        "source.kustomize-version spec.source.kustomize.version"
    );
    assert!(text.contains("v4.5.7") && text.contains("v5.8.2"), "{text}");
    for version in ["v5.8.2", "5.8.2", ""] {
        let source = json!({"path": "app", "kustomize": {"version": version}});
        let rendered = world.render(&input(source)).await.unwrap();
        assert_eq!(rendered.manifests.len(), 1);
    }
    // It is the repository's own file that asks for it.
    let (told, _) = refused(&world, json!({"path": "own"})).await;
    assert_eq!(
        told,
        "source.kustomize-version spec.source.kustomize.version own/.argocd-source.yaml:3"
    );
}

#[tokio::test]
async fn a_dependency_that_cannot_be_had_is_told_at_its_own_line() {
    let world = World::new();
    let site = Site::start(None).await.unwrap();
    let index = "entries:\n  db:\n  - {version: 1.2.0, urls: [db.tgz]}\n  - {version: 1.10.0, urls: [db.tgz]}\n  \
                 - {version: 0.9.0, urls: [db.tgz]}\n";
    site.put("/index.yaml", Reply::File(index.as_bytes().to_vec()));
    let place = Place::Charts {
        registry: false,
        without_tls: false,
    };
    let login = Login::default();
    let way = Access::at("tenant", "", &site.url, login, Rules::default(), place).unwrap();
    let mut dependencies = BTreeMap::from([(site.url.clone(), Some(way))]);
    dependencies.insert("https://closed.example".to_owned(), None);
    world
        .write(
            "lib/Chart.yaml",
            "apiVersion: v2\nname: lib\nversion: 0.3.0\n",
        )
        .write("empty/README.md", "no chart\n");
    let url = site.url.as_str();
    for (name, version, repository, code, words) in [
        ("dbb", "1.x", url, "chart.dependency-not-found", url),
        (
            "db",
            "2.x",
            url,
            "chart.dependency-version",
            "1.10.0, 1.2.0, 0.9.0",
        ),
        (
            "db",
            "2.0.0",
            url,
            "chart.dependency-version",
            "1.10.0, 1.2.0, 0.9.0",
        ),
        ("a b", "1.x", url, "chart.dependency-name", "`a b`"),
        (
            "gone",
            "1.x",
            "file://../gone",
            "chart.dependency-folder",
            "`gone`",
        ),
        (
            "empty",
            "1.x",
            "file://../empty",
            "chart.dependency-folder",
            "`empty`",
        ),
        (
            "lib",
            "1.x",
            "file://../lib",
            "chart.dependency-version",
            "newest are 0.3.0",
        ),
        (
            "db",
            "1.x",
            "https://closed.example",
            "chart.dependency-repository",
            "`db` comes from `https://closed.example`",
        ),
    ] {
        let own = format!("- name: {name}\n  version: {version:?}\n  repository: {repository}\n");
        world.write("web/Chart.yaml", &format!("{CHART}dependencies:\n{own}"));
        world.commit();
        let input = RenderInput {
            dependencies: dependencies.clone(),
            ..input(json!({"path": "web"}))
        };
        let cause = failed(&world, &input).await;
        assert_eq!(told(&cause), format!("{code} web/Chart.yaml:5"), "{name}");
        assert!(text(&cause).contains(words), "{}", text(&cause));
        assert!(!text(&cause).contains("spec.source"), "{}", text(&cause));
    }
    // In a chart of the first form they stand in a file of their own.
    world
        .write(
            "old/Chart.yaml",
            "apiVersion: v1\nname: old\nversion: 1.0.0\n",
        )
        .write(
            "old/requirements.yaml",
            "dependencies:\n- name: gone\n  version: 1.0.0\n  repository: file://../gone\n",
        );
    world.commit();
    let (told, _) = refused(&world, json!({"path": "old"})).await;
    assert_eq!(told, "chart.dependency-folder old/requirements.yaml:2");
}

#[tokio::test]
async fn a_folder_that_is_read_otherwise_than_it_looks_is_told() {
    let world = World::new();
    world
        .write("docs/README.md", "# nothing\n")
        .write("docs/values.yaml", "a: 1\n")
        .write("docs/more/a.yaml", CONFIG_MAP)
        .write("nochart/values.yaml", "a: 1\n")
        .write("nochart/templates/a.yaml", "a: {{ .Values.a }}\n")
        .write("both/Chart.yaml", CHART)
        .write("both/templates/a.yaml", CONFIG_MAP)
        .write("both/kustomization.yaml", "resources: [templates/a.yaml]\n")
        .write("fine/a.yaml", CONFIG_MAP);
    world.commit();
    let render = async |source: Value| world.render(&input(source)).await.unwrap();
    let empty = render(json!({"path": "docs"})).await;
    assert_eq!(told(&empty.causes[0]), "lint.no-manifests spec.source.path");
    let said = text(&empty.causes[0]);
    assert!(
        said.contains("here are `README.md`, `more/`, `values.yaml`"),
        "{said}"
    );
    let found = render(json!({"path": "docs", "directory": {"recurse": true}})).await;
    assert_eq!(codes(&found), [""; 0]);
    // One reason is enough.
    let left_out = json!({"path": "fine", "directory": {"include": "["}});
    assert_eq!(codes(&render(left_out).await), ["lint.bad-pattern "]);

    let nochart = "lint.templates-without-chart nochart/Chart.yaml";
    assert_eq!(codes(&render(json!({"path": "nochart"})).await), [nochart]);
    let deep = input(json!({"path": "nochart", "directory": {"recurse": true}}));
    let broken = world.render(&deep).await;
    let broken = match broken {
        Ok(rendered) => rendered.causes.iter().map(told).collect(),
        Err(error) => error.causes().map(told).collect::<Vec<_>>(),
    };
    assert!(broken.iter().any(|one| one == nochart), "{broken:?}");

    let both = render(json!({"path": "both"})).await;
    assert_eq!(
        codes(&both),
        ["lint.chart-beside-kustomization both/Chart.yaml"]
    );
    assert!(
        text(&both.causes[0]).contains("Kustomize builds it"),
        "{both:?}"
    );
    let said = render(json!({"path": "both", "helm": {"releaseName": "x"}})).await;
    assert_eq!(codes(&said), [""; 0]);
}

#[tokio::test]
async fn what_is_wrong_in_a_repositorys_own_options_is_told_at_their_file() {
    let world = World::new();
    world
        .write("web/Chart.yaml", CHART)
        .write("web/templates/a.yaml", CONFIG_MAP);
    let own = |name: &str, text: &str| {
        for name in [".argocd-source.yaml", ".argocd-source-app.yaml"] {
            let _ = std::fs::remove_file(world.work().join("web").join(name));
        }
        world.write(&format!("web/{name}"), text);
        world.commit();
    };
    let all = ".argocd-source.yaml";
    for (name, options, expected, words) in [
        (
            all,
            "kustomize:\n  images: nginx\n",
            "source.options-invalid spec.source.kustomize.images web/.argocd-source.yaml:2",
            "expected a sequence",
        ),
        (
            ".argocd-source-app.yaml",
            "helm:\n  releaseName: a\n  valueFiles:\n    prod.yaml: 1\n",
            "source.options-invalid spec.source.helm.valueFiles web/.argocd-source-app.yaml:3",
            "expected a sequence",
        ),
        (
            all,
            "helm:\n  valueFiles:\n  - prod.yaml\n",
            "source.option-file-missing spec.source.helm.valueFiles web/.argocd-source.yaml:2",
            "`web/prod.yaml`",
        ),
        (
            all,
            "helm: [\n",
            "source.yaml-broken web/.argocd-source.yaml:2",
            "",
        ),
        (
            all,
            "# A list of fields.\n- helm\n- kustomize\n",
            "source.options-invalid web/.argocd-source.yaml:2",
            "expected a map of fields",
        ),
    ] {
        own(name, options);
        let (told, text) = refused(&world, json!({"path": "web"})).await;
        assert_eq!(told, expected);
        assert!(text.contains(words), "{text}");
    }
    // What the application's own spec says is wrong there.
    own(all, "helm: {releaseName: a}\n");
    let source = json!({"path": "web", "helm": {"valueFiles": ["prod.yaml"]}});
    let (told, _) = refused(&world, source).await;
    assert_eq!(
        told,
        "source.option-file-missing spec.source.helm.valueFiles"
    );

    own(
        all,
        "helm:\n  valuesFiles: [a.yaml]\n  colour: red\npath: other\nhlem:\n  values: x\n",
    );
    let rendered = world.render(&input(json!({"path": "web"}))).await.unwrap();
    let mut found = codes(&rendered);
    found.sort();
    assert_eq!(
        found,
        [
            "lint.options-file-field web/.argocd-source.yaml:3",
            "lint.options-file-field web/.argocd-source.yaml:4",
            "lint.options-file-field-similar web/.argocd-source.yaml:2",
            "lint.options-file-field-similar web/.argocd-source.yaml:5",
        ]
    );
    let said: Vec<String> = rendered.causes.iter().map(text).collect();
    let said = said.join("\n");
    for words in [
        "`valueFiles`?",
        "`helm`?",
        "`path` has no effect",
        "(helm.colour, ",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }

    // The items of a list have fields too.
    let patches = "kustomize:\n  patches:\n  - target: {kind: ConfigMap}\n    patch: |\n      - {op: remove, path: /data}\n  \
                   - traget:\n      kind: ConfigMap\n    patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}'\n  - target:\n      \
                   nmae: a\n    patch: '[{\"op\": \"add\", \"path\": \"/metadata/labels\", \"value\": {\"a\": \"b\"}}]'\n    options: {anything: true}\n";
    world
        .write("kept/kustomization.yaml", "resources: [a.yaml]\n")
        .write("kept/a.yaml", &format!("{CONFIG_MAP}data: {{a: b}}\n"))
        .write("kept/.argocd-source.yaml", patches);
    world.commit();
    let rendered = world.render(&input(json!({"path": "kept"}))).await.unwrap();
    let mut found = codes(&rendered);
    found.sort();
    assert_eq!(
        found,
        [
            "lint.options-file-field-similar kept/.argocd-source.yaml:10",
            "lint.options-file-field-similar kept/.argocd-source.yaml:6",
        ]
    );
}

#[tokio::test]
async fn paths_and_ranges_that_name_nothing_say_what_would() {
    let world = World::new();
    world.write("web/a.yaml", CONFIG_MAP).commit();
    for (path, relative) in [("/web", "`web`"), ("//web/", "`web`"), ("/", "`.`")] {
        let (told, text) = refused(&world, json!({"path": path})).await;
        assert_eq!(told, "source.path-absolute spec.source.path");
        assert!(text.contains(relative), "{text}");
    }
    for tag in ["v1.2.0", "v1.10.0", "1.9.0", "nightly"] {
        world.git(&["tag", tag]);
    }
    let resolve = async |revision: &str| {
        let resolved = world.mirrors.resolve(&world.access(), revision, true).await;
        resolved.unwrap_err().cause().clone()
    };
    let none = resolve("^2").await;
    assert_eq!(told(&none), "source.range-unmatched");
    let said = text(&none);
    assert!(said.contains("are v1.10.0, 1.9.0, v1.2.0."), "{said}");
    assert_eq!(told(&resolve("v3").await), "source.revision-not-found");
}

#[tokio::test]
async fn a_prefix_that_no_tag_has_or_can_have_is_told_as_what_is_wrong() {
    let world = World::new();
    let access = world.access();
    world.write("web/a.yaml", CONFIG_MAP).commit();
    let resolve = async |tag_prefix: &str, revision: &str| {
        let target = Target {
            revision,
            tag_prefix,
        };
        let resolved = world.mirrors.resolve(&access, target, true).await;
        resolved.unwrap_err().cause().clone()
    };
    let none = resolve("web/", "*").await;
    assert_eq!(told(&none), "source.tag-prefix-unmatched");
    assert!(text(&none).contains("its tags are -."), "{}", text(&none));
    for tag in ["web/v1.2.0", "web/v1.10.0", "web/nightly", "db-2.0.0"] {
        world.git(&["tag", tag]);
    }
    for revision in ["^1", "v1.2.0"] {
        let none = resolve("wed/", revision).await;
        assert_eq!(told(&none), "source.tag-prefix-unmatched", "{revision}");
        let said = text(&none);
        let tags = "its tags are db-2.0.0, web/nightly, web/v1.10.0, web/v1.2.0.";
        assert!(said.contains("`wed/`") && said.contains(tags), "{said}");
    }
    let none = resolve("web/", "^2").await;
    assert_eq!(told(&none), "source.prefixed-range-unmatched");
    let said = text(&none);
    assert!(
        said.contains("behind `web/` are v1.10.0, v1.2.0."),
        "{said}"
    );
    // The tag of that name is said, which is not there.
    let none = resolve("web/", "v1.3.0").await;
    assert_eq!(told(&none), "source.revision-not-found");
    assert!(text(&none).contains("`web/v1.3.0`"), "{}", text(&none));
    let none = resolve("web/", "gone").await;
    assert_eq!(told(&none), "source.revision-not-found");
    assert!(text(&none).contains("`gone`"), "{}", text(&none));
}

#[tokio::test]
async fn what_helm_cannot_read_is_told_at_its_file() {
    let world = World::new();
    world
        .write("chart/Chart.yaml", "apiVersion: v2\nname: [\n")
        .write("noversion/Chart.yaml", "apiVersion: v2\nname: web\n")
        .write("nochart/values.yaml", "a: 1\n")
        .write("values/Chart.yaml", CHART)
        .write("values/values.yaml", "a: 1\nb: c: d\n")
        .write("prod/Chart.yaml", CHART)
        .write("prod/prod.yaml", "a: 1\nb: c: d\n")
        .write("schema/Chart.yaml", CHART)
        .write("schema/values.yaml", "replicas: two\n")
        .write(
            "schema/values.schema.json",
            r#"{"properties": {"replicas": {"type": "integer"}}}"#,
        )
        .write("badschema/Chart.yaml", CHART)
        .write("badschema/values.schema.json", "{\"type\": \n")
        .write("parent/Chart.yaml", CHART)
        .write(
            "parent/charts/sub/Chart.yaml",
            "apiVersion: v2\nname: sub\nversion: 1.0.0\n",
        )
        .write("parent/charts/sub/values.yaml", "a: [\n");
    world.commit();
    let helm = json!({"releaseName": "web"});
    for (path, helm, expected, words) in [
        ("chart", &helm, "chart/Chart.yaml:", "yaml: line"),
        (
            "noversion",
            &helm,
            "noversion/Chart.yaml",
            "version is required",
        ),
        ("nochart", &helm, "nochart/Chart.yaml", "is missing"),
        ("values", &helm, "values/values.yaml:2", "mapping values"),
        (
            "prod",
            &json!({"valueFiles": ["prod.yaml"]}),
            "prod/prod.yaml:2",
            "mapping values",
        ),
        ("schema", &helm, "schema/values.schema.json", "replicas"),
        ("badschema", &helm, "badschema/values.schema.json", ""),
        ("parent", &helm, "parent/charts/sub/values.yaml:", "sub"),
    ] {
        let (told, text) = refused(&world, json!({"path": path, "helm": helm})).await;
        let expected = format!("source.helm-failed {expected}");
        assert!(told.starts_with(&expected), "{told}: {text}");
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn what_a_kustomization_misspells_or_misses_is_told_by_its_line() {
    let world = World::new();
    world.write("app/a.yaml", CONFIG_MAP);
    for (written, place, words) in [
        (
            "resources: [a.yaml]\nnamePrefx: x-\n",
            "source.kustomize-field-similar app/kustomization.yaml:2",
            "`namePrefx` is not a field of a kustomization; did you mean `namePrefix`?",
        ),
        (
            "resource: [a.yaml]\n",
            "source.kustomize-field-similar app/kustomization.yaml:1",
            "did you mean `resources`?",
        ),
        (
            "resources:\n- a.yaml\nimages:\n- name: a\n  newTagg: \"1\"\n",
            "source.kustomize-field app/kustomization.yaml:5",
            "`newTagg` is not a field that a kustomization has there",
        ),
        (
            "namespace: x\nimages:\n- name: a\n  namespace: y\n",
            "source.kustomize-field app/kustomization.yaml:4",
            "`namespace` is not a field that a kustomization has there",
        ),
        (
            "commonLabels: {newTagg: a}\nimages:\n- name: a\n  newTagg: \"1\"\n",
            "source.kustomize-field app/kustomization.yaml:4",
            "`newTagg` is not a field that a kustomization has there",
        ),
        (
            "images:\n- name: a\npatches:\n- name: b\n",
            "source.kustomize-field app/kustomization.yaml",
            "`name` is not a field that a kustomization has there",
        ),
        (
            "# not cmm.yaml\nresources:\n- a.yaml\n- cmm.yaml\n",
            "source.kustomize-resource-missing app/kustomization.yaml:4",
            "`cmm.yaml`, named in resources, is not in the repository",
        ),
        (
            "resources: [../base]\n",
            "source.kustomize-resource-missing base/kustomization.yaml:2",
            "`gone`, named in resources, is not in the repository",
        ),
        (
            "resources: [a.yaml]\ncomponents:\n- ../parts\n",
            "source.kustomize-resource-missing app/kustomization.yaml:3",
            "`../parts`, named in components, is not in the repository",
        ),
    ] {
        world
            .write("app/kustomization.yaml", written)
            .write("base/kustomization.yaml", "resources:\n- gone\n")
            .commit();
        let (told, text) = refused(&world, json!({"path": "app"})).await;
        assert_eq!(told, place, "{text}");
        assert!(text.contains(words), "{text}");
        assert!(!text.contains("accumulat"), "{text}");
    }
}

#[tokio::test]
async fn what_a_kustomization_takes_and_is_there_is_not_said_to_be_missing() {
    let world = World::new();
    world
        .write("app/kustomization.yaml", "resources: [../base]\n")
        .write(
            "base/kustomization.yaml",
            "openapi: {path: gone.json}\nnamePrefix: x-\n",
        )
        .commit();
    let (told, text) = refused(&world, json!({"path": "app"})).await;
    assert_eq!(told, "source.kustomize-failed app/kustomization.yaml");
    assert!(text.contains("gone.json"), "{text}");
}

#[tokio::test]
async fn an_override_of_a_charts_image_is_not_called_useless() {
    let world = World::new();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - name: web\n    \
               image: \"{{ .Values.repository }}:1\"\n";
    world
        .write("app/charts/web/Chart.yaml", CHART)
        .write("app/charts/web/values.yaml", "repository: nginx\n")
        .write("app/charts/web/templates/pod.yaml", pod)
        .write(
            "app/kustomization.yaml",
            "helmCharts:\n- {name: web, releaseName: web}\nimages:\n- {name: nginx, newTag: \"2\"}\n",
        )
        .commit();
    let input = RenderInput {
        rendering: Rendering {
            build: BuildOptions::parse("--enable-helm").unwrap(),
            ..Rendering::default()
        },
        ..input(json!({"path": "app", "kustomize": {"images": ["nginx:3"]}}))
    };
    let rendered = world.render(&input).await.unwrap();
    let image = rendered.manifests[0]
        .object
        .pointer("/spec/containers/0/image");
    assert_eq!(image, Some(&json!("nginx:3")));
    assert_eq!(codes(&rendered), [""; 0]);
}

#[tokio::test]
async fn charts_in_a_kustomization_name_the_setting_that_they_need() {
    let world = World::new();
    world.write(
        "app/kustomization.yaml",
        "namePrefix: a-\nhelmCharts:\n- name: web\n",
    );
    world.commit();
    let (told, text) = refused(&world, json!({"path": "app"})).await;
    assert_eq!(told, "source.kustomize-helm-off app/kustomization.yaml:2");
    for words in ["kustomize.buildOptions", "--enable-helm", "argocd-cm"] {
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn what_stands_in_another_repository_is_named_as_people_know_it() {
    let world = World::new();
    let other = Other::new(&world, "other");
    other
        .write("base/a.yaml", CONFIG_MAP)
        .write(
            "base/kustomization.yaml",
            "resources: [a.yaml]\nimages:\n- name: gone\n  newTag: \"1\"\n",
        )
        .write(
            "tag/kustomization.yaml",
            "images:\n- name: gone\n  newTag: 20240101\n",
        )
        .write("charts/kustomization.yaml", "helmCharts:\n- name: web\n");
    let access = other.commit("other").access;
    let of = async |folder: &str| {
        let entry = format!("{}//{folder}?ref=main", other.url());
        let text = json!({"resources": [entry]}).to_string();
        world.write("app/kustomization.yaml", &text).commit();
        let input = RenderInput {
            remotes: vec![access.clone()],
            fresh: true,
            ..input(json!({"path": "app"}))
        };
        match world.render(&input).await {
            Ok(rendered) => rendered.causes.iter().map(told).collect::<Vec<_>>(),
            Err(error) => error.causes().map(told).collect(),
        }
    };
    let at = |place: &str| format!("{}//{place}", other.url());
    assert_eq!(
        of("base").await,
        [format!(
            "lint.image-override-without-images images[0].name {}",
            at("base/kustomization.yaml:3")
        )]
    );
    assert_eq!(
        of("tag").await,
        [format!(
            "lint.tag-is-number images[0].newTag {}",
            at("tag/kustomization.yaml:3")
        )]
    );
    assert_eq!(
        of("charts").await,
        [format!(
            "source.kustomize-helm-off {}",
            at("charts/kustomization.yaml:1")
        )]
    );
}

#[tokio::test]
async fn a_file_of_a_web_server_is_called_no_chart_repository() {
    let world = World::new();
    world
        .write("web/Chart.yaml", CHART)
        .write("web/templates/a.yaml", CONFIG_MAP);
    world.commit();
    let site = Site::start(None).await.unwrap();
    let url = format!("{}/values.yaml", site.url);
    let way = Access::new("tenant", "web", &url, Login::default(), Rules::default()).unwrap();
    let input = RenderInput {
        remotes: vec![way],
        ..input(json!({"path": "web", "helm": {"valueFiles": [url]}}))
    };
    let cause = failed(&world, &input).await;
    assert_eq!(told(&cause), "source.web-file");
    let said = text(&cause);
    assert!(said.contains("nothing at this address"), "{said}");
    assert!(!said.contains("chart"), "{said}");
}

#[tokio::test]
async fn a_patch_that_is_for_nothing_is_told_at_its_target() {
    let world = World::new();
    world
        .write("base/a.yaml", CONFIG_MAP)
        .write("base/kustomization.yaml", "resources: [a.yaml]\n")
        .write(
            "app/kustomization.yaml",
            "resources: [../base]\nnamePrefix: x-\npatches:\n- target: {kind: ConfigMap, name: a}\n  patch: '[{\"op\": \"add\", \"path\": \"/data\", \"value\": {\"k\": \"v\"}}]'\n- patch: '[{\"op\": \"remove\", \"path\": \"/data\"}]'\n  target:\n    kind: ConfigMap\n    name: b\n",
        );
    world.commit();
    let patch = json!({"patch": "[]", "target": {"kind": "Service"}});
    let source = json!({"path": "app", "kustomize": {"patches": [patch]}});
    let rendered = world.render(&input(source)).await.unwrap();
    let found: Vec<String> = rendered.causes.iter().map(told).collect();
    assert_eq!(
        found,
        [
            "lint.patch-unmatched patches[1].target app/kustomization.yaml:7",
            "lint.patch-unmatched spec.source.kustomize.patches[0].target",
        ]
    );
    let said = text(&rendered.causes[0]);
    assert!(
        said.contains("ConfigMap/b") && said.contains("ConfigMap/a"),
        "{said}"
    );
}
