//! A mesh of devices around one engine. Every call settles: all that can be pushed has been.

use std::collections::BTreeMap;
use std::sync::Arc;

use claudemesh_core::codec::{Bytes, List};
use claudemesh_core::device::{DeviceRecord, PrekeyRing, RecordDraft};
use claudemesh_core::envelope::{
    Content, ContentBody, Delivery, Draft, FlushCache, Header, Lane, Priority, Recipient, VerifiedDelivery, WrapCache,
    seal_flush,
};
use claudemesh_core::receipt::{Receipt, ReceiptItem, ReceiptState};
use claudemesh_core::roster::{Kind, NewInvite, create_genesis};
use claudemesh_core::testing::SeededRng;
use claudemesh_core::wire::{
    self, Body, ClientHandshake, Closing, ErrorCode, Frame, HelloMode, Outcome, Welcome, WelcomeBody,
};
use claudemesh_core::{DeviceId, MeshId, MessageId, Millis, Roster, Seconds, SigningKey};
use futures_util::FutureExt;

use crate::config::EngineConfig;
use crate::connection::Conn;
use crate::engine::{Answer, Engine};
use crate::folds::CoreFolds;
use crate::store::{Limits, MemoryStore};

pub(super) const START: Millis = Millis(1_700_000_000_000);

/// A device as its own program would hold it.
pub(super) struct Peer {
    pub(super) key: SigningKey,
    pub(super) prekeys: PrekeyRing,
    pub(super) conn: Option<Conn>,
    /// Frames pushed and not looked at yet.
    pub(super) pushed: Vec<Body>,
    replies: BTreeMap<u64, Body>,
    requests: u64,
    seqs: BTreeMap<(DeviceId, Lane), u64>,
    wraps: WrapCache,
}

impl Peer {
    pub(super) fn id(&self) -> DeviceId {
        self.key.public().device_id()
    }

    /// Takes the frames pushed so far.
    pub(super) fn take(&mut self) -> Vec<Body> {
        std::mem::take(&mut self.pushed)
    }

    pub(super) fn closed(&self) -> Option<Closing> {
        self.pushed.iter().find_map(|body| match body {
            Body::Close(close) => Some(close.code),
            _ => None,
        })
    }

    /// The deliveries pushed so far, with their offsets.
    pub(super) fn deliveries(&mut self) -> Vec<(u64, Bytes)> {
        let mut mail = Vec::new();
        self.pushed.retain(|body| match body {
            Body::Deliver(deliver) => {
                mail.extend(deliver.items.iter().map(|item| (item.offset, item.delivery.clone())));
                false
            }
            _ => true,
        });
        mail
    }

    pub(super) fn notices(&mut self) -> Vec<wire::NumberedNotice> {
        let mut notices = Vec::new();
        self.pushed.retain(|body| match body {
            Body::Notices(pushed) => {
                notices.extend(pushed.items.iter().cloned());
                false
            }
            _ => true,
        });
        notices
    }
}

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) store: Arc<MemoryStore<CoreFolds>>,
    pub(super) config: EngineConfig,
    pub(super) now: Millis,
    pub(super) rng: SeededRng,
    pub(super) mesh: MeshId,
    /// The roster as the members know it.
    pub(super) roster: Roster,
    pub(super) entries: Vec<Vec<u8>>,
    pub(super) peers: Vec<Peer>,
}

/// Waits for an answer, which over the memory store is there at once.
pub(super) fn wait(answer: Answer) {
    answer.now_or_never().expect("the memory store answers at once");
}

impl World {
    /// A mesh that exists at the broker, with its owner as peer 0, not connected.
    pub(super) fn with(config: EngineConfig) -> Self {
        let mut world = Self::without_mesh(config);
        let conn = world.greet(0, HelloMode::Create, None).unwrap().0;
        world.peers[0].conn = Some(conn);
        let genesis = world.entries[0].clone();
        world.done(0, wire::RosterAppend { entry: genesis.into() });
        world.disconnect(0);
        world
    }

