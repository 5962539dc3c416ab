//! The roster: the signed, hash-chained record of who belongs to a mesh.
//!
//! Owns the one validity rule ([`Roster::check`]) that brokers and clients share, and the fold of a chain into members,
//! devices, invites and brokers. It knows no time: an invite's expiry is enforced by the broker and made final by a
//! closing entry.
//!
//! # Example
//!
//! ```
//! use claudemesh_core::roster::{self, Kind, NewInvite, Role, Roster};
//! use claudemesh_core::testing::SeededRng;
//! use claudemesh_core::{Seconds, SigningKey};
//!
//! let mut rng = SeededRng::new(1);
//! let [alice, recovery, invite, bob] = core::array::from_fn(|_| SigningKey::generate(&mut rng));
//! let (genesis, mesh, _) = roster::create_genesis(&alice, &recovery.public(), Kind::Human, &mut rng)?;
//! let mut roster = Roster::genesis(&genesis)?;
//! assert_eq!(roster.mesh(), mesh);
//!
//! let entry = roster.create_invite(&alice, NewInvite::to_join(invite.public(), 1, Seconds(1_800_000_000), vec![]))?;
//! roster.apply(&entry)?;
//! let (entry, member) = roster.join(&bob, &invite, Kind::Agent, &mut rng)?;
//! roster.apply(&entry)?;
//! assert_eq!(roster.member(&member).map(|bob| bob.role), Some(Role::Member));
//! # Ok::<(), claudemesh_core::roster::RosterError>(())
//! ```

mod author;
mod entry;
mod fold;
mod fork;
mod membership;
mod payload;
mod rules;
mod state;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

pub use crate::head::Connection;
pub use author::{NewInvite, create_genesis};
pub use entry::{Entry, EntryBody, MAX_ENTRY_LEN};
pub use fold::Applied;
pub use payload::{
    Broker, BrokersSet, DeviceAdded, DeviceRemoved, Genesis, InviteClosed, InviteCreated, JoinStatement, Kind,
    MAX_BROKERS, MemberJoined, MemberRemoved, MeshClosed, OwnerReset, Payload, Role, RoleChanged,
};
pub use rules::RosterError;
pub use state::{Device, Invite, Member};

use crate::codec::HashBytes;
use crate::hash::Hash;
use crate::head::RosterHead;
use crate::id::{DeviceId, InviteId, MemberId, MeshId};
use crate::key::PublicKey;

/// The most live devices of one member.
pub const MAX_LIVE_DEVICES: usize = 16;
/// The most bytes of an invite's sealed welcome.
pub const MAX_SEALED_WELCOME: usize = 8 * 1024;
/// The most uses of one invite.
pub const MAX_USES: u64 = 1000;

/// A mesh's roster: what a valid chain of entries says. Two replicas that folded the same entries are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    mesh: MeshId,
    /// Hashes of all entries, to tell a fork from a known or a further head. Never empty.
    hashes: Vec<Hash>,
    members: BTreeMap<MemberId, Member>,
    devices: BTreeMap<DeviceId, Device>,
    invites: BTreeMap<InviteId, Invite>,
    brokers: Vec<Broker>,
    recovery: PublicKey,
    owners: usize,
    closed: bool,
    last_removal: Option<u64>,
}

impl Roster {
    /// The roster that begins with this entry.
    ///
    /// # Errors
    /// [`RosterError`] when the bytes are no valid genesis.
    pub fn genesis(bytes: &[u8]) -> Result<Self, RosterError> {
        fold::begin(&rules::check_genesis(bytes)?)
    }

    /// The roster of a whole chain, genesis first.
    ///
    /// # Errors
    /// [`RosterError`] of the first entry that is not valid; [`RosterError::Empty`] when there is none.
    pub fn from_entries<T: AsRef<[u8]>>(entries: impl IntoIterator<Item = T>) -> Result<Self, RosterError> {
        let mut entries = entries.into_iter();
        let mut roster = Self::genesis(entries.next().ok_or(RosterError::Empty)?.as_ref())?;
        for entry in entries {
            roster.apply(entry.as_ref())?;
        }
        Ok(roster)
    }

