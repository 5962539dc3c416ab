//! The local daemon: one process per home that serves its [`Service`] to the user's other programs.
//!
//! The local API is HTTP/1.1 with JSON on a Unix socket that only its owner can open. Every route is one call of
//! [`Service`], its parameters in the query, its request in the body; `GET /v1/events` is a stream of server-sent
//! events whose ids are positions. Every answer that is not a success has [`crate::api::ErrorBody`] as its body.
//!
//! No rule lives here, and the daemon logs routes and times, never what they carry.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::{Error, ErrorKind};
use crate::home::{Holder, HomeLock};
use crate::service::Service;
use socket::Socket;

mod extract;
mod rooms;
mod routes;
mod sessions;
mod socket;
mod start;

pub use start::{ensure, lock, run};

/// How long requests that are under way may take to end when the daemon stops.
const DRAIN: Duration = Duration::from_secs(10);
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// A daemon that serves. Dropping it tells it to stop; [`Daemon::shutdown`] also waits until it has.
#[derive(Debug)]
pub struct Daemon {
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<Result<(), Error>>>,
    socket: PathBuf,
}

impl Daemon {
    /// Serves a home that this process holds, on the home's socket.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when the lock is not a daemon's, [`ErrorKind::Unwritable`] when the socket cannot be made.
    pub async fn serve(service: Arc<dyn Service>, lock: HomeLock) -> Result<Self, Error> {
        if lock.holder() != Holder::Daemon {
            return Err(Error::new(ErrorKind::Usage, "the home was not taken for a daemon"));
        }
        let path = lock.home().prepare_socket()?;
        let listener = Socket::bind(&path)?;
        lock.note_socket(&path)?;
        let (stop, stopped) = watch::channel(false);
        let router = routes::router(Arc::clone(&service), stop.clone());
        tracing::info!(pid = std::process::id(), "serving");
        let task = tokio::spawn(serve(service, lock, listener, router, stopped));
        Ok(Self { stop, task: Some(task), socket: path })
    }

    /// The socket it answers on.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Waits until it was told to stop by a request, and has.
    ///
    /// # Errors
    /// What the service met while it stopped.
    pub async fn join(mut self) -> Result<(), Error> {
        self.ended().await
    }

    /// Stops: ends streams, lets requests finish, stops the service and removes the socket.
    ///
    /// # Errors
    /// As [`Daemon::join`].
    pub async fn shutdown(mut self) -> Result<(), Error> {
        self.stop.send_replace(true);
        self.ended().await
    }

    /// Serves until `stop` ends or a request asks for the end; then stops in order.
    ///
    /// # Errors
    /// As [`Daemon::join`].
    pub async fn until(mut self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::select! {
            result = self.ended() => return result,
            () = stop => {}
        }
        self.shutdown().await
    }

    async fn ended(&mut self) -> Result<(), Error> {
        // Taken only when it has ended: this future may be dropped before.
        let Some(task) = &mut self.task else { return Ok(()) };
        let result = task.await;
        self.task = None;
        result.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Internal, "the daemon's task ended by itself").with_source(error))
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

async fn serve(
    service: Arc<dyn Service>,
    lock: HomeLock,
    listener: Socket,
    router: axum::Router,
    stopped: watch::Receiver<bool>,
) -> Result<(), Error> {
    let file = listener.file();
    let server = axum::serve(listener, router).with_graceful_shutdown(until(stopped.clone()));
    let late = async {
        until(stopped.clone()).await;
        tokio::time::sleep(DRAIN).await;
    };
    let housekeeping = async {
        loop {
            tokio::time::sleep(HOUSEKEEPING).await;
            let home = lock.home().clone();
            // Nothing depends on its result; it reports by itself.
            drop(tokio::task::spawn_blocking(move || home.trim_log()).await);
        }
    };
    tokio::select! {
        result = server => if let Err(error) = result {
            tracing::error!(%error, "the local API ended");
        },
        () = late => tracing::warn!("some requests did not end and were dropped"),
        () = housekeeping => {}
    }
    let result = service.shutdown().await;
    drop(service);
    // The last thing others see: without the socket, the daemon is gone. The lock follows at once.
    file.remove();
    drop(lock);
    tracing::info!("stopped");
    result
}

/// Waits until a stop is asked for, or nobody is left to ask.
async fn until(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests;
