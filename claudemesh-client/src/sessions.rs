//! The rules of sessions that hosts run on this device: which there are and what they are called, what they are doing, and
//! which message is handed to one when. Pure: times and whether a process lives are arguments.

pub(crate) mod gate;
pub(crate) mod guard;
pub(crate) mod name;
pub(crate) mod notice;
mod process;
pub(crate) mod registry;

pub(crate) use process::Process;
pub(crate) use registry::{Entry, Registry};

pub use notice::notices_in;
