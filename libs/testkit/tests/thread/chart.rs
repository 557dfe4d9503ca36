//! The chart of the three services renders, and a real apiserver accepts every object of it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::command::{command, output, output_of_input};
use testkit::control_plane::ControlPlane;
use testkit::progress::Progress;
use testkit::{paths, platform, tools};

/// The chart with these flags of Helm's.
async fn render(flags: &[&str]) -> Result<String> {
    let helm = tools::path("helm", &Progress::silent()).await?;
    let mut template = command(helm);
    template
        .args(["template", "naru"])
        .arg(paths::clone_root()?.join("helm/naru"))
        .args(["--namespace", "chart-test", "--kube-version", "1.36.0"])
        .args(flags);
    output(&mut template).await
}

/// What a service's variables say that have their value in the chart.
fn variables<'a>(chart: &'a str, service: &str) -> Result<BTreeMap<&'a str, &'a str>> {
    let command = format!("command: [naru-{service}]\n");
    let mut objects = chart.split("\n---\n");
    let object = objects.find(|object| object.contains(&command));
    let lines = object.context("no such service")?.lines().map(str::trim);
    let pairs = lines.clone().zip(lines.skip(1));
    let said = pairs.filter_map(|(name, value)| {
        let name = name.strip_prefix("- name: ")?;
        let value = value.strip_prefix("value: ")?;
        Some((name, value.trim_matches('"')))
    });
    Ok(said.collect())
}

/// The objects of a chart as the apiserver would have them, which refuses what it does not understand.
async fn admitted(plane: &ControlPlane, rendered: &str) -> Result<Vec<Value>> {
    plane.admin.ensure_namespace("chart-test").await?;
    let mut kubectl = command("kubectl");
    kubectl
        .args(["apply", "--dry-run=server", "--validate=strict"])
        .args(["-f", "-", "-o", "json", "--kubeconfig"])
        .arg(&plane.kubeconfig);
    let list = output_of_input(&mut kubectl, rendered)
        .await
        .context("the apiserver refuses the chart")?;
    let list: Value = serde_json::from_str(&list)?;
    let items = list["items"].as_array();
    items.cloned().context("no list of objects")
}

/// An object of the chart's.
fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
    let mut objects = objects.iter();
    objects.find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
}

/// What a workload's pods are made of.
fn template<'a>(objects: &'a [Value], workload: &str) -> Result<&'a Value> {
    let name = format!("naru-{workload}");
    let workload = ["Deployment", "StatefulSet", "Job"]
        .into_iter()
        .find_map(|kind| object(objects, kind, &name))
        .with_context(|| format!("no {name}"))?;
    Ok(&workload["spec"]["template"])
}

/// The labels by which the pods of a service are known.
fn pods<'a>(objects: &'a [Value], service: &str) -> Result<&'a Value> {
    Ok(&template(objects, service)?["metadata"]["labels"])
}

/// What Helm says of a value that it does not take.
async fn refusal(flag: &str, value: &str) -> Result<String> {
    let refused = render(&[flag, value]).await;
    let refused = refused
        .err()
        .with_context(|| format!("{value} was taken"))?;
    Ok(format!("{refused:#}"))
}

/// Whether a list has an entry with all of these fields.
fn has(list: &Value, fields: &Value) -> bool {
    let (Some(list), Some(fields)) = (list.as_array(), fields.as_object()) else {
        return false;
    };
    list.iter()
        .any(|entry| fields.iter().all(|(name, value)| &entry[name] == value))
}

