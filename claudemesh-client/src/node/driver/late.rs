//! What the broker would say again needs no fsync before it is told here, only before it is confirmed to the broker.

use std::collections::BTreeSet;

use claudemesh_core::MessageId;
use claudemesh_core::session::{Change, MessageState};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Batch;
use crate::error::Error;
use crate::store::Store;

/// How deep a batch must lie on the disk, the shallowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Depth {
    /// What is only passing: lost in a power failure, it comes again by itself.
    Passing,
    /// What the broker repeats until it is confirmed: on disk before the confirmation leaves.
    Repeated,
    /// What is told to the user or to others: on disk before anything else happens.
    Durable,
}

/// How deep this batch must lie.
pub(super) fn depth(batch: &Batch) -> Depth {
    if !batch.extra.is_empty() || !batch.replies.is_empty() || !batch.sends.is_empty() {
        return Depth::Durable;
    }
    let one = |change: &Change| match change {
        Change::Resume(_) | Change::State { state: MessageState::Accepted, .. } => Depth::Passing,
        Change::State { .. } | Change::OutboxDone { .. } => Depth::Repeated,
        // A log is read again from where the store stands.
        Change::LogEntry { .. }
        | Change::LogRecords(_)
        | Change::LogUnsealed { .. }
        | Change::LogEpoch { .. }
        | Change::LogReader { .. }
        | Change::LogDone { .. } => Depth::Passing,
        _ => Depth::Durable,
    };
    batch.changes.iter().map(one).max().unwrap_or(Depth::Passing)
}

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

/// Frames that wait until what they confirm is durable.
#[derive(Default)]
pub(super) struct Late {
    frames: Vec<Vec<u8>>,
    /// The sync that is under way, and how many of the frames it covers.
    sync: Option<BoxFuture<'static, Result<(), Error>>>,
    covered: usize,
}

impl Late {
    /// Keeps frames back and lets what was committed so far sink.
    pub(super) fn hold(&mut self, frames: &mut Vec<Vec<u8>>, store: &Store) {
        self.frames.append(frames);
        self.start(store);
    }

    fn start(&mut self, store: &Store) {
        if self.sync.is_none() && !self.frames.is_empty() {
            self.covered = self.frames.len();
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
        result?;
        let frames = self.frames.drain(..self.covered).collect();
        self.start(store);
        Ok(frames)
    }

    /// Everything before a durable commit is durable too.
    pub(super) fn release(&mut self) -> Vec<Vec<u8>> {
        self.covered = 0;
        std::mem::take(&mut self.frames)
    }
}

#[cfg(test)]
mod tests {
    use claudemesh_core::session::Why;
    use claudemesh_core::{DeviceId, LogId, MemberId, Millis};

    use super::*;

    const ID: MessageId = MessageId::from_bytes([7; 16]);

    fn state(state: MessageState) -> Change {
        let (device, member) = (DeviceId::from_bytes([1; 32]), MemberId::from_bytes([2; 32]));
        Change::State { id: ID, device, member, state, at: Millis(1), visible: true }
    }

    fn of(changes: Vec<Change>) -> Depth {
        depth(&Batch { changes, ..Batch::default() })
    }

    #[test]
    fn a_batch_lies_as_deep_as_its_deepest_change() {
        assert_eq!(of(Vec::new()), Depth::Passing);
        assert_eq!(of(vec![state(MessageState::Accepted)]), Depth::Passing);
        let repeated = || vec![state(MessageState::Accepted), state(MessageState::Delivered)];
        assert_eq!(of(repeated()), Depth::Repeated);
        assert_eq!(
            of(vec![state(MessageState::Refused(Why::NoDevice)), Change::OutboxDone { id: ID }]),
            Depth::Repeated
        );
        assert_eq!(
            of(repeated().into_iter().chain([Change::LogSeq { log: LogId::from_bytes([1; 16]), seq: 1 }]).collect()),
            Depth::Durable
        );
    }

    #[test]
    fn what_somebody_waits_for_is_durable() {
        let (reply, _answer) = tokio::sync::oneshot::channel();
        let batch = Batch { changes: vec![state(MessageState::Accepted)], replies: vec![reply], ..Batch::default() };
        assert_eq!(depth(&batch), Depth::Durable);
    }

    #[tokio::test]
    async fn a_frame_leaves_after_a_sync_or_a_durable_commit() {
        let store = Store::open(None).unwrap();
        let mut late = Late::default();
        late.hold(&mut vec![vec![1]], &store);
        late.hold(&mut vec![vec![2]], &store);
        assert_eq!(late.synced(&store).await.unwrap(), [[1]], "the second came after the sync had begun");
        assert_eq!(late.synced(&store).await.unwrap(), [[2]]);
        assert!(!late.is_syncing());
        late.hold(&mut vec![vec![3]], &store);
        assert_eq!(late.release(), [[3]]);
        assert!(late.synced(&store).await.unwrap().is_empty(), "it has left already");
    }
}
