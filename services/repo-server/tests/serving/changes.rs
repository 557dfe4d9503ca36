//! Why the cache did not answer, and which variables were replaced where.

use proto::naru::internal::v1::{RenderRequest, RenderResponse};

use crate::{SERVICE, World};

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
