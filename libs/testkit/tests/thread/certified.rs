//! A cluster that is added with a client certificate.

use std::path::Path;

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use testkit::platform::{self, automated};

use crate::{PATIENCE, config_map};

#[tokio::test]
async fn an_application_is_deployed_with_the_rights_of_a_client_certificate() -> Result<()> {
    let platform = platform::platform().await?;
    let tenant = platform::tenant("certified").await?;
    let (client, kube) = (&tenant.client, platform.kube()?);
    let here = format!("{}-here", tenant.name);
    let user = format!("{}-deployer", tenant.name);
    kube.ensure_namespace(&here).await?;
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "deployer", "namespace": here},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]});
    let path =
        format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{here}/rolebindings/deployer");
    kube.apply(&path, &binding).await?;

    let identity = platform.control_plane().user(&user)?;
    let pem = |file: &Path| Ok::<_, std::io::Error>(STANDARD.encode(std::fs::read(file)?));
    let cluster = json!({"server": kube.server(), "name": "far", "namespaces": [here],
        "config": {"tlsClientConfig": {
            "caData": pem(&identity.ca)?, "certData": pem(&identity.cert)?, "keyData": pem(&identity.key)?}}});
    let added = client.post("/api/v1/clusters", &cluster).await?.ok()?;
    ensure!(
        !added.to_string().contains(&pem(&identity.key)?),
        "a key is in no answer"
    );

    let file = tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"));
    file.await?;
    tenant.connect().await?;
    let app = json!({
        "metadata": {"name": "a"},
        "spec": {
            "project": "default",
            "source": {"repoURL": tenant.repo_url, "path": "app"},
            "destination": {"name": "far", "namespace": here},
            "syncPolicy": automated(),
        },
    });
    client.post("/api/v1/applications", &app).await?.ok()?;
    client.app_done("a", None, PATIENCE).await?;
    let map = format!("/api/v1/namespaces/{here}/configmaps/a");
    let live = kube.get(&map).await?.unwrap_or_default();
    assert_eq!(live["data"]["value"], "1", "{live}");
    let seen = client
        .get("/api/v1/clusters/far?id.type=name")
        .await?
        .ok()?;
    assert_eq!(seen["connectionState"]["status"], "Successful", "{seen}");
    Ok(())
}
