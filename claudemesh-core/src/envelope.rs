//! Envelopes: the signed, sealed unit of delivery (`docs/protocol.md` §5).
//!
//! Owns the forms a message takes between two devices. Plaintext is [`Content`]; ciphertext is a [`Submission`] on its way
//! to the broker and a [`Delivery`] on its way to one recipient. A broker handles the ciphertext forms only:
//!
//! ```text
//! Draft ──seal_flush──▶ Submission ──parse──▶ ParsedSubmission ──into_parts──▶ StoredEnvelope + StoredRecord
//! Content ◀──open── VerifiedDelivery ◀──verify── Delivery ◀──decode── bytes of Delivery::assemble
//! ```
//!
//! Whether a sender is live, a roster head connects or a message was seen before is not known here: callers check that
//! between [`Delivery::verify`] and [`VerifiedDelivery::open`].

mod cache;
mod content;
mod delivery;
mod parts;
mod proof;
mod send;
mod submission;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::fmt;

use minicbor::decode::Error as DecodeError;

use crate::codec::{Bytes, Malformed};
use crate::hash::{Hash, Label};
use crate::id::{DeviceId, MeshId};
use crate::key::PublicKey;
use crate::merkle;

pub use content::{ClaimItem, ClaimState, Content, ContentBody, ContentKind, InvalidContent};
pub use delivery::{Delivery, OpenError, UnwrapCache, VerifiedDelivery};
pub(crate) use parts::coded;
pub use parts::{Flush, Header, Lane, MemberOf, Priority, Record};
pub use proof::{Proof, VerifiedProof};
pub use send::{Draft, Recipient, SealError, WrapCache, seal_flush};
pub use submission::{ParsedSubmission, StoredEnvelope, StoredRecord, Submission};

/// Most recipients of one envelope.
pub const MAX_RECIPIENTS: usize = 512;
/// Most bytes of a text.
pub const MAX_TEXT: usize = 128 * 1024;
/// Most envelopes under one signature.
pub const MAX_FLUSH: usize = 64;
/// Most acting devices of a content.
pub const MAX_ACTING: usize = 512;
/// Most members named in a content as addressed.
pub const MAX_ADDRESSED: usize = 512;
/// Most bytes of a session id in a content.
pub const MAX_SESSION: usize = 256;
/// Most items of a claim.
pub const MAX_CLAIMS: usize = 256;
/// Most bytes of a header, unknown keys included.
pub const MAX_HEADER: usize = 1024;
/// Most bytes of a record.
pub const MAX_RECORD: usize = 256;
/// Most bytes of a content, padding included. The longest text fits with 470 members addressed; contents in which several
/// fields are at their bounds are refused when they would exceed it.
pub const MAX_PADDED: usize = 160 * 1024;

const SEAL_OVERHEAD: usize = 24 + 16;
/// Least bytes of a sealed body.
pub const MIN_BODY: usize = SEAL_OVERHEAD + 256;
/// Most bytes of a sealed body.
pub const MAX_BODY: usize = SEAL_OVERHEAD + MAX_PADDED;
// The bound is itself a padded size, so it cuts no bucket in two.
const _: () = assert!(MAX_PADDED.is_multiple_of(1 << 15));

/// Longest inclusion paths: of 64 envelopes, of 512 records.
const MAX_FLUSH_PATH: usize = 6;
const MAX_RECORDS_PATH: usize = 9;

const HEADER: Label = Label::new("header");
const ENVELOPE: Label = Label::new("envelope");
const FLUSH: Label = Label::new("flush");
const WRAP: Label = Label::new("wrap");
const COMMITMENT: Label = Label::new("commitment");
const BODY: Label = Label::new("body");

