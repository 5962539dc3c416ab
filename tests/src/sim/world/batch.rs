//! One batch of a peer: inputs in, one transaction, then frames out, with a crash wherever it is due.

use claudemesh_client::testing::{Depth, depth};
use claudemesh_core::session::{Action, Change, Command, Fault, Input, MessageState, Notice, Outgoing};
use claudemesh_core::wire::{Body, Frame};
use claudemesh_core::{DeviceId, MemberId, MessageId};

use super::{Down, Sent, Up, Wish, World};
use crate::sim::join::Step;
use crate::sim::peer::{CrashPoint, Peer, Process};
use crate::sim::watch::Watch;

/// An input that owns its bytes.
#[allow(clippy::large_enum_variant)]
enum In {
    Opened,
    Closed,
    Frame(Vec<u8>),
    Tick,
    Command(Command),
}

impl World {
    pub(super) fn frames_batch(&mut self, who: usize, arrived: Vec<Down>) {
        let inputs = arrived.into_iter().map(|down| match down {
            Down::Opened => In::Opened,
            Down::Frame(bytes) => In::Frame(bytes),
            Down::Closed => In::Closed,
        });
        self.batch(who, inputs.collect());
    }

    pub(super) fn tick_peer(&mut self, who: usize) {
        if matches!(self.peers[who].process, Process::Joining(_)) {
            // A broker that says nothing for so long is called again.
            self.peers[who].call_at = Some(self.now + 30_000);
            if let Process::Joining(joiner) = &mut self.peers[who].process {
                joiner.reset();
            }
            return self.connect(who);
        }
        let before = self.peers[who].session().and_then(|session| session.deadline());
        self.batch(who, vec![In::Tick]);
        let after = self.peers[who].session().and_then(|session| session.deadline());
        let clock = self.peers[who].clock(self.clock());
        if after.is_some_and(|at| at <= clock) && after == before {
            self.fail(format!("peer {who} spins: a tick left its deadline where it was, in the past"));
        }
    }

    /// Carries out a user's command; whether it was committed.
    pub(super) fn command(&mut self, who: usize, command: Command, wish: &Wish) -> bool {
        self.log(|| format!("peer {who}: {wish:?}"));
        let committed = self.batch(who, vec![In::Command(command)]);
        if let (true, Wish::Send(n)) = (committed, wish)
            && let Some(sent) = self.sent.get_mut(n)
        {
            sent.promised = true;
            let lane = (who, sent.to, self.plan.messages[*n].priority.code());
            let id = sent.id;
            self.order.entry(lane).or_default().push(id);
        }
        if let (true, Wish::Write(n)) = (committed, wish)
            && let Some(written) = self.writings.all.get_mut(n)
        {
            written.promised = true;
        }
        committed
    }

    pub(super) fn compose(&mut self, n: usize, to: MemberId) -> Outgoing {
        let message = self.plan.messages[n].clone();
        let mut id = [n as u8; 16];
        id[6] = 0x70;
        id[8] = 0x80;
        let sent = Sent { id: MessageId::from_bytes(id), to, text: format!("message {n}"), promised: false };
        let sent = self.sent.entry(n).or_insert(sent);
        Outgoing {
            id: sent.id,
            to: vec![to],
            session: None,
            from_session: None,
            text: sent.text.clone(),
            priority: message.priority,
            reply_to: None,
            ttl: message.ttl,
        }
    }

