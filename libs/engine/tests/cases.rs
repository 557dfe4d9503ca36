//! Every case is a folder under `tests/cases`: `case.json` says what is there and what is shown, `expected.json` what
//! must come out. `UPDATE_EXPECT=1 cargo test -p engine --test cases` writes what came out instead; read it then.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use domain::application::{Destination, IgnoreDifference};
use domain::cause::{Cause, Location};
use domain::field_set::FieldSet;
use domain::manifest::{Manifest, Replaced};
use domain::message::Language;
use domain::operation::SyncRequest;
use domain::project::{Project, Rules};
use domain::resource::{ResourceKey, split_api_version, text};
use domain::schema::{Document, ListMerge, Node, SchemaSet, Type};
use domain::settings::{Config, Object, Raw};
use domain::status::ResourceStatus;
use domain::tenant::TenantName;
use domain::tracking::Marking;
use engine::claim::{Alone, Claimant};
use engine::compare::{Applied, Ignored, Input, Live, Named, Predicted, Seen};
use engine::options::{CompareOptions, SyncOptions};
use engine::plan::{Action, Request};
use engine::prepare::{Context, Kinds, Prepared, Scope, Territory};
use engine::tree::{self, Entry, Wanted};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What a case says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Case {
    /// Why it is here, for readers.
    #[serde(rename = "//")]
    _why: String,
    manifests: Vec<Given>,
    tenant: String,
    namespace: String,
    namespaces: Vec<String>,
    /// Whether nothing outside of namespaces is looked at.
    namespaces_only: bool,
    mapped: Option<Vec<String>>,
    options: Vec<String>,
    project: Option<Value>,
    /// `resource.exclusions` of the tenant's settings.
    exclusions: String,
    /// `application.resourceTrackingMethod` and `application.instanceLabelKey` of the tenant's settings.
    tracking: String,
    label: String,
    /// By what the objects of `applied` are tracked, where that was another method.
    formerly: String,
    /// Whether the tenant has added the cluster.
    added: bool,
    /// `resource.customizations.knownTypeFields` of the tenant's settings, by kind.
    known: BTreeMap<String, String>,
    live: Vec<LiveGiven>,
    /// Objects remembered as applied: nothing of theirs is compared while hash and state stay.
    remembered: bool,
    bodies: bool,
    ignore: Vec<IgnoreDifference>,
    /// The places that jq expressions name, by `kind/name`: as wanted and as live.
    places: BTreeMap<String, [Vec<String>; 2]>,
    /// The objects for which nobody could say that now, as `kind/name`.
    unnamed: Vec<String>,
    /// The application's compare options, as its annotation says them.
    compare: String,
    sync: SyncRequest,
    namespace_exists: bool,
    approved: bool,
    around: Option<Vec<Value>>,
    /// Actions to run on each live object.
    runs: Vec<Run>,
    show: Vec<String>,
}

/// An action and its parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    action: String,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            _why: String::new(),
            manifests: vec![],
            tenant: "user01".into(),
            namespace: "user01".into(),
            namespaces: vec!["user01".into()],
            namespaces_only: false,
            mapped: None,
            options: vec![],
            project: None,
            exclusions: String::new(),
            tracking: "annotation".into(),
            label: String::new(),
            formerly: String::new(),
            added: false,
            known: BTreeMap::new(),
            live: vec![],
            remembered: false,
            bodies: true,
            ignore: vec![],
            places: BTreeMap::new(),
            unnamed: vec![],
            compare: String::new(),
            sync: SyncRequest::default(),
            namespace_exists: true,
            approved: false,
            around: None,
            runs: vec![],
            show: vec![],
        }
    }
}

/// A manifest, and where its fields are.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    object: Value,
    #[serde(default)]
    file: String,
    #[serde(default)]
    line: u32,
    #[serde(default)]
    lines: Vec<(String, u32)>,
    /// The variables that were replaced in it.
    #[serde(default)]
    replaced: Vec<Replaced>,
}

impl Given {
    fn manifest(&self) -> Manifest {
        let location = (!self.file.is_empty()).then(|| Location {
            path: self.file.clone(),
            line: self.line.max(1),
        });
        let mut lines = self.lines.clone();
        lines.sort();
        Manifest {
            object: self.object.clone(),
            location,
            lines,
            replaced: self.replaced.clone(),
        }
    }
}

