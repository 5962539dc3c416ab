//! One task per mesh: it owns the session and the connection, feeds the one and carries out what it asks.
//!
//! Everything at hand is handled as one batch, committed in one transaction, and only then sent; what comes meanwhile is
//! handled, and makes the next batch. When the commit fails the
//! session is thrown away and loaded anew, exactly as after a crash.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use claudemesh_core::log::Record;
use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::session::{Action, Append, AppendError, Change, Command, Input, Notice, Outgoing, Session};
use claudemesh_core::wire::{ErrorCode, Frame};
use claudemesh_core::{LogId, MessageId, Millis};
use rand_core::UnwrapErr;
use tokio::sync::{mpsc, oneshot};

use self::batch::{Batch, Brings, SendReply, UnderWay, committed, concerns_members, rearranges, refuse};
use self::late::{Late, eventful};
use self::shared::Shared;
use super::held::{Depth, depth};
use super::transport::{self, Link, LinkEvent};
use crate::api::MemberRef;
use crate::error::Error;
use crate::store::{Extra, now_ms};

mod batch;
mod handle;
mod late;
mod shared;

use handle::load;
pub(crate) use handle::{Handle, Start, stopped};

/// Inputs handled before a commit.
const MAX_BATCH: usize = 512;
/// Mail that waited arrives without a pause of this length.
const SETTLED: Duration = Duration::from_millis(100);
/// How long a newcomer waits at most to learn who is who.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause after a failed commit.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// The warning for numbers that were skipped inside a lane.
const GAP: &str = "gap";

pub(crate) type Rng = UnwrapErr<getrandom::SysRng>;

pub(crate) fn rng() -> Rng {
    UnwrapErr(getrandom::SysRng)
}

pub(crate) fn now() -> Millis {
    Millis(now_ms().unsigned_abs())
}

pub(crate) type WriteReply = oneshot::Sender<Result<RecordAt, ErrorCode>>;
type AppendReply = oneshot::Sender<Result<u64, AppendError>>;
type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// Makes a message with what the session knows.
pub(crate) type Compose = Box<dyn FnOnce(&Session) -> Result<(Outgoing, Addressed), Error> + Send>;

/// Whom a message goes to.
#[derive(Debug)]
pub(crate) struct Addressed {
    pub(crate) to: Vec<MemberRef>,
    /// The session of the one recipient.
    pub(crate) session: Option<String>,
}

/// A request that its caller named, and what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Once {
    pub(crate) id: MessageId,
    pub(crate) hash: [u8; 32],
}

/// What the service asks of a driver.
pub(crate) enum Order {
    /// Sends a message; answered when it is on disk: with whom it goes to, and whether there is more to say of it.
    Send { compose: Compose, fingerprint: Option<[u8; 32]>, reply: Reply<(Addressed, bool)> },
    /// Hands a command to the session; answered when its effects, and what goes with them, are on disk.
    Command(Command, Vec<Extra>, Reply<()>),
    /// Changes the roster; answered with the entry's index.
    Append { append: Append, extra: Option<Extra>, reply: AppendReply },
    /// Writes a record to a log, for a request that its caller may have named; `reply` hears when it is on disk here,
    /// `done` its address in the log.
    Write { log: LogId, record: Record, once: Option<Once>, reply: Reply<()>, done: WriteReply },
    /// Drops entries of a log, decided when it ended at `tail`; `done` hears what became of it.
    Compact { log: LogId, offsets: Vec<u64>, tail: u64, done: WriteReply },
    /// Looks at the session.
    Look(Box<dyn FnOnce(&Session) + Send>),
    /// Ends the driver.
    Stop(oneshot::Sender<()>),
}

struct PendingAppend {
    extra: Option<Extra>,
    reply: AppendReply,
}

struct Driver {
    session: Session,
    start: Start,
    shared: Arc<Shared>,
    orders: mpsc::Receiver<Order>,
    late: Late,
    events: mpsc::Sender<(u64, LinkEvent)>,
    incoming: mpsc::Receiver<(u64, LinkEvent)>,
    generation: u64,
    link: Option<Link>,
    outgoing: Option<mpsc::UnboundedSender<Vec<u8>>>,
    next_token: u64,
    appends: BTreeMap<u64, PendingAppend>,
    /// Who waits for a record to be written.
    writes: BTreeMap<u64, WriteReply>,
    /// When the mail that waited counts as arrived.
    settles: Option<tokio::time::Instant>,
    /// How long that may be put off.
    patience: Option<tokio::time::Instant>,
}

