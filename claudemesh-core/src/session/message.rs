//! Messages at rest: outbox rows, inbox rows and states.

use alloc::string::String;
use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use crate::codec::{Bytes, HashBytes};
use crate::envelope::{Lane, Priority};
use crate::id::{DeviceId, MemberId, MessageId};
use crate::receipt::Reason;
use crate::time::Millis;
use crate::wire::ErrorCode;

/// Why a message waits or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The recipient has published no fresh prekey.
    NoPrekey,
    /// The recipient has no live device.
    NoDevice,
    /// The broker refused it.
    Broker(ErrorCode),
    /// The recipient refused it.
    Recipient(Reason),
}

impl Why {
    /// The stable text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoPrekey => "no_prekey",
            Self::NoDevice => "no_device",
            Self::Broker(code) => code.as_str(),
            Self::Recipient(reason) => {
                REASONS.iter().find(|(known, _)| *known == reason).map_or("refused", |(_, text)| text)
            }
        }
    }

    /// The reason with this text.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        match text {
            "no_device" => Some(Self::NoDevice),
            "no_prekey" => Some(Self::NoPrekey),
            _ => {
                REASONS.iter().find(|(_, known)| *known == text).map(|(reason, _)| Self::Recipient(*reason)).or_else(
                    || ErrorCode::ALL.iter().find(|code| code.as_str() == text).map(|code| Self::Broker(*code)),
                )
            }
        }
    }
}

impl<C> Encode<C> for MessageState {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let (rank, why) = self.code();
        (rank, why.unwrap_or_default()).encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for MessageState {
    fn decode(d: &mut minicbor::Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let (rank, why): (u8, &str) = Decode::decode(d, ctx)?;
        Self::from_code(rank, Some(why)).ok_or_else(|| minicbor::decode::Error::message("unknown state"))
    }
}

/// How far one recipient's copy of a message has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// Durable here.
    Queued,
    /// Durable here, waiting for something of the recipient's.
    Held(Why),
    /// Durable at the broker: its statement.
    Accepted,
    /// Durable on the recipient's device: signed by it.
    Delivered,
    /// Handed to the session: the recipient's claim.
    Injected,
    /// Read: the recipient's claim.
    Read,
    /// Past its time: the broker's statement.
    Expired,
    /// Refused.
    Refused(Why),
}

const REASONS: [(Reason, &str); 7] = [
    (Reason::PrekeyGone, "prekey_gone"),
    (Reason::SenderRemoved, "sender_removed"),
    (Reason::Malformed, "unusable"),
    (Reason::Unreadable, "unreadable"),
    (Reason::Fork, "fork"),
    (Reason::Blocked, "blocked"),
    (Reason::Conflict, "conflict"),
];

impl MessageState {
    /// The state's rank and reason, for storing it.
    #[must_use]
    pub fn code(self) -> (u8, Option<&'static str>) {
        let why = match self {
            Self::Held(why) | Self::Refused(why) => Some(why.as_str()),
            _ => None,
        };
        (self.rank(), why)
    }

    /// The state with this rank and reason; none when there is no such state.
    #[must_use]
    pub fn from_code(rank: u8, why: Option<&str>) -> Option<Self> {
        let why = || why.and_then(Why::from_text);
        Some(match rank {
            0 => Self::Queued,
            1 => Self::Held(why()?),
            2 => Self::Accepted,
            3 => Self::Delivered,
            4 => Self::Injected,
            5 => Self::Read,
            6 => Self::Expired,
            7 => Self::Refused(why()?),
            _ => return None,
        })
    }

    /// The place in the order of states; failures come last.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Queued => 0,
            Self::Held(_) => 1,
            Self::Accepted => 2,
            Self::Delivered => 3,
            Self::Injected => 4,
            Self::Read => 5,
            Self::Expired => 6,
            Self::Refused(_) => 7,
        }
    }

    /// Whether the sealed bytes are no longer needed.
    #[must_use]
    pub const fn is_end(self) -> bool {
        self.rank() >= 3
    }

    /// Whether `self` may be replaced by `next`: states only grow, and an observed delivery is never undone.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Expired | Self::Refused(_), _) => false,
            (Self::Delivered | Self::Injected | Self::Read, Self::Expired | Self::Refused(_)) => false,
            (Self::Held(_), Self::Queued) => true,
            _ => next.rank() > self.rank(),
        }
    }
}

