//! Whether a signed revision may be deployed: what its signature turned out to be, and whose keys a project names.

use std::collections::BTreeMap;

use crate::message::{self, Message};
use crate::openpgp::key_id;
use crate::project::SignatureKey;

/// How much of a tenant's keys goes with one question, in bytes.
const MAX_KEYS: usize = 2 << 20;

/// What a signature turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is none.
    Unsigned,
    /// The key made it, over just this.
    Good,
    /// The key did not make it, or something else was signed.
    Bad,
    /// By a key that the tenant does not have.
    UnknownKey,
    /// By a key that its owner revoked.
    Revoked,
    /// Made after the key's end, or itself at its end.
    Expired,
    /// With a hash function that can be made to collide.
    Weak,
    /// Of SSH or X.509.
    Foreign,
    /// It cannot be read.
    Unreadable,
}

impl Verdict {
    const WORDS: [(Self, &'static str); 9] = [
        (Self::Unsigned, "unsigned"),
        (Self::Good, "good"),
        (Self::Bad, "bad"),
        (Self::UnknownKey, "unknown-key"),
        (Self::Revoked, "revoked"),
        (Self::Expired, "expired"),
        (Self::Weak, "weak"),
        (Self::Foreign, "foreign"),
        (Self::Unreadable, "unreadable"),
    ];

    /// Its word between the services.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let word = Self::WORDS
            .into_iter()
            .find(|(verdict, _)| *verdict == self);
        word.map_or("unreadable", |(_, word)| word)
    }

    /// The verdict of a word; one that is not known is of a signature that cannot be read.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        let known = Self::WORDS.into_iter().find(|(_, known)| *known == word);
        known.map_or(Self::Unreadable, |(verdict, _)| verdict)
    }
}

/// Who signed a revision, and whether it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What it turned out to be.
    pub verdict: Verdict,
    /// The id of the key that made it, 16 digits; empty where it is not told.
    pub key: String,
    /// The id of the primary key that this one belongs to; empty where it is not known.
    pub primary: String,
    /// Its algorithm, as gpg names it: `RSA`.
    pub cipher: String,
}

impl Signature {
    /// One of which nothing is known but this.
    #[must_use]
    pub fn only(verdict: Verdict) -> Self {
        Self {
            verdict,
            key: String::new(),
            primary: String::new(),
            cipher: String::new(),
        }
    }

    /// Nothing where a project that names these keys lets the revision be deployed, else why not.
    ///
    /// # Errors
    /// Why not.
    pub fn permitted(&self, keys: &[SignatureKey], revision: &str) -> Result<(), Message> {
        let by = |code: message::Code| {
            let message = code.with("cipher", &self.cipher);
            Err(message.with("key", &self.key))
        };
        let of = |code: message::Code| Err(code.with("revision", revision));
        match self.verdict {
            Verdict::Good if keys.iter().any(|allowed| self.is_of(&allowed.key_id)) => Ok(()),
            Verdict::Good => by(message::app::SIGNATURE_NOT_ALLOWED),
            Verdict::Unsigned => of(message::app::SIGNATURE_MISSING),
            Verdict::UnknownKey => by(message::app::SIGNATURE_OF_UNKNOWN_KEY),
            Verdict::Revoked => by(message::app::SIGNATURE_OF_REVOKED_KEY),
            Verdict::Expired => by(message::app::SIGNATURE_EXPIRED),
            Verdict::Weak => by(message::app::SIGNATURE_WEAK),
            Verdict::Bad => of(message::app::SIGNATURE_BAD),
            Verdict::Foreign => of(message::app::SIGNATURE_FOREIGN),
            Verdict::Unreadable => of(message::app::SIGNATURE_UNREADABLE),
        }
    }

    /// Whether it was made by this key, or by a subkey of it.
    fn is_of(&self, allowed: &str) -> bool {
        let Some(allowed) = key_id(allowed) else {
            return false;
        };
        [&self.key, &self.primary]
            .into_iter()
            .any(|id| id.eq_ignore_ascii_case(allowed))
    }

    /// As `signatureInfo` of a revision has it.
    #[must_use]
    pub fn info(&self) -> String {
        let result = match self.verdict {
            Verdict::Unsigned => return "Revision is not signed.".to_owned(),
            Verdict::Foreign => {
                return "UNKNOWN signature: it is of SSH or X.509, and only OpenPGP's are verified"
                    .to_owned();
            }
            Verdict::Unreadable => {
                return "UNKNOWN signature: it is no OpenPGP signature that can be read".to_owned();
            }
            Verdict::Good => "Good",
            Verdict::Bad => "Bad",
            Verdict::UnknownKey | Verdict::Revoked | Verdict::Expired | Verdict::Weak => "Invalid",
        };
        format!("{result} signature from {} key {}", self.cipher, self.key)
    }
}

