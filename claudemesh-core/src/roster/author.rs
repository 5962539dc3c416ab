//! Making entries. Every builder checks what it made: it gives bytes that [`Roster::check`] accepts, or the reason why not.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::entry::EntryBody;
use super::payload::{
    Broker, BrokersSet, DeviceAdded, DeviceRemoved, Genesis, InviteClosed, InviteCreated, JoinStatement, Kind,
    MemberJoined, MemberRemoved, MeshClosed, OwnerReset, Payload, Role, RoleChanged,
};
use super::rules::proof::Proof;
use super::rules::{RosterError, VERSION};
use super::{Roster, rules};
use crate::codec::{self, HashBytes, List};
use crate::id::{DeviceId, InviteId, MemberId, MeshId};
use crate::key::{PublicKey, SigningKey};
use crate::time::Seconds;

/// A genesis by the device with `key`; also gives the ids of mesh and owner.
///
/// # Errors
/// [`RosterError::RecoveryIsDevice`] when both keys are the same.
pub fn create_genesis(
    key: &SigningKey,
    recovery: &PublicKey,
    kind: Kind,
    rng: &mut impl CryptoRng,
) -> Result<(Vec<u8>, MeshId, MemberId), RosterError> {
    let statement = codec::encode(&JoinStatement::new(key.public(), kind, None, rng));
    let owner = JoinStatement::member_id(&statement);
    let payload = Payload::Genesis(Genesis { version: VERSION, statement: statement.into(), recovery: *recovery });
    let body = EntryBody {
        mesh: None,
        index: 0,
        previous: HashBytes([0; 32]),
        author: key.public().device_id(),
        kind: payload.kind(),
        payload: payload.encode().into(),
    };
    let bytes = body.sign(key);
    let mesh = rules::check_genesis(&bytes)?.genesis_mesh();
    Ok((bytes, mesh, owner))
}

/// An invite to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInvite {
    key: PublicKey,
    uses: u64,
    expires: Seconds,
    sealed_welcome: Vec<u8>,
    member: Option<MemberId>,
}

impl NewInvite {
    /// An invite by which up to `uses` members join.
    #[must_use]
    pub fn to_join(key: PublicKey, uses: u64, expires: Seconds, sealed_welcome: Vec<u8>) -> Self {
        Self { key, uses, expires, sealed_welcome, member: None }
    }

    /// An invite by which `member` links one further device.
    #[must_use]
    pub fn to_link(key: PublicKey, member: MemberId, expires: Seconds, sealed_welcome: Vec<u8>) -> Self {
        Self { key, uses: 1, expires, sealed_welcome, member: Some(member) }
    }
}

impl Roster {
    /// Signs the next entry and checks it.
    fn author(&self, key: &SigningKey, payload: &Payload) -> Result<Vec<u8>, RosterError> {
        let head = self.head();
        let body = EntryBody {
            mesh: Some(self.mesh),
            index: head.index + 1,
            previous: head.hash,
            author: key.public().device_id(),
            kind: payload.kind(),
            payload: payload.encode().into(),
        };
        let bytes = body.sign(key);
        self.check(&bytes)?;
        Ok(bytes)
    }

    /// An entry that makes an invite.
    ///
    /// # Errors
    /// [`RosterError`] when the entry would not be valid.
    pub fn create_invite(&self, author: &SigningKey, invite: NewInvite) -> Result<Vec<u8>, RosterError> {
        let NewInvite { key, uses, expires, sealed_welcome, member } = invite;
        let sealed_welcome = sealed_welcome.into();
        let payload = InviteCreated { key, role: Role::Member, uses, expires, sealed_welcome, member };
        self.author(author, &Payload::InviteCreated(payload))
    }

    /// An entry that closes an invite.
    ///
    /// # Errors
    /// [`RosterError`] when the entry would not be valid.
    pub fn close_invite(&self, author: &SigningKey, invite: &InviteId) -> Result<Vec<u8>, RosterError> {
        self.author(author, &Payload::InviteClosed(InviteClosed { invite: *invite }))
    }