/// A live object: what our apply of `applied` made, changed by the merge patch `then`; or a body as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LiveGiven {
    applied: Option<Value>,
    body: Option<Value>,
    #[serde(default)]
    then: Value,
    /// Whether it was looked at before `then`, and found to be as Git said.
    #[serde(default)]
    drifted: bool,
    /// What others than our manager have of it, as managedFields say it.
    #[serde(default)]
    others: Vec<Value>,
    /// What a dry run of its target makes of it.
    predicted: Option<Box<Self>>,
    /// What the cluster says against it instead.
    refused: Option<String>,
}

struct Known;

impl Kinds for Known {
    fn scope(&self, group: &str, version: &str, kind: &str) -> Option<Scope> {
        match (group, version, kind) {
            ("", "v1", "Namespace" | "PersistentVolume" | "Node")
            | ("rbac.authorization.k8s.io", "v1", "ClusterRole")
            | ("apiextensions.k8s.io", "v1", "CustomResourceDefinition") => Some(Scope::Cluster),
            (
                ""
                | "apps"
                | "batch"
                | "rbac.authorization.k8s.io"
                | "networking.k8s.io"
                | "example.com",
                "v1",
                _,
            ) => Some(Scope::Namespaced),
            _ => None,
        }
    }

    fn versions_of(&self, kind: &str) -> Vec<String> {
        if kind == "Ingress" {
            vec!["networking.k8s.io/v1".into()]
        } else {
            vec![]
        }
    }
}

fn schemas() -> SchemaSet {
    let all: Map<String, Value> =
        serde_json::from_str(include_str!("fixtures/schemas.json")).expect("a well-formed case");
    let mut set = SchemaSet::default();
    for (name, document) in all {
        let (group, version) = name.split_once('/').expect("a well-formed case");
        let document =
            Document::from_open_api(document.to_string().as_bytes()).expect("a well-formed case");
        set.insert(group, version, Arc::new(document));
    }
    set
}

/// What server-side apply records for an object that one manager applied.
fn fields_v1(value: &Value, node: Option<Node<'_>>) -> Value {
    let atomic = |t: Option<&Type>| {
        matches!(
            t,
            Some(Type::Object { atomic: true, .. } | Type::Map { atomic: true, .. })
        )
    };
    match (value, node.map(Node::kind)) {
        (Value::Object(fields), kind) if !atomic(kind) => fields
            .iter()
            .map(|(name, value)| {
                (
                    format!("f:{name}"),
                    fields_v1(value, node.and_then(|n| n.value(name))),
                )
            })
            .collect(),
        (
            Value::Array(items),
            Some(Type::List {
                merge: ListMerge::Map { .. },
                ..
            }),
        ) => items
            .iter()
            .map(|item| {
                let mut beneath = fields_v1(item, node.and_then(Node::element));
                beneath["."] = json!({});
                (
                    format!(
                        "k:{}",
                        engine::fields::keys_of(item, node).expect("a well-formed case")
                    ),
                    beneath,
                )
            })
            .collect(),
        (
            Value::Array(items),
            Some(Type::List {
                merge: ListMerge::Set,
                ..
            }),
        ) => items
            .iter()
            .map(|item| (format!("v:{item}"), json!({})))
            .collect(),
        _ => json!({}),
    }
}

fn merge_patch(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    for (name, patch) in patch {
        if patch.is_null() {
            value
                .as_object_mut()
                .expect("a well-formed case")
                .remove(name);
        } else {
            merge_patch(&mut value[name], patch);
        }
    }
}

/// The target that an apply was of.
fn applied_target(applied: &Value, context: &Context<'_>) -> engine::Target {
    let manifest = Manifest::new(applied.clone(), None);
    let prepared = engine::prepare(&[manifest], context);
    prepared.targets[0].clone()
}

