//! The promise under every cache hit: where a read set holds, a fresh render comes out the same. Trees, sources and edits
//! are drawn at random from a seed, which a failure names.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;
use source::render::{Held, RenderInput, Target};

use crate::{SERVICE, World};

/// How many trees, and how many edits of each.
const TREES: u64 = 24;
const EDITS: usize = 8;

/// A small generator (SplitMix64): the same draws for the same seed everywhere.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

const FOLDERS: &[&str] = &["app", "app/sub", "base", "other"];
const FILES: &[&str] = &["a.yaml", "b.yaml", "c.json", "notes.md"];
const VALUES: &[&str] = &[
    "one",
    "two",
    "${USER_IDENTITY}",
    "${OTHER}",
    "$ARGOCD_APP_NAME",
];
const KUSTOMIZATIONS: &[&str] = &[
    "resources: [a.yaml]\n",
    "resources: [a.yaml, b.yaml]\nnameSuffix: -x\n",
    "resources: [../base]\nnamespace: ${USER_IDENTITY}\n",
    "resources: [../base, a.yaml]\n",
    "configMapGenerator:\n- name: made\n  files: [notes.md]\n",
];

const CHART: &[(&str, &[&str])] = &[
    (
        "app/Chart.yaml",
        &["apiVersion: v2\nname: c\nversion: 1.0.0\n"],
    ),
    (
        "app/templates/cm.yaml",
        &[
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {v: {{ .Values.v | quote }}, f: {{ .Files.Get \"notes.md\" | quote }}}\n",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: same}\ndata: {v: {{ .Values.v | quote }}}\n",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: {{ .Capabilities.KubeVersion }}, a: {{ .Capabilities.APIVersions.Has \"x/v1\" | quote }}}\n",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {n: {{ len .Capabilities.APIVersions | quote }}}\n",
        ],
    ),
    ("app/values.yaml", &["v: 1\n", "v: ${OTHER}\n"]),
    ("app/.helmignore", &["notes.md\n", "*.bak\n"]),
    ("base/v1.yaml", &["v: base\n", "v: ${USER_IDENTITY}\n"]),
    ("base/v2.yaml", &["v: two\n", "w: 2\n"]),
    (
        "app/main.jsonnet",
        &[
            "{apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: 'j'}, data: import '../base/l.libsonnet'}\n",
        ],
    ),
    ("base/l.libsonnet", &["{v: 'a'}\n", "{v: '${OTHER}'}\n"]),
];

fn object(draw: &mut Draw, name: &str) -> String {
    let value = draw.of(VALUES);
    if name.ends_with(".json") {
        return json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"v": value}})
            .to_string();
    }
    let stem = name.trim_end_matches(".yaml");
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {stem}\ndata:\n  v: {value}\n")
}

/// One edit of the tree, or of what is asked.
fn edit(draw: &mut Draw, world: &World, input: &mut RenderInput) -> String {
    let folder = draw.of(FOLDERS);
    let file = draw.of(FILES);
    let path = format!("{folder}/{file}");
    let at = world.work().join(&path);
    match draw.below(12) {
        0..=2 => {
            let _ = std::fs::remove_file(&at);
            world.write(&path, &object(draw, file));
            format!("wrote {path}")
        }
        3 => {
            let _ = std::fs::remove_file(&at);
            format!("removed {path}")
        }
        4 => {
            world.write(
                &format!("{folder}/kustomization.yaml"),
                draw.of(KUSTOMIZATIONS),
            );
            format!("made {folder} a kustomization")
        }
        5 => {
            let _ = std::fs::remove_file(&at);
            let target = format!(
                "{}{}",
                draw.of(&["", "../base/", "../other/"]),
                draw.of(FILES)
            );
            if at.parent().is_some_and(Path::is_dir) {
                symlink(&target, &at).unwrap();
            }
            format!("linked {path} to {target}")
        }
        6 => {
            let name = draw.of(&["USER_IDENTITY", "OTHER", "UNUSED"]);
            let value = draw.of(&["user01", "user02"]);
            input.variables.insert(name.to_owned(), value.to_owned());
            format!("set {name} to {value}")
        }
        7 => {
            let apis: &[&str] = [&[][..], &["x/v1"], &["x/v1", "y/v1"]][draw.below(3)];
            let version = draw.of(&["", "v1.33.0", "v1.34.1"]);
            let apis = apis.iter().map(|api| (*api).to_owned()).collect();
            input.target = Target::new(version.to_owned(), apis);
            format!("rendered for {:?}", input.target)
        }
        8 => {
            let (path, texts) = CHART[draw.below(CHART.len())];
            let at = world.work().join(path);
            let _ = std::fs::remove_file(&at);
            if draw.below(4) == 0 {
                return format!("removed {path}");
            }
            world.write(path, draw.of(texts));
            format!("wrote {path}")
        }
        9 => {
            input.app_name = draw.of(&["app", "other"]).to_owned();
            format!("asked for {}", input.app_name)
        }
        10 => {
            input.namespace = draw.of(&["user01", "user02"]).to_owned();
            format!("asked for the namespace {}", input.namespace)
        }
        _ => {
            world.write(
                &format!("{folder}/.argocd-source-app.yaml"),
                draw.of(&[
                    "kustomize: {namePrefix: p-}\n",
                    "directory: {recurse: true}\n",
                ]),
            );
            format!("wrote an override into {folder}")
        }
    }
}

