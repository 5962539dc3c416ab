use alloc::string::ToString;

use proptest::prelude::*;

use super::*;
use crate::codec::HashBytes;
use crate::testing::SeededRng;

const MESH: MeshId = MeshId::from_bytes([1; 32]);
const SECRET: [u8; 32] = [9; 32];

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn context(boot: u8, counter: u64) -> PresenceContext {
    let head = RosterHead { index: 3, hash: HashBytes([4; 32]) };
    PresenceContext { mesh: MESH, boot: BootId::from_bytes([boot; 16]), counter, head, epoch: 2 }
}

fn sign(context: &PresenceContext, status: &Status) -> Result<Vec<u8>, PresenceError> {
    Presence::sign(&key(), context, &SECRET, status, &mut SeededRng::new(1))
}

fn verify(bytes: &[u8]) -> Result<Presence, PresenceError> {
    Presence::verify(bytes, &MESH, &key().public())
}

fn presence(boot: u8, counter: u64) -> Presence {
    verify(&sign(&context(boot, counter), &Status::default()).unwrap()).unwrap()
}

fn status() -> Status {
    let session = SessionInfo {
        id: "s1".to_string(),
        name: Some("main".to_string()),
        cwd: None,
        activity: Activity::DoNotDisturb,
        summary: Some("tests".to_string()),
    };
    Status { activity: Activity::Working, summary: Some("ünder way".to_string()), sessions: alloc::vec![session] }
}

#[test]
fn a_presence_verifies_and_opens() {
    let presence = verify(&sign(&context(5, 8), &status()).unwrap()).unwrap();
    assert_eq!(presence.open(&SECRET).unwrap(), status());
    assert_eq!((presence.device(), presence.boot().as_bytes()), (key().public().device_id(), &[5; 16]));
    assert_eq!((presence.counter(), presence.epoch(), presence.head().index), (8, 2, 3));
    assert_eq!(presence.open(&[8; 32]), Err(PresenceError::CannotOpen));
}

#[test]
fn a_status_cannot_be_moved_to_another_counter_boot_or_device() {
    let Presence(body) = presence(5, 8);
    let resign = |key: &SigningKey, body: Body| {
        let body = Bytes(encode(&Body { device: key.public().device_id(), ..body }));
        let bytes = encode(&Signed { signature: key.sign(PRESENCE, &body), body });
        Presence::verify(&bytes, &MESH, &key.public()).unwrap().open(&SECRET)
    };
    assert!(resign(&key(), body.clone()).is_ok());
    let moved = Err(PresenceError::CannotOpen);
    assert_eq!(resign(&key(), Body { counter: 9, ..body.clone() }), moved);
    assert_eq!(resign(&key(), Body { boot: BootId::from_bytes([6; 16]), ..body.clone() }), moved);
    assert_eq!(resign(&SigningKey::from_seed(&[8; 32]), body), moved);
}

#[test]
fn a_presence_of_another_mesh_or_device_is_refused() {
    let bytes = sign(&context(5, 8), &status()).unwrap();
    let other = SigningKey::from_seed(&[8; 32]);
    let elsewhere = MeshId::from_bytes([2; 32]);
    assert_eq!(Presence::verify(&bytes, &elsewhere, &key().public()), Err(PresenceError::WrongMesh));
    assert_eq!(Presence::verify(&bytes, &MESH, &other.public()), Err(PresenceError::BadSignature));
    let signed: Signed = decode(&bytes).unwrap();
    let stolen = encode(&Signed { signature: other.sign(PRESENCE, &signed.body), body: signed.body });
    assert_eq!(Presence::verify(&stolen, &MESH, &other.public()), Err(PresenceError::WrongDevice));
}

#[test]
fn limits_hold_on_both_sides() {
    let with_summary = |len| Status { summary: Some("x".repeat(len)), ..Status::default() };
    assert!(sign(&context(1, 1), &with_summary(MAX_SUMMARY_BYTES)).is_ok());
    assert_eq!(sign(&context(1, 1), &with_summary(MAX_SUMMARY_BYTES + 1)), Err(PresenceError::SummaryTooLong));
    let session = |summary| SessionInfo { summary, ..SessionInfo::default() };
    let long = Status { sessions: alloc::vec![session(Some("x".repeat(281)))], ..Status::default() };
    assert_eq!(sign(&context(1, 1), &long), Err(PresenceError::SummaryTooLong));
    let crowd = |count| Status { sessions: alloc::vec![session(None); count], ..Status::default() };
    assert!(sign(&context(1, 1), &crowd(MAX_SESSIONS)).is_ok());
    assert_eq!(sign(&context(1, 1), &crowd(MAX_SESSIONS + 1)), Err(PresenceError::TooManySessions));
    let large = SessionInfo { cwd: Some("x".repeat(MAX_PRESENCE_BYTES)), ..SessionInfo::default() };
    let large = Status { sessions: alloc::vec![large], ..Status::default() };
    assert_eq!(sign(&context(1, 1), &large), Err(PresenceError::TooLarge));
    assert_eq!(verify(&alloc::vec![0; MAX_PRESENCE_BYTES + 1]), Err(PresenceError::TooLarge));

    let long = StatusBody { activity: Activity::Idle, summary: Some("x".repeat(281)), sessions: List::new() };
    assert_eq!(Status::from_bytes(&encode(&long)), Err(PresenceError::SummaryTooLong));
    assert_eq!(Status::from_bytes(&[0xa2, 0, 4, 2, 0x80]), Err(PresenceError::Malformed), "unknown activity");
    assert!(Status::from_bytes(&[0xa2, 0, 3, 2, 0x80]).is_ok());
}

#[test]
fn within_a_boot_only_higher_counters_pass() {
    let mut counter = PresenceCounter::new();
    assert!(counter.accept(&presence(1, 0)));
    assert!(!counter.accept(&presence(1, 0)));
    assert!(counter.accept(&presence(1, 5)));
    assert!(!counter.accept(&presence(1, 4)));
}

#[test]
fn a_new_boot_passes_and_a_past_one_does_not_come_back() {
    let mut counter = PresenceCounter::new();
    assert!(counter.accept(&presence(1, 50)));
    assert!(counter.accept(&presence(2, 1)));
    assert!(!counter.accept(&presence(1, 51)));
    assert!(counter.accept(&presence(2, 2)));
    for boot in 3..100 {
        assert!(counter.accept(&presence(boot, 1)));
    }
    assert_eq!(counter.past.len(), MAX_PAST_BOOTS);
}

proptest! {
    #[test]
    fn damaged_bytes_never_panic_nor_verify(at in 0usize..1000, flip in 1u8..=255) {
        let mut bytes = sign(&context(1, 1), &status()).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        prop_assert!(verify(&bytes).is_err());
    }

    #[test]
    fn damaged_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..120)) {
        let signature = key().sign(PRESENCE, &body);
        let _ = verify(&encode(&Signed { body: Bytes(body.clone()), signature }));
        let _ = Status::from_bytes(&body);
    }
}
