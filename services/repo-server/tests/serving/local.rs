//! Folders that are sent along: rendered like a commit, and neither they nor their failures are remembered.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use proto::naru::internal::v1::{RenderLocalRequest, RenderRequest, RenderResponse};
use testkit::command::{command, output};
use tonic::{Code, Status};

use crate::{SERVICE, World, code};

impl World {
    /// The working copy as it is, packed.
    async fn packed(&self) -> Vec<u8> {
        let file = self.folder.path().join("sent.tgz");
        let mut tar = command("tar");
        tar.arg("-czf").arg(&file).arg("-C");
        tar.arg(self.checkout.dir()).arg("--exclude=.git").arg(".");
        output(&mut tar).await.unwrap();
        std::fs::read(file).unwrap()
    }

    async fn sent(
        &self,
        component: &str,
        source: RenderRequest,
        archive: &[u8],
    ) -> Result<RenderResponse, Status> {
        let mut parts = vec![RenderLocalRequest {
            source: Some(source),
            chunk: Vec::new(),
        }];
        parts.extend(archive.chunks(1 << 20).map(|chunk| RenderLocalRequest {
            source: None,
            chunk: chunk.to_vec(),
        }));
        let mut client = self.client(component);
        let answer = client.render_local(futures::stream::iter(parts)).await?;
        Ok(answer.into_inner())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_sent_is_rendered_like_a_commit_and_never_remembered() {
    let world = World::new().await;
    let nothing = RenderResponse::default();
    world.push("app/service.yaml", SERVICE).await;
    let source = world.request("app").await.unwrap();
    let archive = world.packed().await;
    let first = world.sent("api", source.clone(), &archive).await.unwrap();
    let committed = world.render("app", &nothing).await.unwrap();
    assert_eq!(
        committed.cache, "first",
        "what was sent answers for no commit"
    );
    let again = world.sent("api", source.clone(), &archive).await.unwrap();
    for sent in [&first, &again] {
        assert_eq!(sent.cache, "local");
        assert_eq!(sent.manifests, committed.manifests);
        assert_eq!(sent.detail, committed.detail);
        assert_eq!(sent.causes, committed.causes);
    }

    let edited = SERVICE.replace("name: web", "name: edited");
    world.checkout.write("app/service.yaml", edited).unwrap();
    let edited = world.packed().await;
    let sent = world.sent("api", source.clone(), &edited).await.unwrap();
    assert_ne!(sent.hash, committed.hash);
    let kept = world.render("app", &nothing).await.unwrap();
    assert_eq!((kept.hash, kept.cache.as_str()), (committed.hash, "hit"));

    let refused = world.sent("controller", source.clone(), &archive).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let once = RenderRequest {
        renders_per_minute: 1,
        ..source
    };
    world.sent("api", once.clone(), &archive).await.unwrap();
    let refused = world.sent("api", once, &archive).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s02_what_is_no_folder_is_refused_each_time_anew() {
    let world = World::new().await;
    world.push("app/service.yaml", SERVICE).await;
    let source = world.request("app").await.unwrap();
    for _ in 0..5 {
        let refused = world
            .sent("api", source.clone(), b"kind: ConfigMap\n")
            .await;
        let refused = refused.unwrap_err();
        assert_eq!(code(&refused), "source.local-refused", "{refused}");
        let details = String::from_utf8_lossy(refused.details()).into_owned();
        assert!(!details.contains("source.held-back"), "{details}");
    }
    let large = vec![7; 33 << 20];
    let refused = world.sent("api", source.clone(), &large).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert_eq!(code(&refused), "source.local-too-large");

    // Without what to render at all.
    let mut client = world.client("api");
    let nothing = RenderLocalRequest::default();
    let refused = client.render_local(futures::stream::iter([nothing])).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);

    let archive = world.packed().await;
    let sent = world.sent("api", source, &archive).await.unwrap();
    assert_eq!(sent.manifests.len(), 1, "the next one is served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_there_is_no_place_for_is_refused_at_once_and_not_left_unread() {
    let world = World::new().await;
    world.push("app/service.yaml", SERVICE).await;
    let source = world.request("app").await.unwrap();
    let archive = world.packed().await;
    // What is announced, and does not come; who finds no place tries again, so that both have one in the end.
    let silent = async || {
        loop {
            let first = RenderLocalRequest {
                source: Some(source.clone()),
                chunk: Vec::new(),
            };
            let parts = stream::iter([first]).chain(stream::pending());
            let ended = world.client("api").render_local(parts).await;
            match ended {
                Err(refused) if code(&refused) == "source.local-busy" => {}
                ended => return ended.map(drop),
            }
        }
    };
    let ends_as = async |expected: &str| {
        testkit::wait::until_true(expected, Duration::from_secs(30), || async {
            let sent = world.sent("api", source.clone(), &archive).await;
            Ok(sent.map_or_else(|refused| code(&refused), |_| String::new()) == expected)
        })
        .await
        .unwrap();
    };
    tokio::select! {
        ended = async { tokio::join!(silent(), silent()) } => panic!("{ended:?}"),
        () = ends_as("source.local-busy") => {}
    }
    // They were given up.
    ends_as("").await;
}
