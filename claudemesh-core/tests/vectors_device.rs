//! The vectors of device records and presence.
//!
//! Each file is made here from seeds and compared byte for byte with the stored one; `CLAUDEMESH_WRITE_VECTORS=1` writes it.
//! Then the stored file is replayed as any other implementation would: from its own inputs alone.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside test functions")]

#[path = "vectors_common/stored.rs"]
mod stored;

use claudemesh_core::codec::{HashBytes, encode};
use claudemesh_core::device::{
    DeviceRecord, Prekey, PrekeyId, PrekeyRing, Profile, ProfileError, RecordDraft, RecordError,
};
use claudemesh_core::hash::Label;
use claudemesh_core::presence::{Activity, BootId, Presence, PresenceContext, PresenceError, SessionInfo, Status};
use claudemesh_core::testing::SeededRng;
use claudemesh_core::{MeshId, PrekeySecret, PublicKey, RosterHead, Seconds, SigningKey, codec};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use stored::stored;

const START: Seconds = Seconds(1_750_000_000);
const DAY: u64 = 86_400;
const RECORD_LABEL: Label = Label::new("device-record");
const PRESENCE_LABEL: Label = Label::new("presence");

fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

fn unhex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    unhex(value).try_into().unwrap()
}

fn mesh() -> MeshId {
    MeshId::from_bytes([0x11; 32])
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn head() -> RosterHead {
    RosterHead { index: 300, hash: HashBytes([0x44; 32]) }
}

fn sign_raw(label: Label, body: Vec<u8>) -> Vec<u8> {
    let signature = key(7).sign(label, &body);
    encode(&codec::Signed { body: body.into(), signature })
}

fn body_of(bytes: &[u8]) -> Vec<u8> {
    codec::decode::<codec::Signed>(bytes).unwrap().body.0
}

fn prekey_json(prekey: &Prekey, secret: &[u8; 32]) -> Value {
    json!({
        "id": prekey.id.0,
        "public": hex(prekey.public.as_bytes()),
        "expires": prekey.expires.0,
        "secret": hex(secret),
    })
}

fn head_json(head: &RosterHead) -> Value {
    json!({ "index": head.index, "hash": hex(head.hash.0) })
}

struct RecordCase {
    name: &'static str,
    counter: u64,
    ring: PrekeyRing,
    prekeys: Vec<Prekey>,
    profile: Option<Profile>,
}

fn record_case(case: &RecordCase, rng: &mut SeededRng) -> Value {
    let signer = key(7);
    let device = signer.public().device_id();
    let epoch_secret = [0x66; 32];
    let profile = case.profile.as_ref();
    let sealed = profile.map(|profile| profile.seal(&epoch_secret, &mesh(), &device, case.counter, rng).unwrap());
    let draft =
        RecordDraft { counter: case.counter, prekeys: case.prekeys.clone(), head: head(), profile: sealed.clone() };
    let bytes = DeviceRecord::sign(&signer, &mesh(), &draft).unwrap();
    let record = DeviceRecord::verify(&bytes, &mesh(), &signer.public()).unwrap();
    let latest = case.prekeys.iter().map(|prekey| prekey.expires.0).max().unwrap();
    let choices: Vec<Value> = [START.0, latest, latest + DAY, latest + DAY + 1]
        .into_iter()
        .map(|now| json!({ "now": now, "prekey": record.fresh_prekey(Seconds(now)).map(|prekey| prekey.id.0) }))
        .collect();
    let secret_of = |prekey: &Prekey| {
        let entry = case.ring.entries().iter().find(|entry| entry.public().public == prekey.public).unwrap();
        entry.secret.to_bytes()
    };
    let prekeys: Vec<Value> = case.prekeys.iter().map(|prekey| prekey_json(prekey, &secret_of(prekey))).collect();
    json!({
        "name": case.name,
        "seed": hex(signer.seed()),
        "public": hex(signer.public().as_bytes()),
        "mesh": mesh().to_string(),
        "device": device.to_string(),
        "counter": case.counter,
        "prekeys": prekeys,
        "head": head_json(&head()),
        "profile": profile.map(|profile| json!({
            "epoch_secret": hex(epoch_secret),
            "nonce": hex(&sealed.as_ref().unwrap().as_bytes()[..24]),
            "app_version": profile.app_version,
            "platform": profile.platform,
            "label": profile.label,
        })),
        "choices": choices,
        "bytes": hex(bytes),
    })
}

fn record_error(error: RecordError) -> &'static str {
    match error {
        RecordError::TooLarge => "too_large",
        RecordError::Malformed => "malformed",
        RecordError::BadSignature => "bad_signature",
        RecordError::WrongMesh => "wrong_mesh",
        RecordError::WrongDevice => "wrong_device",
        other => panic!("{other:?} is not about bytes"),
    }
}

