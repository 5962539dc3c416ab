//! `--json=FIELDS`: the fields asked for, and an error before anything is done when there is no such field.

use std::ffi::OsString;

use claudemesh_client::api::{Event, EventRecord};
use serde_json::{Value, json};

use crate::args;
use crate::projection::Schema;
use crate::testing::{Fake, ID, LINK, message, run};

/// Every verb that answers with one object.
const VERBS: &[&[&str]] = &[
    &["up"],
    &["down"],
    &["invite"],
    &["invite", "list"],
    &["invite", "revoke", "5d41a02b"],
    &["join", LINK],
    &["send", "bob", "hi"],
    &["message", "status", ID],
    &["inbox"],
    &["peers"],
    &["topic", "create", "deploys"],
    &["topic", "list"],
    &["topic", "join", "deploys"],
    &["topic", "members", "deploys"],
    &["topic", "add", "deploys", "bob"],
    &["topic", "post", "deploys", "hi"],
    &["topic", "history", "deploys"],
    &["topic", "search", "hi"],
    &["topic", "read", "deploys"],
    &["topic", "resolve", "deploys", ID],
    &["group", "join", "@backend"],
    &["group", "list"],
    &["notification", "list"],
    &["notification", "read", "3"],
    &["state", "get", "k"],
    &["state", "list"],
    &["remember", "hi"],
    &["recall"],
    &["forget", ID],
    &["task", "claim", ID],
    &["task", "list"],
    &["task", "show", ID],
    &["summary", "hi"],
    &["status"],
    &["status", "set", "idle"],
    &["whoami"],
    &["mesh", "list"],
    &["mesh", "use", "team"],
    &["member", "list"],
    &["member", "role", "bob", "admin"],
    &["session", "list"],
    &["session", "limit"],
    &["allow", "bob"],
];

fn fake() -> Fake {
    Fake { messages: vec![message("hi")], ..Fake::default() }
}

fn asked(args: &[&str], fields: &str) -> Value {
    run(fake(), &[args, &[&format!("--json={fields}")]].concat()).json()
}

fn schema(args: &[&str]) -> Schema {
    let line = std::iter::once("claudemesh").chain(args.iter().copied()).map(OsString::from);
    match args::parse(line) {
        Ok(cli) => cli.command.answer().unwrap(),
        Err(error) => panic!("{args:?}: {error}"),
    }
}

/// The paths of a value's fields.
fn paths(value: &Value, above: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
                paths(value, &path, found);
                found.push(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| paths(item, above, found)),
        _ => {}
    }
}

#[test]
fn every_field_that_is_printed_can_be_asked_for() {
    for args in VERBS {
        let (schema, whole) = (schema(args), run(fake(), &[args, &["--json"][..]].concat()).json());
        let mut found = Vec::new();
        paths(&whole, "", &mut found);
        assert!(!found.is_empty(), "{args:?}");
        for path in &found {
            assert!(schema.has(path), "{path} of {args:?}");
        }
        assert_eq!(asked(args, &found.join(",")), whole, "{args:?}");
        assert!(!schema.has("absent"), "{args:?}");
    }
}

#[test]
fn an_unknown_field_does_nothing() {
    for args in VERBS {
        let ran = run(fake(), &[args, &["--json=absent"][..]].concat());
        assert_eq!((ran.code, ran.calls().len()), (2, 0), "{args:?}");
        let error = ran.error();
        let message = error["error"]["message"].as_str().unwrap();
        assert!(error["error"]["code"] == "usage" && message.contains("absent") && message.contains("there are: "));
    }
}

#[test]
fn lists_keep_their_object_and_the_fields_of_their_items() {
    assert_eq!(asked(&["peers"], "name,online"), json!({"peers": [{"name": "bob", "online": true}]}));
    assert_eq!(asked(&["inbox"], "from.name,body"), json!({"messages": [{"from": {"name": "bob"}, "body": "hi"}]}));
    assert_eq!(asked(&["topic", "history", "deploys"], "at,next"), json!({"posts": [{"at": "12.0"}], "next": "13.0"}));
    assert_eq!(asked(&["send", "bob", "hi"], "id,to.name"), json!({"id": ID, "to": [{"name": "bob"}]}));
    assert_eq!(asked(&["state", "get", "k"], "value.a,value.b"), json!({"value": {"a": "b\nc"}}));
}

#[test]
fn events_are_cut_each() {
    let fake = fake();
    let records = [Event::Message { message: Box::new(message("hi")) }, Event::Lagged { missed: 3 }];
    let records = records.into_iter().map(|event| Ok(EventRecord { position: 7, event }));
    fake.events.lock().unwrap().extend(records);
    let ran = run(fake, &["listen", "--json=type,message.body"]);
    assert_eq!(ran.out, "{\"message\":{\"body\":\"hi\"},\"type\":\"message\"}\n{\"type\":\"lagged\"}\n");
}

#[test]
fn errors_are_whole() {
    let fake = Fake { failure: Some(claudemesh_client::ErrorKind::Conflict), ..Fake::default() };
    let error = run(fake, &["state", "cas", "k", "12.0", "x", "--json=version"]).error();
    assert_eq!((&error["error"]["code"], &error["error"]["hint"]), (&json!("conflict"), &json!("do something else")));
}
