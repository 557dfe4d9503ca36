//! The tip of a branch, fetched by its id: the server has just told where its branches are, and need not tell of all its refs again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use git2::Oid;

use super::super::access::Access;
use super::super::mirror::Mirror;
use super::super::pack::{self, Means};
use super::super::places::{Patience, is_late, is_silent, late};
use super::super::refs::Refs;
use super::{Mirrors, Request, Snapshot, open};
use crate::error::{Error, Kind};

/// The branch that a commit is the tip of. None where a tag leads there, which then is to be fetched too: it may be what is signed.
fn branch_at<'a>(refs: &'a Refs, commit: &str) -> Option<&'a str> {
    let mut branch = None;
    for (name, _) in refs.refs.iter().filter(|(_, tip)| *tip == commit) {
        if name.starts_with("refs/tags/") {
            return None;
        }
        if branch.is_none() && name.starts_with("refs/heads/") {
            branch = Some(name.as_str());
        }
    }
    branch
}

impl Mirror {
    /// Whether its server is asked for commits by their ids, and there is something that they are added to.
    fn asks_by_id(&self) -> bool {
        let version2 = self.version2.load(Ordering::Relaxed);
        self.ready() && version2 && self.by_id.is_open()
    }

    /// Has a branch lead to a commit, so that the next fetch says that it is there; `false` where that cannot be.
    fn lead(&self, branch: &str, commit: &str) -> bool {
        let (Ok(id), Ok(handle)) = (Oid::from_str(commit), self.open()) else {
            return false;
        };
        let leads = handle.reference(branch, id, true, "fetch").is_ok();
        self.give_back(handle);
        leads
    }
}

impl Mirrors {
    /// Fetches a commit that is listed as the tip of a branch, and nothing else. `None` where all has to be fetched.
    pub(super) async fn fetch_tip(
        &self,
        mirror: &Arc<Mirror>,
        access: &Access,
        commit: &str,
        patience: Patience<'_>,
    ) -> Result<Option<Snapshot>, Error> {
        if !mirror.asks_by_id() {
            return Ok(None);
        }
        let remember = self.limits().remember;
        let listed = mirror
            .listed
            .lock()
            .as_ref()
            .and_then(|listed| listed.within(remember).cloned());
        let Some(refs) = listed else {
            return Ok(None);
        };
        let Some(branch) = branch_at(&refs, commit).map(str::to_owned) else {
            return Ok(None);
        };
        let begun = AtomicBool::new(false);
        let job = || async {
            let _turn = self.fetch_turn(mirror, access, &begun).await;
            // Who came before may have brought it, or found that the server is not asked so any more.
            if let Some(snapshot) = open(mirror, commit).await? {
                return Ok(Some(snapshot));
            }
            if !mirror.asks_by_id() {
                return Ok(None);
            }
            mirror.begin();
            let (looking, at) = (Arc::clone(mirror), branch.clone());
            let looking = tokio::task::spawn_blocking(move || looking.haves(&at, &refs));
            let haves = looking.await.map_err(Error::internal)?;
            if let Err(error) = self.fetch_id(mirror, access, commit, &haves).await {
                if error.is_lasting() || error.kind() == Kind::TooLarge {
                    mirror.by_id.refused();
                } else if is_late(&error) {
                    // All of the time is gone: the next one has it for everything.
                    mirror.by_id.rest(self.limits().fetch);
                }
                // Here, as after another fetch that failed.
                mirror.clear_leftovers();
                mirror.end();
                // It moved on meanwhile, or the mirror is to be fetched anew, or the server has an answer to another question.
                let answered = error.kind() == Kind::Unreachable && error.is_lasting();
                if answered || matches!(error.kind(), Kind::NotFound | Kind::Corrupt) {
                    return Ok(None);
                }
                self.make_room(mirror).await;
                return Err(error);
            }
            mirror.by_id.went();
            let (leading, id) = (Arc::clone(mirror), commit.to_owned());
            let leading = tokio::task::spawn_blocking(move || leading.lead(&branch, &id));
            if !leading.await.map_err(Error::internal)? {
                // There may be another one where its folder has to be, which goes when all is fetched; or a lock, which that clears.
                return Ok(None);
            }
            self.gather(mirror, access).await;
            mirror.end();
            self.make_room(mirror).await;
            open(mirror, commit).await
        };
        patience.turn(&begun, mirror.fetching.alone((), job)).await
    }

