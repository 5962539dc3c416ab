//! Sessions that hosts run on this device: registering them, showing them to peers, and handing messages to them. What is
//! handed over when is decided in [`crate::sessions`].

mod calls;
mod due;
mod hand;
mod reader;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use claudemesh_core::MemberId;
use claudemesh_core::presence::{SessionInfo, Status};
use claudemesh_core::session::Command;
use tokio::sync::{RwLock, watch};

use super::{Active, view};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::sessions::guard::Limits;
use crate::sessions::registry::Wish;
use crate::sessions::{Entry, Process, Registry};
use crate::store::{Store, now_ms};
pub(super) use reader::Reading;

/// How often it is looked whether sessions still run.
const SWEEP: Duration = Duration::from_secs(5);
/// Names of limits in the store.
const EXCHANGE: &str = "exchange";
const HOURLY: &str = "hourly";
/// Sessions shown to peers at most.
const MOST_SHOWN: usize = 32;

/// The sessions of a home, and the meshes they are in.
pub(super) struct Hosts {
    store: Store,
    meshes: Arc<RwLock<Vec<Arc<Active>>>>,
    registry: Mutex<Registry>,
    /// Counts what may let a message be handed over.
    stirred: watch::Sender<u64>,
    limits: Mutex<Limits>,
    readers: reader::Readers,
    /// One choice of what to hand over at a time: nothing is told twice at once.
    handing: tokio::sync::Mutex<()>,
    /// One change of the own presence at a time.
    pub(super) showing: tokio::sync::Mutex<()>,
}

impl Hosts {
    pub(super) fn new(store: Store, meshes: Arc<RwLock<Vec<Arc<Active>>>>) -> Arc<Self> {
        Arc::new(Self {
            store,
            meshes,
            registry: Mutex::default(),
            stirred: watch::Sender::new(0),
            limits: Mutex::default(),
            readers: reader::Readers::default(),
            handing: tokio::sync::Mutex::default(),
            showing: tokio::sync::Mutex::default(),
        })
    }

    /// Takes up what a process before this one kept.
    pub(super) async fn load(self: &Arc<Self>) -> Result<(), Error> {
        *self.registry() = Registry::load(self.store.host_sessions().await?);
        for (name, value) in self.store.limits().await? {
            let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
            match name.as_str() {
                EXCHANGE => limits.exchange = value,
                HOURLY => limits.hourly = value,
                _ => {}
            }
        }
        self.sweep().await;
        tokio::spawn(now_and_then(Arc::downgrade(self)));
        Ok(())
    }

