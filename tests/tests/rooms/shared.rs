use claudemesh_client::{ErrorKind, Mesh, api};
use serde_json::json;

use crate::town::{Town, calls, until};

fn set(key: &str, value: serde_json::Value, expect: Option<String>) -> api::StateSet {
    api::StateSet { key: key.into(), value, expect, ..Default::default() }
}

fn key(name: &str) -> api::StateKey {
    api::StateKey { key: name.into(), topic: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn state_is_seen_by_all_and_compared_before_it_is_set() {
    let town = Town::new().await;
    let bob = town.join("bob").await;
    let first = calls(&town.owner).state_set(None, set("build", json!({"n": 1}), None)).await.unwrap();
    let seen = until(|| async { calls(&bob).state_get(None, key("build")).await.ok() }, Option::is_some).await.unwrap();
    assert_eq!((seen.value, seen.version.clone()), (json!({"n": 1}), first.version.clone()));
    let second = calls(&bob).state_set(None, set("build", json!(2), Some(first.version.clone()))).await.unwrap();
    let stale = calls(&bob).state_set(None, set("build", json!(3), Some(first.version.clone()))).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    let query = api::StateQuery { after: Some(first.version), wait_ms: 20_000, ..Default::default() };
    let changes = calls(&town.owner).state_list(None, query).await.unwrap();
    assert_eq!((changes.entries[0].value.clone(), changes.next), (json!(2), second.version));
    let gone = calls(&bob).state_delete(None, api::StateDelete { key: "build".into(), ..Default::default() });
    assert!(gone.await.unwrap().deleted);
    assert_eq!(calls(&bob).state_get(None, key("build")).await.unwrap_err().kind(), ErrorKind::NotFound);
    let large = json!("x".repeat(70_000));
    let error = calls(&bob).state_set(None, set("large", large, None)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}

async fn count_up(mesh: Mesh, times: usize) {
    let mut done = 0;
    while done < times {
        let now = calls(&mesh).state_get(None, key("counter")).await;
        let (value, version) = now.map_or((0, "0.0".to_owned()), |it| (it.value.as_u64().unwrap(), it.version));
        match calls(&mesh).state_set(None, set("counter", json!(value + 1), Some(version))).await {
            Ok(_) => done += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_many_compare_and_set_loses_no_increment() {
    let town = Town::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..5 {
        let mesh = town.join(&format!("m{n}")).await;
        tasks.spawn(count_up(mesh, 20));
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let count = || async { calls(&town.owner).state_get(None, key("counter")).await.ok().map(|it| it.value) };
    until(count, |value| *value == Some(json!(100))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_who_claim_a_task_one_gets_it() {
    let town = Town::new().await;
    let mut ids = Vec::new();
    for n in 0..20 {
        let request = api::TaskCreate { title: format!("task {n}"), ..Default::default() };
        ids.push(calls(&town.owner).task_create(None, request).await.unwrap().id);
    }
    let mut claimants = tokio::task::JoinSet::new();
    for n in 0..4 {
        let (mesh, ids) = (town.join(&format!("m{n}")).await, ids.clone());
        let known = || async { calls(&mesh).tasks(None, api::TaskQuery::default()).await.unwrap().tasks.len() };
        until(known, |count| *count == 20).await;
        claimants.spawn(async move {
            let mut won = 0;
            for id in ids {
                match calls(&mesh).task_claim(None, api::TaskChange { id, ..Default::default() }).await {
                    Ok(_) => won += 1,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                }
            }
            won
        });
    }
    let mut won = 0;
    while let Some(done) = claimants.join_next().await {
        won += done.unwrap();
    }
    assert_eq!(won, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_goes_from_open_to_done_in_order() {
    let town = Town::new().await;
    let first = api::TaskCreate { title: "first".into(), ..Default::default() };
    let first = calls(&town.owner).task_create(None, first).await.unwrap();
    let second = api::TaskCreate { title: "second".into(), depends_on: vec![first.id.clone()], ..Default::default() };
    let second = calls(&town.owner).task_create(None, second).await.unwrap();
    assert_eq!(second.state, api::TaskState::Blocked);
    let change = |id: &str| api::TaskChange { id: id.into(), ..Default::default() };
    let early = calls(&town.owner).task_claim(None, change(&second.id)).await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::Conflict);
    let claimed = calls(&town.owner).task_claim(None, change(&first.id)).await.unwrap();
    assert_eq!((claimed.state, claimed.fence.is_some()), (api::TaskState::Claimed, true));
    let done = api::TaskChange { result: Some("fine".into()), ..change(&first.id) };
    let done = calls(&town.owner).task_complete(None, done).await.unwrap();
    assert_eq!((done.state, done.result.as_deref()), (api::TaskState::Done, Some("fine")));
    let again = calls(&town.owner).task_claim(None, change(&first.id)).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    let claimed = calls(&town.owner).task_claim(None, change(&second.id)).await.unwrap();
    assert_eq!(claimed.state, api::TaskState::Claimed);
    let back = calls(&town.owner).task_release(None, change(&second.id)).await.unwrap();
    assert_eq!(back.state, api::TaskState::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_found_until_it_is_forgotten() {
    let town = Town::new().await;
    let bob = town.join("bob").await;
    let request = api::Remember {
        text: "the staging database is in Frankfurt".into(),
        tags: vec!["infra".into()],
        ..Default::default()
    };
    let kept = calls(&town.owner).remember(None, request).await.unwrap();
    let recall = || async {
        let request = api::Recall { text: Some("frankfurt".into()), ..Default::default() };
        calls(&bob).recall(None, request).await.unwrap().memories
    };
    let found = until(recall, |found| !found.is_empty()).await;
    assert_eq!((found[0].id.clone(), found[0].tags.clone()), (kept.id.clone(), vec!["infra".to_owned()]));
    calls(&town.owner).forget(None, api::MemoryName { id: kept.id }).await.unwrap();
    until(recall, Vec::is_empty).await;
    let wrong = api::Recall { text: Some("\"open".into()), ..Default::default() };
    assert_eq!(calls(&bob).recall(None, wrong).await.unwrap_err().kind(), ErrorKind::Usage);
}
