//! The client's side of a mesh as a state machine: connecting, resuming, sending, receiving, receipts.
//!
//! It owns every rule of delivery and knows no socket, disk, clock or randomness. A driver feeds [`Input`]s and carries out
//! the [`Action`]s in order, in batches: it hands over whatever has arrived, then [`Input::Flush`]; commits all
//! [`Action::Persist`]s of the batch in one transaction; and only then sends the batch's frames. So whatever a frame
//! promises is durable before it leaves, and a crash between any two steps repeats work, never loses it.

// Inputs, actions and notices live for one batch: boxing their large variants would cost an allocation a message.
#![allow(clippy::large_enum_variant)]

mod change;
mod clock;
mod command;
mod connect;
mod directory;
mod inbox;
mod logs;
mod message;
mod outbox;
mod outcome;
mod presence;
mod records;
mod roster;
mod welcome;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use rand_core::CryptoRng;

pub use change::{Change, MAX_RECENT, Snapshot};
pub use command::{Command, Outgoing};
pub use connect::Fault;
pub use logs::{InFlight, LogGaps, LogLink, LogPolicy, LogRecords, LogSnapshot, LogUse, MAX_QUEUED, SealedAt};
pub use message::{InboxBody, InboxRow, MessageState, OutRecipient, OutboxKind, OutboxRow, SealedAttempt, Why};
pub use presence::PeerPresence;
pub use roster::{Append, AppendError};

use crate::codec::Malformed;
use crate::device::{DeviceRecord, PrekeyRing};
use crate::envelope::{ClaimItem, FlushCache, UnwrapCache, WrapCache};
use crate::hash::Hash;
use crate::id::{DeviceId, LogId, MemberId, MeshId, MessageId};
use crate::key::{PublicKey, SigningKey};
use crate::log::directory::{Directory, RecordAt};
use crate::presence::{BootId, Status};
use crate::receipt::ReceiptItem;
use crate::roster::{Applied, Roster, RosterError};
use crate::runs::Runs;
use crate::time::Millis;
use crate::wire::{ErrorCode, Frame, Limits, Resume};

/// What happened outside.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The socket is open; the broker speaks first.
    Opened,
    /// The socket is closed or could not be opened.
    Closed,
    /// A frame arrived.
    Frame(&'a [u8]),
    /// The time of [`Session::deadline`] has come.
    Tick,
    /// The user wants something.
    Command(Command),
    /// Nothing more is at hand: seal, sign and send what waits.
    Flush,
}

/// What the driver has to do, in order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Action {
    /// Open a connection.
    Connect,
    /// Close it.
    Disconnect,
    /// Commit this before any later frame is sent.
    Persist(Change),
    /// Send a frame.
    Send(Frame),
    /// Tell the application, after what stands before is committed.
    Notify(Notice),
}

/// What the application may want to know. Messages and states travel as [`Change`]s; these are the rest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Notice {
    /// Connected and in step with the broker.
    Ready,
    /// The connection is gone.
    Offline,
    /// The roster grew.
    Roster(Applied),
    /// A peer's presence changed.
    Presence(DeviceId),
    /// A name or the label changed in the directory.
    Directory,
    /// The roster append with this token is done or failed.
    Appended {
        /// The token.
        token: u64,
        /// The entry's index.
        result: Result<u64, AppendError>,
    },
    /// The record written under this token is in the log, or will never be.
    Written {
        /// The token.
        token: u64,
        /// Its address.
        result: Result<RecordAt, ErrorCode>,
    },
    /// Sequence numbers of a sender were skipped inside a lane.
    Gap {
        /// Sender.
        device: DeviceId,
        /// How many are missing.
        missing: u64,
    },
    /// A delivery was refused or dropped.
    Rejected {
        /// What was wrong.
        fault: Fault,
    },
    /// Something the user has to know.
    Fault(Fault),
}

