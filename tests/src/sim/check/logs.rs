//! What must hold of logs: nothing is lost or taken twice, all who read one log read the same, and who is shut out reads
//! nothing.

use std::collections::{BTreeMap, BTreeSet};

use claudemesh_core::log::{Chain, LogEntry, LogReader, Membership};
use claudemesh_core::session::{Fault, LogPolicy, LogSnapshot};
use claudemesh_core::wire::ErrorCode;
use claudemesh_core::{DeviceId, LogId, Roster};

use super::need;
use crate::sim::World;
use crate::sim::known::Known;
use crate::sim::plan::{Event, Lie, LogEvent, Place, Who};
use crate::sim::truth::Truth;
use crate::sim::world::Written;

impl World {
    fn truths(&self, roster: &Roster) -> Result<BTreeMap<LogId, Truth>, String> {
        let devices: Vec<DeviceId> = self.peers.iter().map(|peer| peer.device()).collect();
        let known: Vec<&Known> = self.peers.iter().filter_map(|peer| peer.known.as_ref()).collect();
        let logs = self.places().into_iter().map(|place| self.place(place));
        logs.map(|log| Ok((log, Truth::of(log, &self.broker.log(&log), roster, (&devices, &known))?))).collect()
    }

    /// Whether everything that was written to logs has come to its end; if not, what is open.
    pub(super) fn check_logs_end(&self, roster: &Roster) -> Result<(), String> {
        if self.plan.logs.writes.is_empty() {
            return Ok(());
        }
        let truths = self.truths(roster)?;
        for (log, truth) in &truths {
            let unwrapped = truth.tip.unwrapped(roster);
            let waits = self.live().find(|who| unwrapped.contains(&self.peers[*who].device()));
            // Who is inside lets in whom the last commit left out.
            if let (Some(who), true) = (waits, truth.tip.audience().is_some()) {
                let inside =
                    self.live().any(|who| truth.tip.grants(&self.peers[who].device()) && self.opened(who, log));
                need(!inside || self.is_split(), || {
                    format!("peer {who} is in the audience of {log}, and is not let in")
                })?;
            }
            for who in self.live().filter(|who| self.opened(*who, log)) {
                self.check_replica(who, *log, truth)?;
            }
        }
        Ok(())
    }

    /// Whether a peer follows a log.
    fn opened(&self, who: Who, log: &LogId) -> bool {
        self.peers[who].session().is_some_and(|session| session.logs().any(|open| open == *log))
    }

    /// Whether a peer was shown logs of its own for a while.
    fn was_split(&self, who: Who) -> bool {
        let splits =
            |event: &Event| matches!(event, Event::Log(LogEvent::Lie(Lie::Split(peers))) if peers.contains(&who));
        self.plan.events.iter().any(|(_, event)| splits(event))
    }

    /// Whether neighbours changed places on their way to a peer.
    fn was_reordered(&self, who: Who) -> bool {
        let swaps = |event: &Event| matches!(event, Event::Log(LogEvent::Lie(Lie::Reorder(to))) if *to == who);
        self.plan.events.iter().any(|(_, event)| swaps(event))
    }

    fn is_split(&self) -> bool {
        (0..self.peers.len()).any(|who| self.places().iter().any(|place| self.has_strayed(who, &self.place(*place))))
    }

    /// Whether a peer took, or was shown, another chain than the log's: it reads no further.
    fn has_strayed(&self, who: Who, log: &LogId) -> bool {
        let Some(watch) = &self.peers[who].watch else { return false };
        let Some(kept) = self.peers[who].store.snapshot.logs.get(log) else { return false };
        watch.forked.contains(log) || !self.is_prefix(kept, *log)
    }

    /// Whether entries were kept from a peer, so that it may neither read nor write any more.
    fn was_kept_from(&self, who: Who, log: &LogId) -> bool {
        let Some(kept) = self.peers[who].store.snapshot.logs.get(log) else { return false };
        let reader = kept.reader.as_ref().and_then(|reader| LogReader::restore(reader).ok());
        kept.links.iter().any(|link| link.kind.is_none())
            || reader.is_some_and(|reader| reader.unexplained().next().is_some())
    }

    fn is_prefix(&self, kept: &LogSnapshot, log: LogId) -> bool {
        let entries = self.broker.log(&log);
        let mut chain = Chain::new(log);
        let hashes = entries.into_iter().filter_map(|bytes| LogEntry::parse(bytes).ok());
        let chain: Vec<_> = hashes.map(|entry| chain.extend(entry.hash()).hash.0).collect();
        kept.links.len() <= chain.len() && kept.links.iter().zip(&chain).all(|(link, hash)| link.chain == *hash)
    }

