//! Logs at the reference broker: chains of entries, each judged by the function that clients use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use claudemesh_core::codec::{Bytes, HashBytes, List};
use claudemesh_core::hash::Hash;
use claudemesh_core::log::{At, Chain, EntryKind, LogEntry, LogTip, Past, check_append};
use claudemesh_core::wire::{self, ErrorCode, Frame};
use claudemesh_core::{DeviceId, LogId};

use super::disk::Disk;
use super::{Open, Reply};

/// A log that somebody has written to.
#[derive(Clone, Debug)]
pub struct KeptLog {
    entries: Vec<Arc<Bytes>>,
    hashes: Vec<Hash>,
    tip: LogTip,
    seqs: BTreeMap<(DeviceId, u64), (Hash, u64)>,
}

/// A broker that shows some devices other logs than the rest.
#[derive(Clone, Debug)]
pub struct Split {
    devices: BTreeSet<DeviceId>,
    logs: BTreeMap<LogId, Arc<KeptLog>>,
}

impl KeptLog {
    fn chain_at(&self, offset: u64) -> Option<Hash> {
        match offset {
            0 => Some(Chain::new(self.tip.log()).tail().hash.0),
            _ => self.hashes.get(usize::try_from(offset).ok()? - 1).copied(),
        }
    }

    /// Whether the device may read from here, with this hash behind it.
    fn check_reader(&self, device: &DeviceId, from: u64, hash: &HashBytes, compares: bool) -> Result<(), ErrorCode> {
        if !self.tip.grants(device) {
            return Err(ErrorCode::Forbidden);
        }
        let agrees = !compares || self.chain_at(from - 1) == Some(hash.0);
        if agrees { Ok(()) } else { Err(ErrorCode::BrokerRolledBack) }
    }
}

impl Past for KeptLog {
    fn hash_at(&self, offset: u64) -> Option<Hash> {
        self.chain_at(offset)
    }

    fn kind_at(&self, offset: u64) -> Option<EntryKind> {
        let bytes = self.entries.get(usize::try_from(offset).ok()?.checked_sub(1)?)?;
        LogEntry::parse(Bytes::clone(bytes)).ok().map(|entry| entry.body().kind)
    }
}

impl Disk {
    /// The entries of a log, from offset 1.
    #[must_use]
    pub fn log(&self, log: &LogId) -> Vec<Bytes> {
        self.logs.get(log).map_or_else(Vec::new, |log| log.entries.iter().map(|entry| Bytes::clone(entry)).collect())
    }

    /// From now on these devices are shown logs of their own.
    pub(super) fn split_logs(&mut self, devices: BTreeSet<DeviceId>) {
        self.split = Some(Split { devices, logs: self.logs.clone() });
    }

    /// All are shown the same again.
    pub(super) fn join_logs(&mut self) {
        self.split = None;
    }

    fn logs_of(&mut self, device: &DeviceId) -> &mut BTreeMap<LogId, Arc<KeptLog>> {
        match &mut self.split {
            Some(split) if split.devices.contains(device) => &mut split.logs,
            _ => &mut self.logs,
        }
    }

    fn log_of(&self, device: &DeviceId, log: &LogId) -> Option<&Arc<KeptLog>> {
        match &self.split {
            Some(split) if split.devices.contains(device) => split.logs.get(log),
            _ => self.logs.get(log),
        }
    }

    pub(super) fn log_append(&mut self, device: &DeviceId, append: &wire::LogAppend) -> Reply {
        let entry = LogEntry::parse(append.entry.clone()).map_err(|_| ErrorCode::Malformed)?;
        let roster = self.roster.clone().ok_or(ErrorCode::UnknownMesh)?;
        let id = entry.body().log;
        if entry.body().author != *device || entry.body().mesh != roster.mesh() {
            return Err(ErrorCode::Forbidden);
        }
        let mut kept = self.log_of(device, &id).cloned().unwrap_or_else(|| {
            let tip = LogTip::new(roster.mesh(), id);
            Arc::new(KeptLog { entries: Vec::new(), hashes: Vec::new(), tip, seqs: BTreeMap::new() })
        });
        let name = (*device, entry.body().seq);
        let offset = match kept.seqs.get(&name).copied() {
            Some((hash, offset)) if hash == *entry.hash() => offset,
            Some(_) => return Err(ErrorCode::IdConflict),
            None => {
                if append.expected.is_some_and(|expected| expected != kept.tip.tail().offset) {
                    return Err(ErrorCode::OffsetMoved);
                }
                check_append(&kept.tip, &entry, &*roster, At::Current, &*kept)
                    .map_err(|error| ErrorCode::from_wire(error.code()))?;
                let log = Arc::make_mut(&mut kept);
                let position = log.tip.advance(&entry);
                log.hashes.push(position.hash.0);
                log.entries.push(Arc::new(append.entry.clone()));
                log.seqs.insert(name, (*entry.hash(), position.offset));
                self.logs_of(device).insert(id, kept.clone());
                position.offset
            }
        };
        let chain = HashBytes(kept.chain_at(offset).ok_or(ErrorCode::Internal)?);
        Ok(wire::LogAppended { offset, chain, commits: self.commits + 1 }.into())
    }

    pub(super) fn log_range(&self, device: &DeviceId, range: &wire::LogRange, compares: bool) -> Reply {
        let wire::LogRange { log, from, limit, hash } = *range;
        if from == 0 {
            return Err(ErrorCode::Malformed);
        }
        let kept = self.log_of(device, &log).ok_or(ErrorCode::UnknownLog)?;
        kept.check_reader(device, from, &hash, compares)?;
        let entries = kept.entries.iter().skip(from as usize - 1).take(limit.clamp(1, 1024) as usize);
        let entries = List::from_vec(entries.map(|entry| Bytes::clone(entry)).collect());
        let entries = entries.map_err(|_| ErrorCode::TooLarge)?;
        Ok(wire::LogEntries { log, from, entries, tail: kept.entries.len() as u64 }.into())
    }

    pub(super) fn may_follow(
        &self,
        device: &DeviceId,
        follow: &wire::LogFollow,
        compares: bool,
    ) -> Result<(), ErrorCode> {
        let wire::LogFollow { log, from, hash } = *follow;
        if from == 0 {
            return Err(ErrorCode::Malformed);
        }
        match self.log_of(device, &log) {
            Some(kept) => kept.check_reader(device, from, &hash, compares),
            // It can be waited for.
            None if from == 1 && Chain::new(log).tail().hash == hash => Ok(()),
            None => Err(ErrorCode::UnknownLog),
        }
    }

    /// What a connection has not seen of the logs it follows.
    pub(super) fn push_logs(&self, open: &mut Open) -> Vec<Frame> {
        let mut frames = Vec::new();
        let device = open.device;
        for (log, next) in &mut open.logs {
            let Some(kept) = self.log_of(&device, log).filter(|kept| kept.tip.grants(&device)) else { continue };
            let first = usize::try_from(*next).unwrap_or(usize::MAX).saturating_sub(1);
            for entry in kept.entries.iter().skip(first) {
                let entry = Bytes::clone(entry);
                frames.push(Frame::push(wire::LogPush { log: *log, offset: *next, entry }));
                *next += 1;
            }
        }
        frames
    }
}
