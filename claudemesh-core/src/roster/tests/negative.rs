//! Every rule of validity, broken once.

use super::*;
use crate::hash::Label;
use crate::key::{PublicKey, Signature};

const NO_SIGNATURE: Signature = Signature::from_bytes([0; 64]);
/// A point of small order.
const WEAK: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};

fn close() -> Payload {
    Payload::MeshClosed(MeshClosed {})
}

fn created(key: &PublicKey) -> InviteCreated {
    InviteCreated {
        key: *key,
        role: Role::Member,
        uses: 1,
        expires: EXPIRES,
        sealed_welcome: vec![0; MAX_SEALED_WELCOME].into(),
        member: None,
    }
}

/// `payload` with every occurrence of `from` replaced by `to`.
fn swapped(payload: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = payload.windows(from.len()).position(|window| window == from).expect("the bytes occur");
    [&payload[..at], to, &payload[at + from.len()..]].concat()
}

impl World {
    /// The next entry with its body altered, signed by its author.
    fn altered(&self, author: &SigningKey, payload: &Payload, alter: impl FnOnce(&mut EntryBody)) -> Vec<u8> {
        let mut body = self.body(author, payload);
        alter(&mut body);
        body.sign(author)
    }

    /// The entry with this payload has a weak key in place of `key`, and is refused.
    #[track_caller]
    fn refused_with_weak(&mut self, author: &SigningKey, payload: &Payload, key: &PublicKey) {
        let payload_bytes = swapped(&payload.encode(), key.as_bytes(), &WEAK);
        let bytes = self.altered(author, payload, |body| body.payload = payload_bytes.into());
        self.refused(&bytes, RosterError::Malformed);
    }
}

#[test]
fn size_and_form() {
    let mut world = World::new();
    let good = world.forge(&world.alice, &close());
    world.refused(&[], RosterError::Malformed);
    world.refused(&[good.clone(), vec![0]].concat(), RosterError::Malformed);
    let huge = Payload::InviteCreated(InviteCreated {
        sealed_welcome: vec![0; MAX_ENTRY_LEN].into(),
        ..created(&world.open.public())
    });
    let bytes = world.forge(&world.alice, &huge);
    world.refused(&bytes, RosterError::TooLarge);
    let bytes = world.altered(&world.alice, &close(), |body| body.kind = 11);
    world.refused(&bytes, RosterError::UnknownKind);
    for payload in [&[][..], &[0x80], &[0xbf, 0xff], &[0xa0, 0], &[0xa2, 7, 0, 7, 0]] {
        let bytes = world.altered(&world.alice, &close(), |body| body.payload = payload.into());
        world.refused(&bytes, RosterError::Malformed);
    }
}

#[test]
fn place_in_the_chain() {
    let mut world = World::new();
    let alter = |alter: fn(&mut EntryBody)| world.altered(&world.alice, &close(), alter);
    let cases = [
        (alter(|body| body.mesh = None), RosterError::WrongMesh),
        (alter(|body| body.mesh = Some(MeshId::from_bytes([1; 32]))), RosterError::WrongMesh),
        (alter(|body| body.index += 1), RosterError::WrongIndex),
        (alter(|body| body.index -= 1), RosterError::WrongIndex),
        (alter(|body| body.previous = HashBytes([0; 32])), RosterError::WrongPrevious),
        (world.entries[0].clone(), RosterError::MisplacedGenesis),
        (world.entries[1].clone(), RosterError::WrongIndex),
    ];
    for (bytes, error) in cases {
        world.refused(&bytes, error);
    }
    let early = Roster::from_entries(&world.entries[..1]).unwrap();
    assert_eq!(early.check(&world.entries[2]), Err(RosterError::WrongIndex));
}

