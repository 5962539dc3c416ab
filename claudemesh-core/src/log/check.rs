//! May this entry follow? One pure function, used by the broker when it appends and by every client when it reads.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::tip::Current;
use super::{
    Commit, EntryKind, ForkedChain, HistoryPolicy, LogEntry, LogError, LogFork, LogTip, Past, Payload, Position,
    Rewrap, Rule, WrapRecord,
};
use crate::codec::HashBytes;
use crate::head::{Connection, RosterHead};
use crate::id::{DeviceId, LogId, MemberId, MeshId};
use crate::key::PublicKey;

/// What a log must know of the roster. Indices are roster indices: "at `n`" means after entry `n`.
pub trait Membership {
    /// The mesh.
    fn mesh(&self) -> MeshId;
    /// The last roster entry known.
    fn head(&self) -> RosterHead;
    /// How `head` lies to the own roster.
    fn connects(&self, head: &RosterHead) -> Connection;
    /// Whether the device was live at `index`.
    fn was_live_at(&self, device: &DeviceId, index: u64) -> bool;
    /// The devices that are live now.
    fn live_devices(&self) -> Vec<DeviceId>;
    /// The key of a device that is or was in the roster.
    fn public_key(&self, device: &DeviceId) -> Option<PublicKey>;
    /// The devices removed after `index`, in whatever way.
    fn removed_since(&self, index: u64) -> Vec<DeviceId>;
    /// The member a device belongs to, also after its removal.
    fn member_of(&self, device: &DeviceId) -> Option<MemberId>;
    /// Whether the member was admin or owner at `index`.
    fn was_admin_at(&self, member: &MemberId, index: u64) -> bool;

    /// Whether the device is live now.
    fn is_live(&self, device: &DeviceId) -> bool {
        self.was_live_at(device, self.head().index)
    }

    /// Whether the member is admin or owner now.
    fn is_admin(&self, member: &MemberId) -> bool {
        self.was_admin_at(member, self.head().index)
    }
}

/// From where an entry is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// By the broker as it appends, or by a writer before it sends: the roster's head is the one in force.
    Current,
    /// By a reader: the roster may have moved on since the entry was appended. The head in force then was at least the
    /// highest that the log had named by that time, and that is what the entry is judged at; so all readers agree.
    Replay,
}

/// Says whether `entry` may follow `tip`.
///
/// Compare-and-swap on the tail and finding a retry by its (device, seq) are the store's business and come first.
///
/// # Errors
/// The first rule the entry breaks, see [`LogError`]. [`LogError::UnknownHead`] and [`LogError::UnknownPosition`] say
/// that the caller knows too little to judge.
pub fn check_append(
    tip: &LogTip,
    entry: &LogEntry,
    membership: &impl Membership,
    at: At,
    past: &impl Past,
) -> Result<(), LogError> {
    check_author(tip, entry, membership)?;
    check_signed(tip, entry, membership, at, past)
}

/// Whether its author signed it for this log.
fn check_author(tip: &LogTip, entry: &LogEntry, membership: &impl Membership) -> Result<(), LogError> {
    let body = entry.body();
    if body.mesh != tip.mesh || body.log != tip.log() || membership.mesh() != tip.mesh {
        return Err(LogError::WrongLog);
    }
    let key = membership.public_key(&body.author).ok_or_else(|| match membership.connects(&body.head) {
        // The author may have joined in roster entries that are yet to come.
        Connection::Ahead => LogError::UnknownHead { index: body.head.index },
        Connection::Known | Connection::Fork => LogError::UnknownAuthor,
    })?;
    entry.verify(&key).map_err(|_| LogError::BadSignature)
}

