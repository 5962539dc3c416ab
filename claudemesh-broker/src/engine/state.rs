//! The engine's volatile state, and what happens to it inside one lock.

use std::collections::{BTreeMap, BTreeSet};

use claudemesh_core::codec::{Bytes, List};
use claudemesh_core::presence::Presence;
use claudemesh_core::roster::{Applied, Payload};
use claudemesh_core::wire::{self, Body, Challenge, Closing, Delivered, Frame};
use claudemesh_core::{DeviceId, LogId, MeshId, Millis, Roster};

use super::Reply;
use super::session::{Feeds, Session};
use crate::config::{AllowCreate, EngineConfig};
use crate::connection::{ConnectionId, Outbox};
use crate::presence::PresenceTable;
use crate::routing::{self, Mode};
use crate::store::{NewNotice, StoreMeta};

/// How long a roster is kept after its mesh was last used, at least.
const UNUSED_MS: u64 = 60_000;

/// Offset of a stored message, and its delivery if that is at hand.
pub(super) type Stored = (u64, Option<Bytes>);

/// How far a connection has come.
#[derive(Debug)]
pub(super) enum Phase {
    /// The challenge is out.
    Greeting(Box<Challenge>),
    /// A hello is being checked.
    Checking,
    /// The welcome is out.
    Open(Box<Session>),
}

impl Phase {
    /// The challenge, once.
    pub(super) fn take_challenge(&mut self) -> Option<Box<Challenge>> {
        match std::mem::replace(self, Self::Checking) {
            Self::Greeting(challenge) => Some(challenge),
            phase => {
                *self = phase;
                None
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) outbox: Outbox,
    pub(super) phase: Phase,
    pub(super) opened: Millis,
    /// When the last frame came.
    pub(super) heard: Millis,
    pub(super) pumping: bool,
}

/// A mesh in use.
#[derive(Debug)]
pub(super) struct Mesh {
    pub(super) roster: Roster,
    /// Open connections of any mode.
    pub(super) open: usize,
    /// When it was last loaded or left.
    pub(super) used: Millis,
    /// The connection of each connected device.
    pub(super) devices: BTreeMap<DeviceId, ConnectionId>,
    pub(super) followers: BTreeMap<LogId, BTreeSet<ConnectionId>>,
    pub(super) presence: PresenceTable,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) meshes: BTreeMap<MeshId, Mesh>,
    pub(super) stopping: bool,
    /// Meshes in the store or on their way there.
    pub(super) mesh_count: u64,
    /// The highest commit counter the store has told.
    pub(super) commits: u64,
    /// When the store is to be told the time.
    pub(super) due: Millis,
    /// The store is being told the time.
    pub(super) elapsing: bool,
    /// Frames nobody asked for and nobody knows.
    pub(super) ignored: u64,
    last_id: u64,
    presence_grace: u64,
    cached_meshes: usize,
}

impl State {
    pub(super) fn new(config: &EngineConfig, meta: &StoreMeta) -> Self {
        Self {
            connections: BTreeMap::new(),
            meshes: BTreeMap::new(),
            stopping: false,
            mesh_count: meta.meshes,
            commits: meta.commit,
            due: Millis(0),
            elapsing: false,
            ignored: 0,
            last_id: 0,
            presence_grace: config.presence_grace,
            cached_meshes: config.cached_meshes,
        }
    }

    pub(super) fn next_id(&mut self) -> ConnectionId {
        self.last_id += 1;
        ConnectionId(self.last_id)
    }

    pub(super) fn session(&mut self, id: ConnectionId) -> Option<&mut Session> {
        match &mut self.connections.get_mut(&id)?.phase {
            Phase::Open(session) => Some(session),
            _ => None,
        }
    }

    /// The open connections of a mesh, of any mode.
    pub(super) fn open_in(&self, mesh: MeshId) -> impl Iterator<Item = ConnectionId> {
        let open =
            move |connection: &Connection| matches!(&connection.phase, Phase::Open(session) if session.mesh == mesh);
        self.connections.iter().filter(move |(_, connection)| open(connection)).map(|(id, _)| *id)
    }

