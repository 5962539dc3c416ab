//! The daemon's listening socket: bound by the holder of the home's lock, and put back when something removes it.

use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};

use crate::error::{Error, ErrorKind};
use crate::home::unwritable;

/// How often we look whether the socket is still there. Runtime folders are emptied at logout, `/tmp` by age.
const LOOK: Duration = Duration::from_secs(2);
/// Pause after a failed accept, which mostly means too many open files.
const BREATH: Duration = Duration::from_millis(50);

/// A bound socket as a listener for the server.
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

/// The file of a socket.
pub(super) struct SocketFile(PathBuf);

impl Socket {
    /// Binds. What lies there is stale, because the caller holds the home's lock; only a socket is ever removed.
    pub(super) fn bind(path: &Path) -> Result<Self, Error> {
        match path.symlink_metadata() {
            Ok(metadata) if metadata.file_type().is_socket() => {
                std::fs::remove_file(path).map_err(|error| unwritable(path, error))?;
            }
            Ok(_) => {
                let message = format!("{} is where the socket should be, and is none", path.display());
                return Err(Error::new(ErrorKind::Unwritable, message).with_hint("move it away"));
            }
            Err(_) => {}
        }
        let listener = listen(path).map_err(|error| unwritable(path, error))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    pub(super) fn file(&self) -> SocketFile {
        SocketFile(self.path.clone())
    }

    fn put_back(&mut self) {
        if !matches!(self.path.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound) {
            return;
        }
        match listen(&self.path) {
            Ok(listener) => {
                tracing::warn!("the socket was removed by another program and put back");
                self.listener = listener;
            }
            Err(error) => tracing::debug!(%error, "the socket is gone and cannot be put back yet"),
        }
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        std::fs::DirBuilder::new().mode(0o700).create(folder)?;
    }
    // The folder lets nobody else in, so the moment before the mode is set is not seen by anybody.
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

impl SocketFile {
    pub(super) fn remove(&self) {
        let there = self.0.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
        if there && let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(%error, "the socket stays behind");
        }
    }
}

impl axum::serve::Listener for Socket {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (UnixStream, SocketAddr) {
        loop {
            match tokio::time::timeout(LOOK, self.listener.accept()).await {
                Ok(Ok(accepted)) => return accepted,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
                Err(_) => self.put_back(),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
