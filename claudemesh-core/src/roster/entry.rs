//! One entry of the roster: exact bytes, parsed body and hash.

use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use super::payload::{JoinStatement, Payload};
use super::rules::RosterError;
use crate::codec::{self, Bytes, HashBytes, Signed};
use crate::hash::{Hash, Label};
use crate::id::{DeviceId, MemberId, MeshId};
use crate::key::{PublicKey, SigningKey};

/// The most bytes an entry may have.
pub const MAX_ENTRY_LEN: usize = 32 * 1024;

const SIGNATURE: Label = Label::new("roster-sig");

/// The signed part of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EntryBody {
    /// The mesh; absent in genesis only.
    #[n(0)]
    pub mesh: Option<MeshId>,
    /// Position in the chain; genesis is 0.
    #[n(1)]
    pub index: u64,
    /// Hash of the entry before; zeros in genesis.
    #[n(2)]
    pub previous: HashBytes,
    /// The device that signs.
    #[n(3)]
    pub author: DeviceId,
    /// Number of the payload's kind.
    #[n(4)]
    pub kind: u64,
    /// The payload, CBOR of the kind.
    #[n(5)]
    pub payload: Bytes,
}

impl EntryBody {
    /// The bytes of the entry with this body, signed by `key`. Says nothing about validity.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let body = codec::encode(self);
        let signature = key.sign(SIGNATURE, &body);
        codec::encode(&Signed { body: body.into(), signature })
    }
}

/// A join statement with the member id that its bytes give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) member: MemberId,
    pub(super) content: JoinStatement,
}

/// A well-formed roster entry. Whether it is valid is for [`Roster::check`](super::Roster::check) to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    bytes: Bytes,
    signed: Signed,
    body: EntryBody,
    payload: Payload,
    pub(super) statement: Option<Statement>,
    hash: Hash,
}

impl Entry {
    /// Reads an entry and keeps its exact bytes.
    ///
    /// # Errors
    /// [`RosterError::TooLarge`], [`RosterError::Malformed`] and [`RosterError::UnknownKind`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RosterError> {
        if bytes.len() > MAX_ENTRY_LEN {
            return Err(RosterError::TooLarge);
        }
        let signed: Signed = codec::decode(bytes)?;
        let body: EntryBody = codec::decode(&signed.body)?;
        let payload = Payload::decode(body.kind, &body.payload)?;
        let statement = match payload.statement() {
            Some(statement) => Some(Statement {
                member: JoinStatement::member_id(statement),
                content: JoinStatement::parse(statement)?,
            }),
            None => None,
        };
        let hash = Label::new("roster-entry").hash(&[&signed.body]);
        Ok(Self { bytes: bytes.into(), signed, body, payload, statement, hash })
    }

    /// The bytes as received.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes as received.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.0
    }

    /// The signed part.
    #[must_use]
    pub fn body(&self) -> &EntryBody {
        &self.body
    }

    /// What the entry says.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Position in the chain.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.body.index
    }

    /// The device that signed.
    #[must_use]
    pub fn author(&self) -> &DeviceId {
        &self.body.author
    }

    /// The entry's hash.
    #[must_use]
    pub fn hash(&self) -> &Hash {
        &self.hash
    }

    /// The member that begins with this entry, in the kinds that bring a join statement.
    #[must_use]
    pub fn new_member(&self) -> Option<MemberId> {
        self.statement.as_ref().map(|statement| statement.member)
    }

    /// The join statement, in the kinds that bring one.
    #[must_use]
    pub fn statement(&self) -> Option<&JoinStatement> {
        self.statement.as_ref().map(|statement| &statement.content)
    }

    /// The mesh id that this entry gives if it is a genesis.
    pub(super) fn genesis_mesh(&self) -> MeshId {
        MeshId::from_bytes(Label::new("mesh-id").hash(&[&self.signed.body]))
    }

    pub(super) fn verify(&self, key: &PublicKey) -> Result<(), RosterError> {
        key.verify(SIGNATURE, &self.signed.body, &self.signed.signature).map_err(|_| RosterError::BadSignature)
    }
}
