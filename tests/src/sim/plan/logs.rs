//! Plays in which members write to logs: the mesh's own, that of #general, an open one, and a private one whose audience
//! changes. Removals, joins, crashes and cut connections are those of any other play, and then some, at the worst time.

use claudemesh_core::log::HistoryPolicy;

use super::{Event, Plan, RosterChange, Who};
use crate::sim::dice::Dice;
use crate::sim::peer::CrashPoint;

/// A log of a play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The mesh's own.
    Mesh,
    /// That of #general.
    General,
    /// One of [`LogPlay::rooms`].
    Room(usize),
}

/// A log that somebody makes.
#[derive(Clone, Debug)]
pub struct Room {
    /// Who makes it.
    pub founder: Who,
    /// What newcomers may read.
    pub history: HistoryPolicy,
    /// Whether it is for some members only.
    pub private: bool,
}

/// A record of the script.
#[derive(Clone, Debug)]
pub struct Writing {
    /// Who writes it.
    pub who: Who,
    /// Where.
    pub place: Place,
}

/// What is done with logs.
#[derive(Clone, Debug, Default)]
pub struct LogPlay {
    /// The logs that are made.
    pub rooms: Vec<Room>,
    /// What is written.
    pub writes: Vec<Writing>,
    /// Whether the broker lies about them until the faults end.
    pub hostile: bool,
    /// The member whose commits are garbage until then.
    pub garbler: Option<Who>,
}

/// Something that is done to a log.
#[derive(Clone, Debug)]
pub enum LogEvent {
    /// A member writes record number `n`.
    Write(usize),
    /// A member follows a log.
    Open(Who, usize),
    /// A member follows it no longer.
    Close(Who, usize),
    /// A member opens a private log to these.
    Admit { who: Who, room: usize, members: Vec<Who> },
    /// The broker lies.
    Lie(Lie),
    /// The broker is honest from now on, and starts anew.
    Behave,
}

/// How a broker lies about logs.
#[derive(Clone, Debug)]
pub enum Lie {
    /// A member gets no new entries.
    Withhold(Who),
    /// A member gets bare hashes for records.
    Redact(Who),
    /// Neighbours change places on their way to a member.
    Reorder(Who),
    /// These members are shown logs of their own.
    Split(Vec<Who>),
    /// All are shown the same again.
    Join,
    /// A member gets records of an earlier epoch once more.
    Replay(Who, Place),
    /// A member gets records that another sealed under an earlier epoch, or that a removed one made.
    Stale { to: Who, by: Who, place: Place },
    /// A member gets a commit of another who does not know, or pretends not to know, of the epoch there is.
    Commit { to: Who, by: Who, place: Place },
}

/// From this time on nothing is written.
const END: u64 = 12_000;

impl Plan {
    /// The play of a seed, in which members write to logs; none when it has turns of its own that do not go with that.
    #[must_use]
    pub fn with_logs(seed: u64) -> Option<Self> {
        let power = (seed % 6 == 5).then(|| Self::with_power_failures(seed)).flatten();
        let mut plan = power.unwrap_or_else(|| Self::of(seed));
        if plan.rolls_back {
            return None;
        }
        let mut dice = Dice::new(seed, 5);
        plan.turn_to_logs(&mut dice);
        plan.write_logs(&mut dice);
        plan.events.sort_by_key(|(at, _)| *at);
        Some(plan)
    }

    /// The play of a seed in which the broker lies about logs, or a member commits garbage, for a while; none when it has
    /// turns of its own that do not go with that.
    #[must_use]
    pub fn with_hostile_logs(seed: u64) -> Option<Self> {
        let mut plan = Self::of(seed);
        if plan.rolls_back || plan.jumps {
            return None;
        }
        let mut dice = Dice::new(seed, 6);
        plan.engine = false;
        plan.events.retain(|(_, event)| {
            !matches!(event, Event::CrashBroker { .. } | Event::FailBroker { .. } | Event::Unavailable { .. })
        });
        plan.turn_to_logs(&mut dice);
        plan.write_logs(&mut dice);
        plan.logs.hostile = true;
        if dice.one_in(3) {
            plan.logs.garbler = Some(dice.below(3) as Who);
        }
        if plan.logs.garbler.is_none() || dice.one_in(4) {
            plan.lie(&mut dice);
        }
        let quiet = plan.quiet;
        plan.events.push((quiet, Event::Log(LogEvent::Behave)));
        // What was lied about is gone on with.
        for _ in 0..dice.range(2, 4) {
            let at = quiet + dice.range(2_000, 6_000);
            plan.write(&mut dice, at, None);
        }
        plan.quiet += 8_000;
        plan.events.sort_by_key(|(at, _)| *at);
        Some(plan)
    }

    fn people(&self) -> usize {
        if self.joins.is_some() { 4 } else { 3 }
    }

    /// Few messages, and more turns of the roster.
    fn turn_to_logs(&mut self, dice: &mut Dice) {
        self.messages.truncate(2);
        let messages = self.messages.len();
        self.events.retain(|(_, event)| match event {
            Event::Send(n) => *n < messages,
            Event::Consume { .. } => dice.one_in(2),
            _ => true,
        });
        if self.removed.is_none() && dice.one_in(3) {
            let who = dice.range(1, 2) as Who;
            self.removed = Some(who);
            self.events.push((dice.below(END), Event::Change(RosterChange::Remove(who))));
        }
        if !self.fresh && self.joins.is_none() && dice.one_in(4) {
            self.joins = Some(dice.below(10_000));
        }
    }

