//! The chart of the three services renders, and a real apiserver accepts every object of it.

use anyhow::{Context, Result};
use testkit::command::{command, output, output_of_input};
use testkit::progress::Progress;
use testkit::{paths, platform, tools};

#[tokio::test]
async fn the_chart_is_accepted_by_the_apiserver() -> Result<()> {
    let plane = platform::control_plane().await?;
    plane.admin.ensure_namespace("chart-test").await?;
    let helm = tools::path("helm", &Progress::silent()).await?;
    let chart = paths::clone_root()?.join("helm/naru");
    let everything = [
        "--set",
        "api.ingress.enabled=true",
        "--set",
        "api.tlsSecret=naru-tls",
        "--set",
        "api.caSecret=naru-ca,api.certificatesSecret=naru-certificates",
        "--set",
        "repoServer.egress.allow={10.20.30.0/24},controller.egress.allow={10.20.30.0/24}",
        "--set",
        "image.pullSecrets[0].name=pull",
    ];
    for values in [[].as_slice(), everything.as_slice()] {
        let mut template = command(&helm);
        template
            .args(["template", "naru"])
            .arg(&chart)
            .args(["--namespace", "chart-test", "--kube-version", "1.36.0"])
            .args(values);
        let rendered = output(&mut template).await?;
        let mut kubectl = command("kubectl");
        kubectl
            .args([
                "apply",
                "--dry-run=server",
                "--validate=strict",
                "-f",
                "-",
                "--kubeconfig",
            ])
            .arg(&plane.kubeconfig);
        let accepted = output_of_input(&mut kubectl, &rendered)
            .await
            .context("the apiserver refuses the chart")?;
        assert!(accepted.lines().count() >= 8, "{accepted}");
    }
    Ok(())
}

#[tokio::test]
async fn a_chart_without_its_secrets_is_refused_by_name() -> Result<()> {
    let helm = tools::path("helm", &Progress::silent()).await?;
    let mut template = command(helm);
    template
        .args(["template", "naru"])
        .arg(paths::clone_root()?.join("helm/naru"));
    template.args(["--kube-version", "1.36.0", "--set", "secrets.keyFile="]);
    let refused = output(&mut template)
        .await
        .expect_err("a release without a key file");
    assert!(
        format!("{refused:#}").contains("secrets.keyFile"),
        "{refused:#}"
    );
    Ok(())
}
