//! Values of other sources, `$name/…`: what is taken, what it depends on, what is refused.

use std::path::{Path, PathBuf};

use domain::cause::Cause;
use serde_json::{Value, json};
use source::git::{Access, Login, Rules};
use source::render::{Reference, RenderInput, Rendered};

use crate::{World, input, run};

const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {v: {{ .Values.v | quote }}, f: {{ .Values.f | quote }}}\n";

/// Another repository beside the world's own.
pub(crate) struct Other(PathBuf);

impl Other {
    pub(crate) fn new(world: &World, name: &str) -> Self {
        let this = Self(world.folder.path().join(name));
        std::fs::create_dir_all(&this.0).unwrap();
        this.git(&["init", "--quiet", "--initial-branch=main"]);
        this
    }

    fn git(&self, arguments: &[&str]) -> String {
        let who = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
        run("git", &self.0, &[&who, arguments].concat())
    }

    pub(crate) fn write(&self, path: &str, content: &str) -> &Self {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Commits all, as a source with this `ref`.
    pub(crate) fn commit(&self, name: &str) -> Reference {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "change"]);
        self.at(name, &self.git(&["rev-parse", "HEAD"]))
    }

    /// Lets a commit stand at a path, as a submodule.
    pub(crate) fn link(&self, path: &str, commit: &str) {
        std::fs::create_dir_all(self.0.join(path)).unwrap();
        let entry = format!("160000,{commit},{path}");
        self.git(&["update-index", "--add", "--cacheinfo", &entry]);
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("file://{}/.git", self.0.display())
    }

    /// Its working copy.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn at(&self, name: &str, commit: &str) -> Reference {
        let url = self.url();
        let rules = Rules { files: true };
        Reference {
            name: name.to_owned(),
            access: Access::new("tenant", "none", &url, Login::default(), rules).unwrap(),
            commit: commit.to_owned(),
            chart: String::new(),
        }
    }
}

fn world() -> World {
    let world = World::new();
    world
        .write(
            "chart/Chart.yaml",
            "apiVersion: v2\nname: c\nversion: 1.0.0\n",
        )
        .write("chart/templates/a.yaml", TEMPLATE)
        .write("chart/values.yaml", "v: chart\nf: none\n");
    world.commit();
    world
}

fn helm(options: Value, references: Vec<Reference>) -> RenderInput {
    RenderInput {
        references,
        ..input(json!({"path": "chart", "helm": options}))
    }
}

fn value(rendered: &Rendered, key: &str) -> Value {
    rendered.manifests[0].object["data"][key].clone()
}

#[tokio::test]
async fn values_come_from_another_repository_and_only_what_was_read_of_it_counts() {
    let (world, other) = {
        let world = world();
        let other = Other::new(&world, "other");
        (world, other)
    };
    other
        .write("env/prod.yaml", "v: ${USER_IDENTITY}\n")
        .write("motd.txt", "hello");
    let options = json!({
        "valueFiles": ["$values/env/prod.yaml"],
        "fileParameters": [{"name": "f", "path": "$values/motd.txt"}],
    });
    let mut input = helm(options, vec![other.commit("values")]);
    let first = world.render(&input).await.unwrap();
    assert_eq!(value(&first, "v"), "user01");
    assert_eq!(value(&first, "f"), "hello");

    other
        .write("README.md", "x")
        .write("env/dev.yaml", "v: dev\n");
    input.references = vec![other.commit("values")];
    assert!(world.holds(&first, &input).await, "nothing that was read");
    other.write("env/prod.yaml", "v: two\n");
    input.references = vec![other.commit("values")];
    assert!(!world.holds(&first, &input).await, "a values file");
    let second = world.render(&input).await.unwrap();
    assert_eq!(value(&second, "v"), "two");
    assert_ne!(first.hash, second.hash);
    other.write("motd.txt", "bye");
    input.references = vec![other.commit("values")];
    assert!(!world.holds(&second, &input).await, "a file parameter");
    input.references.clear();
    assert!(!world.holds(&second, &input).await, "nobody of that name");
}

#[tokio::test]
async fn a_pattern_looks_into_another_repository_and_sees_a_new_file() {
    let world = world();
    let other = Other::new(&world, "other");
    other
        .write("a.yaml", "v: a\n")
        .write("sub/b.yaml", "v: b\n");
    let options = json!({"valueFiles": ["$values/**/*.yaml"]});
    let mut input = helm(options, vec![other.commit("values")]);
    let first = world.render(&input).await.unwrap();
    assert_eq!(value(&first, "v"), "b", "a folder's own files come first");
    other.write("sub/c.yaml", "v: c\n");
    input.references = vec![other.commit("values")];
    assert!(!world.holds(&first, &input).await);
    assert_eq!(value(&world.render(&input).await.unwrap(), "v"), "c");
}

