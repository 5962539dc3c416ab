//! What happens without anybody asking.

use claudemesh_core::Millis;
use claudemesh_core::wire::Closing;

use super::Inner;
use super::state::{Phase, State};

/// The store is told the time at least this often.
const ELAPSE_MS: u64 = 5_000;
/// Calls to the store in one tick when there is much to expire.
const MAX_CALLS: usize = 32;

impl Inner {
    /// Timeouts, redelivery and presence. `true` when the store is to be told the time.
    pub(super) fn tick_connections(&self, now: Millis) -> bool {
        let mut state = self.state();
        self.end_silent(&mut state, now);
        for (id, connection) in &mut state.connections {
            let Phase::Open(session) = &mut connection.phase else { continue };
            let feeds = &mut session.feeds;
            // What still waits to be written is not late.
            if connection.outbox.is_empty() && feeds.mail.rewind(self.config.redelivery, now) {
                tracing::debug!(connection = id.0, "mail without a receipt is pushed again");
            }
            if now.since(feeds.looked) >= self.config.redelivery {
                feeds.looked = now;
                feeds.mail.grown();
                feeds.notices.more = true;
            }
            if feeds.wants() {
                connection.outbox.wake();
            }
        }
        let meshes: Vec<_> = state.meshes.keys().copied().collect();
        for mesh in meshes {
            let gone = state.meshes.get_mut(&mesh).map(|mesh| mesh.presence.expire(now)).unwrap_or_default();
            if !gone.is_empty() {
                state.tell_presence(mesh, &gone);
            }
        }
        state.forget_unused(now);
        if state.due <= now && !state.elapsing {
            state.elapsing = true;
            return true;
        }
        false
    }

    fn end_silent(&self, state: &mut State, now: Millis) {
        let late: Vec<_> = state
            .connections
            .iter()
            .filter_map(|(id, connection)| match connection.phase {
                Phase::Open(_) => {
                    (now.since(connection.heard) >= self.config.idle_timeout).then_some((*id, Closing::Slow))
                }
                _ => (now.since(connection.opened) >= self.config.hello_timeout).then_some((*id, Closing::Protocol)),
            })
            .collect();
        for (id, code) in late {
            state.end(id, Some(code), now);
        }
    }

    /// Tells the store the time and wakes whom that concerns.
    pub(super) async fn elapse(&self, now: Millis) {
        for _ in 0..MAX_CALLS {
            let elapsed = self.store.elapse(now).await;
            let mut state = self.state();
            state.due = now.plus(ELAPSE_MS);
            match elapsed {
                Ok(elapsed) => {
                    state.committed(elapsed.commit);
                    state.mail_arrived(&elapsed.mail);
                    state.notices_arrived(&elapsed.notices);
                    if let Some(due) = elapsed.due {
                        state.due = state.due.min(due);
                    }
                    if elapsed.more {
                        state.due = now;
                        continue;
                    }
                }
                // It is asked every few seconds, and says itself what it suffers from.
                Err(error) => tracing::debug!(%error, "the store could not let time pass"),
            }
            break;
        }
        self.state().elapsing = false;
    }
}
