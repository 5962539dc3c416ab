//! A broker as the simulation drives it, and the reference broker: the protocol's rules in their plainest form, over a disk
//! that loses what was not committed.

mod disk;
mod mail;

use std::collections::{BTreeMap, BTreeSet};

use claudemesh_core::codec::{Bytes, HashBytes, List};
use claudemesh_core::device::DeviceRecord;
use claudemesh_core::roster::{Entry, Payload};
use claudemesh_core::testing::SeededRng;
use claudemesh_core::wire::{
    self, Body, Challenge, CheckedHello, Closing, ErrorCode, Frame, HelloMode, Limits, WelcomeBody,
};
use claudemesh_core::{DeviceId, InviteId, LogId, MessageId, Millis, PublicKey, Roster, SigningKey};
use rand_core::Rng;

pub use disk::Disk;

/// Names a connection at the broker.
pub type ConnId = u64;

/// What comes out of a broker for one connection.
#[derive(Debug)]
pub enum Out {
    /// A frame.
    Frame(Vec<u8>),
    /// The broker closed the connection.
    Closed,
}

/// What the simulation needs of a broker. Whatever it answers becomes visible with [`SimBroker::commit`] only; a crash before
/// that loses it.
pub trait SimBroker: std::fmt::Debug {
    /// The broker's key.
    fn key(&self) -> PublicKey;
    /// A connection opens.
    fn open(&mut self, now: Millis) -> ConnId;
    /// A frame arrives.
    fn receive(&mut self, conn: ConnId, bytes: &[u8], now: Millis);
    /// A connection is gone.
    fn close(&mut self, conn: ConnId, now: Millis);
    /// Time passes.
    fn tick(&mut self, now: Millis);
    /// Makes everything durable and gives what may now be seen.
    fn commit(&mut self, now: Millis) -> Vec<(ConnId, Out)>;
    /// The process dies: connections and everything not committed are gone.
    fn crash(&mut self);
    /// The disk is replaced by a copy of earlier, made with [`SimBroker::backup`].
    fn roll_back(&mut self, same_store: bool) {
        let _ = same_store;
        self.crash();
    }
    /// Keeps a copy of the disk for [`SimBroker::roll_back`].
    fn backup(&mut self) {}
    /// Refuses mail with a passing fault while set.
    fn set_unavailable(&mut self, unavailable: bool) {
        let _ = unavailable;
    }
    /// Whether the broker ever committed this message for this recipient.
    fn accepted(&self, sender: &DeviceId, recipient: &DeviceId, id: &MessageId) -> bool;
    /// The roster that is durable.
    fn roster(&self) -> Option<Roster>;
    /// How many messages wait for a device.
    fn waiting(&self, device: &DeviceId, now: Millis) -> usize;
    /// The disk, of the reference broker.
    fn disk(&self) -> Option<&Disk> {
        None
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Device,
    Join(InviteId),
    Create,
}

#[derive(Debug)]
struct Open {
    device: DeviceId,
    key: PublicKey,
    mode: Mode,
    /// Next roster entry to push.
    roster: u64,
    /// Next log offset to push, when it follows.
    log: Option<u64>,
    /// Mail pushed and not acknowledged, with the time.
    unacknowledged: BTreeMap<u64, Millis>,
    mail_after: u64,
    notices_after: u64,
    /// Lanes that wait for a message refused for now.
    /// Refused numbers that a lane waits for, with the end of the wait: their message may have ended meanwhile.
    held: BTreeMap<(DeviceId, u64), BTreeMap<u64, Millis>>,
    presence: BTreeSet<DeviceId>,
}

#[derive(Debug)]
struct Connection {
    challenge: Challenge,
    open: Option<Open>,
}

#[derive(Clone, Debug, Default)]
struct Shown {
    presence: Option<Bytes>,
    last_seen: Millis,
}

/// The reference broker.
#[derive(Debug)]
pub struct ModelBroker {
    key: SigningKey,
    /// What survives a crash.
    durable: Disk,
    /// What the process works on.
    live: Disk,
    backup: Option<Disk>,
    connections: BTreeMap<ConnId, Connection>,
    shown: BTreeMap<DeviceId, Shown>,
    out: Vec<(ConnId, Out)>,
    next_conn: ConnId,
    rng: SeededRng,
    unavailable: bool,
    limits: Limits,
    /// Everything ever accepted, rolled back or not.
    accepted: BTreeSet<(DeviceId, DeviceId, MessageId)>,
    pending_accepted: Vec<(DeviceId, DeviceId, MessageId)>,
}

/// How long mail may stay without a receipt before it is pushed again.
const REDELIVERY: u64 = 30_000;

type Reply = Result<Body, ErrorCode>;

impl ModelBroker {
    /// A broker over this disk.
    #[must_use]
    pub fn new(key: SigningKey, disk: Disk, seed: u64) -> Self {
        Self {
            key,
            durable: disk.clone(),
            live: disk,
            backup: None,
            connections: BTreeMap::new(),
            shown: BTreeMap::new(),
            out: Vec::new(),
            next_conn: 0,
            rng: SeededRng::new(seed),
            unavailable: false,
            limits: Limits { window: 4, ..Limits::default() },
            accepted: BTreeSet::new(),
            pending_accepted: Vec::new(),
        }
    }

