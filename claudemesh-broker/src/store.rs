//! The broker's durable state behind one trait.
//!
//! A [`Store`] has whole operations, never rows or transactions: each validates and writes in one transaction and answers
//! after the bytes are on disk; only acknowledgements reach it with what comes next. It knows ids, hashes and sealed bytes; the rules of rosters and logs come in as [`Folds`].
//! Who must be woken by a commit stands in its answer. Both stores run the same logic: [`SqliteStore`] on a thread of
//! its own with group commit over a file, [`MemoryStore`] in the caller's over a database in memory.

use std::future::Future;
use std::pin::Pin;

use claudemesh_core::codec::Bytes;
use claudemesh_core::{DeviceId, LogId, MeshId, Millis};

mod error;
mod fold;
mod logic;
mod memory;
mod schema;
mod sqlite;
pub mod testing;
mod trouble;
mod types;
mod wal;

#[cfg(test)]
mod conformance;

pub use error::{Refusal, StoreError};
pub use fold::{Folds, LogContext, LogFold, RosterEffect, RosterFold};
pub use memory::MemoryStore;
pub use sqlite::SqliteStore;
pub use types::{
    Acked, Delivery, DeviceFacts, Elapsed, Enqueue, Enqueued, Limits, LogAppend, LogAppended, LogInfo, LogItem,
    LogRange, NewMail, NewNotice, Notice, Outcome, Page, Receipt, ReceiptItem, Recipient, RecordPut, RosterAppended,
    RosterRange, StoreMeta,
};

/// An answer on its way. An operation that was begun completes even when its answer is dropped.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// The operations of a store. Every one can fail with [`StoreError`]; a [`StoreError::Refused`] has written nothing.
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// Store id and commit counter.
    fn meta(&self) -> Pending<StoreMeta>;

    /// Whether it can be written: until a write failed, and again once another one has succeeded and none failed for a few
    /// seconds. While it cannot, asking tries it.
    fn writable(&self) -> Pending<()>;

    /// Appends a roster entry after the head it names; a genesis creates its mesh.
    fn roster_append_if_head(&self, mesh: MeshId, entry: Bytes, now: Millis) -> Pending<RosterAppended>;

    /// As [`Store::roster_append_if_head`], for an entry that was made long ago and is given back to a broker that lacks
    /// it: it does not count against its author's daily allowance.
    fn roster_restore_if_head(&self, mesh: MeshId, entry: Bytes, now: Millis) -> Pending<RosterAppended>;

    /// Reads roster entries from index `from`.
    fn roster_range(&self, mesh: MeshId, from: u64, page: Page) -> Pending<RosterRange>;

    /// Keeps a device record unless one of the same or a higher counter is there. The same bytes again are fine.
    fn record_put(&self, put: RecordPut, now: Millis) -> Pending<()>;

    /// The records of those of `devices` that have one, in the order given.
    fn record_get(&self, mesh: MeshId, devices: Vec<DeviceId>) -> Pending<Vec<Bytes>>;

    /// What the store holds of a device for its `welcome`.
    fn device_facts(&self, mesh: MeshId, device: DeviceId) -> Pending<DeviceFacts>;

    /// Stores envelopes for their recipients. Outcomes are per recipient and independent.
    fn enqueue(&self, batch: Vec<Enqueue>, now: Millis) -> Pending<Enqueued>;

    /// Waiting mail of a device with offsets above `after`, in order. Rows that expired are left out.
    fn mailbox(&self, mesh: MeshId, device: DeviceId, after: u64, page: Page, now: Millis) -> Pending<Vec<Delivery>>;

    /// Removes what the receipts name from their signers' own mailboxes and leaves each sender its part as a notice.
    /// Items that match nothing are ignored.
    ///
    /// Unless an item is refused, the answer does not wait for the disk: what a power failure takes back is delivered again,
    /// and receipted again. It may overtake other operations.
    fn ack(&self, batch: Vec<Receipt>, now: Millis) -> Pending<Acked>;

    /// Notices of a device with offsets above `after`, in order.
    fn notices(&self, mesh: MeshId, device: DeviceId, after: u64, page: Page) -> Pending<Vec<(u64, Notice)>>;

    /// Forgets notices up to and including `through`. Does not wait for the disk, as [`Store::ack`].
    fn notices_done(&self, mesh: MeshId, device: DeviceId, through: u64) -> Pending<()>;

    /// Lets time pass: scheduled mail that is due joins the mailboxes, expired mail leaves them with a notice to its
    /// sender, and retention ends for what is old. Call it when the returned `due` comes, at once when there is `more`,
    /// and every few seconds anyway.
    fn elapse(&self, now: Millis) -> Pending<Elapsed>;

    /// Appends a log entry. The same entry again gets the same answer.
    fn log_append(&self, append: LogAppend, now: Millis) -> Pending<LogAppended>;

    /// Reads log entries from offset `from`, which counts from 1.
    fn log_range(&self, mesh: MeshId, log: LogId, from: u64, page: Page) -> Pending<LogRange>;

    /// The logs of a mesh.
    fn log_list(&self, mesh: MeshId) -> Pending<Vec<LogInfo>>;

    /// Finishes what was begun, then lets go of the files. Whatever comes later is answered with [`StoreError::Closed`].
    fn close(&self) -> Pending<()>;
}
