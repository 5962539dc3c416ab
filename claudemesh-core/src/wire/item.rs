//! What frames carry more than one of.

use minicbor::{Decode, Encode};

use super::code::ErrorCode;
use crate::codec::{Bytes, cbor_exact_array};
use crate::id::{DeviceId, LogId, MessageId};
use crate::time::Millis;

/// What became of one recipient of a submitted envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Durable on the broker's disk.
    Accepted,
    /// It was accepted before.
    Duplicate,
    /// Refused.
    Refused(ErrorCode),
}

impl<C> Encode<C> for Outcome {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        match self {
            Self::Accepted => e.array(1)?.u8(0)?.ok(),
            Self::Duplicate => e.array(1)?.u8(1)?.ok(),
            Self::Refused(code) => e.array(2)?.u8(2)?.str(code.as_str())?.ok(),
        }
    }
}

impl<'b, C> Decode<'b, C> for Outcome {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        match (d.array()?, d.u8()?) {
            (Some(1), 0) => Ok(Self::Accepted),
            (Some(1), 1) => Ok(Self::Duplicate),
            (Some(2), 2) => Ok(Self::Refused(ErrorCode::from_wire(d.str()?))),
            _ => Err(minicbor::decode::Error::message("unknown outcome")),
        }
    }
}

/// A delivery with its place in the mailbox.
#[derive(Clone, Debug, PartialEq, Encode)]
#[cbor(array)]
pub struct Delivered {
    /// Mailbox offset.
    #[n(0)]
    pub offset: u64,
    /// The encoded delivery.
    #[n(1)]
    pub delivery: Bytes,
}
cbor_exact_array!(Delivered { offset, delivery });

/// A notice with its place in the sender's queue.
#[derive(Clone, Debug, PartialEq, Encode)]
#[cbor(array)]
pub struct NumberedNotice {
    /// Notice offset.
    #[n(0)]
    pub offset: u64,
    /// The notice.
    #[n(1)]
    pub notice: Notice,
}
cbor_exact_array!(NumberedNotice { offset, notice });

/// What became of messages this device sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// Signed by the recipient: an encoded receipt part.
    Receipt(Bytes),
    /// The broker's statement: expired before it was delivered.
    Expired {
        /// Recipient device.
        device: DeviceId,
        /// Message.
        id: MessageId,
        /// Attempt.
        attempt: u64,
    },
}

impl<C> Encode<C> for Notice {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        match self {
            Self::Receipt(part) => {
                e.array(2)?.u8(0)?;
                part.encode(e, ctx)
            }
            Self::Expired { device, id, attempt } => {
                e.array(4)?.u8(1)?;
                device.encode(e, ctx)?;
                id.encode(e, ctx)?;
                e.u64(*attempt)?.ok()
            }
        }
    }
}

impl<'b, C> Decode<'b, C> for Notice {
    fn decode(d: &mut minicbor::Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        match (d.array()?, d.u8()?) {
            (Some(2), 0) => Ok(Self::Receipt(Bytes::decode(d, ctx)?)),
            (Some(4), 1) => Ok(Self::Expired {
                device: DeviceId::decode(d, ctx)?,
                id: MessageId::decode(d, ctx)?,
                attempt: d.u64()?,
            }),
            _ => Err(minicbor::decode::Error::message("unknown notice")),
        }
    }
}

/// A log and how far it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
#[cbor(array)]
pub struct LogTail {
    /// The log.
    #[n(0)]
    pub log: LogId,
    /// Last offset.
    #[n(1)]
    pub tail: u64,
    /// Current epoch.
    #[n(2)]
    pub epoch: u64,
}
cbor_exact_array!(LogTail { log, tail, epoch });

/// Presence of one device: online is the broker's word, the payload is signed by the device.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct DevicePresence {
    /// The device.
    #[n(0)]
    pub device: DeviceId,
    /// Whether it is connected.
    #[n(1)]
    pub online: bool,
    /// Its last signed presence.
    #[n(2)]
    pub presence: Option<Bytes>,
    /// When it was last connected.
    #[n(3)]
    pub last_seen: Millis,
}
