//! Symmetric sealing: key derivation, XChaCha20-Poly1305 and padding to size buckets.

use alloc::vec::Vec;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::hash::Label;
use crate::key::{CannotOpen, Secret32};

const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;

/// `KDF(ikm, label ‖ info…)`: HKDF-SHA256 with an empty salt and 32 bytes of output.
#[must_use]
pub fn derive(ikm: &[u8], label: Label, info: &[&[u8]]) -> Secret32 {
    let mut out = Zeroizing::new([0; 32]);
    let [a, b, c] = label.parts();
    let mut parts: Vec<&[u8]> = Vec::with_capacity(3 + info.len());
    parts.extend([a, b, c]);
    parts.extend(info);
    hkdf::Hkdf::<sha2::Sha256>::new(None, ikm)
        .expand_multi_info(&parts, &mut *out)
        .unwrap_or_else(|_| unreachable!("32 bytes is a valid HKDF output length"));
    out
}

/// Seals `plaintext`: `nonce ‖ ciphertext`.
#[must_use]
pub fn seal(key: &[u8; 32], aad: &[u8], plaintext: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
    let mut nonce = [0; NONCE_LEN];
    rng.fill_bytes(&mut nonce);
    let sealed = XChaCha20Poly1305::new(key.into())
        .encrypt(&XNonce::from(nonce), Payload { msg: plaintext, aad })
        .unwrap_or_else(|_| unreachable!("plaintexts are far below the cipher's limit"));
    let mut out = Vec::with_capacity(NONCE_LEN + sealed.len());
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed);
    out
}

/// Opens what [`seal`] made. The caller wipes what is a secret.
///
/// # Errors
/// [`CannotOpen`], whatever the cause.
pub fn open(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CannotOpen> {
    if sealed.len() < NONCE_LEN + TAG_LEN {
        return Err(CannotOpen);
    }
    let (nonce, msg) = sealed.split_at(NONCE_LEN);
    let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| CannotOpen)?;
    XChaCha20Poly1305::new(key.into()).decrypt(&XNonce::from(nonce), Payload { msg, aad }).map_err(|_| CannotOpen)
}

/// The size to which `len` bytes are padded: 256, then steps of a quarter of the power of two below.
#[must_use]
pub fn bucket(len: usize) -> usize {
    if len <= 256 {
        return 256;
    }
    let step = 1usize << ((len - 1).ilog2() - 2);
    len.div_ceil(step) * step
}

/// `be32(len) ‖ data ‖ zeros` up to the size bucket.
#[must_use]
pub fn pad(data: &[u8]) -> Vec<u8> {
    let size = bucket(4 + data.len());
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(data);
    out.resize(size, 0);
    out
}

/// Removes the padding of [`pad`].
///
/// # Errors
/// [`CannotOpen`] when length, size or zeros are not as `pad` writes them.
pub fn unpad(padded: &[u8]) -> Result<&[u8], CannotOpen> {
    let (len, rest) = padded.split_first_chunk::<4>().ok_or(CannotOpen)?;
    let len = u32::from_be_bytes(*len) as usize;
    let (data, zeros) = rest.split_at_checked(len).ok_or(CannotOpen)?;
    if padded.len() == bucket(4 + len) && zeros.iter().all(|byte| *byte == 0) { Ok(data) } else { Err(CannotOpen) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_grow_by_at_most_a_quarter() {
        assert_eq!(bucket(0), 256);
        assert_eq!(bucket(256), 256);
        assert_eq!(bucket(257), 320);
        assert_eq!(bucket(1025), 1280);
        for len in 257..5000 {
            assert!(bucket(len) >= len && bucket(len) * 4 <= len * 5 + 1024, "{len}");
            assert_eq!(bucket(bucket(len)), bucket(len));
        }
    }

    #[test]
    fn padding_round_trips_and_rejects_dirt() {
        for len in [0, 1, 251, 252, 253, 1000] {
            let data = alloc::vec![7; len];
            let mut padded = pad(&data);
            assert_eq!(unpad(&padded).unwrap(), &data[..]);
            assert!(unpad(&padded[..padded.len() - 1]).is_err());
            if 4 + len < padded.len() {
                let last = padded.len() - 1;
                padded[last] = 1;
                assert!(unpad(&padded).is_err());
            }
        }
        assert!(unpad(&[]).is_err());
        assert!(unpad(&[0xff; 256]).is_err());
    }
}
