//! A member that sends what no honest client would, to an honest broker.

use claudemesh_client::{Receipt, api};
use claudemesh_core::codec::{self, List};
use claudemesh_core::envelope::{ClaimItem, ClaimState, ContentBody, Submission};
use claudemesh_core::receipt::{Reason, Receipt as Signed, ReceiptItem, ReceiptPart, ReceiptState};
use claudemesh_core::testing::SeededRng;
use claudemesh_core::wire::{self, Body, ErrorCode, Frame, MAX_FRAME, Notice, Outcome};
use claudemesh_core::{DeviceId, MessageId, Millis, PrekeySecret};
use claudemesh_tests::hostile::{Citizen, PATIENCE, Rogue, Town, Verdict, bodies, deliver, settled, state, warnings};

async fn device(who: &Citizen) -> DeviceId {
    who.mesh.whoami().await.unwrap().device.parse().unwrap()
}

/// Alice, Bob, and a member who plays foul.
async fn scene(town: &Town) -> (Citizen, Citizen, Rogue) {
    let (alice, bob) = town.pair().await;
    let rogue = Rogue::join(town, &alice.link().await).await;
    (alice, bob, rogue)
}

/// Nobody noticed anything, and mail goes both ways.
async fn unharmed(alice: &Citizen, bob: &Citizen) {
    deliver(alice, bob, "bob").await;
    deliver(bob, alice, "alice").await;
    assert!(warnings(&alice.mesh).await.is_empty());
    assert!(warnings(&bob.mesh).await.is_empty());
}

#[tokio::test]
async fn an_oversized_frame_ends_its_own_connection_only() {
    let town = Town::new().await;
    let (alice, bob, mut rogue) = scene(&town).await;
    assert_eq!(rogue.provoke(1 << 40, vec![0; MAX_FRAME + 1]).await, None);
    unharmed(&alice, &bob).await;
}

#[tokio::test]
async fn an_oversized_message_is_refused_by_name() {
    let town = Town::new().await;
    let (alice, bob, mut rogue) = scene(&town).await;
    let to = device(&bob).await;
    let draft = rogue.draft(to, 1, "small").await;
    let mut submission = rogue.seal(draft.clone());
    // The largest body there may be, and one byte more.
    submission.body = vec![0; 163_881].into();
    let answer = rogue.enqueue(submission.encode()).await;
    assert_eq!(answer, Ok(Outcome::Refused(ErrorCode::TooLarge)));
    assert_eq!(rogue.enqueue(rogue.seal(draft).encode()).await, Ok(Outcome::Accepted), "the honest one is taken");
    settled("it arrives", async || (bodies(&bob.mesh).await == ["small"]).then_some(())).await;
    unharmed(&alice, &bob).await;
}

#[tokio::test]
async fn malformed_requests_are_each_answered_by_one_error() {
    let town = Town::new().await;
    let (alice, bob, mut rogue) = scene(&town).await;
    assert_eq!(rogue.enqueue(b"no submission".to_vec()).await, Ok(Outcome::Refused(ErrorCode::Malformed)));
    assert_eq!(rogue.refused(wire::ReceiptPut { receipt: vec![0; 9].into() }).await, ErrorCode::Malformed);
    assert_eq!(rogue.refused(wire::RosterAppend { entry: vec![0; 9].into() }).await, ErrorCode::Malformed);
    assert_eq!(rogue.refused(wire::RecordPut { record: vec![0; 9].into() }).await, ErrorCode::Malformed);
    // A known type whose fields do not fit, and a type nobody knows.
    for (bytes, code) in [
        (vec![0xa2, 0x00, 0x18, 0x1e, 0x01, 0x19, 0x03, 0xe7], ErrorCode::Malformed),
        (vec![0xa2, 0x00, 0x18, 0x63, 0x01, 0x19, 0x03, 0xe7], ErrorCode::Unsupported),
    ] {
        let reply = rogue.provoke(999, bytes).await;
        assert!(matches!(&reply, Some(Body::Error(error)) if error.code == code), "{reply:?}");
    }
    unharmed(&alice, &bob).await;
}

