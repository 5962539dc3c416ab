//! How a mesh is opened: which home, which mesh, and whether through the daemon or in this process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Backend, Mesh};
use crate::api;
use crate::attach::Attached;
use crate::error::{Error, ErrorKind};
use crate::home::{Holder, Home};
use crate::node;

/// How long a daemon that is just starting or ending may take.
const HANDOVER: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Backing {
    #[default]
    Either,
    Embed,
    Attach,
}

/// Options for opening a mesh of a home.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is opened"]
pub struct MeshBuilder {
    home: Option<PathBuf>,
    mesh: Option<String>,
    session: Option<String>,
    backing: Backing,
}

impl MeshBuilder {
    /// The home's folder, `~/` permitted. Default: `CLAUDEMESH_HOME`, else the XDG folders.
    pub fn home(mut self, path: impl Into<PathBuf>) -> Self {
        self.home = Some(path.into());
        self
    }

    /// Label, id or id prefix of the mesh. Default: the one selected with `mesh use`, or the only one.
    pub fn mesh(mut self, mesh: impl Into<String>) -> Self {
        self.mesh = Some(mesh.into());
        self
    }

    /// The session to speak for. Default: `CLAUDEMESH_SESSION`, else `main`.
    pub fn session(mut self, session: impl Into<String>) -> Self {
        self.session = Some(session.into());
        self
    }

    /// Carries the client in this process, and takes the home for it.
    pub fn embedded(mut self) -> Self {
        self.backing = Backing::Embed;
        self
    }

    /// Uses the home's daemon, or fails.
    pub fn attach(mut self) -> Self {
        self.backing = Backing::Attach;
        self
    }

    /// Uses no home: keys and messages exist only in this process.
    pub fn in_memory(self) -> MemoryBuilder {
        MemoryBuilder { request: api::JoinRequest::default(), session: self.session }
    }

    /// Opens the mesh. By default the home's daemon is used when it answers, and the client is embedded otherwise.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Ambiguous`] when no mesh or none alone is meant;
    /// [`ErrorKind::Unreachable`] when the daemon is required and does not answer; [`ErrorKind::Locked`] when another
    /// program holds the home, [`ErrorKind::Corrupt`] or [`ErrorKind::Unwritable`] when it cannot be used.
    pub async fn open(self) -> Result<Mesh, Error> {
        let backend = self.backend().await?;
        Mesh::select(backend, self.mesh.as_deref(), session(self.session)).await
    }

    /// Joins a mesh by link, and opens it.
    ///
    /// # Errors
    /// As [`MeshBuilder::open`]; [`ErrorKind::Expired`] or [`ErrorKind::Refused`] for the link.
    pub async fn join(self, request: impl Into<api::JoinRequest>) -> Result<Mesh, Error> {
        let backend = self.backend().await?;
        let joined = backend.service.join(request.into()).await?;
        Mesh::select(backend, Some(&joined.mesh.id), session(self.session)).await
    }

    /// Creates or resumes a mesh, and opens it. The reply holds what is shown once, such as the recovery key.
    ///
    /// # Errors
    /// As [`MeshBuilder::open`].
    pub async fn up(self, mut request: api::UpRequest) -> Result<(Mesh, api::UpReply), Error> {
        let backend = self.backend().await?;
        request.mesh = request.mesh.or(self.mesh);
        let reply = backend.service.up(request).await?;
        let mesh = Mesh::select(backend, Some(&reply.mesh.id), session(self.session)).await?;
        Ok((mesh, reply))
    }

    async fn backend(&self) -> Result<Arc<Backend>, Error> {
        let home = match &self.home {
            Some(path) => Home::at(path)?,
            None => Home::from_env()?,
        };
        let deadline = Instant::now() + HANDOVER;
        loop {
            if self.backing != Backing::Embed {
                match Attached::open(&home).await {
                    Err(error) if error.kind() == ErrorKind::Unreachable && self.backing == Backing::Either => {}
                    attached => return Ok(Arc::new(Backend::new(Arc::new(attached?), None, false))),
                }
            }
            match home.lock(Holder::Program) {
                // A daemon that does not answer: it is starting, and then we attach, or ending, and then we take over.
                Err(error)
                    if error.kind() == ErrorKind::Locked
                        && home.last_holder() == Some(Holder::Daemon)
                        && Instant::now() < deadline =>
                {
                    sleep(PAUSE).await
                }
                lock => {
                    let lock = lock?;
                    let service = node::open_home(&home).await?;
                    return Ok(Arc::new(Backend::new(service, Some(lock), true)));
                }
            }
        }
    }
}

fn session(chosen: Option<String>) -> Option<String> {
    chosen.or_else(|| std::env::var("CLAUDEMESH_SESSION").ok().filter(|session| !session.is_empty()))
}

/// Options for a member that lives only in this process.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it joins"]
pub struct MemoryBuilder {
    request: api::JoinRequest,
    session: Option<String>,
}

impl MemoryBuilder {
    /// Own name. Default: the invite's proposal.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.request.name = Some(name.into());
        self
    }

    /// The session to speak for.
    pub fn session(mut self, session: impl Into<String>) -> Self {
        self.session = Some(session.into());
        self
    }

    /// Permits `ws://` to a host that is not loopback.
    pub fn insecure_ws(mut self) -> Self {
        self.request.insecure_ws = true;
        self
    }

    /// Joins the mesh of an invite link.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for a text that is no link, [`ErrorKind::Expired`] or [`ErrorKind::Refused`] for the invite,
    /// [`ErrorKind::Unreachable`] for the broker.
    pub async fn join(mut self, link: impl Into<String>) -> Result<Mesh, Error> {
        self.request.link = link.into();
        let service = node::open_memory(self.request).await?;
        Mesh::select(Arc::new(Backend::new(service, None, true)), None, self.session).await
    }
}

impl From<&str> for api::JoinRequest {
    fn from(link: &str) -> Self {
        Self { link: link.into(), ..Self::default() }
    }
}

impl From<String> for api::JoinRequest {
    fn from(link: String) -> Self {
        Self { link, ..Self::default() }
    }
}
