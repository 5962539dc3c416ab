//! The embedded backend: a home's meshes inside this process.
//!
//! [`Node`] owns the store and one driver per mesh and answers the [`Service`]. Rules of delivery and trust live in the
//! core's session, what is durable in the store; here requests are checked, names resolved and answers put into words.

mod driver;
mod enter;
mod feed;
#[cfg_attr(not(any(test, feature = "testing")), expect(unreachable_pub))]
pub(crate) mod held;
mod hosts;
mod membership;
mod messages;
mod rooms;
mod service;
mod transport;
mod view;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use claudemesh_core::session::{Append, AppendError, Command, Fault, Session};
use claudemesh_core::{MeshId, PublicKey};
use futures_util::future::BoxFuture;
use tokio::sync::{RwLock, oneshot};

use crate::api;
use crate::error::{Error, ErrorKind};
use crate::home::{Home, HomeLock};
use crate::service::{MeshSelector, Service};
use crate::store::{Extra, MeshColumn, MeshRow, Store, now_ms};
use driver::{Handle, Order, Start};

/// How long a roster change may take.
const APPEND_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a reader waits for the first connection after a start.
const CATCH_UP: Duration = Duration::from_secs(2);
/// The warning where older parts of what a mesh shares cannot be read yet.
const INCOMPLETE: &str = "incomplete";
/// How often what is past its retention is deleted.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);

/// A broker that a home hosts beside its meshes. The frontends bring it: this crate knows no broker.
pub trait BrokerHost: Send + Sync {
    /// Starts the broker, or returns the one that runs. `listen` is kept for later starts; none uses what was kept.
    fn start<'a>(&'a self, listen: Option<&'a str>) -> BoxFuture<'a, Result<HostedBroker, Error>>;
    /// The broker that runs.
    fn running(&self) -> Option<HostedBroker>;
    /// Stops it.
    fn stop(&self) -> BoxFuture<'_, ()>;
}

/// A broker that runs in this process.
#[derive(Clone, Debug)]
pub struct HostedBroker {
    /// Its address.
    pub url: String,
    /// Its public key.
    pub key: [u8; 32],
}

/// The embedded backend of a home, or of a mesh in memory.
pub struct Node {
    store: Store,
    home: String,
    host: Option<Arc<dyn BrokerHost>>,
    meshes: Arc<RwLock<Vec<Arc<Active>>>>,
    hosts: Arc<hosts::Hosts>,
    /// One creation or join at a time, so that two never take one label.
    entering: tokio::sync::Mutex<()>,
    lock: Mutex<Option<HomeLock>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("home", &self.home).finish_non_exhaustive()
    }
}

/// A mesh of the home, running or ended.
struct Active {
    row: Mutex<MeshRow>,
    id: MeshId,
    store_row: i64,
    /// Of an ended mesh too, which then never connects and only lets its session be read. None when it does not load.
    handle: Option<Handle>,
    /// Sends that name their own id, one at a time.
    sending: tokio::sync::Mutex<()>,
    known: rooms::Known,
    /// Changes that depend on what is there already, one at a time.
    turns: tokio::sync::Mutex<()>,
    /// Named changes of rooms.
    making: rooms::Making,
}

