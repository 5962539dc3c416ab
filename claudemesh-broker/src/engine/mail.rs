//! Mail on its way in, receipts and notices on their way back.

use std::collections::BTreeMap;
use std::sync::Arc;

use claudemesh_core::codec::{Bytes, List};
use claudemesh_core::envelope::{Delivery, StoredEnvelope, StoredRecord};
use claudemesh_core::receipt::Receipt;
use claudemesh_core::wire::{self, ErrorCode, Outcome};
use claudemesh_core::{DeviceId, Millis};

use super::state::{State, Stored};
use super::{Answer, Call, Inner};
use crate::routing::{self, Refused, Submitted};
use crate::store::{Enqueue, Enqueued, NewMail};

/// Bytes of deliveries one request keeps at hand while it is stored; they fit one frame.
const AT_HAND: usize = 192 * 1024;

/// Where the outcomes of one submission come from.
enum Place {
    /// From here.
    Known(Vec<Outcome>),
    /// From the store, except for these recipients, who wait behind a refusal.
    Stored(Vec<usize>),
}

/// Deliveries for devices that are connected, by envelope of the batch: pushed as soon as they are stored, without being
/// read back.
#[derive(Debug, Default)]
struct AtHand {
    deliveries: BTreeMap<(usize, DeviceId), Bytes>,
    bytes: usize,
}

impl AtHand {
    fn keep(&mut self, at: usize, envelope: &StoredEnvelope, record: &StoredRecord) {
        let parts = [&envelope.header, &envelope.body, &envelope.flush, &record.bytes];
        let size = parts.iter().map(|part| part.len()).sum::<usize>() + 512;
        if self.bytes + size > AT_HAND {
            return;
        }
        self.bytes += size;
        // Of two copies for one device the store takes the first at most.
        let entry = self.deliveries.entry((at, record.record.recipient));
        entry.or_insert_with(|| Delivery::assemble(envelope, &record.bytes, &record.member_of).into());
    }

    /// Pushes what was stored.
    fn push(mut self, state: &mut State, mail: &[NewMail], now: Millis) {
        let mut mailboxes: BTreeMap<_, Vec<Stored>> = BTreeMap::new();
        for NewMail { mesh, device, envelope, offset } in mail {
            let delivery = self.deliveries.remove(&(*envelope, *device));
            mailboxes.entry((mesh, device)).or_default().push((*offset, delivery));
        }
        for ((mesh, device), rows) in mailboxes {
            state.push_mail(mesh, device, rows, now);
        }
    }
}

impl Inner {
    /// `pace` is the connection's rate: how long to wait, or whether lanes of it are held.
    pub(super) fn enqueue(self: &Arc<Self>, call: &Call, body: wire::Enqueue, pace: Result<bool, u64>) -> Answer {
        let held = match pace {
            Ok(held) => held,
            Err(wait) => {
                self.hold(call, &body);
                let refused = Refused::new(ErrorCode::RateLimited, "too many messages");
                return self.answer_now(call, Err(Refused { retry_after_ms: Some(wait), ..refused }));
            }
        };
        let mut places = Vec::with_capacity(body.submissions.len());
        let mut batch = Vec::with_capacity(body.submissions.len());
        let mut at_hand = AtHand::default();
        for bytes in body.submissions.iter() {
            let at = batch.len();
            let submitted = routing::read_submission(bytes, &call.mesh, &call.device, |envelope, record| {
                if self.state().is_connected(&call.mesh, &record.record.recipient) {
                    at_hand.keep(at, envelope, record);
                }
            });
            match submitted {
                Submitted::Refused(recipients, code) => {
                    places.push(Place::Known(vec![Outcome::Refused(code); recipients]));
                }
                Submitted::Fine(mut enqueue) => {
                    let waiting = if held { self.take_held(call, &mut enqueue) } else { Vec::new() };
                    if enqueue.recipients.is_empty() {
                        places.push(Place::Known(vec![Outcome::Refused(ErrorCode::RateLimited); waiting.len()]));
                    } else {
                        places.push(Place::Stored(waiting));
                        batch.push(*enqueue);
                    }
                }
            }
        }
        if batch.is_empty() {
            let commits = self.state().commits;
            return self.answer_now(call, enqueued(places, Vec::new(), commits));
        }
        let stored = self.store.enqueue(batch, call.now);
        let inner = self.clone();
        let call = *call;
        Answer::later(async move {
            let reply = match stored.await {
                Ok(Enqueued { outcomes, mail, due, commit }) => {
                    let mut state = inner.state();
                    state.committed(commit);
                    at_hand.push(&mut state, &mail, call.now);
                    if let Some(due) = due {
                        state.due = state.due.min(due);
                    }
                    drop(state);
                    enqueued(places, outcomes, commit)
                }
                Err(error) => Err(error.into()),
            };
            inner.state().reply(call.id, call.request, reply, call.now);
        })
    }

