//! Folders that somebody sends: rendered as the same folder is in a commit, and those that mean harm refused by name.

use std::path::Path;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use source::git::{Access, Login, Rules};
use source::render::Rendered;
use source::{Error, Kind};
use tar::{Builder, EntryType, Header};

use super::{DEPLOYMENT, KUSTOMIZATION, SERVICE, World, input};

/// Far longer than anything here takes, on a machine that does much else.
const BOUND: Duration = Duration::from_secs(60);
const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: map\n";
const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ include \"name\" . }}\ndata:\n  \
                        size: {{ .Values.size | quote }}\n  who: ${USER_IDENTITY}\n";

type Archive = Builder<GzEncoder<Vec<u8>>>;

fn empty() -> Archive {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    archive.follow_symlinks(false);
    archive
}

fn done(archive: Archive) -> Vec<u8> {
    archive.into_inner().unwrap().finish().unwrap()
}

/// All of a folder, `.git` too.
fn packed(folder: &Path) -> Vec<u8> {
    let mut archive = empty();
    archive.append_dir_all("", folder).unwrap();
    done(archive)
}

/// An entry, and what it says of itself; nobody looks at that before it is written.
struct Entry<'a> {
    name: &'a str,
    kind: EntryType,
    link: &'a str,
    content: &'a [u8],
}

impl<'a> Entry<'a> {
    fn file(name: &'a str, content: &'a [u8]) -> Self {
        Self {
            name,
            kind: EntryType::Regular,
            link: "",
            content,
        }
    }

    fn other(name: &'a str, kind: EntryType, link: &'a str) -> Self {
        Self {
            name,
            kind,
            link,
            content: b"",
        }
    }

    fn add(&self, archive: &mut Archive) {
        let mut header = Header::new_ustar();
        let old = header.as_old_mut();
        old.name[..self.name.len()].copy_from_slice(self.name.as_bytes());
        old.linkname[..self.link.len()].copy_from_slice(self.link.as_bytes());
        header.set_entry_type(self.kind);
        header.set_mode(0o644);
        header.set_size(self.content.len() as u64);
        header.set_cksum();
        archive.append(&header, self.content).unwrap();
    }
}

fn of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut archive = empty();
    for entry in entries {
        entry.add(&mut archive);
    }
    done(archive)
}

impl World {
    /// Renders a source whose own repository nobody can ask.
    async fn sent(&self, archive: Vec<u8>, source: Value) -> Result<Rendered, Error> {
        let nowhere = "https://nowhere.invalid/team/app.git";
        let access = Access::new(
            "tenant",
            "none",
            nowhere,
            Login::default(),
            Rules::default(),
        );
        let renderer = &self.renderer;
        renderer
            .render_local(&access.unwrap(), archive, (), &input(source))
            .await
    }
}

#[tokio::test]
async fn a_folder_that_is_sent_renders_as_the_same_folder_committed() {
    let world = World::new();
    world
        .write("plain/service.yaml", SERVICE)
        .write("plain/deployment.yaml", DEPLOYMENT)
        .write("shared/map.yaml", MAP)
        .write("base/service.yaml", SERVICE)
        .write("base/deployment.yaml", DEPLOYMENT)
        .write("base/kustomization.yaml", KUSTOMIZATION)
        .write(
            "overlay/kustomization.yaml",
            "resources: [../base]\nnamespace: ${USER_IDENTITY}\n",
        )
        .write(
            "overlay/.argocd-source-app.yaml",
            "kustomize:\n  nameSuffix: -sent\n",
        )
        .write(
            "chart/Chart.yaml",
            "apiVersion: v2\nname: web\nversion: 1.0.0\n",
        )
        .write(
            "chart/templates/_helpers.tpl",
            "{{ define \"name\" }}of-{{ .Release.Name }}{{ end }}",
        )
        .write("chart/templates/map.yaml", TEMPLATE)
        .write("chart/values.yaml", "size: 1\n")
        .write(
            "jsonnet/map.jsonnet",
            "(import '../shared/map.libsonnet') + {metadata: {name: 'made'}}",
        )
        .write(
            "shared/map.libsonnet",
            "{apiVersion: 'v1', kind: 'ConfigMap'}",
        );
    std::os::unix::fs::symlink("../shared/map.yaml", world.work().join("plain/link.yaml")).unwrap();
    world.commit();
    let archive = packed(&world.work());
    for path in ["plain", "overlay", "chart", "jsonnet"] {
        let source = json!({"repoURL": "x", "path": path});
        let committed = world.render(&input(source.clone())).await.unwrap();
        assert!(!committed.manifests.is_empty(), "{path}");
        let sent = world.sent(archive.clone(), source).await.unwrap();
        assert_eq!(sent, committed, "{path}");
    }

    // What only the folder has, and what stands for its commit.
    let source = json!({"repoURL": "x", "path": "overlay",
        "kustomize": {"commonLabels": {"rev": "$ARGOCD_APP_REVISION"}}});
    world.write("base/service.yaml", &SERVICE.replace("8080", "9090"));
    let sent = world.sent(packed(&world.work()), source).await.unwrap();
    let service = sent
        .manifests
        .iter()
        .find(|manifest| manifest.key().kind == "Service")
        .unwrap();
    assert_eq!(
        service.object.pointer("/spec/ports/0/port"),
        Some(&json!(9090))
    );
    assert_eq!(
        service.object.pointer("/metadata/labels/rev"),
        Some(&json!("streamed"))
    );

    let missing = json!({"repoURL": "x", "path": "gone"});
    let refused = world.sent(archive, missing).await.unwrap_err();
    assert_eq!(refused.cause().message.code, "source.local-path-missing");
}

