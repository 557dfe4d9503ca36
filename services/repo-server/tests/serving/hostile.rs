//! Charts and Jsonnet files that mean harm, through the real binary and its sandbox: each is a named cause for its own
//! application, and the next one is rendered.

use proto::naru::internal::v1::RenderResponse;
use testkit::git::checkout::Checkout;
use tokio::process::Command;
use tonic::Code;

use crate::{SERVICE, Settings, World, code};

const CHART: &str = "apiVersion: v2\nname: bad\nversion: 1.0.0\n";
/// What stops a job that goes on for ever.
const SECONDS: u64 = 5;

/// A template, and the cause that it ends in.
const TEMPLATES: &[(&str, &str, &str)] = &[
    (
        "a range of everything",
        "{{ range until 200000000 }}x{{ end }}",
        "source.render-died",
    ),
    (
        "a long repetition",
        "a: {{ repeat 1000000000 \"x\" }}",
        "source.render-died",
    ),
    (
        "doubling",
        "{{ $x := \"aa\" }}{{ range until 40 }}{{ $x = print $x $x }}{{ end }}{{ $x }}",
        "source.render-died",
    ),
    (
        "loops that make nothing",
        "{{ $r := until 2000 }}{{ range $r }}{{ range $r }}{{ range $r }}{{ end }}{{ end }}{{ end }}",
        "source.render-timeout",
    ),
    (
        "an include of itself",
        "{{ define \"r\" }}{{ include \"r\" . }}{{ end }}{{ include \"r\" . }}",
        "source.helm-failed",
    ),
    (
        "a tpl of itself",
        "{{ define \"r\" }}{{ tpl \"{{ include `r` . }}\" . }}{{ end }}{{ include \"r\" . }}",
        "source.render-died",
    ),
];

const JSONNET: &[(&str, &str, &str)] = &[
    (
        "recursion",
        "local f(x) = [f(x + 1)]; f(0)",
        "source.jsonnet-failed",
    ),
    (
        "recursion without a stack",
        "local f(x) = f(x + 1) tailstrict; f(0)",
        "source.render-died",
    ),
    (
        "twice as much each time",
        "local f(n) = if n == 0 then 0 else f(n - 1) + f(n - 1); f(60)",
        "source.render-timeout",
    ),
    (
        "a long array",
        "std.length(std.map(function(x) x, std.range(1, 1000000000)))",
        "source.render-died",
    ),
    (
        "an import from the disk",
        "importstr '/etc/hostname'",
        "source.jsonnet-failed",
    ),
    (
        "an import from above",
        "importstr '../../../../../../../etc/hostname'",
        "source.jsonnet-failed",
    ),
];

