//! Messages from a second home reach the session, and its sender learns what became of them.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;

use claudemesh_client::notices_in;
use claudemesh_tests::claude::{Api, Claude, Step};
use claudemesh_tests::e2e::{Person, Scene, until};
use serde_json::{Value, json};

const CHECK: &str = "mcp__plugin_claudemesh_mesh__check_inbox";

fn session(person: &Person, name: &str) -> Option<Value> {
    let sessions = person.ok(&["session", "list", "--all"]);
    sessions["sessions"].as_array()?.iter().find(|session| session["name"] == name).cloned()
}

/// Waits until a session is served through its socket, and its hooks have said that it does this.
fn is(person: &Person, name: &str, status: &str) {
    until(&format!("{name} is {status}"), || {
        let session = session(person, name)?;
        let fits = session["route"] == "socket" && session["source"] == "hook" && session["status"] == status;
        fits.then_some(())
    });
}

#[test]
fn a_message_wakes_an_idle_session_and_is_read_as_a_tool_result() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let api = Api::start();
    let mut claude = Claude::start(&bob, &api, "api", &[]);
    claude.say("hello");
    api.expects(&["hello"]);
    claude.turn_ends();
    is(&bob, "api", "idle");
    api.say(&[Step::Tool(CHECK, json!({})), Step::Text("read it")]);
    let id = alice.send("bob/api", "the canary sings", &[]);
    let asked = api.expects(&["1 from \\\"alice\\\""]);
    assert!(!asked.contains("the canary sings"), "the text came before it was asked for");
    alice.reaches(&id, "read");
    api.expects(&["| the canary sings", "another person", "tool_result"]);
    assert_eq!(alice.recipient(&id, "session"), "api");
    claude.turn_ends();
    claude.leave();
    until("the session has ended", || (session(&bob, "api")?["live"] == false).then_some(()));
}

#[test]
fn an_urgent_message_reaches_the_next_request_of_the_same_turn() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let api = Api::start();
    // In the session's folder: the host lets its tools read there.
    let folder = bob.home().join("work/api");
    std::fs::create_dir_all(&folder).unwrap();
    let gate = folder.join("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let mut claude = Claude::start(&bob, &api, "api", &[]);
    api.say(&[Step::Tool("Bash", json!({"command": "cat gate", "description": "waits"}))]);
    claude.say("wait at the gate");
    is(&bob, "api", "working");
    // The tool runs as soon as it reads.
    let mut opened = OpenOptions::new().write(true).open(&gate).unwrap();
    let waits = alice.send("bob/api", "no hurry", &["--wait", "delivered"]);
    let id = alice.send("bob/api", "stop at once", &["--priority", "now"]);
    until("the notice is written", || (session(&bob, "api")?["posted"].as_u64()? > 0).then_some(()));
    opened.write_all(b"open\n").unwrap();
    drop(opened);
    api.expects(&["tool_result", "Urgent: 1 message"]);
    alice.reaches(&id, "injected");
    claude.turn_ends();
    // The other is told when the turn has ended, and begins one.
    alice.reaches(&waits, "injected");
    claude.turn_ends();
    let requests = api.requests();
    assert_eq!(requests.last().map(|request| notices_in(request).len()), Some(2), "each is told once");
}

#[test]
fn sessions_stay_apart_and_a_resumed_one_keeps_its_name() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let (api_model, web_model) = (Api::start(), Api::start());
    let mut api = Claude::start(&bob, &api_model, "api", &[]);
    let mut web = Claude::start(&bob, &web_model, "web", &[]);
    api.say("hello");
    web.say("hello");
    api.turn_ends();
    web.turn_ends();
    is(&bob, "api", "idle");
    is(&bob, "web", "idle");
    let to_web = alice.send("bob/web", "for web", &[]);
    alice.reaches(&to_web, "injected");
    web.turn_ends();
    assert!(web_model.requests().iter().any(|request| !notices_in(request).is_empty()));
    assert!(api_model.requests().iter().all(|request| notices_in(request).is_empty()));
    let conversation = session(&bob, "api").unwrap()["host"]["id"].as_str().unwrap().to_owned();
    api.leave();
    let while_away = alice.send("bob/api", "see you", &["--wait", "delivered"]);
    let mut api = Claude::start(&bob, &api_model, "api", &["--resume", &conversation]);
    api.say("again");
    api.turn_ends();
    alice.reaches(&while_away, "injected");
    assert_eq!(session(&bob, "api").unwrap()["host"]["id"], conversation.as_str());
}

#[test]
fn a_killed_daemon_loses_and_repeats_nothing() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let api = Api::start();
    let mut claude = Claude::start(&bob, &api, "api", &[]);
    claude.say("hello");
    claude.turn_ends();
    is(&bob, "api", "idle");
    let first = alice.send("bob/api", "before", &[]);
    alice.reaches(&first, "injected");
    claude.turn_ends();
    assert_eq!(bob.kill(), 1);
    let second = alice.send("bob/api", "after", &[]);
    // Any verb starts the daemon again.
    bob.ok(&["session", "list"]);
    alice.reaches(&second, "injected");
    claude.turn_ends();
    api.say(&[Step::Tool(CHECK, json!({}))]);
    claude.say("read them");
    let asked = api.expects(&["| before", "| after"]);
    assert_eq!((asked.matches("| before").count(), asked.matches("| after").count()), (1, 1));
    assert_eq!(notices_in(&asked).len(), 2, "{asked}");
    alice.reaches(&first, "read");
    alice.reaches(&second, "read");
}
