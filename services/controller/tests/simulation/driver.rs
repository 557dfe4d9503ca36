//! A controller: its index, its memory and its queue, and the requests that it makes. The queue and the gate are the real
//! ones; alarms are a list, since time is the world's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use chrono::TimeDelta;
use controller::driver::queue::{Queue, Turn};
use controller::shard::Gate;
use domain::clock::Timestamp;
use domain::resource::ResourceKey;
use engine::compare::Applied;
use futures::FutureExt as _;
use serde_json::{Value, json};

use crate::cluster::{Answer, Apiserver, Event, Request, Stored, Verb};
use crate::faults::Fault;
use crate::invariants::Duty;
use crate::look;
use crate::world::World;

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Sleep,
    /// After so many milliseconds.
    After(i64),
}

/// The sooner of two times to look again, where there are two.
pub(crate) fn sooner(one: Next, other: Next) -> Next {
    match (one, other) {
        (Next::After(one), Next::After(other)) => Next::After(one.min(other)),
        (_, Next::After(_)) => other,
        _ => one,
    }
}

/// Why a look came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Something did not answer; whoever looks comes again.
    Unanswered,
    /// The cluster is somebody else's.
    NotHolder,
    /// The process has ended.
    Crash,
}

pub(crate) type Looked<T> = Result<T, Stop>;

/// How long an application rests whose look came to nothing, in milliseconds.
const AGAIN: i64 = 1000;
/// How many objects a listing names while one event would be heard.
const NAMED: usize = 20;

/// What a controller has heard of the cluster.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) objects: BTreeMap<ResourceKey, Arc<Stored>>,
    /// How many events it has heard.
    cursor: usize,
    /// A listing that has not come to its end: nothing is heard of until then.
    listing: Option<Listing>,
    /// Since when nothing has ever been listed; nothing once it was.
    pub(crate) unlisted: Option<Timestamp>,
}

/// A listing under way. What it has named so far is known; what it has not named says nothing before its end.
struct Listing {
    /// In which version it began.
    began: u64,
    /// Where it stands.
    after: Option<ResourceKey>,
    named: BTreeSet<ResourceKey>,
}

impl Index {
    /// Begins to list everything, or begins anew with that. What is known stays until the end says otherwise.
    pub(crate) fn list(&mut self, api: &Apiserver) {
        self.cursor = api.log.len();
        self.listing = Some(Listing {
            began: api.version,
            after: None,
            named: BTreeSet::new(),
        });
    }

    /// Whether a listing is under way.
    pub(crate) fn lists(&self) -> bool {
        self.listing.is_some()
    }

    /// Hears so many of the objects that are listed; whether that is the end of it.
    pub(crate) fn hear(&mut self, api: &Apiserver, count: usize) -> bool {
        let Some(listing) = &mut self.listing else {
            return false;
        };
        let from = listing
            .after
            .clone()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let count = count.saturating_mul(NAMED);
        let mut named = 0;
        for (key, stored) in api.objects.range((from, Bound::Unbounded)).take(count) {
            named += 1;
            listing.after = Some(key.clone());
            listing.named.insert(key.clone());
            let known = self.objects.get(key);
            if known.is_none_or(|known| known.version < stored.version) {
                self.objects.insert(key.clone(), stored.clone());
            }
        }
        if named == count {
            return false;
        }
        let (began, all) = (listing.began, std::mem::take(&mut listing.named));
        self.objects
            .retain(|key, stored| all.contains(key) || stored.version > began);
        self.listing = None;
        self.unlisted = None;
        true
    }

    /// Hears so many events; gives the applications that they are about.
    pub(crate) fn follow(&mut self, log: &[Event], count: usize) -> BTreeSet<String> {
        let mut woken = BTreeSet::new();
        for event in log.iter().skip(self.cursor).take(count) {
            self.cursor += 1;
            let known = self.objects.get(&event.key);
            // What a write of its own was answered is newer.
            if known.is_some_and(|known| known.version >= event.version) {
                continue;
            }
            match &event.object {
                Some(object) => self.objects.insert(event.key.clone(), object.clone()),
                None => self.objects.remove(&event.key),
            };
            let app = event.key.name.split('-').next().unwrap_or_default();
            woken.insert(app.to_owned());
        }
        woken
    }

