//! A client's view of one log: takes what the broker serves in order, judges it, learns secrets, opens records. It applies
//! nothing past an error, and after a fork nothing ever again.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::borrow::Borrow;

use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use super::check::check_signed;
use super::keys::encode_secret;
use super::{
    At, BadCommitReason, ForkedChain, HistoryPolicy, LogEntry, LogError, LogFork, LogKeys, LogTip, Membership,
    OpenError, Past, Payload, Position, Record, WrapOutcome, check_append, open_records,
};
use crate::codec::{self, HashBytes, Malformed};
use crate::hash::Hash;
use crate::id::{DeviceId, LogId, MeshId};
use crate::key::PrekeySecret;

/// Most positions promised by the broker that are remembered until the reader gets there.
const MAX_PROMISES: usize = 256;

/// What the broker serves at an offset.
#[derive(Clone, Copy, Debug)]
pub enum Served<'a> {
    /// An entry.
    Entry(&'a [u8]),
    /// The hash of a compacted entry.
    Hash(Hash),
}

impl<'a> Served<'a> {
    /// Tells the two apart as they travel: no entry is as short as a hash.
    #[must_use]
    pub fn from_wire(bytes: &'a [u8]) -> Self {
        bytes.try_into().map_or(Self::Entry(bytes), Self::Hash)
    }
}

/// What an applied entry means to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogEvent {
    /// Records.
    Records {
        /// Offset of the entry.
        offset: u64,
        /// Who wrote them.
        author: DeviceId,
        /// The roster index at which the author's rank counts.
        roster_index: u64,
        /// The records, in order.
        records: Vec<Record>,
    },
    /// Records of an epoch whose secret is missing. After [`LogEvent::EpochLearned`] the entry opens with
    /// [`LogReader::open`].
    Sealed {
        /// Offset of the entry.
        offset: u64,
        /// Who wrote them.
        author: DeviceId,
        /// The roster index at which the author's rank counts.
        roster_index: u64,
        /// The epoch.
        epoch: u64,
    },
    /// Records that nobody can read: their author sealed no well-formed content.
    Garbled {
        /// Offset of the entry.
        offset: u64,
        /// Who wrote them.
        author: DeviceId,
    },
    /// A new epoch began.
    EpochAdvanced {
        /// The epoch.
        epoch: u64,
        /// Who committed it.
        author: DeviceId,
        /// The history policy from here on.
        history: HistoryPolicy,
    },
    /// An epoch became readable.
    EpochLearned {
        /// The epoch.
        epoch: u64,
    },
    /// The secret of an epoch could not be had from its commit or a re-wrap.
    EpochUnreadable {
        /// The epoch.
        epoch: u64,
        /// What is wrong with the own wrap and is to be reported; `None` when there is no usable one, so that a re-wrap
        /// is to be asked for.
        reason: Option<BadCommitReason>,
    },
    /// Another device could not use a commit.
    BadCommitReported {
        /// Offset of the report.
        offset: u64,
        /// Who reports.
        author: DeviceId,
        /// The epoch of the commit.
        epoch: u64,
        /// What was wrong.
        reason: BadCommitReason,
    },
    /// Entries were dropped; the store may drop them too, and keeps their hashes.
    Compacted {
        /// Offset of the compaction.
        offset: u64,
        /// The offsets dropped.
        offsets: Vec<u64>,
    },
    /// Only the hash of an entry was served.
    Dropped {
        /// Its offset.
        offset: u64,
    },
}

/// A client's view of one log.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct LogReader {
    #[n(0)]
    tip: LogTip,
    #[n(1)]
    keys: LogKeys,
    #[n(2)]
    fork: Option<LogFork>,
    /// Runs (first → last) of offsets served as hashes that no compaction has named yet.
    #[n(3)]
    unexplained: BTreeMap<u64, u64>,
    /// Positions the broker confirmed for own appends beyond the tail.
    #[n(4)]
    promises: BTreeMap<u64, HashBytes>,
    /// Epochs of history `all` whose commit carries no secret of the epoch before, and that no link has mended.
    #[n(5)]
    unlinked: BTreeSet<u64>,
}