#[test]
fn authors_are_live_and_sign() {
    let mut world = World::new();
    let stranger = world.key();
    let bytes = world.forge(&stranger, &close());
    world.refused(&bytes, RosterError::AuthorNotLive);
    let bytes = world.forge(&world.carol, &close());
    world.refused(&bytes, RosterError::AuthorNotLive);
    world.apply(|w| w.roster.remove_device(&w.alice, &id(&w.alice_second)));
    let bytes = world.forge(&world.alice_second, &close());
    world.refused(&bytes, RosterError::AuthorNotLive);
    let forged = world.body(&world.alice, &close()).sign(&stranger);
    world.refused(&forged, RosterError::BadSignature);
    // A signature for another purpose does not count.
    let body = codec::encode(&world.body(&world.alice, &close()));
    let signature = world.alice.sign(Label::new("log-entry"), &body);
    let bytes = codec::encode(&codec::Signed { body: body.into(), signature });
    world.refused(&bytes, RosterError::BadSignature);
}

#[test]
fn only_owners_and_admins_by_kind() {
    let mut world = World::new();
    let fresh = world.key();
    let brokers = || vec![broker(1, &["wss://a"])];
    for results in [
        [&world.bob, &world.bob].map(|key| world.roster.create_invite(key, to_join(&fresh, 1))),
        [&world.adam, &world.bob].map(|key| world.roster.change_role(key, &world.bob_id, Role::Admin)),
        [&world.adam, &world.bob].map(|key| world.roster.set_brokers(key, brokers())),
        [&world.adam, &world.bob].map(|key| world.roster.close_mesh(key)),
        [&world.adam, &world.bob].map(|key| world.roster.remove_member(key, &world.alice_id)),
        [&world.adam, &world.bob].map(|key| world.roster.remove_device(key, &id(&world.alice))),
        [&world.bob, &world.bob].map(|key| world.roster.remove_member(key, &world.adam_id)),
        [&world.bob, &world.bob].map(|key| world.roster.remove_device(key, &id(&world.adam))),
        [&world.bob, &world.bob].map(|key| world.roster.close_invite(key, &invite_id(&world.open))),
    ] {
        assert_eq!(results, [Err(RosterError::NotAllowed), Err(RosterError::NotAllowed)]);
    }
    // Linking a device is for the member itself alone, whatever the author's role.
    let link = to_link(&fresh, world.bob_id);
    assert_eq!(world.roster.create_invite(&world.alice, link), Err(RosterError::NotAllowed));
    let bytes = world.forge(&world.bob, &close());
    world.refused(&bytes, RosterError::NotAllowed);
}

#[test]
fn genesis() {
    let mut rng = SeededRng::new(3);
    let [key, recovery, other] = core::array::from_fn(|_| SigningKey::generate(&mut rng));
    let statement = |mesh| codec::encode(&JoinStatement::new(key.public(), Kind::Human, mesh, &mut SeededRng::new(4)));
    let good = Genesis { version: 1, statement: statement(None).into(), recovery: recovery.public() };
    let body = |genesis: &Genesis| {
        let payload = Payload::Genesis(genesis.clone());
        EntryBody {
            mesh: None,
            index: 0,
            previous: HashBytes([0; 32]),
            author: id(&key),
            kind: 0,
            payload: payload.encode().into(),
        }
    };
    let error = |body: EntryBody| Roster::genesis(&body.sign(&key)).err();
    assert_eq!(error(body(&good)), None);
    let mesh = Some(MeshId::from_bytes([1; 32]));
    assert_eq!(error(EntryBody { mesh, ..body(&good) }), Some(RosterError::WrongMesh));
    assert_eq!(error(EntryBody { index: 1, ..body(&good) }), Some(RosterError::WrongIndex));
    assert_eq!(error(EntryBody { previous: HashBytes([1; 32]), ..body(&good) }), Some(RosterError::WrongPrevious));
    assert_eq!(error(EntryBody { author: id(&other), ..body(&good) }), Some(RosterError::WrongAuthor));
    assert_eq!(error(body(&Genesis { version: 2, ..good.clone() })), Some(RosterError::UnsupportedVersion));
    let bound = Genesis { statement: statement(mesh).into(), ..good.clone() };
    assert_eq!(error(body(&bound)), Some(RosterError::StatementMismatch));
    let same = Genesis { recovery: key.public(), ..good.clone() };
    assert_eq!(error(body(&same)), Some(RosterError::RecoveryIsDevice));
    for weak in [key.public(), recovery.public()] {
        let payload = swapped(&body(&good).payload, weak.as_bytes(), &WEAK).into();
        assert_eq!(error(EntryBody { payload, ..body(&good) }), Some(RosterError::Malformed));
    }
    assert_eq!(Roster::genesis(&body(&good).sign(&other)).err(), Some(RosterError::BadSignature));
    let closing = EntryBody { kind: 10, payload: close().encode().into(), ..body(&good) };
    assert_eq!(error(closing), Some(RosterError::MisplacedGenesis));
    let refused = create_genesis(&key, &key.public(), Kind::Human, &mut rng);
    assert_eq!(refused.err(), Some(RosterError::RecoveryIsDevice));
}

