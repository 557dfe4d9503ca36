//! What a wave waits for besides the health of those before it: that what they deleted is gone, that a person approves
//! what it deletes, that the cluster finishes its writes (client required for the last; the others look at what is known).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::LiveEntry;
use domain::cause::Cause;
use domain::clock::Timestamp;
use domain::message::{self, Message};
use domain::resource::ResourceKey;
use engine::plan::pace::{named, result_of};
use engine::plan::{Action, Kept, Step};

use super::Run;
use super::waves::{record, results};
use crate::context::Context;
use crate::reconcile::apply::{self, kept, lingers};
use crate::reconcile::look::Look;

/// An object whose write a cluster that answers has not finished for so long is given up.
const UNFINISHED: Duration = Duration::from_secs(20);

/// What a wave waits for that are to be gone first.
pub(super) struct Going {
    /// What the operation says.
    pub(super) message: Message,
    /// Why those are still there that should be gone for long.
    pub(super) why: Vec<Cause>,
}

impl Going {
    /// Waits for these objects; `None` where there are none.
    fn of(keys: &[&ResourceKey], there: &[&Arc<LiveEntry>], now: Timestamp) -> Option<Self> {
        let (one, more) = (
            message::sync::WAITING_DELETION,
            message::sync::WAITING_DELETION_MORE,
        );
        Self::said(waits_for(keys, one, more), there, now)
    }

    /// The same, where that is what the operation says.
    fn said(message: Option<Message>, there: &[&Arc<LiveEntry>], now: Timestamp) -> Option<Self> {
        let lingering = there.iter().filter(|entry| lingers(&entry.body, now));
        let why = lingering.map(|entry| {
            let kept = kept(&entry.key, &entry.body);
            Cause::reason(kept).on(entry.key.clone())
        });
        Some(Self {
            message: message?,
            why: why.collect(),
        })
    }
}

/// What the steps before have deleted and is still there.
pub(super) fn going(look: &Look, before: &[Step], now: Timestamp) -> Option<Going> {
    let there = |step: &Step| match &step.action {
        Action::Prune { uid, .. } => look
            .live
            .find(&step.key)
            .filter(|entry| *entry.uid == **uid),
        _ => None,
    };
    let there: Vec<_> = before.iter().filter_map(there).collect();
    let keys: Vec<&ResourceKey> = there.iter().map(|entry| &entry.key).collect();
    Going::of(&keys, &there, now)
}

/// What a wave makes when it is gone, and is still there.
pub(super) fn made_anew(look: &Look, keys: &[ResourceKey], now: Timestamp) -> Option<Going> {
    let there: Vec<_> = keys.iter().filter_map(|key| look.live.find(key)).collect();
    let keys: Vec<&ResourceKey> = keys.iter().collect();
    Going::of(&keys, &there, now)
}

/// The objects in the place of which hooks are made.
pub(super) fn hooks_going(there: &[Arc<LiveEntry>], now: Timestamp) -> Option<Going> {
    let keys: Vec<&ResourceKey> = there.iter().map(|entry| &entry.key).collect();
    let (one, more) = (
        message::sync::WAITING_HOOK_DELETION,
        message::sync::WAITING_HOOK_DELETION_MORE,
    );
    let there: Vec<_> = there.iter().collect();
    Going::said(waits_for(&keys, one, more), &there, now)
}

/// What an operation says whose next wave deletes what a person has to approve.
pub(super) fn unconfirmed(wave: &[Step]) -> Option<Message> {
    let asks = |step: &&Step| matches!(step.action, Action::Keep(Kept::Unconfirmed));
    let keys: Vec<&ResourceKey> = wave.iter().filter(asks).map(|step| &step.key).collect();
    let (one, more) = (
        message::sync::WAITING_APPROVAL,
        message::sync::WAITING_APPROVAL_MORE,
    );
    waits_for(&keys, one, more)
}

/// That the first of these objects is waited for, and how many besides.
fn waits_for(keys: &[&ResourceKey], one: message::Code, more: message::Code) -> Option<Message> {
    let (first, rest) = keys.split_first()?;
    let name = named(first);
    Some(match rest.len() {
        0 => one.with("resource", name),
        count => more.with("resource", name).with("count", count),
    })
}

/// Why objects are given up whose writes the cluster has not finished for a while, though it answers: what it asks about
/// such objects does not.
pub(super) async fn give_up(
    ctx: &Context,
    run: &mut Run,
    steps: &[Step],
    late: &[ResourceKey],
    since: &mut HashMap<ResourceKey, Instant>,
) -> Vec<Cause> {
    let done = |key: &ResourceKey| {
        let step = steps.iter().find(|step| step.key == *key);
        step.is_some_and(|step| result_of(step, results(run)).is_some())
    };
    since.retain(|key, _| late.contains(key) || !done(key));
    let overdue = overdue(since, late, Instant::now());
    let overdue = steps.iter().filter(|step| overdue.contains(&step.key));
    let overdue: Vec<&Step> = overdue.collect();
    let Some(first) = overdue.first() else {
        return Vec::new();
    };
    // Nobody is asked about what is only read.
    let Ok(account) = ctx.account(run.subject.tenant(), &first.key.namespace) else {
        return Vec::new();
    };
    let read = account.get(&first.key, Some(&first.version)).await;
    if read.is_err_and(|error| error.is_transient()) {
        return Vec::new();
    }
    let mut causes = Vec::with_capacity(overdue.len());
    for step in overdue {
        since.remove(&step.key);
        let message = message::cluster::WRITE_UNFINISHED.with("resource", &step.key);
        let cause = Cause::error(message).on(step.key.clone());
        record(run, vec![apply::given_up(step, &cause)]);
        causes.push(cause);
    }
    causes
}

/// Those of the writes that are late now which have been so for long, each since it was late first.
fn overdue(
    since: &mut HashMap<ResourceKey, Instant>,
    late: &[ResourceKey],
    now: Instant,
) -> Vec<ResourceKey> {
    let long = |key: &&ResourceKey| {
        let first = *since.entry((*key).clone()).or_insert(now);
        now.saturating_duration_since(first) > UNFINISHED
    };
    late.iter().filter(long).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ResourceKey {
        ResourceKey {
            kind: "ConfigMap".into(),
            name: name.into(),
            ..ResourceKey::default()
        }
    }

    #[test]
    fn two_slow_objects_are_late_each_since_it_was_first() {
        let (mut since, start) = (HashMap::new(), Instant::now());
        let mut after = |seconds, late: &[&str]| {
            let late: Vec<ResourceKey> = late.iter().map(|name| key(name)).collect();
            overdue(&mut since, &late, start + Duration::from_secs(seconds))
        };
        assert!(after(0, &["a"]).is_empty());
        assert!(after(10, &["b"]).is_empty());
        assert!(after(20, &["a", "b"]).is_empty());
        assert_eq!(after(21, &["a", "b"]), [key("a")]);
        assert_eq!(after(31, &["b"]), [key("b")]);
    }
}
