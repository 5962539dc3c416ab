//! The validity of an entry: one pure, timeless function of the chain before it.

use alloc::collections::BTreeSet;

use super::entry::{Entry, Statement};
use super::payload::{
    BrokersSet, DeviceAdded, InviteClosed, InviteCreated, MemberJoined, OwnerReset, Payload, Role, RoleChanged,
};
use super::state::{Invite, Member};
use super::{MAX_LIVE_DEVICES, MAX_SEALED_WELCOME, MAX_USES, Roster};
use crate::codec::Malformed;
use crate::hash::Label;
use crate::id::{DeviceId, InviteId, MemberId, MeshId};
use crate::key::{PublicKey, SigningKey};

pub(super) const VERSION: u64 = 1;
const MAX_ADDRESS_LEN: usize = 256;

/// Why bytes are no valid next entry of a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RosterError {
    /// More bytes than an entry may have.
    #[error("the entry is too large")]
    TooLarge,
    /// Not a roster entry, or a key in it is weak.
    #[error("the entry is malformed")]
    Malformed,
    /// A kind this version does not know.
    #[error("the entry is of an unknown kind")]
    UnknownKind,
    /// A chain without entries.
    #[error("the roster has no entries")]
    Empty,
    /// A genesis inside a chain, or another kind at its start.
    #[error("a genesis stands at index 0 and nowhere else")]
    MisplacedGenesis,
    /// A genesis of another protocol version.
    #[error("the mesh has an unsupported version")]
    UnsupportedVersion,
    /// The recovery key is the device's own key.
    #[error("the recovery key must differ from the device key")]
    RecoveryIsDevice,
    /// The mesh id is missing, not this mesh, or stands in a genesis.
    #[error("the entry does not belong to this mesh")]
    WrongMesh,
    /// Not the next index.
    #[error("the entry is not the next one")]
    WrongIndex,
    /// Not built on the last entry of the chain.
    #[error("the entry does not follow the last one")]
    WrongPrevious,
    /// The mesh is closed: nothing follows.
    #[error("the mesh is closed")]
    MeshClosed,
    /// The author is unknown or removed.
    #[error("the author is not a live device")]
    AuthorNotLive,
    /// The author is not the device whose key the entry brings.
    #[error("the author is not the device that the entry brings")]
    WrongAuthor,
    /// The author's signature does not verify.
    #[error("the entry's signature does not verify")]
    BadSignature,
    /// The author's member may not do this.
    #[error("the author may not do this")]
    NotAllowed,
    /// The invite's key was an invite's or device's before.
    #[error("the key was used before")]
    KeyUsed,
    /// An invite gives another role than member.
    #[error("an invite can give the role of a member only")]
    RoleNotAllowed,
    /// An invite's number of uses is out of range.
    #[error("the number of uses is out of range")]
    BadUses,
    /// An invite's sealed welcome is too large.
    #[error("the welcome is too large")]
    WelcomeTooLarge,
    /// There is no such invite.
    #[error("unknown invite")]
    UnknownInvite,
    /// The invite was closed before.
    #[error("the invite is closed")]
    InviteClosed,
    /// The invite was used as often as it may.
    #[error("the invite is used up")]
    InviteUsedUp,
    /// The invite links devices of another member, or is one to join and not to link, or the reverse.
    #[error("the invite is for something else")]
    InviteMismatch,
    /// The proof that the joiner holds the invite's key does not verify.
    #[error("the invite's signature does not verify")]
    BadInviteSignature,
    /// A join statement names another mesh, none, or in a genesis any.
    #[error("the join statement is for another mesh")]
    StatementMismatch,
    /// The device is or was part of the mesh.
    #[error("the device was in the mesh before")]
    DeviceKnown,
    /// The member is or was part of the mesh.
    #[error("the member was in the mesh before")]
    MemberKnown,
    /// The member is unknown or removed.
    #[error("the member is not in the mesh")]
    UnknownMember,
    /// The device is unknown or removed.
    #[error("the device is not in the mesh")]
    UnknownDevice,
    /// The member has as many live devices as it may.
    #[error("the member has too many devices")]
    TooManyDevices,
    /// The member has that role.
    #[error("the role is unchanged")]
    RoleUnchanged,
    /// The mesh would be without an owner.
    #[error("the mesh would be left without an owner")]
    LastOwner,
    /// The list of brokers is empty, has a key twice, or an address that is none.
    #[error("not an acceptable list of brokers")]
    BadBrokers,
    /// The recovery key's signature does not verify.
    #[error("the recovery key's signature does not verify")]
    BadRecoverySignature,
}

