use std::collections::BTreeSet;

use claudemesh_core::codec::List;
use claudemesh_core::envelope::Lane;
use claudemesh_core::receipt::{Reason, ReceiptPart, ReceiptState};
use claudemesh_core::wire::{self, Body, ErrorCode, Limits, Notice, Outcome};
use claudemesh_core::{Millis, RosterHead};

use super::world::World;
use crate::config::EngineConfig;
use crate::limit::Rate;

const FULL: Outcome = Outcome::Refused(ErrorCode::MailboxFull);

/// Takes and acknowledges all mail of a peer; how many messages it was.
fn empty(world: &mut World, at: usize) -> usize {
    let mut count = 0;
    loop {
        let mail = world.peers[at].deliveries();
        if mail.is_empty() {
            return count;
        }
        count += mail.len();
        for some in mail.chunks(256) {
            world.acknowledge(at, some);
        }
    }
}

#[test]
fn a_message_is_delivered_receipted_and_noticed() {
    let mut world = World::of(2);
    let outcomes = {
        let text = world.text(0, &[1]);
        world.enqueue(0, vec![text])
    };
    assert_eq!(outcomes, [[Outcome::Accepted]]);
    let mail = world.peers[1].deliveries();
    assert_eq!(mail.len(), 1);
    let verified = world.verify(&mail[0].1);
    verified.check_recipient(&world.peers[1].id()).unwrap();
    let secret = world.peers[1].prekeys.secret(claudemesh_core::device::PrekeyId(verified.record().prekey_id)).unwrap();
    assert!(verified.open(secret, &mut claudemesh_core::envelope::UnwrapCache::new()).is_ok());

    world.acknowledge(1, &mail);
    let notices = world.peers[0].notices();
    let [notice] = &notices[..] else { panic!("{} notices", notices.len()) };
    let Notice::Receipt(part) = &notice.notice else { panic!("an expiry") };
    let part = ReceiptPart::decode(part).unwrap().verify(&world.peers[1].key.public(), &world.mesh).unwrap();
    assert_eq!(part.items[0].envelope, verified.envelope_hash());
    assert_eq!(part.items[0].state, ReceiptState::Delivered);

    // Until it says that it has them, they come again.
    world.connect(0);
    assert_eq!(world.peers[0].notices().len(), 1);
    world.done(0, wire::NoticesDone { through: notice.offset });
    world.connect(0);
    world.connect(1);
    assert!(world.peers[0].notices().is_empty() && world.peers[1].deliveries().is_empty());
}

#[test]
fn mail_waits_for_who_is_away() {
    let mut world = World::of(2);
    world.disconnect(1);
    world.send_texts(0, &[1], 100);
    world.connect(1);
    let mail = world.peers[1].deliveries();
    let offsets: Vec<u64> = mail.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets.len(), 100);
    assert!(offsets.is_sorted());
    let seqs: Vec<u64> = mail.iter().map(|(_, bytes)| world.verify(bytes).record().seq).collect();
    assert_eq!(seqs, (1..=100).collect::<Vec<_>>());
}

#[test]
fn every_recipient_has_its_own_outcome() {
    let mut world = World::of(3);
    let gone = world.peers[2].id();
    let to = [world.recipient(0, 1, Lane::Next), world.recipient(0, 2, Lane::Next)];
    let entry = world.roster.remove_device(&world.peers[0].key, &gone).unwrap();
    world.append(0, entry);
    let header = world.header(0);
    let text = world.seal_to(0, to.into(), header);
    let outcomes = world.enqueue(0, vec![text]);
    assert_eq!(outcomes, [[Outcome::Accepted, Outcome::Refused(ErrorCode::UnknownRecipient)]]);
    assert_eq!(world.peers[1].deliveries().len(), 1);
}

#[test]
fn the_same_bytes_again_are_a_duplicate_and_others_a_conflict() {
    let mut world = World::of(2);
    let header = world.header(0);
    let first = world.seal(0, &[1], header);
    assert_eq!(world.enqueue(0, vec![first.clone(), first.clone()]), [[Outcome::Accepted], [Outcome::Duplicate]]);
    let other = world.seal(0, &[1], header);
    assert_eq!(world.enqueue(0, vec![first, other]), [[Outcome::Duplicate], [Outcome::Refused(ErrorCode::IdConflict)]]);
    assert_eq!(world.peers[1].deliveries().len(), 1);
}

