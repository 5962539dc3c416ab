//! Envelopes that were moved, mixed, damaged or signed by a lying sender.

use proptest::prelude::*;

use super::*;
use crate::hash::sha256;
use crate::merkle::Tree;
use crate::seal;

/// An envelope to peer 0 built by hand, with everything a lying sender may choose.
struct Forged {
    header: Vec<u8>,
    record: Record,
    commitment: Hash,
    body: Vec<u8>,
}

impl World {
    fn forge(&mut self, padded: &[u8]) -> Forged {
        let draft = self.draft(&[0], "-");
        let header = codec::encode(&draft.header);
        let h = header_hash(&header);
        let secret = [6; 32];
        let to = &draft.recipients[0];
        let info = wrap_info(&MESH, &draft.header.sender, &to.device, to.prekey_id);
        let wrap = to.prekey.wrap(&info, &secret, &mut self.rng).unwrap();
        let record = Record { recipient: to.device, prekey_id: to.prekey_id, lane: to.lane, seq: to.seq, wrap };
        let commitment = *seal::derive(&secret, COMMITMENT, &[&h]);
        let body = seal::seal(&seal::derive(&secret, BODY, &[&h]), &h, padded, &mut self.rng);
        Forged { header, record, commitment, body }
    }

    /// Signs a forged envelope and returns its delivery.
    fn sign(&self, forged: Forged) -> Vec<u8> {
        let record = codec::encode(&forged.record);
        self.sign_raw(forged, record)
    }

    fn sign_raw(&self, Forged { header, commitment, body, .. }: Forged, record: Vec<u8>) -> Vec<u8> {
        let root = Tree::new([&record[..]]).unwrap().root();
        let hash = envelope_hash(&header_hash(&header), &root, &commitment, &sha256(&body));
        let signature = self.key.sign(FLUSH, &Tree::new([&hash[..]]).unwrap().root());
        let flush = codec::encode(&Flush { signature, index: 0, count: 1, path: vec![] }).into();
        let body_hash = HashBytes(sha256(&body));
        let commitment = HashBytes(commitment);
        let stored = StoredEnvelope { header: header.into(), commitment, body: body.into(), body_hash, flush };
        Delivery::assemble(&stored, &record, &MemberOf { index: 0, count: 1, path: vec![] })
    }
}

fn padded(text: &str) -> Vec<u8> {
    seal::pad(&text_content(text).encode().unwrap()).to_vec()
}

#[test]
fn the_forge_is_sound() {
    let mut world = world();
    let forged = world.forge(&padded("sound"));
    let delivery = world.sign(forged);
    assert_eq!(world.open(&delivery, 0).unwrap(), text_content("sound"));
}

#[test]
fn signed_but_unreadable_bodies_give_one_error() {
    let dirty = |at: usize| {
        let mut padded = padded("x");
        padded[at] ^= 1;
        padded
    };
    // A shorter length makes the last byte of the content padding.
    let mut short = padded("x");
    short[3] -= 1;
    type Spoil = fn(&mut Forged);
    let none: Spoil = |_| ();
    let cases: [(&str, Vec<u8>, Spoil); 8] = [
        ("padding dirt", dirty(255), none),
        ("length", short, none),
        ("no bucket", padded("x")[..200].iter().copied().chain([0; 100]).collect(), none),
        ("commitment", padded("x"), |f| f.commitment[0] ^= 1),
        ("body", padded("x"), |f| f.body[100] ^= 1),
        ("wrap", padded("x"), |f| f.record.wrap[50] ^= 1),
        ("encapsulated key", padded("x"), |f| f.record.wrap[..32].fill(0)),
        ("prekey id", padded("x"), |f| f.record.prekey_id += 1),
    ];
    for (name, padded, spoil) in cases {
        let mut world = world();
        let mut forged = world.forge(&padded);
        spoil(&mut forged);
        let delivery = world.sign(forged);
        assert_eq!(world.open(&delivery, 0), Err(OpenError::Unreadable), "{name}");
    }
}

