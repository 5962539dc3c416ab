//! Logs: totally ordered, encrypted, append-only sequences of signed entries.
//!
//! Owns the entries' form, the hash chain, the epochs and their secrets, and the one function that says whether an entry
//! may follow ([`check_append`]), which broker and clients share. It does not know the roster's form (only
//! [`Membership`]), stores, sockets or what records mean, except for the records of the mesh's own log ([`directory`]).
//!
//! A broker keeps a [`LogTip`] for each log. A client keeps a [`LogReader`], which adds the epoch secrets ([`LogKeys`]).

mod build;
mod chain;
mod check;
pub mod directory;
mod entry;
mod error;
mod keys;
mod reader;
mod records;
#[cfg(test)]
mod tests;
mod tip;

pub use build::{
    BuildError, CommitPlan, NewCommit, Recipient, Writer, build_bad_commit, build_commit, build_compaction,
    build_history_link, build_records, build_rewrap,
};
pub use chain::{Chain, Past, Position};
pub use check::{At, Membership, check_append};
pub use entry::{
    BadCommit, BadCommitReason, Commit, Compaction, EntryKind, HistoryLink, HistoryPolicy, LogBody, LogEntry, Payload,
    Rewrap, SealedSecret, WrapRecord,
};
pub use error::{ForkedChain, LogError, LogFork, Rule};
pub use keys::{LogKeys, WrapOutcome};
pub use reader::{LogEvent, LogReader, Served};
pub use records::{OpenError, Record, epoch_commitment, open_records};
pub use tip::LogTip;

/// Most bytes of one entry as it travels.
pub const MAX_ENTRY_BYTES: usize = 128 * 1024;
/// Most records of one entry.
pub const MAX_RECORDS: usize = 64;
/// Most wraps of one commit or re-wrap, and most devices of one audience.
pub const MAX_WRAPS: usize = 512;
/// Most offsets of one compaction.
pub const MAX_COMPACTED: usize = 4096;
/// How many of its last positions a [`Chain`] remembers; older ones are asked of [`Past`].
pub const CHAIN_WINDOW: usize = 1024;
