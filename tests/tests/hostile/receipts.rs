//! Receipts that are moved, forged or replayed.

use claudemesh_client::{Receipt as Wanted, SentMessage, api};
use claudemesh_core::codec::{Bytes, List};
use claudemesh_core::envelope::Submission;
use claudemesh_core::hash::Hash;
use claudemesh_core::receipt::{Receipt, ReceiptItem, ReceiptState};
use claudemesh_core::wire::{self, Body, Frame, Notice, NumberedNotice};
use claudemesh_core::{DeviceId, MessageId};
use claudemesh_tests::hostile::{
    Citizen, PATIENCE, Rogue, Town, Verdict, Way, bodies, deliver, state, warned, warnings,
};

/// A notice that stands nowhere in the queue.
fn notice(part: &[u8]) -> Vec<u8> {
    let items = List::from_vec(vec![NumberedNotice { offset: 0, notice: Notice::Receipt(part.into()) }]).unwrap();
    Frame::push(wire::Notices { items }).encode()
}

/// The first receipt on its way to a sender after `mark`.
async fn receipt_for(sender: &Citizen, mark: usize) -> Bytes {
    let found = |_, frame: &Frame| match &frame.body {
        Body::Notices(notices) => notices.items.iter().find_map(|item| match &item.notice {
            Notice::Receipt(part) => Some(part.clone()),
            Notice::Expired { .. } => None,
        }),
        _ => None,
    };
    sender.mallory.sees("a receipt", mark, found).await
}

/// The hash of the last envelope a sender submitted after `mark`.
async fn envelope_of(sender: &Citizen, mark: usize) -> Hash {
    let found = |_, frame: &Frame| match &frame.body {
        Body::Enqueue(enqueue) => enqueue.submissions.last().cloned(),
        _ => None,
    };
    let bytes = sender.mallory.sees("the envelope", mark, found).await;
    Submission::decode(&bytes).unwrap().parse().unwrap().envelope_hash()
}

/// A message that the broker has and keeps from its recipient.
async fn withheld(from: &Citizen, to: &Citizen, name: &str, text: &str) -> SentMessage {
    to.mallory.tamper(|_, frame| match &frame.body {
        Body::Deliver(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    from.accepted(name, text).await
}

/// The lie was named, and the message is still what it was; then it arrives, once.
async fn survived(alice: &Citizen, bob: &Citizen, sent: &SentMessage, text: &str) {
    warned(&alice.mesh, "forged_receipt").await;
    assert_eq!(state(&alice.mesh, sent.id()).await.0, api::State::Accepted);
    bob.mallory.reform();
    sent.wait(Wanted::Delivered).timeout(PATIENCE).await.unwrap();
    assert_eq!(bodies(&bob.mesh).await.iter().filter(|body| *body == text).count(), 1);
    deliver(alice, bob, "bob").await;
}

#[tokio::test]
async fn a_receipt_moved_to_another_message_is_not_believed() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    let first = alice.send("bob", "first").await;
    first.wait(Wanted::Delivered).timeout(PATIENCE).await.unwrap();
    let part = receipt_for(&alice, 0).await;
    let second = withheld(&alice, &bob, "bob", "second").await;
    let [old, new] = [&first, &second].map(|sent| *sent.id().parse::<MessageId>().unwrap().as_bytes());
    let at = part.windows(16).position(|window| window == old).unwrap();
    let mut moved = part.0.clone();
    moved[at..at + 16].copy_from_slice(&new);
    alice.mallory.say(notice(&moved));
    survived(&alice, &bob, &second, "second").await;
}

/// A receipt by this device over this message.
fn signed(rogue: &Rogue, sender: DeviceId, sent: &SentMessage, envelope: Hash) -> Vec<u8> {
    let item =
        ReceiptItem { sender, id: sent.id().parse().unwrap(), attempt: 1, envelope, state: ReceiptState::Delivered };
    let receipt = Receipt::sign(&rogue.key, rogue.mesh, rogue.roster().head(), &[item]).unwrap();
    let verified = receipt.verify(&rogue.key.public(), &rogue.mesh).unwrap();
    verified.part_for(&sender).unwrap().encode()
}

#[tokio::test]
async fn a_receipt_by_a_member_who_was_not_the_recipient_is_not_believed() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    let rogue = Rogue::join(&town, &alice.link().await).await;
    let mark = alice.mallory.mark();
    let sent = withheld(&alice, &bob, "bob", "for bob").await;
    let envelope = envelope_of(&alice, mark).await;
    let own: DeviceId = alice.mesh.whoami().await.unwrap().device.parse().unwrap();
    alice.mallory.say(notice(&signed(&rogue, own, &sent, envelope)));
    survived(&alice, &bob, &sent, "for bob").await;
}

#[tokio::test]
async fn a_receipt_for_bytes_that_were_never_sent_is_not_believed() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    let rogue = Rogue::join(&town, &alice.link().await).await;
    let to = rogue.member();
    // The recipient itself, with the broker's help, signs for another envelope.
    let sent = alice.accepted(&to.to_string(), "read before you sign").await;
    let own: DeviceId = alice.mesh.whoami().await.unwrap().device.parse().unwrap();
    alice.mallory.say(notice(&signed(&rogue, own, &sent, [7; 32])));
    warned(&alice.mesh, "forged_receipt").await;
    assert_eq!(state(&alice.mesh, sent.id()).await.0, api::State::Accepted);
    deliver(&alice, &bob, "bob").await;
}

#[tokio::test]
async fn a_damaged_receipt_is_not_believed() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    let sent = withheld(&alice, &bob, "bob", "text").await;
    alice.mallory.say(notice(b"no receipt"));
    survived(&alice, &bob, &sent, "text").await;
}

#[tokio::test]
async fn a_replayed_receipt_changes_nothing() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    let sent = alice.send("bob", "text").await;
    sent.wait(Wanted::Delivered).timeout(PATIENCE).await.unwrap();
    let part = receipt_for(&alice, 0).await;
    let before = alice.mesh.whoami().await.unwrap().position;
    let mark = alice.mallory.mark();
    alice.mallory.say(notice(&part));
    let done = |way, frame: &Frame| (way == Way::Up && matches!(frame.body, Body::NoticesDone(_))).then_some(());
    alice.mallory.sees("the replay is taken", mark, done).await;
    assert_eq!(alice.mesh.whoami().await.unwrap().position, before, "a replay is no event");
    assert_eq!(state(&alice.mesh, sent.id()).await.0, api::State::Delivered);
    deliver(&alice, &bob, "bob").await;
    assert!(warnings(&alice.mesh).await.is_empty());
}
