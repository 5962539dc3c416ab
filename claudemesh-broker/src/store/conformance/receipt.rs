use claudemesh_core::codec::Bytes;

use super::fixture::{A, ACCEPTED, ALL, B, C, DUPLICATE, MESH, NOW, World, receipt};
use crate::store::{NewNotice, Notice, Outcome};

pub(super) async fn a_receipt_reaches_the_sender_as_a_notice(world: World) {
    let envelope = world.envelope(B, 1);
    world.send(&envelope).await;
    let acked = world.store.ack(vec![receipt(B, &[&envelope], false)], NOW).await.unwrap();
    assert_eq!(acked.removed, [vec![1]]);
    let notice = Notice::Receipt(Bytes(b"part".to_vec()));
    assert_eq!(acked.notices, [NewNotice { mesh: MESH, device: A, offset: 1, notice }]);
    let notices = world.store.notices(MESH, A, 0, ALL).await.unwrap();
    assert_eq!(notices, [(1, Notice::Receipt(Bytes(b"part".to_vec())))]);
    // The same receipt again finds nothing and tells nobody.
    let again = world.store.ack(vec![receipt(B, &[&envelope], false)], NOW).await.unwrap();
    assert_eq!((again.removed, again.notices), (vec![Vec::new()], Vec::new()));
}

pub(super) async fn only_the_recipients_own_matching_rows_go(world: World) {
    let envelope = world.envelope(B, 1);
    world.send(&envelope).await;
    assert!(world.ack(C, &[&envelope], false).await.is_empty());
    let mut other = envelope.clone();
    other.hash = [9; 32];
    assert!(world.ack(B, &[&other], false).await.is_empty());
    let mut other = envelope.clone();
    other.sender = C;
    assert!(world.ack(B, &[&other], false).await.is_empty());
    let mut other = envelope.clone();
    other.attempt = 2;
    assert!(world.ack(B, &[&other], false).await.is_empty());
    let mut unknown = receipt(B, &[&envelope], false);
    unknown.mesh = claudemesh_core::MeshId::from_bytes([9; 32]);
    // One receipt of a batch that means nothing here does not spoil the rest; a part for a third device goes nowhere.
    let mut known = receipt(B, &[&envelope], false);
    known.parts.push((C, Bytes(vec![1])));
    let acked = world.store.ack(vec![unknown, known], NOW).await.unwrap();
    assert_eq!(acked.removed, [vec![], vec![1]]);
    assert_eq!(acked.notices.iter().map(|notice| (notice.device, notice.offset)).collect::<Vec<_>>(), [(A, 1)]);
}

pub(super) async fn a_refused_message_may_come_again_with_a_higher_attempt(world: World) {
    let first = world.envelope(B, 1);
    world.send(&first).await;
    world.ack(B, &[&first], true).await;
    assert_eq!(world.send(&first).await, DUPLICATE);
    let mut second = first.clone();
    second.attempt = 2;
    second.hash = [2; 32];
    let mut elsewhere = second.clone();
    elsewhere.recipients[0].lane = 1;
    elsewhere.recipients[0].seq = 1;
    elsewhere.id = world.envelope(C, 9).id;
    assert_eq!(world.send(&elsewhere).await, DUPLICATE);
    assert_eq!(world.send(&second).await, ACCEPTED);
    assert_eq!(world.send(&second).await, DUPLICATE);
    let mut third = second.clone();
    third.attempt = 3;
    third.hash = [3; 32];
    assert_eq!(world.send(&third).await, DUPLICATE);
    world.ack(B, &[&second], true).await;
    assert_eq!(world.send(&third).await, ACCEPTED);
}

pub(super) async fn a_shared_body_lives_until_the_last_copy_goes(world: World) {
    let group = world.group(&[(B, 1), (C, 1)]);
    assert_eq!(world.send(&group).await, [Outcome::Accepted; 2]);
    assert_eq!(world.ack(B, &[&group], false).await, [1]);
    assert_eq!(world.mail(C).await[0].envelope, group.envelope);
    assert_eq!(world.ack(C, &[&group], false).await, [1]);
    assert_eq!(world.store.notices(MESH, A, 0, ALL).await.unwrap().len(), 2);
}

pub(super) async fn notices_are_forgotten_when_done(world: World) {
    for seq in 1..=3 {
        let envelope = world.envelope(B, seq);
        world.send(&envelope).await;
        world.ack(B, &[&envelope], false).await;
    }
    let left = async || {
        let notices = world.store.notices(MESH, A, 0, ALL).await.unwrap();
        notices.into_iter().map(|(offset, _)| offset).collect::<Vec<_>>()
    };
    world.store.notices_done(MESH, A, 2).await.unwrap();
    assert_eq!(left().await, [3]);
    world.store.notices_done(MESH, B, u64::MAX).await.unwrap();
    assert_eq!(left().await, [3]);
    world.store.notices_done(MESH, A, u64::MAX).await.unwrap();
    assert!(left().await.is_empty());
}