#[test]
fn absent_is_not_null() {
    let mut rng = SeededRng::new(3);
    let key = SigningKey::generate(&mut rng);
    let mut statement = codec::encode(&JoinStatement::new(key.public(), Kind::Human, None, &mut rng));
    assert!(JoinStatement::parse(&statement).is_ok());
    statement[0] += 1;
    statement.extend([3, 0xf6]);
    assert_eq!(JoinStatement::parse(&statement), Err(RosterError::Malformed));
}

#[test]
fn invite_created() {
    let mut world = World::new();
    let fresh = world.key().public();
    let good = created(&fresh);
    assert!(world.roster.check(&world.forge(&world.alice, &Payload::InviteCreated(good.clone()))).is_ok());
    let device = PublicKey::from_bytes(world.carol.public().as_bytes()).unwrap();
    let bob_id = world.bob_id;
    let cases = [
        (InviteCreated { key: world.open.public(), ..good.clone() }, RosterError::KeyUsed),
        (InviteCreated { key: device, ..good.clone() }, RosterError::KeyUsed),
        (InviteCreated { role: Role::Admin, ..good.clone() }, RosterError::RoleNotAllowed),
        (InviteCreated { uses: 0, ..good.clone() }, RosterError::BadUses),
        (InviteCreated { uses: 1001, ..good.clone() }, RosterError::BadUses),
        (InviteCreated { sealed_welcome: vec![0; 8193].into(), ..good.clone() }, RosterError::WelcomeTooLarge),
        (InviteCreated { member: Some(bob_id), ..good.clone() }, RosterError::NotAllowed),
        (InviteCreated { member: Some(world.carol_id), ..good.clone() }, RosterError::NotAllowed),
        (InviteCreated { member: Some(world.alice_id), uses: 2, ..good.clone() }, RosterError::BadUses),
    ];
    for (payload, error) in cases {
        let bytes = world.forge(&world.alice, &Payload::InviteCreated(payload));
        world.refused(&bytes, error);
    }
    let alice = copy(&world.alice);
    let good = Payload::InviteCreated(good);
    world.refused_with_weak(&alice, &good, &fresh);
    let guest = swapped(&good.encode(), &[1, 0, 2, 1], &[1, 3, 2, 1]);
    let bytes = world.altered(&alice, &good, |body| body.payload = guest.into());
    world.refused(&bytes, RosterError::Malformed);
}

#[test]
fn invite_closed() {
    let mut world = World::new();
    let unknown = invite_id(&world.key());
    assert_eq!(world.roster.close_invite(&world.alice, &unknown), Err(RosterError::UnknownInvite));
    world.apply(|w| w.roster.close_invite(&w.alice, &invite_id(&w.open)));
    let again = world.roster.close_invite(&world.alice, &invite_id(&world.open));
    assert_eq!(again, Err(RosterError::InviteClosed));
}

