//! Connecting and staying connected: handshake, welcome, what a changed welcome means, pings and backoff.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::directory::fold;
use super::logs::Logs;
use super::{Action, Context, Identity, LoadError, Notice, Pending, Phase, Session, Snapshot};
use crate::device::{DeviceRecord, PrekeyRing};
use crate::envelope::{FlushCache, UnwrapCache, WrapCache};
use crate::hash::Hash;
use crate::id::{DeviceId, MessageId};
use crate::key::PublicKey;
use crate::log::directory::Directory;
use crate::presence::Status;
use crate::roster::Roster;
use crate::time::Millis;
use crate::wire::{self, Body, ClientHandshake, Closing, ErrorCode, Frame, FrameError, HelloMode};

/// The first pause between attempts to connect, milliseconds; it doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: u64 = 200;
const MAX_BACKOFF: u64 = 30_000;
/// A peer that has not answered a ping for this long is dead.
const PONG_TIMEOUT: u64 = 20_000;
const ROSTER_PAGE: u64 = 256;

/// Something that is wrong, with the broker, a peer, or this home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// The broker lost data it had confirmed.
    BrokerRolledBack,
    /// The broker serves another roster than the one verified here.
    RosterFork,
    /// The broker served a roster entry that is not valid.
    InvalidRosterEntry,
    /// The log served does not continue the one verified here.
    LogFork,
    /// Entries of a log were withheld, and nothing in it says that they were compacted.
    LogWithheld,
    /// The broker proved another key than the mesh names.
    WrongBroker,
    /// The broker or a peer sent bytes that are no valid form.
    Malformed,
    /// A frame of a type this version does not know.
    UnknownFrame,
    /// A delivery was not signed by its sender, or not for this device.
    Forged,
    /// A receipt did not fit what was sent.
    ForgedReceipt,
    /// This home was copied or restored: another one has sent as this device.
    Cloned,
    /// A newer connection of the same device took over.
    Replaced,
    /// This device was removed from the mesh.
    Removed,
    /// The owner closed the mesh.
    MeshClosed,
    /// The clocks of broker and device differ by more than a day.
    ClockSkew,
    /// The broker served an older device record than the one known, or another one of the same number.
    StaleRecord,
    /// The broker does not know this mesh and does not take it.
    UnknownMesh,
}

impl Fault {
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BrokerRolledBack => "broker_rolled_back",
            Self::RosterFork => "roster_fork",
            Self::InvalidRosterEntry => "invalid_roster_entry",
            Self::LogFork => "log_fork",
            Self::LogWithheld => "log_withheld",
            Self::WrongBroker => "wrong_broker",
            Self::Malformed => "malformed",
            Self::UnknownFrame => "unknown_frame",
            Self::Forged => "forged",
            Self::ForgedReceipt => "forged_receipt",
            Self::Cloned => "cloned",
            Self::Replaced => "replaced",
            Self::Removed => "removed",
            Self::MeshClosed => "mesh_closed",
            Self::ClockSkew => "clock_skew",
            Self::StaleRecord => "stale_record",
            Self::UnknownMesh => "unknown_mesh",
        }
    }
}

