//! Peers and their presence.

use serde::{Deserialize, Serialize};

use super::{MemberRef, MeshRef};

/// What a session is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Activity {
    /// Nothing. The default.
    #[default]
    Idle,
    /// At work.
    Working,
    /// Waits for its user.
    Blocked,
    /// Wants no interruption.
    Dnd,
}

/// A session of a peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Session id.
    pub id: String,
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Working directory, when shared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cwd: Option<String>,
    /// Status.
    pub status: Activity,
    /// Summary set by the session.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub summary: Option<String>,
}

/// A peer as presence and roster show it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Member id.
    pub member: String,
    /// Name; empty while it is not known.
    pub name: String,
    /// Role.
    pub role: String,
    /// `human`, `agent` or `service`.
    pub kind: String,
    /// The broker's word.
    pub online: bool,
    /// Status of the most recent device.
    pub status: Activity,
    /// Summary set by the peer.
    pub summary: Option<String>,
    /// Live device ids.
    pub devices: Vec<String>,
    /// Sessions; a message to the member without a session goes to the first.
    pub sessions: Vec<Session>,
    /// Last seen, when known and not online.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_seen: Option<String>,
    /// Whether this is the caller.
    #[serde(rename = "self", default)]
    pub own: bool,
    /// False when the member was removed.
    pub live: bool,
}

/// Peers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Peers {
    /// The peers.
    pub peers: Vec<Peer>,
}

/// Sets the own presence.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PresenceRequest {
    /// Status; `None` leaves it.
    pub status: Option<Activity>,
    /// Summary; empty text clears it, `None` leaves it.
    pub summary: Option<String>,
    /// The session of a host that this is for; where none of that name runs, it is for the device.
    pub session: Option<String>,
}

/// Who this home is in a mesh.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WhoAmI {
    /// The mesh.
    pub mesh: MeshRef,
    /// Own member.
    pub member: MemberRef,
    /// Own role.
    pub role: String,
    /// Own device id.
    pub device: String,
    /// Status shown to peers.
    pub status: Activity,
    /// Summary shown to peers.
    pub summary: Option<String>,
    /// Broker address.
    pub broker: String,
    /// Whether the broker is connected.
    pub connected: bool,
    /// Position of the newest event in this home's feed of the mesh; 0 when there is none.
    #[serde(default)]
    pub position: u64,
}
