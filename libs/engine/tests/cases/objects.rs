//! What is shown of objects alone: how they fare, and what can be done with them.

use domain::message::Language;
use domain::resource::ResourceKey;
use serde_json::{Value, json};

use crate::case::{Case, Run};
use crate::lines;

pub(crate) fn health(body: &Value, beneath: &[&Value]) -> Value {
    let health = engine::health::assess_with(body, beneath);
    let health = health.map(|h| json!([h.code.as_str(), h.message, lines(&h.causes)]));
    json!({"object": ResourceKey::of(body).to_string(), "health": health})
}

pub(crate) fn actions(body: &Value) -> Value {
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

pub(crate) fn runs(case: &Case, body: &Value) -> Value {
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
