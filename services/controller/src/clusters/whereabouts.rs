//! Which application is in which of the clusters that tenants have added. Nothing here waits or asks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use domain::tenant::TenantId;

use crate::driver::queue::AppKey;

/// A tenant's cluster, by its address.
pub(super) type Place = (TenantId, String);

/// Which application is in which added cluster, whether that is open or not.
#[derive(Default)]
pub(super) struct Whereabouts {
    at: HashMap<AppKey, Place>,
    /// The same by place; a place where none is has no entry.
    here: HashMap<Place, HashSet<Arc<str>>>,
}

/// An application is elsewhere than before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moved {
    /// The added cluster where it was; nothing where that was none, or is not known.
    pub(super) from: Option<Place>,
}

impl Whereabouts {
    /// Notes where an application is; nothing where it was there already.
    pub(super) fn settle(&mut self, app: &AppKey, place: Option<&Place>) -> Option<Moved> {
        if self.at.get(app) == place {
            return None;
        }
        let from = self.at.remove(app);
        if let Some(before) = &from
            && let Some(apps) = self.here.get_mut(before)
        {
            apps.remove(&app.name);
            if apps.is_empty() {
                self.here.remove(before);
            }
        }
        if let Some(place) = place {
            self.at.insert(app.clone(), place.clone());
            let apps = self.here.entry(place.clone()).or_default();
            apps.insert(app.name.clone());
        }
        Some(Moved { from })
    }

    /// Whether an application is in a cluster that was added; in the one at this address, where one is named.
    pub(super) fn is_at(&self, app: &AppKey, server: Option<&str>) -> bool {
        let place = self.at.get(app);
        place.is_some_and(|(_, at)| server.is_none_or(|server| server == at))
    }

    /// The applications that are at a place.
    pub(super) fn apps_at(&self, place: &Place) -> Vec<AppKey> {
        let apps = self.here.get(place).into_iter().flatten();
        let key = |name: &Arc<str>| AppKey {
            tenant: place.0,
            name: name.clone(),
        };
        apps.map(key).collect()
    }

    /// Whether any is there.
    pub(super) fn is_used(&self, place: &Place) -> bool {
        self.here.contains_key(place)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn place(server: &str) -> Place {
        (TenantId(Uuid::from_u128(1)), server.to_owned())
    }

    fn app(name: &str) -> AppKey {
        AppKey::new(TenantId(Uuid::from_u128(1)), name)
    }

    #[test]
    fn a_place_is_used_while_an_application_is_there() {
        let mut known = Whereabouts::default();
        let (a, b) = (place("a"), place("b"));
        assert_eq!(
            known.settle(&app("x"), Some(&a)),
            Some(Moved { from: None })
        );
        assert_eq!(known.settle(&app("x"), Some(&a)), None, "it is there");
        known.settle(&app("y"), Some(&a));
        let moved = known.settle(&app("x"), Some(&b));
        assert_eq!(
            moved,
            Some(Moved {
                from: Some(a.clone())
            })
        );
        assert_eq!(known.apps_at(&a), [app("y")]);
        assert!(known.is_used(&a) && known.is_used(&b));
        known.settle(&app("y"), None);
        assert!(!known.is_used(&a) && known.here.len() == 1 && known.at.len() == 1);
        assert_eq!(known.settle(&app("y"), None), None);
    }

    #[test]
    fn only_what_is_there_is_said_to_be() {
        let mut known = Whereabouts::default();
        known.settle(&app("x"), Some(&place("a")));
        assert!(known.is_at(&app("x"), None) && known.is_at(&app("x"), Some("a")));
        assert!(!known.is_at(&app("x"), Some("b")) && !known.is_at(&app("invented"), None));
        let theirs = AppKey::new(TenantId(Uuid::from_u128(2)), "x");
        assert!(!known.is_at(&theirs, None));
    }
}
