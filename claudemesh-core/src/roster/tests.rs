//! A small mesh to test against, and the life of one: every kind once, with its effects.

mod fork;
mod negative;
mod property;

use alloc::vec;
use alloc::vec::Vec;
use std::string::ToString;

use super::*;
use crate::codec::{self, List};
use crate::key::SigningKey;
use crate::testing::SeededRng;
use crate::time::Seconds;

/// Alice is owner with two devices, Adam admin, Bob and Carol members; Carol left. One invite is open, one bound to Bob.
struct World {
    rng: SeededRng,
    entries: Vec<Vec<u8>>,
    roster: Roster,
    recovery: SigningKey,
    alice: SigningKey,
    alice_id: MemberId,
    alice_second: SigningKey,
    adam: SigningKey,
    adam_id: MemberId,
    bob: SigningKey,
    bob_id: MemberId,
    carol: SigningKey,
    carol_id: MemberId,
    open: SigningKey,
    bob_link: SigningKey,
}

const EXPIRES: Seconds = Seconds(1_800_000_000);

fn to_join(key: &SigningKey, uses: u64) -> NewInvite {
    NewInvite::to_join(key.public(), uses, EXPIRES, vec![1, 2, 3])
}

fn to_link(key: &SigningKey, member: MemberId) -> NewInvite {
    NewInvite::to_link(key.public(), member, EXPIRES, vec![])
}

impl World {
    fn new() -> Self {
        let mut rng = SeededRng::new(42);
        let [recovery, alice, alice_second, adam, bob, carol, first, open, alice_link, bob_link] =
            core::array::from_fn(|_| SigningKey::generate(&mut rng));
        let (genesis, mesh, alice_id) = create_genesis(&alice, &recovery.public(), Kind::Human, &mut rng).unwrap();
        let roster = Roster::genesis(&genesis).unwrap();
        assert_eq!(roster.mesh(), mesh);
        let none = MemberId::from_bytes([0; 32]);
        let mut world = Self {
            rng,
            entries: vec![genesis],
            roster,
            recovery,
            alice,
            alice_id,
            alice_second,
            adam,
            adam_id: none,
            bob,
            bob_id: none,
            carol,
            carol_id: none,
            open,
            bob_link,
        };
        world.apply(|w| w.roster.create_invite(&w.alice, to_join(&first, 3)));
        world.adam_id = world.join(&copy(&world.adam), &first);
        world.bob_id = world.join(&copy(&world.bob), &first);
        world.carol_id = world.join(&copy(&world.carol), &first);
        world.apply(|w| w.roster.remove_member(&w.carol, &w.carol_id));
        world.apply(|w| w.roster.change_role(&w.alice, &w.adam_id, Role::Admin));
        world.apply(|w| w.roster.create_invite(&w.adam, to_join(&w.open, 2)));
        world.apply(|w| w.roster.create_invite(&w.bob, to_link(&w.bob_link, w.bob_id)));
        world.apply(|w| w.roster.create_invite(&w.alice, to_link(&alice_link, w.alice_id)));
        world.apply(|w| w.roster.add_device(&w.alice_second, &w.alice_id, &alice_link));
        world
    }

    fn apply(&mut self, make: impl FnOnce(&Self) -> Result<Vec<u8>, RosterError>) -> Applied {
        let bytes = make(self).unwrap();
        let applied = self.roster.apply(&bytes).unwrap();
        assert_eq!(applied.entry.bytes(), bytes);
        self.entries.push(bytes);
        applied
    }

    fn join(&mut self, device: &SigningKey, invite: &SigningKey) -> MemberId {
        let mut rng = self.rng.clone();
        let (bytes, member) = self.roster.join(device, invite, Kind::Human, &mut rng).unwrap();
        self.rng = rng;
        self.apply(|_| Ok(bytes));
        member
    }

    fn key(&mut self) -> SigningKey {
        SigningKey::generate(&mut self.rng)
    }

    /// The body that the next entry with this payload would have.
    fn body(&self, author: &SigningKey, payload: &Payload) -> EntryBody {
        let head = self.roster.head();
        EntryBody {
            mesh: Some(self.roster.mesh()),
            index: head.index + 1,
            previous: head.hash,
            author: author.public().device_id(),
            kind: payload.kind(),
            payload: payload.encode().into(),
        }
    }

