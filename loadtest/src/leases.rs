//! Who holds which cluster, as PostgreSQL says it: looked at again and again over one connection.
//!
//! Every look is judged. A lease that has another holder has a higher fence, and no fence ever falls: one that does would let two
//! controllers write.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Deserialize;
use testkit::postgres::Session;

/// How often is looked while a takeover is waited for, which is as exact as its figure is.
const LOOK: Duration = Duration::from_millis(25);

/// The leases of clusters, and the controller that was last started at each address. A `jsonb` is one line.
const QUESTION: &str = "select jsonb_build_object('leases', (
        select coalesce(jsonb_agg(jsonb_build_object(
            'item', item, 'holder', holder, 'fence', fence, 'live', expires_at > clock_timestamp())), '[]')
        from naru.leases where item like 'cluster/%'),
    'controllers', (
        select coalesce(jsonb_object_agg(address, id), '{}')
        from (select distinct on (address) address, id from naru.controllers order by address, started_at desc) as newest))";

#[derive(Deserialize)]
struct Answer {
    leases: Vec<Row>,
    /// Ids by address.
    controllers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Row {
    item: String,
    holder: Option<String>,
    fence: i64,
    /// Whether it has not run out.
    live: bool,
}

/// A lease, as it was at the last look.
struct Lease {
    holder: Option<String>,
    fence: i64,
    live: bool,
    /// When the last look was asked that still showed the holder before.
    after: Instant,
    /// When a look first showed this holder.
    at: Instant,
    /// When the last look was asked.
    asked: Instant,
}

/// What the looks have shown, by work item.
#[derive(Default)]
struct Seen {
    leases: BTreeMap<String, Lease>,
    /// How often one had passed on.
    passed: usize,
}

impl Seen {
    /// Takes in what a look showed that was asked and answered at these moments.
    fn take(&mut self, rows: Vec<Row>, asked: Instant, answered: Instant) -> anyhow::Result<()> {
        for row in rows {
            let Row {
                item,
                holder,
                fence,
                live,
            } = row;
            let (mut after, mut at) = (asked, answered);
            if let Some(before) = self.leases.get(&item) {
                // One that gives a lease up leaves its fence there; whoever comes has another.
                let kept = fence == before.fence && (holder.is_none() || holder == before.holder);
                ensure!(
                    kept || fence > before.fence,
                    "two may write: {item} was {:?}'s under fence {}, and is {holder:?}'s under fence {fence}",
                    before.holder,
                    before.fence
                );
                if kept {
                    (after, at) = (before.after, before.at);
                } else {
                    after = before.asked;
                    self.passed += 1;
                }
            }
            let lease = Lease {
                holder,
                fence,
                live,
                after,
                at,
                asked,
            };
            self.leases.insert(item, lease);
        }
        Ok(())
    }
}

/// The leases of a running platform.
pub(crate) struct Leases {
    session: Session,
    seen: Seen,
    controllers: BTreeMap<String, String>,
}

impl Leases {
    /// Of the platform in this database; the role sees all rows.
    pub(crate) async fn open(database_url: &str) -> anyhow::Result<Self> {
        let mut leases = Self {
            session: Session::open(database_url)?,
            seen: Seen::default(),
            controllers: BTreeMap::new(),
        };
        leases.look().await?;
        ensure!(
            !leases.seen.leases.is_empty(),
            "no lease is to be seen: is DATABASE_URL that of `.naru/env`, whose role sees every row?"
        );
        Ok(leases)
    }

    /// One look.
    pub(crate) async fn look(&mut self) -> anyhow::Result<()> {
        let asked = Instant::now();
        let answer = self.session.ask(QUESTION).await?;
        let answered = Instant::now();
        let Answer {
            leases,
            controllers,
        } = serde_json::from_str(&answer).context("PostgreSQL answers something else")?;
        self.controllers = controllers;
        self.seen.take(leases, asked, answered)
    }

    /// Looks until another one than `holder` has each of these work items: the moment at which the last of them was seen to.
    pub(crate) async fn taken(
        &mut self,
        items: &[String],
        holder: &str,
    ) -> anyhow::Result<Instant> {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            self.look().await?;
            let anothers = |item: &String| {
                let lease = self.seen.leases.get(item)?;
                let by = lease.holder.as_deref().filter(|_| lease.live)?;
                (by != holder).then_some(lease.at)
            };
            let taken: Option<Vec<Instant>> = items.iter().map(anothers).collect();
            if let Some(taken) = taken {
                return taken.into_iter().max().context("there is nothing to take");
            }
        }
    }

    /// The work item whose name ends so.
    pub(crate) fn item(&self, end: &str) -> anyhow::Result<String> {
        let mut items = self.seen.leases.keys();
        let item = items.find(|item| item.ends_with(end));
        Ok(item
            .with_context(|| format!("there is no lease of {end}"))?
            .clone())
    }

    /// Who holds the work item whose name ends so.
    pub(crate) fn holder(&self, end: &str) -> Option<&str> {
        let mut leases = self.seen.leases.iter();
        let (_, lease) = leases.find(|(item, lease)| item.ends_with(end) && lease.live)?;
        lease.holder.as_deref()
    }

    /// Before this moment a work item was not yet its holder's.
    pub(crate) fn not_before(&self, item: &str) -> anyhow::Result<Instant> {
        let lease = self.seen.leases.get(item);
        Ok(lease
            .with_context(|| format!("there is no lease of {item}"))?
            .after)
    }

    /// The controller that was last started at an address.
    pub(crate) fn controller(&self, address: &str) -> Option<&str> {
        self.controllers.get(address).map(String::as_str)
    }

    /// How often a lease was seen to have passed on.
    pub(crate) fn passed(&self) -> usize {
        self.seen.passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(holder: Option<&str>, fence: i64) -> Vec<Row> {
        vec![Row {
            item: "cluster/shared/0".to_owned(),
            holder: holder.map(str::to_owned),
            fence,
            live: true,
        }]
    }

    #[test]
    fn a_lease_passes_on_between_the_last_look_at_the_old_holder_and_the_first_at_the_new_one() {
        let start = Instant::now();
        let ms = |ms: u64| start + Duration::from_millis(ms);
        let mut seen = Seen::default();
        for (at, holder, fence) in [
            (0, Some("a"), 7),
            (20, Some("a"), 7),
            (40, Some("b"), 8),
            (60, Some("b"), 8),
        ] {
            seen.take(row(holder, fence), ms(at), ms(at + 1)).unwrap();
        }
        let lease = &seen.leases["cluster/shared/0"];
        assert_eq!((lease.after, lease.at), (ms(20), ms(41)));
        assert_eq!(seen.passed, 1);
    }

    #[test]
    fn a_holder_without_a_fence_of_its_own_and_a_fence_that_falls_are_refused() {
        let now = Instant::now();
        for (first, second, good) in [
            ((Some("a"), 7), (Some("b"), 8), true),
            ((Some("a"), 7), (None, 7), true),
            ((None, 7), (Some("a"), 8), true),
            ((None, 7), (Some("a"), 7), false),
            ((Some("a"), 7), (Some("b"), 7), false),
            ((Some("a"), 7), (Some("b"), 6), false),
            ((Some("a"), 7), (Some("a"), 6), false),
        ] {
            let mut seen = Seen::default();
            seen.take(row(first.0, first.1), now, now).unwrap();
            let second_look = seen.take(row(second.0, second.1), now, now);
            assert_eq!(second_look.is_ok(), good, "{first:?} {second:?}");
        }
    }
}