/// The keys to verify with, armored, of all that a tenant has, by their ids: those that the project names first, since
/// there is an end to what goes with one question.
#[must_use]
pub fn keys(all: BTreeMap<String, String>, named: &[SignatureKey]) -> Vec<String> {
    let is_named = |id: &str| {
        let mut ids = named.iter().filter_map(|named| key_id(&named.key_id));
        ids.any(|named| named.eq_ignore_ascii_case(id))
    };
    let (first, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|(id, _)| is_named(id));
    let mut room = MAX_KEYS;
    let mut chosen = Vec::new();
    for (_, key) in first.into_iter().chain(later) {
        let Some(left) = room.checked_sub(key.len()) else {
            continue;
        };
        room = left;
        chosen.push(key);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(ids: &[&str]) -> Vec<SignatureKey> {
        let key = |id: &&str| SignatureKey {
            key_id: (*id).to_owned(),
        };
        ids.iter().map(key).collect()
    }

    fn signature(verdict: Verdict) -> Signature {
        Signature {
            key: "4AEE18F83AFDEB23".to_owned(),
            primary: "5DE3E0509C47EA3C".to_owned(),
            cipher: "RSA".to_owned(),
            ..Signature::only(verdict)
        }
    }

    #[test]
    fn only_a_good_signature_of_a_named_key_is_deployed() {
        let primary = "CF04DA8B2F2F5B2B5DE3E0505DE3E0509C47EA3C";
        for (keys, allowed) in [
            (vec!["4AEE18F83AFDEB23"], true),
            (vec!["4aee18f83afdeb23"], true),
            (vec!["0000000000000000", "5DE3E0509C47EA3C"], true),
            (vec![primary], true),
            (vec!["0000000000000000"], false),
            (vec![""], false),
            (vec!["EB23"], false),
        ] {
            let judged = signature(Verdict::Good).permitted(&named(&keys), "main");
            assert_eq!(judged.is_ok(), allowed, "{keys:?}");
        }
        let nameless = Signature::only(Verdict::Good);
        assert!(nameless.permitted(&named(&[""]), "main").is_err());
        for (verdict, word) in Verdict::WORDS {
            assert_eq!(Verdict::parse(word), verdict);
            let judged = signature(verdict).permitted(&named(&[primary]), "main");
            assert_eq!(judged.is_ok(), verdict == Verdict::Good, "{word}");
        }
        assert_eq!(Verdict::parse("splendid"), Verdict::Unreadable);
    }

    #[test]
    fn it_is_told_as_argo_cd_tells_it() {
        let said = |verdict: Verdict, keys: &[&str]| {
            let refused = signature(verdict)
                .permitted(&named(keys), "main")
                .unwrap_err();
            refused.render(crate::message::Language::English)
        };
        let begins = [
            (
                said(Verdict::Unsigned, &[]),
                "Target revision main in Git is not signed, but a signature is required",
            ),
            (
                said(Verdict::Good, &[]),
                "Found good signature made with RSA key 4AEE18F83AFDEB23, but this key is not allowed in AppProject",
            ),
            (
                said(Verdict::UnknownKey, &[]),
                "Found signature made with RSA key 4AEE18F83AFDEB23, but verification result was invalid: 'gpg: Can't check signature: No public key'",
            ),
            (
                said(Verdict::Bad, &[]),
                "Could not verify commit signature on revision 'main'",
            ),
        ];
        for (said, begin) in begins {
            assert!(said.starts_with(begin), "{said}");
        }
        assert_eq!(
            signature(Verdict::Good).info(),
            "Good signature from RSA key 4AEE18F83AFDEB23"
        );
        assert_eq!(
            signature(Verdict::Unsigned).info(),
            "Revision is not signed."
        );
    }

    #[test]
    fn the_keys_that_a_project_names_go_first() {
        let key = |id: &str, length: usize| (id.to_owned(), id[..1].repeat(length));
        let all = BTreeMap::from([
            key("0000000000000001", MAX_KEYS - 10),
            key("1000000000000002", 11),
            key("2000000000000003", 9),
        ]);
        let chosen = keys(all, &named(&["1000000000000002"]));
        let firsts: Vec<&str> = chosen.iter().map(|key| &key[..1]).collect();
        assert_eq!(firsts, ["1", "2"]);
    }
}
