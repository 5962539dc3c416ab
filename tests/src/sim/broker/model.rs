//! The reference broker: the protocol's rules in their plainest form, over a disk that loses what was not committed.

mod disk;
mod hello;
mod log;
mod mail;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use claudemesh_core::codec::{Bytes, HashBytes, List};
use claudemesh_core::device::DeviceRecord;
use claudemesh_core::roster::{Entry, Payload};
use claudemesh_core::testing::SeededRng;
use claudemesh_core::wire::{self, Body, Challenge, Closing, ErrorCode, Frame, Limits};
use claudemesh_core::{DeviceId, InviteId, LogId, MessageId, Millis, PublicKey, Roster, SigningKey};
use rand_core::Rng;

use super::{ConnId, Out, SimBroker};
use crate::sim::dice::Dice;
pub use disk::Disk;

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
    /// Next offset to push of the logs it follows.
    logs: BTreeMap<LogId, u64>,
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
    committed: Arc<Disk>,
    /// What a power failure may leave: what was synced last, and what was committed since.
    left: Vec<Arc<Disk>>,
    /// What the process works on.
    live: Disk,
    /// Something was written that has to be synced before it is answered.
    sync: bool,
    backup: Option<Disk>,
    connections: BTreeMap<ConnId, Connection>,
    shown: BTreeMap<DeviceId, Shown>,
    out: Vec<(ConnId, Out)>,
    next_conn: ConnId,
    rng: SeededRng,
    unavailable: bool,
    limits: Limits,
    /// Whether it compares what a reader of a log has seen with what it keeps, as an honest one does.
    compares: bool,
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
        let committed = Arc::new(disk.clone());
        Self {
            key,
            left: vec![committed.clone()],
            committed,
            live: disk,
            sync: false,
            backup: None,
            connections: BTreeMap::new(),
            shown: BTreeMap::new(),
            out: Vec::new(),
            next_conn: 0,
            rng: SeededRng::new(seed),
            unavailable: false,
            limits: Limits { window: 4, ..Limits::default() },
            compares: true,
            accepted: BTreeSet::new(),
            pending_accepted: Vec::new(),
        }
    }

    /// The device behind a connection, once it has said so.
    pub(super) fn device_of(&self, conn: ConnId) -> Option<DeviceId> {
        self.connections.get(&conn)?.open.as_ref().map(|open| open.device)
    }

    /// The open connections of devices.
    pub(super) fn device_conns(&self) -> Vec<(ConnId, DeviceId)> {
        self.devices().map(|(conn, open)| (conn, open.device)).collect()
    }

    /// Shows these devices logs of their own from now on.
    pub(super) fn split_logs(&mut self, devices: BTreeSet<DeviceId>) {
        self.live.split_logs(devices);
    }

    /// Shows everybody the same logs from now on. Unless it compares, whatever they have seen before.
    pub(super) fn join_logs(&mut self, compares: bool) {
        self.live.join_logs();
        self.compares = compares;
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
        self.sync |= matches!(body, Body::RosterAppend(_) | Body::RecordPut(_) | Body::LogAppend(_));
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
            Body::LogRange(range) => self.live.log_range(&device, &range, self.compares),
            Body::LogFollow(follow) => {
                self.live.may_follow(&device, &follow, self.compares)?;
                if let Some(open) = self.open_mut(conn) {
                    open.logs.insert(follow.log, follow.from);
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
            frames.extend(self.live.push_logs(open));
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
        self.sync |= self.live.expire(now);
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
        self.live.commits += u64::from(self.sync);
        self.committed = Arc::new(self.live.clone());
        if std::mem::take(&mut self.sync) {
            self.left.clear();
        }
        self.left.push(self.committed.clone());
        self.accepted.extend(self.pending_accepted.drain(..));
        std::mem::take(&mut self.out)
    }

    fn crash(&mut self) {
        self.live = Disk::clone(&self.committed);
        self.sync = false;
        self.pending_accepted.clear();
        self.connections.clear();
        self.shown.clear();
        self.out.clear();
        self.unavailable = false;
    }

    fn fail_power(&mut self, dice: &mut Dice) {
        let spared = dice.lucky(self.left.len() - 1);
        self.left.truncate(spared + 1);
        self.committed = self.left[spared].clone();
        self.crash();
    }

    fn roll_back(&mut self, same_store: bool) {
        if let Some(mut backup) = self.backup.take() {
            backup.store_id[0] ^= u8::from(!same_store);
            self.committed = Arc::new(backup);
            self.left = vec![self.committed.clone()];
        }
        self.crash();
    }

    fn backup(&mut self) {
        self.backup = Some(Disk::clone(&self.committed));
    }

    fn set_unavailable(&mut self, unavailable: bool) {
        self.unavailable = unavailable;
    }

    fn accepted(&self, sender: &DeviceId, recipient: &DeviceId, id: &MessageId) -> bool {
        self.accepted.contains(&(*sender, *recipient, *id))
    }

    fn roster(&self) -> Option<Roster> {
        self.committed.roster().cloned()
    }

    fn log(&self, log: &LogId) -> Vec<Bytes> {
        self.committed.log(log)
    }

    fn waiting(&self, device: &DeviceId, _: Millis) -> usize {
        self.committed.mail.get(device).map_or(0, BTreeMap::len)
    }

    fn disk(&self) -> Option<&Disk> {
        Some(&self.committed)
    }
}
