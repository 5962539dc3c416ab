//! Links that do not open a mesh, or no longer.

use claudemesh_tests::e2e::{Scene, link, text_of, until};

#[test]
fn what_is_no_link_is_refused() {
    let scene = Scene::new();
    let broker = scene.broker();
    let alice = scene.founder("alice", &broker);
    let good = link(&alice);
    let bob = scene.person("bob");
    let cut = &good[..good.len() - 12];
    let altered = format!("{cut}AAAAAAAAAAAA");
    for (wrong, exit, code) in
        [("nonsense", 2, "usage"), ("https://example.org/", 2, "usage"), (cut, 2, "usage"), (&altered, 4, "refused")]
    {
        let ran = bob.run(&["join", wrong, "--name", "bob", "--json"]);
        ran.fails(exit, code);
        let secret = good.split('#').nth(1).unwrap();
        assert!(!ran.err.contains(&secret[..24]), "an error quotes a link: {}", ran.err);
    }
    assert_eq!(bob.ok(&["mesh", "list"])["meshes"].as_array().unwrap().len(), 0);
    let piped = bob.run_with(&["join", "-", "--name", "bob", "--json"], Some(good.as_bytes()));
    assert_eq!(piped.ok()["member"]["name"], "bob");
    bob.fails(&["join", &link(&alice), "--name", "again"], 7, "conflict");
}

#[test]
fn a_link_of_a_mesh_the_broker_does_not_know_is_refused() {
    let scene = Scene::new();
    let broker = scene.broker();
    let alice = scene.founder("alice", &broker);
    let good = link(&alice);
    // The same address, another broker behind it: its key is not the one the link names.
    let mut broker = broker;
    broker.stop();
    std::fs::remove_dir_all(broker.data()).unwrap();
    broker.resume();
    scene.person("bob").fails(&["join", &good, "--name", "bob"], 4, "refused");
}

#[test]
fn a_link_that_was_used_up_opens_nothing() {
    let scene = Scene::new();
    let broker = scene.broker();
    let alice = scene.founder("alice", &broker);
    let once = link(&alice);
    scene.person("bob").ok(&["join", &once, "--name", "bob"]);
    scene.person("carol").fails(&["join", &once, "--name", "carol"], 4, "expired");
}

#[test]
fn a_link_that_was_revoked_opens_nothing() {
    let scene = Scene::new();
    let broker = scene.broker();
    let alice = scene.founder("alice", &broker);
    let invite = alice.ok(&["invite", "--uses", "5"]);
    let revoked = alice.ok(&["invite", "revoke", invite["id"].as_str().unwrap()]);
    assert_eq!((&revoked["state"], &revoked["id"]), (&"closed".into(), &invite["id"]));
    let error = scene.person("bob").fails(&["join", &text_of(&invite, "/link"), "--name", "bob"], 4, "expired");
    assert!(error["error"]["hint"].as_str().unwrap().contains("fresh link"), "{error}");
}

#[test]
fn a_link_that_expired_opens_nothing() {
    let scene = Scene::new();
    let broker = scene.broker();
    let alice = scene.founder("alice", &broker);
    let invite = alice.ok(&["invite", "--expires", "1s"]);
    until("the invite expires", || {
        let invites = alice.ok(&["invite", "list"]);
        let mut all = invites["invites"].as_array()?.iter();
        all.any(|found| found["id"] == invite["id"] && found["state"] == "expired").then_some(())
    });
    scene.person("bob").fails(&["join", &text_of(&invite, "/link"), "--name", "bob"], 4, "expired");
}

#[test]
fn a_link_takes_as_many_as_it_says() {
    let scene = Scene::new();
    let broker = scene.broker();
    let alice = scene.founder("alice", &broker);
    let invite = alice.ok(&["invite", "--uses", "2", "--name-hint", "guest"]);
    let link = text_of(&invite, "/link");
    let first = scene.person("first");
    assert_eq!(first.ok(&["join", &link])["member"]["name"], "guest");
    // A bare link joins as well.
    let second = scene.person("second");
    assert_eq!(second.ok(&[&link, "--name", "other"])["member"]["name"], "other");
    scene.person("third").fails(&["join", &link, "--name", "third"], 4, "expired");
}

#[test]
fn a_name_that_is_taken_is_refused_with_a_suggestion() {
    let scene = Scene::new();
    let broker = scene.broker();
    let alice = scene.founder("alice", &broker);
    let error = scene.person("bob").fails(&["join", &link(&alice), "--name", "alice"], 7, "conflict");
    assert!(error["error"]["hint"].as_str().unwrap().contains("alice-2"), "{error}");
}
