//! The cases by which the simulated cluster of the controller's tests answers are how this one answers.

use std::path::Path;

use anyhow::{Result, bail};
use http::Method;
use serde_json::Value;
use testkit::kube::Kube;

use case::{Case, Kept, Step, filled};

use crate::{SOON, World};

#[path = "../../../../services/controller/tests/simulation/case.rs"]
mod case;

const CASES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../services/controller/tests/simulation/cases"
);

pub(crate) async fn the_simulated_cluster_answers_as_this_one(world: &World) {
    let cases = case::all(Path::new(CASES));
    let all = cases
        .iter()
        .map(|(name, case)| put(&world.plane.admin, name, case));
    futures::future::join_all(all).await;
}

async fn put(kube: &Kube, name: &str, case: &Case) {
    let namespace = format!("cases-{name}");
    kube.ensure_namespace(&namespace).await.unwrap();
    let mut kept = Kept::from([("namespace".to_owned(), namespace)]);
    for (number, step) in case.steps.iter().enumerate() {
        let what = format!("{name}, step {}", number + 1);
        let answer = match step.eventually {
            true => {
                let kept = &kept;
                testkit::wait::until(&what, SOON, || ask(kube, step, kept)).await
            }
            false => ask(kube, step, &kept).await,
        };
        let answer = answer.unwrap_or_else(|error| panic!("{what}: {error:#}"));
        step.learn(&answer, &mut kept);
    }
}

async fn ask(kube: &Kube, step: &Step, kept: &Kept) -> Result<Value> {
    let method: Method = step.method.parse()?;
    let content_type = match (step.method.as_str(), step.apply) {
        ("PATCH", true) => "application/apply-patch+yaml",
        ("PATCH", false) => "application/merge-patch+json",
        _ => "application/json",
    };
    let mut request = kube
        .request(method, &filled(&step.path, kept))
        .header("content-type", content_type);
    if !step.body.is_null() {
        request = request.body(filled(&step.body.to_string(), kept));
    }
    let response = request.send().await?;
    let code = response.status().as_u16();
    let answer: Value = serde_json::from_str(&response.text().await?)?;
    match step.wrong(kept, code, &answer) {
        Some(wrong) => bail!("{wrong}: {answer}"),
        None => Ok(answer),
    }
}