    fn check_replica(&self, who: Who, log: LogId, truth: &Truth) -> Result<(), String> {
        let peer = &self.peers[who];
        let Some(session) = peer.session() else { return Ok(()) };
        let empty = LogSnapshot::new(LogPolicy::OPEN);
        let kept = peer.store.snapshot.logs.get(&log).unwrap_or(&empty);
        if self.has_strayed(who, &log) {
            let reports = session.faults().any(|fault| fault == Fault::LogFork);
            return need(reports, || format!("peer {who} has strayed from {log}, and does not say so"));
        }
        let device = peer.device();
        if !truth.tip.grants(&device) {
            return Ok(());
        }
        let (has, all) = (kept.links.len(), truth.chain.len());
        if self.was_kept_from(who, &log) {
            // From there on it reads no further.
            return need(session.faults().any(|fault| fault == Fault::LogWithheld), || {
                format!("entries of {log} were kept from peer {who}, and it does not say so")
            });
        }
        need(has == all, || format!("peer {who} has {has} of {all} entries of {log}"))?;
        let waits = kept.queue.len();
        need(waits == 0 && kept.in_flight.is_empty(), || format!("peer {who} has {waits} records to write to {log}"))?;
        // In days all prekeys that secrets were wrapped to are erased, and at once by a clock a year ahead.
        let garbler = self.plan.logs.garbler.map(|who| self.peers[who].device());
        let open = |author: &DeviceId| Some(*author) != garbler && !self.plan.jumps && !self.plan.clocks;
        let missing: BTreeSet<u64> = session.missing_epochs(&log).collect();
        for epoch in &missing {
            need(!truth.is_due(&device, *epoch, &open) || self.is_lost(&log, truth, *epoch), || {
                format!("peer {who} misses epoch {epoch} of {log}: {missing:?} of {}", truth.tip.epoch())
            })?;
        }
        for (offset, at) in &kept.sealed {
            let told = missing.contains(&at.epoch) || !truth.is_due(&device, at.epoch, &open);
            need(told, || format!("peer {who} has not opened offset {offset} of {log}, of epoch {}", at.epoch))?;
        }
        Ok(())
    }

    /// Whether nobody is there who could give an epoch away: in days all prekeys it was wrapped to are erased, garbage has no
    /// secret, and who left a log mends it no more. What lies before such an epoch cannot be reached through it either.
    fn is_lost(&self, log: &LogId, truth: &Truth, epoch: u64) -> bool {
        let readers = self.live().filter(|who| self.opened(*who, log) && !self.has_strayed(*who, log));
        let readers: Vec<_> = readers.filter_map(|who| self.reader_of(who, log)).collect();
        let held = |epoch: u64| readers.iter().any(|reader| reader.keys().secret(epoch).is_some());
        let gone = self.live().any(|who| !self.opened(who, log));
        (gone || self.plan.jumps || self.plan.logs.hostile) && (epoch..=truth.tip.epoch()).any(|later| !held(later))
    }

    /// What can be judged of logs once, at the very end.
    pub(super) fn check_logs_for_good(&self, roster: &Roster) -> Result<(), String> {
        if self.plan.logs.writes.is_empty() {
            return Ok(());
        }
        let truths = self.truths(roster)?;
        for who in 0..self.peers.len() {
            for (log, truth) in &truths {
                self.check_content(who, *log, truth)?;
            }
        }
        for (n, written) in &self.writings.all {
            if let Some(truth) = truths.get(&written.log) {
                self.check_written(*n, written, truth)?;
            }
        }
        for place in self.places() {
            if let Some(truth) = truths.get(&self.place(place)) {
                self.check_admitted(place, truth, roster)?;
                self.check_shut_out(truth)?;
            }
        }
        Ok(())
    }

    /// What a peer has opened is what was written, and all of it.
    fn check_content(&self, who: Who, log: LogId, truth: &Truth) -> Result<(), String> {
        let peer = &self.peers[who];
        let range = (log, 0)..=(log, u64::MAX);
        let strayed = self.has_strayed(who, &log);
        let mut seen = BTreeSet::new();
        for ((_, offset), opened) in peer.store.opened.range(range) {
            for record in &opened.records {
                let writer = self.writings.all.values().find(|written| written.record == *record);
                let Some(writer) = writer else {
                    // Names, which the peers write by themselves.
                    need(record.kind < 900, || format!("peer {who} reads {record:?}, which nobody wrote"))?;
                    continue;
                };
                let authentic = self.peers[writer.who].device() == opened.device && writer.log == log;
                need(authentic && seen.insert(&record.data[..]), || {
                    let text = String::from_utf8_lossy(&record.data);
                    format!("peer {who} reads {text:?} at {offset} of {log}, of another or once more")
                })?;
            }
            need(strayed || truth.records.get(offset) == Some(&opened.records), || {
                format!("peer {who} reads something else at offset {offset} of {log}")
            })?;
        }
        let live = self.live().any(|live| live == who) && self.opened(who, &log);
        if strayed || !live || !truth.tip.grants(&peer.device()) {
            return Ok(());
        }
        let Some(kept) = peer.store.snapshot.logs.get(&log) else { return Ok(()) };
        for offset in truth.records.keys() {
            // What was kept back is never opened, and what comes after it may not be read any more.
            let hidden = self.was_kept_from(who, &log);
            let opened = peer.store.opened.contains_key(&(log, *offset));
            need(opened != kept.sealed.contains_key(offset) || hidden, || {
                format!("peer {who} has a hole at offset {offset} of {log}")
            })?;
        }
        Ok(())
    }

