//! The broker without sockets: connections in, frames out, time passed in.
//!
//! Owns what is volatile (connections, windows, presence, rosters in use) and drives the [`Store`], which owns what is
//! durable. It has no clock and spawns nothing: the same calls in the same order over a deterministic store give the same
//! frames. The state is behind one lock that is never held across an await, nor while signatures are checked or envelopes
//! read.

mod hello;
mod log;
mod mail;
mod pump;
mod roster;
mod session;
mod state;
mod tick;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use claudemesh_core::codec::{HashBytes, List};
use claudemesh_core::device::DeviceRecord;
use claudemesh_core::presence::Presence;
use claudemesh_core::wire::{self, Body, Challenge, Closing, ErrorCode, Frame, FrameError};
use claudemesh_core::{DeviceId, MeshId, Millis, PublicKey, SigningKey};
use rand_core::CryptoRng;

use crate::config::EngineConfig;
use crate::connection::{Conn, ConnectionId, Outbox};
use crate::routing::{self, Mode, Refused};
use crate::store::{RecordPut, Store, StoreError};
use state::{Connection, Phase, State};

/// The broker takes no further connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// As many as may be are open.
    #[error("too many connections")]
    Full,
    /// The broker is stopping.
    #[error("the broker is stopping")]
    Stopping,
}

/// The broker without sockets. A cheap clone.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    key: SigningKey,
    config: EngineConfig,
    state: Mutex<State>,
}

/// The rest of a call into the engine. The call itself has put its request in order, so the answers of one connection may
/// be awaited together. Await every one to its end, even when its connection is gone: recipients are woken by it.
#[must_use = "recipients are woken by awaiting it"]
pub struct Answer(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Answer {
    const DONE: Self = Self(None);

    fn later(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Box::pin(future)))
    }

    /// Whether nothing is left to wait for.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.0.is_none()
    }
}

impl Future for Answer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(future) = &mut self.0 else { return Poll::Ready(()) };
        let poll = future.as_mut().poll(context);
        if poll.is_ready() {
            self.0 = None;
        }
        poll
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_done() { "Answer(done)" } else { "Answer(..)" })
    }
}

/// A request with what is known of its connection.
#[derive(Clone, Copy, Debug)]
struct Call {
    id: ConnectionId,
    request: u64,
    now: Millis,
    mesh: MeshId,
    device: DeviceId,
    key: PublicKey,
    mode: Mode,
}

type Reply = Result<Body, Refused>;

