//! What a mesh starts with, what is heard of its rooms, and what leaves them: templates, `listen`, retention, compaction.

use claudemesh_tests::e2e::{Listener, Person, Scene, text_of, until};
use serde_json::{Value, json};

fn topics(person: &Person) -> Vec<String> {
    let topics = person.ok(&["topic", "list"]);
    topics["topics"].as_array().unwrap().iter().map(|topic| text_of(topic, "/name")).collect()
}

fn pair(scene: &Scene) -> (Person, Person) {
    let alice = scene.person("alice");
    let up = alice.ok(&["up", "--name", "alice", "--listen", "127.0.0.1:0"]);
    let bob = scene.person("bob");
    bob.ok(&["join", &text_of(&up, "/link"), "--name", "bob"]);
    alice.knows("bob");
    bob.knows("alice");
    (alice, bob)
}

#[test]
fn a_template_survives_a_kill_in_the_middle_and_is_applied_once() {
    let scene = Scene::new();
    let alice = scene.person("alice");
    alice.fails(&["up", "--template", "dev-taem"], 2, "usage");
    alice.ok(&["up", "--name", "alice", "--listen", "127.0.0.1:0"]);
    let mut up = alice.command(&["up", "--template", "dev-team", "--json"]).spawn().unwrap();
    until("the first topic is there", || (topics(&alice).len() > 1).then_some(()));
    assert_eq!(alice.kill(), 1);
    up.wait().unwrap();
    let done = alice.ok(&["up", "--template", "dev-team"]);
    assert_eq!((&done["created"], &done["template"]["complete"]), (&json!(false), &json!(true)), "{done}");
    assert_eq!(topics(&alice), ["general", "deploys", "reviews", "standup"]);
    let again = alice.ok(&["up", "--template", "dev-team"]);
    for kind in ["groups", "topics", "state"] {
        assert_eq!(again["template"][kind], json!([]), "{again}");
    }
    let status = alice.ok(&["status"]);
    assert!(text_of(&status, "/meshes/0/hints").contains("#deploys"), "{status}");
    alice.fails(&["up", "--template", "research"], 7, "conflict");
    let help = alice.run(&["up", "--help"]);
    for template in ["dev-team", "research", "ops-incident", "personal"] {
        assert!(help.out.contains(&format!("- {template}:")), "{}", help.out);
    }
}

#[test]
fn a_new_mesh_and_its_template_are_one_command() {
    let scene = Scene::new();
    let alice = scene.person("alice");
    let up = alice.ok(&["up", "--name", "alice", "--listen", "127.0.0.1:0", "--template", "personal"]);
    assert_eq!((&up["created"], &up["template"]["topics"]), (&json!(true), &json!(["inbox", "log", "notes"])), "{up}");
    assert_eq!(alice.ok(&["state", "get", "focus"])["value"], Value::Null);
}

#[test]
fn listen_tells_of_posts_and_notifications() {
    let scene = Scene::new();
    let (alice, bob) = pair(&scene);
    let all = Listener::hearing(&bob, &alice, &[]);
    let none = Listener::hearing(&bob, &alice, &["--no-topics"]);
    alice.ok(&["topic", "post", "general", "@bob it is out"]);
    let next = |listener: &Listener| loop {
        let event = listener.next();
        if matches!(event["type"].as_str(), Some("post" | "notification")) {
            return event;
        }
    };
    let post = next(&all);
    assert_eq!((&post["type"], &post["post"]["body"]), (&json!("post"), &json!("@bob it is out")), "{post}");
    assert_eq!(post["post"]["topic"], "general");
    let told = next(&all);
    assert_eq!((&told["type"], &told["notification"]["kind"]), (&json!("notification"), &json!("mention")), "{told}");
    assert!(told["position"].as_u64() > post["position"].as_u64());
    assert_eq!(next(&none)["type"], "notification");
}

#[test]
fn a_topic_forgets_after_its_retention() {
    let scene = Scene::new();
    let (alice, bob) = pair(&scene);
    let made = alice.ok(&["topic", "create", "builds", "--retention", "30d"]);
    assert_eq!(made["retention"], 30 * 24 * 3600);
    until("bob learns of it", || (topics(&bob).len() == 2).then_some(()));
    bob.ok(&["topic", "join", "builds"]);
    alice.ok(&["topic", "post", "builds", "build 1"]);
    let posts = |person: &Person| person.ok(&["topic", "history", "builds"])["posts"].as_array().unwrap().len();
    until("bob reads it", || (posts(&bob) == 1).then_some(()));
    bob.fails(&["topic", "retention", "builds", "1s"], 4, "refused");
    alice.fails(&["topic", "retention", "builds", "long"], 2, "usage");
    assert_eq!(alice.ok(&["topic", "retention", "builds", "1s"])["retention"], 1);
    until("both forget", || (posts(&alice) + posts(&bob) == 0).then_some(()));
    assert_eq!(alice.ok(&["topic", "retention", "builds", "forever"]).get("retention"), None);
}

#[test]
fn admins_compact() {
    let scene = Scene::new();
    let (alice, bob) = pair(&scene);
    for value in ["1", "2", "3"] {
        alice.ok(&["state", "set", "k", value]);
    }
    bob.fails(&["compact"], 4, "refused");
    let dropped = alice.ok(&["compact"])["dropped"].as_u64().unwrap();
    assert!((1..=2).contains(&dropped), "{dropped}");
    assert_eq!(alice.ok(&["state", "get", "k"])["value"], 3);
    until("bob has the value", || (bob.ok(&["state", "get", "k"])["value"] == 3).then_some(()));
}
