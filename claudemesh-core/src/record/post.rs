//! Posts and threads.

use alloc::string::String;
use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use super::form::{Form, at_most, debug_sizes, few, list, some_text};
use super::{Field, MAX_MENTIONS, MAX_SESSION, MAX_TEXT, RecordError};
use crate::id::{MemberId, MessageId};
use crate::time::Millis;

/// A post in a topic.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Post {
    /// Its name, unique among its author's posts of the topic.
    #[n(0)]
    pub id: MessageId,
    /// What it says: 1 byte to [`MAX_TEXT`].
    #[n(1)]
    pub text: String,
    /// When it was written, by the author's clock.
    #[n(2)]
    pub sent_at: Millis,
    /// The post it answers.
    #[n(3)]
    pub reply_to: Option<MessageId>,
    /// The session that wrote it.
    #[n(4)]
    pub session: Option<String>,
    /// The members it mentions, at most [`MAX_MENTIONS`].
    #[cbor(n(5), with = "list", has_nil)]
    pub mentions: Vec<MemberId>,
}
debug_sizes!(Post { id, sent_at, reply_to, mentions; session, text });

impl Form for Post {
    fn check(&self) -> Result<(), RecordError> {
        some_text(Field::Text, &self.text, MAX_TEXT)?;
        at_most(Field::Session, self.session.as_deref(), MAX_SESSION)?;
        few(Field::Mentions, &self.mentions, MAX_MENTIONS)
    }

    fn room(&self) -> usize {
        96 + self.text.len() + self.session.as_ref().map_or(0, String::len) + self.mentions.len() * 34
    }
}

/// Whether the thread that starts with a post is settled.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ThreadResolved {
    /// The post.
    #[n(0)]
    pub id: MessageId,
    /// Whether it is settled.
    #[n(1)]
    pub resolved: bool,
}

impl Form for ThreadResolved {
    fn check(&self) -> Result<(), RecordError> {
        Ok(())
    }
}
