//! How much a session is told without its user saying anything: what stops two sessions that answer each other, and floods.

use std::collections::{BTreeMap, VecDeque};

/// Milliseconds that notices are counted for.
const HOUR: i64 = 3600 * 1000;

/// How much at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Messages of one member since the session's user said something.
    pub(crate) exchange: u32,
    /// Notices in an hour.
    pub(crate) hourly: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { exchange: 25, hourly: 60 }
    }
}

type Member = [u8; 32];

/// What a session was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guard {
    exchanged: BTreeMap<Member, u32>,
    notices: VecDeque<i64>,
}

impl Guard {
    /// The session's user said something.
    pub(crate) fn user_spoke(&mut self) {
        self.exchanged.clear();
    }

    /// Whether another message of this member may be told, beside `more` that are about to be.
    pub(crate) fn permits(&self, member: &Member, more: u32, limits: Limits) -> bool {
        self.exchanged.get(member).copied().unwrap_or(0).saturating_add(more) < limits.exchange
    }

    /// When another notice may be written; none when now.
    pub(crate) fn full_until(&self, now: i64, limits: Limits) -> Option<i64> {
        let recent = self.notices.iter().filter(|at| now - **at < HOUR).count();
        let over = (recent + 1).checked_sub(limits.hourly.max(1) as usize).filter(|over| *over > 0)?;
        let oldest = self.notices.iter().filter(|at| now - **at < HOUR).nth(over - 1)?;
        Some(oldest + HOUR)
    }

    /// A notice of messages of these members is written.
    pub(crate) fn told(&mut self, members: impl IntoIterator<Item = Member>, now: i64) {
        for member in members {
            let count = self.exchanged.entry(member).or_default();
            *count = count.saturating_add(1);
        }
        self.notices.retain(|at| now - *at < HOUR);
        self.notices.push_back(now);
    }

    /// Members of whom nothing more is told until the user says something.
    pub(crate) fn paused(&self, limits: Limits) -> impl Iterator<Item = &Member> {
        self.exchanged.iter().filter(move |(_, count)| **count >= limits.exchange).map(|(member, _)| member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOB: Member = [1; 32];
    const CAROL: Member = [2; 32];
    const LIMITS: Limits = Limits { exchange: 2, hourly: 3 };

    #[test]
    fn an_exchange_pauses_until_the_user_says_something() {
        let mut guard = Guard::default();
        guard.told([BOB], 1);
        assert!(guard.permits(&BOB, 0, LIMITS) && !guard.permits(&BOB, 1, LIMITS));
        guard.told([BOB], 2);
        assert!(!guard.permits(&BOB, 0, LIMITS));
        assert!(guard.permits(&CAROL, 0, LIMITS), "of each member for itself");
        assert_eq!(guard.paused(LIMITS).collect::<Vec<_>>(), [&BOB]);
        guard.user_spoke();
        assert!(guard.permits(&BOB, 0, LIMITS) && guard.paused(LIMITS).next().is_none());
    }

    #[test]
    fn an_hour_has_room_for_so_many_notices() {
        let mut guard = Guard::default();
        for at in [0, 10, 20] {
            assert_eq!(guard.full_until(at, LIMITS), None);
            guard.told([], at);
        }
        assert_eq!(guard.full_until(30, LIMITS), Some(HOUR));
        assert_eq!(guard.full_until(HOUR, LIMITS), None);
        guard.told([], HOUR);
        assert_eq!(guard.full_until(HOUR, LIMITS), Some(HOUR + 10));
    }
}