    /// The owner has made its mesh, and no broker knows.
    pub(super) fn without_mesh(config: EngineConfig) -> Self {
        let mut rng = SeededRng::new(7);
        let limits = Limits { mailbox_rows: config.limits.mailbox_rows, ..Limits::default() };
        let store = Arc::new(MemoryStore::new(CoreFolds, limits, &mut rng));
        let key = SigningKey::generate(&mut rng);
        let engine = Engine::new(store.clone(), key, config.clone()).now_or_never().unwrap().unwrap();
        let owner = peer(&mut rng);
        let recovery = SigningKey::generate(&mut rng).public();
        let (genesis, mesh, _) = create_genesis(&owner.key, &recovery, Kind::Human, &mut rng).unwrap();
        let roster = Roster::genesis(&genesis).unwrap();
        Self { engine, store, config, now: START, rng, mesh, roster, entries: vec![genesis], peers: vec![owner] }
    }

    /// A mesh of so many members with one connected device each, the owner first, all with published prekeys.
    pub(super) fn of(members: usize) -> Self {
        Self::of_with(members, EngineConfig::default())
    }

    pub(super) fn of_with(members: usize, config: EngineConfig) -> Self {
        let mut world = Self::with(config);
        world.connect(0);
        for _ in 1..members {
            world.join();
        }
        for at in 0..members {
            world.publish_record(at);
        }
        for peer in &mut world.peers {
            peer.take();
        }
        world
    }

    /// Drives the engine until nothing more happens; who was cut off has no connection any more.
    pub(super) fn settle(&mut self) {
        let mut busy = true;
        while std::mem::take(&mut busy) {
            for peer in &mut self.peers {
                let Some(conn) = &peer.conn else { continue };
                if conn.outbox.take_work() {
                    wait(self.engine.pump(conn.id, self.now));
                    busy = true;
                }
                while let Some(bytes) = conn.outbox.try_next() {
                    let Frame { request, body } = Frame::decode(&bytes).expect("the broker's frames decode");
                    match request {
                        0 => peer.pushed.push(body),
                        request => assert!(peer.replies.insert(request, body).is_none(), "one reply a request"),
                    }
                    busy = true;
                }
                if conn.outbox.has_ended() {
                    peer.conn = None;
                }
            }
        }
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, millis: u64) {
        self.now = self.now.plus(millis);
        wait(self.engine.tick(self.now));
        self.settle();
    }

    /// Lets time pass while everybody pings.
    pub(super) fn tick_awake(&mut self, millis: u64) {
        for at in 0..self.peers.len() {
            if self.peers[at].conn.is_some() {
                self.ask(at, wire::Ping { time: 0 });
            }
        }
        self.tick(millis);
    }

    /// Sends raw bytes.
    pub(super) fn send_bytes(&mut self, at: usize, bytes: &[u8]) {
        let id = self.peers[at].conn.as_ref().expect("connected").id;
        wait(self.engine.receive(id, bytes, self.now));
        self.settle();
    }

    /// Sends a request without settling; its number.
    pub(super) fn post(&mut self, at: usize, body: impl Into<Body>) -> u64 {
        let peer = &mut self.peers[at];
        peer.requests += 1;
        let request = peer.requests;
        let id = peer.conn.as_ref().expect("connected").id;
        wait(self.engine.receive(id, &Frame::new(request, body).encode(), self.now));
        request
    }

    /// Sends a request; the reply.
    pub(super) fn ask(&mut self, at: usize, body: impl Into<Body>) -> Body {
        let request = self.post(at, body);
        self.settle();
        self.reply(at, request)
    }

    pub(super) fn reply(&mut self, at: usize, request: u64) -> Body {
        self.peers[at].replies.remove(&request).expect("every request gets a reply")
    }

    /// Sends a request that is refused; the code.
    pub(super) fn refusal(&mut self, at: usize, body: impl Into<Body>) -> ErrorCode {
        match self.ask(at, body) {
            Body::Error(error) => error.code,
            other => panic!("{} instead of an error", other.name()),
        }
    }

    pub(super) fn done(&mut self, at: usize, body: impl Into<Body>) {
        assert_eq!(self.ask(at, body), Body::Done(wire::Done {}));
    }

    /// A new connection with the challenge taken.
    pub(super) fn open(&mut self) -> (Conn, wire::Challenge) {
        let conn = self.engine.open(self.now, &mut self.rng).unwrap();
        let bytes = conn.outbox.try_next().expect("the broker speaks first");
        let Body::Challenge(challenge) = Frame::decode(&bytes).unwrap().body else { panic!("not a challenge") };
        (conn, challenge)
    }