#[test]
fn submissions_that_cannot_be_are_refused_one_by_one() {
    let mut world = World::of(3);
    let stranger = world.text(1, &[2]);
    let mut other_mesh = world.header(0);
    other_mesh.mesh = claudemesh_core::MeshId::from_bytes([9; 32]);
    let other_mesh = world.seal(0, &[1, 2], other_mesh);
    let mut unknown_head = world.header(0);
    unknown_head.head = RosterHead { index: 1, ..unknown_head.head };
    let unknown_head = world.seal(0, &[2], unknown_head);
    let mut late = world.header(0);
    late.expires = Millis(world.now.0);
    let late = world.seal(0, &[1], late);
    let mut patient = world.header(0);
    patient.expires = world.now.plus(world.config.limits.max_ttl * 1000 + 1);
    let patient = world.seal(0, &[1], patient);
    let good = world.text(0, &[1, 2]);
    let outcomes =
        world.enqueue(0, vec![vec![1, 2, 3].into(), stranger, other_mesh, unknown_head, late, patient, good]);
    let refused = |code| vec![Outcome::Refused(code)];
    assert_eq!(outcomes[0], refused(ErrorCode::Malformed));
    assert_eq!(outcomes[1], refused(ErrorCode::Forbidden));
    assert_eq!(outcomes[2], [Outcome::Refused(ErrorCode::Forbidden); 2]);
    assert_eq!(outcomes[3], refused(ErrorCode::UnknownHead));
    assert_eq!(outcomes[4], refused(ErrorCode::Expired));
    assert_eq!(outcomes[5], refused(ErrorCode::TtlTooLong));
    // To the second, nothing passes the message with the unknown head.
    assert_eq!(outcomes[6], [Outcome::Accepted, FULL]);
}

#[test]
fn the_window_bounds_what_is_out_and_receipts_move_it() {
    let limits = Limits { window: 10, ..Limits::default() };
    let mut world = World::of_with(2, EngineConfig { limits, ..EngineConfig::default() });
    world.send_texts(0, &[1], 25);
    let mail = world.peers[1].deliveries();
    assert_eq!(mail.len(), 10);
    world.acknowledge(1, &mail[3..7]);
    let more = world.peers[1].deliveries();
    assert_eq!(more.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [11, 12, 13, 14]);
    world.acknowledge(1, &mail[..3]);
    world.acknowledge(1, &mail[7..]);
    world.acknowledge(1, &more);
    assert_eq!(empty(&mut world, 1), 11);
}

#[test]
fn what_gets_no_receipt_is_pushed_again_lowest_first() {
    let mut world = World::of(2);
    world.send_texts(0, &[1], 5);
    let mail = world.peers[1].deliveries();
    world.acknowledge(1, &mail[1..2]);
    world.tick_awake(29_999);
    assert!(world.peers[1].deliveries().is_empty());
    world.tick_awake(1);
    let again = world.peers[1].deliveries();
    let expected: Vec<_> = [0, 2, 3, 4].iter().map(|at| mail[*at].clone()).collect();
    assert_eq!(again, expected);
    world.acknowledge(1, &again);
    world.tick_awake(60_000);
    assert!(world.peers[1].deliveries().is_empty());
}

#[test]
fn what_was_not_acknowledged_comes_again_on_the_next_connection() {
    let mut world = World::of(2);
    world.send_texts(0, &[1], 5);
    let mail = world.peers[1].deliveries();
    world.acknowledge(1, &mail[..3]);
    world.disconnect(1);
    world.connect(1);
    assert_eq!(world.peers[1].deliveries(), mail[3..]);
}

#[test]
fn a_reader_that_does_not_read_is_paused_and_loses_nothing() {
    let limits = Limits { window: 100_000, ..Limits::default() };
    let mut world = World::of_with(2, EngineConfig { limits, ..EngineConfig::default() });
    let reader = world.peers[1].conn.take().unwrap();
    world.send_texts(0, &[1], 3000);
    // Its driver pumps all the time, yet nothing is read from the store once the outbox is full.
    for _ in 0..10 {
        super::world::wait(world.engine.pump(reader.id, world.now));
    }
    let mut queued = 0;
    while reader.outbox.try_next().is_some() {
        queued += 1;
    }
    assert!(queued < 20, "{queued} frames");
    world.peers[1].conn = Some(reader);
    world.tick_awake(30_000);
    let offsets: BTreeSet<u64> = world.peers[1].deliveries().iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, (1..=3000).collect());
}

