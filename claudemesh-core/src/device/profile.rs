//! The profile a device shows to its mesh, sealed under an epoch of the mesh's own log.

use alloc::string::String;
use alloc::vec::Vec;

use minicbor::{Decode, Encode};
use rand_core::CryptoRng;

use crate::codec::{decode, encode};
use crate::hash::Label;
use crate::id::{DeviceId, MeshId};
use crate::key::{CannotOpen, Secret32};
use crate::seal;

/// The most bytes each text of a profile has.
pub const MAX_PROFILE_TEXT: usize = 256;

const PROFILE: Label = Label::new("profile");

/// A profile cannot be sealed or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// It was sealed under another secret or for another record.
    #[error("the profile cannot be opened")]
    CannotOpen,
    /// What was sealed is no profile.
    #[error("the profile is malformed")]
    Malformed,
    /// A text is longer than [`MAX_PROFILE_TEXT`].
    #[error("a text of the profile is too long")]
    TooLong,
}

impl From<CannotOpen> for ProfileError {
    fn from(_: CannotOpen) -> Self {
        Self::CannotOpen
    }
}

/// What a device says about itself to its mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Profile {
    /// Version of the application.
    #[n(0)]
    pub app_version: String,
    /// The platform it runs on.
    #[n(1)]
    pub platform: String,
    /// A label its owner gave to the device.
    #[n(2)]
    pub label: String,
}

/// A [`Profile`] under seal, good for one counter of one device's record.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedProfile(Vec<u8>);

impl SealedProfile {
    /// The sealed bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl core::fmt::Debug for SealedProfile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SealedProfile({})", self.0.len())
    }
}

impl Profile {
    /// Seals the profile into the record of `device` with this `counter`.
    ///
    /// # Errors
    /// [`ProfileError::TooLong`].
    pub fn seal(
        &self,
        epoch_secret: &[u8; 32],
        mesh: &MeshId,
        device: &DeviceId,
        counter: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<SealedProfile, ProfileError> {
        self.check()?;
        let padded = seal::pad(&encode(self));
        let sealed = seal::seal(&key(epoch_secret, device), &context(mesh, counter), &padded, rng);
        Ok(SealedProfile(sealed))
    }

    pub(super) fn open(
        sealed: &[u8],
        epoch_secret: &[u8; 32],
        mesh: &MeshId,
        device: &DeviceId,
        counter: u64,
    ) -> Result<Self, ProfileError> {
        let padded = seal::open(&key(epoch_secret, device), &context(mesh, counter), sealed)?;
        let profile: Self = decode(seal::unpad(&padded)?).map_err(|_| ProfileError::Malformed)?;
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), ProfileError> {
        let fits = [&self.app_version, &self.platform, &self.label].iter().all(|text| text.len() <= MAX_PROFILE_TEXT);
        if fits { Ok(()) } else { Err(ProfileError::TooLong) }
    }
}

fn key(epoch_secret: &[u8; 32], device: &DeviceId) -> Secret32 {
    seal::derive(epoch_secret, PROFILE, &[device.as_bytes()])
}

fn context(mesh: &MeshId, counter: u64) -> Vec<u8> {
    [&mesh.as_bytes()[..], &counter.to_be_bytes()].concat()
}
