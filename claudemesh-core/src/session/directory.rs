//! The mesh's own log: committing epochs, learning names, publishing the own one.
//!
//! What is missing is read from the state each time, so a lost reply or a crash needs no memory of its own: the next flush
//! sees the same gap and fills it.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use super::{Action, Change, Context, Fault, LoadError, Notice, Pending, Session};
use crate::address::Name;
use crate::codec::Bytes;
use crate::hash::Hash;
use crate::id::DeviceId;
use crate::key::Secret32;
use crate::log::directory::{Directory, DirectoryRecord};
use crate::log::{
    CommitPlan, EntryKind, HistoryPolicy, LogEntry, LogError, LogEvent, LogReader, Membership, Past, Payload,
    Recipient, Record, Served, Writer, build_commit, build_history_link, build_records,
};
use crate::roster::Roster;
use crate::time::Millis;
use crate::wire::{self, ErrorCode, Frame};
use rand_core::CryptoRng;

/// The pause before trying again after a refused append, milliseconds.
const RETRY_AFTER: u64 = 500;

/// The mesh's own log as this device knows it.
#[derive(Debug)]
pub(super) struct MeshLog {
    reader: LogReader,
    /// Every entry served, by offset from 1; a compacted one as its bare hash.
    entries: Vec<Bytes>,
    /// Chain hashes after each entry.
    hashes: Vec<Hash>,
    /// Epochs whose commit carries no secret of the epoch before and that no later link mends.
    unlinked: BTreeSet<u64>,
    directory: Directory,
    next_seq: u64,
    followed: bool,
    busy: bool,
    /// Where the own append in flight will be seen.
    await_offset: Option<u64>,
    retry_at: Option<Millis>,
    changed: bool,
}

impl MeshLog {
    pub(super) fn load(
        roster: &Roster,
        device: DeviceId,
        reader: Option<&[u8]>,
        entries: Vec<Bytes>,
        next_seq: u64,
    ) -> Result<Self, LoadError> {
        let mesh = roster.mesh();
        let reader = match reader {
            Some(snapshot) => LogReader::restore(snapshot)?,
            None => LogReader::new(mesh, crate::id::LogId::of_mesh(&mesh), device),
        };
        let mut log = Self {
            reader,
            hashes: Vec::with_capacity(entries.len()),
            entries: Vec::with_capacity(entries.len()),
            unlinked: BTreeSet::new(),
            directory: Directory::new(),
            next_seq: next_seq.max(1),
            followed: false,
            busy: false,
            await_offset: None,
            retry_at: None,
            changed: false,
        };
        for bytes in entries {
            log.note_entry(bytes)?;
        }
        log.reopen(roster);
        Ok(log)
    }

    /// Remembers an entry that was verified.
    fn note_entry(&mut self, bytes: Bytes) -> Result<(), LoadError> {
        let hash = match Served::from_wire(&bytes) {
            Served::Hash(hash) => hash,
            Served::Entry(bytes) => {
                let entry = LogEntry::parse(bytes).map_err(|_| LoadError::Malformed)?;
                match entry.payload() {
                    Payload::Commit(commit) if commit.link.is_none() && entry.body().epoch > 1 => {
                        self.unlinked.insert(entry.body().epoch);
                    }
                    Payload::HistoryLink(link) => {
                        self.unlinked.remove(&link.epoch);
                    }
                    _ => {}
                }
                *entry.hash()
            }
        };
        let log = self.reader.tip().log();
        let before = self.hashes.last().copied().unwrap_or_else(|| crate::log::Chain::new(log).tail().hash.0);
        self.hashes.push(crate::hash::sha256(&[&before[..], &hash[..]].concat()));
        self.entries.push(bytes);
        Ok(())
    }

