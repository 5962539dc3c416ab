//! `send`: waiting, results, and texts that cannot be sent.

use claudemesh_client::api::State;
use serde_json::json;

use crate::testing::{Fake, ID, Ran, Setting, run, run_in};

fn fake(sent: State, waited: Option<State>) -> Fake {
    Fake { sent, waited, ..Fake::default() }
}

fn send_stdin(stdin: &[u8]) -> Ran {
    run_in(Fake::default(), &["send", "bob", "-", "--json"], Setting { stdin, ..Setting::default() })
}

#[test]
fn without_wait_it_glances_for_two_seconds() {
    let ran = run(Fake::default(), &["send", "bob", "hi", "--json"]);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.json(), json!({"id": ID, "state": "accepted", "to": [{"id": "b0b0b0b0b0b0b0b0", "name": "bob"}]}));
    assert_eq!(ran.call("wait"), &json!([null, {"id": ID, "state": "accepted", "timeout_ms": 2000}]));
}

#[test]
fn without_wait_a_message_that_stays_is_a_success() {
    for fake in [fake(State::Queued, Some(State::Queued)), fake(State::Queued, None)] {
        let ran = run(fake, &["send", "bob", "hi", "--json"]);
        assert_eq!((ran.code, &ran.json()["state"]), (0, &json!("queued")));
    }
}

#[test]
fn a_reached_state_is_not_waited_for() {
    let ran = run(fake(State::Delivered, None), &["send", "bob", "hi", "--wait", "accepted", "--json"]);
    assert_eq!((ran.code, ran.calls()), (0, vec!["send"]));
}

#[test]
fn an_unmet_wait_is_a_timeout_that_names_the_message() {
    for fake in [fake(State::Queued, Some(State::Accepted)), fake(State::Accepted, None)] {
        let ran = run(fake, &["send", "bob", "hi", "--wait", "read", "--timeout", "5", "--json"]);
        assert_eq!(ran.code, 5);
        let error = ran.error();
        assert_eq!((&error["error"]["code"], &error["sent"]["id"]), (&json!("timeout"), &json!(ID)));
        assert_eq!(error["sent"]["state"], "accepted");
        assert_eq!(ran.call("wait")[1]["timeout_ms"], 5000);
    }
}

#[test]
fn a_held_message_is_not_accepted() {
    let ran = run(fake(State::Held, Some(State::Held)), &["send", "bob", "hi", "--wait", "accepted"]);
    assert_eq!(ran.code, 5);
}

#[test]
fn refused_and_expired_exit_with_the_reason() {
    for (state, code) in [(State::Refused, "refused"), (State::Expired, "expired")] {
        for args in [&["send", "bob", "hi", "--json"][..], &["send", "bob", "hi", "--json", "--wait", "delivered"]] {
            let fake = Fake { reason: Some("bob was removed".into()), ..fake(State::Queued, Some(state)) };
            let ran = run(fake, args);
            assert_eq!(ran.code, 4);
            let error = ran.error();
            assert_eq!(error["error"]["code"], code);
            assert!(error["error"]["message"].as_str().unwrap().ends_with("bob was removed"));
        }
    }
}

#[test]
fn everything_asked_for_is_passed_on() {
    let ran = run(
        Fake::default(),
        &[
            "message",
            "send",
            "bob/work",
            "hi",
            "--priority",
            "now",
            "--id",
            ID,
            "--reply-to",
            ID,
            "--ttl",
            "7d",
            "--session",
            "ci",
            "--mesh",
            "team",
        ],
    );
    let request = json!({
        "to": ["bob/work"], "text": "hi", "priority": "now", "id": ID, "reply_to": ID, "ttl": 604_800, "session": "ci"
    });
    assert_eq!(ran.call("send"), &json!(["team", request]));
}

#[test]
fn standard_input_is_sent_to_the_byte() {
    let ran = send_stdin(b" two\nlines\n");
    assert_eq!((ran.code, &ran.call("send")[1]["text"]), (0, &json!(" two\nlines\n")));
    assert_eq!(send_stdin(&[b'x'; 128 * 1024]).code, 0);
}

#[test]
fn texts_that_cannot_be_sent_start_nothing() {
    for (stdin, says) in [
        (&b""[..], "empty"),
        (&[b'x', 0xff, 0xfe][..], "byte 1"),
        (&[b'x'; 128 * 1024 + 1][..], "128 KiB"),
        (&[b'x'; 1024 * 1024][..], "128 KiB"),
    ] {
        let ran = send_stdin(stdin);
        assert_eq!((ran.code, ran.calls().len()), (2, 0));
        let error = ran.error();
        assert_eq!(error["error"]["code"], "usage");
        assert!(error["error"]["message"].as_str().unwrap().contains(says), "{error}");
    }
    assert_eq!(run(Fake::default(), &["send", "bob", ""]).code, 2);
    assert_eq!(run(Fake::default(), &["send", "bob", &"x".repeat(128 * 1024 + 1)]).code, 2);
}

#[test]
fn a_reader_sees_how_far_it_got() {
    let page = |fake| run(fake, &["send", "bob", "hi"]).out;
    let id = format!("id {ID}\n");
    assert_eq!(page(Fake::default()), format!("accepted: the broker has it for bob\n{id}"));
    assert_eq!(
        page(Fake { connected: false, ..fake(State::Queued, None) }),
        format!("queued: the broker is unreachable; it goes out when it is back\n{id}")
    );
    assert_eq!(page(fake(State::Queued, None)), format!("queued: safe on this disk; it goes out by itself\n{id}"));
    let held = Fake { reason: Some("bob has no key yet".into()), ..fake(State::Held, None) };
    assert_eq!(page(held), format!("held: bob has no key yet; it goes out by itself\n{id}"));
    assert_eq!(page(fake(State::Read, None)), format!("read: bob has read it\n{id}"));
}
