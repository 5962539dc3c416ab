//! What a hostile member does with a log, whether it is for it or not.

use std::collections::BTreeMap;

use claudemesh_core::device::PrekeyId;
use claudemesh_core::key::Secret32;
use claudemesh_core::log::{
    BadCommitReason, CommitPlan, HistoryPolicy, LogEntry, LogReader, Recipient, Record, Served, Writer,
    build_bad_commit, build_commit, build_compaction, build_records, build_rewrap,
};
use claudemesh_core::record::RoomRecord;
use claudemesh_core::wire::{self, Body, ErrorCode};
use claudemesh_core::{DeviceId, LogId};

use super::{Rogue, rng};

/// A log as the rogue sees it: its reader, and every entry it ever got.
#[derive(Debug)]
pub struct Spy {
    log: LogId,
    reader: LogReader,
    entries: BTreeMap<u64, LogEntry>,
}

impl Spy {
    /// The texts of posts that its keys open, in order.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.entries.values().flat_map(|entry| self.open(entry)).collect()
    }

    /// The texts of posts in an entry that came to it by whatever way; none when it does not open.
    #[must_use]
    pub fn open(&self, entry: &LogEntry) -> Vec<String> {
        let records = self.reader.open(entry).unwrap_or_default();
        let texts = records.iter().filter_map(|record| match RoomRecord::decode(record) {
            Ok(RoomRecord::Post(post)) => Some(post.text),
            _ => None,
        });
        texts.collect()
    }

    /// How many entries it got.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it got none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Rogue {
    /// A look at a log from its beginning.
    #[must_use]
    pub fn spy(&self, log: LogId) -> Spy {
        Spy { log, reader: LogReader::new(self.mesh, log, self.device()), entries: BTreeMap::new() }
    }

    /// Asks to follow a log from where its reader stands.
    ///
    /// # Errors
    /// The broker's refusal.
    pub async fn follow(&mut self, spy: &Spy) -> Result<(), ErrorCode> {
        let tail = spy.reader.tip().tail();
        match self.ask(wire::LogFollow { log: spy.log, from: tail.offset + 1, hash: tail.hash }).await {
            Body::Error(error) => Err(error.code),
            _ => Ok(()),
        }
    }

    /// Asks for a log's entries from the beginning; how many there are.
    ///
    /// # Errors
    /// The broker's refusal.
    pub async fn range(&mut self, spy: &Spy) -> Result<usize, ErrorCode> {
        let hash = LogReader::new(self.mesh, spy.log, self.device()).tip().tail().hash;
        match self.ask(wire::LogRange { log: spy.log, from: 1, limit: 1000, hash }).await {
            Body::LogEntries(read) => Ok(read.entries.len()),
            Body::Error(error) => Err(error.code),
            other => panic!("{other:?}"),
        }
    }

    /// Whether the broker says that there is such a log.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn lists(&mut self, log: LogId) -> bool {
        let Body::Logs(logs) = self.ask(wire::LogList {}).await else { panic!("no list") };
        logs.logs.iter().any(|tail| tail.log == log)
    }

    /// Takes up what was pushed of a log by now.
    ///
    /// # Panics
    /// It does not verify.
    pub async fn take(&mut self, spy: &mut Spy) {
        // The answer comes after everything that was pushed before.
        self.sync().await;
        let roster = self.roster();
        let (ours, others): (Vec<_>, Vec<_>) =
            self.pushed.drain(..).partition(|body| matches!(body, Body::LogPush(push) if push.log == spy.log));
        self.pushed.extend(others);
        for body in ours {
            let Body::LogPush(push) = body else { continue };
            let secret = |id| self.prekeys.secret(PrekeyId(id));
            let applied = spy.reader.apply(push.offset, Served::from_wire(&push.entry), &roster, secret, &());
            applied.expect("the broker is honest");
            spy.entries.insert(push.offset, LogEntry::parse(push.entry).expect("it was applied"));
        }
    }

    /// One entry of each kind, made as well as it can: with the secret it holds, or one of its own.
    ///
    /// # Panics
    /// They cannot be made.
    #[must_use]
    pub fn intrusions(&self, spy: &Spy) -> Vec<(&'static str, Vec<u8>)> {
        let tip = spy.reader.tip();
        let (roster, own) = (self.roster(), self.device());
        let writer = Writer {
            key: &self.key,
            mesh: self.mesh,
            log: spy.log,
            seq: tip.last_seq(&own) + 1,
            seen: tip.tail(),
            head: roster.head(),
        };
        let made_up = Secret32::new([7; 32]);
        let (epoch, secret) = spy.reader.keys().current().unwrap_or((1, &made_up));
        let prekey = *self.prekeys.public().last().expect("it published one");
        let wraps = [Recipient { device: own, prekey: prekey.id.0, key: prekey.public }];
        let everybody: Vec<DeviceId> = roster.live_devices().map(|device| device.id).collect();
        let commit = |audience: Option<&[DeviceId]>| {
            let plan = CommitPlan {
                epoch: epoch + 1,
                history: HistoryPolicy::All,
                before: Some(secret),
                audience,
                recipients: &wraps,
            };
            build_commit(&writer, &plan, &mut rng()).map(|commit| commit.entry)
        };
        let record = Record { kind: 16, data: vec![1].into() };
        let entries = [
            ("records", build_records(&writer, epoch, secret, &[record], &mut rng())),
            ("a commit for itself", commit(Some(&[own]))),
            ("a commit for everybody", commit(Some(&everybody))),
            ("a commit for the mesh", commit(None)),
            ("a wrap for itself", build_rewrap(&writer, epoch, epoch, secret, &wraps, &mut rng())),
            ("a report", build_bad_commit(&writer, epoch, epoch, BadCommitReason::CannotOpen)),
            ("a compaction", build_compaction(&writer, epoch, &[1])),
        ];
        entries.map(|(what, entry)| (what, entry.expect("it can be made").into_bytes())).into()
    }
}
