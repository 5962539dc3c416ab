//! Creating a mesh and joining one by link.

use std::sync::Arc;
use std::time::Duration;

use claudemesh_core::invite::{Link, WelcomeBundle};
use claudemesh_core::roster::{Broker, Kind, Roster, create_genesis};
use claudemesh_core::wire::{Body, ClientHandshake, ErrorCode, Frame, HelloMode, RosterAppend, RosterRange, Welcome};
use claudemesh_core::{Name, PublicKey, SigningKey, codec};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::protocol::Message;

use super::driver::rng;
use super::transport::{self, Socket};
use super::{Active, HostedBroker, Node, pick, view};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::store::{MeshRow, NewMesh};

/// How long one answer of the broker may take while joining.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a new member waits for its name to be known.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);
const ROSTER_PAGE: u64 = 256;
const DEFAULT_LABEL: &str = "main";

pub(super) fn check_name(what: &str, text: &str) -> Result<String, Error> {
    let name: Name = text.parse().map_err(|error| {
        Error::new(ErrorKind::Usage, format!("{text:?} is no {what}: {error}"))
            .with_hint("use 1 to 64 bytes without control characters, `/` or `,`, not starting with @, # or *")
    })?;
    Ok(name.as_str().to_owned())
}

fn own_name(wished: Option<&str>) -> Result<String, Error> {
    let user = std::env::var("USER").ok().filter(|user| user.parse::<Name>().is_ok());
    check_name("name", wished.or(user.as_deref()).unwrap_or("me"))
}

impl Node {
    pub(super) async fn enter_by_up(&self, request: api::UpRequest) -> Result<api::UpReply, Error> {
        let _entering = self.entering.lock().await;
        let existing = {
            let meshes = self.meshes.read().await;
            match &request.mesh {
                Some(label) => pick(&meshes, label).ok(),
                None if meshes.iter().any(|mesh| mesh.is_active()) => {
                    drop(meshes);
                    Some(self.mesh(None).await?)
                }
                None => None,
            }
        };
        match existing {
            Some(mesh) => {
                self.live(&mesh).await?;
                if mesh.row().embedded {
                    self.host()?.start(request.listen.as_deref()).await?;
                }
                self.up_reply(&mesh, None).await
            }
            None => self.create(request).await,
        }
    }

    async fn create(&self, request: api::UpRequest) -> Result<api::UpReply, Error> {
        let label = check_name("label", request.mesh.as_deref().unwrap_or(DEFAULT_LABEL))?;
        let name = own_name(request.name.as_deref())?;
        let (broker, embedded) = match &request.broker {
            Some(url) => (identify_broker(url, request.insecure_ws).await?, false),
            None => (self.host()?.start(request.listen.as_deref()).await?, true),
        };
        let address = request.advertise.clone().unwrap_or_else(|| broker.url.clone());
        let broker_key = broker_key(&broker.key)?;
        let device = SigningKey::generate(&mut rng());
        let recovery = SigningKey::generate(&mut rng());
        let (genesis, mesh, _) = create_genesis(&device, &recovery.public(), Kind::Human, &mut rng()).map_err(rules)?;
        let mut roster = Roster::genesis(&genesis).map_err(rules)?;
        let addresses = codec::List::from_vec(vec![address]).map_err(internal)?;
        let brokers = roster.set_brokers(&device, vec![Broker { key: broker_key, addresses }]).map_err(|_| {
            Error::new(ErrorKind::Usage, "the broker's address is not usable")
                .with_hint("use ws://HOST:PORT or wss://HOST[:PORT]")
        })?;
        roster.apply(&brokers).map_err(rules)?;
        let row = MeshRow {
            row: 0,
            mesh: *mesh.as_bytes(),
            device_seed: device.seed(),
            label,
            name,
            broker_url: broker.url,
            broker_key: broker.key,
            insecure: request.insecure_ws,
            embedded,
            state: "active".into(),
            selected: false,
            hints: Vec::new(),
        };
        let active = self.add(row, vec![genesis, brokers]).await?;
        settle(&active).await;
        let recovery = format!("claudemesh-recovery-1-{}", hex(&recovery.seed()[..]));
        self.up_reply(&active, Some(recovery)).await
    }

    async fn add(&self, mut row: MeshRow, roster: Vec<Vec<u8>>) -> Result<Arc<Active>, Error> {
        row.row = self.store.add_mesh(NewMesh { row: row.clone(), roster }).await?;
        self.activate(row).await
    }