/// As [`check_append`], for an entry whose signature is known to be good.
pub(super) fn check_signed(
    tip: &LogTip,
    entry: &LogEntry,
    membership: &impl Membership,
    at: At,
    past: &impl Past,
) -> Result<(), LogError> {
    let body = entry.body();
    connect(tip, entry, &body.head, membership)?;
    if let Payload::Commit(commit) = entry.payload() {
        connect(tip, entry, &commit.head, membership)?;
    }
    // The roster index at which the entry is judged.
    let index = match (at, entry.payload()) {
        (At::Current, _) => membership.head().index,
        (At::Replay, Payload::Commit(commit)) => tip.witnessed.max(body.head.index).max(commit.head.index),
        (At::Replay, _) => tip.witnessed.max(body.head.index),
    };
    if !membership.was_live_at(&body.author, body.head.index) || !membership.was_live_at(&body.author, index) {
        return Err(LogError::AuthorNotLive);
    }
    let last = tip.last_seq(&body.author);
    if body.seq <= last {
        return Err(LogError::SeqUsed { last });
    }
    check_seen(tip, entry, past)?;
    if !tip.grants(&body.author) {
        return Err(LogError::Forbidden);
    }
    match (entry.payload(), &tip.current) {
        (Payload::Commit(commit), current) => check_commit(tip, entry, commit, current.as_ref(), membership, at, index),
        (_, None) => Err(LogError::Invalid(Rule::FirstIsCommit)),
        (payload, Some(current)) => {
            if body.epoch > tip.epoch {
                return Err(LogError::Invalid(Rule::EpochOutOfTurn));
            }
            if body.epoch < tip.epoch || current.is_stale(membership, index) {
                return Err(LogError::StaleEpoch { current: tip.epoch });
            }
            check_payload(tip, entry, payload, current, membership, at, index, past)
        }
    }
}

/// Refuses heads that are not on the own roster chain.
fn connect(tip: &LogTip, entry: &LogEntry, head: &RosterHead, membership: &impl Membership) -> Result<(), LogError> {
    match membership.connects(head) {
        Connection::Known => Ok(()),
        Connection::Ahead => Err(LogError::UnknownHead { index: head.index }),
        Connection::Fork => {
            let ours = membership.head();
            Err(LogFork {
                chain: ForkedChain::Roster,
                at: tip.tail().offset + 1,
                author: Some(entry.body().author),
                named: Position { offset: head.index, hash: head.hash },
                ours: Position { offset: ours.index, hash: ours.hash },
            }
            .into())
        }
    }
}

/// The position the author had seen must lie on this chain.
fn check_seen(tip: &LogTip, entry: &LogEntry, past: &impl Past) -> Result<(), LogError> {
    let (named, tail) = (entry.body().seen, tip.tail());
    let ours = if named.offset > tail.offset {
        tail
    } else {
        let hash = tip.chain.hash_at(named.offset).or_else(|| past.hash_at(named.offset));
        let hash = hash.ok_or(LogError::UnknownPosition { offset: named.offset })?;
        Position { offset: named.offset, hash: HashBytes(hash) }
    };
    if named == ours {
        return Ok(());
    }
    let (at, author) = (tail.offset + 1, Some(entry.body().author));
    Err(LogFork { chain: ForkedChain::Log, at, author, named, ours }.into())
}

