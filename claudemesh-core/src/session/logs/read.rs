//! Reading logs: entries as they come, and those again that came before the secret that opens them.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::one::{Log, LogLink, SealedAt};
use super::{LogRecords, LogUse};
use crate::codec::HashBytes;
use crate::device::PrekeyId;
use crate::hash::Hash;
use crate::id::{DeviceId, LogId};
use crate::log::{HistoryPolicy, LogEntry, LogError, LogEvent, Membership, Past, Position, Record, Served};
use crate::session::{Action, Change, Context, Fault, Notice, Pending, Session};
use crate::wire::{self, Frame};

/// The pause before entries are asked for again, milliseconds.
const FETCH_AGAIN: u64 = 500;
/// Old entries fetched at once.
const FETCH: u64 = 256;
/// A log whose current epoch cannot be read gets a new one when no more entries come for this long, milliseconds.
const QUIET: u64 = 30;
/// Missing entries are asked about when nothing has come for this long, and again after the next, milliseconds.
const EXPLAINED: u64 = 200;
const ASK_TAIL_AGAIN: u64 = 15_000;

impl Session {
    pub(in crate::session) fn on_log_push<R: CryptoRng>(&mut self, push: &wire::LogPush, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.open(&push.log).filter(|log| !log.halted) else { return };
        let (known, witnessed) = (log.tail(), log.reader.tip().witnessed());
        let parsed = match Served::from_wire(&push.entry) {
            Served::Entry(_) => LogEntry::parse(push.entry.clone()).map(Ok),
            Served::Hash(hash) => Ok(Err(hash)),
        };
        let prekeys = &self.prekeys;
        // What comes back as it was sent needs no opening.
        let own = log.flights.values().find(|flight| flight.entry == push.entry);
        let own = own.map(|flight| flight.records.values().cloned().collect());
        let applied = parsed.and_then(|entry| {
            let (offset, past) = (push.offset, &log.past);
            let secret = |id| prekeys.secret(PrekeyId(id));
            let events = match (&entry, own) {
                (Ok(entry), Some(records)) => log.reader.apply_own(offset, entry, records, &self.roster, past),
                (entry, _) => {
                    let served = entry.as_ref().map_err(|hash| *hash);
                    log.reader.apply_entry(offset, served, &self.roster, secret, past)
                }
            };
            events.map(|events| (events, entry))
        });
        match applied {
            Ok((events, entry)) => {
                log.link.followed = true;
                if push.offset == known + 1 {
                    let raises = log.reader.tip().witnessed() > witnessed;
                    self.on_log_entry(push.log, (push.offset, raises), entry.ok().as_ref(), events, cx);
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
            Err(error) => {
                log.link.followed = false;
                // What ended reading for good is remembered.
                log.changed |= matches!(error, LogError::Fork(_));
                self.fault(Fault::LogFork, cx);
            }
        }
    }

    /// Follows logs again when the roster entries they waited for are here, which `number` was to fetch.
    pub(in crate::session) fn retry_logs<R: CryptoRng>(&mut self, number: u64, cx: &mut Context<'_, R>) {
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
        (offset, raises): (u64, bool),
        entry: Option<&LogEntry>,
        events: Vec<LogEvent>,
        cx: &mut Context<'_, R>,
    ) {
        let Some(log) = self.logs.logs.get_mut(&id) else { return };
        let sealed = events.iter().find_map(|event| match event {
            LogEvent::Sealed { epoch, roster_index, .. } => {
                Some(SealedAt { epoch: *epoch, roster_index: *roster_index, raises })
            }
            _ => None,
        });
        let link = LogLink { chain: log.reader.tip().tail().hash.0, kind: entry.map(|entry| entry.body().kind) };
        log.past.0.push(link);
        log.link.asks_tail_at = None;
        log.sealed.extend(sealed.map(|sealed| (offset, sealed)));
        log.changed = true;
        cx.persist(Change::LogEntry { log: id, offset, link, sealed });
        if log.link.await_offset.is_some_and(|own| offset >= own) {
            (log.link.await_offset, log.link.busy) = (None, None);
        }
        for event in events {
            self.on_log_event(id, raises, event, cx);
        }
        if let Some(log) = self.logs.logs.get_mut(&id) {
            log.link.quiet_at = log.reader.keys().current().is_none().then(|| cx.now.plus(QUIET));
        }
        match entry.map(LogEntry::body) {
            Some(body) if body.author == self.device => self.on_written(id, body.seq, offset, cx),
            Some(_) => {}
            None => self.on_dropped(id, offset, cx),
        }
    }

    fn on_log_event<R: CryptoRng>(&mut self, id: LogId, raises: bool, event: LogEvent, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.logs.get_mut(&id) else { return };
        match event {
            LogEvent::Records { offset, author, roster_index, records } => {
                let at = SealedAt { epoch: 0, roster_index, raises };
                self.on_records_opened(id, (offset, author, at), records, false, cx);
            }
            LogEvent::Compacted { offsets, .. } => {
                for offset in &offsets {
                    if log.sealed.remove(offset).is_some() {
                        cx.persist(Change::LogUnsealed { log: id, offset: *offset });
                    }
                }
                let (usage, own) = (self.log_use(id), self.member);
                cx.persist(Change::LogCompacted { log: id, usage, own, offsets });
            }
            LogEvent::EpochAdvanced { epoch, history, .. } => {
                log.policy.history = history;
                log.spoiled = false;
                // Whether they are in this epoch too, and still out of the topic, is for others to say.
                log.leavers.clear();
                log.link.narrows_at = None;
                log.epoch_began = (log.tail(), cx.now);
                cx.persist(Change::LogEpoch { log: id, began: log.epoch_began });
                if history == HistoryPolicy::None {
                    self.queue_flights(id, cx);
                    if let Some(log) = self.logs.open(&id) {
                        log.reader.keys_mut().erase_below(epoch);
                    }
                }
                self.settle_audience(id, cx);
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
        (offset, device, at): (u64, DeviceId, SealedAt),
        records: Vec<Record>,
        late: bool,
        cx: &mut Context<'_, R>,
    ) {
        let SealedAt { roster_index, raises, .. } = at;
        let Some(member) = self.roster.member_of(&device) else { return };
        let is_admin = self.roster.was_admin_at(&member, roster_index);
        let usage = self.log_use(id);
        let witnessed = self.roster.device(&self.device).is_some_and(|device| device.added_at <= roster_index);
        let own = self.member;
        let opened =
            LogRecords { log: id, usage, own, offset, device, member, is_admin, late, witnessed, raises, records };
        if usage == LogUse::Mesh {
            self.take_directory(&opened, cx);
        }
        cx.persist(Change::LogRecords(opened));
    }

    fn log_use(&self, id: LogId) -> LogUse {
        match id {
            id if id == self.logs.own => LogUse::Mesh,
            id if id == LogId::of_general(&self.mesh) => LogUse::General,
            _ => LogUse::Other,
        }
    }

    /// Asks how far a log goes from which entries are missing, once nothing has come for a while.
    pub(super) fn ask_tail<R>(&mut self, id: LogId, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.open(&id) else { return };
        let tail = log.tail();
        if tail == 0
            || log.halted
            || log.link.asks_tail
            || !log.link.followed
            || log.reader.unexplained().next().is_none()
        {
            return;
        }
        if cx.now < *log.link.asks_tail_at.get_or_insert(cx.now.plus(EXPLAINED)) {
            return;
        }
        let Some(hash) = log.past.hash_at(tail - 1).or_else(|| log.reader.tip().chain().hash_at(tail - 1)) else {
            return;
        };
        log.link.asks_tail = true;
        let request = self.request(Pending::LogTail(id));
        let frame = wire::LogRange { log: id, from: tail, limit: 1, hash: HashBytes(hash) };
        cx.out.push(Action::Send(Frame::new(request, frame)));
    }

    /// The compaction that drops an entry stands after it, and was there before the entry was served as a hash. So at the
    /// log's end every missing entry has been named by one.
    pub(in crate::session) fn on_tail_told<R>(&mut self, id: &LogId, tail: Option<u64>, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.open(id) else { return };
        log.link.asks_tail = false;
        log.link.asks_tail_at = Some(cx.now.plus(ASK_TAIL_AGAIN));
        if tail.is_some_and(|tail| tail <= log.tail()) && log.reader.unexplained().next().is_some() {
            log.halted = true;
            self.fault(Fault::LogWithheld, cx);
        }
    }

    /// Fetches entries again that came before the secret that opens them.
    pub(super) fn fetch_sealed<R>(&mut self, id: LogId, cx: &mut Context<'_, R>) {
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
    pub(in crate::session) fn on_fetch_failed<R>(&mut self, id: &LogId, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.open(id) else { return };
        log.link.fetches = false;
        log.link.retry_at = Some(cx.now.plus(FETCH_AGAIN));
    }

    pub(in crate::session) fn on_log_fetched<R: CryptoRng>(
        &mut self,
        reply: &wire::LogEntries,
        cx: &mut Context<'_, R>,
    ) {
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
            if opened.is_none() {
                log.reader.withheld(offset);
                log.changed = true;
            }
            match opened {
                Some((author, records)) if !records.is_empty() => {
                    self.on_records_opened(id, (offset, author, at), records, true, cx);
                }
                // Compacted meanwhile, as the log will say, or garbled: nothing to be read there, ever.
                _ => cx.persist(Change::LogUnsealed { log: id, offset }),
            }
        }
    }
}

impl Log {
    /// Whether the entry with this hash is the one that stands at `offset`.
    pub(super) fn holds(&self, offset: u64, hash: &Hash) -> bool {
        let before = self.past.hash_at(offset - 1).or_else(|| self.reader.tip().chain().hash_at(offset - 1));
        let after = self.past.hash_at(offset);
        before.zip(after).is_some_and(|(before, after)| {
            let before = Position { offset: offset - 1, hash: HashBytes(before) };
            crate::log::Chain::at(self.id(), before).next(hash).hash.0 == after
        })
    }
}
