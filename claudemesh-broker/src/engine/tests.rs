//! The engine over the memory store, driven without sockets by real keys and real envelopes.

mod clock;
mod handshake;
mod log;
mod logs;
mod mail;
mod malformed;
mod presence;
mod push;
mod roster;
mod session;
mod world;