impl LogReader {
    /// A reader at the start of a log, for `device`.
    #[must_use]
    pub fn new(mesh: MeshId, log: LogId, device: DeviceId) -> Self {
        Self {
            tip: LogTip::new(mesh, log),
            keys: LogKeys::new(mesh, log, device),
            fork: None,
            unexplained: BTreeMap::new(),
            promises: BTreeMap::new(),
            unlinked: BTreeSet::new(),
        }
    }

    /// The state after the last applied entry.
    #[must_use]
    pub const fn tip(&self) -> &LogTip {
        &self.tip
    }

    /// The epoch secrets.
    #[must_use]
    pub const fn keys(&self) -> &LogKeys {
        &self.keys
    }

    /// The epoch secrets, to offer the secret of an own commit.
    #[must_use]
    pub const fn keys_mut(&mut self) -> &mut LogKeys {
        &mut self.keys
    }

    /// The fork that ended reading, if one did.
    #[must_use]
    pub const fn fork(&self) -> Option<&LogFork> {
        self.fork.as_ref()
    }

    /// Offsets whose entries were withheld although no compaction read so far names them. At the log's tail there must be
    /// none left, else the broker hides entries. The result holds runs: first and last offset.
    pub fn unexplained(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.unexplained.iter().map(|(&first, &last)| (first, last))
    }

    /// An entry that was applied is not served any more: a compaction has to say so by the log's tail, as for one that
    /// never was.
    pub fn withheld(&mut self, offset: u64) {
        let run = self.unexplained.range(..=offset).next_back();
        if run.is_none_or(|(_, last)| *last < offset) {
            self.unexplained.insert(offset, offset);
        }
    }