/// What an apply made.
fn applied_body(applied: &Value, context: &Context<'_>) -> Value {
    let target = applied_target(applied, context);
    let mut body = target.object.as_ref().clone();
    let root = context
        .schema
        .root(&target.key.group, &target.version, &target.key.kind);
    let mut fields = fields_v1(&body, root);
    for name in ["f:apiVersion", "f:kind"] {
        fields
            .as_object_mut()
            .expect("a well-formed case")
            .remove(name);
    }
    for name in ["f:name", "f:namespace"] {
        fields["f:metadata"]
            .as_object_mut()
            .expect("a well-formed case")
            .remove(name);
    }
    body["metadata"]["managedFields"] = json!([{"manager": engine::fields::MANAGER, "operation": "Apply",
        "apiVersion": body["apiVersion"], "fieldsType": "FieldsV1", "fieldsV1": fields}]);
    body
}

fn live_body(given: &LiveGiven, context: &Context<'_>, position: usize) -> Value {
    let mut body = match (&given.applied, &given.body) {
        (Some(applied), None) => applied_body(applied, context),
        (None, Some(body)) => body.clone(),
        _ => panic!("a live object is either applied or a body"),
    };
    if !given.then.is_null() {
        merge_patch(&mut body, &given.then);
    }
    if let Some(Value::Array(entries)) = body.pointer_mut("/metadata/managedFields") {
        entries.extend(given.others.iter().cloned());
    }
    body["metadata"]["uid"] = json!(format!("uid-{position}"));
    body
}

/// What was found of a live object before it was changed.
fn before(given: &LiveGiven, context: &Context<'_>) -> (ResourceKey, Applied) {
    let applied = given.applied.as_ref().expect("a well-formed case");
    let target = applied_target(applied, context);
    let seen = seen(&applied_body(applied, context)).expect("a well-formed case");
    let found = Applied {
        target: target.hash,
        seen,
    };
    (target.key, found)
}

fn lines(causes: &[Cause]) -> Value {
    causes
        .iter()
        .map(|c| format!("{:?}: {}", c.severity, c.render(Language::English)))
        .collect()
}

fn refusal(words: &str) -> Cause {
    Cause::error(domain::message::cluster::INVALID_OBJECT.message()).evidence(words)
}

fn seen(body: &Value) -> Option<Seen> {
    let mut content = body.clone();
    let managed = content["metadata"]["managedFields"].take();
    Some(Seen {
        fingerprint: engine::canonical::hash(&content),
        managed: managed
            .get(0)
            .map(|entry| Arc::new(FieldSet::from_fields_v1(&entry["fieldsV1"]))),
    })
}

