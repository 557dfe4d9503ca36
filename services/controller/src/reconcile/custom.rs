//! What a tenant's settings have written in jq and Lua, asked for the objects of a look (client required).
//!
//! Scripts see whole objects, which are fetched as the tenant's account. What came out is remembered by script and
//! resourceVersion: nothing is run while nothing changed.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::LiveEntry;
use domain::cause::Cause;
use domain::message;
use domain::resource::{ResourceKey, text};
use domain::settings::Customizations;
use domain::status::HealthCode;
use domain::tenant::TenantId;
use engine::compare::{Named, expressions};
use engine::health;
use engine::prepare::Target;
use engine::tree::Checks;
use engine::views;
use script::{Answer, Job, Refusal};
use serde_json::Value;

use super::live::LiveSet;
use super::look;
use super::subject::Subject;
use crate::context::Context;
use crate::memory::AppMemory;
use crate::tenants::TenantFacts;

/// No look runs health scripts over more objects.
const MAX_CHECKED: usize = 1_000;
/// A check that could not be carried out for so long has failed: its script always takes too long.
const POSTPONED: Duration = Duration::from_secs(300);
/// How many objects are fetched, and looked at, at once for one application.
const AT_ONCE: usize = 16;
/// When scripts are asked again that took too long, or for which there was no time left.
const LATER: Duration = Duration::from_secs(60);
/// When they are asked again first that could not be run.
const SOONEST: Duration = Duration::from_secs(1);
/// The longest that a cluster is left alone whose no may pass: all of a tenant's applications may have it, and each asks for as many
/// objects as it has.
const SELDOM: Duration = Duration::from_secs(600);

/// How soon is asked again for what could not be said, though nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Again {
    /// As soon as may be: it was not for a script that it said nothing.
    Soon,
    /// In a minute.
    Later,
    /// In a minute at first, and ever more seldom: the cluster said no, which somebody there has to mend.
    Seldom,
}

/// How soon a cluster is asked again that said no where that may pass without a change of anything that is watched: rights
/// that are given, a quota, a webhook.
#[must_use]
pub fn after_no(error: &cluster::Error) -> Option<Again> {
    let passes = error.is_transient() || error.is_forbidden() || error.is_conflict();
    passes.then_some(Again::Seldom)
}

impl Again {
    fn of(refusal: &Refusal) -> Self {
        match refusal.is_ours() {
            true => Self::Soon,
            false => Self::Later,
        }
    }

    /// When that is: what could not be run, and what a cluster refuses, is tried again after as long as it has been so, `since`
    /// then, within bounds.
    #[must_use]
    pub fn pause(
        again: Option<Self>,
        since: &mut Option<(Self, Instant)>,
        now: Instant,
    ) -> Option<Duration> {
        *since = match (again, *since) {
            (Some(again), Some((known, begun))) if known == again => Some((again, begun)),
            (again, _) => again.map(|again| (again, now)),
        };
        let (again, begun) = (*since)?;
        let lasts = now.saturating_duration_since(begun);
        Some(match again {
            Self::Soon => lasts.clamp(SOONEST, LATER),
            Self::Later => LATER,
            Self::Seldom => lasts.clamp(LATER, SELDOM),
        })
    }
}

/// The sooner of two.
#[must_use]
pub fn sooner(one: Option<Again>, other: Option<Again>) -> Option<Again> {
    one.into_iter().chain(other).min()
}

/// What jq expressions name, and why some name nothing.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// By object.
    pub named: HashMap<ResourceKey, Named>,
    /// The objects for which that could not be said now.
    pub unnamed: HashSet<ResourceKey>,
    /// Those of them for which it was not for the expressions.
    ours: HashSet<ResourceKey>,
    /// Why some could not be evaluated.
    pub causes: Vec<Cause>,
}

/// What tenants' own checks say, as far as they could be asked.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// By object.
    pub checks: Checks,
    /// How soon some have to be asked again though nothing changes.
    pub again: Option<Again>,
}

/// What was found out about an object by a script.
#[derive(Clone, Debug)]
pub struct Known {
    /// Names the script.
    script: u64,
    /// The object's resourceVersion.
    version: String,
    /// What the script says.
    checked: health::Checked,
}

impl Known {
    /// Whether the same script says the same, be it of another state of the object.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        self.script == other.script && self.checked == other.checked
    }
}

