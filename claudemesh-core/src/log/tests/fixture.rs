//! A roster double, a broker double and clients, to tell stories with.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::codec::{Bytes, HashBytes};
use crate::hash::{Hash, Label};
use crate::head::{Connection, RosterHead};
use crate::id::{DeviceId, LogId, MemberId, MeshId};
use crate::key::{PrekeySecret, PublicKey, Secret32, SigningKey};
use crate::log::*;
use crate::testing::SeededRng;

pub(super) const MESH: MeshId = MeshId::from_bytes([0xee; 32]);

#[derive(Clone)]
struct Dev {
    seed: u8,
    added: u64,
    removed: Option<u64>,
    admin: bool,
}

/// A roster of numbered devices, one member each; every change is one roster entry.
#[derive(Clone)]
pub(super) struct Roster {
    devices: Vec<Dev>,
    head: u64,
    branch: u8,
}

impl Roster {
    /// Devices 1 (an admin) to `count`.
    pub(super) fn new(count: u8) -> Self {
        let mut roster = Self { devices: Vec::new(), head: 0, branch: 0 };
        for seed in 1..=count {
            roster.add(seed);
        }
        roster.devices[0].admin = true;
        roster
    }

    pub(super) fn add(&mut self, seed: u8) {
        self.head += 1;
        self.devices.push(Dev { seed, added: self.head, removed: None, admin: false });
    }

    pub(super) fn remove(&mut self, seed: u8) {
        self.head += 1;
        let device = self.devices.iter_mut().find(|device| device.seed == seed).unwrap();
        device.removed = Some(self.head);
    }

    /// The same roster as someone sees it who knows it up to `head`.
    pub(super) fn at(&self, head: u64) -> Self {
        Self { head, ..self.clone() }
    }

    /// Another history from here on.
    pub(super) fn branch(&self) -> Self {
        Self { branch: 1, head: self.head + 1, ..self.clone() }
    }

    fn hash(&self, index: u64) -> HashBytes {
        HashBytes(Label::new("test-roster").hash(&[&index.to_be_bytes(), &[self.branch]]))
    }

    fn find(&self, device: &DeviceId) -> Option<&Dev> {
        self.devices.iter().find(|it| id(it.seed) == *device && it.added <= self.head)
    }
}

impl Membership for Roster {
    fn mesh(&self) -> MeshId {
        MESH
    }
    fn head(&self) -> RosterHead {
        RosterHead { index: self.head, hash: self.hash(self.head) }
    }
    fn connects(&self, head: &RosterHead) -> Connection {
        match head.index {
            index if index > self.head => Connection::Ahead,
            index if self.hash(index) == head.hash => Connection::Known,
            _ => Connection::Fork,
        }
    }
    fn was_live_at(&self, device: &DeviceId, index: u64) -> bool {
        self.find(device).is_some_and(|it| it.added <= index && it.removed.is_none_or(|removed| removed > index))
    }
    fn live_devices(&self) -> Vec<DeviceId> {
        self.devices.iter().map(|it| id(it.seed)).filter(|device| self.is_live(device)).collect()
    }
    fn public_key(&self, device: &DeviceId) -> Option<PublicKey> {
        self.find(device).map(|it| key(it.seed).public())
    }
    fn removed_since(&self, index: u64) -> Vec<DeviceId> {
        let gone = |it: &&Dev| it.removed.is_some_and(|removed| removed > index && removed <= self.head);
        self.devices.iter().filter(gone).map(|it| id(it.seed)).collect()
    }
    fn member_of(&self, device: &DeviceId) -> Option<MemberId> {
        self.find(device).map(|it| MemberId::from_bytes([it.seed; 32]))
    }
    fn was_admin_at(&self, member: &MemberId, _: u64) -> bool {
        self.devices.iter().any(|it| it.admin && [it.seed; 32] == *member.as_bytes())
    }
}

pub(super) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

pub(super) fn id(seed: u8) -> DeviceId {
    key(seed).public().device_id()
}

pub(super) fn prekey(seed: u8) -> PrekeySecret {
    PrekeySecret::from_bytes(Label::new("test-prekey").hash(&[&[seed]]))
}

/// Wrapping for device `seed`, prekey 1.
pub(super) fn to(seed: u8) -> Recipient {
    Recipient { device: id(seed), prekey: 1, key: prekey(seed).public() }
}

pub(super) fn to_all(seeds: &[u8]) -> Vec<Recipient> {
    seeds.iter().map(|seed| to(*seed)).collect()
}

pub(super) fn text(text: &str) -> Record {
    Record { kind: 7, data: Bytes::from(text.as_bytes()) }
}

/// The broker's side of one log.
#[derive(Clone)]
pub(super) struct Broker {
    pub(super) tip: LogTip,
    pub(super) entries: Vec<LogEntry>,
    hashes: Vec<Hash>,
    dropped: Vec<u64>,
}

impl Broker {
    pub(super) fn new(log: LogId) -> Self {
        let tip = LogTip::new(MESH, log);
        Self { tip, entries: Vec::new(), hashes: Vec::new(), dropped: Vec::new() }
    }

    pub(super) fn append(&mut self, entry: &LogEntry, roster: &Roster) -> Result<Position, LogError> {
        let entry = LogEntry::parse(entry.bytes())?;
        check_append(&self.tip, &entry, roster, At::Current, &*self)?;
        if let Payload::Compaction(compaction) = entry.payload() {
            self.dropped.extend(compaction.offsets.iter());
        }
        Ok(self.force(&entry))
    }

    /// What a dishonest broker does.
    pub(super) fn force(&mut self, entry: &LogEntry) -> Position {
        let position = self.tip.advance(entry);
        self.entries.push(entry.clone());
        self.hashes.push(position.hash.0);
        position
    }

