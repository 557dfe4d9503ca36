//! What there is besides controllers: Git, rows, a lease, people who push, edit and delete, and time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Timelike};
use controller::driver::queue::AppKey;
use controller::shard::MARGIN;
use domain::application::{Application, Destination, IN_CLUSTER_NAME, IN_CLUSTER_SERVER, Spec};
use domain::clock::Timestamp;
use domain::manifest::Manifest;
use domain::project::window::Window;
use domain::project::{Project, Rules};
use domain::resource::ResourceKey;
use domain::schema::SchemaSet;
use domain::settings::KindFilter;
use domain::tenant::{TenantId, TenantName};
use domain::tracking::Marking;
use engine::claim::{Alone, Claimant};
use engine::compare::{Ignored, Named};
use engine::options::SyncOptions;
use engine::prepare::{Context, Kinds, Prepared, Scope, Territory};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cluster::{Apiserver, KINDS, Request, Stored, Verb};
use crate::driver::Controller;
use crate::faults::{Dice, Fault};
use crate::invariants::{Judge, Mark};

/// How long a lease lasts without renewal, in milliseconds.
const TTL: i64 = 2750;
/// The minutes of an hour in which a window keeps applications back.
const CLOSED: u32 = 10;
/// How long is looked ahead at once where time passes, in milliseconds.
const PACE: i64 = 500;
/// The shortest time that operations of a tenant may take where it says so, and how much longer it may be, in seconds.
const LIMIT: i64 = 120;
const LONGER: usize = 600;

/// Whether the window is closed.
pub(crate) fn in_window(now: Timestamp) -> bool {
    now.minute() < CLOSED
}

/// Who holds the cluster.
pub(crate) struct Lease {
    pub(crate) fence: i64,
    pub(crate) until: Timestamp,
    /// Whether its holder lives and reaches the database.
    pub(crate) renewed: bool,
    pub(crate) gate: controller::shard::Gate,
}

/// The way to the cluster.
#[derive(Default)]
pub(crate) struct Link {
    /// Whether a tenant has added it: who takes it over lists it anew.
    pub(crate) added: bool,
    /// Since when it does not answer; nothing while it does.
    pub(crate) away: Option<Timestamp>,
    /// When it came back, if it was ever away.
    pub(crate) back: Option<Timestamp>,
    /// How many events were told before it went.
    told: usize,
}

/// A write that is on its way though nobody waits for it any more.
struct Flight {
    lands: Timestamp,
    request: Request,
    mark: Option<Mark>,
}

/// What an application's project, tenant and cluster say to its comparison that never changes here.
#[derive(Default)]
pub(crate) struct Nothing {
    named: HashMap<ResourceKey, Named>,
    unnamed: HashSet<ResourceKey>,
    pub(crate) schema: SchemaSet,
    kinds: KindFilter,
}

impl Nothing {
    /// Nothing is left out.
    pub(crate) fn ignored(&self) -> Ignored<'_> {
        Ignored {
            rules: &[],
            named: &self.named,
            unnamed: &self.unnamed,
            known: &[],
        }
    }
}

/// How large a world is.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) apps: usize,
    /// The ConfigMaps that each may have.
    pub(crate) maps: usize,
    /// How often something happens before it is left alone.
    pub(crate) steps: usize,
}

/// Everything.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) size: Size,
    pub(crate) dice: Dice,
    pub(crate) api: Apiserver,
    /// The revisions of each application's repository, in order.
    pub(crate) git: BTreeMap<String, Vec<Vec<Manifest>>>,
    pub(crate) rows: BTreeMap<String, Application>,
    /// The applications whose operation somebody has stopped before a controller had begun it.
    pub(crate) stopped: BTreeSet<String>,
    /// How many writes to rows changed anything.
    pub(crate) writes: u64,
    pub(crate) lease: Lease,
    /// The controller that holds the lease, unless it is at work.
    pub(crate) active: Option<Controller>,
    pub(crate) judge: Judge,
    pub(crate) nothing: Nothing,
    pub(crate) rules: Rules,
    pub(crate) link: Link,
    /// The applications whose hooks a webhook keeps.
    pub(crate) guarded: BTreeSet<String>,
    /// How long operations of each tenant may take.
    limits: [Option<TimeDelta>; 2],
    /// How often some of what goes wrong has.
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// What happened, line by line; nothing where nobody reads it.
    pub(crate) story: Option<String>,
    /// When the controller began its last look: windows are asked then.
    pub(crate) look_began: Timestamp,
    flights: Vec<Flight>,
    pub(crate) tenants: [TenantName; 2],
    start: Instant,
    prepared: BTreeMap<(String, usize), Arc<Prepared>>,
}