/// Where the jq expressions of what is left out lead, for every object whose body is at hand and not known yet; those that
/// the cluster was asked about are looked at as it would make them.
pub async fn places(
    ctx: &Context,
    subject: &Subject,
    targets: &[Target],
    live: &LiveSet,
    known: Places,
) -> Places {
    let pairs = targets.iter().filter_map(|target| {
        let predicted = live.predicted(&target.key);
        if predicted.is_none() && known.named.contains_key(&target.key) {
            return None;
        }
        let want: &Value = &target.object;
        Some((&target.key, [Some(want), live.body(&target.key), predicted]))
    });
    let pairs = pairs.filter(|(_, [_, body, _])| body.is_some());
    let pairs: Vec<_> = pairs.collect();
    named(ctx, subject, &pairs, known).await
}

/// The same for objects as they are wanted, as they are, and as the cluster would make them.
pub async fn named(
    ctx: &Context,
    subject: &Subject,
    states: &[(&ResourceKey, [Option<&Value>; 3])],
    mut known: Places,
) -> Places {
    let asked = states.iter().filter_map(|(key, states)| {
        let expressions = expressions(&subject.ignore, key);
        (!expressions.is_empty()).then_some((*key, states, expressions))
    });
    let asked: Vec<_> = asked.collect();
    // So many at once as may be in memory whole.
    for some in asked.chunks(AT_ONCE) {
        let jobs = some.iter().flat_map(|(key, states, expressions)| {
            states.iter().flatten().map(|state| Job::Places {
                expressions: expressions.clone(),
                object: unveiled(key, (*state).clone()),
            })
        });
        let jobs: Vec<Job> = jobs.collect();
        let mut outcomes = ctx
            .scripts
            .run(subject.tenant_name(), &jobs)
            .await
            .into_iter();
        for (key, states, _) in some {
            known.unnamed.remove(*key);
            known.ours.remove(*key);
            let [want, got, predicted] =
                states.map(|state| known.take(key, state.and_then(|_| outcomes.next())));
            let named = Named {
                want,
                predicted,
                got,
            };
            known.named.insert((*key).clone(), named);
        }
    }
    known
}

impl Places {
    /// How soon is asked again for the objects of which nobody could say what the expressions name.
    #[must_use]
    pub fn again(&self) -> Option<Again> {
        match (self.unnamed.is_empty(), self.ours.is_empty()) {
            (true, _) => None,
            (false, true) => Some(Again::Later),
            (false, false) => Some(Again::Soon),
        }
    }

    /// The places of a state of an object; none of one that there is not.
    fn take(&mut self, key: &ResourceKey, outcome: Option<Result<Answer, Refusal>>) -> Vec<String> {
        match outcome {
            Some(Ok(Answer::Places(places))) => return places,
            Some(Err(refusal)) if refusal.passes() => {
                self.unnamed.insert(key.clone());
                if refusal.is_ours() {
                    self.ours.insert(key.clone());
                }
            }
            Some(Err(refusal)) => {
                let cause = Cause::warning(message::sync::JQ_INVALID.message());
                let cause = cause.field("spec.ignoreDifferences");
                let cause = cause.evidence(words(&refusal));
                if !self.causes.contains(&cause) {
                    self.causes.push(cause);
                }
            }
            Some(Ok(_)) | None => {}
        }
        Vec::new()
    }
}

/// An object as scripts may see it: of a Secret no values. Its annotations stay, which are for whoever the scripts are of.
fn unveiled(key: &ResourceKey, mut object: Value) -> Value {
    if key.group.is_empty() && key.kind == "Secret" {
        views::mask(&mut [Some(&mut object)]);
    }
    object
}

