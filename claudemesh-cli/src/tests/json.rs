//! Results as scripts see them.

use serde_json::{Value, json};

use crate::testing::{Fake, LINK, Setting, message, run, run_in};

/// The object's keys, and that each of these is among them.
fn has(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "{key} in {value}");
    }
}

#[test]
fn up_tells_everything_once() {
    let first = run(Fake::default(), &["up", "--json", "--mesh", "team", "--name", "alice"]);
    assert_eq!(first.code, 0);
    let result = first.json();
    has(&result, &["mesh", "broker", "member", "link", "recovery_key"]);
    assert_eq!(result["mesh"], json!({"id": "feedfacefeedface", "label": "team"}));
    assert_eq!(first.call("up")["mesh"], "team");
    assert_eq!(first.call("up")["name"], "alice");
    let later = run(Fake { created: false, ..Fake::default() }, &["up", "--json"]).json();
    assert!(later.get("recovery_key").is_none());
}

#[test]
fn up_in_the_foreground_serves_until_told_to_stop() {
    let ran = run(Fake::default(), &["up", "--foreground", "--json"]);
    assert_eq!((ran.code, ran.calls()), (0, vec!["up", "shutdown"]));
    assert_eq!(ran.json()["link"], LINK);
}

#[test]
fn down_is_the_same_whatever_ran() {
    let ran = run(Fake::default(), &["down", "--json"]);
    assert_eq!((ran.code, ran.json()), (0, json!({"stopped": true})));
}

#[test]
fn invites() {
    let ran = run(Fake::default(), &["invite", "--json", "--uses", "3", "--expires", "12h", "--name-hint", "bob"]);
    has(&ran.json(), &["id", "link", "expires_at", "uses"]);
    assert_eq!(
        ran.call("invite"),
        &json!([null, {"uses": 3, "expires_in": 43200, "role": "member", "name_hint": "bob"}])
    );
    assert!(run(Fake::default(), &["invite", "list", "--json"]).json()["invites"].is_array());
    let revoked = run(Fake::default(), &["--json", "invite", "revoke", "5d41a02b", "--mesh", "team"]);
    assert_eq!(revoked.call("invite_revoke"), &json!(["team", "5d41a02b"]));
    has(&revoked.json(), &["id", "state"]);
}

#[test]
fn joining_by_argument_bare_link_and_standard_input() {
    let pasted = format!("\n  {LINK}\r\n");
    let setting = Setting { stdin: pasted.as_bytes(), ..Setting::default() };
    for ran in [
        run(Fake::default(), &["join", LINK, "--name", "bob", "--json"]),
        run(Fake::default(), &["--json", LINK, "--name", "bob"]),
        run_in(Fake::default(), &["join", "-", "--name", "bob", "--json"], setting),
    ] {
        has(&ran.json(), &["mesh", "member"]);
        assert_eq!(ran.call("join")["link"], LINK);
        assert_eq!(ran.call("join")["name"], "bob");
    }
    let labelled = run(Fake::default(), &["join", LINK, "--mesh", "work"]);
    assert_eq!(labelled.call("join")["label"], "work");
}

#[test]
fn lists_are_inside_one_object() {
    for (args, key) in [
        (&["peers"][..], "peers"),
        (&["peer", "list"], "peers"),
        (&["member", "list"], "members"),
        (&["mesh", "list"], "meshes"),
        (&["inbox"], "messages"),
        (&["message", "inbox"], "messages"),
        (&["status"], "meshes"),
    ] {
        let mut args = args.to_vec();
        args.push("--json");
        assert!(run(Fake::default(), &args).json()[key].is_array(), "{args:?}");
    }
    let peers = run(Fake::default(), &["peers", "--all", "--json"]);
    assert_eq!(peers.call("peers"), &json!([null, true]));
    has(&peers.json()["peers"][0], &["member", "name", "role", "online", "status", "summary", "devices", "sessions"]);
}

