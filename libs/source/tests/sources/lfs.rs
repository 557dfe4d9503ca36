//! What Git LFS keeps is not in Git, and is said so where a tool would have read it.

use serde_json::json;

use crate::{World, input};

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

#[tokio::test]
async fn a_pointer_is_named_where_a_tool_would_read_it_and_nowhere_else() {
    let world = World::new();
    world.write("app/a.yaml", POINTER).write("app/b.yaml", MAP);
    world
        .write("beside/a.yaml", MAP)
        .write("beside/logo.png", POINTER);
    world.write(
        "chart/Chart.yaml",
        "apiVersion: v2\nname: c\nversion: 0.1.0\n",
    );
    world.write("chart/values.yaml", POINTER);
    world.write("chart/templates/a.yaml", MAP);
    world.commit();
    for (path, file) in [("app", "app/a.yaml"), ("chart", "chart/values.yaml")] {
        let refused = world
            .render(&input(json!({"path": path})))
            .await
            .unwrap_err();
        assert_eq!(refused.cause().message.code, "source.lfs-not-supported");
        assert!(refused.to_string().contains(file), "{refused}");
    }
    let fine = world
        .render(&input(json!({"path": "beside"})))
        .await
        .unwrap();
    assert_eq!(fine.manifests.len(), 1);
}
