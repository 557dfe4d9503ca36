//! Against keys that GnuPG made (`gpg --quick-gen-key`), and what it says of them (`gpg --list-keys`).

use super::*;

const ADA: &str = include_str!("tests/ada.asc");
const THREE: &str = include_str!("tests/three.asc");

/// What `gpg --list-keys` shows of [`THREE`].
const EXPECTED: [(&str, &str, &str); 3] = [
    (
        "E5F512A7CC3A5093A9609406EE725BE46B551B67",
        "ed25519",
        "Ada Tester <ada@example.com>",
    ),
    (
        "4F7FF27AF3A2AF36B8F47F68263B7A92121DBECB",
        "rsa2048",
        "Bob Tester <bob@example.com>",
    ),
    (
        "BFBBF8AC09A9BA6779FBDBF72F9AB9163798FF72",
        "nistp256",
        "Curve Tester <curve@example.com>",
    ),
];

#[test]
fn keys_are_what_gnupg_says_they_are() {
    let keys = public_keys(THREE).unwrap();
    let told: Vec<(&str, &str, &str)> = keys
        .iter()
        .map(|key| {
            (
                key.fingerprint.as_str(),
                key.sub_type.as_str(),
                key.owner.as_str(),
            )
        })
        .collect();
    assert_eq!(told, EXPECTED);
    for key in &keys {
        assert_eq!(key_id(&key.fingerprint), Some(key.id.as_str()));
        let again = public_keys(&key.armored).unwrap();
        assert_eq!(
            again.as_slice(),
            std::slice::from_ref(key),
            "a key stands alone"
        );
    }
}

#[test]
fn several_blocks_are_read_and_the_same_key_counts_once() {
    let keys = public_keys(&format!("a letter\n{ADA}\n{THREE}")).unwrap();
    assert_eq!(keys.len(), 3);
}

#[test]
fn what_is_no_key_is_refused() {
    assert_eq!(public_keys("hello"), Err(Malformed::NoBlock));
    let private = ADA.replace("PUBLIC", "PRIVATE");
    assert_eq!(public_keys(&private), Err(Malformed::Private));
    let body = ADA.lines().nth(3).unwrap();
    let flipped: String = body.chars().rev().collect();
    assert_eq!(
        public_keys(&ADA.replace(body, &flipped)),
        Err(Malformed::Damaged)
    );
    // Every cut is refused or a shorter key; none panics.
    for end in 0..ADA.len() {
        let _ = public_keys(&ADA[..end]);
    }
    let empty = armor::write(&[]);
    assert_eq!(public_keys(&empty), Err(Malformed::Damaged));
    let unnamed = armor::write(&[0x99, 0, 7, 4, 0, 0, 0, 0, 22, 0]);
    assert_eq!(public_keys(&unnamed), Err(Malformed::Nobody));
    let new = armor::write(&[0x99, 0, 7, 6, 0, 0, 0, 0, 22, 0]);
    assert_eq!(public_keys(&new), Err(Malformed::Version(6)));
}

#[test]
fn ids_are_short_or_whole() {
    assert_eq!(key_id("0123456789abcdef"), Some("0123456789abcdef"));
    assert_eq!(key_id(&"A".repeat(40)).map(str::len), Some(16));
    assert_eq!(key_id("xyz"), None);
    assert_eq!(key_id("0123456789abcdeg"), None);
}