#[test]
fn member_joined() {
    let mut world = World::new();
    let [dora, unknown] = core::array::from_fn(|_| world.key());
    let mesh = world.roster.mesh();
    let mut rng = SeededRng::new(5);
    let mut join = |key: &SigningKey, invite| world.roster.join(key, invite, Kind::Human, &mut rng).err();
    assert_eq!(join(&dora, &world.open), None);
    assert_eq!(join(&dora, &unknown), Some(RosterError::UnknownInvite));
    assert_eq!(join(&dora, &world.bob_link), Some(RosterError::InviteMismatch));
    assert_eq!(join(&world.bob, &world.open), Some(RosterError::DeviceKnown));
    // What was removed never returns.
    assert_eq!(join(&world.carol, &world.open), Some(RosterError::DeviceKnown));

    let joined = |mesh: Option<MeshId>, proof_mesh: &MeshId, key: &SigningKey| {
        let statement = codec::encode(&JoinStatement::new(dora.public(), Kind::Human, mesh, &mut SeededRng::new(6)));
        let signature = rules::proof::Proof::join(proof_mesh, &statement).sign(key);
        Payload::MemberJoined(MemberJoined { statement: statement.into(), invite: invite_id(&world.open), signature })
    };
    let elsewhere = MeshId::from_bytes([1; 32]);
    let good = joined(Some(mesh), &mesh, &world.open);
    let cases = [
        (joined(None, &mesh, &world.open), RosterError::StatementMismatch),
        (joined(Some(elsewhere), &mesh, &world.open), RosterError::StatementMismatch),
        (joined(Some(mesh), &elsewhere, &world.open), RosterError::BadInviteSignature),
        (joined(Some(mesh), &mesh, &world.bob_link), RosterError::BadInviteSignature),
    ];
    for (payload, error) in cases {
        let bytes = world.forge(&dora, &payload);
        world.refused(&bytes, error);
    }
    world.refused_with_weak(&dora, &good, &dora.public());
    // Only the statement's own device signs, not even an owner for it.
    let bytes = world.forge(&world.alice, &good);
    world.refused(&bytes, RosterError::WrongAuthor);
    let bytes = world.body(&dora, &good).sign(&world.alice);
    world.refused(&bytes, RosterError::BadSignature);

    let open = copy(&world.open);
    for _ in 0..2 {
        let key = world.key();
        world.join(&key, &open);
    }
    let mut rng = SeededRng::new(7);
    assert_eq!(world.roster.join(&dora, &open, Kind::Human, &mut rng).err(), Some(RosterError::InviteUsedUp));
    world.apply(|w| w.roster.close_invite(&w.adam, &invite_id(&w.open)));
    assert_eq!(world.roster.join(&dora, &open, Kind::Human, &mut rng).err(), Some(RosterError::InviteClosed));
}

#[test]
fn device_added() {
    let mut world = World::new();
    let [fresh, unknown] = core::array::from_fn(|_| world.key());
    let error = |key, member, invite| world.roster.add_device(key, member, invite).err();
    assert_eq!(error(&fresh, &world.bob_id, &world.bob_link), None);
    assert_eq!(error(&fresh, &world.bob_id, &unknown), Some(RosterError::UnknownInvite));
    assert_eq!(error(&fresh, &world.bob_id, &world.open), Some(RosterError::InviteMismatch));
    assert_eq!(error(&fresh, &world.alice_id, &world.bob_link), Some(RosterError::InviteMismatch));
    assert_eq!(error(&world.carol, &world.bob_id, &world.bob_link), Some(RosterError::DeviceKnown));

    let mesh = world.roster.mesh();
    let added = |mesh: &MeshId, member: &MemberId, key: &SigningKey| {
        let signature = rules::proof::Proof::device(mesh, member, &fresh.public()).sign(key);
        let invite = invite_id(&world.bob_link);
        Payload::DeviceAdded(DeviceAdded { key: fresh.public(), member: world.bob_id, invite, signature })
    };
    let good = added(&mesh, &world.bob_id, &world.bob_link);
    let forged = [
        added(&MeshId::from_bytes([1; 32]), &world.bob_id, &world.bob_link),
        added(&mesh, &world.alice_id, &world.bob_link),
        added(&mesh, &world.bob_id, &world.open),
    ];
    for payload in forged {
        let bytes = world.forge(&fresh, &payload);
        world.refused(&bytes, RosterError::BadInviteSignature);
    }
    world.refused_with_weak(&fresh, &good, &fresh.public());
    let bytes = world.forge(&world.bob, &good);
    world.refused(&bytes, RosterError::WrongAuthor);

    let link = copy(&world.bob_link);
    world.apply(|w| w.roster.add_device(&fresh, &w.bob_id, &link));
    let next = world.key();
    assert_eq!(world.roster.add_device(&next, &world.bob_id, &link), Err(RosterError::InviteUsedUp));
    world.apply(|w| w.roster.remove_member(&w.bob, &w.bob_id));
    assert_eq!(world.roster.add_device(&next, &world.bob_id, &link), Err(RosterError::InviteClosed));
}

