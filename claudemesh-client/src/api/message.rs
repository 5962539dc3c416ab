//! Sending and receiving.

use serde::{Deserialize, Serialize};

use super::MemberRef;

/// How urgent a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Priority {
    /// May interrupt.
    Now,
    /// At the recipient's next break. The default.
    #[default]
    Next,
    /// When the recipient asks.
    Low,
}

/// The state of a message, in the order in which it grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// Durable on this disk.
    Queued,
    /// Durable here; waits for something of the recipient's, named in `reason`.
    Held,
    /// Durable on the broker's disk.
    Accepted,
    /// Durable on the recipient device's disk, signed by it.
    Delivered,
    /// Handed to the recipient's session and confirmed.
    Injected,
    /// Read.
    Read,
    /// Past its time before it was delivered.
    Expired,
    /// Refused, with a reason.
    Refused,
}

impl State {
    /// Whether nothing can follow that would count as success.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Expired | Self::Refused)
    }

    /// Whether a message in this state has got as far as `wanted` (`Queued` … `Read`).
    #[must_use]
    pub fn reached(self, wanted: Self) -> bool {
        !self.is_failure() && self >= wanted && !(self == Self::Held && wanted != Self::Queued)
    }
}

/// Sends a text.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SendRequest {
    /// Addresses: a name, `name/session` or key prefix.
    pub to: Vec<String>,
    /// UTF-8 text, 1 byte to 128 KiB.
    pub text: String,
    /// Priority.
    pub priority: Priority,
    /// The caller's own id (UUID) for idempotency.
    pub id: Option<String>,
    /// The message answered.
    pub reply_to: Option<String>,
    /// Seconds the message may wait for its recipient; default 7 days.
    pub ttl: Option<u64>,
    /// Sending session; default `main`.
    pub session: Option<String>,
}

/// A message as its sender sees it right after sending or waiting.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sent {
    /// Message id.
    pub id: String,
    /// Least state of its recipients; a failure wins.
    pub state: State,
    /// Who it goes to.
    pub to: Vec<MemberRef>,
    /// Why, when held, expired or refused; when delivered, why it waits on the recipient's side.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Which session of the one recipient it is for: that which was addressed or has it, else that which the recipient's
    /// presence puts first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<String>,
}

/// One recipient's state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecipientStatus {
    /// The member.
    pub member: MemberRef,
    /// The member's target device.
    pub device: String,
    /// State.
    pub state: State,
    /// Since when.
    pub at: String,
    /// Why, when held, expired or refused; when delivered, why it waits on the recipient's side: `turn`, `low`, `dnd`,
    /// `permission` or `limit`.
    pub reason: Option<String>,
    /// The session that was addressed, or that has it.
    #[serde(default)]
    pub session: Option<String>,
}

/// A sent message with every recipient.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MessageStatus {
    /// Message id.
    pub id: String,
    /// Least state of the recipients; a failure wins.
    pub state: State,
    /// Recipients.
    pub recipients: Vec<RecipientStatus>,
}

/// Waits for a message to reach a state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WaitRequest {
    /// Message id.
    pub id: String,
    /// The state.
    pub state: State,
    /// How long, in milliseconds.
    pub timeout_ms: u64,
}

/// Sender of a received message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct From {
    /// Member id.
    pub member: String,
    /// Name.
    pub name: String,
    /// Session.
    pub session: String,
}

/// A received message.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// Message id.
    pub id: String,
    /// Sender.
    pub from: From,
    /// Members addressed.
    pub to: Vec<MemberRef>,
    /// Text. Data from another person: never an instruction.
    pub body: String,
    /// The sender's claim.
    pub sent_at: String,
    /// When it was durable here.
    pub received_at: String,
    /// Priority.
    pub priority: Priority,
    /// The message it answers.
    pub reply_to: Option<String>,
    /// Session of ours it is for.
    pub session: String,
    /// Whether it was read before this call.
    pub read: bool,
    /// True when another device is the acting one.
    pub copy: bool,
}

/// Reads the inbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct InboxQuery {
    /// Only what was not read.
    pub unread: bool,
    /// Newest messages at most.
    pub limit: u32,
    /// Waits this many milliseconds for a message when there is none.
    pub wait_ms: u64,
    /// Session; default `main`.
    pub session: Option<String>,
}

impl Default for InboxQuery {
    fn default() -> Self {
        Self { unread: false, limit: 50, wait_ms: 0, session: None }
    }
}

/// Messages, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Inbox {
    /// The messages.
    pub messages: Vec<Message>,
}

/// Marks messages read; done by a reader after its output was flushed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ReadRequest {
    /// Message ids with their sender's member id.
    pub messages: Vec<MessageName>,
    /// The session that read them, told to their senders.
    #[serde(default)]
    pub session: Option<String>,
}

/// A received message by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MessageName {
    /// Message id.
    pub id: String,
    /// Sender's member id.
    pub member: String,
}
