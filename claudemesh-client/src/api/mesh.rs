//! Meshes, invites and members.

use serde::{Deserialize, Serialize};

/// A mesh by id and local label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshRef {
    /// Mesh id.
    pub id: String,
    /// Label, as this home shows it.
    pub label: String,
}

/// A member by id and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRef {
    /// Member id.
    pub id: String,
    /// Name; empty while it is not known.
    pub name: String,
}

/// Asks for a mesh to exist and run in this home.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpRequest {
    /// Label of the mesh to create or resume.
    pub mesh: Option<String>,
    /// Own name on first creation.
    pub name: Option<String>,
    /// A broker elsewhere.
    pub broker: Option<String>,
    /// Where the embedded broker listens.
    pub listen: Option<String>,
    /// The address others use for the embedded broker.
    pub advertise: Option<String>,
    /// Permits `ws://` to a host that is not loopback.
    pub insecure_ws: bool,
}

/// A mesh that runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpReply {
    /// The mesh.
    pub mesh: MeshRef,
    /// Broker address.
    pub broker: String,
    /// Own member.
    pub member: MemberRef,
    /// An invite link for the next person; absent when this member may not invite.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub link: Option<String>,
    /// Shown once, when the mesh was created.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recovery_key: Option<String>,
    /// Whether this call created the mesh.
    #[serde(default)]
    pub created: bool,
    /// What the template asked for with it has given to the mesh.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub template: Option<super::TemplateApplied>,
}

/// Asks for an invite.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct InviteRequest {
    /// How many may join by it, 1–1000.
    pub uses: u32,
    /// Seconds until it expires.
    pub expires_in: u64,
    /// Role of those who join: `member`.
    pub role: String,
    /// Name proposed to the joiner.
    pub name_hint: Option<String>,
}

impl Default for InviteRequest {
    fn default() -> Self {
        Self { uses: 1, expires_in: 7 * 24 * 3600, role: "member".into(), name_hint: None }
    }
}

/// An invite.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invite {
    /// Invite id.
    pub id: String,
    /// The link; only present when this home created the invite and it is open.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub link: Option<String>,
    /// When it expires.
    pub expires_at: String,
    /// Permitted uses.
    pub uses: u32,
    /// Uses so far.
    pub used: u32,
    /// `open`, `closed`, `used` or `expired`.
    pub state: String,
    /// Role of those who join.
    pub role: String,
    /// Who created it.
    pub by: MemberRef,
    /// What the user should know, such as a link that only works on this machine.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub warning: Option<String>,
}

/// Joins a mesh by link.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JoinRequest {
    /// The link.
    pub link: String,
    /// Own name; else the invite's hint, else refused.
    pub name: Option<String>,
    /// Local label when the mesh's own is taken here.
    pub label: Option<String>,
    /// Permits `ws://` to a host that is not loopback.
    pub insecure_ws: bool,
}

/// The result of joining.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinReply {
    /// The mesh.
    pub mesh: MeshRef,
    /// Own member.
    pub member: MemberRef,
    /// Who invited.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub invited_by: Option<MemberRef>,
}

/// A mesh of this home.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MeshInfo {
    /// Mesh id.
    pub id: String,
    /// Label.
    pub label: String,
    /// Own member.
    pub member: MemberRef,
    /// Own role.
    pub role: String,
    /// Members that are live.
    pub members: u32,
    /// Broker address.
    pub broker: String,
    /// Whether the broker is connected.
    pub connected: bool,
    /// Whether verbs use it when no mesh is named.
    pub selected: bool,
    /// `active`, `left`, `removed` or `closed`.
    pub state: String,
}

/// Meshes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Meshes {
    /// The meshes.
    pub meshes: Vec<MeshInfo>,
}

/// Invites.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Invites {
    /// The invites.
    pub invites: Vec<Invite>,
}

/// A member as the roster has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemberInfo {
    /// Member id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Role.
    pub role: String,
    /// Kind.
    pub kind: String,
    /// False when removed.
    pub live: bool,
    /// Device ids, live ones.
    pub devices: Vec<String>,
    /// Safety number with the caller; absent for the caller itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub safety_number: Option<String>,
}

/// Members.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Members {
    /// The members.
    pub members: Vec<MemberInfo>,
}

/// A roster change and what followed from it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MemberChange {
    /// The member, after the change.
    pub member: Option<MemberInfo>,
    /// Invites closed by a removal.
    pub closed_invites: Vec<String>,
}

/// State of the daemon and of each mesh.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// The home it serves.
    pub home: String,
    /// Address of the embedded broker, when one runs.
    pub embedded_broker: Option<String>,
    /// Meshes.
    pub meshes: Vec<MeshStatus>,
}

/// State of one mesh.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MeshStatus {
    /// The mesh.
    pub mesh: MeshInfo,
    /// Messages still to be sent.
    pub queued: u64,
    /// Posts and other changes of topics, groups, state, memory and tasks that the mesh does not have yet.
    #[serde(default)]
    pub writing: u64,
    /// Messages held, with the reasons.
    pub held: u64,
    /// Messages not read.
    pub unread: u64,
    /// Index of the roster head.
    pub roster_index: u64,
    /// Hash of the roster head.
    pub roster_hash: String,
    /// Round trip to the broker, milliseconds.
    pub round_trip_ms: Option<f64>,
    /// What the user should know: clock skew, a rolled-back broker, a fork, a cloned home.
    pub warnings: Vec<String>,
    /// Why there is no connection.
    pub last_error: Option<String>,
    /// How people and agents use this mesh: the text under the key `hints` of its state.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hints: Option<String>,
    /// What cannot be read here yet.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub missing: Vec<MissingEpochs>,
}

/// Epochs of a log that cannot be read here yet: a member who has their keys hands them on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MissingEpochs {
    /// The topic; absent for the log of the whole mesh.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub topic: Option<String>,
    /// The epochs.
    pub epochs: Vec<u64>,
}