async fn bomb(checkout: &Checkout) {
    let folder = tempfile::TempDir::new().unwrap();
    let zeros = folder.path().join("bomb");
    std::fs::create_dir_all(&zeros).unwrap();
    let file = std::fs::File::create(zeros.join("zeros")).unwrap();
    file.set_len(400 << 20).unwrap();
    let archive = folder.path().join("bomb.tgz");
    let status = Command::new("tar")
        .args(["czf", archive.to_str().unwrap(), "bomb"])
        .current_dir(folder.path())
        .status()
        .await
        .unwrap();
    assert!(status.success());
    let packed = std::fs::read(archive).unwrap();
    assert!(packed.len() < 1 << 20, "{} bytes", packed.len());
    checkout.write("bomb/charts/bomb.tgz", packed).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s01_hostile_charts_and_jsonnet_are_named_causes_for_themselves_alone() {
    let world = World::with(Settings {
        render_seconds: SECONDS,
        ..Settings::default()
    })
    .await;
    let checkout = &world.checkout;
    let mut expected = Vec::new();
    for (position, (what, template, cause)) in TEMPLATES.iter().enumerate() {
        let folder = format!("chart-{position}");
        let text = format!("kind: X\n{template}\n");
        checkout
            .write(&format!("{folder}/Chart.yaml"), CHART)
            .unwrap();
        checkout
            .write(&format!("{folder}/templates/a.yaml"), text)
            .unwrap();
        expected.push((folder, *what, *cause));
    }
    for (position, (what, text, cause)) in JSONNET.iter().enumerate() {
        let folder = format!("jsonnet-{position}");
        checkout
            .write(&format!("{folder}/a.jsonnet"), text)
            .unwrap();
        expected.push((folder, *what, *cause));
    }
    for folder in [
        "bomb",
        "aliases",
        "schema",
        "schema-file",
        "schema-path",
        "schema-query",
        "links",
        "outside",
    ] {
        checkout
            .write(&format!("{folder}/Chart.yaml"), CHART)
            .unwrap();
        checkout
            .write(&format!("{folder}/templates/a.yaml"), "kind: X\n")
            .unwrap();
    }
    bomb(checkout).await;
    expected.push(("bomb".into(), "an archive that grows", "source.helm-failed"));
    let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let before = n - 1;
        let ten = format!("*a{before}, ").repeat(10);
        aliases.push_str(&format!("a{n}: &a{n} [{ten}]\n"));
    }
    checkout.write("aliases/values.yaml", aliases).unwrap();
    expected.push(("aliases".into(), "aliases of aliases", "source.helm-failed"));
    for (folder, address) in [
        ("schema", "https://example.com/s.json"),
        ("schema-file", "file:///etc/hostname"),
        ("schema-path", "/etc/hostname"),
        (
            "schema-query",
            "http://example.com/?x=://json-schema.org/schema",
        ),
    ] {
        let schema = format!(r#"{{"properties": {{"a": {{"$ref": "{address}"}}}}}}"#);
        checkout
            .write(&format!("{folder}/values.schema.json"), schema)
            .unwrap();
        expected.push((folder.into(), address, "source.remote-file"));
    }
    let link = |target: &str, at: &str| {
        std::os::unix::fs::symlink(target, checkout.dir().join(at)).unwrap();
    };
    link(".", "links/a");
    link(".", "links/b");
    expected.push(("links".into(), "links in circles", "source.path-outside"));
    link("/etc", "outside/files");
    expected.push((
        "outside".into(),
        "a link to the disk",
        "source.path-outside",
    ));
    world.push("good/service.yaml", SERVICE).await;

    let nothing = RenderResponse::default();
    let mut wrong = Vec::new();
    for (folder, what, cause) in expected {
        let begun = std::time::Instant::now();
        let status = world.render(&folder, &nothing).await.unwrap_err();
        if code(&status) != cause {
            wrong.push(format!("{what}: {status:?}"));
        }
        if begun.elapsed() > std::time::Duration::from_secs(4 * SECONDS) {
            wrong.push(format!("{what} took {:?}", begun.elapsed()));
        }
        assert_ne!(status.code(), Code::Internal, "{what}");
        let next = world.render("good", &nothing).await;
        assert!(next.is_ok(), "after {what}: {next:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let peak = peak(world.server.as_ref().unwrap().id().unwrap());
    assert!(peak < MEMORY_KIB, "{peak} KiB");
}

/// The most memory that the server itself may have taken at any moment, in KiB: what it renders is bounded, so is this.
const MEMORY_KIB: u64 = 700 << 10;

/// The peak of a process's memory.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.unwrap().trim().trim_end_matches(" kB");
    number.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn s02_yaml_that_grows_is_a_named_cause_in_bounded_time_and_memory() {
    let world = World::with(Settings {
        render_seconds: SECONDS,
        ..Settings::default()
    })
    .await;
    let checkout = &world.checkout;
    let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut merges = "a0: &a0 {k: v}\n".to_owned();
    for n in 1..30 {
        let before = n - 1;
        let ten = format!("*a{before}, ").repeat(10);
        aliases.push_str(&format!("a{n}: &a{n} [{ten}]\n"));
        merges.push_str(&format!(
            "a{n}: &a{n} {{<<: *a{before}, k{n}: {{<<: *a{before}}}}}\n"
        ));
    }
    let head = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";
    let with = |rest: &str| format!("{head}{rest}").into_bytes();
    let bombs: Vec<(&str, Vec<u8>)> = vec![
        ("aliases", with(&aliases)),
        ("merges", with(&merges)),
        (
            "documents",
            format!("{head}---\n{}", "a: 1\n---\n".repeat(1_000_000)).into_bytes(),
        ),
        (
            "objects",
            format!("{head}---\n").repeat(150_000).into_bytes(),
        ),
        ("lists", with(&format!("data: {}", "[".repeat(1_000_000)))),
        (
            "mappings",
            with(&format!("data: {}", "{a: ".repeat(500_000))),
        ),
        (
            "values",
            with(&format!("data: [{}]\n", "0,".repeat(2_000_000))),
        ),
        (
            "keys",
            with(&format!(
                "data: {{{}}}\n",
                (0..400_000)
                    .map(|n| format!("k{n}: 1, "))
                    .collect::<String>()
            )),
        ),
        (
            "scalar",
            with(&format!("data: {{k: {}}}\n", "x".repeat(11 << 20))),
        ),
        ("bytes", with("data: {k: \"\\xZZ\"}\n")),
        (
            "latin",
            [with("data: {k: ").as_slice(), &[0xff, 0xfe, b'}']].concat(),
        ),
        ("itself", with("data: &a [*a]\n")),
        ("unknown", with("data: *nobody\n")),
        ("nul", with("data: {k: \"a\0b\"}\n")),
    ];
    let causes = [
        "source.yaml-bomb",
        "source.yaml-broken",
        "source.too-large",
        "source.not-text",
        "source.kind-missing",
        "source.kustomize-failed",
        "source.kustomize-field",
        "source.kustomize-field-similar",
        "source.helm-failed",
        "source.options-invalid",
        "source.render-died",
        "source.render-timeout",
        "source.json-broken",
    ];
    // Where the text stands, and what makes the folder one of that tool.
    let places = [
        ("plain", "a.yaml", ""),
        ("base", "a.yaml", "kustomization.yaml"),
        ("kustomization", "kustomization.yaml", ""),
        ("chart", "Chart.yaml", ""),
        ("values", "values.yaml", "Chart.yaml"),
        ("template", "templates/a.yaml", "Chart.yaml"),
        ("override", ".argocd-source.yaml", "a.yaml"),
    ];
    for (what, text) in &bombs {
        for (place, file, tool) in places {
            let folder = format!("{what}-{place}");
            match tool {
                "kustomization.yaml" => checkout
                    .write(&format!("{folder}/{tool}"), "resources: [a.yaml]\n")
                    .unwrap(),
                "Chart.yaml" => checkout.write(&format!("{folder}/{tool}"), CHART).unwrap(),
                "a.yaml" => checkout
                    .write(&format!("{folder}/{tool}"), SERVICE)
                    .unwrap(),
                _ => {}
            }
            if place == "values" {
                let template = format!("{head}data:\n  all: {{{{ toJson .Values | quote }}}}\n");
                checkout
                    .write(&format!("{folder}/templates/a.yaml"), template)
                    .unwrap();
            }
            checkout.write(&format!("{folder}/{file}"), text).unwrap();
        }
    }
    world.push("good/service.yaml", SERVICE).await;
    let nothing = RenderResponse::default();
    let mut wrong = Vec::new();
    let mut refused = 0;
    for (what, _) in &bombs {
        for (place, ..) in places {
            let begun = std::time::Instant::now();
            match world.render(&format!("{what}-{place}"), &nothing).await {
                // A text that one tool does not mind: the answer itself is bounded.
                Ok(rendered) => {
                    let bytes: usize = rendered.manifests.iter().map(|one| one.object.len()).sum();
                    if bytes > 32 << 20 {
                        wrong.push(format!("{what}-{place}: {bytes} bytes"));
                    }
                }
                Err(status) => {
                    refused += 1;
                    if !causes.contains(&code(&status).as_str()) || status.code() == Code::Internal
                    {
                        wrong.push(format!("{what}-{place}: {status:?}"));
                    }
                }
            }
            if begun.elapsed() > std::time::Duration::from_secs(4 * SECONDS) {
                wrong.push(format!("{what}-{place} took {:?}", begun.elapsed()));
            }
        }
        let next = world.render("good", &nothing).await;
        assert!(next.is_ok(), "after {what}: {next:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        refused > bombs.len() * places.len() / 2,
        "{refused} refused"
    );
    let peak = peak(world.server.as_ref().unwrap().id().unwrap());
    assert!(peak < MEMORY_KIB, "{peak} KiB");
}
