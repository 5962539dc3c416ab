//! What members do with logs, and what they are told of it.

use std::collections::{BTreeMap, BTreeSet};

use claudemesh_core::codec::Bytes;
use claudemesh_core::hash::Hash;
use claudemesh_core::log::Record;
use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::session::{Change, LogPolicy};
use claudemesh_core::wire::ErrorCode;
use claudemesh_core::{DeviceId, LogId, MemberId};

use super::{Wish, World};
use crate::sim::broker::Trick;
use crate::sim::known::Known;
use crate::sim::plan::{LogEvent, Place, Who};
use crate::sim::watch::Watch;

/// Tokens of records; smaller ones are of other requests.
const TOKENS: u64 = 1_000;
/// A type that no log gives a meaning to.
const KIND: u64 = 900;

/// A record that a member wrote.
#[derive(Debug)]
pub(in crate::sim) struct Written {
    pub(in crate::sim) who: Who,
    pub(in crate::sim) log: LogId,
    pub(in crate::sim) record: Record,
    /// The member's store has it.
    pub(in crate::sim) promised: bool,
    /// What the member heard of it.
    pub(in crate::sim) told: Option<Result<RecordAt, ErrorCode>>,
}

/// Who wanted a private log opened to whom.
#[derive(Debug)]
pub(in crate::sim) struct Admitted {
    pub(in crate::sim) who: Who,
    pub(in crate::sim) room: usize,
    pub(in crate::sim) members: Vec<Who>,
    /// The devices there were.
    pub(in crate::sim) known: Vec<DeviceId>,
}

/// What was done with logs in a play.
#[derive(Debug, Default)]
pub(in crate::sim) struct Writings {
    pub(in crate::sim) all: BTreeMap<usize, Written>,
    pub(in crate::sim) admitted: Vec<Admitted>,
    /// Entries that no reader may take.
    pub(super) crafted: BTreeSet<Hash>,
}

impl Writings {
    /// A member writes record number `n`.
    pub(super) fn begin(&mut self, n: usize, who: Who, log: LogId) -> (u64, Record) {
        let record = Record { kind: KIND, data: Bytes(format!("record {n} of {who}").into_bytes()) };
        let written = Written { who, log, record: record.clone(), promised: false, told: None };
        self.all.insert(n, written);
        (TOKENS + n as u64, record)
    }
}

impl World {
    /// The id of a log.
    pub(in crate::sim) fn place(&self, place: Place) -> LogId {
        match place {
            Place::Mesh => LogId::of_mesh(&self.mesh),
            Place::General => LogId::of_general(&self.mesh),
            Place::Room(room) => LogId::from_bytes([room as u8 + 1; 16]),
        }
    }

    /// The logs of the play.
    pub(in crate::sim) fn places(&self) -> BTreeSet<Place> {
        let rooms = (0..self.plan.logs.rooms.len()).map(Place::Room);
        self.plan.logs.writes.iter().map(|writing| writing.place).chain(rooms).chain([Place::Mesh]).collect()
    }

    pub(super) fn policy(&self, room: usize, audience: Option<BTreeSet<MemberId>>) -> LogPolicy {
        LogPolicy { history: self.plan.logs.rooms[room].history, audience }
    }

    /// The members among these peers, as one of them knows it.
    pub(super) fn members(&self, who: Who, peers: &[Who]) -> BTreeSet<MemberId> {
        let Some(session) = self.peers[who].session() else { return BTreeSet::new() };
        let devices = peers.iter().filter_map(|peer| session.roster().device(&self.peers[*peer].device()));
        devices.filter(|device| device.is_live()).map(|device| device.member).collect()
    }

    /// A peer has opened a private log to these.
    pub(super) fn admitted(&mut self, who: Who, room: usize, members: &[Who]) {
        let roster = self.peers[who].session().map(|session| session.roster());
        let known = roster.map_or_else(Vec::new, |roster| roster.live_devices().map(|device| device.id).collect());
        self.writings.admitted.push(Admitted { who, room, members: members.to_vec(), known });
    }