    /// Epochs whose secret no entry links to that of the epoch before although history is for all, and for which both
    /// secrets are held: oldest first.
    pub fn unlinked(&self) -> impl Iterator<Item = u64> + '_ {
        let held = |epoch: u64| self.keys.secret(epoch).is_some();
        self.unlinked.iter().copied().filter(move |epoch| held(*epoch) && held(epoch - 1))
    }

    /// Takes what is served at `offset`. Serving an applied offset again is harmless when it is the same entry.
    ///
    /// # Errors
    /// [`LogError`]; nothing was applied then. After [`LogError::Fork`] every call returns it again.
    pub fn apply<S: Borrow<PrekeySecret>>(
        &mut self,
        offset: u64,
        served: Served<'_>,
        membership: &impl Membership,
        prekeys: impl Fn(u32) -> Option<S>,
        past: &impl Past,
    ) -> Result<Vec<LogEvent>, LogError> {
        match served {
            Served::Entry(bytes) => {
                let entry = LogEntry::parse(bytes)?;
                self.apply_entry(offset, Ok(&entry), membership, prekeys, past)
            }
            Served::Hash(hash) => self.apply_entry(offset, Err(hash), membership, prekeys, past),
        }
    }

    /// As [`LogReader::apply`], with the entry parsed, or the hash of a compacted one.
    ///
    /// # Errors
    /// As [`LogReader::apply`].
    pub fn apply_entry<S: Borrow<PrekeySecret>>(
        &mut self,
        offset: u64,
        entry: Result<&LogEntry, Hash>,
        membership: &impl Membership,
        prekeys: impl Fn(u32) -> Option<S>,
        past: &impl Past,
    ) -> Result<Vec<LogEvent>, LogError> {
        self.take(offset, entry, None, membership, prekeys, past)
    }

    /// As [`LogReader::apply`], for an entry that comes back as this device wrote it, with these records.
    ///
    /// # Errors
    /// As [`LogReader::apply`].
    pub fn apply_own(
        &mut self,
        offset: u64,
        entry: &LogEntry,
        records: Vec<Record>,
        membership: &impl Membership,
        past: &impl Past,
    ) -> Result<Vec<LogEvent>, LogError> {
        self.take(offset, Ok(entry), Some(records), membership, |_| None::<PrekeySecret>, past)
    }

    fn take<S: Borrow<PrekeySecret>>(
        &mut self,
        offset: u64,
        entry: Result<&LogEntry, Hash>,
        own: Option<Vec<Record>>,
        membership: &impl Membership,
        prekeys: impl Fn(u32) -> Option<S>,
        past: &impl Past,
    ) -> Result<Vec<LogEvent>, LogError> {
        if let Some(fork) = self.fork {
            return Err(fork.into());
        }
        let applied = self.try_apply(offset, entry, own, membership, prekeys, past);
        if let Err(LogError::Fork(fork)) = &applied {
            self.fork = Some(**fork);
        }
        applied
    }

    fn try_apply<S: Borrow<PrekeySecret>>(
        &mut self,
        offset: u64,
        entry: Result<&LogEntry, Hash>,
        own: Option<Vec<Record>>,
        membership: &impl Membership,
        prekeys: impl Fn(u32) -> Option<S>,
        past: &impl Past,
    ) -> Result<Vec<LogEvent>, LogError> {
        let expected = self.tip.tail().offset + 1;
        if offset == 0 || offset > expected {
            return Err(LogError::OutOfTurn { expected });
        }
        let hash = entry.map_or_else(|hash| hash, |entry| *entry.hash());
        if offset < expected {
            return self.check_again(offset, &hash, past).map(|()| Vec::new());
        }
        let next = self.tip.chain().next(&hash);
        if let Some(promised) = self.promises.get(&offset) {
            self.compare(Position { offset, hash: *promised }, next)?;
        }
        let events = match entry {
            Ok(entry) => {
                match own {
                    None => check_append(&self.tip, entry, membership, At::Replay, past)?,
                    Some(_) => check_signed(&self.tip, entry, membership, At::Replay, past)?,
                }
                self.tip.advance(entry);
                self.digest(offset, entry, own, prekeys)
            }
            Err(hash) => {
                self.tip.advance_dropped(&hash);
                self.note_dropped(offset);
                Vec::from([LogEvent::Dropped { offset }])
            }
        };
        self.promises.remove(&offset);
        Ok(events)
    }

    /// Opens a records entry of this log that was applied before.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, entry: &LogEntry) -> Result<Vec<Record>, OpenError> {
        open_records(entry, &self.keys)
    }

    /// Holds the broker to a position it named, such as that of an own append or of another reader's tail.
    ///
    /// # Errors
    /// [`LogError::Fork`] when the position is not on this reader's chain; reading stops for good.
    /// [`LogError::UnknownPosition`] when it is too old to compare.
    pub fn expect(&mut self, position: Position, past: &impl Past) -> Result<(), LogError> {
        if let Some(fork) = self.fork {
            return Err(fork.into());
        }
        if position.offset > self.tip.tail().offset {
            let known = self.promises.get(&position.offset).copied();
            if let Some(hash) = known {
                return self.settle(position, Position { offset: position.offset, hash });
            }
            if self.promises.len() < MAX_PROMISES {
                self.promises.insert(position.offset, position.hash);
            }
            return Ok(());
        }
        let hash = self.hash_at(position.offset, past)?;
        self.settle(position, Position { offset: position.offset, hash: HashBytes(hash) })
    }

    fn settle(&mut self, named: Position, ours: Position) -> Result<(), LogError> {
        let result = self.compare(named, ours);
        if let Err(LogError::Fork(fork)) = &result {
            self.fork = Some(**fork);
        }
        result
    }

    fn compare(&self, named: Position, ours: Position) -> Result<(), LogError> {
        if named == ours {
            return Ok(());
        }
        Err(LogFork { chain: ForkedChain::Log, at: ours.offset, author: None, named, ours }.into())
    }

    fn hash_at(&self, offset: u64, past: &impl Past) -> Result<Hash, LogError> {
        let hash = self.tip.chain().hash_at(offset).or_else(|| past.hash_at(offset));
        hash.ok_or(LogError::UnknownPosition { offset })
    }

    /// An offset served again must hold the same entry.
    fn check_again(&self, offset: u64, hash: &Hash, past: &impl Past) -> Result<(), LogError> {
        let before = Position { offset: offset - 1, hash: HashBytes(self.hash_at(offset - 1, past)?) };
        let ours = Position { offset, hash: HashBytes(self.hash_at(offset, past)?) };
        self.compare(super::Chain::at(self.tip.log(), before).next(hash), ours)
    }

    fn digest<S: Borrow<PrekeySecret>>(
        &mut self,
        offset: u64,
        entry: &LogEntry,
        own: Option<Vec<Record>>,
        prekeys: impl Fn(u32) -> Option<S>,
    ) -> Vec<LogEvent> {
        let (author, epoch) = (entry.body().author, entry.body().epoch);
        let roster_index = self.tip.witnessed();
        match entry.payload() {
            Payload::Records => Vec::from([match own.map_or_else(|| open_records(entry, &self.keys), Ok) {
                Ok(records) => LogEvent::Records { offset, author, roster_index, records },
                Err(OpenError::MissingEpoch { epoch }) => LogEvent::Sealed { offset, author, roster_index, epoch },
                Err(_) => LogEvent::Garbled { offset, author },
            }]),
            Payload::Commit(commit) => {
                if commit.history == HistoryPolicy::All && commit.link.is_none() && epoch > 1 {
                    self.unlinked.insert(epoch);
                }
                let mut events = Vec::from([LogEvent::EpochAdvanced { epoch, author, history: commit.history }]);
                let outcome = self.keys.learn_commit(&author, epoch, commit, prekeys);
                events.extend(self.wrap_events(epoch, outcome));
                events
            }
            Payload::HistoryLink(link) => {
                let epochs = self.keys.learn_link(link);
                if self.keys.confirms(link) {
                    self.unlinked.remove(&link.epoch);
                }
                self.learned(epochs)
            }
            Payload::Rewrap(rewrap) if self.keys.secret(rewrap.epoch).is_some() => Vec::new(),
            Payload::Rewrap(rewrap) => match self.keys.learn_rewrap(&author, rewrap, prekeys) {
                // A re-wrap for others, nothing to tell.
                WrapOutcome::NoWrap => Vec::new(),
                outcome => self.wrap_events(rewrap.epoch, outcome),
            },
            Payload::BadCommit(report) => {
                let (epoch, reason) = (report.epoch, report.reason);
                Vec::from([LogEvent::BadCommitReported { offset, author, epoch, reason }])
            }
            Payload::Compaction(compaction) => {
                for &dropped in compaction.offsets.iter() {
                    self.explain(dropped);
                }
                Vec::from([LogEvent::Compacted { offset, offsets: compaction.offsets.to_vec() }])
            }
        }
    }

    /// Offsets come in order, so a new one extends the last run or starts one.
    fn note_dropped(&mut self, offset: u64) {
        match self.unexplained.last_entry() {
            Some(mut run) if *run.get() + 1 == offset => *run.get_mut() = offset,
            _ => {
                self.unexplained.insert(offset, offset);
            }
        }
    }

    fn explain(&mut self, offset: u64) {
        let run = self.unexplained.range(..=offset).next_back().map(|(&first, &last)| (first, last));
        let Some((first, last)) = run.filter(|(_, last)| *last >= offset) else { return };
        self.unexplained.remove(&first);
        if first < offset {
            self.unexplained.insert(first, offset - 1);
        }
        if offset < last {
            self.unexplained.insert(offset + 1, last);
        }
    }

    /// Everything, for a store that keeps secrets well.
    #[must_use]
    pub fn snapshot(&self) -> Zeroizing<Vec<u8>> {
        encode_secret(self)
    }

    /// Restores a [`snapshot`](Self::snapshot). Positions before its tail are then asked of [`Past`].
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are none.
    pub fn restore(snapshot: &[u8]) -> Result<Self, Malformed> {
        codec::decode_own(snapshot)
    }

    fn learned(&mut self, epochs: Vec<u64>) -> Vec<LogEvent> {
        // All but the last were opened by the links of those after them.
        for epoch in epochs.iter().skip(1) {
            self.unlinked.remove(epoch);
        }
        epochs.into_iter().map(|epoch| LogEvent::EpochLearned { epoch }).collect()
    }

    fn wrap_events(&mut self, epoch: u64, outcome: WrapOutcome) -> Vec<LogEvent> {
        match outcome {
            WrapOutcome::Learned(epochs) => self.learned(epochs),
            WrapOutcome::NoWrap => Vec::from([LogEvent::EpochUnreadable { epoch, reason: None }]),
            WrapOutcome::Bad(reason) => Vec::from([LogEvent::EpochUnreadable { epoch, reason: Some(reason) }]),
        }
    }
}
