//! Why an entry is not accepted, and the error code each reason travels under.

use alloc::boxed::Box;

use minicbor::{Decode, Encode};

use super::Position;
use crate::codec::Malformed;
use crate::id::DeviceId;

/// The chain on which two histories were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ForkedChain {
    /// The log's own chain.
    #[n(0)]
    Log,
    /// The roster; positions are roster heads.
    #[n(1)]
    Roster,
}

/// Two positions that cannot lie on one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogFork {
    /// The chain that forked.
    #[n(0)]
    pub chain: ForkedChain,
    /// Offset of the entry that revealed it.
    #[n(1)]
    pub at: u64,
    /// Author of that entry; `None` when the broker's own answers disagree.
    #[n(2)]
    pub author: Option<DeviceId>,
    /// The position named by the author or promised by the broker.
    #[n(3)]
    pub named: Position,
    /// The reader's own position at that offset, or its last one when `named` lies beyond.
    #[n(4)]
    pub ours: Position,
}

/// The rule of the log an entry breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// The first entry of a log is the commit of epoch 1.
    FirstIsCommit,
    /// An entry belongs to the current epoch, a commit to the next.
    EpochOutOfTurn,
    /// A commit's roster head lies before one that the log has named already.
    CommitHeadBehind,
    /// A wrap for a device that is not live or not in the audience.
    WrapRecipient(DeviceId),
    /// A device or offset named twice.
    Doubled,
    /// The committer of a private log is in its audience; a log never turns from private to mesh-wide or back; the
    /// mesh's own log is never private.
    Audience,
    /// A history link where the log's policy has none, or another policy than `all` for the mesh's own log.
    History,
    /// An epoch named in the payload does not exist (yet), or has none before it.
    NoSuchEpoch,
    /// A bad-commit report by a device the epoch was never wrapped to.
    NoWrapToReport,
    /// A compaction names an offset that is not a records entry below it.
    Compaction,
}

/// An entry cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// More than [`MAX_ENTRY_BYTES`](super::MAX_ENTRY_BYTES).
    #[error("entry is too large")]
    TooLarge,
    /// Not a well-formed entry of a known kind.
    #[error("entry is malformed")]
    Malformed,
    /// The entry belongs to another mesh or log.
    #[error("entry belongs to another log")]
    WrongLog,
    /// The author is no device the roster knows.
    #[error("author is not a device of the mesh")]
    UnknownAuthor,
    /// The author was not live when it wrote.
    #[error("author is not live")]
    AuthorNotLive,
    /// The signature does not verify.
    #[error("signature does not verify")]
    BadSignature,
    /// The entry names a roster head beyond the own roster: fetch the roster and try again.
    #[error("roster head {index} is not known yet")]
    UnknownHead {
        /// Index of the head named.
        index: u64,
    },
    /// A commit was made at a roster head that is not the current one any more: make it again.
    #[error("the roster head moved to {index}")]
    HeadMoved {
        /// Index of the current head.
        index: u64,
    },
    /// The author's per-log seq is not higher than its last. A retry is found by its seq before this check.
    #[error("seq is not above {last}")]
    SeqUsed {
        /// The author's last seq.
        last: u64,
    },
    /// The epoch of a commit exists already.
    #[error("epoch {current} was committed already")]
    EpochTaken {
        /// The current epoch.
        current: u64,
    },
    /// The entry's epoch is over, or a device that could read it has been removed: commit first.
    #[error("the entry's epoch is stale (current: {current})")]
    StaleEpoch {
        /// The current epoch.
        current: u64,
    },
    /// The author may not do this: no access to a private log, or no rank for a compaction.
    #[error("not allowed to the author")]
    Forbidden,
    /// A rule is broken.
    #[error("entry breaks a rule of the log: {0:?}")]
    Invalid(Rule),
    /// Two histories exist. Reading stops for good.
    #[error("fork: {0:?}")]
    Fork(Box<LogFork>),
    /// The position an entry names is older than what chain and store remember, so it cannot be judged.
    #[error("position {offset} is not remembered")]
    UnknownPosition {
        /// The offset named.
        offset: u64,
    },
    /// An offset was served out of turn.
    #[error("expected offset {expected}")]
    OutOfTurn {
        /// The offset that comes next.
        expected: u64,
    },
}

impl From<Malformed> for LogError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<LogFork> for LogError {
    fn from(fork: LogFork) -> Self {
        Self::Fork(Box::new(fork))
    }
}

impl LogError {
    /// The protocol's error code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::WrongLog | Self::BadSignature | Self::Invalid(_) | Self::UnknownPosition { .. } => "invalid_entry",
            Self::UnknownAuthor => "not_a_member",
            Self::AuthorNotLive => "removed",
            Self::UnknownHead { .. } => "unknown_head",
            Self::HeadMoved { .. } => "head_moved",
            Self::SeqUsed { .. } => "id_conflict",
            Self::EpochTaken { .. } => "epoch_taken",
            Self::StaleEpoch { .. } => "stale_epoch",
            Self::Forbidden => "forbidden",
            Self::Fork(fork) if matches!(fork.chain, ForkedChain::Roster) => "unknown_head",
            Self::Fork(_) => "invalid_entry",
            Self::OutOfTurn { .. } => "offset_moved",
        }
    }
}