/// What an outbox row carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum OutboxKind {
    /// A text of the user's.
    #[n(0)]
    Text,
    /// Our claim that we read messages.
    #[n(1)]
    Claim,
    /// An invitation to a log.
    #[n(2)]
    Invitation,
}

/// One recipient device of an outbox row.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OutRecipient {
    /// Device.
    #[n(0)]
    pub device: DeviceId,
    /// Its member.
    #[n(1)]
    pub member: MemberId,
    /// Sequence number, once sealed.
    #[n(2)]
    pub seq: Option<u64>,
    /// Whether this is the acting device of its member.
    #[n(3)]
    pub acting: bool,
    /// State.
    #[n(4)]
    pub state: MessageState,
}

/// One sealed attempt.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SealedAttempt {
    /// The attempt's number, from 1.
    #[n(0)]
    pub attempt: u64,
    /// Its envelope hash.
    #[n(1)]
    pub hash: HashBytes,
    /// Recipients, in the order of the records.
    #[n(2)]
    pub devices: Vec<DeviceId>,
    /// The submission, resent unchanged.
    #[n(3)]
    pub bytes: Bytes,
    /// Its place among all attempts this device sealed. Attempts are transmitted in this order, so that no lane is
    /// turned round.
    #[n(4)]
    pub order: u64,
    /// Devices that this attempt was definitely refused for; they are sealed to again.
    #[n(5)]
    pub refused: Vec<DeviceId>,
}

/// A message on its way out. Encodes for the store.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OutboxRow {
    /// Order of creation on this device.
    #[n(0)]
    pub ordinal: u64,
    /// Message id.
    #[n(1)]
    pub id: MessageId,
    /// What it carries.
    #[n(2)]
    pub kind: OutboxKind,
    /// Lane.
    #[n(3)]
    pub lane: Lane,
    /// When it expires.
    #[n(4)]
    pub expires: Millis,
    /// Encoded content.
    #[n(5)]
    pub content: Bytes,
    /// Recipients.
    #[n(6)]
    pub recipients: Vec<OutRecipient>,
    /// Sealed attempts, latest last.
    #[n(7)]
    pub sealed: Vec<SealedAttempt>,
    /// Milliseconds it may wait, while the broker's clock is not known: until then `expires` stands on the own one, or at
    /// the end of time where that one is known to be behind.
    #[n(8)]
    pub ttl: Option<u64>,
}

impl OutboxRow {
    /// Whether every recipient has reached an end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.recipients.iter().all(|recipient| recipient.state.is_end())
    }

    /// The attempt in force for a device; none when it is to be sealed to, for the first time or again.
    #[must_use]
    pub fn attempt_for(&self, device: &DeviceId) -> Option<&SealedAttempt> {
        self.sealed.iter().rev().find(|sealed| sealed.devices.contains(device) && !sealed.refused.contains(device))
    }

    pub(super) fn attempt(&self, number: u64) -> Option<&SealedAttempt> {
        self.sealed.iter().find(|sealed| sealed.attempt == number)
    }
}

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxRow {
    /// Message id.
    pub id: MessageId,
    /// Sending device.
    pub device: DeviceId,
    /// Sending member.
    pub member: MemberId,
    /// Sending session.
    pub from_session: Option<String>,
    /// Session of ours it is for.
    pub session: Option<String>,
    /// Members addressed.
    pub to: Vec<MemberId>,
    /// Text, or the raw content of a type this version does not know.
    pub body: InboxBody,
    /// The sender's claim.
    pub sent_at: Millis,
    /// When it was applied here.
    pub received_at: Millis,
    /// Priority.
    pub priority: Priority,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// Whether another device is the acting one.
    pub copy: bool,
    /// Hops so far.
    pub hops: u64,
}

/// What a received message says.
#[derive(Clone, PartialEq, Eq)]
pub enum InboxBody {
    /// Text.
    Text(String),
    /// A content type this version does not know; kept, never shown as text.
    Undecodable {
        /// The type.
        kind: u64,
        /// Its bytes.
        bytes: Bytes,
    },
}

impl core::fmt::Debug for InboxBody {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Undecodable { kind, bytes } => write!(f, "Undecodable({kind}, {} bytes)", bytes.len()),
        }
    }
}