    /// Runs a batch; `false` when the process died before it was committed.
    fn batch(&mut self, who: usize, inputs: Vec<In>) -> bool {
        self.count_batch(who);
        let clock = self.peers[who].clock(self.clock());
        if self.tracing() {
            for input in &inputs {
                if let In::Frame(bytes) = input
                    && let Ok(frame) = Frame::decode(bytes)
                {
                    let what = match &frame.body {
                        Body::Error(error) => format!("Error {:?}", error.code),
                        Body::LogPush(push) => format!("LogPush at {}", push.offset),
                        Body::Enqueued(reply) => format!("{:?}", reply.outcomes),
                        body => body.name().to_string(),
                    };
                    self.log(|| format!("peer {who} <- {what} {}", frame.request));
                }
            }
        }
        let awaited = inputs.iter().any(|input| matches!(input, In::Command(_)));
        let Peer { process: Process::Member(session), rng, watch, .. } = &mut self.peers[who] else { return false };
        let (mut actions, mut wrong) = (Vec::new(), None);
        for input in inputs {
            let input = match &input {
                In::Opened => Input::Opened,
                In::Closed => Input::Closed,
                In::Frame(bytes) => Input::Frame(bytes),
                In::Tick => Input::Tick,
                In::Command(command) => Input::Command(command.clone()),
            };
            let offered = match (&watch, &input) {
                (Some(_), Input::Frame(bytes)) => Watch::before(session, bytes),
                _ => None,
            };
            let done = session.handle(input, clock, rng);
            if let (Some(watch), Some(offered)) = (watch.as_mut(), offered) {
                wrong = wrong.or(watch.after(&offered, session, &done).err());
            }
            actions.extend(done);
        }
        actions.extend(session.handle(Input::Flush, clock, rng));
        self.check_watch(who, wrong);

        let (mut changes, mut frames, mut notices, mut link) = (Vec::new(), Vec::new(), Vec::new(), None);
        for action in actions {
            match action {
                Action::Persist(change) => changes.push(change),
                Action::Send(frame) => frames.push(frame),
                Action::Notify(notice) => notices.push(notice),
                Action::Connect => link = Some(true),
                Action::Disconnect => link = Some(false),
                _ => {}
            }
        }

        if let Some(known) = &mut self.peers[who].known {
            changes.iter().for_each(|change| known.note(change));
        }
        let crash = self.peers[who].crash.map(|(at, _)| at);
        if crash == Some(CrashPoint::BeforeCommit) {
            self.kill_in_batch(who);
            return false;
        }
        for change in &changes {
            self.check_change(who, change);
        }
        self.check_log_changes(who, &changes);
        if let Some(watch) = &mut self.peers[who].watch {
            for change in &changes {
                if let Change::LogReader { log, snapshot } = change {
                    watch.note_fork(*log, snapshot);
                }
            }
        }
        let extra = notices.iter().any(|notice| matches!(notice, Notice::Roster(_)));
        let depth = depth(&changes, extra, awaited);
        let unsynced = depth != Depth::Durable && !changes.is_empty();
        if !changes.is_empty() {
            self.peers[who].commit(changes, depth);
        }
        if crash == Some(CrashPoint::AfterCommit) {
            self.kill_in_batch(who);
            return true;
        }
        let limit = match crash {
            Some(CrashPoint::AfterSends(after)) if !frames.is_empty() => Some(after),
            _ => None,
        };
        let frames = self.peers[who].held.committed(depth, frames);
        self.begin_sync(who);
        for (sends, frame) in (0..).zip(frames) {
            if limit == Some(sends) {
                break;
            }
            self.send_frame(who, frame);
        }
        if limit.is_some() {
            self.kill_in_batch(who);
            return true;
        }
        for notice in &notices {
            self.on_notice(who, notice);
        }
        if let Some(connect) = link {
            self.switch_link(who, connect);
        }
        if unsynced {
            self.committed_unsynced(who);
        }
        true
    }

    fn switch_link(&mut self, who: usize, connect: bool) {
        let peer = &mut self.peers[who];
        peer.held.forget();
        match peer.connection {
            _ if connect => self.connect(who),
            Some(id) => self.hang_up(who, id),
            None => {}
        }
    }

    fn on_notice(&mut self, who: usize, notice: &Notice) {
        self.log(|| format!("peer {who}: {notice:?}"));
        match notice {
            Notice::Fault(Fault::Removed) if self.plan.removed == Some(who) => {}
            Notice::Fault(Fault::RosterFork) if self.plan.rolls_back => self.forked = true,
            // The old connection's last words.
            Notice::Fault(Fault::Replaced) => {}
            Notice::Fault(Fault::BrokerRolledBack | Fault::LogFork) if self.plan.rolls_back => {}
            Notice::Fault(Fault::LogFork | Fault::LogWithheld) if self.plan.logs.hostile => {}
            Notice::Written { token, result } => self.on_written(who, *token, *result),
            Notice::Fault(Fault::ClockSkew) if self.plan.jumps || self.plan.clocks => {}
            Notice::Fault(fault) | Notice::Rejected { fault } => {
                self.fail(format!("peer {who} blames an honest party: {}", fault.as_str()));
            }
            _ => {}
        }
    }