    /// The next entry with this payload, unchecked.
    fn forge(&self, author: &SigningKey, payload: &Payload) -> Vec<u8> {
        self.body(author, payload).sign(author)
    }

    /// The entry is refused for this reason, and refusing changes nothing.
    #[track_caller]
    fn refused(&mut self, bytes: &[u8], error: RosterError) {
        let before = self.roster.clone();
        assert_eq!(self.roster.check(bytes), Err(error));
        assert_eq!(self.roster.apply(bytes), Err(error));
        assert_eq!(self.roster, before);
    }
}

/// The same key again, where the world it is part of is about to change.
fn copy(key: &SigningKey) -> SigningKey {
    SigningKey::from_seed(&key.seed())
}

fn id(key: &SigningKey) -> DeviceId {
    key.public().device_id()
}

fn invite_id(key: &SigningKey) -> InviteId {
    key.public().invite_id()
}

fn broker(seed: u8, addresses: &[&str]) -> Broker {
    let addresses = List::from_vec(addresses.iter().map(ToString::to_string).collect()).unwrap();
    Broker { key: SigningKey::from_seed(&[seed; 32]).public(), addresses }
}

#[test]
fn genesis_makes_one_owner_with_one_device() {
    let world = World::new();
    let roster = Roster::genesis(&world.entries[0]).unwrap();
    let owner = roster.member(&world.alice_id).unwrap();
    assert_eq!((owner.role, owner.kind, owner.joined_at, owner.invite), (Role::Owner, Kind::Human, 0, None));
    assert_eq!(roster.live_devices().map(|device| device.id).collect::<Vec<_>>(), [id(&world.alice)]);
    assert_eq!(roster.recovery_key(), &world.recovery.public());
    assert_eq!((roster.head().index, roster.owner_count(), roster.is_closed()), (0, 1, false));
    assert!(roster.brokers().is_empty() && roster.last_removal_index().is_none());
}

#[test]
fn replicas_of_one_chain_are_equal() {
    let world = World::new();
    assert_eq!(Roster::from_entries(&world.entries).unwrap(), world.roster);
    assert_eq!(Roster::from_entries(Vec::<Vec<u8>>::new()), Err(RosterError::Empty));
}

#[test]
fn heads_are_known_ahead_or_forked() {
    let world = World::new();
    let head = world.roster.head();
    assert_eq!(world.roster.hash_at(head.index), Some(head.hash.0));
    assert_eq!(world.roster.hash_at(head.index + 1), None);
    let early = Roster::from_entries(&world.entries[..3]).unwrap();
    assert_eq!(world.roster.connects(&early.head()), Connection::Known);
    assert_eq!(early.connects(&head), Connection::Ahead);
    assert_eq!(early.connects(&RosterHead { index: u64::MAX, ..head }), Connection::Ahead);
    let forked = RosterHead { index: 1, hash: HashBytes([9; 32]) };
    assert_eq!(world.roster.connects(&forked), Connection::Fork);
}

#[test]
fn joining_counts_the_invite_and_gives_its_role() {
    let mut world = World::new();
    let dora = world.key();
    let open = copy(&world.open);
    let member = world.join(&dora, &open);
    let invite = world.roster.invite(&invite_id(&open)).unwrap();
    assert_eq!((invite.used, invite.uses_left(), invite.is_open()), (1, 1, true));
    assert_eq!((&invite.joined, invite.creator, invite.expires), (&vec![member], world.adam_id, EXPIRES));
    let joined = world.roster.member(&member).unwrap();
    assert_eq!((joined.role, joined.invite), (Role::Member, Some(invite.id)));
    assert_eq!(joined.joined_at, world.roster.head().index);
    let emil = world.key();
    world.join(&emil, &open);
    assert!(!world.roster.invite(&invite_id(&open)).unwrap().is_open());
}

