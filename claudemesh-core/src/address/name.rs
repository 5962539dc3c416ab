//! Names: text that is shown to people and typed by them.

use alloc::string::{String, ToString};
use core::{fmt, str::FromStr};

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

/// The most bytes a name has.
pub const MAX_NAME_BYTES: usize = 64;

/// A text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is no text.
    #[error("the name is empty")]
    Empty,
    /// More than [`MAX_NAME_BYTES`] bytes.
    #[error("the name is longer than 64 bytes")]
    TooLong,
    /// White space at the start or the end.
    #[error("the name starts or ends with a space")]
    Padded,
    /// It starts with a character that starts another kind of address.
    #[error("a name cannot start with `{0}`")]
    ReservedStart(char),
    /// It holds a character that separates the parts of an address.
    #[error("a name cannot contain `{0}`")]
    Reserved(char),
    /// It holds a control, separator, formatting or bidirectional-control character.
    #[error("a name cannot contain the character U+{:04X}", *.0 as u32)]
    Unprintable(char),
}

/// Characters nobody can see, or that change how the text around them is shown: with them two different names look the
/// same. The plain space is the only white space a name may hold.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

pub(super) fn check(text: &str) -> Result<(), NameError> {
    let Some(first) = text.chars().next() else { return Err(NameError::Empty) };
    if text.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong);
    }
    if text.starts_with(' ') || text.ends_with(' ') {
        return Err(NameError::Padded);
    }
    if matches!(first, '@' | '#' | '*') {
        return Err(NameError::ReservedStart(first));
    }
    for c in text.chars() {
        if matches!(c, '/' | ',') {
            return Err(NameError::Reserved(c));
        }
        if is_unprintable(c) {
            return Err(NameError::Unprintable(c));
        }
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text).map(|()| Self(text.to_string()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                check(&text).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
                e.str(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
                d.str()?.parse().map_err(|_| DecodeError::message("not a name"))
            }
        }
    };
}

name!(
    /// The name of a member, topic or mesh: 1–64 bytes, printable, without the characters addresses are built from.
    ///
    /// A name is a label, never an identity: two members can have the same. Names are compared byte by byte; putting text
    /// into its composed normal form (NFC) before making a name of it is the caller's business.
    Name
);
name!(
    /// The name or id of a session, under the same rules as [`Name`].
    SessionName
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode, encode};

    #[test]
    fn names_hold_printable_text() {
        for good in ["a", "Ada Lovelace", "żółw", "日本", "x@y", "a#b*c", "o'neil-2_3.4", "🦀"] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        assert!("é".repeat(32).parse::<Name>().is_ok());
    }

    #[test]
    fn names_refuse_what_deceives_or_confuses() {
        for (bad, error) in [
            ("", NameError::Empty),
            (&*"x".repeat(65), NameError::TooLong),
            (&*"é".repeat(33), NameError::TooLong),
            (" a", NameError::Padded),
            ("a ", NameError::Padded),
            (" ", NameError::Padded),
            ("@a", NameError::ReservedStart('@')),
            ("#a", NameError::ReservedStart('#')),
            ("*", NameError::ReservedStart('*')),
            ("a/b", NameError::Reserved('/')),
            ("a,b", NameError::Reserved(',')),
        ] {
            assert_eq!(bad.parse::<Name>(), Err(error), "{bad:?}");
        }
        for c in "\0\n\t\u{1b}\u{7f}\u{85}\u{a0}\u{ad}\u{61c}\u{1680}\u{180e}\u{2003}\u{200b}\u{200d}\u{200e}\u{2028}\u{2029}\
                  \u{202a}\u{202e}\u{202f}\u{2060}\u{2066}\u{2069}\u{206f}\u{3000}\u{feff}\u{fff9}\u{e0020}"
            .chars()
        {
            for text in [alloc::format!("a{c}b"), alloc::format!("{c}b"), alloc::format!("a{c}")] {
                assert_eq!(text.parse::<Name>(), Err(NameError::Unprintable(c)), "{text:?}");
            }
        }
    }

    #[test]
    fn decoding_refuses_what_parsing_refuses() {
        let name: Name = "bob".parse().unwrap();
        assert_eq!(encode(&name), b"\x63bob");
        assert_eq!(decode::<Name>(b"\x63bob").unwrap(), name);
        assert!(decode::<Name>(b"\x63b/b").is_err());
        assert!(decode::<Name>(b"\x43bob").is_err());
    }
}