#[tokio::test]
async fn where_a_read_set_holds_a_fresh_render_is_the_same() {
    let (mut held, mut broken) = (0, 0);
    for seed in 0..TREES {
        let mut draw = Draw(seed);
        let world = World::new();
        let source = match draw.below(6) {
            0 => json!({"path": "app"}),
            1 => json!({"path": "app", "directory": {"recurse": true}}),
            2 => json!({"path": "app", "directory": {"recurse": true, "exclude": "sub/b*"}}),
            3 => json!({"path": "app", "directory": {"disableExtensionFilter": true}}),
            _ => {
                let files = ["../base/v*.yaml", "/other/gone.yaml"];
                json!({"path": "app", "helm": {"valueFiles": files, "ignoreMissingValueFiles": true}})
            }
        };
        if source.get("helm").is_some() || draw.below(3) == 0 {
            for (path, texts) in CHART {
                world.write(path, draw.of(texts));
            }
        }
        let mut input = RenderInput {
            variables: BTreeMap::from([("USER_IDENTITY".to_owned(), "user01".to_owned())]),
            ..crate::input(source)
        };
        for folder in FOLDERS {
            for file in FILES {
                world.write(&format!("{folder}/{file}"), &object(&mut draw, file));
            }
        }
        if draw.below(2) == 0 {
            world.write("app/kustomization.yaml", draw.of(KUSTOMIZATIONS));
        }
        world.commit();
        let mut edits = Vec::new();
        let mut known = world.render(&input).await.ok();
        for _ in 0..EDITS {
            edits.push(edit(&mut draw, &world, &mut input));
            world.commit();
            let fresh = world.render(&input).await;
            let Some(before) = known else {
                known = fresh.ok();
                continue;
            };
            if world.holds(&before, &input).await {
                held += 1;
                let same = fresh.as_ref().is_ok_and(|fresh| {
                    (&fresh.manifests, &fresh.hash, &fresh.detail, &fresh.causes)
                        == (
                            &before.manifests,
                            &before.hash,
                            &before.detail,
                            &before.causes,
                        )
                });
                assert!(
                    same,
                    "seed {seed}, after {edits:?}: {:?} became {:?}",
                    before.manifests,
                    fresh.map(|fresh| fresh.manifests)
                );
                known = Some(before);
            } else {
                broken += 1;
                known = fresh.ok();
            }
        }
    }
    assert!(
        held > 5 && broken > 5,
        "the draws must come out both ways: {held} held, {broken} did not"
    );
}

#[tokio::test]
async fn an_applications_own_options_are_seen_when_they_come_however_the_path_is_written() {
    let world = World::new();
    world
        .write("real/kustomization.yaml", "resources: [service.yaml]\n")
        .write("real/service.yaml", SERVICE)
        .write("detour/notes.txt", "");
    symlink("real", world.work().join("linked")).unwrap();
    world.commit();
    for path in ["real", "linked", "detour/../real"] {
        let input = crate::input(json!({"path": path, "kustomize": {}}));
        let rendered = world.render(&input).await.unwrap();
        assert!(world.holds(&rendered, &input).await, "{path}");
        let other = RenderInput {
            app_name: "other".to_owned(),
            ..input.clone()
        };
        assert!(world.holds(&rendered, &other).await, "{path}");
        let own = world.work().join("real/.argocd-source-app.yaml");
        std::fs::write(&own, "kustomize: {namePrefix: own-}\n").unwrap();
        world.commit();
        assert!(!world.holds(&rendered, &input).await, "{path}");
        assert!(world.holds(&rendered, &other).await, "{path}");
        std::fs::remove_file(&own).unwrap();
        world.commit();
    }
}

