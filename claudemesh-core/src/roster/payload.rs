//! What the kinds of roster entries say.

use alloc::string::String;
use alloc::vec::Vec;

use minicbor::{Decode, Encode};
use rand_core::CryptoRng;

use super::rules::RosterError;
use crate::codec::{self, Bytes, List};
use crate::hash::Label;
use crate::id::{DeviceId, InviteId, MemberId, MeshId};
use crate::key::{PublicKey, Signature};
use crate::time::Seconds;

/// The most brokers a mesh names, and the most addresses of one broker.
pub const MAX_BROKERS: usize = 8;

/// What a member may do in the mesh. Ordered by rank. The number 3 is reserved and invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Takes part.
    #[n(0)]
    Member,
    /// Also invites, and removes members and admins.
    #[n(1)]
    Admin,
    /// Also sets roles and brokers, and closes the mesh.
    #[n(2)]
    Owner,
}

/// What a member is, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// A person.
    #[n(0)]
    Human,
    /// An autonomous agent.
    #[n(1)]
    Agent,
    /// A program that serves others.
    #[n(2)]
    Service,
}

/// Who a member is from the start: its member id is the hash of these bytes, for life.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct JoinStatement {
    /// Key of the member's first device.
    #[n(0)]
    pub key: PublicKey,
    /// Random, so that a statement is never made twice.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub random: [u8; 16],
    /// What the member is.
    #[n(2)]
    pub kind: Kind,
    /// The mesh joined; absent in genesis only.
    #[n(3)]
    pub mesh: Option<MeshId>,
}

impl JoinStatement {
    /// A fresh statement for the device with `key`; `mesh` is absent in genesis only.
    #[must_use]
    pub fn new(key: PublicKey, kind: Kind, mesh: Option<MeshId>, rng: &mut impl CryptoRng) -> Self {
        let mut random = [0; 16];
        rng.fill_bytes(&mut random);
        Self { key, random, kind, mesh }
    }

    /// Reads a statement.
    ///
    /// # Errors
    /// [`RosterError::Malformed`], also for a weak key.
    pub fn parse(bytes: &[u8]) -> Result<Self, RosterError> {
        Ok(codec::decode(bytes)?)
    }

    /// The id of the member that made the statement with these bytes.
    #[must_use]
    pub fn member_id(bytes: &[u8]) -> MemberId {
        MemberId::from_bytes(Label::new("member-id").hash(&[bytes]))
    }
}

/// Kind 0: a mesh begins.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Genesis {
    /// Protocol version, 1.
    #[n(0)]
    pub version: u64,
    /// The owner's join statement, without a mesh id.
    #[n(1)]
    pub statement: Bytes,
    /// Key whose only power is an owner reset.
    #[n(2)]
    pub recovery: PublicKey,
}

/// Kind 1: holders of the invite key may join or, when bound to a member, one of them may become its device.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct InviteCreated {
    /// The invite's public key.
    #[n(0)]
    pub key: PublicKey,
    /// Role of those who join; only `Member` is valid.
    #[n(1)]
    pub role: Role,
    /// How often it can be used, 1 to 1000.
    #[n(2)]
    pub uses: u64,
    /// After this time brokers take no entry by it. Not part of validity.
    #[n(3)]
    pub expires: Seconds,
    /// The welcome bundle, sealed under the link's secret.
    #[n(4)]
    pub sealed_welcome: Bytes,
    /// The member that links a device by it.
    #[n(5)]
    pub member: Option<MemberId>,
}

/// Kind 2: an invite ends.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct InviteClosed {
    /// The invite.
    #[n(0)]
    pub invite: InviteId,
}

/// Kind 3: a member joins, proved by the invite's key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct MemberJoined {
    /// The member's join statement.
    #[n(0)]
    pub statement: Bytes,
    /// The invite.
    #[n(1)]
    pub invite: InviteId,
    /// The invite key's signature over mesh id and statement.
    #[n(2)]
    pub signature: Signature,
}

