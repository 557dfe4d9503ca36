//! Packs and refs that are put together: each fetch leaves a pack of its own, however little it brought, and a file for each ref that
//! moved, and whoever looks for something in a mirror looks through all of them.
//!
//! Only small packs are, so that it costs little whatever else a mirror has; and all that is in them stays, what was pushed over too.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::access::Access;
use super::super::below::below;
use super::super::command;
use super::super::mirror::Mirror;
use super::Mirrors;
use crate::error::Error;

/// How many small packs a mirror has before they are put together.
const MANY: usize = 32;
/// The largest pack that is a small one, in bytes.
const SMALL: u64 = 1 << 20;
/// How many refs are a file each before they are put into one.
const MANY_REFS: usize = 64;
/// How long either may take; who has just fetched waits for it.
const LONGEST: Duration = Duration::from_secs(20);

/// The packs that a mirror has.
struct Packs {
    /// How many are small.
    small: usize,
    /// The names of the others.
    large: Vec<String>,
}

impl Mirror {
    fn packs(&self) -> Packs {
        let mut packs = Packs {
            small: 0,
            large: Vec::new(),
        };
        let folder = std::fs::read_dir(self.path.join("objects/pack"));
        for entry in folder.into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if !name.ends_with(".pack") {
                continue;
            }
            match entry.metadata() {
                Ok(found) if found.len() > SMALL => packs.large.push(name),
                Ok(_) => packs.small += 1,
                Err(_) => {}
            }
        }
        packs
    }

    /// The names of its large packs, where the small ones are many more than they were when they were put together last.
    fn scattered(&self) -> Option<Vec<String>> {
        let packs = self.packs();
        let before = self.gathered.load(Ordering::Relaxed);
        (packs.small >= before.saturating_add(MANY)).then_some(packs.large)
    }

    /// How many of its refs are a file each.
    fn loose_refs(&self) -> usize {
        let all = below(&self.path.join("refs"), None);
        let files = all.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()));
        files.count()
    }

    /// Whether those are many more than when they were put into one file last.
    fn has_loose_refs(&self) -> bool {
        let before = self.packed.load(Ordering::Relaxed);
        self.loose_refs() >= before.saturating_add(MANY_REFS)
    }
}

impl Mirrors {
    /// Puts the small packs of a mirror together where they are many, and its refs. Only while holding the fetch. That it cannot be
    /// done is no failure of the fetch: it is tried again when as many more have come.
    pub(super) async fn gather(&self, mirror: &Arc<Mirror>, access: &Access) {
        let looking = Arc::clone(mirror);
        let looking =
            tokio::task::spawn_blocking(move || (looking.scattered(), looking.has_loose_refs()));
        let Ok((packs, refs)) = looking.await else {
            return;
        };
        let deadline = LONGEST.min(self.limits().fetch);
        let (sandbox, path, bounds) = (&self.0.sandbox, &mirror.path, self.bounds());
        if refs {
            let packing = command::pack_refs(sandbox, path, deadline, bounds).await;
            tell(mirror, access, packing);
        }
        if let Some(large) = &packs {
            let gathering = command::gather(sandbox, path, large, deadline, bounds).await;
            tell(mirror, access, gathering);
        }
        if packs.is_none() && !refs {
            return;
        }
        let noting = Arc::clone(mirror);
        let noting = tokio::task::spawn_blocking(move || {
            if refs {
                let left = noting.loose_refs();
                noting.packed.store(left, Ordering::Relaxed);
            }
            if packs.is_some() {
                let left = noting.packs().small;
                noting.gathered.store(left, Ordering::Relaxed);
                // Whoever opens it from here on does not open those that are gone.
                drop(noting.rest());
            }
        });
        if let Err(error) = noting.await {
            tracing::error!(%error, "what is left of a mirror could not be counted");
        }
    }
}

/// Says that a mirror is as scattered as it was, and removes what was begun.
fn tell(mirror: &Mirror, access: &Access, tidied: Result<(), Error>) {
    if let Err(error) = tidied {
        let detail = error.log_detail().unwrap_or_default();
        tracing::warn!(tenant = access.tenant(), url = access.url(), %error, detail, "a mirror could not be put together");
        // Here, as after a fetch that failed.
        mirror.clear_leftovers();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_packs_are_put_together_when_as_many_more_have_come() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(folder.path().join("mirror"));
        assert_eq!(mirror.scattered(), None, "there is none");
        mirror.prepare().unwrap();
        let put = |name: &str, size: u64| {
            let file = std::fs::File::create(mirror.path.join("objects/pack").join(name));
            file.unwrap().set_len(size).unwrap();
        };
        put("pack-large.pack", SMALL + 1);
        for number in 1..MANY {
            put(&format!("pack-{number}.pack"), SMALL);
            put(&format!("pack-{number}.idx"), SMALL);
        }
        assert_eq!(mirror.scattered(), None);
        put("pack-last.pack", 0);
        let large = Some(vec!["pack-large.pack".to_owned()]);
        assert_eq!(mirror.scattered(), large);

        // That failed, or left so many.
        mirror.gathered.store(1, Ordering::Relaxed);
        assert_eq!(mirror.scattered(), None);
        put("pack-more.pack", 1);
        assert_eq!(mirror.scattered(), large);
        mirror.discard().unwrap();
        assert_eq!(mirror.gathered.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn refs_are_put_into_one_file_when_as_many_more_have_come() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(folder.path().join("mirror"));
        mirror.prepare().unwrap();
        let put = |number: usize| {
            let folder = mirror.path.join(format!("refs/heads/{}", number % 3));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(number.to_string()), "").unwrap();
        };
        (1..MANY_REFS).for_each(put);
        assert!(!mirror.has_loose_refs(), "folders are none");
        put(MANY_REFS);
        assert!(mirror.has_loose_refs());
        mirror.packed.store(1, Ordering::Relaxed);
        assert!(!mirror.has_loose_refs());
        put(MANY_REFS + 1);
        assert!(mirror.has_loose_refs());
        mirror.discard().unwrap();
        assert_eq!(mirror.packed.load(Ordering::Relaxed), 0);
    }
}
