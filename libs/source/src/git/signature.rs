//! Whether a commit, or the annotated tag that names it, is signed, and by which of a tenant's keys.
//!
//! Only OpenPGP signatures are verified, in this process, with the keys that come with the request: no keyring, no
//! `gpg`. What is hostile in them is bounded by size, and a signature that breaks its reader is one that is not good.

use domain::signature::{Signature, Verdict};
use git2::{ErrorCode, Oid, Repository};
use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{self, PublicSubkey, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, PublicKeyTrait, Tag};

use super::mirror::damaged;
use crate::error::Error;

/// The largest commit or tag that is looked at.
const MAX_SIGNED: usize = 1 << 20;
/// The longest signature, armored.
const MAX_SIGNATURE: usize = 32 << 10;
/// The largest key packet: an RSA key of 16,384 bits has less.
const MAX_KEY: usize = 2_300;
/// How many signatures of one key are verified to learn what it may do.
const MAX_CERTIFICATIONS: usize = 100;

/// What was signed, and the signature over it.
#[derive(Debug)]
pub(super) struct Signed {
    content: Vec<u8>,
    signature: String,
}

impl Signed {
    /// A commit's; `None` where it has none.
    pub(super) fn commit(repository: &Repository, id: Oid) -> Result<Option<Self>, Error> {
        if size(repository, id)? > MAX_SIGNED {
            return Ok(Some(Self::unreadable()));
        }
        match repository.extract_signature(&id, None) {
            Ok((signature, content)) => Ok(Some(Self {
                content: content.to_vec(),
                signature: String::from_utf8_lossy(&signature).into_owned(),
            })),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(damaged(&error)),
        }
    }

    /// Of the annotated tag of this full name, if it leads to the commit; `None` where it has none or is no such tag.
    pub(super) fn tag(
        repository: &Repository,
        name: &str,
        commit: Oid,
    ) -> Result<Option<Self>, Error> {
        let Some(id) = repository.refname_to_id(name).ok() else {
            return Ok(None);
        };
        // Before it is read, whatever it is.
        if size(repository, id)? > MAX_SIGNED {
            return Ok(Some(Self::unreadable()));
        }
        // A tag of a tag says nothing about the commit itself.
        let direct = repository
            .find_tag(id)
            .is_ok_and(|tag| tag.target_id() == commit);
        if !direct {
            return Ok(None);
        }
        let database = repository.odb().map_err(|error| damaged(&error))?;
        let object = database.read(id).map_err(|error| damaged(&error))?;
        Ok(Self::split(object.data()))
    }

    /// A tag's signature is the end of it.
    fn split(tag: &[u8]) -> Option<Self> {
        let mut at = 0;
        let mut begins = None;
        for line in tag.split_inclusive(|byte| *byte == b'\n') {
            if BEGINNINGS
                .iter()
                .any(|beginning| line.starts_with(beginning.as_bytes()))
            {
                begins = Some(at);
            }
            at += line.len();
        }
        let (content, signature) = tag.split_at(begins?);
        Some(Self {
            content: content.to_vec(),
            signature: String::from_utf8_lossy(signature).into_owned(),
        })
    }

    fn unreadable() -> Self {
        Self {
            content: Vec::new(),
            signature: String::new(),
        }
    }
}

/// How signatures begin, as Git knows them.
const BEGINNINGS: [&str; 4] = [
    "-----BEGIN PGP SIGNATURE-----",
    "-----BEGIN PGP MESSAGE-----",
    "-----BEGIN SSH SIGNATURE-----",
    "-----BEGIN SIGNED MESSAGE-----",
];

fn size(repository: &Repository, id: Oid) -> Result<usize, Error> {
    let database = repository.odb().map_err(|error| damaged(&error))?;
    let (size, _) = database.read_header(id).map_err(|error| damaged(&error))?;
    Ok(size)
}

