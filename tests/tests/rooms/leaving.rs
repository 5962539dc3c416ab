//! Who leaves a private topic by itself is shut out by those who stay; who was let in reads it.

use std::collections::BTreeSet;

use claudemesh_client::{Mesh, api};
use claudemesh_core::DeviceId;
use claudemesh_core::log::{LogEntry, Payload};
use claudemesh_core::wire::{Body, Frame};
use claudemesh_tests::hostile::{Citizen, Town, Way, settled};

fn calls(mesh: &Mesh) -> &dyn claudemesh_client::service::Service {
    &**mesh.service()
}

async fn device(of: &Citizen) -> DeviceId {
    of.mesh.whoami().await.unwrap().device.parse().unwrap()
}

/// The audience of a commit that this client sends.
fn commits(way: Way, frame: &Frame) -> Option<BTreeSet<DeviceId>> {
    let Body::LogAppend(append) = &frame.body else { return None };
    let entry = LogEntry::parse(append.entry.clone()).ok().filter(|_| way == Way::Up)?;
    match entry.payload() {
        Payload::Commit(commit) => Some(commit.audience.as_ref()?.iter().copied().collect()),
        _ => None,
    }
}

async fn joined(who: &Citizen, topic: &str) {
    settled("the topic is there", async || {
        let topics = who.mesh.topics().await.expect("topics");
        topics.iter().any(|it| it.name == topic && it.role.is_some()).then_some(())
    })
    .await;
}

/// Alice leads a private topic with bob and carol.
async fn three(town: &Town) -> (Citizen, Citizen, Citizen) {
    let (alice, bob) = town.pair().await;
    let carol = town.guest("carol", &alice).await;
    alice.mesh.create_topic("secret").private().member("bob").member("carol").await.unwrap();
    joined(&bob, "secret").await;
    joined(&carol, "secret").await;
    (alice, bob, carol)
}

async fn leave(who: &Citizen) {
    calls(&who.mesh).topic_leave(None, api::TopicName { topic: "secret".into() }).await.unwrap();
}

async fn read(who: &Citizen, text: &str) {
    settled("the post", async || {
        let posts = who.mesh.topic("secret").history().await.expect("posts").posts;
        posts.iter().any(|post| post.body == text).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_lead_shuts_out_who_left_although_nobody_writes() {
    let town = Town::new().await;
    let (alice, bob, carol) = three(&town).await;
    let mark = alice.mallory.mark();
    leave(&bob).await;
    let audience = alice.mallory.sees("a smaller audience", mark, commits).await;
    assert_eq!(audience, BTreeSet::from([device(&alice).await, device(&carol).await]));
    // Those who stay go on, and nobody commits again for it.
    let (hers, his) = (alice.mallory.mark(), carol.mallory.mark());
    alice.mesh.topic("secret").post("without bob").await.unwrap();
    read(&carol, "without bob").await;
    carol.mesh.topic("secret").post("yes").await.unwrap();
    read(&alice, "yes").await;
    let commits = |way: Way, body: &Body| commits(way, &Frame::new(1, body.clone())).is_some();
    assert!(!alice.mallory.saw(hers, commits) && !carol.mallory.saw(his, commits));
}

#[tokio::test]
async fn without_a_lead_the_next_who_writes_shuts_out_who_left() {
    let town = Town::new().await;
    let (alice, bob, carol) = three(&town).await;
    alice.mesh.close().await.unwrap();
    leave(&bob).await;
    settled("carol knows", async || {
        let members = carol.mesh.topic("secret").members().await.expect("members");
        (members.len() == 2).then_some(())
    })
    .await;
    let mark = carol.mallory.mark();
    assert!(
        !carol.mallory.saw(0, |way, body| commits(way, &Frame::new(1, body.clone())).is_some_and(|it| it.len() == 2))
    );
    carol.mesh.topic("secret").post("only us").await.unwrap();
    let audience = carol.mallory.sees("a smaller audience", mark, commits).await;
    assert!(!audience.contains(&device(&bob).await), "{audience:?}");
    read(&carol, "only us").await;
}

#[tokio::test]
async fn who_left_can_be_let_in_again() {
    let town = Town::new().await;
    let (alice, bob, _carol) = three(&town).await;
    let mark = alice.mallory.mark();
    leave(&bob).await;
    alice.mallory.sees("a smaller audience", mark, commits).await;
    alice.mesh.topic("secret").post("while bob is away").await.unwrap();
    alice.mesh.topic("secret").set_member("bob", api::TopicRole::Member).await.unwrap();
    joined(&bob, "secret").await;
    read(&bob, "while bob is away").await;
    bob.mesh.topic("secret").post("back").await.unwrap();
    read(&alice, "back").await;
}

#[tokio::test]
async fn two_leads_let_in_different_members_at_once() {
    let town = Town::new().await;
    let (alice, bob, carol) = three(&town).await;
    let (dan, eve) = (town.guest("dan", &alice).await, town.guest("eve", &alice).await);
    bob.knows("eve").await;
    let change = |member: &str, role: api::TopicRole| api::TopicMemberChange {
        topic: "secret".into(),
        member: member.into(),
        role: Some(role),
    };
    calls(&alice.mesh).topic_member(None, change("bob", api::TopicRole::Lead)).await.unwrap();
    settled("bob leads", async || {
        let topics = bob.mesh.topics().await.expect("topics");
        topics.iter().any(|it| it.name == "secret" && it.role == Some(api::TopicRole::Lead)).then_some(())
    })
    .await;
    let added = |who: &Citizen, member| {
        let (mesh, change) = (who.mesh.clone(), change(member, api::TopicRole::Member));
        async move { calls(&mesh).topic_member(None, change).await.map(drop) }
    };
    let (by_alice, by_bob) = tokio::join!(added(&alice, "dan"), added(&bob, "eve"));
    by_alice.and(by_bob).unwrap();
    joined(&dan, "secret").await;
    joined(&eve, "secret").await;
    carol.mesh.topic("secret").post("for all five").await.unwrap();
    for each in [&alice, &bob, &dan, &eve] {
        read(each, "for all five").await;
    }
}
