//! Topics, groups, notifications, state, memory and tasks: what is asked, and what scripts and readers see.

use std::sync::Mutex;

use claudemesh_client::ErrorKind;
use claudemesh_client::api::{Posts, StateEntries};
use serde_json::{Value, json};

use crate::testing::{Fake, ID, Setting, run, run_in};

fn page(args: &[&str]) -> String {
    let ran = run(Fake::default(), args);
    assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
    ran.out
}

/// Every verb, with the call it makes and what it asks for.
fn verbs() -> Vec<(Vec<&'static str>, &'static str, Value)> {
    let none = Value::Null;
    vec![
        (
            vec!["topic", "create", "deploys", "--purpose", "ships", "--private", "--member", "bob", "--member", "eve"],
            "topic_create",
            json!({
                "topic": "deploys", "purpose": "ships", "private": true, "members": ["bob", "eve"], "history": "all",
                "retention": none,
            }),
        ),
        (vec!["topic", "list", "--session", "ci"], "topics", json!({"joined": false, "session": "ci"})),
        (vec!["topic", "join", "#deploys"], "topic_join", json!({"topic": "#deploys"})),
        (vec!["topic", "leave", "deploys"], "topic_leave", json!({"topic": "deploys"})),
        (vec!["topic", "members", "deploys"], "topic_members", json!({"topic": "deploys"})),
        (
            vec!["topic", "add", "deploys", "bob", "--role", "lead"],
            "topic_member",
            json!({"topic": "deploys", "member": "bob", "role": "lead"}),
        ),
        (
            vec!["topic", "remove", "deploys", "bob"],
            "topic_member",
            json!({"topic": "deploys", "member": "bob", "role": none}),
        ),
        (
            vec!["topic", "post", "deploys", "hi", "--id", ID, "--reply-to", ID, "--session", "ci"],
            "topic_post",
            json!({"topic": "deploys", "text": "hi", "id": ID, "reply_to": ID, "session": "ci"}),
        ),
        (
            vec!["topic", "history", "deploys", "--limit", "7", "--before", "9.0", "--after", "1.0", "--thread", ID],
            "topic_posts",
            json!({"topic": "deploys", "after": "1.0", "before": "9.0", "thread": ID, "limit": 7, "wait_ms": 0}),
        ),
        (
            vec!["topic", "search", "h*", "--topic", "deploys", "--limit", "3"],
            "topic_search",
            json!({"text": "h*", "topic": "deploys", "limit": 3}),
        ),
        (
            vec!["topic", "read", "deploys", "--through", "9.0", "--session", "ci"],
            "topic_read",
            json!({"topic": "deploys", "through": "9.0", "session": "ci"}),
        ),
        (
            vec!["topic", "resolve", "deploys", ID, "--reopen"],
            "topic_resolve",
            json!({"topic": "deploys", "thread": ID, "reopen": true}),
        ),
        (
            vec!["group", "join", "@backend/api", "--role", "reviewer", "--member", "bob"],
            "group_join",
            json!({"group": "@backend/api", "role": "reviewer", "member": "bob"}),
        ),
        (vec!["group", "leave", "backend"], "group_leave", json!({"group": "backend", "role": none, "member": none})),
        (vec!["group", "list", "@backend"], "groups", json!({"group": "@backend"})),
        (vec!["notification", "list", "--all"], "notifications", json!({"all": true, "limit": 50})),
        (vec!["notification", "read", "1.3.0", "1.4.0"], "notification_read", json!({"ids": ["1.3.0", "1.4.0"]})),
        (vec!["notification", "read", "--all"], "notification_read", json!({"ids": []})),
        (vec!["state", "get", "k", "--topic", "deploys"], "state_get", json!({"key": "k", "topic": "deploys"})),
        (
            vec!["state", "set", "k", "3", "--ttl", "10m", "--request-id", ID],
            "state_set",
            json!({"key": "k", "value": 3, "expect": none, "ttl": 600, "topic": none, "request_id": ID}),
        ),
        (
            vec!["state", "cas", "k", "12.0", "{\"a\": [1]}", "--topic", "deploys"],
            "state_set",
            json!({
                "key": "k", "value": {"a": [1]}, "expect": "12.0", "ttl": none, "topic": "deploys", "request_id": none
            }),
        ),
        (
            vec!["state", "list", "deploy/"],
            "state_list",
            json!({"prefix": "deploy/", "after": none, "wait_ms": 0, "topic": none}),
        ),
        (
            vec!["state", "delete", "k", "--expect", "12.0", "--request-id", ID],
            "state_delete",
            json!({"key": "k", "expect": "12.0", "topic": none, "request_id": ID}),
        ),
        (
            vec!["remember", "text", "--tag", "a", "--tag", "b", "--id", ID, "--topic", "deploys"],
            "remember",
            json!({"text": "text", "tags": ["a", "b"], "id": ID, "topic": "deploys"}),
        ),
        (
            vec!["memory", "remember", "text"],
            "remember",
            json!({"text": "text", "tags": [], "id": none, "topic": none}),
        ),
        (vec!["recall"], "recall", json!({"text": none, "tags": [], "topic": none, "limit": 20})),
        (
            vec!["memory", "recall", "h*", "--tag", "a", "--limit", "3", "--topic", "deploys"],
            "recall",
            json!({"text": "h*", "tags": ["a"], "topic": "deploys", "limit": 3}),
        ),
        (vec!["forget", ID], "forget", json!({"id": ID})),
        (vec!["memory", "forget", ID], "forget", json!({"id": ID})),
        (
            vec!["task", "create", "build", "--body", "all", "--depends-on", "0190c2f4", "--assignee", "bob"],
            "task_create",
            json!({
                "title": "build", "body": "all", "depends_on": ["0190c2f4"], "assignee": "bob", "id": none, "topic": none
            }),
        ),
        (
            vec!["task", "list", "--state", "open", "--member", "bob", "--topic", "deploys"],
            "tasks",
            json!({"id": none, "state": "open", "member": "bob", "topic": "deploys", "limit": 100}),
        ),
        (
            vec!["task", "show", "0190c2f4"],
            "tasks",
            json!({"id": "0190c2f4", "state": none, "member": none, "topic": none, "limit": none}),
        ),
        (
            vec!["task", "claim", "0190c2f4", "--session", "ci", "--request-id", ID],
            "task_claim",
            json!({"id": "0190c2f4", "result": none, "fence": none, "session": "ci", "request_id": ID}),
        ),
        (
            vec!["task", "release", "0190c2f4", "--fence", "832"],
            "task_release",
            json!({"id": "0190c2f4", "result": none, "fence": 832, "session": none, "request_id": none}),
        ),
        (
            vec!["task", "complete", "0190c2f4", "--result", "built"],
            "task_complete",
            json!({"id": "0190c2f4", "result": "built", "fence": none, "session": none, "request_id": none}),
        ),
    ]
}

