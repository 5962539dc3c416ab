//! What must be known of a log to judge its next entry. Holds no secrets: brokers keep it too.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use super::{
    At, Chain, Commit, HistoryPolicy, LogEntry, LogError, Membership, Past, Payload, Position, Writer, check_append,
};
use crate::codec::{self, Malformed};
use crate::hash::Hash;
use crate::head::RosterHead;
use crate::id::{DeviceId, LogId, MeshId};
use crate::key::SigningKey;

/// The state of a log after its last entry.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogTip {
    #[n(0)]
    pub(super) mesh: MeshId,
    #[n(1)]
    pub(super) chain: Chain,
    /// 0 before the first commit.
    #[n(2)]
    pub(super) epoch: u64,
    #[n(3)]
    pub(super) current: Option<Current>,
    #[n(4)]
    pub(super) seqs: BTreeMap<DeviceId, u64>,
    /// The highest roster index any entry has named: the broker's own head was at least there.
    #[n(5)]
    pub(super) witnessed: u64,
}

/// The current epoch, as far as its entries tell everyone.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Current {
    #[n(0)]
    pub(super) head: RosterHead,
    #[n(1)]
    pub(super) history: HistoryPolicy,
    #[n(2)]
    pub(super) audience: Option<BTreeSet<DeviceId>>,
    /// Devices the secret was wrapped to, by the commit or since.
    #[n(3)]
    pub(super) wrapped: BTreeSet<DeviceId>,
}

impl Current {
    fn new(commit: &Commit) -> Self {
        Self {
            head: commit.head,
            history: commit.history,
            audience: commit.audience.as_ref().map(|audience| audience.iter().copied().collect()),
            wrapped: commit.wraps.iter().map(|wrap| wrap.device).collect(),
        }
    }

    pub(super) fn admits(&self, device: &DeviceId) -> bool {
        self.audience.as_ref().is_none_or(|audience| audience.contains(device))
    }

    /// Whether, at roster index `at`, a device that may hold the secret has been removed since the commit.
    pub(super) fn is_stale(&self, membership: &impl Membership, at: u64) -> bool {
        let since = self.head.index;
        at > since
            && membership.removed_since(since).iter().any(|device| {
                let held =
                    self.wrapped.contains(device) || (membership.was_live_at(device, since) && self.admits(device));
                held && !membership.was_live_at(device, at)
            })
    }
}

impl LogTip {
    /// The tip of an empty log.
    #[must_use]
    pub fn new(mesh: MeshId, log: LogId) -> Self {
        Self { mesh, chain: Chain::new(log), epoch: 0, current: None, seqs: BTreeMap::new(), witnessed: 0 }
    }

    /// The mesh.
    #[must_use]
    pub const fn mesh(&self) -> MeshId {
        self.mesh
    }

    /// The log.
    #[must_use]
    pub const fn log(&self) -> LogId {
        self.chain.log()
    }

    /// The position of the last entry.
    #[must_use]
    pub const fn tail(&self) -> Position {
        self.chain.tail()
    }

    /// The chain, for questions about earlier positions.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The current epoch, 0 before the first commit.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The roster head of the current commit.
    #[must_use]
    pub fn commit_head(&self) -> Option<RosterHead> {
        self.current.as_ref().map(|current| current.head)
    }

    /// The history policy in force.
    #[must_use]
    pub fn history(&self) -> Option<HistoryPolicy> {
        self.current.as_ref().map(|current| current.history)
    }