#[test]
fn a_linked_device_belongs_to_its_member() {
    let world = World::new();
    let devices: Vec<_> = world.roster.devices_of(&world.alice_id).map(|device| device.id).collect();
    assert_eq!(devices, [id(&world.alice), id(&world.alice_second)]);
    let device = world.roster.device(&id(&world.alice_second)).unwrap();
    assert_eq!((device.member, device.added_at), (world.alice_id, world.roster.head().index));
    assert!(world.roster.was_live_at(&device.id, device.added_at));
    assert!(!world.roster.was_live_at(&device.id, device.added_at - 1));
    assert_eq!(world.roster.devices_of(&MemberId::from_bytes([1; 32])).count(), 0);
}

#[test]
fn closing_an_invite_ends_it() {
    let mut world = World::new();
    let applied = world.apply(|w| w.roster.close_invite(&w.alice, &invite_id(&w.open)));
    assert_eq!(applied.closed_invites, [invite_id(&world.open)]);
    let invite = world.roster.invite(&invite_id(&world.open)).unwrap();
    assert!(invite.is_closed() && !invite.is_open() && invite.uses_left() == 2);
    // The member that made one may close it whatever its role.
    world.apply(|w| w.roster.close_invite(&w.bob, &invite_id(&w.bob_link)));
}

#[test]
fn a_removed_device_is_dead_from_that_entry_on() {
    let mut world = World::new();
    let applied = world.apply(|w| w.roster.remove_device(&w.alice, &id(&w.alice_second)));
    let index = applied.entry.index();
    let device = id(&world.alice_second);
    assert_eq!(applied.removed_devices, [device]);
    assert!(!world.roster.is_live_device(&device));
    assert!(world.roster.was_live_at(&device, index - 1) && !world.roster.was_live_at(&device, index));
    assert_eq!(world.roster.last_removal_index(), Some(index));
    assert!(world.roster.member(&world.alice_id).unwrap().is_live());
}

#[test]
fn removing_a_device_closes_the_link_invites_it_made() {
    let mut world = World::new();
    let [own, other, team] = core::array::from_fn(|_| world.key());
    world.apply(|w| w.roster.create_invite(&w.alice_second, to_link(&own, w.alice_id)));
    world.apply(|w| w.roster.create_invite(&w.alice, to_link(&other, w.alice_id)));
    world.apply(|w| w.roster.create_invite(&w.alice_second, to_join(&team, 1)));
    let applied = world.apply(|w| w.roster.remove_device(&w.alice, &id(&w.alice_second)));
    assert_eq!(applied.closed_invites, [invite_id(&own)]);
    assert_eq!(world.roster.invite(&invite_id(&own)).unwrap().closed_at, Some(applied.entry.index()));
    // Invites of the member's other devices stay open, and so does what it made to let members join.
    for key in [&other, &team, &world.bob_link] {
        assert!(world.roster.invite(&invite_id(key)).unwrap().is_open());
    }
    let back = world.key();
    assert_eq!(world.roster.add_device(&back, &world.alice_id, &own), Err(RosterError::InviteClosed));
}

#[test]
fn devices_are_removed_by_themselves_and_by_rank() {
    let mut world = World::new();
    world.apply(|w| w.roster.remove_device(&w.alice_second, &id(&w.alice_second)));
    world.apply(|w| w.roster.remove_device(&w.adam, &id(&w.bob)));
    world.apply(|w| w.roster.remove_device(&w.alice, &id(&w.adam)));
}

#[test]
fn removing_a_member_kills_its_devices_and_its_invites() {
    let mut world = World::new();
    let first = world.roster.member(&world.adam_id).unwrap().invite.unwrap();
    // The invite Adam joined by closed when Carol, who joined by it too, left.
    assert!(world.roster.invite(&first).unwrap().is_closed());
    let applied = world.apply(|w| w.roster.remove_member(&w.alice, &w.adam_id));
    assert_eq!(applied.removed_member, Some(world.adam_id));
    assert_eq!(applied.removed_devices, [id(&world.adam)]);
    assert_eq!(applied.closed_invites, [invite_id(&world.open)]);
    assert!(world.roster.invite(&invite_id(&world.bob_link)).unwrap().is_open());
    let adam = world.roster.member(&world.adam_id).unwrap();
    assert!(!adam.is_live() && adam.removed_at == Some(applied.entry.index()));
    assert_eq!(world.roster.last_removal_index(), Some(applied.entry.index()));
}

