use super::fixture::{A, ACCEPTED, ALL, B, C, DAY, MESH, NOW, World, refused};
use crate::store::{Notice, Outcome, Refusal};

pub(super) async fn scheduled_mail_comes_when_due(world: World) {
    let mut later = world.envelope(B, 1);
    later.deliver_at = Some(NOW.plus(1000));
    let mut group = world.group(&[(B, 2), (C, 1)]);
    group.deliver_at = Some(NOW.plus(500));
    let enqueued = world.store.enqueue(vec![later.clone(), group.clone()], NOW).await.unwrap();
    assert_eq!(enqueued.outcomes, [ACCEPTED.to_vec(), vec![Outcome::Accepted; 2]]);
    assert_eq!((enqueued.mail, enqueued.due), (Vec::new(), Some(NOW.plus(500))));
    assert_eq!(world.mail(B).await, []);
    // Mail sent meanwhile is not held up, and what becomes due joins behind it.
    world.send(&world.envelope(B, 3)).await;
    let elapsed = world.store.elapse(NOW.plus(999)).await.unwrap();
    assert_eq!(elapsed.mail, [(MESH, B), (MESH, C)]);
    assert_eq!(elapsed.due, Some(NOW.plus(1000)));
    let elapsed = world.store.elapse(NOW.plus(1000)).await.unwrap();
    assert_eq!((elapsed.mail, elapsed.due, elapsed.more), (vec![(MESH, B)], None, false));
    let hashes: Vec<_> = world.mail(B).await.iter().map(|mail| mail.hash).collect();
    assert_eq!(hashes, [world.envelope(B, 3).hash, group.hash, later.hash]);
    assert_eq!(world.mail(C).await[0].envelope, group.envelope);
    assert_eq!(world.ack(B, &[&later, &group], false).await, [2, 3]);
}

pub(super) async fn scheduled_mail_that_expires_first_ends_then(world: World) {
    let mut never = world.envelope(B, 1);
    never.deliver_at = Some(NOW.plus(100 * DAY));
    let enqueued = world.store.enqueue(vec![never.clone()], NOW).await.unwrap();
    assert_eq!(enqueued.due, Some(never.expires));
    let elapsed = world.store.elapse(never.expires).await.unwrap();
    assert_eq!(elapsed.notices, [(MESH, A)]);
    assert_eq!(elapsed.due, None);
    assert_eq!(world.mail(B).await, []);
}

pub(super) async fn expired_mail_leaves_a_notice(world: World) {
    let mut short = world.envelope(B, 1);
    short.expires = NOW.plus(10);
    let group = world.group(&[(B, 2), (C, 1)]);
    world.store.enqueue(vec![short.clone(), group.clone()], NOW).await.unwrap();
    assert_eq!(world.store.mailbox(MESH, B, 0, ALL, NOW.plus(10)).await.unwrap().len(), 1);
    let elapsed = world.store.elapse(NOW.plus(10)).await.unwrap();
    assert_eq!((elapsed.notices, elapsed.more), (vec![(MESH, A)], false));
    let expired = Notice::Expired { recipient: B, id: short.id, attempt: 1 };
    assert_eq!(world.store.notices(MESH, A, 0, ALL).await.unwrap(), [(1, expired)]);
    assert!(world.ack(B, &[&short], false).await.is_empty());
    // The rest goes in its own time, and makes room.
    world.store.elapse(NOW.plus(DAY)).await.unwrap();
    assert_eq!(world.mail(B).await, []);
    assert_eq!(world.mail(C).await, []);
    assert_eq!(world.store.notices(MESH, A, 0, ALL).await.unwrap().len(), 3);
    for seq in 3..=6 {
        assert_eq!(world.send(&world.envelope(B, seq)).await, ACCEPTED);
    }
}

pub(super) async fn old_ids_and_notices_are_forgotten(world: World) {
    let envelope = world.envelope(B, 1);
    world.send(&envelope).await;
    world.ack(B, &[&envelope], false).await;
    let mut reused = world.envelope(B, 2);
    reused.id = envelope.id;
    world.store.elapse(NOW.plus(6 * DAY)).await.unwrap();
    assert_eq!(world.send(&reused).await, refused(Refusal::IdConflict));
    let late = NOW.plus(31 * DAY);
    while world.store.elapse(late).await.unwrap().more {}
    assert_eq!(world.store.notices(MESH, A, 0, ALL).await.unwrap(), []);
    assert_eq!(world.send(&reused).await, ACCEPTED);
    // Seqs are remembered for as long as both devices live.
    assert_eq!(world.send(&envelope).await, refused(Refusal::IdConflict));
    let mut same_seq = world.envelope(C, 77);
    same_seq.recipients[0].device = B;
    same_seq.recipients[0].seq = 1;
    assert_eq!(world.send(&same_seq).await, [Outcome::Duplicate]);
}
