//! Replays the vectors of logs. `CLAUDEMESH_WRITE_VECTORS=1` writes them anew; else they must be what is generated.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "vectors_log/roster.rs"]
mod roster;
#[path = "vectors_log/stage.rs"]
mod stage;
#[path = "vectors_log/write.rs"]
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;

use claudemesh_core::hash::Hash;
use claudemesh_core::log::directory::Directory;
use claudemesh_core::log::*;
use claudemesh_core::{DeviceId, LogId};
use serde_json::{Value, json};

use roster::{Roster, bytes, fixed, hex};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/log.json")
}

fn read() -> Value {
    serde_json::from_slice(&std::fs::read(path()).unwrap()).unwrap()
}

#[test]
fn vectors_are_what_the_code_generates() {
    let text = serde_json::to_string_pretty(&write::vectors()).unwrap() + "\n";
    if std::env::var_os("CLAUDEMESH_WRITE_VECTORS").is_some() {
        std::fs::write(path(), &text).unwrap();
    }
    assert!(std::fs::read_to_string(path()).unwrap() == text, "log.json differs from what the code generates");
}

/// What a store would know of the entries of a vector.
struct Store<'a>(&'a [Value]);

impl Store<'_> {
    fn at(&self, offset: u64) -> Option<&Value> {
        self.0.get(offset.checked_sub(1)? as usize)
    }
}

impl Past for Store<'_> {
    fn hash_at(&self, offset: u64) -> Option<Hash> {
        self.at(offset).map(|entry| fixed(&entry["chain_hash"]))
    }
    fn kind_at(&self, offset: u64) -> Option<EntryKind> {
        self.at(offset).map(|entry| LogEntry::parse(bytes(&entry["bytes"])).unwrap().body().kind)
    }
}

struct Log<'a> {
    roster: Roster,
    id: LogId,
    entries: &'a [Value],
    value: &'a Value,
}

impl<'a> Log<'a> {
    fn new(value: &'a Value) -> Self {
        Self {
            roster: Roster::from_json(&value["roster"]),
            id: value["log"].as_str().unwrap().parse().unwrap(),
            entries: value["entries"].as_array().unwrap(),
            value,
        }
    }

    fn reader(&self, name: &str) -> LogReader {
        LogReader::new(self.roster.mesh, self.id, self.roster.devices[name].id())
    }

    fn apply(&self, reader: &mut LogReader, name: &str, offset: u64, served: Served<'_>) -> Vec<LogEvent> {
        let device = &self.roster.devices[name];
        let prekeys = |id| (id == device.prekey_id).then(|| device.prekey());
        reader.apply(offset, served, &self.roster.full(), prekeys, &()).unwrap()
    }

    fn name(&self, device: &DeviceId) -> &str {
        self.roster.devices.iter().find(|(_, it)| it.id() == *device).unwrap().0
    }
}

#[test]
fn valid_logs_replay_for_broker_and_reader() {
    let vectors = read();
    for value in vectors["valid"].as_array().unwrap() {
        let log = Log::new(value);
        let mut broker = LogTip::new(log.roster.mesh, log.id);
        assert_eq!(hex(&broker.tail().hash.0), value["chain_start"].as_str().unwrap());
        let name = value["reader"].as_str().unwrap();
        let mut reader = log.reader(name);
        for (at, expected) in log.entries.iter().enumerate() {
            let raw = bytes(&expected["bytes"]);
            let entry = LogEntry::parse(&raw[..]).unwrap();
            let view = log.roster.at(expected["roster_index"].as_u64().unwrap());
            let position = broker.append(&entry, &view, At::Current, &Store(&log.entries[..at])).unwrap();
            let body = entry.body();
            assert_eq!(json!(position.offset), expected["offset"]);
            assert_eq!(json!(hex(&position.hash.0)), expected["chain_hash"]);
            assert_eq!(json!(hex(entry.hash())), expected["entry_hash"]);
            assert_eq!(json!(body.author.to_string()), expected["author"]);
            assert_eq!(json!([body.epoch, body.seq]), json!([expected["epoch"], expected["seq"]]));
            log.apply(&mut reader, name, position.offset, Served::Entry(&raw));
        }
        assert_eq!(reader.tip(), &broker);
        for epoch in value["epochs"].as_array().unwrap() {
            let (number, secret) = (epoch["epoch"].as_u64().unwrap(), fixed(&epoch["secret"]));
            assert_eq!(hex(&epoch_commitment(&log.id, number, &secret)), epoch["commitment"].as_str().unwrap());
            if let Some(held) = reader.keys().secret(number) {
                assert_eq!(**held, secret);
            }
        }
        assert_eq!(reader.keys().missing().count(), 0);
        check_contents(&log, &reader);
        replay_with_drops(&log, name, &reader);
    }
}

