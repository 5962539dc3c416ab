//! Fixtures, round trips and the order of a receiver's checks.

mod hostile;
mod wraps;

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::codec::{self, HashBytes};
use crate::head::RosterHead;
use crate::id::MessageId;
use crate::key::{PrekeySecret, SigningKey};
use crate::testing::SeededRng;
use crate::time::Millis;

const NOW: Millis = Millis(1_800_000_000_000);
const MESH: MeshId = MeshId::from_bytes([0xaa; 32]);

struct Peer {
    device: DeviceId,
    prekey: PrekeySecret,
}

struct World {
    key: SigningKey,
    peers: Vec<Peer>,
    wraps: WrapCache,
    rng: SeededRng,
}

fn world() -> World {
    let mut rng = SeededRng::new(1);
    let key = SigningKey::generate(&mut rng);
    let peer = |rng: &mut SeededRng| Peer {
        device: SigningKey::generate(rng).public().device_id(),
        prekey: PrekeySecret::generate(rng),
    };
    let peers = (0..4).map(|_| peer(&mut rng)).collect();
    World { key, peers, wraps: WrapCache::new(), rng }
}

fn head(index: u64) -> RosterHead {
    RosterHead { index, hash: HashBytes([index as u8; 32]) }
}

impl World {
    fn draft(&mut self, peers: &[usize], text: &str) -> Draft {
        let header = Header {
            mesh: MESH,
            sender: self.key.public().device_id(),
            id: MessageId::generate(NOW, &mut self.rng),
            attempt: 1,
            expires: NOW.plus(86_400_000),
            deliver_at: None,
            head: head(3),
        };
        let recipients = peers.iter().map(|peer| self.to(*peer)).collect();
        Draft { header, recipients, content: text_content(text) }
    }

    fn to(&self, peer: usize) -> Recipient {
        let Peer { device, prekey } = &self.peers[peer];
        let prekey_id = 70 + peer as u32;
        Recipient { device: *device, prekey_id, prekey: prekey.public(), lane: Lane::Next, seq: 1 }
    }

    fn seal(&mut self, drafts: &[Draft]) -> Vec<Submission> {
        self.seal_at(drafts, NOW).unwrap()
    }

    fn seal_at(&mut self, drafts: &[Draft], now: Millis) -> Result<Vec<Submission>, SealError> {
        seal_flush(&self.key, drafts, &mut self.wraps, now, &mut self.rng)
    }

    /// The encoded deliveries of a fresh envelope to `peers`.
    fn deliveries(&mut self, peers: &[usize], text: &str) -> Vec<Vec<u8>> {
        let draft = self.draft(peers, text);
        deliveries_of(&self.seal(&[draft])[0])
    }

    fn verify(&self, delivery: &[u8]) -> Result<VerifiedDelivery, EnvelopeError> {
        Delivery::decode(delivery)?.verify(&self.key.public(), &MESH, &mut FlushCache::new())
    }

    fn open(&self, delivery: &[u8], peer: usize) -> Result<Content, OpenError> {
        self.verify(delivery).unwrap().open(&self.peers[peer].prekey, &mut UnwrapCache::new())
    }
}

fn text_content(text: &str) -> Content {
    Content {
        acting: vec![DeviceId::from_bytes([7; 32])],
        target_session: None,
        sending_session: Some("main".into()),
        sent_at: NOW,
        priority: Priority::Next,
        reply_to: None,
        hops: 0,
        addressed: vec![crate::id::MemberId::from_bytes([8; 32])],
        body: ContentBody::Text(text.to_string()),
    }
}

/// What a broker makes of a submission, through its encoded forms.
fn deliveries_of(submission: &Submission) -> Vec<Vec<u8>> {
    let parsed = Submission::decode(&submission.encode()).unwrap().parse().unwrap();
    let (stored, records) = parsed.into_parts();
    let stored = StoredEnvelope::decode(&stored.encode()).unwrap();
    records.iter().map(|record| Delivery::assemble(&stored, &record.bytes, &record.member_of)).collect()
}