/// A body of one prekey `[1, 32 × 0x01, 9]` with these changes, signed by the right device.
fn hand_made_record(change: impl Fn(&mut minicbor::Encoder<Vec<u8>>)) -> Vec<u8> {
    let mut e = minicbor::Encoder::new(Vec::new());
    let device = key(7).public().device_id();
    e.map(5).unwrap().u8(0).unwrap().bytes(mesh().as_bytes()).unwrap();
    e.u8(1).unwrap().bytes(device.as_bytes()).unwrap().u8(2).unwrap().u8(1).unwrap();
    e.u8(3).unwrap();
    change(&mut e);
    e.u8(4).unwrap().array(2).unwrap().u8(0).unwrap().bytes(&[0; 32]).unwrap();
    sign_raw(RECORD_LABEL, e.into_writer())
}

fn prekeys(e: &mut minicbor::Encoder<Vec<u8>>, ids: &[u64]) {
    e.array(ids.len() as u64).unwrap();
    for id in ids {
        e.array(3).unwrap().u64(*id).unwrap().bytes(&[1; 32]).unwrap().u8(9).unwrap();
    }
}

fn prekey_of_four(e: &mut minicbor::Encoder<Vec<u8>>) {
    e.array(1).unwrap().array(4).unwrap().u8(1).unwrap().bytes(&[1; 32]).unwrap().u8(9).unwrap().u8(0).unwrap();
}

fn prekeys_as_number(e: &mut minicbor::Encoder<Vec<u8>>) {
    e.u8(0).unwrap();
}

fn invalid_records(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let edit = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.to_vec();
        edit(&mut bytes);
        bytes
    };
    let elsewhere = MeshId::from_bytes([0x12; 32]);
    let draft = |counter| {
        let mut ring = PrekeyRing::new();
        ring.rotate(START, &mut SeededRng::new(5));
        RecordDraft { counter, prekeys: ring.public(), head: head(), profile: None }
    };
    let other_device = body_of(&DeviceRecord::sign(&key(8), &mesh(), &draft(1)).unwrap());
    let all: Vec<u64> = (1..=17).collect();
    vec![
        ("empty", Vec::new()),
        ("cut short", edit(&|bytes| bytes.truncate(bytes.len() - 1))),
        ("byte after the end", edit(&|bytes| bytes.push(0))),
        ("over 8 KiB", vec![0; 8 * 1024 + 1]),
        ("signature changed", edit(&|bytes| *bytes.last_mut().unwrap() ^= 1)),
        ("body changed", edit(&|bytes| bytes[10] ^= 1)),
        ("signed under the presence label", sign_raw(PRESENCE_LABEL, body_of(good))),
        ("signed by another device", DeviceRecord::sign(&key(8), &mesh(), &draft(1)).unwrap()),
        ("names another device", sign_raw(RECORD_LABEL, other_device)),
        ("of another mesh", DeviceRecord::sign(&key(7), &elsewhere, &draft(1)).unwrap()),
        ("no prekeys", hand_made_record(|e| prekeys(e, &[]))),
        ("two prekeys of one id", hand_made_record(|e| prekeys(e, &[1, 1]))),
        ("seventeen prekeys", hand_made_record(|e| prekeys(e, &all))),
        ("prekey id over 32 bits", hand_made_record(|e| prekeys(e, &[1 << 32]))),
        ("prekey of four items", hand_made_record(prekey_of_four)),
        ("prekeys are no list", hand_made_record(prekeys_as_number)),
        ("body is no map", sign_raw(RECORD_LABEL, vec![0x80])),
        ("required key missing", {
            let mut body = body_of(good);
            assert_eq!(body.split_off(body.len() - 39)[0], 4, "the head, which comes last");
            body[0] -= 1;
            sign_raw(RECORD_LABEL, body)
        }),
        ("byte after the body", sign_raw(RECORD_LABEL, [body_of(good), vec![0]].concat())),
    ]
}

