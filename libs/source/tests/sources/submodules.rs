//! Submodules: what is in them is read as in a working copy, with a way of its own into each repository.

use serde_json::json;
use source::render::RenderInput;

use crate::references::Other;
use crate::{World, input};

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
}

fn names(rendered: &source::render::Rendered) -> Vec<String> {
    let objects = rendered.manifests.iter();
    let name = |object: &serde_json::Value| object["metadata"]["name"].as_str().map(str::to_owned);
    objects.filter_map(|one| name(&one.object)).collect()
}

/// Lets a commit stand at a path, as `git submodule add` does.
fn link(world: &World, path: &str, url: &str, commit: &str) {
    let file = world.work().join(".gitmodules");
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    let text = format!("{before}[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n");
    world.write(".gitmodules", &text);
    point(world, path, commit);
}

/// Lets another commit stand there.
fn point(world: &World, path: &str, commit: &str) {
    std::fs::create_dir_all(world.work().join(path)).unwrap();
    let entry = format!("160000,{commit},{path}");
    world.git(&["update-index", "--add", "--cacheinfo", &entry]);
}

fn asked(path: &str) -> RenderInput {
    let mut input = input(json!({"path": path, "directory": {"recurse": true}}));
    input.fresh = true;
    input
}

#[tokio::test]
async fn a_folder_with_a_submodule_is_read_as_a_working_copy_of_it() {
    let world = World::new();
    let (lib, inner) = (Other::new(&world, "lib"), Other::new(&world, "inner"));
    inner.write("i.yaml", &config_map("inner"));
    let inner_way = inner.commit("inner");
    lib.write("l.yaml", &config_map("lib")).write(
        ".gitmodules",
        "[submodule \"deep\"]\n\tpath = deep/er\n\turl = ../../inner/.git\n",
    );
    lib.link("deep/er", &inner_way.commit);
    let first = lib.commit("lib");
    world.write("app/a.yaml", &config_map("own"));
    link(&world, "app/lib", &lib.url(), &first.commit);
    world.commit();

    let mut input = asked("app");
    let asks = world.render(&input).await.unwrap_err();
    assert_eq!(asks.wanted(), [lib.url()]);
    let cause = asks.cause();
    assert_eq!(cause.message.code, "source.submodule");
    assert_eq!(cause.location.clone().unwrap().path, ".gitmodules");
    input.remotes.push(first.access);
    // Its own submodule, at an address that is relative to its own.
    let asks = world.render(&input).await.unwrap_err();
    assert_eq!(asks.wanted(), [inner.url()]);
    input.remotes.push(inner_way.access.clone());
    let rendered = world.render(&input).await.unwrap();
    assert_eq!(names(&rendered), ["own", "inner", "lib"]);
    let at = |at: usize| rendered.manifests[at].location.clone().unwrap().path;
    assert_eq!(at(1), "app/lib/deep/er/i.yaml");
    assert_eq!(at(2), "app/lib/l.yaml");
    let mut remotes = rendered.read_set.remotes();
    remotes.sort();
    assert_eq!(remotes, [inner.url(), lib.url()]);
    assert!(world.holds(&rendered, &input).await);

    // What is pushed there changes nothing before the commit that stands here does.
    lib.write("l.yaml", &config_map("moved"));
    let second = lib.commit("lib");
    assert!(world.holds(&rendered, &input).await);
    point(&world, "app/lib", &second.commit);
    world.commit();
    assert!(!world.holds(&rendered, &input).await);
    let moved = world.render(&input).await.unwrap();
    assert_eq!(names(&moved), ["own", "inner", "moved"]);
    input.remotes.pop();
    assert!(!world.holds(&moved, &input).await, "no way into it");
}

