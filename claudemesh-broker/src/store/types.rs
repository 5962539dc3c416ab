//! What goes into the store's operations and what comes out. Plain data.

use claudemesh_core::codec::Bytes;
use claudemesh_core::hash::Hash;
use claudemesh_core::{DeviceId, LogId, MeshId, MessageId, Millis, RosterHead};

use super::Refusal;

/// Limits and retention a store enforces.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Waiting and scheduled messages per device.
    pub mailbox_rows: u64,
    /// Notices kept per device; the oldest give way.
    pub notice_rows: u64,
    /// How far ahead an expiry may lie, in milliseconds.
    pub max_ttl: u64,
    /// Bytes of one stored envelope.
    pub max_envelope: usize,
    /// Roster entries per member in 24 hours.
    pub roster_appends: usize,
    /// Mailbox entries, runs and devices to keep in memory between transactions.
    pub cached_items: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            mailbox_rows: 10_000,
            notice_rows: 50_000,
            max_ttl: 30 * DAY,
            max_envelope: 256 * 1024,
            roster_appends: 32,
            cached_items: 400_000,
        }
    }
}

/// Milliseconds in a day.
pub(crate) const DAY: u64 = 24 * 60 * 60 * 1000;

/// How much a read may return. A read returns at least one item when there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Items at most.
    pub items: usize,
    /// Bytes at most, after the first item.
    pub bytes: usize,
}

impl Page {
    /// A page of at most `items` items and 192 KiB, which fits a frame.
    #[must_use]
    pub const fn of(items: usize) -> Self {
        Self { items, bytes: 192 * 1024 }
    }
}

/// Identity and age of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreMeta {
    /// Random, made with the store.
    pub store_id: [u8; 16],
    /// Number of transactions that are on disk; what may be lost is not counted.
    pub commit: u64,
    /// Number of its schema.
    pub schema: u32,
    /// Number of meshes.
    pub meshes: u64,
}

/// A roster entry was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterAppended {
    /// The head with this entry.
    pub head: RosterHead,
    /// Devices the entry removed; their mailboxes, notices and records are gone.
    pub removed: Vec<DeviceId>,
    /// Commit counter of the append.
    pub commit: u64,
}

/// A part of a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterRange {
    /// The entries from the index asked for.
    pub entries: Vec<Bytes>,
    /// The head at the time of reading; `None` for an unknown mesh.
    pub head: Option<RosterHead>,
}

/// A device record to keep.
#[derive(Clone, Debug)]
pub struct RecordPut {
    /// The mesh.
    pub mesh: MeshId,
    /// The device the record is of.
    pub device: DeviceId,
    /// The record's counter.
    pub counter: u64,
    /// The signed record.
    pub record: Bytes,
    /// Prekeys of the record with their expiry in seconds.
    pub prekeys: Vec<(u32, u64)>,
}

/// What the store holds of a device for its `welcome`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Its latest record.
    pub record: Option<Bytes>,
    /// The proof of its last accepted envelope.
    pub proof: Option<Bytes>,
}

/// One envelope to enqueue.
#[derive(Clone, Debug)]
pub struct Enqueue {
    /// The mesh.
    pub mesh: MeshId,
    /// The device that signed it.
    pub sender: DeviceId,
    /// Message id.
    pub id: MessageId,
    /// Attempt, from 1.
    pub attempt: u64,
    /// Envelope hash.
    pub hash: Hash,
    /// When undelivered copies are dropped.
    pub expires: Millis,
    /// When delivery may begin; `None` is at once.
    pub deliver_at: Option<Millis>,
    /// The sender's roster head.
    pub head: RosterHead,
    /// What every recipient gets, stored once.
    pub envelope: Bytes,
    /// What proves this envelope to its own sender in a later `welcome`.
    pub proof: Bytes,
    /// The recipients.
    pub recipients: Vec<Recipient>,
}

/// One recipient of an envelope.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// The device.
    pub device: DeviceId,
    /// Prekey the content key is wrapped to.
    pub prekey: u32,
    /// Lane, 0 to 3.
    pub lane: u8,
    /// Position in the lane, from 1.
    pub seq: u64,
    /// The recipient's record.
    pub record: Bytes,
    /// The record's place in the tree of records.
    pub member_of: Bytes,
}

/// What became of one recipient's copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Stored.
    Accepted,
    /// Stored before.
    Duplicate,
    /// Refused; nothing was stored for this recipient.
    Refused(Refusal),
}

