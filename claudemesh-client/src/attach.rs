//! The attached backend: every call of [`Service`] as a request to the home's daemon.
//!
//! It converts and repeats; it decides nothing about meshes.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use claudemesh_core::{MessageId, Millis};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use rand_core::UnwrapErr;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::api;
use crate::error::{Error, ErrorKind};
use crate::home::{Holder, Home};
use crate::local::{
    Done, EventsParams, InboxParams, InviteName, LOCAL_API, Label, MemberName, MemberRole, MeshParams, MessageParams,
    NoParams, PeersParams, Version, route,
};
use crate::service::{Call, MeshSelector, Service};
use http::{FAR_CALL, Http, Request};

mod feed;
mod http;
mod rooms;
mod sessions;
mod sse;

/// How long a daemon may take to stop.
const STOP: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);

/// A home's daemon, reached over its socket. Clones share one connection.
#[derive(Clone, Debug)]
pub struct Attached {
    http: Http,
    version: Arc<Version>,
}

impl Attached {
    /// Reaches the daemon of a home.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] when none answers, [`ErrorKind::Conflict`] when it speaks another version of the local
    /// API, [`ErrorKind::Refused`] when the socket is another user's.
    pub async fn open(home: &Home) -> Result<Self, Error> {
        Self::at(&home.find_socket()?).await
    }

    /// Reaches the daemon on this socket.
    ///
    /// # Errors
    /// As [`Attached::open`].
    pub async fn at(socket: &Path) -> Result<Self, Error> {
        let (http, version) = greet(socket).await?;
        if version.api != LOCAL_API {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "the running daemon (claudemesh {}, process {}) speaks version {} of the local API, this program version {LOCAL_API}",
                    version.version, version.pid, version.api
                ),
            )
            .with_hint("stop it with `claudemesh down`; the next command starts a fitting one"));
        }
        Ok(Self { http, version: Arc::new(version) })
    }

    /// Stops the daemon of a home, of whatever version, and waits until it has ended. False when none runs.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] when it does not end, [`ErrorKind::Locked`] when a program without a socket holds the home,
    /// [`ErrorKind::Refused`] when the socket is another user's.
    pub async fn stop(home: &Home) -> Result<bool, Error> {
        let found = match home.find_socket() {
            Ok(socket) => greet(&socket).await,
            Err(error) => Err(error),
        };
        match found {
            Ok((http, version)) => {
                stop(&http).await?;
                ended(home, Some(version.pid)).await.map(|_| true)
            }
            Err(error) if error.kind() == ErrorKind::Unreachable => ended(home, None).await,
            Err(error) => Err(error),
        }
    }

    /// What the daemon says of itself.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    fn get<'a, T, Q>(&'a self, path: &'static str, query: Q) -> Call<'a, T>
    where
        T: DeserializeOwned + Send + 'a,
        Q: Serialize + Send + 'a,
    {
        async move { self.http.call(Request::get(path, &query)?).await }.boxed()
    }

    fn post<'a, T, B>(&'a self, path: &'static str, mesh: MeshSelector<'a>, body: B) -> Call<'a, T>
    where
        T: DeserializeOwned + Send + 'a,
        B: Serialize + Send + Sync + 'a,
    {
        async move { self.http.call(Request::post(path, &MeshParams::new(mesh))?.body(&body)?).await }.boxed()
    }

    /// An order that goes through the broker.
    fn order<'a, T, B>(&'a self, path: &'static str, mesh: MeshSelector<'a>, body: B) -> Call<'a, T>
    where
        T: DeserializeOwned + Send + 'a,
        B: Serialize + Send + Sync + 'a,
    {
        async move {
            let request = Request::post(path, &MeshParams::new(mesh))?.body(&body)?.within(FAR_CALL);
            self.http.call(request).await
        }
        .boxed()
    }
}

async fn greet(socket: &Path) -> Result<(Http, Version), Error> {
    let http = Http::new(socket)?;
    let version = http.call(Request::get(route::VERSION, &NoParams {})?).await?;
    Ok((http, version))
}

