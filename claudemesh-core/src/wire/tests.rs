use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::codec::{Bytes, HashBytes, List};
use crate::id::{DeviceId, MeshId, MessageId};
use crate::key::SigningKey;
use crate::testing::SeededRng;
use crate::time::Millis;

fn samples() -> Vec<Frame> {
    let list = |items: Vec<Bytes>| List::from_vec(items).unwrap();
    vec![
        Frame::new(7, Ping { time: 9 }),
        Frame::push(Close { code: Closing::Replaced }),
        Frame::new(1, Error { code: ErrorCode::HeadMoved, detail: "x".to_string(), retry_after_ms: Some(5) }),
        Frame::new(1, Error { code: ErrorCode::Internal, detail: "".to_string(), retry_after_ms: None }),
        Frame::new(3, Done {}),
        Frame::new(2, Enqueue { submissions: list(vec![Bytes(vec![1, 2, 3])]) }),
        Frame::new(
            2,
            Enqueued {
                outcomes: List::from_vec(vec![
                    List::from_vec(vec![Outcome::Accepted, Outcome::Duplicate, Outcome::Refused(ErrorCode::NoPrekey)])
                        .unwrap(),
                ])
                .unwrap(),
                commits: 4,
            },
        ),
        Frame::push(Notices {
            items: List::from_vec(vec![
                NumberedNotice { offset: 1, notice: Notice::Receipt(Bytes(vec![9])) },
                NumberedNotice {
                    offset: 2,
                    notice: Notice::Expired {
                        device: DeviceId::from_bytes([1; 32]),
                        id: MessageId::from_bytes([2; 16]),
                        attempt: 1,
                    },
                },
            ])
            .unwrap(),
        }),
        Frame::push(PresencePush {
            devices: List::from_vec(vec![DevicePresence {
                device: DeviceId::from_bytes([1; 32]),
                online: true,
                presence: None,
                last_seen: Millis(8),
            }])
            .unwrap(),
        }),
    ]
}

#[test]
fn frames_round_trip() {
    for frame in samples() {
        let bytes = frame.clone().encode();
        assert_eq!(Frame::decode(&bytes), Ok(frame));
    }
}

#[test]
fn a_ping_is_these_bytes() {
    assert_eq!(Frame::new(7, Ping { time: 9 }).encode(), [0xa3, 0, 6, 1, 7, 2, 9]);
}

#[test]
fn unknown_types_and_critical_keys_name_the_request() {
    assert_eq!(Frame::decode(&[0xa2, 0, 0x18, 99, 1, 5]), Err(FrameError::Unsupported { request: 5 }));
    // An unknown key is ignored ...
    assert!(Frame::decode(&[0xa4, 0, 6, 1, 7, 2, 9, 0x18, 40, 1]).is_ok());
    // ... unless it is marked critical.
    let critical = [0xa5, 0, 6, 1, 7, 2, 9, 0x18, 40, 1, 0x18, 63, 0x81, 0x18, 40];
    assert_eq!(Frame::decode(&critical), Err(FrameError::Unsupported { request: 7 }));
    assert_eq!(Frame::decode(&[0xa2, 0, 6, 1, 7]), Err(FrameError::BadFields { request: 7 }));
    assert_eq!(Frame::decode(&[]), Err(FrameError::Malformed));
    assert_eq!(Frame::decode(&vec![0; MAX_FRAME + 1]), Err(FrameError::Malformed));
}

#[test]
fn codes_round_trip_and_unknown_ones_read_as_internal() {
    for code in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_wire(code.as_str()), *code);
    }
    assert_eq!(ErrorCode::from_wire("from the future"), ErrorCode::Internal);
}

fn handshake(tamper: impl FnOnce(&mut Hello, &mut WelcomeFrame)) -> Result<Welcome, HandshakeError> {
    let mut rng = SeededRng::new(1);
    let broker = SigningKey::generate(&mut rng);
    let device = SigningKey::generate(&mut rng);
    let mesh = MeshId::from_bytes([5; 32]);
    let challenge = Challenge {
        nonce: HashBytes([9; 32]),
        key: HashBytes(*broker.public().as_bytes()),
        versions: List::from_vec(vec![1]).unwrap(),
        capabilities: List::new(),
    };
    let keys = [broker.public()];
    let (client, mut hello) =
        ClientHandshake::start(&challenge, &keys, mesh, &device, HelloMode::Device, None, None, b"", &mut rng)?;
    let body = WelcomeBody {
        version: 1,
        capabilities: List::new(),
        limits: Limits::default(),
        store_id: [3; 16],
        commits: 1,
        now: Millis(5),
        head: None,
        record: None,
        last_sent: None,
        connection: 1,
    };
    let checked = check_hello(&challenge, &hello, b"")?;
    let mut welcome = answer_hello(&broker, &checked, &body);
    tamper(&mut hello, &mut welcome);
    check_hello(&challenge, &hello, b"")?;
    client.finish(&welcome)
}

#[test]
fn both_sides_prove_their_keys() {
    assert!(handshake(|_, _| {}).is_ok());
    assert_eq!(handshake(|hello, _| hello.nonce = HashBytes([0; 32])), Err(HandshakeError::BadSignature));
    assert_eq!(handshake(|hello, _| hello.mesh = MeshId::from_bytes([6; 32])), Err(HandshakeError::BadSignature));
    assert_eq!(handshake(|_, welcome| welcome.body.0[3] ^= 1), Err(HandshakeError::BadSignature));
}

#[test]
fn a_broker_with_another_key_is_not_greeted() {
    let mut rng = SeededRng::new(2);
    let challenge = Challenge {
        nonce: HashBytes([9; 32]),
        key: HashBytes(*SigningKey::generate(&mut rng).public().as_bytes()),
        versions: List::from_vec(vec![1]).unwrap(),
        capabilities: List::new(),
    };
    let pinned = [SigningKey::generate(&mut rng).public()];
    let device = SigningKey::generate(&mut rng);
    let mesh = MeshId::from_bytes([5; 32]);
    let result =
        ClientHandshake::start(&challenge, &pinned, mesh, &device, HelloMode::Device, None, None, b"", &mut rng);
    assert_eq!(result.map(|_| ()), Err(HandshakeError::WrongBroker));
}

proptest! {
    #[test]
    fn damaged_frames_never_panic(pick in 0usize..9, at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
        let mut bytes = samples()[pick].clone().encode();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        let _ = Frame::decode(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        let _ = Frame::decode(&bytes);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Frame::decode(&bytes);
    }
}