#[test]
fn a_wrap_made_for_another_record_does_not_open() {
    let mut world = world();
    // The sender names peer 1, the key was wrapped for peer 0 under its name.
    let mut forged = world.forge(&padded("x"));
    forged.record.recipient = world.peers[1].device;
    let delivery = world.sign(forged);
    assert_eq!(world.open(&delivery, 0), Err(OpenError::Unreadable));
    // Another mesh in the header, the wrap from this one.
    let mut forged = world.forge(&padded("x"));
    let mut header: Header = codec::decode(&forged.header).unwrap();
    header.mesh = MeshId::from_bytes([1; 32]);
    forged.header = codec::encode(&header);
    let delivery = Delivery::decode(&world.sign(forged)).unwrap();
    let key = world.key.public();
    assert_eq!(delivery.clone().verify(&key, &MESH, &mut FlushCache::new()).unwrap_err(), EnvelopeError::WrongMesh);
    let verified = delivery.verify(&key, &header.mesh, &mut FlushCache::new()).unwrap();
    assert_eq!(verified.open(&world.peers[0].prekey, &mut UnwrapCache::new()), Err(OpenError::Unreadable));
}

#[test]
fn bytes_that_open_to_no_content_are_malformed() {
    let good = text_content("text").encode().unwrap().to_vec();
    let at = good.windows(4).position(|window| window == b"text").unwrap();
    let mut not_utf8 = good.clone();
    not_utf8[at] = 0xff;
    let mut empty_text = good[..at].to_vec();
    *empty_text.last_mut().unwrap() = 0x40;
    let mut priority = good.clone();
    let sent_at = good.windows(2).position(|window| window == [5, 1]).unwrap();
    priority[sent_at + 1] = 3;
    let mut twice = good.clone();
    twice[0] += 1;
    twice.extend_from_slice(&[7, 0]);
    let mut trailing = good.clone();
    trailing.push(0);
    let claim_of_text = {
        let mut content = good.clone();
        content[2] = 1;
        content
    };
    let cases = [vec![], vec![0xa0], not_utf8, empty_text, priority, twice, trailing, claim_of_text];
    for (index, bytes) in cases.iter().enumerate() {
        let mut world = world();
        let forged = world.forge(&seal::pad(bytes));
        let delivery = world.sign(forged);
        assert_eq!(world.open(&delivery, 0), Err(OpenError::Malformed), "case {index}");
    }
}

#[test]
fn unknown_keys_are_signed_and_ignored() {
    let mut world = world();
    let mut forged = world.forge(&padded("x"));
    forged.header[0] += 1;
    forged.header.extend_from_slice(&[0x18, 40, 0x61, b'?']);
    let delivery = world.sign(forged);
    assert_eq!(world.verify(&delivery).unwrap().header().mesh, MESH);
}

#[test]
fn sizes_are_checked_before_signatures() {
    type Spoil = fn(&mut Forged);
    let cases: [(EnvelopeError, Spoil); 5] = [
        (EnvelopeError::Size, |f| f.body.truncate(MIN_BODY - 1)),
        (EnvelopeError::Size, |f| f.body.resize(MAX_BODY + 1, 0)),
        (EnvelopeError::Size, |f| f.header.resize(MAX_HEADER + 1, 0)),
        (EnvelopeError::Malformed, |f| f.record.seq = 0),
        (EnvelopeError::Malformed, |f| f.header[2] = 2),
    ];
    for (index, (error, spoil)) in cases.into_iter().enumerate() {
        let mut world = world();
        let mut forged = world.forge(&padded("x"));
        spoil(&mut forged);
        assert_eq!(world.verify(&world.sign(forged)).unwrap_err(), error, "case {index}");
    }
    let mut world = world();
    let forged = world.forge(&padded("x"));
    let long = vec![0; MAX_RECORD + 1];
    assert_eq!(world.verify(&world.sign_raw(forged, long)).unwrap_err(), EnvelopeError::Size);
    let forged = world.forge(&padded("x"));
    let mut lane = codec::encode(&forged.record);
    lane[1 + 34 + 2] = 4;
    assert_eq!(world.verify(&world.sign_raw(forged, lane)).unwrap_err(), EnvelopeError::Malformed);
}

#[test]
fn only_the_senders_key_verifies() {
    let mut world = world();
    let delivery = Delivery::decode(&world.deliveries(&[0], "x")[0]).unwrap();
    let other = SigningKey::from_seed(&[9; 32]).public();
    assert_eq!(delivery.clone().verify(&other, &MESH, &mut FlushCache::new()).unwrap_err(), EnvelopeError::WrongSender);
    // A sender that names another device and signs itself.
    let mut forged = world.forge(&padded("x"));
    let mut header: Header = codec::decode(&forged.header).unwrap();
    header.sender = other.device_id();
    forged.header = codec::encode(&header);
    let forged = Delivery::decode(&world.sign(forged)).unwrap();
    let key = world.key.public();
    assert_eq!(forged.clone().verify(&key, &MESH, &mut FlushCache::new()).unwrap_err(), EnvelopeError::WrongSender);
    assert_eq!(forged.verify(&other, &MESH, &mut FlushCache::new()).unwrap_err(), EnvelopeError::BadSignature);
}

