//! How objects and applications fare, and why.
//!
//! The rules and their English sentences are Argo CD's, since clients show and compare them; the causes are ours.

use domain::cause::Cause;
use domain::message;
use domain::resource::{
    ResourceKey, annotation, at, conditions, is_leaving, split_api_version, text,
};
use domain::status::HealthCode;
use serde_json::Value;

mod batch;
mod conventions;
mod explain;
mod gateway;
mod known;
mod network;
mod pods;
mod ready;
mod rollouts;
mod scaling;
mod storage;
mod workloads;

pub(crate) use explain::is_vague;

/// How an object fares.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// In a word.
    pub code: HealthCode,
    /// In a sentence, as Argo CD has it; may be empty.
    pub message: String,
    /// Why it is not healthy, most specific first.
    pub causes: Vec<Cause>,
}

impl Health {
    fn new(code: HealthCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            causes: Vec::new(),
        }
    }

    fn because(mut self, cause: Cause) -> Self {
        self.causes.push(cause);
        self
    }

    fn healthy(message: impl Into<String>) -> Self {
        Self::new(HealthCode::Healthy, message)
    }

    fn progressing(message: impl Into<String>) -> Self {
        Self::new(HealthCode::Progressing, message)
    }

    fn degraded(message: impl Into<String>) -> Self {
        Self::new(HealthCode::Degraded, message)
    }
}

/// The annotation that keeps an object out of its application's health.
const IGNORE: &str = "argocd.argoproj.io/ignore-healthcheck";

/// How an object fares by what it says itself; `None` for kinds without a rule, and for custom resources that do not follow
/// the conventions.
#[must_use]
pub fn assess(object: &Value) -> Option<Health> {
    let by_convention = || {
        let health = conventions::custom_resource(object)?;
        Some(with_some_cause(health, object))
    };
    built_in(object).or_else(by_convention)
}

