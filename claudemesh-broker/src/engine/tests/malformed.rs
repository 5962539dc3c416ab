use claudemesh_core::codec::{Bytes, HashBytes, List};
use claudemesh_core::device::{DeviceRecord, Prekey, PrekeyId, RecordDraft};
use claudemesh_core::wire::{self, Body, Closing, ErrorCode, Frame};
use proptest::prelude::*;

use super::world::World;

#[test]
fn what_is_no_frame_ends_the_connection() {
    for bytes in [&[][..], &[0xff], b"text", &[0xa1, 0, 30], &[0xa2, 0, 6, 1, 0], &vec![0; wire::MAX_FRAME + 1]] {
        let mut world = World::of(2);
        world.send_bytes(0, bytes);
        assert_eq!(world.peers[0].closed(), Some(Closing::Protocol), "{:?}", bytes.get(..4));
        // Nobody else is bothered.
        assert!(matches!(world.ask(1, wire::Ping { time: 1 }), Body::Pong(_)));
    }
}

#[test]
fn bad_fields_are_answered_on_their_request() {
    let mut world = World::of(1);
    // {0: 30, 1: 77, 2: "no list"}
    world.send_bytes(0, &[0xa3, 0, 0x18, 30, 1, 0x18, 77, 2, 0x61, b'x']);
    assert!(matches!(world.reply(0, 77), Body::Error(error) if error.code == ErrorCode::Malformed));
    // An unknown type, then a critical key nobody knows.
    world.send_bytes(0, &[0xa2, 0, 0x18, 99, 1, 0x18, 78]);
    assert!(matches!(world.reply(0, 78), Body::Error(error) if error.code == ErrorCode::Unsupported));
    world.send_bytes(0, &[0xa4, 0, 6, 1, 0x18, 79, 2, 0, 0x18, 63, 0x81, 0x18, 50]);
    assert!(matches!(world.reply(0, 79), Body::Error(error) if error.code == ErrorCode::Unsupported));
    // Unsolicited and unknown: ignored.
    world.send_bytes(0, &[0xa2, 0, 0x18, 99, 1, 0]);
    assert!(matches!(world.ask(0, wire::Ping { time: 1 }), Body::Pong(_)));
}

#[test]
fn what_only_a_broker_says_is_not_taken_from_a_client() {
    let mut world = World::of(1);
    for body in [
        Body::from(wire::Done {}),
        wire::Deliver { items: List::new() }.into(),
        wire::Pong { time: 1 }.into(),
        wire::RosterPush { index: 1, entry: Bytes::default() }.into(),
    ] {
        assert_eq!(world.refusal(0, body), ErrorCode::Unsupported);
    }
    let hello = wire::Hello {
        mesh: world.mesh,
        mode: 0,
        key: HashBytes([0; 32]),
        nonce: HashBytes([0; 32]),
        version: 1,
        capabilities: List::new(),
        signature: claudemesh_core::Signature::from_bytes([0; 64]),
        invite: None,
        invite_signature: None,
        resume: None,
    };
    assert_eq!(world.refusal(0, hello), ErrorCode::Unsupported);
}

#[test]
fn a_client_may_say_goodbye() {
    let mut world = World::of(1);
    world.send_bytes(0, &Frame::push(wire::Close { code: Closing::Shutdown }).encode());
    assert_eq!(world.engine.connections(), 0);
}

#[test]
fn requests_have_a_rate() {
    let request_rate = crate::limit::Rate { burst: 3, per_second: 1 };
    let mut world = World::of(1);
    world.engine = {
        let config = crate::EngineConfig { request_rate, ..Default::default() };
        let key = claudemesh_core::SigningKey::generate(&mut world.rng);
        futures_util::FutureExt::now_or_never(crate::Engine::new(world.store.clone(), key, config)).unwrap().unwrap()
    };
    world.peers[0].conn = None;
    world.connect(0);
    for _ in 0..3 {
        world.ask(0, wire::LogList {});
    }
    let Body::Error(error) = world.ask(0, wire::LogList {}) else { panic!("a fourth") };
    assert_eq!((error.code, error.retry_after_ms), (ErrorCode::RateLimited, Some(1000)));
    world.now = world.now.plus(1000);
    assert!(matches!(world.ask(0, wire::LogList {}), Body::Logs(_)));
}

#[test]
fn records_that_fit_no_frame_are_not_cut() {
    let mut world = World::of(2);
    let key = world.peers[0].prekeys.public()[0];
    let prekeys = (1..=16).map(|id| Prekey { id: PrekeyId(id), ..key }).collect();
    let draft = RecordDraft { counter: 9, prekeys, head: world.roster.head(), profile: None };
    let record = DeviceRecord::sign(&world.peers[0].key, &world.mesh, &draft).unwrap().into();
    world.done(0, wire::RecordPut { record });
    let id = world.peers[0].id();
    let ask = |devices: usize| wire::RecordGet { devices: List::from_vec(vec![id; devices]).unwrap() };
    assert!(matches!(world.ask(1, ask(100)), Body::Records(_)));
    assert_eq!(world.refusal(1, ask(512)), ErrorCode::TooLarge);
}

#[test]
fn records_are_kept_by_counter_and_only_the_own() {
    let mut world = World::of(2);
    let first = world.record(0, 5);
    world.done(0, wire::RecordPut { record: first.clone() });
    world.done(0, wire::RecordPut { record: first.clone() });
    let older = world.record(0, 4);
    assert_eq!(world.refusal(0, wire::RecordPut { record: older }), ErrorCode::StaleRecord);
    let other = world.record(1, 9);
    assert_eq!(world.refusal(0, wire::RecordPut { record: other }), ErrorCode::Malformed);
    let large = vec![0; 9000].into();
    assert_eq!(world.refusal(0, wire::RecordPut { record: large }), ErrorCode::TooLarge);
    let devices = vec![world.peers[0].id(), claudemesh_core::DeviceId::from_bytes([9; 32])];
    let devices = List::from_vec(devices).unwrap();
    let Body::Records(records) = world.ask(1, wire::RecordGet { devices }) else { panic!() };
    assert_eq!(records.records.to_vec(), [first]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a member sends, the others are served.
    #[test]
    fn damaged_frames_harm_nobody_else(pick in 0usize..6, at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
        let mut world = World::of(2);
        let text = world.text(0, &[1]);
        let record = world.record(0, 2);
        let entry: Bytes = world.entries[1].clone().into();
        let body: Body = match pick {
            0 => wire::Enqueue { submissions: List::from_vec(vec![text]).unwrap() }.into(),
            1 => wire::RecordPut { record }.into(),
            2 => wire::RosterAppend { entry }.into(),
            3 => wire::RosterRange { from: 0, limit: 3 }.into(),
            4 => wire::NoticesDone { through: 4 }.into(),
            _ => wire::PresencePut { presence: record, lease: 3 }.into(),
        };
        let mut bytes = Frame::new(900, body).encode();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        if byte & 1 == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        world.send_bytes(0, &bytes);
        prop_assert!(matches!(world.ask(1, wire::Ping { time: 1 }), Body::Pong(_)), "the other is served");
    }
}
