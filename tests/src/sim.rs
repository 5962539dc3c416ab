//! Deterministic simulation: devices and a broker in simulated time, driven by a seed through loss, delay, reordering, cut
//! connections, crashes of any party between any two steps, power failures and restarts.
//!
//! A crash loses what was not committed; a power failure also what was committed and not yet synced. What that may be and
//! which frames wait for it is decided here by the client's own rules, and by what the broker's store counts.
//!
//! [`play`] plays what was planned for one seed and says what went wrong. Nothing here reads a clock or the system's
//! randomness, so a seed always plays the same.

pub mod broker;
mod check;
pub mod dice;
mod engine;
mod fixture;
pub mod join;
pub mod known;
pub mod peer;
mod plan;
mod truth;
mod watch;
mod world;

pub use fixture::Fixture;
pub use plan::Plan;
pub use world::World;

/// A seed that broke a promise.
#[derive(Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What was broken.
    pub what: String,
    /// What was done to the parties, and when.
    pub plan: String,
    /// What happened, step by step; only when it was asked for.
    pub trace: Vec<String>,
}

/// Plays a plan.
///
/// # Errors
/// [`Failure`] when a promise was broken.
pub fn play(fixture: &Fixture, plan: Plan, traced: bool) -> Result<(), Failure> {
    let seed = plan.seed;
    let shown = format!("{plan:#?}");
    let mut world = World::new(fixture, plan, traced);
    let what = world.play();
    match what {
        Ok(()) => Ok(()),
        Err(what) => Err(Failure { seed, what, plan: shown, trace: world.take_trace() }),
    }
}