/// What the tenant's own health checks say of the application's objects and of those beneath them.
///
/// # Errors
/// When the cluster does not give an object now.
pub async fn checks(
    ctx: &Context,
    subject: &Subject,
    live: &LiveSet,
    memory: &mut AppMemory,
) -> Result<Checked, cluster::Error> {
    let mut found = Checked::default();
    if !subject.customizations.check_health() {
        memory.checked = Arc::default();
        note(ctx, subject, memory);
        return Ok(found);
    }
    let below = look::beneath(ctx, subject.sight(), live.entries());
    let mut kept = HashMap::new();
    let mut wanted = Vec::new();
    for entry in live.entries().iter().chain(&below) {
        let Some(script) = subject.customizations.health(&entry.key) else {
            continue;
        };
        match memory.checked.get(&entry.key) {
            Some(known)
                if known.script == name(script) && *known.version == *entry.resource_version =>
            {
                kept.insert(entry.key.clone(), known.clone());
            }
            _ if kept.len() + wanted.len() < MAX_CHECKED => wanted.push((entry.clone(), script)),
            _ => {
                found
                    .checks
                    .insert(entry.key.clone(), Some(too_many(entry)));
            }
        }
    }
    let tenant = subject.key.tenant;
    // So many at once as may be in memory whole.
    for some in wanted.chunks(AT_ONCE) {
        let bodies = some
            .iter()
            .map(|(entry, _)| body(ctx, subject, live, &entry.key, &entry.version));
        let bodies = futures::future::join_all(bodies).await;
        let (mut asked, mut jobs) = (Vec::new(), Vec::new());
        for ((entry, script), body) in some.iter().zip(bodies) {
            let object = match body {
                Ok(Some(object)) => object,
                // It is gone.
                Ok(None) => continue,
                Err(error) if error.passes() => {
                    return Err(error);
                }
                Err(error) => {
                    // Nothing tells when it may be read.
                    found.again = sooner(found.again, Some(Again::Seldom));
                    let unknown = health::unchecked(&error.to_string(), &entry.body);
                    found.checks.insert(entry.key.clone(), Some(unknown));
                    continue;
                }
            };
            let version = text(&object, &["metadata", "resourceVersion"]).to_owned();
            asked.push((entry, name(script), version));
            jobs.push(Job::Health {
                script: (*script).to_owned(),
                object: unveiled(&entry.key, object),
            });
        }
        let outcomes = ctx.scripts.run(subject.tenant_name(), &jobs).await;
        for ((entry, script, version), outcome) in asked.into_iter().zip(outcomes) {
            let checked = match judged(outcome, &entry.body) {
                Ok(checked) => checked,
                Err(refusal) => {
                    let later = later(ctx, tenant, &entry.key, &refusal, &entry.body);
                    let code = HealthCode::Unknown;
                    let unknown = health::Health { code, ..later };
                    found.again = sooner(found.again, Some(Again::of(&refusal)));
                    found.checks.insert(entry.key.clone(), Some(unknown));
                    continue;
                }
            };
            ctx.memory.checked(tenant, &entry.key);
            let known = Known {
                script,
                version,
                checked,
            };
            kept.insert(entry.key.clone(), known);
        }
    }
    let said = |(key, known): (&ResourceKey, &Known)| (key.clone(), known.checked.clone());
    found.checks.extend(kept.iter().map(said));
    memory.checked = Arc::new(kept);
    note(ctx, subject, memory);
    Ok(found)
}

/// Tells onlookers what the checks say, where it is not one of them who had them carried out.
fn note(ctx: &Context, subject: &Subject, memory: &AppMemory) {
    if !memory.copied {
        ctx.memory.judged(&subject.key, &memory.checked);
    }
}

fn too_many(entry: &LiveEntry) -> health::Health {
    let many = format!("no more than {MAX_CHECKED} objects are checked by scripts");
    health::left_out(&many, &entry.body)
}

/// What the tenant's own health checks said last of some objects. Nothing is fetched and nothing run: whoever looks at the
/// application finds out what they say now, and says so then.
#[must_use]
pub fn said_last<'a>(
    customizations: &Customizations,
    known: &HashMap<ResourceKey, Known>,
    entries: impl Iterator<Item = &'a Arc<LiveEntry>>,
) -> Checks {
    if !customizations.check_health() {
        return Checks::default();
    }
    let said = entries.filter_map(|entry| {
        let script = customizations.health(&entry.key)?;
        let last = known.get(&entry.key);
        let checked = match last.filter(|known| known.script == name(script)) {
            Some(known) => known.checked.clone(),
            None if known.len() >= MAX_CHECKED => Some(too_many(entry)),
            None => Some(health::Health {
                code: HealthCode::Unknown,
                ..health::postponed("it is checked in a moment", &entry.body)
            }),
        };
        Some((entry.key.clone(), checked))
    });
    said.collect()
}

/// What a script's answer says of an object; the error is that it says nothing yet.
fn judged(
    outcome: Result<Answer, Refusal>,
    essentials: &Value,
) -> Result<health::Checked, Refusal> {
    match outcome {
        Ok(Answer::Health(Some(said))) => {
            Ok(health::checked(&said.status, &said.message, essentials))
        }
        Ok(_) => Ok(None),
        Err(refusal) if refusal.passes() => Err(refusal),
        Err(refusal) => Ok(Some(health::unchecked(&words(&refusal), essentials))),
    }
}

