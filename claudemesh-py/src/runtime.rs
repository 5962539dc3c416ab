//! The one tokio runtime of the module, and the process it belongs to.
//!
//! Its threads never touch Python: they are no obstacle to an interpreter that ends, and never wait for its lock.

use std::process;
use std::sync::OnceLock;

use claudemesh_client::{Error, ErrorKind};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

use crate::error;

static RUNTIME: OnceLock<Result<Started, String>> = OnceLock::new();

struct Started {
    runtime: Runtime,
    process: u32,
}

/// The runtime, started by the first call.
///
/// # Errors
/// In a process that was forked after the start: threads do not survive a fork.
pub(crate) fn runtime() -> PyResult<&'static Runtime> {
    match RUNTIME.get_or_init(start) {
        Ok(started) if started.process == process::id() => Ok(&started.runtime),
        Ok(_) => Err(error::raise(
            Error::new(ErrorKind::Usage, "this process was forked after claudemesh had started in its parent")
                .with_hint("open the mesh in the child only, or start the child anew: multiprocessing's \"spawn\""),
        )),
        Err(reason) => Err(error::raise(Error::new(ErrorKind::Internal, reason.as_str()))),
    }
}

/// Whether this process was forked after the runtime had started. Then nothing of the parent's may be touched, not even
/// to drop it: locks, sockets and files are shared with it.
pub(crate) fn is_forked() -> bool {
    matches!(RUNTIME.get(), Some(Ok(started)) if started.process != process::id())
}

/// The runtime if there is one that this process may use.
pub(crate) fn running() -> Option<&'static Runtime> {
    match RUNTIME.get() {
        Some(Ok(started)) if started.process == process::id() => Some(&started.runtime),
        _ => None,
    }
}

fn start() -> Result<Started, String> {
    // Another provider may have been installed by another user of the library; either serves.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = Builder::new_multi_thread().thread_name("claudemesh").enable_all().build();
    let runtime = runtime.map_err(|error| format!("no threads can be started: {error}"))?;
    Ok(Started { runtime, process: process::id() })
}