fn run(case: &Case) -> Value {
    let schema = schemas();
    let tenant = TenantName::from_stored(case.tenant.clone());
    let destination = Destination {
        server: "https://kubernetes.default.svc".into(),
        name: "in-cluster".into(),
        namespace: case.namespace.clone(),
    };
    let patterns = [format!("{}-*", case.tenant)];
    let territory = match &case.mapped {
        Some(mapped) => Territory::AllBut(mapped),
        None => Territory::Only {
            namespaces: &case.namespaces,
            patterns: &patterns,
            cluster_scoped: !case.namespaces_only,
        },
    };
    let options = SyncOptions::parse(case.options.iter().map(String::as_str));
    let rules: Rules =
        serde_json::from_value(case.project.clone().unwrap_or_else(Project::default_spec))
            .expect("a well-formed case");
    let mut raw = Raw::default();
    raw.set(&Object::Cm, "resource.exclusions", &case.exclusions);
    for (kind, fields) in &case.known {
        let key = format!("resource.customizations.knownTypeFields.{kind}");
        raw.set(&Object::Cm, &key, fields);
    }
    raw.set(
        &Object::Cm,
        "application.resourceTrackingMethod",
        &case.tracking,
    );
    raw.set(&Object::Cm, "application.instanceLabelKey", &case.label);
    let config = Config::from_raw(raw);
    let marking = config.marking();
    let formerly = match case.formerly.as_str() {
        "" => marking.clone(),
        method => Marking::of(Some(method), &case.label),
    };
    let claimant = Claimant {
        tenant: &case.tenant,
        app: "hello",
        marking: &marking,
        alone: match (case.added, &case.mapped) {
            (true, _) => Alone::Everywhere,
            (false, Some(_)) => Alone::Nowhere,
            (false, None) => Alone::Namespaces(&case.namespaces),
        },
    };
    let (filter, customizations) = (config.kind_filter(), config.customizations());
    let context = Context {
        app: "hello",
        tenant: &tenant,
        destination: &destination,
        territory,
        options: &options,
        project: "default",
        rules: &rules,
        schema: &schema,
        kinds: &Known,
        filter: &filter,
        marking: &marking,
    };
    let before_that = Context {
        marking: &formerly,
        ..context
    };
    let manifests: Vec<Manifest> = case.manifests.iter().map(Given::manifest).collect();
    let prepared = engine::prepare(&manifests, &context);
    let bodies: Vec<Value> = case
        .live
        .iter()
        .enumerate()
        .map(|(i, l)| live_body(l, &before_that, i))
        .collect();
    let named: HashMap<ResourceKey, Named> =
        bodies.iter().filter_map(|body| named(case, body)).collect();
    let unnamed = bodies.iter().map(ResourceKey::of);
    let unnamed =
        unnamed.filter(|key| case.unnamed.contains(&format!("{}/{}", key.kind, key.name)));
    let unnamed: HashSet<ResourceKey> = unnamed.collect();
    let ignore = Ignored {
        rules: &case.ignore,
        named: &named,
        unnamed: &unnamed,
        known: &customizations.known,
    };
    let predictions: Vec<Option<Value>> = case
        .live
        .iter()
        .enumerate()
        .map(|(i, l)| l.predicted.as_ref().map(|p| live_body(p, &context, i)))
        .collect();
    let refusals: Vec<Option<Cause>> = case
        .live
        .iter()
        .map(|l| l.refused.as_deref().map(refusal))
        .collect();
    let live: Vec<Live<'_>> = bodies
        .iter()
        .zip(predictions.iter().zip(&refusals))
        .map(|(body, (predicted, refused))| Live {
            key: ResourceKey::of(body),
            version: split_api_version(text(body, &["apiVersion"])).1,
            uid: text(body, &["metadata", "uid"]),
            owned: body["metadata"]["ownerReferences"].is_array(),
            seen: seen(body),
            essentials: body,
            body: case.bodies.then_some(body),
            predicted: match (predicted, refused) {
                (Some(predicted), _) => Some(Predicted::Object(predicted)),
                (None, refused) => refused.as_ref().map(Predicted::Refused),
            },
        })
        .collect();
    let mut applied = HashMap::new();
    if case.remembered {
        for there in &live {
            let target = prepared
                .targets
                .iter()
                .find(|t| t.key == there.key)
                .expect("a well-formed case");
            let seen = there.seen.clone().expect("a well-formed case");
            applied.insert(
                there.key.clone(),
                Applied {
                    target: target.hash,
                    seen,
                },
            );
        }
    }
    let drifted = case.live.iter().filter(|given| given.drifted);
    applied.extend(drifted.map(|given| before(given, &context)));
    let comparison = engine::compare(&Input {
        claimant,
        targets: &prepared.targets,
        incomplete: prepared.incomplete,
        live: &live,
        applied: &applied,
        ignore,
        options: CompareOptions::parse(&case.compare).with_sync(&options),
        schema: &schema,
    });
    begins_a_tree(&claimant, &prepared, &live, &comparison);
    let mut shown = Map::new();
    for what in &case.show {
        let value = match what.as_str() {
            "targets" => prepared
                .targets
                .iter()
                .map(|t| t.object.as_ref().clone())
                .collect(),
            "keys" => prepared.targets.iter().map(|t| t.key.to_string()).collect(),
            "causes" => lines(&prepared.causes),
            "refused" => prepared
                .targets
                .iter()
                .filter(|t| t.refused.is_some())
                .map(|t| t.key.to_string())
                .collect(),
            "comparison" => compared(&comparison),
            "plan" => {
                let request = request(case, &options, territory, (ignore, &live, &schema));
                planned(&prepared, &comparison, &request)
            }
            "outline" => {
                let request = request(case, &options, territory, (ignore, &live, &schema));
                outlined(&prepared, &comparison, &request)
            }
            "views" => {
                let options = CompareOptions::parse(&case.compare).with_sync(&options);
                views(&ignore, &prepared, &bodies, options, &schema)
            }
            "by server" => by_server(case, &ignore, &prepared, &live, &schema),
            "lint" => {
                let around: Option<Vec<&Value>> =
                    case.around.as_ref().map(|objects| objects.iter().collect());
                let services = around.as_deref();
                lines(&engine::lint::lint(
                    &prepared.targets,
                    engine::lint::Around {
                        services,
                        workloads: services,
                    },
                ))
            }
            "health" => bodies.iter().map(|body| health(body, &[])).collect(),
            "explained" => health(&bodies[0], &bodies[1..].iter().collect::<Vec<_>>()),
            "actions" => bodies.iter().map(actions).collect(),
            "runs" => bodies.iter().map(|body| runs(case, body)).collect(),
            "deletion" => deletion(case, &live, &claimant, &options),
            "deletion-hooks" => deletion_hooks(&prepared, &options),
            "hooks" => bodies.iter().map(hook).collect(),
            other => panic!("nothing called {other} is shown"),
        };
        shown.insert(what.clone(), value);
    }
    Value::Object(shown)
}

