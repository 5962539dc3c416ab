//! The signals that ask a long-running verb to end.

use claudemesh_client::{Error, ErrorKind};
use futures_util::future::{BoxFuture, FutureExt};
use tokio::signal::unix::{SignalKind, signal};

/// Ends at the first SIGINT or SIGTERM after this call.
///
/// # Errors
/// The system does not let this process listen for signals.
pub(crate) fn interrupted() -> Result<BoxFuture<'static, ()>, Error> {
    let listen = |kind| {
        signal(kind).map_err(|error| {
            Error::new(ErrorKind::Internal, "this process cannot listen for signals").with_source(error)
        })
    };
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
    .boxed())
}
