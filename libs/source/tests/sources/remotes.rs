//! Folders of other repositories that a kustomization takes by their addresses.

use std::net::SocketAddr;
use std::time::Duration;

use crowd::fair::Fair;
use crowd::seats::Seats;
use serde_json::json;
use source::git::{Access, Login, Rules};
use source::render::RenderInput;
use testkit::unruly::{Mood, Unruly};

use crate::references::Other;
use crate::{World, input};

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
}

fn names(rendered: &source::render::Rendered) -> Vec<String> {
    let objects = rendered.manifests.iter();
    objects
        .map(|one| {
            one.object["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

/// A world whose `app` takes these entries, and what is asked of it.
fn world(entries: &[String]) -> (World, RenderInput) {
    let world = World::new();
    let text = json!({"resources": entries, "namePrefix": "my-"}).to_string();
    world.write("app/kustomization.yaml", &text);
    world.commit();
    let mut input = input(json!({"path": "app"}));
    input.fresh = true;
    (world, input)
}

#[tokio::test]
async fn a_folder_of_another_repository_is_built_once_there_is_a_way_into_it() {
    let (world, mut input) = world(&[]);
    let (other, third) = (Other::new(&world, "other"), Other::new(&world, "third"));
    third
        .write("k/kustomization.yaml", "resources: [c.yaml]\n")
        .write("k/c.yaml", &config_map("third"));
    let third_access = third.commit("third").access;
    let nested = format!("{}//k?ref=main", third.url());
    other
        .write(
            "base/kustomization.yaml",
            &json!({"resources": ["a.yaml", "../shared", nested]}).to_string(),
        )
        .write("base/a.yaml", &config_map("other"))
        .write("shared/kustomization.yaml", "resources: [s.yaml]\n")
        .write("shared/s.yaml", &config_map("shared"));
    let access = other.commit("other").access;
    let entry = format!("{}//base?ref=main", other.url());
    let text = json!({"resources": [entry], "namePrefix": "my-"}).to_string();
    world.write("app/kustomization.yaml", &text);
    world.commit();

    let asks = world.render(&input).await.unwrap_err();
    assert_eq!(asks.wanted(), [other.url()]);
    assert_eq!(asks.cause().message.code, "source.kustomize-remote");
    input.remotes.push(access);
    let asks = world.render(&input).await.unwrap_err();
    assert_eq!(asks.wanted(), [third.url()]);
    input.remotes.push(third_access);
    let first = world.render(&input).await.unwrap();
    assert_eq!(names(&first), ["my-other", "my-shared", "my-third"]);
    let mut remotes = first.read_set.remotes();
    remotes.sort();
    assert_eq!(remotes, [other.url(), third.url()]);
    let at = first.manifests[0].location.clone().unwrap();
    assert_eq!(at.path, format!("{}//base/a.yaml", other.url()));

    other.write("README.md", "x").commit("other");
    assert!(world.holds(&first, &input).await, "nothing that was read");
    third
        .write("k/c.yaml", &config_map("moved"))
        .commit("third");
    assert!(!world.holds(&first, &input).await, "the branch moved");
    let second = world.render(&input).await.unwrap();
    assert_eq!(names(&second), ["my-moved", "my-other", "my-shared"]);
    input.remotes.pop();
    assert!(!world.holds(&second, &input).await, "no way into it");
}

#[tokio::test]
async fn what_leads_nowhere_or_out_of_another_repository_is_named() {
    let (world, _) = world(&[]);
    let other = Other::new(&world, "other");
    other
        .write("out/kustomization.yaml", "resources: [../../secret]\n")
        .write(
            "across/kustomization.yaml",
            "resources: [../../../repository/app]\n",
        )
        .write(
            "again/kustomization.yaml",
            "resources: [../../../+tree/1/out]\n",
        )
        .write("linked/kustomization.yaml", "resources: [l.yaml]\n")
        .write("a.yaml", &config_map("a"));
    std::os::unix::fs::symlink("/etc/passwd", other.path().join("linked/l.yaml")).unwrap();
    let access = other.commit("other").access;
    let url = other.url();
    for (entry, code) in [
        (format!("{url}//out"), "source.path-outside"),
        (format!("{url}//across"), "source.path-outside"),
        (format!("{url}//again"), "source.path-outside"),
        (format!("{url}//linked"), "source.path-outside"),
        (format!("{url}//none"), "source.kustomize-failed"),
        (format!("{url}//a.yaml"), "source.kustomize-failed"),
        (format!("{url}//out?ref=gone"), "source.revision-not-found"),
        (format!("{url}//../x"), "source.kustomize-remote"),
        ("../../+tree/1/out".to_owned(), "source.path-outside"),
        ("https://h.example".to_owned(), "source.kustomize-remote"),
        (
            "https://me:s3cret@h.example/a/b".to_owned(),
            "source.kustomize-remote",
        ),
        ("https://0x7f.1/a/b".to_owned(), "source.address-refused"),
        (
            "ssh://-oProxyCommand=x/a/b".to_owned(),
            "source.address-refused",
        ),
        ("ftp://h.example/a/b".to_owned(), "source.kustomize-remote"),
    ] {
        let text = json!({"resources": [entry]}).to_string();
        world.write("app/kustomization.yaml", &text);
        world.commit();
        let mut input = input(json!({"path": "app"}));
        input.remotes.push(access.clone());
        let error = world.render(&input).await.unwrap_err();
        assert_eq!(
            error.cause().message.code,
            code,
            "{entry}: {:?}",
            error.cause()
        );
        assert!(error.wanted().is_empty(), "{entry}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
    // Only folders are taken so.
    let text = json!({"configMapGenerator": [{"name": "a", "files": [format!("{url}//a.yaml")]}]});
    world.write("app/kustomization.yaml", &text.to_string());
    world.commit();
    let mut input = input(json!({"path": "app"}));
    input.remotes.push(access);
    let error = world.render(&input).await.unwrap_err();
    assert_eq!(error.cause().message.code, "source.kustomize-remote");
}

#[tokio::test]
async fn a_component_of_another_repository_is_applied_and_a_circle_ends() {
    let (world, mut input) = world(&[]);
    let other = Other::new(&world, "other");
    let itself = format!("{}//circle", other.url());
    other
        .write(
            "c/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -seen\n",
        )
        .write(
            "circle/kustomization.yaml",
            &json!({"resources": [itself]}).to_string(),
        );
    input.remotes.push(other.commit("other").access);
    let text = json!({"resources": ["a.yaml"], "components": [format!("{}//c", other.url())]});
    world
        .write("app/kustomization.yaml", &text.to_string())
        .write("app/a.yaml", &config_map("a"));
    world.commit();
    assert_eq!(names(&world.render(&input).await.unwrap()), ["a-seen"]);
    let text = json!({"resources": [itself]}).to_string();
    world.write("app/kustomization.yaml", &text);
    world.commit();
    let error = world.render(&input).await.unwrap_err();
    assert_eq!(error.cause().message.code, "source.kustomize-failed");
}

/// What waits for a server computes nothing, and whoever asks and goes, again and again, has no more threads wait than there are seats.
#[tokio::test(flavor = "multi_thread")]
async fn the_turn_of_a_render_that_waits_is_others_and_its_seat_is_its_threads() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], testkit::ports::free().unwrap()));
    let silent = Unruly::start(nobody).await.unwrap();
    silent.set(Mood::Silent);
    let url = format!("http://{}/team/base.git", silent.address);
    let (world, mut input) = world(&[format!("{url}//base?ref={}", "a".repeat(40))]);
    let (login, rules) = (Login::default(), Rules::default());
    let way = Access::new("tenant", "none", &url, login, rules);
    input.remotes.push(way.unwrap());
    let (places, turns) = (Fair::new(1), Fair::new(1));
    let seats = Seats::new(places.clone(), turns.clone());
    let renderer = world.renderer.seated(seats.seat("tenant").await);
    assert!(turns.turn_now("other").is_none());
    let (access, commit) = (world.access(), world.git(&["rev-parse", "HEAD"]));
    let others = async {
        let reached = || async { Ok(silent.came() > 0) };
        let asked =
            testkit::wait::until_true("the silent server", Duration::from_secs(30), reached);
        asked.await.unwrap();
        let turn = tokio::time::timeout(Duration::from_secs(30), turns.turn("other"));
        turn.await.expect("it waits, and its turn is another's")
    };
    let turn = tokio::select! {
        ended = renderer.render(&access, &commit, &input) => panic!("it waits for nothing: {ended:?}"),
        turn = others => turn,
    };
    // Nobody waits for it any more.
    drop(renderer);
    assert!(places.turn_now("other").is_none(), "its thread lives");
    // Its connections end, and the thread has its answer.
    silent.set(Mood::Straight);
    drop(turn);
    let ended = tokio::time::timeout(Duration::from_secs(30), places.turn("other"));
    let _place = ended.await.expect("it ends with its thread");
    assert!(turns.turn_now("other").is_some(), "and so does its turn");
}
