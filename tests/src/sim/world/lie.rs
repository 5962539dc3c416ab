//! A broker that lies about logs, and members that help it or spoil what the others write.

use std::collections::BTreeSet;

use claudemesh_core::codec::{self, HashBytes, List};
use claudemesh_core::log::{
    CommitPlan, EntryKind, HistoryPolicy, LogEntry, LogReader, LogTip, Payload, Recipient, Record, Writer,
    build_commit, build_records,
};
use claudemesh_core::testing::SeededRng;
use claudemesh_core::wire::{self, Body, Frame};
use claudemesh_core::{DeviceId, LogId};

use super::World;
use crate::sim::broker::Trick;
use crate::sim::plan::{Lie, Place, Who};

/// The type of records that nobody may read.
const FORBIDDEN: u64 = 901;

impl World {
    pub(super) fn lie(&mut self, lie: &Lie) {
        let device = |who: &Who| self.peers[*who].device();
        let trick = match lie {
            Lie::Withhold(who) => Some(Trick::Withhold(device(who))),
            Lie::Redact(who) => Some(Trick::Redact(device(who))),
            Lie::Reorder(who) => Some(Trick::Reorder(device(who))),
            Lie::Split(peers) => Some(Trick::Split(peers.iter().map(device).collect())),
            Lie::Join => Some(Trick::Join),
            Lie::Replay(to, place) => self.replay(*place).map(|entry| (*to, *place, entry)).map(|it| self.insert(it)),
            Lie::Stale { to, by, place } => self.stale(*by, *place).map(|entry| self.insert((*to, *place, entry))),
            Lie::Commit { to, by, place } => {
                self.false_commit(*by, *place).map(|entry| self.insert((*to, *place, entry)))
            }
        };
        if let Some(trick) = trick {
            self.broker.mislead(trick);
            self.commit_soon();
        }
    }

    fn insert(&mut self, (to, place, entry): (Who, Place, LogEntry)) -> Trick {
        self.log(|| format!("the broker inserts a {:?} for peer {to}", entry.body().kind));
        if !self.broker.log(&self.place(place)).iter().any(|there| there[..] == *entry.bytes()) {
            self.writings.crafted.insert(*entry.hash());
        }
        let (device, log) = (self.peers[to].device(), self.place(place));
        Trick::Insert { device, log, entry: entry.into_bytes().into() }
    }

    /// A log as the broker has it.
    fn kept(&self, log: LogId) -> (Vec<LogEntry>, LogTip) {
        let entries = self.broker.log(&log);
        let entries: Vec<_> = entries.into_iter().filter_map(|bytes| LogEntry::parse(bytes).ok()).collect();
        let mut tip = LogTip::new(self.mesh, log);
        for entry in &entries {
            tip.advance(entry);
        }
        (entries, tip)
    }

    /// Records that are in the log already.
    fn replay(&mut self, place: Place) -> Option<LogEntry> {
        let (mut entries, _) = self.kept(self.place(place));
        entries.retain(|entry| entry.body().kind == EntryKind::Records);
        let at = self.dice.below(entries.len().max(1) as u64) as usize;
        (at < entries.len()).then(|| entries.swap_remove(at))
    }

    fn writer<'a>(&self, key: &'a claudemesh_core::SigningKey, tip: &LogTip, who: Who) -> Option<Writer<'a>> {
        let roster =
            claudemesh_core::Roster::from_entries(self.peers[who].store.snapshot.roster.iter().map(|entry| &entry.0))
                .ok()?;
        Some(Writer { seq: tip.last_seq(&self.peers[who].device()) + 1, ..tip.writer(key, roster.head()) })
    }

    /// Records sealed under an epoch that is over: by a commit, or by the removal of their author that the log has seen.
    fn stale(&mut self, by: Who, place: Place) -> Option<LogEntry> {
        let log = self.place(place);
        let (_, tip) = self.kept(log);
        let reader = LogReader::restore(self.peers[by].store.snapshot.logs.get(&log)?.reader.as_ref()?).ok()?;
        let (epoch, secret) = (1..tip.epoch()).rev().find_map(|epoch| Some((epoch, reader.keys().secret(epoch)?)))?;
        let key = self.peers[by].signing_key();
        let writer = self.writer(&key, &tip, by)?;
        let record = Record { kind: FORBIDDEN, data: codec::Bytes(b"too late".to_vec()) };
        build_records(&writer, epoch, secret, &[record], &mut SeededRng::new(self.dice.next())).ok()
    }

    /// The next epoch, by a member that was removed, or made at a roster head that the log has left behind, or once more
    /// the epoch there is.
    fn false_commit(&mut self, by: Who, place: Place) -> Option<LogEntry> {
        let log = self.place(place);
        let (entries, tip) = self.kept(log);
        let key = self.peers[by].signing_key();
        let writer = self.writer(&key, &tip, by)?;
        let behind = writer.head.index < tip.witnessed();
        let again = !behind;
        let own = claudemesh_core::key::PrekeySecret::generate(&mut SeededRng::new(1)).public();
        let audience: Option<Vec<DeviceId>> = tip.audience().map(Iterator::collect);
        let plan = CommitPlan {
            epoch: if again { tip.epoch().max(1) } else { tip.epoch() + 1 },
            history: tip.history().unwrap_or(HistoryPolicy::All),
            before: None,
            audience: audience.as_deref(),
            recipients: &[Recipient { device: key.public().device_id(), prekey: 1, key: own }],
        };
        // An empty log takes anybody's first commit.
        if entries.is_empty() {
            return None;
        }
        build_commit(&writer, &plan, &mut SeededRng::new(self.dice.next())).ok().map(|commit| commit.entry)
    }

    /// What a member that commits garbage sends in place of its commit.
    pub(super) fn garbled(&mut self, who: Who, frame: Frame) -> Frame {
        if !self.garbles || self.plan.logs.garbler != Some(who) {
            return frame;
        }
        let Frame { request, body } = frame;
        let body = match body {
            Body::LogAppend(append) => {
                let entry = self.garble(who, &append.entry).unwrap_or(append.entry);
                wire::LogAppend { entry, ..append }.into()
            }
            body => body,
        };
        Frame { request, body }
    }

    fn garble(&mut self, who: Who, bytes: &codec::Bytes) -> Option<codec::Bytes> {
        let entry = LogEntry::parse(bytes.clone()).ok()?;
        let Payload::Commit(mut commit) = entry.payload().clone() else { return None };
        let own = self.peers[who].device();
        // Either nobody's wrap holds what was committed to, or some wraps hold nothing.
        let what = if self.dice.one_in(3) {
            commit.commitment = HashBytes([self.dice.next() as u8; 32]);
            "commitment"
        } else {
            let spared: BTreeSet<DeviceId> = commit.wraps.iter().map(|wrap| wrap.device).collect();
            let spared: BTreeSet<DeviceId> = spared.into_iter().filter(|_| self.dice.one_in(3)).collect();
            let mut wraps = commit.wraps.clone().into_vec();
            for wrap in wraps.iter_mut().filter(|wrap| wrap.device != own && !spared.contains(&wrap.device)) {
                wrap.wrap[40] ^= 1;
            }
            commit.wraps = List::from_vec(wraps).ok()?;
            "wraps"
        };
        self.log(|| format!("peer {who} spoils the {what} of epoch {}", entry.body().epoch));
        let mut body = entry.body().clone();
        body.payload = codec::Bytes(codec::encode(&commit));
        LogEntry::sign(&self.peers[who].signing_key(), &body).ok().map(|entry| entry.into_bytes().into())
    }
}
