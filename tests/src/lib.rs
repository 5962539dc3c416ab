//! What the end-to-end tests share: real processes, and a simulation of them.

pub mod e2e;
pub mod sim;