#[tokio::test]
async fn several_repositories_and_revisions_are_told_apart() {
    let world = world();
    let (one, two) = (Other::new(&world, "one"), Other::new(&world, "two"));
    one.write("v.yaml", "v: old\n");
    let old = one.commit("old");
    one.write("v.yaml", "v: new\n");
    two.write("v.yaml", "f: two\n");
    let references = vec![old, one.commit("new"), two.commit("two")];
    let shown = async |files: &[&str]| {
        let input = helm(json!({"valueFiles": files}), references.clone());
        let rendered = world.render(&input).await.unwrap();
        [value(&rendered, "v"), value(&rendered, "f")]
    };
    assert_eq!(
        shown(&["$old/v.yaml", "$two/v.yaml"]).await,
        [json!("old"), json!("two")]
    );
    assert_eq!(
        shown(&["$old/v.yaml", "$new/v.yaml"]).await,
        [json!("new"), json!("none")]
    );
    assert_eq!(
        shown(&["$new/v.yaml", "$old/v.yaml"]).await,
        [json!("old"), json!("none")]
    );
}

#[tokio::test]
async fn what_cannot_be_taken_from_another_source_is_named() {
    let world = world();
    let other = Other::new(&world, "other");
    other
        .write("v.yaml", "v: [\n")
        .write("folder/v.yaml", "v: 1\n");
    std::os::unix::fs::symlink("../../chart/values.yaml", other.0.join("folder/out.yaml")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", other.0.join("etc.yaml")).unwrap();
    let values = other.commit("values");
    let chart = Reference {
        chart: "web".to_owned(),
        ..other.at("packed", "")
    };
    let all = [values.clone(), chart];
    let missing = format!(
        "the file `$values/none.yaml` named in spec.source.helm.valueFiles is not in {} at commit {}",
        other.url(),
        values.commit
    );
    let refused = async |references: &[Reference], file: &str| -> Cause {
        let input = helm(json!({"valueFiles": [file]}), references.to_vec());
        world.render(&input).await.unwrap_err().cause().clone()
    };
    for (file, code, words) in [
        (
            "$gone/v.yaml",
            "source.reference-unknown",
            "$values, $packed",
        ),
        ("$gone", "source.reference-unknown", "$gone"),
        ("$packed/v.yaml", "source.reference-to-chart", "$packed"),
        (
            "$values/none.yaml",
            "source.option-file-missing-elsewhere",
            missing.as_str(),
        ),
        (
            "$values/none/*.yaml",
            "source.option-file-missing-elsewhere",
            "$values/none/*.yaml",
        ),
        (
            "$values/../v.yaml",
            "source.path-outside",
            "$values/../v.yaml",
        ),
        (
            "$values/../../repository/chart/values.yaml",
            "source.path-outside",
            "$values",
        ),
        (
            "$values/folder/../../../2/v.yaml",
            "source.path-outside",
            "$values",
        ),
        (
            "$values/folder/out.yaml",
            "source.path-outside",
            "$values/folder/out.yaml",
        ),
        (
            "$values/etc.yaml",
            "source.path-outside",
            "$values/etc.yaml",
        ),
        ("$values", "source.path-outside", "$values"),
        ("$values/", "source.path-outside", "$values"),
        ("$values/folder", "source.helm-failed", ""),
        ("$values/v.yaml", "source.helm-failed", ""),
        (
            "../../+tree/1/folder/v.yaml",
            "source.path-outside",
            "../../+tree/1",
        ),
        (
            "/../+tree/1/folder/v.yaml",
            "source.path-outside",
            "+tree/1",
        ),
        ("$values/[.yaml", "source.option-refused", "valueFiles"),
    ] {
        let cause = refused(&all, file).await;
        assert_eq!(cause.message.code, code, "{file}: {}", cause.message);
        let text = cause.message.to_string();
        assert!(text.contains(words), "{file}: {text}");
    }
    let quiet = refused(&all, "$values/none.yaml").await;
    assert_eq!(quiet.evidence, None, "no path of ours");
    let located = refused(&all, "$values/v.yaml").await.location.unwrap();
    assert_eq!(located.path, "$values/v.yaml");
    let cause = refused(&[], "$values/v.yaml").await;
    assert_eq!(cause.message.code, "source.reference-without-any");
    let cause = refused(&[values.clone(), values.clone()], "a.yaml").await;
    assert_eq!(cause.message.code, "source.reference-twice");
    let cause = refused(&[other.at("a/b", &values.commit)], "a.yaml").await;
    assert_eq!(cause.message.code, "source.reference-name");
    let cause = refused(&[other.at("values", &"0".repeat(40))], "$values/v.yaml").await;
    assert_eq!(cause.message.code, "source.revision-not-found");

    let options = json!({
        "valueFiles": ["$values/none.yaml", "$values/none/*.yaml", "$values/folder/v.yaml"],
        "ignoreMissingValueFiles": true,
    });
    let mut input = helm(options, vec![values]);
    let rendered = world.render(&input).await.unwrap();
    assert_eq!(value(&rendered, "v"), "1");
    other.write("none.yaml", "f: there\n");
    input.references = vec![other.commit("values")];
    assert!(
        !world.holds(&rendered, &input).await,
        "one that was missing"
    );
}
