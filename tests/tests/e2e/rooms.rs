//! Conversations and shared knowledge: two homes on an embedded broker.

use claudemesh_tests::e2e::{Listener, Person, Scene, text_of, until, uuid};
use serde_json::{Value, json};

/// Alice with the broker in her daemon, and Bob.
fn pair(scene: &Scene) -> (Person, Person) {
    let alice = scene.person("alice");
    let up = alice.ok(&["up", "--name", "alice", "--listen", "127.0.0.1:0"]);
    let bob = scene.person("bob");
    bob.ok(&["join", &text_of(&up, "/link"), "--name", "bob"]);
    alice.knows("bob");
    bob.knows("alice");
    (alice, bob)
}

/// The same, both in the topic `deploys`.
fn in_deploys(scene: &Scene) -> (Person, Person) {
    let (alice, bob) = pair(scene);
    alice.ok(&["topic", "create", "deploys", "--purpose", "what goes out"]);
    until("bob learns of the topic", || topic(&bob, "deploys").map(drop));
    bob.ok(&["topic", "join", "deploys"]);
    (alice, bob)
}

fn topic(person: &Person, name: &str) -> Option<Value> {
    let topics = person.ok(&["topic", "list"]);
    topics["topics"].as_array()?.iter().find(|topic| topic["name"] == name).cloned()
}

fn post(person: &Person, text: &str, options: &[&str]) -> String {
    text_of(&person.ok(&[&["topic", "post", "deploys", text], options].concat()), "/id")
}

/// Bodies of the posts of `deploys`.
fn history(person: &Person, options: &[&str]) -> Vec<String> {
    let posts = person.ok(&[&["topic", "history", "deploys"], options].concat());
    posts["posts"].as_array().unwrap().iter().map(|post| text_of(post, "/body")).collect()
}

fn sees(person: &Person, bodies: &[&str]) {
    until(&format!("{} sees {bodies:?}", person.name()), || (history(person, &[]) == bodies).then_some(()));
}

fn has(person: &Person, key: &str, value: &Value) -> String {
    let entry = until(&format!("{} has {key}", person.name()), || {
        let entries = person.ok(&["state", "list"]);
        entries["entries"].as_array()?.iter().find(|entry| entry["key"] == key && entry["value"] == *value).cloned()
    });
    text_of(&entry, "/version")
}

#[test]
fn a_topic_is_made_written_read_and_searched() {
    let scene = Scene::new();
    let (alice, bob) = in_deploys(&scene);
    assert!(topic(&bob, "general").is_some_and(|general| general["joined"] == true), "everyone is in #general");
    let seen = topic(&bob, "deploys").unwrap();
    assert_eq!((&seen["purpose"], &seen["role"]), (&json!("what goes out"), &json!("member")));
    let members = bob.run(&["topic", "members", "deploys", "--json=member.name,role"]).ok();
    let lead = json!({"member": {"name": "alice"}, "role": "lead"});
    assert_eq!(members["members"][0], lead, "{members}");

    let first = post(&alice, "rollback of staging", &[]);
    post(&alice, "all is well", &[]);
    sees(&bob, &["rollback of staging", "all is well"]);
    assert_eq!(topic(&bob, "deploys").unwrap()["unread"], 2);
    assert_eq!(topic(&alice, "deploys").unwrap()["unread"], 0, "one's own posts are read");
    post(&bob, "why?", &["--reply-to", &first]);
    sees(&alice, &["rollback of staging", "all is well", "why?"]);
    assert_eq!(history(&alice, &["--thread", &first]), ["rollback of staging", "why?"]);
    assert_eq!(history(&bob, &["--limit", "1"]), ["why?"]);
    assert_eq!(bob.ok(&["topic", "read", "deploys"])["unread"], 0);

    let posts = bob.ok(&["topic", "history", "deploys"]);
    let place = text_of(&posts, "/posts/0/at");
    assert_eq!(history(&bob, &["--after", &place]), ["all is well", "why?"]);
    assert!(history(&bob, &["--before", &place]).is_empty());

    let hits = bob.ok(&["topic", "search", "roll*", "--topic", "deploys"]);
    assert_eq!(hits["hits"][0]["post"]["id"], first.as_str(), "{hits}");
    assert!(text_of(&hits, "/hits/0/snippet").contains("[rollback]"), "{hits}");
    assert!(bob.ok(&["topic", "search", "\"staging rollback\""])["hits"].as_array().unwrap().is_empty());

    assert_eq!(bob.ok(&["topic", "resolve", "deploys", &first])["resolved"], true);
    until("alice learns that it is resolved", || {
        let thread = alice.ok(&["topic", "history", "deploys", "--thread", &first]);
        (thread["resolved"] == true).then_some(())
    });
    bob.ok(&["topic", "leave", "deploys"]);
    post(&alice, "bob is gone", &[]);
    assert_eq!(topic(&bob, "deploys").unwrap()["joined"], false);
    assert_eq!(history(&bob, &[]).len(), 3, "what was read stays readable");
}

