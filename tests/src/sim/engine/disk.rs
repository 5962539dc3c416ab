//! The broker's disk: its memory store, and what a power failure leaves of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use claudemesh_broker::CoreFolds;
use claudemesh_broker::store::{
    Acked, Delivery, DeviceFacts, Elapsed, Enqueue, Enqueued, LogAppend, LogAppended, LogInfo, LogRange, MemoryStore,
    Notice, Page, Pending, Receipt, RecordPut, RosterAppended, RosterRange, Store, StoreMeta,
};
use claudemesh_core::codec::Bytes;
use claudemesh_core::testing::SeededRng;
use claudemesh_core::{DeviceId, LogId, MeshId, Millis};

use super::now_or_never;
use crate::sim::dice::Dice;

type Live = MemoryStore<CoreFolds>;
type Write = Box<dyn Fn(&Live) + Send>;

/// A store that keeps every write there was, to do them again up to the last one that was durable.
///
/// Which one was is the store's own word: it counts the transactions that no power failure takes back.
pub(super) struct PowerStore {
    seed: u64,
    inner: Mutex<Inner>,
}

struct Inner {
    live: Live,
    writes: Vec<Write>,
    /// How many of them a power failure leaves.
    durable: usize,
    commits: u64,
}

impl std::fmt::Debug for PowerStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PowerStore")
    }
}

fn empty(seed: u64) -> Live {
    MemoryStore::new(CoreFolds, Default::default(), &mut SeededRng::new(!seed))
}

fn commits(live: &Live) -> u64 {
    now_or_never(live.meta()).expect("a store in memory").commit
}

impl PowerStore {
    pub(super) fn new(seed: u64) -> Self {
        let live = empty(seed);
        let commits = commits(&live);
        Self { seed, inner: Mutex::new(Inner { live, writes: Vec::new(), durable: 0, commits }) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back what came after the last durable commit, or the last of it.
    pub(super) fn fail_power(&self, dice: &mut Dice) {
        let inner = &mut *self.inner();
        let left = inner.durable + dice.lucky(inner.writes.len() - inner.durable);
        if left < inner.writes.len() {
            inner.writes.truncate(left);
            inner.live = empty(self.seed);
            inner.writes.iter().for_each(|write| write(&inner.live));
        }
        inner.durable = left;
    }

    fn write<T: 'static>(&self, op: impl Fn(&Live) -> Pending<T> + Send + 'static) -> Pending<T> {
        let inner = &mut *self.inner();
        let answer = op(&inner.live);
        inner.writes.push(Box::new(move |live| drop(op(live))));
        let commits = commits(&inner.live);
        if commits != std::mem::replace(&mut inner.commits, commits) {
            inner.durable = inner.writes.len();
        }
        answer
    }
}

impl Store for PowerStore {
    fn meta(&self) -> Pending<StoreMeta> {
        self.inner().live.meta()
    }

    fn writable(&self) -> Pending<()> {
        self.inner().live.writable()
    }

    fn roster_append_if_head(&self, mesh: MeshId, entry: Bytes, now: Millis) -> Pending<RosterAppended> {
        self.write(move |live| live.roster_append_if_head(mesh, entry.clone(), now))
    }

    fn roster_restore_if_head(&self, mesh: MeshId, entry: Bytes, now: Millis) -> Pending<RosterAppended> {
        self.write(move |live| live.roster_restore_if_head(mesh, entry.clone(), now))
    }

    fn roster_range(&self, mesh: MeshId, from: u64, page: Page) -> Pending<RosterRange> {
        self.inner().live.roster_range(mesh, from, page)
    }

    fn record_put(&self, put: RecordPut, now: Millis) -> Pending<()> {
        self.write(move |live| live.record_put(put.clone(), now))
    }

    fn record_get(&self, mesh: MeshId, devices: Vec<DeviceId>) -> Pending<Vec<Bytes>> {
        self.inner().live.record_get(mesh, devices)
    }

    fn device_facts(&self, mesh: MeshId, device: DeviceId) -> Pending<DeviceFacts> {
        self.inner().live.device_facts(mesh, device)
    }

    fn enqueue(&self, batch: Vec<Enqueue>, now: Millis) -> Pending<Enqueued> {
        self.write(move |live| live.enqueue(batch.clone(), now))
    }

    fn mailbox(&self, mesh: MeshId, device: DeviceId, after: u64, page: Page, now: Millis) -> Pending<Vec<Delivery>> {
        self.inner().live.mailbox(mesh, device, after, page, now)
    }

    fn ack(&self, batch: Vec<Receipt>, now: Millis) -> Pending<Acked> {
        self.write(move |live| live.ack(batch.clone(), now))
    }

    fn notices(&self, mesh: MeshId, device: DeviceId, after: u64, page: Page) -> Pending<Vec<(u64, Notice)>> {
        self.inner().live.notices(mesh, device, after, page)
    }

    fn notices_done(&self, mesh: MeshId, device: DeviceId, through: u64) -> Pending<()> {
        self.write(move |live| live.notices_done(mesh, device, through))
    }

    fn elapse(&self, now: Millis) -> Pending<Elapsed> {
        self.write(move |live| live.elapse(now))
    }

    fn log_append(&self, append: LogAppend, now: Millis) -> Pending<LogAppended> {
        self.write(move |live| live.log_append(append.clone(), now))
    }

    fn log_range(&self, mesh: MeshId, log: LogId, from: u64, page: Page) -> Pending<LogRange> {
        self.inner().live.log_range(mesh, log, from, page)
    }

    fn log_list(&self, mesh: MeshId) -> Pending<Vec<LogInfo>> {
        self.inner().live.log_list(mesh)
    }

    fn close(&self) -> Pending<()> {
        self.inner().live.close()
    }
}