#[test]
fn presence() {
    let set = run(Fake::default(), &["status", "set", "working", "--json", "--mesh", "team"]);
    assert_eq!(set.call("set_presence"), &json!(["team", {"status": "working", "summary": null, "session": null}]));
    has(&set.json(), &["mesh", "member", "status", "summary"]);
    let summary = run(Fake::default(), &["summary", "tests", "--json"]);
    assert_eq!(summary.call("set_presence"), &json!([null, {"status": null, "summary": "tests", "session": null}]));
    let of_session = run(Fake::default(), &["status", "set", "dnd", "--session", "api"]);
    assert_eq!(of_session.call("set_presence")[1]["session"], "api");
    let clear = run(Fake::default(), &["summary", "--clear"]);
    assert_eq!(clear.call("set_presence")[1]["summary"], "");
    has(&run(Fake::default(), &["whoami", "--json"]).json(), &["mesh", "member", "role", "device"]);
}

#[test]
fn sessions_of_this_device() {
    let listed = run(Fake::default(), &["session", "list", "--all", "--json"]);
    assert_eq!(listed.call("sessions"), &json!([null, {"all": true}]));
    has(&listed.json()["sessions"][0], &["name", "status", "source", "route", "lead", "unread", "posted", "paused"]);
    let limits = run(Fake::default(), &["session", "limit", "--exchange", "5", "--json"]);
    assert_eq!(limits.call("session_limits"), &json!([null, {"exchange": 5, "hourly": null}]));
    assert_eq!(limits.json(), json!({"exchange": 5, "hourly": 60}));
    let allowed = run(Fake::default(), &["allow", "bob", "--json"]);
    assert_eq!(allowed.call("session_permit"), &json!([null, {"member": "bob", "revoke": false}]));
    has(&allowed.json()["members"][0], &["id", "name"]);
    assert_eq!(run(Fake::default(), &["allow", "--revoke"]).code, 2);
}

#[test]
fn a_hook_tells_and_hands_over_and_never_fails() {
    let event = json!({"session_id": "s1", "cwd": "/srv/api", "stop_hook_active": false}).to_string();
    let setting = Setting { stdin: event.as_bytes(), ..Setting::default() };
    let ran = run_in(Fake::default(), &["hook", "stop"], setting);
    assert_eq!((ran.code, ran.calls()), (0, vec!["session_event"]));
    let told = &ran.call("session_event")[1];
    assert_eq!((&told["event"], &told["may_hand"]), (&json!("stop"), &json!(true)));
    assert_eq!((&told["host"]["id"], &told["host"]["cwd"]), (&json!("s1"), &json!("/srv/api")));
    assert_eq!(ran.json()["decision"], "block");
    let broken = Fake { failure: Some(claudemesh_client::ErrorKind::Internal), ..Fake::default() };
    let ran = run(broken, &["hook", "prompt"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", ""));
}

#[test]
fn meshes_and_members_change() {
    for (args, verb, about) in [
        (&["mesh", "use", "team"][..], "mesh_use", json!("team")),
        (&["mesh", "rename", "team", "new"], "mesh_rename", json!(["team", "new"])),
        (&["mesh", "leave", "team", "--yes"], "mesh_leave", json!("team")),
        (&["mesh", "delete", "team", "--yes"], "mesh_delete", json!("team")),
        (&["member", "remove", "bob", "--yes"], "member_remove", json!([null, "bob"])),
        (&["member", "role", "bob", "admin"], "member_role", json!([null, "bob", "admin"])),
    ] {
        let mut args = args.to_vec();
        args.push("--json");
        let ran = run(Fake::default(), &args);
        assert_eq!((ran.code, ran.call(verb)), (0, &about), "{args:?}");
        assert!(ran.json().is_object());
    }
}

#[test]
fn text_of_others_is_left_as_it_is() {
    let fake = Fake { messages: vec![message("\u{1b}[31m\u{202e}x")], ..Fake::default() };
    assert_eq!(run(fake, &["inbox", "--json"]).json()["messages"][0]["body"], "\u{1b}[31m\u{202e}x");
}

#[test]
fn completions_are_scripts() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(Fake::default(), &["completions", shell]);
        assert!(ran.code == 0 && ran.out.contains("claudemesh") && ran.calls().is_empty(), "{shell}");
    }
}
