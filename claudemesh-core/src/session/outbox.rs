//! Sending: resolving devices, sealing, transmitting, and what becomes of each recipient.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::message::{MessageState, OutRecipient, OutboxKind, OutboxRow, SealedAttempt, Why};
use super::{Action, Change, Context, Fault, Outgoing, Pending, Session};
use crate::codec::{Bytes, HashBytes, List};
use crate::envelope::{
    Content, ContentBody, Draft, Header, Lane, MAX_ACTING, MAX_FLUSH, MAX_RECIPIENTS, Priority, Recipient, Submission,
    seal_flush,
};
use crate::id::{DeviceId, MemberId, MessageId};
use crate::time::Millis;
use crate::wire::{self, ErrorCode, Frame};

/// Envelopes transmitted and not answered.
const MAX_IN_FLIGHT: usize = 1024;
/// Bytes of submissions in one frame, leaving room for the frame itself.
const MAX_FRAME_PAYLOAD: usize = wire::MAX_FRAME - 4096;
/// How long after its expiry an accepted message without any word is given up.
const EXPIRY_GRACE: u64 = 24 * 3600 * 1000;

impl Session {
    pub(super) fn send_text<R: CryptoRng>(&mut self, outgoing: Outgoing, cx: &mut Context<'_, R>) {
        let mut recipients = Vec::new();
        for member in &outgoing.to {
            match self.pick_device(member) {
                Some(target) => recipients.push(self.recipient(target, *member, true)),
                // The member has no live device now; nothing can be addressed, so nothing is promised.
                None => cx.persist(Change::State {
                    id: outgoing.id,
                    device: DeviceId::from_bytes([0; 32]),
                    member: *member,
                    state: MessageState::Refused(Why::NoDevice),
                    at: cx.now,
                    visible: true,
                }),
            }
        }
        if recipients.is_empty() {
            return;
        }
        let content = Content {
            acting: recipients.iter().map(|recipient| recipient.device).collect(),
            target_session: outgoing.session,
            sending_session: outgoing.from_session,
            sent_at: cx.now,
            priority: outgoing.priority,
            reply_to: outgoing.reply_to,
            hops: 0,
            addressed: outgoing.to,
            body: ContentBody::Text(outgoing.text),
        };
        // The other devices of both sides get copies.
        for device in content.addressed.iter().chain([&self.member]).flat_map(|member| self.roster.devices_of(member)) {
            let is_new = recipients.iter().all(|recipient| recipient.device != device.id);
            let copy = device.is_live() && is_new && device.id != self.device && recipients.len() < MAX_RECIPIENTS;
            if copy && self.fresh_prekey(&device.id, cx.now).is_some() {
                recipients.push(self.recipient(device.id, device.member, false));
            }
        }
        let lane = match outgoing.priority {
            Priority::Now => Lane::Now,
            Priority::Next => Lane::Next,
            Priority::Low => Lane::Low,
        };
        self.queue(outgoing.id, OutboxKind::Text, lane, (cx.now, outgoing.ttl), &content, recipients);
    }

    pub(super) fn recipient(&self, device: DeviceId, member: MemberId, acting: bool) -> OutRecipient {
        OutRecipient { device, member, seq: None, acting, state: MessageState::Queued }
    }

    /// Puts a message into the outbox, with the time and how long it may wait; it is stored, and sealed if possible, at the
    /// next flush.
    pub(super) fn queue(
        &mut self,
        id: MessageId,
        kind: OutboxKind,
        lane: Lane,
        (now, ttl): (Millis, u64),
        content: &Content,
        recipients: Vec<OutRecipient>,
    ) {
        let expires = match self.skew {
            None if self.is_clock_behind(now) => super::clock::UNDATED,
            _ => self.broker_now(now).plus(ttl),
        };
        let ttl = self.skew.is_none().then_some(ttl);
        let ordinal = self.next_ordinal;
        self.next_ordinal += 1;
        // A content that breaks a rule is refused when it is drafted, in the order of its lane.
        let content = content.encode().map(|bytes| Bytes(bytes.to_vec())).unwrap_or_default();
        let row = OutboxRow { ordinal, id, kind, lane, expires, content, recipients, sealed: Vec::new(), ttl };
        self.expire_at = Some(self.expire_at.map_or(expires, |at| at.min(expires)));
        self.by_id.insert(id, ordinal);
        self.outbox.insert(ordinal, row);
        self.unsealed.insert(ordinal);
        self.dirty.insert(ordinal);
    }