/// What is said of an object whose check could not be carried out now: that it is waited for, until that has lasted.
fn later(
    ctx: &Context,
    tenant: TenantId,
    object: &ResourceKey,
    refusal: &Refusal,
    essentials: &Value,
) -> health::Health {
    let lasts = ctx.memory.postponed(tenant, object, Instant::now());
    put_off(lasts, &words(refusal), essentials)
}

fn put_off(lasts: Duration, why: &str, essentials: &Value) -> health::Health {
    if lasts < POSTPONED {
        health::postponed(why, essentials)
    } else {
        health::unchecked(why, essentials)
    }
}

/// Who has hooks checked: a tenant, by the scripts of its settings.
#[derive(Clone, Copy)]
pub struct Checker<'a> {
    /// Whose the hooks are.
    pub tenant: &'a TenantFacts,
    /// The scripts.
    pub customizations: &'a Customizations,
    /// What they have said already.
    pub known: &'a HashMap<ResourceKey, Known>,
}

/// A hook as it was seen.
#[derive(Clone, Copy)]
pub struct SeenHook<'a> {
    /// Which object.
    pub key: &'a ResourceKey,
    /// The version that it is read in.
    pub version: &'a str,
    /// Its resourceVersion.
    pub state: &'a str,
    /// What the rules of kinds read of it.
    pub essentials: &'a Value,
    /// All of it, where that is at hand.
    pub whole: Option<&'a Value>,
}

impl<'a> SeenHook<'a> {
    /// As the index has it.
    #[must_use]
    pub fn of(entry: &'a LiveEntry) -> Self {
        Self {
            key: &entry.key,
            version: &entry.version,
            state: &entry.resource_version,
            essentials: &entry.body,
            whole: None,
        }
    }
}

impl<'a> Checker<'a> {
    /// An application's tenant.
    #[must_use]
    pub fn of(subject: &'a Subject, known: &'a HashMap<ResourceKey, Known>) -> Self {
        Self {
            tenant: subject.tenant(),
            customizations: &subject.customizations,
            known,
        }
    }

    /// What the tenant's own check says of a hook; `None` where there is none for its kind. What a check says later is
    /// waited for; one that is put off for long has failed.
    ///
    /// # Errors
    /// When the cluster does not give the object now.
    pub async fn verdict(
        self,
        ctx: &Context,
        hook: SeenHook<'_>,
    ) -> Result<Option<health::Checked>, cluster::Error> {
        let Some(script) = self.customizations.health(hook.key) else {
            return Ok(None);
        };
        let known = self.known.get(hook.key);
        let same = |known: &&Known| known.script == name(script) && known.version == hook.state;
        if let Some(known) = known.filter(same) {
            return Ok(Some(known.checked.clone()));
        }
        let object = match self.whole(ctx, hook).await {
            Ok(Some(object)) => object,
            Ok(None) => {
                let gone = "the object is not there any more";
                let later = health::postponed(gone, hook.essentials);
                return Ok(Some(Some(later)));
            }
            Err(error) if error.passes() => {
                return Err(error);
            }
            Err(error) => {
                let unknown = health::unchecked(&error.to_string(), hook.essentials);
                return Ok(Some(Some(unknown)));
            }
        };
        let job = Job::Health {
            script: script.to_owned(),
            object: unveiled(hook.key, object),
        };
        let tenant = &self.tenant.tenant;
        let outcome = ctx.scripts.run(tenant.name.as_str(), &[job]).await.pop();
        let outcome = outcome.unwrap_or(Err(Refusal::Unavailable));
        match judged(outcome, hook.essentials) {
            Ok(checked) => {
                ctx.memory.checked(tenant.id, hook.key);
                Ok(Some(checked))
            }
            Err(refusal) => {
                let later = later(ctx, tenant.id, hook.key, &refusal, hook.essentials);
                Ok(Some(Some(later)))
            }
        }
    }

    async fn whole(
        self,
        ctx: &Context,
        hook: SeenHook<'_>,
    ) -> Result<Option<Value>, cluster::Error> {
        if let Some(whole) = hook.whole {
            return Ok(Some(whole.clone()));
        }
        let account = ctx.account(self.tenant, &hook.key.namespace)?;
        account.get(hook.key, Some(hook.version)).await
    }
}

