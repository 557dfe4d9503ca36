//! In which project an application was when this process last had to do with it.
//!
//! A guess, which saves whoever may see that project the question for it. Nobody is let in by it: what is read names the project
//! again, and where that is another one it is asked for after all.

use std::collections::HashMap;

use domain::tenant::TenantId;
use parking_lot::Mutex;

/// So many are remembered; then it begins anew.
const MOST: usize = 20_000;

/// The projects, by whose and which application.
#[derive(Default)]
pub(crate) struct Seen(Mutex<HashMap<(TenantId, String), String>>);

impl Seen {
    /// Where it was.
    pub(super) fn project(&self, tenant: TenantId, app: &str) -> Option<String> {
        self.0.lock().get(&(tenant, app.to_owned())).cloned()
    }

    /// Notes where it is; `None` when it was not found where it was.
    pub(super) fn note(&self, tenant: TenantId, app: &str, project: Option<&str>) {
        let (key, mut seen) = ((tenant, app.to_owned()), self.0.lock());
        let Some(project) = project else {
            seen.remove(&key);
            return;
        };
        if seen.len() >= MOST && !seen.contains_key(&key) {
            seen.clear();
        }
        seen.insert(key, project.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let (seen, tenant) = (Seen::default(), TenantId(Uuid::nil()));
        for n in 0..=MOST {
            seen.note(tenant, &n.to_string(), Some("default"));
            seen.note(tenant, "0", Some("web"));
        }
        assert!(seen.0.lock().len() <= MOST);
        assert_eq!(seen.project(tenant, "0").as_deref(), Some("web"));
        assert_eq!(seen.project(tenant, "1"), None, "it was long ago");
        seen.note(tenant, "0", None);
        assert_eq!(seen.project(tenant, "0"), None);
    }
}