impl Engine {
    /// An engine over this store, with the broker's own key.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn new(store: Arc<dyn Store>, key: SigningKey, config: EngineConfig) -> Result<Self, StoreError> {
        let meta = store.meta().await?;
        let state = Mutex::new(State::new(&config, &meta));
        Ok(Self(Arc::new(Inner { store, key, config, state })))
    }

    /// The broker's public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.0.key.public()
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// Takes a new connection; the challenge is queued.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, now: Millis, rng: &mut impl CryptoRng) -> Result<Conn, OpenError> {
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let challenge = Challenge {
            nonce: HashBytes(nonce),
            key: HashBytes(*self.0.key.public().as_bytes()),
            versions: List::from_vec(vec![wire::VERSION]).unwrap_or_default(),
            capabilities: List::new(),
        };
        let frame = Frame::push(challenge.clone()).encode();
        let outbox = Outbox::default();
        outbox.push(frame);
        let mut state = self.0.state();
        if state.stopping {
            return Err(OpenError::Stopping);
        }
        if state.connections.len() >= self.0.config.max_connections {
            return Err(OpenError::Full);
        }
        let id = state.next_id();
        let phase = Phase::Greeting(Box::new(challenge));
        state
            .connections
            .insert(id, Connection { outbox: outbox.clone(), phase, opened: now, heard: now, pumping: false });
        Ok(Conn { id, outbox })
    }

    /// Takes a frame from a connection. Calls for one connection come one after the other; their answers may overlap.
    pub fn receive(&self, id: ConnectionId, bytes: &[u8], now: Millis) -> Answer {
        self.0.receive(id, bytes, now)
    }

    /// Queues what is to be pushed to a connection and fits. To be called when [`Outbox::work`] says so.
    pub fn pump(&self, id: ConnectionId, now: Millis) -> Answer {
        let inner = self.0.clone();
        if inner.state().begin_pump(id) {
            Answer::later(async move { inner.pump(id, now).await })
        } else {
            Answer::DONE
        }
    }

    /// The connection is gone.
    pub fn close(&self, id: ConnectionId, now: Millis) {
        self.0.state().end(id, None, now);
    }

    /// Lets time pass: timeouts, redelivery, leases, expiry, mail whose time has come. To be called a few times a second.
    pub fn tick(&self, now: Millis) -> Answer {
        let inner = self.0.clone();
        if inner.tick_connections(now) { Answer::later(async move { inner.elapse(now).await }) } else { Answer::DONE }
    }

    /// Ends all connections with `shutdown` and takes no more.
    pub fn stop(&self, now: Millis) {
        let mut state = self.0.state();
        state.stopping = true;
        for id in state.connections.keys().copied().collect::<Vec<_>>() {
            state.end(id, Some(Closing::Shutdown), now);
        }
    }

    /// Frames of unknown types that nobody asked for, since the start. They are not answered.
    #[must_use]
    pub fn ignored_frames(&self) -> u64 {
        self.0.state().ignored
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.state().connections.len()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(self: &Arc<Self>, id: ConnectionId, bytes: &[u8], now: Millis) -> Answer {
        let frame = Frame::decode(bytes);
        let mut state = self.state();
        let Some(connection) = state.connections.get_mut(&id) else { return Answer::DONE };
        connection.heard = now;
        let (request, body) = match frame {
            Ok(Frame { request, body }) => (request, body),
            Err(FrameError::Unsupported { request: 0 }) => {
                state.ignored += 1;
                return Answer::DONE;
            }
            Err(FrameError::Unsupported { request }) => {
                state.reply(
                    id,
                    request,
                    Err(Refused::new(ErrorCode::Unsupported, "unknown frame or critical key")),
                    now,
                );
                return Answer::DONE;
            }
            Err(FrameError::BadFields { request }) if request != 0 => {
                state.reply(id, request, Err(Refused::new(ErrorCode::Malformed, "fields do not fit")), now);
                return Answer::DONE;
            }
            Err(_) => {
                state.end(id, Some(Closing::Protocol), now);
                return Answer::DONE;
            }
        };
        if matches!(body, Body::Close(_)) {
            state.end(id, None, now);
            return Answer::DONE;
        }
        if request == 0 {
            // Nobody could be answered.
            state.end(id, Some(Closing::Protocol), now);
            return Answer::DONE;
        }
        let (mesh, device, key, mode) = match &mut connection.phase {
            Phase::Open(session) => (session.mesh, session.device, session.key, session.mode),
            phase => {
                let challenge = if matches!(body, Body::Hello(_)) { phase.take_challenge() } else { None };
                if let (Some(challenge), Body::Hello(hello)) = (challenge, body) {
                    drop(state);
                    return self.hello(id, request, &challenge, &hello, now);
                }
                state.reply(id, request, Err(Refused::new(ErrorCode::Unauthenticated, "say hello first")), now);
                return Answer::DONE;
            }
        };
        let call = Call { id, request, now, mesh, device, key, mode };
        if let Err(refused) = routing::permits(mode, &body) {
            state.reply(id, request, Err(refused), now);
            return Answer::DONE;
        }
        if let Body::Enqueue(body) = body {
            let pace = state.pace_enqueue(id, body.submissions.len() as u64, now);
            drop(state);
            return self.enqueue(&call, body, pace);
        }
        if let Err(wait) = state.pace(id, &body, now) {
            let refused =
                Refused { retry_after_ms: Some(wait), ..Refused::new(ErrorCode::RateLimited, "too many requests") };
            state.reply(id, request, Err(refused), now);
            return Answer::DONE;
        }
        drop(state);
        self.dispatch(call, body)
    }

    fn dispatch(self: &Arc<Self>, call: Call, body: Body) -> Answer {
        match body {
            Body::Ping(wire::Ping { time }) => self.answer_now(&call, Ok(wire::Pong { time }.into())),
            Body::RosterAppend(body) => self.roster_append(call, body),
            Body::RosterRange(body) => self.roster_range(call, &body),
            Body::RecordPut(body) => self.record_put(call, body),
            Body::RecordGet(body) => self.record_get(call, body),
            Body::ReceiptPut(body) => self.receipt(call, &body),
            Body::NoticesDone(body) => self.notices_done(call, &body),
            Body::LogAppend(body) => self.log_append(call, body),
            Body::LogRange(body) => self.log_range(call, body),
            Body::LogFollow(body) => self.log_follow(call, body),
            Body::LogList(_) => self.log_list(call),
            Body::PresencePut(body) => self.presence_put(&call, body),
            // The others are no requests, and enqueue has gone its own way.
            _ => self.answer_now(&call, Err(Refused::new(ErrorCode::Unsupported, "not a request"))),
        }
    }

    fn answer_now(&self, call: &Call, reply: Reply) -> Answer {
        self.state().reply(call.id, call.request, reply, call.now);
        Answer::DONE
    }

    fn answer(self: &Arc<Self>, call: Call, reply: impl Future<Output = Reply> + Send + 'static) -> Answer {
        let inner = self.clone();
        Answer::later(async move {
            let reply = reply.await;
            inner.state().reply(call.id, call.request, reply, call.now);
        })
    }

    fn record_put(self: &Arc<Self>, call: Call, body: wire::RecordPut) -> Answer {
        let record = match DeviceRecord::verify(&body.record, &call.mesh, &call.key) {
            Ok(record) => record,
            Err(error) => return self.answer_now(&call, Err(bad_record(error))),
        };
        let put = RecordPut {
            mesh: call.mesh,
            device: call.device,
            counter: record.counter(),
            prekeys: record.prekeys().iter().map(|prekey| (prekey.id.0, prekey.expires.0)).collect(),
            record: body.record,
        };
        let stored = self.store.record_put(put, call.now);
        self.answer(call, async move { Ok(stored.await.map(|()| wire::Done {})?.into()) })
    }

    fn record_get(self: &Arc<Self>, call: Call, body: wire::RecordGet) -> Answer {
        let records = self.store.record_get(call.mesh, body.devices.into_vec());
        self.answer(call, async move {
            let records = records.await?;
            // A shortened answer would read as devices without a record.
            if records.iter().map(|record| record.len() + 4).sum::<usize>() > wire::MAX_FRAME - 64 {
                return Err(Refused::new(ErrorCode::TooLarge, "ask for fewer devices at once"));
            }
            let records = List::from_vec(records).map_err(|_| Refused::new(ErrorCode::Internal, "too many records"))?;
            Ok(wire::Records { records }.into())
        })
    }

    fn presence_put(&self, call: &Call, body: wire::PresencePut) -> Answer {
        let reply = match Presence::verify(&body.presence, &call.mesh, &call.key) {
            Ok(presence) => {
                let lease = body.lease.min(self.config.max_lease) * 1000;
                self.state().publish(call.mesh, &presence, body.presence, lease, call.now);
                Ok(wire::Done {}.into())
            }
            Err(error) => Err(bad_presence(error)),
        };
        self.answer_now(call, reply)
    }
}

fn bad_record(error: claudemesh_core::device::RecordError) -> Refused {
    use claudemesh_core::device::RecordError;
    match error {
        RecordError::TooLarge => Refused::new(ErrorCode::TooLarge, "the record is too large"),
        RecordError::WrongMesh | RecordError::WrongDevice => {
            Refused::new(ErrorCode::Forbidden, "a record of another device or mesh")
        }
        _ => Refused::new(ErrorCode::Malformed, "not a signed record"),
    }
}

fn bad_presence(error: claudemesh_core::presence::PresenceError) -> Refused {
    use claudemesh_core::presence::PresenceError;
    match error {
        PresenceError::TooLarge => Refused::new(ErrorCode::TooLarge, "the presence is too large"),
        PresenceError::WrongMesh | PresenceError::WrongDevice => {
            Refused::new(ErrorCode::Forbidden, "a presence of another device or mesh")
        }
        _ => Refused::new(ErrorCode::Malformed, "not a signed presence"),
    }
}
