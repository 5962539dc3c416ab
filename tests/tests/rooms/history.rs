use claudemesh_client::api;

use crate::town::{Town, calls, post, texts, until};

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
