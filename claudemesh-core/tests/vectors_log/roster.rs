//! A roster as the vectors tell it: who was live when, and the head after each entry.

use std::collections::BTreeMap;

use claudemesh_core::codec::HashBytes;
use claudemesh_core::head::Connection;
use claudemesh_core::key::PrekeySecret;
use claudemesh_core::log::{Membership, Recipient};
use claudemesh_core::{DeviceId, MemberId, MeshId, PublicKey, RosterHead, SigningKey};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

pub(crate) struct Device {
    pub(crate) seed: [u8; 32],
    pub(crate) member: MemberId,
    pub(crate) added: u64,
    pub(crate) removed: Option<u64>,
    pub(crate) admin: bool,
    pub(crate) prekey_id: u32,
    pub(crate) prekey: [u8; 32],
}

impl Device {
    pub(crate) fn key(&self) -> SigningKey {
        SigningKey::from_seed(&self.seed)
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.key().public().device_id()
    }

    pub(crate) fn prekey(&self) -> PrekeySecret {
        PrekeySecret::from_bytes(self.prekey)
    }

    pub(crate) fn recipient(&self) -> Recipient {
        Recipient { device: self.id(), prekey: self.prekey_id, key: self.prekey().public() }
    }
}

pub(crate) struct Roster {
    pub(crate) mesh: MeshId,
    pub(crate) heads: Vec<[u8; 32]>,
    pub(crate) devices: BTreeMap<String, Device>,
}

/// The roster as it is known up to one entry.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    roster: &'a Roster,
    index: u64,
}

impl Roster {
    pub(crate) fn at(&self, index: u64) -> View<'_> {
        View { roster: self, index }
    }

    pub(crate) fn full(&self) -> View<'_> {
        self.at(self.heads.len() as u64 - 1)
    }

    pub(crate) fn to_json(&self) -> Value {
        let devices: BTreeMap<&str, Value> = self
            .devices
            .iter()
            .map(|(name, it)| {
                let value = json!({
                    "seed": hex(&it.seed), "public_key": hex(it.key().public().as_bytes()),
                    "device": it.id().to_string(), "member": it.member.to_string(), "added": it.added,
                    "removed": it.removed, "admin": it.admin, "prekey_id": it.prekey_id,
                    "prekey_private": hex(&it.prekey), "prekey_public": hex(it.prekey().public().as_bytes()),
                });
                (name.as_str(), value)
            })
            .collect();
        let heads: Vec<String> = self.heads.iter().map(|hash| hex(hash)).collect();
        json!({ "mesh": self.mesh.to_string(), "heads": heads, "devices": devices })
    }

    pub(crate) fn from_json(value: &Value) -> Self {
        let devices = value["devices"].as_object().unwrap().iter().map(|(name, it)| {
            let device = Device {
                seed: fixed(&it["seed"]),
                member: it["member"].as_str().unwrap().parse().unwrap(),
                added: it["added"].as_u64().unwrap(),
                removed: it["removed"].as_u64(),
                admin: it["admin"].as_bool().unwrap(),
                prekey_id: it["prekey_id"].as_u64().unwrap().try_into().unwrap(),
                prekey: fixed(&it["prekey_private"]),
            };
            assert_eq!(hex(device.key().public().as_bytes()), it["public_key"].as_str().unwrap());
            assert_eq!(device.id().to_string(), it["device"].as_str().unwrap());
            assert_eq!(hex(device.prekey().public().as_bytes()), it["prekey_public"].as_str().unwrap());
            (name.clone(), device)
        });
        Self {
            mesh: value["mesh"].as_str().unwrap().parse().unwrap(),
            heads: value["heads"].as_array().unwrap().iter().map(fixed).collect(),
            devices: devices.collect(),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

pub(crate) fn fixed<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

impl View<'_> {
    fn find(&self, device: &DeviceId) -> Option<&Device> {
        self.roster.devices.values().find(|it| it.id() == *device && it.added <= self.index)
    }
}

impl Membership for View<'_> {
    fn mesh(&self) -> MeshId {
        self.roster.mesh
    }
    fn head(&self) -> RosterHead {
        RosterHead { index: self.index, hash: HashBytes(self.roster.heads[self.index as usize]) }
    }
    fn connects(&self, head: &RosterHead) -> Connection {
        if head.index > self.index {
            Connection::Ahead
        } else if self.roster.heads[head.index as usize] == head.hash.0 {
            Connection::Known
        } else {
            Connection::Fork
        }
    }
    fn was_live_at(&self, device: &DeviceId, index: u64) -> bool {
        self.find(device).is_some_and(|it| it.added <= index && it.removed.is_none_or(|removed| removed > index))
    }
    fn live_devices(&self) -> Vec<DeviceId> {
        self.roster.devices.values().map(Device::id).filter(|device| self.is_live(device)).collect()
    }
    fn public_key(&self, device: &DeviceId) -> Option<PublicKey> {
        self.find(device).map(|it| it.key().public())
    }
    fn removed_since(&self, index: u64) -> Vec<DeviceId> {
        let gone = |it: &&Device| it.removed.is_some_and(|removed| removed > index && removed <= self.index);
        self.roster.devices.values().filter(gone).map(Device::id).collect()
    }
    fn member_of(&self, device: &DeviceId) -> Option<MemberId> {
        self.find(device).map(|it| it.member)
    }
    fn was_admin_at(&self, member: &MemberId, _: u64) -> bool {
        self.roster.devices.values().any(|it| it.admin && it.member == *member)
    }
}
