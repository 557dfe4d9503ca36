//! Credential templates, whom a tenant trusts, and clusters whose credentials only a controller opens.

use std::sync::Arc;

use domain::certificate::{Entry, KnownHost, Selector, Trust};
use domain::cluster::{Cluster, Login};
use domain::openpgp::PublicKey;
use domain::repository::{Credentials, GithubApp, Options, Repository, Template};
use domain::secret::Secret;
use futures::future::join_all;
use sqlx::Row;
use store::{Code, OpeningKeys, SealedLogin, Ways};

use crate::{World, session};

const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

fn credentials(mark: &str) -> Credentials {
    let secret = |what: &str| Some(Secret::from(format!("{what}-{mark}")));
    Credentials {
        username: format!("user-{mark}"),
        password: secret("password"),
        bearer_token: secret("token"),
        ssh_private_key: secret("ssh"),
        tls_client_cert: format!("cert-{mark}"),
        tls_client_key: secret("key"),
        github_app: GithubApp {
            id: 1,
            installation: 2,
            enterprise_url: "https://ghe/api".into(),
        },
        github_app_key: secret("app"),
        gcp_key: secret("gcp"),
        azure_workload_identity: true,
    }
}

fn options(mark: &str) -> Options {
    Options {
        enable_oci: true,
        insecure_oci_force_http: true,
        force_http_basic_auth: true,
        proxy: Some(Secret::from(format!("http://me:{mark}@proxy"))),
        no_proxy: "localhost".into(),
        depth: 7,
    }
}