    /// Folds the directory anew from every entry that opens.
    fn reopen(&mut self, roster: &Roster) {
        let mut directory = Directory::new();
        for (at, bytes) in self.entries.iter().enumerate() {
            let Served::Entry(bytes) = Served::from_wire(bytes) else { continue };
            let Ok(entry) = LogEntry::parse(bytes) else { continue };
            let Ok(records) = self.reader.open(&entry) else { continue };
            let body = entry.body();
            fold(&mut directory, roster, at as u64 + 1, &body.author, body.head.index, &records);
        }
        self.directory = directory;
    }

    pub(super) fn secret(&self, epoch: u64) -> Option<&Secret32> {
        self.reader.keys().secret(epoch)
    }

    pub(super) fn current(&self) -> Option<(u64, &Secret32)> {
        self.reader.keys().current()
    }

    pub(super) fn forget_connection(&mut self) {
        self.followed = false;
        self.busy = false;
        self.await_offset = None;
        self.retry_at = None;
    }

    pub(super) fn retry_at(&self) -> Option<Millis> {
        self.retry_at
    }
}

fn fold(
    directory: &mut Directory,
    roster: &Roster,
    offset: u64,
    author: &DeviceId,
    roster_index: u64,
    records: &[Record],
) -> bool {
    let Some(member) = roster.member_of(author) else { return false };
    let is_admin = roster.was_admin_at(&member, roster_index);
    let mut changed = false;
    for (index, record) in records.iter().enumerate() {
        let is_name = |text: &str| text.parse::<Name>().is_ok();
        changed |= directory.apply((offset, index as u64), &member, is_admin, record, is_name).is_some();
    }
    changed
}

