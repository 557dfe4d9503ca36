//! Long streams look again: whether their token still counts, and whether its holder still may.

use std::sync::Arc;
use std::time::Duration;

use domain::rbac::Enforcer;
use futures::StreamExt;
use tonic::{Code, Status};

use crate::grpc::Parts;
use crate::permit::{self, Actor};
use crate::shared::Shared;

/// How often a stream looks again. What is looked at may itself be remembered for two seconds, which together stays
/// below the five seconds in which a stream ends.
const LOOK: Duration = Duration::from_secs(2);
/// How many looks in a row may fail because the database is away.
const PATIENCE: u32 = 3;

/// When to look, and what the last looks brought.
pub(crate) struct Recheck {
    ticks: tokio::time::Interval,
    away: u32,
}

impl Recheck {
    /// The first look is one interval from now: the caller has just been let in.
    pub(crate) fn new() -> Self {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + LOOK, LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self { ticks, away: 0 }
    }

    /// Waits until it is time to look.
    pub(crate) async fn due(&mut self) {
        self.ticks.tick().await;
    }

    /// Looks: the actor has today's rights afterwards; tells whether they are others than before.
    ///
    /// # Errors
    /// Why the token does not count any more.
    pub(crate) async fn look(
        &mut self,
        shared: &Shared,
        actor: &mut Actor,
    ) -> Result<bool, Status> {
        let looked = async {
            shared.sessions.still_valid(actor).await?;
            shared.rights.of(actor.tenant.id).await
        };
        let rights: Arc<Enforcer> = match looked.await {
            Ok(rights) => rights,
            Err(status) if status.code() == Code::Unavailable && self.away < PATIENCE => {
                self.away += 1;
                return Ok(false);
            }
            Err(status) => return Err(status),
        };
        self.away = 0;
        let changed = !Arc::ptr_eq(&rights, &actor.rights);
        actor.rights = rights;
        Ok(changed)
    }
}

/// A stream that ends with a refusal as soon as its holder may no more.
pub(super) fn while_permitted<T: Send + 'static>(
    shared: &Arc<Shared>,
    actor: &Actor,
    may: impl Fn(&Actor) -> bool + Send + Sync + 'static,
    mut parts: Parts<T>,
) -> Parts<T> {
    let (shared, mut actor) = (Arc::clone(shared), actor.clone());
    Box::pin(async_stream::stream! {
        let mut recheck = Recheck::new();
        loop {
            let part = tokio::select! {
                part = parts.next() => Some(part),
                () = recheck.due() => None,
            };
            match part {
                Some(Some(part)) => yield part,
                Some(None) => break,
                None => {
                    let looked = recheck.look(&shared, &mut actor).await;
                    let refusal = match looked {
                        Ok(_) if may(&actor) => continue,
                        Ok(_) => permit::denied(),
                        Err(status) => status,
                    };
                    yield Err(refusal);
                    break;
                }
            }
        }
    })
}
