//! Keys: Ed25519 for signing, X25519 prekeys for key wrapping. Public keys are valid by construction; secrets are wiped on
//! drop and never print.

use alloc::vec::Vec;
use core::fmt;

use ed25519_dalek::Signer;
use hpke::{Deserializable, OpModeR, OpModeS, Serializable};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::codec::cbor_fixed_bytes;
use crate::hash::Label;
use crate::id::{DeviceId, InviteId};

type Kem = hpke::kem::X25519HkdfSha256;
type Kdf = hpke::kdf::HkdfSha256;
type Aead = hpke::aead::ChaCha20Poly1305;

/// Length of a wrapped 32-byte key: encapsulated key and sealed secret.
pub const WRAP_LEN: usize = 80;

/// A 32-byte secret, wiped on drop.
pub type Secret32 = Zeroizing<[u8; 32]>;

/// The bytes are no acceptable Ed25519 public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an acceptable public key")]
pub struct WeakKey;

/// A signature does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature does not verify")]
pub struct BadSignature;

/// A wrapped key does not open. Says nothing about why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot be opened")]
pub struct CannotOpen;

/// An Ed25519 signature, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub(crate) [u8; 64]);
cbor_fixed_bytes!(Signature, 64);

impl Signature {
    /// The signature with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The signature's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", data_encoding::HEXLOWER.encode(&self.0[..4]))
    }
}

/// An Ed25519 public key that is canonical and not of small order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    /// Admits a key.
    ///
    /// # Errors
    /// [`WeakKey`] when the bytes are not a canonical encoding of a curve point of large order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, WeakKey> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| WeakKey)?;
        // Canonical: the point encodes to the very same bytes.
        if key.is_weak() || key.to_edwards().compress().as_bytes() != bytes {
            return Err(WeakKey);
        }
        Ok(Self(key))
    }

    /// The key's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Strictly verifies a signature over `label ‖ message`.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, label: Label, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let signed = label.concat(&[message]);
        self.0.verify_strict(&signed, &ed25519_dalek::Signature::from_bytes(&signature.0)).map_err(|_| BadSignature)
    }

    /// The id of the device with this key.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        DeviceId(Label::new("device-id").hash(&[self.as_bytes()]))
    }

    /// The id of the invite with this key.
    #[must_use]
    pub fn invite_id(&self) -> InviteId {
        InviteId(Label::new("invite-id").hash(&[self.as_bytes()]))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", data_encoding::HEXLOWER.encode(&self.as_bytes()[..4]))
    }
}

impl<C> minicbor::Encode<C> for PublicKey {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(self.as_bytes())?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for PublicKey {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        <&[u8; 32]>::try_from(d.bytes()?)
            .ok()
            .and_then(|bytes| Self::from_bytes(bytes).ok())
            .ok_or_else(|| minicbor::decode::Error::message("not an acceptable public key"))
    }
}

/// An Ed25519 signing key of a device, invite, broker or recovery key.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A fresh key.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Self::from_seed(&seed)
    }

    /// The key of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The seed, for storing the key.
    #[must_use]
    pub fn seed(&self) -> Secret32 {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `label ‖ message`. Never pass bytes the other side chose: put them under a label of their own first.
    #[must_use]
    pub fn sign(&self, label: Label, message: &[u8]) -> Signature {
        Signature(self.0.sign(&label.concat(&[message])).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// An X25519 public prekey.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PrekeyPublic(pub(crate) [u8; 32]);
cbor_fixed_bytes!(PrekeyPublic, 32);

impl fmt::Debug for PrekeyPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrekeyPublic({})", data_encoding::HEXLOWER.encode(&self.0[..4]))
    }
}

impl PrekeyPublic {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Wraps a 32-byte secret to this key (HPKE base mode) under `info`.
    ///
    /// # Errors
    /// [`CannotOpen`] when this key is of small order and can carry no secret.
    pub fn wrap(&self, info: &[u8], secret: &[u8; 32], rng: &mut impl CryptoRng) -> Result<[u8; WRAP_LEN], CannotOpen> {
        let key = <Kem as hpke::Kem>::PublicKey::from_bytes(&self.0).map_err(|_| CannotOpen)?;
        let (enc, mut context) =
            hpke::setup_sender_with_rng::<Aead, Kdf, Kem>(&OpModeS::Base, &key, info, rng).map_err(|_| CannotOpen)?;
        let sealed = context.seal(secret, &[]).map_err(|_| CannotOpen)?;
        let mut wrap = [0; WRAP_LEN];
        wrap[..32].copy_from_slice(&enc.to_bytes());
        wrap[32..].copy_from_slice(&sealed);
        Ok(wrap)
    }
}

/// The private part of a prekey.
pub struct PrekeySecret(Zeroizing<[u8; 32]>);

impl PrekeySecret {
    /// A fresh prekey.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// The prekey with these private bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The private bytes, for storing the prekey.
    #[must_use]
    pub fn to_bytes(&self) -> Secret32 {
        self.0.clone()
    }

    /// The public part.
    #[must_use]
    pub fn public(&self) -> PrekeyPublic {
        let secret = x25519_dalek::StaticSecret::from(*self.0);
        PrekeyPublic(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }

    /// Opens a wrapped 32-byte secret.
    ///
    /// # Errors
    /// [`CannotOpen`], whatever the cause.
    pub fn unwrap_secret(&self, info: &[u8], wrap: &[u8; WRAP_LEN]) -> Result<Secret32, CannotOpen> {
        let key = <Kem as hpke::Kem>::PrivateKey::from_bytes(&*self.0).map_err(|_| CannotOpen)?;
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(&wrap[..32]).map_err(|_| CannotOpen)?;
        let mut context =
            hpke::setup_receiver::<Aead, Kdf, Kem>(&OpModeR::Base, &key, &enc, info).map_err(|_| CannotOpen)?;
        let opened: Zeroizing<Vec<u8>> = Zeroizing::new(context.open(&wrap[32..], &[]).map_err(|_| CannotOpen)?);
        <[u8; 32]>::try_from(opened.as_slice()).map(Zeroizing::new).map_err(|_| CannotOpen)
    }
}

impl fmt::Debug for PrekeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrekeySecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn weak_keys_are_not_admitted() {
        // Neutral element, order 2, order 4, order 8 with either sign; then the neutral element's y plus the field's prime.
        for (low, rest, high) in [(1, 0, 0), (0xec, 0xff, 0x7f), (0, 0, 0), (0, 0, 0x80), (0xee, 0xff, 0x7f)] {
            let mut key = [rest; 32];
            (key[0], key[31]) = (low, high);
            assert!(PublicKey::from_bytes(&key).is_err(), "{key:02x?}");
        }
        for hex in [
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "0200000000000000000000000000000000000000000000000000000000000000",
        ] {
            assert!(PublicKey::from_bytes(&bytes(hex)).is_err(), "{hex}");
        }
    }

    #[test]
    fn a_signature_with_a_commitment_of_small_order_is_refused() {
        // Made by the key's holder with R the neutral element: verifiers that are not strict take it.
        let signature = Signature::from_bytes(bytes(
            "0100000000000000000000000000000000000000000000000000000000000000\
             5d98399347cc38c321fc7a12870537c67323bf0143ddb0ac3e6e7e13109dbf02",
        ));
        let key = SigningKey::from_seed(&[7; 32]);
        assert!(key.public().verify(Label::new("test"), b"message", &key.sign(Label::new("test"), b"message")).is_ok());
        assert!(key.public().verify(Label::new("test"), b"message", &signature).is_err());
    }
}
