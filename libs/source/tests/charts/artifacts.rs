//! Artifacts of a real registry: from a tag, a range or a digest to their files, and what hostile ones get.

use serde_json::json;
use source::charts::Charts;
use source::git::{Access, Login};
use source::{Error, Kind};
use testkit::charts::{LAYER, Registry, package, write};

use super::{World, access, code, signed_in};

const HELM: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

fn way(registry: &Registry, name: &str, login: Login) -> Access {
    let login = Login {
        tls_ca: std::fs::read_to_string(&registry.ca).unwrap(),
        ..login
    };
    access(&format!("oci://{}/{name}", registry.address), login, true)
}

async fn file(
    charts: &Charts,
    access: &Access,
    digest: &str,
    path: &'static str,
) -> Result<String, Error> {
    let snapshot = charts.artifact(access, digest).await?;
    let read = snapshot.read(move |files| match files.find(path)?.node {
        source::git::Node::File(blob) => files.blob(&blob, 1 << 20),
        other => panic!("{other:?}"),
    });
    Ok(String::from_utf8(read.await?).unwrap())
}

#[tokio::test]
async fn an_artifact_is_found_by_tag_range_and_digest_and_its_files_are_as_they_were_packed() {
    let world = World::new();
    let registry = Registry::start().await.unwrap();
    let folder = world.work().join("files");
    let files = |text: &str| {
        write(&folder, &[("a.yaml", text), ("below/b.yaml", "kind: B\n")]).unwrap();
    };
    files("kind: A\n");
    std::os::unix::fs::symlink("../a.yaml", folder.join("below/also.yaml")).unwrap();
    let first = registry
        .publish("team/app", "1.0.0", &folder)
        .await
        .unwrap();
    files("kind: Newer\n");
    let newer = registry
        .publish("team/app", "1.1.0_a", &folder)
        .await
        .unwrap();
    registry
        .publish("team/app", "latest", &folder)
        .await
        .unwrap();

    let stranger = way(&registry, "team/app", Login::default());
    let refused = world.charts.digest(&stranger, "1.0.0").await.unwrap_err();
    assert_eq!(
        (refused.kind(), code(&refused)),
        (Kind::Denied, "chart.login-needed")
    );
    let refused = world.charts.artifact(&stranger, &first).await.unwrap_err();
    assert_eq!(code(&refused), "chart.login-needed");

    let app = way(&registry, "team/app", signed_in());
    world.charts.test(&app).await.unwrap();
    for (revision, digest) in [
        ("1.0.0", &first),
        ("1.1.0+a", &newer),
        ("1.x", &newer),
        ("~1.0.0", &first),
        ("latest", &newer),
        (first.as_str(), &first),
    ] {
        let found = world.charts.digest(&app, revision).await.unwrap();
        assert_eq!(found, *digest, "{revision}");
    }
    let asked = ["latest", "gone", "2.x", "1.x"].map(str::to_owned);
    let found = world.charts.digests(&app, &asked).await.unwrap();
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(found, [("1.x", newer.as_str()), ("latest", newer.as_str())]);
    for revision in ["gone", "2.x", "", "../x", "1.2.0"] {
        let refused = world.charts.digest(&app, revision).await.unwrap_err();
        assert_eq!(code(&refused), "chart.artifact-not-found", "{revision}");
    }
    let nothing = way(&registry, "team/none", signed_in());
    let refused = world.charts.digest(&nothing, "1.x").await.unwrap_err();
    assert_eq!(code(&refused), "chart.artifact-not-found");

    // A tag that moved is another digest, and what the digest names stays what it was.
    for (digest, text) in [(&first, "kind: A\n"), (&newer, "kind: Newer\n")] {
        let read = |path| file(&world.charts, &app, digest, path);
        assert_eq!(read("a.yaml").await.unwrap(), text);
        assert_eq!(read("below/b.yaml").await.unwrap(), "kind: B\n");
        assert_eq!(read("below/also.yaml").await.unwrap(), text);
    }
    // What is kept needs no registry.
    drop(registry);
    assert_eq!(
        file(&world.charts, &app, &first, "a.yaml").await.unwrap(),
        "kind: A\n"
    );
    let refused = world.charts.digest(&app, "1.0.0").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Unreachable);
}

#[tokio::test]
async fn a_chart_in_a_registry_is_an_artifact_too_and_notes_are_told() {
    let world = World::new();
    let work = world.work();
    let registry = Registry::start().await.unwrap();
    let archive = package(&work, "web", "1.0.0", "text").await.unwrap();
    registry.push(&archive, "team").await.unwrap();
    let app = way(&registry, "team/web", signed_in());
    let digest = world.charts.digest(&app, "1.x").await.unwrap();
    let values = file(&world.charts, &app, &digest, "values.yaml").await;
    assert_eq!(values.unwrap(), "text: text\n");
    let notes = world.charts.artifact_notes(&app, "1.0.0").await.unwrap();
    assert_eq!(
        (notes.version.as_str(), notes.description.as_str()),
        ("1.0.0", "made for a test")
    );
    assert!(notes.authors.contains("team@web.example"), "{notes:?}");
}

#[tokio::test]
async fn s02_hostile_artifacts_are_refused_by_name() {
    let world = World::new();
    let registry = Registry::start().await.unwrap();
    let app = way(&registry, "team/app", signed_in());
    let nothing = json!({});
    let text = |text: &str| text.as_bytes().to_vec();
    let flux = "application/vnd.cncf.flux.content.v1.tar+gzip";
    for (at, (layers, said)) in [
        (vec![], "0 layers"),
        (vec![(LAYER, text("a")), (LAYER, text("b"))], "2 layers"),
        (vec![(flux, text("a"))], "are not read"),
        (vec![(LAYER, text("no archive"))], "not a gzip archive"),
        (vec![(HELM, text("no archive"))], "not a gzip archive"),
    ]
    .into_iter()
    .enumerate()
    {
        let tag = format!("bad-{at}");
        let published = registry.publish_layers("team/app", &tag, &layers, &nothing);
        let digest = published.await.unwrap();
        let refused = world.charts.artifact(&app, &digest).await.unwrap_err();
        let text = refused.to_string();
        assert_eq!(code(&refused), "chart.artifact-refused", "{text}");
        assert!(text.contains(said) && text.contains(&digest), "{text}");
    }
    // Links that leave, packed by hand as nobody's tar would.
    let folder = world.work().join("links");
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("../../etc/passwd", folder.join("out.yaml")).unwrap();
    let digest = registry.publish("team/app", "link", &folder).await.unwrap();
    let refused = world.charts.artifact(&app, &digest).await.unwrap_err();
    assert!(
        refused.to_string().contains("leads out of the archive"),
        "{refused}"
    );
    for digest in ["", "latest", "sha256:00", "sha512:00"] {
        let refused = world.charts.artifact(&app, digest).await.unwrap_err();
        assert_eq!(code(&refused), "chart.artifact-not-found", "{digest}");
    }
    let unknown = format!("sha256:{}", "0".repeat(64));
    let refused = world.charts.artifact(&app, &unknown).await.unwrap_err();
    assert_eq!(code(&refused), "chart.artifact-not-found");
}