/// Opens every records entry with the secrets learned, and folds the directory.
fn check_contents(log: &Log<'_>, reader: &LogReader) {
    let mut directory = Directory::new();
    for (at, expected) in log.entries.iter().enumerate() {
        let entry = LogEntry::parse(bytes(&expected["bytes"])).unwrap();
        let records = reader.open(&entry).unwrap_or_default();
        assert_eq!(stage::payload(entry.payload(), &records), expected["payload"]);
        let author = &log.roster.devices[log.name(&entry.body().author)];
        for (index, record) in records.iter().enumerate() {
            directory.apply((at as u64 + 1, index as u64), &author.member, author.admin, record, |_| true);
        }
    }
    if let Some(expected) = log.value.get("directory") {
        let names: BTreeMap<String, &str> = directory.names().map(|(id, name)| (id.to_string(), name)).collect();
        // The text record is of a type the directory does not know.
        let folded = json!({ "names": names, "label": directory.label(), "ignored": directory.ignored() });
        assert_eq!(&folded, expected);
    }
}

/// A newcomer that is served hashes for what was compacted ends at the same position.
fn replay_with_drops(log: &Log<'_>, name: &str, full: &LogReader) {
    let dropped: Vec<u64> = log.value["dropped"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    let mut reader = log.reader(name);
    for (offset, expected) in (1..).zip(log.entries) {
        let (raw, hash) = (bytes(&expected["bytes"]), bytes(&expected["entry_hash"]));
        let served = if dropped.contains(&offset) { &hash } else { &raw };
        log.apply(&mut reader, name, offset, Served::from_wire(served));
    }
    assert_eq!(reader.tip().tail(), full.tip().tail());
    assert_eq!(reader.unexplained().count(), 0);
}

#[test]
fn invalid_entries_are_refused_with_their_error() {
    let vectors = read();
    let logs: Vec<Log<'_>> = vectors["valid"].as_array().unwrap().iter().map(Log::new).collect();
    for case in vectors["invalid"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let log = logs.iter().find(|log| log.value["log"] == case["log"]).unwrap();
        let after = case["after"].as_u64().unwrap() as usize;
        let mut tip = LogTip::new(log.roster.mesh, log.id);
        let mut keys = LogKeys::new(log.roster.mesh, log.id, log.roster.devices["ann"].id());
        for (at, entry) in log.entries[..after].iter().enumerate() {
            let entry = LogEntry::parse(bytes(&entry["bytes"])).unwrap();
            tip.append(&entry, &log.roster.full(), At::Replay, &Store(&log.entries[..at])).unwrap();
            if let Payload::Commit(commit) = entry.payload() {
                let ann = &log.roster.devices["ann"];
                keys.learn_commit(&entry.body().author, entry.body().epoch, commit, |_| Some(ann.prekey()));
            }
        }
        let at = if case["mode"] == "replay" { At::Replay } else { At::Current };
        let view = log.roster.at(case["roster_index"].as_u64().unwrap());
        let verdict = LogEntry::parse(bytes(&case["bytes"])).and_then(|entry| {
            check_append(&tip, &entry, &view, at, &Store(&log.entries[..after]))?;
            Ok(entry)
        });
        if case["mode"] == "open" {
            assert_eq!(open_records(&verdict.unwrap(), &keys), Err(OpenError::CannotOpen), "{name}");
        } else {
            assert_eq!(verdict.unwrap_err().code(), case["error"].as_str().unwrap(), "{name}");
        }
    }
}
