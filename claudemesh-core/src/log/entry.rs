//! A log entry's form: body, payloads, signature. Says nothing about whether an entry may follow another.

use alloc::vec::Vec;

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

use super::{LogError, MAX_COMPACTED, MAX_ENTRY_BYTES, MAX_WRAPS, Position};
use crate::codec::{self, Bytes, HashBytes, List, Malformed, Signed, cbor_fixed_bytes, definite};
use crate::hash::{Hash, Label};
use crate::head::RosterHead;
use crate::id::{DeviceId, LogId, MeshId};
use crate::key::{BadSignature, PublicKey, Signature, SigningKey, WRAP_LEN};

const SIGN: Label = Label::new("log-entry");
const HASH: Label = Label::new("log-entry-hash");
/// A signature on the wire: two bytes of head, 64 of content.
const SIGNATURE_BYTES: usize = 66;

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
#[non_exhaustive]
pub enum EntryKind {
    /// Sealed records.
    #[n(0)]
    Records,
    /// The commit that opens an epoch.
    #[n(1)]
    Commit,
    /// The secret of the epoch before, sealed under a later one.
    #[n(2)]
    HistoryLink,
    /// An epoch secret wrapped to devices the commit left out.
    #[n(3)]
    Rewrap,
    /// A report that a commit could not be used.
    #[n(4)]
    BadCommit,
    /// Entries that are dropped.
    #[n(5)]
    Compaction,
}

impl EntryKind {
    const ALL: [Self; 6] =
        [Self::Records, Self::Commit, Self::HistoryLink, Self::Rewrap, Self::BadCommit, Self::Compaction];

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u64 {
        self as u64
    }

    /// The kind with this number.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }
}

/// What the author signs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogBody {
    /// The mesh.
    #[n(0)]
    pub mesh: MeshId,
    /// The log.
    #[n(1)]
    pub log: LogId,
    /// The author's device.
    #[n(2)]
    pub author: DeviceId,
    /// The kind of the payload.
    #[n(3)]
    pub kind: EntryKind,
    /// The current epoch; in a commit the new one.
    #[n(4)]
    pub epoch: u64,
    /// Counts the author's entries in this log, from 1.
    #[n(5)]
    pub seq: u64,
    /// The chain position the author had seen.
    #[n(6)]
    pub seen: Position,
    /// The roster head the author knew.
    #[n(7)]
    pub head: RosterHead,
    /// The payload; of a records entry the sealed records.
    #[n(8)]
    pub payload: Bytes,
}

/// What of its past a log opens to newcomers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum HistoryPolicy {
    /// Everything: each epoch's secret opens the one before.
    #[n(0)]
    All,
    /// What was written since the newcomer joined.
    #[n(1)]
    Joining,
    /// Nothing; old secrets are erased.
    #[n(2)]
    None,
}

/// An epoch secret wrapped to one device's prekey.
#[derive(Clone, PartialEq, Eq)]
pub struct WrapRecord {
    /// The device.
    pub device: DeviceId,
    /// Which of its prekeys.
    pub prekey: u32,
    /// The wrapped secret.
    pub wrap: [u8; WRAP_LEN],
}

impl core::fmt::Debug for WrapRecord {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "WrapRecord({}, prekey {})", self.device.short(), self.prekey)
    }
}

impl<C> Encode<C> for WrapRecord {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(3)?;
        self.device.encode(e, ctx)?;
        e.u32(self.prekey)?.bytes(&self.wrap)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for WrapRecord {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        if definite(d.array()?)? != 3 {
            return Err(DecodeError::message("a wrap record has three parts"));
        }
        let (device, prekey) = (DeviceId::decode(d, ctx)?, d.u32()?);
        let wrap = d.bytes()?.try_into().map_err(|_| DecodeError::message("wrong length"))?;
        Ok(Self { device, prekey, wrap })
    }
}

/// A 32-byte secret sealed under another epoch's secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SealedSecret(pub(crate) [u8; 72]);
cbor_fixed_bytes!(SealedSecret, 72);

impl core::fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SealedSecret(72)")
    }
}

impl SealedSecret {
    /// The sealed bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 72] {
        &self.0
    }
}

/// Opens an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Commit {
    /// The roster head it was made at.
    #[n(0)]
    pub head: RosterHead,
    /// Binds the one secret all wraps must hold.
    #[n(1)]
    pub commitment: HashBytes,
    /// The secret, wrapped to each device; at least one.
    #[n(2)]
    pub wraps: List<WrapRecord, MAX_WRAPS>,
    /// What the log opens to newcomers.
    #[n(3)]
    pub history: HistoryPolicy,
    /// The secret of the epoch before.
    #[n(4)]
    pub link: Option<SealedSecret>,
    /// The devices of a private log; absent for the whole mesh.
    #[n(5)]
    pub audience: Option<List<DeviceId, MAX_WRAPS>>,
}