fn template(url: &str, mark: &str) -> Template {
    Template {
        url: url.into(),
        kind: "git".into(),
        credentials: credentials(mark),
        options: options(mark),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_way_in_is_kept_and_none_rests_in_clear() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let repository = Repository {
            url: "https://git.example/a.git".into(),
            kind: "helm".into(),
            name: "a".into(),
            project: "web".into(),
            credentials: credentials("CANARY"),
            insecure: true,
            enable_lfs: true,
            options: options("CANARY"),
        };
        scope.repositories().put(&repository).await.unwrap();
        let found = scope
            .repositories()
            .find("https://GIT.example/a", "web")
            .await
            .unwrap();
        assert_eq!(found.as_ref(), Some(&repository));

        let (read, write) = (scope.templates(false), scope.templates(true));
        let kept = template("https://git.example", "CANARY");
        read.put(&kept).await.unwrap();
        assert_eq!(
            write.list().await.unwrap(),
            [],
            "those to push with are others"
        );
        write
            .put(&template("https://git.example", "CANARY-w"))
            .await
            .unwrap();
        assert_eq!(read.list().await.unwrap(), std::slice::from_ref(&kept));
        let ways = Ways {
            connected: Some(repository),
            templates: vec![kept.clone()],
            trust: scope.trust().certificates().await.unwrap(),
        };
        let into = async |url: &str, project: &str| scope.ways_into(url, project).await.unwrap();
        assert_eq!(into("https://GIT.example/a", "web").await, ways);
        for (url, project) in [("https://git.example/a", "db"), ("https://b", "web")] {
            assert_eq!(into(url, project).await.connected, None);
        }
        let other = world.scope("user02").await;
        let theirs = other
            .ways_into("https://git.example/a", "web")
            .await
            .unwrap();
        assert_eq!((theirs.connected, theirs.templates), (None, Vec::new()));
        assert_eq!(read.find("https://GIT.example/").await.unwrap(), Some(kept));
        assert_eq!(
            write.list().await.unwrap()[0].credentials.username,
            "user-CANARY-w"
        );
        read.delete("https://git.example").await.unwrap();
        let gone = read.delete("https://git.example").await.unwrap_err();
        assert_eq!(gone.code(), Code::NotFound);
        assert_eq!(write.list().await.unwrap().len(), 1);
        let empty = read.put(&template("", "x")).await.unwrap_err();
        assert_eq!(empty.code(), Code::Invalid);

        let mut admin = session(&world.database.admin).await;
        for table in ["repositories", "repository_templates"] {
            let rows: Vec<String> =
                sqlx::query_scalar(&format!("SELECT t::text FROM naru.{table} t"))
                    .fetch_all(&mut admin)
                    .await
                    .unwrap();
            assert!(
                !rows.is_empty() && rows.iter().all(|row| !row.contains("CANARY")),
                "{rows:?}"
            );
        }
        // Neither opens in the other's place.
        sqlx::query("UPDATE naru.repository_templates SET write = NOT write")
            .execute(&mut admin)
            .await
            .unwrap();
        assert!(read.list().await.is_err());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_change_of_what_is_trusted_is_lost_to_another() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let other = world.scope("user02").await;
        assert_eq!(
            scope.trust().certificates().await.unwrap(),
            Trust::defaults()
        );
        let scope = Arc::new(scope);
        let all = (0..20).map(|n| {
            let scope = scope.clone();
            async move {
                let key = Entry::Ssh(KnownHost {
                    host: format!("host{n}.example"),
                    kind: "ssh-ed25519".into(),
                    data: KEY.into(),
                });
                let pem = Entry::Https {
                    host: format!("tls{n}.example"),
                    pem: format!("PEM{n}"),
                };
                scope
                    .trust()
                    .change(|trust| trust.add(vec![key, pem], false))
                    .await
                    .unwrap()
                    .unwrap();
            }
        });
        join_all(all).await;
        let trust = scope.trust().certificates().await.unwrap();
        assert_eq!(
            trust.known_hosts.len(),
            Trust::defaults().known_hosts.len() + 20
        );
        assert_eq!(trust.tls.len(), 20);
        let refused = scope.trust().change(|_| Err::<(), _>("no")).await.unwrap();
        assert_eq!(refused, Err("no"));
        // The usual keys stay gone once they were removed.
        let everything = Selector::default();
        scope
            .trust()
            .change(|trust| Ok::<_, ()>(trust.remove(&everything)))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            scope.trust().certificates().await.unwrap(),
            Trust::default()
        );
        assert_eq!(
            other.trust().certificates().await.unwrap(),
            Trust::defaults()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_key_is_kept_once() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let key = |id: &str| PublicKey {
            id: id.into(),
            fingerprint: String::new(),
            owner: String::new(),
            sub_type: String::new(),
            armored: format!("armored {id}"),
        };
        let trust = scope.trust();
        assert_eq!(
            trust
                .add_signing_keys(&[key("A"), key("B")], 3)
                .await
                .unwrap(),
            Vec::<String>::new()
        );
        assert_eq!(
            trust
                .add_signing_keys(&[key("B"), key("C")], 3)
                .await
                .unwrap(),
            ["B"]
        );
        assert_eq!(
            trust
                .add_signing_keys(&[key("D")], 3)
                .await
                .unwrap_err()
                .code(),
            Code::Invalid
        );
        assert_eq!(trust.signing_keys().await.unwrap().len(), 3);
        trust.delete_signing_key("A").await.unwrap();
        assert_eq!(
            trust.delete_signing_key("A").await.unwrap_err().code(),
            Code::NotFound
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clusters_credentials_open_for_a_controller_alone() {
    World::with(async |world| {
        let id = world.tenant("user01").await.id;
        let (api, controller) = (world.api.tenant(id), world.controller.tenant(id));
        let keys = OpeningKeys::from_base64(&OpeningKeys::generate()).unwrap();
        let cluster = Cluster {
            server: "https://k8s.example:6443".into(),
            name: "k8s".into(),
            project: "web".into(),
            labels: [("a".into(), "b".into())].into(),
            annotations: [("c".into(), "d".into())].into(),
            namespaces: vec!["x".into()],
            cluster_resources: true,
            shard: Some(3),
            ..Cluster::default()
        };
        let login = Login {
            username: "u".into(),
            password: Some(Secret::from("CANARY-p")),
            bearer_token: Some(Secret::from("CANARY-t")),
            server_name: "s".into(),
            ca: "ca".into(),
            cert: "cert".into(),
            key: Some(Secret::from("CANARY-k")),
            disable_compression: true,
            proxy_url: Some(Secret::from("CANARY-proxy")),
            insecure: false,
        };
        let absent = api.clusters().put(&cluster, None).await.unwrap_err();
        assert_eq!(absent.code(), Code::NotFound);
        let sealed = api
            .clusters()
            .seal(&keys.sealing(), &cluster.server, &login)
            .unwrap();
        api.clusters().put(&cluster, Some(&sealed)).await.unwrap();
        assert_eq!(
            api.clusters().list().await.unwrap(),
            std::slice::from_ref(&cluster)
        );

        let stored = controller
            .clusters()
            .sealed(&cluster.server)
            .await
            .unwrap()
            .unwrap();
        assert!(
            controller
                .clusters()
                .open(&keys, &cluster.server, &stored)
                .unwrap()
                == login
        );
        assert!(
            controller
                .clusters()
                .open(&keys, "https://other", &stored)
                .is_err()
        );
        let stranger = world.controller.tenant(world.tenant("user02").await.id);
        assert!(
            stranger
                .clusters()
                .open(&keys, &cluster.server, &stored)
                .is_err()
        );
        assert_eq!(stranger.clusters().list().await.unwrap(), []);

        // A controller replaces the credentials that it read, and nothing else.
        let next = controller
            .clusters()
            .seal(&keys.sealing(), &cluster.server, &Login::default())
            .unwrap();
        controller
            .clusters()
            .reseal(&cluster.server, &stored, &next)
            .await
            .unwrap();
        let late = controller
            .clusters()
            .reseal(&cluster.server, &stored, &next)
            .await
            .unwrap_err();
        assert_eq!(late.code(), Code::NotFound);
        assert!(
            controller
                .clusters()
                .put(&cluster, Some(&SealedLogin(vec![])))
                .await
                .is_err()
        );
        let renamed = Cluster {
            name: "renamed".into(),
            ..cluster.clone()
        };
        api.clusters().put(&renamed, None).await.unwrap();
        assert_eq!(
            api.clusters().find(&cluster.server).await.unwrap(),
            Some(renamed)
        );
        assert!(api.clusters().sealed(&cluster.server).await.unwrap() == Some(next));

        let mut admin = session(&world.database.admin).await;
        let row = sqlx::query("SELECT t::text AS row FROM naru.clusters t")
            .fetch_one(&mut admin)
            .await
            .unwrap();
        assert!(!row.try_get::<String, _>("row").unwrap().contains("CANARY"));
        api.clusters().delete(&cluster.server).await.unwrap();
        assert_eq!(api.clusters().find(&cluster.server).await.unwrap(), None);
    })
    .await;
}
