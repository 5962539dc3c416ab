//! A log as the broker keeps it, opened with all secrets that anybody ever held.

use std::collections::{BTreeMap, BTreeSet};

use claudemesh_core::codec::Bytes;
use claudemesh_core::hash::Hash;
use claudemesh_core::key::PrekeySecret;
use claudemesh_core::log::{EntryKind, HistoryPolicy, LogEntry, LogKeys, LogTip, Payload, Record, open_records};
use claudemesh_core::{DeviceId, LogId, MeshId, Roster};

use super::known::{self, Known};

/// Who an epoch is for.
#[derive(Debug)]
pub(super) struct Epoch {
    author: DeviceId,
    /// Devices its secret was wrapped to, by the commit or since.
    pub(super) wrapped: BTreeSet<DeviceId>,
    /// Devices that may hold it.
    meant: BTreeSet<DeviceId>,
    pub(super) audience: Option<BTreeSet<DeviceId>>,
    history: HistoryPolicy,
    /// The epoch before opens with it.
    linked: bool,
}

/// A log and what is in it.
#[derive(Debug)]
pub(super) struct Truth {
    pub(super) entries: Vec<LogEntry>,
    /// Chain hash after each entry.
    pub(super) chain: Vec<Hash>,
    pub(super) tip: LogTip,
    /// By offset.
    pub(super) records: BTreeMap<u64, Vec<Record>>,
    pub(super) epochs: BTreeMap<u64, Epoch>,
}

impl Truth {
    /// Reads a log whole.
    pub(super) fn of(
        log: LogId,
        entries: &[Bytes],
        roster: &Roster,
        (devices, known): (&[DeviceId], &[&Known]),
    ) -> Result<Self, String> {
        let mesh = roster.mesh();
        let parse = |bytes: &Bytes| LogEntry::parse(bytes.clone()).map_err(|error| format!("a broker keeps {error}"));
        let entries: Vec<LogEntry> = entries.iter().map(parse).collect::<Result<_, _>>()?;
        let mut tip = LogTip::new(mesh, log);
        let mut epochs = BTreeMap::new();
        let mut chain = Vec::new();
        for entry in &entries {
            chain.push(tip.advance(entry).hash.0);
            enter(&mut epochs, entry, roster, devices);
        }
        let keys = all_keys(mesh, log, &entries, &epochs, known);
        let mut records = BTreeMap::new();
        for (offset, entry) in (1..).zip(&entries).filter(|(_, entry)| entry.body().kind == EntryKind::Records) {
            let opened = open_records(entry, &keys);
            records
                .insert(offset, opened.map_err(|error| format!("nobody can read offset {offset} of {log}: {error}"))?);
        }
        Ok(Self { entries, chain, tip, records, epochs })
    }

    /// Whether the secret of an epoch was wrapped to a device.
    pub(super) fn was_wrapped(&self, device: &DeviceId, epoch: u64) -> bool {
        self.epochs.get(&epoch).is_some_and(|epoch| epoch.wrapped.contains(device))
    }

    /// Whether a device is to have an epoch when all have done their part: it was wrapped to it, or leads back from a later
    /// one that it has. Wraps count when their author is one whose wraps `open`.
    pub(super) fn is_due(&self, device: &DeviceId, epoch: u64, open: &impl Fn(&DeviceId) -> bool) -> bool {
        let back = |next: &Epoch| next.history == HistoryPolicy::All;
        let good = self.epochs.get(&epoch).is_some_and(|epoch| open(&epoch.author));
        (good && self.was_wrapped(device, epoch))
            || (self.epochs.get(&(epoch + 1)).is_some_and(back) && self.is_due(device, epoch + 1, open))
    }

    /// Whether a device may have an epoch: it is meant for it, or there is a way back from a later one.
    pub(super) fn may_read(&self, device: &DeviceId, epoch: u64) -> bool {
        let back = |next: &Epoch| next.linked;
        self.was_wrapped(device, epoch)
            || self.epochs.get(&epoch).is_some_and(|epoch| epoch.meant.contains(device))
            || (self.epochs.get(&(epoch + 1)).is_some_and(back) && self.may_read(device, epoch + 1))
    }

    /// Whether every commit was for a device.
    pub(super) fn always_meant(&self, device: &DeviceId) -> bool {
        self.epochs.values().all(|epoch| epoch.wrapped.contains(device))
    }

    /// Whether every audience there was had the device in it.
    pub(super) fn never_shut_out(&self, device: &DeviceId) -> bool {
        let in_it = |epoch: &Epoch| epoch.audience.as_ref().is_none_or(|audience| audience.contains(device));
        self.epochs.values().all(in_it)
    }

    /// The addresses of a record.
    pub(super) fn find(&self, record: &Record) -> Vec<(u64, u64)> {
        let entries = self.records.iter();
        let at = |(offset, records): (&u64, &Vec<Record>)| {
            let offset = *offset;
            let found = (0..).zip(records).filter(|(_, there)| *there == record).map(move |(index, _)| (offset, index));
            found.collect::<Vec<_>>()
        };
        entries.flat_map(at).collect()
    }
}

fn enter(epochs: &mut BTreeMap<u64, Epoch>, entry: &LogEntry, roster: &Roster, devices: &[DeviceId]) {
    match entry.payload() {
        Payload::Commit(commit) => {
            let audience = commit.audience.as_ref().map(|devices| devices.iter().copied().collect::<BTreeSet<_>>());
            let live = |device: &DeviceId| roster.was_live_at(device, commit.head.index);
            let all = || devices.iter().copied().collect();
            let meant = audience.clone().unwrap_or_else(all).into_iter().filter(live).collect();
            let wrapped = known::wrapped(entry).into_iter().collect();
            let (history, linked) = (commit.history, commit.link.is_some());
            let author = entry.body().author;
            epochs.insert(entry.body().epoch, Epoch { author, wrapped, meant, audience, history, linked });
        }
        Payload::Rewrap(rewrap) => {
            if let Some(epoch) = epochs.get_mut(&rewrap.epoch) {
                epoch.wrapped.extend(known::wrapped(entry));
            }
        }
        Payload::HistoryLink(link) => {
            if let Some(epoch) = epochs.get_mut(&link.epoch) {
                epoch.linked = true;
            }
        }
        _ => {}
    }
}

fn all_keys(
    mesh: MeshId,
    log: LogId,
    entries: &[LogEntry],
    epochs: &BTreeMap<u64, Epoch>,
    known: &[&Known],
) -> LogKeys {
    let mut keys = LogKeys::new(mesh, log, DeviceId::from_bytes([0; 32]));
    known::learn(&mut keys, entries, |_| None::<PrekeySecret>);
    for known in known {
        for secret in known.secrets() {
            for epoch in epochs.keys().filter(|epoch| keys.secret(**epoch).is_none()).copied().collect::<Vec<_>>() {
                let _ = keys.insert(epoch, secret);
            }
        }
    }
    keys
}
