use claudemesh_core::codec::{Bytes, HashBytes};
use claudemesh_core::{MeshId, Millis};

use super::fixture::{A, ACCEPTED, ALL, B, C, D, DAY, DUPLICATE, MESH, NOW, STRANGER, World, refused};
use crate::store::testing::RosterKind;
use crate::store::{Enqueue, NewMail, Outcome, Page, Refusal};

pub(super) async fn accepted_mail_waits_in_order_until_acknowledged(world: World) {
    let envelopes: Vec<Enqueue> = (1..=3).map(|seq| world.envelope(B, seq)).collect();
    let enqueued = world.store.enqueue(envelopes.clone(), NOW).await.unwrap();
    assert_eq!(enqueued.outcomes, vec![ACCEPTED.to_vec(); 3]);
    let placed = |at| NewMail { mesh: MESH, device: B, envelope: at, offset: at as u64 + 1 };
    assert_eq!(enqueued.mail, [placed(0), placed(1), placed(2)]);
    assert_eq!(enqueued.due, None);
    let mail = world.mail(B).await;
    assert_eq!(mail.iter().map(|mail| mail.offset).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(mail.iter().zip(&envelopes).all(|(mail, envelope)| mail.hash == envelope.hash
        && mail.envelope == envelope.envelope
        && mail.record == envelope.recipients[0].record
        && mail.member_of == envelope.recipients[0].member_of));
    assert_eq!(world.ack(B, &[&envelopes[0], &envelopes[2]], false).await, [1, 3]);
    assert_eq!(world.mail(B).await[0].offset, 2);
    // An offset is never given twice.
    world.send(&world.envelope(B, 4)).await;
    assert_eq!(world.mail(B).await[1].offset, 4);
    assert_eq!(world.store.mailbox(MESH, B, 2, ALL, NOW).await.unwrap().len(), 1);
}

pub(super) async fn a_repeated_envelope_is_a_duplicate_even_after_delivery(world: World) {
    let envelope = world.envelope(B, 1);
    assert_eq!(world.send(&envelope).await, ACCEPTED);
    assert_eq!(world.send(&envelope).await, DUPLICATE);
    world.ack(B, &[&envelope], false).await;
    let enqueued = world.store.enqueue(vec![envelope.clone()], NOW).await.unwrap();
    assert_eq!((enqueued.outcomes, enqueued.mail), (vec![DUPLICATE.to_vec()], Vec::new()));
    // A higher attempt is no way around it: the message did not end refused.
    let mut again = envelope;
    again.attempt = 2;
    again.hash = [9; 32];
    assert_eq!(world.send(&again).await, DUPLICATE);
    assert_eq!(world.mail(B).await, []);
}

pub(super) async fn one_id_with_two_contents_is_a_conflict(world: World) {
    let envelope = world.envelope(B, 1);
    world.send(&envelope).await;
    let mut other = world.envelope(C, 1);
    other.id = envelope.id;
    assert_eq!(world.send(&other).await, refused(Refusal::IdConflict));
    other.id = world.envelope(C, 2).id;
    assert_eq!(world.send(&other).await, ACCEPTED);
}

pub(super) async fn outcomes_are_per_recipient(world: World) {
    let group = world.group(&[(B, 1), (D, 1), (STRANGER, 1), (C, 1)]);
    let expected = [
        Outcome::Accepted,
        Outcome::Refused(Refusal::NoPrekey),
        Outcome::Refused(Refusal::UnknownRecipient),
        Outcome::Accepted,
    ];
    assert_eq!(world.send(&group).await, expected);
    // The identical bytes again: accepted for those that now can, duplicate for the others.
    world.put(&D, 1, &[super::fixture::PREKEY]).await.unwrap();
    let expected =
        [Outcome::Duplicate, Outcome::Accepted, Outcome::Refused(Refusal::UnknownRecipient), Outcome::Duplicate];
    let alone = world.envelope(B, 2);
    let enqueued = world.store.enqueue(vec![alone, group.clone()], NOW).await.unwrap();
    assert_eq!(enqueued.outcomes[1], expected);
    // Only what is new joined a mailbox.
    let placed = [(B, 0, 2), (D, 1, 1)];
    let placed = placed.map(|(device, envelope, offset)| NewMail { mesh: MESH, device, envelope, offset });
    assert_eq!(enqueued.mail, placed);
    for device in [B, C, D] {
        assert_eq!(world.mail(device).await[0].envelope, group.envelope);
    }
}

pub(super) async fn checks_run_in_the_protocols_order(world: World) {
    let sent = world.envelope(B, 1);
    world.send(&sent).await;
    let mut bad = world.envelope(B, 2);
    bad.envelope = Bytes(vec![0; 1001]);
    bad.expires = NOW.plus(365 * DAY);
    bad.recipients[0].prekey = 99;
    bad.head.hash = HashBytes([0; 32]);
    bad.sender = STRANGER;
    bad.mesh = MeshId::from_bytes([5; 32]);
    assert_eq!(world.send(&bad).await, refused(Refusal::UnknownMesh));
    bad.mesh = MESH;
    assert_eq!(world.send(&bad).await, refused(Refusal::SenderRemoved));
    bad.sender = A;
    bad.recipients[0].device = STRANGER;
    assert_eq!(world.send(&bad).await, refused(Refusal::UnknownRecipient));
    bad.recipients[0].device = B;
    bad.recipients[0].seq = 1;
    assert_eq!(world.send(&bad).await, DUPLICATE);
    bad.recipients[0].seq = 2;
    assert_eq!(world.send(&bad).await, refused(Refusal::UnknownHead));
    bad.head = world.head;
    assert_eq!(world.send(&bad).await, refused(Refusal::NoPrekey));
    bad.recipients[0].prekey = super::fixture::PREKEY;
    assert_eq!(world.send(&bad).await, refused(Refusal::TooLarge));
    bad.envelope = Bytes(vec![0; 1000]);
    assert_eq!(world.send(&bad).await, refused(Refusal::TtlTooLong));
    bad.expires = NOW;
    assert_eq!(world.send(&bad).await, refused(Refusal::Expired));
    bad.expires = NOW.plus(1);
    assert_eq!(world.send(&bad).await, ACCEPTED);
}

pub(super) async fn a_full_mailbox_refuses_and_keeps_the_order(world: World) {
    for seq in 1..=4 {
        assert_eq!(world.send(&world.envelope(B, seq)).await, ACCEPTED);
    }
    assert_eq!(world.send(&world.envelope(B, 5)).await, refused(Refusal::MailboxFull));
    world.ack(B, &[&world.envelope(B, 1)], false).await;
    // There is room now, but the refused one comes first in its lane.
    assert_eq!(world.send(&world.envelope(B, 6)).await, refused(Refusal::MailboxFull));
    assert_eq!(world.send(&world.envelope(B, 5)).await, ACCEPTED);
}

pub(super) async fn a_lane_waits_only_for_what_comes_again(world: World) {
    let mut ahead = world.envelope(B, 1);
    ahead.head.index = 99;
    assert_eq!(world.send(&ahead).await, refused(Refusal::UnknownHead));
    assert_eq!(world.send(&world.envelope(B, 2)).await, refused(Refusal::MailboxFull));
    // Other lanes do not wait, and this one not for ever.
    let mut other = world.envelope(B, 3);
    other.recipients[0].lane = 0;
    assert_eq!(world.send(&other).await, ACCEPTED);
    ahead.head = world.head;
    ahead.expires = NOW;
    assert_eq!(world.send(&ahead).await, refused(Refusal::Expired));
    assert_eq!(world.send(&world.envelope(B, 2)).await, ACCEPTED);
}

pub(super) async fn impossible_numbers_are_refused_alone(world: World) {
    let good = world.envelope(B, 1);
    let mut bad_seq = world.group(&[(C, 1), (B, u64::MAX - 1)]);
    bad_seq.envelope = Bytes(vec![3]);
    let zero_seq = world.envelope(B, 0);
    let mut bad_attempt = world.envelope(B, 2);
    bad_attempt.attempt = u64::MAX;
    let mut bad_expiry = world.envelope(B, 3);
    bad_expiry.expires = Millis(u64::MAX);
    let mut far = world.envelope(B, 4);
    far.deliver_at = Some(Millis(u64::MAX));
    let batch = vec![good, bad_seq, zero_seq, bad_attempt, bad_expiry, far];
    let outcomes = world.store.enqueue(batch, NOW).await.unwrap().outcomes;
    let malformed = refused(Refusal::Malformed);
    let expected = [
        ACCEPTED.to_vec(),
        vec![Outcome::Accepted, malformed[0]],
        malformed.clone(),
        malformed,
        refused(Refusal::TtlTooLong),
        ACCEPTED.to_vec(),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(world.mail(B).await.len(), 1);
    assert_eq!(world.mail(C).await.len(), 1);
}

pub(super) async fn a_recipient_named_twice_gets_one_copy(world: World) {
    let twice = world.group(&[(B, 1), (B, 2)]);
    assert_eq!(world.send(&twice).await, [Outcome::Accepted, Outcome::Refused(Refusal::Malformed)]);
    assert_eq!(world.ack(B, &[&twice], false).await, [1]);
    assert_eq!(world.mail(B).await, []);
}

pub(super) async fn pages_end_at_their_limits(world: World) {
    for seq in 1..=4 {
        world.send(&world.envelope(B, seq)).await;
    }
    let count = async |items, bytes| world.store.mailbox(MESH, B, 0, Page { items, bytes }, NOW).await.unwrap().len();
    assert_eq!(count(3, 10_000).await, 3);
    assert_eq!(count(10, 150).await, 2);
    assert_eq!(count(10, 0).await, 1);
    assert_eq!(count(0, 0).await, 0);
    // Offsets beyond everything are no error.
    assert_eq!(world.store.mailbox(MESH, B, 4, ALL, NOW).await.unwrap(), []);
    assert_eq!(world.store.mailbox(MESH, STRANGER, 0, ALL, NOW).await.unwrap(), []);
}

pub(super) async fn the_last_accepted_envelope_is_remembered(world: World) {
    let proof = async || world.store.device_facts(MESH, A).await.unwrap().proof;
    assert_eq!(proof().await, None);
    let (one, two) = (world.envelope(B, 1), world.envelope(B, 2));
    world.send(&one).await;
    world.send(&two).await;
    world.send(&one).await;
    world.send(&world.envelope(STRANGER, 1)).await;
    assert_eq!(proof().await, Some(two.proof));
}

pub(super) async fn a_closed_mesh_takes_no_mail(mut world: World) {
    let envelope = world.envelope(B, 1);
    world.send(&envelope).await;
    world.append(RosterKind::Close, 4, &A).await.unwrap();
    assert_eq!(world.send(&envelope).await, DUPLICATE);
    assert_eq!(world.send(&world.envelope(B, 2)).await, refused(Refusal::MeshClosed));
}

pub(super) async fn every_commit_is_counted(world: World) {
    let before = world.store.meta().await.unwrap();
    let enqueued = world.store.enqueue(vec![world.envelope(B, 1)], NOW).await.unwrap();
    let after = world.store.meta().await.unwrap();
    assert_eq!((enqueued.commit, after.commit), (before.commit + 1, before.commit + 1));
    assert_eq!(before.store_id, after.store_id);
    // Reading and refusing are no commits, nor is what a power failure may take back: no counter is told that the disk does
    // not have.
    world.mail(B).await;
    world.ack(B, &[&world.envelope(B, 1)], false).await;
    world.store.notices_done(MESH, A, 1).await.unwrap();
    assert_eq!(world.store.enqueue(vec![world.envelope(B, 1)], NOW).await.unwrap().commit, after.commit);
    world.send(&world.envelope(STRANGER, 1)).await;
    assert_eq!(world.store.meta().await.unwrap(), after);
}

pub(super) async fn one_batch_may_name_an_id_again(world: World) {
    let one = world.envelope(B, 1);
    let mut other = world.envelope(C, 1);
    other.id = one.id;
    let batch = vec![world.envelope(C, 2), one.clone(), one, other, world.envelope(B, 2)];
    let enqueued = world.store.enqueue(batch, NOW).await.unwrap();
    let conflict = refused(Refusal::IdConflict);
    assert_eq!(enqueued.outcomes, [&ACCEPTED[..], &ACCEPTED, &DUPLICATE, &conflict, &ACCEPTED]);
    assert_eq!(
        enqueued.mail.iter().map(|new| (new.envelope, new.offset)).collect::<Vec<_>>(),
        [(0, 1), (1, 1), (4, 2)]
    );
    assert_eq!(world.mail(B).await.iter().map(|mail| mail.offset).collect::<Vec<_>>(), [1, 2]);
}