    /// Says hello with the key of a peer; the connection with its welcome.
    pub(super) fn greet(
        &mut self,
        at: usize,
        mode: HelloMode,
        invite: Option<&SigningKey>,
    ) -> Result<(Conn, WelcomeBody), ErrorCode> {
        let (conn, challenge) = self.open();
        let keys = [self.engine.public_key()];
        let key = &self.peers[at].key;
        let (client, hello) =
            ClientHandshake::start(&challenge, &keys, self.mesh, key, mode, invite, None, b"", &mut self.rng).unwrap();
        wait(self.engine.receive(conn.id, &Frame::new(1, hello).encode(), self.now));
        let Frame { request, body } = Frame::decode(&conn.outbox.try_next().unwrap()).unwrap();
        assert_eq!(request, 1);
        match body {
            Body::WelcomeFrame(welcome) => {
                let Welcome { body } = client.finish(&welcome).unwrap();
                self.peers[at].requests = 1;
                self.peers[at].replies.clear();
                Ok((conn, body))
            }
            Body::Error(error) => {
                let last = Frame::decode(&conn.outbox.try_next().unwrap()).unwrap().body;
                assert!(matches!(last, Body::Close(_)) && conn.outbox.has_ended());
                Err(error.code)
            }
            other => panic!("{} in answer to hello", other.name()),
        }
    }

    /// Connects a peer as a device.
    pub(super) fn connect(&mut self, at: usize) -> WelcomeBody {
        let (conn, welcome) = self.greet(at, HelloMode::Device, None).unwrap();
        // The connection it had is settled first, so that its last frames are seen.
        self.settle();
        self.peers[at].conn = Some(conn);
        self.settle();
        welcome
    }

    pub(super) fn disconnect(&mut self, at: usize) {
        let conn = self.peers[at].conn.take().expect("connected");
        self.engine.close(conn.id, self.now);
        self.settle();
    }

    /// Appends an entry through a peer's connection; all members learn of it.
    pub(super) fn append(&mut self, at: usize, entry: Vec<u8>) {
        self.done(at, wire::RosterAppend { entry: entry.clone().into() });
        self.learn(entry);
    }

    pub(super) fn learn(&mut self, entry: Vec<u8>) {
        self.roster.apply(&entry).unwrap();
        self.entries.push(entry);
    }

    /// An invite of the owner, on the roster.
    pub(super) fn invite(&mut self, uses: u64, expires: Seconds) -> SigningKey {
        let invite = SigningKey::generate(&mut self.rng);
        let new = NewInvite::to_join(invite.public(), uses, expires, Vec::new());
        let entry = self.roster.create_invite(&self.peers[0].key, new).unwrap();
        self.append(0, entry);
        invite
    }

    /// A member joins by an invite of the owner and connects; its place among the peers.
    pub(super) fn join(&mut self) -> usize {
        let invite = self.invite(1, self.now.seconds().plus(3600));
        let at = self.newcomer();
        let mode = HelloMode::Join(invite.public().invite_id());
        let conn = self.greet(at, mode, Some(&invite)).unwrap().0;
        self.peers[at].conn = Some(conn);
        let (entry, _) = self.roster.join(&self.peers[at].key, &invite, Kind::Agent, &mut self.rng).unwrap();
        self.append(at, entry);
        self.disconnect(at);
        self.connect(at);
        at
    }

    /// A device without a mesh.
    pub(super) fn newcomer(&mut self) -> usize {
        self.peers.push(peer(&mut self.rng));
        self.peers.len() - 1
    }

    pub(super) fn record(&mut self, at: usize, counter: u64) -> Bytes {
        let peer = &mut self.peers[at];
        peer.prekeys.rotate(self.now.seconds(), &mut self.rng);
        let draft = RecordDraft { counter, prekeys: peer.prekeys.public(), head: self.roster.head(), profile: None };
        DeviceRecord::sign(&peer.key, &self.mesh, &draft).unwrap().into()
    }

    pub(super) fn publish_record(&mut self, at: usize) {
        let record = self.record(at, 1);
        self.done(at, wire::RecordPut { record });
    }

    pub(super) fn header(&mut self, at: usize) -> Header {
        Header {
            mesh: self.mesh,
            sender: self.peers[at].id(),
            id: MessageId::generate(self.now, &mut self.rng),
            attempt: 1,
            expires: self.now.plus(3_600_000),
            deliver_at: None,
            head: self.roster.head(),
        }
    }

