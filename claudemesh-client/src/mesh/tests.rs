use std::time::Duration;

use super::*;
use crate::error::ErrorKind;
use crate::home::{Holder, Home};
use crate::testing::Fake;

mod recorder;
mod rooms;

async fn team() -> (Fake, Mesh) {
    let fake = Fake::new("team", "alice");
    fake.add_member("bob");
    let mesh = Mesh::from_service(fake.service(), None).await.unwrap();
    (fake, mesh)
}

#[tokio::test]
async fn what_the_sender_chose_is_sent() {
    let (fake, mesh) = team().await;
    let id = "018f4d0e-0000-7000-8000-000000000001";
    let send = mesh.send("bob", "hi").priority(api::Priority::Now).id(id).reply_to("x");
    let sent = send.ttl(Duration::from_secs(60)).session("s").await.unwrap();
    assert_eq!(sent.id(), id);
    let request = fake.sent().remove(0);
    assert_eq!((request.to, request.text.as_str()), (vec!["bob".to_owned()], "hi"));
    assert_eq!((request.priority, request.ttl), (api::Priority::Now, Some(60)));
    assert_eq!((request.reply_to.as_deref(), request.session.as_deref()), (Some("x"), Some("s")));
    assert_eq!(mesh.send("bob", "other").id(id).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(mesh.send("bob", "hi").id(id).await.unwrap().id(), id);
    assert_eq!(fake.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_the_state_a_failure_or_the_timeout() {
    let (fake, mesh) = team().await;
    let sent = mesh.send(["bob"], "hi").await.unwrap();
    assert_eq!(sent.wait(Receipt::Queued).await.unwrap().state, api::State::Queued);
    let error = sent.wait(Receipt::Delivered).timeout(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    fake.advance(sent.id(), api::State::Injected);
    assert_eq!(sent.wait(Receipt::Delivered).await.unwrap().state, api::State::Injected);
    assert_eq!(sent.wait(Receipt::Read).await.unwrap_err().kind(), ErrorKind::Timeout);
    for (state, kind) in [(api::State::Expired, ErrorKind::Expired), (api::State::Refused, ErrorKind::Refused)] {
        let sent = mesh.send("bob", "again").await.unwrap();
        fake.advance(sent.id(), state);
        assert_eq!(sent.wait(Receipt::Accepted).await.unwrap_err().kind(), kind);
        assert_eq!(sent.status().await.unwrap().state, state);
    }
}

#[tokio::test]
async fn a_held_message_is_queued_and_nothing_more() {
    let sent = api::Sent { id: "x".into(), state: api::State::Held, to: Vec::new(), reason: None, session: None };
    Receipt::Queued.check(&sent).unwrap();
    assert_eq!(Receipt::Accepted.check(&sent).unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_reply_goes_to_the_person_and_session_that_wrote() {
    let (fake, mesh) = team().await;
    fake.receive_in("bob", "question", "mine");
    let mesh = mesh.with_session("mine");
    let message = mesh.inbox().unread().limit(1).await.unwrap().remove(0);
    assert_eq!(message.body, "question");
    message.reply("answer").await.unwrap();
    let request = fake.sent().remove(0);
    assert_eq!(request.to, [format!("{}/main", message.from.member)]);
    assert_eq!((request.reply_to.as_deref(), request.session.as_deref()), (Some(message.id.as_str()), Some("mine")));
    message.mark_read().await.unwrap();
    assert!(mesh.inbox().unread().await.unwrap().is_empty());
}

#[tokio::test]
async fn sessions_see_their_own_messages_only() {
    let (fake, mesh) = team().await;
    let mut events = mesh.clone().with_session("mine").events().await.unwrap();
    fake.receive("bob", "for main");
    fake.receive_in("bob", "for mine", "mine");
    let delivered = events.next().await.unwrap().unwrap();
    assert!(matches!(&delivered.event, Event::Message(message) if message.body == "for mine"));
    assert_eq!(mesh.inbox().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_consumer_goes_on_after_what_it_acknowledged() {
    let (fake, mesh) = team().await;
    drop(mesh.events_from("bot").await.unwrap());
    for text in ["1", "2", "3"] {
        fake.receive("bob", text);
    }
    let mut events = mesh.events_from("bot").await.unwrap();
    let first = events.next().await.unwrap().unwrap();
    first.ack().await.unwrap();
    events.next().await.unwrap().unwrap();
    let again = mesh.events_from("bot").await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(again.position(), first.position() + 1);
}

#[tokio::test(start_paused = true)]
async fn an_empty_inbox_can_be_waited_for() {
    let (fake, mesh) = team().await;
    assert!(mesh.inbox().wait(Duration::from_secs(5)).await.unwrap().is_empty());
    let waiting = tokio::spawn(mesh.inbox().wait(Duration::from_secs(5)).into_future());
    tokio::task::yield_now().await;
    fake.receive("bob", "hi");
    assert_eq!(waiting.await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn a_handle_stays_with_its_mesh_whatever_is_selected_later() {
    let (fake, mesh) = team().await;
    fake.add_mesh("other", "alice");
    assert_eq!(Mesh::from_service(fake.service(), None).await.unwrap_err().kind(), ErrorKind::Ambiguous);
    let other = mesh.other("other").await.unwrap();
    fake.service().mesh_use("other").await.unwrap();
    assert_eq!(mesh.whoami().await.unwrap().mesh.label, "team");
    assert_eq!(other.whoami().await.unwrap().mesh.label, "other");
    assert_eq!(mesh.members().await.unwrap().len(), 2);
    assert_eq!(other.members().await.unwrap().len(), 1);
}

#[tokio::test]
async fn attaching_needs_a_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let error = Mesh::builder().home(folder.path()).attach().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

#[tokio::test]
async fn a_home_that_a_program_holds_is_locked_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let _lock = Home::at(folder.path()).unwrap().lock(Holder::Program).unwrap();
    for builder in [Mesh::builder(), Mesh::builder().embedded()] {
        assert_eq!(builder.home(folder.path()).open().await.unwrap_err().kind(), ErrorKind::Locked);
    }
}