impl Driver {
    async fn run(mut self) {
        // What came since the last commit began is handled while it is under way, and committed after it.
        let (mut batch, mut under_way) = (Batch::default(), None);
        loop {
            let wait = self.session.deadline().map(|at| Duration::from_millis(at.since(now())));
            let free = batch.inputs < MAX_BATCH;
            tokio::select! {
                result = committed(&mut under_way), if under_way.is_some() => {
                    let Some(concluded) = under_way.take() else { continue };
                    if let Err(error) = result {
                        refuse(&error, concluded.batch);
                        refuse(&error, std::mem::take(&mut batch));
                        self.recover(&error).await;
                        continue;
                    }
                    if self.conclude(concluded) {
                        return;
                    }
                }
                Some(event) = self.incoming.recv(), if free => self.on_event(event, &mut batch),
                order = self.orders.recv(), if free => match order {
                    Some(order) => self.on_order(order, &mut batch),
                    None => return,
                },
                synced = self.late.synced(&self.start.store), if self.late.is_syncing() => match synced {
                    Ok(frames) => self.send(frames),
                    Err(error) => {
                        // What is being committed is told first: it may well be on disk.
                        match (committed(&mut under_way).await, under_way.take()) {
                            (Ok(()), Some(begun)) => {
                                if self.conclude(begun) {
                                    return;
                                }
                            }
                            (Err(error), Some(begun)) => refuse(&error, begun.batch),
                            (_, None) => {}
                        }
                        refuse(&error, std::mem::take(&mut batch));
                        self.recover(&error).await;
                        continue;
                    }
                },
                () = tokio::time::sleep_until(self.settles.unwrap_or_else(tokio::time::Instant::now)), if self.settles.is_some() => {
                    self.settle();
                }
                () = tokio::time::sleep(wait.unwrap_or(Duration::MAX)), if wait.is_some() && under_way.is_none() => {
                    self.feed(Input::Tick, &mut batch);
                }
            }
            if under_way.is_some() || batch.inputs == 0 {
                continue;
            }
            // Whoever is about to ask for something shares this commit.
            tokio::task::yield_now().await;
            while batch.inputs < MAX_BATCH {
                if let Ok(event) = self.incoming.try_recv() {
                    self.on_event(event, &mut batch);
                } else if let Ok(order) = self.orders.try_recv() {
                    self.on_order(order, &mut batch);
                } else {
                    break;
                }
            }
            self.feed(Input::Flush, &mut batch);
            let begun = self.begin(std::mem::take(&mut batch));
            if begun.committed.is_some() {
                under_way = Some(begun);
            } else if self.conclude(begun) {
                return;
            }
        }
    }

    /// Nothing has come for a while. A newcomer waits a little longer for members to hand on who is who.
    fn settle(&mut self) {
        let now = tokio::time::Instant::now();
        if self.session.is_acquainted() || self.patience.is_none_or(|until| now >= until) {
            self.settles = None;
            self.shared.caught_up.send_replace(true);
        } else {
            self.settles = Some(now + SETTLED);
        }
    }

    fn feed(&mut self, input: Input<'_>, batch: &mut Batch) {
        batch.inputs += 1;
        for action in self.session.handle(input, now(), &mut rng()) {
            match action {
                Action::Persist(change) => batch.changes.push(change),
                Action::Send(frame) => batch.frames.push(frame),
                Action::Notify(notice) => batch.notices.push(notice),
                Action::Connect => (batch.connect, batch.disconnect) = (true, false),
                Action::Disconnect => (batch.connect, batch.disconnect) = (false, true),
                _ => {}
            }
        }
    }

    fn on_event(&mut self, (generation, event): (u64, LinkEvent), batch: &mut Batch) {
        if generation != self.generation {
            return;
        }
        match event {
            LinkEvent::Opened(outgoing) => {
                self.outgoing = Some(outgoing);
                self.feed(Input::Opened, batch);
            }
            LinkEvent::Frame(bytes) => self.feed(Input::Frame(&bytes), batch),
            LinkEvent::Closed(error) => {
                self.outgoing = None;
                self.link = None;
                if let Some(error) = error {
                    self.shared.set_error(Some(error.message().to_owned()));
                }
                self.feed(Input::Closed, batch);
            }
        }
    }

