//! Makes tenants' namespaces, accounts and rights, when a tenant is made or changes and when the cluster comes back.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use domain::shard::Unit;
use domain::tenant::TenantId;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::queue::{AppKey, Queue};
use crate::context::Context;
use crate::tenants::TenantFacts;

/// How many namespaces are made at once.
const AT_ONCE: usize = 8;
/// When to try again what could not be done.
const AGAIN: Duration = Duration::from_secs(3);

#[derive(Debug)]
enum Order {
    Tenant(TenantId),
    Namespace(String),
    All,
}

/// Asks for tenants to be made what they must be. Cheap to clone.
#[derive(Clone)]
pub struct Tenancy(mpsc::UnboundedSender<Order>);

/// Makes them so; a task of its own.
pub struct Steward {
    orders: mpsc::UnboundedReceiver<Order>,
    context: Arc<Context>,
    queue: Queue,
    weights: BTreeMap<String, u32>,
}

/// The two ends. `weights` are the tenants', by name.
#[must_use]
pub fn tenancy(
    context: Arc<Context>,
    queue: Queue,
    weights: BTreeMap<String, u32>,
) -> (Tenancy, Steward) {
    let (sender, orders) = mpsc::unbounded_channel();
    (
        Tenancy(sender),
        Steward {
            orders,
            context,
            queue,
            weights,
        },
    )
}

/// When all are tried again, after a try of `all` or of some. What has failed is made good by a try of all alone, and what goes well
/// meanwhile does not put that off.
fn again(due: Option<Instant>, all: bool, done: bool, now: Instant) -> Option<Instant> {
    let due = due.filter(|_| !all);
    match done {
        true => due,
        false => due.or_else(|| now.checked_add(AGAIN)),
    }
}

impl Tenancy {
    /// One tenant was made or changed.
    pub fn ensure(&self, tenant: TenantId) {
        let _ = self.0.send(Order::Tenant(tenant));
    }

    /// Any of them may have.
    pub fn ensure_all(&self) {
        let _ = self.0.send(Order::All);
    }

    /// A namespace came, changed or went: if it is a tenant's, it is looked at.
    pub fn namespace_changed(&self, namespace: &str) {
        let _ = self.0.send(Order::Namespace(namespace.to_owned()));
    }
}

impl Steward {
    /// Works until the stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut due: Option<Instant> = None;
        loop {
            let order = tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Some(Order::All),
                order = self.orders.recv() => order,
            };
            let Some(order) = order else { return };
            let mut orders = vec![order];
            while let Ok(more) = self.orders.try_recv() {
                orders.push(more);
            }
            let all = orders.iter().any(|order| matches!(order, Order::All));
            let done = match self.context.shard.term(&Unit::Shared) {
                Some(_) => self.obey(orders).await,
                // Who has the shared cluster makes them. What is known of the tenants is to be right all the same.
                None if all => self.reload().await,
                None => true,
            };
            due = again(due, all, done, Instant::now());
        }
    }

    /// `false` when it has to be tried again.
    async fn reload(&self) -> bool {
        match self.context.tenants.reload().await {
            Ok(tenants) => {
                tenants.iter().for_each(|facts| self.weigh(facts));
                true
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the tenants could not be read"
                );
                false
            }
        }
    }

    fn weigh(&self, facts: &TenantFacts) {
        if let Some(weight) = self.weights.get(facts.tenant.name.as_str()) {
            self.queue.set_weight(facts.tenant.id, *weight);
        }
    }

    /// `false` when something has to be tried again.
    async fn obey(&self, orders: Vec<Order>) -> bool {
        // A namespace that changed is of interest only if it is mapped; everything else may have changed the map.
        let only_namespaces = orders
            .iter()
            .all(|order| matches!(order, Order::Namespace(_)));
        let some = orders.iter().all(|order| !matches!(order, Order::All));
        let known = if some && !only_namespaces {
            self.refreshed(&orders).await
        } else if only_namespaces {
            self.context.tenants.known().await
        } else {
            self.context.tenants.reload().await
        };
        let tenants = match known {
            Ok(tenants) => tenants,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the tenants could not be read"
                );
                return false;
            }
        };
        let all = orders.iter().any(|order| matches!(order, Order::All));
        let named: HashSet<TenantId> = orders
            .iter()
            .filter_map(|o| {
                if let Order::Tenant(id) = o {
                    Some(*id)
                } else {
                    None
                }
            })
            .collect();
        let changed: HashSet<&str> = orders
            .iter()
            .filter_map(|o| {
                if let Order::Namespace(n) = o {
                    Some(n.as_str())
                } else {
                    None
                }
            })
            .collect();
        let mut due: HashMap<String, Arc<TenantFacts>> = HashMap::new();
        for facts in &tenants {
            self.weigh(facts);
            // One that is closed stays as it is, and one that goes is not made again.
            if !facts.active() {
                continue;
            }
            let whole = all || named.contains(&facts.tenant.id);
            let namespaces = facts.namespaces();
            let wanted = namespaces.filter(|namespace| whole || changed.contains(namespace));
            due.extend(wanted.map(|namespace| (namespace.to_owned(), facts.clone())));
        }
        let mut making = Vec::with_capacity(due.len());
        for (namespace, facts) in due {
            making.push(self.ensure(namespace, facts));
        }
        let made: Vec<bool> = futures::stream::iter(making)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        made.into_iter().all(|done| done)
    }

    /// Reads anew the tenants that the orders name, and no others.
    async fn refreshed(&self, orders: &[Order]) -> store::Result<Vec<Arc<TenantFacts>>> {
        for order in orders {
            if let Order::Tenant(id) = order {
                self.context.tenants.refresh(*id).await?;
            }
        }
        self.context.tenants.known().await
    }

    async fn ensure(&self, namespace: String, facts: Arc<TenantFacts>) -> bool {
        let tenant = &facts.tenant;
        let key = (tenant.id, namespace.clone());
        match self
            .context
            .cluster
            .ensure_tenant(&namespace, &tenant.name)
            .await
        {
            Ok(()) => {
                // Applications that could not be deployed for want of it are looked at again.
                let first = self.context.memory.namespace_made(key.clone());
                if first && !self.wake(tenant.id).await {
                    self.context.memory.namespace_untold(&key);
                    return false;
                }
                true
            }
            Err(error) => {
                let again = error.passes();
                tracing::warn!(tenant = %tenant.id, namespace, %error, again, "a tenant's namespace could not be made");
                !again
            }
        }
    }

    /// `false` when nobody could be woken.
    async fn wake(&self, tenant: TenantId) -> bool {
        match self.context.store.platform().all_apps().await {
            Ok(apps) => {
                let own = apps.iter().filter(|(whose, _)| *whose == tenant);
                own.for_each(|(tenant, name)| self.queue.push(AppKey::new(*tenant, name)));
                true
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the applications that wait for a namespace could not be listed"
                );
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_tried_again_whatever_goes_well_meanwhile() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(again(None, false, true, now), None);
        let due = again(None, false, false, now);
        assert_eq!(due, Some(now + AGAIN));
        assert_eq!(again(due, false, true, now + second), due);
        assert_eq!(again(due, false, false, now + second), due);
        assert_eq!(again(due, true, true, now + AGAIN), None);
        let failed_again = again(due, true, false, now + AGAIN);
        assert_eq!(failed_again, Some(now + AGAIN * 2));
    }
}
