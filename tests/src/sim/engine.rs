//! The broker itself in the simulation: its engine over its memory store, without sockets, threads or a clock.

mod disk;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use claudemesh_broker::store::{LogAppend, LogItem, Page, RecordPut, Store};
use claudemesh_broker::{Answer, Conn, Engine, EngineConfig};
use claudemesh_core::codec::Bytes;
use claudemesh_core::device::DeviceRecord;
use claudemesh_core::envelope::Submission;
use claudemesh_core::log::LogEntry;
use claudemesh_core::testing::SeededRng;
use claudemesh_core::wire::{Body, Frame, Outcome};
use claudemesh_core::{DeviceId, LogId, MeshId, MessageId, Millis, PublicKey, Roster, SigningKey};

use super::broker::{ConnId, Disk, Out, SimBroker};
use super::dice::Dice;
use disk::PowerStore;

/// What an enqueue named: per submission its sender, id and recipients.
type Offered = Vec<(DeviceId, MessageId, Vec<DeviceId>)>;

/// The engine, and what outlives it.
#[derive(Debug)]
pub struct EngineBroker {
    engine: Engine,
    store: Arc<PowerStore>,
    mesh: MeshId,
    key: SigningKey,
    rng: SeededRng,
    conns: BTreeMap<ConnId, Conn>,
    next: ConnId,
    answers: Vec<Answer>,
    offered: BTreeMap<(ConnId, u64), Offered>,
    accepted: BTreeSet<(DeviceId, DeviceId, MessageId)>,
}

/// Everything over the memory store is there when it is asked for.
fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..64 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
    panic!("the engine waits for something over a store that never waits");
}

/// The roster index a log entry was made at.
fn head_of(bytes: &Bytes) -> u64 {
    LogEntry::parse(bytes.clone()).expect("a log entry").body().head.index
}

fn append_of(mesh: MeshId, bytes: &Bytes) -> LogAppend {
    let entry = LogEntry::parse(bytes.clone()).expect("a log entry");
    let body = entry.body();
    LogAppend {
        mesh,
        log: body.log,
        author: body.author,
        seq: body.seq,
        seen: (body.seen.offset, body.seen.hash.0),
        hash: *entry.hash(),
        entry: bytes.clone(),
        expected_tail: None,
    }
}

fn config() -> EngineConfig {
    let mut config = EngineConfig::default();
    config.limits.window = 4;
    config
}

impl EngineBroker {
    /// A broker that holds what is on this disk.
    ///
    /// # Panics
    /// When the broker does not take what the reference broker took.
    #[must_use]
    pub fn new(key: [u8; 32], disk: &Disk, seed: u64, now: Millis) -> Self {
        let store = Arc::new(PowerStore::new(seed));
        let roster = disk.roster().expect("a disk with a mesh");
        let mesh = roster.mesh();
        let mut entries = disk.entries().iter();
        for (index, bytes) in disk.log(&LogId::of_mesh(&mesh)).iter().map(|bytes| (head_of(bytes), bytes)) {
            // A commit is taken at the head it names only.
            while entries.len() as u64 + index + 1 > disk.entries().len() as u64 {
                let entry = entries.next().expect("an entry for every head");
                now_or_never(store.roster_append_if_head(mesh, entry.clone(), now)).expect("a valid roster entry");
            }
            now_or_never(store.log_append(append_of(mesh, bytes), now)).expect("a valid log entry");
        }
        for entry in entries {
            now_or_never(store.roster_append_if_head(mesh, entry.clone(), now)).expect("a valid roster entry");
        }
        for (device, bytes) in disk.records() {
            let owner = roster.device(&device).expect("a device of the mesh");
            let record = DeviceRecord::verify(&bytes, &mesh, &owner.key).expect("a valid record");
            let prekeys = record.prekeys().iter().map(|prekey| (prekey.id.0, prekey.expires.0)).collect();
            let put = RecordPut { mesh, device, counter: record.counter(), record: bytes, prekeys };
            now_or_never(store.record_put(put, now)).expect("a record");
        }
        let key = SigningKey::from_seed(&key);
        let engine = Self::boot(&store, &key);
        Self {
            engine,
            store,
            mesh,
            key,
            rng: SeededRng::new(seed),
            conns: BTreeMap::new(),
            next: 0,
            answers: Vec::new(),
            offered: BTreeMap::new(),
            accepted: BTreeSet::new(),
        }
    }

    fn boot(store: &Arc<PowerStore>, key: &SigningKey) -> Engine {
        let key = SigningKey::from_seed(&key.seed());
        now_or_never(Engine::new(store.clone(), key, config())).expect("an engine")
    }