#[test]
fn a_used_up_invite_of_a_removed_member_is_closed_too() {
    let mut world = World::new();
    let once = world.key();
    let dora = world.key();
    world.apply(|w| w.roster.create_invite(&w.adam, to_join(&once, 1)));
    world.join(&dora, &once);
    let applied = world.apply(|w| w.roster.remove_member(&w.alice, &w.adam_id));
    assert!(applied.closed_invites.contains(&invite_id(&once)));
}

#[test]
fn admins_remove_admins_and_owners_owners() {
    let mut world = World::new();
    world.apply(|w| w.roster.change_role(&w.alice, &w.bob_id, Role::Admin));
    world.apply(|w| w.roster.remove_member(&w.bob, &w.adam_id));
    world.apply(|w| w.roster.change_role(&w.alice, &w.bob_id, Role::Owner));
    assert_eq!(world.roster.owner_count(), 2);
    world.apply(|w| w.roster.remove_member(&w.bob, &w.alice_id));
    assert_eq!(world.roster.owner_count(), 1);
    assert!(!world.roster.is_live_device(&id(&world.alice_second)));
}

#[test]
fn brokers_are_replaced_as_a_whole() {
    let mut world = World::new();
    let list = vec![broker(1, &["wss://a", "ws://b:1"]), broker(2, &["wss://c"])];
    world.apply(|w| w.roster.set_brokers(&w.alice, list.clone()));
    assert_eq!(world.roster.brokers(), list);
    world.apply(|w| w.roster.set_brokers(&w.alice, list[1..].to_vec()));
    assert_eq!(world.roster.brokers(), &list[1..]);
}

#[test]
fn an_owner_reset_leaves_exactly_the_new_owner() {
    let mut world = World::new();
    world.apply(|w| w.roster.change_role(&w.alice, &w.bob_id, Role::Owner));
    let [fresh, next] = core::array::from_fn(|_| world.key());
    let mut rng = world.rng.clone();
    let (bytes, owner) =
        world.roster.owner_reset(&fresh, &world.recovery, &next.public(), Kind::Human, &mut rng).unwrap();
    let mut applied = world.apply(|_| Ok(bytes));
    applied.demoted.sort();
    let mut expected = [world.alice_id, world.bob_id];
    expected.sort();
    assert_eq!(applied.demoted, expected);
    assert_eq!((world.roster.owner_count(), world.roster.recovery_key()), (1, &next.public()));
    for member in world.roster.members() {
        assert_eq!(member.role == Role::Owner, member.id == owner);
    }
    // The former owner keeps its devices and has the rights of a member.
    assert!(world.roster.is_live_device(&id(&world.alice)));
    assert_eq!(world.roster.close_mesh(&world.alice), Err(RosterError::NotAllowed));
    assert_eq!(world.roster.member(&world.adam_id).unwrap().role, Role::Admin);
}

#[test]
fn a_closed_mesh_takes_nothing_more() {
    let mut world = World::new();
    world.apply(|w| w.roster.close_mesh(&w.alice));
    assert!(world.roster.is_closed());
    assert_eq!(world.roster.close_mesh(&world.alice), Err(RosterError::MeshClosed));
    let [fresh, next] = core::array::from_fn(|_| world.key());
    let reset = world.roster.owner_reset(&fresh, &world.recovery, &next.public(), Kind::Human, &mut world.rng);
    assert_eq!(reset.err(), Some(RosterError::MeshClosed));
}

#[test]
fn unknown_keys_in_signed_bytes_are_ignored_and_hashed() {
    let mut world = World::new();
    let payload = Payload::MeshClosed(MeshClosed {});
    let mut body = codec::encode(&world.body(&world.alice, &payload));
    let plain = Entry::parse(&world.forge(&world.alice, &payload)).unwrap();
    body[0] += 1;
    body.extend([0x18, 99, 0x82, 0xf5, 0x61, b'x']);
    let signature = world.alice.sign(crate::hash::Label::new("roster-sig"), &body);
    let bytes = codec::encode(&codec::Signed { body: body.into(), signature });
    let applied = world.apply(|_| Ok(bytes));
    assert_eq!(applied.entry.body(), plain.body());
    assert_ne!(applied.entry.hash(), plain.hash());
}