#[test]
fn everything_asked_for_is_passed_on() {
    for (args, call, request) in verbs() {
        let ran = run(Fake::default(), &[&args[..], &["--mesh", "team", "--json"]].concat());
        assert_eq!((ran.code, ran.calls()), (0, vec![call]), "{args:?}");
        assert_eq!(ran.call(call), &json!(["team", request]), "{args:?}");
        assert!(ran.json().is_object(), "{args:?}");
    }
}

#[test]
fn the_services_error_is_the_verbs() {
    for kind in [ErrorKind::NotFound, ErrorKind::Conflict, ErrorKind::Unreachable] {
        let streams = [vec!["topic", "tail", "deploys"], vec!["state", "watch"]];
        for args in verbs().into_iter().map(|(args, ..)| args).chain(streams) {
            let ran = run(Fake { failure: Some(kind), ..Fake::default() }, &[&args[..], &["--json"]].concat());
            assert_eq!((ran.code, &ran.error()["error"]["code"]), (kind.exit_code(), &json!(kind.code())), "{args:?}");
        }
    }
}

#[test]
fn hostile_text_reaches_no_terminal() {
    for (args, ..) in verbs() {
        for terminal in [false, true] {
            let fake = Fake { name: "b\u{1b}[2J\u{202e}\r\nob".into(), ..Fake::default() };
            let ran = run_in(fake, &args, Setting { terminal, ..Setting::default() });
            assert_eq!(ran.code, 0, "{args:?}");
            assert!(!ran.out.contains(['\u{1b}', '\u{202e}', '\r']), "{args:?}: {}", ran.out);
        }
    }
}

