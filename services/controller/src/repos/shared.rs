//! What the tips of repositories are now: listed once for all projects of a tenant that get in by the same way.
//!
//! Two projects share a listing only where both are let in with the same credential, so that a project learns nothing that
//! its own would not have been told.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use domain::repository::{Access, Credentials};
use parking_lot::Mutex;

use super::access::to_wire;
use super::listing::{Listing, Need};
use super::refs::Refs;
use super::{Repo, RepoKey, Repos, Trouble};

/// The tips of a repository as one way in shows them.
pub(super) type Tips = Listing<Arc<Refs>, Trouble>;

/// So many places are known before those are looked for that nobody uses any more.
const FEW: usize = 64;

/// The listings in use.
#[derive(Default)]
pub(super) struct Listings(Mutex<Known>);

#[derive(Default)]
struct Known {
    at: HashMap<RepoKey, Vec<Way>>,
    /// When those are looked for that nobody uses any more.
    most: usize,
}

/// One way into a repository. Whoever uses it holds its tips.
struct Way {
    access: Access,
    tips: Weak<Tips>,
}

impl Listings {
    /// The listing of a repository for whoever gets in so.
    pub(super) fn of(&self, key: &RepoKey, access: &Access) -> Arc<Tips> {
        let access = way(access);
        let mut known = self.0.lock();
        let known = &mut *known;
        let here = known.at.entry(place(key)).or_default();
        here.retain(|one| one.tips.strong_count() > 0);
        let same = here.iter().find(|one| one.access == access);
        if let Some(tips) = same.and_then(|one| one.tips.upgrade()) {
            return tips;
        }
        let tips = Arc::new(Tips::default());
        let shared = Arc::downgrade(&tips);
        here.push(Way {
            access,
            tips: shared,
        });
        if known.at.len() > known.most {
            known
                .at
                .retain(|_, ways| ways.iter().any(|one| one.tips.strong_count() > 0));
            known.most = (known.at.len() * 2).max(FEW);
        }
        tips
    }
}

/// Where something is listed, whatever the project. Of an artifact only the revisions are asked for that a project follows.
fn place(key: &RepoKey) -> RepoKey {
    if key.is_artifact() {
        return key.clone();
    }
    RepoKey {
        project: Arc::default(),
        ..key.clone()
    }
}

/// A way in without its login. Which one that is, its scope says: a login that is changed is the same way.
fn way(access: &Access) -> Access {
    let Access {
        scope,
        kind,
        credentials: _,
        options,
        insecure,
        inherited,
        known_hosts,
        tls_ca,
    } = access;
    Access {
        scope: scope.clone(),
        kind: kind.clone(),
        credentials: Credentials::default(),
        options: options.clone(),
        insecure: *insecure,
        inherited: *inherited,
        known_hosts: known_hosts.clone(),
        tls_ca: tls_ca.clone(),
    }
}

impl Repo {
    /// What is known of its tips, where that is recent enough and its way in is still the same.
    pub(super) fn known(&self, need: Need) -> Option<Result<Arc<Refs>, Trouble>> {
        let entered = self.entered.load(Ordering::SeqCst);
        let tips = self.tips.lock().clone().filter(|_| entered)?;
        tips.known(need)
    }

    /// Whether a listing has come since then.
    pub(super) fn is_listed_since(&self, then: Instant) -> bool {
        let tips = self.tips.lock().clone();
        tips.is_some_and(|tips| tips.has_come_since(then))
    }

    /// How old its last listing is, however it went.
    pub(super) fn age(&self) -> Duration {
        let tips = self.tips.lock().clone();
        let age = tips.and_then(|tips| tips.age(Instant::now()));
        age.unwrap_or_default()
    }
}

impl Repos {
    /// The tips of a repository; of an artifact the digests of what is followed, and of what is asked for now.
    pub(super) async fn tips(
        &self,
        repo: &Repo,
        need: Need,
        asked: Option<&str>,
    ) -> Result<Arc<Refs>, Trouble> {
        if let Some(answer) = repo.known(need) {
            return answer;
        }
        loop {
            let tips = self.enter(repo).await?;
            let list = || async {
                // Others may have asked for long.
                let access = match self.0.accesses.access(&repo.key, &repo.url).await {
                    Ok(access) => access,
                    Err(trouble) => return Some(Err(trouble)),
                };
                let same = Arc::ptr_eq(&tips, &self.0.listings.of(&repo.key, &access));
                if !same {
                    return None;
                }
                Some(self.list(repo, access, asked).await)
            };
            if let Some(answer) = tips.get(need, list).await {
                return answer;
            }
        }
    }

