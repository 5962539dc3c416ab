use claudemesh_core::roster::{NewInvite, Role};
use claudemesh_core::wire::{self, Body, Closing, ErrorCode, HelloMode};
use claudemesh_core::{Roster, SigningKey};

use super::world::World;
use crate::config::EngineConfig;

fn pushes(world: &mut World, at: usize) -> Vec<(u64, Vec<u8>)> {
    let pushed = world.peers[at].pushed.iter();
    pushed
        .filter_map(|body| match body {
            Body::RosterPush(push) => Some((push.index, push.entry.to_vec())),
            _ => None,
        })
        .collect()
}

fn new_invite(world: &mut World) -> Vec<u8> {
    let key = SigningKey::generate(&mut world.rng).public();
    let invite = NewInvite::to_join(key, 1, world.now.seconds().plus(60), Vec::new());
    world.roster.create_invite(&world.peers[0].key, invite).unwrap()
}

#[test]
fn every_device_hears_of_an_entry() {
    let mut world = World::of(3);
    let entry = new_invite(&mut world);
    world.append(0, entry.clone());
    let index = world.roster.head().index;
    for at in 0..3 {
        assert_eq!(pushes(&mut world, at), [(index, entry.clone())]);
    }
}

#[test]
fn of_two_entries_at_one_head_one_wins() {
    let mut world = World::of(2);
    let first = new_invite(&mut world);
    let second = new_invite(&mut world);
    let one = world.post(0, wire::RosterAppend { entry: first.clone().into() });
    let two = world.post(0, wire::RosterAppend { entry: second.into() });
    world.settle();
    assert_eq!(world.reply(0, one), Body::Done(wire::Done {}));
    assert!(matches!(world.reply(0, two), Body::Error(error) if error.code == ErrorCode::HeadMoved));
    assert_eq!(pushes(&mut world, 1).len(), 1);
    // The same entry again is done already.
    world.done(0, wire::RosterAppend { entry: first.into() });
    assert_eq!(pushes(&mut world, 1).len(), 1);
}

#[test]
fn who_is_removed_hears_it_and_is_cut_off() {
    let mut world = World::of(3);
    let member = world.roster.device(&world.peers[2].id()).unwrap().member;
    let entry = world.roster.remove_member(&world.peers[0].key, &member).unwrap();
    world.append(0, entry.clone());
    assert_eq!(world.peers[2].closed(), Some(Closing::Removed));
    let index = world.roster.head().index;
    assert_eq!(pushes(&mut world, 2), [(index, entry)]);
    assert!(world.peers[2].conn.is_none() && world.peers[1].closed().is_none());
}

#[test]
fn who_leaves_is_answered_before_it_is_cut_off() {
    let mut world = World::of(2);
    let member = world.roster.device(&world.peers[1].id()).unwrap().member;
    let entry = world.roster.remove_member(&world.peers[1].key, &member).unwrap();
    world.append(1, entry);
    assert_eq!(world.peers[1].closed(), Some(Closing::Removed));
}

#[test]
fn a_closed_mesh_ends_every_connection() {
    let mut world = World::of(2);
    let invite = world.invite(1, world.now.seconds().plus(60));
    let joiner = world.newcomer();
    let mode = HelloMode::Join(invite.public().invite_id());
    let conn = world.greet(joiner, mode, Some(&invite)).unwrap().0;
    world.peers[joiner].conn = Some(conn);
    let entry = world.roster.close_mesh(&world.peers[0].key).unwrap();
    world.append(0, entry);
    for at in 0..3 {
        assert_eq!(world.peers[at].closed(), Some(Closing::MeshClosed));
    }
    assert_eq!(world.engine.connections(), 0);
}

#[test]
fn invalid_entries_are_refused_by_name() {
    let mut world = World::of(2);
    let member = world.roster.device(&world.peers[1].id()).unwrap().member;
    let mut entry = world.roster.change_role(&world.peers[0].key, &member, Role::Admin).unwrap();
    let last = entry.len() - 1;
    entry[last] ^= 1;
    assert_eq!(world.refusal(0, wire::RosterAppend { entry: entry.into() }), ErrorCode::InvalidEntry);
    assert_eq!(world.refusal(0, wire::RosterAppend { entry: vec![0xa0].into() }), ErrorCode::Malformed);
    let large = vec![0; 33 * 1024];
    assert_eq!(world.refusal(0, wire::RosterAppend { entry: large.into() }), ErrorCode::TooLarge);
    let recovery = SigningKey::generate(&mut world.rng).public();
    let kind = claudemesh_core::roster::Kind::Human;
    let (genesis, ..) =
        claudemesh_core::roster::create_genesis(&world.peers[0].key, &recovery, kind, &mut world.rng).unwrap();
    assert_eq!(world.refusal(0, wire::RosterAppend { entry: genesis.into() }), ErrorCode::MeshExists);
}