impl From<Malformed> for RosterError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// The proofs that keys other than the author's give inside payloads.
pub(super) mod proof {
    use super::{Label, MemberId, MeshId, PublicKey, SigningKey};
    use crate::key::{BadSignature, Signature};
    use alloc::vec::Vec;

    /// What such a key signs: label and message.
    pub(in crate::roster) struct Proof(Label, Vec<u8>);

    impl Proof {
        pub(in crate::roster) fn join(mesh: &MeshId, statement: &[u8]) -> Self {
            Self(Label::new("invite-join"), [mesh.as_bytes(), statement].concat())
        }

        pub(in crate::roster) fn device(mesh: &MeshId, member: &MemberId, device: &PublicKey) -> Self {
            let message = [mesh.as_bytes().as_slice(), member.as_bytes(), device.as_bytes()].concat();
            Self(Label::new("invite-device"), message)
        }

        pub(in crate::roster) fn reset(mesh: &MeshId, recovery: &PublicKey, statement: &[u8]) -> Self {
            let message = [mesh.as_bytes().as_slice(), recovery.as_bytes(), statement].concat();
            Self(Label::new("owner-reset"), message)
        }

        pub(in crate::roster) fn sign(&self, key: &SigningKey) -> Signature {
            key.sign(self.0, &self.1)
        }

        pub(in crate::roster) fn verify(&self, key: &PublicKey, signature: &Signature) -> Result<(), BadSignature> {
            key.verify(self.0, &self.1, signature)
        }
    }
}
use proof::Proof;

/// Checks the entry that a chain begins with.
pub(super) fn check_genesis(bytes: &[u8]) -> Result<Entry, RosterError> {
    let entry = Entry::parse(bytes)?;
    let (Payload::Genesis(genesis), Some(statement)) = (entry.payload(), entry.statement()) else {
        return Err(RosterError::MisplacedGenesis);
    };
    let body = entry.body();
    ensure(body.mesh.is_none(), RosterError::WrongMesh)?;
    ensure(body.index == 0, RosterError::WrongIndex)?;
    ensure(body.previous.0 == [0; 32], RosterError::WrongPrevious)?;
    ensure(genesis.version == VERSION, RosterError::UnsupportedVersion)?;
    ensure(statement.mesh.is_none(), RosterError::StatementMismatch)?;
    ensure(genesis.recovery != statement.key, RosterError::RecoveryIsDevice)?;
    ensure(body.author == statement.key.device_id(), RosterError::WrongAuthor)?;
    entry.verify(&statement.key)?;
    Ok(entry)
}

fn ensure(condition: bool, error: RosterError) -> Result<(), RosterError> {
    if condition { Ok(()) } else { Err(error) }
}

/// The rules of one entry after the chain of `roster`.
pub(super) fn check(roster: &Roster, bytes: &[u8]) -> Result<Entry, RosterError> {
    let entry = Entry::parse(bytes)?;
    let body = entry.body();
    ensure(!matches!(entry.payload(), Payload::Genesis(_)), RosterError::MisplacedGenesis)?;
    ensure(body.mesh == Some(roster.mesh), RosterError::WrongMesh)?;
    let head = roster.head();
    ensure(head.index.checked_add(1) == Some(body.index), RosterError::WrongIndex)?;
    ensure(body.previous == head.hash, RosterError::WrongPrevious)?;
    ensure(!roster.closed, RosterError::MeshClosed)?;
    check_author(roster, &entry)?;
    let rules = Rules(roster);
    let statement = || entry.statement.as_ref().ok_or(RosterError::Malformed);
    match entry.payload() {
        Payload::Genesis(_) => return Err(RosterError::MisplacedGenesis),
        Payload::InviteCreated(payload) => rules.invite_created(rules.author(&entry)?, payload)?,
        Payload::InviteClosed(payload) => rules.invite_closed(rules.author(&entry)?, payload)?,
        Payload::MemberJoined(payload) => rules.member_joined(statement()?, payload)?,
        Payload::DeviceAdded(payload) => rules.device_added(payload)?,
        Payload::DeviceRemoved(payload) => rules.device_removed(rules.author(&entry)?, &payload.device)?,
        Payload::RoleChanged(payload) => rules.role_changed(rules.author(&entry)?, payload)?,
        Payload::MemberRemoved(payload) => rules.member_removed(rules.author(&entry)?, &payload.member)?,
        Payload::BrokersSet(payload) => rules.brokers_set(rules.author(&entry)?, payload)?,
        Payload::OwnerReset(payload) => rules.owner_reset(statement()?, payload)?,
        Payload::MeshClosed(_) => require_role(rules.author(&entry)?, Role::Owner)?,
    }
    Ok(entry)
}

