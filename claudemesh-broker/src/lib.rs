//! The claudemesh broker: stores and forwards what members sealed.
//!
//! [`Broker::bind`] serves it over WebSockets. The [`Engine`] underneath has no sockets and no clock.
#![warn(missing_docs)]

mod config;
mod connection;
mod engine;
mod folds;
mod http;
mod keyfile;
mod limit;
mod listen;
mod presence;
mod routing;
mod server;
pub mod store;

pub use config::{AllowCreate, Config, EngineConfig};
pub use connection::{Conn, ConnectionId, Outbox};
pub use engine::{Answer, Engine, OpenError};
pub use folds::{CoreFolds, MeshLog, MeshRoster};
pub use keyfile::KeyFileError;
pub use limit::Rate;
pub use server::{Broker, BrokerError};
