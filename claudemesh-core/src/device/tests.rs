use alloc::string::ToString;

use proptest::prelude::*;

use super::*;
use crate::codec::HashBytes;
use crate::key::{PrekeyPublic, Signature};
use crate::testing::SeededRng;

const MESH: MeshId = MeshId::from_bytes([1; 32]);
const EPOCH_SECRET: [u8; 32] = [9; 32];
const DAY: u64 = 86_400;

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn prekey(id: u32, expires: u64) -> Prekey {
    Prekey { id: PrekeyId(id), public: PrekeyPublic::from_bytes([id as u8; 32]), expires: Seconds(expires) }
}

fn draft(counter: u64, prekeys: Vec<Prekey>) -> RecordDraft {
    RecordDraft { counter, prekeys, head: RosterHead { index: 3, hash: HashBytes([4; 32]) }, profile: None }
}

fn record(counter: u64, prekeys: Vec<Prekey>) -> DeviceRecord {
    let bytes = DeviceRecord::sign(&key(), &MESH, &draft(counter, prekeys)).unwrap();
    DeviceRecord::verify(&bytes, &MESH, &key().public()).unwrap()
}

fn sign_raw(body: Vec<u8>) -> Vec<u8> {
    let signature = key().sign(RECORD, &body);
    encode(&Signed { body: Bytes(body), signature })
}

fn verify(bytes: &[u8]) -> Result<DeviceRecord, RecordError> {
    DeviceRecord::verify(bytes, &MESH, &key().public())
}

#[test]
fn a_signed_record_verifies_and_keeps_its_bytes() {
    let bytes = DeviceRecord::sign(&key(), &MESH, &draft(5, alloc::vec![prekey(1, 100)])).unwrap();
    let record = verify(&bytes).unwrap();
    assert_eq!(record.as_bytes(), bytes);
    assert_eq!((record.mesh(), record.device(), record.counter()), (MESH, key().public().device_id(), 5));
    assert_eq!(record.prekeys(), [prekey(1, 100)]);
    assert_eq!(record.prekey(PrekeyId(1)), Some(&prekey(1, 100)));
    assert_eq!((record.head().index, record.prekey(PrekeyId(2))), (3, None));
    assert_eq!(DeviceRecord::claimed_device(&bytes), Ok(record.device()));
    assert_eq!(record.open_profile(&EPOCH_SECRET), Ok(None));
}

#[test]
fn a_record_of_another_mesh_or_device_is_refused() {
    let bytes = DeviceRecord::sign(&key(), &MESH, &draft(1, alloc::vec![prekey(1, 100)])).unwrap();
    let other = SigningKey::from_seed(&[8; 32]);
    let elsewhere = MeshId::from_bytes([2; 32]);
    assert_eq!(DeviceRecord::verify(&bytes, &elsewhere, &key().public()), Err(RecordError::WrongMesh));
    assert_eq!(DeviceRecord::verify(&bytes, &MESH, &other.public()), Err(RecordError::BadSignature));
    let signed: Signed = decode(&bytes).unwrap();
    let stolen = encode(&Signed { signature: other.sign(RECORD, &signed.body), body: signed.body });
    assert_eq!(DeviceRecord::verify(&stolen, &MESH, &other.public()), Err(RecordError::WrongDevice));
}

#[test]
fn a_signature_under_another_label_is_refused() {
    let bytes = DeviceRecord::sign(&key(), &MESH, &draft(1, alloc::vec![prekey(1, 100)])).unwrap();
    let signed: Signed = decode(&bytes).unwrap();
    let presence = encode(&Signed { signature: key().sign(Label::new("presence"), &signed.body), body: signed.body });
    assert_eq!(verify(&presence), Err(RecordError::BadSignature));
}

#[test]
fn prekeys_are_one_to_sixteen_with_ids_of_their_own() {
    let many = |count: u32| (1..=count).map(|id| prekey(id, 100)).collect::<Vec<_>>();
    assert!(DeviceRecord::sign(&key(), &MESH, &draft(1, many(16))).is_ok());
    for bad in [many(0), many(17), alloc::vec![prekey(1, 100), prekey(1, 200)]] {
        assert_eq!(DeviceRecord::sign(&key(), &MESH, &draft(1, bad)), Err(RecordError::Prekeys));
    }
    let raw = |prekeys: Vec<Prekey>| {
        let head = RosterHead { index: 0, hash: HashBytes([0; 32]) };
        let prekeys = List::from_vec(prekeys).unwrap();
        let device = key().public().device_id();
        sign_raw(encode(&Body { mesh: MESH, device, counter: 1, prekeys, head, profile: None }))
    };
    assert_eq!(verify(&raw(many(0))), Err(RecordError::Malformed));
    assert_eq!(verify(&raw(alloc::vec![prekey(1, 100), prekey(1, 200)])), Err(RecordError::Malformed));
}

