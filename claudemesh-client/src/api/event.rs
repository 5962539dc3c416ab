//! The event feed.

use serde::{Deserialize, Serialize};

use super::{MemberRef, Message, Notification, Peer, Post, State};

/// One event with its permanent position.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventRecord {
    /// Position in this home's feed of the mesh, from 1.
    pub position: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Event {
    /// A message arrived.
    Message {
        /// The message.
        message: Box<Message>,
    },
    /// Another member posted to a topic that this home follows.
    Post {
        /// The post.
        post: Box<Post>,
    },
    /// Something asks for attention: a mention, a reply, a task, a place in a topic. A post that mentions comes as
    /// [`Event::Post`] too, before this.
    Notification {
        /// The notification.
        notification: Box<Notification>,
    },
    /// A sent message changed its state.
    Receipt {
        /// Message id.
        id: String,
        /// Recipient.
        member: MemberRef,
        /// New state.
        state: State,
        /// Reason, when there is one.
        reason: Option<String>,
    },
    /// A peer's presence changed. Not durable: position is that of the last durable event.
    Presence {
        /// The peer.
        peer: Box<Peer>,
    },
    /// The roster changed.
    Roster {
        /// What: `member_joined`, `member_removed`, `device_added`, `device_removed`, `role_changed`, `invite_created`,
        /// `invite_closed`, `broker_set`, `owner_reset`, `mesh_closed`.
        change: String,
        /// The member concerned, when there is one.
        member: Option<MemberRef>,
        /// Index of the entry.
        index: u64,
    },
    /// Events were lost to this reader.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// Where a consumer of events starts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventsQuery {
    /// Name of a durable consumer, whose committed position is continued; none: from now on.
    pub consumer: Option<String>,
    /// Starts after this position instead.
    pub after: Option<u64>,
    /// Session whose messages are wanted; default `main`.
    pub session: Option<String>,
}

/// Commits a consumer's position.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AckRequest {
    /// The consumer.
    pub consumer: String,
    /// Everything up to here is done.
    pub position: u64,
}
