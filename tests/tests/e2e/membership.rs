//! Roles, and members who were removed.

use claudemesh_tests::e2e::{Scene, link, text_of, until};

#[test]
fn a_member_may_not_what_an_admin_may() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    for args in [&["invite"][..], &["member", "remove", "alice", "--yes"], &["member", "role", "alice", "member"]] {
        bob.fails(args, 4, "refused");
    }
    let changed = alice.ok(&["member", "role", "bob", "admin"]);
    assert_eq!(changed["member"]["role"], "admin");
    until("bob knows", || (bob.ok(&["whoami"])["role"] == "admin").then_some(()));
    assert!(bob.ok(&["invite"])["link"].is_string());
    bob.fails(&["member", "remove", "alice", "--yes"], 4, "refused");
    alice.ok(&["member", "role", "bob", "member"]);
    until("bob knows", || (bob.ok(&["whoami"])["role"] == "member").then_some(()));
    bob.fails(&["invite"], 4, "refused");
    alice.fails(&["member", "remove", "bob"], 2, "usage");
}

#[test]
fn a_removed_member_cannot_send_read_or_return() {
    let scene = Scene::new();
    let broker = scene.broker();
    let alice = scene.founder("alice", &broker);
    let first = alice.ok(&["invite", "--uses", "3"]);
    let bob = scene.person("bob");
    bob.ok(&["join", &text_of(&first, "/link"), "--name", "bob"]);
    alice.knows("bob");
    let carol = scene.guest("carol", &alice);
    bob.knows("carol");
    alice.ok(&["member", "role", "bob", "admin"]);
    until("bob is admin", || (bob.ok(&["whoami"])["role"] == "admin").then_some(()));
    let own = bob.ok(&["invite", "--uses", "5"]);
    let mut known = vec![text_of(&first, "/link"), text_of(&own, "/link")];
    alice.send("bob", "while you are here", &["--wait", "delivered"]);

    let removed = alice.ok(&["member", "remove", "bob", "--yes"]);
    assert_eq!(removed["member"]["live"], false, "{removed}");
    let mut closed: Vec<&str> =
        removed["closed_invites"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    closed.sort_unstable();
    let mut expected = [first["id"].as_str().unwrap(), own["id"].as_str().unwrap()];
    expected.sort_unstable();
    assert_eq!(closed, expected, "the invite he came by, and his own");
    let invites = alice.ok(&["invite", "list"]);
    for invite in
        invites["invites"].as_array().unwrap().iter().filter(|invite| closed.contains(&invite["id"].as_str().unwrap()))
    {
        assert_eq!(invite["state"], "closed");
    }

    until("bob knows", || (bob.ok(&["mesh", "list"])["meshes"][0]["state"] == "removed").then_some(()));
    bob.fails(&["send", "carol", "may I?"], 4, "refused");
    assert_eq!(bob.bodies(), ["while you are here"], "what he has, he keeps");
    alice.fails(&["send", "bob", "too late"], 3, "not_found");
    let dave = scene.guest("dave", &alice);
    carol.knows("dave");
    dave.send("carol", "hello", &["--wait", "delivered"]);
    assert!(!bob.run(&["peers", "--all", "--json"]).out.contains("dave"), "bob reads the mesh's log");
    alice.send("carol", "without him", &["--wait", "delivered"]);
    assert_eq!(carol.bodies(), ["hello", "without him"]);
    // A restart changes nothing.
    let _ = bob.kill();
    assert_eq!(bob.ok(&["mesh", "list"])["meshes"][0]["state"], "removed");
    let again = scene.person("again");
    for link in known.drain(..) {
        again.fails(&["join", &link, "--name", "robert"], 4, "expired");
    }
    // Only somebody's fresh invite brings him back, as a new member.
    let back = bob.ok(&["join", &link(&alice), "--name", "bobby"]);
    assert_eq!(back["member"]["name"], "bobby");
    alice.knows("bobby");
    bob.send("alice", "sorry", &["--wait", "delivered"]);
}

#[test]
fn what_came_before_a_removal_stays_readable_and_nothing_more_goes_out() {
    let scene = Scene::new();
    let mut broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let told = bob.send("alice", "I am here", &["--wait", "delivered"]);
    alice.send("bob", "while you are here", &["--wait", "delivered"]);
    bob.ok(&["down"]);
    let late = alice.send("bob", "are you?", &["--wait", "accepted"]);
    alice.ok(&["member", "remove", "bob", "--yes"]);
    assert_eq!(alice.recipient(&late, "state"), "refused", "nobody will ever take it");
    assert_eq!(alice.recipient(&late, "reason"), "unknown_recipient");

    // He writes before he hears of it.
    broker.kill();
    let unsent = text_of(&bob.ok(&["send", "alice", "still here", "--wait", "queued"]), "/id");
    broker.resume();
    until("bob knows", || (bob.ok(&["mesh", "list"])["meshes"][0]["state"] == "removed").then_some(()));
    bob.reaches(&unsent, "refused");
    for restart in [false, true] {
        if restart {
            let _ = bob.kill();
        }
        assert_eq!(bob.bodies(), ["while you are here"]);
        assert_eq!(bob.state(&told), "delivered");
        assert_eq!(bob.recipient(&unsent, "state"), "refused");
        assert_eq!(bob.recipient(&unsent, "reason"), "removed");
        let peers = bob.ok(&["peers"]);
        assert!(peers["peers"].as_array().unwrap().iter().any(|peer| peer["name"] == "alice"), "{peers}");
        let error = bob.fails(&["send", "alice", "may I?"], 4, "refused");
        assert!(error["error"]["message"].as_str().unwrap().contains("removed"), "{error}");
        for args in [&["invite"][..], &["mesh", "leave", "main", "--yes"]] {
            bob.fails(args, 4, "refused");
        }
    }
    bob.fails(&["listen"], 4, "refused");
    // Reading marks it read, also when nobody can be told.
    assert_eq!(bob.ok(&["inbox"])["messages"].as_array().unwrap().len(), 1);
    // Waiting is for what can come.
    assert_eq!(bob.ok(&["inbox", "--unread", "--wait", "3600"])["messages"].as_array().unwrap().len(), 0);
}

#[test]
fn who_left_keeps_what_came() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    alice.send("bob", "hello", &["--wait", "delivered"]);
    bob.ok(&["mesh", "leave", "main", "--yes"]);
    let _ = bob.kill();
    assert_eq!(bob.bodies(), ["hello"]);
    let error = bob.fails(&["send", "alice", "hm"], 4, "refused");
    assert!(error["error"]["message"].as_str().unwrap().contains("left"), "{error}");
}

