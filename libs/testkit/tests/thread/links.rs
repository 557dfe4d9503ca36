//! Links that a tenant's settings add: of applications, of objects and of projects; what cannot be read is refused, and
//! nothing secret is in any.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::client::Client;
use testkit::wait;

use crate::objects::{CANARY, deployed};
use crate::{PATIENCE, set, with_key};

const OF_APPLICATIONS: &str = "\
- title: Logs
  url: https://logs.example/{{ .cluster.name }}?app={{ .app.metadata.name | urlquery }}&project={{ .application.spec.project }}
  description: what it writes
  icon.class: fa-book
- title: Elsewhere
  url: https://elsewhere.example/
  if: app.spec.project == \"elsewhere\"
- title: Not for it
  url: https://elsewhere.example/{{ .app.metadata.name.first }}
- title: No address
  url: 'javascript:{{ .app.metadata.name }}'
";
const OF_OBJECTS: &str = "\
- title: Kind
  url: https://kinds.example/{{ .resource.kind }}/{{ .resource.metadata.name }}?{{ .project.metadata.name }}
- title: Data
  url: https://data.example/{{ .resource.data | toJson | urlquery }}
  if: resource.kind in [\"ConfigMap\", \"Secret\"]
";
const OF_PROJECTS: &str = "\
- title: Team
  url: https://teams.example/{{ .project.metadata.name }}
  if: project.metadata.name startsWith \"def\"
";

async fn links(client: &Client, path: &str) -> Result<Vec<Value>> {
    let answer = client.get(path).await?.ok()?;
    Ok(answer["items"].as_array().cloned().unwrap_or_default())
}

#[tokio::test]
async fn links_are_what_the_settings_say_and_hold_nothing_secret() -> Result<()> {
    let tenant = deployed("links").await?;
    let (client, ns) = (&tenant.client, tenant.name.as_str());
    let of_app = "/api/v1/applications/a/links";
    let of_project = "/api/v1/projects/default/links";
    let of_object = |group: &str, kind: &str, name: &str| {
        format!(
            "/api/v1/applications/a/resource/links?namespace={ns}&version=v1&group={group}&kind={kind}&resourceName={name}"
        )
    };
    assert!(links(client, of_app).await?.is_empty());
    for (key, value) in [
        ("resource.links", OF_OBJECTS),
        ("project.links", OF_PROJECTS),
        ("application.links", OF_APPLICATIONS),
    ] {
        set(&tenant, "argocd-cm", key, value).await?;
    }
    let shown = wait::until("the links are known", PATIENCE, || async {
        let shown = links(client, of_app).await?;
        ensure!(!shown.is_empty(), "none yet");
        Ok(shown)
    })
    .await?;
    let logs = json!({"title": "Logs", "description": "what it writes", "iconClass": "fa-book",
        "url": "https://logs.example/in-cluster?app=a&project=default"});
    assert_eq!(shown, [logs]);

    let shown = links(client, of_project).await?;
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!(shown[0]["url"], "https://teams.example/default");

    let shown = links(client, &of_object("apps", "Deployment", "web")).await?;
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!(
        shown[0]["url"],
        "https://kinds.example/Deployment/web?default"
    );
    let shown = links(client, &of_object("", "ConfigMap", "a")).await?;
    assert_eq!(
        shown[1]["url"],
        "https://data.example/%7B%22value%22%3A%221%22%7D"
    );
    // A Secret's values are hidden from the template itself.
    let shown = links(client, &of_object("", "Secret", "s")).await?;
    let data = shown[1]["url"].as_str().context("no address")?;
    assert!(data.contains("password"), "{data}");
    let bare = CANARY.trim_end_matches('=');
    assert!(!data.contains(bare), "{data}");
    // The application is one of its own objects to clients; what it does not have is none.
    let shown = links(client, &of_object("argoproj.io", "Application", "a")).await?;
    assert_eq!(shown.len(), 1, "{shown:?}");
    let missing = client.get(&of_object("", "ConfigMap", "nowhere")).await?;
    assert_eq!(missing.status, 400, "{}", missing.body);

    // Whoever may not see it hears nothing of its links.
    let stranger = with_key(&tenant, "stranger").await?;
    for path in [of_app, &of_object("", "ConfigMap", "a")] {
        assert_eq!(stranger.get(path).await?.status, 403, "{path}");
    }
    let refused = stranger.get(of_project).await?;
    assert!(refused.status >= 400, "{}", refused.body);
    Ok(())
}

#[tokio::test]
async fn a_link_that_cannot_be_read_is_refused_by_its_word() -> Result<()> {
    let tenant = testkit::platform::tenant("links-refused").await?;
    for (value, word) in [
        (
            "- title: a\n  url: https://a.example/{{ env \"HOME\" }}",
            "`env`",
        ),
        (
            "- title: a\n  url: https://a.example/\n  if: all(app, b)",
            "`all`",
        ),
        ("- title: a", "`url`"),
        ("a: b", "YAML list"),
    ] {
        let change = json!({"object": "argocd-cm", "key": "application.links", "value": value});
        let body = json!({"changes": [change]});
        let refused = tenant.client.patch("/api/naru/v1/settings", &body).await?;
        assert_eq!(refused.status, 400, "{}", refused.body);
        assert!(refused.body.to_string().contains(word), "{}", refused.body);
    }
    Ok(())
}
