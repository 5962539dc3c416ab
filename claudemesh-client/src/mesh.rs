//! [`Mesh`]: the handle of one mesh. It keeps what a program chose (the mesh, its session) and turns calls into requests
//! to a [`Service`]; what they mean is decided there.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::api;
use crate::error::Error;
use crate::home::HomeLock;
use crate::service::{MeshSelector, Service};

/// Makes a builder a future: its request goes to one call, whose answer, or a field of it, comes back.
macro_rules! asks {
    ($builder:ident.$call:ident -> $output:ty) => {
        asks!($builder.$call -> $output => |answer| answer);
    };
    ($builder:ident.$call:ident -> $output:ty, $field:ident) => {
        asks!($builder.$call -> $output => |answer| answer.map(|answer| answer.$field));
    };
    ($builder:ident.$call:ident -> $output:ty => |$answer:ident| $value:expr) => {
        impl IntoFuture for $builder {
            type Output = Result<$output, Error>;
            type IntoFuture = BoxFuture<'static, Self::Output>;

            fn into_future(self) -> Self::IntoFuture {
                let Self { mesh, request } = self;
                async move {
                    let $answer = mesh.calls().$call(mesh.selected(), request).await;
                    $value
                }
                .boxed()
            }
        }
    };
}

mod builder;
mod event;
mod group;
mod inbox;
mod memory;
mod notification;
mod poll;
mod post;
mod send;
mod state;
mod task;
mod topic;

pub use builder::{MemoryBuilder, MeshBuilder};
pub use event::{Delivered, Event, Events};
pub use group::{Groups, JoinGroup, LeaveGroup};
pub use inbox::{InboxRequest, Received};
pub use memory::{RecallMemories, RememberText, SharedMemory};
pub use notification::{ListNotifications, Notifications};
pub use post::{ReadPosts, SearchPosts, Tail, TailPosts, WritePost};
pub use send::{Receipt, SendMessage, SentMessage, To, WaitFor};
pub use state::{Changes, DeleteState, SetState, SharedState, WatchState};
pub use task::{ClaimTask, ClaimedTask, CreateTask, ListTasks, Tasks};
pub use topic::{CreateTopic, Topic};

/// A mesh. Clones are cheap and speak for the same device.
#[derive(Clone)]
pub struct Mesh {
    backend: Arc<Backend>,
    mesh: api::MeshRef,
    session: Option<String>,
}

struct Backend {
    service: Arc<dyn Service>,
    /// The home, when this process embeds its client; given back by [`Mesh::close`].
    lock: Mutex<Option<HomeLock>>,
    embedded: bool,
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh").field("mesh", &self.mesh).field("session", &self.session).finish_non_exhaustive()
    }
}

impl Mesh {
    /// Chooses how a mesh is opened.
    pub fn builder() -> MeshBuilder {
        MeshBuilder::default()
    }

    /// Opens the selected or only mesh of the home that the environment names.
    ///
    /// # Errors
    /// As [`MeshBuilder::open`].
    pub async fn open() -> Result<Self, Error> {
        Self::builder().open().await
    }

    /// A handle on a service that exists already, such as a test's.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] or [`crate::ErrorKind::Ambiguous`] when `mesh` does not select one.
    pub async fn from_service(service: Arc<dyn Service>, mesh: MeshSelector<'_>) -> Result<Self, Error> {
        Self::select(Arc::new(Backend::new(service, None, false)), mesh, None).await
    }

    async fn select(backend: Arc<Backend>, mesh: MeshSelector<'_>, session: Option<String>) -> Result<Self, Error> {
        // Selected once: what another program selects later does not move a handle to another mesh.
        let mesh = backend.service.whoami(mesh).await?.mesh;
        Ok(Self { backend, mesh, session })
    }

    /// The service behind this handle: calls of every mesh of the home.
    #[must_use]
    pub fn service(&self) -> &Arc<dyn Service> {
        &self.backend.service
    }