/// The places that a case names of an object.
fn named(case: &Case, body: &Value) -> Option<(ResourceKey, Named)> {
    let key = ResourceKey::of(body);
    let [want, got] = case
        .places
        .get(&format!("{}/{}", key.kind, key.name))?
        .clone();
    let predicted = want.clone();
    Some((
        key,
        Named {
            want,
            predicted,
            got,
        },
    ))
}

fn health(body: &Value, beneath: &[&Value]) -> Value {
    let health = engine::health::assess_with(body, beneath);
    let health = health.map(|h| json!([h.code.as_str(), h.message, lines(&h.causes)]));
    json!({"object": ResourceKey::of(body).to_string(), "health": health})
}

fn actions(body: &Value) -> Value {
    let all = engine::actions::actions(body).into_iter();
    let lines: Vec<String> = all
        .map(|action| {
            let mut line = action.name.to_owned();
            for parameter in action.parameters {
                line.push_str(&format!(" <{parameter}>"));
            }
            if action.disabled {
                line.push_str(" disabled");
            }
            for shown in [action.title, action.icon] {
                if !shown.is_empty() {
                    line.push_str(&format!(" `{shown}`"));
                }
            }
            line
        })
        .collect();
    json!({"object": ResourceKey::of(body).to_string(), "actions": lines})
}

fn runs(case: &Case, body: &Value) -> Value {
    use engine::actions::Change;
    let now = "2026-01-02T03:04:05Z".parse().expect("a time");
    let run = |run: &Run| {
        let change = match engine::actions::run(body, &run.action, &run.parameters, now) {
            Ok(Change::Nothing) => json!("nothing"),
            Ok(Change::Merge(patch)) => json!({"merge": patch}),
            Ok(Change::Create(made)) => json!({"create": made}),
            Err(refusal) => json!({"refused": refusal.render(Language::English)}),
        };
        json!([run.action, run.parameters, change])
    };
    json!({"object": ResourceKey::of(body).to_string(), "runs": case.runs.iter().map(run).collect::<Value>()})
}

fn compared(comparison: &engine::Comparison) -> Value {
    let resources: Vec<Value> = comparison
        .resources
        .iter()
        .map(|r| {
            let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
            let differences: Vec<String> = r
                .differences
                .iter()
                .map(|d| format!("{}: want {}, got {}", d.path, side(&d.want), side(&d.got)))
                .collect();
            let mut line = format!(
                "{} {}",
                r.key,
                r.sync.map_or("-", domain::status::SyncCode::as_str)
            );
            if r.requires_pruning {
                line.push_str(" requires pruning");
            }
            if r.confirm_delete {
                line.push_str(" asks before it is deleted");
            }
            json!([line, differences])
        })
        .collect();
    let needs: Vec<String> = comparison
        .needs_body
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut shown = json!({"sync": comparison.sync.as_str(), "resources": resources, "needs body": needs,
        "causes": lines(&comparison.causes)});
    if !comparison.needs_dry_run.is_empty() {
        let needs = comparison.needs_dry_run.iter().map(ToString::to_string);
        shown["needs dry run"] = needs.collect();
    }
    shown
}

