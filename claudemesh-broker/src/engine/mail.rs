//! Mail on its way in, receipts and notices on their way back.

use std::sync::Arc;

use claudemesh_core::codec::List;
use claudemesh_core::receipt::Receipt;
use claudemesh_core::wire::{self, ErrorCode, Outcome};

use super::{Answer, Call, Inner};
use crate::routing::{self, Refused, Submitted};
use crate::store::{Enqueue, Enqueued};

/// Where the outcomes of one submission come from.
enum Place {
    /// From here.
    Known(Vec<Outcome>),
    /// From the store, except for these recipients, who wait behind a refusal.
    Stored(Vec<usize>),
}

impl Inner {
    /// `pace` is the connection's rate: how long to wait, or whether lanes of it are held.
    pub(super) fn enqueue(self: &Arc<Self>, call: &Call, body: wire::Enqueue, pace: Result<bool, u64>) -> Answer {
        let read = body.submissions.iter().map(|bytes| routing::read_submission(bytes, &call.mesh, &call.device));
        let held = match pace {
            Ok(held) => held,
            Err(wait) => {
                self.hold(call, read);
                let refused = Refused::new(ErrorCode::RateLimited, "too many messages");
                return self.answer_now(call, Err(Refused { retry_after_ms: Some(wait), ..refused }));
            }
        };
        let mut places = Vec::with_capacity(body.submissions.len());
        let mut batch = Vec::with_capacity(body.submissions.len());
        for submitted in read {
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
                    state.mail_arrived(&mail);
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
    fn hold(&self, call: &Call, read: impl Iterator<Item = Submitted>) {
        let read: Vec<_> = read.collect();
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
            state.committed(acked.commit);
            state.notices_arrived(&acked.notices);
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