    /// An entry by which the device with `key` joins as a new member; also gives the member's id.
    ///
    /// # Errors
    /// [`RosterError`] when the entry would not be valid.
    pub fn join(
        &self,
        key: &SigningKey,
        invite: &SigningKey,
        kind: Kind,
        rng: &mut impl CryptoRng,
    ) -> Result<(Vec<u8>, MemberId), RosterError> {
        let statement = codec::encode(&JoinStatement::new(key.public(), kind, Some(self.mesh), rng));
        let member = JoinStatement::member_id(&statement);
        let signature = Proof::join(&self.mesh, &statement).sign(invite);
        let invite = invite.public().invite_id();
        let payload = MemberJoined { statement: statement.into(), invite, signature };
        Ok((self.author(key, &Payload::MemberJoined(payload))?, member))
    }

    /// An entry by which the device with `key` becomes a further device of `member`.
    ///
    /// # Errors
    /// [`RosterError`] when the entry would not be valid.
    pub fn add_device(&self, key: &SigningKey, member: &MemberId, invite: &SigningKey) -> Result<Vec<u8>, RosterError> {
        let signature = Proof::device(&self.mesh, member, &key.public()).sign(invite);
        let invite = invite.public().invite_id();
        let payload = DeviceAdded { key: key.public(), member: *member, invite, signature };
        self.author(key, &Payload::DeviceAdded(payload))
    }

    /// An entry that removes a device.
    ///
    /// # Errors
    /// [`RosterError`] when the entry would not be valid.
    pub fn remove_device(&self, author: &SigningKey, device: &DeviceId) -> Result<Vec<u8>, RosterError> {
        self.author(author, &Payload::DeviceRemoved(DeviceRemoved { device: *device }))
    }

    /// An entry that gives a member another role.
    ///
    /// # Errors
    /// [`RosterError`] when the entry would not be valid.
    pub fn change_role(&self, author: &SigningKey, member: &MemberId, role: Role) -> Result<Vec<u8>, RosterError> {
        self.author(author, &Payload::RoleChanged(RoleChanged { member: *member, role }))
    }

    /// An entry that removes a member, or by which it leaves.
    ///
    /// # Errors
    /// [`RosterError`] when the entry would not be valid.
    pub fn remove_member(&self, author: &SigningKey, member: &MemberId) -> Result<Vec<u8>, RosterError> {
        self.author(author, &Payload::MemberRemoved(MemberRemoved { member: *member }))
    }

    /// An entry that sets the whole list of brokers.
    ///
    /// # Errors
    /// [`RosterError`] when the entry would not be valid.
    pub fn set_brokers(&self, author: &SigningKey, brokers: Vec<Broker>) -> Result<Vec<u8>, RosterError> {
        let brokers = List::from_vec(brokers).map_err(|_| RosterError::BadBrokers)?;
        self.author(author, &Payload::BrokersSet(BrokersSet { brokers }))
    }

    /// An entry by which the holder of the recovery key makes the device with `key` a new member and the only owner, and
    /// puts `new_recovery` in force; also gives the member's id.
    ///
    /// # Errors
    /// [`RosterError`] when the entry would not be valid.
    pub fn owner_reset(
        &self,
        key: &SigningKey,
        recovery: &SigningKey,
        new_recovery: &PublicKey,
        kind: Kind,
        rng: &mut impl CryptoRng,
    ) -> Result<(Vec<u8>, MemberId), RosterError> {
        let statement = codec::encode(&JoinStatement::new(key.public(), kind, Some(self.mesh), rng));
        let member = JoinStatement::member_id(&statement);
        let signature = Proof::reset(&self.mesh, new_recovery, &statement).sign(recovery);
        let payload = OwnerReset { statement: statement.into(), recovery: *new_recovery, signature };
        Ok((self.author(key, &Payload::OwnerReset(payload))?, member))
    }

    /// An entry that ends the mesh.
    ///
    /// # Errors
    /// [`RosterError`] when the entry would not be valid.
    pub fn close_mesh(&self, author: &SigningKey) -> Result<Vec<u8>, RosterError> {
        self.author(author, &Payload::MeshClosed(MeshClosed {}))
    }
}
