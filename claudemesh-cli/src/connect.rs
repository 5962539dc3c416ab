//! The way to this home's daemon.

use std::process::Command;
use std::sync::Arc;

use claudemesh_client::daemon;
use claudemesh_client::service::Service;
use claudemesh_client::{Attached, Error, ErrorKind, Home};

use crate::args::Global;

/// Attaches to the home's daemon, and starts one first when none runs.
///
/// # Errors
/// The home cannot be used, or no daemon can be started or reached.
pub(crate) async fn connect(_options: &Global) -> Result<Arc<dyn Service>, Error> {
    let home = Home::from_env()?;
    let binary = std::env::current_exe().map_err(|error| {
        Error::new(ErrorKind::Internal, "cannot find the claudemesh binary to start the daemon").with_source(error)
    })?;
    let attached = daemon::ensure(&home, || {
        let mut command = Command::new(binary);
        command.arg("daemon");
        command
    });
    Ok(Arc::new(attached.await?))
}

/// Attaches to the home's daemon if one runs. Starts none.
///
/// # Errors
/// None runs, or it cannot be reached.
pub(crate) async fn attach() -> Result<Arc<dyn Service>, Error> {
    Ok(Arc::new(Attached::open(&Home::from_env()?).await?))
}

/// Stops the home's daemon and waits until it has ended; false when none runs. Starts none.
///
/// # Errors
/// The daemon does not end in time, or is another user's.
pub(crate) async fn stop(_options: &Global) -> Result<bool, Error> {
    Attached::stop(&Home::from_env()?).await
}
