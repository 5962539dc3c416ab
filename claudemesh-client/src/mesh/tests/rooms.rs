//! Handles of conversations and shared knowledge: what a program chose is what is asked.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::recorder::Recorder;
use super::*;
use crate::error::ErrorKind;

const ID: &str = "018f4d0e-0000-7000-8000-000000000001";

fn recorded() -> (Arc<Recorder>, Mesh) {
    let far_end = Arc::<Recorder>::default();
    let backend = Arc::new(Backend::new(far_end.clone(), None, false));
    let mesh = api::MeshRef { id: "feed".into(), label: "team".into() };
    (far_end, Mesh { backend, mesh, session: Some("ci".into()) })
}

fn topic() -> Value {
    json!({"id": "1a2b3c4d", "name": "deploys", "private": false, "joined": true, "unread": 0, "mentions": 0})
}

fn post(body: &str, at: &str) -> Value {
    let from = json!({"member": "b0b0", "name": "bob", "session": "main"});
    json!({"id": ID, "topic": "deploys", "at": at, "from": from, "body": body, "sent_at": "2026-01-01T00:00:00Z"})
}

fn posts(posts: &[(&str, &str)], next: &str) -> Value {
    let posts: Vec<Value> = posts.iter().map(|(body, at)| post(body, at)).collect();
    json!({"posts": posts, "next": next})
}

fn entry(key: &str, value: Value, version: &str) -> Value {
    json!({"key": key, "value": value, "version": version, "by": {"id": "b0b0", "name": "bob"}})
}

fn task(fence: u64) -> Value {
    json!({
        "id": ID, "title": "build", "state": "claimed", "by": {"id": "b0b0", "name": "bob"},
        "at": "2026-01-01T00:00:00Z", "fence": fence
    })
}

#[tokio::test]
async fn topics_are_made_followed_and_kept() {
    let (far_end, mesh) = recorded();
    for _ in 0..3 {
        far_end.answer(topic());
    }
    far_end.answer(json!({"topics": [topic()]}));
    let made = mesh.create_topic("deploys").purpose("what goes out").private().member("bob").member("eve");
    assert_eq!(made.history(api::History::Joining).await.unwrap().name, "deploys");
    let deploys = mesh.topic("deploys");
    deploys.join().await.unwrap();
    deploys.leave().await.unwrap();
    assert_eq!(mesh.topics().await.unwrap().len(), 1);
    let made = json!({
        "topic": "deploys", "purpose": "what goes out", "private": true, "members": ["bob", "eve"], "history": "joining"
    });
    let named = json!({"topic": "deploys"});
    assert_eq!(
        far_end.asked(),
        [
            ("topic_create", made),
            ("topic_join", named.clone()),
            ("topic_leave", named),
            ("topics", json!({"joined": false, "session": "ci"})),
        ]
    );
}

#[tokio::test]
async fn members_of_a_topic_are_set_and_removed() {
    let (far_end, mesh) = recorded();
    let deploys = mesh.topic("#deploys");
    for _ in 0..3 {
        far_end
            .answer(json!({"topic": "deploys", "members": [{"member": {"id": "b", "name": "bob"}, "role": "lead"}]}));
    }
    assert_eq!(deploys.members().await.unwrap()[0].role, api::TopicRole::Lead);
    deploys.set_member("bob", api::TopicRole::Observer).await.unwrap();
    deploys.remove_member("bob").await.unwrap();
    let change = json!({"topic": "#deploys", "member": "bob"});
    let asked = far_end.asked();
    assert_eq!(asked[1], ("topic_member", json!({"topic": "#deploys", "member": "bob", "role": "observer"})));
    assert_eq!(asked[2], ("topic_member", change));
}

