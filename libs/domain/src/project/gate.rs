//! Whether the windows of a project let an application be synced now, and until when that holds.

use chrono::TimeDelta;

use super::pattern::Pattern;
use super::window::{Hours, Window};
use crate::application::{Destination, Spec};
use crate::cause::Cause;
use crate::clock::Timestamp;
use crate::message::{self, Message};

/// How far ahead an answer is looked for.
const YEAR: TimeDelta = TimeDelta::days(366);
/// How many openings and closings are followed until an answer changes: windows that open every minute may leave it as it
/// is for years.
const FOLLOWED: usize = 1_000;
/// How many windows a cause names.
const NAMED: usize = 3;

/// Who begins a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// A person, who may pass windows with `manualSync`.
    ByHand,
    /// The application itself.
    ByItself,
}

/// An application, as windows choose it.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// The windows of its project.
    pub windows: &'a [Window],
    /// Its name.
    pub name: &'a str,
    /// Its spec: windows compare the destination as it is written there.
    pub spec: &'a Spec,
}

/// Why an application may not be synced now.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// What to tell.
    pub cause: Cause,
    /// What an operation says that has to wait.
    pub message: Message,
    /// Before this nothing changes; `None` when nothing does within a year.
    pub until: Option<Timestamp>,
}

impl<'a> Applicant<'a> {
    /// The windows that are for it.
    #[must_use]
    pub fn assigned(&self) -> Vec<&'a Window> {
        let all = self.windows.iter();
        all.filter(|window| is_for(window, self.name, &self.spec.destination))
            .collect()
    }

    /// Why it may not be synced now; `None` when it may. A window that cannot be read lets nothing through.
    #[must_use]
    pub fn closed(&self, begun: Begun, now: Timestamp) -> Option<Closed> {
        let project = self.spec.project();
        let gate = match Gate::new(&self.assigned()) {
            Ok(gate) => gate,
            Err(error) => {
                let message = message::sync::WINDOW_INVALID.with("project", project);
                return Some(Closed {
                    cause: Cause::error(message.with("error", &error)).field("spec.project"),
                    message: message::sync::BLOCKED_INVALID.with("error", error),
                    until: None,
                });
            }
        };
        if gate.lets(begun, now) {
            return None;
        }
        Some(self.told(&gate, begun, now))
    }

    /// Why a sync that has begun at a time may not go on now; `None` when it may.
    #[must_use]
    pub fn held(&self, begun: Begun, since: Timestamp, now: Timestamp) -> Option<Closed> {
        let closed = self.closed(begun, now)?;
        let gate = Gate::new(&self.assigned());
        let over = gate.is_ok_and(|gate| gate.runs_over(begun, since, now));
        (!over).then_some(closed)
    }

    fn told(&self, gate: &Gate<'_>, begun: Begun, now: Timestamp) -> Closed {
        let project = self.spec.project();
        let change = gate.changes(begun, now);
        let by = gate.closed_by(now);
        let message = match change.filter(|change| change.sure) {
            Some(change) => message::sync::WINDOW_CLOSED.with("opens", told(change.at, &by)),
            None => message::sync::WINDOW_STAYS_CLOSED.message(),
        };
        let named: Vec<String> = by.iter().take(NAMED).map(|(one, _)| name(one)).collect();
        let message = message
            .with("project", project)
            .with("windows", named.join(", "));
        Closed {
            cause: Cause::reason(message).field("spec.project"),
            message: message::sync::BLOCKED.message(),
            until: change.map(|change| change.at),
        }
    }
}

/// Windows that are for one application and can be read.
#[derive(Clone, Debug)]
pub struct Gate<'a> {
    windows: Vec<(&'a Window, Hours)>,
}

/// When an answer changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Not before this time.
    pub at: Timestamp,
    /// Whether it does at this time; else nobody has looked further.
    pub sure: bool,
}

