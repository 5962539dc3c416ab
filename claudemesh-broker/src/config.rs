//! How a broker is set up. Defaults suit one machine or one team.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use claudemesh_core::wire::Limits;
use claudemesh_core::{MeshId, SigningKey};
use rand_core::{CryptoRng, UnwrapErr};

use crate::limit::Rate;
use crate::store::Store;

/// Who may bring a mesh that the broker does not have. A mesh it has can always be given further valid entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllowCreate {
    /// Anyone who reaches the broker.
    #[default]
    Anyone,
    /// Anyone, as long as the broker has no mesh.
    WhenEmpty,
    /// The meshes with these ids.
    Listed(BTreeSet<MeshId>),
}

/// The engine's settings: everything that does not concern sockets and files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineConfig {
    /// Who may bring a new mesh.
    pub allow_create: AllowCreate,
    /// What `welcome` announces. Mailbox rows and time to live are also the store's, when the broker opens it itself.
    pub limits: Limits,
    /// Connections at one time.
    pub max_connections: usize,
    /// Meshes the broker takes.
    pub max_meshes: u64,
    /// Rosters kept in memory while nobody of their mesh is connected.
    pub cached_meshes: usize,
    /// Logs one connection may follow.
    pub max_follows: usize,
    /// Milliseconds a connection has for the head of its HTTP request, and once it is a WebSocket for its hello.
    pub hello_timeout: u64,
    /// Milliseconds without any frame after which a connection is closed.
    pub idle_timeout: u64,
    /// Milliseconds without a receipt after which mail is pushed again.
    pub redelivery: u64,
    /// Milliseconds within which a device that comes back was not away.
    pub presence_grace: u64,
    /// Longest lease of a presence, in seconds.
    pub max_lease: u64,
    /// Envelopes of one connection.
    pub envelope_rate: Rate,
    /// All other requests of one connection.
    pub request_rate: Rate,
    /// Presences of one connection.
    pub presence_rate: Rate,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            allow_create: AllowCreate::default(),
            limits: Limits::default(),
            max_connections: 10_000,
            max_meshes: 10_000,
            cached_meshes: 1_000,
            max_follows: 1_024,
            hello_timeout: 10_000,
            idle_timeout: 75_000,
            redelivery: 30_000,
            presence_grace: 5_000,
            max_lease: 600,
            envelope_rate: Rate { burst: 20_000, per_second: 20_000 },
            request_rate: Rate { burst: 2_000, per_second: 1_000 },
            presence_rate: Rate { burst: 5, per_second: 1 },
        }
    }
}

/// Where a broker keeps its state.
#[derive(Clone, Debug)]
pub(crate) enum StoreChoice {
    Memory,
    Directory(PathBuf),
    Given(Arc<dyn Store>),
}

/// How a broker is set up.
///
/// ```
/// use claudemesh_broker::Config;
///
/// let config = Config::in_memory().with_listen(([127, 0, 0, 1], 0).into());
/// ```
pub struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) store: StoreChoice,
    pub(crate) key: Option<SigningKey>,
    pub(crate) engine: EngineConfig,
    pub(crate) rng: Box<dyn CryptoRng + Send>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { listen, store, engine, .. } = self;
        f.debug_struct("Config")
            .field("listen", listen)
            .field("store", store)
            .field("engine", engine)
            .finish_non_exhaustive()
    }
}

impl Config {
    fn new(store: StoreChoice) -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            store,
            key: None,
            engine: EngineConfig::default(),
            rng: Box::new(UnwrapErr(getrandom::SysRng)),
        }
    }

    /// A broker that forgets everything when it ends, on a free port of the loopback.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(StoreChoice::Memory)
    }

    /// A broker with its database and key in this folder, which is created when it is missing; on a free port of the
    /// loopback.
    #[must_use]
    pub fn in_directory(path: impl Into<PathBuf>) -> Self {
        Self::new(StoreChoice::Directory(path.into()))
    }

    /// A broker over a store that is open already; on a free port of the loopback.
    #[must_use]
    pub fn over(store: Arc<dyn Store>) -> Self {
        Self::new(StoreChoice::Given(store))
    }

    /// Listens on this address instead. Port 0 is any free port.
    #[must_use]
    pub fn with_listen(mut self, listen: SocketAddr) -> Self {
        self.listen = listen;
        self
    }

    /// Takes this key instead of the one in the folder, or of a fresh one without a folder.
    #[must_use]
    pub fn with_key(mut self, key: SigningKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Takes randomness from here instead of the operating system.
    #[must_use]
    pub fn with_rng(mut self, rng: impl CryptoRng + Send + 'static) -> Self {
        self.rng = Box::new(rng);
        self
    }

    /// Changes the engine's settings.
    #[must_use]
    pub fn with_engine(mut self, change: impl FnOnce(&mut EngineConfig)) -> Self {
        change(&mut self.engine);
        self
    }
}
