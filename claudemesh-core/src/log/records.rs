//! Sealed records and what is derived from an epoch's secret.

use alloc::vec::Vec;

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{EntryKind, LogBody, LogEntry, LogKeys, MAX_RECORDS, SealedSecret};
use crate::codec::{self, Bytes, List, definite};
use crate::hash::{Hash, Label};
use crate::id::{DeviceId, LogId, MeshId};
use crate::key::{CannotOpen, Secret32};
use crate::seal;

/// One record of an entry. Its address is (offset of the entry, index in the entry).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record's type; the log's use says what types there are.
    pub kind: u64,
    /// Its content.
    pub data: Bytes,
}

impl<C> Encode<C> for Record {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(2)?.u64(self.kind)?.bytes(&self.data)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Record {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        if definite(d.array()?)? != 2 {
            return Err(DecodeError::message("a record has two parts"));
        }
        Ok(Self { kind: d.u64()?, data: Bytes::decode(d, ctx)? })
    }
}

/// Records cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The entry holds no records.
    #[error("the entry holds no records")]
    NotRecords,
    /// The epoch's secret is not held (yet).
    #[error("the secret of epoch {epoch} is not held")]
    MissingEpoch {
        /// The epoch.
        epoch: u64,
    },
    /// The records do not open, or what they open to is malformed. They never will.
    #[error("records cannot be opened")]
    CannotOpen,
}

/// The public commitment to an epoch's secret.
#[must_use]
pub fn epoch_commitment(log: &LogId, epoch: u64, secret: &[u8; 32]) -> Hash {
    *seal::derive(secret, Label::new("epoch-commitment"), &[log.as_bytes(), &epoch.to_be_bytes()])
}

/// Opens the records of an entry.
///
/// # Errors
/// [`OpenError`].
pub fn open_records(entry: &LogEntry, keys: &LogKeys) -> Result<Vec<Record>, OpenError> {
    let body = entry.body();
    if body.kind != EntryKind::Records {
        return Err(OpenError::NotRecords);
    }
    let secret = keys.secret(body.epoch).ok_or(OpenError::MissingEpoch { epoch: body.epoch })?;
    let padded =
        seal::open(&records_key(secret, body), &context(body), &body.payload).map_err(|_| OpenError::CannotOpen)?;
    let plain = seal::unpad(&padded).map_err(|_| OpenError::CannotOpen)?;
    let records: List<Record, MAX_RECORDS> = codec::decode(plain).map_err(|_| OpenError::CannotOpen)?;
    if records.is_empty() { Err(OpenError::CannotOpen) } else { Ok(records.into_vec()) }
}

/// Seals `records` as the payload of `body`, whose other fields are final.
pub(super) fn seal_records(body: &LogBody, secret: &[u8; 32], records: &[Record], rng: &mut impl CryptoRng) -> Vec<u8> {
    seal::seal(&records_key(secret, body), &context(body), &seal::pad(&codec::encode(&Slice(records))), rng)
}

struct Slice<'a>(&'a [Record]);

impl<C> Encode<C> for Slice<'_> {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(self.0.len() as u64)?;
        self.0.iter().try_for_each(|record| record.encode(e, ctx))
    }
}

fn records_key(secret: &[u8; 32], body: &LogBody) -> Secret32 {
    seal::derive(secret, Label::new("records"), &[body.log.as_bytes(), &body.epoch.to_be_bytes()])
}

fn context(body: &LogBody) -> Hash {
    Label::new("log-context").hash(&[
        body.mesh.as_bytes(),
        body.log.as_bytes(),
        body.author.as_bytes(),
        &body.epoch.to_be_bytes(),
        &body.seq.to_be_bytes(),
    ])
}

/// The HPKE info of a wrapped epoch secret.
pub(super) fn wrap_info(
    mesh: &MeshId,
    log: &LogId,
    epoch: u64,
    author: &DeviceId,
    device: &DeviceId,
    prekey: u32,
) -> Vec<u8> {
    Label::new("epoch-wrap").concat(&[
        mesh.as_bytes(),
        log.as_bytes(),
        &epoch.to_be_bytes(),
        author.as_bytes(),
        device.as_bytes(),
        &prekey.to_be_bytes(),
    ])
}

/// Seals the secret of the epoch before under `secret` of `epoch`.
pub(super) fn seal_link(
    log: &LogId,
    epoch: u64,
    secret: &[u8; 32],
    before: &[u8; 32],
    rng: &mut impl CryptoRng,
) -> SealedSecret {
    let sealed = seal::seal(&link_key(log, epoch, secret), &(epoch - 1).to_be_bytes(), before, rng);
    let mut out = [0; 72];
    out.copy_from_slice(&sealed);
    SealedSecret(out)
}

/// Opens what [`seal_link`] made. The caller still compares the secret with its epoch's commitment.
pub(super) fn open_link(
    log: &LogId,
    epoch: u64,
    secret: &[u8; 32],
    sealed: &SealedSecret,
) -> Result<Secret32, CannotOpen> {
    let before = epoch.checked_sub(1).ok_or(CannotOpen)?;
    let opened = Zeroizing::new(seal::open(&link_key(log, epoch, secret), &before.to_be_bytes(), &sealed.0)?);
    <[u8; 32]>::try_from(opened.as_slice()).map(Zeroizing::new).map_err(|_| CannotOpen)
}

fn link_key(log: &LogId, epoch: u64, secret: &[u8; 32]) -> Secret32 {
    seal::derive(secret, Label::new("history"), &[log.as_bytes(), &epoch.to_be_bytes()])
}
