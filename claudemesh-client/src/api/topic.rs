//! Topics: conversations with a history, and what they ask of their readers.

use serde::{Deserialize, Serialize};

use super::{From, MemberRef};

/// How much of a log newcomers may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum History {
    /// Everything. The default.
    #[default]
    All,
    /// What is written after they came.
    Joining,
    /// The same, and readers erase old secrets, so that a stolen device opens nothing older either.
    None,
}

/// What a member may do in a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TopicRole {
    /// Reads.
    Observer,
    /// Reads and writes.
    Member,
    /// Changes the topic and its members, too.
    Lead,
}

/// Makes a topic. The caller becomes its first lead.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicCreate {
    /// Name, without `#`.
    pub topic: String,
    /// What it is for, 1 KiB at most.
    pub purpose: Option<String>,
    /// Only for the members named; others do not even learn its name.
    pub private: bool,
    /// Members to add at once.
    pub members: Vec<String>,
    /// What newcomers may read.
    pub history: History,
    /// For how many seconds posts are kept; absent for ever.
    pub retention: Option<u64>,
}

/// Changes how long a topic keeps its posts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicRetention {
    /// The topic.
    pub topic: String,
    /// For how many seconds; absent for ever.
    pub seconds: Option<u64>,
}

/// Drops from a log what nobody needs any more.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Compact {
    /// The topic; absent for what belongs to the whole mesh.
    pub topic: Option<String>,
}

/// What was dropped from a log.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Compacted {
    /// How many entries.
    pub dropped: u64,
}

/// Names a topic.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicName {
    /// Name, with or without `#`, or 8 or more digits of its log id.
    pub topic: String,
}

/// A topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Topic {
    /// Log id.
    pub id: String,
    /// Name, without `#`.
    pub name: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub purpose: Option<String>,
    /// Whether only its members know of it.
    pub private: bool,
    /// Whether this home follows it.
    pub joined: bool,
    /// Own role; absent when not joined.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<TopicRole>,
    /// Posts of others that the caller's session has not read.
    pub unread: u64,
    /// Those of them that mention the own member.
    pub mentions: u64,
    /// Time of the last post.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_post_at: Option<String>,
    /// For how many seconds posts are kept; absent for ever.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retention: Option<u64>,
    /// Parts of its history whose key this device does not have yet, by number; a member who has it hands it on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub missing_epochs: Vec<u64>,
}

/// Asks for topics.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicsQuery {
    /// Only those this home follows.
    pub joined: bool,
    /// The session whose unread posts count; default `main`.
    pub session: Option<String>,
}

/// Topics.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Topics {
    /// `general` first, then by name.
    pub topics: Vec<Topic>,
}

/// Who is in a topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TopicMember {
    /// The member.
    pub member: MemberRef,
    /// Its role.
    pub role: TopicRole,
}

/// The members of a topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TopicMembers {
    /// The topic's name.
    pub topic: String,
    /// Members, leads first.
    pub members: Vec<TopicMember>,
}

/// Adds a member to a topic, changes its role, or removes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicMemberChange {
    /// The topic.
    pub topic: String,
    /// Name or key prefix.
    pub member: String,
    /// New role; absent to remove.
    pub role: Option<TopicRole>,
}

/// Writes to a topic.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PostRequest {
    /// The topic.
    pub topic: String,
    /// UTF-8 text, 1 byte to 64 KiB. `@name` mentions a member.
    pub text: String,
    /// The caller's own id (UUID) for idempotency.
    pub id: Option<String>,
    /// The post answered: its thread goes on.
    pub reply_to: Option<String>,
    /// Writing session; default `main`.
    pub session: Option<String>,
}

/// A post right after it was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Posted {
    /// Message id.
    pub id: String,
    /// The topic's name.
    pub topic: String,
    /// `queued` when it is durable here only, `accepted` when it is in the topic.
    pub state: super::State,
    /// Place in the topic's log, once it is there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<String>,
}

