use claudemesh_core::codec::Bytes;
use claudemesh_core::presence::{BootId, Presence, PresenceContext, Status};
use claudemesh_core::wire::{self, Body, DevicePresence, ErrorCode};

use super::world::World;

fn signed(world: &mut World, at: usize, counter: u64) -> Bytes {
    let context = PresenceContext {
        mesh: world.mesh,
        boot: BootId::from_bytes([1; 16]),
        counter,
        head: world.roster.head(),
        epoch: 1,
    };
    Presence::sign(&world.peers[at].key, &context, &[7; 32], &Status::default(), &mut world.rng).unwrap().into()
}

/// The presences pushed to a peer, in order.
fn told(world: &mut World, at: usize) -> Vec<DevicePresence> {
    let pushed = world.peers[at].take().into_iter();
    pushed
        .flat_map(|body| match body {
            Body::PresencePush(push) => push.devices.into_vec(),
            _ => Vec::new(),
        })
        .collect()
}

#[test]
fn a_newcomer_is_told_of_everybody_and_everybody_of_it() {
    let mut world = World::of(3);
    world.disconnect(2);
    world.tick(5_000);
    world.peers.iter_mut().for_each(|peer| drop(peer.take()));
    world.connect(2);
    let all = told(&mut world, 2);
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|device| device.online));
    for at in [0, 1] {
        let heard = told(&mut world, at);
        assert_eq!(heard.len(), 1);
        assert_eq!((heard[0].device, heard[0].online), (world.peers[2].id(), true));
    }
}

#[test]
fn a_presence_reaches_the_others_with_the_bytes_signed() {
    let mut world = World::of(2);
    let presence = signed(&mut world, 0, 1);
    world.done(0, wire::PresencePut { presence: presence.clone(), lease: 60 });
    let heard = told(&mut world, 1);
    assert_eq!(heard[0].presence, Some(presence.clone()));
    // An older one changes nothing.
    let older = signed(&mut world, 0, 0);
    world.done(0, wire::PresencePut { presence: older, lease: 60 });
    assert!(told(&mut world, 1).is_empty());
    world.connect(1);
    assert!(told(&mut world, 1).iter().any(|device| device.presence == Some(presence.clone())));
}

#[test]
fn a_short_gap_makes_no_noise_and_a_long_one_is_told() {
    let mut world = World::of(2);
    world.disconnect(1);
    world.tick_awake(4_000);
    world.connect(1);
    world.tick_awake(10_000);
    assert!(told(&mut world, 0).is_empty());
    world.disconnect(1);
    let left = world.now;
    world.tick_awake(5_000);
    let heard = told(&mut world, 0);
    assert_eq!(heard.len(), 1);
    assert_eq!((heard[0].online, heard[0].last_seen), (false, left));
}

#[test]
fn a_lease_that_is_not_renewed_ends() {
    let mut world = World::of(2);
    let presence = signed(&mut world, 0, 1);
    world.done(0, wire::PresencePut { presence, lease: 10 });
    told(&mut world, 1);
    world.tick_awake(9_999);
    assert!(told(&mut world, 1).is_empty());
    world.tick_awake(1);
    assert!(!told(&mut world, 1)[0].online);
    let presence = signed(&mut world, 0, 2);
    world.done(0, wire::PresencePut { presence, lease: 10 });
    assert!(told(&mut world, 1)[0].online);
}

#[test]
fn only_the_own_signed_presence_is_taken_and_not_too_often() {
    let mut world = World::of(2);
    let other = signed(&mut world, 1, 1);
    assert_eq!(world.refusal(0, wire::PresencePut { presence: other, lease: 1 }), ErrorCode::Malformed);
    let mut forged = signed(&mut world, 0, 1);
    let last = forged.0.len() - 1;
    forged.0[last] ^= 1;
    assert_eq!(world.refusal(0, wire::PresencePut { presence: forged, lease: 1 }), ErrorCode::Malformed);
    let mesh = std::mem::replace(&mut world.mesh, claudemesh_core::MeshId::from_bytes([3; 32]));
    let elsewhere = signed(&mut world, 0, 1);
    world.mesh = mesh;
    assert_eq!(world.refusal(0, wire::PresencePut { presence: elsewhere, lease: 1 }), ErrorCode::Forbidden);
    let large = vec![0; 9000].into();
    assert_eq!(world.refusal(0, wire::PresencePut { presence: large, lease: 1 }), ErrorCode::TooLarge);
    let presence = signed(&mut world, 0, 1);
    world.done(0, wire::PresencePut { presence, lease: 1 });
    let presence = signed(&mut world, 0, 2);
    assert_eq!(world.refusal(0, wire::PresencePut { presence, lease: 1 }), ErrorCode::RateLimited);
}

#[test]
fn who_is_removed_is_no_longer_listed() {
    let mut world = World::of(3);
    let gone = world.peers[2].id();
    let entry = world.roster.remove_device(&world.peers[0].key, &gone).unwrap();
    world.append(0, entry);
    world.tick_awake(10_000);
    world.connect(1);
    assert!(told(&mut world, 1).iter().all(|device| device.device != gone));
}

#[test]
fn a_mesh_nobody_uses_is_forgotten_and_read_back() {
    let config = crate::EngineConfig { cached_meshes: 0, ..Default::default() };
    let mut world = World::of_with(2, config);
    world.disconnect(0);
    world.disconnect(1);
    world.tick(5_000);
    world.connect(0);
    assert!(told(&mut world, 0).iter().all(|device| device.last_seen.0 > 0));
    world.disconnect(0);
    world.tick(5_000);
    world.tick(60_000);
    assert_eq!(world.connect(0).head, Some(world.roster.head()));
    let other = world.peers[1].id();
    assert!(told(&mut world, 0).iter().any(|device| device.device == other && device.last_seen.0 == 0));
}