#[tokio::test]
async fn a_message_in_the_name_of_another_is_refused() {
    let town = Town::new().await;
    let (alice, bob, mut rogue) = scene(&town).await;
    let to = device(&bob).await;
    let mut draft = rogue.draft(to, 1, "I am alice").await;
    let submission = rogue.seal(draft.clone());
    draft.header.sender = device(&alice).await;
    let forged = Submission { header: codec::encode(&draft.header).into(), ..submission };
    let answer = rogue.enqueue(forged.encode()).await;
    assert!(matches!(answer, Ok(Outcome::Refused(ErrorCode::Forbidden | ErrorCode::Malformed))), "{answer:?}");
    assert!(bodies(&bob.mesh).await.is_empty());
    unharmed(&alice, &bob).await;
}

#[tokio::test]
async fn another_senders_id_names_another_message() {
    let town = Town::new().await;
    let (alice, bob, mut rogue) = scene(&town).await;
    // The rogue knows the id before alice's message is there, and after.
    let ids: [MessageId; 2] = [1, 2].map(|n| MessageId::generate(Millis(n), &mut SeededRng::new(n)));
    let to = device(&bob).await;
    let take = async |rogue: &mut Rogue, seq: u64| {
        let mut draft = rogue.draft(to, seq, &format!("rogue {seq}")).await;
        draft.header.id = ids[seq as usize - 1];
        let submission = rogue.seal(draft).encode();
        assert_eq!(rogue.enqueue(submission).await, Ok(Outcome::Accepted));
    };
    take(&mut rogue, 1).await;
    for (at, id) in ids.iter().enumerate() {
        let sent = alice.mesh.send("bob", format!("alice {at}")).id(id.to_string()).await.unwrap();
        sent.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    }
    take(&mut rogue, 2).await;
    settled("all arrive", async || (bodies(&bob.mesh).await.len() == 4).then_some(())).await;
    let mut all = bodies(&bob.mesh).await;
    all.sort();
    assert_eq!(all, ["alice 0", "alice 1", "rogue 1", "rogue 2"]);
    unharmed(&alice, &bob).await;
}

#[tokio::test]
async fn one_id_with_two_contents_is_a_conflict() {
    let town = Town::new().await;
    let (alice, bob, mut rogue) = scene(&town).await;
    let to = device(&bob).await;
    let first = rogue.draft(to, 1, "yes").await;
    let mut second = rogue.draft(to, 2, "no").await;
    second.header.id = first.header.id;
    assert_eq!(rogue.enqueue(rogue.seal(first).encode()).await, Ok(Outcome::Accepted));
    let answer = rogue.enqueue(rogue.seal(second).encode()).await;
    assert_eq!(answer, Ok(Outcome::Refused(ErrorCode::IdConflict)));
    settled("the first arrives", async || (bodies(&bob.mesh).await == ["yes"]).then_some(())).await;
    unharmed(&alice, &bob).await;
}

/// What the recipient answered to the rogue's next message.
async fn answer(rogue: &mut Rogue, id: MessageId, by: DeviceId) -> ReceiptState {
    let part = rogue
        .told(|body| match body {
            Body::Notices(notices) => notices.items.iter().find_map(|item| match &item.notice {
                Notice::Receipt(part) => Some(part.clone()),
                Notice::Expired { .. } => None,
            }),
            _ => None,
        })
        .await;
    let key = rogue.roster().device(&by).unwrap().key;
    let part = ReceiptPart::decode(&part).unwrap().verify(&key, &rogue.mesh).unwrap();
    let item = part.items_of(&rogue.device()).find(|item| item.id == id).unwrap();
    item.state
}

#[tokio::test]
async fn a_wrap_that_does_not_open_is_refused_as_unreadable_by_the_recipient() {
    let town = Town::new().await;
    let (alice, bob, mut rogue) = scene(&town).await;
    let to = device(&bob).await;
    let draft = rogue.draft(to, 1, "unreadable").await;
    // Sealed to a prekey that is not the recipient's, under the id of one that is.
    let mut sealed_elsewhere = draft.clone();
    let own = PrekeySecret::generate(&mut SeededRng::new(5));
    sealed_elsewhere.recipients[0].prekey = own.public();
    let submission = rogue.seal(sealed_elsewhere).encode();
    assert_eq!(rogue.enqueue(submission).await, Ok(Outcome::Accepted), "the broker cannot know");
    assert_eq!(answer(&mut rogue, draft.header.id, to).await, ReceiptState::Refused(Reason::Unreadable));
    assert!(bodies(&bob.mesh).await.is_empty());
    unharmed(&alice, &bob).await;
}

