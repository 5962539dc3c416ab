//! The broker over real sockets.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod health;
mod socket;