#[test]
fn one_id_is_one_post() {
    let scene = Scene::new();
    let (alice, bob) = in_deploys(&scene);
    let id = uuid();
    for _ in 0..2 {
        assert_eq!(post(&alice, "once", &["--id", &id]), id);
    }
    assert_eq!(alice.kill(), 1);
    assert_eq!(post(&alice, "once", &["--id", &id]), id);
    alice.fails(&["topic", "post", "deploys", "twice", "--id", &id], 7, "conflict");
    post(&alice, "the end", &[]);
    sees(&bob, &["once", "the end"]);
}

#[test]
fn one_id_is_one_post_also_while_it_waits() {
    let scene = Scene::new();
    let (alice, bob) = in_deploys(&scene);
    let (in_topic, to_all) = (uuid(), uuid());
    assert_eq!(alice.kill(), 1);
    for _ in 0..2 {
        assert_eq!(post(&bob, "once", &["--id", &in_topic]), in_topic);
        assert_eq!(bob.send("*", "to all", &["--id", &to_all]), to_all);
        assert_eq!(bob.ok(&["status"])["meshes"][0]["writing"], 2);
    }
    bob.fails(&["topic", "post", "deploys", "twice", "--id", &in_topic], 7, "conflict");
    bob.fails(&["send", "*", "twice", "--id", &to_all], 7, "conflict");
    assert_eq!(bob.kill(), 1);
    assert_eq!(post(&bob, "once", &["--id", &in_topic]), in_topic);
    assert_eq!(bob.ok(&["status"])["meshes"][0]["writing"], 2);
    alice.ok(&["whoami"]);
    sees(&alice, &["once"]);
    until("all is written", || (bob.ok(&["status"])["meshes"][0]["writing"] == 0).then_some(()));
}

#[test]
fn a_tail_goes_on_after_its_daemon_was_killed() {
    let scene = Scene::new();
    let (alice, bob) = in_deploys(&scene);
    post(&alice, "one", &[]);
    let tail = Listener::following(&bob, &["topic", "tail", "deploys", "--after", "0.0"]);
    assert_eq!(tail.next()["body"], "one");
    post(&alice, "two", &[]);
    let two = tail.next();
    assert_eq!((&two["body"], &two["from"]["name"]), (&json!("two"), &json!("alice")));
    assert_eq!(bob.kill(), 1);
    post(&alice, "three", &[]);
    bob.ok(&["whoami"]);
    assert_eq!(tail.next()["body"], "three");
    drop(tail);
    let again = Listener::following(&bob, &["topic", "tail", "deploys", "--after", &text_of(&two, "/at")]);
    assert_eq!(again.next()["body"], "three");
}

#[test]
fn a_mention_notifies() {
    let scene = Scene::new();
    let (alice, bob) = in_deploys(&scene);
    let id = post(&alice, "staging is green, @bob", &[]);
    let noted = until("bob is notified", || {
        let list = bob.ok(&["notification", "list"]);
        list["notifications"].as_array()?.iter().find(|one| one["kind"] == "mention").cloned()
    });
    assert_eq!((&noted["subject"], &noted["topic"]), (&json!(id), &json!("deploys")));
    assert_eq!((&noted["from"]["name"], &noted["read"]), (&json!("alice"), &json!(false)));
    assert_eq!(topic(&bob, "deploys").unwrap()["mentions"], 1);
    assert_eq!(bob.ok(&["notification", "read", noted["id"].as_str().unwrap()])["marked"], 1);
    assert!(bob.ok(&["notification", "list"])["notifications"].as_array().unwrap().is_empty());
    assert_eq!(bob.ok(&["notification", "list", "--all"])["notifications"][0]["read"], true);
    let own = alice.ok(&["notification", "list"]);
    assert!(own["notifications"].as_array().unwrap().iter().all(|one| one["kind"] != "mention"), "{own}");
}

