//! What the broker would say again needs no fsync before it is told here, only before it is confirmed to the broker.

use std::collections::BTreeSet;

use claudemesh_core::MessageId;
use claudemesh_core::session::Change;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Batch;
use crate::error::Error;
use crate::node::held::{Depth, Held};
use crate::store::Store;

/// The messages sent in this batch that are already something else than queued.
pub(super) fn eventful(batch: &Batch) -> BTreeSet<MessageId> {
    if batch.sends.is_empty() {
        return BTreeSet::new();
    }
    let stated = batch.changes.iter().filter_map(|change| match change {
        Change::State { id, .. } => Some(*id),
        _ => None,
    });
    stated.collect()
}

/// Frames that wait, and the sync they wait for.
#[derive(Default)]
pub(super) struct Late {
    held: Held<Vec<u8>>,
    sync: Option<BoxFuture<'static, Result<(), Error>>>,
}

impl Late {
    /// After the commit of a batch with these frames: those that may leave now. The others wait till what was committed so far
    /// has sunk.
    pub(super) fn committed(&mut self, depth: Depth, frames: Vec<Vec<u8>>, store: &Store) -> Vec<Vec<u8>> {
        let frames = self.held.committed(depth, frames);
        self.start(store);
        frames
    }

    fn start(&mut self, store: &Store) {
        if self.held.begins_sync() {
            self.sync = Some(store.clone().sync().boxed());
        }
    }

    pub(super) fn is_syncing(&self) -> bool {
        self.sync.is_some()
    }

    /// Waits for the sync under way; the frames that may leave now.
    pub(super) async fn synced(&mut self, store: &Store) -> Result<Vec<Vec<u8>>, Error> {
        let Some(sync) = &mut self.sync else { return Ok(Vec::new()) };
        let result = sync.await;
        self.sync = None;
        if let Err(error) = result {
            self.held.sync_failed();
            return Err(error);
        }
        let frames = self.held.synced();
        self.start(store);
        Ok(frames)
    }

    /// The connection has ended.
    pub(super) fn forget(&mut self) {
        self.held.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_leaves_after_the_sync_it_waits_for() {
        let store = Store::open(None).unwrap();
        let mut late = Late::default();
        assert!(late.committed(Depth::Repeated, vec![vec![1]], &store).is_empty());
        assert!(late.committed(Depth::Repeated, vec![vec![2]], &store).is_empty());
        assert_eq!(late.synced(&store).await.unwrap(), [[1]], "the second came after the sync had begun");
        assert_eq!(late.synced(&store).await.unwrap(), [[2]]);
        assert!(!late.is_syncing());
    }
}