#[test]
fn a_message_arrives_as_it_was_written() {
    let mut world = world();
    for text in ["x", "héllo", &"long ".repeat(9000)] {
        let draft = world.draft(&[0], text);
        let submission = world.seal(core::slice::from_ref(&draft)).remove(0);
        let delivery = deliveries_of(&submission).remove(0);
        let verified = world.verify(&delivery).unwrap();
        assert_eq!(verified.header(), &draft.header);
        assert_eq!(verified.record().recipient, world.peers[0].device);
        assert_eq!(verified.check_recipient(&world.peers[0].device), Ok(()));
        assert_eq!(verified.envelope_hash(), submission.parse().unwrap().envelope_hash());
        assert_eq!(world.open(&delivery, 0).unwrap(), draft.content);
        assert_eq!(Delivery::decode(&delivery).unwrap().encode(), delivery);
    }
}

#[test]
fn every_field_of_every_content_round_trips() {
    let mut world = world();
    let id = MessageId::from_bytes([5; 16]);
    let claims = (0..MAX_CLAIMS as u64)
        .map(|i| ClaimItem {
            id,
            state: if i % 2 == 0 { ClaimState::Injected } else { ClaimState::Read },
            at: Millis(i),
        })
        .collect();
    let full = Content {
        target_session: Some("t".repeat(MAX_SESSION)),
        sending_session: Some("s".repeat(MAX_SESSION)),
        reply_to: Some(id),
        hops: u64::MAX,
        sent_at: Millis(u64::MAX),
        addressed: vec![crate::id::MemberId::from_bytes([9; 32]); MAX_ADDRESSED],
        priority: Priority::Low,
        ..text_content(&"é".repeat(MAX_TEXT / 2))
    };
    let crowd = Content {
        acting: vec![DeviceId::from_bytes([7; 32]); MAX_ACTING],
        addressed: full.addressed.clone(),
        ..text_content("to all of you")
    };
    let claim = Content { body: ContentBody::Claim(claims), ..text_content("-") };
    let unknown = Content { body: ContentBody::Unknown { kind: 99, bytes: vec![0xff; 9].into() }, ..text_content("-") };
    let contents = [
        (full, ContentKind::Text),
        (crowd, ContentKind::Text),
        (claim, ContentKind::Claim),
        (unknown, ContentKind::Unknown(99)),
    ];
    for (content, kind) in contents {
        assert_eq!(content.kind(), kind);
        let mut draft = world.draft(&[1], "-");
        draft.header.deliver_at = Some(Millis(u64::MAX));
        draft.header.attempt = u64::MAX;
        draft.recipients[0].lane = Lane::Scheduled;
        draft.recipients[0].seq = u64::MAX;
        draft.content = content.clone();
        let delivery = deliveries_of(&world.seal(&[draft.clone()])[0]).remove(0);
        assert_eq!(world.verify(&delivery).unwrap().header(), &draft.header);
        assert_eq!(world.open(&delivery, 1).unwrap(), content);
    }
}

#[test]
fn each_of_many_recipients_verifies_and_opens_alone() {
    let mut world = world();
    let deliveries = world.deliveries(&[0, 1, 2], "to all");
    for (peer, delivery) in deliveries.iter().enumerate() {
        assert_eq!(world.open(delivery, peer).unwrap(), text_content("to all"));
        assert_eq!(world.open(delivery, 3), Err(OpenError::Unreadable));
        let verified = world.verify(delivery).unwrap();
        assert_eq!(verified.check_recipient(&world.peers[3].device), Err(EnvelopeError::NotAddressed));
    }
}

