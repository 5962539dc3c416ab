//! Posts and notifications in the feed of events.

use claudemesh_client::{Event, Mesh};

use crate::town::{Town, calls, post, texts, topic, until};

/// The next event that is a post or a notification, in short.
async fn next(events: &mut claudemesh_client::Events) -> (u64, String) {
    loop {
        let delivered = events.next().await.unwrap().unwrap();
        delivered.ack().await.unwrap();
        match &delivered.event {
            Event::Post(post) => return (delivered.position(), format!("{} in {}", post.body, post.topic)),
            Event::Notification(it) => return (delivered.position(), format!("{} by {}", it.kind, it.from.name)),
            _ => {}
        }
    }
}

async fn knows(mesh: &Mesh, name: &str) {
    until(|| async { mesh.peers().await.unwrap() }, |peers| peers.iter().any(|peer| peer.name == name)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_and_notifications_come_as_they_happen_and_once_to_a_consumer() {
    let town = Town::new().await;
    let bob = town.join("bob").await;
    knows(&town.owner, "bob").await;
    let mut events = bob.events_from("bot").await.unwrap();
    post(&town.owner, "general", "hello").await;
    assert_eq!(next(&mut events).await.1, "hello in general");
    post(&bob, "general", "one's own are no news").await;
    post(&town.owner, "general", "@bob look").await;
    let (first, what) = next(&mut events).await;
    assert_eq!(what, "@bob look in general");
    let (second, what) = next(&mut events).await;
    assert_eq!(what, "mention by ann");
    assert!(second > first);
    drop(events);
    // What came while nobody listened comes next, and nothing twice.
    bob.close().await.unwrap();
    post(&town.owner, "general", "meanwhile").await;
    let bob = town.open("bob").await;
    let mut events = bob.events_from("bot").await.unwrap();
    assert_eq!(next(&mut events).await.1, "meanwhile in general");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_posted_before_one_came_is_history_and_no_news() {
    let town = Town::new().await;
    let bob = town.join("bob").await;
    knows(&town.owner, "bob").await;
    let mut events = bob.events().await.unwrap();
    town.owner.create_topic("deploys").await.unwrap();
    post(&town.owner, "deploys", "@bob before").await;
    until(|| async { bob.topics().await.unwrap() }, |topics| topics.len() == 2).await;
    calls(&bob).topic_join(None, topic("deploys")).await.unwrap();
    assert_eq!(texts(&bob, "deploys", 1).await, ["@bob before"]);
    post(&town.owner, "deploys", "after").await;
    let mut told = Vec::new();
    while told.last().is_none_or(|what| what != "after in deploys") {
        told.push(next(&mut events).await.1);
    }
    assert!(!told.contains(&"@bob before in deploys".to_owned()), "{told:?}");
}
