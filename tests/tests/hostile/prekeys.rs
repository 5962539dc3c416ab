//! Prekeys that are not the recipient's, or no longer.

use claudemesh_client::{Receipt, api};
use claudemesh_core::codec::{Bytes, List};
use claudemesh_core::wire::{self, Body, ErrorCode, Frame, Outcome};
use claudemesh_tests::hostile::{PATIENCE, Town, Verdict, Way, bodies, deliver, settled, state, warned};

fn records(frame: &Frame) -> Option<Vec<Bytes>> {
    match &frame.body {
        Body::Records(reply) if !reply.records.is_empty() => Some(reply.records.iter().cloned().collect()),
        _ => None,
    }
}

#[tokio::test]
async fn a_substituted_prekey_is_never_sealed_to() {
    let town = Town::new().await;
    let alice = town.founder().await;
    alice.mallory.tamper(|_, frame| match records(frame) {
        Some(mut records) => {
            for record in &mut records {
                let middle = record.0.len() / 2;
                record.0[middle] ^= 1;
            }
            Verdict::frame(frame.request, wire::Records { records: List::from_vec(records).unwrap() })
        }
        None => Verdict::Pass,
    });
    let bob = town.guest("bob", &alice).await;
    let mark = alice.mallory.mark();
    let sent = alice.send("bob", "secret").await;
    warned(&alice.mesh, "forged").await;
    settled("it is held", async || {
        (state(&alice.mesh, sent.id()).await == (api::State::Held, Some("no_prekey".into()))).then_some(())
    })
    .await;
    assert!(bodies(&bob.mesh).await.is_empty());
    alice.mallory.reform();
    alice.mallory.cut();
    sent.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    let enqueued = |_, frame: &Frame| matches!(frame.body, Body::Enqueue(_)).then_some(());
    alice.mallory.sees("it was sent after all", mark, enqueued).await;
    assert_eq!(bodies(&bob.mesh).await, ["secret"]);
    deliver(&alice, &bob, "bob").await;
}

/// Keeps a message from the broker and says that its prekey is gone: the sender asks for the record again.
fn refuse(way: Way, frame: &Frame) -> Option<Vec<u8>> {
    match &frame.body {
        Body::Enqueue(_) if way == Way::Up => {
            let refused = List::from_vec(vec![Outcome::Refused(ErrorCode::NoPrekey)]).unwrap();
            let outcomes = List::from_vec(vec![refused]).unwrap();
            Some(Frame::new(frame.request, wire::Enqueued { outcomes, commits: 0 }).encode())
        }
        _ => None,
    }
}

#[tokio::test]
async fn a_stale_prekey_record_is_never_gone_back_to() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    deliver(&alice, &bob, "bob").await;
    let old = alice.mallory.sees("bob's record", 0, |_, frame| records(frame)).await;
    // A welcome without bob's record makes him publish it again, under the next number.
    bob.mallory.lie(|welcome| welcome.record = None);
    let mark = bob.mallory.mark();
    bob.mallory.cut();
    let put = bob
        .mallory
        .sees("bob's record is published", mark, |_, frame| match &frame.body {
            Body::RecordPut(put) => Some((frame.request, put.record.clone())),
            _ => None,
        })
        .await;
    bob.mallory
        .sees("it is stored", mark, |way, frame| (way == Way::Down && frame.request == put.0).then_some(()))
        .await;
    bob.mallory.reform();

    // Refused once, alice asks again and learns the new record.
    let (answers, mut answered) = tokio::sync::mpsc::unbounded_channel();
    let mut refused = false;
    alice.mallory.tamper(move |way, frame| match refuse(way, frame) {
        Some(reply) if !refused => {
            refused = true;
            answers.send(reply).unwrap();
            Verdict::Drop
        }
        _ => Verdict::Pass,
    });
    let mark = alice.mallory.mark();
    let sent = alice.send("bob", "by the new record").await;
    alice.mallory.say(answered.recv().await.unwrap());
    sent.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    let new = alice.mallory.sees("bob's new record", mark, |_, frame| records(frame)).await;
    assert_eq!((new.len(), &new[0]), (1, &put.1));
    assert_ne!(new, old);

    // Refused again, she is served the old one.
    let (answers, mut answered) = tokio::sync::mpsc::unbounded_channel();
    alice.mallory.tamper(move |way, frame| match (refuse(way, frame), records(frame)) {
        (Some(reply), _) => {
            answers.send(reply).unwrap();
            Verdict::Drop
        }
        (None, Some(_)) => {
            let records = List::from_vec(old.clone()).unwrap();
            Verdict::frame(frame.request, wire::Records { records })
        }
        _ => Verdict::Pass,
    });
    let sent = alice.send("bob", "not by the old one").await;
    alice.mallory.say(answered.recv().await.unwrap());
    warned(&alice.mesh, "stale_record").await;
    settled("it is held", async || {
        (state(&alice.mesh, sent.id()).await == (api::State::Held, Some("no_prekey".into()))).then_some(())
    })
    .await;
    assert!(answered.is_empty(), "nothing was sealed to the old record");
    alice.mallory.reform();
    alice.mallory.cut();
    sent.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    deliver(&alice, &bob, "bob").await;
    assert_eq!(bodies(&bob.mesh).await.len(), 4);
}
