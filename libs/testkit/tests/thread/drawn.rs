//! What a chart draws by chance stays as it was drawn first.

use anyhow::{Context, Result};
use serde_json::Value;
use testkit::platform;

use crate::{PATIENCE, conditions};

const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: drawn\ndata:\n  \
                        password: {{ randAlphaNum 24 }}\n  length: {{ .Values.length | quote }}\n";

#[tokio::test]
async fn a_chart_that_draws_a_password_draws_it_once() -> Result<()> {
    let tenant = platform::tenant("drawn").await?;
    let file = |name: &str| format!("chart/{name}");
    let checkout = &tenant.checkout;
    checkout.write(
        &file("Chart.yaml"),
        "apiVersion: v2\nname: drawn\nversion: 1.0.0\n",
    )?;
    checkout.write(&file("templates/a.yaml"), TEMPLATE)?;
    checkout
        .push_file(&file("values.yaml"), "length: 1\n".to_owned())
        .await?;
    tenant.connect().await?;
    tenant
        .create_app("app", "chart", &platform::automated())
        .await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    let path = format!("/api/v1/namespaces/{}/configmaps/drawn", tenant.name);
    let password = async || -> Result<String> {
        let live = tenant.kube.get(&path).await?.context("no ConfigMap")?;
        Ok(live["data"]["password"]
            .as_str()
            .context("no password")?
            .to_owned())
    };
    let first = password().await?;

    let refresh = "/api/v1/applications/app?refresh=hard";
    let app = tenant.client.get(refresh).await?.ok()?;
    let told = conditions(&app, "UndeterminedWarning");
    assert!(
        told.iter().any(|told| told.contains("randAlphaNum")),
        "{}",
        app["status"]
    );
    let manifests = tenant
        .client
        .get("/api/v1/applications/app/manifests")
        .await?
        .ok()?;
    let shown: Value =
        serde_json::from_str(manifests["manifests"][0].as_str().context("no manifest")?)?;
    assert_eq!(shown["data"]["password"], first.as_str());

    // How often it was synced when Git is looked at again, and the password then.
    let looked = async |commit: &str| -> Result<(usize, String)> {
        let client = &tenant.client;
        client.get(refresh).await?.ok()?;
        let app = client.app_done("app", Some(commit), PATIENCE).await?;
        let synced = app["status"]["history"].as_array().map_or(0, Vec::len);
        Ok((synced, password().await?))
    };
    // Nothing that the chart is made of.
    let commit = checkout.push_file("README.md", "x".to_owned()).await?;
    let same = (1, first.clone());
    assert_eq!(looked(&commit).await?, same, "nothing was synced again");

    let commit = checkout
        .push_file(&file("values.yaml"), "length: 2\n".to_owned())
        .await?;
    let (_, second) = looked(&commit).await?;
    assert_ne!(second, first, "another input, another draw");

    // Whoever looks at what could be deployed takes no room from what is.
    for length in 3..15 {
        checkout.write(&file("values.yaml"), format!("length: {length}\n"))?;
        let other = checkout.commit("another length").await?;
        let push = ["push", "-q", "origin", "HEAD:refs/heads/other"];
        checkout.git(&push).await?;
        let asked = format!("/api/naru/v1/applications/app/plan?revision={other}");
        let plan = tenant.client.get(&asked).await?.ok()?;
        assert_eq!(plan["sync"], "OutOfSync", "{plan}");
    }
    let same = (2, second);
    assert_eq!(looked(&commit).await?, same, "nothing was drawn anew");
    Ok(())
}