/// The author is a live device, or the one whose key the entry brings, and its signature verifies.
fn check_author(roster: &Roster, entry: &Entry) -> Result<(), RosterError> {
    let key = if let Some(key) = brought_key(entry) {
        ensure(*entry.author() == key.device_id(), RosterError::WrongAuthor)?;
        key
    } else {
        &roster.device(entry.author()).filter(|device| device.is_live()).ok_or(RosterError::AuthorNotLive)?.key
    };
    entry.verify(key)
}

/// The key of the device that an entry brings.
pub(super) fn brought_key(entry: &Entry) -> Option<&PublicKey> {
    match (entry.payload(), entry.statement()) {
        (Payload::DeviceAdded(payload), _) => Some(&payload.key),
        (_, statement) => statement.map(|statement| &statement.key),
    }
}

fn require_role(author: &Member, least: Role) -> Result<(), RosterError> {
    ensure(author.role >= least, RosterError::NotAllowed)
}

/// Oneself always; else an admin members and admins, an owner anyone.
fn require_rank_over(author: &Member, target: &Member) -> Result<(), RosterError> {
    let allowed = author.id == target.id
        || match author.role {
            Role::Owner => true,
            Role::Admin => target.role <= Role::Admin,
            Role::Member => false,
        };
    ensure(allowed, RosterError::NotAllowed)
}

struct Rules<'a>(&'a Roster);

