//! The guide's own folders: they deploy as printed, and their traps are named with code, file and line.

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::platform;

use crate::{PATIENCE, all_conditions, conditions, examples};

#[tokio::test]
async fn hello_spring_as_printed_becomes_synced_and_healthy() -> Result<()> {
    let tenant = platform::tenant("spring").await?;
    let commit = tenant.push_guide(&examples()).await?;
    tenant.connect().await?;
    tenant
        .create_app(
            "hello-spring",
            "gitops/hello-world-spring",
            &platform::automated(),
        )
        .await?;
    let app = tenant
        .client
        .app_done("hello-spring", Some(&commit), PATIENCE)
        .await?;
    assert_eq!(
        app["status"]["sourceType"], "Directory",
        "its file is called `kustomize`"
    );
    let image = app["status"]["summary"]["images"][0]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        image.contains(&format!("/{}/spring-jenkins:1.0.0", tenant.name)),
        "{image}"
    );
    let kinds: Vec<&str> = app["status"]["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|r| r["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["Service", "Deployment", "Ingress"]);
    Ok(())
}

#[tokio::test]
async fn the_traps_are_named_with_code_file_and_line_in_both_languages() -> Result<()> {
    let tenant = platform::tenant("traps").await?;
    tenant.push_guide(&examples()).await?;
    tenant.connect().await?;
    tenant
        .create_app(
            "hello-spring",
            "gitops/hello-world-spring",
            &platform::automated(),
        )
        .await?;
    let app = tenant
        .client
        .app_done("hello-spring", None, PATIENCE)
        .await?;
    let typo = conditions(&app, "UnknownFieldSimilarWarning").join("\n");
    for part in [
        "nmaespace",
        "namespace",
        "gitops/hello-world-spring/service.yaml:5",
        "[lint.unknown-field-similar]",
    ] {
        assert!(
            typo.contains(part),
            "G2: {part} is missing in {}",
            all_conditions(&app)
        );
    }
    let all = all_conditions(&app);
    assert!(
        all.contains("ingress.yaml:") && all.contains("80") && all.contains("8080"),
        "G3: {all}"
    );
    assert!(
        all.contains("gitops/hello-world-spring/kustomize"),
        "G5: {all}"
    );
    let korean = tenant
        .client
        .request(reqwest::Method::GET, "/api/v1/applications/hello-spring")
        .header("accept-language", "ko")
        .send()
        .await?
        .text()
        .await?;
    ensure!(
        korean.contains("nmaespace") && korean.contains("필드"),
        "the same in Korean: {korean}"
    );
    Ok(())
}

#[tokio::test]
async fn an_image_override_that_matches_nothing_and_an_all_digit_tag_are_named() -> Result<()> {
    let tenant = platform::tenant("images").await?;
    tenant.push_guide(&examples()).await?;
    let folder = "gitops/hello-world-flask";
    let kustomize = tenant.checkout.read(&format!("{folder}/kustomize"))?;
    let kustomization = kustomize.replace("newTag: 1.0.0", "newTag: \"20260401123000\"");
    assert_ne!(kustomize, kustomization, "the fixture still says 1.0.0");
    tenant
        .checkout
        .push_file(&format!("{folder}/kustomization.yaml"), kustomization)
        .await?;
    let file = format!("{folder}/deployment.yaml");
    let deployment = tenant.checkout.read(&file)?;
    tenant
        .checkout
        .push_file(&file, deployment.replace(":1.0.0", ":20260401123000"))
        .await?;
    tenant.connect().await?;
    tenant
        .create_app("hello-flask", folder, &platform::automated())
        .await?;
    let app = tenant
        .client
        .app_done("hello-flask", None, PATIENCE)
        .await?;
    let all = all_conditions(&app);
    assert!(
        all.contains("flask-jenkins")
            && all.contains("gitops/hello-world-flask/kustomization.yaml"),
        "G4: {all}"
    );
    assert!(all.contains("20260401123000"), "G6: {all}");
    Ok(())
}

#[tokio::test]
async fn an_ingress_without_an_address_keeps_the_application_progressing_and_says_why() -> Result<()>
{
    let tenant = platform::tenant("address").await?;
    tenant.push_guide(&examples()).await?;
    // The filler serves the class traefik only: another class stands for a controller that publishes nothing.
    let ingress = tenant
        .checkout
        .read("gitops/hello-world-spring/ingress.yaml")?;
    tenant
        .checkout
        .push_file(
            "gitops/hello-world-spring/ingress.yaml",
            ingress.replace("traefik", "silent"),
        )
        .await?;
    tenant.connect().await?;
    tenant
        .create_app(
            "hello-spring",
            "gitops/hello-world-spring",
            &platform::automated(),
        )
        .await?;
    let app = tenant
        .client
        .app_when("hello-spring", PATIENCE, |app| {
            app["status"]["sync"]["status"] == "Synced"
                && app["status"]["health"]["status"] == "Progressing"
                && all_conditions(app).contains("status.loadBalancer.ingress")
        })
        .await?;
    assert!(
        all_conditions(&app).contains("silent"),
        "G16 names the class: {}",
        all_conditions(&app)
    );
    Ok(())
}

#[tokio::test]
async fn a_kustomization_is_rendered_with_the_tenants_variables() -> Result<()> {
    let tenant = platform::tenant("kustomize").await?;
    tenant.push_guide(&examples()).await?;
    for from in [
        "gitops/hello-world-spring",
        "overlay/hello-world-spring-kustomize",
    ] {
        let folder = "gitops/hello-world-spring-kustomize";
        tenant
            .checkout
            .copy_folder(&examples().join(from), folder)?;
    }
    let commit = tenant.checkout.commit("a real kustomization").await?;
    tenant.checkout.push().await?;
    tenant.connect().await?;
    tenant
        .create_app(
            "hello-spring-kustomize",
            "gitops/hello-world-spring-kustomize",
            &json!({"automated": {"prune": true}}),
        )
        .await?;
    let app = tenant
        .client
        .app_done("hello-spring-kustomize", Some(&commit), PATIENCE)
        .await?;
    assert_eq!(app["status"]["sourceType"], "Kustomize");
    for resource in app["status"]["resources"].as_array().into_iter().flatten() {
        assert_eq!(resource["namespace"], tenant.name.as_str());
        assert!(
            resource["name"]
                .as_str()
                .is_some_and(|name| name.ends_with("-kustomize")),
            "{resource}"
        );
    }
    Ok(())
}
