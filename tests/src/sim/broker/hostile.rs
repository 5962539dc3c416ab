//! A broker that lies about logs: the reference one, and what it sends of them tampered with.

use std::collections::{BTreeMap, BTreeSet};

use claudemesh_core::codec::{Bytes, List};
use claudemesh_core::log::{EntryKind, LogEntry};
use claudemesh_core::wire::{self, Body, Frame};
use claudemesh_core::{DeviceId, LogId, MessageId, Millis, PublicKey, Roster};

use super::{ConnId, Disk, ModelBroker, Out, SimBroker};
use crate::sim::dice::Dice;

/// What it does to its readers.
#[derive(Clone, Debug)]
pub enum Trick {
    /// New entries do not get to this device.
    Withhold(DeviceId),
    /// Records get there as bare hashes, as though they had been compacted.
    Redact(DeviceId),
    /// Neighbours change places on their way there.
    Reorder(DeviceId),
    /// After what is in the log the device gets this entry, which is not.
    Insert {
        /// The device.
        device: DeviceId,
        /// The log.
        log: LogId,
        /// The entry.
        entry: Bytes,
    },
    /// These devices are shown logs of their own from now on.
    Split(BTreeSet<DeviceId>),
    /// All are shown the same logs again, as though they had always been.
    Join,
    /// It is honest from now on.
    Behave,
}

/// The broker.
#[derive(Debug)]
pub struct HostileBroker {
    inner: ModelBroker,
    withholds: BTreeSet<DeviceId>,
    redacts: BTreeSet<DeviceId>,
    /// Each with the push that waits for its neighbour, by connection and log.
    reorders: BTreeSet<DeviceId>,
    waits: BTreeMap<(ConnId, LogId), wire::LogPush>,
    inserts: Vec<(DeviceId, LogId, Bytes)>,
}

impl HostileBroker {
    /// A broker that is honest until it is told not to be.
    #[must_use]
    pub fn new(inner: ModelBroker) -> Self {
        Self {
            inner,
            withholds: BTreeSet::new(),
            redacts: BTreeSet::new(),
            reorders: BTreeSet::new(),
            waits: BTreeMap::new(),
            inserts: Vec::new(),
        }
    }

    fn tamper(&mut self, conn: ConnId, device: &DeviceId, frame: Frame) -> Vec<Frame> {
        let Frame { request, body } = frame;
        match body {
            Body::LogPush(_) if self.withholds.contains(device) => Vec::new(),
            Body::LogPush(mut push) => {
                if self.redacts.contains(device) {
                    push.entry = redacted(push.entry);
                }
                if !self.reorders.contains(device) {
                    return vec![Frame::push(push)];
                }
                match self.waits.remove(&(conn, push.log)) {
                    Some(mut first) if first.offset + 1 == push.offset => {
                        std::mem::swap(&mut first.entry, &mut push.entry);
                        vec![Frame::push(first), Frame::push(push)]
                    }
                    _ => {
                        self.waits.insert((conn, push.log), push);
                        Vec::new()
                    }
                }
            }
            Body::LogEntries(mut reply) if self.redacts.contains(device) => {
                let entries = reply.entries.into_vec().into_iter().map(redacted).collect();
                reply.entries = List::from_vec(entries).unwrap_or_default();
                vec![Frame::new(request, reply)]
            }
            body => vec![Frame { request, body }],
        }
    }
}

/// Records as their hash alone; without the other kinds nobody would read on.
fn redacted(entry: Bytes) -> Bytes {
    match LogEntry::parse(entry.clone()) {
        Ok(parsed) if parsed.body().kind == EntryKind::Records => parsed.hash()[..].into(),
        _ => entry,
    }
}

impl SimBroker for HostileBroker {
    fn key(&self) -> PublicKey {
        self.inner.key()
    }

    fn open(&mut self, now: Millis) -> ConnId {
        self.inner.open(now)
    }

    fn receive(&mut self, conn: ConnId, bytes: &[u8], now: Millis) {
        self.inner.receive(conn, bytes, now);
    }

    fn close(&mut self, conn: ConnId, now: Millis) {
        self.inner.close(conn, now);
    }

    fn tick(&mut self, now: Millis) {
        self.inner.tick(now);
    }

    fn commit(&mut self, now: Millis) -> Vec<(ConnId, Out)> {
        let mut told = Vec::new();
        for (conn, out) in self.inner.commit(now) {
            let device = self.inner.device_of(conn);
            match (out, device) {
                (Out::Frame(bytes), Some(device)) => match Frame::decode(&bytes) {
                    Ok(frame) => {
                        let frames = self.tamper(conn, &device, frame);
                        told.extend(frames.into_iter().map(|frame| (conn, Out::Frame(frame.encode()))));
                    }
                    Err(_) => told.push((conn, Out::Frame(bytes))),
                },
                (out, _) => told.push((conn, out)),
            }
        }
        let conns = self.inner.device_conns();
        for (device, log, entry) in std::mem::take(&mut self.inserts) {
            let offset = self.inner.log(&log).len() as u64 + 1;
            for (conn, _) in conns.iter().filter(|(_, there)| *there == device) {
                let push = wire::LogPush { log, offset, entry: entry.clone() };
                told.push((*conn, Out::Frame(Frame::push(push).encode())));
            }
        }
        told
    }

    fn crash(&mut self) {
        self.inner.crash();
        self.waits.clear();
    }

    fn fail_power(&mut self, dice: &mut Dice) {
        self.inner.fail_power(dice);
        self.waits.clear();
    }

    fn accepted(&self, sender: &DeviceId, recipient: &DeviceId, id: &MessageId) -> bool {
        self.inner.accepted(sender, recipient, id)
    }

    fn roster(&self) -> Option<Roster> {
        self.inner.roster()
    }

    fn waiting(&self, device: &DeviceId, now: Millis) -> usize {
        self.inner.waiting(device, now)
    }

    fn log(&self, log: &LogId) -> Vec<Bytes> {
        self.inner.log(log)
    }

    fn mislead(&mut self, trick: Trick) {
        match trick {
            Trick::Withhold(device) => drop(self.withholds.insert(device)),
            Trick::Redact(device) => drop(self.redacts.insert(device)),
            Trick::Reorder(device) => drop(self.reorders.insert(device)),
            Trick::Insert { device, log, entry } => self.inserts.push((device, log, entry)),
            Trick::Split(devices) => self.inner.split_logs(devices),
            Trick::Join => self.inner.join_logs(false),
            Trick::Behave => {
                self.inner.join_logs(true);
                self.withholds.clear();
                self.redacts.clear();
                self.reorders.clear();
                self.waits.clear();
                self.inserts.clear();
            }
        }
    }

    fn disk(&self) -> Option<&Disk> {
        self.inner.disk()
    }
}
