//! Whether a message may be handed to a session now.

use claudemesh_core::envelope::ClaimState;

use crate::api::{Activity, Priority};

/// What a session is like, as far as it bears on messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) status: Activity,
    /// It does what it wants without asking its user.
    pub(crate) unguarded: bool,
}

/// What a message is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    pub(crate) priority: Priority,
    /// Its sender is the member itself, or one that the user permitted.
    pub(crate) permitted: bool,
}

/// Why a message waits; none when it may be handed over.
pub(crate) fn gate(message: Asking, session: Standing) -> Option<ClaimState> {
    // What a stranger says may not move a session that asks nobody, however urgent it is.
    if session.unguarded && !message.permitted {
        return Some(ClaimState::WaitsForPermission);
    }
    match (message.priority, session.status) {
        (Priority::Now, _) => None,
        (Priority::Low, _) => Some(ClaimState::WaitsForAsking),
        (_, Activity::Dnd) => Some(ClaimState::WaitsForQuiet),
        (_, Activity::Working | Activity::Blocked) => Some(ClaimState::WaitsForTurn),
        (_, Activity::Idle) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(priority: Priority, status: Activity) -> Option<&'static str> {
        let standing = Standing { status, unguarded: false };
        gate(Asking { priority, permitted: false }, standing).and_then(ClaimState::wait)
    }

    #[test]
    fn now_passes_next_waits_for_the_turn_and_low_to_be_asked_for() {
        use Activity::{Blocked, Dnd, Idle, Working};
        for status in [Idle, Working, Blocked, Dnd] {
            assert_eq!(waits(Priority::Now, status), None, "{status:?}");
            assert_eq!(waits(Priority::Low, status), Some("low"), "{status:?}");
        }
        let next = [Idle, Working, Blocked, Dnd].map(|status| waits(Priority::Next, status));
        assert_eq!(next, [None, Some("turn"), Some("turn"), Some("dnd")]);
    }

    #[test]
    fn a_session_that_asks_nobody_holds_what_strangers_say() {
        let standing = Standing { status: Activity::Idle, unguarded: true };
        for priority in [Priority::Now, Priority::Next, Priority::Low] {
            let stranger = Asking { priority, permitted: false };
            assert_eq!(gate(stranger, standing), Some(ClaimState::WaitsForPermission));
        }
        assert_eq!(gate(Asking { priority: Priority::Next, permitted: true }, standing), None);
    }
}