impl Session {
    /// Names and label as the directory has them.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.log.directory
    }

    /// Epochs of the directory that this device cannot read yet.
    pub fn missing_epochs(&self) -> impl Iterator<Item = u64> + '_ {
        self.log.reader.keys().missing()
    }

    pub(super) fn follow_log<R>(&mut self, cx: &mut Context<'_, R>) {
        let tail = self.log.reader.tip().tail();
        let request = self.request(Pending::LogFollow);
        let frame = wire::LogFollow { log: self.log.reader.tip().log(), from: tail.offset + 1, hash: tail.hash };
        cx.out.push(Action::Send(Frame::new(request, frame)));
    }

    pub(super) fn on_followed(&mut self) {
        self.log.followed = true;
    }

    pub(super) fn on_follow_error<R: CryptoRng>(&mut self, code: ErrorCode, cx: &mut Context<'_, R>) {
        match code {
            // Nobody has written yet: the first commit makes the log.
            ErrorCode::UnknownLog if self.log.entries.is_empty() => self.log.followed = true,
            _ => self.fault(Fault::LogFork, cx),
        }
    }

    pub(super) fn on_log_push<R: CryptoRng>(&mut self, push: &wire::LogPush, cx: &mut Context<'_, R>) {
        if push.log != self.log.reader.tip().log() {
            return;
        }
        let known = self.log.entries.len();
        let prekeys = &self.prekeys;
        let past = PastView { hashes: &self.log.hashes, entries: &self.log.entries };
        let applied = self.log.reader.apply(
            push.offset,
            Served::from_wire(&push.entry),
            &self.roster,
            |id| prekeys.secret(crate::device::PrekeyId(id)),
            &past,
        );
        match applied {
            Ok(events) => {
                if push.offset == known as u64 + 1 {
                    let _ = self.log.note_entry(push.entry.clone());
                    cx.persist(Change::LogEntry { offset: push.offset, entry: push.entry.clone() });
                    self.log.changed = true;
                }
                self.log.followed = true;
                if self.log.await_offset.is_some_and(|offset| push.offset >= offset) {
                    self.log.await_offset = None;
                    self.log.busy = false;
                }
                self.on_log_events(events, cx);
            }
            Err(LogError::UnknownHead { index }) => {
                // The roster has to catch up first; following again brings the entry back.
                self.log.followed = false;
                if self.log_waits.is_none() {
                    self.log_waits = Some((self.sync_roster(cx), index));
                }
            }
            Err(LogError::OutOfTurn { .. }) => {
                self.log.followed = false;
                let asks = self.pending.values().any(|pending| matches!(pending, Pending::LogFollow));
                self.refollow |= !asks && self.log_waits.is_none();
            }
            Err(_) => {
                self.log.followed = false;
                self.fault(Fault::LogFork, cx);
            }
        }
    }

    /// Follows the log again when the roster entries it waited for are here, which `number` was to fetch.
    pub(super) fn retry_log<R: CryptoRng>(&mut self, number: u64, cx: &mut Context<'_, R>) {
        let Some((_, index)) = self.log_waits.filter(|(asked, _)| *asked == number) else { return };
        self.log_waits = None;
        if self.roster.head().index >= index {
            self.refollow = true;
        } else {
            self.fault(Fault::LogFork, cx);
        }
    }

    fn on_log_events<R: CryptoRng>(&mut self, events: Vec<LogEvent>, cx: &mut Context<'_, R>) {
        for event in events {
            match event {
                LogEvent::Records { offset, author, roster_index, records } => {
                    let directory = &mut self.log.directory;
                    let changed = fold(directory, &self.roster, offset, &author, roster_index, &records);
                    cx.out.extend(changed.then_some(Action::Notify(Notice::Directory)));
                }
                LogEvent::EpochLearned { .. } => {
                    self.log.reopen(&self.roster);
                    self.presence_due = Some(cx.now);
                    cx.notify(Notice::Directory);
                }
                _ => {}
            }
        }
    }

    pub(super) fn on_log_appended<R>(&mut self, reply: &wire::LogAppended, cx: &mut Context<'_, R>) {
        let _ = cx;
        if self.log.reader.tip().tail().offset >= reply.offset {
            self.log.busy = false;
            self.log.await_offset = None;
        } else {
            self.log.await_offset = Some(reply.offset);
        }
        if !self.log.followed {
            // The log was made by this append: follow it now.
            self.refollow = true;
        }
    }

    pub(super) fn on_log_append_error<R: CryptoRng>(&mut self, error: &wire::Error, cx: &mut Context<'_, R>) {
        self.log.busy = false;
        self.log.retry_at = Some(cx.now.plus(error.retry_after_ms.unwrap_or(RETRY_AFTER)));
        if matches!(error.code, ErrorCode::HeadMoved | ErrorCode::UnknownHead | ErrorCode::StaleEpoch) {
            self.sync_roster(cx);
        }
    }

    /// Writes the one thing that is missing most: an epoch, a link to older ones, the own name, the label.
    pub(super) fn flush_log<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        if core::mem::take(&mut self.refollow) {
            self.follow_log(cx);
        }
        if self.log.retry_at.is_some_and(|at| cx.now >= at) {
            self.log.retry_at = None;
        }
        let may_write = self.log.followed && !self.log.busy && self.log.retry_at.is_none();
        if let Some(entry) = may_write.then(|| self.next_log_entry(cx)).flatten() {
            self.log.busy = true;
            self.log.next_seq = entry.body().seq + 1;
            cx.persist(Change::LogSeq { seq: self.log.next_seq });
            let request = self.request(Pending::LogAppend);
            let frame = wire::LogAppend { entry: entry.bytes().into(), expected: None };
            cx.out.push(Action::Send(Frame::new(request, frame)));
        }
        self.persist_log(cx);
    }

    pub(super) fn persist_log<R>(&mut self, cx: &mut Context<'_, R>) {
        if core::mem::take(&mut self.log.changed) {
            cx.out.insert(0, Action::Persist(Change::LogReader { snapshot: self.log.reader.snapshot() }));
        }
    }

    fn next_log_entry<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) -> Option<LogEntry> {
        let needs_commit = self.log.reader.tip().needs_commit(&self.roster) || self.log.current().is_none();
        if needs_commit {
            // By a wrong clock the prekeys of all others look stale, and the epoch would be for this device alone.
            return if self.is_clock_wrong() { None } else { self.commit(cx) };
        }
        let (epoch, secret) = self.log.current().map(|(epoch, secret)| (epoch, secret.clone()))?;
        let writer = self.log_writer();
        let link = self.log.unlinked.iter().find_map(|opens| {
            let held = self.log.secret(*opens)?;
            let before = self.log.secret(opens.checked_sub(1)?)?;
            Some((*opens, held.clone(), before.clone()))
        });
        if let Some((opens, held, before)) = link {
            return build_history_link(&writer, epoch, opens, &held, &before, cx.rng).ok();
        }
        let wished = self.wished_records();
        if wished.is_empty() {
            return None;
        }
        build_records(&writer, epoch, &secret, &wished, cx.rng).ok()
    }

    fn wished_records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        if let Some(name) = &self.name
            && self.log.directory.name_of(&self.member) != Some(name.as_str())
        {
            records.push(DirectoryRecord::MemberName { member: self.member, name: name.clone() }.encode());
        }
        if let Some(label) = &self.wished_label
            && self.log.directory.label() != Some(label.as_str())
            && self.roster.is_admin(&self.member)
        {
            records.push(DirectoryRecord::MeshLabel(label.clone()).encode());
        }
        records
    }

    fn log_writer(&self) -> Writer<'_> {
        let tip = self.log.reader.tip();
        Writer {
            key: &self.key,
            mesh: self.mesh,
            log: tip.log(),
            seq: self.log.next_seq.max(tip.last_seq(&self.device) + 1),
            seen: tip.tail(),
            head: self.roster.head(),
        }
    }

    /// The next epoch, wrapped to every live device that has a fresh prekey; the others commit or ask when they come.
    fn commit<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) -> Option<LogEntry> {
        let others: BTreeSet<DeviceId> =
            self.roster.live_devices().map(|device| device.id).filter(|id| *id != self.device).collect();
        let unknown: BTreeSet<DeviceId> = others
            .iter()
            .filter(|id| self.fresh_prekey(id, cx.now).is_none() && !self.was_asked(id))
            .copied()
            .collect();
        if !unknown.is_empty() {
            self.ask_records(&unknown, cx);
            return None;
        }
        let own = self.prekeys.public().into_iter().max_by_key(|prekey| (prekey.expires, prekey.id))?;
        let mut recipients = vec![Recipient { device: self.device, prekey: own.id.0, key: own.public }];
        for device in others {
            if let Some((prekey, key)) = self.fresh_prekey(&device, cx.now) {
                recipients.push(Recipient { device, prekey, key });
            }
        }
        let epoch = self.log.reader.tip().epoch() + 1;
        let before = self.log.secret(epoch - 1).cloned();
        let plan = CommitPlan {
            epoch,
            history: HistoryPolicy::All,
            before: before.as_ref(),
            audience: None,
            recipients: &recipients,
        };
        let commit = build_commit(&self.log_writer(), &plan, cx.rng).ok()?;
        let _ = self.log.reader.keys_mut().insert(epoch, &commit.secret);
        self.log.changed = true;
        Some(commit.entry)
    }
}

/// The past as the reader asks for it, borrowed apart from the reader.
struct PastView<'a> {
    hashes: &'a [Hash],
    entries: &'a [Bytes],
}

impl Past for PastView<'_> {
    fn hash_at(&self, offset: u64) -> Option<Hash> {
        self.hashes.get(usize::try_from(offset.checked_sub(1)?).ok()?).copied()
    }

    fn kind_at(&self, offset: u64) -> Option<EntryKind> {
        let at = usize::try_from(offset.checked_sub(1)?).ok()?;
        match Served::from_wire(self.entries.get(at)?) {
            Served::Entry(bytes) => LogEntry::parse(bytes).ok().map(|entry| entry.body().kind),
            Served::Hash(_) => None,
        }
    }
}
