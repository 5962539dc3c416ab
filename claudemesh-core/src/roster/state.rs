//! What the fold knows: members, devices and invites, living and ended.

use alloc::vec::Vec;

use super::payload::{Kind, Role};
use crate::codec::Bytes;
use crate::id::{DeviceId, InviteId, MemberId};
use crate::key::PublicKey;
use crate::time::Seconds;

/// A member, living or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// Its role; of a removed member the last one.
    pub role: Role,
    /// Every role it had, each from the index of the entry that gave it.
    pub roles: Vec<(u64, Role)>,
    /// What it says it is.
    pub kind: Kind,
    /// Index of the entry by which it joined.
    pub joined_at: u64,
    /// The invite it joined by; none after genesis or an owner reset.
    pub invite: Option<InviteId>,
    /// Index of the entry that removed it.
    pub removed_at: Option<u64>,
    /// All devices it ever had, in the order they came.
    pub devices: Vec<DeviceId>,
}

impl Member {
    /// Whether the member is part of the mesh.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.removed_at.is_none()
    }
}

/// A device, living or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Its public key.
    pub key: PublicKey,
    /// The member it belongs to.
    pub member: MemberId,
    /// Index of the entry by which it came.
    pub added_at: u64,
    /// Index of the entry that removed it or its member.
    pub removed_at: Option<u64>,
}

impl Device {
    /// Whether the device is part of the mesh.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.removed_at.is_none()
    }

    /// Whether the device was part of the mesh once the entry at `index` had been applied.
    #[must_use]
    pub const fn was_live_at(&self, index: u64) -> bool {
        self.added_at <= index
            && match self.removed_at {
                Some(removed) => index < removed,
                None => true,
            }
    }
}

/// An invite, open or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invite {
    /// Its id.
    pub id: InviteId,
    /// Its public key.
    pub key: PublicKey,
    /// Role of those who join by it.
    pub role: Role,
    /// How often it could be used in all.
    pub uses: u64,
    /// How often it was used.
    pub used: u64,
    /// When brokers stop taking entries by it. The roster itself knows no time.
    pub expires: Seconds,
    /// The sealed welcome bundle.
    pub sealed_welcome: Bytes,
    /// The member that links a device by it; none for an invite to join.
    pub member: Option<MemberId>,
    /// The member that made it.
    pub creator: MemberId,
    /// The device that made it.
    pub creator_device: DeviceId,
    /// Index of the entry that made it.
    pub created_at: u64,
    /// Index of the entry that closed it, by naming it or by removing a member or device.
    pub closed_at: Option<u64>,
    /// The members that joined by it, in order.
    pub joined: Vec<MemberId>,
}

impl Invite {
    /// How often it can still be used, were it open.
    #[must_use]
    pub const fn uses_left(&self) -> u64 {
        self.uses.saturating_sub(self.used)
    }

    /// Whether it was closed. One that is only used up is not.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed_at.is_some()
    }

    /// Whether a further entry by it can be valid.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !self.is_closed() && self.uses_left() > 0
    }
}
