//! What becomes of what was sent: the broker's outcomes, receipts, expiry notices.

use super::message::{MessageState, Why};
use super::{Change, Context, Fault, Notice, Session};
use crate::head::Connection;
use crate::id::DeviceId;
use crate::receipt::{Reason, ReceiptPart, ReceiptState};
use crate::wire::{self, ErrorCode, Outcome};
use alloc::vec::Vec;
use rand_core::CryptoRng;

/// The pause after a refusal that may pass, milliseconds.
const RETRY_AFTER: u64 = 1_000;
/// No broker makes us wait longer.
const MAX_PAUSE: u64 = 60_000;

impl Session {
    pub(super) fn on_enqueued<R: CryptoRng>(
        &mut self,
        rows: &[(u64, u64)],
        reply: &wire::Enqueued,
        cx: &mut Context<'_, R>,
    ) {
        self.in_flight = self.in_flight.saturating_sub(rows.len());
        self.saw_commits(reply.commits, cx);
        // What the broker said nothing of is offered again.
        let mut again: Vec<_> = rows.iter().skip(reply.outcomes.len()).copied().collect();
        for ((ordinal, attempt), outcomes) in rows.iter().zip(reply.outcomes.iter()) {
            let Some(sealed) = self.outbox.get(ordinal).and_then(|row| row.attempt(*attempt)) else { continue };
            let devices = sealed.devices.clone();
            let mut retry = outcomes.len() < devices.len();
            for (device, outcome) in devices.iter().zip(outcomes.iter()) {
                retry |= self.on_outcome(*ordinal, *attempt, device, *outcome, cx);
            }
            if retry {
                again.push((*ordinal, *attempt));
            }
        }
        self.send_again(again, None, cx);
    }

    /// Whether this attempt is the one in force for the device: what is said of an earlier one is void.
    pub(super) fn is_in_force(&self, ordinal: u64, attempt: u64, device: &DeviceId) -> bool {
        let sealed = self.outbox.get(&ordinal).and_then(|row| row.attempt_for(device));
        sealed.is_some_and(|sealed| sealed.attempt == attempt)
    }

    /// Takes what the broker said of one recipient; true when the identical bytes have to be sent again.
    pub(super) fn on_outcome<R: CryptoRng>(
        &mut self,
        ordinal: u64,
        attempt: u64,
        device: &DeviceId,
        outcome: Outcome,
        cx: &mut Context<'_, R>,
    ) -> bool {
        let Some(at) = self.position(ordinal, device) else { return false };
        if !self.is_in_force(ordinal, attempt, device) {
            return false;
        }
        match outcome {
            Outcome::Accepted | Outcome::Duplicate => self.set_state(ordinal, at, MessageState::Accepted, cx),
            Outcome::Refused(ErrorCode::NoPrekey) => self.reseal(ordinal, attempt, device),
            Outcome::Refused(ErrorCode::Expired) => self.set_state(ordinal, at, MessageState::Expired, cx),
            Outcome::Refused(code) if code.is_retryable() => return true,
            Outcome::Refused(code) => {
                self.set_state(ordinal, at, MessageState::Refused(Why::Broker(code)), cx);
            }
        }
        false
    }

    /// A definite refusal: seal again with the next attempt number, to whatever prekey the device has now.
    pub(super) fn reseal(&mut self, ordinal: u64, attempt: u64, device: &DeviceId) {
        let Some(row) = self.outbox.get_mut(&ordinal) else { return };
        let Some(at) = row.recipients.iter().position(|r| r.device == *device) else { return };
        if row.recipients[at].state.is_end() {
            return;
        }
        for sealed in row.sealed.iter_mut().filter(|sealed| sealed.attempt == attempt) {
            sealed.refused.push(*device);
        }
        row.recipients[at].state = MessageState::Queued;
        // The record is kept: whatever the broker serves next must not be older.
        self.refused_records.insert(*device);
        self.asked.remove(device);
        self.unsealed.insert(ordinal);
        self.dirty.insert(ordinal);
    }