impl Session {
    /// Starts from what was stored. Nothing is sent before [`super::Input::Opened`]; the first
    /// [`Session::deadline`] is due at once.
    ///
    /// # Errors
    /// [`LoadError`] when what was stored does not verify.
    pub fn load(identity: Identity, snapshot: Snapshot) -> Result<Self, LoadError> {
        let Identity { key, boot, pinned } = identity;
        let roster = Roster::from_entries(snapshot.roster.iter().map(|entry| &entry.0))?;
        let device = key.public().device_id();
        let member = roster.device(&device).ok_or(LoadError::NotAMember)?.member;
        let mesh = roster.mesh();
        let mut records = BTreeMap::new();
        for (id, bytes) in &snapshot.records {
            let owner = roster.device(id).ok_or(LoadError::Malformed)?;
            let record = DeviceRecord::verify(bytes, &mesh, &owner.key).map_err(|_| LoadError::Malformed)?;
            records.insert(*id, record);
        }
        let own_status = match &snapshot.own_status {
            Some(bytes) => Status::from_bytes(bytes).map_err(|_| LoadError::Malformed)?,
            None => Status::default(),
        };
        let logs = Logs::load(mesh, device, snapshot.logs)?;
        let mut directory = Directory::new();
        for opened in &snapshot.directory {
            for (at, record) in (0..).map(|index| (opened.offset, index)).zip(&opened.records) {
                fold(&mut directory, opened, at, record);
            }
        }
        let prekeys = match &snapshot.prekeys {
            Some(ring) => PrekeyRing::restore(ring)?,
            None => PrekeyRing::new(),
        };
        let mut session = Self {
            device,
            member,
            mesh,
            boot,
            pinned,
            phase: Phase::Offline { retry_at: Millis(0) },
            offer: false,
            failures: 0,
            pending: Default::default(),
            next_request: 0,
            ping_at: Millis(0),
            pong_by: None,
            resume: snapshot.resume,
            limits: Default::default(),
            skew: None,
            last_now: Millis(0),
            faults: Default::default(),
            round_trip: None,
            prekeys,
            record_counter: snapshot.record_counter,
            record_due: false,
            records,
            refused_records: Default::default(),
            asked: Default::default(),
            by_id: snapshot.outbox.values().map(|row| (row.id, row.ordinal)).collect(),
            next_ordinal: snapshot.outbox.keys().next_back().map_or(1, |last| last + 1),
            unsealed: Default::default(),
            unsent: Default::default(),
            in_flight: 0,
            retry_at: None,
            expire_at: None,
            next_order: snapshot
                .outbox
                .values()
                .flat_map(|row| &row.sealed)
                .map(|sealed| sealed.order + 1)
                .max()
                .unwrap_or(1),
            wraps: WrapCache::new(),
            dirty: Default::default(),
            outbox: snapshot.outbox,
            next_seq: snapshot.next_seq,
            seen: snapshot.seen,
            recent_order: in_order(&snapshot.recent),
            recent: snapshot.recent,
            receipts: Vec::new(),
            notices_through: None,
            deferred: Vec::new(),
            flushes: FlushCache::new(),
            unwraps: UnwrapCache::new(),
            claims: Default::default(),
            logs,
            directory,
            name: snapshot.name,
            wished_label: None,
            own_status,
            presence_counter: 0,
            presence_due: None,
            peers: Default::default(),
            appends: Vec::new(),
            roster_entries: snapshot.roster,
            key,
            roster,
        };
        session.requeue(false);
        if session.logs.are_forked() {
            session.faults.insert(Fault::LogFork);
        }
        if !session.roster.is_live_device(&device) {
            session.faults.insert(Fault::Removed);
            session.phase = Phase::Halted;
        } else if session.roster.is_closed() {
            session.faults.insert(Fault::MeshClosed);
            session.phase = Phase::Halted;
        } else if let Some(fault) = snapshot.ended {
            session.faults.insert(fault);
            session.phase = Phase::Halted;
        }
        Ok(session)
    }

    pub(super) fn on_opened(&mut self) {
        if matches!(self.phase, Phase::Connecting) {
            self.phase = Phase::Opened;
        }
    }

