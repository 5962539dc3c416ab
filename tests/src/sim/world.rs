//! Simulated time: links with delay, processes that die, one event after the other.

mod batch;
mod fault;
mod lie;
mod log;
mod wire;
mod wish;

use std::collections::{BTreeMap, VecDeque};

use claudemesh_core::{DeviceId, MemberId, MeshId, MessageId, Millis, SigningKey};

use super::broker::{Disk, HostileBroker, ModelBroker, Out, SimBroker};
use super::dice::Dice;
use super::engine::EngineBroker;
use super::fixture::{BROKER_KEY, Fixture};
use super::peer::{CrashPoint, Peer, Process};
use super::plan::{Event, Plan, RosterChange, Who};
pub(super) use log::{Writings, Written};
pub(super) use wire::{Connection, Down, Up};

/// Simulated time begins here.
pub(super) const EPOCH: u64 = 1_750_000_000_000;
/// After the faults everything has to come to its end within this.
const PATIENCE: u64 = 20 * 60 * 1000;
/// More steps at one time are a loop.
const MAX_STEPS: u64 = 2_000;
/// No play takes more steps.
const MAX_ALL_STEPS: u64 = 60_000;
/// More batches of one peer within a second are a busy loop.
const MAX_BATCHES: u64 = 600;

/// A message a user asked to send.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) id: MessageId,
    pub(super) to: MemberId,
    pub(super) text: String,
    /// The sender's store has it.
    pub(super) promised: bool,
}

/// What a user wants of a peer and has not got yet.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    Send(usize),
    Read(DeviceId, MessageId),
    Append(RosterChange),
    Name,
    Write(usize),
    Open(usize),
    Close(usize),
    Admit { room: usize, members: Vec<Who> },
    Invite { room: usize, members: Vec<Who> },
}

/// One play.
#[derive(Debug)]
pub struct World {
    pub(super) plan: Plan,
    pub(super) mesh: MeshId,
    pub(super) now: u64,
    pub(super) dice: Dice,
    pub(super) broker: Box<dyn SimBroker>,
    pub(super) broker_up: bool,
    broker_start: Option<u64>,
    commit_at: Option<u64>,
    tick_at: u64,
    available_at: Option<u64>,
    /// The broker's power fails so long after the next thing it does not sync, and for how long.
    broker_fails: Option<(u64, u64)>,
    pub(super) peers: Vec<Peer>,
    pub(super) connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    events: VecDeque<(u64, Event)>,
    pub(super) wishes: Vec<(u64, usize, Wish)>,
    pub(super) sent: BTreeMap<usize, Sent>,
    pub(super) writings: Writings,
    /// Whether the member that commits garbage still does.
    pub(super) garbles: bool,
    /// The order in which each peer's store took its messages: (member, priority) to numbers.
    pub(super) order: BTreeMap<(usize, MemberId, u64), Vec<MessageId>>,
    batches: BTreeMap<usize, (u64, u64)>,
    pub(super) failure: Option<String>,
    trace: Option<Vec<String>>,
    /// The rollback split the roster in two: somebody wrote after it what others had not seen before it.
    pub(super) forked: bool,
}

impl World {
    /// The play of this plan, in the fixture's mesh.
    #[must_use]
    pub fn new(fixture: &Fixture, plan: Plan, traced: bool) -> Self {
        let (disk, peers) = fixture.begin(&plan);
        let mut world = Self::empty(plan, disk, peers, traced);
        for who in 0..world.peers.len() {
            let at = match who {
                3 => world.plan.joins.unwrap_or(0),
                _ => world.dice.below(50),
            };
            world.peers[who].start_at = Some(at);
            world.look_closely(who);
            world.peers[who].skew = world.dice.below(240_000) as i64 - 120_000;
            if world.peers[who].link.is_some() || (world.plan.fresh && who == 0) {
                world.wishes.push((at, who, Wish::Name));
            }
        }
        world
    }

    fn empty(plan: Plan, disk: Disk, peers: Vec<Peer>, traced: bool) -> Self {
        let seed = plan.seed;
        let mesh = disk.roster().expect("a disk with a mesh").mesh();
        let model = |disk| ModelBroker::new(SigningKey::from_seed(&BROKER_KEY), disk, seed);
        let broker: Box<dyn SimBroker> = match (plan.engine, plan.logs.hostile) {
            (true, _) => Box::new(EngineBroker::new(BROKER_KEY, &disk, seed, Millis(EPOCH))),
            (_, true) => Box::new(HostileBroker::new(model(disk))),
            _ => Box::new(model(disk)),
        };
        Self {
            mesh,
            now: 0,
            dice: Dice::new(seed, 2),
            broker,
            broker_up: true,
            broker_start: None,
            commit_at: None,
            tick_at: 1_000,
            available_at: None,
            broker_fails: None,
            peers,
            connections: BTreeMap::new(),
            next_connection: 0,
            events: plan.events.iter().cloned().collect(),
            wishes: Vec::new(),
            sent: BTreeMap::new(),
            writings: Writings::default(),
            garbles: true,
            order: BTreeMap::new(),
            batches: BTreeMap::new(),
            failure: None,
            trace: traced.then(Vec::new),
            forked: false,
            plan,
        }
    }