#[tokio::test]
async fn posts_are_written_read_searched_and_settled() {
    let (far_end, mesh) = recorded();
    let deploys = mesh.topic("deploys");
    far_end.answer(json!({"id": ID, "topic": "deploys", "state": "accepted", "at": "12.0"}));
    far_end.answer(posts(&[("hi", "12.0")], "13.0"));
    far_end.answer(json!({"hits": [{"post": post("hi", "12.0"), "snippet": "[hi]"}]}));
    far_end.answer(topic());
    far_end.answer(topic());
    far_end.answer(posts(&[], "13.0"));
    far_end.answer(posts(&[], "13.0"));
    assert_eq!(deploys.post("hi").id(ID).reply_to(ID).await.unwrap().at.as_deref(), Some("12.0"));
    let read = deploys.history().after("1.0").before("20.0").thread(ID).limit(7).await.unwrap();
    assert_eq!((read.posts[0].body.as_str(), read.next.as_str()), ("hi", "13.0"));
    assert_eq!(deploys.search("h*").limit(3).await.unwrap()[0].snippet, "[hi]");
    deploys.mark_read("12.0").await.unwrap();
    deploys.mark_read(None).await.unwrap();
    deploys.resolve(ID).await.unwrap();
    deploys.reopen(ID).await.unwrap();
    let query = json!({"topic": "deploys", "after": "1.0", "before": "20.0", "thread": ID, "limit": 7, "wait_ms": 0});
    assert_eq!(
        far_end.asked(),
        [
            ("topic_post", json!({"topic": "deploys", "text": "hi", "id": ID, "reply_to": ID, "session": "ci"})),
            ("topic_posts", query),
            ("topic_search", json!({"text": "h*", "topic": "deploys", "limit": 3})),
            ("topic_read", json!({"topic": "deploys", "through": "12.0", "session": "ci"})),
            ("topic_read", json!({"topic": "deploys", "session": "ci"})),
            ("topic_resolve", json!({"topic": "deploys", "thread": ID, "reopen": false})),
            ("topic_resolve", json!({"topic": "deploys", "thread": ID, "reopen": true})),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_tail_starts_now_or_where_it_is_told() {
    let (far_end, mesh) = recorded();
    let deploys = mesh.topic("deploys");
    for (tail, first, old) in [
        (deploys.tail(), json!({"limit": 1}), 0),
        (deploys.tail().last(3), json!({"limit": 3}), 1),
        (deploys.tail().after("5.0"), json!({"after": "5.0"}), 1),
    ] {
        far_end.answer(posts(&[("old", "12.0")], "12.1"));
        far_end.answer(posts(&[("new", "13.0"), ("newer", "13.1")], "13.2"));
        far_end.answer(posts(&[], "14.0"));
        let mut tail = tail.await.unwrap();
        let mut bodies = Vec::new();
        let last = loop {
            match tail.next().await.unwrap() {
                Ok(post) => bodies.push(post.body),
                Err(error) => break error.kind(),
            }
        };
        assert_eq!(last, ErrorKind::Internal);
        assert!(tail.next().await.is_none());
        assert_eq!(bodies, [&["old"][..old], &["new", "newer"]].concat());
        let asked = far_end.asked();
        for (name, value) in first.as_object().unwrap() {
            assert_eq!(&asked[0].1[name], value);
        }
        assert_eq!(asked[0].1["wait_ms"], 0);
        let places: Vec<&Value> = asked[1..].iter().map(|(_, query)| &query["after"]).collect();
        assert_eq!(places, ["12.1", "13.2", "14.0"]);
        assert!(asked[1..].iter().all(|(_, query)| query["wait_ms"] == poll::WAIT_MS && query.get("limit").is_none()));
    }
}

#[tokio::test]
async fn state_is_typed_and_versioned() {
    let (far_end, mesh) = recorded();
    let state = mesh.state();
    for _ in 0..2 {
        far_end.answer(entry("k", json!(3), "12.0"));
    }
    for _ in 0..2 {
        far_end.answer(entry("k", Value::Null, "13.0"));
    }
    assert_eq!(state.get::<u32>("k").await.unwrap(), 3);
    assert_eq!(state.get::<String>("k").await.unwrap_err().kind(), ErrorKind::Usage);
    state.delete("k").await.unwrap();
    mesh.topic("deploys").state().compare_and_delete("k", "12.0").await.unwrap();
    assert_eq!(
        far_end.asked()[1..],
        [
            ("state_get", json!({"key": "k"})),
            ("state_delete", json!({"key": "k"})),
            ("state_delete", json!({"key": "k", "expect": "12.0", "topic": "deploys"})),
        ]
    );
}

#[tokio::test]
async fn state_is_set_as_asked() {
    let (far_end, mesh) = recorded();
    for _ in 0..3 {
        far_end.answer(entry("k", json!(3), "12.0"));
    }
    let state = mesh.topic("deploys").state();
    state.set("k", json!({"a": [1]})).ttl(Duration::from_secs(60)).await.unwrap();
    state.compare_and_set("k", "12.0", 4).await.unwrap();
    state.compare_and_set("k", None, "x").await.unwrap();
    assert_eq!(
        far_end.asked(),
        [
            ("state_set", json!({"key": "k", "value": {"a": [1]}, "ttl": 60, "topic": "deploys"})),
            ("state_set", json!({"key": "k", "value": 4, "expect": "12.0", "topic": "deploys"})),
            ("state_set", json!({"key": "k", "value": "x", "expect": "0.0", "topic": "deploys"})),
        ]
    );
    let no_json = std::collections::BTreeMap::from([([1, 2], "keys are texts")]);
    assert_eq!(state.set("k", no_json).await.unwrap_err().kind(), ErrorKind::Usage);
    assert!(far_end.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn changes_start_now_or_where_they_are_told() {
    let (far_end, mesh) = recorded();
    let state = mesh.state();
    for (watch, after, old) in [
        (state.watch("deploy/"), None, 0),
        (state.watch("deploy/").with_current(), None, 1),
        (state.watch("deploy/").after("3.0"), Some("3.0"), 1),
    ] {
        far_end.answer(json!({"entries": [entry("deploy/a", json!(1), "4.0")], "next": "5.0"}));
        far_end.answer(json!({"entries": [entry("deploy/b", json!(2), "6.0")], "next": "6.0"}));
        let mut changes = watch.await.unwrap();
        let mut keys = Vec::new();
        while let Some(Ok(change)) = changes.next().await {
            keys.push(change.key);
        }
        assert_eq!(keys, [&["deploy/a"][..old], &["deploy/b"]].concat());
        let asked = far_end.asked();
        assert_eq!(asked[0].1.get("after").and_then(Value::as_str), after);
        let query = json!({"prefix": "deploy/", "after": "5.0", "wait_ms": poll::WAIT_MS});
        assert_eq!(asked[1], ("state_list", query));
    }
    far_end.answer(json!({"entries": [entry("a", json!(1), "4.0")], "next": "5.0"}));
    assert_eq!(state.list(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn memory_is_kept_found_and_forgotten() {
    let (far_end, mesh) = recorded();
    let memory = json!({
        "id": ID, "text": "t", "tags": ["infra"], "by": {"id": "b0b0", "name": "bob"}, "at": "2026-01-01T00:00:00Z"
    });
    far_end.answer(memory.clone());
    far_end.answer(json!({"memories": [memory]}));
    far_end.answer(memory);
    mesh.topic("deploys").memory().remember("t").tag("infra").tag("db").id(ID).await.unwrap();
    assert_eq!(mesh.memory().recall().text("t*").tag("infra").limit(3).await.unwrap()[0].text, "t");
    mesh.memory().forget(ID).await.unwrap();
    assert_eq!(
        far_end.asked(),
        [
            ("remember", json!({"text": "t", "tags": ["infra", "db"], "id": ID, "topic": "deploys"})),
            ("recall", json!({"text": "t*", "tags": ["infra"], "limit": 3})),
            ("forget", json!({"id": ID})),
        ]
    );
}

#[tokio::test]
async fn a_claimed_task_is_finished_under_its_claim() {
    let (far_end, mesh) = recorded();
    let tasks = mesh.topic("deploys").tasks();
    for _ in 0..6 {
        far_end.answer(task(768));
    }
    tasks.create("build").body("all of it").depends_on("a").depends_on("b").assignee("bob").id(ID).await.unwrap();
    let claimed = tasks.claim("018f4d0e").await.unwrap();
    claimed.release().await.unwrap();
    claimed.complete("").await.unwrap();
    tasks.release(ID).await.unwrap();
    tasks.complete(ID, "built").await.unwrap();
    let made = json!({
        "title": "build", "body": "all of it", "depends_on": ["a", "b"], "assignee": "bob", "id": ID, "topic": "deploys"
    });
    assert_eq!(
        far_end.asked(),
        [
            ("task_create", made),
            ("task_claim", json!({"id": "018f4d0e", "session": "ci"})),
            ("task_release", json!({"id": ID, "fence": 768, "session": "ci"})),
            ("task_complete", json!({"id": ID, "fence": 768, "session": "ci"})),
            ("task_release", json!({"id": ID, "session": "ci"})),
            ("task_complete", json!({"id": ID, "result": "built", "session": "ci"})),
        ]
    );
}

#[tokio::test]
async fn tasks_are_listed_and_shown() {
    let (far_end, mesh) = recorded();
    far_end.answer(json!({"tasks": [task(1)]}));
    far_end.answer(json!({"tasks": [task(1)]}));
    far_end.answer(json!({"tasks": []}));
    let listed = mesh.tasks().list().state(api::TaskState::Open).member("bob").limit(3);
    assert_eq!(listed.await.unwrap().len(), 1);
    assert_eq!(mesh.tasks().show(ID).await.unwrap().title, "build");
    assert_eq!(mesh.tasks().show(ID).await.unwrap_err().kind(), ErrorKind::NotFound);
    let asked = far_end.asked();
    assert_eq!(asked[0], ("tasks", json!({"state": "open", "member": "bob", "limit": 3})));
    assert_eq!(asked[1], ("tasks", json!({"id": ID})));
}

#[tokio::test]
async fn groups_are_joined_left_and_listed() {
    let (far_end, mesh) = recorded();
    let group = json!({"group": "backend/api", "members": [{"member": {"id": "b0b0", "name": "bob"}}]});
    far_end.answer(group.clone());
    far_end.answer(group.clone());
    far_end.answer(json!({"groups": [group]}));
    mesh.groups().join("backend/api").role("reviewer").member("bob").await.unwrap();
    mesh.groups().leave("backend/api").member("bob").await.unwrap();
    assert_eq!(mesh.groups().list("backend").await.unwrap().len(), 1);
    assert_eq!(
        far_end.asked(),
        [
            ("group_join", json!({"group": "backend/api", "role": "reviewer", "member": "bob"})),
            ("group_leave", json!({"group": "backend/api", "member": "bob"})),
            ("groups", json!({"group": "backend"})),
        ]
    );
}

#[tokio::test]
async fn marking_none_is_not_marking_all() {
    let (far_end, mesh) = recorded();
    let notifications = mesh.notifications();
    far_end.answer(json!({"notifications": []}));
    far_end.answer(json!({"marked": 2}));
    far_end.answer(json!({"marked": 9}));
    assert!(notifications.list().all().limit(3).await.unwrap().is_empty());
    assert_eq!(notifications.mark_read([]).await.unwrap(), 0);
    assert_eq!(notifications.mark_read(["1.3.0".to_owned(), "1.4.0".to_owned()]).await.unwrap(), 2);
    assert_eq!(notifications.mark_all_read().await.unwrap(), 9);
    assert_eq!(
        far_end.asked(),
        [
            ("notifications", json!({"all": true, "limit": 3})),
            ("notification_read", json!({"ids": ["1.3.0", "1.4.0"]})),
            ("notification_read", json!({"ids": []})),
        ]
    );
}