    fn on_order(&mut self, order: Order, batch: &mut Batch) {
        match order {
            Order::Send { compose, fingerprint, reply } => {
                let (outgoing, to) = match compose(&self.session) {
                    Ok(composed) => composed,
                    Err(error) => return drop(reply.send(Err(error))),
                };
                if let Some(session) = &outgoing.session {
                    batch.extra.push(Extra::Addressed { id: *outgoing.id.as_bytes(), session: session.clone() });
                }
                if let Some(hash) = fingerprint {
                    batch.extra.push(Extra::Fingerprint { id: *outgoing.id.as_bytes(), hash });
                }
                batch.sends.push(SendReply { id: outgoing.id, to, reply });
                self.feed(Input::Command(Command::Send(outgoing)), batch);
            }
            Order::Command(command, extra, reply) => {
                batch.extra.extend(extra);
                self.feed(Input::Command(command), batch);
                batch.replies.push(reply);
            }
            Order::Append { append, extra, reply } => {
                self.next_token += 1;
                let token = self.next_token;
                self.appends.insert(token, PendingAppend { extra, reply });
                self.feed(Input::Command(Command::Append { token, append }), batch);
            }
            Order::Write { log, record, once, reply, done } => {
                self.next_token += 1;
                let token = self.next_token;
                self.writes.insert(token, done);
                let before = self.session.last_ticket();
                self.feed(Input::Command(Command::Write { token, log, record }), batch);
                let ticket = Some(self.session.last_ticket()).filter(|ticket| *ticket != before);
                let begun = once.zip(ticket).map(|(Once { id, hash }, ticket)| Extra::Request { id, hash, ticket });
                batch.extra.extend(begun);
                batch.replies.push(reply);
            }
            Order::Compact { log, offsets, tail, done } => {
                self.next_token += 1;
                let token = self.next_token;
                self.writes.insert(token, done);
                self.feed(Input::Command(Command::Compact { token, log, offsets, tail }), batch);
            }
            Order::Look(look) => look(&self.session),
            Order::Stop(reply) => {
                batch.inputs += 1;
                batch.stop = Some(reply);
            }
        }
    }

    /// Begins to commit a batch.
    fn begin(&mut self, mut batch: Batch) -> UnderWay {
        let answered = self.take_appends(&mut batch);
        let roster = batch.notices.iter().filter_map(|notice| match notice {
            Notice::Roster(applied) => Some(super::view::roster_event(applied)),
            _ => None,
        });
        let roster: Vec<Extra> = roster.collect();
        batch.extra.extend(roster);
        let eventful = eventful(&batch);
        let awaited = !batch.replies.is_empty() || !batch.sends.is_empty();
        let depth = depth(&batch.changes, !batch.extra.is_empty(), awaited);
        let (changes, extra) = (std::mem::take(&mut batch.changes), std::mem::take(&mut batch.extra));
        let brings = Brings {
            mail: changes.iter().any(|change| matches!(change, Change::Inbox(_))),
            order: changes.iter().any(rearranges),
            members: changes.iter().any(concerns_members),
        };
        let committed = (!changes.is_empty() || !extra.is_empty())
            .then(|| self.start.store.commit(self.start.row, changes, extra, depth == Depth::Durable));
        UnderWay { committed, batch, depth, eventful, answered, brings }
    }