    /// Whether `bytes` are a valid next entry: a pure function of the chain so far, the same for brokers and clients.
    ///
    /// # Errors
    /// [`RosterError`] when they are not.
    pub fn check(&self, bytes: &[u8]) -> Result<Entry, RosterError> {
        rules::check(self, bytes)
    }

    /// Checks `bytes` as the next entry and takes it up. On an error the roster is unchanged.
    ///
    /// # Errors
    /// As [`Roster::check`].
    pub fn apply(&mut self, bytes: &[u8]) -> Result<Applied, RosterError> {
        let entry = self.check(bytes)?;
        Ok(self.fold(entry))
    }

    /// The mesh's id.
    #[must_use]
    pub fn mesh(&self) -> MeshId {
        self.mesh
    }

    /// Index and hash of the last entry.
    #[must_use]
    pub fn head(&self) -> RosterHead {
        RosterHead {
            index: self.hashes.len() as u64 - 1,
            hash: HashBytes(*self.hashes.last().expect("a roster begins with its genesis")),
        }
    }

    /// Hash of the entry at `index`.
    #[must_use]
    pub fn hash_at(&self, index: u64) -> Option<Hash> {
        self.hashes.get(usize::try_from(index).ok()?).copied()
    }

    /// How another's head lies to this chain.
    #[must_use]
    pub fn connects(&self, head: &RosterHead) -> Connection {
        match self.hash_at(head.index) {
            None => Connection::Ahead,
            Some(hash) if hash == head.hash.0 => Connection::Known,
            Some(_) => Connection::Fork,
        }
    }

    /// The member with this id, living or removed.
    #[must_use]
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        self.members.get(id)
    }

    /// All members, living and removed.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// The device with this id, living or removed.
    #[must_use]
    pub fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.get(id)
    }

    /// All devices, living and removed.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }

    /// The devices that are part of the mesh.
    pub fn live_devices(&self) -> impl Iterator<Item = &Device> {
        self.devices().filter(|device| device.is_live())
    }

    /// All devices a member ever had, in the order they came; none when the member is unknown.
    pub fn devices_of(&self, member: &MemberId) -> impl Iterator<Item = &Device> {
        self.member(member).into_iter().flat_map(|member| &member.devices).filter_map(|id| self.device(id))
    }

    fn live_devices_of<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a Device> {
        member.devices.iter().filter_map(|id| self.device(id)).filter(|device| device.is_live())
    }

    /// Whether the device is part of the mesh now.
    #[must_use]
    pub fn is_live_device(&self, id: &DeviceId) -> bool {
        self.device(id).is_some_and(Device::is_live)
    }

    /// Whether the device was part of the mesh once the entry at `index` had been applied.
    #[must_use]
    pub fn was_live_at(&self, id: &DeviceId, index: u64) -> bool {
        self.device(id).is_some_and(|device| device.was_live_at(index))
    }

    /// The invite with this id, open or not.
    #[must_use]
    pub fn invite(&self, id: &InviteId) -> Option<&Invite> {
        self.invites.get(id)
    }

    /// All invites, open or not.
    pub fn invites(&self) -> impl Iterator<Item = &Invite> {
        self.invites.values()
    }

    /// The brokers as last set; empty before that.
    #[must_use]
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// The recovery key in force.
    #[must_use]
    pub fn recovery_key(&self) -> &PublicKey {
        &self.recovery
    }

    /// Whether the mesh has ended: no further entry is valid.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Index of the last entry that removed a device or a member.
    #[must_use]
    pub fn last_removal_index(&self) -> Option<u64> {
        self.last_removal
    }

    /// How many owners the mesh has; never none.
    #[must_use]
    pub fn owner_count(&self) -> usize {
        self.owners
    }
}
