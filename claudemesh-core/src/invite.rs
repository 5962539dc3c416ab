//! Invites: the link one person hands another, the keys that follow from its secret, and the sealed welcome.
//!
//! The link pins mesh and broker and carries a secret; everything after `#` never reaches a server. Whoever holds the
//! secret can sign its own joining entry. The welcome bundle holds no keys.

mod link;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use minicbor::{Decode, Decoder, Encode, decode::Error as DecodeError};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

pub use link::{Link, LinkError, MAX_LINK_LEN};

use crate::codec::{self, List};
use crate::hash::Label;
use crate::id::MemberId;
use crate::key::{CannotOpen, Secret32, SigningKey};
use crate::roster::MAX_SEALED_WELCOME;
use crate::seal;

/// The most names in a welcome bundle.
pub const MAX_NAMES: usize = 1024;
/// The most broker addresses in a welcome bundle.
pub const MAX_ADDRESSES: usize = 64;

/// What sealing adds: nonce and tag.
const SEAL_OVERHEAD: usize = 24 + 16;

/// The secret of an invite link. Whoever holds it can join.
pub struct LinkSecret(Secret32);

impl LinkSecret {
    /// A fresh secret.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// The secret with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key that signs joining entries; its public part stands in the roster.
    #[must_use]
    pub fn invite_key(&self) -> SigningKey {
        SigningKey::from_seed(&seal::derive(&*self.0, Label::new("invite-key"), &[]))
    }

    /// The key that seals the welcome bundle.
    #[must_use]
    pub fn welcome_key(&self) -> Secret32 {
        seal::derive(&*self.0, Label::new("invite-welcome"), &[])
    }
}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret(..)")
    }
}

/// The bundle does not fit into an invite, even without names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the welcome is too large")]
pub struct WelcomeTooLarge;

/// What a joiner learns before it has keys. Its names are hints until the members' own records are read.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WelcomeBundle {
    /// Label of the mesh.
    #[n(0)]
    pub label: String,
    /// The member that invites.
    #[n(1)]
    pub inviter: MemberId,
    /// Names known to the inviter, its own first.
    #[cbor(n(2), decode_with = "bounded::<_, _, MAX_NAMES>")]
    pub names: Vec<(MemberId, String)>,
    /// Addresses of the mesh's brokers.
    #[cbor(n(3), decode_with = "bounded::<_, _, MAX_ADDRESSES>")]
    pub brokers: Vec<String>,
    /// How the inviter calls the joiner.
    #[n(4)]
    pub hint: Option<String>,
}