    /// One acting device of each other live member.
    #[must_use]
    pub fn acting_devices(&self) -> Vec<DeviceId> {
        let others = self.roster.members().filter(|member| member.is_live() && member.id != self.member);
        others.filter_map(|member| self.pick_device(&member.id)).take(MAX_ACTING).collect()
    }

    /// The device of a member that a message would go to now.
    #[must_use]
    pub fn acting_device(&self, member: &MemberId) -> Option<DeviceId> {
        self.pick_device(member)
    }

    /// The member's acting device: online by presence, else the most recently seen, else the newest.
    pub(super) fn pick_device(&self, member: &MemberId) -> Option<DeviceId> {
        self.roster
            .devices_of(member)
            .filter(|device| device.is_live() && device.id != self.device)
            .max_by_key(|device| {
                let peer = self.peers.get(&device.id);
                (peer.is_some_and(|p| p.online), peer.map_or(0, |p| p.last_seen.0), device.added_at)
            })
            .map(|device| device.id)
    }

    pub(super) fn fresh_prekey(&self, device: &DeviceId, now: Millis) -> Option<(u32, crate::key::PrekeyPublic)> {
        if self.refused_records.contains(device) {
            return None;
        }
        let prekey = self.records.get(device)?.fresh_prekey(now.seconds())?;
        Some((prekey.id.0, prekey.public))
    }

    /// Rebuilds what is still to be sealed and sent from the rows; with `reoffer`, accepted rows are offered again.
    pub(super) fn requeue(&mut self, reoffer: bool) {
        self.unsealed.clear();
        self.unsent.clear();
        self.in_flight = 0;
        self.expire_at = self.outbox.values().map(|row| row.expires).min();
        for (ordinal, row) in &mut self.outbox {
            if reoffer {
                for recipient in row.recipients.iter_mut().filter(|r| r.state == MessageState::Accepted) {
                    recipient.state = MessageState::Queued;
                    // What the broker confirmed is void, also after a crash.
                    self.dirty.insert(*ordinal);
                }
            }
            let open = |recipient: &&OutRecipient| recipient.state.rank() < MessageState::Accepted.rank();
            for recipient in row.recipients.iter().filter(open) {
                match row.attempt_for(&recipient.device) {
                    Some(sealed) => {
                        self.unsent.insert(sealed.order, (*ordinal, sealed.attempt));
                    }
                    None => {
                        self.unsealed.insert(*ordinal);
                    }
                }
            }
        }
    }

