//! The logs this device keeps: following them, applying what they bring, telling what became of own records.
//!
//! What is missing is read from the state each time, so a lost reply or a crash needs no memory of its own: the next flush
//! sees the same gap and fills it. Records to be written are the exception: they are queued durably, and the entries that
//! carry them are sent again unchanged until they are in the log or definitely refused.

mod commit;
mod one;
mod outcome;
mod read;
mod write;

use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use rand_core::CryptoRng;

use one::Log;
pub use one::{InFlight, LogLink, LogPolicy, LogSnapshot, MAX_QUEUED, SealedAt};

use super::{Action, Change, Context, Fault, LoadError, Notice, OutboxKind, Pending, Session};
use crate::envelope::{Content, ContentBody, Lane, Priority};
use crate::id::{DeviceId, LogId, MemberId, MeshId, MessageId};
use crate::key::Secret32;
use crate::log::{HistoryPolicy, Membership, Record};
use crate::time::Millis;
use crate::wire::{self, ErrorCode, Frame};

/// The pause before trying again after a refused append, milliseconds.
const RETRY_AFTER: u64 = 500;
/// The pause before asking again for a private log that is not open to this device yet, milliseconds.
const KNOCK_AFTER: u64 = 15_000;
/// Logs a device follows at most: what the broker permits, with room for those it opens itself.
const MAX_OPEN: usize = 1000;
/// How long an invitation may wait for its recipient, milliseconds.
const INVITATION_TTL: u64 = 7 * 24 * 3600 * 1000;

/// What a log is to its mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogUse {
    /// The mesh's own log.
    Mesh,
    /// The log of `#general`.
    General,
    /// Another one.
    Other,
}

/// Records of one entry that opened, as the store takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecords {
    /// The log.
    pub log: LogId,
    /// What the log is to the mesh.
    pub usage: LogUse,
    /// The member this device belongs to.
    pub own: MemberId,
    /// Offset of the entry.
    pub offset: u64,
    /// Who wrote them.
    pub device: DeviceId,
    /// Its member.
    pub member: MemberId,
    /// Whether the member was admin or owner when they counted.
    pub is_admin: bool,
    /// Whether later entries were applied before: the epoch's secret was learned late.
    pub late: bool,
    /// Whether this device was in the mesh when they were written; what was said before is history.
    pub witnessed: bool,
    /// Whether the entry is the first in its log to name the roster index at which it counts. Later entries are judged by
    /// that, so it must not be dropped.
    pub raises: bool,
    /// The records, in order.
    pub records: Vec<Record>,
}

/// All logs of a mesh; the mesh's own and `#general` are always among them.
#[derive(Debug)]
pub(super) struct Logs {
    logs: BTreeMap<LogId, Log>,
    own: LogId,
    next_ticket: u64,
    /// Logs the store does not know yet.
    new: Vec<LogId>,
}

impl Logs {
    pub(super) fn load(
        mesh: MeshId,
        device: DeviceId,
        mut snapshots: BTreeMap<LogId, LogSnapshot>,
    ) -> Result<Self, LoadError> {
        let own = LogId::of_mesh(&mesh);
        let mut new = Vec::from([own, LogId::of_general(&mesh)]);
        new.retain(|id| !snapshots.contains_key(id));
        snapshots.extend(new.iter().map(|id| (*id, LogSnapshot::new(LogPolicy::OPEN))));
        let next_ticket = snapshots.values().filter_map(LogSnapshot::last_ticket).max().map_or(1, |it| it + 1);
        let mut logs = BTreeMap::new();
        for (id, snapshot) in snapshots {
            logs.insert(id, Log::load(mesh, id, device, snapshot)?);
        }
        Ok(Self { logs, own, next_ticket, new })
    }

    /// The current epoch of the mesh's own log.
    pub(super) fn mesh_epoch(&self) -> Option<(u64, &Secret32)> {
        self.logs.get(&self.own)?.reader.keys().current()
    }

    /// The secret of an epoch of the mesh's own log.
    pub(super) fn mesh_secret(&self, epoch: u64) -> Option<&Secret32> {
        self.logs.get(&self.own)?.reader.keys().secret(epoch)
    }

    /// Whether a fork was found in any of them.
    pub(super) fn are_forked(&self) -> bool {
        self.logs.values().any(|log| log.reader.fork().is_some())
    }

    fn open(&mut self, id: &LogId) -> Option<&mut Log> {
        self.logs.get_mut(id).filter(|log| log.open)
    }

    pub(super) fn forget_connection(&mut self) {
        for log in self.logs.values_mut() {
            log.link = one::Link::default();
        }
    }

    /// When something is to be done next. A turn that has come is taken as soon as the log is free.
    pub(super) fn deadline(&self, now: Millis) -> Option<Millis> {
        let turn = |at: Option<Millis>| at.filter(|at| *at > now);
        let times = |log: &Log| {
            let link = &log.link;
            [link.retry_at, turn(link.mends_at), turn(link.narrows_at), turn(link.asks_tail_at), link.quiet_at]
        };
        self.logs.values().filter(|log| log.open).flat_map(times).flatten().min()
    }

