//! The envelope on its way to the broker, and the parts in which a broker keeps it. Ciphertext only.

use alloc::vec::Vec;

use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};

use super::parts::{Flush, Header, MemberOf, Record};
use super::{
    EnvelopeError, FlushCache, MAX_RECIPIENTS, check_body, envelope_hash, header_hash, read_header, read_record,
    verify_flush,
};
use crate::codec::strict;
use crate::codec::{self, Bytes, HashBytes, Malformed};
use crate::hash::{Hash, sha256};
use crate::id::MeshId;
use crate::key::PublicKey;
use crate::merkle::Tree;

/// An envelope as its sender hands it to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The header's bytes.
    pub header: Bytes,
    /// The records' bytes, 1 to 512.
    pub records: Vec<Bytes>,
    /// Commitment to the content key.
    pub commitment: HashBytes,
    /// The sealed body.
    pub body: Bytes,
    /// The signature.
    pub flush: Flush,
}

impl<C> Encode<C> for Submission {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.map(5)?.u8(0)?.bytes(&self.header)?;
        e.u8(1)?.array(self.records.len() as u64)?;
        for record in &self.records {
            e.bytes(record)?;
        }
        e.u8(2)?.bytes(&self.commitment.0)?.u8(3)?.bytes(&self.body)?.u8(4)?;
        self.flush.encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for Submission {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        let (mut header, mut records, mut commitment, mut body, mut flush) = (None, None, None, None, None);
        strict::map(d, |key, d| {
            match key {
                0 => header = Some(d.bytes()?),
                1 => records = Some(strict::list(d, (1, MAX_RECIPIENTS), |d| d.decode())?),
                2 => commitment = Some(d.decode()?),
                3 => body = Some(d.bytes()?),
                4 => flush = Some(Flush::decode(d, ctx)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self {
            header: strict::need(header)?.into(),
            records: strict::need(records)?,
            commitment: strict::need(commitment)?,
            body: strict::need(body)?.into(),
            flush: strict::need(flush)?,
        })
    }
}

impl Submission {
    /// The submission's bytes. Store them before the first send: a retry sends the same bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let records: usize = self.records.iter().map(|record| record.len() + 4).sum();
        strict::encode_sized(self, self.header.len() + records + self.body.len() + 384)
    }

    /// Reads a submission's outer form.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are no submission.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        codec::decode(bytes)
    }

    /// Reads header and records, checks sizes and computes the hashes. Verifies no signature.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`] or [`EnvelopeError::Size`].
    pub fn parse(self) -> Result<ParsedSubmission, EnvelopeError> {
        check_body(&self.body)?;
        let header = read_header(&self.header)?;
        if self.records.len() > MAX_RECIPIENTS {
            return Err(EnvelopeError::Size);
        }
        let records = self.records.iter().map(|record| read_record(record)).collect::<Result<Vec<_>, _>>()?;
        let tree = Tree::new(self.records.iter().map(|record| &record[..])).ok_or(EnvelopeError::Size)?;
        let body_hash = sha256(&self.body);
        let hash = envelope_hash(&header_hash(&self.header), &tree.root(), &self.commitment.0, &body_hash);
        Ok(ParsedSubmission { submission: self, header, records, tree, body_hash, hash })
    }
}

/// A submission whose header and records have been read.
#[derive(Clone, Debug)]
pub struct ParsedSubmission {
    submission: Submission,
    header: Header,
    records: Vec<Record>,
    tree: Tree,
    body_hash: Hash,
    hash: Hash,
}

impl ParsedSubmission {
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The records, in order.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The envelope hash: what duplicates, conflicts and receipts go by.
    #[must_use]
    pub const fn envelope_hash(&self) -> Hash {
        self.hash
    }

    /// The root over the records.
    #[must_use]
    pub fn records_root(&self) -> Hash {
        self.tree.root()
    }

    /// Bytes of the sealed body.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.submission.body.len()
    }

    /// The place of record `index` in the records tree; `None` when there is no such record.
    #[must_use]
    pub fn member_of(&self, index: usize) -> Option<MemberOf> {
        let path = self.tree.path(index)?;
        Some(MemberOf { index: index as u64, count: self.tree.count() as u64, path })
    }

    /// Checks that the device with `key` signed this envelope for `mesh`. Receivers check for themselves whatever a broker did.
    ///
    /// # Errors
    /// [`EnvelopeError::WrongSender`], [`EnvelopeError::BadSignature`] or [`EnvelopeError::WrongMesh`].
    pub fn verify(&self, key: &PublicKey, mesh: &MeshId, cache: &mut FlushCache) -> Result<(), EnvelopeError> {
        verify_flush(&self.submission.flush, &self.hash, &self.header.sender, key, Some(cache))?;
        if self.header.mesh == *mesh { Ok(()) } else { Err(EnvelopeError::WrongMesh) }
    }

    /// Takes the envelope apart: what is stored once, and what is stored for each recipient.
    #[must_use]
    pub fn into_parts(self) -> (StoredEnvelope, Vec<StoredRecord>) {
        let Submission { header, records: bytes, commitment, body, flush } = self.submission;
        let count = self.tree.count() as u64;
        let place =
            |index: usize| MemberOf { index: index as u64, count, path: self.tree.path(index).unwrap_or_default() };
        let records = bytes
            .into_iter()
            .zip(self.records)
            .enumerate()
            .map(|(index, (bytes, record))| StoredRecord { bytes, record, member_of: place(index) })
            .collect();
        let flush = codec::encode(&flush).into();
        (StoredEnvelope { header, commitment, body, body_hash: HashBytes(self.body_hash), flush }, records)
    }
}

/// The part of an envelope that all its recipients share. Its encoding is the broker's own business, not the protocol's.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct StoredEnvelope {
    /// The header's bytes.
    #[n(0)]
    pub header: Bytes,
    /// Commitment to the content key.
    #[n(1)]
    pub commitment: HashBytes,
    /// The sealed body.
    #[n(2)]
    pub body: Bytes,
    /// Hash of the sealed body.
    #[n(3)]
    pub body_hash: HashBytes,
    /// The encoded flush.
    #[n(4)]
    pub flush: Bytes,
}

impl StoredEnvelope {
    /// The bytes to store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        strict::encode_sized(self, self.header.len() + self.body.len() + self.flush.len() + 128)
    }

    /// Reads what [`StoredEnvelope::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are no stored envelope.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        codec::decode(bytes)
    }
}

/// The part of an envelope that is one recipient's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// The record's bytes.
    pub bytes: Bytes,
    /// The record, read.
    pub record: Record,
    /// Its place in the records tree.
    pub member_of: MemberOf,
}
