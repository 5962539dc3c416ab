//! What every backend can do. The embedded node and the attached daemon both implement [`Service`]; one conformance
//! suite runs against both, and every frontend speaks to nothing else.

mod rooms;
mod sessions;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::api;
use crate::error::Error;

pub use rooms::Rooms;
pub(crate) use rooms::room_calls;
pub use sessions::Sessions;
pub(crate) use sessions::session_calls;

/// A future of a service call.
pub type Call<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// The label, id or id prefix of a mesh; `None` is the selected or only one.
pub type MeshSelector<'a> = Option<&'a str>;

/// Everything one home can do.
///
/// Each call returns typed errors ([`crate::ErrorKind`]); none panics on any input.
pub trait Service: Rooms + Sessions {
    /// State of the process and all meshes.
    fn status(&self) -> Call<'_, api::Status>;
    /// Creates or resumes a mesh.
    fn up(&self, request: api::UpRequest) -> Call<'_, api::UpReply>;
    /// Joins a mesh.
    fn join(&self, request: api::JoinRequest) -> Call<'_, api::JoinReply>;
    /// Meshes of this home.
    fn meshes(&self) -> Call<'_, api::Meshes>;
    /// Warnings that go with everything said about a mesh, such as `clock_skew`; an attached backend repeats what came
    /// with its daemon's last answer. Where no mesh is named or selected, those of any.
    fn warnings<'a>(&'a self, _mesh: MeshSelector<'a>) -> BoxFuture<'a, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }
    /// Makes a mesh the one used when none is named.
    fn mesh_use<'a>(&'a self, mesh: &'a str) -> Call<'a, api::MeshInfo>;
    /// Renames a mesh: for everyone when the caller is admin or owner, else locally.
    fn mesh_rename<'a>(&'a self, mesh: &'a str, label: &'a str) -> Call<'a, api::MeshInfo>;
    /// Leaves a mesh.
    fn mesh_leave<'a>(&'a self, mesh: &'a str) -> Call<'a, api::MeshInfo>;
    /// Closes a mesh for everyone; owners only.
    fn mesh_delete<'a>(&'a self, mesh: &'a str) -> Call<'a, api::MeshInfo>;
    /// Who the caller is.
    fn whoami<'a>(&'a self, mesh: MeshSelector<'a>) -> Call<'a, api::WhoAmI>;
    /// Creates an invite.
    fn invite<'a>(&'a self, mesh: MeshSelector<'a>, request: api::InviteRequest) -> Call<'a, api::Invite>;
    /// Lists invites.
    fn invites<'a>(&'a self, mesh: MeshSelector<'a>) -> Call<'a, api::Invites>;
    /// Closes an invite, named by id or unique prefix of at least 8 digits.
    fn invite_revoke<'a>(&'a self, mesh: MeshSelector<'a>, id: &'a str) -> Call<'a, api::Invite>;
    /// Sends a message; returns when it is durable here (`queued`).
    fn send<'a>(&'a self, mesh: MeshSelector<'a>, request: api::SendRequest) -> Call<'a, api::Sent>;
    /// Waits for a sent message to reach a state, a failure, or the end of the timeout; returns the state it has then.
    fn wait<'a>(&'a self, mesh: MeshSelector<'a>, request: api::WaitRequest) -> Call<'a, api::Sent>;
    /// Status of a sent message.
    fn message_status<'a>(&'a self, mesh: MeshSelector<'a>, id: &'a str) -> Call<'a, api::MessageStatus>;
    /// Reads the inbox. Marks nothing.
    fn inbox<'a>(&'a self, mesh: MeshSelector<'a>, query: api::InboxQuery) -> Call<'a, api::Inbox>;
    /// Marks messages read and tells their senders.
    fn mark_read<'a>(&'a self, mesh: MeshSelector<'a>, request: api::ReadRequest) -> Call<'a, ()>;
    /// Peers; with `all`, removed members too.
    fn peers<'a>(&'a self, mesh: MeshSelector<'a>, all: bool) -> Call<'a, api::Peers>;
    /// Sets the own presence.
    fn set_presence<'a>(&'a self, mesh: MeshSelector<'a>, request: api::PresenceRequest) -> Call<'a, api::WhoAmI>;
    /// Members.
    fn members<'a>(&'a self, mesh: MeshSelector<'a>) -> Call<'a, api::Members>;
    /// Removes a member (name or key prefix).
    fn member_remove<'a>(&'a self, mesh: MeshSelector<'a>, member: &'a str) -> Call<'a, api::MemberChange>;
    /// Changes a member's role.
    fn member_role<'a>(&'a self, mesh: MeshSelector<'a>, member: &'a str, role: &'a str)
    -> Call<'a, api::MemberChange>;
    /// The event feed, starting as asked; never ends by itself.
    fn events<'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        query: api::EventsQuery,
    ) -> Call<'a, BoxStream<'static, Result<api::EventRecord, Error>>>;
    /// Commits a consumer's position.
    fn ack<'a>(&'a self, mesh: MeshSelector<'a>, request: api::AckRequest) -> Call<'a, ()>;
    /// Stops: closes connections and flushes. An attached backend stops its daemon.
    fn shutdown(&self) -> Call<'_, ()>;
}
