//! Addresses, revisions, paths and patterns that mean harm: each is refused by name, in bounded time, and none leads
//! anywhere but into the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use domain::revision::Target;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use source::Kind;
use source::git::{Access, Login, Rules};

use super::{World, input};

/// What a path that leads out finds.
const SECRET: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: leaked\n  namespace: leaked\n";
/// Longer than anything here takes on a machine that does much else.
const BOUND: Duration = Duration::from_secs(20);

/// What addresses are made of, and what they must not be made of.
const PIECES: &[&str] = &[
    "-",
    "--upload-pack=touch",
    "-oProxyCommand=touch x",
    "-c",
    "ext::sh -c x",
    "fd::7",
    "file://",
    "file:",
    "ssh://",
    "SSH://",
    "https://",
    "http://",
    "HTTPS://",
    "git://",
    "gopher://",
    "git+ssh://",
    "javascript:",
    "git@",
    "u:p@",
    "@",
    "-x@",
    "host",
    "HOST.example",
    "127.0.0.1",
    "0x7f.1",
    "2130706433",
    "[::1]",
    "[::ffff:a9fe:a9fe]",
    "169.254.169.254",
    "localhost",
    ":",
    "::",
    ":22",
    ":-1",
    ":99999",
    "/",
    "//",
    "/-x",
    "/../",
    "/..",
    "/./",
    "%2e%2e",
    "%2f",
    "%00",
    "%0a",
    "\\",
    "?",
    "?a=b",
    "#",
    "#x",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\0",
    "\u{7f}",
    "\u{202e}",
    "\u{ff0f}",
    "ｈｏｓｔ",
    "한글",
    "~",
    "$(touch x)",
    "`x`",
    "'",
    "\"",
    ";",
    "|",
    "a",
    "team/app.git",
    ".git",
    "*",
    "[",
    "]",
];

#[test]
fn s13_no_address_becomes_an_option_another_scheme_or_two_places() {
    let mut random = StdRng::seed_from_u64(13);
    let mut taken = 0;
    for round in 0..40_000 {
        let mut text: String = match round % 4 {
            0 => String::new(),
            1 => "https://host".to_owned(),
            2 => "git@host:".to_owned(),
            _ => "ssh://git@host/".to_owned(),
        };
        for _ in 0..random.random_range(0..6) {
            text.push_str(PIECES.choose(&mut random).unwrap());
        }
        if round % 97 == 0 {
            text.push_str(&"a".repeat(random.random_range(1_000..100_000)));
        }
        let access = match Access::new("t", "", &text, Login::default(), Rules::default()) {
            Ok(access) => access,
            Err(error) => {
                assert_eq!(error.kind(), Kind::Invalid, "{text:?}");
                assert!(error.to_string().len() < 1_500, "{text:?}");
                continue;
            }
        };
        taken += 1;
        let url = access.url();
        assert!(!url.starts_with('-') && url.len() <= 2_100, "{text:?}");
        assert!(
            !url.chars().any(|c| c.is_control() || c.is_whitespace()),
            "{text:?}: {url}"
        );
        let (host, path) = match url.split_once("://") {
            Some((scheme, rest)) => {
                assert!(
                    ["http", "https", "ssh"].contains(&scheme),
                    "{text:?}: {url}"
                );
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                if scheme != "ssh" {
                    assert!(!host.contains('@'), "a login stays in {url}");
                }
                (host, path)
            }
            None => url.split_once(':').unwrap(),
        };
        let (user, name) = host.rsplit_once('@').unwrap_or(("", host));
        assert!(
            !name.is_empty() && !name.starts_with('-') && !user.starts_with('-'),
            "{text:?}: {url}"
        );
        assert!(
            url.contains("://") || !path.starts_with(['-', ':']),
            "{text:?}: {url}"
        );
        let lower = path.to_lowercase();
        // What follows a host and a colon is a path as it stands.
        let meant = match url.contains("://") {
            true => lower.replace("%2e", ".").replace("%2f", "/"),
            false => lower.clone(),
        };
        assert!(
            !meant.split('/').any(|step| step == ".."),
            "{text:?}: {url}"
        );
        assert!(!lower.contains('\\'), "{text:?}: {url}");
        // Read once more it is the same place.
        let again = Access::new("t", "", url, Login::default(), Rules::default()).unwrap();
        assert_eq!(again.url(), url, "{text:?}");
    }
    assert!(taken > 1_000, "{taken} of them are addresses");
}

