//! Sessions that hosts run on this device, and what is handed to them.

use serde::{Deserialize, Serialize};

use super::{Activity, MemberRef, Message};

/// How a message reaches a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Route {
    /// The host's hooks hand it over. The default.
    #[default]
    Hooks,
    /// A notification of the MCP server.
    Channel,
    /// The session's own socket.
    Socket,
}

/// Where a status comes from, the weightiest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StatusSource {
    /// The host said so.
    Hook,
    /// Somebody set it.
    Manual,
    /// It is likely.
    Guess,
}

/// What is known of the program that runs a session. Whatever of it is known finds the session again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostRef {
    /// The host, such as `claude-code`.
    pub host: String,
    /// The host's own id of the conversation; another one after it was cleared.
    pub id: Option<String>,
    /// Its process.
    pub pid: Option<u32>,
    /// Its socket for messages.
    pub socket: Option<String>,
    /// The folder it works in.
    pub cwd: Option<String>,
}

/// Registers a session, or finds the one that runs there already.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionRegister {
    /// What runs it.
    pub host: HostRef,
    /// Name wished for; else the folder's. Made unique on this device.
    pub name: Option<String>,
    /// How messages reach it; `None` leaves it.
    pub route: Option<Route>,
}

/// A session of this device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostSession {
    /// Its name in addresses: `bob/NAME`.
    pub name: String,
    /// What runs it.
    pub host: HostRef,
    /// Whether it runs.
    pub live: bool,
    /// What it is doing.
    pub status: Activity,
    /// Where that is known from.
    pub source: StatusSource,
    /// Its summary, shown to peers.
    pub summary: Option<String>,
    /// How messages reach it.
    pub route: Route,
    /// Whether a message to the member without a session goes to it.
    pub lead: bool,
    /// Unread messages.
    pub unread: u64,
    /// Unread messages that were handed over and not confirmed by the host yet.
    pub posted: u64,
    /// Since when it runs.
    pub since: String,
    /// When the host last confirmed a message.
    pub confirmed_at: Option<String>,
    /// Members of whom it is told nothing more until its user says something.
    #[serde(default)]
    pub paused: Vec<MemberRef>,
}

/// Asks for sessions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionsQuery {
    /// Ended ones, too.
    pub all: bool,
}

/// Sessions, the most recently active first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HostSessions {
    /// The sessions.
    pub sessions: Vec<HostSession>,
}

/// Asks what is to be handed to a session now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NoticesQuery {
    /// Name of the session.
    pub session: String,
    /// Waits this many milliseconds for something.
    pub wait_ms: u64,
    /// Notices that were written since the last question.
    pub posted: Vec<String>,
}

/// What is to be handed to a session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Notices {
    /// The session.
    pub session: String,
    /// To be written to the session; repeated until it was.
    pub notices: Vec<Notice>,
}

/// A short text that tells a session of messages. It holds none of their text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// Its id, which is in the text, too: the host confirms it by that.
    pub id: String,
    /// The text.
    pub text: String,
    /// How many messages it tells of.
    pub count: u64,
}

/// What a host says happens in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HostEvent {
    /// A conversation begins or goes on.
    SessionStart,
    /// A turn begins.
    Prompt,
    /// Tools were used within a turn.
    Tool,
    /// The user is asked to permit something.
    Permission,
    /// The host waits for its user, without a turn.
    Idle,
    /// A turn ends.
    Stop,
    /// The conversation ends, and the host with it.
    SessionEnd,
}

/// Something happened in a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionEvent {
    /// Where.
    #[serde(default)]
    pub host: HostRef,
    /// What.
    pub event: HostEvent,
    /// Notices that the host took, by the ids in its texts.
    #[serde(default)]
    pub seen: Vec<String>,
    /// Whether the session does what it wants without asking its user; `None` leaves it.
    #[serde(default)]
    pub unguarded: Option<bool>,
    /// Whether the host may be given something to go on with.
    #[serde(default)]
    pub may_hand: bool,
}

/// The answer to a host.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionAnswer {
    /// Name of the session; none when it is not known here.
    pub session: Option<String>,
    /// What the host is to hand to the session.
    pub notice: Option<Notice>,
    /// Unread messages.
    pub unread: u64,
}

/// Takes messages for a session. Marks nothing: that is done when they were handed over.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct TakeQuery {
    /// Name of the session.
    pub session: String,
    /// Messages at most, the oldest.
    pub limit: u32,
    /// Bytes of text at most, but one message at least.
    pub bytes: u64,
}

impl Default for TakeQuery {
    fn default() -> Self {
        Self { session: crate::DEFAULT_SESSION.into(), limit: 20, bytes: 32 * 1024 }
    }
}

/// Messages for a session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Taken {
    /// The messages, oldest first.
    pub messages: Vec<Taking>,
    /// Unread messages that were left for the next time.
    pub more: u64,
    /// Whose messages wait for the user's permission.
    pub held: Vec<HeldFrom>,
}

/// A message for a session, with its mesh.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Taking {
    /// Id of the mesh.
    pub mesh: String,
    /// Label of the mesh, where this home has several.
    pub label: Option<String>,
    /// The message.
    pub message: Message,
}

/// A member whose messages wait for the user's permission.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeldFrom {
    /// The member.
    pub member: MemberRef,
    /// How many.
    pub count: u64,
}

/// Changes how much sessions are told without their users saying anything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsRequest {
    /// Messages of one member since the session's user said something; `None` leaves it.
    pub exchange: Option<u32>,
    /// Notices of a session in an hour; `None` leaves it.
    pub hourly: Option<u32>,
}

/// How much sessions are told without their users saying anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLimits {
    /// Messages of one member since the session's user said something.
    pub exchange: u32,
    /// Notices of a session in an hour.
    pub hourly: u32,
}

/// Permits a member to write to sessions that ask their user for nothing, or ends that; lists who may.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PermitRequest {
    /// The member, by name or key prefix; `None` only lists.
    pub member: Option<String>,
    /// Ends it.
    pub revoke: bool,
}

/// Who may.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Permits {
    /// The members.
    pub members: Vec<MemberRef>,
}