/// Why an envelope, or a recipient's part of one, is refused before anything is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Not an envelope of this version.
    #[error("malformed envelope")]
    Malformed,
    /// A part is outside the bounds of its size.
    #[error("envelope out of bounds")]
    Size,
    /// The key is not that of the device the header names as sender.
    #[error("not the sender's key")]
    WrongSender,
    /// Signature and paths do not lead to this envelope.
    #[error("envelope is not signed by its sender")]
    BadSignature,
    /// The envelope belongs to another mesh.
    #[error("envelope of another mesh")]
    WrongMesh,
    /// The record names another recipient.
    #[error("envelope is not addressed to this device")]
    NotAddressed,
}

impl From<Malformed> for EnvelopeError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<DecodeError> for EnvelopeError {
    fn from(_: DecodeError) -> Self {
        Self::Malformed
    }
}

/// Reads a header and checks its size.
fn read_header(bytes: &[u8]) -> Result<Header, EnvelopeError> {
    if bytes.len() > MAX_HEADER {
        return Err(EnvelopeError::Size);
    }
    Ok(crate::codec::decode(bytes)?)
}

/// Reads a record and checks its size.
fn read_record(bytes: &[u8]) -> Result<Record, EnvelopeError> {
    if bytes.len() > MAX_RECORD {
        return Err(EnvelopeError::Size);
    }
    Ok(crate::codec::decode(bytes)?)
}

fn check_body(body: &[u8]) -> Result<(), EnvelopeError> {
    if (MIN_BODY..=MAX_BODY).contains(&body.len()) { Ok(()) } else { Err(EnvelopeError::Size) }
}

/// The hash of header bytes that all keys and hashes of the envelope bind.
fn header_hash(header: &[u8]) -> Hash {
    HEADER.hash(&[header])
}

fn envelope_hash(header_hash: &Hash, records_root: &Hash, commitment: &Hash, body_hash: &Hash) -> Hash {
    ENVELOPE.hash(&[header_hash, records_root, commitment, body_hash])
}

/// Root over the records of an envelope that has at least one.
fn records_root(records: &[Bytes]) -> Hash {
    match records {
        // The usual envelope has one recipient; its root is its leaf.
        [only] => merkle::root_from_path(only, 0, 1, &[]),
        many => merkle::Tree::new(many.iter().map(|record| &record[..])).map(|tree| tree.root()),
    }
    .unwrap_or_else(|| unreachable!("an envelope has at least one record"))
}

/// What a wrap is bound to.
fn wrap_info(mesh: &MeshId, sender: &DeviceId, recipient: &DeviceId, prekey_id: u32) -> Vec<u8> {
    WRAP.concat(&[mesh.as_bytes(), sender.as_bytes(), recipient.as_bytes(), &prekey_id.to_be_bytes()])
}

/// Verified flush signatures, so that the envelopes of one flush cost one verification. Holds the latest 1,024.
pub struct FlushCache(cache::Bounded<(DeviceId, Hash, [u8; 64]), ()>);

impl FlushCache {
    /// An empty cache.
    #[must_use]
    pub const fn new() -> Self {
        Self(cache::Bounded::new(1024))
    }

    /// Number of signatures held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for FlushCache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FlushCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlushCache({})", self.len())
    }
}

/// Checks that `key` is the sender's and that its signature covers the envelope with hash `envelope`.
fn verify_flush(
    flush: &Flush,
    envelope: &Hash,
    sender: &DeviceId,
    key: &PublicKey,
    cache: Option<&mut FlushCache>,
) -> Result<(), EnvelopeError> {
    if key.device_id() != *sender {
        return Err(EnvelopeError::WrongSender);
    }
    let root =
        merkle::root_from_path(envelope, flush.index, flush.count, &flush.path).ok_or(EnvelopeError::BadSignature)?;
    let entry = (*sender, root, *flush.signature.as_bytes());
    if cache.as_ref().is_some_and(|cache| cache.0.get(&entry).is_some()) {
        return Ok(());
    }
    key.verify(FLUSH, &root, &flush.signature).map_err(|_| EnvelopeError::BadSignature)?;
    if let Some(cache) = cache {
        cache.0.insert(entry, ());
    }
    Ok(())
}