#[test]
fn groups_topics_and_everyone_are_addresses() {
    let scene = Scene::new();
    let (alice, bob) = in_deploys(&scene);
    bob.ok(&["group", "join", "@backend/api", "--role", "reviewer"]);
    let group = until("alice learns of the group", || {
        alice.ok(&["group", "list", "@backend"])["groups"].as_array()?.first().cloned()
    });
    assert_eq!((&group["group"], &group["members"][0]["role"]), (&json!("backend/api"), &json!("reviewer")));
    let sent = alice.ok(&["send", "@backend", "for the group", "--wait", "delivered"]);
    assert_eq!(sent["to"][0]["name"], "bob");
    assert_eq!(bob.receive(1)[0]["body"], "for the group");
    alice.ok(&["send", "*", "for everyone", "--wait", "accepted"]);
    assert_eq!(bob.receive(1)[0]["body"], "for everyone");
    assert!(alice.bodies().is_empty(), "nobody hears themselves");
    alice.ok(&["send", "#deploys", "for the topic", "--wait", "accepted"]);
    sees(&bob, &["for the topic"]);
    bob.ok(&["group", "leave", "@backend/api"]);
    until("alice learns that it is empty", || {
        alice.run(&["send", "@backend", "anybody?", "--json"]).code.filter(|code| *code == 3).map(drop)
    });
}

#[test]
fn state_is_shared_watched_and_changed_by_one() {
    let scene = Scene::new();
    let (alice, bob) = pair(&scene);
    let changes = Listener::following(&bob, &["state", "watch", "--after", "0.0"]);
    alice.ok(&["state", "set", "replicas", "3"]);
    let first = has(&bob, "replicas", &json!(3));
    assert_eq!(text_of(&bob.ok(&["state", "get", "replicas"]), "/version"), first);
    std::thread::scope(|threads| {
        let race = [(&alice, "4"), (&bob, "5")].map(|(person, value)| {
            let first = first.as_str();
            threads.spawn(move || person.run(&["state", "cas", "replicas", first, value, "--json"]))
        });
        let mut codes = race.map(|racer| racer.join().unwrap().code.unwrap());
        codes.sort_unstable();
        assert_eq!(codes, [0, 7], "one wins");
    });
    let last = bob.fails(&["state", "cas", "replicas", "none", "6"], 7, "conflict");
    assert!(last["error"]["hint"].is_string());
    alice.ok(&["state", "set", "config", "{\"a\": [1]}", "--ttl", "1h"]);
    has(&bob, "config", &json!({"a": [1]}));
    assert!(bob.ok(&["state", "get", "config"])["expires_at"].is_string());
    bob.ok(&["state", "delete", "config"]);
    until("alice learns that it is gone", || {
        alice.run(&["state", "get", "config", "--json"]).code.filter(|code| *code == 3).map(drop)
    });
    let keys: Vec<(Value, bool)> =
        (0..4).map(|_| changes.next()).map(|change| (change["key"].clone(), change["deleted"] == true)).collect();
    let expected = [("replicas", false), ("replicas", false), ("config", false), ("config", true)];
    assert_eq!(keys, expected.map(|(key, deleted)| (json!(key), deleted)));
}

#[test]
fn state_of_a_topic_is_its_own() {
    let scene = Scene::new();
    let (alice, bob) = in_deploys(&scene);
    alice.ok(&["state", "set", "k", "of the mesh"]);
    alice.ok(&["state", "set", "k", "of the topic", "--topic", "deploys"]);
    has(&bob, "k", &json!("of the mesh"));
    until("bob has the topic's", || {
        (bob.ok(&["state", "list", "--topic", "deploys"])["entries"][0]["value"] == "of the topic").then_some(())
    });
}