#[test]
fn parts_of_two_envelopes_do_not_mix() {
    let mut world = world();
    let drafts = [world.draft(&[0, 1], "one"), world.draft(&[0, 1], "two")];
    let sealed = world.seal(&drafts);
    let mut flushes = FlushCache::new();
    let key = world.key.public();
    // The flush is known, so only the hashes stand between a mixture and its acceptance.
    for submission in &sealed {
        for delivery in deliveries_of(submission) {
            Delivery::decode(&delivery).unwrap().verify(&key, &MESH, &mut flushes).unwrap();
        }
    }
    let (mine, my_records) = sealed[0].clone().parse().unwrap().into_parts();
    let (other, other_records) = sealed[1].clone().parse().unwrap().into_parts();
    let mixtures = [
        (StoredEnvelope { header: other.header.clone(), ..mine.clone() }, &my_records[0], &my_records[0]),
        (StoredEnvelope { body: other.body.clone(), ..mine.clone() }, &my_records[0], &my_records[0]),
        (StoredEnvelope { commitment: other.commitment, ..mine.clone() }, &my_records[0], &my_records[0]),
        (StoredEnvelope { flush: other.flush.clone(), ..mine.clone() }, &my_records[0], &my_records[0]),
        (mine.clone(), &other_records[0], &my_records[0]),
        (mine.clone(), &my_records[1], &my_records[0]),
        (mine.clone(), &my_records[0], &my_records[1]),
        (mine.clone(), &my_records[0], &other_records[0]),
    ];
    for (index, (stored, record, place)) in mixtures.iter().enumerate() {
        let bytes = Delivery::assemble(stored, &record.bytes, &place.member_of);
        let refused = Delivery::decode(&bytes).unwrap().verify(&key, &MESH, &mut flushes).unwrap_err();
        assert_eq!(refused, EnvelopeError::BadSignature, "case {index}");
    }
}

#[test]
fn paths_and_places_must_fit() {
    let mut world = world();
    let drafts: Vec<Draft> = (0..5).map(|_| world.draft(&[0, 1, 2], "x")).collect();
    let sealed = world.seal(&drafts);
    let (stored, records) = sealed[2].clone().parse().unwrap().into_parts();
    let flush = &sealed[2].flush;
    let flushes = [
        Flush { index: 3, ..flush.clone() },
        Flush { path: flush.path[1..].to_vec(), ..flush.clone() },
        Flush { path: vec![[0; 32]; 3], ..flush.clone() },
        Flush { signature: crate::key::Signature::from_bytes([0; 64]), ..flush.clone() },
    ];
    for flush in flushes {
        let stored = StoredEnvelope { flush: codec::encode(&flush).into(), ..stored.clone() };
        let bytes = Delivery::assemble(&stored, &records[0].bytes, &records[0].member_of);
        assert_eq!(world.verify(&bytes).unwrap_err(), EnvelopeError::BadSignature);
    }
    let out_of_bounds = [
        Flush { index: 5, ..flush.clone() },
        Flush { count: 65, ..flush.clone() },
        Flush { path: vec![[0; 32]; 7], ..flush.clone() },
        Flush { index: 0, count: 0, ..flush.clone() },
    ];
    for flush in out_of_bounds {
        let stored = StoredEnvelope { flush: codec::encode(&flush).into(), ..stored.clone() };
        let bytes = Delivery::assemble(&stored, &records[0].bytes, &records[0].member_of);
        assert_eq!(world.verify(&bytes).unwrap_err(), EnvelopeError::Malformed);
    }
    let place = &records[0].member_of;
    let places = [
        (EnvelopeError::BadSignature, MemberOf { index: 1, ..place.clone() }),
        (EnvelopeError::BadSignature, MemberOf { path: vec![], ..place.clone() }),
        (EnvelopeError::Malformed, MemberOf { index: 3, ..place.clone() }),
        (EnvelopeError::Malformed, MemberOf { count: 513, ..place.clone() }),
        (EnvelopeError::Malformed, MemberOf { path: vec![[0; 32]; 10], ..place.clone() }),
    ];
    for (error, place) in places {
        let bytes = Delivery::assemble(&stored, &records[0].bytes, &place);
        assert_eq!(world.verify(&bytes).unwrap_err(), error, "{place:?}");
    }
}

