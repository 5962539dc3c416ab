//! The logs this device keeps: following them, applying what they bring, telling what became of own records.
//!
//! What is missing is read from the state each time, so a lost reply or a crash needs no memory of its own: the next flush
//! sees the same gap and fills it. Records to be written are the exception: they are queued durably, and the entry that
//! carries them is sent again unchanged until it is in the log or definitely refused.

mod one;
mod write;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use rand_core::CryptoRng;

use one::Log;
pub use one::{InFlight, LogLink, LogPolicy, LogSnapshot, MAX_QUEUED, SealedAt};

use super::{Action, Change, Context, Fault, LoadError, Notice, OutboxKind, Pending, Session};
use crate::codec::HashBytes;
use crate::device::PrekeyId;
use crate::envelope::{Content, ContentBody, Lane, Priority};
use crate::hash::Hash;
use crate::id::{DeviceId, LogId, MemberId, MeshId, MessageId};
use crate::key::Secret32;
use crate::log::directory::RecordAt;
use crate::log::{HistoryPolicy, LogEntry, LogError, LogEvent, Membership, Past, Position, Record, Served};
use crate::time::Millis;
use crate::wire::{self, ErrorCode, Frame};

/// The pause before trying again after a refused append, milliseconds.
const RETRY_AFTER: u64 = 500;
/// The pause before asking again for a private log that is not open to this device yet, milliseconds.
const KNOCK_AFTER: u64 = 15_000;
/// A log whose current epoch cannot be read gets a new one when no more entries come for this long, milliseconds.
const QUIET: u64 = 30;
/// Logs a device follows at most: what the broker permits, with room for those it opens itself.
const MAX_OPEN: usize = 1000;
/// How long an invitation may wait for its recipient, milliseconds.
const INVITATION_TTL: u64 = 7 * 24 * 3600 * 1000;
/// Old entries fetched at once.
const FETCH: u64 = 256;

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
        let next_ticket =
            snapshots.values().filter_map(|log| log.queue.keys().next_back()).max().map_or(1, |it| it + 1);
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
        let times = |log: &Log| [log.link.retry_at, log.link.mends_at.filter(|at| *at > now), log.link.quiet_at];
        self.logs.values().filter(|log| log.open).flat_map(times).flatten().min()
    }

    /// The ids in order, one after the other, so that the logs may change on the way.
    fn after(&self, last: Option<LogId>) -> Option<LogId> {
        use core::ops::Bound::{Excluded, Unbounded};
        let from = last.map_or(Unbounded, Excluded);
        self.logs.range((from, Unbounded)).next().map(|(id, _)| *id)
    }
}

impl Session {
    /// Epochs of a log that were committed and that this device cannot read yet.
    pub fn missing_epochs(&self, log: &LogId) -> impl Iterator<Item = u64> + '_ {
        self.logs.logs.get(log).into_iter().flat_map(|log| log.reader.keys().missing())
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
        if !self.logs.logs.contains_key(&id) {
            let Ok(log) = Log::load(mesh, id, device, LogSnapshot::new(policy.clone())) else { return };
            self.logs.logs.insert(id, log);
        }
        let Some(log) = self.logs.logs.get_mut(&id) else { return };
        log.link.refollow |= !log.open || !log.link.followed;
        log.open = true;
        log.policy = policy.clone();
        cx.persist(Change::LogOpened { log: id, policy });
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

    /// Follows a log that a member says is open to this device.
    pub(super) fn take_invitation<R>(&mut self, log: LogId, cx: &mut Context<'_, R>) {
        let open = self.logs.logs.values().filter(|log| log.open).count();
        if self.logs.open(&log).is_none() && open < MAX_OPEN {
            self.open_log(log, LogPolicy::OPEN, cx);
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
            Some(log) if log.queue.len() >= MAX_QUEUED => Some(ErrorCode::MailboxFull),
            Some(_) => None,
        };
        if let Some(error) = error {
            return cx.notify(Notice::Written { token, result: Err(error) });
        }
        let Some(log) = self.logs.open(&id) else { return };
        cx.persist(Change::LogQueued { log: id, ticket, record: record.clone() });
        log.queue.insert(ticket, record);
        log.tokens.insert(ticket, token);
        self.logs.next_ticket += 1;
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
        (log.link.asks, log.link.followed) = (false, true);
    }