    /// Fetches one commit by its id: in process where there is something that the mirror has, and else in Git's own way.
    #[tracing::instrument(name = "git.fetch", skip_all)]
    pub(super) async fn fetch_id(
        &self,
        mirror: &Arc<Mirror>,
        access: &Access,
        commit: &str,
        haves: &[String],
    ) -> Result<(), Error> {
        let limit = self.limits().fetch;
        self.observed(access, Request::Fetch, async {
            let entered = &self.enter(access).await?;
            let fetching = async {
                let mut unusual = None;
                if !haves.is_empty() && mirror.in_process.is_open() {
                    unusual = self
                        .fetch_in_process(mirror, entered, commit, haves)
                        .await?;
                    if unusual.is_none() {
                        return Ok(());
                    }
                }
                let call = self.call(entered, limit).await?;
                call.fetch(&mirror.path, Some(commit)).await?;
                if unusual.is_some_and(|why| why.is_lasting()) {
                    mirror.in_process.refused();
                }
                Ok::<(), Error>(())
            };
            // Both ways together take no longer.
            let fetched = tokio::time::timeout(limit, fetching).await;
            fetched.unwrap_or_else(|_| Err(late(entered, limit)))
        })
        .await
    }

    /// Fetches it in process; says why not where anything is unusual, which Git's own way then brings, or has a name for.
    async fn fetch_in_process(
        &self,
        mirror: &Arc<Mirror>,
        access: &Access,
        commit: &str,
        haves: &[String],
    ) -> Result<Option<Error>, Error> {
        let means = Means {
            clients: &self.0.clients,
            sandbox: &self.0.sandbox,
            temporary: &self.0.temporary,
            deadline: self.limits().fetch,
            bounds: self.bounds(),
        };
        let fetched = pack::fetch(means, access, &mirror.path, commit, haves).await;
        let found = match fetched {
            Ok(()) => open(mirror, commit).await,
            Err(error) => Err(error),
        };
        let why = match found {
            Ok(Some(_)) => {
                mirror.in_process.went();
                return Ok(None);
            }
            Ok(None) => pack::without(access),
            Err(error) if is_silent(&error) => {
                // In what is left of the time the same server would be as silent, while others wait for their turn. Whoever asks next does so
                // in Git's own way, on another connection and with all of the time: an answer that has to be thought of for long comes so.
                mirror.in_process.rest(self.limits().fetch);
                return Err(error);
            }
            Err(error) if matches!(error.kind(), Kind::Unreachable | Kind::Corrupt) => error,
            Err(error) => return Err(error),
        };
        tracing::debug!(
            tenant = access.tenant(),
            url = access.url(),
            %why,
            "a commit is fetched in Git's own way"
        );
        Ok(Some(why))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::mirror::tests::commit;
    use super::*;

    #[test]
    fn a_commit_is_fetched_alone_where_branches_lead_to_it_and_no_tag_does() {
        let [one, two, three] = ["1", "2", "3"].map(|digit| digit.repeat(40));
        let mut refs = Refs::default();
        for (name, commit) in [
            ("HEAD", &one),
            ("refs/heads/a", &one),
            ("refs/heads/b", &one),
            ("refs/heads/c", &two),
            ("refs/tags/v1", &two),
            ("refs/merge/1", &three),
        ] {
            refs.refs.insert(name.to_owned(), commit.clone());
        }
        assert_eq!(branch_at(&refs, &one), Some("refs/heads/a"));
        assert_eq!(branch_at(&refs, &two), None, "a tag");
        assert_eq!(branch_at(&refs, &three), None, "no branch");
        assert_eq!(branch_at(&refs, &"4".repeat(40)), None);
    }

    #[test]
    fn a_branch_leads_to_what_was_fetched_unless_another_one_is_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(folder.path().join("mirror"));
        assert!(
            !mirror.lead("refs/heads/a", &"1".repeat(40)),
            "there is none"
        );
        mirror.prepare().unwrap();
        let commit = |said: &str| {
            let handle = mirror.open().unwrap();
            commit(&handle, None, said, None).to_string()
        };
        for said in ["first", "second"] {
            let id = commit(said);
            assert!(mirror.lead("refs/heads/a", &id));
            let handle = mirror.open().unwrap();
            let leads = handle.refname_to_id("refs/heads/a").unwrap();
            assert_eq!(leads.to_string(), id);
        }
        assert!(!mirror.lead("refs/heads/a/b", &commit("third")));
        assert!(!mirror.lead("refs/heads/..", &commit("third")));
    }
}