    /// The ids in order, one after the other, so that the logs may change on the way.
    fn after(&self, last: Option<LogId>) -> Option<LogId> {
        use core::ops::Bound::{Excluded, Unbounded};
        let from = last.map_or(Unbounded, Excluded);
        self.logs.range((from, Unbounded)).next().map(|(id, _)| *id)
    }
}

/// What keeps a device from reading all of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogGaps {
    /// Some entries do not open yet: a member hands on what opens them.
    pub sealed: bool,
    /// Some entries never will: the log's history is not for newcomers.
    pub withheld: bool,
}

impl Session {
    /// Epochs of a log that were committed and that this device cannot read yet. Past ones of a log whose history is not
    /// for newcomers are not among them: nobody hands those on.
    pub fn missing_epochs(&self, log: &LogId) -> impl Iterator<Item = u64> + '_ {
        self.logs.logs.get(log).into_iter().flat_map(|log| {
            let first = log.first_to_come();
            log.reader.keys().missing().filter(move |epoch| *epoch >= first)
        })
    }

    /// What keeps this device from reading all of a log.
    #[must_use]
    pub fn log_gaps(&self, log: &LogId) -> LogGaps {
        let Some(log) = self.logs.logs.get(log) else { return LogGaps::default() };
        let first = log.first_to_come();
        // Epochs grow with the offset.
        let (oldest, newest) = (log.sealed.values().next(), log.sealed.values().next_back());
        LogGaps {
            withheld: oldest.is_some_and(|at| at.epoch < first),
            sealed: newest.is_some_and(|at| at.epoch >= first),
        }
    }

    /// The logs that are followed.
    pub fn logs(&self) -> impl Iterator<Item = LogId> + '_ {
        self.logs.logs.iter().filter(|(_, log)| log.open).map(|(id, _)| *id)
    }

    /// The members a private log was last opened to; none for a log of the whole mesh.
    #[must_use]
    pub fn log_audience(&self, log: &LogId) -> Option<BTreeSet<MemberId>> {
        let devices = self.logs.logs.get(log)?.reader.tip().audience()?;
        Some(devices.filter_map(|device| self.roster.member_of(&device)).collect())
    }

    /// Members of a private log who left it and can read it until its next epoch, as far as this device was told.
    pub fn log_leavers(&self, log: &LogId) -> impl Iterator<Item = MemberId> + '_ {
        self.logs.logs.get(log).into_iter().flat_map(|log| log.leavers.iter().copied())
    }

    /// The logs that are not open to this device, as far as the broker has said: it was shut out, or nobody has let it in
    /// yet. What is written to them waits until somebody does.
    pub fn shut_out(&self) -> impl Iterator<Item = LogId> + '_ {
        self.logs.logs.iter().filter(|(_, log)| log.link.shut).map(|(id, _)| *id)
    }

    /// The number of the record that was queued last.
    #[must_use]
    pub fn last_ticket(&self) -> u64 {
        self.logs.next_ticket - 1
    }

    /// The history policy of a log, as far as it is known here.
    #[must_use]
    pub fn log_history(&self, log: &LogId) -> HistoryPolicy {
        self.logs.logs.get(log).map_or(HistoryPolicy::All, |log| log.policy.history)
    }

    /// How many entries of a log are verified here, and how many of them do not open yet; none for a log not kept here.
    #[must_use]
    pub fn log_size(&self, log: &LogId) -> Option<(u64, usize)> {
        self.logs.logs.get(log).map(|log| (log.tail(), log.sealed.len()))
    }

    /// Follows a log from now on, or changes who may read it.
    pub(super) fn open_log<R>(&mut self, id: LogId, policy: LogPolicy, cx: &mut Context<'_, R>) {
        let (mesh, device) = (self.mesh, self.device);
        let log = match self.logs.logs.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let Ok(log) = Log::load(mesh, id, device, LogSnapshot::new(policy.clone())) else { return };
                place.insert(log)
            }
        };
        log.link.refollow |= !log.open || !log.link.followed;
        log.open = true;
        if let Some(audience) = &policy.audience {
            log.leavers.retain(|member| !audience.contains(member));
        }
        log.policy = policy.clone();
        cx.persist(Change::LogOpened { log: id, policy });
        self.settle_audience(id, cx);
    }

    /// Tells members of a private log that it is open to them.
    pub(super) fn invite_to_log<R: CryptoRng>(&mut self, log: LogId, members: &[MemberId], cx: &mut Context<'_, R>) {
        for member in members {
            let devices = self.roster.devices_of(member).filter(|device| device.is_live() && device.id != self.device);
            let recipients: Vec<_> = devices.map(|device| self.recipient(device.id, *member, true)).collect();
            if recipients.is_empty() {
                continue;
            }
            let content = Content {
                acting: recipients.iter().map(|recipient| recipient.device).collect(),
                target_session: None,
                sending_session: None,
                sent_at: cx.now,
                priority: Priority::Next,
                reply_to: None,
                hops: 0,
                addressed: Vec::from([*member]),
                body: ContentBody::Invitation(log),
            };
            let id = MessageId::generate(cx.now, cx.rng);
            self.queue(id, OutboxKind::Invitation, Lane::Next, (cx.now, INVITATION_TTL), &content, recipients);
        }
    }

    /// Remembers who left a private log.
    pub(super) fn note_leavers(&mut self, id: LogId, members: BTreeSet<MemberId>, leads: bool) {
        let Some(log) = self.logs.open(&id) else { return };
        (log.leavers, log.leads) = (members, leads);
    }

    /// Follows a log that a member says is open to this device.
    pub(super) fn take_invitation<R>(&mut self, log: LogId, cx: &mut Context<'_, R>) {
        let open = self.logs.logs.values().filter(|log| log.open).count();
        match self.logs.open(&log) {
            // It was shut, and may be open to this device now.
            Some(log) if log.link.shut => log.link.retry_at = Some(cx.now),
            None if open < MAX_OPEN => self.open_log(log, LogPolicy::OPEN, cx),
            _ => {}
        }
    }

    /// Follows a log no longer; what is known of it stays.
    pub(super) fn close_log<R>(&mut self, id: LogId, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.open(&id) else { return };
        log.open = false;
        log.link = one::Link::default();
        cx.persist(Change::LogClosed { log: id });
    }

    /// Queues a record; `token` hears what becomes of it while this session runs.
    pub(super) fn write_record<R>(&mut self, token: u64, id: LogId, record: Record, cx: &mut Context<'_, R>) {
        let ticket = self.logs.next_ticket;
        let error = match self.logs.open(&id) {
            None => Some(ErrorCode::UnknownLog),
            Some(log) if log.queued() >= MAX_QUEUED => Some(ErrorCode::MailboxFull),
            Some(_) => None,
        };
        if let Some(error) = error {
            return cx.notify(Notice::Written { token, result: Err(error) });
        }
        let Some(log) = self.logs.open(&id) else { return };
        log.queue.insert(ticket, record);
        log.unsaved.insert(ticket);
        log.tokens.insert(ticket, token);
        self.logs.next_ticket += 1;
    }

    /// Takes up a compaction; `token` hears what becomes of it.
    pub(super) fn compact_log<R>(
        &mut self,
        token: u64,
        id: LogId,
        offsets: Vec<u64>,
        tail: u64,
        cx: &mut Context<'_, R>,
    ) {
        let error = match self.logs.open(&id) {
            None => Some(ErrorCode::UnknownLog),
            Some(log) if log.compaction.is_some() || log.compacting.is_some() => Some(ErrorCode::RateLimited),
            Some(_) => None,
        };
        match (error, self.logs.open(&id)) {
            (None, Some(log)) => log.compaction = Some(one::Compaction { token, offsets, tail }),
            (error, _) => {
                let error = error.unwrap_or(ErrorCode::UnknownLog);
                cx.notify(Notice::Written { token, result: Err(error) });
            }
        }
    }

    pub(super) fn follow_logs<R>(&mut self, cx: &mut Context<'_, R>) {
        let mut last = None;
        while let Some(id) = self.logs.after(last) {
            last = Some(id);
            self.follow_log(id, cx);
        }
    }

    pub(super) fn follow_log<R>(&mut self, id: LogId, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.open(&id) else { return };
        log.link.refollow = false;
        log.link.asks = true;
        let tail = log.reader.tip().tail();
        let request = self.request(Pending::LogFollow(id));
        let frame = wire::LogFollow { log: id, from: tail.offset + 1, hash: tail.hash };
        cx.out.push(Action::Send(Frame::new(request, frame)));
    }

    pub(super) fn on_followed(&mut self, id: &LogId) {
        let Some(log) = self.logs.open(id) else { return };
        (log.link.asks, log.link.followed, log.link.shut) = (false, true, false);
    }

    pub(super) fn on_follow_error<R: CryptoRng>(&mut self, id: &LogId, error: &wire::Error, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.open(id) else { return };
        log.link.asks = false;
        match error.code {
            // A log that nobody has written yet: the first commit makes it.
            ErrorCode::UnknownLog if log.past.0.is_empty() => log.link.followed = true,
            // A private log whose secret is not wrapped to this device yet.
            ErrorCode::Forbidden => {
                log.link.shut = true;
                log.link.retry_at = Some(cx.now.plus(KNOCK_AFTER));
            }
            code if code.is_retryable() => {
                log.link.retry_at = Some(cx.now.plus(error.retry_after_ms.unwrap_or(RETRY_AFTER)));
            }
            _ => self.fault(Fault::LogFork, cx),
        }
    }
}