impl<'a> Gate<'a> {
    /// Reads windows that are for one application.
    ///
    /// # Errors
    /// What is wrong with one that cannot be read.
    pub fn new(assigned: &[&'a Window]) -> Result<Self, String> {
        let windows = assigned.iter().map(|window| {
            let mut patterns = lists(window).into_iter().flatten();
            match patterns.find(|pattern| !pattern.is_one()) {
                Some(pattern) => Err(format!("cannot parse pattern '{}'", pattern.as_str())),
                None => Ok((*window, window.hours()?)),
            }
        });
        let windows = windows.collect::<Result<_, _>>()?;
        Ok(Self { windows })
    }

    /// Those that are open.
    #[must_use]
    pub fn open(&self, now: Timestamp) -> Vec<&'a Window> {
        let open = self.windows.iter().filter(|(_, hours)| hours.open(now));
        open.map(|(window, _)| *window).collect()
    }

    /// Whether a sync may begin, or go on.
    #[must_use]
    pub fn lets(&self, begun: Begun, now: Timestamp) -> bool {
        self.judge(begun, &self.states(now))
    }

    /// Whether a sync that has begun at a time may go on though none may begin (`syncOverrun`): it was let through then, the
    /// windows that deny now all say so, and one that allowed it then does where none allows now. What opens and denies
    /// releases nothing that those that allow hold back.
    #[must_use]
    pub fn runs_over(&self, begun: Begun, since: Timestamp, now: Timestamp) -> bool {
        if !self.lets(begun, since) {
            return false;
        }
        let by_hand = begun == Begun::ByHand;
        let open = self.states(now);
        let passed =
            |(window, _): &&(&Window, Hours)| window.sync_overrun || by_hand && window.manual_sync;
        if !self.those(true, true, &open).iter().all(passed) {
            return false;
        }
        let shut = self.those(false, false, &open);
        let allowed =
            |(window, hours): &&(&Window, Hours)| window.sync_overrun && hours.open(since);
        !self.those(false, true, &open).is_empty()
            || shut.iter().all(|(window, _)| by_hand && window.manual_sync)
            || shut.iter().any(allowed)
    }

    /// When [`Gate::lets`] answers otherwise than now; `None` when it does not within a year.
    #[must_use]
    pub fn changes(&self, begun: Begun, now: Timestamp) -> Option<Change> {
        let horizon = now.checked_add_signed(YEAR)?;
        let mut open = self.states(now);
        let before = self.judge(begun, &open);
        let mut next: Vec<Option<Timestamp>> = self
            .windows
            .iter()
            .map(|(_, hours)| hours.changes(now))
            .collect();
        let mut last = now;
        for _ in 0..FOLLOWED {
            let at = next.iter().flatten().min().copied();
            last = at.filter(|at| *at < horizon)?;
            for (index, (_, hours)) in self.windows.iter().enumerate() {
                if next[index] == Some(last) {
                    open[index] = !open[index];
                    next[index] = hours.changes(last);
                }
            }
            if self.judge(begun, &open) != before {
                return Some(Change {
                    at: last,
                    sure: true,
                });
            }
        }
        Some(Change {
            at: last,
            sure: false,
        })
    }

    /// The windows that nothing passes by itself: the open ones that deny, or else all that allow, where none of them is
    /// open.
    fn closed_by(&self, now: Timestamp) -> Vec<&(&'a Window, Hours)> {
        self.in_the_way(&self.states(now))
    }

    fn states(&self, now: Timestamp) -> Vec<bool> {
        let open = self.windows.iter().map(|(_, hours)| hours.open(now));
        open.collect()
    }

    fn judge(&self, begun: Begun, open: &[bool]) -> bool {
        let by_hand = begun == Begun::ByHand;
        let mut in_the_way = self.in_the_way(open).into_iter();
        in_the_way.all(|(window, _)| by_hand && window.manual_sync)
    }

    fn in_the_way(&self, open: &[bool]) -> Vec<&(&'a Window, Hours)> {
        let denying = self.those(true, true, open);
        match denying.is_empty() && self.those(false, true, open).is_empty() {
            true => self.those(false, false, open),
            false => denying,
        }
    }

    /// Those that deny, or that allow, and are open, or shut.
    fn those(&self, denies: bool, wanted: bool, open: &[bool]) -> Vec<&(&'a Window, Hours)> {
        let states = self.windows.iter().zip(open);
        states
            .filter(|((window, _), open)| window.denies() == denies && **open == wanted)
            .map(|(window, _)| window)
            .collect()
    }
}

