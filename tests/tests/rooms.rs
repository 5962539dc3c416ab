//! Conversations and shared knowledge over a real broker, in this process.

#[path = "rooms/town.rs"]
mod town;

#[path = "rooms/compaction.rs"]
mod compaction;
#[path = "rooms/history.rs"]
mod history;
#[path = "rooms/leaving.rs"]
mod leaving;
#[path = "rooms/listening.rs"]
mod listening;
#[path = "rooms/shared.rs"]
mod shared;
#[path = "rooms/templates.rs"]
mod templates;
#[path = "rooms/topics.rs"]
mod topics;