    /// Whether a peer follows the log it is to write to, and has seen of a private one that it was let in.
    pub(super) fn may_write(&self, who: Who, n: usize) -> bool {
        let Some(session) = self.peers[who].session() else { return false };
        let place = self.plan.logs.writes[n].place;
        let log = self.place(place);
        let guest = match place {
            Place::Room(room) => self.plan.logs.rooms[room].private && self.plan.logs.rooms[room].founder != who,
            _ => false,
        };
        session.logs().any(|open| open == log) && (!guest || session.log_size(&log).is_some_and(|(tail, _)| tail > 0))
    }

    /// A peer's secrets are kept in mind from now on, where logs are looked at.
    pub(super) fn look_closely(&mut self, who: Who) {
        if self.plan.logs.writes.is_empty() {
            return;
        }
        let peer = &mut self.peers[who];
        let mut known = Known::default();
        let snapshot = &peer.store.snapshot;
        for (log, kept) in &snapshot.logs {
            if let Some(snapshot) = kept.reader.clone() {
                known.note(&Change::LogReader { log: *log, snapshot });
            }
        }
        if let Some(ring) = snapshot.prekeys.clone() {
            known.note(&Change::Prekeys { counter: snapshot.record_counter, ring });
        }
        peer.known = Some(known);
        peer.watch = self.plan.logs.hostile.then(Watch::default);
    }

    pub(super) fn log_event(&mut self, event: LogEvent) {
        let now = self.now;
        match event {
            LogEvent::Write(n) => self.wishes.push((now, self.plan.logs.writes[n].who, Wish::Write(n))),
            LogEvent::Open(who, room) => self.wishes.push((now, who, Wish::Open(room))),
            LogEvent::Close(who, room) => self.wishes.push((now, who, Wish::Close(room))),
            LogEvent::Admit { who, room, members } => self.wishes.push((now, who, Wish::Admit { room, members })),
            LogEvent::Lie(lie) => self.lie(&lie),
            LogEvent::Behave => {
                self.garbles = false;
                self.broker.mislead(Trick::Behave);
                self.commit_soon();
                self.crash_broker(false, 100);
            }
        }
    }

    /// A peer hears what became of a record.
    pub(super) fn on_written(&mut self, who: Who, token: u64, result: Result<RecordAt, ErrorCode>) {
        let Some(n) = token.checked_sub(TOKENS) else { return };
        let Some(written) = self.writings.all.get_mut(&(n as usize)) else { return };
        let before = written.told.replace(result);
        if before.is_some() {
            self.fail(format!("peer {who} hears of record {n} twice: {before:?}, then {result:?}"));
        }
    }

    /// Nothing is taken from a log twice, nor after a fork.
    pub(super) fn check_log_changes(&mut self, who: Who, changes: &[Change]) {
        let store = &self.peers[who].store;
        let tail = |log: &LogId| store.snapshot.logs.get(log).map_or(0, |log| log.links.len() as u64);
        let forked = |log: &LogId| self.peers[who].watch.as_ref().is_some_and(|watch| watch.forked.contains(log));
        let (mut tails, mut opened, mut wrong) = (BTreeMap::new(), BTreeSet::new(), None);
        for change in changes {
            match change {
                Change::LogRecords(records) => {
                    let place = (records.log, records.offset);
                    if store.opened.contains_key(&place) || !opened.insert(place) {
                        wrong = Some(format!("opens offset {} of {} twice", records.offset, records.log));
                    }
                }
                Change::LogEntry { log, offset, .. } => {
                    let last = tails.entry(*log).or_insert_with(|| tail(log));
                    if *offset != *last + 1 {
                        wrong = Some(format!("takes offset {offset} of {log} after {last}"));
                    } else if forked(log) {
                        wrong = Some(format!("takes offset {offset} of {log}, in which it found a fork"));
                    }
                    *last = *offset;
                }
                _ => {}
            }
        }
        if let Some(wrong) = wrong {
            self.fail(format!("peer {who} {wrong}"));
        }
    }

    /// What the watch over a peer has seen.
    pub(super) fn check_watch(&mut self, who: Who, wrong: Option<String>) {
        if let Some(wrong) = wrong {
            self.fail(format!("peer {who} {wrong}"));
        }
        let Some(watch) = &mut self.peers[who].watch else { return };
        let taken = std::mem::take(&mut watch.taken);
        if taken.iter().any(|hash| self.writings.crafted.contains(hash)) {
            self.fail(format!("peer {who} takes an entry that has no place in its log"));
        }
    }
}
