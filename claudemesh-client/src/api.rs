//! The SDK's data types. `--json`, the local API and its event stream are exactly these, serialised.
//!
//! Fields are only ever added. Times are RFC 3339 UTC text; ids are hexadecimal or UUID text.

mod error;
mod event;
mod mesh;
mod message;
mod presence;
mod session;
mod shared;
mod template;
mod topic;

pub use error::*;
pub use event::*;
pub use mesh::*;
pub use message::*;
pub use presence::*;
pub use session::*;
pub use shared::*;
pub use template::*;
pub use topic::*;
