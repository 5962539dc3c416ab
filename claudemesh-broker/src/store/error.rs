//! What a store operation can answer besides its result.

/// Why the store refused one request. The protocol's error codes, as far as a store or a fold decides them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// A number or list is outside what the store can keep.
    Malformed,
    /// A value exceeds its limit.
    TooLarge,
    /// The author may not do this.
    Forbidden,
    /// The device was never part of the mesh.
    NotAMember,
    /// The device has been removed.
    Removed,
    /// No such mesh here.
    UnknownMesh,
    /// The recipient is not a live device of the mesh.
    UnknownRecipient,
    /// No such log here.
    UnknownLog,
    /// The roster head is not on the stored chain.
    UnknownHead,
    /// Another roster entry came first.
    HeadMoved,
    /// The entry breaks a rule of the chain.
    InvalidEntry,
    /// The invite's expiry has passed.
    InviteExpired,
    /// The log's epoch is older than the current one, or made stale by a removal.
    StaleEpoch,
    /// A device record with this or a higher counter is stored.
    StaleRecord,
    /// Another commit made this epoch.
    EpochTaken,
    /// The log's tail is not the expected one.
    OffsetMoved,
    /// The same name was used for other bytes.
    IdConflict,
    /// The prekey is not one of the recipient's.
    NoPrekey,
    /// The sender is not a live device of the mesh.
    SenderRemoved,
    /// The expiry lies too far ahead.
    TtlTooLong,
    /// The expiry has passed.
    Expired,
    /// The recipient's mailbox has no room.
    MailboxFull,
    /// Too many requests of this kind in the last day.
    RateLimited,
    /// The mesh has been closed.
    MeshClosed,
    /// The mesh exists already.
    MeshExists,
}

impl Refusal {
    /// The protocol's error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Forbidden => "forbidden",
            Self::NotAMember => "not_a_member",
            Self::Removed => "removed",
            Self::UnknownMesh => "unknown_mesh",
            Self::UnknownRecipient => "unknown_recipient",
            Self::UnknownLog => "unknown_log",
            Self::UnknownHead => "unknown_head",
            Self::HeadMoved => "head_moved",
            Self::InvalidEntry => "invalid_entry",
            Self::InviteExpired => "invite_expired",
            Self::StaleEpoch => "stale_epoch",
            Self::StaleRecord => "stale_record",
            Self::EpochTaken => "epoch_taken",
            Self::OffsetMoved => "offset_moved",
            Self::IdConflict => "id_conflict",
            Self::NoPrekey => "no_prekey",
            Self::SenderRemoved => "sender_removed",
            Self::TtlTooLong => "ttl_too_long",
            Self::Expired => "expired",
            Self::MailboxFull => "mailbox_full",
            Self::RateLimited => "rate_limited",
            Self::MeshClosed => "mesh_closed",
            Self::MeshExists => "mesh_exists",
        }
    }
}

/// An operation or the opening of a store failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The request was refused; nothing was written.
    #[error("refused: {}", .0.code())]
    Refused(Refusal),
    /// Another process has the store open.
    #[error("the store is in use by another process")]
    Locked,
    /// The file was written by a newer version.
    #[error("the store has schema {found}, this version knows schemas up to {known}")]
    UnknownSchema {
        /// Schema number in the file.
        found: i64,
        /// Highest schema number this version knows.
        known: i64,
    },
    /// The file is not a claudemesh broker store.
    #[error("the file is not a broker store")]
    Foreign,
    /// The stored bytes contradict themselves.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// There is no room for the write; nothing was written.
    #[error("no room left for the store")]
    DiskFull,
    /// The operating system failed a read or write; nothing was written.
    #[error("the store's file failed: {0}")]
    Io(String),
    /// The store has been shut down.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// A word for who watches the broker from outside. It tells nothing of what is stored.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::Corrupt(_) | Self::Foreign | Self::UnknownSchema { .. } => "corrupt",
            Self::Closed => "closed",
            Self::Refused(_) | Self::Locked | Self::Io(_) => "io",
        }
    }

    /// Whether the same request may succeed later without any change to it.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::DiskFull | Self::Io(_) | Self::Closed)
    }
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io(error.to_string()),
        }
    }
}