async fn stop(http: &Http) -> Result<(), Error> {
    let file = identity(http.socket());
    let Done {} = http.call(Request::post(route::SHUTDOWN, &NoParams {})?).await?;
    // The daemon removes its socket as the last thing it does; the next one may put its own there at once.
    let gone = async {
        while file.is_some() && identity(http.socket()) == file {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(STOP, gone).await.map_err(|_| not_ended())
}

/// Which socket file lies there. Numbers of files are used again, so its time belongs to it.
fn identity(socket: &Path) -> Option<(u64, u64, i64, i64)> {
    let metadata = socket.symlink_metadata().ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

/// Nobody answers: either nobody is there, or somebody who is just ending, perhaps of a known process. Returns whether
/// there was. A daemon's process holds its home until it is gone.
async fn ended(home: &Home, pid: Option<u32>) -> Result<bool, Error> {
    let deadline = Instant::now() + STOP;
    let mut seen = false;
    while let Some(locked) = home.held() {
        if pid.is_some() && pid != home.last_pid() {
            break;
        }
        if home.last_holder() == Some(Holder::Program) {
            return Err(locked);
        }
        if Instant::now() >= deadline {
            return Err(not_ended());
        }
        seen = true;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(seen)
}

fn not_ended() -> Error {
    Error::new(ErrorKind::Timeout, format!("the daemon did not end within {} seconds", STOP.as_secs()))
        .with_hint("look at its log, or end its process")
}

fn fresh_id() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    MessageId::generate(now, &mut UnwrapErr(getrandom::SysRng)).to_string()
}

impl Service for Attached {
    fn status(&self) -> Call<'_, api::Status> {
        self.get(route::STATUS, NoParams {})
    }

    fn up(&self, request: api::UpRequest) -> Call<'_, api::UpReply> {
        self.order(route::UP, None, request)
    }

    fn join(&self, request: api::JoinRequest) -> Call<'_, api::JoinReply> {
        self.order(route::JOIN, None, request)
    }

    fn meshes(&self) -> Call<'_, api::Meshes> {
        self.get(route::MESHES, NoParams {})
    }

    fn warnings<'a>(&'a self, _mesh: MeshSelector<'a>) -> BoxFuture<'a, Vec<String>> {
        Box::pin(std::future::ready(self.http.warnings()))
    }

    fn mesh_use<'a>(&'a self, mesh: &'a str) -> Call<'a, api::MeshInfo> {
        self.post(route::MESH_USE, Some(mesh), Done {})
    }

    fn mesh_rename<'a>(&'a self, mesh: &'a str, label: &'a str) -> Call<'a, api::MeshInfo> {
        self.order(route::MESH_RENAME, Some(mesh), Label { label: label.into() })
    }

    fn mesh_leave<'a>(&'a self, mesh: &'a str) -> Call<'a, api::MeshInfo> {
        self.order(route::MESH_LEAVE, Some(mesh), Done {})
    }

    fn mesh_delete<'a>(&'a self, mesh: &'a str) -> Call<'a, api::MeshInfo> {
        self.order(route::MESH_DELETE, Some(mesh), Done {})
    }

    fn whoami<'a>(&'a self, mesh: MeshSelector<'a>) -> Call<'a, api::WhoAmI> {
        self.get(route::WHOAMI, MeshParams::new(mesh))
    }

    fn invite<'a>(&'a self, mesh: MeshSelector<'a>, request: api::InviteRequest) -> Call<'a, api::Invite> {
        self.order(route::INVITES, mesh, request)
    }

    fn invites<'a>(&'a self, mesh: MeshSelector<'a>) -> Call<'a, api::Invites> {
        self.get(route::INVITES, MeshParams::new(mesh))
    }

    fn invite_revoke<'a>(&'a self, mesh: MeshSelector<'a>, id: &'a str) -> Call<'a, api::Invite> {
        self.order(route::INVITE_REVOKE, mesh, InviteName { id: id.into() })
    }

    fn send<'a>(&'a self, mesh: MeshSelector<'a>, mut request: api::SendRequest) -> Call<'a, api::Sent> {
        async move {
            // With an id of its own the request can be repeated: the second is known as the first.
            request.id.get_or_insert_with(fresh_id);
            self.http.call(Request::post(route::SEND, &MeshParams::new(mesh))?.body(&request)?.repeatable()).await
        }
        .boxed()
    }

    fn wait<'a>(&'a self, mesh: MeshSelector<'a>, request: api::WaitRequest) -> Call<'a, api::Sent> {
        async move {
            let time = Duration::from_millis(request.timeout_ms);
            self.http.call(Request::post(route::WAIT, &MeshParams::new(mesh))?.body(&request)?.within(time)).await
        }
        .boxed()
    }

    fn message_status<'a>(&'a self, mesh: MeshSelector<'a>, id: &'a str) -> Call<'a, api::MessageStatus> {
        self.get(route::MESSAGE, MessageParams { mesh: mesh.map(str::to_owned), id: id.into() })
    }

    fn inbox<'a>(&'a self, mesh: MeshSelector<'a>, query: api::InboxQuery) -> Call<'a, api::Inbox> {
        async move {
            let time = Duration::from_millis(query.wait_ms);
            self.http.call(Request::get(route::INBOX, &InboxParams::new(mesh, query))?.within(time)).await
        }
        .boxed()
    }

    fn mark_read<'a>(&'a self, mesh: MeshSelector<'a>, request: api::ReadRequest) -> Call<'a, ()> {
        async move {
            let request = Request::post(route::READ, &MeshParams::new(mesh))?.body(&request)?.repeatable();
            self.http.call(request).await.map(|Done {}| ())
        }
        .boxed()
    }

    fn peers<'a>(&'a self, mesh: MeshSelector<'a>, all: bool) -> Call<'a, api::Peers> {
        self.get(route::PEERS, PeersParams { mesh: mesh.map(str::to_owned), all })
    }

    fn set_presence<'a>(&'a self, mesh: MeshSelector<'a>, request: api::PresenceRequest) -> Call<'a, api::WhoAmI> {
        self.post(route::PRESENCE, mesh, request)
    }

    fn members<'a>(&'a self, mesh: MeshSelector<'a>) -> Call<'a, api::Members> {
        self.get(route::MEMBERS, MeshParams::new(mesh))
    }

    fn member_remove<'a>(&'a self, mesh: MeshSelector<'a>, member: &'a str) -> Call<'a, api::MemberChange> {
        self.order(route::MEMBER_REMOVE, mesh, MemberName { member: member.into() })
    }

    fn member_role<'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        member: &'a str,
        role: &'a str,
    ) -> Call<'a, api::MemberChange> {
        self.order(route::MEMBER_ROLE, mesh, MemberRole { member: member.into(), role: role.into() })
    }

    fn events<'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        query: api::EventsQuery,
    ) -> Call<'a, BoxStream<'static, Result<api::EventRecord, Error>>> {
        async move {
            // A reader that reconnects must find the same mesh and the same place, whatever was selected or has
            // happened meanwhile: both are fixed before the first connection.
            let here = self.whoami(mesh).await?;
            let api::EventsQuery { consumer, mut after, session } = query;
            if consumer.is_none() && after.is_none() {
                after = Some(here.position);
            }
            feed::open(self.http.clone(), EventsParams { mesh: Some(here.mesh.id), consumer, after, session }).await
        }
        .boxed()
    }

    fn ack<'a>(&'a self, mesh: MeshSelector<'a>, request: api::AckRequest) -> Call<'a, ()> {
        async move {
            let request = Request::post(route::ACK, &MeshParams::new(mesh))?.body(&request)?.repeatable();
            self.http.call(request).await.map(|Done {}| ())
        }
        .boxed()
    }

    fn shutdown(&self) -> Call<'_, ()> {
        stop(&self.http).boxed()
    }
}
