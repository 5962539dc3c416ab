//! The broker's welcome, and what a changed one means: a rollback, a clone, a roster it lacks.

use super::{Action, Change, Context, MessageState, Phase, Session};
use crate::codec;
use crate::device::DeviceRecord;
use crate::envelope::{Lane, Proof, VerifiedProof};
use crate::head::Connection;
use crate::id::DeviceId;
use crate::wire::{self, Resume};
use rand_core::CryptoRng;

use super::Fault;

impl Session {
    pub(super) fn on_welcome<R: CryptoRng>(&mut self, frame: &wire::WelcomeFrame, cx: &mut Context<'_, R>) {
        let Phase::Greeting(handshake) = &self.phase else { return };
        let Ok(welcome) = handshake.finish(frame) else {
            return self.drop_connection(Fault::WrongBroker, cx);
        };
        let body = welcome.body;
        self.faults.remove(&Fault::WrongBroker);
        self.faults.remove(&Fault::UnknownMesh);
        if self.is_cloned(body.record.as_deref(), body.last_sent.as_deref()) {
            return self.halt(Fault::Cloned, cx);
        }
        self.limits = body.limits;
        self.compare_clocks(body.now, cx);
        let resume = Resume { store_id: body.store_id, commits: body.commits };
        let rolled_back =
            self.resume.is_some_and(|seen| seen.store_id != resume.store_id || seen.commits > resume.commits);
        let forgot = self.has_forgotten(body.last_sent.as_deref());
        if rolled_back || forgot || (self.resume.is_some() && self.is_roster_behind(body.head)) {
            self.fault(Fault::BrokerRolledBack, cx);
            self.requeue(true);
        }
        // The record may have been lost on its way there, or by the broker.
        let published = body.record.as_deref().and_then(|bytes| self.own_record(bytes));
        self.record_due |= published.is_none_or(|record| record.counter() != self.record_counter);
        self.resume = Some(resume);
        cx.persist(Change::Resume(resume));
        self.failures = 0;
        self.pong_by = None;
        self.phase = Phase::Syncing;
        match body.head {
            Some(head) if self.offer => self.on_offered(head, cx),
            None if self.offer => self.reappend(0, cx),
            Some(head) if self.roster.head() == head => self.become_ready(cx),
            _ => {
                self.sync_roster(cx);
            }
        }
    }

    /// Whether another home has acted as this device: the broker shows bytes signed by our key that we did not make.
    pub(super) fn is_cloned(&self, record: Option<&[u8]>, last_sent: Option<&[u8]>) -> bool {
        let newer_record = record
            .and_then(|bytes| self.own_record(bytes))
            .is_some_and(|record| record.counter() > self.record_counter);
        let newer_seq = last_sent
            .and_then(|bytes| codec::decode::<Proof>(bytes).ok())
            .and_then(|proof| proof.verify(&self.key.public(), &self.mesh).ok())
            .is_some_and(|proof| {
                let next = self.next_seq.get(&(proof.record.recipient, proof.record.lane)).copied().unwrap_or(1);
                proof.record.seq >= next
            });
        newer_record || newer_seq
    }

    /// What the broker has when entries are offered: it gets the rest.
    pub(super) fn on_offered<R: CryptoRng>(&mut self, head: crate::RosterHead, cx: &mut Context<'_, R>) {
        match self.roster.connects(&head) {
            Connection::Known if head == self.roster.head() => self.offered(cx),
            Connection::Known => self.reappend(head.index + 1, cx),
            // It is further than we are, or elsewhere: connecting as a device tells.
            Connection::Ahead => self.offered(cx),
            // Only named, and not to be read by who is not in it.
            Connection::Fork => {
                self.offer = false;
                self.drop_connection(Fault::RosterFork, cx);
            }
        }
    }

    pub(super) fn offered<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        self.offer = false;
        self.reconnect(cx);
    }

    /// Connects anew at once.
    pub(super) fn reconnect<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        cx.out.push(Action::Disconnect);
        self.on_closed(cx);
        self.phase = Phase::Offline { retry_at: cx.now };
    }

    /// Whether the last envelope the broker knows of ours lies before one that it has confirmed.
    pub(super) fn has_forgotten(&self, last_sent: Option<&[u8]>) -> bool {
        let proof = last_sent
            .and_then(|bytes| codec::decode::<Proof>(bytes).ok())
            .and_then(|proof| proof.verify(&self.key.public(), &self.mesh).ok());
        let accepted = self.outbox.values().flat_map(|row| row.recipients.iter().map(move |to| (row.lane, to)));
        accepted.filter(|(_, to)| to.state == MessageState::Accepted).any(|(lane, to)| {
            proof.as_ref().is_none_or(|proof| to.seq.is_some_and(|seq| lies_before(proof, &to.device, lane, seq)))
        })
    }

    pub(super) fn own_record(&self, bytes: &[u8]) -> Option<DeviceRecord> {
        DeviceRecord::verify(bytes, &self.mesh, &self.key.public()).ok()
    }
}

/// Whether what a proof shows went out before this number of a lane did. Only a first attempt says so: one that was refused
/// is sealed again under the number it has, after others were accepted.
fn lies_before(proof: &VerifiedProof, device: &DeviceId, lane: Lane, seq: u64) -> bool {
    let VerifiedProof { header, record } = proof;
    (record.recipient, record.lane) == (*device, lane) && header.attempt == 1 && record.seq < seq
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::HashBytes;
    use crate::envelope::{Header, Record};
    use crate::head::RosterHead;
    use crate::id::{MeshId, MessageId};
    use crate::time::Millis;

    const DEVICE: DeviceId = DeviceId::from_bytes([2; 32]);

    fn proof(attempt: u64, seq: u64) -> VerifiedProof {
        let header = Header {
            mesh: MeshId::from_bytes([0; 32]),
            sender: DeviceId::from_bytes([1; 32]),
            id: MessageId::from_bytes([7; 16]),
            attempt,
            expires: Millis(0),
            deliver_at: None,
            head: RosterHead { index: 0, hash: HashBytes([0; 32]) },
        };
        let record = Record { recipient: DEVICE, prekey_id: 1, lane: Lane::Next, seq, wrap: [0; _] };
        VerifiedProof { header, record }
    }

    #[test]
    fn the_last_envelope_lies_before_a_later_one_of_its_lane() {
        assert!(lies_before(&proof(1, 4), &DEVICE, Lane::Next, 5));
        assert!(!lies_before(&proof(1, 5), &DEVICE, Lane::Next, 5));
        assert!(!lies_before(&proof(1, 4), &DEVICE, Lane::Now, 5));
        assert!(!lies_before(&proof(1, 4), &DeviceId::from_bytes([3; 32]), Lane::Next, 5));
    }

    #[test]
    fn one_that_was_sealed_again_says_nothing_of_later_numbers() {
        assert!(!lies_before(&proof(2, 4), &DEVICE, Lane::Next, 5));
    }
}