    fn send(&mut self, conn: ConnId, frame: Frame) {
        self.out.push((conn, Out::Frame(frame.encode())));
    }

    fn end(&mut self, conn: ConnId, code: Option<Closing>, now: Millis) {
        let Some(connection) = self.connections.remove(&conn) else { return };
        if let Some(code) = code {
            self.send(conn, Frame::push(wire::Close { code }));
        }
        self.out.push((conn, Out::Closed));
        let Some(open) = connection.open.filter(|open| open.mode == Mode::Device) else { return };
        if !self.online(&open.device) {
            self.shown.entry(open.device).or_default().last_seen = now;
            self.tell_presence(open.device);
        }
    }

    fn online(&self, device: &DeviceId) -> bool {
        self.devices().any(|(_, open)| open.device == *device)
    }

    fn devices(&self) -> impl Iterator<Item = (ConnId, &Open)> {
        let open = |(id, connection): (&ConnId, _)| {
            let connection: &Connection = connection;
            connection.open.as_ref().filter(|open| open.mode == Mode::Device).map(|open| (*id, open))
        };
        self.connections.iter().filter_map(open)
    }

    fn open_mut(&mut self, conn: ConnId) -> Option<&mut Open> {
        self.connections.get_mut(&conn)?.open.as_mut()
    }

    fn tell_presence(&mut self, about: DeviceId) {
        for connection in self.connections.values_mut() {
            if let Some(open) = &mut connection.open {
                open.presence.insert(about);
            }
        }
    }