impl Kinds for World {
    fn scope(&self, group: &str, version: &str, kind: &str) -> Option<Scope> {
        let mut all = KINDS.iter();
        let known =
            all.find(|known| (known.group, known.version, known.kind) == (group, version, kind))?;
        Some(match known.namespaced {
            true => Scope::Namespaced,
            false => Scope::Cluster,
        })
    }
}

impl World {
    pub(crate) fn new(seed: u64, size: Size) -> Self {
        let start = Timestamp::UNIX_EPOCH + TimeDelta::days(20_000);
        let mut rules: Rules = serde_json::from_value(Project::default_spec()).unwrap();
        rules.sync_windows = vec![Window {
            kind: "deny".to_owned(),
            schedule: "0 * * * *".to_owned(),
            duration: format!("{CLOSED}m"),
            applications: vec!["w*".into()],
            ..Window::default()
        }];
        let mut api = Apiserver::default();
        api.now = start + TimeDelta::minutes(15);
        let mut world = Self {
            seed,
            size,
            dice: Dice::new(seed),
            api,
            git: BTreeMap::new(),
            rows: BTreeMap::new(),
            stopped: BTreeSet::new(),
            writes: 0,
            lease: Lease {
                fence: 0,
                until: start,
                renewed: false,
                gate: controller::shard::Gate::default(),
            },
            active: None,
            judge: Judge::default(),
            nothing: Nothing::default(),
            rules,
            link: Link::default(),
            guarded: BTreeSet::new(),
            limits: [None; 2],
            counts: BTreeMap::new(),
            story: Some(String::new()),
            look_began: start,
            flights: Vec::new(),
            tenants: ["user01", "user02"].map(|name| TenantName::from_stored(name.to_owned())),
            start: Instant::now(),
            prepared: BTreeMap::new(),
        };
        world.link.added = world.dice.chance("added", 40);
        world.limits = [(); 2].map(|()| {
            let seconds = LIMIT + world.dice.millis("limit", LONGER);
            let limited = world.dice.chance("limited", 50);
            limited.then(|| TimeDelta::seconds(seconds))
        });
        for tenant in world.tenants.clone() {
            world.make(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": tenant.as_str()}}));
        }
        for number in 0..size.apps {
            world.found(number);
        }
        world.elect();
        world
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.api.now
    }

    /// Now, on the monotonic clock that gates go by.
    pub(crate) fn instant(&self, now: Timestamp) -> Instant {
        let since = now - Timestamp::UNIX_EPOCH - TimeDelta::days(20_000);
        self.start + since.to_std().unwrap_or_default()
    }

    pub(crate) fn tell(&mut self, line: std::fmt::Arguments<'_>) {
        let now = self.api.now;
        if let Some(story) = &mut self.story {
            let _ = writeln!(story, "{} {line}", now.format("%H:%M:%S%.3f"));
        }
    }

    pub(crate) fn make(&mut self, object: &Value) {
        let request = Request {
            verb: Verb::Create,
            key: ResourceKey::of(object),
            body: object.clone(),
            manager: "kubectl".to_owned(),
            dry_run: false,
        };
        let answer = self.api.serve(&request);
        assert!(answer.is_good(), "{}", answer.message());
    }

    /// The sync options of an application.
    pub(crate) fn options(&self, app: &str) -> SyncOptions {
        let spec = self.rows.get(app).and_then(|row| row.view().ok());
        let named = spec.and_then(|spec: Spec| Some(spec.sync_policy?.sync_options));
        SyncOptions::parse(named.iter().flatten().map(String::as_str))
    }

    /// The place of a revision, by its name; the newest where none is named.
    pub(crate) fn revision(&self, app: &str, name: &str) -> usize {
        let newest = self
            .git
            .get(app)
            .map_or(0, |all| all.len().saturating_sub(1));
        usize::from_str_radix(name, 16).unwrap_or(newest)
    }

    pub(crate) fn tenant_of(&self, app: &str) -> &TenantName {
        let number: usize = app[1..].parse().unwrap_or_default();
        &self.tenants[number % 2]
    }

    /// How long an operation of an application may take, where that is said.
    pub(crate) fn limit_of(&self, app: &str) -> Option<TimeDelta> {
        let number: usize = app[1..].parse().unwrap_or_default();
        self.limits[number % 2]
    }

    pub(crate) fn key_of(&self, app: &str) -> AppKey {
        let number: u128 = app[1..].parse().unwrap_or_default();
        AppKey::new(TenantId(Uuid::from_u128(1 + number % 2)), app)
    }

    /// What the engine makes of a revision.
    pub(crate) fn prepared(&mut self, app: &str, revision: usize) -> Arc<Prepared> {
        let key = (app.to_owned(), revision);
        if let Some(known) = self.prepared.get(&key) {
            return known.clone();
        }
        let prepared = Arc::new(self.prepare(app, revision));
        self.prepared.insert(key, prepared.clone());
        prepared
    }

    /// What it makes of the newest one.
    pub(crate) fn prepared_now(&self, app: &str) -> Prepared {
        self.prepare(app, self.revision(app, ""))
    }

    fn prepare(&self, app: &str, revision: usize) -> Prepared {
        let tenant = self.tenant_of(app);
        let namespaces = [tenant.as_str().to_owned()];
        let options = self.options(app);
        let destination = destination(tenant.as_str());
        let context = Context {
            app,
            tenant,
            destination: &destination,
            territory: Territory::Only {
                namespaces: &namespaces,
                patterns: &[],
                cluster_scoped: true,
            },
            options: &options,
            project: "default",
            rules: &self.rules,
            marking: marking(),
            schema: &self.nothing.schema,
            kinds: self,
            filter: &self.nothing.kinds,
        };
        engine::prepare(&self.git[app][revision], &context)
    }

    /// The objects whose names begin with an application's, whosever they are.
    pub(crate) fn objects_of<'a>(
        &'a self,
        app: &'a str,
    ) -> impl Iterator<Item = (&'a ResourceKey, &'a Arc<Stored>)> {
        named_after(&self.api.objects, self.tenant_of(app).as_str(), app)
    }