#[test]
fn a_full_flush_carries_one_signature_that_is_verified_once() {
    let mut world = world();
    for count in [1, 2, 3, 33, MAX_FLUSH] {
        let drafts: Vec<Draft> = (0..count).map(|i| world.draft(&[i % 4], &i.to_string())).collect();
        let sealed = world.seal(&drafts);
        assert!(sealed.iter().all(|s| s.flush.signature == sealed[0].flush.signature && s.flush.path.len() <= 6));
        let mut flushes = FlushCache::new();
        for (index, submission) in sealed.iter().enumerate() {
            let bytes = deliveries_of(submission).remove(0);
            let delivery = Delivery::decode(&bytes).unwrap();
            let verified = delivery.verify(&world.key.public(), &MESH, &mut flushes).unwrap();
            let content = verified.open(&world.peers[index % 4].prekey, &mut UnwrapCache::new()).unwrap();
            assert_eq!(content, text_content(&index.to_string()));
            assert!(world.verify(&bytes).is_ok(), "verifies alone");
        }
        assert_eq!(flushes.len(), 1);
    }
}

#[test]
fn the_most_recipients_fit_one_envelope() {
    let mut world = world();
    let mut draft = world.draft(&[0], "crowd");
    let to = draft.recipients[0].clone();
    let numbered = |i: usize| Recipient {
        device: DeviceId::from_bytes(core::array::from_fn(|at| if at < 2 { i.to_be_bytes()[6 + at] } else { 1 })),
        ..to.clone()
    };
    draft.recipients = (0..MAX_RECIPIENTS).map(numbered).collect();
    let sealed = world.seal(core::slice::from_ref(&draft));
    for delivery in deliveries_of(&sealed[0]).iter().step_by(73) {
        assert_eq!(world.open(delivery, 0).unwrap(), draft.content);
    }
    draft.recipients.push(numbered(MAX_RECIPIENTS));
    assert_eq!(world.seal_at(&[draft], NOW).unwrap_err(), SealError::Recipients(0));
}

#[test]
fn what_does_not_fit_is_not_sealed() {
    let mut world = world();
    let good = world.draft(&[0], "good");
    assert_eq!(world.seal_at(&[], NOW).unwrap_err(), SealError::FlushSize);
    assert_eq!(world.seal_at(&vec![good.clone(); MAX_FLUSH + 1], NOW).unwrap_err(), SealError::FlushSize);

    type Spoil = fn(&mut Draft);
    let cases: [(SealError, Spoil); 16] = [
        (SealError::Header(1), |d| d.header.sender = DeviceId::from_bytes([1; 32])),
        (SealError::Header(1), |d| d.header.attempt = 0),
        (SealError::Recipients(1), |d| d.recipients.clear()),
        (SealError::Recipients(1), |d| d.recipients.push(d.recipients[0].clone())),
        (SealError::Recipients(1), |d| d.recipients[0].seq = 0),
        (SealError::Content(1), |d| d.content = text_content("")),
        (SealError::Content(1), |d| d.content = text_content(&"x".repeat(MAX_TEXT + 1))),
        (SealError::Content(1), |d| d.content.body = ContentBody::Claim(vec![])),
        (SealError::Content(1), |d| {
            let item = ClaimItem { id: d.header.id, state: ClaimState::Read, at: NOW };
            d.content.body = ContentBody::Claim(vec![item; MAX_CLAIMS + 1]);
        }),
        (SealError::Content(1), |d| d.content.body = ContentBody::Unknown { kind: 0, bytes: vec![].into() }),
        (SealError::Content(1), |d| d.content.addressed = vec![crate::id::MemberId::from_bytes([1; 32]); 513]),
        (SealError::Content(1), |d| d.content.acting.clear()),
        (SealError::Content(1), |d| d.content.acting = vec![DeviceId::from_bytes([1; 32]); 513]),
        (SealError::Content(1), |d| {
            // Each within its bound, together more than an envelope takes.
            d.content = text_content(&"x".repeat(MAX_TEXT));
            d.content.acting = vec![DeviceId::from_bytes([1; 32]); MAX_ACTING];
            d.content.addressed = vec![crate::id::MemberId::from_bytes([1; 32]); MAX_ADDRESSED];
        }),
        (SealError::Content(1), |d| d.content.target_session = Some("x".repeat(257))),
        (SealError::Content(1), |d| d.content.sending_session = Some("x".repeat(257))),
    ];
    for (index, (error, spoil)) in cases.into_iter().enumerate() {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert_eq!(world.seal_at(&[good.clone(), bad], NOW).unwrap_err(), error, "case {index}");
    }

    let mut weak = good.clone();
    weak.recipients[0].prekey = crate::key::PrekeyPublic::from_bytes([0; 32]);
    let recipient = world.peers[0].device;
    assert_eq!(world.seal_at(&[good, weak], NOW).unwrap_err(), SealError::Prekey { draft: 1, recipient });
}

