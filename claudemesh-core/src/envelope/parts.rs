//! The parts of an envelope: header, record, flush and place in the records tree, with their encodings.

use alloc::vec::Vec;
use core::fmt;

use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};

use super::{MAX_FLUSH, MAX_FLUSH_PATH, MAX_RECIPIENTS, MAX_RECORDS_PATH};
use crate::codec::strict;
use crate::hash::Hash;
use crate::head::RosterHead;
use crate::id::{DeviceId, MeshId, MessageId};
use crate::key::{Signature, WRAP_LEN};
use crate::time::Millis;

macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant = $code),+
        }

        impl $name {
            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> u64 {
                self as u64
            }

            /// The value with this number on the wire, if there is one.
            #[must_use]
            pub const fn from_code(code: u64) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.u64(self.code())?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Self::from_code(d.u64()?).ok_or_else(|| minicbor::decode::Error::message("unknown value"))
            }
        }
    };
}
pub(crate) use coded;

coded!(
    /// A stream of messages between two devices that keeps its own order.
    Lane {
        /// Pushed before everything else.
        Now = 0,
        /// The usual lane.
        Next = 1,
        /// Waits behind the others.
        Low = 2,
        /// Messages with a delivery time; promises no order.
        Scheduled = 3,
    }
);

coded!(
    /// How urgently the recipient should see a message. Sealed: only sender and recipient know it.
    Priority {
        /// Interrupts.
        Now = 0,
        /// At the next opportunity.
        Next = 1,
        /// When idle.
        Low = 2,
    }
);

/// What the broker reads to route an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The mesh.
    pub mesh: MeshId,
    /// The sending device.
    pub sender: DeviceId,
    /// The message; with the sender its name everywhere.
    pub id: MessageId,
    /// Counts re-sealings after a definite refusal, from 1.
    pub attempt: u64,
    /// When the broker stops trying.
    pub expires: Millis,
    /// When the broker starts delivering; at once without it.
    pub deliver_at: Option<Millis>,
    /// The sender's roster head.
    pub head: RosterHead,
}

impl<C> Encode<C> for Header {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.map(7 + u64::from(self.deliver_at.is_some()))?;
        e.u8(0)?.u8(1)?;
        e.u8(1)?.bytes(self.mesh.as_bytes())?;
        e.u8(2)?.bytes(self.sender.as_bytes())?;
        e.u8(3)?.bytes(self.id.as_bytes())?;
        e.u8(4)?.u64(self.attempt)?;
        e.u8(5)?.u64(self.expires.0)?;
        if let Some(at) = self.deliver_at {
            e.u8(6)?.u64(at.0)?;
        }
        e.u8(7)?;
        self.head.encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for Header {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let (mut version, mut mesh, mut sender, mut id) = (None, None, None, None);
        let (mut attempt, mut expires, mut deliver_at, mut head) = (None, None, None, None);
        strict::map(d, |key, d| {
            match key {
                0 => version = Some(d.u64()?),
                1 => mesh = Some(d.decode()?),
                2 => sender = Some(d.decode()?),
                3 => id = Some(d.decode()?),
                4 => attempt = Some(strict::from_one(d)?),
                5 => expires = Some(Millis(d.u64()?)),
                6 => deliver_at = Some(Millis(d.u64()?)),
                7 => head = Some(d.decode()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if version != Some(1) {
            return strict::fault("version");
        }
        Ok(Self {
            mesh: strict::need(mesh)?,
            sender: strict::need(sender)?,
            id: strict::need(id)?,
            attempt: strict::need(attempt)?,
            expires: strict::need(expires)?,
            deliver_at,
            head: strict::need(head)?,
        })
    }
}

/// One recipient of an envelope: where it goes and the content key, wrapped for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The receiving device.
    pub recipient: DeviceId,
    /// The prekey the content key is wrapped to.
    pub prekey_id: u32,
    /// The lane.
    pub lane: Lane,
    /// Place in the lane from this sender to this recipient, from 1.
    pub seq: u64,
    /// The wrapped content key.
    pub wrap: [u8; WRAP_LEN],
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("recipient", &self.recipient)
            .field("prekey_id", &self.prekey_id)
            .field("lane", &self.lane)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

impl<C> Encode<C> for Record {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(5)?.bytes(self.recipient.as_bytes())?.u32(self.prekey_id)?;
        e.u64(self.lane.code())?.u64(self.seq)?.bytes(&self.wrap)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Record {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        strict::array(d, 5)?;
        Ok(Self {
            recipient: d.decode()?,
            prekey_id: d.u32()?,
            lane: d.decode()?,
            seq: strict::from_one(d)?,
            wrap: d.bytes()?.try_into().map_err(|_| DecodeError::message("wrong length"))?,
        })
    }
}

/// The signature over envelopes sealed together, and this envelope's place among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flush {
    /// The sender's signature over the root of the envelope hashes.
    pub signature: Signature,
    /// This envelope's leaf.
    pub index: u64,
    /// Number of envelopes, 1 to 64.
    pub count: u64,
    /// Inclusion path of the leaf.
    pub path: Vec<Hash>,
}

impl<C> Encode<C> for Flush {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.map(4)?.u8(0)?.bytes(self.signature.as_bytes())?;
        e.u8(1)?.u64(self.index)?.u8(2)?.u64(self.count)?.u8(3)?;
        strict::write_hashes(e, &self.path)
    }
}

impl<'b, C> Decode<'b, C> for Flush {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let (mut signature, mut index, mut count, mut path) = (None, None, None, None);
        strict::map(d, |key, d| {
            match key {
                0 => signature = Some(d.decode()?),
                1 => index = Some(d.u64()?),
                2 => count = Some(d.u64()?),
                3 => path = Some(strict::hashes(d, MAX_FLUSH_PATH)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let (index, count) = (strict::need(index)?, strict::need(count)?);
        if index >= count || count > MAX_FLUSH as u64 {
            return strict::fault("leaf index");
        }
        Ok(Self { signature: strict::need(signature)?, index, count, path: strict::need(path)? })
    }
}

/// A record's place among the records of its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberOf {
    /// The record's leaf.
    pub index: u64,
    /// Number of records, 1 to 512.
    pub count: u64,
    /// Inclusion path of the leaf.
    pub path: Vec<Hash>,
}

impl<C> Encode<C> for MemberOf {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(3)?.u64(self.index)?.u64(self.count)?;
        strict::write_hashes(e, &self.path)
    }
}

impl<'b, C> Decode<'b, C> for MemberOf {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        strict::array(d, 3)?;
        let (index, count) = (d.u64()?, d.u64()?);
        if index >= count || count > MAX_RECIPIENTS as u64 {
            return strict::fault("leaf index");
        }
        Ok(Self { index, count, path: strict::hashes(d, MAX_RECORDS_PATH)? })
    }
}
