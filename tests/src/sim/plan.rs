//! What a seed does to the parties, and when: drawn before the play begins, so that it can be shown.

mod logs;

use claudemesh_core::envelope::Priority;

use super::dice::Dice;
use super::peer::CrashPoint;
pub use logs::{Lie, LogEvent, LogPlay, Place};

/// A peer, by number: 0 is the owner, 1 and 2 are members, 3 joins while the play is on.
pub type Who = usize;

/// Something that is done.
#[derive(Clone, Debug)]
pub enum Event {
    /// A user sends message number `n`.
    Send(usize),
    /// The consumer of a peer's events looks, and commits what it saw or not.
    Consume { who: Who, commit: bool, read: bool },
    /// The owner changes something.
    Change(RosterChange),
    /// Something is done to a log.
    Log(LogEvent),
    /// A process dies and starts again; `power`: because the power failed.
    Crash { who: Who, at: CrashPoint, power: bool, down: u64 },
    /// A connection is cut; each side notices after its own time, or by itself when none is given.
    Cut { who: Who, peer_after: Option<u64>, broker_after: Option<u64> },
    /// Frames of a connection take longer.
    Delay { who: Who, by: u64 },
    /// The broker dies and starts again; `power`: because the power failed.
    CrashBroker { power: bool, down: u64 },
    /// The broker's power fails so long after it took something it does not sync.
    FailBroker { after: u64, down: u64 },
    /// The power fails everywhere.
    Blackout { down: u64 },
    /// The broker cannot write for a while.
    Unavailable { during: u64 },
    /// A copy of the broker's disk is made.
    Backup,
    /// The broker comes back with the copy; the same store, when nobody made it a new one.
    RollBack { down: u64, same_store: bool },
    /// Much time passes.
    Jump { by: u64 },
    /// A device's clock is set, milliseconds.
    SetClock { who: Who, by: i64 },
    /// A timer goes off that was set before the clock was.
    Wake { who: Who },
}

/// What the owner changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RosterChange {
    /// Makes the invite by which a member of a fresh mesh joins.
    Invite(Who),
    /// Makes a member an admin.
    Promote(Who),
    /// Removes a member.
    Remove(Who),
}

/// A message of the script.
#[derive(Clone, Debug)]
pub struct Message {
    /// Sender.
    pub from: Who,
    /// Recipient.
    pub to: Who,
    /// Priority.
    pub priority: Priority,
    /// How long it may wait, milliseconds.
    pub ttl: u64,
}

/// A whole play.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Whether the broker is the one that is shipped, else the reference.
    pub engine: bool,
    /// Whether the mesh begins with its owner alone.
    pub fresh: bool,
    /// Whether a fourth device joins, and when.
    pub joins: Option<u64>,
    /// The member that is removed, if one is.
    pub removed: Option<Who>,
    /// Whether the broker loses what it had confirmed.
    pub rolls_back: bool,
    /// Whether it may do so unnoticed: its counter can pass what the devices have seen before they come back.
    pub forgets: bool,
    /// Whether days pass.
    pub jumps: bool,
    /// Whether a clock is wrong for a while.
    pub clocks: bool,
    /// What is done with logs, when that is looked at.
    pub logs: LogPlay,
    /// Messages.
    pub messages: Vec<Message>,
    /// Events, in order of their time.
    pub events: Vec<(u64, Event)>,
    /// From when on nothing is done to anybody.
    pub quiet: u64,
}

const DAY: u64 = 24 * 3600 * 1000;

impl Plan {
    /// A play without faults, to build a mesh.
    #[must_use]
    pub fn quiet() -> Self {
        let events = [1, 2].map(|who| (0, Event::Change(RosterChange::Invite(who)))).into();
        Self {
            seed: 0,
            engine: false,
            fresh: true,
            joins: None,
            removed: None,
            rolls_back: false,
            forgets: false,
            jumps: false,
            clocks: false,
            logs: LogPlay::default(),
            messages: Vec::new(),
            events,
            quiet: 1,
        }
    }