    /// A record is in its log once, or was refused with a reason.
    fn check_written(&self, n: usize, written: &Written, truth: &Truth) -> Result<(), String> {
        let Written { who, log, record, promised, told } = written;
        let at = truth.find(record);
        need(at.len() <= 1, || format!("record {n} is at {at:?}"))?;
        if !promised || self.has_strayed(*who, log) || self.was_split(*who) {
            return Ok(());
        }
        let device = self.peers[*who].device();
        match told {
            Some(Ok(told)) => {
                // On a chain of its own, which a power failure took back.
                let elsewhere = self.was_reordered(*who) && at.len() == 1;
                let fits = at == [*told] || elsewhere;
                need(fits, || format!("record {n} was said to be at {told:?}, and is at {at:?}"))
            }
            Some(Err(error)) => {
                let private = truth.tip.audience().is_some() && !truth.always_meant(&device);
                let fits = at.is_empty() && *error == ErrorCode::Forbidden && private;
                need(fits, || format!("record {n} was refused: {error:?}, and is at {at:?}"))
            }
            None => {
                let may_wait =
                    self.plan.removed == Some(*who) || !self.opened(*who, log) || self.was_kept_from(*who, log);
                let shut_out = truth.tip.audience().is_some() && !truth.always_meant(&device);
                need(at.len() == 1 || may_wait || shut_out, || format!("record {n} is lost"))
            }
        }
    }

    /// Whom a member let in, and whom not, was so at some time, unless that member was ever shut out itself.
    fn check_admitted(&self, place: Place, truth: &Truth, roster: &Roster) -> Result<(), String> {
        let Place::Room(room) = place else { return Ok(()) };
        for who in self.live().filter(|who| truth.never_shut_out(&self.peers[*who].device())) {
            let mut wishes = self.writings.admitted.iter().filter(|it| (it.who, it.room) == (who, room));
            let Some(wish) = wishes.next_back().filter(|_| !self.has_strayed(who, &self.place(place))) else {
                continue;
            };
            let devices: Vec<DeviceId> = wish.members.iter().map(|peer| self.peers[*peer].device()).collect();
            // Who joined or left since is in neither.
            let steady = |device: &DeviceId| roster.is_live(device) && wish.known.contains(device);
            let wanted: BTreeSet<&DeviceId> = devices.iter().filter(|device| steady(device)).collect();
            let audiences = truth.epochs.values().filter_map(|epoch| epoch.audience.as_ref());
            let mut audiences =
                audiences.map(|all| all.iter().filter(|device| steady(device)).collect::<BTreeSet<_>>());
            need(truth.entries.is_empty() || audiences.any(|audience| audience == wanted), || {
                format!("peer {who} opened room {room} to {:?}, and it never was", wish.members)
            })?;
        }
        Ok(())
    }

    /// Nobody opens what is not for him, with whatever he ever held.
    fn check_shut_out(&self, truth: &Truth) -> Result<(), String> {
        // What somebody learned in a log that only some were shown was meant for it there.
        let split = |who: &Who| self.was_split(*who);
        for (who, peer) in self.peers.iter().enumerate().filter(|(who, _)| !split(who)) {
            let device = peer.device();
            let epoch = |offset: &u64| truth.entries[*offset as usize - 1].body().epoch;
            let closed: Vec<u64> =
                truth.records.keys().copied().filter(|offset| !truth.may_read(&device, epoch(offset))).collect();
            let Some(mut known) = peer.known.clone().filter(|_| !closed.is_empty()) else { continue };
            known.pry(&truth.entries);
            for offset in closed {
                need(!known.opens(&truth.entries[offset as usize - 1]), || {
                    format!("peer {who} opens offset {offset} of {}, from which it is shut out", truth.tip.log())
                })?;
            }
        }
        Ok(())
    }
}
