//! What counts as proof of another history, and what anybody could have made up.

use super::super::rules::proof::Proof;
use super::*;

/// The chain of `world`, and what another one could hold in the place of its last entry.
fn two_ways(make: impl FnOnce(&mut World) -> Vec<u8>) -> (World, Vec<u8>) {
    let mut world = World::new();
    let other = make(&mut world);
    world.apply(|w| w.roster.close_invite(&w.alice, &w.open.public().invite_id()));
    (world, other)
}

fn removal(world: &World) -> Payload {
    Payload::MemberRemoved(MemberRemoved { member: world.bob_id })
}

/// A join by this invite with this signature of the invite's key.
fn joining(world: &World, device: &SigningKey, invite: &SigningKey, proof: &SigningKey) -> Vec<u8> {
    let statement = JoinStatement::new(device.public(), Kind::Human, Some(world.roster.mesh()), &mut SeededRng::new(1));
    let statement = codec::encode(&statement);
    let signature = Proof::join(&world.roster.mesh(), &statement).sign(proof);
    let invite = invite.public().invite_id();
    world.forge(device, &Payload::MemberJoined(MemberJoined { statement: statement.into(), invite, signature }))
}

#[test]
fn an_entry_in_the_place_of_another_by_somebody_who_was_there() {
    let (mut world, other) = two_ways(|w| w.roster.remove_member(&w.alice, &w.bob_id).unwrap());
    assert!(world.roster.is_forked_by(&other));
    // However long ago.
    world.apply(|w| w.roster.remove_member(&w.alice, &w.bob_id));
    assert!(world.roster.is_forked_by(&other));
    // The own entries prove nothing, nor does the next one.
    let next = world.roster.remove_member(&world.alice, &world.adam_id).unwrap();
    for entry in world.entries.iter().chain([&next]) {
        assert!(!world.roster.is_forked_by(entry));
    }
}

#[test]
fn the_next_entry_of_another_history() {
    let world = World::new();
    let mut body = world.body(&world.alice, &removal(&world));
    body.previous.0[0] ^= 1;
    assert!(world.roster.is_forked_by(&body.sign(&world.alice)));
    assert!(!world.roster.is_forked_by(&body.sign(&world.bob)), "signed by another");
    body.index += 1;
    assert!(!world.roster.is_forked_by(&body.sign(&world.alice)), "what lies between is not known");
}

#[test]
fn what_nobody_of_the_mesh_has_signed_proves_nothing() {
    let (world, other) = two_ways(|w| w.forge(&w.bob, &Payload::MeshClosed(MeshClosed {})));
    assert!(world.roster.is_forked_by(&other));
    let mut cut = other.clone();
    *cut.last_mut().unwrap() ^= 1;
    for garbage in [&[][..], &[0; 64], &other[..other.len() - 1], &cut] {
        assert!(!world.roster.is_forked_by(garbage));
    }
    let stranger = SigningKey::generate(&mut SeededRng::new(9));
    let (world, other) = two_ways(|w| w.forge(&stranger, &removal(w)));
    assert!(!world.roster.is_forked_by(&other), "a stranger");
    let (world, other) = two_ways(|w| w.body(&w.alice, &removal(w)).sign(&stranger));
    assert!(!world.roster.is_forked_by(&other), "in the name of a member");
    let (world, other) = two_ways(|w| w.forge(&w.carol, &removal(w)));
    assert!(!world.roster.is_forked_by(&other), "somebody who had left");
    let (world, other) = two_ways(|w| {
        let mut body = w.body(&w.alice, &removal(w));
        body.mesh = Some(MeshId::from_bytes([1; 32]));
        body.sign(&w.alice)
    });
    assert!(!world.roster.is_forked_by(&other), "of another mesh");
    assert!(!world.roster.is_forked_by(&World::new().entries[0]), "a genesis");
}

#[test]
fn who_came_later_was_not_there() {
    let mut world = World::new();
    let dora = world.key();
    let early = world.forge(&dora, &removal(&world));
    let invite = copy(&world.open);
    world.join(&dora, &invite);
    assert!(!world.roster.is_forked_by(&early));
    let (world, other) = two_ways(|w| w.forge(&w.bob, &removal(w)));
    let mut gone = world.roster.clone();
    gone.apply(&gone.remove_member(&world.alice, &world.bob_id).unwrap()).unwrap();
    assert!(gone.is_forked_by(&other), "removed since, but there then");
}

#[test]
fn an_entry_that_brings_its_author_needs_one_who_vouches() {
    let [dora, wrong] = [7, 8].map(|seed| SigningKey::generate(&mut SeededRng::new(seed)));
    let (world, other) = two_ways(|w| joining(w, &dora, &w.open, &w.open));
    assert!(world.roster.is_forked_by(&other));
    let (world, other) = two_ways(|w| joining(w, &dora, &w.open, &wrong));
    assert!(!world.roster.is_forked_by(&other), "without the invite's key");
    let (world, other) = two_ways(|w| joining(w, &dora, &wrong, &wrong));
    assert!(!world.roster.is_forked_by(&other), "by an invite nobody made");
    let (world, other) = two_ways(|w| joining(w, &dora, &w.bob_link, &w.bob_link));
    assert!(!world.roster.is_forked_by(&other), "by an invite for a device");
    let mut world = World::new();
    world.apply(|w| w.roster.close_invite(&w.alice, &w.open.public().invite_id()));
    let other = joining(&world, &dora, &world.open, &world.open);
    world.apply(|w| w.roster.remove_member(&w.alice, &w.bob_id));
    assert!(!world.roster.is_forked_by(&other), "by an invite that was closed before");

    let (world, other) = two_ways(|w| w.roster.add_device(&dora, &w.bob_id, &w.bob_link).unwrap());
    assert!(world.roster.is_forked_by(&other));
    let reset = |w: &mut World, recovery: &SigningKey| {
        let statement = JoinStatement::new(dora.public(), Kind::Human, Some(w.roster.mesh()), &mut w.rng);
        let statement = codec::encode(&statement);
        let proof = Proof::reset(&w.roster.mesh(), &wrong.public(), &statement);
        let signature = proof.sign(recovery);
        let payload = OwnerReset { statement: statement.into(), recovery: wrong.public(), signature };
        w.forge(&dora, &Payload::OwnerReset(payload))
    };
    let (world, other) = two_ways(|w| reset(w, &copy(&w.recovery)));
    assert!(world.roster.is_forked_by(&other));
    let (world, other) = two_ways(|w| reset(w, &wrong));
    assert!(!world.roster.is_forked_by(&other), "without the recovery key");
}
