//! Every case is a folder beside this file: `case.json` says what is there and what is shown, `expected.json` what
//! must come out. `UPDATE_EXPECT=1 cargo test -p engine --test cases` writes what came out instead; read it then.

mod automation;
mod case;
mod cluster;
mod comparison;
mod objects;
mod plan;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use domain::application::{Destination, IgnoreDifference};
use domain::cause::Cause;
use domain::manifest::Manifest;
use domain::message::Language;
use domain::project::{Project, Rules};
use domain::resource::{ResourceKey, split_api_version, text};
use domain::settings::{Config, Object, Raw};
use domain::tenant::TenantName;
use domain::tracking::Marking;
use engine::claim::{Alone, Claimant};
use engine::compare::{Applied, Ignored, Input, Live, Named, Predicted};
use engine::options::{CompareOptions, SyncOptions};
use engine::prepare::{Context, Territory};
use serde_json::{Map, Value};

use automation::{attempted, by_hand, by_itself, fares, says, tried_again};
use case::{Case, Given};
use cluster::{Known, before, live_body, refusal, schemas, seen};
use comparison::{begins_a_tree, by_server, compared, named, orphans, views};
use objects::{actions, health, runs};
use plan::{deletion, deletion_hooks, hook, hook_left, outlined, planned, request};

fn lines(causes: &[Cause]) -> Value {
    causes
        .iter()
        .map(|c| format!("{:?}: {}", c.severity, c.render(Language::English)))
        .collect()
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
    for (key, value) in &case.settings {
        raw.set(&Object::Cm, key, value);
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
    let left_out = case.ignore.iter().chain(&customizations.ignore);
    let left_out: Vec<IgnoreDifference> = left_out.cloned().collect();
    let ignore = Ignored {
        rules: &left_out,
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
            "misspelt options" => lines(&engine::misspelt::sync_options(&case.options)),
            "orphans" => orphans(&rules, &claimant, &live),
            "health" => bodies.iter().map(|body| health(body, &[])).collect(),
            "explained" => health(&bodies[0], &bodies[1..].iter().collect::<Vec<_>>()),
            "actions" => bodies.iter().map(actions).collect(),
            "runs" => bodies.iter().map(|body| runs(case, body)).collect(),
            "deletion" => deletion(case, &live, &claimant, &options),
            "deletion-hooks" => deletion_hooks(&prepared, &options),
            "by itself" => case.looks.iter().map(by_itself).collect(),
            "by hand" => case.looks.iter().map(by_hand).collect(),
            "attempts" => case.attempts.iter().map(attempted).collect(),
            "tried again" => case.retries.iter().map(tried_again).collect(),
            "fares" => fares(&comparison, &live),
            "says" => says(&comparison, &live),
            "hooks" => bodies.iter().map(hook).collect(),
            "hooks left" => bodies.iter().map(hook_left).collect(),
            other => panic!("nothing called {other} is shown"),
        };
        shown.insert(what.clone(), value);
    }
    Value::Object(shown)
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
        .filter(|path| path.is_dir())
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
