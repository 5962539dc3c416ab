//! Mail at the reference broker: the checks on enqueue in the protocol's order, deliveries, receipts and expiry.

use std::collections::BTreeMap;
use std::sync::Arc;

use claudemesh_core::codec::{self, Bytes, List};
use claudemesh_core::envelope::{
    Delivery, Header, ParsedSubmission, Proof, Record, StoredEnvelope, StoredRecord, Submission,
};
use claudemesh_core::hash::Hash;
use claudemesh_core::head::Connection;
use claudemesh_core::receipt::{Receipt, ReceiptState};
use claudemesh_core::wire::{self, ErrorCode, Frame, Outcome};
use claudemesh_core::{DeviceId, MessageId, Millis, PublicKey};

use super::{ConnId, Disk, ModelBroker, Reply};

/// A message that was accepted for a recipient.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    id: MessageId,
    attempt: u64,
    hash: Hash,
    refused: bool,
}

/// A message that waits.
#[derive(Clone, Debug)]
pub(super) struct Row {
    sender: DeviceId,
    id: MessageId,
    attempt: u64,
    hash: Hash,
    expires: Millis,
    delivery: Arc<Vec<u8>>,
}

/// How long a lane waits for a refused message, milliseconds.
const HOLD: u64 = 60_000;

impl ModelBroker {
    pub(super) fn enqueue(&mut self, conn: ConnId, sender: &DeviceId, enqueue: &wire::Enqueue, now: Millis) -> Reply {
        let mut outcomes = Vec::new();
        for bytes in enqueue.submissions.iter() {
            let parsed = Submission::decode(bytes).ok().and_then(|submission| submission.parse().ok());
            let outcome = match parsed {
                Some(parsed) => self.submit(conn, sender, parsed, now),
                None => vec![Outcome::Refused(ErrorCode::Malformed)],
            };
            outcomes.push(List::from_vec(outcome).unwrap_or_default());
        }
        let outcomes = List::from_vec(outcomes).unwrap_or_default();
        Ok(wire::Enqueued { outcomes, commits: self.live.commits + u64::from(self.sync) }.into())
    }

    fn submit(&mut self, conn: ConnId, sender: &DeviceId, parsed: ParsedSubmission, now: Millis) -> Vec<Outcome> {
        let header = *parsed.header();
        let hash = parsed.envelope_hash();
        if header.sender != *sender || Some(header.mesh) != self.live.mesh() {
            return vec![Outcome::Refused(ErrorCode::Forbidden); parsed.records().len()];
        }
        let (envelope, records) = parsed.into_parts();
        let mut outcomes = Vec::new();
        for stored in &records {
            let record = &stored.record;
            let outcome = if self.is_held(conn, record, now) {
                Outcome::Refused(ErrorCode::RateLimited)
            } else if self.unavailable {
                Outcome::Refused(ErrorCode::Unavailable)
            } else {
                match self.live.check(&header, &hash, record, now) {
                    Ok(true) => Outcome::Duplicate,
                    Ok(false) => Outcome::Accepted,
                    Err(code) => Outcome::Refused(code),
                }
            };
            match outcome {
                Outcome::Accepted => {
                    self.sync = true;
                    self.pending_accepted.push((*sender, record.recipient, header.id));
                    self.live.accept(&header, hash, &envelope, stored);
                }
                Outcome::Refused(code) if code.is_retryable() => self.hold(conn, record, now),
                _ => {}
            }
            outcomes.push(outcome);
        }
        outcomes
    }

    /// Whether the message waits behind one that was refused for now.
    fn is_held(&mut self, conn: ConnId, record: &Record, now: Millis) -> bool {
        let Some(open) = self.open_mut(conn) else { return false };
        let Some(held) = open.held.get_mut(&(record.recipient, record.lane.code())) else { return false };
        held.remove(&record.seq);
        held.retain(|_, until| now < *until);
        held.first_key_value().is_some_and(|(first, _)| *first < record.seq)
    }

    fn hold(&mut self, conn: ConnId, record: &Record, now: Millis) {
        if let Some(open) = self.open_mut(conn) {
            open.held.entry((record.recipient, record.lane.code())).or_default().insert(record.seq, now.plus(HOLD));
        }
    }

    pub(super) fn receipt(&mut self, conn: ConnId, key: &PublicKey, bytes: &Bytes) -> Reply {
        let mesh = self.live.mesh().ok_or(ErrorCode::UnknownMesh)?;
        let receipt = Receipt::decode(bytes).and_then(|receipt| receipt.verify(key, &mesh));
        let receipt = receipt.map_err(|_| ErrorCode::Malformed)?;
        let recipient = receipt.device();
        let mut heard = Vec::new();
        for item in receipt.items() {
            let Some(mail) = self.live.mail.get_mut(&recipient) else { continue };
            let named = (item.sender, item.id, item.attempt, item.envelope);
            let found = mail.iter().find(|(_, row)| (row.sender, row.id, row.attempt, row.hash) == named);
            let Some(offset) = found.map(|(offset, _)| *offset) else { continue };
            mail.remove(&offset);
            if let Some(open) = self.open_mut(conn) {
                open.unacknowledged.remove(&offset);
            }
            heard.push(item.sender);
            if matches!(item.state, ReceiptState::Refused(_)) {
                self.sync = true;
                self.live.refused(&item.sender, &recipient, &item.id, item.attempt);
            }
        }
        heard.sort_unstable();
        heard.dedup();
        for sender in heard {
            let is_live = self.live.roster().is_some_and(|roster| roster.is_live_device(&sender));
            if let Some(part) = receipt.part_for(&sender).filter(|_| is_live) {
                self.live.notify(sender, wire::Notice::Receipt(part.encode().into()));
            }
        }
        Ok(wire::Done {}.into())
    }
}

