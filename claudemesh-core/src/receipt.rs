//! Receipts: what a recipient device signs about the envelopes it took (`docs/protocol.md` §6).
//!
//! A [`Receipt`] goes from the recipient to the broker and covers envelopes of many senders; each sender gets its own
//! [`ReceiptPart`], which verifies alone. Receipts are never receipted. Withholding one cannot be detected.

mod part;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::codec::strict;
use crate::codec::{self, Bytes, Malformed};
use crate::envelope::{EnvelopeError, OpenError, coded};
use crate::hash::{Hash, Label};
use crate::head::RosterHead;
use crate::id::{DeviceId, MeshId, MessageId};
use crate::key::{PublicKey, Signature, SigningKey};
use crate::merkle::Tree;

pub use part::{ReceiptPart, VerifiedPart};

/// Most items of one receipt.
pub const MAX_ITEMS: usize = 256;

/// Most bytes of a receipt body and of an item, unknown keys included.
const MAX_BODY: usize = 1024;
const MAX_ITEM: usize = 256;
const RECEIPT: Label = Label::new("receipt");

const DELIVERED: u64 = 3;
const REFUSED: u64 = 6;

coded!(
    /// Why a recipient device refused an envelope for good.
    Reason {
        /// The private part of the prekey has been erased.
        PrekeyGone = 1,
        /// The sender was removed before the envelope was stored.
        SenderRemoved = 2,
        /// Not an envelope as the protocol has it.
        Malformed = 3,
        /// It cannot be opened.
        Unreadable = 4,
        /// The sender's roster head is not on the recipient's chain.
        Fork = 5,
        /// The recipient blocks the sender.
        Blocked = 6,
        /// The message id came before with other content.
        Conflict = 7,
    }
);

impl From<OpenError> for Reason {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Malformed => Self::Malformed,
            _ => Self::Unreadable,
        }
    }
}

impl From<EnvelopeError> for Reason {
    fn from(_: EnvelopeError) -> Self {
        Self::Malformed
    }
}

/// What became of an envelope at the recipient device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReceiptState {
    /// Stored durably.
    Delivered,
    /// Refused for good.
    Refused(Reason),
}

impl ReceiptState {
    /// The numbers of state and reason on the wire.
    #[must_use]
    pub const fn codes(self) -> (u64, u64) {
        match self {
            Self::Delivered => (DELIVERED, 0),
            Self::Refused(reason) => (REFUSED, reason.code()),
        }
    }

    /// The state with these numbers on the wire, if there is one.
    #[must_use]
    pub fn from_codes(state: u64, reason: u64) -> Option<Self> {
        match (state, reason) {
            (DELIVERED, 0) => Some(Self::Delivered),
            (REFUSED, reason) => Reason::from_code(reason).map(Self::Refused),
            _ => None,
        }
    }
}

/// The outcome of one envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptItem {
    /// The device that sent it.
    pub sender: DeviceId,
    /// The message.
    pub id: MessageId,
    /// The attempt.
    pub attempt: u64,
    /// The envelope hash.
    pub envelope: Hash,
    /// The outcome.
    pub state: ReceiptState,
}

impl<C> Encode<C> for ReceiptItem {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        let (state, reason) = self.state.codes();
        e.array(6)?.bytes(self.sender.as_bytes())?.bytes(self.id.as_bytes())?.u64(self.attempt)?;
        e.bytes(&self.envelope)?.u64(state)?.u64(reason)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for ReceiptItem {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        strict::array(d, 6)?;
        Ok(Self {
            sender: d.decode()?,
            id: d.decode()?,
            attempt: strict::from_one(d)?,
            envelope: strict::hash(d)?,
            state: ReceiptState::from_codes(d.u64()?, d.u64()?)
                .ok_or_else(|| DecodeError::message("unknown outcome"))?,
        })
    }
}