#[test]
fn a_submission_needs_records_and_bounds() {
    let mut world = world();
    let draft = world.draft(&[0], "x");
    let good = world.seal(&[draft]).remove(0);
    let records = |count: usize| Submission { records: vec![good.records[0].clone(); count], ..good.clone() };
    assert!(Submission::decode(&records(0).encode()).is_err());
    assert!(Submission::decode(&records(MAX_RECIPIENTS).encode()).unwrap().parse().is_ok());
    assert!(Submission::decode(&records(MAX_RECIPIENTS + 1).encode()).is_err());
    assert_eq!(records(0).parse().unwrap_err(), EnvelopeError::Size);
    assert_eq!(records(MAX_RECIPIENTS + 1).parse().unwrap_err(), EnvelopeError::Size);
    let spoiled = [
        (EnvelopeError::Size, Submission { body: vec![0; MIN_BODY - 1].into(), ..good.clone() }),
        (EnvelopeError::Size, Submission { body: vec![0; MAX_BODY + 1].into(), ..good.clone() }),
        (EnvelopeError::Size, Submission { header: vec![0; MAX_HEADER + 1].into(), ..good.clone() }),
        (EnvelopeError::Malformed, Submission { header: vec![0xa0].into(), ..good.clone() }),
        (EnvelopeError::Malformed, Submission { records: vec![vec![0x80].into()], ..good.clone() }),
    ];
    for (error, submission) in spoiled {
        assert_eq!(submission.parse().unwrap_err(), error);
    }
}

#[test]
fn the_flush_cache_is_bounded_and_trusts_no_other_signature() {
    let mut world = world();
    let mut flushes = FlushCache::new();
    for _ in 0..1025 {
        let delivery = world.deliveries(&[0], "x").remove(0);
        Delivery::decode(&delivery).unwrap().verify(&world.key.public(), &MESH, &mut flushes).unwrap();
    }
    assert_eq!(flushes.len(), 1024);
    let draft = world.draft(&[0], "x");
    let mut submission = world.seal(&[draft]).remove(0);
    submission.clone().parse().unwrap().verify(&world.key.public(), &MESH, &mut flushes).unwrap();
    submission.flush.signature = crate::key::Signature::from_bytes([1; 64]);
    let verified = submission.parse().unwrap().verify(&world.key.public(), &MESH, &mut flushes);
    assert_eq!(verified, Err(EnvelopeError::BadSignature));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn damaged_deliveries_never_panic_and_never_verify(at in any::<prop::sample::Index>(), value in 1u8..) {
        let mut world = world();
        let good = world.deliveries(&[0], "intact").remove(0);
        let mut damaged = good.clone();
        damaged[at.index(good.len())] ^= value;
        prop_assert!(world.verify(&damaged).is_err());
        prop_assert!(world.verify(&good[..at.index(good.len())]).is_err());
        damaged = good;
        damaged.insert(at.index(damaged.len()), value);
        prop_assert!(world.verify(&damaged).is_err());
    }

    #[test]
    fn damaged_submissions_never_panic_and_never_verify(at in any::<prop::sample::Index>(), value in 1u8..) {
        let mut world = world();
        let draft = world.draft(&[0, 1], "intact");
        let mut bytes = world.seal(&[draft]).remove(0).encode();
        let at = at.index(bytes.len());
        bytes[at] ^= value;
        let parsed = Submission::decode(&bytes).map_err(EnvelopeError::from).and_then(Submission::parse);
        let verified = parsed.and_then(|p| p.verify(&world.key.public(), &MESH, &mut FlushCache::new()));
        prop_assert!(verified.is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Delivery::decode(&bytes);
        let _ = Submission::decode(&bytes).map(Submission::parse);
        let _ = Content::decode(&bytes);
        let _ = codec::decode::<Proof>(&bytes);
        let _ = StoredEnvelope::decode(&bytes);
    }

    #[test]
    fn damaged_contents_never_panic(at in any::<prop::sample::Index>(), value in 1u8..) {
        let mut bytes = text_content("some text").encode().unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= value;
        if let Ok(content) = Content::decode(&bytes) {
            prop_assert!(content.check().is_ok());
        }
    }
}
