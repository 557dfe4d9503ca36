//! Registries that answer what they must not: named, bounded, and asked nowhere else.

use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest, Sha256};
use source::{Error, Kind};
use testkit::charts::{Reply, Site};

use super::{World, access, code, signed_in};

const BOUND: Duration = Duration::from_secs(20);

fn file(text: impl Into<Vec<u8>>) -> Reply {
    Reply::File(text.into())
}

fn named(what: &str, result: Result<impl std::fmt::Debug, Error>, expected: &str) {
    let refused = result.expect_err(what);
    assert_eq!(code(&refused), expected, "{what}: {refused}");
    assert_ne!(refused.kind(), Kind::Internal, "{what}");
    assert!(refused.to_string().len() < 1_500, "{what}");
}

#[tokio::test]
async fn s02_hostile_registries_are_refused_by_name_in_bounded_time() {
    let world = World::with(source::git::Limits::default(), &["127.0.0.1/32"]);
    let (site, away) = (
        Site::start(None).await.unwrap(),
        Site::start(None).await.unwrap(),
    );
    let host = site.url.trim_start_matches("http://");
    let other = away.url.trim_start_matches("http://");
    let access = access(&format!("{host}/team"), signed_in(), true);
    let tags = "/v2/team/web/tags/list";
    let many: Vec<String> = (0..100_001).map(|n| format!("1.0.{n}")).collect();
    let wrong_digests = [
        "",
        "sha256:",
        "sha256:../../x",
        "md5:00",
        "sha256:zz",
        "sha512:00",
    ];
    for (what, reply, expected) in [
        ("no JSON", file("<html>"), "chart.registry-broken"),
        (
            "another JSON",
            file(r#"{"tags": "x"}"#),
            "chart.registry-broken",
        ),
        ("not UTF-8", file(vec![0xff; 100]), "chart.registry-broken"),
        ("deep", file("[".repeat(1_000_000)), "chart.registry-broken"),
        (
            "deep tags",
            file(format!("{{\"tags\":{}", "[".repeat(1_000_000))),
            "chart.registry-broken",
        ),
        (
            "many",
            file(json!({"tags": many}).to_string()),
            "source.too-large",
        ),
        ("large", file(vec![b' '; (4 << 20) + 1]), "source.too-large"),
        (
            "a redirect inside",
            Reply::Redirect("http://169.254.169.254/x".into()),
            "source.address-not-allowed",
        ),
        (
            "a redirect to the disk",
            Reply::Redirect("file:///etc/passwd".into()),
            "chart.redirect-refused",
        ),
    ] {
        let begun = Instant::now();
        site.put(tags, reply);
        named(
            what,
            world.charts.versions(&access, "web", true).await,
            expected,
        );
        assert!(begun.elapsed() < BOUND, "{what}: {:?}", begun.elapsed());
    }

    // Pages without end, and pages elsewhere.
    let page = br#"{"tags": ["1.0.0"]}"#.to_vec();
    let linked = |next: String| Reply::Linked {
        next,
        file: page.clone(),
    };
    drop(site.asked());
    site.put(tags, linked(format!("{tags}?last=1")));
    world.charts.versions(&access, "web", true).await.unwrap();
    let asked = site.asked().len();
    assert!((2..=100).contains(&asked), "{asked}");
    for next in [
        format!("{}{tags}", away.url),
        format!("//{other}{tags}"),
        format!("{}//{other}{tags}", site.url),
        format!("/..//{other}{tags}"),
        format!("\\\\{other}{tags}"),
        "http://169.254.169.254/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        site.put(tags, linked(next.clone()));
        let _ = world.charts.versions(&access, "web", true).await;
        assert_eq!(away.asked(), [], "{next}");
    }

    // Tokens that are asked for in places where none are given.
    for (realm, expected) in [
        ("", "chart.registry-broken"),
        ("nowhere", "chart.registry-broken"),
        ("file:///etc/passwd", "chart.registry-broken"),
        ("gopher://127.0.0.1/", "chart.registry-broken"),
        ("http://169.254.169.254/token", "source.address-not-allowed"),
        ("http://[::1]:1/token", "source.address-not-allowed"),
        ("http://0x7f000002/token", "source.address-not-allowed"),
    ] {
        site.put(
            tags,
            Reply::Guarded {
                challenge: format!(r#"Bearer realm="{realm}",service="s""#),
                authorization: "Bearer never".into(),
                file: Vec::new(),
            },
        );
        named(
            realm,
            world.charts.versions(&access, "web", true).await,
            expected,
        );
    }
    let realm = format!("{}/token", away.url);
    for (token, expected) in [
        ("<html>", "chart.registry-broken"),
        (
            r#"{"token": "a\r\nX-Injected: b"}"#,
            "chart.registry-broken",
        ),
        (r#"{"token": 7}"#, "chart.registry-broken"),
        ("{}", "chart.login-refused"),
    ] {
        away.put("/token", file(token));
        site.put(
            tags,
            Reply::Guarded {
                challenge: format!(r#"Bearer realm="{realm}""#),
                authorization: "Bearer never".into(),
                file: Vec::new(),
            },
        );
        named(
            token,
            world.charts.versions(&access, "web", true).await,
            expected,
        );
    }

    // Manifests and blobs.
    let layer = |digest: &str, size: u64| {
        let layer = json!({
            "mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            "digest": digest,
            "size": size,
        });
        file(json!({"layers": [layer]}).to_string())
    };
    site.put(tags, file(page.clone()));
    let manifest = "/v2/team/web/manifests/1.0.0";
    let ensure = || world.charts.ensure(&access, "web", "1.0.0", true);
    for (what, reply, expected) in [
        ("no JSON", file("<html>"), "chart.registry-broken"),
        ("no layers", file("{}"), "chart.registry-broken"),
        (
            "other layers",
            file(r#"{"layers": [{"mediaType": "x", "digest": "y", "size": 1}]}"#),
            "chart.registry-broken",
        ),
        (
            "a negative size",
            file(
                r#"{"layers": [{"mediaType": "application/tar+gzip", "digest": "y", "size": -1}]}"#,
            ),
            "chart.registry-broken",
        ),
        ("deep", file("[".repeat(1_000_000)), "chart.registry-broken"),
        (
            "an archive without end",
            layer(&format!("sha256:{}", "a".repeat(64)), u64::MAX),
            "source.too-large",
        ),
    ] {
        site.put(manifest, reply);
        named(what, ensure().await, expected);
    }
    for digest in wrong_digests {
        site.put(manifest, layer(digest, 10));
        named(digest, ensure().await, "chart.registry-broken");
    }
    let content = b"no archive".to_vec();
    let digest = hex::encode(Sha256::digest(&content));
    let blob = format!("/v2/team/web/blobs/sha256:{digest}");
    site.put(
        manifest,
        layer(&format!("sha256:{digest}"), content.len() as u64),
    );
    for (what, reply, expected) in [
        ("another blob", file("another"), "chart.digest-mismatch"),
        ("no chart", file(content), "chart.archive-refused"),
        (
            "a blob without end",
            file(vec![0; (32 << 20) + 1]),
            "source.too-large",
        ),
        (
            "a redirect inside",
            Reply::Redirect("http://[fe80::1]/x".into()),
            "source.address-not-allowed",
        ),
    ] {
        let begun = Instant::now();
        site.put(&blob, reply);
        named(what, ensure().await, expected);
        assert!(begun.elapsed() < BOUND, "{what}: {:?}", begun.elapsed());
    }
    // Elsewhere, the login of this one is not known.
    drop(away.asked());
    away.put("/blob", file("x"));
    site.put(&blob, Reply::Redirect(format!("{}/blob", away.url)));
    named(
        "a redirect elsewhere",
        ensure().await,
        "chart.digest-mismatch",
    );
    assert!(
        away.asked()
            .iter()
            .all(|asked| asked.authorization.is_none())
    );
}
