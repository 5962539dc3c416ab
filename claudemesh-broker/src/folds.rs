//! Core's rules of rosters and logs in the shape the store asks for them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use claudemesh_core::codec::{self, Bytes};
use claudemesh_core::hash::Hash;
use claudemesh_core::log::{At, EntryKind, LogEntry, LogError, LogTip, Past, Payload as LogPayload, Position};
use claudemesh_core::roster::{Entry, Payload, Roster, RosterError};
use claudemesh_core::runs::Runs;
use claudemesh_core::{DeviceId, InviteId, LogId, MemberId, MeshId, Millis, RosterHead};
use minicbor::{Decode, Encode};

use crate::store::{Folds, LogContext, LogFold, Refusal, RosterEffect, RosterFold};

/// The rules of the protocol.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoreFolds;

impl Folds for CoreFolds {
    type Roster = MeshRoster;
    type Log = MeshLog;

    fn roster(&self, mesh: &MeshId) -> MeshRoster {
        MeshRoster { mesh: *mesh, roster: None }
    }

    fn log(&self, mesh: &MeshId, log: &LogId) -> MeshLog {
        MeshLog::new(LogTip::new(*mesh, *log))
    }
}

/// A roster, or the place of one that has not begun.
#[derive(Debug)]
pub struct MeshRoster {
    mesh: MeshId,
    roster: Option<Roster>,
}

/// The invite an entry uses, if it uses one.
pub(crate) fn invite_used(payload: &Payload) -> Option<&InviteId> {
    match payload {
        Payload::MemberJoined(payload) => Some(&payload.invite),
        Payload::DeviceAdded(payload) => Some(&payload.invite),
        _ => None,
    }
}

impl MeshRoster {
    fn begin(&mut self, entry: &[u8]) -> Result<RosterEffect, Refusal> {
        let roster = Roster::genesis(entry).map_err(|error| match error {
            // A well-formed entry of some mesh, for which this is not the place.
            RosterError::MisplacedGenesis => Refusal::UnknownMesh,
            error => refusal(error),
        })?;
        if roster.mesh() != self.mesh {
            return Err(Refusal::InvalidEntry);
        }
        let head = roster.head();
        self.roster = Some(roster);
        Ok(RosterEffect { head, removed: Vec::new() })
    }
}

fn refusal(error: RosterError) -> Refusal {
    match error {
        RosterError::TooLarge => Refusal::TooLarge,
        RosterError::Malformed => Refusal::Malformed,
        RosterError::WrongIndex | RosterError::WrongPrevious => Refusal::HeadMoved,
        RosterError::MeshClosed => Refusal::MeshClosed,
        RosterError::MisplacedGenesis => Refusal::MeshExists,
        _ => Refusal::InvalidEntry,
    }
}

impl RosterFold for MeshRoster {
    fn author_member(&self, entry: &[u8]) -> Option<MemberId> {
        let entry = Entry::parse(entry).ok()?;
        match entry.payload() {
            Payload::DeviceAdded(payload) => Some(payload.member),
            _ => self.roster.as_ref()?.device(entry.author()).map(|device| device.member),
        }
    }

    fn append(&mut self, entry: &[u8], now: Millis) -> Result<RosterEffect, Refusal> {
        let Some(roster) = &mut self.roster else { return self.begin(entry) };
        let checked = roster.check(entry).map_err(refusal)?;
        let invite = invite_used(checked.payload()).and_then(|invite| roster.invite(invite));
        if invite.is_some_and(|invite| invite.expires.millis() <= now) {
            return Err(Refusal::InviteExpired);
        }
        let removed = roster.apply(entry).map_err(refusal)?.removed_devices;
        Ok(RosterEffect { head: roster.head(), removed })
    }

    fn replay(&mut self, entry: &[u8]) -> Result<(), Refusal> {
        match &mut self.roster {
            Some(roster) => roster.apply(entry).map(|_| ()).map_err(refusal),
            None => self.begin(entry).map(|_| ()),
        }
    }

    fn head(&self) -> Option<RosterHead> {
        self.roster.as_ref().map(Roster::head)
    }

    fn hash_at(&self, index: u64) -> Option<Hash> {
        self.roster.as_ref()?.hash_at(index)
    }

    fn is_live(&self, device: &DeviceId) -> bool {
        self.roster.as_ref().is_some_and(|roster| roster.is_live_device(device))
    }

    fn is_closed(&self) -> bool {
        self.roster.as_ref().is_some_and(Roster::is_closed)
    }
}

