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
        let status = world.render(&folder, &nothing).await.unwrap_err();
        if code(&status) != cause {
            wrong.push(format!("{what}: {status:?}"));
        }
        assert_ne!(status.code(), Code::Internal, "{what}");
        let next = world.render("good", &nothing).await;
        assert!(next.is_ok(), "after {what}: {next:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
