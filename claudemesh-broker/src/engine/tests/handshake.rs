use claudemesh_core::roster::Kind;
use claudemesh_core::wire::{self, Body, ClientHandshake, Closing, ErrorCode, Frame, HelloMode};
use claudemesh_core::{MeshId, Seconds, SigningKey, codec, envelope};

use super::world::{World, wait};
use crate::config::{AllowCreate, EngineConfig};
use crate::engine::OpenError;

#[test]
fn a_device_is_welcomed_with_what_is_kept_of_it() {
    let mut world = World::of(2);
    world.send_texts(1, &[0], 3);
    world.disconnect(1);
    let welcome = world.connect(1);
    assert_eq!(welcome.head, Some(world.roster.head()));
    assert_eq!(welcome.record, Some(world.record(1, 1)));
    assert_eq!(welcome.limits, world.config.limits);
    assert_eq!(welcome.now, world.now);
    let key = world.peers[1].key.public();
    let proof: envelope::Proof = codec::decode(&welcome.last_sent.unwrap()).unwrap();
    let proof = proof.verify(&key, &world.mesh).unwrap();
    assert_eq!((proof.record.recipient, proof.record.seq), (world.peers[0].id(), 3));
    let again = world.connect(0);
    assert_eq!((again.store_id, again.commits), (welcome.store_id, welcome.commits));
    assert_ne!(again.connection, welcome.connection);
    assert_eq!(again.last_sent, None);
}

#[test]
fn who_is_not_a_live_device_is_turned_away() {
    let mut world = World::of(2);
    let stranger = world.newcomer();
    assert_eq!(world.greet(stranger, HelloMode::Device, None).unwrap_err(), ErrorCode::NotAMember);
    let gone = world.peers[1].id();
    let entry = world.roster.remove_device(&world.peers[0].key, &gone).unwrap();
    world.append(0, entry);
    assert_eq!(world.greet(1, HelloMode::Device, None).unwrap_err(), ErrorCode::Removed);
    let entry = world.roster.close_mesh(&world.peers[0].key).unwrap();
    world.append(0, entry);
    assert_eq!(world.greet(0, HelloMode::Device, None).unwrap_err(), ErrorCode::MeshClosed);
}

#[test]
fn an_unknown_mesh_takes_no_devices() {
    let mut world = World::without_mesh(EngineConfig::default());
    assert_eq!(world.greet(0, HelloMode::Device, None).unwrap_err(), ErrorCode::UnknownMesh);
    let invite = SigningKey::generate(&mut world.rng);
    let mode = HelloMode::Join(invite.public().invite_id());
    assert_eq!(world.greet(0, mode, Some(&invite)).unwrap_err(), ErrorCode::UnknownMesh);
}

#[test]
fn a_newer_connection_replaces_the_older() {
    let mut world = World::of(1);
    world.connect(0);
    assert_eq!(world.peers[0].closed(), Some(Closing::Replaced));
    assert_eq!(world.engine.connections(), 1);
    assert_eq!(world.ask(0, wire::Ping { time: 5 }), Body::Pong(wire::Pong { time: 5 }));
}

#[test]
fn a_hello_with_a_wrong_signature_is_refused() {
    let mut world = World::of(1);
    let (conn, challenge) = world.open();
    let keys = [world.engine.public_key()];
    let key = &world.peers[0].key;
    let (_, mut hello) =
        ClientHandshake::start(&challenge, &keys, world.mesh, key, HelloMode::Device, None, None, b"", &mut world.rng)
            .unwrap();
    hello.nonce.0[0] ^= 1;
    wait(world.engine.receive(conn.id, &Frame::new(1, hello).encode(), world.now));
    let Body::Error(error) = Frame::decode(&conn.outbox.try_next().unwrap()).unwrap().body else { panic!() };
    assert_eq!(error.code, ErrorCode::Unauthenticated);
    assert!(conn.outbox.has_ended());
}