    pub(super) fn pace(&mut self, id: ConnectionId, body: &Body, now: Millis) -> Result<(), u64> {
        self.session(id).map_or(Ok(()), |session| session.pace(body, now))
    }

    /// Counts submissions; says whether any lane of the connection is held.
    pub(super) fn pace_enqueue(&mut self, id: ConnectionId, submissions: u64, now: Millis) -> Result<bool, u64> {
        let Some(session) = self.session(id) else { return Ok(false) };
        session.pace_enqueue(submissions, now).map(|()| !session.held.is_empty())
    }

    /// Notes a commit counter.
    pub(super) fn committed(&mut self, commit: u64) {
        self.commits = self.commits.max(commit);
    }

    /// Whether one more mesh may be brought.
    pub(super) fn may_create(&self, config: &EngineConfig, mesh: &MeshId) -> bool {
        let allowed = match &config.allow_create {
            AllowCreate::Anyone => true,
            AllowCreate::WhenEmpty => self.mesh_count == 0,
            AllowCreate::Listed(meshes) => meshes.contains(mesh),
        };
        allowed && self.mesh_count < config.max_meshes
    }

    /// Queues a frame. A peer that does not read is cut off.
    pub(super) fn send(&mut self, id: ConnectionId, frame: Frame, now: Millis) {
        let Some(connection) = self.connections.get(&id) else { return };
        if !connection.outbox.push(frame.encode()) {
            self.cut_off(id, now);
        }
    }

    fn cut_off(&mut self, id: ConnectionId, now: Millis) {
        if let Some(connection) = self.connections.get(&id) {
            connection.outbox.clear();
        }
        self.end(id, Some(Closing::Slow), now);
    }

    pub(super) fn reply(&mut self, id: ConnectionId, request: u64, reply: Reply, now: Millis) {
        let body = reply.unwrap_or_else(|refused| {
            tracing::debug!(connection = id.0, code = refused.code.as_str(), "refused");
            refused.body()
        });
        self.send(id, Frame::new(request, body), now);
    }

    /// Ends a connection: its capacity is free at once, what is queued is still written, then why it ends.
    pub(super) fn end(&mut self, id: ConnectionId, code: Option<Closing>, now: Millis) {
        let Some(connection) = self.connections.remove(&id) else { return };
        if let Some(code) = code {
            connection.outbox.push(Frame::push(wire::Close { code }).encode());
        }
        connection.outbox.end();
        let Phase::Open(session) = connection.phase else { return };
        tracing::info!(
            connection = id.0,
            mesh = session.mesh.short(),
            device = session.device.short(),
            why = code.map_or("left", Closing::as_str),
            "connection ended"
        );
        let Some(mesh) = self.meshes.get_mut(&session.mesh) else { return };
        mesh.open -= 1;
        mesh.used = now;
        for log in session.feeds.logs.keys() {
            if let Some(followers) = mesh.followers.get_mut(log) {
                followers.remove(&id);
                if followers.is_empty() {
                    mesh.followers.remove(log);
                }
            }
        }
        if mesh.devices.get(&session.device) == Some(&id) {
            mesh.devices.remove(&session.device);
            mesh.presence.disconnect(&session.device, self.presence_grace, now);
        }
    }

    /// Drops rosters nobody has used for a while, when there are many.
    pub(super) fn forget_unused(&mut self, now: Millis) {
        let over = self.meshes.len().saturating_sub(self.cached_meshes);
        if over == 0 {
            return;
        }
        let is_unused = |mesh: &Mesh| mesh.open == 0 && now.since(mesh.used) >= UNUSED_MS && mesh.presence.is_quiet();
        let unused = self.meshes.iter().filter(|(_, mesh)| is_unused(mesh));
        let unused: Vec<MeshId> = unused.take(over).map(|(id, _)| *id).collect();
        for mesh in unused {
            self.meshes.remove(&mesh);
        }
    }