#[test]
fn a_full_mailbox_refuses_and_nothing_passes_the_refused() {
    let limits = Limits { mailbox_rows: 3, ..Limits::default() };
    let mut world = World::of_with(2, EngineConfig { limits, ..EngineConfig::default() });
    let texts: Vec<_> = (0..6).map(|_| world.text(0, &[1])).collect();
    let accepted = Outcome::Accepted;
    // One frame, then another that was sent before the answer to the first.
    let submissions = List::from_vec(texts[..4].to_vec()).unwrap();
    let first = world.post(0, wire::Enqueue { submissions });
    let mail = {
        world.settle();
        world.peers[1].deliveries()
    };
    world.acknowledge(1, &mail);
    assert_eq!(world.enqueue(0, vec![texts[4].clone()]), [[FULL]]);
    let Body::Enqueued(reply) = world.reply(0, first) else { panic!() };
    let outcomes: Vec<_> = reply.outcomes.iter().map(|list| list[0]).collect();
    assert_eq!(outcomes, [accepted, accepted, accepted, FULL]);
    // The refused one opens the lane again.
    assert_eq!(world.enqueue(0, vec![texts[5].clone()]), [[FULL]]);
    assert_eq!(world.enqueue(0, texts[3..].to_vec()), [[accepted], [accepted], [accepted]]);
    let seqs: Vec<u64> =
        world.peers[1].deliveries().iter().map(|(_, bytes)| world.verify(bytes).record().seq).collect();
    assert_eq!(seqs, [4, 5, 6]);
}

#[test]
fn a_missing_prekey_holds_the_lane_until_the_message_is_sealed_anew() {
    let mut world = World::of(2);
    let mut to = world.recipient(0, 1, Lane::Next);
    let good = to.prekey_id;
    to.prekey_id = 99;
    let mut header = world.header(0);
    let gone = world.seal_to(0, vec![to.clone()], header);
    let after = world.text(0, &[1]);
    let refused = Outcome::Refused(ErrorCode::NoPrekey);
    assert_eq!(world.enqueue(0, vec![gone, after.clone()]), [[refused], [FULL]]);
    to.prekey_id = good;
    header.attempt = 2;
    let anew = world.seal_to(0, vec![to], header);
    assert_eq!(world.enqueue(0, vec![anew, after]), [[Outcome::Accepted], [Outcome::Accepted]]);
}

#[test]
fn a_refused_message_may_be_sealed_anew() {
    let mut world = World::of(2);
    let mut header = world.header(0);
    let to = world.recipient(0, 1, Lane::Next);
    let first = world.seal_to(0, vec![to.clone()], header);
    world.enqueue(0, vec![first]);
    let mail = world.peers[1].deliveries();
    let receipt = world.receipt(1, &mail, ReceiptState::Refused(Reason::PrekeyGone));
    world.done(1, wire::ReceiptPut { receipt });
    assert_eq!(world.peers[0].notices().len(), 1);
    header.attempt = 2;
    let second = world.seal_to(0, vec![to], header);
    assert_eq!(world.enqueue(0, vec![second]), [[Outcome::Accepted]]);
    let mail = world.peers[1].deliveries();
    assert_eq!(world.verify(&mail[0].1).header().attempt, 2);
}

#[test]
fn too_many_messages_are_refused_with_a_time_and_keep_their_order() {
    let envelope_rate = Rate { burst: 4, per_second: 1 };
    let mut world = World::of_with(2, EngineConfig { envelope_rate, ..EngineConfig::default() });
    let texts: Vec<_> = (0..6).map(|_| world.text(0, &[1])).collect();
    assert_eq!(world.enqueue(0, texts[..2].to_vec()).len(), 2);
    let submissions = List::from_vec(texts[2..5].to_vec()).unwrap();
    let Body::Error(error) = world.ask(0, wire::Enqueue { submissions }) else { panic!("too fast") };
    assert_eq!((error.code, error.retry_after_ms), (ErrorCode::RateLimited, Some(1000)));
    // The rate has room for one, which must not pass the three.
    assert_eq!(world.enqueue(0, vec![texts[5].clone()]), [[Outcome::Refused(ErrorCode::RateLimited)]]);
    world.now = world.now.plus(4000);
    assert_eq!(world.enqueue(0, texts[2..].to_vec()), [[Outcome::Accepted]; 4]);
    assert_eq!(empty(&mut world, 1), 6);
}