    fn hello(&mut self, conn: ConnId, request: u64, hello: &wire::Hello, now: Millis) {
        let Some(connection) = self.connections.get(&conn) else { return };
        let refuse = |broker: &mut Self, code: ErrorCode| {
            let error = wire::Error { code, detail: String::new(), retry_after_ms: None };
            broker.send(conn, Frame::new(request, error));
            broker.end(conn, Some(Closing::Protocol), now);
        };
        let Ok(hello) = wire::check_hello(&connection.challenge, hello, b"") else {
            return refuse(self, ErrorCode::Unauthenticated);
        };
        let mode = match self.admit(&hello, now) {
            Ok(mode) => mode,
            Err(code) => return refuse(self, code),
        };
        if mode == Mode::Device {
            let older: Vec<_> = self.devices().filter(|(_, o)| o.device == hello.device).map(|(id, _)| id).collect();
            for older in older {
                self.end(older, Some(Closing::Replaced), now);
            }
        }
        let disk = &self.live;
        let head = disk.roster.as_ref().map(|roster| roster.head());
        let is_device = mode == Mode::Device;
        let body = WelcomeBody {
            version: wire::VERSION,
            capabilities: List::new(),
            limits: self.limits,
            store_id: disk.store_id,
            commits: disk.commits,
            now,
            head,
            record: disk.records.get(&hello.device).filter(|_| is_device).map(|kept| kept.bytes.clone()),
            last_sent: disk.proofs.get(&hello.device).filter(|_| is_device).cloned(),
            connection: conn,
        };
        let welcome = wire::answer_hello(&self.key, &hello, &body);
        let everybody = disk.roster.iter().flat_map(|roster| roster.live_devices()).map(|device| device.id).collect();
        let open = Open {
            device: hello.device,
            key: hello.key,
            mode,
            roster: head.map_or(0, |head| head.index + 1),
            log: None,
            unacknowledged: BTreeMap::new(),
            mail_after: 0,
            notices_after: 0,
            held: BTreeMap::new(),
            presence: if is_device { everybody } else { BTreeSet::new() },
        };
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.open = Some(open);
        }
        self.send(conn, Frame::new(request, welcome));
        if is_device {
            self.tell_presence(hello.device);
        }
    }

    fn admit(&self, hello: &CheckedHello, now: Millis) -> Result<Mode, ErrorCode> {
        let Some(roster) = &self.live.roster else {
            return if hello.mode == HelloMode::Create { Ok(Mode::Create) } else { Err(ErrorCode::UnknownMesh) };
        };
        if roster.mesh() != hello.mesh {
            return Err(ErrorCode::UnknownMesh);
        }
        match hello.mode {
            HelloMode::Create => Ok(Mode::Create),
            HelloMode::Device => match roster.device(&hello.device) {
                None => Err(ErrorCode::NotAMember),
                Some(device) if !device.is_live() => Err(ErrorCode::Removed),
                Some(_) => Ok(Mode::Device),
            },
            HelloMode::Join(id) => {
                let invite = roster.invite(&id).ok_or(ErrorCode::Forbidden)?;
                hello.check_invite(&invite.key).map_err(|_| ErrorCode::Unauthenticated)?;
                if !invite.is_open() || invite.expires.millis() <= now {
                    return Err(ErrorCode::InviteExpired);
                }
                Ok(Mode::Join(id))
            }
        }
    }

    fn request(&mut self, conn: ConnId, body: Body, now: Millis) -> Reply {
        let Some(open) = self.connections.get(&conn).and_then(|c| c.open.as_ref()) else {
            return Err(ErrorCode::Unauthenticated);
        };
        let (device, key, mode) = (open.device, open.key, open.mode);
        let permitted = match &body {
            Body::Ping(_) | Body::RosterAppend(_) => true,
            Body::RosterRange(_) => mode != Mode::Create,
            _ => mode == Mode::Device,
        };
        if !permitted {
            return Err(ErrorCode::Forbidden);
        }
        match body {
            Body::Ping(wire::Ping { time }) => Ok(wire::Pong { time }.into()),
            Body::RosterAppend(append) => self.roster_append(mode, &device, &append.entry, now),
            Body::RosterRange(range) => self.live.roster_range(&range),
            Body::RecordPut(put) => {
                let mesh = self.live.mesh().ok_or(ErrorCode::UnknownMesh)?;
                let record = DeviceRecord::verify(&put.record, &mesh, &key).map_err(|_| ErrorCode::Malformed)?;
                self.live.put_record(device, &record)
            }
            Body::RecordGet(get) => Ok(self.live.get_records(&get).into()),
            Body::Enqueue(enqueue) => self.enqueue(conn, &device, &enqueue, now),
            Body::ReceiptPut(put) => self.receipt(conn, &key, &put.receipt),
            Body::NoticesDone(done) => {
                if let Some(kept) = self.live.notices.get_mut(&device) {
                    kept.retain(|offset, _| *offset > done.through);
                }
                Ok(wire::Done {}.into())
            }
            Body::LogAppend(append) => self.live.log_append(&device, &append),
            Body::LogRange(range) => self.live.log_range(&range),
            Body::LogFollow(follow) => {
                let mesh = self.live.mesh().ok_or(ErrorCode::UnknownMesh)?;
                if follow.log != LogId::of_mesh(&mesh) && follow.from == 1 {
                    // Nobody writes there.
                    return Ok(wire::Done {}.into());
                }
                if follow.log != LogId::of_mesh(&mesh) || follow.from == 0 {
                    return Err(ErrorCode::UnknownLog);
                }
                if self.live.chain_at(follow.from - 1) != Some(follow.hash.0) {
                    return Err(ErrorCode::BrokerRolledBack);
                }
                if let Some(open) = self.open_mut(conn) {
                    open.log = Some(follow.from);
                }
                Ok(wire::Done {}.into())
            }
            Body::PresencePut(put) => {
                self.shown.entry(device).or_default().presence = Some(put.presence);
                self.tell_presence(device);
                Ok(wire::Done {}.into())
            }
            _ => Err(ErrorCode::Unsupported),
        }
    }