#[test]
fn a_task_is_claimed_by_one_and_done_once() {
    let scene = Scene::new();
    let (alice, bob) = pair(&scene);
    let build = text_of(&alice.ok(&["task", "create", "build", "--body", "all of it"]), "/id");
    let deploy = text_of(&alice.ok(&["task", "create", "deploy", "--depends-on", &build]), "/id");
    until("bob knows both", || (bob.ok(&["task", "list"])["tasks"].as_array()?.len() == 2).then_some(()));
    assert_eq!(bob.ok(&["task", "list", "--state", "blocked"])["tasks"][0]["id"], deploy.as_str());
    let claims = std::thread::scope(|threads| {
        let race = [&alice, &bob].map(|person| threads.spawn(|| person.run(&["task", "claim", &build, "--json"])));
        race.map(|racer| racer.join().unwrap())
    });
    let codes = claims.each_ref().map(|ran| ran.code.unwrap());
    let (winner, loser, claim) = match codes {
        [0, 7] => (&alice, &bob, claims[0].ok()),
        [7, 0] => (&bob, &alice, claims[1].ok()),
        _ => panic!("one wins: {claims:?}"),
    };
    assert_eq!((&claim["state"], &claim["claimed_by"]["name"]), (&json!("claimed"), &json!(winner.name())));
    let fence = claim["fence"].to_string();
    loser.fails(&["task", "complete", &build], 7, "conflict");
    winner.fails(&["task", "complete", &build, "--fence", "1"], 7, "conflict");
    let done = winner.ok(&["task", "complete", &build, "--fence", &fence, "--result", "built"]);
    assert_eq!((&done["state"], &done["result"]), (&json!("done"), &json!("built")));
    winner.fails(&["task", "claim", &build], 7, "conflict");
    until("the other knows", || (loser.ok(&["task", "show", &build])["state"] == "done").then_some(()));
    loser.fails(&["task", "claim", &build], 7, "conflict");
    assert_eq!(loser.ok(&["task", "claim", &deploy])["state"], "claimed");
    assert_eq!(loser.ok(&["task", "release", &deploy])["state"], "open");
}

#[test]
fn what_is_remembered_is_found_and_forgotten() {
    let scene = Scene::new();
    let (alice, bob) = pair(&scene);
    let text = "staging runs PostgreSQL 17";
    let id = text_of(&alice.ok(&["remember", text, "--tag", "infra", "--tag", "db"]), "/id");
    let found = until("bob remembers", || {
        bob.ok(&["recall", "postgres*", "--tag", "infra"])["memories"].as_array()?.first().cloned()
    });
    assert_eq!((&found["id"], &found["text"], &found["by"]["name"]), (&json!(id), &json!(text), &json!("alice")));
    assert!(bob.ok(&["recall", "postgres*", "--tag", "web"])["memories"].as_array().unwrap().is_empty());
    bob.fails(&["forget", &id], 4, "refused");
    alice.ok(&["memory", "forget", &id]);
    until("bob forgets", || bob.ok(&["memory", "recall"])["memories"].as_array()?.is_empty().then_some(()));
}

#[test]
fn names_and_texts_have_limits_that_are_said() {
    let scene = Scene::new();
    let (alice, _bob) = in_deploys(&scene);
    let (long_name, long_key, long_line) = ("n".repeat(65), "k".repeat(257), "t".repeat(1025));
    for name in ["a/b", "a,b", " a", "a ", "##a", "@a", "*", "a\u{202e}b", "a\nb", "", &long_name] {
        alice.fails(&["topic", "create", name], 2, "usage");
    }
    for group in ["@", "@a//b", "@@a", "a b ", "@all", "@all/x", "@a/b/c/d/e/f/g/h/i", ""] {
        alice.fails(&["group", "join", group], 2, "usage");
    }
    for key in [" k", "k ", "a\nb", "", &long_key] {
        alice.fails(&["state", "set", key, "1"], 2, "usage");
    }
    for args in [
        &["topic", "create", "purposeful", "--purpose", &long_line][..],
        &["topic", "post", "deploys", ""],
        &["task", "create", &long_line],
        &["remember", "text", "--tag", &long_name],
        &["group", "join", "@a", "--role", &long_name],
        &["state", "cas", "k", "12", "1"],
        &["topic", "history", "deploys", "--after", "here"],
    ] {
        alice.fails(args, 2, "usage");
    }
    let large = vec![b'x'; 64 * 1024 + 1];
    for args in [
        &["state", "set", "k", "-"][..],
        &["topic", "post", "deploys", "-"],
        &["remember", "-"],
        &["task", "create", "title", "--body", "-"],
    ] {
        alice.run_with(&[args, &["--json"]].concat(), Some(&large)).fails(2, "usage");
    }
    let longest = vec![b'x'; 64 * 1024];
    alice.run_with(&["topic", "post", "deploys", "-", "--json"], Some(&longest)).ok();
    for args in [&["topic", "search", "\"open"][..], &["topic", "search", "AND"], &["recall", "(a OR"]] {
        alice.fails(args, 2, "usage");
    }
}