    /// Holds the lanes of messages that are refused for their rate.
    fn hold(&self, call: &Call, body: &wire::Enqueue) {
        let read = |bytes: &Bytes| routing::read_submission(bytes, &call.mesh, &call.device, |_, _| ());
        let read: Vec<_> = body.submissions.iter().map(read).collect();
        let mut state = self.state();
        let Some(session) = state.session(call.id) else { return };
        for submitted in read {
            let Submitted::Fine(enqueue) = submitted else { continue };
            for to in &enqueue.recipients {
                session.held.hold(to.device, to.lane, to.seq, call.now);
            }
        }
    }

    /// Takes the recipients out that wait behind a refusal; their places, ascending.
    fn take_held(&self, call: &Call, enqueue: &mut Enqueue) -> Vec<usize> {
        let mut state = self.state();
        let Some(session) = state.session(call.id) else { return Vec::new() };
        let mut held = Vec::new();
        let mut place = 0;
        enqueue.recipients.retain(|to| {
            let waits = session.held.holds(to.device, to.lane, to.seq, call.now);
            if waits {
                held.push(place);
            }
            place += 1;
            !waits
        });
        held
    }

    pub(super) fn receipt(self: &Arc<Self>, call: Call, body: &wire::ReceiptPut) -> Answer {
        let receipt = Receipt::decode(&body.receipt).and_then(|receipt| receipt.verify(&call.key, &call.mesh));
        let receipt = match receipt {
            Ok(receipt) => receipt,
            Err(error) => return self.answer_now(&call, Err(routing::bad_receipt(error))),
        };
        let acked = self.store.ack(vec![routing::to_ack(&receipt, call.mesh)], call.now);
        let inner = self.clone();
        self.answer(call, async move {
            let acked = acked.await?;
            let mut state = inner.state();
            acked.notices.into_iter().for_each(|notice| state.push_notice(notice, call.now));
            if let (Some(session), Some(removed)) = (state.session(call.id), acked.removed.first()) {
                session.feeds.mail.acknowledge(removed);
                if session.feeds.mail.wants()
                    && let Some(connection) = state.connections.get(&call.id)
                {
                    connection.outbox.wake();
                }
            }
            Ok(wire::Done {}.into())
        })
    }

    pub(super) fn notices_done(self: &Arc<Self>, call: Call, body: &wire::NoticesDone) -> Answer {
        let done = self.store.notices_done(call.mesh, call.device, body.through);
        self.answer(call, async move { Ok(done.await.map(|()| wire::Done {})?.into()) })
    }
}

fn enqueued(places: Vec<Place>, stored: Vec<Vec<crate::store::Outcome>>, commits: u64) -> super::Reply {
    let mut stored = stored.into_iter();
    let mut outcomes = Vec::with_capacity(places.len());
    for place in places {
        let list = match place {
            Place::Known(list) => list,
            Place::Stored(held) => {
                let mut list: Vec<_> = stored.next().unwrap_or_default().into_iter().map(routing::outcome).collect();
                for place in held {
                    list.insert(place.min(list.len()), Outcome::Refused(ErrorCode::RateLimited));
                }
                list
            }
        };
        outcomes.push(List::from_vec(list).map_err(|_| too_many())?);
    }
    let outcomes = List::from_vec(outcomes).map_err(|_| too_many())?;
    Ok(wire::Enqueued { outcomes, commits }.into())
}

fn too_many() -> Refused {
    Refused::new(ErrorCode::Internal, "more outcomes than recipients")
}