impl Active {
    fn row(&self) -> MeshRow {
        self.row.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn edit(&self, edit: impl FnOnce(&mut MeshRow)) {
        edit(&mut self.row.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn handle(&self) -> Result<&Handle, Error> {
        self.handle.as_ref().ok_or_else(|| self.ended())
    }

    fn is_active(&self) -> bool {
        is_active(&self.row())
    }

    /// What goes with everything said about it.
    fn warnings(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.handle.iter().flat_map(|handle| {
            let skewed = handle.shared.has_clock_skew().then_some(Fault::ClockSkew.as_str());
            skewed.into_iter().chain(handle.shared.is_incomplete().then_some(INCOMPLETE))
        })
    }

    fn ended(&self) -> Error {
        let MeshRow { label, state, .. } = self.row();
        let (what, then) = match state.as_str() {
            "removed" => (format!("you were removed from the mesh {label:?}"), "a fresh invite lets you join again"),
            "left" => (format!("you have left the mesh {label:?}"), "a fresh invite lets you join again"),
            "closed" => (format!("the mesh {label:?} was closed"), "a new one is made by `claudemesh up --mesh LABEL`"),
            _ => (format!("the mesh {label:?} has ended here"), "see `claudemesh mesh list`"),
        };
        Error::new(ErrorKind::Refused, what)
            .with_hint(format!("`claudemesh inbox --mesh {label}` still shows what came; {then}"))
    }

    fn has_caught_up(&self) -> bool {
        self.handle.as_ref().is_none_or(|handle| *handle.shared.caught_up.borrow())
    }

    /// Right after a start, what waited at the broker belongs to an answer; an unreachable one does not hold it up.
    async fn catch_up(&self) {
        if let Some(handle) = &self.handle {
            let mut caught_up = handle.shared.caught_up.subscribe();
            let _ = tokio::time::timeout(CATCH_UP, caught_up.wait_for(|done| *done)).await;
        }
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Session, &MeshRow) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let row = self.row();
        self.handle()?.look(move |session| look(session, &row)).await
    }
}

/// Opens the embedded backend of a home whose lock the caller holds.
pub(crate) async fn open_home(home: &Home) -> Result<Arc<dyn Service>, Error> {
    Ok(Arc::new(Node::open_at(home, None, None).await?))
}

/// Joins a mesh with a key that exists only in memory.
pub(crate) async fn open_memory(request: api::JoinRequest) -> Result<Arc<dyn Service>, Error> {
    let node = Node::new(Store::open(None)?, "memory".into(), None, None);
    node.sweep_now_and_then();
    node.enter_by_link(request, claudemesh_core::roster::Kind::Service).await?;
    Ok(Arc::new(node))
}

impl Node {
    /// Opens a home: its store, its embedded broker if it has one, and every mesh.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] or [`ErrorKind::Unwritable`] for the store, [`ErrorKind::Unreachable`] when the embedded
    /// broker cannot start.
    pub async fn open(lock: HomeLock, host: Option<Arc<dyn BrokerHost>>) -> Result<Self, Error> {
        let home = lock.home().clone();
        Self::open_at(&home, Some(lock), host).await
    }

    fn new(store: Store, home: String, host: Option<Arc<dyn BrokerHost>>, lock: Option<HomeLock>) -> Self {
        let meshes = Arc::<RwLock<Vec<Arc<Active>>>>::default();
        Self {
            hosts: hosts::Hosts::new(store.clone(), Arc::clone(&meshes)),
            store,
            home,
            host,
            meshes,
            entering: tokio::sync::Mutex::default(),
            lock: Mutex::new(lock),
        }
    }

    async fn open_at(home: &Home, lock: Option<HomeLock>, host: Option<Arc<dyn BrokerHost>>) -> Result<Self, Error> {
        let store = Store::open(Some(&home.data_dir().join("store.db")))?;
        let node = Self::new(store, home.display().to_string(), host, lock);
        node.hosts.load().await?;
        for row in node.store.meshes().await? {
            if row.embedded && is_active(&row) {
                node.host()?.start(None).await?;
            }
            node.activate(row).await?;
        }
        node.sweep_now_and_then();
        Ok(node)
    }

    fn host(&self) -> Result<&Arc<dyn BrokerHost>, Error> {
        self.host.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Usage, "this program hosts no broker")
                .with_hint("name one with --broker URL, or use the `claudemesh` command")
        })
    }

    fn sweep_now_and_then(&self) {
        tokio::spawn(rooms::upkeep::erase_posts(self.store.clone()));
        let store = self.store.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
            loop {
                ticks.tick().await;
                if store.sweep(now_ms()).await.is_err_and(|error| error.kind() == ErrorKind::Internal) {
                    return;
                }
            }
        });
    }

    /// Starts a mesh's driver. That of an ended mesh stays offline: what the home keeps of it can still be read.
    async fn activate(&self, mut row: MeshRow) -> Result<Arc<Active>, Error> {
        let id = MeshId::from_bytes(row.mesh);
        if row.embedded
            && let Some(broker) = self.host.as_ref().and_then(|host| host.running())
            && broker.url != row.broker_url
        {
            self.store.set_mesh_text(row.row, MeshColumn::Broker, broker.url.clone()).await?;
            row.broker_url = broker.url;
        }
        let broker_key = PublicKey::from_bytes(&row.broker_key)
            .map_err(|error| Error::new(ErrorKind::Corrupt, "the stored broker key is damaged").with_source(error))?;
        let start = Start {
            store: self.store.clone(),
            row: row.row,
            mesh: id,
            seed: row.device_seed.clone(),
            broker_key,
            url: row.broker_url.clone(),
            insecure: row.insecure,
            name: Some(row.name.clone()),
            ended: match row.state.as_str() {
                "active" => None,
                "closed" => Some(Fault::MeshClosed),
                _ => Some(Fault::Removed),
            },
        };
        let handle = if is_active(&row) {
            let handle = Handle::start(start).await?;
            let unlabelled = handle
                .look(|session| session.directory().label().is_none() && view::own_role(session) == "owner")
                .await?;
            if unlabelled {
                handle.command(Command::SetLabel(row.label.clone())).await?;
            }
            Some(handle)
        } else {
            let started = Handle::start(start).await;
            if let Err(error) = &started {
                // The home's other meshes must not suffer from one that is over.
                tracing::warn!(mesh = %id.short(), kind = error.kind().code(), "an ended mesh cannot be read");
            }
            started.ok()
        };
        let active = Arc::new(Active {
            id,
            store_row: row.row,
            row: Mutex::new(row),
            handle,
            sending: Default::default(),
            known: Default::default(),
            turns: Default::default(),
            making: Default::default(),
        });
        self.meshes.write().await.push(active.clone());
        if active.is_active() {
            rooms::upkeep::start(&self.store, &active);
            self.hosts.follow(&active).await;
        }
        Ok(active)
    }

    /// The mesh a selector names.
    async fn mesh(&self, selector: MeshSelector<'_>) -> Result<Arc<Active>, Error> {
        let meshes = self.meshes.read().await;
        match selector {
            Some(text) => pick(&meshes, text),
            None => {
                // An ended mesh is meant only where no other is left: its mail stays readable.
                let active: Vec<_> = meshes.iter().filter(|mesh| mesh.is_active()).collect();
                let fits = if active.is_empty() { meshes.iter().collect() } else { active };
                match fits[..] {
                    [only] => Ok(only.clone()),
                    [] => Err(Error::new(ErrorKind::NotFound, "this home is in no mesh yet")
                        .with_hint("create one with `claudemesh up`, or join one with `claudemesh join LINK`")),
                    _ => fits.into_iter().find(|mesh| mesh.row().selected).cloned().ok_or_else(|| several(&meshes)),
                }
            }
        }
    }

    /// The driver of a mesh that this home still belongs to.
    async fn live<'a>(&self, mesh: &'a Active) -> Result<&'a Handle, Error> {
        self.note_end(mesh).await?;
        if !mesh.is_active() {
            return Err(mesh.ended());
        }
        mesh.handle()
    }

    /// Appends to a mesh's roster and waits for the entry.
    async fn append(&self, mesh: &Active, append: Append, extra: Option<Extra>) -> Result<u64, Error> {
        let handle = self.live(mesh).await?;
        wait_ready(handle).await?;
        let (reply, answer) = oneshot::channel();
        handle.order(Order::Append { append, extra, reply }).await?;
        match tokio::time::timeout(APPEND_TIMEOUT, answer).await {
            Ok(Ok(result)) => result.map_err(append_error),
            Ok(Err(_)) => Err(unreachable_broker()),
            Err(_) => Err(Error::new(ErrorKind::Timeout, "the broker did not answer in time")
                .with_hint("the change may still have been made: look before you repeat it")),
        }
    }

    /// Writes down that a mesh has ended here, once its session says so.
    async fn note_end(&self, mesh: &Active) -> Result<(), Error> {
        let Some(handle) = &mesh.handle else { return Ok(()) };
        let state = match handle.shared.end() {
            None => return Ok(()),
            Some(Fault::MeshClosed) => "closed",
            Some(_) => "removed",
        };
        if mesh.is_active() {
            self.set_state(mesh, state).await?;
        }
        Ok(())
    }

    async fn set_state(&self, mesh: &Active, state: &str) -> Result<(), Error> {
        self.store.set_mesh_text(mesh.store_row, MeshColumn::State, state.to_owned()).await?;
        mesh.edit(|row| state.clone_into(&mut row.state));
        Ok(())
    }

    async fn stop_all(&self) {
        for mesh in self.meshes.write().await.drain(..) {
            if let Some(handle) = &mesh.handle {
                handle.stop().await;
            }
        }
        if let Some(host) = &self.host {
            host.stop().await;
        }
        self.store.close().await;
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn is_active(row: &MeshRow) -> bool {
    row.state == "active"
}

fn pick(meshes: &[Arc<Active>], text: &str) -> Result<Arc<Active>, Error> {
    if let Some(mesh) = meshes.iter().find(|mesh| mesh.row().label == text) {
        return Ok(mesh.clone());
    }
    let fits: Vec<_> = meshes.iter().filter(|mesh| text.len() >= 8 && mesh.id.to_string().starts_with(text)).collect();
    match fits[..] {
        [mesh] => Ok(mesh.clone()),
        [] => Err(Error::new(ErrorKind::NotFound, format!("this home has no mesh {text:?}"))
            .with_hint(format!("it has: {}", labels(meshes)))),
        _ => Err(Error::new(ErrorKind::Ambiguous, format!("{text:?} fits several meshes"))
            .with_hint(format!("name one of: {}", labels(meshes)))),
    }
}

fn labels(meshes: &[Arc<Active>]) -> String {
    let labels: Vec<String> = meshes.iter().map(|mesh| mesh.row().label).collect();
    if labels.is_empty() { "none yet; create one with `claudemesh up`".into() } else { labels.join(", ") }
}

fn several(meshes: &[Arc<Active>]) -> Error {
    Error::new(ErrorKind::Ambiguous, "this home is in several meshes and none is selected")
        .with_hint(format!("`claudemesh mesh use LABEL`, or --mesh LABEL; the labels: {}", labels(meshes)))
}

fn unreachable_broker() -> Error {
    Error::new(ErrorKind::Unreachable, "the broker cannot be reached")
        .with_hint("this needs the broker; `claudemesh status` shows what is wrong")
}

/// Waits a moment for a connection that is just being made.
async fn wait_ready(handle: &Handle) -> Result<(), Error> {
    let mut ready = handle.shared.ready.subscribe();
    let waiting = tokio::time::timeout(Duration::from_secs(5), ready.wait_for(|ready| *ready));
    match waiting.await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(unreachable_broker()),
    }
}

fn append_error(error: AppendError) -> Error {
    use claudemesh_core::roster::RosterError;
    use claudemesh_core::wire::ErrorCode;
    match error {
        AppendError::Offline => unreachable_broker(),
        AppendError::Invalid(RosterError::NotAllowed) => {
            Error::new(ErrorKind::Refused, "your role does not permit this").with_hint("ask an admin or the owner")
        }
        AppendError::Invalid(rule) => Error::new(ErrorKind::Refused, format!("not possible: {rule}")),
        AppendError::Refused(ErrorCode::RateLimited) => {
            Error::new(ErrorKind::Refused, "the broker's limit of roster changes per member and day is reached")
                .with_hint("try again tomorrow")
        }
        AppendError::Refused(code) => Error::new(ErrorKind::Refused, format!("the broker refused it: {code}")),
        _ => Error::new(ErrorKind::Refused, error.to_string()),
    }
}
