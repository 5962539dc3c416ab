//! The calls of conversations and shared knowledge, in one table: the trait, the daemon's routes and the attached backend
//! are made of it.

use super::{Call, MeshSelector};
use crate::api;

/// Hands the table to a macro. A call has a name, a request, an answer, a route and a manner: `near` asks what is known
/// here, `far` goes through the broker, `once` too, under a name (`request_id`) under which it may be repeated, `waits`
/// takes as long as its request says (`wait_ms`).
macro_rules! room_calls {
    ($make:ident) => {
        $make! {
            Rooms;
            /// Makes a topic.
            topic_create(TopicCreate) -> Topic, "/v1/topics/create", far;
            /// Topics this member can know of.
            topics(TopicsQuery) -> Topics, "/v1/topics", near;
            /// Follows a topic from now on.
            topic_join(TopicName) -> Topic, "/v1/topics/join", far;
            /// Leaves a topic; what was read stays readable.
            topic_leave(TopicName) -> Topic, "/v1/topics/leave", far;
            /// Who is in a topic.
            topic_members(TopicName) -> TopicMembers, "/v1/topics/members", near;
            /// Adds a member to a topic, changes its role, or removes it.
            topic_member(TopicMemberChange) -> TopicMembers, "/v1/topics/member", far;
            /// Writes to a topic; returns when the post is durable here, or a moment later when it is in the topic.
            topic_post(PostRequest) -> Posted, "/v1/topics/post", far;
            /// Posts of a topic.
            topic_posts(PostsQuery) -> Posts, "/v1/topics/posts", waits;
            /// Searches posts.
            topic_search(SearchQuery) -> Hits, "/v1/topics/search", near;
            /// Marks a topic read.
            topic_read(TopicRead) -> Topic, "/v1/topics/read", near;
            /// Marks a thread resolved, or open again.
            topic_resolve(TopicResolve) -> Posts, "/v1/topics/resolve", far;
            /// Changes how long a topic keeps its posts; older ones are erased.
            topic_retention(TopicRetention) -> Topic, "/v1/topics/retention", far;
            /// Drops from a log what nobody needs any more, at the broker and here.
            compact(Compact) -> Compacted, "/v1/compact", far;
            /// What asks for attention.
            notifications(NotificationQuery) -> Notifications, "/v1/notifications", near;
            /// Marks notifications read.
            notification_read(NotificationRead) -> Marked, "/v1/notifications/read", near;
            /// Groups and their members.
            groups(GroupQuery) -> Groups, "/v1/groups", near;
            /// Puts a member into a group.
            group_join(GroupChange) -> Group, "/v1/groups/join", far;
            /// Takes a member out of a group.
            group_leave(GroupChange) -> Group, "/v1/groups/leave", far;
            /// The value of a key.
            state_get(StateKey) -> StateEntry, "/v1/state/get", near;
            /// Sets a key, also under the condition that nobody has changed it.
            state_set(StateSet) -> StateEntry, "/v1/state/set", once;
            /// Keys and values, or changes.
            state_list(StateQuery) -> StateEntries, "/v1/state", waits;
            /// Deletes a key.
            state_delete(StateDelete) -> StateEntry, "/v1/state/delete", once;
            /// Remembers a text.
            remember(Remember) -> Memory, "/v1/memory/remember", far;
            /// Finds memories.
            recall(Recall) -> Memories, "/v1/memory/recall", near;
            /// Forgets a memory, here and wherever the mesh is read.
            forget(MemoryName) -> Memory, "/v1/memory/forget", far;
            /// Makes a task.
            task_create(TaskCreate) -> Task, "/v1/tasks/create", far;
            /// Tasks.
            tasks(TaskQuery) -> Tasks, "/v1/tasks", near;
            /// Claims a task: of all who try, one gets it.
            task_claim(TaskChange) -> Task, "/v1/tasks/claim", once;
            /// Gives a claimed task back.
            task_release(TaskChange) -> Task, "/v1/tasks/release", once;
            /// Completes a claimed task.
            task_complete(TaskChange) -> Task, "/v1/tasks/complete", once;
            /// Gives the mesh what a template has: groups, topics, state, hints.
            template(TemplateApply) -> TemplateApplied, "/v1/template", far;
        }
    };
}
pub(crate) use room_calls;

macro_rules! define {
    ($trait:ident; $($(#[$doc:meta])* $name:ident($request:ident) -> $answer:ident, $path:literal, $manner:ident;)*) => {
        /// Conversations and shared knowledge of a mesh.
        ///
        /// Each call returns typed errors ([`crate::ErrorKind`]); none panics on any input.
        pub trait $trait: Send + Sync {
            $($(#[$doc])* fn $name<'a>(
                &'a self,
                mesh: MeshSelector<'a>,
                request: api::$request,
            ) -> Call<'a, api::$answer>;)*
        }
    };
}
room_calls!(define);
