//! Compaction and retention over a real broker.

use std::time::Duration;

use claudemesh_client::{ErrorKind, Mesh, api};

use crate::town::{Town, calls, post, texts, topic, until};

async fn state(mesh: &Mesh) -> Vec<(String, String)> {
    let found = calls(mesh).state_list(None, api::StateQuery::default()).await.unwrap();
    found.entries.into_iter().map(|entry| (entry.key, entry.value.to_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_reads_from_a_compacted_log_what_all_others_see() {
    let town = Town::new().await;
    let bob = town.join("bob").await;
    for value in 0..30 {
        town.owner.state().set("counter", value).await.unwrap();
    }
    town.owner.state().set("other", "stays").await.unwrap();
    let secret = town.owner.memory().remember("a secret").await.unwrap();
    town.owner.memory().forget(&secret.id).await.unwrap();
    let kept = [("counter".to_owned(), "29".to_owned()), ("other".into(), "\"stays\"".into())];
    until(|| state(&bob), |found| *found == kept).await;
    assert_eq!(bob.compact().await.unwrap_err().kind(), ErrorKind::Refused, "he is no admin");
    let dropped = town.owner.compact().await.unwrap();
    assert!(dropped >= 29, "{dropped}");
    assert_eq!(town.owner.compact().await.unwrap(), 0, "what is left is needed");
    assert_eq!(state(&town.owner).await, kept);
    // Whoever was there goes on, and who comes now sees the same; both may write.
    town.owner.state().set("after", 1).await.unwrap();
    let eve = town.join("eve").await;
    let now = [("after".to_owned(), "1".to_owned()), kept[0].clone(), kept[1].clone()];
    for mesh in [&bob, &eve] {
        until(|| state(mesh), |found| *found == now).await;
    }
    eve.state().set("eve", 1).await.unwrap();
    until(|| state(&bob), |found| found.len() == 4).await;
    let status = eve.status().await.unwrap().meshes.remove(0);
    assert!(status.warnings.is_empty(), "{:?}", status.warnings);
    // A home that starts anew verifies what it has.
    bob.close().await.unwrap();
    let bob = town.open("bob").await;
    until(|| state(&bob), |found| found.len() == 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn losers_of_a_race_leave_the_log() {
    let town = Town::new().await;
    let bob = town.join("bob").await;
    until(|| async { town.owner.peers().await.unwrap().len() }, |count| *count == 2).await;
    let task = town.owner.tasks().create("one for all").await.unwrap();
    until(|| async { bob.tasks().list().await.unwrap().len() }, |count| *count == 1).await;
    let (hers, his) = (town.owner.tasks(), bob.tasks());
    let (first, second) = tokio::join!(hers.claim(&task.id), his.claim(&task.id));
    let winners = [first.is_ok(), second.is_ok()].into_iter().filter(|won| *won).count();
    assert_eq!(winners, 1);
    let claimed = || async { town.owner.tasks().list().await.unwrap().remove(0).claimed_by };
    let before = until(claimed, Option::is_some).await;
    town.owner.compact().await.unwrap();
    assert_eq!(claimed().await, before);
    let eve = town.join("eve").await;
    let seen = || async { eve.tasks().list().await.unwrap().pop().and_then(|task| task.claimed_by) };
    assert_eq!(until(seen, Option::is_some).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_past_their_time_are_erased_by_everybody() {
    let town = Town::new().await;
    let bob = town.join("bob").await;
    town.owner.create_topic("builds").retention(Duration::from_secs(30 * 24 * 3600)).await.unwrap();
    until(|| async { bob.topics().await.unwrap().len() }, |count| *count == 2).await;
    calls(&bob).topic_join(None, topic("builds")).await.unwrap();
    post(&town.owner, "builds", "build 1 zanzibar").await;
    assert_eq!(texts(&bob, "builds", 1).await, ["build 1 zanzibar"]);
    assert_eq!(bob.topics().await.unwrap()[1].retention, Some(30 * 24 * 3600));
    assert_eq!(
        bob.topic("builds").set_retention(Some(Duration::from_secs(1))).await.unwrap_err().kind(),
        ErrorKind::Refused
    );
    let changed = town.owner.topic("builds").set_retention(Some(Duration::from_secs(1))).await.unwrap();
    assert_eq!(changed.retention, Some(1));
    for mesh in [&town.owner, &bob] {
        until(|| async { mesh.topic("builds").history().await.unwrap().posts.len() }, |count| *count == 0).await;
        assert!(mesh.search("zanzibar").await.unwrap().is_empty());
    }
    let forever = town.owner.topic("builds").set_retention(None).await.unwrap();
    assert_eq!(forever.retention, None);
    post(&town.owner, "builds", "build 2").await;
    assert_eq!(texts(&bob, "builds", 1).await, ["build 2"]);
}
