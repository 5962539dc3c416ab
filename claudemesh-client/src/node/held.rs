//! How deep a batch must lie on the disk, and which frames wait for it. Neither commits nor syncs by itself.

use claudemesh_core::session::{Change, MessageState};

/// How deep a batch must lie on the disk, the shallowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// What is only passing: lost in a power failure, it comes again by itself.
    Passing,
    /// What the broker repeats until it is confirmed: on disk before the confirmation leaves.
    Repeated,
    /// What is told to the user or to others: on disk before anything else happens.
    Durable,
}

/// How deep a batch of these changes must lie: with something `extra` beside them, or `awaited` by somebody, on the disk.
pub fn depth<'a>(changes: impl IntoIterator<Item = &'a Change>, extra: bool, awaited: bool) -> Depth {
    let one = |change: &Change| match change {
        Change::Resume(_) | Change::State { state: MessageState::Accepted, .. } => Depth::Passing,
        Change::State { .. } | Change::OutboxDone { .. } => Depth::Repeated,
        // A log is read again from where the store stands.
        Change::LogEntry { .. }
        | Change::LogRecords(_)
        | Change::LogUnsealed { .. }
        | Change::LogCompacted { .. }
        | Change::LogEpoch { .. }
        | Change::LogReader { .. }
        | Change::LogDone { .. } => Depth::Passing,
        _ => Depth::Durable,
    };
    let deepest = changes.into_iter().map(one).max();
    match deepest {
        _ if extra => Depth::Durable,
        // Nothing is committed, so nothing becomes durable by it.
        None => Depth::Passing,
        Some(_) if awaited => Depth::Durable,
        Some(deepest) => deepest,
    }
}

/// Frames that wait until what they confirm is durable.
///
/// What was committed as [`Depth::Repeated`] and is not known to be on disk keeps every later frame back, until a sync that
/// began after it or a durable commit: a frame may confirm what an earlier batch committed.
#[derive(Debug)]
pub struct Held<F> {
    frames: Vec<F>,
    /// How many of them the sync under way frees.
    covered: usize,
    /// Something was committed that no sync covers yet.
    floats: bool,
    /// Something was committed that the sync under way covers.
    sinks: bool,
    syncing: bool,
}

impl<F> Default for Held<F> {
    fn default() -> Self {
        Self { frames: Vec::new(), covered: 0, floats: false, sinks: false, syncing: false }
    }
}

impl<F> Held<F> {
    /// The frames that may leave after the commit of a batch with these.
    pub fn committed(&mut self, depth: Depth, mut frames: Vec<F>) -> Vec<F> {
        match depth {
            Depth::Durable => (self.floats, self.sinks) = (false, false),
            Depth::Repeated => self.floats = true,
            Depth::Passing => {}
        }
        self.frames.append(&mut frames);
        if !self.floats {
            self.covered = self.frames.len();
        }
        if self.floats || self.sinks { Vec::new() } else { self.take() }
    }

    /// Whether a sync has to begin now; it brings everything committed so far to the disk.
    pub fn begins_sync(&mut self) -> bool {
        if self.syncing || self.frames.is_empty() {
            return false;
        }
        (self.syncing, self.sinks, self.floats) = (true, true, false);
        self.covered = self.frames.len();
        true
    }

    /// The frames that may leave after the sync that began.
    pub fn synced(&mut self) -> Vec<F> {
        (self.syncing, self.sinks) = (false, false);
        self.take()
    }

    /// The sync that began did not end well.
    pub fn sync_failed(&mut self) {
        (self.syncing, self.sinks, self.floats) = (false, false, true);
    }

    /// The connection that the frames were for has ended.
    pub fn forget(&mut self) {
        self.frames.clear();
        self.covered = 0;
    }

    fn take(&mut self) -> Vec<F> {
        let covered = std::mem::take(&mut self.covered);
        self.frames.drain(..covered).collect()
    }
}

#[cfg(test)]
mod tests {
    use claudemesh_core::session::Why;
    use claudemesh_core::{DeviceId, LogId, MemberId, MessageId, Millis};

