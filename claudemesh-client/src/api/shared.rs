//! Shared knowledge and work: state, memory, tasks. Each may be scoped to a topic.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::MemberRef;

/// Names a key of the shared state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StateKey {
    /// Key, 1 to 256 bytes.
    pub key: String,
    /// The topic it belongs to; absent for the whole mesh.
    pub topic: Option<String>,
}

/// Sets a key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StateSet {
    /// Key, 1 to 256 bytes.
    pub key: String,
    /// JSON value, 64 KiB at most.
    pub value: Value,
    /// Only when the key still has this version; `0.0` when it must not exist.
    pub expect: Option<String>,
    /// Seconds until it is gone.
    pub ttl: Option<u64>,
    /// The topic it belongs to; absent for the whole mesh.
    pub topic: Option<String>,
    /// The caller's own id (UUID) of this request. Asked for again under it, it is answered with what became of it, and
    /// not done again.
    pub request_id: Option<String>,
}

/// Deletes a key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StateDelete {
    /// Key.
    pub key: String,
    /// Only when the key still has this version.
    pub expect: Option<String>,
    /// The topic it belongs to; absent for the whole mesh.
    pub topic: Option<String>,
    /// The caller's own id (UUID) of this request, as in [`StateSet::request_id`].
    pub request_id: Option<String>,
}

/// A key and its value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StateEntry {
    /// Key.
    pub key: String,
    /// JSON value; null when deleted.
    pub value: Value,
    /// Whether the key was deleted.
    #[serde(default)]
    pub deleted: bool,
    /// Version: the place of the change in the log, as `offset.index`.
    pub version: String,
    /// Who changed it last.
    pub by: MemberRef,
    /// When it is gone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<String>,
    /// The topic it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub topic: Option<String>,
}

/// Asks for keys, or for changes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StateQuery {
    /// Only keys that begin so.
    pub prefix: Option<String>,
    /// Only what changed after this version, in the order of the changes; deleted keys, too.
    pub after: Option<String>,
    /// Waits this long for a change after `after`, milliseconds.
    pub wait_ms: u64,
    /// The topic they belong to; absent for the whole mesh.
    pub topic: Option<String>,
}

/// Keys and values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StateEntries {
    /// By key, or in the order of changes.
    pub entries: Vec<StateEntry>,
    /// The version after which nothing had changed: ask on from here.
    pub next: String,
}

/// Remembers a text.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Remember {
    /// Text, 1 byte to 64 KiB.
    pub text: String,
    /// Tags, 32 at most.
    pub tags: Vec<String>,
    /// The caller's own id (UUID) for idempotency.
    pub id: Option<String>,
    /// The topic it belongs to; absent for the whole mesh.
    pub topic: Option<String>,
}

/// A memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Its id.
    pub id: String,
    /// Text.
    pub text: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Who remembered it.
    pub by: MemberRef,
    /// When: the author's claim.
    pub at: String,
    /// The topic it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub topic: Option<String>,
    /// The place in its text, with the words found between `[` and `]`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub snippet: Option<String>,
}

/// Asks for memories.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Recall {
    /// Words to find; absent for the latest.
    pub text: Option<String>,
    /// Only with all of these tags.
    pub tags: Vec<String>,
    /// Only of this topic; absent for the whole mesh and every topic.
    pub topic: Option<String>,
    /// How many at most; default 20, at most 200.
    pub limit: Option<u32>,
}

/// Memories.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memories {
    /// Best or latest first.
    pub memories: Vec<Memory>,
}

/// Names a memory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryName {
    /// Its id.
    pub id: String,
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TaskState {
    /// Waits for tasks it depends on.
    Blocked,
    /// Can be claimed.
    Open,
    /// Somebody is at it.
    Claimed,
    /// Done.
    Done,
}

/// Makes a task.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskCreate {
    /// Title, 1 byte to 1 KiB.
    pub title: String,
    /// What is to be done, 64 KiB at most.
    pub body: Option<String>,
    /// Ids of tasks that must be done before, 32 at most.
    pub depends_on: Vec<String>,
    /// Only this member may claim it: name or key prefix.
    pub assignee: Option<String>,
    /// The caller's own id (UUID) for idempotency.
    pub id: Option<String>,
    /// The topic it belongs to; absent for the whole mesh.
    pub topic: Option<String>,
}

/// A task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// Title.
    pub title: String,
    /// What is to be done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<String>,
    /// How far it is.
    pub state: TaskState,
    /// Who made it.
    pub by: MemberRef,
    /// When: its maker's claim.
    pub at: String,
    /// Tasks it depends on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub depends_on: Vec<String>,
    /// The only one who may claim it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub assignee: Option<MemberRef>,
    /// Who is at it, or did it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub claimed_by: Option<MemberRef>,
    /// The session that claimed it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<String>,
    /// Number of the claim; a later claim has a higher one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fence: Option<u64>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub result: Option<String>,
    /// The topic it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub topic: Option<String>,
}

/// Asks for tasks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskQuery {
    /// Only this one: its id, or a unique prefix of 8 or more digits.
    pub id: Option<String>,
    /// Only in this state.
    pub state: Option<TaskState>,
    /// Only those that this member may claim or has claimed: name or key prefix.
    pub member: Option<String>,
    /// Only of this topic; absent for the whole mesh and every topic.
    pub topic: Option<String>,
    /// How many at most; default 100, at most 1000.
    pub limit: Option<u32>,
}

/// Tasks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tasks {
    /// Oldest first.
    pub tasks: Vec<Task>,
}

/// Changes a task.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskChange {
    /// Its id, or a unique prefix of 8 or more digits.
    pub id: String,
    /// What came of it, 64 KiB at most; only when it is completed.
    pub result: Option<String>,
    /// The claim's number, to be sure it is still that claim.
    pub fence: Option<u64>,
    /// Claiming session; default `main`.
    pub session: Option<String>,
    /// The caller's own id (UUID) of this request, as in [`StateSet::request_id`].
    pub request_id: Option<String>,
}
