//! The effects of valid entries. Nothing here can fail or refuse.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::entry::{Entry, Statement};
use super::payload::{InviteCreated, Payload, Role};
use super::rules::RosterError;
use super::state::{Device, Invite, Member};
use super::{RoleChanged, Roster};
use crate::id::{DeviceId, InviteId, MemberId};
use crate::key::PublicKey;

/// What an entry changed beyond what it says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// The entry.
    pub entry: Entry,
    /// The member removed.
    pub removed_member: Option<MemberId>,
    /// Devices that were live before and are no longer.
    pub removed_devices: Vec<DeviceId>,
    /// Invites closed by the entry, named or not.
    pub closed_invites: Vec<InviteId>,
    /// Owners that an owner reset turned into members.
    pub demoted: Vec<MemberId>,
}

/// The state after a checked genesis.
pub(super) fn begin(entry: &Entry) -> Result<Roster, RosterError> {
    let (Payload::Genesis(genesis), Some(statement)) = (entry.payload(), &entry.statement) else {
        return Err(RosterError::MisplacedGenesis);
    };
    let mut roster = Roster {
        mesh: entry.genesis_mesh(),
        hashes: vec![*entry.hash()],
        members: BTreeMap::new(),
        devices: BTreeMap::new(),
        invites: BTreeMap::new(),
        brokers: Vec::new(),
        recovery: genesis.recovery,
        owners: 1,
        closed: false,
        last_removal: None,
    };
    roster.add_member(statement, Role::Owner, None, 0);
    Ok(roster)
}

impl Roster {
    /// Takes up an entry that was checked against exactly this state.
    pub(super) fn fold(&mut self, entry: Entry) -> Applied {
        let index = entry.index();
        let mut applied = Applied {
            removed_member: None,
            removed_devices: Vec::new(),
            closed_invites: Vec::new(),
            demoted: Vec::new(),
            entry,
        };
        let entry = &applied.entry;
        self.hashes.push(*entry.hash());
        match (entry.payload(), &entry.statement) {
            (Payload::InviteCreated(payload), _) => self.add_invite(payload, *entry.author(), index),
            (Payload::InviteClosed(payload), _) => applied.closed_invites.extend(self.close(payload.invite, index)),
            (Payload::MemberJoined(payload), Some(statement)) => {
                let role = self.use_invite(&payload.invite, Some(statement.member));
                self.add_member(statement, role, Some(payload.invite), index);
            }
            (Payload::DeviceAdded(payload), _) => {
                self.use_invite(&payload.invite, None);
                self.add_device_of(payload.member, payload.key, index);
            }
            (Payload::DeviceRemoved(payload), _) => {
                applied.removed_devices.extend(self.kill_device(payload.device, index));
                applied.closed_invites = self.close_links_of(payload.device, index);
                self.last_removal = Some(index);
            }
            (Payload::RoleChanged(RoleChanged { member, role }), _) => self.set_role(member, *role, index),
            (Payload::MemberRemoved(payload), _) => {
                let member = payload.member;
                applied.removed_member = Some(member);
                (applied.removed_devices, applied.closed_invites) = self.kill_member(member, index);
                self.last_removal = Some(index);
            }
            (Payload::BrokersSet(payload), _) => self.brokers = payload.brokers.to_vec(),
            (Payload::OwnerReset(payload), Some(statement)) => {
                self.recovery = payload.recovery;
                applied.demoted = self.demote_owners(index);
                self.add_member(statement, Role::Owner, None, index);
                self.owners = 1;
            }
            (Payload::MeshClosed(_), _) => self.closed = true,
            // The check lets no genesis pass, and the parser no entry without the statement its kind brings.
            (Payload::Genesis(_) | Payload::MemberJoined(_) | Payload::OwnerReset(_), _) => {}
        }
        applied
    }