    fn write_logs(&mut self, dice: &mut Dice) {
        let people = self.people() as u64;
        let mut places = vec![Place::Mesh];
        if dice.one_in(2) {
            places.push(Place::General);
        }
        // The worst times: when who may read is about to change.
        let change = |event: &Event| matches!(event, Event::Change(RosterChange::Remove(_)));
        let mut moments: Vec<u64> = self.events.iter().filter(|(_, event)| change(event)).map(|(at, _)| *at).collect();
        moments.extend(self.joins);
        if dice.one_in(2) {
            places.push(self.make_open(dice));
        }
        if !dice.one_in(3) {
            places.push(self.make_private(dice, &mut moments));
        }
        for moment in moments.clone() {
            if dice.one_in(2) {
                // Somebody is cut off then, and comes back to another epoch.
                let who = dice.below(people) as Who;
                let after = |dice: &mut Dice| (!dice.one_in(4)).then(|| dice.below(4_000));
                let cut = Event::Cut { who, peer_after: after(dice), broker_after: after(dice) };
                self.events.push((moment.saturating_sub(dice.below(200)), cut));
            }
            if dice.one_in(3) {
                let at = if dice.one_in(2) { CrashPoint::AfterCommit } else { CrashPoint::AfterSends(dice.below(2)) };
                let (who, power) = (dice.below(people) as Who, dice.one_in(2));
                self.events.push((moment, Event::Crash { who, at, power, down: dice.below(3_000) }));
            }
        }
        for _ in 0..dice.range(8, 18) {
            let at = match moments.as_slice() {
                [_, ..] if dice.one_in(2) => moments[dice.below(moments.len() as u64) as usize] + dice.below(300),
                _ => dice.below(END),
            };
            let place = places[dice.below(places.len() as u64) as usize];
            self.write(dice, at, Some(place));
        }
    }

    fn write(&mut self, dice: &mut Dice, at: u64, place: Option<Place>) {
        let who = dice.below(self.people() as u64) as Who;
        let place = place.unwrap_or_else(|| {
            let known = &self.logs.writes;
            known[dice.below(known.len() as u64) as usize].place
        });
        self.events.push((at, Event::Log(LogEvent::Write(self.logs.writes.len()))));
        self.logs.writes.push(Writing { who, place });
    }

    fn make_room(&mut self, dice: &mut Dice, private: bool) -> usize {
        let founder = dice.below(3) as Who;
        let history = [HistoryPolicy::All, HistoryPolicy::All, HistoryPolicy::Joining, HistoryPolicy::None]
            [dice.below(4) as usize];
        self.logs.rooms.push(Room { founder, history, private });
        self.logs.rooms.len() - 1
    }

    /// An open log, which everybody follows sooner or later, and some leave for a while.
    fn make_open(&mut self, dice: &mut Dice) -> Place {
        let room = self.make_room(dice, false);
        for who in 0..self.people() {
            let at = if who == self.logs.rooms[room].founder { 0 } else { dice.below(6_000) };
            self.events.push((at, Event::Log(LogEvent::Open(who, room))));
            if dice.one_in(4) {
                let left = at + dice.range(500, 3_000);
                self.events.push((left, Event::Log(LogEvent::Close(who, room))));
                if !dice.one_in(3) {
                    self.events.push((left + dice.below(3_000), Event::Log(LogEvent::Open(who, room))));
                }
            }
        }
        Place::Room(room)
    }

    /// A private log, the audience of which changes.
    fn make_private(&mut self, dice: &mut Dice, moments: &mut Vec<u64>) -> Place {
        let room = self.make_room(dice, true);
        let founder = self.logs.rooms[room].founder;
        let mut at = dice.below(2_000);
        for turn in 0..dice.range(1, 4) {
            // Anybody inside changes it, also two at the same time.
            let who = if turn == 0 { founder } else { dice.below(self.people() as u64) as Who };
            let mut members: Vec<Who> = (0..self.people()).filter(|_| dice.one_in(2)).collect();
            if !members.contains(&who) {
                members.push(who);
            }
            self.events.push((at, Event::Log(LogEvent::Admit { who, room, members })));
            moments.push(at);
            at += if dice.one_in(3) { dice.below(50) } else { dice.below(4_000) };
        }
        Place::Room(room)
    }

    fn lie(&mut self, dice: &mut Dice) {
        let people = self.people() as u64;
        for _ in 0..dice.range(1, 3) {
            let (to, by) = (dice.below(people) as Who, dice.below(people) as Who);
            let by = self.removed.filter(|_| dice.one_in(2)).unwrap_or(by);
            let places: Vec<Place> = self.logs.writes.iter().map(|writing| writing.place).collect();
            let place = places[dice.below(places.len() as u64) as usize];
            let at = dice.range(500, END);
            let lie = match dice.below(8) {
                0 => Lie::Withhold(to),
                1 => Lie::Redact(to),
                2 => Lie::Reorder(to),
                3 => Lie::Replay(to, place),
                4 => Lie::Stale { to, by, place },
                5 => Lie::Commit { to, by, place },
                _ => {
                    self.events.push((at + dice.range(500, 4_000), Event::Log(LogEvent::Lie(Lie::Join))));
                    Lie::Split((0..self.people()).filter(|who| *who == to || dice.one_in(3)).collect())
                }
            };
            self.events.push((at, Event::Log(LogEvent::Lie(lie))));
        }
    }
}