    pub(super) fn on_closed<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        if matches!(self.phase, Phase::Halted | Phase::Offline { .. }) {
            return;
        }
        let was_ready = matches!(self.phase, Phase::Ready);
        self.failures = self.failures.saturating_add(1);
        let ceiling = (MIN_BACKOFF << self.failures.min(10)).min(MAX_BACKOFF);
        let jitter = u64::from(cx.rng.next_u32()) % (ceiling / 2 + 1);
        self.phase = Phase::Offline { retry_at: cx.now.plus(ceiling / 2 + jitter) };
        self.forget_connection(cx);
        if was_ready {
            cx.notify(Notice::Offline);
        }
    }

    /// Everything that only held for the connection that ended.
    pub(super) fn forget_connection<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        for pending in core::mem::take(&mut self.pending).into_values() {
            if let Pending::Append { token, append, .. } = pending {
                self.appends.push((token, append));
            }
        }
        self.fail_appends(super::AppendError::Offline, cx);
        self.pong_by = None;
        self.retry_at = None;
        self.deferred.clear();
        self.receipts.clear();
        self.notices_through = None;
        self.logs.forget_connection();
        self.asked.clear();
        self.presence_due = None;
        self.requeue(false);
        for peer in self.peers.values_mut() {
            peer.online = false;
        }
    }

    pub(super) fn halt<R: CryptoRng>(&mut self, fault: Fault, cx: &mut Context<'_, R>) {
        if !matches!(self.phase, Phase::Halted) {
            self.phase = Phase::Halted;
            self.forget_connection(cx);
            cx.out.push(Action::Disconnect);
        }
        self.fault(fault, cx);
    }

    pub(super) fn fault<R>(&mut self, fault: Fault, cx: &mut Context<'_, R>) {
        if self.faults.insert(fault) {
            cx.notify(Notice::Fault(fault));
        }
    }

    /// Drops a connection that cannot be trusted or used, to try again later.
    pub(super) fn drop_connection<R: CryptoRng>(&mut self, fault: Fault, cx: &mut Context<'_, R>) {
        self.fault(fault, cx);
        cx.out.push(Action::Disconnect);
        self.failures = self.failures.max(6);
        self.on_closed(cx);
    }

    pub(super) fn on_tick<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        self.expire_outbox(cx);
        match self.phase {
            Phase::Offline { retry_at } if cx.now >= retry_at => {
                self.phase = Phase::Connecting;
                self.ping_at = cx.now.plus(PONG_TIMEOUT);
                self.pong_by = Some(cx.now.plus(PONG_TIMEOUT));
                cx.out.push(Action::Connect);
            }
            Phase::Offline { .. } | Phase::Halted => {}
            _ => {
                if self.pong_by.is_some_and(|by| cx.now >= by) {
                    cx.out.push(Action::Disconnect);
                    self.on_closed(cx);
                    return;
                }
                if cx.now >= self.ping_at {
                    self.ping_at = cx.now.plus(self.limits.ping_interval.clamp(1, 60) * 1000);
                    if matches!(self.phase, Phase::Ready | Phase::Syncing) {
                        self.pong_by.get_or_insert(cx.now.plus(PONG_TIMEOUT));
                        let request = self.request(Pending::Other);
                        cx.out.push(Action::Send(Frame::new(request, wire::Ping { time: cx.now.0 })));
                    }
                }
                if self.retry_at.is_some_and(|at| cx.now >= at) {
                    self.retry_at = None;
                }
            }
        }
    }

    pub(super) fn on_frame<R: CryptoRng>(&mut self, bytes: &[u8], cx: &mut Context<'_, R>) {
        let frame = match Frame::decode(bytes) {
            Ok(frame) => frame,
            Err(FrameError::Unsupported { .. }) => return cx.notify(Notice::Rejected { fault: Fault::UnknownFrame }),
            Err(_) => return cx.notify(Notice::Rejected { fault: Fault::Malformed }),
        };
        match (&self.phase, frame.body) {
            (Phase::Halted | Phase::Offline { .. } | Phase::Connecting, _) => {}
            (_, Body::Close(close)) => self.on_close(close.code, cx),
            (Phase::Opened, Body::Challenge(challenge)) => self.on_challenge(&challenge, cx),
            (Phase::Greeting(_), Body::WelcomeFrame(welcome)) => self.on_welcome(&welcome, cx),
            (Phase::Greeting(_), Body::Error(error)) => self.on_greeting_error(error.code, cx),
            (Phase::Opened | Phase::Greeting(_), _) => cx.notify(Notice::Rejected { fault: Fault::UnknownFrame }),
            (_, body) => self.on_established(frame.request, body, cx),
        }
    }

    pub(super) fn on_established<R: CryptoRng>(&mut self, request: u64, body: Body, cx: &mut Context<'_, R>) {
        match body {
            Body::Ping(ping) => cx.out.push(Action::Send(Frame::new(request, wire::Pong { time: ping.time }))),
            Body::Pong(pong) => {
                self.pending.remove(&request);
                self.pong_by = None;
                self.round_trip = Some(cx.now.0.saturating_sub(pong.time));
            }
            Body::RosterPush(push) => self.on_roster_push(&push, cx),
            Body::Deliver(deliver) => self.on_deliver(deliver, cx),
            Body::Notices(notices) => self.on_notices(notices, cx),
            Body::LogPush(push) => self.on_log_push(&push, cx),
            Body::PresencePush(push) => self.on_presence(push, cx),
            body => match self.pending.remove(&request) {
                Some(pending) => self.on_reply(pending, body, cx),
                None => cx.notify(Notice::Rejected { fault: Fault::UnknownFrame }),
            },
        }
    }

    pub(super) fn on_reply<R: CryptoRng>(&mut self, pending: Pending, body: Body, cx: &mut Context<'_, R>) {
        match (pending, body) {
            (Pending::Enqueue(rows), Body::Enqueued(reply)) => self.on_enqueued(&rows, &reply, cx),
            (Pending::Enqueue(rows), Body::Error(error)) => self.on_enqueue_error(&rows, &error, cx),
            (Pending::Enqueue(rows), _) => self.send_again(rows, None, cx),
            (Pending::RosterRange { number }, Body::RosterEntries(entries)) => {
                self.on_roster_entries(number, &entries, cx);
            }
            (Pending::RosterProof, Body::RosterEntries(entries)) => self.on_roster_proof(&entries, cx),
            (Pending::Reappend, Body::Done(_)) if self.offer => self.offered(cx),
            (Pending::Reappend, Body::Done(_)) => {
                self.sync_roster(cx);
            }
            (Pending::Reappend, Body::Error(error)) if error.code == ErrorCode::HeadMoved => {
                self.sync_roster(cx);
            }
            (Pending::Append { token, append, entry }, reply) => self.on_append_reply(token, append, &entry, reply, cx),
            (Pending::Records(asked), Body::Records(records)) => self.on_records(&asked, &records, cx),
            (Pending::Record, Body::Error(error)) if error.code == ErrorCode::StaleRecord => {
                self.halt(Fault::Cloned, cx);
            }
            // It goes out again, with a new counter, after the next pause.
            (Pending::Record, Body::Error(error)) if error.code.is_retryable() => {
                self.record_due = true;
                self.pause(error.retry_after_ms, cx);
            }
            (Pending::Records(_), Body::Error(error)) if error.code.is_retryable() => {
                self.pause(error.retry_after_ms, cx);
            }
            (Pending::LogFollow(log), Body::Error(error)) => self.on_follow_error(&log, &error, cx),
            (Pending::LogFollow(log), _) => self.on_followed(&log),
            (Pending::LogAppend(log, seq), Body::LogAppended(it)) => self.on_log_appended((log, seq), &it, cx),
            (Pending::LogAppend(log, seq), Body::Error(error)) => self.on_log_append_error((log, seq), &error, cx),
            (Pending::LogRange(log), Body::LogEntries(reply)) if reply.log == log => self.on_log_fetched(&reply, cx),
            (Pending::LogRange(log), _) => self.on_fetch_failed(&log, cx),
            (Pending::LogTail(log), Body::LogEntries(reply)) if reply.log == log => {
                self.on_tail_told(&log, Some(reply.tail), cx);
            }
            (Pending::LogTail(log), _) => self.on_tail_told(&log, None, cx),
            (_, Body::Error(error)) if error.code == ErrorCode::Removed => self.halt(Fault::Removed, cx),
            (Pending::RosterRange { .. } | Pending::RosterProof | Pending::Reappend, Body::Error(_)) => {
                cx.out.push(Action::Disconnect);
                self.on_closed(cx);
            }
            (Pending::RosterRange { .. } | Pending::RosterProof | Pending::Reappend, _) => {
                self.drop_connection(Fault::Malformed, cx);
            }
            _ => {}
        }
    }

    pub(super) fn on_close<R: CryptoRng>(&mut self, code: Closing, cx: &mut Context<'_, R>) {
        match code {
            Closing::Removed => self.halt(Fault::Removed, cx),
            Closing::MeshClosed => self.halt(Fault::MeshClosed, cx),
            Closing::Replaced => self.drop_connection(Fault::Replaced, cx),
            _ => {
                cx.out.push(Action::Disconnect);
                self.on_closed(cx);
            }
        }
    }

    pub(super) fn broker_keys(&self) -> Vec<PublicKey> {
        if self.roster.brokers().is_empty() {
            return self.pinned.clone();
        }
        self.roster.brokers().iter().map(|broker| broker.key).collect()
    }

    pub(super) fn on_challenge<R: CryptoRng>(&mut self, challenge: &wire::Challenge, cx: &mut Context<'_, R>) {
        let started = ClientHandshake::start(
            challenge,
            &self.broker_keys(),
            self.mesh,
            &self.key,
            if self.offer { HelloMode::Create } else { HelloMode::Device },
            None,
            self.resume,
            &[],
            cx.rng,
        );
        match started {
            Ok((handshake, hello)) => {
                self.phase = Phase::Greeting(alloc::boxed::Box::new(handshake));
                let request = self.request(Pending::Other);
                self.pending.clear();
                cx.out.push(Action::Send(Frame::new(request, hello)));
            }
            Err(_) => self.drop_connection(Fault::WrongBroker, cx),
        }
    }

    pub(super) fn on_greeting_error<R: CryptoRng>(&mut self, code: ErrorCode, cx: &mut Context<'_, R>) {
        match code {
            ErrorCode::Removed => self.halt(Fault::Removed, cx),
            ErrorCode::MeshClosed => self.halt(Fault::MeshClosed, cx),
            // The broker never had, or lost, the part of the roster that has this device: offer what we hold.
            ErrorCode::UnknownMesh | ErrorCode::NotAMember if !self.offer => {
                if self.resume.is_some() {
                    self.fault(Fault::BrokerRolledBack, cx);
                }
                self.offer = true;
                self.reconnect(cx);
            }
            _ => {
                self.offer = false;
                self.fault(Fault::UnknownMesh, cx);
                cx.out.push(Action::Disconnect);
                self.on_closed(cx);
            }
        }
    }

    pub(super) fn become_ready<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        self.phase = Phase::Ready;
        self.ping_at = cx.now;
        self.presence_due = Some(cx.now);
        self.faults.remove(&Fault::Replaced);
        self.follow_logs(cx);
        for (token, append) in core::mem::take(&mut self.appends) {
            self.request_append(token, append, cx);
        }
        cx.notify(Notice::Ready);
    }

    /// Fetches what is missing of the roster; gives the number of the request.
    pub(super) fn sync_roster<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) -> u64 {
        let number = self.next_request + 1;
        let request = self.request(Pending::RosterRange { number });
        // One entry of overlap shows whether the chains agree.
        let from = self.roster.head().index;
        cx.out.push(Action::Send(Frame::new(request, wire::RosterRange { from, limit: ROSTER_PAGE })));
        number
    }
}

/// The names of applied messages, oldest first.
fn in_order(recent: &BTreeMap<(DeviceId, MessageId), (Hash, Millis)>) -> VecDeque<(DeviceId, MessageId)> {
    let mut names: Vec<_> = recent.iter().map(|(name, (_, at))| (*at, *name)).collect();
    names.sort_unstable();
    names.into_iter().map(|(_, name)| name).collect()
}
