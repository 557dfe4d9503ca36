//! Files of web servers: values of a chart, and resources of a kustomization.

use domain::repository::Credentials;
use domain::secret::Secret;
use serde_json::json;
use source::git::{Access, Login, Rules};
use testkit::charts::{Reply, Site, login};

use crate::{World, input};

fn access(url: &str, login: Login) -> Access {
    Access::new("tenant", "web", url, login, Rules::default()).unwrap()
}

fn value<'a>(rendered: &'a source::render::Rendered, at: &str) -> Option<&'a str> {
    rendered.manifests.first()?.object.pointer(at)?.as_str()
}

fn file(text: &str) -> Reply {
    Reply::File(text.as_bytes().to_vec())
}

#[tokio::test]
async fn values_of_a_web_server_are_fetched_with_their_login_and_looked_at_again() {
    let world = World::new();
    world
        .write("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n")
        .write(
            "web/templates/a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  who: {{ .Values.who | quote }}\n  motd: {{ .Values.motd | quote }}\n",
        );
    world.commit();
    let site = Site::start(Some(login())).await.unwrap();
    site.put("/team/values.yaml", file("who: ${USER_IDENTITY}\n"));
    site.put("/motd", file("hello there"));
    let (values, motd) = (
        format!("{}/team/values.yaml", site.url),
        format!("{}/motd", site.url),
    );
    let helm = json!({"valueFiles": [values], "fileParameters": [{"name": "motd", "path": motd}]});
    let mut input = input(json!({"path": "web", "helm": helm}));
    let asks = world.render(&input).await.unwrap_err();
    assert_eq!(asks.wanted(), [values.clone(), motd.clone()]);

    let login = login();
    let login = Login {
        credentials: Credentials {
            username: login.user,
            password: Some(Secret::from(login.password)),
            ..Credentials::default()
        },
        ..Login::default()
    };
    input.remotes = vec![
        access(&values, Login::default()),
        access(&motd, login.clone()),
    ];
    let refused = world.render(&input).await.unwrap_err();
    assert_eq!(refused.cause().message.code, "source.web-file");
    assert!(refused.to_string().contains(&values), "{refused}");
    input.remotes[0] = access(&values, login);
    let first = world.render(&input).await.unwrap();
    assert_eq!(value(&first, "/data/who"), Some("user01"));
    assert_eq!(value(&first, "/data/motd"), Some("hello there"));
    assert_eq!(first.read_set.remotes(), [motd, values]);

    assert!(world.holds(&first, &input).await);
    let mut without = input.clone();
    without.remotes.pop();
    assert!(!world.holds(&first, &without).await, "no way to it");
    input.now += 181;
    assert!(!world.holds(&first, &input).await, "it may be another one");
    site.put("/team/values.yaml", file("who: [\n"));
    let broken = world.render(&input).await.unwrap_err();
    assert!(
        format!("{broken:?}").contains("/team/values.yaml"),
        "{broken:?}"
    );
}

#[tokio::test]
async fn s13_a_kustomization_takes_files_of_web_servers_and_of_nothing_else() {
    let world = World::new();
    let site = Site::start(None).await.unwrap();
    let config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    site.put("/a.yaml", file(config_map));
    let url = format!("{}/a.yaml", site.url);
    let text = json!({"resources": ["base"], "namePrefix": "my-"}).to_string();
    world.write("app/kustomization.yaml", &text);
    // Named in a folder below, which is a root of its own.
    let text = json!({"resources": [url], "nameSuffix": "-x"}).to_string();
    world.write("app/base/kustomization.yaml", &text);
    world.commit();
    let mut input = input(json!({"path": "app"}));
    let asks = world.render(&input).await.unwrap_err();
    assert_eq!(asks.wanted(), std::slice::from_ref(&url));
    input.remotes = vec![access(&url, Login::default())];
    let built = world.render(&input).await.unwrap();
    assert_eq!(value(&built, "/metadata/name"), Some("my-a-x"));
    assert_eq!(built.manifests[0].location.as_ref().unwrap().path, url);

    for (reply, code) in [
        (
            Reply::Redirect("http://169.254.169.254/latest/meta-data.yaml".into()),
            "source.address-not-allowed",
        ),
        (
            Reply::Redirect("file:///etc/passwd".into()),
            "source.web-file",
        ),
        (Reply::File(vec![b'#'; (16 << 20) + 1]), "source.too-large"),
        (file("<html><body>sign in"), "source.kustomize-failed"),
        (file("${HOME}: ["), "source.kustomize-failed"),
    ] {
        site.put("/a.yaml", reply);
        let refused = world.render(&input).await.unwrap_err();
        assert_eq!(refused.cause().message.code, code, "{refused:?}");
        assert!(!format!("{refused:?}").contains("+web-"), "{refused:?}");
    }
}
