//! The listener: takes connections and hands their requests to the router.
//!
//! Who connects and says nothing, or says it byte by byte, is closed after a while, and only so many may be at it at one
//! time. A connection that became a WebSocket is the engine's, which has limits of its own.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Connections that are not WebSockets yet; further ones wait in the operating system's queue.
const MAX_PLAIN: u32 = 1024;

/// Serves until told to stop, then until the last plain request is answered. `patience` is for the head of a request, the
/// first one and those that follow it on the same connection.
pub(crate) async fn serve(
    mut listener: TcpListener,
    router: Router,
    patience: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(MAX_PLAIN as usize));
    let service = TowerToHyperService::new(router);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            // Retries what concerns one connection only, and pauses when files run out.
            (place, Listener::accept(&mut listener).await)
        };
        let (place, (stream, _)) = tokio::select! {
            () = told(&mut stop) => break,
            next = next => next,
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let connection = http.serve_connection(TokioIo::new(stream), service.clone()).with_upgrades();
        let mut stop = stop.clone();
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = told(&mut stop) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a plain connection broke");
            }
            drop(place);
        });
    }
    drop(listener);
    // It is never closed, so this only waits.
    let _ = places.acquire_many(MAX_PLAIN).await;
}

async fn told(stop: &mut watch::Receiver<bool>) {
    // An error means the broker was dropped.
    let _ = stop.wait_for(|stop| *stop).await;
}