#[tokio::test]
async fn a_folder_that_a_path_only_passes_through_counts() {
    let world = World::new();
    world
        .write("app/service.yaml", SERVICE)
        .write("detour/notes.txt", "");
    world.commit();
    let input = crate::input(json!({"path": "detour/../app"}));
    let rendered = world.render(&input).await.unwrap();
    world.write("detour/notes.txt", "what is in it does not");
    world.commit();
    assert!(world.holds(&rendered, &input).await);
    std::fs::remove_dir_all(world.work().join("detour")).unwrap();
    world.commit();
    assert!(!world.holds(&rendered, &input).await);
    assert!(world.render(&input).await.is_err());
}

#[tokio::test]
async fn a_link_that_leads_out_and_is_left_aside_counts() {
    let world = World::new();
    world
        .write("app/kustomization.yaml", "resources: [service.yaml]\n")
        .write("app/service.yaml", SERVICE)
        .write(
            "inside/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: more-\n",
        );
    let link = world.work().join("part");
    symlink("../outside", &link).unwrap();
    world.commit();
    let options = json!({"components": ["../part"], "ignoreMissingComponents": true});
    let input = crate::input(json!({"path": "app", "kustomize": options}));
    let rendered = world.render(&input).await.unwrap();
    assert!(world.holds(&rendered, &input).await);
    std::fs::remove_file(&link).unwrap();
    symlink("inside", &link).unwrap();
    world.commit();
    assert!(!world.holds(&rendered, &input).await);
    let fresh = world.render(&input).await.unwrap();
    assert_ne!(fresh.hash, rendered.hash);
}

#[tokio::test]
async fn a_variable_that_no_render_takes_is_refused_with_what_is_remembered_too() {
    let world = World::new();
    world.write("app/service.yaml", SERVICE);
    world.commit();
    let mut input = crate::input(json!({"path": "app"}));
    let rendered = world.render(&input).await.unwrap();
    input
        .variables
        .insert("UNUSED".to_owned(), "user02".to_owned());
    assert!(world.holds(&rendered, &input).await);
    input
        .variables
        .insert("UNUSED".to_owned(), "a: b".to_owned());
    assert!(!world.holds(&rendered, &input).await);
    assert!(world.render(&input).await.is_err());
}

#[tokio::test]
async fn where_a_set_was_found_to_hold_only_what_is_asked_can_be_another() {
    let world = World::new();
    world
        .write("app/kustomization.yaml", "resources: [service.yaml]\n")
        .write("app/service.yaml", SERVICE)
        .write(
            "app/.argocd-source-api.yaml",
            "kustomize: {namePrefix: own-}\n",
        );
    let first = world.commit();
    let own = crate::input(json!({"path": "app", "kustomize": {}}));
    let rendered = world.render(&own).await.unwrap();
    let second = world
        .write("app/service.yaml", &SERVICE.replace("8080", "8081"))
        .commit();
    let mut of_another = own.clone();
    of_another
        .variables
        .insert("USER_IDENTITY".to_owned(), "user02".to_owned());
    let api = RenderInput {
        app_name: "api".to_owned(),
        ..own.clone()
    };
    let (access, held) = (world.access(), Held::default());
    let changed = async |commit: &str, input: &RenderInput| {
        let set = &rendered.read_set;
        let looking = world
            .renderer
            .changed_since(&access, commit, input, set, &held);
        looking.await.unwrap().map(|changed| changed.to_string())
    };
    // The second time round all of it is known.
    for _ in 0..2 {
        assert_eq!(changed(&first, &own).await, None);
        let told = changed(&first, &of_another).await;
        assert_eq!(told.as_deref(), Some("variable USER_IDENTITY"));
        let told = changed(&first, &api).await;
        assert_eq!(told.as_deref(), Some("application api"));
        let told = changed(&second, &own).await;
        assert_eq!(told.as_deref(), Some("path app/service.yaml"));
    }
    // The files are not looked at again: there are none any more, and nowhere to fetch them from.
    world.mirrors.forget(&access).await.unwrap();
    std::fs::remove_dir_all(world.work()).unwrap();
    assert_eq!(changed(&first, &own).await, None);
}