fn device_vectors() -> Value {
    let mut rng = SeededRng::new(400);
    let mut ring = PrekeyRing::new();
    assert!(ring.rotate(START, &mut rng));
    let minimal =
        RecordCase { name: "one prekey, no profile", counter: 1, prekeys: ring.public(), ring, profile: None };

    let mut ring = PrekeyRing::new();
    for day in 0..3 {
        assert!(ring.rotate(START.plus(day * DAY), &mut rng));
    }
    let prekeys = ring.entries().iter().map(|entry| entry.public()).collect();
    let profile =
        Profile { app_version: "0.1.0".into(), platform: "linux-x86_64".into(), label: "Schreibtisch ☕".into() };
    let full =
        RecordCase { name: "three prekeys and a profile", counter: 70_000, prekeys, ring, profile: Some(profile) };

    let mut ring = PrekeyRing::new();
    for day in 0..16 {
        assert!(ring.rotate(START.plus(day * DAY), &mut rng));
    }
    let mut prekeys: Vec<Prekey> = ring.entries().iter().map(|entry| entry.public()).collect();
    for (at, prekey) in prekeys.iter_mut().enumerate() {
        prekey.expires = START.plus(DAY);
        prekey.id = PrekeyId(u32::MAX - at as u32);
    }
    let crowded = RecordCase { name: "sixteen prekeys of one expiry", counter: u64::MAX, prekeys, ring, profile: None };

    let valid: Vec<Value> = [minimal, full, crowded].iter().map(|case| record_case(case, &mut rng)).collect();
    let invalid: Vec<Value> = invalid_records(&unhex(&valid[0]["bytes"]))
        .into_iter()
        .map(|(name, bytes)| {
            let error = DeviceRecord::verify(&bytes, &mesh(), &key(7).public()).unwrap_err();
            let (mesh, public) = (mesh().to_string(), hex(key(7).public().as_bytes()));
            json!({ "name": name, "mesh": mesh, "public": public, "bytes": hex(bytes), "error": record_error(error) })
        })
        .collect();
    json!({
        "description": "Device records (protocol section 4). valid: `bytes` is the record signed with `seed`; prekeys are \
                        listed in their order in the record; `profile` is sealed with `nonce`; `choices` names the prekey \
                        a sender picks at `now`, null for none. invalid: verifying `bytes` for the device with key \
                        `public` in `mesh` fails with `error`.",
        "valid": valid,
        "invalid": invalid,
    })
}

