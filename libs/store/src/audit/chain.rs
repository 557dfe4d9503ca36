//! What seals are made of, as pure functions: an entry's digest, and the hash of a seal over its entries' digests and the
//! seal before it. Both are keyed.

use domain::secret::Secret;
use domain::tenant::TenantId;

/// How many bytes of a seal stand for one entry.
pub const DIGEST: usize = 16;

/// An entry as it is digested, and as it rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its id.
    pub id: i64,
    /// When, in microseconds since 1970.
    pub at: i64,
    /// The entry whose end it is.
    pub about: Option<i64>,
    /// The account.
    pub actor: String,
    /// What kind of actor.
    pub actor_kind: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub object: String,
    /// Where from.
    pub source: String,
    /// How it ended.
    pub result: String,
    /// What ties it to logs.
    pub request_id: String,
    /// Particulars, as PostgreSQL writes its `jsonb`.
    pub details: String,
}

/// The columns of a [`Link`].
pub(crate) const COLUMNS: &str = "id, (extract(epoch FROM at) * 1000000)::bigint AS at, about, actor, actor_kind, action, \
     object, source, result, request_id, details::text AS details";

/// What is sealed: which entries, and after which seal.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// The seal's number, from 1.
    pub seq: i64,
    /// The first entry.
    pub from_id: i64,
    /// The last entry.
    pub to_id: i64,
    /// The entries' digests, one after another.
    pub digests: &'a [u8],
    /// The hash of the seal before; empty for the first.
    pub previous: &'a [u8],
}

fn key(secret: &Secret, purpose: &str) -> [u8; 32] {
    blake3::derive_key(purpose, secret.expose())
}

/// Every part is led by its length, so that no two values read the same.
fn part(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

/// The digest of an entry.
#[must_use]
pub fn digest(secret: &Secret, tenant: TenantId, link: &Link) -> [u8; DIGEST] {
    let mut hasher =
        blake3::Hasher::new_keyed(&key(secret, "naru 2026 audit: the digest of an entry"));
    part(&mut hasher, tenant.0.as_bytes());
    part(&mut hasher, &link.id.to_be_bytes());
    part(&mut hasher, &link.at.to_be_bytes());
    match link.about {
        Some(about) => part(&mut hasher, &about.to_be_bytes()),
        None => part(&mut hasher, &[]),
    }
    for text in [
        &link.actor,
        &link.actor_kind,
        &link.action,
        &link.object,
        &link.source,
        &link.result,
        &link.request_id,
        &link.details,
    ] {
        part(&mut hasher, text.as_bytes());
    }
    let mut digest = [0; DIGEST];
    hasher.finalize_xof().fill(&mut digest);
    digest
}

/// The hash of a seal.
#[must_use]
pub fn hash(secret: &Secret, sealed: &Sealed<'_>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(&key(secret, "naru 2026 audit: the hash of a seal"));
    part(&mut hasher, sealed.tenant.0.as_bytes());
    for number in [sealed.seq, sealed.from_id, sealed.to_id] {
        part(&mut hasher, &number.to_be_bytes());
    }
    part(&mut hasher, sealed.digests);
    part(&mut hasher, sealed.previous);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            id: 7,
            at: 1,
            about: None,
            actor: "admin".into(),
            actor_kind: "account".into(),
            action: "/a/B".into(),
            object: "x".into(),
            source: String::new(),
            result: String::new(),
            request_id: String::new(),
            details: "{}".into(),
        }
    }

    #[test]
    fn every_field_counts_and_so_do_tenant_and_key() {
        let (key, other) = (Secret::from("k"), Secret::from("l"));
        let (a, b) = (
            TenantId(uuid::Uuid::from_u128(1)),
            TenantId(uuid::Uuid::from_u128(2)),
        );
        let first = digest(&key, a, &link());
        assert_eq!(first, digest(&key, a, &link()));
        let mut others = vec![digest(&key, b, &link()), digest(&other, a, &link())];
        let changes: [fn(&mut Link); 11] = [
            |l| l.id = 8,
            |l| l.at = 2,
            |l| l.about = Some(0),
            |l| l.actor = "admi".into(),
            |l| l.actor_kind = "operator".into(),
            |l| l.action.push('x'),
            // The same letters, divided otherwise.
            |l| {
                l.action = "/a/Bx".into();
                l.object.clear();
            },
            |l| l.source = "1".into(),
            |l| l.result = "OK".into(),
            |l| l.request_id = "1".into(),
            |l| l.details = "{\"a\": 1}".into(),
        ];
        for change in changes {
            let mut changed = link();
            change(&mut changed);
            others.push(digest(&key, a, &changed));
        }
        others.push(first);
        let count = others.len();
        others.sort_unstable();
        others.dedup();
        assert_eq!(others.len(), count);
    }

    #[test]
    fn a_seal_covers_its_number_its_entries_and_the_one_before() {
        let key = Secret::from("k");
        let seal = Sealed {
            tenant: TenantId(uuid::Uuid::nil()),
            seq: 1,
            from_id: 1,
            to_id: 2,
            digests: b"ab",
            previous: b"c",
        };
        let first = hash(&key, &seal);
        for other in [
            Sealed { seq: 2, ..seal },
            Sealed { from_id: 0, ..seal },
            Sealed { to_id: 3, ..seal },
            Sealed {
                digests: b"a",
                previous: b"bc",
                ..seal
            },
        ] {
            assert_ne!(hash(&key, &other), first);
        }
    }
}
