//! Whether the record is what was written: every seal computed again from the entries as they rest now.

use domain::secret::Secret;
use domain::tenant::TenantId;

use super::chain::{self, DIGEST, Link, Sealed};
use super::{Audit, Seal};
use crate::error::Result;

/// How many seals are read at once.
const PAGE: i64 = 100;
/// More entries than this between two seals are not read: no seal closes so many.
const MOST: i64 = 10_000;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many seals are good.
    pub seals: i64,
    /// How many entries they close.
    pub entries: i64,
    /// How many entries no seal closes yet.
    pub unsealed: i64,
    /// The last good seal: its number, and its hash in hex. Whoever keeps them elsewhere can ask for them later.
    pub last: Option<(i64, String)>,
    /// What is broken first.
    pub broken: Option<Broken>,
}

/// Where the record is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The seal.
    pub seq: i64,
    /// The entry, where one can be named.
    pub id: Option<i64>,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The entry was changed.
    Changed,
    /// An entry that was sealed after this one is gone, or that one itself (the first of its seal).
    Missing,
    /// The entry was put in afterwards.
    Added,
    /// The seal was changed, or made by somebody without the key.
    Seal,
    /// The seal does not follow the one before: some are gone.
    Gap,
    /// The seal that the asker knows is not there.
    Unknown,
}

impl Why {
    /// A word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Added => "added",
            Self::Seal => "seal",
            Self::Gap => "gap",
            Self::Unknown => "unknown",
        }
    }
}

impl Audit<'_> {
    /// Computes the chain again. `known` is a seal that the asker wrote down earlier: its number and hash.
    ///
    /// # Errors
    /// When the database does not answer or the key does not open.
    #[tracing::instrument(name = "db.audit.verify", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn verify(&self, known: Option<(i64, &str)>) -> Result<Verified> {
        let mut found = Verified::default();
        // Ids begin at 1 where nobody meddles; what was put in before the first is looked at as well.
        let (mut seq, mut to_id, mut previous) = (0_i64, i64::MIN, Vec::new());
        // Without a key nothing was sealed, unless the key was taken away: then no seal is good.
        let key = self.key().await?.unwrap_or_else(|| Secret::from(""));
        loop {
            let seals = self.seals(seq, PAGE).await?;
            for seal in &seals {
                let entries = self.links(to_id, seal.to_id, MOST).await?;
                let tenant = self.scope.tenant();
                found.broken = examine(&key, tenant, (seq, &previous), seal, &entries);
                if found.broken.is_some() {
                    return Ok(found);
                }
                if let Some((number, hash)) = known
                    && number == seal.seq
                    && !hash.eq_ignore_ascii_case(&hex::encode(&seal.hash))
                {
                    found.broken = Some(broken(seal.seq, None, Why::Unknown));
                    return Ok(found);
                }
                found.seals += 1;
                found.entries += seal.count;
                found.last = Some((seal.seq, hex::encode(&seal.hash)));
                (seq, to_id, previous) = (seal.seq, seal.to_id, seal.hash.clone());
            }
            if seals.is_empty() {
                break;
            }
        }
        if let Some((number, _)) = known
            && number > seq
        {
            found.broken = Some(broken(number, None, Why::Unknown));
        }
        let mut tx = self.scope.begin().await?;
        found.unsealed = sqlx::query_scalar("SELECT count(*) FROM naru.audit WHERE id > $1")
            .bind(to_id)
            .fetch_one(&mut *tx)
            .await?;
        Ok(found)
    }
}

fn broken(seq: i64, id: Option<i64>, why: Why) -> Broken {
    Broken { seq, id, why }
}

/// What is wrong with a seal that follows the one of `before` (its number and hash) and closes these entries.
fn examine(
    key: &Secret,
    tenant: TenantId,
    before: (i64, &[u8]),
    seal: &Seal,
    entries: &[Link],
) -> Option<Broken> {
    if seal.seq != before.0 + 1 || seal.previous != before.1 {
        return Some(broken(seal.seq, None, Why::Gap));
    }
    let hash = chain::hash(
        key,
        &Sealed {
            tenant,
            seq: seal.seq,
            from_id: seal.from_id,
            to_id: seal.to_id,
            digests: &seal.digests,
            previous: &seal.previous,
        },
    );
    let count = usize::try_from(seal.count).unwrap_or_default();
    if seal.hash != hash || seal.digests.len() != count * DIGEST {
        return Some(broken(seal.seq, None, Why::Seal));
    }
    // From here on the seal is believed, and the entries are judged by it.
    let mut sealed = seal.digests.chunks_exact(DIGEST);
    let mut last_good = None;
    for (place, entry) in entries.iter().enumerate() {
        let digest = chain::digest(key, tenant, entry);
        if sealed.next() == Some(digest.as_slice()) {
            last_good = Some(entry.id);
            continue;
        }
        let known = |digest: [u8; DIGEST]| seal.digests.chunks_exact(DIGEST).any(|d| d == digest);
        let why = if known(digest) {
            return Some(broken(seal.seq, last_good, Why::Missing));
        } else if entries.len() > count
            && entries
                .get(place + 1)
                .is_none_or(|next| known(chain::digest(key, tenant, next)))
        {
            Why::Added
        } else {
            Why::Changed
        };
        return Some(broken(seal.seq, Some(entry.id), why));
    }
    sealed
        .next()
        .map(|_| broken(seal.seq, last_good, Why::Missing))
}