#[test]
fn device_records_match_their_vectors() {
    let vectors = stored("device.json", device_vectors());
    for case in vectors["valid"].as_array().unwrap() {
        let name = &case["name"];
        let bytes = unhex(&case["bytes"]);
        let public = PublicKey::from_bytes(&array(&case["public"])).unwrap();
        assert_eq!(SigningKey::from_seed(&array(&case["seed"])).public(), public, "{name}");
        let record = DeviceRecord::verify(&bytes, &MeshId::from_bytes(array(&case["mesh"])), &public).unwrap();
        assert_eq!(record.device().to_string(), case["device"], "{name}");
        assert_eq!(record.counter(), case["counter"].as_u64().unwrap(), "{name}");
        assert_eq!(head_json(&record.head()), case["head"], "{name}");
        let listed = case["prekeys"].as_array().unwrap();
        assert_eq!(record.prekeys().len(), listed.len(), "{name}");
        for (prekey, listed) in record.prekeys().iter().zip(listed) {
            let secret = array(&listed["secret"]);
            assert_eq!(&prekey_json(prekey, &secret), listed, "{name}");
            assert_eq!(PrekeySecret::from_bytes(secret).public(), prekey.public, "{name}");
        }
        for choice in case["choices"].as_array().unwrap() {
            let chosen = record.fresh_prekey(Seconds(choice["now"].as_u64().unwrap())).map(|prekey| prekey.id.0);
            assert_eq!(json!(chosen), choice["prekey"], "{name}");
        }
        let profile = &case["profile"];
        if profile.is_null() {
            assert_eq!(record.open_profile(&[0; 32]), Ok(None), "{name}");
        } else {
            let opened = record.open_profile(&array(&profile["epoch_secret"])).unwrap().unwrap();
            assert_eq!(opened.app_version, profile["app_version"], "{name}");
            assert_eq!(opened.platform, profile["platform"], "{name}");
            assert_eq!(opened.label, profile["label"], "{name}");
            assert_eq!(record.open_profile(&[0; 32]), Err(ProfileError::CannotOpen), "{name}");
        }
    }
    for case in vectors["invalid"].as_array().unwrap() {
        let public = PublicKey::from_bytes(&array(&case["public"])).unwrap();
        let mesh = MeshId::from_bytes(array(&case["mesh"]));
        let error = DeviceRecord::verify(&unhex(&case["bytes"]), &mesh, &public).unwrap_err();
        assert_eq!(record_error(error), case["error"], "{}", case["name"]);
    }
}

fn session_json(session: &SessionInfo) -> Value {
    json!({
        "id": session.id,
        "name": session.name,
        "cwd": session.cwd,
        "status": session.activity.as_str(),
        "summary": session.summary,
    })
}

fn status_json(status: &Status) -> Value {
    let sessions: Vec<Value> = status.sessions.iter().map(session_json).collect();
    json!({ "status": status.activity.as_str(), "summary": status.summary, "sessions": sessions })
}

const EPOCH_SECRET: [u8; 32] = [0x77; 32];

fn presence_context(counter: u64, epoch: u64) -> PresenceContext {
    PresenceContext { mesh: mesh(), boot: BootId::from_bytes([0x55; 16]), counter, head: head(), epoch }
}

fn presence_case(name: &str, context: &PresenceContext, status: &Status, rng: &mut SeededRng) -> Value {
    let signer = key(7);
    // The nonce is the first thing the seal asks for.
    let mut nonce = [0; 24];
    rand_core::Rng::fill_bytes(&mut rng.clone(), &mut nonce);
    let bytes = Presence::sign(&signer, context, &EPOCH_SECRET, status, rng).unwrap();
    json!({
        "name": name,
        "seed": hex(signer.seed()),
        "public": hex(signer.public().as_bytes()),
        "mesh": context.mesh.to_string(),
        "device": signer.public().device_id().to_string(),
        "boot": hex(context.boot.as_bytes()),
        "counter": context.counter,
        "head": head_json(&context.head),
        "epoch": context.epoch,
        "epoch_secret": hex(EPOCH_SECRET),
        "nonce": hex(nonce),
        "status": status_json(status),
        "bytes": hex(bytes),
    })
}

