//! Receiving: every delivery ends applied, refused with a reason, or left at the broker to come again.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::message::{InboxBody, InboxRow, MessageState, OutRecipient, OutboxKind};
use super::{Action, Change, Context, Fault, MAX_RECENT, Notice, Pending, Session};
use crate::device::PrekeyId;
use crate::envelope::{
    ClaimItem, ClaimState, Content, ContentBody, Delivery, Lane, MAX_CLAIMS, MAX_SESSION, Priority, VerifiedDelivery,
};
use crate::hash::Hash;
use crate::head::Connection;
use crate::id::{DeviceId, MessageId};
use crate::key::PublicKey;
use crate::receipt::{MAX_ITEMS, Reason, Receipt, ReceiptItem, ReceiptState};
use crate::time::Millis;
use crate::wire::{self, Frame};

/// How long a claim of reading may wait for the sender.
const CLAIM_TTL: u64 = 7 * 24 * 3600 * 1000;
/// Deliveries kept while the roster entries they name are fetched.
const MAX_DEFERRED: usize = 1024;

impl Session {
    pub(super) fn on_deliver<R: CryptoRng>(&mut self, deliver: wire::Deliver, cx: &mut Context<'_, R>) {
        for item in deliver.items.into_vec() {
            self.on_delivery(&item.delivery, true, cx);
        }
    }

    /// Takes a delivery. With `may_wait` it is put aside while roster entries it names are fetched.
    pub(super) fn on_delivery<R: CryptoRng>(&mut self, bytes: &[u8], may_wait: bool, cx: &mut Context<'_, R>) {
        let Ok(delivery) = Delivery::decode(bytes) else {
            // Without a header there is nobody to answer: the broker keeps it till it expires.
            return cx.notify(Notice::Rejected { fault: Fault::Malformed });
        };
        let header = delivery.unverified_header();
        let Some((key, live)) = self.sender(&header.sender) else {
            // Nobody vouches for this header: it may make us look again, never stop us.
            return match self.roster.connects(&header.head) {
                Connection::Ahead if may_wait && header.mesh == self.mesh => self.defer(bytes, cx),
                Connection::Fork if header.mesh == self.mesh => {
                    cx.notify(Notice::Rejected { fault: Fault::RosterFork });
                }
                _ => cx.notify(Notice::Rejected { fault: Fault::Forged }),
            };
        };
        let Ok(verified) = delivery.verify(&key, &self.mesh, &mut self.flushes) else {
            return cx.notify(Notice::Rejected { fault: Fault::Forged });
        };
        if verified.check_recipient(&self.device).is_err() {
            return cx.notify(Notice::Rejected { fault: Fault::Forged });
        }
        match self.roster.connects(&verified.header().head) {
            Connection::Known => {}
            Connection::Ahead if may_wait => return self.defer(bytes, cx),
            Connection::Ahead => return cx.notify(Notice::Rejected { fault: Fault::Forged }),
            Connection::Fork => return self.halt_on_fork(cx),
        }
        if !live {
            return self.answer(&verified, ReceiptState::Refused(Reason::SenderRemoved));
        }
        self.apply_delivery(&verified, cx);
    }

    fn sender(&self, device: &DeviceId) -> Option<(PublicKey, bool)> {
        self.roster.device(device).map(|device| (device.key, device.is_live()))
    }

    /// Keeps a delivery that names roster entries we do not have, and fetches them.
    fn defer<R: CryptoRng>(&mut self, bytes: &[u8], cx: &mut Context<'_, R>) {
        // A request that is under way may have been answered before the entries were there.
        let under_way = self.pending.values().any(|pending| matches!(pending, Pending::RosterRange { .. }));
        let number = if under_way { 0 } else { self.sync_roster(cx) };
        if self.deferred.len() < MAX_DEFERRED {
            self.deferred.push((number, bytes.to_vec()));
        }
    }

    fn apply_delivery<R: CryptoRng>(&mut self, verified: &VerifiedDelivery, cx: &mut Context<'_, R>) {
        let (header, record) = (*verified.header(), verified.record().clone());
        let hash = verified.envelope_hash();
        let name = (header.sender, header.id);
        let lane = (header.sender, record.lane);
        if self.seen.get(&lane).is_some_and(|runs| runs.contains(record.seq)) {
            // Applied before, perhaps by another attempt: say so again.
            let same = self.recent.get(&name).is_none_or(|(known, _)| *known == hash || header.attempt > 1);
            let state = if same { ReceiptState::Delivered } else { ReceiptState::Refused(Reason::Conflict) };
            return self.answer(verified, state);
        }
        if let Some((known, _)) = self.recent.get(&name) {
            let state = if *known == hash { ReceiptState::Delivered } else { ReceiptState::Refused(Reason::Conflict) };
            return self.answer(verified, state);
        }
        let Some(secret) = self.prekeys.secret(PrekeyId(record.prekey_id)) else {
            return self.answer(verified, ReceiptState::Refused(Reason::PrekeyGone));
        };
        let content = match verified.open(secret, &mut self.unwraps) {
            Ok(content) => content,
            Err(error) => return self.answer(verified, ReceiptState::Refused(error.into())),
        };
        self.take_content(&header.sender, header.id, content, cx);
        self.mark_seen(header.sender, record.lane, record.seq, header.id, hash, cx);
        self.answer(verified, ReceiptState::Delivered);
    }

