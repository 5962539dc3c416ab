//! Vectors of envelopes.

use claudemesh_core::codec;
use claudemesh_core::envelope::{
    ClaimItem, ClaimState, Content, ContentBody, Delivery, Draft, Flush, FlushCache, Header, Lane, Priority, Proof,
    Recipient, StoredRecord, Submission, UnwrapCache, WrapCache, seal_flush,
};
use claudemesh_core::hash::{Hash, Label, sha256};
use claudemesh_core::merkle::{Tree, root_from_path};
use claudemesh_core::testing::SeededRng;
use claudemesh_core::{DeviceId, MemberId, MeshId, MessageId, Millis, PrekeySecret, SigningKey};
use serde_json::{Value, json};

use super::forged::{invalid_envelopes, judge};
use super::{array, head, head_json, hex, key, mesh, message_id, public, stored, unhex};

pub(super) const NOW: Millis = Millis(1_750_000_000_000);

/// Recipient number `of`: its device, the id of its prekey and the prekey.
pub(super) fn peer(of: u8) -> (DeviceId, u32, PrekeySecret) {
    let prekey = PrekeySecret::from_bytes([0x70 + of; 32]);
    (key(0x30 + of).public().device_id(), 1000 + u32::from(of), prekey)
}

fn recipient(of: u8, seq: u64) -> Recipient {
    let (device, prekey_id, prekey) = peer(of);
    Recipient { device, prekey_id, prekey: prekey.public(), lane: Lane::Next, seq }
}

pub(super) fn draft(text: &str, to: &[u8], rng: &mut SeededRng) -> Draft {
    let header = Header {
        mesh: mesh(),
        sender: key(7).public().device_id(),
        id: MessageId::generate(NOW, rng),
        attempt: 1,
        expires: NOW.plus(86_400_000),
        deliver_at: None,
        head: head(),
    };
    let content = Content {
        acting: vec![peer(to[0]).0],
        target_session: None,
        sending_session: None,
        sent_at: NOW,
        priority: Priority::Next,
        reply_to: None,
        hops: 0,
        addressed: vec![MemberId::from_bytes([0x55; 32])],
        body: ContentBody::Text(text.into()),
    };
    Draft { header, recipients: to.iter().map(|of| recipient(*of, 1)).collect(), content }
}

fn content_json(content: &Content) -> Value {
    let (text, claim, data) = match &content.body {
        ContentBody::Text(text) => (json!(text), Value::Null, Value::Null),
        ContentBody::Claim(items) => {
            let item =
                |item: &ClaimItem| json!({ "id": item.id.to_string(), "state": item.state.code(), "at": item.at.0 });
            (Value::Null, items.iter().map(item).collect(), Value::Null)
        }
        ContentBody::Invitation(log) => (Value::Null, Value::Null, json!(hex(log.as_bytes()))),
        ContentBody::Unknown { bytes, .. } => (Value::Null, Value::Null, json!(hex(&bytes.0))),
    };
    json!({
        "type": content.kind().code(),
        "acting": content.acting.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "target_session": content.target_session,
        "sending_session": content.sending_session,
        "sent_at": content.sent_at.0,
        "priority": content.priority.code(),
        "reply_to": content.reply_to.map(|id| id.to_string()),
        "hops": content.hops,
        "addressed": content.addressed.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "text": text,
        "claim": claim,
        "data": data,
    })
}

fn header_json(header: &Header) -> Value {
    json!({
        "id": header.id.to_string(),
        "attempt": header.attempt,
        "expires": header.expires.0,
        "deliver_at": header.deliver_at.map(|at| at.0),
        "head": head_json(&header.head),
    })
}

pub(super) fn envelope_hash(header: &[u8], records_root: &Hash, commitment: &Hash, body: &[u8]) -> Hash {
    let h = Label::new("header").hash(&[header]);
    Label::new("envelope").hash(&[&h, records_root, commitment, &sha256(body)])
}

