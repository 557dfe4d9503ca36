//! Projects: versions, expected versions, and whose they are.

use domain::project::Project;
use serde_json::{Value, json};
use store::Code;

use crate::World;

fn project(name: &str, spec: Value) -> Project {
    Project {
        metadata: json!({"name": name, "uid": format!("uid-{name}"), "labels": {"a": "b"}}),
        spec,
        resource_version: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_written_over_only_at_the_version_that_was_read() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let projects = scope.projects();
        let spec = json!({"roles": [{"name": "ci", "unknown": 1}]});
        let made = projects
            .create(&project("team", spec.clone()))
            .await
            .unwrap();
        assert_eq!(
            (&made.spec, &made.metadata["generation"]),
            (&spec, &json!(1))
        );
        let twice = projects.create(&project("team", json!({}))).await;
        assert_eq!(twice.unwrap_err().code(), Code::AlreadyExists);

        let mut wanted = made.clone();
        wanted.spec["roles"][0]["jwtTokens"] = json!([{"iat": 1, "id": "a"}]);
        let first = projects
            .replace(&wanted, Some(made.resource_version))
            .await
            .unwrap();
        assert!(first.resource_version > made.resource_version);
        assert_eq!(first.metadata["generation"], 2);
        assert_eq!(first.metadata["uid"], made.metadata["uid"]);
        let late = projects.replace(&wanted, Some(made.resource_version)).await;
        assert_eq!(late.unwrap_err().code(), Code::Conflict);
        let same = projects.replace(&first, None).await.unwrap();
        assert_eq!(same.metadata["generation"], 2, "only the spec moves it");

        let other = world.scope("user02").await;
        assert!(other.projects().find("team").await.unwrap().is_none());
        let theirs = other.projects().replace(&wanted, None).await;
        assert_eq!(theirs.unwrap_err().code(), Code::NotFound);
        let gone = other.projects().delete("team").await;
        assert_eq!(gone.unwrap_err().code(), Code::NotFound);
        projects.delete("team").await.unwrap();
        assert!(projects.find("team").await.unwrap().is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_writers_at_one_version_one_wins() {
    World::with(async |world| {
        let scope = world.scope("user01").await;
        let made = scope
            .projects()
            .create(&project("team", json!({})))
            .await
            .unwrap();
        let write = async |number: i32| {
            let mut wanted = made.clone();
            wanted.spec = json!({"description": number.to_string()});
            scope
                .projects()
                .replace(&wanted, Some(made.resource_version))
                .await
        };
        let outcomes = tokio::join!(write(1), write(2), write(3), write(4));
        let won = [outcomes.0, outcomes.1, outcomes.2, outcomes.3];
        assert_eq!(won.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    })
    .await;
}