    /// Has an application looked at.
    pub(crate) fn wake(&self, app: &str) {
        let key = self.key_of(app);
        if let Some(active) = &self.active {
            active.queue.push(key);
        }
    }

    /// Lets time pass. The lease is renewed where its holder is there to do it.
    pub(crate) fn pass(&mut self, millis: i64) {
        let mut left = millis;
        while left > 0 {
            let step = left.min(PACE);
            left -= step;
            self.api.now += TimeDelta::milliseconds(step);
            self.land();
            self.renew();
        }
    }

    fn renew(&mut self) {
        if !self.lease.renewed {
            self.elect();
            return;
        }
        let until = self.now() + TimeDelta::milliseconds(TTL);
        self.lease.until = until;
        self.lease.gate.hold_until(self.instant(until));
    }

    /// Gives the lease to another controller where nobody has it any more.
    pub(crate) fn elect(&mut self) {
        let margin = TimeDelta::from_std(MARGIN).unwrap_or_default();
        if self.now() <= self.lease.until + margin {
            return;
        }
        let late = match self.dice.calm {
            true => 0,
            false => self.dice.below("late watch", 30),
        };
        self.lease.fence += 1;
        self.lease.renewed = true;
        self.lease.gate = controller::shard::Gate::default();
        // What was there first everybody knows.
        let first = 2 + 4 * self.size.apps;
        let cursor = self
            .api
            .log
            .len()
            .saturating_sub(late)
            .max(first.min(self.api.log.len()));
        let (fence, gate) = (self.lease.fence, self.lease.gate.clone());
        let active = match (self.link.added, self.link.away) {
            (true, _) => Controller::that_lists(fence, gate, &self.api),
            (false, None) => Controller::new(fence, gate, &self.api.log, cursor),
            (false, Some(_)) => {
                Controller::new(fence, gate, &self.api.log, cursor.min(self.link.told))
            }
        };
        self.tell(format_args!(
            "controller {fence} takes over, {late} events behind"
        ));
        let apps: Vec<String> = self.rows.keys().cloned().collect();
        self.active = Some(active);
        for app in apps {
            self.wake(&app);
        }
        self.renew();
    }