    pub(super) fn on_follow_error<R: CryptoRng>(&mut self, id: &LogId, error: &wire::Error, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.open(id) else { return };
        log.link.asks = false;
        match error.code {
            // A log that nobody has written yet: the first commit makes it.
            ErrorCode::UnknownLog if log.past.0.is_empty() => log.link.followed = true,
            // A private log whose secret is not wrapped to this device yet.
            ErrorCode::Forbidden => log.link.retry_at = Some(cx.now.plus(KNOCK_AFTER)),
            code if code.is_retryable() => {
                log.link.retry_at = Some(cx.now.plus(error.retry_after_ms.unwrap_or(RETRY_AFTER)));
            }
            _ => self.fault(Fault::LogFork, cx),
        }
    }

    pub(super) fn on_log_push<R: CryptoRng>(&mut self, push: &wire::LogPush, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.open(&push.log) else { return };
        let known = log.tail();
        let parsed = match Served::from_wire(&push.entry) {
            Served::Entry(_) => LogEntry::parse(push.entry.clone()).map(Ok),
            Served::Hash(hash) => Ok(Err(hash)),
        };
        let prekeys = &self.prekeys;
        let applied = parsed.and_then(|entry| {
            let served = entry.as_ref().map_err(|hash| *hash);
            let secret = |id| prekeys.secret(PrekeyId(id));
            log.reader.apply_entry(push.offset, served, &self.roster, secret, &log.past).map(|events| (events, entry))
        });
        match applied {
            Ok((events, entry)) => {
                log.link.followed = true;
                if push.offset == known + 1 {
                    self.on_log_entry(push.log, push.offset, entry.ok().as_ref(), events, cx);
                }
            }
            Err(LogError::UnknownHead { index }) => {
                // The roster has to catch up first; following again brings the entry back.
                log.link.followed = false;
                if log.link.waits.is_none() {
                    let number = self.sync_roster(cx);
                    if let Some(log) = self.logs.open(&push.log) {
                        log.link.waits = Some((number, index));
                    }
                }
            }
            Err(LogError::OutOfTurn { .. }) => {
                log.link.followed = false;
                log.link.refollow |= !log.link.asks && log.link.waits.is_none();
            }
            Err(_) => {
                log.link.followed = false;
                self.fault(Fault::LogFork, cx);
            }
        }
    }

    /// Follows logs again when the roster entries they waited for are here, which `number` was to fetch.
    pub(super) fn retry_logs<R: CryptoRng>(&mut self, number: u64, cx: &mut Context<'_, R>) {
        let head = self.roster.head().index;
        let mut lacking = false;
        for log in self.logs.logs.values_mut() {
            if let Some((_, index)) = log.link.waits.take_if(|(asked, _)| *asked == number) {
                log.link.refollow |= head >= index;
                lacking |= head < index;
            }
        }
        if lacking {
            self.fault(Fault::LogFork, cx);
        }
    }

    /// Takes up an entry that the reader has applied as the next one.
    fn on_log_entry<R: CryptoRng>(
        &mut self,
        id: LogId,
        offset: u64,
        entry: Option<&LogEntry>,
        events: Vec<LogEvent>,
        cx: &mut Context<'_, R>,
    ) {
        let Some(log) = self.logs.logs.get_mut(&id) else { return };
        let sealed = events.iter().find_map(|event| match event {
            LogEvent::Sealed { epoch, roster_index, .. } => {
                Some(SealedAt { epoch: *epoch, roster_index: *roster_index })
            }
            _ => None,
        });
        let link = LogLink { chain: log.reader.tip().tail().hash.0, kind: entry.map(|entry| entry.body().kind) };
        log.past.0.push(link);
        log.sealed.extend(sealed.map(|sealed| (offset, sealed)));
        log.changed = true;
        cx.persist(Change::LogEntry { log: id, offset, link, sealed });
        if log.link.await_offset.is_some_and(|own| offset >= own) {
            (log.link.await_offset, log.link.busy) = (None, false);
        }
        for event in events {
            self.on_log_event(id, event, cx);
        }
        if let Some(log) = self.logs.logs.get_mut(&id) {
            log.link.quiet_at = log.reader.keys().current().is_none().then(|| cx.now.plus(QUIET));
        }
        if let Some(body) = entry.map(LogEntry::body).filter(|body| body.author == self.device) {
            self.on_written(id, body.seq, offset, cx);
        }
    }