/// The tip of a log, who may read it, and which of its entries are not records.
#[derive(Debug)]
pub struct MeshLog {
    tip: LogTip,
    /// Devices that may read a private log; `None` for one of the whole mesh.
    readers: Option<BTreeSet<DeviceId>>,
    /// Kinds of the entries that are not records.
    others: BTreeMap<u64, EntryKind>,
    /// Offsets of the entries that were dropped.
    dropped: Runs,
    /// When each device lately made a commit that nothing called for. Not saved.
    unforced: BTreeMap<DeviceId, VecDeque<Millis>>,
}

/// Commits of one device in an hour that neither a removal nor a smaller audience called for.
const MAX_UNFORCED: usize = 6;
const HOUR: u64 = 3_600_000;

/// What is saved. The readers come first: [`readers`] is asked for them with every read.
#[derive(Encode, Decode)]
#[cbor(array)]
struct Saved {
    #[n(0)]
    version: u64,
    #[n(1)]
    readers: Option<Vec<DeviceId>>,
    #[n(2)]
    tip: Bytes,
    #[n(3)]
    others: Vec<(u64, EntryKind)>,
    #[n(4)]
    dropped: Runs,
}

#[derive(Decode)]
#[cbor(array)]
struct SavedReaders {
    #[n(0)]
    version: u64,
    #[n(1)]
    readers: Option<Vec<DeviceId>>,
}

const SAVED: u64 = 1;

/// Who may read a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Every live device of the mesh.
    Mesh,
    /// These devices.
    Only(Vec<DeviceId>),
}

impl Readers {
    /// The readers of the log with this [`LogFold::save`]d state. Nobody may read one whose state is unknown.
    pub(crate) fn of(state: &[u8]) -> Self {
        // Reads the two first items only, so not with the strict decoder; the bytes are our own.
        match minicbor::Decoder::new(state).decode::<SavedReaders>() {
            Ok(SavedReaders { version: SAVED, readers: None }) => Self::Mesh,
            Ok(SavedReaders { version: SAVED, readers: Some(devices) }) => Self::Only(devices),
            _ => Self::Only(Vec::new()),
        }
    }

    pub(crate) fn admit(&self, device: &DeviceId) -> bool {
        match self {
            Self::Mesh => true,
            Self::Only(devices) => devices.contains(device),
        }
    }
}

/// What an entry may ask about the log before it.
struct Before<'a> {
    log: &'a MeshLog,
    seen: Position,
}

impl Past for Before<'_> {
    fn hash_at(&self, offset: u64) -> Option<Hash> {
        // The store has compared the position the entry names with the chain it keeps.
        (offset == self.seen.offset).then_some(self.seen.hash.0)
    }

    fn kind_at(&self, offset: u64) -> Option<EntryKind> {
        if self.log.dropped.contains(offset) {
            return None;
        }
        Some(self.log.others.get(&offset).copied().unwrap_or(EntryKind::Records))
    }
}

impl MeshLog {
    const fn new(tip: LogTip) -> Self {
        Self { tip, readers: None, others: BTreeMap::new(), dropped: Runs::new(), unforced: BTreeMap::new() }
    }

    /// Whether the device may commit although nothing calls for it.
    fn may_commit(&mut self, device: DeviceId, now: Millis) -> bool {
        self.unforced.retain(|_, times| times.back().is_some_and(|last| now.since(*last) < HOUR));
        let times = self.unforced.entry(device).or_default();
        times.retain(|at| now.since(*at) < HOUR);
        times.len() < MAX_UNFORCED
    }

    /// Takes an entry that may follow; the offsets it drops.
    fn take(&mut self, entry: &LogEntry) -> Vec<u64> {
        let offset = self.tip.tail().offset + 1;
        let epoch = self.tip.epoch();
        self.tip.advance(entry);
        let kind = entry.body().kind;
        if kind != EntryKind::Records {
            self.others.insert(offset, kind);
        }
        match entry.payload() {
            LogPayload::Commit(commit) => {
                self.readers = commit.audience.as_ref().map(|_| commit.wraps.iter().map(|wrap| wrap.device).collect());
            }
            LogPayload::Rewrap(rewrap) if rewrap.epoch == epoch => {
                if let Some(readers) = &mut self.readers {
                    readers.extend(rewrap.wraps.iter().map(|wrap| wrap.device));
                }
            }
            LogPayload::Compaction(compaction) => return compaction.offsets.to_vec(),
            _ => {}
        }
        Vec::new()
    }

