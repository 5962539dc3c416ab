//! Protocol and cryptography of claudemesh.
//!
//! This crate is pure: it is synchronous, `no_std` with `alloc`, and has no sockets, files, tasks, clock or
//! operating-system randomness. Time and randomness are arguments. `docs/protocol.md` is its normative description.
//!
//! # Example
//!
//! ```
//! use claudemesh_core::SigningKey;
//!
//! let key = SigningKey::from_seed(&[7; 32]);
//! let device = key.public().device_id();
//! assert_eq!(device.to_string().len(), 64);
//! ```
#![no_std]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod address;
pub mod codec;
pub mod device;
pub mod envelope;
pub mod grant;
pub mod hash;
pub mod head;
pub mod id;
pub mod invite;
pub mod key;
pub mod log;
pub mod merkle;
pub mod presence;
pub mod receipt;
pub mod record;
pub mod roster;
pub mod runs;
pub mod safety;
pub mod seal;
pub mod session;
pub mod testing;
pub mod time;
pub mod wire;

pub use address::{Address, AddressError, Name, NameError};
pub use head::RosterHead;
pub use id::{DeviceId, InviteId, LogId, MemberId, MeshId, MessageId, ParseIdError};
pub use key::{PrekeySecret, PublicKey, Signature, SigningKey};
pub use roster::Roster;
pub use time::{Millis, Seconds};