/// Why a session cannot start from a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The stored roster does not verify.
    #[error("stored roster: {0}")]
    Roster(#[from] RosterError),
    /// A stored form does not decode.
    #[error("stored data is malformed")]
    Malformed,
    /// The device key is not part of the roster.
    #[error("the device is not part of the mesh")]
    NotAMember,
}

impl From<Malformed> for LoadError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// What is fixed for the life of a session.
#[derive(Debug)]
pub struct Identity {
    /// Device key.
    pub key: SigningKey,
    /// Random per start of the process.
    pub boot: BootId,
    /// Broker keys to accept while the roster names none.
    pub pinned: Vec<PublicKey>,
}

/// Where the connection stands.
#[derive(Debug)]
enum Phase {
    /// Not connected; try again at the given time.
    Offline { retry_at: Millis },
    /// Waiting for the socket.
    Connecting,
    /// Waiting for the challenge.
    Opened,
    /// Waiting for the welcome.
    Greeting(alloc::boxed::Box<crate::wire::ClientHandshake>),
    /// Fetching roster entries.
    Syncing,
    /// In step.
    Ready,
    /// Stopped for good.
    Halted,
}

/// What an outstanding request was for.
#[derive(Debug)]
enum Pending {
    Enqueue(Vec<(u64, u64)>),
    RosterRange {
        number: u64,
    },
    RosterProof,
    Reappend,
    Append {
        token: u64,
        append: Append,
        entry: Vec<u8>,
    },
    Record,
    Records(Vec<DeviceId>),
    LogFollow(LogId),
    /// An entry and its per-log seq.
    LogAppend(LogId, u64),
    LogRange(LogId),
    LogTail(LogId),
    Other,
}

/// One device's membership of one mesh.
#[derive(Debug)]
pub struct Session {
    key: SigningKey,
    device: DeviceId,
    member: MemberId,
    mesh: MeshId,
    boot: BootId,
    pinned: Vec<PublicKey>,
    roster: Roster,
    /// Kept to append them again at a broker that lost them.
    roster_entries: Vec<crate::codec::Bytes>,

    phase: Phase,
    /// The broker lacks roster entries that we hold: connect to offer them.
    offer: bool,
    failures: u32,
    pending: BTreeMap<u64, Pending>,
    next_request: u64,
    ping_at: Millis,
    pong_by: Option<Millis>,
    resume: Option<Resume>,
    limits: Limits,
    /// Broker's clock minus ours, milliseconds; none until a welcome told, and after our clock was set.
    skew: Option<i64>,
    /// Our clock at the last input.
    last_now: Millis,
    faults: BTreeSet<Fault>,
    round_trip: Option<u64>,

    prekeys: PrekeyRing,
    record_counter: u64,
    record_due: bool,
    records: BTreeMap<DeviceId, DeviceRecord>,
    /// Devices for whose prekey mail was refused: their record is kept, but asked for again before it serves.
    refused_records: BTreeSet<DeviceId>,
    /// When a device's record was last asked for.
    asked: BTreeMap<DeviceId, Millis>,

    outbox: BTreeMap<u64, OutboxRow>,
    by_id: BTreeMap<MessageId, u64>,
    next_ordinal: u64,
    next_seq: BTreeMap<(DeviceId, crate::envelope::Lane), u64>,
    /// Rows without a sealed attempt for some recipient.
    unsealed: BTreeSet<u64>,
    /// Sealed attempts to transmit, by the order in which they were sealed.
    unsent: BTreeMap<u64, (u64, u64)>,
    next_order: u64,
    /// Sealed attempts transmitted and not answered.
    in_flight: usize,
    retry_at: Option<Millis>,
    /// No row has to be given up before this, on the broker's clock.
    expire_at: Option<Millis>,
    wraps: WrapCache,
    dirty: BTreeSet<u64>,