    fn drop_entries(&mut self, offsets: &[u64]) -> Result<(), Refusal> {
        let mut dropped = self.dropped.clone();
        for offset in offsets {
            dropped.insert(*offset).map_err(|_| Refusal::TooLarge)?;
        }
        self.dropped = dropped;
        Ok(())
    }
}

fn log_refusal(error: &LogError) -> Refusal {
    match error {
        LogError::TooLarge => Refusal::TooLarge,
        LogError::Malformed => Refusal::Malformed,
        LogError::UnknownAuthor => Refusal::NotAMember,
        LogError::AuthorNotLive => Refusal::Removed,
        LogError::HeadMoved { .. } => Refusal::HeadMoved,
        LogError::SeqUsed { .. } => Refusal::IdConflict,
        LogError::EpochTaken { .. } => Refusal::EpochTaken,
        LogError::StaleEpoch { .. } => Refusal::StaleEpoch,
        LogError::Forbidden => Refusal::Forbidden,
        LogError::OutOfTurn { .. } => Refusal::OffsetMoved,
        error if error.code() == Refusal::UnknownHead.code() => Refusal::UnknownHead,
        _ => Refusal::InvalidEntry,
    }
}

impl LogFold<MeshRoster> for MeshLog {
    fn append(&mut self, context: &LogContext<'_, MeshRoster>, entry: &[u8]) -> Result<Vec<u64>, Refusal> {
        let roster = context.roster.roster.as_ref().ok_or(Refusal::UnknownMesh)?;
        let entry = LogEntry::parse(entry).map_err(|error| log_refusal(&error))?;
        let before = Before { log: self, seen: entry.body().seen };
        claudemesh_core::log::check_append(&self.tip, &entry, roster, At::Current, &before)
            .map_err(|error| log_refusal(&error))?;
        if let LogPayload::Compaction(compaction) = entry.payload() {
            self.drop_entries(&compaction.offsets)?;
        }
        let unforced = match entry.payload() {
            // Nobody stays a reader because others were shut out before, and who is out costs an unforced commit to let in.
            LogPayload::Commit(commit) => !self.tip.needs_commit(roster) && !self.tip.is_narrowed_by(commit),
            _ => false,
        };
        if unforced && !self.may_commit(context.author, context.now) {
            return Err(Refusal::RateLimited);
        }
        let dropped = self.take(&entry);
        if unforced && let Some(times) = self.unforced.get_mut(&context.author) {
            times.push_back(context.now);
        }
        if entry.body().kind == EntryKind::Commit {
            self.tip.forget_removed(roster);
        }
        Ok(dropped)
    }

    fn admits(&self, device: &DeviceId) -> bool {
        self.tip.grants(device)
    }

    fn replay(&mut self, offset: u64, hash: &Hash, entry: Option<&[u8]>) -> Result<(), Refusal> {
        if offset != self.tip.tail().offset + 1 {
            return Err(Refusal::InvalidEntry);
        }
        let Some(entry) = entry else {
            self.tip.advance_dropped(hash);
            return self.drop_entries(&[offset]);
        };
        let entry = LogEntry::parse(entry).map_err(|error| log_refusal(&error))?;
        if entry.hash() != hash {
            return Err(Refusal::InvalidEntry);
        }
        self.take(&entry);
        Ok(())
    }

    fn epoch(&self) -> u64 {
        self.tip.epoch()
    }

    fn save(&self) -> Bytes {
        let saved = Saved {
            version: SAVED,
            readers: self.readers.as_ref().map(|readers| readers.iter().copied().collect()),
            tip: self.tip.snapshot().into(),
            others: self.others.iter().map(|(offset, kind)| (*offset, *kind)).collect(),
            dropped: self.dropped.clone(),
        };
        codec::encode(&saved).into()
    }

    fn restore(&mut self, saved: &[u8]) -> bool {
        let Ok(Saved { version: SAVED, readers, tip, others, dropped }) = codec::decode(saved) else { return false };
        let Ok(tip) = LogTip::restore(&tip) else { return false };
        if tip.mesh() != self.tip.mesh() || tip.log() != self.tip.log() {
            return false;
        }
        let readers = readers.map(|readers| readers.into_iter().collect());
        *self = Self { readers, others: others.into_iter().collect(), dropped, ..Self::new(tip) };
        true
    }
}

#[cfg(test)]
mod tests;