    /// Turns a connection whose hello was fine into an open one. The device's older connection gives way.
    pub(super) fn admit(&mut self, id: ConnectionId, session: Session, now: Millis) -> Option<&Outbox> {
        let (mesh, device, mode) = (session.mesh, session.device, session.mode);
        if !self.connections.contains_key(&id) {
            return None;
        }
        if let Some(known) = self.meshes.get_mut(&mesh) {
            known.open += 1;
            if mode == Mode::Device {
                let older = known.devices.insert(device, id);
                if known.presence.connect(device, now) {
                    self.tell_presence(mesh, &[device]);
                }
                if let Some(older) = older {
                    self.end(older, Some(Closing::Replaced), now);
                }
            }
        }
        let connection = self.connections.get_mut(&id)?;
        connection.phase = Phase::Open(Box::new(session));
        connection.outbox.wake();
        Some(&connection.outbox)
    }

    /// Whether a device is connected.
    pub(super) fn is_connected(&self, mesh: &MeshId, device: &DeviceId) -> bool {
        self.meshes.get(mesh).is_some_and(|mesh| mesh.devices.contains_key(device))
    }

    fn feeds_of(&mut self, mesh: &MeshId, device: &DeviceId) -> Option<(ConnectionId, &mut Feeds, &Outbox)> {
        let id = *self.meshes.get(mesh)?.devices.get(device)?;
        let connection = self.connections.get_mut(&id)?;
        match &mut connection.phase {
            Phase::Open(session) => Some((id, &mut session.feeds, &connection.outbox)),
            _ => None,
        }
    }

    /// Mailboxes have grown: they are read.
    pub(super) fn mail_arrived(&mut self, devices: &[(MeshId, DeviceId)]) {
        for (mesh, device) in devices {
            if let Some((_, feeds, outbox)) = self.feeds_of(mesh, device) {
                feeds.mail.grown();
                outbox.wake();
            }
        }
    }

    /// Notices have come: they are read.
    pub(super) fn notices_arrived(&mut self, devices: &[(MeshId, DeviceId)]) {
        for (mesh, device) in devices {
            if let Some((_, feeds, outbox)) = self.feeds_of(mesh, device) {
                feeds.notices.more = true;
                outbox.wake();
            }
        }
    }

    /// Pushes mail of a device that was just stored, with what is there to push of it. What does not follow on what was
    /// pushed before, or finds no room, is left to the pump.
    pub(super) fn push_mail(&mut self, mesh: &MeshId, device: &DeviceId, rows: Vec<Stored>, now: Millis) {
        let Some((id, feeds, outbox)) = self.feeds_of(mesh, device) else { return };
        let room = outbox.has_room();
        let mut items = Vec::with_capacity(rows.len());
        for (offset, delivery) in rows {
            if feeds.mail.push_next(offset, room && delivery.is_some(), now) {
                items.extend(delivery.map(|delivery| Delivered { offset, delivery }));
            }
        }
        if feeds.mail.wants() {
            outbox.wake();
        }
        if let Ok(items) = List::from_vec(items)
            && !items.is_empty()
        {
            self.send(id, Frame::push(wire::Deliver { items }), now);
        }
    }

    /// Pushes a notice that was just stored, as [`State::push_mail`] does.
    pub(super) fn push_notice(&mut self, new: NewNotice, now: Millis) {
        let NewNotice { mesh, device, offset, notice } = new;
        let Some((id, feeds, outbox)) = self.feeds_of(&mesh, &device) else { return };
        if offset == feeds.notices.at + 1 && outbox.has_room() {
            feeds.notices.at = offset;
            let items = List::from_vec(vec![routing::notice((offset, notice))]).unwrap_or_default();
            self.send(id, Frame::push(wire::Notices { items }), now);
        } else if offset > feeds.notices.at {
            feeds.notices.more = true;
            outbox.wake();
        }
    }

