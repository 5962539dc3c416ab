//! Rules simple enough to read in a test, for exercising a store without signatures.
//!
//! A roster entry is a kind, its index (8 bytes, big-endian) and a device; a log entry is a kind, an epoch (8 bytes) and
//! free bytes. See [`RosterKind`] and [`LogKind`].

use std::collections::HashSet;

use claudemesh_core::codec::{Bytes, HashBytes};
use claudemesh_core::hash::{Hash, sha256};
use claudemesh_core::{DeviceId, LogId, MemberId, MeshId, Millis, RosterHead};

use super::{Folds, LogContext, LogFold, Refusal, RosterEffect, RosterFold};

/// What a test's roster entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RosterKind {
    /// Begins the mesh with a device.
    Genesis = 0,
    /// Adds a device.
    Add = 1,
    /// Removes a device.
    Remove = 2,
    /// Closes the mesh.
    Close = 3,
    /// An entry whose invite has expired.
    Expired = 4,
}

/// What a test's log entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LogKind {
    /// Holds bytes of the current epoch.
    Records = 0,
    /// Begins the next epoch.
    Commit = 1,
    /// Drops entries; the bytes are their offsets, 8 bytes each.
    Compaction = 2,
}

/// A roster entry.
#[must_use]
pub fn roster_entry(kind: RosterKind, index: u64, device: &DeviceId) -> Bytes {
    Bytes([&[kind as u8][..], &index.to_be_bytes(), device.as_bytes()].concat())
}

/// A log entry.
#[must_use]
pub fn log_entry(kind: LogKind, epoch: u64, bytes: &[u8]) -> Bytes {
    Bytes([&[kind as u8][..], &epoch.to_be_bytes(), bytes].concat())
}

fn split(entry: &[u8]) -> Result<(u8, u64, &[u8]), Refusal> {
    let (kind, rest) = entry.split_first().ok_or(Refusal::InvalidEntry)?;
    let (number, rest) = rest.split_first_chunk().ok_or(Refusal::InvalidEntry)?;
    Ok((*kind, u64::from_be_bytes(*number), rest))
}

/// Makes [`TestRoster`]s and [`TestLog`]s.
#[derive(Clone, Copy, Debug, Default)]
pub struct TestFolds;

impl Folds for TestFolds {
    type Roster = TestRoster;
    type Log = TestLog;

    fn roster(&self, _: &MeshId) -> TestRoster {
        TestRoster::default()
    }

    fn log(&self, _: &MeshId, _: &LogId) -> TestLog {
        TestLog::default()
    }
}

/// The devices of a mesh.
#[derive(Debug, Default)]
pub struct TestRoster {
    hashes: Vec<Hash>,
    live: HashSet<DeviceId>,
    closed: bool,
}

impl TestRoster {
    fn apply(&mut self, entry: &[u8]) -> Result<RosterEffect, Refusal> {
        let (kind, index, device) = split(entry)?;
        let device = DeviceId::try_from(device).map_err(|_| Refusal::InvalidEntry)?;
        if self.closed {
            return Err(Refusal::MeshClosed);
        }
        if index != self.hashes.len() as u64 {
            return Err(if kind == RosterKind::Genesis as u8 { Refusal::MeshExists } else { Refusal::HeadMoved });
        }
        let mut removed = Vec::new();
        match kind {
            0 if index == 0 => _ = self.live.insert(device),
            1 if index > 0 => _ = self.live.insert(device),
            2 if self.live.remove(&device) => removed.push(device),
            3 if index > 0 => self.closed = true,
            4 => return Err(Refusal::InviteExpired),
            _ => return Err(Refusal::InvalidEntry),
        }
        let hash = sha256(entry);
        self.hashes.push(hash);
        Ok(RosterEffect { head: RosterHead { index, hash: HashBytes(hash) }, removed })
    }
}

impl RosterFold for TestRoster {
    fn author_member(&self, _: &[u8]) -> Option<MemberId> {
        Some(MemberId::from_bytes([7; 32]))
    }

    fn append(&mut self, entry: &[u8], _: Millis) -> Result<RosterEffect, Refusal> {
        self.apply(entry)
    }

    fn replay(&mut self, entry: &[u8]) -> Result<(), Refusal> {
        self.apply(entry).map(|_| ())
    }

    fn head(&self) -> Option<RosterHead> {
        let hash = self.hashes.last()?;
        Some(RosterHead { index: self.hashes.len() as u64 - 1, hash: HashBytes(*hash) })
    }

    fn hash_at(&self, index: u64) -> Option<Hash> {
        self.hashes.get(usize::try_from(index).ok()?).copied()
    }

    fn is_live(&self, device: &DeviceId) -> bool {
        self.live.contains(device)
    }

    fn is_closed(&self) -> bool {
        self.closed
    }
}

/// The epoch of a log.
#[derive(Debug, Default)]
pub struct TestLog {
    epoch: u64,
}

impl TestLog {
    fn apply(&mut self, entry: &[u8]) -> Result<Vec<u64>, Refusal> {
        let (kind, epoch, rest) = split(entry)?;
        match kind {
            1 if epoch == self.epoch + 1 => self.epoch = epoch,
            1 => return Err(Refusal::EpochTaken),
            _ if epoch != self.epoch || epoch == 0 => return Err(Refusal::StaleEpoch),
            0 => {}
            2 => return Ok(rest.as_chunks().0.iter().map(|offset| u64::from_be_bytes(*offset)).collect()),
            _ => return Err(Refusal::InvalidEntry),
        }
        Ok(Vec::new())
    }
}

impl LogFold<TestRoster> for TestLog {
    fn append(&mut self, _: &LogContext<'_, TestRoster>, entry: &[u8]) -> Result<Vec<u64>, Refusal> {
        self.apply(entry)
    }

    fn replay(&mut self, _: u64, _: &Hash, entry: Option<&[u8]>) -> Result<(), Refusal> {
        entry.map_or(Ok(()), |entry| self.apply(entry).map(|_| ()))
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn save(&self) -> Bytes {
        Bytes(self.epoch.to_be_bytes().to_vec())
    }

    fn restore(&mut self, saved: &[u8]) -> bool {
        let Ok(epoch) = saved.try_into() else { return false };
        self.epoch = u64::from_be_bytes(epoch);
        true
    }
}