    pub(super) fn flush_outbox<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        if self.retry_at.is_some() {
            return;
        }
        self.seal_waiting(cx);
        self.transmit(cx);
    }

    /// Seals what can be sealed, in order, up to [`MAX_FLUSH`] envelopes under one signature.
    pub(super) fn seal_waiting<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        let mut wanted = BTreeSet::new();
        let mut drafts: Vec<(u64, Draft)> = Vec::new();
        let waiting: Vec<u64> = self.unsealed.iter().copied().collect();
        for ordinal in waiting {
            if self.unsent.len() + drafts.len() >= MAX_IN_FLIGHT {
                break;
            }
            if let Some(draft) = self.draft(ordinal, &mut wanted, cx) {
                self.unsealed.remove(&ordinal);
                drafts.push((ordinal, draft));
            }
            if drafts.len() == MAX_FLUSH {
                self.seal(core::mem::take(&mut drafts), cx);
            }
        }
        self.seal(drafts, cx);
        self.ask_records(&wanted, cx);
    }

    /// The next attempt of a row, or none while a prekey is missing.
    pub(super) fn draft<R: CryptoRng>(
        &mut self,
        ordinal: u64,
        wanted: &mut BTreeSet<DeviceId>,
        cx: &mut Context<'_, R>,
    ) -> Option<Draft> {
        let row = self.outbox.get(&ordinal)?;
        let open: Vec<usize> = (0..row.recipients.len())
            .filter(|at| {
                let recipient = &row.recipients[*at];
                !recipient.state.is_end() && row.attempt_for(&recipient.device).is_none()
            })
            .collect();
        let (mut ready, mut missing) = (Vec::new(), Vec::new());
        for at in open {
            let device = row.recipients[at].device;
            match self.fresh_prekey(&device, cx.now) {
                Some(prekey) => ready.push((at, prekey)),
                None => missing.push((at, device)),
            }
        }
        let held = missing.iter().any(|(at, _)| row.recipients[*at].acting);
        for (at, device) in missing {
            wanted.insert(device);
            let known = self.was_asked(&device);
            let state = if held { MessageState::Held(Why::NoPrekey) } else { MessageState::Refused(Why::NoPrekey) };
            if known {
                self.set_state(ordinal, at, state, cx);
            }
        }
        if held || ready.is_empty() {
            return None;
        }
        let row = self.outbox.get(&ordinal)?;
        let content = Content::decode(&row.content).ok()?;
        // A row dated by a broker's clock that was wrong is no reason for a refusal.
        let latest = self.broker_now(cx.now).plus(self.limits.max_ttl.saturating_mul(1000));
        let (id, lane, expires) = (row.id, row.lane, row.expires.min(latest));
        let attempt = row.sealed.last().map_or(1, |sealed| sealed.attempt + 1);
        let mut recipients = Vec::with_capacity(ready.len());
        for (at, (prekey_id, prekey)) in ready {
            let device = self.outbox.get(&ordinal)?.recipients[at].device;
            let seq = self.assign_seq(ordinal, at, device, lane, cx)?;
            recipients.push(Recipient { device, prekey_id, prekey, lane, seq });
        }
        let header = Header {
            mesh: self.mesh,
            sender: self.device,
            id,
            attempt,
            expires,
            deliver_at: None,
            head: self.roster.head(),
        };
        Some(Draft { header, recipients, content })
    }

    /// The recipient's sequence number, assigned once for all attempts.
    pub(super) fn assign_seq<R>(
        &mut self,
        ordinal: u64,
        at: usize,
        device: DeviceId,
        lane: Lane,
        cx: &mut Context<'_, R>,
    ) -> Option<u64> {
        let recipient = &mut self.outbox.get_mut(&ordinal)?.recipients[at];
        if let Some(seq) = recipient.seq {
            return Some(seq);
        }
        let next = self.next_seq.entry((device, lane)).or_insert(1);
        let seq = *next;
        *next += 1;
        recipient.seq = Some(seq);
        cx.persist(Change::NextSeq { device, lane, seq: seq + 1 });
        Some(seq)
    }

    pub(super) fn seal<R: CryptoRng>(&mut self, drafts: Vec<(u64, Draft)>, cx: &mut Context<'_, R>) {
        if drafts.is_empty() {
            return;
        }
        let (ordinals, drafts): (Vec<u64>, Vec<Draft>) = drafts.into_iter().unzip();
        match seal_flush(&self.key, &drafts, &mut self.wraps, cx.now, cx.rng) {
            Ok(submissions) => {
                for ((ordinal, draft), submission) in ordinals.into_iter().zip(&drafts).zip(&submissions) {
                    self.took_seal(ordinal, draft, submission, cx);
                }
            }
            // One draft that cannot be sealed must not hold up the others.
            Err(_) if drafts.len() > 1 => {
                for (ordinal, draft) in ordinals.into_iter().zip(drafts) {
                    self.seal(vec![(ordinal, draft)], cx);
                }
            }
            Err(_) => {
                for at in 0..self.outbox.get(&ordinals[0]).map_or(0, |row| row.recipients.len()) {
                    let why = Why::Broker(ErrorCode::TooLarge);
                    self.set_state(ordinals[0], at, MessageState::Refused(why), cx);
                }
            }
        }
    }

    pub(super) fn took_seal<R>(
        &mut self,
        ordinal: u64,
        draft: &Draft,
        submission: &Submission,
        cx: &mut Context<'_, R>,
    ) {
        let Some(row) = self.outbox.get_mut(&ordinal) else { return };
        let Ok(parsed) = submission.clone().parse() else { return };
        let devices: Vec<DeviceId> = draft.recipients.iter().map(|recipient| recipient.device).collect();
        let attempt = draft.header.attempt;
        let order = self.next_order;
        self.next_order += 1;
        row.sealed.push(SealedAttempt {
            attempt,
            hash: HashBytes(parsed.envelope_hash()),
            devices,
            bytes: submission.encode().into(),
            order,
            refused: Vec::new(),
        });
        // A copy whose prekey was missing is still to be sealed.
        if row.recipients.iter().any(|r| !r.state.is_end() && row.attempt_for(&r.device).is_none()) {
            self.unsealed.insert(ordinal);
        }
        let at_held: Vec<usize> =
            (0..row.recipients.len()).filter(|at| matches!(row.recipients[*at].state, MessageState::Held(_))).collect();
        for at in at_held {
            self.set_state(ordinal, at, MessageState::Queued, cx);
        }
        self.unsent.insert(order, (ordinal, attempt));
        self.dirty.insert(ordinal);
    }

    pub(super) fn transmit<R>(&mut self, cx: &mut Context<'_, R>) {
        while self.in_flight < MAX_IN_FLIGHT && !self.unsent.is_empty() {
            let (mut rows, mut submissions, mut size) = (Vec::new(), Vec::new(), 0);
            while let Some((ordinal, attempt)) = self.unsent.first_key_value().map(|(_, named)| *named) {
                let sealed = self.outbox.get(&ordinal).and_then(|row| row.attempt(attempt));
                let Some(bytes) = sealed.map(|sealed| sealed.bytes.clone()) else {
                    self.unsent.pop_first();
                    continue;
                };
                if rows.len() == MAX_FLUSH || (!rows.is_empty() && size + bytes.len() > MAX_FRAME_PAYLOAD) {
                    break;
                }
                size += bytes.len() + 8;
                self.unsent.pop_first();
                rows.push((ordinal, attempt));
                submissions.push(bytes);
            }
            if rows.is_empty() {
                return;
            }
            self.in_flight += rows.len();
            let request = self.request(Pending::Enqueue(rows));
            let submissions = List::from_vec(submissions).unwrap_or_default();
            cx.out.push(Action::Send(Frame::new(request, wire::Enqueue { submissions })));
        }
    }

    pub(super) fn find(&self, id: &MessageId, device: &DeviceId) -> Option<(u64, usize)> {
        let ordinal = *self.by_id.get(id)?;
        Some((ordinal, self.position(ordinal, device)?))
    }

    pub(super) fn position(&self, ordinal: u64, device: &DeviceId) -> Option<usize> {
        self.outbox.get(&ordinal)?.recipients.iter().position(|recipient| recipient.device == *device)
    }

    pub(super) fn set_state<R>(&mut self, ordinal: u64, at: usize, state: MessageState, cx: &mut Context<'_, R>) {
        let Some(row) = self.outbox.get_mut(&ordinal) else { return };
        let visible = row.kind == OutboxKind::Text && row.recipients[at].acting;
        let id = row.id;
        let recipient = &mut row.recipients[at];
        if !recipient.state.may_become(state) {
            return;
        }
        recipient.state = state;
        let (device, member) = (recipient.device, recipient.member);
        cx.persist(Change::State { id, device, member, state, at: cx.now, visible });
        if row.is_done() {
            self.outbox.remove(&ordinal);
            self.by_id.remove(&id);
            self.unsealed.remove(&ordinal);
            // A row that came and went within one flush still has to be known to the store.
            self.dirty.remove(&ordinal);
            cx.persist(Change::OutboxDone { id });
        }
    }

    /// Stores rows that changed, before anything of them is sent.
    pub(super) fn flush_dirty<R>(&mut self, cx: &mut Context<'_, R>) {
        let mut changes: Vec<Action> = Vec::new();
        for ordinal in core::mem::take(&mut self.dirty) {
            if let Some(row) = self.outbox.get(&ordinal) {
                changes.push(Action::Persist(Change::Outbox(row.clone())));
            }
        }
        // Rows stand before the states and frames of the same batch.
        changes.append(&mut cx.out);
        cx.out = changes;
    }

    /// A removed device takes nothing more.
    pub(super) fn drop_recipient<R>(&mut self, device: &DeviceId, cx: &mut Context<'_, R>) {
        let why = Why::Broker(ErrorCode::UnknownRecipient);
        for ordinal in self.outbox.keys().copied().collect::<Vec<_>>() {
            if let Some(at) = self.position(ordinal, device) {
                self.set_state(ordinal, at, MessageState::Refused(why), cx);
            }
        }
    }

    /// After the own removal, or the end of the mesh, the broker takes nothing more: what it never confirmed is refused.
    /// What it did confirm keeps that state, since its recipient may have it, until it expires.
    pub(super) fn end_outbox<R>(&mut self, cx: &mut Context<'_, R>) {
        if !self.is_halted() || self.outbox.is_empty() {
            return;
        }
        let code = if self.faults.contains(&Fault::Removed) {
            ErrorCode::Removed
        } else if self.faults.contains(&Fault::MeshClosed) {
            ErrorCode::MeshClosed
        } else {
            return;
        };
        let open = self.outbox.iter().flat_map(|(ordinal, row)| {
            let unconfirmed = |at: &usize| row.recipients[*at].state.rank() < MessageState::Accepted.rank();
            (0..row.recipients.len()).filter(unconfirmed).map(|at| (*ordinal, at))
        });
        for (ordinal, at) in open.collect::<Vec<_>>() {
            self.set_state(ordinal, at, MessageState::Refused(Why::Broker(code)), cx);
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Millis> {
        // Expiry follows the broker's clock: without it, nothing expires.
        let skew = self.skew?;
        Some(Millis(self.expire_at?.0.saturating_add_signed(skew.saturating_neg())))
    }

    /// Ends what the broker never took in time, and what it took but gave no word about for a day after.
    pub(super) fn expire_outbox<R>(&mut self, cx: &mut Context<'_, R>) {
        let now = self.broker_now(cx.now);
        if self.skew.is_none() || self.expire_at.is_none_or(|at| now < at) {
            return;
        }
        let mut due = Vec::new();
        self.expire_at = None;
        for (ordinal, row) in &self.outbox {
            for (at, recipient) in row.recipients.iter().enumerate().filter(|(_, r)| !r.state.is_end()) {
                // Sealed bytes may have reached the broker without our knowing: then it is the one to say so.
                let in_doubt = row.sealed.iter().any(|sealed| sealed.devices.contains(&recipient.device));
                let end = row.expires.plus(if in_doubt { EXPIRY_GRACE } else { 0 });
                if now >= end {
                    due.push((*ordinal, at));
                } else {
                    self.expire_at = Some(self.expire_at.map_or(end, |at| at.min(end)));
                }
            }
        }
        for (ordinal, at) in due {
            self.set_state(ordinal, at, MessageState::Expired, cx);
        }
    }
}