    pub(super) fn serve(&self, offset: u64) -> Served<'_> {
        let entry = &self.entries[offset as usize - 1];
        if self.dropped.contains(&offset) { Served::Hash(*entry.hash()) } else { Served::Entry(entry.bytes()) }
    }
}

impl Past for Broker {
    fn hash_at(&self, offset: u64) -> Option<Hash> {
        self.hashes.get(offset.checked_sub(1)? as usize).copied()
    }
    fn kind_at(&self, offset: u64) -> Option<EntryKind> {
        self.entries.get(offset.checked_sub(1)? as usize).map(|entry| entry.body().kind)
    }
}

/// One device with its reader.
pub(super) struct Client {
    pub(super) seed: u8,
    pub(super) reader: LogReader,
    pub(super) rng: SeededRng,
}

impl Client {
    pub(super) fn new(seed: u8, log: LogId) -> Self {
        Self { seed, reader: LogReader::new(MESH, log, id(seed)), rng: SeededRng::new(seed.into()) }
    }

    pub(super) fn apply(
        &mut self,
        offset: u64,
        served: Served<'_>,
        roster: &Roster,
    ) -> Result<Vec<LogEvent>, LogError> {
        let seed = self.seed;
        self.reader.apply(offset, served, roster, |number| (number == 1).then(|| prekey(seed)), &())
    }

    /// Reads what is new at the broker.
    pub(super) fn sync(&mut self, broker: &Broker, roster: &Roster) -> Result<Vec<LogEvent>, LogError> {
        let mut events = Vec::new();
        for offset in self.reader.tip().tail().offset + 1..=broker.entries.len() as u64 {
            events.extend(self.apply(offset, broker.serve(offset), roster)?);
        }
        Ok(events)
    }

    pub(super) fn write<T>(&mut self, roster: &Roster, build: impl FnOnce(&Writer<'_>, &mut SeededRng) -> T) -> T {
        let key = key(self.seed);
        build(&self.reader.tip().writer(&key, roster.head()), &mut self.rng)
    }

    pub(super) fn records(&mut self, roster: &Roster, texts: &[&str]) -> LogEntry {
        let (epoch, secret) = self.reader.keys().current().unwrap();
        let secret = Secret32::new(**secret);
        let records: Vec<Record> = texts.iter().map(|it| text(it)).collect();
        self.write(roster, |writer, rng| build_records(writer, epoch, &secret, &records, rng).unwrap())
    }

    pub(super) fn commit(&mut self, roster: &Roster, seeds: &[u8], history: HistoryPolicy) -> NewCommit {
        self.commit_for(roster, seeds, history, None)
    }

    pub(super) fn commit_for(
        &mut self,
        roster: &Roster,
        seeds: &[u8],
        history: HistoryPolicy,
        audience: Option<&[DeviceId]>,
    ) -> NewCommit {
        let epoch = self.reader.tip().epoch() + 1;
        let before = self.reader.keys().secret(epoch - 1).map(|secret| Secret32::new(**secret));
        let recipients = to_all(seeds);
        let plan = CommitPlan { epoch, history, before: before.as_ref(), audience, recipients: &recipients };
        self.write(roster, |writer, rng| build_commit(writer, &plan, rng).unwrap())
    }
}

/// The texts of all records among `events`, with their authors.
pub(super) fn texts(events: &[LogEvent]) -> Vec<(DeviceId, &str)> {
    let mut out = Vec::new();
    for event in events {
        if let LogEvent::Records { author, records, .. } = event {
            out.extend(records.iter().map(|record| (*author, core::str::from_utf8(&record.data).unwrap())));
        }
    }
    out
}

/// A log with its broker and clients 1 to `count`, all of them wrapped in epoch 1 and caught up.
pub(super) struct World {
    pub(super) roster: Roster,
    pub(super) broker: Broker,
    pub(super) clients: BTreeMap<u8, Client>,
}

impl World {
    pub(super) fn new(count: u8, history: HistoryPolicy) -> Self {
        let log = LogId::from_bytes([0x1d; 16]);
        let roster = Roster::new(count);
        let clients = (1..=count).map(|seed| (seed, Client::new(seed, log))).collect();
        let mut world = Self { roster, broker: Broker::new(log), clients };
        let seeds: Vec<u8> = (1..=count).collect();
        let roster = world.roster.clone();
        let commit = world.client(1).commit(&roster, &seeds, history);
        world.append(&commit.entry).unwrap();
        world.sync();
        world
    }

    pub(super) fn client(&mut self, seed: u8) -> &mut Client {
        self.clients.get_mut(&seed).unwrap()
    }

    pub(super) fn append(&mut self, entry: &LogEntry) -> Result<Position, LogError> {
        self.broker.append(entry, &self.roster)
    }

    /// All clients catch up; the events of each.
    pub(super) fn sync(&mut self) -> BTreeMap<u8, Vec<LogEvent>> {
        let Self { roster, broker, clients } = self;
        clients.iter_mut().map(|(seed, client)| (*seed, client.sync(broker, roster).unwrap())).collect()
    }

    /// Client `seed` writes one text.
    pub(super) fn say(&mut self, seed: u8, words: &str) -> Result<Position, LogError> {
        let roster = self.roster.clone();
        let entry = self.client(seed).records(&roster, &[words]);
        self.append(&entry)
    }

    /// Client `seed` commits the next epoch to `seeds`.
    pub(super) fn commit(&mut self, seed: u8, seeds: &[u8]) -> Result<Position, LogError> {
        let roster = self.roster.clone();
        let client = self.client(seed);
        let history = client.reader.tip().history().unwrap();
        let commit = client.commit(&roster, seeds, history);
        self.append(&commit.entry)
    }
}
