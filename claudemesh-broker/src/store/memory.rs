//! The store in memory: every operation is done when it is called, so a program without threads can drive it.

use std::sync::{Mutex, PoisonError};

use claudemesh_core::codec::Bytes;
use claudemesh_core::{DeviceId, LogId, MeshId, Millis};
use rand_core::CryptoRng;

use super::logic::{Logic, Res, Sync};
use super::{
    Acked, Delivery, DeviceFacts, Elapsed, Enqueue, Enqueued, Folds, Limits, LogAppend, LogAppended, LogInfo, LogRange,
    Notice, Page, Pending, Receipt, RecordPut, RosterAppended, RosterRange, Store, StoreMeta, schema,
};

/// A store that ends with its process. Closing it does nothing.
pub struct MemoryStore<F: Folds>(Mutex<Logic<F>>);

impl<F: Folds> std::fmt::Debug for MemoryStore<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryStore")
    }
}

impl<F: Folds> MemoryStore<F> {
    /// An empty store.
    ///
    /// # Panics
    /// When there is no memory for an empty database.
    #[must_use]
    pub fn new(folds: F, limits: Limits, rng: &mut impl CryptoRng) -> Self {
        let logic = schema::open_memory(rng).and_then(|db| Logic::new(db, folds, limits));
        Self(Mutex::new(logic.expect("an empty database in memory opens")))
    }

    fn submit<T: Send + 'static>(
        &self,
        sync: Sync,
        op: impl FnOnce(&mut Logic<F>) -> Res<T> + Send + 'static,
    ) -> Pending<T> {
        let mut logic = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logic.begin(sync);
        let result = logic.attempt(op);
        let answer = logic.end().and(result);
        Box::pin(std::future::ready(answer))
    }
}

impl<F: Folds> Store for MemoryStore<F> {
    super::logic::store_operations!(F);

    fn writable(&self) -> Pending<()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn close(&self) -> Pending<()> {
        Box::pin(std::future::ready(Ok(())))
    }
}
