//! Who is online, as far as the broker can say. Kept in memory: after a restart everybody is seen anew.

use std::collections::BTreeMap;

use claudemesh_core::codec::Bytes;
use claudemesh_core::presence::{Presence, PresenceCounter};
use claudemesh_core::wire::DevicePresence;
use claudemesh_core::{DeviceId, Millis};

/// What the broker knows of one device.
#[derive(Debug, Default)]
struct Entry {
    online: bool,
    connected: bool,
    /// When a device that is gone, or whose lease runs, will count as offline.
    until: Option<Millis>,
    presence: Option<Bytes>,
    counter: PresenceCounter,
    last_seen: Millis,
}

/// The devices of one mesh.
#[derive(Debug, Default)]
pub(crate) struct PresenceTable {
    devices: BTreeMap<DeviceId, Entry>,
}

impl PresenceTable {
    /// A device connected. `true` when others should hear of it.
    pub(crate) fn connect(&mut self, device: DeviceId, now: Millis) -> bool {
        let entry = self.devices.entry(device).or_default();
        entry.connected = true;
        entry.until = None;
        entry.last_seen = now;
        !std::mem::replace(&mut entry.online, true)
    }

    /// A device's connection ended. It stays online for `grace`, should it come back.
    pub(crate) fn disconnect(&mut self, device: &DeviceId, grace: u64, now: Millis) {
        if let Some(entry) = self.devices.get_mut(device) {
            entry.connected = false;
            entry.until = entry.online.then(|| now.plus(grace));
            entry.last_seen = now;
        }
    }

    /// A connected device published a presence. `false` when it is older than the one here, which stays.
    pub(crate) fn publish(&mut self, presence: &Presence, bytes: Bytes, lease: u64, now: Millis) -> bool {
        let entry = self.devices.entry(presence.device()).or_default();
        if !entry.counter.accept(presence) {
            return false;
        }
        entry.online = true;
        entry.until = Some(now.plus(lease));
        entry.presence = Some(bytes);
        entry.last_seen = now;
        true
    }

    /// Lets time pass; the devices that went offline.
    pub(crate) fn expire(&mut self, now: Millis) -> Vec<DeviceId> {
        let mut gone = Vec::new();
        for (device, entry) in &mut self.devices {
            if entry.until.is_some_and(|until| until <= now) {
                entry.until = None;
                entry.online = false;
                gone.push(*device);
            }
        }
        gone
    }

    /// Forgets a device that left the mesh.
    pub(crate) fn remove(&mut self, device: &DeviceId) {
        self.devices.remove(device);
    }

    /// Whether anyone is online or about to be offline.
    pub(crate) fn is_quiet(&self) -> bool {
        self.devices.values().all(|entry| !entry.online)
    }

    /// What is told of a device.
    pub(crate) fn get(&self, device: &DeviceId) -> DevicePresence {
        let entry = self.devices.get(device);
        DevicePresence {
            device: *device,
            online: entry.is_some_and(|entry| entry.online),
            presence: entry.and_then(|entry| entry.presence.clone()),
            last_seen: entry.map_or(Millis(0), |entry| entry.last_seen),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use claudemesh_core::presence::{BootId, PresenceContext, Status};
    use claudemesh_core::testing::SeededRng;
    use claudemesh_core::{MeshId, RosterHead, SigningKey};

    fn presence(key: &SigningKey, counter: u64) -> (Presence, Bytes) {
        let mesh = MeshId::from_bytes([1; 32]);
        let context = PresenceContext {
            mesh,
            boot: BootId::from_bytes([2; 16]),
            counter,
            head: RosterHead { index: 0, hash: claudemesh_core::codec::HashBytes([3; 32]) },
            epoch: 1,
        };
        let bytes = Presence::sign(key, &context, &[4; 32], &Status::default(), &mut SeededRng::new(counter)).unwrap();
        (Presence::verify(&bytes, &mesh, &key.public()).unwrap(), bytes.into())
    }

    #[test]
    fn a_short_gap_is_no_news() {
        let mut table = PresenceTable::default();
        let device = DeviceId::from_bytes([7; 32]);
        assert!(table.connect(device, Millis(0)));
        table.disconnect(&device, 5000, Millis(100));
        assert!(table.expire(Millis(5099)).is_empty());
        assert!(!table.connect(device, Millis(5099)));
        assert!(table.expire(Millis(1_000_000)).is_empty());
        table.disconnect(&device, 5000, Millis(1_000_000));
        assert_eq!(table.expire(Millis(1_005_000)), [device]);
        let told = table.get(&device);
        assert!(!told.online);
        assert_eq!(told.last_seen, Millis(1_000_000));
        assert!(table.is_quiet());
    }

    #[test]
    fn a_lease_ends_and_old_presences_do_not_count() {
        let mut table = PresenceTable::default();
        let key = SigningKey::from_seed(&[5; 32]);
        let device = key.public().device_id();
        table.connect(device, Millis(0));
        let (second, bytes) = presence(&key, 2);
        assert!(table.publish(&second, bytes.clone(), 1000, Millis(0)));
        let (first, older) = presence(&key, 1);
        assert!(!table.publish(&first, older, 1000, Millis(10)));
        assert_eq!(table.get(&device).presence, Some(bytes.clone()));
        assert_eq!(table.expire(Millis(1000)), [device]);
        let told = table.get(&device);
        assert!(!told.online);
        assert_eq!(told.presence, Some(bytes));
        let (third, bytes) = presence(&key, 3);
        assert!(table.publish(&third, bytes, 1000, Millis(2000)));
        assert!(table.get(&device).online);
    }
}