/// The secret of epoch `epoch − 1`, sealed under that of `epoch`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HistoryLink {
    /// The epoch whose secret opens it.
    #[n(0)]
    pub epoch: u64,
    /// The sealed secret.
    #[n(1)]
    pub sealed: SealedSecret,
}

/// An epoch secret wrapped to more devices.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Rewrap {
    /// The epoch of the secret.
    #[n(0)]
    pub epoch: u64,
    /// The wraps; at least one.
    #[n(1)]
    pub wraps: List<WrapRecord, MAX_WRAPS>,
}

/// Why a commit could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum BadCommitReason {
    /// The wrap made for the device does not open.
    #[n(1)]
    CannotOpen,
    /// The wrapped secret is not the one committed to.
    #[n(2)]
    Commitment,
}

/// A report that a commit could not be used by the author.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BadCommit {
    /// The epoch of the commit.
    #[n(0)]
    pub epoch: u64,
    /// What was wrong.
    #[n(1)]
    pub reason: BadCommitReason,
}

/// Names the entries that are dropped; their hashes stay.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Compaction {
    /// Their offsets, ascending; at least one.
    #[n(0)]
    pub offsets: List<u64, MAX_COMPACTED>,
}

/// A payload, decoded as far as it is not sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// Sealed records: [`LogBody::payload`] as it is.
    Records,
    /// See [`Commit`].
    Commit(Commit),
    /// See [`HistoryLink`].
    HistoryLink(HistoryLink),
    /// See [`Rewrap`].
    Rewrap(Rewrap),
    /// See [`BadCommit`].
    BadCommit(BadCommit),
    /// See [`Compaction`].
    Compaction(Compaction),
}

impl Payload {
    fn decode(kind: EntryKind, bytes: &[u8]) -> Result<Self, Malformed> {
        let payload = match kind {
            EntryKind::Records => Self::Records,
            EntryKind::Commit => Self::Commit(codec::decode(bytes)?),
            EntryKind::HistoryLink => Self::HistoryLink(codec::decode(bytes)?),
            EntryKind::Rewrap => Self::Rewrap(codec::decode(bytes)?),
            EntryKind::BadCommit => Self::BadCommit(codec::decode(bytes)?),
            EntryKind::Compaction => Self::Compaction(codec::decode(bytes)?),
        };
        let empty = match &payload {
            Self::Commit(commit) => {
                commit.wraps.is_empty() || commit.audience.as_ref().is_some_and(|audience| audience.is_empty())
            }
            Self::Rewrap(rewrap) => rewrap.wraps.is_empty(),
            Self::Compaction(compaction) => compaction.offsets.is_empty(),
            _ => false,
        };
        if empty { Err(Malformed) } else { Ok(payload) }
    }
}

/// A signed entry with the exact bytes it came as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    bytes: Bytes,
    /// Where the signed body starts in `bytes`; it ends before the signature.
    body_start: usize,
    body: LogBody,
    payload: Payload,
    signature: Signature,
    hash: Hash,
}

impl LogEntry {
    /// Reads an entry. The signature is not checked: see [`verify`](Self::verify).
    ///
    /// # Errors
    /// [`LogError::TooLarge`], [`LogError::Malformed`] (also for unknown kinds).
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, LogError> {
        let bytes = bytes.into();
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(LogError::TooLarge);
        }
        let signed: Signed = codec::decode(&bytes)?;
        let body: LogBody = codec::decode(&signed.body)?;
        let payload = Payload::decode(body.kind, &body.payload)?;
        let body_start = bytes.len() - SIGNATURE_BYTES - signed.body.len();
        let hash = HASH.hash(&[&signed.body]);
        Ok(Self { bytes, body_start, body, payload, signature: signed.signature, hash })
    }

    /// Signs `body`.
    ///
    /// # Errors
    /// [`LogError::TooLarge`] when the entry exceeds [`MAX_ENTRY_BYTES`], [`LogError::Malformed`] when the payload is
    /// not one of the body's kind.
    pub fn sign(key: &SigningKey, body: &LogBody) -> Result<Self, LogError> {
        let body = codec::encode(body);
        let signature = key.sign(SIGN, &body);
        Self::parse(codec::encode(&Signed { body: Bytes(body), signature }))
    }

    /// Checks the signature, and that `key` is the author's.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, key: &PublicKey) -> Result<(), BadSignature> {
        if key.device_id() != self.body.author {
            return Err(BadSignature);
        }
        key.verify(SIGN, self.body_bytes(), &self.signature)
    }

    /// The entry exactly as it travels.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The entry exactly as it travels.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.0
    }

    /// The signed bytes.
    #[must_use]
    pub fn body_bytes(&self) -> &[u8] {
        &self.bytes[self.body_start..self.bytes.len() - SIGNATURE_BYTES]
    }

    /// The signed body.
    #[must_use]
    pub const fn body(&self) -> &LogBody {
        &self.body
    }

    /// The payload.
    #[must_use]
    pub const fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The entry's hash, which the chain runs over.
    #[must_use]
    pub const fn hash(&self) -> &Hash {
        &self.hash
    }
}
