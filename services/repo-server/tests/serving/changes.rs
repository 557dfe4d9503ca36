//! Why the cache did not answer, how often it did, and which variables were replaced where.

use std::collections::BTreeMap;

use proto::naru::internal::v1::{RenderRequest, RenderResponse};

use crate::{SERVICE, TENANT, World};

/// What was another than before, as `path app/a.yaml`.
fn changed(answer: &RenderResponse) -> String {
    let changed = answer.changed.as_ref();
    let told = changed.map(|changed| format!("{} {}", changed.what, changed.name));
    told.unwrap_or_else(|| answer.cache.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_than_before_is_told_by_its_name() {
    let world = World::new().await;
    let render = async |request: &RenderRequest| {
        let mut client = world.client("controller");
        client.render(request.clone()).await.unwrap().into_inner()
    };
    world.push("app/service.yaml", SERVICE).await;
    let asked = world.request("app").await.unwrap();
    assert_eq!(changed(&render(&asked).await), "first");
    world.push("README.md", "nobody reads it").await;
    let asked = world.request("app").await.unwrap();
    assert_eq!(changed(&render(&asked).await), "hit");
    let other = format!("# a line more\n{SERVICE}");
    world.push("app/service.yaml", &other).await;
    let asked = world.request("app").await.unwrap();
    assert_eq!(changed(&render(&asked).await), "path app/service.yaml");
    world
        .push("app/more.json", r#"{"kind": "X", "apiVersion": "v1"}"#)
        .await;
    let mut asked = world.request("app").await.unwrap();
    assert_eq!(changed(&render(&asked).await), "path app");
    let variables = &mut asked.variables;
    variables.insert("USER_IDENTITY".to_owned(), "canary".to_owned());
    let answer = render(&asked).await;
    assert_eq!(changed(&answer), "variable USER_IDENTITY");
    asked.no_cache = true;
    assert_eq!(changed(&render(&asked).await), "bypassed");
}

/// How often renders were asked for, by how they were answered.
async fn counted(world: &World) -> BTreeMap<String, u64> {
    let http = testkit::http::unchecked().unwrap();
    let url = format!("http://{}/metrics", world.metrics);
    let page = http.get(url).send().await.unwrap().text().await.unwrap();
    let begins = format!("naru_render_total{{tenant=\"{TENANT}\",cache=\"");
    let counts = page.lines().filter_map(|line| {
        let (how, count) = line.strip_prefix(&begins)?.split_once("\"} ")?;
        Some((how.to_owned(), count.parse().unwrap()))
    });
    counts.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_to_one_path_renders_what_reads_it_and_nothing_else() {
    let world = World::new().await;
    let checkout = &world.checkout;
    let chart = "apiVersion: v2\nname: web\nversion: 0.1.0\n";
    for (path, content) in [
        ("plain/service.yaml", SERVICE),
        ("built/kustomization.yaml", "resources: [../base]\n"),
        ("base/kustomization.yaml", "resources: [service.yaml]\n"),
        ("base/service.yaml", SERVICE),
        ("chart/Chart.yaml", chart),
        ("chart/templates/service.yaml", SERVICE),
        (
            "jsonnet/a.jsonnet",
            "{apiVersion: 'v1', kind: 'X', metadata: {name: 'x'}}",
        ),
    ] {
        checkout.write(path, content).unwrap();
    }
    world.push("README.md", "four applications").await;
    let all = ["plain", "built", "chart", "jsonnet"];
    let render_all = async || {
        for path in all {
            let answer = world.render(path, &RenderResponse::default()).await;
            answer.unwrap();
        }
    };
    let counts = |counts: &[(&str, u64)]| -> BTreeMap<String, u64> {
        let counts = counts.iter();
        counts.map(|(how, n)| ((*how).to_owned(), *n)).collect()
    };
    render_all().await;
    assert_eq!(counted(&world).await, counts(&[("first", 4)]));

    let other = format!("# a line more\n{SERVICE}");
    world.push("base/service.yaml", &other).await;
    render_all().await;
    let expected = counts(&[("changed", 1), ("first", 4), ("hit", 3)]);
    assert_eq!(counted(&world).await, expected);
    world.push("plain/service.yaml", &other).await;
    render_all().await;
    let expected = counts(&[("changed", 2), ("first", 4), ("hit", 6)]);
    assert_eq!(counted(&world).await, expected);
}

/// Two applications with the same source share an entry; neither hears of the other.
#[tokio::test(flavor = "multi_thread")]
async fn another_application_is_not_named() {
    let world = World::new().await;
    world.push("app/service.yaml", SERVICE).await;
    let options = "directory:\n  recurse: true\n";
    world.push("app/.argocd-source-canary.yaml", options).await;
    let asked = world.request("app").await.unwrap();
    let render = async |app: &str| {
        let mut client = world.client("controller");
        let request = RenderRequest {
            app_name: app.to_owned(),
            ..asked.clone()
        };
        client.render(request).await.unwrap().into_inner()
    };
    assert_eq!(changed(&render("canary").await), "first");
    assert_eq!(changed(&render("canary").await), "hit");
    assert_eq!(changed(&render("other").await), "application other");
    assert_eq!(changed(&render("canary").await), "application canary");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_is_told_with_its_place_and_without_its_value() {
    let world = World::new().await;
    let nothing = RenderResponse::default();
    let replaced = |answer: &RenderResponse| -> Vec<String> {
        let of_objects = answer.manifests.iter().flat_map(|one| {
            let told = one.replaced.iter();
            told.map(|at| format!("{}:{} {} {}", one.path, at.line, at.field, at.variable))
        });
        let elsewhere = answer.replaced.iter();
        let elsewhere = elsewhere.map(|at| format!("{}:{} {}", at.path, at.line, at.variable));
        of_objects.chain(elsewhere).collect()
    };
    world.push("app/service.yaml", SERVICE).await;
    let plain = world.render("app", &nothing).await.unwrap();
    let field = "app/service.yaml:5 metadata.nmaespace USER_IDENTITY";
    assert_eq!(replaced(&plain), [field]);
    // Also of what is remembered.
    let again = world.render("app", &nothing).await.unwrap();
    assert_eq!(
        (again.cache.as_str(), replaced(&again)),
        ("hit", replaced(&plain))
    );

    let kustomization = "resources: [../base]\nnamePrefix: ${USER_IDENTITY}-\n";
    world.push("base/service.yaml", SERVICE).await;
    world
        .push("base/kustomization.yaml", "resources: [service.yaml]\n")
        .await;
    world.push("built/kustomization.yaml", kustomization).await;
    let built = world.render("built", &nothing).await.unwrap();
    assert_eq!(
        replaced(&built),
        [
            "base/service.yaml:5 metadata.nmaespace USER_IDENTITY",
            "built/kustomization.yaml:2 USER_IDENTITY",
        ]
    );

    world
        .push(
            "chart/Chart.yaml",
            "apiVersion: v2\nname: chart\nversion: 0.1.0\n",
        )
        .await;
    world
        .push(
            "chart/values.yaml",
            "# who it is for\nwho: ${USER_IDENTITY}\n",
        )
        .await;
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  who: {{ .Values.who }}\n  also: ${USER_IDENTITY}\n";
    world.push("chart/templates/a.yaml", template).await;
    let chart = world.render("chart", &nothing).await.unwrap();
    assert_eq!(
        replaced(&chart),
        [
            "chart/templates/a.yaml:7  USER_IDENTITY",
            "chart/values.yaml:2 USER_IDENTITY",
        ]
    );
}
