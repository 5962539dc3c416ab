//! The Python module of claudemesh, as far as it is Rust: `claudemesh._claudemesh`.
//!
//! It converts, calls [`claudemesh_client`] and maps the error. The package around it, `python/claudemesh`, gives the
//! calls their names, types and documentation, once for asyncio and once without.

mod argument;
mod bridge;
mod broker;
mod call;
mod error;
mod group;
mod handle;
mod memory;
mod mesh;
mod message;
mod notification;
mod offline;
mod open;
mod record;
mod runtime;
mod state;
mod stream;
mod task;
mod topic;

/// What the package is made of. Programs use `claudemesh` instead.
#[pyo3::pymodule]
mod _claudemesh {
    #[pymodule_export]
    use super::broker::{Broker, start_broker};
    #[pymodule_export]
    use super::call::Call;
    #[pymodule_export]
    use super::error::error_kinds;
    #[pymodule_export]
    use super::group::Groups;
    #[pymodule_export]
    use super::handle::close_all;
    #[pymodule_export]
    use super::memory::SharedMemory;
    #[pymodule_export]
    use super::mesh::Mesh;
    #[pymodule_export]
    use super::message::{Delivered, Received, SentMessage};
    #[pymodule_export]
    use super::notification::Notifications;
    #[pymodule_export]
    use super::offline::{read_link, safety_number};
    #[pymodule_export]
    use super::open::{join, join_in_memory, open, templates, up};
    #[pymodule_export]
    use super::state::SharedState;
    #[pymodule_export]
    use super::stream::Stream;
    #[pymodule_export]
    use super::task::{ClaimedTask, Tasks};
    #[pymodule_export]
    use super::topic::Topic;

    #[pymodule_export]
    #[expect(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