/// A post.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Post {
    /// Message id.
    pub id: String,
    /// The topic's name.
    pub topic: String,
    /// Place in the topic's log: offset and index, as `offset.index`.
    pub at: String,
    /// Who wrote it.
    pub from: From,
    /// Text.
    pub body: String,
    /// The author's claim.
    pub sent_at: String,
    /// The post answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reply_to: Option<String>,
    /// Members mentioned.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub mentions: Vec<MemberRef>,
}

/// Asks for posts of a topic.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PostsQuery {
    /// The topic.
    pub topic: String,
    /// Only posts after this place, oldest first.
    pub after: Option<String>,
    /// Only posts before this place; the latest of them.
    pub before: Option<String>,
    /// Only the thread of this post.
    pub thread: Option<String>,
    /// How many at most; default 50, at most 1000.
    pub limit: Option<u32>,
    /// Waits this long for a post after `after`, milliseconds.
    pub wait_ms: u64,
}

/// Posts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Posts {
    /// Oldest first.
    pub posts: Vec<Post>,
    /// The place after which nothing more was there: ask on from here.
    pub next: String,
    /// Whether the thread asked for is marked resolved.
    #[serde(default)]
    pub resolved: bool,
}

/// Searches posts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchQuery {
    /// Words; `"a phrase"`, `prefix*`, `AND`, `OR` and `NOT` are understood.
    pub text: String,
    /// Only this topic.
    pub topic: Option<String>,
    /// How many at most; default 20, at most 200.
    pub limit: Option<u32>,
}

/// A post that was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hit {
    /// The post.
    pub post: Post,
    /// The place in its text, with the words found between `[` and `]`.
    pub snippet: String,
}

/// Posts that were found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hits {
    /// Best first.
    pub hits: Vec<Hit>,
}

/// Marks a topic read for a session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicRead {
    /// The topic.
    pub topic: String,
    /// Up to this place; absent for all there is.
    pub through: Option<String>,
    /// Session; default `main`.
    pub session: Option<String>,
}

/// Marks a thread resolved, or open again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicResolve {
    /// The topic.
    pub topic: String,
    /// Its first post.
    pub thread: String,
    /// Open again.
    pub reopen: bool,
}

/// Something that asks for attention.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notification {
    /// Its id.
    pub id: String,
    /// `mention`, `reply`, `task` or `topic`.
    pub kind: String,
    /// Who caused it.
    pub from: MemberRef,
    /// The topic; absent for the whole mesh.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub topic: Option<String>,
    /// The post or task.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<String>,
    /// The beginning of its text.
    pub text: String,
    /// When it came.
    pub at: String,
    /// Whether it was marked read.
    pub read: bool,
}

/// Asks for notifications.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NotificationQuery {
    /// Read ones, too.
    pub all: bool,
    /// How many at most; default 50, at most 1000.
    pub limit: Option<u32>,
}

/// Notifications.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notifications {
    /// Latest first.
    pub notifications: Vec<Notification>,
}

/// Marks notifications read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NotificationRead {
    /// Their ids; empty for all.
    pub ids: Vec<String>,
}

/// How many were changed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Marked {
    /// The number.
    pub marked: u64,
}

/// A group and who is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Path, without `@`.
    pub group: String,
    /// Members of this very group.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupMember {
    /// The member.
    pub member: MemberRef,
    /// What it does there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<String>,
}

/// Asks for groups.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupQuery {
    /// Only this group and those below it.
    pub group: Option<String>,
}

/// Groups.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Groups {
    /// By path.
    pub groups: Vec<Group>,
}

/// Puts a member into a group, or takes it out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupChange {
    /// Path, with or without `@`.
    pub group: String,
    /// What the member does there, 64 bytes at most.
    pub role: Option<String>,
    /// Name or key prefix; absent for the caller. Others only by admins.
    pub member: Option<String>,
}
