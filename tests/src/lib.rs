//! What the end-to-end tests share: real processes, a simulation of them, and parties that cheat.

pub mod claude;
pub mod e2e;
pub mod hostile;
pub mod sim;
