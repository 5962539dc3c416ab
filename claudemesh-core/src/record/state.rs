//! State: values under keys.

use alloc::string::{String, ToString};
use core::{fmt, str::FromStr};

use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};

use super::form::{Form, debug_sizes, some_text};
use super::{Field, MAX_KEY, MAX_VALUE, RecordError, json};
use crate::codec::Bytes;
use crate::log::directory::RecordAt;
use crate::time::Millis;

/// The key of a state: 1–256 bytes without control characters, no white space at either end. Compared byte by byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey(String);

fn check_key(text: &str) -> Result<(), RecordError> {
    let field = Field::Key;
    some_text(field, text, MAX_KEY)?;
    if let Some(character) = text.chars().find(|character| character.is_control()) {
        return Err(RecordError::Control { field, character });
    }
    if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        return Err(RecordError::Padded(field));
    }
    Ok(())
}

impl StateKey {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StateKey {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        check_key(text).map(|()| Self(text.to_string()))
    }
}

impl TryFrom<String> for StateKey {
    type Error = RecordError;

    fn try_from(text: String) -> Result<Self, RecordError> {
        check_key(&text).map(|()| Self(text))
    }
}

impl From<StateKey> for String {
    fn from(key: StateKey) -> Self {
        key.0
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateKey({} bytes)", self.0.len())
    }
}

impl<C> Encode<C> for StateKey {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for StateKey {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        d.str()?.parse().map_err(|_| DecodeError::message("not a key"))
    }
}

/// A value under a key.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct StateSet {
    /// The key.
    #[n(0)]
    pub key: StateKey,
    /// The value: a JSON text of at most [`MAX_VALUE`].
    #[n(1)]
    pub value: Bytes,
    /// The version the key must have; (0, 0) when it must have none.
    #[n(2)]
    pub expected: Option<RecordAt>,
    /// From when on the value is as if it were not there.
    #[n(3)]
    pub expires: Option<Millis>,
}
debug_sizes!(StateSet { key, expected, expires; value });

impl Form for StateSet {
    fn check(&self) -> Result<(), RecordError> {
        if self.value.len() > MAX_VALUE {
            return Err(RecordError::TooLong { field: Field::Value, limit: MAX_VALUE });
        }
        if json::is_json(&self.value) { Ok(()) } else { Err(RecordError::NotJson) }
    }

    fn room(&self) -> usize {
        64 + self.key.0.len() + self.value.len()
    }
}

/// A key that is to have no value.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct StateDeleted {
    /// The key.
    #[n(0)]
    pub key: StateKey,
    /// The version the key must have.
    #[n(1)]
    pub expected: Option<RecordAt>,
}

impl Form for StateDeleted {
    fn check(&self) -> Result<(), RecordError> {
        Ok(())
    }
}