/// Why a receipt or a part of one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Not a receipt of this version, or without items, or with too many.
    #[error("malformed receipt")]
    Malformed,
    /// The key is not that of the device the receipt names.
    #[error("not the recipient's key")]
    WrongDevice,
    /// The signature does not cover these items.
    #[error("receipt is not signed by its device")]
    BadSignature,
    /// The receipt belongs to another mesh.
    #[error("receipt of another mesh")]
    WrongMesh,
}

impl From<Malformed> for ReceiptError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// What the signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Body {
    mesh: MeshId,
    device: DeviceId,
    head: RosterHead,
    root: Hash,
    count: u64,
}

impl<C> Encode<C> for Body {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.map(5)?.u8(0)?.bytes(self.mesh.as_bytes())?.u8(1)?.bytes(self.device.as_bytes())?.u8(2)?;
        self.head.encode(e, ctx)?;
        e.u8(3)?.bytes(&self.root)?.u8(4)?.u64(self.count)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Body {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let (mut mesh, mut device, mut head, mut root, mut count) = (None, None, None, None, None);
        strict::map(d, |key, d| {
            match key {
                0 => mesh = Some(d.decode()?),
                1 => device = Some(d.decode()?),
                2 => head = Some(d.decode()?),
                3 => root = Some(strict::hash(d)?),
                4 => count = Some(strict::from_one(d)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let count = strict::need(count)?;
        if count > MAX_ITEMS as u64 {
            return strict::fault("too many items");
        }
        Ok(Self {
            mesh: strict::need(mesh)?,
            device: strict::need(device)?,
            head: strict::need(head)?,
            root: strict::need(root)?,
            count,
        })
    }
}

impl Body {
    fn read(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > MAX_BODY {
            return Err(ReceiptError::Malformed);
        }
        Ok(codec::decode(bytes)?)
    }

    /// Checks device, items and signature, then the mesh.
    fn verify(
        &self,
        bytes: &[u8],
        signature: &Signature,
        key: &PublicKey,
        mesh: &MeshId,
        root_matches: bool,
    ) -> Result<(), ReceiptError> {
        if key.device_id() != self.device {
            return Err(ReceiptError::WrongDevice);
        }
        if !root_matches || key.verify(RECEIPT, bytes, signature).is_err() {
            return Err(ReceiptError::BadSignature);
        }
        if self.mesh == *mesh { Ok(()) } else { Err(ReceiptError::WrongMesh) }
    }
}

fn read_item(bytes: &[u8]) -> Result<ReceiptItem, ReceiptError> {
    if bytes.len() > MAX_ITEM {
        return Err(ReceiptError::Malformed);
    }
    Ok(codec::decode(bytes)?)
}

/// The root over all items of a receipt; `None` when there are none.
fn tree_of(items: &[Bytes]) -> Option<Tree> {
    Tree::new(items.iter().map(|item| &item[..]))
}

/// A receipt as the recipient device hands it to the broker: the acknowledgement of its deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    wire: Wire,
    body: Body,
    items: Vec<ReceiptItem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wire {
    body: Bytes,
    signature: Signature,
    items: Vec<Bytes>,
}

impl<C> Encode<C> for Wire {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.map(3)?.u8(0)?.bytes(&self.body)?.u8(1)?.bytes(self.signature.as_bytes())?;
        e.u8(2)?.array(self.items.len() as u64)?;
        for item in &self.items {
            e.bytes(item)?;
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Wire {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let (mut body, mut signature, mut items) = (None, None, None);
        strict::map(d, |key, d| {
            match key {
                0 => body = Some(d.decode()?),
                1 => signature = Some(d.decode()?),
                2 => items = Some(strict::list(d, (1, MAX_ITEMS), |d| d.decode())?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self { body: strict::need(body)?, signature: strict::need(signature)?, items: strict::need(items)? })
    }
}

impl Receipt {
    /// Signs 1 to 256 items as the device with `key`.
    ///
    /// # Errors
    /// [`ReceiptError::Malformed`] when there are no items, too many, or one with attempt 0.
    pub fn sign(key: &SigningKey, mesh: MeshId, head: RosterHead, items: &[ReceiptItem]) -> Result<Self, ReceiptError> {
        if items.len() > MAX_ITEMS || items.iter().any(|item| item.attempt == 0) {
            return Err(ReceiptError::Malformed);
        }
        let encoded: Vec<Bytes> = items.iter().map(|item| codec::encode(item).into()).collect();
        let root = tree_of(&encoded).ok_or(ReceiptError::Malformed)?.root();
        let body = Body { mesh, device: key.public().device_id(), head, root, count: items.len() as u64 };
        let bytes = codec::encode(&body);
        let signature = key.sign(RECEIPT, &bytes);
        Ok(Self { wire: Wire { body: bytes.into(), signature, items: encoded }, body, items: items.to_vec() })
    }

    /// The receipt's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&self.wire)
    }

    /// Reads a receipt and checks its bounds.
    ///
    /// # Errors
    /// [`ReceiptError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let wire: Wire = codec::decode(bytes)?;
        let body = Body::read(&wire.body)?;
        let items = wire.items.iter().map(|item| read_item(item)).collect::<Result<Vec<_>, _>>()?;
        if items.len() as u64 != body.count {
            return Err(ReceiptError::Malformed);
        }
        Ok(Self { wire, body, items })
    }

    /// The device that claims to have signed: its key verifies the receipt.
    #[must_use]
    pub const fn unverified_device(&self) -> DeviceId {
        self.body.device
    }

    /// Checks that the device with `key` signed exactly these items for `mesh`.
    ///
    /// # Errors
    /// [`ReceiptError::WrongDevice`], [`ReceiptError::BadSignature`] or [`ReceiptError::WrongMesh`].
    pub fn verify(self, key: &PublicKey, mesh: &MeshId) -> Result<VerifiedReceipt, ReceiptError> {
        let tree = tree_of(&self.wire.items).ok_or(ReceiptError::Malformed)?;
        let Wire { body, signature, .. } = &self.wire;
        self.body.verify(body, signature, key, mesh, tree.root() == self.body.root)?;
        Ok(VerifiedReceipt { receipt: self, tree })
    }
}

/// A receipt that its device signed.
#[derive(Clone, Debug)]
pub struct VerifiedReceipt {
    receipt: Receipt,
    tree: Tree,
}

impl VerifiedReceipt {
    /// The recipient device.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.receipt.body.device
    }

    /// Its roster head.
    #[must_use]
    pub const fn head(&self) -> RosterHead {
        self.receipt.body.head
    }

    /// The items, in order.
    #[must_use]
    pub fn items(&self) -> &[ReceiptItem] {
        &self.receipt.items
    }

    /// The devices that sent the envelopes, each once.
    #[must_use]
    pub fn senders(&self) -> BTreeSet<DeviceId> {
        self.items().iter().map(|item| item.sender).collect()
    }

    /// What `sender` is to get of this receipt; `None` when nothing in it is from there.
    #[must_use]
    pub fn part_for(&self, sender: &DeviceId) -> Option<ReceiptPart> {
        let all = self.items().iter().all(|item| item.sender == *sender);
        let mut items = Vec::new();
        for (index, item) in self.items().iter().enumerate().filter(|(_, item)| item.sender == *sender) {
            let path = if all { Vec::new() } else { self.tree.path(index)? };
            items.push(part::PartItem {
                index: index as u64,
                bytes: self.receipt.wire.items.get(index)?.clone(),
                path,
                item: *item,
            });
        }
        let Wire { body, signature, .. } = &self.receipt.wire;
        if items.is_empty() {
            return None;
        }
        Some(ReceiptPart { body_bytes: body.clone(), signature: *signature, body: self.receipt.body, items })
    }
}