    /// Whether there is something that it has not heard.
    pub(crate) fn lags(&self, log: &[Event]) -> bool {
        self.lists() || self.cursor < log.len()
    }

    /// Takes in what was answered; gives what it has then.
    pub(crate) fn observe(&mut self, stored: Arc<Stored>) -> Arc<Stored> {
        let key = ResourceKey::of(&stored.object);
        let known = self.objects.get(&key).cloned();
        match known.filter(|known| known.version > stored.version) {
            Some(newer) => newer,
            None => {
                self.objects.insert(key, stored.clone());
                stored
            }
        }
    }
}

/// What is remembered of an application.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) applied: HashMap<ResourceKey, Applied>,
    pub(crate) wave_ended: Option<Timestamp>,
}

/// A process.
pub(crate) struct Controller {
    pub(crate) fence: i64,
    gate: Gate,
    pub(crate) index: Index,
    pub(crate) memory: BTreeMap<String, Memory>,
    pub(crate) queue: Queue,
    alarms: BTreeMap<String, Timestamp>,
}

impl Controller {
    /// One that has heard so many events.
    pub(crate) fn new(fence: i64, gate: Gate, log: &[Event], heard: usize) -> Self {
        let mut index = Index::default();
        index.follow(log, heard);
        Self::with(fence, gate, index)
    }

    /// One that knows nothing, and lists everything first.
    pub(crate) fn that_lists(fence: i64, gate: Gate, api: &Apiserver) -> Self {
        let mut index = Index {
            unlisted: Some(api.now),
            ..Index::default()
        };
        index.list(api);
        Self::with(fence, gate, index)
    }

    fn with(fence: i64, gate: Gate, index: Index) -> Self {
        Self {
            fence,
            gate,
            index,
            memory: BTreeMap::new(),
            queue: Queue::new(4),
            alarms: BTreeMap::new(),
        }
    }

    /// When it is to look at something next.
    pub(crate) fn next_alarm(&self) -> Option<Timestamp> {
        self.alarms.values().min().copied()
    }
}

impl World {
    /// Whether a controller is at hand that has something to do now.
    pub(crate) fn is_busy(&self) -> bool {
        self.active
            .as_ref()
            .is_some_and(|active| active.queue.waiting() > 0)
    }

    /// Has the applications looked at whose time has come.
    pub(crate) fn ring(&mut self) {
        let now = self.now();
        let Some(active) = &mut self.active else {
            return;
        };
        let due = active.alarms.iter().filter(|(_, at)| **at <= now);
        let due: Vec<String> = due.map(|(app, _)| app.clone()).collect();
        active.alarms.retain(|_, at| *at > now);
        for app in due {
            self.wake(&app);
        }
    }

    /// The controller looks at one application.
    pub(crate) fn work(&mut self) {
        // Operations are told apart by when they began: no two looks are at one time.
        self.pass(1);
        self.ring();
        let Some(mut me) = self.active.take() else {
            return;
        };
        let turn: Option<Turn> = me.queue.pop().now_or_never();
        let Some(turn) = turn else {
            self.active = Some(me);
            return;
        };
        let app = turn.app.name.to_string();
        self.look_began = self.now();
        let looked = look::reconcile(self, &mut me, &app);
        let fence = me.fence;
        self.tell(format_args!("{app}: {fence} looks: {looked:?}"));
        let pause = match looked {
            Ok(Next::Sleep) => None,
            Ok(Next::After(millis)) => Some(millis),
            Err(_) => Some(AGAIN),
        };
        match pause {
            Some(0) => me.queue.push(turn.app.clone()),
            Some(millis) => {
                let at = self.now() + TimeDelta::milliseconds(millis);
                me.alarms.insert(app, at);
            }
            None => {
                me.alarms.remove(&app);
            }
        }
        drop(turn);
        // Somebody else may have it by now.
        if self.active.is_none() {
            match looked {
                Err(Stop::Crash) => self.abandon(),
                _ => self.active = Some(me),
            }
        }
    }