#[tokio::test]
async fn every_tool_reads_submodules_and_links_lead_in_and_out_of_them() {
    let world = World::new();
    let lib = Other::new(&world, "lib");
    lib.write(
        "base/kustomization.yaml",
        "resources: [b.yaml, ../../app/own.yaml]\n",
    )
    .write("base/b.yaml", &config_map("base"))
    .write("own/kustomization.yaml", "resources: [../../app, o.yaml]\n")
    .write("own/o.yaml", &config_map("over"))
    .write(
        "chart/Chart.yaml",
        "apiVersion: v2\nname: c\nversion: 1.0.0\n",
    )
    .write("chart/templates/c.yaml", &config_map("{{ .Values.name }}"))
    .write("chart/values.yaml", "name: chart\n")
    .write("values/v.yaml", "name: given\n")
    .write(
        "main.libsonnet",
        "{apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: 'jsonnet'}}\n",
    );
    let way = lib.commit("lib");
    world
        .write("app/kustomization.yaml", "resources: [own.yaml]\n")
        .write("app/own.yaml", &config_map("own"))
        .write(
            "over/kustomization.yaml",
            "resources: [../lib/base/b.yaml]\n",
        )
        .write(
            "takes/kustomization.yaml",
            "resources: [../lib/own]\nnamePrefix: my-\n",
        )
        .write("sonnet/a.jsonnet", "import '../lib/main.libsonnet'\n")
        .write(
            "helm/Chart.yaml",
            "apiVersion: v2\nname: h\nversion: 1.0.0\n",
        )
        .write("helm/templates/h.yaml", &config_map("{{ .Values.name }}"));
    std::os::unix::fs::symlink("lib/chart", world.work().join("linked")).unwrap();
    link(&world, "lib", &lib.url(), &way.commit);
    world.commit();
    let render = async |source: serde_json::Value| {
        let mut input = input(source);
        input.remotes.push(way.access.clone());
        world.render(&input).await
    };
    // A folder of a submodule takes one of the repository that it is in, as in a working copy.
    let taken = render(json!({"path": "takes"})).await.unwrap();
    assert_eq!(names(&taken), ["my-over", "my-own"]);
    for path in ["lib/chart", "linked"] {
        let chart = render(json!({"path": path})).await.unwrap();
        assert_eq!(names(&chart), ["chart"], "{path}");
        let at = chart.manifests[0].location.clone().unwrap().path;
        assert_eq!(at, "lib/chart/templates/c.yaml");
    }
    let values = json!({"path": "helm", "helm": {"valueFiles": ["../lib/values/v.yaml"]}});
    assert_eq!(names(&render(values).await.unwrap()), ["given"]);
    let sonnet = render(json!({"path": "sonnet", "directory": {}}))
        .await
        .unwrap();
    assert_eq!(names(&sonnet), ["jsonnet"]);
    // A file beside the folder is refused in a submodule as anywhere.
    for path in ["over", "lib/base"] {
        let error = render(json!({"path": path})).await.unwrap_err();
        let evidence = format!("{:?}", error.cause());
        assert!(
            evidence.contains("is not in or below"),
            "{path}: {evidence}"
        );
    }
    // What nobody looks at is not fetched.
    let mut without = input(json!({"path": "app"}));
    without.fresh = true;
    assert_eq!(names(&world.render(&without).await.unwrap()), ["own"]);
}