#[test]
fn a_large_record_is_refused_before_it_is_read() {
    assert_eq!(verify(&alloc::vec![0; MAX_RECORD_BYTES + 1]), Err(RecordError::TooLarge));
    assert_eq!(DeviceRecord::claimed_device(&alloc::vec![0; MAX_RECORD_BYTES + 1]), Err(RecordError::TooLarge));
}

#[test]
fn unknown_keys_are_signed_and_ignored() {
    let signed: Signed = decode(record(1, alloc::vec![prekey(1, 100)]).as_bytes()).unwrap();
    let mut body = signed.body.0;
    assert_eq!(body[0], 0xa5, "a map of five");
    body[0] = 0xa6;
    body.extend([0x18, 40, 0xf5]);
    assert!(verify(&sign_raw(body)).is_ok());
}

#[test]
fn the_freshest_prekey_is_chosen_within_a_day_of_its_expiry() {
    let record = record(1, alloc::vec![prekey(1, 1000), prekey(3, 2000), prekey(2, 2000)]);
    let chosen = |now| record.fresh_prekey(Seconds(now)).map(|prekey| prekey.id.0);
    assert_eq!(chosen(0), Some(3));
    assert_eq!(chosen(2000 + DAY), Some(3));
    assert_eq!(chosen(2001 + DAY), None);
}

#[test]
fn a_slot_never_goes_back() {
    let mut slot = RecordSlot::new();
    let old = record(1, alloc::vec![prekey(1, 100)]);
    let new = record(2, alloc::vec![prekey(2, 200)]);
    assert_eq!(slot.offer(old.clone()), Ok(true));
    assert_eq!(slot.offer(new.clone()), Ok(true));
    assert_eq!(slot.offer(new.clone()), Ok(false));
    assert_eq!(slot.offer(old), Err(RecordError::Stale));
    assert_eq!(slot.offer(record(2, alloc::vec![prekey(3, 200)])), Err(RecordError::Conflict));
    let other = SigningKey::from_seed(&[8; 32]);
    let bytes = DeviceRecord::sign(&other, &MESH, &draft(9, alloc::vec![prekey(1, 100)])).unwrap();
    let foreign = DeviceRecord::verify(&bytes, &MESH, &other.public()).unwrap();
    assert_eq!(slot.offer(foreign), Err(RecordError::WrongDevice));
    assert_eq!(slot.get(), Some(&new));
}

#[test]
fn wrapping_encoded_another_way_is_no_conflict() {
    let record = record(1, alloc::vec![prekey(1, 100)]);
    // The same body and signature, with the array's length in two bytes instead of one.
    let long = [&[0x98, 2], &record.as_bytes()[1..]].concat();
    let mut slot = RecordSlot::from(record);
    if let Ok(same) = verify(&long) {
        assert_eq!(slot.offer(same), Ok(false));
    }
}

#[test]
fn a_profile_opens_only_with_its_secret_in_its_record() {
    let profile = Profile { app_version: "1.0".to_string(), platform: "linux".to_string(), label: "desk".to_string() };
    let device = key().public().device_id();
    let sealed = profile.seal(&EPOCH_SECRET, &MESH, &device, 5, &mut SeededRng::new(1)).unwrap();
    let publish = |counter| {
        let draft = RecordDraft { profile: Some(sealed.clone()), ..draft(counter, alloc::vec![prekey(1, 100)]) };
        verify(&DeviceRecord::sign(&key(), &MESH, &draft).unwrap()).unwrap()
    };
    assert_eq!(publish(5).open_profile(&EPOCH_SECRET), Ok(Some(profile)));
    assert_eq!(publish(5).open_profile(&[8; 32]), Err(ProfileError::CannotOpen));
    assert_eq!(publish(6).open_profile(&EPOCH_SECRET), Err(ProfileError::CannotOpen));
}

#[test]
fn a_profile_with_a_long_text_is_not_sealed() {
    let seal = |len| {
        let profile = Profile { label: "x".repeat(len), ..Profile::default() };
        profile.seal(&EPOCH_SECRET, &MESH, &DeviceId::from_bytes([0; 32]), 1, &mut SeededRng::new(1))
    };
    assert!(seal(MAX_PROFILE_TEXT).is_ok());
    assert_eq!(seal(MAX_PROFILE_TEXT + 1), Err(ProfileError::TooLong));
}

proptest! {
    #[test]
    fn damaged_bytes_never_panic_nor_verify(at in 0usize..200, flip in 1u8..=255) {
        let mut bytes = record(1, alloc::vec![prekey(1, 100)]).as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        let _ = DeviceRecord::claimed_device(&bytes);
        prop_assert!(verify(&bytes).is_err());
    }

    #[test]
    fn damaged_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = verify(&sign_raw(body.clone()));
        let _ = DeviceRecord::claimed_device(&encode(&Signed { body: Bytes(body), signature: Signature::from_bytes([0; 64]) }));
    }
}
