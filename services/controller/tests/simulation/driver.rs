//! A controller: its index, its memory and its queue, and the requests that it makes. The queue and the gate are the real
//! ones; alarms are a list, since time is the world's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::TimeDelta;
use controller::driver::queue::{Queue, Turn};
use controller::shard::Gate;
use domain::clock::Timestamp;
use domain::resource::ResourceKey;
use engine::compare::Applied;
use futures::FutureExt as _;
use serde_json::{Value, json};

use crate::cluster::{Answer, Event, Request, Stored, Verb};
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

/// What a controller has heard of the cluster.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) objects: BTreeMap<ResourceKey, Arc<Stored>>,
    /// How many events it has heard.
    cursor: usize,
}

impl Index {
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
        self.cursor < log.len()
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
        let mark = duty.step.map(|step| step.mark.clone());
        let began = self.look_began;
        match fault {
            Some(Fault::Conflict) if request.verb == Verb::Merge => return Ok(no(409, "Conflict")),
            Some(Fault::Refused) if matches!(request.verb, Verb::Apply { .. }) => {
                return Ok(no(403, "Forbidden"));
            }
            _ => self.judge.sent(&self.api, &request, duty, began),
        }
        match fault {
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
