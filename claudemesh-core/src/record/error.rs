//! What can be wrong with a record.

use core::fmt;

/// A part of a record that has bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Field {
    /// The name of a topic.
    Name,
    /// The purpose of a topic.
    Purpose,
    /// The path of a group.
    Path,
    /// A member's role in a group.
    Role,
    /// The text of a post or memory.
    Text,
    /// The session that wrote.
    Session,
    /// The members mentioned.
    Mentions,
    /// The key of a state.
    Key,
    /// The value of a state.
    Value,
    /// The tags of a memory.
    Tags,
    /// One tag.
    Tag,
    /// The title of a task.
    Title,
    /// The body of a task.
    Body,
    /// The tasks another depends on.
    Dependencies,
    /// The result of a task.
    Result,
}

impl Field {
    /// The field in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Purpose => "purpose",
            Self::Path => "path",
            Self::Role => "role",
            Self::Text => "text",
            Self::Session => "session",
            Self::Mentions => "mentions",
            Self::Key => "key",
            Self::Value => "value",
            Self::Tags => "tags",
            Self::Tag => "tag",
            Self::Title => "title",
            Self::Body => "body",
            Self::Dependencies => "dependencies",
            Self::Result => "result",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A record is not within its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It has not the form of its kind.
    #[error("the record is malformed")]
    Malformed,
    /// No room has records of this kind.
    #[error("records of kind {0} are unknown")]
    UnknownKind(u64),
    /// There is no text.
    #[error("the {0} is empty")]
    Empty(Field),
    /// There is too much text.
    #[error("the {field} is longer than {limit} bytes")]
    TooLong {
        /// Of what.
        field: Field,
        /// The most bytes.
        limit: usize,
    },
    /// A list is too long.
    #[error("there are more than {limit} {field}")]
    TooMany {
        /// Of what.
        field: Field,
        /// The most items.
        limit: usize,
    },
    /// The text is kept for something else.
    #[error("the {0} is reserved")]
    Reserved(Field),
    /// White space at the start or the end.
    #[error("the {0} starts or ends with white space")]
    Padded(Field),
    /// A control character.
    #[error("the {field} contains the control character U+{:04X}", *.character as u32)]
    Control {
        /// Of what.
        field: Field,
        /// The character.
        character: char,
    },
    /// The value is no JSON text, or one that not every reader can read.
    #[error("the value is not JSON that every reader can read")]
    NotJson,
}

impl RecordError {
    /// A stable name.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownKind(_) => "unknown_kind",
            Self::Empty(_) => "empty",
            Self::TooLong { .. } => "too_long",
            Self::TooMany { .. } => "too_many",
            Self::Reserved(_) => "reserved",
            Self::Padded(_) => "padded",
            Self::Control { .. } => "control",
            Self::NotJson => "not_json",
        }
    }

    /// The field that is wrong.
    #[must_use]
    pub const fn field(self) -> Option<Field> {
        match self {
            Self::Empty(field)
            | Self::TooLong { field, .. }
            | Self::TooMany { field, .. }
            | Self::Reserved(field)
            | Self::Padded(field)
            | Self::Control { field, .. } => Some(field),
            Self::NotJson => Some(Field::Value),
            Self::Malformed | Self::UnknownKind(_) => None,
        }
    }
}
