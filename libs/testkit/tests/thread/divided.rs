//! Controllers that share clusters: each has its part, and takes over what another leaves.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::ground::Ground;
use testkit::platform::{Platform, Tenant, automated};
use testkit::postgres::Postgres;
use testkit::progress::Progress;
use testkit::wait;

use crate::clusters::{Role, add, app, guest};
use crate::faults::{own_platform, writes};
use crate::{PATIENCE, all_conditions, config_map};

/// Each tenant adds a cluster; with the shared one there are six to have.
const TENANTS: usize = 5;
const FIRST: &str = "naru-controller";
const SECOND: &str = "naru-controller-2";
const THIRD: &str = "naru-controller-3";

/// How many clusters a controller has.
async fn held(platform: &Platform, name: &str) -> Result<usize> {
    let process = platform.supervisor()?.find(name).context("it runs")?;
    let listen = process.spec().env.get("NARU_METRICS_LISTEN");
    let url = format!("http://{}/metrics", listen.context("it counts")?);
    let http = testkit::http::builder().build()?;
    let text = http.get(url).send().await?.text().await?;
    let mut lines = text.lines();
    let held = lines.find_map(|line| line.strip_prefix("naru_controller_clusters_held "));
    Ok(held.context("it says how many")?.trim().parse()?)
}

async fn have(platform: &Platform, shares: &[(&str, usize)]) -> Result<()> {
    wait::until("each has its share", PATIENCE, || async {
        for (name, share) in shares {
            let held = held(platform, name).await?;
            ensure!(held == *share, "{name} has {held} clusters, not {share}");
        }
        Ok(())
    })
    .await
}

/// The tenants, each with a cluster of its own and an application there; the first with one in the shared cluster besides.
async fn tenants(platform: &Platform) -> Result<Vec<Tenant>> {
    let kube = platform.kube()?;
    let mut tenants = Vec::new();
    for number in 0..TENANTS {
        let tenant = platform.tenant(&format!("part{number}")).await?;
        let here = format!("{}-here", tenant.name);
        let token = guest(&kube, "guest", &here, Role::Here("admin")).await?;
        add(&tenant, kube.server(), &token, &[&here]).await?;
        tenant.checkout.write("app/a.yaml", config_map("a", "0"))?;
        let home = config_map("home", "0");
        tenant.checkout.push_file("home/a.yaml", home).await?;
        tenant.connect().await?;
        tenant.turn_webhook_on()?;
        let body = app(&tenant, "a", &here, &automated());
        let client = &tenant.client;
        client.post("/api/v1/applications", &body).await?.ok()?;
        if number == 0 {
            tenant.create_app("home", "home", &automated()).await?;
            client.app_done("home", None, PATIENCE).await?;
        }
        client.app_done("a", None, PATIENCE).await?;
        tenants.push(tenant);
    }
    Ok(tenants)
}

/// Pushes a value to all, and waits until every application is at it. Each is synced once, by one write.
async fn all_become(platform: &Platform, tenants: &[Tenant], value: &str) -> Result<()> {
    let before = writes(platform)?.len();
    let mut commits = Vec::new();
    for tenant in tenants {
        let checkout = &tenant.checkout;
        checkout.write("app/a.yaml", config_map("a", value))?;
        let home = config_map("home", value);
        commits.push(checkout.push_file("home/a.yaml", home).await?);
    }
    for (number, (tenant, commit)) in tenants.iter().zip(&commits).enumerate() {
        let client = &tenant.client;
        let names: &[&str] = if number == 0 { &["a", "home"] } else { &["a"] };
        for name in names {
            let app = client.app_done(name, Some(commit), PATIENCE).await?;
            let history = app["status"]["history"].as_array();
            let entries = history.into_iter().flatten();
            let syncs = entries
                .filter(|entry| entry["revision"] == commit.as_str())
                .count();
            ensure!(syncs == 1, "{} synced {name} {syncs} times", tenant.name);
            let tree = format!("/api/v1/applications/{name}/resource-tree");
            let tree = client.get(&tree).await?.ok()?;
            ensure!(tree.to_string().contains("ConfigMap"), "{tree}");
        }
    }
    let all = writes(platform)?;
    let new = all.get(before..).unwrap_or_default();
    let of = |event: &Value| {
        let object = &event["objectRef"];
        format!("{}/{}", object["namespace"], object["name"])
    };
    let objects: BTreeSet<String> = new.iter().map(of).collect();
    ensure!(
        new.len() == TENANTS + 1 && objects.len() == new.len(),
        "each object is written once: {new:?}"
    );
    Ok(())
}