    /// Sends and tells what was committed; true when the driver ends.
    fn conclude(&mut self, concluded: UnderWay) -> bool {
        let UnderWay { committed, mut batch, depth, eventful, answered, brings } = concluded;
        let Brings { mail, order, members } = brings;
        if self.settles.is_some() && mail {
            self.settles = Some(tokio::time::Instant::now() + SETTLED);
        }
        if order {
            self.shared.rearranged();
        }
        self.shared.note_gaps(&self.session);
        if committed.is_some() {
            self.shared.committed.send_modify(|count| *count += 1);
            if members {
                self.shared.members.send_modify(|count| *count += 1);
            }
        }
        let frames = std::mem::take(&mut batch.frames).into_iter().map(Frame::encode).collect();
        let frames = self.late.committed(depth, frames, &self.start.store);
        self.send(frames);
        for reply in batch.replies {
            let _ = reply.send(Ok(()));
        }
        for SendReply { id, to, reply } in batch.sends {
            let _ = reply.send(Ok((to, eventful.contains(&id))));
        }
        for (reply, result) in answered {
            let _ = reply.send(result);
        }
        for notice in batch.notices {
            self.tell(notice);
        }
        self.switch_link(batch.connect, batch.disconnect);
        match batch.stop {
            Some(reply) => {
                self.outgoing = None;
                let _ = reply.send(());
                true
            }
            None => false,
        }
    }

    fn send(&self, frames: Vec<Vec<u8>>) {
        if let Some(outgoing) = &self.outgoing {
            frames.into_iter().for_each(|frame| drop(outgoing.send(frame)));
        }
    }

    /// Roster appends that are done; what belongs to them is committed with their entry.
    fn take_appends(&mut self, batch: &mut Batch) -> Vec<(AppendReply, Result<u64, AppendError>)> {
        let mut answered = Vec::new();
        for notice in &batch.notices {
            if let Notice::Appended { token, result } = notice
                && let Some(pending) = self.appends.remove(token)
            {
                if result.is_ok() {
                    batch.extra.extend(pending.extra);
                }
                answered.push((pending.reply, *result));
            }
        }
        answered
    }

    fn tell(&mut self, notice: Notice) {
        if let Notice::Ready | Notice::Fault(_) = notice {
            self.shared.note_faults(&self.session);
        }
        match notice {
            Notice::Ready => {
                self.shared.set_error(None);
                self.shared.ready.send_replace(true);
                if !*self.shared.caught_up.borrow() {
                    let now = tokio::time::Instant::now();
                    (self.settles, self.patience) = (Some(now + SETTLED), Some(now + PATIENCE));
                }
                tracing::info!(mesh = %self.start.mesh.short(), "connected");
            }
            Notice::Offline => {
                self.shared.ready.send_replace(false);
                tracing::info!(mesh = %self.start.mesh.short(), "offline");
            }
            Notice::Presence(device) => {
                let _ = self.shared.presence.send(device);
            }
            Notice::Written { token, result } => {
                if let Some(done) = self.writes.remove(&token) {
                    let _ = done.send(result);
                }
            }
            Notice::Gap { device, missing } => {
                self.shared.warn(GAP);
                tracing::warn!(mesh = %self.start.mesh.short(), sender = %device.short(), missing, "messages missing in a lane");
            }
            Notice::Rejected { fault } => {
                self.shared.warn(fault.as_str());
                tracing::warn!(mesh = %self.start.mesh.short(), fault = fault.as_str(), "rejected");
            }
            Notice::Fault(fault) => {
                if self.session.is_halted() {
                    self.shared.ready.send_replace(false);
                    self.shared.caught_up.send_replace(true);
                }
                tracing::warn!(mesh = %self.start.mesh.short(), fault = fault.as_str(), "fault");
            }
            _ => {}
        }
    }

    fn switch_link(&mut self, connect: bool, disconnect: bool) {
        if disconnect || connect {
            self.generation += 1;
            // Dropping the queue lets what was sent leave before the socket closes; a new link replaces the task.
            self.outgoing = None;
            self.late.forget();
            self.shared.ready.send_if_modified(|ready| core::mem::replace(ready, false));
        }
        if connect {
            let link =
                transport::spawn(self.start.url.clone(), self.start.insecure, self.generation, self.events.clone());
            self.link = Some(link);
        }
    }

    /// After a failed commit: as after a crash.
    async fn recover(&mut self, error: &Error) {
        tracing::error!(mesh = %self.start.mesh.short(), kind = error.kind().code(), "the store failed");
        self.shared.set_error(Some(error.message().to_owned()));
        self.switch_link(false, true);
        self.link = None;
        self.appends.clear();
        self.writes.clear();
        loop {
            match load(&self.start).await {
                Ok(session) => {
                    self.session = session;
                    break;
                }
                Err(_) => tokio::time::sleep(STORE_RETRY).await,
            }
        }
        tokio::time::sleep(STORE_RETRY).await;
    }
}
