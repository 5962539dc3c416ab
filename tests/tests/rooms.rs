//! Conversations and shared knowledge over a real broker, in this process.

#[path = "rooms/town.rs"]
mod town;

#[path = "rooms/history.rs"]
mod history;
#[path = "rooms/shared.rs"]
mod shared;
#[path = "rooms/topics.rs"]
mod topics;