    async fn up_reply(&self, mesh: &Arc<Active>, recovery_key: Option<String>) -> Result<api::UpReply, Error> {
        let link = self.open_link(mesh).await;
        let link = match link {
            Ok(link) => link,
            // Resuming needs no broker; a new mesh without one is of no use.
            Err(error) if recovery_key.is_some() && error.kind() == ErrorKind::Unreachable => return Err(error),
            Err(_) => None,
        };
        let created = recovery_key.is_some();
        mesh.look(move |session, row| api::UpReply {
            mesh: view::mesh_ref(row, session),
            broker: row.broker_url.clone(),
            member: view::member_ref(session, row, &session.member()),
            link,
            recovery_key,
            created,
            template: None,
        })
        .await
    }

    pub(super) async fn enter_by_link(&self, request: api::JoinRequest, kind: Kind) -> Result<api::JoinReply, Error> {
        let link = Link::parse(request.link.trim()).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("this is no usable invite link: {error}"))
                .with_hint("copy the whole link, with everything after the #")
        })?;
        let _entering = self.entering.lock().await;
        let ended = self.meshes.read().await.iter().find(|mesh| mesh.id == link.mesh()).cloned();
        if let Some(known) = &ended {
            self.note_end(known).await?;
        }
        if ended.as_ref().is_some_and(|known| known.is_active()) {
            return Err(Error::new(ErrorKind::Conflict, "this home is a member of that mesh already")
                .with_hint("see `claudemesh mesh list`"));
        }
        let device = SigningKey::generate(&mut rng());
        let mut line = Line::open(&link, &device, request.insecure_ws).await?;
        let entries = line.roster().await?;
        let mut roster = Roster::from_entries(&entries).map_err(|error| {
            Error::new(ErrorKind::Refused, "the broker serves a roster that does not verify")
                .with_hint("do not trust this broker; ask whoever invited you")
                .with_source(error)
        })?;
        if roster.mesh() != link.mesh() {
            return Err(Error::new(ErrorKind::Refused, "the broker serves another mesh than the link names")
                .with_hint("do not trust this broker; ask whoever invited you"));
        }
        let invite_key = link.secret().invite_key();
        let bundle = open_welcome(&roster, &link)?;
        let name = choose_name(request.name.as_deref(), &bundle)?;
        let (entry, _) = roster.join(&device, &invite_key, kind, &mut rng()).map_err(rules)?;
        roster.apply(&entry).map_err(rules)?;
        let label = match (&request.label, &ended) {
            (None, Some(ended)) => ended.row().label,
            (wished, _) => self.free_label(wished.as_deref(), &bundle.label).await?,
        };
        let row = MeshRow {
            row: 0,
            mesh: *link.mesh().as_bytes(),
            device_seed: device.seed(),
            label,
            name,
            broker_url: link.address().to_owned(),
            broker_key: *link.broker_key().as_bytes(),
            insecure: request.insecure_ws,
            embedded: false,
            state: "active".into(),
            selected: false,
            hints: codec::encode(&bundle.names),
        };
        // The key is on disk before the broker hears of it: a crash in between is mended by offering the entry again.
        let all: Vec<Vec<u8>> = entries.into_iter().chain([entry.clone()]).collect();
        let stored = self.keep(NewMesh { row, roster: all }, ended.as_deref()).await?;
        let unheard = match line.append(entry).await {
            Ok(()) => None,
            // The broker may have it or not: the session offers it again.
            Err(error) if error.kind() == ErrorKind::Unreachable => Some(error),
            Err(error) => {
                self.forget(stored.row, ended.as_deref()).await?;
                return Err(error);
            }
        };
        drop(line);
        self.store.settle_meshes().await?;
        let active = self.activate(stored).await?;
        if let Some(error) = unheard {
            return Err(error);
        }
        settle(&active).await;
        let inviter = bundle.inviter;
        active
            .look(move |session, row| api::JoinReply {
                mesh: view::mesh_ref(row, session),
                member: view::member_ref(session, row, &session.member()),
                invited_by: Some(view::member_ref(session, row, &inviter)),
            })
            .await
    }

    /// Stores a new member with its key, in the place of an earlier membership if there was one.
    async fn keep(&self, mut new: NewMesh, ended: Option<&Active>) -> Result<MeshRow, Error> {
        let mut row = new.row.clone();
        let Some(ended) = ended else {
            row.row = self.store.add_mesh(new).await?;
            return Ok(row);
        };
        (row.row, new.row.row) = (ended.store_row, ended.store_row);
        if let Some(handle) = &ended.handle {
            handle.stop().await;
        }
        self.meshes.write().await.retain(|mesh| mesh.store_row != ended.store_row);
        if let Err(error) = self.store.replace_mesh(new).await {
            self.activate(ended.row()).await?;
            return Err(error);
        }
        Ok(row)
    }

    /// The broker refused a new member: nothing of it is kept, and all of what was before.
    async fn forget(&self, row: i64, ended: Option<&Active>) -> Result<(), Error> {
        let Some(ended) = ended else { return self.store.drop_mesh(row).await };
        self.store.restore_mesh(ended.row()).await?;
        self.activate(ended.row()).await.map(drop)
    }

    async fn free_label(&self, wished: Option<&str>, theirs: &str) -> Result<String, Error> {
        let taken: Vec<String> = self.meshes.read().await.iter().map(|mesh| mesh.row().label).collect();
        if let Some(label) = wished {
            return check_name("label", label);
        }
        let base = if theirs.parse::<Name>().is_ok() { theirs } else { DEFAULT_LABEL };
        let numbered = (2..).map(|n| format!("{base}-{n}"));
        let free = std::iter::once(base.to_owned()).chain(numbered).find(|label| !taken.contains(label));
        Ok(free.unwrap_or_else(|| base.to_owned()))
    }
}

