//! Proof that a device sent an envelope: everything its signature covers, without the body.

use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};

use super::delivery::Delivery;
use super::parts::{Flush, Header, MemberOf, Record};
use super::submission::{StoredEnvelope, StoredRecord};
use super::{EnvelopeError, envelope_hash, header_hash, read_header, read_record, verify_flush};
use crate::codec::strict;
use crate::codec::{self, Bytes, HashBytes, Malformed};
use crate::hash::sha256;
use crate::id::MeshId;
use crate::key::PublicKey;
use crate::merkle;

/// An envelope without its body: shows a device what it sent, in its own signed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    header: Bytes,
    record: Bytes,
    commitment: HashBytes,
    body_hash: HashBytes,
    flush: Flush,
    member_of: MemberOf,
}

/// What a verified proof shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedProof {
    /// The header.
    pub header: Header,
    /// One of its records.
    pub record: Record,
}

impl<C> Encode<C> for Proof {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.map(6)?.u8(0)?.bytes(&self.header)?.u8(1)?.bytes(&self.record)?;
        e.u8(2)?.bytes(&self.commitment.0)?.u8(3)?.bytes(&self.body_hash.0)?.u8(4)?;
        self.flush.encode(e, ctx)?;
        e.u8(5)?;
        self.member_of.encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for Proof {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        let (mut header, mut record, mut commitment) = (None, None, None);
        let (mut body_hash, mut flush, mut member_of) = (None, None, None);
        strict::map(d, |key, d| {
            match key {
                0 => header = Some(d.bytes()?),
                1 => record = Some(d.bytes()?),
                2 => commitment = Some(d.decode()?),
                3 => body_hash = Some(d.decode()?),
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
            body_hash: strict::need(body_hash)?,
            flush: strict::need(flush)?,
            member_of: strict::need(member_of)?,
        })
    }
}

impl Proof {
    /// The proof of a delivery.
    #[must_use]
    pub fn from_delivery(delivery: &Delivery) -> Self {
        let (header, record, commitment, body, flush, member_of) = delivery.parts();
        Self {
            header: header.clone(),
            record: record.clone(),
            commitment,
            body_hash: HashBytes(sha256(body)),
            flush: flush.clone(),
            member_of: member_of.clone(),
        }
    }

    /// The proof of a stored envelope and one of its records.
    ///
    /// # Errors
    /// [`Malformed`] when the stored flush cannot be read.
    pub fn from_stored(stored: &StoredEnvelope, record: &StoredRecord) -> Result<Self, Malformed> {
        Ok(Self {
            header: stored.header.clone(),
            record: record.bytes.clone(),
            commitment: stored.commitment,
            body_hash: stored.body_hash,
            flush: codec::decode(&stored.flush)?,
            member_of: record.member_of.clone(),
        })
    }

    /// Checks that the device with `key` signed the header and the record for `mesh`.
    ///
    /// # Errors
    /// [`EnvelopeError`].
    pub fn verify(&self, key: &PublicKey, mesh: &MeshId) -> Result<VerifiedProof, EnvelopeError> {
        let (header, record) = (read_header(&self.header)?, read_record(&self.record)?);
        let MemberOf { index, count, path } = &self.member_of;
        let records_root =
            merkle::root_from_path(&self.record, *index, *count, path).ok_or(EnvelopeError::BadSignature)?;
        let hash = envelope_hash(&header_hash(&self.header), &records_root, &self.commitment.0, &self.body_hash.0);
        verify_flush(&self.flush, &hash, &header.sender, key, None)?;
        if header.mesh != *mesh {
            return Err(EnvelopeError::WrongMesh);
        }
        Ok(VerifiedProof { header, record })
    }
}