/// Verifies a signature with these keys, armored. `now` is in seconds since 1970. May panic on what breaks its reader.
pub(super) fn verify(signed: &Signed, keys: &[String], now: i64) -> Signature {
    let text = signed.signature.trim_start();
    if text.starts_with(BEGINNINGS[2]) || text.starts_with(BEGINNINGS[3]) {
        return Signature::only(Verdict::Foreign);
    }
    if text.len() > MAX_SIGNATURE {
        return Signature::only(Verdict::Unreadable);
    }
    let Some(signature) = one(text) else {
        return Signature::only(Verdict::Unreadable);
    };
    let mut found = Signature {
        key: issuer(&signature),
        cipher: cipher(&signature),
        ..Signature::only(Verdict::UnknownKey)
    };
    for armored in keys {
        let Ok((key, _)) = SignedPublicKey::from_string(armored) else {
            continue;
        };
        if let Some((id, verdict)) = by(&key, &signature, &signed.content, now) {
            found.key = id;
            found.primary = hex_id(&key.primary_key);
            found.verdict = verdict;
            // Two keys may have one id: the good one decides.
            if verdict == Verdict::Good {
                break;
            }
        }
    }
    found
}

/// The one signature of an armored text.
fn one(text: &str) -> Option<packet::Signature> {
    let (mut all, _) = DetachedSignature::from_string_many(text).ok()?;
    let first = all.next()?.ok()?.signature;
    // Which of several counts would be anybody's guess.
    let critical = first.config().is_some_and(|config| {
        let unknown = |data: &SubpacketData| {
            matches!(
                data,
                SubpacketData::Other(..)
                    | SubpacketData::Experimental(..)
                    | SubpacketData::Notation(_)
            )
        };
        let mut subpackets = config.hashed_subpackets();
        subpackets.any(|subpacket| subpacket.is_critical && unknown(&subpacket.data))
    });
    (all.next().is_none() && !critical && first.typ() == Some(SignatureType::Binary))
        .then_some(first)
}

/// Whose it says that it is.
fn issuer(signature: &packet::Signature) -> String {
    let print = signature
        .issuer_fingerprint()
        .first()
        .map(|print| format!("{print:X}"));
    let print = print
        .filter(|print| print.len() == 40)
        .map(|print| print[24..].to_owned());
    let id = || {
        signature
            .issuer()
            .first()
            .map(|id| id.to_string().to_uppercase())
    };
    print.or_else(id).unwrap_or_default()
}

fn hex_id(key: &impl KeyDetails) -> String {
    key.key_id().to_string().to_uppercase()
}

/// As gpg names it.
fn cipher(signature: &packet::Signature) -> String {
    let algorithm = signature.config().map(|config| config.pub_alg);
    match algorithm {
        Some(PublicKeyAlgorithm::RSA | PublicKeyAlgorithm::RSASign) => "RSA",
        Some(PublicKeyAlgorithm::DSA) => "DSA",
        Some(PublicKeyAlgorithm::ECDSA) => "ECDSA",
        Some(PublicKeyAlgorithm::EdDSALegacy | PublicKeyAlgorithm::Ed25519) => "EDDSA",
        _ => "unknown",
    }
    .to_owned()
}

/// What a key, or one of its subkeys, has to do with a signature: the id of which of them, and the verdict.
fn by(
    key: &SignedPublicKey,
    signature: &packet::Signature,
    content: &[u8],
    now: i64,
) -> Option<(String, Verdict)> {
    let primary = &key.primary_key;
    if !fits(primary) {
        return None;
    }
    let mut budget = Budget(MAX_CERTIFICATIONS);
    if named(signature, primary) {
        let made = signature.verify(primary, content).is_ok();
        let lasts = ends(key, &mut budget);
        let verdict = judge(key, signature, made, lasts, now, &mut budget);
        return Some((hex_id(primary), verdict));
    }
    for subkey in &key.public_subkeys {
        if !named(signature, &subkey.key) || !fits(&subkey.key) {
            continue;
        }
        let Some(lasts) = bound(primary, &subkey.key, &subkey.signatures, &mut budget) else {
            continue;
        };
        let made = signature.verify(&subkey.key, content).is_ok();
        let revoked = subkey.signatures.iter().any(|one| {
            one.typ() == Some(SignatureType::SubkeyRevocation)
                && budget.take()
                && one.verify_subkey_binding(primary, &subkey.key).is_ok()
        });
        let lasts = [lasts, ends(key, &mut budget)].into_iter().flatten().min();
        let verdict = match judge(key, signature, made, lasts, now, &mut budget) {
            Verdict::Good | Verdict::Expired if revoked => Verdict::Revoked,
            verdict => verdict,
        };
        return Some((hex_id(&subkey.key), verdict));
    }
    None
}

