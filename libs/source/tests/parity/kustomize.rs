//! Kustomizations that take folders of other repositories, against `kustomize build`.

use std::path::{Path, PathBuf};

use serde_json::json;
use source::git::{Access, Login, Rules};
use testkit::progress::Progress;
use testkit::tools;

use crate::{
    World, as_expected, cases, committed, copy, copy_cases, expected, fail, git, judge, output,
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
async fn folders_of_other_repositories_are_taken_as_kustomize_takes_them() {
    let mut world = World::new().await;
    let kustomize = tools::path("kustomize", &Progress::silent()).await.unwrap();
    copy_cases(&world, "kustomize");
    let cases = cases("kustomize");
    assert!(cases.len() >= 6, "only {} cases", cases.len());
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
        let app = world.work().join(name).join("app");
        ran.push(as_expected(
            &world,
            name,
            &output(&kustomize, &app, &["build", "."]),
        ));
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
        let source = json!({"repoURL": "x", "path": format!("{name}/app")});
        let theirs = expected(&world, &commit, name, ran).await;
        let ours = world.render(&commit, source).await;
        wrong.extend(judge(case, theirs, ours).map(|why| format!("{name}: {why}")));
    }
    fail("kustomize", cases.len(), &wrong);
}