    fn roster_append(&mut self, mode: Mode, device: &DeviceId, bytes: &Bytes, now: Millis) -> Reply {
        let entry = Entry::parse(bytes).map_err(|_| ErrorCode::Malformed)?;
        if let Some(there) = self.live.entries.get(usize::try_from(entry.index()).unwrap_or(usize::MAX)) {
            return if there[..] == bytes[..] { Ok(wire::Done {}.into()) } else { Err(ErrorCode::HeadMoved) };
        }
        if let Mode::Join(invite) = mode {
            let named = match entry.payload() {
                Payload::MemberJoined(payload) => Some(payload.invite),
                Payload::DeviceAdded(payload) => Some(payload.invite),
                _ => None,
            };
            if named != Some(invite) || entry.author() != device {
                return Err(ErrorCode::Forbidden);
            }
        }
        // A connection that creates may offer any entries that validate: they prove themselves.
        let removed = self.live.append_entry(bytes)?;
        for device in removed {
            self.shown.remove(&device);
            let gone: Vec<_> = self.devices().filter(|(_, open)| open.device == device).map(|(id, _)| id).collect();
            for conn in gone {
                // The last thing it hears is why.
                let index = entry.index();
                self.send(conn, Frame::push(wire::RosterPush { index, entry: bytes.clone() }));
                self.end(conn, Some(Closing::Removed), now);
            }
        }
        Ok(wire::Done {}.into())
    }

    /// Pushes to every connection what it has not seen.
    fn pump(&mut self, now: Millis) {
        let conns: Vec<ConnId> = self.devices().map(|(id, _)| id).collect();
        for conn in conns {
            let mut frames = Vec::new();
            let Some(open) = self.connections.get_mut(&conn).and_then(|c| c.open.as_mut()) else { continue };
            while let Some(entry) = self.live.entries.get(open.roster as usize) {
                frames.push(Frame::push(wire::RosterPush { index: open.roster, entry: entry.clone() }));
                open.roster += 1;
            }
            let window = self.limits.window as usize;
            frames.extend(self.live.push_mail(
                &open.device,
                &mut open.mail_after,
                &mut open.unacknowledged,
                window,
                now,
            ));
            frames.extend(self.live.push_notices(&open.device, &mut open.notices_after));
            while let Some(from) = open.log
                && let Some(entry) = self.live.log.get(from as usize - 1)
            {
                let log = LogId::of_mesh(&self.live.mesh().unwrap_or_else(|| unreachable!()));
                frames.push(Frame::push(wire::LogPush { log, offset: from, entry: entry.clone() }));
                open.log = Some(from + 1);
            }
            let about = std::mem::take(&mut open.presence);
            let live = |id: &DeviceId| self.live.roster.as_ref().is_some_and(|roster| roster.is_live_device(id));
            let devices: Vec<_> = about
                .into_iter()
                .filter(live)
                .map(|device| {
                    let shown = self.shown.get(&device).cloned().unwrap_or_default();
                    let online = self.devices().any(|(_, open)| open.device == device);
                    wire::DevicePresence { device, online, presence: shown.presence, last_seen: shown.last_seen }
                })
                .collect();
            if !devices.is_empty() {
                let devices = List::from_vec(devices).unwrap_or_default();
                frames.push(Frame::push(wire::PresencePush { devices }));
            }
            for frame in frames {
                self.send(conn, frame);
            }
        }
    }
}