/// The attempt of every case.
const ATTEMPT: engine::hooks::Attempt<'static> = engine::hooks::Attempt {
    revision: "0123456789abcdef",
    started_at: 1_767_225_600_000,
    retries: 0,
};

/// What an object means for the hook of its name: before that is made, to the apply that was answered with it, and when it is
/// on record as made.
fn hook(body: &Value) -> Value {
    use engine::hooks::{self, DeletePolicy};
    let key = ResourceKey::of(body);
    let phase = hooks::phases(body)
        .first()
        .copied()
        .expect("a well-formed case");
    let run = ATTEMPT.run(phase.as_str());
    let before = hooks::before(DeletePolicy::of(body), &run, Some(body));
    let answered = match hooks::leaving(body) {
        true => "not made",
        false => "made",
    };
    let standing = hooks::standing(&key, Some(body), &[], None);
    let recorded = json!([
        standing.phase.as_str(),
        standing.message,
        lines(&standing.causes)
    ]);
    json!({"object": key.to_string(), "before": format!("{before:?}"), "answered": answered, "on record": recorded})
}

/// What a case asks of a sync.
fn request<'a>(
    case: &'a Case,
    options: &'a SyncOptions,
    territory: Territory<'a>,
    (ignore, live, schema): (Ignored<'a>, &'a [Live<'a>], &'a SchemaSet),
) -> Request<'a> {
    Request {
        sync: &case.sync,
        options,
        namespace: &case.namespace,
        namespace_exists: case.namespace_exists,
        territory,
        namespace_metadata: None,
        approved: case.approved,
        attempt: ATTEMPT,
        ignore,
        live,
        schema,
    }
}

fn outlined(prepared: &Prepared, comparison: &engine::Comparison, request: &Request<'_>) -> Value {
    use engine::plan::outline::{Bounds, Change, Line, Phase, Wave};
    let plan = engine::plan(prepared, comparison, request);
    let bounds = Bounds {
        steps: 14,
        left: 5,
        fields: 2,
    };
    let outline = engine::plan::outline::outline(&plan, prepared, comparison, request, bounds);
    let at = |location: Option<&Location>| {
        let shown = location.map(|location| format!(" at {location}"));
        shown.unwrap_or_default()
    };
    let field = |change: &Change| {
        let place = at(change.location.as_ref());
        let from = change.variable.as_ref();
        let from = from.map_or_else(String::new, |names| format!(" from {names}"));
        format!("{} {}{place}{from}", change.kind.as_str(), change.path)
    };
    let line = |phase: &Phase, wave: &Wave, line: &Line| {
        let number = wave.wave.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let (deed, key, place) = (line.deed.as_str(), &line.key, at(line.location.as_ref()));
        let perhaps = if phase.on_failure() {
            ", should it fail"
        } else {
            ""
        };
        let phase = phase.phase.as_str();
        let shown = format!("{phase} wave {number}{perhaps}: {deed} {key}{place}");
        let fields: Vec<String> = line.fields.iter().map(field).collect();
        let mut told = vec![
            json!(shown),
            lines(&line.why),
            json!(fields),
            json!(line.more_fields),
        ];
        if !line.replaced.is_empty() {
            let shown = |one: &Replaced| {
                let Replaced {
                    field,
                    line,
                    variable,
                } = one;
                format!("{field} at {line} from {variable}")
            };
            told.push(line.replaced.iter().map(shown).collect());
        }
        Value::Array(told)
    };
    let mut steps = Vec::new();
    for phase in &outline.phases {
        for wave in &phase.waves {
            steps.extend(wave.lines.iter().map(|step| line(phase, wave, step)));
        }
    }
    let left = outline.left.iter().map(|left| {
        let shown = format!("{} {}", left.reason.as_str(), left.key);
        json!([shown, lines(std::slice::from_ref(&left.why))])
    });
    json!({"steps": steps, "left": left.collect::<Value>(), "counts": outline.counts,
        "not listed": [outline.more_steps, outline.more_left]})
}