impl Rules<'_> {
    /// The member of the live device that signed.
    fn author(&self, entry: &Entry) -> Result<&Member, RosterError> {
        self.0
            .device(entry.author())
            .filter(|device| device.is_live())
            .and_then(|device| self.0.member(&device.member))
            .ok_or(RosterError::AuthorNotLive)
    }

    fn live_member(&self, id: &MemberId) -> Result<&Member, RosterError> {
        self.0.member(id).filter(|member| member.is_live()).ok_or(RosterError::UnknownMember)
    }

    fn invite_created(&self, author: &Member, payload: &InviteCreated) -> Result<(), RosterError> {
        if let Some(member) = &payload.member {
            ensure(author.id == *member, RosterError::NotAllowed)?;
            ensure(payload.uses == 1, RosterError::BadUses)?;
        } else {
            require_role(author, Role::Admin)?;
        }
        let used = self.0.invites.contains_key(&payload.key.invite_id())
            || self.0.devices.contains_key(&payload.key.device_id());
        ensure(!used, RosterError::KeyUsed)?;
        ensure(payload.role == Role::Member, RosterError::RoleNotAllowed)?;
        ensure((1..=MAX_USES).contains(&payload.uses), RosterError::BadUses)?;
        ensure(payload.sealed_welcome.len() <= MAX_SEALED_WELCOME, RosterError::WelcomeTooLarge)
    }

    fn invite_closed(&self, author: &Member, payload: &InviteClosed) -> Result<(), RosterError> {
        let invite = self.0.invite(&payload.invite).ok_or(RosterError::UnknownInvite)?;
        ensure(author.role >= Role::Admin || author.id == invite.creator, RosterError::NotAllowed)?;
        ensure(!invite.is_closed(), RosterError::InviteClosed)
    }

    /// The invite, when it is open and bound as `member` says.
    fn usable_invite(&self, id: &InviteId, member: Option<&MemberId>) -> Result<&Invite, RosterError> {
        let invite = self.0.invite(id).ok_or(RosterError::UnknownInvite)?;
        ensure(invite.member.as_ref() == member, RosterError::InviteMismatch)?;
        ensure(!invite.is_closed(), RosterError::InviteClosed)?;
        ensure(invite.uses_left() > 0, RosterError::InviteUsedUp)?;
        Ok(invite)
    }

    fn new_device(&self, device: &DeviceId) -> Result<(), RosterError> {
        ensure(!self.0.devices.contains_key(device), RosterError::DeviceKnown)
    }

    /// A statement for this mesh, of a member and a device that never were in it.
    fn new_member(&self, statement: &Statement) -> Result<(), RosterError> {
        ensure(statement.content.mesh == Some(self.0.mesh), RosterError::StatementMismatch)?;
        self.new_device(&statement.content.key.device_id())?;
        ensure(!self.0.members.contains_key(&statement.member), RosterError::MemberKnown)
    }

    fn member_joined(&self, statement: &Statement, payload: &MemberJoined) -> Result<(), RosterError> {
        let invite = self.usable_invite(&payload.invite, None)?;
        self.new_member(statement)?;
        Proof::join(&self.0.mesh, &payload.statement)
            .verify(&invite.key, &payload.signature)
            .map_err(|_| RosterError::BadInviteSignature)
    }

    fn device_added(&self, payload: &DeviceAdded) -> Result<(), RosterError> {
        let invite = self.usable_invite(&payload.invite, Some(&payload.member))?;
        let member = self.live_member(&payload.member)?;
        ensure(self.0.live_devices_of(member).count() < MAX_LIVE_DEVICES, RosterError::TooManyDevices)?;
        self.new_device(&payload.key.device_id())?;
        Proof::device(&self.0.mesh, &payload.member, &payload.key)
            .verify(&invite.key, &payload.signature)
            .map_err(|_| RosterError::BadInviteSignature)
    }

    fn device_removed(&self, author: &Member, device: &DeviceId) -> Result<(), RosterError> {
        let device = self.0.device(device).filter(|device| device.is_live()).ok_or(RosterError::UnknownDevice)?;
        require_rank_over(author, self.live_member(&device.member)?)
    }

    fn role_changed(&self, author: &Member, payload: &RoleChanged) -> Result<(), RosterError> {
        require_role(author, Role::Owner)?;
        let target = self.live_member(&payload.member)?;
        ensure(target.role != payload.role, RosterError::RoleUnchanged)?;
        self.keeps_an_owner(target)
    }

    fn member_removed(&self, author: &Member, member: &MemberId) -> Result<(), RosterError> {
        let target = self.live_member(member)?;
        require_rank_over(author, target)?;
        self.keeps_an_owner(target)
    }

    /// An owner is left when `target` no longer is one.
    fn keeps_an_owner(&self, target: &Member) -> Result<(), RosterError> {
        ensure(target.role != Role::Owner || self.0.owner_count() > 1, RosterError::LastOwner)
    }

    fn brokers_set(&self, author: &Member, payload: &BrokersSet) -> Result<(), RosterError> {
        require_role(author, Role::Owner)?;
        ensure(!payload.brokers.is_empty(), RosterError::BadBrokers)?;
        let mut keys = BTreeSet::new();
        for broker in payload.brokers.iter() {
            let addresses_fit = !broker.addresses.is_empty() && broker.addresses.iter().all(|text| is_address(text));
            ensure(addresses_fit && keys.insert(broker.key.as_bytes()), RosterError::BadBrokers)?;
        }
        Ok(())
    }

    fn owner_reset(&self, statement: &Statement, payload: &OwnerReset) -> Result<(), RosterError> {
        self.new_member(statement)?;
        Proof::reset(&self.0.mesh, &payload.recovery, &payload.statement)
            .verify(&self.0.recovery, &payload.signature)
            .map_err(|_| RosterError::BadRecoverySignature)
    }
}

fn is_address(text: &str) -> bool {
    text.len() <= MAX_ADDRESS_LEN && (text.starts_with("ws://") || text.starts_with("wss://"))
}