    /// The holder is gone, or does not reach the database any more.
    pub(crate) fn abandon(&mut self) {
        self.lease.renewed = false;
    }

    /// A request arrives.
    pub(crate) fn arrive(
        &mut self,
        request: &Request,
        mark: Option<&Mark>,
    ) -> crate::cluster::Answer {
        let answer = self.api.serve(request);
        let fence = self.lease.fence;
        self.judge.landed(&self.api, request, &answer, mark, fence);
        answer
    }

    /// A request is on its way, and nobody waits for it.
    pub(crate) fn fly(&mut self, request: Request, mark: Option<Mark>, millis: i64) {
        let lands = self.now() + TimeDelta::milliseconds(millis);
        self.flights.push(Flight {
            lands,
            request,
            mark,
        });
    }

    fn land(&mut self) {
        let now = self.now();
        let flights = std::mem::take(&mut self.flights);
        let (due, waiting) = flights
            .into_iter()
            .partition(|flight: &Flight| flight.lands <= now);
        self.flights = waiting;
        let mut due: Vec<Flight> = due;
        due.sort_by_key(|flight| flight.lands);
        for Flight { request, mark, .. } in due {
            let answer = self.arrive(&request, mark.as_ref());
            self.tell(format_args!(
                "late: {:?} {}: {}",
                request.verb, request.key, answer.code
            ));
        }
    }

    /// Something happens.
    pub(crate) fn step(&mut self) {
        match self.dice.below("step", 106) {
            0..35 => self.work(),
            35..55 => {
                let count = 1 + self.dice.below("events", 12);
                self.deliver(count);
            }
            55..72 => {
                let at = self.dice.below("plane", self.api.restless.len());
                if let Some(key) = self.api.restless.iter().nth(at).cloned() {
                    self.api.tick(&key);
                }
            }
            72..80 => self.meddle(),
            80..96 => {
                let millis = 1 + self.dice.millis("time", 3000);
                self.pass(millis);
            }
            96 => {
                let millis = self.dice.millis("long time", 400_000);
                self.pass(millis);
            }
            97 => {
                self.tell(format_args!("the controller ends"));
                self.active = None;
                self.abandon();
            }
            98 => {
                self.tell(format_args!("the controller does not reach the database"));
                self.abandon();
            }
            99 => self.refresh(),
            100 => self.sever(),
            101..104 => self.mend(),
            104 => self.relist(),
            _ => self.guard(),
        }
    }

    /// Notes that something went wrong.
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// The cluster does not answer any more.
    pub(crate) fn sever(&mut self) {
        if self.link.away.is_some() {
            return;
        }
        self.tell(format_args!("the cluster is away"));
        self.count("away");
        self.link.away = Some(self.now());
        self.link.told = self.api.log.len();
        self.refresh();
    }

    /// It answers again, where it did not. Watches go on where they were, or list anew; a listing that was cut short does.
    pub(crate) fn mend(&mut self) {
        if self.link.away.take().is_none() {
            return;
        }
        self.tell(format_args!("the cluster is back"));
        self.link.back = Some(self.now());
        let anew = self.dice.chance("mend", 30);
        let now = self.api.now;
        if let Some(active) = &mut self.active {
            if anew || active.index.lists() {
                active.index.list(&self.api);
            }
            active.index.unlisted = active.index.unlisted.map(|_| now);
        }
        self.refresh();
    }

