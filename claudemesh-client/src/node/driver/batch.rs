//! What is handled together, and committed together.

use std::collections::BTreeSet;

use claudemesh_core::MessageId;
use claudemesh_core::log::{EntryKind, Record};
use claudemesh_core::record::{Topic, TopicInfo, TopicMember};
use claudemesh_core::session::{AppendError, Change, Notice, Snapshot};
use claudemesh_core::wire::Frame;
use tokio::sync::oneshot;

use super::{Addressed, AppendReply, Reply};
use crate::error::Error;
use crate::node::held::Depth;
use crate::store::{Committed, Extra};

/// Who waits for a message to be on disk, and whom it goes to.
pub(super) struct SendReply {
    pub(super) id: MessageId,
    pub(super) to: Addressed,
    pub(super) reply: Reply<(Addressed, bool)>,
}

#[derive(Default)]
pub(super) struct Batch {
    pub(super) inputs: usize,
    pub(super) changes: Vec<Change>,
    pub(super) extra: Vec<Extra>,
    pub(super) frames: Vec<Frame>,
    pub(super) notices: Vec<Notice>,
    pub(super) replies: Vec<Reply<()>>,
    pub(super) sends: Vec<SendReply>,
    pub(super) connect: bool,
    pub(super) disconnect: bool,
    pub(super) stop: Option<oneshot::Sender<()>>,
}

/// Whether a change may alter who is who, what can be read, which topics there are or what the own member may do in them.
pub(super) fn rearranges(change: &Change) -> bool {
    let names = |record: &Record| matches!(record.kind, Topic::KIND | TopicInfo::KIND | TopicMember::KIND);
    match change {
        Change::Roster { .. }
        | Change::LogOpened { .. }
        | Change::LogClosed { .. }
        | Change::LogUnsealed { .. }
        | Change::LogEpoch { .. } => true,
        Change::LogEntry { link, sealed, .. } => sealed.is_some() || link.kind != Some(EntryKind::Records),
        Change::LogRecords(opened) => opened.late || Snapshot::names(opened) || opened.records.iter().any(names),
        _ => false,
    }
}

/// Whether a change can bear on who is to read a private log.
pub(super) fn concerns_members(change: &Change) -> bool {
    match change {
        Change::LogEpoch { .. } => true,
        Change::LogRecords(opened) => {
            opened.late || opened.records.iter().any(|record| record.kind == TopicMember::KIND)
        }
        _ => false,
    }
}

/// A batch whose commit is under way.
pub(super) struct UnderWay {
    /// None when there is nothing to commit.
    pub(super) committed: Option<Committed>,
    pub(super) batch: Batch,
    pub(super) depth: Depth,
    pub(super) eventful: BTreeSet<MessageId>,
    pub(super) answered: Vec<(AppendReply, Result<u64, AppendError>)>,
    pub(super) brings: Brings,
}

/// What a batch changes for those who do not ask for it.
#[derive(Clone, Copy)]
pub(super) struct Brings {
    pub(super) mail: bool,
    /// What [`rearranges`] says.
    pub(super) order: bool,
    /// What [`concerns_members`] says.
    pub(super) members: bool,
}

/// Nothing of a batch will be on disk.
pub(super) fn refuse(error: &Error, batch: Batch) {
    let copy = || Error::new(error.kind(), error.message()).with_hint(error.hint().unwrap_or_default());
    for reply in batch.replies {
        let _ = reply.send(Err(copy()));
    }
    for SendReply { reply, .. } in batch.sends {
        let _ = reply.send(Err(copy()));
    }
}

/// Waits for the commit under way.
pub(super) async fn committed(under_way: &mut Option<UnderWay>) -> Result<(), Error> {
    match under_way.as_mut().and_then(|under_way| under_way.committed.as_mut()) {
        Some(committed) => committed.await,
        None => Ok(()),
    }
}
