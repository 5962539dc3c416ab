//! The public surface: one far end, served by a daemon, used through its socket.
#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod attached;
mod start;
