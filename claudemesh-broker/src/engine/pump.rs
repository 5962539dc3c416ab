//! Pushing: read from the store what a connection is to get, as far as its outbox has room. One page of one feed at a time,
//! in turns, so that no feed starves another.

use claudemesh_core::codec::List;
use claudemesh_core::wire::{self, DevicePresence, Frame};
use claudemesh_core::{DeviceId, LogId, MeshId, Millis};

use super::Inner;
use super::log::served;
use super::session::Session;
use crate::connection::ConnectionId;
use crate::folds::Readers;
use crate::routing::{self, Mode};
use crate::store::{Page, Refusal, StoreError};

/// Bytes of one page.
const PAGE_BYTES: usize = 192 * 1024;
/// A page with less room than this left may have ended for want of it.
const MAX_ITEM: usize = 176 * 1024;
/// Notices of one frame.
const MAX_NOTICES: usize = 256;
/// Roster or log entries of one read.
const MAX_ENTRIES: usize = 64;
/// Presences of one frame.
const MAX_PRESENCES: usize = 4096;
const FEEDS: u8 = 5;

/// What to do next.
enum Step {
    Roster { from: u64 },
    Presence(Vec<DeviceId>),
    Notices { after: u64 },
    Mail { after: u64, items: usize },
    Log { log: LogId, from: u64 },
}

impl Session {
    /// The next feed with news, in turn.
    fn step(&mut self) -> Option<Step> {
        let feeds = &mut self.feeds;
        for _ in 0..FEEDS {
            let turn = feeds.turn;
            feeds.turn = (turn + 1) % FEEDS;
            let step = match turn {
                0 => std::mem::take(&mut feeds.roster.more).then_some(Step::Roster { from: feeds.roster.at }),
                1 if feeds.presence.is_empty() => None,
                1 => {
                    let some: Vec<_> = feeds.presence.iter().copied().take(MAX_PRESENCES).collect();
                    Some(Step::Presence(some))
                }
                2 => std::mem::take(&mut feeds.notices.more).then_some(Step::Notices { after: feeds.notices.at }),
                3 => feeds.mail.begin().map(|(after, items)| Step::Mail { after, items }),
                _ => feeds.next_log().map(|(log, from)| {
                    if let Some(cursor) = feeds.logs.get_mut(&log) {
                        cursor.more = false;
                    }
                    Step::Log { log, from }
                }),
            };
            if step.is_some() {
                return step;
            }
        }
        None
    }
}

impl Inner {
    pub(super) async fn pump(&self, id: ConnectionId, now: Millis) {
        while let Some((mesh, device, step)) = self.next_step(id) {
            let done = match step {
                Step::Presence(devices) => {
                    self.push_presence(id, mesh, &devices, now);
                    Ok(())
                }
                Step::Roster { from } => self.push_roster(id, mesh, from, now).await,
                Step::Notices { after } => self.push_notices(id, mesh, device, after, now).await,
                Step::Mail { after, items } => self.push_mail(id, mesh, device, after, items, now).await,
                Step::Log { log, from } => self.push_log(id, mesh, device, log, from, now).await,
            };
            if let Err(error) = done {
                tracing::warn!(connection = id.0, %error, "a feed could not be read");
                // The tick tries again.
                if let Some(connection) = self.state().connections.get_mut(&id) {
                    connection.pumping = false;
                }
                return;
            }
        }
    }

    /// The next thing to push while there is room; ends the pump when there is not.
    fn next_step(&self, id: ConnectionId) -> Option<(MeshId, DeviceId, Step)> {
        let mut state = self.state();
        let connection = state.connections.get_mut(&id)?;
        let room = connection.outbox.has_room();
        let super::Phase::Open(session) = &mut connection.phase else { return None };
        let step = if room && session.mode == Mode::Device { session.step() } else { None };
        if step.is_none() {
            connection.pumping = false;
        }
        step.map(|step| (session.mesh, session.device, step))
    }

    async fn push_roster(&self, id: ConnectionId, mesh: MeshId, from: u64, now: Millis) -> Result<(), StoreError> {
        let read = self.store.roster_range(mesh, from, Page::of(MAX_ENTRIES)).await;
        let mut state = self.state();
        let Some(session) = state.session(id) else { return Ok(()) };
        let range = read.inspect_err(|_| session.feeds.roster.more = true)?;
        session.feeds.roster.at += range.entries.len() as u64;
        session.feeds.roster.more |= !range.entries.is_empty();
        for (index, entry) in (from..).zip(range.entries) {
            state.send(id, Frame::push(wire::RosterPush { index, entry }), now);
        }
        Ok(())
    }

