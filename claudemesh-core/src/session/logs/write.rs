//! Writing to logs: what is missing most comes first. An entry of upkeep goes alone; of those with queued records some may
//! be under way at once.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::one::{Flight, InFlight, Log, LogPolicy};
use super::{KNOCK_AFTER, RETRY_AFTER};
use crate::codec::Bytes;
use crate::id::{DeviceId, LogId, MemberId};
use crate::log::directory::RecordAt;
use crate::log::{
    CommitPlan, HistoryPolicy, LogEntry, LogError, MAX_RECORDS, Position, Recipient, Record, Writer, build_bad_commit,
    build_commit, build_compaction, build_history_link, build_records, build_rewrap,
};
use crate::session::{Action, Change, Context, Fault, Notice, Pending, Session};
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

    /// Whether a record that has these bytes in it waits to be written.
    #[must_use]
    pub fn is_writing(&self, bytes: &[u8]) -> bool {
        let holds = |record: &Record| record.data.windows(bytes.len().max(1)).any(|part| part == bytes);
        let logs = self.logs.logs.values();
        logs.flat_map(|log| log.queue.values().chain(log.flights.values().flat_map(|flight| flight.records.values())))
            .any(holds)
    }

    /// Queues the records of entries under way by themselves, before the secret that opens those entries is erased.
    pub(super) fn queue_flights<R>(&mut self, id: LogId, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.open(&id) else { return };
        for flight in log.flights.values_mut() {
            for (ticket, record) in &flight.records {
                if !flight.queued.contains(ticket) {
                    flight.queued.push(*ticket);
                    cx.persist(Change::LogQueued { log: id, ticket: *ticket, record: record.clone() });
                }
            }
        }
    }

    /// When this device does what any of several could do: at random, so that one is first and the others see it done.
    fn turn<R: CryptoRng>(&self, cx: &mut Context<'_, R>) -> Millis {
        let turns = self.roster.live_devices().count().clamp(1, 64) as u64;
        cx.now.plus(u64::from(cx.rng.next_u32()) % (turns * TURN))
    }

    /// Whether a private log is to have an epoch without those who left it, now and by this device.
    fn is_turn_to_narrow<R: CryptoRng>(&mut self, id: LogId, writes: bool, cx: &mut Context<'_, R>) -> bool {
        let Some(log) = self.logs.logs.get(&id) else { return false };
        let left = |device: DeviceId| {
            let device = self.roster.device(&device).filter(|device| device.is_live());
            device.is_some_and(|device| log.leavers.contains(&device.member))
        };
        let reads = !log.leavers.is_empty() && log.reader.tip().audience().is_some_and(|mut all| all.any(left));
        let turn = (reads && log.leads && log.link.narrows_at.is_none()).then(|| self.turn(cx));
        let Some(log) = self.logs.logs.get_mut(&id) else { return false };
        log.link.narrows_at = log.link.narrows_at.or(turn).filter(|_| reads);
        reads && (writes || log.link.narrows_at.is_some_and(|at| cx.now >= at))
    }

    /// An entry of this device is in the log.
    pub(super) fn on_written<R>(&mut self, id: LogId, seq: u64, offset: u64, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.logs.get_mut(&id) else { return };
        if let Some((token, _)) = log.compacting.take_if(|(_, sent)| *sent == seq) {
            cx.out.push(Action::Notify(Notice::Written { token, result: Ok((offset, 0)) }));
        }
        let Some(flight) = log.flights.remove(&seq) else { return };
        for (index, ticket) in (0..).zip(flight.records.keys()) {
            if let Some(token) = log.tokens.remove(ticket) {
                let at: RecordAt = (offset, index);
                cx.out.push(Action::Notify(Notice::Written { token, result: Ok(at) }));
            }
        }
        let tickets = flight.records.into_keys().collect();
        cx.persist(Change::LogDone { log: id, seq, tickets, queued: flight.queued, offset: Some(offset) });
    }

    pub(in crate::session) fn on_log_appended<R: CryptoRng>(
        &mut self,
        (id, seq): (LogId, u64),
        reply: &wire::LogAppended,
        cx: &mut Context<'_, R>,
    ) {
        let Some(log) = self.logs.open(&id) else { return };
        let position = Position { offset: reply.offset, hash: reply.chain };
        if let Err(LogError::Fork(_)) = log.reader.expect(position, &log.past) {
            log.changed = true;
            return self.fault(Fault::LogFork, cx);
        }
        let passed = log.tail() >= reply.offset;
        if log.link.busy == Some(seq) {
            (log.link.busy, log.link.await_offset) =
                if passed { (None, None) } else { (Some(seq), Some(reply.offset)) };
        }
        if passed && log.flights.contains_key(&seq) {
            self.on_passed(id, seq, reply.offset, cx);
        }
        let Some(log) = self.logs.open(&id) else { return };
        // The log was made by this append, or following it was refused before: follow it now.
        log.link.refollow |= !log.link.followed;
    }

    /// The broker says that an entry under way stands where the log was read already: it passed as a bare hash, or that is
    /// not so.
    fn on_passed<R>(&mut self, id: LogId, seq: u64, offset: u64, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.open(&id) else { return };
        if log.flights.get(&seq).is_some_and(|flight| log.is_at(offset, flight)) {
            return self.on_written(id, seq, offset, cx);
        }
        log.link.retry_at = Some(cx.now.plus(KNOCK_AFTER));
        self.fault(Fault::LogFork, cx);
    }

    /// A bare hash stands in the log: that of an entry under way, perhaps.
    pub(super) fn on_dropped<R>(&mut self, id: LogId, offset: u64, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.open(&id) else { return };
        let own = log.flights.iter().find(|(_, flight)| log.is_at(offset, flight)).map(|(seq, _)| *seq);
        if let Some(seq) = own {
            self.on_written(id, seq, offset, cx);
        }
    }

    pub(in crate::session) fn on_log_append_error<R: CryptoRng>(
        &mut self,
        (id, seq): (LogId, u64),
        error: &wire::Error,
        cx: &mut Context<'_, R>,
    ) {
        let Some(log) = self.logs.open(&id) else { return };
        log.link.busy = log.link.busy.filter(|upkeep| *upkeep != seq);
        log.link.retry_at = Some(cx.now.plus(error.retry_after_ms.unwrap_or(RETRY_AFTER)));
        if error.code.is_retryable() {
            log.link.sent = log.link.sent.min(seq.saturating_sub(1));
        }
        if let Some((token, _)) = log.compacting.take_if(|(_, sent)| *sent == seq) {
            cx.out.push(Action::Notify(Notice::Written { token, result: Err(error.code) }));
        }
        let permanent = matches!(error.code, ErrorCode::Forbidden | ErrorCode::TooLarge | ErrorCode::Malformed);
        // The entry is not in the log and never will be: its records go into another one.
        if !error.code.is_retryable()
            && let Some(flight) = log.flights.remove(&seq)
        {
            if permanent {
                for token in flight.records.keys().filter_map(|ticket| log.tokens.remove(ticket)) {
                    cx.out.push(Action::Notify(Notice::Written { token, result: Err(error.code) }));
                }
                let tickets = flight.records.into_keys().collect();
                cx.persist(Change::LogDone { log: id, seq, tickets, queued: flight.queued, offset: None });
            } else {
                log.unsaved.extend(flight.records.keys().filter(|ticket| !flight.queued.contains(ticket)));
                log.queue.extend(flight.records);
                let (tickets, queued) = (Vec::new(), Vec::new());
                cx.persist(Change::LogDone { log: id, seq, tickets, queued, offset: None });
                self.persist_logs(cx);
            }
        }
        let Some(log) = self.logs.open(&id) else { return };
        match error.code {
            ErrorCode::HeadMoved | ErrorCode::UnknownHead | ErrorCode::StaleEpoch => {
                log.link.retry_at = Some(cx.now.plus(error.retry_after_ms.unwrap_or(20)));
                self.sync_roster(cx);
            }
            // It was shut out of a private log, and has not seen the entry that did it.
            ErrorCode::Forbidden => {
                // Following it again tells when it is open once more.
                (log.link.shut, log.link.followed) = (true, false);
                log.link.retry_at = Some(cx.now.plus(KNOCK_AFTER));
                if log.policy.audience.take().is_some() {
                    cx.persist(Change::LogOpened { log: id, policy: log.policy.clone() });
                }
            }
            ErrorCode::EpochTaken | ErrorCode::OffsetMoved => log.link.retry_at = Some(cx.now.plus(20)),
            // A number that is used up cannot be one of this store's.
            ErrorCode::IdConflict => log.next_seq += 1,
            ErrorCode::InvalidEntry => {
                log.link.retry_at = Some(cx.now.plus(KNOCK_AFTER));
                self.fault(Fault::LogFork, cx);
            }
            _ => {}
        }
    }

    fn log_writer(&self, log: &Log) -> Writer<'_> {
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

    /// The live devices a private log is for, this one among them; none when it is for the whole mesh.
    fn audience_devices(&self, log: &Log) -> Option<BTreeSet<DeviceId>> {
        let members: BTreeSet<MemberId> = match (&log.policy.audience, log.reader.tip().audience()) {
            (Some(members), _) => members.clone(),
            (None, Some(devices)) => {
                devices.filter_map(|device| self.roster.device(&device).map(|device| device.member)).collect()
            }
            (None, None) => return None,
        };
        let live = self.roster.live_devices().filter(|device| members.contains(&device.member));
        let live = live.filter(|device| !log.leavers.contains(&device.member));
        Some(live.map(|device| device.id).chain([self.device]).collect())
    }

    /// The current commit is for whom this device wanted it: there is nothing more to change.
    pub(super) fn settle_audience<R>(&mut self, id: LogId, cx: &mut Context<'_, R>) {
        let Some(log) = self.logs.logs.get(&id) else { return };
        if log.policy.audience.is_none() || log.reader.tip().audience().is_none() || self.audience_differs(log) {
            return;
        }
        let Some(log) = self.logs.logs.get_mut(&id) else { return };
        log.policy.audience = None;
        cx.persist(Change::LogOpened { log: id, policy: log.policy.clone() });
    }

    /// Whether a private log is to be for others than it is.
    pub(super) fn audience_differs(&self, log: &Log) -> bool {
        let Some(audience) = log.reader.tip().audience() else { return false };
        let gone = |device: &DeviceId| self.roster.device(device).is_none_or(|device| !device.is_live());
        let now: BTreeSet<DeviceId> = audience.filter(|device| !gone(device)).collect();
        log.policy.audience.is_some() && self.audience_devices(log).is_some_and(|wanted| wanted != now)
    }

    fn wrap_recipient(&self, device: &DeviceId, now: Millis) -> Option<Recipient> {
        let (prekey, key) = self.fresh_prekey(device, now)?;
        Some(Recipient { device: *device, prekey, key })
    }

    /// The next epoch, wrapped to every live device that may read and has a fresh prekey; the others commit or ask when
    /// they come.
    fn commit<R: CryptoRng>(&mut self, id: LogId, cx: &mut Context<'_, R>) -> Option<LogEntry> {
        let audience = self.audience_devices(self.logs.logs.get(&id)?);
        let may_read = |device: &DeviceId| audience.as_ref().is_none_or(|audience| audience.contains(device));
        let live = self.roster.live_devices().map(|device| device.id);
        let others: BTreeSet<DeviceId> = live.filter(|device| *device != self.device && may_read(device)).collect();
        let unknown: BTreeSet<DeviceId> = others
            .iter()
            .filter(|id| self.fresh_prekey(id, cx.now).is_none() && !self.was_asked(id))
            .copied()
            .collect();
        if !unknown.is_empty() {
            self.ask_records(&unknown, cx);
            return None;
        }
        let own = self.prekeys.public().into_iter().max_by_key(|prekey| (prekey.expires, prekey.id))?;
        let mut recipients = vec![Recipient { device: self.device, prekey: own.id.0, key: own.public }];
        recipients.extend(others.iter().filter_map(|device| self.wrap_recipient(device, cx.now)));
        let log = self.logs.logs.get(&id)?;
        let epoch = log.reader.tip().epoch() + 1;
        let before = log.reader.keys().secret(epoch - 1).cloned();
        let audience: Option<Vec<DeviceId>> = audience.map(|devices| devices.into_iter().collect());
        let plan = CommitPlan {
            epoch,
            history: if id == self.logs.own { HistoryPolicy::All } else { log.policy.history },
            before: before.as_ref(),
            audience: audience.as_deref(),
            recipients: &recipients,
        };
        let commit = build_commit(&self.log_writer(log), &plan, cx.rng).ok()?;
        let log = self.logs.logs.get_mut(&id)?;
        let _ = log.reader.keys_mut().insert(epoch, &commit.secret);
        log.changed = true;
        Some(commit.entry)
    }
}

impl Log {
    /// Whether an entry under way stands at `offset`.
    fn is_at(&self, offset: u64, flight: &Flight) -> bool {
        LogEntry::parse(flight.entry.clone()).is_ok_and(|entry| self.holds(offset, entry.hash()))
    }

    /// Whether nothing more is read or written here: there are two of it, or entries were withheld.
    fn is_over(&self) -> bool {
        self.halted || self.reader.fork().is_some()
    }

    fn is_epoch_over(&self, now: Millis) -> bool {
        let (offset, at) = self.epoch_began;
        self.tail() - offset.min(self.tail()) >= MAX_EPOCH_ENTRIES || now.since(at) >= MAX_EPOCH_AGE
    }
}