    /// A watch is told that what it asks for is too old.
    fn relist(&mut self) {
        if self.link.away.is_some() {
            return;
        }
        let Some(active) = &mut self.active else {
            return;
        };
        active.index.list(&self.api);
        self.tell(format_args!("the controller lists everything anew"));
        self.count("listed anew");
    }

    /// A webhook begins to keep the hooks of an application, or lets go of those of all.
    fn guard(&mut self) {
        let apps: Vec<String> = self.rows.keys().cloned().collect();
        let at = self.dice.below("guarded", apps.len());
        match apps.get(at) {
            Some(app) if self.guarded.len() < 3 => {
                self.tell(format_args!("{app}: a webhook keeps its hooks"));
                self.guarded.insert(app.clone());
            }
            _ => self.unguard(),
        }
    }

    /// Nobody keeps hooks any more.
    pub(crate) fn unguard(&mut self) {
        self.tell(format_args!("no webhook keeps hooks"));
        self.guarded.clear();
    }

    /// Whether a look breaks off right after an operation has come to its end.
    pub(crate) fn stumbles(&mut self, app: &str) -> bool {
        let stumbles = !self.dice.calm && self.dice.chance(&format!("{app} stumbles"), 5);
        if stumbles {
            self.count("stumbled");
        }
        stumbles
    }

    /// All are looked at anew.
    pub(crate) fn refresh(&mut self) {
        let apps: Vec<String> = self.rows.keys().cloned().collect();
        for app in apps {
            self.wake(&app);
        }
    }

    /// Tells the controller what happened, so many events on.
    pub(crate) fn deliver(&mut self, count: usize) {
        if self.link.away.is_some() {
            return;
        }
        let Some(active) = &mut self.active else {
            return;
        };
        if active.index.lists() {
            if active.index.hear(&self.api, count) {
                self.refresh();
            }
            return;
        }
        let woken = active.index.follow(&self.api.log, count);
        for app in woken.iter().filter(|app| self.rows.contains_key(*app)) {
            let key = self.key_of(app);
            if let Some(active) = &self.active {
                active.queue.push(key);
            }
        }
    }

    /// What goes wrong with a request of a controller.
    pub(crate) fn fault(&mut self, request: &Request) -> Option<Fault> {
        if self.dice.calm {
            return None;
        }
        let about = format!("{:?} {}", request.verb, request.key);
        self.dice.fault(&about)
    }
}

/// The objects in a namespace whose names begin with an application's.
pub(crate) fn named_after<'a>(
    objects: &'a BTreeMap<ResourceKey, Arc<Stored>>,
    namespace: &'a str,
    app: &'a str,
) -> impl Iterator<Item = (&'a ResourceKey, &'a Arc<Stored>)> {
    KINDS.iter().flat_map(move |kind| {
        let key = |after: char| ResourceKey {
            group: kind.group.to_owned(),
            kind: kind.kind.to_owned(),
            namespace: namespace.to_owned(),
            name: format!("{app}{after}"),
        };
        // The dot comes right after the dash.
        objects.range(key('-')..key('.'))
    })
}

/// How objects are marked.
fn marking() -> &'static Marking {
    static MARKING: LazyLock<Marking> = LazyLock::new(Marking::default);
    &MARKING
}

/// An application as it asks whose an object is.
pub(crate) fn claimant<'a>(tenant: &'a str, app: &'a str) -> Claimant<'a> {
    Claimant {
        tenant,
        app,
        marking: marking(),
        alone: Alone::Nowhere,
    }
}

/// How a revision is called.
pub(crate) fn name_of(revision: usize) -> String {
    format!("{revision:040x}")
}

pub(crate) fn destination(namespace: &str) -> Destination {
    Destination {
        server: IN_CLUSTER_SERVER.to_owned(),
        name: IN_CLUSTER_NAME.to_owned(),
        namespace: namespace.to_owned(),
    }
}

/// So long as a pause between two looks is.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