    /// Remembers what a connection offers, to know what an answer is about.
    fn note_offer(&mut self, conn: ConnId, bytes: &[u8]) {
        let Ok(Frame { request, body: Body::Enqueue(enqueue) }) = Frame::decode(bytes) else { return };
        let read = |bytes: &[u8]| {
            let parsed = Submission::decode(bytes).ok()?.parse().ok()?;
            let recipients = parsed.records().iter().map(|record| record.recipient).collect();
            Some((parsed.header().sender, parsed.header().id, recipients))
        };
        self.offered.insert((conn, request), enqueue.submissions.iter().filter_map(|bytes| read(bytes)).collect());
    }

    fn note_answer(&mut self, conn: ConnId, bytes: &[u8]) {
        let Ok(Frame { request, body: Body::Enqueued(reply) }) = Frame::decode(bytes) else { return };
        let offered = self.offered.remove(&(conn, request)).unwrap_or_default();
        for ((sender, id, recipients), outcomes) in offered.into_iter().zip(reply.outcomes.iter()) {
            for (recipient, outcome) in recipients.into_iter().zip(outcomes.iter()) {
                if matches!(outcome, Outcome::Accepted | Outcome::Duplicate) {
                    self.accepted.insert((sender, recipient, id));
                }
            }
        }
    }
}

impl SimBroker for EngineBroker {
    fn key(&self) -> PublicKey {
        self.key.public()
    }

    fn open(&mut self, now: Millis) -> ConnId {
        self.next += 1;
        if let Ok(conn) = self.engine.open(now, &mut self.rng) {
            self.conns.insert(self.next, conn);
        }
        self.next
    }

    fn receive(&mut self, conn: ConnId, bytes: &[u8], now: Millis) {
        let Some(id) = self.conns.get(&conn).map(|conn| conn.id) else { return };
        self.note_offer(conn, bytes);
        self.answers.push(self.engine.receive(id, bytes, now));
    }

    fn close(&mut self, conn: ConnId, now: Millis) {
        if let Some(conn) = self.conns.remove(&conn) {
            self.engine.close(conn.id, now);
        }
    }

    fn tick(&mut self, now: Millis) {
        let answer = self.engine.tick(now);
        self.answers.push(answer);
    }

    fn commit(&mut self, now: Millis) -> Vec<(ConnId, Out)> {
        for answer in std::mem::take(&mut self.answers) {
            now_or_never(answer);
        }
        loop {
            let due: Vec<_> = self.conns.values().filter(|conn| conn.outbox.take_work()).map(|conn| conn.id).collect();
            if due.is_empty() {
                break;
            }
            for id in due {
                now_or_never(self.engine.pump(id, now));
            }
        }
        let mut out = Vec::new();
        let conns: Vec<_> = self.conns.iter().map(|(id, conn)| (*id, conn.clone())).collect();
        for (id, conn) in conns {
            while let Some(bytes) = conn.outbox.try_next() {
                self.note_answer(id, &bytes);
                out.push((id, Out::Frame(bytes)));
            }
            if conn.outbox.has_ended() {
                self.conns.remove(&id);
                out.push((id, Out::Closed));
            }
        }
        out
    }

    fn crash(&mut self) {
        self.answers.clear();
        self.conns.clear();
        self.offered.clear();
        self.engine = Self::boot(&self.store, &self.key);
    }

    fn fail_power(&mut self, dice: &mut Dice) {
        self.store.fail_power(dice);
        self.crash();
    }

    fn accepted(&self, sender: &DeviceId, recipient: &DeviceId, id: &MessageId) -> bool {
        self.accepted.contains(&(*sender, *recipient, *id))
    }

    fn roster(&self) -> Option<Roster> {
        let range = now_or_never(self.store.roster_range(self.mesh, 0, Page::of(1024))).ok()?;
        Roster::from_entries(range.entries.iter().map(|entry| &entry.0)).ok()
    }

    fn log(&self, log: &LogId) -> Vec<Bytes> {
        let Ok(range) = now_or_never(self.store.log_range(self.mesh, *log, 1, Page::of(1024))) else {
            return Vec::new();
        };
        let whole = |item| if let LogItem::Entry(bytes) = item { Some(bytes) } else { None };
        range.entries.into_iter().filter_map(whole).collect()
    }

    fn waiting(&self, device: &DeviceId, now: Millis) -> usize {
        now_or_never(self.store.mailbox(self.mesh, *device, 0, Page::of(64), now)).map_or(0, |rows| rows.len())
    }
}
