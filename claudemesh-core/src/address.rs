//! The grammar of addresses: what a person types to say who shall receive something.
//!
//! ```text
//! bob          a member, by name            @backend/api   a group
//! bob/main     one session of a member      #deploys       a topic
//! 1a2b3c4d     a member, by key prefix      *              everyone
//! ```
//!
//! Owns the text forms and the choice of a member among candidates. Knows nothing of the roster or the directory the
//! candidates come from, and never guesses: a text that fits two members is an error that lists them.

use alloc::string::{String, ToString};
use core::{fmt, str::FromStr};

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

mod name;
mod resolve;

pub use name::{MAX_NAME_BYTES, Name, NameError, SessionName};
pub use resolve::{Candidate, ResolveError, resolve, suggest};

/// The shortest hexadecimal text that may be read as a key prefix.
pub const MIN_KEY_PREFIX: usize = 8;

/// The most parts a group path has.
pub const MAX_GROUP_DEPTH: usize = 8;

/// A text is not an address. Says which part of it is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no text.
    #[error("the address is empty")]
    Empty,
    /// Text follows the `*` that means everyone.
    #[error("`*` means everyone and stands alone")]
    AfterEveryone,
    /// The member part is no name.
    #[error("not a member: {0}")]
    Member(NameError),
    /// The part after `/` is no session name.
    #[error("not a session: {0}")]
    Session(NameError),
    /// A part of the path after `@` is no name.
    #[error("not a group: {0}")]
    Group(NameError),
    /// The group path has more than [`MAX_GROUP_DEPTH`] parts.
    #[error("the group path has too many parts")]
    GroupTooDeep,
    /// The part after `#` is no name.
    #[error("not a topic: {0}")]
    Topic(NameError),
}

/// Who something is sent to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A member, or one session of it: `bob`, `bob/main`.
    Member {
        /// The member.
        member: MemberRef,
        /// The session; absent when the choice is the client's.
        session: Option<SessionName>,
    },
    /// The members of a group: `@backend/api`.
    Group(GroupPath),
    /// The followers of a topic: `#deploys`.
    Topic(Name),
    /// Every member of the mesh: `*`.
    Everyone,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if let Some(rest) = text.strip_prefix('*') {
            return if rest.is_empty() { Ok(Self::Everyone) } else { Err(AddressError::AfterEveryone) };
        }
        if let Some(path) = text.strip_prefix('@') {
            return GroupPath::new(path).map(Self::Group);
        }
        if let Some(topic) = text.strip_prefix('#') {
            return topic.parse().map(Self::Topic).map_err(AddressError::Topic);
        }
        let (member, session) = match text.split_once('/') {
            Some((member, session)) => (member, Some(session)),
            None => (text, None),
        };
        Ok(Self::Member {
            member: member.parse().map_err(AddressError::Member)?,
            session: session.map(str::parse).transpose().map_err(AddressError::Session)?,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member { member, session: None } => write!(f, "{member}"),
            Self::Member { member, session: Some(session) } => write!(f, "{member}/{session}"),
            Self::Group(path) => write!(f, "@{path}"),
            Self::Topic(topic) => write!(f, "#{topic}"),
            Self::Everyone => f.write_str("*"),
        }
    }
}

/// How an address names a member: by name, or by the first digits of its member id or of one of its devices' ids.
///
/// Text like `deadbeef` can be either, so the reading is left to [`resolve`], which knows the members.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberRef(Name);

impl MemberRef {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The text as a key prefix; `None` when it is not at least [`MIN_KEY_PREFIX`] lowercase hexadecimal digits.
    #[must_use]
    pub fn as_key_prefix(&self) -> Option<&str> {
        let text = self.as_str();
        let hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (hex && text.len() >= MIN_KEY_PREFIX).then_some(text)
    }
}

impl From<Name> for MemberRef {
    fn from(name: Name) -> Self {
        Self(name)
    }
}

impl FromStr for MemberRef {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for MemberRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The path of a group, without the `@`: names separated by `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupPath(String);

impl GroupPath {
    /// Admits a path.
    ///
    /// # Errors
    /// [`AddressError::Group`] when a part is no name, [`AddressError::GroupTooDeep`].
    pub fn new(path: &str) -> Result<Self, AddressError> {
        for (depth, part) in path.split('/').enumerate() {
            if depth == MAX_GROUP_DEPTH {
                return Err(AddressError::GroupTooDeep);
            }
            name::check(part).map_err(AddressError::Group)?;
        }
        Ok(Self(path.to_string()))
    }

    /// The path, without the `@`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names along the path.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether `other` is this group or lies below it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl<C> Encode<C> for GroupPath {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for GroupPath {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        Self::new(d.str()?).map_err(|_| DecodeError::message("not a group"))
    }
}

impl fmt::Display for GroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Address, AddressError> {
        text.parse()
    }

    #[test]
    fn every_form_round_trips() {
        for text in ["bob", "bob/main", "Ada Lovelace", "1a2b3c4d", "żółw/日本", "@a", "@backend/api", "#deploys", "*"]
        {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("*"), Ok(Address::Everyone));
        assert!(matches!(parse("bob/main").unwrap(), Address::Member { member, session: Some(session) }
            if member.as_str() == "bob" && session.as_str() == "main"));
    }

    #[test]
    fn errors_name_the_part_that_is_wrong() {
        let many = ["a"; MAX_GROUP_DEPTH + 1].join("/");
        for (text, error) in [
            ("", AddressError::Empty),
            ("**", AddressError::AfterEveryone),
            ("/main", AddressError::Member(NameError::Empty)),
            (" bob", AddressError::Member(NameError::Padded)),
            ("bob,eve", AddressError::Member(NameError::Reserved(','))),
            ("bob/", AddressError::Session(NameError::Empty)),
            ("bob/a/b", AddressError::Session(NameError::Reserved('/'))),
            ("bob/#a", AddressError::Session(NameError::ReservedStart('#'))),
            ("@", AddressError::Group(NameError::Empty)),
            ("@a//b", AddressError::Group(NameError::Empty)),
            ("@@a", AddressError::Group(NameError::ReservedStart('@'))),
            ("#", AddressError::Topic(NameError::Empty)),
            ("#a/b", AddressError::Topic(NameError::Reserved('/'))),
            (&alloc::format!("@{many}"), AddressError::GroupTooDeep),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_key_prefix_is_eight_or_more_lowercase_hex_digits() {
        let prefix = |text: &str| text.parse::<MemberRef>().unwrap().as_key_prefix().is_some();
        assert!(prefix("deadbeef"));
        assert!(prefix(&"0f".repeat(32)));
        assert!(!prefix("deadbee"));
        assert!(!prefix("DEADBEEF"));
        assert!(!prefix("deadbeeg"));
    }

    #[test]
    fn a_group_contains_itself_and_what_lies_below() {
        let path = |text: &str| GroupPath::new(text).unwrap();
        assert!(path("a").contains(&path("a")));
        assert!(path("a").contains(&path("a/b")));
        assert!(!path("a").contains(&path("ab")));
        assert!(!path("a/b").contains(&path("a")));
        assert_eq!(path("a/b").parts().count(), 2);
    }

    proptest! {
        #[test]
        fn what_parses_prints_as_it_was_written(text in "[@#*]?[a-z/ ,\u{202e}\u{e9}]{0,12}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string(), text);
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<Address>();
        }
    }
}
