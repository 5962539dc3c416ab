//! One sender's part of a receipt. Verifies alone, with the paths of its items or, when it carries all, by their root.

use alloc::vec::Vec;

use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};

use super::{Body, MAX_ITEMS, ReceiptError, ReceiptItem, read_item};
use crate::codec::strict;
use crate::codec::{self, Bytes};
use crate::hash::Hash;
use crate::head::RosterHead;
use crate::id::{DeviceId, MeshId};
use crate::key::{PublicKey, Signature};
use crate::merkle::{Tree, root_from_path};

/// Longest inclusion path: of 256 items.
const MAX_PATH: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartItem {
    pub(super) index: u64,
    pub(super) bytes: Bytes,
    pub(super) path: Vec<Hash>,
    pub(super) item: ReceiptItem,
}

/// The part of a receipt that concerns one sender, as the broker hands it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptPart {
    pub(super) body_bytes: Bytes,
    pub(super) signature: Signature,
    pub(super) body: Body,
    pub(super) items: Vec<PartItem>,
}

struct Wire<'b> {
    body: &'b [u8],
    signature: Signature,
    items: Vec<(u64, &'b [u8], Vec<Hash>)>,
}

impl<'b, C> Decode<'b, C> for Wire<'b> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let (mut body, mut signature, mut items) = (None, None, None);
        let item = |d: &mut Decoder<'b>| {
            strict::array(d, 3)?;
            Ok((d.u64()?, d.bytes()?, strict::hashes(d, MAX_PATH)?))
        };
        strict::map(d, |key, d| {
            match key {
                0 => body = Some(d.bytes()?),
                1 => signature = Some(d.decode()?),
                2 => items = Some(strict::list(d, (1, MAX_ITEMS), item)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self { body: strict::need(body)?, signature: strict::need(signature)?, items: strict::need(items)? })
    }
}

impl<C> Encode<C> for ReceiptPart {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.map(3)?.u8(0)?.bytes(&self.body_bytes)?.u8(1)?.bytes(self.signature.as_bytes())?;
        e.u8(2)?.array(self.items.len() as u64)?;
        for PartItem { index, bytes, path, .. } in &self.items {
            e.array(3)?.u64(*index)?.bytes(bytes)?;
            strict::write_hashes(e, path)?;
        }
        Ok(())
    }
}

impl ReceiptPart {
    /// The part's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a part and checks its bounds.
    ///
    /// # Errors
    /// [`ReceiptError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let Wire { body: body_bytes, signature, items: wire_items } = codec::decode(bytes)?;
        let body = Body::read(body_bytes)?;
        let mut items: Vec<PartItem> = Vec::with_capacity(wire_items.len());
        for (index, bytes, path) in wire_items {
            // Ascending, so that no item counts twice.
            if index >= body.count || items.last().is_some_and(|last| last.index >= index) {
                return Err(ReceiptError::Malformed);
            }
            items.push(PartItem { index, bytes: bytes.into(), path, item: read_item(bytes)? });
        }
        Ok(Self { body_bytes: body_bytes.into(), signature, body, items })
    }

    /// The device that claims to have signed: its key verifies the part.
    #[must_use]
    pub const fn unverified_device(&self) -> DeviceId {
        self.body.device
    }

    /// Checks that the recipient device with `key` signed these items for `mesh`.
    ///
    /// # Errors
    /// [`ReceiptError::WrongDevice`], [`ReceiptError::BadSignature`] or [`ReceiptError::WrongMesh`].
    pub fn verify(&self, key: &PublicKey, mesh: &MeshId) -> Result<VerifiedPart, ReceiptError> {
        self.body.verify(&self.body_bytes, &self.signature, key, mesh, self.leads_to_root())?;
        Ok(VerifiedPart {
            device: self.body.device,
            head: self.body.head,
            items: self.items.iter().map(|entry| entry.item).collect(),
        })
    }

    fn leads_to_root(&self) -> bool {
        let Body { root, count, .. } = &self.body;
        // Indices ascend below the count, so a part with as many items as the receipt carries them all.
        if self.items.len() as u64 == *count {
            let tree = Tree::new(self.items.iter().map(|entry| &entry.bytes[..]));
            return self.items.iter().all(|entry| entry.path.is_empty())
                && tree.is_some_and(|tree| tree.root() == *root);
        }
        self.items.iter().all(|entry| root_from_path(&entry.bytes, entry.index, *count, &entry.path) == Some(*root))
    }
}

/// A part of a receipt that the recipient device signed.
///
/// A broker may hand on items about other senders: match each with an envelope of one's own by sender, id, attempt and hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPart {
    /// The recipient device.
    pub device: DeviceId,
    /// Its roster head.
    pub head: RosterHead,
    /// The items.
    pub items: Vec<ReceiptItem>,
}

impl VerifiedPart {
    /// The items about envelopes that `sender` sent.
    pub fn items_of(&self, sender: &DeviceId) -> impl Iterator<Item = &ReceiptItem> {
        let sender = *sender;
        self.items.iter().filter(move |item| item.sender == sender)
    }
}