#[test]
fn a_member_has_at_most_sixteen_live_devices() {
    let mut world = World::new();
    let mut devices = Vec::new();
    let mut link = |world: &mut World| {
        let [key, invite] = core::array::from_fn(|_| world.key());
        world.apply(|w| w.roster.create_invite(&w.bob, to_link(&invite, w.bob_id)));
        let entry = world.roster.add_device(&key, &world.bob_id, &invite);
        devices.push(id(&key));
        entry
    };
    for _ in 1..MAX_LIVE_DEVICES {
        let entry = link(&mut world);
        world.apply(|_| entry);
    }
    assert_eq!(link(&mut world), Err(RosterError::TooManyDevices));
    let device = world.roster.devices_of(&world.bob_id).last().unwrap().id;
    world.apply(|w| w.roster.remove_device(&w.bob, &device));
    let entry = link(&mut world);
    world.apply(|_| entry);
}

#[test]
fn device_removed() {
    let mut world = World::new();
    let unknown = id(&world.key());
    assert_eq!(world.roster.remove_device(&world.alice, &unknown), Err(RosterError::UnknownDevice));
    assert_eq!(world.roster.remove_device(&world.alice, &id(&world.carol)), Err(RosterError::UnknownDevice));
    world.apply(|w| w.roster.remove_device(&w.alice, &id(&w.bob)));
    assert_eq!(world.roster.remove_device(&world.alice, &id(&world.bob)), Err(RosterError::UnknownDevice));
}

#[test]
fn role_changed() {
    let mut world = World::new();
    let unknown = MemberId::from_bytes([1; 32]);
    let error = |member, role| world.roster.change_role(&world.alice, member, role).err();
    assert_eq!(error(&unknown, Role::Admin), Some(RosterError::UnknownMember));
    assert_eq!(error(&world.carol_id, Role::Admin), Some(RosterError::UnknownMember));
    assert_eq!(error(&world.bob_id, Role::Member), Some(RosterError::RoleUnchanged));
    assert_eq!(error(&world.alice_id, Role::Admin), Some(RosterError::LastOwner));
    let payload = Payload::RoleChanged(RoleChanged { member: world.bob_id, role: Role::Owner });
    let mut guest = payload.encode();
    assert_eq!(guest.pop(), Some(2));
    guest.push(3);
    let bytes = world.altered(&world.alice, &payload, |body| body.payload = guest.into());
    world.refused(&bytes, RosterError::Malformed);
    world.apply(|w| w.roster.change_role(&w.alice, &w.bob_id, Role::Owner));
    world.apply(|w| w.roster.change_role(&w.alice, &w.alice_id, Role::Member));
    assert_eq!(world.roster.owner_count(), 1);
}

#[test]
fn member_removed() {
    let world = World::new();
    let unknown = MemberId::from_bytes([1; 32]);
    let error = |key, member| world.roster.remove_member(key, member).err();
    assert_eq!(error(&world.alice, &unknown), Some(RosterError::UnknownMember));
    assert_eq!(error(&world.alice, &world.carol_id), Some(RosterError::UnknownMember));
    assert_eq!(error(&world.alice, &world.alice_id), Some(RosterError::LastOwner));
    assert_eq!(error(&world.bob, &world.bob_id), None);
}