#[test]
fn a_broker_reads_what_it_routes_by_and_nothing_else() {
    let mut world = world();
    let draft = world.draft(&[0, 1], "canary text");
    let bytes = world.seal(core::slice::from_ref(&draft))[0].encode();
    assert!(!bytes.windows(6).any(|window| window == b"canary"));
    let parsed = Submission::decode(&bytes).unwrap().parse().unwrap();
    assert_eq!(parsed.header(), &draft.header);
    assert_eq!(parsed.records().len(), 2);
    assert_eq!((parsed.records()[1].recipient, parsed.records()[1].prekey_id), (world.peers[1].device, 71));
    assert_eq!(parsed.member_of(1).unwrap().count, 2);
    assert!(parsed.member_of(2).is_none());
    assert_eq!(parsed.body_len(), MIN_BODY);

    let mut flushes = FlushCache::new();
    let (key, other) = (world.key.public(), SigningKey::from_seed(&[9; 32]).public());
    assert_eq!(parsed.verify(&key, &MESH, &mut flushes), Ok(()));
    assert_eq!(parsed.verify(&other, &MESH, &mut flushes), Err(EnvelopeError::WrongSender));
    assert_eq!(parsed.verify(&key, &MeshId::from_bytes([0; 32]), &mut flushes), Err(EnvelopeError::WrongMesh));
}

#[test]
fn debug_shows_no_text() {
    let mut world = world();
    let draft = world.draft(&[0], "secret words");
    assert!(!alloc::format!("{draft:?}").contains("secret"));
}

#[test]
fn a_proof_shows_header_and_record_without_the_body() {
    let mut world = world();
    let draft = world.draft(&[0, 1], "proved");
    let submission = world.seal(core::slice::from_ref(&draft)).remove(0);
    let bytes = deliveries_of(&submission).remove(1);
    let (stored, records) = submission.parse().unwrap().into_parts();
    let proof = Proof::from_delivery(&Delivery::decode(&bytes).unwrap());
    assert_eq!(Proof::from_stored(&stored, &records[1]).unwrap(), proof);

    let encoded = codec::encode(&proof);
    let proof: Proof = codec::decode(&encoded).unwrap();
    let (key, other) = (world.key.public(), SigningKey::from_seed(&[9; 32]).public());
    let shown = proof.verify(&key, &MESH).unwrap();
    assert_eq!((shown.header, shown.record.recipient), (draft.header, world.peers[1].device));
    assert_eq!(proof.verify(&other, &MESH), Err(EnvelopeError::WrongSender));
    assert_eq!(proof.verify(&key, &MeshId::from_bytes([0; 32])), Err(EnvelopeError::WrongMesh));
    for at in 0..encoded.len() {
        let mut bad = encoded.clone();
        bad[at] ^= 1;
        // Only the counts of the two trees are not bound by the signature.
        if let Some(shown) = codec::decode::<Proof>(&bad).ok().and_then(|proof| proof.verify(&key, &MESH).ok()) {
            assert_eq!((shown.header, shown.record.recipient), (draft.header, world.peers[1].device), "byte {at}");
        }
    }
}