fn planned(prepared: &Prepared, comparison: &engine::Comparison, request: &Request<'_>) -> Value {
    let plan = engine::plan(prepared, comparison, request);
    let steps: Vec<String> = plan
        .steps
        .iter()
        .chain(&plan.on_failure)
        .map(|step| {
            let action = match &step.action {
                Action::CreateNamespace { .. } => "create".to_owned(),
                Action::Apply {
                    object,
                    how,
                    exists,
                    ..
                } => {
                    let mut words = vec![if *exists { "change" } else { "make" }];
                    words.extend((!how.server_side).then_some("client-side"));
                    words.extend(how.replace.then_some("replacing"));
                    words.extend(how.force.then_some("by force"));
                    words.extend((!how.validate).then_some("unchecked"));
                    words.extend((!how.migrate).then_some("taking nothing over"));
                    let target = prepared
                        .targets
                        .iter()
                        .find(|target| target.key == step.key);
                    let other = target
                        .is_some_and(|target| step.hook.is_none() && target.object != *object);
                    words.extend(other.then_some("but for what is left out"));
                    words.join(" ")
                }
                Action::Prune { uid, propagation } => format!("prune {uid} {propagation:?}"),
                Action::Keep(kept) => format!("keep: {}", kept.as_str()),
            };
            let mut hook = String::new();
            if let Some(policy) = step.hook {
                hook.push_str(", a hook that goes");
                for (goes, when) in [
                    (policy.before_creation, " before it is made"),
                    (policy.succeeded, " after success"),
                    (policy.failed, " after failure"),
                ] {
                    hook.push_str(if goes { when } else { "" });
                }
            }
            format!(
                "{} wave {} batch {}: {} {action}{hook}",
                step.phase.as_str(),
                step.wave,
                step.batch,
                step.key
            )
        })
        .collect();
    json!({"steps": steps, "refusals": lines(&plan.refusals)})
}

fn views(
    ignore: &Ignored<'_>,
    prepared: &Prepared,
    bodies: &[Value],
    options: CompareOptions,
    schema: &SchemaSet,
) -> Value {
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect("a well-formed case");
    let show = |target: Option<&engine::Target>, body: Option<&Value>| {
        let view = engine::views::view(target, body, ignore, options, schema);
        let mut normalized = parse(&view.normalized_live);
        let last = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";
        let record = normalized.pointer(last).and_then(Value::as_str).map(parse);
        if let Some(record) = record {
            *normalized.pointer_mut(last).expect("a well-formed case") = record;
        }
        json!({"target": parse(&view.target), "live": parse(&view.live), "normalized": normalized,
               "predicted": parse(&view.predicted_live)})
    };
    let find = |key: &ResourceKey| bodies.iter().find(|body| ResourceKey::of(body) == *key);
    let mut all: Vec<Value> = prepared
        .targets
        .iter()
        .map(|t| show(Some(t), find(&t.key)))
        .collect();
    let known = |body: &&Value| {
        !prepared
            .targets
            .iter()
            .any(|t| t.key == ResourceKey::of(body))
    };
    all.extend(
        bodies
            .iter()
            .filter(known)
            .map(|body| show(None, Some(body))),
    );
    Value::Array(all)
}

