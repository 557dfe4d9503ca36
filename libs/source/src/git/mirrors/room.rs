//! Room on the disk: mirrors that were used longest ago go while all together take more than they may, and come back when
//! they are asked for again.
//!
//! What is measured is what was fetched last; the others are as large as they were. A mirror that somebody reads or fetches
//! stays, whatever it takes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::super::below::below;
use super::super::remove::remove_all;
use super::{Inner, Mirror, Mirrors};

/// The file of a mirror that is written when it was fetched, so that the next process knows as well.
const USED: &str = "used";

/// A mirror: its tenant, and its own name.
type Name = (String, String);

/// What the mirrors take, once that was looked for.
#[derive(Debug, Default)]
pub(super) struct Room(Mutex<Option<HashMap<Name, Held>>>);

/// What one of them takes.
#[derive(Clone, Copy, Debug)]
struct Held {
    size: u64,
    fetched: SystemTime,
}

/// When a mirror was used last, of those that this process has used, and fetched; the least goes first.
type Age = (u64, SystemTime);

impl Room {
    /// Forgets what a tenant's mirrors took.
    pub(super) fn forget(&self, tenant: &str) {
        if let Some(held) = &mut *self.0.lock() {
            held.retain(|(whose, _), _| whose != tenant);
        }
    }
}

impl Mirrors {
    /// Makes room after a fetch. That of others cannot be had is no failure of the fetch.
    pub(super) async fn make_room(&self, fetched: &Arc<Mirror>) {
        let (this, fetched) = (self.clone(), Arc::clone(fetched));
        let making = tokio::task::spawn_blocking(move || this.0.make_room(&fetched.path));
        if let Err(error) = making.await {
            tracing::error!(%error, "mirrors could not make room");
        }
    }
}

impl Inner {
    fn make_room(&self, fetched: &Path) {
        let Some(name) = name_of(fetched) else {
            return;
        };
        // One without it goes earlier than others, and is fetched again.
        let _ = std::fs::write(fetched.join(USED), b".");
        let mut room = self.room.0.lock();
        let held = room.get_or_insert_with(|| all(&self.folder));
        held.insert(name, look(fetched));
        while let Some(name) = next(held, self.limits.disk, |name| self.idle(name)) {
            let (tenant, mirror) = &name;
            match self.remove(&name) {
                Ok(true) => {
                    tracing::info!(
                        tenant,
                        mirror,
                        "a mirror that was not used for long made room"
                    );
                }
                // Somebody has just come for it.
                Ok(false) => return,
                // It counts again when it was fetched again.
                Err(error) => tracing::warn!(tenant, mirror, %error, "a mirror cannot be removed"),
            }
            held.remove(&name);
        }
    }

    /// When a mirror was last used by this process, 0 where it was not; `None` while somebody uses it.
    fn idle(&self, name: &Name) -> Option<u64> {
        let mirrors = self.mirrors.lock();
        match mirrors.get(name) {
            Some(mirror) if Arc::strong_count(mirror) > 1 => None,
            Some(mirror) => Some(mirror.used()),
            None => Some(0),
        }
    }

    /// Removes a mirror that nobody uses; `false` where somebody does.
    fn remove(&self, name: &Name) -> std::io::Result<bool> {
        let (tenant, mirror) = name;
        let gone = self.temporary.join(format!("gone-{tenant}-{mirror}"));
        // What could not be removed whole before would be in the way for ever.
        remove_all(&gone)?;
        {
            // Whoever comes for it from here on finds none, and fetches it anew.
            let mut mirrors = self.mirrors.lock();
            if mirrors
                .get(name)
                .is_some_and(|mirror| Arc::strong_count(mirror) > 1)
            {
                return Ok(false);
            }
            mirrors.remove(name);
            match std::fs::rename(self.folder.join(tenant).join(mirror), &gone) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
                renamed => renamed?,
            }
        }
        remove_all(&gone).map(|()| true)
    }
}

/// The mirror that goes next, if any has to: of the tenant whose mirrors take most, so that one with much makes room of
/// its own, the one that was used longest ago. `idle` says when that was, and nothing of those in use.
///
/// Not the one that was used longest ago of all tenants above an equal share: whoever uses very much all the time would push
/// out whoever has little more than that and comes seldom.
fn next(
    held: &HashMap<Name, Held>,
    most: u64,
    idle: impl Fn(&Name) -> Option<u64>,
) -> Option<Name> {
    let mut tenants: HashMap<&str, u64> = HashMap::new();
    for ((tenant, _), held) in held {
        *tenants.entry(tenant).or_default() += held.size;
    }
    if tenants.values().sum::<u64>() <= most {
        return None;
    }
    let mut tenants: Vec<(u64, &str)> =
        tenants.into_iter().map(|(name, all)| (all, name)).collect();
    tenants.sort_unstable();
    tenants.into_iter().rev().find_map(|(_, tenant)| {
        let own = held.iter().filter(|((whose, _), _)| whose == tenant);
        let ages = own.filter_map(|(name, held)| {
            let age: Age = (idle(name)?, held.fetched);
            Some((age, name))
        });
        ages.min().map(|(_, name)| name.clone())
    })
}

