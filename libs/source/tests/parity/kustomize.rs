//! Kustomizations, against `kustomize build`.

use std::path::{Path, PathBuf};

use domain::settings::{BuildOptions, Rendering};
use serde_json::json;
use source::git::{Access, Login, Rules};
use source::render::{RenderInput, Target};
use testkit::progress::Progress;
use testkit::tools;

use crate::{
    Case, World, as_expected, cases, coming_out, committed, copy, copy_cases, expected, fail, find,
    git, input, judge, output, published,
};

/// Writes the addresses into every file below a folder.
fn address(folder: &Path, words: &[(String, String)]) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            address(&path, words);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let written = words.iter().fold(text, |text, (word, url)| {
                text.replace(&format!("@{word}@"), url)
            });
            std::fs::write(&path, written).unwrap();
        }
    }
}

#[tokio::test]
async fn kustomizations_are_built_as_kustomize_builds_them() {
    let mut world = World::new().await;
    let kustomize = tools::path("kustomize", &Progress::silent()).await.unwrap();
    copy_cases(&world, "kustomize");
    let cases = cases("kustomize");
    assert!(coming_out(&cases) >= 60, "only {}", coming_out(&cases));
    let helm = tools::path("helm", &Progress::silent()).await.unwrap();
    let helm = format!("--helm-command={}", helm.display());
    let mut ran = Vec::new();
    for (name, case) in &cases {
        let place = |word: &str| -> PathBuf {
            let folder = world.folder.path().join("remotes").join(name);
            folder.join(format!("{word}.git"))
        };
        let words: Vec<(String, String)> = case
            .remotes
            .keys()
            .map(|word| (word.clone(), format!("file://{}", place(word).display())))
            .collect();
        address(&world.work().join(name), &words);
        for (word, folder) in &case.remotes {
            copy(&world.work().join(name).join(folder), &place(word));
            committed(&place(word));
            git(&place(word), &["tag", "v1"]);
        }
        // A copy: the commands change what is in it.
        let theirs = world.folder.path().join("theirs").join(name);
        copy(&world.work().join(name), &theirs);
        let app = theirs.join("app");
        for edit in &case.edits {
            let words = edit.iter().map(String::as_str);
            let arguments: Vec<&str> = std::iter::once("edit").chain(words).collect();
            let edited = output(&kustomize, &app, &arguments);
            assert!(edited.status.success(), "{name} {edit:?}: {edited:?}");
        }
        let mut arguments = vec!["build", "."];
        arguments.extend(case.options.split_whitespace());
        arguments.extend(case.arguments.iter().map(String::as_str));
        if case.options.contains("--enable-helm") {
            arguments.push(&helm);
        }
        let built = output(&kustomize, &app, &arguments);
        ran.push(as_expected(&world, name, &built));
        let rules = Rules { files: true };
        world.remotes.extend(
            words.iter().map(|(_, url)| {
                Access::new("tenant", "none", url, Login::default(), rules).unwrap()
            }),
        );
    }
    let commit = world.commit();
    let mut wrong = Vec::new();
    for ((name, case), ran) in cases.iter().zip(ran) {
        let mut source = json!({"repoURL": "x", "path": format!("{name}/app")});
        if let Some(options) = case.source.get("kustomize") {
            source["kustomize"] = options.clone();
        }
        let theirs = expected(&world, &commit, name, ran).await;
        let cluster = &case.cluster;
        let input = RenderInput {
            source,
            target: Target::new(cluster.version.clone(), cluster.apis.clone()),
            remotes: world.remotes.clone(),
            rendering: Rendering {
                build: BuildOptions::parse(&case.options).unwrap(),
                ..Rendering::default()
            },
            ..input()
        };
        let ours = world.answer(&commit, input).await;
        wrong.extend(judge(case, theirs, ours).map(|why| format!("{name}: {why}")));
    }
    fail("kustomize", cases.len(), &wrong);
}

/// Where kustomize's own kustomizations take a folder from, and at which tag.
const HOME: (&str, &str) = (
    "https://github.com/kubernetes-sigs/kustomize",
    "kustomize/v4.5.7",
);

