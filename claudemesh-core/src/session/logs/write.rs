//! Writing to logs: what is missing most comes first. An entry of upkeep goes alone; of those with queued records some may
//! be under way at once.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::one::{Flight, InFlight, Log, LogPolicy};
use crate::codec::Bytes;
use crate::id::{DeviceId, LogId};
use crate::log::{
    LogEntry, MAX_RECORDS, Recipient, Record, Writer, build_bad_commit, build_compaction, build_history_link,
    build_records, build_rewrap,
};
use crate::session::{Action, Change, Context, Notice, Pending, Session};
use crate::time::Millis;
use crate::wire::{self, ErrorCode, Frame};

/// An epoch is over after this many entries or this time of use, milliseconds.
const MAX_EPOCH_ENTRIES: u64 = 10_000;
const MAX_EPOCH_AGE: u64 = 24 * 3600 * 1000;
/// Entries with queued records that are under way at once.
const MAX_FLIGHTS: usize = 8;
/// Bytes of records in one entry.
const MAX_RECORD_BYTES: usize = 96 * 1024;
/// How long members that could mend a missing history link or wrap wait for one another, milliseconds for each of them.
const TURN: u64 = 100;

/// The next entry of a log.
enum Next {
    /// A commit, a link, a wrap, a report: what is read from the state anew each time.
    Upkeep(LogEntry),
    /// What drops entries, and who waits for it.
    Compaction(LogEntry, u64),
    /// Queued records.
    Records(LogEntry, BTreeMap<u64, Record>),
    /// None before those under way have arrived.
    Pause,
}

