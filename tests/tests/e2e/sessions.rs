//! Several sessions on one device: their names, their mail, and what is left when something of them dies.

use claudemesh_tests::e2e::{Host, Person, Scene, until};
use serde_json::{Value, json};

fn names(person: &Person) -> Vec<String> {
    let sessions = person.ok(&["session", "list"]);
    let name = |session: &Value| session["name"].as_str().unwrap().to_owned();
    sessions["sessions"].as_array().unwrap().iter().map(name).collect()
}

fn has(person: &Person, name: &str) {
    until(&format!("{name} runs"), || {
        let sessions = person.ok(&["session", "list"]);
        let served = |session: &Value| session["name"] == name && session["route"] == "socket";
        sessions["sessions"].as_array()?.iter().any(served).then_some(())
    });
}

#[test]
fn two_sessions_of_a_device_stay_apart() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let mut api = Host::start(&bob, "api");
    has(&bob, "api");
    let mut web = Host::start(&bob, "web");
    has(&bob, "web");
    until("alice sees both", || {
        let peers = alice.ok(&["peers"]);
        let bob = peers["peers"].as_array()?.iter().find(|peer| peer["name"] == "bob")?.clone();
        (bob["sessions"].as_array()?.len() == 2).then_some(())
    });
    let to_api = alice.send("bob/api", "for api", &[]);
    let to_web = alice.send("bob/web", "for web", &[]);
    api.take_notice();
    web.take_notice();
    alice.reaches(&to_api, "injected");
    alice.reaches(&to_web, "injected");
    assert_eq!(
        (alice.recipient(&to_api, "session"), alice.recipient(&to_web, "session")),
        ("api".into(), "web".into())
    );
    let text = api.tool("check_inbox", json!({}));
    assert!(text.contains("| for api") && !text.contains("for web"), "{text}");
    alice.reaches(&to_api, "read");
    assert_eq!(alice.state(&to_web), "injected");
    assert!(web.tool("check_inbox", json!({})).contains("| for web"));
}

#[test]
fn a_message_to_a_member_goes_to_the_session_that_was_active_last_and_says_so() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let api = Host::start(&bob, "api");
    has(&bob, "api");
    let web = Host::start(&bob, "web");
    has(&bob, "web");
    for host in [&api, &web] {
        host.hook("session-start", json!({"source": "startup"}));
    }
    api.hook("prompt", json!({"prompt": "go on"}));
    api.hook("stop", json!({}));
    until("alice sees who was active", || {
        let peers = alice.ok(&["peers"]);
        let bob = peers["peers"].as_array()?.iter().find(|peer| peer["name"] == "bob")?.clone();
        (bob["sessions"][0]["id"] == "api").then_some(())
    });
    let sent = alice.ok(&["send", "bob", "whoever is there"]);
    assert_eq!(sent["session"], "api");
    api.take_notice();
    let id = sent["id"].as_str().unwrap();
    alice.reaches(id, "injected");
    assert_eq!(alice.recipient(id, "session"), "api");
    assert!(!web.has_notice());
    // What is for `main` by name stays there.
    alice.send("bob/main", "for main", &["--wait", "delivered"]);
    assert_eq!(bob.receive(1)[0]["body"], "for main");
    assert!(!api.has_notice() && !web.has_notice());
}

#[test]
fn a_name_stays_through_clear_and_resume_and_ends_with_its_process() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let mut api = Host::start(&bob, "api");
    has(&bob, "api");
    api.hook("session-start", json!({"source": "startup"}));
    api.clear();
    assert_eq!(names(&bob), ["api"]);
    let second = Host::start(&bob, "api");
    has(&bob, "api-2");
    second.crash();
    until("the crashed session is gone", || (names(&bob) == ["api"]).then_some(()));
    let id = alice.send("bob/api", "still here?", &[]);
    api.take_notice();
    alice.reaches(&id, "injected");
    api.hook("session-end", json!({"reason": "other"}));
    api.kill_server();
    assert!(names(&bob).is_empty());
    // Whoever takes the name gets what came in between.
    let late = alice.send("bob/api", "for the next one", &["--wait", "delivered"]);
    let mut next = Host::start(&bob, "api");
    has(&bob, "api");
    next.take_notice();
    alice.reaches(&late, "injected");
    assert!(next.tool("check_inbox", json!({})).contains("| for the next one"));
}