#[tokio::test]
async fn s13_no_revision_is_an_option_or_more_than_a_name() {
    let world = World::new();
    let commit = world.write("a/x.yaml", SECRET).commit();
    let (access, mirrors) = (world.access(), &world.mirrors);
    let canary = world.folder.path().join("canary");
    let touch = canary.display().to_string();
    let long = "a".repeat(1_000_000);
    let many = "1.0 || ".repeat(35);
    let mut revisions: Vec<String> = [
        "-x",
        "--all",
        "--help",
        "-",
        "--",
        "--output=x",
        "main:",
        "main^",
        "main~1",
        "HEAD@{1}",
        "HEAD^{tree}",
        "@",
        "@{-1}",
        ":/change",
        "main..main",
        "main\0",
        "ma\nin",
        "refs/heads/../heads/main",
        "refs/heads/*",
        "refs/*",
        "refs/",
        "refs/heads/main:refs/heads/evil",
        "refs/heads/ma?n",
        "refs/heads/-x",
        "+refs/heads/main",
        "^refs/heads/main",
        "..",
        "/",
        "\\",
        "main main",
        "$(touch x)",
        "`touch x`",
        "%00",
        "\u{202e}niam",
        ">=",
        "^",
        "~",
        "||",
        ", ,",
        "* *",
        "999999999999999999999.0.0",
        ">=1.0.0 <",
        "1.0.0 - ",
        " - ",
        "v",
        "vv1",
    ]
    .map(str::to_owned)
    .to_vec();
    revisions.push(format!("--upload-pack=touch {touch}"));
    revisions.push(format!("-oProxyCommand=touch {touch}"));
    revisions.push(format!("refs/heads/main --upload-pack=touch {touch}"));
    revisions.push(format!("$(touch {touch})"));
    revisions.extend([long, many]);
    for revision in &revisions {
        let shown: String = revision.chars().take(60).collect();
        let begun = Instant::now();
        let refused = mirrors.resolve(&access, revision, true).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::NotFound, "{shown:?}: {refused}");
        // What reads as a range is told as one.
        let code = refused.cause().message.code.as_str();
        assert!(
            ["source.revision-not-found", "source.range-unmatched"].contains(&code),
            "{shown:?}: {code}"
        );
        assert!(begun.elapsed() < BOUND, "{shown:?}");
        let refused = mirrors.ensure_commit(&access, revision).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::NotFound, "{shown:?}: {refused}");
    }
    // What stands before a version is refused before anybody is asked, also where it is not looked at.
    for prefix in [
        "-oProxyCommand=x",
        "--upload-pack=x ",
        "../",
        "a/../../",
        "a\n",
        "a\0",
        "refs/heads/*:",
    ] {
        for revision in ["main", "*", "1.0.0", "HEAD"] {
            let target = Target {
                revision,
                tag_prefix: prefix,
            };
            let refused = mirrors.resolve(&access, target, true).await.unwrap_err();
            assert_eq!(refused.kind(), Kind::Invalid, "{prefix:?}: {refused}");
            let cause = refused.cause();
            assert_eq!(cause.message.code, "source.tag-prefix-invalid");
            assert_eq!(cause.field.as_deref(), Some("spec.source.tagPrefix"));
            let said = &cause.message.arguments["prefix"];
            assert!(!said.contains(char::is_control), "{said:?}");
        }
    }
    assert!(
        !canary.exists() && !Path::new("x").exists(),
        "something was started"
    );
    assert_eq!(
        mirrors.resolve(&access, "main", true).await.unwrap(),
        commit
    );
}

/// The ways out of a folder: by name, by link, by address. `{out}` is a file beside the repository.
const WAYS: &[(&str, &str)] = &[
    ("absolute", "{out}"),
    ("above", "../../../../../../../../../../../../../../..{out}"),
    (
        "down and above",
        "x/../../../../../../../../../../../../../..{out}",
    ),
    ("a link", "link"),
    ("a link to a folder", "folder/secret.yaml"),
    ("links in a circle", "circle"),
    ("a chain of links", "chain"),
    ("an address of the disk", "file://{out}"),
    ("backslashes", "..\\..\\..\\secret.yaml"),
    ("a NUL", "a.yaml\0{out}"),
    ("percent signs", "%2e%2e/%2e%2e{out}"),
    ("another case", "A.YAML"),
    ("Git's own folder", ".git/config"),
    ("the process", "/proc/self/environ"),
    ("a very long path", "{path}"),
    ("a very long name", "{name}"),
];

/// What is longer than any path of a file system, in many steps and in one.
const LONG: usize = 20_000;