fn fits(key: &(impl KeyDetails + pgp::ser::Serialize)) -> bool {
    key.write_len() <= MAX_KEY
}

/// Whether the signature says that it is this key's.
fn named(signature: &packet::Signature, key: &impl KeyDetails) -> bool {
    let (id, print) = (key.key_id(), key.fingerprint());
    signature.issuer().contains(&&id) || signature.issuer_fingerprint().contains(&&print)
}

fn judge(
    key: &SignedPublicKey,
    signature: &packet::Signature,
    made: bool,
    lasts: Option<i64>,
    now: i64,
    budget: &mut Budget,
) -> Verdict {
    if !made {
        return Verdict::Bad;
    }
    let strong = matches!(
        signature.hash_alg(),
        Some(
            HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha224
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    );
    if !strong {
        return Verdict::Weak;
    }
    let revoked = key.details.revocation_signatures.iter().any(|one| {
        one.typ() == Some(SignatureType::KeyRevocation)
            && budget.take()
            && one.verify_key(&key.primary_key).is_ok()
    });
    if revoked {
        return Verdict::Revoked;
    }
    let Some(at) = signature.created().map(|at| at.timestamp()) else {
        return Verdict::Unreadable;
    };
    let own_end = signature
        .signature_expiration_time()
        .map(|after| after.num_seconds());
    let over = own_end.is_some_and(|after| after > 0 && at.saturating_add(after) <= now);
    // A day for clocks that differ.
    let unborn = at > now.saturating_add(86_400) || at < key.primary_key.created_at().timestamp();
    if over || unborn || lasts.is_some_and(|end| at >= end) || budget.spent() {
        return Verdict::Expired;
    }
    Verdict::Good
}

/// When the key ends, as its newest signature over itself says; `None` for never.
fn ends(key: &SignedPublicKey, budget: &mut Budget) -> Option<i64> {
    let primary = &key.primary_key;
    let mut newest: Option<(i64, Option<i64>)> = None;
    let mut take = |one: &packet::Signature| {
        let Some(at) = one.created().map(|at| at.timestamp()) else {
            return;
        };
        if newest.is_none_or(|(before, _)| at >= before) {
            newest = Some((
                at,
                one.key_expiration_time().map(|after| after.num_seconds()),
            ));
        }
    };
    for user in &key.details.users {
        for one in &user.signatures {
            let own = one.is_certification() && named(one, primary) && budget.take();
            if own
                && one
                    .verify_certification(primary, Tag::UserId, &user.id)
                    .is_ok()
            {
                take(one);
            }
        }
    }
    for one in &key.details.direct_signatures {
        let own = one.typ() == Some(SignatureType::Key) && named(one, primary) && budget.take();
        if own && one.verify_key(primary).is_ok() {
            take(one);
        }
    }
    let after = newest?.1.filter(|after| *after > 0)?;
    Some(primary.created_at().timestamp().saturating_add(after))
}

/// Whether the primary key took this one as one that signs, and it agreed. Then when it ends, `Some(None)` for never.
#[expect(
    clippy::option_option,
    reason = "not bound, bound for ever, bound until: an enum would be used in one place"
)]
fn bound(
    primary: &packet::PublicKey,
    subkey: &PublicSubkey,
    signatures: &[packet::Signature],
    budget: &mut Budget,
) -> Option<Option<i64>> {
    let good = |one: &&packet::Signature| {
        let back = one.embedded_signature();
        one.typ() == Some(SignatureType::SubkeyBinding)
            && one.key_flags().sign()
            && budget.take()
            && one.verify_subkey_binding(primary, subkey).is_ok()
            && back.is_some_and(|back| {
                back.typ() == Some(SignatureType::KeyBinding)
                    && back.verify_primary_key_binding(subkey, primary).is_ok()
            })
    };
    let newest = signatures
        .iter()
        .filter(good)
        .max_by_key(|one| one.created().copied())?;
    let after = newest
        .key_expiration_time()
        .map(|after| after.num_seconds());
    let after = after.filter(|after| *after > 0);
    Some(after.map(|after| subkey.created_at().timestamp().saturating_add(after)))
}

/// How many more signatures are verified for one key. A key that has more is not believed.
struct Budget(usize);

impl Budget {
    fn take(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }

    fn spent(&self) -> bool {
        self.0 == 0
    }
}