#[tokio::test]
async fn kustomizes_own_kustomizations_are_built_as_kustomize_builds_them() {
    let mut world = World::new().await;
    let kustomize = tools::path("kustomize", &Progress::silent()).await.unwrap();
    let module = published("kustomize", "sigs.k8s.io/kustomize/api");
    // The repository that they name is another one's; the same folders stand in for it.
    let home = world.folder.path().join("home.git");
    copy(&module.join("krusty"), &home.join("api/krusty"));
    committed(&home);
    git(&home, &["tag", HOME.1]);
    let url = format!("file://{}", home.display());
    let rules = Rules { files: true };
    world.remotes = vec![Access::new("tenant", "none", &url, Login::default(), rules).unwrap()];
    let mut folders = Vec::new();
    let names = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
    find(&names, &module, &module, &mut folders);
    assert!(folders.len() >= 5, "only {folders:?}");
    let mut ran = Vec::new();
    for path in &folders {
        let folder = world.work().join(path);
        copy(&module.join(path), &folder);
        for name in names {
            let Ok(text) = std::fs::read_to_string(folder.join(name)) else {
                continue;
            };
            // What lies in the module cache cannot be written, and a copy of it neither.
            std::fs::remove_file(folder.join(name)).unwrap();
            std::fs::write(folder.join(name), text.replace(HOME.0, &url)).unwrap();
        }
    }
    for path in &folders {
        let built = output(&kustomize, &world.work().join(path), &["build", "."]);
        ran.push(as_expected(&world, path, &built));
    }
    let commit = world.commit();
    let mut wrong = Vec::new();
    for (path, ran) in folders.iter().zip(ran) {
        let theirs = expected(&world, &commit, path, ran).await;
        let source = json!({"repoURL": "x", "path": path, "kustomize": {}});
        let ours = world.render(&commit, source).await;
        let why = judge(&Case::default(), theirs, ours);
        wrong.extend(why.map(|why| format!("{path}: {why}")));
    }
    fail("published kustomize", folders.len(), &wrong);
}

/// Of each of the training guide's folders what kustomize makes where its file has the name that kustomize reads, and of the
/// overlay that lies over one of them: placeholders replaced here as for a tenant, there before.
#[tokio::test]
async fn the_guides_folders_are_built_as_kustomize_builds_them() {
    let world = World::new().await;
    let kustomize = tools::path("kustomize", &Progress::silent()).await.unwrap();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let (work, overlay) = (world.work(), "hello-world-spring-kustomize");
    let mut folders = vec![overlay.to_owned()];
    for entry in std::fs::read_dir(examples.join("gitops")).unwrap() {
        let from = entry.unwrap().path();
        let name = from.file_name().unwrap().to_str().unwrap().to_owned();
        copy(&from, &work.join(&name));
        let printed = work.join(&name).join("kustomize");
        std::fs::rename(printed, work.join(&name).join("kustomization.yaml")).unwrap();
        folders.push(name);
    }
    assert_eq!(folders.len(), 4, "{folders:?}");
    copy(&work.join("hello-world-spring"), &work.join(overlay));
    copy(&examples.join("overlay").join(overlay), &work.join(overlay));
    let mut ran = Vec::new();
    for name in &folders {
        let theirs = world.folder.path().join("theirs").join(name);
        copy(&work.join(name), &theirs);
        for entry in std::fs::read_dir(&theirs).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, text.replace("${USER_IDENTITY}", "user01")).unwrap();
        }
        let built = output(&kustomize, &theirs, &["build", "."]);
        ran.push(as_expected(&world, name, &built));
    }
    let commit = world.commit();
    let mut wrong = Vec::new();
    for (name, ran) in folders.iter().zip(ran) {
        let theirs = expected(&world, &commit, name, ran).await;
        let input = RenderInput {
            source: json!({"repoURL": "x", "path": name}),
            variables: [("USER_IDENTITY".to_owned(), "user01".to_owned())].into(),
            ..input()
        };
        let ours = world.answer(&commit, input).await;
        let why = judge(&Case::default(), theirs, ours);
        wrong.extend(why.map(|why| format!("{name}: {why}")));
    }
    fail("of the guide's", folders.len(), &wrong);
}
