//! What a wave waits for besides the health of those before it: that what they deleted is gone, that a person approves
//! what it deletes, that the cluster finishes its writes (client required for the last; the others look at what is known).

use std::time::{Duration, Instant};

use domain::cause::Cause;
use domain::clock::Timestamp;
use domain::message::{self, Message};
use domain::resource::{ResourceKey, text};
use engine::plan::pace::named;
use engine::plan::{Action, Kept, Step};
use serde_json::Value;

use super::waves::record;
use super::Run;
use crate::context::Context;
use crate::reconcile::apply;
use crate::reconcile::look::Look;

/// What was deleted is not waited for any longer when it is still there so long after it should be gone.
const LINGERING: chrono::TimeDelta = chrono::TimeDelta::minutes(15);
/// An object whose write a cluster that answers has not finished for so long is given up.
const UNFINISHED: Duration = Duration::from_secs(20);

/// What an operation says that waits for what the steps before have deleted, or why it waits no longer; `None` where all
/// of it is gone.
pub(super) fn going(
    look: &Look,
    before: &[Step],
    now: Timestamp,
) -> Option<Result<Message, Vec<Cause>>> {
    let there = |step: &Step| match &step.action {
        Action::Prune { uid, .. } => look
            .live
            .find(&step.key)
            .filter(|entry| *entry.uid == **uid)
            .cloned(),
        _ => None,
    };
    let there: Vec<_> = before.iter().filter_map(there).collect();
    let lingering = there.iter().filter(|entry| lingers(&entry.body, now));
    let why: Vec<Cause> = lingering
        .filter_map(|entry| engine::health::assess(&entry.body))
        .flat_map(|health| health.causes)
        .collect();
    if !why.is_empty() {
        return Some(Err(why));
    }
    let keys: Vec<&ResourceKey> = there.iter().map(|entry| &entry.key).collect();
    let (one, more) = (
        message::sync::WAITING_DELETION,
        message::sync::WAITING_DELETION_MORE,
    );
    waits_for(&keys, one, more).map(Ok)
}

/// Whether an object that was asked to go should be gone for long.
fn lingers(object: &Value, now: Timestamp) -> bool {
    let due = text(object, &["metadata", "deletionTimestamp"]);
    chrono::DateTime::parse_from_rfc3339(due).is_ok_and(|due| now - due.to_utc() > LINGERING)
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

/// Why an object is given up whose write the cluster has not finished for a while, though it answers: what it asks about
/// such objects does not.
pub(super) async fn give_up(
    ctx: &Context,
    run: &mut Run,
    steps: &[Step],
    late: Option<ResourceKey>,
    since: &mut Option<(ResourceKey, Instant)>,
) -> Option<Cause> {
    let Some(key) = late else {
        *since = None;
        return None;
    };
    let step = steps.iter().find(|step| step.key == key)?;
    let long = since
        .as_ref()
        .is_some_and(|(known, at)| *known == key && at.elapsed() > UNFINISHED);
    if !long {
        if since.as_ref().is_none_or(|(known, _)| *known != key) {
            *since = Some((key, Instant::now()));
        }
        return None;
    }
    // Nobody is asked about what is only read.
    let account = ctx.account(&run.subject.tenant, &key.namespace).ok()?;
    let read = account.get(&key, Some(&step.version)).await;
    if read.is_err_and(|error| error.is_transient()) {
        return None;
    }
    *since = None;
    let cause = Cause::error(message::cluster::WRITE_UNFINISHED.with("resource", &key)).on(key);
    record(run, vec![apply::given_up(step, &cause)]);
    Some(cause)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_asked_to_go_is_waited_for_a_while() {
        let at = |text: &str| {
            let time = chrono::DateTime::parse_from_rfc3339(text);
            time.unwrap().to_utc()
        };
        let going = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert!(!lingers(&going, at("2026-01-01T00:15:00Z")));
        assert!(lingers(&going, at("2026-01-01T00:15:01Z")));
        assert!(!lingers(
            &json!({"metadata": {}}),
            at("2026-01-01T00:15:01Z")
        ));
    }
}
