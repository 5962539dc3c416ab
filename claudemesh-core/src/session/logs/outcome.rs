//! What became of entries that were sent: written, refused, or unknown until they are seen.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::one::{Flight, Log};
use super::{KNOCK_AFTER, RETRY_AFTER};
use crate::id::LogId;
use crate::log::directory::RecordAt;
use crate::log::{LogEntry, LogError, Position, Record};
use crate::session::{Action, Change, Context, Fault, Notice, Session};
use crate::wire::{self, ErrorCode};

impl Session {
    /// How many records wait to be in their logs.
    #[must_use]
    pub fn writing(&self) -> usize {
        let under_way = |log: &Log| log.flights.values().map(|flight| flight.records.len()).sum::<usize>();
        self.logs.logs.values().map(|log| log.queue.len() + under_way(log)).sum()
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
}

impl Log {
    /// Whether an entry under way stands at `offset`.
    fn is_at(&self, offset: u64, flight: &Flight) -> bool {
        LogEntry::parse(flight.entry.clone()).is_ok_and(|entry| self.holds(offset, entry.hash()))
    }
}