    fn take_content<R>(&mut self, sender: &DeviceId, id: MessageId, content: Content, cx: &mut Context<'_, R>) {
        let Some(member) = self.roster.device(sender).map(|device| device.member) else { return };
        let body = match content.body {
            ContentBody::Text(text) => InboxBody::Text(text),
            ContentBody::Claim(claims) => return self.take_claims(sender, &claims, content.sending_session, cx),
            ContentBody::Invitation(log) => return self.take_invitation(log, cx),
            ContentBody::Unknown { kind, bytes } => InboxBody::Undecodable { kind, bytes },
        };
        cx.persist(Change::Inbox(InboxRow {
            id,
            device: *sender,
            member,
            from_session: content.sending_session,
            session: content.target_session,
            to: content.addressed,
            body,
            sent_at: content.sent_at,
            received_at: cx.now,
            priority: content.priority,
            reply_to: content.reply_to,
            copy: !content.acting.contains(&self.device),
            hops: content.hops,
        }));
    }

    fn mark_seen<R>(
        &mut self,
        device: DeviceId,
        lane: Lane,
        seq: u64,
        id: MessageId,
        hash: Hash,
        cx: &mut Context<'_, R>,
    ) {
        let runs = self.seen.entry((device, lane)).or_default();
        let expected = runs.max().unwrap_or(0) + 1;
        // More holes than a hostile sender may make us remember: the number counts as applied all the same.
        let _ = runs.insert(seq);
        if seq > expected && lane != Lane::Scheduled {
            cx.notify(Notice::Gap { device, missing: seq - expected });
        }
        if self.recent.insert((device, id), (hash, cx.now)).is_none() {
            self.recent_order.push_back((device, id));
        }
        if self.recent_order.len() > MAX_RECENT
            && let Some(oldest) = self.recent_order.pop_front()
        {
            self.recent.remove(&oldest);
        }
        cx.persist(Change::Seen { device, lane, seq, id, hash, at: cx.now });
    }

    fn answer(&mut self, verified: &VerifiedDelivery, state: ReceiptState) {
        let header = verified.header();
        self.receipts.push(ReceiptItem {
            sender: header.sender,
            id: header.id,
            attempt: header.attempt,
            envelope: verified.envelope_hash(),
            state,
        });
    }

    /// Signs what was answered since the last flush. The store commits the messages before these frames leave.
    pub(super) fn flush_receipts<R>(&mut self, cx: &mut Context<'_, R>) {
        for items in core::mem::take(&mut self.receipts).chunks(MAX_ITEMS) {
            let Ok(receipt) = Receipt::sign(&self.key, self.mesh, self.roster.head(), items) else { continue };
            let request = self.request(Pending::Other);
            let receipt = receipt.encode().into();
            cx.out.push(Action::Send(Frame::new(request, wire::ReceiptPut { receipt })));
        }
        if let Some(through) = self.notices_through.take() {
            let request = self.request(Pending::Other);
            cx.out.push(Action::Send(Frame::new(request, wire::NoticesDone { through })));
        }
    }

    pub(super) fn claim<R>(
        &mut self,
        messages: Vec<(DeviceId, MessageId)>,
        state: ClaimState,
        session: Option<String>,
        cx: &mut Context<'_, R>,
    ) {
        let session = session.filter(|session| session.len() <= MAX_SESSION);
        for (device, id) in messages {
            if state == ClaimState::Read {
                cx.persist(Change::Read { device, id, at: cx.now });
            }
            if self.roster.is_live_device(&device) && !self.is_halted() {
                let said = self.claims.entry((device, session.clone())).or_default();
                said.push(ClaimItem { id, state, at: cx.now });
            }
        }
    }

    /// Tells senders what became of their messages, sealed to them like any message.
    pub(super) fn flush_claims<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        for ((device, session), said) in core::mem::take(&mut self.claims) {
            let Some(member) = self.roster.device(&device).map(|device| device.member) else { continue };
            for claims in said.chunks(MAX_CLAIMS) {
                let content = Content {
                    acting: vec![device],
                    target_session: None,
                    sending_session: session.clone(),
                    sent_at: cx.now,
                    priority: Priority::Next,
                    reply_to: None,
                    hops: 0,
                    addressed: vec![member],
                    body: ContentBody::Claim(claims.to_vec()),
                };
                let recipient = OutRecipient { device, member, seq: None, acting: true, state: MessageState::Queued };
                let id = MessageId::generate(cx.now, cx.rng);
                self.queue(id, OutboxKind::Claim, Lane::Next, (cx.now, CLAIM_TTL), &content, vec![recipient]);
            }
        }
    }

    /// Takes a recipient's claims about messages this device sent to it.
    fn take_claims<R>(
        &mut self,
        device: &DeviceId,
        claims: &[ClaimItem],
        session: Option<String>,
        cx: &mut Context<'_, R>,
    ) {
        let Some(member) = self.roster.device(device).map(|device| device.member) else { return };
        for claim in claims {
            let wait = claim.state.wait();
            if wait.is_some() || session.is_some() {
                cx.persist(Change::Claimed { id: claim.id, device: *device, session: session.clone(), wait });
            }
            let state = match claim.state {
                ClaimState::Injected => MessageState::Injected,
                ClaimState::Read => MessageState::Read,
                _ => continue,
            };
            // Mail may overtake the notice of its own receipt.
            if let Some((ordinal, at)) = self.find(&claim.id, device) {
                self.set_state(ordinal, at, state, cx);
                continue;
            }
            // The store raises the state only of a message that was sent to this very device and delivered there.
            cx.persist(Change::State {
                id: claim.id,
                device: *device,
                member,
                state,
                at: claim_time(claim, cx.now),
                visible: true,
            });
        }
    }
}

/// A claimed time is never ahead of our clock.
fn claim_time(claim: &ClaimItem, now: Millis) -> Millis {
    claim.at.min(now)
}