fn presence_error(error: PresenceError) -> &'static str {
    match error {
        PresenceError::TooLarge => "too_large",
        PresenceError::SummaryTooLong => "summary_too_long",
        PresenceError::Malformed => "malformed",
        PresenceError::BadSignature => "bad_signature",
        PresenceError::WrongMesh => "wrong_mesh",
        PresenceError::WrongDevice => "wrong_device",
        PresenceError::CannotOpen => "cannot_open",
        other => panic!("{other:?} is not about bytes"),
    }
}

/// A presence with this plaintext, padded or not, sealed and signed by the right device.
fn hand_made_presence(padded: &[u8], counter: u64, sealed_counter: u64, rng: &mut SeededRng) -> Vec<u8> {
    use claudemesh_core::seal;
    let (device, boot) = (key(7).public().device_id(), [0x55; 16]);
    let sealing_key = seal::derive(&EPOCH_SECRET, Label::new("presence-key"), &[device.as_bytes()]);
    let bound = [&boot[..], &sealed_counter.to_be_bytes()].concat();
    let sealed = seal::seal(&sealing_key, &bound, padded, rng);
    let mut e = minicbor::Encoder::new(Vec::new());
    e.map(7).unwrap().u8(0).unwrap().bytes(mesh().as_bytes()).unwrap();
    e.u8(1).unwrap().bytes(device.as_bytes()).unwrap().u8(2).unwrap().bytes(&boot).unwrap();
    e.u8(3).unwrap().u64(counter).unwrap().u8(4).unwrap().encode(head()).unwrap();
    e.u8(5).unwrap().u8(1).unwrap().u8(6).unwrap().bytes(&sealed).unwrap();
    sign_raw(PRESENCE_LABEL, e.into_writer())
}

fn invalid_presences(good: &[u8], rng: &mut SeededRng) -> Vec<(&'static str, Vec<u8>)> {
    use claudemesh_core::seal::pad;
    let edit = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.to_vec();
        edit(&mut bytes);
        bytes
    };
    let sign = |signer: &SigningKey, context: &PresenceContext, secret: &[u8; 32], rng: &mut SeededRng| {
        Presence::sign(signer, context, secret, &Status::default(), rng).unwrap()
    };
    let idle = [0xa2, 0, 0, 2, 0x80];
    let mut long = vec![0xa3, 0, 0, 1, 0x79, 1, 25];
    long.extend([b'x'; 281]);
    long.extend([2, 0x80]);
    let mut dirty = pad(&idle).to_vec();
    *dirty.last_mut().unwrap() = 1;
    let elsewhere = PresenceContext { mesh: MeshId::from_bytes([0x12; 32]), ..presence_context(1, 1) };
    let by_other = sign(&key(8), &presence_context(1, 1), &EPOCH_SECRET, rng);
    vec![
        ("empty", Vec::new()),
        ("cut short", edit(&|bytes| bytes.truncate(bytes.len() - 1))),
        ("byte after the end", edit(&|bytes| bytes.push(0))),
        ("over 8 KiB", vec![0; 8 * 1024 + 1]),
        ("signature changed", edit(&|bytes| *bytes.last_mut().unwrap() ^= 1)),
        ("signed under the device record label", sign_raw(RECORD_LABEL, body_of(good))),
        ("names another device", sign_raw(PRESENCE_LABEL, body_of(&by_other))),
        ("signed by another device", by_other),
        ("of another mesh", sign(&key(7), &elsewhere, &EPOCH_SECRET, rng)),
        ("sealed under another secret", sign(&key(7), &presence_context(1, 1), &[0x78; 32], rng)),
        ("sealed for another counter", hand_made_presence(&pad(&idle), 2, 1, rng)),
        ("not padded", hand_made_presence(&idle, 1, 1, rng)),
        ("padding not zero", hand_made_presence(&dirty, 1, 1, rng)),
        ("status over its numbers", hand_made_presence(&pad(&[0xa2, 0, 4, 2, 0x80]), 1, 1, rng)),
        ("status without sessions", hand_made_presence(&pad(&[0xa1, 0, 0]), 1, 1, rng)),
        ("summary of 281 bytes", hand_made_presence(&pad(&long), 1, 1, rng)),
    ]
}

