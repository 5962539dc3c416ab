//! The one error type of the SDK: a kind to act on, a message to read, a hint for the next step.

use std::fmt;

/// What went wrong, as something a program can decide on. Each kind has one stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A bug of ours.
    Internal,
    /// The request itself is wrong: a bad name, an empty or over-long text, an unknown option.
    Usage,
    /// No member, message, mesh or invite of that name.
    NotFound,
    /// More than one thing has that name or key prefix.
    Ambiguous,
    /// The other side, the roster or a limit refuses it.
    Refused,
    /// An invite or message is past its time, used up or closed.
    Expired,
    /// The state waited for was not reached in time; the message stays.
    Timeout,
    /// The daemon or the broker cannot be reached.
    Unreachable,
    /// The same id or name with other content.
    Conflict,
    /// Another process holds this home.
    Locked,
    /// The home's store is damaged; it was left as it is.
    Corrupt,
    /// The home cannot be written: permissions, a read-only or a full disk.
    Unwritable,
}

impl ErrorKind {
    /// Every kind, for tables and tests.
    pub const ALL: [Self; 12] = [
        Self::Internal,
        Self::Usage,
        Self::NotFound,
        Self::Ambiguous,
        Self::Refused,
        Self::Expired,
        Self::Timeout,
        Self::Unreachable,
        Self::Conflict,
        Self::Locked,
        Self::Corrupt,
        Self::Unwritable,
    ];

    /// The stable code in JSON errors.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Ambiguous => "ambiguous",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Conflict => "conflict",
            Self::Locked => "locked",
            Self::Corrupt => "corrupt",
            Self::Unwritable => "unwritable",
        }
    }

    /// The kind with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The exit code of the command line for this kind.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::NotFound | Self::Ambiguous => 3,
            Self::Refused | Self::Expired => 4,
            Self::Timeout => 5,
            Self::Unreachable => 6,
            Self::Conflict => 7,
            Self::Locked | Self::Corrupt | Self::Unwritable => 8,
        }
    }
}

/// An error of the SDK.
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with a message for the reader: what happened, to what.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message without the hint.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Whether the same call may succeed later without a change.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Timeout | ErrorKind::Unreachable | ErrorKind::Locked)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
