//! What is kept of a connection after its hello: rates, holds, and how far each of its feeds has been pushed.

use std::collections::{BTreeMap, BTreeSet};

use claudemesh_core::wire::Body;
use claudemesh_core::{DeviceId, LogId, MeshId, Millis, PublicKey};

use crate::config::EngineConfig;
use crate::limit::Bucket;
use crate::routing::{Mode, Window};

/// How long a lane waits for the message that was refused. What was on its way when the refusal was sent has come by then,
/// or its connection is dead.
pub(super) const HOLD_MS: u64 = 75_000;
/// Lanes held at one time; more recipients cannot be addressed between a refusal and its retry.
const MAX_HELD: usize = 4_096;

/// An open connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) mesh: MeshId,
    pub(super) device: DeviceId,
    pub(super) key: PublicKey,
    pub(super) mode: Mode,
    pub(super) feeds: Feeds,
    pub(super) held: Held,
    requests: Bucket,
    envelopes: Bucket,
    presences: Bucket,
}

impl Session {
    pub(super) fn new(
        mesh: MeshId,
        key: PublicKey,
        mode: Mode,
        roster: u64,
        config: &EngineConfig,
        now: Millis,
    ) -> Self {
        Self {
            mesh,
            device: key.device_id(),
            key,
            mode,
            feeds: Feeds::new(config, roster, now),
            held: Held::default(),
            requests: Bucket::new(config.request_rate, now),
            envelopes: Bucket::new(config.envelope_rate, now),
            presences: Bucket::new(config.presence_rate, now),
        }
    }

    /// Counts a request other than enqueue; else the milliseconds to wait.
    pub(super) fn pace(&mut self, body: &Body, now: Millis) -> Result<(), u64> {
        if matches!(body, Body::PresencePut(_)) {
            self.presences.take(1, now)?;
        }
        self.requests.take(1, now)
    }

    /// Counts submissions; else the milliseconds to wait.
    pub(super) fn pace_enqueue(&mut self, submissions: u64, now: Millis) -> Result<(), u64> {
        self.envelopes.take(submissions.max(1), now)
    }
}

/// Lanes in which a message was refused for its rate: the ones behind it, which may be on their way already, must not pass.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeMap<(DeviceId, u8), (u64, Millis)>);

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A message was refused.
    pub(super) fn hold(&mut self, recipient: DeviceId, lane: u8, seq: u64, now: Millis) {
        if self.0.len() >= MAX_HELD {
            self.0.retain(|_, (_, since)| now.since(*since) < HOLD_MS);
        }
        if self.0.len() < MAX_HELD {
            let (lowest, since) = self.0.entry((recipient, lane)).or_insert((seq, now));
            (*lowest, *since) = ((*lowest).min(seq), now);
        }
    }

    /// Whether a message has to wait for the one refused before it. That one, or one before it, ends the hold.
    pub(super) fn holds(&mut self, recipient: DeviceId, lane: u8, seq: u64, now: Millis) -> bool {
        let Some((lowest, since)) = self.0.get(&(recipient, lane)) else { return false };
        if seq > *lowest && now.since(*since) < HOLD_MS {
            return true;
        }
        self.0.remove(&(recipient, lane));
        false
    }
}

/// A feed that is read from the store page by page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// What comes next, or the last that went, as the feed counts.
    pub(super) at: u64,
    /// There may be something.
    pub(super) more: bool,
}

/// A log that is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogCursor {
    /// The next offset.
    pub(super) at: u64,
    /// There may be something to be read.
    pub(super) more: bool,
    /// The log is known to be for the whole mesh, which never changes.
    pub(super) open: bool,
}

/// What is pushed to a device.
#[derive(Debug)]
pub(super) struct Feeds {
    pub(super) mail: Window,
    /// The last notice pushed.
    pub(super) notices: Cursor,
    /// The next roster entry.
    pub(super) roster: Cursor,
    /// Devices whose presence is to be told.
    pub(super) presence: BTreeSet<DeviceId>,
    /// The logs that are followed.
    pub(super) logs: BTreeMap<LogId, LogCursor>,
    /// The log whose turn was last.
    pub(super) last_log: Option<LogId>,
    /// Whose turn it is.
    pub(super) turn: u8,
    /// When mail and notices were last looked for without being told to.
    pub(super) looked: Millis,
}

impl Feeds {
    fn new(config: &EngineConfig, roster: u64, now: Millis) -> Self {
        Self {
            mail: Window::new(usize::try_from(config.limits.window).unwrap_or(usize::MAX)),
            notices: Cursor { at: 0, more: true },
            roster: Cursor { at: roster, more: true },
            presence: BTreeSet::new(),
            logs: BTreeMap::new(),
            last_log: None,
            turn: 0,
            looked: now,
        }
    }

    /// Whether there is anything to push, as far as is known.
    pub(super) fn wants(&self) -> bool {
        self.mail.wants()
            || self.notices.more
            || self.roster.more
            || !self.presence.is_empty()
            || self.logs.values().any(|cursor| cursor.more)
    }

    /// The next log with news, in turn.
    pub(super) fn next_log(&mut self) -> Option<(LogId, u64)> {
        let after = self.last_log.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let next = self.logs.range((after, std::ops::Bound::Unbounded)).chain(self.logs.iter());
        let (log, from) = next.filter(|(_, cursor)| cursor.more).map(|(log, cursor)| (*log, cursor.at)).next()?;
        self.last_log = Some(log);
        Some((log, from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_ends_with_the_message_it_waits_for() {
        let mut held = Held::default();
        let bob = DeviceId::from_bytes([1; 32]);
        held.hold(bob, 1, 7, Millis(0));
        held.hold(bob, 1, 5, Millis(0));
        held.hold(bob, 1, 6, Millis(0));
        assert!(held.holds(bob, 1, 8, Millis(1)) && held.holds(bob, 1, 6, Millis(1)));
        assert!(!held.holds(bob, 0, 9, Millis(1)), "another lane");
        assert!(!held.holds(bob, 1, 5, Millis(1)) && held.is_empty());
        assert!(!held.holds(bob, 1, 6, Millis(1)));
        held.hold(bob, 1, 6, Millis(1));
        assert!(!held.holds(bob, 1, 9, Millis(1 + HOLD_MS)), "nothing is still on its way");
    }

    #[test]
    fn logs_take_turns() {
        let mut feeds = Feeds::new(&EngineConfig::default(), 0, Millis(0));
        assert_eq!(feeds.next_log(), None);
        let [a, b, c] = [1, 2, 3].map(|n| LogId::from_bytes([n; 16]));
        for (log, more) in [(a, true), (b, false), (c, true)] {
            feeds.logs.insert(log, LogCursor { at: 4, more, open: false });
        }
        let turns: Vec<_> = (0..3).filter_map(|_| feeds.next_log()).collect();
        assert_eq!(turns, [(a, 4), (c, 4), (a, 4)]);
    }
}
