//! The records of rooms: what members write into logs about topics, groups, posts, state, memory and tasks
//! (`docs/protocol.md` §8).
//!
//! Owns the form and the bounds of each record, and what they need to be read alike everywhere: keys, JSON values, mentions.
//! Whether a record is *valid* where it stands also depends on its author and on the records before it; that is decided by
//! whoever folds a room. Kinds 1–3 are those of the [directory](crate::log::directory).
//!
//! Every `Debug` here prints sizes in place of texts.

mod error;
mod form;
mod json;
mod memory;
mod mention;
mod post;
mod state;
mod task;
#[cfg(test)]
mod tests;
mod topic;

pub use error::{Field, RecordError};
pub use memory::{Forgotten, Memory};
pub use mention::{Mentions, mentions};
pub use post::{Post, ThreadResolved};
pub use state::{StateDeleted, StateKey, StateSet};
pub use task::{Task, TaskClaimed, TaskCompleted, TaskReleased, fence};
pub use topic::{EVERYONE, GENERAL, GroupMember, Topic, TopicInfo, TopicMember, TopicRetention, TopicRole, Visibility};

use form::Form;

use crate::codec::{self, Bytes};
use crate::log::Record;

/// Most bytes of a post, a memory, a task's body and a task's result.
pub const MAX_TEXT: usize = 64 * 1024;
/// Most bytes of a state's value.
pub const MAX_VALUE: usize = 64 * 1024;
/// Most arrays and objects within one another in a state's value.
pub const MAX_VALUE_DEPTH: usize = 64;
/// Most bytes of a state's key.
pub const MAX_KEY: usize = 256;
/// Most bytes of a topic's purpose.
pub const MAX_PURPOSE: usize = 1024;
/// Most bytes of a member's role in a group.
pub const MAX_GROUP_ROLE: usize = 64;
/// Most bytes of a session's id.
pub const MAX_SESSION: usize = crate::envelope::MAX_SESSION;
/// Most members a post mentions.
pub const MAX_MENTIONS: usize = 64;
/// Most tags of a memory.
pub const MAX_TAGS: usize = 32;
/// Most bytes of a tag.
pub const MAX_TAG: usize = 64;
/// Most bytes of a task's title.
pub const MAX_TITLE: usize = 1024;
/// Most tasks another depends on.
pub const MAX_DEPENDENCIES: usize = 32;

macro_rules! room_records {
    ($($(#[$doc:meta])* $name:ident = $kind:literal),+ $(,)?) => {
        /// A record of a room, decoded and within its bounds.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum RoomRecord {
            $($(#[$doc])* $name($name)),+
        }

        impl RoomRecord {
            /// The number of its kind.
            #[must_use]
            pub const fn kind(&self) -> u64 {
                match self {
                    $(Self::$name(_) => $kind),+
                }
            }

            /// Whether there are room records of this kind.
            #[must_use]
            pub const fn is_kind(kind: u64) -> bool {
                matches!(kind, $($kind)|+)
            }

            /// Checks the bounds of every field.
            ///
            /// # Errors
            /// [`RecordError`], naming the field and its limit.
            pub fn check(&self) -> Result<(), RecordError> {
                match self {
                    $(Self::$name(record) => record.check()),+
                }
            }

            /// The record as it is written to a log.
            ///
            /// # Errors
            /// As [`RoomRecord::check`] has it.
            pub fn encode(&self) -> Result<Record, RecordError> {
                self.check()?;
                let data = match self {
                    $(Self::$name(record) => codec::strict::encode_sized(record, record.room())),+
                };
                Ok(Record { kind: self.kind(), data: Bytes(data) })
            }

            /// Reads a record.
            ///
            /// # Errors
            /// [`RecordError`], also for kinds that are not those of rooms.
            pub fn decode(record: &Record) -> Result<Self, RecordError> {
                match record.kind {
                    $($kind => form::decode(&record.data).map(Self::$name),)+
                    kind => Err(RecordError::UnknownKind(kind)),
                }
            }
        }

        $(
            impl $name {
                /// The number of this kind.
                pub const KIND: u64 = $kind;
            }

            impl From<$name> for RoomRecord {
                fn from(record: $name) -> Self {
                    Self::$name(record)
                }
            }
        )+
    };
}

room_records! {
    /// A public topic.
    Topic = 4,
    /// Who is in a group.
    GroupMember = 5,
    /// A post.
    Post = 16,
    /// Whether a thread is settled.
    ThreadResolved = 17,
    /// What a topic is.
    TopicInfo = 18,
    /// Who is in a topic.
    TopicMember = 19,
    /// How long a topic keeps its posts.
    TopicRetention = 20,
    /// A value under a key.
    StateSet = 32,
    /// A key without a value.
    StateDeleted = 33,
    /// Something to remember.
    Memory = 48,
    /// Something to forget.
    Forgotten = 49,
    /// A task.
    Task = 64,
    /// Somebody takes a task.
    TaskClaimed = 65,
    /// Somebody gives a task back.
    TaskReleased = 66,
    /// Somebody is done with a task.
    TaskCompleted = 67,
}
