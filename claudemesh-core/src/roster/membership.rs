//! The roster as logs ask for it.

use alloc::vec::Vec;

use super::{Role, Roster};
use crate::head::{Connection, RosterHead};
use crate::id::{DeviceId, MemberId, MeshId};
use crate::key::PublicKey;
use crate::log::Membership;

impl Membership for Roster {
    fn mesh(&self) -> MeshId {
        self.mesh()
    }

    fn head(&self) -> RosterHead {
        self.head()
    }

    fn connects(&self, head: &RosterHead) -> Connection {
        self.connects(head)
    }

    fn was_live_at(&self, device: &DeviceId, index: u64) -> bool {
        self.was_live_at(device, index)
    }

    fn live_devices(&self) -> Vec<DeviceId> {
        self.live_devices().map(|device| device.id).collect()
    }

    fn public_key(&self, device: &DeviceId) -> Option<PublicKey> {
        self.device(device).map(|device| device.key)
    }

    fn removed_since(&self, index: u64) -> Vec<DeviceId> {
        let removed = self.devices().filter(|device| device.removed_at.is_some_and(|at| at > index));
        removed.map(|device| device.id).collect()
    }

    fn member_of(&self, device: &DeviceId) -> Option<MemberId> {
        self.device(device).map(|device| device.member)
    }

    fn was_admin_at(&self, member: &MemberId, index: u64) -> bool {
        let Some(member) = self.member(member) else { return false };
        let role = member.roles.iter().rev().find(|(since, _)| *since <= index).map(|(_, role)| *role);
        role.is_some_and(|role| role >= Role::Admin) && member.removed_at.is_none_or(|at| index < at)
    }
}
