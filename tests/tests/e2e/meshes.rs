//! Several meshes in one home, and how they end.

use claudemesh_tests::e2e::{Scene, link, until};

#[test]
fn several_meshes_live_in_one_home() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let work = alice.ok(&["up", "--mesh", "work", "--name", "alice", "--broker", &broker.url()]);
    assert!(work["recovery_key"].is_string(), "{work}");
    let error = alice.fails(&["send", "bob", "which mesh?"], 3, "ambiguous");
    assert!(error["error"]["hint"].as_str().unwrap().contains("mesh use"), "{error}");
    alice.ok(&["send", "bob", "in main", "--mesh", "main", "--wait", "delivered"]);
    let invite = alice.ok(&["invite", "--mesh", "work"]);
    bob.ok(&["join", invite["link"].as_str().unwrap(), "--name", "bob"]);
    let labels: Vec<String> = bob.ok(&["mesh", "list"])["meshes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mesh| mesh["label"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(labels, ["main", "work"]);
    bob.ok(&["mesh", "use", "work"]);
    bob.send("alice", "in work", &["--wait", "delivered"]);
    let _ = bob.kill();
    assert_eq!(bob.ok(&["whoami"])["mesh"]["label"], "work", "the choice is kept");
    let inbox = |mesh: &str| alice.ok(&["inbox", "--mesh", mesh, "--peek"]);
    assert_eq!(inbox("work")["messages"][0]["body"], "in work");
    assert!(inbox("main")["messages"].as_array().unwrap().is_empty());
    assert_eq!(bob.ok(&["inbox", "--mesh", "main"])["messages"][0]["body"], "in main");
    bob.fails(&["mesh", "use", "nowhere"], 3, "not_found");
}

#[test]
fn a_mesh_can_be_renamed_and_left() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    assert_eq!(alice.ok(&["mesh", "rename", "main", "team"])["label"], "team");
    let carol = scene.person("carol");
    assert_eq!(carol.ok(&["join", &link(&alice), "--name", "carol"])["mesh"]["label"], "team");
    alice.fails(&["mesh", "leave", "team", "--yes"], 4, "refused");
    bob.fails(&["mesh", "leave", "main"], 2, "usage");
    assert_eq!(bob.ok(&["mesh", "leave", "main", "--yes"])["state"], "left");
    until("alice sees bob leave", || {
        let members = alice.ok(&["member", "list"]);
        members["members"].as_array()?.iter().any(|m| m["name"] == "bob" && m["live"] == false).then_some(())
    });
    bob.fails(&["send", "alice", "still here?"], 4, "refused");
    bob.fails(&["send", "alice", "still here?", "--mesh", "main"], 4, "refused");
    alice.fails(&["send", "bob", "still there?"], 3, "not_found");
}

#[test]
fn a_mesh_that_was_deleted_is_closed_for_everyone() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let link = link(&alice);
    bob.fails(&["mesh", "delete", "main", "--yes"], 4, "refused");
    assert_eq!(alice.ok(&["mesh", "delete", "main", "--yes"])["state"], "closed");
    until("bob knows", || (bob.ok(&["mesh", "list"])["meshes"][0]["state"] == "closed").then_some(()));
    bob.fails(&["send", "alice", "hello?", "--mesh", "main"], 4, "refused");
    scene.person("carol").fails(&["join", &link, "--name", "carol"], 4, "refused");
    // The label is free for a new one.
    let fresh = alice.ok(&["up", "--mesh", "next", "--name", "alice", "--broker", &broker.url()]);
    assert_eq!(fresh["mesh"]["label"], "next");
}