    fn add_member(&mut self, statement: &Statement, role: Role, invite: Option<InviteId>, index: u64) {
        let id = statement.member;
        let kind = statement.content.kind;
        let roles = vec![(index, role)];
        let member = Member { id, role, roles, kind, joined_at: index, invite, removed_at: None, devices: Vec::new() };
        self.members.insert(id, member);
        self.add_device_of(id, statement.content.key, index);
    }

    fn add_device_of(&mut self, member: MemberId, key: PublicKey, index: u64) {
        let id = key.device_id();
        self.devices.insert(id, Device { id, key, member, added_at: index, removed_at: None });
        if let Some(member) = self.members.get_mut(&member) {
            member.devices.push(id);
        }
    }

    fn add_invite(&mut self, payload: &InviteCreated, author: DeviceId, index: u64) {
        let Some(creator) = self.device(&author).map(|device| device.member) else { return };
        let id = payload.key.invite_id();
        let invite = Invite {
            id,
            key: payload.key,
            role: payload.role,
            uses: payload.uses,
            used: 0,
            expires: payload.expires,
            sealed_welcome: payload.sealed_welcome.clone(),
            member: payload.member,
            creator,
            creator_device: author,
            created_at: index,
            closed_at: None,
            joined: Vec::new(),
        };
        self.invites.insert(id, invite);
    }

    /// Counts one use and gives the role that comes with it.
    fn use_invite(&mut self, id: &InviteId, joined: Option<MemberId>) -> Role {
        let Some(invite) = self.invites.get_mut(id) else { return Role::Member };
        invite.used += 1;
        invite.joined.extend(joined);
        invite.role
    }

    /// Closes the invite unless it was closed before; gives its id if it did.
    fn close(&mut self, id: InviteId, index: u64) -> Option<InviteId> {
        let invite = self.invites.get_mut(&id).filter(|invite| !invite.is_closed())?;
        invite.closed_at = Some(index);
        Some(id)
    }

    /// Closes the invites by which a removed device could let itself in again: those that link devices and that it made.
    fn close_links_of(&mut self, device: DeviceId, index: u64) -> Vec<InviteId> {
        let links = self.invites.values().filter(|invite| invite.member.is_some() && invite.creator_device == device);
        let links: Vec<InviteId> = links.map(|invite| invite.id).collect();
        links.into_iter().filter_map(|invite| self.close(invite, index)).collect()
    }

    fn kill_device(&mut self, id: DeviceId, index: u64) -> Option<DeviceId> {
        let device = self.devices.get_mut(&id).filter(|device| device.is_live())?;
        device.removed_at = Some(index);
        Some(id)
    }

    fn kill_member(&mut self, id: MemberId, index: u64) -> (Vec<DeviceId>, Vec<InviteId>) {
        let Some(member) = self.members.get_mut(&id) else { return (Vec::new(), Vec::new()) };
        member.removed_at = Some(index);
        if member.role == Role::Owner {
            self.owners -= 1;
        }
        let joined_by = member.invite;
        let devices = member.devices.clone();
        let devices = devices.into_iter().filter_map(|device| self.kill_device(device, index)).collect();
        let created = self.invites.values().filter(|invite| invite.creator == id).map(|invite| invite.id);
        let named: Vec<InviteId> = joined_by.into_iter().chain(created).collect();
        let invites = named.into_iter().filter_map(|invite| self.close(invite, index)).collect();
        (devices, invites)
    }

    fn set_role(&mut self, id: &MemberId, role: Role, index: u64) {
        let Some(member) = self.members.get_mut(id) else { return };
        self.owners -= usize::from(member.role == Role::Owner);
        self.owners += usize::from(role == Role::Owner);
        member.role = role;
        member.roles.push((index, role));
    }

    fn demote_owners(&mut self, index: u64) -> Vec<MemberId> {
        let owners = self.members.values_mut().filter(|member| member.is_live() && member.role == Role::Owner);
        owners
            .map(|owner| {
                owner.role = Role::Member;
                owner.roles.push((index, Role::Member));
                owner.id
            })
            .collect()
    }
}
