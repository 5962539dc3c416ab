//! What a session asks its store to keep, and what it starts from.
//!
//! A [`Change`] is one durable effect; [`Snapshot`] is the sum of all changes that matter for going on. The rule between
//! them, [`Snapshot::apply`], is the reference every store must agree with.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::connect::Fault;
use super::logs::{InFlight, LogLink, LogPolicy, LogRecords, LogSnapshot, LogUse, SealedAt};
use super::message::{InboxRow, MessageState, OutboxRow};
use crate::codec::Bytes;
use crate::envelope::Lane;
use crate::hash::Hash;
use crate::id::{DeviceId, LogId, MemberId, MessageId};
use crate::log::Record;
use crate::log::directory::DirectoryRecord;
use crate::runs::Runs;
use crate::time::Millis;
use crate::wire::Resume;
use zeroize::Zeroizing;

/// One durable effect of the session. All changes of a batch are committed in one transaction, before any frame of the
/// batch is sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// A roster entry was verified.
    Roster {
        /// Its index.
        index: u64,
        /// The entry.
        entry: Bytes,
    },
    /// A peer's newer device record was verified.
    Record {
        /// The device.
        device: DeviceId,
        /// The record.
        record: Bytes,
    },
    /// The own prekeys and the counter of the record that publishes them.
    Prekeys {
        /// Counter of the record last signed.
        counter: u64,
        /// [`crate::device::PrekeyRing::snapshot`].
        ring: Zeroizing<Vec<u8>>,
    },
    /// The broker's store id and commit counter last seen.
    Resume(Resume),
    /// A message waits to be sent, or its sealed form changed.
    Outbox(OutboxRow),
    /// The next sequence number towards a device in a lane.
    NextSeq {
        /// Recipient.
        device: DeviceId,
        /// Lane.
        lane: Lane,
        /// The number to use next.
        seq: u64,
    },
    /// A recipient of a sent message reached a state.
    State {
        /// The message.
        id: MessageId,
        /// Recipient device.
        device: DeviceId,
        /// Recipient member.
        member: MemberId,
        /// The state.
        state: MessageState,
        /// When.
        at: Millis,
        /// False for copies and claims, which no user asks about.
        visible: bool,
    },
    /// A recipient said more of a message that was sent to it. Comes beside the [`Change::State`] it belongs to, if any.
    Claimed {
        /// The message.
        id: MessageId,
        /// Recipient device.
        device: DeviceId,
        /// The session that has it.
        session: Option<String>,
        /// Why it waits there.
        wait: Option<&'static str>,
    },
    /// Every recipient of a sent message reached an end: its bytes are no longer needed.
    OutboxDone {
        /// The message.
        id: MessageId,
    },
    /// A message was received. Committed together with its [`Change::Seen`].
    Inbox(InboxRow),
    /// The sequence numbers applied from a device in a lane.
    Seen {
        /// Sender.
        device: DeviceId,
        /// Lane.
        lane: Lane,
        /// The number applied now.
        seq: u64,
        /// Message id.
        id: MessageId,
        /// Envelope hash of the applied attempt.
        hash: Hash,
        /// When.
        at: Millis,
    },
    /// The user read a message.
    Read {
        /// Sender.
        device: DeviceId,
        /// Message id.
        id: MessageId,
        /// When.
        at: Millis,
    },
    /// A log is followed from now on, or its policy changed.
    LogOpened {
        /// The log.
        log: LogId,
        /// Who may read it.
        policy: LogPolicy,
    },
    /// A log is followed no longer.
    LogClosed {
        /// The log.
        log: LogId,
    },
    /// A log entry was verified.
    LogEntry {
        /// The log.
        log: LogId,
        /// Its offset.
        offset: u64,
        /// Its place in the chain.
        link: LogLink,
        /// What opens it, when it does not open yet.
        sealed: Option<SealedAt>,
    },
    /// The records of an entry opened, now or at last.
    LogRecords(LogRecords),
    /// Entries were dropped from a log: what was read of them goes, too.
    LogCompacted {
        /// The log.
        log: LogId,
        /// What the log is to the mesh.
        usage: LogUse,
        /// The member this device belongs to.
        own: MemberId,
        /// Their offsets.
        offsets: Vec<u64>,
    },
    /// A sealed entry will never open.
    LogUnsealed {
        /// The log.
        log: LogId,
        /// Its offset.
        offset: u64,
    },
    /// An epoch of a log began.
    LogEpoch {
        /// The log.
        log: LogId,
        /// Offset and time of its beginning.
        began: (u64, Millis),
    },
    /// The next per-log sequence number of this device.
    LogSeq {
        /// The log.
        log: LogId,
        /// The number to use next.
        seq: u64,
    },
    /// What the reader of a log knows, epoch secrets among it.
    LogReader {
        /// The log.
        log: LogId,
        /// [`crate::log::LogReader::snapshot`].
        snapshot: Zeroizing<Vec<u8>>,
    },
    /// A record waits to be written.
    LogQueued {
        /// The log.
        log: LogId,
        /// Its number among all records this device queued.
        ticket: u64,
        /// The record.
        record: Record,
    },
    /// An entry with queued records is under way.
    LogInFlight {
        /// The log.
        log: LogId,
        /// The entry.
        flight: InFlight,
    },
    /// An entry with queued records is in the log, or never will be.
    LogDone {
        /// The log.
        log: LogId,
        /// Its per-log seq.
        seq: u64,
        /// The tickets of its records, in their order; none when they go into another entry.
        tickets: Vec<u64>,
        /// Those of them that were queued by themselves.
        queued: Vec<u64>,
        /// The entry's offset; none when it was refused for good.
        offset: Option<u64>,
    },
    /// What the user set as own presence.
    OwnStatus {
        /// Encoded status.
        status: Bytes,
    },
}