    /// The play of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 1);
        let engine = seed % 10 < 3;
        let fresh = seed % 20 < 2;
        let joins = (!fresh && dice.one_in(5)).then(|| dice.below(8_000));
        let removed = dice.one_in(4).then(|| dice.range(1, 2) as Who);
        // A join that only a broker saw which then forgot it is made again by its user, not by a session.
        let rolls_back = !engine && !fresh && joins.is_none() && dice.one_in(9);
        let jumps = !rolls_back && dice.one_in(12);
        let people = if joins.is_some() { 4 } else { 3 };
        let quiet = 15_000;
        let mut events = Vec::new();
        let mut messages = Vec::new();
        let mut forgets = false;
        for _ in 0..dice.range(6, 10) {
            let from = dice.below(people) as Who;
            let to = (from + dice.range(1, people - 1) as Who) % people as Who;
            let priority = [Priority::Now, Priority::Next, Priority::Next, Priority::Low][dice.below(4) as usize];
            let ttl = if dice.one_in(10) { dice.range(500, 4_000) } else { 20 * DAY };
            events.push((dice.below(12_000), Event::Send(messages.len())));
            messages.push(Message { from, to, priority, ttl });
        }
        for who in 0..people as Who {
            for _ in 0..4 {
                let (commit, read) = (!dice.one_in(3), dice.one_in(2));
                events.push((dice.below(quiet), Event::Consume { who, commit, read }));
            }
        }
        if fresh {
            for who in [1, 2] {
                events.push((dice.below(500), Event::Change(RosterChange::Invite(who))));
            }
        }
        if dice.one_in(4) {
            let who = dice.range(1, 2) as Who;
            events.push((dice.below(12_000), Event::Change(RosterChange::Promote(who))));
        }
        if let Some(who) = removed {
            events.push((dice.below(12_000), Event::Change(RosterChange::Remove(who))));
        }
        for _ in 0..dice.range(4, 9) {
            let fault = Self::fault(&mut dice, people);
            events.push((dice.below(quiet - 1_000), fault));
        }
        if rolls_back {
            let at = dice.range(500, 9_000);
            events.push((at, Event::Backup));
            let (down, same_store) = (dice.below(1_000), dice.one_in(3));
            forgets = same_store;
            events.push((at + dice.range(500, 5_000), Event::RollBack { down, same_store }));
        }
        if jumps {
            let by = [26 * 3600 * 1000, 50 * 3600 * 1000, 9 * DAY][dice.below(3) as usize];
            let at = dice.range(2_000, 12_000);
            for who in 0..people as Who {
                if dice.one_in(2) {
                    events.push((
                        at - 1,
                        Event::Crash { who, at: CrashPoint::Now, power: false, down: 1 + dice.below(4_000) },
                    ));
                }
            }
            events.push((at, Event::Jump { by }));
        }
        events.sort_by_key(|(at, _)| *at);
        let (clocks, logs) = (false, LogPlay::default());
        Self { seed, engine, fresh, joins, removed, rolls_back, forgets, jumps, clocks, logs, messages, events, quiet }
    }

    /// The play of a seed, in which a device's clock is wrong by a year for a while; none when it has turns of its own that
    /// do not go with that.
    #[must_use]
    pub fn with_wrong_clock(seed: u64) -> Option<Self> {
        const YEAR: i64 = 365 * DAY as i64;
        let mut plan = Self::of(seed);
        if plan.rolls_back || plan.jumps {
            return None;
        }
        let mut dice = Dice::new(seed, 3);
        plan.clocks = true;
        let (who, by) = (dice.below(3) as Who, if dice.one_in(2) { YEAR } else { -YEAR });
        let wrong = dice.below(10_000);
        let right = wrong + dice.range(20_000, 120_000);
        plan.events.push((wrong, Event::SetClock { who, by }));
        plan.events.push((right, Event::SetClock { who, by: -by }));
        if dice.one_in(2) {
            // It starts anew with the wrong clock, perhaps while there is no broker to compare it with.
            plan.events.push((
                wrong + 1,
                Event::Crash { who, at: CrashPoint::Now, power: false, down: 1 + dice.below(2_000) },
            ));
            plan.events.push((wrong + 1, Event::CrashBroker { power: false, down: 1 + dice.below(5_000) }));
        }
        plan.events.sort_by_key(|(at, _)| *at);
        plan.quiet = plan.quiet.max(right);
        Some(plan)
    }

    /// The play of a seed, in which every crash is a power failure and there are many more of them, some of them soon after a
    /// process died by itself; none when it has turns of its own that do not go with that.
    #[must_use]
    pub fn with_power_failures(seed: u64) -> Option<Self> {
        // With a wrong clock many messages are refused and sealed again.
        let clock = (seed % 16 == 15).then(|| Self::with_wrong_clock(seed)).flatten();
        let mut plan = clock.unwrap_or_else(|| Self::of(seed));
        if plan.rolls_back {
            return None;
        }
        let mut dice = Dice::new(seed, 4);
        let people = if plan.joins.is_some() { 4 } else { 3 };
        for (_, event) in &mut plan.events {
            if let Event::Crash { power, .. } | Event::CrashBroker { power, .. } = event {
                *power = true;
            }
        }
        for _ in 0..dice.range(8, 24) {
            let (who, down) = (dice.below(people) as Who, dice.below(1_500));
            let event = match dice.below(12) {
                0..=5 => Event::Crash { who, at: CrashPoint::AfterUnsynced(dice.below(80)), power: true, down },
                6 => Event::Crash { who, at: CrashPoint::AfterCommit, power: true, down },
                7 => Event::Crash { who, at: CrashPoint::Now, power: true, down },
                8..=10 => Event::FailBroker { after: dice.below(80), down },
                _ => Event::Blackout { down },
            };
            let at = dice.below(plan.quiet.min(30_000) - 1_000);
            plan.events.push((at, event));
            if dice.one_in(4) {
                let died = Event::Crash { who, at: CrashPoint::AfterUnsynced(dice.below(80)), power: false, down };
                plan.events.push((at.saturating_sub(dice.below(2_000)), died));
            }
        }
        plan.events.sort_by_key(|(at, _)| *at);
        Some(plan)
    }

    fn fault(dice: &mut Dice, people: u64) -> Event {
        let who = dice.below(people) as Who;
        match dice.below(10) {
            0..=3 => {
                let at = match dice.below(6) {
                    0 => CrashPoint::Now,
                    1 | 2 => CrashPoint::BeforeCommit,
                    3 => CrashPoint::AfterCommit,
                    _ => CrashPoint::AfterSends(dice.below(3)),
                };
                Event::Crash { who, at, power: dice.one_in(2), down: dice.below(4_000) }
            }
            4 | 5 => {
                let after = |dice: &mut Dice| (!dice.one_in(4)).then(|| dice.below(2_000));
                Event::Cut { who, peer_after: after(dice), broker_after: after(dice) }
            }
            6 => Event::Delay { who, by: dice.range(100, 3_000) },
            7 | 8 => Event::CrashBroker { power: dice.one_in(2), down: dice.below(3_000) },
            _ => Event::Unavailable { during: dice.below(4_000) },
        }
    }
}