#[test]
fn topics_for_a_reader() {
    assert_eq!(page(&["topic", "create", "deploys"]), "made #deploys (private) [1a2b3c4d]\n");
    assert_eq!(
        page(&["topic", "list"]),
        "TOPIC               UNREAD  MENTIONS  YOU   LAST POST             PURPOSE\n\
         #deploys (private)  3       1         lead  2026-11-21 06:55 UTC  bob ships\n\
         incomplete: the key to epoch 2 of #deploys (private) is not here yet; a member who has it hands it on\n"
    );
    assert_eq!(page(&["topic", "join", "#deploys"]), "joined #deploys (private)\n");
    assert_eq!(page(&["topic", "leave", "deploys"]), "left #deploys (private)\n");
    assert_eq!(page(&["topic", "members", "deploys"]), "NAME  KEY       ROLE\nbob   b0b0b0b0  lead\n");
    assert_eq!(
        page(&["topic", "add", "deploys", "bob"]),
        "bob is now member of #deploys\n\nNAME  KEY       ROLE\nbob   b0b0b0b0  lead\n"
    );
    assert!(page(&["topic", "remove", "deploys", "bob"]).starts_with("removed bob from #deploys\n\n"));
    assert_eq!(page(&["topic", "read", "deploys"]), "#deploys (private): 0 unread\n");
    assert_eq!(page(&["topic", "resolve", "deploys", ID]), "the thread is resolved\n");
    assert_eq!(page(&["topic", "resolve", "deploys", ID, "--reopen"]), "the thread is open\n");
}

#[test]
fn posts_for_a_reader() {
    assert_eq!(page(&["topic", "post", "deploys", "hi"]), format!("accepted: in #deploys at 12.0\nid {ID}\n"));
    assert_eq!(
        run(Fake { connected: false, ..Fake::default() }, &["topic", "post", "#deploys", "hi"]).out,
        format!("queued: safe on this disk; it goes out to #deploys by itself\nid {ID}\n")
    );
    let head = "bob/work (b0b0b0b0)  2026-11-21 06:55 UTC";
    assert_eq!(
        page(&["topic", "history", "deploys"]),
        format!("{head}  at 12.0  answers {ID}  mentions alice\nid {ID}\n    hi\n    there\n\n")
    );
    assert_eq!(
        page(&["topic", "search", "hi"]),
        format!("{head}  #deploys  at 12.0  answers {ID}  mentions alice\nid {ID}\n    [hi] there\n\n")
    );
}

#[test]
fn groups_and_notifications_for_a_reader() {
    assert_eq!(page(&["group", "join", "@backend/api"]), "joined @backend/api: you; 1 member\n");
    assert_eq!(page(&["group", "leave", "backend", "--member", "bob"]), "left @backend: bob; 1 member\n");
    assert_eq!(
        page(&["group", "list"]),
        "GROUP         MEMBER  KEY       ROLE\n@backend/api  bob     b0b0b0b0  reviewer\n"
    );
    assert_eq!(
        page(&["notification", "list"]),
        format!(
            "1.3.0  mention  by bob (b0b0b0b0)  #deploys  2026-11-21 06:55 UTC  new\nid {ID}\n    staging is green, @alice\n\n"
        )
    );
    assert_eq!(page(&["notification", "read", "1.3.0"]), "marked 1 notification read\n");
}

#[test]
fn state_for_a_reader() {
    assert_eq!(page(&["state", "get", "k"]), "{\"a\":\"b\\nc\"}\n");
    assert_eq!(page(&["state", "set", "k", "3"]), "set k; version 12.0, until 2026-11-21 06:55 UTC\n");
    assert_eq!(page(&["state", "delete", "k"]), "deleted k; version 12.0\n");
    assert_eq!(
        page(&["state", "list"]),
        "KEY       VERSION  BY   UNTIL                 VALUE\nreplicas  12.0     bob  2026-11-21 06:55 UTC  3\n"
    );
}

