//! What is pushed without being read back, and what is not.

use claudemesh_core::codec::List;
use claudemesh_core::wire::{self, Body, Frame, Limits};

use super::world::{World, wait};
use crate::config::EngineConfig;

/// Mail and notices queued for a peer, as lists of offsets; nothing is pumped.
fn queued(world: &World, at: usize) -> Vec<Vec<u64>> {
    let outbox = &world.peers[at].conn.as_ref().unwrap().outbox;
    let frames = std::iter::from_fn(|| outbox.try_next()).map(|bytes| Frame::decode(&bytes).unwrap().body);
    frames
        .filter_map(|body| match body {
            Body::Deliver(deliver) => Some(deliver.items.iter().map(|item| item.offset).collect()),
            Body::Notices(notices) => Some(notices.items.iter().map(|item| item.offset).collect()),
            _ => None,
        })
        .collect()
}

fn texts(world: &mut World, from: usize, to: &[usize], count: usize) -> wire::Enqueue {
    let texts = (0..count).map(|_| world.text(from, to)).collect();
    wire::Enqueue { submissions: List::from_vec(texts).unwrap() }
}

fn has_work(world: &World, at: usize) -> bool {
    world.peers[at].conn.as_ref().unwrap().outbox.take_work()
}

#[test]
fn stored_mail_is_pushed_as_one_frame_without_a_read() {
    let mut world = World::of(3);
    let request = texts(&mut world, 0, &[1, 2], 5);
    world.post(0, request);
    for at in [1, 2] {
        assert_eq!(queued(&world, at), [[1, 2, 3, 4, 5]]);
        assert!(!has_work(&world, at));
    }
}

#[test]
fn a_notice_is_pushed_without_a_read() {
    let mut world = World::of(2);
    for round in 1..=3 {
        world.send_texts(0, &[1], 2);
        let mail = world.peers[1].deliveries();
        let receipt = world.receipt(1, &mail, claudemesh_core::receipt::ReceiptState::Delivered);
        world.post(1, wire::ReceiptPut { receipt });
        assert_eq!(queued(&world, 0), [[round]]);
        assert!(!has_work(&world, 0) && !has_work(&world, 1));
    }
}

#[test]
fn answers_of_the_store_may_overtake_one_another() {
    let mut world = World::of(3);
    let requests = [texts(&mut world, 0, &[1], 2), texts(&mut world, 2, &[1], 2)];
    let [first, second] = [0, 2].map(|at| world.peers[at].conn.as_ref().unwrap().id);
    let [first, second] = [(first, &requests[0]), (second, &requests[1])]
        .map(|(id, request)| world.engine.receive(id, &Frame::new(90, request.clone()).encode(), world.now));
    wait(second);
    assert!(queued(&world, 1).is_empty());
    wait(first);
    assert_eq!(queued(&world, 1), [[1, 2]]);
    world.settle();
    let rest: Vec<u64> = world.peers[1].deliveries().iter().map(|(offset, _)| *offset).collect();
    assert_eq!(rest, [3, 4]);
}

#[test]
fn what_finds_no_place_in_the_window_is_read_later() {
    let limits = Limits { window: 3, ..Limits::default() };
    let mut world = World::of_with(2, EngineConfig { limits, ..EngineConfig::default() });
    let request = texts(&mut world, 0, &[1], 5);
    world.post(0, request);
    world.settle();
    let mail = world.peers[1].deliveries();
    assert_eq!(mail.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [1, 2, 3]);
    world.acknowledge(1, &mail);
    assert_eq!(world.peers[1].deliveries().iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn after_a_new_connection_the_mailbox_is_read_first() {
    let mut world = World::of(2);
    world.send_texts(0, &[1], 2);
    let mail = world.peers[1].deliveries();
    world.acknowledge(1, &mail[..1]);
    world.connect(1);
    assert_eq!(world.peers[1].deliveries().len(), 1);
    let request = texts(&mut world, 0, &[1], 1);
    world.post(0, request);
    assert_eq!(queued(&world, 1), [[3]]);
    // Who has nothing waiting does not know yet how far its mailbox is.
    let mail = [mail[1].clone()];
    world.acknowledge(1, &mail);
    world.tick_awake(30_000);
    let mail = world.peers[1].deliveries();
    world.acknowledge(1, &mail);
    world.connect(1);
    world.send_texts(0, &[1], 1);
    assert_eq!(world.peers[1].deliveries()[0].0, 4);
}
