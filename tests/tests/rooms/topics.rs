use claudemesh_client::{ErrorKind, api};

use crate::town::{Town, calls, post, texts, topic, until};

fn create(name: &str) -> api::TopicCreate {
    api::TopicCreate { topic: name.into(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_in_general_from_the_start() {
    let town = Town::new().await;
    let bob = town.join("bob").await;
    let posted = post(&town.owner, "general", "hello all").await;
    assert_eq!(posted.state, api::State::Accepted);
    assert_eq!(texts(&bob, "general", 1).await, ["hello all"]);
    post(&bob, "#general", "hello ann").await;
    assert_eq!(texts(&town.owner, "general", 2).await, ["hello all", "hello ann"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_topic_is_found_joined_and_read() {
    let town = Town::new().await;
    let bob = town.join("bob").await;
    let made = calls(&town.owner).topic_create(None, create("deploys")).await.unwrap();
    assert_eq!((made.name.as_str(), made.private, made.role), ("deploys", false, Some(api::TopicRole::Lead)));
    post(&town.owner, "deploys", "build 1 is out").await;
    let found = until(
        || async { calls(&bob).topics(None, api::TopicsQuery::default()).await.unwrap().topics },
        |topics| topics.len() == 2,
    )
    .await;
    assert_eq!((found[1].name.as_str(), found[1].joined), ("deploys", false));
    let error = calls(&bob)
        .topic_post(None, api::PostRequest { topic: "deploys".into(), text: "x".into(), ..Default::default() });
    assert_eq!(error.await.unwrap_err().kind(), ErrorKind::Refused);
    let joined = calls(&bob).topic_join(None, topic("deploys")).await.unwrap();
    assert_eq!(joined.role, Some(api::TopicRole::Member));
    post(&bob, "deploys", "thanks").await;
    assert_eq!(texts(&town.owner, "deploys", 2).await, ["build 1 is out", "thanks"]);
    assert_eq!(texts(&bob, "deploys", 2).await, ["build 1 is out", "thanks"]);
    let double = calls(&bob).topic_create(None, create("deploys")).await.unwrap_err();
    assert_eq!(double.kind(), ErrorKind::Conflict);
    let left = calls(&bob).topic_leave(None, topic("deploys")).await.unwrap();
    assert!(!left.joined);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_topic_is_for_its_members_only() {
    let town = Town::new().await;
    let (bob, eve) = (town.join("bob").await, town.join("eve").await);
    until(|| async { town.owner.peers().await.unwrap().len() }, |count| *count == 3).await;
    let request = api::TopicCreate { private: true, members: vec!["bob".into()], ..create("secret") };
    let made = calls(&town.owner).topic_create(None, request).await.unwrap();
    post(&town.owner, "secret", "only us").await;
    assert_eq!(texts(&bob, "secret", 1).await, ["only us"]);
    post(&bob, "secret", "indeed").await;
    assert_eq!(texts(&town.owner, "secret", 2).await, ["only us", "indeed"]);
    let seen = calls(&eve).topics(None, api::TopicsQuery::default()).await.unwrap();
    assert!(seen.topics.iter().all(|topic| topic.name != "secret" && topic.id != made.id), "{seen:?}");
    // Eve is let in, and reads what was there before; then bob is shown out, and reads nothing more.
    let change = |member: &str, role| api::TopicMemberChange { topic: "secret".into(), member: member.into(), role };
    calls(&town.owner).topic_member(None, change("eve", Some(api::TopicRole::Member))).await.unwrap();
    assert_eq!(texts(&eve, "secret", 2).await, ["only us", "indeed"]);
    calls(&town.owner).topic_member(None, change("bob", None)).await.unwrap();
    post(&town.owner, "secret", "without bob").await;
    assert_eq!(texts(&eve, "secret", 3).await.len(), 3);
    assert_eq!(texts(&bob, "secret", 2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn mentions_replies_and_unread_counts_reach_the_right_member() {
    let town = Town::new().await;
    let bob = town.join("bob").await;
    until(|| async { town.owner.peers().await.unwrap() }, |peers| peers.iter().any(|peer| peer.name == "bob")).await;
    let asked = post(&town.owner, "general", "@bob is it done?").await;
    texts(&bob, "general", 1).await;
    let notified = calls(&bob).notifications(None, api::NotificationQuery::default()).await.unwrap().notifications;
    assert_eq!((notified.len(), notified[0].kind.as_str()), (1, "mention"));
    let general = calls(&bob).topics(None, api::TopicsQuery::default()).await.unwrap().topics.remove(0);
    assert_eq!((general.unread, general.mentions), (1, 1));
    let reply = api::PostRequest {
        topic: "general".into(),
        text: "yes".into(),
        reply_to: Some(asked.id.clone()),
        ..Default::default()
    };
    calls(&bob).topic_post(None, reply).await.unwrap();
    texts(&town.owner, "general", 2).await;
    let thread = api::PostsQuery { topic: "general".into(), thread: Some(asked.id), ..Default::default() };
    assert_eq!(calls(&town.owner).topic_posts(None, thread).await.unwrap().posts.len(), 2);
    let heard = calls(&town.owner).notifications(None, api::NotificationQuery::default()).await.unwrap().notifications;
    assert_eq!(heard[0].kind, "reply");
    let read = calls(&bob).topic_read(None, api::TopicRead { topic: "general".into(), ..Default::default() });
    assert_eq!(read.await.unwrap().unread, 0);
    let search = api::SearchQuery { text: "done".into(), ..Default::default() };
    let hits = calls(&bob).topic_search(None, search).await.unwrap().hits;
    assert_eq!(hits[0].snippet, "@bob is it [done]?");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_broadcasts_reach_their_members_once() {
    let town = Town::new().await;
    let (bob, eve) = (town.join("bob").await, town.join("eve").await);
    let join = |group: &str| api::GroupChange { group: group.into(), ..Default::default() };
    calls(&bob).group_join(None, join("@backend/api")).await.unwrap();
    calls(&eve).group_join(None, join("backend")).await.unwrap();
    let groups = || async { calls(&town.owner).groups(None, api::GroupQuery::default()).await.unwrap().groups };
    until(groups, |groups| groups.len() == 2).await;
    let send = |to: &str, text: &str| api::SendRequest { to: vec![to.into()], text: text.into(), ..Default::default() };
    let sent = calls(&town.owner).send(None, send("@backend", "to two")).await.unwrap();
    assert_eq!(sent.to.len(), 2);
    calls(&town.owner).send(None, send("@backend/api", "to one")).await.unwrap();
    let sent = calls(&town.owner).send(None, send("*", "to all")).await.unwrap();
    assert_eq!(sent.state, api::State::Accepted);
    for (mesh, wanted) in [(&bob, vec!["to all", "to one", "to two"]), (&eve, vec!["to all", "to two"])] {
        let inbox = until(
            || async { calls(mesh).inbox(None, api::InboxQuery::default()).await.unwrap().messages },
            |found| found.len() >= wanted.len(),
        )
        .await;
        let mut bodies: Vec<&str> = inbox.iter().map(|message| message.body.as_str()).collect();
        bodies.sort_unstable();
        assert_eq!(bodies, wanted);
    }
    let nobody = calls(&town.owner).send(None, send("@backed", "x")).await.unwrap_err();
    assert_eq!((nobody.kind(), nobody.hint()), (ErrorKind::NotFound, Some("did you mean @backend?")));
}