    use super::*;

    const ID: MessageId = MessageId::from_bytes([7; 16]);
    const NONE: [u8; 0] = [];

    fn state(state: MessageState) -> Change {
        let (device, member) = (DeviceId::from_bytes([1; 32]), MemberId::from_bytes([2; 32]));
        Change::State { id: ID, device, member, state, at: Millis(1), visible: true }
    }

    fn of(changes: Vec<Change>) -> Depth {
        depth(&changes, false, false)
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
        assert_eq!(depth(&[state(MessageState::Accepted)], false, true), Depth::Durable);
        assert_eq!(depth(&[], true, false), Depth::Durable);
    }

    #[test]
    fn a_batch_without_anything_to_commit_makes_nothing_durable() {
        assert_eq!(depth(&[], false, true), Depth::Passing);
    }

    #[test]
    fn a_frame_leaves_after_a_sync_that_began_after_its_commit() {
        let mut held = Held::default();
        assert_eq!(held.committed(Depth::Repeated, vec![1]), NONE);
        assert!(held.begins_sync());
        assert_eq!(held.committed(Depth::Repeated, vec![2]), NONE);
        assert!(!held.begins_sync(), "one is under way");
        assert_eq!(held.synced(), [1], "the second came after the sync had begun");
        assert!(held.begins_sync());
        assert_eq!(held.synced(), [2]);
        assert!(!held.begins_sync());
        assert_eq!(held.committed(Depth::Passing, vec![3]), [3]);
    }

    #[test]
    fn a_durable_commit_makes_everything_before_it_durable() {
        let mut held = Held::default();
        assert_eq!(held.committed(Depth::Repeated, vec![1]), NONE);
        assert!(held.begins_sync());
        assert_eq!(held.committed(Depth::Durable, vec![2]), [1, 2]);
        assert_eq!(held.committed(Depth::Repeated, vec![3]), NONE);
        assert_eq!(held.synced(), NONE, "that sync began before the third");
        assert!(held.begins_sync());
        assert_eq!(held.synced(), [3]);
    }

    #[test]
    fn what_confirms_again_what_is_not_synced_waits_for_it() {
        let mut held = Held::default();
        assert_eq!(held.committed(Depth::Repeated, vec![1]), NONE);
        assert!(held.begins_sync());
        assert_eq!(held.committed(Depth::Passing, vec![2]), NONE);
        assert_eq!(held.synced(), [1, 2], "the second needs no sync of its own");
    }

    #[test]
    fn no_frame_passes_an_earlier_one() {
        let mut held = Held::default();
        assert_eq!(held.committed(Depth::Repeated, vec![1]), NONE);
        assert!(held.begins_sync());
        assert_eq!(held.committed(Depth::Repeated, vec![2]), NONE);
        assert_eq!(held.committed(Depth::Passing, vec![3]), NONE);
        assert_eq!(held.synced(), [1]);
        assert!(held.begins_sync());
        assert_eq!(held.synced(), [2, 3]);
    }

    #[test]
    fn a_new_connection_does_not_confirm_what_the_last_one_left_unsynced() {
        for begins in [false, true] {
            let mut held = Held::default();
            assert_eq!(held.committed(Depth::Repeated, if begins { vec![1] } else { Vec::new() }), NONE);
            assert_eq!(held.begins_sync(), begins);
            held.forget();
            assert_eq!(held.committed(Depth::Passing, vec![2]), NONE);
            assert_eq!(held.begins_sync(), !begins);
            assert_eq!(held.synced(), [2]);
        }
    }

    #[test]
    fn a_sync_that_fails_frees_nothing() {
        let mut held = Held::default();
        assert_eq!(held.committed(Depth::Repeated, vec![1]), NONE);
        assert!(held.begins_sync());
        held.sync_failed();
        held.forget();
        assert_eq!(held.committed(Depth::Passing, vec![2]), NONE);
        assert!(held.begins_sync());
        assert_eq!(held.synced(), [2]);
    }
}