#[test]
fn memory_for_a_reader() {
    assert_eq!(page(&["remember", "text"]), format!("remembered\nid {ID}\n"));
    assert_eq!(
        page(&["recall"]),
        format!(
            "bob (b0b0b0b0)  2026-11-21 06:55 UTC  #deploys  tags infra, db\nid {ID}\n    staging runs\n    PostgreSQL\n\n"
        )
    );
    assert_eq!(page(&["forget", ID]), format!("forgot {ID}\n"));
}

#[test]
fn tasks_for_a_reader() {
    assert_eq!(page(&["task", "create", "build"]), format!("made: build\nid {ID}\n"));
    assert_eq!(page(&["task", "claim", ID]), format!("claimed: build\nid {ID}  fence 832\n"));
    assert_eq!(page(&["task", "release", ID]), format!("released: build\nid {ID}\n"));
    assert_eq!(page(&["task", "complete", ID]), format!("completed: build\nid {ID}\n"));
    assert_eq!(page(&["task", "list"]), format!("{:36}  STATE  WHO  TITLE\n{ID}  done   bob  build\n", "ID"));
    assert_eq!(
        page(&["task", "show", ID]),
        format!(
            "build  done
  id          {ID}
  by          bob (b0b0b0b0), 2026-11-21 06:55 UTC
  topic       #deploys
  for         alice (a11ce000)
  after       {ID}
  claimed by  bob (b0b0b0b0), session ci
  fence       832
  body
    all
    of it
  result
    built
"
        )
    );
}

#[test]
fn a_value_is_json_or_else_a_string() {
    let set = |args: &[&str], stdin: &[u8]| {
        let args = [&["state", "set", "k"], args].concat();
        run_in(Fake::default(), &args, Setting { stdin, ..Setting::default() }).call("state_set")[1]["value"].clone()
    };
    for (argument, value) in [
        ("3", json!(3)),
        ("-1.5", json!(-1.5)),
        ("true", json!(true)),
        ("null", json!(null)),
        ("\"3\"", json!("3")),
        ("[1, {}]", json!([1, {}])),
        ("bob", json!("bob")),
        ("{broken", json!("{broken")),
        ("", json!("")),
        ("two\nlines\n", json!("two\nlines\n")),
    ] {
        assert_eq!(set(&[argument], b""), value, "{argument}");
    }
    for (stdin, value) in [
        (&b"{\n  \"a\": 1\n}\n"[..], json!({"a": 1})),
        (b"hello\n", json!("hello")),
        (b"two\nlines\n\n", json!("two\nlines\n")),
        (b"", json!("")),
    ] {
        assert_eq!(set(&["-"], stdin), value);
    }
    assert_eq!(run(Fake::default(), &["state", "cas", "k", "none", "x"]).call("state_set")[1]["expect"], "0.0");
}

#[test]
fn texts_that_cannot_be_kept_start_nothing() {
    for args in [
        &["topic", "post", "deploys"][..],
        &["remember"],
        &["task", "create", "title", "--body"],
        &["task", "complete", ID, "--result"],
    ] {
        for (stdin, says) in [(&b""[..], "empty"), (&[b'x', 0xff], "byte 1"), (&[b'x'; 64 * 1024 + 1], "64 KiB")] {
            let setting = Setting { stdin, ..Setting::default() };
            let ran = run_in(Fake::default(), &[args, &["-", "--json"]].concat(), setting);
            assert_eq!((ran.code, ran.calls().len()), (2, 0), "{args:?}");
            assert!(ran.error()["error"]["message"].as_str().unwrap().contains(says), "{args:?}");
        }
        let longest = [b'x'; 64 * 1024];
        let setting = Setting { stdin: &longest, ..Setting::default() };
        assert_eq!(run_in(Fake::default(), &[args, &["-"]].concat(), setting).code, 0, "{args:?}");
        assert_eq!(run(Fake::default(), &[args, &[""]].concat()).code, 2, "{args:?}");
    }
}

