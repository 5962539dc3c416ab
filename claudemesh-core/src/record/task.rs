//! Tasks.

use alloc::string::String;
use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use super::form::{Form, at_most, debug_sizes, few, list, some_text};
use super::{Field, MAX_DEPENDENCIES, MAX_SESSION, MAX_TEXT, MAX_TITLE, RecordError};
use crate::id::{MemberId, MessageId};
use crate::log::directory::RecordAt;
use crate::time::Millis;

/// The fence of a claim: what tells it from every other claim of the same task. Later claims have higher ones.
#[must_use]
pub const fn fence((offset, index): RecordAt) -> u64 {
    offset.saturating_mul(crate::log::MAX_RECORDS as u64).saturating_add(index)
}

/// A task.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Task {
    /// Its name, unique in the room.
    #[n(0)]
    pub id: MessageId,
    /// What is to be done: 1 byte to [`MAX_TITLE`].
    #[n(1)]
    pub title: String,
    /// When it was written, by the author's clock.
    #[n(2)]
    pub at: Millis,
    /// The details.
    #[n(3)]
    pub body: Option<String>,
    /// The tasks of the room that have to be done before, at most [`MAX_DEPENDENCIES`].
    #[cbor(n(4), with = "list", has_nil)]
    pub depends_on: Vec<MessageId>,
    /// Who alone may take it.
    #[n(5)]
    pub assignee: Option<MemberId>,
}
debug_sizes!(Task { id, at, depends_on, assignee; title, body });

impl Form for Task {
    fn check(&self) -> Result<(), RecordError> {
        some_text(Field::Title, &self.title, MAX_TITLE)?;
        at_most(Field::Body, self.body.as_deref(), MAX_TEXT)?;
        few(Field::Dependencies, &self.depends_on, MAX_DEPENDENCIES)
    }

    fn room(&self) -> usize {
        96 + self.title.len() + self.body.as_ref().map_or(0, String::len) + self.depends_on.len() * 17
    }
}

/// The author takes a task.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TaskClaimed {
    /// The task.
    #[n(0)]
    pub id: MessageId,
    /// The session that will work on it.
    #[n(1)]
    pub session: Option<String>,
}
debug_sizes!(TaskClaimed { id; session });

impl Form for TaskClaimed {
    fn check(&self) -> Result<(), RecordError> {
        at_most(Field::Session, self.session.as_deref(), MAX_SESSION)
    }
}

/// A task is free again.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TaskReleased {
    /// The task.
    #[n(0)]
    pub id: MessageId,
    /// The [`fence`] of the claim that ends.
    #[n(1)]
    pub fence: u64,
}

impl Form for TaskReleased {
    fn check(&self) -> Result<(), RecordError> {
        Ok(())
    }
}

/// A task is done.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TaskCompleted {
    /// The task.
    #[n(0)]
    pub id: MessageId,
    /// The [`fence`] of the claim it was done under.
    #[n(1)]
    pub fence: u64,
    /// What came of it.
    #[n(2)]
    pub result: Option<String>,
}
debug_sizes!(TaskCompleted { id, fence; result });

impl Form for TaskCompleted {
    fn check(&self) -> Result<(), RecordError> {
        at_most(Field::Result, self.result.as_deref(), MAX_TEXT)
    }

    fn room(&self) -> usize {
        64 + self.result.as_ref().map_or(0, String::len)
    }
}
