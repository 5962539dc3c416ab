//! A broker that loses, reorders, or refuses what it accepted.

use claudemesh_client::{Receipt, api};
use claudemesh_core::codec::List;
use claudemesh_core::envelope::Delivery;
use claudemesh_core::wire::{self, Body, ErrorCode, Frame, Outcome};
use claudemesh_tests::hostile::{PATIENCE, Town, Verdict, Way, bodies, deliver, deliveries, once, state, warned};

use super::mail::delivery;

fn seq(delivery: &[u8]) -> u64 {
    Delivery::decode(delivery).unwrap().unverified_record().seq
}

/// Leaves out what came first in its lane.
fn lose_the_first(_: Way, frame: &Frame) -> Verdict {
    let Body::Deliver(deliver) = &frame.body else { return Verdict::Pass };
    let items = deliver.items.iter().filter(|item| seq(&item.delivery) > 1).cloned().collect();
    Verdict::frame(0, wire::Deliver { items: List::from_vec(items).unwrap() })
}

#[tokio::test]
async fn a_message_lost_inside_a_lane_is_reported_as_a_gap() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    bob.mallory.tamper(lose_the_first);
    let first = alice.accepted("bob", "first").await;
    alice.send("bob", "second").await.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    warned(&bob.mesh, "gap").await;
    assert_eq!(bodies(&bob.mesh).await, ["second"]);
    assert_eq!(state(&alice.mesh, first.id()).await.0, api::State::Accepted);
    bob.mallory.reform();
    first.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    assert_eq!(bodies(&bob.mesh).await.len(), 2);
    deliver(&alice, &bob, "bob").await;
}

#[tokio::test]
async fn messages_turned_round_inside_a_lane_are_reported_as_a_gap() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    bob.mallory.tamper(lose_the_first);
    let first = alice.accepted("bob", "first").await;
    let bytes = bob.mallory.sees("the delivery", 0, |way, frame| deliveries(way, frame).pop()).await;
    alice.send("bob", "second").await.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    bob.mallory.say(delivery(&bytes));
    first.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    warned(&bob.mesh, "gap").await;
    assert_eq!(bodies(&bob.mesh).await, ["second", "first"]);
    bob.mallory.reform();
    deliver(&alice, &bob, "bob").await;
}

/// The broker takes a message and says that it did not.
fn deny(code: ErrorCode) -> impl FnMut(Way, &Frame) -> Verdict + Send {
    once(move |_, frame| match &frame.body {
        Body::Enqueued(reply) => {
            let refused = List::from_vec(vec![Outcome::Refused(code)]).unwrap();
            let outcomes = List::from_vec(vec![refused]).unwrap();
            Verdict::frame(frame.request, wire::Enqueued { outcomes, commits: reply.commits })
        }
        _ => Verdict::Pass,
    })
}

#[tokio::test]
async fn a_message_accepted_but_called_refused_for_its_prekey_is_delivered_once() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    alice.mallory.tamper(deny(ErrorCode::NoPrekey));
    let sent = alice.send("bob", "once").await;
    sent.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    deliver(&alice, &bob, "bob").await;
    assert_eq!(bodies(&bob.mesh).await.iter().filter(|body| *body == "once").count(), 1);
}

#[tokio::test]
async fn a_message_accepted_but_called_refused_for_now_is_delivered_once() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    alice.mallory.tamper(deny(ErrorCode::MailboxFull));
    let sent = alice.send("bob", "once").await;
    sent.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    deliver(&alice, &bob, "bob").await;
    assert_eq!(bodies(&bob.mesh).await.iter().filter(|body| *body == "once").count(), 1);
}

#[tokio::test]
async fn a_message_accepted_but_called_refused_for_good_stays_refused_with_the_brokers_reason() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    alice.mallory.tamper(deny(ErrorCode::Forbidden));
    let sent = alice.send("bob", "denied").await;
    let refused = sent.wait(Receipt::Accepted).timeout(PATIENCE).await.unwrap_err();
    assert_eq!(refused.kind(), claudemesh_client::ErrorKind::Refused);
    deliver(&alice, &bob, "bob").await;
    // The receipt that follows is no reason to say something else of what ended.
    assert_eq!(state(&alice.mesh, sent.id()).await, (api::State::Refused, Some("forbidden".into())));
    assert_eq!(bodies(&bob.mesh).await.iter().filter(|body| *body == "denied").count(), 1);
}

#[tokio::test]
async fn a_message_that_was_never_stored_though_called_accepted_is_offered_again() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    alice.mallory.tamper(|way, frame| match &frame.body {
        Body::Enqueue(_) if way == Way::Up => Verdict::Drop,
        _ => Verdict::Pass,
    });
    let mark = alice.mallory.mark();
    let sent = alice.send("bob", "forgotten").await;
    let request = alice
        .mallory
        .sees("the message", mark, |_, frame| matches!(frame.body, Body::Enqueue(_)).then_some(frame.request))
        .await;
    let accepted = List::from_vec(vec![List::from_vec(vec![Outcome::Accepted]).unwrap()]).unwrap();
    alice.mallory.say(Frame::new(request, wire::Enqueued { outcomes: accepted, commits: 1 }).encode());
    sent.wait(Receipt::Accepted).timeout(PATIENCE).await.unwrap();
    assert!(bodies(&bob.mesh).await.is_empty());
    alice.mallory.reform();
    alice.mallory.cut();
    warned(&alice.mesh, "broker_rolled_back").await;
    sent.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    assert_eq!(bodies(&bob.mesh).await, ["forgotten"]);
    deliver(&alice, &bob, "bob").await;
}