#[tokio::test]
async fn of_two_files_of_one_name_the_later_one_counts() {
    let world = World::new();
    let later = MAP.replace("map", "later");
    let archive = of(&[
        Entry::file("app/a.yaml", MAP.as_bytes()),
        Entry::file("./app//a.yaml", later.as_bytes()),
    ]);
    let sent = world.sent(archive, json!({"path": "app"})).await.unwrap();
    assert_eq!(sent.manifests.len(), 1);
    assert_eq!(sent.manifests[0].key().name, "later");
}

#[tokio::test]
async fn s01_s02_folders_that_mean_harm_are_refused_by_name_in_bounded_time() {
    let world = World::new();
    let map = || Entry::file("app/a.yaml", MAP.as_bytes());
    let with = |entry: Entry<'_>| of(&[map(), entry]);
    let large = vec![0; 17 << 20];
    let names: Vec<String> = (0..10_001).map(|n| format!("app/{n}.yaml")).collect();
    let many: Vec<Entry<'_>> = names.iter().map(|name| Entry::file(name, b"")).collect();
    let bomb: Vec<Entry<'_>> = names[..5]
        .iter()
        .map(|name| Entry::file(name, &large[..15 << 20]))
        .collect();
    let deep = format!("{}x.yaml", "d/".repeat(45));
    let mut cut = of(&[
        map(),
        Entry::file("app/b.yaml", &MAP.as_bytes().repeat(999)),
    ]);
    cut.truncate(cut.len() / 2);
    let begun = Instant::now();
    for (archive, said) in [
        (with(Entry::file("../x.yaml", b"")), "leads out"),
        (with(Entry::file("app/../../x.yaml", b"")), "leads out"),
        (with(Entry::file("/etc/passwd", b"")), "not a path inside"),
        (
            with(Entry::file("app\\..\\x.yaml", b"")),
            "not a path inside",
        ),
        (with(Entry::file("app/x\ny.yaml", b"")), "no name"),
        (
            with(Entry::other(
                "app/b.yaml",
                EntryType::Symlink,
                "../../etc/passwd",
            )),
            "leads out",
        ),
        (
            with(Entry::other(
                "app/b.yaml",
                EntryType::Symlink,
                "/etc/passwd",
            )),
            "leads out",
        ),
        (
            with(Entry::other("app/b.yaml", EntryType::Link, "app/a.yaml")),
            "is a link",
        ),
        (
            with(Entry::other("app/b.yaml", EntryType::Char, "")),
            "neither a file nor a folder",
        ),
        (
            with(Entry::other("app/b.yaml", EntryType::Fifo, "")),
            "neither a file nor a folder",
        ),
        // What is unpacked through a link would land where that leads.
        (
            of(&[
                Entry::other("link", EntryType::Symlink, "app"),
                Entry::file("link/a.yaml", MAP.as_bytes()),
            ]),
            "a file and a folder",
        ),
        (
            with(Entry::file("app/large.yaml", &large)),
            "is larger than",
        ),
        (of(&bomb), "more than 64 MiB"),
        (of(&many), "more than 10000 files and folders"),
        (cut, "ends too early"),
        (b"kind: ConfigMap\n".to_vec(), "not a gzip archive"),
        (
            of(&[Entry::other("app", EntryType::Directory, "")]),
            "no file in it",
        ),
        // Of a repository's own folder nothing is taken, so that here nothing is left.
        (
            of(&[Entry::file(".git/config", b"[core]\n")]),
            "no file in it",
        ),
    ] {
        let refused = world.sent(archive, json!({"path": "app"})).await;
        let refused = refused.expect_err(said);
        assert_eq!(refused.kind(), Kind::Invalid, "{refused}");
        assert_eq!(refused.cause().message.code, "source.local-refused");
        assert!(refused.to_string().contains(said), "{said}: {refused}");
    }
    // Strange, and harmless: links in a circle, and a file that lies deep.
    let circle = of(&[
        map(),
        Entry::other("app/b.yaml", EntryType::Symlink, "c.yaml"),
        Entry::other("app/c.yaml", EntryType::Symlink, "b.yaml"),
    ]);
    if let Err(refused) = world.sent(circle, json!({"path": "app"})).await {
        assert_eq!(refused.kind(), Kind::Invalid, "{refused}");
    }
    let deep = with(Entry::file(&deep, b""));
    let sent = world.sent(deep, json!({"path": "app"})).await.unwrap();
    assert_eq!(sent.manifests.len(), 1);
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
}

#[test]
fn what_is_held_for_a_folder_is_held_as_long_as_a_thread_has_it() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).enable_all().build();
    runtime.unwrap().block_on(async {
        let world = World::new();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || wait.recv());
        let (held, mut dropped) = tokio::sync::oneshot::channel::<()>();
        let nowhere = "https://nowhere.invalid/team/app.git";
        let (login, rules) = (Login::default(), Rules::default());
        let access = Access::new("tenant", "none", nowhere, login, rules).unwrap();
        let archive = of(&[Entry::file("app/map.yaml", MAP.as_bytes())]);
        let source = input(json!({"path": "app"}));
        let rendering = world.renderer.render_local(&access, archive, held, &source);
        // Nobody waits for it any more.
        let given_up = tokio::time::timeout(Duration::ZERO, rendering).await;
        assert!(given_up.is_err());
        let empty = tokio::sync::oneshot::error::TryRecvError::Empty;
        assert_eq!(dropped.try_recv(), Err(empty));
        go.send(()).unwrap();
        busy.await.unwrap().unwrap();
        assert!(dropped.await.is_err(), "it is dropped with the folder");
    });
}