/// Whether a window is for an application: any of its lists chooses it, or all that it has, where it says so. A pattern
/// that is none is taken to, so that what it was to keep back is not let through unseen.
fn is_for(window: &Window, application: &str, destination: &Destination) -> bool {
    let Destination {
        server,
        name,
        namespace,
    } = destination;
    let chosen = |list: &[Pattern], texts: &[&str]| {
        let chooses = |pattern: &Pattern| texts.iter().any(|text| pattern.may_match(text));
        (!list.is_empty()).then(|| list.iter().any(chooses))
    };
    let cluster: Vec<&str> = [name.as_str(), server.as_str()]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    let mut said = [
        chosen(&window.applications, &[application]),
        chosen(&window.clusters, &cluster),
        chosen(&window.namespaces, &[namespace.as_str()]),
    ]
    .into_iter()
    .flatten()
    .peekable();
    match window.and_operator {
        true => said.peek().is_some() && said.all(|chosen| chosen),
        false => said.any(|chosen| chosen),
    }
}

fn lists(window: &Window) -> [&[Pattern]; 3] {
    [&window.applications, &window.clusters, &window.namespaces]
}

/// A window as `argocd app get` names it.
fn name(window: &Window) -> String {
    let Window {
        kind,
        schedule,
        duration,
        ..
    } = window;
    format!("`{kind}:{schedule}:{duration}`")
}