#[test]
fn killed_daemons_and_servers_lose_and_repeat_nothing() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let mut host = Host::start(&bob, "api");
    host.hook("session-start", json!({"source": "startup"}));
    has(&bob, "api");
    let mut ids = Vec::new();
    for round in 0..4 {
        let id = alice.send("bob/api", &format!("round {round}"), &["--wait", "delivered"]);
        let notice = host.notice();
        until("the notice counts as written", || {
            (bob.ok(&["session", "list"])["sessions"][0]["posted"] == 1).then_some(())
        });
        match round {
            1 => assert_eq!(bob.kill(), 1),
            2 => {
                host.kill_server();
                host.serve(&[]);
                host.begin();
            }
            3 => {
                host.kill_server();
                assert_eq!(bob.kill(), 1);
                host.serve(&[]);
                host.begin();
            }
            _ => {}
        }
        // Any verb starts the daemon again.
        has(&bob, "api");
        host.hook("prompt", json!({"prompt": notice}));
        alice.reaches(&id, "injected");
        host.hook("stop", json!({}));
        ids.push(id);
    }
    assert!(!host.has_notice(), "nothing is told twice");
    let text = host.tool("check_inbox", json!({}));
    for round in 0..4 {
        assert_eq!(text.matches(&format!("| round {round}\n")).count(), 1, "{text}");
    }
    for id in ids {
        alice.reaches(&id, "read");
    }
}

#[test]
fn a_burst_of_many_peers_is_handed_over_once() {
    let scene = Scene::new();
    let broker = scene.broker();
    let bob = scene.founder("bob", &broker);
    let peers: Vec<Person> = (0..10).map(|n| scene.guest(&format!("peer{n}"), &bob)).collect();
    let mut host = Host::start(&bob, "api");
    host.hook("session-start", json!({"source": "startup"}));
    has(&bob, "api");
    let ids: Vec<Vec<String>> = std::thread::scope(|scope| {
        let senders: Vec<_> = peers
            .iter()
            .map(|peer| {
                scope.spawn(move || {
                    (0..20).map(|n| peer.send("bob", &format!("{} says {n}", peer.name()), &[])).collect::<Vec<_>>()
                })
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    let mut told = 0_u64;
    while told < 200 {
        let notice = host.notice();
        let (_, rest) = notice.split_once("] ").unwrap();
        told += rest.split(' ').next().unwrap().parse::<u64>().unwrap();
        host.hook("prompt", json!({"prompt": notice}));
        host.hook("stop", json!({}));
    }
    assert_eq!(told, 200, "each message is told of once");
    for (peer, ids) in peers.iter().zip(&ids) {
        for id in ids {
            peer.reaches(id, "injected");
        }
    }
    let mut text = String::new();
    while !text.contains("No unread messages") {
        text.push_str(&host.tool("check_inbox", json!({"limit": 100})));
    }
    for peer in &peers {
        for n in 0..20 {
            assert_eq!(text.matches(&format!("| {} says {n}\n", peer.name())).count(), 1);
        }
    }
}

#[test]
fn without_a_socket_hooks_hand_over_and_the_next_one_confirms() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let host = Host::without_server(&bob, "api");
    host.hook("session-start", json!({"source": "startup"}));
    assert_eq!(names(&bob), ["api"]);
    host.hook("prompt", json!({"prompt": "work"}));
    let id = alice.send("bob/api", "hello", &["--wait", "delivered"]);
    assert_eq!(host.hook("tool", json!({})), Value::Null, "a turn is not interrupted");
    let handed = host.hook("stop", json!({"stop_hook_active": false}));
    assert_eq!(handed["decision"], "block");
    assert!(handed["reason"].as_str().unwrap().contains("1 message"), "{handed}");
    assert_eq!(alice.state(&id), "delivered", "that a hook printed it is no receipt");
    assert_eq!(host.hook("stop", json!({"stop_hook_active": true})), Value::Null);
    alice.reaches(&id, "injected");
    let id = alice.send("bob/api", "more", &["--wait", "delivered"]);
    let handed = host.hook("prompt", json!({"prompt": "and now?"}));
    assert_eq!(handed["hookSpecificOutput"]["hookEventName"], "UserPromptSubmit");
    host.hook("stop", json!({}));
    alice.reaches(&id, "injected");
}

#[test]
fn sessions_that_answer_each_other_pause_until_a_person_speaks() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let host = Host::start(&bob, "api");
    host.hook("session-start", json!({"source": "startup"}));
    has(&bob, "api");
    assert_eq!(bob.ok(&["session", "limit", "--exchange", "2"]), json!({"exchange": 2, "hourly": 60}));
    for n in 0..2 {
        let id = alice.send("bob/api", &format!("answer {n}"), &[]);
        host.take_notice();
        alice.reaches(&id, "injected");
        host.hook("stop", json!({}));
    }
    let id = alice.send("bob/api", "and again", &[]);
    until("alice sees why", || {
        (alice.ok(&["message", "status", &id])["recipients"][0]["reason"] == "limit").then_some(())
    });
    assert!(!host.has_notice());
    assert_eq!(bob.ok(&["session", "list"])["sessions"][0]["paused"][0]["name"], "alice");
    host.hook("prompt", json!({"prompt": "a person speaks"}));
    host.hook("stop", json!({}));
    host.take_notice();
    alice.reaches(&id, "injected");
}
