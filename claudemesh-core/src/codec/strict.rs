//! Reading maps and arrays by hand: exact and bounded counts, nothing missing.
//!
//! The form of the bytes (definite lengths, ascending keys) is checked by [`super::decode`], which every reader here runs
//! under.

use alloc::vec::Vec;

use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decoder, Encode, Encoder};

use super::{HashBytes, definite};
use crate::hash::Hash;

pub(crate) type Read<T> = Result<T, DecodeError>;

pub(crate) fn fault<T>(what: &'static str) -> Read<T> {
    Err(DecodeError::message(what))
}

/// Reads a map, handing each key to `known`, which reads the value and says whether the key is one of its own.
pub(crate) fn map<'b>(d: &mut Decoder<'b>, mut known: impl FnMut(u64, &mut Decoder<'b>) -> Read<bool>) -> Read<()> {
    for _ in 0..definite(d.map()?)? {
        let key = d.u64()?;
        if !known(key, d)? {
            d.skip()?;
        }
    }
    Ok(())
}

/// A required key.
pub(crate) fn need<T>(field: Option<T>) -> Read<T> {
    field.ok_or_else(|| DecodeError::message("missing key"))
}

/// The head of an array of exactly `len` items.
pub(crate) fn array(d: &mut Decoder<'_>, len: u64) -> Read<()> {
    if definite(d.array()?)? == len { Ok(()) } else { fault("wrong number of items") }
}

/// An array of `min` to `max` items, each read by `item`.
pub(crate) fn list<'b, T>(
    d: &mut Decoder<'b>,
    (min, max): (usize, usize),
    mut item: impl FnMut(&mut Decoder<'b>) -> Read<T>,
) -> Read<Vec<T>> {
    let len = definite(d.array()?)?;
    if len < min as u64 || len > max as u64 {
        return fault("list length");
    }
    // Growth is by pushing: the count is only a claim until the items have been read, each of at least one byte.
    let mut items = Vec::new();
    for _ in 0..len {
        items.push(item(d)?);
    }
    Ok(items)
}

pub(crate) fn hash(d: &mut Decoder<'_>) -> Read<Hash> {
    Ok(d.decode::<HashBytes>()?.0)
}

pub(crate) fn hashes(d: &mut Decoder<'_>, max: usize) -> Read<Vec<Hash>> {
    list(d, (0, max), hash)
}

/// A count that starts at 1.
pub(crate) fn from_one(d: &mut Decoder<'_>) -> Read<u64> {
    match d.u64()? {
        0 => fault("counts from 1"),
        count => Ok(count),
    }
}

pub(crate) fn write_hashes<W: Write>(e: &mut Encoder<W>, hashes: &[Hash]) -> Result<(), EncodeError<W::Error>> {
    e.array(hashes.len() as u64)?;
    for hash in hashes {
        e.bytes(hash)?;
    }
    Ok(())
}

/// Encodes `value` into a buffer that starts at `capacity`, so that large bodies are copied once.
pub(crate) fn encode_sized<T: Encode<()>>(value: &T, capacity: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(capacity);
    minicbor::encode(value, &mut out).unwrap_or_else(|_| unreachable!("encoding into memory cannot fail"));
    out
}

#[cfg(test)]
mod tests {
    use minicbor::Decode;

    use super::*;
    use crate::codec::{Malformed, decode};

    #[derive(Debug, PartialEq)]
    struct One(u64);

    impl<'b, C> Decode<'b, C> for One {
        fn decode(d: &mut Decoder<'b>, _: &mut C) -> Read<Self> {
            let mut value = None;
            map(d, |key, d| {
                match key {
                    0 => value = Some(d.u64()?),
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
            need(value).map(Self)
        }
    }

    #[test]
    fn unknown_keys_are_skipped_whole() {
        // {0: 7, 5: [{1: "a"}, 2], 300: h''}
        let bytes = [0xa3, 0, 7, 5, 0x82, 0xa1, 1, 0x61, b'a', 2, 0x19, 0x01, 0x2c, 0x40];
        assert_eq!(decode(&bytes), Ok(One(7)));
        assert_eq!(decode::<One>(&bytes[..bytes.len() - 1]), Err(Malformed));
    }

    #[test]
    fn ambiguous_maps_are_refused() {
        for bad in [
            &[0xa2, 0, 7, 0, 7][..],      // key twice
            &[0xa0],                      // key missing
            &[0xbf, 0, 7, 0xff],          // indefinite map
            &[0xa2, 0, 7, 1, 0x9f, 0xff], // indefinite array in an unknown key
            &[0xa2, 0, 7, 0x61, b'a', 0], // text key
            &[0xa1, 0, 0x20],             // negative value
        ] {
            assert_eq!(decode::<One>(bad), Err(Malformed), "{bad:02x?}");
        }
    }

    #[test]
    fn counts_are_exact_and_bounded() {
        let read = |bytes: &[u8]| list(&mut Decoder::new(bytes), (1, 2), from_one).ok();
        assert_eq!(read(&[0x81, 5]), Some(alloc::vec![5]));
        for bad in [&[0x80][..], &[0x83, 1, 1, 1], &[0x81, 0], &[0x82, 1]] {
            assert_eq!(read(bad), None, "{bad:02x?}");
        }
        assert!(array(&mut Decoder::new(&[0x82, 1, 1]), 2).is_ok());
        assert!(array(&mut Decoder::new(&[0x83, 1, 1, 1]), 2).is_err());
    }
}
