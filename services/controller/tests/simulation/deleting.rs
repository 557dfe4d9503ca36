//! The end of an application: `controller::reconcile::deletion` for one without hooks of its own deletion.
//!
//! An index that lags behind what was applied last would find nothing left too early, here as there: a controller that has
//! just listed the cluster does not lag, so that is waited for.

use domain::application::Application;
use engine::plan::{self, Stage};

use crate::driver::{Controller, Looked, Next};
use crate::live::LiveSet;
use crate::look::{BACKSTOP, Report, Subject, publish};
use crate::waves;
use crate::world::{World, claimant};

/// Takes the deletion of an application as far as it goes now.
pub(crate) fn advance(world: &mut World, me: &mut Controller, app: Application) -> Looked<Next> {
    let Stage::Objects(propagation) = plan::stage(app.finalizers()) else {
        return Ok(Next::Sleep);
    };
    let subject = Subject::read(world, app);
    let live = LiveSet::gather(me, &subject.tenant, subject.name(), &[]);
    let plan = plan::deletion(
        &live.as_live(),
        &claimant(&subject.tenant, subject.name()),
        &subject.options,
        propagation,
        false,
    );
    if plan.done() {
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