    /// The audience of a private log; `None` when every live device of the mesh may read.
    #[must_use]
    pub fn audience(&self) -> Option<impl Iterator<Item = DeviceId> + '_> {
        self.current.as_ref()?.audience.as_ref().map(|audience| audience.iter().copied())
    }

    /// The highest roster index any entry has named.
    #[must_use]
    pub const fn witnessed(&self) -> u64 {
        self.witnessed
    }

    /// Whether `device` may read and write: on a private log, the secret of the current epoch was wrapped to it. Says
    /// nothing about the roster.
    #[must_use]
    pub fn grants(&self, device: &DeviceId) -> bool {
        self.current.as_ref().is_none_or(|current| current.audience.is_none() || current.wrapped.contains(device))
    }

    /// Whether the next entry must be a commit: there is none yet, or a device that may hold the current secret has been
    /// removed since.
    #[must_use]
    pub fn needs_commit(&self, membership: &impl Membership) -> bool {
        self.current.as_ref().is_none_or(|current| current.is_stale(membership, membership.head().index))
    }

    /// Whether `commit` takes devices out of the audience of a private log and lets none in.
    #[must_use]
    pub fn is_narrowed_by(&self, commit: &Commit) -> bool {
        let before = self.current.as_ref().and_then(|current| current.audience.as_ref());
        let (Some(before), Some(after)) = (before, &commit.audience) else { return false };
        let after: BTreeSet<DeviceId> = after.iter().copied().collect();
        after.len() < before.len() && after.is_subset(before)
    }

    /// Live devices of the audience that the current secret was not wrapped to.
    #[must_use]
    pub fn unwrapped(&self, membership: &impl Membership) -> Vec<DeviceId> {
        let Some(current) = &self.current else { return Vec::new() };
        let mut devices = membership.live_devices();
        devices.retain(|device| current.admits(device) && !current.wrapped.contains(device));
        devices
    }

    /// The last per-log seq of `device`, 0 when it wrote nothing.
    #[must_use]
    pub fn last_seq(&self, device: &DeviceId) -> u64 {
        self.seqs.get(device).copied().unwrap_or(0)
    }

    /// A writer with the next seq of `key`'s device at this tip. When entries of it are still under way, raise
    /// [`Writer::seq`] past theirs.
    #[must_use]
    pub fn writer<'a>(&self, key: &'a SigningKey, head: RosterHead) -> Writer<'a> {
        let seq = self.last_seq(&key.public().device_id()) + 1;
        Writer { key, mesh: self.mesh, log: self.log(), seq, seen: self.tail(), head }
    }

    /// Forgets the seqs of devices that can never write here again, because the log has named a roster head at which
    /// they were gone.
    pub fn forget_removed(&mut self, membership: &impl Membership) {
        let witnessed = self.witnessed;
        self.seqs.retain(|device, _| membership.was_live_at(device, witnessed));
    }

    /// Takes the next entry when it may follow.
    ///
    /// # Errors
    /// Those of [`check_append`]; the tip is then unchanged.
    pub fn append(
        &mut self,
        entry: &LogEntry,
        membership: &impl Membership,
        at: At,
        past: &impl Past,
    ) -> Result<Position, LogError> {
        check_append(self, entry, membership, at, past)?;
        Ok(self.advance(entry))
    }

    /// Takes an entry that [`check_append`] has accepted at this very tip.
    pub fn advance(&mut self, entry: &LogEntry) -> Position {
        let body = entry.body();
        self.seqs.insert(body.author, body.seq);
        self.witnessed = self.witnessed.max(body.head.index);
        match entry.payload() {
            Payload::Commit(commit) => {
                self.epoch = body.epoch;
                self.witnessed = self.witnessed.max(commit.head.index);
                self.current = Some(Current::new(commit));
            }
            Payload::Rewrap(rewrap) if rewrap.epoch == self.epoch => {
                if let Some(current) = &mut self.current {
                    current.wrapped.extend(rewrap.wraps.iter().map(|wrap| wrap.device));
                }
            }
            _ => {}
        }
        self.chain.extend(entry.hash())
    }

    /// Takes an entry of which only the hash is served, because it was compacted.
    pub fn advance_dropped(&mut self, entry_hash: &Hash) -> Position {
        self.chain.extend(entry_hash)
    }

    /// The tip as bytes, for a store. Of the chain only the tail is kept.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Restores a [`snapshot`](Self::snapshot).
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are none.
    pub fn restore(snapshot: &[u8]) -> Result<Self, Malformed> {
        codec::decode_own(snapshot)
    }
}
