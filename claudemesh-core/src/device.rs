//! What a device publishes about itself: its signed record of prekeys, and the private side of those prekeys.
//!
//! Owns the device record's bytes, the rule by which a newer record replaces an older one, and the life of a prekey. Who
//! may have a device is the roster's business; storing and fetching records is the caller's.

use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use crate::codec::{Bytes, List, Signed, decode, encode};
use crate::hash::Label;
use crate::head::RosterHead;
use crate::id::{DeviceId, MeshId};
use crate::key::{PublicKey, SigningKey};
use crate::time::Seconds;

mod prekey;
mod profile;

pub use prekey::{Prekey, PrekeyEntry, PrekeyId, PrekeyRing};
pub use profile::{MAX_PROFILE_TEXT, Profile, ProfileError, SealedProfile};

/// The most bytes a device record has.
pub const MAX_RECORD_BYTES: usize = 8 * 1024;

/// The most prekeys a device record holds.
pub const MAX_PREKEYS: usize = 16;

const RECORD: Label = Label::new("device-record");

/// A device record cannot be made or is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Larger than [`MAX_RECORD_BYTES`].
    #[error("the device record is too large")]
    TooLarge,
    /// Not the bytes of a device record.
    #[error("the device record is malformed")]
    Malformed,
    /// A record to be signed has no prekeys, more than [`MAX_PREKEYS`], or two with one id.
    #[error("a device record needs 1 to 16 prekeys with ids of their own")]
    Prekeys,
    /// The signature is not the device's.
    #[error("the device record's signature does not verify")]
    BadSignature,
    /// The record belongs to another mesh.
    #[error("the device record belongs to another mesh")]
    WrongMesh,
    /// The record names another device.
    #[error("the device record names another device")]
    WrongDevice,
    /// A record with a higher counter is known.
    #[error("the device record is older than the one known")]
    Stale,
    /// Another record with the same counter is known: the device, or a copy of it, signed twice.
    #[error("the device signed two records with one counter")]
    Conflict,
}

/// What a device puts into its record. Mesh and device are added when it is signed.
#[derive(Clone, Debug)]
pub struct RecordDraft {
    /// Grows with every publication.
    pub counter: u64,
    /// The public prekeys, 1 to [`MAX_PREKEYS`].
    pub prekeys: Vec<Prekey>,
    /// The roster head the device knows.
    pub head: RosterHead,
    /// The sealed profile, made for the same counter.
    pub profile: Option<SealedProfile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct Body {
    #[n(0)]
    mesh: MeshId,
    #[n(1)]
    device: DeviceId,
    #[n(2)]
    counter: u64,
    #[n(3)]
    prekeys: List<Prekey, MAX_PREKEYS>,
    #[n(4)]
    head: RosterHead,
    #[n(5)]
    profile: Option<Bytes>,
}

impl Body {
    fn has_proper_prekeys(&self) -> bool {
        let prekeys = &self.prekeys;
        !prekeys.is_empty() && (1..prekeys.len()).all(|i| prekeys[..i].iter().all(|other| other.id != prekeys[i].id))
    }
}

/// A verified device record, with the exact bytes it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRecord {
    bytes: Bytes,
    signed_body: Bytes,
    body: Body,
}

impl DeviceRecord {
    /// Signs the record of the device with this key.
    ///
    /// # Errors
    /// [`RecordError::Prekeys`], [`RecordError::TooLarge`].
    pub fn sign(key: &SigningKey, mesh: &MeshId, draft: &RecordDraft) -> Result<Vec<u8>, RecordError> {
        let body = Body {
            mesh: *mesh,
            device: key.public().device_id(),
            counter: draft.counter,
            prekeys: List::from_vec(draft.prekeys.clone()).map_err(|_| RecordError::Prekeys)?,
            head: draft.head,
            profile: draft.profile.as_ref().map(|profile| profile.as_bytes().into()),
        };
        if !body.has_proper_prekeys() {
            return Err(RecordError::Prekeys);
        }
        let body = Bytes(encode(&body));
        let signature = key.sign(RECORD, &body);
        let bytes = encode(&Signed { body, signature });
        if bytes.len() <= MAX_RECORD_BYTES { Ok(bytes) } else { Err(RecordError::TooLarge) }
    }