/// Waits until the own name stands in the directory, so that who looks next finds it. It goes on by itself when that
/// takes longer.
async fn settle(mesh: &Active) {
    let Ok(handle) = mesh.handle() else { return };
    let named = async {
        let mut committed = handle.shared.committed.subscribe();
        loop {
            committed.mark_unchanged();
            let named = handle.look(|session| session.directory().name_of(&session.member()).is_some()).await;
            if named.unwrap_or(true) || committed.changed().await.is_err() {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(SETTLE_TIMEOUT, named).await;
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rules(error: claudemesh_core::roster::RosterError) -> Error {
    Error::new(ErrorKind::Refused, format!("the roster's rules do not permit it: {error}"))
        .with_hint("ask an admin or the owner")
        .with_source(error)
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Internal, "this should not happen")
        .with_hint("please report it with the command you ran")
        .with_source(error)
}

fn broker_key(bytes: &[u8; 32]) -> Result<PublicKey, Error> {
    PublicKey::from_bytes(bytes).map_err(|error| {
        Error::new(ErrorKind::Refused, "the broker has no acceptable key")
            .with_hint("check the address")
            .with_source(error)
    })
}

fn open_welcome(roster: &Roster, link: &Link) -> Result<WelcomeBundle, Error> {
    let id = link.secret().invite_key().public().invite_id();
    let invite = roster.invite(&id).ok_or_else(|| {
        Error::new(ErrorKind::Refused, "the mesh does not know this invite").with_hint("ask for a fresh link")
    })?;
    if invite.is_closed() {
        return Err(Error::new(ErrorKind::Expired, "this invite was closed").with_hint("ask for a fresh link"));
    }
    if invite.uses_left() == 0 {
        return Err(Error::new(ErrorKind::Expired, "this invite is used up").with_hint("ask for a fresh link"));
    }
    if roster.is_closed() {
        return Err(mesh_closed());
    }
    WelcomeBundle::open(link.secret(), &invite.sealed_welcome).map_err(|error| {
        Error::new(ErrorKind::Refused, "the invite's welcome cannot be opened")
            .with_hint("ask for a fresh link")
            .with_source(error)
    })
}

/// The joiner's own client refuses a name that is taken, with a suggestion.
fn choose_name(wished: Option<&str>, bundle: &WelcomeBundle) -> Result<String, Error> {
    let hint = bundle.hint.as_deref();
    let name = own_name(wished.or(hint))?;
    let taken = |name: &str| bundle.names.iter().any(|(_, known)| known == name);
    if !taken(&name) {
        return Ok(name);
    }
    let free = (2..).map(|n| format!("{name}-{n}")).find(|name| !taken(name)).unwrap_or_default();
    Err(Error::new(ErrorKind::Conflict, format!("the mesh has a member called {name:?}"))
        .with_hint(format!("choose another name: --name {free}")))
}

/// Asks a broker for its key; whoever creates the mesh vouches for the address.
async fn identify_broker(url: &str, insecure: bool) -> Result<HostedBroker, Error> {
    let mut socket = transport::connect(url, insecure).await?;
    match receive(&mut socket).await?.body {
        Body::Challenge(challenge) => {
            Ok(HostedBroker { url: url.trim_end_matches('/').to_owned(), key: challenge.key.0 })
        }
        _ => Err(no_broker()),
    }
}

fn no_broker() -> Error {
    Error::new(ErrorKind::Refused, "what answers at that address is no claudemesh broker")
        .with_hint("check the address")
}

async fn receive(socket: &mut Socket) -> Result<Frame, Error> {
    let closed = || Error::new(ErrorKind::Unreachable, "the broker closed the connection").with_hint("try again");
    loop {
        let message = tokio::time::timeout(ANSWER_TIMEOUT, socket.next())
            .await
            .map_err(|_| Error::new(ErrorKind::Unreachable, "the broker does not answer").with_hint("try again"))?
            .ok_or_else(closed)?
            .map_err(|error| closed().with_source(error))?;
        match message {
            Message::Binary(bytes) => {
                if let Ok(frame) = Frame::decode(&bytes) {
                    return Ok(frame);
                }
            }
            Message::Close(_) => return Err(closed()),
            _ => {}
        }
    }
}

/// A connection of somebody with a link, before there is a session.
struct Line {
    socket: Socket,
    requests: u64,
}

impl Line {
    async fn open(link: &Link, device: &SigningKey, insecure: bool) -> Result<Self, Error> {
        let socket = transport::connect(link.address(), insecure).await?;
        let mut line = Self { socket, requests: 0 };
        let Body::Challenge(challenge) = receive(&mut line.socket).await?.body else { return Err(no_broker()) };
        let invite = link.secret().invite_key();
        let mode = HelloMode::Join(invite.public().invite_id());
        let (handshake, hello) = ClientHandshake::start(
            &challenge,
            &[*link.broker_key()],
            link.mesh(),
            device,
            mode,
            Some(&invite),
            None,
            &[],
            &mut rng(),
        )
        .map_err(|error| {
            Error::new(ErrorKind::Refused, "the broker is not the one the link names")
                .with_hint("another broker answers at that address; ask for a fresh link")
                .with_source(error)
        })?;
        match line.ask(hello).await? {
            Body::WelcomeFrame(frame) => {
                let _: Welcome = handshake.finish(&frame).map_err(|error| {
                    Error::new(ErrorKind::Refused, "the broker did not prove its key")
                        .with_hint("do not trust this broker; ask whoever invited you")
                        .with_source(error)
                })?;
                Ok(line)
            }
            body => Err(refusal(&body)),
        }
    }

    async fn ask(&mut self, body: impl Into<Body>) -> Result<Body, Error> {
        self.requests += 1;
        let request = self.requests;
        let frame = Frame::new(request, body).encode();
        self.socket.send(Message::Binary(frame.into())).await.map_err(|error| {
            Error::new(ErrorKind::Unreachable, "the connection to the broker broke")
                .with_hint("try again")
                .with_source(error)
        })?;
        loop {
            let frame = receive(&mut self.socket).await?;
            if frame.request == request || matches!(frame.body, Body::Close(_)) {
                return Ok(frame.body);
            }
        }
    }

    async fn roster(&mut self) -> Result<Vec<Vec<u8>>, Error> {
        let mut entries: Vec<Vec<u8>> = Vec::new();
        loop {
            let from = entries.len() as u64;
            match self.ask(RosterRange { from, limit: ROSTER_PAGE }).await? {
                Body::RosterEntries(page) => {
                    let empty = page.entries.is_empty();
                    entries.extend(page.entries.into_vec().into_iter().map(|entry| entry.0));
                    if entries.len() as u64 > page.head.index || empty {
                        return Ok(entries);
                    }
                }
                body => return Err(refusal(&body)),
            }
        }
    }

    async fn append(&mut self, entry: Vec<u8>) -> Result<(), Error> {
        match self.ask(RosterAppend { entry: entry.into() }).await? {
            Body::Done(_) => Ok(()),
            body => Err(refusal(&body)),
        }
    }
}

fn mesh_closed() -> Error {
    Error::new(ErrorKind::Refused, "the mesh was closed by its owner").with_hint("ask for an invite to another mesh")
}

fn refusal(body: &Body) -> Error {
    let code = match body {
        Body::Error(error) => error.code,
        Body::Close(close) => {
            return Error::new(ErrorKind::Unreachable, format!("the broker closed the connection: {}", close.code))
                .with_hint("try again");
        }
        _ => ErrorCode::Malformed,
    };
    let fresh = "ask for a fresh link";
    match code {
        ErrorCode::InviteExpired => Error::new(ErrorKind::Expired, "this invite has expired").with_hint(fresh),
        ErrorCode::UnknownMesh => {
            Error::new(ErrorKind::Refused, "the broker does not know the mesh of this link").with_hint(fresh)
        }
        ErrorCode::Forbidden | ErrorCode::NotAMember | ErrorCode::Unauthenticated => {
            Error::new(ErrorKind::Refused, "the broker does not accept this invite").with_hint(fresh)
        }
        ErrorCode::HeadMoved => Error::new(ErrorKind::Conflict, "somebody else joined at the same moment")
            .with_hint("run the same command again"),
        ErrorCode::InvalidEntry => {
            Error::new(ErrorKind::Expired, "this invite was used up or closed in the meantime").with_hint(fresh)
        }
        ErrorCode::MeshClosed => mesh_closed(),
        code => Error::new(ErrorKind::Refused, format!("the broker refused: {code}")).with_hint(fresh),
    }
}
