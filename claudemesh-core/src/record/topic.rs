//! Topics, their members, and groups.

use alloc::string::String;

use minicbor::{Decode, Encode};

use super::form::{Form, at_most, debug_sizes};
use super::{Field, MAX_GROUP_ROLE, MAX_PURPOSE, RecordError};
use crate::address::{GroupPath, Name};
use crate::envelope::coded;
use crate::id::{LogId, MemberId};

/// The name of the topic that every mesh has.
pub const GENERAL: &str = "general";
/// The group everyone is in, and the word that mentions everyone.
pub const EVERYONE: &str = "all";

/// A public topic, announced in the mesh's own log.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Topic {
    /// Its log.
    #[n(0)]
    pub log: LogId,
    /// Its name.
    #[n(1)]
    pub name: Name,
    /// What it is for.
    #[n(2)]
    pub purpose: Option<String>,
}
debug_sizes!(Topic { log; name, purpose });

fn check_topic(name: &Name, purpose: Option<&str>) -> Result<(), RecordError> {
    if name.as_str() == GENERAL {
        return Err(RecordError::Reserved(Field::Name));
    }
    at_most(Field::Purpose, purpose, MAX_PURPOSE)
}

impl Form for Topic {
    fn check(&self) -> Result<(), RecordError> {
        check_topic(&self.name, self.purpose.as_deref())
    }
}

/// Whether a member is in a group.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GroupMember {
    /// The group.
    #[n(0)]
    pub path: GroupPath,
    /// The member.
    #[n(1)]
    pub member: MemberId,
    /// Whether it is in.
    #[cbor(n(2), with = "flag")]
    pub joined: bool,
    /// What it is there.
    #[n(3)]
    pub role: Option<String>,
}
debug_sizes!(GroupMember { member, joined; path, role });

impl Form for GroupMember {
    fn check(&self) -> Result<(), RecordError> {
        if self.path.parts().next() == Some(EVERYONE) {
            return Err(RecordError::Reserved(Field::Path));
        }
        at_most(Field::Role, self.role.as_deref(), MAX_GROUP_ROLE)
    }
}

/// A choice of two as a number.
mod flag {
    use minicbor::encode::{Error as EncodeError, Write};
    use minicbor::{Decoder, Encoder};

    use crate::codec::strict::{Read, fault};

    pub(super) fn encode<C, W: Write>(
        value: &bool,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        e.u8((*value).into())?.ok()
    }

    pub(super) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Read<bool> {
        match d.u64()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => fault("neither 0 nor 1"),
        }
    }
}

coded!(
    /// Who can read a topic.
    Visibility {
        /// Every member of the mesh.
        Public = 0,
        /// Its members.
        Private = 1,
    }
);

coded!(
    /// What a member is in a topic. Later ones may do all that earlier ones may.
    TopicRole {
        /// Not in it.
        None = 0,
        /// Reads.
        Observer = 1,
        /// Reads and writes.
        Member = 2,
        /// Also says who is in it.
        Lead = 3,
    }
);

/// What a topic is, in its own log.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TopicInfo {
    /// Its name.
    #[n(0)]
    pub name: Name,
    /// Who can read it.
    #[n(1)]
    pub visibility: Visibility,
    /// What it is for.
    #[n(2)]
    pub purpose: Option<String>,
}
debug_sizes!(TopicInfo { visibility; name, purpose });

impl Form for TopicInfo {
    fn check(&self) -> Result<(), RecordError> {
        check_topic(&self.name, self.purpose.as_deref())
    }
}

/// What a member is in a topic, in the topic's log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TopicMember {
    /// The member.
    #[n(0)]
    pub member: MemberId,
    /// What it is.
    #[n(1)]
    pub role: TopicRole,
}

impl Form for TopicMember {
    fn check(&self) -> Result<(), RecordError> {
        Ok(())
    }
}

/// How long a topic keeps its posts, in the topic's log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TopicRetention {
    /// Seconds after a post's time; 0 for ever.
    #[n(0)]
    pub seconds: u64,
}

impl Form for TopicRetention {
    fn check(&self) -> Result<(), RecordError> {
        Ok(())
    }
}