    /// Admits the record of the device with this key.
    ///
    /// # Errors
    /// [`RecordError`] when the bytes are not a record of this device in this mesh.
    pub fn verify(bytes: &[u8], mesh: &MeshId, key: &PublicKey) -> Result<Self, RecordError> {
        let signed = Self::parse(bytes)?;
        key.verify(RECORD, &signed.body, &signed.signature).map_err(|_| RecordError::BadSignature)?;
        let body: Body = decode(&signed.body).map_err(|_| RecordError::Malformed)?;
        if !body.has_proper_prekeys() {
            return Err(RecordError::Malformed);
        }
        if body.mesh != *mesh {
            return Err(RecordError::WrongMesh);
        }
        if body.device != key.device_id() {
            return Err(RecordError::WrongDevice);
        }
        Ok(Self { bytes: bytes.into(), signed_body: signed.body, body })
    }

    /// The device an unverified record says it is of: only good for finding the key to [`verify`](Self::verify) it with.
    ///
    /// # Errors
    /// [`RecordError::TooLarge`], [`RecordError::Malformed`].
    pub fn claimed_device(bytes: &[u8]) -> Result<DeviceId, RecordError> {
        let body: Body = decode(&Self::parse(bytes)?.body).map_err(|_| RecordError::Malformed)?;
        Ok(body.device)
    }

    fn parse(bytes: &[u8]) -> Result<Signed, RecordError> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(RecordError::TooLarge);
        }
        decode(bytes).map_err(|_| RecordError::Malformed)
    }

    /// The record exactly as received.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The mesh.
    #[must_use]
    pub fn mesh(&self) -> MeshId {
        self.body.mesh
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.body.device
    }

    /// The publication counter.
    #[must_use]
    pub fn counter(&self) -> u64 {
        self.body.counter
    }

    /// The roster head the device knew.
    #[must_use]
    pub fn head(&self) -> RosterHead {
        self.body.head
    }

    /// The published prekeys.
    #[must_use]
    pub fn prekeys(&self) -> &[Prekey] {
        &self.body.prekeys
    }

    /// The published prekey with this id.
    #[must_use]
    pub fn prekey(&self, id: PrekeyId) -> Option<&Prekey> {
        self.prekeys().iter().find(|prekey| prekey.id == id)
    }

    /// The prekey to seal to: the one with the latest expiry, unless that lies more than 24 hours behind `now`. Of two
    /// with one expiry, the higher id.
    #[must_use]
    pub fn fresh_prekey(&self, now: Seconds) -> Option<&Prekey> {
        self.prekeys().iter().filter(|prekey| prekey.is_fresh(now)).max_by_key(|prekey| (prekey.expires, prekey.id))
    }

    /// Opens the profile with an epoch secret of the mesh's own log; `None` when the record has none.
    ///
    /// # Errors
    /// [`ProfileError`] when it was not sealed under this secret, for this record, or does not hold a profile.
    pub fn open_profile(&self, epoch_secret: &[u8; 32]) -> Result<Option<Profile>, ProfileError> {
        let Body { mesh, device, counter, profile, .. } = &self.body;
        profile.as_ref().map(|sealed| Profile::open(sealed, epoch_secret, mesh, device, *counter)).transpose()
    }
}

/// The latest record of one device. Never goes back.
#[derive(Clone, Debug, Default)]
pub struct RecordSlot(Option<DeviceRecord>);

impl RecordSlot {
    /// A slot without a record.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// The latest record.
    #[must_use]
    pub const fn get(&self) -> Option<&DeviceRecord> {
        self.0.as_ref()
    }

    /// Takes `record` when it is newer; `false` when it is the one already here.
    ///
    /// # Errors
    /// [`RecordError::Stale`] for a lower counter, [`RecordError::Conflict`] for another record with the same counter,
    /// [`RecordError::WrongDevice`] for the record of another device or mesh. The slot is unchanged.
    pub fn offer(&mut self, record: DeviceRecord) -> Result<bool, RecordError> {
        if let Some(known) = &self.0 {
            if (known.mesh(), known.device()) != (record.mesh(), record.device()) {
                return Err(RecordError::WrongDevice);
            }
            if record.counter() < known.counter() {
                return Err(RecordError::Stale);
            }
            if record.counter() == known.counter() {
                // The signed bytes count: how their wrapping is encoded says nothing about the device.
                return if record.signed_body == known.signed_body { Ok(false) } else { Err(RecordError::Conflict) };
            }
        }
        self.0 = Some(record);
        Ok(true)
    }
}

impl From<DeviceRecord> for RecordSlot {
    fn from(record: DeviceRecord) -> Self {
        Self(Some(record))
    }
}

#[cfg(test)]
mod tests;