/// Everything a session starts from.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Roster entries from genesis.
    pub roster: Vec<Bytes>,
    /// Device records of peers.
    pub records: BTreeMap<DeviceId, Bytes>,
    /// Own prekeys.
    pub prekeys: Option<Zeroizing<Vec<u8>>>,
    /// Counter of the own record.
    pub record_counter: u64,
    /// The broker as last seen.
    pub resume: Option<Resume>,
    /// Messages whose recipients have not all reached an end, by their order of creation.
    pub outbox: BTreeMap<u64, OutboxRow>,
    /// Next sequence numbers.
    pub next_seq: BTreeMap<(DeviceId, Lane), u64>,
    /// Applied sequence numbers.
    pub seen: BTreeMap<(DeviceId, Lane), Runs>,
    /// Applied messages of late, to notice one id with two contents.
    pub recent: BTreeMap<(DeviceId, MessageId), (Hash, Millis)>,
    /// The logs kept here.
    pub logs: BTreeMap<LogId, LogSnapshot>,
    /// What was read in the mesh's own log of names and labels, in the order it came.
    pub directory: Vec<LogRecords>,
    /// Own presence.
    pub own_status: Option<Bytes>,
    /// Own name as last wished.
    pub name: Option<String>,
    /// What ended the membership, where the roster kept here does not say it: the session then never connects.
    pub ended: Option<Fault>,
}

/// How many applied messages [`Snapshot::recent`] remembers.
pub const MAX_RECENT: usize = 65_536;

impl Snapshot {
    /// Applies one durable effect.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Roster { entry, .. } => self.roster.push(entry.clone()),
            Change::Record { device, record } => {
                self.records.insert(*device, record.clone());
            }
            Change::Prekeys { counter, ring } => {
                self.record_counter = *counter;
                self.prekeys = Some(ring.clone());
            }
            Change::Resume(resume) => self.resume = Some(*resume),
            Change::Outbox(row) => {
                self.outbox.insert(row.ordinal, row.clone());
            }
            Change::NextSeq { device, lane, seq } => {
                self.next_seq.insert((*device, *lane), *seq);
            }
            Change::State { id, device, state, .. } => {
                for row in self.outbox.values_mut().filter(|row| row.id == *id) {
                    for recipient in row.recipients.iter_mut().filter(|r| r.device == *device) {
                        recipient.state = *state;
                    }
                }
            }
            Change::OutboxDone { id } => self.outbox.retain(|_, row| row.id != *id),
            Change::Seen { device, lane, seq, id, hash, at } => {
                let _ = self.seen.entry((*device, *lane)).or_default().insert(*seq);
                self.recent.insert((*device, *id), (*hash, *at));
            }
            Change::LogOpened { log, policy } => self.log(log).open(policy),
            Change::LogClosed { log } => self.log(log).open = false,
            Change::LogEntry { log, offset, link, sealed } => {
                let log = self.log(log);
                log.links.push(*link);
                log.sealed.extend(sealed.map(|sealed| (*offset, sealed)));
            }
            Change::LogRecords(records) => {
                self.log(&records.log).sealed.remove(&records.offset);
                if Self::names(records) {
                    self.directory.push(records.clone());
                }
            }
            Change::LogUnsealed { log, offset } => drop(self.log(log).sealed.remove(offset)),
            Change::LogEpoch { log, began } => self.log(log).epoch_began = *began,
            Change::LogSeq { log, seq } => self.log(log).next_seq = *seq,
            Change::LogReader { log, snapshot } => self.log(log).reader = Some(snapshot.clone()),
            Change::LogQueued { log, ticket, record } => drop(self.log(log).queue.insert(*ticket, record.clone())),
            Change::LogInFlight { log, flight } => {
                self.log(log).in_flight.insert(flight.seq, flight.clone());
            }
            Change::LogDone { log, seq, queued, .. } => {
                let log = self.log(log);
                log.in_flight.remove(seq);
                log.queue.retain(|ticket, _| !queued.contains(ticket));
            }
            Change::OwnStatus { status } => self.own_status = Some(status.clone()),
            Change::Inbox(_) | Change::Read { .. } | Change::Claimed { .. } | Change::LogCompacted { .. } => {}
        }
    }

    /// Whether these records belong to [`Snapshot::directory`].
    #[must_use]
    pub fn names(opened: &LogRecords) -> bool {
        let says = |record: &Record| matches!(DirectoryRecord::decode(record), Ok(it) if !it.is_broadcast());
        opened.usage == LogUse::Mesh && opened.records.iter().any(says)
    }

    fn log(&mut self, id: &LogId) -> &mut LogSnapshot {
        self.logs.entry(*id).or_insert_with(|| LogSnapshot::new(LogPolicy::OPEN))
    }
}
