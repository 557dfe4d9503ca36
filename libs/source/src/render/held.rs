//! Where a read set was found to hold: at that commit, for that application, it need not be looked at again.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// How many applications are remembered of one read set. Those that share one differ in nothing that was read.
const MOST: usize = 32;

/// The commits and applications for which a read set was found to hold.
#[derive(Debug, Default)]
pub struct Held(Mutex<VecDeque<At>>);

#[derive(Debug)]
struct At {
    /// The commit as it was asked for, and as it is called.
    asked: String,
    called: String,
    app_name: String,
}

impl At {
    fn is(&self, asked: &str, app_name: &str) -> bool {
        self.asked == asked && self.app_name == app_name
    }
}

impl Held {
    /// What a commit is called at which the set was found to hold for an application.
    pub(super) fn at(&self, asked: &str, app_name: &str) -> Option<String> {
        let all = self.0.lock();
        let found = all.iter().find(|at| at.is(asked, app_name))?;
        Some(found.called.clone())
    }

    /// Notes one, in place of what was noted for the application: it moves on, and every commit of every set would stay
    /// otherwise. The oldest gives its place up.
    pub(super) fn note(&self, asked: &str, called: String, app_name: &str) {
        let mut all = self.0.lock();
        all.retain(|at| at.app_name != app_name);
        if all.len() >= MOST {
            all.pop_front();
        }
        all.push_back(At {
            asked: asked.to_owned(),
            called,
            app_name: app_name.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_remembered_of_each_application_and_the_newest_applications() {
        let held = Held::default();
        held.note("one", "called".to_owned(), "web");
        assert_eq!(held.at("one", "web").as_deref(), Some("called"));
        assert_eq!(held.at("one", "api"), None);
        assert_eq!(held.at("two", "web"), None);
        held.note("two", String::new(), "api");
        held.note("two", String::new(), "web");
        assert_eq!(held.at("one", "web"), None, "it has moved on");
        for number in 2..MOST {
            held.note("two", String::new(), &number.to_string());
        }
        assert!(held.at("two", "api").is_some() && held.at("two", "web").is_some());
        held.note("two", String::new(), "another");
        assert_eq!(held.at("two", "api"), None, "there is no room for more");
        assert!(held.at("two", "web").is_some() && held.at("two", "another").is_some());
    }
}