    /// Pushes an entry that was just appended to those who have everything before it. The others read it, as do all
    /// followers of a log that may be private.
    pub(super) fn log_grew(&mut self, mesh: MeshId, push: wire::LogPush, now: Millis) {
        let Some(followers) = self.meshes.get(&mesh).and_then(|mesh| mesh.followers.get(&push.log)) else { return };
        let (log, offset) = (push.log, push.offset);
        let (mut frame, mut slow) = (None, Vec::new());
        for id in followers {
            let Some(connection) = self.connections.get_mut(id) else { continue };
            let Phase::Open(session) = &mut connection.phase else { continue };
            let Some(cursor) = session.feeds.logs.get_mut(&log) else { continue };
            if cursor.open && !cursor.more && cursor.at == offset && connection.outbox.has_room() {
                cursor.at += 1;
                let frame = frame.get_or_insert_with(|| Frame::push(push.clone()).encode());
                if !connection.outbox.push(frame.clone()) {
                    slow.push(*id);
                }
            } else if cursor.at <= offset {
                cursor.more = true;
                connection.outbox.wake();
            }
        }
        for id in slow {
            self.cut_off(id, now);
        }
    }

    /// Tells all connected devices of a mesh about the presence of these.
    pub(super) fn tell_presence(&mut self, mesh: MeshId, devices: &[DeviceId]) {
        let Some(known) = self.meshes.get(&mesh) else { return };
        for id in known.devices.values() {
            let Some(connection) = self.connections.get_mut(id) else { continue };
            if let Phase::Open(session) = &mut connection.phase {
                session.feeds.presence.extend(devices);
                connection.outbox.wake();
            }
        }
    }

    pub(super) fn publish(&mut self, mesh: MeshId, presence: &Presence, bytes: Bytes, lease: u64, now: Millis) {
        let Some(known) = self.meshes.get_mut(&mesh) else { return };
        // One that was removed meanwhile is not brought back.
        let device = presence.device();
        if known.devices.contains_key(&device) && known.presence.publish(presence, bytes, lease, now) {
            self.tell_presence(mesh, &[device]);
        }
    }

    /// The roster of `mesh` grew by an entry that was applied to the one here: everybody hears of it, who was removed by
    /// it is disconnected.
    pub(super) fn roster_grew(&mut self, mesh: MeshId, applied: &Applied, now: Millis) {
        let Some(known) = self.meshes.get_mut(&mesh) else { return };
        for device in &applied.removed_devices {
            known.presence.remove(device);
        }
        let closed = matches!(applied.entry.payload(), Payload::MeshClosed(_));
        let devices: Vec<_> = known.devices.iter().map(|(device, id)| (*device, *id)).collect();
        for (device, id) in devices {
            let code = if closed {
                Closing::MeshClosed
            } else if applied.removed_devices.contains(&device) {
                Closing::Removed
            } else {
                let Some(session) = self.session(id) else { continue };
                session.feeds.roster.more = true;
                if let Some(connection) = self.connections.get(&id) {
                    connection.outbox.wake();
                }
                continue;
            };
            // The last thing it hears is the reason, in the words of a member.
            let index = applied.entry.index();
            if self.session(id).is_some_and(|session| session.feeds.roster.at == index) {
                let entry = applied.entry.bytes().into();
                self.send(id, Frame::push(wire::RosterPush { index, entry }), now);
            }
            self.end(id, Some(code), now);
        }
        if closed {
            for id in self.open_in(mesh).collect::<Vec<_>>() {
                self.end(id, Some(Closing::MeshClosed), now);
            }
        }
    }

    /// Marks a connection as being pumped; `false` when it is, or is not open.
    pub(super) fn begin_pump(&mut self, id: ConnectionId) -> bool {
        match self.connections.get_mut(&id) {
            Some(connection) if matches!(connection.phase, Phase::Open(_)) => {
                !std::mem::replace(&mut connection.pumping, true)
            }
            _ => false,
        }
    }
}
