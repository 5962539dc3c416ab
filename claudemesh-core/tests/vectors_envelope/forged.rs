//! Envelopes that are refused: forged, changed, malformed.

use claudemesh_core::codec::{self, HashBytes};
use claudemesh_core::envelope::{
    Delivery, Draft, EnvelopeError, Flush, FlushCache, Header, MemberOf, OpenError, Proof, Record, StoredEnvelope,
    StoredRecord, Submission, UnwrapCache, WrapCache, seal_flush,
};
use claudemesh_core::hash::{Hash, Label, sha256};
use claudemesh_core::merkle::Tree;
use claudemesh_core::testing::SeededRng;
use claudemesh_core::{DeviceId, MeshId, PrekeySecret, PublicKey, SigningKey, seal};
use serde_json::{Value, json};

use super::envelopes::{NOW, draft, envelope_hash, peer};
use super::{cbor, edit, hex, key, mesh};

/// An envelope to recipient 0 built by hand, with everything a lying sender may choose.
#[derive(Clone)]
struct Forged {
    header: Vec<u8>,
    record: Vec<u8>,
    commitment: Hash,
    body: Vec<u8>,
    label: Label,
}

impl Forged {
    fn new(padded: &[u8], rng: &mut SeededRng) -> Self {
        let Draft { header, recipients, .. } = draft("-", &[0], rng);
        let to = &recipients[0];
        let bytes = codec::encode(&header);
        let h = Label::new("header").hash(&[&bytes]);
        let secret = [0x22; 32];
        let prekey_id = to.prekey_id.to_be_bytes();
        let bound = [&header.mesh.as_bytes()[..], header.sender.as_bytes(), to.device.as_bytes(), &prekey_id];
        let wrap = to.prekey.wrap(&Label::new("wrap").concat(&bound), &secret, rng).unwrap();
        let record = Record { recipient: to.device, prekey_id: to.prekey_id, lane: to.lane, seq: to.seq, wrap };
        let commitment = *seal::derive(&secret, Label::new("commitment"), &[&h]);
        let body = seal::seal(&seal::derive(&secret, Label::new("body"), &[&h]), &h, padded, rng);
        Self { header: bytes, record: codec::encode(&record), commitment, body, label: Label::new("flush") }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn with_record(self, change: impl FnOnce(&mut Record)) -> Self {
        self.with(|forged| {
            let mut record: Record = codec::decode(&forged.record).unwrap();
            change(&mut record);
            forged.record = codec::encode(&record);
        })
    }

    fn with_header(self, change: impl FnOnce(&mut Header)) -> Self {
        self.with(|forged| {
            let mut header: Header = codec::decode(&forged.header).unwrap();
            change(&mut header);
            forged.header = codec::encode(&header);
        })
    }

    /// The delivery, signed by the device with `signer`; the flush after `change`.
    fn deliver(&self, signer: &SigningKey, change: impl FnOnce(&mut Flush)) -> Vec<u8> {
        let root = Tree::new([&self.record[..]]).unwrap().root();
        let hash = envelope_hash(&self.header, &root, &self.commitment, &self.body);
        let signature = signer.sign(self.label, &Tree::new([&hash[..]]).unwrap().root());
        let mut flush = Flush { signature, index: 0, count: 1, path: Vec::new() };
        change(&mut flush);
        let stored = StoredEnvelope {
            header: self.header.clone().into(),
            commitment: HashBytes(self.commitment),
            body: self.body.clone().into(),
            body_hash: HashBytes(sha256(&self.body)),
            flush: codec::encode(&flush).into(),
        };
        Delivery::assemble(&stored, &self.record, &MemberOf { index: 0, count: 1, path: Vec::new() })
    }

    fn sign(&self) -> Vec<u8> {
        self.deliver(&key(7), |_| ())
    }
}

type Named = (&'static str, Vec<u8>);

fn malformed_deliveries(good: &[u8], forged: &Forged) -> Vec<Named> {
    let no_flush = |_: &mut Flush| ();
    vec![
        ("empty", Vec::new()),
        ("cut short", edit(good, |bytes| bytes.truncate(bytes.len() - 1))),
        ("byte after the end", edit(good, |bytes| bytes.push(0))),
        (
            "indefinite map",
            edit(good, |bytes| {
                bytes[0] = 0xbf;
                bytes.push(0xff);
            }),
        ),
        (
            "key twice",
            edit(good, |bytes| {
                bytes[0] += 1;
                bytes.extend([5, 0x83, 0, 1, 0x80]);
            }),
        ),
        (
            "place in the records tree missing",
            edit(good, |bytes| {
                bytes[0] -= 1;
                bytes.truncate(bytes.len() - 5);
            }),
        ),
        ("version 2", forged.clone().with(|f| f.header[2] = 2).sign()),
        ("attempt 0", forged.clone().with_header(|header| header.attempt = 0).sign()),
        ("header over 1 KiB", forged.clone().with(|f| f.header.resize(1025, 0)).sign()),
        (
            "record of six items",
            forged
                .clone()
                .with(|f| {
                    f.record[0] += 1;
                    f.record.push(0);
                })
                .sign(),
        ),
        ("record over 256 bytes", forged.clone().with(|f| f.record.resize(257, 0)).sign()),
        ("unknown lane", forged.clone().with(|f| f.record[38] = 4).sign()),
        ("seq 0", forged.clone().with_record(|record| record.seq = 0).sign()),
        (
            "wrap of 79 bytes",
            forged
                .clone()
                .with(|f| {
                    f.record[41] -= 1;
                    f.record.pop();
                })
                .sign(),
        ),
        ("body shorter than the least bucket", forged.clone().with(|f| f.body.truncate(295)).sign()),
        ("leaf index outside the flush", forged.deliver(&key(7), |flush| flush.index = 1)),
        ("flush of 65", forged.deliver(&key(7), |flush| flush.count = 65)),
        ("empty flush", forged.deliver(&key(7), |flush| flush.count = 0)),
        ("path of seven", forged.deliver(&key(7), |flush| flush.path = vec![[0; 32]; 7])),
        (
            "no key in the flush",
            edit(&forged.deliver(&key(7), no_flush), |bytes| {
                let at = bytes.windows(4).rposition(|window| window == [0xa4, 0, 0x58, 0x40]).unwrap();
                bytes[at] = 0xa0;
            }),
        ),
    ]
}

fn unsigned_deliveries(forged: &Forged, rng: &mut SeededRng) -> Vec<Named> {
    let drafts = [draft("one", &[0, 1], rng), draft("two", &[0, 1], rng)];
    let sealed = seal_flush(&key(7), &drafts, &mut WrapCache::new(), NOW, rng).unwrap();
    let (mine, records) = sealed[0].clone().parse().unwrap().into_parts();
    let (other, other_records) = sealed[1].clone().parse().unwrap().into_parts();
    let mix = |stored: &StoredEnvelope, record: &StoredRecord, place: &StoredRecord| {
        Delivery::assemble(stored, &record.bytes, &place.member_of)
    };
    let (first, second) = (&records[0], &records[1]);
    vec![
        ("header of another envelope of the flush", {
            mix(&StoredEnvelope { header: other.header.clone(), ..mine.clone() }, first, first)
        }),
        ("body of another envelope of the flush", {
            mix(&StoredEnvelope { body: other.body.clone(), ..mine.clone() }, first, first)
        }),
        ("commitment of another envelope of the flush", {
            mix(&StoredEnvelope { commitment: other.commitment, ..mine.clone() }, first, first)
        }),
        ("place of another envelope in the flush", {
            mix(&StoredEnvelope { flush: other.flush.clone(), ..mine.clone() }, first, first)
        }),
        ("record of another envelope", mix(&mine, &other_records[0], first)),
        ("record of another recipient", mix(&mine, second, first)),
        ("place of another record", mix(&mine, first, second)),
        ("path cut short", {
            let member_of = MemberOf { path: Vec::new(), ..first.member_of.clone() };
            Delivery::assemble(&mine, &first.bytes, &member_of)
        }),
        (
            "signature changed",
            forged.deliver(&key(7), |flush| {
                let mut signature = *flush.signature.as_bytes();
                signature[0] ^= 1;
                flush.signature = claudemesh_core::Signature::from_bytes(signature);
            }),
        ),
        ("signed under the receipt label", forged.clone().with(|f| f.label = Label::new("receipt")).sign()),
        ("signed by another device", forged.deliver(&key(8), |_| ())),
        ("names another device as sender", {
            forged.clone().with_header(|header| header.sender = key(8).public().device_id()).sign()
        }),
        ("of another mesh", forged.clone().with_header(|header| header.mesh = MeshId::from_bytes([0x12; 32])).sign()),
        ("to another recipient", mix(&mine, second, second)),
    ]
}

fn unreadable_deliveries(forged: &Forged, rng: &mut SeededRng) -> Vec<Named> {
    let content = draft("x", &[0], rng).content.encode().unwrap();
    let padded = seal::pad(&content);
    let mut body = |change: &dyn Fn(&mut Vec<u8>)| Forged::new(&edit(&padded, |bytes| change(bytes)), rng).sign();
    vec![
        ("wrap changed", forged.clone().with_record(|record| record.wrap[79] ^= 1).sign()),
        ("encapsulated key of small order", forged.clone().with_record(|record| record.wrap[..32].fill(0)).sign()),
        ("wrap bound to another prekey id", forged.clone().with_record(|record| record.prekey_id += 1).sign()),
        ("key committed to for another header", forged.clone().with_header(|header| header.attempt = 2).sign()),
        ("commitment to another key", forged.clone().with(|f| f.commitment[0] ^= 1).sign()),
        ("body does not open", forged.clone().with(|f| f.body[30] ^= 1).sign()),
        ("padding not zero", body(&|bytes| bytes[255] = 1)),
        ("length past the end", body(&|bytes| bytes[2] = 1)),
        ("size is no bucket", body(&|bytes| bytes.push(0))),
    ]
}

fn contentless_deliveries(rng: &mut SeededRng) -> Vec<Named> {
    let good = draft("text", &[0], rng).content.encode().unwrap().to_vec();
    let text_at = good.len() - 5;
    assert_eq!(good[text_at], 0x44, "the text comes last");
    let priority_at = good.len() - 46;
    assert_eq!(good[priority_at..][..4], [5, 1, 7, 0], "priority, then hops");
    assert_eq!(good[3..7], [1, 0x81, 0x58, 0x20], "one acting device");
    let replace = |at: usize, end: &[u8]| [&good[..at], end].concat();
    let claim = |item: &[u64]| {
        let claim = cbor(|e| {
            e.array(1).unwrap().array(3).unwrap().bytes(&[1; 16]).unwrap();
            for number in item {
                e.u64(*number).unwrap();
            }
        });
        let mut content = replace(
            text_at,
            &cbor(|e| {
                e.bytes(&claim).unwrap();
            }),
        );
        content[2] = 1;
        content
    };
    let mut sealed = |content: &[u8]| Forged::new(&seal::pad(content), rng).sign();
    vec![
        ("no content", sealed(&[])),
        ("content without keys", sealed(&[0xa0])),
        ("byte after the content", sealed(&replace(good.len(), &[0]))),
        ("no acting device", sealed(&[&good[..4], &[0x80], &good[5 + 34..]].concat())),
        ("acting device outside a list", sealed(&[&good[..4], &good[5..]].concat())),
        ("empty text", sealed(&replace(text_at, &[0x40]))),
        ("text not UTF-8", sealed(&replace(text_at, &[0x41, 0xff]))),
        ("unknown priority", sealed(&edit(&good, |bytes| bytes[priority_at + 1] = 3))),
        ("claim that is a text", sealed(&edit(&good, |bytes| bytes[2] = 1))),
        ("empty claim", sealed(&edit(&replace(text_at, &[0x41, 0x80]), |bytes| bytes[2] = 1))),
        ("claim of a receipt's state", sealed(&claim(&[3, 9]))),
    ]
}

fn malformed_submissions(good: &Submission) -> Vec<Named> {
    let changed = |change: &dyn Fn(&mut Submission)| {
        let mut submission = good.clone();
        change(&mut submission);
        submission.encode()
    };
    vec![
        ("no records", changed(&|s| s.records.clear())),
        ("513 records", changed(&|s| s.records = vec![vec![0x80].into(); 513])),
        ("record is no record", changed(&|s| s.records[1] = vec![0x80].into())),
        ("header is no header", changed(&|s| s.header = vec![0xa0].into())),
        ("body shorter than the least bucket", changed(&|s| s.body.0.truncate(295))),
        ("records in another order", changed(&|s| s.records.reverse())),
        ("a recipient left out", changed(&|s| s.records.truncate(1))),
        ("body changed", changed(&|s| s.body.0[40] ^= 1)),
    ]
}

fn changed_proofs(delivery: &[u8]) -> Vec<Named> {
    let good = codec::encode(&Proof::from_delivery(&Delivery::decode(delivery).unwrap()));
    let body_hash = sha256(&body_of(delivery));
    let at = good.windows(32).position(|window| window == body_hash).unwrap();
    vec![
        ("empty", Vec::new()),
        ("of another body", edit(&good, |bytes| bytes[at] ^= 1)),
        ("header changed", edit(&good, |bytes| bytes[20] ^= 1)),
    ]
}

fn body_of(delivery: &[u8]) -> Vec<u8> {
    let mut d = minicbor::Decoder::new(delivery);
    for _ in 0..d.map().unwrap().unwrap() {
        if d.u8().unwrap() == 3 {
            return d.bytes().unwrap().to_vec();
        }
        d.skip().unwrap();
    }
    panic!("a delivery has a body")
}

/// What a receiver or broker says to `bytes`; the context is recipient `device` of `mesh` with `prekey`.
pub(super) fn judge(
    form: &str,
    bytes: &[u8],
    sender: &PublicKey,
    mesh: &MeshId,
    device: &DeviceId,
    prekey: &PrekeySecret,
) -> Result<(), &'static str> {
    let refused = |error: EnvelopeError| match error {
        EnvelopeError::Malformed | EnvelopeError::Size => "malformed",
        EnvelopeError::WrongSender => "wrong_sender",
        EnvelopeError::BadSignature => "bad_signature",
        EnvelopeError::WrongMesh => "wrong_mesh",
        EnvelopeError::NotAddressed => "not_addressed",
        other => panic!("{other:?} has no name"),
    };
    let unopened = |error: OpenError| match error {
        OpenError::Unreadable => "unreadable",
        OpenError::Malformed => "malformed_content",
        other => panic!("{other:?} has no name"),
    };
    match form {
        "delivery" => {
            let delivery = Delivery::decode(bytes).map_err(refused)?;
            let verified = delivery.verify(sender, mesh, &mut FlushCache::new()).map_err(refused)?;
            verified.check_recipient(device).map_err(refused)?;
            verified.open(prekey, &mut UnwrapCache::new()).map(|_| ()).map_err(unopened)
        }
        "submission" => {
            let submission = Submission::decode(bytes).map_err(|_| "malformed")?;
            submission.parse().and_then(|s| s.verify(sender, mesh, &mut FlushCache::new())).map_err(refused)
        }
        "proof" => {
            let proof: Proof = codec::decode(bytes).map_err(|_| "malformed")?;
            proof.verify(sender, mesh).map(|_| ()).map_err(refused)
        }
        other => panic!("no form {other}"),
    }
}

pub(super) fn invalid_envelopes(rng: &mut SeededRng) -> Vec<Value> {
    let content = draft("x", &[0], rng).content.encode().unwrap();
    let forged = Forged::new(&seal::pad(&content), rng);
    let good = forged.sign();
    let (device, _, prekey) = peer(0);
    let (sender, mesh) = (key(7).public(), mesh());
    assert_eq!(judge("delivery", &good, &sender, &mesh, &device, &prekey), Ok(()), "the forge is sound");

    let mut cases = Vec::new();
    let mut add = |form: &str, named: Vec<Named>| {
        for (name, bytes) in named {
            let error = judge(form, &bytes, &sender, &mesh, &device, &prekey).expect_err(name);
            cases.push(json!({
                "name": name,
                "form": form,
                "sender_public": hex(sender.as_bytes()),
                "mesh": mesh.to_string(),
                "recipient": device.to_string(),
                "prekey_private": hex(prekey.to_bytes()),
                "bytes": hex(bytes),
                "error": error,
            }));
        }
    };
    add("delivery", malformed_deliveries(&good, &forged));
    add("delivery", unsigned_deliveries(&forged, rng));
    add("delivery", unreadable_deliveries(&forged, rng));
    add("delivery", contentless_deliveries(rng));
    let shared = draft("x", &[0, 1], rng);
    let submission = seal_flush(&key(7), &[shared], &mut WrapCache::new(), NOW, rng).unwrap().remove(0);
    add("submission", malformed_submissions(&submission));
    add("proof", changed_proofs(&good));
    cases
}
