//! What is shown of comparisons.

use domain::project::Rules;
use domain::resource::ResourceKey;
use domain::schema::SchemaSet;
use domain::status::ResourceStatus;
use engine::claim::Claimant;
use engine::compare::{Ignored, Live, Named, Predicted};
use engine::options::CompareOptions;
use engine::prepare::Prepared;
use engine::tree::{self, Entry, Wanted};
use serde_json::{Value, json};

use crate::case::Case;
use crate::lines;

/// The places that a case names of an object.
pub(crate) fn named(case: &Case, body: &Value) -> Option<(ResourceKey, Named)> {
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

pub(crate) fn compared(comparison: &engine::Comparison) -> Value {
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

pub(crate) fn views(
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

pub(crate) fn by_server(
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

/// What each live object is to a project that asks for those that no application has.
pub(crate) fn orphans(rules: &Rules, claimant: &Claimant<'_>, live: &[Live<'_>]) -> Value {
    let asked = rules.orphaned_resources.as_ref();
    let asked = asked.expect("a well-formed case");
    let told = live.iter().map(|there| {
        let key = &there.key;
        let permitted = engine::prepare::kind_forbidden(rules, "default", key, true).is_none();
        let what = match claimant.app_of(there.essentials, key) {
            _ if there.owned => "another object's".to_owned(),
            Some(app) => format!("the application's that is called {app}"),
            None if asked.leaves_out(key) => "left out".to_owned(),
            None if !permitted => "not permitted".to_owned(),
            None => "an orphan".to_owned(),
        };
        json!(format!("{key}: {what}"))
    });
    json!({"warns": asked.warns(), "objects": told.collect::<Value>()})
}

/// A tree begins with the objects that the comparison lists, in every case.
pub(crate) fn begins_a_tree(
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
