//! The whole program against a service made for the test: what it prints, calls, and returns.

mod errors;
mod human;
mod json;
mod man;
mod reading;
mod sending;
mod warnings;