#[test]
fn ranges_are_cut_to_what_is_asked() {
    let mut world = World::of(3);
    let Body::RosterEntries(read) = world.ask(1, wire::RosterRange { from: 1, limit: 2 }) else { panic!() };
    let read: Vec<_> = read.entries.iter().map(|entry| entry.to_vec()).collect();
    assert_eq!(read, world.entries[1..3]);
    let Body::RosterEntries(read) = world.ask(1, wire::RosterRange { from: 99, limit: 0 }) else { panic!() };
    assert!(read.entries.is_empty());
    assert_eq!(read.head, world.roster.head());
}

#[test]
fn a_lost_roster_is_given_back_by_whoever_holds_it() {
    let mut full = World::of(3);
    for _ in 0..40 {
        let entry = new_invite(&mut full);
        full.learn(entry);
    }
    // A broker that never saw any of it.
    let mut world = World::without_mesh(EngineConfig::default());
    world.peers = full.peers;
    world.peers.iter_mut().for_each(|peer| peer.conn = None);
    let (conn, welcome) = world.greet(2, HelloMode::Create, None).unwrap();
    assert_eq!(welcome.head, None);
    world.peers[2].conn = Some(conn);
    for entry in &full.entries[..4] {
        world.done(2, wire::RosterAppend { entry: entry.clone().into() });
    }
    assert_eq!(world.refusal(2, wire::LogList {}), ErrorCode::Forbidden);
    // It does not stand on the roster so far, so it may not read it either.
    assert_eq!(world.refusal(2, wire::RosterRange { from: 0, limit: 9 }), ErrorCode::Forbidden);
    world.disconnect(2);

    let (conn, welcome) = world.greet(1, HelloMode::Create, None).unwrap();
    assert_eq!(welcome.head.unwrap().index, 3);
    world.peers[1].conn = Some(conn);
    assert!(matches!(world.ask(1, wire::RosterRange { from: 0, limit: 9 }), Body::RosterEntries(_)));
    for entry in &full.entries {
        world.done(1, wire::RosterAppend { entry: entry.clone().into() });
    }
    world.disconnect(1);
    assert_eq!(world.connect(2).head, Some(full.roster.head()));
}

#[test]
fn another_roster_for_the_same_mesh_is_not_taken() {
    let mut world = World::of(1);
    let fork = Roster::from_entries(&world.entries).unwrap();
    let entry = new_invite(&mut world);
    world.append(0, entry);
    let key = SigningKey::generate(&mut world.rng).public();
    let other = NewInvite::to_join(key, 1, world.now.seconds().plus(60), Vec::new());
    let other = fork.create_invite(&world.peers[0].key, other).unwrap();
    let (conn, _) = world.greet(0, HelloMode::Create, None).unwrap();
    world.peers[0].conn = Some(conn);
    assert_eq!(world.refusal(0, wire::RosterAppend { entry: other.into() }), ErrorCode::HeadMoved);
}

#[test]
fn a_member_appends_so_much_a_day() {
    let mut world = World::of(1);
    let mut taken = 0;
    for _ in 0..40 {
        let entry = new_invite(&mut world);
        match world.ask(0, wire::RosterAppend { entry: entry.clone().into() }) {
            Body::Done(_) => {
                world.learn(entry);
                taken += 1;
            }
            Body::Error(error) => assert_eq!(error.code, ErrorCode::RateLimited),
            other => panic!("{}", other.name()),
        }
    }
    assert_eq!(taken, 32);
}

#[test]
fn a_second_device_of_a_member_comes_in_by_its_own_invite() {
    let mut world = World::of(2);
    let member = world.roster.device(&world.peers[1].id()).unwrap().member;
    let invite = SigningKey::generate(&mut world.rng);
    let link = NewInvite::to_link(invite.public(), member, world.now.seconds().plus(60), Vec::new());
    let entry = world.roster.create_invite(&world.peers[1].key, link).unwrap();
    world.append(1, entry);
    let second = world.newcomer();
    let mode = HelloMode::Join(invite.public().invite_id());
    let conn = world.greet(second, mode, Some(&invite)).unwrap().0;
    world.peers[second].conn = Some(conn);
    let entry = world.roster.add_device(&world.peers[second].key, &member, &invite).unwrap();
    world.append(second, entry);
    world.disconnect(second);
    world.connect(second);
    assert_eq!(world.roster.devices_of(&member).count(), 2);
}