    /// Mesh id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.mesh.id
    }

    /// Label, as it was when the mesh was opened.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.mesh.label
    }

    /// The session this handle speaks for; `None` is `main`.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The same mesh for another session of this device.
    #[must_use]
    pub fn with_session(mut self, session: impl Into<String>) -> Self {
        self.session = Some(session.into());
        self
    }

    /// Another mesh of the same home, by label, id or id prefix.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] or [`crate::ErrorKind::Ambiguous`].
    pub async fn other(&self, mesh: &str) -> Result<Self, Error> {
        Self::select(Arc::clone(&self.backend), Some(mesh), self.session.clone()).await
    }

    fn selected(&self) -> MeshSelector<'_> {
        Some(&self.mesh.id)
    }

    fn calls(&self) -> &dyn Service {
        &*self.backend.service
    }

    /// Sends a text to one or more addresses: names, `name/session`, key prefixes, `@group`, `#topic`, or `*` for
    /// everyone. Await the result, or set more first.
    pub fn send(&self, to: impl Into<To>, text: impl Into<String>) -> SendMessage {
        SendMessage::new(self.clone(), to.into(), text.into())
    }

    /// State of a sent message for each recipient.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] for an id that was not sent from here.
    pub async fn message_status(&self, id: &str) -> Result<api::MessageStatus, Error> {
        self.calls().message_status(self.selected(), id).await
    }

    /// Reads the inbox, oldest first. Await the result, or narrow it first. Nothing is marked read by it.
    pub fn inbox(&self) -> InboxRequest {
        InboxRequest::new(self.clone())
    }

    /// Marks messages read and tells their senders.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] for a message that is not here.
    pub async fn mark_read<'a>(&self, messages: impl IntoIterator<Item = &'a Received>) -> Result<(), Error> {
        let messages = messages.into_iter().map(Received::named).collect();
        self.calls().mark_read(self.selected(), api::ReadRequest { messages, session: self.session.clone() }).await
    }

    /// Events from now on. Acknowledging them moves nothing; see [`Mesh::events_from`] for a feed that goes on where the
    /// program stopped.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when the mesh is gone.
    pub async fn events(&self) -> Result<Events, Error> {
        Events::open(self.clone(), api::EventsQuery { session: self.session.clone(), ..Default::default() }).await
    }

    /// Events of a durable consumer: after the last one that a program acknowledged under this name. A new name starts
    /// now.
    ///
    /// # Errors
    /// As [`Mesh::events`].
    pub async fn events_from(&self, consumer: impl Into<String>) -> Result<Events, Error> {
        let query =
            api::EventsQuery { consumer: Some(consumer.into()), session: self.session.clone(), ..Default::default() };
        Events::open(self.clone(), query).await
    }

    /// A topic by name, with or without `#`, or by 8 or more digits of its id.
    #[must_use]
    pub fn topic(&self, topic: impl Into<String>) -> Topic {
        Topic::new(self.clone(), topic.into())
    }

    /// Topics that this member can know of, with what the handle's session has not read of them.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when the mesh is gone.
    pub async fn topics(&self) -> Result<Vec<api::Topic>, Error> {
        let query = api::TopicsQuery { joined: false, session: self.session.clone() };
        Ok(self.calls().topics(self.selected(), query).await?.topics)
    }

    /// Makes a topic. Await the result, or set more first.
    pub fn create_topic(&self, topic: impl Into<String>) -> CreateTopic {
        CreateTopic::new(self.clone(), topic.into())
    }

    /// Drops what nobody needs any more of what belongs to the whole mesh, as [`Topic::compact`] does for a topic.
    ///
    /// # Errors
    /// As [`Topic::compact`].
    pub async fn compact(&self) -> Result<u64, Error> {
        Ok(self.calls().compact(self.selected(), api::Compact::default()).await?.dropped)
    }

    /// Searches the posts of all topics. Await the result, or narrow it first.
    pub fn search(&self, text: impl Into<String>) -> SearchPosts {
        SearchPosts::new(self.clone(), text.into())
    }

    /// Groups of members.
    #[must_use]
    pub fn groups(&self) -> Groups {
        Groups::new(self.clone())
    }

    /// State of the whole mesh.
    #[must_use]
    pub fn state(&self) -> SharedState {
        SharedState::new(self.clone(), None)
    }

    /// Memory of the whole mesh.
    #[must_use]
    pub fn memory(&self) -> SharedMemory {
        SharedMemory::new(self.clone(), None)
    }

    /// Tasks of the whole mesh.
    #[must_use]
    pub fn tasks(&self) -> Tasks {
        Tasks::new(self.clone(), None)
    }

    /// What asks for this member's attention.
    #[must_use]
    pub fn notifications(&self) -> Notifications {
        Notifications::new(self.clone())
    }

    /// Gives the mesh what a template of this name has ([`crate::templates`]): groups, topics, state, and hints on how
    /// the mesh is used. What is there stays; what an earlier call left undone is done.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] for an unknown template, [`crate::ErrorKind::Conflict`] when the mesh has another one,
    /// [`crate::ErrorKind::Refused`] for who is no admin, [`crate::ErrorKind::Unreachable`] without the broker.
    pub async fn apply_template(&self, template: impl Into<String>) -> Result<api::TemplateApplied, Error> {
        self.calls().template(self.selected(), api::TemplateApply { template: template.into() }).await
    }

    /// Who this home is in the mesh.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when the mesh is gone.
    pub async fn whoami(&self) -> Result<api::WhoAmI, Error> {
        self.calls().whoami(self.selected()).await
    }

    /// Peers with their presence.
    ///
    /// # Errors
    /// As [`Mesh::whoami`].
    pub async fn peers(&self) -> Result<Vec<api::Peer>, Error> {
        Ok(self.calls().peers(self.selected(), false).await?.peers)
    }

    /// Sets the status that peers see.
    ///
    /// # Errors
    /// As [`Mesh::whoami`].
    pub async fn set_status(&self, status: api::Activity) -> Result<api::WhoAmI, Error> {
        let request = api::PresenceRequest { status: Some(status), summary: None, session: self.session.clone() };
        self.calls().set_presence(self.selected(), request).await
    }

    /// Sets the summary that peers see; an empty text clears it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when it is too long.
    pub async fn set_summary(&self, summary: impl Into<String>) -> Result<api::WhoAmI, Error> {
        let request =
            api::PresenceRequest { status: None, summary: Some(summary.into()), session: self.session.clone() };
        self.calls().set_presence(self.selected(), request).await
    }

    /// Members, with removed ones.
    ///
    /// # Errors
    /// As [`Mesh::whoami`].
    pub async fn members(&self) -> Result<Vec<api::MemberInfo>, Error> {
        Ok(self.calls().members(self.selected()).await?.members)
    }

    /// Removes a member, named by name or key prefix.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Refused`] without the rank for it; [`crate::ErrorKind::NotFound`] or
    /// [`crate::ErrorKind::Ambiguous`] for the name.
    pub async fn remove_member(&self, member: &str) -> Result<api::MemberChange, Error> {
        self.calls().member_remove(self.selected(), member).await
    }

    /// Changes a member's role: `owner`, `admin` or `member`.
    ///
    /// # Errors
    /// As [`Mesh::remove_member`].
    pub async fn set_role(&self, member: &str, role: &str) -> Result<api::MemberChange, Error> {
        self.calls().member_role(self.selected(), member, role).await
    }

    /// Creates an invite; `InviteRequest::default()` is for one use within seven days.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Refused`] when this member may not invite.
    pub async fn invite(&self, request: api::InviteRequest) -> Result<api::Invite, Error> {
        self.calls().invite(self.selected(), request).await
    }

    /// Invites of the mesh.
    ///
    /// # Errors
    /// As [`Mesh::whoami`].
    pub async fn invites(&self) -> Result<Vec<api::Invite>, Error> {
        Ok(self.calls().invites(self.selected()).await?.invites)
    }

    /// Closes an invite, named by id or a unique prefix of at least 8 digits.
    ///
    /// # Errors
    /// As [`Mesh::remove_member`].
    pub async fn revoke_invite(&self, id: &str) -> Result<api::Invite, Error> {
        self.calls().invite_revoke(self.selected(), id).await
    }

    /// Meshes of the home.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unreachable`] when the daemon is gone.
    pub async fn meshes(&self) -> Result<Vec<api::MeshInfo>, Error> {
        Ok(self.calls().meshes().await?.meshes)
    }

    /// State of the home and of all its meshes.
    ///
    /// # Errors
    /// As [`Mesh::meshes`].
    pub async fn status(&self) -> Result<api::Status, Error> {
        self.calls().status().await
    }

    /// Renames the mesh: for everyone when this member is admin or owner, else in this home only.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Conflict`] when the label is taken here.
    pub async fn rename(&self, label: &str) -> Result<api::MeshInfo, Error> {
        self.calls().mesh_rename(&self.mesh.id, label).await
    }

    /// Leaves the mesh.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Refused`] for the last owner.
    pub async fn leave(&self) -> Result<api::MeshInfo, Error> {
        self.calls().mesh_leave(&self.mesh.id).await
    }

    /// Closes the mesh for everyone; owners only.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Refused`] for others.
    pub async fn delete(&self) -> Result<api::MeshInfo, Error> {
        self.calls().mesh_delete(&self.mesh.id).await
    }

    /// Whether this process carries the client itself, instead of using the home's daemon.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.backend.embedded
    }

    /// Ends this program's part: an embedded client flushes, disconnects and gives its home back, for all clones of this
    /// handle; a daemon goes on.
    ///
    /// # Errors
    /// What the embedded client met while it stopped.
    pub async fn close(self) -> Result<(), Error> {
        if self.backend.embedded { self.shutdown().await } else { Ok(()) }
    }

    /// Stops the service behind this handle: the embedded client, or the daemon with all that use it.
    ///
    /// # Errors
    /// What the service met while it stopped.
    pub async fn shutdown(&self) -> Result<(), Error> {
        let result = self.calls().shutdown().await;
        let lock = self.backend.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        drop(lock);
        result
    }
}

impl Backend {
    fn new(service: Arc<dyn Service>, lock: Option<HomeLock>, embedded: bool) -> Self {
        Self { service, lock: Mutex::new(lock), embedded }
    }
}

#[cfg(test)]
mod tests;
