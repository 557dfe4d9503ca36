//! The end of an application: `controller::reconcile::deletion` for one without hooks of its own deletion.
//!
//! An index that lags behind what another controller applied last would find nothing left too early: what is on record is asked
//! for, and the rest is waited for. There a controller waits for so long that its watches have caught up, here, where a watch
//! may be late for as long as it likes, until it has.

use std::collections::BTreeSet;

use domain::application::Application;
use domain::resource::ResourceKey;
use engine::plan::{self, Stage};

use crate::driver::{Controller, Looked, Next};
use crate::live::LiveSet;
use crate::look::{BACKSTOP, Report, Subject, is_known, publish};
use crate::waves;
use crate::world::{World, claimant};

/// When one is looked at again whose cluster is away, in milliseconds.
const AGAIN: i64 = 10_000;
/// For so long after a cluster is back nothing is taken for gone.
const SETTLES: i64 = 10_000;

/// Takes the deletion of an application as far as it goes now.
pub(crate) fn advance(world: &mut World, me: &mut Controller, app: Application) -> Looked<Next> {
    let Stage::Objects(propagation) = plan::stage(app.finalizers()) else {
        return Ok(Next::Sleep);
    };
    let subject = Subject::read(world, app);
    if !is_known(world, me) {
        return Ok(Next::After(AGAIN));
    }
    let live = LiveSet::gather(me, &subject.tenant, subject.name(), &[]);
    let plan = plan::deletion(
        &live.as_live(),
        &claimant(&subject.tenant, subject.name()),
        &subject.options,
        propagation,
        false,
    );
    if plan.done() {
        // What was being made as the connection broke is heard of a moment after it is back.
        let rest = world.link.back.map(|back| {
            let lasted = world.now() - back;
            SETTLES - lasted.num_milliseconds()
        });
        if let Some(rest) = rest.filter(|rest| *rest > 0) {
            return Ok(Next::After(rest));
        }
        if find_overlooked(world, me, &subject)? {
            return Ok(Next::After(0));
        }
        if me.index.lags(&world.api.log) {
            return Ok(Next::After(1000));
        }
        let report = Report {
            remove: true,
            ..Report::default()
        };
        return publish(world, me, &subject.app, report, Next::Sleep);
    }
    let first = plan.waves.first().map_or(&[][..], Vec::as_slice);
    for doomed in first {
        let held = live.find(&doomed.key).filter(|_| doomed.held);
        let duty = subject.duty();
        if let Some(hook) = held {
            waves::remove(world, me, &duty, &doomed.key, hook, plan.propagation)?;
        } else if !doomed.deleting {
            let request = waves::deletion(&doomed.key, &doomed.uid, plan.propagation);
            world.call(me, request, &duty)?;
        }
    }
    Ok(Next::After(BACKSTOP))
}

/// Asks for the objects on record that the index does not have, and takes in what there is of them. Whether there was any.
fn find_overlooked(world: &mut World, me: &mut Controller, subject: &Subject) -> Looked<bool> {
    let status = &subject.app.status;
    let results = status.operation.iter().filter_map(|of| of.result.as_ref());
    let written = results.flat_map(|result| &result.resources);
    let compared = status.resources.iter().map(|resource| &resource.key);
    let on_record: BTreeSet<&ResourceKey> =
        compared.chain(written.map(|result| &result.key)).collect();
    let mut found = false;
    for key in on_record {
        if me.index.objects.contains_key(key) {
            continue;
        }
        if let Some(stored) = world.fetch(me, key, &subject.duty())? {
            me.index.observe(stored);
            found = true;
        }
    }
    Ok(found)
}