/// The same by the rules of kinds alone.
#[must_use]
pub fn built_in(object: &Value) -> Option<Health> {
    if let Some(deleting) = deleting(object) {
        return Some(deleting);
    }
    let (group, version) = split_api_version(text(object, &["apiVersion"]));
    let health = match (group, text(object, &["kind"])) {
        ("apps", kind @ ("Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet"))
            if version != "v1" =>
        {
            Health::new(
                HealthCode::Unknown,
                format!("unsupported {kind} version: {version}"),
            )
        }
        ("apps", "Deployment") => workloads::deployment(object),
        ("apps", "ReplicaSet") => workloads::replica_set(object),
        ("apps", "DaemonSet") => workloads::daemon_set(object),
        ("apps", "StatefulSet") => workloads::stateful_set(object),
        ("", "Pod") => pods::pod(object),
        ("", "Service") => network::service(object),
        ("networking.k8s.io" | "extensions", "Ingress") => network::ingress(object),
        ("", "PersistentVolumeClaim") => storage::claim(object),
        ("batch", "Job") => batch::job(object),
        ("batch", "CronJob") => batch::cron_job(object),
        ("autoscaling", "HorizontalPodAutoscaler") => scaling::autoscaler(object, version),
        ("policy", "PodDisruptionBudget") => scaling::disruption_budget(object),
        ("apiregistration.k8s.io", "APIService") => scaling::api_service(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => scaling::definition(object),
        ("argoproj.io", "Workflow") => batch::workflow(object),
        ("argoproj.io", "Rollout") => rollouts::rollout(object),
        ("argoproj.io", "AnalysisRun") => rollouts::analysis_run(object),
        ("cert-manager.io", "Certificate") => ready::certificate(object),
        ("cert-manager.io", "Issuer") => ready::issuer(object),
        ("cert-manager.io", "ClusterIssuer") => ready::cluster_issuer(object),
        ("external-secrets.io", "ExternalSecret") => ready::external_secret(object),
        ("gateway.networking.k8s.io", "Gateway") => gateway::gateway(object),
        ("gateway.networking.k8s.io", "HTTPRoute") => gateway::route(object, true),
        ("gateway.networking.k8s.io", "GRPCRoute") => gateway::route(object, false),
        _ => known::known(object)?,
    };
    Some(with_some_cause(health, object))
}

/// How an object fares, explained by what is beneath it: its ReplicaSets and pods say what a workload waits for.
#[must_use]
pub fn assess_with(object: &Value, beneath: &[&Value]) -> Option<Health> {
    Some(explained(assess(object)?, object, beneath))
}

fn explained(mut health: Health, object: &Value, beneath: &[&Value]) -> Health {
    if matches!(health.code, HealthCode::Progressing | HealthCode::Degraded) {
        let found = explain::beneath(object, beneath);
        let same = |a: &Cause, b: &Cause| {
            a.message.code == b.message.code && a.resource == b.resource && a.evidence == b.evidence
        };
        // A Deployment repeats what its ReplicaSets say.
        health
            .causes
            .retain(|own| !found.iter().any(|cause| same(cause, own)));
        health.causes.splice(0..0, found);
    }
    health
}

/// What a tenant's own check says of an object, in place of the built-in rule: `None` where it says nothing of it.
pub type Checked = Option<Health>;

/// What a script's words come to. A word that is none of Argo CD's is Unknown, and no word at all says nothing.
#[must_use]
pub fn checked(status: &str, message: &str, object: &Value) -> Checked {
    if status.is_empty() {
        return None;
    }
    let health = match HealthCode::parse(status) {
        Some(code) => Health::new(code, message),
        None => {
            let unknown = named(message::health::CHECK_WORD, object).with("word", status);
            Health::new(HealthCode::Unknown, message).because(cause(unknown, object))
        }
    };
    Some(with_some_cause(health, object))
}

/// What comes of a check that could not be carried out.
#[must_use]
pub fn unchecked(why: &str, object: &Value) -> Health {
    let message = named(message::health::CHECK_FAILED, object);
    Health::new(HealthCode::Unknown, why).because(said(cause(message, object), why))
}

/// What comes of a check that is not carried out, since there are too many.
#[must_use]
pub fn left_out(why: &str, object: &Value) -> Health {
    let message = named(message::health::CHECK_LEFT_OUT, object);
    Health::new(HealthCode::Unknown, why).because(said(cause(message, object), why))
}

/// How an object fares, by its tenant's own check where there is one. Being deleted goes before both.
#[must_use]
pub fn assess_checked(
    object: &Value,
    beneath: &[&Value],
    check: Option<&Checked>,
) -> Option<Health> {
    match (deleting(object), check) {
        (None, Some(verdict)) => verdict.clone(),
        _ => assess_with(object, beneath),
    }
}

/// What comes of a check that could not be carried out now, where its outcome is waited for.
#[must_use]
pub fn postponed(why: &str, object: &Value) -> Health {
    let message = named(message::health::CHECK_POSTPONED, object);
    Health::progressing(why).because(said(cause(message, object), why))
}

/// How a hook fares: by its tenant's own check where there is one, else by the rules of kinds alone, where a custom resource
/// whose kind has one is on its way until it says something. One without follows conventions from the moment on at which its
/// controller has come to it, and a hook that was looked at before would have ended already.
#[must_use]
pub(crate) fn assess_hook(
    object: &Value,
    beneath: &[&Value],
    check: Option<&Checked>,
) -> Option<Health> {
    match (deleting(object), check) {
        (None, Some(verdict)) => verdict.clone(),
        _ => Some(explained(built_in(object)?, object, beneath)),
    }
}

/// Whether an object counts for its application's health.
#[must_use]
pub fn counts(object: &Value) -> bool {
    annotation(object, IGNORE) != Some("true")
}

/// An object on its way out is Progressing, whatever else it says; a hook that only waits for us is not on its way.
fn deleting(object: &Value) -> Option<Health> {
    if !is_leaving(object) {
        return None;
    }
    let finalizers: Vec<&str> = at(object, &["metadata", "finalizers"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if finalizers.contains(&crate::hooks::FINALIZER) {
        return None;
    }
    let shown = if finalizers.is_empty() {
        "-".to_owned()
    } else {
        finalizers.join(", ")
    };
    let message = named(message::health::DELETING, object).with("finalizers", shown);
    Some(Health::progressing("Pending deletion").because(cause(message, object)))
}

/// One application's part of an object.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// How it fares; `None` for kinds without a rule.
    pub health: Option<HealthCode>,
    /// Whether it is live.
    pub live: bool,
}

/// How an application fares: as its worst object. An object that is not there does not make it worse, unless none is.
#[must_use]
pub fn rollup(parts: impl IntoIterator<Item = Part>) -> HealthCode {
    let mut worst = HealthCode::Healthy;
    let (mut any, mut live) = (false, false);
    for part in parts {
        any = true;
        live |= part.live;
        if part.live {
            worst = worst.max(part.health.unwrap_or(HealthCode::Healthy));
        }
    }
    if any && !live {
        HealthCode::Missing
    } else {
        worst
    }
}

/// A state that is not healthy always has a cause, if only that nobody can tell.
fn with_some_cause(mut health: Health, object: &Value) -> Health {
    if health.causes.is_empty() {
        let message = match health.code {
            HealthCode::Healthy => return health,
            HealthCode::Unknown | HealthCode::Missing => named(message::health::UNKNOWN, object),
            HealthCode::Suspended => named(message::health::PAUSED, object),
            HealthCode::Progressing | HealthCode::Degraded => {
                let shown = if health.message.is_empty() {
                    health.code.as_str()
                } else {
                    &health.message
                };
                named(message::health::CONDITION, object).with("condition", shown)
            }
        };
        health.causes.push(cause(message, object));
    }
    health
}

/// A message that names the object's kind and name.
fn named(code: domain::message::Code, object: &Value) -> domain::message::Message {
    code.with("kind", text(object, &["kind"]))
        .with("name", text(object, &["metadata", "name"]))
}

/// A reason on an object.
fn cause(message: domain::message::Message, object: &Value) -> Cause {
    Cause::reason(message).on(ResourceKey::of(object))
}

/// Keeps what the cluster said, when it said something, at a bounded length.
fn said(cause: Cause, words: &str) -> Cause {
    const MOST: usize = 500;
    match words.trim() {
        "" => cause,
        words => cause.evidence(message::shortened(words, MOST)),
    }
}

/// A number of an object; 0 when it is not there.
fn number(object: &Value, path: &[&str]) -> i64 {
    at(object, path).and_then(Value::as_i64).unwrap_or_default()
}

/// The condition of a type.
fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    conditions(object).find(|c| text(c, &["type"]) == name)
}