#[tokio::test]
async fn a_seq_far_ahead_is_a_gap_and_holds_nobody_up() {
    let town = Town::new().await;
    let (alice, bob, mut rogue) = scene(&town).await;
    let to = device(&bob).await;
    for seq in [u64::from(u32::MAX), 2] {
        let draft = rogue.draft(to, seq, &format!("{seq}")).await;
        let id = draft.header.id;
        assert_eq!(rogue.enqueue(rogue.seal(draft).encode()).await, Ok(Outcome::Accepted));
        assert_eq!(answer(&mut rogue, id, to).await, ReceiptState::Delivered);
        rogue.done(wire::NoticesDone { through: u64::MAX >> 1 }).await;
    }
    assert_eq!(bodies(&bob.mesh).await, ["4294967295", "2"]);
    assert_eq!(warnings(&bob.mesh).await, ["gap"]);
    deliver(&alice, &bob, "bob").await;
}

#[tokio::test]
async fn a_claim_about_a_message_to_somebody_else_is_not_believed() {
    let town = Town::new().await;
    let (alice, bob, mut rogue) = scene(&town).await;
    let sent = alice.send("bob", "for bob").await;
    sent.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    let to = device(&alice).await;
    let mut draft = rogue.draft(to, 1, "").await;
    let id = draft.header.id;
    let claim = ClaimItem { id: sent.id().parse().unwrap(), state: ClaimState::Read, at: Millis(1) };
    draft.content.body = ContentBody::Claim(vec![claim]);
    assert_eq!(rogue.enqueue(rogue.seal(draft).encode()).await, Ok(Outcome::Accepted));
    assert_eq!(answer(&mut rogue, id, to).await, ReceiptState::Delivered);
    assert_eq!(state(&alice.mesh, sent.id()).await.0, api::State::Delivered, "bob has not read it");
    unharmed(&alice, &bob).await;
    let read = bob.mesh.inbox().await.unwrap();
    read[0].mark_read().await.unwrap();
    sent.wait(Receipt::Read).timeout(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_receipt_for_anothers_mail_removes_nothing_from_its_mailbox() {
    let town = Town::new().await;
    let (alice, bob, mut rogue) = scene(&town).await;
    bob.mallory.tamper(|_, frame| match &frame.body {
        Body::Deliver(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    let mark = alice.mallory.mark();
    let sent = alice.accepted("bob", "for bob").await;
    let submission = alice.mallory.sees("the envelope", mark, |_, frame: &Frame| match &frame.body {
        Body::Enqueue(enqueue) => enqueue.submissions.last().cloned(),
        _ => None,
    });
    let envelope = Submission::decode(&submission.await).unwrap().parse().unwrap().envelope_hash();
    let item = ReceiptItem {
        sender: device(&alice).await,
        id: sent.id().parse().unwrap(),
        attempt: 1,
        envelope,
        state: ReceiptState::Delivered,
    };
    let receipt = Signed::sign(&rogue.key, rogue.mesh, rogue.roster().head(), &[item]).unwrap();
    // The broker takes the rogue's word for the rogue's own mailbox, which is empty.
    let _ = rogue.ask(wire::ReceiptPut { receipt: receipt.encode().into() }).await;
    assert_eq!(state(&alice.mesh, sent.id()).await.0, api::State::Accepted);
    bob.mallory.reform();
    sent.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    assert_eq!(bodies(&bob.mesh).await, ["for bob"]);
    unharmed(&alice, &bob).await;
}

#[tokio::test]
async fn one_member_cannot_publish_for_another() {
    let town = Town::new().await;
    let (alice, bob, mut rogue) = scene(&town).await;
    let devices = List::from_vec(vec![device(&bob).await]).unwrap();
    let Body::Records(records) = rogue.ask(wire::RecordGet { devices }).await else { panic!("no records") };
    let record = records.records[0].clone();
    assert_eq!(rogue.refused(wire::RecordPut { record }).await, ErrorCode::Malformed);
    unharmed(&alice, &bob).await;
}
