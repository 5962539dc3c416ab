use claudemesh_client::{ErrorKind, Mesh, api};
use serde_json::json;

use crate::town::{Town, calls, post, texts, topic, until};

/// What a member is told that it cannot read yet.
async fn missing(mesh: &Mesh) -> Vec<(Option<String>, Vec<u64>)> {
    let status = calls(mesh).status().await.unwrap().meshes.remove(0);
    status.missing.into_iter().map(|missing| (missing.topic, missing.epochs)).collect()
}

async fn set(
    mesh: &Mesh,
    topic: Option<&str>,
    expect: Option<&str>,
) -> Result<api::StateEntry, claudemesh_client::Error> {
    let request = api::StateSet {
        key: "k".into(),
        value: json!(1),
        topic: topic.map(str::to_owned),
        expect: expect.map(str::to_owned),
        ..Default::default()
    };
    calls(mesh).state_set(None, request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_with_nobody_online_reads_and_writes_at_once_and_learns_the_past_later() {
    let town = Town::new().await;
    post(&town.owner, "general", "before").await;
    town.owner.clone().close().await.unwrap();
    let bob = town.join("bob").await;
    let posted = post(&bob, "general", "anybody here?").await;
    assert_eq!(posted.state, api::State::Accepted);
    assert_eq!(texts(&bob, "general", 1).await, ["anybody here?"]);
    let general = calls(&bob).topics(None, api::TopicsQuery::default()).await.unwrap().topics.remove(0);
    assert_eq!(general.missing_epochs, [1]);
    // A member that has the key comes back and hands it on.
    let owner = town.open("ann").await;
    assert_eq!(texts(&bob, "general", 2).await, ["before", "anybody here?"]);
    assert_eq!(texts(&owner, "general", 2).await, ["before", "anybody here?"]);
    let complete = || async { calls(&bob).topics(None, api::TopicsQuery::default()).await.unwrap().topics.remove(0) };
    until(complete, |general| general.missing_epochs.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_offline_is_posted_once_when_the_broker_is_back() {
    let town = Town::new().await;
    let bob = town.join("bob").await;
    post(&town.owner, "general", "one").await;
    assert_eq!(texts(&bob, "general", 1).await, ["one"]);
    bob.close().await.unwrap();
    for text in ["two", "three"] {
        post(&town.owner, "general", text).await;
    }
    let bob = town.open("bob").await;
    assert_eq!(texts(&bob, "general", 3).await, ["one", "two", "three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_read_everything_yet_is_told_what_is_missing_and_decides_nothing_by_it() {
    let town = Town::new().await;
    set(&town.owner, None, None).await.unwrap();
    town.owner.clone().close().await.unwrap();
    let bob = town.join("bob").await;
    until(|| missing(&bob), |missing| *missing == [(None, vec![1])]).await;
    let key = || api::StateKey { key: "k".into(), topic: None };
    let unknown = calls(&bob).state_get(None, key()).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    assert!(unknown.hint().unwrap().contains("cannot be read here yet"), "{:?}", unknown.hint());
    // The key is there, and a winner cannot be found without it.
    let undecided = set(&bob, None, Some("0.0")).await.unwrap_err();
    assert_eq!(undecided.kind(), ErrorKind::Refused);
    assert!(undecided.message().contains("epochs 1"), "{undecided}");
    assert_eq!(calls(&bob).warnings(None).await, ["incomplete"]);

    let _owner = town.open("ann").await;
    until(|| missing(&bob), Vec::is_empty).await;
    let entry = until(|| async { calls(&bob).state_get(None, key()).await.ok() }, Option::is_some).await.unwrap();
    assert_eq!(set(&bob, None, Some("0.0")).await.unwrap_err().kind(), ErrorKind::Conflict);
    set(&bob, None, Some(&entry.version)).await.unwrap();
    assert!(calls(&bob).warnings(None).await.is_empty());
}

/// What somebody reads of a topic who came after its first post: nobody was online then, and everybody later.
async fn read_by_a_newcomer(history: api::History) -> (Town, Mesh, Vec<String>) {
    let town = Town::new().await;
    let made = api::TopicCreate { topic: "deploys".into(), history, ..Default::default() };
    calls(&town.owner).topic_create(None, made).await.unwrap();
    post(&town.owner, "deploys", "before").await;
    set(&town.owner, Some("deploys"), None).await.unwrap();
    town.owner.clone().close().await.unwrap();
    let bob = town.join("bob").await;
    // The topic's name is in an epoch that only its maker has.
    let owner = town.open("ann").await;
    until(|| async { calls(&bob).topic_join(None, topic("deploys")).await.ok() }, Option::is_some).await;
    post(&bob, "deploys", "from the newcomer").await;
    texts(&owner, "deploys", 2).await;
    post(&owner, "deploys", "after").await;
    let kept = usize::from(history == api::History::All);
    let read = texts(&bob, "deploys", 2 + kept).await;
    (town, bob, read)
}

#[tokio::test(flavor = "multi_thread")]
async fn history_for_all_reaches_the_newcomer_too() {
    let (_town, bob, read) = read_by_a_newcomer(api::History::All).await;
    assert_eq!(read, ["before", "from the newcomer", "after"]);
    until(|| missing(&bob), Vec::is_empty).await;
    assert_eq!(set(&bob, Some("deploys"), Some("0.0")).await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_from_joining_never_reaches_the_newcomer() {
    for history in [api::History::Joining, api::History::None] {
        let (town, bob, read) = read_by_a_newcomer(history).await;
        assert_eq!(read, ["from the newcomer", "after"], "{history:?}");
        // Nothing is to come, so nothing is missing; and what it cannot know it does not decide.
        until(|| missing(&bob), Vec::is_empty).await;
        let undecided = set(&bob, Some("deploys"), Some("0.0")).await.unwrap_err();
        assert_eq!(undecided.kind(), ErrorKind::Refused, "{history:?}: {undecided}");
        assert!(undecided.message().contains("before you came"), "{undecided}");
        bob.close().await.unwrap();
        let bob = town.open("bob").await;
        post(&bob, "deploys", "back again").await;
        assert_eq!(texts(&bob, "deploys", 3).await, ["from the newcomer", "after", "back again"], "{history:?}");
    }
}