    /// What happened, when it was traced.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }

    /// The broker's disk and the peers' stores, to begin other plays with.
    ///
    /// # Panics
    /// When the broker is not the reference.
    #[must_use]
    pub fn into_parts(self) -> (Disk, Vec<Peer>) {
        (self.broker.disk().expect("the reference broker").clone(), self.peers)
    }

    pub(super) fn log(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9} {}", self.now, line()));
        }
    }

    pub(super) fn tracing(&self) -> bool {
        self.trace.is_some()
    }

    pub(super) fn fail(&mut self, what: String) {
        self.log(|| format!("FAILED: {what}"));
        self.failure.get_or_insert(what);
    }

    pub(super) fn clock(&self) -> Millis {
        Millis(EPOCH + self.now)
    }

    /// Plays to the end.
    ///
    /// # Errors
    /// What was broken first.
    pub fn play(&mut self) -> Result<(), String> {
        let mut look = self.plan.quiet + 1_000;
        let (mut time, mut steps) = (0, 0);
        for played in 0u64.. {
            if played > MAX_ALL_STEPS {
                let open = self.check_end();
                self.fail(format!("{played} steps and no end: {open:?}"));
            }
            (time, steps) = if self.now == time { (time, steps + 1) } else { (self.now, 0) };
            if steps > MAX_STEPS {
                let waits: Vec<_> = (0..self.peers.len()).map(|who| self.peer_deadline(who)).collect();
                let frames: Vec<_> =
                    self.connections.iter().map(|(id, c)| (id, c.peer, c.up.front(), c.down.front())).collect();
                self.fail(format!("time stands still: peers {waits:?}, frames {frames:?}, wishes {:?}", self.wishes));
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.forked {
                // A fork is never merged; there is nothing more to wait for.
                return self.check_for_good();
            }
            // A sleep may end long after there is anything left to see.
            if let Some((last, _)) = self.events.iter().rfind(|(_, event)| !matches!(event, Event::Wake { .. })) {
                look = look.max(*last + 1_000);
            } else if self.now >= look {
                match self.check_end() {
                    Ok(()) => return self.check_for_good(),
                    Err(what) if self.now > self.deadline() => return Err(format!("never ended: {what}")),
                    Err(_) => look = self.now + 2_000,
                }
            }
            self.step(look);
        }
        Ok(())
    }

    fn deadline(&self) -> u64 {
        let jumped: u64 = self.plan.events.iter().map(|(_, e)| if let Event::Jump { by } = e { *by } else { 0 }).sum();
        self.plan.quiet + PATIENCE + jumped
    }

    /// Does the one thing that comes next, not past `limit`.
    fn step(&mut self, limit: u64) {
        let next = self.next_time().min(limit.max(self.now));
        self.now = self.now.max(next);
        if self.events.front().is_some_and(|(at, _)| *at <= self.now) {
            let (_, event) = self.events.pop_front().unwrap_or_else(|| unreachable!());
            return self.happen(event);
        }
        if self.broker_start.is_some_and(|at| at <= self.now) {
            self.broker_start = None;
            self.broker_up = true;
            return self.log(|| "broker starts".into());
        }
        if self.available_at.is_some_and(|at| at <= self.now) {
            self.available_at = None;
            self.broker.set_unavailable(false);
        }
        if self.broker_up && self.commit_at.is_some_and(|at| at <= self.now) {
            return self.commit_broker();
        }
        if self.tick_at <= self.now {
            self.tick_at = self.now + 5_000;
            if self.broker_up {
                self.broker.tick(self.clock());
                self.commit_soon();
            }
            return;
        }
        if let Some(id) = self.due_connection() {
            return self.move_frames(id);
        }
        for who in 0..self.peers.len() {
            if self.peers[who].start_at.is_some_and(|at| at <= self.now) {
                return self.start(who);
            }
            if self.peers[who].sync_at.is_some_and(|at| at <= self.now) {
                return self.end_sync(who);
            }
            if self.peer_deadline(who).is_some_and(|at| at <= self.now) {
                return self.tick_peer(who);
            }
        }
        if let Some(at) = self.wishes.iter().position(|(at, _, _)| *at <= self.now) {
            let (_, who, wish) = self.wishes.remove(at);
            self.grant(who, wish);
        }
    }

    fn next_time(&self) -> u64 {
        let peers = (0..self.peers.len()).flat_map(|who| {
            let peer = &self.peers[who];
            [peer.start_at, peer.sync_at, self.peer_deadline(who)]
        });
        let wishes = self.wishes.iter().map(|(at, _, _)| Some(*at));
        let event = self.events.front().map(|(at, _)| *at);
        let commit = self.commit_at.filter(|_| self.broker_up);
        [event, self.broker_start, self.available_at, commit, Some(self.tick_at), self.next_frame()]
            .into_iter()
            .chain(peers)
            .chain(wishes)
            .flatten()
            .min()
            .unwrap_or(self.now)
    }

    fn peer_deadline(&self, who: usize) -> Option<u64> {
        let peer = &self.peers[who];
        match &peer.process {
            Process::Down | Process::ShutOut => None,
            Process::Joining(_) => peer.call_at,
            Process::Member(session) => {
                let at = session.deadline()?.0.saturating_add_signed(-peer.skew).saturating_sub(EPOCH);
                Some(at.max(self.now))
            }
        }
    }

    fn start(&mut self, who: usize) {
        let (key, seed, now) = (self.broker.key(), self.plan.seed, self.now);
        self.log(|| format!("peer {who} starts"));
        if let Err(error) = self.peers[who].start(key, seed, now) {
            self.fail(format!("peer {who} cannot load what it committed: {error}"));
        }
    }

    fn happen(&mut self, event: Event) {
        self.log(|| format!("{event:?}"));
        match event {
            Event::Send(n) => self.wishes.push((self.now, self.plan.messages[n].from, Wish::Send(n))),
            Event::Consume { who, commit, read } => self.consume(who, commit, read),
            Event::Change(change) => self.wishes.push((self.now, 0, Wish::Append(change))),
            Event::Log(event) => self.log_event(event),
            Event::Crash { who, at: CrashPoint::Now, power, down } => self.crash(who, power, down),
            Event::Crash { who, at, power, .. } => self.peers[who].crash = Some((at, power)),
            Event::Cut { who, peer_after, broker_after } => {
                if let Some(id) = self.peers[who].connection {
                    let now = self.now;
                    self.drop_connection(
                        id,
                        peer_after.map(|after| now + after),
                        broker_after.map(|after| now + after),
                    );
                }
            }
            Event::Delay { who, by } => {
                let until = self.now + by;
                if let Some(connection) = self.peers[who].connection.and_then(|id| self.connections.get_mut(&id)) {
                    connection.not_before = until;
                }
            }
            Event::CrashBroker { power, down } => self.crash_broker(power, down),
            Event::FailBroker { after, down } => self.broker_fails = Some((after, down)),
            Event::Blackout { down } => {
                self.crash_broker(true, down);
                for who in 0..self.peers.len() {
                    let down = down + self.dice.below(1_000);
                    self.crash(who, true, down);
                }
            }
            Event::Unavailable { during } => {
                self.broker.set_unavailable(true);
                self.available_at = Some(self.now + during);
            }
            Event::Backup => self.broker.backup(),
            Event::RollBack { down, same_store } => {
                self.broker.roll_back(same_store);
                self.lose_broker(down, false);
            }
            Event::SetClock { who, by } => {
                // What the process sleeps for is counted by a clock that nobody sets.
                if let Some(at) = self.peer_deadline(who) {
                    self.plan_event(at, Event::Wake { who });
                }
                self.peers[who].skew += by;
            }
            Event::Wake { who } => {
                if matches!(self.peers[who].process, Process::Member(_)) {
                    self.tick_peer(who);
                }
            }
            Event::Jump { by } => {
                self.now += by;
                for (at, _) in &mut self.events {
                    *at += by;
                }
                for peer in &mut self.peers {
                    peer.start_at = peer.start_at.map(|at| at + by);
                }
                self.plan.quiet += by;
            }
        }
    }

    pub(super) fn commit_soon(&mut self) {
        let at = self.now + self.dice.range(1, 10);
        self.commit_at.get_or_insert(at);
    }

    fn commit_broker(&mut self) {
        self.commit_at = None;
        let outs = self.broker.commit(self.clock());
        for (conn, out) in outs {
            let Some(id) = self.connections.iter().find(|(_, c)| c.conn == Some(conn)).map(|(id, _)| *id) else {
                continue;
            };
            match out {
                Out::Frame(bytes) => self.send_down(id, Down::Frame(bytes)),
                Out::Closed => self.send_down(id, Down::Closed),
            }
        }
    }

    /// Counts a batch; too many within a second are a busy loop.
    pub(super) fn count_batch(&mut self, who: usize) {
        let second = self.now / 1000;
        let count = self.batches.entry(who).or_default();
        *count = if count.0 == second { (second, count.1 + 1) } else { (second, 1) };
        if count.1 > MAX_BATCHES {
            self.fail(format!("peer {who} spins: {} batches in a second", MAX_BATCHES));
        }
    }
}
