//! What must hold when the faults have stopped and everybody had time.

mod logs;

use claudemesh_core::envelope::Priority;
use claudemesh_core::log::LogReader;
use claudemesh_core::session::{InboxBody, MessageState, Why};
use claudemesh_core::wire::ErrorCode;
use claudemesh_core::{DeviceId, LogId, MemberId, Roster};

use super::World;
use super::peer::Process;
use super::world::Wish;

fn need(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

impl World {
    fn live(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.peers.len()).filter(|who| self.plan.removed != Some(*who))
    }

    /// Looks at new messages as an application does: commits its position or not, marks as read or not.
    pub(super) fn consume(&mut self, who: usize, commit: bool, read: bool) {
        if !matches!(self.peers[who].process, Process::Member(_)) {
            return;
        }
        let seen = self.peers[who].seen;
        let rows: Vec<_> = self.peers[who].store.inbox[seen..].iter().map(|row| (row.device, row.id)).collect();
        for (at, name) in (seen..).zip(rows.iter().copied()) {
            let shown = &mut self.peers[who].shown;
            if at == shown.len() {
                shown.push(name);
            } else if shown[at] != name {
                return self.fail(format!("peer {who}: position {at} has changed"));
            }
        }
        self.peers[who].seen = seen + rows.len();
        if commit {
            self.peers[who].wrote();
            self.peers[who].store.consumed = self.peers[who].seen;
            if read {
                let now = self.now;
                self.wishes.extend(rows.into_iter().map(|(device, id)| (now, who, Wish::Read(device, id))));
            }
        }
    }

    /// Whether everything has come to its end; if not, what is open.
    pub(super) fn check_end(&mut self) -> Result<(), String> {
        need(self.wishes.is_empty(), || format!("wishes are left: {:?}", self.wishes))?;
        let roster = self.broker.roster();
        let head = roster.as_ref().map(|roster| roster.head());
        for who in self.live() {
            let Some(session) = self.peers[who].session() else { return Err(format!("peer {who} is not a member")) };
            need(session.is_ready(), || {
                format!("peer {who} is not ready: {:?}", session.faults().collect::<Vec<_>>())
            })?;
            need(Some(session.roster().head()) == head, || format!("peer {who} has another roster"))?;
            let outbox = &self.peers[who].store.snapshot.outbox;
            need(outbox.is_empty() || self.plan.forgets, || {
                format!("outbox of {who}: {:?}", outbox.values().map(|r| (r.id, &r.recipients)).collect::<Vec<_>>())
            })?;
            let device = self.peers[who].device();
            need(self.broker.waiting(&device, self.clock()) == 0, || format!("mail waits for peer {who}"))?;
            if !self.plan.rolls_back && !self.plan.logs.hostile {
                self.check_directory(who)?;
            }
        }
        self.check_removed(roster.as_ref())?;
        if let Some(roster) = &roster {
            self.check_logs_end(roster)?;
        }
        self.check_messages()
    }

    /// What a device reads a log with.
    fn reader_of(&self, who: usize, log: &LogId) -> Option<LogReader> {
        LogReader::restore(self.peers[who].store.snapshot.logs.get(log)?.reader.as_ref()?).ok()
    }

    /// What a device reads the mesh's log with.
    fn reader(&self, who: usize) -> Option<LogReader> {
        self.reader_of(who, &LogId::of_mesh(&self.mesh))
    }

    fn check_directory(&self, who: usize) -> Result<(), String> {
        let Some(session) = self.peers[who].session() else { return Ok(()) };
        for other in self.live() {
            let member = session.roster().device(&self.peers[other].device()).map(|device| device.member);
            let Some(member) = member else { return Err(format!("peer {who} does not know {other}")) };
            let name = session.directory().name_of(&member);
            need(name == Some(self.peers[other].name), || format!("peer {who} calls {other} {name:?}"))?;
        }
        // Who alone could read an epoch may have been removed, and in days all prekeys it was wrapped to are erased.
        let lost = |epoch: &u64| {
            self.plan.jumps
                && self.live().all(|other| self.reader(other).is_none_or(|it| it.keys().secret(*epoch).is_none()))
        };
        let missing: Vec<u64> =
            session.missing_epochs(&LogId::of_mesh(&session.mesh())).filter(|epoch| !lost(epoch)).collect();
        need(missing.is_empty(), || format!("peer {who} misses epochs {missing:?}"))
    }

    /// A removed device cannot read what is written now.
    fn check_removed(&self, roster: Option<&Roster>) -> Result<(), String> {
        let Some(gone) = self.plan.removed.filter(|_| !self.plan.rolls_back && !self.plan.logs.hostile) else {
            return Ok(());
        };
        let now = self.reader(0).ok_or("the owner reads no log")?;
        let (epoch, secret) = now.keys().current().ok_or("the owner has no current epoch")?;
        let roster = roster.ok_or("no roster")?;
        need(!now.tip().needs_commit(roster), || "the removed device could still read".into())?;
        let Some(theirs) = self.reader(gone) else { return Ok(()) };
        need(theirs.keys().secret(epoch).is_none_or(|known| known[..] != secret[..]), || {
            format!("the removed device holds the secret of epoch {epoch}")
        })
    }

    fn member_of(&self, who: usize, roster: &Roster) -> Option<MemberId> {
        roster.device(&self.peers[who].device()).map(|device| device.member)
    }

    fn check_messages(&self) -> Result<(), String> {
        for (n, sent) in &self.sent {
            let message = &self.plan.messages[*n];
            if !sent.promised || self.plan.removed == Some(message.from) {
                continue;
            }
            let (from, to) = (&self.peers[message.from], &self.peers[message.to]);
            let state = from.store.states.get(&(sent.id, to.device()));
            let state = state.or_else(|| from.store.states.get(&(sent.id, DeviceId::from_bytes([0; 32]))));
            let Some(state) = state else { return Err(format!("message {n} has no state")) };
            if self.plan.forgets && *state == MessageState::Accepted {
                continue;
            }
            need(state.is_end(), || format!("message {n} is {state:?}"))?;
            let has = to.store.inbox.iter().any(|row| row.id == sent.id && row.device == from.device());
            let fits = match state {
                MessageState::Delivered | MessageState::Injected | MessageState::Read => has,
                MessageState::Expired | MessageState::Refused(Why::Broker(ErrorCode::Expired)) => {
                    message.ttl < 60_000 || self.plan.jumps
                }
                MessageState::Refused(_) => self.plan.removed == Some(message.to),
                _ => false,
            };
            need(fits, || format!("message {n} ended {state:?}, and the recipient has it: {has}"))?;
            let read = to.store.read.contains(&(from.device(), sent.id));
            // The word of it lives for a week.
            let heard = self.plan.jumps || self.plan.forgets || self.plan.removed == Some(message.to);
            if read && *state == MessageState::Delivered && !heard {
                return Err(format!("message {n} was read, and its sender did not hear"));
            }
        }
        Ok(())
    }

    /// What can be judged once, at the very end.
    pub(super) fn check_for_good(&mut self) -> Result<(), String> {
        for who in 0..self.peers.len() {
            self.consume(who, true, false);
        }
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let Some(roster) = self.broker.roster() else { return Err("the roster is gone".into()) };
        for who in 0..self.peers.len() {
            self.check_inbox(who, &roster)?;
        }
        self.check_logs_for_good(&roster)
    }

    fn check_inbox(&self, who: usize, roster: &Roster) -> Result<(), String> {
        let peer = &self.peers[who];
        for row in &peer.store.inbox {
            let sent = self.sent.values().find(|sent| sent.id == row.id);
            let Some(sent) = sent else { return Err(format!("peer {who} has {}, which nobody sent", row.id)) };
            let text = matches!(&row.body, InboxBody::Text(text) if *text == sent.text);
            need(text && row.to == [sent.to] && !row.copy, || format!("peer {who} has a changed {}", row.id))?;
        }
        let Some(member) = self.member_of(who, roster) else { return Ok(()) };
        // Sealing again after a refusal, or a broker that forgot, may change the order.
        if self.plan.jumps || self.plan.clocks || self.plan.rolls_back {
            return Ok(());
        }
        for from in (0..self.peers.len()).filter(|from| *from != who) {
            for priority in [Priority::Now, Priority::Next, Priority::Low] {
                let Some(order) = self.order.get(&(from, member, priority.code())) else { continue };
                let device = self.peers[from].device();
                let mail = peer.store.inbox.iter().filter(|row| row.device == device && row.priority == priority);
                let places: Vec<_> = mail.map(|row| order.iter().position(|id| *id == row.id)).collect();
                need(places.is_sorted(), || format!("order of {from} to {who} is broken: {places:?}"))?;
            }
        }
        Ok(())
    }
}
