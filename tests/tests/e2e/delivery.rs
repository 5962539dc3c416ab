//! One message all the way: states, receipts, options, reading and listening.

use claudemesh_tests::e2e::{Listener, Scene, uuid};

#[test]
fn a_message_is_accepted_delivered_and_read() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let id = uuid();
    let sent = alice.ok(&["send", "bob", "build is green", "--id", &id, "--wait", "delivered"]);
    assert_eq!((&sent["id"], &sent["state"]), (&id.as_str().into(), &"delivered".into()));
    assert_eq!(bob.bodies(), ["build is green"]);
    assert_eq!(alice.state(&id), "delivered", "peeking tells nobody");
    bob.receive(1);
    let read = alice.ok(&["send", "bob", "build is green", "--id", &id, "--wait", "read"]);
    assert_eq!(read["state"], "read");
    let status = alice.ok(&["message", "status", &id]);
    let recipient = &status["recipients"][0];
    assert_eq!((&recipient["member"]["name"], &recipient["state"]), (&"bob".into(), &"read".into()));
    assert!(recipient["device"].is_string() && recipient["at"].is_string() && recipient["reason"].is_null());
}

#[test]
fn priority_reply_and_session_arrive() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let first = alice.send("bob", "stop", &["--priority", "now", "--session", "review"]);
    alice.send("bob", "later", &["--priority", "low", "--reply-to", &first]);
    let received = bob.receive(2);
    let find = |body: &str| received.iter().find(|message| message["body"] == body).unwrap();
    let (stop, later) = (find("stop"), find("later"));
    assert_eq!((&stop["priority"], &stop["from"]["session"]), (&"now".into(), &"review".into()));
    assert_eq!((&later["priority"], &later["reply_to"]), (&"low".into(), &first.as_str().into()));

    alice.send("bob/review", "for the reviewer", &["--wait", "delivered"]);
    let review = bob.ok(&["inbox", "--session", "review", "--unread"]);
    assert_eq!(review["messages"][0]["body"], "for the reviewer");
    assert_eq!(bob.bodies().len(), 2);
}

#[test]
fn one_id_is_one_message() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let id = uuid();
    for _ in 0..3 {
        assert_eq!(alice.send("bob", "once", &["--id", &id]), id);
    }
    assert_eq!(alice.kill(), 1);
    assert_eq!(alice.send("bob", "once", &["--id", &id]), id);
    alice.fails(&["send", "bob", "twice", "--id", &id], 7, "conflict");
    alice.send("bob", "the end", &["--wait", "delivered"]);
    assert_eq!(bob.bodies(), ["once", "the end"]);
}

#[test]
fn what_nobody_fetches_in_time_expires() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    bob.ok(&["down"]);
    let args = ["send", "bob", "too late", "--ttl", "1s", "--wait", "delivered", "--timeout", "50s"];
    let error = alice.fails(&args, 4, "expired");
    let id = error["sent"]["id"].as_str().unwrap_or_else(|| panic!("no id in {error}"));
    assert_eq!(alice.state(id), "expired");
    alice.send("bob", "in time", &[]);
    assert_eq!(bob.receive(1)[0]["body"], "in time");
    assert_eq!(alice.state(id), "expired");
}

#[test]
fn a_wait_that_ends_keeps_the_message() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    bob.ok(&["down"]);
    let error = alice.fails(&["send", "bob", "patience", "--wait", "read", "--timeout", "1s"], 5, "timeout");
    let id = error["sent"]["id"].as_str().unwrap_or_else(|| panic!("no id in {error}"));
    bob.receive(1);
    alice.reaches(id, "read");
}

#[test]
fn the_inbox_waits_peeks_and_limits() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let nothing = bob.ok(&["inbox", "--unread", "--wait", "1"]);
    assert!(nothing["messages"].as_array().unwrap().is_empty());
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| bob.ok(&["inbox", "--unread", "--wait", "60"]));
        alice.send("bob", "one", &[]);
        assert_eq!(waiting.join().unwrap()["messages"][0]["body"], "one");
    });
    for body in ["two", "three"] {
        alice.send("bob", body, &["--wait", "delivered"]);
    }
    let newest = bob.ok(&["inbox", "--limit", "1", "--peek"]);
    assert_eq!(newest["messages"][0]["body"], "three");
    assert_eq!(bob.bodies(), ["one", "two", "three"]);
    let unread = bob.receive(2);
    assert_eq!((&unread[0]["body"], &unread[1]["body"]), (&"two".into(), &"three".into()));
    assert!(bob.ok(&["inbox", "--unread"])["messages"].as_array().unwrap().is_empty());
}

#[test]
fn a_listener_hears_messages_receipts_and_presence() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let ears = Listener::hearing(&bob, &alice, &[]);
    let id = alice.send("bob", "news", &["--priority", "now"]);
    let heard = ears.message("news");
    assert!(heard["position"].as_u64().is_some_and(|position| position > 0), "{heard}");
    assert_eq!(heard["message"]["id"], id.as_str());
    let own = bob.send("alice", "answer", &[]);
    alice.ok(&["inbox", "--unread", "--wait", "30"]);
    let receipt = ears.find(|event| event["type"] == "receipt" && event["state"] == "read");
    assert_eq!((&receipt["id"], &receipt["member"]["name"]), (&own.as_str().into(), &"alice".into()));
    alice.ok(&["summary", "at work"]);
    let presence = ears.find(|event| event["type"] == "presence" && event["peer"]["summary"] == "at work");
    assert_eq!(presence["peer"]["name"], "alice");
    assert_eq!(alice.state(&id), "delivered", "listening marks nothing read");
}

#[test]
fn a_consumer_goes_on_where_it_stopped() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let consumer = ["--consumer", "ci"];
    let ears = Listener::hearing(&bob, &alice, &consumer);
    alice.send("bob", "first", &[]);
    let first = ears.message("first");
    drop(ears);
    assert_eq!(bob.kill(), 1);
    for body in ["second", "third"] {
        alice.send("bob", body, &[]);
    }
    let ears = Listener::start(&bob, &consumer);
    let second = ears.find(|event| event["type"] == "message" && event["message"]["body"] != "first");
    assert_eq!(second["message"]["body"], "second");
    assert!(second["position"].as_u64() > first["position"].as_u64());
    let third = ears.find(|event| event["type"] == "message");
    assert_eq!(third["message"]["body"], "third");
    drop(ears);
    // At most the last line comes again.
    let ears = Listener::start(&bob, &consumer);
    alice.send("bob", "fourth", &[]);
    let next = ears.find(|event| event["type"] == "message" && event["message"]["body"] != "third");
    assert_eq!(next["message"]["body"], "fourth");
}
