//! What the reference broker keeps: roster, records, mail and logs.

use std::collections::BTreeMap;
use std::sync::Arc;

use claudemesh_core::codec::{Bytes, List};
use claudemesh_core::device::DeviceRecord;
use claudemesh_core::roster::RosterError;
use claudemesh_core::wire::{self, ErrorCode};
use claudemesh_core::{DeviceId, LogId, MeshId, Roster};

use super::Reply;
use super::log::{KeptLog, Split};
use super::mail::{Kept, Row};

/// A published record.
#[derive(Clone, Debug)]
pub(super) struct KeptRecord {
    pub(super) bytes: Bytes,
    counter: u64,
    /// Prekeys of this and earlier records.
    pub(super) prekeys: Vec<u32>,
}

/// Everything durable. A clone is a copy of the disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Random, made with the store.
    pub store_id: [u8; 16],
    /// Committed transactions.
    pub commits: u64,
    pub(super) entries: Vec<Bytes>,
    pub(super) roster: Option<Arc<Roster>>,
    pub(super) records: BTreeMap<DeviceId, KeptRecord>,
    pub(super) proofs: BTreeMap<DeviceId, Bytes>,
    pub(super) mail: BTreeMap<DeviceId, BTreeMap<u64, Row>>,
    pub(super) next_mail: u64,
    pub(super) notices: BTreeMap<DeviceId, BTreeMap<u64, wire::Notice>>,
    next_notice: u64,
    /// By sender, recipient and lane: what was accepted, by seq.
    pub(super) kept: BTreeMap<(DeviceId, DeviceId, u64), BTreeMap<u64, Kept>>,
    pub(super) logs: BTreeMap<LogId, Arc<KeptLog>>,
    pub(super) split: Option<Split>,
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new(store_id: [u8; 16]) -> Self {
        Self {
            store_id,
            commits: 0,
            entries: Vec::new(),
            roster: None,
            records: BTreeMap::new(),
            proofs: BTreeMap::new(),
            mail: BTreeMap::new(),
            next_mail: 1,
            notices: BTreeMap::new(),
            next_notice: 1,
            kept: BTreeMap::new(),
            logs: BTreeMap::new(),
            split: None,
        }
    }

    /// Puts a roster entry on the disk.
    ///
    /// # Panics
    /// When it is not the next valid one.
    pub fn append(&mut self, entry: &Bytes) {
        self.append_entry(entry).expect("a valid entry");
    }

    /// The roster, once there is one.
    #[must_use]
    pub fn roster(&self) -> Option<&Roster> {
        self.roster.as_deref()
    }

    /// The roster's entries.
    #[must_use]
    pub fn entries(&self) -> &[Bytes] {
        &self.entries
    }

    /// The published records.
    pub fn records(&self) -> impl Iterator<Item = (DeviceId, Bytes)> + '_ {
        self.records.iter().map(|(device, kept)| (*device, kept.bytes.clone()))
    }

    pub(super) fn mesh(&self) -> Option<MeshId> {
        self.roster.as_ref().map(|roster| roster.mesh())
    }

    /// Appends an entry after the last; gives the devices it removed.
    pub(super) fn append_entry(&mut self, bytes: &Bytes) -> Result<Vec<DeviceId>, ErrorCode> {
        let removed = match &mut self.roster {
            None => {
                self.roster = Some(Arc::new(Roster::genesis(bytes).map_err(|_| ErrorCode::InvalidEntry)?));
                Vec::new()
            }
            Some(roster) => {
                let applied = Arc::make_mut(roster).apply(bytes).map_err(|error| match error {
                    RosterError::WrongIndex | RosterError::WrongPrevious => ErrorCode::HeadMoved,
                    _ => ErrorCode::InvalidEntry,
                })?;
                applied.removed_devices
            }
        };
        self.entries.push(bytes.clone());
        for device in &removed {
            self.mail.remove(device);
            self.notices.remove(device);
            self.records.remove(device);
            self.proofs.remove(device);
        }
        Ok(removed)
    }

    pub(super) fn roster_range(&self, range: &wire::RosterRange) -> Reply {
        let head = self.roster.as_ref().ok_or(ErrorCode::UnknownMesh)?.head();
        let from = usize::try_from(range.from).unwrap_or(usize::MAX);
        let entries = self.entries.iter().skip(from).take(range.limit.min(1024) as usize).cloned().collect();
        Ok(wire::RosterEntries { entries: List::from_vec(entries).unwrap_or_default(), head }.into())
    }

    pub(super) fn put_record(&mut self, device: DeviceId, record: &DeviceRecord) -> Reply {
        let ids = record.prekeys().iter().map(|prekey| prekey.id.0);
        match self.records.get_mut(&device) {
            Some(kept) if kept.counter == record.counter() && kept.bytes[..] == *record.as_bytes() => {}
            Some(kept) if kept.counter >= record.counter() => return Err(ErrorCode::StaleRecord),
            Some(kept) => {
                kept.prekeys.extend(ids);
                kept.bytes = record.as_bytes().into();
                kept.counter = record.counter();
            }
            None => {
                let kept =
                    KeptRecord { bytes: record.as_bytes().into(), counter: record.counter(), prekeys: ids.collect() };
                self.records.insert(device, kept);
            }
        }
        Ok(wire::Done {}.into())
    }

    pub(super) fn get_records(&self, get: &wire::RecordGet) -> wire::Records {
        let records = get.devices.iter().filter_map(|device| self.records.get(device)).map(|kept| kept.bytes.clone());
        wire::Records { records: List::from_vec(records.collect()).unwrap_or_default() }
    }

    pub(super) fn notify(&mut self, device: DeviceId, notice: wire::Notice) {
        self.notices.entry(device).or_default().insert(self.next_notice, notice);
        self.next_notice += 1;
    }
}
