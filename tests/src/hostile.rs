//! Parties that cheat, around the real client library and the real broker: a broker that tampers with what it relays, and
//! a member that sends what no honest client would.

use std::time::Duration;

mod mallory;
mod rogue;
mod town;

pub use mallory::{Mallory, Verdict, Way, deliveries, once};
pub use rogue::{Rogue, Spy};
pub use town::{Citizen, Town, bodies, deliver, settled, state, warned, warnings};

/// How long anything may take that is not stuck.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for an event.
///
/// # Panics
/// It does not come in time.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(happened) => happened,
        Err(_) => panic!("in vain: {what}"),
    }
}