#[test]
fn mail_for_later_comes_when_its_time_has_come() {
    let mut world = World::of(2);
    let mut header = world.header(0);
    header.deliver_at = Some(world.now.plus(10_000));
    let text = world.seal(0, &[1], header);
    assert_eq!(world.enqueue(0, vec![text]), [[Outcome::Accepted]]);
    world.tick_awake(9_999);
    assert!(world.peers[1].deliveries().is_empty());
    world.tick_awake(1);
    assert_eq!(world.peers[1].deliveries().len(), 1);
}

#[test]
fn mail_that_expires_is_told_to_its_sender() {
    let mut world = World::of(2);
    world.disconnect(1);
    let mut header = world.header(0);
    header.expires = world.now.plus(20_000);
    let text = world.seal(0, &[1], header);
    world.enqueue(0, vec![text]);
    world.tick_awake(19_000);
    assert!(world.peers[0].notices().is_empty());
    world.tick_awake(6_000);
    let notices = world.peers[0].notices();
    let expected = Notice::Expired { device: world.peers[1].id(), id: header.id, attempt: 1 };
    assert_eq!(notices.iter().map(|notice| notice.notice.clone()).collect::<Vec<_>>(), [expected]);
    world.connect(1);
    assert!(world.peers[1].deliveries().is_empty());
}

#[test]
fn receipts_of_others_count_for_nothing() {
    let mut world = World::of(3);
    world.send_texts(0, &[1], 2);
    let mail = world.peers[1].deliveries();
    // Signed by another device for itself: it has no such mail.
    let receipt = world.receipt(2, &mail, ReceiptState::Delivered);
    assert_eq!(world.refusal(1, wire::ReceiptPut { receipt: receipt.clone() }), ErrorCode::Forbidden);
    world.done(2, wire::ReceiptPut { receipt });
    let mut forged = world.receipt(1, &mail, ReceiptState::Delivered);
    let last = forged.0.len() - 1;
    forged.0[last] = 5;
    assert_eq!(world.refusal(1, wire::ReceiptPut { receipt: forged }), ErrorCode::Malformed);
    assert_eq!(world.refusal(1, wire::ReceiptPut { receipt: vec![0].into() }), ErrorCode::Malformed);
    world.connect(1);
    assert_eq!(world.peers[1].deliveries().len(), 2);
}

#[test]
fn a_removed_device_sends_nothing_more() {
    let mut world = World::of(3);
    let removed = world.peers[1].id();
    let text = world.text(1, &[2]);
    let entry = world.roster.remove_device(&world.peers[0].key, &removed).unwrap();
    // Both are on their way at the same time.
    let append = world.post(0, wire::RosterAppend { entry: entry.clone().into() });
    let submissions = List::from_vec(vec![text]).unwrap();
    let id = world.peers[1].conn.as_ref().unwrap().id;
    let frame = wire::Frame::new(77, wire::Enqueue { submissions }).encode();
    super::world::wait(world.engine.receive(id, &frame, world.now));
    world.settle();
    assert_eq!(world.reply(0, append), Body::Done(wire::Done {}));
    assert!(world.peers[2].deliveries().is_empty());
}

#[test]
fn copies_of_one_envelope_reach_everybody() {
    let mut world = World::of(5);
    world.send_texts(0, &[1, 2, 3, 4], 3);
    for at in 1..5 {
        let mail = world.peers[at].deliveries();
        assert_eq!(mail.len(), 3);
        for (_, bytes) in &mail {
            world.verify(bytes).check_recipient(&world.peers[at].id()).unwrap();
        }
        world.acknowledge(at, &mail);
    }
    assert_eq!(world.peers[0].notices().len(), 4);
}
