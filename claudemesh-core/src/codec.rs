//! Shared encoding rules over `minicbor`: whole-input decoding, bounded lists, opaque byte strings.
//!
//! Structures derive their encoding as maps with integer keys; this module owns what the derive cannot say.

pub(crate) mod strict;

use alloc::vec::Vec;

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

/// The bytes are not a well-formed value of the expected form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed bytes")]
pub struct Malformed;

impl From<DecodeError> for Malformed {
    fn from(_: DecodeError) -> Self {
        Self
    }
}

/// Encodes `value`.
#[must_use]
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    // A `Vec` writer cannot fail and none of our encoders reports an error of its own.
    minicbor::to_vec(value).unwrap_or_else(|_| unreachable!("encoding into memory cannot fail"))
}

/// Decodes exactly one value that fills `bytes`.
///
/// # Errors
/// [`Malformed`] when the value is not of the expected form or bytes follow it.
pub fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, Malformed> {
    let rest = check_form(bytes, 0)?;
    if !rest.is_empty() {
        return Err(Malformed);
    }
    Ok(Decoder::new(bytes).decode()?)
}

/// Decodes what this program wrote into its own store: whole input, but keys of any kind.
///
/// # Errors
/// [`Malformed`] when the value is not of the expected form or bytes follow it.
pub(crate) fn decode_own<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, Malformed> {
    let mut decoder = Decoder::new(bytes);
    let value = decoder.decode()?;
    if decoder.position() == bytes.len() { Ok(value) } else { Err(Malformed) }
}

/// How deep items may lie in one another. Far above any structure of the protocol.
const MAX_DEPTH: u8 = 16;

/// The highest key of a map: derived decoders read keys as signed numbers, and all decoders must take the same bytes.
const MAX_KEY: u64 = i64::MAX as u64;

/// Checks what derived decoders let pass, for one item at the start of `bytes`: definite lengths, numbers in shortest form,
/// texts of UTF-8, maps with unsigned keys in strictly ascending order (so none twice). Returns the bytes after the item.
fn check_form(bytes: &[u8], depth: u8) -> Result<&[u8], Malformed> {
    let (&initial, rest) = bytes.split_first().ok_or(Malformed)?;
    let (major, info) = (initial >> 5, initial & 0x1f);
    if major == 7 {
        // False and true. Never null, which would be a second way to leave an optional key out; the protocol has no floats
        // and no other simple values.
        return if matches!(info, 20 | 21) { Ok(rest) } else { Err(Malformed) };
    }
    let (argument, mut rest) = argument(info, rest)?;
    match major {
        0 => {}
        2 | 3 => {
            let len = usize::try_from(argument).map_err(|_| Malformed)?;
            let (content, after) = rest.split_at_checked(len).ok_or(Malformed)?;
            if major == 3 && core::str::from_utf8(content).is_err() {
                return Err(Malformed);
            }
            rest = after;
        }
        4 | 5 if depth == MAX_DEPTH => return Err(Malformed),
        4 => {
            for _ in 0..argument {
                rest = check_form(rest, depth + 1)?;
            }
        }
        5 => {
            let mut before = None;
            for _ in 0..argument {
                let (&initial, after) = rest.split_first().ok_or(Malformed)?;
                let (key, after) = self::argument(initial, after)?;
                if key > MAX_KEY || before.is_some_and(|before| key <= before) {
                    return Err(Malformed);
                }
                before = Some(key);
                rest = check_form(after, depth + 1)?;
            }
        }
        // Negative numbers and tags do not occur.
        _ => return Err(Malformed),
    }
    Ok(rest)
}

/// The argument of an item head, in shortest form only. A head of major type 0 is its own `info`.
fn argument(info: u8, rest: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let (len, lowest) = match info {
        0..=23 => return Ok((info.into(), rest)),
        24 => (1, 24),
        25 => (2, 1 << 8),
        26 => (4, 1 << 16),
        27 => (8, 1 << 32),
        _ => return Err(Malformed),
    };
    let (head, rest) = rest.split_at_checked(len).ok_or(Malformed)?;
    let value = head.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    if value >= lowest { Ok((value, rest)) } else { Err(Malformed) }
}

/// An opaque byte string. Its `Debug` prints the size only.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Vec<u8>);

impl core::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}

impl core::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl<C> Encode<C> for Bytes {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Bytes {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        Ok(Self(d.bytes()?.to_vec()))
    }
}

