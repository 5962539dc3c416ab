//! What a room remembers.

use alloc::string::String;
use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use super::form::{Form, debug_sizes, few, list, some_text};
use super::{Field, MAX_TAG, MAX_TAGS, MAX_TEXT, RecordError};
use crate::id::{MemberId, MessageId};
use crate::time::Millis;

/// Something to remember.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Memory {
    /// Its name, unique among its author's memories of the room.
    #[n(0)]
    pub id: MessageId,
    /// What is remembered: 1 byte to [`MAX_TEXT`].
    #[n(1)]
    pub text: String,
    /// When it was written, by the author's clock.
    #[n(2)]
    pub at: Millis,
    /// Words to find it by: at most [`MAX_TAGS`], each 1 to [`MAX_TAG`] bytes.
    #[cbor(n(3), with = "list", has_nil)]
    pub tags: Vec<String>,
}
debug_sizes!(Memory { id, at; tags, text });

impl Form for Memory {
    fn check(&self) -> Result<(), RecordError> {
        some_text(Field::Text, &self.text, MAX_TEXT)?;
        few(Field::Tags, &self.tags, MAX_TAGS)?;
        self.tags.iter().try_for_each(|tag| some_text(Field::Tag, tag, MAX_TAG))
    }

    fn room(&self) -> usize {
        64 + self.text.len() + self.tags.iter().map(|tag| 2 + tag.len()).sum::<usize>()
    }
}

/// Something to forget, now and whenever it comes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Forgotten {
    /// The memory.
    #[n(0)]
    pub id: MessageId,
    /// Whose memory it is.
    #[n(1)]
    pub member: MemberId,
}

impl Form for Forgotten {
    fn check(&self) -> Result<(), RecordError> {
        Ok(())
    }
}