/// The answer to a batch of envelopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// Per envelope and recipient, in the order given.
    pub outcomes: Vec<Vec<Outcome>>,
    /// The copies that joined a mailbox, those of one mailbox in the order of their offsets.
    pub mail: Vec<NewMail>,
    /// The earliest time at which a scheduled message of this batch becomes due.
    pub due: Option<Millis>,
    /// Commit counter of the batch.
    pub commit: u64,
}

/// A copy of an envelope joined a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewMail {
    /// The mesh.
    pub mesh: MeshId,
    /// The recipient.
    pub device: DeviceId,
    /// Which envelope of the batch, from 0.
    pub envelope: usize,
    /// Its place in the mailbox.
    pub offset: u64,
}

/// One waiting message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its place in the mailbox.
    pub offset: u64,
    /// Envelope hash.
    pub hash: Hash,
    /// The envelope's bytes as enqueued.
    pub envelope: Bytes,
    /// The recipient's record.
    pub record: Bytes,
    /// The record's place in the tree of records.
    pub member_of: Bytes,
}

/// A verified receipt of one device.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The mesh.
    pub mesh: MeshId,
    /// The device that signed it.
    pub recipient: DeviceId,
    /// What it received.
    pub items: Vec<ReceiptItem>,
    /// Per sender the part to forward.
    pub parts: Vec<(DeviceId, Bytes)>,
}

/// One line of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptItem {
    /// Device that sent the message.
    pub sender: DeviceId,
    /// Message id.
    pub id: MessageId,
    /// Attempt.
    pub attempt: u64,
    /// Envelope hash.
    pub hash: Hash,
    /// Whether the message was refused, so that a higher attempt may follow.
    pub refused: bool,
}

/// The answer to a batch of receipts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acked {
    /// Per receipt the mailbox offsets it removed, ascending.
    pub removed: Vec<Vec<u64>>,
    /// The notices it left, those of one device in the order of their offsets.
    pub notices: Vec<NewNotice>,
}

/// A notice was left for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotice {
    /// The mesh.
    pub mesh: MeshId,
    /// Whom it is for.
    pub device: DeviceId,
    /// Its place among the device's notices.
    pub offset: u64,
    /// The notice.
    pub notice: Notice,
}

/// News for a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A recipient's receipt, as forwarded.
    Receipt(Bytes),
    /// The copy for `recipient` expired.
    Expired {
        /// The recipient.
        recipient: DeviceId,
        /// Message id.
        id: MessageId,
        /// Attempt.
        attempt: u64,
    },
}

/// What time did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elapsed {
    /// Devices whose scheduled mail became due, each once.
    pub mail: Vec<(MeshId, DeviceId)>,
    /// Devices with new notices of expiry, each once.
    pub notices: Vec<(MeshId, DeviceId)>,
    /// When scheduled mail becomes due next.
    pub due: Option<Millis>,
    /// Whether expired rows are left for another call.
    pub more: bool,
    /// Commit counter after it.
    pub commit: u64,
}

/// A log entry to append.
#[derive(Clone, Debug)]
pub struct LogAppend {
    /// The mesh.
    pub mesh: MeshId,
    /// The log.
    pub log: LogId,
    /// The device that signed it.
    pub author: DeviceId,
    /// The author's own number for it in this log, from 1.
    pub seq: u64,
    /// The chain position the author had seen.
    pub seen: (u64, Hash),
    /// Entry hash.
    pub hash: Hash,
    /// The signed entry.
    pub entry: Bytes,
    /// When given, the entry is appended only after exactly this offset.
    pub expected_tail: Option<u64>,
}

/// A log entry stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogAppended {
    /// Its offset.
    pub offset: u64,
    /// Chain hash after it.
    pub chain: Hash,
    /// Whether it had been appended before.
    pub duplicate: bool,
    /// Commit counter of the append, or the present one for a duplicate.
    pub commit: u64,
}

/// A part of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRange {
    /// Entries from the offset asked for.
    pub entries: Vec<LogItem>,
    /// Chain hash before the first offset asked for; `None` when that lies beyond the tail.
    pub before: Option<Hash>,
    /// Offset of the last entry of the log.
    pub tail: u64,
    /// State of the log, from [`LogFold::save`](super::LogFold::save).
    pub state: Bytes,
}

/// What is left of a log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogItem {
    /// The entry.
    Entry(Bytes),
    /// Dropped by a compaction; its hash.
    Dropped(Hash),
}

/// A log of a mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogInfo {
    /// The log.
    pub log: LogId,
    /// Offset of its last entry.
    pub tail: u64,
    /// Its current epoch.
    pub epoch: u64,
    /// Its state, from [`LogFold::save`](super::LogFold::save).
    pub state: Bytes,
}