#[test]
fn what_is_not_there_is_named() {
    let scene = Scene::new();
    let (alice, _bob) = in_deploys(&scene);
    let error = alice.fails(&["topic", "post", "deplyos", "text"], 3, "not_found");
    assert!(error["error"]["hint"].as_str().unwrap().contains("deploys"), "{error}");
    let nowhere = uuid();
    for args in [
        &["topic", "post", "deploys", "text", "--reply-to", &nowhere][..],
        &["topic", "history", "deploys", "--thread", &nowhere],
        &["topic", "resolve", "deploys", &nowhere],
        &["topic", "join", "nowhere"],
        &["topic", "tail", "nowhere"],
        &["topic", "add", "deploys", "nobody"],
        &["topic", "search", "words", "--topic", "nowhere"],
        &["state", "get", "nothing"],
        &["state", "delete", "nothing"],
        &["state", "set", "k", "1", "--topic", "nowhere"],
        &["state", "watch", "--topic", "nowhere"],
        &["remember", "text", "--topic", "nowhere"],
        &["forget", &nowhere],
        &["task", "claim", &nowhere],
        &["task", "show", &nowhere],
        &["task", "create", "title", "--depends-on", &nowhere],
        &["task", "create", "title", "--assignee", "nobody"],
        &["group", "leave", "@nowhere"],
        &["notification", "read", "1.999999.0"],
        &["send", "#nowhere", "text"],
        &["send", "@nowhere", "text"],
    ] {
        alice.fails(args, 3, "not_found");
    }
}

#[test]
fn what_somebody_else_did_first_is_a_conflict() {
    let scene = Scene::new();
    let (alice, bob) = in_deploys(&scene);
    bob.fails(&["topic", "create", "deploys"], 7, "conflict");
    bob.fails(&["topic", "create", "general"], 7, "conflict");
    let old = text_of(&alice.ok(&["state", "set", "k", "1"]), "/version");
    alice.ok(&["state", "set", "k", "2"]);
    alice.fails(&["state", "cas", "k", &old, "3"], 7, "conflict");
    alice.fails(&["state", "cas", "k", "none", "3"], 7, "conflict");
    alice.fails(&["state", "delete", "k", "--expect", &old], 7, "conflict");
    let task = text_of(&alice.ok(&["task", "create", "title"]), "/id");
    alice.fails(&["task", "complete", &task], 7, "conflict");
    alice.fails(&["task", "release", &task], 7, "conflict");
    alice.ok(&["task", "claim", &task]);
    alice.ok(&["task", "complete", &task]);
    alice.fails(&["task", "claim", &task], 7, "conflict");
    let id = uuid();
    alice.ok(&["remember", "one", "--id", &id]);
    alice.fails(&["remember", "two", "--id", &id], 7, "conflict");
}

#[test]
fn who_only_observes_writes_nothing() {
    let scene = Scene::new();
    let (alice, bob) = in_deploys(&scene);
    alice.ok(&["topic", "add", "deploys", "bob", "--role", "observer"]);
    until("bob learns of it", || (topic(&bob, "deploys")?["role"] == "observer").then_some(()));
    bob.fails(&["topic", "post", "deploys", "text"], 4, "refused");
    bob.fails(&["state", "set", "k", "1", "--topic", "deploys"], 4, "refused");
    bob.fails(&["remember", "text", "--topic", "deploys"], 4, "refused");
    bob.fails(&["topic", "add", "deploys", "bob", "--role", "lead"], 4, "refused");
    alice.fails(&["topic", "leave", "deploys"], 4, "refused");
}

#[test]
fn fields_are_checked_before_anything_is_done() {
    let scene = Scene::new();
    let alice = scene.person("alice");
    let error = alice.run(&["topic", "list", "--json=nam"]).fails(2, "usage");
    assert!(text_of(&error, "/error/message").contains("name"), "{error}");
    assert_eq!(alice.daemons(), 0, "a usage error starts no daemon");
}