/// The case of recipient `of`, whose record is number `at` of the submission.
fn case(name: &str, draft: &Draft, submission: &Submission, at: usize, of: u8) -> Value {
    let signer = key(7);
    let (device, prekey_id, prekey) = peer(of);
    let (stored, records) = submission.clone().parse().unwrap().into_parts();
    let StoredRecord { bytes, record, member_of } = &records[at];
    let delivery = Delivery::assemble(&stored, bytes, member_of);
    let proof = Proof::from_delivery(&Delivery::decode(&delivery).unwrap());

    let (mesh, sender) = (mesh(), signer.public().device_id());
    let prekey_id_bytes = prekey_id.to_be_bytes();
    let info = Label::new("wrap").concat(&[mesh.as_bytes(), sender.as_bytes(), device.as_bytes(), &prekey_id_bytes]);
    let records_root = Tree::new(submission.records.iter().map(|record| &record[..])).unwrap().root();
    let hash = envelope_hash(&submission.header, &records_root, &submission.commitment.0, &submission.body);
    let Flush { index, count, path, .. } = &submission.flush;
    json!({
        "name": name,
        "sender_seed": hex(signer.seed()),
        "sender_public": hex(signer.public().as_bytes()),
        "sender": sender.to_string(),
        "mesh": mesh.to_string(),
        "recipient": device.to_string(),
        "prekey_id": prekey_id,
        "prekey_private": hex(prekey.to_bytes()),
        "prekey_public": hex(prekey.public().as_bytes()),
        "header": header_json(&draft.header),
        "record": { "lane": record.lane.code(), "seq": record.seq, "index": at, "count": records.len() },
        "content": content_json(&draft.content),
        "content_bytes": hex(draft.content.encode().unwrap()),
        "content_key": hex(prekey.unwrap_secret(&info, &record.wrap).unwrap()),
        "header_hash": hex(Label::new("header").hash(&[&submission.header])),
        "records_root": hex(records_root),
        "commitment": hex(submission.commitment.0),
        "body_hash": hex(sha256(&submission.body)),
        "envelope_hash": hex(hash),
        "flush": { "index": index, "count": count },
        "flush_root": hex(root_from_path(&hash, *index, *count, path).unwrap()),
        "submission": hex(submission.encode()),
        "proof": hex(codec::encode(&proof)),
        "bytes": hex(delivery),
    })
}

fn rich_drafts(rng: &mut SeededRng) -> Vec<(&'static str, Draft)> {
    let mut full = draft("Übersetzt: grüße, 你好, 👋", &[0], rng);
    full.header.attempt = u64::MAX;
    full.header.expires = Millis(u64::MAX);
    full.header.deliver_at = Some(NOW.plus(1));
    full.recipients[0].lane = Lane::Scheduled;
    full.recipients[0].seq = u64::MAX;
    full.content.target_session = Some("main".into());
    full.content.sending_session = Some("0197a0d4-5d7c-7b52-8a39-0c1f4b7e9d10".into());
    full.content.reply_to = Some(MessageId::from_bytes([0x66; 16]));
    full.content.priority = Priority::Now;
    full.content.hops = 70_000;
    full.content.acting = (0..3).map(|of| peer(of).0).collect();
    full.content.addressed = (1..4).map(|of| MemberId::from_bytes([of; 32])).collect();

    let mut claim = draft("-", &[1], rng);
    let claimed = |of: u8, state| ClaimItem { id: MessageId::from_bytes([of; 16]), state, at: NOW.plus(of.into()) };
    claim.content.body = ContentBody::Claim(vec![claimed(1, ClaimState::Injected), claimed(2, ClaimState::Read)]);
    claim.content.priority = Priority::Low;
    claim.content.addressed.clear();

    let mut unknown = draft("-", &[1], rng);
    unknown.content.body = ContentBody::Unknown { kind: 200, bytes: b"\xff\x00 of a later version".to_vec().into() };

    let long = draft(&"A text past the first size bucket. ".repeat(40), &[2], rng);
    vec![("every field", full), ("receipt claim", claim), ("unknown type", unknown), ("long text", long)]
}

fn valid_envelopes(rng: &mut SeededRng) -> Vec<Value> {
    let signer = key(7);
    let mut wraps = WrapCache::new();
    let mut cases = Vec::new();
    let single = draft("hello", &[0], rng);
    let sealed = seal_flush(&signer, std::slice::from_ref(&single), &mut wraps, NOW, rng).unwrap();
    cases.push(case("one recipient, flush of one", &single, &sealed[0], 0, 0));

    let shared = draft("to three devices", &[0, 1, 2], rng);
    let sealed = seal_flush(&signer, std::slice::from_ref(&shared), &mut wraps, NOW, rng).unwrap();
    for of in 0..3u8 {
        cases.push(case(&format!("recipient {} of three", of + 1), &shared, &sealed[0], of.into(), of));
    }

    // One flush of five, the first with the wrap that "one recipient" made.
    let again = draft("the wrap again", &[0], rng);
    let drafts: Vec<_> = [("reused wrap", again)].into_iter().chain(rich_drafts(rng)).collect();
    let plain: Vec<Draft> = drafts.iter().map(|(_, draft)| draft.clone()).collect();
    let sealed = seal_flush(&signer, &plain, &mut wraps, NOW, rng).unwrap();
    let peers = [0, 0, 1, 1, 2];
    for (((name, draft), submission), of) in drafts.iter().zip(&sealed).zip(peers) {
        cases.push(case(&format!("{name}, in a flush of five"), draft, submission, 0, of));
    }
    cases
}