    /// The next place in the lane from one peer to another.
    pub(super) fn recipient(&mut self, from: usize, to: usize, lane: Lane) -> Recipient {
        let prekey = *self.peers[to].prekeys.public().last().expect("a published prekey");
        let device = self.peers[to].id();
        let seq = self.peers[from].seqs.entry((device, lane)).or_insert(0);
        *seq += 1;
        Recipient { device, prekey_id: prekey.id.0, prekey: prekey.public, lane, seq: *seq }
    }

    /// Seals a text under this header, in the next place of its lane to each recipient.
    pub(super) fn seal(&mut self, from: usize, to: &[usize], header: Header) -> Bytes {
        let lane = if header.deliver_at.is_some() { Lane::Scheduled } else { Lane::Next };
        let recipients = to.iter().map(|at| self.recipient(from, *at, lane)).collect();
        self.seal_to(from, recipients, header)
    }

    pub(super) fn seal_to(&mut self, from: usize, recipients: Vec<Recipient>, header: Header) -> Bytes {
        let content = Content {
            acting: vec![recipients[0].device],
            target_session: None,
            sending_session: None,
            sent_at: self.now,
            priority: Priority::Next,
            reply_to: None,
            hops: 0,
            addressed: Vec::new(),
            body: ContentBody::Text("hello".into()),
        };
        let draft = Draft { header, recipients, content };
        let peer = &mut self.peers[from];
        let sealed = seal_flush(&peer.key, &[draft], &mut peer.wraps, self.now, &mut self.rng).unwrap();
        sealed[0].encode().into()
    }

    /// Seals a text with a fresh header.
    pub(super) fn text(&mut self, from: usize, to: &[usize]) -> Bytes {
        let header = self.header(from);
        self.seal(from, to, header)
    }

    /// Enqueues submissions; the outcomes.
    pub(super) fn enqueue(&mut self, from: usize, submissions: Vec<Bytes>) -> Vec<Vec<Outcome>> {
        let submissions = List::from_vec(submissions).unwrap();
        match self.ask(from, wire::Enqueue { submissions }) {
            Body::Enqueued(enqueued) => enqueued.outcomes.iter().map(|list| list.to_vec()).collect(),
            other => panic!("{} instead of outcomes: {other:?}", other.name()),
        }
    }

    /// Sends so many texts; all are accepted.
    pub(super) fn send_texts(&mut self, from: usize, to: &[usize], mut count: usize) {
        while count > 0 {
            let batch: Vec<_> = (0..count.min(64)).map(|_| self.text(from, to)).collect();
            count -= batch.len();
            let outcomes = self.enqueue(from, batch);
            assert!(outcomes.iter().flatten().all(|outcome| *outcome == Outcome::Accepted), "{outcomes:?}");
        }
    }

    pub(super) fn verify(&self, delivery: &[u8]) -> VerifiedDelivery {
        let delivery = Delivery::decode(delivery).unwrap();
        let sender = self.roster.device(&delivery.unverified_header().sender).unwrap();
        delivery.verify(&sender.key, &self.mesh, &mut FlushCache::new()).unwrap()
    }

    pub(super) fn receipt(&self, at: usize, deliveries: &[(u64, Bytes)], state: ReceiptState) -> Bytes {
        let items: Vec<ReceiptItem> = deliveries
            .iter()
            .map(|(_, bytes)| {
                let verified = self.verify(bytes);
                let header = verified.header();
                let envelope = verified.envelope_hash();
                ReceiptItem { sender: header.sender, id: header.id, attempt: header.attempt, envelope, state }
            })
            .collect();
        Receipt::sign(&self.peers[at].key, self.mesh, self.roster.head(), &items).unwrap().encode().into()
    }

    /// Acknowledges deliveries.
    pub(super) fn acknowledge(&mut self, at: usize, deliveries: &[(u64, Bytes)]) {
        let receipt = self.receipt(at, deliveries, ReceiptState::Delivered);
        self.done(at, wire::ReceiptPut { receipt });
    }
}

fn peer(rng: &mut SeededRng) -> Peer {
    Peer {
        key: SigningKey::generate(rng),
        prekeys: PrekeyRing::new(),
        conn: None,
        pushed: Vec::new(),
        replies: BTreeMap::new(),
        requests: 0,
        seqs: BTreeMap::new(),
        wraps: WrapCache::new(),
    }
}
