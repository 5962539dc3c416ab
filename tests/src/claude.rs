//! The real Claude Code, with nothing of the machine it runs on: a home of its own, an environment built from nothing, and a
//! model that says what the test tells it.

mod api;
mod run;

pub use api::{Api, Step};
pub use run::Claude;
