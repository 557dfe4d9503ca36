//! What a tenant's settings have written in jq and Lua, asked for the objects of a look (client required).
//!
//! Scripts see whole objects, which are fetched as the tenant's account. What came out is remembered by script and
//! resourceVersion: nothing is run while nothing changed.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use domain::cause::Cause;
use domain::message;
use domain::resource::{ResourceKey, text};
use engine::compare::{Named, expressions};
use engine::health::{self, Checked};
use engine::prepare::Target;
use engine::tree::Checks;
use futures::StreamExt;
use script::{Answer, Job, Refusal};
use serde_json::Value;

use super::live::LiveSet;
use super::look;
use super::subject::Subject;
use crate::context::Context;
use crate::memory::AppMemory;

/// No look runs health scripts over more objects.
const MAX_CHECKED: usize = 1_000;
/// How many objects are fetched at once for one application.
const AT_ONCE: usize = 16;

/// What jq expressions name, and why some name nothing.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// By object.
    pub named: HashMap<ResourceKey, Named>,
    /// Why some could not be evaluated.
    pub causes: Vec<Cause>,
}

/// What was found out about an object by a script.
#[derive(Clone, Debug)]
pub struct Known {
    /// Names the script.
    script: u64,
    /// The object's resourceVersion.
    version: String,
    /// What the script says.
    checked: Checked,
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
        let want = predicted.unwrap_or(&target.object);
        Some((&target.key, want, live.body(&target.key)?))
    });
    let pairs: Vec<_> = pairs.collect();
    named(ctx, subject, &pairs, known).await
}

/// The same for objects as they are wanted and as they are.
pub async fn named(
    ctx: &Context,
    subject: &Subject,
    pairs: &[(&ResourceKey, &Value, &Value)],
    mut known: Places,
) -> Places {
    let mut asked = Vec::new();
    let mut jobs = Vec::new();
    for (key, want, got) in pairs {
        let expressions = expressions(&subject.ignore, key);
        if expressions.is_empty() {
            continue;
        }
        for object in [want, got] {
            jobs.push(Job::Places {
                expressions: expressions.clone(),
                object: (*object).clone(),
            });
        }
        asked.push((*key).clone());
    }
    if jobs.is_empty() {
        return known;
    }
    let outcomes = ctx.scripts.run(subject.tenant_name(), &jobs).await;
    for (key, pair) in asked.into_iter().zip(outcomes.chunks(2)) {
        let mut sides = pair.iter().map(|outcome| match outcome {
            Ok(Answer::Places(places)) => places.clone(),
            Ok(_) => Vec::new(),
            Err(refusal) => {
                let cause = Cause::warning(message::sync::JQ_INVALID.message());
                let cause = cause.field("spec.ignoreDifferences");
                let cause = cause.evidence(words(refusal));
                if !known.causes.contains(&cause) {
                    known.causes.push(cause);
                }
                Vec::new()
            }
        });
        let named = Named {
            want: sides.next().unwrap_or_default(),
            got: sides.next().unwrap_or_default(),
        };
        drop(sides);
        known.named.insert(key, named);
    }
    known
}

/// What the tenant's own health checks say of the application's objects and of those beneath them.
pub async fn checks(
    ctx: &Context,
    subject: &Subject,
    live: &LiveSet,
    memory: &mut AppMemory,
) -> Checks {
    if !subject.customizations.check_health() {
        memory.checked.clear();
        return Checks::default();
    }
    let below = look::beneath(ctx, &subject.tenant, live.entries());
    let mut kept = HashMap::new();
    let mut wanted = Vec::new();
    for entry in live.entries().iter().chain(&below) {
        let Some(script) = subject.customizations.health(&entry.key) else {
            continue;
        };
        match memory.checked.remove(&entry.key) {
            Some(known)
                if known.script == name(script) && *known.version == *entry.resource_version =>
            {
                kept.insert(entry.key.clone(), known);
            }
            _ if kept.len() + wanted.len() < MAX_CHECKED => wanted.push((entry.clone(), script)),
            _ => {}
        }
    }
    let bodies: Vec<_> = wanted
        .iter()
        .map(|(entry, _)| body(ctx, subject, live, &entry.key, &entry.version))
        .collect();
    let bodies: Vec<Option<Value>> = futures::stream::iter(bodies)
        .buffered(AT_ONCE)
        .collect()
        .await;
    let (mut asked, mut jobs) = (Vec::new(), Vec::new());
    for ((entry, script), body) in wanted.iter().zip(bodies) {
        // What is gone, or not to be had now, is asked for again by the next look.
        let Some(object) = body else { continue };
        let version = text(&object, &["metadata", "resourceVersion"]).to_owned();
        asked.push((entry, name(script), version));
        jobs.push(Job::Health {
            script: (*script).to_owned(),
            object,
        });
    }
    if !jobs.is_empty() {
        let outcomes = ctx.scripts.run(subject.tenant_name(), &jobs).await;
        for ((entry, script, version), outcome) in asked.into_iter().zip(outcomes) {
            let checked = match outcome {
                Ok(Answer::Health(Some(said))) => {
                    health::checked(&said.status, &said.message, &entry.body)
                }
                Ok(_) => None,
                Err(refusal) => {
                    // The words of a script may quote what it has read.
                    let secret = entry.key.group.is_empty() && entry.key.kind == "Secret";
                    let why = match &refusal {
                        Refusal::Failed(_) if secret => "the script fails".to_owned(),
                        refusal => words(refusal),
                    };
                    Some(health::unchecked(&why, &entry.body))
                }
            };
            let known = Known {
                script,
                version,
                checked,
            };
            kept.insert(entry.key.clone(), known);
        }
    }
    let said = |(key, known): (&ResourceKey, &Known)| (key.clone(), known.checked.clone());
    let checks = kept.iter().map(said).collect();
    memory.checked = kept;
    checks
}

/// A whole object: at hand, or fetched as the tenant's account.
async fn body(
    ctx: &Context,
    subject: &Subject,
    live: &LiveSet,
    key: &ResourceKey,
    version: &str,
) -> Option<Value> {
    if let Some(body) = live.body(key) {
        return Some(body.clone());
    }
    let account = ctx.account(&subject.tenant, &key.namespace).ok()?;
    account.get(key, Some(version)).await.ok()?
}

fn name(script: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    script.hash(&mut hasher);
    hasher.finish()
}

/// Why a script says nothing, in words.
#[must_use]
pub fn words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Failed(why) => why.clone(),
        Refusal::TooLong => "it takes longer than a second".to_owned(),
        Refusal::TooMuch => "it takes more memory than a script may".to_owned(),
        Refusal::HeldBack => {
            "it took too long or too much; it is tried again in a minute".to_owned()
        }
        Refusal::Unavailable => "scripts cannot be run at the moment".to_owned(),
    }
}
