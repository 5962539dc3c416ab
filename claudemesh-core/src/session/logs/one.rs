//! One log as this device keeps it: the reader, the chain behind it, what waits to be written.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use crate::codec::Bytes;
use crate::hash::Hash;
use crate::id::{DeviceId, LogId, MemberId, MeshId};
use crate::log::{BadCommitReason, Chain, EntryKind, HistoryPolicy, LogEntry, LogReader, Past, Record};
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
    /// Whether it is the first in its log to name that index.
    pub raises: bool,
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
    /// The tickets of its records, in order. Those that are not queued by themselves are in the entry alone.
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
    /// Entries that were sent, by their per-log seq.
    pub in_flight: BTreeMap<u64, InFlight>,
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
            in_flight: BTreeMap::new(),
        }
    }

    /// The highest ticket given out so far.
    pub(super) fn last_ticket(&self) -> Option<u64> {
        let sent = self.in_flight.values().flat_map(|flight| flight.tickets.iter().copied());
        sent.chain(self.queue.keys().next_back().copied()).max()
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
    /// The per-log seq of an entry of upkeep that is under way, or has not come back yet.
    pub(super) busy: Option<u64>,
    /// Where it will be seen.
    pub(super) await_offset: Option<u64>,
    /// The per-log seq up to which entries with queued records were sent over this connection.
    pub(super) sent: u64,
    pub(super) retry_at: Option<Millis>,
    /// Old entries are being fetched.
    pub(super) fetches: bool,
    /// Before this more entries may come, the secret that is missing among them.
    pub(super) quiet_at: Option<Millis>,
    /// When this device mends a missing history link, if nobody has by then.
    pub(super) mends_at: Option<Millis>,
    /// The broker was asked how far the log goes, because entries are missing from it.
    pub(super) asks_tail: bool,
    /// When it is to be asked: what says why they are missing may be on its way.
    pub(super) asks_tail_at: Option<Millis>,
    /// When this device begins an epoch without those who left, if nobody has by then.
    pub(super) narrows_at: Option<Millis>,
}

/// Entries that this device was asked to drop.
#[derive(Debug)]
pub(super) struct Compaction {
    /// Who waits for it.
    pub(super) token: u64,
    pub(super) offsets: Vec<u64>,
    /// The last offset when it was decided.
    pub(super) tail: u64,
}

/// An entry under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) entry: Bytes,
    pub(super) epoch: u64,
    /// Its records, in order, by ticket.
    pub(super) records: BTreeMap<u64, Record>,
    /// The tickets of those that the store keeps by themselves.
    pub(super) queued: Vec<u64>,
}

impl Flight {
    /// Takes up an entry under way, with those of its records that were queued by themselves.
    fn load(flight: InFlight, reader: &LogReader, queue: &mut BTreeMap<u64, Record>) -> Result<Self, LoadError> {
        let InFlight { entry, tickets, .. } = flight;
        let parsed = LogEntry::parse(entry.clone()).map_err(|_| LoadError::Malformed)?;
        let (mut records, mut queued) = (BTreeMap::new(), Vec::new());
        for ticket in &tickets {
            if let Some(record) = queue.remove(ticket) {
                records.insert(*ticket, record);
                queued.push(*ticket);
            }
        }
        if queued.len() < tickets.len() {
            let opened = reader.open(&parsed).map_err(|_| LoadError::Malformed)?;
            for (ticket, record) in tickets.into_iter().zip(opened) {
                records.entry(ticket).or_insert(record);
            }
        }
        Ok(Self { entry, epoch: parsed.body().epoch, records, queued })
    }
}

#[derive(Debug)]
pub(super) struct Log {
    pub(super) open: bool,
    pub(super) reader: LogReader,
    pub(super) past: Links,
    pub(super) sealed: BTreeMap<u64, SealedAt>,
    pub(super) policy: LogPolicy,
    pub(super) next_seq: u64,
    /// Records to be written, by ticket.
    pub(super) queue: BTreeMap<u64, Record>,
    /// Those of them that the store has not been told of.
    pub(super) unsaved: BTreeSet<u64>,
    /// Entries under way, by their per-log seq.
    pub(super) flights: BTreeMap<u64, Flight>,
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
    /// Entries were withheld: nothing more is read from it or written to it.
    pub(super) halted: bool,
    /// Entries to be dropped, and at which tail that was decided.
    pub(super) compaction: Option<Compaction>,
    /// Who waits for the compaction that was sent, and its seq.
    pub(super) compacting: Option<(u64, u64)>,
    /// Members of a private log who left it and can still read it.
    pub(super) leavers: BTreeSet<MemberId>,
    /// Whether it is for this device to shut them out although it has nothing to write.
    pub(super) leads: bool,
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
        let mut queue = snapshot.queue;
        let mut flights = BTreeMap::new();
        for (seq, flight) in snapshot.in_flight {
            flights.insert(seq, Flight::load(flight, &reader, &mut queue)?);
        }
        Ok(Self {
            open: snapshot.open,
            reader,
            past,
            sealed: snapshot.sealed,
            policy: snapshot.policy,
            next_seq: snapshot.next_seq.max(1),
            queue,
            unsaved: BTreeSet::new(),
            flights,
            epoch_began: snapshot.epoch_began,
            spoiled: false,
            unusable: None,
            link: Link::default(),
            changed: false,
            tokens: BTreeMap::new(),
            halted: false,
            compaction: None,
            compacting: None,
            leavers: BTreeSet::new(),
            leads: false,
        })
    }

    pub(super) fn id(&self) -> LogId {
        self.reader.tip().log()
    }

    pub(super) fn tail(&self) -> u64 {
        self.reader.tip().tail().offset
    }

    /// Records that are not in the log yet.
    pub(super) fn queued(&self) -> usize {
        self.queue.len() + self.flights.values().map(|flight| flight.records.len()).sum::<usize>()
    }

    /// The first epoch whose secret members hand on to who has none.
    pub(super) fn first_to_come(&self) -> u64 {
        match self.policy.history {
            HistoryPolicy::All => 0,
            HistoryPolicy::Joining | HistoryPolicy::None => self.reader.tip().epoch(),
        }
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
