//! All secrets a device ever held, and what they open: who is shut out has forgotten nothing, and gets every log whole from
//! the broker.

use std::collections::BTreeSet;

use claudemesh_core::DeviceId;
use claudemesh_core::codec::{HashBytes, List};
use claudemesh_core::device::PrekeyRing;
use claudemesh_core::key::PrekeySecret;
use claudemesh_core::log::{
    Commit, HistoryPolicy, LogEntry, LogKeys, LogReader, Payload, Record, epoch_commitment, open_records,
};
use claudemesh_core::session::Change;

/// What a device holds and ever held.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Secrets of epochs, of whatever log.
    secrets: BTreeSet<[u8; 32]>,
    /// Private parts of prekeys, erased ones too.
    prekeys: BTreeSet<[u8; 32]>,
}

impl Known {
    /// Keeps the secrets in what a device stores.
    pub fn note(&mut self, change: &Change) {
        match change {
            Change::LogReader { snapshot, .. } => {
                let Ok(reader) = LogReader::restore(snapshot) else { return };
                let epochs = 1..=reader.tip().epoch();
                self.secrets.extend(epochs.filter_map(|epoch| reader.keys().secret(epoch).map(|secret| **secret)));
            }
            Change::Prekeys { ring, .. } => {
                let Ok(ring) = PrekeyRing::restore(ring) else { return };
                self.prekeys.extend(ring.entries().iter().map(|entry| *entry.secret.to_bytes()));
            }
            _ => {}
        }
    }

    /// The secrets of epochs.
    pub fn secrets(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.secrets.iter()
    }

    /// Tries every prekey on every wrap in a log, made for whomever, and every link on what that gives.
    pub fn pry(&mut self, entries: &[LogEntry]) {
        let Some(first) = entries.first().map(LogEntry::body) else { return };
        let devices: BTreeSet<DeviceId> = entries.iter().flat_map(wrapped).collect();
        let mut found = BTreeSet::new();
        for device in devices {
            for prekey in &self.prekeys {
                let mut keys = LogKeys::new(first.mesh, first.log, device);
                let any = |_| Some(PrekeySecret::from_bytes(*prekey));
                learn(&mut keys, entries, any);
                found.extend(held(&keys, entries));
            }
        }
        let mut keys = LogKeys::new(first.mesh, first.log, first.author);
        learn(&mut keys, entries, |_| None::<PrekeySecret>);
        let committed: Vec<u64> = entries.iter().filter_map(epoch_of).collect();
        for secret in self.secrets.iter().chain(&found) {
            for epoch in &committed {
                let _ = keys.insert(*epoch, secret);
            }
        }
        self.secrets.extend(held(&keys, entries));
        self.secrets.append(&mut found);
    }

    /// Whether any of the secrets opens an entry, whatever epoch it is of.
    #[must_use]
    pub fn opens(&self, entry: &LogEntry) -> bool {
        self.secrets.iter().any(|secret| open_with(entry, secret).is_some())
    }
}

/// The epoch an entry opens.
fn epoch_of(entry: &LogEntry) -> Option<u64> {
    matches!(entry.payload(), Payload::Commit(_)).then(|| entry.body().epoch)
}

/// The devices an entry wraps a secret to.
pub(super) fn wrapped(entry: &LogEntry) -> Vec<DeviceId> {
    match entry.payload() {
        Payload::Commit(commit) => commit.wraps.iter().map(|wrap| wrap.device).collect(),
        Payload::Rewrap(rewrap) => rewrap.wraps.iter().map(|wrap| wrap.device).collect(),
        _ => Vec::new(),
    }
}

/// Learns from everything in a log that gives secrets.
pub(super) fn learn(keys: &mut LogKeys, entries: &[LogEntry], prekeys: impl Fn(u32) -> Option<PrekeySecret>) {
    for entry in entries {
        let author = entry.body().author;
        match entry.payload() {
            Payload::Commit(commit) => drop(keys.learn_commit(&author, entry.body().epoch, commit, &prekeys)),
            Payload::Rewrap(rewrap) => drop(keys.learn_rewrap(&author, rewrap, &prekeys)),
            Payload::HistoryLink(link) => drop(keys.learn_link(link)),
            _ => {}
        }
    }
}

fn held(keys: &LogKeys, entries: &[LogEntry]) -> Vec<[u8; 32]> {
    entries.iter().filter_map(epoch_of).filter_map(|epoch| keys.secret(epoch).map(|secret| **secret)).collect()
}

/// Opens an entry with a secret, taken for that of its epoch.
fn open_with(entry: &LogEntry, secret: &[u8; 32]) -> Option<Vec<Record>> {
    let body = entry.body();
    let mut keys = LogKeys::new(body.mesh, body.log, body.author);
    // Keys take only what was committed to: so this was.
    let commit = Commit {
        head: body.head,
        commitment: HashBytes(epoch_commitment(&body.log, body.epoch, secret)),
        wraps: List::new(),
        history: HistoryPolicy::All,
        link: None,
        audience: None,
    };
    keys.learn_commit(&body.author, body.epoch, &commit, |_| None::<PrekeySecret>);
    keys.insert(body.epoch, secret).ok()?;
    open_records(entry, &keys).ok()
}