impl Disk {
    /// `Ok(true)` for a duplicate, `Ok(false)` for a message to accept.
    fn check(&self, header: &Header, hash: &Hash, record: &Record, now: Millis) -> Result<bool, ErrorCode> {
        let lane = self.kept.get(&(header.sender, record.recipient, record.lane.code()));
        if let Some(kept) = lane.and_then(|lane| lane.get(&record.seq)) {
            let again = kept.refused && header.attempt > kept.attempt && kept.id == header.id;
            if !again {
                let conflict = kept.id == header.id && kept.attempt == header.attempt && kept.hash != *hash;
                return if conflict { Err(ErrorCode::IdConflict) } else { Ok(true) };
            }
        }
        let roster = self.roster().ok_or(ErrorCode::UnknownMesh)?;
        if !roster.is_live_device(&header.sender) {
            return Err(ErrorCode::SenderRemoved);
        }
        if !roster.is_live_device(&record.recipient) {
            return Err(ErrorCode::UnknownRecipient);
        }
        if roster.connects(&header.head) != Connection::Known {
            return Err(ErrorCode::UnknownHead);
        }
        let known = self.records.get(&record.recipient).is_some_and(|kept| kept.prekeys.contains(&record.prekey_id));
        if !known {
            return Err(ErrorCode::NoPrekey);
        }
        if header.expires <= now { Err(ErrorCode::Expired) } else { Ok(false) }
    }

    fn accept(&mut self, header: &Header, hash: Hash, envelope: &StoredEnvelope, stored: &StoredRecord) {
        let record = &stored.record;
        let kept = Kept { id: header.id, attempt: header.attempt, hash, refused: false };
        let lane = (header.sender, record.recipient, record.lane.code());
        self.kept.entry(lane).or_default().insert(record.seq, kept);
        if let Ok(proof) = Proof::from_stored(envelope, stored) {
            self.proofs.insert(header.sender, codec::encode(&proof).into());
        }
        let row = Row {
            sender: header.sender,
            id: header.id,
            attempt: header.attempt,
            hash,
            expires: header.expires,
            delivery: Arc::new(Delivery::assemble(envelope, &stored.bytes, &stored.member_of)),
        };
        self.mail.entry(record.recipient).or_default().insert(self.next_mail, row);
        self.next_mail += 1;
    }

    fn refused(&mut self, sender: &DeviceId, recipient: &DeviceId, id: &MessageId, attempt: u64) {
        let lanes = self.kept.range_mut((*sender, *recipient, 0)..=(*sender, *recipient, u64::MAX));
        for kept in lanes.flat_map(|(_, lane)| lane.values_mut()) {
            kept.refused |= kept.id == *id && kept.attempt == attempt;
        }
    }

    pub(super) fn push_mail(
        &self,
        device: &DeviceId,
        after: &mut u64,
        unacknowledged: &mut BTreeMap<u64, Millis>,
        window: usize,
        now: Millis,
    ) -> Option<Frame> {
        let room = window.saturating_sub(unacknowledged.len());
        let rows = self.mail.get(device)?.range(*after + 1..).take(room);
        let items: Vec<_> = rows
            .map(|(offset, row)| {
                *after = *offset;
                unacknowledged.insert(*offset, now);
                wire::Delivered { offset: *offset, delivery: row.delivery.as_slice().into() }
            })
            .collect();
        (!items.is_empty()).then(|| Frame::push(wire::Deliver { items: List::from_vec(items).unwrap_or_default() }))
    }

    pub(super) fn push_notices(&self, device: &DeviceId, after: &mut u64) -> Option<Frame> {
        let rows = self.notices.get(device)?.range(*after + 1..).take(256);
        let items: Vec<_> = rows
            .map(|(offset, notice)| {
                *after = *offset;
                wire::NumberedNotice { offset: *offset, notice: notice.clone() }
            })
            .collect();
        (!items.is_empty()).then(|| Frame::push(wire::Notices { items: List::from_vec(items).unwrap_or_default() }))
    }

    /// Drops what is past its time and tells the senders; whether there was any.
    pub(super) fn expire(&mut self, now: Millis) -> bool {
        let mut expired = Vec::new();
        for (device, mail) in &mut self.mail {
            mail.retain(|_, row| {
                let keep = row.expires > now;
                if !keep {
                    expired.push((row.sender, *device, row.id, row.attempt));
                }
                keep
            });
        }
        let any = !expired.is_empty();
        for (sender, device, id, attempt) in expired {
            self.notify(sender, wire::Notice::Expired { device, id, attempt });
        }
        any
    }
}