fn bounded<'b, C, T: Decode<'b, C>, const MAX: usize>(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Vec<T>, DecodeError> {
    List::<T, MAX>::decode(d, ctx).map(List::into_vec)
}

impl WelcomeBundle {
    /// Seals the bundle under a link's secret. Names are left out from the end where the invite has no room for all.
    ///
    /// # Errors
    /// [`WelcomeTooLarge`] when the bundle does not fit without any names either, or has too many addresses.
    pub fn seal(&self, secret: &LinkSecret, rng: &mut impl CryptoRng) -> Result<Vec<u8>, WelcomeTooLarge> {
        if self.brokers.len() > MAX_ADDRESSES {
            return Err(WelcomeTooLarge);
        }
        let mut fitting = self.clone();
        fitting.names.truncate(MAX_NAMES);
        let plaintext = loop {
            let plaintext = Zeroizing::new(codec::encode(&fitting));
            if plaintext.len() + SEAL_OVERHEAD <= MAX_SEALED_WELCOME {
                break plaintext;
            }
            fitting.names.pop().ok_or(WelcomeTooLarge)?;
        };
        Ok(seal::seal(&secret.welcome_key(), secret.invite_key().public().as_bytes(), &plaintext, rng))
    }

    /// Opens the sealed welcome of an invite with the link's secret.
    ///
    /// # Errors
    /// [`CannotOpen`], whatever the cause.
    pub fn open(secret: &LinkSecret, sealed: &[u8]) -> Result<Self, CannotOpen> {
        let opened = seal::open(&secret.welcome_key(), secret.invite_key().public().as_bytes(), sealed);
        let opened = Zeroizing::new(opened?);
        codec::decode(&opened).map_err(|_| CannotOpen)
    }
}

impl fmt::Debug for WelcomeBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "WelcomeBundle(from {}, {} names, {} addresses)",
            self.inviter.short(),
            self.names.len(),
            self.brokers.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededRng;
    use std::{format, string::ToString, vec};

    fn bundle(names: usize) -> WelcomeBundle {
        let inviter = MemberId::from_bytes([5; 32]);
        WelcomeBundle {
            label: "workshop".to_string(),
            inviter,
            names: vec![(inviter, "alice".to_string()); names],
            brokers: vec!["wss://broker.example".to_string()],
            hint: Some("bob".to_string()),
        }
    }

    #[test]
    fn a_sealed_bundle_opens_under_the_same_secret_only() {
        let rng = &mut SeededRng::new(1);
        let secret = LinkSecret::generate(rng);
        let sealed = bundle(2).seal(&secret, rng).unwrap();
        assert_eq!(WelcomeBundle::open(&secret, &sealed), Ok(bundle(2)));
        assert_eq!(WelcomeBundle::open(&LinkSecret::generate(rng), &sealed), Err(CannotOpen));
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(WelcomeBundle::open(&secret, &damaged), Err(CannotOpen));
            assert_eq!(WelcomeBundle::open(&secret, &sealed[..at]), Err(CannotOpen));
        }
    }

    #[test]
    fn a_hint_may_be_absent() {
        let rng = &mut SeededRng::new(1);
        let secret = LinkSecret::generate(rng);
        let bundle = WelcomeBundle { hint: None, ..bundle(1) };
        assert_eq!(WelcomeBundle::open(&secret, &bundle.seal(&secret, rng).unwrap()), Ok(bundle));
    }

    #[test]
    fn names_beyond_the_room_are_left_out_from_the_end() {
        let rng = &mut SeededRng::new(1);
        let secret = LinkSecret::generate(rng);
        let sealed = bundle(5000).seal(&secret, rng).unwrap();
        assert!(sealed.len() <= MAX_SEALED_WELCOME && sealed.len() > MAX_SEALED_WELCOME - 64);
        let opened = WelcomeBundle::open(&secret, &sealed).unwrap();
        assert!(opened.names.len() > 100 && opened.hint.is_some());
    }

    #[test]
    fn a_bundle_too_large_without_names_is_refused() {
        let rng = &mut SeededRng::new(1);
        let secret = LinkSecret::generate(rng);
        let long = WelcomeBundle { label: "x".repeat(MAX_SEALED_WELCOME), ..bundle(1) };
        assert_eq!(long.seal(&secret, rng), Err(WelcomeTooLarge));
        let many = WelcomeBundle { brokers: vec!["wss://b".to_string(); MAX_ADDRESSES + 1], ..bundle(1) };
        assert_eq!(many.seal(&secret, rng), Err(WelcomeTooLarge));
    }

    #[test]
    fn a_plaintext_of_another_form_does_not_open() {
        let rng = &mut SeededRng::new(1);
        let secret = LinkSecret::generate(rng);
        let aad = *secret.invite_key().public().as_bytes();
        for plaintext in [&[][..], &[0xa0], &[0xbf, 0xff], b"text"] {
            let sealed = seal::seal(&secret.welcome_key(), &aad, plaintext, rng);
            assert_eq!(WelcomeBundle::open(&secret, &sealed), Err(CannotOpen));
        }
    }

    #[test]
    fn debug_shows_neither_secret_nor_names() {
        assert_eq!(format!("{:?}", LinkSecret::from_bytes([7; 32])), "LinkSecret(..)");
        let shown = format!("{:?}", bundle(1));
        assert!(!shown.contains("alice") && !shown.contains("workshop") && !shown.contains("bob"));
    }
}