/// A time by the clocks of what is waited for.
fn told(at: Timestamp, by: &[&(&Window, Hours)]) -> String {
    let zone = by.first().map_or(chrono_tz::UTC, |(_, hours)| hours.zone());
    let local = at.with_timezone(&zone);
    format!("{} {zone}", local.format("%Y-%m-%d %H:%M"))
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    use serde_json::{Value, json};

    use super::super::window::tests::{any_time, any_window, moments};
    use super::*;
    use crate::message::Language;

    const SERVER: &str = "https://kubernetes.default.svc";

    /// A window of every minute, which is always open, or never.
    fn window(kind: &str, open: bool, manual: bool) -> Value {
        json!({
            "kind": kind, "schedule": if open { "* * * * *" } else { "0 0 30 2 *" }, "duration": "1h",
            "applications": ["*"], "manualSync": manual,
        })
    }

    fn windows(of: &[Value]) -> Vec<Window> {
        serde_json::from_value(Value::Array(of.to_vec())).unwrap()
    }

    fn spec(destination: Value) -> Spec {
        serde_json::from_value(json!({"destination": destination, "project": "team"})).unwrap()
    }

    fn closed(of: &[Value], begun: Begun, now: &str) -> Option<Closed> {
        let (windows, spec) = (windows(of), spec(json!({"server": SERVER})));
        let applicant = Applicant {
            windows: &windows,
            name: "web",
            spec: &spec,
        };
        applicant.closed(begun, now.parse().unwrap())
    }

    #[test]
    fn who_may_sync_is_argo_cds_rule() {
        let (open, shut) = (true, false);
        // Whether a person may, and whether the application by itself.
        for (of, expected) in [
            (vec![], (true, true)),
            (vec![window("allow", open, false)], (true, true)),
            (vec![window("allow", shut, false)], (false, false)),
            (vec![window("allow", shut, true)], (true, false)),
            (vec![window("deny", shut, false)], (true, true)),
            (vec![window("deny", open, false)], (false, false)),
            (vec![window("deny", open, true)], (true, false)),
            // A person needs every window that is in the way.
            (
                vec![window("deny", open, true), window("deny", open, false)],
                (false, false),
            ),
            (
                vec![window("deny", open, true), window("deny", shut, false)],
                (true, false),
            ),
            (
                vec![window("allow", shut, true), window("allow", shut, false)],
                (false, false),
            ),
            // One that allows is enough, unless one denies, whatever else allows.
            (
                vec![window("allow", open, false), window("allow", shut, false)],
                (true, true),
            ),
            (
                vec![window("allow", open, true), window("deny", open, false)],
                (false, false),
            ),
            // What denies with a way by hand is not made stricter by what allows at other times.
            (
                vec![window("deny", open, true), window("allow", shut, false)],
                (true, false),
            ),
            (
                vec![window("deny", shut, false), window("allow", shut, true)],
                (true, false),
            ),
        ] {
            let lets = |begun| closed(&of, begun, "2026-11-28T12:00:00Z").is_none();
            let seen = (lets(Begun::ByHand), lets(Begun::ByItself));
            assert_eq!(seen, expected, "{of:?}");
        }
    }

    #[test]
    fn what_has_begun_goes_on_where_the_windows_let_it() {
        let during = |kind: &str, hour: u32, overrun: bool| {
            json!({"kind": kind, "schedule": format!("0 {hour} * * *"), "duration": "1h", "applications": ["*"],
                "syncOverrun": overrun})
        };
        let goes_on = |of: &[Value], since: &str, now: &str| {
            let (windows, spec) = (windows(of), spec(json!({"server": SERVER})));
            let applicant = Applicant {
                windows: &windows,
                name: "web",
                spec: &spec,
            };
            let time = |hour: &str| -> Timestamp {
                let text = format!("2026-11-28T{hour}:00Z");
                text.parse().unwrap()
            };
            let held = applicant.held(Begun::ByItself, time(since), time(now));
            held.is_none()
        };
        let denied = |overrun| [during("deny", 12, overrun)];
        assert!(goes_on(&denied(true), "11:50", "12:10"));
        assert!(!goes_on(&denied(false), "11:50", "12:10"));
        assert!(!goes_on(&denied(true), "12:05", "12:10"), "begun in it");
        let both = [during("deny", 12, true), during("deny", 12, false)];
        assert!(!goes_on(&both, "11:50", "12:10"), "one of two");
        let allowed = |overrun| [during("allow", 11, overrun), during("allow", 3, true)];
        assert!(goes_on(&allowed(true), "11:50", "12:10"));
        assert!(!goes_on(&allowed(false), "11:50", "12:10"), "of another");
        assert!(!goes_on(&allowed(true), "12:05", "12:10"), "begun outside");
        assert!(goes_on(&allowed(false), "11:50", "11:55"), "still open");
        let after = |overrun| [during("allow", 10, overrun), during("deny", 12, true)];
        assert!(!goes_on(&after(false), "10:50", "11:10"), "held back");
        assert!(!goes_on(&after(false), "10:50", "12:10"), "nor released");
        assert!(goes_on(&after(true), "10:50", "12:10"), "both let it");
        let meanwhile = [
            during("allow", 12, false),
            during("deny", 12, true),
            during("allow", 10, false),
        ];
        assert!(goes_on(&meanwhile, "10:50", "12:10"), "another allows it");
    }

    #[test]
    fn windows_choose_applications_by_any_list_or_by_all() {
        let is_for = |lists: Value, destination: Value| {
            let mut one = window("deny", true, false);
            let members = one.as_object_mut().unwrap();
            members.remove("applications");
            members.extend(lists.as_object().unwrap().clone());
            let (windows, spec) = (windows(&[one]), spec(destination));
            let applicant = Applicant {
                windows: &windows,
                name: "web-a",
                spec: &spec,
            };
            !applicant.assigned().is_empty()
        };
        let here = || json!({"server": SERVER, "namespace": "shop"});
        assert!(!is_for(json!({}), here()));
        assert!(!is_for(json!({"andOperator": true}), here()));
        assert!(is_for(json!({"applications": ["x", "web-*"]}), here()));
        assert!(!is_for(json!({"applications": ["web"]}), here()));
        assert!(is_for(json!({"namespaces": ["sh?p"]}), here()));
        assert!(is_for(json!({"clusters": ["https://*"]}), here()));
        assert!(
            !is_for(json!({"clusters": ["in-cluster"]}), here()),
            "by what the spec says"
        );
        assert!(is_for(
            json!({"clusters": ["in-*"]}),
            json!({"name": "in-cluster"})
        ));
        assert!(!is_for(
            json!({"clusters": [""]}),
            json!({"name": "in-cluster"})
        ));
        let both = |namespace: &str, and: bool| {
            let lists =
                json!({"applications": ["web-*"], "namespaces": [namespace], "andOperator": and});
            is_for(lists, here())
        };
        assert!(both("shop", true) && both("shop", false) && both("other", false));
        assert!(!both("other", true));
        assert!(is_for(
            json!({"namespaces": ["shop"], "andOperator": true}),
            here()
        ));
    }

    #[test]
    fn what_cannot_be_read_keeps_everything_back_and_says_why() {
        let bad = |member: &str, value: Value| {
            let mut one = window("allow", true, true);
            one[member] = value;
            closed(
                &[window("allow", true, true), one],
                Begun::ByHand,
                "2026-11-28T12:00:00Z",
            )
        };
        for (member, value, why) in [
            ("schedule", json!("soon"), "cannot parse schedule 'soon'"),
            ("duration", json!("1d"), "cannot parse duration '1d'"),
            (
                "timeZone",
                json!("Mars/Base"),
                "cannot parse 'Mars/Base' time zone",
            ),
            ("kind", json!("maybe"), "kind 'maybe' mismatch"),
            (
                "applications",
                json!(["{web"]),
                "cannot parse pattern '{web'",
            ),
        ] {
            let closed = bad(member, value).unwrap();
            assert!(closed.cause.message.is(&message::sync::WINDOW_INVALID));
            assert_eq!(closed.until, None);
            for text in [
                closed.cause.render(Language::Korean),
                closed.message.to_string(),
            ] {
                assert!(text.contains(why), "{text}");
            }
        }
        // One that is for others says nothing here.
        let mut other = window("deny", true, false);
        other["applications"] = json!(["other"]);
        other["schedule"] = json!("soon");
        assert_eq!(
            closed(&[other], Begun::ByItself, "2026-11-28T12:00:00Z"),
            None
        );
    }

    #[test]
    fn the_cause_names_the_window_and_when_it_ends() {
        let night = json!({
            "kind": "deny", "schedule": "0 22 * * *", "duration": "8h", "timeZone": "Asia/Seoul", "applications": ["*"],
        });
        let one = closed(&[night], Begun::ByItself, "2026-11-28T15:30:00Z").unwrap();
        assert_eq!(one.until, Some("2026-11-28T21:00:00Z".parse().unwrap()));
        assert_eq!(
            one.cause.render(Language::English),
            "nothing is synced before 2026-11-29 06:00 Asia/Seoul: project `team` says so by its sync window \
             `deny:0 22 * * *:8h`; what waits goes on then, or change syncWindows of the project (spec.project) \
             [sync.window-closed]"
        );
        assert_eq!(
            one.message.to_string(),
            "Sync operation blocked by sync window"
        );
        let long = closed(
            &[window("deny", true, false)],
            Begun::ByItself,
            "2026-11-28T15:30:00Z",
        );
        let long = long.unwrap();
        assert!(long.cause.message.is(&message::sync::WINDOW_STAYS_CLOSED));
        assert_eq!(long.until, None);
    }

    #[test]
    fn an_answer_holds_until_the_time_that_is_named() {
        let mut random = StdRng::seed_from_u64(22);
        for _ in 0..50 {
            let count = random.random_range(1..5);
            let all: Vec<Window> = (0..count).map(|_| any_window(&mut random)).collect();
            let assigned: Vec<&Window> = all.iter().collect();
            let gate = Gate::new(&assigned).unwrap();
            let now = any_time(&mut random);
            for begun in [Begun::ByHand, Begun::ByItself] {
                let (lets, change) = (gate.lets(begun, now), gate.changes(begun, now));
                for at in moments(now).take_while(|at| change.is_none_or(|change| *at < change.at))
                {
                    assert_eq!(
                        gate.lets(begun, at),
                        lets,
                        "{all:?} at {at}, not {change:?}"
                    );
                }
                if let Some(change) = change.filter(|change| change.sure) {
                    assert_ne!(gate.lets(begun, change.at), lets, "{all:?} at {change:?}");
                }
            }
        }
    }

    #[test]
    fn many_windows_that_change_nothing_are_not_followed_for_long() {
        let mut of = vec![window("deny", true, false)];
        of.extend((0..500).map(|at| {
            json!({
                "kind": "allow", "schedule": format!("{}/2 * * * *", at % 2), "duration": "1m",
                "timeZone": "America/New_York", "applications": ["*"],
            })
        }));
        let began = std::time::Instant::now();
        let closed = closed(&of, Begun::ByItself, "2026-11-28T12:00:00Z").unwrap();
        assert!(began.elapsed() < std::time::Duration::from_secs(10));
        assert!(closed.cause.message.is(&message::sync::WINDOW_STAYS_CLOSED));
        assert!(closed.until.is_some(), "it is looked at again");
    }
}
