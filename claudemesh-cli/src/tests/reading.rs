//! `inbox` and `listen`: nothing is marked or committed before it was printed.

use std::io;
use std::sync::Mutex;

use claudemesh_client::api::{Event, EventRecord, State};
use claudemesh_client::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::testing::{Fake, ID, Setting, alice, message, peer, run, run_in};

fn with_mail() -> Fake {
    let mut read = message("old");
    read.read = true;
    Fake { messages: vec![read, message("new\nlines")], ..Fake::default() }
}

fn with_events(events: Vec<(u64, Event)>) -> Fake {
    let events = events.into_iter().map(|(position, event)| Ok(EventRecord { position, event }));
    Fake { events: Mutex::new(events.collect()), ..Fake::default() }
}

fn arrival(session: &str) -> Event {
    let mut message = message("hi");
    message.session = session.into();
    Event::Message { message: Box::new(message) }
}

#[test]
fn what_was_printed_is_marked_and_only_then() {
    let ran = run(with_mail(), &["inbox", "--unread", "--wait", "5", "--limit", "7", "--session", "ci", "--json"]);
    assert_eq!(ran.steps(), ["inbox", "flush out", "mark_read"]);
    let query = json!({"unread": true, "limit": 7, "wait_ms": 5000, "session": "ci"});
    assert_eq!(ran.call("inbox"), &json!([null, query]));
    let unread = json!({"messages": [{"id": ID, "member": "b0b0b0b0b0b0b0b0"}], "session": "ci"});
    assert_eq!(ran.call("mark_read"), &json!([null, unread]));
}

#[test]
fn a_peek_marks_nothing() {
    assert_eq!(run(with_mail(), &["inbox", "--peek"]).calls(), ["inbox"]);
}

#[test]
fn what_could_not_be_printed_is_not_marked() {
    let broken = |kind| Setting { broken: Some(kind), ..Setting::default() };
    for args in [&["inbox"][..], &["inbox", "--json"]] {
        let gone = run_in(with_mail(), args, broken(io::ErrorKind::BrokenPipe));
        assert_eq!((gone.code, gone.calls(), gone.err.as_str()), (0, vec!["inbox"], ""));
        let full = run_in(with_mail(), args, broken(io::ErrorKind::StorageFull));
        assert_eq!((full.code, full.calls()), (8, vec!["inbox"]));
    }
}

#[test]
fn a_mark_that_fails_is_told() {
    let ran = run(Fake { mark_failure: Some(ErrorKind::Unreachable), ..with_mail() }, &["inbox"]);
    assert!(ran.code == 6 && ran.out.contains("new") && ran.err.contains("error:"));
}

#[test]
fn a_reader_sees_who_when_and_what() {
    let mut urgent = message("hello\n\u{1b}[2Jalice (a11ce000)  forged");
    urgent.priority = claudemesh_client::api::Priority::Now;
    urgent.from.session = "work".into();
    let ran = run(Fake { messages: vec![urgent], ..Fake::default() }, &["inbox"]);
    assert_eq!(
        ran.out,
        format!(
            "bob/work (b0b0b0b0)  2026-11-21 06:55 UTC  now  new\nid {ID}\n    hello\n    \\u{{1b}}[2Jalice (a11ce000)  forged\n\n"
        )
    );
    let empty = run(Fake::default(), &["inbox", "--unread"]);
    assert_eq!((empty.out.as_str(), empty.err.as_str()), ("", "nothing unread\n"));
}

#[test]
fn events_are_one_object_a_line_until_interrupted() {
    let receipt = Event::Receipt { id: ID.into(), member: alice(), state: State::Read, reason: None };
    let roster = Event::Roster { change: "member_joined".into(), member: Some(alice()), index: 4 };
    let presence = Event::Presence { peer: Box::new(peer("bob")) };
    let events = vec![(7, arrival("main")), (8, receipt), (9, roster), (9, presence), (9, Event::Lagged { missed: 3 })];
    let ran = run(with_events(events), &["listen", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["message", "receipt", "roster", "presence", "lagged"]);
    assert_eq!((&lines[0]["position"], &lines[0]["message"]["body"]), (&json!(7), &json!("hi")));
    assert_eq!(ran.calls(), ["events"]);
}

#[test]
fn a_consumer_commits_what_was_flushed_and_nothing_borrowed() {
    let presence = Event::Presence { peer: Box::new(peer("bob")) };
    let events = vec![(50, presence), (7, arrival("main")), (8, Event::Lagged { missed: 1 })];
    let ran = run(with_events(events), &["listen", "--consumer", "ci", "--json"]);
    assert_eq!(ran.call("events"), &json!([null, {"consumer": "ci", "after": null, "session": null}]));
    assert_eq!(ran.steps(), ["events", "flush out", "flush out", "ack", "flush out"]);
    assert_eq!(ran.call("ack"), &json!([null, {"consumer": "ci", "position": 7}]));
}

#[test]
fn a_consumer_commits_nothing_its_reader_did_not_get() {
    let setting = Setting { broken: Some(io::ErrorKind::BrokenPipe), ..Setting::default() };
    let ran = run_in(with_events(vec![(7, arrival("main"))]), &["listen", "--consumer", "ci"], setting);
    assert_eq!((ran.code, ran.calls()), (0, vec!["events"]));
}

#[test]
fn the_feed_is_that_of_the_session() {
    let asked = |args: &[&str]| run(with_events(Vec::new()), args).call("events")[1]["session"].clone();
    assert_eq!(asked(&["listen", "--json"]), json!(null));
    assert_eq!(asked(&["listen", "--session", "work"]), json!("work"));
}

#[test]
fn a_feed_that_ends_or_fails_is_an_error() {
    let ended = run(Fake { feed_ends: true, ..with_events(Vec::new()) }, &["listen", "--json"]);
    assert_eq!((ended.code, &ended.error()["error"]["code"]), (6, &json!("unreachable")));
    let fake = Fake::default();
    fake.events.lock().unwrap().push_back(Err(Error::new(ErrorKind::Conflict, "another reader took over")));
    assert_eq!(run(fake, &["listen"]).code, 7);
}

#[test]
fn events_for_a_reader() {
    let receipt = Event::Receipt { id: ID.into(), member: alice(), state: State::Refused, reason: Some("full".into()) };
    let roster = Event::Roster { change: "member_joined".into(), member: Some(alice()), index: 4 };
    let presence = Event::Presence { peer: Box::new(peer("b\u{202e}ob")) };
    let events = vec![(8, receipt), (9, roster), (9, presence), (9, Event::Lagged { missed: 1 })];
    assert_eq!(
        run(with_events(events), &["listen"]).out,
        format!(
            "refused  alice (a11ce000)  {ID}  full\nmember joined  alice (a11ce000)  #4\n\
             b\\u{{202e}}ob is working  tests\nlagged: 1 event went by unseen; this reader was too slow\n"
        )
    );
}
