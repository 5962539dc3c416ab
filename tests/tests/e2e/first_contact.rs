//! Two people who are never there at the same time.

use claudemesh_tests::e2e::{Scene, link};

#[test]
fn first_contact_needs_nobody_else_online() {
    let scene = Scene::new();
    let broker = scene.broker();
    let alice = scene.person("alice");
    let up = alice.ok(&["up", "--name", "alice", "--broker", &broker.url()]);
    assert!(up["recovery_key"].is_string(), "{up}");
    assert_eq!(up["member"]["name"], "alice");
    let link = link(&alice);
    assert_eq!(alice.ok(&["down"])["stopped"], true);
    assert_eq!(alice.daemons(), 0);

    let bob = scene.person("bob");
    let joined = bob.ok(&["join", &link, "--name", "bob"]);
    assert_eq!(joined["member"]["name"], "bob");
    assert_eq!(joined["mesh"]["id"], up["mesh"]["id"]);
    let sent = bob.ok(&["send", "alice", "hello from bob", "--wait", "accepted"]);
    assert_eq!(sent["state"], "accepted");
    bob.ok(&["down"]);

    // Any verb starts her daemon again, and what waited belongs to the answer.
    let received = alice.receive(1);
    assert_eq!(received[0]["body"], "hello from bob");
    assert_eq!(received[0]["id"], sent["id"]);
    assert_eq!(received[0]["from"]["name"], "bob");
    assert!(alice.ok(&["inbox", "--unread"])["messages"].as_array().unwrap().is_empty());
    let again = alice.ok(&["up"]);
    assert!(again.get("recovery_key").is_none(), "{again}");

    let id = sent["id"].as_str().unwrap();
    alice.send("bob", "hello back", &["--reply-to", id]);
    let answer = bob.receive(1);
    assert_eq!(answer[0]["body"], "hello back");
    assert_eq!(answer[0]["reply_to"], id);
    assert_eq!(alice.bodies(), ["hello from bob"]);
    bob.reaches(id, "read");
}

#[test]
fn an_embedded_broker_serves_both_and_comes_back_after_a_kill() {
    let scene = Scene::new();
    let alice = scene.person("alice");
    let up = alice.ok(&["up", "--name", "alice", "--listen", "127.0.0.1:0"]);
    let bob = scene.person("bob");
    bob.ok(&["join", up["link"].as_str().unwrap(), "--name", "bob"]);
    alice.knows("bob");
    assert_eq!(alice.kill(), 1);
    // Her daemon and the broker are gone: what bob writes is safe with him.
    let id = bob.send("alice", "while you were out", &["--wait", "queued"]);
    let again = alice.ok(&["up"]);
    assert_eq!(again["broker"], up["broker"]);
    assert_eq!(alice.receive(1)[0]["body"], "while you were out");
    bob.reaches(&id, "read");
    assert_eq!(alice.send("bob", "back", &["--wait", "delivered"]), bob.receive(1)[0]["id"]);
}