/// The credentials of a tenant's cluster open no more: whoever has the cluster says so, until they are given again. An
/// application whose objects are to stay goes all the same.
async fn locked_out(platform: &Platform, tenant: &Tenant) -> Result<()> {
    let client = &tenant.client;
    let here = format!("{}-here", tenant.name);
    let other = app(tenant, "other", &here, &json!({}));
    client.post("/api/v1/applications", &other).await?.ok()?;
    let mut ground = Ground::open(platform.dir(), Progress::silent())?;
    let database = &platform.beneath().database;
    let postgres = Postgres::attach(&mut ground, &database.admin).await?;
    let whose = format!(
        "(select id from naru.tenants where name = '{}')",
        tenant.name
    );
    let spoil = format!(
        "update naru.clusters set sealed = decode('00', 'hex') where tenant_id = {whose};
         select pg_notify('naru', {whose} || ' access');"
    );
    postgres.sql(None, &spoil).await?;
    let said = |app: &Value| all_conditions(app).contains("credentials.cluster-sealed");
    client.app_when("a", PATIENCE, said).await?;
    let leave = "/api/v1/applications/other?cascade=false";
    client.delete(leave).await?.ok()?;
    client.app_gone("other", PATIENCE).await?;
    let kube = platform.kube()?;
    let token = guest(&kube, "guest", &here, Role::Here("admin")).await?;
    add(tenant, kube.server(), &token, &[&here]).await?;
    client.app_done("a", None, PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn controllers_share_the_clusters_and_take_over_from_each_other() -> Result<()> {
    let platform = own_platform("divided").await?;
    let tenants = tenants(&platform).await?;
    have(&platform, &[(FIRST, TENANTS + 1)]).await?;

    // Whoever comes gets its share, and each is asked for its own.
    platform.another_controller(SECOND).await?;
    have(&platform, &[(FIRST, 3), (SECOND, 3)]).await?;
    all_become(&platform, &tenants, "shared").await?;

    // One that is gone leaves all to the other.
    let supervisor = platform.supervisor()?;
    let first = supervisor.find(FIRST).context("the first one runs")?;
    first.kill().await?;
    have(&platform, &[(SECOND, TENANTS + 1)]).await?;
    all_become(&platform, &tenants, "taken-over").await?;

    // Clusters move to those that come, and what goes from cluster to cluster goes from controller to controller.
    supervisor.restart(FIRST).await?;
    platform.another_controller(THIRD).await?;
    have(&platform, &[(FIRST, 2), (SECOND, 2), (THIRD, 2)]).await?;
    all_become(&platform, &tenants, "moved").await?;
    for tenant in &tenants {
        locked_out(&platform, tenant).await?;
    }
    let kube = platform.kube()?;
    for tenant in &tenants {
        let mut body = app(tenant, "a", "", &automated());
        body["spec"]["destination"] =
            json!({"server": "https://kubernetes.default.svc", "namespace": tenant.name});
        let client = &tenant.client;
        let spec = "/api/v1/applications/a/spec";
        client.put(spec, &body["spec"]).await?.ok()?;
        let path = format!("/api/v1/namespaces/{}/configmaps/a", tenant.name);
        wait::until("it is in the shared cluster", PATIENCE, || async {
            let map = kube.get(&path).await?.context("not yet")?;
            ensure!(map["data"]["value"] == "moved", "{map}");
            Ok(())
        })
        .await?;
        client.app_done("a", None, PATIENCE).await?;
    }
    platform.stop().await
}
