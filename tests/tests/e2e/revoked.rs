//! Who was shown out of a topic, or of the mesh: what was read stays readable, and nothing more is written or read.

use claudemesh_tests::e2e::{Person, Scene, text_of, until};
use serde_json::Value;

fn history(person: &Person, topic: &str) -> Vec<String> {
    let posts = person.ok(&["topic", "history", topic]);
    posts["posts"].as_array().unwrap().iter().map(|post| text_of(post, "/body")).collect()
}

fn knows_topic(person: &Person, name: &str) {
    until(&format!("{} knows #{name}", person.name()), || {
        let topics = person.ok(&["topic", "list"]);
        topics["topics"].as_array()?.iter().any(|topic| topic["name"] == name).then_some(())
    });
}

fn sees(person: &Person, topic: &str, bodies: &[&str]) {
    until(&format!("{} sees {bodies:?}", person.name()), || (history(person, topic) == bodies).then_some(()));
}

/// Alice and Bob in a private topic with a post of Bob's, a key and a task.
fn in_secret(scene: &Scene, broker: &claudemesh_tests::e2e::Broker) -> (Person, Person, String) {
    let (alice, bob) = scene.pair(broker);
    bob.knows("alice");
    alice.ok(&["topic", "create", "secret", "--private", "--member", "bob"]);
    knows_topic(&bob, "secret");
    bob.ok(&["topic", "post", "secret", "from within"]);
    alice.ok(&["state", "set", "k", "1", "--topic", "secret"]);
    let task = text_of(&alice.ok(&["task", "create", "within", "--topic", "secret"]), "/id");
    until("bob knows the task", || (bob.run(&["task", "show", &task]).code == Some(0)).then_some(()));
    sees(&alice, "secret", &["from within"]);
    (alice, bob, task)
}

/// Every way to write to the topic is refused, and says that it is because of the membership.
fn writes_nothing(person: &Person, task: &str) {
    for args in [
        &["topic", "post", "secret", "from without"][..],
        &["state", "set", "k", "2", "--topic", "secret"],
        &["state", "delete", "k", "--topic", "secret"],
        &["remember", "text", "--topic", "secret"],
        &["task", "create", "title", "--topic", "secret"],
        &["task", "claim", task],
        &["topic", "add", "secret", person.name()],
    ] {
        let error: Value = person.fails(args, 4, "refused");
        let said = error.to_string();
        assert!(said.contains("not in") || said.contains("removed"), "{args:?}: {said}");
    }
}

#[test]
fn who_was_removed_from_a_topic_keeps_what_was_read_and_writes_nothing() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob, task) = in_secret(&scene, &broker);
    alice.ok(&["topic", "remove", "secret", "bob"]);
    until("bob learns of it", || {
        (bob.run(&["topic", "post", "secret", "still there?", "--json"]).code == Some(4)).then_some(())
    });
    let before = history(&bob, "secret");
    writes_nothing(&bob, &task);
    alice.ok(&["topic", "post", "secret", "without bob"]);
    // What is written elsewhere later has reached him; this has not.
    alice.ok(&["topic", "post", "general", "for all"]);
    sees(&bob, "general", &["for all"]);
    assert_eq!(history(&bob, "secret"), before);
    assert_eq!(bob.ok(&["state", "get", "k", "--topic", "secret"])["value"], 1);
    assert!(!history(&alice, "secret").contains(&"from without".to_owned()));
}

#[test]
fn who_was_removed_while_away_is_told_by_the_first_write() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob, task) = in_secret(&scene, &broker);
    bob.ok(&["down"]);
    alice.ok(&["topic", "remove", "secret", "bob"]);
    alice.ok(&["topic", "post", "secret", "without bob"]);
    let error = bob.fails(&["topic", "post", "secret", "from without"], 4, "refused");
    assert!(text_of(&error, "/error/message").contains("not in"), "{error}");
    writes_nothing(&bob, &task);
    assert_eq!(history(&bob, "secret"), ["from within"]);
}

#[test]
fn who_was_removed_from_the_mesh_keeps_what_was_read_and_writes_nothing() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob, task) = in_secret(&scene, &broker);
    alice.ok(&["member", "remove", "bob", "--yes"]);
    until("bob learns of it", || {
        (bob.run(&["topic", "post", "secret", "still there?", "--json"]).code == Some(4)).then_some(())
    });
    writes_nothing(&bob, &task);
    alice.ok(&["topic", "post", "secret", "without bob"]);
    assert_eq!(history(&bob, "secret").first().map(String::as_str), Some("from within"));
    assert_eq!(bob.ok(&["state", "get", "k", "--topic", "secret"])["value"], 1);
    assert_eq!(bob.ok(&["task", "show", &task])["state"], "open");
    assert!(!history(&bob, "secret").contains(&"without bob".to_owned()));
}
