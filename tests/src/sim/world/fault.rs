//! Processes that die, and power that fails.

use super::{Event, World};
use crate::sim::peer::{CrashPoint, Process};

impl World {
    /// Something is done to somebody at a later time.
    pub(super) fn plan_event(&mut self, at: u64, event: Event) {
        let after = self.events.partition_point(|(other, _)| *other <= at);
        self.events.insert(after, (at, event));
    }

    /// A process dies between two batches; a power failure also hits what is down.
    pub(super) fn crash(&mut self, who: usize, power: bool, down: u64) {
        if !matches!(self.peers[who].process, Process::Down) {
            self.kill(who, power, down);
        } else if power {
            self.fail_power(who);
        }
    }

    pub(super) fn kill(&mut self, who: usize, power: bool, down: u64) {
        self.log(|| format!("peer {who} dies"));
        if let Some(id) = self.peers[who].connection {
            let noticed = self.now + self.dice.range(1, 50);
            if power && self.dice.one_in(2) {
                // What it had sent arrives, and nobody says that it is gone.
                let noticed = self.dice.one_in(2).then_some(noticed);
                self.silence_peer(id, noticed);
            } else {
                self.drop_connection(id, None, Some(noticed));
            }
        }
        self.peers[who].die();
        self.peers[who].start_at = Some(self.now + down);
        if power {
            self.fail_power(who);
        }
    }

    fn fail_power(&mut self, who: usize) {
        let had = self.peers[who].store.inbox.len();
        let lost = self.peers[who].fail_power(&mut self.dice);
        self.log(|| format!("peer {who} loses {lost} commits to a power failure"));
        if self.peers[who].store.inbox.len() < had {
            self.fail(format!("peer {who} lost a message to a power failure"));
        }
    }

    /// The process comes to its end in the course of a batch.
    pub(super) fn kill_in_batch(&mut self, who: usize) {
        let power = self.peers[who].crash.is_some_and(|(_, power)| power);
        self.kill(who, power, self.now % 900);
    }

    /// A commit that a power failure takes back was made.
    pub(super) fn committed_unsynced(&mut self, who: usize) {
        if let Some((CrashPoint::AfterUnsynced(after), power)) = self.peers[who].crash {
            self.peers[who].crash = None;
            let down = self.now % 900;
            self.plan_event(self.now + after, Event::Crash { who, at: CrashPoint::Now, power, down });
        }
    }

    pub(super) fn begin_sync(&mut self, who: usize) {
        if self.peers[who].held.begins_sync() {
            // Some disks take their time.
            let takes = if self.dice.one_in(4) { self.dice.below(400) } else { self.dice.below(5) };
            self.peers[who].begin_sync(self.now + takes);
        }
    }

    pub(super) fn end_sync(&mut self, who: usize) {
        self.log(|| format!("peer {who} has synced"));
        for frame in self.peers[who].end_sync() {
            self.send_frame(who, frame);
        }
        self.begin_sync(who);
    }

    pub(super) fn crash_broker(&mut self, power: bool, down: u64) {
        if power {
            self.broker.fail_power(&mut self.dice);
        } else {
            self.broker.crash();
        }
        let silent = power && self.dice.one_in(2);
        self.lose_broker(down, silent);
    }

    /// The broker took something that it does not sync.
    pub(super) fn broker_took_unsynced(&mut self) {
        if let Some((after, down)) = self.broker_fails.take() {
            self.plan_event(self.now + after, Event::CrashBroker { power: true, down });
        }
    }

    /// The broker is gone; with `silent`, what it had sent arrives.
    pub(super) fn lose_broker(&mut self, down: u64, silent: bool) {
        self.broker_up = false;
        self.broker_start = Some(self.now + down);
        (self.commit_at, self.available_at) = (None, None);
        for id in self.connections.keys().copied().collect::<Vec<_>>() {
            let noticed = self.now + self.dice.range(1, 50);
            if silent {
                self.silence_broker(id, noticed);
            } else {
                self.drop_connection(id, Some(noticed), None);
            }
        }
    }
}