#[test]
fn who_joins_again_has_the_label_and_the_inbox_of_before() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    alice.send("bob", "before", &["--wait", "delivered"]);
    let told = bob.send("alice", "I am here", &["--wait", "delivered"]);
    for (round, name) in ["robert", "bobby"].into_iter().enumerate() {
        if round == 0 {
            bob.ok(&["mesh", "leave", "main", "--yes"]);
        } else {
            alice.ok(&["member", "remove", "robert", "--yes"]);
            until("bob knows", || (bob.ok(&["mesh", "list"])["meshes"][0]["state"] == "removed").then_some(()));
        }
        let back = bob.ok(&["join", &link(&alice), "--name", name]);
        assert_eq!(text_of(&back, "/mesh/label"), "main");
        alice.knows(name);
        alice.send(name, &format!("after {round}"), &["--wait", "delivered"]);
        bob.send("alice", "again", &["--wait", "delivered"]);
        assert_eq!(bob.state(&told), "delivered");
    }
    for restart in [false, true] {
        if restart {
            let _ = bob.kill();
        }
        assert_eq!(bob.bodies(), ["before", "after 0", "after 1"]);
        assert_eq!(bob.ok(&["mesh", "list"])["meshes"].as_array().unwrap().len(), 1);
        assert_eq!(bob.state(&told), "delivered");
    }
    assert_eq!(bob.ok(&["inbox"])["messages"].as_array().unwrap().len(), 3);
    assert!(bob.ok(&["inbox", "--unread"])["messages"].as_array().unwrap().is_empty());
}