/// A list of at most `MAX` items. The bound is checked before anything is allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// The empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Takes `items` when there are at most `MAX`.
    ///
    /// # Errors
    /// [`Malformed`] when there are more.
    pub fn from_vec(items: Vec<T>) -> Result<Self, Malformed> {
        if items.len() <= MAX { Ok(Self(items)) } else { Err(Malformed) }
    }

    /// The items.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const MAX: usize> core::ops::Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<C, T: Encode<C>, const MAX: usize> Encode<C> for List<T, MAX> {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(self.0.len() as u64)?;
        for item in &self.0 {
            item.encode(e, ctx)?;
        }
        Ok(())
    }
}

impl<'b, C, T: Decode<'b, C>, const MAX: usize> Decode<'b, C> for List<T, MAX> {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        strict::list(d, (0, MAX), |d| T::decode(d, ctx)).map(Self)
    }
}

/// Reads the length of a definite array or map.
pub(crate) fn definite(len: Option<u64>) -> Result<u64, DecodeError> {
    len.ok_or_else(|| DecodeError::message("indefinite length"))
}

/// A signed structure as it travels: the exact body bytes and an Ed25519 signature over label and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The signed bytes, exactly as received.
    pub body: Bytes,
    /// The signature.
    pub signature: crate::key::Signature,
}

impl<C> Encode<C> for Signed {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(2)?;
        self.body.encode(e, ctx)?;
        self.signature.encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for Signed {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        strict::array(d, 2)?;
        Ok(Self { body: Bytes::decode(d, ctx)?, signature: crate::key::Signature::decode(d, ctx)? })
    }
}

/// Implements CBOR as a byte string of exactly `$len` bytes for a tuple newtype over an array.
macro_rules! cbor_fixed_bytes {
    ($type:ty, $len:expr) => {
        impl<C> minicbor::Encode<C> for $type {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $type {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                <[u8; $len]>::try_from(d.bytes()?)
                    .map(Self)
                    .map_err(|_| minicbor::decode::Error::message("wrong length"))
            }
        }
    };
}
pub(crate) use cbor_fixed_bytes;

/// Implements decoding as an array of exactly these fields, in order; the derived decoder lets further items pass.
macro_rules! cbor_exact_array {
    ($type:ident { $($field:ident),+ $(,)? }) => {
        impl<'b, C> minicbor::Decode<'b, C> for $type {
            fn decode(d: &mut minicbor::Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
                crate::codec::strict::array(d, [$(stringify!($field)),+].len() as u64)?;
                Ok(Self { $($field: d.decode_with(ctx)?),+ })
            }
        }
    };
}
pub(crate) use cbor_exact_array;

/// A 32-byte hash on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashBytes(pub crate::hash::Hash);
cbor_fixed_bytes!(HashBytes, 32);

impl core::fmt::Debug for HashBytes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0[..4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Encode, Decode)]
    #[cbor(map)]
    struct Pair {
        #[n(0)]
        first: u64,
        #[n(1)]
        second: Option<List<u64, 4>>,
    }

    #[test]
    fn only_the_one_form_decodes() {
        assert!(decode::<Pair>(&[0xa2, 0, 5, 1, 0x81, 7]).is_ok());
        assert!(decode::<Pair>(&[0xa2, 0, 5, 0x18, 99, 0x81, 0xf5]).is_ok(), "an unknown key");
        for (bad, why) in [
            (&[][..], "empty"),
            (&[0xa1, 0, 5, 0], "bytes after it"),
            (&[0xbf, 0, 5, 0xff], "indefinite map"),
            (&[0xa2, 0, 5, 1, 0x9f, 7, 0xff], "indefinite list"),
            (&[0xa2, 0, 5, 0, 6], "a key twice"),
            (&[0xa2, 1, 0x80, 0, 5], "keys out of order"),
            (&[0xa1, 0, 0x18, 5], "long number"),
            (&[0xa1, 0, 0x20], "negative number"),
            (&[0xa2, 0, 5, 0x20, 0], "negative key"),
            (&[0xa2, 0, 5, 2, 0xc0, 0], "tag"),
            (&[0xa2, 0, 5, 2, 0xf6], "null"),
            (&[0xa2, 0, 5, 2, 0x61, 0xff], "a text that is not UTF-8"),
            (&[0xa2, 0, 5, 0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0, 0], "a key of 64 bits"),
            (&[0xa2, 0, 5, 2, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "hostile length"),
            (&[0xa2, 0, 5, 2, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "hostile count"),
        ] {
            assert_eq!(decode::<Pair>(bad), Err(Malformed), "{why}");
        }
        let deep = [&[0xa2, 0, 5, 2][..], &[0x81; 100_000], &[0]].concat();
        assert_eq!(decode::<Pair>(&deep), Err(Malformed));
    }
}
