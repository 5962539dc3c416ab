//! The daemon inside this process: the node, its embedded broker and the local API, composed.

use std::sync::Arc;

use claudemesh_client::daemon::{self, Daemon};
use claudemesh_client::node::Node;
use claudemesh_client::service::Service;
use claudemesh_client::{Error, Home, HomeLock};
use futures_util::future::BoxFuture;

use crate::args::Global;
use crate::hosting::EmbeddedBroker;

/// Serves until the given future ends, or a request asks the daemon to stop; then stops in order.
pub(crate) type Serve = Box<dyn FnOnce(BoxFuture<'static, ()>) -> BoxFuture<'static, Result<(), Error>> + Send>;

/// A daemon that runs in this process.
pub(crate) struct Running {
    /// What it serves.
    pub(crate) service: Arc<dyn Service>,
    /// Its life.
    pub(crate) serve: Serve,
}

async fn open(lock: HomeLock) -> Result<Arc<dyn Service>, Error> {
    let host = EmbeddedBroker::new(lock.home().broker_dir());
    Ok(Arc::new(Node::open(lock, Some(Arc::new(host))).await?))
}

/// Starts the daemon in this process, for `up --foreground`.
///
/// # Errors
/// The home is locked, corrupt or not writable.
pub(crate) async fn start(_options: &Global) -> Result<Running, Error> {
    let home = Home::from_env()?;
    let lock = daemon::lock(&home).await?;
    let service = open(lock.clone()).await?;
    let daemon = Daemon::serve(Arc::clone(&service), lock).await?;
    let serve: Serve = Box::new(move |stop| Box::pin(daemon.until(stop)));
    Ok(Running { service, serve })
}

/// The whole life of a daemon process, as the on-demand start runs it.
///
/// # Errors
/// As [`start`], and what the daemon meets while it stops.
pub(crate) async fn run_daemon(_options: &Global, stop: BoxFuture<'static, ()>) -> Result<(), Error> {
    daemon::run(&Home::from_env()?, open, stop).await
}