type Field = (&'static str, &'static str, &'static str);

/// The fields that name files. The first text is the file that has the field in it, the second its content with `PATH` for
/// a JSON text, or nothing; the last is the source.
const FIELDS: &[Field] = &[
    ("kustomization.yaml", "resources: [PATH]\n", "{}"),
    ("kustomization.yaml", "components: [PATH]\n", "{}"),
    ("kustomization.yaml", "bases: [PATH]\n", "{}"),
    ("kustomization.yaml", "crds: [PATH]\n", "{}"),
    ("kustomization.yaml", "configurations: [PATH]\n", "{}"),
    ("kustomization.yaml", "generators: [PATH]\n", "{}"),
    ("kustomization.yaml", "transformers: [PATH]\n", "{}"),
    ("kustomization.yaml", "validators: [PATH]\n", "{}"),
    ("kustomization.yaml", "openapi: {path: PATH}\n", "{}"),
    (
        "kustomization.yaml",
        "resources: [a.yaml]\npatches: [{path: PATH}]\n",
        "{}",
    ),
    (
        "kustomization.yaml",
        "resources: [a.yaml]\npatchesStrategicMerge: [PATH]\n",
        "{}",
    ),
    (
        "kustomization.yaml",
        "resources: [a.yaml]\npatchesJson6902: [{path: PATH, target: {version: v1, kind: ConfigMap, name: a}}]\n",
        "{}",
    ),
    (
        "kustomization.yaml",
        "resources: [a.yaml]\nreplacements: [{path: PATH}]\n",
        "{}",
    ),
    (
        "kustomization.yaml",
        "configMapGenerator: [{name: g, files: [PATH]}]\n",
        "{}",
    ),
    (
        "kustomization.yaml",
        "configMapGenerator: [{name: g, envs: [PATH]}]\n",
        "{}",
    ),
    (
        "kustomization.yaml",
        "secretGenerator: [{name: g, files: [PATH]}]\n",
        "{}",
    ),
    (
        "kustomization.yaml",
        "resources: [a.yaml]\n",
        r#"{"kustomize": {"components": [PATH]}}"#,
    ),
    (
        "kustomization.yaml",
        "resources: [a.yaml]\n",
        r#"{"kustomize": {"patches": [{"path": PATH}]}}"#,
    ),
    ("Chart.yaml", "", r#"{"helm": {"valueFiles": [PATH]}}"#),
    (
        "Chart.yaml",
        "",
        r#"{"helm": {"fileParameters": [{"name": "text", "path": PATH}]}}"#,
    ),
    (
        "Chart.yaml",
        "dependencies: [{name: x, version: 1.0.0, repository: PATH}]\n",
        "{}",
    ),
    ("b.jsonnet", "import PATH", "{}"),
    (
        "b.jsonnet",
        "{apiVersion: 'v1', kind: 'X', metadata: {name: 'x'}, text: importstr PATH}",
        "{}",
    ),
    (
        "b.jsonnet",
        "import 'secret.yaml'",
        r#"{"directory": {"jsonnet": {"libs": [PATH]}}}"#,
    ),
    ("a.yaml", "", r#"{"path": PATH}"#),
];

/// Writes into a folder what has this path in a field; the source of it.
fn lay(world: &World, folder: &str, (file, content, source): &Field, path: &str) -> Value {
    let quoted = serde_json::to_string(path).unwrap();
    world.write(
        &format!("{folder}/a.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n",
    );
    let content = content.replace("PATH", &quoted);
    match *file {
        "Chart.yaml" => {
            let head = "apiVersion: v2\nname: web\nversion: 1.0.0\n";
            world.write(&format!("{folder}/Chart.yaml"), &format!("{head}{content}"));
            let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Values.name | default \"web\" }}\ndata:\n  text: {{ .Values.text | quote }}\n  values: {{ toJson .Values | quote }}\n";
            world.write(&format!("{folder}/templates/map.yaml"), template);
        }
        "a.yaml" => {}
        file => {
            world.write(&format!("{folder}/{file}"), &content);
        }
    }
    let mut source: Value = serde_json::from_str(&source.replace("PATH", &quoted)).unwrap();
    source["path"] = match source.get("path") {
        None => json!(folder),
        Some(_) => json!(format!("{folder}/{path}")),
    };
    source
}

/// What a path names that stays within: what is there, and what is not.
const WITHIN: &[(&str, &str)] = &[
    ("here.yaml", "gone.yaml"),
    ("here", "gone"),
    ("file://here", "file://gone"),
];

/// That nothing is found on a way out says something only of fields in which something is looked for.
#[tokio::test(flavor = "multi_thread")]
async fn s01_a_file_that_is_there_makes_a_difference_in_every_field() {
    let world = World::new();
    let there = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "here"}}"#;
    // The libraries of Jsonnet are looked for from the root of the repository on.
    world.write("here/secret.yaml", there);
    let mut cases = Vec::new();
    for (at, field) in FIELDS.iter().enumerate() {
        for (number, (here, gone)) in WITHIN.iter().enumerate() {
            let both = [("a", here), ("b", gone)].map(|(name, path)| {
                let folder = format!("field-{at}-{number}-{name}");
                let source = lay(&world, &folder, field, path);
                world
                    .write(&format!("{folder}/here.yaml"), there)
                    .write(&format!("{folder}/here/secret.yaml"), there)
                    .write(
                        &format!("{folder}/here/kustomization.yaml"),
                        "resources: [secret.yaml]\n",
                    )
                    .write(
                        &format!("{folder}/here/Chart.yaml"),
                        "apiVersion: v2\nname: x\nversion: 1.0.0\n",
                    );
                (folder, source)
            });
            cases.push((at, both));
        }
    }
    world.commit();
    let outcome = async |(folder, source): &(String, Value)| {
        let said = match world.render(&input(source.clone())).await {
            Ok(rendered) => format!("{:?}", rendered.manifests),
            Err(error) => format!("{:?}", error.cause()),
        };
        said.replace(folder.as_str(), "folder")
            .replace("gone", "here")
    };
    let mut read = BTreeSet::new();
    for (at, [here, gone]) in &cases {
        if outcome(here).await != outcome(gone).await {
            read.insert(*at);
        }
    }
    let unread: Vec<&Field> = (0..FIELDS.len())
        .filter(|at| !read.contains(at))
        .map(|at| &FIELDS[at])
        .collect();
    assert!(unread.is_empty(), "{unread:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s01_no_way_out_of_the_repository_leads_anywhere() {
    let world = World::new();
    let out = world.folder.path().join("secret.yaml");
    std::fs::write(&out, SECRET).unwrap();
    let beside = world.folder.path().to_owned();
    let mut cases = Vec::new();
    for (way, path) in WAYS {
        let path = path
            .replace("{out}", &out.display().to_string())
            .replace("{path}", &"x/".repeat(LONG / 2))
            .replace("{name}", &"x".repeat(LONG));
        for (at, field) in FIELDS.iter().enumerate() {
            let folder = format!("case-{}", cases.len());
            let source = lay(&world, &folder, field, &path);
            let link = |name: &str, target: &Path| {
                let at = world.work().join(&folder).join(name);
                std::os::unix::fs::symlink(target, at).unwrap();
            };
            link("link", &out);
            link("folder", &beside);
            link("circle", Path::new("circle"));
            link("chain", Path::new("link"));
            cases.push((format!("{way}, field {at}"), source));
        }
    }
    world.commit();
    let mut wrong = Vec::new();
    let (mut refused, mut codes) = (0, BTreeMap::<String, usize>::new());
    for (what, source) in &cases {
        let begun = Instant::now();
        match world.render(&input(source.clone())).await {
            Ok(rendered) => {
                let all = format!("{:?}", rendered.manifests);
                if all.contains("leaked") || all.contains("repositoryformatversion") {
                    wrong.push(format!("{what}: {all}"));
                }
            }
            Err(error) => {
                refused += 1;
                let code = error.cause().message.code.clone();
                let named = code != "source.internal" && code != "source.render-died";
                if !named || error.to_string().contains("leaked") {
                    wrong.push(format!("{what}: {error}"));
                }
                *codes.entry(code).or_default() += 1;
            }
        }
        assert!(begun.elapsed() < BOUND, "{what}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Those that render read nothing of it: a file of a name that a chart only writes down, say.
    assert!(
        refused * 10 >= cases.len() * 9,
        "{refused} of {}: {codes:?}",
        cases.len()
    );
}

/// What attributes ask for is done to a working copy: by a program of the repository's configuration, or by Git itself.
#[tokio::test(flavor = "multi_thread")]
async fn s01_attributes_run_no_filter_and_change_nothing_of_what_is_read() {
    let world = World::new();
    let said = "$Id$ $Format:%H$";
    let object = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  said: \"{said}\"\n  lines: |\n    one\n    two\n"
    );
    let attributes =
        "* filter=evil diff=evil merge=evil ident text eol=crlf export-ignore export-subst\n";
    world
        .write("app/a.yaml", &object)
        .write("built/a.yaml", &object)
        .write("built/kustomization.yaml", "resources: [a.yaml]\n")
        .write(".gitattributes", attributes)
        .commit();
    let canary = world.folder.path().join("canary");
    let script = format!("touch {}; cat; echo leaked", canary.display());
    world.git(&["config", "filter.evil.smudge", &script]);

    // A working copy has all of it.
    let file = world.work().join("app/a.yaml");
    std::fs::remove_file(&file).unwrap();
    world.git(&["checkout", "--", "app/a.yaml"]);
    let copied = std::fs::read_to_string(&file).unwrap();
    assert!(
        copied.contains("leaked") && copied.contains("\r\n"),
        "{copied:?}"
    );
    assert!(copied.contains("$Id: ") && canary.exists(), "{copied:?}");
    std::fs::remove_file(&canary).unwrap();

    for path in ["app", "built"] {
        let rendered = world.render(&input(json!({"path": path}))).await.unwrap();
        assert_eq!(rendered.manifests.len(), 1, "{path}");
        let data = &rendered.manifests[0].object["data"];
        assert_eq!(
            data,
            &json!({"said": said, "lines": "one\ntwo\n"}),
            "{path}"
        );
    }
    assert!(!canary.exists(), "a filter was run");
}

#[tokio::test(flavor = "multi_thread")]
async fn s16_patterns_and_expressions_are_bounded() {
    let world = World::new();
    let deep = format!("a/{}x.yaml", "d/".repeat(40));
    world.write(&deep, SECRET).write("a/y.yaml", SECRET);
    let pattern = format!("{}b", "a*".repeat(40));
    let text = "a".repeat(20_000);
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n  found: {{ regexMatch \"(a+)+(a|aa)+(a*)*$\" (printf \"%sb\" .Values.text) | quote }}\n  all: {{ regexReplaceAll \"(a|a?)+$\" .Values.text \"x\" | len | quote }}\n";
    world
        .write(
            "chart/Chart.yaml",
            "apiVersion: v2\nname: web\nversion: 1.0.0\n",
        )
        .write("chart/values.yaml", &format!("text: {text}\n"))
        .write("chart/templates/map.yaml", template);
    for n in 0..30 {
        world.write(&format!("chart/values/{n}/{n}/v.yaml"), "a: 1\n");
    }
    world.commit();
    let patterns = [
        format!("{}{}", "{".repeat(5_000), "}".repeat(5_000)),
        format!("{}x{}", "{".repeat(200_000), "}".repeat(200_000)),
        "{a,b}".repeat(60),
        "{a,b}".repeat(5_000),
        format!("{{{}}}", "aaaaaaaa,".repeat(100_000)),
        "*".repeat(100_000),
        "**/".repeat(5_000),
        "?".repeat(1_000_000),
        "[!a-z]".repeat(2_500),
        "[".repeat(10_000),
        "[a-".repeat(10_000),
        "\\".repeat(9_999),
        "\0".repeat(100),
        pattern,
    ];
    for pattern in &patterns {
        for field in ["include", "exclude"] {
            let shown: String = pattern.chars().take(20).collect();
            let begun = Instant::now();
            let source = json!({"path": "a", "directory": {"recurse": true, field: pattern}});
            match world.render(&input(source)).await {
                Ok(rendered) => assert!(rendered.manifests.len() <= 2, "{shown}"),
                Err(error) => panic!("{field} {shown}: {error}"),
            }
            assert!(
                begun.elapsed() < BOUND,
                "{field} {shown}: {:?}",
                begun.elapsed()
            );
        }
        let shown: String = pattern.chars().take(20).collect();
        let begun = Instant::now();
        let source = json!({"path": "chart", "helm": {"valueFiles": [pattern]}});
        let refused = world.render(&input(source)).await.unwrap_err();
        let code = refused.cause().message.code.as_str();
        assert!(
            [
                "source.option-file-missing",
                "source.option-refused",
                "source.path-outside",
                "source.helm-failed",
                "source.too-large"
            ]
            .contains(&code),
            "{shown}: {refused}"
        );
        assert!(begun.elapsed() < BOUND, "{shown}: {:?}", begun.elapsed());
    }
    let begun = Instant::now();
    let rendered = world
        .render(&input(json!({"path": "chart"})))
        .await
        .unwrap();
    assert_eq!(rendered.manifests[0].object["data"]["found"], "false");
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
}
