//! Frames between client and broker, and the handshake that opens a connection. `docs/protocol.md` §10–§11.

mod code;
mod frame;
mod handshake;
mod item;
#[cfg(test)]
mod tests;

pub use code::{Closing, ErrorCode};
pub use frame::*;
pub use handshake::{
    Challenge, CheckedHello, ClientHandshake, HandshakeError, HelloMode, Limits, Resume, SentProof, Transcript,
    Welcome, WelcomeBody, answer_hello, check_hello,
};
pub use item::{Delivered, DevicePresence, LogTail, Notice, NumberedNotice, Outcome};

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "claudemesh.v1";
/// The path of the WebSocket endpoint.
pub const CONNECT_PATH: &str = "/v1/connect";
/// The only protocol version so far.
pub const VERSION: u64 = 1;
/// No frame is larger, in bytes.
pub const MAX_FRAME: usize = 256 * 1024;
