//! Writes one log of the vectors, entry by entry, as its devices and broker would.

use std::collections::BTreeMap;

use claudemesh_core::hash::Hash;
use claudemesh_core::key::Secret32;
use claudemesh_core::log::{
    At, CommitPlan, EntryKind, HistoryPolicy, LogBody, LogEntry, LogError, LogTip, Past, Payload, Position, Record,
    WrapRecord, Writer, build_commit, check_append, epoch_commitment,
};
use claudemesh_core::testing::SeededRng;
use claudemesh_core::{DeviceId, LogId};
use serde_json::{Value, json};

use crate::roster::{Roster, View, hex};

pub(crate) struct Stage<'a> {
    pub(crate) roster: &'a Roster,
    /// The head in force.
    pub(crate) index: u64,
    pub(crate) tip: LogTip,
    pub(crate) secrets: BTreeMap<u64, Secret32>,
    pub(crate) rng: SeededRng,
    pub(crate) entries: Vec<Value>,
    kinds: Vec<EntryKind>,
    hashes: Vec<Hash>,
    keys: BTreeMap<String, claudemesh_core::SigningKey>,
}

impl Past for Stage<'_> {
    fn hash_at(&self, offset: u64) -> Option<Hash> {
        self.hashes.get(offset.checked_sub(1)? as usize).copied()
    }
    fn kind_at(&self, offset: u64) -> Option<EntryKind> {
        self.kinds.get(offset.checked_sub(1)? as usize).copied()
    }
}

impl<'a> Stage<'a> {
    pub(crate) fn new(roster: &'a Roster, log: LogId, seed: u64) -> Self {
        Self {
            roster,
            index: 0,
            tip: LogTip::new(roster.mesh, log),
            secrets: BTreeMap::new(),
            rng: SeededRng::new(seed),
            entries: Vec::new(),
            kinds: Vec::new(),
            hashes: Vec::new(),
            keys: roster.devices.iter().map(|(name, device)| (name.clone(), device.key())).collect(),
        }
    }

    pub(crate) fn view(&self) -> View<'a> {
        self.roster.at(self.index)
    }

    /// Lets `name` build something at the tail.
    pub(crate) fn by<T>(&mut self, name: &str, build: impl FnOnce(&Writer<'_>, &mut SeededRng) -> T) -> T {
        let head = claudemesh_core::log::Membership::head(&self.view());
        build(&self.tip.writer(&self.keys[name], head), &mut self.rng)
    }

    /// A commit by `name` to `to`, kept as the secret of the next epoch.
    pub(crate) fn commit(
        &mut self,
        name: &str,
        to: &[&str],
        history: HistoryPolicy,
        linked: bool,
        audience: Option<&[DeviceId]>,
    ) -> LogEntry {
        let epoch = self.tip.epoch() + 1;
        let recipients: Vec<_> = to.iter().map(|name| self.roster.devices[*name].recipient()).collect();
        let before = self.secrets.get(&(epoch - 1)).filter(|_| linked).map(|secret| Secret32::new(**secret));
        let plan = CommitPlan { epoch, history, before: before.as_ref(), audience, recipients: &recipients };
        let commit = self.by(name, |writer, rng| build_commit(writer, &plan, rng).unwrap());
        self.secrets.insert(epoch, commit.secret);
        commit.entry
    }

    pub(crate) fn check(&self, entry: &LogEntry) -> Result<(), LogError> {
        check_append(&self.tip, entry, &self.view(), At::Current, self)
    }

    /// Appends a valid entry and writes it down; `records` are what it seals.
    pub(crate) fn append(&mut self, entry: &LogEntry, records: &[Record]) -> Position {
        self.check(entry).unwrap();
        let position = self.tip.advance(entry);
        self.kinds.push(entry.body().kind);
        self.hashes.push(position.hash.0);
        let body = entry.body();
        self.entries.push(json!({
            "offset": position.offset, "roster_index": self.index, "bytes": hex(entry.bytes()),
            "author": body.author.to_string(), "kind": kind(body),
            "epoch": body.epoch, "seq": body.seq, "seen": [body.seen.offset, hex(&body.seen.hash.0)],
            "head": [body.head.index, hex(&body.head.hash.0)], "entry_hash": hex(entry.hash()),
            "chain_hash": hex(&position.hash.0), "payload": payload(entry.payload(), records),
        }));
        position
    }

    pub(crate) fn to_json(&self, name: &str, rest: &Value) -> Value {
        let log = self.tip.log();
        let epochs: Vec<Value> = self
            .secrets
            .iter()
            .map(|(epoch, secret)| {
                let commitment = epoch_commitment(&log, *epoch, secret);
                json!({ "epoch": epoch, "secret": hex(&secret[..]), "commitment": hex(&commitment) })
            })
            .collect();
        let mut value = json!({
            "name": name, "log": log.to_string(), "roster": self.roster.to_json(), "epochs": epochs,
            "chain_start": hex(&claudemesh_core::log::Chain::new(log).tail().hash.0), "entries": self.entries,
        });
        for (key, item) in rest.as_object().unwrap() {
            value[key] = item.clone();
        }
        value
    }
}

fn kind(body: &LogBody) -> u64 {
    match body.kind {
        EntryKind::Records => 0,
        EntryKind::Commit => 1,
        EntryKind::HistoryLink => 2,
        EntryKind::Rewrap => 3,
        EntryKind::BadCommit => 4,
        EntryKind::Compaction => 5,
        _ => unreachable!("a kind of version 1"),
    }
}

pub(crate) fn record_json(records: &[Record]) -> Vec<Value> {
    records.iter().map(|record| json!([record.kind, hex(&record.data)])).collect()
}

fn wraps_json(wraps: &[WrapRecord]) -> Vec<Value> {
    wraps.iter().map(|it| json!([it.device.to_string(), it.prekey, hex(&it.wrap)])).collect()
}

/// The decoded payload.
pub(crate) fn payload(payload: &Payload, records: &[Record]) -> Value {
    match payload {
        Payload::Records => json!({ "records": record_json(records) }),
        Payload::Commit(commit) => json!({
            "head": [commit.head.index, hex(&commit.head.hash.0)], "commitment": hex(&commit.commitment.0),
            "wraps": wraps_json(&commit.wraps), "history": commit.history as u64,
            "link": commit.link.map(|link| hex(link.as_bytes())),
            "audience": commit.audience.as_ref().map(|it| it.iter().map(DeviceId::to_string).collect::<Vec<_>>()),
        }),
        Payload::HistoryLink(link) => json!({ "epoch": link.epoch, "sealed": hex(link.sealed.as_bytes()) }),
        Payload::Rewrap(rewrap) => json!({ "epoch": rewrap.epoch, "wraps": wraps_json(&rewrap.wraps) }),
        Payload::BadCommit(report) => json!({ "epoch": report.epoch, "reason": report.reason as u64 + 1 }),
        Payload::Compaction(compaction) => json!({ "offsets": compaction.offsets.to_vec() }),
        _ => unreachable!("a kind of version 1"),
    }
}