impl SimBroker for ModelBroker {
    fn key(&self) -> PublicKey {
        self.key.public()
    }

    fn open(&mut self, _: Millis) -> ConnId {
        self.next_conn += 1;
        let mut nonce = [0; 32];
        self.rng.fill_bytes(&mut nonce);
        let challenge = Challenge {
            nonce: HashBytes(nonce),
            key: HashBytes(*self.key.public().as_bytes()),
            versions: List::from_vec(vec![wire::VERSION]).unwrap_or_default(),
            capabilities: List::new(),
        };
        self.send(self.next_conn, Frame::push(challenge.clone()));
        self.connections.insert(self.next_conn, Connection { challenge, open: None });
        self.next_conn
    }

    fn receive(&mut self, conn: ConnId, bytes: &[u8], now: Millis) {
        let Ok(frame) = Frame::decode(bytes) else { return self.end(conn, Some(Closing::Protocol), now) };
        if !self.connections.contains_key(&conn) {
            return;
        }
        if let Body::Hello(hello) = &frame.body {
            return self.hello(conn, frame.request, hello, now);
        }
        let body = self
            .request(conn, frame.body, now)
            .unwrap_or_else(|code| wire::Error { code, detail: String::new(), retry_after_ms: None }.into());
        self.send(conn, Frame::new(frame.request, body));
    }

    fn close(&mut self, conn: ConnId, now: Millis) {
        self.end(conn, None, now);
    }

    fn tick(&mut self, now: Millis) {
        self.live.expire(now);
        for connection in self.connections.values_mut() {
            let Some(open) = &mut connection.open else { continue };
            if open.unacknowledged.values().any(|at| now.since(*at) >= REDELIVERY) {
                open.unacknowledged.clear();
                open.mail_after = 0;
            }
        }
    }

    fn commit(&mut self, now: Millis) -> Vec<(ConnId, Out)> {
        self.pump(now);
        self.live.commits += 1;
        self.durable = self.live.clone();
        self.accepted.extend(self.pending_accepted.drain(..));
        std::mem::take(&mut self.out)
    }

    fn crash(&mut self) {
        self.live = self.durable.clone();
        self.pending_accepted.clear();
        self.connections.clear();
        self.shown.clear();
        self.out.clear();
        self.unavailable = false;
    }

    fn roll_back(&mut self, same_store: bool) {
        if let Some(backup) = self.backup.take() {
            self.durable = backup;
            self.durable.store_id[0] ^= u8::from(!same_store);
        }
        self.crash();
    }

    fn backup(&mut self) {
        self.backup = Some(self.durable.clone());
    }

    fn set_unavailable(&mut self, unavailable: bool) {
        self.unavailable = unavailable;
    }

    fn accepted(&self, sender: &DeviceId, recipient: &DeviceId, id: &MessageId) -> bool {
        self.accepted.contains(&(*sender, *recipient, *id))
    }

    fn roster(&self) -> Option<Roster> {
        self.durable.roster().cloned()
    }

    fn waiting(&self, device: &DeviceId, _: Millis) -> usize {
        self.durable.mail.get(device).map_or(0, BTreeMap::len)
    }

    fn disk(&self) -> Option<&Disk> {
        Some(&self.durable)
    }
}