/// The name of the mirror in a folder.
fn name_of(path: &Path) -> Option<Name> {
    let text = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    Some((text(path.parent()?)?, text(path)?))
}

/// What a mirror takes, and when it was fetched.
fn look(path: &Path) -> Held {
    let used = std::fs::metadata(path.join(USED)).and_then(|file| file.modified());
    Held {
        size: size_of(path),
        fetched: used.unwrap_or(SystemTime::UNIX_EPOCH),
    }
}

/// All mirrors of a folder that has one for each tenant.
fn all(folder: &Path) -> HashMap<Name, Held> {
    let mirrors = mirrors(folder).into_iter();
    mirrors
        .filter(|path| !is_beside(path))
        .filter_map(|path| Some((name_of(&path)?, look(&path))))
        .collect()
}

fn mirrors(folder: &Path) -> Vec<PathBuf> {
    let below = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mirrors = below(folder).flat_map(|tenant| below(&tenant.path()));
    mirrors.map(|entry| entry.path()).collect()
}

/// Whether a mirror is one that is fetched anew, beside the damaged one.
fn is_beside(mirror: &Path) -> bool {
    mirror.extension().is_some()
}

/// Removes what a process that was killed was fetching anew: it counts nowhere, and nobody goes on with it. Only while nobody
/// fetches.
pub(super) fn clear_leftovers(folder: &Path) {
    for left in mirrors(folder).into_iter().filter(|path| is_beside(path)) {
        if let Err(error) = remove_all(&left) {
            let path = left.display();
            tracing::warn!(%path, %error, "what was left of a fetch cannot be removed");
        }
    }
}

/// What a disk gives a file or a folder at least, and its size in multiples of: a million refs hold 40 MiB, and take four GiB.
const BLOCK: u64 = 4096;

/// How many bytes what is below a folder takes.
pub(crate) fn size_of(folder: &Path) -> u64 {
    let sizes = below(folder, None).map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => BLOCK,
        Ok(found) => found.len().max(1).next_multiple_of(BLOCK),
        Err(_) => 0,
    });
    sizes.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn s02_many_small_files_take_what_a_disk_gives_them() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("refs/heads");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(size_of(folder.path()), 2 * BLOCK);
        for number in 0..10 {
            std::fs::write(deep.join(number.to_string()), "a".repeat(41)).unwrap();
        }
        std::fs::write(deep.join("empty"), "").unwrap();
        std::fs::write(deep.join("large"), vec![0; 5000]).unwrap();
        assert_eq!(size_of(folder.path()), (2 + 11 + 2) * BLOCK);
        let deepest = deep.join("d/".repeat(300));
        std::fs::create_dir_all(&deepest).unwrap();
        assert_eq!(size_of(folder.path()), (2 + 11 + 2 + 300) * BLOCK);
    }

    fn held(mirrors: &[(&str, &str, u64, u64)]) -> HashMap<Name, Held> {
        let one = |(tenant, mirror, size, fetched): &(&str, &str, u64, u64)| {
            let held = Held {
                size: *size,
                fetched: SystemTime::UNIX_EPOCH + Duration::from_secs(*fetched),
            };
            (((*tenant).to_owned(), (*mirror).to_owned()), held)
        };
        mirrors.iter().map(one).collect()
    }

    #[test]
    fn what_was_used_longest_ago_goes_of_the_tenant_that_has_most() {
        let all = held(&[
            ("a", "old", 10, 1),
            ("b", "older", 40, 2),
            ("b", "newer", 40, 3),
            ("b", "used", 20, 1),
        ]);
        let used = |(_, mirror): &Name| match mirror.as_str() {
            "used" => Some(7_u64),
            _ => Some(0),
        };
        let goes = |most, idle: &dyn Fn(&Name) -> Option<u64>| {
            next(&all, most, idle).map(|(tenant, mirror)| format!("{tenant}/{mirror}"))
        };
        assert_eq!(goes(110, &used), None, "all have room");
        assert_eq!(goes(109, &used).as_deref(), Some("b/older"));
        // Of those in use none goes, and another tenant's does where there is no other.
        let busy = |name: &Name| used(name).filter(|_| name.1 != "older");
        assert_eq!(goes(0, &busy).as_deref(), Some("b/newer"));
        let all_busy = |(tenant, _): &Name| (tenant == "a").then_some(0_u64);
        assert_eq!(goes(0, &all_busy).as_deref(), Some("a/old"));
        assert_eq!(goes(0, &|_| None), None);
    }
}
