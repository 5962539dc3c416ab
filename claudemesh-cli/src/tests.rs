//! The whole program against a service made for the test: what it prints, calls, and returns.

mod errors;
mod human;
mod json;
mod man;
mod projecting;
mod reading;
mod rooms;
mod sending;
mod skill;
mod warnings;