fn replay(case: &Value) {
    let name = &case["name"];
    let sender = public(&case["sender_public"]);
    assert_eq!(SigningKey::from_seed(&array(&case["sender_seed"])).public(), sender, "{name}");
    let mesh = MeshId::from_bytes(array(&case["mesh"]));
    let device = DeviceId::from_bytes(array(&case["recipient"]));
    let prekey = PrekeySecret::from_bytes(array(&case["prekey_private"]));
    assert_eq!(hex(prekey.public().as_bytes()), case["prekey_public"], "{name}");

    let delivery = Delivery::decode(&unhex(&case["bytes"])).unwrap();
    assert_eq!(hex(codec::encode(&Proof::from_delivery(&delivery))), case["proof"], "{name}");
    let verified = delivery.verify(&sender, &mesh, &mut FlushCache::new()).unwrap();
    verified.check_recipient(&device).unwrap();
    let (header, record) = (verified.header(), verified.record());
    assert_eq!(header_json(header), case["header"], "{name}");
    assert_eq!((header.mesh, header.sender), (mesh, sender.device_id()), "{name}");
    assert_eq!(header.id, message_id(&case["header"]["id"]), "{name}");
    assert_eq!(json!(record.prekey_id), case["prekey_id"], "{name}");
    assert_eq!(json!([record.lane.code(), record.seq]), json!([case["record"]["lane"], case["record"]["seq"]]));
    assert_eq!(hex(verified.envelope_hash()), case["envelope_hash"], "{name}");
    let content = verified.open(&prekey, &mut UnwrapCache::new()).unwrap();
    assert_eq!(content_json(&content), case["content"], "{name}");
    assert_eq!(hex(content.encode().unwrap()), case["content_bytes"], "{name}");

    let submission = unhex(&case["submission"]);
    let parsed = Submission::decode(&submission).unwrap();
    assert_eq!(parsed.encode(), submission, "{name}");
    let parsed = parsed.parse().unwrap();
    parsed.verify(&sender, &mesh, &mut FlushCache::new()).unwrap();
    assert_eq!(hex(parsed.records_root()), case["records_root"], "{name}");
    assert_eq!(hex(parsed.envelope_hash()), case["envelope_hash"], "{name}");
    let at = usize::try_from(case["record"]["index"].as_u64().unwrap()).unwrap();
    let (stored, records) = parsed.into_parts();
    assert_eq!(json!(records.len()), case["record"]["count"], "{name}");
    let delivery = Delivery::assemble(&stored, &records[at].bytes, &records[at].member_of);
    assert_eq!(hex(delivery), case["bytes"], "{name}");
    let proof: Proof = codec::decode(&unhex(&case["proof"])).unwrap();
    assert_eq!(proof.verify(&sender, &mesh).unwrap().record, records[at].record, "{name}");
}

#[test]
fn envelopes_match_their_vectors() {
    let mut rng = SeededRng::new(500);
    let vectors = stored(
        "envelope.json",
        json!({
            "description": "Envelopes (protocol section 5). valid: `bytes` is the delivery to `recipient` of what the device \
                            with `sender_seed` sealed, `submission` the whole envelope, `proof` its proof (section 9); \
                            `content_key` is what the wrap holds. Lanes, priorities, types and states are their numbers. \
                            invalid: taking `bytes` as a delivery to `recipient`, a submission or a proof (`form`) from the \
                            sender with `sender_public` in `mesh`, and opening a delivery with `prekey_private`, fails with \
                            `error`.",
            "valid": valid_envelopes(&mut rng),
            "invalid": invalid_envelopes(&mut rng),
        }),
    );
    for case in vectors["valid"].as_array().unwrap() {
        replay(case);
    }
    for case in vectors["invalid"].as_array().unwrap() {
        let mesh = MeshId::from_bytes(array(&case["mesh"]));
        let device = DeviceId::from_bytes(array(&case["recipient"]));
        let prekey = PrekeySecret::from_bytes(array(&case["prekey_private"]));
        let (form, sender) = (case["form"].as_str().unwrap(), public(&case["sender_public"]));
        let error = judge(form, &unhex(&case["bytes"]), &sender, &mesh, &device, &prekey).unwrap_err();
        assert_eq!(error, case["error"], "{}", case["name"]);
    }
}