impl Session {
    /// Writes the one thing that is missing most in each log.
    pub(in crate::session) fn flush_logs<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        let mut last = None;
        while let Some(id) = self.logs.after(last) {
            last = Some(id);
            self.flush_log(id, cx);
        }
        self.persist_logs(cx);
    }

    fn flush_log<R: CryptoRng>(&mut self, id: LogId, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.open(&id) else { return };
        log.link.quiet_at = log.link.quiet_at.filter(|at| cx.now < *at);
        if log.link.retry_at.is_some_and(|at| cx.now >= at) {
            log.link.retry_at = None;
            log.link.refollow |= !log.link.followed && !log.link.asks && log.link.waits.is_none();
        }
        if log.link.refollow && log.link.retry_at.is_none() {
            self.follow_log(id, cx);
        }
        self.fetch_sealed(id, cx);
        self.ask_tail(id, cx);
        let Some(log) = self.logs.open(&id) else { return };
        if !log.link.followed || log.link.busy.is_some() || log.link.retry_at.is_some() || log.is_over() {
            return;
        }
        let unsent: Vec<(u64, Bytes)> =
            log.flights.range(log.link.sent + 1..).map(|(seq, flight)| (*seq, flight.entry.clone())).collect();
        for (seq, entry) in unsent {
            self.send_entry(id, (seq, entry), None, cx);
        }
        while let Some(next) = self.next_entry(id, cx) {
            let Some(log) = self.logs.open(&id) else { return };
            let seq = match &next {
                Next::Pause => return,
                Next::Upkeep(entry) | Next::Compaction(entry, _) | Next::Records(entry, _) => entry.body().seq,
            };
            log.next_seq = seq + 1;
            cx.persist(Change::LogSeq { log: id, seq: log.next_seq });
            let (entry, expected) = match next {
                Next::Pause => return,
                Next::Upkeep(entry) => (entry, None),
                Next::Compaction(entry, token) => {
                    log.compacting = Some((token, seq));
                    (entry, Some(log.tail()))
                }
                Next::Records(entry, records) => {
                    let epoch = entry.body().epoch;
                    let entry = Bytes(entry.into_bytes());
                    let tickets: Vec<u64> = records.keys().copied().collect();
                    let queued = tickets.iter().copied().filter(|ticket| !log.unsaved.remove(ticket)).collect();
                    let flight = InFlight { entry: entry.clone(), seq, tickets };
                    cx.persist(Change::LogInFlight { log: id, flight });
                    log.flights.insert(seq, Flight { entry: entry.clone(), epoch, records, queued });
                    self.send_entry(id, (seq, entry), None, cx);
                    continue;
                }
            };
            log.link.busy = Some(seq);
            return self.send_entry(id, (seq, Bytes(entry.into_bytes())), expected, cx);
        }
    }

    fn send_entry<R>(&mut self, id: LogId, entry: (u64, Bytes), expected: Option<u64>, cx: &mut Context<'_, R>) {
        let (seq, entry) = entry;
        if let Some(log) = self.logs.open(&id) {
            log.link.sent = log.link.sent.max(seq);
        }
        let request = self.request(Pending::LogAppend(id, seq));
        cx.out.push(Action::Send(Frame::new(request, wire::LogAppend { entry, expected })));
    }

    pub(in crate::session) fn persist_logs<R>(&mut self, cx: &mut Context<'_, R>) {
        for log in core::mem::take(&mut self.logs.new) {
            cx.persist(Change::LogOpened { log, policy: LogPolicy::OPEN });
        }
        for (id, log) in &mut self.logs.logs {
            for ticket in core::mem::take(&mut log.unsaved) {
                if let Some(record) = log.queue.get(&ticket).cloned() {
                    cx.out.push(Action::Persist(Change::LogQueued { log: *id, ticket, record }));
                }
            }
            if core::mem::take(&mut log.changed) {
                let change = Change::LogReader { log: *id, snapshot: log.reader.snapshot() };
                cx.out.insert(0, Action::Persist(change));
            }
        }
    }

    fn next_entry<R: CryptoRng>(&mut self, id: LogId, cx: &mut Context<'_, R>) -> Option<Next> {
        let own = id == self.logs.own;
        let wished = if own { self.wished_records() } else { Vec::new() };
        self.settle_compaction(id, cx);
        let log = self.logs.logs.get(&id)?;
        let writes = !log.queue.is_empty() || !wished.is_empty() || log.compaction.is_some();
        let narrows = self.is_turn_to_narrow(id, writes, cx);
        let log = self.logs.logs.get(&id)?;
        let alone = log.flights.is_empty();
        let current = log.reader.keys().current().map(|(epoch, secret)| (epoch, secret.clone()));
        if let Some((bad, reason)) = log.unusable
            && log.reader.keys().secret(bad).is_none()
            && bad == log.reader.tip().epoch()
            && !log.spoiled
            && !log.reader.tip().needs_commit(&self.roster)
        {
            if !alone {
                return Some(Next::Pause);
            }
            return build_bad_commit(&self.log_writer(log), bad, bad, reason).ok().map(Next::Upkeep);
        }
        let must = match &current {
            // Nobody has written yet, and neither do we.
            None if log.reader.tip().epoch() == 0 => own || writes || log.policy.audience.is_some(),
            // It cannot be read here: not wrapped to this device, or not openable.
            None => log.link.quiet_at.is_none(),
            Some(_) if own => log.reader.tip().needs_commit(&self.roster),
            Some(_) => writes && (log.reader.tip().needs_commit(&self.roster) || log.spoiled),
        };
        let over = writes && current.is_some() && log.is_epoch_over(cx.now);
        if must || over || (narrows && current.is_some()) || self.audience_differs(log) {
            if !alone {
                return Some(Next::Pause);
            }
            // By a wrong clock the prekeys of all others look stale, and the epoch would be for this device alone.
            return if self.is_clock_wrong() { None } else { self.commit(id, cx).map(Next::Upkeep) };
        }
        let (epoch, secret) = current?;
        if !alone && log.compaction.is_some() {
            return Some(Next::Pause);
        }
        if let Some(compaction) = self.logs.logs.get_mut(&id)?.compaction.take() {
            let log = self.logs.logs.get(&id)?;
            let Ok(entry) = build_compaction(&self.log_writer(log), epoch, &compaction.offsets) else {
                cx.notify(Notice::Written { token: compaction.token, result: Err(ErrorCode::Malformed) });
                return None;
            };
            return Some(Next::Compaction(entry, compaction.token));
        }
        if let Some(next) = self.mend(id, epoch, cx) {
            return Some(next);
        }
        if !writes {
            return None;
        }
        let log = self.logs.logs.get(&id)?;
        // Entries of two epochs at once might arrive in another order than they were queued in.
        let turns = log.flights.values().next().is_some_and(|flight| flight.epoch != epoch);
        if log.flights.len() >= MAX_FLIGHTS || turns || (!alone && !wished.is_empty()) {
            return Some(Next::Pause);
        }
        // What comes meanwhile goes together into the next entry, unless it fills one.
        if !alone && log.queue.len() < MAX_RECORDS {
            return Some(Next::Pause);
        }
        if !wished.is_empty() {
            let entry = build_records(&self.log_writer(log), epoch, &secret, &wished, cx.rng);
            return entry.ok().map(Next::Upkeep);
        }
        let (mut records, mut bytes) = (BTreeMap::new(), 0);
        for (ticket, record) in log.queue.iter().take(MAX_RECORDS) {
            bytes += record.data.len() + 16;
            if bytes > MAX_RECORD_BYTES && !records.is_empty() {
                break;
            }
            records.insert(*ticket, record.clone());
        }
        let list: Vec<Record> = records.values().cloned().collect();
        let entry = build_records(&self.log_writer(log), epoch, &secret, &list, cx.rng).ok()?;
        let log = self.logs.open(&id)?;
        for ticket in records.keys() {
            log.queue.remove(ticket);
        }
        Some(Next::Records(entry, records))
    }

    /// Gives up a compaction that was decided for what the log is not any more, or whose fate the last connection took.
    fn settle_compaction<R>(&mut self, id: LogId, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.logs.get_mut(&id) else { return };
        let tail = log.tail();
        let late = log.compaction.take_if(|compaction| compaction.tail != tail).map(|compaction| compaction.token);
        for token in late.into_iter().chain(log.compacting.take().map(|(token, _)| token)) {
            cx.notify(Notice::Written { token, result: Err(ErrorCode::OffsetMoved) });
        }
    }

    /// A link to the epoch before, or wraps for devices of the audience that have none: whoever can give them does, after a
    /// while in which another member may have done it.
    fn mend<R: CryptoRng>(&mut self, id: LogId, epoch: u64, cx: &mut Context<'_, R>) -> Option<Next> {
        let log = self.logs.logs.get(&id)?;
        let opens = log.reader.unlinked().next();
        let private = log.reader.tip().audience().is_some();
        let left_out = if opens.is_none() && private { log.reader.tip().unwrapped(&self.roster) } else { Vec::new() };
        let stale = |device: &&DeviceId| self.fresh_prekey(device, cx.now).is_none();
        let stale: BTreeSet<DeviceId> = left_out.iter().filter(stale).copied().collect();
        self.ask_records(&stale, cx);
        let unwrapped: Vec<Recipient> =
            left_out.iter().filter_map(|device| self.wrap_recipient(device, cx.now)).collect();
        if opens.is_none() && unwrapped.is_empty() {
            self.logs.logs.get_mut(&id)?.link.mends_at = None;
            return None;
        }
        let turn = match self.logs.logs.get(&id)?.link.mends_at {
            Some(at) => at,
            None => self.turn(cx),
        };
        let log = self.logs.logs.get_mut(&id)?;
        log.link.mends_at = Some(turn);
        if cx.now < turn {
            return None;
        }
        if !log.flights.is_empty() {
            return Some(Next::Pause);
        }
        log.link.mends_at = None;
        let log = self.logs.logs.get(&id)?;
        if log.reader.tip().needs_commit(&self.roster) {
            // Under a stale epoch nothing is taken but the next commit.
            return if self.is_clock_wrong() { None } else { self.commit(id, cx).map(Next::Upkeep) };
        }
        let writer = self.log_writer(log);
        let keys = log.reader.keys();
        let entry = match opens {
            Some(opens) => {
                let (held, before) = (keys.secret(opens)?, keys.secret(opens - 1)?);
                build_history_link(&writer, epoch, opens, held, before, cx.rng)
            }
            None => build_rewrap(&writer, epoch, epoch, keys.secret(epoch)?, &unwrapped, cx.rng),
        };
        entry.ok().map(Next::Upkeep)
    }

    /// When this device does what any of several could do: at random, so that one is first and the others see it done.
    pub(super) fn turn<R: CryptoRng>(&self, cx: &mut Context<'_, R>) -> Millis {
        let turns = self.roster.live_devices().count().clamp(1, 64) as u64;
        cx.now.plus(u64::from(cx.rng.next_u32()) % (turns * TURN))
    }

    pub(super) fn log_writer(&self, log: &Log) -> Writer<'_> {
        let tip = log.reader.tip();
        Writer {
            key: &self.key,
            mesh: self.mesh,
            log: tip.log(),
            seq: log.next_seq.max(tip.last_seq(&self.device) + 1),
            seen: tip.tail(),
            head: self.roster.head(),
        }
    }
}

impl Log {
    /// Whether nothing more is read or written here: there are two of it, or entries were withheld.
    fn is_over(&self) -> bool {
        self.halted || self.reader.fork().is_some()
    }

    fn is_epoch_over(&self, now: Millis) -> bool {
        let (offset, at) = self.epoch_began;
        self.tail() - offset.min(self.tail()) >= MAX_EPOCH_ENTRIES || now.since(at) >= MAX_EPOCH_AGE
    }
}