fn check_commit(
    tip: &LogTip,
    entry: &LogEntry,
    commit: &Commit,
    current: Option<&Current>,
    membership: &impl Membership,
    at: At,
    index: u64,
) -> Result<(), LogError> {
    let body = entry.body();
    let invalid = |rule| Err(LogError::Invalid(rule));
    if body.epoch <= tip.epoch {
        return Err(if tip.epoch == 0 {
            LogError::Invalid(Rule::FirstIsCommit)
        } else {
            LogError::EpochTaken { current: tip.epoch }
        });
    }
    if body.epoch != tip.epoch + 1 {
        return invalid(Rule::EpochOutOfTurn);
    }
    // `index` is the head in force: exactly, or the least it can have been. A commit made at another would wrap to
    // devices that were removed by then, or leave out those that joined.
    if commit.head.index != index {
        return match at {
            At::Current => Err(LogError::HeadMoved { index }),
            At::Replay => invalid(Rule::CommitHeadBehind),
        };
    }
    let own = tip.log() == LogId::of_mesh(&tip.mesh);
    let all = commit.history == HistoryPolicy::All;
    if (own && !all) || (commit.link.is_some() && (!all || body.epoch == 1)) {
        return invalid(Rule::History);
    }
    let private = commit.audience.is_some();
    if (own && private) || current.is_some_and(|current| current.audience.is_some() != private) {
        return invalid(Rule::Audience);
    }
    let mut audience = BTreeSet::new();
    if let Some(devices) = &commit.audience {
        if !devices.iter().all(|device| audience.insert(*device)) {
            return invalid(Rule::Doubled);
        }
        if !audience.contains(&body.author) {
            return invalid(Rule::Audience);
        }
    }
    check_wraps(&commit.wraps, |device| {
        membership.was_live_at(device, commit.head.index) && (!private || audience.contains(device))
    })
}

#[expect(clippy::too_many_arguments, reason = "the context of one judgement, passed on whole")]
fn check_payload(
    tip: &LogTip,
    entry: &LogEntry,
    payload: &Payload,
    current: &Current,
    membership: &impl Membership,
    at: At,
    index: u64,
    past: &impl Past,
) -> Result<(), LogError> {
    let invalid = |rule| Err(LogError::Invalid(rule));
    let author = &entry.body().author;
    let exists = |epoch: u64| (1..=tip.epoch).contains(&epoch);
    match payload {
        Payload::Records | Payload::Commit(_) => Ok(()),
        Payload::HistoryLink(_) if current.history != HistoryPolicy::All => invalid(Rule::History),
        Payload::HistoryLink(link) if link.epoch < 2 || !exists(link.epoch) => invalid(Rule::NoSuchEpoch),
        Payload::HistoryLink(_) => Ok(()),
        Payload::Rewrap(Rewrap { epoch, .. }) if !exists(*epoch) => invalid(Rule::NoSuchEpoch),
        Payload::Rewrap(Rewrap { wraps, .. }) => {
            check_wraps(wraps, |device| membership.was_live_at(device, index) && current.admits(device))
        }
        Payload::BadCommit(report) if !exists(report.epoch) => invalid(Rule::NoSuchEpoch),
        Payload::BadCommit(report) if report.epoch == tip.epoch && !current.wrapped.contains(author) => {
            invalid(Rule::NoWrapToReport)
        }
        Payload::BadCommit(_) => Ok(()),
        Payload::Compaction(compaction) => {
            if !membership.member_of(author).is_some_and(|member| membership.was_admin_at(&member, index)) {
                return Err(LogError::Forbidden);
            }
            check_compaction(&compaction.offsets, tip.tail().offset, at, past)
        }
    }
}

fn check_wraps(wraps: &[WrapRecord], may_hold: impl Fn(&DeviceId) -> bool) -> Result<(), LogError> {
    let mut seen = BTreeSet::new();
    for wrap in wraps {
        if !seen.insert(wrap.device) {
            return Err(LogError::Invalid(Rule::Doubled));
        }
        if !may_hold(&wrap.device) {
            return Err(LogError::Invalid(Rule::WrapRecipient(wrap.device)));
        }
    }
    Ok(())
}

/// Only records may go: without the other kinds nobody could judge what follows them.
fn check_compaction(offsets: &[u64], tail: u64, at: At, past: &impl Past) -> Result<(), LogError> {
    if offsets.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(LogError::Invalid(Rule::Doubled));
    }
    let droppable = |offset: u64| match past.kind_at(offset) {
        Some(kind) => kind == EntryKind::Records,
        // A reader may never have been served the entry; a later epoch it cannot place will tell.
        None => at == At::Replay,
    };
    if offsets.iter().all(|&offset| (1..=tail).contains(&offset) && droppable(offset)) {
        Ok(())
    } else {
        Err(LogError::Invalid(Rule::Compaction))
    }
}