    fn push_presence(&self, id: ConnectionId, mesh: MeshId, devices: &[DeviceId], now: Millis) {
        let mut state = self.state();
        let Some(known) = state.meshes.get(&mesh) else { return };
        let mut told: Vec<DevicePresence> = Vec::with_capacity(devices.len());
        let mut bytes = 0;
        let mut taken = 0;
        for device in devices {
            let presence = known.presence.get(device);
            bytes += presence.presence.as_ref().map_or(0, |bytes| bytes.len()) + 56;
            if bytes > PAGE_BYTES && taken > 0 {
                break;
            }
            taken += 1;
            if known.roster.is_live_device(device) {
                told.push(presence);
            }
        }
        if let Some(session) = state.session(id) {
            for device in &devices[..taken] {
                session.feeds.presence.remove(device);
            }
        }
        if let Ok(devices) = List::from_vec(told)
            && !devices.is_empty()
        {
            state.send(id, Frame::push(wire::PresencePush { devices }), now);
        }
    }

    async fn push_notices(
        &self,
        id: ConnectionId,
        mesh: MeshId,
        device: DeviceId,
        after: u64,
        now: Millis,
    ) -> Result<(), StoreError> {
        let read = self.store.notices(mesh, device, after, Page::of(MAX_NOTICES)).await;
        let mut state = self.state();
        let Some(session) = state.session(id) else { return Ok(()) };
        let notices = read.inspect_err(|_| session.feeds.notices.more = true)?;
        let Some(last) = notices.last() else { return Ok(()) };
        session.feeds.notices.more = true;
        // Some may have been pushed while they were read.
        let pushed = session.feeds.notices.at;
        session.feeds.notices.at = pushed.max(last.0);
        let notices = notices.into_iter().filter(|(offset, _)| *offset > pushed);
        if let Ok(items) = List::from_vec(notices.map(routing::notice).collect())
            && !items.is_empty()
        {
            state.send(id, Frame::push(wire::Notices { items }), now);
        }
        Ok(())
    }

    async fn push_mail(
        &self,
        id: ConnectionId,
        mesh: MeshId,
        device: DeviceId,
        after: u64,
        items: usize,
        now: Millis,
    ) -> Result<(), StoreError> {
        let read = self.store.mailbox(mesh, device, after, Page { items, bytes: PAGE_BYTES }, now).await;
        let rows = match read {
            Ok(rows) => rows,
            Err(error) => {
                if let Some(session) = self.state().session(id) {
                    session.feeds.mail.grown();
                }
                return Err(error);
            }
        };
        let bytes: usize = rows.iter().map(|row| row.envelope.len() + row.record.len() + row.member_of.len()).sum();
        let full = rows.len() >= items || bytes + MAX_ITEM > PAGE_BYTES;
        let deliveries = rows.iter().map(routing::deliver).collect::<Result<Vec<_>, _>>();
        let mut deliveries = deliveries.map_err(|_| StoreError::Corrupt("a stored envelope".into()))?;
        let mut state = self.state();
        let Some(session) = state.session(id) else { return Ok(()) };
        let offsets: Vec<u64> = rows.iter().map(|row| row.offset).collect();
        let out = session.feeds.mail.push(after, &offsets, full, now);
        deliveries.truncate(out.end);
        deliveries.drain(..out.start);
        if let Ok(items) = List::from_vec(deliveries)
            && !items.is_empty()
        {
            state.send(id, Frame::push(wire::Deliver { items }), now);
        }
        Ok(())
    }

    async fn push_log(
        &self,
        id: ConnectionId,
        mesh: MeshId,
        device: DeviceId,
        log: LogId,
        from: u64,
        now: Millis,
    ) -> Result<(), StoreError> {
        let read = self.store.log_range(mesh, log, from, Page::of(MAX_ENTRIES)).await;
        let mut state = self.state();
        let Some(cursor) = state.session(id).and_then(|session| session.feeds.logs.get_mut(&log)) else {
            return Ok(());
        };
        if cursor.at != from {
            // Followed anew, from elsewhere.
            cursor.more = true;
            return Ok(());
        }
        let range = match read {
            Err(StoreError::Refused(Refusal::UnknownLog)) => return Ok(()),
            read => read.inspect_err(|_| cursor.more = true)?,
        };
        let readers = Readers::of(&range.state);
        if !readers.admit(&device) {
            // Should it be let in again, it goes on from here.
            return Ok(());
        }
        cursor.open = readers == Readers::Mesh;
        cursor.at += range.entries.len() as u64;
        cursor.more |= cursor.at <= range.tail;
        for (offset, item) in (from..).zip(range.entries) {
            state.send(id, Frame::push(wire::LogPush { log, offset, entry: served(item) }), now);
        }
        Ok(())
    }
}
