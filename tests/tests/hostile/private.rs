//! A curious member, and one that was shown out, at a private topic.

use claudemesh_client::{Mesh, api};
use claudemesh_core::LogId;
use claudemesh_core::codec::Bytes;
use claudemesh_core::log::{EntryKind, LogEntry};
use claudemesh_core::wire::{self, Body, ErrorCode, Frame};
use claudemesh_tests::hostile::{Citizen, Rogue, Spy, Town, settled};

async fn post(who: &Citizen, text: &str) {
    who.mesh.topic("secret").post(text).await.unwrap();
}

/// The texts of the topic, once there are so many.
async fn texts(mesh: &Mesh, count: usize) -> Vec<String> {
    settled(&format!("{count} posts"), async || {
        let posts = mesh.topic("secret").history().await.ok()?.posts;
        (posts.len() >= count).then(|| posts.into_iter().map(|post| post.body).collect())
    })
    .await
}

/// Alice and Bob with a private topic, and a member who is not in it but knows the topic's log.
async fn scene(town: &Town) -> (Citizen, Citizen, Rogue, LogId) {
    let (alice, bob) = town.pair().await;
    let rogue = Rogue::join(town, &alice.link().await).await;
    let topic = alice.mesh.create_topic("secret").private().member("bob").await.unwrap();
    post(&alice, "only us").await;
    assert_eq!(texts(&bob.mesh, 1).await, ["only us"]);
    (alice, bob, rogue, topic.id.parse().unwrap())
}

/// Records of the log as a client appended them after `mark`.
async fn ciphertext(who: &Citizen, mark: usize, log: LogId) -> LogEntry {
    let records = |entry: &LogEntry| entry.body().log == log && entry.body().kind == EntryKind::Records;
    let take = |_, frame: &Frame| match &frame.body {
        Body::LogAppend(append) => LogEntry::parse(append.entry.clone()).ok().filter(records),
        _ => None,
    };
    who.mallory.sees("an append", mark, take).await
}

/// Nothing is served to it, and nothing it writes is taken.
async fn shut_out(rogue: &mut Rogue, spy: &mut Spy) {
    assert_eq!(rogue.follow(spy).await, Err(ErrorCode::Forbidden));
    assert_eq!(rogue.range(spy).await, Err(ErrorCode::Forbidden));
    for (what, entry) in rogue.intrusions(spy) {
        let entry: Bytes = entry.into();
        for expected in [None, Some(spy.len() as u64)] {
            let code = rogue.refused(wire::LogAppend { entry: entry.clone(), expected }).await;
            assert_eq!(code, ErrorCode::Forbidden, "{what}");
        }
    }
    let before = spy.len();
    rogue.take(spy).await;
    assert_eq!(spy.len(), before, "nothing is pushed");
}

#[tokio::test]
async fn to_those_outside_a_private_topic_not_even_its_ciphertext_is_served() {
    let town = Town::new().await;
    let (alice, bob, mut rogue, log) = scene(&town).await;
    let mut spy = rogue.spy(log);
    assert!(!rogue.lists(log).await);
    shut_out(&mut rogue, &mut spy).await;
    post(&bob, "still only us").await;
    assert_eq!(texts(&alice.mesh, 2).await, ["only us", "still only us"]);
    shut_out(&mut rogue, &mut spy).await;
    assert!(spy.is_empty());
}

#[tokio::test]
async fn who_is_shown_out_of_a_private_topic_gets_and_opens_nothing_more() {
    let town = Town::new().await;
    let (alice, bob, mut rogue, log) = scene(&town).await;
    let member = rogue.member().to_string();
    let topic = alice.mesh.topic("secret");
    settled("alice knows it", async || {
        alice.mesh.members().await.unwrap().iter().any(|known| known.id == member).then_some(())
    })
    .await;
    topic.set_member(&member, api::TopicRole::Member).await.unwrap();
    let mut spy = rogue.spy(log);
    while rogue.follow(&spy).await.is_err() {
        tokio::task::yield_now().await;
    }
    post(&alice, "the three of us").await;
    while spy.texts().len() < 2 {
        rogue.take(&mut spy).await;
    }
    assert_eq!(spy.texts(), ["only us", "the three of us"]);

    topic.remove_member(&member).await.unwrap();
    let mark = alice.mallory.mark();
    post(&alice, "only us again").await;
    assert_eq!(texts(&bob.mesh, 3).await, ["only us", "the three of us", "only us again"]);
    // The record of its removal is the last it may get.
    rogue.take(&mut spy).await;
    shut_out(&mut rogue, &mut spy).await;
    assert!(!rogue.lists(log).await);
    // Had it got the ciphertext all the same, none of its keys would open it.
    assert!(spy.open(&ciphertext(&alice, mark, log).await).is_empty());
    assert_eq!(spy.texts(), ["only us", "the three of us"]);
    post(&bob, "and on").await;
    assert_eq!(texts(&alice.mesh, 4).await.len(), 4);
    shut_out(&mut rogue, &mut spy).await;
}
