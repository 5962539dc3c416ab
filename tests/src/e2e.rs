//! Real processes: homes in temporary folders, the built binary run in them, brokers, proxies and mounts. Whatever a test
//! starts ends with it, also when it panics.

use std::time::{Duration, Instant};

mod broker;
mod crew;
mod host;
mod listener;
mod mount;
mod person;
mod process;
mod proxy;
mod scene;

pub use broker::Broker;
pub use crew::{Crew, Kills, Worker};
pub use host::Host;
pub use listener::Listener;
pub use mount::Mount;
pub use person::{Person, Ran, text_of};
pub use process::{binary, free_address, uuid};
pub use proxy::Proxy;
pub use scene::{Scene, link};

/// How long anything may take that is not stuck.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until there is an answer. The question is a command of the product, so every round waits for real work.
///
/// # Panics
/// There is none in time.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::yield_now();
    }
}