#[test]
fn brokers_set() {
    let mut world = World::new();
    let longest = std::format!("wss://{}", "a".repeat(250));
    let too_long = std::format!("{longest}a");
    let error = |brokers| world.roster.set_brokers(&world.alice, brokers).err();
    assert_eq!(error(vec![broker(1, &[&longest])]), None);
    assert_eq!(error((0..8).map(|seed| broker(seed, &["ws://a"])).collect()), None);
    for bad in [
        vec![],
        (0..9).map(|seed| broker(seed, &["ws://a"])).collect(),
        vec![broker(1, &["ws://a"]), broker(1, &["ws://b"])],
        vec![broker(1, &[])],
        vec![broker(1, &[&too_long])],
        vec![broker(1, &["ws://a", "https://b"])],
    ] {
        assert_eq!(error(bad), Some(RosterError::BadBrokers));
    }
    let alice = copy(&world.alice);
    let list = List::from_vec(vec![broker(1, &["ws://a"])]).unwrap();
    let key = list[0].key;
    let payload = Payload::BrokersSet(BrokersSet { brokers: list });
    world.refused_with_weak(&alice, &payload, &key);
    // Nine on the wire are malformed: the bound is checked before anything is read.
    let nine = [&[0xa1, 0, 0x89][..], &payload.encode()[3..].repeat(9)].concat();
    let bytes = world.altered(&alice, &payload, |body| body.payload = nine.into());
    world.refused(&bytes, RosterError::Malformed);
}

#[test]
fn owner_reset() {
    let mut world = World::new();
    let [fresh, next, last] = core::array::from_fn(|_| world.key());
    let recovery = copy(&world.recovery);
    let mesh = world.roster.mesh();
    let reset = |key: &SigningKey, mesh: Option<MeshId>, proof: (&MeshId, &PublicKey), by: &SigningKey| {
        let statement = codec::encode(&JoinStatement::new(key.public(), Kind::Human, mesh, &mut SeededRng::new(6)));
        let signature = rules::proof::Proof::reset(proof.0, proof.1, &statement).sign(by);
        Payload::OwnerReset(OwnerReset { statement: statement.into(), recovery: next.public(), signature })
    };
    let elsewhere = MeshId::from_bytes([1; 32]);
    let public = next.public();
    let cases = [
        (reset(&fresh, Some(mesh), (&mesh, &public), &world.alice), RosterError::BadRecoverySignature),
        (reset(&fresh, Some(mesh), (&mesh, &public), &next), RosterError::BadRecoverySignature),
        (reset(&fresh, Some(mesh), (&elsewhere, &public), &recovery), RosterError::BadRecoverySignature),
        (reset(&fresh, Some(mesh), (&mesh, &last.public()), &recovery), RosterError::BadRecoverySignature),
        (reset(&fresh, None, (&mesh, &public), &recovery), RosterError::StatementMismatch),
        (reset(&fresh, Some(elsewhere), (&mesh, &public), &recovery), RosterError::StatementMismatch),
    ];
    for (payload, error) in cases {
        let bytes = world.forge(&fresh, &payload);
        world.refused(&bytes, error);
    }
    let known = reset(&world.carol, Some(mesh), (&mesh, &public), &recovery);
    let bytes = world.forge(&world.carol, &known);
    world.refused(&bytes, RosterError::DeviceKnown);
    let good = reset(&fresh, Some(mesh), (&mesh, &public), &recovery);
    world.refused_with_weak(&fresh, &good, &fresh.public());
    world.refused_with_weak(&fresh, &good, &next.public());
    let bytes = world.forge(&world.alice, &good);
    world.refused(&bytes, RosterError::WrongAuthor);
    let unsigned = match &good {
        Payload::OwnerReset(reset) => Payload::OwnerReset(OwnerReset { signature: NO_SIGNATURE, ..reset.clone() }),
        other => other.clone(),
    };
    let bytes = world.forge(&fresh, &unsigned);
    world.refused(&bytes, RosterError::BadRecoverySignature);
    // The recovery key before is without power.
    world.apply(|w| Ok(w.forge(&fresh, &good)));
    let again = world.roster.owner_reset(&last, &recovery, &last.public(), Kind::Human, &mut world.rng);
    assert_eq!(again.err(), Some(RosterError::BadRecoverySignature));
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let world = World::new();
    let before = Roster::from_entries(&world.entries[..2]).unwrap();
    let good = &world.entries[2];
    assert!(before.check(good).is_ok());
    for at in 0..good.len() {
        assert!(before.check(&good[..at]).is_err(), "cut at {at}");
        for bit in 0..8 {
            let mut damaged = good.clone();
            damaged[at] ^= 1 << bit;
            assert!(before.check(&damaged).is_err(), "bit {bit} of byte {at}");
        }
    }
}