#[tokio::test]
async fn a_submodule_that_cannot_be_had_is_named_where_its_address_is_written() {
    let world = World::new();
    let lib = Other::new(&world, "lib");
    lib.write("l.yaml", &config_map("lib")).write("out/x", "");
    std::os::unix::fs::symlink("../../../../etc/passwd", lib.path().join("out/l.yaml")).unwrap();
    let way = lib.commit("lib");
    world.write("app/a.yaml", &config_map("own"));
    link(&world, "app/lib", &lib.url(), &way.commit);
    let gone = "0123456789012345678901234567890123456789";
    for (modules, commit, code) in [
        (
            String::new(),
            way.commit.as_str(),
            "source.submodule-address",
        ),
        (
            "[submodule \"x\"]\n\tpath = app/lib\n".to_owned(),
            &way.commit,
            "source.submodule-address",
        ),
        (
            "[submodule \"x\"\n\tpath".to_owned(),
            &way.commit,
            "source.settings-unreadable",
        ),
        (
            "[include]\n\tpath = /etc/passwd\n".to_owned(),
            &way.commit,
            "source.submodule-address",
        ),
        (
            modules("https://me:s3cret@h.example/a"),
            &way.commit,
            "source.submodule-address",
        ),
        (
            modules("https://h.example/a?ref=x"),
            &way.commit,
            "source.submodule-address",
        ),
        (
            modules("ext::sh -c x"),
            &way.commit,
            "source.address-refused",
        ),
        (
            modules("../../../../../../../../../../a"),
            &way.commit,
            "source.submodule-address",
        ),
        (modules(&lib.url()), gone, "source.revision-not-found"),
        (modules(&lib.url()), &way.commit, "source.path-outside"),
    ] {
        world.write(".gitmodules", &modules);
        point(&world, "app/lib", commit);
        world.commit();
        let mut input = asked("app");
        input.remotes.push(way.access.clone());
        let error = world.render(&input).await.unwrap_err();
        let cause = error.cause();
        assert_eq!(cause.message.code, code, "{modules}: {cause:?}");
        if code != "source.path-outside" {
            let at = cause.location.clone().map(|at| at.path);
            assert_eq!(at.as_deref(), Some(".gitmodules"), "{modules}: {cause:?}");
        }
        assert!(error.wanted().is_empty(), "{modules}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
}

fn modules(url: &str) -> String {
    format!("[submodule \"x\"]\n\tpath = app/lib\n\turl = {url}\n")
}

#[tokio::test]
async fn a_submodule_that_is_not_to_be_updated_is_an_empty_folder() {
    let world = World::new();
    world.write("app/a.yaml", &config_map("own"));
    let gone = "0123456789012345678901234567890123456789";
    link(&world, "app/lib", "https://h.example/none", gone);
    let modules = format!("{}\tupdate = none\n", modules("https://h.example/none"));
    world.write(".gitmodules", &modules);
    world.commit();
    let input = asked("app");
    let rendered = world.render(&input).await.unwrap();
    assert_eq!(names(&rendered), ["own"]);
    assert!(world.holds(&rendered, &input).await);
    point(&world, "app/lib", &gone.replace('0', "1"));
    world.commit();
    assert!(!world.holds(&rendered, &input).await);
}

#[tokio::test]
async fn a_kustomization_that_takes_something_of_one_that_is_left_out_is_told_why_it_is_not_there()
{
    let world = World::new();
    world.write("app/a.yaml", &config_map("own"));
    let somewhere = "0123456789012345678901234567890123456789";
    link(&world, "app/lib", "https://h.example/none", somewhere);
    let modules = format!("{}\tupdate = none\n", modules("https://h.example/none"));
    world.write(".gitmodules", &modules);
    let mut input = input(json!({"path": "app"}));
    input.fresh = true;
    for (entry, code, said) in [
        ("lib/base", "source.submodule-left-out", "`app/lib`"),
        ("lib", "source.submodule-left-out", "`update = none`"),
        ("gone", "source.kustomize-resource-missing", "push it"),
    ] {
        let text = format!("resources:\n- a.yaml\n- {entry}\n");
        world.write("app/kustomization.yaml", &text);
        world.commit();
        let error = world.render(&input).await.unwrap_err();
        let cause = error.cause();
        assert_eq!(cause.message.code, code, "{entry}: {cause:?}");
        let place = cause.location.clone().unwrap();
        assert_eq!(
            (place.path.as_str(), place.line),
            ("app/kustomization.yaml", 3)
        );
        let text = cause.message.to_string();
        assert!(
            text.contains(&format!("`{entry}`")) && text.contains(said),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_circle_of_submodules_ends_at_a_limit() {
    let world = World::new();
    let lib = Other::new(&world, "lib");
    lib.write(".gitmodules", "[submodule \"a\"]\n\tpath = a\n\turl = ./\n");
    lib.write("l.yaml", &config_map("lib"));
    let mut way = lib.commit("lib");
    // Each commit has the one before it as its submodule, longer than anybody needs.
    for _ in 0..60 {
        lib.link("a", &way.commit);
        way = lib.commit("lib");
    }
    world.write("app/a.yaml", &config_map("own"));
    link(&world, "app/lib", &lib.url(), &way.commit);
    world.commit();
    let mut input = asked("app");
    input.remotes.push(way.access.clone());
    let error = world.render(&input).await.unwrap_err();
    assert_eq!(error.cause().message.code, "source.too-large");
}
