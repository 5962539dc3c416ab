//! One log as this device keeps it: the reader, the chain behind it, what waits to be written.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use crate::codec::Bytes;
use crate::hash::Hash;
use crate::id::{DeviceId, LogId, MemberId, MeshId};
use crate::log::{BadCommitReason, Chain, EntryKind, HistoryPolicy, LogReader, Past, Record};
use crate::session::LoadError;
use crate::time::Millis;
use zeroize::Zeroizing;

/// Most records that wait to be written to one log.
pub const MAX_QUEUED: usize = 16_384;

/// Who may read a log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogPolicy {
    /// What of it newcomers may read.
    #[n(0)]
    pub history: HistoryPolicy,
    /// The members of a private log; none when it is for the whole mesh.
    #[n(1)]
    pub audience: Option<BTreeSet<MemberId>>,
}

impl LogPolicy {
    /// For the whole mesh, with all its history.
    pub const OPEN: Self = Self { history: HistoryPolicy::All, audience: None };
}

/// An entry whose records do not open yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedAt {
    /// The epoch that opens it.
    pub epoch: u64,
    /// The roster index at which its author's rank counts.
    pub roster_index: u64,
}

/// An entry with queued records that was sent and not seen in the log yet. It is sent again unchanged until it is there or
/// definitely refused.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct InFlight {
    /// The entry.
    #[n(0)]
    pub entry: Bytes,
    /// Its per-log seq.
    #[n(1)]
    pub seq: u64,
    /// The tickets of its records, in order.
    #[n(2)]
    pub tickets: Vec<u64>,
}

/// What is stored of an entry that was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLink {
    /// Chain hash after it.
    pub chain: Hash,
    /// Its kind; none when only the hash was served.
    pub kind: Option<EntryKind>,
}

/// What a log starts from.
#[derive(Clone, Debug)]
pub struct LogSnapshot {
    /// Who may read it.
    pub policy: LogPolicy,
    /// Whether it is followed.
    pub open: bool,
    /// [`LogReader::snapshot`].
    pub reader: Option<Zeroizing<Vec<u8>>>,
    /// One for each entry, from offset 1.
    pub links: Vec<LogLink>,
    /// Entries that do not open yet, by offset.
    pub sealed: BTreeMap<u64, SealedAt>,
    /// Next per-log sequence number.
    pub next_seq: u64,
    /// Where and when the current epoch began.
    pub epoch_began: (u64, Millis),
    /// Records to be written, by ticket.
    pub queue: BTreeMap<u64, Record>,
    /// What was sent of them.
    pub in_flight: Option<InFlight>,
}

impl LogSnapshot {
    /// A log of which nothing is known yet.
    #[must_use]
    pub fn new(policy: LogPolicy) -> Self {
        Self {
            policy,
            open: true,
            reader: None,
            links: Vec::new(),
            sealed: BTreeMap::new(),
            next_seq: 1,
            epoch_began: (0, Millis(0)),
            queue: BTreeMap::new(),
            in_flight: None,
        }
    }

    pub(in crate::session) fn open(&mut self, policy: &LogPolicy) {
        self.open = true;
        self.policy.clone_from(policy);
    }
}

/// What holds only for the connection.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// A follow is under way.
    pub(super) asks: bool,
    pub(super) followed: bool,
    /// The broker says that it is not open to this device.
    pub(super) shut: bool,
    /// It has to be followed (again) at the next flush.
    pub(super) refollow: bool,
    /// It names a roster index beyond ours: the request that fetches it, and the index.
    pub(super) waits: Option<(u64, u64)>,
    /// An append is under way, or its entry has not come back yet.
    pub(super) busy: bool,
    /// Where the own append will be seen.
    pub(super) await_offset: Option<u64>,
    pub(super) retry_at: Option<Millis>,
    /// Old entries are being fetched.
    pub(super) fetches: bool,
    /// Before this more entries may come, the secret that is missing among them.
    pub(super) quiet_at: Option<Millis>,
    /// When this device mends a missing history link, if nobody has by then.
    pub(super) mends_at: Option<Millis>,
}

#[derive(Debug)]
pub(super) struct Log {
    pub(super) open: bool,
    pub(super) reader: LogReader,
    pub(super) past: Links,
    pub(super) sealed: BTreeMap<u64, SealedAt>,
    pub(super) policy: LogPolicy,
    pub(super) next_seq: u64,
    pub(super) queue: BTreeMap<u64, Record>,
    pub(super) in_flight: Option<InFlight>,
    pub(super) epoch_began: (u64, Millis),
    /// Somebody could not use the current epoch.
    pub(super) spoiled: bool,
    /// An epoch this device could not use, to be reported.
    pub(super) unusable: Option<(u64, BadCommitReason)>,
    pub(super) link: Link,
    /// What the reader knows has to be stored.
    pub(super) changed: bool,
    /// Who waits for a record to be written, by ticket.
    pub(super) tokens: BTreeMap<u64, u64>,
}

impl Log {
    pub(super) fn load(mesh: MeshId, log: LogId, device: DeviceId, snapshot: LogSnapshot) -> Result<Self, LoadError> {
        let reader = match &snapshot.reader {
            Some(bytes) => LogReader::restore(bytes)?,
            None => LogReader::new(mesh, log, device),
        };
        let tail = reader.tip().tail();
        let past = Links(snapshot.links);
        let ends = past.0.last().map_or_else(|| Chain::new(log).tail().hash.0, |link| link.chain);
        if past.0.len() as u64 != tail.offset || ends != tail.hash.0 {
            return Err(LoadError::Malformed);
        }
        Ok(Self {
            open: snapshot.open,
            reader,
            past,
            sealed: snapshot.sealed,
            policy: snapshot.policy,
            next_seq: snapshot.next_seq.max(1),
            queue: snapshot.queue,
            in_flight: snapshot.in_flight,
            epoch_began: snapshot.epoch_began,
            spoiled: false,
            unusable: None,
            link: Link::default(),
            changed: false,
            tokens: BTreeMap::new(),
        })
    }

    pub(super) fn id(&self) -> LogId {
        self.reader.tip().log()
    }

    pub(super) fn tail(&self) -> u64 {
        self.reader.tip().tail().offset
    }

    /// The first epoch whose secret members hand on to who has none.
    pub(super) fn first_to_come(&self) -> u64 {
        match self.policy.history {
            HistoryPolicy::All => 0,
            HistoryPolicy::Joining | HistoryPolicy::None => self.reader.tip().epoch(),
        }
    }

    /// Queued records that are in no entry under way.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (u64, &Record)> {
        let sent = self.in_flight.as_ref().map_or(&[][..], |flight| &flight.tickets);
        self.queue.iter().filter(move |(ticket, _)| !sent.contains(ticket)).map(|(ticket, record)| (*ticket, record))
    }
}

/// The chain so far, 33 bytes an entry.
#[derive(Debug, Default)]
pub(super) struct Links(pub(super) Vec<LogLink>);

impl Links {
    fn at(&self, offset: u64) -> Option<&LogLink> {
        self.0.get(usize::try_from(offset.checked_sub(1)?).ok()?)
    }
}

impl Past for Links {
    fn hash_at(&self, offset: u64) -> Option<Hash> {
        self.at(offset).map(|link| link.chain)
    }

    fn kind_at(&self, offset: u64) -> Option<EntryKind> {
        self.at(offset).and_then(|link| link.kind)
    }
}