#[test]
fn nothing_is_answered_before_hello_and_silence_ends_it() {
    let mut world = World::of(1);
    let (conn, _) = world.open();
    wait(world.engine.receive(conn.id, &Frame::new(9, wire::LogList {}).encode(), world.now));
    let Frame { request, body } = Frame::decode(&conn.outbox.try_next().unwrap()).unwrap();
    assert!(matches!(body, Body::Error(error) if error.code == ErrorCode::Unauthenticated && request == 9));
    world.tick(9_999);
    assert!(!conn.outbox.has_ended());
    world.tick(1);
    assert!(conn.outbox.has_ended());
}

#[test]
fn a_connection_without_any_frame_is_closed() {
    let mut world = World::of(2);
    world.tick(40_000);
    world.ask(0, wire::Ping { time: 0 });
    world.tick(35_000);
    assert_eq!(world.peers[1].closed(), Some(Closing::Slow));
    assert_eq!(world.peers[0].closed(), None);
    world.tick(40_000);
    assert_eq!(world.peers[0].closed(), Some(Closing::Slow));
    assert_eq!(world.engine.connections(), 0);
}

#[test]
fn a_joiner_reads_the_roster_and_appends_its_entry() {
    let mut world = World::of(1);
    let invite = world.invite(2, world.now.seconds().plus(60));
    let joiner = world.newcomer();
    let mode = HelloMode::Join(invite.public().invite_id());
    let (conn, welcome) = world.greet(joiner, mode, Some(&invite)).unwrap();
    assert_eq!((welcome.head, welcome.record), (Some(world.roster.head()), None));
    world.peers[joiner].conn = Some(conn);
    let Body::RosterEntries(read) = world.ask(joiner, wire::RosterRange { from: 0, limit: 100 }) else { panic!() };
    assert_eq!(read.entries.len(), world.entries.len());
    assert_eq!(read.head, world.roster.head());
    // Nothing else is open to it.
    assert_eq!(world.refusal(joiner, wire::LogList {}), ErrorCode::Forbidden);
    assert_eq!(world.refusal(joiner, wire::RecordGet { devices: Default::default() }), ErrorCode::Forbidden);
    let other = world.newcomer();
    let (entry, _) = world.roster.join(&world.peers[other].key, &invite, Kind::Agent, &mut world.rng).unwrap();
    assert_eq!(world.refusal(joiner, wire::RosterAppend { entry: entry.into() }), ErrorCode::Forbidden);
    let close = world.roster.close_invite(&world.peers[0].key, &invite.public().invite_id()).unwrap();
    assert_eq!(world.refusal(joiner, wire::RosterAppend { entry: close.into() }), ErrorCode::Forbidden);

    let (entry, _) = world.roster.join(&world.peers[joiner].key, &invite, Kind::Agent, &mut world.rng).unwrap();
    world.append(joiner, entry.clone());
    // Sent again, it is done already.
    world.done(joiner, wire::RosterAppend { entry: entry.into() });
    let (second, _) = world.roster.join(&world.peers[other].key, &invite, Kind::Agent, &mut world.rng).unwrap();
    assert_eq!(world.refusal(joiner, wire::RosterAppend { entry: second.into() }), ErrorCode::Forbidden);
    world.disconnect(joiner);
    assert_eq!(world.connect(joiner).head, Some(world.roster.head()));
}