#[test]
fn nothing_to_show_is_said_beside_the_result() {
    let nothing = || Fake {
        posts: Mutex::new([Posts { posts: vec![], next: "0.0".into(), resolved: true }].into()),
        changes: Mutex::new([StateEntries { entries: vec![], next: "0.0".into() }].into()),
        ..Fake::default()
    };
    let history = run(nothing(), &["topic", "history", "deploys"]);
    assert_eq!((history.out.as_str(), history.err.as_str()), ("", "no posts\nthe thread is resolved\n"));
    assert_eq!(run(nothing(), &["state", "list"]).err, "no keys\n");
    let json = run(nothing(), &["topic", "history", "deploys", "--json"]);
    assert_eq!(json.json(), json!({"posts": [], "next": "0.0", "resolved": true}));
}

/// The lines of a stream until it is interrupted, and its first question.
fn tail(args: &[&str]) -> (Vec<String>, Value) {
    let fake = Fake::default();
    let batch = |posts: &[(&str, &str)], next: &str| Posts {
        posts: posts.iter().map(|(body, at)| fake.post(body, at)).collect(),
        next: next.into(),
        resolved: false,
    };
    let batches = [batch(&[("old", "5.0")], "6.0"), batch(&[("new", "7.0"), ("newer", "7.1")], "7.2")];
    let changes = |key: &str, next: &str| StateEntries { entries: vec![fake.entry(key, json!(1))], next: next.into() };
    let changes = [changes("old", "6.0"), changes("new", "7.0")];
    let fake = Fake { posts: Mutex::new(batches.into()), changes: Mutex::new(changes.into()), ..Fake::default() };
    let ran = run(fake, args);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
    let asked = ["topic_posts", "state_list"].into_iter().find(|call| ran.calls().contains(call)).unwrap();
    (ran.out.lines().map(str::to_owned).collect(), ran.call(asked)[1].clone())
}

#[test]
fn a_tail_is_one_object_a_line_until_interrupted() {
    let bodies = |args: &[&str]| {
        let (lines, asked) = tail(&[&["topic", "tail", "deploys", "--json"], args].concat());
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["body"].clone());
        (lines.collect::<Vec<_>>(), asked)
    };
    assert_eq!(bodies(&[]).0, ["new", "newer"]);
    let (shown, asked) = bodies(&["--last", "3"]);
    assert_eq!((shown, &asked["limit"]), (vec![json!("old"), json!("new"), json!("newer")], &json!(3)));
    let (shown, asked) = bodies(&["--after", "4.0"]);
    assert_eq!((shown, &asked["after"]), (vec![json!("old"), json!("new"), json!("newer")], &json!("4.0")));
    let (lines, _) = tail(&["topic", "tail", "deploys"]);
    assert_eq!((lines[2].as_str(), lines[6].as_str()), ("    new", "    newer"));
}

#[test]
fn a_watch_is_one_object_a_line_until_interrupted() {
    let keys = |args: &[&str]| {
        let (lines, asked) = tail(&[&["state", "watch", "--json"], args].concat());
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["key"].clone());
        (lines.collect::<Vec<_>>(), asked)
    };
    assert_eq!(keys(&[]).0, ["new"]);
    assert_eq!(keys(&["--current"]).0, ["old", "new"]);
    let (shown, asked) = keys(&["o", "--after", "4.0", "--topic", "deploys"]);
    assert_eq!(shown, ["old", "new"]);
    assert_eq!(asked, json!({"prefix": "o", "after": "4.0", "wait_ms": 0, "topic": "deploys"}));
    assert_eq!(tail(&["state", "watch"]).0, ["new  12.0  bob  1"]);
}

#[test]
fn what_is_sent_to_many_is_told_by_the_address() {
    for to in ["@backend/api", "#deploys", "*"] {
        let ran = run(Fake::default(), &["send", to, "hi"]);
        assert_eq!(ran.call("send")[1]["to"], json!([to]));
        assert_eq!(ran.out, format!("accepted: the broker has it for {to}\nid {ID}\n"));
    }
}