    fn on_log_event<R: CryptoRng>(&mut self, id: LogId, event: LogEvent, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.logs.get_mut(&id) else { return };
        match event {
            LogEvent::Records { offset, author, roster_index, records } => {
                self.on_records_opened(id, (offset, author, roster_index), records, false, cx);
            }
            LogEvent::EpochAdvanced { epoch, author, history } => {
                log.policy.history = history;
                if author == self.device && log.policy.audience.take().is_some() {
                    cx.persist(Change::LogOpened { log: id, policy: log.policy.clone() });
                }
                log.spoiled = false;
                log.epoch_began = (log.tail(), cx.now);
                if history == HistoryPolicy::None {
                    log.reader.keys_mut().erase_below(epoch);
                }
                cx.persist(Change::LogEpoch { log: id, began: log.epoch_began });
            }
            LogEvent::EpochLearned { .. } if id == self.logs.own => {
                self.presence_due = Some(cx.now);
                cx.notify(Notice::Directory);
            }
            LogEvent::EpochUnreadable { epoch, reason: Some(reason) } => log.unusable = Some((epoch, reason)),
            LogEvent::BadCommitReported { epoch, .. } => log.spoiled |= epoch == log.reader.tip().epoch(),
            _ => {}
        }
    }

    fn on_records_opened<R>(
        &mut self,
        id: LogId,
        (offset, device, roster_index): (u64, DeviceId, u64),
        records: Vec<Record>,
        late: bool,
        cx: &mut Context<'_, R>,
    ) {
        let Some(member) = self.roster.member_of(&device) else { return };
        let is_admin = self.roster.was_admin_at(&member, roster_index);
        let usage = match id {
            id if id == self.logs.own => LogUse::Mesh,
            id if id == LogId::of_general(&self.mesh) => LogUse::General,
            _ => LogUse::Other,
        };
        let opened = LogRecords { log: id, usage, own: self.member, offset, device, member, is_admin, late, records };
        if usage == LogUse::Mesh {
            self.take_directory(&opened, roster_index, cx);
        }
        cx.persist(Change::LogRecords(opened));
    }

    /// An entry of this device is in the log.
    fn on_written<R>(&mut self, id: LogId, seq: u64, offset: u64, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.logs.get_mut(&id) else { return };
        let Some(flight) = log.in_flight.take_if(|flight| flight.seq == seq) else { return };
        (log.link.await_offset, log.link.busy) = (None, false);
        for (index, ticket) in (0..).zip(&flight.tickets) {
            log.queue.remove(ticket);
            if let Some(token) = log.tokens.remove(ticket) {
                let at: RecordAt = (offset, index);
                cx.out.push(Action::Notify(Notice::Written { token, result: Ok(at) }));
            }
        }
        cx.persist(Change::LogDone { log: id, tickets: flight.tickets });
    }

    pub(super) fn on_log_appended<R: CryptoRng>(
        &mut self,
        id: LogId,
        reply: &wire::LogAppended,
        cx: &mut Context<'_, R>,
    ) {
        let Some(log) = self.logs.open(&id) else { return };
        let position = Position { offset: reply.offset, hash: reply.chain };
        if let Err(LogError::Fork(_)) = log.reader.expect(position, &log.past) {
            return self.fault(Fault::LogFork, cx);
        }
        if log.tail() >= reply.offset {
            (log.link.busy, log.link.await_offset) = (false, None);
        } else {
            log.link.await_offset = Some(reply.offset);
        }
        // The log was made by this append, or following it was refused before: follow it now.
        log.link.refollow |= !log.link.followed;
    }