    /// The listing that is a repository's, by the way in that its project has now.
    async fn enter(&self, repo: &Repo) -> Result<Arc<Tips>, Trouble> {
        // Many may want it at the same time, and one reads it for all.
        let _entering = repo.entering.lock().await;
        // What is changed while it is read is heard of later than this.
        repo.entered.store(true, Ordering::SeqCst);
        match self.0.accesses.access(&repo.key, &repo.url).await {
            Ok(access) => {
                let tips = self.0.listings.of(&repo.key, &access);
                *repo.tips.lock() = Some(Arc::clone(&tips));
                Ok(tips)
            }
            Err(trouble) => {
                repo.entered.store(false, Ordering::SeqCst);
                Err(trouble)
            }
        }
    }

    async fn list(
        &self,
        repo: &Repo,
        access: Access,
        asked: Option<&str>,
    ) -> Result<Arc<Refs>, Trouble> {
        let access = to_wire(&repo.key, &repo.url, access);
        let servers = &self.0.servers;
        let listed = match &*repo.key.chart {
            "" if repo.key.is_artifact() => servers.digests(access, repo.revisions(asked)).await,
            "" => servers.list_refs(access).await,
            chart => servers.list_versions(access, chart).await,
        };
        listed.map(Arc::new)
    }

    /// Whether there is a listing that is not too old, however the last one went.
    pub(super) fn tips_known(&self, repo: &Repo) -> bool {
        let tips = repo.tips.lock().clone();
        tips.is_some_and(|tips| tips.good_since(Instant::now(), self.0.age))
    }
}

#[cfg(test)]
mod tests {
    use domain::secret::Secret;
    use domain::tenant::TenantId;
    use uuid::Uuid;

    use super::*;

    fn key(tenant: u128, project: &str, url: &str) -> RepoKey {
        RepoKey::new(TenantId(Uuid::from_u128(tenant)), project, url, "")
    }

    fn access(scope: &str, password: &str) -> Access {
        Access {
            scope: scope.to_owned(),
            kind: "git".to_owned(),
            credentials: Credentials {
                username: "me".to_owned(),
                password: Some(Secret::from(password)),
                ..Credentials::default()
            },
            ..Access::default()
        }
    }

    #[test]
    fn projects_share_a_listing_where_they_get_in_by_the_same_way_and_only_there() {
        let listings = Listings::default();
        let url = "https://h/a";
        let all = access("/https://h/a", "p");
        let first = listings.of(&key(1, "one", url), &all);
        let same = |key: &RepoKey, access: &Access| Arc::ptr_eq(&first, &listings.of(key, access));
        assert!(same(&key(1, "one", url), &all));
        assert!(same(&key(1, "two", url), &all));
        assert!(same(&key(1, "two", "https://H/a.git"), &all));
        // It is kept in the same place, whatever it is now.
        assert!(same(&key(1, "two", url), &access("/https://h/a", "q")));

        for (what, key, access) in [
            (
                "its own login",
                key(1, "two", url),
                access("two/https://h/a", "p"),
            ),
            (
                "a template's",
                key(1, "two", url),
                access("*/https://h", "p"),
            ),
            ("none", key(1, "two", url), Access::default()),
            (
                "unchecked certificates",
                key(1, "two", url),
                Access {
                    insecure: true,
                    ..all.clone()
                },
            ),
            ("another tenant", key(2, "one", url), all.clone()),
            (
                "another repository",
                key(1, "one", "https://h/b"),
                all.clone(),
            ),
            (
                "another on a server that tells letters apart",
                key(1, "one", "https://h/A"),
                all.clone(),
            ),
        ] {
            assert!(!same(&key, &access), "{what}");
        }
        let chart = RepoKey {
            chart: Arc::from("c"),
            ..key(1, "one", url)
        };
        assert!(!same(&chart, &all), "a chart's versions");
        let artifact = |project: &str| listings.of(&key(1, project, "oci://h/a"), &all);
        let (one, two) = (artifact("one"), artifact("two"));
        assert!(!Arc::ptr_eq(&one, &two), "each follows what it follows");
    }

    #[test]
    fn listings_that_nobody_uses_are_forgotten() {
        let listings = Listings::default();
        let access = access("x", "p");
        let held = listings.of(&key(1, "p", "https://h/held"), &access);
        for n in 0..10 * FEW {
            drop(listings.of(&key(1, "p", &format!("https://h/{n}")), &access));
        }
        assert!(listings.0.lock().at.len() <= 2 * FEW);
        let again = listings.of(&key(1, "q", "https://h/held"), &access);
        assert!(Arc::ptr_eq(&held, &again));
    }
}
