//! The embedded broker of a home: same process as the daemon, own folder, own key, an address that is kept.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use claudemesh_broker::store::StoreError;
use claudemesh_broker::{Broker, BrokerError, Config};
use claudemesh_client::node::{BrokerHost, HostedBroker};
use claudemesh_client::{Error, ErrorKind};
use futures_util::future::BoxFuture;

/// Where the embedded broker listens unless told otherwise.
const DEFAULT_LISTEN: &str = "127.0.0.1:7900";

/// Hosts the broker of one home.
pub(crate) struct EmbeddedBroker {
    folder: PathBuf,
    running: tokio::sync::Mutex<Option<Broker>>,
    address: Mutex<Option<HostedBroker>>,
}

impl EmbeddedBroker {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), running: Default::default(), address: Mutex::default() }
    }

    fn listen_file(&self) -> PathBuf {
        self.folder.join("listen")
    }

    async fn bind(&self, listen: Option<&str>) -> Result<HostedBroker, Error> {
        let mut running = self.running.lock().await;
        let kept = std::fs::read_to_string(self.listen_file()).ok();
        if let Some(broker) = running.as_ref() {
            let wanted = listen.map(parse_listen).transpose()?;
            let same = |wanted: SocketAddr| wanted == broker.local_addr() || wanted.port() == 0;
            return match wanted {
                Some(wanted) if !same(wanted) => Err(Error::new(
                    ErrorKind::Conflict,
                    format!("the embedded broker listens on {}", broker.local_addr()),
                )
                .with_hint("stop it first with `claudemesh down`; its address is kept, because invites name it")),
                _ => Ok(hosted(broker)),
            };
        }
        let listen = parse_listen(kept.as_deref().map(str::trim).or(listen).unwrap_or(DEFAULT_LISTEN))?;
        let broker = bind(&self.folder, listen).await?;
        let address = broker.local_addr().to_string();
        if kept.as_deref().map(str::trim) != Some(&address) {
            write_private(&self.listen_file(), &address).map_err(|error| {
                Error::new(ErrorKind::Unwritable, format!("cannot write {}", self.listen_file().display()))
                    .with_hint("check the permissions and the free space of the home")
                    .with_source(error)
            })?;
        }
        let found = hosted(&broker);
        *running = Some(broker);
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
        Ok(found)
    }
}

/// Writes a small file for the owner only, so that it is there whole or not at all.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let new = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

fn hosted(broker: &Broker) -> HostedBroker {
    HostedBroker { url: broker.url(), key: *broker.public_key().as_bytes() }
}

impl BrokerHost for EmbeddedBroker {
    fn start<'a>(&'a self, listen: Option<&'a str>) -> BoxFuture<'a, Result<HostedBroker, Error>> {
        Box::pin(self.bind(listen))
    }

    fn running(&self) -> Option<HostedBroker> {
        self.address.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(broker) = self.running.lock().await.take() {
                broker.shutdown().await;
            }
            *self.address.lock().unwrap_or_else(PoisonError::into_inner) = None;
        })
    }
}

/// Reads an address to listen on.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, Error> {
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    local.as_deref().unwrap_or(text).parse().map_err(|error| {
        Error::new(ErrorKind::Usage, format!("{text:?} is no address to listen on"))
            .with_hint("for example 127.0.0.1:7900, 0.0.0.0:7900, or port 0 for a free one")
            .with_source(error)
    })
}

/// Starts a broker over a folder.
pub(crate) async fn bind(folder: &Path, listen: SocketAddr) -> Result<Broker, Error> {
    let config = Config::in_directory(folder).with_listen(listen);
    Broker::bind(config).await.map_err(|error| broker_error(error, folder, listen))
}

fn broker_error(error: BrokerError, folder: &Path, listen: SocketAddr) -> Error {
    let folder = folder.display();
    let (kind, message, hint) = match &error {
        BrokerError::Listen(source) if source.kind() == std::io::ErrorKind::AddrInUse => (
            ErrorKind::Conflict,
            format!("something else listens on {listen}"),
            "choose another address: --listen 127.0.0.1:0 takes a free port".to_owned(),
        ),
        BrokerError::Listen(source) => (
            ErrorKind::Refused,
            format!("cannot listen on {listen}: {source}"),
            "choose another address with --listen".into(),
        ),
        BrokerError::Store(StoreError::Locked) => (
            ErrorKind::Locked,
            format!("another broker uses {folder}"),
            "stop it first, or give this one a folder of its own".into(),
        ),
        BrokerError::Store(StoreError::DiskFull) => {
            (ErrorKind::Unwritable, format!("no room left for {folder}"), "free space on the disk".into())
        }
        BrokerError::Store(StoreError::UnknownSchema { .. }) => {
            (ErrorKind::Corrupt, error.to_string(), "use the newer version of claudemesh that wrote it".into())
        }
        BrokerError::Store(StoreError::Corrupt(_) | StoreError::Foreign) => (
            ErrorKind::Corrupt,
            format!("the broker's store in {folder} is damaged or not ours; it was left as it is"),
            "restore it from a copy, or move the folder away: clients offer the roster and their mail again".into(),
        ),
        _ => (
            ErrorKind::Unwritable,
            format!("cannot use {folder}: {error}"),
            "check the permissions and the free space".into(),
        ),
    };
    Error::new(kind, message).with_hint(hint).with_source(error)
}
