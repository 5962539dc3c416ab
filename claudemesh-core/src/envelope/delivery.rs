//! One recipient's part of an envelope: read, verified, then opened.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};
use zeroize::Zeroizing;

use super::cache::Bounded;
use super::content::Content;
use super::parts::{Flush, Header, MemberOf, Record};
use super::submission::StoredEnvelope;
use super::{
    BODY, COMMITMENT, EnvelopeError, FlushCache, check_body, envelope_hash, header_hash, read_header, read_record,
    verify_flush, wrap_info,
};
use crate::codec::strict;
use crate::codec::{self, Bytes, HashBytes};
use crate::hash::{Hash, constant_time_eq, sha256};
use crate::id::{DeviceId, MeshId};
use crate::key::{CannotOpen, PrekeySecret, PublicKey, Secret32, WRAP_LEN};
use crate::merkle;
use crate::seal;

/// Wraps whose keys a receiver keeps.
const UNWRAPPED: usize = 1024;

/// One recipient's part of an envelope, as the broker delivers it. Sizes have been checked, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    wire: Wire,
    header: Header,
    record: Record,
}

/// The form on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wire {
    header: Bytes,
    record: Bytes,
    commitment: HashBytes,
    body: Bytes,
    flush: Flush,
    member_of: MemberOf,
}

/// Writes a delivery whose flush is encoded already.
struct Assembly<'a> {
    header: &'a [u8],
    record: &'a [u8],
    commitment: &'a HashBytes,
    body: &'a [u8],
    flush: &'a [u8],
    member_of: &'a MemberOf,
}

impl Assembly<'_> {
    fn to_bytes(&self) -> Vec<u8> {
        let path = self.member_of.path.len() * 34;
        let room = self.header.len() + self.record.len() + self.body.len() + self.flush.len() + path + 80;
        strict::encode_sized(self, room)
    }
}

impl<C> Encode<C> for Assembly<'_> {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.map(6)?.u8(0)?.bytes(self.header)?.u8(1)?.array(1)?.bytes(self.record)?;
        e.u8(2)?.bytes(&self.commitment.0)?.u8(3)?.bytes(self.body)?.u8(4)?;
        e.writer_mut().write_all(self.flush).map_err(EncodeError::write)?;
        e.u8(5)?;
        self.member_of.encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for Wire {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        let (mut header, mut record, mut commitment) = (None, None, None);
        let (mut body, mut flush, mut member_of) = (None, None, None);
        strict::map(d, |key, d| {
            match key {
                0 => header = Some(d.bytes()?),
                1 => {
                    strict::array(d, 1)?;
                    record = Some(d.bytes()?);
                }
                2 => commitment = Some(d.decode()?),
                3 => body = Some(d.bytes()?),
                4 => flush = Some(Flush::decode(d, ctx)?),
                5 => member_of = Some(MemberOf::decode(d, ctx)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self {
            header: strict::need(header)?.into(),
            record: strict::need(record)?.into(),
            commitment: strict::need(commitment)?,
            body: strict::need(body)?.into(),
            flush: strict::need(flush)?,
            member_of: strict::need(member_of)?,
        })
    }
}

impl Delivery {
    /// The bytes of one recipient's delivery, from the parts a broker stores.
    #[must_use]
    pub fn assemble(stored: &StoredEnvelope, record: &[u8], member_of: &MemberOf) -> Vec<u8> {
        let StoredEnvelope { header, commitment, body, flush, .. } = stored;
        Assembly { header, record, commitment, body, flush, member_of }.to_bytes()
    }

    /// Reads a delivery and checks the sizes of its parts.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`] or [`EnvelopeError::Size`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let wire: Wire = codec::decode(bytes)?;
        check_body(&wire.body)?;
        let (header, record) = (read_header(&wire.header)?, read_record(&wire.record)?);
        Ok(Self { wire, header, record })
    }

    /// The delivery's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Wire { header, record, commitment, body, flush, member_of } = &self.wire;
        Assembly { header, record, commitment, body, flush: &codec::encode(flush), member_of }.to_bytes()
    }

    /// The header as it came: nobody vouches for it yet. Names the sender whose key verifies it.
    #[must_use]
    pub const fn unverified_header(&self) -> &Header {
        &self.header
    }

    /// The record as it came: nobody vouches for it yet.
    #[must_use]
    pub const fn unverified_record(&self) -> &Record {
        &self.record
    }

    /// The envelope hash these bytes lead to; `None` when the record's path has the wrong length. A receipt that refuses an
    /// envelope names it by this hash.
    #[must_use]
    pub fn unverified_hash(&self) -> Option<Hash> {
        self.hashes(&header_hash(&self.wire.header))
    }

    fn hashes(&self, header_hash: &Hash) -> Option<Hash> {
        let Wire { record, commitment, body, member_of, .. } = &self.wire;
        let records_root = merkle::root_from_path(record, member_of.index, member_of.count, &member_of.path)?;
        Some(envelope_hash(header_hash, &records_root, &commitment.0, &sha256(body)))
    }

    /// Checks that the device with `sender_key` signed exactly this for `mesh`.
    ///
    /// Whether that device is or was live, whether its roster head connects, whether the record addresses this device
    /// ([`VerifiedDelivery::check_recipient`]) and whether the message is a duplicate is for the caller to check next, in
    /// this order.
    ///
    /// # Errors
    /// [`EnvelopeError::WrongSender`], [`EnvelopeError::BadSignature`] or [`EnvelopeError::WrongMesh`].
    pub fn verify(
        self,
        sender_key: &PublicKey,
        mesh: &MeshId,
        cache: &mut FlushCache,
    ) -> Result<VerifiedDelivery, EnvelopeError> {
        let header_hash = header_hash(&self.wire.header);
        let hash = self.hashes(&header_hash).ok_or(EnvelopeError::BadSignature)?;
        verify_flush(&self.wire.flush, &hash, &self.header.sender, sender_key, Some(cache))?;
        if self.header.mesh != *mesh {
            return Err(EnvelopeError::WrongMesh);
        }
        Ok(VerifiedDelivery { delivery: self, header_hash, hash })
    }

    pub(super) fn parts(&self) -> (&Bytes, &Bytes, HashBytes, &[u8], &Flush, &MemberOf) {
        let Wire { header, record, commitment, body, flush, member_of } = &self.wire;
        (header, record, *commitment, body, flush, member_of)
    }
}

