//! A mesh of four devices in a fresh store.

use std::future::Future;
use std::sync::Arc;

use claudemesh_core::codec::Bytes;
use claudemesh_core::hash::{Hash, sha256};
use claudemesh_core::testing::SeededRng;
use claudemesh_core::{DeviceId, MeshId, MessageId, Millis, RosterHead};

use crate::store::testing::{RosterKind, TestFolds, roster_entry};
use crate::store::{
    Delivery, Enqueue, Limits, MemoryStore, Outcome, Page, Receipt, ReceiptItem, Recipient, RecordPut, Refusal,
    SqliteStore, Store, StoreError,
};

pub(crate) const MESH: MeshId = MeshId::from_bytes([1; 32]);
pub(crate) const NOW: Millis = Millis(1_800_000_000_000);
pub(crate) const ALL: Page = Page { items: 1000, bytes: 1 << 20 };
pub(crate) const A: DeviceId = DeviceId::from_bytes([0xa; 32]);
pub(crate) const B: DeviceId = DeviceId::from_bytes([0xb; 32]);
pub(crate) const C: DeviceId = DeviceId::from_bytes([0xc; 32]);
/// Live, but without a record.
pub(crate) const D: DeviceId = DeviceId::from_bytes([0xd; 32]);
pub(crate) const STRANGER: DeviceId = DeviceId::from_bytes([0xff; 32]);
pub(crate) const PREKEY: u32 = 7;
pub(crate) const DAY: u64 = 86_400_000;

pub(crate) fn limits() -> Limits {
    Limits { mailbox_rows: 4, max_envelope: 1000, ..Limits::default() }
}

/// A store with the mesh in it.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) head: RosterHead,
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

impl World {
    pub(super) fn memory<T: Future<Output = ()>>(test: fn(World) -> T) {
        let store = MemoryStore::new(TestFolds, limits(), &mut SeededRng::new(1));
        run(async { test(Self::begin(Arc::new(store)).await).await });
    }

    /// A store that keeps nothing in memory from one transaction to the next.
    pub(super) fn forgetful<T: Future<Output = ()>>(test: fn(World) -> T) {
        let limits = Limits { cached_items: 0, ..limits() };
        let store = MemoryStore::new(TestFolds, limits, &mut SeededRng::new(1));
        run(async { test(Self::begin(Arc::new(store)).await).await });
    }

    pub(super) fn sqlite<T: Future<Output = ()>>(test: fn(World) -> T) {
        let folder = tempfile::tempdir().unwrap();
        let store =
            SqliteStore::open(&folder.path().join("store.db"), TestFolds, limits(), &mut SeededRng::new(1)).unwrap();
        run(async { test(Self::begin(Arc::new(store)).await).await });
    }

    /// Founds the mesh with its devices and their records.
    pub(crate) async fn begin(store: Arc<dyn Store>) -> Self {
        let mut world = Self { store, head: RosterHead { index: 0, hash: claudemesh_core::codec::HashBytes([0; 32]) } };
        for (index, device) in [A, B, C, D].iter().enumerate() {
            let kind = if index == 0 { RosterKind::Genesis } else { RosterKind::Add };
            world.append(kind, index as u64, device).await.unwrap();
            if *device != D {
                world.put(device, 1, &[PREKEY]).await.unwrap();
            }
        }
        world
    }

    pub(crate) async fn append(
        &mut self,
        kind: RosterKind,
        index: u64,
        device: &DeviceId,
    ) -> Result<Vec<DeviceId>, StoreError> {
        let appended = self.store.roster_append_if_head(MESH, roster_entry(kind, index, device), NOW).await?;
        self.head = appended.head;
        Ok(appended.removed)
    }

    /// Puts a record whose prekeys expire a day from now.
    pub(crate) async fn put(&self, device: &DeviceId, counter: u64, prekeys: &[u32]) -> Result<(), StoreError> {
        let expires = NOW.seconds().0 + 86_400;
        let put = RecordPut {
            mesh: MESH,
            device: *device,
            counter,
            record: Bytes([&device.as_bytes()[..], &counter.to_be_bytes()].concat()),
            prekeys: prekeys.iter().map(|id| (*id, expires)).collect(),
        };
        self.store.record_put(put, NOW).await
    }

    /// An envelope from A to one device, position `seq` of lane 1.
    pub(crate) fn envelope(&self, to: DeviceId, seq: u64) -> Enqueue {
        self.group(&[(to, seq)])
    }

    /// An envelope from A to several devices.
    pub(crate) fn group(&self, to: &[(DeviceId, u64)]) -> Enqueue {
        let recipients: Vec<Recipient> = to
            .iter()
            .map(|(device, seq)| Recipient {
                device: *device,
                prekey: PREKEY,
                lane: 1,
                seq: *seq,
                record: Bytes(device.as_bytes().to_vec()),
                member_of: Bytes(vec![1]),
            })
            .collect();
        let name: Hash =
            sha256(&to.iter().flat_map(|(d, s)| [&d.as_bytes()[..], &s.to_be_bytes()].concat()).collect::<Vec<_>>());
        let mut id = [0; 16];
        id.copy_from_slice(&name[..16]);
        Enqueue {
            mesh: MESH,
            sender: A,
            id: MessageId::from_bytes(id),
            attempt: 1,
            hash: name,
            expires: NOW.plus(DAY),
            deliver_at: None,
            head: self.head,
            envelope: Bytes(name.to_vec()),
            proof: Bytes(name[..4].to_vec()),
            recipients,
        }
    }

    /// Outcomes of one envelope.
    pub(crate) async fn send_at(&self, envelope: &Enqueue, now: Millis) -> Vec<Outcome> {
        self.store.enqueue(vec![envelope.clone()], now).await.unwrap().outcomes.remove(0)
    }

    pub(crate) async fn send(&self, envelope: &Enqueue) -> Vec<Outcome> {
        self.send_at(envelope, NOW).await
    }

    pub(crate) async fn mail(&self, device: DeviceId) -> Vec<Delivery> {
        self.store.mailbox(MESH, device, 0, ALL, NOW).await.unwrap()
    }

    /// Offsets removed by a receipt of `recipient` over `envelopes`.
    pub(crate) async fn ack(&self, recipient: DeviceId, envelopes: &[&Enqueue], refused: bool) -> Vec<u64> {
        self.store.ack(vec![receipt(recipient, envelopes, refused)], NOW).await.unwrap().removed.remove(0)
    }
}

pub(crate) fn receipt(recipient: DeviceId, envelopes: &[&Enqueue], refused: bool) -> Receipt {
    let items = envelopes.iter().map(|envelope| ReceiptItem {
        sender: envelope.sender,
        id: envelope.id,
        attempt: envelope.attempt,
        hash: envelope.hash,
        refused,
    });
    Receipt { mesh: MESH, recipient, items: items.collect(), parts: vec![(A, Bytes(b"part".to_vec()))] }
}

pub(crate) fn refused(refusal: Refusal) -> Vec<Outcome> {
    vec![Outcome::Refused(refusal)]
}

/// A list of one, as [`World::send`] answers for one recipient.
pub(crate) const ACCEPTED: [Outcome; 1] = [Outcome::Accepted];
pub(crate) const DUPLICATE: [Outcome; 1] = [Outcome::Duplicate];