#[tokio::test]
async fn the_chart_is_accepted_by_the_apiserver() -> Result<()> {
    let plane = platform::control_plane().await?;
    plane.admin.ensure_namespace("chart-test").await?;
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
        "--set",
        "api.quotas.applications=500,controller.tenantWeights.team-a=3",
        "--set-json",
        r#"api.extraEnv=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]"#,
    ];
    for flags in [[].as_slice(), everything.as_slice()] {
        let rendered = render(flags).await?;
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
    let refused = render(&["--set", "secrets.keyFile="])
        .await
        .expect_err("a release without a key file");
    assert!(
        format!("{refused:#}").contains("secrets.keyFile"),
        "{refused:#}"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_no_whole_number_is_refused_by_name() -> Result<()> {
    for (flag, value) in [
        ("--set", "api.quotas.objects=many"),
        ("--set-json", "api.quotas.objects=null"),
        ("--set-json", "api.quotas.objects=0.5"),
        ("--set-json", "api.quotas.objects=-1"),
        ("--set", "api.limits.bodiesMib=2GiB"),
        ("--set", "controller.workers=all"),
        ("--set-json", "controller.tenantWeights.team-a=1.5"),
        ("--set", "repoServer.mirrorsMib=6Gi"),
        ("--set", "repoServer.fetchMemoryMib=1Gi"),
    ] {
        let refused = refusal(flag, value).await?;
        let (name, _) = value.split_once('=').context("a value")?;
        let why = format!("{name} is no whole number");
        assert!(refused.contains(&why), "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn further_settings_stand_behind_those_of_the_chart() -> Result<()> {
    let given = render(&[
        "--set-json",
        r#"api.extraEnv=[{"name": "NARU_LIMITS__CONNECTIONS", "value": "40000"}]"#,
        "--set-json",
        r#"repoServer.extraEnv=[{"name": "NARU_PACK_MIB", "value": "4096"}, {"name": "NARU_RENDER_SECONDS", "value": "90"}]"#,
        "--set-json",
        r#"controller.extraEnv=[{"name": "NARU_POLL_JITTER_SECONDS", "value": "10"}]"#,
    ])
    .await?;
    for (service, name, value) in [
        ("api", "NARU_LIMITS__CONNECTIONS", "40000"),
        ("repo-server", "NARU_PACK_MIB", "4096"),
        ("repo-server", "NARU_RENDER_SECONDS", "90"),
        ("controller", "NARU_POLL_JITTER_SECONDS", "10"),
    ] {
        let said = variables(&given, service)?;
        assert_eq!(said.get(name), Some(&value), "{service}");
        assert!(said.contains_key("NARU_LISTEN"), "{service}: {said:?}");
    }
    for (extra, why) in [
        (
            r#"[{"name": "NARU_MIRRORS_MIB", "value": "1"}]"#,
            "repoServer.extraEnv sets NARU_MIRRORS_MIB, which is set already",
        ),
        (
            r#"[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]"#,
            "repoServer.extraEnv sets A, which is set already",
        ),
        (
            r#"[{"name": "NARU_PACK_MIB", "value": 4096}]"#,
            "repoServer.extraEnv: the value of NARU_PACK_MIB is no string",
        ),
        (
            r#"[{"value": "1"}]"#,
            "repoServer.extraEnv has an entry without a name",
        ),
    ] {
        let flag = format!("repoServer.extraEnv={extra}");
        let refused = refusal("--set-json", &flag).await?;
        assert!(refused.contains(why), "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn metrics_of_each_service_are_behind_a_name() -> Result<()> {
    let plane = platform::control_plane().await?;
    let usual = render(&[]).await?;
    let objects = admitted(&plane, &usual).await?;
    for service in ["api", "repo-server", "controller"] {
        let name = format!("naru-{service}-metrics");
        let metrics = object(&objects, "Service", &name).with_context(|| format!("no {name}"))?;
        let spec = &metrics["spec"];
        assert_eq!(&spec["selector"], pods(&objects, service)?);
        assert_eq!(spec["type"], "ClusterIP");
        let port = &spec["ports"][0];
        assert_eq!(port["name"], "metrics");
        assert_eq!(port["targetPort"], "metrics");
        // The ServiceMonitor chooses by it, and the other Services have no port of that name.
        let label = "app.kubernetes.io/component";
        assert_eq!(metrics["metadata"]["labels"][label], service);
    }

    // Its kind is no apiserver's own.
    assert!(!usual.contains("kind: ServiceMonitor"));
    let monitored = render(&[
        "--set",
        "telemetry.serviceMonitor.enabled=true,telemetry.serviceMonitor.labels.release=prometheus",
    ])
    .await?;
    let mut objects = monitored.split("\n---\n");
    let monitor = objects.find(|object| object.contains("kind: ServiceMonitor\n"));
    let monitor = monitor.context("no ServiceMonitor")?;
    for said in [
        "    release: prometheus\n",
        "    - port: metrics\n",
        "      app.kubernetes.io/instance: naru\n",
    ] {
        assert!(monitor.contains(said), "{monitor}");
    }
    Ok(())
}

#[tokio::test]
async fn an_api_that_goes_serves_until_nobody_finds_it() -> Result<()> {
    let plane = platform::control_plane().await?;
    let objects = admitted(&plane, &render(&[]).await?).await?;
    let spec = &template(&objects, "api")?["spec"];
    let waits = &spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"];
    let waits = waits.as_u64().context("it goes at once")?;
    assert!(waits >= 5, "{waits}");
    // Behind it comes the drain, of twenty seconds.
    let all = spec["terminationGracePeriodSeconds"].as_u64();
    assert!(all.context("no limit")? > waits + 20, "{spec}");
    Ok(())
}

#[tokio::test]
async fn a_load_balancer_is_told_what_its_cloud_wants() -> Result<()> {
    let plane = platform::control_plane().await?;
    let flags = [
        "--set-json",
        r#"api.service={"type": "LoadBalancer", "annotations": {"example.com/internal": "true"}}"#,
    ];
    let objects = admitted(&plane, &render(&flags).await?).await?;
    let service = object(&objects, "Service", "naru-api").context("no service")?;
    let annotations = &service["metadata"]["annotations"];
    assert_eq!(annotations["example.com/internal"], "true");
    Ok(())
}

#[tokio::test]
async fn a_drain_takes_one_pod_of_several_at_a_time() -> Result<()> {
    let plane = platform::control_plane().await?;
    let objects = admitted(&plane, &render(&["--set", "api.replicas=1"]).await?).await?;
    let budget = |service: &str| {
        let name = format!("naru-{service}");
        object(&objects, "PodDisruptionBudget", &name)
    };
    assert_eq!(
        budget("api"),
        None,
        "one alone would hold its node for ever"
    );
    for service in ["repo-server", "controller"] {
        let budget = budget(service).with_context(|| format!("none for {service}"))?;
        assert_eq!(budget["spec"]["maxUnavailable"], 1);
        let selector = &budget["spec"]["selector"]["matchLabels"];
        assert_eq!(selector, pods(&objects, service)?);
    }
    Ok(())
}

#[tokio::test]
async fn a_migration_is_one_pod_whose_log_stays() -> Result<()> {
    let plane = platform::control_plane().await?;
    let objects = admitted(&plane, &render(&[]).await?).await?;
    let job = object(&objects, "Job", "naru-migrate").context("no job")?;
    let spec = &job["spec"];
    assert_eq!(spec["backoffLimit"], 0);
    assert_eq!(spec["template"]["spec"]["restartPolicy"], "Never");
    // Not one that lost its node: that is no failure of the migration's.
    let rules = &spec["podFailurePolicy"]["rules"];
    let lost = json!([{"type": "DisruptionTarget", "status": "True"}]);
    let ignored = json!({"action": "Ignore", "onPodConditions": lost});
    assert_eq!(rules, &json!([ignored]));
    let annotations = &job["metadata"]["annotations"];
    let kept = &annotations["helm.sh/hook-delete-policy"];
    assert_eq!(kept, "before-hook-creation,hook-succeeded");
    assert_eq!(annotations["helm.sh/hook-output-log-policy"], "hook-failed");
    Ok(())
}

#[tokio::test]
async fn every_container_says_what_it_takes() -> Result<()> {
    let plane = platform::control_plane().await?;
    // A namespace with a quota of such takes no pod that does not say it, so that it can be set for each.
    let set = r#"{"limits": {"cpu": "2", "memory": "3Gi"}}"#;
    let flags = ["api", "repoServer", "controller", "migration"]
        .map(|values| format!("{values}.resources={set}"));
    let mut given = Vec::new();
    for flag in &flags {
        given.extend(["--set-json", flag.as_str()]);
    }
    let usual = admitted(&plane, &render(&[]).await?).await?;
    let objects = admitted(&plane, &render(&given).await?).await?;
    for workload in ["api", "repo-server", "controller", "migrate"] {
        let of = |objects: &[Value]| -> Result<Value> {
            let spec = &template(objects, workload)?["spec"];
            Ok(spec["containers"][0]["resources"].clone())
        };
        let usual = of(&usual)?;
        for said in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
            assert!(usual.pointer(said).is_some(), "{workload}: no {said}");
        }
        let limits = json!({"cpu": "2", "memory": "3Gi"});
        assert_eq!(of(&objects)?["limits"], limits, "{workload}");
    }
    Ok(())
}

#[tokio::test]
async fn repo_servers_get_out_over_ipv6_too_but_not_everywhere() -> Result<()> {
    let plane = platform::control_plane().await?;
    let rendered = render(&[
        "--set",
        "repoServer.egress.deny={10.96.0.0/12,10.1.2.3,2001:db8::/48,2001:db8:7::1}",
        "--set",
        "repoServer.egress.allow={10.20.30.4,2001:db8:1::5,10.30.0.0/16}",
    ])
    .await?;
    let objects = admitted(&plane, &rendered).await?;
    let policy = object(&objects, "NetworkPolicy", "naru-repo-server").context("no policy")?;
    let egress = policy["spec"]["egress"].as_array().context("no egress")?;
    let to = egress.iter().filter_map(|rule| rule["to"].as_array());
    let blocks: Vec<&Value> = to.flatten().map(|peer| &peer["ipBlock"]).collect();
    assert_eq!(
        blocks,
        [
            &json!({"cidr": "0.0.0.0/0",
                "except": ["169.254.0.0/16", "127.0.0.0/8", "10.96.0.0/12", "10.1.2.3/32"]}),
            &json!({"cidr": "::/0",
                "except": ["::/96", "fe80::/10", "fec0::/10", "fd00:ec2::/32", "2001:db8::/48", "2001:db8:7::1/128"]}),
            &json!({"cidr": "10.20.30.4/32"}),
            &json!({"cidr": "2001:db8:1::5/128"}),
            &json!({"cidr": "10.30.0.0/16"}),
        ]
    );
    Ok(())
}

/// Where the repo-servers get to by a chart with these flags: each rule of their policy.
async fn egress(plane: &ControlPlane, flags: &[&str]) -> Result<Vec<Value>> {
    let objects = admitted(plane, &render(flags).await?).await?;
    let policy = object(&objects, "NetworkPolicy", "naru-repo-server").context("no policy")?;
    let rules = policy["spec"]["egress"].as_array();
    rules.cloned().context("no egress")
}

#[tokio::test]
async fn repo_servers_get_only_where_it_is_allowed_where_all_is_denied() -> Result<()> {
    let plane = platform::control_plane().await?;
    let all = "repoServer.egress.deny={0.0.0.0/0,::/0}";
    let allowed = "repoServer.egress.allow={10.20.0.0/16}";
    let rules = egress(&plane, &["--set", all, "--set", allowed]).await?;
    let to: Vec<&Value> = rules.iter().filter_map(|rule| rule.get("to")).collect();
    assert_eq!(to, [&json!([{"ipBlock": {"cidr": "10.20.0.0/16"}}])]);
    // One of both denied leaves the other; none left is no rule, since one that names nothing allows all.
    let rules = egress(&plane, &["--set", "repoServer.egress.deny={::/0}"]).await?;
    let to = rules.iter().find_map(|rule| rule["to"].as_array());
    let to = to.context("no way out")?;
    let cidrs: Vec<&Value> = to.iter().map(|peer| &peer["ipBlock"]["cidr"]).collect();
    assert_eq!(cidrs, ["0.0.0.0/0"]);
    for rule in egress(&plane, &["--set", all]).await? {
        assert!(rule["ports"].is_array(), "{rule}");
    }
    Ok(())
}

#[tokio::test]
async fn repo_servers_get_to_the_collector_of_traces() -> Result<()> {
    let plane = platform::control_plane().await?;
    let collector = json!([{"port": 4317, "protocol": "TCP"}]);
    let leads_there = |rule: &Value| rule["ports"] == collector;
    let endpoint = |at: &str| format!("telemetry.otlpEndpoint={at}");
    for at in ["http://collector.monitoring:4317", "http://[fd00::5]:4317/"] {
        let rules = egress(&plane, &["--set", &endpoint(at)]).await?;
        assert!(rules.iter().any(leads_there), "{at}: {rules:?}");
    }
    let rules = egress(&plane, &[]).await?;
    assert!(!rules.iter().any(leads_there), "{rules:?}");
    Ok(())
}

#[tokio::test]
async fn the_notes_name_what_an_uninstall_leaves() -> Result<()> {
    let plane = platform::control_plane().await?;
    plane.admin.ensure_namespace("chart-test").await?;
    let mut install = command(tools::path("helm", &Progress::silent()).await?);
    install
        .args(["install", "naru"])
        .arg(paths::clone_root()?.join("helm/naru"))
        .args(["--namespace", "chart-test", "--dry-run=server"])
        .arg("--kubeconfig")
        .arg(&plane.kubeconfig);
    let said = output(&mut install).await?;
    let (_, notes) = said.split_once("NOTES:").context("no notes")?;
    for line in [
        "helm uninstall naru --namespace chart-test",
        "kubectl delete clusterrolebinding naru-tenant-naru",
    ] {
        assert!(notes.contains(line), "{notes}");
    }
    Ok(())
}

#[tokio::test]
async fn each_value_reaches_its_variable() -> Result<()> {
    let usual = render(&[]).await?;
    let quotas = |api: &BTreeMap<&str, &str>| -> BTreeMap<String, String> {
        let quotas = api.iter().filter_map(|(name, allowed)| {
            let name = name.strip_prefix("NARU_QUOTAS__")?;
            Some((name.to_owned(), (*allowed).to_owned()))
        });
        quotas.collect()
    };
    assert_eq!(quotas(&variables(&usual, "api")?), BTreeMap::new());
    let controller = variables(&usual, "controller")?;
    assert_eq!(controller.get("NARU_WORKERS"), Some(&"64"));
    assert_eq!(controller.get("NARU_WORKERS_PER_TENANT"), Some(&"48"));
    assert_eq!(controller.get("NARU_TENANT_WEIGHTS"), None);
    let repo_server = variables(&usual, "repo-server")?;
    assert_eq!(repo_server.get("NARU_FETCH_MEMORY_MIB"), Some(&"1024"));

    // JSON, since its numbers are as a values file's: large ones must not become powers of ten.
    let given = render(&[
        "--set-json",
        r#"api.quotas={"objects": 2000000, "renders": 0}"#,
        "--set-json",
        r#"controller.tenantWeights={"team-a": 3, "2nd": 1}"#,
        "--set",
        "controller.workers=96,controller.workersPerTenant=8",
    ])
    .await?;
    let wanted = [("OBJECTS", "2000000"), ("RENDERS", "0")];
    let wanted = wanted.map(|(name, allowed)| (name.to_owned(), allowed.to_owned()));
    let wanted = BTreeMap::from(wanted);
    assert_eq!(quotas(&variables(&given, "api")?), wanted);
    let controller = variables(&given, "controller")?;
    assert_eq!(controller.get("NARU_WORKERS"), Some(&"96"));
    assert_eq!(controller.get("NARU_WORKERS_PER_TENANT"), Some(&"8"));
    let weights = Some(&"{2nd=1,team-a=3}");
    assert_eq!(controller.get("NARU_TENANT_WEIGHTS"), weights);

    let given = render(&[
        "--set-json",
        "api.limits.strangersPerMinute=1000000",
        "--set-string",
        "controller.workers=48",
    ])
    .await?;
    let strangers = "NARU_LIMITS__STRANGERS_PER_MINUTE";
    assert_eq!(variables(&given, "api")?.get(strangers), Some(&"1000000"));
    let workers = variables(&given, "controller")?
        .get("NARU_WORKERS")
        .copied();
    assert_eq!(workers, Some("48"));
    Ok(())
}

#[tokio::test]
async fn services_listen_where_the_clusters_pods_are() -> Result<()> {
    for (flag, anywhere, pod) in [
        ("ipv6=false", "0.0.0.0", "$(POD_IP)"),
        ("ipv6=true", "[::]", "[$(POD_IP)]"),
    ] {
        let rendered = render(&["--set", flag]).await?;
        let ports = [("api", 8080), ("repo-server", 8443), ("controller", 8443)];
        for (service, port) in ports {
            let said = variables(&rendered, service)?;
            let listen = format!("{anywhere}:{port}");
            assert_eq!(said.get("NARU_LISTEN"), Some(&listen.as_str()), "{service}");
            let metrics = format!("{anywhere}:9090");
            let told = said.get("NARU_METRICS_LISTEN");
            assert_eq!(told, Some(&metrics.as_str()), "{service}");
        }
        let controller = variables(&rendered, "controller")?;
        let address = format!("https://{pod}:8443");
        assert_eq!(controller.get("NARU_ADVERTISE"), Some(&address.as_str()));
    }
    Ok(())
}

#[tokio::test]
async fn a_value_that_the_chart_does_not_know_is_refused_where_it_stands() -> Result<()> {
    for within in [
        "",
        "image.",
        "secrets.",
        "operator.",
        "pods.",
        "migration.",
        "api.",
        "api.limits.",
        "api.service.",
        "api.ingress.",
        "repoServer.",
        "repoServer.egress.",
        "controller.",
        "controller.egress.",
        "telemetry.",
        "telemetry.serviceMonitor.",
    ] {
        let refused = refusal("--set", &format!("{within}unheard=1")).await?;
        let place = within.trim_end_matches('.').replace('.', "/");
        let place = if place.is_empty() {
            "'':".to_owned()
        } else {
            format!("'/{place}':")
        };
        assert!(refused.contains(&place), "{refused}");
        assert!(refused.contains("'unheard' not allowed"), "{refused}");
    }
    // A chart that has this one as a part gives it some of its own, and has it or not by the condition `naru.enabled`.
    render(&["--set", "global.domain=example.com,enabled=true"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_value_of_another_type_is_refused_where_it_stands() -> Result<()> {
    for (flag, value) in [
        ("--set-string", "api.replicas=2"),
        ("--set-json", "repoServer.replicas=1.5"),
        ("--set", "image.tag=7"),
        ("--set", "image.pullPolicy=Sometimes"),
        ("--set", "image.pullSecrets={pull}"),
        ("--set", "operator.hosts=naru.example.com"),
        ("--set-json", "operator.hosts=[]"),
        ("--set", "api.service.type=ExternalName"),
        ("--set", "api.service.port=70000"),
        ("--set", "api.service.annotations.internal=true"),
        ("--set-string", "api.ingress.enabled=false"),
        ("--set", "api.trustedProxies=10.0.0.0/8"),
        ("--set-json", r#"api.quotas.objects={"a": 1}"#),
        ("--set", "repoServer.egress.deny=10.0.0.0/8"),
        ("--set", "repoServer.redisPort=0"),
        ("--set-json", r#"controller.extraEnv={"A": "1"}"#),
        ("--set", "telemetry.serviceMonitor.labels.release=1"),
        ("--set", "commonLabels.team=1"),
        ("--set", "pods.nodeSelector.ssd=true"),
        ("--set", "pods.tolerations={a}"),
        ("--set", "api.affinity=zone"),
        ("--set", "repoServer.topologySpreadConstraints={zone}"),
        ("--set", "controller.priorityClassName=1"),
        ("--set", "migration.podAnnotations.a=1"),
        ("--set", "pods.podLabels.a=1"),
        ("--set-json", r#"api.extraVolumes=[{"emptyDir": {}}]"#),
        ("--set", "api.extraVolumeMounts={/etc/a}"),
    ] {
        let refused = refusal(flag, value).await?;
        let (name, _) = value.split_once('=').context("a value")?;
        let place = format!("- at '/{}", name.replace('.', "/"));
        assert!(refused.contains(&place), "{value}: {refused}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_set_for_pods_reaches_those_of_each_workload() -> Result<()> {
    let plane = platform::control_plane().await?;
    let all = json!({
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "naru", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}]}]}}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
            {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app": "other"}}},
        ],
        "priorityClassName": "system-cluster-critical",
        "podAnnotations": {"example.com/scrape": "true"},
        "podLabels": {"team": "platform"},
        "extraVolumes": [{"name": "authority", "configMap": {"name": "authority"}}],
        "extraVolumeMounts": [{"name": "authority", "mountPath": "/etc/authority", "readOnly": true}],
    });
    let set = format!("pods={all}");
    let workloads = ["api", "repo-server", "controller", "migrate"];
    let objects = admitted(&plane, &render(&["--set-json", &set]).await?).await?;
    for workload in workloads {
        let template = template(&objects, workload)?;
        let (metadata, spec) = (&template["metadata"], &template["spec"]);
        for name in ["nodeSelector", "affinity", "priorityClassName"] {
            assert_eq!(spec[name], all[name], "{workload}");
        }
        assert!(
            has(&spec["tolerations"], &all["tolerations"][0]),
            "{workload}: {spec}"
        );
        assert_eq!(
            metadata["annotations"]["example.com/scrape"], "true",
            "{workload}"
        );
        assert_eq!(metadata["labels"]["team"], "platform", "{workload}");
        // The one that says whom it counts counts them; the other one counts its own.
        let spread = &spec["topologySpreadConstraints"];
        assert_eq!(spread[1], all["topologySpreadConstraints"][1], "{workload}");
        let counted = &spread[0]["labelSelector"]["matchLabels"];
        assert_eq!(counted["app.kubernetes.io/component"], workload);
        assert_eq!(metadata["labels"]["app.kubernetes.io/component"], workload);
        let authority = json!({"name": "authority"});
        assert!(has(&spec["volumes"], &authority), "{workload}: {spec}");
        let mounts = &spec["containers"][0]["volumeMounts"];
        assert!(
            has(mounts, &all["extraVolumeMounts"][0]),
            "{workload}: {spec}"
        );
        if workload != "migrate" {
            assert!(
                has(mounts, &json!({"name": "internal"})),
                "{workload}: {spec}"
            );
        }
    }

    let own = [
        ("api", "api"),
        ("repoServer", "repo-server"),
        ("controller", "controller"),
        ("migration", "migrate"),
    ];
    for (values, one) in own {
        let disk = format!("{values}.nodeSelector.disk=slow");
        let flags = [
            "--set-json",
            "pods.nodeSelector={\"disk\": \"fast\"}",
            "--set",
            &disk,
        ];
        let objects = admitted(&plane, &render(&flags).await?).await?;
        for workload in workloads {
            let wanted = if workload == one { "slow" } else { "fast" };
            let spec = &template(&objects, workload)?["spec"];
            assert_eq!(
                spec["nodeSelector"]["disk"], wanted,
                "{workload} with {disk}"
            );
        }
    }
    let label = r"pods.podLabels.app\.kubernetes\.io/component=web";
    let refused = refusal("--set", label).await?;
    let why = "podLabels sets app.kubernetes.io/component, which is set already";
    assert!(refused.contains(why), "{refused}");
    Ok(())
}

#[tokio::test]
async fn every_object_has_the_common_labels_and_none_of_the_charts_is_among_them() -> Result<()> {
    let rendered = render(&["--set", "commonLabels.team=platform"]).await?;
    let labels = |object: &str| object.lines().any(|line| line == "    team: platform");
    let mut objects = rendered
        .split("\n---\n")
        .filter(|one| one.contains("kind:"));
    let bare = objects.find(|object| !labels(object));
    assert_eq!(bare, None, "without the label");
    // The ServiceMonitor finds its Services by them, and Helm its objects.
    for label in ["name", "instance", "component", "version", "managed-by"] {
        let flag = format!(r"commonLabels.app\.kubernetes\.io/{label}=other");
        let refused = refusal("--set", &flag).await?;
        let why = format!("commonLabels sets app.kubernetes.io/{label}, which is set already");
        assert!(refused.contains(&why), "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn an_empty_value_of_a_workload_counts_instead_of_that_of_all() -> Result<()> {
    let plane = platform::control_plane().await?;
    let flags = [
        "--set-json",
        r#"pods={"nodeSelector": {"disk": "fast"}, "priorityClassName": "system-cluster-critical"}"#,
        "--set-json",
        "migration.nodeSelector={}",
        "--set",
        "api.priorityClassName=",
    ];
    let objects = admitted(&plane, &render(&flags).await?).await?;
    for workload in ["api", "repo-server", "controller", "migrate"] {
        let spec = &template(&objects, workload)?["spec"];
        let disk = if workload == "migrate" {
            json!(null)
        } else {
            json!({"disk": "fast"})
        };
        assert_eq!(spec["nodeSelector"], disk, "{workload}");
        let priority = if workload == "api" {
            json!(null)
        } else {
            json!("system-cluster-critical")
        };
        assert_eq!(spec["priorityClassName"], priority, "{workload}");
    }
    // Nothing behind the name, or values of a release that had neither.
    render(&["--set", "pods=null,migration=null"]).await?;
    Ok(())
}