    /// From now on mail of this mesh may be handed over.
    pub(super) async fn follow(self: &Arc<Self>, mesh: &Active) {
        let Some(handle) = &mesh.handle else { return };
        let mut committed = handle.shared.committed.subscribe();
        let hosts = Arc::downgrade(self);
        tokio::spawn(async move {
            while committed.changed().await.is_ok() {
                let Some(hosts) = hosts.upgrade() else { return };
                hosts.stir();
            }
        });
        self.show().await;
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes how much sessions are told.
    async fn limit(&self, request: api::LimitsRequest) -> Result<api::SessionLimits, Error> {
        let api::LimitsRequest { exchange, hourly } = request;
        for (name, value) in [(EXCHANGE, exchange), (HOURLY, hourly)] {
            let Some(value) = value else { continue };
            if value == 0 {
                return Err(Error::new(ErrorKind::Usage, "a limit is 1 at least")
                    .with_hint("`claudemesh status set dnd` keeps messages away"));
            }
            self.store.set_limit(name, value).await?;
        }
        let limits = {
            let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
            limits.exchange = exchange.unwrap_or(limits.exchange);
            limits.hourly = hourly.unwrap_or(limits.hourly);
            *limits
        };
        self.stir();
        Ok(api::SessionLimits { exchange: limits.exchange, hourly: limits.hourly })
    }

    fn stir(&self) {
        self.stirred.send_modify(|count| *count += 1);
    }

    /// A live session.
    fn live(&self, name: &str) -> Result<Entry, Error> {
        self.registry().get(name).filter(|entry| entry.is_live()).cloned().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("no session {name:?} runs on this device"))
                .with_hint("see `claudemesh session list`")
        })
    }

    /// Whether a message to no session in particular goes to this one.
    fn is_lead(&self, name: &str, mesh: &Active) -> bool {
        let id = mesh.id.to_string();
        let registry = self.registry();
        let mut live = registry.live().into_iter().filter(|entry| entry.mesh.as_ref().is_none_or(|mesh| *mesh == id));
        !self.readers.is_read() && live.next().is_some_and(|entry| entry.name == name)
    }

    /// The meshes that a session is in.
    async fn meshes_of(&self, mesh: Option<&str>) -> Vec<Arc<Active>> {
        let meshes = self.meshes.read().await;
        let of_it = |active: &&Arc<Active>| active.is_active() && mesh.is_none_or(|mesh| active.id.to_string() == mesh);
        meshes.iter().filter(of_it).cloned().collect()
    }

    /// Keeps what has become of sessions.
    async fn keep(&self, names: &[String]) -> Result<(), Error> {
        let (kept, gone) = {
            let mut registry = self.registry();
            let gone = registry.forget(now_ms());
            (names.iter().filter_map(|name| registry.get(name).cloned()).collect(), gone)
        };
        self.store.keep_sessions(kept, gone).await
    }

    pub(super) async fn register(
        self: &Arc<Self>,
        mesh: Option<&str>,
        request: api::SessionRegister,
    ) -> Result<api::HostSession, Error> {
        let api::SessionRegister { host, name, route } = request;
        check(&host)?;
        let process = host.pid.filter(|pid| *pid > 1).map(Process::now);
        let wish = Wish { host, process, name: name.as_deref(), mesh, route };
        let (name, before) = self.registry().register(wish, now_ms());
        if let Some(before) = before {
            self.store.rename_session(before, name.clone()).await?;
        }
        self.keep(std::slice::from_ref(&name)).await?;
        self.show_soon();
        self.stir();
        let entry = self.live(&name)?;
        self.describe(&entry).await
    }

    /// A session in words.
    async fn describe(&self, entry: &Entry) -> Result<api::HostSession, Error> {
        let (mut unread, mut posted, mut lead, mut device) = (0, 0, false, api::Activity::Idle);
        let mut paused = Vec::new();
        let members: Vec<MemberId> = entry.guard.paused(self.limits()).map(|id| MemberId::from_bytes(*id)).collect();
        for mesh in self.meshes_of(entry.mesh.as_deref()).await {
            let rows = self.store.waiting(mesh.store_row, entry.name.clone()).await?;
            unread += rows.len() as u64;
            posted += rows.iter().filter(|row| row.posted_at.is_some() && !row.injected).count() as u64;
            lead |= self.is_lead(&entry.name, &mesh);
            device = self.device_status(&mesh).await?;
            if !members.is_empty() {
                let members = members.clone();
                let known = mesh.look(move |session, row| {
                    let of_it = members.iter().filter(|id| session.roster().member(id).is_some());
                    of_it.map(|id| view::member_ref(session, row, id)).collect::<Vec<_>>()
                });
                paused.extend(known.await?);
            }
        }
        let (status, source) = entry.status(device, now_ms());
        Ok(api::HostSession {
            name: entry.name.clone(),
            host: entry.host.clone(),
            live: entry.is_live(),
            status,
            source,
            summary: entry.summary.clone(),
            route: entry.route,
            lead,
            unread,
            posted,
            since: view::time(entry.since.unsigned_abs()),
            confirmed_at: entry.confirmed.map(|at| view::time(at.unsigned_abs())),
            paused,
        })
    }

    pub(super) async fn list(&self, mesh: Option<&str>, all: bool) -> Result<api::HostSessions, Error> {
        self.sweep().await;
        let entries: Vec<Entry> = {
            let registry = self.registry();
            let ended = registry.entries().filter(|entry| all && !entry.is_live());
            registry.live().into_iter().chain(ended).cloned().collect()
        };
        let mut sessions = Vec::new();
        for entry in entries {
            if mesh.is_none() || entry.mesh.is_none() || entry.mesh.as_deref() == mesh {
                sessions.push(self.describe(&entry).await?);
            }
        }
        Ok(api::HostSessions { sessions })
    }

    /// What was set by hand for the whole device.
    async fn device_status(&self, mesh: &Active) -> Result<api::Activity, Error> {
        mesh.look(|session, _| view::activity(session.own_status().activity)).await
    }

    /// Sets a session's own presence; false when no such session runs.
    pub(super) async fn set(&self, name: &str, request: &api::PresenceRequest) -> Result<bool, Error> {
        {
            let mut registry = self.registry();
            let Some(entry) = registry.get_mut(name).filter(|entry| entry.is_live()) else { return Ok(false) };
            if let Some(status) = request.status {
                entry.set_manual(status);
            }
            if let Some(summary) = &request.summary {
                entry.summary = Some(summary.clone()).filter(|summary| !summary.is_empty());
            }
        }
        self.keep(&[name.to_owned()]).await?;
        self.show().await;
        self.stir();
        Ok(true)
    }

    /// Shows peers which sessions there are, without anybody waiting for it.
    fn show_soon(self: &Arc<Self>) {
        let hosts = Arc::clone(self);
        tokio::spawn(async move { hosts.show().await });
    }

    /// Shows peers which sessions there are. What does not work is tried again with the next change.
    pub(super) async fn show(&self) {
        let _showing = self.showing.lock().await;
        let meshes = self.meshes_of(None).await;
        for mesh in meshes {
            if let Err(error) = self.show_in(&mesh).await {
                tracing::warn!(mesh = %mesh.id.short(), kind = error.kind().code(), "sessions are not shown to peers");
            }
        }
    }

    async fn show_in(&self, mesh: &Active) -> Result<(), Error> {
        let own = mesh.look(|session, _| session.own_status().clone()).await?;
        let (id, device, now) = (mesh.id.to_string(), view::activity(own.activity), now_ms());
        let sessions: Vec<SessionInfo> = {
            let registry = self.registry();
            let of_it = |entry: &&Entry| entry.mesh.as_ref().is_none_or(|mesh| *mesh == id);
            let live = registry.live().into_iter().filter(of_it).take(MOST_SHOWN);
            // The folder is nobody else's business.
            let info = |entry: &Entry| SessionInfo {
                id: entry.name.clone(),
                name: None,
                cwd: None,
                activity: view::core_activity(entry.status(device, now).0),
                summary: entry.summary.clone(),
            };
            live.map(info).collect()
        };
        if sessions == own.sessions {
            return Ok(());
        }
        mesh.handle()?.command(Command::SetStatus(Status { sessions, ..own })).await
    }

    /// Ends sessions whose process is gone.
    async fn sweep(&self) {
        let ended = self.registry().sweep(now_ms(), Process::is_alive);
        if ended.is_empty() {
            return;
        }
        if let Err(error) = self.keep(&ended).await {
            tracing::warn!(kind = error.kind().code(), "ended sessions are not kept");
        }
        self.show().await;
        self.stir();
    }
}

async fn now_and_then(hosts: Weak<Hosts>) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        let Some(hosts) = hosts.upgrade() else { return };
        hosts.sweep().await;
    }
}

fn check(host: &api::HostRef) -> Result<(), Error> {
    let texts = [Some(&host.host), host.id.as_ref(), host.socket.as_ref(), host.cwd.as_ref()];
    if texts.into_iter().flatten().any(|text| text.len() > 4096) {
        return Err(Error::new(ErrorKind::Usage, "what is said of a host has at most 4096 bytes each"));
    }
    Ok(())
}

/// Messages of one sender in a notice, by member and sending session.
type Senders = BTreeMap<([u8; 32], Option<String>), u64>;