    pub(super) fn on_log_append_error<R: CryptoRng>(
        &mut self,
        id: LogId,
        error: &wire::Error,
        cx: &mut Context<'_, R>,
    ) {
        let Some(log) = self.logs.open(&id) else { return };
        log.link.busy = false;
        log.link.retry_at = Some(cx.now.plus(error.retry_after_ms.unwrap_or(RETRY_AFTER)));
        let permanent = matches!(error.code, ErrorCode::Forbidden | ErrorCode::TooLarge | ErrorCode::Malformed);
        // The entry is not in the log and never will be: its records go into another one.
        if let Some(flight) = log.in_flight.take_if(|_| !error.code.is_retryable()) {
            if permanent {
                for ticket in &flight.tickets {
                    log.queue.remove(ticket);
                    let token = log.tokens.remove(ticket);
                    let result = Err(error.code);
                    cx.out.extend(token.map(|token| Action::Notify(Notice::Written { token, result })));
                }
                cx.persist(Change::LogDone { log: id, tickets: flight.tickets });
            } else {
                cx.persist(Change::LogInFlight { log: id, flight: None });
            }
        }
        match error.code {
            ErrorCode::HeadMoved | ErrorCode::UnknownHead | ErrorCode::StaleEpoch => {
                log.link.retry_at = Some(cx.now.plus(error.retry_after_ms.unwrap_or(20)));
                self.sync_roster(cx);
            }
            ErrorCode::EpochTaken => log.link.retry_at = Some(cx.now.plus(20)),
            // A number that is used up cannot be one of this store's.
            ErrorCode::IdConflict => log.next_seq += 1,
            ErrorCode::InvalidEntry => {
                log.link.retry_at = Some(cx.now.plus(KNOCK_AFTER));
                self.fault(Fault::LogFork, cx);
            }
            _ => {}
        }
    }

    /// Fetches entries again that came before the secret that opens them.
    fn fetch_sealed<R>(&mut self, id: LogId, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.open(&id) else { return };
        if log.link.fetches || !log.link.followed || log.link.retry_at.is_some() {
            return;
        }
        let keys = log.reader.keys();
        let Some(from) = log.sealed.iter().find(|(_, at)| keys.secret(at.epoch).is_some()).map(|(offset, _)| *offset)
        else {
            return;
        };
        let Some(hash) = log.past.hash_at(from - 1).or_else(|| log.reader.tip().chain().hash_at(from - 1)) else {
            return;
        };
        log.link.fetches = true;
        let request = self.request(Pending::LogRange(id));
        let frame = wire::LogRange { log: id, from, limit: FETCH, hash: HashBytes(hash) };
        cx.out.push(Action::Send(Frame::new(request, frame)));
    }

    /// They are asked for again after a pause.
    pub(super) fn on_fetch_failed<R>(&mut self, id: &LogId, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.open(id) else { return };
        log.link.fetches = false;
        log.link.retry_at = Some(cx.now.plus(RETRY_AFTER));
    }

    pub(super) fn on_log_fetched<R: CryptoRng>(&mut self, reply: &wire::LogEntries, cx: &mut Context<'_, R>) {
        let id = reply.log;
        if reply.entries.is_empty() {
            return self.on_fetch_failed(&id, cx);
        }
        if let Some(log) = self.logs.open(&id) {
            log.link.fetches = false;
        }
        for (offset, bytes) in (reply.from..).zip(reply.entries.iter()) {
            let Some(log) = self.logs.open(&id) else { return };
            let Some(at) = log.sealed.get(&offset).copied() else { continue };
            if log.reader.keys().secret(at.epoch).is_none() {
                continue;
            }
            let opened = match Served::from_wire(bytes) {
                Served::Hash(hash) => log.holds(offset, &hash).then_some(None),
                Served::Entry(_) => LogEntry::parse(bytes.clone())
                    .ok()
                    .filter(|entry| log.holds(offset, entry.hash()))
                    .map(|entry| Some((entry.body().author, log.reader.open(&entry).unwrap_or_default()))),
            };
            let Some(opened) = opened else { return self.fault(Fault::LogFork, cx) };
            log.sealed.remove(&offset);
            match opened {
                Some((author, records)) if !records.is_empty() => {
                    self.on_records_opened(id, (offset, author, at.roster_index), records, true, cx);
                }
                // Compacted meanwhile, or garbled: nothing to be read there, ever.
                _ => cx.persist(Change::LogUnsealed { log: id, offset }),
            }
        }
    }
}

impl Log {
    /// Whether the entry with this hash is the one that stands at `offset`.
    fn holds(&self, offset: u64, hash: &Hash) -> bool {
        let before = self.past.hash_at(offset - 1).or_else(|| self.reader.tip().chain().hash_at(offset - 1));
        let after = self.past.hash_at(offset);
        before.zip(after).is_some_and(|(before, after)| {
            let before = Position { offset: offset - 1, hash: HashBytes(before) };
            crate::log::Chain::at(self.id(), before).next(hash).hash.0 == after
        })
    }
}
