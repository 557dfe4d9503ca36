//! What a person sees of a push in a collector of traces.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use testkit::platform::{self, Platform};
use testkit::progress::Progress;
use testkit::wait;

use crate::collector::{Collector, Span};
use crate::{PATIENCE, config_map};

/// What a push to a traced platform leads to, in which service.
const ROAD: &[(&str, &str)] = &[
    ("naru-controller", "list_refs"),
    ("naru-repo-server", "git.list_refs"),
    ("naru-controller", "reconcile"),
    ("naru-controller", "render"),
    ("naru-repo-server", "git.fetch"),
    ("naru-repo-server", "source.render"),
    ("naru-controller", "compare"),
    ("naru-controller", "sync"),
    ("naru-controller", "apply"),
    ("naru-controller", "apply.object"),
    ("naru-controller", "publish"),
];
/// No attribute is longer.
const LONGEST: usize = 520;

#[tokio::test]
async fn one_trace_leads_from_the_push_to_the_applied_object() -> Result<()> {
    let (collector, endpoint) = Collector::start().await?;
    let dir = testkit::paths::test_platform()?.with_extension("traced");
    let platform = Platform::start_traced(&dir, Progress::silent(), Some(endpoint)).await?;
    let tenant = platform.tenant("traced").await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("traced", "before"))
        .await?;
    tenant.connect().await?;
    tenant.turn_webhook_on()?;
    tenant
        .create_app("app", "app", &platform::automated())
        .await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    let commit = tenant
        .checkout
        .push_file("app/a.yaml", config_map("traced", "after"))
        .await?;
    tenant
        .client
        .app_done("app", Some(&commit), PATIENCE)
        .await?;

    // Traces are sent every few seconds.
    let trace = wait::until("the whole trace has come", PATIENCE, || async {
        let spans = collector.spans();
        // The push that moved the application is the one whose trace has an applied object.
        let webhooks = spans
            .iter()
            .filter(|span| span.service == "naru-api" && span.name == "webhook");
        let mut best = Vec::new();
        for webhook in webhooks {
            let of_trace: Vec<Span> = spans
                .iter()
                .filter(|span| span.trace == webhook.trace)
                .cloned()
                .collect();
            if of_trace.len() > best.len() {
                best = of_trace;
            }
        }
        for (service, name) in ROAD {
            ensure!(
                find(&best, service, name).is_some(),
                "no {name} of {service} in {:?}",
                best.iter()
                    .map(|span| format!("{}:{}", span.service, span.name))
                    .collect::<Vec<_>>()
            );
        }
        Ok(best)
    })
    .await?;

    let parents: HashMap<&[u8], &[u8]> = trace
        .iter()
        .map(|span| (span.id.as_slice(), span.parent.as_slice()))
        .collect();
    let webhook = find(&trace, "naru-api", "webhook").context("the webhook")?;
    for (service, name) in ROAD {
        let span = find(&trace, service, name).context("seen above")?;
        let mut at = span.id.as_slice();
        let mut steps = 0;
        while at != webhook.id {
            at = parents
                .get(at)
                .with_context(|| format!("{name} of {service} hangs from no span of the trace"))?;
            steps += 1;
            ensure!(steps < 64, "{name} of {service} hangs from itself");
        }
    }
    let object = find(&trace, "naru-controller", "apply.object").context("seen above")?;
    assert_eq!(object.attribute("kind"), Some("ConfigMap"));
    assert_eq!(object.attribute("name"), Some("traced"));
    assert_eq!(webhook.attribute("tenant"), Some(tenant.name.as_str()));

    let secrets = [
        tenant.webhook_secret.as_str(),
        tenant.password.as_str(),
        tenant.git_login.password.as_str(),
        tenant.client.token(),
    ];
    for span in collector.spans() {
        for (key, value) in &span.attributes {
            assert!(value.len() <= LONGEST, "{}: {key} is too long", span.name);
            for secret in secrets {
                assert!(
                    !value.contains(secret),
                    "{}: {key} shows a secret",
                    span.name
                );
            }
        }
    }
    platform.stop().await
}

fn find<'a>(spans: &'a [Span], service: &str, name: &str) -> Option<&'a Span> {
    spans
        .iter()
        .find(|span| span.service == service && span.name == name)
}