    pub(super) fn on_enqueue_error<R: CryptoRng>(
        &mut self,
        rows: &[(u64, u64)],
        error: &wire::Error,
        cx: &mut Context<'_, R>,
    ) {
        self.in_flight = self.in_flight.saturating_sub(rows.len());
        if error.code.is_retryable() {
            return self.send_again(rows.to_vec(), error.retry_after_ms, cx);
        }
        for (ordinal, attempt) in rows {
            let Some(sealed) = self.outbox.get(ordinal).and_then(|row| row.attempt(*attempt)) else { continue };
            for device in sealed.devices.clone() {
                self.on_outcome(*ordinal, *attempt, &device, Outcome::Refused(error.code), cx);
            }
        }
    }

    /// Puts rows back at the front, in order: a lane is never passed by what came after a refusal.
    pub(super) fn send_again<R>(&mut self, rows: Vec<(u64, u64)>, after: Option<u64>, cx: &mut Context<'_, R>) {
        if rows.is_empty() {
            return;
        }
        for (ordinal, attempt) in rows {
            if let Some(sealed) = self.outbox.get(&ordinal).and_then(|row| row.attempt(attempt)) {
                self.unsent.insert(sealed.order, (ordinal, attempt));
            }
        }
        self.pause(after, cx);
    }

    /// Asks and sends nothing for a while.
    pub(super) fn pause<R>(&mut self, millis: Option<u64>, cx: &mut Context<'_, R>) {
        let until = cx.now.plus(millis.unwrap_or(RETRY_AFTER).min(MAX_PAUSE));
        self.retry_at = Some(self.retry_at.map_or(until, |at| at.max(until)));
    }

    pub(super) fn saw_commits<R>(&mut self, commits: u64, cx: &mut Context<'_, R>) {
        if let Some(resume) = &mut self.resume
            && commits > resume.commits
        {
            resume.commits = commits;
            let resume = *resume;
            cx.persist(Change::Resume(resume));
        }
    }

    pub(super) fn on_notices<R: CryptoRng>(&mut self, notices: wire::Notices, cx: &mut Context<'_, R>) {
        for item in notices.items.into_vec() {
            match item.notice {
                wire::Notice::Receipt(part) => {
                    if self.on_receipt(&part, cx).is_none() {
                        cx.notify(Notice::Rejected { fault: Fault::ForgedReceipt });
                    }
                }
                wire::Notice::Expired { device, id, .. } => {
                    if let Some((ordinal, at)) = self.find(&id, &device) {
                        self.set_state(ordinal, at, MessageState::Expired, cx);
                    }
                }
            }
            self.notices_through = self.notices_through.max(Some(item.offset));
        }
    }

    /// Takes a receipt; none when it is not the recipient's word about bytes this device sealed.
    pub(super) fn on_receipt<R: CryptoRng>(&mut self, part: &[u8], cx: &mut Context<'_, R>) -> Option<()> {
        let part = ReceiptPart::decode(part).ok()?;
        let recipient = part.unverified_device();
        let key = self.roster.device(&recipient)?.key;
        let verified = part.verify(&key, &self.mesh).ok()?;
        if self.roster.connects(&verified.head) == Connection::Fork {
            self.halt_on_fork(cx);
            return Some(());
        }
        let own = self.device;
        for item in verified.items_of(&own) {
            let Some((ordinal, at)) = self.find(&item.id, &recipient) else {
                if self.by_id.contains_key(&item.id) {
                    // It was never sent to this device.
                    return None;
                }
                // A row that is gone has reached its end before; a repeated receipt says nothing new.
                continue;
            };
            let sealed = self.outbox.get(&ordinal).is_some_and(|row| {
                row.sealed.iter().any(|sealed| sealed.attempt == item.attempt && sealed.hash.0 == item.envelope)
            });
            if !sealed {
                return None;
            }
            match item.state {
                ReceiptState::Delivered => self.set_state(ordinal, at, MessageState::Delivered, cx),
                ReceiptState::Refused(_) if !self.is_in_force(ordinal, item.attempt, &recipient) => {}
                ReceiptState::Refused(Reason::PrekeyGone) => self.reseal(ordinal, item.attempt, &recipient),
                ReceiptState::Refused(reason) => {
                    self.set_state(ordinal, at, MessageState::Refused(Why::Recipient(reason)), cx);
                }
            }
        }
        Some(())
    }
}