    pub(super) fn join_batch(&mut self, who: usize, arrived: Vec<Down>) {
        self.count_batch(who);
        let mut steps = Vec::new();
        let peer = &mut self.peers[who];
        let Process::Joining(joiner) = &mut peer.process else { return };
        for down in arrived {
            match down {
                Down::Opened => {}
                Down::Frame(bytes) => steps.extend(joiner.handle(&bytes, &mut peer.rng)),
                Down::Closed => steps.push(Step::Again),
            }
        }
        for step in steps {
            match step {
                Step::Send(frame) => {
                    self.log(|| format!("joiner {who} -> {}", frame.body.name()));
                    if let Some(id) = self.peers[who].connection {
                        self.send_up(id, Up::Frame(frame.encode()));
                    }
                    if let Some((CrashPoint::AfterSends(0), _)) = self.peers[who].crash {
                        return self.kill_in_batch(who);
                    }
                }
                Step::Again => {
                    if let Some(id) = self.peers[who].connection {
                        self.hang_up(who, id);
                    }
                    self.peers[who].call_at = Some(self.now + self.dice.range(100, 500));
                    if let Process::Joining(joiner) = &mut self.peers[who].process {
                        joiner.reset();
                    }
                    return;
                }
                Step::ShutOut => {
                    if self.plan.removed != Some(who) {
                        self.fail(format!("peer {who} was shut out"));
                    }
                    if let Some(id) = self.peers[who].connection {
                        self.hang_up(who, id);
                    }
                    self.peers[who].process = Process::ShutOut;
                    return;
                }
                Step::Joined(entries) => {
                    if matches!(self.peers[who].crash, Some((CrashPoint::BeforeCommit, _))) {
                        return self.kill_in_batch(who);
                    }
                    self.peers[who].crash = None;
                    if let Some(id) = self.peers[who].connection {
                        self.hang_up(who, id);
                    }
                    self.log(|| format!("peer {who} has joined"));
                    self.peers[who].store.snapshot.roster = entries;
                    self.peers[who].link = None;
                    return self.start(who);
                }
            }
        }
    }

    /// Nothing is committed that is not true.
    fn check_change(&mut self, who: usize, change: &Change) {
        let own = self.peers[who].device();
        match change {
            Change::State { id, device, state, visible, .. } => {
                self.log(|| format!("peer {who}: {} is {state:?}", id.to_string().split_off(30)));
                let known = self.peers[who].store.states.get(&(*id, *device)).copied();
                // A claim comes when it comes; stores let it raise a state only.
                let claim = *state == MessageState::Read;
                let goes_back = known.is_some_and(|known| known != *state && !known.may_become(*state)) && !claim;
                // A refused attempt and a rolled back broker begin again.
                if goes_back && *visible && !self.plan.rolls_back && !self.plan.jumps && !self.plan.clocks {
                    self.fail(format!("peer {who}: {id} goes from {known:?} back to {state:?}"));
                }
                if *visible && state.is_end() && !claim {
                    self.check_told(who, (*id, *device), *state);
                }
                let there = self.peers.iter().find(|peer| peer.device() == *device);
                let has = there.is_some_and(|p| p.store.inbox.iter().any(|row| row.id == *id && row.device == own));
                let read = there.is_some_and(|peer| peer.store.read.contains(&(own, *id)));
                let truth = match state {
                    MessageState::Accepted => self.broker.accepted(&own, device, id),
                    MessageState::Delivered if *visible => has,
                    MessageState::Read => read,
                    _ => true,
                };
                if !truth {
                    self.fail(format!("peer {who} holds {id} for {state:?}, and it is not"));
                }
            }
            Change::Inbox(row) => {
                self.log(|| format!("peer {who}: received {}", row.id.to_string().split_off(30)));
                if self.peers[who].store.inbox.iter().any(|known| (known.id, known.device) == (row.id, row.device)) {
                    self.fail(format!("peer {who} received {} twice", row.id));
                }
            }
            _ => {}
        }
    }

    /// What a user was told stays so, also when a power failure took it back.
    fn check_told(&mut self, who: usize, name: (MessageId, DeviceId), state: MessageState) {
        let told = *self.peers[who].told.entry(name).or_insert(state);
        // Where the same failure took it back at the broker, the message may be too late to be delivered again.
        let ttl = self.sent.iter().find(|(_, sent)| sent.id == name.0).map_or(0, |(n, _)| self.plan.messages[*n].ttl);
        let may_end = ttl < 60_000 || self.plan.jumps || self.plan.rolls_back || self.plan.removed.is_some();
        if told != state && !told.may_become(state) && !may_end {
            self.fail(format!("peer {who} was told that {} is {told:?}, and now {state:?}", name.0));
        }
    }
}