    seen: BTreeMap<(DeviceId, crate::envelope::Lane), Runs>,
    recent: BTreeMap<(DeviceId, MessageId), (Hash, Millis)>,
    recent_order: VecDeque<(DeviceId, MessageId)>,
    receipts: Vec<ReceiptItem>,
    notices_through: Option<u64>,
    /// Deliveries that name roster entries we do not have yet.
    /// Each with the request that fetches them, 0 while none does.
    deferred: Vec<(u64, Vec<u8>)>,
    flushes: FlushCache,
    unwraps: UnwrapCache,
    /// What is to be said to devices about their messages, by session of ours.
    claims: BTreeMap<(DeviceId, Option<String>), Vec<ClaimItem>>,

    logs: logs::Logs,
    directory: Directory,
    name: Option<String>,
    wished_label: Option<String>,

    own_status: Status,
    presence_counter: u64,
    presence_due: Option<Millis>,
    peers: BTreeMap<DeviceId, PeerPresence>,
    appends: Vec<(u64, Append)>,
}

/// What a handler may use.
struct Context<'a, R> {
    now: Millis,
    rng: &'a mut R,
    out: Vec<Action>,
}

impl<R> Context<'_, R> {
    fn persist(&mut self, change: Change) {
        self.out.push(Action::Persist(change));
    }

    fn notify(&mut self, notice: Notice) {
        self.out.push(Action::Notify(notice));
    }
}

impl Session {
    /// Handles one input. Never fails: whatever is wrong with a frame becomes a notice or a refused delivery.
    pub fn handle(&mut self, input: Input<'_>, now: Millis, rng: &mut impl CryptoRng) -> Vec<Action> {
        let mut cx = Context { now, rng, out: Vec::new() };
        self.watch_clock(&mut cx);
        match input {
            Input::Opened => self.on_opened(),
            Input::Closed => self.on_closed(&mut cx),
            Input::Frame(bytes) => self.on_frame(bytes, &mut cx),
            Input::Tick => self.on_tick(&mut cx),
            Input::Command(command) => self.on_command(command, &mut cx),
            Input::Flush => self.on_flush(&mut cx),
        }
        cx.out
    }

    fn on_flush<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        self.flush_claims(cx);
        self.erase_prekeys(cx);
        if matches!(self.phase, Phase::Ready) {
            self.flush_records(cx);
            self.flush_logs(cx);
            self.flush_outbox(cx);
            self.flush_presence(cx);
        }
        self.end_outbox(cx);
        self.flush_dirty(cx);
        self.persist_logs(cx);
        self.flush_receipts(cx);
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        match self.phase {
            // Nothing is sent any more, but what no answer will come for still has its end.
            Phase::Halted => self.next_expiry(),
            Phase::Offline { retry_at } => Some(self.next_expiry().map_or(retry_at, |expiry| expiry.min(retry_at))),
            Phase::Ready => [
                Some(self.ping_at),
                self.pong_by,
                self.retry_at,
                self.logs.deadline(self.last_now),
                self.presence_due,
                self.next_expiry(),
            ]
            .into_iter()
            .flatten()
            .min(),
            _ => [Some(self.ping_at), self.pong_by, self.next_expiry()].into_iter().flatten().min(),
        }
    }

    /// The mesh.
    #[must_use]
    pub fn mesh(&self) -> MeshId {
        self.mesh
    }

    /// The own device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The own member.
    #[must_use]
    pub fn member(&self) -> MemberId {
        self.member
    }

    /// The verified roster.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What the user should know, as long as it holds.
    pub fn faults(&self) -> impl Iterator<Item = Fault> + '_ {
        self.faults.iter().copied()
    }

    /// Whether the session is in step with the broker.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    /// Whether it stopped for good: removed, closed or cloned.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        matches!(self.phase, Phase::Halted)
    }

    /// The last round trip to the broker, in milliseconds.
    #[must_use]
    pub fn round_trip(&self) -> Option<u64> {
        self.round_trip
    }

    fn request(&mut self, pending: Pending) -> u64 {
        self.next_request += 1;
        self.pending.insert(self.next_request, pending);
        self.next_request
    }
}