#[test]
fn an_invite_has_to_be_proved_open_and_in_time() {
    let mut world = World::of(1);
    let invite = world.invite(1, world.now.seconds().plus(60));
    let joiner = world.newcomer();
    let mode = HelloMode::Join(invite.public().invite_id());
    let other = SigningKey::generate(&mut world.rng);
    assert_eq!(world.greet(joiner, mode, Some(&other)).unwrap_err(), ErrorCode::Unauthenticated);
    assert_eq!(world.greet(joiner, mode, None).unwrap_err(), ErrorCode::Unauthenticated);
    let unknown = HelloMode::Join(other.public().invite_id());
    assert_eq!(world.greet(joiner, unknown, Some(&other)).unwrap_err(), ErrorCode::Forbidden);

    // In time for the hello, too late for the entry.
    let (conn, _) = world.greet(joiner, mode, Some(&invite)).unwrap();
    world.peers[joiner].conn = Some(conn);
    let (entry, _) = world.roster.join(&world.peers[joiner].key, &invite, Kind::Agent, &mut world.rng).unwrap();
    world.now = world.now.plus(60_000);
    assert_eq!(world.refusal(joiner, wire::RosterAppend { entry: entry.into() }), ErrorCode::InviteExpired);
    assert_eq!(world.greet(joiner, mode, Some(&invite)).unwrap_err(), ErrorCode::InviteExpired);
    let closed = world.invite(1, Seconds(u64::MAX / 2000));
    let entry = world.roster.close_invite(&world.peers[0].key, &closed.public().invite_id()).unwrap();
    world.append(0, entry);
    let mode = HelloMode::Join(closed.public().invite_id());
    assert_eq!(world.greet(joiner, mode, Some(&closed)).unwrap_err(), ErrorCode::InviteExpired);
}

#[test]
fn meshes_are_brought_as_the_configuration_allows() {
    let listed = |mesh| EngineConfig { allow_create: AllowCreate::Listed([mesh].into()), ..EngineConfig::default() };
    let mesh = World::without_mesh(EngineConfig::default()).mesh;
    World::with(listed(mesh));
    let mut world = World::without_mesh(listed(MeshId::from_bytes([0; 32])));
    assert_eq!(world.greet(0, HelloMode::Create, None).unwrap_err(), ErrorCode::Forbidden);

    let mut world = World::with(EngineConfig { allow_create: AllowCreate::WhenEmpty, ..EngineConfig::default() });
    // Whoever knows a mesh that is here may still give it entries.
    world.greet(0, HelloMode::Create, None).unwrap();
    world.mesh = MeshId::from_bytes([1; 32]);
    assert_eq!(world.greet(0, HelloMode::Create, None).unwrap_err(), ErrorCode::Forbidden);

    let mut world = World::with(EngineConfig { max_meshes: 1, ..EngineConfig::default() });
    world.mesh = MeshId::from_bytes([1; 32]);
    assert_eq!(world.greet(0, HelloMode::Create, None).unwrap_err(), ErrorCode::Forbidden);
}

#[test]
fn of_two_creators_at_once_only_one_fits() {
    let config = EngineConfig { allow_create: AllowCreate::WhenEmpty, ..EngineConfig::default() };
    let mut world = World::without_mesh(config);
    let (one, _) = world.greet(0, HelloMode::Create, None).unwrap();
    let second = world.newcomer();
    let recovery = SigningKey::generate(&mut world.rng).public();
    let key = &world.peers[second].key;
    let (genesis, mesh, _) =
        claudemesh_core::roster::create_genesis(key, &recovery, Kind::Human, &mut world.rng).unwrap();
    let first = std::mem::replace(&mut world.mesh, mesh);
    let (two, _) = world.greet(second, HelloMode::Create, None).unwrap();
    world.peers[0].conn = Some(one);
    world.peers[second].conn = Some(two);
    world.done(second, wire::RosterAppend { entry: genesis.into() });
    world.mesh = first;
    let genesis = world.entries[0].clone();
    assert_eq!(world.refusal(0, wire::RosterAppend { entry: genesis.into() }), ErrorCode::Forbidden);
}

#[test]
fn connections_are_counted_and_stopping_ends_them() {
    let mut world = World::of_with(2, EngineConfig { max_connections: 3, ..EngineConfig::default() });
    let (waiting, _) = world.open();
    assert_eq!(world.engine.open(world.now, &mut world.rng).unwrap_err(), OpenError::Full);
    world.engine.close(waiting.id, world.now);
    world.open();
    world.engine.stop(world.now);
    world.settle();
    assert_eq!(world.peers[0].closed(), Some(Closing::Shutdown));
    assert_eq!(world.peers[1].closed(), Some(Closing::Shutdown));
    assert_eq!(world.engine.open(world.now, &mut world.rng).unwrap_err(), OpenError::Stopping);
    assert_eq!(world.engine.connections(), 0);
}
