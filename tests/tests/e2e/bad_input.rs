//! Wrong input: each kind with its exit code, JSON on standard error, and nothing on standard output.

use claudemesh_tests::e2e::{Scene, link, until};

const LIMIT: usize = 128 * 1024;

#[test]
fn recipients_that_are_nobody_are_named() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, _bob) = scene.pair(&broker);
    let error = alice.fails(&["send", "bbo", "text"], 3, "not_found");
    assert!(error["error"]["hint"].as_str().unwrap().contains("bob"), "{error}");
    alice.fails(&["send", "nobody-at-all", "text"], 3, "not_found");
    alice.fails(&["send", "alice", "text"], 2, "usage");
    alice.fails(&["send", "", "text"], 2, "usage");
    alice.fails(&["member", "remove", "nobody-at-all", "--yes"], 3, "not_found");
    alice.fails(&["message", "status", "0198c0de-0000-7000-8000-000000000000"], 3, "not_found");
    alice.fails(&["invite", "revoke", "00000000"], 3, "not_found");
    alice.fails(&["send", "bob", "text", "--mesh", "elsewhere"], 3, "not_found");
}

#[test]
fn two_of_one_name_are_told_apart_by_their_keys() {
    let scene = Scene::new();
    let broker = scene.broker();
    let alice = scene.founder("alice", &broker);
    // Neither link knows of the other's bob.
    let links = [link(&alice), link(&alice)];
    let bobs = ["b1", "b2"].map(|home| scene.person(home));
    let keys: Vec<String> = bobs
        .iter()
        .zip(&links)
        .map(|(bob, link)| bob.ok(&["join", link, "--name", "bob"])["member"]["id"].as_str().unwrap().to_owned())
        .collect();
    until("both are known", || {
        let peers = alice.ok(&["peers"]);
        (peers["peers"].as_array()?.iter().filter(|peer| peer["name"] == "bob").count() == 2).then_some(())
    });
    let error = alice.fails(&["send", "bob", "which one?"], 3, "ambiguous");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(keys.iter().all(|key| message.contains(&key[..8])), "{message}");
    alice.send(&keys[1][..8], "you", &["--wait", "delivered"]);
    assert_eq!(bobs[1].bodies(), ["you"]);
    assert!(bobs[0].bodies().is_empty());
}

#[test]
fn bodies_have_limits_that_are_said() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let from_stdin = ["send", "bob", "-", "--json"];
    alice.fails(&["send", "bob", ""], 2, "usage");
    alice.run_with(&from_stdin, Some(b"")).fails(2, "usage");
    alice.run_with(&from_stdin, Some(b"\x00\xff\xfe binary")).fails(2, "usage");
    for size in [LIMIT + 1, 1024 * 1024] {
        let error = alice.run_with(&from_stdin, Some(&vec![b'x'; size])).fails(2, "usage");
        assert!(error["error"]["message"].as_str().unwrap().contains("131072"), "{error}");
    }
    let longest = "y".repeat(LIMIT);
    let sent = alice.run_with(&["send", "bob", "-", "--wait", "delivered", "--json"], Some(longest.as_bytes()));
    sent.ok();
    let odd = "control \u{1b}[31m and \u{0} and \u{202e} and 𝄞";
    alice.run_with(&["send", "bob", "-", "--wait", "delivered", "--json"], Some(odd.as_bytes())).ok();
    assert_eq!(bob.bodies(), [longest.as_str(), odd]);
    let shown = bob.run(&["inbox"]);
    assert!(!shown.out.contains('\u{1b}'), "a message controls the terminal");
}

#[test]
fn unknown_words_come_with_a_suggestion() {
    let scene = Scene::new();
    let alice = scene.person("alice");
    for (args, suggestion) in [
        (&["snd", "bob", "text"][..], "send"),
        (&["send", "bob", "text", "--prioriti", "now"], "--priority"),
        (&["inbox", "--unred"], "--unread"),
        (&["send", "bob", "text", "--priority", "nexd"], "next"),
    ] {
        let error = alice.fails(args, 2, "usage");
        assert!(error["error"]["hint"].as_str().unwrap().contains(suggestion), "{error}");
    }
    for args in [
        &["send", "bob"][..],
        &["send", "bob", "text", "--ttl", "soon"],
        &["send", "bob", "text", "--id", "12"],
        &["invite", "--uses", "0"],
        &["invite", "--role", "king"],
        &["up", "--broker", "http://example.org"],
        &["up", "--listen", "nowhere"],
        &["message", "status", "12"],
    ] {
        alice.fails(args, 2, "usage");
    }
    assert_eq!(alice.daemons(), 0, "a usage error starts no daemon");
}

#[test]
fn a_home_without_a_mesh_says_what_to_do() {
    let scene = Scene::new();
    let alice = scene.person("alice");
    let error = alice.fails(&["send", "bob", "text"], 3, "not_found");
    assert!(error["error"]["hint"].as_str().unwrap().contains("claudemesh up"), "{error}");
    alice.fails(&["inbox"], 3, "not_found");
}
