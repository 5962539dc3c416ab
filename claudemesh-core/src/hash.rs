//! SHA-256 with the protocol's domain labels.
//!
//! Owns the labels' form. Every hash, signature and derivation of the protocol starts from a [`Label`], so bytes made for
//! one purpose can never serve another.

use sha2::{Digest, Sha256};

/// A 32-byte SHA-256 value.
pub type Hash = [u8; 32];

/// A versioned domain label: `claudemesh/v1/NAME` and one zero byte.
#[derive(Clone, Copy, Debug)]
pub struct Label(&'static str);

impl Label {
    /// A label for `name`; names are fixed by `docs/protocol.md`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The label's bytes, in parts that are meant to be concatenated.
    #[must_use]
    pub fn parts(self) -> [&'static [u8]; 3] {
        [b"claudemesh/v1/", self.0.as_bytes(), &[0]]
    }

    /// `H(label ‖ parts…)`.
    #[must_use]
    pub fn hash(self, parts: &[&[u8]]) -> Hash {
        let mut digest = Sha256::new();
        for part in self.parts().iter().chain(parts) {
            digest.update(part);
        }
        digest.finalize().into()
    }

    /// `label ‖ parts…` as one byte string.
    #[must_use]
    pub fn concat(self, parts: &[&[u8]]) -> alloc::vec::Vec<u8> {
        let mut out = alloc::vec::Vec::new();
        for part in self.parts().iter().chain(parts) {
            out.extend_from_slice(part);
        }
        out
    }
}

/// Plain SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Compares two byte strings without leaking where they differ.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    use subtle::ConstantTimeEq;
    a.ct_eq(b).into()
}
