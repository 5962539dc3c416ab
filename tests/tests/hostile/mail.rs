//! A broker that tampers with mail.

use claudemesh_client::{Receipt, api};
use claudemesh_core::codec::List;
use claudemesh_core::wire::{self, Body, Delivered, Done, Frame};
use claudemesh_tests::hostile::{PATIENCE, Town, Verdict, Way, bodies, deliver, deliveries, state, warned, warnings};

/// Changes every delivery of a frame.
fn change(way: Way, frame: &Frame, change: impl Fn(&mut Vec<u8>)) -> Verdict {
    let Body::Deliver(deliver) = &frame.body else { return Verdict::Pass };
    assert_eq!(way, Way::Down);
    let changed = |item: &Delivered| {
        let mut delivery = item.delivery.0.clone();
        change(&mut delivery);
        Delivered { offset: item.offset, delivery: delivery.into() }
    };
    let items = deliver.items.iter().map(changed).collect();
    Verdict::frame(frame.request, wire::Deliver { items: List::from_vec(items).unwrap() })
}

/// A frame with one delivery that stands nowhere in the mailbox.
pub(crate) fn delivery(bytes: &[u8]) -> Vec<u8> {
    let items = List::from_vec(vec![Delivered { offset: 0, delivery: bytes.into() }]).unwrap();
    Frame::push(wire::Deliver { items }).encode()
}

/// A delivery that is changed like this is not shown, named, and comes when the broker is honest again.
async fn tampered(alter: impl Fn(&mut Vec<u8>) + Send + 'static, named: &str) {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    bob.mallory.tamper(move |way, frame| change(way, frame, &alter));
    let sent = alice.accepted("bob", "the text").await;
    warned(&bob.mesh, named).await;
    assert!(bodies(&bob.mesh).await.is_empty());
    assert_eq!(state(&alice.mesh, sent.id()).await.0, api::State::Accepted);
    bob.mallory.reform();
    sent.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    deliver(&alice, &bob, "bob").await;
    assert_eq!(bodies(&bob.mesh).await[0], "the text");
    assert_eq!(bodies(&bob.mesh).await.len(), 2);
}

#[tokio::test]
async fn a_truncated_delivery_is_malformed_and_comes_again() {
    tampered(|bytes| bytes.truncate(bytes.len() - 1), "malformed").await;
}

#[tokio::test]
async fn an_empty_delivery_is_malformed_and_comes_again() {
    tampered(Vec::clear, "malformed").await;
}

#[tokio::test]
async fn a_delivery_with_another_body_is_forged_and_comes_again() {
    tampered(
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        },
        "forged",
    )
    .await;
}

#[tokio::test]
async fn a_replayed_delivery_is_applied_once() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    alice.send("bob", "once").await.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    let bytes = bob.mallory.sees("the delivery", 0, |way, frame| deliveries(way, frame).pop()).await;
    let mark = bob.mallory.mark();
    for _ in 0..3 {
        bob.mallory.say(delivery(&bytes));
    }
    // Each replay is answered: the sender may have missed the receipt.
    let mut receipts = 0;
    bob.mallory
        .sees("the replays are answered", mark, |way, frame| {
            receipts += usize::from(way == Way::Up && matches!(frame.body, Body::ReceiptPut(_)));
            (receipts > 0).then_some(())
        })
        .await;
    deliver(&alice, &bob, "bob").await;
    bob.mallory.say(delivery(&bytes));
    deliver(&alice, &bob, "bob").await;
    let bodies = bodies(&bob.mesh).await;
    assert_eq!(bodies.iter().filter(|body| *body == "once").count(), 1, "{bodies:?}");
    assert_eq!(bodies.len(), 3);
}

#[tokio::test]
async fn a_delivery_of_another_mesh_is_forged() {
    let (town, other) = (Town::new().await, Town::new().await);
    let (alice, bob) = town.pair().await;
    let (other_alice, other_bob) = other.pair().await;
    other_alice.send("bob", "elsewhere").await.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    let bytes = other_bob.mallory.sees("the delivery", 0, |way, frame| deliveries(way, frame).pop()).await;
    bob.mallory.say(delivery(&bytes));
    warned(&bob.mesh, "forged").await;
    assert!(bodies(&bob.mesh).await.is_empty());
    deliver(&alice, &bob, "bob").await;
    assert_eq!(warnings(&bob.mesh).await, ["forged"], "it is no fork: nobody in this mesh signed it");
}

#[tokio::test]
async fn a_delivery_for_another_recipient_is_forged() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    let carol = town.guest("carol", &alice).await;
    alice.send("carol", "for carol").await.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    let bytes = carol.mallory.sees("the delivery", 0, |way, frame| deliveries(way, frame).pop()).await;
    bob.mallory.say(delivery(&bytes));
    warned(&bob.mesh, "forged").await;
    assert!(bodies(&bob.mesh).await.is_empty());
    deliver(&alice, &bob, "bob").await;
    assert_eq!(bodies(&carol.mesh).await, ["for carol"]);
}

#[tokio::test]
async fn frames_that_are_none_and_answers_to_no_question_are_counted_and_ignored() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    bob.mallory.say(vec![0xff; 10]);
    bob.mallory.say(Vec::new());
    warned(&bob.mesh, "malformed").await;
    // A frame of type 99, then an answer under a number that was never used.
    bob.mallory.say(vec![0xa2, 0x00, 0x18, 0x63, 0x01, 0x00]);
    bob.mallory.say(Frame::new(u64::MAX, Done {}).encode());
    warned(&bob.mesh, "unknown_frame").await;
    deliver(&alice, &bob, "bob").await;
    deliver(&bob, &alice, "alice").await;
}