/// Kind 4: a member gets a further device, proved by the key of an invite bound to it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeviceAdded {
    /// The device's key.
    #[n(0)]
    pub key: PublicKey,
    /// The member.
    #[n(1)]
    pub member: MemberId,
    /// The invite.
    #[n(2)]
    pub invite: InviteId,
    /// The invite key's signature over mesh id, member id and device key.
    #[n(3)]
    pub signature: Signature,
}

/// Kind 5: a device ends.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeviceRemoved {
    /// The device.
    #[n(0)]
    pub device: DeviceId,
}

/// Kind 6: a member gets another role.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RoleChanged {
    /// The member.
    #[n(0)]
    pub member: MemberId,
    /// Its role from now on.
    #[n(1)]
    pub role: Role,
}

/// Kind 7: a member leaves or is removed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct MemberRemoved {
    /// The member.
    #[n(0)]
    pub member: MemberId,
}

/// One broker of a mesh.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Broker {
    /// The broker's key.
    #[n(0)]
    pub key: PublicKey,
    /// Its `ws://` or `wss://` addresses, 1 to 8 of at most 256 bytes each.
    #[n(1)]
    pub addresses: List<String, MAX_BROKERS>,
}

/// Kind 8: the whole list of brokers, in place of the one before.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BrokersSet {
    /// The brokers, 1 to 8.
    #[n(0)]
    pub brokers: List<Broker, MAX_BROKERS>,
}

/// Kind 9: the recovery key names a new owner.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OwnerReset {
    /// The new owner's join statement.
    #[n(0)]
    pub statement: Bytes,
    /// The recovery key from now on.
    #[n(1)]
    pub recovery: PublicKey,
    /// The signature of the recovery key in force over mesh id, new recovery key and statement.
    #[n(2)]
    pub signature: Signature,
}

/// Kind 10: the mesh ends.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct MeshClosed {}

/// The payload of a roster entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// Kind 0.
    Genesis(Genesis),
    /// Kind 1.
    InviteCreated(InviteCreated),
    /// Kind 2.
    InviteClosed(InviteClosed),
    /// Kind 3.
    MemberJoined(MemberJoined),
    /// Kind 4.
    DeviceAdded(DeviceAdded),
    /// Kind 5.
    DeviceRemoved(DeviceRemoved),
    /// Kind 6.
    RoleChanged(RoleChanged),
    /// Kind 7.
    MemberRemoved(MemberRemoved),
    /// Kind 8.
    BrokersSet(BrokersSet),
    /// Kind 9.
    OwnerReset(OwnerReset),
    /// Kind 10.
    MeshClosed(MeshClosed),
}

/// The table of kinds: number and variant stand here once.
macro_rules! kinds {
    ($($number:literal => $variant:ident,)*) => {
        impl Payload {
            /// The number of its kind.
            #[must_use]
            pub const fn kind(&self) -> u64 {
                match self {
                    $(Self::$variant(_) => $number,)*
                }
            }

            /// The payload's bytes.
            #[must_use]
            pub fn encode(&self) -> Vec<u8> {
                match self {
                    $(Self::$variant(payload) => codec::encode(payload),)*
                }
            }

            /// Reads the payload of an entry of `kind`.
            ///
            /// # Errors
            /// [`RosterError::UnknownKind`] and [`RosterError::Malformed`].
            pub fn decode(kind: u64, bytes: &[u8]) -> Result<Self, RosterError> {
                match kind {
                    $($number => Ok(Self::$variant(codec::decode(bytes)?)),)*
                    _ => Err(RosterError::UnknownKind),
                }
            }
        }
    };
}

kinds! {
    0 => Genesis,
    1 => InviteCreated,
    2 => InviteClosed,
    3 => MemberJoined,
    4 => DeviceAdded,
    5 => DeviceRemoved,
    6 => RoleChanged,
    7 => MemberRemoved,
    8 => BrokersSet,
    9 => OwnerReset,
    10 => MeshClosed,
}

impl Payload {
    /// The bytes of the join statement, in the kinds that bring one.
    #[must_use]
    pub fn statement(&self) -> Option<&[u8]> {
        match self {
            Self::Genesis(payload) => Some(&payload.statement),
            Self::MemberJoined(payload) => Some(&payload.statement),
            Self::OwnerReset(payload) => Some(&payload.statement),
            _ => None,
        }
    }
}