    /// A controller makes a request.
    pub(crate) fn call(
        &mut self,
        me: &Controller,
        request: Request,
        duty: &Duty<'_>,
    ) -> Looked<Answer> {
        let writes = request.verb != Verb::Get;
        let fault = self.fault(&request);
        if let Some(fault) = fault {
            if let Some(name) = fault.name(request.verb) {
                self.count(name);
            }
            let fence = me.fence;
            self.tell(format_args!(
                "{}: {fence}: {:?} {}: {fault:?}",
                duty.app, request.verb, request.key
            ));
        }
        match fault {
            Some(Fault::Pause(millis)) => self.stand_still(millis),
            Some(Fault::Crash) => return Err(Stop::Crash),
            Some(Fault::Lost) => return Err(Stop::Unanswered),
            _ => {}
        }
        if writes && !me.gate.open_at(self.instant(self.now())) {
            return Err(Stop::NotHolder);
        }
        if self.link.away.is_some() {
            return Err(Stop::Unanswered);
        }
        if writes && me.index.unlisted.is_some() {
            let blind = format!("{}: {} is written blindly", duty.app, request.key);
            self.judge.wrong.push(blind);
        }
        let mark = duty.step.map(|step| step.mark.clone());
        let began = self.look_began;
        match fault {
            Some(Fault::Conflict) if request.verb == Verb::Merge => return Ok(no(409, "Conflict")),
            Some(Fault::Refused) if matches!(request.verb, Verb::Apply { .. }) => {
                return Ok(no(403, "Forbidden"));
            }
            _ if self.keeps(&request, duty) => {
                self.count("kept");
                return Ok(no(403, "Forbidden"));
            }
            _ => self.judge.sent(&self.api, &request, duty, began),
        }
        match fault {
            Some(Fault::Cut { done }) => {
                if done {
                    self.arrive(&request, mark.as_ref());
                }
                self.sever();
                // It hears of that as of anything else.
                for app in self.rows.keys() {
                    me.queue.push(self.key_of(app));
                }
                Err(Stop::Unanswered)
            }
            Some(Fault::Late(millis)) if writes => {
                self.fly(request, mark, millis);
                Err(Stop::Crash)
            }
            Some(Fault::Answerless) if writes => {
                self.arrive(&request, mark.as_ref());
                Err(Stop::Unanswered)
            }
            Some(Fault::CrashAfter) if writes => {
                self.arrive(&request, mark.as_ref());
                Err(Stop::Crash)
            }
            _ => Ok(self.arrive(&request, mark.as_ref())),
        }
    }

    /// Whether a webhook keeps hooks from being changed or deleted by whom they were made.
    fn keeps(&self, request: &Request, duty: &Duty<'_>) -> bool {
        request.key.kind == "Job"
            && matches!(request.verb, Verb::Delete | Verb::Merge)
            && self.guarded.contains(duty.app)
    }

    /// The process does nothing for a while: it renews no lease either.
    fn stand_still(&mut self, millis: i64) {
        let (fence, renewed) = (self.lease.fence, self.lease.renewed);
        self.abandon();
        self.pass(millis);
        if self.lease.fence == fence {
            self.lease.renewed = renewed;
            // Its own clock has gone on, and it asks for the lease before it writes.
            if renewed {
                self.pass(1);
            }
        }
    }

    /// The object that a controller asks for, as it is.
    pub(crate) fn fetch(
        &mut self,
        me: &Controller,
        key: &ResourceKey,
        duty: &Duty<'_>,
    ) -> Looked<Option<Arc<Stored>>> {
        let request = Request {
            verb: Verb::Get,
            key: key.clone(),
            body: Value::Null,
            manager: String::new(),
            dry_run: false,
        };
        let answer = self.call(me, request, duty)?;
        Ok(answer
            .is_good()
            .then(|| Arc::new(Stored::new(answer.object))))
    }
}

/// A no that comes from somewhere behind.
fn no(code: u16, reason: &str) -> Answer {
    Answer {
        code,
        object: json!({"kind": "Status", "code": code, "reason": reason, "message": format!("{reason} for now")}),
    }
}