fn by_server(
    case: &Case,
    ignore: &Ignored<'_>,
    prepared: &Prepared,
    live: &[Live<'_>],
    schema: &SchemaSet,
) -> Value {
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect("a well-formed case");
    let options = CompareOptions::parse(&case.compare);
    let diffs = live.iter().map(|there| {
        let target = prepared.targets.iter().find(|t| t.key == there.key);
        let predicted = match there.predicted {
            Some(Predicted::Object(predicted)) => Some(predicted),
            _ => None,
        };
        let diff = engine::views::by_server(
            target,
            there.body,
            predicted,
            ignore,
            options,
            schema,
        );
        json!({"predicted": parse(&diff.predicted), "live": parse(&diff.live), "modified": diff.modified})
    });
    diffs.collect()
}

/// A tree begins with the objects that the comparison lists, in every case.
fn begins_a_tree(
    claimant: &Claimant<'_>,
    prepared: &Prepared,
    live: &[Live<'_>],
    comparison: &engine::Comparison,
) {
    let entries = live.iter().map(|there| Entry {
        key: &there.key,
        version: there.version,
        uid: there.uid,
        resource_version: "",
        owners: there.owned.then_some("owner").into_iter().collect(),
        created_at: None,
        body: there.essentials,
        images: vec![],
    });
    let entries: Vec<Entry<'_>> = entries.collect();
    let wanted: Vec<Wanted> = prepared.targets.iter().map(Wanted::from).collect();
    let outline = tree::outline(claimant, &wanted, &entries);
    let names = |all: Vec<ResourceStatus>| -> Vec<(ResourceKey, String)> {
        all.into_iter().map(|one| (one.key, one.version)).collect()
    };
    assert_eq!(names(outline), names(comparison.statuses()));
}

fn deletion(
    case: &Case,
    live: &[Live<'_>],
    claimant: &Claimant<'_>,
    options: &SyncOptions,
) -> Value {
    let propagation = engine::plan::cascade(["resources-finalizer.argocd.argoproj.io/background"])
        .expect("a well-formed case");
    let plan = engine::plan::deletion(live, claimant, options, propagation, case.approved);
    let names = |keys: &[ResourceKey]| keys.iter().map(ToString::to_string).collect::<Value>();
    let waves: Vec<Value> = plan
        .waves
        .iter()
        .map(|wave| wave.iter().map(|doomed| doomed.key.to_string()).collect())
        .collect();
    json!({"waves": waves, "left": plan.left, "kept": names(&plan.kept), "unconfirmed": names(&plan.unconfirmed)})
}

fn deletion_hooks(prepared: &Prepared, options: &SyncOptions) -> Value {
    use engine::plan::Moment;
    let hooks = |moment| {
        let steps = engine::plan::deletion_hooks(prepared, options, moment, 1_767_225_600_000);
        steps.map_or_else(
            |causes| lines(&causes),
            |steps| {
                let line = |step: engine::plan::Step| {
                    let phase = step.phase.as_str();
                    format!(
                        "{phase} wave {} batch {}: {}",
                        step.wave, step.batch, step.key
                    )
                };
                steps.into_iter().map(line).collect()
            },
        )
    };
    let finalizers = engine::plan::finalizer_change(prepared, []);
    json!({"finalizers": finalizers.add, "before": hooks(Moment::Before), "after": hooks(Moment::After)})
}

fn check(folder: &Path) -> Result<(), String> {
    let name = folder
        .file_name()
        .expect("a well-formed case")
        .to_string_lossy()
        .into_owned();
    let case = std::fs::read_to_string(folder.join("case.json")).expect("a well-formed case");
    let case: Case = serde_json::from_str(&case).map_err(|error| format!("{name}: {error}"))?;
    let got = run(&case);
    let file = folder.join("expected.json");
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for the person who runs the test"
    )]
    let update = std::env::var("UPDATE_EXPECT").is_ok();
    if update {
        std::fs::write(
            &file,
            format!(
                "{}\n",
                serde_json::to_string_pretty(&got).expect("a well-formed case")
            ),
        )
        .expect("a well-formed case");
        return Ok(());
    }
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap_or_default())
        .map_err(|error| format!("{name}: expected.json: {error}"))?;
    if got == expected {
        return Ok(());
    }
    Err(format!(
        "{name}: expected\n{}\ngot\n{}",
        serde_json::to_string_pretty(&expected).expect("a well-formed case"),
        serde_json::to_string_pretty(&got).expect("a well-formed case")
    ))
}

/// The same for a case at which the engine panics: the others are looked at all the same.
fn checked(folder: &Path) -> Result<(), String> {
    let panicked = |_| Err(format!("{}: the engine panicked", folder.display()));
    std::panic::catch_unwind(|| check(folder)).unwrap_or_else(panicked)
}

#[test]
fn cases() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut folders: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    assert!(!folders.is_empty());
    let (mut names, mut failures) = (Vec::new(), Vec::new());
    for folder in &folders {
        if let Err(failure) = checked(folder) {
            names.push(folder.file_name().unwrap().to_string_lossy());
            failures.push(failure);
        }
    }
    // `cargo xtask mutations` reads the first line.
    assert!(
        failures.is_empty(),
        "these cases differ: {}\n\n{}",
        names.join(" "),
        failures.join("\n\n")
    );
}