/// Why a verified delivery yields no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It cannot be opened with this prekey. Says nothing about why.
    #[error("cannot be opened")]
    Unreadable,
    /// It opens, and what the sender sealed is no content.
    #[error("content is malformed")]
    Malformed,
}

impl From<CannotOpen> for OpenError {
    fn from(_: CannotOpen) -> Self {
        Self::Unreadable
    }
}

/// A delivery that its sender signed for this mesh. Still sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedDelivery {
    delivery: Delivery,
    header_hash: Hash,
    hash: Hash,
}

impl VerifiedDelivery {
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.delivery.header
    }

    /// The record.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.delivery.record
    }

    /// The envelope hash.
    #[must_use]
    pub const fn envelope_hash(&self) -> Hash {
        self.hash
    }

    /// Checks that the record addresses `device`.
    ///
    /// # Errors
    /// [`EnvelopeError::NotAddressed`].
    pub fn check_recipient(&self, device: &DeviceId) -> Result<(), EnvelopeError> {
        if self.record().recipient == *device { Ok(()) } else { Err(EnvelopeError::NotAddressed) }
    }

    /// Opens the body with the prekey that the record names.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, prekey: &PrekeySecret, cache: &mut UnwrapCache) -> Result<Content, OpenError> {
        let Wire { commitment, body, member_of, .. } = &self.delivery.wire;
        let h = &self.header_hash;
        // A key that several recipients know is never used twice: keeping it would only drive others out.
        let reusable = member_of.count == 1;
        let cached = if reusable { cache.get(self.header(), self.record()) } else { None };
        let fresh = cached.is_none();
        let key = match cached {
            Some(key) => key,
            None => {
                let (header, record) = (self.header(), self.record());
                let info = wrap_info(&header.mesh, &header.sender, &record.recipient, record.prekey_id);
                prekey.unwrap_secret(&info, &record.wrap)?
            }
        };
        if !constant_time_eq(&*seal::derive(&*key, COMMITMENT, &[h]), &commitment.0) {
            return Err(OpenError::Unreadable);
        }
        let padded = Zeroizing::new(seal::open(&seal::derive(&*key, BODY, &[h]), h, body)?);
        let content = seal::unpad(&padded)?;
        if reusable && fresh {
            cache.insert(self.header(), self.record(), key);
        }
        Content::decode(content).map_err(|_| OpenError::Malformed)
    }
}

/// A wrap with everything it is bound to. The wrap comes first: it decides nearly every comparison.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct WrapKey {
    wrap: [u8; WRAP_LEN],
    prekey_id: u32,
    sender: DeviceId,
    recipient: DeviceId,
    mesh: MeshId,
}

impl WrapKey {
    const fn new(header: &Header, record: &Record) -> Self {
        Self {
            wrap: record.wrap,
            prekey_id: record.prekey_id,
            sender: header.sender,
            recipient: record.recipient,
            mesh: header.mesh,
        }
    }
}

/// Keys of wraps opened before, so that a reused wrap costs no curve operation. Holds the latest 1,024, wiped when they
/// leave.
pub struct UnwrapCache(Bounded<WrapKey, Box<Secret32>>);

impl UnwrapCache {
    /// An empty cache.
    #[must_use]
    pub const fn new() -> Self {
        Self(Bounded::new(UNWRAPPED))
    }

    /// Number of keys held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wipes the keys that came wrapped to this prekey of `device`; to be called when the prekey is erased, or they would
    /// outlive it.
    pub fn forget_prekey(&mut self, device: &DeviceId, prekey_id: u32) {
        self.0.retain(|entry, _| entry.recipient != *device || entry.prekey_id != prekey_id);
    }

    /// Wipes everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn get(&self, header: &Header, record: &Record) -> Option<Secret32> {
        self.0.get(&WrapKey::new(header, record)).map(|key| (**key).clone())
    }

    fn insert(&mut self, header: &Header, record: &Record, key: Secret32) {
        self.0.insert(WrapKey::new(header, record), Box::new(key));
    }
}

impl Default for UnwrapCache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for UnwrapCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnwrapCache({})", self.len())
    }
}