/// A whole object: at hand, or fetched as the tenant's account; `None` where it is gone.
async fn body(
    ctx: &Context,
    subject: &Subject,
    live: &LiveSet,
    key: &ResourceKey,
    version: &str,
) -> Result<Option<Value>, cluster::Error> {
    if let Some(body) = live.body(key) {
        return Ok(Some(body.clone()));
    }
    let account = ctx.account(subject.tenant(), &key.namespace)?;
    account.get(key, Some(version)).await
}

fn name(script: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    script.hash(&mut hasher);
    hasher.finish()
}

/// Why a script says nothing, in words. What passes has one sentence: its kind may be another each time.
#[must_use]
pub fn words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Failed(why) => why.clone(),
        Refusal::TooLong | Refusal::TooMuch | Refusal::NotNow => {
            "it takes longer than a second, or more memory than a script may; it is tried again in a minute"
                .to_owned()
        }
        Refusal::Late | Refusal::Unavailable => "scripts cannot be run at the moment".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_check_that_is_put_off_for_long_has_failed() {
        let hook = json!({"kind": "Job", "metadata": {"name": "j"}});
        let after = |seconds| put_off(Duration::from_secs(seconds), "too long", &hook).code;
        assert_eq!(after(299), HealthCode::Progressing);
        assert_eq!(after(300), HealthCode::Unknown);
    }

    #[test]
    fn what_could_not_be_run_is_asked_again_soon_and_what_took_too_long_in_a_minute() {
        let (begun, mut since) = (Instant::now(), None);
        let mut after = |seconds, again| {
            let now = begun + Duration::from_secs(seconds);
            let pause = Again::pause(again, &mut since, now);
            pause.map(|pause| pause.as_secs())
        };
        let soon = sooner(Some(Again::Later), Some(Again::of(&Refusal::Late)));
        let tries = [0, 1, 2, 4, 8, 300].map(|seconds| after(seconds, soon));
        assert_eq!(tries, [1, 1, 2, 4, 8, 60].map(Some));
        let later = sooner(None, Some(Again::of(&Refusal::TooLong)));
        assert_eq!(after(301, later), Some(60));
        // That begins anew.
        assert_eq!(after(302, soon), Some(1));
        assert_eq!(after(303, None), None);
        assert_eq!(after(304, Some(Again::of(&Refusal::Unavailable))), Some(1));
    }

    #[test]
    fn a_cluster_that_goes_on_saying_no_is_asked_ever_more_seldom() {
        let (begun, mut since) = (Instant::now(), None);
        let mut after = |seconds, again| {
            let now = begun + Duration::from_secs(seconds);
            let pause = Again::pause(Some(again), &mut since, now);
            pause.map(|pause| pause.as_secs())
        };
        let tries = [0, 60, 120, 240, 480, 960, 9600].map(|at| after(at, Again::Seldom));
        assert_eq!(tries, [60, 60, 120, 240, 480, 600, 600].map(Some));
        // Whatever is to be asked sooner goes by its own time, and that begins anew.
        let too = sooner(Some(Again::Seldom), Some(Again::Later)).unwrap();
        assert_eq!(after(9700, too), Some(60));
        assert_eq!(after(9760, Again::Seldom), Some(60));
    }

    #[test]
    fn a_cluster_is_asked_again_whose_no_may_pass() {
        let no = |code| {
            after_no(&cluster::Error::Refused(Box::new(cluster::Refusal {
                code,
                ..cluster::Refusal::default()
            })))
        };
        assert_eq!([403, 409, 500].map(no), [Some(Again::Seldom); 3]);
        assert_eq!([400, 404, 422].map(no), [None; 3], "an edit is needed");
    }

    #[test]
    fn expressions_that_could_not_be_asked_are_asked_again_sooner_than_those_that_took_too_long() {
        let key = |name: &str| ResourceKey {
            name: name.to_owned(),
            ..ResourceKey::default()
        };
        let mut places = Places::default();
        assert_eq!(places.again(), None);
        places.take(&key("a"), Some(Err(Refusal::TooLong)));
        assert_eq!(places.again(), Some(Again::Later));
        places.take(&key("b"), Some(Err(Refusal::Unavailable)));
        assert_eq!(places.again(), Some(Again::Soon));
    }
}
