//! Writing to logs: one entry under way for each, made of what is missing most.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::one::{InFlight, Log, LogPolicy};
use super::{KNOCK_AFTER, RETRY_AFTER};
use crate::codec::Bytes;
use crate::id::{DeviceId, LogId, MemberId};
use crate::log::directory::RecordAt;
use crate::log::{
    CommitPlan, HistoryPolicy, LogEntry, LogError, MAX_RECORDS, Position, Recipient, Writer, build_bad_commit,
    build_commit, build_history_link, build_records, build_rewrap,
};
use crate::session::{Action, Change, Context, Fault, Notice, Pending, Session};
use crate::time::Millis;
use crate::wire::{self, ErrorCode, Frame};

/// An epoch is over after this many entries or this time of use, milliseconds.
const MAX_EPOCH_ENTRIES: u64 = 10_000;
const MAX_EPOCH_AGE: u64 = 24 * 3600 * 1000;
/// Bytes of records in one entry.
const MAX_RECORD_BYTES: usize = 96 * 1024;
/// How long members that could mend a missing history link or wrap wait for one another, milliseconds for each of them.
const TURN: u64 = 100;

/// The next entry of a log.
enum Next {
    /// A commit, a link, a wrap, a report: what is read from the state anew each time.
    Upkeep(LogEntry),
    /// Queued records.
    Records(LogEntry, Vec<u64>),
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
        let Some(log) = self.logs.open(&id) else { return };
        if !log.link.followed || log.link.busy || log.link.retry_at.is_some() || log.reader.fork().is_some() {
            return;
        }
        if let Some(flight) = &log.in_flight {
            log.link.busy = true;
            let entry = flight.entry.clone();
            return self.send_entry(id, entry, cx);
        }
        let Some(next) = self.next_entry(id, cx) else { return };
        let Some(log) = self.logs.open(&id) else { return };
        log.link.busy = true;
        let entry = match next {
            Next::Upkeep(entry) => {
                log.next_seq = entry.body().seq + 1;
                cx.persist(Change::LogSeq { log: id, seq: log.next_seq });
                entry
            }
            Next::Records(entry, tickets) => {
                let seq = entry.body().seq;
                log.next_seq = seq + 1;
                let flight = InFlight { entry: entry.bytes().into(), seq, tickets };
                log.in_flight = Some(flight.clone());
                cx.persist(Change::LogSeq { log: id, seq: log.next_seq });
                cx.persist(Change::LogInFlight { log: id, flight: Some(flight) });
                entry
            }
        };
        self.send_entry(id, Bytes(entry.into_bytes()), cx);
    }

    fn send_entry<R>(&mut self, id: LogId, entry: Bytes, cx: &mut Context<'_, R>) {
        let request = self.request(Pending::LogAppend(id));
        cx.out.push(Action::Send(Frame::new(request, wire::LogAppend { entry, expected: None })));
    }

    pub(in crate::session) fn persist_logs<R>(&mut self, cx: &mut Context<'_, R>) {
        for log in core::mem::take(&mut self.logs.new) {
            cx.persist(Change::LogOpened { log, policy: LogPolicy::OPEN });
        }
        for (id, log) in &mut self.logs.logs {
            if core::mem::take(&mut log.changed) {
                let change = Change::LogReader { log: *id, snapshot: log.reader.snapshot() };
                cx.out.insert(0, Action::Persist(change));
            }
        }
    }

    fn next_entry<R: CryptoRng>(&mut self, id: LogId, cx: &mut Context<'_, R>) -> Option<Next> {
        let own = id == self.logs.own;
        let log = self.logs.logs.get(&id)?;
        let wished = if own { self.wished_records() } else { Vec::new() };
        let writes = log.waiting().next().is_some() || !wished.is_empty();
        let current = log.reader.keys().current().map(|(epoch, secret)| (epoch, secret.clone()));
        if let Some((bad, reason)) = log.unusable
            && log.reader.keys().secret(bad).is_none()
            && bad == log.reader.tip().epoch()
            && !log.spoiled
        {
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
        if must || over || self.audience_differs(log) {
            // By a wrong clock the prekeys of all others look stale, and the epoch would be for this device alone.
            return if self.is_clock_wrong() { None } else { self.commit(id, cx).map(Next::Upkeep) };
        }
        let (epoch, secret) = current?;
        if let Some(entry) = self.mend(id, epoch, cx) {
            return Some(Next::Upkeep(entry));
        }
        if !writes {
            return None;
        }
        let log = self.logs.logs.get(&id)?;
        if !wished.is_empty() {
            let entry = build_records(&self.log_writer(log), epoch, &secret, &wished, cx.rng);
            return entry.ok().map(Next::Upkeep);
        }
        let (mut tickets, mut records, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (ticket, record) in log.waiting().take(MAX_RECORDS) {
            bytes += record.data.len() + 16;
            if bytes > MAX_RECORD_BYTES && !records.is_empty() {
                break;
            }
            tickets.push(ticket);
            records.push(record.clone());
        }
        let entry = build_records(&self.log_writer(log), epoch, &secret, &records, cx.rng).ok()?;
        Some(Next::Records(entry, tickets))
    }

    /// A link to the epoch before, or wraps for devices of the audience that have none: whoever can give them does, after a
    /// while in which another member may have done it.
    fn mend<R: CryptoRng>(&mut self, id: LogId, epoch: u64, cx: &mut Context<'_, R>) -> Option<LogEntry> {
        let log = self.logs.logs.get(&id)?;
        let opens = log.reader.unlinked().next();
        let unwrapped: Vec<Recipient> = match (&opens, log.reader.tip().audience().is_some()) {
            (None, true) => {
                let devices = log.reader.tip().unwrapped(&self.roster);
                devices.iter().filter_map(|device| self.wrap_recipient(device, cx.now)).collect()
            }
            _ => Vec::new(),
        };
        if opens.is_none() && unwrapped.is_empty() {
            self.logs.logs.get_mut(&id)?.link.mends_at = None;
            return None;
        }
        let turns = self.roster.live_devices().count().min(64) as u64;
        let log = self.logs.logs.get_mut(&id)?;
        let at = *log.link.mends_at.get_or_insert_with(|| cx.now.plus(u64::from(cx.rng.next_u32()) % (turns * TURN)));
        if cx.now < at {
            return None;
        }
        log.link.mends_at = None;
        let log = self.logs.logs.get(&id)?;
        let writer = self.log_writer(log);
        let keys = log.reader.keys();
        match opens {
            Some(opens) => {
                let (held, before) = (keys.secret(opens)?, keys.secret(opens - 1)?);
                build_history_link(&writer, epoch, opens, held, before, cx.rng).ok()
            }
            None => build_rewrap(&writer, epoch, epoch, keys.secret(epoch)?, &unwrapped, cx.rng).ok(),
        }
    }

    /// An entry of this device is in the log.
    pub(super) fn on_written<R>(&mut self, id: LogId, seq: u64, offset: u64, cx: &mut Context<'_, R>) {
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
        cx.persist(Change::LogDone { log: id, tickets: flight.tickets, offset: Some(offset) });
    }

    pub(in crate::session) fn on_log_appended<R: CryptoRng>(
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

    pub(in crate::session) fn on_log_append_error<R: CryptoRng>(
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
                if error.code == ErrorCode::Forbidden {
                    // Following it again tells when it is open once more.
                    (log.link.shut, log.link.followed) = (true, false);
                }
                cx.persist(Change::LogDone { log: id, tickets: flight.tickets, offset: None });
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
        Some(live.map(|device| device.id).chain([self.device]).collect())
    }

    /// Whether a private log is to be for others than it is.
    fn audience_differs(&self, log: &Log) -> bool {
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
    fn is_epoch_over(&self, now: Millis) -> bool {
        let (offset, at) = self.epoch_began;
        self.tail() - offset.min(self.tail()) >= MAX_EPOCH_ENTRIES || now.since(at) >= MAX_EPOCH_AGE
    }
}
