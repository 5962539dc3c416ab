//! What the own clock is worth: it is compared with the broker's at every welcome, and watched between them.
//!
//! Waiting times stand on the own clock, expiries on the broker's. A clock that was set makes both void, so the connection
//! is made anew: that renews every waiting time, and the welcome tells how far the clocks are apart now.

use rand_core::CryptoRng;

use super::{Context, Fault, Phase, Session};
use crate::time::Millis;

/// A difference of clocks the user is told about.
const SKEW_WARNING: u64 = 24 * 3600 * 1000;
/// A clock that goes back by more was set.
const SET_BACK: u64 = 60_000;

/// Expiry of what was queued under a clock known to be behind: no wait can be counted from it.
pub(super) const UNDATED: Millis = Millis(u64::MAX);

impl Session {
    /// Notices a clock that was set since the last input.
    pub(super) fn watch_clock<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        let before = core::mem::replace(&mut self.last_now, cx.now);
        let set_back = before.since(cx.now) > SET_BACK;
        // Whether the clock was set ahead or time passed in sleep cannot be told apart; the broker knows.
        let leapt = before != Millis(0) && cx.now.since(before) > SKEW_WARNING;
        if !set_back && !leapt {
            return;
        }
        self.skew = None;
        match self.phase {
            Phase::Halted => {}
            Phase::Offline { .. } => self.phase = Phase::Offline { retry_at: cx.now },
            _ => self.reconnect(cx),
        }
    }

    /// Takes the broker's clock from its welcome.
    pub(super) fn compare_clocks<R>(&mut self, broker: Millis, cx: &mut Context<'_, R>) {
        let skew = i64::try_from(i128::from(broker.0) - i128::from(cx.now.0)).unwrap_or(0);
        self.skew = Some(skew);
        // What was queued meanwhile was dated by a clock that nobody had compared: only the time since counts.
        for (ordinal, row) in &mut self.outbox {
            if let Some(ttl) = row.ttl.take() {
                let queued = Millis(row.expires.0.saturating_sub(ttl));
                row.expires = broker.plus(ttl.saturating_sub(waited(queued, cx.now, broker)));
                self.dirty.insert(*ordinal);
            }
        }
        self.expire_at = self.outbox.values().map(|row| row.expires).min();
        if skew.unsigned_abs() > SKEW_WARNING {
            self.fault(Fault::ClockSkew, cx);
        } else {
            self.faults.remove(&Fault::ClockSkew);
        }
    }

    /// Whether the own clock is known to be wrong, or the broker's: nothing may be dated by it.
    pub(super) fn is_clock_wrong(&self) -> bool {
        self.faults.contains(&Fault::ClockSkew)
    }

    /// Whether the own clock stands before days that it has shown already, in this process or an earlier one.
    pub(super) fn is_clock_behind(&self, now: Millis) -> bool {
        self.prekeys.time().millis().since(now) > SKEW_WARNING
    }

    /// The broker's clock, as far as it is known.
    pub(super) fn broker_now(&self, now: Millis) -> Millis {
        Millis(now.0.saturating_add_signed(self.skew.unwrap_or(0)))
    }
}

/// How long a message has waited that was queued at this time of the own clock. That clock may have been set since, or have
/// been wrong and still be: the clock that says less is believed, so that no message ends too early.
fn waited(queued: Millis, now: Millis, broker: Millis) -> u64 {
    now.since(queued).min(broker.since(queued))
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: u64 = 365 * 24 * 3600 * 1000;

    #[test]
    fn a_clock_that_was_set_while_a_message_waited_does_not_end_it() {
        let (queued, later) = (Millis(2 * YEAR), Millis(2 * YEAR + 5));
        assert_eq!(waited(queued, later, later), 5);
        assert_eq!(waited(queued, later.plus(YEAR), later), 5, "set ahead");
        assert_eq!(waited(queued, Millis(YEAR), later), 0, "set back");
    }

    #[test]
    fn a_clock_that_is_wrong_all_the_time_does_not_end_a_message() {
        let (queued, later) = (Millis(2 * YEAR), Millis(2 * YEAR + 5));
        assert_eq!(waited(queued, later, later.plus(YEAR)), 5, "behind the broker's");
        assert_eq!(waited(queued, later, Millis(YEAR)), 0, "ahead of the broker's");
    }
}
