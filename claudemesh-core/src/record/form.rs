//! What all records share: reading with a check, bounds, lists that are left out when empty, `Debug` without texts.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use minicbor::{Decode, Encode};

use super::{Field, RecordError};
use crate::codec::{self, Bytes};

/// A record's content.
pub(super) trait Form: Encode<()> + for<'b> Decode<'b, ()> {
    /// Checks the bounds of every field.
    fn check(&self) -> Result<(), RecordError>;

    /// Room for the encoding, so that long texts are copied once.
    fn room(&self) -> usize {
        128
    }
}

pub(super) fn decode<T: Form>(data: &[u8]) -> Result<T, RecordError> {
    let record: T = codec::decode(data).map_err(|_| RecordError::Malformed)?;
    record.check()?;
    Ok(record)
}

pub(super) fn at_most(field: Field, text: Option<&str>, limit: usize) -> Result<(), RecordError> {
    match text {
        Some(text) if text.len() > limit => Err(RecordError::TooLong { field, limit }),
        _ => Ok(()),
    }
}

pub(super) fn some_text(field: Field, text: &str, limit: usize) -> Result<(), RecordError> {
    if text.is_empty() { Err(RecordError::Empty(field)) } else { at_most(field, Some(text), limit) }
}

pub(super) const fn few<T>(field: Field, items: &[T], limit: usize) -> Result<(), RecordError> {
    if items.len() <= limit { Ok(()) } else { Err(RecordError::TooMany { field, limit }) }
}

/// A list that is left out when it is empty.
pub(super) mod list {
    use minicbor::encode::{Error as EncodeError, Write};
    use minicbor::{Decoder, Encoder};

    use super::{Decode, Encode, Vec};
    use crate::codec::strict::{self, Read};

    pub(in crate::record) fn encode<C, T: Encode<C>, W: Write>(
        items: &[T],
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        e.array(items.len() as u64)?;
        items.iter().try_for_each(|item| item.encode(e, ctx))
    }

    pub(in crate::record) fn decode<'b, C, T: Decode<'b, C>>(d: &mut Decoder<'b>, ctx: &mut C) -> Read<Vec<T>> {
        strict::list(d, (1, usize::MAX), |d| T::decode(d, ctx))
    }

    pub(in crate::record) fn is_nil<T>(items: &[T]) -> bool {
        items.is_empty()
    }

    #[allow(clippy::unnecessary_wraps, reason = "the derive asks for an option")]
    pub(in crate::record) fn nil<T>() -> Option<Vec<T>> {
        Some(Vec::new())
    }
}

/// Prints the size of a text.
pub(super) struct Bulk<'a, T>(pub(super) &'a T);

impl fmt::Debug for Bulk<'_, String> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Debug for Bulk<'_, Bytes> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Debug for Bulk<'_, Option<String>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map(Bulk).fmt(f)
    }
}

impl fmt::Debug for Bulk<'_, Vec<String>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} items", self.0.len())
    }
}

impl fmt::Debug for Bulk<'_, crate::address::Name> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.as_str().len())
    }
}

impl fmt::Debug for Bulk<'_, crate::address::GroupPath> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.as_str().len())
    }
}

/// `Debug` that prints some fields as they are and of the others the size.
macro_rules! debug_sizes {
    ($type:ident { $($shown:ident),* ; $($sized:ident),* }) => {
        impl core::fmt::Debug for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($type))
                    $(.field(stringify!($shown), &self.$shown))*
                    $(.field(stringify!($sized), &crate::record::form::Bulk(&self.$sized)))*
                    .finish()
            }
        }
    };
}
pub(super) use debug_sizes;
