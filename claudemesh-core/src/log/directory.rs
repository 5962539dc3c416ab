//! The records of the mesh's own log: member names, the mesh's label, broadcasts.

use alloc::collections::BTreeMap;
use alloc::string::String;

use minicbor::{Decode, Encode};

use super::Record;
use crate::codec::{self, Bytes, Malformed};
use crate::id::{MemberId, MessageId};

/// A record of the mesh's own log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirectoryRecord {
    /// A member's name. Valid from a device of that member.
    MemberName {
        /// The member.
        member: MemberId,
        /// Its name.
        name: String,
    },
    /// The mesh's label. Valid from an admin or owner.
    MeshLabel(String),
    /// A message to everyone.
    Broadcast {
        /// Its id.
        id: MessageId,
        /// The bytes of a message content.
        content: Bytes,
    },
}

const MEMBER_NAME: u64 = 1;
const MESH_LABEL: u64 = 2;
const BROADCAST: u64 = 3;

#[derive(Encode, Decode)]
#[cbor(map)]
struct NameForm {
    #[n(0)]
    member: MemberId,
    #[n(1)]
    name: String,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct LabelForm {
    #[n(0)]
    label: String,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct BroadcastForm {
    #[n(0)]
    content: Bytes,
    #[n(1)]
    id: MessageId,
}

impl DirectoryRecord {
    /// Whether it is a message to everyone.
    #[must_use]
    pub const fn is_broadcast(&self) -> bool {
        matches!(self, Self::Broadcast { .. })
    }

    /// The record as it is written to the log.
    #[must_use]
    pub fn encode(self) -> Record {
        let (kind, data) = match self {
            Self::MemberName { member, name } => (MEMBER_NAME, codec::encode(&NameForm { member, name })),
            Self::MeshLabel(label) => (MESH_LABEL, codec::encode(&LabelForm { label })),
            Self::Broadcast { id, content } => (BROADCAST, codec::encode(&BroadcastForm { content, id })),
        };
        Record { kind, data: Bytes(data) }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Malformed`], also for types that are yet unknown.
    pub fn decode(record: &Record) -> Result<Self, Malformed> {
        match record.kind {
            MEMBER_NAME => {
                let NameForm { member, name } = codec::decode(&record.data)?;
                Ok(Self::MemberName { member, name })
            }
            MESH_LABEL => codec::decode(&record.data).map(|LabelForm { label }| Self::MeshLabel(label)),
            BROADCAST => {
                codec::decode(&record.data).map(|BroadcastForm { content, id }| Self::Broadcast { id, content })
            }
            _ => Err(Malformed),
        }
    }
}

/// The address of a record: offset of its entry, index in the entry.
pub type RecordAt = (u64, u64);

/// Who is called what, folded from the records of the mesh's own log. Records may come in any order; the one with the
/// latest address wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    names: BTreeMap<MemberId, (RecordAt, String)>,
    label: Option<(RecordAt, String)>,
    ignored: u64,
}

impl Directory {
    /// The empty directory.
    #[must_use]
    pub const fn new() -> Self {
        Self { names: BTreeMap::new(), label: None, ignored: 0 }
    }

    /// Applies the record at `at`, written by a device of `author`, who was admin or owner when `is_admin`. Names must
    /// satisfy `is_name`. Returns the record when it is valid, also when a later one had won before; invalid ones are
    /// counted and change nothing.
    pub fn apply(
        &mut self,
        at: RecordAt,
        author: &MemberId,
        is_admin: bool,
        record: &Record,
        is_name: impl Fn(&str) -> bool,
    ) -> Option<DirectoryRecord> {
        let record = DirectoryRecord::decode(record).ok().filter(|record| match record {
            DirectoryRecord::MemberName { member, name } => member == author && is_name(name),
            DirectoryRecord::MeshLabel(label) => is_admin && is_name(label),
            DirectoryRecord::Broadcast { .. } => true,
        });
        match &record {
            Some(DirectoryRecord::MemberName { member, name }) => {
                let newer = self.names.get(member).is_none_or(|(last, _)| *last < at);
                if newer {
                    self.names.insert(*member, (at, name.clone()));
                }
            }
            Some(DirectoryRecord::MeshLabel(label)) => {
                if self.label.as_ref().is_none_or(|(last, _)| *last < at) {
                    self.label = Some((at, label.clone()));
                }
            }
            Some(DirectoryRecord::Broadcast { .. }) => {}
            None => self.ignored += 1,
        }
        record
    }

    /// The name of a member.
    #[must_use]
    pub fn name_of(&self, member: &MemberId) -> Option<&str> {
        self.names.get(member).map(|(_, name)| name.as_str())
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = (&MemberId, &str)> {
        self.names.iter().map(|(member, (_, name))| (member, name.as_str()))
    }

    /// The mesh's label.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.label.as_ref().map(|(_, label)| label.as_str())
    }

    /// How many records were ignored as invalid or unknown.
    #[must_use]
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: MemberId = MemberId::from_bytes([1; 32]);
    const BOB: MemberId = MemberId::from_bytes([2; 32]);

    fn name(member: MemberId, name: &str) -> Record {
        DirectoryRecord::MemberName { member, name: name.into() }.encode()
    }

    fn is_name(text: &str) -> bool {
        !text.is_empty() && !text.starts_with('@')
    }

    #[test]
    fn later_addresses_win_in_any_order() {
        let mut directory = Directory::new();
        directory.apply((5, 1), &ANN, false, &name(ANN, "new"), is_name);
        directory.apply((5, 0), &ANN, false, &name(ANN, "old"), is_name);
        directory.apply((4, 9), &ANN, false, &name(ANN, "older"), is_name);
        assert_eq!(directory.name_of(&ANN), Some("new"));
        directory.apply((6, 0), &ANN, false, &name(ANN, "newest"), is_name);
        assert_eq!(directory.names().collect::<std::vec::Vec<_>>(), [(&ANN, "newest")]);
    }

    #[test]
    fn what_is_not_the_authors_to_say_is_ignored_and_counted() {
        let mut directory = Directory::new();
        let label = DirectoryRecord::MeshLabel("team".into()).encode();
        let broken = Record { kind: MEMBER_NAME, data: Bytes(std::vec![0xa0]) };
        let unknown = Record { kind: 9, data: Bytes::default() };
        for record in [&name(BOB, "ann"), &name(ANN, "@ann"), &label, &broken, &unknown] {
            assert_eq!(directory.apply((1, 0), &ANN, false, record, is_name), None);
        }
        assert_eq!((directory.name_of(&ANN), directory.label(), directory.ignored()), (None, None, 5));
        assert!(directory.apply((2, 0), &ANN, true, &label, is_name).is_some());
        assert_eq!(directory.label(), Some("team"));
    }

    #[test]
    fn broadcasts_come_out_as_they_went_in() {
        let record =
            DirectoryRecord::Broadcast { id: MessageId::from_bytes([3; 16]), content: Bytes(std::vec![7; 40]) };
        assert_eq!(Directory::new().apply((1, 0), &BOB, false, &record.clone().encode(), is_name), Some(record));
    }
}
