//! Commits and tags that a real gpg signed, and what others make of them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use domain::signature::{Signature, Verdict};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use crate::World;

/// A folder of keys, with the agent that gpg starts for it.
struct Keys(TempDir);

impl Drop for Keys {
    #[expect(clippy::disallowed_methods, reason = "tests build their own fixtures")]
    fn drop(&mut self) {
        let stop = [
            "--homedir",
            self.0.path().to_str().unwrap(),
            "--kill",
            "all",
        ];
        let _ = Command::new("gpgconf").args(stop).status();
    }
}

#[expect(clippy::disallowed_methods, reason = "tests build their own fixtures")]
fn said(program: &str, folder: &Path, home: &Path, arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("GNUPGHOME", home)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let done = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

impl Keys {
    fn new() -> Self {
        Self(tempfile::Builder::new().prefix("gpg-").tempdir().unwrap())
    }

    fn gpg(&self, arguments: &[&str]) -> String {
        let quiet = [
            "--batch",
            "--quiet",
            "--yes",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        ];
        let (home, all) = (self.0.path(), [&quiet, arguments].concat());
        said("gpg", home, home, &all, b"")
    }

    /// Makes a key; its fingerprint.
    fn make(&self, name: &str, kind: &str, ends: &str, more: &[&str]) -> String {
        let make = ["--quick-generate-key", name, kind, "sign", ends];
        self.gpg(&[more, &make].concat());
        let listed = self.gpg(&["--with-colons", "--list-keys", name]);
        let print = listed.lines().find(|line| line.starts_with("fpr")).unwrap();
        print.split(':').nth(9).unwrap().to_owned()
    }

    fn armored(&self, key: &str) -> String {
        self.gpg(&["--armor", "--export", key])
    }

    fn git(&self, world: &World, arguments: &[&str]) -> String {
        let who = ["-c", "user.name=A Tester", "-c", "user.email=t@example.com"];
        let all = [&who, arguments].concat();
        said("git", &world.work(), self.0.path(), &all, b"")
    }

    /// A commit signed with a key.
    fn commit(&self, world: &World, key: &str) -> String {
        let key = format!("user.signingKey={key}");
        self.git(
            world,
            &[
                "-c",
                &key,
                "commit",
                "-q",
                "--allow-empty",
                "-S",
                "-m",
                "signed",
            ],
        );
        world.git(&["rev-parse", "HEAD"])
    }
}

fn now() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "gpg signs by the clock of this machine"
    )]
    let now = std::time::SystemTime::now();
    i64::try_from(now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

async fn judged(world: &World, commit: &str, revision: &str, keys: &[String]) -> Signature {
    let access = world.access();
    let signed = world.mirrors.signed(&access, commit, revision).await;
    let verifying = signed.unwrap().verify(keys.to_vec(), now());
    verifying.await.unwrap()
}

fn id(print: &str) -> String {
    print[24..].to_owned()
}

#[tokio::test]
async fn commits_are_judged_by_the_keys_that_are_given() {
    let (world, keys) = (World::new(), Keys::new());
    let unsigned = world.commit();
    let rsa = keys.make("rsa@example.com", "rsa2048", "0", &[]);
    let curve = keys.make("curve@example.com", "ed25519", "0", &[]);
    let known = [keys.armored(&rsa), keys.armored(&curve)];
    let by_rsa = keys.commit(&world, &rsa);
    let by_curve = keys.commit(&world, &curve);

    let found = judged(&world, &by_rsa, "main", &known).await;
    let good = Signature {
        verdict: Verdict::Good,
        key: id(&rsa),
        primary: id(&rsa),
        cipher: "RSA".to_owned(),
    };
    assert_eq!(found, good);
    let found = judged(&world, &by_curve, "main", &known).await;
    assert_eq!((found.verdict, found.key), (Verdict::Good, id(&curve)));
    assert_eq!(found.cipher, "EDDSA");
    let found = judged(&world, &unsigned, "main", &known).await;
    assert_eq!(found, Signature::only(Verdict::Unsigned));
    let found = judged(&world, &by_rsa, "main", &known[1..]).await;
    assert_eq!((found.verdict, found.key), (Verdict::UnknownKey, id(&rsa)));

    // The very signature over something else.
    let text = world.git(&["cat-file", "commit", &by_rsa]);
    let forged = text.replace("\n\nsigned", "\n\nforged") + "\n";
    let store = ["hash-object", "-t", "commit", "-w", "--stdin"];
    let forged = said(
        "git",
        &world.work(),
        keys.0.path(),
        &store,
        forged.as_bytes(),
    );
    world.git(&["branch", "forged", &forged]);
    let found = judged(&world, &forged, "forged", &known).await;
    assert_eq!((found.verdict, found.key), (Verdict::Bad, id(&rsa)));

    // Another kind, and none that anybody could read.
    for (begin, verdict) in [
        ("-----BEGIN SSH SIGNATURE-----", Verdict::Foreign),
        ("-----BEGIN SIGNED MESSAGE-----", Verdict::Foreign),
        ("-----BEGIN PGP SIGNATURE----- ", Verdict::Unreadable),
    ] {
        let other = text.replace("-----BEGIN PGP SIGNATURE-----", begin) + "\n";
        let other = said(
            "git",
            &world.work(),
            keys.0.path(),
            &store,
            other.as_bytes(),
        );
        world.git(&["branch", "--force", "other", &other]);
        let found = judged(&world, &other, "other", &known).await;
        assert_eq!(found.verdict, verdict, "{begin}");
    }
}

#[tokio::test]
async fn a_subkey_signs_for_its_primary_key_and_what_is_revoked_or_over_does_not_count() {
    let (world, keys) = (World::new(), Keys::new());
    world.commit();
    let primary = keys.make("sub@example.com", "ed25519", "0", &[]);
    keys.gpg(&["--quick-add-key", &primary, "ed25519", "sign", "0"]);
    let by_subkey = keys.commit(&world, "sub@example.com");
    let found = judged(&world, &by_subkey, "main", &[keys.armored(&primary)]).await;
    assert_eq!(
        (found.verdict, found.primary),
        (Verdict::Good, id(&primary))
    );
    assert_ne!(found.key, id(&primary));

    let other = keys.make("other@example.com", "ed25519", "0", &[]);
    let found = judged(&world, &by_subkey, "main", &[keys.armored(&other)]).await;
    assert_eq!(found.verdict, Verdict::UnknownKey);

    let revoked = keys.make("revoked@example.com", "ed25519", "0", &[]);
    let by_revoked = keys.commit(&world, &revoked);
    let alive = keys.armored(&revoked);
    let certificate = keys
        .0
        .path()
        .join("openpgp-revocs.d")
        .join(format!("{revoked}.rev"));
    let certificate = std::fs::read_to_string(certificate).unwrap();
    let certificate = certificate.replace(":-----BEGIN", "-----BEGIN");
    let home = keys.0.path();
    said(
        "gpg",
        home,
        home,
        &["--batch", "--quiet", "--import"],
        certificate.as_bytes(),
    );
    let found = judged(&world, &by_revoked, "main", &[alive]).await;
    assert_eq!(found.verdict, Verdict::Good);
    let found = judged(&world, &by_revoked, "main", &[keys.armored(&revoked)]).await;
    assert_eq!(found.verdict, Verdict::Revoked);

    // A key that has ended counts for what it signed before, and for nothing else.
    let ago = |days: i64| format!("{}!", now() - days * 86_400);
    let made = ["--faked-system-time", &ago(10)];
    let ended = keys.make("ended@example.com", "ed25519", "5d", &made);
    // gpg signs with no key that has ended, unless it takes the time for another.
    let signing = keys.0.path().join("earlier");
    let time = ago(6);
    let script = format!("#!/bin/sh\nexec gpg --faked-system-time {time} \"$@\"\n");
    std::fs::write(&signing, script).unwrap();
    make_executable(&signing);
    let program = format!("gpg.program={}", signing.display());
    let key = format!("user.signingKey={ended}");
    let commit = ["commit", "-q", "--allow-empty", "-S", "-m", "ended"];
    keys.git(
        &world,
        &[&["-c", &program, "-c", &key], &commit[..]].concat(),
    );
    let commit = world.git(&["rev-parse", "HEAD"]);
    let found = judged(&world, &commit, "main", &[keys.armored(&ended)]).await;
    assert_eq!(found.verdict, Verdict::Good);
    // The owner lets it end sooner: what it signed lies behind its end now.
    let sooner = [
        "--faked-system-time",
        &ago(9),
        "--quick-set-expire",
        &ended,
        "2d",
    ];
    keys.gpg(&sooner);
    let found = judged(&world, &commit, "main", &[keys.armored(&ended)]).await;
    assert_eq!(found.verdict, Verdict::Expired);
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn a_signed_tag_vouches_for_the_commit_that_it_names() {
    let (world, keys) = (World::new(), Keys::new());
    let key = keys.make("tags@example.com", "ed25519", "0", &[]);
    let known = [keys.armored(&key)];
    let first = world.commit();
    // Fetched before there is any tag.
    assert_eq!(
        judged(&world, &first, "main", &known).await.verdict,
        Verdict::Unsigned
    );
    let signing = format!("user.signingKey={key}");
    keys.git(
        &world,
        &["-c", &signing, "tag", "-s", "-m", "one", "v1.2.0"],
    );
    world.git(&["tag", "light"]);
    world
        .mirrors
        .list_refs(&world.access(), true)
        .await
        .unwrap();
    for revision in ["v1.2.0", "refs/tags/v1.2.0", "1.x", &first] {
        let found = judged(&world, &first, revision, &known).await;
        assert_eq!(
            (found.verdict, found.key),
            (Verdict::Good, id(&key)),
            "{revision}"
        );
    }
    // The next commit is another, whatever a tag below it says.
    let second = world.commit();
    world.git(&["tag", "-a", "-m", "unsigned", "v2.0.0"]);
    world
        .mirrors
        .list_refs(&world.access(), true)
        .await
        .unwrap();
    for revision in ["v2.0.0", "v1.2.0", "main"] {
        let found = judged(&world, &second, revision, &known).await;
        assert_eq!(found.verdict, Verdict::Unsigned, "{revision}");
    }
    // A tag of a signed tag is not the commit's.
    keys.git(&world, &["tag", "-a", "-m", "of a tag", "nested", "v1.2.0"]);
    // Moved to another commit without its owner: the tag names the commit in what is signed.
    let text = world
        .git(&["cat-file", "tag", "v1.2.0"])
        .replace(&first, &second)
        + "\n";
    let store = ["hash-object", "-t", "tag", "-w", "--stdin"];
    let forged = said("git", &world.work(), keys.0.path(), &store, text.as_bytes());
    world.git(&["update-ref", "refs/tags/v9.0.0", &forged]);
    world
        .mirrors
        .list_refs(&world.access(), true)
        .await
        .unwrap();
    let found = judged(&world, &second, "v9.0.0", &known).await;
    assert_eq!(found.verdict, Verdict::Bad);
}

#[tokio::test]
async fn whatever_stands_in_a_signature_it_is_bad_or_unreadable_and_breaks_nothing() {
    let (world, keys) = (World::new(), Keys::new());
    world.commit();
    let key = keys.make("hostile@example.com", "rsa2048", "0", &[]);
    let known = [keys.armored(&key)];
    let good = keys.commit(&world, &key);
    let text = world.git(&["cat-file", "commit", &good]) + "\n";
    let begin = text.find("-----BEGIN PGP").unwrap();
    let end = text.find(" -----END PGP").unwrap();
    let mut random = StdRng::seed_from_u64(11);
    let mut refs = String::new();
    let mut made = Vec::new();
    for n in 0..150 {
        let mut armor = text.as_bytes()[begin + 30..end].to_vec();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..armor.len());
            match random.random_range(0..4) {
                0 => {
                    armor[at] =
                        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef0123456789+/="[random.random_range(0..43)]
                }
                1 => drop(armor.drain(at..(at + 9).min(armor.len()))),
                2 => drop(armor.splice(at..at, *b"AAAA////")),
                _ => armor.extend(armor[..at].to_vec()),
            }
        }
        let armor = String::from_utf8_lossy(&armor)
            .replace('\n', "\n ")
            .replace("\n  ", "\n ");
        let changed = format!(
            "{}\n {}\n{}",
            &text[..begin + 29],
            armor.trim(),
            &text[end..]
        );
        let store = [
            "hash-object",
            "-t",
            "commit",
            "-w",
            "--literally",
            "--stdin",
        ];
        let commit = said(
            "git",
            &world.work(),
            keys.0.path(),
            &store,
            changed.as_bytes(),
        );
        refs.push_str(&format!("create refs/heads/m-{n} {commit}\n"));
        made.push(commit);
    }
    let all = ["update-ref", "--stdin"];
    said("git", &world.work(), keys.0.path(), &all, refs.as_bytes());
    let mut good_again = 0;
    for commit in made {
        let found = judged(&world, &commit, &commit, &known).await;
        // A change of what armor ignores (its checksum, line breaks) leaves the signature what it is.
        good_again += usize::from(found.verdict == Verdict::Good);
    }
    assert!(good_again < 20, "{good_again}");
    let huge = text.replacen("signed", &"x".repeat(2 << 20), 1);
    let store = ["hash-object", "-t", "commit", "-w", "--stdin"];
    let huge = said("git", &world.work(), keys.0.path(), &store, huge.as_bytes());
    world.git(&["branch", "huge", &huge]);
    let found = judged(&world, &huge, "huge", &known).await;
    assert_eq!(found.verdict, Verdict::Unreadable);
}