fn verify_and_open(
    bytes: &[u8],
    mesh: &MeshId,
    public: &PublicKey,
    secret: &[u8; 32],
) -> Result<Status, PresenceError> {
    Presence::verify(bytes, mesh, public)?.open(secret)
}

fn presence_vectors() -> Value {
    let mut rng = SeededRng::new(800);
    let busy = Status {
        activity: Activity::Working,
        summary: Some("Übersetzt die Handbücher".into()),
        sessions: vec![
            SessionInfo {
                id: "0197a0d4-5d7c-7b52-8a39-0c1f4b7e9d10".into(),
                name: Some("main".into()),
                cwd: Some("/home/ada/books".into()),
                activity: Activity::Blocked,
                summary: Some("waits for a review".into()),
            },
            SessionInfo { id: "2".into(), activity: Activity::DoNotDisturb, ..SessionInfo::default() },
        ],
    };
    let long = Status { summary: Some("x".repeat(280)), ..Status::default() };
    let valid = vec![
        presence_case("idle, nothing else", &presence_context(0, 1), &Status::default(), &mut rng),
        presence_case("working with two sessions", &presence_context(70_000, 12), &busy, &mut rng),
        presence_case("longest summary, highest numbers", &presence_context(u64::MAX, u64::MAX), &long, &mut rng),
    ];
    let invalid: Vec<Value> = invalid_presences(&unhex(&valid[0]["bytes"]), &mut rng)
        .into_iter()
        .map(|(name, bytes)| {
            let error = verify_and_open(&bytes, &mesh(), &key(7).public(), &EPOCH_SECRET).unwrap_err();
            json!({
                "name": name,
                "mesh": mesh().to_string(),
                "public": hex(key(7).public().as_bytes()),
                "epoch_secret": hex(EPOCH_SECRET),
                "bytes": hex(bytes),
                "error": presence_error(error),
            })
        })
        .collect();
    json!({
        "description": "Presence (protocol section 9). valid: `bytes` is `status` sealed with `epoch_secret` and `nonce`, \
                        signed with `seed`. invalid: verifying `bytes` for the device with key `public` in `mesh`, then \
                        opening with `epoch_secret`, fails with `error`.",
        "valid": valid,
        "invalid": invalid,
    })
}

#[test]
fn presences_match_their_vectors() {
    let vectors = stored("presence.json", presence_vectors());
    for case in vectors["valid"].as_array().unwrap() {
        let name = &case["name"];
        let public = PublicKey::from_bytes(&array(&case["public"])).unwrap();
        let mesh = MeshId::from_bytes(array(&case["mesh"]));
        let presence = Presence::verify(&unhex(&case["bytes"]), &mesh, &public).unwrap();
        assert_eq!(presence.device().to_string(), case["device"], "{name}");
        assert_eq!(hex(presence.boot().as_bytes()), case["boot"], "{name}");
        assert_eq!(presence.counter(), case["counter"].as_u64().unwrap(), "{name}");
        assert_eq!(presence.epoch(), case["epoch"].as_u64().unwrap(), "{name}");
        assert_eq!(head_json(&presence.head()), case["head"], "{name}");
        assert_eq!(status_json(&presence.open(&array(&case["epoch_secret"])).unwrap()), case["status"], "{name}");
    }
    for case in vectors["invalid"].as_array().unwrap() {
        let public = PublicKey::from_bytes(&array(&case["public"])).unwrap();
        let mesh = MeshId::from_bytes(array(&case["mesh"]));
        let secret = array(&case["epoch_secret"]);
        let error = verify_and_open(&unhex(&case["bytes"]), &mesh, &public, &secret).unwrap_err();
        assert_eq!(presence_error(error), case["error"], "{}", case["name"]);
    }
}
